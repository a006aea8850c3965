"""What index notation is made of: SymPy scalars over indexed leaves, and binders that no renaming can capture.

A *body* is a SymPy scalar.  Its leaves are `sympy.Indexed` (an entry of a tensor, indices count from 0), real Symbols
(scalars) and sizes (positive integer Symbols); above them stand arithmetic, elementwise functions, `KroneckerDelta`,
and *binders*: `IndexSum` and the matrix heads of `symgrad.indices.terms`.  A binder owns its index: replacing
symbols (`rename`, and SymPy's own ``xreplace`` and ``subs``) never touches a bound index and never captures one.
SymPy's ``Sum`` does both, silently, which is why it is not used.

>>> import sympy as sp
>>> n = sp.Symbol("n", integer=True, positive=True)
>>> i, p = sp.symbols("i p", integer=True)
>>> x, w = tensor("x", n), tensor("w", n)
>>> rename(IndexSum(x[i] * w[p], i, n), {p: i})
IndexSum(w[i]*x[_i], _i, n)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import sympy as sp
from sympy.printing.precedence import PRECEDENCE

# --------------------------------------------------------------------------------------------------------------- facts
# What may be declared about the leaves of a formula: facts that a proof may use, and must then name.


@dataclass(frozen=True, slots=True)
class SumsTo:
    """The entries of ``name`` along ``axis`` sum to ``value`` (a number), wherever the other indices stand."""

    name: str
    axis: int = 0
    value: Any = 1
    rank: int = 1

    def __str__(self) -> str:
        what = {(1, 0): "entries", (2, 0): "columns", (2, 1): "rows"}.get((self.rank, self.axis))
        number = "one" if self.value == 1 else str(self.value)
        if what == "entries":
            return f"the entries of {self.name} sum to {number}"
        if what:
            return f"the {what} of {self.name} sum to {number}"
        return f"{self.name} sums to {number} along axis {self.axis}"


@dataclass(frozen=True, slots=True)
class Symmetric:
    """The matrix ``name`` equals its transpose."""

    name: str

    def __str__(self) -> str:
        return f"{self.name} is symmetric"


@dataclass(frozen=True, slots=True)
class Positive:
    """Every entry of ``name`` (or the scalar ``name``) is greater than zero."""

    name: str

    def __str__(self) -> str:
        return f"{self.name} is positive"


Fact = SumsTo | Symmetric | Positive


# --------------------------------------------------------------------------------------------------------------- heads
# Elementwise functions that SymPy must not rewrite as it builds: opaque heads, with their derivatives.
#
# SymPy merges ``exp(z)**-1`` into ``exp(-z)`` and ``exp(z)*exp(2*z)`` into ``exp(3*z)``; `Max` factors its arguments
# each time it is built.  A normal form needs one generator for each exponential, and it does its own merging.


class EXP(sp.Function):
    """exp, never merged."""

    nargs = 1
    is_real = True
    is_positive = True

    def fdiff(self, argindex: int = 1) -> Any:
        return self

    def _eval_rewrite_as_exp(self, z: Any, **_: Any) -> Any:
        return sp.exp(z)


class STEP(sp.Function):
    """1 where its argument is positive, else 0."""

    nargs = 1
    is_integer = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Any:
        return sp.S.Zero


class RELU(sp.Function):
    """max(z, 0); its derivative is taken to be `STEP` (0 at the kink)."""

    nargs = 1
    is_real = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Any:
        return STEP(self.args[0])


def opaque(e: Any) -> Any:
    """``e`` with SymPy's exp, Max, Min and Heaviside written by opaque heads."""
    e = sp.sympify(e)
    if not e.args or isinstance(e, (sp.Indexed, sp.IndexedBase)):
        return EXP(sp.S.One) if e is sp.E else e
    args = [opaque(a) for a in e.args]
    match e:
        case sp.exp():
            return EXP(opaque(e.args[0]))
        case sp.Max():
            return _greatest(args)
        case sp.Min():
            return -_greatest([-a for a in args])
        case sp.Heaviside():
            return STEP(args[0])
        case _:
            return e if all(a is b for a, b in zip(args, e.args, strict=True)) else e.func(*args)


def _greatest(args: list[Any]) -> Any:
    first, *rest = sorted(args, key=sp.default_sort_key)
    for a in rest:
        first = first + RELU(a - first)
    return first


# --------------------------------------------------------------------------------------------------------------- terms


def tensor(name: str, *shape: Any, **assumptions: bool) -> Any:
    """The leaf tensor of that name and shape: real unless told otherwise.  Index it to get a body.

    >>> tensor("U", 3, 2)[0, 1]
    U[0, 1]
    """
    known: dict[str, Any] = {"real": True} | assumptions
    return sp.IndexedBase(name, shape=tuple(sp.sympify(s) for s in shape), **known)


def fresh(hint: object = "i") -> sp.Dummy:
    """A new index symbol that equals no other; ``hint`` is how it is written."""
    return sp.Dummy(str(hint).strip("_") or "i", integer=True)


