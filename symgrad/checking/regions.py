"""Which entries of an array differ, in a few words: whoever wrote the kernel sees the edge of a tile in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SHOWN = 4  # indices that are listed


def described(wrong: np.ndarray) -> str:
    """The entries of an array at which ``wrong`` is true.

    Where they are whole rows, columns or blocks, these; otherwise their number and the first of them.

    >>> mask = np.zeros((5, 17), bool)
    >>> mask[:, 16:] = True
    >>> described(mask)
    'the last column'
    >>> mask[:3] = False
    >>> described(mask)
    'the last 2 rows of the last column'
    >>> mask[0, 0] = True
    >>> described(mask)
    '3 of 85 entries, the first of them [0, 0]'
    >>> described(np.array([[True, True]]))
    'every entry'
    """
    if wrong.all():
        return "every entry"
    touched = [np.nonzero(wrong.any(axis=tuple(a for a in range(wrong.ndim) if a != k)))[0] for k in range(wrong.ndim)]
    box = np.zeros_like(wrong)
    box[np.ix_(*touched)] = True
    if not np.array_equal(box, wrong):
        first = [int(k) for k in np.argwhere(wrong)[0]]
        return f"{int(wrong.sum())} of {wrong.size} entries, the first of them {first}"
    parts = [
        _along(touched[k], wrong.shape[k], _axis(k, wrong.ndim))
        for k in range(wrong.ndim)
        if touched[k].size < wrong.shape[k]
    ]
    return " of ".join(parts)


def _axis(k: int, ndim: int) -> tuple[str, str, str]:
    """What one and several places along an axis are called, and what stands behind."""
    if ndim == 1:
        return "entry", "entries", ""
    if ndim == 2:
        return ("row", "rows", "") if k == 0 else ("column", "columns", "")
    return "index", "indices", f" along axis {k}"


def _along(places: np.ndarray, length: int, noun: tuple[str, str, str]) -> str:
    """The places along one axis, at least one of which is missing."""
    one, many, behind = noun
    n, first = places.size, int(places[0])
    if n == length - first and first:
        return f"the last {one if n == 1 else f'{n} {many}'}{behind}"
    if n == int(places[-1]) + 1:
        return f"the first {one if n == 1 else f'{n} {many}'}{behind}"
    if n == 1:
        return f"{one} {first}{behind}"
    steps = set(np.diff(places).tolist())
    if steps == {1}:
        return f"{many} {first} to {int(places[-1])}{behind}"
    if len(steps) == 1 and n > 2:
        return f"{many} {first}, {first + steps.pop()}, ..., {int(places[-1])}{behind}"
    return f"{many} {_listed(places)}{behind}"


def _listed(places: Sequence[int] | np.ndarray) -> str:
    shown = [str(int(k)) for k in places[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(places) > _SHOWN else "")
