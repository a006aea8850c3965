"""A look at a few entries of large arrays, each through the part of the Program that it is made of.

What is proved for all sizes needs no look at every entry; a few, at a point that nobody chose, tell whether the record
is one of that point too, and how near autograd comes there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch, PairComparison, PointComparison, compare_at, view_of
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.ops.row import precision
from symgrad.program.cones import TooLarge, cone_of
from symgrad.program.program import interpret, size

MANY = 200_000  # entries of all steps from which a few are looked at
MOST = 1 << 26  # the same, from which a look at all of them would fill the memory: some 100 bytes are an entry
_FEW = 6  # entries of each derivative
_MADE_OF = 1 << 16  # entries that those of one derivative may be made of
_BITS = 256


def is_large(branch: Branch) -> bool:
    """Whether a look at a few entries is cheaper, and enough: the code chooses nothing, and nothing was rounded."""
    plain = not (branch.choices or branch.typed or branch.rounded)
    return plain and branch.program.entries() >= MANY


def is_huge(branch: Branch) -> bool:
    """Whether there are so many entries that a few are to do even at the user's own point."""
    return is_large(branch) and branch.program.entries() >= MOST


def look_in_part(branch: Branch, point: Mapping[str, Any]) -> PointComparison | None:
    """The pairs of a branch compared at a few entries each; None where one of these does not agree.

    A derivative whose entries are each made of everything, such as a sum over all rows, is not looked at.
    """
    views = {}
    for pair in branch.pairs:
        if pair.hand is None:
            return None
        n = size(pair.shape)
        some: Any = np.unique(np.linspace(0, n - 1, _FEW).astype(np.int64))
        try:
            cone = cone_of(branch.program, {pair.hand: some, pair.exact: some}, _MADE_OF)
        except TooLarge:
            views[pair.name] = PairComparison(np.array([]), np.array([]), (), _BITS, at=some[:0])
            continue
        hand, exact = cone.place[pair.hand], cone.place[pair.exact]
        inputs = {name: binary(x) for name, x in cone.of_inputs(branch.program, point).items()}
        with precision(_BITS):
            values = interpret(cone.program, Balls(), inputs, [hand, exact])
            mine, other = (
                flat(values[side])[cone.where(step, some)] for side, step in ((hand, pair.hand), (exact, pair.exact))
            )
            view = replace(view_of(mine, other, None, None, {}, branch, _BITS, False), at=some)
        if set(view.states) != {"agrees"}:
            return None
        views[pair.name] = view
    return PointComparison(point, views, (), None, None, guards=branch.choices)


def made_whole(branch: Branch, seen: PointComparison, free: Sequence[str]) -> PointComparison:
    """A comparison of all entries in the place of one of a few."""
    return compare_at(branch, seen.point, free, guards=seen.guards) if seen.is_in_part else seen
