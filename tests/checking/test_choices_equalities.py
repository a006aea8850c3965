"""Formulas that ask whether two numbers are equal: no neighbour shows what they are where that is so."""

import pytest
import sympy as sp
import torch

from symgrad import verify

x = sp.Symbol("x")


def other_at_three(x):
    return torch.where(x == 3, torch.tensor(7.0), 2 * x)


@pytest.mark.parametrize(
    ("formula", "hand", "options"),
    [
        (x**2, sp.Piecewise((7, sp.Eq(x, 3)), (2 * x, True)), {}),
        ("x**2", "where(x == 3, 7, 2*x)", {}),
        (lambda x: x**2, other_at_three, {"at": {"x": 1.5}}),
        (lambda x: (x**2).sum(), other_at_three, {"at": {"x": (4,)}}),
    ],
    ids=["SymPy", "text", "a number", "an array"],
)
def test_a_wrong_value_at_one_number_is_found_there(formula, hand, options):
    report = verify(formula, hand, **options)
    assert report.verdict == "refuted"
    assert float(report.claims["x"].witness.exact) == 6


def test_a_right_value_at_one_number_is_judged_there():
    report = verify(lambda x: (x**2).sum(), lambda x: torch.where(x == 3, torch.tensor(6.0), 2 * x), at={"x": (4,)})
    assert report.verdict == "proved"
    assert not report.claims["x"].verdict.domain
    assert not any("was not judged" in note for note in report.notes)


@pytest.mark.parametrize(
    ("formula", "hand", "where"),
    [
        ("x**2", "where(x == 3.1, 7, 2*x)", "x is not 3.1"),  # no binary number is 31/10
        ("x**2", "where(x == -3.1, 7, 2*x)", "x is not -3.1"),
        ("x**2", "where(x**2 + x == 1, 7, 2*x)", "x**2 + x is not 1"),
        ("where(x == 3, 7, x**2)", "2*x", "x is not 3"),  # the formula jumps there
        (x**2, sp.Piecewise((7, sp.Eq(x, sp.Rational(1, 3))), (2 * x, True)), "x is not 0.333333"),
    ],
)
def test_what_was_met_at_no_point_is_outside_of_what_is_proved(formula, hand, where):
    report = verify(formula, hand)
    assert report.verdict == "proved"
    assert where in report.claims["x"].verdict.domain
    assert f"It holds where {where}." in str(report)


LABELS = {"x": (3,), "y": (3,), "m": 1.0}


@pytest.mark.parametrize("at", [LABELS, {**LABELS, "x": ("n",), "y": ("n",)}], ids=["three", "any number"])
def test_labels_are_looked_at_where_they_are_the_one_that_is_asked_for(at):
    """No derivative is for a label: it is equal to a number on as much of the domain as it is not."""
    formula = "sum(where(y == 1, (x - m)**2, 0))"
    assert verify(formula, "-2*sum(where(y == 1, x - m, 0))", wrt="m", at=at).verdict == "proved"
    wrong = verify(formula, "-3*sum(where(y == 1, x - m, 0))", wrt="m", at=at)
    assert wrong.verdict == "refuted"
    assert 1 in wrong.claims["m"].witness.point["y"]


def test_labels_of_two_kinds_are_looked_at_where_they_are_the_same():
    at = {"x": (3,), "y": (3,), "z": (3,), "m": 1.0}
    formula, hand = "sum(where(y == z, (x - m)**2, 3*m*x))", "sum(where(y == z, {}*(m - x), 3*x))"
    assert verify(formula, hand.format(2), wrt="m", at=at).verdict == "proved"
    assert verify(formula, hand.format(3), wrt="m", at=at).verdict == "refuted"
