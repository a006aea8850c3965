"""Running error bounds of ATen operations, forward and backward: one row an operation, said in `kernel_bounds`.

A rule gets the `Call` that was made, its tensors as `Bound`, and returns a bound for each floating result (one tensor
where there is one result).  Operations without a row are run written out, in torch's own decompositions; those that
have neither are unknown, and their bound is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from symgrad.evaluation.balls import Balls, array_of, binary, flat
from symgrad.evaluation.floats import to_numpy
from symgrad.ops.row import precision
from symgrad.ops.scalars import OPS, find
from symgrad.program.program import Step
from symgrad.rounding import kernel_bounds as rules
from symgrad.rounding.kernel_bounds import FORMATS, Bound, magnitude, outward
from symgrad.rounding.running_bounds import distance, fatten, linear_algebra


@dataclass(frozen=True, slots=True)
class Call:
    """One ATen call: its floating tensors replaced by `Bound`, and what it returned."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any

    def again(self, change: Callable[[Bound], Any]) -> Any:
        """The same call with other values in the place of the floating tensors."""
        args, kwargs = mapped((self.args, dict(self.kwargs)), change)
        return self.func(*args, **kwargs)

    def get(self, k: int, name: str, default: Any = None) -> Any:
        """An argument by position or by name."""
        return self.args[k] if k < len(self.args) else self.kwargs.get(name, default)


ErrorRule = Callable[[Call], Any]


def is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex())


def mapped(tree: Any, change: Callable[[Bound], Any]) -> Any:
    return tree_map(lambda x: change(x) if isinstance(x, Bound) else x, tree, is_leaf=lambda x: isinstance(x, Bound))


def is_short(v: float) -> bool:
    """Whether a float is a dyadic number of few digits, which someone who wrote it meant exactly."""
    return not math.isfinite(v) or (v * 2.0**20).is_integer()


def operand(x: Any, c: Tensor) -> Bound:
    """An argument of an entrywise operation with result ``c``: cast to its dtype and broadcast to its shape.

    A Python number that is not short (such as 0.1 or sqrt(10)) may be half a unit of float64 from what was meant.
    """
    if isinstance(x, Bound):
        b = rules.cast(x, c.dtype)
    elif isinstance(x, Tensor):
        value = x.to(torch.float64)
        b = Bound(value.to(c.dtype), (value.to(c.dtype).to(torch.float64) - value).abs())
    else:
        number = torch.tensor(x, dtype=torch.complex128 if isinstance(x, complex) else torch.float64)
        meant = 0.0 if isinstance(x, (bool, int)) or (not isinstance(x, complex) and is_short(x)) else 2.0**-53 * abs(x)
        wide = torch.complex128 if c.is_complex() else torch.float64
        gap = magnitude(number.to(c.dtype).to(wide) - number) if c.is_complex() or not number.is_complex() else 0
        b = Bound(number.to(c.device), torch.as_tensor(meant + torch.nan_to_num(torch.as_tensor(gap))))
    return Bound(b.value.expand(c.shape), b.error.to(c.device).expand(c.shape))


# -------------------------------------------------------------------------------------------------- aten solver bounds
# Running error bounds of torch's linear algebra: what its factorisations and solvers return, against balls.
#
# All are a posteriori: the exact answer for all matrices within the arguments' errors is enclosed by Arb, the rows
# exchanged as the kernel did, and the bound is the distance of what was computed to that.

_LARGEST = 48  # rows of a matrix that is factorised in balls
_BITS = 256


def _square(a: Bound) -> Bound:
    """A batch of matrices with one batch axis."""
    n = a.value.shape[-1]
    return Bound(a.value.reshape(-1, n, n), a.error.reshape(-1, n, n))


def _inverse(call: Call) -> list[Tensor | None]:
    out = call.out[0]
    n = out.shape[-1]
    return [linear_algebra("inverse", [_square(call.args[0])], out.reshape(-1, n, n)).reshape(out.shape), None]


