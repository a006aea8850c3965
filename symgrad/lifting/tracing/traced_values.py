"""What a traced value is while the user's code runs: a place in memory, an array of NumPy's kind, a float."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.lifting.tracing.recorder import Recorder
from symgrad.program.builder import Builder
from symgrad.program.program import Index, Shape, Strided, dense, positions, size

# -------------------------------------------------------------------------------------------------------------- memory
# Memory, as torch and NumPy have it: a buffer is one flat step and a version; a value is (buffer, index).
#
# Views, in-place writes and ``transpose_`` then need nothing else: a view is another index into the same buffer, a
# write replaces the buffer's step, and every view sees it because the version has moved on.


@dataclass(eq=False, slots=True)
class Memory:
    """A buffer of ``total`` entries, filled by the step ``root`` whose entries lie at ``index``."""

    total: int
    root: int
    index: Index
    version: int = 0
    outside: bool = False  # it was there before the code, and will be after it
    _flat: int | None = None

    @classmethod
    def holding(cls, builder: Builder, step: int) -> Memory:
        """A fresh buffer that holds one step's value, row by row."""
        shape = builder.shape(step)
        return cls(size(shape), step, Strided(0, dense(shape)))

    def read(self, b: Builder, index: Index, shape: Shape) -> int:
        """The step for the entries at ``index``."""
        if self._flat is None and shape == b.shape(self.root) and _same(index, self.index):
            return self.root
        if self._flat is None and self._whole(b):
            return b.pick([self.root], index, shape)
        return b.pick([self._flatten(b)], index, shape)

    def call(self, b: Builder, index: Index, shape: Shape, named: int) -> None:
        """The value that fills the buffer got a name: every view is one of what was named last."""
        if size(shape) == self.total and index == Strided(0, dense(shape)):
            self.root, self.index, self._flat = named, index, None

    def write(self, b: Builder, index: Index, shape: Shape, step: int) -> None:
        """Put a value's entries at ``index``."""
        where = positions(index, shape)
        if where.size == self.total and isinstance(index, Strided) and index == Strided(0, dense(shape)):
            self.root, self.index, self._flat = step, index, None
        else:
            source = np.arange(1, self.total + 1)
            source[where - 1] = np.arange(self.total + 1, self.total + 1 + where.size)
            self._flat = b.pick([self._flatten(b), step], source, (self.total,))
        self.version += 1

    def _whole(self, b: Builder) -> bool:
        shape = b.shape(self.root)
        return size(shape) == self.total and self.index == Strided(0, dense(shape))

    def _flatten(self, b: Builder) -> int:
        if self._flat is None:
            if self._whole(b):
                self._flat = b.reshape(self.root, (self.total,))
            else:
                back = np.zeros(self.total, dtype=np.int64)
                where = positions(self.index, b.shape(self.root))
                back[where - 1] = np.arange(1, where.size + 1)
                self._flat = b.pick([self.root], back, (self.total,))
        return self._flat


def _same(a: Index, b: Index) -> bool:
    return a == b if isinstance(a, Strided) and isinstance(b, Strided) else a is b


# ------------------------------------------------------------------------------------------------------- traced floats
# A Python number that carries its step.
#
# It passes for a ``float`` in ``isinstance`` and is none: C code that reads a float's bits (the math module, called
# where the tracer does not see it) would lose the value in silence, and so gets `LostValue` from ``__float__`` instead.

PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, {"div": "truediv"}.get(name, name))
    for name in "add sub mul div pow mod floordiv matmul".split()
}


