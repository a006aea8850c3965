"""Tensors as they stand in formulas in LaTeX: an entry for every choice of indices, as a SymPy scalar.

A `Value` of shape (n, m) is a function from two index expressions to SymPy; products are sums over fresh indices, so
that a formula ends as ``Sum`` and ``Indexed`` whatever it was written with.  A vector is a column, its transpose a row.
What linear algebra leaves open (a vector squared, a number added to a matrix) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.errors import BadFormula, SymgradError, UnknownOperation, WrongShape
from symgrad.lifting.latex.token_reader import Node, parts
from symgrad.lifting.text.lexicon import applied, resolve

Size = int | None


class Trouble(Exception):
    """Two values that do not fit, without the place."""

    def __init__(self, what: str, instead: str | None = None, kind: type[SymgradError] = WrongShape) -> None:
        super().__init__(what)
        self.what, self.instead, self.kind = what, instead, kind


@dataclass(frozen=True, slots=True)
class Value:
    """``at`` gives the entry at some indices; a size that is not known yet (of ones, of the identity) is None.

    ``matrix`` is the same as a SymPy matrix expression, where it has one: determinants and inverses need it.  ``unit``
    is c where this is c times the identity.  ``entrywise`` says that functions of single entries made it, so that a
    power of it means powers of entries.
    """

    shape: tuple[Size, ...]
    at: Callable[..., Any]
    row: bool = False
    matrix: Any = None
    entrywise: bool = False
    unit: Any = None

    @property
    def form(self) -> str:
        match len(self.shape):
            case 0:
                return "number"
            case 1:
                return "row" if self.row else "column"
            case 2:
                return "matrix"
        return "tensor"

    @property
    def kind(self) -> str:
        match self.shape:
            case ():
                return "a number"
            case (n,):
                return f"a {'row' if self.row else 'vector'} of {n} entries" if n else "a vector"
            case shape if len(shape) == 2:
                return f"a matrix of shape {' x '.join(str(n) for n in shape)}"
            case shape:
                return f"a tensor of shape {list(shape)}"


def too_many_indices(name: str, count: int, shape: tuple[int, ...]) -> tuple[str, str]:
    """What is wrong with an entry that has more indices than its tensor has axes, and what to write instead."""
    what = "is a number" if not shape else f"has the shape {list(shape)}"
    wanted = ", ".join("3" for _ in range(count)) + ("," if count == 1 else "")
    shown = f"{name} has {count} ind{'ex' if count == 1 else 'ices'} here, and {what}."
    return shown, f"Give it a shape that fits: at={{{name!r}: ({wanted})}}."


def entries_of(base: Any) -> Callable[..., Any]:
    return lambda *i: base[i]


def of_numbers(head: str, value: Any, numbers: Sequence[Any]) -> Any:
    """What SymPy knows of numbers: a derivative along the time, a value at a place, an unknown function's value."""
    if head == "along":
        return _along(numbers[0], value)
    if head == "at":
        return _at_values(numbers[0], numbers[1:])
    return _of_an_unknown(value[0], value[1], numbers)


def _of_an_unknown(name: str, primes: int, given: Sequence[Any]) -> Any:
    """A function of which only the name is known, or its derivative, at some numbers."""
    f = sp.Function(name)
    if not primes:
        return f(*given)
    if len(given) > 1:
        raise Trouble(f"{name} with a prime has {len(given)} arguments.")
    t = sp.Dummy("t")
    return sp.Subs(sp.Derivative(f(t), (t, primes)), t, given[0])


def _along(body: Any, speeds: Mapping[str, str]) -> Any:
    """The derivative of a number along the time, where these names move with these speeds."""
    return sp.Add(*(body.diff(sp.Symbol(n)) * sp.Symbol(speed) for n, speed in speeds.items()))


