"""Scripts -> one trace: the code is run once, instrumented, in a namespace of its own, and autograd's calls are seen.

The leaves (tensors that require a gradient) are the trace's inputs, declared when they are first used; a number or an
array from which a leaf was made, or which the user typed a second time for the derivation, is the same input.  What
``backward()`` and ``grad`` give is real, and opaque: it enters the trace as an input, so that what depends on it is
known to be no derivation.  Another point is another run, with other values in the leaves.
"""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import linecache
import os
import random
import sys
import traceback
import types
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput, SymgradError, UserCodeFailed
from symgrad.lifting.aten import dtype_of, is_float
from symgrad.lifting.instrument import _TRACE, _Rewriter
from symgrad.lifting.pasted import Pasted
from symgrad.lifting.torch_modes import Dispatch, Functions, floats, quiet
from symgrad.lifting.traced_array import TracedArray
from symgrad.lifting.traced_floats import TracedFloat
from symgrad.lifting.tracing import Tracer
from symgrad.program import Strided

__all__ = ["AutogradCall", "AutogradResult", "Leaf", "Key", "Limits", "Script", "ScriptRun"]

Key = tuple[str, int]  # a variable, and how many times it had been bound before
_MAKERS = frozenset(("tensor", "as_tensor", "asarray", "scalar_tensor", "from_numpy"))
_FILES = itertools.count(1)
_NAMES: dict[str, str] = {}


@dataclass(frozen=True)
class Limits:
    """How much a script may do; what is beyond is an error that says so, or, for printing, is dropped and told."""

    turns: int = 1_000_000  # turns of loops, and calls
    steps: int = 100_000  # recorded operations
    printed: int = 200_000  # characters


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


@dataclass(eq=False)
class ScriptRun:
    """Everything that one run showed."""

    trace: ScriptTracer
    namespace: dict[str, Any]
    printed: str
    cut: int  # characters that were printed beyond the limit
    random: bool
    stopped: str | None  # the assertion, or the exit, that ended the script
    values: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Script:
    """A script that can be run; ``given`` maps variables to the input that they hold, see `ScriptTracer`."""

    pasted: Pasted
    file: str
    seed: int = 0
    limits: Limits = Limits()

    @classmethod
    def of(cls, pasted: Pasted, file: str | None, seed: int, limits: Limits | None = None) -> Script:
        if file is None:
            file = _NAMES.get(pasted.code)
            if file is None:
                n = next(_FILES)
                file = _NAMES[pasted.code] = "<pasted>" if n == 1 else f"<pasted {n}>"
        lines = [line + "\n" for line in pasted.lines]
        linecache.cache[file] = (len(pasted.code), None, lines, file)
        return cls(pasted, file, seed, limits or Limits())

    def run(self, values: Mapping[str, np.ndarray] | None = None, given: Mapping[Key, str] | None = None) -> ScriptRun:
        """Run the script under a tracer.

        ``values`` maps the inputs' names to other values; ``given`` says which variables hold an input.  Raises
        `UserCodeFailed` where the script itself fails, with the line; `BadInput` beyond the limits.
        """
        trace = ScriptTracer(self.limits, values or {}, given or {})
        code, tree = _instrumented(self.pasted, self.file)
        trace.places.add(code, tree)
        space = _namespace(self.file, trace)
        space[_TRACE] = trace
        out = _Limited(self.limits.printed)
        with _surroundings(self.seed, out, self.file) as world:
            stopped = None
            try:
                with trace.running():
                    exec(code, space)
            except AssertionError as error:
                stopped = f"line {_line(error, self.file)}: {_first(error, 'the assertion fails')}"
            except SystemExit:
                stopped = "it ends itself with exit()"
            except SymgradError:
                raise
            except Exception as error:
                raise self._failed(error, trace) from error
        return ScriptRun(trace, space, out.getvalue(), out.cut, world.random, stopped)

    def plain(self) -> dict[str, Any]:
        """The script's variables after a run without a tracer."""
        space = _namespace(self.file, None)
        with _surroundings(self.seed, _Limited(self.limits.printed), self.file), np.errstate(all="ignore"):
            with contextlib.suppress(AssertionError, SystemExit), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(compile(self.pasted.code, self.file, "exec"), space)
        return space

    def _failed(self, error: Exception, trace: ScriptTracer) -> UserCodeFailed:
        line = _line(error, self.file)
        text = linecache.getline(self.file, line).strip() if line else ""
        failed = UserCodeFailed(
            f"the script itself fails: {_first(error, '')}",
            where=f"    {self.file}:{line}    {text}" if line else None,
            instead=trace.understood(),
        )
        return failed


def _first(error: BaseException, default: str) -> str:
    text = str(error).splitlines()[0] if str(error).strip() else default
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line(error: BaseException, file: str) -> int | None:
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            found = line
    if found is None and isinstance(error, SyntaxError):
        return error.lineno
    return found


# ------------------------------------------------------------------------------------------------ surroundings


class _Limited(io.StringIO):
    """What is printed, up to a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.cut = 0

    def write(self, text: str) -> int:
        room = max(0, self.limit - self.tell())
        self.cut += max(0, len(text) - room)
        return super().write(text[:room])


class _World:
    random = False


@contextlib.contextmanager
def _surroundings(seed: int, out: io.StringIO, file: str) -> Iterator[_World]:
    """Fixed seeds, captured output, no windows; afterwards everything global is as it was."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    dtype, grad, argv = torch.get_default_dtype(), torch.is_grad_enabled(), sys.argv
    backend = os.environ.get("MPLBACKEND")
    world = _World()
    os.environ["MPLBACKEND"] = "Agg"
    sys.argv = [file]
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    before = random.getstate(), np.random.get_state()[1:3], torch.get_rng_state()
    try:
        with contextlib.redirect_stdout(out):
            yield world
    finally:
        after = random.getstate(), np.random.get_state()[1:3], torch.get_rng_state()
        world.random = not (
            before[0] == after[0]
            and np.array_equal(before[1][0], after[1][0])
            and before[1][1] == after[1][1]
            and torch.equal(before[2], after[2])
        )
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        sys.argv = argv
        if backend is None:
            os.environ.pop("MPLBACKEND", None)
        else:
            os.environ["MPLBACKEND"] = backend


