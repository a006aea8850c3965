"""Laws 4, 5 and 9: shapes that nobody gave, data that was computed outside, and what was held fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import sympy as sp
import torch
from trust.questions import Question, pairs

from symgrad import Latex, compare, verify

__all__ = ["questions"]

# ------------------------------------------------------------------------------------------------ law 4

# wrong for arrays, and right for single numbers alone
ONE_NUMBER: tuple[tuple[str, object, object], ...] = (
    ("mean", lambda x: x.mean(), lambda x: torch.ones_like(x)),
    ("softmax", lambda x: torch.softmax(x, -1).sum() * x.sum(), lambda x: torch.softmax(x, -1)),
    ("logsumexp", lambda x: torch.logsumexp(x, -1), lambda x: torch.ones_like(x)),
    ("norm", lambda x: torch.linalg.norm(x), lambda x: torch.sign(x)),
    ("norm()", lambda x: x.norm() ** 2 * x.norm(), lambda x: 3 * x * x.abs()),
    ("numpy mean", lambda x: np.mean(x**2), lambda x: 2 * x),
    ("numpy norm", lambda x: np.linalg.norm(x), lambda x: np.sign(x)),
    ("max", lambda x: x.max() * 2, lambda x: 2 * torch.ones_like(x)),
    ("prod", lambda x: x.prod(), lambda x: torch.ones_like(x)),
    ("numpy prod", lambda x: np.prod(x) ** 2, lambda x: 2 * x),
    ("cumsum", lambda x: torch.cumsum(x, 0).sum(), lambda x: torch.ones_like(x)),
    ("var", lambda x: x.var(correction=0), lambda x: 0 * x),
    ("log_softmax", lambda x: torch.nn.functional.log_softmax(x, 0).sum(), lambda x: 0 * x),
    ("log det", Latex(r"\log\det X"), Latex(r"X^{-1}")),
    ("trace", Latex(r"\operatorname{tr}(X)^2"), Latex(r"2X")),
    ("residual", Latex(r"\|Xw - y\|^2"), Latex(r"2X(Xw-y)")),
    ("quadratic", Latex(r"x^\top A x"), Latex(r"2Ax")),
    (
        "bold",
        Latex(r"\mathbf{a}^\top \mathbf{x} \mathbf{x}^\top \mathbf{b}"),
        Latex(r"2\mathbf{a}\mathbf{b}\mathbf{x}"),
    ),
)
WRT = {"log det": "X", "trace": "X", "residual": "w", "quadratic": "x", "bold": "x"}
# the same functions with gradients that are right for all shapes
ARRAYS: tuple[tuple, ...] = (
    ("mean", lambda x: x.mean(), lambda x: torch.ones_like(x) / x.numel(), None),
    ("logsumexp", lambda x: torch.logsumexp(x, -1), lambda x: torch.softmax(x, -1), None),
    ("norm", lambda x: torch.linalg.norm(x), lambda x: x / torch.linalg.norm(x), None),
    ("softmax", lambda x: torch.softmax(x, -1).sum() * x.sum(), lambda x: torch.ones_like(x), None),
    ("prod", lambda x: x.prod(), lambda x: x.prod() / x, None),
    ("numpy mean", lambda x: np.mean(x**2), lambda x: 2 * x / np.size(x), None),
    ("sum of squares", lambda x: (x**2).sum(), lambda x: 2 * x, lambda x: x),
)


# ------------------------------------------------------------------------------------------------ law 5

_r = np.random.RandomState(3)
X, Y, V = _r.randn(5, 3), _r.randn(5), np.array([0.5, 0.2, -0.1])
XT, YT = torch.tensor(X), torch.tensor(Y)
G, C, MEAN, SCALE = X.T @ X, X.T @ Y, X.mean(axis=0), X.std(axis=0)
GT, CT = XT.T @ XT, XT.T @ YT
W2 = np.array([[0.3, -0.2], [0.1, 0.9]])
WEIGHTS = np.exp(Y) / np.exp(Y).sum()
INVERSE, ROOT = np.linalg.inv(G), np.sqrt(np.abs(Y))
G32, C32 = G.astype(np.float32), C.astype(np.float32)
P, Q = _r.rand(4), _r.rand(4)
N = float(len(Y))
at, att = {"w": V}, {"w": torch.tensor(V)}

DATA: tuple[tuple, ...] = (
    ("normal equations, inside", lambda w: 0.5 * np.sum((X @ w - Y) ** 2), lambda w: X.T @ X @ w - X.T @ Y,
     lambda w: X.T @ X @ w + X.T @ Y, at),
    ("normal equations, outside", lambda w: 0.5 * np.sum((X @ w - Y) ** 2), lambda w: G @ w - C,
     lambda w: G @ w - 2 * C, at),
    ("normal equations, torch", lambda w: 0.5 * ((XT @ w - YT) ** 2).sum(), lambda w: GT @ w - CT,
     lambda w: GT @ w, att),
    ("the mean of the data, inside", lambda w: (X @ w).mean(), lambda w: X.mean(axis=0), lambda w: X.sum(axis=0), at),
    ("the mean of the data, outside", lambda w: (X @ w).mean(), lambda w: MEAN, lambda w: 1.001 * MEAN, at),
    ("the mean of the data, torch", lambda w: (XT @ w).mean(), lambda w: XT.mean(0), lambda w: XT.mean(0) * 2, att),
    ("standardised", lambda w: np.sum(((X - X.mean(0)) / X.std(0)) @ w) + np.sum(w**2) + np.sum(X @ w),
     lambda w: ((X - MEAN) / SCALE).sum(0) + 2 * w + X.sum(0), lambda w: 2 * w, at),
    ("logistic", lambda w: np.sum(np.log(1 + np.exp(X @ w)) - Y * (X @ w)),
     lambda w: X.T @ (1 / (1 + np.exp(-X @ w))) - X.T @ Y, lambda w: X.T @ (1 / (1 + np.exp(-X @ w))) + X.T @ Y, at),
    ("logistic, outside", lambda w: np.sum(np.log(1 + np.exp(X @ w)) - Y * (X @ w)),
     lambda w: X.T @ (1 / (1 + np.exp(-X @ w))) - C, lambda w: X.T @ (1 / (1 + np.exp(-X @ w))) - 1.01 * C, at),
    ("weights outside", lambda w: np.sum(WEIGHTS * (X @ w)), lambda w: X.T @ WEIGHTS, lambda w: X.T @ Y, at),
    ("weights inside", lambda w: np.sum(np.exp(Y) / np.exp(Y).sum() * (X @ w)), lambda w: X.T @ WEIGHTS,
     lambda w: X.T @ (WEIGHTS / 2), at),
    ("an inverse outside", lambda w: w @ np.linalg.solve(G, w), lambda w: 2 * INVERSE @ w, lambda w: INVERSE @ w, at),
    ("roots of data", lambda w: np.sum((X @ w) * np.sqrt(np.abs(Y))), lambda w: X.T @ ROOT,
     lambda w: X.T @ (ROOT * ROOT), at),
    ("data in single", lambda w: 0.5 * w @ (G32 @ w) - C32 @ w, lambda w: G32 @ w - C32, lambda w: G32 @ w + C32,
     {"w": V.astype(np.float32)}),
    ("a ReLU mask times weights", lambda x: np.maximum(x @ W2, 0).sum(), lambda x: ((x @ W2 > 0) * 1.0) @ W2.T,
     lambda x: ((x @ W2 > 0) * 1.0) @ W2, {"x": np.array([[1.0, 2.0]])}),
    ("ridge", lambda w: np.mean((X @ w - Y) ** 2) + 0.1 * np.sum(w**2),
     lambda w: 2 * (G @ w - C) / N + 0.2 * w, lambda w: 2 * (G @ w - C) / N + 0.1 * w, at),
    ("data.dot(w)", lambda w: np.sum(X.dot(w)), lambda w: X.T @ np.ones(5), lambda w: X.T @ (2 * np.ones(5)), at),
    ("a quadratic of the data", lambda w: np.sum((X @ w) ** 2), lambda w: 2 * (X.T.dot(X)).dot(w),
     lambda w: (X.T.dot(X)).dot(w), at),
    ("a sum of the data", lambda w: (w * X).sum(), lambda w: X.sum(0), lambda w: X.mean(0), at),
    ("default arguments", lambda w: 0.5 * ((XT @ w - YT) ** 2).sum(), lambda w, A=GT, c=CT: A @ w - c,
     lambda w, A=GT, c=CT: A @ w + c, att),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ law 9


def _held() -> Iterator[Question]:
    """Data that are arguments: a gradient that is right for their values alone, in a way that no one would write."""
    x, two = np.array([1.0, 2.0]), np.array(2.0)
    rows: tuple[tuple[str, Callable, Callable, Callable, dict], ...] = (
        (
            "w x**2, at x = 1 and 2",
            lambda w, x: (w * x * x).sum(),
            lambda w, x: x * x,
            lambda w, x: 3 * x - 2,
            {"x": x},
        ),
        ("p**2, where p is 2", lambda w, p: w * p**2, lambda w, p: p**2, lambda w, p: 2 * p, {"p": two}),
        ("w c**3, where c is 2", lambda w, c: w * c**3, lambda w, c: c**3, lambda w, c: 8.0 + 0 * w, {"c": two}),
    )
    for name, f, right, wrong, data in rows:
        w = np.array([0.5, 0.75]) if np.ndim(next(iter(data.values()))) else np.array(0.5)
        yield Question(
            name, 9, "verify", lambda f=f, h=right, d=data, w=w: verify(f, h, wrt="w", at={"w": w, **d}), True
        )
        yield Question(
            name, 9, "verify", lambda f=f, h=wrong, d=data, w=w: _noted(verify(f, h, wrt="w", at={"w": w, **d})), True
        )


# right for all data, and for these alone: written before they were asked
COINCIDENCES: tuple[tuple, ...] = (
    ("w exp(k) at k = 0", lambda w, k: (w * np.exp(k)).sum(), lambda w, k: np.exp(k) + 0 * w,
     lambda w, k: 1 + k + 0 * w, {"k": np.array(0.0)}),
    ("the square of the sum", lambda w, x: (w * x).sum() ** 2, lambda w, x: 2 * (w * x).sum() * x,
     lambda w, x: 2 * (w * x).sum() * x**2 / 1.5, {"x": np.array([1.5, 1.5])}),
    ("a product for a sum", lambda w, p: w * (p + 2 * p), lambda w, p: 3 * p, lambda w, p: p**2 + 0.75 * p,
     {"p": np.array(2.25)}),
    ("a cube for a line", lambda w, x: (w * x**3).sum(), lambda w, x: x**3, lambda w, x: 13 * x - 12,
     {"x": np.array([1.0, 3.0])}),
)  # fmt: skip
NEW_DATA: tuple[tuple, ...] = (
    ("a whitened mean", lambda w: np.sum((X / X.std(0)) @ w), lambda w: (X / X.std(0)).sum(0),
     lambda w: X.sum(0) / SCALE**2, at),
    ("an outer product", lambda w: w @ np.outer(V, V) @ w, lambda w: 2 * np.outer(V, V) @ w,
     lambda w: np.outer(V, V) @ w, at),
    ("a dot of data", lambda w: np.dot(Y, Y) * np.sum(w**2), lambda w: 2 * np.dot(Y, Y) * w, lambda w: 2 * w * N, at),
    ("minus data", lambda w: np.sum(np.exp(-X @ w)), lambda w: -X.T @ np.exp(-X @ w), lambda w: X.T @ np.exp(-X @ w),
     at),
)  # fmt: skip


def _noted(report: object) -> bool:
    """Whether a report that accepts says that it is for these data only."""
    return not report.ok or any("only" in n or "for your" in n for n in report.notes)  # type: ignore[attr-defined]


def questions() -> Iterator[Question]:
    for name, f, hand in ONE_NUMBER:
        options = {"wrt": WRT[name]} if name in WRT else {}
        yield Question(f"{name} of no shape", 4, "verify", lambda f=f, h=hand, o=options: verify(f, h, **o), False)
    for row in ARRAYS:
        yield from pairs(4, [(f"{row[0]} of no shape", *row[1:])])
        yield from pairs(4, [(f"{row[0]} of two", *row[1:], {"x": np.array([0.5, 1.25])})])
        yield from pairs(4, [(f"{row[0]} of n", *row[1:], {"x": ("n",)})])
    A = sp.MatrixSymbol("A", 2, 2)
    yield Question("the trace of a matrix", 4, "verify", lambda: verify(sp.Trace(A), sp.eye(2), wrt="A"), True)
    yield from pairs(5, DATA)
    yield from pairs(5, NEW_DATA)
    yield from _held()
    for name, f, right, wrong, data in COINCIDENCES:
        w = np.array([0.5, 0.75]) if any(np.ndim(v) for v in data.values()) else np.array(0.5)
        for hand, truth in ((right, True), (wrong, False)):
            ask = lambda f=f, h=hand, d=data, w=w: verify(f, h, wrt="w", at={"w": w, **d})  # noqa: E731
            yield Question(name, 9, "verify", ask, truth)
    for name, f in (("sort", lambda x: torch.sort(x).values), ("flip", lambda x: x.flip(0)),
                    ("log_softmax", lambda x: torch.log_softmax(x, 0))):  # fmt: skip
        ask = lambda f=f: compare(f, lambda x: 1 * x)  # noqa: E731
        yield Question(f"{name} of no shape, compared", 4, "compare", ask, False)
