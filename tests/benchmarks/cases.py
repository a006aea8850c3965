"""Hand gradients for the benchmarks: each as `verify` takes it and as `torch.autograd.gradcheck` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Case:
    """A model, its gradient by hand (a mapping from input to gradient), and a point."""

    name: str
    model: Callable[..., torch.Tensor]
    hand: Callable[..., dict[str, torch.Tensor]]
    at: dict[str, torch.Tensor]
    wrt: tuple[str, ...]

    def gradcheck(self) -> bool:
        """The same model and hand gradient as an `autograd.Function`, given to gradcheck."""
        names = list(self.at)

        class Hand(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *values: torch.Tensor) -> torch.Tensor:
                ctx.save_for_backward(*values)
                return self.model(**dict(zip(names, values, strict=True)))

            @staticmethod
            def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
                found = self.hand(**dict(zip(names, ctx.saved_tensors, strict=True)))
                return tuple(upstream[0] * found[n] if n in found else None for n in names)

        inputs = [v.clone().requires_grad_(n in self.wrt) for n, v in self.at.items()]
        return bool(torch.autograd.gradcheck(Hand.apply, inputs))


def rnn(steps: int) -> Case:
    """A tanh recurrence of so many steps with one weight, and its backward pass, both as Python loops."""

    def model(w_h, w_y, h0):
        h = h0
        for _ in range(steps):
            h = torch.tanh(w_h * h)
        return w_y * h

    def hand(w_h, w_y, h0):
        h = [h0]
        for _ in range(steps):
            h.append(torch.tanh(w_h * h[-1]))
        dw_y = h[-1]
        dw_h = 0
        dh = w_y
        for t in reversed(range(steps)):
            dh_raw = (1 - h[t + 1] ** 2) * dh
            dw_h = dw_h + h[t] * dh_raw
            dh = w_h * dh_raw
        return {"w_h": dw_h, "w_y": dw_y}

    at = {"w_h": 1.25, "w_y": 2.0, "h0": 0.5}
    point = {n: torch.tensor(v, dtype=torch.float64) for n, v in at.items()}
    return Case(f"tanh RNN, T = {steps}", model, hand, point, ("w_h", "w_y"))


def sigmoid_net(m: int, d: int) -> Case:
    """A hidden layer of m sigmoids on d inputs, scaled by the square root of m."""

    def model(U, w, x):
        return (w * torch.sigmoid(U @ x)).sum() / m**0.5

    def hand(U, w, x):
        s = torch.sigmoid(U @ x)
        return {"U": torch.outer(w * s * (1 - s), x) / m**0.5, "w": s / m**0.5}

    g = torch.Generator().manual_seed(0)
    point = {
        "U": torch.randn(m, d, dtype=torch.float64, generator=g),
        "w": torch.randn(m, dtype=torch.float64, generator=g),
        "x": torch.randn(d, dtype=torch.float64, generator=g),
    }
    return Case(f"sigmoid net, {m} x {d}", model, hand, point, ("U", "w"))


def rms_norm(m: int, d: int) -> Case:
    """The root mean square norm of m rows of length d, with a gain, and its backward pass."""

    def model(X, g, G):
        return (X * torch.rsqrt((X * X).mean(-1, keepdim=True) + 1e-6) * g * G).sum()

    def hand(X, g, G):
        r = torch.rsqrt((X * X).mean(-1, keepdim=True) + 1e-6)
        n, dn = X * r, G * g
        return {"X": r * (dn - n * (dn * n).mean(-1, keepdim=True)), "g": (G * n).sum(0)}

    return Case(f"RMS norm, {m} x {d}", model, hand, _drawn({"X": (m, d), "g": (d,), "G": (m, d)}), ("X", "g"))


def attention(m: int, k: int) -> Case:
    """Attention of m queries to as many keys of length k, and its backward pass."""

    def model(Q, K, V, G):
        return (torch.softmax(Q @ K.T / Q.shape[1] ** 0.5, 1) @ V * G).sum()

    def hand(Q, K, V, G):
        d = Q.shape[1] ** 0.5
        P = torch.softmax(Q @ K.T / d, 1)
        dP = G @ V.T
        dS = P * (dP - (dP * P).sum(1, keepdim=True)) / d
        return {"Q": dS @ K, "K": dS.T @ Q, "V": P.T @ G}

    return Case(f"attention, {m} x {k}", model, hand, _drawn(dict.fromkeys("QKVG", (m, k))), ("Q", "K", "V"))


def relu_net(n: int, h: int, c: int, batch: int) -> Case:
    """A hidden layer of relus with cross-entropy, averaged over a batch with one-hot targets."""

    def model(X, W, b, V, Y):
        return -(Y * torch.log_softmax(torch.relu(X @ W + b) @ V, 1)).sum() / len(X)

    def hand(X, W, b, V, Y):
        z = X @ W + b
        a = torch.relu(z)
        dlogits = (torch.softmax(a @ V, 1) - Y) / len(X)
        dz = dlogits @ V.T * (z > 0)
        return {"W": X.T @ dz, "b": dz.sum(0), "V": a.T @ dlogits}

    point = _drawn({"X": (batch, n), "W": (n, h), "b": (h,), "V": (h, c)})
    point |= {"W": point["W"] / n**0.5, "V": point["V"] / h**0.5, "b": point["b"] / 8}
    point |= {"Y": torch.eye(c, dtype=torch.float64)[torch.arange(batch) % c]}
    return Case(f"relu net, {n}-{h}-{c}, batch {batch}", model, hand, point, ("W", "b", "V"))


def _drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return {name: torch.randn(*shape, dtype=torch.float64, generator=g) for name, shape in shapes.items()}


CASES = [*(rnn(steps) for steps in (2, 10, 50, 200, 1000)), sigmoid_net(10, 3), sigmoid_net(256, 64)]
CASES += [relu_net(8, 8, 4, 4), rms_norm(64, 64), attention(32, 16)]
