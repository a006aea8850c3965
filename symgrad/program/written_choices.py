"""Choices between branches written as arithmetic: sign(a - b)/2 + 1/2 is one where a > b and zero where a < b.

A record of a run holds the branches that were taken.  Code that loops to a size chooses once in each turn, and no two
records of it are alike.  Written as arithmetic they are, whatever comes out; and what is proved of such a record holds
wherever none of the comparisons is a tie.

>>> b = Builder()
>>> z = b.input("z", ())
>>> truth = holds(b, z, b.number(0), op="gt", values=(1.5, 0.0))
>>> [s.op for s in b.build({"y": between(b, truth, z, b.number(0))}).steps if s.op != "constant"]
['input', 'sign', 'mul', 'add', 'mul']
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import AmbiguousBranch
from symgrad.program.builder import FOR_ALL_SIZES, Builder
from symgrad.program.expressions import lower
from symgrad.program.program import Shape

_ORDERED = {"gt": 1, "ge": 1, "lt": -1, "le": -1}
_WORDS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_HALF = sp.Rational(1, 2)


@contextlib.contextmanager
def recorded_for_all_sizes() -> Iterator[None]:
    """A block in which the user's code is recorded with its choices written as arithmetic, where they can be."""
    token = FOR_ALL_SIZES.set(True)
    try:
        yield
    finally:
        FOR_ALL_SIZES.reset(token)


def is_written(op: str) -> bool:
    """Whether a comparison by ``op`` is written as arithmetic here."""
    return FOR_ALL_SIZES.get() and op in _ORDERED


def holds(b: Builder, left: int, right: int, *, op: str, values: Sequence[Any]) -> int:
    """The step that is one where ``left op right`` holds and zero elsewhere; ``values`` are the sides' concrete ones.
    Raises `AmbiguousBranch` where they are equal."""
    if np.any(np.asarray(values[0]) == np.asarray(values[1])):
        raise AmbiguousBranch("a comparison is a tie.")
    if _is_zero(b, right):
        left = _rectified(b, left)
    up, down = (left, right) if _ORDERED[op] > 0 else (right, left)
    gap = up if _is_zero(b, down) else b.binary("sub", up, down)
    sign = b.emit("sign", (gap,), None, b.shape(gap), b.dtype(gap))
    dtype = b.dtype(sign)
    half = b.number(_HALF, dtype)
    return b.binary("add", b.binary("mul", sign, half), half)


JOINED: dict[str, Callable[..., int]] = {  # what is made of truths that are steps
    "and": lambda b, x, y: b.binary("mul", x, y),
    "or": lambda b, x, y: b.binary("sub", b.binary("add", x, y), b.binary("mul", x, y)),
    "not": lambda b, x: _other(b, x),
}


def between(b: Builder, truth: int, yes: int, no: int) -> int:
    """``yes`` where the step ``truth`` is one, ``no`` where it is zero; what both are more than stays outside."""
    rises = {**_rises(b, no), no: None}
    for base, rise in ((yes, None), *_rises(b, yes).items()):
        if base in rises:
            parts = [b.number(0, b.dtype(base)) if d is None else d for d in (rise, rises[base])]
            return base if rise is rises[base] is None else b.binary("add", base, _either(b, truth, *parts))
    return _either(b, truth, yes, no)


def _rises(b: Builder, i: int) -> dict[int, int]:
    """The steps that a sum is more than, and by what."""
    step = b.steps[i]
    while step.op == "name":
        step = b.steps[step.args[0]]
    if step.op == "add":
        return dict(zip(step.args, step.args[::-1]))
    return {step.args[0]: b.neg(step.args[1])} if step.op == "sub" else {}


def _either(b: Builder, truth: int, yes: int, no: int) -> int:
    if _is_zero(b, yes):
        return b.binary("mul", _other(b, truth), no)
    taken = b.binary("mul", truth, yes)
    if _is_zero(b, no):
        return taken
    return b.binary("add", taken, b.binary("mul", _other(b, truth), no))


def written_row(
    b: Builder, branches: Sequence[Any], env: Mapping[Any, int], values: Mapping[Any, Any], shape: Shape, dtype: str
) -> int:
    """A row that is a choice between ``branches``, pairs of an expression and a condition, as a sum of all of them."""
    env = dict(env)
    total, left = None, None
    for value, condition in branches:
        here = _truth(b, condition, env, values, dtype)
        mask = left if here is None else here if left is None else b.binary("mul", left, here)
        if value != 0:
            part = lower(b, value, env, dtype=dtype)
            part = part if mask is None else b.binary("mul", mask, part)
            total = part if total is None else b.binary("add", total, part)
        if here is None:
            break
        left = _other(b, here) if left is None else b.binary("mul", left, _other(b, here))
    return b.broadcast(b.number(0, dtype) if total is None else total, shape)


def _truth(b: Builder, condition: Any, env: dict[Any, int], values: Mapping[Any, Any], dtype: str) -> int | None:
    """A condition as a step; None where it always holds."""
    if condition == sp.true:
        return None
    word = _WORDS.get(getattr(condition, "rel_op", ""))
    if word is None:
        raise AmbiguousBranch(f"the condition {condition} is not written as arithmetic.")
    sides: list[Any] = list(condition.args)
    at = [np.asarray(sp.lambdify(list(values), side, "numpy")(*values.values())) for side in sides]
    return holds(b, *(lower(b, side, env, dtype=dtype) for side in sides), op=word, values=at)


def _other(b: Builder, truth: int) -> int:
    return b.binary("sub", b.number(1, b.dtype(truth)), truth)


def _is_zero(b: Builder, i: int) -> bool:
    return b.number_of(i) == 0


def _rectified(b: Builder, i: int) -> int:
    """relu(x) is positive where x is: there, x."""
    step = b.steps[i]
    while step.op in ("name", "cast"):
        step = b.steps[step.args[0]]
    if step.op == "mul":
        for mask, x in (step.args, step.args[::-1]):
            if _is_positive_part(b, mask, x):
                return x
    return i


def _is_positive_part(b: Builder, mask: int, x: int) -> bool:
    """Whether ``mask`` is sign(x)/2 + 1/2."""
    step = b.steps[mask]
    if step.op != "add" or b.number_of(step.args[1]) != _HALF:
        return False
    scaled = b.steps[step.args[0]]
    if scaled.op != "mul" or b.number_of(scaled.args[1]) != _HALF:
        return False
    sign = b.steps[scaled.args[0]]
    return sign.op == "sign" and sign.args == (x,)
