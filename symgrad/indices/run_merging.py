"""Programs of one piece of code, run at several sizes, as one whose steps hold what they have in each run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.indices.index_maps import flat_positions
from symgrad.indices.masks import Choices, kept
from symgrad.indices.sizes import Unread
from symgrad.ops.structure import COMPOSITES
from symgrad.program.builder import Builder
from symgrad.program.program import Program, Step

__all__ = ["Family", "composed", "merged"]


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """What a step holds in each run."""

    params: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    inputs: tuple[tuple[tuple[int, ...], ...], ...]  # the shapes of the arguments


def merged(programs: Sequence[Program]) -> Program:
    """The Programs of several runs as one, each step holding a `Family`.

    Raises `Unread` where the runs did not take the same steps.
    """
    programs = [composed(p) for p in programs]
    first = programs[0]
    if any(len(p) != len(first) or p.outputs != first.outputs or p.inputs != first.inputs for p in programs):
        raise Unread("the code takes another number of steps at other sizes.")
    steps = []
    for i, step in enumerate(first.steps):
        same = [p.steps[i] for p in programs]
        if any(s.op != step.op or s.args != step.args or len(s.shape) != len(step.shape) for s in same):
            raise Unread("the code takes other steps at other sizes.")
        inputs = tuple(tuple(p.shape(a) for a in step.args) for p in programs)
        family = Family(tuple(s.params for s in same), tuple(s.shape for s in same), inputs)
        steps.append(replace(step, params=step.params if step.op == "input" else family))
    return replace(first, steps=tuple(steps), guards=())


def _written_out(program: Program) -> Program:
    """The Program with softmax and its kin said in other steps; every other step keeps its place in the order."""
    if not any(s.op in COMPOSITES for s in program.steps):
        return program
    b = Builder()
    place: list[int] = []
    for step in program.steps:
        args = tuple(place[a] for a in step.args)
        if step.op in COMPOSITES:
            place.append(COMPOSITES[step.op].write(b, args[0], step.params))
        elif step.op == "input":
            place.append(b.input(step.params, step.shape, step.dtype))
        else:
            b.steps.append(replace(step, args=args))
            place.append(len(b.steps) - 1)
    guards = tuple(replace(g, args=tuple(place[a] for a in g.args)) for g in program.guards)
    return replace(b.build({name: place[i] for name, i in program.outputs.items()}), guards=guards)


def composed(program: Program) -> Program:
    """The Program with every layout of a layout said as one, whatever their sizes, and every choice that was made by a
    comparison said as one; steps that nothing needs are left out.  (A Builder composes layouts only while they are
    small.)"""
    program = _written_out(program)
    choices = Choices.of(program)
    b = Builder()
    place: dict[int, int] = {}

    def at(a: int) -> int:
        """Where a step went; a constant is written once for each use, for 2 and n - 1 are one step where n is 3."""
        step = program.steps[a]
        return _constant(b, step, choices, at) if step.op == "constant" else place[a]

    for i in program.needed((*program.outputs.values(), *choices.args)):
        step = program.steps[i]
        match step.op:
            case "constant":
                continue
            case "input":
                place[i] = b.input(step.params, step.shape, step.dtype)
            case "pick":
                place[i] = _layout(b, step, tuple(map(at, step.args)), choices, at)
            case _:
                args = tuple(map(at, step.args))
                b.steps.append(replace(step, args=args))
                place[i] = len(b.steps) - 1
    return _needed(b.build({name: at(i) for name, i in program.outputs.items()}))


def _needed(program: Program) -> Program:
    needed = program.needed(program.outputs.values())
    back = {i: k for k, i in enumerate(needed)}
    steps = tuple(replace(program.steps[i], args=tuple(back[a] for a in program.steps[i].args)) for i in needed)
    inputs = {n: back[i] for n, i in program.inputs.items() if i in back}
    return Program(inputs, steps, {name: back[i] for name, i in program.outputs.items()})


def _constant(b: Builder, step: Step, choices: Choices, at: Callable[[int], int]) -> int:
    value = step.params.value
    if choices.guards and value.ndim and step.params.radius is None and set(np.unique(value)) == {0.0, 1.0}:
        mask = choices.mask(b, at, value == 1.0)
        if mask is not None:
            return mask
    b.steps.append(step)
    return len(b.steps) - 1


def _layout(b: Builder, step: Step, args: tuple[int, ...], choices: Choices, at: Callable[[int], int]) -> int:
    args, index = _through(b, args, flat_positions(step.params, step.shape).reshape(-1))
    if len(args) == 1 and b.shape(args[0]) == step.shape and np.array_equal(index, _all(step.shape)):
        return args[0]
    ends = np.cumsum([0, *(int(np.prod(b.shape(a), dtype=np.int64)) for a in args)])
    parts = []
    for a, low, high in zip(args, ends, ends[1:], strict=False):
        inside = (index > low) & (index <= high)
        mask = choices.mask(b, at, inside.reshape(step.shape)) if choices.guards else None
        parts.append((a, np.where(inside, index - low, 0), mask))
    if parts and all(mask is not None for _, _, mask in parts):
        chosen = [kept(b, a, where, mask, step.shape) for a, where, mask in parts if mask is not None]
        return functools.reduce(b.add, chosen)
    b.steps.append(replace(step, args=args, params=index))
    return len(b.steps) - 1


def _all(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(1, int(np.prod(shape, dtype=np.int64)) + 1)


def _through(b: Builder, args: tuple[int, ...], index: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """A pick of a pick as a pick of what that one takes from."""
    if len(args) != 1 or b.steps[args[0]].op != "pick":
        return args, index
    source = b.steps[args[0]]
    inner = np.concatenate([[0], flat_positions(source.params, source.shape).reshape(-1)])
    return source.args, inner[index]
