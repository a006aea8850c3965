"""Matching patterns against terms, up to the order of sums and products, and parts of them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from symgrad.stability.term_algebra import ONE, Add, Call, Mul, Term, Var, call, number_of, plus, times

_COMMUTE = frozenset(("logaddexp", "hypot", "maximum", "minimum"))
REDUCTIONS = frozenset(("sum", "softmax", "log_softmax", "logsumexp", "prod", "max"))

Bound = dict[str, Any]


@dataclass(frozen=True)
class Match:
    """What the variables of a pattern stand for, and what is left: ``left + scale * times * ...`` around the match."""

    bound: Mapping[str, Any]
    scale: Term
    left: Term


# ------------------------------------------------------------------------------------------------ patterns


@functools.lru_cache(maxsize=1024)
def pattern(text: str, n: int | None = None) -> Term:
    """A typed pattern as a term; names are variables, and N is the number ``n`` of entries that are added up.

    >>> pattern("1 - tanh(z)**2")
    1 + -1*tanh(z)**2
    >>> pattern("sum(x)/N", 4)
    1/4*sum(x)
    """
    return _read(ast.parse(text.strip(), mode="eval").body, n)


def _read(node: ast.expr, n: int | None) -> Term:
    match node:
        case ast.Constant(value=value):
            return plus([(Fraction(str(value)), ONE)])
        case ast.Name(id="N"):
            return plus([(Fraction(n or 1), ONE)])
        case ast.Name(id="pi"):
            return Call("number", (), "pi")
        case ast.Name(id=name):
            return Var(name)
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return plus([(-1, _read(a, n))])
        case ast.BinOp(left=a, op=ast.Add(), right=b):
            return plus([(1, _read(a, n)), (1, _read(b, n))])
        case ast.BinOp(left=a, op=ast.Sub(), right=b):
            return plus([(1, _read(a, n)), (-1, _read(b, n))])
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            return times([(_read(a, n), 1), (_read(b, n), 1)])
        case ast.BinOp(left=a, op=ast.Div(), right=b):
            return times([(_read(a, n), 1), (_read(b, n), -1)])
        case ast.BinOp(left=a, op=ast.Pow(), right=b):
            return call("pow", _read(a, n), _read(b, n))
        case ast.Call(func=ast.Name(id=head), args=args):
            return call(head, *(_read(a, n) for a in args))
    raise ValueError(f"no pattern: {ast.unparse(node)}")


def substituted(term: Term, bound: Mapping[str, Any]) -> Term:
    """A pattern with its variables' terms put in; reductions run over the axes that were bound."""
    if isinstance(term, Var):
        return bound[term.name]
    if isinstance(term, Call):
        params = bound.get("axes", term.params) if term.head in REDUCTIONS else term.params
        return call(term.head, *(substituted(a, bound) for a in term.args), params=params)
    if isinstance(term, Add):
        return plus([(c, substituted(t, bound)) for c, t in term.terms])
    if isinstance(term, Mul):
        return times([(substituted(t, bound), e) for t, e in term.factors])
    return term


# ------------------------------------------------------------------------------------------------ whole terms


def _match(p: Term, t: Term, bound: Bound) -> Iterator[Bound]:
    """The ways in which a pattern is the whole of a term."""
    match p:
        case Var(name=name):
            if name in bound:
                if bound[name] == t:
                    yield bound
            elif not name.startswith("n_") or number_of(t) is not None:
                yield {**bound, name: t}
        case Call(head=head, args=args, params=params):
            if not isinstance(t, Call) or t.head != head or len(t.args) != len(args):
                return
            if head in REDUCTIONS:
                axes = _axes_of(t)
                if axes[0] != bound.get("axes", axes)[0]:
                    return
                bound = {**bound, "axes": bound.get("axes", axes)}
            elif params != t.params:
                return
            orders = (t.args, t.args[::-1]) if head in _COMMUTE else (t.args,)
            for order in orders:
                yield from _match_all(args, order, bound)
        case Add():
            for found in _in_sum(p, t, bound):
                if found.left == plus([]) and found.scale == ONE:
                    yield dict(found.bound)
        case Mul():
            for found in _in_product(p, t, bound):
                if found.scale == ONE:
                    yield dict(found.bound)
        case _:
            if p == t:
                yield bound


def _axes_of(t: Call) -> tuple[Any, ...]:
    return t.params if isinstance(t.params, tuple) else (None, True)


def _match_all(ps: tuple[Term, ...], ts: tuple[Term, ...], bound: Bound) -> Iterator[Bound]:
    if not ps:
        yield bound
        return
    for b in _match(ps[0], ts[0], bound):
        yield from _match_all(ps[1:], ts[1:], b)


# ------------------------------------------------------------------------------------------------ parts of terms


