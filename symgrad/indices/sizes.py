"""Sizes as symbols: what a number is, seen in runs at several sizes.

Code is run at a few assignments of the sizes (different primes, so that no two expressions give the same numbers), and
a number that was met in each run is read as the expression in the sizes that gives it in all of them: an axis, an
offset, a constant such as 1/sqrt(m).  A size whose value the user's objects fix (the width of a given module) cannot
be varied; there, `literals` says that the number itself is read as the size.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from symgrad.errors import SymgradError

Numbers = tuple[int, ...]  # one number for each run
_LARGE = {1: (101, 103, 107, 109), 2: (61, 59, 53, 47), 3: (13, 17, 11, 7)}  # by how many axes the tensors have
_ROOT = 4  # the least number that is read as the root of a size
_DEGREE = 3  # of the products of sizes that are looked for
_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)


class Unread(SymgradError):
    """A Program, or a part of it, that index notation could not say for all sizes."""


class OtherSteps(Unread):
    """Code that does not take the same steps at all sizes."""


def size_symbol(name: str) -> sp.Symbol:
    """The symbol of a size: a positive integer."""
    return sp.Symbol(name, integer=True, positive=True)


@dataclass(frozen=True)
class Sizes:
    """The names of the sizes, and what they are in each run.

    ``fixed`` are those whose value is the same in all runs; with ``literals`` a number equal to one of them is read
    as that size.

    >>> sizes = Sizes.of(("m", "d"))
    >>> sizes.runs
    ({'m': 3, 'd': 5}, {'m': 5, 'd': 7}, {'m': 7, 'd': 3})
    >>> sizes.expression((15, 35, 21)), sizes.expression((2, 4, 6)), sizes.expression((2, 2, 2))
    (d*m, m - 1, 2)
    """

    names: tuple[str, ...]
    runs: tuple[Mapping[str, int], ...]
    literals: bool = False
    met: dict[str, int] = field(default_factory=dict, compare=False, repr=False)  # the numbers that were read as sizes

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        fixed: Mapping[str, int] | None = None,
        *,
        literals: bool = False,
        least: int = 3,
        rank: int = 0,
        order: Sequence[str] = (),
    ) -> Sizes:
        """Three runs over different primes that are at least ``least``; and where tensors have ``rank`` axes, and these
        are few, one over large ones, for code that goes another way from some size on.  One run, where every size is
        fixed.  Where the sizes have an ``order``, they grow in it in each run.

        >>> Sizes.of(("n", "k"), order=("k", "n")).runs
        ({'n': 7, 'k': 3}, {'n': 11, 'k': 5}, {'n': 13, 'k': 7})
        """
        fixed = fixed or {}
        free = [n for n in order or names if n not in fixed]
        primes = [p for p in _PRIMES if p >= least]
        count = 3 if free else 1
        if order and 2 * len(free) + 1 <= len(primes):
            place = lambda k, r: 2 * k + r  # noqa: E731
        else:
            primes = primes[: max(3, len(free))]
            place = lambda k, r: (k + r) % len(primes)  # noqa: E731
        runs = [{n: fixed[n] if n in fixed else primes[place(free.index(n), r)] for n in names} for r in range(count)]
        if free and len(free) <= len(_LARGE.get(rank, ())):
            large = _LARGE[rank][: len(free)]
            large = tuple(sorted(large)) if order else large
            runs.append({n: fixed[n] if n in fixed else large[free.index(n)] for n in names})
        runs = tuple(runs)
        return cls(tuple(names), runs, literals)

    @classmethod
    def with_own(cls, own: Mapping[str, int]) -> Sizes:
        """Three runs over small sizes, and one over the sizes of the question itself.

        A root of a size that is a square is a whole number, which code writes in other steps: there the small ones are
        squares too.

        >>> Sizes.with_own({"m": 128, "d": 64}).runs
        ({'m': 3, 'd': 4}, {'m': 5, 'd': 9}, {'m': 7, 'd': 25}, {'m': 128, 'd': 64})
        """
        pools: dict[str, list[int]] = {}
        for square in (False, True):
            like = [n for n, v in own.items() if (math.isqrt(v) ** 2 == v) == square]
            small = [p * p for p in (2, *_PRIMES)] if square else list(_PRIMES)
            small = small[: max(3, len(like))]
            pools |= {n: [small[(k + r) % len(small)] for r in range(3)] for k, n in enumerate(like)}
        return cls(tuple(own), (*({n: pools[n][r] for n in own} for r in range(3)), dict(own)))

    @property
    def fixed(self) -> dict[str, int]:
        return {n: self.runs[0][n] for n in self.names if len({r[n] for r in self.runs}) == 1 and self.is_fixed(n)}

    def is_fixed(self, name: str) -> bool:
        return len(self.runs) == 1 or all(r[name] == self.runs[0][name] for r in self.runs)

    def symbol(self, name: str) -> sp.Symbol:
        return size_symbol(name)

    def values(self, e: Any) -> Numbers:
        """What an expression in the sizes is in each run."""
        return tuple(int(sp.sympify(e).subs({size_symbol(n): v for n, v in run.items()})) for run in self.runs)

    def extent(self, numbers: Numbers) -> Any:
        """The length of an axis: a fixed size is recognised by its number, whether or not literals are read so."""
        named = [n for n, v in self.fixed.items() if len(set(numbers)) == 1 and v == numbers[0] and v > 1]
        return size_symbol(named[0]) if len(named) == 1 else self.expression(numbers)

    def expression(self, numbers: Sequence[Any]) -> Any:
        """The expression in the sizes that is these numbers.

        Raises `Unread` where no product of sizes, plus a number, or sum of two of them is.
        """
        if len(set(numbers)) == 1:
            return self._constant(numbers[0])
        numbers = [sp.sympify(n) for n in numbers]
        for shape, values in self._products():
            found = _line(values, numbers)
            if found is not None:
                return found[0] * shape + found[1]
        for (a, x), (c, y) in itertools.combinations(self._products(), 2):
            for sign in (1, -1):
                rest = {n - p - sign * q for n, p, q in zip(numbers, x, y, strict=True)}
                if len(rest) == 1:
                    return a + sign * c + rest.pop()
        raise Unread(f"the numbers {', '.join(map(str, numbers))}, met at sizes {self}, are no expression in them.")

    def _products(self) -> Iterator[tuple[Any, Numbers]]:
        free = [n for n in self.names if not self.is_fixed(n)]
        for degree in range(1, _DEGREE + 1):
            for chosen in itertools.combinations_with_replacement(free, degree):
                yield sp.Mul(*map(size_symbol, chosen)), tuple(_product(run[n] for n in chosen) for run in self.runs)

    def _constant(self, n: Any) -> Any:
        if self.literals:
            for e, v in self._fixed_products():
                if v == n:
                    self.met.update({s.name: self.fixed[s.name] for s in e.free_symbols})
                    return e
        return sp.sympify(n)

    def _fixed_products(self) -> Iterator[tuple[Any, int]]:
        fixed = {n: v for n, v in self.fixed.items() if v > 1}
        for degree in (1, 2):
            for chosen in itertools.combinations_with_replacement(fixed, degree):
                yield sp.Mul(*map(size_symbol, chosen)), _product(fixed[n] for n in chosen)

    def number(self, values: Sequence[Any]) -> Any:
        """The expression that is these exact numbers (SymPy's): ``sqrt(3), sqrt(5), sqrt(7)`` is ``sqrt(m)``."""
        first = values[0]
        if all(v == first for v in values):
            return self._literal(first)
        rational = all(v.is_Rational for v in values)
        if rational:
            with contextlib.suppress(Unread):
                return self._fraction(values)
        squares = [sp.expand(v**2) for v in values]
        if all(s.is_Rational for s in squares) and len({v.is_positive for v in values}) == 1:
            root = sp.sqrt(self._fraction(squares))
            return root if first.is_positive else -root
        if all(v.func == first.func and len(v.args) == len(first.args) and v.args for v in values):
            return first.func(*(self.number(parts) for parts in zip(*(v.args for v in values), strict=True)))
        raise Unread(f"the constants {', '.join(map(str, values))}, met at sizes {self}, are no expression in them.")

    def _fraction(self, values: Sequence[Any]) -> Any:
        """A fraction whose lowest terms may hide what the numerator and denominator have in common."""
        for below, numbers in [(sp.Integer(1), (1,) * len(self.runs)), *self._products()]:
            try:
                return self.expression([v * n for v, n in zip(values, numbers, strict=True)]) / below
            except Unread:
                continue
        p, q = ([sp.Integer(getattr(v, part)) for v in values] for part in "pq")
        return self.expression(p) / self.expression(q)

    def _literal(self, value: Any) -> Any:
        """A number that is the same in every run; one that is a fixed size, its square or its root, may mean it."""
        if not self.literals or not isinstance(value, sp.Expr):
            return value
        if isinstance(value, sp.Rational):
            return self._size_or_root(int(value.p)) / self._size_or_root(int(value.q)) if value.p > 0 else value
        square = sp.expand(value**2)
        if square.is_Rational and value.is_positive:
            return sp.sqrt(self._literal(square))
        return value

    def _size_or_root(self, n: int) -> Any:
        """A whole number that is a fixed size, or the root of one: 16 where m is 256."""
        found = self._constant(n)
        if found.is_number and n >= _ROOT and n * n in self.fixed.values():
            return sp.sqrt(self._constant(n * n))
        return found

    def __str__(self) -> str:
        return "; ".join(", ".join(f"{n} = {v}" for n, v in run.items()) for run in self.runs)


def _line(x: Numbers, y: Sequence[Any]) -> tuple[Any, Any] | None:
    """(a, b) with y = a * x + b in every run, a not zero."""
    ends = [(p, q) for p, q in zip(x, y, strict=True)]
    (p0, q0), other = ends[0], next((e for e in ends if e[0] != ends[0][0]), None)
    if other is None:
        return None
    a = (other[1] - q0) / sp.Integer(other[0] - p0)
    b = q0 - a * p0
    if a == 0 or any(a * p + b != q for p, q in ends) or len(set(ends)) < 3:
        return None
    return a, b


def _product(numbers: Iterator[int]) -> int:
    total = 1
    for n in numbers:
        total *= n
    return total
