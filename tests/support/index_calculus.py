"""The exact derivative of a body by an entry of a leaf, for all sizes.

SymPy differentiates each scalar function, with leaves and binders as its atoms; what is of index notation is here:
d U[i, j] / d U[K, N] is a pair of deltas, and a sum over i contracts the delta that holds i.

>>> import sympy as sp
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n = sp.Symbol("n", integer=True, positive=True)
>>> i, K = sp.symbols("i K", integer=True)
>>> x = tensor("x", n)
>>> differentiate(IndexSum(x[i] ** 2, i, n), x[K])
2*x[K]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import sympy as sp

from symgrad.errors import BadFormula
from symgrad.indices.conversion import EFFORT, declare, make_store, read, write
from symgrad.indices.printing import text
from symgrad.indices.terms import EXP, Array, Binder, Det, Fact, IndexSum, Inverse, LogDet, Within, fresh, rename

# A derivative on its way: deltas still to be contracted, and the coefficient they stand before.
Deltas = tuple[tuple[Any, Any], ...]
Parts = dict[Deltas, Any]


def differentiate(body: Any, leaf: Any) -> Any:
    """d body / d leaf, where ``leaf`` is an entry ``U[K, N]`` or a scalar Symbol.

    The result is exact for all sizes.  The target's indices are any index values, taken to lie within its axes; where a
    sum in the body has the same name for its own index, they are not mixed up.  Raises `symgrad.errors.BadFormula`
    where the leaf stands at an index that cannot be solved for (``x[2*i]``).

    >>> n = sp.Symbol("n", integer=True, positive=True)
    >>> k = sp.Symbol("k", integer=True)
    >>> x = sp.IndexedBase("x", shape=(n,), real=True)
    >>> differentiate(IndexSum(x[k] ** 2, k, n), x[k])
    2*x[k]
    """
    body = sp.sympify(body)
    if isinstance(leaf, sp.Symbol):
        return _Derivative(leaf, (), ()).of(body).get((), sp.S.Zero)
    shape = tuple(leaf.base.shape) if leaf.base.shape is not None else (None,) * len(leaf.indices)
    target = tuple(fresh("K") for _ in leaf.indices)
    parts = _Derivative(leaf.base, target, shape).of(body)
    whole = sp.Add(*(sp.Mul(c, *(sp.KroneckerDelta(a, b) for a, b in deltas)) for deltas, c in parts.items()))
    return rename(whole, dict(zip(target, leaf.indices, strict=True)))


def gradient(body: Any, base: Any) -> Array:
    """The derivative of a scalar body by every entry of a leaf tensor, as an Array of the leaf's shape."""
    axes = tuple(fresh(hint) for hint, _ in zip("KNPQRT", base.shape, strict=False))
    return Array(differentiate(body, base[axes]), axes, tuple(base.shape))


class _Derivative:
    """One differentiation: the target, and what was already differentiated."""

    def __init__(self, base: Any, target: tuple[Any, ...], shape: tuple[Any, ...]) -> None:
        self.base, self.target, self.shape = base, target, shape
        self.size_of = dict(zip(target, shape, strict=True))
        self.seen: dict[Any, Parts] = {}

    def of(self, e: Any) -> Parts:
        if e not in self.seen:
            self.seen[e] = self._of(e)
        return self.seen[e]

    def _of(self, e: Any) -> Parts:
        match e:
            case sp.Indexed() if e.base == self.base:
                return {tuple((a, b) for a, b in zip(e.indices, self.target, strict=True) if a != b): sp.S.One}
            case sp.Symbol() if e == self.base:
                return {(): sp.S.One}
            case IndexSum():
                return self._of_sum(e)
            case Inverse():
                (i, j), (r, c) = e.entry, e.bound
                before, after = (e.func(*e.args[:4], *at) for at in ((i, r), (c, j)))
                return self._of_matrix(e, -before * after)
            case LogDet() | Det():
                r, c = e.bound
                factor = e if isinstance(e, Det) else sp.S.One
                return self._of_matrix(e, factor * Inverse(*e.args[:4], c, r))
            case Binder():
                raise BadFormula(f"the derivative of {e} is not known")
            case _ if e.args and self._holds(e):
                return self._of_function(e)
            case _:
                return {}

    def _holds(self, e: Any) -> bool:
        return any(
            part == self.base or (isinstance(part, sp.Indexed) and part.base == self.base)
            for part in sp.preorder_traversal(e)
        )

    def _of_function(self, e: Any) -> Parts:
        """The chain rule: SymPy's derivative by each atom, times the derivative of the atom."""
        atoms = list(_atoms(e))
        stand = {a: sp.Dummy(real=True) for a in atoms}
        back = {d: a for a, d in stand.items()}
        flat = e.xreplace(stand)
        total: Parts = {}
        for a in atoms:
            inner = self.of(a)
            if inner:
                outer = flat.diff(stand[a]).xreplace(back)
                for deltas, c in inner.items():
                    total[deltas] = total.get(deltas, sp.S.Zero) + outer * c
        return total

    def _of_sum(self, e: Any) -> Parts:
        return self._sum(self.of(e.body), e.index, e.size)

    def _sum(self, parts: Parts, index: Any, size: Any) -> Parts:
        """Sum over an index: the first delta that holds it says where it is."""
        total: Parts = {}
        for deltas, c in parts.items():
            hit = next((pair for pair in deltas if index in pair[0].free_symbols), None)
            if hit is None:
                key, value = deltas, IndexSum(c, index, size)
            else:
                where = _solve(hit, index)
                inside = sp.S.One if self.size_of.get(where) == size else Within(where, size)
                new = {index: where}
                rest = (pair for pair in deltas if pair != hit)
                key = tuple((a, b) for a, b in ((rename(a, new), b) for a, b in rest) if a != b)
                value = rename(c, new) * inside
            total[key] = total.get(key, sp.S.Zero) + value
        return total

    def _of_matrix(self, e: Any, factor: Any) -> Parts:
        r, c = e.bound
        parts = {deltas: v * factor for deltas, v in self.of(e.body).items()}
        return self._sum(self._sum(parts, c, e.size), r, e.size)


