"""Earlier lines that may be behind what is not right, and the true quantities that would put it right or are meant."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from flint import arb, fmpq

from symgrad.checking.comparison import excludes_zero
from symgrad.diagnosis.claims import Meaning, is_derivative_like
from symgrad.diagnosis.derivation import Derivation, Final
from symgrad.diagnosis.propagation import Fix, Over, Status, Walk, as_value_of, path, recompute, repeats
from symgrad.diagnosis.truth_table import Entry
from symgrad.diagnosis.value_matching import entries_of, is_zero, same, simple_ratio
from symgrad.evaluation.balls import Balls, flat
from symgrad.problem.definedness import origins
from symgrad.program.cones import cone_of
from symgrad.program.program import interpret, size

# ------------------------------------------------------------------------------------------------------------- ranking
# Which of the quantities that a line may mean it means here: the one next to those that it uses.
#
# In a pass backward the next adjoint is that of something the last one was computed from; in a pass forward, of
# something that is computed from the last.


def ranked(
    d: Derivation, i: int, statuses: Mapping[int, Status], entries: Sequence[Entry] | None = None
) -> list[Entry]:
    """What a line may mean, the likeliest first: the quantity next to those that it uses, and not used up before."""
    entries = d.meanings.get(i, Meaning()).all if entries is None else entries
    if len(entries) <= 1:
        return list(entries)
    line = d.lines[i]
    beside = [s.entry for a in direct_lines(d, i) if (s := statuses.get(a)) is not None and s.entry is not None]
    after = [e.wrt for e in beside if e.kind in ("adjoint", "part", "final") and e.wrt is not None]
    before = [e.of for e in beside if e.kind in ("tangent", "local", "value") and e.of is not None]
    used = [
        s.entry
        for a, s in statuses.items()
        if a < i and a in d.lines and d.lines[a].name == line.name and s.kind == "right" and s.entry is not None
    ]
    last = used[-1] if used else None
    if not after and last is not None and last.wrt is not None:  # nothing to go by but the round before
        after = [last.wrt - 1]

    def far(e: Entry) -> float:
        if e.kind in ("adjoint", "part", "final") and e.wrt is not None:
            places = [j - e.wrt for j in after if j >= e.wrt] or [1e6 - e.wrt]
        elif e.of is not None and e.kind in ("tangent", "local", "jacobian"):
            places = [e.of - j for j in before if e.of >= j] or [1e6 + e.of]
        else:
            places = [0]
        again = 1e7 if e in used and e is last else 0.0
        return min(places) + again + (0.5 if e.kind == "part" else 0.0)

    return sorted(entries, key=far)


def direct_lines(d: Derivation, i: int) -> list[int]:
    """The lines that a line uses directly."""
    found, stack, seen = [], list(d.program.steps[i].args), set()
    while stack:
        a = stack.pop()
        if a in seen:
            continue
        seen.add(a)
        if a in d.lines:
            found.append(a)
        else:
            stack.extend(d.program.steps[a].args)
    return found


def alike(d: Derivation, entry: Entry) -> tuple[Entry, ...]:
    """The quantities that are in other rounds of a loop what this one is in its own."""

    def mark(i: int | None) -> Any:
        if i is None:
            return None
        step = d.program.steps[i]
        return step.op, step.shape, None if step.source is None else step.source.line

    mine = mark(entry.of), mark(entry.wrt)
    return tuple(e for e in d.table.entries if e.kind == entry.kind and (mark(e.of), mark(e.wrt)) == mine)


# ---------------------------------------------------------------------------------------------------------- increments
# Results that are summed up or written in pieces: what each line adds or writes, and which part of the truth it is.


@dataclass(frozen=True, slots=True)
class Increment:
    """One line that adds to a result: what it adds, what was there before, and the part of the truth that it is or,
    where it is none, the nearest that no other line adds.
    """

    step: int
    before: np.ndarray
    part: np.ndarray
    entry: Entry
    right: bool


def increments(d: Derivation, w: Walk, final: Final) -> list[Increment]:
    """What the lines that sum a result up add; nothing where it is not summed up, or no parts are known."""
    if final.line is None or not d.lines[final.line].accumulates:
        return []
    name, wrt = d.lines[final.line].name, d.program.inputs.get(final.name)
    free = [
        (e, entries_of(d.values[e.step]))
        for e in d.table.entries
        if e.wrt == wrt and e.kind in ("part", "term") and e.note != "some"
    ]
    before: Any = None
    added: list[Any] = []
    for i in (i for i in d.lines if d.lines[i].name == name):
        now = entries_of(w.values[i])
        adds = d.lines[i].accumulates and before is not None and len(before) == len(now)
        if adds and not is_zero(now - before):
            added.append((i, before, now - before))
        before = now
    found: dict[int, Increment] = {}
    for i, was, more in added:
        k = next((k for k, (_, p) in enumerate(free) if len(p) == len(more) and same(p, more, d.typed)), None)
        if k is not None:
            entry, part = free.pop(k)
            found[i] = Increment(i, was, part, entry, True)
    rest = [(i, was, more) for i, was, more in added if i not in found]
    for (i, was, _), (entry, part) in zip(rest, _paired([more for *_, more in rest], free), strict=False):
        found[i] = Increment(i, was, part, entry, False)
    return [found[i] for i, _, _ in added if i in found]


def writes(d: Derivation, fix: Fix, final: Final) -> dict[int, Fix]:
    """Where a result is written in pieces, each line whose own entries are not right, with these put right; nothing
    where the wrong entries are not all some line's.
    """
    assert final.line is not None
    truth = entries_of(fix.value)
    versions = [i for i in d.lines if d.lines[i].name == d.lines[final.line].name]
    values = {i: entries_of(d.values[i]) for i in versions}
    if len(versions) < 2 or any(len(v) != len(truth) for v in values.values()):
        return {}
    places = {i: list(zip(*(x.tolist() for x in origins(d.program, i)), strict=True)) for i in versions}
    new = {b: [k for k, o in enumerate(places[b]) if o != places[a][k]] for a, b in itertools.pairwise(versions)}
    if any(path(d, a, places[b][k][0]) for a, b in itertools.pairwise(versions) for k in new[b] if places[b][k][0] > a):
        return {}  # added to, not written
    writer = dict.fromkeys(range(len(truth)), versions[0]) | {k: i for i in versions[1:] for k in new[i]}
    wrong = {k for k in writer if not same(values[writer[k]][k : k + 1], truth[k : k + 1], d.typed)}
    if not wrong or versions[0] in {writer[k] for k in wrong}:
        return {}
    found = {}
    right = values[versions[0]]
    for i in versions[1:]:
        right = right.copy()
        for k in new[i]:
            right[k] = truth[k] if writer[k] == i else values[i][k]
        if any(writer[k] == i for k in wrong):
            shape = d.program.shape(i)
            found[i] = Fix(i, right.reshape(shape) if shape else right[0], fix.entry, "final")
    return found


def _paired(added: Sequence[np.ndarray], parts: Sequence[tuple[Entry, np.ndarray]]) -> list[tuple[Entry, np.ndarray]]:
    """Which part of the truth each wrong increment is meant to be: in order, in reverse, or the nearest."""
    left = [(e, p) for e, p in parts if added and len(p) == len(added[0])]
    if len(left) == len(added):
        return min((left, left[::-1]), key=lambda o: sum(_distance(a, p) for a, (_, p) in zip(added, o, strict=True)))
    out = []
    for more in added if len(left) > len(added) else ():
        k = min(range(len(left)), key=lambda k: _distance(more, left[k][1]))
        out.append(left.pop(k))
    return out


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum(abs(x - y).mid() for x, y in zip(a, b, strict=True) if (x - y).is_finite()))


# ------------------------------------------------------------------------------------------------------------ suspects

_REFITS = 600  # true quantities that are tried in one line's place
_SCALED = 24  # and so many up to a factor

Refit = tuple[Entry, Any, Fraction | None]
Goals = Mapping[int, Sequence[np.ndarray]]  # for each step what it may be


def suspects(d: Derivation, w: Walk, step: int, known: Collection[int] = ()) -> Iterator[int]:
    """The lines before this one that are not known to be right, the nearest first.

    A line that was taken for right by its value alone may still be meant as something else.
    """
    heap = [-a for a in d.program.steps[step].args]
    heapify(heap)
    seen = set()
    while heap:
        i = -heappop(heap)
        if i in seen or i in w.fixes:
            continue
        seen.add(i)
        if i in d.lines:
            status, name = w.statuses[i], d.lines[i].name
            sure = status.kind == "right" and (bool(d.meanings[i].whole) or status.entry is None)
            under_way = step in d.lines and d.lines[i].name == d.lines[step].name and d.lines[i].accumulates
            if i in known or under_way or (sure and not repeats(d, i, w.statuses)):
                continue
            if status.kind != "forward" or (name not in d.names.own and name not in d.names.inputs):
                yield i
            if status.kind == "forward":
                continue
        for a in d.program.steps[i].args:
            if a not in seen:
                heappush(heap, -a)


_LARGE = 2_000  # entries on a way from which one entry of its end is looked at before all


def refit(d: Derivation, w: Walk, u: int, way: Sequence[int], goals: Goals) -> list[Refit]:
    """The true quantities which, in the place of line ``u``, give one of the goals at each step that has some; if there
    are none, those that do up to a simple factor, which is told too.

    ``way`` are the steps by which the line reaches these.
    """
    mine = entries_of(w.values[u])
    entries = _candidates(d, u)
    solutions = _solutions(d, w, u, way, goals)
    if solutions is not None:
        keys = {k for s in solutions for index in (d.derivatives, d.model) for k, _ in index.matches(s, ())}
        fitting = {d.entry(k) for k in keys}
        entries = [e for e in entries if e in fitting]
    found: list[Refit] = []
    tried: list[Any] = []
    may_fit = _by_one_entry(d, w, u, way, goals)
    for entry in entries[:_REFITS]:
        value = as_value_of(d, entry, u)
        if value is None or same(entries_of(value), mine, d.typed) or not may_fit(value):
            continue
        got = _ahead(d, w, u, way, value)
        if all(any(same(entries_of(got[i]), g, d.typed) for g in wanted) for i, wanted in goals.items()):
            if not any(same(entries_of(value), t, d.typed) for t in tried):
                found.append((entry, value, None))
                tried.append(entries_of(value))
            if len(found) >= 3:
                break
    if found or len(goals) > 1:
        return found
    ((end, wanted),) = goals.items()
    return list(_scaled(d, w, u, way, end, wanted, [e for e in entries if e.kind == "adjoint"]))


def _by_one_entry(d: Derivation, w: Walk, u: int, way: Sequence[int], goals: Goals) -> Callable[[Any], bool]:
    """Whether another value in the place of a line may give the goals, as far as one entry tells of the first step that
    has some: what that entry is made of is read alone, where that is less than all arrays on the way.
    """
    end, wanted = next(iter(goals.items()))
    if not wanted or d.program.entries(way) < _LARGE:
        return lambda value: True
    before, goal = entries_of(w.values[end]), wanted[0]
    k = next((k for k, (x, y) in enumerate(zip(before, goal, strict=False)) if excludes_zero(x - y)), 0)
    cone = cone_of(d.program, {end: [k]})
    moved = {i for i in way if i in cone.entries}
    beside = {a for i in moved for a in d.program.steps[i].args if a in cone.entries} - moved - {u}
    held = {cone.place[i]: cone.cut(i, w.values[i]) for i in beside}
    if u not in cone.entries or cone.place[u] in held:
        return lambda value: True
    first, last = cone.place[u], cone.place[end]

    def may_fit(value: Any) -> bool:
        put = {**held, first: cone.cut(u, value)}
        got = flat(interpret(cone.program, Balls(typed=d.typed), {}, [last], replaced=put)[last])
        (at,) = cone.where(end, [k])
        return not all(excludes_zero(got[at] - g[k]) for g in wanted)

    return may_fit


def _solutions(d: Derivation, w: Walk, u: int, way: Sequence[int], goals: Goals) -> list[np.ndarray] | None:
    """The numbers which, in the place of a line, give the goals at the first step that has some; None where that step
    is not linear in one number.
    """
    end, wanted = next(iter(goals.items()))
    if d.typed or d.program.shape(u) or d.program.shape(end):
        return None
    at = [_ahead(d, w, u, way, arb(k))[end] for k in range(3)]
    slope = at[1] - at[0]
    if not all(isinstance(x, arb) and x.is_finite() for x in at) or not (at[2] - at[1] - slope).contains(0):
        return None
    if slope.contains(0):
        return None
    return [np.array([(g - at[0]) / slope], dtype=object) for (g,) in wanted if isinstance(g, arb)]


def _candidates(d: Derivation, u: int) -> list[Entry]:
    n = size(d.program.shape(u))
    keys = [*d.derivatives.of_size(n), *(() if is_derivative_like(d.lines[u].name) else d.model.of_size(n))]
    named = {e: k for k, e in enumerate(d.meanings[u].all)}
    return sorted((d.entry(k) for k in keys), key=lambda e: (named.get(e, len(named)), e.rank, -e.step))


def _ahead(d: Derivation, w: Walk, u: int, way: Sequence[int], value: Any) -> Mapping[int, Any]:
    """The values on a way with another one in the place of line ``u``."""
    local = Over({u: value}, w.values)
    recompute(d, way, local)
    return local


def _scaled(
    d: Derivation, w: Walk, u: int, way: Sequence[int], end: int, goals: Sequence[Any], entries: Sequence[Entry]
) -> Iterator[Refit]:
    """``err`` is often an adjoint but for a factor such as -1/2; a line that is so already is no suspect."""
    n = size(d.program.shape(u))
    mine = entries_of(w.values[u])
    if n < 2 or not goals or any(simple_ratio(mine, entries_of(d.values[e.step])) for e in entries[:_SCALED]):
        return
    shape = d.program.shape(u)
    nothing = np.array([arb(0)] * n, dtype=object).reshape(shape)
    base = entries_of(_ahead(d, w, u, way, nothing)[end])
    for entry in entries[:_SCALED]:
        value = as_value_of(d, entry, u)
        if value is None or any(type(x) is not arb for x in entries_of(value)):
            continue
        moved = entries_of(_ahead(d, w, u, way, value)[end]) - base
        for goal in goals:
            c = simple_ratio(goal - base, moved)
            if c is not None and c != 1:
                made = times(c, value)
                if same(entries_of(_ahead(d, w, u, way, made)[end]), goal, d.typed):
                    yield entry, made, c
                    return


def times(c: Fraction, value: Any) -> Any:
    """A value times a fraction."""
    factor = arb(fmpq(c.numerator, c.denominator))
    return factor * value if isinstance(value, arb) else np.asarray(value, dtype=object) * factor


def scales_used(d: Derivation, w: Walk, step: int) -> list[Fraction]:
    """The factors by which lines that this one uses differ from true adjoints: a 1/n that is left for later."""
    found: dict[Fraction, None] = {}
    for a in direct_lines(d, step):
        if not is_derivative_like(d.lines[a].name) or w.statuses[a].kind in ("right", "partial", "zero", "forward"):
            continue
        mine = entries_of(w.values[a])
        if len(mine) < 2:
            continue
        named = [e for e in d.meanings.get(a, Meaning()).whole if e.kind == "adjoint"]
        adjoints = (e for k in d.derivatives.of_size(len(mine)) if (e := d.entry(k)).kind == "adjoint")
        for entries in (named, itertools.islice(adjoints, _SCALED)):  # rather of what its name says
            ratios = [simple_ratio(mine, entries_of(d.values[e.step])) for e in entries]
            if any(c is not None for c in ratios):
                found |= dict.fromkeys(c for c in ratios if c not in (None, 1))
                break
    return list(found)
