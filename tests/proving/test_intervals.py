"""Ranges of values and their signs, judged at random points in floats."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad import lift
from symgrad.evaluation.floats import Floats
from symgrad.program.primitives import primitive
from symgrad.program.program import interpret
from symgrad.proving.intervals import Range, Ranges

VALUES = st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 40.0])


ENDS = st.sampled_from(
    [Fraction(-2), Fraction(-1), Fraction(-1, 3), Fraction(0), Fraction(1, 2), Fraction(1), math.inf, -math.inf]
)


@st.composite
def ranges_and_members(draw):
    """An interval, and a number that lies in it."""
    low, high = sorted((draw(ENDS), draw(ENDS)))
    low, high = min(low, Fraction(5)), max(high, Fraction(-5))
    if low == high:
        return Range(low, high), low
    share = draw(st.fractions(0, 1))
    a = high - 10 if low == -math.inf and high != math.inf else Fraction(-7) if low == -math.inf else low
    b = a + 10 if high == math.inf else high
    member = a + (b - a) * share
    is_open = lambda end: abs(end) == math.inf or (end != member and draw(st.booleans()))  # noqa: E731
    return Range(low, high, is_open(low), is_open(high)), member


def holds(r: Range, x: Fraction) -> bool:
    above = x > r.low or (x == r.low and not r.low_open)
    return above and (x < r.high or (x == r.high and not r.high_open))


@settings(max_examples=600)
@given(ranges_and_members(), ranges_and_members(), st.integers(1, 5))
@pytest.mark.slow
def test_arithmetic_of_ranges_holds_the_arithmetic_of_members(first, second, n):
    (r, x), (s, y) = first, second
    assert holds(r, x)
    assert holds(s, y)
    assert holds(r + s, x + y)
    assert holds(-r, -x)
    assert holds(r * s, x * y)
    assert holds(r | s, x)
    assert holds(r | s, y)
    assert holds(r.squared(), x * x)
    assert holds(r.power(n), x**n)
    assert holds(r.times(0, n), 0)
    assert holds(r.times(n, n), n * x)
    if x:
        assert holds(r.inverse(), 1 / x)


FORMULAS = [
    "1 - tanh(x)**2",
    "sigmoid(x)*(1 - sigmoid(x))",
    "exp(-x**2) - 1",
    "log(1 + exp(x))",
    "sqrt(1 + x**2) - 1",
    "abs(x) - y**2",
    "1/(2 + sin(x))",
    "1/(1 + abs(x*y))",
    "atan(x)*erf(y)",
    "exp(x)/(exp(x) + exp(y))",
    "x**3/(1 + x**4)",
    "cosh(x) - 1",
    "1 - cos(x)",
    "log(sigmoid(x))",
    "tanh(abs(x))/2",
    "-exp(y) - x**4",
    "sqrt(abs(x))*sqrt(abs(y))",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_every_value_lies_in_the_range_of_its_step(text):
    program = lift(text)
    steps, place = primitive(program, [program.output])
    ranges = Ranges(steps)
    generator = np.random.default_rng(0)
    for scale in (0.01, 1.0, 8.0):
        for x, y in generator.normal(0, scale, (40, 2)):
            given = {n: torch.tensor(v, dtype=torch.float64) for n, v in (("x", x), ("y", y)) if n in program.inputs}
            values = interpret(program, Floats(), given, place)
            for i, made in place.items():
                value, slack = values[i].item(), 1e-12  # the value is rounded, its range is not
                assert ranges[made].low - slack <= value <= ranges[made].high + slack, f"step {i}"


KNOWN_SIGNS = {
    "1 - tanh(x)**2": "positive",
    "sigmoid(x)*(1 - sigmoid(x))": "positive",
    "log(1 + exp(x))": "positive",
    "1/(2 + sin(x))": "positive",
    "cosh(x)": "positive",
    "exp(-x**2) - 1": "not positive",
    "log(sigmoid(x))": "negative",
    "1 - cos(x)": "not negative",
    "sqrt(1 + x**2) - 1": "not negative",
    "x": None,
    "x**3": None,
    "tanh(x)": None,
    "1 - x**2": None,
    "sinh(x)": None,
    "exp(x) - 1": None,
    "x*y": None,
}


@pytest.mark.parametrize("text", KNOWN_SIGNS)
def test_signs_are_known_where_they_are_so_and_only_there(text):
    program = lift(text)
    steps, place = primitive(program, [program.output])
    r = Ranges(steps)[place[program.output]]
    told = {
        "positive": r.is_positive,
        "negative": (-r).is_positive,
        "not negative": r.is_not_negative and not r.is_positive,
        "not positive": (-r).is_not_negative and not (-r).is_positive,
        None: not (r.is_not_negative or (-r).is_not_negative),
    }
    assert [sign for sign, so in told.items() if so] == [KNOWN_SIGNS[text]]


def test_what_is_known_of_a_step_narrows_all_that_is_made_of_it():
    program = lift("abs(x) - x*(-x)/8")
    steps, place = primitive(program, [program.output, program.inputs["x"]])
    wide, low, high = Ranges(steps), Fraction(-5), Fraction(-4)
    narrow = Ranges(steps, known={place[program.inputs["x"]]: Range(low, high, True, True)})
    at = [ranges[place[program.output]] for ranges in (wide, narrow)]
    assert [(r.low, r.high) for r in at] == [(0, float("inf")), (6, Fraction(65, 8))]


@pytest.mark.parametrize(
    "model", [lambda x: (x * x).sum(), lambda x: (x**2).sum(), lambda x: x @ x, lambda x: torch.dot(x, x)]
)
def test_sums_of_squares_are_not_negative_in_every_form(model):
    program = lift(model, at={"x": (3,)})
    steps, place = primitive(program, [program.output])
    assert Ranges(steps)[place[program.output]].is_not_negative


def test_a_product_of_different_vectors_may_be_negative():
    program = lift(lambda x, y: x @ y, at={"x": (3,), "y": (3,)})
    steps, place = primitive(program, [program.output])
    assert not Ranges(steps)[place[program.output]].is_not_negative


@pytest.mark.parametrize(
    ("model", "positive"),
    [
        (lambda x: torch.exp(x).sum(1, keepdim=True), True),
        (lambda x: torch.exp(x).sum(), True),
        (lambda x: torch.zeros(5, dtype=x.dtype).index_add(0, torch.tensor([0, 1, 3]), torch.exp(x[:, 0])), False),
    ],
)
def test_a_sum_of_what_is_positive_is_positive_where_there_is_a_term(model, positive):
    program = lift(model, at={"x": np.zeros((3, 2))})
    steps, place = primitive(program, [program.output])
    assert Ranges(steps)[place[program.output]].is_positive == positive


@pytest.mark.parametrize(
    ("model", "is_known"),
    [
        (lambda X: torch.linalg.det(X.T @ X), True),
        (lambda X: torch.linalg.det(X @ X.T), True),
        (lambda X: torch.linalg.det(X @ X), False),
        (lambda X: torch.linalg.det(X.T @ torch.flip(X, (0,))), False),
    ],
)
def test_the_determinant_of_a_gram_matrix_is_not_negative(model, is_known):
    program = lift(model, at={"X": (3, 3)})
    steps, place = primitive(program, [program.output])
    found = Ranges(steps)[place[program.output]]
    assert found.is_not_negative == is_known
    assert not found.is_positive  # X may be singular
