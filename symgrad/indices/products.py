"""Products and powers of polynomials, with what must be simplified as soon as two factors meet.

The rules, each true wherever both sides are defined:

* ``delta(i, k) f(i) = delta(i, k) f(k)``; deltas, indicators and signs are idempotent, or square to 1;
* ``P**e`` with e >= 1 is expanded; ``exp(a)**c`` keeps one generator;
* *cancel*: where P = c*L + R and L divides the numerator, ``L * P**e = (P**(e+1) - R * P**e) / c`` for e < 0.  With
  P = 1 + exp(z) these are partial fractions; with P a sum it is how a norm or a softmax cancels;
* powers of products are split, and logarithms too, only over factors that are positive; a square gives the absolute
  value.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations
from math import floor, lcm
from typing import Any

import sympy as sp
from flint import fmpq, fmpz

from symgrad.indices.canonical_labels import Labelling
from symgrad.indices.polynomials import Atom, Mono, Name, Poly, Powers, combination_of_one, factors, is_index, whole
from symgrad.indices.terms import Fact, Positive

__all__ = [
    "Indicators",
    "Products",
]


# ------------------------------------------------------------------------------------------------------------ products


class Products(Labelling):
    """Multiplication and powers."""

    def __init__(self, *, effort: int) -> None:
        super().__init__(effort=effort)
        self._products: dict[Mono, Poly] = {}
        self._heads: dict[Poly, Mono | None] = {}
        self.positive_leaves: set[str] = set()

    def rename(self, p: Poly, mapping: Mapping[Name, Any]) -> Poly:
        raise NotImplementedError

    def use(self, fact: Fact) -> None:
        raise NotImplementedError

    # products

    def multiply(self, p: Poly, q: Poly) -> Poly:
        total: dict[Mono, Any] = {}
        for m, c in p.terms.items():
            for n, d in q.terms.items():
                for r, f in self.product(_merged(dict(m.powers), n)).terms.items():
                    total[r] = total.get(r, 0) + c * d * f
        self.spend(len(p.terms) * len(q.terms))
        return self.poly(total)

    def multiply_all(self, *polys: Poly) -> Poly:
        result = self.one
        for p in polys:
            result = self.multiply(result, p)
        return result

    def product(self, powers: Powers) -> Poly:
        """The product of these powers, simplified."""
        mono = self.mono({a: e for a, e in powers.items() if e})
        if mono not in self._products:
            self.spend()
            self._products[mono] = self._product(mono)
        return self._products[mono]

    def _product(self, mono: Mono) -> Poly:
        powers = dict(mono.powers)
        number = fmpq(1)
        for a, e in mono.powers:
            match a.kind:
                case "delta" | "nonneg" if e != 1 and e > 0:
                    powers[a] = 1
                case "sgn" if e not in (0, 1):
                    powers[a] = e % 2
                case "num" if isinstance(a.data[0], int) and not 0 <= e < 1:
                    number *= fmpq(a.data[0]) ** floor(e)
                    powers[a] = whole(e - floor(e))
                case "base" if e >= 1:
                    natural = floor(e)
                    powers[a] = whole(e - natural)
                    rest = self.product({b: f for b, f in powers.items() if f})
                    inside: Poly = a.data[0]  # type: ignore[assignment]
                    return self.multiply(self.scale(rest, number), self.power(inside, natural))
                case "fun" if e >= 2 and a.data[0] is sp.cos:
                    sine = self.power(self.single(self.atom("fun", sp.sin, a.data[1])), 2)
                    powers[a] = e - 2
                    rest = self.product({b: f for b, f in powers.items() if f})
                    return self.multiply(rest, self.subtract(self.one, sine))
        powers = {a: e for a, e in powers.items() if e}
        clean = self.mono(powers)
        if clean is not mono:
            return self.scale(self.product(powers), number)
        for a in powers:
            if a.kind == "delta" and (contracted := self._contract(a, powers)) is not None:
                return contracted
        for rule in (self.cancel, self._split):
            if (found := rule(powers)) is not None:
                return self.scale(found, number)
        return self.poly({mono: number})

    def _contract(self, delta: Atom, powers: Powers) -> Poly | None:
        """delta(i, k) f(i) = delta(i, k) f(k), for a free index i that stands elsewhere too."""
        solved = self.solve(delta, delta.free)
        rest = {a: e for a, e in powers.items() if a is not delta}
        if solved is None or not any(solved[0] in a.free for a in rest):
            return None
        name, value = solved
        moved = self.rename(self.poly({self.mono(rest): fmpq(1)}), {name: self.as_index(value)})
        result = self.multiply(self.single(delta), moved)
        self.note("contract a delta", self.poly({self.mono(powers): fmpq(1)}), result)
        return result

    def solve(self, delta: Atom, names: Any) -> tuple[Name, Poly] | None:
        """One of these index names (one of unknown range, if there is one), and its value where the delta is 1."""
        difference: Poly = delta.data[0]
        if not self.is_whole(difference):
            return None  # at n/2 there may be no index
        found = []
        for name in filter(is_index, names):
            m = self.mono({self.atom("sym", name): 1})
            c = difference.terms.get(m, 0)
            rest = self.poly({k: v for k, v in difference.terms.items() if k is not m})
            if c in (1, -1) and name not in rest.free:
                value = self.scale(rest, -c)
                minus = sum(d < 0 for d in value.terms.values())  # i + 1 rather than i - 1, whatever the names
                found.append(((name in self.ranges, minus, isinstance(name, sp.Symbol), str(name)), name, value))
        return min(found, key=lambda t: t[0])[1:] if found else None

    # denominators

    def head(self, p: Poly) -> Mono | None:
        """The monomial that stands for a polynomial in a cancellation.

        Names of indices play no part in the choice but by their order, so that putting a sum away and opening it again
        makes and unmakes no cancellation.
        """
        if p not in self._heads:
            ranks: dict[Any, list[Mono]] = {}
            for m in p.terms:
                ranks.setdefault((self.weight(m), self.blank(m)), []).append(m)
            same = ranks[max(ranks)] if ranks else []
            trails = sorted(((self.trail(m), m) for m in same), key=lambda pair: pair[0]) if len(same) > 1 else []
            if trails and trails[-1][0] == trails[-2][0]:
                self._heads[p] = None
            else:
                self._heads[p] = trails[-1][1] if trails else same[0] if same else None
        return self._heads[p]

    def leading(self, p: Poly) -> Mono:
        """The monomial whose sign is the sign that a polynomial is written with."""
        return self.head(p) or max(p.terms, key=lambda m: (self.weight(m), m.key))

    def weight(self, m: Mono) -> Fraction:
        total = Fraction(0)
        for a, e in m.powers:
            size = abs(e) if a.kind == "exp" else e
            total += size * (self.weight(a.data[1]) if a.kind == "sum" else 0 if a.kind == "num" else 1)
        return total

    def cancel(self, powers: Powers) -> Poly | None:
        """``L * P**e = (P**(e+1) - R * P**e) / c``, for the first P and its leading L that it applies to.

        Where an atom stands in a denominator too, and in all of P but a constant c, the same is done with L = 1.
        """
        for a, e in powers.items():
            if a.kind != "base" or e >= 0:
                continue
            p: Poly = a.data[0]
            lead = self.head(p)
            if lead is None or not all(_divides(f, powers.get(b, 0)) for b, f in lead.powers):
                if self.unit not in p.terms or not self._shares_inverse(p, powers):
                    continue
                lead = self.unit
            rest = dict(powers)
            for b, f in lead.powers:
                rest[b] -= f
            c = p.terms[lead]
            more = rest | {a: whole(e + 1)}
            first = self.product({b: f for b, f in more.items() if f})
            second = (self.scale(self.product(_merged(rest, m)), -d / c) for m, d in p.terms.items() if m is not lead)
            result = self.add((self.scale(first, 1 / c), *second))
            self.note("cancel a denominator", self.poly({self.mono(powers): fmpq(1)}), result)
            return result
        return None

    def _split(self, powers: Powers) -> Poly | None:
        """Partial fractions: 1/(P*Q) = u/Q + v/P, for P and Q in one and the same atom."""
        below = [(a, e) for a, e in powers.items() if a.kind == "base" and e < 0]
        for (a, e), (b, f) in combinations(below, 2):
            found = combination_of_one(self, a.data[0], b.data[0])
            if found is not None:
                u, v = found
                one = self.multiply(self.product({**powers, a: whole(e + 1)}), u)
                two = self.multiply(self.product({**powers, b: whole(f + 1)}), v)
                result = self.add((one, two))
                self.note("partial fractions", self.poly({self.mono(powers): fmpq(1)}), result)
                return result
        return None

    def _shares_inverse(self, p: Poly, powers: Powers) -> bool:
        rows = [dict(m.powers) for m in p.terms if m.powers]
        return any(e * row_end < 0 for a, e in powers.items() for row_end in _common_sign(a, rows))

    # powers

    def power(self, p: Poly, e: Any) -> Poly:
        """``p**e`` for a rational e."""
        e = whole(e)
        if e == 0:
            return self.one
        if e == 1:
            return p
        if isinstance(e, int) and e > 0 and len(p.terms) > 1:
            half = self.power(p, e // 2)
            square = self.multiply(half, half)
            return self.multiply(square, p) if e % 2 else square
        if not p.terms:
            if e > 0:
                return self.zero
            raise ZeroDivisionError("a denominator is zero for all sizes")
        only = p.only
        return self._power_of_term(*only, e) if only else self._power_of_sum(p, e)

    def _power_of_term(self, m: Mono, c: Any, e: Any) -> Poly:
        if isinstance(e, int):
            return self.scale(self.product({a: whole(f * e) for a, f in m.powers}), c**e)
        powers, left = self._positive_part(m)
        out = self.number_power(abs(c), e)
        for a, f in powers.items():
            out = self.multiply(out, self.product({a: whole(f * e)}))
        if not left and c > 0:
            return out
        if c > 0 and len(left) == 1:
            (a, f), *_ = left.items()
            if not isinstance(f, int) or f % 2:  # positive where the root is defined
                return self.multiply(out, self.product({a: whole(f * e)}))
            if f % 2 == 0:
                root = self.power(self.absolute(self.single(a)), f * e)
                self.note("an even power under a root", self.single(self.atom("base", self.single(a, f)), e), root)
                return self.multiply(out, root)
        rest = self.poly({self.mono(left): fmpq(1 if c > 0 else -1)})
        return self.multiply(out, self.single(self.atom("base", rest), e))

    def _positive_part(self, m: Mono) -> tuple[Powers, Powers]:
        """The powers of a monomial whose atoms are positive, and the others."""
        sure = {a: e for a, e in m.powers if self.is_positive(a)}
        return sure, {a: e for a, e in m.powers if a not in sure}

    def number_power(self, c: Any, e: Any) -> Poly:
        """A positive rational number to a rational power, over primes."""
        powers: Powers = {}
        for value, sign in ((c.p, 1), (c.q, -1)):
            for prime, k in fmpz(value).factor() if value != 1 else ():
                powers[self.atom("num", int(prime))] = whole(sign * int(k) * e)
        return self.product(powers)

    def _power_of_sum(self, p: Poly, e: Any) -> Poly:
        """Content first: the rational content, and the common atoms (for a root, those that are positive)."""
        content, common = self.content(p, every=isinstance(e, int))
        if common:
            inverse = self.product({a: whole(-f) for a, f in common.items()})
            return self.multiply(
                self.product({a: whole(f * e) for a, f in common.items()}), self.power(self.multiply(p, inverse), e)
            )
        p = self.scale(p, 1 / content)
        if isinstance(e, int) and (parts := factors(self, p)):
            whole_product = self.multiply_all(*(self.power(f, k) for f, k in parts))
            number = p.terms[self.leading(p)] / whole_product.terms[self.leading(p)]
            powers = (self.power(f, k * e) for f, k in parts)
            return self.scale(self.multiply_all(*powers), (content * number) ** e)
        sign = fmpq(1)
        if isinstance(e, int) and p.terms[self.leading(p)] < 0:
            p, sign = self.scale(p, fmpq(-1)), fmpq((-1) ** (e % 2))
        number = self.poly({self.unit: content**e}) if isinstance(e, int) else self.number_power(content, e)
        return self.scale(self.multiply(number, self.product({self.atom("base", p): e})), sign)

    def content(self, p: Poly, *, every: bool) -> tuple[Any, Powers]:
        """The positive rational content of a polynomial, and its common powers of (positive) atoms."""
        numbers = list(p.terms.values())
        top = fmpz(0)
        for c in numbers:
            top = top.gcd(fmpz(c.p))
        content = fmpq(top, lcm(*(int(c.q) for c in numbers)))
        common: Powers = {}
        rows = [dict(m.powers) for m in p.terms]
        for a in {a for row in rows for a in row}:
            ends = max if a.kind == "exp" else min  # so that a sigmoid, 1/(1 + exp(-z)), is one term
            least = ends(row.get(a, 0) for row in rows)
            if least and a.kind != "num" and (every or self.is_positive(a)):
                common[a] = least
        return content, common

    # signs

    def is_positive(self, a: Atom) -> bool:
        match a.kind:
            case "exp" | "num":
                return True
            case "sym":
                name = a.data[0]
                return isinstance(name, sp.Symbol) and (bool(name.is_positive) or self._is_declared(name.name))
            case "leaf":
                return self._is_declared(a.data[0])
            case "sum":
                return self.has_positive_terms(a.data[1]) and not any(map(self.may_be_empty, a.data[0]))
            case "base":
                return all(c > 0 and self.has_positive_terms(m, even=True) for m, c in a.data[0].terms.items()) and any(
                    self.has_positive_terms(m) for m in a.data[0].terms
                )
            case _:
                return False

    def _is_declared(self, label: str) -> bool:
        if label in self.positive_leaves:
            self.use(Positive(label))
        return label in self.positive_leaves

    def may_be_empty(self, size: Poly) -> bool:
        return not self.never_negative(self.subtract(size, self.one))

    def has_positive_terms(self, m: Mono, *, even: bool = False) -> bool:
        """Whether a monomial is positive (with ``even``: not negative) for all values of its atoms."""
        return all(
            self.is_positive(a)
            or (even and (e % 2 == 0 or (a.kind == "sum" and self.has_positive_terms(a.data[1], even=True))))
            for a, e in m.powers
        )

    def absolute(self, p: Poly) -> Poly:
        """|p| as p times its sign."""
        return self.multiply(p, self.sign(p))

    def sign(self, p: Poly) -> Poly:
        """The sign of p, multiplicative over monomials; where p is not zero its square is 1."""
        if not p.terms:
            return self.zero
        if len(p.terms) == 1:
            m, c = p.only or (self.unit, fmpq(1))
            out = self.constant(1 if c > 0 else -1)
            for a, e in m.powers:
                if not self.is_positive(a) and e % 2 and a.kind != "sgn":
                    out = self.multiply(out, self.single(self.atom("sgn", self.single(a))))
                elif a.kind == "sgn":
                    out = self.multiply(out, self.single(a, e))
            return out
        content, common = self.content(p, every=True)
        if common:
            inverse = self.product({a: whole(-f) for a, f in common.items()})
            signs = (self.sign(self.single(a, f)) for a, f in common.items())
            return self.multiply_all(self.sign(self.multiply(p, inverse)), *signs)
        p = self.scale(p, 1 / content)
        if p.terms[self.leading(p)] < 0:
            return self.scale(self.sign(self.scale(p, fmpq(-1))), fmpq(-1))
        base = self.atom("base", p)
        return self.one if self.is_positive(base) else self.single(self.atom("sgn", p))


def _divides(part: Any, whole_exponent: Any) -> bool:
    """Whether a power of an atom is a factor of another; of an exponential, with a negative exponent too."""
    return 0 < part <= whole_exponent or whole_exponent <= part < 0


def _common_sign(a: Atom, rows: list[Powers]) -> list[int]:
    """[1] or [-1] where the atom stands in all the rows with a positive, or a negative, exponent; else []."""
    found = [row.get(a, 0) for row in rows]
    return [1] if min(found) > 0 else [-1] if max(found) < 0 else []


def _merged(powers: Powers, m: Mono) -> Powers:
    merged = dict(powers)
    for a, e in m.powers:
        merged[a] = merged.get(a, 0) + e
    return {a: e for a, e in merged.items() if e}


# ---------------------------------------------------------------------------------------------------------- indicators
# Deltas and indicators of index values: 1 where two are equal, or where one is not negative; else 0.
#
# What holds for all sizes and all places of the indices in their ranges is decided here, and becomes the number 0 or 1.


class Indicators(Products):
    """Functions of index values that are 0 or 1."""

    def delta(self, a: Any, b: Any) -> Poly:
        """1 where two index values are equal, else 0."""
        return self.delta_of(self.subtract(self.as_poly(a), self.as_poly(b)))

    def delta_of(self, p: Poly) -> Poly:
        if p.number is not None:
            return self.one if p.number == 0 else self.zero
        if p.terms[self.leading(p)] < 0:
            p = self.scale(p, fmpq(-1))
        positive = self.is_at_least_one(p) or self.is_at_least_one(self.scale(p, fmpq(-1)))
        return self.zero if positive else self.single(self.atom("delta", p))

    def within(self, a: Any, size: Poly) -> Poly:
        """1 where 0 <= a < size, else 0."""
        p = self.as_poly(a)
        return self.multiply(self.indicator(p), self.indicator(self.subtract(self.subtract(size, p), self.one)))

    def indicator(self, p: Poly) -> Poly:
        """1 where the integer ``p`` is at least 0, else 0; constants in ``p`` become deltas, signs a complement."""
        if self.never_negative(p):
            return self.one
        opposite = self.subtract(self.scale(p, fmpq(-1)), self.one)
        if self.never_negative(opposite):
            return self.zero
        if not self.is_whole(p):
            return self.single(self.atom("nonneg", p))
        shift = p.terms.get(self.unit, fmpq(0))
        q = self.subtract(p, self.constant(shift))
        lead = self.head(q)
        if lead is not None and q.terms[lead] < 0:  # not where names alone would decide: a complement is no mere sign
            return self.subtract(self.one, self.indicator(opposite))
        if shift == 0 or shift.q != 1 or abs(shift) > 4:
            return self.single(self.atom("nonneg", p))
        steps = range(1, int(shift) + 1) if shift > 0 else range(0, int(shift), -1)
        edge = self.add(self.delta_of(self.add((q, self.constant(t)))) for t in steps)
        return self.add((self.indicator(q), self.scale(edge, fmpq(1 if shift > 0 else -1))))

    def is_at_least_one(self, p: Poly) -> bool:
        return self.never_negative(self.subtract(p, self.one))
