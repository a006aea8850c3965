"""aten operations as steps: one short rule each; everything else decomposes into these.

A rule is given the tracer, the operation's arguments by their schema names, and the tensor that torch computed; it
returns the step of the result, or a list of steps for several results.  `PLAIN` stands for a result that does not
depend on the inputs' values (a shape's ones, an index that a guard remembers) or that no user code can reach.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.lifting.tracing.recorder import Recorder
from symgrad.ops.scalars import OPS, find
from symgrad.program.indexing import index_put_accumulate
from symgrad.program.program import Strided, size
from symgrad.program.selection import select
from symgrad.program.written_choices import between

PLAIN: Any = object()
OWN = frozenset(("aten", "prims"))  # the namespaces whose names the rules are for
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


def has_rule(name: str) -> bool:
    return name in _RULES


@functools.cache
def _schema(func: Any) -> tuple[dict[str, Any], tuple[str, ...], frozenset[str]]:
    arguments = func._schema.arguments
    positional = frozenset(a.name for a in arguments if not a.kwarg_only)
    return {a.name: a.default_value for a in arguments}, tuple(a.name for a in arguments), positional


@functools.cache
def writer_of(func: Any, name: str) -> Callable[..., Any] | None:
    """How an operation is written: by its rule, as a layout, as a view, as a row of the table."""
    if "::" in name:
        return None
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

    arity = OPS[row].arity
    branches = bool(OPS[row].branches)

    def scalar(t: Recorder, func: Any, given: Any, args: Any, kwargs: Any, out: Any) -> Any:
        if len(args) != arity or any(v is not None for v in kwargs.values()):
            return NotImplemented
        return _scalar(t, row, branches, args, out)

    return scalar


def steps(t: Recorder, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> Any:
    """The step or steps of one aten call, or NotImplemented."""
    write = writer_of(func, name)
    if write is None:
        return NotImplemented
    defaults, names, _ = _schema(func)
    return write(t, func, {**defaults, **dict(zip(names, args, strict=False)), **kwargs}, args, kwargs, out)


# ------------------------------------------------------------------------------------------------ reading arguments


def is_float(x: torch.Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


_DTYPES: dict[torch.dtype, str] = {}


def dtype_of(x: torch.Tensor) -> str:
    found = _DTYPES.get(x.dtype)
    if found is None:
        found = _DTYPES[x.dtype] = str(x.dtype).removeprefix("torch.")
    return found


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


def _view(t: Recorder, func: Any, name: str, args: Any, kwargs: Any) -> Any:
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


@rule("as_strided", "as_strided_copy")
def _as_strided(t: Recorder, a: Any, out: torch.Tensor, name: str) -> Any:
    """Other entries of the memory in which a tensor lies, row by row or not."""
    offset = a.self.storage_offset() if a.storage_offset is None else a.storage_offset
    return t.tensors.elsewhere(a.self, Strided(int(offset), tuple(a.stride)), tuple(out.shape))


def _layout(t: Recorder, func: Any, name: str, given: dict[str, Any], out: Any) -> Any:
    """Entries moved, repeated, dropped: run the operation once more, on positions."""
    b = t.builder
    placed: list[int] = []
    count = 0
    dtype = dtype_of(out[0] if isinstance(out, (list, tuple)) else out)
    values = _LAYOUT[name]
    mask = given.get("condition", given.get("mask"))
    if name in ("where", "masked_fill") and isinstance(mask, torch.Tensor) and t.tensors.is_known(mask):
        sides = [t.step_of(given[k], dtype) for k in (values if name == "where" else values[::-1])]
        return between(b, t.tensors.step(mask), *sides)
    if given.get("reduce") is not None:
        return NotImplemented
    if given.get("accumulate"):
        at = [None if i is None else plain(i) for i in given["indices"]]
        return index_put_accumulate(b, t.step_of(given["self"]), at, t.step_of(given["values"], dtype))

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


def _scalar(t: Recorder, row: str, branches: bool, args: Any, out: torch.Tensor) -> Any:
    b, dtype = t.builder, dtype_of(out)
    found = [t.step_of(a, dtype) for a in args]
    if branches:
        return select(b, row, found, [double(a) for a in args], dtype)
    if row in ("abs", "sign") and not b.steps[found[0]].is_complex:
        b.looks_at_sign(found, np.sign(plain(args[0])))
    shape = tuple(out.shape)
    return b.emit(row, [b.broadcast(x, shape) for x in found], None, shape, dtype)


def _arithmetic(op: str) -> Callable[..., Any]:
    def write(t: Recorder, a: Any, out: Any, name: str) -> int:
        dtype = dtype_of(out)
        x, y = t.step_of(a.self, dtype), t.step_of(a.other, dtype)
        if name == "rsub":
            x, y = y, x
        if getattr(a, "alpha", 1) != 1:
            y = t.builder.mul(y, t.step_of(a.alpha, dtype))
        b, shape = t.builder, tuple(out.shape)
        return b.emit(op, (b.broadcast(x, shape), b.broadcast(y, shape)), None, shape, dtype)

    return write


rule("add")(_arithmetic("add"))
rule("sub", "rsub")(_arithmetic("sub"))
rule("mul")(_arithmetic("mul"))


@rule("div")
def _div(t: Recorder, a: Any, out: Any, name: str) -> int:
    b, dtype = t.builder, dtype_of(out)
    ratio = b.binary("div", t.step_of(a.self, dtype), t.step_of(a.other, dtype), dtype)
    mode = getattr(a, "rounding_mode", None)
    return ratio if mode is None else t.piecewise(mode, [ratio], plain(out), dtype)


@rule("floor_divide")
def _floor_divide(t: Recorder, a: Any, out: Any, name: str) -> int:
    return _div(t, SimpleNamespace(self=a.self, other=a.other, rounding_mode="floor"), out, name)


@rule("remainder", "fmod")
def _remainder(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """x - y k, where k is x / y rounded down, or towards zero."""
    b, dtype = t.builder, dtype_of(out)
    x, y = t.step_of(a.self, dtype), t.step_of(a.other, dtype)
    k = np.rint((double(a.self) - double(out)) / double(a.other))
    whole = t.piecewise("floor" if name == "remainder" else "trunc", [b.binary("div", x, y, dtype)], k, dtype)
    return b.binary("sub", x, b.binary("mul", y, whole, dtype), dtype)


@rule(*_WHOLE)
def _whole(t: Recorder, a: Any, out: Any, name: str) -> int:
    return t.piecewise(name, [t.step_of(a.self)], plain(out), dtype_of(out), getattr(a, "decimals", None))


@rule("frac")
def _frac(t: Recorder, a: Any, out: Any, name: str) -> int:
    x = t.step_of(a.self)
    return t.builder.sub(x, t.piecewise("trunc", [x], np.trunc(plain(a.self)), dtype_of(out)))


@rule("frexp")
def _frexp(t: Recorder, a: Any, out: Any, name: str) -> list[Any]:
    """x / 2**e; the exponent e is constant by pieces."""
    x, dtype = t.step_of(a.self), dtype_of(out[0])
    return [t.builder.mul(x, t.piecewise("floor", [x], np.ldexp(1.0, -plain(out[1])), dtype, "exponent")), PLAIN]


@rule("copysign")
def _copysign(t: Recorder, a: Any, out: Any, name: str) -> int:
    dtype = dtype_of(out)
    x, y = t.step_of(a.self, dtype), t.step_of(a.other, dtype)
    turned = np.copysign(1.0, double(a.self)) * np.copysign(1.0, double(a.other))
    return t.builder.mul(x, t.piecewise("sign", [x, y], turned, dtype))


@rule("nextafter")
def _nextafter(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """x and a last place of it, up or down, which is constant by pieces."""
    b, dtype = t.builder, dtype_of(out)
    x, y = t.step_of(a.self, dtype), t.step_of(a.other, dtype)
    side = np.sign(double(a.other) - double(a.self))
    if not side.all():
        return NotImplemented
    b.guard("sign", [b.binary("sub", y, x, dtype)], None, side)
    return b.binary("add", x, t.data(double(out) - double(a.self), dtype), dtype)


@rule("pow")
def _pow(t: Recorder, a: Any, out: Any, name: str) -> int:
    dtype = dtype_of(out)
    return t.builder.power(t.step_of(a.self, dtype), t.step_of(a.exponent, dtype), dtype)


@rule("neg", "_neg_view")
def _neg(t: Recorder, a: Any, out: Any, name: str) -> int:
    return t.builder.neg(t.step_of(a.self))


@rule("detach")
def _detach(t: Recorder, a: Any, out: Any, name: str) -> int:
    """A cut; but none inside of a custom function's forward, where autograd does not look."""
    step = t.step_of(a.self)
    return t.builder.stop(step) if t.stops and torch.is_grad_enabled() else step


