"""Rounding: how far float code may be from exact arithmetic, how far it is, and which step lost the digits.

The first bracket of ``value - truth = (value - exact run of the same code) + (exact run - exact derivative)``.
`error_bounds` bounds it from the operations alone; `distance` and `ulps` measure it; `condition` says what accuracy
the formula allows at all; `explain_loss` finds the step at which an unstable formula loses its digits; `rounding`
puts a gradient by hand and one by autograd beside the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flint import arb
from torch import Tensor

from symgrad.building import Builder
from symgrad.derivative import reverse
from symgrad.evaluation.balls import Balls, binary, precision
from symgrad.evaluation.entries import array_of, flat
from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.evaluation.kernel_errors import FORMATS, Bound
from symgrad.evaluation.running_errors import (
    LINEAR_ALGEBRA,
    RunningErrors,
    distance,
    dtype_of,
    error_bounds,
    lower,
    ulps,
    upper,
)
from symgrad.ops.structure import COMPOSITES
from symgrad.program import Program, interpret, positions

__all__ = [
    "INSTABILITY",
    "Bound",
    "Loss",
    "Rounding",
    "RunningErrors",
    "Side",
    "condition",
    "distance",
    "error_bounds",
    "explain_loss",
    "is_unstable",
    "rounding",
    "ulps",
]


INSTABILITY = 2.0**10
"""An error above this many times u * condition is instability.

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
    b = Builder.on(program)
    step = program.steps[output]
    seed = b.emit("input", (), "seed", step.shape, step.dtype)
    leaves = {i: name for name, i in program.inputs.items()}
    of, _ = reverse(b, {output: seed}, set(leaves))
    whole = b.build(program.outputs)
    wanted = {i: of[i] for i in leaves if i in of}
    n = int(np.prod(step.shape, dtype=np.int64))
    found = []
    with precision(bits):
        start = {name: binary(to_numpy(value)) for name, value in inputs.items()}
        forward = interpret(program, Balls(), start, _used(program, output))
        here = flat(forward[output])
        for k in range(n) if entries is None else entries:
            start["seed"] = array_of([arb(int(j == k)) for j in range(n)], step.shape)
            replaced = {i: x for i, x in forward.items() if i != seed}
            adjoints = interpret(whole, Balls(), start, wanted.values(), replaced=replaced)
            total = abs(here[k])
            for i, a in wanted.items():
                for x, slope in zip(flat(start[leaves[i]]), flat(adjoints[a]), strict=True):
                    total = total + abs(x) * abs(slope)
            found.append(upper(total.abs_upper()) if total.is_finite() else math.inf)
    result = torch.tensor(found, dtype=torch.float64)
    return result.reshape(step.shape) if entries is None else result


def _used(program: Program, output: int) -> list[int]:
    return program.needed([output])


def is_unstable(error: Tensor, attainable: Tensor, dtype: str | torch.dtype) -> Tensor:
    """Where an error is more than `INSTABILITY` times ``u * condition``: rounding lost what the formula still has."""
    return error > INSTABILITY * FORMATS[dtype_of(dtype)].unit * attainable


# ------------------------------------------------------------------------------------------------ where digits go


@dataclass(frozen=True, slots=True)
class Loss:
    """The step that lost the digits: relative errors of what went in and of what came out, at the worst entry."""

    step: int
    entry: int
    before: float
    after: float


def explain_loss(program: Program, inputs: Mapping[str, Tensor], output: int, *, bits: int = 300) -> Loss | None:
    """The step at which the relative error jumps, followed back from the worst entry of ``output``.

    Every step's float value is compared with its exact run.  From the entry of ``output`` that is relatively worst
    the way leads back to the arguments that are nearly as wrong; the step none of whose arguments are is the one.
    None if ``output`` keeps half of its digits.

    >>> b = Builder()
    >>> z = b.input("z", (), "float32")
    >>> s = b.apply("sigmoid", z)
    >>> rest = b.sub(b.number(1, "float32"), s)
    >>> program = b.build({"slope": b.mul(s, rest)})
    >>> loss = explain_loss(program, {"z": torch.tensor(17.0)}, program.output)
    >>> loss.step == rest, loss.before < 1e-7, loss.after > 0.99
    (True, True, True)
    """
    steps = program.needed([output])
    floats = interpret(program, Floats(), inputs, steps)
    with precision(bits):
        exact = interpret(program, Balls(), {n: binary(to_numpy(v)) for n, v in inputs.items()}, steps)
        errors = {i: _errors(floats[i], exact[i]) for i in steps}
    relative, absolute = ({i: e[k].reshape(-1) for i, e in errors.items()} for k in (0, 1))
    here, entry = output, int(relative[output].argmax()) if relative[output].numel() else 0
    if not relative[output].numel() or relative[output][entry] <= math.sqrt(FORMATS[floats[output].dtype].unit):
        return None
    while True:
        step, after = program.steps[here], float(relative[here][entry])
        used = _entries_used(program, here, entry)
        sizes = [(float(relative[a][k]), float(absolute[a][k]), a, k) for a, ks in used for k in ks]
        before = max((r for r, *_ in sizes), default=0.0)
        share = float(absolute[here][entry]) / (8 * len(sizes)) if step.op in ("add", "sub", "scatter") else 0.0
        guilty = [s for s in sizes if s[0] >= min(after, 1.0) / 8 and s[1] >= share]
        if not guilty:
            return Loss(here, entry, before, after)
        _, _, here, entry = max(guilty, key=lambda s: (s[0], s[1]))


