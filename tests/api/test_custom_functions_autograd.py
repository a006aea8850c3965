"""What autograd does with a backward: it sums it, keeps its real part, leaves cotangents out, and differentiates it."""

import pytest
import torch
from support.custom import Cube, Tanh

import symgrad
from symgrad.api.custom_functions import verify_function
from symgrad.errors import BadInput, WrongShape


def kinds(report):
    return {name: claim.kind for name, claim in report.claims.items()}


# ------------------------------------------------------------------------------------------------ what autograd takes


class Product(torch.autograd.Function):
    """Its gradients have the shape of the product."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y, g * x


def test_a_gradient_of_the_broadcast_shape_is_summed_as_autograd_sums_it():
    x = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=torch.float64)
    Product.apply(x, y).sum().backward()
    assert torch.equal(x.grad, y.sum(0))
    report = verify_function(Product, at={"x": x, "y": y})
    assert kinds(report) == {"x": "proved", "y": "proved"}
    assert "Backward's gradient for x has the shape [3, 2]: autograd sums it to [2], the shape of x." in report.notes
    # a hand formula beside a function is used as it is
    told = symgrad.verify(lambda x, y: (x * y).sum(), lambda x, y: y, at={"x": x, "y": y}, wrt="x")
    assert told.verdict == "refuted"


def test_a_gradient_that_autograd_does_not_sum():
    class Column(Cube):
        @staticmethod
        def backward(ctx, g):
            return (g * 3 * ctx.saved_tensors[0] ** 2)[:, None]

    with pytest.raises(WrongShape, match="autograd refuses it"):
        verify_function(Column, at={"x": (2,)})
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="invalid gradient"):
        Column.apply(x).sum().backward()


def test_the_real_part_for_a_real_argument():
    """y = (2 + 3i) w for real w: autograd keeps Re(conj(2 + 3i) v), and refuses a complex gradient."""

    class Turned(torch.autograd.Function):
        @staticmethod
        def forward(ctx, w):
            return w * (2 + 3j)

        @staticmethod
        def backward(ctx, g):
            return (g * (2 - 3j)).real

    class Kept(Turned):
        @staticmethod
        def backward(ctx, g):
            return g * (2 - 3j)

    report = verify_function(Turned, at={"w": (2,)})
    assert report.ok
    assert any("w is real and the output is complex: the gradient is the real part" in n for n in report.notes)
    report = verify_function(Kept, at={"w": (2,)})
    assert report.verdict == "refuted"
    assert any("autograd refuses it. Return its real part." in n for n in report.notes)


class TwoOutputs(torch.autograd.Function):
    """2 x and x**2, of which one may not be used."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return 2 * x, x * x

    @staticmethod
    def backward(ctx, ga, gb):
        (x,) = ctx.saved_tensors
        return (0 if ga is None else 2 * ga) + (0 if gb is None else 2 * gb * x)


class TwoOutputsThird(TwoOutputs):
    @staticmethod
    def backward(ctx, ga, gb):
        (x,) = ctx.saved_tensors
        return 3 * ga if gb is None else (0 if ga is None else 2 * ga) + 2 * gb * x


class TwoOutputsLoud(TwoOutputs):
    @staticmethod
    def backward(ctx, ga, gb):
        return 2 * ga + 2 * gb * ctx.saved_tensors[0]


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (TwoOutputs, {"x": "proved", "x (without ga)": "proved", "x (without gb)": "proved"}),
        (TwoOutputsThird, {"x": "proved", "x (without ga)": "proved", "x (without gb)": "refuted"}),
        (TwoOutputsLoud, {"x": "proved"}),
    ],
)
def test_cotangents_that_are_none(function, found):
    report = verify_function(function, at={"x": (2,)})
    assert kinds(report) == found
    loud = [n for n in report.notes if n.startswith("With None for")]
    assert len(loud) == (2 if function is TwoOutputsLoud else 0)


# ------------------------------------------------------------------------------------------------ the second order


class Detached(Tanh):
    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * (1 - y.detach() * y)


class UpstreamDetached(Tanh):
    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g.detach() * (1 - y * y)


class SavedOnTheWay(Tanh):
    """What forward saves is neither its argument nor its output: autograd takes it for a constant."""

    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(1 - y * y)
        return y

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (Tanh, set()),
        (Cube, set()),
        (Product, set()),
        (Detached, {"x (second order)"}),
        (UpstreamDetached, {"g (second order)"}),
        (SavedOnTheWay, {"x (second order)"}),
    ],
)
@pytest.mark.slow
def test_the_backward_of_the_backward(function, wrong):
    at = {"x": torch.tensor([0.5, -1.25], dtype=torch.float64)}
    if function is Product:
        at["y"] = torch.tensor([[0.25, 2.0]], dtype=torch.float64)
    leaves = tuple(x.clone().requires_grad_() for x in at.values())
    assert torch.autograd.gradgradcheck(function.apply, leaves, raise_exception=False) is (not wrong)
    report = verify_function(function, at=at, order=2)
    found = kinds(report)
    assert {n for n, kind in found.items() if kind == "refuted"} == wrong
    assert set(found.values()) <= {"proved", "refuted"}
    assert set(at) < set(found)  # the first order is judged beside it
    first = verify_function(function, at=at)
    assert first.verdict == "proved"
    assert "Only the first order was judged; order=2 judges the derivative of backward too." in first.notes


def test_once_differentiable_is_no_second_order():
    class Once(Tanh):
        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * (1 - y * y)

    assert verify_function(Once, at={"x": (2,)}).verdict == "proved"
    with pytest.raises(BadInput, match="marked with @once_differentiable"):
        verify_function(Once, at={"x": (2,)}, order=2)


def exponential(factor):
    """exp with a backward that is a Function of its own, whose backward has this factor on y's gradient."""

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v, y):
            ctx.save_for_backward(v, y)
            return v * y

        @staticmethod
        def backward(ctx, u):
            v, y = ctx.saved_tensors
            return u * y, u * v * factor(y)

    class Exponential(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, v):
            return Product.apply(v, *ctx.saved_tensors)

    return Exponential


@pytest.mark.parametrize(
    ("factor", "kinds"), [(torch.ones_like, {"proved"}), (torch.exp, {"proved", "refuted", "agrees"})]
)
def test_a_function_that_backward_calls_is_differentiated_as_it_says_itself(factor, kinds):
    report = verify_function(exponential(factor), at={"x": (4,)}, order=2)
    assert {c.kind for c in report.claims.values()} == kinds
    assert report.claims["x (second order)"].kind == ("proved" if factor is torch.ones_like else "refuted")
    assert any(n.startswith("Backward calls Product") for n in report.notes) == (factor is torch.exp)


class Strides(torch.autograd.Function):
    """Right where w lies row by row, and wrong where it is the transpose of what does."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return (x * w).sum(1)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g[:, None] * torch.as_strided(w, x.shape, x.stride()), g[:, None] * x


def test_arguments_lie_in_memory_as_they_are_given():
    x, w = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert {c.kind for c in verify_function(Strides, at={"x": x, "w": w}).claims.values()} == {"proved"}
    report = verify_function(Strides, at={"x": x, "w": w.t().contiguous().t()})
    assert {n: c.kind for n, c in report.claims.items()} == {"x": "refuted", "w": "proved"}
