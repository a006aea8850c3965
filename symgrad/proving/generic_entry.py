"""A step's generic entry, as an element of the field: one fraction for a whole tensor.

A *view* says which entries of a step are meant: an array of positions.  Layouts only change the view, arithmetic and
scalar functions read their arguments in the same view, and a step that is *cut* is a kernel for each view of it.  Sums
and products of matrices are kernels too, after everything that does not vary along the sum has been pulled out; such
a kernel is the multiset of its terms, so that the order of its summation does not matter, nor on which side a matrix
stands.  In a view of one entry, sums may be written out: the same reader proves entry by entry.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from flint import fmpq

from symgrad.program.primitives import number_of
from symgrad.program.program import Step, Strided, positions, size
from symgrad.proving.field import Element, Field, Kernel, OutOfWork, kernel_in, number_in
from symgrad.proving.kernels import (
    complex_log,
    exp,
    exponentials,
    log,
    odd_function,
    opaque,
    principal_power,
    sigmoid,
    sign_of,
    sqrt,
    tanh,
    turn,
)
from symgrad.proving.sign_facts import assume
from symgrad.proving.special_relations import RELATIONS, polygamma
from symgrad.proving.views import DATA, Terms, Views

# ------------------------------------------------------------------------------------------------------- complex field
# Complex values in a field: principal values, and conjugates.

ODD = frozenset(("erf", "asin", "atan", "erfinv", "erfi", "Si", "Shi", "fresnels", "fresnelc"))


def _read_complex(f: Field, step: Step, a: list[Element]) -> Element:
    """Over the complex numbers only what has no branches is used, and what principal values have in common."""
    match step.op:
        case "exp":
            return exp(f, a[0])
        case "log":
            return complex_log(f, a[0])
        case "sqrt":
            return principal_power(f, a[0], fmpq(1, 2))
        case "pow":
            if (constant := number_in(a[1])) is not None:
                return principal_power(f, a[0], constant)
            return exp(f, f.mul(a[1], complex_log(f, a[0])))
        case "sin":
            return turn(f, a[0])[1]
        case "cos":
            return turn(f, a[0])[0]
        case "tanh":
            return tanh(f, a[0])
        case "sigmoid":
            return sigmoid(f, a[0])
        case "abs":
            return _modulus(f, a[0])
        case "erf" | "erfi" | "Si" | "Shi":
            return odd_function(f, step.op, a[0])
        case op if op in ODD:
            return odd_function(f, op if f.is_complex(a[0]) else f"complex {op}", a[0])
        case "LambertW" | "polylog":
            return RELATIONS[step.op](f, *a)
    return opaque(f, (step.op, step.params, "complex"), *a, is_complex=step.is_complex)


def _conjugate(f: Field, a: Element) -> Element:
    """The element with each kernel conjugated: real ones stay, and an exponential's is that of the conjugate."""
    if not any(f.kernels[k].is_complex for k in f.used(a)):
        return a

    def leaf(key: Any, is_complex: bool) -> Element:
        if not is_complex:
            return f.leaf(key)
        (base, view) = key
        bare = base[1] if isinstance(base, tuple) and base[0] == "conj" else ("conj", base)
        return f.leaf((bare, view), True)

    memo: dict[int, Element] = {}
    stack = list(f.used(a))
    while stack:
        k = stack.pop()
        kernel = f.kernels[k]
        if k in memo or kernel.make is None:
            continue
        if f.index.get("i") == k:
            memo[k] = f.neg(f.imaginary())
        elif not kernel.is_complex:
            memo[k] = Element(f.gens[k], f.one)
        elif k in exponentials(f):
            stack += [inner for part in kernel.parts for inner in f.used(part)]
        elif (other := f.conjugates.get(k)) is not None:
            memo[k] = other
        else:
            memo[k] = _conjugate_kernel(f, k)
    return f.relabel(a, leaf, memo)


def _conjugate_kernel(f: Field, k: int) -> Element:
    """A kernel for the conjugate, with the conjugate relation where there is one."""
    inner = Element(f.gens[k], f.one)
    relation = next(((power, value) for j, power, value in f.relations if j == k), None)
    power, value = (relation[0], f.canonical(_conjugate(f, relation[1]))) if relation else (0, None)
    what = lambda: Kernel(None, functools.partial(_conjugate, f), (inner,), 0, True)  # noqa: E731
    found = Element(f.kernel(("conj", f.key(inner)), what, power, value), f.one)
    f.conjugates[kernel_in(found.n)] = inner
    return found


