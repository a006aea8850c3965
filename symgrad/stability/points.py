"""Points at which floats may break, the simplest first: round numbers of every magnitude, alone and side by side.

Every point is numbers of the dtype.  Arrays are filled by patterns (all alike, one apart, equally spaced, near each
other), since what breaks an array formula is how its entries compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.problem.sampling import Bounds, Inputs

__all__ = ["Candidates", "candidates", "cost_of", "plain_values"]

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
    values = {name: np.array(plain_values(inputs.bounds.get(name, (None, None)), _real(dtypes[name]))) for name in free}
    costs = {name: np.array([cost_of(x) for x in v.tolist()]) for name, v in values.items()}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in free}
    total: list[np.ndarray] = []
    for part in _parts(shapes, values, costs, n, count, rng):
        for name in free:
            columns[name].append(part[0][name])
        total.append(part[1])
    joined = {name: _in_dtype(np.concatenate(c), dtypes[name]) for name, c in columns.items()}
    return _inside(Candidates(joined, np.concatenate(total)), inputs, dtypes)


def _real(dtype: str) -> str:
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def _in_dtype(x: np.ndarray, dtype: str) -> np.ndarray:
    return torch.as_tensor(x).to(getattr(torch, _real(dtype))).double().numpy()


Part = tuple[dict[str, np.ndarray], np.ndarray]


def _parts(
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, np.ndarray],
    costs: Mapping[str, np.ndarray],
    n: int,
    count: int,
    rng: np.random.Generator,
) -> Iterator[Part]:
    if n == 1:
        name = next(x for x in shapes if math.prod(shapes[x]) == 1)
        yield {name: values[name].reshape(-1, *shapes[name])}, costs[name]
        yield _random(shapes, values, count - len(values[name]), rng)
        return
    yield _patterned(shapes, values, costs, count // 2, rng)
    yield _near(shapes, values, costs, count // 4, rng)
    yield _random(shapes, values, count // 4, rng)


def _patterned(
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, np.ndarray],
    costs: Mapping[str, np.ndarray],
    count: int,
    rng: np.random.Generator,
) -> Part:
    """Each input a round number, or an array in a simple pattern of one.

    What one input goes through in order the others are drawn for, simple numbers more often; each input has its turn.
    """
    out, cost = {}, np.zeros(count)
    turns = len(shapes)
    for j, (name, shape) in enumerate(shapes.items()):
        v, c = values[name], costs[name]
        m = math.prod(shape)
        mine = np.arange(count) % turns == j
        where = np.minimum((len(v) * rng.random(count) ** 4).astype(int), len(v) - 1)
        pattern = rng.integers(0, 4, count) if m > 1 else np.zeros(count, dtype=int)
        order = np.cumsum(mine) - 1
        where = np.where(mine, (order // (4 if m > 1 else 1)) % len(v), where)
        pattern = np.where(mine & (m > 1), order % 4, pattern)
        base, cost = v[where], cost + c[where]
        if m == 1:
            out[name] = base.reshape(count, *shape)
            continue
        second = np.minimum((len(v) * rng.random(count) ** 4).astype(int), len(v) - 1)
        steps = np.arange(m)
        simple = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 5.0])[steps % 8] + 0.5 * (steps // 8)
        flat = np.repeat(base[:, None], m, axis=1)
        flat = np.where((pattern == 1)[:, None] & (steps > 0), v[second][:, None], flat)  # one apart from the others
        flat = np.where((pattern == 2)[:, None], base[:, None] + steps, flat)  # equally spaced
        flat = np.where((pattern == 3)[:, None], base[:, None] * simple, flat)
        cost = cost + np.select([pattern == k for k in (1, 2, 3)], [c[second], 0.3, 0.6], 0.0)
        out[name] = flat.reshape(count, *shape)
    return out, cost


def _near(
    shapes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, np.ndarray],
    costs: Mapping[str, np.ndarray],
    count: int,
    rng: np.random.Generator,
) -> Part:
    """All entries of all inputs near one number."""
    first = next(iter(values))
    v, c = values[first], costs[first]
    where = np.minimum((len(v) * rng.random(count) ** 1.7).astype(int), len(v) - 1)
    usual = np.nonzero((np.abs(v) >= 1) & (np.abs(v) < 1e6))[0]
    where = np.where(rng.random(count) < 0.5, usual[rng.integers(0, len(usual), count)], where) if len(usual) else where
    base, cost = v[where], c[where] + 2.0
    offsets = np.array((1.0, 1.0, 0.5, *_OFFSETS))
    sizes = offsets[rng.integers(0, len(offsets), count)]
    relative = (rng.random(count) < 0.5) & (sizes < 0.5)
    out, k = {}, 0
    for name, shape in shapes.items():
        m = math.prod(shape)
        steps = k + np.arange(m)
        k += m
        scale = np.where(relative, np.abs(base), 1.0)
        x = base[:, None] + (scale * sizes)[:, None] * steps
        out[name] = x.reshape(count, *shape)
    return out, cost - np.log10(sizes) * 0.1


def _random(
    shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, np.ndarray], count: int, rng: np.random.Generator
) -> Part:
    """Entries uniform in their exponents, half of them of an ordinary size."""
    out = {}
    count = max(count, 0)
    for name, shape in shapes.items():
        v = np.abs(values[name][values[name] != 0])
        low, high = math.log10(v.min()), math.log10(v.max())
        whole = (count, *shape)
        usual = rng.random((count, *(1 for _ in shape))) < 0.6
        k = np.where(usual, rng.uniform(max(low, -4), min(high, 4), whole), rng.uniform(low, high, whole))
        sign = rng.choice([-1.0, 1.0], whole)
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
    """Where the largest entries of all inputs have a product within nine tenths of the dtype's exponents, and so have
    the smallest.
    """
    info = torch.finfo(max((getattr(torch, _real(dtypes[n])) for n in found.values), key=lambda d: torch.finfo(d).eps))
    large, small = np.zeros(len(found)), np.zeros(len(found))
    for v in found.values.values():
        rows = np.abs(v.reshape(len(found), -1))
        size = np.log10(np.where(rows == 0, 1.0, rows))
        large += size.max(1).clip(0)
        small += (-size).max(1).clip(0)
    return np.maximum(large, small) < 0.9 * math.log10(info.max)
