"""Canonical names for the bound indices of one connected sum of products.

Two sums that differ in the names or the order of their indices must become the same object.  Colour refinement tells
indices apart by what they stand in; where that leaves a tie, each of the tied is tried first, and the least result is
kept.  (As for graphs: McKay and Piperno, Practical graph isomorphism II, 2014.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.indices.polynomials import Atom, Mono, Name, Poly, Powers, Store, Unstable, is_index, key_of, name_key

__all__ = ["Labelling"]

Colours = Mapping[Name, bytes]


class Labelling(Store):
    """Signatures that do not depend on names, and the names chosen with them."""

    def __init__(self, *, effort: int) -> None:
        super().__init__(effort=effort)
        self._signatures: dict[Any, bytes] = {}
        self.symmetric: set[str] = set()

    def rename(self, p: Poly, mapping: Mapping[Name, Any]) -> Poly:
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
        if part.kind in ("base", "sgn", "delta"):  # which sign was chosen may depend on names
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

    def label(self, bound: Mapping[Name, Poly], powers: Powers) -> Poly:
        """One connected component as a ``sum`` atom, whose indices have canonical names (perhaps with a sign)."""
        first = max(a.height for a in powers)
        first = max([first, *(s.height for s in bound.values())])
        found: list[tuple[bytes, Mono, Any, tuple[Poly, ...]]] = []
        start = {i: self.signature(size, dict.fromkeys(bound, b".")) for i, size in bound.items()}
        self._search(self._refine(start, bound, powers), bound, powers, first, found)
        _, mono, c, sizes = min(found, key=lambda t: (t[0], str(t[2])))
        return self.poly({self.mono({self.atom("sum", sizes, mono, first): 1}): c})

    def _search(self, colours: dict[Name, bytes], bound: Any, powers: Powers, first: int, found: list[Any]) -> None:
        self.spend(len(bound))
        cells: dict[bytes, list[Name]] = {}
        for i, c in colours.items():
            cells.setdefault(c, []).append(i)
        tied = [c for c in sorted(cells) if len(cells[c]) > 1]
        if not tied:
            order = sorted(colours, key=lambda i: colours[i])
            mapping = {i: first + k for k, i in enumerate(order)}
            merged: Powers = {}
            number = fmpq(1)
            for a, e in powers.items():
                new = self.rename(self.single(a, e), mapping).only
                if new is None:
                    raise Unstable("renaming changed a monomial")
                number *= new[1]
                for b, f in new[0].powers:
                    merged[b] = merged.get(b, 0) + f
            mono = self.mono({b: f for b, f in merged.items() if f})
            sizes = tuple(self.rename(bound[i], mapping) for i in order)
            found.append((key_of((mono, *sizes)), mono, number, sizes))
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
