"""Which of many points are worth judging: one batch of float runs, and no balls.

Each step is run as it is, in float64 with random roundings, and in float64 with the inputs alone moved.  Where the
first two spread far more than the third, or something is not finite or flushed to zero, the point is suspicious, and
the step where that begins is blamed.  This only chooses; `losses` judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.evaluation.batched_floats import Many
from symgrad.program.program import Guard, Program, interpret
from symgrad.stability.points import Candidates

__all__ = ["Suspects", "suspects"]

_EPS = 2.0**-40  # the size of the random roundings
_LARGE = 48.0  # roundings magnified by more than this, and more than the inputs' own, are suspicious
_FREE = frozenset(("name", "cast", "pick", "stop", "input", "constant"))
_ORDERED = {"gt": torch.gt, "ge": torch.ge, "lt": torch.lt, "le": torch.le, "eq": torch.eq, "ne": torch.ne}


@dataclass(frozen=True, eq=False)
class Suspects:
    """For each point: whether the Program is the code's there, whether the output is suspicious, the step to blame,
    and the relative error that is expected.
    """

    holds: np.ndarray
    suspicious: np.ndarray
    blamed: np.ndarray
    expected: np.ndarray


def suspects(program: Program, output: int, points: Candidates, base: dict[str, Any], seed: int) -> Suspects:
    """The suspicious ones among many points, for one step of a Program."""
    n = len(points)
    inputs = {}
    for name, i in program.inputs.items():
        value = points.values.get(name)
        whole = np.broadcast_to(np.asarray(base[name]), (n, *program.shape(i))) if value is None else value
        inputs[name] = torch.as_tensor(np.array(whole)).to(getattr(torch, program.steps[i].dtype))
    steps = program.needed([output])
    guards = [a for g in program.guards for a in g.args]
    with torch.no_grad():
        plain = interpret(program, Many(n), inputs, [output, *guards])
        wide = {k: v.double() for k, v in inputs.items()}
        exact = interpret(program, Many(n, "float64"), wide, [output])
        shaken = interpret(program, Many(n, "float64", jitter=_EPS, seed=seed), wide, [output])
        random = torch.Generator().manual_seed(seed + 1)
        moved = {k: v * (1 + _EPS * (2 * torch.rand(v.shape, generator=random).double() - 1)) for k, v in wide.items()}
        beside = interpret(program, Many(n, "float64"), moved, [output])
    holds = np.ones(n, dtype=bool)
    for g in program.guards:
        holds &= _same_choice(g, plain, n)
    unit = torch.finfo(plain[output].dtype).eps / 2
    coarse = unit > 2.0**-40
    spread: dict[int, torch.Tensor] = {}
    lost: dict[int, torch.Tensor] = {}
    for i in steps:
        of = exact[i]
        s = _relative(shaken[i], of) / _EPS
        if coarse:
            s = torch.maximum(s, _relative(plain[i].double(), of) / unit)
        spread[i] = s.reshape(n, -1)
        lost[i] = _flushed(plain[i], of).reshape(n, -1)
    conditioned = (_relative(beside[output], exact[output]) / _EPS).reshape(n, -1)
    odd = (spread[output] > _LARGE) & (spread[output] > _LARGE * (1 + conditioned)) | lost[output]
    suspicious = odd.any(1).numpy() if odd.shape[1] else np.zeros(n, dtype=bool)
    sizes = torch.where(lost[output], torch.inf, spread[output] * unit)
    expected = torch.where(odd, sizes, 0.0).amax(1).numpy() if odd.shape[1] else np.zeros(n)
    return Suspects(holds, suspicious, _blame(program, steps, spread, lost, n), expected)


def _relative(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    far = (a - b).abs()
    ratio = torch.where(far == 0, 0.0, far / b.abs())
    return torch.nan_to_num(torch.where(a.isnan() & b.isnan(), torch.inf, ratio), nan=torch.inf)


def _flushed(x: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """What is not finite, or too small for its dtype; a nought that is one exactly is not told from one that is not."""
    return ~torch.isfinite(x) | (x.abs() < torch.finfo(x.dtype).tiny) & ((exact != 0) | (x == 0))


def _blame(
    program: Program, steps: list[int], spread: dict[int, torch.Tensor], lost: dict[int, torch.Tensor], n: int
) -> np.ndarray:
    """The first step that magnifies roundings by itself, or overflows or vanishes; -1 where none does."""
    blamed = np.full(n, -1)
    worst = {i: spread[i].amax(1) if spread[i].shape[1] else torch.zeros(n) for i in steps}
    gone = {i: lost[i].any(1) for i in steps}
    for i in steps:
        step = program.steps[i]
        if step.op in _FREE:
            continue
        before = torch.ones(n, dtype=torch.float64)
        fed = torch.zeros(n, dtype=torch.bool)
        for a in step.args:
            before = torch.maximum(before, worst[a])
            fed |= gone[a]
        own = ((worst[i] > _LARGE * before) | gone[i] & ~fed).numpy()
        blamed[own & (blamed < 0)] = i
    return blamed


def _same_choice(guard: Guard, values: dict[int, torch.Tensor], n: int) -> np.ndarray:
    """At which points a guard comes out as it did in the run that was recorded; where that is not known, at all."""
    sides = [values[a] for a in guard.args]
    found: torch.Tensor | None = None
    if guard.op in _ORDERED and len(sides) == 2:
        rank = max(s.dim() for s in sides)
        left, right = (s.reshape(n, *(1,) * (rank - s.dim()), *s.shape[1:]) for s in sides)
        found = _ORDERED[guard.op](left, right)
    elif guard.op in ("eq", "ne") and len(sides) == 1:
        found = _ORDERED[guard.op](sides[0], torch.zeros_like(sides[0]))
    elif guard.op == "sign":
        found = torch.sign(sides[0])
    elif guard.op in ("argmax", "argmin"):
        found = _extreme(guard, sides[0], n)
    if found is None:
        return np.ones(n, dtype=bool)
    said = torch.as_tensor(np.asarray(guard.outcome))
    if found.numel() != n * max(said.numel(), 1):
        return np.ones(n, dtype=bool)
    return (found.reshape(n, -1) == said.reshape(1, -1)).all(1).numpy()


def _extreme(guard: Guard, value: torch.Tensor, n: int) -> torch.Tensor | None:
    axis = guard.params[0] if isinstance(guard.params, tuple) and guard.params else guard.params
    choose = torch.argmax if guard.op == "argmax" else torch.argmin
    if axis is None:
        return choose(value.reshape(n, -1), 1)
    if isinstance(axis, bool) or not isinstance(axis, int):
        return None
    return choose(value, axis + 1 if axis >= 0 else axis)
