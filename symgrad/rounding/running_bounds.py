"""A Program in floats that carry a bound on their own error, and the distance of floats from balls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from flint import arb
from torch import Tensor

from symgrad.evaluation.balls import Balls, array_of, ball_of, binary, flat
from symgrad.evaluation.floats import Floats, to_numpy
from symgrad.ops.matrices import MATRICES
from symgrad.ops.row import precision
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.program import Constant, Program, Step, interpret
from symgrad.rounding import kernel_bounds as rules
from symgrad.rounding.kernel_bounds import FORMATS, Bound, magnitude

LINEAR_ALGEBRA = frozenset(("inverse", "solve", "det", "logabsdet", "cholesky", *MATRICES))
_KEEPS = frozenset(
    ("real", "imag", "abs", "logabsdet", "cast")
)  # as in Floats: these read their argument in its own dtype


class RunningErrors:
    """The system of floats that carry a bound on their own error; its values are `Bound`."""

    def __init__(self) -> None:
        self.floats = Floats()

    def read(self, step: Step, args: list[Bound]) -> Bound:
        dtype = self.floats.torch_dtype(step)
        if step.op == "constant":
            return _constant(step, self.floats.read(step, []))
        if step.op == "cast":
            return rules.cast(args[0], dtype)
        if step.op not in _KEEPS:
            args = [rules.cast(a, dtype) for a in args]
        value = self.floats.read(step, [a.value for a in args])
        return Bound(value, self.error(step, args, value))

    def _same(self, step: Step, *tensors: Tensor) -> Tensor:
        """The step's own layout or product, done on float64 tensors that are not negative."""
        return self.floats.read(replace(step, dtype="float64"), list(tensors))

    def error(self, step: Step, args: list[Bound], c: Tensor) -> Tensor:
        a, b = (*args, *args)[:2]
        match step.op:
            case "pick":
                return self._same(step, *(a.error for a in args))
            case "neg" | "name" | "stop" | "conj" | "real" | "imag":
                return args[0].error.reshape(c.shape)
            case "add" | "sub":
                return rules.add(a, b, c)
            case "mul":
                return rules.multiply(a, b, c)
            case "div":
                return rules.divide(a, b, c)
            case "powi":
                if step.params == 1:
                    return args[0].error
                n = Bound.exact(torch.full(c.shape, float(step.params), dtype=torch.float64))
                return rules.power(args[0], n, c)
            case "pow":
                return rules.power(a, b, c)
            case "scatter":
                count = self._same(step, torch.ones_like(args[0].error))
                return rules.total(lambda x: self._same(step, x), a, count, c)
            case "matmul":
                return rules.contraction(lambda x, y: self._same(step, x, y), a, b, c)
            case op if op in COMPOSITES:
                return rules.softmax(op, args[0], step.params, c)
            case op if op in LINEAR_ALGEBRA:
                return linear_algebra(op, args, c, step.params)
        return rules.function(step.op, args, c, step.params)


def error_bounds(program: Program, inputs: Mapping[str, Tensor], wanted: Iterable[int]) -> dict[int, Bound]:
    """Run ``program`` in floats, each step in its dtype, with a bound on how far each entry is from exact arithmetic.

    ``inputs`` are exact as they are.  The result maps each of ``wanted`` to a `Bound`: its ``value`` is the tensor
    that `Floats` computes, its ``error`` a float64 tensor of the same shape with
    ``|value - exact run of the same Program| <= error``; infinite where nothing can be said (overflow, a division by
    what may be zero).  Raises what the kernels raise.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", (), "float32")
    >>> square = b.mul(x, x)
    >>> bound = error_bounds(b.build({"y": square}), {"x": torch.tensor(0.1)}, [square])[square]
    >>> truth = float(torch.tensor(0.1)) ** 2  # exact in float64
    >>> abs(bound.value.item() - truth) <= bound.error.item() < 1e-9
    True

    Guarantee: rigorous for kernels that keep to what `symgrad.rounding.kernel_bounds` believes of them.  For the
    linear algebra steps the bound is a posteriori, by balls, plus n units of the usual backward error.
    """
    start = {name: Bound.exact(value) for name, value in inputs.items()}
    wanted = list(wanted)
    values = interpret(program, RunningErrors(), start, wanted)
    return {i: values[i] for i in wanted}


def _constant(step: Step, value: Tensor) -> Bound:
    """A constant and how far its rounding to the dtype took it from the number it stands for."""
    c: Constant = step.params
    if c.exact is None and bool((to_numpy(value) == c.value).all()):
        return Bound.exact(value)
    with precision(256):
        _, far = distance(value, Balls().constant(step))
    same = torch.isinf(value) & torch.as_tensor(np.asarray(to_numpy(value) == c.value))
    return Bound(value, torch.where(same, 0.0, far) if c.exact is None else far)


