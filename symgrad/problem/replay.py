"""The recorded Program must give what the code itself computed: the last guard between a formula and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from symgrad.errors import ReplayMismatch
from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.lifting.tracing.functions import Run
from symgrad.program.program import interpret
from symgrad.rounding.running_bounds import error_bounds

__all__ = ["replay"]


def replay(run: Run, point: Mapping[str, Any], what: str) -> None:
    """Run the Program in floats and compare it with what the code returned.

    The two may differ by what rounding can do, since kernels are free in the order in which they add: by the sum of
    both their running error bounds, and no more.  Where a bound is infinite nothing
    can be said of that entry.  Raises `ReplayMismatch` otherwise.
    """
    program = run.program
    inputs = {
        name: torch.as_tensor(np.array(point[name])).to(getattr(torch, program.steps[i].dtype))
        for name, i in program.inputs.items()
    }
    with torch.no_grad():
        values = interpret(program, Floats(), inputs)
        odd = [n for n, i in program.outputs.items() if not _same(to_numpy(values[i]), run.values[n])]
        if not odd:
            return
        bounds = error_bounds(program, inputs, [program.outputs[n] for n in odd])
    for name in odd:
        i = program.outputs[name]
        here, there = to_numpy(values[i]), np.asarray(run.values[name])
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


def _same(a: np.ndarray, b: Any) -> bool:
    return a.shape == np.shape(b) and np.array_equal(a, np.asarray(b), equal_nan=True)


def _short(a: np.ndarray) -> str:
    return f"{a.item():.9g}" if a.size == 1 and a.dtype.kind == "f" else f"{a.reshape(-1)[:3]}..."
