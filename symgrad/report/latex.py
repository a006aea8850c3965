"""The derivatives as LaTeX: for each input the exact one, and yours beside it where it differs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import sympy as sp

from symgrad.errors import SymgradError
from symgrad.evaluation.exact import meaning
from symgrad.program import Program
from symgrad.report.report import Claim, Report
from symgrad.report.sizes import exact_latex

__all__ = ["render"]

_OPERATIONS = 400  # a longer formula is not shown: nobody would read it


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
    name = sp.latex(sp.Symbol(claim.name)) if claim.name.isidentifier() else rf"\text{{{claim.name}}}"
    slope = rf"\frac{{\partial f}}{{\partial {name}}}" if order == 1 else rf"\nabla^2_{{{name}}} f"
    yield f"{slope} &= {_formula(claim.exact)}"
    if claim.kind == "refuted" and claim.hand.outputs:
        yield rf"\text{{yours:}}\quad &\phantom{{=}}\ {_formula(claim.hand)}"


def _formula(program: Program) -> str:
    """The formula in LaTeX, or what it is where it is too long to be read."""
    output = program.outputs.get("hand", program.outputs.get("exact"))
    if output is None:
        return r"\ldots"
    shape = program.shape(output)
    try:
        value = meaning(program, output, operations=_OPERATIONS)
    except SymgradError:
        return rf"\text{{a formula of {len(program.needed([output]))} steps}}"
    if not shape:
        return sp.latex(sp.simplify(value) if sp.count_ops(value) < 60 else value)
    if len(shape) <= 2 and value.size <= 16:
        return sp.latex(sp.Matrix(np.atleast_2d(value).tolist()))
    return rf"\text{{a tensor of shape {list(shape)}}}"
