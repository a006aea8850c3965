"""Index maps decoded: from positions, met in runs at several sizes, to affine indices and conditions on them.

A pick or scatter says where each entry comes from or lands.  Here the two sides are boxes of *factors* (an axis that
was made by merging others has a factor for each), and what is found is, for each factor of the one side, its index as
an affine function of the factors of the other, and the conditions under which there is an entry at all.  Whatever is
found was checked at every entry of every run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.indices.sizes import Numbers, Unread
from symgrad.program.program import Index, Shape, Strided, positions

_MOST = 4_000_000  # entries of one map that are looked at


@dataclass(frozen=True, slots=True)
class Affine:
    """``offset + sum(slopes[k] * index_k)``, with a number for each run in place of every number."""

    offset: Numbers
    slopes: tuple[Numbers, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """``low <= index_a - index_b <= high`` (without ``b``: of ``index_a`` alone).

    ``least`` and ``most`` are the ends that every index meets: a bound at one of them is no condition.
    """

    a: int
    b: int | None
    low: Numbers
    high: Numbers
    least: Numbers
    most: Numbers


@dataclass(frozen=True, slots=True)
class Decoded:
    """A map: the factors of the box that it starts from, where each factor of the other side is, and where it holds.

    ``factors`` holds, for each axis, the lengths of its factors, the slowest first.
    """

    factors: tuple[tuple[Numbers, ...], ...]
    coordinates: tuple[Affine, ...]
    conditions: tuple[Condition, ...]


def flat_positions(index: Index, shape: Shape) -> np.ndarray:
    """The index as positions counted from 1 (0: none), refused where there are too many to look at."""
    if int(np.prod(shape, dtype=np.int64)) > _MOST:
        raise Unread(f"a tensor of shape {list(shape)} is too large to be read.")
    where = positions(index, shape) if isinstance(index, Strided) else np.asarray(index)
    return where.reshape(shape)


def decode(where: Sequence[np.ndarray], sizes: Sequence[Numbers], *, regions: bool = True) -> Decoded:
    """Decode the maps of the runs: ``where`` holds the positions (from 1; 0 for none) of each run, in the box's shape;
    ``sizes`` the lengths of the other side's factors, the slowest first.  Without ``regions``, where it holds is not
    asked.

    >>> transposed = [np.arange(1, n * m + 1).reshape(n, m).T for n, m in ((3, 5), (5, 7))]
    >>> decode(transposed, [(3, 5), (5, 7)]).coordinates
    (Affine(offset=(0, 0), slopes=((0, 0), (1, 1))), Affine(offset=(0, 0), slopes=((1, 1), (0, 0))))

    Raises `Unread` where a coordinate is not affine, or the entries that are there form no simple region.
    """
    runs = range(len(where))
    masks = [w > 0 for w in where]
    full = all(m.all() for m in masks)
    factors = [_factors(where, sizes, axis) if full else (_lengths(where, axis),) for axis in range(where[0].ndim)]
    boxes = [tuple(f[r] for fs in factors for f in fs) for r in runs]
    split = [w.reshape(box) for w, box in zip(where, boxes, strict=True)]
    masks = [m.reshape(box) for m, box in zip(masks, boxes, strict=True)]
    places = [_unravelled(np.maximum(w, 1) - 1, tuple(s[r] for s in sizes)) for r, w in enumerate(split)]
    coordinates = tuple(affine([p[k] for p in places], masks) for k in range(len(sizes)))
    return Decoded(tuple(factors), coordinates, conditions_of(masks) if regions else ())


def _unravelled(flat: np.ndarray, shape: Shape) -> tuple[np.ndarray, ...]:
    return tuple(np.unravel_index(flat, shape)) if shape else ()


def _lengths(where: Sequence[np.ndarray], axis: int) -> Numbers:
    return tuple(w.shape[axis] for w in where)


def _factors(where: Sequence[np.ndarray], sizes: Sequence[Numbers], axis: int) -> tuple[Numbers, ...]:
    """The factors of an axis: several where it runs through one factor of the other side after another."""
    lengths = _lengths(where, axis)
    if set(lengths) == {1}:
        return ()
    first = where[0]
    if not first.size:
        return (lengths,)
    line = np.moveaxis(first, axis, 0).reshape(first.shape[axis], -1)[:, 0] - 1
    places = np.array(_unravelled(line, tuple(s[0] for s in sizes))).reshape(len(sizes), len(line))
    found: list[int] = []
    reached = 1
    while reached < len(line):
        step = places[:, reached] - places[:, 0]
        (moved,) = np.nonzero(step)
        if len(moved) != 1 or step[moved[0]] != 1 or moved[0] in found:
            return (lengths,)
        found.append(int(moved[0]))
        reached *= sizes[found[-1]][0]
    total = tuple(int(np.prod([sizes[k][r] for k in found])) for r in range(len(where)))
    return tuple(sizes[k] for k in reversed(found)) if len(found) > 1 and total == lengths else (lengths,)


# ------------------------------------------------------------------------------------------------ affine indices


def affine(values: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Affine:
    """The affine function of the indices that gives these integers wherever the masks hold, in every run."""
    for fit in (_simple, _by_differences):
        found = [fit(v, m) for v, m in zip(values, masks, strict=True)]
        for choice in zip(*found, strict=False):
            offsets, slopes = zip(*choice, strict=True)
            result = Affine(tuple(offsets), tuple(zip(*slopes, strict=True)))
            if all(_holds(result, r, v, m) for r, (v, m) in enumerate(zip(values, masks, strict=True))):
                return result
    raise Unread("the entries of a layout are taken in an order that no affine index gives.")


Fit = tuple[int, tuple[int, ...]]


def _simple(values: np.ndarray, mask: np.ndarray) -> list[Fit]:
    """Constant, or one index plus or minus a number: each kind once, in the same order for every run."""
    n = values.ndim
    at = tuple(int(k[0]) for k in np.nonzero(mask)) if n and mask.any() else (0,) * n
    origin = int(values[at])
    out: list[Fit] = [(origin, (0,) * n)]
    for axis in range(n):
        for slope in (1, -1):
            out.append((origin - slope * at[axis], tuple(slope if k == axis else 0 for k in range(n))))
    return out


def _by_differences(values: np.ndarray, mask: np.ndarray) -> list[Fit]:
    if not mask.all() or not values.size:
        return []
    origin = int(values[(0,) * values.ndim])
    slopes = []
    for axis, n in enumerate(values.shape):
        second = tuple(1 if k == axis else 0 for k in range(values.ndim))
        slopes.append(int(values[second]) - origin if n > 1 else 0)
    return [(origin, tuple(slopes))]


def _holds(found: Affine, run: int, values: np.ndarray, mask: np.ndarray) -> bool:
    guess = np.full(values.shape, found.offset[run], dtype=np.int64)
    for axis, n in enumerate(values.shape):
        along = np.arange(n) * found.slopes[axis][run]
        guess = guess + along.reshape((n,) + (1,) * (values.ndim - axis - 1))
    return bool(np.array_equal(guess[mask], values[mask]))


# ------------------------------------------------------------------------------------------------ regions


def conditions_of(masks: Sequence[np.ndarray]) -> tuple[Condition, ...]:
    """The bounds on indices and on their differences that say where the masks hold; as few as say it."""
    if all(m.all() for m in masks):
        return ()
    if not all(m.any() for m in masks):
        raise Unread("a layout keeps no entry in one run and some in another.")
    n = masks[0].ndim
    pairs: list[tuple[int, int | None]] = [(a, None) for a in range(n)]
    pairs += list(itertools.combinations(range(n), 2))
    kept = [_bounds(masks, a, b) for a, b in pairs]
    kept = [c for c in kept if (c.low, c.high) != (c.least, c.most)]
    if not _say(kept, masks):
        raise Unread("the entries that a layout keeps form no region that bounds on indices give.")
    for c in list(reversed(kept)):
        rest = [k for k in kept if k is not c]
        if _say(rest, masks):
            kept = rest
    return tuple(kept)


def _index(shape: Shape, axis: int) -> np.ndarray:
    return np.arange(shape[axis]).reshape((-1,) + (1,) * (len(shape) - axis - 1))


def _measure(shape: Shape, a: int, b: int | None) -> np.ndarray:
    value = _index(shape, a) if b is None else _index(shape, a) - _index(shape, b)
    return np.broadcast_to(value, shape)


def _bounds(masks: Sequence[np.ndarray], a: int, b: int | None) -> Condition:
    measures = [_measure(m.shape, a, b) for m in masks]
    inside = [v[m] for v, m in zip(measures, masks, strict=True)]
    ends = [(int(v.min()), int(v.max()), int(w.min()), int(w.max())) for v, w in zip(inside, measures, strict=True)]
    low, high, least, most = zip(*ends, strict=True)
    return Condition(a, b, low, high, least, most)


def _say(conditions: Sequence[Condition], masks: Sequence[np.ndarray]) -> bool:
    for r, mask in enumerate(masks):
        region = np.ones(mask.shape, dtype=bool)
        for c in conditions:
            value = _measure(mask.shape, c.a, c.b)
            region = region & (value >= c.low[r]) & (value <= c.high[r])
        if not np.array_equal(region, mask):
            return False
    return True


# ------------------------------------------------------------------------------------------------ arrays of numbers


def decode_values(arrays: Sequence[np.ndarray]) -> Affine | tuple[float, tuple[Condition, ...]]:
    """An array of numbers that every run has: affine in its indices, or one number on a region and zero elsewhere.

    >>> decode_values([np.arange(n) + 1.0 for n in (3, 5)])
    Affine(offset=(1, 1), slopes=((1, 1),))
    >>> decode_values([np.eye(n) * 0.5 for n in (3, 5)])[0]
    0.5
    """
    nonzero = sorted({float(v) for a in arrays for v in np.unique(a) if v != 0})
    if len(nonzero) == 1:
        try:
            return nonzero[0], conditions_of([a != 0 for a in arrays])
        except Unread:
            pass
    if all(np.array_equal(a, np.round(a)) for a in arrays):
        return affine([a.astype(np.int64) for a in arrays], [np.ones(a.shape, dtype=bool) for a in arrays])
    raise Unread("an array of constants follows no rule that was recognised.")
