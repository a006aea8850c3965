"""The orders that entries may be put in: which of them are sought, and a point for each.

Where the code sorts, one formula holds for every order as long as entries only move: then no order is a branch of its
own.  But a list of places can be compared with another, and a rank can be looked up in a table; so orders are looked
at on purpose: all of them where they are few, else so many that every entry stood in every place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.problem.point_search import value_at
from symgrad.program.program import Program

Order = tuple[int, ...]

_ALL = 3  # entries of which every order is looked at
_MOST = 12  # entries of which each is to stand in every place


def orders(n: int, met: Sequence[Order]) -> Iterator[Order]:
    """The orders of n entries that are worth to be seen beside those that were met.

    >>> sorted(orders(2, [(0, 1)]))
    [(1, 0)]
    >>> len(list(orders(5, [(4, 2, 0, 1, 3)])))
    4
    """
    if n <= _ALL:
        yield from (order for order in itertools.permutations(range(n)) if order not in met)
    elif n <= _MOST and met:
        stood = {pair for order in met for pair in enumerate(order)}
        for k in range(1, n):
            turned = (*met[0][k:], *met[0][:k])
            if not set(enumerate(turned)) <= stood:
                yield turned


def point_in_order(
    program: Program, step: int, axis: int, order: Order, start: Mapping[str, Any], free: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The point with its entries moved so that those of a step come in this order along an axis, where they come from
    inputs of its shape."""
    values = value_at(program, step, start)
    if not values.ndim or values.shape[axis] != len(order) or sorted(order) != list(range(len(order))):
        return
    now = np.argsort(np.moveaxis(values, axis, -1).reshape(-1, len(order))[0], kind="stable")
    source = np.empty(len(order), dtype=int)
    source[list(order)] = now
    moved = {n: np.take(start[n], source, axis) for n in free if np.shape(start[n]) == values.shape}
    if moved:
        yield {**start, **moved}
