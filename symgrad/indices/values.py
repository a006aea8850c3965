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
from operator import eq, ge, gt, le, lt, methodcaller, ne
from typing import Any

import sympy as sp
from flint import arb, fmpq

from symgrad.errors import BadFormula
from symgrad.indices.heads import EXP, RELU, STEP
from symgrad.indices.matrices import Det, Inverse, LogDet
from symgrad.indices.terms import Array, IndexSum, Within

__all__ = ["BALLS", "FLOATS", "Ring", "evaluate", "evaluate_all"]


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
    (sp.sign, lambda x: _float_step(x) - _float_step(-x), None),
    (STEP, _float_step, None),
    (RELU, lambda x: max(x, 0.0), None),
)
FLOATS = Ring(
    float,
    lambda b, e: b ** int(e) if e.q == 1 else b ** float(e),
    {head: f for head, f, _ in _FUNCTIONS},
)
BALLS = Ring(
    _ball,
    _ball_power,
    {head: methodcaller(name) for head, _, name in _FUNCTIONS if name}
    | {
        sp.sign: _ball_sign,
        STEP: _ball_step,
        RELU: lambda x: x * _ball_step(x),
        sp.digamma: methodcaller("digamma"),
        sp.erfinv: methodcaller("erfinv"),
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


def evaluate_all(array: Array, values: Mapping[str, Any], at: Mapping[Any, int], ring: Ring = FLOATS) -> Any:
    """Every entry of an Array, as nested lists; what entries share is calculated once."""
    work = _Evaluation(values, ring, None)

    def part(axes: tuple[Any, ...], shape: tuple[Any, ...], here: dict[Any, int]) -> Any:
        if not axes:
            return work.of(array.body, here)
        run = range(work.integer(sp.sympify(shape[0]), here))
        return [part(axes[1:], shape[1:], here | {axes[0]: v}) for v in run]

    return part(array.axes, array.shape, dict(at))


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
            case sp.NumberSymbol() if e is sp.E:
                return self._call(sp.exp, [number(sp.Integer(1))])
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
        match c:
            case sp.logic.boolalg.BooleanTrue() | sp.logic.boolalg.BooleanFalse():
                return bool(c)
            case sp.And() | sp.Or():
                return (all if isinstance(c, sp.And) else any)(self._holds(a, at) for a in c.args)
            case sp.Not():
                return not self._holds(c.args[0], at)
        difference = c.lhs - c.rhs
        indices = difference.is_integer and not difference.has(sp.Indexed)
        value = self.integer(difference, at) if indices else self.of(difference, at)
        return _COMPARISONS[type(c)](value, 0)

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


_COMPARISONS: dict[Any, Callable[[Any, Any], bool]] = {
    sp.StrictGreaterThan: gt,
    sp.GreaterThan: ge,
    sp.StrictLessThan: lt,
    sp.LessThan: le,
    sp.Eq: eq,
    sp.Ne: ne,
}


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
