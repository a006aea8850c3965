"""Which way the code went: its choices, and how each came out at the points of the domain that were looked at.

A choice is a comparison, the place of an extreme, an order, a number made whole: whatever the code decided by looking
at a value.  What it did not decide at any point leads to a branch that was not judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch, Look
from symgrad.problem.branch_search import is_ordered
from symgrad.problem.definedness import branches_on
from symgrad.program.program import Guard, Program

__all__ = ["Choice", "Fork", "choices", "forks", "told"]

Key = tuple[Any, ...]
_WHOLE = frozenset(("floor", "ceil", "trunc", "round", "rint"))
_STARTS = 6  # points from which a combination of choices is sought
_FEW = 6  # values that are told one by one


@dataclass(eq=False)
class Choice:
    """A choice of the code, one look at which it was made, and how it came out at all of them."""

    text: str
    guard: Guard
    branch: Branch
    point: Mapping[str, Any]
    outcomes: set[Any] = field(default_factory=set)
    whole: set[bool] = field(default_factory=set)  # how a comparison of tensors came out in all entries at once

    @property
    def ways(self) -> float:
        """How many ways it may come out."""
        guard, program = self.guard, self.branch.program
        if guard.outcome.dtype == bool or guard.op == "sign":
            return 2
        row = _row(guard, program)
        if row is not None and guard.op in ("argmax", "argmin"):
            return row[1]
        if row is not None and guard.op == "argsort":
            return math.perm(row[1], np.shape(guard.outcome)[row[0]]) if np.ndim(guard.outcome) else row[1]
        return math.inf

    @property
    def is_open(self) -> bool:
        return len(self.outcomes) < self.ways


def choices(looks: Iterable[tuple[Branch, Look]], free: Sequence[str]) -> dict[Key, Choice]:
    """The choices that the code made at these looks, by where they stand in it.

    A comparison that is a tie, or that a rounding error decided, says nothing of either side.
    """
    found: dict[Key, Choice] = {}
    for branch, seen in looks:
        for guard in _guards(branch, seen, free):
            if guard in seen.ties and is_ordered(guard):
                continue
            key = _key(branch.program, guard)
            text = f"line {guard.source.line}, {guard.source.text}" if guard.source.line else guard.source.text
            choice = found.setdefault(key, Choice(text, guard, branch, seen.point))
            here = _outcomes(guard, branch.program)
            choice.outcomes |= here
            if len(here) == 1 and guard.outcome.dtype == bool:
                choice.whole |= here
    return found


def _guards(branch: Branch, seen: Look, free: Sequence[str]) -> Iterator[Any]:
    mine = branches_on(branch.program, free)
    moving = {g.args for g in mine}
    return (g for g in seen.guards if g.source is not None and g.args in moving and np.size(g.outcome))


def _key(program: Program, guard: Guard) -> Key:
    """Where a choice stands in the code; the operations of its sides, and the numbers among them, tell two comparisons
    of one line apart."""
    source: Any = guard.source
    steps = [program.steps[a] for a in guard.args]
    sides = tuple((s.op, repr(s.params.value.tolist()) if s.op == "constant" else None) for s in steps)
    return guard.op, source.file, source.line, source.span, source.text, sides


def _row(guard: Guard, program: Program) -> tuple[int, int] | None:
    """The axis along which entries are compared with each other, and how many there are."""
    shape = program.shape(guard.args[0])
    if guard.params is None:
        return 0, int(np.prod(shape, dtype=np.int64))
    axis = guard.params[0] if isinstance(guard.params, tuple) and guard.params else guard.params
    if not isinstance(axis, int) or isinstance(axis, bool) or not shape:
        return None
    return axis % len(shape), shape[axis]


def _outcomes(guard: Guard, program: Program) -> set[Any]:
    outcome = np.asarray(guard.outcome)
    if guard.op == "argsort" and outcome.ndim and (row := _row(guard, program)) is not None:
        return set(map(tuple, np.moveaxis(outcome, row[0], -1).reshape(-1, outcome.shape[row[0]]).tolist()))
    if outcome.dtype == bool or guard.op in _WHOLE or guard.op in ("argmax", "argmin"):
        return set(np.unique(outcome).tolist())
    if guard.op == "sign":
        return set(np.unique(outcome).tolist()) - {0.0}
    return {(outcome.shape, outcome.tobytes())}


# ------------------------------------------------------------------------------------------------ combinations


@dataclass(frozen=True, eq=False)
class Fork:
    """A comparison that came out one way only after the choices ``before`` it: where, and from which point to cross
    it."""

    key: Key
    branch: Branch
    guard: Guard
    entry: int
    point: Mapping[str, Any]
    before: tuple[tuple[Guard, bool], ...] = ()


def forks(looks: Iterable[tuple[Branch, Look]], free: Sequence[str]) -> dict[Key, Fork]:
    """The combinations of comparisons that were not seen: each choice, turned round after the same choices before it.

    Comparisons of tensors of one shape are combined entry by entry.  A combination has several starts, for the way
    from one may lead across other edges first; they are numbered, the first ones come first.
    """
    paths: dict[Key, list[Fork]] = {}
    for branch, seen in looks:
        groups: dict[tuple[int, ...], list[Guard]] = {}
        for guard in _guards(branch, seen, free):
            if is_ordered(guard) and guard.op != "sign" and guard not in seen.ties:
                groups.setdefault(guard.outcome.shape, []).append(guard)
        for shape, group in groups.items():
            for entry, way in _entries(group):
                path: Key = (shape,)
                for k, (guard, outcome) in enumerate(zip(group, way, strict=True)):
                    path = (*path, (_key(branch.program, guard), outcome))
                    before = tuple(zip(group[:k], way[:k], strict=True))
                    starts = paths.setdefault(path, [])
                    if len(starts) < _STARTS:
                        starts.append(Fork(path, branch, guard, entry, seen.point, before))
    out: list[tuple[int, Key, Fork]] = []
    for path, starts in paths.items():
        key, outcome = path[-1]
        other = (*path[:-1], (key, not outcome))
        if len(path) > 2 and other not in paths:
            out += [(k, other, replace(fork, key=(*path, k))) for k, fork in enumerate(starts)]
    return {(*other, k): fork for k, other, fork in sorted(out, key=lambda x: x[0])}


def _entries(group: Sequence[Guard]) -> list[tuple[int, tuple[bool, ...]]]:
    """The different ways in which the comparisons came out at an entry, each with the first such entry."""
    table = np.stack([g.outcome.reshape(-1) for g in group], axis=1).astype(bool)
    ways, first = np.unique(table, axis=0, return_index=True)
    return [(int(k), tuple(way.tolist())) for k, way in zip(first, ways, strict=True)]


# ------------------------------------------------------------------------------------------------ in words


def told(looks: Sequence[tuple[Branch, Look]], free: Sequence[str], *, followed: bool) -> list[str]:
    """What was not judged, in words.  ``followed`` says that the sides of absolute values and signs need not be told:
    a proof holds on both."""
    lines = []
    found = choices(looks, free)
    for choice in found.values():
        if choice.is_open and not (choice.guard.op == "sign" and (followed or not choice.outcomes)):
            lines.append(_told(choice))
    for key, most in _repeated(looks, free).items():
        lines.append(
            f"a comparison ({found[key].text}) was made up to {most} times at one point, and less often at others; "
            "what comes after more of them was not judged."
        )
    return list(dict.fromkeys(lines))


def _repeated(looks: Iterable[tuple[Branch, Look]], free: Sequence[str]) -> dict[Key, int]:
    """The comparisons of single numbers that end a loop, which runs as often as they say, with their largest number."""
    times: dict[Key, set[int]] = {}
    for branch, seen in looks:
        keys = [
            _key(branch.program, g) for g in _guards(branch, seen, free) if g.outcome.shape == () and g.op != "sign"
        ]
        for key in set(keys):
            times.setdefault(key, set()).add(keys.count(key))
    return {key: max(counts) for key, counts in times.items() if len(counts) > 1 and max(counts) > 1}


def _told(choice: Choice) -> str:
    op, text, outcomes = choice.guard.op, choice.text, choice.outcomes
    points, rest = "at the points that were looked at", "the other branches were not judged."
    if choice.guard.outcome.dtype == bool:
        (outcome,) = outcomes or {False}
        return (
            f"a comparison ({text}) was {'true' if outcome else 'false'} at every point that was looked at; "
            "the other branch was not judged."
        )
    if op == "sign":
        (outcome,) = outcomes
        word = "positive" if outcome > 0 else "negative"
        return f"a value ({text}) was {word} at every point that was looked at; the other side was not judged."
    if op in ("argmax", "argmin"):
        what, total = "largest" if op == "argmax" else "smallest", choice.ways
        of = f"{len(outcomes)} of {total} places" if math.isfinite(total) else "some places"
        return f"the {what} entry ({text}) was at {of} {points}; {rest}"
    if op == "argsort":
        return f"entries are put in order ({text}): {len(outcomes)} orders came up {points}; {rest}"
    if op in _WHOLE:
        values = sorted(outcomes)
        few = [f"{v:g}" for v in values[:_FEW]] + ["..."] * (len(values) > _FEW)
        return f"a number is made whole ({text}): it was {', '.join(few)} {points}; {rest}"
    seen = f"{len(outcomes)} different ways" if len(outcomes) > 1 else "one way"
    return f"the code looks at a value ({text}): it came out {seen} {points}; {rest}"
