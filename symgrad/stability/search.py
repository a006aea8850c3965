"""Looking for points at which a formula breaks in floats, the simplest one for each way in which it does.

Many points are filtered in floats; of each kind of suspicion the simplest few are judged in balls, on each branch of
the code that they reach, and what is found is confirmed by running the user's own code there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.errors import SymgradError, UserCodeFailed
from symgrad.evaluation.floats import BatchedFloats
from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.sampling import Bounds, Inputs
from symgrad.program.program import Guard, Program, interpret, real_dtype
from symgrad.stability.detection import Losing, is_the_librarys_own, losing

# -------------------------------------------------------------------------------------------------------------- points
# Points at which floats may break, the simplest first: round numbers of every magnitude, alone and side by side.
#
# Every point is numbers of the dtype.  Arrays are filled by patterns (all alike, one apart, equally spaced, near each
# other), since what breaks an array formula is how its entries compare.

_DIGITS = (1.0, 2.0, 5.0, 3.0, 4.0, 8.0)
_OFFSETS = tuple(10.0**-k for k in range(1, 16))
_MOST = 6000  # points of one batch


@dataclass(frozen=True, eq=False)
class Candidates:
    """Points side by side: for each input an array with one axis in front; ``cost`` says how simple each point is."""

    values: Mapping[str, np.ndarray]
    cost: np.ndarray

    def __len__(self) -> int:
        return len(self.cost)

    def point(self, k: int, base: Mapping[str, Any]) -> dict[str, Any]:
        return {**base, **{n: np.asarray(v[k]) for n, v in self.values.items()}}

    def take(self, rows: np.ndarray) -> Candidates:
        return Candidates({n: v[rows] for n, v in self.values.items()}, self.cost[rows])


def cost_of(x: float) -> float:
    """How much there is to write down: digits, and the exponent where it is not near zero.

    >>> cost_of(1.0) < cost_of(2.0) < cost_of(100.0) < cost_of(1e-8) < cost_of(1.25)
    True
    """
    if x == 0:
        return 0.05
    mantissa, _, exponent = f"{abs(x):.16e}".partition("e")
    size = 0.01 * abs(int(exponent))
    digits = len(mantissa.rstrip("0").rstrip(".").replace(".", ""))
    first = 0.02 * (int(mantissa[0]) - 1) + (0.1 if mantissa[0] != "1" else 0.0)
    return 3.0 * (digits - 1) + first + 0.5 * math.log1p(abs(int(exponent))) + (0.15 if x < 0 else 0.0) + size


def plain_values(bounds: Bounds, dtype: str) -> list[float]:
    """Round numbers within the bounds, the simplest first: of every magnitude, near the bounds, and near one."""
    info = torch.finfo(getattr(torch, dtype))
    top, low_end = (int(x) - int(math.copysign(min(8, abs(x) // 4), x)) for x in map(math.log10, (info.max, info.tiny)))
    spots = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 17, 20, 30, 50, 100, 150, 154, 160, 200, 300, top}
    exponents = sorted({e for k in spots for e in (k, -k) if low_end <= e <= top})
    found = {d * 10.0**e if e >= 0 else d / 10.0**-e for e in exponents for d in (_DIGITS if abs(e) < 18 else (1.0,))}
    found |= {float(k) for k in (6, 7, 9, 15, 25, 35, 40, 45, 60, 70, 80, 90, 120, 150, 250, 350, 700, 720, 750)}
    found |= {1 + s * o for o in _OFFSETS[:8] for s in (1, -1)}
    found = {x for x in found if x <= 10.0**top}
    low, high = bounds
    signed = {0.0, *found, *(-x for x in found)}
    if low is not None and math.isfinite(low):
        signed |= {low + x for x in found if x < 100}
    if high is not None and math.isfinite(high):
        signed |= {high - x for x in found if x < 100}
    if low is not None and high is not None and math.isfinite(high - low):
        signed |= {low + (high - low) * k / 10 for k in range(1, 10)}
    inside = [x for x in signed if (low is None or x > low) and (high is None or x < high)]
    return sorted(inside, key=lambda x: (cost_of(x), x))


def candidates(inputs: Inputs, free: tuple[str, ...], dtypes: Mapping[str, str], seed: int, count: int) -> Candidates:
    """Some ``count`` points, simple ones and random ones, with the inputs ``free`` moved; all meet the domain."""
    shapes = {n: np.shape(inputs.point[n]) for n in free}
    n = sum(math.prod(s) for s in shapes.values())
    count = min(count, _MOST)
    rng = np.random.default_rng((seed, 11))
    values = {
        name: np.array(plain_values(inputs.bounds.get(name, (None, None)), real_dtype(dtypes[name]))) for name in free
    }
    costs = {name: np.array([cost_of(x) for x in v.tolist()]) for name, v in values.items()}
    grid = _Grid(shapes, values, costs, rng)
    if n == 1:
        (name,) = (x for x in free if math.prod(shapes[x]) == 1)
        every = {x: np.zeros((len(values[name]), *shapes[x])) for x in free}
        every[name] = values[name].reshape(-1, *shapes[name])
        parts = [(every, costs[name]), _random(grid, count - len(values[name]))]
    else:
        parts = [_patterned(grid, count // 2), _near(grid, count // 4), _random(grid, count // 4)]
    joined = {name: _in_dtype(np.concatenate([p[name] for p, _ in parts]), dtypes[name]) for name in free}
    return _inside(Candidates(joined, np.concatenate([cost for _, cost in parts])), inputs, dtypes)


def _in_dtype(x: np.ndarray, dtype: str) -> np.ndarray:
    return torch.as_tensor(x).to(getattr(torch, real_dtype(dtype))).double().numpy()


@dataclass(frozen=True, eq=False)
class _Grid:
    """The inputs that are moved: their shapes, round numbers for their entries, and how simple each of these is."""

    shapes: Mapping[str, tuple[int, ...]]
    values: Mapping[str, np.ndarray]
    costs: Mapping[str, np.ndarray]
    rng: np.random.Generator


Part = tuple[dict[str, np.ndarray], np.ndarray]  # points side by side, and how simple each is


def _patterned(g: _Grid, count: int) -> Part:
    """Each input a round number, or an array in a simple pattern of one.

    What one input goes through in order the others are drawn for, simple numbers more often; each input has its turn.
    """
    out, cost = {}, np.zeros(count)
    turns = len(g.shapes)
    for j, (name, shape) in enumerate(g.shapes.items()):
        v, c = g.values[name], g.costs[name]
        m = math.prod(shape)
        mine = np.arange(count) % turns == j
        where = np.minimum((len(v) * g.rng.random(count) ** 4).astype(int), len(v) - 1)
        pattern = g.rng.integers(0, 4, count) if m > 1 else np.zeros(count, dtype=int)
        order = np.cumsum(mine) - 1
        where = np.where(mine, (order // (4 if m > 1 else 1)) % len(v), where)
        pattern = np.where(mine & (m > 1), order % 4, pattern)
        base, cost = v[where], cost + c[where]
        if m == 1:
            out[name] = base.reshape(count, *shape)
            continue
        second = np.minimum((len(v) * g.rng.random(count) ** 4).astype(int), len(v) - 1)
        steps = np.arange(m)
        simple = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 5.0])[steps % 8] + 0.5 * (steps // 8)
        flat = np.repeat(base[:, None], m, axis=1)
        flat = np.where((pattern == 1)[:, None] & (steps > 0), v[second][:, None], flat)  # one apart from the others
        flat = np.where((pattern == 2)[:, None], base[:, None] + steps, flat)  # equally spaced
        flat = np.where((pattern == 3)[:, None], base[:, None] * simple, flat)
        cost = cost + np.select([pattern == k for k in (1, 2, 3)], [c[second], 0.3, 0.6], 0.0)
        out[name] = flat.reshape(count, *shape)
    return out, cost


def _near(g: _Grid, count: int) -> Part:
    """All entries of all inputs near one number."""
    first = next(iter(g.values))
    v, c = g.values[first], g.costs[first]
    where = np.minimum((len(v) * g.rng.random(count) ** 1.7).astype(int), len(v) - 1)
    usual = np.nonzero((np.abs(v) >= 1) & (np.abs(v) < 1e6))[0]
    where = (
        np.where(g.rng.random(count) < 0.5, usual[g.rng.integers(0, len(usual), count)], where) if len(usual) else where
    )
    base, cost = v[where], c[where] + 2.0
    offsets = np.array((1.0, 1.0, 0.5, *_OFFSETS))
    sizes = offsets[g.rng.integers(0, len(offsets), count)]
    relative = (g.rng.random(count) < 0.5) & (sizes < 0.5)
    out, k = {}, 0
    for name, shape in g.shapes.items():
        m = math.prod(shape)
        steps = k + np.arange(m)
        k += m
        scale = np.where(relative, np.abs(base), 1.0)
        x = base[:, None] + (scale * sizes)[:, None] * steps
        out[name] = x.reshape(count, *shape)
    return out, cost - np.log10(sizes) * 0.1


def _random(g: _Grid, count: int) -> Part:
    """Entries uniform in their exponents, half of them of an ordinary size."""
    out = {}
    count = max(count, 0)
    for name, shape in g.shapes.items():
        v = np.abs(g.values[name][g.values[name] != 0])
        low, high = math.log10(v.min()), math.log10(v.max())
        whole = (count, *shape)
        usual = g.rng.random((count, *(1 for _ in shape))) < 0.6
        k = np.where(usual, g.rng.uniform(max(low, -4), min(high, 4), whole), g.rng.uniform(low, high, whole))
        sign = g.rng.choice([-1.0, 1.0], whole)
        out[name] = sign * 10.0**k
    return out, np.full(count, 60.0)


def _inside(found: Candidates, inputs: Inputs, dtypes: Mapping[str, str]) -> Candidates:
    """The candidates that are finite and in the domain."""
    keep = np.ones(len(found), dtype=bool)
    for name, v in found.values.items():
        rows = v.reshape(len(found), -1)
        low, high = inputs.bounds.get(name, (None, None))
        keep &= np.isfinite(rows).all(1)
        keep &= np.ones_like(keep) if low is None else (rows > low).all(1)
        keep &= np.ones_like(keep) if high is None else (rows < high).all(1)
    if len(found.values) > 1:  # any product of two monstrous numbers overflows: nobody is told that
        keep &= _tame(found, dtypes)
    found = found.take(np.nonzero(keep)[0])
    if not (inputs.conditions or inputs.facts or inputs.whole):
        return found
    settled = [inputs.settled(found.point(k, inputs.point)) for k in range(len(found))]
    rows = [k for k, p in enumerate(settled) if p is not None]
    points = [p for p in settled if p is not None]
    values = {n: np.stack([np.asarray(p[n], float) for p in points]) for n in found.values} if points else {}
    return Candidates(values, found.cost[rows]) if points else found.take(np.array([], dtype=int))


def _tame(found: Candidates, dtypes: Mapping[str, str]) -> np.ndarray:
    """Where products of the largest and of the smallest entries stay within nine tenths of the exponents."""
    info = torch.finfo(
        max((getattr(torch, real_dtype(dtypes[n])) for n in found.values), key=lambda d: torch.finfo(d).eps)
    )
    large, small = np.zeros(len(found)), np.zeros(len(found))
    for v in found.values.values():
        rows = np.abs(v.reshape(len(found), -1))
        size = np.log10(np.where(rows == 0, 1.0, rows))
        large += size.max(1).clip(0)
        small += (-size).max(1).clip(0)
    return np.maximum(large, small) < 0.9 * math.log10(info.max)


# ----------------------------------------------------------------------------------------------------------- filtering
# Which of many points are worth judging: one batch of float runs, and no balls.
#
# Each step is run as it is, in float64 with random roundings, and in float64 with the inputs alone moved.  Where the
# first two spread far more than the third, or something is not finite or flushed to zero, the point is suspicious, and
# the step where that begins is blamed.  This only chooses; `detection` judges.

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
        plain = interpret(program, BatchedFloats(n), inputs, [output, *guards])
        wide = {k: v.double() for k, v in inputs.items()}
        exact = interpret(program, BatchedFloats(n, "float64"), wide, [output])
        shaken = interpret(program, BatchedFloats(n, "float64", jitter=_EPS, seed=seed), wide, [output])
        random = torch.Generator().manual_seed(seed + 1)
        moved = {k: v * (1 + _EPS * (2 * torch.rand(v.shape, generator=random).double() - 1)) for k, v in wide.items()}
        beside = interpret(program, BatchedFloats(n, "float64"), moved, [output])
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


# -------------------------------------------------------------------------------------------------------------- search

_POINTS = 3000
_WORK = 12_000_000  # entries of float runs that the points may cost
_JUDGED = 40_000  # entries of balls that one kind of suspicion may cost
_TRIES = 24  # points of one kind of suspicion that are judged
_BRANCHES = 6
_PLAIN = 1e-4  # a relative error that anyone sees in the first digits that are printed
_WEAK = 30.0


@dataclass(frozen=True, eq=False)
class Breaking:
    """A point at which the code loses its digits: the run there, or its branch's where the code itself raises."""

    run: Run
    output: str
    losing: Losing
    raises: str | None = None


