"""Terms: what a step means, as sums of products in one normal order, so that a rewrite need not know how it was typed.

A sum is a tuple of (rational coefficient, term), a product of (term, rational exponent); `plus` and `times` keep both
flat, merged and sorted.  Everything else is a `Call` of a row of the operation table or of a reduction, a `Leaf` (a
step that is not looked into), or, in the patterns of rules, a `Var`.

>>> x = Var("x")
>>> print(plus([(1, x), (2, ONE), (1, x)]), times([(x, 1), (x, 1), (call("exp", x), -2)]))
2 + 2*x exp(-2*x)*x**2
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

__all__ = ["ONE", "ZERO", "Add", "Call", "Leaf", "Mul", "Term", "Var", "call", "number_of", "parts", "plus"]
__all__ += ["rebuilt", "size_of", "times"]


class _Written:
    """Terms print as formulas; the text is also what they are sorted by."""

    @cached_property
    def text(self) -> str:
        return _text(self)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class Leaf(_Written):
    """A step of a Program."""

    step: int


@dataclass(frozen=True, repr=False)
class Var(_Written):
    """Any term, in a pattern."""

    name: str


@dataclass(frozen=True, repr=False)
class Call(_Written):
    """A function of terms; ``params`` are a reduction's axes, or a number that has no fraction."""

    head: str
    args: tuple[Any, ...]
    params: Any = None

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.head, self.args, str(self.params)))


@dataclass(frozen=True, repr=False)
class Add(_Written):
    terms: tuple[tuple[Fraction, Any], ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(("+", self.terms))


@dataclass(frozen=True, repr=False)
class Mul(_Written):
    factors: tuple[tuple[Any, Fraction], ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(("*", self.factors))


Term = Leaf | Var | Call | Add | Mul
ONE = Mul(())
ZERO = Add(())


def plus(pairs: Iterable[tuple[Any, Term]]) -> Term:
    """The sum of coefficient times term."""
    found: dict[Term, Fraction] = {}
    for c, term in pairs:
        for d, t in term.terms if isinstance(term, Add) else ((Fraction(1), term),):
            found[t] = found.get(t, Fraction(0)) + Fraction(c) * d
    kept = sorted(((c, t) for t, c in found.items() if c), key=lambda pair: (pair[1] != ONE, pair[1].text))
    if len(kept) == 1 and kept[0][0] == 1:
        return kept[0][1]
    return Add(tuple(kept))


def times(pairs: Iterable[tuple[Term, Any]], coefficient: Any = 1) -> Term:
    """The product of term to the exponent."""
    c, found = Fraction(coefficient), {}
    waiting = [(t, Fraction(e)) for t, e in pairs]
    while waiting:
        term, e = waiting.pop()
        if isinstance(term, Mul) and (e.denominator == 1 or term == ONE):
            waiting += [(t, f * e) for t, f in term.factors]
            continue
        if isinstance(term, Add) and len(term.terms) == 1 and e.denominator == 1:
            d, t = term.terms[0]
            c *= d**e.numerator
            waiting.append((t, e))
            continue
        if term == ZERO and e > 0:
            return ZERO
        if e.denominator != 1 and not 0 < e < 1 and (n := number_of(term)) is not None and n > 0:
            c *= n ** math.floor(e)  # 2**(-1/2) is 2**(1/2)/2
            e -= math.floor(e)
        if isinstance(term, Call) and term.head == "exp" and e.denominator == 1 and e != 1:
            term, e = call("exp", plus([(e, term.args[0])])), Fraction(1)
        found[term] = found.get(term, Fraction(0)) + e
    kept = sorted(((t, e) for t, e in found.items() if e), key=lambda pair: pair[0].text)
    product = kept[0][0] if len(kept) == 1 and kept[0][1] == 1 else Mul(tuple(kept))
    return product if c == 1 else plus([(c, product)])


def call(head: str, *args: Term, params: Any = None) -> Term:
    """A function of terms; powers and arithmetic that go by a name become products and sums."""
    match head, args:
        case "sqrt", (x,):
            return times([(x, Fraction(1, 2))])
        case "rsqrt", (x,):
            return times([(x, Fraction(-1, 2))])
        case "reciprocal", (x,):
            return times([(x, -1)])
        case "square", (x,):
            return times([(x, 2)])
        case "pow", (x, e) if (n := number_of(e)) is not None:
            return times([(x, n)])
        case "exp", (x,) if x == ZERO:
            return ONE
    return Call(head, args, params)


def number_of(term: Term) -> Fraction | None:
    """The rational number that a term is, if it is one."""
    match term:
        case Add(terms=()):
            return Fraction(0)
        case Add(terms=((c, t),)) if t == ONE:
            return c
        case Mul(factors=()):
            return Fraction(1)
    return None


def parts(term: Term) -> Iterator[Term]:
    """The terms that a term is made of, directly."""
    match term:
        case Add(terms=terms):
            yield from (t for _, t in terms)
        case Mul(factors=factors):
            yield from (t for t, _ in factors)
        case Call(args=args):
            yield from args


def rebuilt(term: Term, new: Mapping[Term, Term]) -> Term:
    """The term with direct parts replaced."""
    match term:
        case Add(terms=terms):
            return plus([(c, new.get(t, t)) for c, t in terms])
        case Mul(factors=factors):
            return times([(new.get(t, t), e) for t, e in factors])
        case Call(head=head, args=args, params=params):
            return call(head, *(new.get(a, a) for a in args), params=params)
    return term


def size_of(term: Term) -> int:
    """How many nodes a term has."""
    return 1 + sum(map(size_of, parts(term)))


def _text(term: Term) -> str:
    match term:
        case Leaf(step=i):
            return f"%{i}"
        case Var(name=name):
            return name
        case Call(head=head, args=args, params=p):
            return f"{head}{'' if p is None else f'[{p}]'}({', '.join(map(str, args))})"
        case Add(terms=()):
            return "0"
        case Add(terms=terms):
            return " + ".join(_scaled(c, t) for c, t in terms)
        case Mul(factors=()):
            return "1"
        case Mul(factors=factors):
            return "*".join(_power(t, e) for t, e in factors)
    raise TypeError(f"no term: {term!r}")


def _scaled(c: Fraction, t: Term) -> str:
    return str(c) if t == ONE else str(t) if c == 1 else f"{c}*{t}"


def _power(t: Term, e: Fraction) -> str:
    base = f"({t})" if isinstance(t, (Add, Mul)) else str(t)
    return base if e == 1 else f"{base}**{e}" if e.denominator == 1 and e > 0 else f"{base}**({e})"
