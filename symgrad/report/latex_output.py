"""The derivatives as LaTeX: for each input the exact one, and yours beside it where it differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy as sp

from symgrad.checking.results import Claim, Results
from symgrad.errors import SymgradError
from symgrad.evaluation.exact import meaning
from symgrad.program.program import Program
from symgrad.report.size_claims import exact_latex

__all__ = [
    "formula_of",
    "render_latex",
]


# -------------------------------------------------------------------------------------------------------- formula view
# The formulas of a report, as SymPy reads them, where they are short enough to be read by a person.

_OPERATIONS = 400  # a longer formula is not shown: nobody would read it
_ENTRIES = 16


def formula_of(program: Program) -> Any:
    """A Program's only output as an expression or a matrix; in words where it is too long to be read.

    Common terms are taken out, and nothing else is done to it: simplifying has no end that is known beforehand.

    >>> from symgrad.api.comparisons import lift
    >>> formula_of(lift("x*y + x*z")), formula_of(lift("*".join(f"tanh(x + {k})" for k in range(200))))
    (x*(y + z), 'a formula of 800 steps')
    """
    if not program.outputs:
        return "no formula"
    shape = program.shape(program.output)
    if len(shape) > 2 or int(np.prod(shape)) > _ENTRIES:
        return f"a tensor of shape {list(shape)}"
    try:
        value = meaning(program, operations=_OPERATIONS)
        if not shape:
            return sp.factor_terms(value)
        return sp.Matrix(np.atleast_2d(value).tolist()).applyfunc(sp.factor_terms)
    except SymgradError:
        return f"a formula of {len(program.needed([program.output]))} steps"


# -------------------------------------------------------------------------------------------------------- latex output


def render_latex(report: Results) -> str:
    """One ``aligned`` display: the exact derivatives, each followed by the hand formula if that is refuted.

    >>> from symgrad import verify
    >>> print(render_latex(verify("x**3", "2*x**2")))
    \\begin{aligned}
    \\frac{\\partial f}{\\partial x} &= 3 x^{2} \\\\
    \\text{yours:}\\quad &\\phantom{=}\\ 2 x^{2}
    \\end{aligned}
    """
    lines = [line for claim in report.claims.values() for line in _claim(report, claim)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _claim(report: Results, claim: Claim) -> Iterator[str]:
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
