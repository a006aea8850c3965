"""Bodies read into polynomials, and polynomials written as bodies again.

The normal form of a body: the same for all ways to write it that the rules of this room know.

>>> import sympy as sp
>>> from symgrad.indices.terms import EXP
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n = sp.Symbol("n", integer=True, positive=True)
>>> i, j, p = sp.symbols("i j p", integer=True)
>>> x, A = tensor("x", n), tensor("A", n, n)
>>> left = IndexSum(IndexSum(x[i] * A[i, j] * x[j], i, n), j, n)
>>> right = IndexSum(x[p] * IndexSum(A[p, i] * x[i], i, n), p, n)
>>> store = make_store(effort=EFFORT)
>>> declare(store, [left, right], {})
>>> read(store, left) is read(store, right)
True
>>> write(store, read(store, 1 / (1 + EXP(-x[p])) + 1 / (1 + EXP(x[p]))))
1
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.errors import BadFormula
from symgrad.indices.normal_functions import apply, exponential, logarithm, opaque, step
from symgrad.indices.polynomials import Atom, Mono, Name, Poly, Store, as_index, is_index, never_negative
from symgrad.indices.products import (
    delta,
    has_positive_terms,
    indicator,
    multiply,
    multiply_all,
    power,
    substitute,
    within,
)
from symgrad.indices.sums import leaf, matrix_term, remake, sum_over
from symgrad.indices.terms import (
    EXP,
    Cholesky,
    Det,
    ExponentialSlope,
    Fact,
    IndexProduct,
    IndexSum,
    Inverse,
    LogDet,
    Matrix,
    MatrixExponential,
    Within,
    free_ranges,
    fresh,
    rename,
)

EFFORT = 100_000


# ------------------------------------------------------------------------------------------------------------- reading

_NEEDS: dict[Any, str] = {
    Inverse: "is invertible",
    Cholesky: "is positive definite",
    Det: "is not singular",
    LogDet: "is not singular",
}
_KINDS: dict[Any, str] = {
    Inverse: "inv",
    Cholesky: "chol",
    MatrixExponential: "expm",
    ExponentialSlope: "dexpm",
    Det: "det",
    LogDet: "logdet",
}


def make_store(*, facts: Iterable[Fact] = (), effort: int, deep: bool = True) -> Store:
    """An empty Store that knows all rules of this room, and these facts; with ``deep``, tanh is written in exp."""
    return Store(remake, facts=facts, effort=effort, deep=deep)


def declare(store: Store, bodies: Iterable[Any], sizes: Mapping[Any, Any]) -> None:
    """Where free indices run: as told, else over the one axis of leaves that they stand in."""
    bodies = tuple(bodies)
    store.free_names = set().union(*(sp.sympify(e).free_symbols for e in bodies))
    for index, size in sizes.items():
        store.ranges[index] = read(store, size)
    for index, axes in free_ranges(bodies).items():
        spans = {read(store, size) for size in axes}
        if index not in sizes and len(spans) == 1:
            store.ranges[index] = spans.pop()


def read(store: Store, e: Any) -> Poly:
    """A body as a polynomial, and what has to be so for it to have a value among the store's conditions."""
    e = sp.sympify(e)
    if e not in store.bodies:
        store.bodies[e] = _of(store, e)
    return store.bodies[e]