class TracedFloat:
    """A Python float that carries its step.

    Arithmetic with plain numbers, and with other traced floats, is recorded; with arrays and tensors it is theirs.
    """

    __slots__ = ("step", "tracer", "value")
    __array_priority__ = 2000

    def __init__(self, value: float, step: int, tracer: Recorder) -> None:
        self.value = value
        self.step = step
        self.tracer = tracer

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return float

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("a traced float stays one")

    # ------------------------------------------------------------------------------------ arrays and tensors
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return self.tracer.arrays.ufunc(ufunc, method, *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return self.tracer.arrays.function(function, args, options)

    def __array__(self, *args: Any, **options: Any) -> Any:
        if not self.tracer.depends(self.step):
            return np.array(self.value, *args, **options)
        raise self.tracer.lost("an array made of numbers inside a library", "Use np.stack, or write the formula out.")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        trace = next(a.tracer for a in (*args, *(kwargs or {}).values()) if type(a) is TracedFloat)
        return trace.tensors.function(func, args, kwargs or {})

    # ------------------------------------------------------------------------------------ arithmetic
    def __neg__(self) -> TracedFloat:
        return TracedFloat(-self.value, self.tracer.at_line().neg(self.step), self.tracer)

    def __pos__(self) -> TracedFloat:
        return self

    def __abs__(self) -> TracedFloat:
        return self.tracer.scalar_function("abs", self, abs(self.value))

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    # ------------------------------------------------------------------------------------ looking at the value
    def __bool__(self) -> bool:
        return self.tracer.compare("ne", self, 0.0)

    def __int__(self) -> int:
        return int(self.__trunc__())

    def __trunc__(self) -> int:
        return self.tracer.whole("trunc", self, int(self.value))

    def __floor__(self) -> int:
        return self.tracer.whole("floor", self, self.value.__floor__())

    def __ceil__(self) -> int:
        return self.tracer.whole("ceil", self, self.value.__ceil__())

    def __round__(self, digits: Any = None) -> Any:
        if digits is None:
            return self.tracer.whole("round", self, round(self.value))
        value = round(self.value, digits)
        return TracedFloat(value, self.tracer.piecewise("round", [self.step], value, "float64", digits), self.tracer)

    def is_integer(self) -> bool:
        return self.tracer.compare("eq", self, float(round(self.value)))

    def __eq__(self, other: object) -> Any:
        return self.tracer.compare("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return self.tracer.compare("ne", self, other)

    def __lt__(self, other: Any) -> Any:
        return self.tracer.compare("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return self.tracer.compare("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.tracer.compare("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return self.tracer.compare("ge", self, other)

    def __hash__(self) -> int:
        self.tracer.guard("hash", [self], None, self.value)  # a set or a dictionary finds it by its value
        return hash(self.value)

    # ------------------------------------------------------------------------------------ leaving
    def __float__(self) -> float:
        if not self.tracer.depends(self.step):
            return self.value
        raise self.tracer.lost(
            "float(), called by a library or in code whose source is not at hand,",
            "Pass the function with its source, or write the formula with the operators and math's functions.",
        )

    def __complex__(self) -> complex:
        raise self.tracer.lost("complex()", "Use torch for complex values.")

    def __format__(self, spec: str) -> str:
        return self.tracer.written(self, format(self.value, spec))

    def __repr__(self) -> str:
        return self.tracer.written(self, repr(self.value))

    def __copy__(self) -> TracedFloat:
        return self

    def __deepcopy__(self, memo: Any) -> TracedFloat:
        return self

    @property
    def real(self) -> TracedFloat:
        return self

    @property
    def imag(self) -> float:
        return 0.0

    def conjugate(self) -> TracedFloat:
        return self


def _arithmetic(name: str, operation: Callable[[Any, Any], Any]) -> None:
    def forward(self: TracedFloat, other: Any) -> Any:
        return self.tracer.scalar_arithmetic(name, operation, self, other)

    def backward(self: TracedFloat, other: Any) -> Any:
        return self.tracer.scalar_arithmetic(name, operation, other, self)

    word = {"div": "truediv"}.get(name, name)
    setattr(TracedFloat, f"__{word}__", forward)
    setattr(TracedFloat, f"__r{word}__", backward)


for _float_name, _operation in PLAIN.items():
    if _float_name != "matmul":
        _arithmetic(_float_name, _operation)


# ------------------------------------------------------------------------------------------------------- traced arrays
# A NumPy array that knows its memory.
#
# It passes for an ``ndarray`` (or a NumPy scalar) in ``isinstance`` and is none, so that nothing can take its entries
# without telling: NumPy's two protocols (``__array_ufunc__`` and ``__array_function__``) report every operation, and
# code that wants the bare entries (``__array__``, ``__float__``) gets `LostValue`.


class TracedArray:
    """A NumPy array or scalar that carries its memory and the index of its entries in it."""

    __slots__ = ("index", "length", "memory", "step", "tracer", "value", "version")
    __array_priority__ = 1000

    def __init__(self, tracer: Recorder, value: Any, memory: Memory, index: Strided, step: int | None = None) -> None:
        self.tracer = tracer
        self.value = value
        self.memory = memory
        self.index = index
        self.step = step  # known to hold the entries as long as the memory's version is this one
        self.version = memory.version
        self.length: Any = ()  # the looks that its length was made of

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return np.ndarray if isinstance(self.value, np.ndarray) else type(self.value)

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("a traced array stays one")

    # ------------------------------------------------------------------------------------ NumPy's protocols
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return self.tracer.arrays.ufunc(ufunc, method, *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return self.tracer.arrays.function(function, args, options)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tracer = next(a.tracer for a in (*args, *(kwargs or {}).values()) if type(a) is TracedArray)
        return tracer.tensors.function(func, args, kwargs or {})

    def __array__(self, *args: Any, **options: Any) -> Any:
        if self.tracer.depends(self.tracer.arrays.step(self)):
            raise self.tracer.lost(
                "np.asarray of an array, called inside a library,",
                "Write that function's formula with NumPy, or pass the code with its source.",
            )
        return np.array(self.value, *args, **options)

    # ------------------------------------------------------------------------------------ views and writes
    def _view(self, change: Callable[[np.ndarray], Any]) -> Any:
        return self.tracer.arrays.view(self, change)

    def __getitem__(self, key: Any) -> Any:
        plain = self.tracer.arrays.plain_index(key)
        out = self._view(lambda q: q[plain])
        return self.tracer.arrays.chosen(out, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tracer.arrays.write(self, self.tracer.arrays.plain_index(key), value)

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self == value))

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    nbytes = property(lambda self: self.value.nbytes)
    itemsize = property(lambda self: self.value.itemsize)
    T = property(lambda self: self._view(lambda q: q.T))
    mT = property(lambda self: self._view(lambda q: np.swapaxes(q, -1, -2)))
    flat = property(lambda self: Flat(self))
    real = property(lambda self: self.tracer.arrays.part(self, "real"))
    imag = property(lambda self: self.tracer.arrays.part(self, "imag"))

    def fill(self, value: Any) -> None:
        self[...] = value

    def sort(self, axis: int = -1, **options: Any) -> None:
        self[...] = np.sort(self, axis=axis, **options)

    # ------------------------------------------------------------------------------------ leaving the arrays
    def item(self, *where: Any) -> Any:
        if where:
            place: Any = where if len(where) > 1 else np.unravel_index(next(iter(where)), self.shape)
            return self[place].item()
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        if self.dtype.kind == "c":
            raise self.tracer.lost("item() of a complex array", "Use x.real and x.imag.")
        b = self.tracer.at_line()
        step = b.cast(b.reshape(self.tracer.arrays.step(self), ()), "float64")
        return TracedFloat(float(np.asarray(self.value).reshape(())), step, self.tracer)

    def tolist(self) -> Any:
        return [x.tolist() for x in self] if self.shape else self.item()

    def astype(self, dtype: Any, **options: Any) -> Any:
        return self.tracer.arrays.astype(self, np.dtype(dtype))

    def __float__(self) -> float:
        if self.tracer.depends(self.tracer.arrays.step(self)):
            raise self.tracer.lost("float()", "Use x.item(), or keep the array.")
        return float(self.value)

    def __complex__(self) -> complex:
        raise self.tracer.lost("complex()", "Keep the array.")

    def __int__(self) -> int:
        return int(self.tracer.whole("trunc", self, int(self.value)))

    def __bool__(self) -> bool:
        out = bool(self.value)
        self.tracer.guard("ne", [self, 0.0], None, out)
        return out

    def __round__(self, digits: int | None = None) -> Any:
        return self.tracer.whole("round", self, round(self.value[()])) if digits is None else np.round(self, digits)

    def __format__(self, spec: str) -> str:
        return self.tracer.written(self, format(self.value[()], spec))

    def __repr__(self) -> str:
        return self.tracer.written(self, repr(self.value))

    def __str__(self) -> str:
        return self.tracer.written(self, str(self.value))

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __hash__(self) -> int:
        out = hash(self.value)  # a NumPy scalar has one, an array has not
        self.tracer.guard("hash", [self], None, self.value)  # a set or a dictionary finds it by its value
        return out

    def __pos__(self) -> Any:
        return self

    def __divmod__(self, other: Any) -> Any:
        return np.floor_divide(self, other), np.remainder(self, other)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(self.value, name):
            raise AttributeError(f"{type(self.value).__name__!r} object has no attribute {name!r}")
        if name not in _CHANGING and not self.tracer.depends(self.tracer.arrays.step(self)):
            return getattr(self.value, name)  # of data
        raise self.tracer.unknown(f"ndarray.{name}")


# methods that write into the array, beside those that are followed
_CHANGING = frozenset("byteswap itemset partition put resize setfield setflags".split())


class Flat:
    """``x.flat``: the entries one after another; what is written into it is written into the array."""

    def __init__(self, array: TracedArray) -> None:
        self.array = array

    def _where(self, key: Any) -> Any:
        places = np.arange(self.array.size)[self.array.tracer.arrays.plain_index(key)]
        return np.unravel_index(places, self.array.shape)

    def __getitem__(self, key: Any) -> Any:
        return self.array[self._where(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.array[self._where(key)] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.array.reshape(-1))

    def __len__(self) -> int:
        return self.array.size


def _moving(name: str) -> Callable[..., Any]:
    """A method that only moves entries."""

    def method(self: TracedArray, *args: Any, **options: Any) -> Any:
        return self._view(lambda q: getattr(q, name)(*args, **options))

    return method


def _function(name: str) -> Callable[..., Any]:
    """A method that NumPy also has as a function; positional options come in the same order."""
    function = getattr(np, name)

    def method(self: TracedArray, *args: Any, **options: Any) -> Any:
        return function(self, *args, **options)

    return method


def _operator(ufunc: Any, swapped: bool) -> Callable[[Any, Any], Any]:
    def method(self: TracedArray, other: Any) -> Any:
        if isinstance(other, torch.Tensor) or other is None:
            return NotImplemented
        return ufunc(other, self) if swapped else ufunc(self, other)

    return method


def _in_place(ufunc: Any) -> Callable[[Any, Any], Any]:
    def method(self: TracedArray, other: Any) -> Any:
        out = ufunc(self, other)
        if not isinstance(self.value, np.ndarray):  # a NumPy scalar is not changed, it is replaced
            return out
        self[...] = out
        return self

    return method


for _name in "reshape transpose squeeze swapaxes ravel flatten copy diagonal repeat take compress".split():
    setattr(TracedArray, _name, _moving(_name))
for _name in (
    "sum mean var std prod max min argmax argmin argsort any all cumsum cumprod dot clip round trace nonzero "
    "searchsorted conj conjugate"
).split():
    setattr(TracedArray, _name, _function(_name))
for _word, _ufunc in {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power},
    **{"matmul": np.matmul, "mod": np.remainder, "floordiv": np.floor_divide},
}.items():
    setattr(TracedArray, f"__{_word}__", _operator(_ufunc, False))
    setattr(TracedArray, f"__r{_word}__", _operator(_ufunc, True))
    setattr(TracedArray, f"__i{_word}__", _in_place(_ufunc))
for _word, _ufunc in {
    **{"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal},
    **{"ne": np.not_equal, "eq": np.equal},
}.items():
    setattr(TracedArray, f"__{_word}__", _operator(_ufunc, False))
for _word, _ufunc in {"neg": np.negative, "abs": np.absolute}.items():
    setattr(TracedArray, f"__{_word}__", _function(_ufunc.__name__))
