"""Questions over all laws that were written down, with their truth, before any of them was asked."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from trust.questions import Question, pair, pairs, slope

from symgrad import Latex, verify, verify_function

__all__ = ["questions"]

X64 = torch.tensor([0.3, -0.7, 1.9], dtype=torch.float64)
ONE = {"x": torch.tensor(0.4, dtype=torch.float64)}
THREE = {"x": X64}


# ------------------------------------------------------------------------------------------------ surroundings


@functools.cache
def cached(x: torch.Tensor) -> torch.Tensor:
    return 3 * x**2


class Called:
    """An object that stands for a function, and says so."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.function(*args, **named)


def _surroundings() -> Iterator[Question]:
    cube = lambda x: (x**3).sum()  # noqa: E731
    yield from pair(1, "a cache around the hand formula", cube, cached, Called(lambda x: 3 * x), at=THREE)
    for truth, hand in ((True, lambda x: 3 * x**2), (False, lambda x: 3 * x)):
        yield Question("without gradients, in half by default", 1, "verify", lambda h=hand: _in_half(cube, h), truth)
        yield Question("a hook on all modules", 1, "verify", lambda t=truth: _hooked(t), truth)


def _in_half(f: Any, hand: Any) -> Any:
    torch.set_default_dtype(torch.float16)
    with torch.no_grad():
        return verify(f, hand, at=THREE)


def _hooked(right: bool) -> Any:
    """A hook doubles what each module gives, and so its gradient."""
    layer = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *given: 2 * given[2])
    try:
        return verify(lambda x: layer(x).sum(), lambda x: (1 + right) * layer.weight[0] + 0 * x, at=THREE)
    finally:
        handle.remove()


# ------------------------------------------------------------------------------------------------ the record


def overwritten(x):
    y = x.clone()
    y[0] = y[1]
    return (y**2).sum()


