"""What is said about a gradient's last digits."""

from __future__ import annotations

import math
import re

import pytest
import torch
from support.exact_runs import DTYPES, draw

from symgrad import lift
from symgrad.evaluation.balls import ball_of, binary
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.rounding.accuracy import condition, condition_floor, distance, rounding, sensitivity, ulps

SMALL, LARGE = torch.tensor(1e-7, dtype=torch.float64), torch.tensor(1e-3, dtype=torch.float64)


def test_condition_of_a_known_formula():
    """t = x^2 y has |t| + |x 2 x y| + |y x^2| = 4 |t|; log x near one is badly conditioned."""
    b = Builder()
    x, y = b.input("x", (3,)), b.input("y", (3,))
    t = b.mul(b.mul(x, x), y)
    at = {"x": draw((3,), "float64", 30), "y": draw((3,), "float64", 31)}
    assert torch.allclose(condition(b.build({"t": t}), at, t), 4 * (at["x"] ** 2 * at["y"]).abs(), rtol=1e-14)
    log = b.apply("log", x)
    near = {"x": torch.tensor([1 + 2.0**-30, 2.0, 0.5], dtype=torch.float64), "y": at["y"]}
    expected = near["x"].log().abs() + 1
    assert torch.allclose(condition(b.build({"l": log}), near, log), expected, rtol=1e-14)
    assert torch.allclose(condition(b.build({"l": log}), near, log, entries=[2]), expected[2:], rtol=1e-14)


def third(*sides: float, **more):
    with precision(300):
        truth = ball_of(1) / 3
        values = [torch.tensor(s, dtype=torch.float32) for s in sides]
        return rounding(values[0], truth, autograd=values[1] if len(values) > 1 else None, **more)


@pytest.mark.parametrize(
    ("sides", "more", "sentence"),
    [
        ((1 / 3, 1 / 3), {}, "both are the same to the last bit (at most 0.4 ulp)"),
        ((0.334, 0.334), {}, "both give the same, and have lost their digits (at most 2.3e4 ulp)"),
        (
            (1 / 3, 0.33333328),
            {"hand_bound": SMALL, "autograd_bound": SMALL},
            "both are within rounding; yours is closer to the truth (at most 0.4 ulp, autograd 1.7 ulp)",
        ),
        (
            (0.33333328, 1 / 3),
            {"hand_bound": SMALL, "autograd_bound": SMALL},
            "both are within rounding; autograd is closer to the truth (at most 0.4 ulp, yours 1.7 ulp)",
        ),
        (
            (1 / 3, 0.3334),
            {"hand_bound": SMALL, "autograd_bound": SMALL},
            "autograd is what differs: it is further from the truth than rounding can take it "
            "(at most 0.4 ulp, autograd 2237.4 ulp)",
        ),
        (
            (0.3334, 1 / 3),
            {"hand_bound": SMALL, "autograd_bound": SMALL},
            "yours is further from the truth than rounding can take it (at most 2237.4 ulp, autograd 0.4 ulp)",
        ),
        (
            (1 / 3, 0.334),
            {"hand_bound": SMALL, "autograd_bound": LARGE},
            "autograd loses its digits; yours keeps them (at most 0.4 ulp, autograd 2.3e4 ulp)",
        ),
        (
            (0.334, 1 / 3),
            {"hand_bound": LARGE, "autograd_bound": SMALL},
            "yours loses its digits; autograd keeps them (at most 0.4 ulp, yours 2.3e4 ulp)",
        ),
        ((1 / 3,), {"hand_bound": SMALL}, "within rounding; yours is off by at most 0.4 ulp"),
    ],
)
def test_sentences(sides, more, sentence):
    assert third(*sides, **more).sentence == sentence


def test_an_error_where_the_truth_is_zero_is_told_as_it_is():
    """In ulps of the smallest number 1e-17 would be 1e306 of them."""
    values = torch.tensor([1.0, 0.0, 6.5e-17], dtype=torch.float64)
    with precision(300):
        zero = binary([1.0, 0.0, 0.0])
        r = rounding(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), zero, autograd=values)
        assert r.sentence == (
            "both are right; yours is closer to the truth (at most 0.0 ulp, autograd 6.5e-17 where the truth is zero)"
        )
        assert r.autograd.lost == ()
        assert rounding(-values, -zero).sentence == "right; yours is off by at most 6.5e-17 where the truth is zero"


