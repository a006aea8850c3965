"""Torch's softplus above its threshold: what it means, and what runs.

Above a threshold, 20 by default, ``softplus(u)`` returns u for log(1 + exp(u)), which is at most 2.1e-9 more.  So a
model that uses it has two derivatives there: sigmoid(u) of what it means, 1 of what runs; and people write either as a
gradient.  A model is read as what it means.  Where that makes a gradient wrong, and only above the threshold, the
question is asked again of what runs: then the threshold is a choice of the code like any other.  What is right for
one of the two readings, wherever it is looked at, is right, and the report says for which.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch

from symgrad.checking.comparison import Branch
from symgrad.checking.exploration import Findings
from symgrad.checking.verdicts import Agrees, Proved, Refuted
from symgrad.evaluation.floats import Floats, tensors_of
from symgrad.lifting.tracing.aten_rules import shortcuts_as_they_run
from symgrad.problem.question import Problem
from symgrad.program.program import interpret

_THRESHOLD = 20.0
_ABOVE = "torch's softplus(u) returns u itself where u is above its threshold (20, if the code says no other)"


def with_shortcuts(judged: Callable[[Problem], Findings], problem: Problem) -> Findings:
    """The findings of a question, of its softplus as it runs where every claim is right of that alone."""
    found = judged(problem)
    refuted = [v for v in found.verdicts.values() if isinstance(v, Refuted)]
    if not refuted:
        if is_above(found.own, problem.inputs.point) and _has_threshold(problem, found):
            found.notes.append(
                f"{_ABOVE}: its own slope there is 1, and autograd's. Yours is the derivative of log(1 + exp(u)), "
                "sigmoid(u), which is less by at most 2.1e-9."
            )
        return found
    only_above = all(v.witness.reason == "differs" and is_above(found.own, v.witness.point) for v in refuted)
    if not only_above or not _has_threshold(problem, found):
        return found
    with shortcuts_as_they_run():
        again = judged(replace(problem, first=None))
    if not all(isinstance(v, (Proved, Agrees)) for v in again.verdicts.values()):
        return found
    again.as_it_runs = True
    again.notes.append(
        f"{_ABOVE}. Yours is the derivative of that, which is 1 there. It is not the derivative of log(1 + exp(u)), "
        "which is sigmoid(u), less by at most 2.1e-9."
    )
    return again


def reading_of(found: Findings) -> AbstractContextManager[None]:
    """A block in which code is read as it was for these findings."""
    return shortcuts_as_they_run() if found.as_it_runs else contextlib.nullcontext()


def is_above(branch: Branch, point: Mapping[str, Any]) -> bool:
    """Whether a softplus of the model is given more than the threshold at a point."""
    program = branch.program
    wanted = [program.steps[i].args[0] for i in program.needed([branch.model]) if program.steps[i].op == "softplus"]
    if not wanted or any(name not in point for name in program.inputs):
        return False
    with torch.no_grad():
        values = interpret(program, Floats(), tensors_of(point, program.dtypes), wanted)
    return any(bool((values[i] > _THRESHOLD).any()) for i in wanted)


def _has_threshold(problem: Problem, found: Findings) -> bool:
    """Whether the model does something else when its softplus is read as it runs: NumPy's and that of a text do not."""
    with shortcuts_as_they_run():
        program = problem.model.run(problem.inputs.point, problem.dtypes).program
    return len(program.steps) != len(found.own.model_run.program.steps)
