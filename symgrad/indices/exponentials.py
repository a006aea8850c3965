"""Exponentials of matrices, and their derivatives.

Two kinds of atoms are enough: an entry of P**k exp(c P), for a matrix P and a scalar c, and an entry of the derivative
of exp(c P), the integral over s from 0 to 1 of exp(s c P)[i, p] exp((1 - s) c P)[q, j] (Higham, Functions of Matrices,
2008, equation 10.15).  What commutes with P goes through the integral.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from flint import fmpq

from symgrad.indices.normal_functions import exponential, factored, oriented
from symgrad.indices.polynomials import Atom, Name, Poly, Powers, Store, as_index, as_poly
from symgrad.indices.products import delta, indicator, multiply, multiply_all, power, product, substitute

Bound = dict[Name, Poly]
Open = tuple[Bound, Poly]  # a sum that is still to be taken


def exponential_of_matrix(store: Store, kind: str, body: Poly, row: Name, column: Name, size: Poly, *ends: Any) -> Poly:
    """An entry of ``body**k exp(c body)``, or of the derivative of ``exp(c body)``, for the matrix with this entry at
    the open indices (row, column).

    A scalar factor of the matrix goes to c, a multiple of the identity out of it; what is diagonal stays so.
    """
    c = as_poly(store, ends[-1])
    places = ends[: 4 if kind == "dexpm" else 2]
    k = as_poly(store, ends[2]).number if kind == "expm" else fmpq(0)
    identity = next(iter(delta(store, row, column).terms)).powers[0][0]
    diagonal = {store.mono({a: e for a, e in m.powers if a is not identity}): d
                for m, d in body.terms.items() if any(a is identity for a, _ in m.powers)}  # fmt: skip
    multiple = store.poly({m: d for m, d in diagonal.items() if not m.free & {row, column}})
    if multiple.terms and k == 0:
        rest = store.subtract(body, multiply(store, store.single(identity), multiple))
        inner = exponential_of_matrix(store, kind, rest, row, column, size, *ends)
        return multiply(store, exponential(store, multiply(store, c, multiple)), inner)
    if k == 0 and (not body.terms or not c.terms):  # the exponential of zeros
        return multiply_all(store, *(delta(store, *ij) for ij in zip(places[::2], places[1::2], strict=True)))
    if not body.terms:
        return store.zero
    if kind == "expm" and k == 0 and len(diagonal) == len(body.terms):
        at = substitute(store, substitute(store, store.poly(diagonal), {column: row}), {row: places[0]})
        return multiply(store, delta(store, *places), exponential(store, multiply(store, c, at)))
    inner, scale = _scaled(store, body, row, column)
    inner, first, ways = oriented(store, kind, inner, row, column, size, places)
    if kind == "dexpm":  # s may be called 1 - s
        ways = [way for each in ways for way in (each, [*each[2:], *each[:2]])]
    places = min(ways, key=lambda way: [as_poly(store, end).key for end in way])
    more = (store.constant(k),) if kind == "expm" else ()
    made = store.single(store.atom(kind, inner, first, size, *places, *more, multiply(store, c, scale)))
    return multiply(store, power(store, scale, k), made)


def _scaled(store: Store, body: Poly, row: Name, column: Name) -> tuple[Poly, Poly]:
    """A matrix and a scalar, which may be a sum, whose product is this matrix."""
    parts: dict[Any, dict[Any, Any]] = {}
    for m, d in body.terms.items():
        inside = store.mono({a: e for a, e in m.powers if a.free & {row, column}})
        parts.setdefault(inside, {})[store.mono({a: e for a, e in m.powers if not a.free & {row, column}})] = d
    scalars = {inside: store.poly(part) for inside, part in parts.items()}
    (scalar, *_), ratios = scalars.values(), {}
    one = next(iter(scalar.terms))
    for inside, other in scalars.items():
        ratios[inside] = other.terms.get(one, fmpq(0)) / scalar.terms[one]
        if not ratios[inside] or store.scale(scalar, ratios[inside]) is not other:
            scalar, ratios = store.one, body.terms
            break
    inner, outer, d = factored(store, store.poly(ratios), row, column)
    return inner, store.scale(multiply(store, scalar, outer), d)


def _remade(store: Store, a: Atom, i: Any, j: Any, k: Poly, c: Poly) -> Poly:
    """The entry (i, j) of P**k exp(c P), for the matrix P of an atom."""
    body, first, size, *_ = a.data
    r, s = store.fresh(size), store.fresh(size)
    body = substitute(store, body, {first: r, first + 1: s})
    return exponential_of_matrix(store, "expm", body, r, s, size, i, j, k, c)


# ------------------------------------------------------------------------------------------------- what commutes with P


def along(a: Atom) -> Iterator[tuple[int, Any, Any]]:
    """The two pairs of ends of a derivative that a direction may stand at, and which pair it is."""
    i, p, q, j, _ = a.data[3:]
    yield from ((1, p, q), (3, j, i))


def times_matrix(store: Store, a: Atom, side: int, k: Name) -> Poly:
    """Where P stands between the end on that ``side`` and k: P**(m + 1) exp(c P), or the derivative along P."""
    if a.kind == "expm":
        i, j, m, c = a.data[3:]
        return _remade(store, a, *((k, j) if side == 0 else (i, k)), store.add((m, store.one)), c)
    return _remade(store, a, *_across(a, side), store.one, a.data[-1])


def _across(a: Atom, side: int) -> tuple[Any, Any]:
    """The ends of a derivative that are left where a direction stands at the others."""
    i, p, q, j, _ = a.data[3:]
    return (i, j) if side == 1 else (q, p)


def commuted(store: Store, bound: Bound, powers: Powers) -> Open | None:
    """Exponentials of two multiples of one matrix P multiplied; the derivative of exp(c P) along the identity and along
    P**k exp(d P), which commute with P, taken."""
    exponentials = [a for a, e in powers.items() if e == 1 and a.kind == "expm"]
    for a, b in itertools.permutations(exponentials, 2):
        (*mine, i, k, m, c), (*theirs, l, j, n, d) = a.data, b.data  # noqa: E741
        if mine == theirs and k == l and _are_summed(bound, powers, {k}, {a, b}, a.data[2]):
            more, made = _times(store, a, i, j, int(store.add((m, n)).number), store.add((c, d)))
            return _instead(store, bound | more, powers, {k}, {a, b}, made)
    for a, e in powers.items():
        for side, p, q in along(a) if a.kind == "dexpm" and e == 1 else ():
            i, j = _across(a, side)
            size, c = a.data[2], a.data[-1]
            if p == q and _are_summed(bound, powers, {p}, {a}, size):
                return _instead(store, bound, powers, {p}, {a}, _remade(store, a, i, j, store.zero, c))
            for b in exponentials:
                if b.data[:3] == a.data[:3] and b.data[3:5] == (p, q):
                    k, d = b.data[5:]
                    if _are_summed(bound, powers, {p, q}, {a, b}, size):
                        made = _remade(store, a, i, j, k, store.add((c, d)))
                        return _instead(store, bound, powers, {p, q}, {a, b}, made)
    return None


def _times(store: Store, a: Atom, i: Any, j: Any, k: int, c: Poly) -> Open:
    """The entry (i, j) of P**k exp(c P), written as a product of matrices where c is zero."""
    if c.terms or not k:
        return {}, _remade(store, a, i, j, store.constant(k), c)
    body, first, size, *_ = a.data
    middle = {store.fresh(size): size for _ in range(k - 1)}
    store.ranges |= middle
    ends = [i, *middle, j]
    factors = (substitute(store, body, {first: x, first + 1: y}) for x, y in itertools.pairwise(ends))
    return middle, multiply_all(store, *factors)


def _are_summed(bound: Bound, powers: Powers, names: set[Any], atoms: set[Atom], size: Poly) -> bool:
    """Whether these are indices of sums of that length, and stand in these atoms alone."""
    if any(isinstance(x, Poly) or bound.get(x) is not size for x in names):
        return False
    return not any(names & b.free for b in powers if b not in atoms) and not any(names & s.free for s in bound.values())


def _instead(store: Store, bound: Bound, powers: Powers, names: set[Any], atoms: set[Atom], made: Poly) -> Open:
    """The sum with something in the place of these atoms, and of the sums over these names."""
    rest = product(store, {b: f for b, f in powers.items() if b not in atoms})
    return {x: s for x, s in bound.items() if x not in names}, multiply(store, made, rest)


# ----------------------------------------------------------------------------------------------- matrices of such kinds


def exponent_trace(store: Store, body: Poly, row: Name, column: Name, size: Poly) -> Open | None:
    """The trace of A, whose exponential is det exp(A), where the matrix is exp(A)."""
    only = body.only
    if only is None or only[1] != 1 or len(only[0].powers) != 1:
        return None
    (a, e), *_ = only[0].powers
    if a.kind != "expm" or e != 1 or {*a.data[3:5]} != {row, column} or a.data[5].terms or a.data[2] is not size:
        return None
    inner, first, _, *_, c = a.data
    place = store.fresh(size)
    store.ranges[place] = size
    return {place: size}, multiply(store, c, substitute(store, inner, {first: place, first + 1: place}))


def in_blocks(store: Store, body: Poly, row: Name, column: Name, size: Poly, *ends: Any) -> list[Open] | None:
    """exp of [[A, E], [0, A]] is exp(A) twice, and beside it the derivative of exp at A along E; of [[A, 0], [0, B]],
    it is exp(A) and exp(B) (Van Loan, Computing integrals involving the matrix exponential, 1978)."""
    half = store.scale(size, fmpq(1, 2))
    i, j, k, c = (as_poly(store, end) for end in ends)
    if k.terms or any(d.q != 1 for d in half.terms.values()):
        return None
    r, s = store.fresh(half), store.fresh(half)
    store.ranges |= {r: half, s: half}

    def block(x: int, y: int) -> Poly:
        places = ((row, r, x), (column, s, y))
        to = {end: as_index(store.add((store.symbol(new), store.scale(half, fmpq(z))))) for end, new, z in places}
        return substitute(store, body, to)

    first, last, above, below = block(0, 0), block(1, 1), block(0, 1), block(1, 0)
    if below.terms and not above.terms:  # the transpose
        first, last, above, below = (substitute(store, p, {r: s, s: r}) for p in (first, last, below, above))
        i, j = j, i
    if below.terms or (above.terms and first is not last):
        return None
    ahead = [indicator(store, store.subtract(store.subtract(half, store.one), x)) for x in (i, j)]
    behind = [store.subtract(store.one, u) for u in ahead]
    found: list[Open] = []
    for part, side, shift in ((first, ahead, store.zero), (last, behind, half)):
        if all(u.terms for u in side):
            places = (as_index(store.subtract(x, shift)) for x in (i, j))
            made = exponential_of_matrix(store, "expm", part, r, s, half, *places, k, c)
            found.append(({}, multiply_all(store, *side, made)))
    if above.terms and ahead[0].terms and behind[1].terms:
        p, q = store.fresh(half), store.fresh(half)
        store.ranges |= {p: half, q: half}
        places = (as_index(i), p, q, as_index(store.subtract(j, half)))
        slope = exponential_of_matrix(store, "dexpm", first, r, s, half, *places, c)
        here = substitute(store, above, {r: p, s: q})
        found.append(({p: half, q: half}, multiply_all(store, ahead[0], behind[1], slope, c, here)))
    return found
