"""One pass over a derivation, with true values put in the place of some lines: what is right then, and what is not."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush
from typing import Any

import numpy as np

from symgrad.diagnosis.claims import Line, Meaning, is_derivative_like
from symgrad.diagnosis.derivation import Derivation
from symgrad.diagnosis.truth_table import Entry
from symgrad.diagnosis.value_matching import entries_of, is_zero, ratio, same
from symgrad.evaluation.balls import Balls
from symgrad.program.program import size


@dataclass(frozen=True, slots=True)
class Status:
    """What a line's value is.

    "right" (what the line means), "partial" (a part of it, or a sum under way), "zero" (a constant nought), "forward"
    (a value of the model), "other" (a true derivative, but not the one that the name says), "scaled" (that times a
    number), "step" (a step of the truth's own computation), "unknown", or "violation" (not what it means).
    """

    kind: str
    entry: Entry | None = None
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Fix:
    """A true value in the place of a line; ``entry`` is what it is, up to a factor ``scale``, None where it was solved
    for.
    """

    step: int
    value: Any
    entry: Entry | None
    how: str
    line: int | None = None  # where the truth is put into uses of a line, since it has another size: that line
    scale: Fraction | None = None
    also: tuple[Entry, ...] = ()  # what is added to the entry, where a sum is under way

    @property
    def owner(self) -> int:
        return self.step if self.line is None else self.line


@dataclass(eq=False)
class Walk:
    """What a pass found: the values that changed, each line's status, the lines and results that are not right."""

    values: Any
    changed: dict[int, Any]
    statuses: dict[int, Status]
    violations: list[int]
    wrong: list[str]
    fixes: dict[int, Fix] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return not self.wrong


def as_value_of(d: Derivation, entry: Entry, step: int, layout: str | None = None) -> Any:
    """An entry's value, laid out with the shape of a step; None where the sizes differ."""
    value = d.values[entry.step]
    shape, wanted = d.program.shape(entry.step), d.program.shape(step)
    if size(shape) != size(wanted):
        try:
            return np.broadcast_to(np.asarray(value, dtype=object), wanted)
        except ValueError:
            return None
    if shape == wanted and layout != "transposed":
        return value
    balls = entries_of(value)
    a, b = [n for n in shape if n != 1], [n for n in wanted if n != 1]
    if len(a) == 2 and (layout == "transposed" or (a != b and a == b[::-1])):
        balls = balls.reshape(a).T.reshape(-1)
    return balls.reshape(wanted) if wanted else balls[0]


def status_of(d: Derivation, line: Line, value: np.ndarray) -> Status:
    """What a line's value is; see `Status`."""
    shape = d.program.shape(line.step)
    meaning = d.meanings.get(line.step, Meaning())
    if is_zero(value):
        if any(is_zero(entries_of(d.values[e.step])) for e in meaning.whole):
            return Status("right", next(e for e in meaning.whole if is_zero(entries_of(d.values[e.step]))))
        if meaning.whole and meaning.how == "name" and not line.accumulates and not _is_written(d, line.step):
            return Status("violation", None, meaning.sure)
        return Status("zero") if meaning.how != "final" else Status("violation", None, 1.0)
    hits = [(d.entry(k), layout) for k, layout in d.derivatives.matches(value, shape)]
    whole, parts = meaning.members, meaning.parts
    for entry, _ in hits:
        if entry in whole:
            return Status("right", entry)
    if line.accumulates and not line.last:
        return Status("partial", hits[0][0] if hits else None)
    firm = [e for e, _ in hits if e.kind not in ("part", "step", "term")]
    values = d.model.matches(value, shape)
    if meaning.how in ("final", "word") and meaning.whole:
        return Status("violation", None, 1.0)
    for k, _ in values:
        if d.entry(k) in whole:
            return Status("right", d.entry(k))
    for entry, _ in hits:
        if entry in parts:
            return Status("partial", entry, 0.1 * meaning.sure)
    if values and not meaning.whole and not is_derivative_like(line.name):
        return Status("forward", d.entry(values[-1][0]))
    if firm:
        if meaning.whole:
            return Status("other", firm[0], 0.3 * meaning.sure)
        mixed = is_derivative_like(line.name) and firm[0].kind not in ("adjoint", "final")
        return Status("other" if mixed else "right", firm[0])
    if hits and hits[0][0].kind == "part":
        return Status("partial", hits[0][0], 0.1 * meaning.sure)
    if values:
        return Status("other" if meaning.whole else "forward", d.entry(values[-1][0]), 0.5 * meaning.sure)
    if meaning.whole:
        for entry in meaning.whole[:8]:
            if entry.kind != "value" and ratio(value, entries_of(d.values[entry.step])) is not None and len(value) > 1:
                return Status("scaled", entry, 0.5 * meaning.sure)
        return Status("violation", None, meaning.sure)
    return Status("step", hits[0][0]) if hits else Status("unknown")


def path(d: Derivation, start: int, end: int, fixed: Iterable[int] = ()) -> list[int] | None:
    """The steps by which ``start`` reaches ``end``, in order, none of them fixed; None if it does not."""
    return ways(d, start, [end], fixed)[0] or None


def ways(d: Derivation, start: int, ends: Collection[int], fixed: Iterable[int] = ()) -> tuple[list[int], list[int]]:
    """The steps by which ``start`` reaches some later ones and passes by no other of these, in order, none of them
    fixed; and those that it reaches.
    """
    last, closed = max(ends), {*fixed, *ends}
    heap, seen = [start], {start}
    while heap:
        i = heappop(heap)
        for u in d.users.get(i, ()) if i == start or i not in closed else ():
            if u not in seen and u <= last and (u in ends or u not in closed):
                seen.add(u)
                heappush(heap, u)
    reached = sorted(i for i in ends if i in seen and i != start)
    needed, stack = set(reached), list(reached)
    while stack:
        for a in d.program.steps[stack.pop()].args:
            if a in seen and a > start and a not in needed and a not in closed:
                needed.add(a)
                stack.append(a)
    return sorted(needed), reached


def recompute(d: Derivation, steps: Iterable[int], values: Any) -> None:
    """Read the steps again, in order, into ``values``."""
    balls = Balls(typed=d.typed)
    for i in steps:
        step = d.program.steps[i]
        if step.op not in ("input", "constant"):
            values[i] = balls.read(step, [values[a] for a in step.args])


Repair = Callable[[int, Mapping[int, Status], Any], "Fix | None"]


class Over(dict):
    """A mapping over another one, which is not changed."""

    def __init__(self, mine: Mapping[int, Any], below: Mapping[int, Any]) -> None:
        super().__init__(mine)
        self.below = below

    def __missing__(self, key: int) -> Any:
        return self.below[key]


def _is_written(d: Derivation, step: int) -> bool:
    """Whether a line's value is numbers that the code writes down, such as zeros to begin with."""
    while d.program.steps[step].op in ("name", "cast", "pick") and len(d.program.steps[step].args) == 1:
        step = d.program.steps[step].args[0]
    return d.program.steps[step].op == "constant"


_OPEN = frozenset(("violation", "scaled", "zero", "other", "unknown", "step", "partial"))


def _is_unnamed(d: Derivation, i: int, status: Status) -> bool:
    """Whether a line was taken for right by its value alone, which may be a chance."""
    return status.kind == "right" and not d.meanings.get(i, Meaning()).whole


def repeats(d: Derivation, i: int, statuses: Mapping[int, Status]) -> bool:
    """Whether a line holds what the round before held already, although there is more that it may mean."""
    line, mine = d.lines[i], statuses[i]
    if mine.kind != "right" or mine.entry is None or len(d.meanings.get(i, Meaning()).whole) < 2:
        return False
    before = max((k for k in d.lines if k < i and d.lines[k].name == line.name), default=None)
    return before is not None and (old := statuses.get(before)) is not None and old.entry is mine.entry


def walk(
    d: Derivation,
    base: Walk | None,
    fixes: Mapping[int, Fix],
    repair: Repair | None = None,
    again: Iterable[int] = (),
    until: int | None = None,
) -> Walk:
    """Read the derivation again with the fixes in their places.

    ``base`` is an earlier pass, of which everything that the new fixes do not reach is kept.  ``repair`` is asked for
    a fix at every line that is read again, and at the lines ``again``.  The pass stops after the step ``until``.
    """
    balls = Balls(typed=d.typed)
    if base is None:
        values: Any = ChainMap({}, d.values)  # type: ignore[arg-type]
        changed: dict[int, Any] = {}
        statuses: dict[int, Status] = {}
        queue = [*d.order]
        fixes_now = dict(fixes)
        fresh = True
    else:
        changed = dict(base.changed)
        statuses = dict(base.statuses)
        fixes_now = {**base.fixes, **fixes}
        start = min(fixes, default=0)
        queue = sorted({*fixes, *(i for i in again if i > start)})
        fresh = False
    values = ChainMap(changed, d.values)  # type: ignore[arg-type]
    heap = list(queue)
    seen = set(heap)
    again = seen if repair is not None else set()
    moved: set[int] = set()
    stop = None
    while heap:
        i = heappop(heap)
        if until is not None and i > until:
            stop = i
            break
        if i in fixes_now:
            if i in fixes or base is None:
                changed[i] = fixes_now[i].value
                statuses[i] = Status("right", fixes_now[i].entry)
                moved.add(i)
        else:
            step = d.program.steps[i]
            redo = any(a in moved for a in step.args)
            if redo and step.op not in ("input", "constant"):
                changed[i] = balls.read(step, [values[a] for a in step.args])
                moved.add(i)
            if i in d.lines and (redo or fresh or i in again):
                statuses[i] = status_of(d, d.lines[i], entries_of(values[i]))
                open_ = statuses[i].kind in _OPEN or _is_unnamed(d, i, statuses[i]) or repeats(d, i, statuses)
                if repair is not None and open_:
                    fix = repair(i, statuses, values)
                    if fix is not None:
                        fixes_now[i] = fix
                        changed[i] = fix.value
                        statuses[i] = Status("right", fix.entry)
                        moved.add(i)
        if i in moved:
            for u in d.users.get(i, ()):
                if u not in seen:
                    seen.add(u)
                    heappush(heap, u)
    violations = [i for i in d.lines if statuses[i].weight > 0]
    if stop is not None:
        violations = [i for i in violations if i < stop]
    wrong = []
    for f in d.finals:
        if stop is not None and f.hand >= stop:
            if f.wrong:
                wrong.append(f.name)
            continue
        if f.line is not None and f.line in fixes_now:
            continue
        if not f.fits or not same(entries_of(values[f.hand]), entries_of(d.values[f.exact]), d.typed):
            wrong.append(f.name)
    return Walk(values, changed, statuses, violations, wrong, fixes_now)
