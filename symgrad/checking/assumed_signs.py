"""Numbers that stand under a power with a name for its exponent in the hand formula alone, and that nothing is
differentiated for: on paper they are positive.

``A**r`` is a real number for no other A, so that a formula with it says nothing of these; where the derivative has a
value there all the same, the hand formula is no less right for it.  Of code it is: a NaN is what it returns.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from symgrad.checking.exploration import Findings
from symgrad.checking.judge import judge
from symgrad.checking.verdicts import Refuted
from symgrad.problem.question import Problem
from symgrad.program.program import dependencies

_SIGNS = re.compile(r"[^\W\d]\w* > 0(?:, [^\W\d]\w* > 0)*")


def with_signs_of_paper(problem: Problem, found: Findings) -> tuple[Problem, Findings]:
    """The question and its verdicts where such numbers are positive, if all is right then; else as they are."""
    refuted = [v for v in found.verdicts.values() if isinstance(v, Refuted)]
    conditions = {v.true_if[0] for v in refuted if v.true_if is not None}
    if not refuted or len(conditions) != 1 or any(v.true_if is None for v in refuted) or problem.rows:
        return problem, found
    (said,) = conditions
    names = [x.removesuffix(" > 0") for x in said.split(", ")] if _SIGNS.fullmatch(said) else []
    states = {view.state for _, seen in found.looks for view in seen.views.values()}
    states |= {view.state for view in found.at_user_point.views.values()}
    unsaid = all(v.witness.reason == "undefined" for v in refuted) and "differs" not in states
    hand = found.own.hand_run.program
    named = [s.args[0] for s in hand.steps if s.op == "pow" and hand.steps[s.args[1]].op != "constant"]
    below = {hand.steps[i].params for i in dependencies(hand.steps, named) if hand.steps[i].op == "input"}
    is_code = problem.values(problem.inputs.point) is not None
    if (
        not names
        or not below.issuperset(names)
        or not unsaid
        or is_code
        or not set(names).isdisjoint(problem.wrt)
        or problem.inputs.given & set(names)
    ):
        return problem, found
    inputs = problem.inputs
    point = {n: np.abs(v) if n in names else v for n, v in inputs.point.items()}
    bounds = {**inputs.bounds, **dict.fromkeys(names, (0.0, None))}
    meant = replace(problem, inputs=replace(inputs, point=point, bounds=bounds), first=None)
    again = judge(meant)
    if not all(v.kind in ("proved", "agrees") for v in again.verdicts.values()):
        return problem, found
    listed = " and ".join(names)
    again.notes.append(
        f"{listed} {'is' if len(names) == 1 else 'are'} taken to be positive: elsewhere yours has no value"
    )
    return meant, again