def _atoms(e: Any) -> Iterator[Any]:
    """The largest leaves, symbols and binders of a scalar expression, each once."""
    seen: set[Any] = set()
    waiting = [e]
    while waiting:
        part = waiting.pop()
        if part in seen:
            continue
        seen.add(part)
        if isinstance(part, (sp.Indexed, Binder, sp.Symbol)):
            yield part
        elif not isinstance(part, (sp.KroneckerDelta, Within)):
            waiting.extend(part.args)


def _solve(pair: tuple[Any, Any], index: Any) -> Any:
    """The value of ``index`` at which the delta is 1: its expression is plus or minus the index, plus the rest."""
    where, target = pair
    if where == index:
        return target
    slope = sp.expand(where).coeff(index)
    rest = sp.expand(where - slope * index)
    if slope not in (1, -1) or rest.has(index):
        raise BadFormula(f"an entry stands at the index {where}, which is not {index} plus or minus something")
    return sp.expand(slope * (target - rest))


# what textbooks write with whole matrices


def sigmoid(z: Any) -> Any:
    """1 / (1 + exp(-z)), over the opaque exponential."""
    exponential: Any = EXP(-sp.sympify(z))
    return 1 / (1 + exponential)


def matmul(*factors: Array) -> Array:
    """The product of matrices and vectors: the last axis of each is summed against the first axis of the next."""
    total, *rest = factors
    for f in rest:
        s = fresh("s")
        rows, cols = tuple(fresh(a) for a in total.axes[:-1]), tuple(fresh(a) for a in f.axes[1:])
        body = IndexSum(total.at((*rows, s)) * f.at((s, *cols)), s, total.shape[-1])
        total = Array(body, rows + cols, total.shape[:-1] + f.shape[1:])
    return total


def transpose(a: Array) -> Array:
    return Array(a.body, a.axes[::-1], a.shape[::-1])


def add(*parts: Array) -> Array:
    axes = tuple(fresh(a) for a in parts[0].axes)
    return Array(sp.Add(*(p.at(axes) for p in parts)), axes, parts[0].shape)


def scale(factor: Any, a: Array) -> Array:
    return Array(factor * a.body, a.axes, a.shape)


def eye(size: Any) -> Array:
    i, j = fresh("i"), fresh("j")
    return Array(sp.KroneckerDelta(i, j), (i, j), (size, size))


def trace(a: Array) -> Any:
    i = fresh("i")
    return IndexSum(a.at((i, i)), i, a.shape[0])


def inverse(a: Array) -> Array:
    i, j = fresh("i"), fresh("j")
    return Array(Inverse(a.body, *a.axes, a.shape[0], i, j), (i, j), a.shape)


def determinant(a: Array, head: Callable[..., Any] = Det) -> Any:
    """``Det`` (or ``LogDet``) of a square matrix."""
    return head(a.body, *a.axes, a.shape[0])


def normal_form(
    e: Any, *, sizes: Mapping[Any, Any] | None = None, facts: Iterable[Fact] = (), effort: int = EFFORT
) -> Any:
    """A body equal to ``e`` wherever both are defined: sums of products, split into connected components.

    ``sizes`` says where free indices run; what is not said is taken from the axes they stand in.  Raises
    `symgrad.errors.BadFormula` for what is not index notation, and `symgrad.indices.polynomials.Exhausted` past
    ``effort``, counted in terms.
    """
    store = make_store(facts=facts, effort=effort)
    try:
        declare(store, [e], sizes or {})
        return write(store, read(store, e))
    except ZeroDivisionError as error:
        raise BadFormula(f"{text(e)}: {error}") from None