def _cholesky(call: Call) -> list[Tensor | None]:
    """The lower factor; an upper one is its transpose."""
    out, upper = call.out[0], call.kwargs.get("upper", False)
    n = out.shape[-1]
    low = (out.mT if upper else out).reshape(-1, n, n)
    found = linear_algebra("cholesky", [_square(call.args[0])], low).reshape(out.shape)
    return [found.mT if upper else found, None]


def _det(call: Call) -> list[Tensor | None]:
    out, lu, pivots = call.out
    found = linear_algebra("det", [_square(call.args[0])], out.reshape(-1)).reshape(out.shape)
    return [found, _factors(call.args[0], lu, pivots), None]


def _slogdet(call: Call) -> list[Tensor | None]:
    sign, out, lu, pivots = call.out
    found = linear_algebra("logabsdet", [_square(call.args[0])], out.reshape(-1)).reshape(out.shape)
    known = torch.where(torch.isfinite(found), 0.0, torch.inf)  # where it may vanish the sign is not known either
    return [known.expand(sign.shape), found, _factors(call.args[0], lu, pivots), None]


def _solve(call: Call) -> list[Tensor | None]:
    a, b = call.args[:2]
    out, lu, pivots, _ = call.out
    if not call.get(2, "left", True) or b.value.dim() != a.value.dim():
        return [None, None, None, None]
    shape = (-1, *out.shape[-2:])
    wide = Bound(b.value.expand(out.shape).reshape(shape), b.error.expand(out.shape).reshape(shape))
    found = linear_algebra("solve", [_square(a), wide], out.reshape(shape)).reshape(out.shape)
    return [found, _factors(a, lu, pivots), None, None]


def _factors(a: Bound, lu: Tensor, pivots: Tensor) -> Tensor | None:
    """The factors L and U in one matrix, rows exchanged as the kernel did."""
    n = lu.shape[-1]
    if n > _LARGEST:
        return None
    flatly = _square(a)
    with precision(_BITS):
        fat = fatten(binary(to_numpy(flatly.value)), flatly.error)
        exact = [_eliminated(m, p) for m, p in zip(fat, pivots.reshape(-1, n).tolist(), strict=True)]
        _, far = distance(lu.reshape(-1, n, n), np.stack(exact))
    return outward(far).reshape(lu.shape)


def _eliminated(matrix: Any, pivots: list[int]) -> Any:
    """Gaussian elimination in balls, with LAPACK's exchanges (from one): U above, the multipliers of L below."""
    m = np.array(matrix, dtype=object)
    for k, p in enumerate(pivots):
        m[[k, p - 1]] = m[[p - 1, k]]
        for i in range(k + 1, len(m)):
            m[i, k] = m[i, k] / m[k, k]
            m[i, k + 1 :] = m[i, k + 1 :] - m[i, k] * m[k, k + 1 :]
    return m


def _lu_solve(call: Call) -> Tensor | None:
    """X with A X = B, or with A's adjoint, for the A that the factors make."""
    lu, pivots, b = call.args[:3]
    n = lu.value.shape[-1]
    if n > _LARGEST or not call.kwargs.get("left", True) or lu.value.dim() != 2:
        return None
    with precision(_BITS):
        m = fatten(binary(to_numpy(lu.value)), lu.error)
        low, high = _triangle(m, lower=True, unit=True), _triangle(m, lower=False, unit=False)
        a = low.dot(high)
        for k, p in reversed(list(enumerate(pivots.tolist()))):
            a[[k, p - 1]] = a[[p - 1, k]]
        if call.kwargs.get("adjoint", False):
            a = np.array([[x.conjugate() if hasattr(x, "conjugate") else x for x in row] for row in a.T], dtype=object)
        return _solved(a, b, call.out)


