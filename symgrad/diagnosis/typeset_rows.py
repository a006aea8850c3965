"""Derivations in LaTeX, row by row: each right side is an arrow of its own, and the first that breaks is the fault.

What a list of steps in numbers is to `step_lists`, these are for formulas of tensors and indices: every side of every
row that claims a derivative is a formula, and is judged as one, of the model or of the quantity of the model's own rows
that it differentiates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from symgrad.checking.judge import decide_with_conditions
from symgrad.checking.results import StepFinding
from symgrad.checking.verdicts import Refuted, Verdict, Witness
from symgrad.errors import SymgradError, WrongShape
from symgrad.lifting.derived_formulas import PartialFormula
from symgrad.lifting.formulas import Formula, Several
from symgrad.lifting.latex.equations import Claim, Definition
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.names_in_rows import names_of
from symgrad.lifting.latex.token_reader import Node, parts
from symgrad.problem.question import Asked, Keyed, Problem, pose
from symgrad.program.program import Source


@dataclass(frozen=True, eq=False)
class TypesetRow:
    """One right side: the line that it belongs to, the formula that it is, as it is typeset, and the row it is in."""

    claim: Claim | Definition
    formula: Latex
    source: Source
    first: bool  # whether it stands beside the claim's own left side


_UNSAID = "\\mathrm{unsaid}"
_WORDS = {"proved": "right", "agrees": "right", "refuted": "wrong"}


def rows_of(hand: Any) -> tuple[TypesetRow, ...] | None:
    """The right sides of a derivation; None for a formula that is no row of one."""
    found = _latex(hand)
    if found is None or found.model is None:
        return None
    rows = tuple(_rows(replace(found, only=None, keyed=True)))
    return rows if len(rows) > 1 or any(_restates(r) for r in rows) else None


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
    """The right sides of a text; what a definition says first is what it means, unless the model says what that is."""
    text = whole.text
    model = whole.model.document.lines if isinstance(whole.model, Latex) else ()
    said = {line.name for line in model if isinstance(line, Definition)} - {None}
    for k, line in enumerate(whole.document.lines):
        for j, side in enumerate(line.sides):
            start, stop = side.span
            if isinstance(line, Claim) or j or line.name in said:
                left = text[slice(*line.span)] if isinstance(line, Claim) and j == 0 else ""
                source = Source(f"{left} = {text[start:stop]}".strip(), None, whole.row_of(start))
                yield TypesetRow(line, replace(whole, row=(k, j)), source, j == 0)


def _restates(row: TypesetRow) -> bool:
    """Whether it says again what a row of the model says."""
    return isinstance(row.claim, Definition) and row.first


_Judged = tuple[tuple[StepFinding, ...], tuple[str, ...], tuple[str, ...]]


def judge_rows(problem: Problem, rows: tuple[TypesetRow, ...], verdicts: Mapping[str, Verdict]) -> _Judged:
    """What each side claims and whether it is true, the derivatives of which a side is wrong, and notes: a side that is
    right under a condition that nobody stated is not accused.  The ``verdicts`` are those on the last sides.

    A side that is wrong and equal to the wrong one before it follows from that, and is no fault of its own; so is one
    that uses what a wrong side says.
    """
    findings: list[StepFinding] = []
    wrong: list[str] = []
    notes: list[str] = []
    count: dict[str, int] = {}
    before: TypesetRow | None = None  # the last wrong side of this claim
    tainted: set[str] = set()  # names and derivatives that are what a wrong side says
    for row in rows:
        key = _key(row)
        version = count.get(key, 0)
        count[key] = version + 1
        alone = [_key(r) for r in rows].count(key) == 1
        verdict = verdicts.get(key) if alone else None
        word, note = word_of(verdict or _verdict(problem, row), row.source, row.formula)
        notes += note
        uses = tainted & {p.value for p in parts(_side(row)) if p.head in ("name", "slope")}
        last = before if before is not None and before.claim is row.claim else None
        if word == "wrong" and (uses or (last and _are_equal(_same(problem, last.formula, row.formula)))):
            word = "fed wrong values"
        elif word == "wrong" and key not in wrong:
            wrong.append(key)
        tainted |= _said_by(row) if word in ("wrong", "fed wrong values") else set()
        before = row if word in ("wrong", "fed wrong values") else None
        findings.append(StepFinding(key, version, row.source, _what(row), word))
    return tuple(findings), tuple(wrong), tuple(notes)


def _side(row: TypesetRow) -> Node:
    assert row.formula.row is not None
    k, j = row.formula.row
    return row.formula.document.lines[k].sides[j]


def _said_by(row: TypesetRow) -> set[str]:
    """The names that are what a side says, and the derivative that later rows mean by it."""
    side = _side(row)
    named = {
        line.name or ""
        for line in row.formula.document.lines
        if isinstance(line, Definition) and line.body.span == side.span
    }
    return named | ({row.claim.key} if isinstance(row.claim, Claim) and side.span == row.claim.body.span else set())


def judge_model(problem: Problem) -> _Judged:
    """Whether what the model's rows say is equal is so, ``f = (x + 1)^2 = x^2 + 2x + 1``; nothing of other models."""
    found = _latex(problem.model)
    rows = () if found is None or problem.rows else tuple(r for r in _rows(found) if isinstance(r.claim, Definition))
    return judge_rows(problem, rows, {})


