"""Losses that a script differentiates without writing them down: which one its updates are those of, by value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from symgrad.lifting.scripts import cues
from symgrad.lifting.scripts.hypotheses import Assumed, penalised
from symgrad.lifting.scripts.losses import LOSSES, Parts, errors, parts_of
from symgrad.lifting.scripts.pairs import UPDATED, Pair
from symgrad.lifting.scripts.weighing import NICE, STATED, Candidate, Row, Weighing
from symgrad.program.builder import Builder
from symgrad.program.program import dependencies, size

_ERRORS = 12  # differences that are tried as where a loss begins
_SMALL = 4  # numbers that a named one may be multiplied or divided by
_ALIKE = 1e-6  # of two factors that are one


def assumed_loss(w: Weighing, b: Builder, pairs: Sequence[Pair]) -> Row | None:
    """The loss of the catalogue under which most updates are right."""
    pairs = [p for p in pairs if p.why == UPDATED]
    if not pairs:
        return None
    last = max(p.at for p in pairs)
    moved = w.trails.after({p.input.step for p in pairs})
    best: dict[tuple[int, str, int | None, str], tuple[tuple[bool, ...], float, Row]] = {}  # of the turns of one line
    found = [(e, i) for e, i in errors(w.trails, moved, last, sorted(w.changed)) if i not in w.numeric]
    named = {w.trails.stripped(e.step): e.path for e in reversed(w.events)}
    found = [(e, i) for e, i in found if i in named or e.op != "sub" or any(map(w.trails.variable, w.steps[i].args))]
    plain_ones = [one for one in found if one[0].op == "sub" and one[0].held is None][:_ERRORS]
    behind = set().union(*(w.trails.before(i) for p in pairs for _, i in p.steps))  # an update is no error itself
    others = [(e, i) for e, i in found if e.op != "sub" or (e.held is not None and i in behind)]
    for error, step in [*plain_ones, *others[:_ERRORS]]:
        for name, loss in LOSSES.items():
            if error.held is not None and name != "squares":
                continue
            trial = Builder(list(b.steps), dict(b.inputs))
            of = parts_of(trial, error, moved)
            if of is None:
                break
            made = loss.write(trial, of.activation, of.targets, of.weights)
            plain = Candidate(Assumed(name, error, Fraction(1)), "the loss", made, 0.0)
            row = w.row(plain, trial, pairs)
            if decay := _decay(row):
                shrunk = [s.pair for s in row.sights if s.decay is not None and abs(abs(s.decay) / decay - 1) < _ALIKE]
                made = penalised(trial, made, decay, [(p.input.step, p.part) for p in shrunk])
                by = _called(w, decay, shrunk)
                rest = decay if by is None else decay / Fraction(repr(w.text.numbers[by]))
                place = Assumed(name, error, Fraction(1), rest, tuple((p.input.key, p.part) for p in shrunk), by)
                plain = replace(plain, place=place, step=made)
                row = w.row(plain, trial, pairs)
            known = [s for s in row.sights if s.word in ("right", "factor") and s.factor]
            if all(w.trails.stripped(i) == step for s in known for _, i in s.pair.steps):
                continue  # none is, or each is the error itself, whose half square anything is the gradient of
            factors = [s.factor for s in known if s.factor]
            ratio = max(factors, key=lambda f: sum(abs(f / g - 1) < 1e-6 for g in factors))
            factor = Fraction(ratio).limit_denominator(NICE)
            if not 0 < factor <= NICE or abs(float(factor) / ratio - 1) > 1e-9:
                continue
            if factor != 1:
                made = trial.mul(trial.number(factor), plain.step)
                place = replace(plain.place, factor=factor)
                row = w.row(replace(plain, place=place, step=made), trial, pairs)
            text = _told(w, loss.text, of, named.get(step))
            if error.held is not None:
                goal = w.trails.variable(of.first[1])
                held = goal.path if goal is not None else "the value that it is to come to"
                text = f"{text}, with {held} held constant though the inputs are in it: a semi-gradient"
            if decay:
                of_all = ", ".join(dict.fromkeys(p.input.path for p in shrunk))
                weight = decay / 2 if by is None else f"{rest / 2} {by}"
                text = f"{text}, and {weight} times the squares of {of_all}"
            has_slope = name == "sigmoid" and w.has_complement(of.first[0], of.differences, pairs)
            is_of_all = error.held is None or len(row.sights) >= len({p.input.path for p in pairs})
            all_right, is_plain = row.rights == len(row.sights) and is_of_all, of.weights is None
            is_first, score = _plausibility(row, trial)
            speaks = (all_right, error.held is None, not has_slope, is_plain, is_first)
            said = replace(row, assumed=text if factor == 1 else f"{factor} times {text}")
            before = best.get(turn := (error.line, error.op, error.held, name))
            if before is None or (len(row.sights), *speaks) > (len(before[2].sights), *before[0]):
                best[turn] = speaks, score, said
    return max(best.values(), key=lambda one: one[:2])[2] if best else None


def _decay(row: Row) -> Fraction | None:
    """The weight of a penalty on squares that some updates have in them; None where there is none."""
    found = [s.decay for s in row.sights if s.decay is not None and s.decay > 0]
    if not found:
        return None
    most = max(found, key=lambda x: sum(abs(x / y - 1) < _ALIKE for y in found))
    nice = Fraction(most).limit_denominator(NICE)
    return nice if nice > 0 and abs(float(nice) / most - 1) < _ALIKE else None


def _called(w: Weighing, decay: Fraction, pairs: Sequence[Pair]) -> str | None:
    """The number of the script that a penalty is weighted by, times another one that is small; None where it has no
    name."""
    said = [str(c) for p in pairs for c in w.text.constants.get(p.values[0].key[1], ()) if c in w.text.numbers]
    rests = {n: decay / Fraction(repr(w.text.numbers[n])) for n in said if w.text.numbers[n]}
    known = [n for n, rest in rests.items() if max(abs(rest.numerator), rest.denominator) <= _SMALL]
    return next((n for n in known if not cues.is_rate(n)), None)


def is_written(w: Weighing, top: Row, assumed: Row) -> bool:
    """Whether a script writes down a loss in the place of one that might be assumed: called so, and computed from the
    same activations, or a sum that the assumed one is a term of; any, in the place of one that holds something."""
    place, steps = assumed.output.place, w.run.trace.builder.steps
    if top.cue < STATED or not isinstance(place, Assumed):
        return False
    if place.error.held is not None:
        return True
    before = dependencies(steps, [top.output.step], w.changed)  # and not by way of an update
    is_called_so = not {"error", "err", "errors", "e", "mae"} & {*cues.words(top.output.name)}
    moved = w.trails.after({p.input.step for p in w.pairs})
    found = parts_of(Builder(list(steps), {}), place.error, moved)
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
