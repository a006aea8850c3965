"""torch's modes for whole scripts: autograd's calls are run for real and remembered, leaves declared in time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, Protocol

import torch

from symgrad.lifting.scripts.accumulation import Accumulated, inputs_of
from symgrad.lifting.scripts.script_record import Key, Leaf
from symgrad.lifting.tracing.aten import is_float
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.torch_modes import Dispatch, Functions, floats, quiet

_MAKERS = frozenset(("tensor", "as_tensor", "asarray", "scalar_tensor", "from_numpy"))


def _leaves(items: Any) -> Iterator[torch.Tensor]:
    return (x for x in floats(items) if x.requires_grad and x.is_leaf)


class ScriptRecorder(Recorder, Protocol):
    """What the modes use of a script's tracer: see `symgrad.lifting.scripts.script_tracer`."""

    made_from: dict[int, frozenset[Key]]
    plain_floats: dict[int, Key]
    held: list[Any]
    accumulated: Accumulated

    def declare(self, x: torch.Tensor) -> None: ...

    def result(self, x: torch.Tensor, g: torch.Tensor, call: int = -1) -> None: ...

    def present(self) -> list[Leaf]: ...

    def changed(self, x: torch.Tensor) -> None: ...

    def leaf_of_storage(self, x: torch.Tensor) -> torch.Tensor | None: ...

    def differentiated(
        self, kind: str, outputs: list[torch.Tensor], upstream: list[Any], inputs: set[int] | None = None
    ) -> None: ...


class ScriptFunctions(Functions):
    """Autograd's calls are run for real and remembered; a leaf that leaves torch is declared first."""

    tracer: ScriptRecorder  # type: ignore[assignment]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        t, name = self.tracer, getattr(func, "__name__", "")
        owner = getattr(func, "__self__", None)
        if func is torch.Tensor.backward or func is torch.autograd.backward:
            return self._backward(func, args, kwargs)
        if func is torch.autograd.grad:
            return self._grad(func, args, kwargs)
        if name == "__get__" and owner is torch.Tensor.grad:
            with quiet(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                g = func(*args)
            if g is not None:
                t.result(args[0], g, t.accumulated.call_of(args[0]))
            return g
        if name == "__set__" and owner is not torch.Tensor.data:
            with quiet():
                return func(*args, **kwargs)
        if name in _MAKERS:
            return self._made(func, args, kwargs)
        if name in ("numpy", "__array__", "item", "tolist", "__float__", "__int__", "__bool__", "__format__"):
            for x in _leaves(args[:1]):
                t.declare(x)
        if name in ("requires_grad_", "retain_grad", "register_hook"):
            with quiet():
                func(*args, **kwargs)
            return args[0]
        return super().__torch_function__(func, types, args, kwargs)

    def _made(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        t = self.tracer
        wants = kwargs.pop("requires_grad", False)
        keys = frozenset(t.plain_floats[i] for i in _ids(args) if i in t.plain_floats)
        out = super().__torch_function__(func, (), args, kwargs)
        with quiet():
            if wants and not out.is_leaf:
                plain, step = out.detach(), t.tensors.step(out)
                t.tensors.put(plain, step)
                out = plain
            if wants:
                out.requires_grad_(True)
        if keys:
            t.made_from[id(out)] = keys
        t.held.append(out)
        return out

    def _backward(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        t = self.tracer
        given = args[1] if len(args) > 1 else kwargs.get("gradient", kwargs.get("grad_tensors"))
        outputs = list(args[0]) if isinstance(args[0], (list, tuple)) else [args[0]]
        upstream = list(given) if isinstance(given, (list, tuple)) else [given] * len(outputs)
        inputs = inputs_of(args, kwargs, 4 if func is torch.Tensor.backward else 5)
        for x in _leaves(outputs):
            t.declare(x)
        with quiet():
            t.accumulated.forget(leaf.tensor for leaf in t.present())
            func(*args, **kwargs)
        t.differentiated("backward()", outputs, upstream, inputs)

    def _grad(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        t = self.tracer
        outputs, inputs = args[0], args[1] if len(args) > 1 else kwargs["inputs"]
        given = args[2] if len(args) > 2 else kwargs.get("grad_outputs")
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        upstream = list(given) if isinstance(given, (list, tuple)) else [given] * len(outputs)
        for x in _leaves([*outputs, *inputs]):
            t.declare(x)
        with quiet():
            found = func(*args, **kwargs)
        t.differentiated("autograd.grad", outputs, upstream)
        for x, g in zip(inputs, found, strict=True):
            if g is not None:
                t.result(x, g)
        return found


def _ids(items: Any) -> Iterator[int]:
    for x in items:
        if type(x) is float:
            yield id(x)
        elif isinstance(x, (list, tuple)):
            yield from _ids(x)


class ScriptDispatch(Dispatch):
    """A leaf is declared by its first use; a write into a leaf's memory (an initialisation, an update) renews it."""

    tracer: ScriptRecorder  # type: ignore[assignment]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        t = self.tracer
        target = next((k for k, a in enumerate(func._schema.arguments) if a.alias_info and a.alias_info.is_write), None)
        written = args[target] if target is not None and target < len(args) else None
        for x in _leaves((*args, *kwargs.values())):
            if x is not written:
                t.declare(x)
        if isinstance(written, torch.Tensor) and is_float(written):
            leaf = t.leaf_of_storage(written)
            if leaf is not None and not func._schema.name.endswith(("detach_", "squeeze_", "transpose_", "t_")):
                out = func(*args, **kwargs)
                t.changed(leaf)
                return out
        return super().__torch_dispatch__(func, types, args, kwargs)
