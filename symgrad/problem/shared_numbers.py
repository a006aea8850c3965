"""Numbers that the code writes and the user passes too: a literal 0.8 beside an input that is given as 0.8.

A decimal in code stands for itself, four fifths, and an input for the binary number that it is.  Where one float is
both, the two are meant to be one number, and the float code cannot tell them apart: the literal is then the input's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.program.program import Constant, Program, Step

__all__ = ["with_given_numbers"]

_ENTRIES = 64  # of an input that are compared with the literals


def with_given_numbers(
    program: Program, point: Mapping[str, Any], data: Sequence[str], dtypes: Mapping[str, str]
) -> tuple[Program, list[str]]:
    """The Program with the literals that are inputs' numbers in their dtypes, and what was taken for what.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x, c = b.input("x", ()), b.input("c", ())
    >>> y = b.mul(x, b.constant(0.8, exact=sp.Rational(4, 5)))
    >>> made, told = with_given_numbers(b.build({"y": y}), {"x": 2.0, "c": 0.8}, ["c"], {})
    >>> told
    ['0.8 in the code and the value of c are one float: they were taken for one number.']
    """
    known: dict[tuple[str, float], tuple[str, float]] = {}
    for name in data:
        value, dtype = np.asarray(point[name]), dtypes.get(name, "float64")
        if value.dtype.kind == "f" and value.size <= _ENTRIES:
            for x in value.reshape(-1).tolist():
                known.setdefault((dtype, _rounded(x, dtype)), (name, x))
    if not known:
        return program, []
    steps, told = list(program.steps), {}
    for i, step in enumerate(steps):
        if step.op == "constant" and step.params.exact is not None:
            steps[i], found = _met(step, known)
            told |= found
    return (replace(program, steps=tuple(steps)), list(told)) if told else (program, [])


def _met(step: Step, known: Mapping[tuple[str, float], tuple[str, float]]) -> tuple[Step, dict[str, None]]:
    constant: Constant = step.params
    scalar = isinstance(constant.exact, sp.Basic)
    if scalar and not constant.exact.is_Rational:  # type: ignore[union-attr]
        return step, {}
    exact = [constant.exact] if scalar else np.asarray(constant.exact, dtype=object).reshape(-1).tolist()
    values = np.asarray(constant.value).reshape(-1).tolist()
    kinds = {dtype for dtype, _ in known}
    told: dict[str, None] = {}
    for k, (meant, x) in enumerate(zip(exact, values, strict=True)):
        if not isinstance(x, float) or isinstance(meant, sp.Basic) is not scalar:
            continue
        found = next((known[d, r] for d in kinds if (d, r := _rounded(x, d)) in known), None)
        if found is not None and Fraction(found[1]) != Fraction(str(meant)):
            exact[k] = sp.Rational(*Fraction(found[1]).as_integer_ratio()) if scalar else Fraction(found[1])
            told[f"{x:g} in the code and the value of {found[0]} are one float: they were taken for one number."] = None
    if not told:
        return step, {}
    new: Any = exact[0] if scalar else np.array(exact, dtype=object).reshape(np.shape(constant.exact))
    return replace(step, params=replace(constant, exact=new, radius=None if scalar else constant.radius)), told


def _rounded(x: float, dtype: str) -> float:
    return float(np.float32(x)) if dtype in ("float32", "complex64") else x
