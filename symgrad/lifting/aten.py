"""aten operations as steps: one short rule each; everything else decomposes into these.

A rule is given the tracer, the operation's arguments by their schema names, and the tensor that torch computed; it
returns the step of the result (a list of steps for several results, None for one without a derivative).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from symgrad.lifting.choices import select
from symgrad.lifting.torch_tensors import quiet
from symgrad.ops import layouts, windows
from symgrad.ops.scalars import OPS, find
from symgrad.program import Strided, size

if TYPE_CHECKING:
    from symgrad.lifting.tracing import Tracer

__all__ = ["steps"]

_RULES: dict[str, Callable[..., Any]] = {}
_LAYOUT = frozenset(
    [
        "cat",
        "stack",
        "split",
        "split_with_sizes",
        "unbind",
        "index",
        "index_select",
        "gather",
        "embedding",
        "flip",
        "roll",
        "repeat",
        "tril",
        "triu",
        "diag_embed",
        "diagonal",
        "diag",
        "constant_pad_nd",
        "scatter",
        "index_put",
        "slice_scatter",
        "select_scatter",
        "diagonal_scatter",
        "where",
        "masked_fill",
        "repeat_interleave",
        "unfold",
        "index_copy",
        "diagflat",
        "take",
        "masked_select",
        "chunk",
        "unsafe_split",
        "rot90",
        "diagonal_copy",
        "tile",
    ]
)
# which arguments of a layout operation are values, although they may be plain numbers
_VALUES = {
    "where": ("self", "other"),
    "masked_fill": ("self", "value"),
    "scatter": ("self", "src", "value"),
    "constant_pad_nd": ("self", "value"),
    "index_put": ("self", "values"),
}
_NOTHING = frozenset(
    [
        "ones_like",
        "zeros_like",
        "full_like",
        "empty_like",
        "new_zeros",
        "new_ones",
        "new_full",
        "new_empty",
        "rand_like",
        "randn_like",
        "floor",
        "ceil",
        "round",
        "trunc",
        "bernoulli",
        "new_empty_strided",
        "sign_",
        "_fused_dropout",
    ]
)


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _RULES[name] = function
        return function

    return enter


@functools.cache
def _schema(func: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((a.name, a.default_value) for a in func._schema.arguments)


def _arguments(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    out = dict(_schema(func))
    out |= dict(zip((name for name, _ in _schema(func)), args, strict=False))
    return out | kwargs


def steps(t: Tracer, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> Any:
    """The step or steps of one aten call, or NotImplemented."""
    given = _arguments(func, args, kwargs)
    found = _RULES.get(name)
    if found is not None:
        with quiet():
            return found(t, SimpleNamespace(**given), out, name)
    if name in _NOTHING:
        return _constant(t, given, out, name)
    if name in _LAYOUT:
        with quiet():
            return _layout(t, func, name, given, out)
    if _is_view(func):
        with quiet():
            return _view(t, func, args, kwargs, out)
    row = find(name)
    if row is not None and len(args) == OPS[row].arity and not any(v is not None for v in kwargs.values()):
        with quiet():
            return _scalar(t, row, list(args), out)
    return NotImplemented


@functools.cache
def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return (bool(returns) and returns[0].alias_info is not None) or func._schema.name.split("::")[1] in (
        "_unsafe_view",
        "reshape",
        "clone",
        "contiguous",
        "lift_fresh_copy",
        "alias",
        "view_copy",
    )


def _dtype(x: torch.Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _plain(x: Any) -> Any:
    return x.detach().resolve_conj().numpy() if isinstance(x, torch.Tensor) else x


def _double(x: Any) -> np.ndarray:
    if isinstance(x, torch.Tensor):
        x = x.detach().resolve_conj()
        return (x if x.is_complex() else x.double()).numpy()
    return np.asarray(x, dtype=np.float64)


def _constant(t: Tracer, given: dict[str, Any], out: Any, name: str) -> Any:
    if name in ("floor", "ceil", "round", "trunc"):
        t.guard(name, [given["self"]], None, _plain(out))
    return None


# ------------------------------------------------------------------------------------------------ layouts


def _view(t: Tracer, func: Any, args: Any, kwargs: Any, out: Any) -> Any:
    """A view or a copy of one tensor: the same operation on a tensor of row-major memory gives the index map."""
    x = args[0]
    b = t.builder
    step = t.tensors.step(x)
    name = func._schema.name.split("::")[1]
    if name in ("clone", "contiguous", "lift_fresh", "lift_fresh_copy", "alias"):
        return step
    probe = torch.empty(tuple(x.shape), dtype=torch.uint8)
    moved = func(probe, *args[1:], **kwargs)
    many = isinstance(moved, (list, tuple))
    found = [
        b.pick([step], Strided(m.storage_offset(), tuple(m.stride())), tuple(m.shape)) if m.numel() else None
        for m in (moved if many else [moved])
    ]
    return found if many else found[0]


def _layout(t: Tracer, func: Any, name: str, given: dict[str, Any], out: Any) -> Any:
    """Entries moved, repeated, dropped: run the operation once more, on positions."""
    b = t.builder
    placed: list[int] = []
    count = 0
    first = out[0] if isinstance(out, (list, tuple)) else out
    dtype = _dtype(first)
    values = _VALUES.get(name, ())
    if name == "index_put" and given.get("accumulate"):
        target = given["self"]
        where = torch.arange(1, target.numel() + 1).reshape(target.shape)
        where = where[tuple(slice(None) if i is None else i for i in given["indices"])]
        added = b.broadcast(t.step_of(given["values"], dtype), tuple(where.shape))
        return b.add(t.tensors.step(target), b.scatter(added, where.numpy(), tuple(target.shape)))

    def place(x: Any, is_value: bool) -> Any:
        nonlocal count
        if isinstance(x, (list, tuple)):
            return type(x)(place(i, is_value) for i in x)
        tensor = isinstance(x, torch.Tensor)
        if tensor and (x.is_floating_point() or x.is_complex() or (is_value and x.dtype != torch.bool)):
            step = t.tensors.step(x)
        elif is_value and isinstance(x, (int, float, complex)) and not isinstance(x, bool):
            if x == 0:
                return 0
            step = t.step_of(x, dtype)
        else:
            return x
        n = size(b.shape(step))
        where = torch.arange(count + 1, count + 1 + n).reshape(b.shape(step))
        placed.append(step)
        count += n
        return where if tensor else int(where)

    moved = func(
        *(place(v, k in values) for k, v in given.items() if k in _positional(func)),
        **{k: place(v, k in values) for k, v in given.items() if k not in _positional(func)},
    )
    if isinstance(moved, (list, tuple)):
        return [b.pick(placed, m.numpy(), tuple(m.shape), dtype) for m in moved]
    return b.pick(placed, moved.numpy(), tuple(moved.shape), dtype)


@functools.cache
def _positional(func: Any) -> frozenset[str]:
    return frozenset(a.name for a in func._schema.arguments if not a.kwarg_only)


# ------------------------------------------------------------------------------------------------ scalar functions


def _scalar(t: Tracer, row: str, args: list[Any], out: torch.Tensor) -> Any:
    b = t.builder
    dtype = _dtype(out)
    found = [t.step_of(a, dtype) for a in args]
    if OPS[row].branches:
        return select(b, row, found, [_double(a) for a in args], dtype)
    if row in ("abs", "sign"):
        b.guard("sign", found, None, np.sign(_plain(args[0])))
    return b.apply(row, *found, dtype=dtype)


@rule("add", "sub", "rsub")
def _add(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, _dtype(out)
    x, y = t.step_of(a.self, dtype), t.step_of(a.other, dtype)
    if name == "rsub":
        x, y = y, x
    if a.alpha != 1:
        scale = t.number(a.alpha, dtype)
        y = b.mul(y, scale)
    return b.binary("add" if name == "add" else "sub", x, y, dtype)


@rule("mul")
def _mul(t: Tracer, a: Any, out: Any, name: str) -> int:
    return t.builder.binary("mul", t.step_of(a.self, _dtype(out)), t.step_of(a.other, _dtype(out)), _dtype(out))


@rule("div")
def _div(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if getattr(a, "rounding_mode", None) is not None:
        t.guard("floor_divide", [a.self], None, _plain(out))
        return t.data(_plain(out), _dtype(out))
    return t.builder.binary("div", t.step_of(a.self, _dtype(out)), t.step_of(a.other, _dtype(out)), _dtype(out))


@rule("pow")
def _pow(t: Tracer, a: Any, out: Any, name: str) -> int:
    dtype = _dtype(out)
    return t.builder.power(t.step_of(a.self, dtype), t.step_of(a.exponent, dtype), dtype)


@rule("neg")
def _neg(t: Tracer, a: Any, out: Any, name: str) -> int:
    return t.builder.neg(t.step_of(a.self))


@rule("detach")
def _detach(t: Tracer, a: Any, out: Any, name: str) -> int:
    step = t.step_of(a.self)
    return t.builder.stop(step) if t.stops else step


@rule("_to_copy")
def _to_copy(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if not (out.is_floating_point() or out.is_complex()):
        t.guard("int", [a.self], None, _plain(out))
        return None
    return t.builder.cast(t.step_of(a.self), _dtype(out))


@rule("_conj", "conj", "_conj_physical", "conj_physical", "resolve_conj")
def _conj(t: Tracer, a: Any, out: Any, name: str) -> int:
    step = t.step_of(a.self)
    return step if name == "resolve_conj" else t.builder.conj(step)


@rule("real", "imag")
def _part(t: Tracer, a: Any, out: Any, name: str) -> int:
    step = t.step_of(a.self)
    return t.builder.emit(name, (step,), None, tuple(out.shape), _dtype(out))


@rule("view_as_real", "view_as_real_copy")
def _view_as_real(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, step = t.builder, t.step_of(a.self)
    shape, dtype = tuple(a.self.shape), _dtype(out)
    return b.stack([b.emit(part, (step,), None, shape, dtype) for part in ("real", "imag")], len(shape))


@rule("complex", "view_as_complex")
def _complex(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, _dtype(out)
    if name == "complex":
        real, imag = t.step_of(a.real), t.step_of(a.imag)
    else:
        x, shape = t.step_of(a.self), tuple(a.self.shape)
        where = np.arange(1, size(shape) + 1).reshape(shape)
        real, imag = (b.pick([x], where[..., k], shape[:-1]) for k in (0, 1))
    import sympy as sp

    i = b.constant(1j, dtype, exact=sp.I)
    return b.binary("add", b.cast(real, dtype), b.binary("mul", b.cast(imag, dtype), i, dtype), dtype)


# ------------------------------------------------------------------------------------------------ sums and products


def _axes(dim: Any) -> Any:
    return None if dim is None or dim == [] else dim


@rule("sum", "mean")
def _sum(t: Tracer, a: Any, out: Any, name: str) -> int:
    b = t.builder
    x = t.step_of(a.self)
    x = b.cast(x, _dtype(out))
    axes, keep = _axes(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    return b.sum(x, axes, keep) if name == "sum" else layouts.mean(b, x, axes, keep)


@rule("var", "std", "var_mean", "std_mean")
def _var(t: Tracer, a: Any, out: Any, name: str) -> Any:
    b = t.builder
    x = t.step_of(a.self)
    correction = getattr(a, "correction", None)
    if correction is None:
        correction = int(getattr(a, "unbiased", True))
    axes, keep = _axes(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    make = layouts.var if name.startswith("var") else layouts.std
    spread = make(b, x, axes, keep, correction)
    return [spread, layouts.mean(b, x, axes, keep)] if name.endswith("mean") else spread


@rule("prod")
def _prod(t: Tracer, a: Any, out: Any, name: str) -> int:
    return layouts.prod(t.builder, t.step_of(a.self), getattr(a, "dim", None), bool(getattr(a, "keepdim", False)))


@rule("cumsum", "cumprod")
def _running(t: Tracer, a: Any, out: Any, name: str) -> int:
    return getattr(layouts, name)(t.builder, t.step_of(a.self), a.dim)


@rule("linalg_vector_norm", "norm")
def _norm(t: Tracer, a: Any, out: Any, name: str) -> Any:
    p = getattr(a, "ord", None)
    p = getattr(a, "p", 2) if p is None else p
    return layouts.norm(
        t.builder,
        t.step_of(a.self),
        2 if p is None else p,
        _axes(getattr(a, "dim", None)),
        bool(getattr(a, "keepdim", False)),
    )


@rule("mm", "bmm", "mv", "dot", "vdot", "matmul")
def _matmul(t: Tracer, a: Any, out: Any, name: str) -> int:
    x = t.step_of(a.self)
    y = t.step_of(
        getattr(a, "mat2", None)
        if hasattr(a, "mat2")
        else getattr(a, "vec", getattr(a, "tensor", getattr(a, "other", None)))
    )
    return t.builder.matmul(t.builder.conj(x) if name == "vdot" else x, y)


@rule("addmm", "addmv", "baddbmm", "addbmm")
def _addmm(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if name == "addbmm":
        return NotImplemented
    b, dtype = t.builder, _dtype(out)
    left = a.mat1 if name == "addmm" else a.mat if name == "addmv" else a.batch1
    right = a.mat2 if name == "addmm" else a.vec if name == "addmv" else a.batch2
    product = b.matmul(t.step_of(left), t.step_of(right))
    if a.alpha != 1:
        product = b.mul(product, t.number(a.alpha, dtype))
    if a.beta == 0:
        return product
    base = t.step_of(a.self)
    if a.beta != 1:
        base = b.mul(base, t.number(a.beta, dtype))
    return b.add(base, product)


@rule("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax")
def _softmax(t: Tracer, a: Any, out: Any, name: str) -> int:
    make = layouts.log_softmax if "log" in name else layouts.softmax
    return make(t.builder, t.step_of(a.self), a.dim)


@rule("logsumexp")
def _logsumexp(t: Tracer, a: Any, out: Any, name: str) -> int:
    return layouts.logsumexp(t.builder, t.step_of(a.self), _axes(a.dim), bool(a.keepdim))


# ------------------------------------------------------------------------------------------------ choices


@rule("clamp", "clamp_min", "clamp_max", "hardtanh")
def _clamp(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, _dtype(out)
    low = getattr(a, "min", getattr(a, "min_val", None))
    high = getattr(a, "max", getattr(a, "max_val", None))
    x, value = t.step_of(a.self), _double(a.self)
    for bound, row in ((low, "maximum"), (high, "minimum")):
        if bound is not None:
            there = torch.as_tensor(bound).to(a.self.dtype) if not isinstance(bound, torch.Tensor) else bound
            there = _double(there)
            x = select(b, row, [x, t.step_of(bound, dtype)], [value, there], dtype)
            value = np.maximum(value, there) if row == "maximum" else np.minimum(value, there)
    return x


@rule("amax", "amin", "max", "min")
def _extreme(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if hasattr(a, "other"):
        row = "maximum" if name == "max" else "minimum"
        values = [_double(a.self), _double(a.other)]
        return select(t.builder, row, [t.step_of(a.self), t.step_of(a.other)], values, _dtype(out))
    axes, keep = _axes(getattr(a, "dim", None)), bool(getattr(a, "keepdim", False))
    step = layouts.extreme(t.builder, t.step_of(a.self), _double(a.self), axes, keep, largest="max" in name)
    return [step, None] if isinstance(out, (list, tuple)) else step


@rule("sort", "topk", "kthvalue", "median", "mode")
def _sort(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if not isinstance(out, (list, tuple)):
        return NotImplemented
    b, step, shape = t.builder, t.step_of(a.self), tuple(a.self.shape)
    axis = getattr(a, "dim", -1)
    axis = (-1 if axis is None else axis) % max(len(shape), 1)
    chosen = _plain(out[1])
    if chosen.ndim < len(shape):
        chosen = np.expand_dims(chosen, axis)
    t.builder.guard("argsort", [step], (axis,), chosen)
    where = np.take_along_axis(np.arange(1, size(shape) + 1).reshape(shape), chosen, axis)
    return [b.pick([step], where, tuple(out[0].shape)), None]


@rule("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d")
def _max_pool(t: Tracer, a: Any, out: Any, name: str) -> Any:
    b, step, shape = t.builder, t.step_of(a.self), tuple(a.self.shape)
    spatial = 3 if "3d" in name else 2
    inner = size(shape[-spatial:])
    chosen = _plain(out[1])
    b.guard("argmax", [step], ("pool",), chosen)
    outer = np.arange(size(shape[:-spatial])).reshape(shape[:-spatial] + (1,) * spatial) * inner
    return [b.pick([step], 1 + chosen + outer, tuple(out[0].shape)), None]


@rule("elu")
def _elu(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if a.input_scale != 1:
        return NotImplemented
    b, dtype = t.builder, _dtype(out)
    alpha = t.number(a.alpha, dtype)
    y = select(b, "elu", [t.step_of(a.self), alpha], [_double(a.self), _double(a.alpha)], dtype)
    return y if a.scale == 1 else b.mul(y, t.number(a.scale, dtype))


@rule("celu", "leaky_relu", "softshrink", "hardshrink", "_prelu_kernel", "prelu")
def _with_slope(t: Tracer, a: Any, out: Any, name: str) -> int:
    row = "prelu" if "prelu" in name else name
    extra = next(getattr(a, n) for n in ("alpha", "negative_slope", "lambd", "weight") if hasattr(a, n))
    dtype = _dtype(out)
    x, y = t.step_of(a.self), t.step_of(extra, dtype)
    return select(t.builder, row, [x, y], list(np.broadcast_arrays(_double(a.self), _double(extra))), dtype)


@rule("softplus")
def _softplus(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, _dtype(out)
    x = t.step_of(a.self)
    if a.beta == 1:
        return b.apply("softplus", x, dtype=dtype)
    beta = t.number(a.beta, dtype)
    return b.div(b.apply("softplus", b.mul(x, beta), dtype=dtype), beta)


@rule("gelu")
def _gelu(t: Tracer, a: Any, out: Any, name: str) -> int:
    return t.builder.apply("gelu_tanh" if a.approximate == "tanh" else "gelu", t.step_of(a.self))


@rule("log_sigmoid_forward")
def _log_sigmoid(t: Tracer, a: Any, out: Any, name: str) -> list[Any]:
    return [t.builder.apply("logsigmoid", t.step_of(a.self)), None]


@rule("polygamma")
def _polygamma(t: Tracer, a: Any, out: Any, name: str) -> int:
    x = t.step_of(a.self)
    return t.builder.apply("polygamma", x, params=a.n) if a.n else t.builder.apply("digamma", x)


@rule("mvlgamma")
def _mvlgamma(t: Tracer, a: Any, out: Any, name: str) -> Any:
    return NotImplemented


# ------------------------------------------------------------------------------------------------ networks


@rule("convolution", "_convolution")
def _convolution(t: Tracer, a: Any, out: Any, name: str) -> int:
    return windows.conv(
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
def _avg_pool(t: Tracer, a: Any, out: Any, name: str) -> int:
    spatial = int(name[-2])
    full = lambda v: tuple(v) * (spatial if len(v) == 1 else 1)  # noqa: E731
    return windows.avg_pool(
        t.builder,
        t.step_of(a.self),
        full(a.kernel_size),
        full(a.stride or a.kernel_size),
        full(a.padding),
        a.count_include_pad,
        a.ceil_mode,
        getattr(a, "divisor_override", None),
    )


@rule("nll_loss_forward", "nll_loss2d_forward")
def _nll(t: Tracer, a: Any, out: Any, name: str) -> Any:
    b, shape = t.builder, tuple(a.self.shape)
    step, target = t.step_of(a.self), _plain(a.target)
    kept = target != a.ignore_index
    where = np.arange(1, size(shape) + 1).reshape(shape)
    axis = 1 if len(shape) > 1 else 0
    safe = np.where(kept, target, 0)
    chosen = np.take_along_axis(where, np.expand_dims(safe, axis), axis).squeeze(axis)
    picked = b.neg(b.pick([step], np.where(kept, chosen, 0), chosen.shape))
    weight = kept.astype(np.float64)
    if a.weight is not None:
        weight = weight * _double(a.weight)[safe]
        picked = b.mul(picked, b.constant(weight, _dtype(a.self)))
    if a.reduction == 0:
        return [picked, None]
    total = b.sum(picked)
    if a.reduction == 1:
        total = b.div(total, b.constant(np.asarray(weight.sum()), _dtype(a.self)))
    return [total, None]


@rule("scatter_add", "index_add")
def _scatter_add(t: Tracer, a: Any, out: Any, name: str) -> int:
    if name == "index_add":
        source = t.step_of(a.source)
        if a.alpha != 1:
            source = t.builder.mul(source, t.number(a.alpha, _dtype(out)))
        return layouts.index_add(t.builder, t.step_of(a.self), a.dim, _plain(a.index), source)
    return layouts.scatter_add(t.builder, t.step_of(a.self), a.dim, _plain(a.index), t.step_of(a.src))


@rule("linalg_cross")
def _cross(t: Tracer, a: Any, out: Any, name: str) -> int:
    return layouts.cross(t.builder, t.step_of(a.self), t.step_of(a.other), a.dim)


# ------------------------------------------------------------------------------------------------ linear algebra


def _square(t: Tracer, x: torch.Tensor) -> tuple[int, tuple[int, ...], int]:
    shape = tuple(x.shape)
    batch, n = shape[:-2], shape[-1]
    return t.builder.reshape(t.step_of(x), (size(batch), n, n)), batch, n


@rule("linalg_inv_ex")
def _inverse(t: Tracer, a: Any, out: Any, name: str) -> list[Any]:
    b = t.builder
    square, _, _ = _square(t, a.A)
    return [b.reshape(b.emit("inverse", (square,), None, b.shape(square)), tuple(out[0].shape)), None]


@rule("linalg_cholesky_ex", "cholesky")
def _cholesky(t: Tracer, a: Any, out: Any, name: str) -> Any:
    b = t.builder
    square, _, _ = _square(t, a.self)
    first = out[0] if isinstance(out, (list, tuple)) else out
    step = b.reshape(b.emit("cholesky", (square,), None, b.shape(square)), tuple(first.shape))
    if getattr(a, "upper", False):
        step = b.transpose(step)
    return [step, None] if isinstance(out, (list, tuple)) else step


@rule("_linalg_det", "_linalg_slogdet")
def _det(t: Tracer, a: Any, out: Any, name: str) -> list[Any]:
    b = t.builder
    square, batch, _ = _square(t, a.A)
    if name == "_linalg_det":
        return [b.reshape(b.emit("det", (square,), None, (size(batch),)), batch), None, None]
    value = b.reshape(b.emit("logabsdet", (square,), None, (size(batch),)), batch)
    b.guard("sign", [b.emit("det", (square,), None, (size(batch),))], None, _plain(out[0]))
    return [t.data(_plain(out[0]), _dtype(out[0])), value, None, None]


@rule("_linalg_solve_ex", "linalg_solve_triangular", "triangular_solve", "cholesky_solve")
def _solve(t: Tracer, a: Any, out: Any, name: str) -> Any:
    b = t.builder
    if name in ("triangular_solve", "cholesky_solve"):
        return NotImplemented
    matrix = a.A if name == "_linalg_solve_ex" else a.self
    if not a.left or getattr(a, "unitriangular", False):
        return NotImplemented
    first = out[0] if isinstance(out, (list, tuple)) else out
    square, batch, n = _square(t, matrix)
    if name == "linalg_solve_triangular":
        keep = np.triu(np.ones((n, n))) if a.upper else np.tril(np.ones((n, n)))
        where = np.where(keep > 0, np.arange(1, n * n + 1).reshape(n, n), 0)
        full = where[None] + np.arange(size(batch)).reshape(-1, 1, 1) * n * n * (where > 0)
        square = b.pick([square], full, b.shape(square))
    right = t.step_of(a.B)
    vector = len(b.shape(right)) == len(first.shape) and len(b.shape(right)) < len(matrix.shape)
    shape = (*batch, n, 1) if vector else (*batch, n, tuple(first.shape)[-1])
    right = b.broadcast(b.reshape(right, (*b.shape(right), 1)) if vector else right, shape)
    columns = b.reshape(right, (size(batch), n, shape[-1]))
    step = b.reshape(b.emit("solve", (square, columns), None, b.shape(columns)), tuple(first.shape))
    return [step, *[None] * (len(out) - 1)] if isinstance(out, (list, tuple)) else step