@dataclass(frozen=True, eq=False)
class _Code:
    """The formula that is looked into, the inputs that it takes and their dtypes."""

    formula: Formula
    inputs: Inputs
    dtypes: Mapping[str, str]

    def run(self, point: Mapping[str, Any]) -> Run:
        return self.formula.run(point, self.dtypes)


def breakings(
    formula: Formula,
    run: Run,
    inputs: Inputs,
    free: tuple[str, ...],
    dtypes: Mapping[str, str],
    seed: int,
    effort: float,
) -> Iterator[Breaking]:
    """The simplest point for each step that loses digits, the simplest of all first; ``run`` is one of the code's."""
    code = _Code(formula, inputs, dtypes)
    entries = sum(math.prod(s.shape) for s in run.program.steps) + 1
    count = int(min(_POINTS * effort, max(64, _WORK * effort / entries)))
    points = candidates(inputs, free, dtypes, seed, count)
    tries = int(max(4, min(_TRIES * effort, _JUDGED * effort / entries)))
    found: dict[Any, tuple[float, Breaking]] = {}
    for branch, rows in _branches(code, run, points):
        for name, output in branch.program.outputs.items():
            for cost, breaking in _on_branch(code, branch, name, output, rows, tries, seed):
                mark = _mark(breaking)
                if mark not in found or cost < found[mark][0]:
                    found[mark] = cost, breaking
    yield from (b for _, b in sorted(found.values(), key=lambda pair: pair[0]))


