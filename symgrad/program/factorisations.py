"""Factors of matrices said in steps, by the equations that define them: batches of shape (batch, m, n) of full rank.

A QR factor is a Cholesky factor of A^H A up to signs, LU is elimination, a pseudo-inverse solves the normal equations.
Their derivatives are those of these steps.

>>> from symgrad.program.builder import Builder
>>> b = Builder()
>>> q, r = qr(b, b.input("A", (1, 5, 3)), [[1, 1, -1]])
>>> b.shape(q), b.shape(r)
((1, 5, 3), (1, 3, 3))
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.program.builder import Builder
from symgrad.program.indexing import places
from symgrad.program.program import real_dtype


def _adjoint(b: Builder, a: int) -> int:
    return b.conj(b.transpose(a))


def _part(b: Builder, a: int, *at: Any) -> int:
    where = places(b.shape(a))[at]
    return b.pick([a], where, where.shape)


def rows(b: Builder, a: int, order: np.ndarray) -> int:
    """The rows of each matrix in an order of its own, (batch, m)."""
    shape = b.shape(a)
    where = np.take_along_axis(places(shape), np.asarray(order)[..., None], 1)
    return b.pick([a], where, shape)


def lu(b: Builder, a: int, order: np.ndarray | None) -> tuple[int, int]:
    """The triangles whose product is A with its rows in ``order``: the largest entry of each column comes first, which
    guards remember."""
    if order is not None:
        a = rows(b, a, order)
    batch, m, n = b.shape(a)
    count = min(m, n)
    columns, lines = [], []
    for j in range(count):
        column, line = _part(b, a, slice(None), slice(None), slice(0, 1)), _part(b, a, slice(None), slice(0, 1))
        if order is not None and m - j > 1:
            size = b.apply("abs", column, dtype=real_dtype(b.dtype(a)))
            b.guard("argmax", [b.reshape(size, (batch, m - j))], 1, np.zeros(batch, dtype=np.int64))
        lines.append(line)
        pivot = _part(b, line, slice(None), slice(None), slice(0, 1))
        columns.append(b.div(column, b.broadcast(pivot, b.shape(column))))
        if j + 1 < count:
            rest = _part(b, a, slice(None), slice(1, None), slice(1, None))
            left = _part(b, columns[-1], slice(None), slice(1, None))
            a = b.sub(rest, b.matmul(left, _part(b, line, slice(None), slice(None), slice(1, None))))
    return _laid(b, columns, (batch, m, count)), b.transpose(
        _laid(b, [b.transpose(x) for x in lines], (batch, n, count))
    )


def _laid(b: Builder, columns: list[int], shape: tuple[int, int, int]) -> int:
    """Columns that end below, side by side, with zeros above."""
    batch, m, count = shape
    where = np.zeros(shape, dtype=np.int64)
    start = 0
    for j in range(count):
        n = batch * (m - j)
        where[:, j:, j] = np.arange(start + 1, start + 1 + n).reshape(batch, m - j)
        start += n
    return b.pick(columns, where, shape)


def packed_lu(b: Builder, lower: int, upper: int) -> int:
    """Both triangles in one matrix, without the ones."""
    batch, m, k = b.shape(lower)
    n = b.shape(upper)[-1]
    where = np.zeros((batch, m, n), dtype=np.int64)
    left, right = places((batch, m, k)), places((batch, k, n)) + batch * m * k
    where[:, :k] += np.triu(right)
    where[:, :, :k] += np.tril(left, -1)
    return b.pick([lower, upper], where, where.shape)


def unpacked_lu(b: Builder, packed: int) -> tuple[int, int]:
    batch, m, n = b.shape(packed)
    k = min(m, n)
    where, one = places((batch, m, n)), batch * m * n + 1
    lower = np.tril(where[:, :, :k], -1) + one * np.eye(m, k, dtype=np.int64)
    upper = np.triu(where[:, :k])
    ones = b.number(1, b.dtype(packed))
    return b.pick([packed, ones], lower, lower.shape), b.pick([packed], upper, upper.shape)


def qr(b: Builder, a: int, signs: Any) -> tuple[int, int]:
    """Q with orthonormal columns and the upper triangle R, whose diagonal has these ``signs`` (batch, min(m, n))."""
    batch, m, n = b.shape(a)
    if m < n:  # the first columns have Q
        q, _ = qr(b, _part(b, a, slice(None), slice(None), slice(0, m)), signs)
        return q, b.matmul(_adjoint(b, q), a)
    turned = _adjoint(b, a)
    factor = b.emit("cholesky", (b.matmul(turned, a),), None, (batch, n, n))
    r = b.mul(b.constant(np.asarray(signs, dtype=np.float64).reshape(batch, n, 1), b.dtype(a)), _adjoint(b, factor))
    q = _adjoint(b, b.emit("solve", (_adjoint(b, r), turned), None, (batch, n, m)))
    return q, r


def pinv(b: Builder, a: int) -> int:
    """(A^H A)^-1 A^H of a matrix of full column rank, A^H (A A^H)^-1 of one of full row rank."""
    batch, m, n = b.shape(a)
    if m < n:
        return _adjoint(b, pinv(b, _adjoint(b, a)))
    if m == n:
        return b.emit("inverse", (a,), None, (batch, n, n))
    turned = _adjoint(b, a)
    return b.emit("solve", (b.matmul(turned, a), turned), None, (batch, n, m))


def reflected(b: Builder, a: int, tau: int, x: int, *, adjoint: bool = False) -> int:
    """Q X, or Q^H X, where Q = H_1 ... H_k and H_i = 1 - tau_i v v^H; v is column i of ``a`` below its diagonal, with
    a one on it."""
    batch, m, _ = b.shape(a)
    one = b.number(1, b.dtype(a))
    count = b.shape(tau)[-1]
    for i in range(count) if adjoint else reversed(range(count)):
        where = places(b.shape(a))[:, :, i : i + 1].copy()
        where[:, :i], where[:, i] = 0, batch * m * b.shape(a)[-1] + 1
        v = b.pick([a, one], where, (batch, m, 1))
        scale = b.reshape(_part(b, tau, slice(None), slice(i, i + 1)), (batch, 1, 1))
        scale = b.conj(scale) if adjoint else scale
        x = b.sub(x, b.mul(b.mul(v, scale), b.matmul(_adjoint(b, v), x)))
    return x
