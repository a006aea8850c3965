"""Right gradients that are proved at concrete sizes, by every kind of proof: what the checker is fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from symgrad import verify
from symgrad.report.report import Report

T, F = torch, torch.nn.functional


@dataclass(frozen=True)
class Question:
    """A formula, its right gradient, and what else the question says."""

    name: str
    formula: Any
    hand: Any
    said: Mapping[str, Any] = field(default_factory=dict)

    def ask(self) -> Report:
        return verify(self.formula, self.hand, points=8, **self.said)


_TEXTS = """
x**3*y -> 3*x**2*y
1/(1 + exp(-x)) -> exp(-x)/(1 + exp(-x))**2
tanh(w*x) -> w*(1 - tanh(w*x)**2)
(exp(x) - exp(-x))/(exp(x) + exp(-x)) -> 1 - tanh(x)**2
log(1 + exp(x)) -> 1 - 1/(1 + exp(x))
x*log(x) - x -> log(x)
sqrt(x**2 + y**2) -> x/sqrt(x**2 + y**2)
log(x + sqrt(x**2 + 1)) -> 1/sqrt(x**2 + 1)
sin(x)**2 -> sin(2*x)
sin(x)*cos(y) + cos(x)*sin(y) -> cos(x + y)
log(tan(x/2)) -> 1/sin(x)
x**y -> y*x**(y - 1)
x**x -> x**x*(log(x) + 1)
abs(x)**3 -> 3*x*abs(x)
x*asin(x) + sqrt(1 - x**2) -> asin(x)
sin(2*asin(x)) -> (2 - 4*x**2)/sqrt(1 - x**2)
x*atan(x) - log(1 + x**2)/2 -> atan(x)
x*erf(x) + exp(-x**2)/sqrt(pi) -> erf(x)
exp(2*atanh(x)) -> 2/(1 - x)**2
(a + b*x)**(1/3) -> b/(3*(a + b*x)**(2/3))
log(log(x)) -> 1/(x*log(x))
x*Si(x) + cos(x) -> Si(x)
LambertW(x) -> LambertW(x)/(x*(1 + LambertW(x)))
sqrt(x)/(1 + sqrt(x)) -> 1/(2*sqrt(x)*(1 + sqrt(x))**2)
"""


def _rnn(w, u, v, h, xs):
    for x in xs:
        h = T.tanh(w * h + u * x)
    return v * h


def _rnn_by_hand(w, u, v, h, xs):
    hs = [h]
    for x in xs:
        hs.append(T.tanh(w * hs[-1] + u * x))
    dw = du = 0
    dh = v
    for t in reversed(range(len(xs))):
        dz = dh * (1 - hs[t + 1] ** 2)
        dw = dw + dz * hs[t]
        du = du + dz * xs[t]
        dh = dz * w
    return {"w": dw, "u": du, "v": hs[-1]}


def _net(W, b, w, X, y):
    return ((T.sigmoid(X @ W + b) @ w - y) ** 2).mean()


def _net_by_hand(W, b, w, X, y):
    h = T.sigmoid(X @ W + b)
    d = 2 * (h @ w - y) / len(y)
    dz = d[:, None] * w * h * (1 - h)
    return {"W": X.T @ dz, "b": dz.sum(0), "w": h.T @ d}


def _cross_entropy(W, X, Y):
    return -(Y * F.log_softmax(X @ W, 1)).sum()


def _cross_entropy_by_hand(W, X, Y):
    p = T.softmax(X @ W, 1)
    return X.T @ (p * Y.sum(1, keepdim=True) - Y)


def _layer_norm(x, g):
    z = x - x.mean()
    return (g * z / T.sqrt((z * z).mean() + 1)).sum()


def _layer_norm_by_hand(x, g):
    n = len(x)
    z = x - x.mean()
    s = T.sqrt((z * z).mean() + 1)
    d = g / s
    return {"x": d - d.mean() - z * (d * z).sum() / (n * s * s), "g": z / s}


def _attention(q, K, V):
    return (T.softmax(K @ q, 0) @ V).sum()


def _attention_by_hand(q, K, V):
    p = T.softmax(K @ q, 0)
    v = V.sum(1)
    return K.T @ (p * (v - p @ v))


_Z = T.tensor([1.0 + 2.0j, 0.5 - 1.0j], dtype=T.complex128)

_CODE: tuple[tuple[str, Callable, Callable, Mapping[str, Any]], ...] = (
    (
        "recurrence",
        _rnn,
        _rnn_by_hand,
        {"wrt": ("w", "u", "v"), "at": {"w": (), "u": (), "v": (), "h": (), "xs": (4,)}},
    ),
    (
        "net",
        _net,
        _net_by_hand,
        {"wrt": ("W", "b", "w"), "at": {"W": (3, 2), "b": (2,), "w": (2,), "X": (4, 3), "y": (4,)}},
    ),
    (
        "cross-entropy",
        _cross_entropy,
        _cross_entropy_by_hand,
        {"wrt": "W", "at": {"W": (2, 3), "X": (2, 2), "Y": (2, 3)}},
    ),
    ("layer norm", _layer_norm, _layer_norm_by_hand, {"wrt": ("x", "g"), "at": {"x": (3,), "g": (3,)}}),
    ("attention", _attention, _attention_by_hand, {"wrt": "q", "at": {"q": (2,), "K": (3, 2), "V": (3, 2)}}),
    ("softplus", lambda x: F.softplus(x).sum(), lambda x: T.sigmoid(x), {"at": {"x": (3,)}}),
    ("silu", lambda x: F.silu(x).sum(), lambda x: T.sigmoid(x) * (1 + x * T.sigmoid(-x)), {"at": {"x": (2,)}}),
    (
        "gelu",
        lambda x: F.gelu(x).sum(),
        lambda x: T.special.ndtr(x) + x * T.exp(-(x**2) / 2) / (2 * T.pi) ** 0.5,
        {"at": {"x": (2,)}},
    ),
    ("log-sum-exp", lambda x: T.logsumexp(x, 0), lambda x: T.softmax(x, 0), {"at": {"x": (3,)}}),
    ("relu", lambda x: T.relu(x).sum(), lambda x: (x > 0) * 1.0, {"at": {"x": (2,)}}),
    (
        "quadratic form",
        lambda x, A: x @ A @ x,
        lambda x, A: (A + A.T) @ x,
        {"wrt": "x", "at": {"x": (3,), "A": (3, 3)}},
    ),
    ("determinant", lambda X: T.linalg.det(X), lambda X: T.linalg.det(X) * T.linalg.inv(X).T, {"at": {"X": (3, 3)}}),
    (
        "detached",
        lambda x: (T.softmax(x, 0).detach() * T.sin(x) * x.detach()).sum(),
        lambda x: x * T.softmax(x, 0) * T.cos(x),
        {"at": {"x": (2,)}},
    ),
    ("modulus", lambda z: (z.abs() ** 3).sum(), lambda z: 3 * z * z.abs(), {"at": {"z": _Z}}),
    ("conjugate", lambda z: (z * z.conj()).real.sum(), lambda z: 2 * z, {"at": {"z": _Z}}),
    ("holomorphic", lambda z: T.exp(z).imag.sum(), lambda z: 1j * T.exp(z.conj()), {"at": {"z": _Z}}),
    ("principal value", lambda z: T.sqrt(z).real.sum(), lambda z: (0.5 / T.sqrt(z)).conj(), {"at": {"z": _Z}}),
    ("turning", lambda x, w: T.exp(1j * w * x), lambda x, w: 1j * w * T.exp(1j * w * x), {"wrt": "x"}),
    ("norm", lambda x: x.norm(), lambda x: x / x.norm(), {"at": {"x": (3,)}}),
    ("Jacobian", lambda x: T.exp(x), lambda x: T.diag(T.exp(x)), {"at": {"x": (3,)}}),
    ("Hessian", lambda x: (x**3).sum(), lambda x: T.diag(6 * x), {"at": {"x": (3,)}, "order": 2}),
    (
        "convolution",
        lambda x, k: F.conv1d(x[None, None], k[None, None]).sum(),
        lambda x, k: x.unfold(0, 3, 1).sum(0),
        {"wrt": "k", "at": {"x": (5,), "k": (3,)}},
    ),
)


def questions() -> list[Question]:
    """All of them; the texts are differentiated by x."""
    found = [Question(line, *line.split(" -> "), {"wrt": "x"}) for line in _TEXTS.strip().splitlines()]
    return found + [Question(*fields) for fields in _CODE]
