"""Scalar functions and matrix heads in normal form: one generator for each exponential, logarithm, sign and matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp
from flint import fmpq, fmpz

from symgrad.indices.polynomials import Atom, Name, Poly, Powers, Store, as_poly, rational, transposed, whole
from symgrad.indices.products import (
    absolute,
    common_part,
    delta,
    leading,
    multiply,
    positive_part,
    power,
    product,
    sign,
    substitute,
)
from symgrad.indices.terms import RELU, STEP


def apply(store: Store, head: Any, *args: Poly) -> Poly:
    """A function of polynomials, by its rule if it has one, else as one more atom."""
    rule = _RULES.get(head)
    if head is sp.tanh and not store.deep:
        return _odd_function(store, head, args[0])
    return rule(store, *args) if rule else opaque(store, head, *args)


def opaque(store: Store, head: Any, *args: Poly) -> Poly:
    return store.single(store.atom("fun", head, args))


def _leading_sign(store: Store, p: Poly) -> tuple[Poly, int]:
    """``p`` or ``-p``, whichever is written with a leading plus."""
    if p.terms and p.terms[leading(store, p)] < 0:
        return store.scale(p, fmpq(-1)), -1
    return p, 1


def _odd_function(store: Store, head: Any, p: Poly) -> Poly:
    q, s = _leading_sign(store, p)
    return store.scale(opaque(store, head, q), fmpq(s)) if q.terms else store.zero


# ------------------------------------------------------------------------------------------ exponentials and logarithms


def exponential(store: Store, p: Poly) -> Poly:
    """exp of a sum as a product of powers, one atom for each monomial; exp(c log x) = x**c."""
    out = store.one
    for m, c in p.terms.items():
        (a, e), *more = m.powers or ((None, 0),)
        if a is not None and e == 1 and not more and a.kind == "fun" and a.data[0] is sp.log:
            value = power(store, a.data[1][0], c)
            store.note("the exponential of a logarithm", store.single(store.atom("exp", m), whole(c)), value)
            out = multiply(store, out, value)
        elif a is not None and e == 1 and not more and a.kind == "logdet":
            det = store.single(store.atom("det", *a.data))
            out = multiply(store, out, power(store, absolute(store, det), c))
        else:
            out = multiply(store, out, power(store, store.single(store.atom("exp", m)), c))
    return out


def logarithm(store: Store, p: Poly) -> Poly:
    """log of a product, split over the factors that are positive; an even power gives an absolute value."""
    if len(p.terms) != 1:
        return _logarithm_of_sum(store, p)
    m, c = p.only or (store.unit, fmpq(1))
    sure, left = positive_part(store, m)
    parts = [_logarithm_of_number(store, abs(c))]
    for a, e in sure.items():
        parts.append(_logarithm_of_power(store, a, e))
    rest: Powers = {}
    for a, e in left.items():
        if isinstance(e, int) and e % 2:
            rest[a] = e
        elif isinstance(e, int):
            size = absolute(store, store.single(a))
            parts.append(store.scale(opaque(store, sp.log, size), fmpq(e)))
        else:
            parts.append(_logarithm_of_power(store, a, e))
    if c < 0 or rest:
        parts.append(_logarithm_of_rest(store, rest, c))
    if len(sure) + len(left) > 1 or abs(c) != 1:
        whole_log = opaque(store, sp.log, p)
        store.note("log of a product with positive factors", whole_log, store.add(parts))
    return store.add(parts)


def _logarithm_of_rest(store: Store, rest: Powers, c: Any) -> Poly:
    if c > 0 and len(rest) == 1:
        (a, e), *_ = rest.items()
        if e != 1:  # the power is odd and positive, so the base is positive
            return store.scale(logarithm(store, store.single(a)), rational(e))
        if a.kind == "det":
            return store.single(store.atom("logdet", *a.data))
        if a.kind == "sgn":
            return store.zero
    return opaque(store, sp.log, store.poly({store.mono(rest): fmpq(1 if c > 0 else -1)}))


def _logarithm_of_power(store: Store, a: Atom, e: Any) -> Poly:
    factor = rational(e)
    match a.kind:
        case "exp":
            return store.poly({a.data[0]: factor})
        case "base":
            return store.scale(opaque(store, sp.log, a.data[0]), factor)
        case _:
            return store.scale(opaque(store, sp.log, store.single(a)), factor)


def _logarithm_of_number(store: Store, c: Any) -> Poly:
    parts = [store.zero]
    for value, side in ((c.p, 1), (c.q, -1)):
        for prime, k in fmpz(value).factor() if value != 1 else ():
            parts.append(store.scale(opaque(store, sp.log, store.constant(prime)), fmpq(side * int(k))))
    return store.add(parts)


def _logarithm_of_sum(store: Store, p: Poly) -> Poly:
    content, common = common_part(store, p, every=False)
    if common:
        inverse = product(store, {a: -e for a, e in common.items()})
        logs = (_logarithm_of_power(store, a, e) for a, e in common.items())
        return store.add((logarithm(store, multiply(store, p, inverse)), *logs))
    rest = opaque(store, sp.log, store.scale(p, 1 / content))
    return store.add((_logarithm_of_number(store, content), rest))


def step(store: Store, p: Poly) -> Poly:
    """1 for p > 0, else 0: (1 + sign p) / 2 where p is not zero."""
    if p.number is not None:
        return store.one if p.number > 0 else store.zero
    return store.scale(store.add((store.one, sign(store, p))), fmpq(1, 2))


# ------------------------------------------------------------------------------------------------------------- matrices


def matrix(store: Store, kind: str, body: Poly, row: Name, column: Name, size: Poly, *ends: Any) -> Poly:
    """An entry of an inverse, or a determinant, of the matrix with this entry at the open indices (row, column)."""
    if kind == "inv" and (simple := _simple_inverse(store, body, row, column, size, *ends)) is not None:
        return simple
    if kind == "chol":
        first = max(body.height, size.height)
        body = substitute(store, body, {row: first, column: first + 1})
        return store.single(store.atom(kind, body, first, size, *ends))
    if not body.terms:
        if kind == "det":
            return store.zero
        raise ZeroDivisionError("a matrix of zeros is not invertible")
    inner, outer, c = factored(store, body, row, column)
    if outer is not store.one or c != 1:
        factor = store.scale(outer, c)
        rest = matrix(store, kind, inner, row, column, size, *ends)
        match kind:
            case "inv":
                return multiply(store, power(store, factor, -1), rest)
            case "logdet":
                return store.add((multiply(store, size, logarithm(store, absolute(store, factor))), rest))
    body, first, (way, *_) = oriented(store, kind, body, row, column, size, ends)
    return store.single(store.atom(kind, body, first, size, *way))


def oriented(
    store: Store, kind: str, body: Poly, row: Name, column: Name, size: Poly, ends: Sequence[Any]
) -> tuple[Poly, int, list[Sequence[Any]]]:
    """The matrix or its transpose, whichever is written first; its first index; and the ends as they are to stand, a
    symmetric matrix's both ways, the first way first."""
    first = max(body.height, size.height)
    ways = [substitute(store, body, {row: first + k, column: first + 1 - k}) for k in (0, 1)]
    other = transposed(kind, ends) if ends else ends
    if ways[0] is ways[1]:
        return ways[0], first, sorted([ends, other], key=lambda way: [as_poly(store, end).key for end in way])
    turned = ways[1].key < ways[0].key
    return ways[turned], first, [other if turned else ends]