def _errors(value: Tensor, exact: Any) -> tuple[Tensor, Tensor]:
    """Relative and absolute errors; a relative error is at least zero over zero, that is zero."""
    _, far = distance(value, exact)
    size = torch.tensor([_size(x) for x in flat(exact)], dtype=torch.float64).reshape(far.shape)
    return torch.where(far == 0, 0.0, far / size), far


def _size(x: Any) -> float:
    return lower(abs(x).abs_lower()) if x.is_finite() else math.inf


def _entries_used(program: Program, i: int, entry: int) -> list[tuple[int, list[int]]]:
    """The entries of the arguments of step ``i`` that one entry of its result is made of: (argument, positions)."""
    step = program.steps[i]
    shapes = [program.shape(a) for a in step.args]
    match step.op:
        case "pick":
            where, start = int(positions(step.params, step.shape)[entry]), 1
            for a, shape in zip(step.args, shapes, strict=True):
                n = math.prod(shape)
                if start <= where < start + n:
                    return [(a, [where - start])]
                start += n
            return []
        case "scatter":
            landed = positions(step.params, shapes[0])
            return [(step.args[0], np.nonzero(landed == entry + 1)[0].tolist())]
        case "matmul":
            batch, row, column = np.unravel_index(entry, step.shape)
            k, m = shapes[0][2], step.shape[2]
            left = [int((batch * step.shape[1] + row) * k + j) for j in range(k)]
            right = [int((batch * k + j) * m + column) for j in range(k)]
            return [(step.args[0], left), (step.args[1], right)]
    if all(shape == step.shape for shape in shapes) and step.op not in COMPOSITES and step.op not in LINEAR_ALGEBRA:
        return [(a, [entry]) for a in step.args]
    return [(a, list(range(math.prod(shape)))) for a, shape in zip(step.args, shapes, strict=True)]


# ------------------------------------------------------------------------------------------------ the two gradients


@dataclass(frozen=True)
class Side:
    """One computed gradient against the truth; errors in ulps of the dtype at the truth.

    ``worst`` is the index of the entry with the largest error, ``bound`` the largest running bound (None if there is
    none), ``outside`` the indices of entries whose error exceeds their bound, ``lost`` of those that keep fewer than
    half of their digits.
    """

    largest: float
    median: float
    worst: tuple[int, ...]
    bound: float | None
    outside: tuple[tuple[int, ...], ...]
    lost: tuple[tuple[int, ...], ...]

    @property
    def within(self) -> bool | None:
        """Whether every entry is within its bound; None where there is no bound."""
        return None if self.bound is None else not self.outside


