"""Random expressions, their derivatives written another way, and changed derivatives; mpmath judges, by differences
of values of 60 digits.

python tests/trust/random_expressions.py 20000 [SEED]
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from typing import Any

import mpmath
import sympy as sp
from hypothesis import strategies as st

from symgrad import verify
from symgrad.errors import NoPoint

X, Y = sp.symbols("x y", real=True)
_FUNCTIONS = (
    *(sp.sin, sp.cos, sp.exp, sp.tanh, sp.atan, sp.log, sp.sqrt, sp.erf, sp.sinh, sp.asinh, sp.Abs),
    *(sp.asin, sp.acosh, sp.atanh, sp.erfc, sp.loggamma, sp.gamma, sp.digamma, sp.sign, sp.cbrt),
    lambda u: sp.Max(u, Y),
    lambda u: sp.Min(u, sp.Rational(1, 2)),
    lambda u: sp.Piecewise((u**2, u > 1), (2 * u, True)),
    lambda u: sp.atan2(u, Y),
    lambda u: u ** sp.Rational(7, 10),
    lambda u: (u**2 + 1) ** Y,
)


def expressions(depth: int = 3) -> st.SearchStrategy[sp.Expr]:
    """Expressions of x and y that depend on x."""
    leaves = st.sampled_from([X, Y, X, sp.Integer(1), sp.Integer(2), sp.Rational(1, 3), sp.Integer(-3)])

    def grown(inner):
        two = st.tuples(inner, inner)
        return st.one_of(
            two.map(lambda p: p[0] + p[1]),
            two.map(lambda p: p[0] * p[1]),
            two.map(lambda p: p[0] / (p[1] ** 2 + 1)),
            st.tuples(inner, st.integers(2, 3)).map(lambda p: p[0] ** p[1]),
            st.tuples(inner, st.sampled_from(_FUNCTIONS)).map(lambda p: _applied(p[1], p[0])),
        )

    return st.recursive(leaves, grown, max_leaves=6).filter(_is_usable)


def _applied(function: Any, u: sp.Expr) -> sp.Expr:
    """The function of u; u itself where it is no real number, which has no order and no place here."""
    return u if u.has(sp.I, sp.zoo, sp.nan) or u.is_extended_real is False else function(u)


def _is_usable(f: sp.Expr) -> bool:
    return f.has(X) and f.is_extended_real is not False and not f.has(sp.zoo, sp.nan, sp.oo, sp.I) and _size(f) < 40


def _size(f: sp.Expr) -> int:
    return int(sp.count_ops(f))


def slope(f: sp.Expr) -> sp.Expr:
    """SymPy's derivative with respect to x, off the kinks."""
    g = sp.diff(f.rewrite(sp.Piecewise) if f.has(sp.Max, sp.Min) else f, X)
    return g.replace(sp.Derivative, lambda *a: sp.Integer(0)).replace(sp.DiracDelta, lambda *a: sp.S.Zero)


_REWRITINGS = (
    sp.expand,
    sp.factor_terms,
    sp.together,
    lambda e: e.replace(sp.tanh, lambda u: (sp.exp(u) - sp.exp(-u)) / (sp.exp(u) + sp.exp(-u))),
    lambda e: e.replace(sp.cos, lambda u: 1 - 2 * sp.sin(u / 2) ** 2),
    lambda e: e.replace(sp.sinh, lambda u: sp.cosh(u) * sp.tanh(u)),
    lambda e: sp.Add(*reversed(sp.Add.make_args(e))),
)


def rewritten(f: sp.Expr, k: int) -> sp.Expr:
    """The derivative, by two of the rewritings."""
    choose = random.Random(k)
    g = slope(f)
    for _ in range(2):
        made = choose.choice(_REWRITINGS)(g)
        g = g if made.has(sp.I) or _size(made) > 120 else made
    return g


def changed(f: sp.Expr, k: int) -> sp.Expr:
    """The derivative with one part changed: a sign, a factor, an exponent, a constant, a function, a dropped term."""
    choose = random.Random(k)
    g = slope(f)
    parts = [p for p in sp.preorder_traversal(g) if isinstance(p, (sp.Add, sp.Mul, sp.Pow, sp.Symbol, sp.Function))]
    if not parts:
        return g + 1
    part = choose.choice(parts)
    options: list[Any] = [-part, 2 * part, part + sp.Rational(1, 1000)]
    if isinstance(part, (sp.Add, sp.Mul)):
        options.append(part.func(*part.args[1:]))
    if isinstance(part, sp.Pow):
        options.append(sp.Pow(part.base, part.exp + 1))
    if isinstance(part, (sp.sin, sp.cos)):
        options.append((sp.cos if isinstance(part, sp.sin) else sp.sin)(part.args[0]))
    return g.xreplace({part: choose.choice(options)})


def derivative_said(f: sp.Expr, hand: sp.Expr) -> str:
    """symgrad's verdict; "no point" where there is none to test at."""
    if hand.has(sp.zoo, sp.nan, sp.oo, sp.I):
        return "no point"
    try:
        return verify(f, {"x": hand}, points=16).verdict
    except NoPoint:
        return "no point"
    except Exception as error:
        if type(error).__name__ == "UnknownName":  # the hand formula has a name that the function lost
            return "no point"
        raise


def truly_equal(f: sp.Expr, hand: sp.Expr) -> bool:
    """mpmath's numerical derivative, at 60 digits and 40 random points where all of it is real."""
    with mpmath.workdps(60):
        said, value = (sp.lambdify((X, Y), e, "mpmath") for e in (hand, f))
        draw = random.Random(7)
        seen = 0
        for _ in range(400):
            at = mpmath.mpf(draw.gauss(0, 2)), mpmath.mpf(draw.gauss(0, 2))
            try:
                a, b, v = mpmath.diff(value, at, (1, 0)), said(*at), value(*at)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue
            if any(abs(mpmath.im(z)) > 0 or not mpmath.isfinite(z) for z in (a, b, v)):
                continue
            seen += 1
            if abs(a - b) > mpmath.mpf(10) ** -25 * (1 + abs(a) + abs(b)):
                return False
            if seen == 40:
                break
        return seen > 0


def hunt(count: int, first: int = 1) -> tuple[Counter[str], list[str]]:
    """How often each answer came, and the questions whose answer was wrong, in words."""
    from hypothesis import HealthCheck, given, seed, settings

    said: Counter[str] = Counter()
    wrong: list[str] = []

    @seed(first)
    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(expressions(), st.integers(0, 10**9))
    def trial(f, k):
        for what, hand in (("right", rewritten(f, k)), ("changed", changed(f, k))):
            try:
                word = derivative_said(f, hand)
            except Exception as error:
                word = f"error {type(error).__name__}"
                wrong.append(f"{word}: {f} | {hand} | {error}"[:300])
            if what == "changed" and word in ("proved", "agrees", "undecided") and truly_equal(f, hand):
                what = "changed, yet equal"
            said[f"{what}: {word}"] += 1
            bad = word == "refuted" if what != "changed" else word in ("proved", "agrees")
            if bad:
                wrong.append(f"{what}: {word}: {f} | {hand}")

    trial()
    return said, sorted(set(wrong))


def main(count: int, first: int = 1) -> None:
    start = time.perf_counter()
    said, wrong = hunt(count, first)
    print(f"{sum(said.values())} questions in {time.perf_counter() - start:.0f} s")
    for key, n in sorted(said.items()):
        print(f"{n:7} {key}")
    print(*wrong[:60], sep="\n")


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:]) if len(sys.argv) > 1 else [1000]))
