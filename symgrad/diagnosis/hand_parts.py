"""The formulas that a hand side is made of, the points to search them at, and what a search proposes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch
from symgrad.checking.exploration import Findings, branch_at
from symgrad.checking.held_data import other_labels
from symgrad.checking.verdicts import Refuted
from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.scope import Scene
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Renamed, Several
from symgrad.problem.question import Problem
from symgrad.problem.sampling import neighbours
from symgrad.program.program import Binding

_POINTS = 3
_MOVED = 2


@dataclass(frozen=True, eq=False)
class Leaf:
    """One formula of the hand side: its place in a mapping, and its input names (its own -> outside)."""

    key: str | None
    formula: Any
    of: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Proposal:
    """A faulty expression and the edits that fit, best first; ``larger`` looks for those that change more."""

    name: str
    line: int | None
    site: Any
    text: str
    edits: tuple[Edit, ...]
    scene: Scene | None
    larger: Callable[[], tuple[Edit, ...]] | None = None

    @property
    def all_edits(self) -> Proposal:
        """The proposal with all the edits that are found, where small ones are too few."""
        return self if self.larger is None else replace(self, edits=self.larger(), larger=None)


def leaves(formula: Any, key: str | None = None, of: Mapping[str, str] | None = None) -> list[Leaf]:
    """The formulas that a hand side is made of."""
    if isinstance(formula, Renamed):
        inner = dict(formula.of)
        if of:
            inner = {own: of.get(out, out) for own, out in inner.items()} | {
                o: x for o, x in of.items() if o not in inner.values()
            }
        return leaves(formula.formula, key, inner)
    if isinstance(formula, Several):
        return [leaf for k, part in formula.parts.items() for leaf in leaves(part, k, of)]
    if hasattr(formula, "keys") and hasattr(formula, "formula"):
        found = leaves(formula.formula, key, of)
        return [replace(f, key=formula.keys.get(f.key, f.key)) if f.key is not None else f for f in found]
    return [Leaf(key, formula, of or {})]


def swapped(formula: Any, old: Any, new: Any) -> Any:
    """The hand side with one of its formulas replaced."""
    if formula is old:
        return new
    if isinstance(formula, Renamed):
        return replace(formula, formula=swapped(formula.formula, old, new))
    if isinstance(formula, Several):
        return replace(formula, parts={k: swapped(p, old, new) for k, p in formula.parts.items()})
    if hasattr(formula, "keys") and hasattr(formula, "formula"):
        return type(formula)(swapped(formula.formula, old, new), formula.keys)
    return formula


def hand_bindings(branch: Branch) -> list[Binding]:
    return list(branch.program.bindings[len(branch.model_run.program.bindings) :])


def source_of(fault: Any) -> Any:
    return fault.source or next((b.source for b in fault.bindings if b.source is not None), None)


def points_for(problem: Problem, findings: Findings, branch: Branch) -> tuple[list[Mapping[str, Any]], int]:
    """Points of one branch to search at: first with the data as they are, then (to rank) with other data too."""
    points = [s.point for b, s in findings.looks if b is branch and not s.ties][:_POINTS]
    if len(points) < _POINTS and branch is findings.own and not findings.at_user_point.ties:
        points.append(problem.inputs.point)
    for near in neighbours(problem.inputs, 8 if len(points) < _POINTS else 0, problem.seed + 1):
        with contextlib.suppress(SymgradError):
            if branch_at(problem, near, [branch]) is branch:
                points.append(near)
    points = points[:_POINTS] or [problem.inputs.point]
    points += _witnesses(problem, findings, branch)
    moved = []
    for k in range(_MOVED):
        other = with_data_moved(problem, points[k % len(points)], branch, k)
        with contextlib.suppress(SymgradError):
            if other is not None and branch_at(problem, other, [branch]) is branch:
                moved.append(other)
    return [*points, *moved], len(points)


def _witnesses(problem: Problem, findings: Findings, branch: Branch) -> Iterator[Mapping[str, Any]]:
    """The simplest point that shows a number to be wrong: there what a settled recurrence hides is large."""
    for verdict in findings.verdicts.values():
        if isinstance(verdict, Refuted) and verdict.witness.reason == "differs" and verdict.witness.entry is None:
            with contextlib.suppress(SymgradError):
                if branch_at(problem, verdict.witness.point, [branch]) is branch:
                    yield verdict.witness.point
                    return


def with_data_moved(problem: Problem, point: Mapping[str, Any], branch: Branch, seed: int) -> dict[str, Any] | None:
    """A point with other data; None where there is nothing to move.

    Masks stay, and so does what the model does not depend on: it is a number that both sides agree on.  Labels become
    other labels, a symmetric matrix stays symmetric, and what adds up to one does so again.
    """
    used = set(branch.program.needed([branch.model]))
    rng = np.random.default_rng((problem.seed, 6, seed))
    out = dict(point)
    for name, value in point.items():
        is_data = isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in problem.inputs.free
        if is_data and branch.program.inputs.get(name) in used:
            labels = np.isin(value, (-1.0, 0.0, 1.0)).all()
            out[name] = next(other_labels(value, rng), value) if labels else _moved(value, rng)
    return out if any(out[n] is not point[n] for n in out) else None


def _moved(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    factor = 1 + 0.2 * rng.uniform(0.2, 1, value.shape)
    if value.ndim == 2 and value.shape[0] == value.shape[1] and np.array_equal(value, value.T):
        factor = (factor + factor.T) / 2
    other = value * factor
    if value.ndim and (value >= 0).all() and np.allclose(value.sum(-1), 1):
        other = other / other.sum(-1, keepdims=True)
    return other
