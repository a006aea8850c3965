"""Convolution and pooling said in steps: the windows of a tensor are a pick, and what is done with them is a matrix
product, a sum or a choice of one entry.

``kernel``, ``stride``, ``padding`` and ``dilation`` are torch's: a number, or one number for each spatial axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.ops.indexing import places

if TYPE_CHECKING:
    from symgrad.program.builder import Builder

__all__ = ["avg_pool", "conv", "convolve", "correlate", "max_pool_from_indices"]

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
    """How long each padded axis must be for all windows; with ``ceil_mode`` the last may reach past the padding, but
    must start before it."""
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
            b.guard("ge", sides, None, np.ones(n, dtype=bool))
    return out
