"""What a line needs to be, so that everything that is returned comes right.

Every line of the hand code is a step, or several where it runs several times, of one Program.  Freed, it holds its
value plus an unknown; what is returned is then a function of the unknown, and its Jacobian is exact (reverse mode on
the Program's own steps).  Gauss and Newton solve it.  Where the solution is the only one, it is what the line needs,
and an edit of the line can be looked for by its value alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from symgrad.evaluation.floats import Floats
from symgrad.program.program import Program, Step, interpret

_ROWS = 160  # entries of what is returned that are looked at
_UNKNOWNS = 120  # entries of a line that are solved for
_NEWTON = 6
_NEWTONS = 40  # lines of so many entries are solved for where more than one step is needed
_CLOSE = 1e-7
_SMALLEST = 0.1  # part of a Newton step


@dataclass(frozen=True, slots=True)
class Output:
    """One thing that is returned: its name, the hand code's step, the truth's, and whether it is wrong."""

    name: str
    hand: int
    exact: int
    wrong: bool


@dataclass(frozen=True, eq=False)
class Need:
    """What a line needs: for each of its steps the value, None where nothing depends on it; ``outputs`` are the wrong
    ones that are then right.  ``values`` is None where more than one value serves.
    """

    outputs: tuple[str, ...]
    values: tuple[np.ndarray | None, ...] | None


class _Freed(Floats):
    """Floats with something added to some steps, and with nothing held constant."""

    def __init__(self, more: Mapping[int, torch.Tensor]) -> None:
        super().__init__("float64")
        self.more = more

    def read(self, step: Step, args: list[torch.Tensor]) -> torch.Tensor:
        out = args[0] if step.op == "stop" else super().read(step, args)
        added = self.more.get(id(step))
        return out if added is None else out + added


Rows = Sequence[Mapping[int, np.ndarray]]  # for each output, d (mixtures of) its entries / d a freed step's


@dataclass(frozen=True, eq=False)
class _Question:
    """The Program at a point; its steps are told apart by identity."""

    program: Program
    outputs: Sequence[Output]
    inputs: Mapping[str, torch.Tensor]
    truths: Sequence[np.ndarray]

    def read(self, free: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
        """All values, with ``free`` added to the steps that it names."""
        more = {id(self.program.steps[i]): z for i, z in free.items()}
        return interpret(self.program, _Freed(more), self.inputs, [o.hand for o in self.outputs])

    def off(self, values: Mapping[int, torch.Tensor], asked: Sequence[int]) -> list[np.ndarray]:
        """What is missing from each of the outputs ``asked``."""
        return [self.truths[k] - values[self.outputs[k].hand].detach().reshape(-1).numpy() for k in asked]


def needs_of(
    program: Program, outputs: Sequence[Output], lines: Mapping[Any, Sequence[int]], point: Mapping[str, Any]
) -> dict[Any, Need]:
    """What each of the lines, freed by itself, needs at a point; lines that cannot put anything right are missing.

    ``lines`` maps a line to its steps.  A line that puts all wrong outputs right is told with all of them, another
    with the first that it puts right alone.
    """
    program = replace(program, steps=tuple(replace(s) for s in program.steps))
    if any(n not in point for n in program.inputs) or any(s.is_complex for s in program.steps):
        return {}
    inputs = {n: torch.as_tensor(np.asarray(point[n])).double() for n in program.inputs}
    plain = interpret(program, Floats("float64"), inputs, [o.exact for o in outputs])
    truths = [plain[o.exact].detach().reshape(-1).numpy() for o in outputs]
    question = _Question(program, outputs, inputs, truths)
    if any(math.prod(program.shape(o.hand)) != len(t) for o, t in zip(outputs, truths, strict=True)):
        return {}
    free = {i: _zeros(program, i) for steps in lines.values() for i in steps}
    values = question.read(free)
    rows = _jacobian(question, values, free)
    found = {}
    for key, steps in lines.items():
        if sum(free[i].numel() for i in steps) <= _UNKNOWNS:
            need = _need(question, values, rows, steps)
            found |= {} if need is None else {key: need}
    return found


def _zeros(program: Program, i: int) -> torch.Tensor:
    return torch.zeros(program.shape(i), dtype=torch.float64, requires_grad=True)


def _jacobian(question: _Question, values: Mapping[int, torch.Tensor], free: Mapping[int, torch.Tensor]) -> Rows:
    found = []
    for o in question.outputs:
        y = values[o.hand].reshape(-1)
        per: dict[int, list[np.ndarray]] = {i: [] for i in free}
        for row in _mixture(y.numel()) if y.requires_grad else ():
            leaves, seed = list(free.values()), torch.as_tensor(row)
            grads = torch.autograd.grad(y, leaves, seed, retain_graph=True, allow_unused=True)
            for i, g in zip(free, grads, strict=True):
                per[i].append(np.zeros(free[i].numel()) if g is None else g.reshape(-1).numpy())
        found.append({i: np.array(r) for i, r in per.items() if r})
    return found


def _mixture(m: int) -> np.ndarray:
    """The rows by which the entries of an output are looked at: each, or so many random sums of all of them."""
    return np.eye(m) if m <= _ROWS else np.random.default_rng(m).standard_normal((_ROWS, m)) / np.sqrt(m)


def _need(question: _Question, values: Mapping[int, torch.Tensor], rows: Rows, steps: Sequence[int]) -> Need | None:
    """What one line needs: for all wrong outputs together, else for the first that it can put right."""
    outputs = question.outputs
    wrong = [o for o in outputs if o.wrong]
    for chosen in [wrong] + ([[o] for o in wrong] if len(wrong) > 1 else []):
        asked = [k for k, o in enumerate(outputs) if o in chosen or (not o.wrong and rows[k])]
        if all(rows[k] for k in asked):
            solved = _newton(question, values, rows, steps, asked)
            if solved is not None:
                return Need(tuple(o.name for o in chosen), solved[0] if solved[1] else None)
    return None


def _newton(
    question: _Question, values: Mapping[int, torch.Tensor], rows: Rows, steps: Sequence[int], asked: Sequence[int]
) -> tuple[tuple[np.ndarray | None, ...], bool] | None:
    """The values of the steps with which what is asked comes right, and whether there are no others."""
    sizes = [math.prod(question.program.shape(i)) for i in steps]
    z = np.zeros(sum(sizes))
    scale = max([float(np.abs(question.truths[k]).max(initial=0)) for k in asked])
    first = _beside(rows, steps, asked)
    live = np.abs(first).max(axis=0, initial=0) > 0
    if not live.any() or not np.isfinite(first).all():
        return None
    unique, now, slopes = True, values, first
    for turn in range(_NEWTON):
        off = question.off(now, asked)
        far = max(float(np.abs(r).max(initial=0)) for r in off)
        if not np.isfinite(far):
            return None
        if far <= _CLOSE * max(scale, 1e-12):
            break
        if turn and sum(sizes) > _NEWTONS:
            return None
        right = np.concatenate([_mixture(len(r)) @ r for r in off])
        move, _, rank, _ = np.linalg.lstsq(slopes[:, live], right, rcond=1e-10)
        if not turn:
            unique = bool(rank == live.sum())
            if np.abs(right - slopes[:, live] @ move).max() > 0.9 * np.abs(right).max():
                return None
        step = np.zeros(len(z))
        step[live] = move
        z, now, free = _moved(question, steps, z, step, asked, far)
        if sum(sizes) <= _NEWTONS:
            slopes = _beside(_jacobian(question, now, free), steps, asked)
            if not np.isfinite(slopes).all() or slopes.shape != first.shape:
                return None
    else:
        return None
    cuts = np.cumsum([0, *sizes])
    out: list[np.ndarray | None] = []
    for i, a, b in zip(steps, cuts, cuts[1:], strict=False):
        have = values[i].detach().numpy()
        out.append(have + z[a:b].reshape(have.shape) if live[a:b].any() else None)
    return tuple(out), unique


def _beside(rows: Rows, steps: Sequence[int], asked: Sequence[int]) -> np.ndarray:
    """The Jacobian of what is asked by the unknowns of a line."""
    return np.concatenate([np.concatenate([rows[k][i] for i in steps], axis=1) for k in asked if rows[k]])


def _moved(
    question: _Question, steps: Sequence[int], z: np.ndarray, step: np.ndarray, asked: Sequence[int], far: float
) -> tuple[np.ndarray, dict[int, torch.Tensor], dict[int, torch.Tensor]]:
    """A Newton step, halved while it leads further away."""
    share = 1.0
    while True:
        tried = z + share * step
        free, at = {}, 0
        for i in steps:
            shape = question.program.shape(i)
            n = math.prod(shape)
            free[i] = torch.tensor(tried[at : at + n].reshape(shape), requires_grad=True)
            at += n
        now = question.read(free)
        gap = max(float(np.abs(r).max(initial=0)) for r in question.off(now, asked))
        if gap < far or share < _SMALLEST:
            return tried, now, free
        share /= 2
