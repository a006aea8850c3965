"""Explanations: for what is not right, each line that may be behind it, with the truth that would put it right.

Where a line is not what it claims to be, or a result is not the derivative, it may be the line itself; an earlier line
for which some true quantity makes this one right; or that the line's name was misread.  Each explanation has a price:
how far-fetched it is.  Lines that claim nothing are judged by their repairs (`symgrad.diagnosis.blame`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from symgrad.diagnosis.claims import Meaning, is_derivative_like, is_short
from symgrad.diagnosis.derivation import Derivation, Final
from symgrad.diagnosis.propagation import Fix, Over, Repair, Status, Walk, as_value_of, recompute, repeats, walk, ways
from symgrad.diagnosis.suspects import Goals, alike, increments, ranked, refit, scales_used, suspects, times
from symgrad.diagnosis.truth_table import Entry
from symgrad.diagnosis.value_matching import entries_of, same, simple_ratio
from symgrad.program.program import size
from symgrad.progress import doing

# -------------------------------------------------------------------------------------------------------- explanations

_TARGETS = 4
_OPTIONS = 5
_PATH = 120
_SUSPECTS = 8
_SOURCE = 0.05  # how much likelier a line is than one that it puts right

Key = tuple[str, int | None]


@dataclass(frozen=True, eq=False)
class Explanation:
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


def explanations(d: Derivation, w: Walk, blame: Blame, reach: set[int]) -> list[Explanation]:
    """What could be wrong, given what is not right."""
    targets: list[tuple[int, list[Entry], Final | None]] = []
    violating = [
        i for i in w.violations if i in reach and w.statuses[i].weight >= 0.25 and d.lines[i].key not in blame.misread
    ]
    claimed = [i for i in violating if d.meanings[i].how != "final"]
    first = bool(claimed) and claimed[0] == violating[0]  # then it comes first, whatever comes later
    for i in claimed[: 1 if first else _TARGETS]:
        targets.append((i, ranked(d, i, w.statuses), None))
    targets += _unlike(d, w) if not first else ()
    found: list[Explanation] = []
    if first and d.meanings[claimed[0]].how == "name" and is_short(d.lines[claimed[0]].name):
        for step, options, f in _unlike(d, w):  # what uses it may mean something else than its name says
            others = _earlier(d, w, step, _goals(d, step, options), f, blame, claimed[0])
            found += (e for e in others if _is_another(d, claimed[0], e))
    for step, options, final in targets[: 2 * _TARGETS]:
        found += itself(d, w, step, options, final, blame)
        found += _earlier(d, w, step, _goals(d, step, options), final, blame)
        if final is not None:
            found += _in_rounds(d, w, final, blame)
        if final is None:
            found.append(Explanation(misreading(d, w, step), {}, d.lines[step].key))
    unique: dict[Any, Explanation] = {}
    for e in found:
        if any(_is_of_model(d, i) for i in e.fixes):
            continue
        mark = tuple((i, None if f.entry is None else f.entry.step) for i, f in e.fixes.items())
        if mark not in unique or e.cost < unique[mark].cost:
            unique[mark] = e
    return list(unique.values())


def _is_of_model(d: Derivation, step: int) -> bool:
    """Whether a step of the derivation stands on a line that the model runs too."""
    source = d.program.steps[step].source
    return source is not None and (source.file, source.line) in d.lines_of_model


def _is_another(d: Derivation, step: int, e: Explanation) -> bool:
    """Whether an explanation puts something else in a line's place than a simple multiple of what its name says."""
    ((_, fix),) = e.fixes.items()
    if fix.entry is None or fix.entry.kind in ("adjoint", "final", "part"):
        return False
    truths = (entries_of(d.values[entry.step]) for entry in d.meanings[step].whole[:_OPTIONS])
    return all(simple_ratio(entries_of(fix.value), truth) is None for truth in truths)


