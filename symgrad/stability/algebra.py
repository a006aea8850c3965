"""Rewrites that are computed and not written down: logarithms of products, factors of sums, one denominator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import sympy as sp

from symgrad.stability.terms import ONE, Add, Call, Mul, Term, call, parts, plus, rebuilt, times

__all__ = ["algebra"]

_TERMS = 6  # of a sum that SymPy is asked about


def algebra(term: Term) -> Iterator[Term]:
    """The term with one part of it written another way."""
    for rule in (_log_of_product, _power_of_product, _factored, _over_one_denominator, _divided, _entry_taken_last):
        yield from _everywhere(rule, term)


def _everywhere(rule: Callable[[Term], Iterator[Term]], term: Term) -> Iterator[Term]:
    yield from (new for new in rule(term) if new != term)
    for part in dict.fromkeys(parts(term)):
        for other in _everywhere(rule, part):
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
