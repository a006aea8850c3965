"""The terms of a sum: what each sample of a batch adds to a gradient that is written as one product or one sum."""

from __future__ import annotations

import numpy as np

from symgrad.program.builder import Builder
from symgrad.program.program import Strided, positions, size

_MOST = 32


def terms_of(b: Builder, i: int) -> list[int]:
    """Steps that add up to step ``i``, one for each index that is summed over; none where it is no sum.

    >>> b = Builder()
    >>> x, y = b.input("x", (4, 2)), b.input("y", (4, 3))
    >>> len(terms_of(b, b.matmul(b.transpose(x), y)))
    4
    """
    step = b.steps[i]
    match step.op:
        case "name" | "cast" | "neg":
            return [b.emit(step.op, (t,), step.params, step.shape, step.dtype) for t in terms_of(b, step.args[0])]
        case "pick" if len(step.args) == 1 and size(step.shape) == size(b.shape(step.args[0])):
            return [b.pick([t], step.params, step.shape) for t in terms_of(b, step.args[0])]
        case "mul":
            x, y = step.args[0], step.args[-1]
            return [b.mul(t, y) for t in terms_of(b, x)] or [b.mul(x, t) for t in terms_of(b, y)]
        case "div":
            return [b.div(t, step.args[-1]) for t in terms_of(b, step.args[0])]
        case "matmul":
            return _products(b, *step.args)
        case "scatter":
            return _summands(b, i)
    return []


def _products(b: Builder, a: int, c: int) -> list[int]:
    batch, n, k = b.shape(a)
    m = b.shape(c)[-1]
    if not 2 <= k <= _MOST:
        return []
    found = []
    left = np.arange(1, batch * n * k + 1).reshape(batch, n, k)
    right = np.arange(1, batch * k * m + 1).reshape(batch, k, m)
    for j in range(k):
        column = b.pick([a], left[:, :, j : j + 1].reshape(-1), (batch, n, 1))
        row = b.pick([c], right[:, j : j + 1].reshape(-1), (batch, 1, m))
        found.append(b.emit("matmul", (column, row), None, (batch, n, m)))
    return found


def _summands(b: Builder, i: int) -> list[int]:
    step = b.steps[i]
    (a,) = step.args
    n, total = size(step.shape), size(b.shape(a))
    if not n or total % n or not 2 <= total // n <= _MOST:
        return []
    strided = isinstance(step.params, Strided)
    where = np.asarray(positions(step.params, b.shape(a)) if strided else step.params).reshape(-1)
    order = np.argsort(where, kind="stable")
    if not np.array_equal(where[order], np.repeat(np.arange(1, n + 1), total // n)):
        return []
    places = (order + 1).reshape(n, total // n)
    return [b.pick([a], places[:, j], step.shape) for j in range(total // n)]