def _namespace(file: str, trace: Any) -> dict[str, Any]:
    def no_input(prompt: Any = "") -> str:
        raise BadInput("the script asks for input().", instead="Write the value into the script.")

    return {"__name__": "__main__", "__file__": file, "__doc__": None, "__annotations__": {}, "input": no_input}


# ------------------------------------------------------------------------------------------------ instrumenting


class _ScriptRewriter(_Rewriter):
    """Besides names, calls and arithmetic: what is printed, the arguments of functions, and the turns of loops."""

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            self.generic_visit(node)
            node.args = [
                a if isinstance(a, (ast.Constant, ast.JoinedStr, ast.Starred)) else self._trace("shown", [a], a)
                for a in node.args
            ]
            return node
        return super().visit_Call(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        self.generic_visit(node)
        node.value = self._trace("shown", [node.value], node)
        return node

    def visit_For(self, node: ast.For) -> Any:
        bound = self._rebound(node, [node.target])
        self.generic_visit(node)
        node.body = [*self._tick(node), *bound, *node.body]
        return node

    def visit_While(self, node: ast.While) -> Any:
        self.generic_visit(node)
        node.body = [*self._tick(node), *node.body]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.generic_visit(node)
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        entered = [s for n in names if n not in ("self", "cls") for s in self._assigned(node.body[0], n, "entered")]
        has_text = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        start = 1 if has_text and len(node.body) > 1 else 0
        node.body = [*node.body[:start], *entered, *node.body[start:]]
        return node

    def _tick(self, at: Any) -> list[ast.stmt]:
        return [self._placed(ast.Expr(self._trace("tick", [], at)), at)]

    def _rebound(self, at: Any, targets: list[ast.expr]) -> list[ast.stmt]:
        return []

    def _assigned(self, at: ast.AST, name: str, method: str) -> list[ast.stmt]:
        value = self._trace(method, [ast.Constant(name), ast.Name(name, ast.Load())], at)
        return [self._placed(ast.Assign([ast.Name(name, ast.Store())], value), at)]

    def _placed(self, made: Any, at: ast.AST) -> Any:
        ast.copy_location(made, at)
        for part in ast.walk(made):
            ast.copy_location(part, at)
        return made


def _instrumented(pasted: Pasted, file: str) -> tuple[types.CodeType, ast.Module]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = _ScriptRewriter().visit(pasted.tree)
        return compile(ast.fix_missing_locations(tree), file, "exec"), pasted.tree


# ------------------------------------------------------------------------------------------------ the tracer


class ScriptTracer(Tracer):
    """A tracer for whole scripts.

    ``values`` maps inputs to the values to run with; ``given`` maps variables (by name and occurrence) to the input
    that is put in their place.
    """

    def __init__(self, limits: Limits, values: Mapping[str, np.ndarray], given: Mapping[Key, str]) -> None:
        super().__init__("torch", stops=True)
        self.tensors.functions = _Functions(self)
        self.tensors.dispatch = _Dispatch(self)
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
        self._floats: dict[int, Key] = {}
        self._kept: list[Any] = []
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
            self._kept.append(value)
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
            self._kept.append(made)
        if self.is_traced(made) and not isinstance(made, (list, tuple)):
            step = self.step_of(made)
            self.key_of[step] = key
            self.value_at[step] = np.array(self.value_of(made))
            if not self.depends(step) and not isinstance(made, float):
                self.bound_values[key] = np.array(self.value_of(made))
        return made

    def entered(self, name: str, value: Any) -> Any:
        """An argument of one of the script's functions: a plain number gets an identity of its own."""
        if isinstance(value, torch.Tensor):
            self.names.setdefault(id(value), name)
            return value
        return self.bind(name, value) if type(value) in (float, np.ndarray) else value

    def _fresh(self, value: float, key: Key) -> float:
        made = float(str(value)) if value == value else value  # an object of its own, known by its id
        self._floats[id(made)] = key
        self._kept.append(made)
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
            self._kept.append(p)

    def _from_input(self, name: str, value: Any) -> Any:
        """The input ``name`` in the form of the value that stood there."""
        if isinstance(value, torch.Tensor):
            dtype, shape = dtype_of(value), tuple(value.shape)
        elif type(value) is float:
            dtype, shape = "float64", ()
        else:
            dtype, shape = str(value.dtype), tuple(np.shape(self.value_of(value)))
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
        memory.write(self.builder, Strided(x.storage_offset(), tuple(x.stride())), tuple(x.shape), step)
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

    def _shown(self, x: Any) -> Any:
        self.shown(x)
        return super()._shown(x)

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


# ------------------------------------------------------------------------------------------------ torch's modes


def _leaves(items: Any) -> Iterator[torch.Tensor]:
    return (x for x in floats(items) if x.requires_grad and x.is_leaf)


class _Functions(Functions):
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
        if name in ("__set__", "__get__") and owner is not torch.Tensor.data:
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
        keys = frozenset(t._floats[i] for i in _ids(args) if i in t._floats)
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
        t._kept.append(out)
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
        outputs, inputs = args[0], args[1] if len(args) > 1 else kwargs.get("inputs")
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


class _Dispatch(Dispatch):
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