@dataclass(frozen=True)
class Rounding:
    """What rounding did to one gradient at one point: by hand, and by autograd if it was run."""

    dtype: str
    hand: Side
    autograd: Side | None
    equal: bool
    lost_at: int | None = None

    @property
    def who_is_closer(self) -> str:
        """``"yours"``, ``"autograd"``, ``"neither"`` or, with no autograd to compare, ``"alone"``."""
        if self.autograd is None:
            return "alone"
        mine, other = (self.hand.largest, self.hand.median), (self.autograd.largest, self.autograd.median)
        return "neither" if mine == other else "yours" if mine < other else "autograd"

    @property
    def sentence(self) -> str:
        """The finding in one sentence."""
        hand, other = self.hand, self.autograd
        if other is None:
            return "yours is exact" if not hand.largest else f"{_standing(hand)}; {_off(hand)}"
        both = f"(at most {_number(hand.largest)} ulp, autograd {_number(other.largest)} ulp)"
        reverse_ = f"(at most {_number(other.largest)} ulp, yours {_number(hand.largest)} ulp)"
        if self.equal:
            alike = (
                "both give the same, and have lost their digits" if hand.lost else "both are the same to the last bit"
            )
            return f"{alike} (at most {_number(hand.largest)} ulp)" if hand.largest else "both are exact"
        if hand.within is not False and other.within is False:
            return f"autograd is what differs: it is further from the truth than rounding can take it {both}"
        if hand.within is False:
            tail = "" if other.within is not False else "; so is autograd"
            return f"yours is further from the truth than rounding can take it{tail} {both}"
        if hand.lost and not other.lost:
            return f"the formula is right and loses its digits; autograd keeps them {reverse_}"
        if other.lost and not hand.lost:
            return f"autograd loses its digits; yours keeps them {both}"
        opening = "both are within rounding" if hand.within and other.within else "both are right"
        if not hand.lost and _number(hand.largest) == _number(other.largest):
            return f"{opening} (at most {_number(hand.largest)} ulp)"
        if hand.lost:
            opening = "both lose their digits"
        match self.who_is_closer:
            case "yours":
                return f"{opening}; yours is closer to the truth {both}"
            case "autograd":
                return f"{opening}; autograd is closer to the truth {reverse_}"
        return f"{opening}, and equally far from the truth {both}"


def _off(side: Side) -> str:
    return f"yours is off by at most {_number(side.largest)} ulp"


def _standing(side: Side) -> str:
    if side.within is False:
        return "further from the truth than rounding can take it"
    if side.lost:
        return "the formula is right and loses its digits"
    return "within rounding" if side.within else "right"


def _number(x: float) -> str:
    """An upper bound to one decimal: "at most 0.1 ulp" for 0.03."""
    if not math.isfinite(x):
        return "infinitely many"
    if x < 1e4:
        return f"{math.ceil(10 * x) / 10:.1f}"
    unit = 10.0 ** (math.floor(math.log10(x)) - 1)
    return f"{math.ceil(x / unit) * unit:.1e}".replace("e+0", "e").replace("e+", "e")


def rounding(
    hand: Tensor,
    truth: Any,
    *,
    autograd: Tensor | None = None,
    hand_bound: Tensor | None = None,
    autograd_bound: Tensor | None = None,
    dtype: str | torch.dtype | None = None,
    lost_at: int | None = None,
) -> Rounding:
    """Put a gradient by hand, and autograd's, beside the truth in balls.

    ``hand`` and ``autograd`` are what was computed, ``truth`` balls of the same shape, at some 300 bits; the bounds
    are float64 tensors as from `error_bounds` and ``autograd_bounds``; ``dtype`` (by default ``hand``'s) is what the
    ulps are of; ``lost_at`` the step found by `explain_loss`.

    >>> from symgrad.evaluation.balls import ball_of
    >>> with precision(300):
    ...     third = ball_of(1) / 3
    ...     r = rounding(torch.tensor(1 / 3), third, autograd=torch.tensor(0.33333328))
    >>> r.sentence
    'both are right; yours is closer to the truth (at most 0.4 ulp, autograd 1.7 ulp)'

    Guarantee: an entry is called outside its bound only if the distance, rounded down, exceeds it.
    """
    kind = hand.dtype if dtype is None else dtype_of(dtype)
    size = torch.tensor([_size(x) for x in flat(truth)], dtype=torch.float64).reshape(hand.shape)
    other = None if autograd is None else _side(autograd, truth, size, autograd_bound, kind)
    equal = autograd is not None and hand.dtype == autograd.dtype and torch.equal(hand, autograd)
    name = str(kind).removeprefix("torch.")
    return Rounding(name, _side(hand, truth, size, hand_bound, kind), other, equal, lost_at)


def _side(value: Tensor, truth: Any, size: Tensor, bound: Tensor | None, dtype: torch.dtype) -> Side:
    low, high = distance(value, truth)
    far = ulps(high, size, dtype)
    if not far.numel():
        return Side(0.0, 0.0, (), None if bound is None else 0.0, (), ())
    worst = tuple(int(k) for k in np.unravel_index(int(far.argmax()), tuple(far.shape)))
    allowed = None if bound is None else float(ulps(bound, size, dtype).max())
    outside = () if bound is None else _indices(low > bound)
    half = 2.0 ** (FORMATS[dtype].digits / 2)
    return Side(float(far.max()), float(far.median()), worst, allowed, outside, _indices(far > half))


def _indices(mask: Tensor) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(k) for k in mask.nonzero().tolist())
