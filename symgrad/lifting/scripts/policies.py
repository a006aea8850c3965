"""Policy gradients: what learns from an action that it drew by probabilities of its own, and writes down no objective.

The objective is the log of the probability of what was drawn, times a weight that says how good that was: a reward, a
return, an advantage.  The weight is a number of the script's, which one is found by value, and is held constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.errors import NotReproducible
from symgrad.evaluation.floats import Floats
from symgrad.lifting.scripts.execution import ScriptRun
from symgrad.lifting.scripts.pairs import UPDATED, Pair
from symgrad.lifting.scripts.script_record import Drawn
from symgrad.lifting.scripts.trails import Trails
from symgrad.lifting.scripts.weighing import NICE, Candidate, Row, Weighing
from symgrad.program.builder import Builder
from symgrad.program.program import Program, Step, interpret, size

__all__ = ["Rewarded", "policy_objective"]

_DRAWS = 8  # actions that are looked at
_WEIGHTS = 12  # numbers that are tried as how good an action was
_EXACT = 1e-9  # of two numbers that are one


@dataclass(frozen=True)
class Rewarded:
    """Minus the log of the probability of what was drawn, the ``nth`` time in a line; times a multiple of a weight, the
    value of the ``k``-th operation of its kind in its line, where it has one."""

    line: int
    nth: int
    weight: tuple[int, str, int] | None = None
    factor: Fraction = Fraction(1)

    def step(self, run: ScriptRun, trails: Trails) -> int:
        b, found = run.trace.builder, [d for d in run.trace.draws if d.line == self.line]
        weight = _at(b.steps, self.weight)
        if self.nth >= len(found) or (self.weight is not None and weight is None):
            raise NotReproducible(f"with other values in its inputs, the script draws otherwise in line {self.line}.")
        return self.write(b, found[self.nth], weight)

    def write(self, b: Builder, drawn: Drawn, weight: int | None) -> int:
        """The objective as a step, to be minimised."""
        b.source = None  # no line of the script says it
        made = b.neg(b.apply("log", b.pick([drawn.probabilities], np.array([drawn.outcome + 1]), (1,))))
        if weight is not None:
            made = b.mul(b.emit("stop", (weight,), None, b.shape(weight), b.dtype(weight)), b.sum(made))
        return b.mul(b.number(self.factor), b.sum(made))


def policy_objective(w: Weighing, b: Builder, pairs: Sequence[Pair]) -> Row | None:
    """The objective of an action that the script drew, under which most updates are right."""
    pairs = [p for p in pairs if p.why == UPDATED]
    moved = w.trails.after({p.input.step for p in pairs})
    draws = w.run.trace.draws
    best: Row | None = None
    for k, drawn in enumerate(draws[:_DRAWS]):
        if drawn.probabilities not in moved:
            continue
        place = Rewarded(drawn.line, sum(d.line == drawn.line for d in draws[:k]))
        for row in _rows(w, b, pairs, drawn, place):
            if best is None or (row.rights, row.score) > (best.rights, best.score):
                best = row
    return best


def _tells(row: Row) -> bool:
    """Whether enough comes out right under an objective for it to be the one that is meant."""
    return any(s.word in ("right", "partly") for s in row.sights)


def _rows(w: Weighing, b: Builder, pairs: Sequence[Pair], drawn: Drawn, place: Rewarded) -> Iterator[Row]:
    """How the updates stand under the objective of one action, for each weight that it may have."""

    def row(place: Rewarded, weight: int | None, said: str) -> Row:
        trial = Builder(list(b.steps), dict(b.inputs))
        made = place.write(trial, drawn, weight)
        found = w.row(Candidate(place, "the objective", made, 0.0), trial, pairs)
        name = w.trails.name_of(drawn.probabilities)
        of = f"the log of the entry of {name or 'the probabilities'} that line {drawn.line} draws"
        return Row(found.output, found.sights, found.score, f"minus {of}{said}")

    plain = row(place, None, "")
    known = [s for s in plain.sights if s.word in ("right", "factor") and s.factor]
    if _tells(plain):
        yield plain
        return
    claims = {i for p in pairs if any(p.input.step == s.pair.input.step for s in plain.sights) for _, i in p.steps}
    weights = [*_weights(w, claims, drawn)]
    values = interpret(Program({}, tuple(w.steps), {}), Floats(), {}, [i for i, _ in weights]) if weights else {}
    for i, at in weights[:_WEIGHTS] if not known else weights:
        said = f", times {w.trails.name_of(i) or f'the number of line {at[0]}'}, which is held constant"
        factors = [Fraction(1)]
        if known:  # a number that depends on no input: it is that times one of the script's
            ratio = (known[0].factor or 0.0) / (float(values[i]) or np.inf)
            factors = [Fraction(ratio).limit_denominator(NICE)]
            if not factors[0] or abs(float(factors[0]) / ratio - 1) > _EXACT or factors[0].numerator > NICE:
                continue
        found = row(Rewarded(place.line, place.nth, at, factors[0]), i, said)
        if _tells(found):
            yield found
            return


def _weights(w: Weighing, claims: set[int], drawn: Drawn) -> Iterator[tuple[int, tuple[int, str, int]]]:
    """The numbers that gradients are computed from, and that have nothing to do with the probabilities; the last ones
    first, those that have a name before the others."""
    behind = set().union(*(w.trails.before(i) for i in claims)) - w.trails.after({drawn.probabilities})
    found = [i for i in sorted(behind, reverse=True) if size(w.steps[i].shape) == 1 and w.steps[i].source is not None]
    for i in sorted(found, key=lambda i: i not in w.trails.event_of):
        s = w.steps[i]
        same = [k for k, t in enumerate(w.steps) if _is_of(t, s.source.line if s.source else None, s.op)]
        yield i, (s.source.line or 0 if s.source else 0, s.op, same.index(i))


def _at(steps: Sequence[Step], place: tuple[int, str, int] | None) -> int | None:
    if place is None:
        return None
    line, op, nth = place
    found = [i for i, s in enumerate(steps) if _is_of(s, line, op)]
    return found[nth] if nth < len(found) else None


def _is_of(s: Step, line: Any, op: str) -> bool:
    return s.op == op and s.source is not None and s.source.line == line
