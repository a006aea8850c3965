"""Programs without the infinities that stand for "not this one": masks of minus infinity before a softmax.

exp(-inf) is zero, and a softmax over entries of which some are minus infinity is one over the others.  Written so, the
Program is algebra again, which residues and proofs can read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from symgrad.program.builder import Builder
from symgrad.program.program import Constant, Program, Step, Strided, positions

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
        b.steps.append(replace(step, args=args))
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
