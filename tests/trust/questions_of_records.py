"""Law 2: the record is what ran, at every door; and law 8: cotangents, broadcasting and second order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from trust.questions import Question, holds, pair, slope

from symgrad import lift, verify_function
from symgrad.evaluation.torch_code import call

__all__ = ["questions"]

# ------------------------------------------------------------------------------------------------ foreign operators

_LIBRARY = torch.library.Library("other", "DEF")
# what an operator of another namespace does under a name that aten has, and its slope
FOREIGN: dict[str, tuple[Callable, Callable, Callable]] = {
    "tanh": (lambda x: 2 * x, lambda x: 2 + 0 * x, lambda x: 1 - torch.tanh(x) ** 2),
    "exp": (lambda x: x**3, lambda x: 3 * x**2, lambda x: torch.exp(x)),
    "sigmoid": (lambda x: x * x, lambda x: 2 * x, lambda x: torch.sigmoid(x) * (1 - torch.sigmoid(x))),
    "relu": (lambda x: x * 3, lambda x: 3 + 0 * x, lambda x: (x > 0) * 1.0),
    "neg": (lambda x: x + 1, lambda x: 1 + 0 * x, lambda x: -1 + 0 * x),
    "detach": (lambda x: 5 * x, lambda x: 5 + 0 * x, lambda x: 0 * x),
    "sum": (lambda x: 0.5 * x, lambda x: 0.5 + 0 * x, lambda x: 1 + 0 * x),
    "clone": (lambda x: x**2 / 2, lambda x: x, lambda x: 1 + 0 * x),
}
for _name, (_does, _, _) in FOREIGN.items():
    _LIBRARY.define(f"{_name}(Tensor x) -> Tensor")
    _LIBRARY.impl(_name, _does, "CPU")


def _foreign() -> Iterator[Question]:
    at = {"x": np.array([0.75, 0.375])}
    for name, (does, right, wrong) in FOREIGN.items():
        operator = getattr(torch.ops.other, name)
        yield from pair(2, f"another library's {name}", lambda x, o=operator: o(x).sum(), right, wrong, at=at)
        for hand, truth in ((right, True), (wrong, False)):
            made = function(lambda x, o=operator: o(x), lambda x, g, h=hand: g * h(x))
            yield Question(f"another library's {name}", 2, "backward", lambda m=made: verify_function(m, at=at), truth)
        x = torch.tensor(at["x"])
        truth = slope(does, x).numpy()
        yield Question(
            f"another library's {name}", 2, "gradient",
            lambda o=operator, t=truth: _holds(o, at, t), True,
        )  # fmt: skip


def _holds(operator: Any, at: dict[str, Any], truth: np.ndarray) -> bool:
    return holds(lambda x: operator(x).sum(), at, truth)


def function(does: Callable, back: Callable) -> Any:
    """An autograd.Function of one tensor: ``does(x)``, and ``back(x, g)``."""

    class Made(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return does(x)

        @staticmethod
        def backward(ctx, g):
            return back(ctx.saved_tensors[0], g)

    return Made


# ------------------------------------------------------------------------------------------------ shared memory


def doubled_through_numpy(x):
    y = x.clone()
    n = y.detach().numpy()
    n *= 2.0
    return y


def filled_through_numpy(x):
    y = torch.zeros_like(x)
    y.numpy()[:] = x.numpy() ** 2
    return y


def squared_through_data(x):
    y = x.clone()
    y.data.mul_(3.0)
    return y


def entry_through_numpy(x):
    y = x * 1.0
    y.numpy()[0] = 7.0
    return y


def from_numpy_and_back(x):
    n = x.numpy().copy()
    y = torch.from_numpy(n)
    n *= 4.0
    return y


SHARED: tuple[tuple[str, Callable, Callable, Callable], ...] = (
    ("n = y.numpy(); n *= 2", doubled_through_numpy, lambda x, g: 2 * g, lambda x, g: g),
    ("y.numpy()[:] = x**2", filled_through_numpy, lambda x, g: 2 * g * x, lambda x, g: 0 * g),
    ("y.data.mul_(3)", squared_through_data, lambda x, g: 3 * g, lambda x, g: g),
    ("y.numpy()[0] = 7", entry_through_numpy, lambda x, g: g * torch.tensor([0.0, 1.0], dtype=x.dtype), lambda x, g: g),
    ("from_numpy, then written", from_numpy_and_back, lambda x, g: 4 * g, lambda x, g: g),
)


def _shared() -> Iterator[Question]:
    x = torch.tensor([0.25, -0.75], dtype=torch.float64)
    for name, does, right, wrong in SHARED:
        for back, truth in ((right, True), (wrong, False)):
            made = function(does, back)
            yield Question(name, 2, "backward", lambda m=made: verify_function(m, at={"x": x}), truth)
        value = does(x.clone()).numpy()
        yield Question(name, 2, "lift", lambda d=does, v=value: _lifted(d, x, v), True)


def _lifted(does: Callable, x: torch.Tensor, value: np.ndarray) -> bool:
    """Whether the Program that is handed out computes what the code does."""
    program = lift(does, at={"x": x})
    return bool(np.allclose(np.asarray(call(program, x=x)), value, rtol=1e-12))


# ------------------------------------------------------------------------------------------------ options

# a function, and how it reads if an option of it is overlooked; their slopes by autograd differ at the point
_V = torch.tensor([0.5, -0.25, 1.5, -2.0], dtype=torch.float64)
_M = torch.tensor([[0.5, -0.25, 1.5], [1.0, 2.0, -0.5]], dtype=torch.float64)
OPTIONS: tuple[tuple[str, Callable, Callable, torch.Tensor], ...] = (
    ("softplus(3, 0.2)", lambda x: F.softplus(x, 3.0, 0.2), lambda x: F.softplus(x, 3.0, 20.0), _V),
    ("softplus(1, 0.2)", lambda x: F.softplus(x, 1.0, 0.2), lambda x: F.softplus(x), _V),
    ("softplus(0.5)", lambda x: F.softplus(x, 0.5), lambda x: F.softplus(x), _V),
    ("softplus(x > 20)", lambda x: F.softplus(x), lambda x: F.softplus(-x), 16 * _V),
    ("softplus(5, 1)", lambda x: F.softplus(x, 5.0, 1.0), lambda x: F.softplus(x, 5.0), _V / 2),
    ("elu(0.5)", lambda x: F.elu(x, 0.5), lambda x: F.elu(x), _V),
    ("celu(0.5)", lambda x: F.celu(x, 0.5), lambda x: F.celu(x), _V),
    ("leaky_relu(0.3)", lambda x: F.leaky_relu(x, 0.3), lambda x: F.leaky_relu(x), _V),
    ("hardtanh(-2.5, 1)", lambda x: F.hardtanh(x, -2.5, 1.0), lambda x: F.hardtanh(x), _V),
    ("threshold(1, 7)", lambda x: F.threshold(x, 1.0, 7.0), lambda x: F.relu(x), _V),
    ("gelu(tanh)", lambda x: F.gelu(x, approximate="tanh"), lambda x: F.gelu(x), _V),
    ("smooth_l1(beta=0.3)", lambda x: F.smooth_l1_loss(x, 0 * x, beta=0.3), lambda x: F.smooth_l1_loss(x, 0 * x), _V),
    ("huber(delta=0.3)", lambda x: F.huber_loss(x, 0 * x, delta=0.3), lambda x: F.huber_loss(x, 0 * x), _V),
    ("hardshrink(1)", lambda x: F.hardshrink(x, 1.0), lambda x: F.hardshrink(x), 0.6 * _V + 0.3),
    ("softshrink(0.3)", lambda x: F.softshrink(x, 0.3), lambda x: F.softshrink(x), _V),
    ("logit(eps)", lambda x: torch.logit(x, 0.3), lambda x: torch.logit(x), torch.tensor([0.1, 0.5]).double()),
    ("clamp(min)", lambda x: x.clamp(min=0.0) * x, lambda x: x * x, _V),
    ("log_softmax(dim=0)", lambda x: F.log_softmax(x, 0)[0, 0], lambda x: F.log_softmax(x, 1)[0, 0], _M),
    ("glu(dim=0)", lambda x: F.glu(x, 0), lambda x: x[:1] * torch.sigmoid(x[:1]), _M),
    ("std(correction=0)", lambda x: x.std(correction=0), lambda x: x.std(), _V),
    ("var(correction=2)", lambda x: x.var(correction=2), lambda x: x.var(), _V),
    ("norm(3)", lambda x: x.norm(3), lambda x: x.norm(), _V),
    ("normalize(p=1)", lambda x: F.normalize(x, p=1)[:, 0], lambda x: F.normalize(x)[:, 0], _M),
    ("layer_norm(eps=1)", lambda x: F.layer_norm(x, (3,), eps=1.0)[:, 0], lambda x: F.layer_norm(x, (3,))[:, 0], _M),
    ("addmm(beta, alpha)", lambda x: torch.addmm(x, x, x.T @ x, beta=0.5, alpha=2.0),
     lambda x: torch.addmm(x, x, x.T @ x), _M),
    ("rrelu in evaluation", lambda x: F.rrelu(x, 0.1, 0.5, training=False), lambda x: F.leaky_relu(x, 0.1), _V),
    ("softmin", lambda x: F.softmin(x, 0) * x, lambda x: F.softmax(x, 0) * x, _V),
    ("add(alpha=3)", lambda x: torch.add(x, x * x, alpha=3), lambda x: x + x * x, _V),
    ("lerp", lambda x: torch.lerp(x, x * x, 0.25), lambda x: torch.lerp(x, x * x, 0.75), _V),
    ("nan_to_num", lambda x: torch.nan_to_num(x * x, 1.0, 2.0, 3.0) + x, lambda x: x * 2, _V),
    ("pairwise p=1", lambda x: F.pairwise_distance(x[:1], x[1:], p=1.0),
     lambda x: F.pairwise_distance(x[:1], x[1:]), _M),
    ("dropout in evaluation", lambda x: F.dropout(x, 0.5, training=False) ** 2, lambda x: 2 * x**2, _V),
    ("cross_entropy(label_smoothing)", lambda x: F.cross_entropy(x, torch.tensor([0, 2]), label_smoothing=0.25),
     lambda x: F.cross_entropy(x, torch.tensor([0, 2])), _M),
    ("cross_entropy(ignore_index)", lambda x: F.cross_entropy(x, torch.tensor([0, 2]), ignore_index=2),
     lambda x: F.cross_entropy(x, torch.tensor([0, 2])), _M),
    ("bce(pos_weight)", lambda x: F.binary_cross_entropy_with_logits(x, 0 * x + 0.5, pos_weight=torch.tensor(3.0)),
     lambda x: F.binary_cross_entropy_with_logits(x, 0 * x + 0.5), _V),
    ("kl_div(log_target)", lambda x: F.kl_div(x, torch.full_like(x, -1.0), log_target=True, reduction="sum"),
     lambda x: F.kl_div(x, torch.full_like(x, 0.25), reduction="sum") * 0.5, _V),
    ("div(rounding_mode)", lambda x: torch.div(x, 0.3, rounding_mode="floor") * x, lambda x: x / 0.3 * x, _V),
)  # fmt: skip


def _options() -> Iterator[Question]:
    for name, does, misread, x in OPTIONS:
        numbers = slope(does, x).numpy(), slope(misread, x).numpy()
        assert not np.allclose(*numbers, rtol=1e-6, equal_nan=True), name
        yield from pair(2, name, lambda x, d=does: d(x).sum(), *numbers, at={"x": x})


# ------------------------------------------------------------------------------------------------ attention


def _attention() -> Iterator[Question]:
    q = torch.tensor([[[0.5, -0.25], [1.0, 0.75], [0.25, -1.5]]], dtype=torch.float64)
    masked = torch.tensor([[True, False, False], [False, False, False], [True, True, False]])
    some = torch.tensor([[True, False, False], [True, True, False], [True, True, True]])
    ways = {
        "a fully masked row": {"attn_mask": masked},
        "a mask": {"attn_mask": some},
        "is_causal": {"is_causal": True},
        "a scale": {"scale": 0.5},
    }
    for name, options in ways.items():

        def does(q: torch.Tensor, options: Any = options) -> torch.Tensor:
            return (F.scaled_dot_product_attention(q, q * 0.5, q * q, **options) ** 2).sum()

        right = slope(does, q).numpy()
        wrong = slope(lambda q: (F.scaled_dot_product_attention(q, q * 0.5, q * q) ** 2).sum(), q).numpy()
        yield from pair(2, f"attention with {name}", does, right, wrong, at={"q": q})


def _complex() -> Iterator[Question]:
    x = torch.tensor([[1.5, 0.25], [0.5, 2.0]], dtype=torch.float64)
    turn = torch.tensor([[0.0, 0.5], [0.25, 0.0]], dtype=torch.float64)

    def factor(x: torch.Tensor) -> torch.Tensor:
        return torch.tril(torch.complex(x, turn * x))

    rows: dict[str, tuple[Callable, Callable]] = {
        "cholesky_inverse": (
            lambda x: torch.cholesky_inverse(factor(x)).real.sum(),
            lambda x: torch.linalg.inv(factor(x) @ factor(x).T).real.sum(),
        ),
        "cholesky_inverse, upper": (
            lambda x: torch.cholesky_inverse(factor(x).mH.contiguous(), upper=True).real.sum(),
            lambda x: torch.linalg.inv(factor(x) @ factor(x).T).real.sum(),
        ),
        "mH": (lambda x: (factor(x).mH @ factor(x)).real.sum(), lambda x: (factor(x).T @ factor(x)).real.sum()),
        "vdot": (
            lambda x: torch.vdot(factor(x)[1], factor(x)[0] + 1j * factor(x)[1]).imag,
            lambda x: torch.dot(factor(x)[1], factor(x)[0] + 1j * factor(x)[1]).imag,
        ),
    }
    for name, (does, misread) in rows.items():
        right, wrong = slope(does, x).numpy(), slope(misread, x).numpy()
        assert not np.allclose(right, wrong), name
        yield from pair(2, f"complex {name}", does, right, wrong, at={"x": x})


# ------------------------------------------------------------------------------------------------ law 8


class Product(torch.autograd.Function):
    """Its gradients have the broadcast shape; autograd sums them."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y, g * x


