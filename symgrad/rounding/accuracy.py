"""Rounding: how far float code may be from exact arithmetic, how far it is, and which step lost the digits.

The first bracket of ``value - truth = (value - exact run of the same code) + (exact run - exact derivative)``.
`error_bounds` bounds it from the operations alone; `distance` and `ulps` measure it; `condition` and `sensitivity` say
what accuracy the inputs allow at all; `rounding` puts a gradient by hand and one by autograd beside the truth.  Which
line an error comes from is told in `symgrad.rounding.attribution`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.evaluation.floats import to_numpy
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.cones import Cone, cone_of
from symgrad.program.derivative import reverse
from symgrad.program.program import Program, System, interpret, size
from symgrad.rounding.attribution import LineErrors
from symgrad.rounding.kernel_bounds import FORMATS, Bound, magnitude
from symgrad.rounding.running_bounds import (
    Enclosed,
    RunningErrors,
    distance,
    dtype_of,
    enclosed,
    size_of,
    ulps,
    upper,
    visible_ulps,
)

INSTABILITY = 2.0**10
"""An error above this many times u * condition is instability, and in a dtype of few digits one that leaves fewer than
half of them.

Right and stable formulas stay below 6.1, unstable ones lie above 4.7e5 (82 real cases); the number is between the
two, and no verdict on a formula depends on it.
"""

# ------------------------------------------------------------------------------------------------ what is attainable


def condition(
    program: Program,
    inputs: Mapping[str, Tensor],
    output: int,
    *,
    entries: Iterable[int] | None = None,
    bits: int = 300,
) -> Tensor:
    """``|t| + sum_i |x_i dt/dx_i|`` for entries ``t`` of a step: u times this is the accuracy that can be attained.

    ``x`` runs over all entries of all inputs; the sum is what t moves by when each input moves by one unit,
    relatively.  ``entries`` are flat positions in the step (all by default: one reverse pass in balls for each).
    Returns a float64 tensor, of the step's shape or as long as ``entries``.

    >>> b = Builder()
    >>> x, y = b.input("x", ()), b.input("y", ())
    >>> program = b.build({"t": b.sub(x, y)})
    >>> one = torch.tensor(1.0, dtype=torch.float64)
    >>> condition(program, {"x": one, "y": one}, program.output).item()
    2.0
    """
    found = []
    for t, slopes in _slopes(program, inputs, output, entries, bits):
        total = abs(t)
        for name, (places, column) in slopes.items():
            for x, slope in zip(binary(to_numpy(inputs[name]).reshape(-1)[places]), column, strict=True):
                total = total + abs(x) * abs(slope)
        found.append(upper(total.abs_upper()) if total.is_finite() else math.inf)
    result = torch.tensor(found, dtype=torch.float64)
    return result.reshape(program.shape(output)) if entries is None else result


def sensitivity(
    program: Program, inputs: Mapping[str, Tensor], output: int, entry: int, dtype: str | torch.dtype, bits: int = 300
) -> float:
    """What a step's flat ``entry`` moves by, to first order, when each input moves by half a unit in its last place.

    In ulps that ``dtype`` has there; the inputs' units are those of their own dtypes.

    >>> b = Builder()
    >>> x, y = b.input("x", (), "float32"), b.input("y", (), "float32")
    >>> program = b.build({"t": b.sub(x, y)})
    >>> at = {"x": torch.tensor(1.5), "y": torch.tensor(1.25)}
    >>> sensitivity(program, at, program.output, 0, "float32")  # 0.25 has gaps four times as narrow
    4.0
    """
    halves = {}
    for name, x in inputs.items():
        one = torch.ones(x.numel(), dtype=torch.float64)
        halves[name] = 0.5 / ulps(one, x.detach().double().reshape(-1), x.dtype) if x.is_floating_point() else 0 * one
    ((here, slopes),) = _slopes_in_floats(program, inputs, output, [entry])
    moved = [(halves[name][places], slope) for name, (places, slope) in slopes.items()]
    total = float(sum((half * magnitude(slope.value)).sum() for half, slope in moved))
    off = float(sum((half * slope.error).sum() for half, slope in moved))
    size, far = float(magnitude(here.value)), float(here.error)
    if not (off <= _NEAR * total and far <= _NEAR * size):
        ((t, columns),) = _slopes(program, inputs, output, [entry], bits)
        size, total = size_of(t), 0.0
        for name, (places, column) in columns.items():
            total += sum(h * size_of(slope) for h, slope in zip(halves[name][places].tolist(), column, strict=True))
    return float(ulps(torch.tensor(total, dtype=torch.float64), torch.tensor(size, dtype=torch.float64), dtype))


_NEAR = 2.0**-14  # a relative error of no matter where a number of ulps is told to three digits


@dataclass(frozen=True, eq=False)
class _Adjoint:
    """The cone of some entries of a step, and its reverse pass from an upstream that is an input called "seed"."""

    cone: Cone
    program: Program
    top: int
    leaves: Mapping[str, tuple[int, np.ndarray]]  # of each input: the step of its adjoint, and the flat places it is of
    seeds: Sequence[int]  # where the entries lie in the upstream

    @classmethod
    def of(cls, program: Program, output: int, entries: Iterable[int] | None) -> _Adjoint:
        chosen = list(range(size(program.shape(output))) if entries is None else entries)
        cone = cone_of(program, {output: chosen})
        b, top = Builder.on(cone.program), cone.place[output]
        seed = b.emit("input", (), "seed", cone.program.shape(top), program.steps[output].dtype)
        inputs = {name: program.inputs[name] for name in cone.program.inputs}
        of, _ = reverse(b, {top: seed}, {cone.place[i] for i in inputs.values()})
        reached = {name: (of.get(cone.place[i]), cone.entries[i]) for name, i in inputs.items()}
        leaves = {name: (a, places) for name, (a, places) in reached.items() if a is not None}
        return cls(cone, b.build({}), top, leaves, cone.where(output, chosen).tolist())

    def seed(self, k: int) -> np.ndarray:
        """An upstream that is one in one place."""
        one = np.zeros(size(self.program.shape(self.top)))
        one[k] = 1.0
        return one.reshape(self.program.shape(self.top))

    def run(self, system: System, inputs: Mapping[str, Any], seed: Callable[[np.ndarray], Any]) -> Iterator[Any]:
        """For each entry, the values of all entries' step and of the adjoints, in a number system."""
        forward = interpret(self.cone.program, system, inputs, [self.top])
        for k in self.seeds:
            wanted = [a for a, _ in self.leaves.values()]
            found = interpret(self.program, system, {"seed": seed(self.seed(k)), **inputs}, wanted, replaced=forward)
            yield k, forward[self.top], {name: found[a] for name, (a, _) in self.leaves.items()}


