"""Which value of a script is differentiated for which of its variables, where the script calls no autograd.

`symgrad.lifting.scripts.weighing` tells of each output that a run may have how the gradients stand to its derivative.
Here the output is chosen under which most comes out right, weighted by its cues.  A script may have several: a
generator and a discriminator, an actor and a critic, two models one after the other.  Each is a hypothesis of its own,
about the variables whose objective it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.cues import Cues
from symgrad.lifting.scripts.execution import ScriptRun
from symgrad.lifting.scripts.hypotheses import CLOSE, Assumed, Claim, Held, Hypothesis, Place, Scaled, hold
from symgrad.lifting.scripts.losses import LOSSES, Parts, errors, parts
from symgrad.lifting.scripts.pairs import NOTHING, PRIMARY, UNNAMED, UPDATED, Pair, Pairs, Told, is_called
from symgrad.lifting.scripts.proposals import asked_for, tie
from symgrad.lifting.scripts.roles import NAMED
from symgrad.lifting.scripts.script_record import Cell, Given, Key, full_paths
from symgrad.lifting.scripts.weighing import NAMED_SO, NICE, STATED, Candidate, Row, Sight, Weighing
from symgrad.program.builder import Builder
from symgrad.program.program import dependencies, size

_TARGETS = frozenset("target targets advantage advantages adv baseline bootstrap".split())
_ERRORS = 12  # differences that are tried as where a loss begins


# ------------------------------------------------------------------------------------------------ the hypothesis


def weigh(run: ScriptRun, text: Cues, told: Told = NOTHING) -> tuple[Hypothesis, ...]:
    """The hypotheses that the evidence of a run supports best, one for each output; the first explains most.

    Raises `BadInput` where nothing does, or where two outputs fit alike, with what was found and what to say;
    `UnknownName` where the user names what the script does not have.
    """
    w = Weighing(Pairs(run, text, told))
    b = run.trace.builder
    rows = [w.row(o, b, w.pairs) for o in [*w.outputs(told.output), *w.centres()]]
    if not any(r.cue >= STATED and r.rights for r in rows):
        rows += [w.row(o, b, w.pairs) for o in w.weighted(b)]
    if told.output is not None:
        rows = [r for r in rows if r.output.said is not None and is_called(r.output.said, told.output)]
    rows = sorted((r for r in rows if r.sights), key=lambda r: (r.cue < NAMED_SO, -r.score))
    top = rows[0] if rows else None
    if told.output is None and (top is None or not (top.rights or top.is_stated)):
        assumed = _assumed(w, b, w.pairs)
        if assumed is not None and top is not None and _is_written(w, top, assumed):
            assumed = None
        top = assumed if assumed is not None and (top is None or assumed.rights > top.rights) else top
    if top is None or (told == NOTHING and _is_on_the_way(w, top)):
        raise asked_for(w, told)
    w.all.refuse_namesakes([s.pair for s in top.sights])
    if told.output is None and top.assumed is None and not top.rights:
        if top.cue < STATED:
            raise asked_for(w, told)
        rivals = [r for r in rows[1:] if r.cue >= top.cue and r.output.name != top.output.name]
        rivals = [r for r in rivals if r.score > top.score - 1 and r.words != top.words]
        if rivals:
            raise tie(w, [top, *rivals])
    if told.gradients is not None:
        return (_hypothesis(w, _scaled(top)),)
    if told.output is not None:  # the others take what is theirs, and are not asked about
        others = [w.row(o, b, w.pairs) for o in w.outputs()]
        mine = next((r for r in _shared(w, top, [*rows, *others]) if r.output == top.output), top)
        return (_hypothesis(w, _scaled(mine)),)
    found = _of_one_each([_held(w, r) for r in _shared(w, top, rows)])
    first, *more = (_hypothesis(w, _scaled(r)) for r in found)
    return replace(first, notes=(*first.notes, *_left_out(w, found, rows))), *more


def _of_one_each(rows: Sequence[Row]) -> list[Row]:
    """The rows without what is wrong as one gradient and right as another: a value is the gradient of one thing."""
    right = {step for r in rows for s in r.sights if s.word == "right" for _, step in s.pair.steps}
    own = [
        replace(
            r, sights=tuple(s for s in r.sights if s.word == "right" or right.isdisjoint(i for _, i in s.pair.steps))
        )
        for r in rows
    ]
    return [r for r in own if r.sights]


def _held(w: Weighing, row: Row) -> Row:
    """An output with a target held constant, where only so its gradients are right: a semi-gradient, as of a value that
    is learnt from its own estimate of the next one."""
    place, steps = row.output.place, w.run.trace.builder.steps
    if not isinstance(place, Place) or row.rights == len(row.sights):
        return row
    before = w.trails.before(row.output.step)
    inputs = w.trails.after({s.pair.input.step for s in row.sights})
    for event in w.events:
        words, named = {*cues.words(cues.tail(event.path))}, w.trails.event_of.get(event.step) is event
        if named and event.step in before & inputs and words & _TARGETS and event.step != row.output.step:
            changed = Builder(list(steps), dict(w.run.trace.builder.inputs))
            hold(changed.steps, event.step)
            output = replace(row.output, place=Held(place, (event.key,)))
            made = w.row(output, changed, [s.pair for s in row.sights])
            if made.rights == len(row.sights):
                return replace(made, held=event.path)
    return row


# ------------------------------------------------------------------------------------------------ several outputs


def _shared(w: Weighing, top: Row, rows: Sequence[Row]) -> list[Row]:
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
    primary = {w.all.variable_of(p.input) for p in fresh if p.why in PRIMARY}
    if top.assumed is not None or not primary - own:
        return [top]
    depends = _variables_of(w, top)
    rows = [replace(r, sights=tuple(s for s in r.sights if s.pair in fresh)) for r in rows]
    settled = set().union(*(w.trails.before(mine[v].pair.steps[0][1]) for v in own))  # a derivation, and no objective
    apart = [r for r in rows if r.sights and r.output.step not in settled and not _is_of_one_formula(w, top, r)]
    given: dict[int, list[Variable]] = {}  # by the place of an output in ``rows``
    for v in primary - own:
        others = [r for r in apart if v in _judged(w, r) and (v not in depends or _place(r) != _place(top))]
        right = [r for r in others if _judged(w, r)[v].word == "right"]  # whatever it is called
        may = [r for r in others if r.cue >= STATED]
        if right:
            best = max(right, key=lambda r: (r.cue, r.score))
        elif v in depends:
            speaking = [
                r
                for r in may
                if v in mine and (_place(r) == named.get(v) or _speaks(w, r, top, mine[v], _judged(w, r)[v]))
            ]
            best = max(speaking, key=lambda r: (_judged(w, r)[v].score, r.cue), default=None)
        else:
            best = max(may, key=lambda r: (r.cue, _judged(w, r)[v].score), default=None)
            names = {r.output.name for r in may if best is not None and r.cue == best.cue}
            if len(names) > 1:
                raise tie(w, [_only(w, r, {v}) for r in may if best is not None and r.cue == best.cue])
        if best is not None:
            given.setdefault(rows.index(best), []).append(v)
    taken = {v for several in given.values() for v in several}
    unwritten = _unwritten(w, top, [p for p in fresh if w.all.variable_of(p.input) in primary - own - taken])
    taken |= {*_judged(w, unwritten)} if unwritten is not None else set()
    first = _only(w, top, {v for v in _judged(w, top) if v not in taken})
    on_their_way = set().union(*(w.trails.before(mine[v].pair.steps[0][1]) for v in named))
    first = replace(first, sights=tuple(s for s in first.sights if s.pair.steps[0][1] not in on_their_way))
    found = [first, *(_only(w, rows[k], set(vs)) for k, vs in sorted(given.items()))]
    return [r for r in [*found, *([unwritten] if unwritten is not None else [])] if r.sights]


def _called_after(w: Weighing, top: Row, mine: Mapping[Variable, Sight], rows: Sequence[Row]) -> dict[Variable, Any]:
    """The variables that are right under ``top`` and called after another output that depends on them, with its place,
    where others are called after ``top``: a generator that descends the critic's loss, ``G_W`` with the gradient of
    ``d_loss``."""
    right = {v: s.pair.input.path for v, s in mine.items() if s.word == "right"}
    found: dict[Variable, Any] = {}
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
    found = _assumed(w, w.run.trace.builder, pairs) if pairs and top.rights else None
    if found is None or found.rights < len(found.sights) or not isinstance(found.output.place, Assumed):
        return None
    error = found.output.place.error.step(w.steps)
    return found if error is not None and error not in settled else None


Variable = tuple[str, int]


def _fresh(w: Weighing, rows: Sequence[Row]) -> list[Pair]:
    """The pairs whose input has no value that a judged gradient has changed: that is a judged variable, later."""
    changed = w.trails.after({step for r in rows for s in r.sights for _, step in s.pair.steps})
    return [p for p in w.pairs if p.input.step not in changed]


def _judged(w: Weighing, row: Row) -> dict[Variable, Sight]:
    return {w.all.variable_of(s.pair.input): s for s in row.sights}


def _only(w: Weighing, row: Row, variables: Collection[Variable]) -> Row:
    """A row with what it says of some variables, and of values on their way that are right."""
    primary = {w.all.variable_of(p.input) for p in w.pairs if p.why in PRIMARY}
    return replace(
        row,
        sights=tuple(
            s for v, s in _judged(w, row).items() if v in variables or (v not in primary and s.word == "right")
        ),
    )


def _variables_of(w: Weighing, row: Row) -> set[Variable]:
    """The variables that an output depends on."""
    before = w.trails.before(row.output.step, w.run.trace.builder.steps)
    return {w.all.variable_of(p.input) for p in w.pairs if p.input.step in before}


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


def _left_out(w: Weighing, found: Sequence[Row], rows: Sequence[Row]) -> tuple[str, ...]:
    """What is told of updates that no output was found for, and of outputs that a gradient is only called after."""
    judged = {w.all.variable_of(s.pair.input) for r in found for s in _of_inputs(w, r.sights)}
    left: dict[str, set[int]] = {}
    for p in _fresh(w, found):
        if p.why == UPDATED and w.all.variable_of(p.input) not in judged:
            left.setdefault(p.input.path, set()).add(p.values[0].key[1])
    notes = [
        f"Nothing was found that the steps of `{name}` in line {', '.join(map(str, sorted(lines)))} are a gradient of: "
        "they were not judged."
        for name, lines in left.items()
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
    return *notes, *(f"Nothing was found that is meant as a gradient of `{name}`." for name in names)


def _tags(row: Row) -> set[str]:
    """What the name of an output says beside that it is one: ``g`` of ``loss_g``."""
    return {word for word in cues.words(row.output.name) if not cues.is_plain_loss(word)}


def _ends_so(pair: Pair, tag: str) -> bool:
    return any(_has_tag(name, tag) for name in (pair.input.path, *pair.label.split(", ")))


def _has_tag(name: str, tag: str) -> bool:
    return tag in cues.words(name) or cues.core(cues.tail(name)).endswith(tag)


# ------------------------------------------------------------------------------------------------ the hypothesis


def _is_on_the_way(w: Weighing, row: Row) -> bool:
    """Whether all claims are of computed values where the script updates others, of which nothing would be said."""

    def is_computed(i: int) -> bool:
        own = w.trails.origin(i)
        own = i if own is None else own
        if w.trails.event_of[own].line in w.text.updates:
            return False
        return any(k in w.trails.event_of and w.trails.origin(k) != own for k in w.trails.before(own))

    named = all(s.pair.why == NAMED and is_computed(s.pair.input.step) for s in row.sights)
    return named and bool(w.text.updates) and row.assumed is None


def _scaled(row: Row) -> Row:
    """A row all of whose claims are steps without a name and one multiple of the gradient: the rate has absorbed it."""
    factors = [s.factor for s in row.sights if s.word == "factor" and s.factor is not None and s.factor > 0]
    unnamed = all(s.pair.why == UPDATED and s.pair.label.startswith(UNNAMED) for s in row.sights)
    if (
        not factors
        or len(factors) < len(row.sights)
        or not unnamed
        or max(factors) - min(factors) > CLOSE * max(factors)
    ):
        return row
    factor = Fraction(factors[0]).limit_denominator(NICE)
    if abs(float(factor) / factors[0] - 1) > CLOSE or isinstance(row.output.place, (Assumed, Scaled, Held)):
        return row
    output = replace(row.output, place=Scaled(row.output.place, factor), name=f"{factor} * {row.output.name}")
    return replace(row, output=output)


# ------------------------------------------------------------------------------------------------ what is assumed


def _assumed(w: Weighing, b: Builder, pairs: Sequence[Pair]) -> Row | None:
    """The loss of the catalogue under which most updates are right."""
    pairs = [p for p in pairs if p.why == UPDATED]
    if not pairs:
        return None
    last = max(p.at for p in pairs)
    moved = w.trails.after({p.input.step for p in pairs})
    best: tuple[tuple[bool, bool, bool, bool, float], Row] | None = None
    found = [(e, i) for e, i in errors(w.trails, moved, last) if i not in w.numeric]
    named = {w.trails.stripped(e.step): e.path for e in reversed(w.events)}
    found = [(e, i) for e, i in found if i in named or e.op != "sub" or any(map(w.trails.variable, w.steps[i].args))]
    plain_ones = [one for one in found if one[0].op == "sub"][:_ERRORS]
    for error, step in [*plain_ones, *[one for one in found if one[0].op != "sub"][:_ERRORS]]:
        for name, loss in LOSSES.items():
            trial = Builder(list(b.steps), dict(b.inputs))
            of = parts(trial, step, moved)
            if of is None:
                break
            made = loss.write(trial, of.activation, of.targets, of.weights)
            plain = Candidate(Assumed(name, error, Fraction(1)), "the loss", made, 0.0)
            row = w.row(plain, trial, pairs)
            factors = [s.factor for s in row.sights if s.word in ("right", "factor") and s.factor]
            if not factors:
                continue
            ratio = max(factors, key=lambda f: sum(abs(f / g - 1) < 1e-6 for g in factors))
            factor = Fraction(ratio).limit_denominator(NICE)
            if factor <= 0 or abs(float(factor) / ratio - 1) > 1e-9:
                continue
            if factor != 1:
                made = trial.mul(trial.number(factor), plain.step)
                row = w.row(replace(plain, place=Assumed(name, error, factor), step=made), trial, pairs)
            text = _told(w, loss.text, of, named.get(step))
            has_slope = name == "sigmoid" and w.has_complement(of.first[0], of.differences, pairs)
            all_right, is_plain = row.rights == len(row.sights), of.weights is None
            speaks = (all_right, not has_slope, is_plain, *_plausibility(row, trial))
            if best is None or speaks > best[0]:
                best = speaks, replace(row, assumed=text if factor == 1 else f"{factor} times {text}")
    return best[1] if best is not None else None


def _is_written(w: Weighing, top: Row, assumed: Row) -> bool:
    """Whether a script writes down a loss in the place of one that might be assumed: called so, and computed from the
    same activations, or a sum that the assumed one is a term of."""
    place, steps = assumed.output.place, w.run.trace.builder.steps
    if top.cue < STATED or not isinstance(place, Assumed):
        return False
    before = dependencies(steps, [top.output.step], w.changed)  # and not by way of an update
    error = place.error.step(steps)
    is_called_so = not {"error", "err", "errors", "e", "mae"} & {*cues.words(top.output.name)}
    moved = w.trails.after({p.input.step for p in w.pairs})
    found = parts(Builder(list(steps), {}), error, moved) if error is not None else None
    if is_called_so and found is not None and found.activation in before:
        return True
    made = place.write(w.run.trace.builder, moved)
    return made is not None and w.is_any(made, [i for i in before if size(steps[i].shape) == 1 and steps[i].args])


def _plausibility(row: Row, trial: Builder) -> tuple[bool, float]:
    """What speaks for a loss that is assumed, where something is wrong: that what is nearest to the output is right.

    A slip goes on from the last layer to the first, so that no layer is right behind one that is wrong.
    """
    steps, depth, level = trial.steps, {row.output.step: 0}, [row.output.step]
    while level:
        level = [a for i in level for a in steps[i].args if depth.setdefault(a, depth[i] + 1) == depth[i] + 1]
        level = list(dict.fromkeys(level))
    known = [s for s in row.sights if s.pair.input.step in depth]
    nearest = min((depth[s.pair.input.step] for s in known), default=0)
    first = any(s.word == "right" for s in known if depth[s.pair.input.step] == nearest)
    return first, row.score


def _told(w: Weighing, text: str, of: Parts, name: str | None) -> str:
    """How a loss of these parts is said; of an error that has a name where its activation has none."""
    variables = [w.trails.variable(i) if i < w.length else None for i in of.first]
    a, t, *weights = [event.path if event is not None else None for event in variables]
    text = text.replace("{a} - {t}", name) if a is None and name is not None else text
    said = text.format(a=a or "the activation", t=t or "the targets")
    return f"{said}, each times {' and '.join(x or 'its weight' for x in weights)}" if of.weights is not None else said


def _hypothesis(w: Weighing, row: Row) -> Hypothesis:
    """A row's claims that are evidence enough: names alone where there is nothing else, or where they are right."""
    strong = any(s.pair.why in PRIMARY for s in row.sights)
    sights = [s for s in row.sights if s.pair.why in PRIMARY or s.word == "right" or not strong]
    sights = _of_inputs(w, sights)
    sights.sort(key=lambda s: s.pair.input.step)
    rates = {s.rate for s in sights if s.word == "right" and s.pair.label.startswith(UNNAMED)}
    if len(rates) == 1:  # the wrong steps have it as well
        (rate,) = rates
        sights = [replace(s, rate=rate) if s.word != "right" and w.has_rate(s.pair, rate) else s for s in sights]
    sights = [replace(s, pair=s.without(s.rate)) for s in sights]
    if any(s.renewed for s in sights):  # the updates are not there any more
        sights = [replace(s, pair=_by_name(w, s.pair)) for s in sights]
    tails = [s.pair.name or cues.tail(s.pair.input.path) for s in sights]
    paths = full_paths([s.pair.input for s in sights], w.run.namespace)
    claims: list[Claim] = []
    names: list[str] = []
    given: dict[Key, Given] = {}
    for s, tail in zip(sights, tails, strict=True):
        key, why = s.pair.input.key, s.pair.why
        given |= {s.pair.weights: "weights"} if s.pair.weights is not None else {}
        name = tail if tails.count(tail) == 1 else paths[s.pair.input]
        if s.pair.steps[0][0] < 0:
            claims.append(Claim(key, w.steady(s.pair.values[0]), s.pair.label, why))
            names.append(name)
            given[key] = name
            continue
        shape = w.steps[s.pair.input.step].shape
        own = {e: f"{name}[{', '.join(map(str, np.unravel_index(e, shape)))}]" for e, _ in s.pair.steps}
        for (entry, _), value, label in zip(s.pair.steps, s.pair.values, s.pair.label.split(", "), strict=True):
            claims.append(Claim(key, value, label, why, entry))
            names.append(own[entry])
        given[key] = tuple(Cell(own[e]) if e in own else None for e in range(size(shape)))
    named = {s.pair.input.step: given[s.pair.input.key] for s in sights}
    given |= {w.trails.event_of[c].key: named[i] for s in sights for c, i in s.renewed if i in named}
    held = tuple(w.trails.event_of[c].key for c in _held_updates(w, row, sights))
    output = w.steady(row.output.place)
    if isinstance(output, Held):
        output = replace(output, held=(*output.held, *held))
    elif held and not isinstance(output, Assumed):
        output = Held(output, held)
    return Hypothesis(
        output,
        row.output.name,
        tuple(claims),
        tuple(names),
        given,
        row.assumed,
        row.is_stated and row.rights > 0,
        tuple(_of_updated(w, row, sights)),
    )


