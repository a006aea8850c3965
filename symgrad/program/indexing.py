"""Tensor operations that choose entries or add them up where they land, said in steps.

A function here takes the concrete indices, masks or values that decide; whatever moves entries without looking at
numbers is not here: its positions come from running the user's own operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.program.builder import Builder
from symgrad.program.program import EXTREME

# ------------------------------------------------------------------------------------------------------------ indexing

Axes = int | Sequence[int] | None

# ------------------------------------------------------------------------------------------------ shapes and numbers


def places(shape: Sequence[int]) -> np.ndarray:
    """The positions 1..n of a tensor's entries, in its shape."""
    return np.arange(1, math.prod(shape) + 1).reshape(tuple(shape))


def axes_of(b: Builder, x: int, axes: Axes) -> tuple[int, ...]:
    n = len(b.shape(x))
    if axes is None:
        return tuple(range(n))
    return tuple(k % n for k in ((axes,) if isinstance(axes, int) else axes)) if n else ()


def lengths(b: Builder, x: int, axes: Sequence[int]) -> int:
    return math.prod(b.shape(x)[k] for k in axes)


def gathered(b: Builder, x: int, axes: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """``x`` with ``axes`` flattened into one last axis, and the shape that a reduction over it keeps."""
    shape = b.shape(x)
    rest = [k for k in range(len(shape)) if k not in axes]
    flat = b.reshape(b.permute(x, [*rest, *axes]), (*(shape[k] for k in rest), lengths(b, x, axes)))
    return flat, tuple(1 if k in axes else n for k, n in enumerate(shape))


def dropped(b: Builder, x: int, kept: Sequence[int], axes: Sequence[int], keepdims: bool) -> int:
    """A reduction's result in its final shape."""
    return b.reshape(x, tuple(kept) if keepdims else tuple(n for k, n in enumerate(kept) if k not in axes))


def number(b: Builder, value: Any, like: int) -> int:
    """An exact number in the dtype of ``like``; a float is the decimal it prints as: 1e-5 is one hundred-thousandth."""
    return b.number(Fraction(repr(value)) if isinstance(value, float) else value, b.dtype(like))


# ------------------------------------------------------------------------------------------------ positions


def take(b: Builder, x: int, indices: Any, axis: int) -> int:
    """The slices ``indices`` (non-negative) of an axis."""
    where = np.take(places(b.shape(x)), np.asarray(indices, dtype=np.int64), axis)
    return b.pick([x], where, where.shape)


def diagonal(b: Builder, x: int, offset: int = 0, axis1: int = 0, axis2: int = 1) -> int:
    where = np.diagonal(places(b.shape(x)), offset, axis1, axis2)
    return b.pick([x], where, where.shape)


def pick_along(b: Builder, x: int, indices: np.ndarray, axis: int) -> int:
    """torch's gather, NumPy's take_along_axis: one index for every entry of the result."""
    indices = np.asarray(indices, dtype=np.int64)
    where = places(b.shape(x))[_grid(indices, axis)]
    return b.pick([x], where, where.shape)


def _grid(indices: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    if not indices.ndim:
        return ()
    grid: list[Any] = list(np.indices(indices.shape, sparse=True))
    grid[axis] = indices
    return tuple(grid)


def where(b: Builder, mask: Any, a: int, c: int) -> int:
    """Entries of ``a`` where the concrete ``mask`` holds, of ``c`` elsewhere."""
    mask = np.asarray(mask, dtype=bool)
    shape = np.broadcast_shapes(mask.shape, b.shape(a), b.shape(c))
    here = places(shape)
    return b.pick([b.broadcast(a, shape), b.broadcast(c, shape)], np.where(mask, here, here + here.size), shape)


def extreme(b: Builder, x: int, values: Any, axes: Axes = None, keepdims: bool = False, largest: bool = True) -> int:
    """The maximum or minimum: the entry that the ``values`` of ``x`` single out (the first of equals, a NaN before
    all), with a guard ``argmax`` or ``argmin`` over the last axis."""
    axes = axes_of(b, x, axes)
    flat, kept = gathered(b, x, axes)
    order = [k for k in range(len(b.shape(x))) if k not in axes] + list(axes)
    numbers = np.transpose(np.asarray(values, dtype=np.float64).reshape(b.shape(x)), order).reshape(b.shape(flat))
    index = (np.argmax if largest else np.argmin)(numbers, -1, keepdims=True)
    b.guard("argmax" if largest else "argmin", [flat], len(b.shape(flat)) - 1, index[..., 0])
    return dropped(b, pick_along(b, flat, index, -1), kept, axes, keepdims)


# ------------------------------------------------------------------------------------------------ adding up


def scatter_add(b: Builder, base: int, axis: int, index: np.ndarray, src: int) -> int:
    """torch's scatter_add: ``base[i, index[i, j], ...] += src[i, j, ...]`` for every entry of ``index``."""
    index = np.asarray(index, dtype=np.int64)
    src = b.pick([src], places(b.shape(src))[tuple(map(slice, index.shape))], index.shape)
    return _added(b, base, places(b.shape(base))[_grid(index, axis)], src)


def index_add(b: Builder, base: int, axis: int, index: np.ndarray, src: int, alpha: float = 1) -> int:
    """``base[..., index[j], ...] += alpha * src[..., j, ...]``."""
    if alpha != 1:
        src = b.mul(src, number(b, alpha, src))
    return _added(b, base, np.take(places(b.shape(base)), np.asarray(index, dtype=np.int64), axis), src)


def index_put_accumulate(b: Builder, base: int, indices: Sequence[np.ndarray | None], values: int) -> int:
    """``base[indices] += values`` where repeated indices add up; None stands for a whole axis."""
    at = tuple(slice(None) if k is None else np.asarray(k) for k in indices)
    return _added(b, base, places(b.shape(base))[at], values)


def _added(b: Builder, base: int, at: np.ndarray, src: int) -> int:
    return b.add(base, b.scatter(b.broadcast(src, at.shape), at, b.shape(base)))


# ------------------------------------------------------------------------------------------------------------- windows
# Convolution and pooling said in steps: the windows of a tensor are a pick, and what is done with them is a matrix
# product, a sum or a choice of one entry.
#
# ``kernel``, ``stride``, ``padding`` and ``dilation`` are torch's: a number, or one number for each spatial axis.

Each = int | Sequence[int]


def _each(value: Each, n: int) -> tuple[int, ...]:
    """One number for every spatial axis."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * n if len(values) == 1 else values


def _placed(where: np.ndarray, before: Sequence[int], lengths: Sequence[int]) -> np.ndarray:
    """The last axes moved ``before`` places to the right in zeros of the given lengths; what falls outside is cut."""
    lead = where.shape[: where.ndim - len(lengths)]
    out = np.zeros((*lead, *lengths), dtype=where.dtype)
    source: list[Any] = [...]
    target: list[Any] = [...]
    for p, n, m in zip(before, where.shape[len(lead) :], lengths, strict=True):
        start, stop = max(0, p), max(0, min(m, p + n))
        target.append(slice(start, stop))
        source.append(slice(start - p, stop - p))
    out[tuple(target)] = where[tuple(source)]
    return out


def _windows(where: np.ndarray, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> np.ndarray:
    """Every window of the last axes: (..., places, ..., inside the window, ...)."""
    n = len(kernel)
    extents = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(where, extents, tuple(range(-n, 0)))
    every = (slice(None, None, s) for s in stride)
    inside = (slice(None, None, d) for d in dilation)
    return view[(..., *every, *inside)]


# ------------------------------------------------------------------------------------------------ convolution


def conv(
    b: Builder,
    x: int,
    w: int,
    bias: int | None = None,
    stride: Each = 1,
    padding: Each | str = 0,
    dilation: Each = 1,
    transposed: bool = False,
    output_padding: Each = 0,
    groups: int = 1,
) -> int:
    """torch's convolution (and its transpose) of x (batch, in, *space) or (in, *space), in any number of dimensions.

    ``w`` is (out, in / groups, *kernel), for the transpose (in, out / groups, *kernel).
    """
    kernel = b.shape(w)[2:]
    n = len(kernel)
    if len(b.shape(x)) == n + 1:
        alone = b.reshape(x, (1, *b.shape(x)))
        out = conv(b, alone, w, bias, stride, padding, dilation, transposed, output_padding, groups)
        return b.reshape(out, b.shape(out)[1:])
    stride, dilation, extra = _each(stride, n), _each(dilation, n), _each(output_padding, n)
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if isinstance(padding, str):
        before = [r // 2 if padding == "same" else 0 for r in reach]
        after = [r - p if padding == "same" else 0 for r, p in zip(reach, before, strict=True)]
    else:
        before = after = _each(padding, n)
    where = places(b.shape(x))
    if transposed:  # spread the input out and slide the flipped kernel over it
        spread = np.zeros((*where.shape[:2], *((m - 1) * s + 1 for m, s in zip(where.shape[2:], stride))), np.int64)
        spread[(..., *(slice(None, None, s) for s in stride))] = where
        where = spread
        before = [r - p for r, p in zip(reach, before, strict=True)]
        after = [r - p + e for r, p, e in zip(reach, after, extra, strict=True)]
        w, stride = _flipped(b, w, groups), (1,) * n
    lengths = [p + m + q for p, m, q in zip(before, where.shape[2:], after, strict=True)]
    return _slide(b, x, _placed(where, before, lengths), w, bias, stride, dilation, groups)


def _flipped(b: Builder, w: int, groups: int) -> int:
    """(in, out / groups, *kernel) -> (out, in / groups, *kernel), each kernel reversed."""
    c, o, *kernel = b.shape(w)
    where = np.flip(places((groups, c // groups, o, *kernel)), tuple(range(3, 3 + len(kernel))))
    return b.pick([w], np.swapaxes(where, 1, 2), (groups * o, c // groups, *kernel))


def _slide(
    b: Builder,
    x: int,
    where: np.ndarray,
    w: int,
    bias: int | None,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> int:
    out, inner, *kernel = b.shape(w)
    n, volume = len(kernel), inner * math.prod(kernel)
    view = _windows(where, kernel, stride, dilation)
    batch, space = view.shape[0], view.shape[2 : 2 + n]
    view = view.reshape(batch, groups, inner, *space, *kernel)
    view = np.transpose(view, (1, 0, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n)))
    rows = batch * math.prod(space)
    columns = b.pick([x], view, (groups, rows, volume))
    weights = b.transpose(b.reshape(w, (groups, out // groups, volume)))
    product = b.reshape(b.matmul(columns, weights), (groups, batch, *space, out // groups))
    result = b.reshape(b.permute(product, (1, 0, 2 + n, *range(2, 2 + n))), (batch, out, *space))
    return result if bias is None else b.add(result, b.reshape(bias, (out, *(1,) * n)))


def convolve(b: Builder, x: int, y: int, mode: str = "full") -> int:
    """NumPy's convolve of two vectors: ``out[k] = sum_j x[k - j] y[j]``."""
    if b.shape(y)[0] > b.shape(x)[0]:
        x, y = y, x
    n, m = b.shape(x)[0], b.shape(y)[0]
    start, length = {"full": (0, n + m - 1), "same": ((m - 1) // 2, n), "valid": (m - 1, n - m + 1)}[mode]
    padded = _placed(places((n,)), (m - 1,), (n + 2 * m - 2,))
    windows = np.lib.stride_tricks.sliding_window_view(padded, m)[start : start + length, ::-1]
    return b.matmul(b.pick([x], windows, windows.shape), y)


def correlate(b: Builder, x: int, y: int, mode: str = "valid") -> int:
    """NumPy's correlate of two vectors: ``out[k] = sum_n x[n + k] conj(y[n])``."""
    n, m = b.shape(x)[0], b.shape(y)[0]
    y = b.conj(y)
    if m > n:
        return _reversed(b, convolve(b, y, _reversed(b, x), mode))
    return convolve(b, x, _reversed(b, y), mode)


def _reversed(b: Builder, x: int) -> int:
    return b.pick([x], np.flip(places(b.shape(x))), b.shape(x))


# ------------------------------------------------------------------------------------------------ pooling


def _pooled(
    shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> list[int]:
    """How long each padded axis must be for all windows; with ``ceil_mode`` the last may reach past the padding."""
    lengths = []
    for n, k, s, p, d in zip(shape, kernel, stride, padding, dilation, strict=True):
        reach = d * (k - 1) + 1
        room = n + 2 * p - reach
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        lengths.append((count - 1) * s + reach)
    return lengths


def avg_pool(
    b: Builder,
    x: int,
    kernel: Each,
    stride: Each | None = None,
    padding: Each = 0,
    count_include_pad: bool = True,
    ceil_mode: bool = False,
    divisor: int | None = None,
    *,
    dims: int | None = None,
) -> int:
    """The mean of every window of the last ``dims`` axes (as many as ``kernel`` has)."""
    n = dims if dims is not None else 1 if isinstance(kernel, int) else len(kernel)
    kernel, padding, ones = _each(kernel, n), _each(padding, n), (1,) * n
    stride = _each(stride, n) if stride not in (None, (), []) else kernel
    shape = b.shape(x)[-n:]
    lengths = _pooled(shape, kernel, stride, padding, ones, ceil_mode)
    windows = _windows(_placed(places(b.shape(x)), padding, lengths), kernel, stride, ones)
    total = b.sum(b.pick([x], windows, windows.shape), tuple(range(-n, 0)))
    if count_include_pad:
        counted = _placed(np.ones([m + 2 * p for m, p in zip(shape, padding, strict=True)], int), (0,) * n, lengths)
    else:
        counted = _placed(np.ones(shape, int), padding, lengths)
    counts = _windows(counted, kernel, stride, ones).sum(tuple(range(-n, 0)))
    if divisor is None and counts.min() == counts.max():
        divisor = int(counts.flat[0])
    return b.div(total, b.number(divisor, b.dtype(x)) if divisor is not None else b.constant(counts, b.dtype(x)))


def max_pool_from_indices(
    b: Builder,
    x: int,
    indices: np.ndarray,
    dims: int,
    kernel: Each | None = None,
    stride: Each | None = None,
    padding: Each = 0,
    dilation: Each = 1,
    ceil_mode: bool = False,
) -> int:
    """The entries that torch's max_pool ``indices`` name: positions in the last ``dims`` axes laid end to end.

    Given the windows too, a guard ``ge`` remembers that each is at least every other entry of its window.
    """
    shape, indices = b.shape(x), np.asarray(indices, dtype=np.int64)
    planes = places(shape).reshape(*shape[:-dims], -1)
    lead = indices.shape[:-dims]
    chosen = np.take_along_axis(planes, indices.reshape(*lead, -1), -1).reshape(indices.shape)
    out = b.pick([x], chosen, chosen.shape)
    if kernel is not None:
        kernel, padding, dilation = _each(kernel, dims), _each(padding, dims), _each(dilation, dims)
        stride = _each(stride, dims) if stride not in (None, (), []) else kernel
        lengths = _pooled(shape[-dims:], kernel, stride, padding, dilation, ceil_mode)
        windows = _windows(_placed(places(shape), padding, lengths), kernel, stride, dilation)
        winners = np.broadcast_to(chosen.reshape(*chosen.shape, *(1,) * dims), windows.shape)
        others = (windows > 0) & (windows != winners)
        n = int(others.sum())
        if n:
            sides = [b.pick([x], side[others], (n,)) for side in (winners, windows)]
            b.guard("ge", sides, EXTREME, np.ones(n, dtype=bool))
    return out
