"""Laws 6, 7 and 10: resolution is not agreement, NaN is not right, and points that are nobody's grid."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from trust.questions import Question, pair, slope

from symgrad import assert_gradient, verify

__all__ = ["questions"]

B, H, S, D = torch.bfloat16, torch.float16, torch.float32, torch.float64
_v = [0.75, -1.25, 2.5]

# ------------------------------------------------------------------------------------------------ law 6


def _numbers() -> Iterator[Question]:
    """Gradients as bare numbers in narrow dtypes: rounded once, and off by a quarter, half, or of the other sign."""
    functions = {
        "tanh": lambda x: torch.tanh(x).sum(),
        "exp": lambda x: torch.exp(x).sum(),
        "cube": lambda x: (x**3).sum(),
        "softmax": lambda x: torch.softmax(x, 0)[0],
        "product": lambda x: x.prod(),
        "norm": lambda x: x.norm(),
    }
    for name, f in functions.items():
        for dtype in (B, H, S):
            x = torch.tensor(_v, dtype=dtype)
            truth = slope(f, x.double())
            for factor in (1.5, -1.0) if dtype is not S else (1.01,):
                wrong = (truth * factor).to(dtype)
                ask = lambda f=f, x=x, w=wrong: verify(f, w, at={"x": x})  # noqa: E731
                yield Question(f"{name} in {dtype}, times {factor}", 6, "verify", ask, False)
            right = truth.to(dtype)
            yield Question(f"{name} in {dtype}", 6, "verify", lambda f=f, x=x, r=right: verify(f, r, at={"x": x}), True)


EDGES = (
    ("log near 0", lambda x: torch.log(x).sum(), 1e-30, lambda x: 1 / x),
    ("sqrt near 0", lambda x: torch.sqrt(x).sum(), 1e-30, lambda x: 0.5 / x**0.5),
    ("asin near 1", lambda x: torch.asin(x).sum(), 1 - 2.0**-40, lambda x: 1 / (1 - x * x) ** 0.5),
    ("atanh near -1", lambda x: torch.atanh(x).sum(), -1 + 2.0**-45, lambda x: 1 / (1 - x * x)),
    ("1/x near 0", lambda x: (1 / x).sum(), 2.0**-60, lambda x: -1 / (x * x)),
    ("log1p near -1", lambda x: torch.log1p(x).sum(), -1 + 2.0**-50, lambda x: 1 / (1 + x)),
)


def _edges() -> Iterator[Question]:
    for name, f, x, exact in EDGES:
        at = {"x": np.array([x])}
        value = np.array([exact(x)])
        yield from pair(6, name, f, value, np.array([7.0]), at=at)
        yield Question(f"{name}, twice", 6, "verify", lambda f=f, v=2 * value, at=at: verify(f, v, at=at), False)


# ------------------------------------------------------------------------------------------------ law 7

_zero = {"x": torch.tensor([0.0, 1.5], dtype=D)}
_singular = torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=D)
_inf = torch.tensor([-np.inf, 0.5, 1.0], dtype=D)
NANS = (
    ("x sqrt(x) at 0", lambda x: (x * torch.sqrt(x)).sum(), lambda x: 1.5 * torch.sqrt(x),
     lambda x: 1.5 * x / torch.sqrt(x), _zero),
    ("|x|**3 at 0", lambda x: (x.abs() ** 3).sum(), lambda x: 3 * x * x.abs(), lambda x: 3 * x**3 / x.abs(), _zero),
    ("x**2 at 0", lambda x: (x**2).sum(), lambda x: 2 * x, lambda x: 2 * x**2 / x, _zero),
    ("x**3 at 0, by logarithms", lambda x: (x**3).sum(), lambda x: 3 * x**2, lambda x: 3 * x**3 * (x / x**2), _zero),
    ("sinc at 0", lambda x: torch.sinc(x).sum(),
     lambda x: torch.where(x == 0, torch.zeros_like(x), (torch.cos(torch.pi * x) - torch.sinc(x)) / x),
     lambda x: (torch.cos(torch.pi * x) - torch.sinc(x)) / x, _zero),
    ("tanh at 0", lambda x: torch.tanh(x).sum(), lambda x: 1 - torch.tanh(x) ** 2,
     lambda x: (x - x * torch.tanh(x) ** 2) / x, _zero),
    ("x exp(-x) at 0", lambda x: (x * torch.exp(-x)).sum(), lambda x: (1 - x) * torch.exp(-x),
     lambda x: x * torch.exp(-x) * (1 / x - 1), _zero),
    ("prod at 0", lambda x: x.prod() * 1.0, lambda x: torch.stack([x[1], x[0]]), lambda x: x.prod() / x, _zero),
    ("i1 at 0", lambda x: torch.special.i1(x).sum(),
     lambda x: (torch.special.i0(x)
                - torch.where(x == 0, 0.5 + 0 * x, torch.special.i1(x) / torch.where(x == 0, 1.0, x))),
     lambda x: torch.special.i0(x) - torch.special.i1(x) / x, _zero),
)  # fmt: skip


def _guarded(f: Any, hand: Any, at: Any) -> Any:
    """What the test suites' guard says: the report, or a refutation."""
    try:
        return assert_gradient(f, hand, at=at)
    except AssertionError:
        return SimpleNamespace(verdict="refuted")


