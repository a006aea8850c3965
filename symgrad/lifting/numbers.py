"""What a float in the user's code stands for.

``0.1`` typed in a formula means one tenth, not the double next to it; ``0.797885`` means some number within half a
unit of its last digit; a double with sixteen digits or more is the rounding of a number that nobody typed.  Data, on
the other hand, are the binary numbers that they are, unless all of them are short decimals.
"""

from __future__ import annotations

import functools
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

__all__ = ["array_meaning", "meaning_of", "recognise"]

_TYPED = 6  # from this many digits on, a typed decimal is taken to be a rounded one
_FULL = 16  # from this many digits on, a float64 was computed rather than typed
_COMPUTED = 2  # ulps that a computed float may be off by: it was rounded more than once
_BIG = 4096  # arrays of more entries are data


@functools.lru_cache(maxsize=4096)
def meaning_of(x: float) -> tuple[sp.Expr, Fraction | None]:
    """The exact number a float stands for, and how far it may be from the number meant (None: not at all).

    >>> meaning_of(0.1)
    (1/10, None)
    >>> meaning_of(0.797885)[1]
    Fraction(1, 2000000)
    >>> meaning_of(math.sqrt(10))[0]
    sqrt(10)
    """
    if not math.isfinite(x):
        return (sp.nan if x != x else sp.oo if x > 0 else -sp.oo), None
    value = Fraction(x)
    if value.denominator <= 2**12 and abs(value) < 2**53:
        return sp.Rational(value.numerator, value.denominator), None
    digits, unit = _digits(repr(x))
    if digits >= _FULL:
        half = Fraction(math.ulp(x)) / 2
        known = recognise(x)
        return (known, None) if known is not None else (_rational(value), half)
    decimal = _rational(Fraction(repr(x)))
    if digits < _TYPED or (value.denominator <= 2**30 and Fraction(repr(x)) == value):
        return decimal, None
    return decimal, unit / 2


def recognise(x: float) -> sp.Expr | None:
    """A simple closed number that ``x`` is the double of, or next to: p/q, sqrt(p/q), and those times or over pi or
    sqrt(pi); logs of small integers.  ``1/np.sqrt(2)`` is rounded twice, and is not the double nearest to 1/sqrt(2).

    With about 10**5 candidates, the chance that a random double is mistaken for one is below 10**-9.
    """
    sign = -1 if x < 0 else 1
    y = abs(x)
    for scale, factor in (
        (1.0, sp.Integer(1)),
        (math.pi, sp.pi),
        (1 / math.pi, 1 / sp.pi),
        (math.sqrt(math.pi), sp.sqrt(sp.pi)),
        (1 / math.sqrt(math.pi), 1 / sp.sqrt(sp.pi)),
    ):
        ratio = y / scale
        for root in (1, 2, 3):
            if not 1e-6 < ratio < 1e6 or not 1e-6 < ratio**root < 1e6:
                continue
            near = Fraction(ratio**root).limit_denominator(1000)
            if near == 0 or near.numerator > 1000 or abs(float(near) / ratio**root - 1) > 1e-14:
                continue
            candidate = sp.root(_rational(near), root) * factor
            if abs(float(sp.N(candidate, 30)) - y) <= _COMPUTED * math.ulp(y):
                return sign * candidate
    if abs(x) < 8:
        n = round(math.exp(abs(x)))
        if 2 <= n <= 1000 and math.log(n) == abs(x):
            return sign * sp.log(n)
    return None


def array_meaning(value: np.ndarray) -> Any:
    """The exact column of an array of constants: None for its binary values, else an object array of Fractions.

    An array in which every entry is a short decimal was typed, and means its decimals: ``[0.1, 0.2]`` in float32 and
    in float64 are then the same numbers.  Any other array is data.
    """
    if value.size == 0 or value.size > _BIG or value.dtype.kind == "c":
        return None
    flat = value.reshape(-1).astype(np.float64)
    if not np.isfinite(flat).all() or np.array_equal(flat * 4096, np.round(flat * 4096)):
        return None
    out = np.empty(flat.size, dtype=object)
    for k, x in enumerate(flat.tolist()):
        narrow = np.float32(x)
        text = str(narrow) if float(narrow) == x else repr(x)
        if _digits(text)[0] > _TYPED:
            return None
        out[k] = Fraction(text)
    return out.reshape(value.shape)


def _digits(text: str) -> tuple[int, Fraction]:
    """How many significant digits a decimal has, and the unit of its last one."""
    parts = Decimal(text).normalize().as_tuple()
    assert isinstance(parts.exponent, int)
    return len(parts.digits), Fraction(10) ** parts.exponent


def _rational(x: Fraction) -> sp.Expr:
    return sp.Rational(x.numerator, x.denominator)