def by_last_sides(problem: Problem) -> Problem | None:
    """The question by what the model is said to be last; None where it is said once."""
    found = _latex(problem.model)
    k = -1 if found is None else found.document.lines.index(found.line)
    if found is None or not found.line.others:
        return None
    return replace(problem, model=replace(found, row=(k, len(found.line.sides) - 1)), first=None)


def judge_sides(problem: Problem, verdicts: Mapping[str, Verdict]) -> _Judged:
    """Whether each side of a chain is equal to the first, and those at which it breaks: of sides that are wrong and
    equal to each other the first is the fault.  Other rows of the text that say what is equal come first.
    """
    others = tuple(_other_rows(problem))
    earlier, wrong, told = judge_rows(problem, others, {})
    findings, notes = list(earlier), list(told)
    before = ""  # the side before, where it is wrong
    for name, source in problem.rows.items():
        word, note = word_of(verdicts[name], source, problem.model)
        notes += note
        parts = [_part(problem.hand, n) for n in (before, name)] if before and word == "wrong" else []
        if parts and _are_equal(_equal(problem, *parts)):
            word = "fed wrong values"
        before = "" if word in ("right", "unknown") else name
        findings.append(StepFinding(name, 0, source, "the first side", word))
    mine = findings[len(earlier) :]
    return tuple(findings), (*wrong, *(f.name for f in mine if f.verdict == "wrong")), tuple(notes)


def _other_rows(problem: Problem) -> Iterator[TypesetRow]:
    """The sides in rows beside the chain that the question is about."""
    hand = _latex(problem.hand)
    if hand is None or hand.row is None:
        return
    for row in _rows(replace(hand, row=None)):
        if isinstance(row.claim, Definition) and row.formula.row is not None and row.formula.row[0] != hand.row[0]:
            yield row


def word_of(verdict: Verdict | None, source: Source, formula: Any = None) -> tuple[str, list[str]]:
    """What is said of a row, and the condition under which it is right, where it is wrong without, and the condition
    may be what was meant: of a matrix that the text transposes nobody thinks as symmetric.
    """
    if isinstance(verdict, Refuted) and verdict.true_if is not None and verdict.is_meant:
        condition = verdict.true_if[0]
        symmetric = re.split(", | and ", match[1]) if (match := _SYMMETRIC.fullmatch(condition)) else ()
        if ">" in condition or (symmetric and _transposed(formula).isdisjoint(symmetric)):
            return "right", [f"Line {source.line} is right if {condition}, and wrong without that."]
    return ("unknown" if verdict is None else _WORDS.get(verdict.kind, "unknown")), []


_SYMMETRIC = re.compile(r"(.+) (?:is|are) symmetric")


def _transposed(formula: Any) -> set[str]:
    """The names that the text of a formula transposes."""
    found = _latex(formula)
    if found is None:
        return set()
    documents = [found.document, *([found.model.document] if isinstance(found.model, Latex) else [])]
    sides = [x for d in documents for line in d.lines for x in line.sides]
    return {str(p.args[0].value) for x in sides for p in parts(x) if p.head == "transpose"}


def _are_equal(verdict: Verdict | None) -> bool:
    return verdict is not None and word_of(verdict, Source(""))[0] == "right"


def _part(hand: Any, name: str) -> Formula:
    while not isinstance(hand, Several):
        hand = hand.formula
    return hand.parts[name]


def _key(row: TypesetRow) -> str:
    """The derivative, or the name that is defined; of values without a name, where they stand."""
    line = row.claim
    return line.key if isinstance(line, Claim) else line.name or f"row {row.source.line}"


def _what(row: TypesetRow) -> str:
    """The derivative that a row claims, ``∂f/∂x``, ``∂²f/∂x²``, ``∂²f/∂x∂y``, or what it defines."""
    claim = row.claim
    if isinstance(claim, Definition):
        return claim.name or "the first side"
    times = {name: claim.wrt.count(name) for name in claim.wrt}
    below = "".join(f"∂{name}{_raised(n)}" for name, n in times.items())
    return f"∂{_raised(len(claim.wrt))}{claim.of}/{below or '∂'}"


def _raised(n: int) -> str:
    return "" if n < 2 else "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(n))


