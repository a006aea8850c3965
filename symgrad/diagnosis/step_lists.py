"""Lists of steps, line by line: is each claim true, given that the others are?"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.checking.judge import decide, decide_with_conditions
from symgrad.checking.results import Repair, StepFinding
from symgrad.checking.verdicts import Verdict
from symgrad.diagnosis.bench import Bench, Edit
from symgrad.diagnosis.candidates import atoms_in
from symgrad.diagnosis.derivative_text import spell_truth
from symgrad.diagnosis.differences import changed, classified
from symgrad.diagnosis.edits import search
from symgrad.diagnosis.hand_parts import leaves, swapped
from symgrad.diagnosis.mistakes import explain
from symgrad.diagnosis.repair import judged
from symgrad.diagnosis.scope import values_at
from symgrad.diagnosis.slip import Slip
from symgrad.diagnosis.typeset_rows import word_of
from symgrad.errors import SymgradError
from symgrad.lifting.text.step_list import Line, Steps, place_of_side
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.question import Problem
from symgrad.problem.sampling import neighbours
from symgrad.program.builder import Builder, join
from symgrad.program.derivative import gradients
from symgrad.program.program import Program, Source

# ---------------------------------------------------------------------------------------------------------- step lists


def steps_of(formula: Any) -> Steps | None:
    """The list of steps behind a hand formula, if it is one."""
    while hasattr(formula, "formula"):
        formula = formula.formula
    return formula if isinstance(formula, Steps) else None


def judge_lines(problem: Problem) -> tuple[tuple[StepFinding, ...], tuple[str, ...], tuple[str, ...]]:
    """What each line claims and whether it is true by itself, the labels of the wrong lines in order, and notes.

    The truth of dA/dB is the exact derivative of A, as the lines define it, along all paths through B; the output that
    no line defines is the model.  A line is wrong by itself if it is wrong when the derivatives that it uses are
    replaced by their truths.
    """
    steps = steps_of(problem.hand)
    assert steps is not None
    judged = Lines(problem, steps)
    before: Line | None = None  # the last line, where it is wrong
    mistaken: Lines | None = None  # the steps by what a line says wrongly of a name
    findings: list[StepFinding] = []
    wrong: list[str] = []
    conditions: list[str] = []
    count: dict[str, int] = {}
    for line in steps.lines:
        version = count.get(line.label, 0)
        count[line.label] = version + 1
        source = Source(line.whole, None, line.place)
        if line.of is None and line is not steps.definitions[line.name]:
            word, note = word_of(judged.equal(steps.definitions[line.name], line), source)
            conditions += note
            if word == "wrong" and before is not None and before.label == line.label and judged.follows(before, line):
                word = "fed wrong values"
            before = line if word in ("wrong", "fed wrong values") else None
            mistaken = mistaken if before is None else Lines(problem, steps.by(line))
            findings.append(StepFinding(line.label, version, source, line.label, word))
            wrong += [line.label] if word == "wrong" and line.label not in wrong else []
            continue
        if line.of is None:
            broken = judged.is_another(line.name)
            finding = StepFinding(line.label, version, source)
            findings.append(replace(finding, claims=line.label, verdict="wrong") if broken else finding)
            wrong += [line.label] if broken else []
            continue
        verdict = judged.verdict(line)
        word, note = (None, []) if verdict is None else word_of(verdict, source)
        if word == "wrong" and mistaken is not None and mistaken.is_true(line):
            word = "fed wrong values"
        elif word == "wrong" and mistaken is None and wrong and wrong[0] in steps.definitions:
            word = "unknown"  # by another model than it is about
        conditions += note
        is_wrong = word == "wrong"
        if is_wrong and before is not None and before.label == line.label and judged.follows(before, line):
            word = "fed wrong values"
        findings.append(StepFinding(line.label, version, source, f"∂{line.name}/∂{line.of}", word))
        before = line if is_wrong else None
        if word == "wrong" and line.label not in wrong:
            wrong.append(line.label)
    return tuple(findings), tuple(wrong), (*judged.notes(), *conditions)


class Lines:
    """The truths of a list of steps, by rerunning definitions and model at a point."""

    def __init__(self, problem: Problem, steps: Steps) -> None:
        self.problem, self.steps = problem, steps

    def verdict(self, line: Line) -> Verdict | None:
        """The verdict on one line, None where its truth, or that of what it uses, is not defined."""
        if any(map(self._is_unknown, ((line.name, line.of), *line.uses.values()))):
            return None
        p = self.problem
        own = p.inputs.point
        try:
            first = self.truth(line, own), self.claim(line, own)
            names = first[1].program.inputs.keys() | first[0].program.inputs.keys()
            dtypes = {n: k for n, k in p.dtypes.items() if n in names}
            sides = [_Side(self, line, k, tuple(dtypes)) for k in (0, 1)]
            whole = Problem(sides[0], sides[1], p.inputs, p.dtypes, ("claim",), 1, p.points, p.seed, first=first)
            whole = replace(whole, effort=p.effort)
            return decide_with_conditions(whole).verdicts["claim"]
        except SymgradError:
            return None

    def is_true(self, line: Line) -> bool:
        verdict = self.verdict(line)
        return verdict is not None and verdict.kind in ("proved", "agrees")

    def follows(self, one: Line, other: Line) -> bool:
        """Whether a wrong line says the same as the wrong one before it, which is then the fault."""
        verdict = self.equal(one, other)
        return verdict is not None and verdict.kind in ("proved", "agrees")

    def equal(self, one: Line, other: Line) -> Verdict | None:
        """The verdict on whether two lines say the same, None where one of them has no value."""
        p = self.problem
        sides = [_Side(self, line, 1, tuple(p.dtypes)) for line in (one, other)]
        try:
            whole = Problem(sides[0], sides[1], p.inputs, p.dtypes, ("claim",), 0, p.points, p.seed, effort=p.effort)
            return decide_with_conditions(whole).verdicts["claim"]
        except SymgradError:
            return None

    def _is_unknown(self, pair: tuple[str, str | None]) -> bool:
        """Whether a derivative is one of the model by a quantity of which only the lines, and not the model, know."""
        name, of = pair
        return name == self.steps.output and name not in self.steps.definitions and of in self.steps.definitions

    def notes(self) -> tuple[str, ...]:
        """Whether the output, where a line defines it, is the model."""
        name = self.steps.output
        if name not in self.steps.definitions:
            return ()

        return (f"The steps end in {name}, which is not the model.",) if self._differs(name) else ()

    def is_another(self, name: str) -> bool:
        """Whether a line says of the quantity that the model is typeset as, or of its logarithm, what it is not."""
        said = getattr(getattr(self.problem.model, "document", None), "output", None)
        return said is not None and name in (said, f"log_{said}") and self._differs(name, log=name != said)

    def _differs(self, name: str, *, log: bool = False) -> bool:
        """Whether what lines define is not the model, or not its logarithm."""
        p = self.problem

        def both(point: Mapping[str, Any]) -> tuple[Run, Run]:
            builder, places = self.steps.defined(point, p.dtypes)
            mine = builder.build({"value": places[name]})
            model = p.model.run(point, p.dtypes)
            if log:
                b = Builder.on(model.program)
                model = Run(b.build({"value": b.emit("log", (model.program.output,))}), {})
            return model, Run(mine, {})

        sides = [_Both(both, k, tuple(p.inputs.point)) for k in (0, 1)]
        try:
            kind = decide(Problem(sides[0], sides[1], p.inputs, p.dtypes, (name,), 0, 8, p.seed)).verdicts[name].kind
        except SymgradError:
            return False
        return kind == "refuted"

    def program(self, point: Mapping[str, Any]) -> tuple[Program, dict[str, int]]:
        """Definitions, and the model as the output that they do not define."""
        builder, places = self.steps.defined(point, self.problem.dtypes)
        program = builder.build(places)
        if self.steps.output in places:
            return program, places
        model = self.problem.model.run(point, self.problem.dtypes).program
        both = join(steps=program, model=model)
        found = {n: both.outputs[f"steps.{n}"] for n in places}
        (found[self.steps.output],) = (i for key, i in both.outputs.items() if key.startswith("model."))
        return both, found

    def truth(self, line: Line, point: Mapping[str, Any]) -> Run:
        program, places = self.program(point)
        assert line.of is not None
        made = program.with_outputs({"output": places[line.name], "at:claim": places[line.of]})
        return Run(made, {})

    def claim(self, line: Line, point: Mapping[str, Any]) -> Run:
        truths = {}
        for pair in line.uses.values():
            if pair in self.steps.claims:
                truths[pair] = self._exact(pair, point)
        return self.steps.one(line, point, truths, self.problem.dtypes)

    def _exact(self, pair: tuple[str, str], point: Mapping[str, Any]) -> Program:
        program, places = self.program(point)
        b = Builder.on(program)
        found = gradients(b, places[pair[0]], {"it": places[pair[1]]})["it"]
        return b.build({"it": found})


class _Both:
    def __init__(self, both: Callable[[Mapping[str, Any]], tuple[Run, Run]], side: int, names: Sequence[str]) -> None:
        self.both, self.side = both, side
        self.names = self.required = tuple(names)

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return self.both(point)[self.side]


class _Side:
    def __init__(self, lines: Lines, line: Line, side: int, names: Sequence[str]) -> None:
        self.lines, self.line, self.side = lines, line, side
        self.names = self.required = tuple(names)

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return self.lines.claim(self.line, point) if self.side else self.lines.truth(self.line, point)


# --------------------------------------------------------------------------------------------------- step list repairs
# Lists of steps: what to write instead of the wrong lines, kept when all of the list is then right.

_POINTS = 4
_JUDGED = 8
_OFFERED = 4
_FALSE = ("wrong", "fed wrong values")


def repair_lines(problem: Problem, findings: Sequence[StepFinding]) -> tuple[tuple[Repair, ...], str | None]:
    """The repairs of the wrong lines of a list of steps, in order, and the whole list with them made.

    ``findings`` has one for each line.  Repairs are offered only where the results are then right, and no line is
    wrong.
    """
    (leaf,) = leaves(problem.hand)
    steps: Steps = leaf.formula
    lines = Lines(problem, steps)
    wrong = [line for line, f in zip(steps.lines, findings, strict=True) if f.verdict in _FALSE]
    if any(line.of is None for line in wrong):
        return (), None
    found = [(line, _edits(problem, lines, line)) for line in wrong]
    if not found or not all(edits for _, edits in found):
        return (), None
    for choice in itertools.islice(itertools.product(*(edits[:_OFFERED] for _, edits in found)), _JUDGED):
        rows = dict(_rows(steps))
        for (line, _), edit in zip(found, choice, strict=True):
            rows[line.number] = _row(rows[line.number], line, edit)
        try:
            made = Steps("\n".join(rows.values()))
            hand = swapped(problem.hand, steps, made)
            kind = judged(problem, hand)
            if kind in ("proved", "agrees") and not judge_lines(replace(problem, hand=hand, first=None))[1]:
                return tuple(_repairs(steps, wrong, choice, kind == "proved")), "\n".join(rows.values())
        except SymgradError:
            continue
    return (), None


def _edits(problem: Problem, lines: Lines, line: Line) -> list[Edit]:
    """The edits of one line that give the exact derivative, where all that it uses is right."""
    points = list(_points(problem))
    scopes, goals = [], []
    try:
        program, truth, places = _truths(lines, line, points[0])
    except SymgradError:
        return []
    if any(program.shape(i) for i in places.values()) or program.shape(truth):
        return []  # an array is not searched
    kept = []
    for point in points:
        values = values_at(program, [truth, *places.values()], point)
        numbers = {n: np.float64(values[i]) for n, i in places.items()}
        if all(np.isfinite(v) for v in (*numbers.values(), float(values[truth]))):
            scopes.append(numbers)
            goals.append(values[truth].numpy())
            kept.append(point)
    bench = Bench(scopes, goals, len(scopes), True)
    if not scopes or not bench.lay_side_by_side(line.text):
        return []
    names, samples = dict(bench.scopes[0]), list(range(len(kept)))
    atoms = atoms_in(bench, names, ast.parse(f"({line.text}\n)", mode="eval").body, (), "")
    spelled = functools.partial(spell_truth, bench, program, truth, kept, samples, names, atoms)
    return search(line.text, bench, atoms, spelled)


def _points(problem: Problem) -> Iterator[dict[str, Any]]:
    yield dict(problem.inputs.point)
    yield from neighbours(problem.inputs, _POINTS, problem.seed + 1)


def _truths(lines: Lines, line: Line, point: dict[str, Any]) -> tuple[Program, int, dict[str, int]]:
    """The exact derivative that a line claims, and the true values of the names and derivatives that it may use."""
    program, places = lines.program(point)
    b = Builder.on(program)
    assert line.of is not None
    goal = gradients(b, places[line.name], {"it": places[line.of]})["it"]
    seen = {n: i for n, i in places.items() if n != lines.steps.output or n in lines.steps.definitions}
    for (name, of), other in lines.steps.claims.items():
        if other.number != line.number and (name, of) != (line.name, line.of):
            seen[f"d{name}_d{of}"] = gradients(b, places[name], {"it": places[of]})["it"]
    return b.build({"it": goal}), goal, seen


# ------------------------------------------------------------------------------------------------ words


def _rows(steps: Steps) -> Iterator[tuple[int, str]]:
    """The rows of the list as they were written, by their numbers."""
    source = steps.source.splitlines() if isinstance(steps.source, str) else [_text(x) for x in steps.source]
    yield from enumerate(source, 1)


def _text(x: Any) -> str:
    return x if isinstance(x, str) else f"{x.lhs} = {x.rhs}"


def _row(row: str, line: Line, edit: Edit) -> str:
    first, stop = place_of_side(row, line.side)
    start = row.index(line.said, first, stop)
    return row[:start] + _said(line, edit.text) + row[start + len(line.said) :]


def _said(line: Line, text: str) -> str:
    """An expression with derivatives written as the user writes them: ``dh1/dw`` for dh1_dw, if that is so."""
    if not re.search(r"/\s*[d∂]", line.whole):
        return text
    return re.sub(r"\(d(\w+?)_d(\w+)\)|\bd(\w+?)_d(\w+)\b", lambda m: f"d{m[1] or m[3]}/d{m[2] or m[4]}", text)


def _repairs(steps: Steps, wrong: Sequence[Line], edits: Sequence[Edit], proved: bool) -> Iterator[Repair]:
    written = {n: other.text for n, other in steps.definitions.items()}
    for line, edit in zip(wrong, edits, strict=True):
        old, new = changed(line.text, edit.text)
        kind, operand = classified(old, new, edit.kind)
        slip = Slip(line.label, replace(edit, kind=kind), old, new, None, operand, written)
        part = _said(line, old), _said(line, new)
        why = _said(line, explain(slip))
        yield Repair(line.label, line.place, line.said, _said(line, edit.text), why, proved, kind, part)
