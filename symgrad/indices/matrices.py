"""Inverse, determinant and its logarithm, as index terms: binders over the two indices of a square matrix.

The matrix is given by its entry: ``Inverse(body, row, column, size, i, j)`` is the entry (i, j) of the inverse of the
matrix whose entry at (row, column) is ``body``.  Its determinant must not be zero there; `LogDet` is log |det|.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from symgrad.indices.terms import Array, Binder, IndexSum, fresh

__all__ = ["Det", "Inverse", "LogDet", "add", "determinant", "eye", "inverse", "matmul", "scale", "trace", "transpose"]


class _Matrix(Binder):
    BINDS = (1, 2)

    @property
    def size(self) -> Any:
        return self.args[3]


class Inverse(_Matrix):
    """Entry (i, j) of the inverse of a square matrix."""

    @property
    def entry(self) -> tuple[Any, Any]:
        return self.args[4], self.args[5]


class Det(_Matrix):
    """The determinant of a square matrix."""


class LogDet(_Matrix):
    """The logarithm of the absolute value of the determinant."""


def matmul(*factors: Array) -> Array:
    """The product of matrices and vectors: the last axis of each is summed against the first axis of the next."""
    total, *rest = factors
    for f in rest:
        s = fresh("s")
        rows, cols = tuple(fresh(a) for a in total.axes[:-1]), tuple(fresh(a) for a in f.axes[1:])
        body = IndexSum(total.at((*rows, s)) * f.at((s, *cols)), s, total.shape[-1])
        total = Array(body, rows + cols, total.shape[:-1] + f.shape[1:])
    return total


def transpose(a: Array) -> Array:
    return Array(a.body, a.axes[::-1], a.shape[::-1])


def add(*parts: Array) -> Array:
    axes = tuple(fresh(a) for a in parts[0].axes)
    return Array(sp.Add(*(p.at(axes) for p in parts)), axes, parts[0].shape)


def scale(factor: Any, a: Array) -> Array:
    return Array(factor * a.body, a.axes, a.shape)


def eye(size: Any) -> Array:
    i, j = fresh("i"), fresh("j")
    return Array(sp.KroneckerDelta(i, j), (i, j), (size, size))


def trace(a: Array) -> Any:
    i = fresh("i")
    return IndexSum(a.at((i, i)), i, a.shape[0])


def inverse(a: Array) -> Array:
    i, j = fresh("i"), fresh("j")
    return Array(Inverse(a.body, *a.axes, a.shape[0], i, j), (i, j), a.shape)


def determinant(a: Array, head: Callable[..., Any] = Det) -> Any:
    """``Det`` (or ``LogDet``) of a square matrix."""
    return head(a.body, *a.axes, a.shape[0])
