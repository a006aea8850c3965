"""What a row of the operation table is."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp
import torch
from flint import ctx

# ----------------------------------------------------------------------------------------------------------- precision
# Arb's working precision, which belongs to the whole process: one thread at a time may set it.

_LOCK = threading.RLock()
if hasattr(os, "register_at_fork"):  # a copy of the process must not wait for a thread that it does not have
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Set Arb's working precision for a block, and put it back.

    >>> from flint import arb
    >>> with precision(53):
    ...     print(arb(1) / 3)
    [0.333333333333333 +/- 3.71e-16]
    """
    with _LOCK:
        before = ctx.prec
        ctx.prec = bits
        try:
            yield
        finally:
            ctx.prec = before


# ----------------------------------------------------------------------------------------------------------------- row

ARGUMENTS = X, Y, Z, W = sp.symbols("X Y Z W", real=True)


@dataclass(frozen=True, slots=True)
class Op:
    """One scalar function and the ways to read it.

    ``domain`` is where it is real and differentiable up to its kinks; ``kinks`` are expressions that vanish where
    it is not differentiable; ``ulps`` is how far its float kernel may err, in units in the last place of its value, or
    of ``of`` where that is larger (measured by ``tests/support/measure_ulps.py``, with a margin of two); ``also`` are
    names in torch, NumPy and math.
    """

    name: str
    exact: sp.Expr
    torch: Callable[..., torch.Tensor]
    ball: Callable[..., Any] | None = None
    written: sp.Expr | None = None
    domain: sp.Basic = sp.true
    kinks: tuple[sp.Expr, ...] = ()
    ulps: float = 4.0
    also: tuple[str, ...] = ()
    of: sp.Expr | None = None

    @property
    def branches(self) -> tuple[tuple[sp.Expr, sp.Basic], ...]:
        """The (value, condition) pairs of a row that is a choice, else an empty tuple."""
        pairs: tuple[Any, ...] = self.exact.args if isinstance(self.exact, sp.Piecewise) else ()
        return tuple((p.expr, p.cond) for p in pairs)

    @property
    def arity(self) -> int:
        return 1 + max(k for k, s in enumerate(ARGUMENTS) if s is X or self.exact.has(s))
