"""Constants that were typed with few digits: each is one number, within half a unit of its last digit.

A literal means the same number wherever it is written and at every point, so that model and hand formula do not each
choose a value of their own.  With parameters p for the literals, the difference D(p) of the two is enclosed by the mean
value theorem: D(c) + sum_i dD/dp_i(box) * [-r_i, r_i].  If D vanished for some p at all points, so would each
combination of its rows; the residual of a least squares fit is the combination that shows best that none does
(Farkas' lemma).  The combination is found in floats and checked in balls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from symgrad.evaluation.balls import ball_of
from symgrad.evaluation.entrywise import array_of
from symgrad.program.builder import Builder
from symgrad.program.derivative import reverse
from symgrad.program.program import Program

_MOST = 16  # literals of one formula that are told apart
_NAME = "typed constant "


@dataclass(frozen=True, eq=False)
class Literals:
    """A Program with its literals as inputs: their numbers and radii by name, where each step went, and for each
    pair of steps the derivatives of their difference by each literal."""

    program: Program
    numbers: Mapping[str, tuple[Fraction, Fraction]]
    place: tuple[int, ...]
    slopes: Mapping[tuple[int, int], Mapping[str, int]]

    def box(self) -> dict[str, Any]:
        """Every literal as a ball."""
        return {n: array_of([arb(ball_of(c), ball_of(r))], ()) for n, (c, r) in self.numbers.items()}

    def radii(self) -> dict[str, Any]:
        return {n: ball_of(r) for n, (_, r) in self.numbers.items()}


def literals_of(program: Program, pairs: Sequence[tuple[int, int]]) -> Literals | None:
    """The Program with every typed number as an input; None if it has none, or too many.

    >>> b = Builder()
    >>> x, c = b.input("x", ()), b.constant(0.123456, exact=sp.Rational(123456, 10**6), radius=Fraction(1, 2 * 10**6))
    >>> left, right = b.mul(c, x), b.mul(x, c)
    >>> found = literals_of(b.build({}), [(left, right)])
    >>> found.numbers
    {'typed constant 0': (Fraction(1929, 15625), Fraction(1, 2000000))}
    """
    numbers: dict[tuple[Fraction, Fraction], str] = {}
    b = Builder()
    place: list[int] = []
    for step in program.steps:
        found = _number(step)
        if found is not None:
            value, r = found
            name = numbers.setdefault((abs(value), r), f"{_NAME}{len(numbers)}")
            i = b.inputs[name] if name in b.inputs else b.input(name, (), step.dtype)
            i = i if b.dtype(i) == step.dtype else b.cast(i, step.dtype)
            place.append(i if value > 0 else b.neg(i))
        elif step.op == "input":
            place.append(b.input(step.params, step.shape, step.dtype))
        else:
            # what is detached depends on a literal all the same
            op = "name" if step.op == "stop" else step.op
            b.steps.append(replace(step, op=op, args=tuple(place[a] for a in step.args)))
            place.append(len(b.steps) - 1)
    if not 0 < len(numbers) <= _MOST:
        return None
    slopes = {pair: _slopes(b, place[pair[0]], place[pair[1]], list(numbers.values())) for pair in pairs}
    return Literals(b.build({}), {n: key for key, n in numbers.items()}, tuple(place), slopes)


def _number(step: Any) -> tuple[Fraction, Fraction] | None:
    c = step.params
    if step.op != "constant" or c.radius is None or c.value.shape or not isinstance(c.exact, sp.Rational):
        return None
    value = Fraction(int(c.exact.p), int(c.exact.q))
    return (value, Fraction(c.radius)) if value else None


def _slopes(b: Builder, left: int, right: int, names: Sequence[str]) -> dict[str, int]:
    """The difference's derivatives by each of the inputs: the adjoint is linear in its seed, and transposed again."""
    gap = b.sub(left, right)
    seed = b.emit("input", (), f"seed of %{gap}", b.shape(gap), b.dtype(gap))
    wanted = {n: b.inputs[n] for n in names}
    of, _ = reverse(b, {gap: seed}, set(wanted.values()))
    out = {}
    for name, i in wanted.items():
        if i in of:
            back, _ = reverse(b, {of[i]: b.ones((), b.dtype(of[i]))}, {seed})
            if seed in back:
                out[name] = back[seed]
    return out


# ------------------------------------------------------------------------------------------------ deciding

Row = tuple[Any, Mapping[str, Any]]  # a difference, and its derivatives by the literals


def cannot_agree(rows: Sequence[Row], radii: Mapping[str, Any]) -> bool:
    """Whether no values of the literals make all the differences vanish.  False says only that this was not shown.

    >>> slope, half = {"c": arb(1)}, {"c": arb("0.5")}
    >>> cannot_agree([(arb("0.25"), slope), (arb("0.25"), slope)], half)
    False
    >>> cannot_agree([(arb("0.25"), slope), (arb("-0.25"), slope)], half)
    True
    """
    rows = [row for row in rows if row[0].is_finite() and all(g.is_finite() for g in row[1].values())]
    rows = [part for row in rows for part in _real(row)]
    if not rows:
        return False
    names = list(radii)
    scale = [_size(d, slopes, radii) for d, slopes in rows]
    kept = [k for k, s in enumerate(scale) if s > 0 and s.is_finite()]
    if not kept:
        return False
    gaps = np.array([float((rows[k][0] / scale[k]).mid()) for k in kept])
    table = np.array([[float((rows[k][1].get(n, arb(0)) * radii[n] / scale[k]).mid()) for n in names] for k in kept])
    if not (np.isfinite(gaps).all() and np.isfinite(table).all()):
        return False
    fit = np.linalg.lstsq(table, -gaps, rcond=1e-9)[0] if names else np.zeros(0)
    weights = [ball_of(float(w)) / scale[k] for w, k in zip(gaps + table @ fit, kept, strict=True)]
    total = sum((w * rows[k][0] for w, k in zip(weights, kept, strict=True)), arb(0))
    for n in names:
        slope = sum((w * rows[k][1].get(n, arb(0)) for w, k in zip(weights, kept, strict=True)), arb(0))
        total = total + slope * arb(0, radii[n])
    return bool(total.is_finite() and not total.contains(0))


def _real(row: Row) -> list[Row]:
    """A complex difference as two real ones; the literals are real."""
    d, slopes = row
    if not any(hasattr(x, "imag") and type(x).__name__ == "acb" for x in (d, *slopes.values())):
        return [row]
    parts = [
        (lambda x: x.real if type(x).__name__ == "acb" else x),
        (lambda x: x.imag if type(x).__name__ == "acb" else arb(0)),
    ]
    return [(part(d), {n: part(g) for n, g in slopes.items()}) for part in parts]


def _size(d: Any, slopes: Mapping[str, Any], radii: Mapping[str, Any]) -> Any:
    return sum((abs(g).mid() * radii[n] for n, g in slopes.items()), abs(d).mid())
