"""Numbers under a power of the hand formula alone, as economists write them: they are positive, and it is told."""

import pytest

from symgrad import Latex, verify

CES = r"Q = A\left[\delta K^{-\rho} + (1 - \delta) L^{-\rho}\right]^{-1/\rho}"
SLOPE = r"\frac{\partial Q}{\partial K} = \frac{\delta}{A^\rho}\left(\frac{Q}{K}\right)^{1 + \rho}"


@pytest.mark.slow
def test_a_factor_that_a_power_is_taken_of_is_positive():
    report = verify(Latex(CES), Latex(SLOPE))
    assert report.verdict == "proved"
    assert any("0 < A" in x for x in report.assumptions)
    assert any("A is taken to be positive" in note for note in report.notes)
    wrong = verify(Latex(CES), Latex(SLOPE.replace("1 + \\rho", "\\rho")))
    assert wrong.verdict == "refuted"
    assert wrong.claims["K"].witness.reason == "differs"


def test_what_differs_where_a_number_is_negative_is_wrong_without_that():
    """With g and L negative both sides have values, and these are of different signs."""
    report = verify(Latex(r"T = 2\pi\sqrt{\frac{L}{g}}"), Latex(r"\frac{dT}{dL} = \frac{\pi}{\sqrt{gL}}"))
    assert str(report).startswith("Wrong unless g > 0")


def test_what_is_differentiated_for_is_not_taken_to_be_positive():
    """|x| is its square root, and x**a has no value on one side of zero."""
    report = verify(Latex(r"f = (x^2)^{a}"), Latex(r"\frac{\partial f}{\partial x} = 2a x^{2a - 1}"))
    assert report.verdict == "refuted"
