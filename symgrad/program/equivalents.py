"""Other spellings of a function: the same value in functions that the table has, and exponentials as sigmoids."""

from __future__ import annotations

from typing import Any

import sympy as sp

__all__ = ["ROW_OF", "LowerLambertW", "Sigmoid", "hypergeometric", "logistic", "one_plus_exp", "rewritten"]

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

ROW_OF = {"Abs": "abs", "Sqrt": "sqrt", "Cbrt": "cbrt"} | {
    name: name for name in ("log1p", "expm1", "log2", "log10", "exp2", "hypot", "logaddexp", "logaddexp2")
}


def rewritten(e: Any, choices: bool) -> Any:
    """The same value in functions that the table has."""
    head, args = type(e), e.args
    if head in _RECIPROCAL:
        return 1 / _RECIPROCAL[head](args[0])
    if head in _OF_RECIPROCAL:
        return _OF_RECIPROCAL[head](1 / args[0])
    if head is sp.sinc:
        quotient = sp.sin(args[0]) / args[0]
        return sp.Piecewise((quotient, sp.Ne(args[0], 0)), (1, True)) if choices else quotient
    if head is sp.Mod:
        return args[0] - args[1] * sp.floor(args[0] / args[1])
    if head is sp.frac:
        return args[0] - sp.floor(args[0])
    if head is sp.factorial:
        return sp.gamma(args[0] + 1)
    if head is sp.beta:
        return sp.gamma(args[0]) * sp.gamma(args[-1]) / sp.gamma(args[0] + args[-1])
    if head is sp.LambertW and len(args) == 2 and args[1] == -1:
        return LowerLambertW(args[0])
    if head is sp.erfcinv:
        return sp.erfinv(1 - args[0])
    if head is sp.besseli and args[0].is_Integer and abs(args[0]) > 1:
        n, x = abs(args[0]), args[1]
        return sp.besseli(n - 2, x) - 2 * (n - 1) / x * sp.besseli(n - 1, x)
    return None


def hypergeometric(e: Any) -> tuple[str, list[Any]] | None:
    """The row of a hypergeometric function, and its arguments in a row."""
    above, below, z = e.args
    row = {(0, 1): "hyp0f1", (1, 1): "hyp1f1", (2, 1): "hyp2f1"}.get((len(above), len(below)))
    return None if row is None else (row, [*above, *below, z])


def one_plus_exp(e: Any) -> Any:
    """u, if ``e`` is 1 + e^u."""
    if e.is_Add and len(e.args) == 2 and e.args[0] is sp.S.One and isinstance(e.args[1], sp.exp):
        return e.args[1].args[0]
    return None


def logistic(factors: list[Any]) -> list[Any]:
    """``e^(mu) / (1 + e^u)^n  ->  s(u)^m s(-u)^(n-m)`` with s(u) = 1/(1 + e^-u): the same value, and stable."""
    for k, f in enumerate(factors):
        if not (f.is_Pow and f.exp.is_Integer and f.exp < 0):
            continue
        u, n = one_plus_exp(f.base), -int(f.exp)
        if u is None:
            continue
        for j, g in enumerate(factors):
            if isinstance(g, sp.exp):
                m = g.args[0] / u
                if m.is_Integer and 0 < m <= n:
                    others = [h for i, h in enumerate(factors) if i not in (j, k)]
                    rising, falling = Sigmoid(u), Sigmoid(-u)
                    return [*others, *([rising] * int(m)), *([falling] * int(n - m))]
    return factors


class Sigmoid(sp.Function):
    """Stands for the table's sigmoid while an expression is being lowered."""

    is_real = True


class LowerLambertW(sp.Function):
    """Stands for the other real branch of Lambert's W."""

    is_real = True


ROW_OF |= {"Sigmoid": "sigmoid", "LowerLambertW": "lambertw_lower"}