def _mark(b: Breaking) -> Any:
    """What makes two findings the same: the place in the code, and the way in which it breaks."""
    step = None if b.losing.step is None else b.run.program.steps[b.losing.step]
    source = None if step is None else step.source
    return b.losing.kind, None if source is None else (source.file, source.line, source.span)


def _branches(code: _Code, run: Run, points: Candidates) -> Iterator[tuple[Run, Candidates]]:
    """The branches of the code, each with the points at which it is the one that runs."""
    left = np.arange(len(points))
    for k in range(_BRANCHES):
        if not len(left):
            return
        if k:
            again = _run_at_one(code, points, left)
            if again is None:
                return
            run, left = again
        here = points.take(left)
        holds = np.ones(len(left), dtype=bool)
        if run.program.guards:
            holds = suspects(
                run.program, next(iter(run.program.outputs.values())), here, dict(code.inputs.point), 0
            ).holds
        yield run, here.take(np.nonzero(holds)[0])
        left = left[~holds][k > 0 and not holds.any() :]


def _run_at_one(code: _Code, points: Candidates, left: np.ndarray) -> tuple[Run, np.ndarray] | None:
    order = left[np.argsort(points.cost[left], kind="stable")]
    for k in order[:8].tolist():
        try:
            return code.run(points.point(k, code.inputs.point)), order
        except SymgradError:
            continue
    return None


