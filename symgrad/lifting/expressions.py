"""SymPy expressions -> steps.

`lower` writes one scalar expression on a Builder; the derivative uses it too, for the derivatives that SymPy takes
of the table's exact columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from symgrad.errors import AmbiguousBranch, UnknownOperation
from symgrad.ops.scalars import by_head, find, unknown
from symgrad.program import Builder

__all__ = ["holds", "lower"]

_HALF = sp.Rational(1, 2)
_RECIPROCAL = {
    sp.cot: sp.tan,
    sp.sec: sp.cos,
    sp.csc: sp.sin,
    sp.coth: sp.tanh,
    sp.sech: sp.cosh,
    sp.csch: sp.sinh,
}
_OF_RECIPROCAL = {
    sp.acot: sp.atan,
    sp.asec: sp.acos,
    sp.acsc: sp.asin,
    sp.acoth: sp.atanh,
    sp.asech: sp.acosh,
    sp.acsch: sp.asinh,
}
_REFUSED = (sp.Derivative, sp.Subs, sp.Integral, sp.DiracDelta, sp.Product, AppliedUndef)


def lower(
    builder: Builder,
    expression: sp.Expr,
    env: dict[sp.Basic, int],
    *,
    dtype: str = "float64",
    point: Mapping[sp.Basic, Any] | None = None,
) -> int:
    """Write ``expression`` on ``builder`` and return its step.

    ``env`` maps expressions that are already written to their steps, and is added to.  ``point`` gives the symbols'
    exact values, for expressions that choose between branches.  No part of the expression is written twice.
    """
    stack = [expression]
    while stack:
        e = stack[-1]
        if e in env:
            stack.pop()
            continue
        if isinstance(e, (sp.Piecewise, sp.Max, sp.Min, sp.Heaviside)):
            e = _taken(builder, e, env, dtype, point)
            if e not in env:
                stack.append(e)
                continue
            env[stack.pop()] = env[e]
            continue
        parts = _parts(e)
        missing = [p for p in parts if p not in env]
        if missing:
            stack.extend(missing)
            continue
        env[e] = _write(builder, e, parts, env, dtype)
        stack.pop()
    return env[expression]


def _parts(e: sp.Basic) -> list[sp.Basic]:
    """The sub-expressions that `_write` will want."""
    head = type(e)
    if e.is_Rational or e.is_NumberSymbol or e is sp.I or e.is_Float or e.is_Symbol:
        return []
    if e is sp.E:
        return []
    if head is sp.Add:
        return [part for _, part in _terms(e)]
    if head is sp.Mul:
        above, below = _fraction(e)
        return above + below
    if head is sp.Pow:
        if e.base is sp.E:
            return [e.exp]
        return [e.base] if e.exp.is_Rational and e.exp.q <= 2 else [e.base, e.exp]
    if head in _RECIPROCAL:
        return [_RECIPROCAL[head](e.args[0])]
    if head in _OF_RECIPROCAL:
        return [_OF_RECIPROCAL[head](1 / e.args[0])]
    if head is sp.polygamma:
        return [e.args[1]]
    if head is sp.sinc:
        return [sp.sin(e.args[0]), e.args[0]]
    if head is sp.factorial:
        return [sp.gamma(e.args[0] + 1)]
    if head is sp.beta:
        a, b = e.args[:2]
        return [sp.gamma(a) * sp.gamma(b) / sp.gamma(a + b)]
    if head is sp.besseli and e.args[0].is_Integer and e.args[0] > 1:
        n, x = e.args
        return [sp.besseli(n - 2, x) - 2 * (n - 1) / x * sp.besseli(n - 1, x)]
    if head is sp.besseli:
        return [e.args[1]]
    return list(e.args)


def _write(b: Builder, e: sp.Expr, parts: list[sp.Basic], env: dict[sp.Basic, int], dtype: str) -> int:
    steps = [env[p] for p in parts]
    head = type(e)
    if e.is_Rational or e.is_NumberSymbol or e is sp.E:
        return b.number(e, dtype)
    if e.is_Float:
        return b.number(sp.Rational(str(e)), dtype)
    if e is sp.I:
        return b.constant(1j, "complex128", exact=sp.I)
    if head is sp.Add:
        return _sum(b, [(sign, env[p]) for sign, p in _terms(e)])
    if head is sp.Mul:
        above, below = _fraction(e)
        top = _product(b, [env[p] for p in above if p is not sp.S.NegativeOne])
        if top is None:
            top = b.number(1, dtype)
        if sp.S.NegativeOne in above:
            top = b.neg(top)
        bottom = _product(b, [env[p] for p in below])
        return top if bottom is None else b.div(top, bottom)
    if head is sp.Pow and e.base is not sp.E:
        if e.exp == -_HALF:
            return b.apply("rsqrt", steps[0])
        if len(steps) == 1:
            return b.power(steps[0], b.number(e.exp, dtype))
        return b.power(*steps)
    if head is sp.exp or head is sp.Pow:
        return b.apply("exp", steps[0])
    if head in _RECIPROCAL:
        return b.div(b.number(1, dtype), steps[0])
    if head in _OF_RECIPROCAL or head in (sp.factorial, sp.beta):
        return steps[0]
    if head is sp.polygamma and e.args[0].is_Integer:
        order = int(e.args[0])
        return b.apply("polygamma", steps[0], params=order) if order else b.apply("digamma", steps[0])
    if head is sp.sinc:
        return b.div(*steps)
    if head is sp.besseli and e.args[0].is_Integer:
        order = int(e.args[0])
        return steps[0] if order > 1 else b.apply(f"i{abs(order)}", steps[0])
    if head in (sp.conjugate, sp.re) and e.args[0].is_real:
        return steps[0]
    row = by_head(head) or find({"Abs": "abs"}.get(head.__name__, ""))
    if row is not None:
        return b.apply(row, *steps)
    if isinstance(e, _REFUSED):
        raise UnknownOperation(
            f"{e} is not a closed form, so it cannot be evaluated.",
            instead="Write it out, for example with .doit(), or pass the formula it stands for.",
        )
    raise unknown(head.__name__)


def _terms(e: sp.Add) -> list[tuple[int, sp.Expr]]:
    """The terms of a sum with their signs; a positive one first where there is one."""
    terms = [(-1, -t) if t.could_extract_minus_sign() else (1, t) for t in e.args]
    return sorted(terms, key=lambda t: -t[0])


def _sum(b: Builder, terms: list[tuple[int, int]]) -> int:
    sign, total = terms[0]
    if sign < 0:
        total = b.neg(total)
    for sign, term in terms[1:]:
        total = b.add(total, term) if sign > 0 else b.sub(total, term)
    return total


def _product(b: Builder, factors: list[int]) -> int | None:
    total = None
    for f in factors:
        total = f if total is None else b.mul(total, f)
    return total


def _fraction(e: sp.Mul) -> tuple[list[sp.Expr], list[sp.Expr]]:
    """The factors above and below the line, an exponential quotient e^(mu) / (1 + e^u)^n first made sigmoids."""
    factors = _logistic(list(e.args))
    above: list[sp.Expr] = []
    below: list[sp.Expr] = []
    for f in factors:
        if f.is_Rational and not f.is_Integer:
            above += [sp.Integer(f.p)] if f.p != 1 else []
            below.append(sp.Integer(f.q))
        elif f.is_Pow and f.exp.is_Rational and f.exp < 0 and f.exp != -_HALF:
            below.append(f.base ** (-f.exp))
        else:
            above.append(f)
    return above, below


def _logistic(factors: list[sp.Expr]) -> list[sp.Expr]:
    """``e^(mu) / (1 + e^u)^n  ->  s(u)^m s(-u)^(n-m)`` with s(u) = 1/(1 + e^-u): the same value, and stable."""
    for k, f in enumerate(factors):
        if not (f.is_Pow and f.exp.is_Integer and f.exp < -1 or f.is_Pow and f.exp == -1):
            continue
        rest = f.base - 1
        if not isinstance(rest, sp.exp):
            continue
        u, n = rest.args[0], -int(f.exp)
        for j, g in enumerate(factors):
            if isinstance(g, sp.exp):
                m = g.args[0] / u
                if m.is_Integer and 0 < m <= n:
                    others = [h for i, h in enumerate(factors) if i not in (j, k)]
                    rising, falling = _Sigmoid(u), _Sigmoid(-u)
                    return [*others, *([rising] * int(m)), *([falling] * int(n - m))]
    return factors


class _Sigmoid(sp.Function):
    """Stands for the table's sigmoid while an expression is being lowered."""

    is_real = True


