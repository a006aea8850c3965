"""Numbers that a function is given beside its tensors, and tensors that require no gradient."""

import torch

from symgrad.api.custom_functions import verify_function

ALPHA = 0.3


class LowRank(torch.autograd.Function):
    """x W^T + s x A^T B^T, with W frozen."""

    @staticmethod
    def forward(ctx, x, W, A, B, s):
        ctx.save_for_backward(x, W, A, B)
        ctx.s = s
        return x @ W.t() + s * (x @ A.t()) @ B.t()

    @staticmethod
    def backward(ctx, dy):
        x, W, A, B = ctx.saved_tensors
        dx = dy @ W + ctx.s * (dy @ B) @ A
        dA = ctx.s * (dy @ B).t() @ x
        dB = ctx.s * dy.t() @ (x @ A.t())
        return dx, None, dA, dB, None


class Unscaled(LowRank):
    @staticmethod
    def backward(ctx, dy):
        x, W, A, B = ctx.saved_tensors
        dx = dy @ W + ctx.s * (dy @ B) @ A
        dA = ctx.s * (dy @ B).t() @ x
        dB = dy.t() @ (x @ A.t())
        return dx, None, dA, dB, None


class WrittenHalf(LowRank):
    @staticmethod
    def backward(ctx, dy):
        x, W, A, B = ctx.saved_tensors
        dx = dy @ W + ctx.s * (dy @ B) @ A
        dA = ctx.s * (dy @ B).t() @ x
        dB = 0.5 * dy.t() @ (x @ A.t())
        return dx, None, dA, dB, None


def asked(function, **other):
    torch.manual_seed(0)
    at = {"x": torch.randn(3, 4), "W": torch.randn(5, 4), "A": torch.randn(2, 4), "B": torch.randn(5, 2), "s": 0.5}
    for n in "xAB":
        at[n].requires_grad_()
    return verify_function(function, at=at, **other)


def test_none_is_no_claim_about_a_tensor_that_requires_no_gradient():
    report = asked(LowRank)
    assert {n: c.kind for n, c in report.claims.items()} == dict.fromkeys("xAB", "proved")
    assert any("W requires no gradient, and backward gives None for it" in n for n in report.notes)


def test_none_is_zero_where_the_gradient_is_asked_for():
    assert asked(LowRank, wrt="W").verdict == "refuted"


def test_what_is_right_for_the_number_that_was_passed_alone_says_so():
    report = asked(WrittenHalf)
    assert report.claims["B"].verdict.only == "s"
    assert str(report).startswith("Right for your s only: your gradient for B is the derivative there")


def test_a_repair_has_the_factor_by_its_name_and_is_right_for_all_its_values():
    """1/2 is its value; it would be right for that alone."""
    (repair,) = asked(Unscaled).repairs
    assert (repair.before, repair.after) == ("dy.t() @ (x @ A.t())", "(dy.t() @ (x @ A.t())) * ctx.s")
    assert repair.proved


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return ALPHA * x**2

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 0.6 * dy * x


def test_so_does_what_is_right_for_a_number_that_forward_reads_by_a_name():
    assert verify_function(Scaled, at={"x": (3,)}).claims["x"].verdict.only == "ALPHA"


class Rotary(torch.autograd.Function):
    """Pairs turned by angles that grow with the position."""

    @staticmethod
    def forward(ctx, x, base):
        half = x.shape[-1] // 2
        angle = torch.arange(x.shape[0])[:, None] * base ** (-torch.arange(half) / half)
        cos, sin = angle.cos(), angle.sin()
        ctx.save_for_backward(cos, sin)
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    @staticmethod
    def backward(ctx, dy):
        cos, sin = ctx.saved_tensors
        da, db = dy.chunk(2, dim=-1)
        return torch.cat([da * cos - db * sin, db * cos + da * sin], -1), None


def test_a_table_that_is_made_on_the_way_is_as_wide_as_the_rest_while_a_repair_is_sought():
    """Whole numbers divided by one another are float32 by default: 1e-8 from what they stand for."""
    report = verify_function(Rotary, at={"x": (3, 4), "base": 100.0})
    assert report.verdict == "refuted"
    assert report.repairs
    assert all(r.proved for r in report.repairs)
