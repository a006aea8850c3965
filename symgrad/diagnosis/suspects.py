"""Earlier lines that may be behind what is not right, and the true quantities that would put it right."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import acb, arb, arb_mat, fmpq

from symgrad.diagnosis.claims import is_derivative_like
from symgrad.diagnosis.derivation import Derivation, Final
from symgrad.diagnosis.propagation import Fix, Over, Walk, as_value_of, path, recompute, repeats
from symgrad.diagnosis.ranking import direct_lines
from symgrad.diagnosis.truth_table import Entry
from symgrad.diagnosis.value_matching import entries_of, is_zero, ratio, same
from symgrad.problem.definedness import origins
from symgrad.program.program import size

__all__ = [
    "Answer",
    "Increment",
    "increments",
    "recurrence",
    "refit",
    "scales_used",
    "simple_ratio",
    "solved",
    "suspects",
    "times",
    "work_of",
    "writes",
]


# ------------------------------------------------------------------------------------------------------------- solving
# Solving a line for one of the lines that it uses, where that is more than fitting a number.
#
# Any number can be fitted to one equation.  An answer says much where there are more equations than unknowns and they
# agree, or where it stands to the line's own value in a plain ratio, or differs from it in some entries only; otherwise
# it counts only for a line that does the work which others pass on.

_UNKNOWNS = 24
_EQUATIONS = 256
_NEWTON = 16
_HALVINGS = 8
_CLOSE = 180  # bits to which a solution has to hold
_RATIOS = tuple(Fraction(p, q) for p in range(-6, 7) for q in range(1, 7) if p and Fraction(p, q) != 1)


@dataclass(frozen=True, slots=True)
class Answer:
    value: Any
    overdetermined: bool
    plain: float  # how much its standing to the line's own value speaks for it


def solved(d: Derivation, values: Mapping[int, Any], u: int, way: Sequence[int], goal: np.ndarray) -> Answer | None:
    """The value of line ``u`` for which the last step of ``way`` is ``goal``; None where it cannot be told."""
    n, m = size(d.program.shape(u)), len(goal)
    mine = entries_of(values[u])
    if n > _UNKNOWNS or m > _EQUATIONS or m < n:
        return None
    if any(isinstance(x, acb) or not x.is_finite() for x in (*mine, *goal)):
        return None
    shape = d.program.shape(u)

    def read(z: Sequence[Any]) -> np.ndarray | None:
        flat = np.empty(n, dtype=object)
        flat[:] = list(z)
        local = Over({u: flat.reshape(shape) if shape else flat[0]}, values)
        recompute(d, way, local)
        out = entries_of(local[way[-1]])
        if len(out) != m or any(isinstance(x, acb) or not x.is_finite() for x in out):
            return None
        return np.array([x.mid() for x in out], dtype=object)

    target = [x.mid() for x in goal]
    scale = max((abs(t) for t in target), default=arb(0))
    if scale == 0:
        return None
    z = [x.mid() for x in mine]
    step = arb(2) ** -100
    for _ in range(_NEWTON):
        here = read(z)
        if here is None:
            return None
        off = [t - h for t, h in zip(target, here, strict=True)]
        if max(abs(x) for x in off) < scale * arb(2) ** -_CLOSE:
            break
        columns = []
        for k in range(n):
            h = step * (abs(z[k]) + step)
            if z[k] == 0:
                h = step
            beside = read([x + h if j == k else x for j, x in enumerate(z)])
            if beside is None:
                return None
            columns.append([((b - a) / h).mid() for a, b in zip(here, beside, strict=True)])
        live = [k for k in range(n) if any(x != 0 for x in columns[k])]
        if not live or m < len(live):
            return None
        j = arb_mat([[columns[k][r] for k in live] for r in range(m)])
        right = arb_mat([[x] for x in off])
        try:
            move = (j.transpose() * j).solve(j.transpose() * right)
        except (ZeroDivisionError, ValueError):
            return None
        moved = [move[r, 0] for r in range(len(live))]
        if not all(x.is_finite() for x in moved):
            return None
        z = _moved(read, z, dict(zip(live, moved, strict=True)), target, max(abs(x) for x in off))
    else:
        return None
    close = arb(2) ** -40
    unchanged = [abs(a - b) <= abs(a) * close for a, b in zip(z, (x.mid() for x in mine), strict=True)]
    if all(unchanged):
        return None
    value = np.empty(n, dtype=object)
    value[:] = [arb(x, abs(x) * arb(2) ** -120) for x in z]
    plain = 0.25 if _plain_ratio(z, [x.mid() for x in mine], close) else 0.1 if any(unchanged) and n > 2 else 0.0
    return Answer(value.reshape(shape) if shape else value[0], m > n, plain)


def _moved(
    read: Callable[[Sequence[Any]], Any], z: Sequence[Any], move: Mapping[int, Any], target: Sequence[Any], far: Any
) -> list[Any]:
    """A Newton step, halved while it leads further away than ``far``."""
    out = list(z)
    for half in range(_HALVINGS):
        out = [(x + move[k] * arb(2) ** -half).mid() if k in move else x for k, x in enumerate(z)]
        there = read(out)
        if there is not None and max(abs(t - h) for t, h in zip(target, there, strict=True)) < far:
            break
    return out


def _plain_ratio(a: Sequence[Any], b: Sequence[Any], close: Any) -> bool:
    """Whether a is a small rational number times b."""
    k = next((k for k, x in enumerate(b) if x != 0), None)
    if k is None:
        return False
    c = a[k] / b[k]
    if not any(abs(c - arb(q.numerator) / q.denominator) <= close for q in _RATIOS):
        return False
    return all(abs(x - c * y) <= close * abs(x) for x, y in zip(a, b, strict=True))


# ------------------------------------------------------------------------------------------------------------ suspects

_SUSPECTS = 8
_REFITS = 600  # true quantities that are tried in one line's place
_SCALED = 24  # and so many up to a factor
_GOALS = 16
_SIMPLE = 12  # the largest denominator of such a factor

Refit = tuple[Entry, Any, Fraction | None]


def suspects(d: Derivation, w: Walk, step: int, known: Collection[int] = ()) -> list[int]:
    """The lines before this one that are not known to be right, the nearest first.

    A line that was taken for right by its value alone may still be meant as something else.
    """
    found: list[int] = []
    stack = list(d.program.steps[step].args)
    seen = set()
    while stack:
        i = max(stack)
        stack.remove(i)
        if i in seen or i in w.fixes:
            continue
        seen.add(i)
        if i in d.lines:
            status, name = w.statuses[i], d.lines[i].name
            sure = status.kind == "right" and (bool(d.meanings[i].whole) or status.entry is None)
            under_way = step in d.lines and d.lines[i].name == d.lines[step].name and d.lines[i].accumulates
            if i in known or under_way or (sure and not repeats(d, i, w.statuses)):
                continue
            if status.kind == "forward":
                if name not in d.names.own and name not in d.names.inputs:
                    found.append(i)
                continue
            found.append(i)
            if len(found) >= _SUSPECTS:
                break
        stack += [a for a in d.program.steps[i].args if a not in seen]
    return found


def refit(d: Derivation, w: Walk, u: int, way: Sequence[int], goals: Sequence[Any]) -> list[Refit]:
    """The true quantities which, in the place of line ``u``, give one of the goals; if there are none, those that do
    up to a simple factor, which is told too.
    """
    mine = entries_of(w.values[u])
    entries = _candidates(d, u)
    found: list[Refit] = []
    tried: list[Any] = []
    for entry in entries[:_REFITS]:
        value = as_value_of(d, entry, u)
        if value is None or same(entries_of(value), mine, d.typed):
            continue
        got = _ahead(d, w, u, way, value)
        if any(same(got, goal, d.typed) for goal in goals):
            if not any(same(entries_of(value), t, d.typed) for t in tried):
                found.append((entry, value, None))
                tried.append(entries_of(value))
            if len(found) >= 3:
                break
    return found or list(_scaled(d, w, u, way, goals, [e for e in entries if e.kind == "adjoint"]))


def _candidates(d: Derivation, u: int) -> list[Entry]:
    n = size(d.program.shape(u))
    keys = [*d.derivatives.of_size(n), *(() if is_derivative_like(d.lines[u].name) else d.model.of_size(n))]
    named = {e: k for k, e in enumerate(d.meanings[u].all)}
    return sorted((d.entry(k) for k in keys), key=lambda e: (named.get(e, len(named)), e.rank, -e.step))


def _ahead(d: Derivation, w: Walk, u: int, way: Sequence[int], value: Any) -> np.ndarray:
    """What the last step of a way is with another value in the place of line ``u``."""
    local = Over({u: value}, w.values)
    recompute(d, way, local)
    return entries_of(local[way[-1]])


def _scaled(
    d: Derivation, w: Walk, u: int, way: Sequence[int], goals: Sequence[Any], entries: Sequence[Entry]
) -> Iterator[Refit]:
    """``err`` is often an adjoint but for a factor such as -1/2; a line that is so already is no suspect."""
    n = size(d.program.shape(u))
    mine = entries_of(w.values[u])
    if n < 2 or not goals or any(simple_ratio(mine, entries_of(d.values[e.step])) for e in entries[:_SCALED]):
        return
    shape = d.program.shape(u)
    nothing = np.array([arb(0)] * n, dtype=object).reshape(shape)
    base = _ahead(d, w, u, way, nothing)
    for entry in entries[:_SCALED]:
        value = as_value_of(d, entry, u)
        if value is None or any(type(x) is not arb for x in entries_of(value)):
            continue
        moved = _ahead(d, w, u, way, value) - base
        for goal in goals:
            c = simple_ratio(goal - base, moved)
            if c is not None and c != 1:
                made = times(c, value)
                if same(_ahead(d, w, u, way, made), goal, d.typed):
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
        adjoints = (e for k in d.derivatives.of_size(len(mine)) if (e := d.entry(k)).kind == "adjoint")
        for entry in itertools.islice(adjoints, _SCALED):
            c = simple_ratio(mine, entries_of(d.values[entry.step]))
            found |= {} if c in (None, 1) or len(mine) < 2 else {c: None}
    return list(found)


def simple_ratio(a: np.ndarray, b: np.ndarray) -> Fraction | None:
    """The simple fraction c with a = c b, if there is one."""
    c = ratio(a, b)
    if c is None or type(c) is not arb:
        return None
    simple = Fraction(float(c.mid())).limit_denominator(_SIMPLE)
    return simple if simple and c.contains(fmpq(simple.numerator, simple.denominator)) else None


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
    """Which part of the truth each wrong increment is meant to be: in the model's order, or in reverse, where there
    are as many, else each the nearest that is left.
    """
    left = [(e, p) for e, p in parts if added and len(p) == len(added[0])]
    if len(left) == len(added):
        return min((left, left[::-1]), key=lambda o: sum(_distance(a, p) for a, (_, p) in zip(added, o, strict=True)))
    out = []
    for more in added if len(left) > len(added) else ():
        k = min(range(len(left)), key=lambda k: _distance(more, left[k][1]))
        out.append(left.pop(k))
    return out


def recurrence(d: Derivation, w: Walk, final: Final) -> list[tuple[int, list[Any]]]:
    """Where a result comes of a recurrence: its first round that holds no adjoint, and what it may hold."""
    if final.line is None:
        return []
    rounds = [i for i in d.lines if d.lines[i].key == d.lines[final.line].key]
    first = next((i for i in rounds[:-1] if w.statuses[i].kind in ("unknown", "violation")), None)
    if first is None:
        return []
    mine = entries_of(w.values[first])
    values = (as_value_of(d, e, first) for e in d.table.entries if e.kind == "adjoint")
    goals = [entries_of(v) for v in values if v is not None and len(entries_of(v)) == len(mine)]
    return [(first, sorted(goals, key=lambda g: _distance(mine, g))[:_GOALS])]


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum(abs(x - y).mid() for x, y in zip(a, b, strict=True) if (x - y).is_finite()))


def work_of(d: Derivation, i: int) -> int:
    """How many operations a line does by itself."""
    count, stack, seen = 0, [i], set()
    while stack:
        k = stack.pop()
        for a in d.program.steps[k].args:
            if a not in seen and a not in d.lines:
                seen.add(a)
                stack.append(a)
        count += d.program.steps[k].op not in ("name", "cast", "pick", "input", "constant")
    return max(count, 1)
