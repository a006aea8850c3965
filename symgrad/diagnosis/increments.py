"""Results that are summed up or written in pieces: what each line adds or writes, and which part of the truth it is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.diagnosis.derivation import Derivation, Final
from symgrad.diagnosis.propagation import Fix, Walk, path
from symgrad.diagnosis.truth_table import Entry
from symgrad.diagnosis.value_matching import entries_of, is_zero, same
from symgrad.problem.definedness import origins


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


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum(abs(x - y).mid() for x, y in zip(a, b, strict=True) if (x - y).is_finite()))