def found_in(p: Term, t: Term) -> Iterator[Match]:
    """The ways in which a pattern is a part of a sum or product, or the whole of a term."""
    match p:
        case Add():
            yield from _in_sum(p, t, {})
        case Mul():
            yield from _in_product(p, t, {})
        case _:
            for bound in _match(p, t, {}):
                yield Match(bound, ONE, plus([]))


def _in_sum(p: Add, t: Term, bound: Bound) -> Iterator[Match]:
    """Some terms of a sum that are the pattern's, all scaled alike."""
    have = list(t.terms) if isinstance(t, Add) else [(Fraction(1), t)]
    if len(p.terms) == 1:  # a number times a pattern
        c, inner = p.terms[0]
        for b in _match(inner, plus([(1 / c, t)]), bound):
            yield Match(b, ONE, plus([]))
        return
    fixed = [(c, q) for c, q in p.terms if not isinstance(q, Var) or q.name in bound]
    loose = [(c, q) for c, q in p.terms if isinstance(q, Var) and q.name not in bound]
    if not fixed:
        fixed, loose = loose[:-1], loose[-1:]
    for scale, b, rest in _first(fixed, have, bound):
        for b2, left in _others(fixed[1:], rest, scale, b):
            yield from _rest(loose, left, scale, b2)


def _first(fixed: Any, have: Any, bound: Bound) -> Iterator[tuple[Term, Bound, Any]]:
    c, q = fixed[0]
    for k, (d, u) in enumerate(have):
        rest = have[:k] + have[k + 1 :]
        if q == ONE:  # whatever stands there is the scale
            yield plus([(d / c, u)]), bound, rest
            continue
        for b in _match(q, u, bound):
            yield plus([(d / c, ONE)]), b, rest


def _others(fixed: Any, have: Any, scale: Term, bound: Bound) -> Iterator[tuple[Bound, Any]]:
    if not fixed:
        yield bound, have
        return
    c, q = fixed[0]
    for k, (d, u) in enumerate(have):
        reduced = times([(plus([(d / c, u)]), 1), (scale, -1)])
        for b in _match(q, reduced, bound):
            yield from _others(fixed[1:], have[:k] + have[k + 1 :], scale, b)


def _rest(loose: Any, left: Any, scale: Term, bound: Bound) -> Iterator[Match]:
    """What no fixed part of the pattern took: all of it for the last variable, or left outside."""
    if not loose:
        yield Match(bound, scale, plus(left))
        return
    if len(loose) == 1:
        c, q = loose[0]
        if left:
            value = times([(plus(left), 1), (scale, -1)], 1 / c)
            for b in _match(q, value, bound):
                yield Match(b, scale, plus([]))
        return
    c, q = loose[0]
    for k, (d, u) in enumerate(left):
        value = times([(plus([(d / c, u)]), 1), (scale, -1)])
        for b in _match(q, value, bound):
            yield from _rest(loose[1:], left[:k] + left[k + 1 :], scale, b)


def _in_product(p: Mul, t: Term, bound: Bound) -> Iterator[Match]:
    """Some factors of a product that are the pattern's; the scale is what is left of the product."""
    c, inner = t.terms[0] if isinstance(t, Add) and len(t.terms) == 1 else (Fraction(1), t)
    have = list(inner.factors) if isinstance(inner, Mul) else [(inner, Fraction(1))]
    if p == ONE:
        if t == ONE:
            yield Match(bound, ONE, plus([]))
        return
    wanted = sorted(p.factors, key=lambda pair: (isinstance(pair[0], Var), pair[0].text))
    for b, left in _factors(wanted, have, bound):
        yield Match(b, times(left, c), plus([]))


def _factors(wanted: Any, have: Any, bound: Bound) -> Iterator[tuple[Bound, Any]]:
    if not wanted:
        yield bound, have
        return
    q, e = wanted[0]
    if isinstance(q, Var) and q.name not in bound and len(wanted) == 1 and abs(e) == 1 and have:
        for b in _match(q, times([(u, f * e) for u, f in have]), bound):
            yield b, []
    for k, (u, f) in enumerate(have):
        rest = have[:k] + have[k + 1 :]
        if f == e or (f / e > 1 and (f - e).denominator == 1):
            for b in _match(q, u, bound):
                yield from _factors(wanted[1:], rest + ([(u, f - e)] if f != e else []), b)


def applied(before: Term, after: Term, t: Term) -> Iterator[Term]:
    """The term with one occurrence of ``before`` at its top rewritten; a power alone may stand below the line too."""
    if isinstance(before, Mul) and len(before.factors) == 1:
        below, instead = times([(before, -1)]), times([(after, -1)])
        for m in found_in(below, t):
            yield times([(m.scale, 1), (substituted(instead, m.bound), 1)])
    for m in found_in(before, t):
        new = substituted(after, m.bound)
        yield plus([(1, times([(m.scale, 1), (new, 1)])), (1, m.left)])
