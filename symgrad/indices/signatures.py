"""What a part is, whatever its indices are called: orders, digests and ranks in which no name counts.

Two sums that differ in the names or the order of their indices must become the same object; what decides between their
parts is said here, below all rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.indices.polynomials import (
    MATRICES,
    Atom,
    Mono,
    Name,
    Poly,
    Powers,
    Store,
    is_index,
    key_of,
    name_key,
    transposed,
)
from symgrad.indices.terms import Binder

# ------------------------------------------------------------------------------------------------------------ ordering
# An order of the free indices of a body that does not depend on their names.
#
# Bodies that differ only in the names of free indices are the same tensor; to see it, their indices are counted in the
# order in which they are met on a walk that looks at everything but names.


class Order:
    """Walks through bodies; what was met is remembered."""

    def __init__(self, sizes: Container[Any]) -> None:
        self.sizes = sizes
        self._shapes: dict[Any, bytes] = {}
        self._orders: dict[Any, tuple[Any, ...]] = {}

    def of(self, e: Any) -> tuple[Any, ...]:
        """The free indices of ``e``.  Where two ways to count are alike, it is one of them."""
        if e not in self._orders:
            self._orders[e] = self._order(e)
        return self._orders[e]

    def is_index(self, e: Any) -> bool:
        return bool(e.is_integer) and e not in self.sizes

    def _order(self, e: Any) -> tuple[Any, ...]:
        match e:
            case sp.Symbol():
                return (e,) if self.is_index(e) else ()
            case sp.IndexedBase():
                return ()
            case sp.Indexed():
                parts = e.indices
            case Binder():
                inner = [i for i in self.of(e.body) if i not in e.bound]
                return tuple(dict.fromkeys([*inner, *(i for a in e.outside for i in self.of(a))]))
            case sp.Add() | sp.Mul():
                parts = sorted(e.args, key=lambda a: self.shape(a))
            case _:
                parts = e.args
        return tuple(dict.fromkeys(i for a in parts for i in self.of(a)))

    def shape(self, e: Any) -> bytes:
        """A digest of what the body is, but for the names of indices."""
        if e not in self._shapes:
            self._shapes[e] = self._shape(e)
        return self._shapes[e]

    def _shape(self, e: Any) -> bytes:
        match e:
            case sp.Symbol() if self.is_index(e):
                words = [b"index"]
            case sp.Indexed():
                base: Any = e.base
                words = [str(base.label).encode(), *(self.shape(i) for i in e.indices)]
            case Binder():
                words = [type(e).__name__.encode(), *(self.shape(a) for a in (e.body, *e.outside))]
            case sp.Add() | sp.Mul():
                words = [type(e).__name__.encode(), *sorted(self.shape(a) for a in e.args)]
            case _ if e.args:
                words = [type(e).__name__.encode(), *(self.shape(a) for a in e.args)]
            case _:
                words = [str(e).encode()]
        return hashlib.blake2b(b"\0".join(words), digest_size=12).digest()


# ---------------------------------------------------------------------------------------------------------- signatures

Colours = Mapping[Name, bytes]


def weight(m: Mono) -> Fraction:
    """The degree of a monomial, with sums opened: what is heaviest leads."""
    total = Fraction(0)
    for a, e in m.powers:
        size = abs(e) if a.kind == "exp" else e
        total += size * (weight(a.data[1]) if a.kind == "sum" else 0 if a.kind == "num" else 1)
    return total


def blank(store: Store, part: Atom | Mono | Poly) -> bytes:
    """The signature of a part, with all indices alike."""
    return signature(store, part, {})


def blank_sum(store: Store, bound: Mapping[Name, Poly], powers: Powers) -> bytes:
    """The `blank` of the ``sum`` atom that these indices and factors would make."""
    return key_of(("sum", *sorted(blank(store, size) for size in bound.values()), blank(store, store.mono(powers))))


def signature(store: Store, part: Any, colours: Colours) -> bytes:
    """A digest of a part in which an index counts by its colour alone; the same for all ways to name indices."""
    if not isinstance(part, (Atom, Mono, Poly)):
        if part in colours:
            return colours[part]
        return b"?" if is_index(part) else name_key(part).encode()
    mine = tuple((n, colours[n]) for n in sorted(part.free & colours.keys(), key=name_key))
    key = (part, mine)
    if key not in store.signatures:
        store.signatures[key] = _signature(store, part, dict(mine))
    return store.signatures[key]


def _signature(store: Store, part: Any, colours: Colours) -> bytes:
    match part:
        case Mono():
            return key_of(tuple(sorted(key_of((signature(store, a, colours), str(e))) for a, e in part.powers)))
        case Poly():
            return key_of(tuple(sorted(key_of((signature(store, m, colours), str(c))) for m, c in part.terms.items())))
    if part.kind == "leaf":
        label, indices = part.data
        marks = [signature(store, i, colours) for i in indices]
        return key_of((label, *(sorted(marks) if label in store.symmetric else marks)))
    if part.kind in ("base", "sgn", "delta", "nonneg"):  # which sign was chosen may depend on names
        p = part.data[0]
        both = (signature(store, p, colours), signature(store, store.scale(p, fmpq(-1)), colours))
        return key_of((part.kind, *sorted(both)))
    if part.kind == "chol":
        p, first, size, *ends = part.data
        body = signature(store, p, {**colours, first: b"r", first + 1: b"r"})  # it is symmetric
        return key_of((part.kind, body, signature(store, size, colours), *(signature(store, i, colours) for i in ends)))
    if part.kind in MATRICES:  # and so may the orientation of a matrix
        p, first, size, *ends = part.data
        sides = [(b"r", b"c"), (b"c", b"r")]
        bodies = [signature(store, p, {**colours, first: r, first + 1: c}) for r, c in sides]
        marks = [signature(store, i, colours) for i in ends]
        ways = [key_of((body, *way)) for body, way in zip(bodies, (marks, transposed(part.kind, marks)))]
        if part.kind == "dexpm":  # and which of its two pairs of ends is first
            turned = [[*m[2:4], *m[:2], *m[4:]] for m in (marks, transposed(part.kind, marks))]
            ways += [key_of((body, *way)) for body, way in zip(bodies, turned)]
        return key_of((part.kind, signature(store, size, colours), *sorted(ways)))
    if part.kind == "sum":
        sizes, mono, _ = part.data
        marks = sorted(signature(store, s, colours) for s in sizes)
        return key_of((part.kind, *marks, signature(store, mono, colours)))
    return key_of((part.kind, *(_mark(store, d, colours) for d in part.data)))


def _mark(store: Store, data: Any, colours: Colours) -> Any:
    if isinstance(data, tuple):
        return tuple(_mark(store, d, colours) for d in data)
    return signature(store, data, colours) if isinstance(data, (Atom, Mono, Poly, int, sp.Symbol)) else data


def trail(store: Store, part: Any, hidden: frozenset[Name] = frozenset()) -> tuple[Any, ...]:
    """The names in a part, in an order that does not depend on them; renaming that keeps their order keeps it.

    It orders what nothing else tells apart.
    """
    match part:
        case Mono():
            return _trails(store, (((blank(store, a), str(e)), a) for a, e in part.powers), hidden)
        case Poly():
            return _trails(store, (((blank(store, m), str(c)), m) for m, c in part.terms.items()), hidden)
        case Atom() if part.kind == "sum":
            sizes, mono, first = part.data
            return trail(store, mono, hidden | set(range(first, first + len(sizes))))
        case Atom() if part.kind in MATRICES:
            body, first, *rest = part.data
            return (trail(store, body, hidden | {first, first + 1}), *(trail(store, d, hidden) for d in rest))
        case Atom():
            return tuple(trail(store, d, hidden) for d in part.data)
        case tuple():
            return tuple(trail(store, d, hidden) for d in part)
        case int():
            return () if part in hidden else ((1, part),)
        case sp.Symbol():
            return ((0, name_key(part)),)
        case _:
            return ()


def _trails(store: Store, parts: Iterable[tuple[Any, Any]], hidden: frozenset[Name]) -> tuple[Any, ...]:
    return tuple(t for _, t in sorted((rank, trail(store, p, hidden)) for rank, p in parts))
