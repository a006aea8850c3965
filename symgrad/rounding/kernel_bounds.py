"""How far a float result may be from the exact one, given how far its arguments may be: one rule an operation.

Each rule takes arguments ``a`` with bounds ``e >= |a - exact a|`` and the computed result ``c``, and returns a bound
of the same kind for ``c``: what the arguments' errors can do to the exact function (over the whole interval, not to
first order), plus what the kernel's own rounding can do (Wilkinson's running error analysis; Higham 2002, ch. 3).

What is believed of kernels, and nothing else: arithmetic rounds to nearest with unit ``u`` and underflows gradually;
sums and products of matrices may be added up in any order, fused or not, so that n terms err by at most
``(1 + u)**n - 1`` times the sum of their sizes; a scalar function errs by the ``ulps`` of its row, by the absolute
term of `_ABSOLUTE` where its kernel cancels, and may read and write subnormal numbers as zero.

Bounds are float64 and rounded outward: a bound is made of fewer than a million float64 additions and products of
non-negative numbers, each wrong by at most 2**-53 relatively, so the factor 1 + 2**-30 covers them all; what float64
loses to underflow is covered by ``eta``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from flint import acb, arb
from torch import Tensor

from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, ball_of
from symgrad.ops.row import precision
from symgrad.ops.scalars import OPS
from symgrad.program.program import Step

_INF = math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A computed tensor and, entry by entry in float64, how far it may be from exact arithmetic."""

    value: Tensor
    error: Tensor

    @classmethod
    def exact(cls, value: Tensor) -> Bound:
        return cls(value, torch.zeros(value.shape, dtype=torch.float64, device=value.device))


class Format(NamedTuple):
    """Of a dtype: unit roundoff, smallest normal number, what underflow loses at most, digits with the hidden one."""

    unit: float
    normal: float
    eta: float
    digits: int


# Half-precision arithmetic runs in float32 and is rounded twice, hence the factors; float64's eta also covers the
# underflow of the bound's own arithmetic.
FORMATS = {
    torch.float16: Format(2.0**-11 * (1 + 2.0**-9), 2.0**-14, 2.0**-24, 11),
    torch.bfloat16: Format(2.0**-8 * (1 + 2.0**-9), 2.0**-126, 2.0**-133, 8),
    torch.float32: Format(2.0**-24, 2.0**-126, 2.0**-149, 24),
    torch.float64: Format(2.0**-53, 2.0**-1022, 2.0**-1070, 53),
}
FORMATS[torch.complex64] = FORMATS[torch.float32]
FORMATS[torch.complex128] = FORMATS[torch.float64]


def magnitude(x: Tensor) -> Tensor:
    """|x| in float64."""
    x = x.detach()
    return x.to(torch.complex128).abs() if x.is_complex() else x.to(torch.float64).abs()


def outward(error: Tensor) -> Tensor:
    """The bound with its own rounding covered; what cannot be bounded is infinite."""
    return torch.nan_to_num(error * (1 + 2.0**-30), nan=_INF, posinf=_INF)


def _settle(error: Tensor, c: Tensor, *args: Bound, all_exact: bool = True) -> Tensor:
    """The finished bound: where ``c`` is not finite it is infinite, unless an exact infinity was put in."""
    error = outward(error)
    finite = torch.isfinite(c.detach())
    if bool(finite.all()):
        return error
    fed, known = torch.zeros_like(finite), torch.ones_like(finite)
    for a in args:
        infinite = torch.isinf(a.value.detach())
        fed = fed | infinite
        known = known & ((a.error == 0) if all_exact else ((a.error == 0) | ~infinite & torch.isfinite(a.error)))
    kept = fed & known & torch.isinf(c.detach())
    return torch.where(finite, error, torch.where(kept, 0.0, _INF))


def _gamma(n: float | Tensor, unit: float) -> float | Tensor:
    """(1 + u)**n - 1: the relative error of n roundings, valid for every n."""
    if isinstance(n, Tensor):
        return torch.expm1(n.to(torch.float64) * math.log1p(unit)) * (1 + 2.0**-40)
    return math.expm1(n * math.log1p(unit)) * (1 + 2.0**-40)


# ------------------------------------------------------------------------------------------------ arithmetic


