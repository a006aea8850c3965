"""Random functions of tensors with their backward passes by hand, and with one step of them changed; autograd judges.

A function is a chain of layers on a vector: entrywise functions, powers, products of matrices, softmax, norms, sums
along axes, choices, pieces and writes in place.  Each layer has its vector-Jacobian product, written by hand.

python tests/trust/random_tensors.py 1000
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

from symgrad import verify
from symgrad.errors import NoPoint, SymgradError

Tensor = Any
_N = 3


@dataclass(frozen=True)
class Layer:
    """y = forward(x, A), and the gradient for x of the gradient g for y: backward(x, y, g, A)."""

    name: str
    forward: Callable[[Tensor, Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _written(x: Tensor) -> Tensor:
    y = x.clone()
    y[0] = x[1] * x[2]
    return y


def _written_back(x: Tensor, g: Tensor) -> Tensor:
    return torch.stack([0 * g[0], g[1] + g[0] * x[2], g[2] + g[0] * x[1]])


def _softmax_back(y: Tensor, g: Tensor) -> Tensor:
    return y * (g - (g * y).sum())


LAYERS = (
    Layer("tanh", lambda x, A: torch.tanh(x), lambda x, y, g, A: g * (1 - y * y)),
    Layer("sigmoid", lambda x, A: torch.sigmoid(x), lambda x, y, g, A: g * y * (1 - y)),
    Layer("exp", lambda x, A: torch.exp(x / 2), lambda x, y, g, A: g * y / 2),
    Layer("sin", lambda x, A: torch.sin(x), lambda x, y, g, A: g * torch.cos(x)),
    Layer("square", lambda x, A: x**2, lambda x, y, g, A: 2 * x * g),
    Layer("root", lambda x, A: torch.sqrt(x**2 + 1), lambda x, y, g, A: g * x / y),
    Layer("power", lambda x, A: (x * x + 1) ** 0.7, lambda x, y, g, A: 1.4 * g * x * (x * x + 1) ** -0.3),
    Layer("log", lambda x, A: torch.log1p(x * x), lambda x, y, g, A: 2 * g * x / (1 + x * x)),
    Layer("erf", lambda x, A: torch.erf(x), lambda x, y, g, A: 2 / torch.pi**0.5 * g * torch.exp(-x * x)),
    Layer("lgamma", lambda x, A: torch.lgamma(x * x + 1), lambda x, y, g, A: 2 * x * g * torch.digamma(x * x + 1)),
    Layer("atan", lambda x, A: torch.atan(x), lambda x, y, g, A: g / (1 + x * x)),
    Layer("relu", lambda x, A: torch.relu(x), lambda x, y, g, A: g * (x > 0)),
    Layer("abs", lambda x, A: x.abs(), lambda x, y, g, A: g * x.sign()),
    Layer("where", lambda x, A: torch.where(x > 0.5, x * x, x), lambda x, y, g, A: torch.where(x > 0.5, 2 * x * g, g)),
    Layer("clamp", lambda x, A: x.clamp(-1, 1), lambda x, y, g, A: g * (x.abs() < 1)),
    Layer("matmul", lambda x, A: A @ x, lambda x, y, g, A: A.T @ g),
    Layer("turned", lambda x, A: A.T @ x, lambda x, y, g, A: A @ g),
    Layer("quadratic", lambda x, A: x * (A @ x), lambda x, y, g, A: g * (A @ x) + A.T @ (g * x)),
    Layer("softmax", lambda x, A: torch.softmax(x, 0), lambda x, y, g, A: _softmax_back(y, g)),
    Layer("centred", lambda x, A: x - x.mean(), lambda x, y, g, A: g - g.mean()),
    Layer("scaled", lambda x, A: x / (x * x).sum().add(1), lambda x, y, g, A: _scaled_back(x, g)),
    Layer("cumsum", lambda x, A: x.cumsum(0), lambda x, y, g, A: g.flip(0).cumsum(0).flip(0)),
    Layer("flipped", lambda x, A: x.flip(0) * x, lambda x, y, g, A: g * x.flip(0) + (g * x).flip(0)),
    Layer("rolled", lambda x, A: torch.cat([x[1:], x[:1]]) * 2, lambda x, y, g, A: 2 * torch.cat([g[-1:], g[:-1]])),
    Layer("written", lambda x, A: _written(x), lambda x, y, g, A: _written_back(x, g)),
    Layer("outer", lambda x, A: (torch.outer(x, x) * A).sum(1), lambda x, y, g, A: (A @ x) * g + A.T @ (g * x)),
    Layer("largest", lambda x, A: x * x.max(), lambda x, y, g, A: g * x.max() + (x == x.max()) * (g * x).sum()),
)


def _scaled_back(x: Tensor, g: Tensor) -> Tensor:
    s = 1 + (x * x).sum()
    return g / s - 2 * x * (g * x).sum() / s**2


_SLIPS: tuple[Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor], ...] = (
    lambda r, x, y, g, A: -r,
    lambda r, x, y, g, A: g,
    lambda r, x, y, g, A: r * x,
    lambda r, x, y, g, A: r + y,
    lambda r, x, y, g, A: r.flip(0),
    lambda r, x, y, g, A: r * (1 + 1e-9),
    lambda r, x, y, g, A: r * (x > -1),
    lambda r, x, y, g, A: A @ g,
)


@dataclass(frozen=True)
class Chain:
    """Layers, of which the last is summed, weighted by 1, 2, 3; ``slip`` is (place, kind) of a changed step."""

    layers: tuple[int, ...]
    slip: tuple[int, int] | None = None

    def __str__(self) -> str:
        names = " ".join(LAYERS[k].name for k in self.layers)
        return names if self.slip is None else f"{names} (slip {self.slip[1]} at {self.slip[0]})"

    def model(self, x: Tensor, A: Tensor) -> Tensor:
        for k in self.layers:
            x = LAYERS[k].forward(x, A)
        return (x * torch.arange(1, _N + 1)).sum()

    def hand(self, x: Tensor, A: Tensor) -> Tensor:
        values = [x]
        for k in self.layers:
            values.append(LAYERS[k].forward(values[-1], A))
        g = torch.arange(1, _N + 1) * torch.ones_like(x)
        for place in reversed(range(len(self.layers))):
            x, y = values[place], values[place + 1]
            r = LAYERS[self.layers[place]].backward(x, y, g, A)
            if self.slip is not None and self.slip[0] == place:
                r = _SLIPS[self.slip[1]](r, x, y, g, A)
            g = r
        return g

    def said(self, seed: int) -> str:
        """symgrad's verdict at a drawn point."""
        draw = torch.Generator().manual_seed(seed)
        at = {n: torch.randn(s, dtype=torch.float64, generator=draw) for n, s in (("x", (_N,)), ("A", (_N, _N)))}
        chain = self

        def model(x, A):
            return chain.model(x, A)

        def hand(x, A):
            return chain.hand(x, A)

        try:
            return verify(model, hand, wrt="x", at=at, points=16).verdict
        except NoPoint:
            return "no point"
        except SymgradError as error:
            return f"error {type(error).__name__}: {error}"[:160]

    def is_right(self) -> bool:
        """autograd in float64 at sixty points near and far, to a relative 1e-11 (the smallest slip is 1e-9)."""
        draw = torch.Generator().manual_seed(11)
        for k in range(60):
            scale = (0.3, 1.0, 2.0)[k % 3]
            x = scale * torch.randn(_N, dtype=torch.float64, generator=draw)
            A = torch.randn(_N, _N, dtype=torch.float64, generator=draw)
            leaf = x.clone().requires_grad_()
            (truth,) = torch.autograd.grad(self.model(leaf, A), leaf)
            said = self.hand(x, A)
            if bool(((truth - said).abs() > 1e-11 * (1 + truth.abs().max() + said.abs().max())).any()):
                return False
        return True