TABLE = np.arange(6.0).reshape(2, 3)
RECORDS = (
    (
        "an entry written over another", overwritten,
        lambda x: torch.stack([0 * x[0], 4 * x[1], 2 * x[2]]), lambda x: 2 * x, THREE,
    ),
    (
        "an ellipsis", lambda w: np.einsum("...i,i->...", TABLE, w).sum(), lambda w: TABLE.sum(0) + 0 * w,
        lambda w: TABLE.sum(1).mean() + 0 * w, {"w": np.array([0.2, 0.3, -0.4])},
    ),
    (
        "products with a zero among them", lambda x: torch.cumprod(x, 0).sum(),
        lambda x: torch.stack([1 + x[1] + x[1] * x[2], x[0] + x[0] * x[2], x[0] * x[1]]),
        lambda x: torch.stack([1 + x[1] + x[1] * x[2], 0 * x[0], x[0] * x[1]]),
        {"x": torch.tensor([2.0, 0.0, 3.0], dtype=torch.float64)},
    ),
    (
        "a root that is not taken", lambda x: torch.where(x > 0, torch.sqrt(x.abs()), x).sum(),
        lambda x: torch.where(x > 0, 0.5 / torch.sqrt(x.abs()), torch.ones_like(x)),
        lambda x: torch.where(x > 0, 0.5 / torch.sqrt(x.abs()), -torch.ones_like(x)), THREE,
    ),
    (
        "a rolled array", lambda x: (torch.roll(x, 1) * x**2).sum(),
        lambda x: 2 * x * torch.roll(x, 1) + torch.roll(x**2, -1),
        lambda x: 2 * x * torch.roll(x, 1) + torch.roll(x**2, 1), THREE,
    ),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ choices


def by_match(x):
    match int(x):
        case 4:
            return x * x
    return x**3


def by_match_hand(x):
    match int(x):
        case 4:
            return 2 * x
    return 3 * x**2


def by_else_of_a_loop(x):
    for k in range(3):
        if x < k:
            break
    else:
        return x**3
    return x * x


def largest_beyond(x):
    return (x * x).sum() if x.abs().max() > 50 else (x**3).sum()


def any_beyond(x):
    return (x * x).sum() if any(v > 30 for v in x.tolist()) else (x**3).sum()


CHOICES = (
    ("match", by_match, by_match_hand, lambda x: 3 * x**2, ONE),
    ("the else of a loop", by_else_of_a_loop, lambda x: 3 * x**2 if x >= 2 else 2 * x, lambda x: 2 * x, ONE),
    (
        "the largest of all", largest_beyond, lambda x: 2 * x if x.abs().max() > 50 else 3 * x**2,
        lambda x: 3 * x**2, THREE,
    ),
    (
        "any of a list", any_beyond, lambda x: 2 * x if any(v > 30 for v in x.tolist()) else 3 * x**2,
        lambda x: 3 * x**2, THREE,
    ),
    (
        "a dictionary of truths", lambda x: {True: x * x, False: x**3}[bool(x > 12)],
        lambda x: 2 * x if x > 12 else 3 * x**2, lambda x: 3 * x**2, ONE,
    ),
    (
        "an exponent", lambda x: x * x if math.frexp(float(x))[1] > 6 else x**3,
        lambda x: 2 * x if math.frexp(float(x))[1] > 6 else 3 * x**2, lambda x: 3 * x**2, ONE,
    ),
    (
        "one of some numbers", lambda x: x * x if round(float(x)) in (9, 13) else x**3,
        lambda x: 2 * x if round(float(x)) in (9, 13) else 3 * x**2,
        lambda x: 2 * x if round(float(x)) in (9,) else 3 * x**2, ONE,
    ),
    (
        "sorted by Python", lambda x, y: sorted([x, y])[0] * 1,
        lambda x, y: {"x": 1.0 * (x < y), "y": 1.0 * (x > y)}, lambda x, y: {"x": 1.0 + 0 * x, "y": 0 * y},
        {"x": torch.tensor(0.1, dtype=torch.float64), "y": torch.tensor(0.6, dtype=torch.float64)},
    ),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ data and floats

DRAWN = np.random.default_rng(8)
ROWS = DRAWN.normal(size=(5, 3))
SCALED = (ROWS - ROWS.mean(0)) / ROWS.std(0)
UNIT = F.normalize(torch.tensor(DRAWN.normal(size=(4, 3)), dtype=torch.float32))
W = {"w": np.array([0.2, 0.3, -0.4])}
DATA = (
    (
        "columns of one spread", lambda w: np.sum(SCALED**2 @ w),
        lambda w: (((ROWS - ROWS.mean(0)) / ROWS.std(0)) ** 2).sum(0) + 0 * w,
        lambda w: (((ROWS - ROWS.mean(0)) / ROWS.std(0)) ** 2).mean(0) + 0 * w, W,
    ),
    (
        "rows of length one", lambda w: torch.tanh(UNIT @ w).sum(), lambda w: UNIT.T @ (1 - torch.tanh(UNIT @ w) ** 2),
        lambda w: UNIT.T @ (1 - torch.tanh(UNIT @ w)), {"w": torch.tensor([0.2, 0.3, -0.4])},
    ),
)  # fmt: skip


def _floats() -> Iterator[Question]:
    at = {"x": np.array([1.5, 2.5])}
    value = 3 * at["x"] ** 2
    cube = lambda x: np.sum(x**3)  # noqa: E731
    yield from pair(
        6, "half: off by a quarter", cube, value.astype(np.float16), (1.25 * value).astype(np.float16), at=at
    )
    brain = lambda v: torch.tensor(v).to(torch.bfloat16)  # noqa: E731
    yield from pair(
        6, "bfloat16: off by a quarter", lambda x: (x**3).sum(), brain(value), brain(1.25 * value),
        at={"x": torch.tensor([1.5, 2.5], dtype=torch.float64)},
    )  # fmt: skip
    zero = {"x": torch.tensor([0.0, 0.5], dtype=torch.float64)}
    yield from pair(
        7, "sinc, at nought too", lambda x: torch.sinc(x).sum(), slope(torch.sinc, zero["x"]),
        slope(torch.sinc, zero["x"]) + torch.tensor([1.0, 0.0]), at=zero,
    )  # fmt: skip
    smooth = lambda x: torch.sqrt(x * x + 1e-6).sum()  # noqa: E731
    yield from pair(
        7, "a smoothed size at nought", smooth, lambda x: x / torch.sqrt(x * x + 1e-6), lambda x: x / x.abs(), at=zero
    )
    mask = torch.tensor([0.0, -torch.inf, 0.0], dtype=torch.float64)
    first = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    masked = lambda x: torch.log_softmax(x + mask, 0)[0]  # noqa: E731
    yield from pair(
        7, "masked by minus infinity", masked, lambda x: first - torch.softmax(x + mask, 0),
        lambda x: first - torch.softmax(x, 0), at=THREE,
    )  # fmt: skip
    waves = lambda x: x**2 + torch.sin(2**20 * math.pi * x)  # noqa: E731
    yield from pair(
        10, "waves that grids miss", waves, lambda x: 2 * x + 2**20 * math.pi * torch.cos(2**20 * math.pi * x),
        lambda x: 2 * x + 2**20 * math.pi, at=ONE,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ shapes, data held


def _shapes() -> Iterator[Question]:
    yield from pair(
        4, "a norm squared", Latex(r"\frac{1}{2}\|\mathbf{x}\|^2"), Latex(r"\mathbf{x}"), Latex(r"2\mathbf{x}"), wrt="x"
    )
    yield from pair(4, "a trace", Latex(r"\mathrm{tr}(X^\top X)"), Latex("2X"), Latex("X"), wrt="X")
    yield from pair(4, "logsumexp", "logsumexp(x)", "softmax(x)", "1", wrt="x")


def _held() -> Iterator[Question]:
    weights = torch.tensor([2.0, 2.0, 2.0], dtype=torch.float64)
    squared = lambda x, k: (x * k**2).sum()  # noqa: E731
    yield from pair(
        9, "an array of twos", squared, lambda x, k: k * k, lambda x, k: 2 * k, at={"x": X64, "k": weights}, wrt="x"
    )
    yield from pair(
        9, "two twos", lambda x, c: x * c**2, lambda x, c: c * c, lambda x, c: 2 * c, at={"x": 0.7, "c": 2.0}, wrt="x"
    )


# ------------------------------------------------------------------------------------------------ custom functions


class Largest(torch.autograd.Function):
    """The largest entry and its place, of which only the first has a gradient."""

    @staticmethod
    def forward(ctx, x):
        value, place = x.max(0)
        ctx.mark_non_differentiable(place)
        ctx.save_for_backward(x, place)
        return value, place

    @staticmethod
    def backward(ctx, g, _):
        x, place = ctx.saved_tensors
        return torch.zeros_like(x).scatter(0, place, g)


class LargestTwice(Largest):
    @staticmethod
    def backward(ctx, g, _):
        x, place = ctx.saved_tensors
        return torch.zeros_like(x).scatter(0, place, 2 * g)


class Squashed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * (1 - y * y)


class SquashedApart(Squashed):
    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * (1 - y.detach() * y.detach())


def _functions() -> Iterator[Question]:
    for truth, function in ((True, Largest), (False, LargestTwice)):
        ask = lambda f=function: verify_function(f, at=THREE)  # noqa: E731
        yield Question("a place beside the value", 8, "verify_function", ask, truth)
    for truth, function in ((True, Squashed), (False, SquashedApart)):
        ask = lambda f=function: verify_function(f, at=THREE, order=2)  # noqa: E731
        yield Question("an output that is saved, twice", 8, "verify_function", ask, truth)


# ------------------------------------------------------------------------------------------------ junk


async def later(x):
    return x


def one_by_one(x):
    yield x


JUNK: dict[str, dict[str, Any]] = {
    "a range": {"at": {"x": range(3)}},
    "bytes": {"wrt": b"x"},
    "an order in words": {"order": "2"},
    "half a condition": {"domain": "x <"},
    "a fraction of a seed": {"seed": 2.5},
    "a type": {"dtype": int},
    "a number assumed": {"assuming": 3},
    "a number's meaning": {"meanings": {"x": 1}},
    "an empty point": {"at": {}},
    "a complex point of text": {"at": {"x": "1+2j"}},
}


def _junk() -> Iterator[Question]:
    square = lambda x: (x * x).sum()  # noqa: E731
    for name, given in JUNK.items():
        ask = lambda g=given: verify(square, lambda x: 2 * x, **{"at": THREE, **g})  # noqa: E731
        yield Question(name, 11, "verify", ask, None)
    for name, f, hand in (
        ("a coroutine", later, lambda x: 1.0),
        ("a generator", one_by_one, lambda x: 1.0),
        ("a class for a function", Called, lambda x: 1.0),
        ("a hand that takes nothing", square, lambda: 1.0),
        ("a hand that gives a set", square, lambda x: {1.0, 2.0}),
    ):
        yield Question(name, 11, "verify", lambda f=f, h=hand: verify(f, h, at=THREE), None)


def questions() -> Iterator[Question]:
    yield from _surroundings()
    yield from pairs(2, RECORDS)
    yield from pairs(3, CHOICES)
    yield from _shapes()
    yield from pairs(5, DATA)
    yield from _floats()
    yield from _functions()
    yield from _held()
    yield from _junk()
