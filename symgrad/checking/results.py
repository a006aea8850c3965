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
    how far its value is from what it claims, relative to that, at the point where the lines were judged.  ``unsure``
    are lines that a wrong one uses, or that decide for it, of which nothing is known: one may be wrong instead of it.
    """

    name: str
    version: int
    source: Source | None
    claims: str | None = None
    verdict: str | None = None
    error: float | None = None
    unsure: tuple[Source, ...] = ()


@dataclass(frozen=True, eq=False)
class Repair:
    """One line put right.

    ``before`` and ``after`` are the line's expression; ``edit`` is the smallest part that changed, as (old, new);
    ``why`` explains the slip; ``proved`` says that the derivation with all repairs made is proved, otherwise it
    agrees at every point looked at; ``kind`` names the family of the edit, "formula" where the line was written anew;
    ``span`` is where ``before`` stands in its function's or script's text, in characters; ``cost`` how large and how
    strange the edit is; ``file`` is the file that the line is in, where it is in one; ``within`` is the line as it
    stands there, and the column of ``before`` in it.
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
    file: str | None = None
    within: tuple[str, int] | None = None


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
    def no_numbers(self) -> np.ndarray:
        """The indices of what is NaN or infinite at the user's own point, and not for its size."""
        value = np.asarray(self.hand_value if self.hand_value is not None else 0.0)
        odd = ~np.isfinite(value)
        exact = np.asarray(self.exact_value if self.exact_value is not None else np.nan)
        if odd.any() and exact.shape == value.shape and value.dtype.kind == "f":
            with np.errstate(all="ignore"):
                odd &= exact.astype(value.dtype) != value
        return np.argwhere(odd)

    @property
    def witness(self) -> Witness | None:
        return self.verdict.witness if isinstance(self.verdict, Refuted) else None


@dataclass(frozen=True, eq=False)
class Results:
    """All that was found; a `Report` is this with the words for it.

    ``verdict`` is the worst of the claims' verdicts, and *refuted* where a line of the derivation is wrong by itself:
    a right result does not make it right.  ``bool(results)`` is ``ok``: every claim proved or agreeing, no line wrong,
    and no step of a script unjudged.
    """

    claims: Mapping[str, Claim]
    """What is known of each derivative, by the input's name; in a script, by its variable too: ``w (dw)``."""
    seed: int
    """The seed of every random choice; with it the same question has the same answer."""
    environment: Mapping[str, str]
    """The versions of Python and the libraries."""
    point: Mapping[str, Any]
    """The point that was asked about: the user's own values, and drawn ones for the rest."""
    order: int = 1
    """1 for gradients and Jacobians, 2 for Hessians, 0 where two values are compared."""
    steps: tuple[StepFinding, ...] = ()
    """The lines of the derivation, in their order."""
    wrong_steps: tuple[str, ...] = ()
    """The names of the lines that are wrong by themselves, in their order."""
    repairs: tuple[Repair, ...] = ()
    """What to write instead, for each line that is put right."""
    repaired_source: str | None = None
    """The user's code with all repairs made."""
    belongs_to: tuple[str, ...] = ()
    """Of which other function a wrong derivation is the gradient, in words."""
    kinks: tuple[Kink, ...] = ()
    """Where the user's own point is on a kink, and the slopes beside it."""
    instabilities: tuple[Instability, ...] = ()
    """Where a formula that is right loses its digits in floats."""
    assumptions: tuple[str, ...] = ()
    """On what the answer rests beside the code: domains, constraints, losses that were not written down."""
    notes: tuple[str, ...] = ()
    """How the question was read, and what else was seen."""
    unjudged: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The variables of a script whose steps of descent, in these lines, are of no output that was found."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many points were looked at, how many were outside of the domain, on how many branches."""
    sizes: AllSizes | None = None
    """What is known for all sizes, where shapes have names in them."""
    given: tuple[str, ...] = ()
    """The inputs whose values at ``point`` are the user's; the others were drawn."""
    formula: Program | None = None
    """What was differentiated, as it was read."""
    coverage: tuple[Choice, ...] = ()
    """What the code decided by values, and which outcomes were reached."""
    reading: tuple[Symbol, ...] = ()
    """What each symbol of formulas in LaTeX and text was taken for."""
    measure: Callable[[], tuple[ThreeWays, ...]] | None = None
    """Runs the code again for `Report.table`; None in a report that was pickled."""

    @property
    def verdict(self) -> str:
        """The worst of the claims' verdicts; "refuted" where a line is wrong by itself, and "undecided" at best where
        steps of a script were not judged."""
        lines = ["refuted"] if any(s.verdict == "wrong" for s in self.steps) else []
        steps = ["undecided"] if self.unjudged else []
        return worst([*(c.kind for c in self.claims.values()), *lines, *steps])

    @property
    def ok(self) -> bool:
        """Whether every claim is proved or agrees, no line is wrong, and no step was left unjudged."""
        return self.verdict in ("proved", "agrees")

    @property
    def no_numbers(self) -> dict[str, tuple[int, ...]]:
        """The right gradients that are NaN or infinite at the user's own point where the derivative is a number: the
        first such entry of each.

        At a kink the gradient is a convention, and beside a slope without bound it may be infinite.
        """
        found = {}
        for name, claim in self.claims.items():
            kinks = {k.entry or () for k in self.kinks if k.input == claim.name}
            odd = claim.no_numbers.tolist() if claim.kind in ("proved", "agrees") else []
            entry = next((tuple(k) for k in odd if tuple(k) not in kinks), None)
            found |= {} if entry is None else {name: entry}
        return found

    def __bool__(self) -> bool:
        return self.ok

    def __getstate__(self) -> dict[str, Any]:
        """The data alone: the user's code stays where it is."""
        return {**self.__dict__, "measure": None}
