"""Which of the quantities that a line may mean it means here: the one next to those that it uses.

In a pass backward the next adjoint is that of something the last one was computed from; in a pass forward, of
something that is computed from the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgrad.diagnosis.claims import Meaning
from symgrad.diagnosis.derivation import Derivation
from symgrad.diagnosis.propagation import Status
from symgrad.diagnosis.truth_table import Entry


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