class HalfProduct(Product):
    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y / 2, g * x


class Unused(torch.autograd.Function):
    """Two outputs, of which one may not be used."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return 2 * x, x * x

    @staticmethod
    def backward(ctx, ga, gb):
        if gb is None:
            return 2 * ga
        if ga is None:
            return 2 * gb * ctx.saved_tensors[0]
        return 2 * ga + 2 * gb * ctx.saved_tensors[0]


class UnusedWrong(Unused):
    @staticmethod
    def backward(ctx, ga, gb):
        if gb is None:
            return 3 * ga
        if ga is None:
            return 2 * gb * ctx.saved_tensors[0]
        return 2 * ga + 2 * gb * ctx.saved_tensors[0]


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


class SquareDetached(Square):
    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0].detach()


class SquareData(Square):
    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0].data


class SquareNoGrad(Square):
    @staticmethod
    def backward(ctx, g):
        with torch.no_grad():
            slope = 2 * ctx.saved_tensors[0]
        return g * slope


class Scale(torch.autograd.Function):
    """A number for each column: its gradient is summed by autograd over the rows."""

    @staticmethod
    def forward(ctx, x, s):
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx, g):
        x, s = ctx.saved_tensors
        return g * s, g * x


class ScaleMean(Scale):
    @staticmethod
    def backward(ctx, g):
        x, s = ctx.saved_tensors
        return g * s, (g * x).mean(0)


def _orders() -> Iterator[Question]:
    """Written before they were asked; gradgradcheck says the same of the first four."""
    at = {"x": torch.tensor([0.5, -1.5], dtype=torch.float64)}
    for made, truth in ((Square, True), (SquareDetached, False), (SquareData, False), (SquareNoGrad, False)):
        yield Question(
            f"{made.__name__}, twice", 8, "backward", lambda m=made: verify_function(m, at=at, order=2), truth
        )
        yield Question(f"{made.__name__}, once", 8, "backward", lambda m=made: verify_function(m, at=at), True)
    shapes = {"x": (4, 2), "s": (2,)}
    for made, truth in ((Scale, True), (ScaleMean, False)):
        yield Question(made.__name__, 8, "backward", lambda m=made: verify_function(m, at=shapes), truth)


def _second_order() -> Iterator[Question]:
    yield from _orders()
    shapes = {"x": (2,), "y": (3, 2)}
    yield Question(
        "a gradient of the broadcast shape", 8, "backward", lambda: verify_function(Product, at=shapes), True
    )
    yield Question(
        "a gradient of the broadcast shape", 8, "backward", lambda: verify_function(HalfProduct, at=shapes), False
    )
    for made, truth in ((Unused, True), (UnusedWrong, False)):
        yield Question("a cotangent of None", 8, "backward", lambda m=made: verify_function(m, at={"x": (2,)}), truth)
    x = np.array([0.5, -1.25])
    rows: tuple[tuple[str, Callable, Callable, Callable], ...] = (
        ("x**3", lambda x: (x**3).sum(), lambda x: torch.diag(6 * x), lambda x: torch.diag(3 * x)),
        ("a product", lambda x: x[0] ** 2 * x[1],
         lambda x: torch.stack([torch.stack([2 * x[1], 2 * x[0]]), torch.stack([2 * x[0], 0 * x[0]])]),
         lambda x: torch.stack([torch.stack([2 * x[1], x[0]]), torch.stack([x[0], 0 * x[0]])])),
        ("exp", lambda x: torch.exp(x).sum(), lambda x: torch.diag(torch.exp(x)),
         lambda x: torch.exp(x) * torch.ones(2, 2)),
        ("quadratic", lambda x: (x @ x) ** 2, lambda x: 4 * (x @ x) * torch.eye(2).to(x) + 8 * torch.outer(x, x),
         lambda x: 4 * (x @ x) * torch.eye(2).to(x) + 4 * torch.outer(x, x)),
    )  # fmt: skip
    for name, f, right, wrong in rows:
        yield from pair(8, f"the Hessian of {name}", f, right, wrong, at={"x": x}, order=2)
    z = np.array([0.5 + 1.0j, -0.25 + 0.5j])
    complexes: tuple[tuple[str, Callable, Callable, Callable], ...] = (
        ("|z|^2", lambda z: (z * z.conj()).real.sum(), lambda z: 2 * z, lambda z: 2 * z.conj()),
        ("Re z^2", lambda z: (z * z).real.sum(), lambda z: 2 * z.conj(), lambda z: 2 * z),
        ("Im z", lambda z: z.imag.sum(), lambda z: 1j * torch.ones_like(z), lambda z: -1j * torch.ones_like(z)),
    )
    for name, f, right, wrong in complexes:
        yield from pair(8, name, f, right, wrong, at={"z": z})


def questions() -> Iterator[Question]:
    yield from _foreign()
    yield from _shared()
    yield from _options()
    yield from _attention()
    yield from _complex()
    yield from _second_order()
