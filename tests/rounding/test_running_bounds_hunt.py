"""No rounding bound is broken: small hunts of `bounds_fuzz`, and one over everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.bounds_fuzz import MODELS, Tally, draw, hunt, models, programs, truth_of

from symgrad.program.builder import Builder
from symgrad.rounding import kernel_bounds as kernel_errors
from symgrad.rounding.autograd_bounds import autograd_bounds
from symgrad.rounding.running_bounds import error_bounds


@pytest.mark.parametrize(("part", "share"), [("rows", 0.12), ("programs", 0.4), ("models", 0.12)])
def test_a_small_hunt_finds_no_broken_bound(part, share):
    tally = hunt(1, seed=7, part=part, share=share)
    assert tally.broken == []
    assert tally.entries > 300
    for ratios in tally.ratios.values():
        assert np.median(ratios) < 1e5  # and the bounds say something


@pytest.mark.hunt
@pytest.mark.parametrize("part", ["rows", "programs", "models"])
def test_a_hunt_over_everything_finds_no_broken_bound(part):
    assert hunt(3, seed=11, part=part).broken == []


def test_a_rule_that_forgets_its_own_rounding_is_found(monkeypatch):
    """Planted: a product that carries its arguments' errors and none of its own."""
    monkeypatch.setattr(kernel_errors, "multiply", lambda a, b, c: 0 * a.error + 0 * b.error)
    tally = Tally()
    programs(np.random.default_rng(0), tally, 10)
    assert tally.broken


# Each of these once had a bound that was broken, or none.
FOUND = ["gammas", "glu", "norm3", "vector_norm", "sinc", "std", "cdist", "cholesky", "det", "solve", "logcumsumexp",
         "median", "adaptive", "interpolate"]  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_models_whose_bounds_were_broken(name):
    tally = Tally()
    for seed in range(2):
        models(np.random.default_rng(seed), tally, [name])
    assert name in MODELS
    assert tally.broken == []
    assert tally.entries


@pytest.mark.parametrize(
    ("row", "dtype", "values"),
    [
        ("erf", "bfloat16", [3.08e-6, 1e-9, 1e-38]),  # a polynomial without digits near zero
        ("erf", "float16", [3e-6, 1e-7]),
        ("gelu", "float32", [-3.1622777, -3.0, -4.5]),
        ("cbrt", "float64", [1e-300, 3e-308, 1e300]),  # the power 0.333...
        ("airyai", "float64", [-1e100, -1e10]),  # once the middle of a ball that said nothing
        ("digamma", "float64", [1.5, 0.25]),
    ],
)
def test_rows_whose_bounds_were_broken(row, dtype, values):
    values = [*values, *[0.5] * (32 - len(values))]  # many enough for the vectorised kernels
    b = Builder()
    x = b.input("x", (32,), dtype)
    out = b.apply(row, x)
    program, at = b.build({"out": out}), {"x": torch.tensor(values, dtype=torch.float64).to(getattr(torch, dtype))}
    tally = Tally()
    tally.judge(row, dtype, error_bounds(program, at, [out])[out], truth_of(program, at, out))
    assert tally.broken == []


def test_batch_norm_subtracts_a_mean_that_is_rounded():
    """In bfloat16 the third mean, 1.00390625, becomes 1 before it is subtracted from numbers beside one."""
    x = torch.tensor(
        [[-1.0, 1.0078125, 0.98046875], [-1.0, 1.0078125, 0.9921875], [0.95703125, -0.9921875, 0.98828125],
         [-1.0234375, 1.015625, 1.0546875]], dtype=torch.bfloat16,
    )  # fmt: skip
    at = {"x": x, "w": torch.ones(3, dtype=torch.bfloat16)}
    found = autograd_bounds(lambda x, w: (F.batch_norm(x, None, None, training=True) * w).pow(3).sum(), at, ["w"])
    normed = F.batch_norm(x.double(), None, None, training=True)
    bound = found.gradients["w"]
    off = (bound.value.double() - 3 * normed.pow(3).sum(0)).abs()
    assert off[2] > 3
    assert (off <= bound.error).all()


def test_the_sign_of_zero_chooses_the_side_of_a_cut():
    b = Builder()
    y, x = b.input("y", (2,), "float32"), b.input("x", (2,), "float32")
    out = b.apply("atan2", y, x)
    at = {"y": torch.tensor([-0.0, 0.0]), "x": torch.tensor([-1.0, 1.0])}
    bound = error_bounds(b.build({"out": out}), at, [out])[out]
    assert bound.error[0] >= 2 * np.pi
    assert bound.error[1] < 1e-6


def test_points_are_of_the_kind_that_was_asked_for():
    rng = np.random.default_rng(1)
    tiny = torch.finfo(torch.float32).tiny
    assert (draw(rng, (99,), "float32", "subnormal").abs() < tiny).all()
    assert (draw(rng, (99,), "float32", "huge").abs() > 1e8).all()
    assert draw(rng, (2, 3), "bfloat16", "special").dtype is torch.bfloat16