def _of(store: Store, e: Any) -> Poly:
    match e:
        case sp.Rational():
            return store.constant(fmpq(e.p, e.q))
        case sp.Float():
            return read(store, sp.Rational(e))  # its exact binary value
        case sp.NumberSymbol():
            return exponential(store, store.one) if e is sp.E else store.single(store.atom("num", e))
        case sp.Symbol():
            return store.symbol(e)
        case sp.Indexed():
            return _of_leaf(store, e)
        case sp.Add():
            return store.add([read(store, a) for a in e.args])
        case sp.Mul():
            return multiply_all(store, *(read(store, a) for a in sorted(e.args, key=_size)))
        case sp.Pow():
            return _of_power(store, e.base, e.exp)
        case sp.exp() | EXP():
            return exponential(store, read(store, e.args[0]))
        case IndexSum():
            size = read(store, e.size)
            _require_at_least_zero(store, size)
            index, body = _bound(store, e.index, size, e.body)
            return sum_over(store, {index: size}, read(store, body))
        case IndexProduct():
            return _of_product(store, e)
        case Matrix():
            return _of_matrix(store, e)
        case sp.KroneckerDelta():
            return delta(store, *(as_index(read(store, a)) for a in e.args[:2]))
        case Within():
            return within(store, *(read(store, a) for a in e.args))
        case sp.Max():
            return _greatest(store, [read(store, a) for a in e.args], 1)
        case sp.Min():
            return _greatest(store, [read(store, a) for a in e.args], -1)
        case sp.Piecewise():
            return _of_choice(store, e)
        case sp.Function() if not isinstance(e, sp.core.function.AppliedUndef):
            return _of_function(store, e)
    raise BadFormula(f"{e} ({type(e).__name__}) has no reading in index notation")


def _of_product(store: Store, e: Any) -> Poly:
    """exp of the sum of the logarithms, where all factors are positive; what a delta singles out stands outside."""
    size = read(store, e.size)
    for delta_ in e.body.atoms(sp.KroneckerDelta):
        place = next((k for k in delta_.args if k is not e.index), None)
        if e.index in delta_.args and isinstance(place, sp.Symbol) and store.ranges.get(place) is size:
            singled, others = (e.body.xreplace({delta_: sp.Integer(k)}) for k in (1, 0))
            rest = IndexProduct(others, e.index, e.size) / rename(others, {e.index: place})
            return read(store, rename(singled, {e.index: place}) * rest)
    _require_at_least_zero(store, size)
    index, body = _bound(store, e.index, size, e.body)
    p = read(store, body)
    _require(store, "is positive", body, p)
    return exponential(store, sum_over(store, {index: size}, logarithm(store, p)))


def _of_leaf(store: Store, e: Any) -> Poly:
    label = str(e.base.label)
    if store.bases.setdefault(label, e.base) != e.base:
        raise BadFormula(f"{label} is used with two shapes or kinds: {store.bases[label].shape} and {e.base.shape}")
    if label not in store.shapes:
        shape = e.base.shape if e.base.shape is not None else (None,) * len(e.indices)
        store.shapes[label] = tuple(None if s is None else read(store, s) for s in shape)
        if e.is_positive:
            store.positive_leaves.add(label)
    places = [read(store, i) for i in e.indices]
    for place, size in zip(places, store.shapes[label], strict=True):
        if size is not None and not any(map(is_index, place.free)):
            _require_at_least_zero(store, store.subtract(store.subtract(size, place), store.one))
    return leaf(store, label, tuple(map(as_index, places)))


def _require_at_least_zero(store: Store, size: Poly) -> None:
    """A sum has no negative number of terms, and an entry at a fixed place is there only where the axis is long."""
    if not any(map(is_index, size.free)) and not never_negative(store, size):
        store.conditions["is not negative", write(store, size)] = None


def _of_power(store: Store, base: Any, exponent: Any) -> Poly:
    if base is sp.E:
        return exponential(store, read(store, exponent))
    p = read(store, base)
    if exponent.is_Rational:
        if not exponent.is_Integer:
            _require(store, "is positive" if exponent < 0 else "is not negative", base, p)
        elif exponent < 0:
            _require(store, "is not zero", base, p)
        if not p.terms and exponent < 0:
            raise BadFormula(f"{base} is zero, and stands in a denominator")
        return power(store, p, fmpq(exponent.p, exponent.q))
    if exponent.is_integer:
        constant, rest = exponent.as_coeff_Add()
        symbolic = opaque(store, sp.Pow, p, read(store, rest))
        return multiply(store, symbolic, power(store, p, int(constant))) if constant.is_Integer else symbolic
    _require(store, "is positive", base, p)
    return exponential(store, multiply(store, read(store, exponent), logarithm(store, p)))


