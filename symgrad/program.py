"""A Program: how a value is computed, one operation at a time, whole tensors, in the user's order and under the
user's names; the Builder that writes one; and `interpret`, which reads one in any number system.

Eight kinds of steps are not scalar functions (see `symgrad.ops.structure`).  The two that carry all layouts:

* ``pick``: every entry of the result is an entry of the arguments, or zero.  Views, slices, broadcasting,
  concatenation, ``where``, padding, in-place writes.
* ``scatter``: entries of the argument are added up where they land.  Sums; and pick's transpose.

Both take an *index*: a `Strided` map where the layout is affine, else an array of positions counted from one, in the
arguments' entries laid end to end; zero stands for a literal zero (in ``scatter``: dropped).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import sympy as sp

__all__ = [
    "Binding",
    "Builder",
    "Constant",
    "Guard",
    "Index",
    "Program",
    "Shape",
    "Source",
    "Step",
    "Strided",
    "System",
    "dense",
    "interpret",
    "positions",
    "promote",
    "size",
]

Shape = tuple[int, ...]

# ------------------------------------------------------------------------------------------------ the data


@dataclass(frozen=True, slots=True)
class Source:
    """Where something stands in the user's code: its text, file, line (from 1) and columns."""

    text: str
    file: str | None = None
    line: int | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Strided:
    """The affine index map ``i -> offset + sum(i_k * strides_k)`` into one argument's entries, counted from 0."""

    offset: int
    strides: tuple[int, ...]


Index = Strided | np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """Numbers that do not depend on the inputs.

    ``value`` is an array of floats (complex, booleans as 0 and 1).  ``exact`` is what they stand for: None for the
    binary values themselves, a SymPy number for a scalar, or an object array of `Fraction`.  ``radius``, if not
    None, is how far a typed decimal may be from the number that was meant (an array of `Fraction`).
    """

    value: np.ndarray
    exact: Any = None
    radius: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation.  Its value's name is its position in ``Program.steps``; ``args`` are earlier positions."""

    op: str
    args: tuple[int, ...]
    params: Any
    shape: Shape
    dtype: str
    source: Source | None = None

    @property
    def is_complex(self) -> bool:
        return self.dtype.startswith("complex")


@dataclass(frozen=True, slots=True)
class Binding:
    """The user's variable: ``h`` version 3 is the fourth value that was bound to ``h``."""

    name: str
    version: int
    step: int
    source: Source | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """A choice that the code made by looking at a value: ``op`` (such as ``gt`` or ``argmax``) of the ``args``."""

    op: str
    args: tuple[int, ...]
    params: Any
    outcome: np.ndarray
    source: Source | None = None


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in the order of computation, the inputs and outputs among them by name, and what the user called them."""

    inputs: Mapping[str, int]
    steps: tuple[Step, ...]
    outputs: Mapping[str, int]
    bindings: tuple[Binding, ...] = ()
    guards: tuple[Guard, ...] = ()

    @property
    def output(self) -> int:
        """The position of the only output."""
        (position,) = self.outputs.values()
        return position

    def shape(self, position: int) -> Shape:
        return self.steps[position].shape

    def needed(self, wanted: Iterable[int]) -> list[int]:
        """The positions that ``wanted`` depend on, themselves included, in order."""
        found: set[int] = set()
        stack = list(wanted)
        while stack:
            i = stack.pop()
            if i not in found:
                found.add(i)
                stack.extend(self.steps[i].args)
        return sorted(found)

    def with_outputs(self, outputs: Mapping[str, int]) -> Program:
        return replace(self, outputs=dict(outputs))

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Program({', '.join(self.inputs)} -> {', '.join(self.outputs)}; {len(self.steps)} steps)"

    def listing(self) -> str:
        """The steps as text, one to a line."""
        names = {b.step: f"{b.name}[{b.version}]" if b.version else b.name for b in self.bindings}
        lines = []
        for i, s in enumerate(self.steps):
            arguments = ", ".join(f"%{a}" for a in s.args)
            lines.append(f"%{i}{' ' + names[i] if i in names else ''} = {s.op}({arguments}) {s.dtype}{list(s.shape)}")
        return "\n".join(lines)


# ------------------------------------------------------------------------------------------------ shapes and indices


def size(shape: Shape) -> int:
    return math.prod(shape)


@functools.lru_cache(maxsize=4096)
def dense(shape: Shape) -> tuple[int, ...]:
    """The strides of a tensor of this shape laid out row by row."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


