"""torch under a tracer: real tensors; a dispatch mode sees every aten operation, one memory for each storage.

Composites that aten can decompose are decomposed; what remains has a rule in `symgrad.lifting.aten`.  The tracer's
own reads run with the modes off.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch._decomp
import torch._refs
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from symgrad.errors import BadInput
from symgrad.lifting.memory import Memory
from symgrad.ops.scalars import unknown
from symgrad.program import Strided, size

if TYPE_CHECKING:
    from symgrad.lifting.tracing import Tracer

__all__ = ["Tensors", "quiet"]

_RESHAPING = frozenset(
    ["transpose_", "t_", "squeeze_", "unsqueeze_", "swapaxes_", "swapdims_", "as_strided_", "detach_"]
)
_LOOKS = frozenset(
    [
        "equal",
        "allclose",
        "is_nonzero",
        "isnan",
        "isfinite",
        "isinf",
        "any",
        "all",
        "argmax",
        "argmin",
        "argsort",
        "logical_and",
        "logical_or",
        "logical_not",
        "nonzero",
        "gt",
        "ge",
        "lt",
        "le",
        "eq",
        "ne",
        "isclose",
        "signbit",
        "searchsorted",
        "bucketize",
        "unique",
    ]
)


@functools.cache
def _decompositions() -> dict[Any, Any]:
    from torch._decomp import core_aten_decompositions

    return {**torch._decomp.decomposition_table, **core_aten_decompositions()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A block in which the tracer's own torch operations are not seen."""
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        yield


def floats(items: Any) -> Iterator[torch.Tensor]:
    """The float tensors among nested arguments."""
    for x in items:
        if isinstance(x, torch.Tensor):
            if x.is_floating_point() or x.is_complex():
                yield x
        elif isinstance(x, (list, tuple)):
            yield from floats(x)


class Tensors:
    """What a tracer does with torch."""

    def __init__(self, trace: Tracer) -> None:
        self.trace = trace
        self.mode = _Dispatch(trace)
        self.functions = _Functions(trace)
        self._memories: dict[int, Memory] = {}
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int, int]] = {}
        self._kept: list[Any] = []  # storages and tensors must outlive the run, or an address could come twice

    @contextlib.contextmanager
    def modes(self) -> Iterator[None]:
        with self.functions, self.mode:
            yield

    # ------------------------------------------------------------------------------------ values and steps
    def value(self, x: torch.Tensor) -> np.ndarray:
        with quiet():
            x = x.detach().resolve_conj().resolve_neg()
            return (x.float() if x.dtype in (torch.bfloat16,) else x).cpu().numpy()

    def dtype(self, x: torch.Tensor) -> str:
        return str(x.dtype).removeprefix("torch.")

    def _key(self, x: torch.Tensor) -> int:
        return x.untyped_storage()._cdata

    def _index(self, x: torch.Tensor) -> Strided:
        return Strided(x.storage_offset(), tuple(x.stride()))

    def _memory(self, x: torch.Tensor) -> Memory | None:
        return self._memories.get(self._key(x)) if x.numel() else None

    def is_known(self, x: torch.Tensor) -> bool:
        record = self._known.get(id(x))
        return (record is not None and record[0]() is x) or self._memory(x) is not None

    def step(self, x: torch.Tensor) -> int:
        with quiet():
            record = self._known.get(id(x))
            memory = self._memory(x)
            version = memory.version if memory else 0
            if record is not None and record[0]() is x and record[2] == version:
                return record[1]
            if memory is None:
                value = self.value(x)
                return self.trace.data(value, self.dtype(x) if x.is_floating_point() or x.is_complex() else None)
            b = self.trace.builder
            step = memory.read(b, self._index(x), tuple(x.shape))
            step = b.conj(step) if x.is_conj() else step
            step = b.neg(step) if x.is_neg() else step
            self._known[id(x)] = (weakref.ref(x), step, version)
            return step

    def put(self, x: torch.Tensor, step: int, *, alias: bool = False) -> None:
        """``x`` holds the value of ``step``; an alias shares memory that is already known."""
        b = self.trace.builder
        with quiet():
            if b.dtype(step) != self.dtype(x):
                step = b.cast(step, self.dtype(x))
            if b.shape(step) != tuple(x.shape):
                step = b.reshape(step, tuple(x.shape))
            if x.numel() and not alias and self._key(x) not in self._memories and not x.is_conj() and not x.is_neg():
                total = x.untyped_storage().nbytes() // x.element_size()
                self._memories[self._key(x)] = Memory(total, step, self._index(x))
                self._kept.append(x.untyped_storage())
            memory = self._memory(x)
            self._known[id(x)] = (weakref.ref(x), step, memory.version if memory else 0)
            self._kept.append(x)

    def write(self, x: torch.Tensor, step: int, before: np.ndarray) -> None:
        """An in-place operation gave ``x`` the value of ``step``; ``before`` is what its whole storage held."""
        b = self.trace.builder
        with quiet():
            key = self._key(x)
            if key not in self._memories:
                self._memories[key] = Memory.holding(b, self.trace.data(before, self.dtype(x)))
                self._kept.append(x.untyped_storage())
            self._memories[key].write(b, self._index(x), tuple(x.shape), step)

    def bound(self, x: torch.Tensor, name: str) -> torch.Tensor:
        if not (x.is_floating_point() or x.is_complex()):
            return x
        step = self.trace.at_line().name(self.step(x), name)
        with quiet():
            alias = x if isinstance(x, torch.nn.Parameter) else x.view_as(x)
        self.put(alias, step, alias=self.is_known(x))
        return alias

    def tensor(self, x: Any, like: torch.Tensor | None = None) -> Any:
        """A traced float or array as a tensor of the same value."""
        from symgrad.lifting.tracing import TracedFloat

        if isinstance(x, TracedFloat):
            dtype = like.dtype if like is not None else torch.get_default_dtype()
            if not dtype.is_floating_point and not dtype.is_complex:
                dtype = torch.get_default_dtype()
            with quiet():
                out = torch.tensor(float(x), dtype=dtype)
            self.put(out, self.trace.builder.cast(x.step, self.dtype(out)))
            return out
        if self.trace.arrays.is_traced(x):
            with quiet():
                out = torch.from_numpy(np.array(x.value))
            self.put(out, self.trace.arrays.step(x))
            return out
        if isinstance(x, (list, tuple)):
            return type(x)(self.tensor(i, like) for i in x)
        return x

    def from_torch(self, x: torch.Tensor) -> Any:
        """``x.numpy()``: an array that shares the tensor's value (and is written to by nobody else)."""
        return self.trace.arrays.new(self.value(x).copy(), self.step(x))

    def function(self, function: Any, args: Any, options: Any) -> Any:
        """A torch function that was given traced floats or arrays."""
        like = next(floats(args), None)
        args = tuple(self.tensor(a, like) for a in args)
        return function(*args, **{k: self.tensor(v, like) for k, v in options.items()})