class Binder(sp.Expr):
    """An expression that owns some of its indices: ``args[0]`` is the body in which ``args[k] for k in BINDS`` live."""

    BINDS: ClassVar[tuple[int, ...]] = ()
    is_commutative = True

    def __new__(cls, *args: Any) -> Any:
        return sp.Expr.__new__(cls, *(sp.sympify(a) for a in args))

    @property
    def body(self) -> Any:
        return self.args[0]

    @property
    def bound(self) -> tuple[Any, ...]:
        return tuple(self.args[k] for k in self.BINDS)

    @property
    def outside(self) -> tuple[Any, ...]:
        """The arguments that the bound indices do not reach."""
        return tuple(a for k, a in enumerate(self.args) if k and k not in self.BINDS)

    @property
    def free_symbols(self) -> set[Any]:
        return (self.body.free_symbols - set(self.bound)).union(*(a.free_symbols for a in self.outside))

    def renamed_apart(self) -> Any:
        """The same expression with new bound indices."""
        new = {i: fresh(i) for i in self.bound}
        return self._rebuilt(rename(self.body, new), tuple(new.values()), self.outside)

    def _rebuilt(self, body: Any, bound: Sequence[Any], outside: Sequence[Any]) -> Any:
        binds, others = iter(bound), iter(outside)
        return self.func(body, *(next(binds) if k in self.BINDS else next(others) for k in range(1, len(self.args))))

    def replace_free(self, mapping: Mapping[Any, Any], seen: dict[Any, Any]) -> Any:
        """`rename` at a binder: its own indices are left alone, and step aside where they would capture."""
        own = set(self.bound)
        inside = {k: v for k, v in mapping.items() if k not in own and k in self.body.free_symbols}
        if own & set().union(*(sp.sympify(v).free_symbols for v in inside.values())):
            return self.renamed_apart().replace_free(mapping, {})
        same = seen if len(inside) == len(mapping) else {}
        body = _replace(self.body, inside, same) if inside else self.body
        return self._rebuilt(body, self.bound, [_replace(a, mapping, seen) for a in self.outside])

    def _xreplace(self, rule: Any) -> Any:
        if self in rule:
            return rule[self], True
        own = set(self.bound)
        inside = {k: v for k, v in rule.items() if not own & k.free_symbols}
        if own & set().union(*(sp.sympify(v).free_symbols for v in inside.values())):
            return self.renamed_apart()._xreplace(rule)
        pairs = [self.body._xreplace(inside), *(a._xreplace(rule) for a in self.outside)]
        if not any(changed for _, changed in pairs):
            return self, False
        body, *outside = (new for new, _ in pairs)
        return self._rebuilt(body, self.bound, outside), True

    def _eval_subs(self, old: Any, new: Any) -> Any:
        return self._xreplace({old: new})[0]

    def _eval_derivative(self, s: Any) -> Any:
        if self.has_free(s):
            raise TypeError("SymPy cannot differentiate under a binder")
        return sp.S.Zero

    def _eval_diff(self, *_: Any, **__: Any) -> Any:
        raise TypeError("SymPy cannot differentiate a binder")

    def _eval_is_real(self) -> bool | None:
        return self.body.is_real

    def doit(self, **_: Any) -> Any:
        return self

    def _sympystr(self, printer: Any) -> str:
        return f"{type(self).__name__}({', '.join(map(printer._print, self.args))})"


class _Folded(Binder):
    """What is made of ``body`` for ``index`` = 0, 1, ..., ``size`` - 1."""

    BINDS = (1,)
    precedence = PRECEDENCE["Add"] + 1  # for printers: in brackets inside a product or a power

    @property
    def index(self) -> Any:
        return self.args[1]

    @property
    def size(self) -> Any:
        return self.args[2]


class IndexSum(_Folded):
    """The sum of ``body`` for ``index`` = 0, 1, ..., ``size`` - 1.  Sums of several indices are nested."""

    def __new__(cls, body: Any, index: Any, size: Any) -> Any:
        body = sp.sympify(body)
        return body if body is sp.S.Zero else Binder.__new__(cls, body, index, size)

    def _eval_is_positive(self) -> bool | None:
        return True if self.body.is_positive else None

    def _eval_is_nonnegative(self) -> bool | None:
        return True if self.body.is_nonnegative else None


class IndexProduct(_Folded):
    """The product of ``body`` for ``index`` = 0, 1, ..., ``size`` - 1."""


class Within(sp.Function):
    """1 where 0 <= index < size, else 0: what is left of a delta whose index leaves its axis."""

    nargs = 2
    is_integer = True
    is_nonnegative = True

    def fdiff(self, argindex: int = 1) -> Any:
        return sp.S.Zero

    @classmethod
    def eval(cls, index: Any, size: Any) -> Any:
        below, above = index.is_nonnegative, (size - index).is_positive
        if below and above:
            return sp.S.One
        return sp.S.Zero if below is False or above is False else None


def rename(e: Any, mapping: Mapping[Any, Any]) -> Any:
    """``e`` with free symbols replaced, all at once; bound indices are never replaced and never captured."""
    return _replace(sp.sympify(e), mapping, {}) if mapping else sp.sympify(e)