@rule("_to_copy")
def _to_copy(t: Recorder, a: Any, out: Any, name: str) -> Any:
    if not is_float(out):
        truth = out.dtype is torch.bool
        t.guard("ne" if truth else "trunc", [a.self, 0.0] if truth else [a.self], None, plain(out))
        return PLAIN
    return t.builder.cast(t.step_of(a.self), dtype_of(out))


@rule("polygamma")
def _polygamma(t: Recorder, a: Any, out: Any, name: str) -> int:
    x = t.step_of(a.self)
    return t.builder.apply("polygamma", x, params=a.n) if a.n else t.builder.apply("digamma", x)


# ------------------------------------------------------------------------------------------------ complex values


@rule("_conj", "conj", "_conj_physical", "conj_physical", "resolve_conj", "resolve_neg")
def _conj(t: Recorder, a: Any, out: Any, name: str) -> int:
    step = t.step_of(a.self)
    return step if name.startswith("resolve") else t.builder.conj(step)


@rule("real", "imag")
def _part(t: Recorder, a: Any, out: Any, name: str) -> int:
    return t.builder.emit(name, (t.step_of(a.self),), None, tuple(out.shape), dtype_of(out))


@rule("view_as_real", "view_as_real_copy")
def _view_as_real(t: Recorder, a: Any, out: Any, name: str) -> int:
    b, step = t.builder, t.step_of(a.self)
    shape, dtype = tuple(a.self.shape), dtype_of(out)
    return b.stack([b.emit(part, (step,), None, shape, dtype) for part in ("real", "imag")], len(shape))