def _slopes(
    program: Program, inputs: Mapping[str, Tensor], output: int, entries: Iterable[int] | None, bits: int
) -> Iterator[tuple[Any, dict[str, tuple[np.ndarray, np.ndarray]]]]:
    """For each of ``entries``: its ball, and for each input flat places and derivatives; those elsewhere are zero."""
    adjoint = _Adjoint.of(program, output, entries)
    with precision(bits):
        values = adjoint.cone.of_inputs(program, {name: to_numpy(x) for name, x in inputs.items()})
        for k, here, slopes in adjoint.run(Balls(), {name: binary(x) for name, x in values.items()}, binary):
            yield flat(here)[k], {name: (adjoint.leaves[name][1], flat(x)) for name, x in slopes.items()}


def condition_floor(program: Program, inputs: Mapping[str, Tensor], output: int, entries: Iterable[int]) -> Tensor:
    """A lower bound of `condition` from floats with running bounds, for what it takes to see that it is large.

    >>> b = Builder()
    >>> x, y = b.input("x", ()), b.input("y", ())
    >>> program = b.build({"t": b.sub(x, y)})
    >>> one = torch.tensor(1.0, dtype=torch.float64)
    >>> 1.9 < condition_floor(program, {"x": one, "y": one}, program.output, [0]).item() <= 2.0
    True

    Guarantee: as far as that of `error_bounds` goes, no larger than the condition; zero where nothing is known.
    """
    found = []
    for here, slopes in _slopes_in_floats(program, inputs, output, entries):
        parts = [_least(here)]
        for name, (places, slope) in slopes.items():
            parts.append((magnitude(inputs[name]).reshape(-1)[places] * _least(slope)).sum())
        found.append(0.99 * float(sum(torch.nan_to_num(p, nan=0.0) for p in parts)))  # rounded down, by far
    return torch.tensor(found, dtype=torch.float64)


