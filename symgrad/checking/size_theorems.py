"""A claim about arrays, proved as one formula of their sizes: the proof costs the same whatever the sizes are.

The lengths of the inputs' axes get names, and the code is read as index notation in them, from runs at three
assignments of small sizes together with the runs at the user's own.  What a step holds must be one expression in the
sizes in all of them, and a layout is held to it at every entry; so what is read is, at the user's own sizes, the
record of what ran there.  Hand formula and exact derivative are then proved equal for all sizes.

A choice that code makes entry by entry (relu, a clamp, ``where``) is read as one, with both outcomes in it; so such a
proof is for every pattern of outcomes, and none of them is looked at by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from symgrad.checking.comparison import Branch, Pair
from symgrad.checking.exploration import Findings, inside
from symgrad.checking.index_claims import Reading, read_problem
from symgrad.checking.proof_domains import domain_of_proofs
from symgrad.checking.verdicts import ForAll, Proved
from symgrad.errors import SymgradError
from symgrad.indices.equality import IndexProof, prove_equal
from symgrad.indices.run_merging import ORDERED
from symgrad.indices.sizes import Sizes, Unread
from symgrad.indices.terms import STEP, Fact, SumsTo
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.definedness import branches_on
from symgrad.problem.question import Problem
from symgrad.problem.shapes import Shapes
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.program import Guard, size
from symgrad.proving.proof import Proof, needs

_LARGE = 4_000  # entries of all steps from which this costs less than a proof entry by entry
_SHARED = 200  # the same, where a softmax makes every entry of a row one of all exponentials
_CHOICES = 4  # entries of comparisons up to which each pattern of outcomes can be looked at
_SHORTEST = 3  # the shortest axis whose length gets a name: a pair is more often a pair than a size
_LETTERS = "mnkpqrstuvcdhw"
_RUNS = 3  # of a script at other points, that are read together with its own
_SUMMED = 1 << 16  # entries of data up to which their sums are looked at


@dataclass(frozen=True, eq=False)
class Theorems:
    """The claims that were proved so; ``covers`` says whether every choice of the code is in these proofs."""

    proved: Mapping[str, Proved] = field(default_factory=dict)
    covers: bool = False
    notes: tuple[str, ...] = ()


def prove_by_sizes(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> Theorems:
    """Prove what can be proved of the pairs that agree wherever they were looked at.

    Nothing is tried where sizes have names already, at a point where a comparison is a tie, where entries and choices
    are so few that they are as soon looked at one by one, or where a choice is not one of entries.
    """
    branch = found.own
    pairs = [p for p in pairs if p.hand is not None and _agrees(found, p)]
    if problem.shapes is not None or problem.values_only or found.at_user_point.ties or not pairs:
        return Theorems()
    choices = branches_on(branch.program, problem.inputs.free)
    entrywise = all(map(_is_of_entries, choices))
    goals = [i for p in pairs for i in (p.hand, p.exact) if i is not None]
    needed = branch.program.needed(goals)
    work = sum(size(branch.program.shape(i)) for i in needed)
    shared = any(branch.program.steps[i].op in COMPOSITES for i in needed)
    few = work < (_SHARED if shared else _LARGE) and sum(g.outcome.size for g in choices) <= _CHOICES
    if few or not entrywise:
        return Theorems()
    try:
        proved = dict(_proved(problem, found, pairs, choices))
    except SymgradError:  # the code is about its own sizes
        return Theorems()
    except Exception as error:  # no verdict rests on this alone, and none must be lost with it
        return Theorems(notes=(f"no proof for all sizes was looked for, by a fault of symgrad: {error!r}",))
    return Theorems(proved, len(proved) == len(branch.pairs))


def _is_of_entries(guard: Guard) -> bool:
    """Whether a choice is made entry by entry, and shows as one: it came out both ways, or stands in the formula."""
    outcome = guard.outcome
    if guard.op in ("argmax", "argmin"):  # an entry of each row, whichever it is
        return isinstance(guard.params, int)
    if guard.op == "sign":  # abs and sign are themselves what is read
        return bool(outcome.ndim and outcome.all())
    return bool(guard.op in ORDERED and outcome.ndim and outcome.any() and not outcome.all())


def _agrees(found: Findings, pair: Pair) -> bool:
    """Whether the two agree at every point so far, and have a value at one."""
    looks = [found.at_user_point, *(seen for _, seen in found.looks)]
    states = {seen.views[pair.name].state for seen in looks if pair.name in seen.views}
    return "agrees" in states and states <= {"agrees", "outside"}


def _proved(
    problem: Problem, found: Findings, pairs: Sequence[Pair], choices: Sequence[Guard]
) -> Iterator[tuple[str, Proved]]:
    branch = found.own
    others = _other_runs(found, choices) if problem.pasted else ()
    shapes, sizes, own = _own_lengths(problem, branch, len(others)) if others else named_lengths(problem, branch)
    here = replace(problem, first=(branch.model_run, branch.hand_run))
    for name, reading in read_problem(here, shapes, sizes, pairs, own=own, selecting=True, others=others).items():
        if not isinstance(reading, Reading) or reading.hand is None:
            continue
        facts = (*problem.inputs.facts, *_of_data(problem, branch))
        ranges = {f.index: f.size for f in reading.factors}
        proof = prove_equal(reading.hand, reading.exact, sizes=ranges, facts=facts)
        if proof is not None:
            told = tuple(map(str, proof.facts))
            for_all = ForAll((), 1, reading.literals, str(sizes) if own else "", proof, told, reading.exact.has(STEP))
            pair = next(p for p in pairs if p.name == name)
            yield name, Proved((), _domain(branch, pair, proof), for_all)


def _own_lengths(problem: Problem, branch: Branch, others: int) -> tuple[Shapes, Sizes, dict[str, int]]:
    """The lengths as they are: a script runs at no others, but at other points, and is one formula of its entries."""
    of = {n: np.shape(problem.inputs.point[n]) for n in branch.program.inputs}
    return Shapes(of, (), {}), Sizes((), ({},) * (1 + others)), {}


def _other_runs(found: Findings, choices: Sequence[Guard]) -> tuple[tuple[Run, Run], ...]:
    """Runs at other points, where each choice of entries came out in another pattern than at the user's own.

    A layout is what it is in all of the runs; so what follows a choice is none, and is read as the choice or not at
    all.  Raises `Unread` where there are none: what hangs on a value could not be told from what does not.
    """
    own = found.own.program.guards
    moving = [k for k, g in enumerate(own) if any(g is c for c in choices)]
    runs = []
    for branch, seen in found.looks:
        theirs = branch.program.guards
        same = len(theirs) == len(own) and [np.shape(g.outcome) for g in theirs] == [np.shape(g.outcome) for g in own]
        if same and inside(seen) and all(not np.array_equal(own[k].outcome, theirs[k].outcome) for k in moving):
            runs.append((branch.model_run, branch.hand_run))
    if not runs:
        raise Unread("no other run shows which entries a choice is about.")
    return tuple(runs[:_RUNS])


def named_lengths(problem: Problem, branch: Branch) -> tuple[Shapes, Sizes, dict[str, int]]:
    """A name for each length that an axis has, the sizes that are run, and the lengths.  Raises `Unread` where no axis
    may have another."""
    point = problem.inputs.point
    arrays = {n: np.asarray(point[n]) for n in branch.program.inputs}
    lengths = sorted({k for x in arrays.values() for k in x.shape if k >= _SHORTEST})
    letters = [c for c in _LETTERS if c not in point]
    if not lengths or len(lengths) > min(len(letters), 5) or any(x.dtype.kind not in "fc" for x in arrays.values()):
        raise Unread("the sizes of this question are not to be varied.")
    name = dict(zip(lengths, letters, strict=False))
    said: dict[int, int | str] = {k: k for x in arrays.values() for k in x.shape}
    said |= name
    of = {n: tuple(said[k] for k in x.shape) for n, x in arrays.items() if x.ndim}
    own = {letter: k for k, letter in name.items()}
    return Shapes(of, tuple(name.values()), {}), Sizes.with_own(own), own


def _of_data(problem: Problem, branch: Branch) -> Iterator[Fact]:
    """What the data as they were given are, exactly: the rows of one-hot targets sum to one."""
    for name in branch.program.inputs:
        x = np.asarray(problem.inputs.point[name])
        if name in problem.inputs.free or not 0 < x.ndim <= 2 or not 0 < x.size <= _SUMMED or x.dtype.kind != "f":
            continue
        for axis in range(x.ndim):
            if np.allclose(x.sum(axis), 1) and all(sum(map(Fraction, row)) == 1 for row in _rows(x, axis)):
                yield SumsTo(name, axis, 1, x.ndim)


def _rows(x: np.ndarray, axis: int) -> list[list[float]]:
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]).tolist()


def _domain(branch: Branch, pair: Pair, proof: IndexProof) -> tuple[str, ...]:
    """Where both sides have a value, in the user's names, and what was used of the inputs."""
    assert pair.hand is not None
    conditions = dict.fromkeys(c for i in (branch.model, pair.hand, pair.exact) for c in needs(branch.program, i))
    ours = Proof(pair.hand, pair.exact, (), tuple(conditions), (), tuple(map(str, proof.facts)))
    return domain_of_proofs([(branch.program, ours)])
