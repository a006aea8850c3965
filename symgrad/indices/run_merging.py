"""Programs of one piece of code, run at several sizes, as one whose steps hold what they have in each run."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.indices.named_axes import flat_positions
from symgrad.indices.sizes import OtherSteps, Unread
from symgrad.program.builder import Builder
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.program import Guard, Program, Shape, Step, Strided, dense

# --------------------------------------------------------------------------------------------------------------- masks
# Choices that code makes entry by entry, such as relu's: a mask that came out of a comparison, as steps of its own.
#
# In a Program such a mask is positions: it holds for the point that the code was run at.  Where a mask is what one of
# the recorded comparisons gave, the choice is written out instead: a step ``choice`` of the comparison's sides, 1 where
# it holds and 0 elsewhere, and ``kept`` for what is taken where it does.

ORDERED = ("gt", "ge", "lt", "le")


def one_sided(program: Program) -> bool:
    """Whether a comparison of entries came out one way in all of a tensor, so that it does not show as a choice."""
    found = [g.outcome for g in program.guards if g.op in ORDERED and g.outcome.size > 1]
    return any(bool(outcome.all()) or not outcome.any() for outcome in found)


def _inputs(program: Program, steps: Iterable[int]) -> set[int]:
    return {i for i in program.needed(steps) if program.steps[i].op == "input"}


@dataclass(frozen=True, eq=False)
class Choices:
    """The comparisons of a Program that came out both ways; those of inputs that its outputs hang on come first."""

    guards: tuple[Guard, ...]

    @classmethod
    def of(cls, program: Program) -> Choices:
        found = [g for g in program.guards if g.op in ORDERED and len(g.args) == 2 and g.outcome.ndim]
        found = [g for g in found if g.outcome.any() and not g.outcome.all()]
        inputs = _inputs(program, program.outputs.values()) if found else set()
        return cls(tuple(sorted(found, key=lambda g: not _inputs(program, g.args) <= inputs)))

    def mask(self, b: Builder, at: Callable[[int], int], mask: np.ndarray) -> int | None:
        """The step that is 1 where the mask holds and 0 elsewhere, if a comparison gave the mask."""
        if not mask.ndim or mask.all() or not mask.any():
            return None
        for holds, guard in itertools.product((True, False), self.guards):
            outcome = np.asarray(guard.outcome, dtype=bool)
            strides = _laid(outcome if holds else ~outcome, mask)
            if strides is not None:
                try:
                    sides = [b.broadcast(at(a), outcome.shape) for a in guard.args]
                except KeyError:  # a comparison that was made later
                    continue
                choice = b.emit("choice", sides, guard.op, outcome.shape)
                if not holds:
                    choice = b.sub(b.number(1), choice)
                return b.pick([choice], Strided(0, strides), mask.shape)
        return None


def _laid(outcome: np.ndarray, mask: np.ndarray) -> tuple[int, ...] | None:
    """The strides with which a mask repeats an outcome, axes of length one aside; None where it does not."""
    if mask.ndim == 1 and np.array_equal(outcome.reshape(-1), mask):  # memory that was written into is flat
        return (1,)
    own = [k for k, n in enumerate(outcome.shape) if n > 1]
    theirs = [k for k, n in enumerate(mask.shape) if n > 1]
    steps = dense(outcome.shape)
    for axes in itertools.permutations(theirs, len(own)):
        if any(mask.shape[a] != outcome.shape[k] for a, k in zip(axes, own, strict=True)):
            continue
        strides = [0] * mask.ndim
        for a, k in zip(axes, own, strict=True):
            strides[a] = steps[k]
        if np.array_equal(_repeated(outcome, strides, mask.shape), mask):
            return tuple(strides)
    return None


def _repeated(outcome: np.ndarray, strides: Sequence[int], shape: Shape) -> np.ndarray:
    where = np.zeros(shape, dtype=np.int64)
    for axis, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        where = where + (np.arange(n) * stride).reshape((n,) + (1,) * (len(shape) - axis - 1))
    return outcome.reshape(-1)[where]


def kept(b: Builder, a: int, index: np.ndarray, mask: int, shape: Shape) -> int:
    """What is taken from ``a`` at these positions, times the mask that says where there are any."""
    taken: Any = b.emit("kept", (a,), index, shape)
    return b.mul(taken, mask)


# ----------------------------------------------------------------------------------------------------------- selectors
# Which entry of a row is the largest: what ``max`` takes, and where its adjoint goes.
#
# In a Program that entry is a position as well.  Written out, it is a sum over the row of all entries times a tensor
# ``selector`` that is one at that place and zero elsewhere.  Nothing else is said of it; so what is proved of such a
# formula is true of any choice of places.

_EXTREMES = ("argmax", "argmin")


@dataclass(frozen=True, eq=False)
class Selector:
    """One choice of an entry in each row: the step whose last axis is looked at, and the places that were chosen."""

    op: str
    arg: int
    outcome: np.ndarray

    def chosen(self, b: Builder, at: Callable[[int], int]) -> tuple[int, dict[int, int]]:
        """What the rows are taken from, and the row of each chosen position in it, counted from one."""
        rows = at(self.arg)
        shape = b.shape(rows)
        flat = np.arange(self.outcome.size) * shape[-1] + self.outcome.reshape(-1)
        step = b.steps[rows]
        if step.op == "pick" and len(step.args) == 1:
            flat = flat_positions(step.params, shape).reshape(-1)[flat] - 1
            rows = step.args[0]
        return rows, {int(p) + 1: k for k, p in enumerate(flat)}

    def taken(self, b: Builder, at: Callable[[int], int], of: Sequence[int], shape: Shape) -> int:
        """The chosen entries of these rows, in a tensor of this shape."""
        rows = at(self.arg)
        batch = b.shape(rows)[:-1]
        one = b.mul(rows, b.emit("selector", (rows,), self.op, b.shape(rows)))
        added = b.scatter(one, np.repeat(np.arange(1, self.outcome.size + 1), b.shape(rows)[-1]), batch)
        return b.pick([added], np.reshape(np.asarray(of) + 1, shape), shape)

    def given_back(self, b: Builder, at: Callable[[int], int], of: Sequence[int], a: int, shape: Shape) -> int:
        """The entries of ``a``, each for the row that it was taken from, added up at the chosen places."""
        rows = at(self.arg)
        here, n = b.shape(rows), b.shape(rows)[-1]
        added = b.scatter(a, np.asarray(of) + 1, here[:-1])
        spread = b.pick([added], np.repeat(np.arange(1, self.outcome.size + 1), n).reshape(here), here)
        one = b.mul(spread, b.emit("selector", (rows,), self.op, here))
        step = b.steps[rows]
        if step.op == "pick" and len(step.args) == 1:
            return b.scatter(one, flat_positions(step.params, here).reshape(-1), shape)
        return one


def selectors(programs: Sequence[Program]) -> list[tuple[Selector, ...]]:
    """The entries that are chosen in each run by ``max`` and ``min``.

    Raises `Unread` where a choice came out alike in all runs, so that it could be taken for a place that is written in
    the code, or is none of an entry in each row.
    """
    found = [[g for g in p.guards if g.op in _EXTREMES] for p in programs]
    if len({len(guards) for guards in found}) > 1:
        raise Unread("the code takes other choices at other sizes.")
    for same in zip(*found, strict=True):
        if any(len(g.args) != 1 or not isinstance(g.params, int) or g.outcome.dtype.kind not in "iu" for g in same):
            raise Unread("a choice is none of one entry in each row.")
        lasts = [p.shape(g.args[0])[-1] - 1 - np.asarray(g.outcome) for p, g in zip(programs, same, strict=True)]
        for places in ([np.asarray(g.outcome) for g in same], lasts):
            if len({int(k) for x in places for k in x.reshape(-1)}) < 2:
                raise Unread("a choice came out alike in all runs.")
    return [tuple(Selector(g.op, g.args[0], np.asarray(g.outcome)) for g in guards) for guards in found]


# --------------------------------------------------------------------------------------------------------- run merging


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """What a step holds in each run."""

    params: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    inputs: tuple[tuple[tuple[int, ...], ...], ...]  # the shapes of the arguments


def merged(programs: Sequence[Program], *, selecting: bool = False) -> Program:
    """The Programs of several runs as one, each step holding a `Family`; with ``selecting``, what ``max`` and ``min``
    take is read for any places that they may choose.

    Raises `Unread` where the runs did not take the same steps.
    """
    programs = [_written_out(p) for p in programs]
    chosen = selectors(programs) if selecting else [()] * len(programs)
    programs = [composed(p, c) for p, c in zip(programs, chosen, strict=True)]
    first = programs[0]
    if any(len(p) != len(first) or p.outputs != first.outputs or p.inputs != first.inputs for p in programs):
        raise OtherSteps("the code takes another number of steps at other sizes.")
    steps = []
    for i, step in enumerate(first.steps):
        same = [p.steps[i] for p in programs]
        if any(s.op != step.op or s.args != step.args or len(s.shape) != len(step.shape) for s in same):
            raise OtherSteps("the code takes other steps at other sizes.")
        inputs = tuple(tuple(p.shape(a) for a in step.args) for p in programs)
        family = Family(tuple(s.params for s in same), tuple(s.shape for s in same), inputs)
        steps.append(replace(step, params=step.params if step.op == "input" else family))
    return replace(first, steps=tuple(steps), guards=())


_WRITTEN_OUT = COMPOSITES.keys() - {"prod", "prod_others"}


def _written_out(program: Program) -> Program:
    """The Program with softmax and its kin said in other steps; every other step keeps its place in the order."""
    if not any(s.op in _WRITTEN_OUT for s in program.steps):
        return program
    b = Builder()
    place: list[int] = []
    for step in program.steps:
        args = tuple(place[a] for a in step.args)
        if step.op in _WRITTEN_OUT:
            place.append(COMPOSITES[step.op].write(b, args[0], step.params))
        elif step.op == "input":
            place.append(b.input(step.params, step.shape, step.dtype))
        else:
            b.steps.append(replace(step, args=args))
            place.append(len(b.steps) - 1)
    guards = tuple(replace(g, args=tuple(place[a] for a in g.args)) for g in program.guards)
    return replace(b.build({name: place[i] for name, i in program.outputs.items()}), guards=guards)


def composed(program: Program, chosen: Sequence[Selector] = ()) -> Program:
    """The Program with every layout of a layout said as one, whatever their sizes, and every choice that was made by a
    comparison, or is among the ``chosen``, said as one; steps that nothing needs are left out.  (A Builder composes
    layouts only while they are small.)"""
    choices = Choices.of(program)
    b = Builder()
    place: dict[int, int] = {}
    here = -1

    def at(a: int) -> int:
        """Where a step went; a constant is written once for each use, for 2 and n - 1 are one step where n is 3.

        Raises `KeyError` where it comes later than what is written now, or is that: rows of which the largest is
        chosen may be a layout themselves.
        """
        if a >= here:
            raise KeyError(a)
        step = program.steps[a]
        if step.op == "constant":
            return _constant(b, step, choices, at)
        if a not in place:  # what nothing but a choice looks at
            for i in program.needed([a]):
                put(i)
        return place[a]

    def put(i: int) -> None:
        nonlocal here
        if i in place:
            return
        before, here = here, i
        step = program.steps[i]
        match step.op:
            case "constant":
                pass
            case "input":
                place[i] = b.input(step.params, step.shape, step.dtype)
            case "pick":
                args, index = _through(b, tuple(map(at, step.args)), _positions(step.params, step.shape))
                found = _selected(b, chosen, at, index, args[0]) if len(args) == 1 else None
                if found is None:
                    place[i] = _layout(b, step, args, index, choices, at)
                else:
                    place[i] = found[0].taken(b, at, found[1], step.shape)
            case "scatter" if (
                found := _selected(b, chosen, at, _positions(step.params, program.shape(step.args[0])), step.shape)
            ) is not None:
                place[i] = found[0].given_back(b, at, found[1], at(step.args[0]), step.shape)
            case _:
                args = tuple(map(at, step.args))
                b.steps.append(replace(step, args=args))
                place[i] = len(b.steps) - 1
        here = before

    for i in program.needed((*program.outputs.values(), *(c.arg for c in chosen))):
        put(i)
    here = len(program)
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


def _positions(index: Any, shape: Shape) -> np.ndarray:
    return flat_positions(index, shape).reshape(-1)


def _selected(
    b: Builder, chosen: Sequence[Selector], at: Callable[[int], int], index: np.ndarray, of: int | Shape
) -> tuple[Selector, list[int]] | None:
    """The selector whose places these are, in that step or in a tensor of that shape, and the row of each."""
    for selector in chosen:
        try:
            source, row = selector.chosen(b, at)
        except KeyError:  # a choice that was made later
            continue
        if of in (source, b.shape(source)) and all(int(k) in row for k in index):
            return selector, [row[int(k)] for k in index]
    return None


def _layout(
    b: Builder, step: Step, args: tuple[int, ...], index: np.ndarray, choices: Choices, at: Callable[[int], int]
) -> int:
    if len(args) == 1 and b.shape(args[0]) == step.shape and np.array_equal(index, _all(step.shape)):
        return args[0]
    ends = np.cumsum([0, *(int(np.prod(b.shape(a), dtype=np.int64)) for a in args)])
    parts = []
    for a, low, high in zip(args, ends, ends[1:], strict=False):
        inside = (index > low) & (index <= high)
        mask = choices.mask(b, at, inside.reshape(step.shape)) if choices.guards else None
        where = np.where(inside, index - low, 0)
        parts.append((a, where if mask is None else _filled(where), mask))
    if parts and all(mask is not None for _, _, mask in parts):
        chosen = [kept(b, a, where, mask, step.shape) for a, where, mask in parts if mask is not None]
        return functools.reduce(b.add, chosen)
    b.steps.append(replace(step, args=args, params=index))
    return len(b.steps) - 1


def _filled(where: np.ndarray) -> np.ndarray:
    """Positions of what is taken where a mask holds, with others elsewhere, that a mask makes zero: those which make it
    a plain layout."""
    held = where > 0
    for plain in (np.arange(1, where.size + 1), np.full(where.size, where.max(initial=0))):
        if np.array_equal(where[held], plain[held]):
            return plain
    return where


def _all(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(1, int(np.prod(shape, dtype=np.int64)) + 1)


def _through(b: Builder, args: tuple[int, ...], index: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    """A pick of picks as a pick of what these take from."""
    if all(b.steps[a].op != "pick" for a in args):
        return args, index
    sources: list[int] = []
    inner, start = [np.zeros(1, dtype=np.int64)], 0
    for a in args:
        step = b.steps[a]
        is_pick = step.op == "pick" and (len(args) == 1 or len(step.args) == 1)
        here = flat_positions(step.params, step.shape).reshape(-1) if is_pick else _all(step.shape)
        inner.append(np.where(here > 0, here + start, 0))
        sources += step.args if is_pick else (a,)
        start = sum(int(np.prod(b.shape(x), dtype=np.int64)) for x in sources)
    return tuple(sources), np.concatenate(inner)[index]
