"""SymPy formulas -> Programs at a point: scalars, matrices, matrix expressions, indexed sums."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.errors import BadFormula, BadInput, UnknownName, UnknownOperation, WrongShape, close_names
from symgrad.program.builder import Builder
from symgrad.program.indexed import Indices, OutOfRange
from symgrad.program.lowering import lower
from symgrad.program.piecewise import ExactPoint, given
from symgrad.program.program import Program, Source

# ------------------------------------------------------------------------------------------------------------ matrices
# SymPy's matrix expressions -> steps on whole matrices; explicit matrices and arrays -> their entries, stacked.

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


# --------------------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True)
class Expression:
    """A formula that was built in SymPy: a scalar, a matrix, an array, or a matrix expression.

    Inputs go by name: two symbols of one name are one input, whatever is assumed of them (`assumptions` says what
    is).  ``Indexed`` entries and ``Sum`` read tensors; symbols in limits and shapes are sizes, found from the
    tensors.  ``first_index`` is what indices count from, 0 or 1; by default 0, and 1 where only that fits the
    tensors.  ``axes`` are free indices, whose values are the axes of the result; a ``Lambda`` gives them too.
    ``extents`` are how many values each of them takes, where the formula's own entries do not tell.
    ``declared`` are shapes of inputs, by name, in numbers and names of sizes, for sizes that no limit tells.

    >>> U, x, (k, s, m, d) = sp.IndexedBase("U"), sp.IndexedBase("x"), sp.symbols("k s m d")
    >>> formula = Expression(sp.Lambda(k, sp.tanh(sp.Sum(U[k, s] * x[s], (s, 1, d)))))
    >>> formula.names, formula.sizes
    (('U', 'x'), ('d',))
    >>> formula.run({"U": [[1.0, 2.0, 3.0]] * 4, "x": [0.5, 0.5, 0.5]})
    Program(U, x -> value; 9 steps)
    """

    formula: Any
    axes: tuple[Any, ...] = ()
    first_index: int | None = None
    extents: tuple[int | None, ...] = ()
    declared: tuple[tuple[str, tuple[int | str, ...]], ...] = ()

    def __post_init__(self) -> None:
        formula: Any = self.formula
        if isinstance(formula, str):
            raise BadInput("text is not a SymPy formula.", instead="Pass the text itself; symgrad parses it.")
        if isinstance(formula, (list, tuple, np.ndarray)):
            formula = sp.Array(formula)
        try:
            formula = sp.sympify(formula, strict=True)
        except sp.SympifyError:
            raise BadInput(f"{type(self.formula).__name__} is not a SymPy formula.") from None
        if isinstance(formula, sp.Lambda):
            object.__setattr__(self, "axes", tuple(formula.variables))
            formula = formula.expr
        if entries_of(formula) is not None:
            formula = formula.as_immutable()
        if not isinstance(formula, (sp.Expr, sp.MatrixExpr, sp.NDimArray)):
            raise BadFormula(f"{formula} is not a formula but a {type(formula).__name__}.")
        object.__setattr__(self, "formula", formula)

    def __str__(self) -> str:
        try:
            return str(self.formula)
        except RecursionError:
            return f"a nested {type(self.formula).__name__}"

    # -------------------------------------------------------------------------------- what it is made of
    @functools.cached_property
    def _found(self) -> tuple[dict[str, list[Any]], dict[str, list[Any]], list[tuple]]:
        """Inputs by name, sizes by name, and the uses of a bare index or a limit that tell a size."""
        inputs: dict[str, list[Any]] = {}
        sizes: dict[str, list[Any]] = {}
        told: list[tuple] = []
        for node, bound in _walk(self.formula, frozenset(self.axes)):
            if isinstance(node, (sp.IndexedBase, sp.MatrixSymbol)):
                inputs.setdefault(_name(node), []).append(node)
                shape: Any = node.shape
                for n in shape or ():
                    for symbol in n.free_symbols:
                        sizes.setdefault(symbol.name, []).append(symbol)
            elif isinstance(node, (sp.Sum, sp.Product)):
                for limit in node.limits:
                    told.append(("limit", node, limit))
                    ends: Any = limit[1:]
                    for x in ends:
                        for symbol in x.free_symbols - bound:
                            if symbol not in {v[0] for v in node.limits}:
                                sizes.setdefault(symbol.name, []).append(symbol)
            elif isinstance(node, sp.Symbol) and node not in bound:
                inputs.setdefault(node.name, []).append(node)
            if isinstance(node, (sp.Indexed, MatrixElement)):
                told.append(("entry", node, None))
        for n in (n for _, shape in self.declared for n in shape if isinstance(n, str) and n in inputs):
            sizes.setdefault(n, [])
        for name in sizes:
            if all(isinstance(s, sp.Symbol) for s in inputs.get(name, ())):
                sizes[name] += inputs.pop(name, [])
        return inputs, sizes, told

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs: symbols, indexed bases and matrix symbols, sorted."""
        return tuple(sorted(self._found[0]))

    @property
    def sizes(self) -> tuple[str, ...]:
        """The symbols that are sizes, sorted: they stand in limits and shapes, and are not differentiated."""
        return tuple(sorted(self._found[1]))

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """The scalar symbols that are inputs; several of one name are one input."""
        return tuple(s for nodes in self._found[0].values() for s in nodes if isinstance(s, sp.Symbol))

    @property
    def assumptions(self) -> Mapping[str, Mapping[str, bool]]:
        """What the symbols were declared to be, by name: ``{"x": {"positive": True}}``."""
        found: dict[str, dict[str, bool]] = {}
        for name, nodes in self._found[0].items():
            for node in nodes:
                symbol = node.label if isinstance(node, sp.IndexedBase) else node
                declared = getattr(symbol, "_assumptions_orig", {}) if isinstance(symbol, sp.Symbol) else {}
                for key, value in declared.items():
                    if key == "commutative" or value is None:
                        continue
                    if found.setdefault(name, {}).setdefault(key, value) != value:
                        raise BadInput(f"two symbols called {name!r} are declared differently: one {key}, one not.")
        return found

    @property
    def shapes(self) -> dict[str, tuple[int | str, ...]]:
        """The tensors' shapes, as far as declarations and limits of sums tell them, in numbers and names of sizes.

        >>> U, x, (k, s, m, d) = sp.IndexedBase("U"), sp.IndexedBase("x"), sp.symbols("k s m d")
        >>> Expression(sp.Sum(sp.tanh(sp.Sum(U[k, s] * x[s], (s, 1, d))), (k, 1, m))).shapes
        {'U': ('m', 'd'), 'x': ('d',)}
        """
        inputs, _, told = self._found
        lengths: dict[str, tuple[Any, ...]] = {}
        for name, nodes in inputs.items():
            for node in nodes:
                if isinstance(node, (sp.IndexedBase, sp.MatrixSymbol)) and node.shape is not None:
                    lengths[name] = tuple(node.shape)
        sums = [(node, limit) for kind, node, limit in told if kind == "limit" and len(limit) == 3]
        for kind, entry, _ in told:
            if kind == "entry" and isinstance(entry, sp.Indexed):
                before = lengths.get(_name(entry.base), (None,) * len(entry.indices))
                here = [_length(i, entry, sums) for i in entry.indices]
                if len(before) == len(here):
                    lengths[_name(entry.base)] = tuple(a if a is not None else b for a, b in zip(before, here))
        named = {name: tuple(map(_written, shape)) for name, shape in lengths.items()}
        return {name: shape for name, shape in named.items() if None not in shape}  # type: ignore[misc]

    # -------------------------------------------------------------------------------- running it
    def run(self, point: Mapping[str, Any], dtype: str = "float64") -> Program:
        """Return the Program of the formula at ``point``, in the operations that SymPy holds.

        ``point`` maps each name to a number or an array.  Branches (Piecewise, Max, Min, Heaviside) are chosen at
        the exact binary values, and each choice is a guard of the Program.

        Raises `UnknownName` for a name without a value, `WrongShape` where tensors do not fit, `UnknownOperation`
        for what is not a closed form (Derivative, Integral, an unknown function), `BadFormula` for infinities.
        """
        for name in self.names:
            if name not in point:
                near = close_names(name, point)
                raise UnknownName(
                    f"{name!r} has no value at the point. {near}".rstrip(),
                    where=f"    {self}",
                    instead=f"Pass at={{{name!r}: ...}}.",
                )
        if self.first_index is not None:
            return self._run(point, dtype, self.first_index)
        try:
            return self._run(point, dtype, 0)
        except OutOfRange as error:
            try:
                return self._run(point, dtype, 1)
            except OutOfRange:
                raise error from None

    def _run(self, point: Mapping[str, Any], dtype: str, first: int) -> Program:
        b = Builder(source=Source(str(self)))
        inputs, _, _ = self._found
        env: dict[Any, int] = {}
        values: dict[int, Any] = {}
        for name in self.names:
            value, kind = given(point[name], dtype)
            step = b.input(name, value.shape, kind)
            values[step] = value
            env |= {node: step for node in inputs[name] if isinstance(node, sp.Symbol)}
        sizes = _Sizes(self, {n: b.shape(b.inputs[n]) for n in self.names}, point)
        told = self.extents or (None,) * len(self.axes)
        axes = {index: sizes.extent(index) if n is None else n for index, n in zip(self.axes, told, strict=True)}
        indices = Indices(b, b.inputs, sizes.known, first, axes, dtype)
        matrices = Matrices(b, b.inputs, sizes.known, dtype)

        def extension(e: Any) -> Any:
            plan = indices.plan(e)
            return plan if plan is not None else matrices.plan(e)

        exact = ExactPoint(b, values)
        out = lower(b, self.formula, env, dtype=dtype, point=exact, form="as written", extension=extension)
        if axes:
            out = b.broadcast(out, tuple(axes.values()))
        elif isinstance(self.formula, sp.MatrixExpr) and b.shape(out) == (1, 1) and entries_of(self.formula) is None:
            out = b.reshape(out, ())  # x.T * A * x is meant as a number
        return b.build({"value": out})


