"""What was found, as frozen data without any text: claims, lines, repairs, instabilities, and all of it as Results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from symgrad.checking.three_ways import ThreeWays
from symgrad.checking.verdicts import AllSizes, Choice, Kink, Refuted, Verdict, Witness, worst
from symgrad.lifting.symbol_table import Symbol
from symgrad.lifting.tracing.surroundings import neutral
from symgrad.program.program import Program, Source
from symgrad.rounding.accuracy import Rounding
from symgrad.rounding.attribution import LostDigits

_T = TypeVar("_T")


class OnDemand(Generic[_T]):
    """What is computed when it is asked for, once, in neutral surroundings; pickled, it is what came out.

    >>> found = OnDemand(lambda: print("computed") or 3)
    >>> found(), found()
    computed
    (3, 3)
    """

    def __init__(self, compute: Callable[[], _T]) -> None:
        self._compute: Callable[[], _T] | None = compute
        self._found: _T | None = None

    def __call__(self) -> _T:
        if self._compute is not None:
            with neutral():
                self._found = self._compute()
            self._compute = None
        return self._found  # type: ignore[return-value]

    def __getstate__(self) -> dict[str, Any]:
        return {"_compute": None, "_found": self()}


@dataclass(frozen=True, eq=False)
class StepFinding:
    """One line of the derivation: the variable it binds, its place, and what is known of it.

    ``claims`` is what it should be, in words; ``verdict`` is "right", "wrong" (by itself), "fed wrong values",
    "forward" (a value of the model), "misnamed", "unused" or "unknown"; None where lines were not judged.  ``error`` is
    how far its value is from what it claims, relative to that, at the point where the lines were judged.
    """

    name: str
    version: int
    source: Source | None
    claims: str | None = None
    verdict: str | None = None
    error: float | None = None


@dataclass(frozen=True, eq=False)
class Repair:
    """One line put right.

    ``before`` and ``after`` are the line's expression; ``edit`` is the smallest part that changed, as (old, new);
    ``why`` explains the slip; ``proved`` says that the derivation with all repairs made is proved, otherwise it
    agrees at every point looked at; ``kind`` names the family of the edit, "formula" where the line was written anew;
    ``span`` is where ``before`` stands in its function's or script's text, in characters; ``cost`` how large and how
    strange the edit is.
    """

    step: str
    line: int | None
    before: str
    after: str
    why: str
    proved: bool
    kind: str
    edit: tuple[str, str]
    span: tuple[int, int] | None = None
    cost: float = 0.0


@dataclass(frozen=True)
class Rewrite:
    """One expression of the user's written another way.

    ``before`` and ``after`` are the expression, ``line`` where it stands, ``given`` what the code then gives at the
    point, ``text`` the whole code with the change made; ``where``, if set, is the side on which it loses nothing that
    the old one keeps, such as "b > 0"; ``proved`` says that it is proved equal, on each branch that
    a sample of points reached.
    """

    before: str
    after: str
    line: int | None
    source: Source | None
    given: float
    text: str
    where: str | None = None
    proved: bool = True


@dataclass(frozen=True, eq=False, repr=False)
class Instability:
    """A right formula that loses its digits in floats: where, by how much, the truth, and what to write instead.

    ``side`` is whose computation it is, "hand", "autograd" or (of `find_instabilities`) "formula"; ``computed`` and
    ``exact`` the two values at ``point``; ``source`` the line that loses the digits, and ``loss`` how it does.
    ``kind`` is "overflow", "underflow", "cancellation" or "absorption", where it is known, and ``why`` says it of the
    line.
    """

    claim: str
    side: str
    dtype: str
    point: Mapping[str, Any]
    entry: tuple[int, ...] | None
    computed: float
    exact: float
    source: Source | None
    sentence: str
    loss: LostDigits | None = None
    kind: str = ""
    why: str = ""
    rewrite: Rewrite | None = None

    def __str__(self) -> str:
        return f"{self.claim}: {self.sentence}"

    def __repr__(self) -> str:
        return f"Instability({self.claim}: {self.sentence})"


@dataclass(frozen=True, eq=False)
class Claim:
    """One derivative, judged.

    ``hand_value``, ``exact_value`` and ``autograd_value`` are the three at the user's own point, and ``differs`` says
    in which entries the first two differ there, by balls that exclude zero; ``exact`` is the exact derivative as a
    Program.  ``rounding`` is measured when it is first asked for: the verdict rests on none of it.
    """

    name: str
    verdict: Verdict
    exact: Program
    hand: Program
    note: str | None = None
    measured: OnDemand[Rounding | None] | None = None
    hand_value: np.ndarray | None = None
    exact_value: np.ndarray | None = None
    autograd_value: np.ndarray | None = None
    differs: np.ndarray | None = None
    order: int = 1  # of the derivative; 0 for a value, which a jvp's tangent is

    @property
    def kind(self) -> str:
        return self.verdict.kind

    @property
    def rounding(self) -> Rounding | None:
        """What rounding did to the hand formula's values, and to autograd's; None where neither is told of."""
        return None if self.measured is None else self.measured()

    @property
    def witness(self) -> Witness | None:
        return self.verdict.witness if isinstance(self.verdict, Refuted) else None


@dataclass(frozen=True, eq=False)
class Results:
    """All that was found; a `Report` is this with the words for it.

    ``verdict`` is the worst of the claims' verdicts, and *refuted* where a line of the derivation is wrong by itself:
    a right result does not make it right.  ``bool(results)`` is ``ok``: every claim proved or agreeing, and no line
    wrong.
    """

    claims: Mapping[str, Claim]
    seed: int
    environment: Mapping[str, str]
    point: Mapping[str, Any]
    order: int = 1
    steps: tuple[StepFinding, ...] = ()
    wrong_steps: tuple[str, ...] = ()
    repairs: tuple[Repair, ...] = ()
    repaired_source: str | None = None
    belongs_to: tuple[str, ...] = ()  # of which other function a refuted derivation is the gradient, in words
    kinks: tuple[Kink, ...] = ()
    instabilities: tuple[Instability, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    sizes: AllSizes | None = None  # where shapes have names in them
    given: tuple[str, ...] = ()  # the inputs whose values at ``point`` are the user's, the others were drawn
    formula: Program | None = None  # what was differentiated, as it was read
    reading: tuple[Symbol, ...] = ()  # what each symbol of formulas in LaTeX and text was taken for
    coverage: tuple[Choice, ...] = ()  # what the code decided by values, and which outcomes were reached
    measure: Callable[[], tuple[ThreeWays, ...]] | None = None  # runs the code again; what was pickled has it no more

    @property
    def verdict(self) -> str:
        lines = ["refuted"] if any(s.verdict == "wrong" for s in self.steps) else []
        return worst([*(c.kind for c in self.claims.values()), *lines])

    @property
    def ok(self) -> bool:
        return self.verdict in ("proved", "agrees")

    def __bool__(self) -> bool:
        return self.ok

    def __getstate__(self) -> dict[str, Any]:
        """The data alone: the user's code stays where it is."""
        return {**self.__dict__, "measure": None}