def _modulus(f: Field, z: Element) -> Element:
    """|z|, the kernel r with r**2 = z conj(z)."""
    other = _conjugate(f, z)
    key = ("modulus", min(f.key(z), f.key(other)))
    root = f.kernel(key, lambda: Kernel(None, functools.partial(_modulus, f), (z,), 1), 2, f.canonical(f.mul(z, other)))
    return Element(root, f.one)


# -------------------------------------------------------------------------------------------------------- determinants
# Small matrices written out: determinants by Leibniz's formula, inverses by Cramer's rule.

LARGEST = 3  # rows of a matrix that is written out

Rows = Sequence[Sequence[Element]]


def determinant(f: Field, rows: Rows) -> Element:
    """The sum over all permutations of signed products."""
    total = f.zero
    for order in itertools.permutations(range(len(rows))):
        product = f.unit
        for row, column in zip(rows, order, strict=True):
            product = f.mul(product, row[column])
        crossings = sum(a > b for a, b in itertools.combinations(order, 2))
        total = f.sub(total, product) if crossings % 2 else f.add(total, product)
    return total


def entry_of_inverse(f: Field, rows: Rows, i: int, j: int) -> Element:
    """The cofactor of entry (j, i) over the determinant."""
    minor = [[x for c, x in enumerate(row) if c != i] for r, row in enumerate(rows) if r != j]
    cofactor = determinant(f, minor)
    return f.div(f.neg(cofactor) if (i + j) % 2 else cofactor, determinant(f, rows))


# ------------------------------------------------------------------------------------------------------- generic entry

Node = tuple[int, int]  # a step and a view of it
_ROWS = 1 << 13  # terms of a sum that are still laid out
_LARGE = 1 << 20  # entries of a tensor that is still read


def _is_rational(x: Any) -> bool:
    return isinstance(x, (int, Fraction)) or (isinstance(x, (float, complex)) and bool(np.isfinite(x)))


