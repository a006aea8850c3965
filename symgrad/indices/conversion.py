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
>>> normal_form(left) == normal_form(right)
True
>>> normal_form(1 / (1 + EXP(-x[p])) + 1 / (1 + EXP(x[p])))
1
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.errors import BadFormula
from symgrad.indices.normal_functions import Functions
from symgrad.indices.polynomials import Atom, Mono, Name, Poly, is_index, name_key
from symgrad.indices.printing import text
from symgrad.indices.terms import (
    EXP,
    Det,
    Fact,
    IndexSum,
    Inverse,
    LogDet,
    Positive,
    SumsTo,
    Symmetric,
    Within,
    free_ranges,
    fresh,
    rename,
)

__all__ = ["EFFORT", "Condition", "Forms", "Instance", "cleared", "normal_form"]


# ---------------------------------------------------------------------------------------------------------- conversion

_KINDS: dict[Any, str] = {Inverse: "inv", Det: "det", LogDet: "logdet"}
_SHOWN = 3  # how many uses of one rule a proof shows


@dataclass(frozen=True, slots=True)
class Condition:
    """Where an equality is claimed: ``body`` (for all its indices) "is not zero", "is positive", ..."""

    what: str
    body: Any

    def __str__(self) -> str:
        return f"{text(self.body)} {self.what}"


@dataclass(frozen=True, slots=True)
class Instance:
    """One use of a rule: the sum of ``before`` over ``bound`` is ``after``."""

    rule: str
    before: Poly
    after: Poly
    bound: tuple[tuple[Name, Poly], ...]

    @property
    def open_names(self) -> list[Name]:
        """The indices that stand free in it."""
        names = (self.before.free | self.after.free) - {i for i, _ in self.bound}
        return sorted((i for i in names if is_index(i)), key=name_key)


