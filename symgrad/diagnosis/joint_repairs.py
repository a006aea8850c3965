"""One text for the repairs of several questions about the same code: a script's derivations, a backward and a jvp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from symgrad.checking.results import Repair
from symgrad.diagnosis.hand_parts import leaves, swapped
from symgrad.diagnosis.repair import judged
from symgrad.diagnosis.source_code import Code, Unit, code_of, edited
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Formula
from symgrad.problem.problem import Problem


@dataclass(frozen=True, eq=False)
class Mended:
    """A question, the repairs of its wrong lines, and its code with them made."""

    problem: Problem
    repairs: tuple[Repair, ...] = ()
    source: str | None = None


def mend_together(parts: Sequence[Mended]) -> tuple[tuple[Repair, ...], str | None]:
    """The repairs of all questions, in order, and the code with all of them made, where each question is then right;
    else those of the first question that has any."""
    mended = [p for p in parts if p.source is not None]
    if len(mended) < 2:
        return next(((p.repairs, p.source) for p in mended), ((), None))
    found: dict[tuple[int | None, tuple[int, int] | None], Repair] = {}
    for part in mended:
        for one in part.repairs:
            found.setdefault((one.line, one.span), one)
    try:
        made = [_with_repairs(p.problem, [*found.values()]) for p in mended]
        kinds = {"undecided" if m is None else judged(p.problem, m[0]) for p, m in zip(mended, made, strict=True)}
    except SymgradError:  # the code with all the edits fails where it is run
        return mended[0].repairs, mended[0].source
    if not kinds <= {"proved", "agrees"} or made[0] is None:
        return mended[0].repairs, mended[0].source
    order = sorted(found.values(), key=lambda one: (one.line or 0, one.span or (0, 0)))
    return tuple(replace(one, proved=kinds == {"proved"}) for one in order), made[0][1]


def _with_repairs(problem: Problem, repairs: Sequence[Repair]) -> tuple[Formula, str] | None:
    """The hand side with all repairs made in its code, and its text; None where one of them stands nowhere in it."""
    for leaf in leaves(problem.hand):
        code = code_of(leaf.formula)
        if code is None:
            continue
        edits: dict[Unit, list[tuple[int, int, str]]] = {}
        for one in repairs:
            unit = _unit_of(code, one)
            if unit is None or one.span is None:
                return None
            edits.setdefault(unit, []).append((*one.span, one.after))
        made = code.edited({unit: edited(unit.text, spans) for unit, spans in edits.items()})
        return None if made is None else (swapped(problem.hand, leaf.formula, made[0]), made[1])
    return None


def _unit_of(code: Code, repair: Repair) -> Unit | None:
    """The unit whose text holds what a repair replaces, at its place and on its line."""
    for unit in code.units:
        start, end = repair.span or (0, 0)
        line = unit.first + unit.text.count("\n", 0, start)
        if unit.text[start:end] == repair.before and repair.line in (None, line):
            return unit
    return None