def _at_values(body: Any, named: Sequence[Any]) -> Any:
    """A number where some names have these values: first the names, and then as many values."""
    names, values = named[: len(named) // 2], named[len(named) // 2 :]
    if not all(isinstance(n, sp.Symbol) for n in names):
        raise Trouble("a value is given to names alone.")
    return body.subs(dict(zip(names, values, strict=True)), simultaneous=True)


def at_entry(value: Value) -> Callable[[Any], Any]:
    return lambda e: value.at(*e.indices)


def real_root(x: Any, order: int) -> Any:
    return sp.sign(x) * sp.Abs(x) ** sp.Rational(1, order)


class Algebra:
    """The operations; ``first`` is what indices count from."""

    def __init__(self, first: int) -> None:
        self.first = first

    # -------------------------------------------------------------------------------- making values
    def scalar(self, expression: Any) -> Value:
        return Value((), lambda: expression)

    def ones(self, entry: int) -> Value:
        return Value((None,), lambda i: sp.Integer(entry), entrywise=False)

    def identity(self) -> Value:
        return Value((None, None), lambda i, j: sp.KroneckerDelta(i, j), unit=sp.Integer(1))

    def literal(self, entries: sp.ImmutableMatrix) -> Value:
        """A matrix of entries that are written out; of one column a vector, of one row its transpose."""
        (rows, columns), first = entries.shape, self.first

        def at(*given: Any) -> Any:
            i, j = given if len(given) == 2 else (given[0], first) if columns == 1 else (first, given[0])
            marks = {
                (a, b): sp.KroneckerDelta(i, a + first) * sp.KroneckerDelta(j, b + first)
                for a in range(rows)
                for b in range(columns)
            }
            return sp.Add(*(entries[place] * mark for place, mark in marks.items()))

        if columns == 1 or rows == 1:
            return Value((rows * columns,), at, row=columns > 1)
        return Value((rows, columns), at, matrix=entries)

    def total(self, n: Size, body: Callable[[Any], Any]) -> Any:
        """The sum of ``body`` over an axis of n entries."""
        if n is None:
            raise Trouble("how long this is, is not known.", "Write the sum with its limits.")
        k = sp.Dummy("k", integer=True)
        return sp.Sum(body(k), (k, self.first, self.first + n - 1))

    def number(self, a: Value) -> Value:
        """A tensor of one entry as a number."""
        if a.shape and all(n == 1 for n in a.shape):
            entry = a.at(*[sp.Integer(self.first)] * len(a.shape))
            return self.scalar(entry)
        return a

    # -------------------------------------------------------------------------------- entry by entry
    def size(self, a: Size, b: Size, what: str) -> Size:
        if a is not None and b is not None and a != b:
            raise Trouble(f"{what} has axes of {a} and {b} entries.")
        return b if a is None else a

    def common(self, values: Sequence[Value], what: str) -> tuple[tuple[Size, ...], bool]:
        """The shape of tensors that are taken entry by entry; numbers go with all."""
        shape: tuple[Size, ...] = ()
        row = False
        for v in values:
            if not v.shape:
                continue
            if not shape:
                shape, row = v.shape, v.row
                continue
            if len(v.shape) != len(shape) or (len(shape) == 1 and v.row != row):
                other = next(w for w in values if w.shape == shape)
                raise Trouble(f"{what} of {other.kind} and {v.kind} is not defined.")
            shape = tuple(self.size(a, b, what) for a, b in zip(shape, v.shape, strict=True))
        return shape, row

    def map(self, f: Callable[..., Any], values: Sequence[Value], what: str) -> Value:
        """``f`` of the entries."""
        shape, row = self.common(values, what)
        return Value(shape, lambda *i: f(*(v.at(*i) if v.shape else v.at() for v in values)), row, None, bool(shape))

    def add(self, values: Sequence[Value]) -> Value:
        ranks = {len(v.shape) for v in values}
        if 0 in ranks and len(ranks) > 1:
            values = [self.number(v) for v in values]
            ranks = {len(v.shape) for v in values}
        if 0 in ranks and len(ranks) > 1:
            tensor = next(v for v in values if v.shape)
            if len(tensor.shape) == 2 and not all(v.entrywise for v in values if v.shape):
                raise Trouble(
                    f"a number is added to {tensor.kind}, which means the identity to some and ones to others.",
                    "Write \\lambda \\mathbf{I}, or the entries with indices: A_{ij} + \\lambda.",
                )
        shape, row = self.common(values, "the sum")
        matrix = None
        if len(shape) == 2 and shape[0] is not None and all(v.matrix is not None or v.unit is not None for v in values):
            matrix = sp.MatAdd(*(v.matrix if v.unit is None else v.unit * sp.Identity(shape[0]) for v in values))
        entrywise = bool(shape) and all(v.entrywise for v in values if v.shape)
        return Value(
            shape, lambda *i: sp.Add(*(v.at(*i) if v.shape else v.at() for v in values)), row, matrix, entrywise
        )

    def negative(self, a: Value) -> Value:
        return self.scaled(self.scalar(sp.Integer(-1)), a)

    def scaled(self, number: Value, a: Value) -> Value:
        c = number.at()
        matrix = None if a.matrix is None else sp.MatMul(c, a.matrix)
        unit = None if a.unit is None else c * a.unit
        return replace(a, at=lambda *i: c * a.at(*i), matrix=matrix, unit=unit)

    # -------------------------------------------------------------------------------- products
    def times(self, a: Value, b: Value, sign: str) -> Value:
        """``a b``, ``a \\cdot b``: of numbers, vectors and matrices."""
        if sign == "times" and a.shape and b.shape:
            raise Trouble(
                f"\\times of {a.kind} and {b.kind} is a cross product to some.", "Write A B, x^\\top y or x \\odot y."
            )
        if not a.shape or not b.shape:
            return self.scaled(a, b) if not a.shape else self.scaled(b, a)
        match a.form, b.form:
            case "column", "column":
                if sign in ("cdot", "*"):
                    return self.dot(a, b)
                if a.shape == (1,) or b.shape == (1,):
                    return self.times(self.number(a), self.number(b), sign)
                raise Trouble("the product of two vectors is not clear.", "Write x^\\top y, x y^\\top or x \\odot y.")
            case "row", "column":
                return self.dot(a, b)
            case "column", "row":
                return Value((*a.shape, *b.shape), lambda i, j: a.at(i) * b.at(j))
            case "row", "row":
                raise Trouble("the product of two rows is not clear.", "Write x^\\top y, x y^\\top or x \\odot y.")
            case "matrix", "column":
                return self.through(a, b, a.shape[:1], lambda k, i: a.at(i, k) * b.at(k))
            case "row", "matrix":
                return self.through(a, b, b.shape[1:], lambda k, j: a.at(k) * b.at(k, j), row=True)
            case "matrix", "matrix":
                made = self.through(a, b, a.shape[:1] + b.shape[1:], lambda k, i, j: a.at(i, k) * b.at(k, j))
                if a.matrix is None or b.matrix is None:
                    return made
                return replace(made, matrix=sp.MatMul(a.matrix, b.matrix))
            case "column", "matrix" if b.shape[:1] == (1,):
                return self.times(Value((*a.shape, 1), lambda i, j: a.at(i)), b, sign)
            case "matrix", "row" if a.shape[1:] == (1,):
                return self.times(a, Value((1, *b.shape), lambda i, j: b.at(j)), sign)
        raise Trouble(f"the product of {a.kind} and {b.kind} is not defined.", "Write the transpose where it stands.")

    def inner(self, a: Value, b: Value) -> Size:
        """The size of the axis that a product runs along."""
        last, first = a.shape[-1], b.shape[0]
        if last is not None and first is not None and last != first:
            raise Trouble(f"the product of {a.kind} and {b.kind} is not defined: {last} and {first} do not fit.")
        return first if last is None else last

    def through(
        self, a: Value, b: Value, shape: tuple[Size, ...], body: Callable[..., Any], row: bool = False
    ) -> Value:
        """A sum over the inner axis; the identity is only passed by."""
        n = self.inner(a, b)
        for one, other in ((a, b), (b, a)):
            if one.unit is not None:
                grown = tuple(n if x is None else x for x in other.shape)
                return self.scaled(self.scalar(one.unit), replace(other, shape=grown))
        return Value(shape, lambda *i: self.total(n, lambda k: body(k, *i)), row)

    def dot(self, a: Value, b: Value) -> Value:
        n = self.inner(a, b)
        return self.scalar(self.total(n, lambda k: a.at(k) * b.at(k)))

    def over(self, a: Value, b: Value) -> Value:
        b = self.number(b)
        if b.shape:
            raise Trouble(f"a division by {b.kind} is not defined.", "Write A^{-1}, or x \\oslash y for entries.")
        if not a.shape:
            return self.scalar(a.at() / b.at())
        return self.scaled(self.scalar(1 / b.at()), a)

    # -------------------------------------------------------------------------------- matrices
    def transposed(self, a: Value, *, sure: bool) -> Value:
        match a.shape:
            case ():
                if not sure:
                    raise Trouble(
                        "^T stands on a number, where it may be a power.",
                        "Give the tensor a shape, at={...: (3,)}; for a power call the exponent otherwise.",
                    )
                return a
            case (_,):
                return replace(a, row=not a.row)
            case (n, m):
                matrix = None if a.matrix is None else sp.Transpose(a.matrix)
                return replace(a, shape=(m, n), at=lambda i, j: a.at(j, i), matrix=matrix)
        raise Trouble(f"the transpose of {a.kind} is not defined.")

    def square(self, a: Value, what: str) -> int:
        if len(a.shape) != 2 or a.shape[0] != a.shape[1] or a.shape[0] is None:
            raise Trouble(f"{what} of {a.kind} is not defined.", "It needs a square matrix.")
        return a.shape[0]

    def whole(self, a: Value, what: str) -> Any:
        if a.matrix is None:
            raise Trouble(
                f"{what} is read of sums and products of matrices alone.", "Give the matrix a name of its own."
            )
        return a.matrix

    def determinant(self, a: Value) -> Value:
        if not a.shape:
            return a
        self.square(a, "the determinant")
        if isinstance(a.matrix, sp.MatrixBase):
            return self.scalar(a.matrix.det(method="berkowitz"))
        return self.scalar(sp.Determinant(self.whole(a, "a determinant")))

    def inverse(self, a: Value) -> Value:
        n = self.square(a, "the inverse")
        if isinstance(a.matrix, sp.MatrixBase):
            return self.literal(sp.ImmutableMatrix(a.matrix.adjugate() / a.matrix.det(method="berkowitz")))
        matrix = sp.Inverse(self.whole(a, "an inverse"))
        first = self.first
        return Value((n, n), lambda i, j: MatrixElement(matrix, i - first, j - first), matrix=matrix)

    def power(self, a: Value, n: int) -> Value:
        self.square(a, "a power")
        base = self.inverse(a) if n < 0 else a
        whole = base
        for _ in range(abs(n) - 1):
            whole = self.times(whole, base, "")
        return whole

    def trace(self, a: Value) -> Value:
        if not a.shape:
            return a
        n = self.square(a, "the trace")
        return self.scalar(self.total(n, lambda k: a.at(k, k)))

    def diagonal(self, a: Value) -> Value:
        match a.shape:
            case (n,):
                return Value((n, n), lambda i, j: sp.KroneckerDelta(i, j) * a.at(i))
            case (_, _):
                return Value((self.square(a, "the diagonal"),), lambda i: a.at(i, i))
        instead = 'Say which letters are vectors and matrices: at={"x": ("n",), "W": ("m", "n")}.'
        raise Trouble(f"diag of {a.kind} is not defined.", instead)

    # -------------------------------------------------------------------------------- sums of all entries
    def over_all(self, a: Value, f: Callable[[Any], Any]) -> Any:
        """The sum of ``f`` of every entry."""
        if not a.shape:
            return f(a.at())
        indices: list[Any] = []

        def inside(rest: tuple[Size, ...]) -> Any:
            if not rest:
                return f(a.at(*indices))

            def body(k: Any) -> Any:
                indices.append(k)
                made = inside(rest[1:])
                indices.pop()
                return made

            return self.total(rest[0], body)

        return inside(a.shape)

    def norm(self, a: Value, kind: str) -> Value:
        if not a.shape:
            return self.scalar(sp.Abs(a.at()))
        if kind == "1" and len(a.shape) > 1:
            raise Trouble("\\|A\\|_1 of a matrix is two norms.", "Write the sum with indices.")
        if kind == "2" and len(a.shape) == 2 and 1 not in a.shape:
            raise Trouble(
                "\\|A\\| of a matrix is the spectral norm to some.", "Write \\|A\\|_F for the Frobenius norm."
            )
        if kind == "1":
            return self.scalar(self.over_all(a, sp.Abs))
        return self.scalar(sp.sqrt(self.over_all(a, lambda x: x**2)))

    def softmax(self, a: Value) -> Value:
        if len(a.shape) != 1:
            raise Trouble(
                f"the softmax of {a.kind} is not clear.", "It is read of vectors; write the sum with indices."
            )
        (n,) = a.shape
        return Value(a.shape, lambda i: sp.exp(a.at(i)) / self.total(n, lambda k: sp.exp(a.at(k))), a.row, None, True)

    def logsumexp(self, a: Value) -> Value:
        return self.scalar(sp.log(self.over_all(a, sp.exp)))

    def inner_product(self, a: Value, b: Value) -> Value:
        if len(a.shape) != len(b.shape):
            raise Trouble(f"the inner product of {a.kind} and {b.kind} is not defined.")
        if not a.shape:
            return self.scalar(a.at() * b.at())
        shape, _ = self.common([replace(a, row=False), replace(b, row=False)], "the inner product")
        return self.scalar(self.over_all(Value(shape, lambda *i: a.at(*i) * b.at(*i)), lambda x: x))


# ----------------------------------------------------------------------------------------------------- function values
_WHOLE = frozenset("exp log sqrt cos sin cosh sinh log2 log10".split())  # of a matrix these have a second meaning


def call(a: Algebra, name: str, primes: int, values: Sequence[Value]) -> Value:
    """A function, or its derivative where there are primes."""
    tensors: dict[str, Callable[[Value], Value]] = {
        "det": a.determinant,
        "tr": a.trace,
        "diag": a.diagonal,
        "softmax": a.softmax,
        "logsumexp": a.logsumexp,
        "logdet": lambda v: a.scalar(sp.log(a.determinant(v).at())),
        "total": lambda v: a.scalar(a.over_all(v, lambda x: x)),
    }
    if name in tensors:
        if primes:
            raise Trouble(f"the derivative of {name} is not read.", "Write it out.", BadFormula)
        return tensors[name](values[0])
    found = resolve(name)
    assert found is not None
    head, extra, _, most = found
    if name in _WHOLE:
        refuse_whole(values[0], name)
    if head not in ("maximum", "minimum") and most is not None and len(values) < most and name != "log":
        raise Trouble(f"{name} is not read in LaTeX.", "Write it out.", UnknownOperation)
    if not primes:
        return a.map(lambda *x: applied(head, extra, x), values, f"{name}")
    x = sp.Dummy("x", real=True)
    slope = sp.diff(applied(head, extra, (x,)), x, primes)
    if slope.has(sp.Derivative, sp.DiracDelta, sp.Heaviside, sp.sign):
        raise Trouble(f"the derivative of {name} has a jump.", "Write it out, with \\begin{cases}.", BadFormula)
    return a.map(lambda z: slope.subs(x, z), values, name)


def refuse_whole(value: Value, what: str) -> None:
    """Refuse what a matrix has in two ways: entry by entry, and as a whole."""
    if len(value.shape) == 2 and not value.entrywise and 1 not in value.shape:
        raise Trouble(
            f"{what} of {value.kind} is entry by entry to some and a function of the matrix to others.",
            "Write it with indices, as in \\exp(A_{ij}).",
        )


# ------------------------------------------------------------------------------------------------------------- moments
# Means of random variables, of which only is used that they are linear: each mean of a product is a number by itself.


def random_names(node: Node) -> list[str]:
    """The random variables in a mean: its capital letters."""
    names = (str(p.value) for p in parts(node) if p.head == "name")
    return [n for n in dict.fromkeys(names) if n[0].isupper() and len(n.split("_")[0]) == 1]


def moment(kind: str, values: Sequence[Any], random: Sequence[str]) -> Any:
    """A mean, a variance or a covariance by the means of products.

    Raises `Trouble` for a mean that depends on what is not random: it is no number by itself.
    """
    x, y = values[0], values[-1]
    if kind == "E":
        return _mean(x, random)
    return _mean(x * y, random) - _mean(x, random) * _mean(y, random)


def moment_name(product: Any) -> str:
    """What a mean is called: ``E_X2`` for that of X**2."""
    return "E_" + re.sub(r"\W+", "_", str(product).replace("**", "").replace("*", "")).strip("_")


def _mean(x: Any, random: Sequence[str]) -> Any:
    total = sp.S.Zero
    for term in sp.Add.make_args(sp.expand(x)):
        fixed, moving = term.as_independent(*(sp.Symbol(n) for n in random))
        if {str(s) for s in moving.free_symbols} - set(random):
            raise Trouble(f"the mean of {moving} depends on more than what is random.", "Write out its value.")
        total += fixed if moving == 1 else fixed * sp.Symbol(moment_name(moving))
    return total