def _triangular(call: Call) -> Tensor | None:
    a, b = call.args[:2]
    n, options = a.value.shape[-1], call.kwargs
    if n > _LARGEST or a.value.dim() != 2 or b.value.dim() != 2:
        return None
    with precision(_BITS):
        m = fatten(binary(to_numpy(a.value)), a.error)
        m = _triangle(m, lower=not options["upper"], unit=options.get("unitriangular", False))
        if options.get("left", True):
            return _solved(m, b, call.out)
        return _solved(m.T, Bound(b.value.mT, b.error.mT), call.out.mT).mT  # X A = B


def _triangle(m: Any, *, lower: bool, unit: bool) -> Any:
    """One triangle of a matrix of balls, with ones on its diagonal where it is a unit one."""
    zero = m[0, 0] * 0 if m[0, 0].is_finite() else type(m[0, 0])(0)
    keep = np.tril(np.ones(m.shape, dtype=bool)) if lower else np.triu(np.ones(m.shape, dtype=bool))
    out = np.where(keep, m, zero)
    if unit:
        for k in range(len(m)):
            out[k, k] = zero + 1
    return out


def _solved(a: Any, b: Bound, out: Tensor) -> Tensor:
    right = fatten(binary(to_numpy(b.value)), b.error)
    column = np.reshape(flat(right), (len(a), -1))
    step = Step("solve", (), None, (1, *column.shape), "float64")
    try:
        exact = Balls().read(step, [a[None], column[None]])[0]
    except ZeroDivisionError:
        return torch.full(out.shape, torch.inf, dtype=torch.float64)
    _, far = distance(out, array_of(list(flat(exact)), tuple(out.shape)))
    return outward(far)


def _fourier(call: Call) -> Tensor:
    return rules.fourier(_as_bound(call.args[0]), call.args[1], call.args[2], call.func._schema.name, call.out)


SOLVERS: dict[str, ErrorRule] = {
    "_fft_r2c": _fourier,
    "_fft_c2c": _fourier,
    "_fft_c2r": _fourier,
    "linalg_inv_ex": _inverse,
    "linalg_cholesky_ex": _cholesky,
    "_linalg_det": _det,
    "_linalg_slogdet": _slogdet,
    "_linalg_solve_ex": _solve,
    "linalg_lu_solve": _lu_solve,
    "linalg_solve_triangular": _triangular,
}


# --------------------------------------------------------------------------------------------------------- aten bounds


def _add(call: Call, sign: int = 1) -> Tensor:
    a, b = (operand(x, call.out) for x in call.args[:2])
    alpha = call.get(2, "alpha", 1)
    if alpha != 1:
        factor, product = operand(alpha, call.out), b.value * alpha
        b = Bound(
            product, rules.multiply(Bound(b.value.to(call.out.dtype), b.error), factor, product.to(call.out.dtype))
        )
    return rules.add(a, b, call.out)


def _rsub(call: Call) -> Tensor:
    return (
        _add(Call(call.func, (call.args[1], call.args[0]), {}, call.out))
        if call.get(2, "alpha", 1) == 1
        else _never(call)
    )


def _never(call: Call) -> Tensor:
    return torch.full(call.out.shape, math.inf, dtype=torch.float64)


def _pair(rule: Callable[[Bound, Bound, Tensor], Tensor]) -> ErrorRule:
    return lambda call: rule(operand(call.args[0], call.out), operand(call.args[1], call.out), call.out)


def _div(call: Call) -> Tensor:
    return _never(call) if call.kwargs.get("rounding_mode") else _pair(rules.divide)(call)


def _row(name: str) -> ErrorRule:
    def rule(call: Call) -> Tensor:
        args = [operand(x, call.out) if OPS[name].arity == 2 else _as_bound(x) for x in call.args[: OPS[name].arity]]
        return rules.function(name, args, call.out)

    return rule


def _as_bound(x: Any) -> Bound:
    return x if isinstance(x, Bound) else Bound.exact(x)


