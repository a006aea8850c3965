"""Scripts that minimise several things: which update is a step of which objective, and what is one of none.

A generator and a discriminator, an actor and a critic, two models one after the other: each objective is a row of its
own, with the updates that are its.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.assumed_losses import assumed_loss
from symgrad.lifting.scripts.hypotheses import Assumed, Place
from symgrad.lifting.scripts.pairs import PRIMARY, UPDATED, Pair, Update
from symgrad.lifting.scripts.proposals import tie
from symgrad.lifting.scripts.weighing import STATED, Row, Sight, Weighing
from symgrad.program.program import dependencies, size


def shared(w: Weighing, top: Row, rows: Sequence[Row]) -> list[Row]:
    """The outputs of a script, each with the variables whose objective it is; ``top`` is the first of them.

    A variable that is right under ``top``, unless it is called after another, or that no other output speaks for, is
    its own.  Another output takes those
    that are right under it, and of those that are wrong under all the ones that it alone depends on, or for which more
    speaks: the gradient is nearly its own, is computed from what it alone is computed from, stands behind it, or is
    called as it is.
    """
    mine = _judged(w, top)
    named = _called_after(w, top, mine, rows)
    own = {v for v, s in mine.items() if s.word == "right"} - named.keys()
    fresh = _fresh(w, [top])
    primary = {w.all.update_of(p) for p in fresh if p.why in PRIMARY}
    if top.assumed is not None or not primary - own:
        return [top]
    depends = _variables_of(w, top)
    rows = [replace(r, sights=tuple(s for s in r.sights if s.pair in fresh)) for r in rows]
    settled = set().union(*(w.trails.before(mine[v].pair.steps[0][1]) for v in own))  # a derivation, and no objective
    may_be = [r for r in rows if r.sights and r.output.step not in settled]
    apart = [r for r in may_be if w.has_turns(r.output.step) or not _is_of_one_formula(w, top, r)]
    before = w.trails.before(top.output.step, w.run.trace.builder.steps)
    early = {w.all.update_of(p) for p in fresh if before & {*p.changed}}  # of a part of it, computed before the rest
    given: dict[int, list[Update]] = {}  # by the place of an output in ``rows``
    others = {
        v: [r for r in (may_be if v in early else apart) if v in _judged(w, r)
            and (v not in depends or _place(r) != _place(top))]
        for v in primary - own
    }  # fmt: skip
    for v, several in others.items():
        if right := [r for r in several if _judged(w, r)[v].word == "right"]:  # whatever it is called
            given.setdefault(rows.index(max(right, key=lambda r: (r.cue, r.score))), []).append(v)
    settled_with = {u: k for k, us in given.items() for u in us}
    for v in [v for v in others if v not in settled_with]:
        beside = {settled_with.get(u) for u in (*settled_with, *own) if _is_beside(u, v)}
        may = [r for r in others[v] if r.cue >= STATED]
        if beside:
            best = next((r for r in others[v] if rows.index(r) in beside), None)
        elif v in depends and v in mine:
            speaking = [r for r in may if _place(r) == named.get(v) or _speaks(w, r, top, mine[v], _judged(w, r)[v])]
            best = max(speaking, key=lambda r: (_judged(w, r)[v].score, r.cue), default=None)
        else:
            best = max(may, key=lambda r: (r.cue, _judged(w, r)[v].score), default=None)
            names = {r.output.name for r in may if best is not None and r.cue == best.cue}
            if len(names) > 1 and v in depends:
                best = None  # of another call than the top's, and told as unjudged
            elif len(names) > 1:
                raise tie(w, [_only(w, r, {v}) for r in may if best is not None and r.cue == best.cue])
        if best is not None:
            given.setdefault(rows.index(best), []).append(v)
    taken = {v for several in given.values() for v in several}
    unwritten = _unwritten(w, top, [p for p in fresh if w.all.update_of(p) in primary - own - taken])
    taken |= {*_judged(w, unwritten)} if unwritten is not None else set()
    first = _only(w, top, {v for v in _judged(w, top) if v not in taken})
    on_their_way = set().union(*(w.trails.before(mine[v].pair.steps[0][1]) for v in named))
    first = replace(first, sights=tuple(s for s in first.sights if s.pair.steps[0][1] not in on_their_way))
    found = [first, *(_only(w, rows[k], set(vs)) for k, vs in sorted(given.items()))]
    return [r for r in [*found, *([unwritten] if unwritten is not None else [])] if r.sights]


def _is_beside(one: Update, other: Update) -> bool:
    """Whether two updates are of one object, by one call: they are of one objective."""
    return bool(one[1] or one[2]) and one[1:] == other[1:]


def _called_after(w: Weighing, top: Row, mine: Mapping[Update, Sight], rows: Sequence[Row]) -> dict[Update, Any]:
    """The variables that are right under ``top`` and called after another output that depends on them, with its place,
    where others are called after ``top``: a generator that descends the critic's loss, ``G_W`` with the gradient of
    ``d_loss``."""
    right = {v: s.pair.input.path for v, s in mine.items() if s.word == "right"}
    found: dict[Update, Any] = {}
    for row in rows:
        theirs, its = _tags(row) - _tags(top), _tags(top) - _tags(row)
        other = row.cue >= STATED and theirs and its and not _is_of_one_formula(w, top, row)
        if other and any(_has_tag(path, t) for path in right.values() for t in its):
            for v in right.keys() & _judged(w, row).keys() & _variables_of(w, row):
                if any(_has_tag(right[v], t) for t in theirs) and not any(_has_tag(right[v], t) for t in its):
                    found.setdefault(v, _place(row))
    return found


def _unwritten(w: Weighing, top: Row, pairs: Sequence[Pair]) -> Row | None:
    """A loss that is not written down, of variables that are wrong under ``top``: all are right under it, and its error
    has nothing to do with the variables that are right under ``top``, as a critic's has not with the actor's."""
    own = {w.all.variable_of(s.pair.input) for s in top.sights if s.word == "right"}
    settled = w.trails.after({p.input.step for p in w.pairs if w.all.variable_of(p.input) in own})  # in every turn
    found = assumed_loss(w, w.run.trace.builder, pairs) if pairs and top.rights else None
    if found is None or found.rights < len(found.sights) or not isinstance(found.output.place, Assumed):
        return None
    error = found.output.place.error.step(w.steps)
    return found if error is not None and error not in settled else None


def _fresh(w: Weighing, rows: Sequence[Row]) -> list[Pair]:
    """The pairs whose input has no value that a judged gradient has changed: that is a judged variable, later."""
    changed = w.trails.after({step for r in rows for s in r.sights for _, step in s.pair.steps})
    return [p for p in w.pairs if p.input.step not in changed]


def _judged(w: Weighing, row: Row) -> dict[Update, Sight]:
    return {w.all.update_of(s.pair): s for s in row.sights}


def _only(w: Weighing, row: Row, variables: Collection[Update]) -> Row:
    """A row with what it says of some variables, and of values on their way that are right."""
    primary = {w.all.update_of(p) for p in w.pairs if p.why in PRIMARY}
    return replace(
        row,
        sights=tuple(
            s for v, s in _judged(w, row).items() if v in variables or (v not in primary and s.word == "right")
        ),
    )


def _variables_of(w: Weighing, row: Row) -> set[Update]:
    """The variables that an output depends on."""
    before = w.trails.before(row.output.step, w.run.trace.builder.steps)
    return {w.all.update_of(p) for p in w.pairs if p.input.step in before}


def _place(row: Row) -> Any:
    """Where an output is computed, in whichever turn of a loop."""
    place = row.output.place
    return place.key[:2] if isinstance(place, Place) else place


def _is_of_one_formula(w: Weighing, one: Row, other: Row) -> bool:
    """Whether one of two outputs is a part of the other: a step of it, or a value that it computes too."""
    steps = w.run.trace.builder.steps
    mine, its = (w.trails.stripped(r.output.step) for r in (one, other))
    for whole, part in ((mine, its), (its, mine)):
        before = w.trails.before(whole, steps)
        if part in before:
            return True
        alike = [i for i in before if size(steps[i].shape) == 1 and steps[i].op == steps[part].op]
        if w.is_any(part, alike):
            return True
    return False


def _speaks(w: Weighing, row: Row, top: Row, mine: Sight, its: Sight) -> bool:
    """Whether more speaks for one output than for another as that of which a wrong gradient is meant."""
    near = {"factor": 2, "partly": 1, "zeros": 1}
    if near.get(mine.word, 0) != near.get(its.word, 0):
        return near.get(its.word, 0) > near.get(mine.word, 0)
    steps = w.run.trace.builder.steps
    behind = [w.trails.before(r.output.step, steps) for r in (row, top)]
    votes = 0
    for sign, r, sight, only in ((1, row, its, behind[0] - behind[1]), (-1, top, mine, behind[1] - behind[0])):
        claim = w.trails.before(sight.pair.steps[0][1])
        after = w.trails.after({p.input.step for p in w.pairs})
        votes += sign * bool(claim & only & after)
        votes += sign * any(_ends_so(sight.pair, t) for t in _tags(r) - _tags(top if r is row else row))
    settled = max((s.pair.steps[0][1] for s in top.sights if s.word == "right"), default=0)
    votes += settled < row.output.step < its.pair.steps[0][1]  # it stands behind what is settled
    return votes > 0


def left_out(
    w: Weighing, found: Sequence[Row], rows: Sequence[Row]
) -> tuple[dict[str, tuple[int, ...]], tuple[str, ...]]:
    """The variables, with the lines of their updates, that are evidently meant to descend, and that no output was found
    for: the script is not right as long as they are unjudged.  And what is told of other updates, and of outputs that a
    gradient is only called after."""
    judged = {w.all.update_of(s.pair): r for r in found for s in of_inputs(w, r.sights)}
    of = {v[:2]: r for v, r in judged.items()}
    fresh, is_trained = _fresh(w, found), any(s.pair.why == UPDATED for r in found for s in r.sights)
    evident: dict[str, set[int]] = {}
    others: dict[str, set[int]] = {}
    claims = [w.trails.event_of.get(i) for r in found for s in r.sights for _, i in s.pair.steps]
    sums = {w.all.variable_of(event) for event in claims if event is not None}
    others_left = [p for p in w.pairs if p.why == UPDATED and w.all.variable_of(p.input) not in sums]
    for p in [p for p in others_left if w.all.update_of(p) not in judged]:
        known = of.get(w.all.variable_of(p.input))
        if known is not None and _is_of_its_place(w, p, known, rows):
            continue  # called from another line, with other data
        if known is not None or p in fresh:
            is_step = _is_called_so(p) or (is_trained and _is_descent(w, p, [*found, *rows]))
            by = evident if known is not None or is_step else others
            by.setdefault(p.input.path, set()).add(p.values[0].key[1])
    for name, line in _unseen(w, found):
        evident.setdefault(name, set()).add(line)
    notes = [
        f"Nothing was found that the steps of `{name}` in line {', '.join(map(str, sorted(lines)))} are a gradient of: "
        "they were not judged."
        for name, lines in others.items()
        if name not in evident
    ]
    pairs = [s.pair for r in found for s in r.sights]
    known = set[str]().union(*map(_tags, found))
    names = {
        r.output.name: None
        for r in rows
        if r.cue >= STATED
        and not any(f.assumed is not None for f in found)
        and not any(_is_of_one_formula(w, f, r) for f in found)
        and any(_ends_so(p, t) for p in pairs for t in _tags(r) - known)
    }
    notes += [f"Nothing was found that is meant as a gradient of `{name}`." for name in names]
    return {name: tuple(sorted(lines)) for name, lines in evident.items()}, tuple(notes)


def _unseen(w: Weighing, found: Sequence[Row]) -> Iterator[tuple[str, int]]:
    """The updates at a rate, by variable and line, of what an output is computed from, that the record does not show as
    updates: such as those that are written into a transpose."""
    known = {v.key[1] for r in found for s in r.sights for v in s.pair.values} | {n for _, n in w.trails.averages}
    judged = {w.all.variable_of(s.pair.input) for r in found for s in r.sights}
    steps = w.run.trace.builder.steps
    direct = dependencies(steps, [r.output.step for r in found if r.assumed is None], w.changed)
    assumed = [r.output.place.error.step(steps) for r in found if isinstance(r.output.place, Assumed)]
    direct |= dependencies(steps, [e for e in assumed if e is not None], w.changed)
    for line, updates in w.text.updates.items():
        for u in updates if line not in known and w.text.has_rate(line) else ():
            name = cues.root_of(u.target)
            if cues.is_gradient(name):  # what is passed from layer to layer is no variable that descends
                continue
            own = [e for e in w.events if e.path == name and w.all.variable_of(e) not in judged]
            here = [e for e in own if e.line == line and size(w.steps[e.step].shape) > 1]
            if here and direct & w.trails.before(own[0].step) and not {e.step for e in here} & w.all.moved:
                yield name, line


def _is_of_its_place(w: Weighing, p: Pair, known: Row, rows: Sequence[Row]) -> bool:
    """Whether an update of a judged variable, by another call, is to an output of the same line as its own is; or the
    same line's, of a turn that no output was looked at in."""
    own = [s for s in known.sights if w.all.variable_of(s.pair.input) == w.all.variable_of(p.input)]
    its = [(r, s) for r in rows for s in r.sights if s.pair == p]
    if not its:
        return any(s.pair.values[0].key[1] == p.values[0].key[1] for s in own)
    return any(_place(r) == _place(known) and s.word in [o.word for o in own] for r, s in its)