def linear_algebra(op: str, args: list[Bound], c: Tensor, params: Any = None) -> Tensor:
    """|computed - exact value on balls around the arguments|, and n units of the usual backward error.

    The first term alone is a rigorous bound of this run; the second leaves room for another library's run.
    """
    with precision(256):
        fat = [fatten(binary(to_numpy(a.value)), a.error) for a in args]
        try:
            _, far = distance(c, Balls().read(Step(op, (), params, tuple(c.shape), "float64"), fat))
        except ZeroDivisionError:
            far = torch.full(c.shape, math.inf, dtype=torch.float64)
    a, n = magnitude(args[0].value), args[0].value.shape[-1]
    unit = 4 * n * FORMATS[c.dtype].unit
    match op:
        case "inverse":
            own = magnitude(c) @ a @ magnitude(c)
        case "solve":
            own = magnitude(torch.linalg.inv(args[0].value.to(torch.complex128))) @ a @ magnitude(c)
        case "det" | "logabsdet":
            inverse = magnitude(torch.linalg.inv(args[0].value.to(torch.complex128)))
            own = (a * inverse.mT).sum((-2, -1)).reshape(c.shape) * (magnitude(c) if op == "det" else 1)
        case "matrix_exp":
            own = (1 + a.sum(-1).amax(-1)).reshape(-1, 1, 1) * c.abs().amax((-2, -1), keepdim=True).double()
            own = own.expand(c.shape)
        case "eigenpairs":  # the nearest other eigenvalue tells how far a vector turns
            values = torch.linalg.eigvalsh(args[0].value).double()
            there = c[..., -1:].real.double()
            others = (values[:, None] - there).abs().sort(-1).values[..., 1:2]
            own = (a.sum(-1).amax(-1).reshape(-1, 1, 1) * (1 + 1 / others)).expand(c.shape)
        case "general_eigenpairs":  # and how far from orthogonal the vectors are
            values, vectors = torch.linalg.eig(args[0].value.to(torch.complex128))
            spread = torch.linalg.cond(vectors).reshape(-1, 1, 1)
            others = (values[:, None] - c[..., -1:]).abs().sort(-1).values[..., 1:2]
            long = c.abs().double().amax(-1, keepdim=True)
            own = (a.sum(-1).amax(-1).reshape(-1, 1, 1) * spread * (1 + long**2 / others)).expand(c.shape)
        case _:
            own = a.amax((-2, -1), keepdim=True) * magnitude(torch.linalg.inv(c.to(torch.complex128))).amax()
            own = own.expand(c.shape)
    return rules.outward(far + unit * own)


def fatten(balls: Any, error: Tensor) -> Any:
    """The balls with these radii added."""
    radii = error.reshape(-1).tolist()
    return array_of([_fat(x, r) for x, r in zip(flat(balls), radii, strict=True)], tuple(error.shape))


def _fat(x: Any, r: float) -> Any:
    return x + arb(0, r) if isinstance(x, arb) else type(x)(x.real + arb(0, r), x.imag + arb(0, r))


# ------------------------------------------------------------------------------------------------ distances


@dataclass(frozen=True, eq=False)
class Enclosed:
    """Balls, and where all of them are real also floats: number k is within ``error[k]`` of ``high[k] + low[k]``.

    ``high`` is the float nearest to the ball's middle; all three are NaN where there is no such float.
    """

    balls: Any
    high: np.ndarray
    low: np.ndarray
    error: np.ndarray
    is_real: bool = True

    def sizes(self) -> Tensor:
        """The least size that each number may have, flat and rounded down; infinite where nothing is known."""
        if not self.is_real:
            return torch.tensor([size_of(x) for x in flat(self.balls)], dtype=torch.float64)
        high = np.abs(self.high.reshape(-1))
        rest = np.where(self.high < 0, -self.low, self.low).reshape(-1) - self.error.reshape(-1)
        below = np.where(rest >= 0, high, np.nextafter(high, 0))
        wide = np.maximum(np.nextafter(high - np.abs(rest), 0), 0)
        found = np.where(-rest <= np.spacing(below) / 2, below, wide)
        for k in np.flatnonzero(np.isnan(high)):  # few: these are no numbers, or beyond the floats
            found[k] = size_of(flat(self.balls)[k])
        return torch.from_numpy(found)


def enclosed(balls: Any) -> Enclosed:
    """Balls as floats, all at once.

    >>> with precision(200):
    ...     third = enclosed(ball_of(1) / 3)
    >>> third.high.item(), 1e-18 < third.low.item() < 1e-16, third.error.item() < 1e-32
    (0.3333333333333333, True, True)
    """
    entries = flat(balls)
    if not all(type(t) is arb for t in entries):
        nothing = np.zeros(0)
        return Enclosed(balls, nothing, nothing, nothing, False)
    parts = np.array([_parts(t) if t.is_finite() else _NO_NUMBER for t in entries], dtype=np.float64).reshape(-1, 3)
    shape = balls.shape if isinstance(balls, np.ndarray) else ()
    high, low, error = (np.ascontiguousarray(column).reshape(shape) for column in parts.T)
    return Enclosed(balls, high, low, error)


