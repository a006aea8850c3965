"""Where the value of a step can lie, whatever the inputs are: intervals with exact ends, open or closed.

Interval arithmetic on the steps of a proof: an exponential is positive, a square is not negative, tanh lies between
-1 and 1.  A range is where the value lies at every real point at which the step is defined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from symgrad.program.primitives import number_of
from symgrad.program.program import Shape, Step, Strided, positions, size

_INF = float("inf")
_DEPTH = 24  # steps that are followed back; what lies deeper may have any value
_BITS = 512  # of an end; a longer one is given up
_MOST = 1 << 16  # positions that are looked through

End = Any  # a Fraction, or an infinite float


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers between two ends; an end that is ``open`` is not reached.

    >>> unit = Range(Fraction(-1), Fraction(1), True, True)
    >>> square = unit.squared()
    >>> square.low, square.high, (ONE + -square).is_positive
    (Fraction(0, 1), Fraction(1, 1), True)
    """

    low: End
    high: End
    low_open: bool = False
    high_open: bool = False

    @property
    def is_positive(self) -> bool:
        return self.low > 0 or (self.low == 0 and self.low_open)

    @property
    def is_not_negative(self) -> bool:
        return self.low >= 0

    @property
    def is_nonzero(self) -> bool:
        return self.is_positive or (-self).is_positive

    def __neg__(self) -> Range:
        return Range(-self.high, -self.low, self.high_open, self.low_open)

    def __add__(self, other: Range) -> Range:
        low = -_INF if -_INF in (self.low, other.low) else self.low + other.low
        high = _INF if _INF in (self.high, other.high) else self.high + other.high
        return Range(low, high, self.low_open or other.low_open, self.high_open or other.high_open)._short()

    def __mul__(self, other: Range) -> Range:
        corners = [_times(a, b) for a in self._ends() for b in other._ends()]
        return _hull(corners)

    def __or__(self, other: Range) -> Range:
        return _hull([*self._ends(), *other._ends()])

    def squared(self) -> Range:
        if self.low < 0 < self.high:
            return _hull([(Fraction(0), False), *(_times(e, e) for e in self._ends())])
        return self * self

    def power(self, n: int) -> Range:
        """The n-th powers, n positive."""
        if n % 2 == 0:
            return self.squared() if n == 2 else self.squared().power(n // 2)
        return self if n == 1 else _monotone(self, lambda x: x**n)

    def inverse(self) -> Range:
        """1/x for x that are not zero."""
        if self.low < 0 < self.high:
            return LINE
        if self.high <= 0:
            return -((-self).inverse())
        high = _INF if self.low == 0 else Fraction(1) / self.low
        low = Fraction(0) if self.high == _INF else Fraction(1) / self.high
        return Range(low, high, self.high_open or self.high == _INF, self.low_open)

    def times(self, least: int, most: int) -> Range:
        """Sums of ``least`` to ``most`` such numbers."""
        return _hull([_times(e, (Fraction(n), False)) for n in (least, most) for e in self._ends()])

    def within(self, other: Range) -> Range:
        """The part that lies in the other one, which is known to hold all."""
        low = max((self.low, self.low_open), (other.low, other.low_open))
        high = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Range(low[0], high[0], low[1], not high[1])

    def _ends(self) -> tuple[tuple[End, bool], tuple[End, bool]]:
        return (self.low, self.low_open), (self.high, self.high_open)

    def _short(self) -> Range:
        return _hull([*self._ends()])


LINE = Range(-_INF, _INF, True, True)
ONE = Range(Fraction(1), Fraction(1))
_UNIT = Range(Fraction(-1), Fraction(1))
_ABOVE = Range(Fraction(0), _INF, True, True)
_NOT_BELOW = Range(Fraction(0), _INF, False, True)


def _times(a: tuple[End, bool], b: tuple[End, bool]) -> tuple[End, bool]:
    """The product of two ends: nought times infinity is nought, which is reached where the nought is."""
    (x, x_open), (y, y_open) = a, b
    if x == 0 or y == 0:
        return Fraction(0), not ((x == 0 and not x_open) or (y == 0 and not y_open))
    return x * y if max(abs(x), abs(y)) < _INF else (_INF if (x > 0) == (y > 0) else -_INF), x_open or y_open


def _hull(ends: Sequence[tuple[End, bool]]) -> Range:
    low = min(x for x, _ in ends)
    high = max(x for x, _ in ends)
    low_open = all(is_open for x, is_open in ends if x == low)
    high_open = all(is_open for x, is_open in ends if x == high)
    if _is_long(low):
        low, low_open = (Fraction(0), True) if low > 0 else (-_INF, True)
    if _is_long(high):
        high, high_open = (Fraction(0), True) if high < 0 else (_INF, True)
    return Range(low, high, low_open, high_open)


def _is_long(x: End) -> bool:
    return isinstance(x, Fraction) and x.numerator.bit_length() + x.denominator.bit_length() > _BITS


def _monotone(r: Range, function: Callable[[Any], Any]) -> Range:
    return _hull([(x if abs(x) == _INF else function(x), is_open) for x, is_open in r._ends()])


def _odd(r: Range, most: Fraction, is_open: bool) -> Range:
    """A function that keeps signs and is bounded: tanh, erf, asin, atan."""
    low = Fraction(0) if r.low >= 0 else -most
    high = Fraction(0) if r.high <= 0 else most
    return Range(
        low,
        high,
        r.low_open if r.low == 0 else (is_open or r.low > 0),
        r.high_open if r.high == 0 else (is_open or r.high < 0),
    )


def _exp(r: Range) -> Range:
    low = (Fraction(1), r.low_open or r.low > 0) if r.low >= 0 else (Fraction(0), True)
    high = (Fraction(1), r.high_open or r.high < 0) if r.high <= 0 else (_INF, True)
    return Range(low[0], high[0], low[1], high[1])


def _log(r: Range) -> Range:
    low = (Fraction(0), r.low_open or r.low > 1) if r.low >= 1 else (-_INF, True)
    high = (Fraction(0), r.high_open or r.high < 1) if r.high <= 1 else (_INF, True)
    return Range(low[0], high[0], low[1], high[1])


def _sqrt(r: Range) -> Range:
    low = (Fraction(1), r.low_open or r.low > 1) if r.low >= 1 else (Fraction(0), r.is_positive)
    high = (Fraction(1), r.high_open or r.high < 1) if 0 < r.high <= 1 else (_INF, True)
    return Range(low[0], high[0], low[1], high[1])


def _abs(r: Range) -> Range:
    return (
        r
        if r.low >= 0
        else -r
        if r.high <= 0
        else _hull([(Fraction(0), False), *r._ends(), *(-r)._ends()]).within(_NOT_BELOW)
    )


def _sigmoid(r: Range) -> Range:
    half = Fraction(1, 2)
    low = half if r.low >= 0 else Fraction(0)
    high = half if r.high <= 0 else Fraction(1)
    return Range(low, high, r.low_open if r.low == 0 else True, r.high_open if r.high == 0 else True)


_FUNCTIONS: Mapping[str, Callable[[Range], Range]] = {
    "neg": lambda r: -r,
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "abs": _abs,
    "sigmoid": _sigmoid,
    "tanh": lambda r: _odd(r, Fraction(1), True),
    "erf": lambda r: _odd(r, Fraction(1), True),
    "sign": lambda r: _odd(r, Fraction(1), False),
    "asin": lambda r: _odd(r, Fraction(8, 5), True),
    "atan": lambda r: _odd(r, Fraction(8, 5), True),
    "sin": lambda r: _UNIT,
    "cos": lambda r: _UNIT,
    "gamma": lambda r: _ABOVE,
    "i0": lambda r: Range(Fraction(1), _INF, False, True),
}


class Ranges:
    """The ranges of steps, each found when it is asked for; ``find`` says which steps are known to be equal, and
    ``known`` in which ranges some of them lie."""

    def __init__(
        self,
        steps: Sequence[Step],
        find: Callable[[int], int] = lambda i: i,
        known: Mapping[int, Range] = MappingProxyType({}),
    ) -> None:
        self.steps = steps
        self.find = find
        self.known = known
        self._found: dict[int, Range] = {}

    def __getitem__(self, i: int) -> Range:
        return self._range(self.find(i), _DEPTH)

    def _range(self, i: int, depth: int) -> Range:
        if i not in self._found:
            if not depth:
                return LINE
            self._found[i] = self._read(i, self.steps[i], depth).within(self.known.get(i, LINE))
        return self._found[i]

    def _read(self, i: int, step: Step, depth: int) -> Range:
        if step.is_complex or any(self.steps[a].is_complex for a in step.args):
            return LINE
        number = number_of(self.steps, i)
        if number is not None:
            exact = Fraction(int(number.p), int(number.q))
            return _hull([(exact, False)])
        if step.op == "constant":
            return _constant(step)
        parents = [self.find(a) for a in step.args]
        args = [self._range(a, depth - 1) for a in parents]
        match step.op, args:
            case "add", (a, b):
                return a + b
            case "sub", (a, b):
                return a + -b
            case "mul", (a, b):
                (one, turned), (other, back) = map(self._sized, parents)
                return a * b if one != other else a.squared() if turned == back else -a.squared()
            case "div", (a, b):
                return a * b.inverse()
            case "powi", (a,):
                return a.power(step.params)
            case "pow", _:
                return _ABOVE
            case "pick", (_,) if size(step.shape) == 1 and self.steps[parents[0]].op == "constant":
                (at,) = np.asarray(positions(step.params, step.shape)).reshape(-1).tolist()
                return _constant(self.steps[parents[0]], slice(at - 1, at)) if at else Range(Fraction(0), Fraction(0))
            case "pick", _:
                return self._pick(step, args)
            case "scatter", (a,):
                return self._scatter(step, a)
            case "matmul", (a, b):
                is_square = step.shape[1:] == (1, 1) and self._is_gram(parents)  # a sum of squares
                each = a.squared() if is_square else a * b
                return each.times(*(2 * [self.steps[parents[0]].shape[2]]))
            case "det", _ if self.steps[parents[0]].op == "matmul":
                return _NOT_BELOW if self._is_gram([self.find(a) for a in self.steps[parents[0]].args]) else LINE
        rule = _FUNCTIONS.get(step.op)
        return LINE if rule is None else rule(args[0])

    def _sized(self, i: int) -> tuple[int, bool]:
        """The step without its minus signs, and whether their number is odd."""
        turned = False
        while self.steps[i].op == "neg":
            i, turned = self.find(self.steps[i].args[0]), not turned
        return i, turned

    def _pick(self, step: Step, args: Sequence[Range]) -> Range:
        found = args[0]
        for other in args[1:]:
            found = found | other
        return found if _covers(step.params, step.shape, 0) is False else found | Range(Fraction(0), Fraction(0))

    def _scatter(self, step: Step, term: Range) -> Range:
        shape = self.steps[step.args[0]].shape
        if size(shape) > _MOST:
            return term.times(0, size(shape))
        landed = np.bincount(positions(step.params, shape).reshape(-1), minlength=size(step.shape) + 1)[1:]
        return term.times(int(landed.min()), int(landed.max())) if landed.size else LINE

    def _is_gram(self, factors: Sequence[int]) -> bool:
        """Whether a matrix product is of matrices and their transposes."""
        left, right = (self.steps[i] for i in factors)
        if left.shape[1] != right.shape[2] or size(left.shape) > _MOST:
            return False
        (a, i), (b, j) = self._origin(factors[0]), self._origin(factors[1])
        return a == b and bool(np.array_equal(i.reshape(left.shape), j.reshape(right.shape).transpose(0, 2, 1)))

    def _origin(self, i: int) -> tuple[int, np.ndarray]:
        """The step that a layout reads, and at which positions."""
        i = self.find(i)
        step = self.steps[i]
        if step.op != "pick" or len(step.args) != 1:
            return i, np.arange(1, size(step.shape) + 1)
        base, before = self._origin(step.args[0])
        where = positions(step.params, step.shape).reshape(-1)
        return base, np.concatenate([[0], before.reshape(-1)])[where]


def _covers(params: Any, shape: Shape, position: int) -> bool:
    """Whether a layout reads this position (0: a zero)."""
    if isinstance(params, Strided):
        return False if position == 0 else bool((positions(params, shape) == position).any())
    return bool((np.asarray(params) == position).any())


def _constant(step: Step, part: slice = slice(None)) -> Range:
    """Numbers, or a part of them: as they are, between neighbouring floats where they stand for others, or in the ball
    that was typed."""
    c = step.params
    values = np.asarray(c.value).reshape(-1)[part]
    if values.dtype.kind == "c" or not values.size or not np.isfinite(values).all():
        return LINE
    if isinstance(c.exact, np.ndarray):
        numbers = [Fraction(x) for x in c.exact.reshape(-1)[part].tolist() if not isinstance(x, complex)]
        return Range(min(numbers), max(numbers)) if len(numbers) == values.size else LINE
    values = values.astype(np.float64)
    if c.exact is not None:
        low, high = np.nextafter(values, -np.inf), np.nextafter(values, np.inf)
        return Range(Fraction(float(low.min())), Fraction(float(high.max())))
    around = (
        [Fraction(0)] * values.size
        if c.radius is None
        else np.broadcast_to(np.asarray(c.radius, dtype=object).reshape(-1), np.size(c.value))[part].tolist()
    )
    numbers = [Fraction(x) for x in values.tolist()]
    least = min(x - r for x, r in zip(numbers, around, strict=True))
    return Range(least, max(x + r for x, r in zip(numbers, around, strict=True)))
