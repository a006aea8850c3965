"""NumPy under a tracer: a `TracedArray` is a real array that knows its memory, and NumPy's two protocols
(``__array_ufunc__`` and ``__array_function__``) tell us of every operation on it.

A layout operation is not known by rule: it is run once more on the positions 1..n, and its result is the index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from symgrad.errors import UnknownOperation
from symgrad.lifting.choices import select
from symgrad.lifting.memory import Memory
from symgrad.ops import layouts, windows
from symgrad.ops.scalars import OPS, find, unknown
from symgrad.program import Index, Strided, dense, positions, size

if TYPE_CHECKING:
    from symgrad.lifting.tracing import Tracer

__all__ = ["Arrays", "TracedArray"]

_ARITHMETIC = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "power": "pow",
    "float_power": "pow",
    "matmul": "matmul",
}
_UFUNC_OF = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide, "pow": np.power}
_COMPARE = {
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "equal": "eq",
    "not_equal": "ne",
}
_LAYOUT = frozenset(
    [
        "transpose",
        "reshape",
        "concatenate",
        "stack",
        "vstack",
        "hstack",
        "column_stack",
        "dstack",
        "diag",
        "diagonal",
        "tril",
        "triu",
        "pad",
        "flip",
        "fliplr",
        "flipud",
        "repeat",
        "tile",
        "where",
        "broadcast_to",
        "expand_dims",
        "squeeze",
        "roll",
        "take",
        "take_along_axis",
        "ravel",
        "swapaxes",
        "moveaxis",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "append",
        "delete",
        "insert",
        "split",
        "array_split",
        "rot90",
        "diagflat",
        "copy",
        "asarray",
        "array",
        "choose",
        "select",
        "compress",
        "extract",
        "sliding_window_view",
        "block",
        "ascontiguousarray",
        "rollaxis",
        "vsplit",
        "hsplit",
        "concat",
        "permute_dims",
        "matrix_transpose",
        "unstack",
        "broadcast_arrays",
        "meshgrid",
        "resize",
    ]
)
_PLAIN = frozenset(
    [
        "shape",
        "ndim",
        "size",
        "array_repr",
        "array2string",
        "array_str",
        "result_type",
        "iscomplexobj",
        "isrealobj",
        "can_cast",
        "min_scalar_type",
        "common_type",
        "shares_memory",
        "may_share_memory",
    ]
)
_LOOKS = frozenset(
    [
        "argmax",
        "argmin",
        "argsort",
        "nonzero",
        "any",
        "all",
        "allclose",
        "array_equal",
        "isclose",
        "count_nonzero",
        "digitize",
        "searchsorted",
        "flatnonzero",
        "argwhere",
        "isnan",
        "isfinite",
        "isinf",
    ]
)


class TracedArray:
    """A NumPy array that carries its memory; it passes for an ``ndarray`` in ``isinstance``."""

    __slots__ = ("_step", "_version", "index", "memory", "trace", "value")
    __array_priority__ = 1000
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, trace: Tracer, value: Any, memory: Memory, index: Index, step: int | None = None) -> None:
        self.trace = trace
        self.value = value
        self.memory = memory
        self.index = index
        self._step = step
        self._version = memory.version

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return np.ndarray

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("a traced array stays one")

    # ------------------------------------------------------------------------------------ NumPy's protocols
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return self.trace.arrays.ufunc(ufunc, method, *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return self.trace.arrays.function(function, args, options)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        trace = next(a.trace for a in (*args, *(kwargs or {}).values()) if type(a) is TracedArray)
        return trace.tensors.function(func, args, kwargs or {})

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise self.trace.lost(
            "np.asarray of an array, called inside a library,", "Pass the function with its source, or use np.stack."
        )

    # ------------------------------------------------------------------------------------ views and writes
    def _view(self, change: Callable[[np.ndarray], Any]) -> Any:
        return self.trace.arrays.view(self, change)

    def __getitem__(self, key: Any) -> Any:
        key = self.trace.arrays.plain_index(key)
        return self._view(lambda q: q[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.trace.arrays.write(self, self.trace.arrays.plain_index(key), value)

    def __iter__(self) -> Any:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def nbytes(self) -> int:
        return self.value.nbytes

    @property
    def itemsize(self) -> int:
        return self.value.itemsize

    @property
    def T(self) -> Any:
        return self._view(lambda q: q.T)

    @property
    def mT(self) -> Any:
        return self._view(lambda q: np.swapaxes(q, -1, -2))

    @property
    def real(self) -> Any:
        return self.trace.arrays.part(self, "real")

    @property
    def imag(self) -> Any:
        return self.trace.arrays.part(self, "imag")

    def reshape(self, *shape: Any, **options: Any) -> Any:
        return self._view(lambda q: q.reshape(*shape, **options))

    def transpose(self, *axes: Any) -> Any:
        return self._view(lambda q: q.transpose(*axes))

    def squeeze(self, axis: Any = None) -> Any:
        return self._view(lambda q: q.squeeze(axis))

    def swapaxes(self, a: int, b: int) -> Any:
        return self._view(lambda q: q.swapaxes(a, b))

    def ravel(self, *a: Any) -> Any:
        return self._view(lambda q: q.ravel())

    def flatten(self, *a: Any) -> Any:
        return self._view(lambda q: q.flatten())

    def copy(self, *a: Any) -> Any:
        return self._view(lambda q: q.copy())

    def diagonal(self, *a: Any, **k: Any) -> Any:
        return self._view(lambda q: q.diagonal(*a, **k))

    def repeat(self, *a: Any, **k: Any) -> Any:
        return self._view(lambda q: q.repeat(*a, **k))

    def take(self, indices: Any, axis: Any = None, **k: Any) -> Any:
        return self._view(lambda q: q.take(self.trace.value_of(indices), axis))

    def fill(self, value: Any) -> None:
        self[...] = value

    # ------------------------------------------------------------------------------------ leaving the arrays
    def item(self, *where: Any) -> Any:
        from symgrad.lifting.tracing import TracedFloat

        if where:
            return self[where if len(where) > 1 else np.unravel_index(where[0], self.shape)].item()
        step = self.trace.arrays.step(self)
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        if self.dtype.kind == "c":
            raise self.trace.lost("item() of a complex array", "Use x.real and x.imag.")
        b = self.trace.builder
        return TracedFloat(
            float(np.asarray(self.value).reshape(())), b.cast(b.reshape(step, ()), "float64"), self.trace
        )

    def tolist(self) -> Any:
        return [x.tolist() for x in self] if self.shape else self.item()

    def astype(self, dtype: Any, **k: Any) -> Any:
        return self.trace.arrays.astype(self, np.dtype(dtype))

    def __float__(self) -> float:
        raise self.trace.lost("float()", "Use x.item(), or keep the array.")

    __complex__ = __float__

    def __int__(self) -> int:
        out = int(self.value)
        self.trace.guard("int", [self], None, out)
        return out

    __index__ = __int__

    def __bool__(self) -> bool:
        out = bool(self.value)
        self.trace.guard("ne", [self, 0.0], None, out)
        return out

    def __format__(self, spec: str) -> str:
        return format(self.value[()] if isinstance(self.value, np.ndarray) else self.value, spec)

    def __repr__(self) -> str:
        return repr(self.value)

    __str__ = __repr__

    # ------------------------------------------------------------------------------------ reductions
    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, **k: Any) -> Any:
        return np.sum(self, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.mean(self, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    def var(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return np.var(self, axis=axis, ddof=ddof, keepdims=keepdims)  # type: ignore[call-overload]

    def std(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        return np.std(self, axis=axis, ddof=ddof, keepdims=keepdims)  # type: ignore[call-overload]

    def prod(self, axis: Any = None, **k: Any) -> Any:
        return np.prod(self, axis=axis, **k)  # type: ignore[call-overload]

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.max(self, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return np.min(self, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    def argmax(self, axis: Any = None, **k: Any) -> Any:
        return np.argmax(self, axis=axis, **k)  # type: ignore[call-overload]

    def argmin(self, axis: Any = None, **k: Any) -> Any:
        return np.argmin(self, axis=axis, **k)  # type: ignore[call-overload]

    def argsort(self, axis: int = -1, **k: Any) -> Any:
        return np.argsort(self, axis=axis, **k)  # type: ignore[call-overload]

    def any(self, *a: Any, **k: Any) -> Any:
        return np.any(self, *a, **k)  # type: ignore[call-overload]

    def all(self, *a: Any, **k: Any) -> Any:
        return np.all(self, *a, **k)  # type: ignore[call-overload]

    def cumsum(self, axis: Any = None, **k: Any) -> Any:
        return np.cumsum(self, axis=axis)  # type: ignore[call-overload]

    def cumprod(self, axis: Any = None, **k: Any) -> Any:
        return np.cumprod(self, axis=axis)  # type: ignore[call-overload]

    def dot(self, other: Any) -> Any:
        return np.dot(self, other)  # type: ignore[call-overload]

    def clip(self, low: Any = None, high: Any = None, **k: Any) -> Any:
        return np.clip(self, low, high)  # type: ignore[call-overload]

    def trace_(self) -> Any:
        return np.trace(self)  # type: ignore[call-overload]

    def conj(self) -> Any:
        return np.conjugate(self)  # type: ignore[call-overload]

    conjugate = conj

    def __neg__(self) -> Any:
        return np.negative(self)  # type: ignore[call-overload]

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return np.absolute(self)  # type: ignore[call-overload]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise unknown(f"ndarray.{name}", self.trace.where())


def _operators() -> None:
    def make(ufunc: Any, swapped: bool) -> Callable[[Any, Any], Any]:
        def method(self: Any, other: Any) -> Any:
            if isinstance(other, torch.Tensor):
                return NotImplemented
            return ufunc(other, self) if swapped else ufunc(self, other)

        return method

    def in_place(ufunc: Any) -> Callable[[Any, Any], Any]:
        def method(self: Any, other: Any) -> Any:
            out = ufunc(self, other)
            if not isinstance(self.value, np.ndarray):  # a NumPy scalar is not changed, it is replaced
                return out
            self[...] = out
            return self

        return method

    words = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power}
    for word, ufunc in {**words, "matmul": np.matmul}.items():
        setattr(TracedArray, f"__{word}__", make(ufunc, False))
        setattr(TracedArray, f"__r{word}__", make(ufunc, True))
        setattr(TracedArray, f"__i{word}__", in_place(ufunc))
    compare = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "ne": np.not_equal}
    for word, ufunc in {**compare, "eq": np.equal}.items():
        setattr(TracedArray, f"__{word}__", make(ufunc, False))


_operators()


class Arrays:
    """What a tracer does with NumPy."""

    def __init__(self, trace: Tracer) -> None:
        self.trace = trace

    # ------------------------------------------------------------------------------------ values and steps
    def is_traced(self, x: Any) -> bool:
        return type(x) is TracedArray

    def new(self, value: Any, step: int) -> TracedArray:
        """A fresh array, with memory of its own."""
        b = self.trace.builder
        dtype = str(value.dtype)
        if b.dtype(step) != dtype:
            step = b.cast(step, dtype)
        if b.shape(step) != value.shape:
            step = b.reshape(step, value.shape)
        return TracedArray(self.trace, value, Memory.holding(b, step), Strided(0, dense(value.shape)), step)

    def step(self, x: TracedArray) -> int:
        if x._step is None or x._version != x.memory.version:
            x._step = x.memory.read(self.trace.builder, x.index, x.value.shape)
            x._version = x.memory.version
        return x._step

    def wrap(self, x: Any) -> TracedArray:
        """Anything as a traced array."""
        if self.is_traced(x):
            return x
        value = np.asarray(self.trace.value_of(x))
        if isinstance(x, torch.Tensor):
            return self.new(value, self.trace.tensors.step(x))
        if value.dtype.kind in "iub" and not self.trace.is_traced(x):
            value = value.astype(np.float64)
        return self.new(
            value, self.trace.step_of(x) if value.ndim == 0 or self.trace.is_traced(x) else (self.trace.data(value))
        )

    def adopt(self, x: Any) -> Any:
        """A plain float array that user code made, such as ``np.zeros(3)``, so that writes into it are seen."""
        if isinstance(x, np.ndarray) and type(x) is np.ndarray and x.dtype.kind in "fc":
            return self.new(x, self.trace.data(x))
        return x

    def bound(self, x: TracedArray, name: str) -> TracedArray:
        named = self.trace.at_line().name(self.step(x), name)
        return TracedArray(self.trace, x.value, x.memory, x.index, named)

    def plain_index(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple(self.plain_index(k) for k in key)
        if self.is_traced(key) or (isinstance(key, list) and self.trace.is_traced(key)):
            value = np.asarray(self.trace.value_of(key))
            self.trace.guard("int", [key], None, value)
            return value.astype(np.int64)
        if isinstance(key, torch.Tensor):
            return self.trace.tensors.value(key)
        return key

    # ------------------------------------------------------------------------------------ layouts
    def view(self, x: TracedArray, change: Callable[[np.ndarray], Any]) -> Any:
        """A layout operation of one array: a view shares its memory, a copy has its own."""
        base = np.asarray(x.value)
        probe = np.empty(base.shape, dtype=np.uint8)
        moved = np.asarray(change(probe))
        value = change(base)
        shares = moved.size == 0 or (np.may_share_memory(moved, probe) and moved.base is not None)
        if shares and moved.dtype == np.uint8 and isinstance(x.index, Strided) and probe.size:
            offset = moved.__array_interface__["data"][0] - probe.__array_interface__["data"][0]
            inner = self._compose(x, offset, moved.strides, moved.shape)
            if inner is not None:
                return TracedArray(self.trace, np.asarray(value), x.memory, inner)
        where = np.arange(1, base.size + 1).reshape(base.shape)
        flat = np.asarray(change(where)).reshape(-1)
        self.trace.at_line()
        if shares:
            inner = positions(x.index, base.shape)[flat - 1]
            return TracedArray(self.trace, np.asarray(value), x.memory, inner)
        value = np.asarray(value) if isinstance(value, np.ndarray) else value
        return self.new(value, self.trace.builder.pick([self.step(x)], flat, np.shape(value)))

    def _compose(self, x: TracedArray, offset: int, strides: Any, shape: Any) -> Index | None:
        """The index of a view of a view, where both are affine and the outer one moves along the inner one's axes."""
        assert isinstance(x.index, Strided)
        here = dense(x.value.shape)
        if x.index.strides == here:
            return Strided(x.index.offset + offset, tuple(strides))
        axes = [k for k, n in enumerate(x.value.shape) if n > 1]
        lookup = {here[k]: x.index.strides[k] for k in axes}
        start, rest = x.index.offset, offset
        for k in axes:
            start += rest // here[k] * x.index.strides[k]
            rest %= here[k]
        out = []
        for s, n in zip(strides, shape, strict=True):
            if n <= 1 or s == 0:
                out.append(0)
                continue
            unit = max((h for h in lookup if abs(s) % h == 0), default=None)
            if unit is None:
                return None
            times = s // unit
            extent = next(x.value.shape[k] for k in axes if here[k] == unit)
            if abs(times) * (n - 1) >= extent:
                return None  # the outer axis runs over the end of the inner one
            out.append(lookup[unit] * times)
        return Strided(start, tuple(out))

    def write(self, x: TracedArray, key: Any, value: Any) -> None:
        b = self.trace.at_line()
        plain = np.asarray(self.trace.value_of(value))
        step = self.trace.step_of(value, str(x.dtype))
        self.step(x)
        where = np.arange(1, x.value.size + 1).reshape(x.value.shape)[key]
        target = positions(x.index, x.value.shape)[np.asarray(where).reshape(-1) - 1]
        while len(b.shape(step)) > np.ndim(where):
            step = b.reshape(step, b.shape(step)[1:])
        step = b.cast(b.broadcast(step, np.shape(where)), str(x.dtype))
        x.memory.write(b, target, np.shape(where), step)
        x.value[key] = plain

    def layout(self, function: Any, args: Any, options: Any) -> Any:
        """A layout function of several arrays: run on positions, its result is the index."""
        steps: list[int] = []
        count = 0
        b = self.trace.at_line()

        def place(x: Any, forced: bool = False) -> Any:
            nonlocal count
            if self.is_traced(x) or (self.trace.is_traced(x) and not isinstance(x, (list, tuple))):
                step = self.trace.step_of(x)
            elif isinstance(x, (list, tuple)) and (self.trace.is_traced(x) or any(map(_is_float, x))):
                return type(x)(place(i, True) for i in x)
            elif _is_float(x) or (forced and not isinstance(x, (list, tuple))):
                step = self.trace.step_of(x)
            else:
                return x
            n = size(b.shape(step))
            where = np.arange(count + 1, count + 1 + n).reshape(b.shape(step))
            steps.append(step)
            count += n
            return where

        name = function.__name__
        forced = {1, 2} if name == "where" else {2} if name == "insert" else {1} if name == "append" else set()
        moved = function(
            *(place(a, k in forced) for k, a in enumerate(args)), **{k: place(v) for k, v in options.items()}
        )
        plain = function(*self.trace.value_of(list(args)), **{k: self.trace.value_of(v) for k, v in options.items()})

        def make(where: Any, value: Any) -> TracedArray:
            return self.new(value, b.pick(steps, np.asarray(where), np.shape(where)))

        if isinstance(moved, (list, tuple)):
            return type(moved)(make(w, v) for w, v in zip(moved, plain, strict=True))
        return make(moved, plain)

    # ------------------------------------------------------------------------------------ arithmetic
    def arithmetic(self, name: str, a: Any, b: Any) -> Any:
        return self.ufunc(_UFUNC_OF[name], "__call__", a, b)

    def ufunc(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        name = ufunc.__name__
        if any(isinstance(i, torch.Tensor) for i in inputs):
            return NotImplemented
        if method == "reduce" and name in ("add", "maximum", "minimum", "multiply"):
            word = {"add": "sum", "maximum": "max", "minimum": "min", "multiply": "prod"}[name]
            axis = options.get("axis", 0)
            result = _FUNCTIONS[word](self, inputs[0], axis=axis, keepdims=bool(options.get("keepdims", False)))
        elif method == "accumulate" and name in ("add", "multiply"):
            result = _FUNCTIONS["cumsum" if name == "add" else "cumprod"](self, inputs[0], options.get("axis", 0))
        elif method == "outer":
            a, b = (self.wrap(i) for i in inputs)
            result = ufunc(a.reshape(a.shape + (1,) * b.ndim), b)
        elif method == "__call__":
            if options.get("where", True) is not True:
                raise unknown(f"numpy.{name}(where=)", self.trace.where())
            options.pop("where", None)
            result = self._entrywise(ufunc, name, inputs, options)
        else:
            raise unknown(f"numpy.{name}.{method}", self.trace.where())
        if out is not None:
            (target,) = out
            self.wrap(target)[...] = result
            return target
        return result

    def _entrywise(self, ufunc: Any, name: str, inputs: Any, options: Any) -> Any:
        trace = self.trace
        plain = [trace.value_of(i) for i in inputs]
        value = ufunc(*plain, **options)
        if isinstance(value, tuple):
            raise unknown(f"numpy.{name}", trace.where())
        if name in _COMPARE:
            trace.guard(_COMPARE[name], list(inputs), None, value)
            return value
        if name in ("isnan", "isfinite", "isinf", "logical_and", "logical_or", "logical_not", "signbit"):
            trace.guard(name, [i for i in inputs if trace.is_traced(i)], None, value)
            return value
        b = trace.at_line()
        dtype = str(value.dtype)
        weak = dtype if value.dtype.kind in "fc" else None
        steps = [trace.step_of(i, weak if type(i) in (int, float) else None) for i in inputs]
        if value.dtype.kind not in "fc":
            trace.guard(name, [i for i in inputs if trace.is_traced(i)], None, value)
            return value
        return self.new(value, self._step(b, name, steps, plain, dtype))

    def _step(self, b: Any, name: str, steps: list[int], plain: list[Any], dtype: str) -> int:
        kind = _ARITHMETIC.get(name)
        if kind == "matmul":
            return b.matmul(*steps)
        if kind == "pow":
            return b.power(*steps, dtype=dtype)
        if kind is not None:
            return b.binary(kind, *steps, dtype=dtype)
        if name == "negative":
            return b.neg(steps[0])
        if name == "positive":
            return steps[0]
        if name in ("conjugate", "conj"):
            return b.conj(steps[0])
        if name in ("floor", "ceil", "rint", "trunc"):
            self.trace.builder.guard(name, steps, None, np.asarray(getattr(np, name)(plain[0])))
            return self.trace.data(np.asarray(getattr(np, name)(plain[0])), dtype)
        row = find(name)
        if row is None:
            raise unknown(f"numpy.{name}", self.trace.where())
        if OPS[row].branches:
            return select(b, row, steps, [np.asarray(p) for p in plain], dtype)
        if row in ("abs", "sign"):
            self.trace.guard("sign", [steps[0]] if False else [], None, np.sign(plain[0]))
            b.guard("sign", [steps[0]], None, np.sign(plain[0]))
            if row == "abs" and b.steps[steps[0]].is_complex:
                return b.apply("abs", steps[0], dtype=dtype)
        return b.apply(row, *steps, dtype=dtype)

    def part(self, x: TracedArray, which: str) -> Any:
        if x.dtype.kind != "c":
            return x if which == "real" else np.zeros_like(x.value)
        value = getattr(x.value, which).copy()
        b = self.trace.at_line()
        return self.new(value, b.emit(which, (self.step(x),), None, value.shape, str(value.dtype)))

    def astype(self, x: TracedArray, dtype: np.dtype) -> Any:
        value = np.asarray(x.value).astype(dtype)
        if dtype.kind not in "fc":
            self.trace.guard("int", [x], None, value)
            return value
        return self.new(value, self.trace.at_line().cast(self.step(x), str(dtype)))

    # ------------------------------------------------------------------------------------ functions
    def function(self, function: Any, args: Any, options: Any) -> Any:
        name = function.__name__
        if name in _PLAIN:
            return function(*self.trace.value_of(list(args)), **options)
        if name in _LOOKS:
            plain = function(
                *self.trace.value_of(list(args)), **{k: self.trace.value_of(v) for k, v in options.items()}
            )
            seen = [a for a in args if self.trace.is_traced(a)]
            self.trace.guard(name, seen, tuple(a for a in args if not self.trace.is_traced(a)), plain)
            return plain
        handler = _FUNCTIONS.get(name)
        if handler is not None:
            self.trace.at_line()
            return handler(self, *args, **{k: v for k, v in options.items() if k not in ("dtype", "out")})
        if name in _LAYOUT:
            return self.layout(function, args, options)
        raise unknown(f"numpy.{name}", self.trace.where())

    def call(self, function: Any, args: Any, options: Any) -> Any:
        """Calls that NumPy's protocols do not show: of plain numbers, and of lists of traced ones."""
        trace = self.trace
        if isinstance(function, np.ufunc) and len(args) == 1 and type(args[0]) in (int, float):
            value = function(args[0], **options)
            if value.dtype.kind == "f" and np.isfinite(value):
                b = trace.at_line()
                return self.new(value, self._step(b, function.__name__, [trace.step_of(args[0])], [value], "float64"))
            return value
        if (
            function in (np.array, np.asarray, np.asanyarray, np.ascontiguousarray)
            and args
            and trace.is_traced(args[0])
        ):
            return self._array(function, args[0], options.get("dtype", args[1] if len(args) > 1 else None))
        if function is np.float64 or function is np.float32:
            if args and trace.is_traced(args[0]):
                return self._array(np.array, args[0], function)
            value = function(*args)
            return self.new(value, trace.step_of(args[0] if args else 0.0, str(value.dtype)))
        return NotImplemented

    def _array(self, function: Any, x: Any, dtype: Any) -> Any:
        if self.is_traced(x):
            out = x if function is not np.array else x.copy()
        elif isinstance(x, (list, tuple)):
            out = np.stack([self._array(np.asarray, i, None) for i in x])  # type: ignore[call-overload]
        else:
            out = self.wrap(x)
        return out.astype(dtype) if dtype is not None and np.dtype(dtype) != out.dtype else out


def _is_float(x: Any) -> bool:
    return isinstance(x, (float, np.floating)) or (isinstance(x, np.ndarray) and x.dtype.kind in "fc")


# ------------------------------------------------------------------------------------------------ functions, one each


def _reduced(a: Arrays, x: Any, axis: Any, keepdims: bool, value: Callable, step: Callable) -> Any:
    x = a.wrap(x)
    axes = None if axis is None else tuple(int(k) for k in np.atleast_1d(axis))
    return a.new(value(x.value, axis=axes, keepdims=keepdims), step(a.trace.builder, a.step(x), axes, keepdims))


def _sum(a: Arrays, x: Any, axis: Any = None, keepdims: bool = False, **k: Any) -> Any:
    return _reduced(a, x, axis, keepdims, np.sum, lambda b, s, ax, keep: b.sum(s, ax, keep))


def _mean(a: Arrays, x: Any, axis: Any = None, keepdims: bool = False, **k: Any) -> Any:
    return _reduced(a, x, axis, keepdims, np.mean, layouts.mean)


def _average(a: Arrays, x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False, **k: Any) -> Any:
    if weights is None:
        return _mean(a, x, axis, keepdims)
    w = a.wrap(weights)
    return np.sum(a.wrap(x) * w, axis=axis, keepdims=keepdims) / np.sum(w, axis=axis if w.ndim > 1 else None)


def _var(a: Arrays, x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, **k: Any) -> Any:
    ddof = k.get("correction", ddof)
    return _reduced(
        a,
        x,
        axis,
        keepdims,
        lambda v, axis, keepdims: np.var(v, axis=axis, ddof=ddof, keepdims=keepdims),
        lambda b, s, ax, keep: layouts.var(b, s, ax, keep, ddof),
    )


def _std(a: Arrays, x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False, **k: Any) -> Any:
    return np.sqrt(_var(a, x, axis, ddof, keepdims, **k))


def _prod(a: Arrays, x: Any, axis: Any = None, keepdims: bool = False, **k: Any) -> Any:
    x = a.wrap(x)
    value = np.prod(x.value, axis=axis, keepdims=keepdims)
    return a.new(value, layouts.prod(a.trace.builder, a.step(x), axis, keepdims))


def _extreme(largest: bool) -> Callable[..., Any]:
    def reduce(a: Arrays, x: Any, axis: Any = None, keepdims: bool = False, **k: Any) -> Any:
        x = a.wrap(x)
        value = (np.max if largest else np.min)(x.value, axis=axis, keepdims=keepdims)
        return a.new(
            value, layouts.extreme(a.trace.builder, a.step(x), np.asarray(x.value), axis, keepdims, largest=largest)
        )

    return reduce


def _running(step: Callable[..., int], plain: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: Arrays, x: Any, axis: Any = None, **k: Any) -> Any:
        x = a.wrap(x)
        if axis is None:
            x, axis = x.reshape(-1), 0
        return a.new(plain(x.value, axis=axis), step(a.trace.builder, a.step(x), axis))

    return run


def _dot(a: Arrays, x: Any, y: Any, **k: Any) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    return x * y if not x.ndim or not y.ndim else np.matmul(x, y)


def _inner(a: Arrays, x: Any, y: Any, **k: Any) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    return x * y if not x.ndim or not y.ndim else np.matmul(x, y.T)


def _outer(a: Arrays, x: Any, y: Any, **k: Any) -> Any:
    return a.wrap(x).reshape(-1, 1) * a.wrap(y).reshape(1, -1)


def _norm(a: Arrays, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = a.wrap(x)
    if ord not in (None, 2, 1) or (ord is not None and axis is None and x.ndim > 1 and ord != 2):
        raise unknown(f"numpy.linalg.norm(ord={ord!r})", a.trace.where())
    if ord == 2 and axis is None and x.ndim == 2:
        raise unknown("numpy.linalg.norm(ord=2) of a matrix", a.trace.where())
    return _reduced(
        a,
        x,
        axis,
        keepdims,
        lambda v, axis, keepdims: (
            np.linalg.norm(v, None if ord is None else ord, axis, keepdims)
            if axis is None or len(axis) == 1 or ord is None
            else np.linalg.norm(v, ord, axis, keepdims)
        ),
        lambda b, s, ax, keep: layouts.norm(b, s, 2 if ord is None else ord, ax, keep),
    )


def _clip(a: Arrays, x: Any, low: Any = None, high: Any = None, **k: Any) -> Any:
    low = k.get("a_min", k.get("min", low))
    high = k.get("a_max", k.get("max", high))
    x = a.wrap(x)
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _like(value: float) -> Callable[..., Any]:
    def make(a: Arrays, x: Any, *args: Any, **k: Any) -> Any:
        x = a.wrap(x)
        fill = value if value == value else args[0] if args else k["fill_value"]
        out = np.full(x.shape, a.trace.value_of(fill), x.dtype)
        b = a.trace.builder
        return a.new(out, b.broadcast(b.cast(a.trace.step_of(fill), str(x.dtype)), x.shape))

    return make


def _einsum(a: Arrays, spec: str, *operands: Any, **k: Any) -> Any:
    xs = [a.wrap(x) for x in operands]
    value = np.asarray(np.einsum(spec, *(x.value for x in xs)))
    return a.new(value, layouts.einsum(a.trace.builder, spec, *(a.step(x) for x in xs)))


def _tensordot(a: Arrays, x: Any, y: Any, axes: Any = 2) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    value = np.tensordot(x.value, y.value, axes)
    return a.new(value, layouts.tensordot(a.trace.builder, a.step(x), a.step(y), axes))


def _convolution(which: str) -> Callable[..., Any]:
    def run(a: Arrays, x: Any, y: Any, mode: str | None = None) -> Any:
        x, y = a.wrap(x), a.wrap(y)
        mode = mode or ("full" if which == "convolve" else "valid")
        value = getattr(np, which)(x.value, y.value, mode)
        return a.new(value, getattr(windows, which)(a.trace.builder, a.step(x), a.step(y), mode))

    return run


def _trace(a: Arrays, x: Any, **k: Any) -> Any:
    return np.diagonal(a.wrap(x)).sum(-1)


def _cross(a: Arrays, x: Any, y: Any, axis: int = -1, **k: Any) -> Any:
    x, y = a.wrap(x), a.wrap(y)
    value = np.cross(x.value, y.value, axis=axis)
    return a.new(value, layouts.cross(a.trace.builder, a.step(x), a.step(y), axis))


def _sort(a: Arrays, x: Any, axis: int = -1, **k: Any) -> Any:
    x = a.wrap(x)
    order = np.argsort(x, axis=axis, kind="stable")
    return np.take_along_axis(x, order, axis)


def _diff(a: Arrays, x: Any, n: int = 1, axis: int = -1, **k: Any) -> Any:
    x = a.wrap(x)
    for _ in range(n):
        later = x._view(lambda q: np.take(q, range(1, q.shape[axis]), axis))
        sooner = x._view(lambda q: np.take(q, range(q.shape[axis] - 1), axis))
        x = later - sooner
    return x


def _linear(op: str) -> Callable[..., Any]:
    def run(a: Arrays, x: Any, *rest: Any, **k: Any) -> Any:
        b = a.trace.builder
        x = a.wrap(x)
        n = x.shape[-1]
        batch = x.shape[:-2]
        square = b.reshape(a.step(x), (size(batch), n, n))
        if op == "solve":
            y = a.wrap(rest[0])
            value = np.linalg.solve(x.value, y.value)
            columns = b.reshape(
                b.broadcast(a.step(y), value.shape), (size(batch), n, size(value.shape) // n // max(size(batch), 1))
            )
            step = b.emit("solve", (square, columns), None, b.shape(columns))
            return a.new(value, b.reshape(step, value.shape))
        value = getattr(np.linalg, {"inverse": "inv"}.get(op, op))(x.value)
        shape = (size(batch),) if op == "det" else (size(batch), n, n)
        return a.new(
            np.asarray(value) if op != "det" else value, b.reshape(b.emit(op, (square,), None, shape), np.shape(value))
        )

    return run


def _slogdet(a: Arrays, x: Any) -> Any:
    b = a.trace.builder
    x = a.wrap(x)
    n, batch = x.shape[-1], x.shape[:-2]
    sign, value = np.linalg.slogdet(x.value)
    square = b.reshape(a.step(x), (size(batch), n, n))
    step = b.reshape(b.emit("logabsdet", (square,), None, (size(batch),)), batch)
    a.trace.guard("sign", [], None, sign)
    return sign, a.new(value, step)


def _nan_to_num(a: Arrays, x: Any, **k: Any) -> Any:
    raise UnknownOperation("numpy.nan_to_num hides undefined values.", where=a.trace.where())


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": _sum,
    "mean": _mean,
    "average": _average,
    "var": _var,
    "std": _std,
    "prod": _prod,
    "max": _extreme(True),
    "amax": _extreme(True),
    "min": _extreme(False),
    "amin": _extreme(False),
    "cumsum": _running(layouts.cumsum, np.cumsum),
    "cumprod": _running(layouts.cumprod, np.cumprod),
    "dot": _dot,
    "vdot": _dot,
    "inner": _inner,
    "outer": _outer,
    "norm": _norm,
    "vector_norm": _norm,
    "clip": _clip,
    "zeros_like": _like(0.0),
    "ones_like": _like(1.0),
    "empty_like": _like(0.0),
    "full_like": _like(float("nan")),
    "einsum": _einsum,
    "tensordot": _tensordot,
    "convolve": _convolution("convolve"),
    "correlate": _convolution("correlate"),
    "trace": _trace,
    "cross": _cross,
    "sort": _sort,
    "diff": _diff,
    "inv": _linear("inverse"),
    "solve": _linear("solve"),
    "det": _linear("det"),
    "cholesky": _linear("cholesky"),
    "slogdet": _slogdet,
    "nan_to_num": _nan_to_num,
}