class Forms(Functions):
    """Polynomials of bodies, under some facts; what was used on the way is remembered."""

    def __init__(self, *, facts: Iterable[Fact] = (), effort: int, deep: bool = True) -> None:
        super().__init__(effort=effort)
        self.deep = deep
        self.instances: dict[str, list[Instance]] = {}
        self.conditions: dict[Condition, None] = {}
        self.bases: dict[str, Any] = {}
        self._read: dict[Any, Poly] = {}
        self._aliases: dict[Any, Any] = {}
        self.used: set[Fact] = set()
        for fact in facts:
            match fact:
                case SumsTo():
                    self.sums_to.append(fact)
                case Symmetric(name):
                    self.symmetric.add(name)
                case Positive(name):
                    self.positive_leaves.add(name)

    def note(self, rule: str, before: Poly, after: Poly, bound: Mapping[Name, Poly] | None = None) -> None:
        shown = self.instances.setdefault(rule, [])
        if len(shown) < _SHOWN:
            shown.append(Instance(rule, before, after, tuple((bound or {}).items())))

    def use(self, fact: Fact) -> None:
        self.used.add(fact)

    # reading

    def declare(self, bodies: Iterable[Any], sizes: Mapping[Any, Any]) -> None:
        """Where free indices run: as told, else over the one axis of leaves that they stand in."""
        bodies = tuple(bodies)
        self.free_names = set().union(*(sp.sympify(e).free_symbols for e in bodies))
        for index, size in sizes.items():
            self.ranges[index] = self.read(size)
        for index, axes in free_ranges(bodies).items():
            spans = {self.read(size) for size in axes}
            if index not in sizes and len(spans) == 1:
                self.ranges[index] = spans.pop()

    def read(self, e: Any) -> Poly:
        e = sp.sympify(e)
        if e not in self._read:
            self._read[e] = self._of(e)
        return self._read[e]

    def _of(self, e: Any) -> Poly:
        match e:
            case sp.Rational():
                return self.constant(fmpq(e.p, e.q))
            case sp.Float():
                return self.read(sp.Rational(e))  # its exact binary value
            case sp.NumberSymbol():
                return self.exponential(self.one) if e is sp.E else self.single(self.atom("num", e))
            case sp.Symbol():
                return self.symbol(e)
            case sp.Indexed():
                return self._of_leaf(e)
            case sp.Add():
                return self.add([self.read(a) for a in e.args])
            case sp.Mul():
                return self.multiply_all(*(self.read(a) for a in sorted(e.args, key=_size)))
            case sp.Pow():
                return self._of_power(e.base, e.exp)
            case sp.exp() | EXP():
                return self.exponential(self.read(e.args[0]))
            case IndexSum():
                size = self.read(e.size)
                self._require_at_least_zero(size)
                index, body = self._bound(e.index, size, e.body)
                return self.summed(self.read(body), index, size)
            case Inverse() | Det() | LogDet():
                return self._of_matrix(e)
            case sp.KroneckerDelta():
                return self.delta(*(self.as_index(self.read(a)) for a in e.args[:2]))
            case Within():
                return self.within(*map(self.read, e.args))
            case sp.Max():
                return self._greatest([self.read(a) for a in e.args], 1)
            case sp.Min():
                return self._greatest([self.read(a) for a in e.args], -1)
            case sp.Piecewise():
                return self._of_choice(e)
            case sp.Function() if not isinstance(e, sp.core.function.AppliedUndef):
                return self._of_function(e)
        raise BadFormula(f"{e} ({type(e).__name__}) has no reading in index notation")

    def _of_leaf(self, e: Any) -> Poly:
        label = str(e.base.label)
        if self.bases.setdefault(label, e.base) != e.base:
            raise BadFormula(f"{label} is used with two shapes or kinds: {self.bases[label].shape} and {e.base.shape}")
        if label not in self.shapes:
            shape = e.base.shape if e.base.shape is not None else (None,) * len(e.indices)
            self.shapes[label] = tuple(None if s is None else self.read(s) for s in shape)
            if e.is_positive:
                self.positive_leaves.add(label)
        places = [self.read(i) for i in e.indices]
        for place, size in zip(places, self.shapes[label], strict=True):
            if size is not None and not any(map(is_index, place.free)):
                self._require_at_least_zero(self.subtract(self.subtract(size, place), self.one))
        return self.leaf(label, tuple(map(self.as_index, places)))

    def _require_at_least_zero(self, size: Poly) -> None:
        """A sum has no negative number of terms, and an entry at a fixed place is there only where the axis is long."""
        if not any(map(is_index, size.free)) and not self.never_negative(size):
            self.conditions[Condition("is not negative", self.write(size))] = None

    def _of_power(self, base: Any, exponent: Any) -> Poly:
        if base is sp.E:
            return self.exponential(self.read(exponent))
        p = self.read(base)
        if exponent.is_Rational:
            if not exponent.is_Integer:
                self.require("is positive" if exponent < 0 else "is not negative", base, p)
            elif exponent < 0:
                self.require("is not zero", base, p)
            if not p.terms and exponent < 0:
                raise BadFormula(f"{base} is zero, and stands in a denominator")
            return self.power(p, fmpq(exponent.p, exponent.q))
        if exponent.is_integer:
            constant, rest = exponent.as_coeff_Add()
            symbolic = self.opaque(sp.Pow, p, self.read(rest))
            return self.multiply(symbolic, self.power(p, int(constant))) if constant.is_Integer else symbolic
        self.require("is positive", base, p)
        return self.exponential(self.multiply(self.read(exponent), self.logarithm(p)))

    def _of_matrix(self, e: Any) -> Poly:
        size = self.read(e.size)
        (row, body), column = self._bound(e.bound[0], size, e.body), e.bound[1]
        column, body = self._bound(column, size, body)
        self.require("is invertible" if isinstance(e, Inverse) else "is not singular", e.func(*e.args), None)
        ends = (self.as_index(self.read(i)) for i in e.args[4:])
        return self.matrix(_KINDS[type(e)], self.read(body), row, column, size, *ends)

    def _of_function(self, e: Any) -> Poly:
        args = [self.read(a) for a in e.args]
        if isinstance(e, sp.log):
            self.require("is positive", e.args[0], args[0])
        p = self.apply(e.func, *args)
        if isinstance(e, sp.DiracDelta) or any(a.kind == "sgn" for m in p.terms for a, _ in m.powers):
            self.require("is not zero", e.args[0], args[0])
        return p

    def _greatest(self, values: list[Poly], sign: int) -> Poly:
        first, *rest = values
        for other in rest:
            p = self.scale(self.subtract(other, first), fmpq(sign))
            first = self.add((first, self.scale(self.multiply(p, self.step(p)), fmpq(sign))))
        return first

    def _of_choice(self, e: Any) -> Poly:
        total, left = self.zero, self.one
        for value, condition in e.args:
            here = self._truth(condition)
            total = self.add((total, self.multiply_all(left, here, self.read(value))))
            left = self.multiply(left, self.subtract(self.one, here))
        if left is not self.zero:
            raise BadFormula(f"{e} has no value where none of its conditions holds")
        return total

    def _truth(self, condition: Any) -> Poly:
        """A condition as a number: 1 where it holds, else 0."""
        c = condition
        match c:
            case sp.logic.boolalg.BooleanTrue():
                return self.one
            case sp.logic.boolalg.BooleanFalse():
                return self.zero
            case sp.And():
                return self.multiply_all(*(self._truth(a) for a in c.args))
            case sp.Or():
                return self.subtract(self.one, self._truth(sp.Not(c)))
            case sp.Eq() | sp.Ne() if (condition.lhs - condition.rhs).is_integer:
                equal = self.delta(self.read(c.lhs), self.read(c.rhs))
                return equal if isinstance(c, sp.Eq) else self.subtract(self.one, equal)
            case sp.Gt() | sp.Ge() | sp.Lt() | sp.Le():
                up = condition.gts - condition.lts
                p = self.read(up)
                strict = isinstance(c, (sp.Gt, sp.Lt))
                if up.is_integer and not up.has(sp.Indexed):
                    return self.indicator(self.subtract(p, self.one) if strict else p)
                self.require("is not zero", up, p)
                return self.step(p)
        raise BadFormula(f"the condition {c} has no reading in index notation")

    def _bound(self, index: Any, size: Poly, body: Any) -> tuple[Any, Any]:
        """A bound index and its body; under another name where the same one is free, or runs over another range."""
        if self.ranges.get(index, size) is size and index not in self.free_names and not index.is_positive:
            self.ranges[index] = size
            return index, body
        alias = self._aliases.get((index, size))
        if alias is None:
            alias = self._aliases[index, size] = fresh(index)
        self.ranges[alias] = size
        return alias, rename(body, {index: alias})

    def require(self, what: str, body: Any, p: Poly | None) -> None:
        if p is not None and p.terms:
            sure = all(c > 0 and self.has_positive_terms(m, even=True) for m, c in p.terms.items())
            only = p.only
            if sure and any(self.has_positive_terms(m) for m in p.terms):
                return
            if (only and not only[0].powers and what == "is not zero") or (sure and what == "is not negative"):
                return
        self.conditions[Condition(what, body)] = None

    # writing

    def write(self, p: Poly, bound: Iterable[tuple[Name, Poly]] = ()) -> Any:
        """A polynomial as a body: the sum of it over ``bound``."""
        body = sp.Add(*(sp.Rational(int(c.p), int(c.q)) * self.write_mono(m) for m, c in p.terms.items()))
        for name, size in bound:
            body = IndexSum(body, self.named(name), self.write(size))
        return body

    def write_mono(self, m: Mono) -> Any:
        return sp.Mul(
            *(self._atom(a) ** sp.Rational(Fraction(e).numerator, Fraction(e).denominator) for a, e in m.powers)
        )

    def named(self, name: Name) -> Any:
        return _bound_name(name) if isinstance(name, int) else name

    def _index(self, i: Any) -> Any:
        return self.write(i) if isinstance(i, Poly) else self.named(i)

    def _atom(self, a: Atom) -> Any:
        match a.kind:
            case "sym":
                return self.named(a.data[0])
            case "leaf":
                return self.bases[a.data[0]][tuple(self._index(i) for i in a.data[1])]
            case "num":
                return sp.sympify(a.data[0])
            case "exp":
                return EXP(self.write_mono(a.data[0]))
            case "base":
                return self.write(a.data[0])
            case "sgn":
                return sp.sign(self.write(a.data[0]))
            case "fun":
                return a.data[0](*map(self.write, a.data[1]))
            case "delta":
                p = a.data[0]
                plus = self.poly({m: c for m, c in p.terms.items() if c > 0})
                minus = self.poly({m: -c for m, c in p.terms.items() if c < 0})
                return sp.KroneckerDelta(self.write(plus), self.write(minus))
            case "nonneg":
                inside = self.write(a.data[0])
                return Within(inside, inside + 1)
            case "sum":
                sizes, mono, first = a.data
                body = self.write_mono(mono)
                for k, size in reversed(list(enumerate(sizes))):
                    body = IndexSum(body, self.named(first + k), self.write(size))
                return body
        body, first, size, *ends = a.data
        head = next(h for h, kind in _KINDS.items() if kind == a.kind)
        inside = (self.write(body), self.named(first), self.named(first + 1), self.write(size))
        return head(*inside, *map(self._index, ends))


