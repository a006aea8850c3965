"""The rules of `symgrad.lifting.tracing.aten` for sums, products, norms, choices, order and activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from symgrad.lifting.tracing.aten import PLAIN, axes_of, double, dtype_of, plain, rule
from symgrad.ops import layouts
from symgrad.program.program import size
from symgrad.program.selection import select

if TYPE_CHECKING:
    from symgrad.lifting.tracing.tracer import Tracer

# ------------------------------------------------------------------------------------------------ sums and products


@rule("sum", "mean")
def _sum(t: Tracer, a: Any, out: Any, name: str) -> int:
    b = t.builder
    x = b.cast(t.step_of(a.self), dtype_of(out))
    axes, keep = axes_of(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    return b.sum(x, axes, keep) if name == "sum" else layouts.mean(b, x, axes, keep)


@rule("var", "std", "var_mean", "std_mean")
def _var(t: Tracer, a: Any, out: Any, name: str) -> Any:
    b, x = t.builder, t.step_of(a.self)
    correction = getattr(a, "correction", None)
    correction = int(getattr(a, "unbiased", True)) if correction is None else correction
    axes, keep = axes_of(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    spread = (layouts.var if name.startswith("var") else layouts.std)(b, x, axes, keep, correction)
    return [spread, layouts.mean(b, x, axes, keep)] if name.endswith("mean") else spread


@rule("prod")
def _prod(t: Tracer, a: Any, out: Any, name: str) -> int:
    return layouts.prod(t.builder, t.step_of(a.self), getattr(a, "dim", None), bool(getattr(a, "keepdim", False)))


@rule("cumsum", "cumprod")
def _running(t: Tracer, a: Any, out: Any, name: str) -> int:
    return getattr(layouts, name)(t.builder, t.step_of(a.self), a.dim)


@rule("logcumsumexp")
def _logcumsumexp(t: Tracer, a: Any, out: Any, name: str) -> int:
    """log of the sums of exp up to each place, each relative to its own last entry... written from its meaning."""
    b, x = t.builder, t.step_of(a.self)
    return b.apply("log", layouts.cumsum(b, b.apply("exp", x), a.dim)) if b.shape(x) else x


@rule("linalg_vector_norm", "norm")
def _norm(t: Tracer, a: Any, out: Any, name: str) -> Any:
    p = getattr(a, "ord", getattr(a, "p", 2))
    p = 2 if p is None else p
    if p == 0:
        return NotImplemented
    values = np.abs(double(a.self))
    if not a.self.is_complex() and p % 2:
        t.guard("sign", [a.self], None, np.sign(plain(a.self)))
    axes, keep = axes_of(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    return layouts.norm(t.builder, t.step_of(a.self), p, axes, keep, values)


@rule("mm", "bmm", "mv", "dot", "vdot", "matmul")
def _matmul(t: Tracer, a: Any, out: Any, name: str) -> int:
    x = t.step_of(a.self)
    y = t.step_of(next(getattr(a, n) for n in ("mat2", "vec", "tensor", "other") if hasattr(a, n)))
    return t.builder.matmul(t.builder.conj(x) if name == "vdot" else x, y)


@rule("addmm", "addmv", "baddbmm", "addbmm")
def _addmm(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if name == "addbmm":
        return NotImplemented
    b, dtype = t.builder, dtype_of(out)
    left = a.mat1 if name == "addmm" else a.mat if name == "addmv" else a.batch1
    right = a.mat2 if name == "addmm" else a.vec if name == "addmv" else a.batch2
    product = b.matmul(t.step_of(left), t.step_of(right))
    if a.alpha != 1:
        product = b.mul(product, t.step_of(a.alpha, dtype))
    if a.beta == 0:
        return product
    base = t.step_of(a.self)
    return b.add(base if a.beta == 1 else b.mul(base, t.step_of(a.beta, dtype)), product)


@rule("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax")
def _softmax(t: Tracer, a: Any, out: Any, name: str) -> int:
    b = t.builder
    x = b.cast(t.step_of(a.self), dtype_of(out))
    return (layouts.log_softmax if "log" in name else layouts.softmax)(b, x, a.dim)


@rule("logsumexp")
def _logsumexp(t: Tracer, a: Any, out: Any, name: str) -> int:
    return layouts.logsumexp(t.builder, t.step_of(a.self), axes_of(a.dim), bool(a.keepdim))


# ------------------------------------------------------------------------------------------------ choices


@rule("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, dtype_of(out)
    low, high = getattr(a, "min", getattr(a, "min_val", None)), getattr(a, "max", getattr(a, "max_val", None))
    x, value = t.step_of(a.self), double(a.self)
    for bound, row, choose in ((low, "maximum", np.maximum), (high, "minimum", np.minimum)):
        if bound is not None:
            there = double(torch.as_tensor(bound).to(a.self.dtype))
            x, value = select(b, row, [x, t.step_of(bound, dtype)], [value, there], dtype), choose(value, there)
    return x


@rule("amax", "amin", "max", "min")
def _extreme(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if hasattr(a, "other"):
        row = "maximum" if name == "max" else "minimum"
        values = [double(a.self), double(a.other)]
        return select(t.builder, row, [t.step_of(a.self), t.step_of(a.other)], values, dtype_of(out))
    axes, keep = axes_of(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    step = layouts.extreme(t.builder, t.step_of(a.self), double(a.self), axes, keep, largest="max" in name)
    return [step, PLAIN] if isinstance(out, (list, tuple)) else step


@rule("aminmax")
def _aminmax(t: Tracer, a: Any, out: Any, name: str) -> Any:
    axes = axes_of(a.dim)
    x, values = t.step_of(a.self), double(a.self)
    return [layouts.extreme(t.builder, x, values, axes, bool(a.keepdim), largest=k) for k in (False, True)]


@rule("sort", "topk", "kthvalue", "median", "nanmedian", "mode", "cummax", "cummin")
def _sort(t: Tracer, a: Any, out: Any, name: str) -> Any:
    b, step, shape = t.builder, t.step_of(a.self), tuple(a.self.shape)
    if not isinstance(out, (list, tuple)):  # the median of all entries: the first that has its value
        flat = double(a.self).reshape(-1)
        chosen = np.flatnonzero((flat == double(out)) | (np.isnan(flat) & np.isnan(double(out))))[:1]
        b.guard("argsort", [b.reshape(step, (flat.size,))], 0, np.argsort(flat, kind="stable"))
        return b.pick([step], chosen + 1, ())
    axis = getattr(a, "dim", -1)
    axis = (-1 if axis is None else axis) % max(len(shape), 1)
    chosen = plain(out[1])
    if chosen.ndim < len(shape):
        chosen = np.expand_dims(chosen, axis)
    b.guard("argsort", [step], axis, chosen)
    where = np.arange(1, size(shape) + 1).reshape(shape)
    where = np.take_along_axis(where, chosen, axis) if shape else where
    return [b.pick([step], where, tuple(out[0].shape)), PLAIN]


@rule("_unique2", "unique_consecutive")
def _unique(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if getattr(a, "dim", None) is not None:
        return NotImplemented
    flat = plain(a.self).reshape(-1)
    if name == "_unique2":
        first = np.unique(flat, return_index=True)[1]
        t.builder.guard(
            "argsort", [t.builder.reshape(t.step_of(a.self), flat.shape)], 0, np.argsort(flat, kind="stable")
        )
    else:
        first = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
        t.guard("ne", [a.self], ("neighbours",), first)
    return [t.builder.pick([t.step_of(a.self)], first + 1, first.shape), *[PLAIN] * (len(out) - 1)]


@rule("elu")
def _elu(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if a.input_scale != 1:
        return NotImplemented
    b, dtype = t.builder, dtype_of(out)
    y = select(b, "elu", [t.step_of(a.self), t.step_of(a.alpha, dtype)], [double(a.self), double(a.alpha)], dtype)
    return y if a.scale == 1 else b.mul(y, t.step_of(a.scale, dtype))


@rule("celu", "leaky_relu", "softshrink", "hardshrink", "_prelu_kernel", "prelu")
def _with_slope(t: Tracer, a: Any, out: Any, name: str) -> int:
    row = "prelu" if "prelu" in name else name
    extra = next(getattr(a, n) for n in ("alpha", "negative_slope", "lambd", "weight") if hasattr(a, n))
    dtype = dtype_of(out)
    return select(t.builder, row, [t.step_of(a.self), t.step_of(extra, dtype)], [double(a.self), double(extra)], dtype)


@rule("softplus")
def _softplus(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, dtype_of(out)
    x = t.step_of(a.self)
    if a.beta == 1:
        return b.apply("softplus", x, dtype=dtype)
    beta = t.step_of(a.beta, dtype)
    return b.div(b.apply("softplus", b.mul(x, beta), dtype=dtype), beta)


@rule("gelu")
def _gelu(t: Tracer, a: Any, out: Any, name: str) -> int:
    return t.builder.apply("gelu_tanh" if a.approximate == "tanh" else "gelu", t.step_of(a.self))


@rule("log_sigmoid_forward")
def _log_sigmoid(t: Tracer, a: Any, out: Any, name: str) -> list[Any]:
    return [t.builder.apply("logsigmoid", t.step_of(a.self)), PLAIN]
