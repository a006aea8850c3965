"""Sums over indices: deltas contracted, facts used, denominators cancelled, connected components named.

A sum is worked on while it is *open*: a set of bound indices, each with its size, and a product of powers of atoms in
which nested sums are opened too, so that the order and the nesting of sums do not matter (Fubini).  What can be
simplified is; what is left falls into connected components, and each becomes one atom.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flint import fmpq

from symgrad.indices.polynomials import Atom, Mono, Name, Poly, Powers, Unstable, key_of, rational, whole
from symgrad.indices.products import Indicators
from symgrad.indices.terms import SumsTo, Symmetric

__all__ = ["Sums"]

Bound = dict[Name, Poly]


class Sums(Indicators):
    """Sums, and the renaming of indices everywhere."""

    def __init__(self, *, effort: int) -> None:
        super().__init__(effort=effort)
        self._renamed: dict[Any, Poly] = {}
        self.sums_to: list[SumsTo] = []
        self.shapes: dict[str, tuple[Poly | None, ...]] = {}

    def apply(self, head: Any, *args: Poly) -> Poly:
        raise NotImplementedError

    def exponential(self, p: Poly) -> Poly:
        raise NotImplementedError

    def matrix(self, kind: str, body: Poly, row: Name, column: Name, size: Poly, *ends: Any) -> Poly:
        raise NotImplementedError

    # sums

    def summed(self, p: Poly, name: Name, size: Poly) -> Poly:
        """The sum of ``p`` over an open index."""
        return self.add(self.total({name: size}, dict(m.powers), c) for m, c in p.terms.items())

    def total(self, bound: Bound, powers: Powers, c: Any) -> Poly:
        """The sum of ``c`` times a product over the bound indices, which are open."""
        self.spend()
        bound, powers, sign = self._open(dict(bound), powers)
        c = c * sign
        for rule, step in (
            ("contract a delta", self._without_delta),
            (None, self._simplified),
            ("count the places of an index", self._counted),
            ("use a fact", self._with_facts),
            ("a matrix times its inverse", self._with_inverses),
            ("cancel a denominator", self._without_denominators),
        ):
            found = step(bound, powers)
            if found is not None:
                if rule:
                    self.note(rule, self.poly({self.mono(powers): fmpq(1)}), found, bound)
                return self.scale(found, c)
        out = self.one
        for inside, factors in self.components(bound, powers):
            if not factors:
                out = self.multiply_all(out, *inside.values())
            elif not inside:
                out = self.multiply(out, self.product(factors))
            else:
                out = self.multiply(out, self.label(inside, factors))
        return self.scale(out, c)

    def _again(self, bound: Bound, p: Poly) -> Poly:
        return self.add(self.total(bound, dict(m.powers), c) for m, c in p.terms.items())

    def opened(self, a: Atom, taken: Iterable[Name] = ()) -> tuple[Bound, Powers, Any]:
        """The indices and factors of a ``sum`` atom under new numbers that are not ``taken``; and a sign."""
        sizes, mono, first = a.data
        used = a.free.union(taken)
        mapping: dict[Name, int] = {}
        for k, size in enumerate(sizes):
            mapping[first + k] = self.spare(size, used, max(mapping.values(), default=0))
            used |= {mapping[first + k]}
        bound = {new: self.rename(sizes[old - first], mapping) for old, new in mapping.items()}
        self.ranges.update(bound)
        only = self.rename(self.poly({mono: fmpq(1)}), mapping).only
        if only is None:
            raise Unstable("opening a sum changed it")
        return bound, dict(only[0].powers), only[1]

    def _open(self, bound: Bound, powers: Powers) -> tuple[Bound, Powers, Any]:
        """Nested sums opened, where a bound index reaches into them."""
        c = fmpq(1)
        while True:
            inner = (
                (a, e)
                for a, e in powers.items()
                if a.kind == "sum" and isinstance(e, int) and e > 0 and not a.free.isdisjoint(bound)
            )
            hit = next(inner, None)
            if hit is None:
                return bound, powers, c
            a, e = hit
            powers = {b: f for b, f in powers.items() if b is not a}
            for _ in range(e):
                more, factors, sign = self.opened(a, bound.keys() | frozenset().union(*(b.free for b in powers)))
                bound |= more
                c *= sign
                for b, f in factors.items():
                    powers[b] = powers.get(b, 0) + f
            powers = {b: f for b, f in powers.items() if f}

    def components(self, bound: Bound, powers: Powers) -> Iterator[tuple[Bound, Powers]]:
        """Connected components: indices and the factors they stand in; last the factors with no bound index."""
        waiting = dict(powers)
        left = dict(bound)
        while left:
            first = next(iter(left))
            inside: Bound = {}
            factors: Powers = {}
            names = [first]
            while names:
                i = names.pop()
                if i not in left:
                    continue
                inside[i] = left.pop(i)
                near = [s for s in inside[i].free if s in left]
                near += [j for j, s in left.items() if i in s.free]
                for a in [a for a in waiting if i in a.free]:
                    factors[a] = waiting.pop(a)
                    near += [j for j in a.free if j in left]
                names += near
            yield inside, factors
        if waiting:
            yield {}, waiting

    def _without_delta(self, bound: Bound, powers: Powers) -> Poly | None:
        for a in powers:
            if a.kind == "delta" and (solved := self.solve(a, a.free & bound.keys())):
                name, value = solved
                later = self.solve(a, a.free - bound.keys() - self.free_names)
                if later is not None and _minuses(later[1]) < _minuses(value):
                    continue  # i = j + 1 is waited for, so that the order of sums does not matter
                to = {name: self.as_index(value)}
                rest = {b: f for b, f in powers.items() if b is not a}
                left = {j: self.rename(s, to) for j, s in bound.items() if j != name}
                self.ranges.update({j: left[j] for j in left if isinstance(j, int)})
                inside = self.within(value, self.rename(bound[name], to))
                return self._again(left, self.multiply(inside, self.rename(self.poly({self.mono(rest): fmpq(1)}), to)))
        return None

    def _simplified(self, bound: Bound, powers: Powers) -> Poly | None:
        """Factors that met only when sums were opened."""
        p = self.product(powers)
        only = p.only
        return None if only and only[1] == 1 and only[0] is self.mono(powers) else self._again(bound, p)

    def _counted(self, bound: Bound, powers: Powers) -> Poly | None:
        """The sum over i of [i >= e] is size - e, and of [i <= e] it is e + 1, where e is in the range."""
        for a in powers:
            for i in a.free & bound.keys() if a.kind == "nonneg" else ():
                if any(i in b.free for b in powers if b is not a) or any(i in s.free for s in bound.values()):
                    continue
                p, size = a.data[0], bound[i]
                c = p.terms.get(self.mono({self.atom("sym", i): 1}), 0)
                rest = self.subtract(p, self.scale(self.symbol(i), c))
                if c not in (1, -1) or i in rest.free:
                    continue
                count = self.add((size, rest)) if c == 1 else self.add((rest, self.one))
                if self.never_negative(count) and self.never_negative(self.subtract(size, count)):
                    left = {j: s for j, s in bound.items() if j != i}
                    factors = self.product({b: f for b, f in powers.items() if b is not a})
                    return self._again(left, self.multiply(count, factors))
        return None

    def _with_facts(self, bound: Bound, powers: Powers) -> Poly | None:
        for fact in self.sums_to:
            for a, e in powers.items():
                if a.kind != "leaf" or e != 1 or a.data[0] != fact.name:
                    continue
                i = a.data[1][fact.axis]
                axis = self.shapes.get(fact.name, (None,) * (fact.axis + 1))[fact.axis]
                alone = i in bound and sum(i in b.free for b in powers) == 1 and a.data[1].count(i) == 1
                if alone and axis is bound[i] and not any(i in s.free for s in bound.values()):
                    self.use(fact)
                    rest = {b: f for b, f in powers.items() if b is not a}
                    left = {j: s for j, s in bound.items() if j != i}
                    return self.total(left, rest, rational(fact.value))
        return None

    def _with_inverses(self, bound: Bound, powers: Powers) -> Poly | None:
        """Sum over b of inv[i, b] * B[b, k] = delta(i, k), for the leading term of B; the other terms move over."""
        for a, e in powers.items():
            if a.kind != "inv" or e != 1:
                continue
            _, _, size, *ends = a.data
            for side, b in enumerate(ends):
                if isinstance(b, Poly) or b not in bound or ends.count(b) != 1 or bound[b] is not size:
                    continue
                found = self._against(a, powers, bound, b, side)
                if found is not None:
                    k, left, others, c = found
                    near = {j: s for j, s in bound.items() if j in a.free or j == k}  # the others are summed already
                    outer = {j: s for j, s in near.items() if j != b}
                    one = self.multiply(self.delta(ends[1 - side], k), left)
                    two = self.multiply_all(self.single(a), others, left)
                    return self.add(
                        (self.scale(self._again(outer, one), 1 / c), self.scale(self._again(near, two), -1 / c))
                    )
        return None

    def _against(self, inv: Atom, powers: Powers, bound: Bound, b: Name, side: int) -> Any:
        """Where the matrix's leading term stands at b and k: k, the other factors, the other terms, the coefficient."""
        body, first, *_ = inv.data
        lead = self.head(body)
        if lead is None:
            return None
        powers = {x: f for x, f in powers.items() if x is not inv}
        leaves = [x for x, _ in lead.powers]
        candidates = {j for x in powers if b in x.free for j in x.free if j != b}
        candidates |= {i for x in powers if x.kind == "leaf" and b in x.free for i in x.data[1] if i != b}
        if len(leaves) > 1 or leaves[0].kind != "leaf":
            candidates |= {j for x in powers for j in x.free if j != b}
        for k in sorted(candidates, key=lambda j: (not isinstance(j, int), key_of(j))):
            at = {first: b, first + 1: k} if side == 1 else {first: k, first + 1: b}
            want = self.rename(self.poly({lead: fmpq(1)}), at).only
            if want is None:
                continue
            left = self.divided(powers, bound, want[0], inv.free | {b, k})
            if left is None or b in left.free:
                continue
            others = self.poly({m: c for m, c in body.terms.items() if m is not lead})
            return k, left, self.rename(others, at), body.terms[lead] * want[1]
        return None

    def divided(self, powers: Powers, bound: Bound, by: Mono, fixed: frozenset[Name]) -> Poly | None:
        """A product under a sum over a monomial in which only ``fixed`` indices are open; None if it is no factor.

        Indices outside ``fixed`` are summed first: their components are what the monomial's sums are made of.
        """
        wanted = dict(by.powers)
        free = {j: s for j, s in bound.items() if j not in fixed}
        looked_for = {self.blank(a) for a in wanted if a.kind == "sum"}
        rest: Poly = self.one
        for inside, factors in self.components(free, powers):
            if not inside:
                for a, e in factors.items():
                    asked = wanted.get(a, 0)
                    taken = min(e, asked) if asked > 0 and e > 0 else max(e, asked) if asked < 0 and e < 0 else 0
                    if taken:
                        wanted[a] -= taken
                    if e - taken:
                        rest = self.multiply(rest, self.single(a, whole(e - taken)))
                continue
            part = None
            if factors and self.blank_sum(inside, factors) in looked_for:
                only = self.label(inside, factors).only
                if only and only[1] == 1 and len(only[0].powers) == 1:
                    part = only[0].powers[0][0]
            if part is not None and wanted.get(part, 0) >= 1:
                wanted[part] -= 1
            elif part is not None:
                rest = self.multiply(rest, self.single(part))
            else:
                rest = self.multiply(rest, self.total(inside, factors, fmpq(1)))
        return rest if not any(wanted.values()) else None

    def _without_denominators(self, bound: Bound, powers: Powers) -> Poly | None:
        """A denominator that cancels against a sum inside the sum, once the denominator's own indices are fixed."""
        for a, e in powers.items():
            if e >= 0 or a.kind not in ("base", "sum") or a.free.isdisjoint(bound):
                continue
            if a.kind == "sum":
                lead, c, others = self.mono({a: 1}), fmpq(1), self.zero
            else:
                p: Poly = a.data[0]
                lead = self.head(p)
                if lead is None:
                    continue
                c = p.terms[lead]
                others = self.poly({m: d for m, d in p.terms.items() if m is not lead})
            if any(f < 0 and b.kind != "exp" for b, f in lead.powers) or all(b.kind != "sum" for b, _ in lead.powers):
                continue  # nothing is summed there: `cancel` sees it
            rest = {b: f for b, f in powers.items() if b is not a}
            left = self.divided(rest, bound, lead, a.free)
            if left is None:
                continue
            outer = {j: s for j, s in bound.items() if j in a.free or j in left.free}
            first = self.multiply(left, self.power(self.single(a), whole(e + 1)))
            second = self.multiply_all(left, self.single(a, e), others)
            return self.add(
                (self.scale(self._again(outer, first), 1 / c), self.scale(self._again(outer, second), -1 / c))
            )
        return None

    # renaming

    def rename(self, p: Poly, mapping: Mapping[Name, Any]) -> Poly:
        mapping = {k: v for k, v in mapping.items() if k in p.free and v is not k}
        if not mapping:
            return p
        key = (p, tuple(mapping.items()))
        if key not in self._renamed:
            self.spend(len(p.terms))
            self._renamed[key] = self.add(self.scale(self._renamed_mono(m, mapping), c) for m, c in p.terms.items())
        return self._renamed[key]

    def _renamed_mono(self, m: Mono, mapping: Mapping[Name, Any]) -> Poly:
        merged: Powers = {}
        c = fmpq(1)
        others: list[Poly] = []
        for a, e in m.powers:
            if a.free.isdisjoint(mapping):
                merged[a] = merged.get(a, 0) + e
                continue
            new = self._renamed_power(a, e, {k: v for k, v in mapping.items() if k in a.free})
            only = new.only
            if only is None:
                others.append(new)
                continue
            c *= only[1]
            for b, f in only[0].powers:
                merged[b] = merged.get(b, 0) + f
        product = self.product({b: f for b, f in merged.items() if f})
        return self.scale(self.multiply_all(product, *others), c)

    def _renamed_power(self, a: Atom, e: Any, mapping: Mapping[Name, Any]) -> Poly:
        key = (a, tuple(mapping.items()))
        if key not in self._renamed:
            self._renamed[key] = self._renamed_atom(a, mapping)
        return self.power(self._renamed[key], e)

    def _renamed_atom(self, a: Atom, mapping: Mapping[Name, Any]) -> Poly:
        new = lambda p: self.rename(p, mapping)  # noqa: E731
        match a.kind:
            case "sym":
                return self.as_poly(mapping[a.data[0]])
            case "leaf":
                return self.leaf(a.data[0], tuple(self._renamed_index(i, mapping) for i in a.data[1]))
            case "exp":
                return self.exponential(new(self.poly({a.data[0]: fmpq(1)})))
            case "base":
                return new(a.data[0])
            case "fun":
                return self.apply(a.data[0], *map(new, a.data[1]))
            case "sgn":
                return self.sign(new(a.data[0]))
            case "delta":
                return self.delta_of(new(a.data[0]))
            case "nonneg":
                return self.indicator(new(a.data[0]))
            case "sum":
                values = (self.as_poly(v).free for v in mapping.values())
                bound, powers, sign = self.opened(a, frozenset().union(*values))
                bound = {i: new(s) for i, s in bound.items()}
                self.ranges.update(bound)
                return self.scale(self._again(bound, self._renamed_mono(self.mono(powers), mapping)), sign)
            case _:
                body, first, size, *ends = a.data
                r, c = self.fresh(size), self.fresh(size)
                body = self.rename(body, {first: r, first + 1: c} | dict(mapping))
                ends = [self._renamed_index(i, mapping) for i in ends]
                return self.matrix(a.kind, body, r, c, new(size), *ends)

    def _renamed_index(self, i: Any, mapping: Mapping[Name, Any]) -> Any:
        return self.as_index(self.rename(i, mapping)) if isinstance(i, Poly) else mapping.get(i, i)

    def leaf(self, label: str, indices: tuple[Any, ...]) -> Poly:
        if label in self.symmetric:
            self.use(Symmetric(label))
            indices = tuple(sorted(indices, key=lambda i: self.as_poly(i).key))
        return self.single(self.atom("leaf", label, indices))


def _minuses(p: Poly) -> int:
    return sum(c < 0 for c in p.terms.values())