_NO_NUMBER = math.nan, math.nan, math.nan


def _parts(t: arb) -> tuple[float, float, float]:
    high = float(t.mid())
    if math.isinf(high):
        return _NO_NUMBER
    rest = t - high
    low = float(rest.mid())
    left = rest - low
    return high, low, 0.0 if left == 0 else math.nextafter(float(left.abs_upper()), math.inf)


def distance(values: Tensor, balls: Any) -> tuple[Tensor, Tensor]:
    """``|values - truth|`` from below and from above, entry by entry in float64, for a truth enclosed in balls.

    >>> with precision(200):
    ...     low, high = distance(torch.tensor(0.1), ball_of(0.1))
    >>> low.item() <= abs(torch.tensor(0.1).double().item() - 0.1) <= high.item()
    True

    ``balls`` may be `Enclosed` already.  A value or a ball that is not finite is infinitely far; an infinity on both
    sides is no distance.
    """
    truth = balls if isinstance(balls, Enclosed) else enclosed(balls)
    if not truth.is_real or values.is_complex():
        return _distance_of_each(values, truth.balls)
    v = to_numpy(values).astype(np.float64).reshape(truth.high.shape)
    with np.errstate(all="ignore"):
        first, carry = _two_sum(v, -truth.high)
        second, more = _two_sum(carry, -truth.low)
        total, last = _two_sum(first, second)
        slack = (np.abs(last) + np.abs(more) + truth.error) * (1 + 2.0**-50)
        size = np.abs(total)
        high = np.where(slack == 0, size, np.nextafter(size + slack, np.inf))
        low = np.where(slack == 0, size, np.maximum(np.nextafter(size - slack, -np.inf), 0))
    for k in np.flatnonzero(~np.isfinite(high)):  # few: these are no numbers, or beyond the floats
        one = to_numpy(values).reshape(-1)[k]
        at = flat(truth.balls)[k : k + 1]
        low.flat[k], high.flat[k] = (x.item() for x in _distance_of_each(torch.tensor([float(one)]).double(), at))
    return torch.from_numpy(low).reshape(values.shape), torch.from_numpy(high).reshape(values.shape)


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum of floats, and what its rounding left out (Knuth 1997, 4.2.2)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _distance_of_each(values: Tensor, balls: Any) -> tuple[Tensor, Tensor]:
    """`distance`, one entry after the other."""
    low, high = [], []
    for v, t in zip(to_numpy(values).reshape(-1).tolist(), flat(balls), strict=True):
        if not np.isfinite(v) or not t.is_finite():
            same = not isinstance(v, complex) and math.isinf(v) and isinstance(t, arb) and t == arb(v)
            low.append(0.0)
            high.append(0.0 if same else math.inf)
            continue
        d = ball_of(v) - t
        low.append(lower(abs(d).abs_lower()))
        high.append(upper(abs(d).abs_upper()))
    shape = values.shape
    return tuple(torch.tensor(side, dtype=torch.float64).reshape(shape) for side in (low, high))  # type: ignore


def upper(x: arb) -> float:
    """An exact ball as a float, rounded up."""
    f = float(x)
    return f if x <= ball_of(f) else math.nextafter(f, math.inf)


def lower(x: arb) -> float:
    """An exact non-negative ball as a float, rounded down."""
    f = float(x)
    return f if x >= ball_of(f) else max(0.0, math.nextafter(f, 0.0))


def size_of(x: Any) -> float:
    """The least size of a number in a ball; infinite where the ball is."""
    return lower(abs(x).abs_lower()) if x.is_finite() else math.inf


def ulps(error: Tensor, reference: Tensor, dtype: str | torch.dtype) -> Tensor:
    """The error in units of the last place that ``dtype`` has at ``reference``; both are float64.

    >>> ulps(torch.tensor(2.0**-23), torch.tensor(1.5), "float32").item()
    1.0
    """
    f = FORMATS[dtype_of(dtype)]
    size = reference.abs().to(torch.float64).clamp(min=f.normal)
    _, exponent = torch.frexp(size)
    return error.to(torch.float64) / torch.ldexp(torch.ones_like(size), exponent - f.digits)


def visible_ulps(low: Tensor, high: Tensor, size: Tensor, dtype: str | torch.dtype) -> Tensor:
    """Distances in ulps, rounded up; none where neither the truth nor the value is told from zero.

    >>> visible_ulps(torch.tensor(0.0), torch.tensor(1e-30), torch.tensor(0.0), "float64").item()
    0.0
    """
    return torch.where((low == 0) & (size == 0), 0.0, ulps(high, size, dtype))


def dtype_of(dtype: str | torch.dtype) -> torch.dtype:
    """The torch dtype of this name."""
    return dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype)
