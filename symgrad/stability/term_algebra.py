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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import sympy as sp


class _Written:
    """Terms print as formulas; the text, made once, is also what they are sorted and found by."""

    @cached_property
    def text(self) -> str:
        return _text(self)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash(self.text)

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
    __hash__ = _Written.__hash__


@dataclass(frozen=True, repr=False)
class Add(_Written):
    terms: tuple[tuple[Fraction, Any], ...]
    __hash__ = _Written.__hash__


@dataclass(frozen=True, repr=False)
class Mul(_Written):
    factors: tuple[tuple[Any, Fraction], ...]
    __hash__ = _Written.__hash__


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


# ------------------------------------------------------------------------------------------------------------- algebra
# Rewrites that are computed and not written down: logarithms of products, factors of sums, one denominator.

_TERMS = 6  # of a sum that SymPy is asked about


def algebra(term: Term) -> Iterator[Term]:
    """The term with one part of it written another way."""
    for rule in (_log_of_product, _power_of_product, _factored, _over_one_denominator, _divided, _entry_taken_last):
        yield from everywhere(rule, term)


def everywhere(rule: Callable[[Term], Iterator[Term]], term: Term) -> Iterator[Term]:
    """The term rewritten by a rule once, at its top or anywhere inside."""
    yield from (new for new in rule(term) if new != term)
    for part in dict.fromkeys(parts(term)):
        for other in everywhere(rule, part):
            yield rebuilt(term, {part: other})


def _log_of_product(term: Term) -> Iterator[Term]:
    """log(c a**m b**n) = log c + m log a + n log b; of even powers log |a|; c is also what a sum's terms share."""
    if not (isinstance(term, Call) and term.head == "log"):
        return
    c, of = _content(term.args[0])
    factors = of.factors if isinstance(of, Mul) else ((of, Fraction(1)),)
    if (c == 1 and len(factors) < 2 and all(e == 1 for _, e in factors)) or c <= 0 or of == ONE:
        return
    split: list[tuple[Any, Term]] = [(e, call("log", call("abs", t) if _even(e) else t)) for t, e in factors]
    if c != 1:
        split.append((1 if c.numerator != 1 else -1, call("log", plus([(c if c.numerator != 1 else 1 / c, ONE)]))))
    yield plus(split)


def _content(term: Term) -> tuple[Fraction, Term]:
    """The number that all terms of a sum have as a coefficient, and the sum without it."""
    if isinstance(term, Add) and term.terms and len({c for c, _ in term.terms}) == 1:
        c = term.terms[0][0]
        return c, plus([(1, t) for _, t in term.terms])
    return Fraction(1), term


def _power_of_product(term: Term) -> Iterator[Term]:
    """prod(x)**r = exp(r sum log x)."""
    if isinstance(term, Mul):
        for t, e in term.factors:
            if isinstance(t, Call) and t.head == "prod" and e.denominator != 1:
                logs = Call("sum", (call("log", t.args[0]),), t.params)
                rest = [(u, f) for u, f in term.factors if u != t]
                yield times([*rest, (call("exp", plus([(e, logs)])), 1)])


def _divided(term: Term) -> Iterator[Term]:
    """A sum below the line with one of its terms taken out: a/(1 + a**2) = (1/a) a/(1/a + a)."""
    if not isinstance(term, Mul):
        return
    for t, e in term.factors:
        if isinstance(t, Add) and e < 0 and e.denominator == 1 and 2 <= len(t.terms) <= _TERMS:
            rest = [(u, f) for u, f in term.factors if u != t]
            for _, out in t.terms:
                if out != ONE:
                    inner = plus([(c, times([(u, 1), (out, -1)])) for c, u in t.terms])
                    yield times([*rest, (out, e), (inner, e)])


def _entry_taken_last(term: Term) -> Iterator[Term]:
    """f(x[i]) = f(x)[i], of a function that goes entry by entry."""
    if isinstance(term, Call) and term.head in ("log", "exp") and len(term.args) == 1:
        (inner,) = term.args
        if isinstance(inner, Call) and inner.head == "entry":
            yield Call("entry", (call(term.head, inner.args[0]),), inner.params)


def _even(e: Fraction) -> bool:
    return e.denominator == 1 and e.numerator % 2 == 0


def _factored(term: Term) -> Iterator[Term]:
    """A polynomial of several terms as a product."""
    if not isinstance(term, Add) or not 2 <= len(term.terms) <= _TERMS:
        return
    if all(_degree(t) < 2 for _, t in term.terms):
        return
    atoms: dict[Term, Any] = {}
    e = _to_sympy(term, atoms)
    if len(atoms) > 4 or not e.is_polynomial(*atoms.values()):
        return
    found = sp.factor(e)
    if not isinstance(found, sp.Add):
        yield _from_sympy(found, {s: t for t, s in atoms.items()})


def _degree(t: Term) -> Fraction:
    return sum((e for _, e in t.factors), Fraction(0)) if isinstance(t, Mul) else Fraction(1)


def _over_one_denominator(term: Term) -> Iterator[Term]:
    """A sum of fractions as one fraction, its numerator multiplied out."""
    if not isinstance(term, Add) or not 2 <= len(term.terms) <= _TERMS:
        return
    if not any(isinstance(t, Mul) and any(e < 0 for _, e in t.factors) for _, t in term.terms):
        return
    atoms: dict[Term, Any] = {}
    e = _to_sympy(term, atoms)
    if len(atoms) > 4:
        return
    above, below = sp.fraction(sp.together(e))
    yield _from_sympy(sp.expand(above) / below, {s: t for t, s in atoms.items()})


def _to_sympy(term: Term, atoms: dict[Term, Any]) -> Any:
    """The term in SymPy, whatever is no sum, product or whole power being a symbol."""
    match term:
        case Add(terms=terms):
            return sp.Add(*(sp.Rational(c.numerator, c.denominator) * _to_sympy(t, atoms) for c, t in terms))
        case Mul(factors=factors) if all(e.denominator == 1 for _, e in factors):
            return sp.Mul(*(_to_sympy(t, atoms) ** int(e) for t, e in factors))
        case Mul(factors=factors) if len(factors) > 1:
            return sp.Mul(*(_to_sympy(times([(t, e)]), atoms) for t, e in factors))
        case Mul(factors=((t, e),)) if e < 0:
            return 1 / _to_sympy(times([(t, -e)]), atoms)
    return atoms.setdefault(term, sp.Symbol(f"a{len(atoms)}", real=True))


def _from_sympy(e: Any, names: dict[Any, Term]) -> Term:
    if e.is_Rational:
        return plus([(Fraction(int(e.p), int(e.q)), ONE)])
    if e in names:
        return names[e]
    if isinstance(e, sp.Add):
        return plus([(1, _from_sympy(a, names)) for a in e.args])
    if isinstance(e, sp.Mul):
        return times([(_from_sympy(a, names), 1) for a in e.args])
    base, exponent = e.as_base_exp()
    return times([(_from_sympy(base, names), Fraction(int(exponent.p), int(exponent.q)))])
