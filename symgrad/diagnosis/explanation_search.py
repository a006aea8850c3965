"""Explanations: which lines to put right, and with what, so that all results come right.

Where a line is not what it claims to be, or a result is not the derivative, every explanation is tried: the line
itself; an earlier line for which some true quantity makes this one right; an earlier line for which this one can be
solved; that the line's name was misread.  The explanation after which the least is wrong is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symgrad.diagnosis.derivation import Derivation
from symgrad.diagnosis.explanations import Blame, Explanation, Key, explanations, itself, key_of, misreading
from symgrad.diagnosis.propagation import Fix, Repair, Status, Walk, as_value_of, repeats, walk
from symgrad.diagnosis.ranking import alike, ranked
from symgrad.diagnosis.truth_table import Entry
from symgrad.progress import doing

__all__ = ["Blame", "Key", "explain", "key_of", "needed"]

_ROUNDS = 60
_HORIZON = 200  # lines that an explanation is followed for


def explain(d: Derivation, first: Walk, blame: Blame) -> Walk:
    """Put truths in the place of lines until every result is right."""
    now = first
    versions: dict[Key, list[int]] = {(f.name, None): [] for f in d.finals}
    for i, line in d.lines.items():
        versions.setdefault(line.key, []).append(i)
    reach = set(d.program.needed([f.hand for f in d.finals if f.name in first.wrong]))
    for _ in range(_ROUNDS):
        doing("looking for the wrong line")
        hidden = _hidden(d, now, blame, reach) if now.done else None
        if now.done and hidden is None:
            break
        if hidden is None:
            found = explanations(d, now, blame, reach)
        else:
            found = itself(d, now, hidden, ranked(d, hidden, now.statuses), None, blame)
            found.append(Explanation(misreading(d, now, hidden), {}, d.lines[hidden].key))
        if not found:
            break
        until = _until(d, now, reach)
        scored = []
        for k, e in enumerate(found):
            doing("looking for the wrong line")
            if e.fixes:
                kinds = {**blame.kinds, e.key: _kind(e)}
                ahead = walk(d, now, e.fixes, repair=_repeating(d, kinds), again=versions[e.key], until=until)
                left = _what_is_left(d, ahead, reach, blame.misread | _settled(e), until)
                left += len(set(ahead.wrong) - set(now.wrong))  # it spoils what was right
            else:
                left = _what_is_left(d, now, reach, {*blame.misread, e.key}, until)
            scored.append((round(e.cost + left, 6), k))
        scored.sort()
        best = found[scored[0][1]]
        if not best.fixes:
            blame.misread.add(best.key)
            continue
        blame.others.setdefault(best.key, [])
        for score, k in scored[1:]:
            other = found[k].key
            if score - scored[0][0] < 0.15 and other != best.key and other[0] not in blame.others[best.key]:
                blame.others[best.key].append(other[0])
        blame.kinds[best.key] = _kind(best)
        blame.misread |= _settled(best)
        now = walk(d, now, best.fixes, repair=_repeating(d, blame.kinds), again=versions[best.key])
    return now


def _hidden(d: Derivation, w: Walk, blame: Blame, reach: set[int]) -> int | None:
    """A line that is not what it surely claims, and that no result shows, since truth stands between them."""
    ends = {f.hand for f in d.finals}
    for i in w.violations:
        if i not in reach or d.lines[i].key in blame.misread or i in w.fixes:
            continue
        if w.statuses[i].kind not in ("violation", "scaled") or d.meanings[i].sure <= 0.9:
            continue
        seen, stack = {i}, [i]
        while stack and not seen & ends:
            found = [u for u in d.users.get(stack.pop(), ()) if u not in seen and u not in w.fixes]
            seen.update(found)
            stack += found
        if not seen & ends:
            return i
    return None


def _until(d: Derivation, w: Walk, reach: set[int]) -> int | None:
    """How far explanations are followed: some lines beyond the first that is not right."""
    lines = list(d.lines)
    first = next((i for i in w.violations if i in reach), None)
    end = len(lines) if first is None else lines.index(first) + _HORIZON
    return lines[end] if end < len(lines) else None


def _what_is_left(d: Derivation, w: Walk, reach: set[int], misread: set[Key], until: int | None) -> float:
    """How much is still wrong: results, and lines that are not what they claim, each line of code once."""
    weights: dict[Key, float] = {}
    for i, status in w.statuses.items():
        if i in reach and i in d.meanings and d.meanings[i].how != "final" and (until is None or i <= until):
            key = d.lines[i].key
            weight = 0.0 if key in misread else status.weight
            weight = max(weight, 0.1 if status.kind in ("unknown", "violation") else 0.0)
            weights[key] = max(weights.get(key, 0.0), weight)
    return len(w.wrong) + 0.5 * sum(weights.values())


def _settled(e: Explanation) -> set[Key]:
    """The line whose uses are put right by an explanation: it stays what it is, and is explained."""
    return {e.key} if any(f.line is not None for f in e.fixes.values()) else set()


def _kind(e: Explanation) -> Entry | None:
    (fix, *_) = e.fixes.values()
    return fix.entry


def _repeating(d: Derivation, kinds: Mapping[Key, Entry | None]) -> Repair:
    """A line of code that is wrong in one round of a loop is put right in the others as they come."""

    def repair(i: int, statuses: Mapping[int, Status], values: Any) -> Fix | None:
        line = d.lines[i]
        wanted = kinds.get(line.key)
        if wanted is None:
            return None
        named = d.meanings[i].all
        if statuses[i].kind == "right" and statuses[i].entry in alike(d, wanted) and not repeats(d, i, statuses):
            return None
        for entry in ranked(d, i, statuses, named or alike(d, wanted)):
            if entry.kind == wanted.kind or d.meanings[i].how == "final":
                value = as_value_of(d, entry, i)
                return None if value is None else Fix(i, value, entry, d.meanings[i].how)
        return None

    return repair


def needed(d: Derivation, last: Walk) -> dict[int, Fix]:
    """The fixes without those lines that everything is right without, the last line first."""
    kept = dict(last.fixes)
    keys = list(dict.fromkeys(key_of(d, kept[i].owner) for i in sorted(kept)))
    if len(keys) < 2:
        return kept
    for key in reversed(keys):
        mine = [f for f in kept.values() if key_of(d, f.owner) == key]
        if all(f.how in ("word", "name") and misreading(d, last, f.owner) > 0.9 for f in mine):
            continue  # it is wrong with all that it uses right: not needed, and wrong all the same
        fewer = {i: f for i, f in kept.items() if key_of(d, f.owner) != key}
        if fewer and walk(d, None, fewer).done:
            kept = fewer
    return kept