def _unlike(d: Derivation, w: Walk) -> list[tuple[int, list[Entry], Final]]:
    """The results that are not right: where they stand, and what they should be."""
    found = []
    for f in d.finals:
        if f.name in w.wrong:
            wrt = d.program.inputs.get(f.name)
            entries = [e for e in d.table.entries if e.kind == "final" and e.wrt == wrt]
            found.append((f.hand if f.line is None else f.line, entries, f))
    return found


def itself(
    d: Derivation, w: Walk, step: int, options: Sequence[Entry], final: Final | None, blame: Blame
) -> list[Explanation]:
    key = key_of(d, step)
    if final is not None:
        value = as_value_of(d, options[0], step)
        value = d.values[options[0].step] if value is None else value
        cost = 1.0 if step in d.lines else 1.1
        return [Explanation(_price(key, cost, blame), {step: Fix(step, value, options[0], "final")}, key)]
    found = []
    sure = min(1.0, misreading(d, w, step))
    for k, entry in enumerate(options[:_OPTIONS]):
        value = as_value_of(d, entry, step)
        cost = 0.95 + 0.03 * k + 0.4 * (1 - sure)
        if value is None and (uses := _spread_uses(d, step, d.program.shape(entry.step))):
            truth = d.values[entry.step]
            fixes = {u: Fix(u, truth, entry, d.meanings[step].how, step) for u in uses}
            found.append(Explanation(_price(key, cost, blame), fixes, key))
        if value is not None:
            how = d.meanings[step].how
            found.append(Explanation(_price(key, cost, blame), {step: Fix(step, value, entry, how)}, key))
            for c in scales_used(d, w, step):  # the user leaves a factor such as 1/n for later
                scaled = Fix(step, times(c, value), entry, how, scale=c)
                found.append(Explanation(_price(key, cost - 0.02, blame), {step: scaled}, key))
    return found


def _spread_uses(d: Derivation, step: int, shape: tuple[int, ...]) -> list[int]:
    """Where a line that has too few entries is broadcast to the shape that it should have."""
    return [u for u in d.users.get(step, ()) if d.program.steps[u].op == "pick" and d.program.shape(u) == shape]


def misreading(d: Derivation, w: Walk, step: int) -> float:
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
    d: Derivation, w: Walk, step: int, goals: Sequence[Any], final: Final | None, blame: Blame, only: int | None = None
) -> list[Explanation]:
    """Earlier lines that, put right, make this one one of the ``goals``; ``only`` one of them.

    A line that feeds others which explain is put right for these, so that a chain of lines is followed to where it
    begins, however long it is; the search ends after so many lines that explain nothing.
    """
    if final is not None and not final.fits:
        return []
    chain: dict[int, list[Explanation]] = {}
    floors: dict[int, float] = {}  # the least that explaining a line costs, or one that it puts right
    known = {i for i, s in w.statuses.items() if _is_adjoint(s) and d.lines[i].key in blame.misread}
    failed = 0
    for u in suspects(d, w, step, known) if only is None else [only]:
        if failed >= _SUSPECTS:
            break
        truths = {v: [entries_of(e.fixes[v].value) for e in explained] for v, explained in chain.items()}
        found = _refitted(d, w, u, step, {**truths, step: goals}, blame)
        if not found and chain:
            found = _refitted(d, w, u, step, {step: goals}, blame)
        if found:
            found, floors[u] = _sources_first(d, w, u, found, chain, floors)
            chain[u] = found
        failed += not found
    return [e for found in chain.values() for e in found]