def cast(a: Bound, dtype: torch.dtype) -> Bound:
    """The value rounded to another dtype; widening is exact."""
    if a.value.dtype == dtype:
        return a
    value = a.value.to(dtype)
    if dtype not in FORMATS or a.value.dtype not in FORMATS:
        return Bound.exact(value)
    old, new = FORMATS[a.value.dtype], FORMATS[dtype]
    if new.digits >= old.digits and new.normal <= old.normal:
        return Bound(value, a.error)
    size = magnitude(value)
    return Bound(value, _settle(a.error + new.unit * size + torch.where(size < 2 * new.normal, new.eta, 0.0), value, a))


def add(a: Bound, b: Bound, c: Tensor) -> Tensor:
    """``a + b`` or ``a - b``; where it is subnormal it is exact."""
    return _settle(a.error + b.error + FORMATS[c.dtype].unit * magnitude(c), c, a, b, all_exact=False)


def multiply(a: Bound, b: Bound, c: Tensor) -> Tensor:
    f, x, y = FORMATS[c.dtype], magnitude(a.value), magnitude(b.value)
    own = 3 * f.unit * x * y + 8 * f.eta if c.is_complex() else f.unit * magnitude(c) + f.eta
    zero = (x == 0) & (a.error == 0) | (y == 0) & (b.error == 0)
    both = x * b.error + y * a.error + a.error * b.error + own
    return _settle(torch.where(zero & torch.isfinite(both), 0.0, both), c, a, b)


def divide(a: Bound, b: Bound, c: Tensor) -> Tensor:
    f, size = FORMATS[c.dtype], magnitude(c)
    own = 12 * f.unit * size + 8 * f.eta if c.is_complex() else f.unit * size + f.eta
    nearest = magnitude(b.value) - b.error
    quotient = size + own  # |a / b| of the computed a and b
    spread = (a.error + quotient * b.error) / nearest
    zero = (magnitude(a.value) == 0) & (a.error == 0) & (nearest > 0)
    return _settle(torch.where(zero, 0.0, torch.where(nearest > 0, spread + own, _INF)), c, a, b)


def power(a: Bound, b: Bound, c: Tensor) -> Tensor:
    """``a ** b``; four ulps for the kernel."""
    f, x, size = FORMATS[c.dtype], magnitude(a.value), magnitude(c)
    own = (32 if c.is_complex() else 8) * f.unit * size + f.normal * (0 if c.dtype is torch.float16 else 1) + f.eta
    exponent = magnitude(b.value)
    if c.is_complex():
        own = own + 8 * f.unit * size * exponent * (1 + torch.log(x.clamp(min=1e-300)).abs())
    log_spread = -torch.log1p(-a.error / x)
    t = exponent * log_spread + torch.log(x).abs() * (1 + 2.0**-50) * b.error + log_spread * b.error
    spread = (size + own) * torch.expm1(t)
    # A fixed whole exponent n >= 1 is a polynomial, also across zero: |a^n - a'^n| <= n (|a| + e)^(n-1) e.
    n = b.value.detach().to(torch.complex128).real if b.value.is_complex() else b.value.detach().to(torch.float64)
    whole = (b.error == 0) & (n >= 1) & (n == torch.floor(n))
    polynomial = n * (x + a.error) ** (n - 1).clamp(min=0) * a.error
    spread = torch.where(whole, polynomial, torch.where(x > a.error, spread, _INF))
    return _settle(torch.where((a.error == 0) & (b.error == 0), 0.0, spread) + own, c, a, b)


def total(summed: Callable[[Tensor], Tensor], a: Bound, count: float | Tensor, c: Tensor) -> Tensor:
    """A sum of ``count`` entries in any order; ``summed`` does the same sum on float64."""
    f = FORMATS[c.dtype]
    sizes = summed(magnitude(a.value))
    own = _gamma((torch.as_tensor(count, dtype=torch.float64) - 1).clamp(min=0), f.unit) * sizes
    if f.digits < 24:  # added up in float32 and rounded once more
        own = own + torch.where(torch.as_tensor(count, device=c.device) > 1, f.unit * magnitude(c), 0.0)
    return _settle(summed(a.error) + own, c)


def contraction(product: Callable[[Tensor, Tensor], Tensor], a: Bound, b: Bound, c: Tensor) -> Tensor:
    """A sum of products in any order, fused or not; ``product`` does the same on float64 (it is bilinear)."""
    f = FORMATS[c.dtype]
    x, y = magnitude(a.value), magnitude(b.value)
    count = product(torch.ones_like(x), torch.ones_like(y))
    roundings = 3 * count + 4 if c.is_complex() else count + 1
    e = product(x + a.error, b.error) + product(a.error, y) + _gamma(roundings, f.unit) * product(x, y)
    e = e + 4 * f.eta * count
    if c.dtype is torch.bfloat16:  # the bfloat16 dot product of x86 reads and writes subnormals as zero
        e = e + f.normal * product(x + 1, y + 1)
    return _settle(e, c)