def _of_matrix(store: Store, e: Any) -> Poly:
    size = read(store, e.size)
    (row, body), column = _bound(store, e.bound[0], size, e.body), e.bound[1]
    column, body = _bound(store, column, size, body)
    if type(e) in _NEEDS:
        _require(store, _NEEDS[type(e)], e.func(*e.args), None)
    kind = _KINDS[type(e)]
    more = {"expm": (store.zero, store.one), "dexpm": (store.one,)}
    ends = (as_index(read(store, i)) for i in e.args[4:])
    return matrix_term(store, kind, read(store, body), row, column, size, *ends, *more.get(kind, ()))


def _of_function(store: Store, e: Any) -> Poly:
    args = [read(store, a) for a in e.args]
    if isinstance(e, sp.log):
        _require(store, "is positive", e.args[0], args[0])
    p = apply(store, e.func, *args)
    if isinstance(e, sp.DiracDelta) or any(a.kind == "sgn" for m in p.terms for a, _ in m.powers):
        _require(store, "is not zero", e.args[0], args[0])
    return p


def _greatest(store: Store, values: list[Poly], sign: int) -> Poly:
    first, *rest = values
    for other in rest:
        p = store.scale(store.subtract(other, first), fmpq(sign))
        first = store.add((first, store.scale(multiply(store, p, step(store, p)), fmpq(sign))))
    return first


def _of_choice(store: Store, e: Any) -> Poly:
    total, left = store.zero, store.one
    for value, condition in e.args:
        here = _truth(store, condition)
        total = store.add((total, multiply_all(store, left, here, read(store, value))))
        left = multiply(store, left, store.subtract(store.one, here))
    if left is not store.zero:
        raise BadFormula(f"{e} has no value where none of its conditions holds")
    return total


def _truth(store: Store, condition: Any) -> Poly:
    """A condition as a number: 1 where it holds, else 0."""
    c = condition
    match c:
        case sp.logic.boolalg.BooleanTrue():
            return store.one
        case sp.logic.boolalg.BooleanFalse():
            return store.zero
        case sp.And():
            return multiply_all(store, *(_truth(store, a) for a in c.args))
        case sp.Or():
            return store.subtract(store.one, _truth(store, sp.Not(c)))
        case sp.Eq() | sp.Ne() if (condition.lhs - condition.rhs).is_integer:
            equal = delta(store, read(store, c.lhs), read(store, c.rhs))
            return equal if isinstance(c, sp.Eq) else store.subtract(store.one, equal)
        case sp.Gt() | sp.Ge() | sp.Lt() | sp.Le():
            up = condition.gts - condition.lts
            p = read(store, up)
            strict = isinstance(c, (sp.Gt, sp.Lt))
            if up.is_integer and not up.has(sp.Indexed):
                return indicator(store, store.subtract(p, store.one) if strict else p)
            _require(store, "is not zero", up, p)
            return step(store, p)
    raise BadFormula(f"the condition {c} has no reading in index notation")


def _bound(store: Store, index: Any, size: Poly, body: Any) -> tuple[Any, Any]:
    """A bound index and its body; under another name where the same one is free, or runs over another range."""
    if store.ranges.get(index, size) is size and index not in store.free_names and not index.is_positive:
        store.ranges[index] = size
        return index, body
    alias = store.aliases.get((index, size))
    if alias is None:
        alias = store.aliases[index, size] = fresh(index)
    store.ranges[alias] = size
    return alias, rename(body, {index: alias})


def _require(store: Store, what: str, body: Any, p: Poly | None) -> None:
    if p is not None and p.terms:
        sure = all(c > 0 and has_positive_terms(store, m, even=True) for m, c in p.terms.items())
        only = p.only
        if sure and any(has_positive_terms(store, m) for m in p.terms):
            return
        if (only and not only[0].powers and what == "is not zero") or (sure and what == "is not negative"):
            return
    store.conditions[what, body] = None


# ------------------------------------------------------------------------------------------------------------- writing


def write(store: Store, p: Poly, bound: Iterable[tuple[Name, Poly]] = ()) -> Any:
    """A polynomial as a body: the sum of it over ``bound``."""
    body = store.written.get(p)
    if body is None:
        body = sp.Add(*(sp.Rational(int(c.p), int(c.q)) * _write_product(store, m) for m, c in p.terms.items()))
        store.written[p] = body
    for name, size in bound:
        body = IndexSum(body, named(name), write(store, size))
    return body


