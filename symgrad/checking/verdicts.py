"""What symgrad concludes, and on what evidence.

Four verdicts.  *proved*: equal by a chain of named rules on a stated domain.  *agrees*: equal to the stated number of
bits at every sampled point, and modulo random primes; no chain was found.  *refuted*: at a concrete point, with exact
binary inputs, a ball around the difference excludes zero (or only one side is defined, or the shapes differ).
*undecided*: what was tried, and why it did not suffice.  A verdict carries its evidence, so a refutation without a
witness cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

TYPED = "the constants that were typed with few digits"
COMPUTED = "the rounding of numbers that were computed outside of the formulas"
Kind = Literal["proved", "agrees", "refuted", "undecided"]


@dataclass(frozen=True, eq=False, repr=False)
class Witness:
    """A concrete point that shows a difference.

    ``point`` maps the inputs to exact binary values; ``entry`` is the place in the gradient (None for a scalar);
    ``hand`` and ``exact`` are the two values to as many digits as are certain and needed; ``reason`` is "differs",
    "undefined" (one side has no value) or "shape".
    """

    point: Mapping[str, Any]
    entry: tuple[int, ...] | None
    hand: str
    exact: str
    reason: Literal["differs", "undefined", "shape"] = "differs"
    hand_value: float | complex = float("nan")
    exact_value: float | complex = float("nan")
    at_own_point: bool = False
    sizes: Mapping[str, int] = field(default_factory=dict)  # what the named sizes are there, where they are few

    def __str__(self) -> str:
        if self.reason == "shape":
            return f"{self.hand} for {self.exact}"
        where = ", ".join(f"{name} = {_short(value)}" for name, value in self.point.items())
        entry = "" if self.entry is None else f", entry {list(self.entry)}"
        return f"at {where}{entry}: {self.hand}, not {self.exact}"


def _short(value: Any) -> str:
    array = np.asarray(value)
    return (
        f"{array.item():.17g}"
        if array.ndim == 0 and array.dtype.kind == "f"
        else (str(array.tolist()) if array.size <= 6 else f"an array of shape {list(array.shape)}")
    )


@dataclass(frozen=True, eq=False)
class ForAll:
    """Equal for all ``sizes`` of at least ``least``, or where these have no names at the question's own: the proof, and
    what it rests on.

    ``literals`` are the numbers in the code that were read as a size, by its name; ``read_at`` says at which sizes the
    code was read; ``facts`` are the declared constraints that the proof uses, in words; ``ties`` says that the code
    compares values, and that the proof is for points where none of these comparisons is a tie.  ``at`` are other sizes
    that have names, for whose own values alone the proof is.  ``blocks`` are sizes whose multiples alone it is for: the
    length of a block, by the name of the size; the proof speaks of their numbers, which it calls ``n/8``.
    """

    sizes: tuple[str, ...]
    least: int
    literals: Mapping[str, int]
    read_at: str
    proof: Any
    facts: tuple[str, ...] = ()
    ties: bool = False
    at: Mapping[str, int] = field(default_factory=dict)
    blocks: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left open about sizes."""
        return not self.at and not self.blocks


@dataclass(frozen=True, eq=False)
class IndexForm:
    """A derivative in index notation: the entry at the indices of ``factors``, of which the first ``upstream`` are of
    the function's own axes; ``bodies`` are ways to write it that are proved equal, ``letters`` the user's indices."""

    bodies: tuple[Any, ...]
    factors: tuple[Any, ...]
    upstream: int = 0
    letters: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AllSizes:
    """What was looked at where sizes have names.

    ``own`` are the sizes at the report's own point, ``fixed`` those that cannot be varied, ``looked_at`` others that
    were looked at where a claim was not proved for all, ``why_not`` says why it was not, ``forms`` holds the exact
    derivatives in index notation.
    """

    names: tuple[str, ...]
    own: Mapping[str, int]
    fixed: Mapping[str, int]
    looked_at: tuple[Mapping[str, int], ...] = ()
    why_not: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, IndexForm] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Proved:
    """Equal on the domain, by the rules of ``proofs`` (one for each branch of the code that was reached); for all sizes
    where ``for_all`` says so, else for the sizes of the point alone."""

    proofs: tuple[Any, ...]
    domain: tuple[str, ...] = ()
    for_all: ForAll | None = None
    kind: Kind = "proved"

    def __str__(self) -> str:
        named = self.for_all.sizes if self.for_all is not None else ()
        sizes = f" for all {' and '.join(named)}" if named else ""
        where = f", where {' and '.join(self.domain)}" if self.domain else ""
        return f"proved{sizes}{where}"


@dataclass(frozen=True, eq=False, repr=False)
class Agrees:
    """Equal to ``bits`` bits at ``points`` points; ``certificates`` say what residues showed, one for each branch.

    ``told_to`` is set for numbers alone: they agree within rounding, which hides differences up to this relative size;
    of ``faint`` entries, which are near zero, it hides more; ``runs`` of a black box gave them.  ``proved`` is a proof
    for the turns that loops were seen to make, where they may make others.  ``only`` names what it is right for the
    given value of alone: data of a script, or a number that the code reads by its name.
    """

    points: int
    bits: int
    certificates: tuple[Any, ...] = ()
    why_not_proved: str = ""
    typed: str | None = None
    told_to: float | None = None
    faint: int = 0
    runs: int = 1
    proved: Proved | None = None
    only: str | None = None
    kind: Kind = "agrees"

    @property
    def error_bound(self) -> float | None:
        """A bound on the chance that the two differ all the same, over all branches; None where residues tell none."""
        return sum(c.error_bound for c in self.certificates) if self.certificates and all(self.certificates) else None

    def __str__(self) -> str:
        if self.told_to is not None:
            return f"agrees, as far as numbers alone can tell: to a relative {self.told_to:.1e}"
        return f"agrees: equal to {self.bits} bits at {self.points} points; not proved"


