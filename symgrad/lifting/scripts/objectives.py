"""Which value of a script is differentiated for which of its variables, where the script calls no autograd.

`symgrad.lifting.scripts.weighing` tells of each output that a run may have how the gradients stand to its derivative.
Here the output is chosen under which most comes out right, weighted by its cues.  A script may have several: a
generator and a discriminator, an actor and a critic, two models one after the other.  Each is a hypothesis of its own,
about the variables whose objective it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.assumed_losses import assumed_loss, is_written
from symgrad.lifting.scripts.cues import Cues
from symgrad.lifting.scripts.execution import ScriptRun
from symgrad.lifting.scripts.hessians import compared_matrix
from symgrad.lifting.scripts.hypotheses import CLOSE, Assumed, Claim, Held, Hypothesis, Place, Scaled, hold
from symgrad.lifting.scripts.pairs import NOTHING, PRIMARY, UNNAMED, UPDATED, Pair, Pairs, Told, is_called
from symgrad.lifting.scripts.policies import policy_objective
from symgrad.lifting.scripts.proposals import asked_for, drawn_states, tie
from symgrad.lifting.scripts.roles import NAMED
from symgrad.lifting.scripts.script_record import Cell, Given, Key, full_paths
from symgrad.lifting.scripts.several_objectives import left_out, of_inputs, shared
from symgrad.lifting.scripts.weighing import NAMED_SO, NICE, STATED, Row, Sight, Weighing
from symgrad.program.builder import Builder
from symgrad.program.program import size

_PASSED = 6.0  # what an output loses that is passed on the way to another, and under which nothing is right
_TARGETS = frozenset("target targets advantage advantages adv baseline bootstrap".split())


# ------------------------------------------------------------------------------------------------ the hypothesis


def weigh(run: ScriptRun, text: Cues, told: Told = NOTHING) -> tuple[Hypothesis, ...]:
    """The hypotheses that the evidence of a run supports best, one for each output; the first explains most.

    Raises `BadInput` where nothing does, or where two outputs fit alike, with what was found and what to say;
    `UnknownName` where the user names what the script does not have.
    """
    w = Weighing(Pairs(run, text, told))
    b = run.trace.builder
    if told == NOTHING and (matrix := compared_matrix(w)) is not None:
        return (matrix,)
    rows = [w.row(o, b, w.pairs) for o in [*w.outputs(told.output), *w.centres()]]
    if not any(r.cue >= STATED and r.rights for r in rows):
        rows += [w.row(o, b, w.pairs) for o in w.weighted(b)]
    if told.output is not None:
        rows = [r for r in rows if r.output.said is not None and is_called(r.output.said, told.output)]
    right = {w.all.update_of(s.pair) for r in rows for s in r.sights if s.word == "right"}
    rows = [
        _held(w, r) if r.cue >= STATED and any(w.all.update_of(s.pair) not in right for s in r.sights) else r
        for r in rows
    ]
    rows = [r for r in rows if r.sights]
    passed = {id(r) for r in rows if not r.rights and _is_passed(w, r, rows)}
    rows.sort(key=lambda r: (r.cue < NAMED_SO, _PASSED * (id(r) in passed) - r.score))
    top = rows[0] if rows else None
    if told.output is None and (top is None or not (top.rights or top.is_stated)):
        assumed = assumed_loss(w, b, w.pairs)
        drawn = policy_objective(w, b, w.pairs) if w.run.trace.draws else None
        if drawn is not None and (assumed is None or drawn.rights > assumed.rights):
            assumed = drawn
        if assumed is not None and top is not None and is_written(w, top, assumed):
            assumed = None
        top = assumed if assumed is not None and (top is None or assumed.rights > top.rights) else top
    if top is None or (told == NOTHING and _is_on_the_way(w, top)):
        raise asked_for(w, told)
    if told == NOTHING and not top.rights and (asked := drawn_states(w, top)) is not None:
        raise asked
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
        mine = next((r for r in shared(w, top, [*rows, *others]) if r.output == top.output), top)
        return (_hypothesis(w, _scaled(mine)),)
    found = _of_one_each([_held(w, r) for r in shared(w, top, rows)])
    first, *more = (_hypothesis(w, _scaled(r)) for r in found)
    unjudged, notes = left_out(w, found, rows)
    return replace(first, notes=(*first.notes, *notes), unjudged={} if told.wrt else unjudged), *more


def _is_passed(w: Weighing, row: Row, rows: Sequence[Row]) -> bool:
    """Whether an output is only on the way: to another one, or to what is meant as a gradient where another output is
    not, such as a length that is called L."""

    def is_used(r: Row) -> bool:
        return any(r.output.step in w.trails.before(i) for s in row.sights for _, i in s.pair.steps)

    others = [r for r in rows if r.cue >= STATED and r.output.step != row.output.step]
    steps = w.run.trace.builder.steps
    behind = any(row.output.step in w.trails.before(r.output.step, steps) for r in others)
    return behind or (is_used(row) and not all(map(is_used, others)))


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


def _hypothesis(w: Weighing, row: Row) -> Hypothesis:
    """A row's claims that are evidence enough: names alone where there is nothing else, or where they are right."""
    strong = any(s.pair.why in PRIMARY for s in row.sights)
    sights = [s for s in row.sights if s.pair.why in PRIMARY or s.word == "right" or not strong]
    sights = of_inputs(w, sights)
    sights.sort(key=lambda s: s.pair.input.step)
    rates = {s.rate for s in sights if s.word == "right" and s.pair.label.startswith(UNNAMED)}
    if len(rates) == 1:  # the wrong steps have it as well
        (rate,) = rates
        sights = [replace(s, rate=rate) if s.word != "right" and w.has_rate(s.pair, rate) else s for s in sights]
    sights = [replace(s, pair=w.without_rate(s)) for s in _at_said_rates(w, sights)]
    if any(s.renewed for s in sights):  # the updates are not there any more
        sights = [replace(s, pair=_by_name(w, s.pair)) for s in sights]
    tails = [s.pair.name or cues.tail(s.pair.input.path) for s in sights]
    paths = full_paths([*dict.fromkeys(s.pair.input for s in sights)], w.run.namespace)
    owners = {(cues.tail(p.input.path), p.input.owner) for p in w.pairs if p.why in PRIMARY}
    many = Counter(tail for tail, _ in owners)  # names that several objects have for what is theirs
    claims: list[Claim] = []
    names: list[str] = []
    given: dict[Key, Given] = {}
    for s, tail in zip(sights, tails, strict=True):
        key, why = s.pair.input.key, s.pair.why
        given |= {s.pair.weights: "weights"} if s.pair.weights is not None else {}
        name = tail if tails.count(tail) == 1 and many[tail] < 2 else paths[s.pair.input]
        whole = w.steps[s.pair.input.step].shape
        if s.pair.entries:
            part, label = _part(whole, s.pair.entries)
            name = f"{name}[{label}]"
            claims.append(Claim(key, w.steady(s.pair.values[0]), s.pair.label, why, part))
            names.append(name)
            at = {e: k for k, e in enumerate(s.pair.entries)}
            mine = [Cell(name, part, at[e]) if e in at else None for e in range(size(whole))]
            others = given.get(key)  # parts that other lines update
            others = mine if others is None or isinstance(others, str) else others
            given[key] = tuple(a or b for a, b in zip(mine, others, strict=True))
            continue
        if s.pair.steps[0][0] < 0:
            claims.append(Claim(key, w.steady(s.pair.values[0]), s.pair.label, why))
            names.append(name)
            given[key] = name
            continue
        own = {e: f"{name}[{', '.join(map(str, np.unravel_index(e, whole)))}]" for e, _ in s.pair.steps}
        for (entry, _), value, label in zip(s.pair.steps, s.pair.values, s.pair.label.split(", "), strict=True):
            claims.append(Claim(key, value, label, why, ()))
            names.append(own[entry])
        given[key] = tuple(Cell(own[e]) if e in own else None for e in range(size(whole)))
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


