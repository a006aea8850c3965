"""What in a Program depends on no input, as the doubles nearest to the exact values."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from flint import acb, arb

from symgrad.evaluation.balls import Balls, precision
from symgrad.program.program import Program, interpret, size

__all__ = ["folded", "nearest"]

_BITS = 300
_LARGEST = 4096  # entries of a constant tensor that is folded


def nearest(ball: Any) -> float | complex | None:
    """The double nearest to a narrow ball (ties and the ball's own width aside), or None if it is not finite.

    >>> with precision(200):
    ...     nearest(arb(2).sqrt())
    1.4142135623730951
    """
    if isinstance(ball, acb):
        real, imag = nearest(ball.real), nearest(ball.imag)
        return None if real is None or imag is None else complex(real, imag)
    if not isinstance(ball, arb) or not ball.is_finite():
        return None
    mantissa, exponent = ball.mid().man_exp()
    m, e = int(mantissa), int(exponent)
    if not m:
        return 0.0
    try:
        return float(Fraction(m) * Fraction(2) ** e) if abs(e) < 10_000 else None
    except OverflowError:
        return None


def folded(program: Program, wanted: list[int]) -> dict[int, np.ndarray]:
    """The values of the steps among ``wanted`` that no input changes, rounded once; {step: array of its shape}.

    A step is left out where its exact value is not finite, or has more than 4096 entries.
    """
    open_steps: set[int] = set()
    for i in wanted:
        step = program.steps[i]
        if step.op == "input" or size(step.shape) > _LARGEST or any(a in open_steps for a in step.args):
            open_steps.add(i)
    closed = [i for i in wanted if i not in open_steps]
    found: dict[int, np.ndarray] = {}
    values: dict[int, Any] = {}
    system = Balls()
    with precision(_BITS):
        for i in closed:
            if any(a not in values for a in program.steps[i].args):
                continue
            try:
                values |= interpret(program, system, {}, [i], replaced={a: values[a] for a in program.steps[i].args})
            except (ValueError, ZeroDivisionError, NotImplementedError, TypeError, KeyError):
                continue
            entries = [nearest(x) for x in np.asarray(values[i], dtype=object).reshape(-1).tolist()]
            if all(x is not None for x in entries):
                found[i] = np.array(entries).reshape(program.steps[i].shape)
    return found