_BOUND: dict[int, Any] = {}


def _bound_name(number: int) -> Any:
    """The symbol that a bound index is written with: always the same, and equal to no symbol of a user's."""
    if number not in _BOUND:
        _BOUND[number] = fresh("ijklpqrstuvabcdefgh"[number % 19])
    return _BOUND[number]


def _size(e: Any) -> int:
    return len(e.args)


# -------------------------------------------------------------------------------------------------------- denominators
# A last try where two normal forms differ: denominators multiplied away.

Steps = tuple[tuple[Poly, Poly, Atom, int], ...]  # what was multiplied, what it gave, by which power of what
_ROUNDS = 6


def cleared(forms: Forms, z: Poly) -> Steps | None:
    """The multiplications, by denominators that stand outside all sums, after which ``z`` is seen to be 0; or None."""
    steps: list[tuple[Poly, Poly, Atom, int]] = []
    for _ in range(_ROUNDS):
        if not z.terms:
            return tuple(steps)
        factors = _denominators(z)
        if not factors:
            return None
        for a, e in factors.items():
            w = forms.multiply(z, forms.single(a, e))
            steps.append((z, w, a, e))
            z = w
    return tuple(steps) if not z.terms else None


def _denominators(z: Poly) -> dict[Atom, int]:
    worst: dict[Atom, int] = {}
    for m in z.terms:
        for a, e in m.powers:
            if e < 0 and a.kind in ("base", "sum", "det"):
                worst[a] = max(worst.get(a, 0), math.ceil(-e))
    return worst


# --------------------------------------------------------------------------------------------------------- normal form

EFFORT = 100_000


def normal_form(
    e: Any, *, sizes: Mapping[Any, Any] | None = None, facts: Iterable[Fact] = (), effort: int = EFFORT
) -> Any:
    """A body equal to ``e`` wherever both are defined: sums of products, split into connected components.

    ``sizes`` says where free indices run; what is not said is taken from the axes they stand in.  Raises
    `symgrad.errors.BadFormula` for what is not index notation, and `symgrad.indices.polynomials.Exhausted` past
    ``effort``, counted in terms.
    """
    forms = Forms(facts=facts, effort=effort)
    try:
        forms.declare([e], sizes or {})
        return forms.write(forms.read(e))
    except ZeroDivisionError as error:
        raise BadFormula(f"{text(e)}: {error}") from None
