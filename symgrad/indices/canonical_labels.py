"""Canonical names for the bound indices of one connected sum of products.

Two sums that differ in the names or the order of their indices must become the same object.  Colour refinement tells
indices apart by what they stand in; where that leaves a tie, each of the tied is tried first, and the least result is
kept.  (As for graphs: McKay and Piperno, Practical graph isomorphism II, 2014.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping
from fractions import Fraction
from itertools import chain, permutations, product
from math import factorial, prod
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.indices.polynomials import Atom, Mono, Name, Poly, Powers, Store, is_index, key_of, name_key
from symgrad.indices.terms import Binder

__all__ = [
    "Labelling",
    "Order",
]


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


# ---------------------------------------------------------------------------------------------------- canonical labels

Colours = Mapping[Name, bytes]
_ORDERS = 24  # of indices, tried beside a denominator that names decide about


class Labelling(Store):
    """Signatures that do not depend on names, and the names chosen with them."""

    def __init__(self, *, effort: int) -> None:
        super().__init__(effort=effort)
        self._signatures: dict[Any, bytes] = {}
        self.symmetric: set[str] = set()
        self._solved: dict[Atom, Poly] = {}

    def rename(self, p: Poly, mapping: Mapping[Name, Any]) -> Poly:
        raise NotImplementedError

    def weight(self, m: Mono) -> Fraction:
        raise NotImplementedError

    def total(self, bound: dict[Name, Poly], powers: Powers, c: Any) -> Poly:
        raise NotImplementedError

    def note(self, rule: str, before: Poly, after: Poly, bound: Mapping[Name, Poly] | None = None) -> None:
        """Remember that a rule was used: the sum of ``before`` over ``bound`` is ``after``."""
        raise NotImplementedError

    def blank(self, part: Atom | Mono | Poly) -> bytes:
        """The signature of a part, with all indices alike."""
        return self.signature(part, {})

    def blank_sum(self, bound: Mapping[Name, Poly], powers: Powers) -> bytes:
        """The `blank` of the ``sum`` atom that these indices and factors would make."""
        return key_of(("sum", *sorted(map(self.blank, bound.values())), self.blank(self.mono(powers))))

    def signature(self, part: Any, colours: Colours) -> bytes:
        """A digest of a part in which an index counts by its colour alone; the same for all ways to name indices."""
        if not isinstance(part, (Atom, Mono, Poly)):
            if part in colours:
                return colours[part]
            return b"?" if is_index(part) else name_key(part).encode()
        mine = tuple((n, colours[n]) for n in sorted(part.free & colours.keys(), key=name_key))
        key = (part, mine)
        if key not in self._signatures:
            self._signatures[key] = self._signature(part, dict(mine))
        return self._signatures[key]

    def _signature(self, part: Any, colours: Colours) -> bytes:
        match part:
            case Mono():
                return key_of(tuple(sorted(key_of((self.signature(a, colours), str(e))) for a, e in part.powers)))
            case Poly():
                return key_of(
                    tuple(sorted(key_of((self.signature(m, colours), str(c))) for m, c in part.terms.items()))
                )
        if part.kind == "leaf":
            label, indices = part.data
            marks = [self.signature(i, colours) for i in indices]
            return key_of((label, *(sorted(marks) if label in self.symmetric else marks)))
        if part.kind in ("base", "sgn", "delta", "nonneg"):  # which sign was chosen may depend on names
            p = part.data[0]
            both = (self.signature(p, colours), self.signature(self.scale(p, fmpq(-1)), colours))
            return key_of((part.kind, *sorted(both)))
        if part.kind in ("inv", "det", "logdet"):  # and so may the orientation of a matrix
            p, first, size, *ends = part.data
            sides = [(b"r", b"c"), (b"c", b"r")]
            bodies = [self.signature(p, {**colours, first: r, first + 1: c}) for r, c in sides]
            marks = [self.signature(i, colours) for i in ends]
            ways = sorted(key_of((body, *way)) for body, way in zip(bodies, (marks, marks[::-1])))
            return key_of((part.kind, self.signature(size, colours), *ways))
        if part.kind == "sum":
            sizes, mono, _ = part.data
            marks = sorted(self.signature(s, colours) for s in sizes)
            return key_of((part.kind, *marks, self.signature(mono, colours)))
        return key_of((part.kind, *(self._mark(d, colours) for d in part.data)))

    def _mark(self, data: Any, colours: Colours) -> Any:
        if isinstance(data, tuple):
            return tuple(self._mark(d, colours) for d in data)
        return self.signature(data, colours) if isinstance(data, (Atom, Mono, Poly, int, sp.Symbol)) else data

    # the order of names in a part, where nothing else tells two parts apart

    def trail(self, part: Any, hidden: frozenset[Name] = frozenset()) -> tuple[Any, ...]:
        """The names in a part, in an order that does not depend on them; renaming that keeps their order keeps it."""
        match part:
            case Mono():
                return self._trails(((self.blank(a), str(e)), a) for a, e in part.powers)(hidden)
            case Poly():
                return self._trails(((self.blank(m), str(c)), m) for m, c in part.terms.items())(hidden)
            case Atom() if part.kind == "sum":
                sizes, mono, first = part.data
                return self.trail(mono, hidden | set(range(first, first + len(sizes))))
            case Atom() if part.kind in ("inv", "det", "logdet"):
                body, first, *rest = part.data
                return (self.trail(body, hidden | {first, first + 1}), *(self.trail(d, hidden) for d in rest))
            case Atom():
                trails = [self.trail(d, hidden) for d in part.data]
                return tuple(trails)
            case tuple():
                return tuple(self.trail(d, hidden) for d in part)
            case int():
                return () if part in hidden else ((1, part),)
            case sp.Symbol():
                return ((0, name_key(part)),)
            case _:
                return ()

    def _trails(self, parts: Iterable[tuple[Any, Any]]) -> Callable[[frozenset[Name]], tuple[Any, ...]]:
        pairs = list(parts)
        return lambda hidden: tuple(t for _, t in sorted((rank, self.trail(p, hidden)) for rank, p in pairs))

    # names

    def label(self, bound: Mapping[Name, Poly], powers: Powers) -> Poly:
        """One connected component as a ``sum`` atom, whose indices have canonical names (perhaps with a sign).

        Where the product simplifies under its canonical names, whichever way it is named, it is what it simplifies to.
        """
        first = max(a.height for a in powers)
        first = max([first, *(s.height for s in bound.values())])
        found: list[tuple[bytes, Poly, tuple[Poly, ...]]] = []
        start = {i: self.signature(size, dict.fromkeys(bound, b".")) for i, size in bound.items()}
        orders = self._orders_beside(start, bound, powers)
        if orders is None:
            self._search(self._refine(start, bound, powers), bound, powers, first, found)
        else:
            found = [self._named(order, bound, powers, first) for order in orders]
        single = [(key, p.only, sizes) for key, p, sizes in found if p.only is not None]
        if not single:
            _, p, sizes = min(found, key=lambda t: t[0])
            return self._named_again(p, sizes, first)
        key, (mono, c), sizes = min(single, key=lambda t: t[0])
        if any(k == key and only[1] != c for k, only, _ in single):
            return self.zero  # it is minus itself
        atom = self.atom("sum", sizes, mono, first)
        other = next(((p, s) for _, p, s in found if p.only is None), None)
        if other is not None and atom not in self._solved:
            self._solved[atom] = self.single(atom)  # while it is worked on
            self._solved[atom] = self._solve_for(atom, self._named_again(*other, first), c)
        return self.scale(self._solved.get(atom, self.single(atom)), c)

    def _solve_for(self, atom: Atom, other: Poly, c: Any) -> Poly:
        """A sum that is something else under other names, perhaps with itself in it: c*A = k*A + rest."""
        mono = self.mono({atom: 1})
        k = other.terms.get(mono, fmpq(0))
        rest = self.poly({m: d for m, d in other.terms.items() if m is not mono})
        inside = any(atom is a for m in rest.terms for a, _ in m.powers)
        return self.single(atom) if k == c or inside else self.scale(rest, 1 / (c - k))

    def is_tied(self, a: Atom) -> bool:
        """Whether the names of its indices decide how a denominator or an indicator is simplified."""
        if a.kind not in ("base", "nonneg"):
            return False
        ranks = [(self.weight(m), self.blank(m)) for m in a.data[0].terms if m.powers]
        return ranks.count(max(ranks)) > 1

    def _orders_beside(self, start: dict[Name, bytes], bound: Any, powers: Powers) -> list[list[Name]] | None:
        """Beside a tied denominator, the orders of indices that its cofactor allows, whatever its numerator."""
        tied = [a for a in powers if self.is_tied(a)]
        if not tied:
            return None
        related = {b for a in tied for m in a.data[0].terms for b, _ in m.powers if a.kind == "base"} | set(tied)
        colours = self._refine(start, bound, {a: e for a, e in powers.items() if a not in related})
        cells: dict[bytes, list[Name]] = {}
        for i, c in colours.items():
            cells.setdefault(c, []).append(i)
        if prod(factorial(len(cell)) for cell in cells.values()) > _ORDERS:
            return None
        ways = (permutations(cells[c]) for c in sorted(cells))
        return [list(chain.from_iterable(way)) for way in product(*ways)]

    def _named_again(self, p: Poly, sizes: tuple[Poly, ...], first: int) -> Poly:
        """The sum of a polynomial over its canonical names, which are made open names in the same order."""
        names: dict[Name, int] = {}
        used = p.free
        for k, size in enumerate(sizes):
            names[first + k] = self.spare(size, used, max(names.values(), default=0))
            used |= {names[first + k]}
        bound = {new: self.rename(sizes[old - first], names) for old, new in names.items()}
        self.ranges.update(bound)
        p = self.rename(p, names)
        return self.add(self.total(bound, dict(m.powers), c) for m, c in p.terms.items())

    def _named(self, order: list[Name], bound: Any, powers: Powers, first: int) -> tuple[bytes, Poly, tuple[Poly, ...]]:
        mapping = {i: first + k for k, i in enumerate(order)}
        p = self.rename(self.poly({self.mono(powers): fmpq(1)}), mapping)
        sizes = tuple(self.rename(bound[i], mapping) for i in order)
        shape = p.only[0] if p.only else p  # a sign is no part of the name
        return key_of((shape, *sizes)), p, sizes

    def _search(self, colours: dict[Name, bytes], bound: Any, powers: Powers, first: int, found: list[Any]) -> None:
        self.spend(len(bound))
        cells: dict[bytes, list[Name]] = {}
        for i, c in colours.items():
            cells.setdefault(c, []).append(i)
        tied = [c for c in sorted(cells) if len(cells[c]) > 1]
        if not tied:
            found.append(self._named(sorted(colours, key=lambda i: colours[i]), bound, powers, first))
            return
        for i in cells[tied[0]]:
            apart = dict(colours)
            apart[i] = key_of((colours[i], "first"))
            self._search(self._refine(apart, bound, powers), bound, powers, first, found)

    def _refine(self, colours: dict[Name, bytes], bound: Any, powers: Powers) -> dict[Name, bytes]:
        """Tell indices apart by the factors that they stand in, until nothing more is told apart."""
        classes = len(set(colours.values()))
        while classes < len(colours):
            new = {}
            for i in bound:
                mine = {**colours, i: b"@" + colours[i]}
                stands = [key_of((self.signature(a, mine), str(e))) for a, e in powers.items() if i in a.free]
                stands += [self.signature(s, mine) for s in bound.values() if i in s.free]
                new[i] = key_of((colours[i], *sorted(stands)))
            if len(set(new.values())) == classes:
                return new
            colours, classes = new, len(set(new.values()))
        return colours