@functools.lru_cache(maxsize=512)
def _materialise(index: Strided, shape: Shape) -> np.ndarray:
    flat = np.full(shape, index.offset + 1, dtype=np.int64)
    for axis, (n, stride) in enumerate(zip(shape, index.strides, strict=True)):
        flat += (np.arange(n) * stride).reshape((n,) + (1,) * (len(shape) - axis - 1))
    flat = flat.ravel()
    flat.flags.writeable = False
    return flat


def positions(index: Index, shape: Shape) -> np.ndarray:
    """The index as a flat array of positions counted from one."""
    return _materialise(index, shape) if isinstance(index, Strided) else index


_ORDER = ("float16", "bfloat16", "float32", "float64")


def promote(*dtypes: str) -> str:
    """The dtype that holds all of these, as torch and NumPy promote floats.

    >>> promote("float32", "float64"), promote("float32", "complex64")
    ('float64', 'complex64')
    """
    if len(set(dtypes)) == 1:
        return dtypes[0]
    if any(d.startswith("complex") for d in dtypes):
        return "complex128" if {"complex128", "float64"} & set(dtypes) else "complex64"
    if {"float16", "bfloat16"} <= set(dtypes):
        return promote("float32", *(d for d in dtypes if d not in ("float16", "bfloat16")))
    return max(dtypes, key=_ORDER.index)


# ------------------------------------------------------------------------------------------------ writing a Program