def factored(store: Store, body: Poly, row: Name, column: Name) -> tuple[Poly, Poly, Any]:
    """The matrix, and a factor of all its entries that depends on neither index."""
    content, common = common_part(store, body, every=True)
    if body.terms and body.terms[leading(store, body)] < 0:
        content = -content
    common = {a: e for a, e in common.items() if not a.free & {row, column}}
    inverse = store.scale(product(store, {a: -e for a, e in common.items()}), 1 / content)
    return multiply(store, body, inverse), product(store, common), content


def _simple_inverse(store: Store, body: Poly, row: Name, column: Name, size: Poly, i: Any, j: Any) -> Poly | None:
    """The inverse of an inverse, of an exponential, and of a diagonal matrix."""
    only = body.only
    if only is None:
        return None
    m, c = only
    for a, e in m.powers:
        if e == 1 and a.kind in ("inv", "expm") and set(a.data[3:5]) == {row, column} and len(m.powers) == 1:
            inner, first, *_ = a.data
            at = {row: i, column: j}
            r, s = (at[end] for end in a.data[3:5])
            if a.kind == "inv":
                return store.scale(substitute(store, inner, {first: r, first + 1: s}), 1 / c)
            if not a.data[5].terms:
                opposite = store.atom("expm", *a.data[:3], r, s, a.data[5], store.scale(a.data[6], fmpq(-1)))
                return store.scale(store.remake(store, opposite, {}), 1 / c)
        if a.kind == "delta" and a is next(iter(delta(store, row, column).terms)).powers[0][0]:
            rest = product(store, {b: f for b, f in m.powers if b is not a})
            diagonal = substitute(store, substitute(store, rest, {column: row}), {row: i})
            return multiply(store, delta(store, i, j), power(store, store.scale(diagonal, c), -1))
    return None


