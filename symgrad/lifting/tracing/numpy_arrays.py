"""What a tracer does with NumPy: values and views, writes, entrywise functions, and functions that only move entries.

A layout operation is not known by rule: it is run once more on the positions 1..n, and its result is the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from symgrad.errors import LostValue
from symgrad.lifting.tracing import numpy_functions, scipy_functions
from symgrad.lifting.tracing.looked_values import LookedArray, plainly
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.traced_values import PLAIN, Memory, TracedArray, TracedFloat
from symgrad.ops.scalars import OPS, find
from symgrad.program.indexing import index_put_accumulate
from symgrad.program.program import Strided, dense, positions, size
from symgrad.program.selection import select
from symgrad.program.written_choices import between, holds, is_written

_ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div"}
_POWER = ("power", "float_power")
_COMPARE = {
    **{"greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le"},
    **{"equal": "eq", "not_equal": "ne"},
}
_WHOLE = {"floor": np.floor, "ceil": np.ceil, "rint": np.rint, "trunc": np.trunc}
_REDUCE = {"add": "sum", "maximum": "max", "minimum": "min", "multiply": "prod"}
_REDUCE |= {"logical_and": "all", "logical_or": "any"}

# what these return depends on shapes and dtypes only
_PLAIN = frozenset(
    "shape ndim size array_repr array2string array_str result_type iscomplexobj isrealobj can_cast min_scalar_type "
    "common_type shares_memory may_share_memory isscalar".split()
)
# what these are given goes out of the code, and nothing comes back
_SAVING = frozenset("save savez savez_compressed savetxt".split())
# these look at values and return integers or truths
_LOOKS = frozenset(
    "argmax argmin argsort nonzero any all allclose array_equal array_equiv isclose count_nonzero digitize "
    "searchsorted flatnonzero argwhere isnan isfinite isinf lexsort argpartition nanargmax nanargmin isposinf "
    "isneginf".split()
)
# and these hold two of them against each other, of which one may be a plain number
_COMPARING = frozenset("allclose array_equal array_equiv isclose".split())
_COMPARED = (int, float, np.ndarray, TracedArray)
# these write into what they are given
_WRITING = frozenset("put place putmask put_along_axis".split())
# views of one array
_VIEWS = frozenset(
    "transpose reshape ravel swapaxes moveaxis rollaxis expand_dims squeeze diagonal broadcast_to flip fliplr flipud "
    "rot90 sliding_window_view matrix_transpose permute_dims atleast_1d atleast_2d atleast_3d".split()
)
_SPLITS = frozenset("split array_split vsplit hsplit dsplit unstack".split())
# arrays of moved entries, with the arguments that are values although they may be plain numbers
_LAYOUT: dict[str, tuple[Any, ...]] = dict.fromkeys(
    "concatenate concat stack vstack hstack column_stack dstack row_stack diag tril triu repeat tile roll take "
    "take_along_axis delete diagflat copy compress extract block meshgrid resize broadcast_arrays".split(),
    (),
)
_LAYOUT |= {"where": (1, 2, "x", "y"), "select": (1, 2, "choicelist", "default"), "append": (1, "values")}
_LAYOUT |= {"insert": (2, "values"), "pad": ("constant_values",), "choose": (1, "choices")}
_PADS = ("constant", "edge", "wrap", "reflect", "symmetric")


_CONSTANTS = 4096  # entries of data whose arithmetic is followed


def _is_numpys(function: Any) -> bool:
    return isinstance(function, np.ufunc) or str(getattr(function, "__module__", "")).partition(".")[0] == "numpy"


_DISPATCHED = type(np.sum)  # what NumPy's functions are


def _in_turns(places: np.ndarray) -> Iterator[np.ndarray]:
    """Where each place stands for the first time, then for the second, and so on.

    >>> [some.tolist() for some in _in_turns(np.array([2, 0, 2]))]
    [[0, 1], [2]]
    """
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], places[order])
    turns = np.empty(len(places), dtype=int)
    turns[order] = np.arange(len(places)) - starts
    yield from (np.flatnonzero(turns == k) for k in range(turns.max(initial=-1) + 1))


class Arrays:
    """What a tracer does with NumPy."""

    def __init__(self, tracer: Recorder) -> None:
        self.tracer = tracer
        self._found: dict[int, tuple[np.ndarray, TracedArray]] = {}

    # ------------------------------------------------------------------------------------ values and steps
    def is_traced(self, x: Any) -> bool:
        return type(x) is TracedArray

    def new(self, value: Any, step: int) -> TracedArray:
        """A fresh array, with memory of its own, laid out as NumPy laid it out."""
        b = self.tracer.builder
        dtype, shape = str(value.dtype), value.shape
        if b.dtype(step) != dtype:
            step = b.cast(step, dtype)
        if b.shape(step) != shape:
            step = b.reshape(step, shape)
        index = Strided(0, dense(shape))
        if isinstance(value, np.ndarray) and not value.flags.c_contiguous:
            value = value.copy(order="K")  # dense, in the same order of axes
            index = self._index(value)
        return TracedArray(self.tracer, value, Memory(value.size, step, index), index, step)

    def _index(self, value: np.ndarray, offset: int = 0) -> Strided:
        return Strided(offset, tuple(s // value.itemsize for s in value.strides))

    def step(self, x: TracedArray) -> int:
        if x.tracer is not self.tracer:
            raise self.tracer.kept()
        if x.step is None or x.version != x.memory.version:
            x.step = x.memory.read(self.tracer.builder, x.index, x.value.shape)
            x.version = x.memory.version
        return x.step

    def wrap(self, x: Any) -> TracedArray:
        """Anything as a traced array."""
        if type(x) is TracedArray:
            return x
        if isinstance(x, (list, tuple)) and self.tracer.is_traced(x):
            return self.array(x)
        value = np.asarray(self.tracer.value_of(x))
        if isinstance(x, torch.Tensor):
            return self.new(value, self.tracer.tensors.step(x))
        step = self.tracer.step_of(x) if value.ndim == 0 else self.tracer.data(value)
        return self.new(value.astype(np.float64) if value.dtype.kind in "iub" else value, step)

    def adopt(self, x: Any) -> Any:
        """A plain float array that user code made, such as ``np.zeros(3)``, so that writes into it are seen."""
        if type(x) is np.ndarray and x.dtype.kind in "fc":
            return self.new(x, self.tracer.data(x))
        return x

    def computed(self, function: Any, args: Any, options: Any) -> Any:
        """What NumPy computes of data alone, step by step where that can be followed: its floats are no data.

        The mean of given numbers is their mean, and not the float next to it.
        """
        owner = getattr(function, "__self__", None)
        if type(owner) is np.ndarray and self._is_data(owner) and hasattr(TracedArray, function.__name__):
            followed = lambda: getattr(self.adopt(owner), function.__name__)(*args, **options)  # noqa: E731
        elif any(map(self._is_data, args)) and (_is_numpys(function) or any(function is f for f in PLAIN.values())):
            followed = lambda: function(*map(self._adopted, args), **options)  # noqa: E731
        else:
            return function(*args, **options)
        out = self.tracer.try_to_follow(followed)
        return function(*args, **options) if out is NotImplemented else out

    def _is_data(self, x: Any) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f" and 0 < x.size <= _CONSTANTS

    def _adopted(self, x: Any) -> Any:
        return self.adopt(x) if self._is_data(x) else x

    def found(self, x: np.ndarray) -> TracedArray:
        """A float array that the code did not make: the same one each time that it is looked up."""
        known = self._found.get(id(x))
        if known is None:
            made = self.new(x, self.tracer.data(x))
            made.memory.outside = True
            known = self._found[id(x)] = (x, made)
        return known[1]

    def bound(self, x: TracedArray, name: str) -> TracedArray:
        named = self.tracer.at_line().name(self.step(x), name)
        x.memory.call(self.tracer.builder, x.index, x.value.shape, named)
        return TracedArray(self.tracer, x.value, x.memory, x.index, named)

    def plain_index(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple(self.plain_index(k) for k in key)
        if isinstance(key, torch.Tensor):
            return self.tracer.tensors.value(key)
        if self.tracer.is_traced(key):
            raise self.tracer.lost("an index made of floats", "Make it an integer with int() or astype(int).")
        return plainly(key)  # which entry is taken shows in the record, and the look that says so is a guard

    # ------------------------------------------------------------------------------------ views
    def view(self, x: TracedArray, change: Callable[[np.ndarray], Any]) -> Any:
        """A layout operation of one array: a view shares its memory, as the real one does; a copy has its own."""
        base = np.asarray(x.value)
        value = change(base)
        if base is x.value and isinstance(value, np.ndarray) and value.size and np.may_share_memory(value, base):
            moved = value.__array_interface__["data"][0] - base.__array_interface__["data"][0]
            return TracedArray(
                self.tracer, value, x.memory, self._index(value, x.index.offset + moved // base.itemsize)
            )
        places = np.empty_like(base, dtype=np.int64)  # laid out alike: order="K" looks at it
        places[...] = np.arange(1, base.size + 1).reshape(base.shape)
        where = np.asarray(change(places))
        return self.new(value, self.tracer.at_line().pick([self.step(x)], where.reshape(-1), where.shape))

    # ------------------------------------------------------------------------------------ writes
    def write(self, x: TracedArray, key: Any, value: Any) -> None:
        b = self.tracer.at_line()
        if not isinstance(x.value, np.ndarray):
            raise TypeError("a NumPy scalar does not support item assignment")
        step = self.tracer.step_of(value, str(x.dtype))
        if x.memory.outside and self.tracer.depends(step):
            raise self._outside("this line")
        self.step(x)
        where = np.asarray(np.arange(1, x.value.size + 1).reshape(x.value.shape)[key])
        target = positions(x.index, x.value.shape)[where.reshape(-1) - 1]
        x.value[key] = np.asarray(self.tracer.value_of(value))
        while len(b.shape(step)) > where.ndim:
            step = b.reshape(step, b.shape(step)[1:])
        step = b.broadcast(b.cast(step, str(x.dtype)), where.shape)
        x.memory.write(b, target, where.shape, step)

    def _into(self, target: Any, what: str) -> TracedArray:
        """The array that an operation writes to; it must be one whose writes are seen."""
        if type(target) is not TracedArray:
            raise self._outside(what)
        return target

    def _outside(self, what: str) -> LostValue:
        return self.tracer.lost(
            f"{what} writes into an array made outside of the function, which", "Make the array inside the function."
        )

    # ------------------------------------------------------------------------------------ entrywise
    def ufunc(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name, out = ufunc.__name__, options.pop("out", None)
        if any(isinstance(i, torch.Tensor) for i in inputs):
            return NotImplemented
        if method == "at":
            return self._at(ufunc, *inputs)
        if method == "reduce" and name in _REDUCE:
            options.setdefault("axis", 0)
            result = self.function(getattr(np, _REDUCE[name]), inputs, options)
        elif method == "accumulate" and name in ("add", "multiply"):
            function = np.cumsum if name == "add" else np.cumprod
            result = self.function(function, inputs, {"axis": options.get("axis", 0)})
        elif method == "outer":
            a, b = (self.wrap(i) for i in inputs)
            result = ufunc(a.reshape(a.shape + (1,) * b.ndim), b)
        elif method == "__call__":
            mask = options.pop("where", True)
            if mask is not True:
                return self._masked(ufunc, inputs, mask, out)
            result = self._entrywise(ufunc, name, inputs, options)
        else:
            raise self.tracer.unknown(f"numpy.{name}.{method}")
        if out is None:
            return result
        (target,) = out
        if isinstance(target, np.ndarray) and target.dtype.kind not in "fc" and not self.tracer.is_traced(result):
            target[...] = result
        else:
            self._into(target, f"numpy.{name}")[...] = result
        return target

    def _masked(self, ufunc: Any, inputs: Any, mask: Any, out: Any) -> Any:
        """``np.divide(x, y, out=z, where=mask)``."""
        if out is None:
            raise self.tracer.unknown(f"numpy.{ufunc.__name__}(where=) without out=")
        target = self._into(out[0], f"numpy.{ufunc.__name__}")
        mask = np.broadcast_to(mask, target.shape)
        target[mask] = ufunc(*(np.broadcast_to(self.wrap(i), target.shape)[mask] for i in inputs))
        return target

    def _at(self, ufunc: Any, target: Any, indices: Any, values: Any = None) -> None:
        """``ufunc.at``: what is added goes in at once, and of others each place's first value, then its second."""
        name = ufunc.__name__
        target, b = self._into(target, f"numpy.{name}.at"), self.tracer.at_line()
        at = self.plain_index(indices if isinstance(indices, tuple) else (indices,))
        if name not in ("add", "subtract"):
            places = np.arange(target.size).reshape(target.shape)[at]
            given = () if values is None else (np.broadcast_to(self.wrap(values), places.shape).reshape(-1),)
            for some in _in_turns(places.ravel()):
                where = np.unravel_index(places.ravel()[some], target.shape)
                target[where] = ufunc(target[where], *(v[some] for v in given))
            return
        step = b.cast(self.tracer.step_of(values, str(target.dtype)), str(target.dtype))
        after = np.array(target.value)
        ufunc.at(after, at, self.tracer.value_of(values))
        step = index_put_accumulate(b, self.step(target), at, b.neg(step) if name == "subtract" else step)
        target[...] = self.new(after, step)

    def _entrywise(self, ufunc: Any, name: str, inputs: Any, options: Any) -> Any:
        trace = self.tracer
        plain = [trace.value_of(i) for i in inputs]
        value = ufunc(*plain, **options)
        if name == "modf":
            whole = np.trunc(inputs[0])
            return inputs[0] - whole, whole
        if name == "divmod":
            return np.floor_divide(*inputs), np.remainder(*inputs)
        if isinstance(value, tuple) or value.dtype.kind == "O":
            raise trace.unknown(f"numpy.{name}")
        if name in _COMPARE and is_written(_COMPARE[name]):
            truth = holds(trace.at_line(), *map(trace.step_of, inputs), op=_COMPARE[name], values=plain)
            return self.new(value.astype(np.float64), truth)
        if name in _COMPARE:
            return trace.looked(_COMPARE[name], list(inputs), None, value)
        if value.dtype.kind not in "fc":
            return trace.looked(name, [i for i in inputs if trace.is_traced(i)], None, value)
        b, dtype = trace.at_line(), str(value.dtype)
        steps = [
            b.cast(trace.step_of(i, dtype), dtype) if type(i) in (int, float, bool, TracedFloat) else trace.step_of(i)
            for i in inputs
        ]
        return self.new(value, self._step(name, steps, plain, dtype))

    def _step(self, name: str, steps: list[int], plain: list[Any], dtype: str) -> int:
        b = self.tracer.builder
        if name in _ARITHMETIC:
            return b.binary(_ARITHMETIC[name], *steps, dtype=dtype)
        if name in _POWER:
            return b.power(*steps, dtype=dtype)
        if name in _WHOLE:
            return self.tracer.piecewise(name, steps, _WHOLE[name](plain[0]), dtype)
        if name in ("remainder", "fmod"):  # x - y * k, where k is x / y made whole
            whole = _WHOLE["floor" if name == "remainder" else "trunc"]
            ratio = b.binary("div", *steps, dtype=dtype)
            k = self.tracer.piecewise(whole.__name__, [ratio], whole(np.divide(*plain)), dtype)
            return b.binary("sub", steps[0], b.binary("mul", steps[1], k, dtype), dtype)
        if name == "floor_divide":
            ratio = b.binary("div", *steps, dtype=dtype)
            return self.tracer.piecewise("floor", [ratio], np.floor_divide(*plain), dtype)
        if name == "copysign":
            turned = np.copysign(1.0, plain[0]) * np.copysign(1.0, plain[1])
            return b.binary("mul", steps[0], self.tracer.piecewise("sign", steps, turned, dtype), dtype)
        match name:
            case "matmul":
                return b.matmul(*steps)
            case "vecdot":
                return b.sum(b.mul(b.conj(steps[0]), steps[1]), -1)
            case "matvec":
                return b.reshape(b.matmul(steps[0], b.reshape(steps[1], (*b.shape(steps[1]), 1))), np.shape(plain[1]))
            case "negative":
                return b.neg(steps[0])
            case "positive":
                return steps[0]
            case "conjugate":
                return b.conj(steps[0])
        row = find(name)
        if row is None:
            raise self.tracer.unknown(f"numpy.{name}", entrywise=True)
        if OPS[row].branches:
            return select(b, row, steps, plain, dtype)
        if row in ("abs", "sign") and not b.steps[steps[0]].is_complex:
            b.looks_at_sign(steps, np.sign(plain[0]))
        return b.apply(row, *steps, dtype=dtype)

    def chosen(self, out: Any, key: Any) -> Any:
        """What was taken from an array: where a mask made of looks chose it, its length was made of them."""
        is_mask = isinstance(key, LookedArray) and key.dtype.kind == "b" and key.ndim
        if is_mask and type(out) is TracedArray:
            out.length = key.looks or ()
        return out

    def part(self, x: TracedArray, which: str) -> Any:
        if x.dtype.kind != "c":
            return x if which == "real" else np.zeros_like(x.value)
        value = np.array(getattr(x.value, which))[()]
        return self.new(value, self.tracer.at_line().emit(which, (self.step(x),), None, value.shape, str(value.dtype)))

    def astype(self, x: TracedArray, dtype: np.dtype) -> Any:
        value = x.value.astype(dtype)
        if dtype.kind not in "fc":
            truth = dtype.kind == "b"
            return self.tracer.looked("ne" if truth else "trunc", [x, 0.0] if truth else [x], None, value)
        return self.new(value, self.tracer.at_line().cast(self.step(x), str(dtype)))

    # ------------------------------------------------------------------------------------ functions
    def function(self, function: Any, args: Any, options: Any) -> Any:
        trace, name = self.tracer, function.__name__
        options = {k: v for k, v in options.items() if v is not np._NoValue}
        out = options.pop("out", None)
        if out is not None:
            self._into(out, f"numpy.{name}")[...] = self.function(function, args, options)
            return out
        trace.at_line()
        if name in _PLAIN or name in _LOOKS or name in _SAVING:
            plain = function(*trace.value_of(list(args)), **{k: trace.value_of(v) for k, v in options.items()})
            if name in _LOOKS:
                both = args[:2] if name in _COMPARING and all(isinstance(a, _COMPARED) for a in args[:2]) else ()
                seen = list(both) or [a for a in args if trace.is_traced(a)]
                axis = options.get("axis", next((a for a in args[1:] if isinstance(a, int)), None))
                told = plain if not isinstance(plain, tuple) else np.stack(plain)
                found = trace.looked(name, seen, axis, told)
                return tuple(found) if isinstance(plain, tuple) else found
            return plain
        if name in numpy_functions.FUNCTIONS:
            return numpy_functions.call(self, name, args, options)
        if name in _VIEWS and args and type(args[0]) is TracedArray:
            return self.view(args[0], lambda q: function(q, *args[1:], **options))
        if name in _SPLITS and type(args[0]) is TracedArray:
            pieces = function(np.asarray(args[0].value), *args[1:], **options)
            made = [self.view(args[0], lambda q, k=k: function(q, *args[1:], **options)[k]) for k in range(len(pieces))]
            return type(pieces)(made)
        if name in _LAYOUT or name in _SPLITS or name in _VIEWS:
            return self._layout(function, name, args, options)
        if name not in _WRITING and not self._depend([*args, *options.values()]):
            plain = function(*trace.value_of(list(args)), **{k: trace.value_of(v) for k, v in options.items()})
            return self.adopt(plain)  # of data
        module = str(getattr(function, "__module__", "numpy") or "numpy")
        raise trace.unknown(f"{module if 'array_function' not in module else 'numpy'}.{name}")

    def _depend(self, args: Any) -> bool:
        """Whether anything in these depends on the inputs."""
        if isinstance(args, (list, tuple)):
            return any(map(self._depend, args))
        return self.tracer.is_traced(args) and self.tracer.depends(self.tracer.step_of(args))

    def _layout(self, function: Any, name: str, args: Any, options: Any) -> Any:
        """A layout function of several arrays: run on positions, its result is the index."""
        steps: list[int] = []
        count = 0
        b = self.tracer.builder
        values = _LAYOUT.get(name, ())
        if name == "where" and len(args) == 3 and self.tracer.is_traced(args[0]):
            truth, *sides = map(self.tracer.step_of, args)
            value = np.where(*map(self.tracer.value_of, args))
            return self.new(value, between(self.tracer.at_line(), truth, *sides))
        if name == "pad" and options.get("mode", args[2] if len(args) > 2 else "constant") not in _PADS:
            raise self.tracer.unknown(f"numpy.pad(mode={options.get('mode')!r})")

        def place(x: Any, forced: bool = False) -> Any:
            nonlocal count
            if isinstance(x, (list, tuple)) and (forced or self.tracer.is_traced(x) or any(map(_is_float, x))):
                return type(x)(place(i, True) for i in x)
            if not (forced or self.tracer.is_traced(x) or _is_float(x)):
                return x
            step = self.tracer.step_of(x)
            n = size(b.shape(step))
            steps.append(step)
            count += n
            return np.arange(count - n + 1, count + 1).reshape(b.shape(step))[()]

        moved = function(
            *(place(a, k in values) for k, a in enumerate(args)),
            **{k: place(v, k in values) for k, v in options.items()},
        )
        plain = function(*self.tracer.value_of(list(args)), **{k: self.tracer.value_of(v) for k, v in options.items()})
        many = isinstance(moved, (list, tuple))
        made = [
            self.new(v, b.pick(steps, np.asarray(w), np.shape(w)))
            for w, v in (zip(moved, plain, strict=True) if many else [(moved, plain)])
        ]
        return type(moved)(made) if many else made[0]

    # ------------------------------------------------------------------------------------ calls that no protocol shows
    def call(self, function: Any, args: Any, options: Any) -> Any:
        """Calls of plain numbers, whose exact meaning is kept, and of lists of traced numbers: of arrays, for NumPy."""
        trace = self.tracer
        if isinstance(function, (np.ufunc, _DISPATCHED)) and any(
            isinstance(a, (list, tuple)) and trace.is_traced(a) for a in args
        ):
            if isinstance(function, np.ufunc):
                return self.ufunc(function, "__call__", *args, **options)
            return self.function(function, args, options)
        if isinstance(function, np.ufunc):
            if all(type(a) in (int, float) or type(a) is np.float64 for a in args):
                value = function(*args, **options)
                if not isinstance(value, tuple) and value.dtype == np.float64:
                    steps = [trace.step_of(float(a)) for a in args]
                    trace.exactly(value, lambda: self._step(function.__name__, steps, list(args), "float64"))
                return value
            return NotImplemented
        owner = getattr(function, "__self__", None)
        if type(owner) is np.ndarray and function.__name__ == "dot" and trace.is_traced(args):
            return self.wrap(owner).dot(*args, **options)  # data.dot(x), which NumPy's C would read entry by entry
        traced = bool(args) and trace.is_traced(args[0])
        if function in (np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray) and traced:
            dtype = options.get("dtype", args[1] if len(args) > 1 else None)
            return self.array(args[0], dtype, copy=function is np.array)
        if isinstance(owner, (np.random.RandomState, np.random.Generator)) and self._depend([*args, *options.values()]):
            return self._drawn(function, args, options)
        if function in (np.nditer, np.ndenumerate) and args and type(args[0]) is TracedArray:
            made = numpy_functions.Iteration if function is np.nditer else numpy_functions.enumerated
            return made(*args, **options)
        if function is np.fromiter and args and len(args) + len(options) == 2:
            entries, dtype = list(args[0]), options.get("dtype", args[-1])
            return self.adopt(self.array(entries, dtype) if trace.is_traced(entries) else np.array(entries, dtype))
        if isinstance(function, type) and issubclass(function, np.generic) and traced:
            return self.array(args[0], function, copy=True)
        if function in (np.full, np.linspace) and trace.is_traced([*args, *options.values()]):
            return numpy_functions.call(self, function.__name__, args, options)
        if function in (np.vectorize, np.frompyfunc) and args:
            return numpy_functions.vectorized(self, trace.ready(args[0]))
        return scipy_functions.call(self, function, args, options) if _is_scipys(function) else NotImplemented

    def _drawn(self, function: Any, args: Any, options: Any) -> Any:
        """Numbers drawn by probabilities that depend on the inputs: which ones is a choice."""
        given = [*args, *options.values()]
        plain = function(*self.tracer.value_of(list(args)), **{k: self.tracer.value_of(v) for k, v in options.items()})
        if np.asarray(plain).dtype.kind not in "iub":
            raise self.tracer.lost(
                f"numpy.random.{function.__name__}()",
                "Draw numbers that depend on nothing, such as z = np.random.randn(3), and write mean + deviation * z.",
            )
        self.tracer.guard("draw", [x for x in given if self._depend(x)], None, plain)
        return plain

    def array(self, x: Any, dtype: Any = None, *, copy: bool = False) -> Any:
        """``np.array`` of anything traced."""
        if type(x) is TracedArray:
            out = x.copy() if copy else x
            if copy and not isinstance(out.value, np.ndarray):
                out = self.new(np.asarray(x.value), self.step(x))
        elif isinstance(x, (list, tuple)):
            parts = [self.array(i) for i in x]
            value = np.array([p.value for p in parts])
            b = self.tracer.at_line()
            steps = [b.cast(self.step(p), str(value.dtype)) for p in parts]
            out = self.new(value, b.stack(steps))
        else:
            out = self.wrap(x)
        return out.astype(dtype) if dtype is not None and np.dtype(dtype) != out.dtype else out


def _is_scipys(function: Any) -> bool:
    return str(getattr(function, "__module__", None)).startswith("scipy.")


def _is_float(x: Any) -> bool:
    return isinstance(x, (float, np.floating)) or (isinstance(x, np.ndarray) and x.dtype.kind in "fc")
