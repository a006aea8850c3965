"""The rules of `symgrad.lifting.tracing.aten` for products with matrices of constants: Fourier transforms, which are
three kernels (of complex values, of real ones to half a spectrum, and back), and images resampled with antialiasing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.lifting.tracing.aten import dtype_of, rule
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.program import fourier

_COMPLEX = {"float32": "complex64", "float64": "complex128"}


@rule("_fft_c2c")
def _fft_of_complex(t: Recorder, a: Any, out: Any, name: str) -> int:
    x = fourier.transform(t.builder, t.step_of(a.self), a.dim, -1 if a.forward else 1)
    return _normalised(t, x, a, out)


@rule("_fft_r2c")
def _fft_of_real(t: Recorder, a: Any, out: Any, name: str) -> int:
    b = t.builder
    x = b.cast(t.step_of(a.self), _COMPLEX[dtype_of(a.self)])
    made = fourier.half_spectrum_of_real(b, x, a.dim) if a.onesided else fourier.transform(b, x, a.dim, -1)
    return _normalised(t, made, a, a.self)


@rule("_fft_c2r")
def _fft_to_real(t: Recorder, a: Any, out: Any, name: str) -> int:
    x = fourier.real_of_half_spectrum(t.builder, t.step_of(a.self), a.dim, int(a.last_dim_size))
    return _normalised(t, x, a, out)


def _normalised(t: Recorder, x: int, a: Any, whole: Any) -> int:
    count = math.prod(whole.shape[k] for k in a.dim)
    return fourier.normalised(t.builder, x, count, int(a.normalization))


# ------------------------------------------------------------------------------------------------ resampling


def _hat(x: Fraction) -> Fraction:
    return max(1 - abs(x), Fraction(0))


def _cubic(x: Fraction) -> Fraction:
    """Keys's kernel with a = -1/2."""
    x = abs(x)
    if x < 1:
        return (3 * x - 5) * x * x / 2 + 1
    return ((5 - x) * x - 8) * x / 2 + 2 if x < 2 else Fraction(0)


_FILTERS = {"_upsample_bilinear2d_aa": (_hat, 1), "_upsample_bicubic2d_aa": (_cubic, 2)}  # with half their widths


@rule(*_FILTERS)
def _resampled(t: Recorder, a: Any, out: Any, name: str) -> int:
    """Along both last axes means of the entries near, weighed by a filter that is stretched where there are fewer."""
    b, x, kernel = t.builder, t.step_of(a.self), _FILTERS[name]
    for axis, scale in ((2, a.scales_h), (3, a.scales_w)):
        n, m = a.self.shape[axis], out.shape[axis]
        if a.align_corners:
            step = Fraction(n - 1, m - 1) if m > 1 else Fraction(0)
        else:
            step = Fraction(1 / scale) if scale else Fraction(n, m)
        rows = [_weights(n, step, i, *kernel) for i in range(m)]
        numbers = sorted({w for row in rows for w in row if w})
        known = b.stack([b.number(w, b.dtype(x)) for w in numbers])
        where = np.array([[numbers.index(w) + 1 if w else 0 for w in row] for row in rows])
        matrix = b.pick([known], where.T, (n, m))
        order = [0, 1, 3, 2] if axis == 2 else [0, 1, 2, 3]
        x = b.permute(b.matmul(b.permute(x, order), matrix), order)
    return x


def _weights(n: int, step: Fraction, i: int, kernel: Callable[[Fraction], Fraction], half: int) -> list[Fraction]:
    """What each of n entries weighs in the i-th mean."""
    wide = max(step, Fraction(1))
    centre = step * (i + Fraction(1, 2))
    first = max(math.trunc(centre - half * wide + Fraction(1, 2)), 0)
    last = min(math.trunc(centre + half * wide + Fraction(1, 2)), n)
    found = [kernel((j + Fraction(1, 2) - centre) / wide) if first <= j < last else Fraction(0) for j in range(n)]
    return [w / sum(found) for w in found]