class Reader:
    """Reads steps in a field, down to the steps for which ``cut`` holds.

    ``rank`` maps a step to the one that stands for all steps known to be equal to it.  With ``entries`` the sums in a
    view of one entry are written out; with ``opened`` inverses and determinants of small matrices, too.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        field: Field,
        views: Views,
        rank: Callable[[int], int],
        cut: Callable[[int], bool],
        *,
        entries: bool = False,
        opened: bool = False,
        work: int = 20000,
    ) -> None:
        self.field = field
        self.views = views
        self.terms = Terms(field, views)
        self.steps = steps
        self.rank = rank
        self.cut = cut
        self.entries = entries
        self.opened = opened
        self.work = work
        self.values: dict[Node, Element] = {}
        self.bases: dict[int, list[np.ndarray]] = {}

    def entry(self, i: int, view: int | None = None) -> Element:
        """The generic entry of step ``i``, all of it or in a view."""
        if view is None:
            view = self.views.whole(size(self.steps[i].shape))
        stack: list[Node] = [(self.rank(i), view)]
        goal = stack[0]
        parts: dict[Node, Sequence[Node]] = {}
        while stack:
            node = stack[-1]
            if node in self.values:
                stack.pop()
                continue
            if node not in parts:
                self.work -= 1
                if self.work < 0 or self.field.work > 60 * self.field.terms:
                    raise OutOfWork
                parts[node] = self._parts(*node)
                stack.extend(part for part in parts[node] if part not in self.values)
                continue
            stack.pop()
            self.values[node] = self._value(*node, [self.values[part] for part in parts.pop(node)])
        return self.values[goal]

    # ---------------------------------------------------------------------------------------- what a node needs
    def _parts(self, i: int, view: int) -> list[Node]:
        step = self.steps[i]
        if size(step.shape) > _LARGE:
            raise OutOfWork
        match step.op:
            case "input" | "constant":
                return []
            case _ if self.cut(i):
                return []
            case "pick":
                return [(self.rank(a), v) for a, v, _ in self._picked(step, view)]
            case "scatter" | "matmul" if self._is_large(step, view):
                return [(self.rank(a), self.views.whole(size(self.steps[a].shape))) for a in step.args]
            case "scatter":
                rows, _, _, _ = self._summed(step, view)
                return self._each((step.args[0], rows), one=self.is_spread(view))
            case "matmul":
                left, right, _, _, _ = self._product(step, view)
                one = self.is_spread(view)
                return self._each((step.args[0], left), one=one) + self._each((step.args[1], right), one=one)
            case "inverse" | "det" if self._is_opened(step, view):
                return self._matrix(step, view)
            case "inverse" | "solve" | "det" | "cholesky" | "matrix_exp" | "eigenpairs" | "general_eigenpairs":
                return [(self.rank(a), self.views.whole(size(self.steps[a].shape))) for a in step.args]
        return [(self.rank(a), view) for a in step.args]

    def _is_opened(self, step: Step, view: int) -> bool:
        n = self.steps[step.args[0]].shape[-1]
        return self.opened and self.views[view].size == 1 and n <= LARGEST and not step.is_complex

    def _matrix(self, step: Step, view: int) -> list[Node]:
        """All entries of the one matrix that an entry of an inverse or a determinant is of."""
        n = self.steps[step.args[0]].shape[-1]
        batch = int(self.views[view][0]) // (n * n if step.op == "inverse" else 1)
        a = self.rank(step.args[0])
        return [(a, self.views.enter(np.array([batch * n * n + k]))) for k in range(n * n)]

    def _cramer(self, step: Step, view: int, a: Sequence[Element]) -> Element:
        n = self.steps[step.args[0]].shape[-1]
        rows = [a[k * n : (k + 1) * n] for k in range(n)]
        if step.op == "det":
            return determinant(self.field, rows)
        i, j = divmod(int(self.views[view][0]) % (n * n), n)
        return entry_of_inverse(self.field, rows, i, j)

    def _each(self, *wanted: tuple[int, int], one: bool) -> list[Node]:
        """The nodes of a sum's terms: one generic term, or each by itself where a single entry is wanted."""
        out: list[Node] = []
        for a, rows in wanted:
            if one:
                out += [(self.rank(a), self.views.enter(np.array([r]))) for r in self.views[rows].tolist()]
            else:
                out.append((self.rank(a), rows))
        return out

    def _picked(self, step: Step, view: int) -> list[tuple[int, int, Any]]:
        """For each argument that is used: its view, and where it is used (None for everywhere)."""
        views = self.views
        if isinstance(step.params, Strided):
            key = ("index", step.params, step.shape)
            if key not in views.made:
                views.made[key] = views.enter(positions(step.params, step.shape) - 1)
            return [(step.args[0], views.then(views.made[key], view), None)]
        where = step.params[views[view]]
        out, start = [], 0
        for a in step.args:
            n = size(self.steps[a].shape)
            inside = (where > start) & (where <= start + n)
            if inside.all():
                return [(a, views.enter(where - 1 - start), None)]
            if inside.any():
                out.append((a, views.enter(np.where(inside, where - 1 - start, 0)), inside))
            start += n
        return out

    def _outputs(self, view: int) -> tuple[np.ndarray, np.ndarray]:
        """The different entries of a view in the order of their first appearance, and the view in terms of these."""
        entries, first, back = np.unique(self.views[view], return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        return entries[order], place[back.reshape(-1)]

    def _summed(self, step: Step, view: int) -> tuple[int, np.ndarray, int, np.ndarray]:
        """For a scatter: the view of its terms, where each lands, the number of sums, the view of the sums."""
        where = step.params
        source = self.steps[step.args[0]].shape
        where = (positions(where, source) if isinstance(where, Strided) else where) - 1
        outputs, back = self._outputs(view)
        place = np.full(size(step.shape) + 1, -1, dtype=np.int64)
        place[outputs] = np.arange(outputs.size)
        target = place[where]
        rows = np.flatnonzero(target >= 0)
        return self.views.enter(rows), target[rows], outputs.size, back

    def _product(self, step: Step, view: int) -> tuple[int, int, np.ndarray, int, np.ndarray]:
        """For a matmul: the views of its factors' entries, where each product lands, how many sums, their view."""
        _, n, m = step.shape
        k = self.steps[step.args[0]].shape[2]
        outputs, back = self._outputs(view)
        batch, row, column = np.unravel_index(outputs, step.shape)
        inner = np.arange(k)
        left = (((batch * n + row) * k)[:, None] + inner).ravel()
        right = ((batch * k)[:, None] * m + inner * m + column[:, None]).ravel()
        return (
            self.views.enter(left),
            self.views.enter(right),
            np.repeat(np.arange(outputs.size), k),
            outputs.size,
            back,
        )

    # ---------------------------------------------------------------------------------------- what a node is
    def _value(self, i: int, view: int, a: list[Element]) -> Element:
        step, f = self.steps[i], self.field
        op = step.op
        if op == "constant":
            return self._constant(i, view)
        if op == "input" or self.cut(i):
            return self.terms.leaf(i, size(step.shape), view, step.is_complex)
        match op:
            case "add":
                return f.add(*a)
            case "sub":
                return f.sub(*a)
            case "mul":
                return f.mul(*a)
            case "div":
                return f.div(*a)
            case "neg":
                return f.neg(*a)
            case "powi":
                return f.power(a[0], step.params)
            case "pick":
                return self._layout(step, view, a)
            case "scatter":
                return self._scatter(step, view, a)
            case "matmul":
                return self._matmul(step, view, a)
            case "inverse" | "det" if self._is_opened(step, view):
                return self._cramer(step, view, a)
            case "inverse" | "solve" | "det" | "cholesky" | "matrix_exp" | "eigenpairs" | "general_eigenpairs":
                key = (op, *(f.key(x) for x in a), tuple(self.steps[x].shape for x in step.args))
                return self.terms.leaf(key, size(step.shape), view, step.is_complex)
            case "conj":
                return _conjugate(f, a[0])
            case "real":
                return f.div(f.add(a[0], _conjugate(f, a[0])), f.number(2))
            case "imag":
                return f.div(f.sub(a[0], _conjugate(f, a[0])), f.mul(f.imaginary(), f.number(2)))
        if step.is_complex or any(self.steps[x].is_complex for x in step.args):
            return _read_complex(f, step, a)
        return self._function(step, a)

    def _function(self, step: Step, a: list[Element]) -> Element:
        f = self.field
        match step.op:
            case "exp":
                return exp(f, a[0])
            case "log":
                assume(f, a[0], strict=True)
                return log(f, a[0])
            case "sqrt":
                assume(f, a[0])
                return sqrt(f, a[0])
            case "pow":
                assume(f, a[0], strict=True)
                return exp(f, f.mul(a[1], log(f, a[0])))
            case "sin":
                return turn(f, a[0])[1]
            case "cos":
                return turn(f, a[0])[0]
            case "tanh":
                return tanh(f, a[0])
            case "sigmoid":
                return sigmoid(f, a[0])
            case "sign":
                return sign_of(f, a[0])
            case "abs":
                return f.mul(sign_of(f, a[0]), a[0])
            case "polygamma":
                return polygamma(f, step.params, a[0])
            case op if op in RELATIONS:
                return RELATIONS[op](f, *a)
            case op if op in ODD:
                if op in ("asin", "erfinv"):
                    assume(f, f.sub(f.unit, a[0]), strict=op == "erfinv")
                    assume(f, f.add(f.unit, a[0]), strict=op == "erfinv")
                return odd_function(f, op, a[0])
        return opaque(f, (step.op, step.params), *a)

    def _constant(self, i: int, view: int) -> Element:
        step, f = self.steps[i], self.field
        c = step.params
        number = number_of(self.steps, i)
        if number is not None:
            return f.number(Fraction(int(number.p), int(number.q)))
        if c.exact is sp.I:
            return f.imaginary()
        if isinstance(c.exact, sp.Basic):
            return opaque(f, str(c.exact), sign=2 if c.exact.is_positive else 0)
        entries = self._exact(i)
        if entries is None:
            return self.terms.leaf(i, size(step.shape), view, step.is_complex)
        real, *imaginary = (self.terms.data(part[self.views[view]]) for part in entries)
        return f.add(real, f.mul(f.imaginary(), imaginary[0])) if imaginary else real

    def _exact(self, i: int) -> list[np.ndarray] | None:
        """The entries of a constant as fractions, the imaginary parts of a complex one after the real ones."""
        if i not in self.bases:
            c = self.steps[i].params
            flat = (c.value if c.exact is None else np.asarray(c.exact, dtype=object)).reshape(-1)
            if (c.exact is None and len(flat) > DATA) or not all(map(_is_rational, flat.tolist())):
                return None
            parts = [np.real(flat), np.imag(flat)] if flat.dtype.kind == "c" else [flat]
            self.bases[i] = [np.array([Fraction(x) for x in part.tolist()] or [], dtype=object) for part in parts]
        return self.bases[i]

    # ---------------------------------------------------------------------------------------- layouts and sums
    def _layout(self, step: Step, view: int, a: list[Element]) -> Element:
        """Entries of several arguments, or zeros, are sums of the arguments times indicators."""
        f, total = self.field, self.field.zero
        for (_, _, inside), x in zip(self._picked(step, view), a, strict=True):
            if inside is None:
                return x
            total = f.add(total, f.mul(self.terms.integers(inside.astype(np.int64)), x))
        return total

    def _is_large(self, step: Step, view: int) -> bool:
        """Whether a sum or product has too many terms to lay them out."""
        if self.is_spread(view):
            return False
        source = self.steps[step.args[0]].shape
        if step.op == "scatter":
            return size(source) > _ROWS
        return source[2] > 1 and size(step.shape) * source[2] > _ROWS

    def is_spread(self, view: int) -> bool:
        """Whether sums are written out: for single entries, where entries are read one by one."""
        return self.entries and self.views[view].size == 1

    def _whole(self, step: Step, view: int, a: list[Element]) -> Element:
        """A large sum or product as a kernel of its arguments, rational factors pulled out; A B in one order."""
        f = self.field
        scale, parts = f.unit, []
        for x in a:
            x = f.canonical(x)
            if f.is_zero(x):
                return f.zero
            lead = f.number(x.n.leading_coefficient())
            scale = f.mul(scale, lead)
            parts.append(f.div(x, lead))
        n = size(step.shape)
        if step.op == "scatter":
            index = step.params if isinstance(step.params, Strided) else self.views.enter(step.params)
            key: Hashable = ("scatter", index, self.steps[step.args[0]].shape, step.shape, f.key(parts[0]))
        else:
            left, right = (self.steps[x].shape for x in step.args)
            key = ("matmul", left, right, *(f.key(x) for x in parts))
            turned = [self._turned(x, shape) for x, shape in zip(parts, (left, right), strict=True)][::-1]
            other = ("matmul", _swap(right), _swap(left), *(f.key(x) for x in turned))
            if str(other) < str(key):
                key = other
                place = np.arange(n).reshape(_swap(step.shape)).transpose(0, 2, 1).reshape(-1)
                view = self.views.enter(place[self.views[view]])
        return f.mul(scale, self.terms.leaf(key, n, view, step.is_complex))

    def _turned(self, x: Element, shape: tuple[int, ...]) -> Element:
        """The generic entry of the transposed matrices."""
        rows = np.arange(size(shape)).reshape(shape).transpose(0, 2, 1).reshape(-1)
        return self.field.relabel(x, lambda key, is_complex: self.terms.again(key, is_complex, rows), {})

    def _scatter(self, step: Step, view: int, a: list[Element]) -> Element:
        if self._is_large(step, view):
            return self._whole(step, view, a)
        if self.is_spread(view):
            return self._added(a)
        _, where, n, back = self._summed(step, view)
        return self.terms.sum(a[0], where, n, back)

    def _matmul(self, step: Step, view: int, a: list[Element]) -> Element:
        if self._is_large(step, view):
            return self._whole(step, view, a)
        if self.is_spread(view):
            half = len(a) // 2
            return self._added([self.field.mul(x, y) for x, y in zip(a[:half], a[half:], strict=True)])
        _, _, where, n, back = self._product(step, view)
        return self.terms.sum(self.field.mul(a[0], a[1]), where, n, back)

    def _added(self, terms: list[Element]) -> Element:
        total = self.field.zero
        for term in terms:
            total = self.field.add(total, term)
        return total


def _swap(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[0], shape[2], shape[1]
