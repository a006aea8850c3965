"""Equality of two bodies for all sizes: a proof as data, or nothing.

>>> import sympy as sp
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n = sp.Symbol("n", integer=True, positive=True)
>>> j, k = sp.symbols("j k", integer=True)
>>> x, A = tensor("x", n), tensor("A", n, n)
>>> slope = IndexSum(A[k, j] * x[j], j, n) + IndexSum(A[j, k] * x[j], j, n)
>>> prove_equal(slope, IndexSum((A[k, j] + A[j, k]) * x[j], j, n)) is not None
True
>>> twice = 2 * IndexSum(A[k, j] * x[j], j, n)
>>> prove_equal(slope, twice) is None
True
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from symgrad.errors import WrongShape
from symgrad.indices.cells import cells
from symgrad.indices.conversion import EFFORT, cleared, declare, make_store, named, read, write
from symgrad.indices.polynomials import Exhausted, Store
from symgrad.indices.printing import text
from symgrad.indices.terms import EXP, Array, Fact, IndexProduct, IndexSum, Positive, Within

_SAME, _CASES, _CASE = "arithmetic of sums", "each case of what is compared", "one such case"


@dataclass(frozen=True, slots=True)
class Condition:
    """Where an equality is claimed: ``body`` (for all its indices) "is not zero", "is positive", ..."""

    what: str
    body: Any

    def __str__(self) -> str:
        return f"{text(self.body)} {self.what}"


@dataclass(frozen=True, slots=True)
class Link:
    """``before`` equals ``after`` by a rule, wherever both are defined; ``sizes`` says where open indices run."""

    rule: str
    before: Any
    after: Any
    sizes: tuple[tuple[Any, Any], ...] = ()

    def __str__(self) -> str:
        return f"{text(self.before)} = {text(self.after)}  ({self.rule})"


@dataclass(frozen=True, slots=True)
class IndexProof:
    """That ``left`` equals ``right`` for all sizes and real values that meet the ``conditions`` and the ``facts``.

    ``links`` lead from each side to the form that both have; those between are uses of the rules that are more than
    arithmetic of sums, a few of each, and each is an equality that can be checked by itself.
    """

    left: Any
    right: Any
    links: tuple[Link, ...]
    conditions: tuple[Condition, ...]
    facts: tuple[Fact, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules, in the order of their first use."""
        return tuple(dict.fromkeys(link.rule for link in self.links))

    def __str__(self) -> str:
        lines = [f"{text(self.left)} = {text(self.right)}", *(f"  {link}" for link in self.links)]
        if self.conditions or self.facts:
            lines += ["where", *(f"  {c}" for c in (*self.facts, *self.conditions))]
        return "\n".join(lines)


def prove_equal(
    a: Any, b: Any, *, sizes: Mapping[Any, Any] | None = None, facts: Iterable[Fact] = (), effort: int = EFFORT
) -> IndexProof | None:
    """A proof that two bodies, or two Arrays, are equal for all sizes wherever both are defined; or None.

    ``sizes`` says where the free indices of bodies run; what is not said is taken from the axes they stand in.
    ``facts`` may be used, and those that were needed are named.  ``effort`` bounds the work, in terms.  None is no
    disproof.  Raises `symgrad.errors.BadFormula` for what is not index notation, and `symgrad.errors.WrongShape` for
    Arrays of two shapes.
    """
    left, right, runs = _aligned(a, b, dict(sizes or {}))
    found = _attempt(left, right, runs, tuple(facts), effort) or _by_cells(left, right, runs, tuple(facts), effort)
    if found is not None and left.has(IndexProduct) and is_meromorphic(left) and is_meromorphic(right):
        found = replace(found, conditions=tuple(map(_nonzero, found.conditions)))
    for fact in found.facts if found else ():  # those that were looked at: are they needed?
        fewer = tuple(f for f in (found.facts if found else ()) if f != fact)
        fewer_used = _attempt(left, right, runs, fewer, effort) or _by_cells(left, right, runs, fewer, effort)
        found = fewer_used or found
    return found


def is_meromorphic(e: Any) -> bool:
    """Whether a body is a meromorphic function of its leaves.

    Two such functions that are equal where all factors of a product are positive are equal wherever both have a value:
    that is the identity theorem, for the points where one of them has none are too few to part the space of complex
    leaves.
    """
    match e:
        case sp.KroneckerDelta() | Within():
            return not e.has(sp.Indexed)
        case sp.Pow():
            return bool(e.exp.is_integer) and not e.exp.has(sp.Indexed) and is_meromorphic(e.base)
        case sp.Symbol() | sp.Indexed() | sp.Rational() | sp.NumberSymbol():
            return True
        case sp.Add() | sp.Mul() | IndexSum() | IndexProduct() | EXP() | sp.sin() | sp.cos() | sp.tanh():
            return all(map(is_meromorphic, e.args))
    return False


def _nonzero(condition: Condition) -> Condition:
    return replace(condition, what="is not zero") if condition.what == "is positive" else condition


