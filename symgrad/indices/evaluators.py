"""A body at given sizes and values, in any ring.

>>> import sympy as sp
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n, i = sp.Symbol("n", integer=True, positive=True), sp.Symbol("i", integer=True)
>>> evaluate(IndexSum(tensor("x", n)[i] ** 2, i, n), {"x": [1.0, 2.0, 3.0]}, {n: 3})
14.0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, eq, ge, gt, le, lt, methodcaller, mul, ne
from typing import Any

import sympy as sp
from flint import arb, fmpq

from symgrad.errors import BadFormula
from symgrad.indices.terms import EXP, RELU, STEP, Array, Binder, Det, IndexSum, LogDet, Within


@dataclass(frozen=True, slots=True)
class Ring:
    """Numbers to calculate in: how a rational becomes one, rational powers, functions; and one that is not known."""

    number: Callable[[sp.Rational], Any]
    power: Callable[[Any, sp.Rational], Any]
    functions: Mapping[Any, Callable[..., Any]]
    unknown: Any = math.nan


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


def _float_step(x: float) -> float:
    return 1.0 if x > 0 else 0.0


# head, in floats, the method of a ball
_FUNCTIONS: tuple[tuple[Any, Any, Any], ...] = (
    (sp.exp, math.exp, "exp"),
    (EXP, math.exp, "exp"),
    (sp.log, math.log, "log"),
    (sp.sinh, math.sinh, "sinh"),
    (sp.cosh, math.cosh, "cosh"),
    (sp.tanh, math.tanh, "tanh"),
    (sp.sin, math.sin, "sin"),
    (sp.cos, math.cos, "cos"),
    (sp.tan, math.tan, "tan"),
    (sp.asin, math.asin, "asin"),
    (sp.acos, math.acos, "acos"),
    (sp.atan, math.atan, "atan"),
    (sp.asinh, math.asinh, "asinh"),
    (sp.acosh, math.acosh, "acosh"),
    (sp.atanh, math.atanh, "atanh"),
    (sp.erf, math.erf, "erf"),
    (sp.erfc, math.erfc, "erfc"),
    (sp.gamma, math.gamma, "gamma"),
    (sp.loggamma, math.lgamma, "lgamma"),
    (sp.Abs, abs, "__abs__"),
    (sp.Heaviside, lambda x, *_: (1 + _float_step(x) - _float_step(-x)) / 2, None),
    (sp.sign, lambda x: _float_step(x) - _float_step(-x), None),
    (STEP, _float_step, None),
    (RELU, lambda x: max(x, 0.0), None),
    (sp.Max, max, None),
    (sp.Min, min, None),
)
FLOATS = Ring(
    float, lambda b, e: b ** int(e) if e.q == 1 else b ** float(e), {head: f for head, f, _ in _FUNCTIONS}, math.nan
)
BALLS = Ring(
    _ball,
    _ball_power,
    {head: methodcaller(name) for head, _, name in _FUNCTIONS if name}
    | {
        sp.sign: _ball_sign,
        STEP: _ball_step,
        sp.Heaviside: lambda x, *_: _ball_step(x),
        RELU: lambda x: x * _ball_step(x),
        sp.digamma: methodcaller("digamma"),
        sp.erfinv: methodcaller("erfinv"),
        sp.Max: arb.max,
        sp.Min: arb.min,
    },
    arb("nan"),
)


def evaluate(
    body: Any, values: Mapping[str, Any], at: Mapping[Any, int], ring: Ring = FLOATS, *, outside: Any = None
) -> Any:
    """The value of a body: ``values`` holds nested sequences (or arrays) by name, ``at`` sizes and free indices.

    An entry that an indicator switches off may stand outside its axis; any other there counts as ``outside``, or
    raises IndexError, as a sum of a negative number of terms does.

    Raises `symgrad.errors.BadFormula` for a function that the ring does not have, and KeyError for a name without a
    value.
    """
    return _Evaluation(values, ring, outside).code(sp.sympify(body))(dict(at))


def evaluate_all(array: Array, values: Mapping[str, Any], at: Mapping[Any, int], ring: Ring = FLOATS) -> Any:
    """Every entry of an Array, as nested lists; what entries share is calculated once."""
    work = _Evaluation(values, ring, None)
    code = work.code(sp.sympify(array.body))
    lengths = [work.integer(sp.sympify(size)) for size in array.shape]

    def part(depth: int, here: At) -> Any:
        if depth == len(lengths):
            return code(here)
        return [part(depth + 1, here | {array.axes[depth]: v}) for v in range(lengths[depth](here))]

    return part(0, dict(at))


At = dict[Any, int]
Code = Callable[[At], Any]


class _Evaluation:
    """Bodies as Python functions of where their free indices are; sums and functions remember their values."""

    def __init__(self, values: Mapping[str, Any], ring: Ring, outside: Any) -> None:
        self.values, self.ring, self.outside = values, ring, outside
        self.zero, self.one = ring.number(sp.S.Zero), ring.number(sp.S.One)
        self.made: dict[Any, Code] = {}

    def code(self, e: Any) -> Code:
        if e not in self.made:
            self.made[e] = self._code(e)
        return self.made[e]

    def _code(self, e: Any) -> Code:
        match e:
            case sp.Rational() | sp.Float():
                value = self.ring.number(sp.Rational(e))  # type: ignore[arg-type]
                return lambda at: value
            case sp.Symbol():
                return lambda at: self.ring.number(sp.Integer(at[e])) if e in at else self.values[e.name]
            case sp.Indexed():
                return self._entry(e)
            case sp.KroneckerDelta() | Within():
                mark = self._mark(e)
                return lambda at: self.one if mark(at) else self.zero
            case sp.Add():
                return self._sum([self.code(a) for a in e.args])
            case sp.Mul():
                return self._product(e)
            case sp.Pow() if e.exp.is_Rational and e.base is not sp.E:
                base, exponent = self.code(e.base), e.exp
                return lambda at: self.ring.power(base(at), exponent)  # type: ignore[arg-type]
            case sp.Piecewise():
                return self._choice(e)
            case sp.Pow() | Binder() | sp.Function() | sp.Max() | sp.Min() | sp.NumberSymbol():
                return self._remembered(e, self._heavy(e))
        raise BadFormula(f"{e} has no value")

    def _heavy(self, e: Any) -> Code:
        match e:
            case IndexSum():
                body, size, index = self.code(e.body), self.integer(e.size), e.index
                return lambda at: self._sum_of(body({**at, index: v}) for v in self._run(e, size(at)))
            case Binder():
                return self._matrix(e)
            case sp.Pow() if e.base is not sp.E and e.exp.is_integer:
                base, exponent = self.code(e.base), self.integer(e.exp)
                return lambda at: self.ring.power(base(at), sp.Integer(exponent(at)))
            case sp.Pow():
                return self.code(sp.exp(e.exp * sp.log(e.base), evaluate=False))
            case sp.NumberSymbol():
                if e not in (sp.pi, sp.E):
                    raise BadFormula(f"{e} has no value")
                head, scale = (sp.atan, 4) if e is sp.pi else (sp.exp, 1)
                return lambda at: scale * self._function(head)(self.one)
            case sp.Max() | sp.Min():
                args, head = [self.code(a) for a in e.args], self._function(e.func)
                return lambda at: reduce(head, (a(at) for a in args))
            case _:
                args, head = [self.code(a) for a in e.args], self._function(e.func)
                return lambda at: head(*(a(at) for a in args))

    def _remembered(self, e: Any, code: Code) -> Code:
        needs = tuple(e.free_symbols)
        seen: dict[Any, Any] = {}

        def remembered(at: At) -> Any:
            key = tuple([at.get(s) for s in needs])
            if key not in seen:
                seen[key] = code(at)
            return seen[key]

        return remembered

    def _run(self, e: Any, size: int) -> range:
        if size < 0:
            raise IndexError(f"{e} has {size} terms")
        return range(size)

    def _sum_of(self, values: Iterable[Any]) -> Any:
        return reduce(add, values, self.zero)

    def _sum(self, parts: list[Code]) -> Code:
        return lambda at: self._sum_of(part(at) for part in parts)

    def _entry(self, e: Any) -> Code:
        array = self.values[str(e.base.label)]
        places = [self.integer(i) for i in e.indices]

        def entry(at: At) -> Any:
            value = array
            for place, index in zip(places, e.indices, strict=True):
                k = place(at)
                if not 0 <= k < len(value):
                    if self.outside is None:
                        raise IndexError(f"{e} stands outside its axis where {index} is {k}")
                    return self.outside
                value = value[k]
            return value

        return entry

    def _product(self, e: Any) -> Code:
        """Deltas and indicators first: where one is 0, the other factors may stand outside their axes."""
        marks = [self._mark(a) for a in e.args if isinstance(a, (sp.KroneckerDelta, Within))]
        others = [self.code(a) for a in e.args if not isinstance(a, (sp.KroneckerDelta, Within))]

        def product(at: At) -> Any:
            if not all(mark(at) for mark in marks):
                return self.zero
            return reduce(mul, (factor(at) for factor in others)) if others else self.one

        return product

    def _mark(self, e: Any) -> Callable[[At], bool]:
        first, second = (self.integer(a) for a in e.args[:2])
        if isinstance(e, sp.KroneckerDelta):
            return lambda at: first(at) == second(at)
        return lambda at: 0 <= first(at) < second(at)

    def _function(self, head: Any) -> Callable[..., Any]:
        if head not in self.ring.functions:
            raise BadFormula(f"there is no {head} in this ring")
        return self.ring.functions[head]

    def _choice(self, e: Any) -> Code:
        pairs = [(self.code(value), self._truth(c)) for value, c in e.args]

        def choice(at: At) -> Any:
            for value, truth in pairs:
                holds = truth(at)
                if holds is None:
                    return self.ring.unknown
                if holds:
                    return value(at)
            return self.ring.unknown

        return choice

    def _truth(self, c: Any) -> Callable[[At], bool | None]:
        """Whether a condition holds; None where a ball cannot tell."""
        match c:
            case sp.logic.boolalg.BooleanTrue() | sp.logic.boolalg.BooleanFalse():
                value = bool(c)
                return lambda at: value
            case sp.And() | sp.Or():
                parts = [self._truth(a) for a in c.args]
                decides = isinstance(c, sp.Or)

                def joined(at: At) -> bool | None:
                    found = [part(at) for part in parts]
                    return decides if decides in found else None if None in found else not decides

                return joined
            case sp.Not():
                inner = self._truth(c.args[0])
                return lambda at: None if (holds := inner(at)) is None else not holds
        difference = c.lhs - c.rhs
        whole = difference.is_integer and not difference.has(sp.Indexed)
        value = self.integer(difference) if whole else self.code(difference)
        (yes, no), zero = _COMPARISONS[type(c)], 0 if whole else self.zero

        def compared(at: At) -> bool | None:
            here = value(at)
            return True if yes(here, zero) else False if no(here, zero) else None

        return compared

    def integer(self, e: Any) -> Callable[[At], int]:
        """An index or a size."""
        if e.is_Integer:
            value = int(e)
            return lambda at: value
        if isinstance(e, sp.Symbol):
            return lambda at: at[e]
        return lambda at: int(e.xreplace({k: sp.Integer(v) for k, v in at.items()}))

    def _matrix(self, e: Any) -> Code:
        body, size, (row, column) = self.code(e.body), self.integer(e.size), e.bound
        whole = e.func(e.body, *e.bound, e.size, *(sp.S.Zero for _ in e.args[4:]))

        def all_rows(at: At) -> Any:
            n = range(size(at))
            return [[body({**at, row: p, column: q}) for q in n] for p in n]

        rows = self._remembered(whole, all_rows)
        determinant = self._remembered(whole, lambda at: _determinant(rows(at), self.ring))
        match e:
            case Det():
                return determinant
            case LogDet():
                log = self._function(sp.log)
                return lambda at: log(abs(determinant(at)))
        i, j = (self.integer(x) for x in e.entry)

        def entry(at: At) -> Any:
            p, q = j(at), i(at)
            left = [[v for k, v in enumerate(r) if k != q] for k, r in enumerate(rows(at)) if k != p]
            minor = _determinant(left, self.ring)
            return (minor if (p + q) % 2 == 0 else -minor) / determinant(at)

        return entry


_COMPARISONS: dict[Any, tuple[Any, Any]] = {  # that it holds, and that it does not: a ball may say neither
    sp.StrictGreaterThan: (gt, le),
    sp.GreaterThan: (ge, lt),
    sp.StrictLessThan: (lt, ge),
    sp.LessThan: (le, gt),
    sp.Eq: (eq, ne),
    sp.Ne: (ne, eq),
}


def _determinant(rows: Sequence[Sequence[Any]], ring: Ring) -> Any:
    """By minors where they are few; else by elimination, with pivots that are certainly not zero."""
    if not rows:
        return ring.number(sp.S.One)
    if len(rows) > _MINORS:
        return _eliminated([list(row) for row in rows], ring)
    total = ring.number(sp.S.Zero)
    for p, row in enumerate(rows):
        minor = _determinant([r[1:] for q, r in enumerate(rows) if q != p], ring)
        total = total + row[0] * minor if p % 2 == 0 else total - row[0] * minor
    return total


def _eliminated(rows: list[list[Any]], ring: Ring) -> Any:
    product = ring.number(sp.S.One)
    while rows:
        certain = [k for k, row in enumerate(rows) if row[0] != 0]
        if not certain:  # the column is zero, or a ball cannot tell
            return ring.number(sp.S.Zero) if all(row[0] == 0 for row in rows) else ring.unknown
        best = max(certain, key=lambda k: abs(float(rows[k][0])))
        pivot = rows.pop(best)
        product = product * pivot[0] if best % 2 == 0 else -(product * pivot[0])
        factors = [row[0] / pivot[0] for row in rows]
        rows = [[v - f * w for v, w in zip(row[1:], pivot[1:], strict=True)] for f, row in zip(factors, rows)]
    return product


_MINORS = 3
