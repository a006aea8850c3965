"""Derivations in LaTeX, row by row: each right side is an arrow of its own, and the first that breaks is the fault.

What a list of steps in numbers is to `step_lists`, these are for formulas of tensors and indices: every side of every
row that claims a derivative is a formula, and is judged as one, of the model or of the quantity of the model's own rows
that it differentiates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from symgrad.checking.judge import decide
from symgrad.checking.results import StepFinding
from symgrad.errors import SymgradError, WrongShape
from symgrad.lifting.derived_formulas import PartialFormula
from symgrad.lifting.formulas import Formula, Several
from symgrad.lifting.latex.equations import Claim
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.problem.question import Keyed, Problem
from symgrad.program.program import Source


@dataclass(frozen=True, eq=False)
class TypesetRow:
    """One right side: the claim that it belongs to, the formula that it is, as it is typeset, and the row it is in."""

    claim: Claim
    formula: Latex
    source: Source
    first: bool  # whether it stands beside the claim's own left side


_EQUAL = ("proved", "agrees")


def rows_of(hand: Any) -> tuple[TypesetRow, ...] | None:
    """The right sides of a derivation; None for a formula that says one thing of each derivative."""
    found = _latex(hand)
    if found is None or found.model is None:
        return None
    whole = replace(found, only=None, keyed=True)
    rows = tuple(_rows(whole))
    return rows if len(rows) > len({r.claim.key for r in rows}) or len(rows) > len(whole.final) else None


def _latex(hand: Any) -> Latex | None:
    while not isinstance(hand, Latex):
        if isinstance(hand, Several):
            hand = next(iter(hand.parts.values()))
        elif hasattr(hand, "formula"):
            hand = hand.formula
        else:
            return None
    return hand


def _rows(whole: Latex) -> Iterator[TypesetRow]:
    text = whole.text
    for k, line in enumerate(whole.document.lines):
        if not isinstance(line, Claim):
            continue
        for j, side in enumerate((*line.others, line.body)):
            start, stop = side.span
            shown = f"{text[slice(*line.span)]} = {text[start:stop]}" if j == 0 else f"= {text[start:stop]}"
            number = text.count("\\\\", 0, start) + 1
            yield TypesetRow(line, replace(whole, row=(k, j)), Source(shown, None, number), j == 0)


def judge_rows(problem: Problem, rows: tuple[TypesetRow, ...]) -> tuple[tuple[StepFinding, ...], tuple[str, ...]]:
    """What each side claims and whether it is true, and the derivatives of which a side is wrong.

    A side that is wrong and equal to the wrong one before it follows from that, and is no fault of its own.
    """
    findings: list[StepFinding] = []
    wrong: list[str] = []
    count: dict[str, int] = {}
    before: TypesetRow | None = None  # the last wrong side of this claim
    for row in rows:
        key = row.claim.key
        version = count.get(key, 0)
        count[key] = version + 1
        kind = _verdict(problem, row)
        word = {"proved": "right", "agrees": "right", "refuted": "wrong"}.get(kind or "", "unknown")
        same = before is not None and before.claim.key == key
        if before is not None and word == "wrong" and same and _same(problem, before.formula, row.formula) in _EQUAL:
            word = "fed wrong values"
        elif word == "wrong" and key not in wrong:
            wrong.append(key)
        before = row if word in ("wrong", "fed wrong values") else None
        what = _slope(row.claim)
        findings.append(StepFinding(key, version, row.source, what, word))
    return tuple(findings), tuple(wrong)


def _slope(claim: Claim) -> str:
    """The derivative that a row claims: ``∂f/∂x``, ``∂²f/∂x²``, ``∂²f/∂x∂y``."""
    times = {name: claim.wrt.count(name) for name in claim.wrt}
    below = "".join(f"∂{name}{_raised(n)}" for name, n in times.items())
    return f"∂{_raised(len(claim.wrt))}{claim.of}/{below or '∂'}"


def _raised(n: int) -> str:
    return "" if n < 2 else "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(n))


def _verdict(problem: Problem, row: TypesetRow) -> str | None:
    """The verdict on one side, None where its truth is not known."""
    claim, formula, order = row.claim, row.formula, row.claim.order
    model = problem.model.formula if isinstance(problem.model, PartialFormula) else problem.model
    own = formula.model
    if isinstance(own, Latex) and own.defined.intersection(claim.wrt):
        assert formula.row is not None
        return _same(problem, replace(formula, row=(formula.row[0], len(claim.others) + 1)), formula)
    if isinstance(own, Latex) and own.document.output not in (None, claim.of):
        model = _defined(own, claim.of)
    if model is None or not (claim.wrt or len(problem.wrt) == 1):
        return None
    name = formula.key if claim.wrt else problem.wrt[0]
    if name not in problem.inputs.point:
        return None
    if order > 2 or len(set(claim.wrt)) > 1:  # the first derivative of the one below it
        model, order = PartialFormula(model, formula.differentiated[1][:-1]), 1
    hand = Keyed(formula, {formula.key: name})
    asked = replace(problem, model=model, hand=hand, wrt=(name,), order=order, first=None, labels={}, letters={})
    try:
        return decide(asked).verdicts[name].kind
    except WrongShape:  # tensors that do not fit are no derivative
        return "refuted"
    except SymgradError:
        return None


def _defined(model: Latex, name: str) -> Formula | None:
    """One of the model's rows as a formula."""
    for k, line in enumerate(model.document.lines):
        if getattr(line, "name", None) == name:
            return replace(model, row=(k, 0))
    return None


def _same(problem: Problem, one: Latex, other: Latex) -> str | None:
    """The verdict on whether two formulas have the same values, None where one has none."""
    sides = [Keyed(f, {f.key: "value"}) for f in (one, other)]
    try:
        asked = replace(
            problem, model=sides[0], hand=sides[1], wrt=("value",), order=0, first=None, labels={}, letters={}
        )
        return decide(asked).verdicts["value"].kind
    except SymgradError:
        return None
