"""A derivative's value where floats, or the formula as it is written, have none: in balls, at the point or beside it.

What overflows on the way to a number is that number, read in balls.  What is written as 0/0 has a value beside the
point: on rays into it, from both sides, read at two distances.  The mean of both sides is the symmetric derivative,
``lim (f(x + h d) - f(x - h d)) / 2h``: the derivative where there is one (a removable point, such as a determinant's
gradient at a singular matrix), and 0, as everybody's convention is, at the tip of a norm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flint import arb

from symgrad.evaluation.balls import Balls, array_of, binary, flat
from symgrad.ops.row import precision
from symgrad.program.program import Program, interpret, size

_BITS = 640
_DISTANCES = (90, 270)  # the rays are read 2**-90 and 2**-270 away
_PAIRS = 3  # of opposite rays
_SAME = arb(2) ** -60
_NOTHING = arb(2) ** -200  # what the distance of the nearer rays leaves of a limit that is zero
_LARGEST = 100_000  # entries of all steps together


def value_at(program: Program, step: int, of: int, point: Mapping[str, Any], *, one_sided: bool = False) -> np.ndarray:
    """The entries of ``step``, a derivative of the step ``of``, at a point of floats; NaN where it has no value there.

    ``one_sided`` says that at the edge of where it is defined the limit from that side will do.

    Large Programs, and points where ``of`` itself has no value, are left without one.
    """
    steps = program.steps[step], program.steps[of]
    found = np.full(size(steps[0].shape), np.nan, np.complex128 if steps[0].is_complex else np.float64)
    if program.entries(program.needed([step, of])) <= _LARGEST:
        with precision(_BITS):
            inputs = {n: binary(point[n]) for n in program.inputs}
            read = interpret(program, Balls(), inputs, [step, of])
            if all(x.is_finite() for x in flat(read[of])):
                exact = flat(read[step])
                if not all(x.is_finite() for x in exact):
                    exact = _with_limits(exact, _means(program, step, inputs, one_sided))
                for k, x in enumerate(exact):
                    if x.is_finite():  # what may be zero, at so many bits, is taken for zero
                        middle = 0 if x.contains(0) else x.mid()
                        found[k] = complex(middle) if steps[0].is_complex else float(middle)
    return found.reshape(steps[0].shape)


def _with_limits(exact: np.ndarray, means: list[np.ndarray]) -> np.ndarray:
    """The entries, those without a value being what all means are, as far as the distance of a ray lets them be."""
    usual = max((abs(x).mid() for x in exact if x.is_finite()), default=arb(0)) + 1
    out = exact.copy()
    for k, x in enumerate(exact):
        seen = [mean[k] for mean in means]
        if not x.is_finite() and all(m.is_finite() and abs(m - seen[-1]) < _SAME * usual for m in seen):
            out[k] = seen[-1] if abs(seen[-1]) > _NOTHING * usual else arb(0)
    return out


def _means(program: Program, step: int, inputs: Mapping[str, Any], one_sided: bool) -> list[np.ndarray]:
    """The means of the step's entries over pairs of opposite rays, nearer and nearer to the point."""
    rng = np.random.default_rng(0)
    rays = [{n: rng.standard_normal(np.shape(x)) for n, x in inputs.items()} for _ in range(_PAIRS)]
    out = []
    for halvings in _DISTANCES:
        for ray in rays:
            sides = (arb(2) ** -halvings, -(arb(2) ** -halvings))
            beside = [{n: _moved(x, ray[n], tiny) for n, x in inputs.items()} for tiny in sides]
            first, second = (flat(interpret(program, Balls(), there, [step])[step]) for there in beside)
            out.append(array_of([_mean(x, y, one_sided) for x, y in zip(first, second, strict=True)], first.shape))
    return out


def _mean(x: Any, y: Any, one_sided: bool) -> Any:
    if one_sided and x.is_finite() != y.is_finite():
        return x if x.is_finite() else y
    return (x + y) / 2


def _moved(x: Any, direction: Any, tiny: Any) -> Any:
    entries = zip(flat(x), np.reshape(direction, -1), strict=True)
    return array_of([a + arb(float(d)) * tiny for a, d in entries], np.shape(x))