def test_what_nothing_tells_from_zero_is_not_called_wrong_and_not_called_zero():
    with precision(300):
        third = ball_of(1) / 3
        nothing = third - third
        assert float(nothing.abs_upper()) > 0
        at_zero, off = (rounding(torch.tensor(x, dtype=torch.float64), nothing) for x in (0.0, 1e-20))
        assert at_zero.sentence == "yours is exact"
        assert off.hand.at_zero[0] >= 1e-20
        assert float(nothing.abs_upper()) <= off.hand.at_zero[1] < 1e-80
        assert re.fullmatch(
            r"right; yours is off by at most 1.[01]e-20 where the truth is below \d.\de-9\d", off.sentence
        )


def test_what_a_rounding_holds():
    with precision(300):
        truth = binary([1.0, 2.0, 0.0])
        r = rounding(torch.tensor([1.0, 2.0 + 2.0**-20, 0.0]), truth, hand_bound=torch.full((3,), 1e-7).double())
    assert r.hand.largest == 4.0
    assert r.hand.median == 0.0
    assert r.hand.worst == (1,)
    assert r.hand.outside == ((1,),)
    assert r.hand.within is False
    assert r.who_is_closer == "alone"


def test_distance_is_exact_to_the_last_bit():
    values = torch.tensor([0.1, 1e-45, 3.0], dtype=torch.float32)
    with precision(300):
        low, high = distance(values, binary([0.1, 0.0, 3.0]))
    expected = (values.double() - torch.tensor([0.1, 0.0, 3.0], dtype=torch.float64)).abs()
    assert (low <= expected).all()
    assert (expected <= high).all()
    assert ((high - low) <= 1e-15 * expected).all()
    assert high[2] == 0


def test_distance_to_what_is_not_finite():
    with precision(100):
        low, high = distance(torch.tensor([math.nan, math.inf, 1.0]), binary([1.0, math.inf, math.nan]))
    assert low.tolist() == [0.0, 0.0, 0.0]
    assert high.tolist() == [math.inf, 0.0, math.inf]


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_ulp_is_the_gap_to_the_next_float(dtype):
    kind = getattr(torch, dtype)
    for x in (1.0, 1.5, 0.3, 100.0, torch.finfo(kind).tiny, torch.finfo(kind).tiny / 4):
        here = torch.tensor(x, dtype=kind)
        gap = (torch.nextafter(here, torch.tensor(math.inf, dtype=kind)) - here).double()
        assert ulps(gap, here.double(), dtype) == 1.0


PROGRAMS = {
    "a norm of rows": lambda x, y: (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-3) * y).sum(0),
    "attention": lambda x, y: torch.softmax(x @ y.T, 1) @ x,
    "what cancels": lambda x, y: (1 + x.square()).log() - 2 * x.abs().log() - y * 2.0**-20,
    "a saturated sigmoid": lambda x, y: 1 - torch.sigmoid(30 + x) + 0 * y,
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_floats_with_bounds_tell_no_more_of_the_condition_than_balls(name, dtype):
    at = {"x": draw((5, 4), dtype, 40, 3), "y": draw((5, 4), dtype, 41, 3)}
    program = lift(PROGRAMS[name], at=at)
    entries = [0, 3, math.prod(program.shape(program.output)) - 1]
    floor = condition_floor(program, at, program.output, entries)
    truth = condition(program, at, program.output, entries=entries)
    assert (floor <= truth).all()
    assert (floor >= (0.5 if name == "a saturated sigmoid" else 0.98) * truth).all()  # there floats keep few digits


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_sensitivity_of_an_entry_is_the_same_by_floats_and_by_balls(name, monkeypatch):
    at = {"x": draw((5, 4), "float64", 42, 3), "y": draw((5, 4), "float64", 43, 3)}
    program = lift(PROGRAMS[name], at=at)
    found = sensitivity(program, at, program.output, 2, "float64")
    monkeypatch.setattr("symgrad.rounding.accuracy._NEAR", -1.0)  # balls alone
    assert found == pytest.approx(sensitivity(program, at, program.output, 2, "float64"), rel=1e-3)
