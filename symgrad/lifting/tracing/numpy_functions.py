"""NumPy's functions of whole arrays, one each: what it computes, and the steps that say so.

A function's signature here is NumPy's; an option that it does not have is an operation that is not in the table.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from symgrad.lifting.tracing.recorder import ArrayRecorder
from symgrad.lifting.tracing.traced_values import TracedArray
from symgrad.program import indexing, layouts
from symgrad.program.program import size

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def entry(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return enter


@functools.cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(FUNCTIONS[name])


def call(a: ArrayRecorder, name: str, args: Any, options: Any) -> Any:
    """Call ``numpy.name`` on traced arguments; `UnknownOperation` for options that it is not known with."""
    try:
        _signature(name).bind(a, *args, **options)
    except TypeError as error:
        raise a.tracer.unknown(f"numpy.{name} ({error})") from None
    return FUNCTIONS[name](a, *args, **options)


# ------------------------------------------------------------------------------------------------ making arrays


def _like(value: float) -> Callable[..., Any]:
    def make(
        a: ArrayRecorder, x: Any, dtype: Any = None, *, shape: Any = None, order: Any = "K", subok: bool = True
    ) -> Any:
        return _filled(a, x, value, dtype, shape)

    return make


def _filled(a: ArrayRecorder, x: Any, value: Any, dtype: Any, shape: Any) -> Any:
    dtype = np.dtype(x.dtype if dtype is None else dtype)
    out = np.full(x.shape if shape is None else shape, a.tracer.value_of(value), dtype)
    if dtype.kind not in "fc":
        return out
    b = a.tracer.builder
    return a.new(out, b.broadcast(b.cast(a.tracer.step_of(value, str(dtype)), str(dtype)), out.shape))


entry("zeros_like", "empty_like")(_like(0.0))
entry("ones_like")(_like(1.0))


@entry("full_like")
def _full_like(a: ArrayRecorder, x: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    return _filled(a, x, fill_value, dtype, shape)


@entry("full")
def _full(a: ArrayRecorder, shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    value = a.wrap(fill_value)
    return np.broadcast_to(value if dtype is None else value.astype(dtype), shape).copy()


@entry("linspace")
def _linspace(a: ArrayRecorder, start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    start, stop = a.wrap(start), a.wrap(stop)
    dtype = np.result_type(start.value, stop.value, float(num))
    k = np.arange(num, dtype=dtype).reshape((-1,) + (1,) * max(start.ndim, stop.ndim))
    return k * ((stop - start) / max(num - 1 if endpoint else num, 1)) + start


@entry("fill_diagonal")
def _fill_diagonal(a: ArrayRecorder, x: TracedArray, val: Any, wrap: bool = False) -> None:
    if x.ndim != 2 or wrap:
        raise a.tracer.unknown("numpy.fill_diagonal of more than a matrix")
    k = np.arange(min(x.shape))
    x[k, k] = val


@entry("copyto")
def _copyto(a: ArrayRecorder, dst: TracedArray, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if type(dst) is not TracedArray:
        raise a.tracer.lost("numpy.copyto into an array made outside of the function", "Make it inside the function.")
    if where is True:
        dst[...] = src
    else:
        mask = np.broadcast_to(where, dst.shape)
        dst[mask] = np.broadcast_to(a.wrap(src), dst.shape)[mask]


# ------------------------------------------------------------------------------------------------ linear algebra


def _square(a: ArrayRecorder, x: TracedArray) -> tuple[int, tuple[int, ...]]:
    """The step of a batch of square matrices, (batch, n, n), and the batch's shape."""
    n = x.shape[-1]
    return a.tracer.builder.reshape(a.step(x), (size(x.shape[:-2]), n, n)), x.shape[:-2]


def _matrix_function(op: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: ArrayRecorder, x: Any) -> Any:
        b, x = a.tracer.builder, a.wrap(x)
        square, _ = _square(a, x)
        return a.new(function(x.value), b.reshape(b.emit(op, (square,), None, b.shape(square)), x.shape))

    return run


entry("inv")(_matrix_function("inverse", np.linalg.inv))
entry("cholesky")(_matrix_function("cholesky", np.linalg.cholesky))


@entry("det")
def _det(a: ArrayRecorder, x: Any) -> Any:
    b, x = a.tracer.builder, a.wrap(x)
    square, batch = _square(a, x)
    return a.new(np.linalg.det(x.value), b.reshape(b.emit("det", (square,), None, (size(batch),)), batch))


