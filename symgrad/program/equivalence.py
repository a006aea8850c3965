"""Whether two Programs are the same, step by step: the code went the same way."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.program.program import Constant, Program, Strided

__all__ = ["only_constants_differ", "same_looks", "same_structure"]


def same_structure(a: Program, b: Program) -> bool:
    """Whether two runs went the same way: the same operations on the same constants."""
    return len(a) == len(b) and a.outputs == b.outputs and all(map(_same_step, a.steps, b.steps))


def same_looks(a: Program, b: Program) -> bool:
    """Whether two runs of the same steps looked at the same values, whatever they saw."""
    return [(g.op, g.args) for g in a.guards] == [(g.op, g.args) for g in b.guards]


def _same_step(a: Any, b: Any) -> bool:
    return a.op == b.op and a.args == b.args and a.shape == b.shape and a.dtype == b.dtype and _same(a.params, b.params)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b))
    if isinstance(a, Constant) and isinstance(b, Constant):
        return np.array_equal(a.value, b.value, equal_nan=True)
    if isinstance(a, Strided) or isinstance(b, Strided):
        return type(a) is type(b) and a == b
    return a == b


def only_constants_differ(a: Program, b: Program) -> int | None:
    """The first step at which two runs of the same shape have different constants, if that is all that differs."""
    if len(a) != len(b):
        return None
    found = None
    for i, (s, t) in enumerate(zip(a.steps, b.steps, strict=True)):
        if s.op != t.op or s.args != t.args or s.shape != t.shape:
            return None
        if not _same(s.params, t.params):
            if s.op != "constant":
                return None
            found = i if found is None else found
    return found
