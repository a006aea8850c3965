"""A row that is a choice between branches (relu, maximum, elu, softshrink) -> the branch that each entry takes.

The choice is made on concrete values and remembered as guards; no branch is computed at an entry that does not take
it, because an untaken ``exp(1000)`` or ``log(-1)`` would poison the derivative there (zero times infinity).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp

from symgrad.ops.scalars import OPS, X, Y
from symgrad.program.builder import Builder
from symgrad.program.expressions import lower
from symgrad.program.indexing import places
from symgrad.program.program import promote, size

_GUARDS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_COMPARE = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}


def select(b: Builder, name: str, steps: Sequence[int], values: Sequence[Any], dtype: str | None = None) -> int:
    """Write the branching row ``name`` of ``steps``, whose concrete values are ``values``; return its step.

    The arguments are broadcast.  Every condition that is looked at becomes a guard on both its sides, with one
    outcome for each entry; a comparison with a NaN is false, as IEEE 754 has it.

    >>> b = Builder()
    >>> x = b.input("x", (3,))
    >>> y = select(b, "relu", [x], [[-1.0, 0.0, 2.0]])
    >>> b.steps[y].op, b.steps[y].params.tolist(), b.guards[0].op, b.guards[0].outcome.tolist()
    ('pick', [0, 0, 3], 'gt', [False, False, True])

    Raises `KeyError` if there is no such row, `ValueError` if it is not a choice.
    """
    branches = OPS[name].branches
    if not branches:
        raise ValueError(f"{name} is not a choice between branches")
    shape = np.broadcast_shapes(*(b.shape(i) for i in steps))
    dtype = dtype or promote(*(b.dtype(i) for i in steps))
    env: dict[sp.Basic, int] = {s: b.broadcast(i, shape) for s, i in zip((X, Y), steps)}
    concrete = [np.broadcast_to(np.asarray(v, dtype=np.float64), shape) for v in values]
    chosen = np.full(shape, -1)
    for k, (_, condition) in enumerate(branches):
        if (chosen >= 0).all():
            break
        chosen[(chosen < 0) & _decide(b, condition, env, concrete, shape, dtype)] = k
    parts: list[int] = []
    where, used = np.zeros(shape, dtype=np.int64), 0
    for k, (value, _) in enumerate(branches):
        mask = chosen == k
        if not mask.any() or value == 0:  # position 0 of a pick is a zero
            continue
        part, at = _branch(b, value, env, mask, dtype)
        parts.append(part)
        where[mask] = at + used
        used += size(b.shape(part))
    if (chosen < 0).any():
        parts.append(b.constant(np.nan, dtype))
        where[chosen < 0] = used + 1
    return b.pick(parts, where, shape, dtype) if parts else b.zeros(shape, dtype)


def _branch(b: Builder, value: sp.Expr, env: dict, mask: np.ndarray, dtype: str) -> tuple[int, np.ndarray]:
    """A branch's values, and the position among them of each entry of the mask."""
    inside = places(mask.shape)[mask]
    if value in (X, Y):
        return env[value], inside
    if not value.free_symbols:
        return b.number(value, dtype), np.ones(inside.shape, dtype=np.int64)
    if mask.all():
        return _write(b, value, dict(env), dtype), inside
    here: dict[sp.Basic, int] = {s: b.pick([env[s]], inside, inside.shape) for s in (X, Y) if value.has(s)}
    return _write(b, value, here, dtype), np.arange(1, inside.size + 1)


def _write(b: Builder, value: sp.Expr, env: dict, dtype: str) -> int:
    """Lower a branch, with ``c e^u - c`` as ``c expm1(u)``, as the kernels compute it: the difference cancels."""
    sums: list[Any] = sorted(value.atoms(sp.Add), key=sp.default_sort_key)
    for part in sums:
        if len(part.args) == 2 and part.has(sp.exp):
            rise = next(a for a in part.args if a.has(sp.exp))
            scale = rise - part
            power = rise / scale
            if isinstance(power, sp.exp):
                inner: Any = power.exp
                step = b.apply("expm1", lower(b, inner, env, dtype=dtype))
                env[part] = step if scale == 1 else b.mul(lower(b, scale, env, dtype=dtype), step)
    return lower(b, value, env, dtype=dtype)


def _decide(
    b: Builder, condition: Any, env: dict, values: Sequence[np.ndarray], shape: tuple[int, ...], dtype: str
) -> np.ndarray:
    if condition in (sp.true, sp.false):
        return np.full(shape, bool(condition))
    match condition:
        case sp.And() | sp.Or():
            parts = [_decide(b, c, env, values, shape, dtype) for c in condition.args]
            return functools.reduce(np.logical_and if isinstance(condition, sp.And) else np.logical_or, parts)
        case sp.Not():
            return ~_decide(b, condition.args[0], env, values, shape, dtype)
    op = _GUARDS[condition.rel_op]
    sides: list[Any] = list(condition.args)
    outcome = np.broadcast_to(_COMPARE[op](*(_reader(side)(values[0], values[-1]) for side in sides)), shape)
    b.guard(op, [b.broadcast(lower(b, side, env, dtype=dtype), shape) for side in sides], None, outcome)
    return outcome


@functools.cache
def _reader(side: sp.Expr) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """One side of a condition (such as -Y, or 6) in float64."""
    return sp.lambdify((X, Y), side, "numpy")
