"""The question made definite: what every front end makes, and all that the pipeline is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.sampling import Inputs
from symgrad.problem.shapes import Shapes

_DIGITS = {"float64": 53, "complex128": 53, "float32": 24, "complex64": 24, "float16": 11, "bfloat16": 8}


@dataclass(frozen=True, eq=False)
class Problem:
    """A model, the hand formulas of its derivatives, where to compare them, and what the caller says beside them.

    ``wrt`` are the inputs whose derivatives of ``order`` are claimed; with order 0 the values themselves are compared,
    and ``wrt`` is the one name that the comparison goes by.  ``shapes`` are those with names in them, where the claim
    is about all sizes, and ``letters`` the user's names of indices, by claim.  ``meanings`` say of lines of the hand
    code what they are meant to be; ``labels`` what claims are called in the report, where it is not their input's name.
    """

    model: Formula
    hand: Formula
    inputs: Inputs
    dtypes: Mapping[str, str]
    wrt: tuple[str, ...]
    order: int = 1
    points: int = 64
    seed: int = 0
    effort: float = 1.0  # what all budgets of work are multiplied by
    values_only: bool = False  # the hand side is numbers: nothing can be said of other points
    pasted: bool = False  # a number in the code may stand for what was computed, or for an input: it is a script
    first: tuple[Run, Run] | None = None  # the runs at the user's own point, where they were already made
    shapes: Shapes | None = None
    letters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    meanings: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was understood of the question

    @property
    def bits(self) -> int:
        """The digits of a number that is exact in every input's dtype."""
        return min((_DIGITS.get(kind, 8) for kind in self.dtypes.values()), default=53)

    def runs(self, point: Mapping[str, Any]) -> tuple[Run, Run]:
        """The model and the hand formulas, run at a point."""
        return self.model.run(point, self.dtypes), self.hand.run(point, self.dtypes)
