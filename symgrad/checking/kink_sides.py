"""The sides of the kinks that a formula has in itself: |u|, sign(u), the root of a square, beside u = 0.

No code chooses there, and a proof holds on both sides.  But where a claim is only looked at, a side on which no point
was looked at is a branch that was not judged; so the sign of each u is a choice like any other.  A denominator may be
crossed too, for no more than to have looked: between its poles a formula is one and the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from symgrad.checking.choices import Look
from symgrad.checking.comparison import Branch
from symgrad.evaluation.floats import Floats
from symgrad.program.primitives import number_of, primitive
from symgrad.program.program import EXTREME, Guard, Program, Step, interpret, size

_MOST = 24  # kinks of one formula whose sides are asked for
_ROOTS = ("sqrt", "pow")


def with_kinks(looks: Iterable[Look]) -> list[Look]:
    """The looks with the signs at the kinks of the formulas as further choices."""
    branches: dict[int, Branch] = {}
    out = []
    for branch, seen in looks:
        if id(branch) not in branches:
            branches[id(branch)] = _kinked(branch)
        kinked = branches[id(branch)]
        program = kinked.program
        inputs = {n: torch.as_tensor(np.asarray(seen.point[n])) for n in program.inputs}
        asked = [g for g in program.guards if g.op == "sign"]
        values = interpret(program, Floats("float64"), inputs, [g.args[0] for g in asked])
        signs = tuple(replace(g, outcome=np.sign(values[g.args[0]].numpy())) for g in asked)
        out.append((kinked, replace(seen, guards=signs, ties=())))
    return out


def _kinked(branch: Branch) -> Branch:
    """The branch written in the simplest operations, with a guard for each kink that it has."""
    program = branch.program
    wanted = [branch.model, *(s for p in branch.pairs for s in (p.hand, p.exact) if s is not None)]
    steps, place = primitive(program, [*wanted, *branch.stated, *program.inputs.values()])
    inputs = {n: place[i] for n, i in program.inputs.items()}
    sources = {place[i]: program.steps[i].source for i in place}
    guards: dict[int, Guard] = {}
    for i, is_branch in _kinks(steps):
        if size(steps[i].shape) and not steps[i].is_complex and i not in guards and len(guards) < _MOST:
            params = None if is_branch else EXTREME
            guards[i] = Guard("sign", (i,), params, np.zeros(steps[i].shape), sources.get(i))
    made = Program(inputs, tuple(steps), {"f": place[branch.model]}, (), tuple(guards.values()))
    return replace(branch, program=made, stated=tuple(place[i] for i in branch.stated))


def _kinks(steps: Sequence[Step]) -> Iterator[tuple[int, bool]]:
    """The steps at whose zeros there is a kink, and those that are only divided by."""
    for step in steps:
        if step.op in ("abs", "sign"):
            yield step.args[0], True
        elif step.op in _ROOTS and (base := _squared(steps, step.args[0])) is not None:
            yield base, True
        elif step.op == "div" and number_of(steps, step.args[1]) is None:
            yield step.args[1], False


def _squared(steps: Sequence[Step], i: int) -> int | None:
    """The step that this one is an even power of, up to zeros that are added and its layout."""
    while True:
        step = steps[i]
        if step.op == "powi" and step.params % 2 == 0:
            return step.args[0]
        if step.op == "mul" and step.args[0] == step.args[1]:
            return step.args[0]
        if step.op == "add":
            rest = [a for a in step.args if not _is_zero(steps, a)]
            if len(rest) != 1:
                return None
            i = rest[0]
        elif step.op in ("pick", "scatter", "name", "cast") and len(step.args) == 1:
            if step.op == "scatter" and size(step.shape) != size(steps[step.args[0]].shape):
                return None
            i = step.args[0]
        else:
            return None


def _is_zero(steps: Sequence[Step], i: int) -> bool:
    while steps[i].op in ("powi", "mul", "pick", "scatter", "cast", "name") and steps[i].args:
        i = steps[i].args[0]
    return number_of(steps, i) == 0
