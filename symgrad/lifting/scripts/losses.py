"""Losses that people differentiate without writing them down: nets that begin their backward pass with ``y - out``.

Each is written as steps from the difference of an activation and its targets, where the script computes it.  Which one
it is decides `symgrad.lifting.scripts.hypotheses`, by value; it is told as an assumption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from symgrad.lifting.scripts.trails import Trails
from symgrad.program.builder import Builder
from symgrad.program.program import Step, dependents, positions, size


@dataclass(frozen=True)
class Loss:
    """A loss of activations a and targets t: how it is said, and how it is written on a Builder."""

    text: str
    write: Callable[[Builder, int, int], int]


def _squares(b: Builder, a: int, t: int) -> int:
    d = b.sub(a, t)
    return b.mul(b.number(Fraction(1, 2), b.dtype(d)), b.sum(b.mul(d, d)))


def _absolute(b: Builder, a: int, t: int) -> int:
    return b.sum(b.apply("abs", b.sub(a, t)))


def _softmax_entropy(b: Builder, a: int, t: int) -> int:
    return b.neg(b.sum(b.mul(t, b.apply("log", a))))


def _sigmoid_entropy(b: Builder, a: int, t: int) -> int:
    one = b.ones(b.shape(a), b.dtype(a))
    other = b.mul(b.sub(one, t), b.apply("log", b.sub(one, a)))
    return b.neg(b.sum(b.add(b.mul(t, b.apply("log", a)), other)))


def _hinge(b: Builder, a: int, t: int) -> int:
    """Of the margins t - a, where t is one and a is y times the score."""
    d = b.sub(t, a)
    return b.mul(b.number(Fraction(1, 2), b.dtype(d)), b.sum(b.add(d, b.apply("abs", d))))


LOSSES: dict[str, Loss] = {
    "squares": Loss("half the sum of squares of {a} - {t}", _squares),
    "sigmoid": Loss("the cross-entropy of {a} (of a sigmoid) with {t}", _sigmoid_entropy),
    "softmax": Loss("the cross-entropy of {a} (of a softmax) with {t}", _softmax_entropy),
    "absolute": Loss("the sum of |{a} - {t}|", _absolute),
    "hinge": Loss("the hinge loss, the sum of max(0, {t} - {a})", _hinge),
}


@dataclass(frozen=True)
class Error:
    """A difference of an activation and its targets that the script computes: the ``nth`` subtraction of a line."""

    line: int
    nth: int

    def step(self, steps: Sequence[Step]) -> int | None:
        found = [
            i for i, s in enumerate(steps) if s.op == "sub" and s.source is not None and s.source.line == self.line
        ]
        return found[self.nth] if self.nth < len(found) else None


def errors(trails: Trails, moved: set[int], upto: int) -> Iterator[tuple[Error, int]]:
    """The differences of something that depends on the inputs (``moved``) and something that does not."""
    count: dict[int, int] = {}
    for i, s in enumerate(trails.steps[:upto]):
        if s.op != "sub" or s.source is None or s.source.line is None:
            continue
        nth = count.get(s.source.line, 0)
        count[s.source.line] = nth + 1
        if (s.args[0] in moved) != (s.args[1] in moved):
            yield Error(s.source.line, nth), i


def parts(b: Builder, error: int, moved: set[int] | None = None) -> tuple[int, int]:
    """The activation and the targets of a difference.

    Where one is taken off single entries (``p[range(n), y] -= 1``), the targets are one there and zero elsewhere.
    """
    left, right = b.steps[error].args
    depends = dependents(b.steps, b.inputs.values()) if moved is None else moved
    a, t = (left, right) if left in depends else (right, left)
    s = b.steps[a]
    is_one = b.number_of(t) == 1
    if a == left and is_one and s.op == "pick" and len(s.args) == 1 and size(b.shape(s.args[0])) > size(s.shape):
        whole = s.args[0]
        hot = np.zeros(size(b.shape(whole)))
        hot[positions(s.params, s.shape) - 1] = 1
        return whole, b.constant(hot.reshape(b.shape(whole)), b.dtype(whole))
    return a, t
