"""The other side of a comparison: a point where the code would choose differently, found by Newton's method.

Sampling near the user's point may never reach ``x > 100``; a formula that is wrong only there would then look right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from symgrad.building import Builder
from symgrad.derivative import reverse
from symgrad.evaluation.floats import Floats
from symgrad.program import Guard, Program, interpret
from symgrad.sampling import Bounds, rounded

__all__ = ["across"]

_ORDERED = frozenset(("gt", "ge", "lt", "le"))
_STEPS = 12
_BEYOND = 0.25  # how far past the edge to aim, as a part of the distance to it


def across(
    program: Program, guard: Guard, point: Mapping[str, Any], names: Sequence[str], bounds: Mapping[str, Bounds]
) -> dict[str, Any] | None:
    """A point where one entry of an ordered comparison comes out the other way, or None if none was found.

    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> b.guard("gt", [b.integer_power(x, 2), b.number(100)], None, np.array(False))
    >>> program = b.build({})
    >>> bool(abs(across(program, program.guards[0], {"x": np.array(1.0)}, ["x"], {})["x"]) > 10)
    True
    """
    names = [n for n in names if n in program.inputs and np.asarray(point[n]).dtype.kind == "f"]
    if guard.op not in _ORDERED or len(guard.args) != 2 or not names:
        return None
    b = Builder.on(program)
    left, right = guard.args
    shape = np.broadcast_shapes(b.shape(left), b.shape(right))
    if not np.prod(shape, dtype=np.int64):
        return None
    gap = b.sub(b.broadcast(left, shape), b.broadcast(right, shape))
    start = _read(b, [gap], program, point)[0].reshape(-1)
    entry = int(np.argmin(np.where(np.isfinite(start), np.abs(start), np.inf)))
    if not np.isfinite(start[entry]):
        return None
    one = b.pick([gap], np.array([entry + 1]), ())
    of, _ = reverse(b, {one: b.ones((), b.dtype(one))}, {program.inputs[n] for n in names})
    slopes = {n: of[program.inputs[n]] for n in names if program.inputs[n] in of}
    aim = -_BEYOND * start[entry] if start[entry] else _BEYOND
    here = dict(point)
    for _ in range(_STEPS if slopes else 0):
        value, *gradient = _read(b, [one, *slopes.values()], program, here)
        if np.isfinite(value) and value and np.sign(value) == np.sign(aim):
            return here
        size = sum(float((g**2).sum()) for g in gradient)
        if not np.isfinite(value) or not np.isfinite(size) or size == 0:
            return None
        for n, g in zip(slopes, gradient, strict=True):
            moved = rounded(np.asarray(here[n] + (aim - value) * g / size), 20)
            low, high = bounds.get(n, (None, None))
            if (low is not None and np.any(moved <= low)) or (high is not None and np.any(moved >= high)):
                return None
            here[n] = moved
    return None


def _read(b: Builder, steps: Sequence[int], program: Program, point: Mapping[str, Any]) -> list[np.ndarray]:
    tensors = {n: torch.as_tensor(np.asarray(point[n])) for n in program.inputs}
    values = interpret(b.build({}), Floats("float64"), tensors, steps)
    return [values[i].numpy() for i in steps]