class _Functions(TorchFunctionMode):
    """The bridges that never reach aten: ``.numpy()``, ``.item()``, ``.data``, tensors made of traced numbers."""

    def __init__(self, trace: Tracer) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from symgrad.lifting.tracing import TracedFloat

        kwargs = kwargs or {}
        trace, tensors = self.trace, self.trace.tensors
        name = getattr(func, "__name__", "")
        if name == "__get__" and getattr(func, "__self__", None) is torch.Tensor.data:
            return args[0].detach()
        first = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if first is not None and (first.is_floating_point() or first.is_complex()) and tensors.is_known(first):
            if name in ("numpy", "__array__"):
                return tensors.from_torch(first)
            if name == "item" and not first.is_complex():
                b = trace.at_line()
                step = b.cast(b.reshape(tensors.step(first), ()), "float64")
                return TracedFloat(float(tensors.value(first).reshape(())), step, trace)
            if name == "tolist":
                return trace.arrays.new(tensors.value(first), tensors.step(first)).tolist()
            if name in ("__float__", "__complex__"):
                raise trace.lost(f"{name.strip('_')}()", "Use x.item(), or keep the tensor.")
        if name == "backward" or func is torch.autograd.grad:
            raise BadInput(
                "the function calls autograd itself.",
                where=trace.where(),
                instead="Pass the function whose gradient is wanted, without the call of backward() or grad().",
            )
        if name in ("tensor", "as_tensor", "asarray") and args and trace.is_traced(args[0]):
            return self._make(args[0], kwargs.get("dtype"))
        if name == "from_numpy" and trace.arrays.is_traced(args[0]):
            return tensors.tensor(args[0])
        if any(trace.is_traced(a) and not isinstance(a, torch.Tensor) for a in (*args, *kwargs.values())):
            like = next(floats(args), None)
            kwargs = {k: tensors.tensor(v, like) if trace.is_traced(v) else v for k, v in kwargs.items()}
            args = tuple(tensors.tensor(a, like) if trace.is_traced(a) else a for a in args)
        return func(*args, **kwargs)

    def _make(self, x: Any, dtype: Any) -> torch.Tensor:
        trace = self.trace
        value = np.asarray(trace.value_of(x))
        if isinstance(x, (list, tuple)):
            parts = [self._make(i, dtype) if isinstance(i, (list, tuple)) else trace.tensors.tensor(i) for i in x]
            parts = [p if isinstance(p, torch.Tensor) else torch.tensor(p) for p in parts]
            out = torch.stack(torch.broadcast_tensors(*parts)) if not value.ndim else torch.stack(parts)
        else:
            out = trace.tensors.tensor(x)
        return out if dtype is None else out.to(dtype)


