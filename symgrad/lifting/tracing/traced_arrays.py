"""A NumPy array that knows its memory.

It passes for an ``ndarray`` (or a NumPy scalar) in ``isinstance`` and is none, so that nothing can take its entries
without telling: NumPy's two protocols (``__array_ufunc__`` and ``__array_function__``) report every operation, and
code that wants the bare entries (``__array__``, ``__float__``) gets `LostValue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from symgrad.lifting.tracing.memory import Memory
from symgrad.lifting.tracing.traced_floats import TracedFloat
from symgrad.program.program import Strided

if TYPE_CHECKING:
    from symgrad.lifting.tracing.tracer import Tracer

__all__ = ["TracedArray"]


class TracedArray:
    """A NumPy array or scalar that carries its memory and the index of its entries in it."""

    __slots__ = ("index", "memory", "step", "tracer", "value", "version")
    __array_priority__ = 1000

    def __init__(self, tracer: Tracer, value: Any, memory: Memory, index: Strided, step: int | None = None) -> None:
        self.tracer = tracer
        self.value = value
        self.memory = memory
        self.index = index
        self.step = step  # known to hold the entries as long as the memory's version is this one
        self.version = memory.version

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
        key = self.tracer.arrays.plain_index(key)
        return self._view(lambda q: q[key])

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
    flat = property(lambda self: self._view(lambda q: q.reshape(-1)))
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
        return self.tracer.whole("trunc", self, int(self.value))

    def __bool__(self) -> bool:
        out = bool(self.value)
        self.tracer.guard("ne", [self, 0.0], None, out)
        return out

    def __round__(self, digits: int | None = None) -> Any:
        return self.tracer.whole("round", self, round(self.value[()])) if digits is None else np.round(self, digits)

    def __format__(self, spec: str) -> str:
        return format(self.value[()], spec)

    def __repr__(self) -> str:
        return repr(self.value)

    def __str__(self) -> str:
        return str(self.value)

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
        raise self.tracer.unknown(f"ndarray.{name}")


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
