"""Points to test at: seeded, exact binary numbers, near the user's own point and far from it, simple ones first.

Most sampled values have few bits, so that they are exact in every dtype and print in full.  But a formula may vanish on
all of these, as sin(2**40*pi*x) does; so one point in three has bits all the way down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.problem.constraints import settle
from symgrad.typing import Bounds

_BITS = 12  # of an ordinary point
_FURTHEST = 16.0  # how much further than the others an entry goes on its own rays
_REJECTED = 8  # draws for each point, where conditions may refuse one
_NICE = (1.0, 2.0, 0.5, -1.0, 3.0, -2.0, 0.25, 1.5, -0.5, 4.0, 0.75, 5.0, -3.0, 0.125, 10.0)


def is_within(x: np.ndarray, bounds: Bounds) -> bool:
    """Whether all entries are strictly between the bounds, as far as there are any."""
    low, high = bounds
    return not ((low is not None and np.any(x <= low)) or (high is not None and np.any(x >= high)))


@dataclass(frozen=True, eq=False)
class Inputs:
    """The user's point, and which of its parts may be moved.

    ``point`` maps names to float64 or complex128 arrays, or to values that are not floats; ``free`` are the names to
    resample; ``given`` are those that the user gave values for; ``bounds`` limits a name's entries; ``facts`` are the
    constraints that every point is moved onto; ``whole`` are names of whole numbers; ``conditions`` hold at every point
    that is looked at.
    """

    point: Mapping[str, Any]
    free: tuple[str, ...]
    given: frozenset[str]
    bounds: Mapping[str, Bounds]
    facts: tuple[Any, ...] = ()
    whole: frozenset[str] = frozenset()
    conditions: tuple[Callable[[Mapping[str, Any]], bool], ...] = ()

    def settled(self, point: dict[str, Any]) -> dict[str, Any] | None:
        """The point on the constraints, with whole numbers where they are asked for; None where a condition does not
        hold.
        """
        point = settle(point, self.facts)
        for name in self.whole & set(self.free):
            point[name] = self._to_whole(name, np.asarray(point[name]))
        return point if all(condition(point) for condition in self.conditions) else None

    def is_inside(self, point: Mapping[str, Any]) -> bool:
        """Whether all entries are strictly within their bounds."""
        return all(is_within(np.asarray(point[n]), bounds) for n, bounds in self.bounds.items() if n in point)

    def _to_whole(self, name: str, value: np.ndarray) -> np.ndarray:
        low, high = self.bounds.get(name, (None, None))
        value = np.asarray(np.rint(4 * value) if np.all(np.abs(value) < 1) else np.rint(value))
        low = -np.inf if low is None else np.floor(low) + 1
        high = np.inf if high is None else np.ceil(high) - 1
        return np.clip(value, low, high)


def rounded(x: np.ndarray, bits: int = 8) -> np.ndarray:
    """The nearest numbers with ``bits`` significant bits.

    >>> rounded(np.array([0.3, 1000.3]))
    array([3.0078125e-01, 1.0000000e+03])
    """
    if x.dtype.kind == "c":
        return rounded(np.real(x), bits) + 1j * rounded(np.imag(x), bits)
    mantissa, exponent = np.frexp(x)
    return np.asarray(np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent))


def draw(shape: tuple[int, ...], rng: np.random.Generator, bounds: Bounds = (None, None)) -> np.ndarray:
    """A random array of this shape within the bounds: normal, or uniform between two bounds."""
    low, high = bounds
    if low is not None and high is not None:
        u = rng.uniform(0.02, 0.98, shape)
        value = low + (high - low) * u
        bits = 8 + max(0, int(np.ceil(np.log2(max(abs(low), abs(high), 1e-300) / max(high - low, 1e-300)))))
        return rounded(np.asarray(value), min(bits, 20) if bits < 20 else 52)
    normal = rounded(np.asarray(rng.standard_normal(shape)))
    if low is not None:
        return np.asarray(low + rounded(np.abs(normal) + 0.0625))
    if high is not None:
        return np.asarray(high - rounded(np.abs(normal) + 0.0625))
    return normal


def scattered(inputs: Inputs, seed: Any, count: int) -> Iterator[dict[str, Any]]:
    """Points with what is free drawn anew, near and far: of sizes from a half to 32 where nothing bounds it."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        point = dict(inputs.point)
        for name in inputs.free:
            bounds = inputs.bounds.get(name, (None, None))
            drawn = draw(np.shape(point[name]), rng, bounds)
            point[name] = drawn if any(b is not None for b in bounds) else drawn * 2.0 ** int(rng.integers(-1, 6))
        yield point


def neighbours(inputs: Inputs, count: int, seed: int, bits: int = _BITS) -> Iterator[dict[str, Any]]:
    """Resampled points: first as given but for one part in ten, then further and further away, then anywhere.

    One in three has ``bits`` bits, where the inputs' dtypes have more of them than an ordinary point.
    """
    found = 0
    for k in range(count * (_REJECTED if inputs.conditions else 1)):
        rng = np.random.default_rng((seed, k))
        point = dict(inputs.point)
        for name in inputs.free:
            point[name] = _moved(point[name], inputs, name, k, rng)
            if k % 3 == 2 and bits > _BITS:
                point[name] = _fine(point[name], inputs.bounds.get(name, (None, None)), bits, (seed, 6, k))
        settled = inputs.settled(point)
        if settled is not None:
            found += 1
            yield settled
        if found == count:
            return


