"""Tensor operations that floats do in one kernel and every other number system does in several steps.

>>> from symgrad.program.builder import Builder
>>> b = Builder()
>>> x = b.input("x", (3,))
>>> print(b.build({"y": COMPOSITES["logsumexp"].write(b, x, 0)}).listing())
%0 = input() float64[3]
%1 = exp(%0) float64[3]
%2 = scatter(%1) float64[1]
%3 = log(%2) float64[1]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symgrad.program.builder import Builder


@dataclass(frozen=True, slots=True)
class Composite:
    """A tensor operation that floats do in one kernel.

    ``write`` says it in other steps (what it means); ``pull`` gives its argument's cotangent from the operation's
    own value, as every autograd does, and is checked against the derivative of ``write``.
    """

    name: str
    write: Callable[[Builder, int, int], int]
    pull: Callable[[Builder, int, int], list[int]]


def _softmax(b: Builder, x: int, axis: int) -> int:
    e = b.apply("exp", x)
    return b.div(e, b.sum(e, axis, keepdims=True))


def _log_softmax(b: Builder, x: int, axis: int) -> int:
    return b.sub(x, b.apply("log", b.sum(b.apply("exp", x), axis, keepdims=True)))


def _logsumexp(b: Builder, x: int, axis: int) -> int:
    return b.apply("log", b.sum(b.apply("exp", x), axis, keepdims=True))


def _pull_softmax(b: Builder, i: int, g: int) -> list[int]:
    inner = b.sum(b.mul(g, i), b.steps[i].params, keepdims=True)
    return [b.mul(i, b.sub(g, inner))]


def _pull_log_softmax(b: Builder, i: int, g: int) -> list[int]:
    total = b.sum(g, b.steps[i].params, keepdims=True)
    return [b.sub(g, b.mul(b.apply("exp", i), total))]


def _pull_logsumexp(b: Builder, i: int, g: int) -> list[int]:
    (x,) = b.steps[i].args
    return [b.mul(g, b.emit("softmax", (x,), b.steps[i].params, b.shape(x)))]


COMPOSITES = {
    c.name: c
    for c in (
        Composite("softmax", _softmax, _pull_softmax),
        Composite("log_softmax", _log_softmax, _pull_log_softmax),
        Composite("logsumexp", _logsumexp, _pull_logsumexp),
    )
}
