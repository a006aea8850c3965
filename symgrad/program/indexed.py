"""SymPy's Indexed and Sum -> steps, whole tensors at a time.

Every index in scope is an axis: the value of a sub-expression is a tensor with one axis for each index that it
depends on, counted from the right, so that the axis of an inner sum stands left of those of the sums around it.  An
entry ``U[k, s]`` is then one pick, and a sum is one scatter, however many terms it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.errors import BadFormula, UnknownName, WrongShape
from symgrad.program.builder import FOR_ALL_SIZES, Builder
from symgrad.program.layouts import prod
from symgrad.program.piecewise import choose
from symgrad.program.program import Index, Shape, Strided

_RELATIONS = {
    sp.Eq: np.equal,
    sp.Ne: np.not_equal,
    sp.StrictLessThan: np.less,
    sp.LessThan: np.less_equal,
    sp.StrictGreaterThan: np.greater,
    sp.GreaterThan: np.greater_equal,
}

Plan = tuple[list[Any], Callable[[list[int]], int]]


class OutOfRange(WrongShape):
    """An index points outside its tensor."""


class Indices:
    """What the indices of a formula range over, and how to write what depends on them.

    ``tensors`` maps names to input steps; ``sizes`` maps symbols to numbers; ``first`` is the position that an index
    counts from (0 or 1); ``axes`` are the free indices with their sizes, in the order of the result's axes.
    """

    def __init__(
        self,
        builder: Builder,
        tensors: Mapping[str, int],
        sizes: Mapping[Any, int],
        first: int,
        axes: dict[Any, int],
        dtype: str,
    ) -> None:
        self.builder, self.tensors, self.sizes, self.first, self.dtype = builder, tensors, sizes, first, dtype
        self.ranges: dict[Any, tuple[int, np.ndarray]] = {}
        for k, (index, n) in enumerate(reversed(axes.items())):
            self.ranges[index] = k, np.arange(first, first + n).reshape((n,) + (1,) * k)

    def plan(self, e: Any) -> Plan | None:
        """The plan of a head that has to do with indices (see `symgrad.program.lowering.lower`), else None."""
        b = self.builder
        if e in self.sizes:
            return [], lambda steps: b.number(self.sizes[e], self.dtype)
        if e in self.ranges:
            return [], lambda steps: b.constant(self.ranges[e][1], self.dtype)
        if isinstance(e, sp.Indexed):
            return [], lambda steps: self.entry(e, self.tensor(e), e.indices, self.first)
        if isinstance(e, MatrixElement) and isinstance(e.args[0], sp.MatrixSymbol):
            matrix: Any = e.args[0]
            return [], lambda steps: self.entry(e, self.tensors[matrix.name], e.args[1:], 0)
        if isinstance(e, MatrixElement) and any(self.depends(i) for i in e.args[1:]):
            return [e.args[0]], lambda steps: self.entry(e, steps[0], e.args[1:], 0)
        if isinstance(e, sp.KroneckerDelta):
            left, right = (self.integers(x) for x in e.args[:2])
            return [], lambda steps: b.constant((left == right).astype(float), self.dtype)
        if isinstance(e, (sp.Sum, sp.Product)):
            return self.fold(e)
        if isinstance(e, sp.Piecewise):
            return self.chosen(e)
        return None

    def tensor(self, e: Any) -> int:
        name = str(e.base.label)
        if name not in self.tensors:
            raise UnknownName(f"{name!r}, of {e}, has no value at the point.")
        return self.tensors[name]

    # -------------------------------------------------------------------------------- entries
    def entry(self, e: Any, tensor: int, indices: tuple[Any, ...], first: int) -> int:
        """``U[k, s]`` for all values of the indices at once: one pick."""
        shape, whole = self.builder.shape(tensor), e
        if len(indices) == 2 and len(shape) == 1 and isinstance(e, MatrixElement):
            shape = (shape[0], 1) if whole.args[0].shape[1] == 1 else (1, shape[0])
        if len(indices) != len(shape):
            raise WrongShape(f"{_shown(e)} has {len(indices)} indices, and its tensor has the shape {list(shape)}.")
        at = [self.integers(i) - first for i in indices]
        for k, (where, n) in enumerate(zip(at, shape, strict=True)):
            if where.size and (where.min() < 0 or where.max() >= n):
                worst = int(where.min() if where.min() < 0 else where.max()) + first
                raise OutOfRange(
                    f"{_shown(e)} takes its index {_shown(indices[k])} to {worst}, "
                    f"and axis {k} of the tensor of shape {list(shape)} runs from {first} to {n - 1 + first}."
                )
        at = np.broadcast_arrays(*at)
        flat = np.ravel_multi_index(tuple(at), shape) if at[0].size else np.zeros(at[0].shape, dtype=np.int64)
        return self.builder.pick([tensor], affine(flat), flat.shape)

    def integers(self, e: Any) -> np.ndarray:
        """The value of an index expression, along the axes that it depends on."""
        if e in self.sizes:
            return np.array(self.sizes[e])
        if e in self.ranges:
            return self.ranges[e][1]
        if isinstance(e, sp.Integer):
            return np.array(int(e))
        if isinstance(e, (sp.Add, sp.Mul)):
            values = [self.integers(a) for a in e.args]
            total = values[0]
            for v in values[1:]:
                total = total + v if isinstance(e, sp.Add) else total * v
            return total
        if isinstance(e, sp.Mod):
            return self.integers(e.args[0]) % self.integers(e.args[1])
        if isinstance(e, (sp.Max, sp.Min)):
            values = [self.integers(a) for a in e.args]
            return (np.maximum if isinstance(e, sp.Max) else np.minimum).reduce(np.broadcast_arrays(*values))
        what = (
            "an integer expression in indices" if not e.is_Symbol else "an index in scope, and no size is known for it"
        )
        raise BadFormula(
            f"the index {e} is not {what}.",
            instead="Give the size in at={...}, or name the free indices, in order, as the formula's axes.",
        )

    # -------------------------------------------------------------------------------- sums and products
    def fold(self, e: Any) -> Plan:
        """A sum or product over its limits, of which the last is the outermost."""
        summed = isinstance(e, sp.Sum)
        renamed: dict[Any, sp.Basic] = {}  # another sum may use the same letter for another range
        loops: list[tuple[int, int, np.ndarray | None]] = []
        axis = 1 + max((self.ranges[i][0] for i in self.depends(e)), default=-1)
        for limit in reversed(e.limits):
            if len(limit) != 3 or any(x.is_infinite for x in limit[1:]):
                raise BadFormula(
                    f"{e} has no finite limits.", instead="Write an index's first and last value: (k, 1, m)."
                )
            low, high = (self.integers(x.xreplace(renamed)) for x in limit[1:])
            along, mask = _range(low, high, axis)
            if not along.size:
                return [], lambda steps: self.builder.number(0 if summed else 1, self.dtype)
            fresh = sp.Dummy(str(limit[0]), integer=True)
            self.ranges[fresh] = axis, along
            renamed[limit[0]] = fresh
            loops.append((axis, along.shape[-axis - 1], mask))
            axis += 1
        write = self.total if summed else self.product

        def folded(steps: list[int]) -> int:
            (total,) = steps
            for axis, n, mask in reversed(loops):
                total = write(total, axis, n, mask)
            return total

        return [e.function.xreplace(renamed)], folded

    # -------------------------------------------------------------------------------- choices
    def chosen(self, e: Any) -> Plan | None:
        """A quotient or root that indices alone choose, ``1/(x[i] - x[j])`` where i < j; None for other choices.

        Elsewhere it may have no value, and is written at indices that choose it.
        """
        (body, condition), *rest = e.args
        indices = self.depends(condition)
        is_safe = all(p.exp.is_Integer and p.exp > 0 for p in body.atoms(sp.Pow)) and not body.has(sp.log)
        if len(rest) != 1 or rest[0].cond != sp.true or not indices or is_safe:
            return None
        mask = self.holds(condition)
        if mask is None or mask.all() or not mask.any():
            return None
        place = tuple(np.argwhere(mask)[0])
        fresh: dict[Any, sp.Basic] = {}
        for i in indices:
            axis, along = self.ranges[i]
            whole = np.broadcast_to(along, mask.shape)
            fresh[i] = sp.Dummy(str(i), integer=True)
            self.ranges[fresh[i]] = axis, np.where(mask, whole, whole[place])
        return [body.xreplace(fresh), rest[0].expr], lambda steps: choose(
            self.builder, [(lambda: steps[0], lambda: mask)], lambda: steps[1]
        )

    def holds(self, condition: Any) -> np.ndarray | None:
        """Where a condition on indices holds; None for one on other values."""
        if isinstance(condition, (sp.And, sp.Or)):
            parts = [self.holds(c) for c in condition.args]
            known = [p for p in parts if p is not None]
            together = np.logical_and if isinstance(condition, sp.And) else np.logical_or
            return together.reduce(np.broadcast_arrays(*known)) if len(known) == len(parts) else None
        if not isinstance(condition, sp.core.relational.Relational):
            return None
        try:
            left, right = map(self.integers, condition.args)
        except BadFormula:
            return None
        return np.asarray(_RELATIONS[type(condition)](left, right))

    def depends(self, e: Any) -> set[Any]:
        found: set[Any] = set()
        stack: list[Any] = [e]
        while stack:
            x = stack.pop()
            if x in self.ranges:
                found.add(x)
            else:
                stack.extend(x.args)
        return found

    def along(self, i: int, axis: int, n: int, mask: np.ndarray | None) -> int:
        """Step ``i`` with all axes up to ``axis``, entries outside the mask dropped."""
        b, here = self.builder, self.builder.shape(i)
        shape: Shape = np.broadcast_shapes((n,) + (1,) * axis, here)
        if mask is not None:
            shape = np.broadcast_shapes(shape, mask.shape)
        i = b.broadcast(i, shape)
        if mask is None:
            return i
        index = np.where(np.broadcast_to(mask, shape).reshape(-1), np.arange(1, int(np.prod(shape)) + 1), 0)
        return b.pick([i], index, shape)

    def total(self, i: int, axis: int, n: int, mask: np.ndarray | None) -> int:
        return self.builder.sum(self.along(i, axis, n, mask), 0)

    def product(self, i: int, axis: int, n: int, mask: np.ndarray | None) -> int:
        if mask is not None:
            raise BadFormula("a product whose limits depend on another index is not read.", instead="Write it out.")
        b = self.builder
        whole = self.along(i, axis, n, None)
        if FOR_ALL_SIZES.get():
            return prod(b, whole, 0)
        rest = b.shape(whole)[1:]
        entries = int(np.prod(rest))
        parts = [b.pick([whole], np.arange(1, entries + 1) + k * entries, rest) for k in range(n)]
        total = parts[0]
        for part in parts[1:]:
            total = b.mul(total, part)
        return total


def _range(low: np.ndarray, high: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The values from low to high along an axis; where these depend on other indices, a mask says which count."""
    low, high = np.broadcast_arrays(low, high)
    if low.size == 0 or high.max() < low.min():
        return np.zeros(0, dtype=np.int64), None
    along = np.arange(low.min(), high.max() + 1)
    along = along.reshape((along.size,) + (1,) * axis)
    mask = (along >= low) & (along <= high)
    if mask.all():
        return along, None
    ends = np.where(low > along.max(), along.min(), along.max())  # of a range without a value: as far from it as can be
    low, high = np.where(high < low, ends, low), np.where(high < low, ends, high)
    return np.clip(along, low, high), mask  # elsewhere stay on the border, where the body is defined


def _shown(e: Any) -> Any:
    """With the letters that the formula has."""
    return e.xreplace({d: sp.Symbol(d.name) for d in e.atoms(sp.Dummy)})


def affine(flat: np.ndarray) -> Index:
    """The affine map of these positions (counted from 0) if there is one, else the positions counted from 1."""
    if flat.size == 0:
        return flat.reshape(-1)
    origin = flat[(0,) * flat.ndim]
    strides = []
    for axis, n in enumerate(flat.shape):
        second = tuple(1 if k == axis else 0 for k in range(flat.ndim))
        strides.append(int(flat[second] - origin) if n > 1 else 0)
    guess = np.full(flat.shape, origin)
    for axis, (n, stride) in enumerate(zip(flat.shape, strides, strict=True)):
        guess = guess + (np.arange(n) * stride).reshape((n,) + (1,) * (flat.ndim - axis - 1))
    if np.array_equal(guess, flat):
        return Strided(int(origin), tuple(strides))
    return flat.reshape(-1) + 1