def _write_product(store: Store, m: Mono) -> Any:
    return sp.Mul(
        *(_written(store, a) ** sp.Rational(Fraction(e).numerator, Fraction(e).denominator) for a, e in m.powers)
    )


def named(name: Name) -> Any:
    """The symbol that an index is written with."""
    return _bound_name(name) if isinstance(name, int) else name


def _index(store: Store, i: Any) -> Any:
    return write(store, i) if isinstance(i, Poly) else named(i)


def _written(store: Store, a: Atom) -> Any:
    if a not in store.written:
        store.written[a] = _atom(store, a)
    return store.written[a]


def _atom(store: Store, a: Atom) -> Any:
    match a.kind:
        case "sym":
            return named(a.data[0])
        case "leaf":
            return store.bases[a.data[0]][tuple(_index(store, i) for i in a.data[1])]
        case "num":
            return sp.sympify(a.data[0])
        case "exp":
            return EXP(_write_product(store, a.data[0]))
        case "base":
            return write(store, a.data[0])
        case "sgn":
            return sp.sign(write(store, a.data[0]))
        case "fun":
            return a.data[0](*(write(store, p) for p in a.data[1]))
        case "delta":
            p = a.data[0]
            plus = store.poly({m: c for m, c in p.terms.items() if c > 0})
            minus = store.poly({m: -c for m, c in p.terms.items() if c < 0})
            return sp.KroneckerDelta(write(store, plus), write(store, minus))
        case "nonneg":
            inside = write(store, a.data[0])
            return Within(inside, inside + 1)
        case "sum":
            sizes, mono, first = a.data
            body = _write_product(store, mono)
            for k, size in reversed(list(enumerate(sizes))):
                body = IndexSum(body, named(first + k), write(store, size))
            return body
    body, first, size, *ends = a.data
    head = next(h for h, kind in _KINDS.items() if kind == a.kind)
    times = sp.S.One
    if a.kind in ("expm", "dexpm"):
        times = write(store, ends.pop())
    inside = (times * write(store, body), named(first), named(first + 1), write(store, size))
    if a.kind == "expm":
        left = int(ends.pop().number)
        return _times_powers(store, a, left, _index(store, ends[0]), _index(store, ends[1]), inside)
    return head(*inside, *(_index(store, i) for i in ends))


def _times_powers(store: Store, a: Atom, k: int, i: Any, j: Any, exponent: tuple[Any, ...]) -> Any:
    """The entry (i, j) of P**k times an exponential, for the matrix P of an atom."""
    if not k:
        return MatrixExponential(*exponent, i, j)
    body, first, size, *_ = a.data
    middle = fresh("k")
    factor = rename(write(store, body), {named(first): i, named(first + 1): middle})
    return IndexSum(factor * _times_powers(store, a, k - 1, middle, j, exponent), middle, write(store, size))


_BOUND: dict[int, Any] = {}


def _bound_name(number: int) -> Any:
    """The symbol that a bound index is written with: always the same, and equal to no symbol of a user's."""
    if number not in _BOUND:
        _BOUND[number] = fresh("ijklpqrstuvabcdefgh"[number % 19])
    return _BOUND[number]


def _size(e: Any) -> int:
    return len(e.args)


# -------------------------------------------------------------------------------------------------------- denominators
# A last try where two normal forms differ: denominators, and matrices that are inverted, multiplied away.

Steps = tuple[tuple[str, Any, Any], ...]  # by which rule, what it was, and what it is then
_ROUNDS, _MATRICES = 6, 3  # how often a denominator, and a matrix, are tried
_TURNED = 3  # matrices that stand beside their transposes


