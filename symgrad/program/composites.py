"""A row read in a number system that has no entry for it: the row's own exact column, as a small Program."""

from __future__ import annotations

import functools
from typing import Any

import sympy as sp

from symgrad.ops.row import ARGUMENTS
from symgrad.ops.scalars import OPS
from symgrad.ops.structure import COMPOSITES
from symgrad.program.builder import Builder
from symgrad.program.expressions import lower
from symgrad.program.program import Program, Step, System, interpret

__all__ = ["composed", "written_out"]


def written_out(name: str) -> Program:
    """The row's meaning in other rows, as a Program with the inputs X, Y, ..."""
    op = OPS[name]
    return _written_out(name, op.exact if op.written is None else op.written, op.arity)


@functools.cache  # by meaning too: `define` may give a name a new one
def _written_out(name: str, meaning: sp.Expr, arity: int) -> Program:
    b = Builder()
    env: dict[sp.Basic, int] = {s: b.input(s.name, ()) for s in ARGUMENTS[:arity]}
    value = lower(b, meaning, env)
    if any(step.op == name for step in b.steps):
        raise NotImplementedError(f"{name} is written in no other rows")
    return b.build({"value": value})


@functools.cache
def _composite(name: str, params: Any, shape: tuple[int, ...]) -> Program:
    b = Builder()
    x = b.input("X", shape)
    return b.build({"value": COMPOSITES[name].write(b, x, params)})


def composed(system: System, step: Step, args: list[Any], shapes: tuple[tuple[int, ...], ...] = ()) -> Any:
    """The value of a step whose row has no entry of its own in ``system``."""
    if step.op in COMPOSITES:
        program = _composite(step.op, step.params, tuple(args[0].shape))
        return interpret(program, system, {"X": args[0]})[program.output]
    program = written_out(step.op)
    return interpret(program, system, dict(zip("XYZW", args, strict=False)))[program.output]
