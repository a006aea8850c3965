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
from itertools import combinations
from math import floor, lcm
from typing import Any

import sympy as sp
from flint import fmpq, fmpz

from symgrad.indices.polynomials import (
    Atom,
    Mono,
    Name,
    Poly,
    Powers,
    Store,
    as_index,
    as_poly,
    combination_of_one,
    factors,
    is_index,
    is_whole,
    never_negative,
    whole,
)
from symgrad.indices.signatures import blank, trail, weight
from symgrad.indices.terms import Positive

# ------------------------------------------------------------------------------------------------------------ products


def multiply(store: Store, p: Poly, q: Poly) -> Poly:
    total: dict[Mono, Any] = {}
    for m, c in p.terms.items():
        for n, d in q.terms.items():
            for r, f in product(store, _merged(dict(m.powers), n)).terms.items():
                total[r] = total.get(r, 0) + c * d * f
    store.spend(len(p.terms) * len(q.terms))
    return store.poly(total)


def multiply_all(store: Store, *polys: Poly) -> Poly:
    result = store.one
    for p in polys:
        result = multiply(store, result, p)
    return result


def product(store: Store, powers: Powers) -> Poly:
    """The product of these powers, simplified."""
    mono = store.mono({a: e for a, e in powers.items() if e})
    if mono not in store.products:
        store.spend()
        store.products[mono] = _product(store, mono)
    return store.products[mono]


def _product(store: Store, mono: Mono) -> Poly:
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
                rest = product(store, {b: f for b, f in powers.items() if f})
                inside: Poly = a.data[0]  # type: ignore[assignment]
                return multiply(store, store.scale(rest, number), power(store, inside, natural))
            case "fun" if e >= 2 and a.data[0] is sp.cos:
                sine = power(store, store.single(store.atom("fun", sp.sin, a.data[1])), 2)
                powers[a] = e - 2
                rest = product(store, {b: f for b, f in powers.items() if f})
                return multiply(store, rest, store.subtract(store.one, sine))
    powers = {a: e for a, e in powers.items() if e}
    clean = store.mono(powers)
    if clean is not mono:
        return store.scale(product(store, powers), number)
    for a in powers:
        if a.kind == "delta" and (contracted := _contract(store, a, powers)) is not None:
            return contracted
        elif a.kind == "chol" and (in_triangle := _in_triangle(store, a, powers)) is not None:
            return in_triangle
    for rule in (_cancel, _split):
        if (found := rule(store, powers)) is not None:
            return store.scale(found, number)
    return store.poly({mono: number})


def _contract(store: Store, delta: Atom, powers: Powers) -> Poly | None:
    """delta(i, k) f(i) = delta(i, k) f(k), for a free index i that stands elsewhere too."""
    solved = solve(store, delta, delta.free)
    rest = {a: e for a, e in powers.items() if a is not delta}
    if solved is None or not any(solved[0] in a.free for a in rest):
        return None
    name, value = solved
    moved = substitute(store, store.poly({store.mono(rest): fmpq(1)}), {name: as_index(value)})
    result = multiply(store, store.single(delta), moved)
    store.note("a sum of which one term is left", store.poly({store.mono(powers): fmpq(1)}), result)
    return result


def _in_triangle(store: Store, factor: Atom, powers: Powers) -> Poly | None:
    """L[i, j] [i >= j] = L[i, j] and L[i, j] [j >= i] = L[i, i] delta(i, j), for a lower triangle L."""
    i, j = (as_poly(store, end) for end in factor.data[3:])
    above = store.subtract(j, i)
    for a in powers:
        if a.kind != "nonneg" or powers[factor] < 1:
            continue
        rest = product(store, {b: f for b, f in powers.items() if b is not a})
        if a.data[0] is store.scale(above, fmpq(-1)):
            return rest
        if a.data[0] is above:
            return multiply(store, delta(store, as_index(i), as_index(j)), rest)
        if store.subtract(above, a.data[0]).number == 1:
            return store.zero
    return None


def solve(store: Store, delta: Atom, names: Any) -> tuple[Name, Poly] | None:
    """One of these index names (one of unknown range, if there is one), and its value where the delta is 1."""
    difference: Poly = delta.data[0]
    if not is_whole(difference):
        return None  # at n/2 there may be no index
    found = []
    for name in filter(is_index, names):
        m = store.mono({store.atom("sym", name): 1})
        c = difference.terms.get(m, 0)
        rest = store.poly({k: v for k, v in difference.terms.items() if k is not m})
        if c in (1, -1) and name not in rest.free:
            value = store.scale(rest, -c)
            minus = sum(d < 0 for d in value.terms.values())  # i + 1 rather than i - 1, whatever the names
            found.append(((name in store.ranges, minus, isinstance(name, sp.Symbol), str(name)), name, value))
    return min(found, key=lambda t: t[0])[1:] if found else None


