"""What the number systems of single numbers have in common.

A tensor is a NumPy array of objects, a scalar is a bare object, so that arithmetic is the objects' own; layouts are
index arrays.  A system says how to make a constant and how to read each scalar function.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from symgrad.program.composites import COMPOSITES
from symgrad.program.primitives import composed
from symgrad.program.program import Step, Strided, System, positions, size


def array_of(items: list[Any], shape: tuple[int, ...]) -> Any:
    """The items as an object array of this shape; the bare item for a scalar."""
    if not shape:
        return items[0]
    out = np.empty(len(items), dtype=object)
    out[:] = items
    return out.reshape(shape)


def flat(value: Any) -> np.ndarray:
    """All entries in a row."""
    if isinstance(value, np.ndarray):
        return value.reshape(-1)
    out = np.empty(1, dtype=object)
    out[0] = value
    return out


def entrywise(function: Callable[..., Any], *args: Any) -> Any:
    """``function`` of corresponding entries; a bare number (a constant of a row's meaning) goes with every entry."""
    shape = next((a.shape for a in args if isinstance(a, np.ndarray)), None)
    if shape is None:
        return function(*args)
    columns = (a.reshape(-1) if isinstance(a, np.ndarray) else itertools.repeat(a) for a in args)
    return array_of([function(*items) for items in zip(*columns, strict=False)], shape)


def pick(step: Step, args: list[Any], zero: Any) -> Any:
    """Entries of the arguments laid end to end; position 0 is ``zero``."""
    if len(args) == 1 and isinstance(step.params, Strided):
        entries = flat(args[0])
        if not step.shape:
            return entries[step.params.offset]
        return entries[positions(step.params, step.shape) - 1].reshape(step.shape)
    entries = np.concatenate([flat(zero), *(flat(a) for a in args)])
    return entries[step.params[0]] if not step.shape else entries[step.params].reshape(step.shape)


def scatter(step: Step, value: Any, zero: Any) -> Any:
    """Entries added up where they land."""
    entries = flat(value)
    where = step.params
    if isinstance(where, Strided):
        shape = value.shape if isinstance(value, np.ndarray) else ()
        where = positions(where, shape)
    sums: list[Any] = [None] * (size(step.shape) + 1)
    for k, x in zip(where.tolist(), entries, strict=True):
        sums[k] = x if sums[k] is None else sums[k] + x
    return array_of([zero if x is None else x for x in sums[1:]], step.shape)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Batched product of object arrays; every entry is a sum of products, left to right."""
    total = a[:, :, 0:1] * b[:, 0:1, :]
    for k in range(1, a.shape[2]):
        total = total + a[:, :, k : k + 1] * b[:, k : k + 1, :]
    return total


class EntrySystem(System, Protocol):
    """A system of single numbers: how it makes a constant, and how it reads a row, or None for its meaning in others.

    What else it does in its own way is a method ``read_OP`` of it, which is given the step and the arguments.
    """

    zero: Any

    def constant(self, step: Step) -> Any: ...

    def function(self, name: str) -> Callable[..., Any] | None: ...


def read_entries(system: EntrySystem, step: Step, args: list[Any]) -> Any:
    """What a step is in a system of single numbers."""
    own = getattr(system, f"read_{step.op}", None)
    if own is not None:
        return own(step, *args)
    match step.op:
        case "constant":
            return system.constant(step)
        case "add":
            return args[0] + args[1]
        case "sub":
            return args[0] - args[1]
        case "mul":
            return args[0] * args[1]
        case "div":
            return args[0] / args[1]
        case "neg":
            return -args[0]
        case "powi":
            return args[0] ** step.params
        case "pick":
            return pick(step, args, system.zero)
        case "scatter":
            return scatter(step, args[0], system.zero)
        case "matmul":
            return matmul(args[0], args[1])
        case "name" | "cast" | "stop":
            return args[0]
    function = system.function(step.op)
    if function is None:
        return composed(system, step, args)
    if step.params is not None and step.op not in COMPOSITES:
        return entrywise(lambda x: function(x, step.params), *args)
    return entrywise(function, *args)
