"""Hand gradients for the benchmarks: each as `verify` takes it and as `torch.autograd.gradcheck` does."""

from __future__ import annotations

import tempfile
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


def rnn(steps: int, *, slip: bool = False) -> Case:
    """A tanh recurrence of so many steps with one weight, and its backward pass, both as Python loops.

    With a ``slip`` each slope is that of the step before.
    """
    late = 0 if slip else 1

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
            dh_raw = (1 - h[t + late] ** 2) * dh
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


def unrolled(steps: int, slip: int) -> Case:
    """A tanh recurrence and its derivative forwards, a line for each; line d{slip} forgets a square."""
    lines = [f"    h{t + 1} = torch.tanh(w * h{t})" for t in range(steps)]
    power = lambda t: "" if t == slip else "**2"  # noqa: E731
    slopes = [f"    d{t} = (1 - h{t}{power(t)}) * (h{t - 1} + w * d{t - 1})" for t in range(1, steps + 1)]
    model = ["def model(w, x):", "    h0 = x", *lines, f"    return h{steps}"]
    hand = ["def hand(w, x):", "    h0 = x", *lines, "    d0 = 0", *slopes, f"    return {{'w': d{steps}}}"]
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        text = "\n".join(["import torch", *model, *hand, ""])
        file.write(text)
    space: dict[str, Any] = {}
    exec(compile(text, file.name, "exec"), space)
    point = {"w": torch.tensor(1.25, dtype=torch.float64), "x": torch.tensor(0.5, dtype=torch.float64)}
    return Case(f"tanh RNN in {2 * steps} lines", space["model"], space["hand"], point, ("w",))


class RMSNorm(torch.autograd.Function):
    """The root mean square norm as a function of one's own."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        r = torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)
        ctx.save_for_backward(x, g, r)
        return x * r * g

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, g, r = ctx.saved_tensors
        n, dn = x * r, dy * g
        return r * (dn - n * (dn * n).mean(-1, keepdim=True)), (dy * n).sum(0)


def rms_point(m: int, d: int) -> dict[str, torch.Tensor]:
    return _drawn({"x": (m, d), "g": (d,)})


def rms_norm(m: int, d: int, *, slip: bool = False) -> Case:
    """The root mean square norm of m rows of length d, with a gain, and its backward pass.

    With a ``slip`` the mean is forgotten that each row's own scale takes away.
    """

    def model(X, g, G):
        return (X * torch.rsqrt((X * X).mean(-1, keepdim=True) + 1e-6) * g * G).sum()

    def hand(X, g, G):
        r = torch.rsqrt((X * X).mean(-1, keepdim=True) + 1e-6)
        n, dn = X * r, G * g
        if slip:
            return {"X": r * (dn - n * (dn * n).sum(-1, keepdim=True)), "g": (G * n).sum(0)}
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


CASES = [*(rnn(steps) for steps in (2, 10, 50, 1000)), sigmoid_net(10, 3), sigmoid_net(256, 64)]
CASES += [relu_net(8, 8, 4, 4), rms_norm(64, 64), attention(32, 16)]
