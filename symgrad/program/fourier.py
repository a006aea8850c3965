"""Discrete Fourier transforms in steps: along each axis a product with a matrix of exact roots of unity.

A transform is linear, so that its derivative is the transposed product, and needs no rule.  The roots are numbers such
as cos(2 pi/7), never their floats; each stands once in a Program.

>>> from symgrad.program.builder import Builder
>>> b = Builder()
>>> x = b.input("x", (4,), "complex128")
>>> b.shape(half_spectrum_of_real(b, x, (0,)))
(3,)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.program.builder import Builder
from symgrad.program.expressions import lower
from symgrad.program.indexing import take
from symgrad.program.program import real_dtype


def transform(b: Builder, x: int, axes: Sequence[int], sign: int) -> int:
    """sum_m x[m] exp(sign 2 pi i k m / n) for each k, along each of the axes; ``x`` is complex."""
    for axis in axes:
        n = b.shape(x)[axis]
        if n > 1:
            order = [k for k in range(len(b.shape(x))) if k != axis % len(b.shape(x))]
            order.append(axis % len(b.shape(x)))
            product = b.matmul(b.permute(x, order), _matrix(b, n, sign, b.dtype(x)))
            x = b.permute(product, np.argsort(order).tolist())
    return x


def half_spectrum_of_real(b: Builder, x: int, axes: Sequence[int]) -> int:
    """The transform of real values (cast to complex), without what the rest of the last axis tells already."""
    *others, last = axes
    n = b.shape(x)[last]
    return transform(b, take(b, transform(b, x, [last], -1), range(n // 2 + 1), last), others, -1)


def real_of_half_spectrum(b: Builder, x: int, axes: Sequence[int], n: int) -> int:
    """The real values, n along the last axis, that a half spectrum is one of: sum_k c_k Re(x[k] exp(2 pi i k m / n)).

    c is 2 where the entry stands for its conjugate too, and 1 for k = 0 and k = n/2, whose imaginary parts are not
    looked at.
    """
    *others, last = axes
    x = take(b, transform(b, x, others, 1), range(n // 2 + 1), last)
    counts = np.array([1 if k == 0 or 2 * k == n else 2 for k in range(n // 2 + 1)])
    shape = [1] * len(b.shape(x))
    shape[last] = counts.size
    x = b.mul(x, b.constant(counts.reshape(shape), b.dtype(x)))
    order = [k for k in range(len(shape)) if k != last % len(shape)] + [last % len(shape)]
    matrix = take(b, _matrix(b, n, 1, b.dtype(x)), range(n // 2 + 1), 0)
    product = b.permute(b.matmul(b.permute(x, order), matrix), np.argsort(order).tolist())
    return b.cast(product, real_dtype(b.dtype(x)))


def normalised(b: Builder, x: int, count: int, mode: int) -> int:
    """Divided by nothing, by the root of the number of entries or by their number, as torch numbers these."""
    if mode == 0 or count == 1:
        return x
    n = b.number(count, real_dtype(b.dtype(x)))
    return b.div(x, b.apply("sqrt", n) if mode == 1 else n)


def _matrix(b: Builder, n: int, sign: int, dtype: str) -> int:
    """exp(sign 2 pi i k m / n), k and m from 0 to n - 1."""
    known: dict[sp.Expr, int] = {}

    def table(shift: Fraction) -> int:
        """cos(2 pi (j/n - shift)) for each j."""
        found = []
        for j in range(n):
            size, is_negative = _cosine((Fraction(j, n) - shift) % 1)
            if size not in known:
                known[size] = lower(b, size, {}, dtype=real_dtype(dtype))
            found.append(b.neg(known[size]) if is_negative else known[size])
        return b.stack(found)

    where = sign * np.outer(np.arange(n), np.arange(n)) % n + 1
    cosines, sines = (b.pick([table(shift)], where, (n, n)) for shift in (Fraction(0), Fraction(1, 4)))
    i = b.constant(1j, dtype, exact=sp.I)
    return b.add(b.cast(cosines, dtype), b.mul(b.cast(sines, dtype), i))


@functools.cache
def _cosine(turn: Fraction) -> tuple[sp.Expr, bool]:
    """|cos(2 pi turn)|, said by an angle of at most 45 degrees, and whether the cosine is negative."""
    turn = min(turn, 1 - turn)
    is_negative = turn > Fraction(1, 4)
    turn = Fraction(1, 2) - turn if is_negative else turn
    is_sine = turn > Fraction(1, 8)
    function: Any = sp.sin if is_sine else sp.cos
    turn = 2 * (Fraction(1, 4) - turn if is_sine else turn)
    angle = sp.pi * turn.numerator / turn.denominator
    value = function(angle)
    roots = value.atoms(sp.Pow)
    nested = any(r is not inner and r.has(inner) for r in roots for inner in roots)
    return function(angle, evaluate=False) if nested else value, is_negative
