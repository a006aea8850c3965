"""A row that is a choice between branches (relu, maximum, elu, softshrink) -> the branch that each entry takes.

The choice is made on concrete values and remembered as guards; no branch is computed at an entry that does not take
it, because an untaken ``exp(1000)`` or ``log(-1)`` would poison the derivative there (zero times infinity).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp

from symgrad.ops.scalars import OPS, X, Y
from symgrad.program.builder import FOR_ALL_SIZES, Builder
from symgrad.program.expressions import lower
from symgrad.program.indexing import places
from symgrad.program.program import Constant, Program, Step, Strided, positions, promote, size
from symgrad.program.written_choices import written_row

# ------------------------------------------------------------------------------------------------------------- masking
# Programs without the infinities that stand for "not this one": masks of minus infinity before a softmax.
#
# exp(-inf) is zero, and a softmax over entries of which some are minus infinity is one over the others.  Written so,
# the Program is algebra again, which residues and proofs can read.

_READ = frozenset(("exp", "softmax", "logsumexp", "log_softmax"))


def without_infinities(program: Program) -> tuple[Program, list[int]]:
    """The Program with masks of minus infinity written as factors of zero, and where each step went; the Program
    itself where it has none, or where one goes into anything but exponentials.

    >>> b = Builder()
    >>> x = b.input("x", (2,))
    >>> y = b.apply("exp", b.add(x, b.constant(np.array([0.0, -np.inf]))))
    >>> made, place = without_infinities(b.build({"y": y}))
    >>> [s.op for s in made.steps][-3:]
    ['constant', 'exp', 'mul']
    """
    same = program, list(range(len(program)))
    if not any(s.op == "constant" and np.isneginf(np.real(s.params.value)).any() for s in program.steps):
        return same
    b = Builder()
    place: list[int] = []
    masks: dict[int, np.ndarray] = {}  # of steps of the Program: where they are minus infinity
    for i, step in enumerate(program.steps):
        mask = _mask(program, step, masks)
        if mask is None and any(a in masks for a in step.args) and step.op not in _READ:
            return same
        if mask is not None and mask.any():
            masks[i] = mask
        args = tuple(place[a] for a in step.args)
        given = masks.get(step.args[0]) if step.args else None
        if step.op in _READ and given is not None:
            place.append(_written(b, step, args[0], given))
            if step.op == "log_softmax":
                masks[i] = given
            continue
        if step.op == "constant" and i in masks:
            value = np.where(masks[i], 0.0, step.params.value)
            step = replace(step, params=Constant(value.astype(np.asarray(step.params.value).dtype)))
        if step.op == "input":
            place.append(b.input(step.params, step.shape, step.dtype))
            continue
        b.steps.append(step.on(args))
        place.append(len(b.steps) - 1)
    if any(i in masks for i in program.outputs.values()):
        return same
    return b.build({k: place[i] for k, i in program.outputs.items()}), place


def _mask(program: Program, step: Step, masks: dict[int, np.ndarray]) -> np.ndarray | None:
    """Where a step is minus infinity; None where that is not known."""
    given = [masks.get(a) for a in step.args]
    match step.op:
        case "constant":
            return np.broadcast_to(np.isneginf(np.real(step.params.value)), step.shape)
        case "name" | "cast":
            return given[0]
        case "pick":
            if all(g is None for g in given):
                return None
            where = np.asarray(positions(step.params, step.shape) if isinstance(step.params, Strided) else step.params)
            parts = [np.zeros(1, bool)]
            for a, g in zip(step.args, given, strict=True):
                parts.append(np.zeros(program.shape(a), bool).reshape(-1) if g is None else g.reshape(-1))
            return np.concatenate(parts)[where.reshape(-1)].reshape(step.shape)
        case "add":
            found = [g for g in given if g is not None]
            return found[0] | found[-1] if found else None
        case "sub" if given[1] is None:
            return given[0]
        case "mul" | "div" if given[1] is None and _is_positive(program.steps[step.args[1]]):
            return given[0]
        case "mul" if given[0] is None and _is_positive(program.steps[step.args[0]]):
            return given[1]
    return None


def _is_positive(step: Step) -> bool:
    return step.op == "constant" and bool(np.all(np.real(step.params.value) > 0))


def _written(b: Builder, step: Step, x: int, mask: np.ndarray) -> int:
    """exp, softmax and their like over the entries that are not masked."""
    kept = b.constant((~mask).astype(float), b.dtype(x))
    e = b.mul(b.apply("exp", x), kept)
    if step.op == "exp":
        return e
    if step.op == "softmax":
        return b.div(e, b.broadcast(b.sum(e, step.params, keepdims=True), b.shape(e)))
    total = b.sum(e, step.params, keepdims=True)
    if step.op == "log_softmax":
        return b.sub(x, b.broadcast(b.apply("log", total), b.shape(x)))
    return b.reshape(b.apply("log", total), step.shape)


# ----------------------------------------------------------------------------------------------------------- selection

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
    if FOR_ALL_SIZES.get():
        return written_row(b, branches, env, dict(zip((X, Y), concrete)), shape, dtype)
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
