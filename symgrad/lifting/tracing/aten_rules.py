"""The rules of `symgrad.lifting.tracing.aten` for whole operations: reductions, indexing, networks."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch

from symgrad.lifting.tracing.aten import PLAIN, axes_of, double, dtype_of, plain, rule
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.program import grouping, indexing, layouts
from symgrad.program.program import size
from symgrad.program.selection import select

# ----------------------------------------------------------------------------------------------------- aten reductions
# The rules of `symgrad.lifting.tracing.aten` for sums, products, norms, choices, order and activations.

# ------------------------------------------------------------------------------------------------ sums and products


@rule("sum", "mean")
def _sum(t: Recorder, a: Any, out: Any, name: str) -> int:
    b = t.builder
    x = b.cast(t.step_of(a.self), dtype_of(out))
    axes, keep = axes_of(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    return b.sum(x, axes, keep) if name == "sum" else layouts.mean(b, x, axes, keep)


@rule("var", "std", "var_mean", "std_mean")
def _var(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b, x = t.builder, t.step_of(a.self)
    correction = getattr(a, "correction", None)
    correction = int(getattr(a, "unbiased", True)) if correction is None else correction
    axes, keep = axes_of(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    spread = (layouts.var if name.startswith("var") else layouts.std)(b, x, axes, keep, correction)
    return [spread, layouts.mean(b, x, axes, keep)] if name.endswith("mean") else spread


@rule("prod")
def _prod(t: Recorder, a: Any, out: Any, name: str) -> int:
    return layouts.prod(t.builder, t.step_of(a.self), getattr(a, "dim", None), bool(getattr(a, "keepdim", False)))


@rule("cumsum", "cumprod")
def _running(t: Recorder, a: Any, out: Any, name: str) -> int:
    return getattr(layouts, name)(t.builder, t.step_of(a.self), a.dim)


@rule("logcumsumexp")
def _logcumsumexp(t: Recorder, a: Any, out: Any, name: str) -> int:
    return layouts.logcumsumexp(t.builder, t.step_of(a.self), a.dim)


@rule("linalg_vector_norm", "norm")
def _norm(t: Recorder, a: Any, out: Any, name: str) -> Any:
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
def _matmul(t: Recorder, a: Any, out: Any, name: str) -> int:
    x = t.step_of(a.self)
    y = t.step_of(next(getattr(a, n) for n in ("mat2", "vec", "tensor", "other") if hasattr(a, n)))
    return t.builder.matmul(t.builder.conj(x) if name == "vdot" else x, y)


@rule("addmm", "addmv", "baddbmm", "addbmm")
def _addmm(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b, dtype = t.builder, dtype_of(out)
    left = a.mat1 if name == "addmm" else a.mat if name == "addmv" else a.batch1
    right = a.mat2 if name == "addmm" else a.vec if name == "addmv" else a.batch2
    product = b.matmul(t.step_of(left), t.step_of(right))
    product = b.sum(product, 0) if name == "addbmm" else product
    if a.alpha != 1:
        product = b.mul(product, t.step_of(a.alpha, dtype))
    if a.beta == 0:
        return product
    base = t.step_of(a.self)
    return b.add(base if a.beta == 1 else b.mul(base, t.step_of(a.beta, dtype)), product)


@rule("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax")
def _softmax(t: Recorder, a: Any, out: Any, name: str) -> int:
    b = t.builder
    x = b.cast(t.step_of(a.self), dtype_of(out))
    if name == "_safe_softmax":  # a row in which everything is masked is zero
        shape = tuple(out.shape)
        empty = np.isneginf(plain(a.self)).all(a.dim, keepdims=True)
        kept = np.where(np.broadcast_to(empty, shape), 0, np.arange(1, size(shape) + 1).reshape(shape))
        if empty.any():
            return b.pick([layouts.softmax(b, b.pick([x], kept, shape), a.dim)], kept, shape)
    return (layouts.log_softmax if "log" in name else layouts.softmax)(b, x, a.dim)


@rule("logsumexp")
def _logsumexp(t: Recorder, a: Any, out: Any, name: str) -> int:
    return layouts.logsumexp(t.builder, t.step_of(a.self), axes_of(a.dim), bool(a.keepdim))


# ------------------------------------------------------------------------------------------------ choices


@rule("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(t: Recorder, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, dtype_of(out)
    low, high = getattr(a, "min", getattr(a, "min_val", None)), getattr(a, "max", getattr(a, "max_val", None))
    x, value = t.step_of(a.self), double(a.self)
    for bound, row, choose in ((low, "maximum", np.maximum), (high, "minimum", np.minimum)):
        if bound is not None:
            there = double(torch.as_tensor(bound).to(a.self.dtype))
            x, value = select(b, row, [x, t.step_of(bound, dtype)], [value, there], dtype), choose(value, there)
    return x


@rule("amax", "amin", "max", "min")
def _extreme(t: Recorder, a: Any, out: Any, name: str) -> Any:
    if hasattr(a, "other"):
        row = "maximum" if name == "max" else "minimum"
        values = [double(a.self), double(a.other)]
        return select(t.builder, row, [t.step_of(a.self), t.step_of(a.other)], values, dtype_of(out))
    axes, keep = axes_of(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    step = indexing.extreme(t.builder, t.step_of(a.self), double(a.self), axes, keep, largest="max" in name)
    return [step, PLAIN] if isinstance(out, (list, tuple)) else step


@rule("aminmax")
def _aminmax(t: Recorder, a: Any, out: Any, name: str) -> Any:
    axes = axes_of(a.dim)
    x, values = t.step_of(a.self), double(a.self)
    return [indexing.extreme(t.builder, x, values, axes, bool(a.keepdim), largest=k) for k in (False, True)]


@rule("sort", "topk", "kthvalue", "median", "nanmedian", "mode", "cummax", "cummin")
def _sort(t: Recorder, a: Any, out: Any, name: str) -> Any:
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
def _unique(t: Recorder, a: Any, out: Any, name: str) -> Any:
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
def _elu(t: Recorder, a: Any, out: Any, name: str) -> Any:
    if a.input_scale != 1:
        return NotImplemented
    b, dtype = t.builder, dtype_of(out)
    y = select(b, "elu", [t.step_of(a.self), t.step_of(a.alpha, dtype)], [double(a.self), double(a.alpha)], dtype)
    return y if a.scale == 1 else b.mul(y, t.step_of(a.scale, dtype))


@rule("celu", "leaky_relu", "softshrink", "hardshrink", "_prelu_kernel", "prelu")
def _with_slope(t: Recorder, a: Any, out: Any, name: str) -> int:
    row = "prelu" if "prelu" in name else name
    extra = next(getattr(a, n) for n in ("alpha", "negative_slope", "lambd", "weight") if hasattr(a, n))
    dtype = dtype_of(out)
    return select(t.builder, row, [t.step_of(a.self), t.step_of(extra, dtype)], [double(a.self), double(extra)], dtype)


@rule("rrelu_with_noise")
def _rrelu(t: Recorder, a: Any, out: Any, name: str) -> int:
    """x where it is positive; elsewhere x times the mean slope, or in training times one that was drawn."""
    b, dtype = t.builder, dtype_of(out)
    drawn = double(a.noise) if a.training else np.full(tuple(out.shape), (a.lower + a.upper) / 2)
    slope = t.data(drawn, dtype) if a.training else t.step_of((a.lower + a.upper) / 2, dtype)
    return select(b, "leaky_relu", [t.step_of(a.self), slope], [double(a.self), drawn], dtype)


@rule("softplus")
def _softplus(t: Recorder, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, dtype_of(out)
    if a.threshold < _SHORTCUT.get():
        return _softplus_in_parts(t, a)
    x = t.step_of(a.self)
    if a.beta == 1:
        return b.apply("softplus", x, dtype=dtype)
    beta = t.step_of(a.beta, dtype)
    return b.div(b.apply("softplus", b.mul(x, beta), dtype=dtype), beta)


# The threshold from which on what it leaves out counts as rounding: log(1 + exp(-20)) is 2e-9.
_SHORTCUT: ContextVar[float] = ContextVar("shortcut", default=20.0)


@contextlib.contextmanager
def shortcuts_as_they_run() -> Iterator[None]:
    """A block in which torch's softplus is read as torch runs it, which is its argument above any threshold."""
    before = _SHORTCUT.set(math.inf)
    try:
        yield
    finally:
        _SHORTCUT.reset(before)


