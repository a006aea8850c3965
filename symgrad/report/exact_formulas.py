"""The exact derivatives as formulas: as SymPy reads them, in index notation, and all of them as one LaTeX display."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from symgrad.checking.results import Claim, Results
from symgrad.checking.verdicts import IndexForm
from symgrad.errors import SymgradError
from symgrad.evaluation.exact import meaning
from symgrad.indices.printing import latex, text
from symgrad.indices.terms import rename
from symgrad.program.program import Program

# ------------------------------------------------------------------------------------------------------- as SymPy reads
# Where they are short enough to be read by a person.

_OPERATIONS = 400  # a longer formula is not shown: nobody would read it
_ENTRIES = 16


def formula_of(program: Program) -> Any:
    """A Program's only output as an expression or a matrix; in words where it is too long to be read.

    Common terms are taken out, and nothing else is done to it: simplifying has no end that is known beforehand.

    >>> from symgrad.api.gradients import lift
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


# -------------------------------------------------------------------------------------------------- in index notation

LETTERS = "ijklpqrstuv"  # of indices that the user gave no letter


def exact_text(report: Results, claim: Claim) -> str | None:
    """The exact derivative in index notation: ``∂f/∂U[k,N] = ...``; None where it was not read."""
    form = _form(report, claim)
    if form is None:
        return None
    of, by = (f"[{','.join(letters)}]" if letters else "" for letters in (form.of, form.by))
    if not claim.order:
        return f"{claim.name}{by} = {text(form.body)}"
    if report.order == 2:
        return f"∂²f/∂{claim.name}{of}∂{claim.name}{by} = {text(form.body)}"
    return f"∂f{of}/∂{claim.name}{by} = {text(form.body)}"


def exact_latex(report: Results, claim: Claim) -> tuple[str, str] | None:
    """The two sides of the exact derivative in LaTeX, with indices that count from 1; None where it was not read."""
    form = _form(report, claim)
    if form is None:
        return None
    of, by = (f"_{{{','.join(letters)}}}" if letters else "" for letters in (form.of, form.by))
    name = _symbol(claim.name)
    if not claim.order:
        return f"{name}{by}", latex(form.body)
    if report.order == 2:
        return rf"\frac{{\partial^2 f}}{{\partial {name}{of} \partial {name}{by}}}", latex(form.body)
    return rf"\frac{{\partial f{of}}}{{\partial {name}{by}}}", latex(form.body)


@dataclass(frozen=True)
class _Form:
    """A body in index notation with the letters of its free indices: the function's axes, then the input's."""

    body: Any
    of: tuple[str, ...]
    by: tuple[str, ...]


def _form(report: Results, claim: Claim) -> _Form | None:
    """The shortest known body of the exact derivative, its free indices named; None where it was not read."""
    sizes = report.sizes
    if sizes is None or claim.name not in sizes.forms:
        return None
    form: IndexForm = sizes.forms[claim.name]
    axes = np.ndim(report.point[claim.name]) if claim.order and claim.name in report.point else len(form.factors)
    if len(form.factors) - form.upstream > axes:  # one of them was read in blocks
        return None
    taken = {*report.point, *sizes.names}
    free = [c for c in LETTERS if c not in taken]
    letters = form.letters if len(form.letters) == len(form.factors) else tuple(free[: len(form.factors)])
    new = {f.index: sp.Symbol(c, integer=True) for f, c in zip(form.factors, letters, strict=True)}
    bodies = [rename(body, new) for body in form.bodies]
    return _Form(min(bodies, key=lambda b: len(text(b))), letters[: form.upstream], letters[form.upstream :])


# ------------------------------------------------------------------------------------------------------- the display


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


def typeset(program: Program, left: str = "") -> str:
    """A Program's only output as inline LaTeX, behind ``left`` and a sign of equality where there is one.

    >>> from symgrad.api.gradients import lift
    >>> typeset(lift("x*y"), "f")
    '$f = x y$'
    """
    return f"${left}{' = ' if left else ''}{_formula(program)}$"


def slope_of(name: str, entry: Sequence[sp.Symbol] = ()) -> str:
    """The derivative of f by an input, or by an ``entry`` of it, in LaTeX."""
    place = f"_{{{','.join(map(str, entry))}}}" if entry else ""
    return rf"\frac{{\partial f}}{{\partial {_symbol(name)}{place}}}"


def _claim(report: Results, claim: Claim) -> Iterator[str]:
    indexed = exact_latex(report, claim)
    if indexed is not None:
        yield f"{indexed[0]} &= {indexed[1]}"
        return
    slope = slope_of(claim.name) if report.order == 1 else rf"\nabla^2_{{{_symbol(claim.name)}}} f"
    yield f"{slope} &= {_formula(claim.exact)}"
    if claim.kind == "refuted" and claim.hand.outputs:
        yield rf"\text{{yours:}}\quad &\phantom{{=}}\ {_formula(claim.hand)}"


def _symbol(name: str) -> str:
    return sp.latex(sp.Symbol(name)) if name.isidentifier() else _words(name)


def _formula(program: Program) -> str:
    """The formula in LaTeX, or what it is where it is too long to be read."""
    found = formula_of(program)
    return _words(found) if isinstance(found, str) else sp.latex(found)


def _words(text: str) -> str:
    escaped = text.replace("_", r"\_")
    return rf"\text{{{escaped}}}"