def _length(index: Any, entry: Any, sums: list[tuple[Any, Any]]) -> Any:
    """How many values a bare index of an entry takes in the sum around it; None where that is not said."""
    for node, (bound, low, high) in sums:
        if bound == index and node.function.has(entry):
            return high - low + 1
    return None


def _written(length: Any) -> int | str | None:
    if length is None or length.is_Symbol:
        return None if length is None else length.name
    return int(length) if length.is_Integer else None


def _name(node: Any) -> str:
    return str(node.label) if isinstance(node, sp.IndexedBase) else node.name


def _walk(formula: Any, bound: frozenset[Any]) -> Iterator[tuple[Any, frozenset[Any]]]:
    """Every part of a formula once, with the indices bound around it; without recursion."""
    seen: set[tuple[Any, frozenset[Any]]] = set()
    stack: list[tuple[Any, frozenset[Any]]] = [(formula, bound)]
    while stack:
        node, bound = stack.pop()
        if (node, bound) in seen:
            continue
        seen.add((node, bound))
        yield node, bound
        if isinstance(node, (sp.IndexedBase, sp.MatrixSymbol, sp.Idx, sp.CRootOf)):
            continue
        explicit = entries_of(node)
        if explicit is not None:
            stack.extend((x, bound) for x in explicit[0])
        elif isinstance(node, (sp.Sum, sp.Product)):
            inner = bound | {limit[0] for limit in node.limits}
            stack.append((node.function, inner))
            stack.extend((x, inner) for limit in node.limits for x in limit[1:])
        elif isinstance(node, sp.Lambda):
            stack.append((node.expr, bound | set(node.variables)))
        else:
            stack.extend((x, bound) for x in node.args)