def _at_said_rates(w: Weighing, sights: Sequence[Sight]) -> list[Sight]:
    """Steps without a name, all at the rate that the lines of some of them write where these are right with it: another
    factor in the others, such as that of a mean beside sums, belongs to the gradient."""
    own = [s for s in sights if s.word == "right" and s.pair.label.startswith(UNNAMED)]
    whole = {id(s): float(s.rate) * s.pair.scale for s in own}
    said = [s for s in own if w.says_rate(s.pair, whole[id(s)])]
    if not said or any(not math.isclose(whole[id(s)], whole[id(said[0])], rel_tol=CLOSE) for s in said):
        return list(sights)
    rate, others = whole[id(said[0])], {id(s) for s in own if s not in said}
    return [_at_rate(w, s, rate) if id(s) in others else s for s in sights]


def _at_rate(w: Weighing, s: Sight, rate: float) -> Sight:
    """A step with a rate taken out: the value in its line that has only that beside it, or else a multiple."""
    for p in w.pairs:
        same = p.input is s.pair.input and p.signs == s.pair.signs and p.values[0].key == s.pair.values[0].key
        if same and p.label.startswith(UNNAMED) and math.isclose(p.scale, rate, rel_tol=CLOSE):
            return replace(s, pair=p, rate=Fraction(1))
    return replace(s, rate=Fraction(rate / s.pair.scale).limit_denominator(NICE))


def _part(shape: tuple[int, ...], entries: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
    """The shape of a part of an array, and how it is written: a row or column where it is one, else its entries.

    >>> _part((3, 2), (2, 3)), _part((3, 2), (1, 3, 5)), _part((4,), (0, 2))
    (((2,), '1, :'), ((3,), ':, 1'), ((2,), '[0, 2]'))
    """
    places = np.unravel_index(np.array(entries), shape)
    said = [str(k[0]) if len({*k.tolist()}) == 1 else ":" for k in places]
    own = tuple(n for n, x in zip(shape, said, strict=True) if x == ":")
    if size(own) == len(entries):
        return own, ", ".join(said)
    rows = [*dict.fromkeys(places[0].tolist())]
    if len(rows) * size(shape[1:]) == len(entries):
        return (len(rows), *shape[1:]), str(rows)
    return (len(entries),), f"{[*map(int, entries)]}"


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
    for s in [s for s in sights if any(v.freed for v in s.pair.values)]:
        move = w.trails.move(w.run.trace.event_at[s.pair.values[0].key])
        lines = {k for t in (move.terms if move else ()) for k in w.trails.unclamped(t.step)[1]}
        said = f"`{s.pair.label}` that are set to 0 in line {', '.join(map(str, sorted(lines)))}"
        yield f"The entries of {said} hold the input in its place there: it was judged as it is before that."
    for s in sights:
        for e in [w.trails.event_of[c] for c in s.late] if s.pair.why == UPDATED else []:
            computed = f"ine {e.line} updates `{e.path}` before `{s.pair.label}` is computed with it"
            if s.renewed:
                yield f"L{computed}: it was judged as the gradient there, as in an alternation."
            elif s.word != "right":
                yield f"L{computed}: the gradient of `{row.output.name}` is that at the values of before."