def replay(proof: IndexProof, *, effort: int = EFFORT) -> bool:
    """Whether the proof's links lead from its left side to its right side, and each holds when it is tried again."""
    first, *between, last = proof.links
    if first.before != proof.left or last.before != proof.right:
        return False
    if first.after != last.after and not any(link.after == 0 for link in between):
        return False
    free = proof.left.free_symbols | proof.right.free_symbols
    positive = (c.body for c in proof.conditions if c.what == "is positive")
    known = (_name(e) for e in positive if not (isinstance(e, sp.Indexed) and free & set(e.indices)))
    under = (*proof.facts, *map(Positive, known))
    return all(
        link.before == link.after
        or _attempt(link.before, link.after, dict(link.sizes), under, effort, {}, True)
        or (link.rule == _CASES and _by_cells(link.before, link.after, dict(link.sizes), under, effort))
        for link in proof.links
    )


def _name(body: Any) -> str:
    base: Any = body.base if isinstance(body, sp.Indexed) else None
    return str(body) if base is None else str(base.label)


def _aligned(a: Any, b: Any, sizes: dict[Any, Any]) -> tuple[Any, Any, dict[Any, Any]]:
    if isinstance(a, Array) and isinstance(b, Array):
        if len(a.shape) != len(b.shape) or any(sp.expand(s - t) != 0 for s, t in zip(a.shape, b.shape)):
            raise WrongShape(f"the shapes {a.shape} and {b.shape} differ")
        return a.body, b.at(a.axes), sizes | dict(zip(a.axes, a.shape, strict=True))
    if isinstance(a, Array) or isinstance(b, Array):
        raise WrongShape("an Array can be compared with an Array only, and a body with a body")
    return sp.sympify(a), sp.sympify(b), sizes


def _attempt(
    a: Any,
    b: Any,
    sizes: Any,
    facts: tuple[Fact, ...],
    effort: int,
    positive: Mapping[Positive, Condition] | None = None,
    deep: bool | None = None,
) -> IndexProof | None:
    """One try, under these facts; ``positive`` is what the formula's own logarithms say.

    A derivative of tanh is a polynomial in tanh: it is written in exponentials only where that is not enough.
    """
    positive = positive or {}
    if deep is None:
        deep = not (a.has(sp.tanh) and b.has(sp.tanh))
        if not deep and (found := _attempt(a, b, sizes, facts, effort, positive, deep)):
            return found
        deep = True
    store = make_store(facts=(*facts, *positive), effort=effort, deep=deep)
    try:
        declare(store, (a, b), sizes)
        p, q = read(store, a), read(store, b)
        steps = () if p is q else cleared(store, store.subtract(p, q))
    except (Exhausted, ZeroDivisionError, RecursionError):
        return None
    if steps is None:
        more = {} if positive else dict(_under_logarithms(store, a, b, facts))
        return _attempt(a, b, sizes, facts, effort, more, deep) if more else None
    runs = tuple(sizes.items())
    links = [Link(_SAME, a, write(store, p), runs)]
    for uses in store.instances.values():
        for u in uses:
            near = ((named(i), write(store, store.ranges[i])) for i in u.open_names if i in store.ranges)
            links.append(Link(u.rule, write(store, u.before, u.bound), write(store, u.after), tuple(near)))
    links += [Link(*step) for step in steps]
    links.append(Link(_SAME, b, write(store, q), runs))
    conditions = dict.fromkeys((*positive.values(), *(Condition(*said) for said in store.conditions)))
    return IndexProof(a, b, tuple(links), tuple(conditions), tuple(f for f in facts if f in store.used))


def _by_cells(a: Any, b: Any, sizes: Any, facts: tuple[Fact, ...], effort: int) -> IndexProof | None:
    """A proof for each combination of signs that the comparisons of entries in the two can have."""
    told = []
    for cell in cells([a, b]):
        left, right = cell.bodies
        proof = _attempt(left, right, sizes, facts, effort)
        if proof is None:
            return None
        told.append(proof)
    if not told:
        return None
    runs = tuple(sizes.items())
    cases = (Link(_CASE, p.left, p.right, runs) for p in told)
    links = (Link(_CASES, a, b, runs), *cases, Link(_SAME, b, b, runs))
    conditions = dict.fromkeys(c for p in told for c in p.conditions)
    return IndexProof(a, b, links, tuple(conditions), tuple(dict.fromkeys(f for p in told for f in p.facts)))


def _under_logarithms(store: Store, a: Any, b: Any, facts: tuple[Fact, ...]) -> Iterator[tuple[Positive, Condition]]:
    """Where log x[i] stands under a sum over all i, all of x is positive wherever the formula is defined."""
    if any(e.has(sp.Piecewise) for e in (a, b)):
        return  # a branch that is not taken says nothing
    free = a.free_symbols | b.free_symbols
    for condition in (Condition(*said) for said in store.conditions):
        e = condition.body
        if condition.what != "is positive":
            continue
        if isinstance(e, sp.Symbol) and Positive(e.name) not in facts:
            yield Positive(e.name), condition
        base: Any = e.base if isinstance(e, sp.Indexed) else None
        if base is not None and base.shape is not None and Positive(str(base.label)) not in facts:
            axes, indices = store.shapes[str(base.label)], tuple(condition.body.indices)
            runs = [i not in free and store.ranges.get(i) is size for i, size in zip(indices, axes, strict=True)]
            if all(runs) and len(set(indices)) == len(indices):
                yield Positive(str(base.label)), condition
