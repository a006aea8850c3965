"""A Program in SymPy: what it means, whatever it computes.

An input that is a number is a real symbol of its name; an input that is a tensor is an array of its entries,
``U[0, 1]``, which are SymPy's Indexed.  Trees of shared parts grow fast (a recurrence of T steps has a derivative of
order T**2 operations, or worse), so the size is counted beforehand and the reading refused where it is too large;
a Program itself has no such limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from symgrad.errors import SymgradError, UnknownOperation
from symgrad.evaluation.balls import array_of, entrywise, matmul, read_entries
from symgrad.ops.matrices import MATRICES
from symgrad.ops.row import ARGUMENTS, X
from symgrad.ops.scalars import OPS
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.program import Constant, Program, Step, interpret, positions, size

_OPERATIONS = 20_000
_DEPTH = 120
_CHEAP = 12  # operations of an argument that SymPy may look into while it builds a function of it


class TooLarge(SymgradError):
    """A meaning that would be too large an expression for SymPy to handle."""


def letter(name: str, shape: tuple[int, ...] = (), *, real: bool = True) -> Any:
    """The symbol that stands for an input, or the array of its entries.

    >>> letter("x"), letter("U", (1, 2))
    (x, array([[U[0, 0], U[0, 1]]], dtype=object))
    """
    if not shape:
        return sp.Symbol(name, real=True) if real else sp.Symbol(name)
    base: Any = sp.IndexedBase(name, shape=shape, real=True) if real else sp.IndexedBase(name, shape=shape)
    return array_of([base[i] for i in np.ndindex(shape)], shape)


def meaning(
    program: Program, position: int | None = None, *, operations: int = _OPERATIONS, depth: int = _DEPTH
) -> Any:
    """Return what a step of the Program is (by default its only output), as SymPy reads it.

    A number is a SymPy expression, a tensor an object array of them.  SymPy rewrites as it builds, so that the
    result says what the Program means, not how it computes.

    >>> from symgrad.lifting.text.text_formula import Text
    >>> meaning(Text("(x + y) - x").run({"x": 1.0, "y": 2.0}))
    y

    Raises `UnknownOperation` for functions of whole matrices, `TooLarge` where the result could have more than
    ``operations`` operations or nest more than ``depth`` deep.  Guarantee: equal to the Program in exact arithmetic at
    every point of its domain, on the branches that it took.
    """
    position = program.output if position is None else position
    for op in (program.steps[i].op for i in program.needed([position])):
        if op in MATRICES:
            raise UnknownOperation(
                f"{op.replace('_', ' ')} of a matrix is no formula in its entries.",
                instead="Call the derivative as a torch function, or print its code.",
            )
    _check(program, position, operations, depth)
    inputs = {
        name: letter(name, program.shape(i), real=not program.steps[i].is_complex) for name, i in program.inputs.items()
    }
    return interpret(program, Exact(), inputs, [position])[position]


_ROWS: dict[str, Callable[..., Any]] = {
    "pow": lambda step, a, b: entrywise(lambda x, y: sp.Pow(x, y, evaluate=not is_huge_power(x, y)), a, b),
    "polygamma": lambda step, a: entrywise(lambda x: sp.polygamma(step.params, x), a),
    "conj": lambda step, a: entrywise(sp.conjugate, a),
    "real": lambda step, a: entrywise(sp.re, a),
    "imag": lambda step, a: entrywise(sp.im, a),
    "inverse": lambda step, a: _inverse(a),
    "solve": lambda step, a, b: matmul(_inverse(a), b),
    "det": lambda step, a: array_of([_det(m) for m in a], step.shape),
    "logabsdet": lambda step, a: array_of([sp.log(sp.Abs(_det(m))) for m in a], step.shape),
    "cholesky": lambda step, a: np.stack([_cholesky(m) for m in a]),
}


class Exact:
    """The system of SymPy expressions."""

    zero = sp.Integer(0)
    rows = _ROWS

    def constant(self, step: Step) -> Any:
        c: Constant = step.params
        exact = c.value if c.exact is None else c.exact
        entries = [exact] if isinstance(exact, sp.Basic) else np.asarray(exact, dtype=object).reshape(-1).tolist()
        return array_of([_number(x) for x in entries], c.value.shape)

    def read(self, step: Step, args: list[Any]) -> Any:
        if step.op in OPS:
            return entrywise(lambda *items: _apply(step.op, items), *args)
        return read_entries(self, step, args)

    def function(self, name: str) -> None:
        """SymPy knows the meaning of every row, and that is what `read` gives."""


def _number(x: Any) -> sp.Expr:
    """A number as SymPy's: a float is the binary number it is."""
    if isinstance(x, sp.Basic):
        return x  # type: ignore[return-value]
    if isinstance(x, complex):
        return _number(x.real) + sp.I * _number(x.imag)
    if isinstance(x, float):
        if x != x or abs(x) == float("inf"):
            return sp.nan if x != x else sp.oo if x > 0 else -sp.oo
        return sp.Rational(*x.as_integer_ratio())
    return sp.Rational(x.numerator, x.denominator)


