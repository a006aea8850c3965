"""A row of an audit confirmed from its own five lines: by torch alone, by its forward pass around the point.

Differences of the forward pass in float64 are extrapolated (Richardson's table, with Ridders' estimate of what is left
of the error), from the right, from the left and around the point.  Nothing here knows the exact derivative before the
estimate is made, and nothing here uses the rest of the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Line = Callable[[float], float]
_EPS, _HALVINGS, _DEPTH = 2.0**-52, 48, 7


@dataclass(frozen=True)
class Estimate:
    """A derivative at a point of a line by differences, with the size of its error."""

    value: float
    error: float

    def is_near(self, value: float, distance: float) -> bool:
        return abs(self.value - value) + self.error < distance


NONE = Estimate(math.nan, math.inf)


def confirms(reproducer: str, order: int, entry: int | None, torchs: float, exact: float) -> bool:
    """Whether the lines print what torch is said to say, and its forward pass sides with the other number.

    ``entry`` is that of the gradient which is looked at; without it the derivative is the one along ``v``.
    """
    said, f, point, along = _run(reproducer)
    if not _are_printed(said, [torchs]):
        return False
    direction = along if entry is None else unit(point, entry)
    gap = abs(torchs - exact) if math.isfinite(torchs) else abs(exact) or 1.0
    return is_the_derivative(exact, gap / 3, order, *line(f, point, direction))


def has_two_answers(reproducer: str, forward: float, reverse: float) -> bool:
    """Whether the lines print both, and there is no derivative: the slopes from both sides differ."""
    said, f, point, along = _run(reproducer)
    return _are_printed(said, [forward, reverse]) and bends(*line(f, point, along))


def _run(reproducer: str) -> tuple[list[float], Callable[..., Tensor], list[Tensor], list[Tensor]]:
    """What the lines print; their function, point and direction, these two in float64."""
    space: dict[str, Any] = {"print": lambda *numbers: space.update(said=[float(x) for x in numbers])}
    exec(reproducer, space)
    point, direction = ([x.detach().double() for x in space[name]] for name in "xv")
    return space["said"], space["f"], point, direction


def _are_printed(said: Sequence[float], numbers: Sequence[float]) -> bool:
    close = (a == b or (a != a and b != b) or abs(a - b) <= 1e-5 * abs(b) for a, b in zip(said, numbers, strict=True))
    return all(close)


def is_the_derivative(value: float, distance: float, order: int, along: Line, size: float) -> bool:
    """Whether the estimate around the point is near the value, and those from each side that the domain has."""
    sides = [e for e in (one_sided(along, size, order, 1), one_sided(along, size, order, -1)) if e is not NONE]
    if len(sides) == 2 and not around(along, size, order).is_near(value, distance):
        return False
    further = 2 * distance if len(sides) == 2 and order == 2 else distance  # the one around it is the sharper one
    return bool(sides) and all(e.is_near(value, further) for e in sides)


def bends(along: Line, size: float) -> bool:
    """Whether the slopes from both sides differ: there is no derivative."""
    right, left = one_sided(along, size, 1, 1), one_sided(along, size, 1, -1)
    return abs(right.value - left.value) > 8 * (right.error + left.error) + 1e-6 * abs(right.value)


def unit(point: Sequence[Tensor], entry: int) -> list[Tensor]:
    """The direction of one of all entries of the tensors."""
    flat = torch.zeros(sum(x.numel() for x in point), dtype=torch.float64)
    flat[entry] = 1.0
    return [d.reshape(x.shape) for d, x in zip(flat.split([x.numel() for x in point]), point, strict=True)]


def line(f: Callable[..., Tensor], point: Sequence[Tensor], direction: Sequence[Tensor]) -> tuple[Line, float]:
    """The function along a line through the point, and the size of what moves along it."""
    size = max((float((x.abs() * (d != 0)).max()) for x, d in zip(point, direction, strict=True)), default=0.0)

    def along(h: float) -> float:
        try:
            return float(f([x + h * d for x, d in zip(point, direction, strict=True)]))
        except (RuntimeError, ValueError):
            return math.nan

    return along, size or 1.0


def around(along: Line, size: float, order: int) -> Estimate:
    """From both sides at once: what is left of a difference is a series in the square of the step."""
    weights = {-1: -0.5, 1: 0.5} if order == 1 else {-1: 1.0, 0: -2.0, 1: 1.0}
    return _extrapolated(along, size, order, weights, 4)


def one_sided(along: Line, size: float, order: int, side: int) -> Estimate:
    """From one side, a series in the step; `NONE` where the function has no value there, however near."""
    if not math.isfinite(along(side * size * 2.0**-30)):
        return NONE
    weights = {0: -side, side: side} if order == 1 else {0: 1.0, side: -2.0, 2 * side: 1.0}
    return _extrapolated(along, size, order, weights, 2)


def _extrapolated(along: Line, size: float, order: int, weights: Mapping[int, float], ratio: int) -> Estimate:
    """The entry of Richardson's table that differs least from the entries that it is made of."""
    best, above = NONE, []
    start = max(size, 1.0)
    for h in (start * 2.0**-k for k in range(_HALVINGS) if start * 2.0**-k >= size * 2.0**-_HALVINGS):
        values = [along(k * h) for k in weights]
        quotient = sum(w * y for w, y in zip(weights.values(), values, strict=True)) / h**order
        if not math.isfinite(quotient):
            above = []
            continue
        rounding = 4 * _EPS * max(map(abs, values)) / h**order
        row = [quotient]
        for j, older in enumerate(above[:_DEPTH], 1):
            row.append(row[-1] + (row[-1] - older) / (ratio**j - 1))
            if j == len(above):
                continue  # two quotients may be the same by chance: one more step has to say so too
            error = max(abs(row[-1] - x) for x in (row[-2], older, above[j])) + rounding
            if error < best.error:
                best = Estimate(row[-1], error)
        above = row
    return best
