"""What a row of the operation table is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sympy as sp
import torch
from flint import ctx

if TYPE_CHECKING:
    from symgrad.program.builder import Builder

__all__ = ["ARGUMENTS", "COMPOSITES", "STRUCTURE", "Composite", "Op", "W", "X", "Y", "Z", "precision"]


# ----------------------------------------------------------------------------------------------------------- precision
# Arb's working precision, which belongs to the whole process: one thread at a time may set it.

_LOCK = threading.RLock()


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


# ----------------------------------------------------------------------------------------------------------- structure
# The few steps that are not scalar functions, and what they mean.
#
# | step              | value                                                                        |
# |-------------------|------------------------------------------------------------------------------|
# | input, constant   | a named input; numbers that do not depend on the inputs                      |
# | pick, scatter     | entries moved, repeated, dropped, zeroed; entries added up (`symgrad.program.program`)|
# | matmul            | (batch, n, k) @ (batch, k, m)                                                |
# | add sub mul div   | arithmetic, entry by entry, on equal shapes (broadcasting is a pick)         |
# | neg powi pow      | -a; a ** n for a positive integer n (its params); a ** b                     |
# | stop              | the value, cut off from differentiation: detach                              |
# | name, cast        | the identity: the user's binding of a name; rounding to another dtype        |
# | conj real imag    | of a complex value                                                           |
# | inverse solve det logabsdet cholesky | linear algebra on (batch, n, n); rows of their own        |
# | softmax log_softmax logsumexp | composites: one kernel in floats, written out in every other system |

STRUCTURE = frozenset(
    "input constant pick scatter matmul add sub mul div neg powi pow stop name cast conj real imag "
    "inverse solve det logabsdet cholesky polygamma".split()
)


@dataclass(frozen=True, slots=True)
class Composite:
    """A tensor operation that floats do in one kernel.

    ``write`` says it in other steps (what it means); ``pull`` gives its argument's cotangent from the operation's
    own value, as every autograd does, and is checked against the derivative of ``write``.
    """

    name: str
    write: Callable[[Builder, int, int], int]
    pull: Callable[[Builder, int, int], list[int]]


def _softmax(b: Builder, x: int, axis: int) -> int:
    e = b.apply("exp", x)
    return b.div(e, b.sum(e, axis, keepdims=True))


def _log_softmax(b: Builder, x: int, axis: int) -> int:
    return b.sub(x, b.apply("log", b.sum(b.apply("exp", x), axis, keepdims=True)))


def _logsumexp(b: Builder, x: int, axis: int) -> int:
    return b.apply("log", b.sum(b.apply("exp", x), axis, keepdims=True))


def _pull_softmax(b: Builder, i: int, g: int) -> list[int]:
    inner = b.sum(b.mul(g, i), b.steps[i].params, keepdims=True)
    return [b.mul(i, b.sub(g, inner))]


def _pull_log_softmax(b: Builder, i: int, g: int) -> list[int]:
    total = b.sum(g, b.steps[i].params, keepdims=True)
    return [b.sub(g, b.mul(b.apply("exp", i), total))]


def _pull_logsumexp(b: Builder, i: int, g: int) -> list[int]:
    (x,) = b.steps[i].args
    return [b.mul(g, b.emit("softmax", (x,), b.steps[i].params, b.shape(x)))]


COMPOSITES = {
    c.name: c
    for c in (
        Composite("softmax", _softmax, _pull_softmax),
        Composite("log_softmax", _log_softmax, _pull_log_softmax),
        Composite("logsumexp", _logsumexp, _pull_logsumexp),
    )
}


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