def _apply(row: str, args: tuple[Any, ...]) -> Any:
    """A row's exact column of these arguments.

    SymPy's functions look into their arguments while they are built, at a cost that is exponential in the nesting of
    tanh; a head that is one function is therefore built unevaluated around anything but a small argument.
    """
    exact: Any = OPS[row].exact
    if len(args) == 1 and exact.args == (X,) and isinstance(exact, sp.Function) and _ops(args[0]) > _CHEAP:
        return exact.func(args[0], evaluate=False)
    return exact.xreplace(dict(zip(ARGUMENTS, args, strict=False)))


def _ops(e: Any) -> int:
    """How many nodes an expression has, counted up to a few."""
    n, stack = 0, [e]
    while stack and n <= _CHEAP:
        n += 1
        stack.extend(stack.pop().args)  # type: ignore[arg-type]
    return n


def _array(m: sp.Matrix) -> np.ndarray:
    return array_of(list(m.flat()), m.shape)


def _det(m: Any) -> Any:
    return sp.Matrix(m).det(method="berkowitz")


def _inverse(a: Any) -> np.ndarray:
    return np.stack([_array(m.adjugate() / _det(m)) for m in map(sp.Matrix, a)])


def _cholesky(a: np.ndarray) -> np.ndarray:
    n = a.shape[0]
    out = np.full((n, n), sp.Integer(0), dtype=object)
    for j in range(n):
        for i in range(j, n):
            left = (a[i, j] + a[j, i]) / 2 - sum((out[i, k] * out[j, k] for k in range(j)), sp.Integer(0))
            out[i, j] = sp.sqrt(left) if i == j else left / out[j, j]
    return out


# ------------------------------------------------------------------------------------------------ size, beforehand


def _check(program: Program, position: int, operations: int, depth: int) -> None:
    """Refuse a Program whose meaning could be too large: operations and nesting, bounded entry by entry."""
    work: dict[int, np.ndarray] = {}
    deep: dict[int, int] = {}
    for i in program.needed([position]):
        step = program.steps[i]
        args = [work[a] for a in step.args]
        deep[i] = max((deep[a] for a in step.args), default=0) + (step.op not in _FREE)
        work[i] = _work(step, args)
        total = float(work[i].max(initial=0.0))
        if work[i].size > operations or total > operations or deep[i] > depth:
            what = (
                f"has {work[i].size} entries"
                if work[i].size > operations
                else f"would have up to {total:.3g} operations"
                if total > operations
                else f"nests {deep[i]} deep"
            )
            raise TooLarge(
                f"the formula {what} as a SymPy expression at step {i} ({step.op}), "
                f"where the limit is {operations} operations, {depth} deep.",
                where=f"    {step.source.text}" if step.source is not None else None,
                instead="Use the Program itself: it has no such limit (call it, or compile it for torch).",
            )
    if float(work[position].sum()) > 4 * operations:
        raise TooLarge(
            f"the formula would have up to {work[position].sum():.3g} operations in its "
            f"{work[position].size} entries together, where the limit is {4 * operations}.",
            instead="Use the Program itself, or ask for one entry of it.",
        )


_FREE = frozenset("input constant pick name cast stop".split())


def _work(step: Step, args: list[np.ndarray]) -> np.ndarray:
    """A bound of the number of operations of each entry of a step."""
    match step.op:
        case "input" | "constant":
            return np.zeros(step.shape)
        case "name" | "cast" | "stop":
            return args[0]
        case "pick":
            entries = np.concatenate([[0.0], *(a.reshape(-1) for a in args)])
            return entries[positions(step.params, step.shape)].reshape(step.shape)
        case "scatter":
            out = np.zeros(size(step.shape) + 1)
            np.add.at(out, positions(step.params, args[0].shape), args[0].reshape(-1) + 1)
            return out[1:].reshape(step.shape)
        case "matmul":
            a, b = args
            return a.sum(2)[:, :, None] + b.sum(1)[:, None, :] + 2 * a.shape[2]
        case "inverse" | "det" | "logabsdet" | "cholesky" | "solve":
            n = args[0].shape[-1]
            each = float(max(a.max(initial=0.0) for a in args)) + 1
            return np.full(step.shape, each * 4.0 ** min(n, 60))
    if step.op in COMPOSITES:
        axis = step.params
        each = 2 * args[0] + 4 + (args[0] + 2).sum(axis, keepdims=True)
        return each if each.shape == step.shape else each.max(axis, keepdims=True)
    own = float(OPS[step.op].exact.count_ops()) if step.op in OPS else 1.0
    uses = [OPS[step.op].exact.count(s) for s in ARGUMENTS] if step.op in OPS else [1, 1]
    total = sum((u * a for u, a in zip(uses, args, strict=False)), start=np.zeros(step.shape))
    return total + own


_LONGEST = 4096  # bits of a number that is written out


def is_huge_power(base: sp.Expr, exponent: sp.Expr) -> bool:
    """Whether SymPy would write out a power of numbers that nobody can read, for as long as it takes.

    >>> is_huge_power(sp.Integer(9), sp.Integer(9) ** 9), is_huge_power(sp.Integer(2), sp.Integer(10))
    (True, False)
    """
    if not (isinstance(base, sp.Rational) and isinstance(exponent, sp.Integer)) or abs(base) == 1:
        return False
    return abs(int(exponent)) * max(int(base.p).bit_length(), int(base.q).bit_length()) > _LONGEST
