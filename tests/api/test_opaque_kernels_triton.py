"""Black boxes in Triton, run by its interpreter: each right, and wrong at the edge of a block, a mask or a stride."""

from __future__ import annotations

import os

import pytest
import torch

from symgrad import verify_function

os.environ.setdefault("TRITON_INTERPRET", "1")  # what it was imported with decides
triton = pytest.importorskip("triton", reason="these kernels are Triton's")
tl = pytest.importorskip("triton.language")
pytestmark = pytest.mark.slow
BLOCK = 16


@triton.jit
def _times(x, y, out, n, factor: tl.constexpr, B: tl.constexpr, TAIL: tl.constexpr):
    """factor * x * y, in blocks; with TAIL the last one is forgotten where it is not whole."""
    i = tl.program_id(0) * B + tl.arange(0, B)
    mask = (i < n // B * B) if TAIL else (i < n)
    product = factor * tl.load(x + i, mask=mask, other=0.0) * tl.load(y + i, mask=mask, other=0.0)
    tl.store(out + i, product, mask=mask)


def times(x, y, factor, tail):
    out = torch.zeros(x.shape, dtype=x.dtype)
    _times[(triton.cdiv(x.numel(), BLOCK),)](x, y, out, x.numel(), factor, BLOCK, tail)
    return out


def square(fault):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x = x if fault == "strides" else x.contiguous()
            ctx.save_for_backward(x)
            return times(x, x, 1, fault == "forward")

        @staticmethod
        def backward(ctx, v):
            return times(ctx.saved_tensors[0].contiguous(), v.contiguous(), 2, fault == "backward")

    return Square.apply


@triton.jit
def _softmax(x, out, n, stride, B: tl.constexpr, ZEROS: tl.constexpr, PLAIN: tl.constexpr):
    """A row in one block; ZEROS fills it up with zeros, which PLAIN does not take the largest entry off."""
    row, i = tl.program_id(0), tl.arange(0, B)
    v = tl.load(x + row * stride + i, mask=i < n, other=0.0 if ZEROS else -float("inf"))
    if not PLAIN:
        v = v - tl.max(v, 0)
    e = tl.exp(v)
    tl.store(out + row * n + i, e / tl.sum(e, 0), mask=i < n)


def softmax(fault):
    def run(x):
        x = x.detach() if fault == "strides" else x.detach().contiguous()
        (m, n), out = x.shape, torch.empty(x.shape, dtype=x.dtype)
        width = max(2, triton.next_power_of_2(n))
        _softmax[(m,)](x, out, n, x.stride(0), width, fault == "zeros", fault == "plain")
        return out

    return run


SQUARE = square, lambda x: x**2, ("n",)
SOFTMAX = softmax, lambda x: torch.softmax(x, -1), ("m", "n")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the interpreter's own, of what overflows
@pytest.mark.parametrize(
    ("kernel", "fault", "told"),
    [
        (SQUARE, None, ""),
        (SQUARE, "forward", "output: wrong where n is no multiple of 16, and nowhere else"),
        (SQUARE, "backward", "x: wrong where n is no multiple of 16, and nowhere else"),
        (SQUARE, "strides", "output: wrong with every other entry of a longer array"),
        (SOFTMAX, None, ""),
        (SOFTMAX, "zeros", "output: wrong where n is no multiple of"),
        (SOFTMAX, "plain", "output: wrong with values 64 times as large"),
        (SOFTMAX, "strides", "output: wrong with transposed strides"),
    ],
)
def test_a_kernel_of_triton_is_judged_beside_a_reference(kernel, fault, told):
    make, reference, shape = kernel
    report = verify_function(make(fault), reference=reference, at={"x": shape}, tile=BLOCK)
    assert report.verdict == ("refuted" if fault else "agrees"), report
    assert not fault or any(note.startswith(told) for note in report.notes), report