def _register_sigmoid() -> None:
    from symgrad.ops import scalars

    scalars._BY_HEAD[_Sigmoid] = "sigmoid"


_register_sigmoid()


# ------------------------------------------------------------------------------------------------ branches


def _taken(b: Builder, e: sp.Expr, env: dict, dtype: str, point: Mapping[sp.Basic, Any] | None) -> sp.Expr:
    """The branch of a choice that is taken at the point; each condition looked at is remembered as a guard."""
    if isinstance(e, sp.Heaviside):
        x = e.args[0]
        at_zero = e.args[1] if len(e.args) > 1 else _HALF
        e = sp.Piecewise((0, x < 0), (1, x > 0), (at_zero, True), evaluate=False)
    if isinstance(e, (sp.Max, sp.Min)):
        best = e.args[0]
        for other in e.args[1:]:
            keep = sp.Ge(best, other, evaluate=False) if isinstance(e, sp.Max) else sp.Le(best, other, evaluate=False)
            best = best if _decide(b, keep, env, dtype, point) else other
        return best
    for branch in e.args:
        if _decide(b, branch.cond, env, dtype, point):
            return branch.expr
    return sp.nan


def _decide(b: Builder, condition: sp.Basic, env: dict, dtype: str, point: Mapping[sp.Basic, Any] | None) -> bool:
    if condition in (sp.true, sp.false):
        return bool(condition)
    if isinstance(condition, sp.And):
        return all(_decide(b, c, env, dtype, point) for c in condition.args)
    if isinstance(condition, sp.Or):
        return any(_decide(b, c, env, dtype, point) for c in condition.args)
    if isinstance(condition, sp.Not):
        return not _decide(b, condition.args[0], env, dtype, point)
    if point is None:
        raise AmbiguousBranch(
            f"the formula chooses by {condition}, and there is no point to choose at.",
            instead="Pass at={...} with a value for each name.",
        )
    outcome = holds(condition, point)
    name = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}[condition.rel_op]
    sides = [lower(b, side, env, dtype=dtype, point=point) for side in condition.args]
    b.guard(name, sides, None, outcome)
    return outcome


def holds(condition: sp.Basic, point: Mapping[sp.Basic, Any]) -> bool:
    """Whether a condition holds at exact values of its symbols."""
    value = condition.subs(point)
    if value in (sp.true, sp.false):
        return bool(value)
    difference = sp.N(value.args[0] - value.args[1], 50)
    return bool(type(condition)(difference, 0))
