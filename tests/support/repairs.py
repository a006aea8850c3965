"""Repairs of lines whose faults are known: what the tests of the diagnosis ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from support.planted import Derivation, function

from symgrad.checking.judge import judge
from symgrad.checking.results import Repair
from symgrad.diagnosis.hand_parts import hand_bindings
from symgrad.diagnosis.repair import propose, repair
from symgrad.lifting.formulas import open_formula
from symgrad.problem.question import Asked, Problem, pose
from symgrad.program.builder import Builder
from symgrad.program.program import Binding, Program, Source


@dataclass(frozen=True, eq=False)
class Fault:
    name: str
    bindings: tuple[Binding, ...]
    source: Source | None
    truths: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    program: Program
    faults: tuple[Fault, ...]


def problem_of(model: Any, hand: Any, *, wrt: Any, at: Any) -> Problem:
    """The question that `verify` would ask."""
    return pose(model, hand, Asked(wrt, at))


def beside(program: Program, other: Program) -> tuple[Program, list[int]]:
    """Both programs in one; where each step of the other went."""
    b, place = Builder.on(program), []
    for step in other.steps:
        if step.op == "input" and step.params in b.inputs:
            place.append(b.inputs[step.params])
            continue
        b.steps.append(replace(step, args=tuple(place[a] for a in step.args)))
        place.append(len(b.steps) - 1)
    return b.build(program.outputs), place


def repaired(d: Derivation, wrong: str, right: str | None = None) -> tuple[tuple[Repair, ...], str | None]:
    """The repairs of the lines in which a wrong derivation differs from the right one."""
    right = right or d.hand
    lines = [k for k, (a, b) in enumerate(zip(wrong.splitlines(), right.splitlines(), strict=True), 1) if a != b]
    problem = problem_of(function(d.model, "model"), function(wrong), wrt=d.wrt, at=d.at)
    findings = judge(problem)
    truth = open_formula(function(right), stops=False).run(problem.inputs.point, problem.dtypes).program
    program, place = beside(findings.own.program, truth)
    pairs = list(zip(hand_bindings(findings.own), truth.bindings, strict=True))
    faults = []
    for line in lines:
        here = [(b, place[t.step]) for b, t in pairs if b.source is not None and b.source.line == line]
        faults.append(
            Fault(here[0][0].name, tuple(b for b, _ in here), here[0][0].source, {b.step: t for b, t in here})
        )
    proposals = propose(problem, findings, Diagnosis(program, tuple(faults)))
    return repair(problem, [p.all_edits for p in proposals])


POST = Derivation(
    "the tanh RNN post",
    """from math import tanh

def model(w_h, w_y, h0):
    return w_y * tanh(w_h * tanh(w_h * h0))
""",
    """from math import tanh

def hand(w_h, w_y, h0):
    h1_raw = w_h * h0
    h1 = tanh(h1_raw)
    h2_raw = w_h * h1
    h2 = tanh(h2_raw)
    dh0_dwh = 0  # because H0 is constant for w_h
    dh1raw_dwh = h0 + w_h * dh0_dwh
    dh1_dwh = (1 - h1**2) * dh1raw_dwh   # chain rule
    dh2raw_dwh = h1 + w_h * dh1_dwh
    dh2_dwh = (1 - h2**2) * dh2raw_dwh
    dy2_dwh = w_y * dh2_dwh
    return {'w_h': dy2_dwh, 'w_y': h2}
""",
    {"w_h": 2.0, "w_y": 40.0, "h0": 0.5},
    ("w_h", "w_y"),
)
