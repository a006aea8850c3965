"""A tracer for whole scripts: leaves are inputs, declared when they are first used, and autograd's calls are seen.

A number or an array from which a leaf was made, or which the user typed a second time for the derivation, is the same
input as the leaf.  What ``backward()`` and ``grad`` give is real, and opaque: it enters the trace as an input, so that
what depends on it is known to be no derivation.
"""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput
from symgrad.lifting.scripts.accumulation import Accumulated
from symgrad.lifting.scripts.cues import is_gradient
from symgrad.lifting.scripts.nested_gradients import written_out
from symgrad.lifting.scripts.references import Derivative, custom, drawn, reference
from symgrad.lifting.scripts.script_modes import ScriptDispatch, ScriptFunctions
from symgrad.lifting.scripts.script_record import (
    AutogradCall,
    AutogradResult,
    Cell,
    Checked,
    Drawn,
    Event,
    Given,
    Key,
    Leaf,
    Limits,
    Reached,
)
from symgrad.lifting.scripts.training_loops import TrainingLoops
from symgrad.lifting.scripts.watcher import (
    Bound,
    entry_path,
    holds_values,
    is_counted,
    may_be_bound,
    returned_parts,
    shape_of,
)
from symgrad.lifting.tracing.aten import dtype_of, is_float
from symgrad.lifting.tracing.sources import TRACE
from symgrad.lifting.tracing.torch_modes import quiet
from symgrad.lifting.tracing.traced_values import TracedArray, TracedFloat
from symgrad.lifting.tracing.tracer import Tracer
from symgrad.program.program import Strided, positions, size


