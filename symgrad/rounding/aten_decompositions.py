"""ATen operations written out in simpler ones, for those that have no rule: torch's own decompositions, and a few more.

Torch's are not what its kernels do everywhere: some of them compute in float32 what the kernel computes in a dtype of
few digits.  Those are written out here as the kernel has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["written_out"]


def _var(x: Tensor, dims: Any = None, correction: float = 1, **_: Any) -> Tensor:
    dims = list(range(x.dim())) if dims is None or dims == [] else dims
    n = math.prod(x.shape[d] for d in dims) if x.dim() else 1
    away = x - x.mean(dims, keepdim=True)
    return (away * away).sum(dims) / max(n - (1 if correction is None else correction), 0)


def _distances(x: Tensor, y: Tensor, p: float, *_: Any) -> Tensor:
    """cdist: the p-norms of all differences of rows."""
    away = (x.unsqueeze(-2) - y.unsqueeze(-3)).abs()
    match p:
        case 1.0:
            return away.sum(-1)
        case math.inf:
            return away.amax(-1)
        case 2.0:
            return (away * away).sum(-1).sqrt()
    return (away**p).sum(-1) ** (1 / p)


def _distances_backward(g: Tensor, x: Tensor, y: Tensor, p: float, norms: Tensor) -> Tensor:
    away, g, norms = x.unsqueeze(-2) - y.unsqueeze(-3), g.unsqueeze(-1), norms.unsqueeze(-1)
    match p:
        case 1.0:
            slope = away.sign()
        case 2.0:
            slope = away / norms
        case math.inf:
            slope = away.sign() * (away.abs() == norms)
        case _:
            slope = away.sign() * away.abs() ** (p - 1) / norms ** (p - 1)
    return (g * torch.where(norms == 0, 0.0, slope)).sum(-2)


def _gated_backward(g: Tensor, x: Tensor, axis: int) -> Tensor:
    a, b = x.chunk(2, axis)
    s = b.sigmoid()
    return torch.cat([s * g, (1 - s) * s * (g * a)], axis)


_OWN: dict[str, Callable[..., Any]] = {
    "aten::glu_backward": _gated_backward,
    "prims::var": _var,
    "aten::_cdist_forward": _distances,
    "aten::_cdist_backward": _distances_backward,
}


def written_out(func: Any) -> Callable[..., Any] | None:
    """The operation in simpler ones: torch's own decomposition, or None."""
    from torch._decomp import decomposition_table

    return _OWN.get(func._schema.name) or decomposition_table.get(func)