def _same(call: Call) -> Tensor:
    """The first argument's error: negation, clamps, relu: functions of slope at most one."""
    extra = sum((x.error for x in call.args[1:] if isinstance(x, Bound)), torch.zeros((), dtype=torch.float64))
    return (_as_bound(call.args[0]).error + extra).expand(call.out.shape)


def _where(call: Call) -> Tensor:
    chosen, a, b = call.args
    return torch.where(chosen, operand(a, call.out).error, operand(b, call.out).error)


def _masked_fill(call: Call) -> Tensor:
    a, mask, value = call.args[:3]
    return torch.where(mask, operand(value, call.out).error, operand(a, call.out).error)


def _threshold_backward(call: Call) -> Tensor:
    g, x, threshold = call.args
    value = x.value if isinstance(x, Bound) else x
    return torch.where(value <= threshold, 0.0, _as_bound(g).error)


def _filled(call: Call) -> Tensor:
    """A tensor of one number: full, fill, scalar_tensor."""
    numbers = [x for x in (*call.args, *call.kwargs.values()) if isinstance(x, (int, float, complex, Bound))]
    name = call.func._schema.name
    fill = call.args[1] if ("full" in name or "fill" in name) and len(call.args) > 1 else numbers[0] if numbers else 0
    if "new_full" in name:
        fill = call.get(2, "fill_value")
    return operand(fill, call.out).error


def _lifted(call: Call) -> Tensor:
    """A tensor made of Python numbers: one number alone may have been rounded; data are what they are."""
    if call.out.dim() or is_short(abs(complex(call.out.item()))):
        return torch.zeros(call.out.shape, dtype=torch.float64)
    return FORMATS[call.out.dtype].unit * magnitude(call.out)


def _exact(call: Call) -> Any:
    return tree_map(lambda t: torch.zeros(t.shape, dtype=torch.float64) if is_float(t) else None, call.out)


def _dropout(call: Call) -> Any:
    x, p = call.args[:2]
    kept, mask = call.out
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return [_as_bound(x).error * mask * scale + 4 * FORMATS[kept.dtype].unit * magnitude(kept), None]


# ------------------------------------------------------------------------------------------------ layouts and sums


def _wide(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in kwargs.items() if k not in ("dtype", "memory_format")}


def _layout(call: Call) -> Tensor:
    """Entries moved, repeated, zeroed or added up: the same operation on the errors, and on ones to count."""
    free = Call(call.func, call.args, _wide(call.kwargs), call.out)
    count = free.again(lambda b: torch.ones_like(b.error))
    sizes, errors = free.again(lambda b: magnitude(b.value)), free.again(lambda b: b.error)
    f = FORMATS[call.out.dtype]
    own = torch.expm1((count - 1).clamp(min=0) * math.log1p(f.unit)) * sizes
    if f.digits < 24:
        own = own + torch.where(count > 1, f.unit * magnitude(call.out), 0.0)
    return rules.outward(
        torch.where(torch.isinf(sizes) & (count <= 1), errors, errors + torch.where(count <= 1, 0.0, own))
    )


def _mean(call: Call) -> Tensor:
    a, rest = _as_bound(call.args[0]), call.args[1:]
    count = a.value.numel() / max(call.out.numel(), 1)
    mean = lambda x: call.func(x, *rest, **_wide(call.kwargs))  # noqa: E731
    return rules.total(mean, a, count, call.out) + 2 * FORMATS[call.out.dtype].unit * magnitude(call.out)


def _pad(call: Call) -> Tensor:
    return call.func(_as_bound(call.args[0]).error, call.args[1])


def _to_copy(call: Call) -> Tensor:
    x = call.args[0]
    return operand(x, call.out).error if isinstance(x, (Bound, Tensor)) else _never(call)


def _copy(call: Call) -> Tensor:
    return operand(call.args[1], call.out).error


