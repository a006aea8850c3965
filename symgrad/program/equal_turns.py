"""Turns of a loop that do the same with other entries, written as one step over all of them.

``torch.stack([x[i:i + k] @ w for i in range(n - k + 1)])`` records as many products as there are windows, and ``s = s +
x[i] * w[j]`` as many sums as there are turns.  Here what is joined, the parts of a stack or the terms of a sum, becomes
one tensor with an axis more, wherever all parts are made by the same operations; then records at different sizes take
the same steps.  What depends on the turn before is left as it is.

>>> b = Builder()
>>> x = b.input("x", (3,))
>>> parts = [b.apply("exp", b.pick([x], [k], ())) for k in (1, 2, 3)]
>>> print(turns_together(b.build({"y": b.stack(parts)})).listing())
%0 = input() float64[3]
%1 = exp(%0) float64[3]
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.program import Constant, Index, Program, Strided, positions, size, sliced

_MOST = 1 << 20  # entries of a step that is looked at
_ENTRYWISE = {"add", "sub", "mul", "div", "neg", "pow", "powi", "stop"}


def turns_together(program: Program) -> Program:
    """The Program with the parts of each stack, and the terms of each sum, computed together where they can be; a
    Program that makes choices stays as it is."""
    if program.guards:
        return program
    turns = _Turns(program)
    outputs = {name: turns.place[i] for name, i in program.outputs.items()}
    return sliced(turns.b.build(outputs), outputs)


class _Turns:
    """A Program written again, step by step."""

    def __init__(self, program: Program) -> None:
        self.b = Builder()
        self.known: dict[tuple[int, ...], int | None] = {}
        self.place: list[int] = []
        self.kinds: list[int] = []
        self.keys: dict[Any, int] = {}
        inner = Counter(step.args[0] for step in program.steps if step.op in ("add", "sub"))
        for i, step in enumerate(program.steps):
            args = [self.place[a] for a in step.args]
            made = None
            if step.op == "pick" and len(set(args)) > 1:
                made = self.joined(args, step.params, step.shape, step.dtype)
            elif step.op in ("add", "sub") and not inner[i]:
                made = self.summed(program, i)
            if made is None:
                made = self.b.emit(step.op, args, step.params, step.shape, step.dtype)
                if step.op == "input":
                    name = next(n for n, k in program.inputs.items() if k == i)
                    self.b.inputs[name] = made
            self.place.append(made)

    def joined(self, args: Sequence[int], index: Index, shape: tuple[int, ...], dtype: str) -> int | None:
        together = self.alike(tuple(args))
        return None if together is None else self.b.pick([together], index, shape, dtype)

    def summed(self, program: Program, i: int) -> int | None:
        """The sum that ends here, of what is added turn by turn."""
        steps, terms, first = program.steps, [], i
        while steps[first].op in ("add", "sub", "name"):
            if steps[first].op != "name":
                term = self.place[steps[first].args[1]]
                terms.append(self.b.neg(term) if steps[first].op == "sub" else term)
            first = steps[first].args[0]
        shape = steps[i].shape
        start = self.place[first]
        terms = [self.b.broadcast(t, shape) for t in [start, *terms[::-1]]]
        groups: dict[Any, list[int]] = {}
        for t in terms if self.b.number_of(start) != 0 else terms[1:]:
            groups.setdefault(self.kind(t), []).append(t)
        parts, found = [], False
        for group in groups.values():
            together = self.alike(tuple(group)) if len(group) > 1 else None
            found |= together is not None
            parts += group if together is None else [self.b.sum(together, 0)]
        return functools.reduce(self.b.add, parts) if found else None

    def kind(self, i: int) -> int:
        """What a value is made by, whatever entries and constants it is made of."""
        for k in range(len(self.kinds), i + 1):
            step = self.b.steps[k]
            leaf = k if step.op == "input" else None
            key = (step.op, step.shape, step.dtype, leaf, *(self.kinds[a] for a in step.args))
            self.kinds.append(self.keys.setdefault(key, len(self.keys)))
        return self.kinds[i]

    def alike(self, ids: tuple[int, ...]) -> int | None:
        """These values along a new first axis, computed together; None where they are not made alike."""
        if ids not in self.known:
            self.known[ids] = None  # of another kind is what a turn makes of the one before
            self.known[ids] = self._alike(ids) if len(set(map(self.kind, ids))) == 1 else None
        return self.known[ids]

    def _alike(self, ids: tuple[int, ...]) -> int | None:
        b, n = self.b, len(ids)
        steps = [b.steps[i] for i in ids]
        first = steps[0]
        shape = first.shape
        if len(set(ids)) == 1:
            return b.broadcast(b.reshape(ids[0], (1, *shape)), (n, *shape))
        if n * size(shape) > _MOST:
            return None
        match first.op:
            case "constant":
                values = [_exact_value(s.params) for s in steps]
                return None if any(v is None for v in values) else b.constant(np.stack(values), first.dtype)  # type: ignore[arg-type]
            case "pick":
                return self._picked(ids)
        slots = [self.alike(tuple(s.args[k] for s in steps)) for k in range(len(first.args))]
        if not slots or any(slot is None for slot in slots):
            return None
        args: list[int] = slots  # type: ignore[assignment]
        match first.op:
            case "name":
                return args[0]
            case "cast":
                return b.cast(args[0], first.dtype)
            case "scatter":
                inside = b.steps[first.args[0]].shape
                where = [_flat(s.params, inside) for s in steps]
                moved = [np.where(w > 0, w + k * size(shape), 0) for k, w in enumerate(where)]
                return b.scatter(args[0], np.concatenate(moved), (n, *shape))
            case "matmul":
                one, other = (b.reshape(a, (n * b.shape(a)[1], *b.shape(a)[2:])) for a in args)
                product = b.emit("matmul", (one, other), None, (n * shape[0], *shape[1:]), first.dtype)
                return b.reshape(product, (n, *shape))
        row = first.op in OPS and not OPS[first.op].branches
        if not (row or first.op in _ENTRYWISE) or any(s.params != first.params for s in steps):
            return None
        wide = [b.reshape(a, (n, *(1,) * (len(shape) - len(b.shape(a)) + 1), *b.shape(a)[1:])) for a in args]
        return b.emit(first.op, [b.broadcast(a, (n, *shape)) for a in wide], first.params, (n, *shape), first.dtype)

    def _picked(self, ids: tuple[int, ...]) -> int | None:
        """Layouts of the same tensors, or of tensors that are made alike, as one layout."""
        b = self.b
        steps = [b.steps[i] for i in ids]
        where = np.stack([_flat(s.params, s.shape) for s in steps])
        args, out, start, begin = [], np.zeros_like(where), 0, 0
        turn = np.arange(len(ids))[:, None]
        for parts in zip(*(s.args for s in steps), strict=True):
            lengths = {size(b.shape(p)) for p in parts}
            if len(lengths) > 1:
                return None
            (length,) = lengths
            shared = len(set(parts)) == 1
            part = parts[0] if shared else self.alike(tuple(parts))
            if part is None:
                return None
            mine = (where > start) & (where <= start + length)
            out = np.where(mine, where - start + begin + (0 if shared else turn * length), out)
            args.append(part)
            start, begin = start + length, begin + length * (1 if shared else len(ids))
        return b.pick(args, out.ravel(), (len(ids), *steps[0].shape), steps[0].dtype)


def _flat(index: Index, shape: tuple[int, ...]) -> np.ndarray:
    return (positions(index, shape) if isinstance(index, Strided) else np.asarray(index)).ravel()


def _exact_value(constant: Constant) -> np.ndarray | None:
    """What a constant stands for, where that is the floats that it holds."""
    value, exact = constant.value, constant.exact
    if constant.radius is not None or not np.isfinite(value).all():
        return None
    if exact is None:
        return value
    meant: list[Any] = [exact] * value.size if isinstance(exact, sp.Basic) else list(np.asarray(exact).ravel())
    if any(isinstance(e, sp.Basic) and not e.is_Rational for e in meant):
        return None
    same = (Fraction(int(e.p), int(e.q)) if isinstance(e, sp.Rational) else Fraction(e) for e in meant)
    return value if all(e == Fraction(float(v)) for e, v in zip(same, value.ravel())) else None
