"""The words of text that are about whole arrays: what each takes, the shape that it gives, and its steps.

Arrays follow NumPy: ``*`` and functions are entry by entry, ``@`` is the product of matrices, a vector has one axis
and is its own transpose.  What only means something for arrays is refused of a number, and what is one thing in NumPy
and another on paper (the norm of a matrix, ``x @ y.T`` of vectors) is refused with what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.program import layouts
from symgrad.program.builder import Builder

Size = Any  # a number, or a `Length` that is not known yet
Shape = tuple[Size, ...]


class Misfit(Exception):
    """Shapes that a word does not take: ``what`` happened, and what to write ``instead``; ``two_readings`` says that
    NumPy takes them for one thing and a reader for another.
    """

    def __init__(self, what: str, instead: str | None = None, *, two_readings: bool = False) -> None:
        super().__init__(what)
        self.what, self.instead, self.two_readings = what, instead, two_readings


class Length:
    """The length of an axis that nobody gave; two of them can turn out to be the same, or a number."""

    def __init__(self) -> None:
        self.same: Any = None


def settled(n: Size) -> Size:
    """What a length is, as far as it is known."""
    while isinstance(n, Length) and n.same is not None:
        n = n.same
    return n


def unify(a: Size, b: Size, what: str) -> Size:
    """One length of two; `Misfit` where they are two numbers."""
    a, b = settled(a), settled(b)
    if a is b or a == b:
        return a
    if isinstance(a, Length):
        a.same = b
        return b
    if isinstance(b, Length):
        b.same = a
        return a
    raise Misfit(f"{what} takes axes of one length, and these have {a} and {b} entries.")


def kind(shape: Shape) -> str:
    """A number, a vector, a matrix in words."""
    return ("a number", "a vector", "a matrix")[len(shape)] if len(shape) < 3 else f"a tensor of {len(shape)} axes"


# --------------------------------------------------------------------------------------------------------------- shapes


def _reduced(name: str, shapes: Sequence[Shape], axis: Any) -> Shape:
    (shape,) = shapes
    if not shape:
        raise Misfit(f"{name} is said of an array, and this is a number.")
    if axis is None:
        return ()
    k = _axis(name, shape, axis)
    return shape[:k] + shape[k + 1 :]


def _axis(name: str, shape: Shape, axis: int) -> int:
    if not -len(shape) <= axis < len(shape):
        raise Misfit(f"{name} along the axis {axis} is asked of {kind(shape)}.", "The first axis is 0, the last is -1.")
    return axis % len(shape)


def _kept(name: str, shapes: Sequence[Shape], axis: Any) -> Shape:
    (shape,) = shapes
    if not shape:
        raise Misfit(f"{name} is said of an array, and this is a number.")
    if axis is None and len(shape) > 1:
        raise Misfit(f"along which axis the {name} of {kind(shape)} is taken is not said.", f"Write {name}(..., 1).")
    if axis is not None:
        _axis(name, shape, axis)
    return shape


def _normed(name: str, shapes: Sequence[Shape], p: Any) -> Shape:
    (shape,) = shapes
    if len(shape) > 1:
        raise Misfit(
            f"{name} of {kind(shape)} is the root of the sum of squares to some and the largest singular value to "
            "others.",
            "Write sqrt(sum(A**2)) for the first.",
            two_readings=True,
        )
    if p is not None and p < 1:
        raise Misfit(f"a norm of order {p} is not read.", "Write it out.")
    return _reduced(name, shapes, None)


def _square(name: str, shape: Shape) -> Size:
    if len(shape) != 2:
        raise Misfit(f"{name} is said of a square matrix, and this is {kind(shape)}.")
    return unify(shape[0], shape[1], name)


def _number_of_square(name: str, shapes: Sequence[Shape], _: Any) -> Shape:
    _square(name, shapes[0])
    return ()


def _inverted(name: str, shapes: Sequence[Shape], _: Any) -> Shape:
    n = _square(name, shapes[0])
    return n, n


def _solved(name: str, shapes: Sequence[Shape], _: Any) -> Shape:
    n = _square(name, shapes[0])
    right = shapes[1]
    if len(right) not in (1, 2):
        raise Misfit(f"the right side of {name} is {kind(right)}.")
    unify(n, right[0], name)
    return right


def _transposed(name: str, shapes: Sequence[Shape], _: Any) -> Shape:
    (shape,) = shapes
    if not shape or len(shape) > 2:
        raise Misfit(f"the transpose is said of a vector or a matrix, and this is {kind(shape)}.")
    return shape[::-1]


def _of_vectors(name: str, shapes: Sequence[Shape]) -> None:
    odd = next((s for s in shapes if len(s) != 1), None)
    if odd is not None:
        raise Misfit(
            f"{name} is said of two vectors, and this is {kind(odd)}.", "Write a product of matrices as A @ B."
        )


def _dotted(name: str, shapes: Sequence[Shape], _: Any) -> Shape:
    _of_vectors(name, shapes)
    unify(shapes[0][0], shapes[1][0], name)
    return ()


def _spread(name: str, shapes: Sequence[Shape], _: Any) -> Shape:
    _of_vectors(name, shapes)
    return shapes[0][0], shapes[1][0]


def _diagonal(name: str, shapes: Sequence[Shape], _: Any) -> Shape:
    (shape,) = shapes
    if len(shape) == 1:
        return shape[0], shape[0]
    return (_square(name, shape),)


def _multiplied(name: str, shapes: Sequence[Shape], _: Any) -> Shape:
    a, b = shapes
    for shape in shapes:
        if len(shape) not in (1, 2):
            raise Misfit(f"@ multiplies vectors and matrices, and this is {kind(shape)}.", "Write * with a number.")
    unify(a[-1], b[0], "@")
    return a[:-1] + b[1:]


def _listed(_: str, shapes: Sequence[Shape], __: Any) -> Shape:
    first = shapes[0]
    for shape in shapes[1:]:
        if len(shape) != len(first):
            raise Misfit(f"a list of {kind(first)} and {kind(shape)} is no array.")
        first = tuple(unify(n, m, "a list") for n, m in zip(first, shape, strict=True))
    return len(shapes), *first


# ---------------------------------------------------------------------------------------------------------------- steps

Steps = Callable[[Builder, Sequence[int], Any, Sequence[Any]], int]


def _along(function: Callable[..., int]) -> Steps:
    return lambda b, x, axis, _: function(b, x[0], axis)


def _within(function: Callable[..., int]) -> Steps:
    return lambda b, x, axis, _: function(b, x[0], -1 if axis is None else axis)


def _batch(b: Builder, i: int) -> int:
    return b.reshape(i, (1, *b.shape(i)))


def _det(b: Builder, x: Sequence[int], *_: Any) -> int:
    return b.reshape(b.emit("det", (_batch(b, x[0]),), None, (1,)), ())


def _inverse(b: Builder, x: Sequence[int], *_: Any) -> int:
    return b.reshape(b.emit("inverse", (_batch(b, x[0]),), None, (1, *b.shape(x[0]))), b.shape(x[0]))


def _solution(b: Builder, x: Sequence[int], *_: Any) -> int:
    right = b.shape(x[1])
    columns = (1, right[0], *(right[1:] or (1,)))
    return b.reshape(b.emit("solve", (_batch(b, x[0]), b.reshape(x[1], columns)), None, columns), right)


def _diag(b: Builder, x: Sequence[int], *_: Any) -> int:
    (a,) = x
    if len(b.shape(a)) == 2:
        return layouts.diagonal(b, a)
    n = b.shape(a)[0]
    return b.pick([a], np.where(np.eye(n, dtype=bool), np.arange(1, n + 1), 0), (n, n))


def _norm(b: Builder, x: Sequence[int], p: Any, _: Any) -> int:
    return layouts.norm(b, x[0], 2 if p is None else float(p))


def _extreme(largest: bool) -> Steps:
    return lambda b, x, axis, values: layouts.extreme(b, x[0], values[0], axis, largest=largest)


@dataclass(frozen=True)
class Word:
    """``count`` arrays, the shape that they give, and the steps; ``option`` names what may follow them."""

    count: int
    shape: Callable[[str, Sequence[Shape], Any], Shape]
    steps: Steps
    option: str | None = None
    looks: bool = False  # whether the steps depend on the values: which entry is the largest


LIST = "[...]"  # [2*x, 3*y]

WORDS: dict[str, Word] = {
    "sum": Word(1, _reduced, _along(lambda b, x, axis: b.sum(x, axis)), "axis"),
    "mean": Word(1, _reduced, _along(layouts.mean), "axis"),
    "prod": Word(1, _reduced, _along(layouts.prod), "axis"),
    "logsumexp": Word(1, _reduced, _along(layouts.logsumexp), "axis"),
    "max": Word(1, _reduced, _extreme(True), "axis", looks=True),
    "min": Word(1, _reduced, _extreme(False), "axis", looks=True),
    "softmax": Word(1, _kept, _within(layouts.softmax), "axis"),
    "log_softmax": Word(1, _kept, _within(layouts.log_softmax), "axis"),
    "norm": Word(1, _normed, _norm, "ord"),
    "trace": Word(1, _number_of_square, lambda b, x, *_: layouts.trace(b, x[0])),
    "det": Word(1, _number_of_square, _det),
    "logdet": Word(1, _number_of_square, lambda b, x, *_: b.apply("log", _det(b, x))),
    "inv": Word(1, _inverted, _inverse),
    "solve": Word(2, _solved, _solution),
    "diag": Word(1, _diagonal, _diag),
    "transpose": Word(1, _transposed, lambda b, x, *_: b.permute(x[0], range(len(b.shape(x[0])))[::-1])),
    "dot": Word(2, _dotted, lambda b, x, *_: b.matmul(x[0], x[1])),
    LIST: Word(0, _listed, lambda b, x, *_: b.stack(x)),
    "outer": Word(2, _spread, lambda b, x, *_: layouts.outer(b, x[0], x[1])),
    "matmul": Word(2, _multiplied, lambda b, x, *_: b.matmul(x[0], x[1])),
}
FOLDS: dict[str, Callable[[Builder, int, Sequence[int]], int]] = {  # what can run over free indices, whose axes stay
    "sum": lambda b, x, axes: b.sum(x, axes, keepdims=True),
    "mean": lambda b, x, axes: layouts.mean(b, x, axes, keepdims=True),
    "prod": lambda b, x, axes: layouts.prod(b, x, axes, keepdims=True),
    "logsumexp": lambda b, x, axes: layouts.logsumexp(b, x, axes, keepdims=True),
}
SAME_WORD = {"tr": "trace", "inverse": "inv", "amax": "max", "amin": "min", "Max": "max", "Min": "min", "inner": "dot"}
SAME_WORD |= {"vdot": "dot"}
ATTRIBUTES = {"T": "transpose", "mT": "transpose", "I": "inv"}  # x.T, A.I
OPTIONS = {"axis": ("axis", "dim"), "ord": ("ord", "p")}
