"""Looking for points at which a formula breaks in floats, the simplest one for each way in which it does.

Many points are filtered in floats; of each kind of suspicion the simplest few are judged in balls, on each branch of
the code that they reach, and what is found is confirmed by running the user's own code there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import SymgradError, UserCodeFailed
from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.sampling import Inputs
from symgrad.program.program import Program
from symgrad.stability.detection import Losing, is_the_librarys_own, losing
from symgrad.stability.filtering import suspects
from symgrad.stability.points import Candidates, candidates, cost_of

__all__ = ["Breaking", "breakings"]

_POINTS = 3000
_WORK = 12_000_000  # entries of float runs that the points may cost
_JUDGED = 40_000  # entries of balls that one kind of suspicion may cost
_TRIES = 24  # points of one kind of suspicion that are judged
_BRANCHES = 6
_PLAIN = 1e-4  # a relative error that anyone sees in the first digits that are printed
_WEAK = 30.0


@dataclass(frozen=True, eq=False)
class Breaking:
    """A point at which the code loses its digits: the run there, or its branch's where the code itself raises."""

    run: Run
    output: str
    losing: Losing
    raises: str | None = None


def breakings(
    formula: Formula,
    run: Run,
    inputs: Inputs,
    free: tuple[str, ...],
    dtypes: Mapping[str, str],
    seed: int,
    effort: float,
) -> Iterator[Breaking]:
    """The simplest point for each step that loses digits, the simplest of all first; ``run`` is one of the code's."""
    entries = sum(math.prod(s.shape) for s in run.program.steps) + 1
    count = int(min(_POINTS * effort, max(64, _WORK * effort / entries)))
    points = candidates(inputs, free, dtypes, seed, count)
    tries = int(max(4, min(_TRIES * effort, _JUDGED * effort / entries)))
    found: dict[Any, tuple[float, Breaking]] = {}
    for branch, rows in _branches(formula, run, inputs, dtypes, points):
        for name, output in branch.program.outputs.items():
            for cost, breaking in _on_branch(formula, branch, name, output, rows, inputs, dtypes, tries, seed):
                mark = _mark(breaking)
                if mark not in found or cost < found[mark][0]:
                    found[mark] = cost, breaking
    yield from (b for _, b in sorted(found.values(), key=lambda pair: pair[0]))


def _mark(b: Breaking) -> Any:
    """What makes two findings the same: the place in the code, and the way in which it breaks."""
    step = None if b.losing.step is None else b.run.program.steps[b.losing.step]
    source = None if step is None else step.source
    return b.losing.kind, None if source is None else (source.file, source.line, source.span)


def _branches(
    formula: Formula, run: Run, inputs: Inputs, dtypes: Mapping[str, str], points: Candidates
) -> Iterator[tuple[Run, Candidates]]:
    """The branches of the code, each with the points at which it is the one that runs."""
    left = np.arange(len(points))
    for k in range(_BRANCHES):
        if not len(left):
            return
        if k:
            again = _run_at_one(formula, inputs, dtypes, points, left)
            if again is None:
                return
            run, left = again
        here = points.take(left)
        holds = np.ones(len(left), dtype=bool)
        if run.program.guards:
            holds = suspects(run.program, next(iter(run.program.outputs.values())), here, dict(inputs.point), 0).holds
        yield run, here.take(np.nonzero(holds)[0])
        left = left[~holds][k > 0 and not holds.any() :]


def _run_at_one(
    formula: Formula, inputs: Inputs, dtypes: Mapping[str, str], points: Candidates, left: np.ndarray
) -> tuple[Run, np.ndarray] | None:
    order = left[np.argsort(points.cost[left], kind="stable")]
    for k in order[:8].tolist():
        try:
            return formula.run(points.point(k, inputs.point), dtypes), order
        except SymgradError:
            continue
    return None


def _on_branch(
    formula: Formula,
    branch: Run,
    name: str,
    output: int,
    points: Candidates,
    inputs: Inputs,
    dtypes: Mapping[str, str],
    tries: int,
    seed: int,
) -> Iterator[tuple[float, Breaking]]:
    """For each kind of suspicion the simplest point that is confirmed."""
    if not len(points) or branch.program.steps[output].is_complex:
        return
    found = suspects(branch.program, output, points, dict(inputs.point), seed)
    rows = np.nonzero(found.suspicious)[0]
    faint = found.expected[rows] < 10 * _PLAIN
    rows = rows[np.lexsort((points.cost[rows], faint))]
    for blamed in dict.fromkeys(found.blamed[rows].tolist()):
        mine = rows[found.blamed[rows] == blamed]
        weaker: Any = None
        spaced = mine[np.linspace(0, len(mine) - 1, min(tries, len(mine))).astype(int)]
        for k in dict.fromkeys([*mine[:tries].tolist(), *spaced.tolist()]):
            point = points.point(k, inputs.point)
            lost = losing(branch.program, point, output)
            if lost is None:
                continue
            lost, cost = _shorter(branch.program, lost, output, inputs, float(points.cost[k]))
            confirmed = _confirmed(formula, branch, name, lost, dtypes)
            if confirmed is not None and confirmed.losing.error >= _PLAIN:
                yield cost, confirmed
                break
            weaker = weaker or (confirmed and (cost + _WEAK, confirmed))
        else:
            if weaker:
                yield weaker


def _confirmed(formula: Formula, branch: Run, name: str, lost: Losing, dtypes: Mapping[str, str]) -> Breaking | None:
    """What the user's own code does at the point."""
    try:
        run = formula.run(lost.point, dtypes)
    except UserCodeFailed as error:
        if isinstance(error.__cause__, ArithmeticError):  # math raises where others give inf
            return Breaking(branch, name, lost, type(error.__cause__).__name__)
        return None
    except SymgradError:
        return None
    output = run.program.outputs.get(name)
    if output is None:
        return None
    again = losing(run.program, lost.point, output, run.values[name])
    if again is None or again.step is None:  # more than half of the digits are left
        return None
    if is_the_librarys_own(run.program, again.point, again.step):
        return None
    return Breaking(run, name, again)


def _shorter(program: Program, lost: Losing, output: int, inputs: Inputs, cost: float) -> tuple[Losing, float]:
    """The same loss at a point with fewer digits, if there is one near."""
    for digits in (1, 2, 3, 5):
        if cost < 20:
            break
        near = dict(lost.point)
        for n in program.inputs:
            value = np.asarray(near[n])
            if value.dtype.kind == "f" and n in inputs.free:
                near[n] = np.vectorize(lambda x, d=digits: float(f"{x:.{d - 1}e}"), otypes=[float])(value)
        settled = inputs.settled(near)
        again = None if settled is None or not _is_inside(inputs, settled) else losing(program, settled, output)
        if again is not None and again.kind == lost.kind:
            return again, sum(
                cost_of(float(x)) for n in inputs.free for x in np.asarray((settled or {})[n]).reshape(-1)
            )
    return lost, cost


def _is_inside(inputs: Inputs, point: Mapping[str, Any]) -> bool:
    for n, (low, high) in inputs.bounds.items():
        x = np.asarray(point[n])
        if (low is not None and np.any(x <= low)) or (high is not None and np.any(x >= high)):
            return False
    return True