def cleared(store: Store, z: Poly, rounds: int = _ROUNDS, matrices: int = _MATRICES) -> Steps | None:
    """The multiplications, by denominators that stand outside all sums and by matrices that are inverted, after which
    ``z`` is seen to be 0; or None."""
    if not z.terms:
        return ()
    steps: list[tuple[str, Any, Any]] = []
    for a, e in _denominators(z).items():
        w = multiply(store, z, store.single(a, e))
        divided = write(store, w) / write(store, store.single(a, e))
        steps.append(("multiply by what is not zero", write(store, z), divided))
        z = w
    if steps:
        more = cleared(store, z, rounds - 1, matrices) if rounds > 1 else None
        return None if more is None else (*steps, *more)
    inverses = {(a.data[0], end): (a, end, index) for a, end, index in _inverses(store, z)} if matrices else {}
    for a, end, index in sorted(inverses.values(), key=lambda x: -len(x[0].data[0].terms)):  # of a sum first
        w, undone = _multiplied(store, z, a, end, index)
        more = cleared(store, w, rounds, matrices - 1)
        if more is not None:
            return ("multiply by a matrix that is invertible", write(store, z), undone), *more
    for one, two in _parts(store, z) if matrices else ():
        first = cleared(store, one, 1, matrices)
        second = None if first is None else cleared(store, two, 1, matrices)
        if first is not None and second is not None:
            told = sp.Add(write(store, one), write(store, two), evaluate=False)
            return ("a matrix and its transpose, each by itself", write(store, z), told), *first, *second
    return None


def _parts(store: Store, z: Poly) -> Iterator[tuple[Poly, Poly]]:
    """Ways to part a polynomial in which an inverse stands with its one end and with its other at a free index: what
    may be a matrix, and what may be its transpose."""
    held = {m: {(a.data[0], end, i) for a, end, i in _inverses(store, store.poly({m: fmpq(1)}))} for m in z.terms}
    ends = set().union(*held.values())
    for index in sorted({i for *_, i in ends}, key=str):
        here = [body for body, end, i in ends if end == 0 and i == index and (body, 1, i) in ends]
        both = sorted(here, key=lambda body: body.key)
        for sides in itertools.product((0, 1), repeat=len(both) - 1) if 0 < len(both) <= _TURNED else ():
            mine = {(body, side, index) for body, side in zip(both, (0, *sides), strict=True)}
            one = store.poly({m: c for m, c in z.terms.items() if held[m] & mine})
            two = store.subtract(z, one)
            if two.terms and not any(i == index for m in one.terms for *_, i in held[m] - mine):
                yield one, two


def _denominators(z: Poly) -> dict[Atom, int]:
    worst: dict[Atom, int] = {}
    for m in z.terms:
        for a, e in m.powers:
            if e < 0 and a.kind in ("base", "sum", "det"):
                worst[a] = max(worst.get(a, 0), math.ceil(-e))
    return worst


def _inverses(store: Store, z: Poly) -> Iterator[tuple[Atom, int, Name]]:
    """Inverses that stand at a free index, and at which of their two ends."""
    for m in z.terms:
        atoms = [a for a, _ in m.powers]
        while atoms:
            a = atoms.pop()
            if a.kind == "sum":
                atoms += [b for b, _ in a.data[1].powers]
            elif a.kind == "inv":
                _, _, size, *ends = a.data
                free = (i in store.free_names and store.ranges.get(i) is size for i in ends if not isinstance(i, Poly))
                yield from ((a, k, ends[k]) for k, is_free in enumerate(free) if is_free)


def _multiplied(store: Store, z: Poly, inverse: Atom, end: int, index: Name) -> tuple[Poly, Any]:
    """The product of the matrix, along a free index, with ``z``; and of the inverse with that, which is ``z`` again."""
    body, first, size, *_ = inverse.data
    r = store.fresh(size)
    store.ranges[r] = size
    at = {first: index, first + 1: r} if end == 0 else {first: r, first + 1: index}
    w = sum_over(store, {r: size}, multiply(store, substitute(store, body, at), substitute(store, z, {index: r})))
    ends = (index, r) if end == 0 else (r, index)
    back = write(store, store.single(store.atom("inv", body, first, size, *ends)))
    return w, IndexSum(back * write(store, substitute(store, w, {index: r})), named(r), write(store, size))
