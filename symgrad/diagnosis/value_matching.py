"""Finding a value among many: by a float fingerprint first, then by balls, so that no tolerance decides.

Values are flat arrays of balls.  Two are the same if every difference is a ball around zero, and thin; they differ if
one of these balls excludes zero, however small it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq

from symgrad.checking.comparison import excludes_zero
from symgrad.evaluation.balls import flat
from symgrad.program.program import Shape

_THIN = 64  # bits of the largest entry below which a difference that holds zero counts as none
_BACK = 6  # of the last different values, those that the next may be equal to
_SIMPLE = 12  # the largest denominator of a simple factor
_NEAR = 1e-9  # of the float fingerprints, which only choose what is looked at


def same(a: np.ndarray, b: np.ndarray, typed: bool = False) -> bool:
    """Whether two flat arrays of balls hold the same numbers; ``typed`` balls are as wide as their typed digits."""
    if a is b:
        return True
    if len(a) != len(b):
        return False
    thin = None
    for x, y in zip(a, b, strict=True):
        if x is y:
            continue
        d = x - y
        if not d.is_finite() or not d.contains(0):
            return False
        if not typed and not d.is_zero():
            if thin is None:
                thin = _largest(b) * arb(2) ** -_THIN
            if _radius(d) > thin:
                return False
    return True


def _largest(a: np.ndarray) -> Any:
    """The largest entry's size, but for the rounding of a float where floats reach."""
    largest = float(np.max(_floats(a), initial=0.0))
    return arb(largest) if 1e-290 < largest < 1e290 else max((abs(z).mid() for z in a), default=arb(0))


def _radius(d: Any) -> Any:
    return d.rad() if isinstance(d, arb) else d.real.rad() + d.imag.rad()


def is_zero(a: np.ndarray) -> bool:
    return all(x.is_zero() for x in a)


def norm_of(a: np.ndarray) -> float | None:
    """The logarithm of the norm, as a float whatever the scale; minus infinity for zero, None if not finite."""
    floats = _floats(a)
    largest = float(np.max(floats, initial=0.0))
    if not math.isfinite(largest) and not all(x.is_finite() for x in a):
        return None
    if 1e-140 < largest < 1e140:
        return math.log(largest) + 0.5 * math.log(float(np.sum((floats / largest) ** 2)))
    if is_zero(a):
        return -math.inf
    total: Any = sum((abs(x).mid() ** 2 for x in a), arb(0))
    return 0.5 * float(total.log().mid()) if total > 0 else -math.inf


def _square(x: Any) -> Any:
    return x * x if isinstance(x, arb) else x.real * x.real + x.imag * x.imag


def _floats(a: np.ndarray) -> np.ndarray:
    """The sizes of the balls' middles, as floats."""
    try:
        return np.abs(np.array([float(x) for x in a]))
    except TypeError:  # of complex ones
        return np.array([abs(complex(float(x.real.mid()), float(x.imag.mid()))) for x in a])


def ratio(a: np.ndarray, b: np.ndarray) -> Any:
    """The one number c with a = c b, as a ball; None if there is none."""
    k = next((k for k, y in enumerate(b) if y.is_finite() and not y.contains(0)), None)
    if k is None or len(a) != len(b):
        return None
    c = a[k] / b[k]
    if not c.is_finite() or c.contains(0):
        return None
    if any(excludes_zero(a[k] - c * b[k]) for k in (0, len(a) // 2, -1)):  # before all products are made
        return None
    return c if same(a, np.array([c * y for y in b], dtype=object)) else None


def laid_out(value: np.ndarray, shape: Shape, wanted: Shape) -> list[tuple[str, np.ndarray]]:
    """The ways to lay a value of ``shape`` out as ``wanted``: as it is, and transposed."""
    ways = [("", value)]
    a, b = [n for n in shape if n != 1], [n for n in wanted if n != 1]
    if len(a) == 2 and a == b[::-1]:
        ways.insert(0 if a != b else 1, ("transposed", value.reshape(a).T.reshape(-1)))
    return ways


@dataclass(frozen=True, eq=False)
class _Class:
    """Equal values: what they are, and whose."""

    norm: float
    value: np.ndarray
    shape: Shape
    keys: list[int]

    @functools.cached_property
    def squares(self) -> Any:
        """The sum of all squares, as a ball: what tells the rounds of a settled recurrence apart."""
        return sum((_square(x) for x in self.value), arb(0))

    def may_equal(self, other: _Class) -> bool:
        return (self.squares - other.squares).contains(0)


class Index:
    """Values by size and fingerprint: which of them equals a given one, found without looking at the others."""

    def __init__(self, entries: Iterable[tuple[int, np.ndarray, Shape]], typed: bool) -> None:
        self.typed = typed
        found: dict[int, list[tuple[float, int, np.ndarray, Shape]]] = {}
        for key, value, shape in entries:
            norm = norm_of(value)
            if norm is not None and norm != -math.inf:
                found.setdefault(len(value), []).append((norm, key, value, shape))
        self.by_size = {n: self._classes(sorted(items, key=lambda item: item[:2])) for n, items in found.items()}
        self.norms = {n: np.array([c.norm for c in classes]) for n, classes in self.by_size.items()}

    def _classes(self, items: Sequence[tuple[float, int, np.ndarray, Shape]]) -> list[_Class]:
        classes: list[_Class] = []
        for norm, key, value, shape in items:
            new = _Class(norm, value, shape, [key])
            beside = (c for c in classes[: -_BACK - 1 : -1] if norm - c.norm <= _NEAR * max(1.0, abs(norm)))
            equal = (c for c in beside if c.shape == shape and new.may_equal(c))
            known = next((c for c in equal if same(value, c.value, self.typed)), None)
            if known is None:
                classes.append(new)
            else:
                known.keys.append(key)
        return classes

    def matches(self, value: np.ndarray, shape: Shape) -> list[tuple[int, str]]:
        """The keys of the equal values, each with the layout in which it is equal, in the order of the keys."""
        norms = self.norms.get(len(value))
        norm = norm_of(value) if norms is not None else None
        if norms is None or norm is None or norm == -math.inf:
            return []
        near = 1e-4 if self.typed else _NEAR * max(1.0, abs(norm))
        low, high = np.searchsorted(norms, (norm - near, norm + near))
        found: list[tuple[int, str]] = []
        mine = _Class(norm, value, shape, [])
        for known in self.by_size[len(value)][low:high]:
            if not self.typed and not known.may_equal(mine):
                continue
            for layout, laid in laid_out(known.value, known.shape, shape):
                if same(value, laid, self.typed):
                    found += [(key, layout) for key in known.keys]
                    break
        return sorted(found)

    def of_size(self, n: int) -> Sequence[int]:
        """One key of each different value of this size."""
        return [min(c.keys) for c in self.by_size.get(n, ())]


def entries_of(value: Any) -> np.ndarray:
    """A value's balls in a row."""
    return flat(value)


def simple_ratio(a: np.ndarray, b: np.ndarray) -> Fraction | None:
    """The simple fraction c with a = c b, if there is one."""
    c = ratio(a, b)
    if c is None or type(c) is not arb:
        return None
    simple = Fraction(float(c.mid())).limit_denominator(_SIMPLE)
    return simple if simple and c.contains(fmpq(simple.numerator, simple.denominator)) else None