def _numbers_that_are_none() -> Iterator[Question]:
    nan, inf = float("nan"), float("inf")
    yield from pair(7, "tanh", lambda x: torch.tanh(x).sum(), None, np.array([nan, 1.0]), at=_zero)
    yield from pair(7, "exp", lambda x: torch.exp(x).sum(), None, np.array([inf, 1.0]), at=_zero)
    yield Question("det of a singular matrix", 7, "verify", lambda: verify(
        lambda x: torch.linalg.det(x), np.array([[4.0, -2.0], [-2.0, 1.0]]), at={"x": _singular}), True)  # fmt: skip
    yield Question("det of a singular matrix", 7, "verify", lambda: verify(
        lambda x: torch.linalg.det(x), np.zeros((2, 2)), at={"x": _singular}), False)  # fmt: skip
    yield from pair(
        7, "softmax beside -inf", lambda x, m: torch.softmax(x + m, 0)[1],
        lambda x, m: torch.softmax(x + m, 0)[1] * (torch.eye(3).to(x)[1] - torch.softmax(x + m, 0)),
        lambda x, m: torch.softmax(x + m, 0)[1] * (torch.eye(3).to(x)[1] + torch.softmax(x + m, 0)),
        wrt="x", at={"x": torch.tensor([0.5, 1.0, -0.25], dtype=D), "m": torch.tensor([-np.inf, 0.0, 0.0], dtype=D)},
    )  # fmt: skip


def _limits() -> Iterator[Question]:
    """Numbers where the derivative is written as 0/0, and numbers that are none; written before they were asked."""
    rows = (
        ("sinc", torch.sinc, [0.0, 0.5], lambda x: (np.cos(np.pi * x) - np.sinc(x)) / x, 0.0, 0.25),
        ("i1", torch.special.i1, [0.0, 0.5], None, 0.5, 1.0),
        ("expm1", lambda x: torch.expm1(x) + x**2, [0.0, 1.0], lambda x: np.exp(x) + 2 * x, 1.0, 0.0),
    )
    for name, f, x, slope_of, here, wrong in rows:
        at = {"x": torch.tensor(x, dtype=D)}
        y = at["x"][1:]
        there = slope(f, y).numpy()[0] if slope_of is None else slope_of(x[1])
        total = lambda x, f=f: f(x).sum()  # noqa: E731
        yield from pair(7, f"{name} at 0, numbers", total, np.array([here, there]), np.array([wrong, there]), at=at)
    whole = {"x": torch.tensor([2.0, 3.0], dtype=D)}
    yield from pair(7, "a number that is none", lambda x: (x**2).sum(), None, np.array([4.0, np.nan]), at=whole)
    yield from pair(
        7, "logcumsumexp after -inf", lambda x: torch.logcumsumexp(x, 0)[-1], lambda x: torch.softmax(x, 0),
        lambda x: torch.softmax(x, 0) / 2, at={"x": _inf},
    )  # fmt: skip
    half = torch.tensor([0.75, 1.5], dtype=H)
    square = slope(lambda x: (x**3).sum(), half.double())
    yield from pair(6, "x**3 in half", lambda x: (x**3).sum(), square.to(H), (1.5 * square).to(H), at={"x": half})


# ------------------------------------------------------------------------------------------------ law 10

GRID: tuple[tuple, ...] = (
    ("sin(2**40*pi*x)", "x**2 + sin(2**40*pi*x)/2**40", "2*x + pi*cos(2**40*pi*x)", "2*x + pi"),
    ("sin(2**40*pi*x), dropped", "sin(2**40*pi*x)", "2**40*pi*cos(2**40*pi*x)", "2**40*pi"),
    ("cos(2**50*pi*x)", "x*cos(2**50*pi*x)", "cos(2**50*pi*x) - 2**50*pi*x*sin(2**50*pi*x)", "1"),
    ("sin squared", "x + sin(2**44*pi*x)**2", "1 + 2**45*pi*sin(2**44*pi*x)*cos(2**44*pi*x)", "1"),
    ("the slope of a wave", "exp(x)", "exp(x)", "exp(x) + sin(2**40*pi*x)"),
    ("a wave in a cosine", "log(2 + cos(2**36*pi*x))", "-2**36*pi*sin(2**36*pi*x)/(2 + cos(2**36*pi*x))", "0"),
    ("a wave of y", "x*y", "y", "y + sin(2**40*pi*y)*x"),
    ("a wave beside a root", "sqrt(x)", "1/(2*sqrt(x))", "1/(2*sqrt(x)) + sin(2**42*pi*x)/8"),
    ("tan", "x**3", "3*x**2", "3*x**2 + tan(2**38*pi*x)"),
)


def _grid() -> Iterator[Question]:
    for name, f, right, wrong in GRID:
        yield from pair(10, name, f, right, wrong, wrt="x")
    wave = 2.0**40 * np.pi
    yield from pair(
        10, "a wave in code", lambda x: (x**2).sum(), lambda x: 2 * x, lambda x: 2 * x + torch.sin(wave * x) * 0.5,
        at={"x": (2,)},
    )  # fmt: skip
    yield from pair(
        10, "a number made whole", lambda x: (x**2).sum(), lambda x: 2 * x,
        lambda x: 2 * x + (x * 2.0**30 - torch.floor(x * 2.0**30)), at={"x": (2,)},
    )  # fmt: skip


def questions() -> Iterator[Question]:
    yield from _numbers()
    yield from _edges()
    for name, f, right, wrong, at in NANS:
        for hand, truth in ((right, True), (wrong, False)):
            yield Question(name, 7, "guard", lambda f=f, h=hand, at=at: _guarded(f, h, at), truth)
    yield from _numbers_that_are_none()
    yield from _limits()
    yield from _grid()
