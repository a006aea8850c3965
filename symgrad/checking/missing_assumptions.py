"""Wrong in general, and true under a constraint that nobody stated: probabilities that sum to one, symmetric matrices.

The standard constraints on the inputs are tried one after another.  One is named only if the two sides are then shown
equal: by proof, or modulo random primes, on the whole Program with the constraint imposed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from symgrad.checking.comparison import Branch, Pair, look
from symgrad.checking.exploration import Findings, Problem
from symgrad.checking.verdicts import Refuted
from symgrad.errors import SymgradError
from symgrad.evaluation.residues import certificate
from symgrad.indices.facts import Fact
from symgrad.problem.constraints import impose, settle, standard_facts, written
from symgrad.problem.definedness import branches_on
from symgrad.problem.sampling import neighbours

__all__ = ["suppose"]

_WORK = 20_000  # entries of all steps, in a Program for which constraints are tried
_FACTS = 8
_LOOKS = 2


def suppose(problem: Problem, found: Findings) -> None:
    """Note with each refutation the standard constraint under which the claim would be true, if there is one."""
    work = sum(int(np.prod(s.shape, dtype=np.int64)) for s in found.own.program.steps)
    open_pairs = [p for p in found.own.pairs if p.hand is not None and isinstance(found.verdicts[p.name], Refuted)]
    if problem.only_here or problem.inputs.facts or work > _WORK or not open_pairs:
        return
    steps = {n: found.own.program.steps[i] for n, i in found.own.program.inputs.items() if n in problem.dtypes}
    shapes = {n: s.shape for n, s in steps.items() if not s.is_complex}
    for fact in standard_facts({n: shape for n, shape in shapes.items() if shape and max(shape) > 1})[:_FACTS]:
        for pair in _agreeing(problem, found.own, fact, open_pairs):
            verdict = found.verdicts[pair.name]
            assert isinstance(verdict, Refuted)
            assert pair.hand is not None
            program, place = impose(found.own.program, (fact,))
            goal = (place[pair.hand], place[pair.exact])
            if certificate(program, [goal], seed=problem.seed).equal is True:
                found.verdicts[pair.name] = replace(verdict, true_if=(str(fact), written(fact)))
                open_pairs = [p for p in open_pairs if p is not pair]


def _agreeing(problem: Problem, own: Branch, fact: Fact, pairs: list[Pair]) -> list[Pair]:
    """The pairs that agree at a few points that meet the fact."""
    inputs = replace(problem.inputs, facts=(fact,), point=settle(problem.inputs.point, (fact,)))
    alive, moving = list(pairs), branches_on(own.program, inputs.free)
    for point in (inputs.point, *neighbours(inputs, _LOOKS, problem.seed)):
        if not alive:
            break
        try:
            branch = problem.branch(point, (own,)) if moving else own
        except SymgradError:
            return []
        if branch is not own:
            return []
        views = look(own, point, inputs.free).views
        alive = [p for p in alive if views[p.name].state == "agrees"]
    return alive
