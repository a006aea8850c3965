"""Canonical names for the bound indices of one connected sum of products.

Two sums that differ in the names or the order of their indices must become the same object.  Colour refinement tells
indices apart by what they stand in; where that leaves a tie, each of the tied is tried first, and the least result is
kept.  (As for graphs: McKay and Piperno, Practical graph isomorphism II, 2014.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, permutations, product
from math import factorial, prod
from typing import Any, NamedTuple

from flint import fmpq

from symgrad.indices.polynomials import Atom, Name, Poly, Powers, Store, key_of
from symgrad.indices.products import substitute
from symgrad.indices.signatures import blank, signature, weight

_ORDERS = 24  # of indices, tried beside a denominator that names decide about


class Naming(NamedTuple):
    """A sum's product under canonical names for its indices, and their sizes; the least ``key`` wins."""

    key: bytes
    body: Poly
    sizes: tuple[Poly, ...]


def name_indices(store: Store, bound: dict[Name, Poly], powers: Powers, first: int) -> list[Naming]:
    """The ways to name the indices of one connected component between which nothing but names decides."""
    start = {i: signature(store, size, dict.fromkeys(bound, b".")) for i, size in bound.items()}
    orders: Iterable[list[Name]] | None = _orders_beside(store, start, bound, powers)
    if orders is None:
        orders = _search(store, _refine(store, start, bound, powers), bound, powers)
    return [_named(store, order, bound, powers, first) for order in orders]


def _is_tied(store: Store, a: Atom) -> bool:
    """Whether the names of its indices decide how a denominator or an indicator is simplified."""
    if a.kind not in ("base", "nonneg"):
        return False
    ranks = [(weight(m), blank(store, m)) for m in a.data[0].terms if m.powers]
    return ranks.count(max(ranks)) > 1


def _orders_beside(store: Store, start: dict[Name, bytes], bound: Any, powers: Powers) -> list[list[Name]] | None:
    """Beside a tied denominator, the orders of indices that its cofactor allows, whatever its numerator."""
    tied = [a for a in powers if _is_tied(store, a)]
    if not tied:
        return None
    related = {b for a in tied for m in a.data[0].terms for b, _ in m.powers if a.kind == "base"} | set(tied)
    colours = _refine(store, start, bound, {a: e for a, e in powers.items() if a not in related})
    cells: dict[bytes, list[Name]] = {}
    for i, c in colours.items():
        cells.setdefault(c, []).append(i)
    if prod(factorial(len(cell)) for cell in cells.values()) > _ORDERS:
        return None
    ways = (permutations(cells[c]) for c in sorted(cells))
    return [list(chain.from_iterable(way)) for way in product(*ways)]


def _named(store: Store, order: list[Name], bound: Any, powers: Powers, first: int) -> Naming:
    mapping = {i: first + k for k, i in enumerate(order)}
    p = substitute(store, store.poly({store.mono(powers): fmpq(1)}), mapping)
    sizes = tuple(substitute(store, bound[i], mapping) for i in order)
    shape = p.only[0] if p.only else p  # a sign is no part of the name
    return Naming(key_of((shape, *sizes)), p, sizes)


def _search(store: Store, colours: dict[Name, bytes], bound: Any, powers: Powers) -> Iterator[list[Name]]:
    store.spend(len(bound))
    cells: dict[bytes, list[Name]] = {}
    for i, c in colours.items():
        cells.setdefault(c, []).append(i)
    tied = [c for c in sorted(cells) if len(cells[c]) > 1]
    if not tied:
        yield sorted(colours, key=lambda i: colours[i])
        return
    for i in cells[tied[0]]:
        apart = dict(colours)
        apart[i] = key_of((colours[i], "first"))
        yield from _search(store, _refine(store, apart, bound, powers), bound, powers)


def _refine(store: Store, colours: dict[Name, bytes], bound: Any, powers: Powers) -> dict[Name, bytes]:
    """Tell indices apart by the factors that they stand in, until nothing more is told apart."""
    classes = len(set(colours.values()))
    while classes < len(colours):
        new = {}
        for i in bound:
            mine = {**colours, i: b"@" + colours[i]}
            stands = [key_of((signature(store, a, mine), str(e))) for a, e in powers.items() if i in a.free]
            stands += [signature(store, s, mine) for s in bound.values() if i in s.free]
            new[i] = key_of((colours[i], *sorted(stands)))
        if len(set(new.values())) == classes:
            return new
        colours, classes = new, len(set(new.values()))
    return colours