@dataclass(frozen=True, eq=False, repr=False)
class Refuted:
    """Different at ``witness``; equal under a constraint that was not declared, where ``true_if`` names one: in words,
    and as ``assuming`` takes it (nothing, where it is about numbers in the code, which cannot be declared).

    ``is_meant`` says that the constraint may be what was meant: it is not where the given value of an input that is
    differentiated breaks it, or a given matrix is not symmetric.  ``only`` names data for whose given values it is
    right all the same; ``limit`` says for the limit of which loop it is right, and what shows it; ``guard`` names the
    small numbers without which it is right; ``elsewhere`` says that on the branch of the code that the user's own point
    takes no difference was found."""

    witness: Witness
    others: tuple[Witness, ...] = ()
    true_if: tuple[str, str] | None = None
    is_meant: bool = True
    only: str | None = None
    limit: tuple[str, str] | None = None
    guard: str | None = None
    elsewhere: bool = False
    kind: Kind = "refuted"

    @property
    def is_excused(self) -> bool:
        """Whether it is right for what may be meant: under a constraint, for the given data, in a limit or without a
        guard."""
        return bool((self.true_if and self.is_meant) or self.only or self.limit or self.guard)

    def __str__(self) -> str:
        return f"refuted: {self.witness}"


@dataclass(frozen=True, eq=False, repr=False)
class Undecided:
    """Neither shown equal nor shown different: what was tried, and why it did not suffice.

    ``where_looked`` is the verdict on the branches that were reached, where others were not and that alone is why.
    """

    why: str
    tried: tuple[str, ...] = ()
    where_looked: Proved | Agrees | None = None
    kind: Kind = "undecided"

    def __str__(self) -> str:
        return f"undecided: {self.why}"


def _in_a_notebook(verdict: Any) -> str:
    """What a notebook shows: the word in bold, and what it rests on as code where it is a point."""
    word, colon, rest = str(verdict).partition(": ")
    return f"**{word}**{colon}{f'`{rest}`' if verdict.kind == 'refuted' else rest}"


for _class in (Witness, Proved, Agrees, Refuted, Undecided):
    _class.__repr__ = _class.__str__  # type: ignore[method-assign]
for _class in (Proved, Agrees, Refuted, Undecided):
    _class._repr_markdown_ = _in_a_notebook  # type: ignore[attr-defined]

Verdict = Proved | Agrees | Refuted | Undecided


TURNS = "how often a loop runs"
WHOLE_NUMBERS = "which whole number a value is made"
COMBINATIONS = "how choices come out together"


@dataclass(frozen=True, eq=False)
class Outcome:
    """One way in which a choice may come out.

    ``state`` is "reached" (at ``point``), "outside" (only where the code raises, or the function has no value:
    ``point`` is such a one), "impossible" (by proof) or "not reached".
    """

    value: str
    state: Literal["reached", "outside", "impossible", "not reached"]
    point: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Choice:
    """What the code decided by a value of its inputs: in which words, where it stands, and its outcomes.

    ``text`` is the statement that decides, in ``file`` at ``line`` (None where a formula is no code).  ``branches``
    says that each outcome is a branch of its own, which a verdict must have seen; others, such as the place of a
    largest entry, are told as they came out.  Of the turns of a loop, of whole numbers, and of combinations of choices,
    there may be more than were seen: what is right for these alone is not proved.
    """

    what: str
    text: str
    file: str | None
    line: int | None
    outcomes: tuple[Outcome, ...]
    branches: bool = True

    @property
    def endless(self) -> bool:
        """Whether it is a loop that may run as often as it was not seen to run, a number that may be another one, or
        choices that may come out together as they were not seen to."""
        unlisted = self.what in (TURNS, WHOLE_NUMBERS, COMBINATIONS)
        return unlisted and any(o.state == "not reached" for o in self.outcomes)

    @property
    def unreached(self) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.state == "not reached") if self.branches else ()

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.text}: " + ", ".join(f"{o.value} {o.state}" for o in self.outcomes)


_ORDER = ("refuted", "undecided", "agrees", "proved")


def worst(kinds: list[str]) -> str:
    """The worst of several verdicts: refuted before undecided before agrees before proved.

    >>> worst(["proved", "agrees", "proved"])
    'agrees'
    """
    return min(kinds, key=_ORDER.index) if kinds else "undecided"


@dataclass(frozen=True, eq=False)
class Kink:
    """A point at which the function has no derivative: the slopes beside it, and what each tool says there.

    ``low`` and ``high`` bound the derivatives on the rays that were tried, unless they are not ``bounded`` there;
    ``hand`` and ``autograd`` are the values of the two at the point itself.
    """

    input: str
    entry: tuple[int, ...] | None
    low: float
    high: float
    hand: float
    autograd: float | None
    where: str | None = None
    inside: bool = True
    bounded: bool = True


def as_entry(k: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The place of flat entry ``k`` in a tensor of this shape; None for a scalar."""
    return tuple(int(i) for i in np.unravel_index(k, shape)) if shape else None