def _on_branch(
    code: _Code, branch: Run, name: str, output: int, points: Candidates, tries: int, seed: int
) -> Iterator[tuple[float, Breaking]]:
    """For each kind of suspicion the simplest point that is confirmed."""
    inputs = code.inputs
    if not len(points) or branch.program.steps[output].is_complex:
        return
    found = suspects(branch.program, output, points, dict(inputs.point), seed)
    rows = np.nonzero(found.suspicious)[0]
    faint = found.expected[rows] < 10 * _PLAIN
    rows = rows[np.lexsort((points.cost[rows], faint))]
    for blamed in dict.fromkeys(found.blamed[rows].tolist()):
        mine = rows[found.blamed[rows] == blamed]
        weaker: Any = None
        spaced = mine[np.linspace(0, len(mine) - 1, min(tries, len(mine))).astype(int)]
        for k in dict.fromkeys([*mine[:tries].tolist(), *spaced.tolist()]):
            point = points.point(k, inputs.point)
            lost = losing(branch.program, point, output)
            if lost is None:
                continue
            lost, cost = _shorter(branch.program, lost, output, inputs, float(points.cost[k]))
            confirmed = _confirmed(code, branch, name, lost)
            if confirmed is not None and confirmed.losing.error >= _PLAIN:
                yield cost, confirmed
                break
            weaker = weaker or (confirmed and (cost + _WEAK, confirmed))
        else:
            if weaker:
                yield weaker


