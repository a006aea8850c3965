"""Tensor operations said in steps: each function writes what an operation means on a Builder, a line or two each.

The first argument is the Builder, then the positions of the argument steps, then the options in the meaning that
torch and NumPy give them.  The position of the result is returned.  Products and reductions are here;
choices and sums of entries, convolution and pooling in `symgrad.program.indexing`, and found under this name too.
Whatever only moves entries is in neither: its positions come from running the user's own operation.

>>> from symgrad.program.builder import Builder
>>> b = Builder()
>>> x = b.input("x", (2, 3))
>>> print(b.build({"y": mean(b, x, 1)}).listing())
%0 = input() float64[2, 3]
%1 = scatter(%0) float64[2, 1]
%2 = pick(%1) float64[2]
%3 = constant() float64[]
%4 = pick(%3) float64[2]
%5 = div(%2, %4) float64[2]
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.program.builder import FOR_ALL_SIZES, Builder
from symgrad.program.indexing import Axes, axes_of, diagonal, dropped, extreme, gathered, lengths, number, places, take
from symgrad.program.program import real_dtype

# -------------------------------------------------------------------------------------------------------- contractions
# Products of several tensors summed over shared indices, said in steps: einsum and its kin.


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


# ------------------------------------------------------------------------------------------------------------- layouts

# ------------------------------------------------------------------------------------------------ reductions


def _real(b: Builder, x: int) -> str:
    return real_dtype(b.dtype(x))


def _square(b: Builder, x: int) -> int:
    """|x|**2, real."""
    return b.cast(b.mul(x, b.conj(x)), _real(b, x)) if b.steps[x].is_complex else b.integer_power(x, 2)


def _moved(b: Builder, x: int, axis: int, to: int) -> int:
    order = list(range(len(b.shape(x))))
    moved = order.pop(axis)
    order.insert(to % (len(order) + 1), moved)
    return b.permute(x, order)


def mean(b: Builder, x: int, axes: Axes = None, keepdims: bool = False) -> int:
    axes = axes_of(b, x, axes)
    return b.div(b.sum(x, axes, keepdims), number(b, lengths(b, x, axes), x))


def var_mean(b: Builder, x: int, axes: Axes = None, keepdims: bool = False, correction: float = 1) -> tuple[int, int]:
    """The variance, its sum of squares divided by n - correction, and the mean."""
    axes = axes_of(b, x, axes)
    kept = mean(b, x, axes, keepdims=True)
    total = b.sum(_square(b, b.sub(x, kept)), axes, keepdims)
    count = max(0, lengths(b, x, axes) - correction)
    return b.div(total, number(b, count, total)), dropped(b, kept, b.shape(kept), axes, keepdims)


def var(b: Builder, x: int, axes: Axes = None, keepdims: bool = False, correction: float = 1) -> int:
    return var_mean(b, x, axes, keepdims, correction)[0]


def std(b: Builder, x: int, axes: Axes = None, keepdims: bool = False, correction: float = 1) -> int:
    return b.apply("sqrt", var(b, x, axes, keepdims, correction))


def prod(b: Builder, x: int, axis: Axes = None, keepdims: bool = False) -> int:
    """The product, by halves: as many multiplications as one after another, so the same rounding bound holds."""
    axes = axes_of(b, x, axis)
    flat, kept = gathered(b, x, axes)
    n = b.shape(flat)[-1]
    if n == 0:
        return dropped(b, b.ones(kept, b.dtype(x)), kept, axes, keepdims)
    if FOR_ALL_SIZES.get() and not b.steps[x].is_complex:
        flat, n = b.emit("prod", (flat,), len(b.shape(flat)) - 1, (*b.shape(flat)[:-1], 1)), 1
    while n > 1:
        half = n // 2
        low, high = (take(b, flat, range(k * half, k * half + half), -1) for k in (0, 1))
        product = b.mul(low, high)
        if n % 2:
            lead = b.shape(flat)[:-1]
            ends = places((*lead, half)), math.prod(lead) * half + places((*lead, n))[..., -1:]
            product = b.pick([product, flat], np.concatenate(ends, -1), (*lead, half + 1))
        flat, n = product, half + n % 2
    return dropped(b, flat, kept, axes, keepdims)


def norm(
    b: Builder, x: int, p: float = 2, axes: Axes = None, keepdims: bool = False, values: np.ndarray | None = None
) -> int:
    """The vector p-norm; p = inf or -inf chooses an entry and so wants the ``values`` of ``x``."""
    size = lambda: b.apply("abs", x, dtype=_real(b, x))  # noqa: E731
    if p == 2:
        return b.apply("sqrt", b.sum(_square(b, x), axes, keepdims))
    if p == 1:
        return b.sum(size(), axes, keepdims)
    if math.isinf(p):
        if values is None:
            raise ValueError(f"a norm with p={p} wants the values of its argument")
        return extreme(b, size(), np.abs(values), axes, keepdims, largest=p > 0)
    if p == 0:
        raise ValueError("the 0-norm counts entries and has no derivative")
    even = float(p).is_integer() and p % 2 == 0 and p > 0 and not b.steps[x].is_complex
    powers = b.integer_power(x, int(p)) if even else b.power(size(), b.number(Fraction(p), _real(b, x)))
    total = b.sum(powers, axes, keepdims)
    return b.power(total, b.number(1 / Fraction(p), b.dtype(total)))


def softmax(b: Builder, x: int, axis: int = -1) -> int:
    return _along(b, "softmax", x, axis)


def log_softmax(b: Builder, x: int, axis: int = -1) -> int:
    return _along(b, "log_softmax", x, axis)


def _along(b: Builder, composite: str, x: int, axis: int) -> int:
    shape = b.shape(x)
    if not shape:  # torch allows it: the one entry is a row of its own
        return b.reshape(b.emit(composite, (b.reshape(x, (1,)),), 0, (1,)), ())
    return b.emit(composite, (x,), axis % len(shape), shape)


def logsumexp(b: Builder, x: int, axes: Axes = None, keepdims: bool = False) -> int:
    axes = axes_of(b, x, axes)
    if len(axes) == 1:
        (k,) = axes
        kept = tuple(1 if j == k else n for j, n in enumerate(b.shape(x)))
        return dropped(b, b.emit("logsumexp", (x,), k, kept), kept, axes, keepdims)
    flat, kept = gathered(b, x, axes)
    last = len(b.shape(flat)) - 1
    return dropped(b, b.emit("logsumexp", (flat,), last, (*b.shape(flat)[:-1], 1)), kept, axes, keepdims)


def trace(b: Builder, x: int, offset: int = 0, axis1: int = 0, axis2: int = 1) -> int:
    return b.sum(diagonal(b, x, offset, axis1, axis2), -1)


def cumsum(b: Builder, x: int, axis: int = 0) -> int:
    """Running sums, as a product with a triangle of ones: any order of adding has that product's rounding bound."""
    if not b.shape(x):
        return x
    n = b.shape(x)[axis]
    sums = b.matmul(_moved(b, x, axis, -1), b.constant(np.triu(np.ones((n, n))), b.dtype(x)))
    return _moved(b, sums, -1, axis)


def logcumsumexp(b: Builder, x: int, axis: int = 0) -> int:
    """The logarithm of the sum of exponentials up to each place: sums of their own, so that none overflows."""
    if not b.shape(x):
        return x
    n = b.shape(x)[axis]
    if n == 0:
        return x
    return b.stack([logsumexp(b, take(b, x, range(k + 1), axis), axis) for k in range(n)], axis % len(b.shape(x)))


def cumprod(b: Builder, x: int, axis: int = 0) -> int:
    """Running products, by doubling: entry i is multiplied by the product that ends 1, 2, 4, ... places before it."""
    shape = b.shape(x)
    if not shape:
        return x
    one, step = b.number(1, b.dtype(x)), 1
    while step < shape[axis]:
        before = np.full(shape, math.prod(shape) + 1)
        np.moveaxis(before, axis, 0)[step:] = np.moveaxis(places(shape), axis, 0)[:-step]
        x, step = b.mul(x, b.pick([x, one], before, shape)), 2 * step
    return x