# ------------------------------------------------------------------------------------------------ scalar functions


def _sech2(m: Tensor) -> Tensor:
    e = torch.exp(-2 * m)
    return 4 * e / (1 + e) ** 2


def _logistic_slope(m: Tensor) -> Tensor:
    e = torch.exp(-m)
    return e / (1 + e) ** 2


def _inner(x: Tensor, e: Tensor) -> Tensor:
    """The smallest size of a number within ``e`` of ``x``."""
    return (x.abs() - e).clamp(min=0)


def _log_spread(x: Tensor, e: Tensor) -> Tensor:
    return torch.where(x > e, -torch.log1p(-e / x), _INF)


def _sqrt_spread(x: Tensor, e: Tensor) -> Tensor:
    # Where the exact argument could be negative, the exact root exists only from zero on.
    low = torch.sqrt((x - e).clamp(min=0))
    root = torch.sqrt(x.clamp(min=0))
    return torch.where(
        x >= e, e / (root + low).clamp(min=1e-300), torch.maximum(root, torch.sqrt((x + e).clamp(min=0)))
    )


def _rsqrt_spread(x: Tensor, e: Tensor) -> Tensor:
    root, low = torch.sqrt(x), torch.sqrt(x - e)
    return torch.where(x > e, e / (root * low * (root + low)), _INF)


def _wave_spread(slope: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def spread(x: Tensor, e: Tensor) -> Tensor:
        near = (slope(x).abs() + 2.0**-50) * e + e * e / 2
        return torch.minimum(torch.minimum(e, near), torch.full_like(e, 2.0))

    return spread


def _silu_spread(x: Tensor, e: Tensor) -> Tensor:
    left = torch.sigmoid(x + e) * (x.abs() + e).clamp(min=1)
    return e * torch.where(x + e < 0, left.clamp(max=1.1), 1.1)


def _gelu_spread(x: Tensor, e: Tensor) -> Tensor:
    m = (-(x + e)).clamp(min=0)  # for x <= -m: |phi| = Phi + x phi, Phi <= exp(-m^2/2) / 2
    left = torch.exp(-m * m / 2) * (0.5 + 0.4 * (x.abs() + e))
    return e * torch.where(m > 0, left.clamp(max=1.13), 1.13)


_SPREAD: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "exp": lambda x, e: torch.exp(x) * torch.expm1(e),
    "exp2": lambda x, e: torch.exp2(x) * torch.expm1(e * (math.log(2) * (1 + 2.0**-50))),
    "expm1": lambda x, e: torch.exp(x) * torch.expm1(e),
    "log": _log_spread,
    "log2": lambda x, e: _log_spread(x, e) / math.log(2),
    "log10": lambda x, e: _log_spread(x, e) / math.log(10),
    "log1p": lambda x, e: _log_spread(1 + x, e * (1 + 2.0**-50)),
    "sqrt": _sqrt_spread,
    "rsqrt": _rsqrt_spread,
    "reciprocal": lambda x, e: torch.where(x.abs() > e, e / (x.abs() * (x.abs() - e)), _INF),
    "square": lambda x, e: (2 * x.abs() + e) * e,
    "sin": _wave_spread(torch.cos),
    "cos": _wave_spread(torch.sin),
    "sinh": lambda x, e: torch.cosh(x.abs() + e) * e,
    "cosh": lambda x, e: torch.sinh(x.abs() + e) * e,
    "tanh": lambda x, e: (_sech2(_inner(x, e)) * e).clamp(max=2),
    "atan": lambda x, e: e / (1 + _inner(x, e) ** 2),
    "asinh": lambda x, e: e / torch.sqrt(1 + _inner(x, e) ** 2),
    "erf": lambda x, e: 2 / math.sqrt(math.pi) * torch.exp(-(_inner(x, e) ** 2)) * e,
    "erfc": lambda x, e: 2 / math.sqrt(math.pi) * torch.exp(-(_inner(x, e) ** 2)) * e,
    "abs": lambda x, e: e,
    "sign": lambda x, e: torch.where((x.abs() > e) | (e == 0), 0.0, 2.0),
    "sigmoid": lambda x, e: (_logistic_slope(_inner(x, e)) * e).clamp(max=1),
    "softplus": lambda x, e: torch.sigmoid(x + e) * e,
    "logsigmoid": lambda x, e: torch.sigmoid(e - x) * e,
    "silu": _silu_spread,
    "gelu": _gelu_spread,
    "relu": lambda x, e: e,
    "relu6": lambda x, e: e,
    "hardtanh": lambda x, e: e,
}


