"""Losses that people differentiate without writing them down: nets that begin their backward pass with ``y - out``.

Each is written as steps from the difference of an activation and its targets, where the script computes it.  Which one
it is decides `symgrad.lifting.scripts.hypotheses`, by value; it is told as an assumption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.lifting.scripts.trails import Trails
from symgrad.program.builder import Builder
from symgrad.program.program import Step, dependencies, positions, size


@dataclass(frozen=True)
class Loss:
    """A loss of activations a and targets t: how it is said, how an entry of it is written on a Builder, and of which
    multiple of their sum one speaks."""

    text: str
    entries: Callable[[Builder, int, int], int]
    factor: Fraction = Fraction(1)

    def write(self, b: Builder, a: int, t: int, weights: int | None = None) -> int:
        """The sum of its entries, each times its weight."""
        made = self.entries(b, a, t)
        made = b.sum(made if weights is None else b.mul(weights, made))
        return made if self.factor == 1 else b.mul(b.number(self.factor, b.dtype(made)), made)


def _squares(b: Builder, a: int, t: int) -> int:
    d = b.sub(a, t)
    return b.mul(d, d)


def _absolute(b: Builder, a: int, t: int) -> int:
    return b.apply("abs", b.sub(a, t))


def _softmax_entropy(b: Builder, a: int, t: int) -> int:
    return b.neg(b.mul(t, b.apply("log", a)))


def _sigmoid_entropy(b: Builder, a: int, t: int) -> int:
    one = b.ones(b.shape(a), b.dtype(a))
    other = b.mul(b.sub(one, t), b.apply("log", b.sub(one, a)))
    return b.neg(b.add(b.mul(t, b.apply("log", a)), other))


def _hinge(b: Builder, a: int, t: int) -> int:
    """Of the margins t - a, where t is one and a is y times the score."""
    d = b.sub(t, a)
    return b.add(d, b.apply("abs", d))


LOSSES: dict[str, Loss] = {
    "squares": Loss("half the sum of squares of {a} - {t}", _squares, Fraction(1, 2)),
    "sigmoid": Loss("the cross-entropy of {a} (of a sigmoid) with {t}", _sigmoid_entropy),
    "softmax": Loss("the cross-entropy of {a} (of a softmax) with {t}", _softmax_entropy),
    "absolute": Loss("the sum of |{a} - {t}|", _absolute),
    "hinge": Loss("the hinge loss, the sum of max(0, {t} - {a})", _hinge, Fraction(1, 2)),
}


@dataclass(frozen=True)
class Error:
    """Where a backward pass begins: the ``nth`` difference of an activation and its targets in a line, or the ``nth``
    stack of such differences, or multiple of them by weights.  The targets may be computed from the inputs too, as
    those of a value that is learnt from its own estimate of the next one: then they are the side that is ``held``.
    Where a loop computes ``many`` differences before anything is updated, they are meant together."""

    line: int
    nth: int
    op: str = "sub"
    held: int | None = None
    many: int = 1

    def step(self, steps: Sequence[Step]) -> int | None:
        found = [i for i, s in enumerate(steps) if s.op == self.op and s.source and s.source.line == self.line]
        return found[self.nth] if self.nth < len(found) else None


@dataclass(frozen=True)
class Parts:
    """What an error is made of: the activation, the targets, and what weights each entry; its differences; and the
    activation, the targets and the weights of its first turn, where it is a stack of several."""

    activation: int
    targets: int
    weights: int | None
    differences: frozenset[int]
    first: tuple[int, ...]


_TURNS = 4  # errors of one line that are tried


def errors(trails: Trails, moved: set[int], upto: int, changed: Sequence[int]) -> Iterator[tuple[Error, int]]:
    """The differences of something that depends on the inputs (``moved``) and something that does not, together where
    none of the steps that are ``changed`` is between; then stacks of such differences, and multiples of either."""
    count: Counter[tuple[int, str]] = Counter()
    found: set[int] = set()  # the differences, and what names, stacks or multiplies them
    made: list[tuple[Error, int]] = []
    singles: list[tuple[Error, int, list[int]]] = []
    turns: dict[Any, tuple[int, list[int]]] = {}  # by place, the differences since the last change
    shapes: dict[Any, tuple[int, ...]] = {}
    for i, s in enumerate(trails.steps[:upto]):
        mine = found.intersection(s.args)
        is_one = s.op == "sub" and (s.args[0] in moved) != (s.args[1] in moved)
        is_of_itself = s.op == "sub" and s.args[0] in moved and s.args[1] in moved
        is_made = bool(mine) and (s.op == "mul" or (s.op == "pick" and len(s.args) > 1))
        found |= {i} if is_one or is_made or (mine and s.op in ("name", "cast", "pick")) else set()
        if s.op in ("sub", "pick", "mul") and s.source is not None and s.source.line is not None:
            nth = count[s.source.line, s.op]
            count[s.source.line, s.op] += 1
            error = Error(s.source.line, nth, s.op)
            if is_one:
                turn, place = sum(c < i for c in changed), (s.source.line, s.source.span)
                if (last := turns.get(place)) is None or last[0] != turn or shapes[place] != s.shape:
                    last = turns[place] = (turn, [])
                    singles.append((error, i, last[1]))
                last[1].append(nth)
                shapes[place] = s.shape
            elif is_of_itself and nth < _TURNS:
                made += [(replace(error, held=k), i) for k in (0, 1)]
            elif is_made and nth < _TURNS:
                made.append((error, i))
    yield from ((replace(e, many=len(of)) if of == [*range(of[0], of[0] + len(of))] else e, i) for e, i, of in singles)
    yield from made


def parts_of(b: Builder, error: Error, moved: set[int]) -> Parts | None:
    """What an error is made of, see `parts`; of many, stacked."""
    found = [i for i, s in enumerate(b.steps) if s.op == error.op and s.source and s.source.line == error.line]
    mine = found[error.nth : error.nth + error.many]
    several = [parts(b, i, moved, error.held) for i in mine]
    known = [p for p in several if p is not None]
    if not known or len(known) < error.many:
        return None
    if error.many == 1:
        return known[0]
    shape = (error.many, *b.shape(mine[0]))
    if any(b.shape(i) != b.shape(mine[0]) for i in mine):
        return None
    stack = Step("pick", tuple(mine), np.arange(1, size(shape) + 1), shape, b.dtype(mine[0]))
    return _stacked(b, stack, known)


def parts(b: Builder, error: int, moved: set[int], held: int | None = None) -> Parts | None:
    """What an error is made of; None where it is no difference of something that is ``moved`` and something that is
    not, and no stack of differences or multiple of one by weights that have nothing to do with either.

    Where one is taken off single entries (``p[range(n), y] -= 1``), the targets are one there and zero elsewhere.
    Targets that are ``held`` are computed from what is moved, and taken as given.
    """
    s = b.steps[error]
    if held is not None:
        a, t = s.args[1 - held], b.emit("stop", (s.args[held],), None, b.shape(s.args[held]), b.dtype(s.args[held]))
        return Parts(a, t, None, frozenset({error}), (a, s.args[held]))
    match s.op:
        case "name" | "cast":
            return parts(b, s.args[0], moved)
        case "sub":
            return _of_difference(b, error, moved)
        case "mul":
            for own, other in (s.args, s.args[::-1]):
                found = parts(b, own, moved) if other not in moved and b.shape(own) == s.shape else None
                if found is not None and _is_apart(b, other, found):
                    whole = other if found.weights is None else b.mul(found.weights, other)
                    return replace(found, weights=whole, first=(*found.first, other))
        case "pick":
            several = [parts(b, a, moved) for a in s.args]
            known = [found for found in several if found is not None]
            if len(s.args) == 2 and known and known[-1].activation == s.args[0]:  # where one was taken off
                return known[-1]
            if len(known) == len(several) and all(
                b.shape(p.activation) == b.shape(a) for p, a in zip(known, s.args, strict=True)
            ):
                return _stacked(b, s, known)
    return None


def _of_difference(b: Builder, difference: int, moved: set[int]) -> Parts | None:
    left, right = b.steps[difference].args
    if (left in moved) == (right in moved):
        return None
    own, (a, t) = frozenset({difference}), (left, right) if left in moved else (right, left)
    s = b.steps[a]
    is_one = b.number_of(t) == 1
    if a == left and is_one and s.op == "pick" and len(s.args) == 1 and size(b.shape(s.args[0])) > size(s.shape):
        whole = s.args[0]
        hot = np.zeros(size(b.shape(whole)))
        hot[positions(s.params, s.shape) - 1] = 1
        return Parts(whole, b.constant(hot.reshape(b.shape(whole)), b.dtype(whole)), None, own, (whole, t))
    return Parts(a, t, None, own, (a, t))


def _stacked(b: Builder, s: Step, found: Sequence[Parts]) -> Parts:
    """The parts of a stack, each stacked as the errors are."""

    def laid(of: Sequence[int]) -> int:
        return b.pick(
            [b.broadcast(x, b.shape(p.activation)) for x, p in zip(of, found, strict=True)], s.params, s.shape
        )

    weights = None
    if any(p.weights is not None for p in found):
        one = b.number(1)
        weights = laid([one if p.weights is None else p.weights for p in found])
    activation, targets = laid([p.activation for p in found]), laid([p.targets for p in found])
    own = frozenset[int]().union(*(p.differences for p in found))
    return Parts(activation, targets, weights, own, found[0].first)


def _is_apart(b: Builder, weights: int, of: Parts) -> bool:
    """Whether weights are many numbers and share no data with what they weight: a factor that does is no weight, but a
    part of the chain rule, such as the slope at the wrong place."""
    if size(b.shape(weights)) == 1 and b.number_of(weights) is not None:
        return False
    own, its = (dependencies(b.steps, among) for among in ([weights], [of.activation, of.targets]))
    shared = [k for k in own & its if not b.steps[k].args]
    return all((n := b.number_of(k)) is not None and n.is_integer for k in shared)
