"""Loops that end by a tolerance: a gradient of what they tend to is told as that, and is none of the code as it stops.

The truth is mathematics: exp' = exp, and d sqrt(a) / da = 1 / (2 sqrt(a)); a fixed point z = tanh(a z + b) has the
slope s z / (1 - a s) with s = 1 - z**2, by the implicit function theorem.
"""

from __future__ import annotations

import math

import pytest
import torch

from symgrad import verify
from symgrad.checking.judge import judge
from symgrad.checking.verdicts import Refuted
from symgrad.problem.question import Asked, pose


def series(x):
    term, total, k = 1.0, 1.0, 0
    while abs(term) > 1e-8:
        k += 1
        term = term * x / k
        total = total + term
    return total


def newton(a):
    z = a
    while True:
        new = 0.5 * (z + a / z)
        if abs(new - z) < 1e-10:
            return new
        z = new


def newton_slope(a):
    return 1 / (2 * newton(a))


def fixed_point(a):
    z = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(200):
        new = torch.tanh(a * z + 0.3)
        if torch.abs(new - z) < 1e-6:
            break
        z = new
    return new


def fixed_slope(a):
    z = fixed_point(a)
    s = 1 - z**2
    return s * z / (1 - a * s)


def bisection(a):
    low, high = 0.0, 4.0
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        if middle * middle > a:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high) + 0 * a


def root_slope(a):
    return 0.5 / math.sqrt(a)


HALF = torch.tensor(0.5, dtype=torch.float64)
RIGHT = {
    "Newton's method": (newton, newton_slope, {"a": 2.0}),
    "a fixed point": (fixed_point, fixed_slope, {"a": HALF}),
    "a bisection": (bisection, root_slope, {"a": 2.0}),
}
WRONG = {
    "a series": (series, lambda x: math.exp(x) - 1e-5, {"x": 0.75}),
    "Newton's method": (newton, lambda a: newton_slope(a) * (1 + 1e-9), {"a": 2.0}),
    "a fixed point": (fixed_point, lambda a: fixed_slope(a) * 1.001, {"a": HALF}),
    "a bisection": (bisection, lambda a: 0.33 / math.sqrt(a), {"a": 2.0}),
}


def limit_of(model, hand, at):
    (verdict,) = judge(pose(model, hand, Asked(at=at))).verdicts.values()
    assert isinstance(verdict, Refuted)
    return verdict.limit


def test_a_gradient_of_the_limit_of_a_series_is_told_as_that():
    report = verify(series, lambda x: math.exp(x), at={"x": 0.75})
    text = " ".join(str(report).split())
    assert report.verdict == "refuted"
    assert report.repairs == ()
    assert "Right for the limit of the loop at line" in text
    assert "wrong for the code as it stops: your gradient for x is the derivative of what it tends to." in text
    assert "With each turn more, the derivative of the code is apart from yours by" in text
    assert "write its derivative as the backward of a torch.autograd.Function" in text


@pytest.mark.slow
@pytest.mark.parametrize("case", RIGHT.values(), ids=RIGHT)
def test_a_gradient_of_what_a_loop_tends_to_is_told_as_that(case):
    assert limit_of(*case) is not None


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_gradient_that_is_near_the_limits_is_not_taken_for_it(case):
    assert limit_of(*case) is None


@pytest.mark.slow
def test_a_bisections_result_hangs_on_comparisons_alone():
    text = " ".join(str(verify(bisection, root_slope, at={"a": 2.0})).split())
    assert "the result changes by 0.011, as yours says" in text
    assert "what changes it are comparisons (if middle * middle > a), and these have no slope" in text
    assert "the code's own derivative is 0" in text


@pytest.mark.slow
def test_the_gradient_of_the_turns_that_are_made_is_right():
    def hand(x):
        term, total, k = 1.0, 1.0, 0
        term_x, total_x = 0.0, 0.0
        while abs(term) > 1e-8:
            k += 1
            term_x = (term_x * x + term) / k
            term = term * x / k
            total, total_x = total + term, total_x + term_x
        return total_x

    assert verify(series, hand, at={"x": 0.75}).verdict in ("proved", "agrees")