def _scatter(call: Call) -> Tensor:
    """Values written over others; where two land on one place, either stays."""
    if call.get(4, "reduce") is not None:
        return _never(call)
    a, dim, index, source = call.args[:4]
    new = source.error if isinstance(source, Bound) else operand(source, call.out.new_empty(index.shape)).error
    return _as_bound(a).error.scatter_reduce(dim, index, new.contiguous(), "amax", include_self=False)


def _first_only(call: Call) -> Tensor:
    """Linear in the first argument, the others only say where: max-pooling's backward, value selections."""
    g, rest = call.args[0], mapped(call.args[1:], lambda b: b.value.to(torch.float64))
    kwargs = mapped(_wide(call.kwargs), lambda b: b.value.to(torch.float64))
    return rules.total(
        lambda x: call.func(x, *rest, **kwargs), g, call.func(torch.ones_like(g.error), *rest, **kwargs), call.out
    )


def _selected(call: Call) -> Any:
    """(values, indices) along an axis: the entry chosen keeps its error."""
    x, (_, indices) = _as_bound(call.args[0]), call.out
    dim = {"topk": 2, "kthvalue": 2}.get(call.func._schema.name.split("::")[1], 1)
    axis = call.get(dim, "dim", -1)
    error = x.error
    if indices.dim() < error.dim():
        return [error.gather(axis, indices.unsqueeze(axis)).squeeze(axis), None]
    return [error.gather(axis, indices) if error.dim() else error, None]


def _pooled(call: Call) -> Any:
    x, (_, indices) = _as_bound(call.args[0]), call.out
    return [x.error.flatten(-2).gather(-1, indices.flatten(-2)).reshape(indices.shape), None]


def _extreme(call: Call) -> Tensor:
    """amax, amin, max and min of everything: no entry moves by more than the largest error."""
    error = _as_bound(call.args[0]).error
    dims = call.get(1, "dim", [])
    return error.amax(dims if dims or dims == 0 else tuple(range(error.dim())), keepdim=call.get(2, "keepdim", False))


def _average(call: Call) -> Tensor:
    """Means over windows, and their transpose."""
    kernel = call.args[2] if "backward" in call.func._schema.name else call.args[1]
    area = math.prod(kernel) if len(kernel) > 1 else kernel[0] ** 2
    others = mapped(call.args[1:], lambda b: b.value.to(torch.float64))
    g = call.args[0]
    run = lambda x: call.func(x, *others, **call.kwargs)  # noqa: E731
    return rules.total(run, g, area + 3, call.out)


def _adaptive(call: Call) -> Tensor:
    """Means over windows of several sizes, which overlap in fewer than four along each of two axes; their transpose."""
    others = mapped(call.args[1:], lambda b: b.value.to(torch.float64))
    a, out = _as_bound(call.args[0]), call.out
    area = max(a.value.numel() / max(out.numel(), 1), 1.0)
    return rules.total(lambda x: call.func(x, *others), a, 4 * area + 24, out)


def _stretched(call: Call) -> Tensor:
    """The transpose of interpolation: weights from zero to one, each wrong by a few units of a coordinate."""
    others = mapped(call.args[1:], lambda b: b.value.to(torch.float64))
    a, out = _as_bound(call.args[0]), call.out
    axes = tuple(range(2, out.dim()))
    run = lambda x: call.func(x, *others)  # noqa: E731
    sizes = magnitude(a.value).sum(axes, keepdim=True)
    f, widest = FORMATS[out.dtype], sum(a.value.shape[k] + out.shape[k] for k in axes)
    unit = f.unit if f.digits >= 24 else FORMATS[torch.float32].unit
    own = 16 * unit * widest * sizes + 2 * f.unit * magnitude(out)
    return rules.outward(run(a.error) + own + (a.error.sum(axes, keepdim=True) * 16 * unit * widest))


