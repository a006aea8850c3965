"""What a float in the user's code stands for."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from symgrad.program.constants import array_meaning, meaning_of, recognise


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (0.1, sp.Rational(1, 10)),
        (1e30, sp.Integer(10) ** 30),
        (1e-8, sp.Rational(1, 10**8)),
        (2.5, sp.Rational(5, 2)),
        (-0.0, sp.Integer(0)),
        (1 / 3, sp.Rational(1, 3)),
        (math.pi, sp.pi),
        (-math.pi / 2, -sp.pi / 2),
        (math.sqrt(10), sp.sqrt(10)),
        (1 / math.sqrt(2 * math.pi), 1 / sp.sqrt(2 * sp.pi)),
        (math.sqrt(2 / math.pi), sp.sqrt(2) / sp.sqrt(sp.pi)),
        (math.log(10), sp.log(10)),
        (2 ** (1 / 3), sp.cbrt(2)),
    ],
)
def test_exact_meanings(value: float, exact: sp.Expr) -> None:
    found, radius = meaning_of(value)
    assert sp.simplify(found - exact) == 0
    assert radius is None


@pytest.mark.parametrize(
    ("value", "unit"),
    [(0.797885, Fraction(1, 10**6)), (1.41421356, Fraction(1, 10**8)), (0.0356774, Fraction(1, 10**7))],
)
def test_a_decimal_typed_with_six_digits_or_more_is_a_ball_of_half_its_last_digit(value: float, unit: Fraction) -> None:
    exact, radius = meaning_of(value)
    assert exact == sp.Rational(repr(value))
    assert radius == unit / 2


def test_a_double_that_nobody_typed_and_nobody_knows_is_a_ball_of_a_few_ulps() -> None:
    value = 0.7390851332151607  # cos(x) = x
    exact, radius = meaning_of(value)
    assert exact == sp.Rational(*value.as_integer_ratio())
    assert radius == 4 * Fraction(math.ulp(value))  # it may be the result of a few roundings


@pytest.mark.parametrize("n", [2, 3, 5, 6, 7, 10, 11, 13])
def test_a_root_that_was_rounded_twice_is_recognised(n: int) -> None:
    assert meaning_of(1 / math.sqrt(n)) == (1 / sp.sqrt(n), None)


def test_infinities_and_nan_stay_what_they_are() -> None:
    assert meaning_of(math.inf)[0] == sp.oo
    assert meaning_of(-math.inf)[0] == -sp.oo
    assert meaning_of(math.nan)[0] == sp.nan


@pytest.mark.slow
def test_random_doubles_are_recognised_as_nothing() -> None:
    random = np.random.default_rng(0)
    assert [x for x in random.uniform(-4, 4, 2000).tolist() if recognise(x) is not None] == []


def test_recognised_numbers_round_to_the_double() -> None:
    for value in (math.sqrt(3), math.pi * 7 / 4, 5 / 7, math.log(7), 3 / math.sqrt(math.pi)):
        found = recognise(value)
        assert found is not None
        assert float(sp.N(found, 40)) == value


def test_arrays_of_short_decimals_mean_their_decimals() -> None:
    tenths = array_meaning(np.array([0.1, 0.25, -3.0]))
    assert tenths.tolist() == [Fraction(1, 10), Fraction(1, 4), Fraction(-3)]
    assert array_meaning(np.array([0.1, 0.2], dtype=np.float32)).tolist() == [Fraction(1, 10), Fraction(1, 5)]


def test_other_arrays_are_data() -> None:
    assert array_meaning(np.array([0.1, 0.123456789])) is None
    assert array_meaning(np.random.default_rng(0).standard_normal(4)) is None
    assert array_meaning(np.array([0.5, 2.0])) is None  # its binary values are its decimals
