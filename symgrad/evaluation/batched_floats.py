"""A Program in torch floats at many points at once: every value has one axis more in front, the points'.

With ``jitter`` every result is moved by a random relative amount of that size, as rounding would (Monte Carlo
arithmetic: Parker, 1997), so that the spread of two runs tells how much a formula magnifies roundings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from symgrad.evaluation.floats import Floats
from symgrad.program.program import Step, positions, size

__all__ = ["Many"]

_EXACT = frozenset(("pick", "name", "cast", "stop", "neg", "conj", "real", "imag", "abs", "sign"))
_COMPOSITES = {"softmax": torch.softmax, "log_softmax": torch.log_softmax}


class Many(Floats):
    """The system of torch floats at ``count`` points.

    >>> from symgrad.program.builder import Builder
    >>> from symgrad.program.program import interpret
    >>> b = Builder()
    >>> x = b.input("x", (2,))
    >>> program = b.build({"y": b.sum(b.mul(x, x))})
    >>> points = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    >>> interpret(program, Many(2), {"x": points})[program.output]
    tensor([ 5., 25.], dtype=torch.float64)
    """

    def __init__(self, count: int, dtype: str | None = None, *, jitter: float = 0.0, seed: int = 0) -> None:
        super().__init__(dtype)
        self.count, self.jitter = count, jitter
        self.random = torch.Generator().manual_seed(seed)

    def read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        out = super().read(step, args)
        if step.op == "constant":
            return out.expand(self.count, *step.shape)
        if not self.jitter or step.op in _EXACT or not out.is_floating_point():
            return out
        return out * (1 + self.jitter * (2 * torch.rand(out.shape, generator=self.random, dtype=torch.float64) - 1))

    def _read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        n: Any = step.params
        match step.op:
            case "pick":
                rows = torch.cat([a.reshape(self.count, -1) for a in args], 1)
                where = _index(step.params, step.shape)
                if not bool((where > 0).all()):
                    rows, where = torch.cat([rows.new_zeros(self.count, 1), rows], 1), where + 1
                return rows[:, where - 1].reshape(self.count, *step.shape)
            case "scatter":
                (a,) = args
                out = a.new_zeros(self.count, size(step.shape) + 1)
                out.index_add_(1, _index(step.params, tuple(a.shape[1:])), a.reshape(self.count, -1))
                return out[:, 1:].reshape(self.count, *step.shape)
            case "matmul":
                return torch.matmul(args[0], args[1])
            case "softmax" | "log_softmax":
                return _COMPOSITES[step.op](args[0], n + 1 if n >= 0 else n)
            case "logsumexp":
                return torch.logsumexp(args[0], n + 1 if n >= 0 else n, keepdim=True)
        return super()._read(step, args)


def _index(index: Any, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.as_tensor(np.array(positions(index, shape)).reshape(-1))
