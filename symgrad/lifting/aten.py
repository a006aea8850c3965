"""aten operations as steps: one short rule each; everything else decomposes into these.

A rule is given the tracer, the operation's arguments by their schema names, and the tensor that torch computed; it
returns the step of the result, or a list of steps for several results.  `PLAIN` stands for a result that does not
depend on the inputs' values (a shape's ones, an index that a guard remembers) or that no user code can reach.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
import torch

from symgrad.lifting.choices import select
from symgrad.ops import layouts
from symgrad.ops.scalars import OPS, find
from symgrad.program import Strided, size

if TYPE_CHECKING:
    from symgrad.lifting.tracing import Tracer

__all__ = ["PLAIN", "axes_of", "double", "dtype_of", "is_float", "plain", "rule", "steps"]

PLAIN: Any = object()
_RULES: dict[str, Callable[..., Any]] = {}

# what these return depends on shapes only
_MAKERS = frozenset(
    "ones_like zeros_like full_like empty_like new_zeros new_ones new_full new_empty new_empty_strided rand_like "
    "randn_like randint_like".split()
)
# entries moved, repeated, dropped; with the arguments that are values, although they may be plain numbers
_LAYOUT: dict[str, tuple[str, ...]] = dict.fromkeys(
    "cat stack split split_with_sizes unbind index index_select gather embedding flip roll repeat tril triu diag_embed "
    "diagonal diag slice_scatter select_scatter diagonal_scatter repeat_interleave unfold index_copy diagflat take "
    "masked_select chunk unsafe_split unsafe_split_with_sizes rot90 diagonal_copy tile _unsafe_index "
    "_unsafe_masked_index as_strided_scatter block_diag masked_scatter".split(),
    (),
)
_LAYOUT |= {
    "where": ("self", "other"),
    "masked_fill": ("self", "value"),
    "index_fill": ("self", "value"),
    "scatter": ("self", "src", "value"),
    "constant_pad_nd": ("self", "value"),
    "index_put": ("self", "values"),
    "_unsafe_index_put": ("self", "values"),
    "_unsafe_masked_index": ("self", "fill"),
}
_COPIES = frozenset("clone contiguous lift_fresh lift_fresh_copy alias".split())
_VIEWS = frozenset("_unsafe_view reshape view_copy _reshape_copy".split()) | _COPIES
_WHOLE = frozenset("floor ceil round trunc".split())


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function as the rule of the aten operations of these names."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return enter


@functools.cache
def _schema(func: Any) -> tuple[dict[str, Any], tuple[str, ...], frozenset[str]]:
    arguments = func._schema.arguments
    positional = frozenset(a.name for a in arguments if not a.kwarg_only)
    return {a.name: a.default_value for a in arguments}, tuple(a.name for a in arguments), positional


@functools.cache
def _kind(func: Any, name: str) -> Callable[..., Any] | None:
    """How an operation is written: by its rule, as a layout, as a view, as a row of the table."""
    if name in _RULES:
        found = _RULES[name]
        return lambda t, func, given, args, kwargs, out: found(t, SimpleNamespace(**given), out, name)
    if name in _MAKERS:
        return lambda *_: PLAIN
    if name in _LAYOUT:
        return lambda t, func, given, args, kwargs, out: _layout(t, func, name, given, out)
    returns = func._schema.returns
    if (returns and returns[0].alias_info is not None) or name in _VIEWS:
        return lambda t, func, given, args, kwargs, out: _view(t, func, name, args, kwargs)
    row = find(name)
    if row is None:
        return None

    def scalar(t: Tracer, func: Any, given: Any, args: Any, kwargs: Any, out: Any) -> Any:
        if len(args) != OPS[row].arity or any(v is not None for v in kwargs.values()):
            return NotImplemented
        return _scalar(t, row, args, out)

    return scalar


def steps(t: Tracer, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> Any:
    """The step or steps of one aten call, or NotImplemented."""
    write = _kind(func, name)
    if write is None:
        return NotImplemented
    defaults, names, _ = _schema(func)
    return write(t, func, {**defaults, **dict(zip(names, args, strict=False)), **kwargs}, args, kwargs, out)


# ------------------------------------------------------------------------------------------------ reading arguments


def is_float(x: torch.Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def dtype_of(x: torch.Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def plain(x: torch.Tensor) -> np.ndarray:
    x = x.detach().resolve_conj().resolve_neg()
    return (x.float() if x.dtype is torch.bfloat16 else x).numpy()


def double(x: Any) -> np.ndarray:
    """The entries in float64 (or complex)."""
    if isinstance(x, torch.Tensor):
        x = x.detach().resolve_conj().resolve_neg()
        return (x if x.is_complex() else x.double()).numpy()
    return np.asarray(getattr(x, "value", x), dtype=np.float64)


def axes_of(dim: Any) -> Any:
    return None if dim is None or dim == [] else dim


# ------------------------------------------------------------------------------------------------ layouts


def _view(t: Tracer, func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """A view or a copy of one tensor: the same operation on a tensor of row-major memory gives the index map."""
    x, b = args[0], t.builder
    step = t.tensors.step(x)
    if name in _COPIES:
        return step
    moved = func(torch.empty(tuple(x.shape), dtype=torch.uint8), *args[1:], **kwargs)
    many = isinstance(moved, (list, tuple))
    found = [
        b.pick([step], Strided(m.storage_offset(), tuple(m.stride())), tuple(m.shape)) if m.numel() else PLAIN
        for m in (moved if many else [moved])
    ]
    return found if many else found[0]


def _layout(t: Tracer, func: Any, name: str, given: dict[str, Any], out: Any) -> Any:
    """Entries moved, repeated, dropped: run the operation once more, on positions."""
    b = t.builder
    placed: list[int] = []
    count = 0
    dtype = dtype_of(out[0] if isinstance(out, (list, tuple)) else out)
    values = _LAYOUT[name]
    if given.get("reduce") is not None:
        return NotImplemented
    if given.get("accumulate"):
        at = [None if i is None else plain(i) for i in given["indices"]]
        return layouts.index_put_accumulate(b, t.step_of(given["self"]), at, t.step_of(given["values"], dtype))

    def place(x: Any, is_value: bool) -> Any:
        nonlocal count
        if isinstance(x, (list, tuple)):
            return type(x)(place(i, is_value) for i in x)
        tensor = isinstance(x, torch.Tensor)
        if tensor and (is_float(x) or (is_value and x.dtype != torch.bool)):
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

    positional = _schema(func)[2]
    moved = func(
        *(place(v, k in values) for k, v in given.items() if k in positional),
        **{k: place(v, k in values) for k, v in given.items() if k not in positional},
    )
    if isinstance(moved, (list, tuple)):
        return [b.pick(placed, m.numpy(), tuple(m.shape), dtype) for m in moved]
    return b.pick(placed, moved.numpy(), tuple(moved.shape), dtype)


# ------------------------------------------------------------------------------------------------ scalar functions


def _scalar(t: Tracer, row: str, args: Any, out: torch.Tensor) -> Any:
    b, dtype = t.builder, dtype_of(out)
    found = [t.step_of(a, dtype) for a in args]
    if OPS[row].branches:
        return select(b, row, found, [double(a) for a in args], dtype)
    if row in ("abs", "sign") and not b.steps[found[0]].is_complex:
        b.guard("sign", found, None, np.sign(plain(args[0])))
    return b.apply(row, *found, dtype=dtype)


def _arithmetic(op: str) -> Callable[..., Any]:
    def write(t: Tracer, a: Any, out: Any, name: str) -> int:
        dtype = dtype_of(out)
        x, y = t.step_of(a.self, dtype), t.step_of(a.other, dtype)
        if name == "rsub":
            x, y = y, x
        if getattr(a, "alpha", 1) != 1:
            y = t.builder.mul(y, t.step_of(a.alpha, dtype))
        return t.builder.binary(op, x, y, dtype)

    return write


rule("add")(_arithmetic("add"))
rule("sub", "rsub")(_arithmetic("sub"))
rule("mul")(_arithmetic("mul"))


@rule("div")
def _div(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, dtype_of(out)
    ratio = b.binary("div", t.step_of(a.self, dtype), t.step_of(a.other, dtype), dtype)
    mode = getattr(a, "rounding_mode", None)
    return ratio if mode is None else t.piecewise(mode, [ratio], plain(out), dtype)


@rule("floor_divide")
def _floor_divide(t: Tracer, a: Any, out: Any, name: str) -> int:
    return _div(t, SimpleNamespace(self=a.self, other=a.other, rounding_mode="floor"), out, name)


@rule("remainder", "fmod")
def _remainder(t: Tracer, a: Any, out: Any, name: str) -> Any:
    """x - y k, where k is x / y rounded down, or towards zero."""
    b, dtype = t.builder, dtype_of(out)
    x, y = t.step_of(a.self, dtype), t.step_of(a.other, dtype)
    k = np.rint((double(a.self) - double(out)) / double(a.other))
    whole = t.piecewise("floor" if name == "remainder" else "trunc", [b.binary("div", x, y, dtype)], k, dtype)
    return b.binary("sub", x, b.binary("mul", y, whole, dtype), dtype)


@rule(*_WHOLE)
def _whole(t: Tracer, a: Any, out: Any, name: str) -> int:
    return t.piecewise(name, [t.step_of(a.self)], plain(out), dtype_of(out), getattr(a, "decimals", None))


@rule("frac")
def _frac(t: Tracer, a: Any, out: Any, name: str) -> int:
    x = t.step_of(a.self)
    return t.builder.sub(x, t.piecewise("trunc", [x], np.trunc(plain(a.self)), dtype_of(out)))


@rule("copysign")
def _copysign(t: Tracer, a: Any, out: Any, name: str) -> int:
    dtype = dtype_of(out)
    x, y = t.step_of(a.self, dtype), t.step_of(a.other, dtype)
    turned = np.copysign(1.0, double(a.self)) * np.copysign(1.0, double(a.other))
    return t.builder.mul(x, t.piecewise("sign", [x, y], turned, dtype))


@rule("pow")
def _pow(t: Tracer, a: Any, out: Any, name: str) -> int:
    dtype = dtype_of(out)
    return t.builder.power(t.step_of(a.self, dtype), t.step_of(a.exponent, dtype), dtype)


@rule("neg", "_neg_view")
def _neg(t: Tracer, a: Any, out: Any, name: str) -> int:
    return t.builder.neg(t.step_of(a.self))


@rule("detach")
def _detach(t: Tracer, a: Any, out: Any, name: str) -> int:
    step = t.step_of(a.self)
    return t.builder.stop(step) if t.stops else step


@rule("_to_copy")
def _to_copy(t: Tracer, a: Any, out: Any, name: str) -> Any:
    if not is_float(out):
        truth = out.dtype is torch.bool
        t.guard("ne" if truth else "trunc", [a.self, 0.0] if truth else [a.self], None, plain(out))
        return PLAIN
    return t.builder.cast(t.step_of(a.self), dtype_of(out))


@rule("polygamma")
def _polygamma(t: Tracer, a: Any, out: Any, name: str) -> int:
    x = t.step_of(a.self)
    return t.builder.apply("polygamma", x, params=a.n) if a.n else t.builder.apply("digamma", x)


# ------------------------------------------------------------------------------------------------ complex values


@rule("_conj", "conj", "_conj_physical", "conj_physical", "resolve_conj", "resolve_neg")
def _conj(t: Tracer, a: Any, out: Any, name: str) -> int:
    step = t.step_of(a.self)
    return step if name.startswith("resolve") else t.builder.conj(step)


@rule("real", "imag")
def _part(t: Tracer, a: Any, out: Any, name: str) -> int:
    return t.builder.emit(name, (t.step_of(a.self),), None, tuple(out.shape), dtype_of(out))


@rule("view_as_real", "view_as_real_copy")
def _view_as_real(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, step = t.builder, t.step_of(a.self)
    shape, dtype = tuple(a.self.shape), dtype_of(out)
    return b.stack([b.emit(part, (step,), None, shape, dtype) for part in ("real", "imag")], len(shape))


@rule("complex", "view_as_complex", "polar")
def _complex(t: Tracer, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, dtype_of(out)
    if name == "view_as_complex":
        x, shape = t.step_of(a.self), tuple(a.self.shape)
        where = np.arange(1, size(shape) + 1).reshape(shape)
        real, imag = (b.pick([x], where[..., k], shape[:-1]) for k in (0, 1))
    elif name == "polar":
        radius, angle = t.step_of(a.abs), t.step_of(a.angle)
        real, imag = (b.mul(radius, b.apply(part, angle)) for part in ("cos", "sin"))
    else:
        real, imag = t.step_of(a.real), t.step_of(a.imag)
    i = b.constant(1j, dtype, exact=sp.I)
    return b.binary("add", b.cast(real, dtype), b.binary("mul", b.cast(imag, dtype), i, dtype), dtype)


@rule("angle")
def _angle(t: Tracer, a: Any, out: Any, name: str) -> Any:
    b = t.builder
    x, dtype = t.step_of(a.self), dtype_of(out)
    if not a.self.is_complex():
        return t.piecewise("sign", [x], plain(out), dtype)
    parts = [b.emit(part, (x,), None, tuple(out.shape), dtype) for part in ("imag", "real")]
    return b.apply("atan2", *parts)


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
        t.builder.guard("argsort", [t.builder.reshape(t.step_of(a.self), flat.shape)], 0, np.argsort(flat, kind="stable"))
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


from symgrad.lifting import aten_networks as aten_networks  # noqa: E402  # its rules enter themselves here