def _is_called_so(p: Pair) -> bool:
    """Whether an update is by what is called as the gradient for its variable."""
    return any(cues.names_gradient(label.lstrip("-"), p.input.path) for label in p.label.split(", "))


def _is_descent(w: Weighing, p: Pair, rows: Sequence[Row]) -> bool:
    """Whether an update is at a rate, of a variable that an objective is computed from."""
    steps = w.run.trace.builder.steps
    objectives = [r.output.step for r in rows if r.cue >= STATED and r.assumed is None]
    assumed = [r.output.place.error.step(steps) for r in rows if isinstance(r.output.place, Assumed)]
    direct = dependencies(steps, [*objectives, *(e for e in assumed if e is not None)], w.changed)
    return w.text.has_rate(p.values[0].key[1]) and bool(direct & {p.input.step, *p.changed})


def _tags(row: Row) -> set[str]:
    """What the name of an output says beside that it is one: ``g`` of ``loss_g``."""
    return {word for word in cues.words(row.output.name) if not cues.is_plain_loss(word)}


def _ends_so(pair: Pair, tag: str) -> bool:
    return any(_has_tag(name, tag) for name in (pair.input.path, *pair.label.split(", ")))


def _has_tag(name: str, tag: str) -> bool:
    return tag in cues.words(name) or cues.core(cues.tail(name)).endswith(tag)


def of_inputs(w: Weighing, sights: Sequence[Sight]) -> list[Sight]:
    """Those whose inputs are not computed from another one's: these are asked about together.  What is only called as
    a gradient goes before what is evidently one."""
    before = {s.pair.input.step: w.trails.before(s.pair.input.step) for s in sights}
    evident = set().union(*(before[s.pair.input.step] - {s.pair.input.step} for s in sights if s.pair.why in PRIMARY))
    sights = [s for s in sights if s.pair.why in PRIMARY or s.pair.input.step not in evident]
    inputs = {s.pair.input.step for s in sights}
    return [s for s in sights if not (before[s.pair.input.step] & inputs) - {s.pair.input.step}]
