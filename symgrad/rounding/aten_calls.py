"""One ATen call as a rule of `aten_errors` sees it: its floating tensors carry their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from symgrad.rounding import kernel_bounds as rules
from symgrad.rounding.kernel_bounds import Bound, magnitude

__all__ = ["Call", "ErrorRule", "is_float", "is_short", "mapped", "operand"]


@dataclass(frozen=True, slots=True)
class Call:
    """One ATen call: its floating tensors replaced by `Bound`, and what it returned."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any

    def again(self, change: Callable[[Bound], Any]) -> Any:
        """The same call with other values in the place of the floating tensors."""
        args, kwargs = mapped((self.args, dict(self.kwargs)), change)
        return self.func(*args, **kwargs)

    def get(self, k: int, name: str, default: Any = None) -> Any:
        """An argument by position or by name."""
        return self.args[k] if k < len(self.args) else self.kwargs.get(name, default)


ErrorRule = Callable[[Call], Any]


def is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex())


def mapped(tree: Any, change: Callable[[Bound], Any]) -> Any:
    return tree_map(lambda x: change(x) if isinstance(x, Bound) else x, tree, is_leaf=lambda x: isinstance(x, Bound))


def is_short(v: float) -> bool:
    """Whether a float is a dyadic number of few digits, which someone who wrote it meant exactly."""
    return not math.isfinite(v) or (v * 2.0**20).is_integer()


def operand(x: Any, c: Tensor) -> Bound:
    """An argument of an entrywise operation with result ``c``: cast to its dtype and broadcast to its shape.

    A Python number that is not short (such as 0.1 or sqrt(10)) may be half a unit of float64 from what was meant.
    """
    if isinstance(x, Bound):
        b = rules.cast(x, c.dtype)
    elif isinstance(x, Tensor):
        value = x.to(torch.float64)
        b = Bound(value.to(c.dtype), (value.to(c.dtype).to(torch.float64) - value).abs())
    else:
        number = torch.tensor(x, dtype=torch.complex128 if isinstance(x, complex) else torch.float64)
        meant = 0.0 if isinstance(x, (bool, int)) or (not isinstance(x, complex) and is_short(x)) else 2.0**-53 * abs(x)
        wide = torch.complex128 if c.is_complex() else torch.float64
        gap = magnitude(number.to(c.dtype).to(wide) - number) if c.is_complex() or not number.is_complex() else 0
        b = Bound(number.to(c.device), torch.as_tensor(meant + torch.nan_to_num(torch.as_tensor(gap))))
    return Bound(b.value.expand(c.shape), b.error.to(c.device).expand(c.shape))