@entry("slogdet")
def _slogdet(a: ArrayRecorder, x: Any) -> Any:
    b, x = a.tracer.builder, a.wrap(x)
    square, batch = _square(a, x)
    found = np.linalg.slogdet(x.value)
    b.guard("sign", [b.reshape(b.emit("det", (square,), None, (size(batch),)), batch)], None, found.sign)
    step = b.reshape(b.emit("logabsdet", (square,), None, (size(batch),)), batch)
    return type(found)(found.sign, a.new(found.logabsdet, step))


@entry("solve")
def _solve(a: ArrayRecorder, x: Any, y: Any) -> Any:
    b, x, y = a.tracer.builder, a.wrap(x), a.wrap(y)
    value = np.linalg.solve(x.value, y.value)
    columns = value.shape if y.ndim > 1 else (*value.shape, 1)
    batch, n = columns[:-2], x.shape[-1]
    square = b.reshape(b.broadcast(a.step(x), (*batch, n, n)), (size(batch), n, n))
    right = a.step(y) if y.ndim > 1 else b.reshape(a.step(y), (n, 1))
    right = b.reshape(b.broadcast(right, columns), (size(batch), *columns[-2:]))
    return a.new(value, b.reshape(b.emit("solve", (square, right), None, b.shape(right)), value.shape))


# ------------------------------------------------------------------------------------------------ entry by entry


def vectorized(a: ArrayRecorder, function: Callable[..., Any]) -> Callable[..., Any]:
    """``np.vectorize(function)``: called entry by entry."""

    def run(*args: Any) -> Any:
        arrays = np.broadcast_arrays(*(a.wrap(x) for x in args))
        entries = [function(*parts) for parts in zip(*(x.ravel() for x in arrays), strict=True)]
        return a.array(entries).reshape(arrays[0].shape)

    return run


class Iteration:
    """``np.nditer`` of one array: NumPy's own order and places, and views of the entries."""

    def __init__(self, x: TracedArray, *args: Any, **options: Any) -> None:
        places = np.arange(x.size).reshape(x.shape)
        self._array, self._own = x, np.nditer(places.copy(order="K"), *args, **{**options, "op_dtypes": None})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)  # finished, multi_index, index, iternext

    def __enter__(self) -> Iteration:
        return self

    def __exit__(self, *error: Any) -> None:
        self._own.close()

    def __getitem__(self, key: Any) -> Any:
        return self._array[(*np.unravel_index(int(self._own[key]), self._array.shape), ...)]

    @property
    def value(self) -> Any:
        return self[0]

    def __iter__(self) -> Iterator[Any]:
        while not self._own.finished:
            yield self[0]
            self._own.iternext()


def enumerated(x: TracedArray) -> Iterator[tuple[tuple[int, ...], Any]]:
    """``np.ndenumerate``."""
    return ((place, x[place]) for place in np.ndindex(x.shape))


# ------------------------------------------------------------------------------------------------ reductions


def _axes(axis: Any) -> tuple[int, ...] | None:
    return None if axis is None else tuple(int(k) for k in np.atleast_1d(axis))


def _reduced(
    a: ArrayRecorder, x: Any, axis: Any, keepdims: bool, value: Callable, step: Callable, dtype: Any = None
) -> Any:
    x = a.wrap(x) if dtype is None else a.wrap(x).astype(dtype)
    axes = _axes(axis)
    return a.new(value(x.value, axis=axes, keepdims=keepdims), step(a.tracer.builder, a.step(x), axes, keepdims))


@entry("sum")
def _sum(
    a: ArrayRecorder, x: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False, where: Any = True
) -> Any:
    x = x if where is True else np.where(where, a.wrap(x), 0.0)
    return _reduced(a, x, axis, keepdims, np.sum, lambda b, s, ax, keep: b.sum(s, ax, keep), dtype)


