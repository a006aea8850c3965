"""Where a hand formula has no value at a point alone, it is not wrong for that."""

import pytest

from symgrad import verify


@pytest.mark.parametrize(
    ("formula", "hand"),
    [("prod(a + x)", "prod(a + x)/(a + x)"), ("sum((a + x)**2)", "2*(a + x)**2/(a + x)")],
    ids=["a product", "a fraction"],
)
def test_a_denominator_that_vanishes_somewhere_is_no_error(formula, hand):
    report = verify(formula, hand, wrt="x", at={"x": ("n",), "a": ("n",)})
    assert report.verdict == "proved", str(report)
