"""The value of a function at the point in the middle, about which a difference quotient moves its argument.

A script may compute it nowhere; it is read off the two values that it takes the difference of.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch

from symgrad.evaluation.floats import Floats
from symgrad.lifting.scripts.trails import SMALL, Quotient
from symgrad.program.builder import Builder
from symgrad.program.program import Guard, Program, Step, dependencies, dependents, interpret, positions, size

_DEEP = 64  # steps of a chain that are followed at once


def whole_values(b: Builder, q: Quotient) -> tuple[int, int]:
    """The two values of a quotient: of arrays of which one entry was taken, the arrays."""
    steps, (high, low) = b.steps, (q.high, q.low)
    s, t = steps[high], steps[low]
    if s.op == t.op == "pick" and len(s.args) == len(t.args) == 1 and size(b.shape(s.args[0])) > size(s.shape):
        return s.args[0], t.args[0]
    return high, low


def between(b: Builder, high: int, low: int, arguments: dict[int, float] | None = None) -> int | None:
    """The value of a function at the point about which a difference quotient moves its argument.  What it moves is put
    into ``arguments``, with how far ``high`` is from ``low`` there.

    ``high`` and ``low`` are the function's two values; where they differ by a small number that is added or taken away,
    and in nothing else, that number is left out.
    """
    known: dict[tuple[int, int], int | None] = {}

    def meet(i: int, j: int) -> int | None:
        if i == j:
            return i
        if (i, j) not in known:
            known[i, j] = None
            known[i, j] = met(i, j)
        return known[i, j]

    def met(i: int, j: int) -> int | None:
        s, t = b.steps[i], b.steps[j]
        if s.op == t.op and s.shape == t.shape and len(s.args) == len(t.args) and _alike(s, t):
            args = [a for a in map(meet, s.args, t.args) if a is not None]
            if len(args) == len(s.args):
                return args[0] if s.op == "name" else b.emit(s.op, args, s.params, s.shape, s.dtype)
        if "pick" in (s.op, t.op) and s.shape == t.shape and (found := by_entry(i, j)) is not None:
            return found  # of entries that were written one after the other
        one, other = moved(i), moved(j)
        if one is None and other is None:
            return None
        found = meet(i if one is None else one, j if other is None else other)
        if arguments is not None and found is not None:
            at = interpret(Program({}, tuple(b.steps), {}), Floats(), {}, [i, j])
            arguments[found] = float((at[i] - at[j]).sum())
        return found

    def by_entry(i: int, j: int) -> int | None:
        shared = dependencies(b.steps, [i]) & dependencies(b.steps, [j])
        (left, place), (right, other) = _sources(b, i, shared), _sources(b, j, shared)
        pairs = list(dict.fromkeys(zip(left.tolist(), right.tolist(), strict=True)))
        if not np.array_equal(place, other) or (i, j) in pairs or any(-1 in p and p != (-1, -1) for p in pairs):
            return None
        made = {p: meet(*p) if -1 not in p else -1 for p in pairs}
        found = {p: m for p, m in made.items() if m is not None}
        if len(found) < len(pairs):
            return None
        args = list(dict.fromkeys(m for m in found.values() if m >= 0))
        start = dict(zip(args, np.cumsum([0, *(size(b.shape(a)) for a in args)]).tolist(), strict=False))
        of = [found[p] for p in zip(left.tolist(), right.tolist(), strict=True)]
        where = [0 if m < 0 else start[m] + k + 1 for m, k in zip(of, place.tolist(), strict=True)]
        return b.pick(args, np.array(where), b.shape(i))

    def moved(i: int) -> int | None:
        """The value that a small number is added to, or taken from."""
        s = b.steps[i]
        if s.op not in ("add", "sub"):
            return None
        own, h = s.args
        return own if is_small(h) else None

    def is_small(i: int) -> bool:
        if any(b.steps[k].op == "input" for k in dependencies(b.steps, [i])):
            return False
        value = interpret(Program({}, tuple(b.steps), {}), Floats(), {}, [i])[i]
        return float(value.abs().max()) <= SMALL

    for pair in reversed(list(itertools.islice(_paired(b, high, low), _DEEP, None, _DEEP))):
        meet(*pair)  # from the end, so that no chain is followed at once
    return meet(high, low)


def _paired(b: Builder, high: int, low: int) -> Iterator[tuple[int, int]]:
    """The steps that two values are made of in the same way, in pairs, those of a value behind it."""
    seen, stack = {(high, low)}, [(high, low)]
    while stack:
        i, j = stack.pop()
        yield i, j
        s, t = b.steps[i], b.steps[j]
        if s.op == t.op and s.shape == t.shape and len(s.args) == len(t.args) and _alike(s, t):
            new = {p for p in zip(s.args, t.args, strict=True) if p[0] != p[1]} - seen
            seen |= new
            stack += new


def choose_between(b: Builder, high: int, low: int) -> None:
    """Write down, as made in the middle, the choices that the function made alike on both sides of it."""
    sides = dependencies(b.steps, [high]), dependencies(b.steps, [low])
    above, below = (
        dependents(b.steps, [i for i in mine - other if b.steps[i].args]) for mine, other in (sides, sides[::-1])
    )
    twins = zip(_asked_of(b, above - below), _asked_of(b, below - above), strict=False)
    for g, h in list(twins):
        same = (g.op, g.source, len(g.args)) == (h.op, h.source, len(h.args)) and np.array_equal(g.outcome, h.outcome)
        args = [between(b, *pair) for pair in zip(g.args, h.args, strict=True)] if same else []
        met = tuple(a for a in args if a is not None)
        if met and len(met) == len(g.args):
            b.guards.append(replace(g, args=met))


def is_by_entry(b: Builder, value: int, moved: Mapping[int, float], by: float) -> bool:
    """Whether each entry of a value is a function of the same entry of the one argument that is moved, all of whose
    entries are moved by the same."""
    (at, distance), *others = moved.items()
    n = size(b.shape(value))
    if others or b.shape(at) != b.shape(value) or not np.isclose(distance, by * n):
        return False
    program = Program({}, tuple(b.steps), {})
    before = interpret(program, Floats(), {}, [at, value])
    place = torch.arange(n).reshape(b.shape(value))
    for some in (place % 2 == 0, place < n // 2):  # no other entries change than those that are moved
        shifted = torch.where(some, before[at] + by, before[at])
        after = interpret(program, Floats(), {}, [value], replaced={at: shifted})[value]
        if not torch.equal(after[~some], before[value][~some]):
            return False
    return True


def _asked_of(b: Builder, steps: set[int]) -> list[Guard]:
    return [g for g in b.guards if not steps.isdisjoint(g.args)]


def _sources(b: Builder, i: int, known: set[int]) -> tuple[np.ndarray, np.ndarray]:
    """For each entry of a step the step that computes it, and its place there (from 0); -1 where it is a plain zero.

    What is ``known`` is looked into where it is an array that entries were written into.
    """
    s = b.steps[i]
    if s.op == "name" and (i not in known or _is_written(b, s.args[0])):
        return _sources(b, s.args[0], known)
    if s.op != "pick" or (i in known and not _is_written(b, i)):
        return np.full(size(s.shape), i), np.arange(size(s.shape))
    behind = [_sources(b, a, known) for a in s.args]
    of, place = (np.concatenate([[-1], *(part[k] for part in behind)]).astype(int) for k in (0, 1))
    where = positions(s.params, s.shape).reshape(-1)
    return of[where], place[where]


def _is_written(b: Builder, i: int) -> bool:
    s = b.steps[i]
    return s.op == "pick" and len(s.args) > 1 and size(b.shape(s.args[0])) == size(s.shape)


def _alike(s: Step, t: Step) -> bool:
    if isinstance(s.params, np.ndarray) or isinstance(t.params, np.ndarray):
        return np.array_equal(s.params, t.params)
    if s.op == "constant":
        return np.array_equal(s.params.value, t.params.value)
    return s.params == t.params
