"""Choices that no value is looked at for: how often loops run, and what counters are compared with.

A loop that a value ends runs more often at one point than at another, and its counter is a plain number, which the code
may compare, or look up in a list.  The courses of the runs at all points (`symgrad.lifting.tracing.course`) are held
against each other: what was not the same in all of them hangs on the values.  Any number of turns may be left to see,
so that a claim with such a loop is told of those that were seen; but a comparison of a counter that came out one way
alone, and a place of a list that was not read, are branches like any other.

Numbers of turns are sought between two points of which one gives fewer and one gives more: the way between them is
halved.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.checking.choices import Look, choosing, is_place, shared_tables
from symgrad.checking.comparison import Branch, PointComparison
from symgrad.checking.counters import never
from symgrad.checking.verdicts import TURNS, Choice, Outcome
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Formula
from symgrad.problem.point_search import is_ordered
from symgrad.problem.question import Problem
from symgrad.problem.sampling import rounded
from symgrad.program.program import Guard, Source
from symgrad.progress import look_at_the_clock

Key = tuple[Any, ...]
Point = Mapping[str, Any]

_BITS = 24  # of the points that are sought
_HALVINGS = 24
_DOUBLINGS = 6  # of the scale, by which more turns are sought
_ALONE = 4  # inputs that are scaled one by one
_GAPS = 12  # numbers of turns beside those that were seen
_FULL = 12  # branches of the code beyond which no more are sought for the turns alone
_LONG = 200  # turns beyond which no more are sought


@dataclass(eq=False)
class Course:
    """One loop, comparison or list in the code, and what it did at each point where the run came by."""

    key: Key
    guard: Guard
    seen: list[tuple[Point, Guard, int]] = field(default_factory=list)  # with the branch of the run

    @property
    def source(self) -> Source:
        return self.guard.source or Source(self.guard.op, "", None)

    @property
    def place(self) -> tuple[str | None, int | None, str]:
        """The file, the line and the text."""
        return self.source.file or None, self.source.line, self.source.text

    @property
    def hangs(self) -> bool:
        """Whether it hangs on the values, and is no part of the same record all the same."""
        ways = {g.outcome.tobytes() for _, g, _ in self.seen}
        return (len(ways) > 1 and len({b for *_, b in self.seen}) > 1) or (
            self.is_loop and any(g.params[0] for _, g, _ in self.seen)
        )

    @property
    def is_loop(self) -> bool:
        return self.guard.op in ("turns", "calls")

    @property
    def outcomes(self) -> dict[Any, Point]:
        """How it came out: numbers of turns, truths or places, each with the first such point."""
        found: dict[Any, Point] = {}
        for point, guard, _ in self.seen:
            rows = guard.outcome.tolist()
            for way in (bool(row[2]) for row in rows) if guard.op == "plain" else rows:
                found.setdefault(way, point)
        return found

    @property
    def left(self) -> tuple[Any, ...]:
        """The truths or places that did not come up; a counter begins with the first of its places."""
        if self.is_loop:
            return ()
        ways = (True, False) if self.guard.op == "plain" else range(min(self.outcomes), self.guard.params[0])
        return tuple(w for w in ways if w not in self.outcomes and w not in self.impossible)

    @functools.cached_property
    def impossible(self) -> tuple[bool, ...]:
        """The truths of a comparison that the code itself excludes."""
        ways = (w for w in (True, False) if self.guard.op == "plain" and w not in self.outcomes)
        return tuple(w for w in ways if never(self.source, w))

    @property
    def ended(self) -> bool:
        """Whether a loop can make no number of turns but those that were seen: it goes through so many things, at
        most, and made each number of turns from one on."""
        most = {g.params[1] for _, g, _ in self.seen}
        (all_,) = most if len(most) == 1 else (None,)
        return all_ is not None and set(range(1, all_ + 1)) <= set(self.outcomes)


def courses(looks: Sequence[Look], free: Sequence[str]) -> list[Course]:
    """What hangs on the values at these looks, where the ``free`` inputs move."""
    found: dict[Key, Course] = {}
    decided = {g.source for _, seen in looks for g in seen.guards if is_place(g)}
    for branch, seen in looks:
        for guard in (*seen.guards, *_untold(branch, seen, free)):
            if guard.op in ("turns", "calls", "plain") or (guard.op == "entry" and guard.source not in decided):
                key = _key(guard)
                found.setdefault(key, Course(key, guard)).seen.append((seen.point, guard, id(branch)))
    tables = shared_tables(looks)
    return [c for c in found.values() if c.hangs and not (c.guard.op == "entry" and c.guard.params[1] in tables)]


def _untold(branch: Branch, seen: PointComparison, free: Sequence[str]) -> Iterator[Guard]:
    """The loops of code whose text is not found, which tells no course: comparisons that are made again and again."""
    times: dict[Source, int] = {}
    for guard in choosing(branch, seen, free):
        if guard.source is not None and not guard.source.text and is_ordered(guard) and not guard.outcome.shape:
            times[guard.source] = times.get(guard.source, -1) + 1
    for source, count in times.items():
        yield Guard("turns", (), (False, None), np.array([count]), source)


def _key(guard: Guard) -> Key:
    source: Any = guard.source
    return guard.op, source.file, source.line, source.span, source.text, guard.params if guard.op == "plain" else None


# ------------------------------------------------------------------------------------------------ what is sought


def wanted(found: Sequence[Course], branches: int) -> Iterator[tuple[Course, int]]:
    """Numbers of turns that are worth to be seen, each with its loop: those at which a counter would be compared
    otherwise or reads another place; and, where few branches of the code are known, the neighbours of those that were
    seen."""
    for loop in found:
        if loop.is_loop:
            turning = [n for c in found if not c.is_loop for n in _turning(c, loop)]
            seen = sorted(loop.outcomes)
            beside = [n for n in range(max(seen[0] - 1, 0), seen[-1] + 2) if n not in seen][:_GAPS]
            for n in dict.fromkeys((*turning, *(beside if branches < _FULL else ()))):
                if 0 <= n <= _LONG and n not in loop.outcomes:
                    yield loop, n


def _turning(course: Course, loop: Course) -> Iterator[int]:
    """The turns of a loop at which a comparison that came out one way alone may come out the other way, or a place is
    read: where the gap between its sides grows with the turns by the same amount, it is known when it is closed."""
    turns = {id(point): int(g.outcome.max()) for point, g, _ in loop.seen}
    if course.guard.op == "entry":
        yield from (m for n in course.left for m in (n, n + 1))
    elif course.left:
        gaps = {
            turns[id(p)]: float((g.outcome[:, 0] - g.outcome[:, 1]).max()) for p, g, _ in course.seen if id(p) in turns
        }
        (first, last) = min(gaps, default=0), max(gaps, default=0)
        slope = (gaps[last] - gaps[first]) / (last - first) if last > first else 0.0
        if slope:
            at = round(last - gaps[last] / slope)
            yield from (at + d for d in (0, 1, -1, 2))


def point_of_turns(problem: Problem, loop: Course, count: int) -> Point | None:
    """A point at which the loop makes so many turns."""
    sides = tuple(
        f for f in (problem.model, problem.hand) if _turns_at(problem, (f,), loop, loop.seen[0][0]) is not None
    )
    at = [(int(g.outcome.max()), point) for point, g, _ in loop.seen]
    below = max(((n, p) for n, p in at if n < count), key=lambda x: x[0], default=None)
    above = min(((n, p) for n, p in at if n > count), key=lambda x: x[0], default=None)
    if above is None and below is not None:
        above = _further(problem, sides, loop, count, below[1], 1)
    elif below is None and above is not None:
        below = _further(problem, sides, loop, count, above[1], -1)
    for end in (below, above):
        if end is not None and end[0] == count:
            return end[1]
    if below is None or above is None:
        return None
    low, high = below[1], above[1]
    for _ in range(_HALVINGS):
        middle = _between(problem, low, high)
        turns = None if middle is None else _turns_at(problem, sides, loop, middle)
        if middle is None or turns is None:
            return None
        if turns == count:
            return middle
        low, high = (middle, high) if turns < count else (low, middle)
    return None


def _further(
    problem: Problem, sides: Sequence[Formula], loop: Course, count: int, start: Point, way: int
) -> tuple[int, Point] | None:
    """A point at which the loop makes as many turns or more (or fewer, where ``way`` is -1), with their number: of
    another scale, of all inputs or of one."""
    free = problem.inputs.free
    for names in (free, *([n] for n in free if 1 < len(free) <= _ALONE)):
        for sign in (1, -1):
            here, most = start, -math.inf
            for k in range(_DOUBLINGS):
                here = {**here, **{n: np.asarray(here[n]) * 2.0 ** (sign * 2**k) for n in names}}
                settled = problem.inputs.settled(dict(here))
                turns = None if settled is None else _turns_at(problem, sides, loop, settled)
                if settled is None or turns is None or way * turns < most:
                    break
                most = way * turns
                if most >= way * count:
                    return turns, settled
    return None


def _between(problem: Problem, low: Point, high: Point) -> Point | None:
    """The point in the middle: of sizes where both have one sign, which may be far apart."""
    out = dict(low)
    for n in problem.inputs.free:
        a, b = np.asarray(low[n]), np.asarray(high[n])
        if a.dtype.kind != "f":
            return None
        same = a * b > 0
        size = np.sqrt(np.abs(np.where(same, a, 1.0))) * np.sqrt(np.abs(np.where(same, b, 1.0)))
        far = same & (np.maximum(abs(a), abs(b)) > 4 * np.minimum(abs(a), abs(b)))
        out[n] = rounded(np.asarray(np.where(far, np.sign(a) * size, (a + b) / 2)), _BITS)
    if all(np.array_equal(out[n], low[n]) or np.array_equal(out[n], high[n]) for n in problem.inputs.free):
        return None
    return problem.inputs.settled(out)


def _turns_at(problem: Problem, sides: Sequence[Formula], loop: Course, point: Point) -> int | None:
    """How often the loop runs at a point in the sides that have it; None where the code raises there, or does not come
    by."""
    look_at_the_clock()
    try:
        guards = [g for side in sides for g in side.run(point, problem.dtypes).program.course]
    except SymgradError:
        return None
    return max((int(g.outcome.max()) for g in guards if _key(g) == loop.key), default=None)


# ------------------------------------------------------------------------------------------------ in words


def described(course: Course) -> Choice:
    """The choice as a report tells it."""
    source, at = course.source, course.outcomes
    if course.is_loop:
        out = [Outcome(_turns(a, b), "reached", at[a]) for a, b in _ranges(sorted(at))]
        if not course.ended:
            out.append(Outcome("other numbers of turns", "not reached"))
        return Choice(TURNS, source.text, source.file, source.line, tuple(out), branches=len(at) < 2)
    words = {True: "true", False: "false"} if course.guard.op == "plain" else {}
    states: dict[Any, Any] = dict.fromkeys(at, "reached") | dict.fromkeys(course.left, "not reached")
    states |= dict.fromkeys(course.impossible, "impossible")
    out = [Outcome(words.get(w, str(w)), state, at.get(w)) for w, state in states.items()]
    what = "a comparison of a counter" if words else "a place in a list"
    return Choice(what, source.text, source.file, source.line, tuple(out))


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The runs of numbers without a gap."""
    start = 0
    for k in range(1, len(numbers) + 1):
        if k == len(numbers) or numbers[k] != numbers[k - 1] + 1:
            yield numbers[start], numbers[k - 1]
            start = k


def _turns(first: int, last: int) -> str:
    return f"{first} turn{'s' * (first != 1)}" if first == last else f"{first} to {last} turns"
