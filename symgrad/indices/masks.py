"""Choices that code makes entry by entry, such as relu's: a mask that came out of a comparison, as steps of its own.

In a Program such a mask is positions: it holds for the point that the code was run at.  Where a mask is what one of
the recorded comparisons gave, the choice is written out instead: a step ``choice`` of the comparison's sides, 1 where
it holds and 0 elsewhere, and ``kept`` for what is taken where it does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.program.builder import Builder
from symgrad.program.program import Guard, Program, Shape, Strided, dense

__all__ = ["ORDERED", "Choices", "kept", "one_sided"]

ORDERED = ("gt", "ge", "lt", "le")


def one_sided(program: Program) -> bool:
    """Whether a comparison of entries came out one way in all of a tensor, so that it does not show as a choice."""
    found = [g.outcome for g in program.guards if g.op in ORDERED and g.outcome.size > 1]
    return any(bool(outcome.all()) or not outcome.any() for outcome in found)


@dataclass(frozen=True, eq=False)
class Choices:
    """The comparisons of a Program that came out both ways."""

    guards: tuple[Guard, ...]

    @classmethod
    def of(cls, program: Program) -> Choices:
        found = [g for g in program.guards if g.op in ORDERED and len(g.args) == 2 and g.outcome.ndim]
        return cls(tuple(g for g in found if g.outcome.any() and not g.outcome.all()))

    @property
    def args(self) -> tuple[int, ...]:
        return tuple(a for g in self.guards for a in g.args)

    def mask(self, b: Builder, at: Callable[[int], int], mask: np.ndarray) -> int | None:
        """The step that is 1 where the mask holds and 0 elsewhere, if a comparison gave the mask."""
        if not mask.ndim or mask.all() or not mask.any():
            return None
        for holds, guard in itertools.product((True, False), self.guards):
            outcome = np.asarray(guard.outcome, dtype=bool)
            strides = _laid(outcome if holds else ~outcome, mask)
            if strides is not None:
                try:
                    sides = [b.broadcast(at(a), outcome.shape) for a in guard.args]
                except KeyError:  # a comparison that was made later
                    continue
                choice = b.emit("choice", sides, guard.op, outcome.shape)
                if not holds:
                    choice = b.sub(b.number(1), choice)
                return b.pick([choice], Strided(0, strides), mask.shape)
        return None


def _laid(outcome: np.ndarray, mask: np.ndarray) -> tuple[int, ...] | None:
    """The strides with which a mask repeats an outcome, axes of length one aside; None where it does not."""
    own = [k for k, n in enumerate(outcome.shape) if n > 1]
    theirs = [k for k, n in enumerate(mask.shape) if n > 1]
    steps = dense(outcome.shape)
    for axes in itertools.permutations(theirs, len(own)):
        if any(mask.shape[a] != outcome.shape[k] for a, k in zip(axes, own, strict=True)):
            continue
        strides = [0] * mask.ndim
        for a, k in zip(axes, own, strict=True):
            strides[a] = steps[k]
        if np.array_equal(_repeated(outcome, strides, mask.shape), mask):
            return tuple(strides)
    return None


def _repeated(outcome: np.ndarray, strides: Sequence[int], shape: Shape) -> np.ndarray:
    where = np.zeros(shape, dtype=np.int64)
    for axis, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        where = where + (np.arange(n) * stride).reshape((n,) + (1,) * (len(shape) - axis - 1))
    return outcome.reshape(-1)[where]


def kept(b: Builder, a: int, index: np.ndarray, mask: int, shape: Shape) -> int:
    """What is taken from ``a`` at these positions, times the mask that says where there are any."""
    taken: Any = b.emit("kept", (a,), index, shape)
    return b.mul(taken, mask)
