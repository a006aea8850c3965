"""The cone of a few entries: the part of a Program that they are made of, as a Program of its own.

One entry of a norm is made of one row, not of the tensor; so a question about one entry costs a row.  Every step of a
cone is a row of the entries, of one step of the whole, that are needed; a product of matrices becomes a smaller one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.program import Constant, Index, Program, Shape, Step, Strided, dense, size

_ENTRYWISE = frozenset("add sub mul div neg powi pow stop name cast conj real imag polygamma".split())
_FEW = 4  # entries of a step, on the average, up to which the whole is as good as a cone


@dataclass(frozen=True, eq=False)
class Cone:
    """The part of a Program that some entries are made of.

    ``entries`` maps a step of the whole to its flat entries that are needed, in order; ``place`` to the step of
    ``program`` that holds just these.
    """

    program: Program
    entries: Mapping[int, np.ndarray]
    place: Mapping[int, int]

    def cut(self, step: int, value: Any) -> np.ndarray:
        """The needed entries of a whole value of a step, in the shape that the cone's step has."""
        return np.reshape(value, -1)[self.entries[step]].reshape(self.program.shape(self.place[step]))

    def of_inputs(self, whole: Program, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The needed entries of the inputs' values."""
        return {n: self.cut(whole.inputs[n], values[n]) for n in self.program.inputs}

    def where(self, step: int, entries: Sequence[int]) -> np.ndarray:
        """Where flat entries of a step of the whole lie in the cone's step."""
        return np.searchsorted(self.entries[step], np.asarray(entries, dtype=np.int64))

    @property
    def size(self) -> int:
        """The entries of all its steps."""
        return sum(size(s.shape) for s in self.program.steps)


class TooLarge(Exception):
    """A cone has more entries than it may."""


def cone_of(program: Program, wanted: Mapping[int, Sequence[int]], most: float = math.inf) -> Cone:
    """The cone of the ``wanted`` flat entries of steps.  Raises `TooLarge` where it has more than ``most`` entries,
    or one of its steps asks another for more.

    >>> b = Builder()
    >>> x = b.input("x", (1000, 8))
    >>> rows = b.sum(b.mul(x, x), 1)
    >>> cone = cone_of(b.build({"y": rows}), {rows: [7]})
    >>> print(cone.program.listing())
    %0 = input() float64[8]
    %1 = mul(%0, %0) float64[8]
    %2 = scatter(%1) float64[1]
    >>> cone.entries[x]
    array([56, 57, 58, 59, 60, 61, 62, 63])

    Guarantee: read in exact numbers, each step of the cone has the values that the whole has at these entries.
    """
    needed = program.needed(wanted)
    work = sum(size(program.shape(i)) for i in needed)
    if work <= min(most, _FEW * len(needed)):
        every = {i: np.arange(size(program.shape(i))) for i in needed}
        inputs = {name: i for name, i in program.inputs.items() if i in every}
        return Cone(replace(program, inputs=inputs), every, {i: i for i in needed})
    entries, parts = _followed(program, wanted, needed, most)
    b, place = Builder(), {}
    for i in sorted(entries):
        held = [
            None if some is None else _taken(b, place[a], entries[a], some)
            for a, some in zip(program.steps[i].args, parts[i].asked, strict=True)
        ]
        b.source = program.steps[i].source
        place[i] = parts[i].write(b, [h for h in held if h is not None])
    return Cone(b.build({}), entries, place)


def entries_of(program: Program, wanted: Mapping[int, Sequence[int]]) -> Mapping[int, np.ndarray]:
    """The flat entries of each step that the ``wanted`` ones are made of: a step of which none is needed is not there.

    >>> b = Builder()
    >>> x, y = b.input("x", ()), b.input("y", ())
    >>> both = b.stack([x, y])
    >>> x in entries_of(b.build({}), {both: [1]})
    False
    """
    return _followed(program, wanted, program.needed(wanted))[0]


def _followed(
    program: Program, wanted: Mapping[int, Sequence[int]], needed: Sequence[int], most: float = math.inf
) -> tuple[dict[int, np.ndarray], dict[int, _Part]]:
    """The entries that the wanted ones are made of, and what each step's need."""
    entries: dict[int, np.ndarray] = {}
    parts: dict[int, _Part] = {}
    held = 0

    def ask(i: int, more: np.ndarray) -> None:
        if more.size > most:  # before they are put in order; some of them may be one entry
            raise TooLarge
        entries[i] = np.union1d(entries[i], more) if i in entries else np.unique(more)

    for i, some in wanted.items():
        ask(i, np.asarray(some, dtype=np.int64))
    for i in reversed(needed):
        if i not in entries:
            continue
        held += entries[i].size
        if held > most:
            raise TooLarge
        step = program.steps[i]
        part = parts[i] = _part(step, [program.shape(a) for a in step.args], entries[i])
        for a, some in zip(step.args, part.asked, strict=True):
            if some is not None:
                ask(a, some)
    return entries, parts


def _taken(b: Builder, step: int, entries: np.ndarray, some: np.ndarray) -> int:
    """Some of the entries that a step of the cone holds, in the order asked for."""
    if np.array_equal(entries, some):
        return step
    return b.emit("pick", [step], np.searchsorted(entries, some) + 1, some.shape, b.dtype(step))


def _laid(b: Builder, step: int, shape: Shape) -> int:
    """The entries of a step in another shape, as a step of its own: a Builder would look through to what it is of."""
    return b.emit("pick", [step], Strided(0, dense(shape)), shape, b.dtype(step))


# ------------------------------------------------------------------------------------------------ one step


@dataclass(frozen=True, eq=False)
class _Part:
    """What some entries of one step need: the flat entries of each argument, and how the step is written of these."""

    asked: Sequence[np.ndarray | None]
    write: Callable[[Builder, list[int]], int]


def _part(step: Step, shapes: list[Shape], mine: np.ndarray) -> _Part:
    n, op, dtype = (mine.size,), step.op, step.dtype
    match op:
        case "input":
            return _Part([], lambda b, _: b.input(step.params, n, dtype))
        case "constant":
            return _Part([], lambda b, _: b.emit("constant", (), _some(step.params, mine), n, dtype))
        case "pick":
            return _picked(step, shapes, mine)
        case "scatter":
            flat, landed = _landing(step.params, shapes[0], mine)
            where = np.searchsorted(mine, landed) + 1
            return _Part([flat], lambda b, parts: b.emit("scatter", parts, where, n, dtype))
        case "matmul":
            return _product(step, shapes, mine)
    if op in COMPOSITES:
        return _along(step, shapes[0], mine)
    if op in OPS or op in _ENTRYWISE:
        return _Part([mine] * len(shapes), lambda b, parts: b.emit(op, parts, step.params, n, dtype))
    return _matrices(step, shapes, mine)  # of what the table of steps has, the rest is functions of matrices


def _some(c: Constant, mine: np.ndarray) -> Constant:
    def of(x: Any) -> Any:
        if x is None:
            return None
        return np.full(mine.size, x, dtype=object) if isinstance(x, sp.Basic) else np.reshape(x, -1)[mine]

    return Constant(c.value.reshape(-1)[mine], of(c.exact), of(c.radius))


def _picked(step: Step, shapes: list[Shape], mine: np.ndarray) -> _Part:
    where, start = _positions(step.params, step.shape, mine), 1
    asked: list[np.ndarray | None] = []
    index, end = np.zeros(mine.size, dtype=np.int64), 1
    for shape in shapes:
        inside = (where >= start) & (where < start + size(shape))
        some = where[inside] - start
        index[inside] = np.arange(end, end + some.size)
        asked.append(some if some.size else None)
        start, end = start + size(shape), end + some.size

    def write(b: Builder, parts: list[int]) -> int:
        if not parts:
            return b.zeros((mine.size,), step.dtype)
        if len(parts) == 1 and end == mine.size + 1 and b.dtype(parts[0]) == step.dtype:
            return parts[0]
        return b.emit("pick", parts, index, (mine.size,), step.dtype)

    return _Part(asked, write)


def _positions(index: Index, shape: Shape, some: np.ndarray) -> np.ndarray:
    """What an index holds at some flat places, without writing out the rest."""
    if not isinstance(index, Strided):
        return index[some]
    out = np.full(some.shape, index.offset + 1, dtype=np.int64)
    for k, stride in zip(np.unravel_index(some, shape) if shape else (), index.strides, strict=True):
        out += k * stride
    return out


def _landing(index: Index, shape: Shape, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flat entries that a scatter adds to ``targets``, in order, and where each lands (both from 0)."""
    if not isinstance(index, Strided):
        flat = np.flatnonzero(np.isin(index, targets + 1))
        return flat, index[flat] - 1
    here, there = np.zeros(1, dtype=np.int64), np.full(1, index.offset, dtype=np.int64)
    axes = sorted(zip(shape, dense(shape), index.strides, strict=True), key=lambda axis: not axis[2])
    for k, (n, own, stride) in enumerate(axes):  # those that move the target first, so that few are left for the others
        if k and not stride and axes[k - 1][2]:
            hit = np.isin(there, targets)
            here, there = here[hit], there[hit]
        here = (here[:, None] + np.arange(n) * own).ravel()
        there = (there[:, None] + np.arange(n) * stride).ravel()
    hit = np.isin(there, targets)
    here, there = here[hit], there[hit]
    order = np.argsort(here)
    return here[order], there[order]


def _product(step: Step, shapes: list[Shape], mine: np.ndarray) -> _Part:
    """Entries of a product: their rows times their columns, or each as its own sum where these are many more."""
    (_, rows, inner), columns, dtype = shapes[0], shapes[1][2], step.dtype
    batch, row, column = np.unravel_index(mine, step.shape)
    batches, r, c = (np.unique(k) for k in (batch, row, column))
    along = np.arange(inner)
    if batches.size * r.size * c.size <= 4 * mine.size:
        left = ((batches[:, None, None] * rows + r[:, None]) * inner + along).ravel()
        right = ((batches[:, None, None] * inner + along[:, None]) * columns + c).ravel()
        shape = batches.size, r.size, c.size
        grid = [np.searchsorted(all_, k) for all_, k in ((batches, batch), (r, row), (c, column))]
        where = np.ravel_multi_index(grid, shape) + 1

        def write(b: Builder, parts: list[int]) -> int:
            a, d = (
                _laid(b, p, s) for p, s in zip(parts, ((*shape[:2], inner), (shape[0], inner, shape[2])), strict=True)
            )
            return b.emit("pick", [b.emit("matmul", [a, d], None, shape, dtype)], where, (mine.size,), dtype)

        return _Part([left, right], write)
    left = (((batch * rows + row) * inner)[:, None] + along).ravel()
    right = ((batch[:, None] * inner + along) * columns + column[:, None]).ravel()
    landed = np.repeat(np.arange(mine.size), inner) + 1

    def summed(b: Builder, parts: list[int]) -> int:
        return b.emit("scatter", [b.emit("mul", parts, None, left.shape, dtype)], landed, (mine.size,), dtype)

    return _Part([left, right], summed)


def _along(step: Step, shape: Shape, mine: np.ndarray) -> _Part:
    """Entries of a softmax and its kin: the lanes along its axis that they lie in."""
    axis = step.params % len(shape)
    n, inner = shape[axis], size(shape[axis + 1 :])
    lane = mine if step.shape != shape else mine // (n * inner) * inner + mine % inner
    lanes = np.unique(lane)
    asked = ((lanes // inner * n * inner + lanes % inner)[:, None] + np.arange(n) * inner).ravel()
    where = np.searchsorted(lanes, lane)
    whole = (lanes.size, 1) if step.shape != shape else (lanes.size, n)
    if step.shape == shape:
        where = where * n + mine // inner % n

    def write(b: Builder, parts: list[int]) -> int:
        a = _laid(b, parts[0], (lanes.size, n))
        return b.emit("pick", [b.emit(step.op, [a], 1, whole, step.dtype)], where + 1, (mine.size,), step.dtype)

    return _Part([asked], write)


def _matrices(step: Step, shapes: list[Shape], mine: np.ndarray) -> _Part:
    """Entries of a step of linear algebra: the matrices of the batch that they lie in, whole."""
    each = size(step.shape[1:])
    batches = np.unique(mine // each)
    asked = [(batches[:, None] * size(s[1:]) + np.arange(size(s[1:]))).ravel() for s in shapes]
    where = np.searchsorted(batches, mine // each) * each + mine % each + 1

    def write(b: Builder, parts: list[int]) -> int:
        args = [_laid(b, p, (batches.size, *s[1:])) for p, s in zip(parts, shapes, strict=True)]
        made = b.emit(step.op, args, step.params, (batches.size, *step.shape[1:]), step.dtype)
        return b.emit("pick", [made], where, (mine.size,), step.dtype)

    return _Part(asked, write)
