"""A body at given sizes and values, in balls.

>>> import sympy as sp
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n, i = sp.Symbol("n", integer=True, positive=True), sp.Symbol("i", integer=True)
>>> evaluate(IndexSum(tensor("x", n)[i] ** 2, i, n), {"x": [1.0, 2.0, 3.0]}, {n: 3})
14.0000000000000
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import add, eq, ge, gt, le, lt, methodcaller, mul, ne
from typing import Any

import numpy as np
import sympy as sp
from flint import acb, arb

from symgrad.errors import BadFormula
from symgrad.evaluation.balls import ball_of
from symgrad.indices.terms import (
    EXP,
    RELU,
    STEP,
    Array,
    Binder,
    Cholesky,
    Det,
    ExponentialSlope,
    IndexProduct,
    IndexSum,
    LogDet,
    MatrixExponential,
    Within,
)
from symgrad.ops.matrices import MATRICES
from symgrad.ops.row import X
from symgrad.ops.scalars import OPS


def _power(b: arb, e: Any) -> arb:
    if e.q == 1:
        return b ** int(e.p)
    return (b.sqrt() if e.q == 2 else (b.log() / int(e.q)).exp()) ** int(e.p)


def _sign(b: arb) -> arb:
    if b > 0:
        return arb(1)
    return arb(-1) if b < 0 else arb("nan")


def _step(b: arb) -> arb:
    return arb(1) if b > 0 else arb(0) if b <= 0 else arb("nan")


_METHODS = "exp log sinh cosh tanh sin cos tan asin acos atan asinh acosh atanh erf erfc erfinv gamma digamma".split()
_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{type(op.exact): op.ball for op in OPS.values() if op.ball and op.exact.args == (X,)},
    **{getattr(sp, name): methodcaller(name) for name in _METHODS},
    EXP: arb.exp,
    sp.loggamma: arb.lgamma,
    sp.Abs: abs,
    sp.sign: _sign,
    STEP: _step,
    sp.Heaviside: lambda x, *_: (1 + _sign(x)) / 2,
    RELU: lambda x: x.max(arb(0)),
    sp.Max: arb.max,
    sp.Min: arb.min,
}


def evaluate(body: Any, values: Mapping[str, Any], at: Mapping[Any, int]) -> Any:
    """The value of a body: ``values`` holds nested sequences (or arrays) by name, ``at`` sizes and free indices.

    An entry that an indicator switches off may stand outside its axis.  Raises IndexError for any other there, and for
    a sum of a negative number of terms, `symgrad.errors.BadFormula` for a function that balls do not have, and
    KeyError for a name without a value.
    """
    return _Evaluation(values).code(sp.sympify(body))(dict(at))


def evaluate_all(array: Array, values: Mapping[str, Any], at: Mapping[Any, int]) -> Any:
    """Every entry of an Array, as nested lists; what entries share is calculated once."""
    work = _Evaluation(values)
    code = work.code(sp.sympify(array.body))
    lengths = [work.integer(sp.sympify(size)) for size in array.shape]

    def part(depth: int, here: At) -> Any:
        if depth == len(lengths):
            return code(here)
        return [part(depth + 1, here | {array.axes[depth]: v}) for v in range(lengths[depth](here))]

    return part(0, dict(at))


def _ball(x: Any) -> Any:
    return x if isinstance(x, (arb, acb)) else ball_of(x.item() if isinstance(x, np.ndarray) else x)


At = dict[Any, int]
Code = Callable[[At], Any]


class _Evaluation:
    """Bodies as Python functions of where their free indices are; sums and functions remember their values."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.made: dict[Any, Code] = {}

    def code(self, e: Any) -> Code:
        if e not in self.made:
            self.made[e] = self._code(e)
        return self.made[e]

    def _code(self, e: Any) -> Code:
        match e:
            case sp.Rational() | sp.Float():
                value = ball_of(sp.Rational(e))  # type: ignore[arg-type]
                return lambda at: value
            case sp.Symbol():
                return lambda at: arb(at[e]) if e in at else _ball(self.values[e.name])
            case sp.Indexed():
                return self._entry(e)
            case sp.KroneckerDelta() | Within():
                mark = self._mark(e)
                return lambda at: arb(bool(mark(at)))
            case sp.Add():
                return self._sum([self.code(a) for a in e.args])
            case sp.Mul():
                return self._product(e)
            case sp.Pow() if e.exp.is_Rational and e.base is not sp.E:
                base, exponent = self.code(e.base), e.exp
                return lambda at: _power(base(at), exponent)
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
            case IndexProduct():
                body, size, index = self.code(e.body), self.integer(e.size), e.index
                return lambda at: reduce(mul, (body({**at, index: v}) for v in self._run(e, size(at))), arb(1))
            case Binder():
                return self._matrix(e)
            case sp.Pow() if e.base is not sp.E and e.exp.is_integer:
                base, exponent = self.code(e.base), self.integer(e.exp)
                return lambda at: base(at) ** exponent(at)
            case sp.Pow():
                return self.code(sp.exp(e.exp * sp.log(e.base), evaluate=False))
            case sp.NumberSymbol():
                if e not in (sp.pi, sp.E):
                    raise BadFormula(f"{e} has no value")
                head, scale = (sp.atan, 4) if e is sp.pi else (sp.exp, 1)
                return lambda at: scale * self._function(head)(arb(1))
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
        return reduce(add, values, arb(0))

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
                    raise IndexError(f"{e} stands outside its axis where {index} is {k}")
                value = value[k]
            return _ball(value)

        return entry

    def _product(self, e: Any) -> Code:
        """Deltas and indicators first: where one is 0, the other factors may stand outside their axes."""
        marks = [self._mark(a) for a in e.args if isinstance(a, (sp.KroneckerDelta, Within))]
        others = [self.code(a) for a in e.args if not isinstance(a, (sp.KroneckerDelta, Within))]

        def product(at: At) -> Any:
            if not all(mark(at) for mark in marks):
                return arb(0)
            return reduce(mul, (factor(at) for factor in others), arb(1))

        return product

    def _mark(self, e: Any) -> Callable[[At], bool]:
        first, second = (self.integer(a) for a in e.args[:2])
        if isinstance(e, sp.KroneckerDelta):
            return lambda at: first(at) == second(at)
        return lambda at: 0 <= first(at) < second(at)

    def _function(self, head: Any) -> Callable[..., Any]:
        if head not in _FUNCTIONS:
            raise BadFormula(f"there is no {head} of balls")
        return _FUNCTIONS[head]

    def _choice(self, e: Any) -> Code:
        pairs = [(self.code(value), self._truth(c)) for value, c in e.args]

        def choice(at: At) -> Any:
            for value, truth in pairs:
                holds = truth(at)
                if holds is None:
                    break
                if holds:
                    return value(at)
            return arb("nan")

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
        yes, no = _COMPARISONS[type(c)]

        def compared(at: At) -> bool | None:
            here = value(at)
            return True if yes(here, 0) else False if no(here, 0) else None

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
        determinant = self._remembered(whole, lambda at: _determinant(rows(at)))
        match e:
            case Det():
                return determinant
            case LogDet():
                log = self._function(sp.log)
                return lambda at: log(abs(determinant(at)))
        places = [self.integer(x) for x in e.entry]
        if isinstance(e, ExponentialSlope):
            return lambda at: _exponential_slope(rows(at), *(x(at) for x in places))
        i, j = places
        if isinstance(e, MatrixExponential):
            made = self._remembered(whole, lambda at: _exponential(rows(at)))
            return lambda at: made(at)[i(at)][j(at)]
        if isinstance(e, Cholesky):
            factor = self._remembered(whole, lambda at: _cholesky(rows(at)))
            return lambda at: factor(at)[i(at)][j(at)]

        def entry(at: At) -> Any:
            p, q = j(at), i(at)
            left = [[v for k, v in enumerate(r) if k != q] for k, r in enumerate(rows(at)) if k != p]
            minor = _determinant(left)
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