def _moved(value: np.ndarray, inputs: Inputs, name: str, k: int, rng: np.random.Generator) -> np.ndarray:
    bounds = inputs.bounds.get(name, (None, None))
    if not (finite := np.isfinite(value)).all():  # what masks an entry does not move
        return np.where(finite, _moved(np.where(finite, value, 1.0), inputs, name, k, rng), value)
    if name not in inputs.given and k % 2 == 0:
        scale = (1.0, 0.25, 4.0, 0.0625, 1.0, 16.0)[k // 2 % 6]
        if bounds != (None, None):
            return draw(value.shape, rng, bounds)
        return rounded(np.asarray(draw(value.shape, rng) * scale))
    reach = (0.1, 0.1, 0.7, 0.7, 0.1, 1.5)[k % 6]
    if k % 6 == 4 and name in inputs.given and value.dtype.kind != "c":
        value = _inside(-value, value, bounds)  # the mirror image: the other side of most branches
    floor = 0.05 if reach <= 0.1 else 0.5
    noise = rng.standard_normal(value.shape)
    if value.dtype.kind == "c":
        noise = noise + 1j * rng.standard_normal(value.shape)
        return rounded(value + reach * np.maximum(np.abs(value), floor) * noise, 12)
    moved = rounded(np.asarray(value + reach * np.maximum(np.abs(value), floor) * noise), 12)
    return _inside(moved, value, bounds)


def _fine(value: np.ndarray, bounds: Bounds, bits: int, seed: tuple[int, ...]) -> np.ndarray:
    """The value with random bits beyond its first dozen, down to ``bits``."""
    off = np.random.default_rng(seed).uniform(-1, 1, value.shape) * 2.0**-12
    moved = rounded(np.asarray(value * (1 + off)), bits)
    return moved if value.dtype.kind == "c" else _inside(moved, value, bounds)


def mirrored(inputs: Inputs, seed: int, most: int = 16) -> Iterator[dict[str, Any]]:
    """Points beside the user's, with the signs of some inputs changed: a domain often ends at a sign.

    >>> point = {"x": np.asarray(2.0), "y": np.asarray(3.0)}
    >>> found = mirrored(Inputs(point, ("x", "y"), frozenset(), {}), seed=0)
    >>> [(bool(p["x"] > 0), bool(p["y"] > 0)) for p in found]
    [(False, True), (True, False), (False, False)]
    """
    for k in range(1, min(2 ** min(len(inputs.free), 30), most)):
        rng = np.random.default_rng((seed, 5, k))
        point = dict(inputs.point)
        for j, name in enumerate(inputs.free):
            value = np.asarray(point[name])
            beside = rounded(value * (1 + rng.uniform(0.05, 0.25, value.shape)) + (value == 0) * draw(value.shape, rng))
            point[name] = _inside(-beside if k >> j & 1 else beside, value, inputs.bounds.get(name, (None, None)))
        settled = inputs.settled(point)
        if settled is not None:
            yield settled


def directions(inputs: Inputs, count: int, seed: int, most: tuple[str, int] | None = None) -> Iterator[dict[str, Any]]:
    """Ways away from the point, each followed by its opposite; an entry (input and place) that moves ``most`` goes
    further than all others."""
    rng = np.random.default_rng((seed, 2))
    bound = {fact.name for fact in inputs.facts}
    for _ in range(count // 2):
        way = {n: rng.standard_normal(np.shape(inputs.point[n])) for n in inputs.free if n not in bound}
        if most is not None and most[0] in way and most[1] < way[most[0]].size:
            way[most[0]].reshape(-1)[most[1]] = _FURTHEST
        yield way
        yield {n: -d for n, d in way.items()}


def beside(inputs: Inputs, way: Mapping[str, Any], dtypes: Mapping[str, str]) -> dict[str, Any]:
    """A point close to the user's own in a direction."""
    step = {n: 1e-3 if dtypes.get(n) in ("float32", "float16", "bfloat16") else 1e-7 for n in way}
    return {**inputs.point, **{n: np.asarray(inputs.point[n]) + step[n] * d for n, d in way.items()}}


def toward(inputs: Inputs, point: Mapping[str, Any], share: float) -> dict[str, Any]:
    """The point moved back toward the user's own: ``own + share * (point - own)`` for every input that may move."""
    out = dict(point)
    for name in inputs.free:
        own = inputs.point[name]
        out[name] = own + rounded(np.asarray((point[name] - own) * share))
    return settle(out, inputs.facts)


def _inside(moved: np.ndarray, value: np.ndarray, bounds: Bounds) -> np.ndarray:
    low, high = bounds
    bad = np.zeros(np.shape(moved), dtype=bool)
    if low is not None:
        bad |= moved <= low
    if high is not None:
        bad |= moved >= high
    return np.where(bad, value, moved)


def nice_points(inputs: Inputs, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Simple points, the simplest first: small integers and halves, for the inputs that may be moved."""
    scalars = [name for name in inputs.free if np.ndim(inputs.point[name]) == 0]
    for k in range(count):
        rng = np.random.default_rng((seed, 1, k))
        point = dict(inputs.point)
        pool = _NICE[: 2 + k // 2]
        for j, name in enumerate(inputs.free):
            shape = np.shape(inputs.point[name])
            if name in scalars:
                value = np.asarray(
                    _NICE[k]
                    if len(scalars) == 1 and k < len(_NICE)
                    else pool[(k + j) % len(pool)]
                    if (k < 2)
                    else rng.choice(pool)
                )
            else:
                value = rng.choice(pool[: max(3, len(pool))], shape)
            bounds = inputs.bounds.get(name, (None, None))
            low, high = bounds
            if (low is not None and np.any(value <= low)) or (high is not None and np.any(value >= high)):
                value = draw(shape, rng, bounds)
            point[name] = value.astype(np.asarray(inputs.point[name]).dtype)
        settled = inputs.settled(point)
        if settled is not None:
            yield settled
