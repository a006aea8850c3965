"""Writing a Program: the `Builder`, a method for each kind of step, and `join`, which makes one Program of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import EndlessRun
from symgrad.program.program import (
    WHOLE,
    Binding,
    Constant,
    Guard,
    Index,
    Program,
    Shape,
    Source,
    Step,
    Strided,
    dense,
    positions,
    promote,
    size,
    whole_number,
)

FOR_ALL_SIZES: ContextVar[bool] = ContextVar("for_all_sizes", default=False)


@dataclass(eq=False)
class Builder:
    """Writes a Program.  ``source`` is put on every step written while it is set.

    Raises `EndlessRun` where more than ``most`` steps are written.
    """

    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    course: tuple[Guard, ...] = ()
    source: Source | None = None
    most: int = 10**7
    _versions: dict[str, int] = field(default_factory=dict)

    @classmethod
    def on(cls, program: Program) -> Builder:
        """A Builder that goes on where ``program`` ends."""
        kept = list(program.steps), dict(program.inputs), list(program.bindings), list(program.guards)
        builder = cls(*kept, program.course)
        for b in program.bindings:
            builder._versions[b.name] = b.version + 1
        return builder

    def build(self, outputs: Mapping[str, int]) -> Program:
        written = tuple(self.steps), dict(outputs), tuple(self.bindings), tuple(self.guards)
        return Program(dict(self.inputs), *written, self.course)

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
        count = len(self.steps)
        if count >= self.most:
            self.bound(count)
        self.steps.append(Step(op, args, params, tuple(shape), dtype, self.source))
        return count

    def bound(self, count: int) -> None:
        """Raise `EndlessRun` where code has done ``most`` things and goes on."""
        if count >= self.most:
            raise EndlessRun(
                f"your code had not ended after {self.most:,} operations.",
                where=None if self.source is None else f"    {self.source.text}",
                instead="A loop that ends by a value may have no end for other inputs: say for which it has one by "
                "domain=, or bound the number of its rounds.",
            )

    # -------------------------------------------------------------------------------- leaves
    def input(self, name: str, shape: Shape, dtype: str = "float64") -> int:
        if name not in self.inputs:
            self.inputs[name] = self.emit("input", (), name, shape, dtype)
        return self.inputs[name]

    def constant(
        self, value: Any, dtype: str | None = None, *, exact: Any = None, radius: Any = None, made: Any = None
    ) -> int:
        """A constant: an array of data (read as the binary values it holds), or a number with its exact meaning."""
        array = np.asarray(value)
        if dtype is None:
            dtype = "complex128" if array.dtype.kind == "c" else "float64"
        array = array.astype(np.complex128 if dtype.startswith("complex") else np.float64)
        return self.emit("constant", (), Constant(array, exact, radius, made), array.shape, dtype)

    def whole(self, op: str, args: Sequence[int], value: Any, dtype: str | None = None, params: Any = None) -> int:
        """``args`` made whole: a guard, and the constant that came out."""
        self.guard(op, args, params, value)
        made = whole_number(self.steps, op, args, params) if op in WHOLE else None
        return self.constant(value, dtype, made=made)

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
            if shape == source.shape and index == Strided(0, dense(shape)):
                return a
            inner = source.params if source.op == "pick" and len(source.args) == 1 else None
            if inner is not None:
                whole = size(self.shape(source.args[0])) == size(source.shape)
                if whole and isinstance(inner, Strided) and inner == Strided(0, dense(source.shape)):
                    return self.pick(source.args, index, shape, dtype)  # a reshape: look through it
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
        for _ in parts:
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
        exponent, shape = self.number_of(b), self.shape(a)
        shape = shape if shape == self.shape(b) else np.broadcast_shapes(shape, self.shape(b))
        if isinstance(exponent, sp.Rational) and abs(exponent.p) <= 64:
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
        i = self.emit("name", (a,), None, self.steps[a].shape, self.steps[a].dtype)
        version = self._versions.get(name, 0)
        self._versions[name] = version + 1
        self.bindings.append(Binding(name, version, i, self.source))
        return i

    def guard(self, op: str, args: Sequence[int], params: Any, outcome: Any) -> None:
        self.guards.append(Guard(op, tuple(args), params, np.array(outcome), self.source, at=len(self.steps)))

    def looks_at_sign(self, args: Sequence[int], outcome: Any) -> None:
        """abs, or sign, looks at the sign of what it is given; which is no choice where choices are written out."""
        if not FOR_ALL_SIZES.get():
            self.guard("sign", args, None, outcome)


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
            args = tuple([place[a] for a in step.args])
            place.append(len(builder.steps))
            builder.steps.append(step if args == step.args else step.on(args))
            if step.op == "input":
                builder.inputs[step.params] = place[-1]
        builder.bindings += [Binding(b.name, b.version, place[b.step], b.source) for b in program.bindings]
        builder.guards += [replace(g, args=tuple(place[a] for a in g.args)) for g in program.guards]
        builder.course += program.course
        outputs |= {f"{prefix}.{name}": place[i] for name, i in program.outputs.items()}
    return builder.build(outputs)
