"""One SymPy scalar -> steps: `lower`.

Formulas are lowered by it, and so are the derivatives that SymPy takes of the table's exact columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Literal

import sympy as sp
from sympy.core.function import AppliedUndef

from symgrad.errors import AmbiguousBranch, BadFormula, UnknownName, UnknownOperation
from symgrad.ops.row import ARGUMENTS
from symgrad.ops.scalars import OPS, by_head, find, unknown
from symgrad.program.builder import Builder
from symgrad.program.constants import meaning_of
from symgrad.program.piecewise import ExactPoint, choose, compare, decide
from symgrad.program.program import real_dtype

# --------------------------------------------------------------------------------------------------------- equivalents
# Other spellings of a function: the same value in functions that the table has, and exponentials as sigmoids.

_RECIPROCAL = {sp.cot: sp.tan, sp.sec: sp.cos, sp.csc: sp.sin, sp.coth: sp.tanh, sp.sech: sp.cosh, sp.csch: sp.sinh}
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


def in_table_functions(e: Any, choices: bool) -> Any:
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
    if head is sp.binomial:
        n, k = args
        return sp.expand_func(e) if k.is_Integer else sp.gamma(n + 1) / (sp.gamma(k + 1) * sp.gamma(n - k + 1))
    if head in (sp.hankel1, sp.hankel2):
        sign = 1 if head is sp.hankel1 else -1
        return sp.besselj(*args) + sign * sp.I * sp.bessely(*args)
    if head is sp.beta:
        return sp.gamma(args[0]) * sp.gamma(args[-1]) / sp.gamma(args[0] + args[-1])
    if head is sp.LambertW and len(args) == 2 and args[1] == -1:
        return LowerLambertW(args[0])
    if head is sp.erfcinv:
        return sp.erfinv(1 - args[0])
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


class WithSlopes(sp.Function):
    """Stands for zero with slopes: ``WithSlopes(x, L)`` has the first derivative L for x, and no higher ones that are
    meant.  So is an integral written of which no value is needed.
    """


ROW_OF |= {"Sigmoid": "sigmoid", "LowerLambertW": "lambertw_lower"}


# ------------------------------------------------------------------------------------------------------------ lowering

Form = Literal["as written", "quotients"]
Extension = Callable[[Any], "tuple[list[Any], Callable[[list[int]], int]] | None"]

_HALF = sp.Rational(1, 2)
_REFUSED = (sp.Derivative, sp.Subs, sp.Integral, sp.DiracDelta, sp.Product, sp.Sum, sp.Limit, AppliedUndef)
_CHOICES = (sp.Piecewise, sp.Max, sp.Min, sp.Heaviside)
_WHOLE = {sp.floor: "floor", sp.ceiling: "ceil"}


def lower(
    builder: Builder,
    expression: Any,
    env: dict[Any, int],
    *,
    dtype: str = "float64",
    point: Mapping[Any, Any] | ExactPoint | None = None,
    form: Form = "quotients",
    extension: Extension | None = None,
) -> int:
    """Write ``expression`` on ``builder`` and return its step.

    ``env`` maps expressions that are already written to their steps, and is added to.  ``point`` gives the symbols'
    exact values, for expressions that choose between branches; the branch taken is written, and a guard remembers
    the choice.  No part of the expression is written twice.

    ``form`` says how exponentials are written: "quotients" turns ``e^u / (1 + e^u)^n`` into sigmoids, as slopes
    want; "as written" leaves everything.  ``extension`` knows further heads: it returns None, or the parts that must
    be written first and a function from their steps.
    """
    if point is not None and not isinstance(point, ExactPoint):
        point = ExactPoint(builder, {env[s]: value for s, value in point.items() if s in env})
    writer = _Lowering(builder, env, dtype, point, form, extension)
    return writer.write(expression)


def holds(condition: Any, point: Mapping[Any, Any]) -> bool:
    """Whether a condition holds at exact values of its symbols.

    >>> x = sp.Symbol("x", real=True)
    >>> holds(x**2 < 2, {x: sp.Rational(7, 5)})
    True
    """
    builder = Builder()
    env: dict[Any, int] = {s: builder.input(f"%{k}", ()) for k, s in enumerate(point)}
    exact = ExactPoint(builder, {env[s]: value for s, value in point.items()})
    return bool(decide(builder, condition, lambda side: lower(builder, side, env, point=exact), exact))


class _Lowering:
    """The state of one `lower`: an explicit stack, so that depth costs no recursion."""

    def __init__(
        self,
        builder: Builder,
        env: dict[Any, int],
        dtype: str,
        point: ExactPoint | None,
        form: Form,
        extension: Extension | None,
    ) -> None:
        self.builder, self.env, self.dtype, self.point = builder, env, dtype, point
        self.form, self.extension = form, extension

    def write(self, expression: Any) -> int:
        env, stack = self.env, [expression]
        plans: dict[Any, tuple[list[Any], Callable[[list[int]], int]]] = {}
        while stack:
            e = stack[-1]
            if e in env:
                stack.pop()
                continue
            if e not in plans:
                plans[e] = self.plan(e)
            parts, write = plans[e]
            missing = [p for p in parts if p not in env]
            if missing:
                stack.extend(missing)
                continue
            env[e] = write([env[p] for p in parts])
            stack.pop()
        return env[expression]

    # -------------------------------------------------------------------------------- what each head needs, and does
    def plan(self, e: Any) -> tuple[list[Any], Callable[[list[int]], int]]:
        """The parts that must be written first, and a function that writes ``e`` from their steps."""
        b, dtype, head = self.builder, self.dtype, type(e)
        if self.extension is not None and (found := self.extension(e)) is not None:
            return found
        if not isinstance(e, sp.Expr):
            raise BadFormula(f"{e} is not a number or a formula.")
        if e.is_Rational or e.is_NumberSymbol:
            return [], lambda steps: b.number(e, dtype)
        if e.is_Float:
            return [], lambda steps: self.decimal(e)
        if e is sp.I:
            return [], lambda steps: b.constant(1j, "complex128", exact=sp.I)
        if e in (sp.oo, -sp.oo, sp.zoo, sp.nan):
            raise BadFormula(
                f"the formula contains {e}, which is not a number.",
                instead="It usually comes from a division by zero, which SymPy carried out when the formula was built.",
            )
        if isinstance(e, _CHOICES):
            return self.choice(e)
        if head is WithSlopes:
            return list(e.args), self.slopes
        if isinstance(e, sp.CRootOf):
            return [], lambda steps: b.number(e, dtype)
        if head in _WHOLE:
            return [e.args[0]], lambda steps: self.whole(_WHOLE[head], e, steps[0])
        if head is sp.Add:
            terms = _terms(e)
            return [t for _, t in terms], lambda steps: _sum(
                b, [(s, i) for (s, _), i in zip(terms, steps, strict=True)]
            )
        if head is sp.Mul:
            return self.product(e)
        if e.is_Pow or head is sp.exp:
            return self.power(e)
        other = in_table_functions(e, self.point is not None)
        if other is not None:
            return [other], lambda steps: steps[0]
        if head is sp.polygamma and e.args[0].is_Integer:
            order = _int(e.args[0])
            return [
                e.args[1]
            ], lambda steps: b.apply("polygamma", steps[0], params=order) if order else b.apply("digamma", steps[0])
        if head is sp.besseli and e.args[0] in (-1, 0, 1):
            return [e.args[1]], lambda steps: b.apply(f"i{abs(_int(e.args[0]))}", steps[0])
        if head in (sp.conjugate, sp.re, sp.im):
            return [e.args[0]], lambda steps: self.part(head.__name__, steps[0])
        if isinstance(e, sp.hyper) and (found := hypergeometric(e)) is not None:
            return self.row(*found)
        row = by_head(head, len(e.args)) or ROW_OF.get(head.__name__)
        if row is None and isinstance(e, AppliedUndef) and (name := find(head.__name__)) is not None:
            row = name if OPS[name].arity == len(e.args) else None
        if row is not None:
            return self.row(row, list(e.args))
        if isinstance(e, _REFUSED):
            raise UnknownOperation(
                f"{e} is not a closed form, so it cannot be evaluated.",
                instead="Write it out, for example with .doit(), or pass the formula it stands for.",
            )
        if e.is_Symbol:
            raise UnknownName(f"the name {e} has no value here.")
        raise unknown(head.__name__)

    def row(self, row: str, args: list[Any]) -> tuple[list[Any], Callable[[list[int]], int]]:
        b = self.builder
        if OPS[row].branches:
            return [OPS[row].exact.subs(dict(zip(ARGUMENTS, args, strict=False)), simultaneous=True)], lambda s: s[0]
        return args, lambda steps: b.apply(row, *steps)

    def slopes(self, steps: list[int]) -> int:
        """The sum of L (x - x), with the second x cut off from differentiation."""
        b = self.builder
        terms = [b.mul(b.sub(x, b.stop(x)), slope) for x, slope in zip(steps[::2], steps[1::2], strict=True)]
        return _sum(b, [(1, i) for i in terms]) if terms else b.number(0, self.dtype)

    def decimal(self, e: Any) -> int:
        """A Float is the shortest decimal that prints as it; with many digits, that one give or take half a unit."""
        b = self.builder
        if e._prec > 53:
            return b.number(sp.Rational(str(e)), self.dtype)
        exact, radius = meaning_of(float(e))
        if radius is None or not exact.is_Rational:
            return lower(b, exact, {}, dtype=self.dtype)
        return b.constant(float(e), self.dtype, exact=exact, radius=Fraction(radius))

    def part(self, name: str, step: int) -> int:
        b = self.builder
        if name == "conjugate":
            return b.conj(step)
        if not b.steps[step].is_complex:
            return step if name == "re" else b.zeros(b.shape(step), b.dtype(step))
        return b.emit({"re": "real", "im": "imag"}[name], (step,), None, b.shape(step), real_dtype(b.dtype(step)))

    def product(self, e: Any) -> tuple[list[Any], Callable[[list[int]], int]]:
        b = self.builder
        factors = list(e.args) if self.form == "as written" else logistic(list(e.args))
        above, below = _fraction(factors)
        negative = sp.S.NegativeOne in above
        above = [f for f in above if f is not sp.S.NegativeOne]
        n = len(above)

        def write(steps: list[int]) -> int:
            top, bottom = _product(b, steps[:n]), _product(b, steps[n:])
            if top is None:
                top = b.number(-1 if negative else 1, self.dtype)
            elif negative:
                top = b.neg(top)
            return top if bottom is None else b.div(top, bottom)

        return above + below, write

    def power(self, e: Any) -> tuple[list[Any], Callable[[list[int]], int]]:
        b = self.builder
        base: Any = sp.E if type(e) is sp.exp else e.base
        exponent: Any = e.args[0] if type(e) is sp.exp else e.exp
        if base.is_Rational and base < 0 and exponent.is_Rational and exponent.q > 1:  # the principal value
            turned = sp.cos(sp.pi * exponent) + sp.I * sp.sin(sp.pi * exponent)
            return [(-base) ** exponent, turned], lambda steps: b.mul(*steps)
        if base is sp.E:
            return [exponent], lambda steps: b.apply("exp", steps[0])
        if exponent == -_HALF:
            return [base], lambda steps: b.apply("rsqrt", steps[0])
        if exponent.is_Rational and exponent.q <= 2:
            return [base], lambda steps: b.power(steps[0], b.number(exponent, self.dtype))
        return [base, exponent], lambda steps: b.power(steps[0], steps[1])

    # -------------------------------------------------------------------------------- choices
    def choice(self, e: Any) -> tuple[list[Any], Callable[[list[int]], int]]:
        b = self.builder
        if isinstance(e, sp.Heaviside):
            x: Any = e.args[0]
            at_zero: Any = e.args[1] if len(e.args) > 1 else _HALF
            e = sp.Piecewise((0, x < 0), (1, x > 0), (at_zero, True), evaluate=False)
        if isinstance(e, (sp.Max, sp.Min)):
            return list(e.args), lambda steps: self.extreme(e, steps)
        pairs = e.args
        if pairs[-1].cond == sp.true and len(pairs) == 1:
            return [pairs[0].expr], lambda steps: steps[0]
        return [], lambda steps: choose(
            b,
            [(lambda p=p: self.write(p.expr), lambda p=p: decide(b, p.cond, self.write, self.point)) for p in pairs],
            lambda: self.undefined(e),
        )

    def undefined(self, e: Any) -> int:
        raise BadFormula(
            f"no branch of {e} holds at the point.",
            instead="Add a last branch (value, True), or choose a point of the formula's domain.",
        )

    def extreme(self, e: Any, steps: list[int]) -> int:
        """The largest or smallest of some steps, entry by entry; at a tie the earliest."""
        b, best, point = self.builder, steps[0], self.point
        if point is None:
            raise AmbiguousBranch(
                f"the formula chooses in {e}, and there is no point to choose at.",
                instead="Pass at={...} with a value for each name.",
            )
        relation = "ge" if isinstance(e, sp.Max) else "le"
        for other in steps[1:]:
            outcome = compare(b, relation, best, other, point)
            best = choose(b, [(lambda i=best: i, lambda o=outcome: o)], lambda i=other: i)
        return best

    def whole(self, name: str, e: Any, step: int) -> int:
        """floor or ceiling: a whole number that stays where the value does not cross one."""
        b = self.builder
        if self.point is None:
            raise AmbiguousBranch(
                f"the formula rounds {e}, and there is no point to round at.",
                instead="Pass at={...} with a value for each name.",
            )
        return b.whole(name, (step,), self.point.whole(name, step), self.dtype)


# ------------------------------------------------------------------------------------------------ sums and products


def _terms(e: Any) -> list[tuple[int, Any]]:
    """The terms of a sum with their signs; a positive one first where there is one."""
    terms = [(-1, -t) if t.as_coeff_Mul()[0].is_negative else (1, t) for t in e.args]
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


def _fraction(factors: list[Any]) -> tuple[list[Any], list[Any]]:
    """The factors above and below the line."""
    above: list[Any] = []
    below: list[Any] = []
    for f in factors:
        if f.is_Rational and not f.is_Integer:
            above += [sp.Integer(f.p)] if f.p != 1 else []
            below.append(sp.Integer(f.q))
        elif f.is_Pow and f.exp.is_Rational and f.exp < 0 and f.exp != -_HALF:
            below.append(f.base ** (-f.exp))
        else:
            above.append(f)
    return above, below


def _int(x: Any) -> int:
    return int(x)
