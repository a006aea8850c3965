"""Claims about code that loops to a size, for all of it: by induction over the turns (`symgrad.proving.induction`).

The code is run at sizes in a row, and at some far from them; in each the hand formula and the exact derivative are read
as scalars.  The exact derivative is written by the reverse pass, and for an input that is one number by the forward one
too: a hand derivation that goes along with the loop is held against the one that does the same.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch, branch_of
from symgrad.checking.exploration import Findings
from symgrad.checking.index_claims import resized, same_ball
from symgrad.checking.verdicts import ForAll
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.ops.row import precision
from symgrad.problem.definedness import branches_on
from symgrad.problem.question import Problem
from symgrad.problem.shapes import Shapes
from symgrad.program.derivative import tangent
from symgrad.program.program import interpret
from symgrad.program.written_choices import recorded_for_all_sizes
from symgrad.proving.induction import START, Induction, Theorems, prove_for_all
from symgrad.proving.scalar_records import NoScalars, ScalarRecord, scalar_records

_BITS = 256
_SIZES = 3  # with names, for one of which after the other an induction is tried


def prove_by_turns(
    problem: Problem, found: Findings, shapes: Shapes, names: Sequence[str], beside: Sequence[Mapping[str, int]]
) -> dict[str, ForAll]:
    """The claims, of these ``names``, that induction over a size proves for all of it.

    ``beside`` are sizes beside the numbers in the code, at which it may go another way.
    """
    if len(shapes.free) > _SIZES or problem.order != 1:
        return {}
    chooses = bool(branches_on(found.own.program, problem.inputs.free))
    proved: dict[str, ForAll] = {}
    theorems = Theorems()
    for size in shapes.free:
        open_ = [n for n in names if n not in proved]
        others = {n: v for n, v in shapes.own().items() if n != size and n in shapes.free}
        near = sorted({b[size] for b in beside})
        by_turns = _inductions(problem, shapes, size, open_, theorems, near, chooses)
        for name, found_here in by_turns:
            read_at, held_at = (f"{size} = {', '.join(map(str, n))}" for n in (found_here.read_at, found_here.held_at))
            told = f"{read_at}, and held against the code at {held_at}"
            proved[name] = ForAll((size,), found_here.least, {}, told, found_here, ties=chooses, at=others)
    return proved


def _inductions(
    problem: Problem,
    shapes: Shapes,
    size: str,
    names: Sequence[str],
    theorems: Theorems,
    beside: Sequence[int],
    chooses: bool,
) -> Iterator[tuple[str, Induction]]:
    """The claims that hold for all of one size, the others as they are."""
    at = functools.cache(lambda n: _branch_at(problem, shapes, {**shapes.own(), size: n}, chooses))
    read = functools.cache(lambda n, forward, multiplied: _records(at(n), names, forward, multiplied))
    try:
        beside = sorted({*beside, *_turning(at(START), at(START + 1))})
    except SymgradError:
        return
    proved: set[str] = set()
    for multiplied, forward, name in itertools.product((False, True), (False, True), names):
        if name in proved:
            continue
        try:
            induction = prove_for_all(
                size,
                lambda n, way=(forward, multiplied), name=name: read(n, *way)[name],
                theorems,
                own=shapes.own()[size],
                beside=beside,
            )
        except (SymgradError, KeyError):  # the code is about few sizes, or not of few numbers
            continue
        if induction is not None:
            proved.add(name)
            yield name, induction


def _turning(first: Branch, second: Branch) -> Iterator[int]:
    """Sizes beside those at which a comparison of plain numbers would come out otherwise."""
    gaps = [
        {g.source: g.outcome[:, 0] - g.outcome[:, 1] for g in b.choices if g.op == "plain"} for b in (first, second)
    ]
    for source in gaps[0].keys() & gaps[1].keys():
        for end in (np.min, np.max):
            here, then = float(end(gaps[0][source])), float(end(gaps[1][source]))
            if then != here and (more := -here / (then - here)) > 0:
                yield from (START + int(more) + d for d in (-1, 0, 1, 2))


def _branch_at(problem: Problem, shapes: Shapes, sizes: Mapping[str, int], chooses: bool) -> Branch:
    """The branch at some sizes; with its choices written as arithmetic where the code chooses."""
    with recorded_for_all_sizes():
        again, written = _run_at(problem, shapes, sizes)
    if branches_on(written.program, again.inputs.free):
        raise NoScalars("it decides by values.")
    if chooses:
        there, branch = _run_at(problem, shapes, sizes)
        if not _give_the_same(branch, there.inputs.point, written, again.inputs.point):
            raise NoScalars("with both sides of its branches run, it computes something else.")
    return written


def _run_at(problem: Problem, shapes: Shapes, sizes: Mapping[str, int]) -> tuple[Problem, Branch]:
    there = resized(problem, shapes, sizes)
    assert there.first is not None
    return there, branch_of(*there.first, there.wrt, there.order)


def _give_the_same(a: Branch, at_a: Mapping[str, Any], b: Branch, at_b: Mapping[str, Any]) -> bool:
    """Whether two records give the same values, in balls: the function's, each hand formula's and derivative's."""
    values = []
    for branch, point in ((a, at_a), (b, at_b)):
        wanted = [branch.model, *(i for p in branch.pairs for i in (p.hand, p.exact) if i is not None)]
        with precision(_BITS):
            given = {n: binary(point[n]) for n in branch.program.inputs}
            found = interpret(branch.program, Balls(), given, wanted)
            values.append([x for i in wanted for x in flat(found[i])])
    same = len(values[0]) == len(values[1])
    return same and all(same_ball(x, y) for x, y in zip(*values, strict=True))


def _records(branch: Branch, names: Sequence[str], forward: bool, multiplied: bool) -> dict[str, ScalarRecord]:
    program, claims = branch.program, {}
    for pair in (p for p in branch.pairs if p.name in names and p.hand is not None):
        exact = pair.exact
        if forward:
            if (
                pair.name not in program.inputs
                or program.shape(branch.model)
                or program.shape(program.inputs[pair.name])
            ):
                continue
            program, exact = tangent(program, branch.model, program.inputs[pair.name])
        claims[pair.name] = (pair.hand, exact)
    return scalar_records(program, claims, multiplied=multiplied)
