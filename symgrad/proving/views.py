"""Views, which say what entries of a step are meant, and kernels for what is seen in a view."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.proving.field import Element, Field

DATA = 1 << 11  # numbers that are still looked at


class Views:
    """Arrays of positions, counted from 0, each with a number; equal arrays have equal numbers."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.number: dict[bytes, int] = {}
        self.made: dict[Hashable, int] = {}

    def enter(self, array: np.ndarray) -> int:
        array = np.ascontiguousarray(array, dtype=np.int64)
        key = array.tobytes()
        found = self.number.get(key)
        if found is None:
            found = self.number[key] = len(self.arrays)
            self.arrays.append(array)
        return found

    def whole(self, n: int) -> int:
        key = ("whole", n)
        if key not in self.made:
            self.made[key] = self.enter(np.arange(n))
        return self.made[key]

    def then(self, first: int, second: int) -> int:
        """The view ``first[second]``."""
        key = ("then", first, second)
        if key not in self.made:
            self.made[key] = self.enter(self.arrays[first][self.arrays[second]])
        return self.made[key]

    def __getitem__(self, k: int) -> np.ndarray:
        return self.arrays[k]


@dataclass(frozen=True, slots=True)
class Terms:
    """Generic entries, in views: kernels for them, and sums of them."""

    field: Field
    views: Views

    def leaf(self, key: Hashable, n: int, view: int, is_complex: bool = False) -> Element:
        """A kernel for a view of something with ``n`` entries; the view of a single number does not matter."""
        return self.field.leaf((key, None if n == 1 else view), is_complex)

    def again(self, key: Any, is_complex: bool, rows: np.ndarray) -> Element:
        """A leaf kernel in other rows of its view."""
        base, view = key
        if view is None:
            return self.field.leaf(key, is_complex)
        entries = self.views[view][rows]
        if isinstance(base, tuple) and base[0] == "data":
            return self.data(np.array([Fraction(*base[1][k]) for k in entries], dtype=object))
        return self.field.leaf((base, self.views.enter(entries)), is_complex)

    def data(self, entries: np.ndarray) -> Element:
        """Exact numbers: a rational if they are all the same, else a kernel of these numbers."""
        f = self.field
        if not len(entries):
            return f.zero
        first = entries[0]
        if all(x == first for x in entries):
            return f.number(Fraction(first))
        key = ("data", tuple((int(x.numerator), int(x.denominator)) for x in entries))
        return self.leaf(key, len(entries), self.views.whole(len(entries)))

    def integers(self, entries: np.ndarray) -> Element:
        if entries.size and (entries == entries[0]).all():
            return self.field.number(Fraction(int(entries[0])))
        if entries.size > DATA:
            return self.leaf(("integers", self.views.enter(entries)), entries.size, self.views.whole(entries.size))
        return self.data(np.array([Fraction(int(x)) for x in entries], dtype=object))

    def sum(self, a: Element, where: np.ndarray, n: int, back: np.ndarray) -> Element:
        """Terms added up where they land: what is the same for all terms of each sum comes out."""
        f, views = self.field, self.views
        if not where.size:
            return f.zero
        a = f.canonical(a)
        first = np.zeros(n, dtype=np.int64)
        first[where[::-1]] = np.arange(where.size)[::-1]
        same = views.enter(first[where])
        out = first[back]  # for each entry of the result, one of its terms
        fixed: dict[int, bool] = {}

        def is_fixed(k: int) -> bool:
            if k not in fixed:
                fixed[k] = all(self._fixed(f.kernels[leaf].leaf[1], same) for leaf in f.leaves(k))
            return fixed[k]

        def outside(key: Any, is_complex: bool) -> Element:
            return self.again(key, is_complex, out)

        if where.size == n and np.array_equal(where, np.arange(n)):
            return f.relabel(a, outside, {})
        memo: dict[int, Element] = {}
        below_fixed = all(is_fixed(k) for k in f.used(Element(a.d, f.one)))
        total = f.zero
        for exponents, c in a.n.to_dict().items():
            pulled, rest = f.number(c), [0] * f.n
            for k, e in enumerate(exponents):
                if e and is_fixed(k):
                    pulled = f.mul(pulled, f.power(f.relabelled(k, outside, memo), e))
                elif e:
                    rest[k] = e
            inner = Element(f.context.from_dict({tuple(rest): 1}), f.one if below_fixed else a.d)
            total = f.add(total, f.mul(pulled, self._kernel_sum(inner, where, n, back)))
        return f.div(total, f.relabel(Element(a.d, f.one), outside, memo)) if below_fixed else total

    def _fixed(self, view: int | None, same: int) -> bool:
        if view is None:
            return True
        key = ("fixed", view, same)
        if key not in self.views.made:
            v = self.views[view]
            self.views.made[key] = int(np.array_equal(v, v[self.views[same]]))
        return bool(self.views.made[key])

    def _kernel_sum(self, term: Element, where: np.ndarray, n: int, back: np.ndarray) -> Element:
        """The sum of one kind of term, as a kernel that knows its terms but not their order."""
        f, views = self.field, self.views
        if term.n.is_constant() and term.d.is_constant():
            counts = np.bincount(where, minlength=n)[back]
            scale = f.number(term.n.leading_coefficient() / term.d.leading_coefficient())
            return f.mul(scale, self.integers(counts))
        leaves = {leaf for k in f.used(term) for leaf in f.leaves(k)}
        columns = [views[v] for leaf in leaves if (v := f.kernels[leaf].leaf[1]) is not None]
        columns.sort(key=lambda v: v.tobytes())
        order = np.lexsort([*columns, where])

        def sorted_(key: Any, is_complex: bool) -> Element:
            return self.again(key, is_complex, order)

        term = f.relabel(term, sorted_, {})
        is_complex = any(f.kernels[k].is_complex for k in f.used(term))
        key = ("sum", views.enter(where[order]), n, f.key(term))
        return self.leaf(key, n, views.enter(back), is_complex)
