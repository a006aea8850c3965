"""Proofs that two steps of a Program are equal functions of the inputs: a ladder, each rung a theorem.

1. *congruence*: equal operations on equal arguments are equal (hash-consing; sums and products commute).
2. *linear*: both are the same combination of the same steps.
3. *field* and *shared*: both are the same fraction in kernels (`symgrad.proving.kernels`), read as one generic entry
   of a whole tensor (`symgrad.proving.generic_entry`), or entry by entry.
4. *sweep*: steps that look equal modulo a prime are proved equal one after the other, each over the few steps that
   lead to it, in the order of computation; what is proved is one step from then on.  So a long recurrence costs a
   small proof for each step.  (As in the equivalence checking of circuits: Kuehlmann and Krohm, DAC 1997.)

Residues only choose what to try; every link is proved over the rationals, with no tolerance.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from symgrad.evaluation.residues import EFFORT as RESIDUES
from symgrad.evaluation.residues import may_be_equal
from symgrad.program.primitives import primitive
from symgrad.program.program import Program
from symgrad.proving.conditions import conditions_of, is_defined_everywhere
from symgrad.proving.congruence import Equalities, Link

EFFORT = 300_000
_SWEPT = 1200  # steps of a formula that is searched for what a proof did not need
_LINES = 40  # and lines of a derivation, each of which is held against
_ALIKE = 2  # so many steps


@dataclass(frozen=True, slots=True)
class Condition:
    """Where the equality is claimed: ``what`` (such as "is positive") of the Program's step ``step``, if it has one."""

    what: str
    step: int | None

    def __str__(self) -> str:
        return f"{'an intermediate value' if self.step is None else f'%{self.step}'} {self.what}"


@dataclass(frozen=True, slots=True)
class Proof:
    """That steps ``left`` and ``right`` of a Program are equal for all inputs that meet the ``conditions``.

    ``links`` are equalities between primitive steps of ``roots``, in order; `symgrad.proving.checker` checks them again
    as a certificate.  ``facts`` were imposed on the Program before.  ``stated`` are steps that were taken to be
    positive or zero: the domain that the question states.  ``program`` is the one that all this is about.
    """

    left: int
    right: int
    links: tuple[Link, ...]
    conditions: tuple[Condition, ...]
    roots: tuple[int, ...]
    facts: tuple[str, ...] = ()  # what was declared of the inputs, and imposed on the Program
    stated: tuple[int, ...] = ()
    program: Program | None = None

    def __str__(self) -> str:
        lines = [f"%{self.left} = %{self.right}", *(f"  {link}" for link in self.links)]
        if self.conditions:
            lines += ["where", *(f"  {c}" for c in self.conditions)]
        return "\n".join(lines)


def prove(program: Program, a: int, b: int, *, effort: int = EFFORT, stated: Sequence[int] = ()) -> Proof | None:
    """A proof that steps ``a`` and ``b`` are equal for all real inputs where both are defined, or None.

    >>> from symgrad.program.builder import Builder
    >>> build = Builder()
    >>> x = build.input("x", ())
    >>> left = build.apply("tanh", x)
    >>> e = build.apply("exp", build.mul(build.number(-2), x))
    >>> right = build.div(build.sub(build.number(1), e), build.add(build.number(1), e))
    >>> program = build.build({})
    >>> proof = prove(program, left, right)
    >>> print(proof)
    %1 = %9
      %1 = %9 by field (tanh and sigmoid as exp)
    >>> prove(program, left, x) is None
    True

    ``effort`` bounds the work, in terms and steps; ``stated`` are steps that are positive or zero where it is asked.
    None is no disproof: nothing was found within that work.  Raises nothing.  Guarantee: a proof is a theorem; each
    link is an identity of fractions over the rationals.
    """
    return prove_all(program, [(a, b)], effort=effort, stated=stated)[0]


def prove_all(
    program: Program, pairs: Sequence[tuple[int, int]], *, effort: int = EFFORT, stated: Sequence[int] = ()
) -> list[Proof | None]:
    """`prove` for each pair; what is proved for one is used for all, and so may be its conditions."""
    return list(_settled(_closed(program, pairs, effort, stated), pairs))