# --------------------------------------------------------------------------------------------------------- denominators


def head(store: Store, p: Poly) -> Mono | None:
    """The monomial that stands for a polynomial in a cancellation.

    Names of indices play no part in the choice but by their order, so that putting a sum away and opening it again
    makes and unmakes no cancellation.
    """
    if p not in store.heads:
        ranks: dict[Any, list[Mono]] = {}
        for m in p.terms:
            ranks.setdefault((weight(m), blank(store, m)), []).append(m)
        same = ranks[max(ranks)] if ranks else []
        trails = sorted(((trail(store, m), m) for m in same), key=lambda pair: pair[0]) if len(same) > 1 else []
        if trails and trails[-1][0] == trails[-2][0]:
            store.heads[p] = None
        else:
            store.heads[p] = trails[-1][1] if trails else same[0] if same else None
    return store.heads[p]


def leading(store: Store, p: Poly) -> Mono:
    """The monomial whose sign is the sign that a polynomial is written with."""
    return head(store, p) or max(p.terms, key=lambda m: (weight(m), m.key))


def _cancel(store: Store, powers: Powers) -> Poly | None:
    """``L * P**e = (P**(e+1) - R * P**e) / c``, for the first P and its leading L that it applies to.

    Where an atom stands in a denominator too, and in all of P but a constant c, the same is done with L = 1.
    """
    for a, e in powers.items():
        if a.kind != "base" or e >= 0:
            continue
        p: Poly = a.data[0]
        lead = head(store, p)
        if lead is None or not all(_divides(f, powers.get(b, 0)) for b, f in lead.powers):
            if store.unit not in p.terms or not _shares_inverse(store, p, powers):
                continue
            lead = store.unit
        rest = dict(powers)
        for b, f in lead.powers:
            rest[b] -= f
        c = p.terms[lead]
        more = rest | {a: whole(e + 1)}
        first = product(store, {b: f for b, f in more.items() if f})
        second = (store.scale(product(store, _merged(rest, m)), -d / c) for m, d in p.terms.items() if m is not lead)
        result = store.add((store.scale(first, 1 / c), *second))
        store.note("a factor cancelled in a fraction", store.poly({store.mono(powers): fmpq(1)}), result)
        return result
    return None


def _split(store: Store, powers: Powers) -> Poly | None:
    """Partial fractions: 1/(P*Q) = u/Q + v/P, for P and Q in one and the same atom."""
    below = [(a, e) for a, e in powers.items() if a.kind == "base" and e < 0]
    for (a, e), (b, f) in combinations(below, 2):
        found = combination_of_one(store, a.data[0], b.data[0])
        if found is not None:
            u, v = found
            one = multiply(store, product(store, {**powers, a: whole(e + 1)}), u)
            two = multiply(store, product(store, {**powers, b: whole(f + 1)}), v)
            result = store.add((one, two))
            store.note("partial fractions", store.poly({store.mono(powers): fmpq(1)}), result)
            return result
    return None


def _shares_inverse(store: Store, p: Poly, powers: Powers) -> bool:
    rows = [dict(m.powers) for m in p.terms if m.powers]
    return any(e * row_end < 0 for a, e in powers.items() for row_end in _common_sign(a, rows))


# --------------------------------------------------------------------------------------------------------------- powers