@entry("mean")
def _mean(a: ArrayRecorder, x: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return _reduced(a, x, axis, keepdims, np.mean, layouts.mean, dtype)


@entry("average")
def _average(a: ArrayRecorder, x: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    x = a.wrap(x)
    if weights is None:
        return np.mean(x, axis=axis, keepdims=keepdims)
    w = a.wrap(weights)
    if w.ndim == 1 and x.ndim > 1 and isinstance(axis, int):
        w = w.reshape([-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])
        w = np.broadcast_to(w, x.shape)
    return np.sum(x * w, axis=axis, keepdims=keepdims) / np.sum(w, axis=axis, keepdims=keepdims)


@entry("var")
def _var(
    a: ArrayRecorder,
    x: Any,
    axis: Any = None,
    dtype: Any = None,
    *,
    ddof: Any = 0,
    correction: Any = None,
    keepdims=False,
) -> Any:
    ddof = ddof if correction is None else correction
    value = functools.partial(np.var, ddof=ddof)
    return _reduced(a, x, axis, keepdims, value, lambda b, s, ax, keep: layouts.var(b, s, ax, keep, ddof), dtype)


@entry("std")
def _std(a: ArrayRecorder, x: Any, axis: Any = None, dtype: Any = None, **options: Any) -> Any:
    return np.sqrt(_var(a, x, axis, dtype, **options))


@entry("prod")
def _prod(a: ArrayRecorder, x: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return _reduced(a, x, axis, keepdims, np.prod, layouts.prod, dtype)


def _extreme(largest: bool) -> Callable[..., Any]:
    def reduce(a: ArrayRecorder, x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        x = a.wrap(x)
        axes = _axes(axis)
        value = (np.max if largest else np.min)(x.value, axis=axes, keepdims=keepdims)
        b = a.tracer.builder
        return a.new(value, indexing.extreme(b, a.step(x), np.asarray(x.value), axes, keepdims, largest=largest))

    return reduce


entry("max", "amax")(_extreme(True))
entry("min", "amin")(_extreme(False))


@entry("ptp")
def _ptp(a: ArrayRecorder, x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.max(x, axis=axis, keepdims=keepdims) - np.min(x, axis=axis, keepdims=keepdims)


def _running(plain: Callable[..., Any], step: Callable[..., int]) -> Callable[..., Any]:
    def run(a: ArrayRecorder, x: Any, axis: Any = None, dtype: Any = None) -> Any:
        x = a.wrap(x) if dtype is None else a.wrap(x).astype(dtype)
        if axis is None:
            x, axis = x.reshape(-1), 0
        return a.new(plain(x.value, axis=axis), step(a.tracer.builder, a.step(x), axis))

    return run


entry("cumsum")(_running(np.cumsum, layouts.cumsum))
entry("cumprod")(_running(np.cumprod, layouts.cumprod))


@entry("norm", "vector_norm")
def _norm(a: ArrayRecorder, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = a.wrap(x)
    axes = _axes(axis)
    matrix = ord is not None and len(axes if axes is not None else x.shape) == 2
    if (matrix and ord != "fro") or (isinstance(ord, str) and not matrix) or ord == 0:
        raise a.tracer.unknown(f"numpy.linalg.norm(ord={ord!r}) of a {'matrix' if matrix else 'vector'}")
    p: Any = 2 if ord in (None, "fro") else ord
    flat = axes[0] if axes is not None and len(axes) == 1 else axes
    value = np.linalg.norm(x.value, ord, flat, keepdims)  # type: ignore[call-overload]
    if p == 1 or math.isinf(p) or p % 2:
        a.tracer.guard("sign", [x], None, np.sign(x.value))
    b = a.tracer.builder
    return a.new(value, layouts.norm(b, a.step(x), p, axes, keepdims, np.asarray(x.value)))


# ------------------------------------------------------------------------------------------------ products


@entry("dot")
def _dot(a: ArrayRecorder, x: Any, y: Any) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    if not x.ndim or not y.ndim:
        return np.multiply(x, y)
    product: Any = np.matmul(x, y) if y.ndim <= 2 else np.tensordot(x, y, (-1, -2))
    return a.new(np.dot(x.value, y.value), a.step(product))


@entry("real")
def _real(a: ArrayRecorder, val: Any) -> Any:
    return a.part(a.wrap(val), "real")


@entry("imag")
def _imag(a: ArrayRecorder, val: Any) -> Any:
    return a.part(a.wrap(val), "imag")


@entry("angle")
def _angle(a: ArrayRecorder, z: Any, deg: bool = False) -> Any:
    turned = np.arctan2(_imag(a, z), _real(a, z))
    return turned * (180 / math.pi) if deg else turned


def _transform(name: str) -> Callable[..., Any]:
    """A Fourier transform, which torch has under the same name."""
    of = getattr(torch.fft, name)

    def rule(a: ArrayRecorder, x: Any, n: Any = None, axis: Any = -1, norm: Any = None) -> Any:
        tensors = a.tracer.tensors
        return tensors.from_torch(of(tensors.tensor(a.wrap(x)), n, axis, norm))

    return rule


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    entry(_name)(_transform(_name))


@entry("vdot")
def _vdot(a: ArrayRecorder, x: Any, y: Any) -> Any:
    return np.matmul(np.conjugate(a.wrap(x).ravel()), a.wrap(y).ravel())


@entry("inner")
def _inner(a: ArrayRecorder, x: Any, y: Any) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    return np.multiply(x, y) if not x.ndim or not y.ndim else np.tensordot(x, y, (-1, -1))


@entry("outer")
def _outer(a: ArrayRecorder, x: Any, y: Any) -> Any:
    return np.multiply(a.wrap(x).reshape(-1, 1), a.wrap(y).reshape(1, -1))


@entry("kron")
def _kron(a: ArrayRecorder, x: Any, y: Any) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    n = max(x.ndim, y.ndim)
    x, y = x.reshape((1,) * (n - x.ndim) + x.shape), y.reshape((1,) * (n - y.ndim) + y.shape)
    order = [k + j * n for k in range(n) for j in (0, 1)]
    return np.multiply.outer(x, y).transpose(order).reshape([p * q for p, q in zip(x.shape, y.shape)])


@entry("einsum")
def _einsum(a: ArrayRecorder, spec: str, *operands: Any, optimize: Any = None) -> Any:
    if not isinstance(spec, str):
        raise a.tracer.unknown("numpy.einsum without a string of subscripts")
    xs = [a.wrap(x) for x in operands]
    value = np.einsum(spec, *(x.value for x in xs))
    return a.new(value, layouts.einsum(a.tracer.builder, spec, *(a.step(x) for x in xs)))


@entry("tensordot")
def _tensordot(a: ArrayRecorder, x: Any, y: Any, axes: Any = 2) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    if not isinstance(axes, int):
        axes = [[int(k) % v.ndim for k in np.atleast_1d(side)] for side, v in zip(axes, (x, y), strict=True)]
    value = np.tensordot(x.value, y.value, axes)
    return a.new(value[()], layouts.tensordot(a.tracer.builder, a.step(x), a.step(y), axes))


@entry("multi_dot")
def _multi_dot(a: ArrayRecorder, arrays: Any) -> Any:
    return functools.reduce(np.matmul, arrays)


@entry("matrix_power")
def _matrix_power(a: ArrayRecorder, x: Any, n: int) -> Any:
    if n == 0:
        return np.broadcast_to(np.eye(x.shape[-1]), x.shape).copy()
    return functools.reduce(np.matmul, [x if n > 0 else np.linalg.inv(x)] * abs(n))


def _convolution(which: str, default: str) -> Callable[..., Any]:
    def run(a: ArrayRecorder, x: Any, y: Any, mode: str = default) -> Any:
        x, y = a.wrap(x), a.wrap(y)
        value = getattr(np, which)(x.value, y.value, mode)
        return a.new(value, getattr(indexing, which)(a.tracer.builder, a.step(x), a.step(y), mode))

    return run


entry("convolve")(_convolution("convolve", "full"))
entry("correlate")(_convolution("correlate", "valid"))


@entry("cross")
def _cross(a: ArrayRecorder, x: Any, y: Any, axis: int = -1) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    value = np.cross(x.value, y.value, axis=axis)
    return a.new(value, layouts.cross(a.tracer.builder, a.step(x), a.step(y), axis))


@entry("trace")
def _trace(a: ArrayRecorder, x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.diagonal(a.wrap(x), offset, axis1, axis2).sum(-1)


# ------------------------------------------------------------------------------------------------ choices and order


@entry("clip")
def _clip(a: ArrayRecorder, x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    x = a.wrap(x)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


@entry("sort")
def _sort(a: ArrayRecorder, x: Any, axis: Any = -1, kind: Any = None, *, stable: Any = None) -> Any:
    x = a.wrap(x)
    x, axis = (x.ravel(), 0) if axis is None else (x, axis)
    return np.take_along_axis(x, np.argsort(x, axis=axis, kind="stable"), axis)


@entry("median")
def _median(a: ArrayRecorder, x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    x = a.wrap(x)
    if not isinstance(axis, int):
        if axis is not None or keepdims:
            raise a.tracer.unknown("numpy.median(axis=(...))")
        x, axis = x.ravel(), 0
    ordered = np.sort(x, axis=axis)
    n = x.shape[axis]
    return np.mean(np.take(ordered, [(n - 1) // 2, n // 2], axis), axis=axis, keepdims=keepdims)


@entry("nan_to_num")
def _nan_to_num(
    a: ArrayRecorder, x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    x = a.wrap(x)
    finite = np.isfinite(x)
    replaced = np.nan_to_num(x.value, True, nan, posinf, neginf)
    return x.copy() if np.all(finite) else np.where(finite, x, replaced)


@entry("round", "around")
def _round(a: ArrayRecorder, x: Any, decimals: int = 0) -> Any:
    x = a.wrap(x)
    value = np.round(x.value, decimals)
    return a.new(value, a.tracer.piecewise("round", [a.step(x)], value, str(value.dtype), decimals))


@entry("sinc")
def _sinc(a: ArrayRecorder, x: Any) -> Any:
    x = a.wrap(x)
    y = np.pi * np.where(x == 0, 1.0e-20, x)
    return np.sin(y) / y


# ------------------------------------------------------------------------------------------------ differences and sums


def _slice(x: Any, axis: int, *bounds: Any) -> Any:
    return x[(*(slice(None),) * (axis % x.ndim), slice(*bounds))]


@entry("diff")
def _diff(a: ArrayRecorder, x: Any, n: int = 1, axis: int = -1) -> Any:
    x = a.wrap(x)
    for _ in range(n):
        x = _slice(x, axis, 1, None) - _slice(x, axis, None, -1)
    return x


@entry("gradient")
def _gradient(a: ArrayRecorder, x: Any, spacing: float = 1.0, *, axis: Any = None) -> Any:
    x = a.wrap(x)
    if (x.ndim > 1 and not isinstance(axis, int)) or np.ndim(a.tracer.value_of(spacing)):
        raise a.tracer.unknown("numpy.gradient along several axes or with uneven spacing")
    k = axis or 0
    inner = (_slice(x, k, 2, None) - _slice(x, k, None, -2)) / (2.0 * spacing)
    first = (_slice(x, k, 1, 2) - _slice(x, k, 0, 1)) / spacing
    last = (_slice(x, k, -1, None) - _slice(x, k, -2, -1)) / spacing
    return np.concatenate([first, inner, last], axis=k)


@entry("trapezoid", "trapz")
def _trapezoid(a: ArrayRecorder, y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = a.wrap(y)
    if x is not None:
        x = a.wrap(x)
        dx = np.diff(x, axis=axis if x.ndim > 1 else -1)
        if dx.ndim == 1:
            dx = dx.reshape([-1 if k == axis % y.ndim else 1 for k in range(y.ndim)])
    return (dx * (_slice(y, axis, 1, None) + _slice(y, axis, None, -1)) / 2.0).sum(axis)


@entry("polyval")
def _polyval(a: ArrayRecorder, p: Any, x: Any) -> Any:
    total = np.zeros_like(a.wrap(x))
    for coefficient in p if a.tracer.is_traced(p) else np.asarray(p):
        total = total * x + coefficient
    return total


@entry("cov")
def _cov(a: ArrayRecorder, m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Any:
    m = a.wrap(m)
    if y is not None:
        raise a.tracer.unknown("numpy.cov of two arrays")
    m = m if rowvar or m.ndim < 2 else m.T
    centred = m - m.mean(-1, keepdims=True)
    count = m.shape[-1] - ((0 if bias else 1) if ddof is None else ddof)
    product = np.matmul(centred, centred.T) if m.ndim > 1 else np.dot(centred, centred)
    return product / float(count)


@entry("apply_along_axis")
def _apply_along_axis(a: ArrayRecorder, func1d: Any, axis: int, arr: Any, *args: Any, **options: Any) -> Any:
    arr = a.wrap(arr)
    x = np.moveaxis(arr, axis, -1)
    rows = [a.wrap(func1d(row, *args, **options)) for row in x.reshape((-1, x.shape[-1]))]
    out = np.stack(rows).reshape(x.shape[:-1] + rows[0].shape)
    return np.moveaxis(out, -1, axis) if rows[0].ndim else out
