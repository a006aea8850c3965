"""Where a right formula loses digits at one point: what kind of loss, judged by mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from symgrad import find_instabilities, lift
from symgrad.stability.detection import losing, ordinary, truth_of

one = lambda x: np.asarray(float(x))  # noqa: E731


def test_what_the_inputs_rounding_explains_is_no_loss():
    for text, x in (("log(x)", 1 + 1e-12), ("sin(x)", 1e22), ("acos(x)", 1 - 1e-14), ("x - 1", 1 + 1e-15)):
        program = lift(text)
        assert losing(program, {"x": one(x)}, program.output) is None, text


@pytest.mark.parametrize(
    ("text", "x", "kind"),
    [
        ("log(1 + exp(x))", 1000, "overflow"),
        ("log(1 + exp(x))", -40, "absorption"),
        ("1 - cos(x)", 1e-8, "cancellation"),
        ("log(sigmoid(x))", -800, "underflow"),
    ],
)
def test_how_digits_are_lost(text, x, kind):
    program = lift(text)
    found = losing(program, {"x": one(x)}, program.output)
    assert found is not None
    assert found.kind == kind


def test_the_truth_is_refined_until_it_is_known():
    program = lift("1 - tanh(x)**2")
    (truth,), bits = truth_of(program, {"x": one(300)}, program.output)
    with mpmath.workdps(600):
        assert abs(float(truth.mid()) / float(1 - mpmath.tanh(300) ** 2) - 1) < 1e-15
    assert bits > 320


def test_near_the_ends_of_the_range_nothing_is_ordinary():
    assert ordinary(1.0, torch.float32)
    assert not ordinary(1e38, torch.float32)
    assert not ordinary(1e-38, torch.float32)
    assert find_instabilities("(exp(x) - exp(-x))/2", domain={"x": (709, 711)}) == ()
