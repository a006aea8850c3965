"""Points at which a rewrite must be no worse than what it replaces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.sampling import Bounds, Inputs
from symgrad.stability.detection import Losing, losing
from symgrad.stability.search import candidates

_SIMPLE = 16  # of the simplest points
_SPREAD = 16  # of the others
_MIRRORED = 8  # of the images of one point with other signs


@dataclass(eq=False)
class Sample:
    """The points, for one output of a formula; what was found of the formula itself there is kept."""

    formula: Formula
    output: str
    points: Sequence[Mapping[str, Any]]
    dtypes: Mapping[str, str]
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    _runs: dict[int, tuple[Run, Losing | None] | None] = field(default_factory=dict)

    def original(self, k: int) -> tuple[Run, Losing | None] | None:
        """The user's run at a point and what it loses there; None where it fails."""
        if k not in self._runs:
            try:
                run = self.formula.run(self.points[k], self.dtypes)
                i = run.program.outputs[self.output]
                self._runs[k] = run, losing(run.program, self.points[k], i, run.values[self.output])
            except SymgradError:
                self._runs[k] = None
        return self._runs[k]


def sample_around(
    formula: Formula,
    output: str,
    inputs: Inputs,
    free: tuple[str, ...],
    dtypes: Mapping[str, str],
    found: Sequence[Mapping[str, Any]],
    seed: int,
) -> Sample:
    """The points ``found``, their images with other signs, simple points, and some of every magnitude."""
    near = [p for point in found for p in _mirrored(point, free, inputs)]
    some = candidates(inputs, free, dtypes, seed, 400)
    order = np.argsort(some.cost, kind="stable").tolist()
    step = max(1, (len(order) - _SIMPLE) // _SPREAD)
    rows = [*order[:_SIMPLE], *order[_SIMPLE::step][:_SPREAD]]
    points = [*found, *near, *(some.point(k, inputs.point) for k in rows)]
    return Sample(formula, output, points, dtypes, inputs.bounds)


def _mirrored(point: Mapping[str, Any], free: Sequence[str], inputs: Inputs) -> Iterator[dict[str, Any]]:
    for signs in itertools.islice(itertools.product((1.0, -1.0), repeat=len(free)), 1, _MIRRORED):
        image = {**point, **{n: s * np.asarray(point[n]) for n, s in zip(free, signs, strict=True)}}
        settled = inputs.settled(image)
        if settled is not None and inputs.is_inside(settled):
            yield settled
