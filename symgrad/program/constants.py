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

_TYPED = 6  # from this many digits on, a typed decimal is taken to be a rounded one
_FULL = 16  # from this many digits on, a float64 was computed rather than typed
_PRINTED = 17  # no double is printed with more digits
_OFF = Fraction(4)  # ulps by which a computed number may miss what it stands for: the result of a few roundings
_BIG = 4096  # arrays of more entries are data


@functools.lru_cache(maxsize=4096)
def meaning_of(x: float, typed: bool = False) -> tuple[sp.Expr, Fraction | None]:
    """The exact number a float stands for, and how far it may be from the number meant (None: not at all).

    ``typed`` says that the code writes it as a literal: then it is rounded once, and not the result of an operation.

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
        off = Fraction(1, 2) if typed else _OFF
        known = recognise(x, off)
        return (known, None) if known is not None else (_rational(value), off * Fraction(math.ulp(x)))
    decimal = _rational(Fraction(repr(x)))
    if digits < _TYPED or (value.denominator <= 2**30 and Fraction(repr(x)) == value):
        return decimal, None
    return decimal, unit / 2


def typed_decimal(text: str) -> tuple[Fraction, Fraction | None]:
    """The number that a decimal in a formula stands for, and how far it may be from the number meant (None: not at
    all).

    With six digits or more behind the point it is rounded in its last digit.  With sixteen or seventeen it may be a
    double that was printed: then it stands for whatever rounds to that double, too.

    >>> typed_decimal("0.797885")
    (Fraction(159577, 200000), Fraction(1, 2000000))
    >>> meant, off = typed_decimal("0.7071067811865476")  # as Python prints the square root of 1/2
    >>> abs(meant**2 - Fraction(1, 2)) < 2 * off
    True
    """
    digits, shown = Fraction(Decimal(text)), Decimal(text).as_tuple()
    assert isinstance(shown.exponent, int)
    if len(shown.digits) < _TYPED or shown.exponent >= 0 or digits.denominator & (digits.denominator - 1) == 0:
        return digits, None  # 0.015625 is exact
    half = Fraction(10) ** shown.exponent / 2
    if not _FULL <= len(shown.digits) <= _PRINTED:
        return digits, half
    double, reach = Fraction(float(text)), Fraction(math.ulp(float(text))) / 2
    low, high = min(digits - half, double - reach), max(digits + half, double + reach)
    return (low + high) / 2, (high - low) / 2


def recognise(x: float, off: Fraction = _OFF) -> sp.Expr | None:
    """A simple closed number that ``x`` is the double of, up to ``off`` ulps, if there is one: p/q, sqrt(p/q), and
    those times or over pi or sqrt(pi); logs of small integers, and of simple multiples of pi.

    With about 10**5 candidates, the chance that a random double is mistaken for one is some 10**-9.

    >>> recognise(1 / math.sqrt(2)), recognise(math.log(math.sqrt(2 * math.pi)))
    (sqrt(2)/2, log(2*pi)/2)
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
            if _is_near(candidate, y, off):
                return sign * candidate
    for k, factor in ((1, sp.Integer(1)), (1, sp.pi), (2, sp.pi)) if y < 8 else ():
        ratio = math.exp(k * y) / float(factor)
        near = Fraction(ratio).limit_denominator(1 if factor == 1 else 8)
        if 0.1 <= ratio <= 1000 and near * factor != 1 and abs(float(near) / ratio - 1) < 1e-13:
            candidate = sp.log(_rational(near) * factor) / k
            if _is_near(candidate, y, off):
                return sign * candidate
    return None


def _is_near(candidate: sp.Expr, y: float, off: Fraction) -> bool:
    return abs(Fraction(str(sp.N(candidate, 40))) - Fraction(y)) <= off * Fraction(math.ulp(y))


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