def prove_likely(
    program: Program,
    pairs: Sequence[tuple[int, int]],
    *,
    effort: int = EFFORT,
    stated: Sequence[int] = (),
    entries: int = RESIDUES,
) -> list[Proof | bool]:
    """`prove_all` of the pairs that residues at a random point do not tell apart: for each of these the proof or True
    (it may be equal, and no proof was found), and False for the others.

    A search for a proof of what is false costs the most.  ``entries`` bounds the work of residues.
    """
    known = _closed(program, pairs, effort, stated)
    likely = [
        known.adds_up(*pair) or known.looks_equal(*pair) or may_be_equal(program, [pair], effort=entries)
        for pair in pairs
    ]
    found = _settled(known, [pair for pair, may_be in zip(pairs, likely, strict=True) if may_be])
    return [(next(found) or True) if may_be else False for may_be in likely]


def _closed(program: Program, pairs: Sequence[tuple[int, int]], effort: int, stated: Sequence[int]) -> Equalities:
    known = Equalities(program, tuple(i for pair in pairs for i in pair), effort, stated)
    known.close({})
    return known


def _settled(known: Equalities, pairs: Sequence[tuple[int, int]]) -> Iterator[Proof | None]:
    found = [known.settle(*pair) for pair in pairs]
    if not all(found):
        known.sweep()
        found = [done or known.settle(*pair, last=True) for done, pair in zip(found, pairs, strict=True)]
    return (_proof(known, *pair) if done else None for done, pair in zip(found, pairs, strict=True))


def under(proof: Proof | None, facts: Sequence[object], place: Sequence[int]) -> Proof | None:
    """A proof about a Program that was made of another, by imposing facts, with its conditions said of that one.

    ``place`` tells where each step of the other Program went.
    """
    if proof is None or (not facts and all(i == k for k, i in enumerate(place))):
        return proof
    back = {made: i for i, made in enumerate(place)}
    said = tuple(Condition(c.what, None if c.step is None else back.get(c.step)) for c in proof.conditions)
    return replace(proof, conditions=said, facts=tuple(map(str, facts)))


def needs(program: Program, step: int) -> tuple[Condition, ...]:
    """Where a step has a value.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> y = b.apply("log", b.mul(x, b.apply("exp", x)))
    >>> print(*needs(b.build({}), y))
    %0 is positive
    """
    if is_defined_everywhere(program.steps, program.needed([step])):
        return ()
    steps, place = primitive(program, [step])
    of = {made: original for original, made in reversed(place.items())}
    found = conditions_of(steps, range(len(steps)), lambda i: i, of.__contains__)
    return tuple(Condition(what, of.get(a)) for what, a in found)


@dataclass(frozen=True, slots=True)
class Classes:
    """What a proof joined: for steps of its Program the class ``of`` each, and the ``place`` in primitive steps;
    ``joined`` are its links, each with the class of what it joins."""

    of: Mapping[int, int]
    place: Mapping[int, int]
    joined: tuple[tuple[Link, int], ...]


def classes_of(program: Program, proof: Proof, lines: Sequence[int] = ()) -> Classes:
    """The classes of equal steps: what a `sweep` finds, and which step of the right side each of the ``lines`` is, for
    a proof of the whole may pass by what a person would prove first; and as the proof joins them, which is not checked
    again."""
    known = Equalities(program, proof.roots, EFFORT // 10, proof.stated)
    known.close({})
    if len(known.steps) <= _SWEPT:
        known.sweep()
        rights = [i for i in program.needed([proof.right]) if i in known.place]
        for line in [i for i in lines if i in known.place][:_LINES]:
            alike = (i for i in rights if known.looks_equal(line, i))
            any(known.settle(line, i, last=True) for i in itertools.islice(alike, _ALIKE))
    known.follow(proof.links, known.put)
    of = {i: known.find(k) for i, k in known.place.items()}
    return Classes(of, known.place, tuple((link, known.find(link.left)) for link in known.links))


def _proof(known: Equalities, a: int, b: int) -> Proof:
    links, needed = known.behind([known.place[i] for i in known.program.needed((a, b))])
    return Proof(a, b, tuple(links), tuple(_conditions(known, needed)), known.roots, (), known.stated, known.program)


def _conditions(known: Equalities, needed: Sequence[int]) -> Iterator[Condition]:
    """Where every step is defined: conditions on classes of equal steps, each told of the first step in it."""
    if is_defined_everywhere(known.steps, needed):
        return
    of: dict[int, int] = {}
    for original, made in known.place.items():
        of.setdefault(known.find(made), original)
    for what, a in conditions_of(known.steps, needed, known.find, of.__contains__, strict=known.strict):
        yield Condition(what, of.get(a))