def chains() -> st.SearchStrategy[Chain]:
    """Chains of up to four layers, all of them right."""
    return st.lists(st.integers(0, len(LAYERS) - 1), min_size=1, max_size=4).map(lambda ks: Chain(tuple(ks)))


def slipped(chain: Chain, k: int) -> Chain:
    """The chain with one step of its backward pass changed."""
    choose = random.Random(k)
    return Chain(chain.layers, (choose.randrange(len(chain.layers)), choose.randrange(len(_SLIPS))))


def main(count: int) -> None:
    said: Counter[str] = Counter()
    wrong: list[str] = []
    for k in range(count):
        choose = random.Random(k)
        chain = Chain(tuple(choose.randrange(len(LAYERS)) for _ in range(choose.randint(1, 4))))
        for what, c in (("right", chain), ("changed", slipped(chain, k))):
            word = c.said(k)
            if what == "changed" and word in ("proved", "agrees") and c.is_right():
                what = "changed, yet equal"
            said[f"{what}: {word.split(':')[0]}"] += 1
            if (
                (word == "refuted") != (what == "changed") and word in ("proved", "agrees", "refuted")
            ) or word.startswith("error"):
                wrong.append(f"{what}: {word}: {c}, seed {k}")
        if k % 200 == 199:
            print(k + 1, dict(said), *wrong[-5:], sep="\n", flush=True)
    for key, n in sorted(said.items()):
        print(f"{n:7} {key}")
    print(*sorted(set(wrong))[:60], sep="\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
