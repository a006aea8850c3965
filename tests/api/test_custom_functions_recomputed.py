"""Functions that let autograd differentiate inside of backward: checkpoints, and losses that are taken in chunks."""

from __future__ import annotations

import pytest
import torch

from symgrad.api.custom_functions import verify_function
from symgrad.errors import BadInput


def block(x, w):
    return torch.softmax(torch.tanh(x @ w), -1) * x.sum()


class Checkpoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return block(x, w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            w = w.detach().requires_grad_()
            y = block(x, w)
        return torch.autograd.grad(y, (x, w), g)


class ByGrad(Checkpoint):
    """As torch.utils.checkpoint does it: backward(), and what it leaves in .grad."""

    @staticmethod
    def backward(ctx, g):
        inputs = [t.detach().requires_grad_(True) for t in ctx.saved_tensors]
        with torch.enable_grad():
            y = block(*inputs)
        torch.autograd.backward(y, g)
        return tuple(i.grad for i in inputs)


class ByNames(Checkpoint):
    @staticmethod
    def backward(ctx, g):
        x, w = (t.detach().requires_grad_() for t in ctx.saved_tensors)
        with torch.enable_grad():
            y = block(x, w)
        y.backward(g)
        return x.grad, w.grad


class Twice(Checkpoint):
    @staticmethod
    def backward(ctx, g):
        gx, gw = Checkpoint.backward(ctx, g)
        return gx, 2 * gw


class Chunks(torch.autograd.Function):
    """The gradient is taken in forward, row by row, and scaled in backward."""

    @staticmethod
    def forward(ctx, x, w):
        total, grads = torch.zeros((), dtype=x.dtype), []
        for row in x:
            with torch.enable_grad():
                row = row.detach().requires_grad_()
                loss = torch.logsumexp(row @ w, 0)
            grads.append(torch.autograd.grad(loss, row)[0])
            total = total + loss.detach()
        ctx.save_for_backward(torch.stack(grads))
        return total

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (Checkpoint, {"x": True, "w": True}),
        (ByGrad, {"x": True, "w": True}),
        (ByNames, {"x": True, "w": True}),
        (Twice, {"x": True, "w": False}),
        (Chunks, {"x": True, "w": False}),
    ],
)
@pytest.mark.slow
def test_what_autograd_computes_in_a_backward_is_judged_as_any_other_code(function, kinds):
    report = verify_function(function, at={"x": (2, 2), "w": (2, 2)}, points=8)
    assert {n: c.kind in ("proved", "agrees") for n, c in report.claims.items()} == kinds


def in_blocks(how_much, block=8):
    """The sum of squares of whole blocks; the backward fills the first ``how_much`` entries, all if None."""

    class Blocks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            assert len(x) % block == 0
            ctx.save_for_backward(x)
            return sum((x[k : k + block] ** 2).sum() for k in range(0, len(x), block))

        @staticmethod
        def backward(ctx, v):
            (x,) = ctx.saved_tensors
            found = torch.zeros_like(x)
            for k in range(0, len(x) if how_much is None else how_much, block):
                found[k : k + block] = 2 * v * x[k : k + block]
            return found

    return Blocks


def test_code_that_runs_at_multiples_of_a_block_only_is_judged_at_these():
    report = verify_function(in_blocks(None), at={"x": ("n",)})
    told = " ".join(str(report).split())
    assert told.startswith("Right, and proved for all n that are a multiple of 8: your gradient for x is")
    assert (
        "Proved for all n that are a multiple of 8 alone: the code fails at n = 17. At n = 32 it was looked at" in told
    )
    assert verify_function(in_blocks(16), at={"x": ("n",)}).verdict == "refuted"


class RowsOfFour(torch.autograd.Function):
    """A number for each four entries."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.view(-1, 4).pow(2).sum(1)

    @staticmethod
    def backward(ctx, v):
        (x,) = ctx.saved_tensors
        return (2 * x.view(-1, 4) * v[:, None]).view(-1)


@pytest.mark.parametrize(
    ("shape", "told"), [("n", "all n that are a multiple of 4"), ("4*k", "all k"), ("8*k", "all k"), ("n=8", "")]
)
def test_whole_blocks_are_proved_for_all_numbers_of_them(shape, told):
    report = verify_function(RowsOfFour, at={"x": (shape,)})
    assert report.verdict == "proved"
    assert "∂f/∂x[i,j]" not in str(report)  # it has one index
    assert f"proved{f' for {told}' if told else ''}" in str(report)


@pytest.mark.parametrize("shape", ["k**2 + 1", "0*k", "k*4"])
def test_a_length_is_a_number_a_name_or_whole_blocks(shape):
    with pytest.raises(BadInput, match="is neither a number nor the name of a size"):
        verify_function(RowsOfFour, at={"x": (shape,)})


class TwoLoops(torch.autograd.Function):
    """A product of matrices in blocks of four rows: the gradient of w is added up in the same blocks."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.cat([part @ w for part in x.split(4)])

    @staticmethod
    def backward(ctx, v):
        x, w = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.zeros_like(w)
        for part, v_part, out in zip(x.split(4), v.split(4), dx.split(4), strict=True):
            out.copy_(v_part @ w.T)
            dw += part.T @ v_part
        return dx, dw


@pytest.mark.slow
def test_claims_that_hold_for_different_sizes_are_told_one_by_one():
    """Of memory that was not filled nothing is left in the gradient: it is no obstacle to a proof."""
    report = verify_function(TwoLoops, at={"x": ("n", 2), "w": (2, "k")})
    assert {c.kind for c in report.claims.values()} == {"proved"}
    told = report.claims["x"].verdict.for_all
    assert (told.sizes, dict(told.at)) == (("n",), {"k": 3})
    assert "x for all n at k = 3" in str(report).split("\n\n")[0]
