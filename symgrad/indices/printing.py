"""A body as people write it: plain text, LaTeX, and ordinary SymPy.

>>> import sympy as sp
>>> from symgrad.indices.terms import EXP, IndexSum, tensor
>>> m, d = sp.symbols("m d", integer=True, positive=True)
>>> k, s = sp.symbols("k s", integer=True)
>>> u, x = tensor("u", m, d), tensor("x", d)
>>> text(1 / (1 + EXP(-IndexSum(u[k, s] * x[s], s, d))))
'1/(exp(-sum_s u[k,s]*x[s]) + 1)'
>>> print(latex(IndexSum(u[k, s] * x[s], s, d)))
\\sum_{s=1}^{d} u_{k,s} x_{s}
>>> plain(IndexSum(u[k, s] * x[s], s, d))
Sum(u[k, s]*x[s], (s, 0, d - 1))
"""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from symgrad.indices.terms import EXP, RELU, STEP, Binder, IndexProduct, IndexSum, MatrixEntry, Within, rename

_LETTERS = "ijklpqrst"


def named(body: Any) -> Any:
    """The same body with a readable name for each bound index, different from all names around it."""
    body = sp.sympify(body)
    return _named(body, {s.name for s in body.free_symbols if isinstance(s, sp.Symbol)})


def _named(e: Any, taken: set[str]) -> Any:
    if isinstance(e, Binder):
        new: dict[Any, Any] = {}
        for i in e.bound:
            name = _free_name(i.name, taken | {s.name for s in new.values()})
            new[i] = sp.Symbol(name, integer=True)
        inside = _named(rename(e.body, new), taken | {s.name for s in new.values()})
        return e.func(inside, *(new[a] if k in e.BINDS else _named(a, taken) for k, a in enumerate(e.args) if k))
    if not e.args or isinstance(e, (sp.Indexed, sp.IndexedBase)) or not e.has(Binder):
        return e
    return e.func(*(_named(a, taken) for a in e.args))


def _free_name(hint: str, taken: set[str]) -> str:
    if hint not in taken:
        return hint
    options = [c for c in _LETTERS if c not in taken]
    return options[0] if options else next(f"{hint}{k}" for k in range(1, 1000) if f"{hint}{k}" not in taken)


def _runs_over_axis(e: IndexSum | IndexProduct) -> bool:
    """Whether the summed index stands alone in an axis of its own size, so that its range goes without saying."""
    return any(
        i == e.index and size == e.size
        for leaf in e.body.atoms(sp.Indexed)
        for i, size in zip(leaf.indices, leaf.base.shape or (), strict=False)
    )


class _Text(StrPrinter):
    """``sum_s u[k,s]*x[s]``: a sum reaches over the product that follows it."""

    printmethod = "_index_text"  # SymPy's own Indexed would write itself

    def _print_IndexSum(self, e: IndexSum) -> str:
        i = self._print(e.index)
        where = i if _runs_over_axis(e) else f"{{{i}<{self._print(e.size)}}}"
        return f"sum_{where} {_after_sum(self, e.body)}"

    def _print_IndexProduct(self, e: IndexProduct) -> str:
        where = self._print(e.index)
        where = where if _runs_over_axis(e) else f"{{{where}<{self._print(e.size)}}}"
        return f"prod_{where} {_after_sum(self, e.body)}"

    def _print_Mul(self, expr: Any) -> str:
        """Sums last: the last of them ends with the product."""
        sums = [a for a in expr.args if isinstance(a, IndexSum)]
        if not sums:
            return super()._print_Mul(expr)
        if expr.could_extract_minus_sign() and expr.args[0].is_Number:
            return f"-{self._print_factors(-expr)}"
        return self._print_factors(expr)

    def _print_factors(self, expr: Any) -> str:
        if isinstance(expr, IndexSum):
            return self._print(expr)
        sums = [a for a in expr.args if isinstance(a, IndexSum)]
        top, bottom = sp.fraction(sp.Mul(*(a for a in expr.args if a not in sums)))
        written = [] if top == 1 else [self.parenthesize(top, PRECEDENCE["Mul"], strict=True)]
        written += [f"({self._print(a)})" for a in sums]
        if bottom != 1:  # before a division, a sum must say where it ends
            return f"{'*'.join(written)}/{self.parenthesize(bottom, PRECEDENCE['Pow'], strict=True)}"
        return "*".join([*written[:-1], self._print(sums[-1])])

    def _print_Add(self, expr: Any, order: Any = None) -> str:
        """A sum that another term follows is in brackets."""
        *front, last = self._as_ordered_terms(expr, order=order)
        written = ""
        for term in (*front, last):
            minus = term.could_extract_minus_sign()
            part = self._print(-term if minus else term)
            if isinstance(-term if minus else term, sp.Add) or (term is not last and _ends_with_sum(term)):
                part = f"({part})"
            written += f" {'-' if minus else '+'} {part}"
        return written[3:] if written.startswith(" + ") else f"-{written[3:]}"

    def _print_Indexed(self, expr: Any) -> str:
        return f"{self._print(expr.base.label)}[{','.join(map(self._print, expr.indices))}]"

    def _print_KroneckerDelta(self, expr: Any) -> str:
        return f"delta({','.join(map(self._print, expr.args[:2]))})"

    def _print_Within(self, e: Any) -> str:
        return f"[0 <= {self._print(e.args[0])} < {self._print(e.args[1])}]"

    def _print_EXP(self, e: Any) -> str:
        return f"exp({self._print(e.args[0])})"

    def _print_RELU(self, e: Any) -> str:
        return f"relu({self._print(e.args[0])})"

    def _print_STEP(self, e: Any) -> str:
        return f"step({self._print(e.args[0])})"

    def _matrix(self, e: Any) -> str:
        r, c = map(self._print, e.bound)
        return _leaf_name(e) or f"[{self._print(e.body)} for {r},{c}]"

    def _print_Inverse(self, e: Any) -> str:
        return f"inv({self._matrix(e)})[{','.join(map(self._print, e.entry))}]"

    def _print_Cholesky(self, e: Any) -> str:
        return f"cholesky({self._matrix(e)})[{','.join(map(self._print, e.entry))}]"

    def _print_MatrixExponential(self, e: Any) -> str:
        return f"expm({self._matrix(e)})[{','.join(map(self._print, e.entry))}]"

    def _print_ExponentialSlope(self, e: Any) -> str:
        i, p, q, j = map(self._print, e.entry)
        return f"d expm({self._matrix(e)})[{i},{j}]/d[{p},{q}]"

    def _print_Det(self, e: Any) -> str:
        return f"det({self._matrix(e)})"

    def _print_LogDet(self, e: Any) -> str:
        return f"logdet({self._matrix(e)})"


