"""A tracer for whole scripts: leaves are inputs, declared when they are first used, and autograd's calls are seen.

A number or an array from which a leaf was made, or which the user typed a second time for the derivation, is the same
input as the leaf.  What ``backward()`` and ``grad`` give is real, and opaque: it enters the trace as an input, so that
what depends on it is known to be no derivation.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput
from symgrad.lifting.tracing.aten import dtype_of, is_float
from symgrad.lifting.tracing.torch_modes import Dispatch, Functions, floats, quiet
from symgrad.lifting.tracing.traced_values import TracedFloat
from symgrad.lifting.tracing.tracer import Tracer
from symgrad.program.program import Strided

# -------------------------------------------------------------------------------------------------------- script modes
# torch's modes for whole scripts: autograd's calls are run for real and remembered, leaves declared in time.

_MAKERS = frozenset(("tensor", "as_tensor", "asarray", "scalar_tensor", "from_numpy"))


def _leaves(items: Any) -> Iterator[torch.Tensor]:
    return (x for x in floats(items) if x.requires_grad and x.is_leaf)


class ScriptFunctions(Functions):
    """Autograd's calls are run for real and remembered; a leaf that leaves torch is declared first."""

    tracer: ScriptTracer

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
                t.result(args[0], g)
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
        for x in _leaves(outputs):
            t.declare(x)
        with quiet():
            func(*args, **kwargs)
        t.differentiated("backward()", outputs, upstream)

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

    tracer: ScriptTracer

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


# ------------------------------------------------------------------------------------------------------- script tracer

Key = tuple[str, int]  # a variable, and how many times it had been bound before