def _of_inputs(w: Weighing, sights: Sequence[Sight]) -> list[Sight]:
    """Those whose inputs are not computed from another one's: these are asked about together."""
    before = {s.pair.input.step: w.trails.before(s.pair.input.step) for s in sights}
    return [s for s in sights if not any(k != s.pair.input.step and k in before[s.pair.input.step] for k in before)]


def _held_updates(w: Weighing, row: Row, sights: Sequence[Sight]) -> list[int]:
    """The updated values that an output is computed from, which are no functions of its inputs: it is asked about the
    values that variables have where it is computed."""
    if row.assumed is not None:
        return []
    inputs = {s.pair.input.step for s in sights}
    before, after = w.trails.before(row.output.step, w.run.trace.builder.steps), w.trails.after(inputs)
    return sorted((w.changed & before & after) - inputs)


def _by_name(w: Weighing, pair: Pair) -> Pair:
    """A pair whose claim is a variable, found by its own name and not as what an update adds."""
    event = w.trails.event_of.get(pair.steps[0][1])
    if event is None or len(pair.values) != 1:
        return pair
    return replace(pair, values=(Place(event.key, None, pair.values[0].factor),))


def _of_updated(w: Weighing, row: Row, sights: Sequence[Sight]) -> Iterator[str]:
    """What is told of gradients that are computed with values which variables have after their update."""
    if row.held is not None:
        yield f"I took `{row.held}` as held constant, though the inputs are in it: a semi-gradient."
    for s in sights:
        for e in [w.trails.event_of[c] for c in s.late] if s.pair.why == UPDATED else []:
            computed = f"ine {e.line} updates `{e.path}` before `{s.pair.label}` is computed with it"
            if s.renewed:
                yield f"L{computed}: it was judged as the gradient there, as in an alternation."
            elif s.word != "right":
                yield f"L{computed}: the gradient of `{row.output.name}` is that at the values of before."
