"""One point: does the float run lose what the formula still has there, and at which step?

The truth is a ball, refined until it is known to more bits than any dtype has.  What a formula's conditioning allows is
no loss: an error counts only where it is more than `symgrad.rounding.accuracy.INSTABILITY` times u times the condition
number, and where the truth is an ordinary number of the dtype.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.evaluation.floats import Floats, tensors_of, to_numpy
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.program import Program, interpret
from symgrad.rounding.accuracy import condition, is_unstable
from symgrad.rounding.attribution import find_lost_digits
from symgrad.rounding.running_bounds import distance

_BITS = (128, 320, 1200, 4800)
_MARGIN = 2.0**10  # how far from the largest and the smallest number a truth is an ordinary one
_KNOWN = 80  # bits to which the truth has to be known
_SHRINKING = frozenset("exp exp2 mul div powi pow square sigmoid erfc ndtr softmax reciprocal".split())
_ENTRIES = 4  # entries of an output, the worst ones, whose attainable accuracy is computed


@dataclass(frozen=True, eq=False)
class Losing:
    """A point at which digits are lost: the entry, the two values, and the step that loses them.

    ``attainable`` is the condition number of the entry, times its size: u times this is the error that any formula may
    have; ``error`` is the relative error that was made.  ``kind`` is "overflow", "underflow", "cancellation" or
    "absorption".
    """

    point: Mapping[str, Any]
    entry: int
    computed: float
    exact: float
    attainable: float
    error: float
    step: int | None
    kind: str


def coarsest(program: Program, output: int) -> torch.dtype:
    """The coarsest dtype of an output and of the inputs that it depends on: what its ulps are of."""
    kinds = {program.steps[i].dtype for i in program.needed([output]) if program.steps[i].op == "input"}
    kinds = {k for k in kinds | {program.steps[output].dtype} if not k.startswith("complex")}
    return max((getattr(torch, k) for k in kinds), key=lambda d: torch.finfo(d).eps)


def truth_of(program: Program, point: Mapping[str, Any], output: int) -> tuple[list[Any], int] | None:
    """The exact entries of a step as balls known to `_KNOWN` bits, and the precision that it took; None where one of
    them has no value, or would need more.
    """
    for bits in _BITS:
        entries = entries_of(program, point, output, bits)
        if entries is None:
            return None
        if all(x.is_finite() and (x.is_exact() or x.rel_accuracy_bits() >= _KNOWN) for x in entries):
            return entries, bits
    return None


def entries_of(program: Program, point: Mapping[str, Any], output: int, bits: int) -> list[Any] | None:
    """The entries of a step as balls; None where one has no value."""
    with precision(bits):
        inputs = {n: binary(np.asarray(point[n])) for n in program.inputs}
        try:
            return list(flat(interpret(program, Balls(), inputs, [output])[output]))
        except (ValueError, ZeroDivisionError, OverflowError):
            return None


def ordinary(size: float, dtype: torch.dtype) -> bool:
    """Whether a number is well inside the range of the dtype: a formula may break near its ends, as its parts do."""
    info = torch.finfo(dtype)
    return info.tiny * _MARGIN <= size <= info.max / _MARGIN


def losing(program: Program, point: Mapping[str, Any], output: int, values: np.ndarray | None = None) -> Losing | None:
    """What is lost in a step's float value at a point; None where nothing is, or the formula has no value there.

    ``values`` are what the user's own code computed; by default the Program's own run in floats.
    """
    kind = coarsest(program, output)
    found = truth_of(program, point, output)
    if found is None:
        return None
    truth, bits = found
    inputs = tensors_of(point, program.dtypes)
    if values is None:
        with torch.no_grad():
            computed = interpret(program, Floats(), inputs, [output])[output].reshape(-1)
    else:
        computed = torch.as_tensor(np.ascontiguousarray(values)).reshape(-1)
    order = _worst(computed, truth, kind)
    if not order:
        return None
    with precision(bits), torch.no_grad():
        errors = distance(computed[order], np.array([truth[k] for k in order], dtype=object))[1]
        reach = condition(program, inputs, output, entries=order, bits=bits)
        sizes = torch.tensor([float(abs(truth[k].mid())) for k in order], dtype=torch.float64)
        lost = is_unstable(torch.nan_to_num(errors, nan=torch.inf), reach, kind)
        lost &= torch.finfo(kind).eps * reach < sizes / 16  # else there is nothing that could be kept
        if not bool(lost.any()):
            return None
        at = int(lost.int().argmax())
        k = order[at]
        step, why = _where(program, inputs, output, k, bits)
    exact = float(truth[k].mid())
    error = float(errors[at]) / abs(exact)
    return Losing(point, k, float(computed[k]), exact, float(reach[at]), error, step, why)


def _worst(computed: torch.Tensor, truth: Sequence[Any], dtype: torch.dtype) -> list[int]:
    """The ordinary entries that are relatively furthest from the truth, if more than a few ulps."""
    exact = np.array([float(x.mid()) for x in truth])
    with np.errstate(all="ignore"):
        far = np.abs(computed.double().numpy() - exact) / np.abs(exact)
    far = np.where(np.isnan(far), np.inf, far)
    usual = [k for k, x in enumerate(exact.tolist()) if ordinary(abs(x), dtype)]
    bad = [k for k in usual if far[k] > 32 * torch.finfo(dtype).eps]
    return sorted(bad, key=lambda k: -far[k])[:_ENTRIES]


# ------------------------------------------------------------------------------------------------ where


def is_the_librarys_own(program: Program, point: Mapping[str, Any], i: int) -> bool:
    """Whether a step's digits are lost inside one call of a library's function, whose arguments are right.

    Then it is the kernel that loses them, such as torch's of ``gelu``, and not what the user wrote.
    """
    source = program.steps[i].source
    if source is None or source.span is None:
        return False
    segment = source.text[slice(*source.span)] if source.line is not None else source.text
    try:
        if not isinstance(ast.parse(segment.strip(), mode="eval").body, ast.Call):
            return False
    except SyntaxError:
        return False
    group = [j for j in range(len(program.steps)) if program.steps[j].source == source]
    floats = interpret(program, Floats(), tensors_of(point, program.dtypes), group)
    b, place, values = Builder(), {}, {}
    for j in sorted({a for g in group for a in program.steps[g].args} - set(group)):
        if program.steps[j].op == "constant":
            place[j] = b.emit("constant", (), program.steps[j].params, program.shape(j), program.steps[j].dtype)
            continue
        place[j] = b.input(f"_{j}", program.shape(j), program.steps[j].dtype)
        values[f"_{j}"] = to_numpy(floats[j])
    for j in group:
        s = program.steps[j]
        place[j] = b.emit(s.op, [place[a] for a in s.args], s.params, s.shape, s.dtype)
    used = {a for j in group for a in program.steps[j].args}
    return any(losing(b.build({"out": place[j]}), values, place[j]) is not None for j in group if j not in used)


def _where(
    program: Program, inputs: Mapping[str, torch.Tensor], output: int, entry: int, bits: int
) -> tuple[int | None, str]:
    """The step that loses the digits of one entry, and how."""
    loss = find_lost_digits(program, inputs, output, entry=entry, bits=bits)
    if loss is None:
        return None, "cancellation"
    floats = interpret(program, Floats(), inputs, [loss.step])
    here = floats[loss.step].reshape(-1)[loss.entry]
    step = program.steps[loss.step]
    if not bool(torch.isfinite(here)):
        return loss.step, "overflow"
    if step.op in ("add", "sub", "scatter", "matmul"):
        return loss.step, "cancellation"
    if step.op in _SHRINKING and abs(float(here)) < torch.finfo(here.dtype).tiny:
        return loss.step, "underflow"
    if any(not bool(torch.isfinite(floats[a]).all()) for a in step.args):
        return loss.step, "overflow"
    return loss.step, "absorption"