def _slopes_in_floats(
    program: Program, inputs: Mapping[str, Tensor], output: int, entries: Iterable[int]
) -> Iterator[tuple[Bound, dict[str, tuple[Tensor, Bound]]]]:
    """As `_slopes`, in floats with running bounds; in float64 where no step is complex, for that knows the most."""
    if not any(step.is_complex for step in program.steps):
        program = replace(program, steps=tuple(replace(step, dtype="float64") for step in program.steps))
        inputs = {name: x.double() for name, x in inputs.items()}
    adjoint = _Adjoint.of(program, output, entries)
    places = {
        name: torch.from_numpy(adjoint.cone.entries[program.inputs[name]]) for name in adjoint.cone.program.inputs
    }
    start = {}
    for name, i in adjoint.cone.program.inputs.items():
        some = inputs[name].detach().reshape(-1)[places[name]]
        start[name] = Bound.exact(some.reshape(adjoint.cone.program.shape(i)))
    kind = getattr(torch, program.steps[output].dtype)
    for k, here, slopes in adjoint.run(RunningErrors(), start, lambda x: Bound.exact(torch.from_numpy(x).to(kind))):
        flatly = {name: Bound(x.value.reshape(-1), x.error.reshape(-1)) for name, x in slopes.items()}
        yield (
            Bound(here.value.reshape(-1)[k], here.error.reshape(-1)[k]),
            {name: (places[name], x) for name, x in flatly.items()},
        )


def _least(x: Bound) -> Tensor:
    """The least that the exact value may be in size."""
    return torch.nan_to_num((magnitude(x.value) - x.error).clamp(min=0), nan=0.0, posinf=0.0)


def is_unstable(error: Tensor, attainable: Tensor, dtype: str | torch.dtype, broken: Tensor | bool = False) -> Tensor:
    """Where rounding lost what the inputs still have: an error far above what can be attained.

    ``u * condition + eta`` can be attained, eta being the smallest subnormal number; far above it is `INSTABILITY`
    times as much or, in a dtype of few digits, what leaves fewer than half of them.  A value that is ``broken`` (not
    finite, or zero for a normal number, see `Side`) is unstable as soon as it is further off than that can be.
    """
    f = FORMATS[dtype_of(dtype)]
    reach = f.unit * attainable + f.eta
    most = min(INSTABILITY, 2.0 ** (f.digits / 2 + 1))
    return torch.as_tensor((error > most * reach) | broken & ((error > reach) | torch.isinf(error)))


# ------------------------------------------------------------------------------------------------ the two gradients

Place = tuple[int, ...]


@dataclass(frozen=True)
class Side:
    """One computed gradient against the truth; errors in ulps of the dtype at the truth.

    ``worst`` is the index of the entry with the largest error, ``bound`` the largest running bound (None if there is
    none, or it is infinite), ``outside`` the indices of entries whose error exceeds their bound (and half an ulp, which
    the nearest float may miss).  ``broken`` are the
    entries that are no ordinary number where the truth is one, and what they are: "not a number", "infinite", or "zero"
    for a normal number.  ``lost`` are those among the others that keep fewer than half of their digits, and ``kept``
    the largest error of all others.  ``beyond`` are the entries that no float of the dtype could hold: the truth is
    larger than the largest, and what was computed is no number; they count nowhere else.

    Where nothing tells the truth from zero there is no unit that an error could be counted in: what is not told from
    zero either has none, and ``at_zero`` is how far the worst entry is off, and how large its truth may be, if it is
    such an entry.
    """

    largest: float
    median: float
    worst: Place
    bound: float | None
    outside: tuple[Place, ...]
    lost: tuple[Place, ...]
    kept: float = 0.0
    broken: tuple[tuple[Place, str], ...] = ()
    beyond: tuple[Place, ...] = ()
    entries: int = 1
    at_zero: tuple[float, float] | None = None

    @property
    def far(self) -> str:
        """How far the worst entry is off, in words: in ulps, or as it is where the truth has no unit."""
        if self.at_zero is None:
            return f"{_number(self.largest)} ulp"
        off, truth = self.at_zero
        return f"{_digits(off)} where the truth is {f'below {_digits(truth)}' if truth else 'zero'}"

    @property
    def within(self) -> bool | None:
        """Whether every entry is within its bound; None where there is no bound."""
        return False if self.outside else None if self.bound is None else True

    @property
    def is_sound(self) -> bool:
        """Whether every entry keeps half of its digits."""
        return not self.lost and not self.broken


