"""Functions that take or return several tensors at once: ``*xs``, and an operator's lists."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from symgrad import verify_function
from symgrad.errors import BadInput, WrongShape

AT = [torch.tensor([0.5, 2.0], dtype=torch.float64), torch.tensor([1.5, -1.0, 0.25], dtype=torch.float64)]


class SumOfSquares(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scale, *xs):
        ctx.save_for_backward(*xs)
        ctx.scale = scale
        return scale * sum((x**2).sum() for x in xs)

    @staticmethod
    def backward(ctx, grad_output):
        return None, *(2 * ctx.scale * grad_output * x for x in ctx.saved_tensors)


class ForgetsTheLast(SumOfSquares):
    @staticmethod
    def backward(ctx, grad_output):
        *first, last = ctx.saved_tensors
        return None, *(2 * ctx.scale * grad_output * x for x in first), ctx.scale * grad_output * last


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "at",
    [
        [3.0, *AT],
        pytest.param({"scale": 3.0, "xs": AT}, marks=SLOW),
        pytest.param({"scale": 3.0, "xs": [(2,), (3,)]}, marks=SLOW),
    ],
)
def test_the_arguments_of_a_star_are_judged_one_by_one(at):
    report = verify_function(SumOfSquares, at=at)
    assert {n: c.kind for n, c in report.claims.items()} == {"xs[0]": "proved", "xs[1]": "proved"}
    wrong = verify_function(ForgetsTheLast, at=at)
    assert {n: c.kind for n, c in wrong.claims.items() if "alone" not in n} == {"xs[0]": "proved", "xs[1]": "refuted"}
    assert not any("autograd itself fails" in note for r in (report, wrong) for note in r.notes)


def test_wrt_names_all_of_a_star_or_one_of_it():
    at = {"scale": 3.0, "xs": AT}
    assert list(verify_function(SumOfSquares, at=at, wrt="xs").claims) == ["xs[0]", "xs[1]"]
    assert list(verify_function(ForgetsTheLast, at=at, wrt="xs[0]").claims) == ["xs[0]"]


@torch.library.custom_op("symgrad_lists::joined", mutates_args=())
def joined(xs: list[Tensor], factor: float) -> Tensor:
    return factor * torch.cat(xs)


@torch.library.custom_op("symgrad_lists::parts", mutates_args=())
def parts(x: Tensor, lengths: list[int]) -> list[Tensor]:
    return [p.clone() for p in torch.split(x, lengths)]


@torch.library.custom_op("symgrad_lists::parts_and_sum", mutates_args=())
def parts_and_sum(x: Tensor, lengths: list[int]) -> tuple[list[Tensor], Tensor]:
    return [p.clone() for p in torch.split(x, lengths)], x.sum()


def keep(ctx, inputs, output):
    ctx.lengths = [len(x) for x in inputs[0]] if isinstance(inputs[0], list) else inputs[1]
    ctx.factor = inputs[1]


def joined_backward(ctx, grad_output):
    return torch.ops.symgrad_lists.parts(ctx.factor * grad_output, ctx.lengths), None


def parts_backward(ctx, grads):
    return torch.cat(grads), None


def parts_and_sum_backward(ctx, grads, grad_sum):
    return torch.cat(grads) + grad_sum, None


def test_the_lists_of_operators():
    joined.register_autograd(joined_backward, setup_context=keep)
    parts.register_autograd(parts_backward, setup_context=keep)
    parts_and_sum.register_autograd(parts_and_sum_backward, setup_context=keep)
    for op, at in [(joined, {"xs": [(2,), (4,)], "factor": 2.0}), (parts_and_sum, {"x": (5,), "lengths": [2, 3]})]:
        report = verify_function(op, at=at)
        assert report.verdict == "proved"
        assert not any("autograd itself fails" in note for note in report.notes)


@SLOW
def test_slips_in_lists_of_operators():
    joined.register_autograd(lambda ctx, g: (parts(g, ctx.lengths), None), setup_context=keep)
    report = verify_function(joined, at={"xs": AT, "factor": 2.0})
    assert {n: c.kind for n, c in report.claims.items() if "alone" not in n} == {"xs[0]": "refuted", "xs[1]": "refuted"}
    parts.register_autograd(lambda ctx, grads: (torch.cat(grads[::-1]), None), setup_context=keep)
    assert verify_function(parts, at={"x": (4,), "lengths": [2, 2]}).verdict == "refuted"
    parts_and_sum.register_autograd(lambda ctx, grads, _: (torch.cat(grads), None), setup_context=keep)
    assert verify_function(parts_and_sum, at={"x": (5,), "lengths": [2, 3]}).verdict == "refuted"


def test_a_backward_that_gives_another_number_of_gradients():
    joined.register_autograd(lambda ctx, g: (parts(g, ctx.lengths)[:1], None), setup_context=keep)
    with pytest.raises(WrongShape, match=r"returns 1 for a list of 2 tensors: xs\[0\], xs\[1\]"):
        verify_function(joined, at={"xs": AT, "factor": 2.0})
    with pytest.raises(BadInput, match=r"Pass a list, for \*xs holds several"):
        verify_function(SumOfSquares, at={"scale": 3.0, "xs": AT[0]})


class NamesItOutputs(torch.autograd.Function):
    """torch passes what ``setup_context`` is given in order, so that its parameters may have any names."""

    @staticmethod
    def forward(x):
        return x**3, 3 * x**2

    @staticmethod
    def setup_context(ctx, inputs, outputs):
        ctx.save_for_backward(*inputs, outputs[1])

    @staticmethod
    def backward(ctx, grad_output, grad_slope):
        x, slope = ctx.saved_tensors
        return grad_output * slope + 6 * x * grad_slope


def test_the_parameters_of_setup_context_have_any_names():
    assert verify_function(NamesItOutputs, at={"x": (3,)}).verdict == "proved"


class ReadsItsCotangent(torch.autograd.Function):
    """Its backward goes by NumPy, which reads the memory of the cotangent."""

    @staticmethod
    def forward(ctx, x):
        return torch.tensor(x.numpy().reshape(-1).copy())

    @staticmethod
    def backward(ctx, grad_output):
        return torch.tensor(grad_output.numpy().reshape(2, 2).copy())


def test_the_memory_of_a_cotangent_is_the_cotangents():
    assert verify_function(ReadsItsCotangent, at={"x": (2, 2)}).verdict == "proved"


class Product(torch.autograd.Function):
    """The right gradients, in the order of the other inputs."""

    @staticmethod
    def forward(ctx, u, v):
        ctx.save_for_backward(u, v)
        return torch.cos(u) * v**2

    @staticmethod
    def backward(ctx, g):
        u, v = ctx.saved_tensors
        grad_u = -g * torch.sin(u) * v**2
        grad_v = 2 * g * torch.cos(u) * v
        return grad_v, grad_u


def test_gradients_that_are_returned_in_another_order():
    report = verify_function(Product, at={"u": (2,), "v": (2,)})
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("return",)
    assert report.repairs[0].after == "return grad_u, grad_v"


class Bounded(torch.autograd.Function):
    """Scores that are bounded by ``c tanh(s/c)``, whose slope is 1 - (y/c)**2."""

    @staticmethod
    def forward(ctx, q, k, c):
        y = c * torch.tanh((q @ k.T) / c)
        weights = torch.softmax(y, -1)
        ctx.save_for_backward(q, k, y, weights)
        ctx.c = c
        return weights

    @staticmethod
    def backward(ctx, g):
        q, k, y, weights = ctx.saved_tensors
        dy = weights * (g - (g * weights).sum(-1, keepdim=True))
        slope = 1 - y**2
        ds = dy * slope
        return ds @ k, ds.T @ q, None


@pytest.mark.slow
def test_a_factor_of_a_parameter_is_missing_in_one_line():
    report = verify_function(Bounded, at={"q": (3, 2), "k": (3, 2), "c": 5.0})
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("slope",)