@dataclass(eq=False)
class Builder:
    """Writes a Program.  ``source`` is put on every step written while it is set."""

    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    source: Source | None = None
    _versions: dict[str, int] = field(default_factory=dict)

    @classmethod
    def on(cls, program: Program) -> Builder:
        """A Builder that goes on where ``program`` ends."""
        builder = cls(list(program.steps), dict(program.inputs), list(program.bindings), list(program.guards))
        for b in program.bindings:
            builder._versions[b.name] = b.version + 1
        return builder

    def build(self, outputs: Mapping[str, int]) -> Program:
        return Program(dict(self.inputs), tuple(self.steps), dict(outputs), tuple(self.bindings), tuple(self.guards))

    def shape(self, i: int) -> Shape:
        return self.steps[i].shape

    def dtype(self, i: int) -> str:
        return self.steps[i].dtype

    def emit(
        self, op: str, args: Sequence[int] = (), params: Any = None, shape: Shape = (), dtype: str | None = None
    ) -> int:
        """Write one step and return its position.  The dtype defaults to the arguments' common one."""
        args = tuple(args)
        if dtype is None:
            dtype = promote(*(self.steps[a].dtype for a in args)) if args else "float64"
        self.steps.append(Step(op, args, params, tuple(shape), dtype, self.source))
        return len(self.steps) - 1

    # -------------------------------------------------------------------------------- leaves
    def input(self, name: str, shape: Shape, dtype: str = "float64") -> int:
        if name not in self.inputs:
            self.inputs[name] = self.emit("input", (), name, shape, dtype)
        return self.inputs[name]

    def constant(self, value: Any, dtype: str | None = None, *, exact: Any = None, radius: Any = None) -> int:
        """A constant: an array of data (read as the binary values it holds), or a number with its exact meaning."""
        array = np.asarray(value)
        if dtype is None:
            dtype = "complex128" if array.dtype.kind == "c" else "float64"
        array = array.astype(np.complex128 if dtype.startswith("complex") else np.float64)
        return self.emit("constant", (), Constant(array, exact, radius), array.shape, dtype)

    def number(self, value: Any, dtype: str = "float64") -> int:
        """An exact number: an int, a Fraction or a SymPy number."""
        if isinstance(value, Fraction):
            value = sp.Rational(value.numerator, value.denominator)
        exact = sp.sympify(value)
        return self.constant(complex(exact) if exact.is_real is False else float(exact), dtype, exact=exact)

    def number_of(self, i: int) -> sp.Expr | None:
        """The exact number that step ``i`` is in every entry, if it is a scalar constant or one broadcast."""
        step = self.steps[i]
        while step.op in ("pick", "cast", "name") and len(step.args) == 1:
            if step.op == "pick" and not isinstance(step.params, Strided):
                return None
            step = self.steps[step.args[0]]
        return step.params.exact if step.op == "constant" and isinstance(step.params.exact, sp.Expr) else None

    # -------------------------------------------------------------------------------- layouts
    def pick(self, args: Sequence[int], index: Index, shape: Shape, dtype: str | None = None) -> int:
        """Each entry of the result is an entry of ``args``, or zero."""
        shape = tuple(shape)
        args = list(args)
        if isinstance(index, Strided):
            (a,) = args
            source = self.steps[a]
            if index == Strided(0, dense(shape)) and size(shape) == size(source.shape):
                if shape == source.shape:
                    return a
            inner = source.params if source.op == "pick" and len(source.args) == 1 else None
            if inner is not None:
                if isinstance(inner, Strided) and inner == Strided(
                    0, dense(source.shape)
                ):  # a reshape of the whole: look through it
                    if size(self.shape(source.args[0])) == size(source.shape):
                        return self.pick(source.args, index, shape, dtype)
                if isinstance(inner, np.ndarray) or size(shape) <= 4096:
                    flat = positions(index, shape)
                    return self.pick(source.args, positions(inner, source.shape)[flat - 1], shape, dtype)
            return self.emit("pick", (a,), index, shape, dtype)
        index = np.asarray(index, dtype=np.int64).ravel()
        sizes = [size(self.shape(a)) for a in args]
        ends = np.cumsum([0, *sizes])
        if len(args) > 1:
            hit = np.zeros(len(args) + 1, dtype=bool)
            hit[np.searchsorted(ends, index, side="left")] = True
            used = [k for k in range(len(args)) if hit[k + 1]]
            if len(used) < len(args):
                if not used:
                    return self.zeros(shape, dtype or self.dtype(args[0]))
                shifted, start = np.zeros_like(index), 0
                for k in used:
                    inside = (index > ends[k]) & (index <= ends[k + 1])
                    shifted[inside] = index[inside] - ends[k] + start
                    start += sizes[k]
                return self.pick([args[k] for k in used], shifted, shape, dtype)
        if len(args) == 1:
            n = sizes[0]
            if index.size == n and n and index[0] == 1 and np.array_equal(index, np.arange(1, n + 1)):
                return self.pick(args, Strided(0, dense(shape)), shape, dtype)
            if not index.any():
                return self.zeros(shape, dtype or self.dtype(args[0]))
            source = self.steps[args[0]]
            if source.op == "pick" and (len(source.args) == 1 or source.params.size <= 4096):
                inner = np.concatenate([[0], positions(source.params, source.shape)])
                return self.pick(source.args, inner[index], shape, dtype)
        return self.emit("pick", args, index, shape, dtype)

    def scatter(self, a: int, index: Index, shape: Shape) -> int:
        """Add the entries of ``a`` up at ``index`` in a tensor of zeros."""
        index = index if isinstance(index, Strided) else np.asarray(index, dtype=np.int64).ravel()
        return self.emit("scatter", (a,), index, shape)

    def zeros(self, shape: Shape, dtype: str = "float64") -> int:
        return self.broadcast(self.number(0, dtype), shape)

    def ones(self, shape: Shape, dtype: str = "float64") -> int:
        return self.broadcast(self.number(1, dtype), shape)

    def broadcast(self, a: int, shape: Shape) -> int:
        here = self.shape(a)
        if here == tuple(shape):
            return a
        lead = len(shape) - len(here)
        strides = (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(here, dense(here), strict=True))
        return self.pick([a], Strided(0, strides), shape)

    def reshape(self, a: int, shape: Shape) -> int:
        return self.pick([a], Strided(0, dense(tuple(shape))), tuple(shape))

    def permute(self, a: int, axes: Sequence[int]) -> int:
        here = self.shape(a)
        strides = dense(here)
        return self.pick([a], Strided(0, tuple(strides[k] for k in axes)), tuple(here[k] for k in axes))

    def transpose(self, a: int) -> int:
        """Swap the last two axes."""
        n = len(self.shape(a))
        return self.permute(a, (*range(n - 2), n - 1, n - 2))

    def stack(self, parts: Sequence[int], axis: int = 0) -> int:
        shape = self.shape(parts[0])
        flat, start = [], 1
        for part in parts:
            flat.append(np.arange(start, start + size(shape)).reshape(shape))
            start += size(shape)
        where = np.stack(flat, axis)
        return self.pick(parts, where, where.shape)

    def sum(self, a: int, axes: int | Sequence[int] | None = None, keepdims: bool = False) -> int:
        here = self.shape(a)
        axes = tuple(range(len(here))) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
        axes = tuple(k % len(here) for k in axes) if here else ()
        if not axes:
            return a
        kept = tuple(1 if k in axes else n for k, n in enumerate(here))
        strides = tuple(0 if k in axes else s for k, s in enumerate(dense(kept)))
        total = self.scatter(a, Strided(0, strides), kept)
        return total if keepdims else self.reshape(total, tuple(n for k, n in enumerate(here) if k not in axes))

    # -------------------------------------------------------------------------------- arithmetic
    def binary(self, op: str, a: int, b: int, dtype: str | None = None) -> int:
        shape = self.steps[a].shape
        if shape != self.steps[b].shape:
            shape = np.broadcast_shapes(shape, self.shape(b))
            a, b = self.broadcast(a, shape), self.broadcast(b, shape)
        return self.emit(op, (a, b), None, shape, dtype)

    def add(self, a: int, b: int) -> int:
        return self.binary("add", a, b)

    def sub(self, a: int, b: int) -> int:
        return self.binary("sub", a, b)

    def mul(self, a: int, b: int) -> int:
        return self.binary("mul", a, b)

    def div(self, a: int, b: int) -> int:
        return self.binary("div", a, b)

    def neg(self, a: int) -> int:
        return self.emit("neg", (a,), None, self.shape(a))

    def power(self, a: int, b: int, dtype: str | None = None) -> int:
        """``a ** b``; a constant integer or half-integer exponent becomes an integer power or a root."""
        exponent = self.number_of(b)
        shape = np.broadcast_shapes(self.shape(a), self.shape(b))
        if exponent is not None and exponent.is_Rational and abs(exponent.p) <= 64:
            a = self.broadcast(a, shape)
            dtype = dtype or promote(self.dtype(a), self.dtype(b))
            if exponent == 0:
                return self.ones(shape, dtype)
            if exponent.q == 1:
                return self.integer_power(a, int(exponent), dtype)
            if exponent.q == 2:
                return self.integer_power(self.emit("sqrt", (a,), None, shape, dtype), int(exponent.p), dtype)
        return self.binary("pow", a, b, dtype)

    def integer_power(self, a: int, n: int, dtype: str | None = None) -> int:
        if n < 0:
            return self.binary("div", self.number(1, dtype or self.dtype(a)), self.integer_power(a, -n, dtype), dtype)
        if n == 1:
            return a
        return self.emit("powi", (a,), n, self.shape(a), dtype)

    def apply(self, name: str, *args: int, params: Any = None, dtype: str | None = None) -> int:
        """A scalar function, entry by entry; two arguments are broadcast."""
        shape = np.broadcast_shapes(*(self.shape(a) for a in args))
        return self.emit(name, [self.broadcast(a, shape) for a in args], params, shape, dtype)

    def matmul(self, a: int, b: int) -> int:
        """torch's and NumPy's ``a @ b``; every product becomes one batched step of shape (batch, n, m)."""
        left, right = self.shape(a), self.shape(b)
        if len(left) == 1:
            out = self.matmul(self.reshape(a, (1, *left)), b)
            shape = self.shape(out)
            return self.reshape(out, shape[:-2] + shape[-1:] if len(right) > 1 else ())
        if len(right) == 1:
            out = self.matmul(a, self.reshape(b, (*right, 1)))
            return self.reshape(out, self.shape(out)[:-1])
        batch = np.broadcast_shapes(left[:-2], right[:-2])
        n, k, m = left[-2], left[-1], right[-1]
        if k != right[-2]:
            raise ValueError(f"matmul of {list(left)} and {list(right)}")
        a3 = self.reshape(self.broadcast(a, (*batch, n, k)), (size(batch), n, k))
        b3 = self.reshape(self.broadcast(b, (*batch, k, m)), (size(batch), k, m))
        return self.reshape(self.emit("matmul", (a3, b3), None, (size(batch), n, m)), (*batch, n, m))

    # -------------------------------------------------------------------------------- identities with a purpose
    def stop(self, a: int) -> int:
        """The same value, cut off from differentiation: ``detach``."""
        return self.emit("stop", (a,), None, self.shape(a))

    def cast(self, a: int, dtype: str) -> int:
        """The same value, rounded to another dtype; complex to real drops the imaginary part."""
        if self.dtype(a) == dtype:
            return a
        if self.steps[a].is_complex and not dtype.startswith("complex"):
            return self.emit("real", (a,), None, self.shape(a), dtype)
        return self.emit("cast", (a,), None, self.shape(a), dtype)

    def conj(self, a: int) -> int:
        return self.emit("conj", (a,), None, self.shape(a)) if self.steps[a].is_complex else a

    def name(self, a: int, name: str) -> int:
        """Bind the user's variable ``name`` to this value; a binding is a step of its own, the identity."""
        i = self.emit("name", (a,), None, self.shape(a))
        version = self._versions.get(name, 0)
        self._versions[name] = version + 1
        self.bindings.append(Binding(name, version, i, self.source))
        return i

    def guard(self, op: str, args: Sequence[int], params: Any, outcome: Any) -> None:
        self.guards.append(Guard(op, tuple(args), params, np.array(outcome), self.source))