def _running_logsumexp(call: Call) -> Tensor:
    """Entry by entry, log(exp(c) + exp(x)) of what has been added up and the next: slopes that add up to one."""
    x, axis, c = _as_bound(call.args[0]), call.args[1], call.out
    f, n = FORMATS[c.dtype], x.value.shape[axis] if x.value.dim() else 1
    if not n or not x.value.dim():
        return x.error
    widest = x.error.cummax(axis).values
    largest = magnitude(x.value).cummax(axis).values
    own = n * (8 * f.unit * (1 + largest + magnitude(c)) + (f.eta if c.dtype is torch.float16 else f.normal))
    return rules.outward(widest + own)


def _polygamma(call: Call) -> Tensor:
    order, x = call.args[:2] if isinstance(call.args[0], int) else call.args[1::-1]
    return rules.function("polygamma", [_as_bound(x)], call.out, order)


# ------------------------------------------------------------------------------------------------ products


def _prod(call: Call) -> Tensor:
    """prod and cumprod: n - 1 roundings of the product of the sizes."""
    a = _as_bound(call.args[0])
    run = lambda x: call.func(x, *call.args[1:], **_wide(call.kwargs))  # noqa: E731
    f, sizes, fat = FORMATS[call.out.dtype], run(magnitude(a.value)), run(magnitude(a.value) + a.error)
    roundings = math.expm1((2 * a.value.numel() + 4) * math.log1p(f.unit)) + a.value.numel() * 2.0**-50
    under = f.eta * run((magnitude(a.value) + a.error).clamp(min=1)) * a.value.numel()
    return rules.outward((fat - sizes).clamp(min=0) + roundings * fat + under)


def _product(call: Call) -> Tensor:
    return rules.contraction(torch.matmul, _as_bound(call.args[0]), _as_bound(call.args[1]), call.out)


def _added_product(call: Call) -> Tensor:
    """beta * start + alpha * (a @ b), the start being one more term of the sum."""
    start, a, b = (_as_bound(x) for x in call.args[:3])
    beta, alpha = (abs(call.kwargs.get(k, 1)) for k in ("beta", "alpha"))
    x, y = magnitude(a.value), magnitude(b.value)
    sizes = alpha * (x @ y) + beta * magnitude(start.value)
    more = math.expm1((4 * x.shape[-1] + 8) * math.log1p(FORMATS[call.out.dtype].unit)) * sizes
    return alpha * rules.contraction(torch.matmul, a, b, call.out) + beta * start.error + more


def _convolution(call: Call) -> Tensor:
    x, w, bias, *rest = call.args
    product = lambda p, q: call.func(p, q, None, *rest)  # noqa: E731
    e = rules.contraction(product, _as_bound(x), _as_bound(w), call.out)
    if bias is None:
        return e
    column = (-1, *(1,) * (call.out.dim() - 2))
    f = FORMATS[call.out.dtype]
    return (
        e + bias.error.reshape(column) + 2 * f.unit * (magnitude(call.out) + magnitude(bias.value).reshape(column) + e)
    )


def _convolution_backward(call: Call) -> list[Tensor | None]:
    g, x, w, *rest, mask = call.args
    outs: list[Tensor | None] = [None, None, None]
    if mask[0]:
        run = lambda p, q: call.func(p, torch.zeros_like(x.error), q, *rest, [True, False, False])[0]  # noqa: E731
        outs[0] = rules.contraction(run, g, w, call.out[0])
    if mask[1]:
        run = lambda p, q: call.func(p, q, torch.zeros_like(w.error), *rest, [False, True, False])[1]  # noqa: E731
        outs[1] = rules.contraction(run, g, x, call.out[1])
    if mask[2]:
        axes = [k for k in range(g.error.dim()) if k != 1]
        count = g.error.numel() / max(call.out[2].numel(), 1)
        outs[2] = rules.total(lambda t: t.sum(axes), g, count, call.out[2])
    return outs


# ------------------------------------------------------------------------------------------------ the table


def _softmax(name: str) -> ErrorRule:
    return lambda call: rules.softmax(name, rules.cast(call.args[0], call.out.dtype), call.args[1], call.out)


