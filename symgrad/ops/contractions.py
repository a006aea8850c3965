"""Products of several tensors summed over shared indices, said in steps: einsum and its kin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.ops.indexing import diagonal, take

if TYPE_CHECKING:
    from symgrad.program.builder import Builder

__all__ = ["cross", "einsum", "outer", "tensordot"]


def einsum(b: Builder, spec: str, *xs: int) -> int:
    """Einstein's sum, contracted from left to right; ``...``, repeated letters, an implicit output and axes of
    length one (which are repeated) are understood as torch and NumPy do."""
    left, arrow, right = spec.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(xs):
        raise ValueError(f"einsum {spec!r} names {len(terms)} operands and is given {len(xs)}")
    hidden = [len(b.shape(x)) - len(t.replace("...", "")) if "..." in t else 0 for t, x in zip(terms, xs)]
    dots = tuple(range(max(hidden)))  # the axes behind the dots, numbered so that the last ones are shared
    labels = [_letters(t, dots[len(dots) - n :]) for t, n in zip(terms, hidden, strict=True)]
    if arrow:
        wanted = _letters(right, dots)
    else:
        letters = left.replace(",", "").replace("...", "")
        wanted = (*dots, *sorted(c for c in set(letters) if letters.count(c) == 1))
    return _contract(b, list(zip(xs, labels, strict=True)), wanted)


def _letters(term: str, dots: tuple[int, ...]) -> tuple[Any, ...]:
    before, found, after = term.partition("...")
    return (*before, *(dots if found else ()), *after)


def tensordot(b: Builder, x: int, y: int, axes: Any = 2) -> int:
    """Sums over the last ``axes`` axes of ``x`` and the first of ``y``, or over a pair of lists of axes."""
    n, m = len(b.shape(x)), len(b.shape(y))
    if isinstance(axes, int):
        axes = (range(n - axes, n), range(axes))
    ours, theirs = ([k] if isinstance(k, int) else list(k) for k in axes)
    names = list(range(n, n + m))
    for k, j in zip(ours, theirs, strict=True):
        names[j] = k % n
    summed = {k % n for k in ours}
    wanted = tuple(k for k in (*range(n), *names) if k not in summed)
    return _contract(b, [(x, tuple(range(n))), (y, tuple(names))], wanted)


def outer(b: Builder, x: int, y: int) -> int:
    n, m = (math.prod(b.shape(i)) for i in (x, y))
    return b.mul(b.reshape(x, (n, 1)), b.reshape(y, (1, m)))


def cross(b: Builder, x: int, y: int, axis: int = -1) -> int:
    """The vector product along an axis of length three."""
    shape = np.broadcast_shapes(b.shape(x), b.shape(y))
    x, y = b.broadcast(x, shape), b.broadcast(y, shape)
    up = lambda i: take(b, i, (1, 2, 0), axis)  # noqa: E731
    down = lambda i: take(b, i, (2, 0, 1), axis)  # noqa: E731
    return b.sub(b.mul(up(x), down(y)), b.mul(down(x), up(y)))


Labelled = tuple[int, tuple[Any, ...]]


def _contract(b: Builder, operands: list[Labelled], wanted: tuple[Any, ...]) -> int:
    """The sum over all labels that are not ``wanted`` of the operands' product."""
    lengths: dict[Any, int] = {}
    for x, labels in operands:
        for label, n in zip(labels, b.shape(x), strict=True):
            if lengths.setdefault(label, n) == 1:
                lengths[label] = n
            elif n not in (1, lengths[label]):
                raise ValueError(f"einsum: the index {label!r} has length {lengths[label]} and {n}")
    operands = [_distinct(b, *operand) for operand in operands]
    total = operands[0]
    for k, other in enumerate(operands[1:], start=1):
        later = {label for _, labels in operands[k + 1 :] for label in labels} | set(wanted)
        total = _product(b, total, other, later, lengths)
    x, labels = _summed(b, *total, set(wanted))
    missing = [label for label in wanted if label not in labels]
    if missing or len(set(wanted)) < len(wanted):
        raise ValueError(f"einsum: the output {wanted} repeats an index or names one that no operand has")
    return b.permute(x, [labels.index(label) for label in wanted])


def _distinct(b: Builder, x: int, labels: tuple[Any, ...]) -> Labelled:
    """A repeated label is a diagonal."""
    while len(set(labels)) < len(labels):
        j = next(i for i, label in enumerate(labels) if label in labels[i + 1 :])
        k = labels.index(labels[j], j + 1)
        x = diagonal(b, x, 0, j, k)
        labels = (*(label for i, label in enumerate(labels) if i not in (j, k)), labels[j])
    return x, labels


def _summed(b: Builder, x: int, labels: tuple[Any, ...], kept: set[Any]) -> Labelled:
    axes = [k for k, label in enumerate(labels) if label not in kept]
    return b.sum(x, axes) if axes else x, tuple(label for label in labels if label in kept)


def _product(b: Builder, one: Labelled, two: Labelled, later: set[Any], lengths: dict[Any, int]) -> Labelled:
    x, left = _summed(b, *one, later | set(two[1]))
    y, right = _summed(b, *two, later | set(left))
    shared = [label for label in left if label in right]
    inner = [label for label in shared if label not in later]
    batch = [label for label in shared if label in later]
    rows = [label for label in left if label not in shared]
    columns = [label for label in right if label not in shared]

    def arranged(x: int, labels: tuple[Any, ...], *groups: list[Any]) -> int:
        order = [label for group in groups for label in group]
        x = b.permute(x, [labels.index(label) for label in order])
        x = b.broadcast(x, tuple(lengths[label] for label in order))
        return b.reshape(x, tuple(math.prod(lengths[label] for label in group) for group in groups))

    labels = (*batch, *rows, *columns)
    if inner:
        product = b.matmul(arranged(x, left, batch, rows, inner), arranged(y, right, batch, inner, columns))
    else:
        product = b.mul(arranged(x, left, batch, rows, []), arranged(y, right, batch, [], columns))
    return b.reshape(product, tuple(lengths[label] for label in labels)), labels
