"""Solving a line for one of the lines that it uses, where that is more than fitting a number.

Any number can be fitted to one equation.  An answer says much where there are more equations than unknowns and they
agree, or where it stands to the line's own value in a plain ratio, or differs from it in some entries only; otherwise
it counts only for a line that does the work which others pass on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import acb, arb, arb_mat

from symgrad.diagnosis.derivation import Derivation
from symgrad.diagnosis.propagation import Over, recompute
from symgrad.diagnosis.value_matching import entries_of
from symgrad.program.program import size

__all__ = ["Answer", "solved"]

_UNKNOWNS = 24
_EQUATIONS = 256
_NEWTON = 16
_HALVINGS = 8
_CLOSE = 180  # bits to which a solution has to hold
_RATIOS = tuple(Fraction(p, q) for p in range(-6, 7) for q in range(1, 7) if p and Fraction(p, q) != 1)


@dataclass(frozen=True, slots=True)
class Answer:
    value: Any
    overdetermined: bool
    plain: float  # how much its standing to the line's own value speaks for it


def solved(d: Derivation, values: Mapping[int, Any], u: int, way: Sequence[int], goal: np.ndarray) -> Answer | None:
    """The value of line ``u`` for which the last step of ``way`` is ``goal``; None where it cannot be told."""
    n, m = size(d.program.shape(u)), len(goal)
    mine = entries_of(values[u])
    if n > _UNKNOWNS or m > _EQUATIONS or m < n:
        return None
    if any(isinstance(x, acb) or not x.is_finite() for x in (*mine, *goal)):
        return None
    shape = d.program.shape(u)

    def read(z: Sequence[Any]) -> np.ndarray | None:
        flat = np.empty(n, dtype=object)
        flat[:] = list(z)
        local = Over({u: flat.reshape(shape) if shape else flat[0]}, values)
        recompute(d, way, local)
        out = entries_of(local[way[-1]])
        if len(out) != m or any(isinstance(x, acb) or not x.is_finite() for x in out):
            return None
        return np.array([x.mid() for x in out], dtype=object)

    target = [x.mid() for x in goal]
    scale = max((abs(t) for t in target), default=arb(0))
    if scale == 0:
        return None
    z = [x.mid() for x in mine]
    step = arb(2) ** -100
    for _ in range(_NEWTON):
        here = read(z)
        if here is None:
            return None
        off = [t - h for t, h in zip(target, here, strict=True)]
        if max(abs(x) for x in off) < scale * arb(2) ** -_CLOSE:
            break
        columns = []
        for k in range(n):
            h = step * (abs(z[k]) + step)
            if z[k] == 0:
                h = step
            beside = read([x + h if j == k else x for j, x in enumerate(z)])
            if beside is None:
                return None
            columns.append([((b - a) / h).mid() for a, b in zip(here, beside, strict=True)])
        live = [k for k in range(n) if any(x != 0 for x in columns[k])]
        if not live or m < len(live):
            return None
        j = arb_mat([[columns[k][r] for k in live] for r in range(m)])
        right = arb_mat([[x] for x in off])
        try:
            move = (j.transpose() * j).solve(j.transpose() * right)
        except (ZeroDivisionError, ValueError):
            return None
        moved = [move[r, 0] for r in range(len(live))]
        if not all(x.is_finite() for x in moved):
            return None
        z = _moved(read, z, dict(zip(live, moved, strict=True)), target, max(abs(x) for x in off))
    else:
        return None
    close = arb(2) ** -40
    unchanged = [abs(a - b) <= abs(a) * close for a, b in zip(z, (x.mid() for x in mine), strict=True)]
    if all(unchanged):
        return None
    value = np.empty(n, dtype=object)
    value[:] = [arb(x, abs(x) * arb(2) ** -120) for x in z]
    plain = 0.25 if _plain_ratio(z, [x.mid() for x in mine], close) else 0.1 if any(unchanged) and n > 2 else 0.0
    return Answer(value.reshape(shape) if shape else value[0], m > n, plain)


def _moved(
    read: Callable[[Sequence[Any]], Any], z: Sequence[Any], move: Mapping[int, Any], target: Sequence[Any], far: Any
) -> list[Any]:
    """A Newton step, halved while it leads further away than ``far``."""
    out = list(z)
    for half in range(_HALVINGS):
        out = [(x + move[k] * arb(2) ** -half).mid() if k in move else x for k, x in enumerate(z)]
        there = read(out)
        if there is not None and max(abs(t - h) for t, h in zip(target, there, strict=True)) < far:
            break
    return out


def _plain_ratio(a: Sequence[Any], b: Sequence[Any], close: Any) -> bool:
    """Whether a is a small rational number times b."""
    k = next((k for k, x in enumerate(b) if x != 0), None)
    if k is None:
        return False
    c = a[k] / b[k]
    if not any(abs(c - arb(q.numerator) / q.denominator) <= close for q in _RATIOS):
        return False
    return all(abs(x - c * y) <= close * abs(x) for x, y in zip(a, b, strict=True))
