"""Explanations: which lines to put right, and with what, so that all results come right.

Where a line is not what it claims to be, or a result is not the derivative, every explanation is tried: the line
itself; an earlier line for which some true quantity makes this one right; an earlier line for which this one can be
solved; that the line's name was misread.  The explanation after which the least is wrong is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symgrad.diagnosis.claims import Meaning
from symgrad.diagnosis.derivation import Derivation, Final
from symgrad.diagnosis.matching import entries_of, same
from symgrad.diagnosis.names import is_derivative_like
from symgrad.diagnosis.ranking import alike, ranked
from symgrad.diagnosis.solving import solved
from symgrad.diagnosis.table import Entry
from symgrad.diagnosis.walking import Fix, Over, Repair, Status, Walk, as_value_of, path, recompute, walk
from symgrad.program import size
from symgrad.progress import doing

__all__ = ["Blame", "Key", "explain", "key_of", "needed"]

_ROUNDS = 60
_HORIZON = 200  # lines that an explanation is followed for
_TARGETS = 4
_OPTIONS = 5
_REFITS = 600  # true quantities that are tried in one line's place
_SUSPECTS = 8
_PATH = 120

Key = tuple[str, int | None]


@dataclass(frozen=True, eq=False)
class _Explanation:
    """Truths in the place of lines; without any, that the name of the line ``key`` says something else."""

    cost: float
    fixes: Mapping[int, Fix]
    key: Key


@dataclass(eq=False)
class Blame:
    """The lines found wrong, with what each should be; what fitted nearly as well; the names that were misread."""

    kinds: dict[Key, Entry | None] = field(default_factory=dict)
    others: dict[Key, list[str]] = field(default_factory=dict)
    misread: set[Key] = field(default_factory=set)


def explain(d: Derivation, first: Walk, blame: Blame) -> Walk:
    """Put truths in the place of lines until every result is right."""
    now = first
    versions: dict[Key, list[int]] = {("return", None): []}
    for i, line in d.lines.items():
        versions.setdefault(line.key, []).append(i)
    reach = set(d.program.needed([f.hand for f in d.finals if f.name in first.wrong]))
    for _ in range(_ROUNDS):
        doing("looking for the wrong line")
        hidden = _hidden(d, now, blame, reach) if now.done else None
        if now.done and hidden is None:
            break
        if hidden is None:
            found = _explanations(d, now, blame, reach)
        else:
            found = _itself(d, now, hidden, ranked(d, hidden, now.statuses), None, blame)
            found.append(_Explanation(_misreading(d, now, hidden), {}, d.lines[hidden].key))
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


def _settled(e: _Explanation) -> set[Key]:
    """The line whose uses are put right by an explanation: it stays what it is, and is explained."""
    return {e.key} if any(f.line is not None for f in e.fixes.values()) else set()


def _kind(e: _Explanation) -> Entry | None:
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
        for entry in ranked(d, i, statuses, named or alike(d, wanted)):
            if entry.kind == wanted.kind or d.meanings[i].how == "final":
                value = as_value_of(d, entry, i)
                return None if value is None else Fix(i, value, entry, d.meanings[i].how)
        return None

    return repair


def _explanations(d: Derivation, w: Walk, blame: Blame, reach: set[int]) -> list[_Explanation]:
    """What could be wrong, given what is not right."""
    targets: list[tuple[int, list[Entry], Final | None]] = []
    violating = [
        i for i in w.violations if i in reach and w.statuses[i].weight >= 0.25 and d.lines[i].key not in blame.misread
    ]
    claimed = [i for i in violating if d.meanings[i].how != "final"]
    first = bool(claimed) and claimed[0] == violating[0]  # then it comes first, whatever comes later
    for i in claimed[: 1 if first else _TARGETS]:
        targets.append((i, ranked(d, i, w.statuses), None))
    for f in d.finals if not first else ():
        if f.name in w.wrong:
            step = f.hand if f.line is None else f.line
            wrt = d.program.inputs[f.name]
            entries = [e for e in d.table.entries if e.kind == "final" and e.wrt == wrt]
            targets.append((step, entries, f))
    found: list[_Explanation] = []
    for step, options, final in targets[: 2 * _TARGETS]:
        found += _itself(d, w, step, options, final, blame)
        found += _earlier(d, w, step, options, final, blame)
        if final is None:
            found.append(_Explanation(_misreading(d, w, step), {}, d.lines[step].key))
    unique: dict[Any, _Explanation] = {}
    for e in found:
        mark = tuple((i, None if f.entry is None else f.entry.step) for i, f in e.fixes.items())
        if mark not in unique or e.cost < unique[mark].cost:
            unique[mark] = e
    return list(unique.values())


def _itself(
    d: Derivation, w: Walk, step: int, options: Sequence[Entry], final: Final | None, blame: Blame
) -> list[_Explanation]:
    key = d.lines[step].key if step in d.lines else ("return", None)
    if final is not None:
        value = as_value_of(d, options[0], step)
        value = d.values[options[0].step] if value is None else value
        cost = 1.0 if step in d.lines else 1.1
        return [_Explanation(_price(key, cost, blame), {step: Fix(step, value, options[0], "final")}, key)]
    found = []
    sure = min(1.0, _misreading(d, w, step))
    for k, entry in enumerate(options[:_OPTIONS]):
        value = as_value_of(d, entry, step)
        cost = 0.95 + 0.03 * k + 0.4 * (1 - sure)
        if value is None and (uses := _spread_uses(d, step, d.program.shape(entry.step))):
            truth = d.values[entry.step]
            fixes = {u: Fix(u, truth, entry, d.meanings[step].how, step) for u in uses}
            found.append(_Explanation(_price(key, cost, blame), fixes, key))
        if value is not None:
            found.append(
                _Explanation(_price(key, cost, blame), {step: Fix(step, value, entry, d.meanings[step].how)}, key)
            )
    return found


def _spread_uses(d: Derivation, step: int, shape: tuple[int, ...]) -> list[int]:
    """Where a line that has too few entries is broadcast to the shape that it should have."""
    return [u for u in d.users.get(step, ()) if d.program.steps[u].op == "pick" and d.program.shape(u) == shape]


def _misreading(d: Derivation, w: Walk, step: int) -> float:
    """How unlikely it is that a name was misread: less likely where names like it were confirmed."""
    sure = d.meanings[step].sure
    if d.meanings[step].how == "word":
        return 5.0
    if _is_adjoint(w.statuses[step]):
        return 0.9  # it is another adjoint, exactly
    start = d.lines[step].name[:1]
    confirmed = any(
        s.kind == "right"
        and i not in w.fixes
        and d.lines[i].name[:1] == start
        and d.lines[i].name != d.lines[step].name
        for i, s in w.statuses.items()
        if i in d.meanings and d.meanings[i].whole
    )
    return 1.0 if confirmed and sure >= 0.45 else sure


def _is_adjoint(status: Status) -> bool:
    """Whether a line holds another adjoint than its name says."""
    return status.kind == "other" and status.entry is not None and status.entry.kind in ("adjoint", "final")


def _price(key: Key, cost: float, blame: Blame) -> float:
    return 0.05 if key in blame.kinds else cost


def _earlier(
    d: Derivation, w: Walk, step: int, options: Sequence[Entry], final: Final | None, blame: Blame
) -> list[_Explanation]:
    """Earlier lines that, put right, make this one right."""
    if final is not None and not final.fits:
        return []
    truths = [v for e in options[:8] if (v := as_value_of(d, e, step)) is not None]
    goals = [entries_of(v) for v in truths]
    found: list[_Explanation] = []
    for u in _suspects(d, w, step, blame)[:_SUSPECTS]:
        way = path(d, u, step, w.fixes)
        if way is None or len(way) > _PATH:
            continue
        line = d.lines[u]
        if w.statuses[u].kind == "forward" and all(d.program.steps[i].op in ("name", "pick", "cast") for i in way):
            continue  # it is only passed on: nothing speaks for its being meant as something else
        unlike = 0.0 if is_derivative_like(line.name) else 0.25
        unlike += 0.2 if w.statuses[u].kind == "forward" else 0.0
        unlike += 0.3 if w.statuses[u].kind == "zero" and line.binding.version == 0 and not line.last else 0.0
        refits = _refit(d, w, u, way, goals)
        for entry, value in refits:
            cost = 0.75 + 0.4 * unlike + 0.05 * min(entry.rank, 2)
            meaning = d.meanings.get(u, Meaning())
            cost += 0.5 * meaning.sure if meaning.whole and entry not in meaning.all else 0.0
            found.append(_Explanation(_price(line.key, cost, blame), {u: Fix(u, value, entry, "value")}, line.key))
        if not refits and w.statuses[u].kind not in ("forward", "partial"):
            for goal in goals[: 1 if final is not None else 2]:
                answer = solved(d, w.values, u, way, goal)
                if answer is not None:
                    cost = 0.95 + unlike - 0.3 * answer.overdetermined - answer.plain
                    found.append(
                        _Explanation(_price(line.key, cost, blame), {u: Fix(u, answer.value, None, "solved")}, line.key)
                    )
                    break
    return _sources_first(d, w, found)


def _sources_first(d: Derivation, w: Walk, found: Sequence[_Explanation]) -> list[_Explanation]:
    """Of two lines, either of which explains, the earlier one is the likelier if it puts the later one right too."""
    best = list(found)
    for n, e in enumerate(best):
        ((u, fix),) = e.fixes.items()
        for other in found:
            ((v, theirs),) = other.fixes.items()
            if u < v and e.cost > other.cost - 0.05 and (way := path(d, u, v, w.fixes)) is not None:
                local = Over({u: fix.value}, w.values)
                recompute(d, way, local)
                if same(entries_of(local[v]), entries_of(theirs.value), d.typed):
                    e = best[n] = _Explanation(other.cost - 0.05, e.fixes, e.key)
    return best


def _suspects(d: Derivation, w: Walk, step: int, blame: Blame) -> list[int]:
    """The lines before this one that are not known to be right, the nearest first."""
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
            if status.kind == "right" or (_is_adjoint(status) and d.lines[i].key in blame.misread):
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


def _refit(d: Derivation, w: Walk, u: int, way: Sequence[int], goals: Sequence[Any]) -> list[tuple[Entry, Any]]:
    """The true quantities which, in the place of line ``u``, give one of the goals."""
    n = size(d.program.shape(u))
    mine = entries_of(w.values[u])
    keys = [*d.derivatives.of_size(n), *(() if is_derivative_like(d.lines[u].name) else d.model.of_size(n))]
    named = {e: k for k, e in enumerate(d.meanings[u].all)}
    entries = sorted((d.entry(k) for k in keys), key=lambda e: (named.get(e, len(named)), e.rank, -e.step))
    found: list[tuple[Entry, Any]] = []
    tried: list[Any] = []
    for entry in entries[:_REFITS]:
        value = as_value_of(d, entry, u)
        if value is None or same(entries_of(value), mine, d.typed):
            continue
        values = dict.fromkeys((u,), value)
        local = Over(values, w.values)
        recompute(d, way, local)
        got = entries_of(local[way[-1]])
        if any(same(got, goal, d.typed) for goal in goals):
            if not any(same(entries_of(value), t, d.typed) for t in tried):
                found.append((entry, value))
                tried.append(entries_of(value))
            if len(found) >= 3:
                break
    return found


def key_of(d: Derivation, step: int) -> Key:
    """The line of code that a step is, or that it is returned."""
    return d.lines[step].key if step in d.lines else ("return", None)


def needed(d: Derivation, last: Walk) -> dict[int, Fix]:
    """The fixes without those lines that everything is right without, the last line first."""
    kept = dict(last.fixes)
    keys = list(dict.fromkeys(key_of(d, kept[i].owner) for i in sorted(kept)))
    if len(keys) < 2:
        return kept
    for key in reversed(keys):
        mine = [f for f in kept.values() if key_of(d, f.owner) == key]
        if all(f.how in ("word", "name") and _misreading(d, last, f.owner) > 0.9 for f in mine):
            continue  # it is wrong with all that it uses right: not needed, and wrong all the same
        fewer = {i: f for i, f in kept.items() if key_of(d, f.owner) != key}
        if fewer and walk(d, None, fewer).done:
            kept = fewer
    return kept