class _Sizes:
    """The numbers that the symbols in limits and shapes stand for, from the tensors' own shapes."""

    def __init__(self, expression: Expression, shapes: Mapping[str, tuple[int, ...]], point: Mapping[str, Any]) -> None:
        inputs, sizes, self.told = expression._found
        self.shapes, self.known = shapes, {}
        self.same = sizes
        for name in sizes:
            if name in point:
                self.settle(name, int(point[name]))
        for name, shape in expression.declared:
            for n, actual in zip(shape, shapes.get(name, ()), strict=False):
                if n in sizes:
                    self.settle(str(n), actual)
        for name, nodes in inputs.items():
            for node in nodes:
                if isinstance(node, (sp.IndexedBase, sp.MatrixSymbol)) and node.shape is not None:
                    self.fitting(name, node)
        for kind, node, limit in self.told:
            if kind == "limit":
                self.from_limit(node, limit)

    def settle(self, name: str, n: int) -> None:
        for symbol in self.same[name]:
            if self.known.setdefault(symbol, n) != n:
                raise WrongShape(f"the size {name} is both {self.known[symbol]} and {n}.")

    def fitting(self, name: str, node: Any) -> None:
        """A tensor that was declared with a shape has it."""
        shape = self.shapes[name]
        vector = isinstance(node, sp.MatrixSymbol) and len(shape) == 1 and 1 in node.shape
        wanted: list[Any] = list(node.shape)
        if vector and len(shape) != len(wanted):
            wanted = [n for n in wanted if n != 1]
        if vector and not wanted:
            wanted = [sp.Integer(1)]
        if len(wanted) != len(shape):
            raise WrongShape(f"{name} was declared with the shape {tuple(node.shape)} and is given {list(shape)}.")
        for n, actual in zip(wanted, shape, strict=True):
            if n.is_Symbol:
                self.settle(n.name, actual)
            elif n.is_Integer and n != actual:
                raise WrongShape(f"{name} was declared with the shape {tuple(node.shape)} and is given {list(shape)}.")

    def from_limit(self, node: Any, limit: Any) -> None:
        """``(k, 1, m)`` with an entry ``U[k, s]`` in the body: m is how many rows U has."""
        index, low, high = limit if len(limit) == 3 else (limit[0], sp.nan, sp.nan)
        free: Any = (high - low).free_symbols
        unknown = [s for s in free if s not in self.known and s.name in self.same]
        if len(unknown) != 1:
            return
        n = self.range_of(index, node.function)
        if n is not None:
            solutions = sp.solve((high - low + 1).subs(self.known) - n, unknown[0])
            if len(solutions) == 1 and solutions[0].is_Integer:
                self.settle(unknown[0].name, int(solutions[0]))

    def range_of(self, index: Any, within: sp.Basic | None = None) -> int | None:
        """The length of an axis that the bare index runs along."""
        for kind, entry, _ in self.told:
            if kind == "entry" and (within is None or within.has(entry)):
                base = entry.base if isinstance(entry, sp.Indexed) else entry.args[0]
                places = entry.indices if isinstance(entry, sp.Indexed) else entry.args[1:]
                if isinstance(base, (sp.IndexedBase, sp.MatrixSymbol)) and index in places:
                    shape = self.shapes[_name(base)]
                    axis = list(places).index(index)
                    if axis < len(shape):
                        return shape[axis]
        return None

    def extent(self, index: Any) -> int:
        """How many values a free index takes."""
        n = self.range_of(index)
        if n is None:
            raise WrongShape(
                f"the range of the index {index} is not known: it is the index of no tensor.",
                instead=f"Use it in an entry, such as U[{index}, s].",
            )
        return n