def shortcut(x: Tensor) -> Tensor:
    """How far torch's softplus is from log(1 + exp(x)), and its slope from the sigmoid: from 20 on it returns x.

    In float64 alone this is more than a rounding error.

    >>> shortcut(torch.tensor([19.0, 30.0])).tolist() == [0.0, math.exp(-30.0)]
    True
    """
    x = x.detach().to(torch.float64)
    return torch.where(x >= 20, torch.exp(-x), 0.0)


# Where a kernel subtracts, its error is absolute: in units of u, at the arguments' values.
_ABSOLUTE: dict[str, Callable[..., Tensor]] = {
    "gelu": lambda x: 6 * x.abs(),
    "cbrt": lambda x: x.abs() ** (1 / 3) * torch.log(x.abs().clamp(min=1e-323)).abs(),  # a power with 1/3 rounded
    "gelu_tanh": lambda x: 4 * x.abs(),
    "tanhshrink": lambda x: 4 * x.abs(),
    "digamma": lambda x: 8 + 8 * torch.log(x.abs().clamp(min=1e-300)).abs(),
    "lgamma": lambda x: 8 * torch.ones_like(x),
    "logit": lambda x: 4 * torch.ones_like(x),
    "ndtr": lambda x: 4 * torch.ones_like(x),
    "logaddexp": lambda x, y: 4 * torch.maximum(x.abs(), y.abs()).clamp(min=1),
    "logaddexp2": lambda x, y: 4 * torch.maximum(x.abs(), y.abs()).clamp(min=1),
}

# In the dtypes of few digits some kernels are a polynomial in float32 that keeps no digits near zero: absolute errors.
HALF_ABSOLUTE: dict[str, float] = {"erf": 2.0**-21}

# Kernels that err as if their argument were off by this many units u: Gaussians of a rounded square, reflections.
_BACKWARD: dict[str, float] = dict.fromkeys(
    ("gamma", "lgamma", "digamma", "polygamma", "erfcx", "ndtr", "log_ndtr", "gelu_tanh", "mish", "logit", "tan"), 8.0
)


def function(name: str, args: Sequence[Bound], c: Tensor, params: object = None) -> Tensor:
    """A row of the table (or polygamma): the enclosure of the exact function, and the row's ulps."""
    ulps = 64.0 if name == "polygamma" else OPS[name].ulps
    f, size = FORMATS[c.dtype], magnitude(c)
    backward = _BACKWARD.get(name, 0.0)
    complex_valued = any(a.value.is_complex() for a in args)
    if complex_valued:
        ulps, backward = ulps + 8, max(backward, 4.0)
    own = 2 * ulps * f.unit * size
    if ulps:
        largest = torch.stack([magnitude(a.value) for a in args]).amax(0)
        own = own + (f.eta * ulps if c.dtype is torch.float16 else f.normal) * (2 + largest)
    if name == "polygamma" and params == 1 and f.digits == 53:  # torch's series ends with the seventh power
        own = own + 0.0667 / magnitude(args[0].value).clamp(min=6) ** 9
    if name == "softplus" and f.digits == 53:
        own = own + shortcut(args[0].value)
    if f.digits < 24:
        own = own + HALF_ABSOLUTE.get(name, 0.0)
    errors = [a.error + backward * f.unit * magnitude(a.value) for a in args]
    if complex_valued:
        own = own + 4 * f.unit * (1 + size)
        return _settle(_by_balls(name, [a.value for a in args], errors, params) + own, c, *args)
    values = [a.value.detach().to(torch.float64) for a in args]
    if name in _ABSOLUTE:
        own = own + f.unit * _ABSOLUTE[name](*values)
    if name in ("maximum", "minimum"):
        spread = torch.maximum(*errors)
    elif name == "hypot":
        spread = errors[0] + errors[1]
    elif name in ("logaddexp", "logaddexp2"):
        spread = torch.maximum(*errors)
    elif name == "atan2":  # floats tell the sides of the cut by the sign of zero
        spread = _by_balls(name, values, errors, params)
        spread = torch.where((values[0] == 0) & (values[1] <= errors[1]), 2 * math.pi, spread)
    elif name in _SPREAD and params is None:
        spread = torch.where(errors[0] == 0, 0.0, _SPREAD[name](values[0], errors[0]))
    else:
        spread = _by_balls(name, values, errors, params)
    return _settle(spread + own, c, *args)