class _Dispatch(TorchDispatchMode):
    """Sees every aten operation; writes its step by rule, or runs its decomposition under the same eyes."""

    def __init__(self, trace: Tracer) -> None:
        super().__init__()
        self.trace = trace

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors, trace = self.trace.tensors, self.trace
        full = func._schema.name.split("::")[1]
        writes = any(a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments)
        known = any(tensors.is_known(x) for x in floats((*args, *kwargs.values())))
        if not known and not (writes and args and isinstance(args[0], torch.Tensor) and args[0].is_floating_point()):
            return func(*args, **kwargs)
        b = trace.at_line()
        if full in _RESHAPING:
            out = func(*args, **kwargs)
            tensors._known.pop(id(out), None)
            return out
        if writes:
            return self._in_place(func, full.removesuffix("_"), args, kwargs)
        if full in _LOOKS:
            out = func(*args, **kwargs)
            seen = [a for a in args if isinstance(a, torch.Tensor) or isinstance(a, (int, float))]
            rest = tuple(a for a in args if not isinstance(a, torch.Tensor))
            with quiet():
                value = out.numpy() if isinstance(out, torch.Tensor) else np.asarray(bool(out))
            dtype = next((tensors.dtype(x) for x in floats(args)), None)
            b.guard(
                full,
                [trace.step_of(a, dtype) for a in seen if not isinstance(a, torch.Tensor) or (a.is_floating_point())],
                rest,
                value,
            )
            return out
        if full == "_local_scalar_dense":
            raise trace.lost("float()", "Use x.item(), or keep the tensor.")
        out = func(*args, **kwargs)
        steps = self._steps(func, full, args, kwargs, out)
        self._record(out, steps)
        return out

    def _steps(self, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> Any:
        from symgrad.lifting import aten

        steps = aten.steps(self.trace, func, name, args, kwargs, out)
        if steps is not NotImplemented:
            if not self.trace.stops or torch.is_grad_enabled() or name == "detach":
                return steps
            b = self.trace.builder  # made under no_grad: autograd sees a constant
            stop = lambda s: s if s is None else b.stop(s)  # noqa: E731
            return [stop(s) for s in steps] if isinstance(steps, (list, tuple)) else stop(steps)
        decomposition = _decompositions().get(func)
        if decomposition is None and func._can_decompose():
            decomposition = func.decompose
        if decomposition is None:
            raise unknown(f"aten.{name}", self.trace.where())
        with self:
            again = decomposition(*args, **kwargs)
        parts = again if isinstance(again, (list, tuple)) else [again]
        steps = [
            self.trace.tensors.step(p)
            if isinstance(p, torch.Tensor) and p.numel() and (p.is_floating_point() or p.is_complex())
            else None
            for p in parts
        ]
        return steps if isinstance(out, (list, tuple)) else steps[0]

    def _record(self, out: Any, steps: Any) -> None:
        pairs = zip(out, steps, strict=False) if isinstance(out, (list, tuple)) else [(out, steps)]
        b = self.trace.builder
        for x, step in pairs:
            if step is None or not isinstance(x, torch.Tensor) or size(b.shape(step)) != x.numel():
                continue
            self.trace.tensors.put(x, step)

    def _in_place(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        trace, tensors = self.trace, self.trace.tensors
        x = args[0]
        b = trace.builder
        step = tensors.step(x)
        with quiet():
            total = x.untyped_storage().nbytes() // x.element_size()
            before = torch.as_strided(x.detach(), (total,), (1,), 0).clone()
            before = self.trace.tensors.value(before)
            copy = x.detach().clone(memory_format=torch.contiguous_format)
        dtype = tensors.dtype(x)
        if name == "copy":
            new = trace.step_of(args[1], dtype)
        elif name in ("fill", "zero"):
            new = trace.step_of(args[1] if len(args) > 1 else 0.0, dtype)
        elif name in ("normal", "uniform", "bernoulli", "random", "exponential"):
            func(*args, **kwargs)
            new = trace.data(tensors.value(x), dtype)
            tensors.write(x, new, before)
            return x
        else:
            functional = getattr(getattr(torch.ops.aten, name), func._overloadname)
            tensors.put(copy, step)
            with self:
                result = functional(copy, *args[1:], **kwargs)
            new = tensors.step(result)
        new = b.cast(b.broadcast(new, tuple(x.shape)), dtype)
        out = func(*args, **kwargs)
        tensors.write(x, new, before)
        return out
