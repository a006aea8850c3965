"""A body at given sizes and values, in any ring; and the smallest sizes at which two bodies differ.

>>> import sympy as sp
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n, i = sp.Symbol("n", integer=True, positive=True), sp.Symbol("i", integer=True)
>>> evaluate(IndexSum(tensor("x", n)[i] ** 2, i, n), {"x": [1.0, 2.0, 3.0]}, {n: 3})
14.0
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import arb, ctx, fmpq

from symgrad.errors import BadFormula
from symgrad.indices.facts import Fact, Positive, SumsTo, Symmetric
from symgrad.indices.heads import EXP, RELU, STEP
from symgrad.indices.matrices import Det, Inverse, LogDet
from symgrad.indices.terms import Array, IndexSum, Within

__all__ = ["BALLS", "FLOATS", "Ring", "Witness", "evaluate", "refute"]

BITS = 128


@dataclass(frozen=True, slots=True)
class Ring:
    """Numbers to calculate in: how a rational becomes one, rational powers, and the functions that there are."""

    number: Callable[[sp.Rational], Any]
    power: Callable[[Any, sp.Rational], Any]
    functions: Mapping[Any, Callable[..., Any]]


def _ball(q: Any) -> arb:
    return arb(fmpq(int(q.p), int(q.q)))


def _ball_power(b: arb, e: Any) -> arb:
    if e.q == 1:
        return b ** int(e.p)
    return (b.sqrt() if e.q == 2 else (b.log() / int(e.q)).exp()) ** int(e.p)


def _ball_sign(b: arb) -> arb:
    if b > 0:
        return arb(1)
    return arb(-1) if b < 0 else arb("nan")


def _ball_step(b: arb) -> arb:
    return (1 + _ball_sign(b)) / 2


FLOATS = Ring(
    float,
    lambda b, e: b ** int(e) if e.q == 1 else b ** float(e),
    {
        sp.exp: math.exp,
        EXP: math.exp,
        sp.log: math.log,
        sp.tanh: math.tanh,
        sp.sinh: math.sinh,
        sp.cosh: math.cosh,
        sp.sin: math.sin,
        sp.cos: math.cos,
        sp.erf: math.erf,
        sp.Abs: abs,
        sp.sign: lambda x: math.copysign(1.0, x) if x else 0.0,
        STEP: lambda x: 1.0 if x > 0 else 0.0,
        RELU: lambda x: max(x, 0.0),
    },
)
BALLS = Ring(
    _ball,
    _ball_power,
    {
        sp.exp: lambda x: x.exp(),
        EXP: lambda x: x.exp(),
        sp.log: lambda x: x.log(),
        sp.tanh: lambda x: x.tanh(),
        sp.sinh: lambda x: x.sinh(),
        sp.cosh: lambda x: x.cosh(),
        sp.sin: lambda x: x.sin(),
        sp.cos: lambda x: x.cos(),
        sp.erf: lambda x: x.erf(),
        sp.Abs: abs,
        sp.sign: _ball_sign,
        STEP: _ball_step,
        RELU: lambda x: x * _ball_step(x),
    },
)


def evaluate(
    body: Any, values: Mapping[str, Any], at: Mapping[Any, int], ring: Ring = FLOATS, *, outside: Any = None
) -> Any:
    """The value of a body: ``values`` holds nested sequences (or arrays) by name, ``at`` sizes and free indices.

    An entry that an indicator switches off may stand outside its axis; any other there counts as ``outside``, or
    raises IndexError.  Raises `symgrad.errors.BadFormula` for a function that the ring does not have, and KeyError for
    a name without a value.
    """
    return _Evaluation(values, ring, outside).of(sp.sympify(body), dict(at))


class _Evaluation:
    def __init__(self, values: Mapping[str, Any], ring: Ring, outside: Any) -> None:
        self.values, self.ring, self.outside = values, ring, outside
        self.seen: dict[Any, Any] = {}
        self.free: dict[Any, frozenset[Any]] = {}

    def of(self, e: Any, at: dict[Any, int]) -> Any:
        if e not in self.free:
            self.free[e] = frozenset(e.free_symbols)
        key = (e, tuple((k, v) for k, v in at.items() if k in self.free[e]))
        if key not in self.seen:
            self.seen[key] = self._of(e, at)
        return self.seen[key]

    def _of(self, e: Any, at: dict[Any, int]) -> Any:
        number = self.ring.number
        match e:
            case sp.Rational() | sp.Float():
                return number(sp.Rational(e))
            case sp.Symbol():
                return number(sp.Integer(at[e])) if e in at else self.values[e.name]
            case sp.Indexed():
                value = self.values[str(e.base.label)]
                for i in e.indices:
                    place = self.integer(i, at)
                    if not 0 <= place < len(value):
                        return self._out_of(e, i, place)
                    value = value[place]
                return value
            case IndexSum():
                return _sum(self.of(e.body, at | {e.index: v}) for v in range(self.integer(e.size, at)))(number)
            case Inverse() | Det() | LogDet():
                return self._of_matrix(e, at)
            case sp.KroneckerDelta() | Within():
                return number(sp.Integer(self._mark(e, at)))
            case sp.Add():
                return _sum(self.of(a, at) for a in e.args)(number)
            case sp.Mul():
                return self._product(e, at)
            case sp.Pow() if e.exp.is_Rational and e.base is not sp.E:
                return self.ring.power(self.of(e.base, at), e.exp)
            case sp.Pow() if e.base is not sp.E and e.exp.is_integer:
                return self.ring.power(self.of(e.base, at), sp.Integer(self.integer(e.exp, at)))
            case sp.Pow():
                log = number(sp.Integer(1)) if e.base is sp.E else self._call(sp.log, [self.of(e.base, at)])
                return self._call(sp.exp, [self.of(e.exp, at) * log])
            case sp.Piecewise():
                return self.of(next(v for v, c in e.args if self._holds(c, at)), at)
            case sp.Max() | sp.Min():
                values = [self.of(a, at) for a in e.args]
                return max(values) if isinstance(e, sp.Max) else min(values)
            case sp.Function():
                return self._call(e.func, [self.of(a, at) for a in e.args])
            case sp.NumberSymbol() if e is sp.pi:
                return 4 * self._call(sp.atan, [number(sp.Integer(1))])
        raise BadFormula(f"{e} has no value")

    def _out_of(self, leaf: Any, index: Any, place: int) -> Any:
        if self.outside is None:
            raise IndexError(f"{leaf} stands outside its axis where {index} is {place}")
        return self.outside

    def _product(self, e: Any, at: dict[Any, int]) -> Any:
        """Deltas and indicators first: where one is 0, the other factors may stand outside their axes."""
        marks = [a for a in e.args if isinstance(a, (sp.KroneckerDelta, Within))]
        others = [a for a in e.args if a not in marks]
        if any(self._mark(a, at) == 0 for a in marks) or not others:
            return self.ring.number(sp.Integer(all(self._mark(a, at) for a in marks)))
        product = self.of(others[0], at)
        for a in others[1:]:
            product = product * self.of(a, at)
        return product

    def _mark(self, e: Any, at: dict[Any, int]) -> int:
        first, second = (self.integer(a, at) for a in e.args[:2])
        return int(first == second if isinstance(e, sp.KroneckerDelta) else 0 <= first < second)

    def _call(self, head: Any, args: list[Any]) -> Any:
        if head not in self.ring.functions:
            raise BadFormula(f"there is no {head} in this ring")
        return self.ring.functions[head](*args)

    def _holds(self, c: Any, at: dict[Any, int]) -> bool:
        if c in (True, False):
            return bool(c)
        difference = c.lhs - c.rhs
        value = self.integer(difference, at) if difference.is_integer else self.of(difference, at)
        return bool(
            c.func(sp.Symbol("v"), 0).subs("v", sp.sympify(value)) if isinstance(value, int) else _compare(c, value)
        )

    def integer(self, e: Any, at: dict[Any, int]) -> int:
        """An index or a size."""
        if e.is_Integer:
            return int(e)
        if e in at:
            return at[e]
        return int(e.xreplace({k: sp.Integer(v) for k, v in at.items()}))

    def _of_matrix(self, e: Any, at: dict[Any, int]) -> Any:
        (r, c), n = e.bound, self.integer(e.size, at)
        rows = [[self.of(e.body, at | {r: p, c: q}) for q in range(n)] for p in range(n)]
        whole = _determinant(rows, self.ring)
        match e:
            case Det():
                return whole
            case LogDet():
                return self._call(sp.log, [abs(whole)])
        i, j = (self.integer(x, at) for x in e.entry)
        minor = _determinant(
            [[v for q, v in enumerate(row) if q != i] for p, row in enumerate(rows) if p != j], self.ring
        )
        return (minor if (i + j) % 2 == 0 else -minor) / whole


def _compare(c: Any, value: Any) -> bool:
    match c:
        case sp.Gt():
            return value > 0
        case sp.Ge():
            return value >= 0
        case sp.Lt():
            return value < 0
        case sp.Le():
            return value <= 0
    raise BadFormula(f"the condition {c} cannot be evaluated")


def _sum(values: Iterable[Any]) -> Callable[[Any], Any]:
    def total(number: Any) -> Any:
        result = None
        for v in values:
            result = v if result is None else result + v
        return number(sp.Integer(0)) if result is None else result

    return total


def _determinant(rows: Sequence[Sequence[Any]], ring: Ring) -> Any:
    """By the first column, and so without a division; for the few rows of a small example."""
    if not rows:
        return ring.number(sp.Integer(1))
    terms = []
    for p, row in enumerate(rows):
        minor = _determinant([r[1:] for q, r in enumerate(rows) if q != p], ring)
        terms.append(row[0] * minor if p % 2 == 0 else -(row[0] * minor))
    return _sum(terms)(ring.number)


@dataclass(frozen=True, slots=True)
class Witness:
    """Two bodies that differ: the sizes, the place, the values of the leaves (exact), and a ball without zero."""

    sizes: dict[Any, int]
    index: dict[Any, int]
    values: dict[str, Any]
    difference: arb


def refute(
    a: Any,
    b: Any,
    *,
    sizes: Mapping[Any, Any] | None = None,
    facts: Iterable[Fact] = (),
    points: int = 4,
    largest: int = 3,
    seed: int = 0,
) -> Witness | None:
    """The smallest sizes, and a point that meets the facts, where two bodies differ for certain; or None.

    The leaves' values are exact rationals, and a ball around the difference excludes zero.  ``sizes`` says where free
    indices run.  None is no proof.
    """
    if isinstance(a, Array) and isinstance(b, Array):
        sizes = dict(sizes or {}) | dict(zip(a.axes, a.shape, strict=True))
        a, b = a.body, b.at(a.axes)
    draw = random.Random(seed)
    runs = dict(sizes or {})
    bodies = sp.sympify(a), sp.sympify(b)
    bases = {str(e.base.label): e.base for body in bodies for e in _all(body, sp.Indexed)}
    symbols = set().union(*(body.free_symbols for body in bodies), *(sp.sympify(s).free_symbols for s in runs.values()))
    symbols |= {s for base in bases.values() for d in base.shape or () for s in d.free_symbols}
    for base in bases.values():
        symbols.discard(base.label)
        symbols.discard(base)
    lengths = sorted((s for s in symbols if s.is_integer and s.is_positive), key=str)
    indices = sorted((s for s in symbols if isinstance(s, sp.Symbol) and s.is_integer and not s.is_positive), key=str)
    for leaf in (e for body in bodies for e in _all(body, sp.Indexed)):
        for i, size in zip(leaf.indices, leaf.base.shape or (), strict=False):
            if i in indices:
                runs.setdefault(i, size)
    scalars = [s.name for s in symbols if isinstance(s, sp.Symbol) and not s.is_integer and s.name not in bases]
    choices = sorted(itertools.product(range(1, largest + 1), repeat=len(lengths)), key=lambda c: (sum(c), c))
    saved = ctx.prec
    ctx.prec = BITS
    try:
        for choice in choices:
            at = dict(zip(lengths, choice, strict=True))
            spans = [range(int(sp.sympify(runs[i]).subs(at))) for i in indices]
            for _ in range(points):
                values = _point(bases, scalars, at, tuple(facts), draw)
                for place in itertools.product(*spans):
                    index = dict(zip(indices, place, strict=True))
                    x, y = (evaluate(body, values, at | index, BALLS) for body in bodies)
                    difference = x - y
                    if difference.is_finite() and not difference.contains(0):
                        return Witness(at, index, values, difference)
    except IndexError:
        return None
    finally:
        ctx.prec = saved
    return None


def _all(body: Any, kind: Any) -> list[Any]:
    return [e for e in sp.preorder_traversal(body) if isinstance(e, kind)]


def _point(bases: Any, scalars: list[str], at: Any, facts: tuple[Fact, ...], draw: random.Random) -> dict[str, Any]:
    positive = {f.name for f in facts if isinstance(f, Positive)}
    values: dict[str, Any] = {}
    for name, base in sorted(bases.items()):
        shape = [int(d.subs(at)) for d in base.shape]
        sure = name in positive or bool(base.is_positive)
        fractions = _filled(shape, lambda sure=sure: fmpq(draw.randint(1 if sure else -24, 24), 16))
        for fact in facts:
            if fact.name != name:
                continue
            if isinstance(fact, Symmetric):
                fractions = [[fractions[min(i, j)][max(i, j)] for j in range(shape[0])] for i in range(shape[0])]
            elif isinstance(fact, SumsTo):
                fractions = _summing(fractions, fact.axis, fmpq(sp.Rational(fact.value).p, sp.Rational(fact.value).q))
        values[name] = _mapped(fractions, arb)
    for name in scalars:
        values[name] = arb(fmpq(draw.randint(1 if name in positive else -24, 24), 16))
    return values


def _filled(shape: Sequence[int], make: Callable[[], Any]) -> Any:
    return [_filled(shape[1:], make) for _ in range(shape[0])] if shape else make()


def _mapped(nested: Any, f: Callable[[Any], Any]) -> Any:
    return [_mapped(v, f) for v in nested] if isinstance(nested, list) else f(nested)


def _summing(nested: Any, axis: int, value: Any) -> Any:
    """The same numbers, with the last along the axis changed so that they sum to ``value``."""
    if axis:
        return [_summing(v, axis - 1, value) for v in nested]
    if not isinstance(nested[0], list):
        return [*nested[:-1], value - sum(nested[:-1], fmpq(0))]
    columns = [_summing([row[k] for row in nested], 0, value) for k in range(len(nested[0]))]
    return [[column[p] for column in columns] for p in range(len(nested))]
