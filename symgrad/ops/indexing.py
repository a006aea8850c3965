"""Tensor operations that choose entries or add them up where they land, said in steps.

A function here takes the concrete indices, masks or values that decide; whatever moves entries without looking at
numbers is not here: its positions come from running the user's own operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from symgrad.program.builder import Builder

__all__ = [
    "axes_of",
    "clamp",
    "diagonal",
    "dropped",
    "extreme",
    "gathered",
    "index_add",
    "index_put_accumulate",
    "lengths",
    "number",
    "pick_along",
    "places",
    "scatter_add",
    "sort_by",
    "take",
    "where",
]

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


def sort_by(b: Builder, x: int, order: np.ndarray, axis: int = -1) -> int:
    """``x`` sorted along an axis, where ``order`` is what argsort said."""
    return pick_along(b, x, order, axis) if b.shape(x) else x


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


def clamp(
    b: Builder,
    x: int,
    lo: int | None = None,
    hi: int | None = None,
    values: Sequence[Any] = (),
) -> int:
    """``min(max(x, lo), hi)``, whose value at a bound is ``x``; ``values`` are those of x, lo and hi (None where
    there is no bound)."""
    here = np.asarray(values[0], dtype=np.float64)
    for bound, op, outside, limit in ((lo, "lt", np.less, 1), (hi, "gt", np.greater, 2)):
        if bound is not None:
            at = np.asarray(values[limit], dtype=np.float64)
            out = outside(here, at)
            b.guard(op, [x, bound], None, out)
            x, here = where(b, out, bound, x), np.where(out, at, here)
    return x


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
