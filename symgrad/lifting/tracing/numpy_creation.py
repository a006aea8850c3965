"""NumPy's functions that make arrays, that write into them, and those of linear algebra; see `numpy_functions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.lifting.tracing.numpy_table import entry
from symgrad.lifting.tracing.traced_arrays import TracedArray
from symgrad.program.program import size

if TYPE_CHECKING:
    from symgrad.lifting.tracing.numpy_arrays import Arrays

__all__ = ["vectorized"]

# ------------------------------------------------------------------------------------------------ making arrays


def _like(value: float) -> Callable[..., Any]:
    def make(a: Arrays, x: Any, dtype: Any = None, *, shape: Any = None, order: Any = "K", subok: bool = True) -> Any:
        return _filled(a, x, value, dtype, shape)

    return make


def _filled(a: Arrays, x: Any, value: Any, dtype: Any, shape: Any) -> Any:
    dtype = np.dtype(x.dtype if dtype is None else dtype)
    out = np.full(x.shape if shape is None else shape, a.tracer.value_of(value), dtype)
    if dtype.kind not in "fc":
        return out
    b = a.tracer.builder
    return a.new(out, b.broadcast(b.cast(a.tracer.step_of(value, str(dtype)), str(dtype)), out.shape))


entry("zeros_like", "empty_like")(_like(0.0))
entry("ones_like")(_like(1.0))


@entry("full_like")
def _full_like(a: Arrays, x: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    return _filled(a, x, fill_value, dtype, shape)


@entry("full")
def _full(a: Arrays, shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    value = a.wrap(fill_value)
    return np.broadcast_to(value if dtype is None else value.astype(dtype), shape).copy()


@entry("linspace")
def _linspace(a: Arrays, start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Any:
    start, stop = a.wrap(start), a.wrap(stop)
    dtype = np.result_type(start.value, stop.value, float(num))
    k = np.arange(num, dtype=dtype).reshape((-1,) + (1,) * max(start.ndim, stop.ndim))
    return k * ((stop - start) / max(num - 1 if endpoint else num, 1)) + start


@entry("fill_diagonal")
def _fill_diagonal(a: Arrays, x: TracedArray, val: Any, wrap: bool = False) -> None:
    if x.ndim != 2 or wrap:
        raise a.tracer.unknown("numpy.fill_diagonal of more than a matrix")
    k = np.arange(min(x.shape))
    x[k, k] = val


@entry("copyto")
def _copyto(a: Arrays, dst: TracedArray, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if type(dst) is not TracedArray:
        raise a.tracer.lost("numpy.copyto into an array made outside of the function", "Make it inside the function.")
    if where is True:
        dst[...] = src
    else:
        mask = np.broadcast_to(where, dst.shape)
        dst[mask] = np.broadcast_to(a.wrap(src), dst.shape)[mask]


# ------------------------------------------------------------------------------------------------ linear algebra


def _square(a: Arrays, x: TracedArray) -> tuple[int, tuple[int, ...]]:
    """The step of a batch of square matrices, (batch, n, n), and the batch's shape."""
    n = x.shape[-1]
    return a.tracer.builder.reshape(a.step(x), (size(x.shape[:-2]), n, n)), x.shape[:-2]


def _matrix_function(op: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: Arrays, x: Any) -> Any:
        b, x = a.tracer.builder, a.wrap(x)
        square, _ = _square(a, x)
        return a.new(function(x.value), b.reshape(b.emit(op, (square,), None, b.shape(square)), x.shape))

    return run


entry("inv")(_matrix_function("inverse", np.linalg.inv))
entry("cholesky")(_matrix_function("cholesky", np.linalg.cholesky))


@entry("det")
def _det(a: Arrays, x: Any) -> Any:
    b, x = a.tracer.builder, a.wrap(x)
    square, batch = _square(a, x)
    return a.new(np.linalg.det(x.value), b.reshape(b.emit("det", (square,), None, (size(batch),)), batch))


@entry("slogdet")
def _slogdet(a: Arrays, x: Any) -> Any:
    b, x = a.tracer.builder, a.wrap(x)
    square, batch = _square(a, x)
    found = np.linalg.slogdet(x.value)
    b.guard("sign", [b.reshape(b.emit("det", (square,), None, (size(batch),)), batch)], None, found.sign)
    step = b.reshape(b.emit("logabsdet", (square,), None, (size(batch),)), batch)
    return type(found)(found.sign, a.new(found.logabsdet, step))


@entry("solve")
def _solve(a: Arrays, x: Any, y: Any) -> Any:
    b, x, y = a.tracer.builder, a.wrap(x), a.wrap(y)
    value = np.linalg.solve(x.value, y.value)
    columns = value.shape if y.ndim > 1 else (*value.shape, 1)
    batch, n = columns[:-2], x.shape[-1]
    square = b.reshape(b.broadcast(a.step(x), (*batch, n, n)), (size(batch), n, n))
    right = a.step(y) if y.ndim > 1 else b.reshape(a.step(y), (n, 1))
    right = b.reshape(b.broadcast(right, columns), (size(batch), *columns[-2:]))
    return a.new(value, b.reshape(b.emit("solve", (square, right), None, b.shape(right)), value.shape))


# ------------------------------------------------------------------------------------------------ functions


def vectorized(a: Arrays, function: Callable[..., Any]) -> Callable[..., Any]:
    """``np.vectorize(function)``: called entry by entry."""

    def run(*args: Any) -> Any:
        arrays = np.broadcast_arrays(*(a.wrap(x) for x in args))
        entries = [function(*parts) for parts in zip(*(x.ravel() for x in arrays), strict=True)]
        return a.array(entries).reshape(arrays[0].shape)

    return run