def join(**programs: Program) -> Program:
    """One Program of several: inputs of one name become one input; outputs are named ``program.output``."""
    builder = Builder()
    outputs: dict[str, int] = {}
    for prefix, program in programs.items():
        place: list[int] = []
        for step in program.steps:
            if step.op == "input" and step.params in builder.inputs:
                place.append(builder.inputs[step.params])
                continue
            builder.steps.append(replace(step, args=tuple(place[a] for a in step.args)))
            place.append(len(builder.steps) - 1)
            if step.op == "input":
                builder.inputs[step.params] = place[-1]
        builder.bindings += [replace(b, step=place[b.step]) for b in program.bindings]
        builder.guards += [replace(g, args=tuple(place[a] for a in g.args)) for g in program.guards]
        outputs |= {f"{prefix}.{name}": place[i] for name, i in program.outputs.items()}
    return builder.build(outputs)


# ------------------------------------------------------------------------------------------------ reading a Program


class System(Protocol):
    """A number system: what a step's value is, given its arguments' values."""

    def read(self, step: Step, args: list[Any]) -> Any: ...


def interpret(
    program: Program,
    system: System,
    inputs: Mapping[str, Any],
    wanted: Iterable[int] | None = None,
    *,
    replaced: Mapping[int, Any] | None = None,
) -> dict[int, Any]:
    """The values, in a number system, of the ``wanted`` steps and of everything they need.

    ``inputs`` maps input names to values of the system; ``replaced`` puts values in the place of steps, which are
    then not computed.
    """
    values: dict[int, Any] = dict(replaced or {})
    wanted = list(program.outputs.values()) if wanted is None else list(wanted)
    found: set[int] = set()
    stack = [i for i in wanted if i not in values]
    while stack:
        i = stack.pop()
        if i not in found:
            found.add(i)
            stack.extend(a for a in program.steps[i].args if a not in values and a not in found)
    for i in sorted(found):
        step = program.steps[i]
        if step.op == "input":
            values[i] = inputs[step.params]
        else:
            values[i] = system.read(step, [values[a] for a in step.args])
    return values
