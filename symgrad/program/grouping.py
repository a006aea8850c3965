"""Reductions of entries by groups: scatter_reduce and its kin, of groups that differ in size.

A group is a list of places among the entries of several steps laid end to end; all groups become the rows of one table,
filled up with what changes nothing.

>>> from symgrad.program.builder import Builder
>>> b = Builder()
>>> x = b.input("x", (3,))
>>> print(b.build({"y": reduced(b, [x], [[1, 3], [2]], "prod", [2.0, 3.0, 4.0])}).listing())
%0 = input() float64[3]
%1 = constant() float64[]
%2 = pick(%0, %1) float64[2, 2]
%3 = pick(%0) float64[2, 1]
%4 = pick(%0, %1) float64[2, 1]
%5 = mul(%3, %4) float64[2, 1]
%6 = pick(%5) float64[2]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.program import layouts
from symgrad.program.builder import Builder
from symgrad.program.indexing import extreme
from symgrad.program.program import size


def targets(base: int, at: np.ndarray, include_base: bool) -> list[list[int]]:
    """Groups for sources that land ``at`` places of a base of so many entries, laid before the sources.

    What nothing lands on stays as it is; the others begin with their own entry where ``include_base`` says so.
    """
    groups: list[list[int]] = [[] for _ in range(base)]
    for k, place in enumerate(np.asarray(at).reshape(-1).tolist()):
        groups[place - 1].append(base + 1 + k)
    return [[k + 1, *g] if include_base or not g else g for k, g in enumerate(groups)]


def reduced(
    b: Builder, steps: Sequence[int], groups: Sequence[Sequence[int]], how: str, values: Any, counts: Any = None
) -> int:
    """The sum, mean, prod, amax or amin of each group, in one axis; of an empty one zero, or one for a product.

    ``values`` are those of all entries, which extremes are chosen by; ``counts`` are what means are divided by, the
    groups' lengths if not given.
    """
    dtype = b.dtype(steps[0])
    longest = max((len(g) for g in groups), default=0)
    total = sum(size(b.shape(i)) for i in steps)
    where = np.zeros((len(groups), max(longest, 1)), dtype=np.int64)
    for row, group in zip(where, groups, strict=True):
        row[: len(group)] = group
        row[len(group) :] = total + 1 if how == "prod" else group[0] if how in ("amax", "amin") and group else 0
    parts = [*steps, b.number(1, dtype)] if how == "prod" else list(steps)
    table = b.pick(parts, where, where.shape, dtype)
    match how:
        case "prod":
            return layouts.prod(b, table, -1)
        case "amax" | "amin":
            entries = np.concatenate([[0.0], np.asarray(values, dtype=np.float64).reshape(-1)])
            return extreme(b, table, entries[where], -1, largest=how == "amax")
    summed = b.sum(table, -1)
    if how == "mean":
        lengths = [len(g) for g in groups] if counts is None else counts
        summed = b.div(summed, b.constant(np.maximum(np.asarray(lengths), 1), dtype))
    return summed