def _verdict(problem: Problem, row: TypesetRow) -> Verdict | None:
    """The verdict on one side, None where its truth is not known."""
    claim, formula = row.claim, row.formula
    if isinstance(claim, Definition):
        assert formula.row is not None
        if not row.first:
            return _same(problem, replace(formula, row=(formula.row[0], 0)), formula)
        own = _defined(formula.model, str(claim.name)) if isinstance(formula.model, Latex) else None
        return (
            None
            if own is None
            else _equal(problem, Keyed(own, {own.key: "value"}), Keyed(formula, {formula.key: "value"}))
        )
    order = claim.order
    if problem.derivation is not None:
        return _of_values(problem, row)
    model = problem.model.formula if isinstance(problem.model, PartialFormula) else problem.model
    own = formula.model
    if isinstance(own, Latex) and (own.defined.intersection(claim.wrt) or claim.is_of_some):
        assert formula.row is not None
        exact = replace(formula, row=(formula.row[0], len(claim.sides)))
        return _same(problem, exact, formula) or _beside_a_cut(problem, own, claim, formula)
    if isinstance(own, Latex) and own.document.output not in (None, claim.of):
        model = _defined(own, claim.of)
    if model is None or not (claim.wrt or len(problem.wrt) == 1):
        return None
    name = formula.key if claim.wrt else problem.wrt[0]
    if name not in problem.inputs.point:
        return None
    if order > 2 or len(set(claim.wrt)) > 1:  # the first derivative of the one below it
        model, order = PartialFormula(model, formula.differentiated[1][:-1]), 1
    hand: Formula = Keyed(formula, {formula.key: name})
    if (inside := _differentiated(row)) is not None and order == 1:
        hand = Keyed(PartialFormula(inside, (name,)), {"output": name})
    asked = replace(problem, model=model, hand=hand, wrt=(name,), order=order, first=None, labels={}, letters={})
    try:
        return decide_with_conditions(asked).verdicts[name]
    except WrongShape:  # tensors that do not fit are no derivative
        point = problem.inputs.point
        return Refuted(Witness(point, None, "another shape", "its own", "shape"))
    except SymgradError:
        return None


def _differentiated(row: TypesetRow) -> Latex | None:
    """The formula that a side has behind its operator, ``\\nabla_w (y - Xw)^\\top (y - Xw)``; None of other sides."""
    side, own = _side(row), row.formula.model
    if side.head != "partial" or side.args[0].head == "name" or not isinstance(own, Latex):
        return None
    inside = row.formula.text[slice(*side.args[0].span)]
    used = {p.value for p in parts(side) if p.head == "name"} & own.defined
    text = f"{own.text} \\\\ {_UNSAID} = {inside}" if used else inside
    try:
        return Latex(text, shapes=own.shapes, rename=own.rename, readings=row.formula.readings)
    except SymgradError:
        return None


def _beside_a_cut(problem: Problem, own: Latex, claim: Claim, formula: Latex) -> Verdict | None:
    """The verdict on a derivative with respect to what a row of the model says: there it is an input like others."""
    cut, point = set(claim.wrt) & own.defined, dict(problem.inputs.point)
    rows = [e for e in own.equations if e.left is None or e.left.head != "symbol" or names_of(e.left) not in cut]
    try:
        for name in cut:
            one = _defined(own, name)
            point[name] = next(iter(one.run(point).values.values())) if one is not None else None
        model = replace(own, text=" \\\\ ".join(own.text[slice(*e.span)] for e in rows))
        inputs = replace(problem.inputs, point=point, free=(*problem.inputs.free, *sorted(cut)))
        alone = Latex(_alone(claim, formula), shapes=formula.shapes, model=model, keyed=True, readings=formula.readings)
        hand = Keyed(alone, {alone.key: claim.wrt[-1]})
        dtypes = {**problem.dtypes, **dict.fromkeys(cut, "float64")}
        asked = replace(problem, model=model, hand=hand, wrt=claim.wrt[-1:], order=claim.order, inputs=inputs)
        asked = replace(asked, dtypes=dtypes, first=None, labels={}, letters={}, shapes=None)
        return decide_with_conditions(asked).verdicts[claim.wrt[-1]]
    except SymgradError:
        return None


def _alone(claim: Claim, formula: Latex) -> str:
    """One side of a claim as a text of its own."""
    assert formula.row is not None
    return " = ".join(formula.text[slice(*x)] for x in (claim.span, claim.sides[formula.row[1]].span))


def _of_values(problem: Problem, row: TypesetRow) -> Verdict | None:
    """The verdict on one side of a derivation whose values SymPy tells, such as those of integrals."""
    claim, formula = row.claim, row.formula
    assert isinstance(claim, Claim)
    alone = Latex(_alone(claim, formula), shapes=formula.shapes, readings=formula.readings)
    try:
        own = Asked(at=problem.inputs.point, points=problem.points, effort=problem.effort, seed=problem.seed)
        return next(iter(decide_with_conditions(pose(formula.model, alone, own)).verdicts.values()))
    except SymgradError:
        return None


def _defined(model: Latex, name: str) -> Latex | None:
    """One of the model's rows as a formula."""
    for k, line in enumerate(model.document.lines):
        if getattr(line, "name", None) == name:
            return replace(model, row=(k, 0))
    return None


def _same(problem: Problem, one: Latex, other: Latex) -> Verdict | None:
    """The verdict on whether two formulas have the same values, None where one has none."""
    return _equal(problem, *(Keyed(f, {f.key: "value"}) for f in (one, other)))


def _equal(problem: Problem, one: Formula, other: Formula) -> Verdict | None:
    try:
        asked = replace(problem, model=one, hand=other, wrt=("value",), order=0, first=None, labels={}, letters={})
        return decide_with_conditions(asked).verdicts["value"]
    except SymgradError:
        return None