@dataclass(frozen=True)
class Limits:
    """How much one run of a script may do: what is passed to `verify_script` as ``limits``.

    ``turns`` of loops and calls of functions, ``steps`` recorded (operations on the inputs' values), ``printed``
    characters, ``seconds`` of the clock, ``memory`` in bytes beside what Python and torch have taken before.  What is
    beyond is `BadInput` with the line; what is printed beyond is dropped, and told.

    >>> from symgrad import Limits, verify_script
    >>> verify_script("while True: pass", limits=Limits(turns=1000))
    Traceback (most recent call last):
        ...
    symgrad.errors.BadInput: the script takes more than 1,000 turns of loops and calls.
        <pasted>:1    while True: pass
    Make it smaller: fewer iterations, or only the part with the model and the derivation.
    """

    turns: int = 1_000_000
    steps: int = 100_000
    printed: int = 200_000
    seconds: float = 60.0
    memory: int = 4 << 30


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor that requires a gradient, with the step of its value; ``fresh`` if that step is an input."""

    tensor: torch.Tensor
    step: int
    fresh: bool
    value: np.ndarray
    origins: frozenset[Key] = frozenset()


@dataclass(frozen=True, eq=False)
class AutogradCall:
    """One call of ``backward()`` or ``grad``: the scalar that was differentiated, and where.

    ``name`` is the variable that it was called on; ``upstream`` says that a cotangent was given; ``nodes`` are the
    steps of the leaves at that time, and ``leaves`` how many there were.
    """

    kind: str
    output: int
    name: str | None
    line: int | None
    upstream: bool
    nodes: Mapping[int, int]
    value: np.ndarray
    leaves: int


@dataclass(frozen=True, eq=False)
class AutogradResult:
    """What autograd gave for the tensor whose value is step ``node``; ``step`` is the opaque input for it."""

    call: int
    tensor: torch.Tensor
    node: int
    step: int
    value: np.ndarray


class ScriptTracer(Tracer):
    """A tracer for whole scripts.

    ``values`` maps inputs to the values to run with; ``given`` maps variables (by name and occurrence) to the input
    that is put in their place.
    """

    def __init__(self, limits: Limits, values: Mapping[str, np.ndarray], given: Mapping[Key, str]) -> None:
        super().__init__("torch", stops=True)
        self.tensors.functions = ScriptFunctions(self)
        self.tensors.dispatch = ScriptDispatch(self)
        self.limits = limits
        self.values = values
        self.given = given
        self.leaves: list[Leaf] = []
        self.calls: list[AutogradCall] = []
        self.results: list[AutogradResult] = []
        self.shows: list[tuple[int | None, int]] = []  # (line, step) of what was printed
        self.compared: list[tuple[int, int]] = []  # steps that a testing function was given together
        self.names: dict[int, str] = {}  # of tensors, by id
        self.bound_values: dict[Key, Any] = {}  # plain numbers, arrays and tensors as they were bound
        self.key_of: dict[int, Key] = {}  # steps of bound variables
        self.value_at: dict[int, np.ndarray] = {}  # their values
        self.made_from: dict[int, frozenset[Key]] = {}  # tensors made of plain floats, by id
        self._known_leaves: dict[int, int] = {}  # id of a tensor -> its place in leaves
        self.plain_floats: dict[int, Key] = {}
        self.held: list[Any] = []
        self._count: dict[str, int] = {}
        self._turns = 0

    # ------------------------------------------------------------------------------------ limits
    def tick(self) -> None:
        self._turns += 1
        if self._turns > self.limits.turns:
            raise self._raising(
                BadInput(
                    f"the script takes more than {self.limits.turns:,} turns of loops and calls.",
                    where=self.where(),
                    instead="Make it smaller: fewer iterations, or only the part with the model and the derivation.",
                )
            )
        if len(self.builder.steps) > self.limits.steps:
            raise self._raising(
                BadInput(
                    f"the script takes more than {self.limits.steps:,} operations on the inputs' values.",
                    where=self.where(),
                    instead="Make it smaller: fewer iterations, or only the part with the model and the derivation.",
                )
            )

    def understood(self) -> str | None:
        """What was found before the script failed."""
        names = [self.names.get(id(leaf.tensor), "an unnamed tensor") for leaf in self.leaves]
        parts = []
        if names:
            parts.append(f"the tensors that require a gradient: {', '.join(dict.fromkeys(names))}")
        parts += [f"{c.kind} of {c.name or 'an unnamed output'} in line {c.line}" for c in self.calls[:3]]
        return f"Before that it was understood so far: {'; '.join(parts)}." if parts else None

    # ------------------------------------------------------------------------------------ names
    def bind(self, name: str, value: Any) -> Any:
        k = self._count.get(name, 0)
        self._count[name] = k + 1
        key = name, k
        if isinstance(value, torch.Tensor):
            self.names.setdefault(id(value), name)
            self.held.append(value)
            if value.is_leaf and value.requires_grad:
                return value
        if isinstance(value, torch.nn.Module):
            self._name_parameters(name, value)
            return value
        if key in self.given:
            value = self._from_input(self.given[key], value)
        elif type(value) is float:
            derivative = self._as_derivative(name, value)
            if derivative is None:
                self.bound_values[key] = np.asarray(value)
                value = self._fresh(value, key)
            else:
                value = derivative
        elif type(value) is int:
            derivative = self._as_derivative(name, value)
            value = value if derivative is None else derivative
        made = super().bind(name, value)
        if isinstance(made, torch.Tensor):
            self.names[id(made)] = name
            self.held.append(made)
        if self.is_traced(made) and not isinstance(made, (list, tuple)):
            step = self.step_of(made)
            self.key_of[step] = key
            self.value_at[step] = np.array(self.value_of(made))
            if not self.depends(step) and not isinstance(made, float):
                self.bound_values[key] = np.array(self.value_of(made))
        return made

    def found(self, space: Mapping[str, Any]) -> None:
        """Variables that the script finds when it begins."""
        for name, value in space.items():
            if isinstance(value, torch.Tensor):
                self.names[id(value)] = name
                self.held.append(value)
            elif isinstance(value, torch.nn.Module):
                self._name_parameters(name, value)

    def entered(self, name: str, value: Any) -> Any:
        """An argument of one of the script's functions: a plain number gets an identity of its own."""
        if isinstance(value, torch.Tensor):
            self.names.setdefault(id(value), name)
            return value
        return self.bind(name, value) if type(value) in (float, np.ndarray) else value

    def _fresh(self, value: float, key: Key) -> float:
        made = float(str(value)) if value == value else value  # an object of its own, known by its id
        self.plain_floats[id(made)] = key
        self.held.append(made)
        return made

    def _as_derivative(self, name: str, value: float) -> TracedFloat | None:
        """A plain number that a derivation begins with, such as ``dy2 = 1``."""
        if type(value) is int and value not in (0, 1, -1):
            return None
        plain = name.lower().replace("_", "")
        seen = {n.lower().replace("_", "") for n in (*self._count, *self.names.values())}
        first, _, rest = name.lower().partition("_d")
        is_one = plain[:1] == "d" and (plain[1:] in seen - {plain} or (first[:1] == "d" and bool(rest)))
        is_one |= plain.startswith("grad") and plain[4:].lstrip("of") in seen
        return TracedFloat(float(value), self.step_of(float(value)), self) if is_one else None

    def _name_parameters(self, name: str, module: torch.nn.Module) -> None:
        for inner, p in module.named_parameters():
            self.names.setdefault(id(p), f"{name}.{inner}")
            self.held.append(p)

    def _from_input(self, name: str, value: Any) -> Any:
        """The input ``name`` in the form of the value that stood there."""
        if isinstance(value, torch.Tensor):
            dtype, shape = dtype_of(value), tuple(value.shape)
        elif type(value) is float:
            dtype, shape = "float64", ()
        else:
            dtype, shape = str(np.asarray(self.value_of(value)).dtype), tuple(np.shape(self.value_of(value)))
        new = self.values.get(name, self.value_of(value))
        step = self.builder.cast(self._shared(name, shape, dtype), dtype)
        if isinstance(value, torch.Tensor):
            with quiet():
                made = torch.tensor(np.asarray(new)).to(value.dtype).reshape(shape)
            self.tensors.put(made, step)
            return made
        if type(value) is float:
            return TracedFloat(float(np.asarray(new)), step, self)
        return self.arrays.new(np.asarray(new).astype(dtype).reshape(shape), step)

    def _shared(self, name: str, shape: tuple[int, ...], dtype: str) -> int:
        """The input ``name``; one that has several forms is as wide as the widest may be."""
        wide = {"float32": "float64", "float16": "float64", "bfloat16": "float64", "complex64": "complex128"}
        return self.builder.input(name, shape, wide.get(dtype, dtype) if name in self.given.values() else dtype)

    # ------------------------------------------------------------------------------------ leaves
    def declare(self, x: torch.Tensor) -> None:
        """A leaf that is used for the first time: it is an input from now on."""
        if id(x) in self._known_leaves:
            return
        origins = self.made_from.get(id(x), frozenset())
        name = f"leaf {len(self.leaves)}"
        if self.tensors.is_known(x):
            step = self.tensors.step(x)
            if self.depends(step):
                self._enter(Leaf(x, step, False, self.tensors.value(x).copy()))
                return
            origins |= self._named_behind(step)
            self._forget(x)
        step = self._input(name, x)
        self._enter(Leaf(x, step, True, self.tensors.value(x).copy(), origins))

    def _enter(self, leaf: Leaf) -> None:
        self._known_leaves[id(leaf.tensor)] = len(self.leaves)
        self.leaves.append(leaf)

    def _input(self, name: str, x: torch.Tensor) -> int:
        if name in self.values:
            with quiet(), torch.no_grad():
                x.copy_(torch.as_tensor(self.values[name]).reshape(x.shape))
        self.builder.source = None
        self.tensors.put(x, self._shared(name, tuple(x.shape), dtype_of(x)))
        return self.tensors.step(x)

    def changed(self, x: torch.Tensor) -> None:
        """The memory of a leaf was written outside of the formula: it holds a new input."""
        place = self._known_leaves.pop(id(x), None)
        if place is None:
            return
        memory = self.tensors._memory(x)
        name = f"leaf {len(self.leaves)}"
        if memory is None:
            return
        if name in self.values:
            with quiet(), torch.no_grad():
                x.copy_(torch.as_tensor(self.values[name]).reshape(x.shape))
        step = self.builder.input(name, tuple(x.shape), dtype_of(x))
        memory.write(self.builder, Strided(int(x.storage_offset()), tuple(x.stride())), tuple(x.shape), step)
        self._enter(Leaf(x, step, True, self.tensors.value(x).copy()))

    def leaf_of_storage(self, x: torch.Tensor) -> torch.Tensor | None:
        with quiet():
            storage = x.untyped_storage()._cdata if x.numel() else None
            for k in self._known_leaves.values():
                leaf = self.leaves[k].tensor
                if leaf.numel() and leaf.untyped_storage()._cdata == storage:
                    return leaf
        return None

    def _forget(self, x: torch.Tensor) -> None:
        with quiet():
            self.tensors.forget(x)
            if x.numel():
                self.tensors._memories.pop(x.untyped_storage()._cdata, None)

    def _named_behind(self, step: int) -> frozenset[Key]:
        """The nearest variables that a constant step was made of."""
        found, stack = set(), [step]
        while stack:
            i = stack.pop()
            if i in self.key_of:
                found.add(self.key_of[i])
            else:
                stack += self.builder.steps[i].args
        return frozenset(found)

    # ------------------------------------------------------------------------------------ autograd
    def line(self) -> int | None:
        source = self.at_line().source
        return source.line if source is not None else None

    def differentiated(self, kind: str, outputs: list[torch.Tensor], upstream: list[Any]) -> None:
        b = self.at_line()
        line = self.line()
        total = None
        for x, v in zip(outputs, upstream, strict=True):
            step = self.tensors.step(x)
            if v is not None:
                step = b.mul(step, b.conj(b.cast(self.tensors.step(v), b.dtype(step))))
            step = b.sum(step) if b.shape(step) else step
            total = step if total is None else b.add(total, step)
        assert total is not None
        name = self.names.get(id(outputs[0])) if len(outputs) == 1 else None
        nodes = {id(leaf.tensor): self.tensors.step(leaf.tensor) for leaf in self._present()}
        given = any(v is not None for v in upstream)
        value = sum(
            np.sum(self.tensors.value(x) * (1 if v is None else np.conj(self.tensors.value(v))))
            for x, v in zip(outputs, upstream, strict=True)
        )
        self.calls.append(AutogradCall(kind, total, name, line, given, nodes, np.asarray(value), len(self.leaves)))
        for leaf in self._present():
            with quiet():
                g = leaf.tensor.grad
            if g is not None:
                self._forget(g)

    def _present(self) -> list[Leaf]:
        return [self.leaves[k] for k in self._known_leaves.values()]

    def result(self, x: torch.Tensor, g: torch.Tensor) -> None:
        """Autograd's gradient ``g`` for ``x`` as an opaque input."""
        if self.tensors.is_known(g) or not self.calls:
            return
        if x.is_leaf and x.requires_grad:
            self.declare(x)
        node = self.calls[-1].nodes.get(id(x), None)
        node = self.tensors.step(x) if node is None else node
        value = self.tensors.value(g).copy()
        name = f"autograd {len(self.results)}"
        step = self.builder.input(name, tuple(g.shape), dtype_of(g))
        self.tensors.put(g, step)
        self.names.setdefault(id(g), f"{self.names.get(id(x), 'x')}.grad")
        self.results.append(AutogradResult(len(self.calls) - 1, x, node, step, value))

    # ------------------------------------------------------------------------------------ what is shown and compared
    def shown(self, value: Any) -> Any:
        line = self.line()
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
        for x in itertools.islice(parts, 64):
            if isinstance(x, torch.Tensor) and not is_float(x):
                continue
            if self.is_traced(x) and not isinstance(x, (list, tuple)):
                self.shows.append((line, self.step_of(x)))
        return value

    def _filled(self, x: Any) -> Any:
        self.shown(x)
        return super()._filled(x)

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        self.tick()
        owner = getattr(function, "__self__", None)
        if function in (torch.autograd.grad, torch.autograd.backward):  # a mode sees them
            return function(*args, **options)
        if isinstance(owner, torch.optim.Optimizer) and getattr(function, "__name__", "") != "zero_grad":
            with quiet():
                out = function(*args, **options)
            for leaf in list(self._present()):
                self.changed(leaf.tensor)
            return out
        if isinstance(owner, str) and getattr(function, "__name__", "") == "format":
            for a in (*args, *options.values()):
                self.shown(a)
        if str(getattr(function, "__module__", "")).startswith(("numpy.testing", "torch.testing")):
            return self._tested(function, args, options)
        return super().call(function, *args, **options)

    def _tested(self, function: Any, args: Any, options: Any) -> Any:
        """A testing function: what it is given together is compared; it runs on plain values."""
        steps = [self.step_of(a) for a in args[:2] if not isinstance(a, (str, type)) and not callable(a)]
        if len(steps) == 2:
            self.compared.append((steps[0], steps[1]))
        plain = [torch.as_tensor(self.value_of(a)) if isinstance(a, torch.Tensor) else self.value_of(a) for a in args]
        with quiet():
            return function(*plain, **{k: self.value_of(v) for k, v in options.items()})