def power(store: Store, p: Poly, e: Any) -> Poly:
    """``p**e`` for a rational e."""
    e = whole(e)
    if e == 0:
        return store.one
    if e == 1:
        return p
    if isinstance(e, int) and e > 0 and len(p.terms) > 1:
        half = power(store, p, e // 2)
        square = multiply(store, half, half)
        return multiply(store, square, p) if e % 2 else square
    if not p.terms:
        if e > 0:
            return store.zero
        raise ZeroDivisionError("a denominator is zero for all sizes")
    only = p.only
    return _power_of_term(store, *only, e) if only else _power_of_sum(store, p, e)


def _power_of_term(store: Store, m: Mono, c: Any, e: Any) -> Poly:
    if isinstance(e, int):
        return store.scale(product(store, {a: whole(f * e) for a, f in m.powers}), c**e)
    powers, left = positive_part(store, m)
    out = _number_power(store, abs(c), e)
    for a, f in powers.items():
        out = multiply(store, out, product(store, {a: whole(f * e)}))
    if not left and c > 0:
        return out
    if c > 0 and len(left) == 1:
        (a, f), *_ = left.items()
        if not isinstance(f, int) or f % 2:  # positive where the root is defined
            return multiply(store, out, product(store, {a: whole(f * e)}))
        if f % 2 == 0:
            root = power(store, absolute(store, store.single(a)), f * e)
            store.note("an even power under a root", store.single(store.atom("base", store.single(a, f)), e), root)
            return multiply(store, out, root)
    rest = store.poly({store.mono(left): fmpq(1 if c > 0 else -1)})
    return multiply(store, out, store.single(store.atom("base", rest), e))


def positive_part(store: Store, m: Mono) -> tuple[Powers, Powers]:
    """The powers of a monomial whose atoms are positive, and the others."""
    sure = {a: e for a, e in m.powers if _is_positive(store, a)}
    return sure, {a: e for a, e in m.powers if a not in sure}


def _number_power(store: Store, c: Any, e: Any) -> Poly:
    """A positive rational number to a rational power, over primes."""
    powers: Powers = {}
    for value, side in ((c.p, 1), (c.q, -1)):
        for prime, k in fmpz(value).factor() if value != 1 else ():
            powers[store.atom("num", int(prime))] = whole(side * int(k) * e)
    return product(store, powers)


def _power_of_sum(store: Store, p: Poly, e: Any) -> Poly:
    """Content first: the rational content, and the common atoms (for a root, those that are positive)."""
    content, common = common_part(store, p, every=isinstance(e, int))
    if common:
        inverse = product(store, {a: whole(-f) for a, f in common.items()})
        return multiply(
            store,
            product(store, {a: whole(f * e) for a, f in common.items()}),
            power(store, multiply(store, p, inverse), e),
        )
    p = store.scale(p, 1 / content)
    if isinstance(e, int) and (parts := factors(store, p)):
        whole_product = multiply_all(store, *(power(store, f, k) for f, k in parts))
        number = p.terms[leading(store, p)] / whole_product.terms[leading(store, p)]
        powers = (power(store, f, k * e) for f, k in parts)
        return store.scale(multiply_all(store, *powers), (content * number) ** e)
    side = fmpq(1)
    if isinstance(e, int) and p.terms[leading(store, p)] < 0:
        p, side = store.scale(p, fmpq(-1)), fmpq((-1) ** (e % 2))
    number = store.poly({store.unit: content**e}) if isinstance(e, int) else _number_power(store, content, e)
    return store.scale(multiply(store, number, product(store, {store.atom("base", p): e})), side)


def common_part(store: Store, p: Poly, *, every: bool) -> tuple[Any, Powers]:
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
        if least and a.kind != "num" and (every or _is_positive(store, a)):
            common[a] = least
    return content, common


# ---------------------------------------------------------------------------------------------------------------- signs


def _is_positive(store: Store, a: Atom) -> bool:
    match a.kind:
        case "exp" | "num":
            return True
        case "sym":
            name = a.data[0]
            return isinstance(name, sp.Symbol) and (bool(name.is_positive) or _is_declared(store, name.name))
        case "leaf":
            return _is_declared(store, a.data[0])
        case "chol":
            return a.data[3] is a.data[4]  # on the diagonal
        case "sum":
            return has_positive_terms(store, a.data[1]) and not any(_may_be_empty(store, size) for size in a.data[0])
        case "base":
            return all(c > 0 and has_positive_terms(store, m, even=True) for m, c in a.data[0].terms.items()) and any(
                has_positive_terms(store, m) for m in a.data[0].terms
            )
        case _:
            return False


def _is_declared(store: Store, label: str) -> bool:
    if label in store.positive_leaves:
        store.used.add(Positive(label))
    return label in store.positive_leaves


def _may_be_empty(store: Store, size: Poly) -> bool:
    return not never_negative(store, store.subtract(size, store.one))


def has_positive_terms(store: Store, m: Mono, *, even: bool = False) -> bool:
    """Whether a monomial is positive (with ``even``: not negative) for all values of its atoms."""
    return all(
        _is_positive(store, a)
        or (even and (e % 2 == 0 or (a.kind == "sum" and has_positive_terms(store, a.data[1], even=True))))
        for a, e in m.powers
    )


def absolute(store: Store, p: Poly) -> Poly:
    """|p| as p times its sign."""
    return multiply(store, p, sign(store, p))


def sign(store: Store, p: Poly) -> Poly:
    """The sign of p, multiplicative over monomials; where p is not zero its square is 1."""
    if not p.terms:
        return store.zero
    if len(p.terms) == 1:
        m, c = p.only or (store.unit, fmpq(1))
        out = store.constant(1 if c > 0 else -1)
        for a, e in m.powers:
            if not _is_positive(store, a) and e % 2 and a.kind != "sgn":
                out = multiply(store, out, store.single(store.atom("sgn", store.single(a))))
            elif a.kind == "sgn":
                out = multiply(store, out, store.single(a, e))
        return out
    content, common = common_part(store, p, every=True)
    if common:
        inverse = product(store, {a: whole(-f) for a, f in common.items()})
        signs = (sign(store, store.single(a, f)) for a, f in common.items())
        return multiply_all(store, sign(store, multiply(store, p, inverse)), *signs)
    p = store.scale(p, 1 / content)
    if p.terms[leading(store, p)] < 0:
        return store.scale(sign(store, store.scale(p, fmpq(-1))), fmpq(-1))
    base = store.atom("base", p)
    return store.one if _is_positive(store, base) else store.single(store.atom("sgn", p))


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


# -------------------------------------------------------------------------------------------------------- substitution


def substitute(store: Store, p: Poly, mapping: Mapping[Name, Any]) -> Poly:
    """The polynomial with names replaced by other names or by polynomials, and simplified again."""
    mapping = {k: v for k, v in mapping.items() if k in p.free and v is not k}
    if not mapping:
        return p
    key = (p, tuple(mapping.items()))
    if key not in store.substituted:
        store.spend(len(p.terms))
        store.substituted[key] = store.add(
            store.scale(substitute_factors(store, m, mapping), c) for m, c in p.terms.items()
        )
    return store.substituted[key]


def substitute_factors(store: Store, m: Mono, mapping: Mapping[Name, Any]) -> Poly:
    """The product of a monomial's factors, each made again where a name in it is replaced."""
    merged: Powers = {}
    c = fmpq(1)
    others: list[Poly] = []
    for a, e in m.powers:
        if a.free.isdisjoint(mapping):
            merged[a] = merged.get(a, 0) + e
            continue
        new = _remade(store, a, e, {k: v for k, v in mapping.items() if k in a.free})
        only = new.only
        if only is None:
            others.append(new)
            continue
        c *= only[1]
        for b, f in only[0].powers:
            merged[b] = merged.get(b, 0) + f
    together = product(store, {b: f for b, f in merged.items() if f})
    return store.scale(multiply_all(store, together, *others), c)


def _remade(store: Store, a: Atom, e: Any, mapping: Mapping[Name, Any]) -> Poly:
    key = (a, tuple(mapping.items()))
    if key not in store.substituted:
        store.substituted[key] = store.remake(store, a, mapping)
    return power(store, store.substituted[key], e)


# ---------------------------------------------------------------------------------------------------------- indicators
# Deltas and indicators of index values: 1 where two are equal, or where one is not negative; else 0.
#
# What holds for all sizes and all places of the indices in their ranges is decided here, and becomes the number 0 or 1.


def delta(store: Store, a: Any, b: Any) -> Poly:
    """1 where two index values are equal, else 0."""
    return delta_of(store, store.subtract(as_poly(store, a), as_poly(store, b)))


def delta_of(store: Store, p: Poly) -> Poly:
    if p.number is not None:
        return store.one if p.number == 0 else store.zero
    if p.terms[leading(store, p)] < 0:
        p = store.scale(p, fmpq(-1))
    positive = _is_at_least_one(store, p) or _is_at_least_one(store, store.scale(p, fmpq(-1)))
    return store.zero if positive else store.single(store.atom("delta", p))


def within(store: Store, a: Any, size: Poly) -> Poly:
    """1 where 0 <= a < size, else 0."""
    p = as_poly(store, a)
    return multiply(store, indicator(store, p), indicator(store, store.subtract(store.subtract(size, p), store.one)))


def indicator(store: Store, p: Poly) -> Poly:
    """1 where the integer ``p`` is at least 0, else 0; constants in ``p`` become deltas, signs a complement."""
    if never_negative(store, p):
        return store.one
    opposite = store.subtract(store.scale(p, fmpq(-1)), store.one)
    if never_negative(store, opposite):
        return store.zero
    if never_negative(store, store.scale(p, fmpq(-1))):  # nowhere more than 0
        return delta_of(store, p)
    if not is_whole(p):
        return store.single(store.atom("nonneg", p))
    shift = p.terms.get(store.unit, fmpq(0))
    q = store.subtract(p, store.constant(shift))
    lead = head(store, q)
    if lead is not None and q.terms[lead] < 0:  # not where names alone would decide: a complement is no mere sign
        return store.subtract(store.one, indicator(store, opposite))
    if shift == 0 or shift.q != 1 or abs(shift) > 4:
        return store.single(store.atom("nonneg", p))
    steps = range(1, int(shift) + 1) if shift > 0 else range(0, int(shift), -1)
    edge = store.add(delta_of(store, store.add((q, store.constant(t)))) for t in steps)
    return store.add((indicator(store, q), store.scale(edge, fmpq(1 if shift > 0 else -1))))


def _is_at_least_one(store: Store, p: Poly) -> bool:
    return never_negative(store, store.subtract(p, store.one))