def _each(names: str, rule: ErrorRule) -> dict[str, ErrorRule]:
    return dict.fromkeys(names.split(), rule)


_TABLE: dict[str, ErrorRule] = {
    **_each("add sub", _add),
    "rsub": _rsub,
    "mul": _pair(rules.multiply),
    **_each("div true_divide", _div),
    "pow": _pair(rules.power),
    **_each("neg positive conj_physical real imag relu clamp clamp_min clamp_max hardtanh", _same),
    "where": _where,
    "masked_fill": _masked_fill,
    "threshold_backward": _threshold_backward,
    "_softmax": _softmax("softmax"),
    "_log_softmax": _softmax("log_softmax"),
    **_each("full full_like new_full fill scalar_tensor", _filled),
    **_each("lift_fresh lift_fresh_copy", _lifted),
    **_each(
        "zeros ones empty zeros_like ones_like empty_like new_zeros new_ones new_empty eye zero empty_strided", _exact
    ),
    **_each("new_empty_strided rand randn rand_like randn_like bernoulli normal uniform randperm", _exact),
    **_each("floor ceil round trunc", _exact),
    "native_dropout": _dropout,
    **_each("clone contiguous cat stack index index_select gather take flip roll repeat tril triu diag_embed", _layout),
    **_each("select_backward slice_backward diagonal_backward select_scatter slice_scatter diagonal_scatter", _layout),
    **_each(
        "index_put _unsafe_index _unsafe_index_put scatter_add index_add embedding embedding_dense_backward", _layout
    ),
    **_each("sum cumsum trace _reshape_copy view_copy expand_copy permute_copy t_copy unfold_backward col2im", _layout),
    **_each("im2col as_strided_scatter index_copy", _layout),
    "mean": _mean,
    "constant_pad_nd": _pad,
    **_each("_to_copy convert_element_type", _to_copy),
    "copy": _copy,
    "scatter": _scatter,
    **_each("prod cumprod", _prod),
    **_each("avg_pool2d avg_pool2d_backward", _average),
    **_each("_adaptive_avg_pool2d _adaptive_avg_pool2d_backward", _adaptive),
    "max_pool2d_with_indices": _pooled,
    "max_pool2d_with_indices_backward": _first_only,
    "value_selecting_reduction_backward": _first_only,
    **_each("sort topk kthvalue mode cummax cummin", _selected),
    **_each("amax amin", _extreme),
    **_each("mm bmm mv dot", _product),
    **_each("addmm baddbmm addmv", _added_product),
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    **_each("upsample_bilinear2d_backward upsample_linear1d_backward upsample_trilinear3d_backward", _stretched),
    "polygamma": _polygamma,
    "logcumsumexp": _running_logsumexp,
    **SOLVERS,
}

# Rows of the scalar table whose ATen operation takes the tensors alone.
_PLAIN = frozenset(
    "exp log sqrt rsqrt reciprocal exp2 expm1 log1p log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh "
    "atanh erf erfc erfinv special_erfcx lgamma digamma abs sign sgn sigmoid silu log_sigmoid special_ndtr "
    "special_log_ndtr deg2rad rad2deg i0 atan2 hypot logaddexp logaddexp2 xlogy special_xlog1py maximum minimum fmax "
    "fmin ndtri square".split()
)


def rule_of(func: Any) -> ErrorRule | None:
    """The rule for an ATen (or prims) operation, in place or not; None if it has no row."""
    name = func._schema.name.split("::")[1]
    base = name[:-1] if name.endswith("_") else name
    if base in ("max", "min", "median", "nanmedian"):
        overload = func._overloadname
        return _selected if overload == "dim" else _extreme if overload == "default" else _row(f"{base}imum")
    if base == "gelu":
        return None
    if base in _TABLE:
        return _TABLE[base]
    row = find(base) if base in _PLAIN else None
    return _row(row) if row is not None else None
