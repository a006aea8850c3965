"""Exact fractions of polynomials in kernels: the arithmetic.

A kernel is an indeterminate that stands for an input or for a transcendental value (`symgrad.proving.kernels` says
which).  Some kernels satisfy a relation, power = fraction in earlier kernels, as r**2 = u does for a square root;
fractions are kept reduced modulo these.  Two fractions that are equal are equal functions wherever both are defined;
the converse is not claimed.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

from flint import Ordering, fmpq, fmpq_mpoly_ctx

Poly = Any  # python-flint's fmpq_mpoly
Rational = Any  # python-flint's fmpq


class OutOfWork(Exception):
    """A polynomial has more terms than the budget allows, or a power is too high."""


class Full(Exception):
    """There are no indeterminates left: begin again with more."""


class Rescale(Exception):
    """An exponential is wanted at a finer fraction of its argument: begin again with that."""


class Element(NamedTuple):
    """The fraction ``n / d``."""

    n: Poly
    d: Poly


@dataclass(frozen=True, eq=False, slots=True)
class Kernel:
    """What an indeterminate stands for.

    ``make`` and ``parts`` give it again from other parts: ``make(*parts)``.  A ``leaf`` has none, but a key.
    ``sign`` is 2 for positive, 1 for not negative, 0 for unknown; ``mark`` is what else tells it from others.
    """

    leaf: Any = None
    make: Callable[..., Element] | None = None
    parts: tuple[Element, ...] = ()
    sign: int = 0
    is_complex: bool = False
    mark: str = ""


@functools.cache
def _context(n: int) -> Any:
    return fmpq_mpoly_ctx.get([f"k{i}" for i in range(n)], Ordering.degrevlex)


class Field:
    """Fractions in up to ``n`` kernels, and what is known about these; ``terms`` bounds the terms of a polynomial.

    The methods are the arithmetic.  What kernels mean is said by functions of a Field: `symgrad.proving.sign_facts`,
    `symgrad.proving.kernels`, `symgrad.proving.special_relations`.  Two tables outlive a field, and are added to:
    ``scales`` says of what multiple of its argument each exponential is a kernel, ``known`` maps the name of a monic
    polynomial to its sign.  With ``expand`` tanh and sigmoid are written in exp.
    """

    def __init__(
        self,
        n: int,
        scales: dict[Hashable, Rational] | None = None,
        known: dict[str, int] | None = None,
        *,
        expand: bool = False,
        terms: int = 3000,
    ) -> None:
        self.context = _context(n)
        self.gens = self.context.gens()
        self.n = n
        self.terms = terms
        self.kernels: list[Kernel] = []
        self.index: dict[Hashable, int] = {}
        self.keys: list[Hashable] = []  # of the kernels
        self._leaves: dict[int, frozenset[int]] = {}  # in each kernel that was asked about
        self.names: list[str | None] = []  # of the first of them: the same in every field, unlike their numbers
        self.relations: list[tuple[int, int, Element]] = []  # kernel ** power = element, in the kernels before it
        self.related: set[int] = set()
        self.one = self.context.constant(1)
        self.zero_ = self.context.constant(0)
        self.unit = Element(self.one, self.one)
        self.zero = Element(self.zero_, self.one)
        self.work = 0
        # what kernels are, beside their relations
        self.scales: dict[Hashable, Rational] = {} if scales is None else scales
        self.expand = expand
        self.logarithms: dict[int | None, Element] = {}  # kernels, and what their exponentials are
        self.roots: dict[int | None, tuple[int, Element]] = {}  # kernels that are roots: the power, and of what
        self.products: list[tuple[Element, frozenset[str]]] = []  # roots of several factors, and the factors
        self.inverses: dict[int | None, tuple[Hashable, Element]] = {}  # asin and atan kernels, with their arguments
        self.conjugates: dict[int | None, Element] = {}  # kernels that are conjugates: of what
        # what is known of signs
        self.known: dict[str, int] = {} if known is None else known
        self.learned = False  # whether this field added to it
        self.assumed: list[tuple[Element, bool]] = []
        self.signs: dict[str, int] = {}

    # ---------------------------------------------------------------------------------------- kernels
    def kernel(self, key: Hashable, what: Callable[[], Kernel], power: int = 0, value: Element | None = None) -> Poly:
        """The indeterminate of a key; with ``kernel ** power = value`` if given."""
        k = self.index.get(key)
        if k is None:
            kernel = what()
            if len(self.kernels) == self.n:
                raise Full
            k = self.index[key] = len(self.kernels)
            self.kernels.append(kernel)
            self.keys.append(key)
            if value is not None:
                self.relations.append((k, power, value))
                self.related.add(k)
        return self.gens[k]

    def _name(self, key: Any, kernel: Kernel) -> str | None:
        """What a kernel is, without the numbers of others; None for sums, whose terms only their key tells."""
        if kernel.leaf is not None:
            base = kernel.leaf[0] if isinstance(kernel.leaf, tuple) else kernel.leaf
            return None if isinstance(base, tuple) and any(isinstance(x, str) for x in base[1:]) else repr(kernel.leaf)
        parts = [self.name(p) for element in kernel.parts for p in element]
        if any(p is None for p in parts):
            return None
        kind = [x for x in key if not isinstance(x, str)] if isinstance(key, tuple) else []
        head = repr(
            (
                key[0] if kind or isinstance(key, tuple) else key,
                [x for x in kind if isinstance(x, int)],
                kernel.mark,
                parts,
            )
        )
        return hashlib.blake2b(head.encode(), digest_size=12).hexdigest()

    def name(self, p: Poly) -> str | None:
        """A polynomial, written in the kernels' names."""
        used = kernels_in(p)
        for k in range(len(self.names), max(used, default=-1) + 1):  # one after the other: each is of those before it
            self.names.append(self._name(self.keys[k], self.kernels[k]))
        terms = []
        for exponents, c in p.to_dict().items():
            factors = [(self.names[k], exponents[k]) for k in used if exponents[k]]
            if any(n is None for n, _ in factors):
                return None
            terms.append(f"{c} {sorted(factors, key=str)}")
        return "+".join(sorted(terms))

    def leaf(self, key: Hashable, is_complex: bool = False) -> Element:
        return Element(self.kernel(("leaf", key), lambda: Kernel(leaf=key, is_complex=is_complex)), self.one)

    def number(self, q: Any) -> Element:
        return Element(self.context.constant(fmpq(int(q.numerator), int(q.denominator))), self.one)

    def imaginary(self) -> Element:
        what = lambda: Kernel(make=self.imaginary, is_complex=True)  # noqa: E731
        return Element(self.kernel("i", what, 2, Element(-self.one, self.one)), self.one)

    # ---------------------------------------------------------------------------------------- arithmetic
    def _checked(self, n: Poly, d: Poly) -> Element:
        if self.related:
            n, d = self.reduced(n, d)
        size = len(n) + len(d)
        self.work += size
        if size > self.terms:
            raise OutOfWork
        return Element(n, d)

    def add(self, a: Element, b: Element) -> Element:
        if a.d == b.d:
            return self._checked(a.n + b.n, a.d)
        if a.d.is_one() or b.d.is_one():
            return self._checked(a.n * b.d + b.n * a.d, a.d * b.d)
        g = a.d.gcd(b.d)
        x, y = a.d / g, b.d / g
        return self._checked(a.n * y + b.n * x, a.d * y)

    def neg(self, a: Element) -> Element:
        return Element(-a.n, a.d)

    def sub(self, a: Element, b: Element) -> Element:
        return self.add(a, self.neg(b))

    def mul(self, a: Element, b: Element) -> Element:
        if len(a.n) * len(b.n) > 64 * self.terms or len(a.d) * len(b.d) > 64 * self.terms:
            raise OutOfWork
        return self._checked(a.n * b.n, a.d * b.d)

    def inverse(self, a: Element) -> Element:
        if self.is_zero(a):
            raise OutOfWork  # a division by what is zero everywhere: nothing is claimed
        return Element(a.d, a.n)

    def div(self, a: Element, b: Element) -> Element:
        return self.mul(a, self.inverse(b))

    def power(self, a: Element, n: int) -> Element:
        if n < 0:
            return self.power(self.inverse(a), -n)
        if n > 64 and len(a.n) + len(a.d) > 2:
            raise OutOfWork
        result = self.unit
        while n:
            if n & 1:
                result = self.mul(result, a)
            n >>= 1
            if n:
                a = self.mul(a, a)
        return result

    def is_zero(self, a: Element) -> bool:
        return a.n.is_zero() or self.reduced(a.n, a.d)[0].is_zero()

    def equal(self, a: Element, b: Element) -> bool:
        return self.is_zero(self.sub(a, b))

    def reduced(self, n: Poly, d: Poly) -> tuple[Poly, Poly]:
        """The same fraction, with no relation left to apply above or below."""
        for top in (True, False):
            p = n if top else d
            for k, power, value in reversed(self.relations):
                if p.is_constant():
                    break
                high = int(p.degrees()[k]) // power
                while high > 0:  # the zero polynomial has degree -1
                    parts: dict[int, dict[tuple[int, ...], Any]] = {}
                    for e, c in p.to_dict().items():
                        q, rest = divmod(e[k], power)
                        parts.setdefault(q, {})[(*e[:k], rest, *e[k + 1 :])] = c
                    self.work += len(p) // 4
                    p = self.zero_
                    for q, part in parts.items():
                        p = p + self.context.from_dict(part) * value.n**q * value.d ** (high - q)
                        if len(p) > 8 * self.terms:
                            raise OutOfWork
                        self.work += len(p) // 4
                    below = value.d**high
                    n, d = (p, d * below) if top else (n * below, p)
                    high = int(p.degrees()[k]) // power
            if top:
                n = p
            else:
                d = p
        return n, d

    def canonical(self, a: Element) -> Element:
        """In lowest terms, the denominator free of square roots and monic."""
        n, d = a
        if n.is_zero():
            return self.zero
        if not d.is_constant():
            for k, power, _ in reversed(self.relations):
                if power == 2 and d.degrees()[k] == 1:
                    other = d.compose(*(-g if j == k else g for j, g in enumerate(self.gens)), ctx=self.context)
                    n, d = self.reduced(n * other, d * other)
                    if d.is_zero():
                        raise OutOfWork
            g = n.gcd(d)
            if not g.is_one():
                n, d = n / g, d / g
        c = d.leading_coefficient()
        return Element(n / c, d / c) if c != 1 else Element(n, d)

    def key(self, a: Element) -> str:
        a = self.canonical(a)
        return f"{a.n}|{a.d}"

    # ---------------------------------------------------------------------------------------- substitution
    def relabel(self, a: Element, leaf: Callable[[Any, bool], Element], memo: dict[int, Element]) -> Element:
        """The element with each leaf kernel replaced by ``leaf(key, is_complex)``, all through."""
        n = self._relabel(a.n, leaf, memo)
        return n if a.d.is_one() else self.div(n, self._relabel(a.d, leaf, memo))

    def _relabel(self, p: Poly, leaf: Callable[[Any, bool], Element], memo: dict[int, Element]) -> Element:
        total = self.zero
        used = kernels_in(p)
        for exponents, c in p.to_dict().items():
            term = self.number(c)
            for k in used:
                if exponents[k]:
                    term = self.mul(term, self.power(self.relabelled(k, leaf, memo), exponents[k]))
            total = self.add(total, term)
        return total

    def relabelled(self, k: int, leaf: Callable[[Any, bool], Element], memo: dict[int, Element]) -> Element:
        found = memo.get(k)
        if found is None:
            kernel = self.kernels[k]
            if kernel.make is None:
                found = leaf(kernel.leaf, kernel.is_complex)
            else:
                found = kernel.make(*(self.relabel(p, leaf, memo) for p in kernel.parts))
            memo[k] = found
        return found

    def leaves(self, k: int) -> frozenset[int]:
        """The leaf kernels in kernel ``k``."""
        if k not in self._leaves:
            parts = {i for part in self.kernels[k].parts for i in self.used(part)}
            own = [k] if self.kernels[k].make is None else []
            self._leaves[k] = frozenset(own).union(*map(self.leaves, sorted(parts)))
        return self._leaves[k]

    def used(self, a: Element) -> set[int]:
        """The kernels that occur in an element."""
        return {*kernels_in(a.n), *kernels_in(a.d)}

    def is_complex(self, a: Element) -> bool:
        return any(self.kernels[k].is_complex for k in self.used(a))


def kernels_in(p: Poly) -> list[int]:
    """The kernels that occur in a polynomial, in order."""
    return [] if p.is_constant() else [*itertools.compress(itertools.count(), p.degrees())]


def kernel_in(p: Poly) -> int | None:
    """The kernel that a polynomial is, or None."""
    terms = p.to_dict()
    if len(terms) != 1:
        return None
    ((exponents, c),) = terms.items()
    return exponents.index(1) if c == 1 and sum(exponents) == 1 else None


def number_in(u: Element) -> Rational | None:
    """The rational number that an element is, or None."""
    if u.n.is_zero():
        return fmpq(0)
    if u.n.is_constant() and u.d.is_constant():
        return u.n.leading_coefficient() / u.d.leading_coefficient()
    return None
