"""The derivatives as LaTeX: for each input the exact one, and yours beside it where it differs."""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from symgrad.program.program import Program
from symgrad.report.formula_view import formula_of
from symgrad.report.report import Claim, Report
from symgrad.report.size_claims import exact_latex

__all__ = ["render"]


def render(report: Report) -> str:
    """One ``aligned`` display: the exact derivatives, each followed by the hand formula if that is refuted.

    >>> from symgrad import verify
    >>> print(render(verify("x**3", "2*x**2")))
    \\begin{aligned}
    \\frac{\\partial f}{\\partial x} &= 3 x^{2} \\\\
    \\text{yours:}\\quad &\\phantom{=}\\ 2 x^{2}
    \\end{aligned}
    """
    lines = [line for claim in report.claims.values() for line in _claim(report, claim)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _claim(report: Report, claim: Claim) -> Iterator[str]:
    indexed = exact_latex(report, claim)
    if indexed is not None:
        yield f"{indexed[0]} &= {indexed[1]}"
        return
    order = report.order
    name = sp.latex(sp.Symbol(claim.name)) if claim.name.isidentifier() else _words(claim.name)
    slope = rf"\frac{{\partial f}}{{\partial {name}}}" if order == 1 else rf"\nabla^2_{{{name}}} f"
    yield f"{slope} &= {_formula(claim.exact)}"
    if claim.kind == "refuted" and claim.hand.outputs:
        yield rf"\text{{yours:}}\quad &\phantom{{=}}\ {_formula(claim.hand)}"


def _formula(program: Program) -> str:
    """The formula in LaTeX, or what it is where it is too long to be read."""
    found = formula_of(program)
    return _words(found) if isinstance(found, str) else sp.latex(found)


def _words(text: str) -> str:
    escaped = text.replace("_", r"\_")
    return rf"\text{{{escaped}}}"