@rule("complex", "view_as_complex", "polar")
def _complex(t: Recorder, a: Any, out: Any, name: str) -> int:
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
def _angle(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b = t.builder
    x, dtype = t.step_of(a.self), dtype_of(out)
    if not a.self.is_complex():
        return t.piecewise("sign", [x], plain(out), dtype)
    parts = [b.emit(part, (x,), None, tuple(out.shape), dtype) for part in ("imag", "real")]
    return b.apply("atan2", *parts)


# ------------------------------------------------------------------------------------------------ schemas


@functools.cache
def named(func: Any) -> tuple[str, tuple[int | None, str] | None]:
    """An operation's name, and the argument that it writes to: its position (None: by keyword) and its name."""
    space, name = func._schema.name.split("::")
    if space not in OWN:  # it may mean anything by a name that aten has
        name = f"{space}::{name}"
    for k, a in enumerate(func._schema.arguments):
        if a.alias_info is not None and a.alias_info.is_write:
            return name, (None if a.kwarg_only else k, a.name)
    return name, None


@functools.cache
def functional(func: Any) -> tuple[Any, int | None]:
    """The operation that returns what ``func`` writes, and the position of what is written, None for ``out=``."""
    name, target = named(func)
    assert target is not None
    kept = [(a.name, str(a.type)) for a in func._schema.arguments if not a.is_out]
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None)
    for overload in packet.overloads() if packet is not None else ():
        found = getattr(packet, overload)
        if [(a.name, str(a.type)) for a in found._schema.arguments] == kept and named(found)[1] is None:
            return found, target[0]
    return None, None