def _softplus_in_parts(t: Recorder, a: Any) -> int:
    """x where beta x is above the threshold: a choice, with a jump of value and slope that can be seen."""
    with t.tensors.dispatch:
        smooth = torch.nn.functional.softplus(a.self, a.beta, math.inf)
        return t.tensors.step(torch.where(a.self * a.beta > a.threshold, a.self, smooth))


@rule("gelu")
def _gelu(t: Recorder, a: Any, out: Any, name: str) -> int:
    return t.builder.apply("gelu_tanh" if a.approximate == "tanh" else "gelu", t.step_of(a.self))


@rule("log_sigmoid_forward")
def _log_sigmoid(t: Recorder, a: Any, out: Any, name: str) -> list[Any]:
    return [t.builder.apply("logsigmoid", t.step_of(a.self)), PLAIN]


# ------------------------------------------------------------------------------------------------------- aten networks
# The rules of `symgrad.lifting.tracing.aten` for convolution, pooling, losses and index sums.

# ------------------------------------------------------------------------------------------------ networks


@rule("convolution", "_convolution")
def _convolution(t: Recorder, a: Any, out: Any, name: str) -> int:
    return indexing.conv(
        t.builder,
        t.step_of(a.input),
        t.step_of(a.weight),
        None if a.bias is None else t.step_of(a.bias),
        tuple(a.stride),
        tuple(a.padding),
        tuple(a.dilation),
        a.transposed,
        tuple(a.output_padding),
        a.groups,
    )


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(t: Recorder, a: Any, out: Any, name: str) -> int:
    return indexing.avg_pool(
        t.builder,
        t.step_of(a.self),
        a.kernel_size,
        a.stride or None,
        a.padding,
        a.count_include_pad,
        a.ceil_mode,
        getattr(a, "divisor_override", None),
        dims=int(name[-2]),
    )