def _cholesky(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The triangle whose product with its transpose is the matrix; NaN where a pivot is not certainly positive."""
    n = len(rows)
    out = [[arb(0)] * n for _ in range(n)]
    for j, column in enumerate(zip(*rows, strict=True)):
        for i in range(j, n):
            rest = column[i] - reduce(add, (out[i][k] * out[j][k] for k in range(j)), arb(0))
            out[i][j] = rest / out[j][j] if i > j else arb(rest).sqrt() if arb(rest) > 0 else arb("nan")
    return out


def _exponential(rows: Sequence[Sequence[Any]]) -> Any:
    return MATRICES["matrix_exp"].ball(np.array(rows, dtype=object), None)


def _exponential_slope(rows: Sequence[Sequence[Any]], i: int, p: int, q: int, j: int) -> Any:
    """In the corner of the exponential of [[A, E], [0, A]], for an E with one entry."""
    n = len(rows)
    whole = np.full((2 * n, 2 * n), arb(0), dtype=object)
    whole[:n, :n] = whole[n:, n:] = np.array(rows, dtype=object)
    whole[p, n + q] = arb(1)
    return _exponential(whole.tolist())[i, n + j]


def _determinant(rows: Sequence[Sequence[Any]]) -> Any:
    """By minors where they are few; else by elimination, with pivots that are certainly not zero."""
    if not rows:
        return arb(1)
    if len(rows) > _MINORS:
        return _eliminated([list(row) for row in rows])
    total = arb(0)
    for p, row in enumerate(rows):
        minor = _determinant([r[1:] for q, r in enumerate(rows) if q != p])
        total = total + row[0] * minor if p % 2 == 0 else total - row[0] * minor
    return total


def _eliminated(rows: list[list[Any]]) -> Any:
    product = arb(1)
    while rows:
        certain = [k for k, row in enumerate(rows) if row[0] != 0]
        if not certain:  # the column is zero, or a ball cannot tell
            return arb(0) if all(row[0] == 0 for row in rows) else arb("nan")
        best = max(certain, key=lambda k: abs(float(rows[k][0])))
        pivot = rows.pop(best)
        product = product * pivot[0] if best % 2 == 0 else -(product * pivot[0])
        factors = [row[0] / pivot[0] for row in rows]
        rows = [[v - f * w for v, w in zip(row[1:], pivot[1:], strict=True)] for f, row in zip(factors, rows)]
    return product


_MINORS = 3
