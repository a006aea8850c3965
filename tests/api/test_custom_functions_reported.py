"""Custom functions as they were reported: a narrow dtype, defaults, sizes with names, memory filled by address."""

from __future__ import annotations

import ctypes

import pytest
import torch

from symgrad import verify_function
from symgrad.errors import LostValue

CUSTOM = torch.autograd.Function


class Square(CUSTOM):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


class Doubled(Square):
    @staticmethod
    def backward(ctx, g):
        return 4 * g * ctx.saved_tensors[0]


@pytest.mark.parametrize(("function", "verdict"), [(Square, "proved"), (Doubled, "refuted")])
def test_bfloat16_is_no_reason_to_say_that_autograd_differs(function, verdict):
    report = verify_function(function, at={"x": torch.tensor([1.5, 2.0], dtype=torch.bfloat16)})
    assert report.verdict == verdict
    assert not any("autograd" in note for note in report.notes)


@pytest.mark.parametrize(("function", "verdict"), [(Square, "proved"), (Doubled, "refuted")])
def test_a_named_size_asks_about_all_of_them(function, verdict):
    report = verify_function(function, at={"x": ("n",)})
    assert report.verdict == verdict
    assert ("proved for all n" in str(report)) is (verdict == "proved")


class ByAddress(Square):
    """Written as Triton's kernels write: into memory, past torch."""

    @staticmethod
    def forward(ctx, x):
        y, n = torch.empty_like(x), x.numel()
        ctx.save_for_backward(x)
        read, write = ((ctypes.c_double * n).from_address(t.data_ptr()) for t in (x, y))
        for i in range(n):
            write[i] = read[i] ** 2
        return y


def test_memory_that_is_filled_past_torch_is_asked_to_be_judged_as_a_black_box():
    at = {"x": torch.tensor([0.3, 0.2], dtype=torch.float64)}
    with pytest.raises(LostValue, match="made empty was filled in a way that cannot be followed") as error:
        verify_function(ByAddress, at=at)
    assert "reference=" in str(error.value)


def test_a_nan_that_the_code_writes_is_no_empty_memory():
    """It is picked away, or stays NaN on both sides."""

    class Masked(Square):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.where(x > 0, x * x, torch.full_like(x, torch.nan)).nan_to_num() + 0 * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return torch.where(x > 0, 2 * g * x, 0)

    report = verify_function(Masked, at={"x": torch.tensor([0.3, -0.2], dtype=torch.float64)})
    assert report.verdict in ("proved", "agrees")
