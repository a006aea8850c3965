"""The formulas of a report, as SymPy reads them, where they are short enough to be read by a person."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import SymgradError
from symgrad.evaluation.exact import meaning
from symgrad.program.program import Program

__all__ = ["formula_of"]

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
