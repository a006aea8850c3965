"""Constants typed with few digits: they excuse their own last digit, and hide no slip."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
import torch

from symgrad import Latex, verify

OK = ("proved", "agrees")


def said(model, hand, **options) -> str:
    return verify(model, hand, wrt=options.pop("wrt", "x"), **options).verdict


# ------------------------------------------------------------------------------------------------ one number


@pytest.mark.parametrize(
    ("model", "hand"),
    [
        ("0.123456*sin(x) + exp(x)", "0.123456*cos(x) + exp(x) + x/10**9"),
        ("x**2", "2*x + 1/10**8 + (0.123456 - 0.123456)"),
        ("x**2", "2*x*(0.123456/0.123456) + x/10**8"),
        ("exp(0.123456*x)", "0.123456*exp(0.123456*x)*(1 + 1/10**9)"),
        ("-0.123456*sin(x) + x", "1 + 1/10**9 - 0.123456*cos(x)"),
    ],
)
def test_a_literal_on_both_sides_hides_no_slip(model, hand):
    """It is one number, whatever it is: what does not depend on it is not excused by its last digit."""
    assert said(model, hand) == "refuted"
    assert said(model, sp.diff(sp.sympify(model.replace("0.123456", "s")), "x").subs("s", sp.Float("0.123456"))) in OK


def test_a_literal_is_one_number_at_all_points():
    """2 c x = d x + 0.001 has a solution at each point, and none at all of them."""
    report = verify("123456.7*x**2", "246913.4*x + 0.001", wrt="x")
    assert report.verdict == "refuted"
    assert any("at all of the points" in note for note in report.notes)
    assert said("123456.7*x**2", "246913.4*x") in OK
    assert said("sqrt(2/pi)*x**2", "1.595769*x") == "agrees"
    assert said("sqrt(2/pi)*x**2", "1.595768*x") == "refuted"


@pytest.mark.slow
def test_a_literal_in_code_is_one_number():
    at = {"x": torch.tensor(1.5, dtype=torch.float64)}
    c, k = 0.797885, 0.044715
    gelu = lambda x: torch.nn.functional.gelu(x, approximate="tanh")  # noqa: E731

    def slope(x, slip=0.0):
        t = torch.tanh(0.797885 * (x + 0.044715 * x**3))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.797885 * (1 + 3 * 0.044715 * x**2) + slip

    assert abs(c - math.sqrt(2 / math.pi)) < 5e-7
    assert k == 0.044715
    assert said(gelu, slope, at=at) == "agrees"
    assert said(gelu, lambda x: slope(x) * (1 + 1e-5), at=at) == "refuted"
    mine = lambda x: 0.123456 * torch.sin(x) + torch.exp(x)  # noqa: E731
    assert said(mine, lambda x: 0.123456 * torch.cos(x) + torch.exp(x), at=at) in OK
    assert said(mine, lambda x: 0.123456 * torch.cos(x) + torch.exp(x) + 1e-9 * x, at=at) == "refuted"


def test_a_literal_that_is_detached_is_the_same_number():
    at = {"x": torch.tensor([1.0, 2.0], dtype=torch.float64)}
    model = lambda x: (x * torch.tensor(0.123456, dtype=x.dtype).detach()).sum()  # noqa: E731
    assert said(model, lambda x: torch.full_like(x, 0.123456), at=at) in OK
    assert said(model, lambda x: torch.full_like(x, 0.123457), at=at) == "refuted"


# ------------------------------------------------------------------------------------------------ printed doubles


@pytest.mark.parametrize("value", [0.5, 2.0, 3.0, 7.0, 10.0, 5.0])
@pytest.mark.parametrize("show", [repr, "{:.17g}".format])
def test_a_double_that_was_printed_stands_for_what_rounds_to_it(value, show):
    root = math.sqrt(value)
    exact = f"sqrt({sp.Rational(value).limit_denominator(10)})"
    assert said(f"x*{exact}", show(root)) in OK
    wrong = math.nextafter(math.nextafter(root, 9), 9)
    assert said(f"x*{exact}", show(wrong)) == "refuted"
    assert said(Latex(r"f(x) = x\sqrt{2}"), Latex(r"f'(x) = 1.4142135623730951")) in OK


def test_digits_beyond_a_double_count():
    assert said("pi*x", "3.14159265358979323846") in OK
    assert said("pi*x", "3.14159265358979323856") == "refuted"


# ------------------------------------------------------------------------------------------------ never refuted


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_rounded_constants_in_a_right_formula_are_accepted(seed):
    """Constants that are rounded to seven digits, each by itself: the truth is a common choice of all of them."""
    draw = np.random.default_rng(seed)
    a, b = (float(v) for v in draw.uniform(0.5, 2, 2))
    model = f"{a!r}*sin({b!r}*x) + exp({a!r}*x)"
    hand = f"{a * b:.7f}*cos({b:.7f}*x) + {a:.7f}*exp({a:.7f}*x)"
    assert said(model, hand) == "agrees"
    slip = f"{a * b:.7f}*cos({b:.7f}*x) + {b:.7f}*exp({a:.7f}*x)"
    assert said(model, slip) == "refuted"
