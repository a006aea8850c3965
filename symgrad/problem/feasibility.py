"""Into the domain: from a point where a formula has no value to one where it has, however thin its domain is.

A logarithm's argument is brought to a positive value by Newton's method.  Where two functions pull apart, as in
sqrt(x - 1000) sqrt(1001 - x), the segment between a point that is too low and one that is too high is halved until
it meets the domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, binary, precision
from symgrad.evaluation.entrywise import flat
from symgrad.evaluation.floats import Floats
from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.definedness import Undefined, first_undefined
from symgrad.problem.sampling import Bounds, Inputs, draw
from symgrad.program.builder import Builder
from symgrad.program.derivative import reverse
from symgrad.program.program import Program, interpret

__all__ = ["narrow_point", "toward_domain", "undefined_at"]

_INF = float("inf")
_EDGES: dict[str, tuple[float, float]] = dict.fromkeys(
    ("log", "log2", "log10", "sqrt", "rsqrt", "lgamma", "powi", "pow", "Ci", "Chi"), (0.0, _INF)
)
_EDGES |= dict.fromkeys(("asin", "acos", "atanh", "erfinv"), (-1.0, 1.0))
_EDGES |= {"acosh": (1.0, _INF), "log1p": (-1.0, _INF), "logit": (0.0, 1.0)}
_STARTS = 2
_WALK = 48  # Newton steps from each start
_HALVINGS = 90
_SEGMENTS = 2  # that are halved from each start
_SHARES = (2.0**-3, 2.0**-10, 0.0)


def undefined_at(program: Program, point: Mapping[str, Any]) -> tuple[Undefined | None, bool]:
    """The first step without a value at the point, and whether all results have one."""
    with precision(128):
        values = interpret(program, Balls(), {n: binary(point[n]) for n in program.inputs})
        defined = all(x.is_finite() for i in program.outputs.values() for x in flat(values[i]))
        return (None if defined else first_undefined(program, values)), defined


def narrow_point(
    model: Formula, inputs: Inputs, dtypes: Mapping[str, str], names: Sequence[str], seed: int
) -> tuple[dict[str, Any], Run] | None:
    """A point of a domain that is too thin to be met by chance, and the model's run there, or None."""
    for k in range(_STARTS):
        rng = np.random.default_rng((seed, 5, k))
        point = dict(inputs.point)
        for name in names:
            bounds = inputs.bounds.get(name, (None, None))
            point[name] = draw(np.shape(point[name]), rng, bounds) * (1.0 if bounds != (None, None) else 4.0 ** (k % 3))
        outside: dict[int, dict[str, Any]] = {}  # the last point where each step had no value
        halvings = 0
        for j in range(_WALK):
            there = _at(model, point, dtypes)
            if there is None:
                break
            run, undefined, defined = there
            if defined:
                return point, run
            if undefined is None:
                break
            for position, other in list(outside.items()):
                if position != undefined.position and halvings < _SEGMENTS:
                    halvings += 1
                    found = _between(model, dtypes, names, (point, undefined.position), (other, position))
                    if found is not None and inputs.settled(dict(found[0])) is not None:
                        return found
            outside[undefined.position] = point
            moved = toward_domain(run.program, undefined, point, names, inputs.bounds, rng, _SHARES[j % 3])
            if moved is None:
                break
            point = moved
    return None


def _at(
    model: Formula, point: Mapping[str, Any], dtypes: Mapping[str, str]
) -> tuple[Run, Undefined | None, bool] | None:
    try:
        run = model.run(point, dtypes)
    except SymgradError:
        return None
    return run, *undefined_at(run.program, point)


def _between(
    model: Formula,
    dtypes: Mapping[str, str],
    names: Sequence[str],
    one: tuple[dict[str, Any], int],
    two: tuple[dict[str, Any], int],
) -> tuple[dict[str, Any], Run] | None:
    """A point of the domain on the segment between two points where different steps have no value."""
    (low, a), (high, b) = one, two
    for _ in range(_HALVINGS):
        middle = {**low, **{n: np.asarray((low[n] + high[n]) / 2) for n in names}}
        if all(np.array_equal(middle[n], low[n]) or np.array_equal(middle[n], high[n]) for n in names):
            return None
        there = _at(model, middle, dtypes)
        if there is None:
            return None
        run, undefined, defined = there
        if defined:
            return middle, run
        if undefined is None or undefined.position not in (a, b):
            return None
        low, high = (middle, high) if undefined.position == a else (low, middle)
    return None


def toward_domain(
    program: Program,
    undefined: Undefined,
    point: Mapping[str, Any],
    names: Sequence[str],
    bounds: Mapping[str, Bounds],
    rng: np.random.Generator,
    share: float | None = None,
) -> dict[str, Any] | None:
    """One Newton step that brings the argument of an undefined function to where it is defined.

    It aims at an ordinary number inside, or, with a ``share``, at this part of the distance beyond the edge.
    """
    step = program.steps[undefined.position]
    names = [n for n in names if n in program.inputs]
    if step.op not in _EDGES or not names:
        return None
    b = Builder.on(program)
    argument = step.args[0]
    of, _ = reverse(b, {argument: b.ones(b.shape(argument), b.dtype(argument))}, {program.inputs[n] for n in names})
    slopes = {n: of[program.inputs[n]] for n in names if program.inputs[n] in of}
    if not slopes:
        return None
    tensors = {n: torch.as_tensor(point[n]) for n in program.inputs}
    values = interpret(b.build({}), Floats("float64"), tensors, [argument, *slopes.values()])
    low, high = _EDGES[step.op]
    entry = float(values[argument].min())
    turned = entry > low  # too large, then
    edge = high if turned else low
    here = edge - entry if turned else entry - edge
    size = sum(float((values[i] ** 2).sum()) for i in slopes.values())
    if not np.isfinite(here) or not np.isfinite(size) or size == 0:
        return None
    room = min(1.0, (high - low) / 2)
    aim = room * float(rng.choice([0.0625, 0.25, 0.5, 1.0, 4.0 if room == 1 else 1.0])) * float(rng.uniform(0.5, 1.0))
    aim = aim if share is None else share * abs(here)
    sign = -1.0 if turned else 1.0
    out = dict(point)
    for n, i in slopes.items():
        moved = np.asarray(point[n]) + sign * (aim - here) * values[i].numpy() / size
        low, high = bounds.get(n, (None, None))
        if (low is not None and np.any(moved <= low)) or (high is not None and np.any(moved >= high)):
            return None
        out[n] = moved
    return out
