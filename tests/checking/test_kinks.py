"""At the user's own point: limits that are approached slowly, slopes without bound, kinks, and values that are wrong
there alone.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from symgrad import verify

OK = ("proved", "agrees")


def at(*values: float, dtype=torch.float64):
    return {"x": torch.tensor(values, dtype=dtype)}


def said(model, hand, point) -> str:
    return verify(model, hand, at=point).verdict


# ------------------------------------------------------------------------------------------------ limits

ROOTS = {  # each with its derivative, which is 0 at 0: the slope beside it is not small
    "x sqrt(x)": (lambda x: (x * torch.sqrt(x)).sum(), lambda x: 1.5 * x**0.5),
    "x**1.5": (lambda x: (x**1.5).sum(), lambda x: 1.5 * x**0.5),
    "x |x|**0.5": (lambda x: (x * x.abs() ** 0.5).sum(), lambda x: 1.5 * x.abs() ** 0.5),
    "x |x|**0.1": (lambda x: (x * x.abs() ** 0.1).sum(), lambda x: 1.1 * x.abs() ** 0.1),
    "|x|**(4/3)": (lambda x: (x.abs() ** (4 / 3)).sum(), lambda x: 4 / 3 * x.sign() * x.abs() ** (1 / 3)),
}


@pytest.mark.parametrize("name", ROOTS)
@pytest.mark.slow
def test_a_slope_that_vanishes_slowly_vanishes(name):
    model, hand = ROOTS[name]
    point = at(0.0, 0.25)
    with mpmath.workdps(60):  # the quotient of differences at zero goes to zero
        value = lambda h: mpmath.mpf(float(model(torch.tensor([h], dtype=torch.float64)))) / h  # noqa: E731
        assert abs(value(1e-300)) < abs(value(1e-100)) < abs(value(1e-10)) < 1
    assert said(model, hand, point) in OK
    assert said(model, lambda x: torch.where(x == 0, 1.0 + 0 * x, hand(x)), point) == "refuted"


def test_a_value_that_is_no_limit_is_refuted_where_the_derivative_is_written_as_0_over_0():
    model = lambda x: torch.sqrt(x**4).sum()  # noqa: E731  # x**2, whose derivative is 4 x**3 / (2 sqrt(x**4)) by rules
    assert said(model, lambda x: 2 * x, at(0.0, 1.5)) in OK
    assert said(model, lambda x: torch.where(x == 0, 5 + 0 * x, 2 * x), at(0.0, 1.5)) == "refuted"


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 1e30, float("nan")])
def test_where_the_slope_has_no_bound_nothing_is_an_error(value):
    model = lambda x: torch.special.entr(x).sum()  # noqa: E731  # -x log(x)
    hand = lambda x: torch.where(x == 0, value + 0 * x, -torch.log(x) - 1)  # noqa: E731
    report = verify(model, hand, at=at(0.0, 1.5))
    assert report.ok
    (kink,) = report.kinks
    assert not kink.bounded
    assert "beyond all bounds" in str(report).replace("\n            ", " ")
    wrong = lambda x: torch.where(x == 0, value + 0 * x, -torch.log(x))  # noqa: E731
    assert said(model, wrong, at(0.0, 1.5)) == "refuted"


# ------------------------------------------------------------------------------------------------ kinks


@pytest.mark.parametrize(("value", "right"), [(0.0, 1), (0.3, 1), (1.0, 1), (1 + 2**-40, 0), (-(2**-40), 0)])
@pytest.mark.slow
def test_at_a_kink_the_slopes_between_both_sides_are_right_and_no_others(value, right):
    hand = lambda x: torch.where(x == 0, value + 0 * x, (x > 0).to(x.dtype))  # noqa: E731
    assert (said(lambda x: torch.relu(x).sum(), hand, at(0.0, 1.0)) in OK) == bool(right)


@pytest.mark.slow
@pytest.mark.parametrize(("value", "right"), [(0.5, 1), (0.5 + 7j, 0), (1.5, 0)])
def test_at_a_complex_kink_both_parts_are_between(value, right):
    z = torch.tensor([0 + 2j, 0.5 - 1j], dtype=torch.complex128)
    hand = lambda z: torch.where(z.real == 0, value + 0j, (z.real > 0) + 0j)  # noqa: E731
    assert (verify(lambda z: torch.relu(z.real).sum(), hand, at={"z": z}).verdict in OK) == bool(right)


@pytest.mark.slow
def test_a_jump_that_is_tiny_is_one():
    """Slopes 1 and 1 + 2**-40: a value between them is a convention, and one beyond is an error."""
    model = lambda x: torch.where(x > 1, x * (1 + 2**-40), x + 2**-40).sum()  # noqa: E731
    for share, right in ((0.5, True), (-0.5, False), (1.5, False)):
        value = 1 + share * 2**-40
        hand = lambda x: torch.where(x == 1, value + 0 * x, torch.where(x > 1, 1 + 2**-40, 1.0))  # noqa: B023, E731
        assert (said(model, hand, at(1.0)) in OK) == right


def test_a_difference_of_equal_values_has_powers():
    """exp(1) - exp(1) is a ball around zero, and its square is one too: nothing is undefined there."""
    model = lambda x: (torch.exp(x[0]) - torch.exp(x[1])) ** 3  # noqa: E731

    def hand(x):
        p = torch.exp(x)
        d = 3 * (p[0] - p[1]) ** 2
        return torch.stack([d * p[0], -d * p[1]])

    report = verify(model, hand, at=at(1.0, 1.0))
    assert report.ok
    assert not report.notes


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("shared", [True, False], ids=["shared among the equal", "one for each of the equal"])
@pytest.mark.slow
def test_each_of_several_equal_entries_may_be_the_largest(n, shared):
    """At a tie of many every entry may have any slope from 0 to 1: no convention is an error, autograd's among them."""

    def largest(x):
        return torch.amax(x, 0)

    def slope(x):
        top = (x == x.max()) * 1.0
        return top / top.sum() if shared else top

    report = verify(largest, slope, wrt="x", at={"x": np.array([1.0] * n + [0.25])})
    assert report.verdict == "proved"
    assert {k.entry for k in report.kinks} >= {(0,)} if shared else report.kinks
    assert all((k.low, k.high) == (0.0, 1.0) for k in report.kinks)


def test_at_a_tie_of_many_what_no_side_has_is_wrong():
    report = verify(lambda x: torch.amax(x, 0), lambda x: 2.0 * (x == x.max()), wrt="x", at={"x": np.ones(4)})
    assert report.verdict == "refuted"