def _refitted(d: Derivation, w: Walk, u: int, step: int, goals: Goals, blame: Blame) -> list[Explanation]:
    """The true quantities that make the goals of a line ``u``, each with its price."""
    way, ends = ways(d, u, goals, w.fixes)
    if not ends or len(way) > _PATH:
        return []
    line, status = d.lines[u], w.statuses[u]
    moved = ends == [step] and all(d.program.steps[i].op in ("name", "pick", "cast") for i in way)
    if moved and (status.kind == "forward" or (step in d.lines and d.lines[step].name == line.name)):
        return []  # it is only passed on: nothing speaks for its being meant as something else
    named = is_derivative_like(line.name)
    unlike = 0.0 if named else 0.25
    unlike += (0.2 if named else 0.6) if status.kind == "forward" else 0.0
    unlike += 0.5 if status.kind == "step" and not named else 0.0
    unlike += 0.4 if status.kind == "right" else 0.0
    unlike += 0.3 if status.kind == "zero" and line.binding.version == 0 and not line.last else 0.0
    found = []
    for entry, value, scale in refit(d, w, u, way, {i: goals[i] for i in ends}):
        cost = 0.75 + 0.4 * unlike + 0.05 * min(entry.rank, 2) + (0.1 if scale is not None else 0.0)
        meaning = d.meanings.get(u, Meaning())
        cost += 0.5 * meaning.sure if meaning.whole and entry not in meaning.all else 0.0
        cost += 0.5 if _is_held(d, w, u, value) else 0.0
        fix = Fix(u, value, entry, "value", scale=scale)
        found.append(Explanation(_price(line.key, cost, blame), {u: fix}, line.key))
    return found


def _in_rounds(d: Derivation, w: Walk, final: Final, blame: Blame) -> list[Explanation]:
    """Lines that, put right, make what is first added wrongly to a result right."""
    wrong = [i for i in increments(d, w, final) if not i.right]
    return _earlier(d, w, wrong[0].step, [wrong[0].before + wrong[0].part], None, blame) if wrong else []


def _goals(d: Derivation, step: int, options: Sequence[Entry]) -> list[Any]:
    truths = [v for e in options[:8] if (v := as_value_of(d, e, step)) is not None]
    return [entries_of(v) for v in truths]


def _is_held(d: Derivation, w: Walk, u: int, value: Any) -> bool:
    """Whether another line holds this value already: then what is wrong is rather the name that a line uses."""
    n, mine, name = size(d.program.shape(u)), entries_of(value), d.lines[u].name
    lines = d.branch.program.bindings[len(d.branch.model_run.program.bindings) :]
    others = {b.step for b in lines if b.name != name and size(d.program.shape(b.step)) == n}
    return any(same(entries_of(w.values[i]), mine, d.typed) for i in others)


def _sources_first(
    d: Derivation,
    w: Walk,
    u: int,
    found: Sequence[Explanation],
    chain: Mapping[int, Sequence[Explanation]],
    floors: Mapping[int, float],
) -> tuple[list[Explanation], float]:
    """Of two lines, either of which explains, the earlier one is the likelier if it puts the later one right too.

    The explanations of line ``u`` by that, and the least price among them and those that they put right.
    """
    way, ends = ways(d, u, chain, w.fixes) if chain else ([], [])
    best, floor = [], min(e.cost for e in found)
    for e in found:
        value, cost = e.fixes[u].value, e.cost
        local = Over({u: value}, w.values)
        recompute(d, way, local)
        for v, other in [(end, other) for end in ends for other in chain[end]]:
            theirs = entries_of(other.fixes[v].value)
            if cost <= floors[v] - _SOURCE:
                continue
            if simple_ratio(entries_of(value), theirs) is not None:
                cost = other.cost + 0.2  # then the later line would do nothing
            elif same(entries_of(local[v]), theirs, d.typed):
                cost, floor = floors[v] - _SOURCE, min(floor, floors[v])
        best.append(replace(e, cost=cost))
    return best, floor


def key_of(d: Derivation, step: int) -> Key:
    """The line of code that a step is, or the input that it is returned for."""
    return (
        d.lines[step].key if step in d.lines else (next((f.name for f in d.finals if f.hand == step), "return"), None)
    )


# -------------------------------------------------------------------------------------------------- explanation search
# Explanations: which lines to put right, and with what, so that all results come right.
#
# Where a line is not what it claims to be, or a result is not the derivative, every explanation is tried, and the one
# after which the least is wrong is kept.

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
