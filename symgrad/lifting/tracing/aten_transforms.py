"""The rules of `symgrad.lifting.tracing.aten` for Fourier transforms, which are three kernels: of complex values, of
real ones to half a spectrum, and back.
"""

from __future__ import annotations

import math
from typing import Any

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
