"""A float run beside the exact run of the same Program in balls: what the tests of rounding bounds share."""

from __future__ import annotations

import torch

from symgrad.evaluation.balls import Balls, binary
from symgrad.evaluation.floats import to_numpy
from symgrad.ops.row import precision
from symgrad.program.program import Program, interpret
from symgrad.rounding.accuracy import distance
from symgrad.rounding.running_bounds import error_bounds

DTYPES = ("float16", "bfloat16", "float32", "float64")


BITS = 400


def draw(shape: tuple[int, ...], dtype: str, seed: int, spread: float = 1.0) -> torch.Tensor:
    """Numbers of both signs over some orders of magnitude."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=g, dtype=torch.float64) * torch.exp(
        spread * torch.randn(shape, generator=g, dtype=torch.float64)
    )
    return x.to(getattr(torch, dtype))


def exact(program: Program, inputs: dict[str, torch.Tensor], step: int, bits: int = BITS):
    with precision(bits):
        return interpret(program, Balls(), {n: binary(to_numpy(x)) for n, x in inputs.items()}, [step])[step]


def check(program: Program, inputs: dict[str, torch.Tensor], step: int, bits: int = BITS) -> torch.Tensor:
    """Assert that the error of every entry of ``step`` is within its bound; return bound / error where both are."""
    bound = error_bounds(program, inputs, [step])[step]
    with precision(bits):
        low, high = distance(bound.value, exact(program, inputs, step, bits))
    assert not (low > bound.error).any(), (low / bound.error).max()
    normal = bound.value.abs() >= torch.finfo(bound.value.dtype).tiny
    seen = normal & (high > 0) & torch.isfinite(bound.error) & torch.isfinite(high)
    return (bound.error / high)[seen]