@dataclass(frozen=True)
class Rounding:
    """What rounding did to one gradient at one point: by hand, and by autograd if it was run.

    ``lines`` takes the hand formula's error apart at its worst entry, line by line.  ``sensitivity`` is what that entry
    of the exact derivative moves by, in ulps, when each input moves by half a unit in its last place; it is known where
    the error is large.
    """

    dtype: str
    hand: Side
    autograd: Side | None
    equal: bool
    lines: LineErrors | None = None
    sensitivity: float | None = None

    @property
    def who_is_closer(self) -> str:
        """``"yours"``, ``"autograd"``, ``"neither"`` or, with no autograd to compare, ``"alone"``."""
        if self.autograd is None:
            return "alone"
        mine, other = (self.hand.largest, self.hand.median), (self.autograd.largest, self.autograd.median)
        return "neither" if mine == other else "yours" if mine < other else "autograd"

    @property
    def is_only_rounding(self) -> bool:
        """Whether the two sides differ, and each keeps its digits and is no further off than rounding can take it."""
        sides = [self.hand] if self.autograd is None else [self.hand, self.autograd]
        sound = all(side.is_sound and side.within is not False for side in sides)
        return self.autograd is not None and not self.equal and sound

    @property
    def sentence(self) -> str:
        """The finding in one sentence."""
        hand, other = self.hand, self.autograd
        if hand.broken or (other is not None and other.broken):
            return _breaking(hand, other, self.equal)
        if other is None:
            return _alone(hand)
        both = f"(at most {hand.far}, autograd {other.far})"
        reverse_ = f"(at most {other.far}, yours {hand.far})"
        if self.equal:
            alike = (
                "both give the same, and have lost their digits" if hand.lost else "both are the same to the last bit"
            )
            return f"{alike} (at most {hand.far})" if hand.largest else "both are exact"
        if hand.within is not False and other.within is False:
            return f"autograd is what differs: it is further from the truth than rounding can take it {both}"
        if hand.within is False:
            tail = "" if other.within is not False else "; so is autograd"
            return f"yours is further from the truth than rounding can take it{tail} {both}"
        apart = max(hand.largest, other.largest) > 4 * min(hand.largest, other.largest)
        if hand.lost and not other.lost and apart:
            return f"yours loses its digits; autograd keeps them {reverse_}"
        if other.lost and not hand.lost and apart:
            return f"autograd loses its digits; yours keeps them {both}"
        opening = "both are within rounding" if hand.within and other.within else "both are right"
        if hand.lost or other.lost:
            opening = "both lose their digits" if hand.lost and other.lost else "both keep few digits"
        if hand.far == other.far:
            return f"{opening} (at most {hand.far})"
        match self.who_is_closer:
            case "yours":
                return f"{opening}; yours is closer to the truth {both}"
            case "autograd":
                return f"{opening}; autograd is closer to the truth {reverse_}"
        return f"{opening}, and equally far from the truth {both}"


def _breaking(hand: Side, other: Side | None, equal: bool) -> str:
    """Where values are no ordinary numbers: which entries, whose, and how the rest is."""
    ordinary = "where the truth is an ordinary number"
    if other is None:
        return f"yours is {_broken(hand)}, {ordinary}{_rest(hand, 'yours')}"
    if hand.broken and other.broken:
        if equal or hand.broken == other.broken:
            return f"yours and autograd are both {_broken(hand)}, {ordinary}{_rest(hand, 'yours')}"
        return f"yours is {_broken(hand)} and autograd is {_broken(other)}, {ordinary}{_rest(hand, 'yours')}"
    if hand.broken:
        kept = "loses its digits there too" if other.lost else "keeps its digits"
        at_most = "" if not other.largest else f" (at most {other.far})"
        return f"yours is {_broken(hand)}, {ordinary}; autograd {kept}{at_most}"
    kept = "loses its digits there too" if hand.lost else "keeps its digits"
    at_most = "" if not hand.largest else f" (at most {hand.far})"
    return f"autograd is {_broken(other)}, {ordinary}; yours {kept}{at_most}"


def _broken(side: Side) -> str:
    """What the entries are that are no ordinary numbers, and which they are."""
    kinds: dict[str, list[Place]] = {}
    for place, what in side.broken:
        kinds.setdefault(what, []).append(place)
    return " and ".join(f"{what}{_where(places, side.entries)}" for what, places in kinds.items())


def _where(places: list[Place], entries: int) -> str:
    if places == [()]:
        return ""
    if len(places) == 1:
        return f" in entry [{', '.join(map(str, places[0]))}]"
    return f" in all {entries} entries" if len(places) == entries else f" in {len(places)} of {entries} entries"


def _rest(side: Side, name: str) -> str:
    if len(side.broken) == side.entries:
        return ""
    return f"; elsewhere {name} is {'exact' if not side.kept else f'off by at most {_number(side.kept)} ulp'}"