def _confirmed(code: _Code, branch: Run, name: str, lost: Losing) -> Breaking | None:
    """What the user's own code does at the point."""
    try:
        run = code.run(lost.point)
    except UserCodeFailed as error:
        if isinstance(error.__cause__, ArithmeticError):  # math raises where others give inf
            return Breaking(branch, name, lost, type(error.__cause__).__name__)
        return None
    except SymgradError:
        return None
    output = run.program.outputs.get(name)
    if output is None:
        return None
    again = losing(run.program, lost.point, output, run.values[name])
    if again is None or again.step is None:  # more than half of the digits are left
        return None
    if is_the_librarys_own(run.program, again.point, again.step):
        return None
    return Breaking(run, name, again)


def _shorter(program: Program, lost: Losing, output: int, inputs: Inputs, cost: float) -> tuple[Losing, float]:
    """The same loss at a point with fewer digits, if there is one near."""
    for digits in (1, 2, 3, 5):
        if cost < 20:
            break
        near = dict(lost.point)
        for n in program.inputs:
            value = np.asarray(near[n])
            if value.dtype.kind == "f" and n in inputs.free:
                near[n] = np.vectorize(lambda x, d=digits: float(f"{x:.{d - 1}e}"), otypes=[float])(value)
        settled = inputs.settled(near)
        again = None if settled is None or not inputs.is_inside(settled) else losing(program, settled, output)
        if again is not None and again.kind == lost.kind:
            return again, sum(
                cost_of(float(x)) for n in inputs.free for x in np.asarray((settled or {})[n]).reshape(-1)
            )
    return lost, cost