@rule("_adaptive_avg_pool3d")
def _adaptive_avg_pool3d(t: Recorder, a: Any, out: Any, name: str) -> int:
    """The mean of each cell: along an axis cell i of m goes from i n/m, rounded down, to (i+1) n/m, rounded up."""
    b, step = t.builder, t.step_of(a.self)
    shape, result = tuple(a.self.shape), tuple(out.shape)
    places = np.arange(1, size(shape) + 1).reshape(-1, *shape[-3:])
    edges = [
        [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in zip(shape[-3:], result[-3:], strict=True)
    ]
    cells = [tuple(slice(*edge) for edge in cell) for cell in itertools.product(*edges)]
    groups = [[*plane[cell].reshape(-1)] for plane in places for cell in cells]
    return b.reshape(grouping.reduced(b, [step], groups, "mean", ()), result)


@rule("fractional_max_pool2d", "fractional_max_pool3d")
def _fractional_max_pool(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """The largest entries of cells whose edges are drawn beforehand."""
    b, step = t.builder, t.step_of(a.self)
    b.guard("argmax", [step], ("fractional", tuple(a.output_size)), plain(out[1]))
    return [indexing.max_pool_from_indices(b, step, plain(out[1]), 3 if "3d" in name else 2), PLAIN]


@rule("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _max_pool(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b, step, dims = t.builder, t.step_of(a.self), 3 if "3d" in name else 2
    if name.startswith("max"):
        windows = (a.kernel_size, a.stride or None, a.padding, a.dilation, a.ceil_mode)
        return [indexing.max_pool_from_indices(b, step, plain(out[1]), dims, *windows), PLAIN]
    b.guard("argmax", [step], ("adaptive", tuple(a.output_size)), plain(out[1]))
    return [indexing.max_pool_from_indices(b, step, plain(out[1]), dims), PLAIN]


@rule("nll_loss_forward", "nll_loss2d_forward")
def _nll(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b, shape, dtype = t.builder, tuple(a.self.shape), dtype_of(a.self)
    target = plain(a.target)
    kept = target != a.ignore_index
    axis = 1 if len(shape) > 1 else 0
    safe = np.where(kept, target, 0)
    where = np.arange(1, size(shape) + 1).reshape(shape)
    chosen = np.take_along_axis(where, np.expand_dims(safe, axis), axis).squeeze(axis)
    picked = b.neg(b.pick([t.step_of(a.self)], np.where(kept, chosen, 0), chosen.shape))
    counted = b.constant(kept.astype(np.float64), dtype)
    if a.weight is not None:
        counted = b.pick([t.step_of(a.weight)], np.where(kept, safe + 1, 0), chosen.shape)
        picked = b.mul(picked, counted)
    if a.reduction == 0:
        return [picked, PLAIN]
    total = b.sum(picked)
    if a.reduction == 1:
        n = b.sum(counted) if a.weight is not None else b.number(int(kept.sum()), dtype)
        total = b.div(total, n)
    return [total, PLAIN]


@rule("binary_cross_entropy")
def _binary_cross_entropy(t: Recorder, a: Any, out: Any, name: str) -> int:
    """-(y log p + (1 - y) log(1 - p)).  torch takes no log for less than -100: that guard against overflow is left out
    where no entry here comes under it.
    """
    b, dtype = t.builder, dtype_of(out)
    shape = tuple(a.self.shape)
    p, y = t.step_of(a.self), b.broadcast(b.cast(t.step_of(a.target), dtype), shape)
    one = b.broadcast(b.number(1, dtype), shape)
    logs = []
    for x, value in ((p, a.self), (b.sub(one, p), 1 - a.self)):
        log = b.apply("log", x)
        seen = torch.log(value.detach().double())
        if bool((seen < -100).any()):
            log = select(b, "maximum", [log, b.number(-100, dtype)], [double(seen), np.asarray(-100.0)], dtype)
        logs.append(log)
    loss = b.neg(b.add(b.mul(y, logs[0]), b.mul(b.sub(one, y), logs[1])))
    if getattr(a, "weight", None) is not None:
        loss = b.mul(loss, b.broadcast(t.step_of(a.weight), shape))
    if a.reduction == 0 or not shape:
        return loss
    total = b.sum(loss)
    return total if a.reduction == 2 else b.div(total, b.number(size(shape), dtype))


@rule("_embedding_bag", "_embedding_bag_forward_only")
def _embedding_bag(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """The rows of a table summed, averaged, or the largest of each column, bag by bag."""
    b, indices, table = t.builder, plain(a.indices), tuple(a.weight.shape)
    offsets = plain(a.offsets)[: -1 if a.include_last_offset else None]
    bag = np.searchsorted(offsets, np.arange(indices.size), side="right") - 1
    kept = indices != a.padding_idx
    where = np.arange(1, size(table) + 1).reshape(table)
    if a.per_sample_weights is None:
        groups = [[*where[indices[(bag == k) & kept], c]] for k in range(out[0].shape[0]) for c in range(table[1])]
        how = ("sum", "mean", "amax")[a.mode]
        total = grouping.reduced(b, [t.step_of(a.weight)], groups, how, double(a.weight))
        return [b.reshape(total, tuple(out[0].shape)), *[PLAIN] * (len(out) - 1)]
    rows = b.pick([t.step_of(a.weight)], where[indices] * kept[:, None], (indices.size, table[1]))
    rows = b.mul(rows, b.reshape(t.step_of(a.per_sample_weights), (indices.size, 1)))
    shape = tuple(out[0].shape)
    total = b.scatter(rows, np.arange(1, size(shape) + 1).reshape(shape)[bag], shape)
    return [total, *[PLAIN] * (len(out) - 1)]


@rule("scatter_reduce", "index_reduce")
def _scatter_reduce(t: Recorder, a: Any, out: Any, name: str) -> int:
    """What lands on an entry, and the entry itself if it is included, reduced to one number."""
    b, index, shape = t.builder, plain(a.index), tuple(a.self.shape)
    places = np.arange(1, size(shape) + 1).reshape(shape)
    source = a.src if name == "scatter_reduce" else a.source
    if name == "scatter_reduce":
        source = source[tuple(slice(0, n) for n in index.shape)]
        at = places if not shape else np.take_along_axis(*_aligned(places, index, a.dim))
    else:
        at = np.take(places, index, a.dim) if shape else places
    groups = grouping.targets(size(shape), at, a.include_self)
    values = np.concatenate([double(a.self).reshape(-1), double(source).reshape(-1)])
    return b.reshape(grouping.reduced(b, [t.step_of(a.self), t.step_of(source)], groups, a.reduce, values), shape)


def _aligned(places: np.ndarray, index: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The places, cut to the index's lengths along the other axes, as take_along_axis wants them."""
    axis = axis % places.ndim
    cut = tuple(slice(None) if k == axis else slice(0, n) for k, n in enumerate(index.shape))
    return places[cut], index, axis


@rule("segment_reduce")
def _segment_reduce(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """Runs of slices along the first axis, of given lengths or between given offsets."""
    if a.axis != 0 or a.indices is not None:
        return NotImplemented
    b, shape = t.builder, tuple(a.data.shape)
    ends = np.cumsum(plain(a.lengths)) if a.lengths is not None else plain(a.offsets)[1:]
    starts = np.concatenate([[0], ends[:-1]]) if a.lengths is not None else plain(a.offsets)[:-1]
    places = np.arange(1, size(shape) + 1).reshape(shape[0], -1)
    first = [] if a.initial is None else [size(shape) + 1]
    groups = [[*first, *places[i:k, c]] for i, k in zip(starts, ends, strict=True) for c in range(places.shape[1])]
    initial = 0.0 if a.initial is None else float(a.initial)
    steps = [t.step_of(a.data), t.step_of(initial, dtype_of(out))]
    how: str = {"max": "amax", "min": "amin"}.get(a.reduce, a.reduce)  # type: ignore[assignment]
    counts = np.repeat(ends - starts, places.shape[1])
    values = np.concatenate([double(a.data).reshape(-1), [initial]])
    return b.reshape(grouping.reduced(b, steps, groups, how, values, counts), tuple(out.shape))


@rule("put")
def _put(t: Recorder, a: Any, out: Any, name: str) -> int:
    b, shape, index = t.builder, tuple(a.self.shape), plain(a.index).reshape(-1) % max(a.self.numel(), 1)
    flat = b.reshape(t.step_of(a.self), (size(shape),))
    source = b.reshape(t.step_of(a.source), (index.size,))
    if a.accumulate:
        return b.reshape(indexing.index_put_accumulate(b, flat, [index], source), shape)
    where = np.arange(1, size(shape) + 1)
    where[index] = size(shape) + 1 + np.arange(index.size)
    return b.pick([flat, source], where, shape)


@rule("_pdist_forward")
def _pdist(t: Recorder, a: Any, out: Any, name: str) -> int:
    """The distances of the rows, each pair once."""
    b, (n, d) = t.builder, a.self.shape
    first, second = np.triu_indices(n, 1)
    where = np.arange(1, n * d + 1).reshape(n, d)
    step, value = t.step_of(a.self), double(a.self)
    difference = b.sub(b.pick([step], where[first], (first.size, d)), b.pick([step], where[second], (first.size, d)))
    return _distance(t, difference, value[first] - value[second], a.p, out)


def _distance(t: Recorder, difference: int, values: np.ndarray, p: float, out: torch.Tensor) -> int:
    """The p-norm along the last axis; with p = 0 a count, which is constant by pieces."""
    if p == 0:
        b = t.builder
        b.guard("ne", [difference, b.zeros(b.shape(difference), b.dtype(difference))], None, values != 0)
        return t.data(plain(out), dtype_of(out))
    return layouts.norm(t.builder, difference, p, -1, values=np.abs(values))


@rule("_trilinear")
def _trilinear(t: Recorder, a: Any, out: Any, name: str) -> int:
    """The sum over ``sumdim`` of three factors' product, each with axes of length one put in."""
    b = t.builder
    factors = []
    for x, new in ((a.i1, a.expand1), (a.i2, a.expand2), (a.i3, a.expand3)):
        shape = list(x.shape)
        for axis in sorted(new):
            shape.insert(axis, 1)
        factors.append(b.reshape(t.step_of(x), tuple(shape)))
    return b.sum(b.mul(b.mul(*factors[:2]), factors[2]), list(a.sumdim))


@rule("scatter_add", "index_add")
def _scatter_add(t: Recorder, a: Any, out: Any, name: str) -> int:
    if name == "scatter_add":
        return indexing.scatter_add(t.builder, t.step_of(a.self), a.dim, plain(a.index), t.step_of(a.src))
    source = t.step_of(a.source)
    if a.alpha != 1:
        source = t.builder.mul(source, t.step_of(a.alpha, dtype_of(out)))
    return indexing.index_add(t.builder, t.step_of(a.self), a.dim, plain(a.index), source)


@rule("linalg_cross")
def _cross(t: Recorder, a: Any, out: Any, name: str) -> int:
    return layouts.cross(t.builder, t.step_of(a.self), t.step_of(a.other), a.dim)


@rule("_cdist_forward")
def _cdist(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b = t.builder
    x, y = t.step_of(a.x1), t.step_of(a.x2)
    sx, sy = b.shape(x), b.shape(y)
    difference = b.sub(b.reshape(x, (*sx[:-1], 1, sx[-1])), b.reshape(y, (*sy[:-2], 1, *sy[-2:])))
    return _distance(t, difference, double(a.x1)[..., None, :] - double(a.x2)[..., None, :, :], a.p, out)
