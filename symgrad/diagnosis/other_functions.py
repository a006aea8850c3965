"""Another function's gradient: right for a model that differs from the user's in one place, and wrong for theirs.

Where no small edit of a derivation puts it right, its mistake may be older than its first line: the mean was
differentiated and the sum is what the model has, the loss without its regulariser, p where log p was asked.  So the
model is edited, one place at a time, and the derivation judged against each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from symgrad.checking.exploration import Findings, branch_at
from symgrad.checking.verdicts import Refuted
from symgrad.diagnosis.bench import Bench
from symgrad.diagnosis.candidates import wrapped
from symgrad.diagnosis.differences import changed, classified
from symgrad.diagnosis.expression_text import Text
from symgrad.diagnosis.repair import judged
from symgrad.diagnosis.scope import as_array, values_at
from symgrad.diagnosis.source_code import Code, code_of
from symgrad.diagnosis.structural_edits import structure
from symgrad.diagnosis.trials import Place, is_near, places_of
from symgrad.errors import SymgradError
from symgrad.lifting.tracing.functions import Function, Module
from symgrad.problem.question import Problem
from symgrad.problem.sampling import neighbours
from symgrad.progress import doing

_TRIED = 80  # models beside the user's
_POINTS = 2  # beside the user's own
_KINDS = frozenset(
    ("drop term", "drop factor", "reduction", "function", "drop function", "exponent", "sign", "operator")
)


@dataclass(frozen=True, eq=False)
class OtherModel:
    """The user's model with another expression in one place."""

    place: Place
    text: str
    kind: str


@dataclass(frozen=True, eq=False)
class Owner:
    """The other function that a derivation is the gradient of, in words, and the place of the model where they part."""

    words: str
    line: int
    proved: bool

    @property
    def told(self) -> str:
        sure = "proved" if self.proved else "it agrees wherever it was looked at"
        return f"it is the gradient of {self.words} ({f'line {self.line}; ' if self.line else ''}{sure})"


def whose_gradient(problem: Problem, findings: Findings, kinds: Set[str] = _KINDS) -> Owner | None:
    """The other function that a refuted derivation is the gradient of; None where none is found.

    ``kinds`` are the edits of the model that are tried.

    Guarantee: the other model has a value where the derivation was refuted, and the derivation is its gradient there;
    it is judged against the other model like any question; ``proved`` says that it was proved.
    """
    code = code_of(problem.model)
    if code is None:
        return None
    refuted = [v.witness for v in findings.verdicts.values() if isinstance(v, Refuted)]
    points = [w.point for w in refuted if w.reason == "differs" and not w.sizes and not w.at_own_point]
    points += [problem.inputs.point, *neighbours(problem.inputs, _POINTS, problem.seed + 1)]
    for other in itertools.islice(_others(code, kinds), _TRIED):
        doing("looking for the function whose gradient it is")
        try:
            made = code.edited({other.place.unit: other.place.with_text(other.text)})
            if made is None:
                continue
            asked = replace(problem, model=made[0], first=None)
            if all(_is_right_at(asked, point) for point in points):
                kind = judged(asked, problem.hand)
                if kind in ("proved", "agrees"):
                    return _owner(other, kind == "proved")
        except SymgradError:  # an edited model may well be nonsense
            continue
        except (RuntimeError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
            continue
    return None


def without_detach(problem: Problem, findings: Findings) -> Owner | None:
    """The model with what it detaches followed, where a derivation is the gradient of that; None where it is not.

    Guarantee: that of `whose_gradient`.
    """
    program, model = findings.own.program, findings.own.model
    inputs = {program.inputs[n] for n in problem.wrt if n in program.inputs}
    cut = [
        program.steps[i].source
        for i in program.needed([model])
        if program.steps[i].op == "stop" and not inputs.isdisjoint(program.needed([i]))
    ]
    if not cut or not isinstance(problem.model, (Function, Module)):
        return None
    asked = replace(problem, model=replace(problem.model, stops=False), first=None)
    kind = judged(asked, problem.hand)
    if kind not in ("proved", "agrees"):
        return None
    places = [s for s in cut if s is not None and s.line is not None]
    how = "its detach" if all("detach" in s.text for s in places) else "what detaches in it"
    words = f"your model without {how}, through which no gradient flows"
    return Owner(words, min((s.line or 0 for s in places), default=0), kind == "proved")


def _others(code: Code, kinds: Set[str]) -> Iterator[OtherModel]:
    """Models that differ in one place, the likeliest first."""
    found = []
    for unit in code.units:
        bench = Bench([unit.scope], [], 0, False)
        for place in places_of(unit):
            if place.role not in ("value", "returned"):
                continue
            text = Text(place.expression.text)
            made = {}
            for cost, kind, start, end, new in structure(text, bench):
                if kind in kinds:
                    made.setdefault(text.fill(start, end, new), (cost, kind))
            if kinds is _KINDS and place.role == "returned" and unit is code.units[0]:
                made |= dict.fromkeys(_around(place.expression.text, unit.scope), (1.3, "outermost"))
            found += [(cost, OtherModel(place, new, kind)) for new, (cost, kind) in made.items()]
    yield from (other for _, other in sorted(found, key=lambda pair: pair[0]))


def _around(text: str, scope: Mapping[str, Any]) -> Iterator[str]:
    """A model's result with one more function around it."""
    library = next((n for n in ("torch", "np", "numpy", "math") if n in scope), None)
    if library is not None:
        yield from (f"{library}.{f}({text})" for f in ("log", "exp", "sqrt"))
    yield f"{wrapped(text)}**2"
    yield f"1 / {wrapped(text)}"


def _is_right_at(asked: Problem, point: Mapping[str, Any]) -> bool:
    """Whether all that is returned is near the other model's gradient at a point: a filter, and no verdict."""
    branch = branch_at(asked, point)
    steps = [i for p in branch.pairs for i in (p.hand, p.exact) if i is not None]
    values = values_at(branch.program, steps, point)
    pairs = [(p.hand, p.exact) for p in branch.pairs if p.hand is not None]
    return len(pairs) == len(branch.pairs) and all(
        i in values and j in values and is_near(values[i], as_array(values[j])) for i, j in pairs
    )


def _owner(other: OtherModel, proved: bool) -> Owner:
    old, new = changed(other.place.expression.text, other.text)
    kind, operand = classified(old, new, other.kind)
    words = f"a function with {new} in the place of {old}"
    match kind, old, new:
        case _, "sum", "mean":
            words = "the mean, and your model takes the sum"
        case _, "mean", "sum":
            words = "the sum, and your model takes the mean"
        case "drop term", _, _ if operand:
            words = f"your model without the term {operand}"
    return Owner(words, other.place.line, proved)