def _alone(side: Side) -> str:
    off = f"off by at most {side.far}"
    if not side.largest:
        return "yours is exact"
    if side.within is False:
        return f"further from the truth than rounding can take it; yours is {off}"
    if side.lost:
        return f"yours loses its digits: it is {off}"
    return f"{'within rounding' if side.within else 'right'}; yours is {off}"


def _number(x: float) -> str:
    """An upper bound to one decimal: "at most 0.1 ulp" for 0.03."""
    if not math.isfinite(x):
        return "infinitely many"
    if x < 1e4:
        return f"{math.ceil(10 * x) / 10:.1f}"
    return _digits(x)


def _digits(x: float) -> str:
    """Two digits, rounded up: ``6.6e-17``."""
    unit = 10.0 ** (math.floor(math.log10(x)) - 1)
    return f"{math.ceil(x / unit) * unit:.1e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def rounding(
    hand: Tensor,
    truth: Any,
    *,
    autograd: Tensor | None = None,
    hand_bound: Tensor | None = None,
    autograd_bound: Tensor | None = None,
    dtype: str | torch.dtype | None = None,
) -> Rounding:
    """Put a gradient by hand, and autograd's, beside the truth in balls.

    ``hand`` and ``autograd`` are what was computed, ``truth`` balls of the same shape, at some 300 bits, or
    `Enclosed`; the bounds are float64 tensors as from `error_bounds` and ``autograd_bounds``; ``dtype`` (by default
    ``hand``'s) is what the ulps are of.

    >>> from symgrad.evaluation.balls import ball_of
    >>> with precision(300):
    ...     third = ball_of(1) / 3
    ...     r = rounding(torch.tensor(1 / 3), third, autograd=torch.tensor(0.33333328))
    >>> r.sentence
    'both are right; yours is closer to the truth (at most 0.4 ulp, autograd 1.7 ulp)'

    Guarantee: an entry is called outside its bound only if the distance, rounded down, exceeds it.
    """
    kind = hand.dtype if dtype is None else dtype_of(dtype)
    truth = truth if isinstance(truth, Enclosed) else enclosed(truth)
    size = truth.sizes().reshape(hand.shape)
    other = None if autograd is None else _side(autograd, truth, size, autograd_bound, kind)
    equal = autograd is not None and hand.dtype == autograd.dtype and torch.equal(hand, autograd)
    name = str(kind).removeprefix("torch.")
    return Rounding(name, _side(hand, truth, size, hand_bound, kind), other, equal)


def _side(value: Tensor, truth: Any, size: Tensor, bound: Tensor | None, dtype: torch.dtype) -> Side:
    low, high = distance(value, truth)
    far = visible_ulps(low, high, size, dtype)
    if not far.numel():
        return Side(0.0, 0.0, (), None if bound is None else 0.0, (), (), entries=0)
    finite, largest = torch.isfinite(value), torch.finfo(dtype).max
    beyond = ~finite & (size > largest) & torch.isfinite(size)
    far = torch.where(beyond, 0.0, far)
    zero = (value == 0) & (size >= FORMATS[dtype].normal)
    broken = ((~finite & (far > 0)) | zero) & ~beyond
    kept = torch.where(broken, 0.0, far)
    worst = tuple(int(k) for k in np.unravel_index(int(far.argmax()), tuple(far.shape)))
    allowed = None if bound is None or not bool(torch.isfinite(bound).all()) else float(ulps(bound, size, dtype).max())
    outside = () if bound is None else _indices((low > bound) & (ulps(low, size, dtype) > 0.5))
    half = 2.0 ** (FORMATS[dtype].digits / 2)
    at_zero = None
    if size[worst] == 0 and far[worst] > 0:
        most = float(distance(torch.zeros_like(value), truth)[1][worst])
        at_zero = float(high[worst]), most if most >= FORMATS[dtype].normal else 0.0  # as floats tell zero
    told = tuple((place, _what(value[place].item())) for place in _indices(broken))
    return Side(
        float(far.max()),
        float(far[size > 0].median()) if bool((size > 0).any()) else 0.0,
        worst,
        allowed,
        outside,
        _indices((kept > half) & (size > 0)),
        float(kept.max()),
        told,
        _indices(beyond),
        far.numel(),
        at_zero,
    )


def _what(x: float | complex) -> str:
    return "zero" if x == 0 else "not a number" if x != x else "infinite"


def _indices(mask: Tensor) -> tuple[Place, ...]:
    return tuple(tuple(k) for k in mask.nonzero().tolist())
