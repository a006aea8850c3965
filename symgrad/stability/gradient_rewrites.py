"""What to write instead of a hand formula's line that loses its digits at the user's own point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from symgrad.checking.judge import Problem
from symgrad.diagnosis.hand_parts import Leaf, leaves
from symgrad.errors import SymgradError
from symgrad.problem.sampling import Inputs
from symgrad.progress import doing
from symgrad.report.report import Instability
from symgrad.stability.detection import losing
from symgrad.stability.rewriting import best_rewrite
from symgrad.stability.samples import sample_around
from symgrad.stability.wording import why

__all__ = ["with_rewrites"]

_LARGEST = 20_000  # entries of the hand formula's steps up to which a rewrite is looked for


def with_rewrites(problem: Problem, found: Sequence[Instability]) -> tuple[Instability, ...]:
    """The instabilities of the hand side, each with why it is one and what to write instead, where that was found."""
    mine = [i for i in found if i.side == "hand"]
    if not mine:
        return tuple(found)
    doing("looking for what to write instead")
    told = {id(i): _told(problem, i) for i in mine}
    return tuple(told.get(id(i), i) for i in found)


def _told(problem: Problem, found: Instability) -> Instability:
    for leaf, key in _of_claim(problem, found.claim):
        inputs, dtypes = _inputs(problem, leaf)
        try:
            run = leaf.formula.run(inputs.point, dtypes)
            i = run.program.outputs[key]
            if sum(int(np.prod(s.shape, dtype=np.int64)) for s in run.program.steps) > _LARGEST:
                continue
            lost = losing(run.program, inputs.point, i, run.values[key])
            if lost is None:
                continue
            sample = sample_around(leaf.formula, key, inputs, inputs.free, dtypes, [lost.point], problem.seed)
            rewrite = best_rewrite(leaf.formula, run, lost, sample)
        except (SymgradError, KeyError):
            continue
        if rewrite is not None and _shown(lost.exact) != _shown(found.exact):
            continue  # another entry is what is lost most
        return replace(found, kind=lost.kind, why=why(run.program, lost.step, lost.kind), rewrite=rewrite)
    return found


def _shown(x: float) -> str:
    return f"{x:.12g}"


def _of_claim(problem: Problem, claim: str) -> Iterator[tuple[Leaf, str]]:
    """The formulas of the hand side that give a claim's derivative, with what each calls it."""
    called: Mapping[str, str] = getattr(problem.hand, "keys", {})
    for leaf in leaves(problem.hand):
        if leaf.key == claim:
            yield leaf, "value" if not hasattr(leaf.formula, "function") else "output"
        elif leaf.key is None:
            yield from ((leaf, own) for own, name in called.items() if name == claim)


def _inputs(problem: Problem, leaf: Leaf) -> tuple[Inputs, dict[str, str]]:
    """The question's inputs under the names that the formula has for them."""
    outside = {own: leaf.of.get(own, own) for own in leaf.formula.names}
    point = {own: problem.inputs.point[name] for own, name in outside.items() if name in problem.inputs.point}
    dtypes = {own: problem.dtypes[name] for own, name in outside.items() if name in problem.dtypes}
    real = tuple(own for own in dtypes if not dtypes[own].startswith("complex") and np.size(point[own]))
    free = tuple(own for own in real if outside[own] in problem.inputs.free) or real
    bounds = {own: problem.inputs.bounds[name] for own, name in outside.items() if name in problem.inputs.bounds}
    given = frozenset(own for own, name in outside.items() if name in problem.inputs.given)
    return Inputs(point, free, given, bounds), dtypes