def _leaf_name(e: Any) -> str | None:
    """The name of the matrix, where it is a leaf or its transpose."""
    body: Any = e.body
    if isinstance(body, sp.Indexed) and tuple(body.indices) in (e.bound, e.bound[::-1]):
        base: Any = body.base
        return f"{base.label}{'' if tuple(body.indices) == e.bound else '.T'}"
    return None


def _ends_with_sum(term: Any) -> bool:
    """Whether a term is written with a sum at its end that nothing closes."""
    factors = sp.Mul.make_args(term)
    return any(isinstance(a, IndexSum) for a in factors) and sp.fraction(term)[1] == 1


def _after_sum(printer: Any, body: Any) -> str:
    return (
        printer._print(body)
        if isinstance(body, IndexSum)
        else printer.parenthesize(body, PRECEDENCE["Mul"], strict=True)
    )


class _Latex(LatexPrinter):
    """Sums with their limits; entries with subscripts."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def _print_IndexSum(self, e: IndexSum) -> str:
        body = _after_sum(self, e.body)
        last = self._print(e.size - 1 + self.first)
        return f"\\sum_{{{self._print(e.index)}={self.first}}}^{{{last}}} {body}"

    def _print_IndexProduct(self, e: IndexProduct) -> str:
        last = self._print(e.size - 1 + self.first)
        return f"\\prod_{{{self._print(e.index)}={self.first}}}^{{{last}}} {_after_sum(self, e.body)}"

    def _print_Mul(self, expr: Any) -> str:
        """Sums last: the last of them ends with the product."""
        sums = [a for a in expr.args if isinstance(a, IndexSum)]
        if not sums:
            return super()._print_Mul(expr)
        if expr.could_extract_minus_sign() and expr.args[0].is_Number:
            return f"- {self._print_factors(-expr)}"
        return self._print_factors(expr)

    def _print_factors(self, expr: Any) -> str:
        if isinstance(expr, IndexSum):
            return self._print(expr)
        sums = [a for a in expr.args if isinstance(a, IndexSum)]
        rest = sp.Mul(*(a for a in expr.args if a not in sums))
        *inner, last = sums
        written = [] if rest == 1 else [self.parenthesize(rest, PRECEDENCE["Mul"], strict=True)]
        written += [f"\\left({self._print(a)}\\right)" for a in inner]
        return " ".join([*written, self._print(last)])

    def _print_Indexed(self, expr: Any) -> str:
        label = self._print(expr.base.label)
        label = f"{{{label}}}" if "_" in label else label
        return f"{label}_{{{','.join(map(self._print, expr.indices))}}}"

    def _print_Within(self, e: Any, exp: Any = None) -> str:
        low, high = self.first, e.args[1] + self.first
        return f"\\left[{low} \\le {self._print(e.args[0])} < {self._print(high)}\\right]"

    def _print_EXP(self, e: Any, exp: Any = None) -> str:
        power = f"^{{{exp}}}" if exp else ""
        return f"\\exp{power}\\left({self._print(e.args[0])}\\right)"

    def _print_RELU(self, e: Any, exp: Any = None) -> str:
        return self._named("relu", e, exp)

    def _print_STEP(self, e: Any, exp: Any = None) -> str:
        return self._named("step", e, exp)

    def _named(self, name: str, e: Any, exp: Any) -> str:
        power = f"^{{{exp}}}" if exp else ""
        return f"\\operatorname{{{name}}}{power}\\left({self._print(e.args[0])}\\right)"

    def _matrix(self, e: Any) -> str:
        name = _leaf_name(e)
        if name:
            label, turned = name.removesuffix(".T"), name.endswith(".T")
            return self._print(sp.Symbol(label)) + ("^\\top" if turned else "")
        r, c = map(self._print, e.bound)
        return f"\\left[{self._print(e.body)}\\right]_{{{r},{c}}}"

    def _print_Inverse(self, e: Any, exp: Any = None) -> str:
        name = self._matrix(e)
        base = name if len(name) == 1 else f"\\left({name}\\right)"
        written = f"{base}^{{-1}}_{{{','.join(map(self._print, e.entry))}}}"
        return f"\\left({written}\\right)^{{{exp}}}" if exp else written

    def _print_Cholesky(self, e: Any, exp: Any = None) -> str:
        written = f"\\operatorname{{chol}}\\left({self._matrix(e)}\\right)_{{{','.join(map(self._print, e.entry))}}}"
        return f"\\left({written}\\right)^{{{exp}}}" if exp else written

    def _print_MatrixExponential(self, e: Any, exp: Any = None) -> str:
        written = f"\\exp\\left({self._matrix(e)}\\right)_{{{','.join(map(self._print, e.entry))}}}"
        return f"\\left({written}\\right)^{{{exp}}}" if exp else written

    def _print_ExponentialSlope(self, e: Any, exp: Any = None) -> str:
        i, p, q, j = map(self._print, e.entry)
        matrix = self._matrix(e)
        written = f"\\frac{{\\partial \\exp\\left({matrix}\\right)_{{{i},{j}}}}}{{\\partial ({matrix})_{{{p},{q}}}}}"
        return f"\\left({written}\\right)^{{{exp}}}" if exp else written

    def _print_Det(self, e: Any, exp: Any = None) -> str:
        return f"\\det{f'^{{{exp}}}' if exp else ''} {self._matrix(e)}"

    def _print_LogDet(self, e: Any, exp: Any = None) -> str:
        written = f"\\log\\left|\\det {self._matrix(e)}\\right|"
        return f"\\left({written}\\right)^{{{exp}}}" if exp else written


def text(body: Any) -> str:
    """A body in plain text, counted from 0."""
    return _Text().doprint(named(body))


def latex(body: Any, *, first: int = 1) -> str:
    """A body in LaTeX, with indices that count from ``first``."""
    return _Latex(first).doprint(_shifted(named(body), first, {}))


def plain(body: Any, *, first: int = 0) -> Any:
    """A body in ordinary SymPy: ``Sum``, ``exp``, ``Max``, ``Heaviside``, ``Piecewise``; indices count from ``first``.

    Matrix heads have no such spelling, and stay.
    """
    return _plain(_shifted(named(body), first, {}), first)


def _shifted(e: Any, first: int, seen: dict[Any, Any]) -> Any:
    """Index symbols and the axes of leaves counted from ``first``: where an index i was, i - first is."""
    if first == 0:
        return e
    if e not in seen:
        match e:
            case sp.Symbol() if e.is_integer and not e.is_positive:
                new = e - first
            case sp.Indexed():
                base: Any = e.base
                new = base[tuple(_shifted(i, first, seen) + first for i in e.indices)]
            case MatrixEntry():
                ends = (_shifted(i, first, seen) + first for i in e.entry)
                new = e.func(_shifted(e.body, first, seen), *e.args[1:4], *ends)
            case Binder():
                new = e.func(_shifted(e.body, first, seen), *e.bound, *(_shifted(a, first, seen) for a in e.outside))
            case sp.KroneckerDelta():
                new = e.func(*(sp.expand(_shifted(a, first, seen) + first) for a in e.args[:2]))
            case Within():
                new = e.func(_shifted(e.args[0], first, seen) + first, _shifted(e.args[1], first, seen))
            case _ if e.args and not isinstance(e, sp.IndexedBase):
                new = e.func(*(_shifted(a, first, seen) for a in e.args))
            case _:
                new = e
        seen[e] = new
    return seen[e]


def _plain(e: Any, first: int) -> Any:
    if not e.args or isinstance(e, (sp.Indexed, sp.IndexedBase)):
        return e
    args = [_plain(a, first) for a in e.args]
    match e:
        case IndexSum():
            return sp.Sum(args[0], (e.index, first, e.size - 1 + first))
        case Within():
            return sp.Piecewise((1, sp.And(args[0] >= first, args[0] < args[1] + first)), (0, True))
        case EXP():
            return sp.exp(args[0])
        case RELU():
            return sp.Max(args[0], 0)
        case STEP():
            return sp.Heaviside(args[0], sp.S.Zero)  # type: ignore[arg-type]
        case _:
            return e.func(*args)
