"""SymPy's matrix expressions -> steps on whole matrices; explicit matrices and arrays -> their entries, stacked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.errors import UnknownOperation, WrongShape
from symgrad.program.builder import Builder
from symgrad.program.lowering import lower

__all__ = ["Matrices", "entries_of"]

Plan = tuple[list[Any], Callable[[list[int]], int]]


def entries_of(formula: Any) -> tuple[list[Any], tuple[int, ...]] | None:
    """The entries and the shape of an explicit matrix or array, else None."""
    if isinstance(formula, sp.NDimArray):
        return list(sp.flatten(formula)), tuple(int(n) for n in formula.shape)
    if isinstance(formula, sp.MatrixBase):
        return list(formula.flat()), tuple(int(n) for n in formula.shape)
    return None


class Matrices:
    """How to write matrix expressions; ``inputs`` maps the names of matrix symbols to input steps."""

    def __init__(self, builder: Builder, inputs: Mapping[str, int], sizes: Mapping[Any, int], dtype: str) -> None:
        self.builder, self.inputs, self.sizes, self.dtype = builder, inputs, sizes, dtype

    def shape(self, e: Any) -> tuple[int, int]:
        """The shape in numbers."""
        rows, columns = (int(sp.sympify(n).subs(self.sizes)) for n in e.shape)
        return rows, columns

    def plan(self, e: Any) -> Plan | None:
        """The plan of a matrix expression, or of a scalar made of one (see `lower`), else None."""
        b = self.builder
        explicit = entries_of(e)
        if explicit is not None:
            entries, shape = explicit
            return list(entries), lambda steps: self.stacked(steps, shape)
        whole: Any = e  # SymPy's annotations know no heads
        match e:
            case sp.MatrixSymbol():
                return [], lambda steps: b.reshape(self.inputs[e.name], self.shape(e))
            case MatrixElement():
                matrix, i, j = whole.args
                k = int(sp.sympify(i).subs(self.sizes)) * self.shape(matrix)[1] + int(sp.sympify(j).subs(self.sizes))
                return [matrix], lambda steps: b.pick(steps, np.array([k + 1]), ())
            case sp.Trace():
                n = self.shape(whole.arg)[0]
                diagonal = np.arange(n) * (n + 1) + 1
                return [whole.arg], lambda steps: b.sum(b.pick(steps, diagonal, (n,)))
            case sp.Determinant():
                return [whole.arg], lambda steps: b.reshape(b.emit("det", (self.batch(steps[0]),), None, (1,)), ())
        if not isinstance(e, sp.MatrixExpr):
            return None
        match e:
            case sp.MatAdd():
                return list(whole.args), lambda steps: self.fold(b.add, steps)
            case sp.MatMul():
                return list(whole.args), lambda steps: self.product(list(whole.args), steps)
            case sp.HadamardProduct():
                return list(whole.args), lambda steps: self.fold(b.mul, steps)
            case sp.HadamardPower():
                return [whole.base, whole.exp], lambda steps: b.power(steps[0], steps[1])
            case sp.Transpose():
                return [whole.arg], lambda steps: b.transpose(steps[0])
            case sp.Adjoint():
                return [whole.arg], lambda steps: b.conj(b.transpose(steps[0]))
            case sp.Inverse():
                return [whole.arg], lambda steps: self.inverse(steps[0])
            case sp.MatPow() if whole.exp.is_Integer and whole.exp != 0:
                return [whole.base], lambda steps: self.power(steps[0], int(whole.exp))
            case sp.Identity():
                return [], lambda steps: b.constant(np.eye(self.shape(e)[0]), self.dtype)
            case sp.ZeroMatrix():
                return [], lambda steps: b.zeros(self.shape(e), self.dtype)
            case sp.OneMatrix():
                return [], lambda steps: b.ones(self.shape(e), self.dtype)
            case ElementwiseApplyFunction():
                entry = sp.Dummy("entry", real=True)
                body = whole.function(entry)
                return [whole.expr], lambda steps: lower(b, body, {entry: steps[0]}, dtype=self.dtype)
        raise UnknownOperation(
            f"{type(e).__name__} is not read, in {e}.",
            instead="Write it with +, *, .T, .I, Trace, Determinant, HadamardProduct and .applyfunc, or by entries.",
        )

    def stacked(self, steps: list[int], shape: tuple[int, ...]) -> int:
        b = self.builder
        if any(b.shape(i) for i in steps):
            raise WrongShape("an entry of a matrix is itself a tensor at the point; give numbers for its names.")
        return b.reshape(b.stack(steps), shape) if steps else b.zeros(shape, self.dtype)

    def fold(self, operation: Callable[[int, int], int], steps: list[int]) -> int:
        total = steps[0]
        for i in steps[1:]:
            total = operation(total, i)
        return total

    def product(self, args: list[Any], steps: list[int]) -> int:
        """The matrices from left to right, times the scalars."""
        b = self.builder
        scalars = [i for a, i in zip(args, steps, strict=True) if not getattr(a, "is_Matrix", False)]
        matrices = [i for a, i in zip(args, steps, strict=True) if getattr(a, "is_Matrix", False)]
        total = self.fold(b.matmul, matrices)
        return b.mul(self.fold(b.mul, scalars), total) if scalars else total

    def batch(self, i: int) -> int:
        return self.builder.reshape(i, (1, *self.builder.shape(i)))

    def inverse(self, i: int) -> int:
        b, shape = self.builder, self.builder.shape(i)
        return b.reshape(b.emit("inverse", (self.batch(i),), None, (1, *shape)), shape)

    def power(self, i: int, n: int) -> int:
        base = self.inverse(i) if n < 0 else i
        return self.fold(self.builder.matmul, [base] * abs(n))
