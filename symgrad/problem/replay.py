"""The recorded Program must give what the code itself computed: the last guard between a formula and its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.errors import LostValue, ReplayMismatch
from symgrad.evaluation.floats import Floats, computed, tensors_of, to_numpy
from symgrad.lifting.tracing.functions import Run
from symgrad.program.program import Constant, Program, Step, interpret
from symgrad.rounding.running_bounds import error_bounds

# ------------------------------------------------------------------------------------------------------ shared numbers
# Numbers that the code writes and the user passes too: a literal 0.8 beside an input that is given as 0.8.
#
# A decimal in code stands for itself, four fifths, and an input for the binary number that it is.  Where one float is
# both, the two are meant to be one number, and the float code cannot tell them apart: the literal is then the input's.

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


# -------------------------------------------------------------------------------------------------------------- replay


def replay(run: Run, point: Mapping[str, Any], what: str) -> None:
    """Run the Program in floats and compare it with what the code returned.

    The two may differ by what rounding can do, since kernels are free in the order in which they add: by the sum of
    both their running error bounds, and no more.  Where a bound is infinite nothing
    can be said of that entry, nor of results whose values the run does not tell.  Raises `ReplayMismatch` otherwise,
    and `LostValue` where the record has memory that was made empty, and the code a number in it.
    """
    program, inputs = run.program, tensors_of(point, run.program.dtypes)
    with torch.no_grad():
        odd = _odd(run, inputs, run.values)
        if not odd:
            return
        values = interpret(program, Floats(), inputs, [program.outputs[n] for n in odd])
        bounds = error_bounds(program, inputs, [program.outputs[n] for n in odd])
    for name in odd:
        i = program.outputs[name]
        here, there = to_numpy(values[i]), np.asarray(run.values[name])
        if (hole := _filled_elsewhere(program, i, here, there)) is not None:
            source = hole.source
            raise LostValue(
                f"memory that {what} made empty was filled in a way that cannot be followed.",
                where=None if source is None else f"    {source.file}:{source.line}    {source.text}",
                instead="Fill it with torch or NumPy; a kernel that writes by address is judged by what it gives: "
                "verify_function(kernel, reference=...).",
            )
        allowed = 2 * bounds[i].error.numpy()
        with np.errstate(all="ignore"):
            if here.shape == there.shape and np.all((np.abs(here - there) <= allowed) | ~np.isfinite(allowed)):
                continue
        source = program.steps[i].source
        raise ReplayMismatch(
            f"what was recorded of {what} does not give what the code computed: {_short(here)} for {_short(there)}.",
            where=None
            if source is None or source.line is None
            else f"    {source.file}:{source.line}    {source.text}",
            instead="This is a fault of symgrad: it has misread an operation in the code. No verdict is given.",
        )


def _filled_elsewhere(program: Program, output: int, here: np.ndarray, there: np.ndarray) -> Step | None:
    """The empty memory, which is recorded as NaN, that makes an output NaN where the code has a number."""
    if here.shape != there.shape or not (np.isnan(here) & np.isfinite(there)).any():
        return None
    steps = (program.steps[k] for k in program.needed([output]))
    return next((s for s in steps if s.op == "constant" and np.isnan(np.asarray(s.params.value, float)).any()), None)


def gives(run: Run, point: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> bool:
    """Whether the record of a run, in floats at another point, gives to the last bit what the code computed there.

    Where it does not, that says nothing yet: kernels are free in the order in which they add.
    """
    if values.keys() != run.values.keys():
        return False
    with torch.no_grad():
        return not _odd(run, tensors_of(point, run.program.dtypes), values)


def _odd(run: Run, inputs: Mapping[str, torch.Tensor], told: Mapping[str, np.ndarray]) -> list[str]:
    """The outputs of which the record gives another value than what is told of them."""
    written = {n: i for n, i in run.program.outputs.items() if n not in run.derived}
    values = computed(run.program, inputs, written.values())
    return [n for n, i in written.items() if not _same(values[i], told[n])]


def _same(a: np.ndarray, b: Any) -> bool:
    return a.shape == np.shape(b) and np.array_equal(a, np.asarray(b), equal_nan=True)


def _short(a: np.ndarray) -> str:
    return f"{a.item():.9g}" if a.size == 1 and a.dtype.kind == "f" else f"{a.reshape(-1)[:3]}..."