def _replace(e: Any, mapping: Mapping[Any, Any], seen: dict[Any, Any]) -> Any:
    if e in seen:
        return seen[e]
    match e:
        case sp.Symbol():
            new = sp.sympify(mapping.get(e, e))
        case Binder():
            new = e.replace_free(mapping, seen)
        case sp.Indexed():
            new = sp.Indexed(_replace(e.base, mapping, seen), *(_replace(i, mapping, seen) for i in e.indices))
        case sp.IndexedBase():
            new = e if e.shape is None else _reshape(e, tuple(_replace(s, mapping, seen) for s in e.shape))
        case _ if e.args:
            args = [_replace(a, mapping, seen) for a in e.args]
            new = e if all(a is b for a, b in zip(args, e.args, strict=True)) else e.func(*args)
        case _:
            new = e
    seen[e] = new
    return new


def _reshape(base: Any, shape: tuple[Any, ...]) -> Any:
    return base if shape == tuple(base.shape) else sp.IndexedBase(base.label, shape=shape)


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor of that ``shape`` whose entry at the indices ``axes`` is ``body``."""

    body: Any
    axes: tuple[Any, ...]
    shape: tuple[Any, ...]

    def at(self, indices: Sequence[Any]) -> Any:
        """The entry at these indices, which may be any integer expressions.

        >>> n = sp.Symbol("n", integer=True, positive=True)
        >>> i = sp.Symbol("i", integer=True)
        >>> Array(tensor("x", n)[i] ** 2, (i,), (n,)).at((n - 1,))
        x[n - 1]**2
        """
        return rename(self.body, dict(zip(self.axes, indices, strict=True)))


# ------------------------------------------------------------------------------------------------------------ matrices
# Functions of a square matrix (inverse, Cholesky factor, exponential, determinant) as index terms: binders over two
# indices.
#
# The matrix is given by its entry: ``Inverse(body, row, column, size, i, j)`` is the entry (i, j) of the inverse of the
# matrix whose entry at (row, column) is ``body``.  Its determinant must not be zero there; `LogDet` is log |det|.


class Matrix(Binder):
    """A function of a square matrix."""

    BINDS = (1, 2)

    @property
    def size(self) -> Any:
        return self.args[3]


class MatrixEntry(Matrix):
    """Entry (i, j) of a matrix that is made of a square one."""

    @property
    def entry(self) -> tuple[Any, ...]:
        return self.args[4:]


class Inverse(MatrixEntry):
    """Entry (i, j) of the inverse of a square matrix."""


class Cholesky(MatrixEntry):
    """Entry (i, j) of the lower triangle L with a positive diagonal for which L L' is a symmetric matrix."""


class MatrixExponential(MatrixEntry):
    """Entry (i, j) of the exponential of a square matrix."""


class ExponentialSlope(MatrixEntry):
    """The derivative of entry (i, j) of the exponential of a square matrix with respect to its entry (p, q).

    Its arguments end in i, p, q, j: it is the integral over s from 0 to 1 of exp(s A)[i, p] exp((1 - s) A)[q, j].
    """


class Det(Matrix):
    """The determinant of a square matrix."""


class LogDet(Matrix):
    """The logarithm of the absolute value of the determinant."""


# -------------------------------------------------------------------------------------------------------------- ranges
# Where free indices run, as the axes that they stand in tell.


def free_ranges(bodies: Iterable[Any]) -> dict[Any, set[Any]]:
    """For each free index that stands alone in an axis of a leaf or of an inverse: the sizes of these axes.

    What an indicator or a condition may switch off says nothing about a range, and is left out.
    """
    found: dict[Any, set[Any]] = {}
    for body in bodies:
        for index, size, bound in _places(sp.sympify(body)):
            if isinstance(index, sp.Symbol) and index.is_integer and not index.is_positive and index not in bound:
                found.setdefault(index, set()).add(size)
    return found


def _places(e: Any) -> Iterator[tuple[Any, Any, frozenset[Any]]]:
    """Index values, the sizes of their axes, and the indices that are bound around them."""
    seen: set[Any] = set()
    waiting: list[tuple[Any, frozenset[Any]]] = [(e, frozenset())]
    while waiting:
        part, bound = waiting.pop()
        if (part, bound) in seen:
            continue
        seen.add((part, bound))
        match part:
            case sp.Indexed():
                base: Any = part.base
                yield from ((i, s, bound) for i, s in zip(part.indices, base.shape or (), strict=False))
                waiting += [(i, bound) for i in part.indices]
            case Binder():
                if isinstance(part, MatrixEntry):
                    yield from ((i, part.size, bound) for i in part.entry)
                waiting.append((part.body, bound | set(part.bound)))
                waiting += [(a, bound) for a in part.outside]
            case sp.IndexedBase() | sp.Piecewise():
                pass
            case _ if not any(isinstance(a, Within) for a in part.args):
                waiting += [(a, bound) for a in part.args if isinstance(a, sp.Basic)]