# --------------------------------------------------------------------------------------------------- by other functions


def _tanh(store: Store, z: Poly) -> Poly:
    square = exponential(store, store.scale(z, fmpq(2)))
    return store.subtract(store.one, store.scale(power(store, store.add((store.one, square)), -1), fmpq(2)))


def _hyperbolic(side: int) -> Callable[[Store, Poly], Poly]:
    def rule(store: Store, z: Poly) -> Poly:
        minus = exponential(store, store.scale(z, fmpq(-1)))
        return store.scale(store.add((exponential(store, z), store.scale(minus, fmpq(side)))), fmpq(1, 2))

    return rule


def _over(top: Any, bottom: Any) -> Callable[[Store, Poly], Poly]:
    def rule(store: Store, z: Poly) -> Poly:
        above = apply(store, top, z) if top else store.one
        return multiply(store, above, power(store, apply(store, bottom, z), -1))

    return rule


_RULES: dict[Any, Callable[..., Poly]] = {
    sp.log: logarithm,
    sp.tanh: _tanh,
    sp.sinh: _hyperbolic(-1),
    sp.cosh: _hyperbolic(1),
    sp.sech: _over(None, sp.cosh),
    sp.csch: _over(None, sp.sinh),
    sp.coth: _over(sp.cosh, sp.sinh),
    sp.tan: _over(sp.sin, sp.cos),
    sp.sec: _over(None, sp.cos),
    sp.csc: _over(None, sp.sin),
    sp.cot: _over(sp.cos, sp.sin),
    sp.sin: lambda store, z: _odd_function(store, sp.sin, z),
    sp.cos: lambda store, z: opaque(store, sp.cos, _leading_sign(store, z)[0]) if z.terms else store.one,
    sp.atan: lambda store, z: _odd_function(store, sp.atan, z),
    sp.asin: lambda store, z: _odd_function(store, sp.asin, z),
    sp.erf: lambda store, z: _odd_function(store, sp.erf, z),
    sp.erfc: lambda store, z: store.subtract(store.one, _odd_function(store, sp.erf, z)),
    sp.Abs: absolute,
    sp.sign: sign,
    STEP: step,
    sp.Heaviside: lambda store, z, *_: step(store, z),
    sp.DiracDelta: lambda store, *_: store.zero,  # away from 0, as the derivative of a step
    RELU: lambda store, z: multiply(store, z, step(store, z)),
}