def _by_balls(name: str, values: Sequence[Tensor], errors: Sequence[Tensor], params: object) -> Tensor:
    """max |f(x') - f(x)| over ``|x' - x| <= e``, by evaluating f on balls of radius e: rigorous for any row."""
    out = torch.zeros(errors[0].numel(), dtype=torch.float64)
    columns = [v.detach().cpu().reshape(-1).tolist() for v in values]
    radii = [e.detach().cpu().reshape(-1).tolist() for e in errors]
    step = Step(name, (), params, (), "float64")
    system = Balls()
    with precision(192):
        for k in range(out.numel()):
            rs = [r[k] for r in radii]
            if any(rs):
                out[k] = _deviation(system, step, [v[k] for v in columns], rs)
    return out.reshape(errors[0].shape).to(errors[0].device)


def _deviation(system: Balls, step: Step, xs: list, rs: list[float]) -> float:
    if not all(map(math.isfinite, rs)):
        return _INF
    points = [ball_of(x) for x in xs]
    fat = [acb(arb(p.real, r), arb(p.imag, r)) if isinstance(p, acb) else arb(p, r) for p, r in zip(points, rs)]
    try:
        d = system.read(step, fat) - system.read(step, points)
    except (SymgradError, NotImplementedError, ValueError, ZeroDivisionError):
        return _INF
    return float(abs(d).upper()) * (1 + 2.0**-50) if d.is_finite() else _INF


# ------------------------------------------------------------------------------------------------ softmax and kin


def softmax(name: str, x: Bound, axis: int, c: Tensor) -> Tensor:
    """softmax, log_softmax or logsumexp (keeping the axis) along an axis, by subtracting the maximum.

    An error ``e_i`` of the arguments moves log softmax by at most ``e_i + max e``, for the log of the sum is a mean.
    """
    f = FORMATS[c.dtype]
    v = x.value.detach().to(torch.float64)
    dead = (v == -_INF) & (x.error == 0)
    distance = torch.where(dead, 0.0, v.amax(axis, keepdim=True) - v)
    weights = torch.softmax(v, axis)
    widest = x.error.amax(axis, keepdim=True)
    n = v.shape[axis] if v.dim() else 1
    # Each weight errs by the rounding of x - max, four units for exp, n for the sum, and a few more.
    in_sum = f.unit * ((weights * distance).sum(axis, keepdim=True) + n + 16)
    flushed = n * (f.eta if c.dtype is torch.float16 else f.normal)
    if name == "softmax":
        relative = torch.expm1(x.error + widest + f.unit * distance + in_sum)
        # The exact value is within a factor exp(+-t) of the computed one, unless that underflowed.
        own = ((magnitude(c) + flushed) * relative + flushed).clamp(max=1.5)
        return _settle(torch.where(dead, 0.0, own), c, x)
    spread = widest if name == "logsumexp" else x.error + widest
    log_sum = math.log(max(n, 2))
    own = torch.expm1(in_sum) + 4 * f.unit * log_sum + 4 * f.unit * magnitude(c) + flushed
    if name == "log_softmax":
        own = own + 2 * f.unit * distance
    if name == "logsumexp":  # one value of a whole row
        dead, x = dead.all(axis, keepdim=True), Bound(x.value.amax(axis, keepdim=True), widest)
    return _settle(torch.where(dead & torch.isinf(c), 0.0, spread + own), c, x)


def fourier(x: Bound, axes: Sequence[int], norm: int, name: str, c: Tensor) -> Tensor:
    """A transform: sums of all entries times roots of unity, as deep as the logarithm of their number.

    ``norm`` is torch's: 0 for no factor, 1 for one over the root of n, 2 for one over n.
    """
    n = math.prod((c if "c2r" in name else x.value).shape[d] for d in axes)
    twice = 2 if "c2r" in name else 1  # half of the entries stands for the others too
    scale = twice * {0: 1.0, 1: n**-0.5, 2: 1 / n}[norm]
    total, far = (t.sum(tuple(axes), keepdim=True) for t in (magnitude(x.value), x.error))
    own = 16 * (math.log2(n) + 3) * FORMATS[c.dtype].unit * (total + far)
    return (scale * (far + own) * (1 + 2.0**-40)).expand(c.shape)
