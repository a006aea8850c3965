"""The smallest sizes, and a point, where two bodies differ for certain.

>>> import sympy as sp
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n, i = sp.Symbol("n", integer=True, positive=True), sp.Symbol("i", integer=True)
>>> x = tensor("x", n)
>>> refute(IndexSum(x[i] ** 2, i, n), IndexSum(x[i], i, n) ** 2).sizes
{n: 2}
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import arb, ctx, fmpq

from symgrad.indices.evaluators import evaluate
from symgrad.indices.polynomials import rational
from symgrad.indices.terms import Array, Fact, Positive, SumsTo, Symmetric, free_ranges

__all__ = ["Witness", "refute"]

BITS = 128


@dataclass(frozen=True, slots=True)
class Witness:
    """Two bodies that differ: the sizes, the place, the exact values of the leaves, and a ball that excludes zero."""

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
    bodies = sp.sympify(a), sp.sympify(b)
    names = _Names.of(bodies, dict(sizes or {}))
    choices = itertools.product(range(1, largest + 1), repeat=len(names.sizes))
    saved, ctx.prec = ctx.prec, BITS
    try:
        for choice in sorted(choices, key=lambda c: (sum(c), c)):
            at = dict(zip(names.sizes, choice, strict=True))
            widest = max(choice, default=1) + 1  # for an index that stands in no axis
            spans = [range(int(sp.sympify(names.runs.get(i, widest)).subs(at))) for i in names.indices]
            for _ in range(points):
                exact = _point(names, at, tuple(facts), draw)
                values = {name: _mapped(v, arb) for name, v in exact.items()}
                for place in itertools.product(*spans):
                    index = dict(zip(names.indices, place, strict=True))
                    difference = _difference(bodies, values, at | index)
                    if difference is not None:
                        return Witness(at, index, exact, difference)
    finally:
        ctx.prec = saved
    return None


def _difference(bodies: Any, values: Any, at: Any) -> arb | None:
    """A ball around the difference that excludes zero, if there is one here."""
    try:
        x, y = (evaluate(body, values, at) for body in bodies)
    except IndexError:  # an entry outside its axis
        return None
    difference = x - y
    return difference if difference.is_finite() and not difference.contains(0) else None


@dataclass(frozen=True, slots=True)
class _Names:
    """What two bodies are made of."""

    bases: dict[str, Any]
    sizes: list[Any]
    indices: list[Any]
    scalars: list[Any]
    runs: dict[Any, Any]

    @classmethod
    def of(cls, bodies: Iterable[Any], runs: dict[Any, Any]) -> _Names:
        leaves: list[Any] = [e for body in bodies for e in sp.preorder_traversal(body) if isinstance(e, sp.Indexed)]
        bases = {str(e.base.label): e.base for e in leaves}
        shapes = [s for base in bases.values() for s in base.shape or ()]
        free = set().union(*(sp.sympify(e).free_symbols for e in (*bodies, *runs, *runs.values(), *shapes)))
        free -= {part for base in bases.values() for part in (base, base.label)}
        symbols = sorted((s for s in free if isinstance(s, sp.Symbol)), key=str)
        indices = [s for s in symbols if s.is_integer and not s.is_positive]
        for index, axes in free_ranges(bodies).items():
            runs.setdefault(index, sp.Min(*axes))
        sizes = [s for s in symbols if s.is_integer and s.is_positive]
        return cls(bases, sizes, indices, [s for s in symbols if not s.is_integer], runs)


def _point(names: _Names, at: Any, facts: tuple[Fact, ...], draw: random.Random) -> dict[str, Any]:
    """Exact values of all leaves, which meet the facts."""
    positive = {f.name for f in facts if isinstance(f, Positive)}
    values: dict[str, Any] = {}
    for name, base in sorted(names.bases.items()):
        shape = [int(sp.sympify(s).subs(at)) for s in base.shape]
        least = 1 if name in positive or base.is_positive else -24
        value = _filled(shape, lambda least=least: fmpq(draw.randint(least, 24), 16))
        for fact in (f for f in facts if f.name == name):
            match fact:
                case Symmetric():
                    value = [[value[min(i, j)][max(i, j)] for j in range(shape[0])] for i in range(shape[0])]
                case SumsTo():
                    value = _summing(value, fact.axis, rational(fact.value), least > 0)
        values[name] = value
    for s in names.scalars:
        values[s.name] = fmpq(draw.randint(1 if s.name in positive or s.is_positive else -24, 24), 16)
    return values


def _filled(shape: Sequence[int], make: Callable[[], Any]) -> Any:
    return [_filled(shape[1:], make) for _ in range(shape[0])] if shape else make()


def _mapped(nested: Any, f: Callable[[Any], Any]) -> Any:
    return [_mapped(v, f) for v in nested] if isinstance(nested, list) else f(nested)


def _summing(nested: Any, axis: int, value: Any, positive: bool) -> Any:
    """Numbers like these that sum to ``value`` along the axis: the last is changed, or all are scaled."""
    if axis:
        return [_summing(v, axis - 1, value, positive) for v in nested]
    if isinstance(nested[0], list):
        columns = [_summing([row[k] for row in nested], 0, value, positive) for k in range(len(nested[0]))]
        return [[column[p] for column in columns] for p in range(len(nested))]
    if positive:
        return [v * value / sum(nested, fmpq(0)) for v in nested]
    return [*nested[:-1], value - sum(nested[:-1], fmpq(0))]