class ScriptTracer(Tracer):
    """A tracer for whole scripts: ``values`` maps inputs to the values to run with, ``given`` maps variables (by name
    and occurrence) to the input that is put in their place; ``followed`` are variables whose plain numbers carry steps
    too, ``until`` those after which the run ends."""

    def __init__(
        self,
        limits: Limits,
        values: Mapping[str, np.ndarray],
        given: Mapping[Key, Given],
        followed: frozenset[str] = frozenset(),
        until: Collection[Key] = (),
    ) -> None:
        super().__init__("torch", stops=True)
        self.followed = followed
        self.events: list[Event] = []
        self.event_at: dict[Key, Event] = {}
        self.put_in: dict[str, np.ndarray] = {}  # the values that inputs were given
        self.objects: dict[int, str] = {}  # of the script's own classes, by id: the name that each has
        self._attributes_of: dict[int, int] = {}  # dictionaries of attributes, by id: the object that each is of
        self._until = set(until)
        self.tensors.functions = ScriptFunctions(self)
        self.tensors.dispatch = ScriptDispatch(self)
        self.limits = limits
        self.values = values
        self.given = given
        self.leaves: list[Leaf] = []
        self.calls: list[AutogradCall] = []
        self.accumulated = Accumulated()
        self.results: list[AutogradResult] = []
        self.applied: list[tuple[str, list[Any], int]] = []  # custom functions that are called, and where
        self.gradchecked: list[tuple[str, list[Any], int]] = []  # custom functions, where, and to which order
        self.checked: list[Checked] = []  # what checks and solvers of a library were given
        self.functions: list[int] = []  # what libraries get of the functions that they differentiate, or are told of
        self.displaced: list[int] = []  # the points at which they do
        self.draws: list[Drawn] = []  # by probabilities that are followed
        self.differences: list[int] = []  # what a library gives for difference quotients
        self.told: set[float] = set()  # plain numbers that functions gave which are asked for what is shown
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
        self._bound = Bound(self)
        self.returns: set[int] = set()  # steps of what functions returned
        self._turns = 0
        self.loops = TrainingLoops(self)

    # ------------------------------------------------------------------------------------ limits
    def tick(self, loop: int = 0) -> None:
        """A function is called, or the loop in line ``loop`` begins a turn."""
        self._turns += 1
        if self.loops.has_shown(loop, self._turns):
            raise Reached
        over = ""
        if self._turns > self.limits.turns:
            over = f"{self.limits.turns:,} turns of loops and calls"
        elif len(self.builder.steps) > self.limits.steps:
            over = f"{self.limits.steps:,} operations on the inputs' values"
        if over:
            instead = "Make it smaller: fewer iterations, or only the part with the model and the derivation."
            raise self._raising(BadInput(f"the script takes more than {over}.", where=self.where(), instead=instead))

    def understood(self) -> str | None:
        """What was found before the script failed."""
        names = dict.fromkeys(self.names.get(id(leaf.tensor), "an unnamed tensor") for leaf in self.leaves)
        parts = [f"the tensors that require a gradient: {', '.join(names)}"] if names else []
        parts += [f"{c.kind} of {c.name or 'an unnamed output'} in line {c.line}" for c in self.calls[:3]]
        return f"Before that it was understood so far: {'; '.join(parts)}." if parts else None

    # ------------------------------------------------------------------------------------ names
    def bind(self, name: str, value: Any, owner: int = 0) -> Any:
        key = self._bound.key(name)
        if holds_values(value):
            for k, part in value.items() if type(value) is dict else enumerate(value):
                if self.is_traced(part) and self.builder.steps[self.step_of(part)].op == "name":
                    self._bound.key(entry_path(name, k))  # what has a name keeps it
                else:
                    self.item(name, value, k)
            return value
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
        elif self._is_followed(name) and (followed := self._followed(value)) is not None:
            self.bound_values[key] = np.array(self.value_of(followed), dtype=float)
            value = followed
        elif (derivative := self._as_derivative(name, value)) is not None:
            value = derivative
        elif type(value) is int and is_gradient(name):  # 3 is one: of a function that is linear
            super().bind(name, self._followed(value))  # while it stays a whole number for the script
        elif type(value) is float:
            self.bound_values[key] = np.asarray(value)
            value = self._fresh(value, key)
        if type(value) is list and self._is_followed(name) and self._is_array(value):
            made = self._list(name, value)
        else:
            made = super().bind(name, value)
        if isinstance(made, torch.Tensor):
            self.names[id(made)] = name
            self.held.append(made)
        if type(made).__module__ == "__main__":
            if id(made) not in self.objects or sys._getframe(1).f_code.co_name == "<module>":
                self.objects[id(made)] = name
            self.held.append(made)
        if self._is_array(made) and (not isinstance(made, (list, tuple)) or self._is_followed(name)):
            step = self.builder.bindings[-1].step if type(made) is list else self.step_of(made)
            self.key_of[step] = key
            self.value_at[step] = np.array(self.value_of(made))
            if not self.depends(step) and not isinstance(made, float):
                self.bound_values[key] = np.array(self.value_of(made))
            self._happened(Event(key, step, self.line(), owner, self._site()))  # the run may end here
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
        if type(value) in (float, np.ndarray):
            return self.bind(name, value)
        if is_counted(value):
            self._bound.key(name)
        return value

    def rebound(self, name: str, value: Any) -> Any:
        before = self._bound.total
        made = super().rebound(name, value)
        if self._bound.total == before and (is_counted(value) or isinstance(value, torch.Tensor)):
            self._bound.key(name)  # it was not written into, which other values may tell otherwise
        return made

    def attribute(self, path: str, owner: Any, name: str) -> None:
        """``owner.name = ...`` was run."""
        value = getattr(owner, name, None)
        is_array = hasattr(type(owner), "__array__")  # NumPy is to find its own arrays in it
        self.held.append(owner)  # an id is that of one object
        self._attributes_of[id(getattr(owner, "__dict__", owner))] = id(owner)
        made = self.bind(path, value, id(owner)) if may_be_bound(value) and not is_array else value
        if made is not value:
            setattr(owner, name, made)

    def rewritten(self, path: str, owner: Any, name: str) -> None:
        """``owner.name[...] = ...`` was run: an array in an attribute has other entries."""
        if isinstance(getattr(owner, name, None), np.ndarray):
            self.attribute(path, owner, name)

    def item(self, path: str, box: Any, key: Any) -> None:
        """``box[key] = ...`` was run, where the box is a dictionary or a list."""
        if type(box) not in (dict, list) or isinstance(key, slice):
            return
        value = box[key]
        self.held.append(box)
        owner = self._attributes_of.get(id(box), id(box))
        made = self.bind(entry_path(path, key), value, owner) if may_be_bound(value) else value
        if made is not value:
            box[key] = made

    def returned(self, function: str, value: Any) -> Any:
        """``return value`` in one of the script's functions: a line of its own, unless the value has a name already."""
        is_tensor = isinstance(value, torch.Tensor) and is_float(value) and not (value.is_leaf and value.requires_grad)
        made = is_tensor or type(value) in (TracedFloat, TracedArray)
        if made and self.builder.steps[self.step_of(value)].op != "name":
            value = Tracer.bind(self, "return", value)
            self.returns.add(self.step_of(value))
        for path, part in returned_parts(f"{function}()", value):
            key = self._bound.key(path)
            if type(part) in (int, float) and path in self.followed:
                self.told.add(part)
            elif isinstance(part, tuple) or not self._is_array(part):
                continue
            part = self.arrays.array(part) if isinstance(part, list) else part
            self._happened(Event(key, self.step_of(part), self.line()))
        return value

    def made(self, step: int) -> int:
        """What a function gave, where a variable only holds that: its lines are in the function."""
        s = self.builder.steps[step]
        return s.args[0] if s.op == "name" and s.args[0] in self.returns else step

    def checks(self, solver: str, x: Any, gradient: Event, weights: Any, label: str) -> None:
        """A library was given a function and its derivative: they were called at ``x``."""
        key = self.key_of[self.step_of(weights)] if weights is not None else None
        self.checked.append(Checked(solver, self.step_of(x), gradient, label, key))

    def computed(self, path: str, value: Any, *, is_function: bool = False) -> Event:
        """A value that a library computes for the script, of the function that it differentiates where that is said."""
        event = Event(self._bound.key(path), self.step_of(value), self.line())
        self.functions += [event.step] if is_function else []
        self._happened(event)
        return event

    def _happened(self, event: Event) -> None:
        self.events.append(event)
        self.event_at[event.key] = self.event_at[*event.key[:2], -1] = event
        if self._until == {event.key}:
            raise Reached
        self._until.discard(event.key)

    def _is_followed(self, path: str) -> bool:
        own = f"self.{path.rpartition('.')[2]}" if "." in path else path  # an attribute, whatever the object is called
        return not self.followed.isdisjoint((path, path.partition("[")[0], own))

    def _followed(self, value: Any) -> Any:
        """A plain number, or a list of such, as one that carries its step; None for anything else."""
        if type(value) in (int, float):
            return TracedFloat(float(value), self.step_of(float(value)), self)
        if isinstance(value, np.floating) and not self.is_traced(value):
            return self.arrays.wrap(value)
        if type(value) is np.ndarray and value.dtype.kind in "iu":
            return self.arrays.new(value.astype(float), self.data(value))
        if type(value) is list and value and all(type(x) in (float, int) for x in value):
            return self.arrays.new(np.array(value, dtype=float), self.data(np.array(value, dtype=float))).tolist()
        return None

    def _is_array(self, value: Any) -> bool:
        """Whether a value carries steps and is one array: if it is a list, one whose parts have one shape."""
        return self.is_traced(value) and (not isinstance(value, (list, tuple)) or shape_of(value) is not None)

    def _list(self, name: str, value: list[Any]) -> list[Any]:
        """A list of numbers that got a name: its entries are those of what was named, and it stays the same list."""
        array = self.arrays.bound(self.arrays.array(value), name)
        value[:] = array.tolist()
        return value

    def _fresh(self, value: float, key: Key) -> float:
        made = float(str(value)) if value == value else value  # an object of its own, known by its id
        self.plain_floats[id(made)] = key
        self.held.append(made)
        return made

    def _as_derivative(self, name: str, value: Any) -> TracedFloat | None:
        """A plain number that a derivation begins with, such as ``dy2 = 1``."""
        if type(value) is not float and (type(value) is not int or value not in (0, 1, -1)):
            return None
        plain = name.lower().replace("_", "")
        seen = {n.lower().replace("_", "") for n in (*self._bound.paths, *self.names.values())}
        first, _, rest = name.lower().partition("_d")
        is_one = plain[:1] == "d" and (plain[1:] in seen - {plain} or (first[:1] == "d" and bool(rest)))
        is_one |= plain.startswith("grad") and plain[4:].lstrip("of") in seen
        return TracedFloat(float(value), self.step_of(float(value)), self) if is_one else None

    def _name_parameters(self, name: str, module: torch.nn.Module) -> None:
        for inner, p in module.named_parameters():
            self.names.setdefault(id(p), f"{name}.{inner}")
            self.held.append(p)

    def _from_input(self, name: Given, value: Any) -> Any:
        """The input ``name`` in the form of the value that stood there."""
        if isinstance(name, tuple):
            return self._from_cells(name, value)
        if isinstance(value, torch.Tensor):
            dtype, shape = dtype_of(value), tuple(value.shape)
        else:
            plain = np.asarray(self.value_of(value))
            dtype, shape = "float64" if plain.dtype.kind in "iu" else str(plain.dtype), plain.shape
        new = self.values.get(name, self.value_of(value))
        self.put_in[name] = np.asarray(new)
        step = self.builder.cast(self._shared(name, shape, dtype), dtype)
        if isinstance(value, torch.Tensor):
            with quiet():
                made = torch.tensor(np.asarray(new)).to(value.dtype).reshape(shape)
            self.tensors.put(made, step)
            return made
        if type(value) in (float, int, TracedFloat):
            return TracedFloat(float(np.asarray(new)), step, self)
        made = self.arrays.new(np.asarray(new).astype(dtype).reshape(shape), step)
        return made.tolist() if type(value) is list else made

    def _from_cells(self, cells: tuple[Cell | None, ...], value: Any) -> Any:
        """An array some of whose entries are entries of inputs."""
        b = self.builder
        old = np.array(self.value_of(value), dtype=float)
        flat, steps, where = old.reshape(-1), [b.reshape(self.data(old), (old.size,))], np.arange(1, old.size + 1)
        start: dict[str, int] = {}
        for k, cell in enumerate(cells):
            if cell is None:
                continue
            if cell.input not in start:
                start[cell.input] = 1 + sum(size(b.shape(s)) for s in steps)
                step = self._shared(cell.input, cell.shape, cell.dtype)
                steps.append(b.reshape(b.cast(step, str(old.dtype)), (size(cell.shape),)))
            where[k] = start[cell.input] + cell.entry
            new = self.values.get(cell.input)
            flat[k] = flat[k] if new is None else np.asarray(new).reshape(-1)[cell.entry]
            mine = self.put_in.setdefault(cell.input, np.zeros(cell.shape)) if new is None else np.asarray(new)
            self.put_in[cell.input] = mine
            mine.reshape(-1)[cell.entry] = flat[k]
        made = self.arrays.new(old, b.pick(steps, where, old.shape))
        return made.tolist() if type(value) is list else made

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
        parts: dict[Key, tuple[int, ...]] = {}
        if self.tensors.is_known(x):
            step = self.tensors.step(x)
            if self._is_input(step, name):  # it was made of what holds this input
                self._forget(x)
                self.tensors.put(x, self.builder.cast(self.builder.inputs[name], dtype_of(x)))
                self._enter(Leaf(x, self.tensors.step(x), True, self.tensors.value(x).copy()))
                return
            if self.depends(step):
                self._enter(Leaf(x, step, False, self.tensors.value(x).copy()))
                return
            origins |= self._named_behind(step)
            parts = self._parts_behind(step)
            self._forget(x)
        step = self._input(name, x)
        self._enter(Leaf(x, step, True, self.tensors.value(x).copy(), origins, parts))

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

    def _behind(self, step: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The steps whose entries a step's entries are, one behind the other, and the places of the entries in each."""
        steps, places = self.builder.steps, np.arange(size(self.builder.shape(step)))
        while True:
            s = steps[step]
            yield step, tuple(places.tolist())
            if s.op in ("name", "cast", "stop"):
                (step,) = s.args
            elif s.op == "pick" and places.size:
                places = positions(s.params, s.shape)[places] - 1
                ends = np.cumsum([size(steps[a].shape) for a in s.args])
                which = np.searchsorted(ends, places, side="right")
                if (places < 0).any() or (which != which[0]).any():
                    return
                step = s.args[which[0]]
                places = places - (ends[which[0]] - size(steps[step].shape))
            else:
                return

    def _parts_behind(self, step: int) -> dict[Key, tuple[int, ...]]:
        """The first variable whose entries a step's entries are, and their places in it; none where it is computed."""
        found = [{self.key_of[i]: places} for i, places in self._behind(step) if i in self.key_of]
        return found[-1] if found else {}

    def _is_input(self, step: int, name: str) -> bool:
        """Whether the entries of a step are those of the input ``name``, in their order."""
        last, places = list(self._behind(step))[-1]
        s = self.builder.steps[last]
        return s.op == "input" and s.params == name and places == tuple(range(size(s.shape)))

    # ------------------------------------------------------------------------------------ autograd
    def _site(self) -> tuple[int, ...]:
        """The lines of the script's calls that are running."""
        frames = (f for f, _ in traceback.walk_stack(sys._getframe(1)) if f.f_globals.get(TRACE) is self)
        return tuple(f.f_lineno for f in frames)[1:]

    def line(self) -> int | None:
        source = self.at_line().source
        return source.line if source is not None else None

    def differentiated(
        self, kind: str, outputs: list[torch.Tensor], upstream: list[Any], inputs: set[int] | None = None
    ) -> None:
        b = self.at_line()
        line, total = self.line(), None
        for x, v in zip(outputs, upstream, strict=True):
            step = self.tensors.step(x)
            if v is not None:
                step = b.mul(step, b.conj(b.cast(self.tensors.step(v), b.dtype(step))))
            step = b.sum(step) if b.shape(step) else step
            total = step if total is None else b.add(total, step)
        total = written_out(b, total or 0, self.results, self.calls)
        if b.steps[total].is_complex:  # autograd differentiates the real part
            total = b.cast(total, "float64" if b.dtype(total) == "complex128" else "float32")
        name = self.names.get(id(outputs[0])) if len(outputs) == 1 else None
        nodes = {x: node for x, node in self._nodes().items() if inputs is None or x in inputs}
        given = any(v is not None for v in upstream)
        pairs = [(self.tensors.value(x), v) for x, v in zip(outputs, upstream, strict=True)]
        value = sum(np.sum(x * (1 if v is None else np.conj(self.tensors.value(v)))) for x, v in pairs)
        real = np.asarray(np.real(value))
        self.calls.append(AutogradCall(kind, total, name, line, given, nodes, real, len(self.leaves)))
        for leaf in self.present():
            with quiet():
                g = leaf.tensor.grad
            if g is not None:
                self._forget(g)
        if kind == "backward()":
            with quiet():
                self.accumulated.note(b, self.calls, [leaf.tensor for leaf in self.present()])

    def present(self) -> list[Leaf]:
        return [self.leaves[k] for k in self._known_leaves.values()]

    def _nodes(self) -> dict[int, int]:
        return {id(leaf.tensor): self.tensors.step(leaf.tensor) for leaf in self.present()}

    def referred(
        self, out: torch.Tensor, of: Derivative, args: Sequence[Any], given: list[torch.Tensor], found: list[Any]
    ) -> None:
        """A library's derivative of a function: a call of autograd's for what the function gives."""
        step, value = self.tensors.step(out), self.tensors.value(out)
        question = id(of.function), of.order, tuple((id(a), getattr(a, "_version", 0)) for a in args)
        count = len(self.leaves)
        self.held += [of.function, *args]
        self.calls.append(
            AutogradCall(of.kind, step, of.name, self.line(), False, self._nodes(), value, count, of.order, question)
        )
        for x, g in zip(given, found, strict=True):
            self.result(x, g)

    def approximated(self, value: np.ndarray) -> Any:
        """Differences that a library takes of a function."""
        self.differences.append(self.builder.input(f"autograd by differences {len(self.differences)}", value.shape))
        return self.arrays.new(value, self.differences[-1])

    @property
    def opaque(self) -> list[int]:
        """The steps of what autograd and libraries gave."""
        return [*(r.step for r in self.results), *self.differences]

    def result(self, x: torch.Tensor, g: torch.Tensor, call: int = -1) -> None:
        """Autograd's gradient ``g`` for ``x`` as an opaque input."""
        if self.tensors.is_known(g) or not self.calls:
            return
        if x.is_leaf and x.requires_grad:
            self.declare(x)
        node = self.calls[call].nodes.get(id(x), None)
        node = self.tensors.step(x) if node is None else node
        value = self.tensors.value(g).copy()
        step = self.builder.input(f"autograd {len(self.results)}", tuple(g.shape), dtype_of(g))
        self.tensors.put(g, step)
        self.names.setdefault(id(g), f"{self.names.get(id(x), 'x')}.grad")
        self.results.append(AutogradResult(call % len(self.calls), x, node, step, value, g.requires_grad))

    def shown(self, value: Any) -> Any:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
        for x in itertools.islice(parts, 64):
            one = self.is_traced(x) and not isinstance(x, (list, tuple))
            if (one and (not isinstance(x, torch.Tensor) or is_float(x))) or (
                type(x) in (int, float) and x in self.told
            ):
                self.shows.append((self.line(), self.step_of(x)))
        return value

    def _filled(self, x: Any) -> Any:
        return super()._filled(self.shown(x))

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        self.tick()
        owner = getattr(function, "__self__", None)
        if function in (torch.autograd.grad, torch.autograd.backward):  # a mode sees them
            return function(*args, **options)
        if isinstance(owner, torch.optim.Optimizer) and getattr(function, "__name__", "") != "zero_grad":
            with quiet():
                out = function(*args, **options)
            for leaf in list(self.present()):
                self.changed(leaf.tensor)
            return out
        self.applied += custom(function, args, 1) if not options else []
        if isinstance(owner, str) and getattr(function, "__name__", "") == "format":
            for a in (*args, *options.values()):
                self.shown(a)
        if (found := reference(self, function, args, options)) is not NotImplemented:
            return found
        if function in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            given = [args[1]] if isinstance(args[1], torch.Tensor) else args[1]  # the check is not run under a tracer
            self.gradchecked += custom(args[0], given, 2 if function is torch.autograd.gradgradcheck else 1)
            return True
        self.draws += drawn(self, function, args, options, out := super().call(function, *args, **options))
        return out
