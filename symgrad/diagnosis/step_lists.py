"""Lists of steps, line by line: is each claim true, given that the others are?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.checking.judge import Findings, Problem, judge
from symgrad.errors import SymgradError
from symgrad.lifting.text.step_list import Line, Steps
from symgrad.lifting.tracing.functions import Run
from symgrad.program.builder import Builder, join
from symgrad.program.derivative import gradients
from symgrad.program.program import Program, Source
from symgrad.report.report import StepFinding

__all__ = ["Lines", "judge_lines", "steps_of"]


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
    findings: list[StepFinding] = []
    wrong: list[str] = []
    count: dict[str, int] = {}
    for line in steps.lines:
        version = count.get(line.label, 0)
        count[line.label] = version + 1
        source = Source(line.whole, None, line.number)
        if line.of is None:
            findings.append(StepFinding(line.label, version, source))
            continue
        verdict = judged.verdict(line)
        word = {"proved": "right", "agrees": "right", "refuted": "wrong", None: None}.get(verdict, "unknown")
        findings.append(StepFinding(line.label, version, source, f"∂{line.name}/∂{line.of}", word))
        if verdict == "refuted" and line.label not in wrong:
            wrong.append(line.label)
    return tuple(findings), tuple(wrong), judged.notes()


class Lines:
    """The truths of a list of steps, by rerunning definitions and model at a point."""

    def __init__(self, problem: Problem, steps: Steps) -> None:
        self.problem, self.steps = problem, steps

    def verdict(self, line: Line) -> str | None:
        """The verdict on one line, None where its truth is not defined."""
        p = self.problem
        own = p.inputs.point
        try:
            first = self.truth(line, own), self.claim(line, own)
            names = first[1].program.inputs.keys() | first[0].program.inputs.keys()
            dtypes = {n: k for n, k in p.dtypes.items() if n in names}
            sides = [_Side(self, line, k, tuple(dtypes)) for k in (0, 1)]
            whole = Problem(sides[0], sides[1], p.inputs, p.dtypes, ("claim",), 1, p.points, p.seed, first=first)
            whole = replace(whole, effort=p.effort)
            found: Findings = judge(whole)
        except SymgradError:
            return None
        return found.verdicts["claim"].kind

    def notes(self) -> tuple[str, ...]:
        """Whether the output, where a line defines it, is the model."""
        p, name = self.problem, self.steps.output
        if name not in self.steps.definitions:
            return ()

        def both(point: Mapping[str, Any]) -> tuple[Run, Run]:
            program, places = self.program(point)
            mine = program.with_outputs({"value": places[name]})
            return p.model.run(point, p.dtypes), Run(mine, {"value": np.asarray(np.nan)})

        sides = [_Both(both, k, tuple(p.inputs.point)) for k in (0, 1)]
        try:
            kind = judge(Problem(sides[0], sides[1], p.inputs, p.dtypes, (name,), 0, 8, p.seed)).verdicts[name].kind
        except SymgradError:
            return ()
        return (f"The steps end in {name}, which is not the model.",) if kind == "refuted" else ()

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
