"""Powers, roots and logarithms in a field: one kernel for each factor known not to be negative, and one for all the
others together; r**2 = u for a root, s**2 = 1 for a sign.  All roots of a value are powers of one root of it.

What is not done matters as much: log(x y) is split only where the factors are known to be positive, and sqrt(x**2) is
|x|, a sign times x.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.proving.field import Element, Kernel, OutOfWork, Poly
from symgrad.proving.intervals import Facts

__all__ = ["Roots"]

Rational = Any  # python-flint's fmpq


class Roots(Facts):
    """A field with roots, signs and logarithms, of real and of complex values."""

    def __init__(self, n: int, known: dict[str, int], *, terms: int = 3000) -> None:
        super().__init__(n, known, terms=terms)
        self.scales: dict[Hashable, Rational] = {}
        self.logarithms: dict[int | None, Element] = {}  # kernels, and what their exponentials are
        self.products: list[tuple[Element, frozenset[str]]] = []  # roots of several factors, and the factors
        self.conjugates: dict[int | None, Element] = {}  # kernels that are conjugates: of what
        self.roots: dict[int | None, tuple[int, Element]] = {}  # kernels that are roots: the power, and of what
        self.inverses: dict[int | None, tuple[Hashable, Element]] = {}  # asin and atan kernels, with their arguments

    def exp(self, u: Element) -> Element:
        raise NotImplementedError  # of `symgrad.proving.kernels`, which is made on this

    def opaque(self, name: Hashable, *parts: Element, sign: int = 0, is_complex: bool = False) -> Element:
        """A function of which nothing is known but that equal arguments give equal values."""
        make = lambda *new: self.opaque(name, *new, sign=sign, is_complex=is_complex)  # noqa: E731
        key = (name, *(self.key(p) for p in parts))
        return Element(self.kernel(key, lambda: Kernel(None, make, parts, sign, is_complex)), self.one)

    def odd(self, name: Hashable, u: Element) -> Element:
        """An opaque odd function: the argument is taken with a positive leading coefficient."""
        u = self.canonical(u)
        if u.n.is_zero():
            return self.zero
        if u.n.leading_coefficient() < 0:
            return self.neg(self.odd(name, self.neg(u)))
        found = self.opaque(name, u, is_complex=self.is_complex(u))
        self.inverses[self.single(found.n)] = name, u
        return found

    def _monomials(self, u: Element) -> list[tuple[tuple[int, ...], Rational]]:
        return list(u.n.to_dict().items())

    def _part(self, exponents: tuple[int, ...], d: Poly) -> Element:
        """A monomial over the denominator, in lowest terms."""
        part = Element(self.context.from_dict({exponents: 1}), d)
        return part if d.is_one() else self.canonical(part)

    def raised(self, v: Element, c: Rational) -> Element:
        """v ** c for a rational c and v > 0, or the principal value for a complex v."""
        whole = c.p // c.q
        result = self.power(v, int(whole))
        rest = c - whole
        if rest == 0:
            return result
        if rest.q > 64:
            raise OutOfWork
        return self.mul(result, self.power(self.root(v, int(rest.q)), int(rest.p)))

    def root(self, v: Element, q: int) -> Element:
        """The q-th root: a root of the square root where q is even, so that all roots of v are powers of one."""
        if self.is_complex(v):
            return self._principal_root(self.canonical(v), q)
        if q == 1:
            return v
        if q % 2 == 0:
            return self.root(self.sqrt(v), q // 2)
        content, parts = self.factors(v)
        out, rest = self.unit, self.number(content)
        for f, e, positive in parts:
            if positive:
                whole, left = divmod(e, q)
                out = self.mul(out, self.power(Element(f, self.one), whole))
                single = self.single(f)
                if left and single in self.exponentials:
                    part = self.mul(self.exponentials[single], self.number(fmpq(left, q)))
                    out = self.mul(out, self.exp(part))
                elif left:
                    out = self.mul(out, self.power(self._one_root(Element(f, self.one), q), left))
            else:
                rest = self.mul(rest, self.power(Element(f, self.one), e))
        return out if rest.n == rest.d else self.mul(out, self._one_root(self.canonical(rest), q))

    def _one_root(self, v: Element, q: int) -> Element:
        make = lambda new: self.root(new, q)  # noqa: E731
        root = self.kernel(("root", q, self.key(v)), lambda: Kernel(None, make, (v,), 1), q, v)
        self.roots[self.single(root)] = q, v
        return Element(root, self.one)

    def _principal_root(self, v: Element, q: int) -> Element:
        if q % 2 == 0 and (parts := self._right_half(v)) is not None:  # sqrt(z) = a + i im(z) / (2 a)
            p, imaginary = parts
            two, size = self.number(fmpq(2)), self.sqrt(self.add(self.mul(p, p), self.mul(imaginary, imaginary)))
            a = self.sqrt(self.div(self.add(size, p), two))
            half = self.add(a, self.mul(self.imaginary(), self.div(imaginary, self.mul(two, a))))
            return half if q == 2 else self._principal_root(self.canonical(half), q // 2)
        make = lambda new: self._principal_root(self.canonical(new), q)  # noqa: E731
        what = lambda: Kernel(None, make, (v,), 0, True)  # noqa: E731
        return Element(self.kernel(("complex root", q, self.key(v)), what, q, v), self.one)

    def log(self, u: Element) -> Element:
        """log of a product is a sum over the factors known to be positive; the others stay under one logarithm."""
        content, parts = self.factors(u)
        total = self.zero
        rest = self.unit
        if content < 0:
            rest, content = self.neg(rest), -content
        for f, e, positive in parts:
            if not positive:
                rest = self.mul(rest, self.power(Element(f, self.one), e))
                continue
            kernel = self.single(f)
            if kernel is not None and kernel in self.exponentials:
                total = self.add(total, self.mul(self.number(fmpq(e, 1)), self.exponentials[kernel]))
            elif kernel in self.roots:
                q, v = self.roots[kernel]
                total = self.add(total, self.mul(self.number(fmpq(e, q)), self.log(v)))
            else:
                total = self.add(total, self.mul(self.number(fmpq(e, 1)), self._log(Element(f, self.one))))
        for number, side in ((int(content.p), 1), (int(content.q), -1)):
            if number.bit_length() > 64:
                raise OutOfWork
            for prime, e in sp.factorint(number).items():
                part = self._log(self.number(fmpq(prime, 1)))
                total = self.add(total, self.mul(self.number(fmpq(e * side, 1)), part))
        return total if rest.n == self.one and rest.d == self.one else self.add(total, self._log(rest))

    @property
    def exponentials(self) -> dict[int, Element]:
        """The exponential kernels with their arguments."""
        found = {}
        for key, k in self.index.items():
            if isinstance(key, tuple) and key[0] == "exp":
                found[k] = self.mul(self.kernels[k].parts[0], self.number(self.scales[key]))
        return found

    def single(self, p: Poly) -> int | None:
        """The kernel that a polynomial is, or None."""
        terms = p.to_dict()
        if len(terms) != 1:
            return None
        ((exponents, c),) = terms.items()
        return exponents.index(1) if c == 1 and sum(exponents) == 1 else None

    def _log(self, v: Element) -> Element:
        v = self.canonical(v)
        if v.n == v.d:
            return self.zero
        kernel = self.kernel(("log", self.key(v)), lambda: Kernel(None, self.log, (v,)))
        self.logarithms[self.index["log", self.key(v)]] = v
        return Element(kernel, self.one)

    def complex_log(self, z: Element) -> Element:
        """The principal logarithm: a kernel of which only exp(log(z)) = z is used, or, in the right half of the plane,
        log|z| + i atan of the slope."""
        z = self.canonical(z)
        if (parts := self._right_half(z)) is not None:
            p, q = parts
            size = self.log(self.add(self.mul(p, p), self.mul(q, q)))
            angle = self.odd("atan", self.div(q, p))
            return self.add(self.mul(self.number(fmpq(1, 2)), size), self.mul(self.imaginary(), angle))
        found = self.opaque("complex log", z, is_complex=True)
        self.logarithms[self.single(found.n)] = z
        return found

    def principal_power(self, z: Element, c: Rational) -> Element:
        """z ** c of a complex z: a power of the principal root, of which only root**q = z is used."""
        whole = c.p // c.q
        rest = c - whole
        result = self.power(z, int(whole))
        if rest == 0:
            return result
        if rest.q > 64:
            raise OutOfWork
        return self.mul(result, self.power(self._principal_root(self.canonical(z), int(rest.q)), int(rest.p)))

    def _right_half(self, z: Element) -> tuple[Element, Element] | None:
        """The real and imaginary parts of z, if they are seen and the real part is known to be positive."""
        i = self.index.get("i")
        if i is None or any(self.kernels[k].is_complex for k in self.used(z) if k != i) or z.d.degrees()[i] > 0:
            return None
        real, imaginary = {}, {}
        for exponents, c in self._reduced(z.n, z.d)[0].to_dict().items():
            below = (*exponents[:i], 0, *exponents[i + 1 :])
            (imaginary if exponents[i] else real)[below] = c
        p = Element(self.context.from_dict(real), z.d)
        content, parts = self.factors(p) if real else (fmpq(-1), [])
        if content < 0 or not all(positive for _, _, positive in parts):
            return None
        return p, Element(self.context.from_dict(imaginary), z.d)

    def constant(self, u: Element) -> Rational | None:
        """The rational number that an element is, or None."""
        if u.n.is_zero():
            return fmpq(0)
        if u.n.is_constant() and u.d.is_constant():
            return u.n.leading_coefficient() / u.d.leading_coefficient()
        return None

    def sign_of(self, u: Element) -> Element:
        """A product of signs s with s**2 = 1, one for each factor not known to be positive (u not zero)."""
        if self.is_zero(u):
            return self.zero
        content, parts = self.factors(u)
        result = self.unit if content > 0 else self.neg(self.unit)
        for f, e, positive in parts:
            if not positive and e % 2:
                result = self.mul(result, self._sign(f))
        return result

    def _sign(self, f: Poly) -> Element:
        if self.is_positive(f, or_zero=True):
            return self.unit
        element = Element(f, self.one)
        what = lambda: Kernel(None, self.sign_of, (element,))  # noqa: E731
        return Element(self.kernel(("sign", str(f)), what, 2, self.unit), self.one)

    def sqrt(self, u: Element) -> Element:
        """Squares come out of the root, as absolute values where their sign is not known."""
        if self.is_zero(u):
            return self.zero
        content, parts = self.factors(u)
        out, inside = self.unit, self.unit
        unknown = [(f, e) for f, e, positive in parts if not positive]
        alone = sum(e % 2 for _, e in unknown) == 1 and content > 0
        for f, e in unknown:
            half, odd = divmod(e, 2)
            root = self.power(Element(f, self.one), half)
            if half % 2 and not (alone and odd):  # a lone odd factor is itself positive where the root is defined
                root = self.mul(root, self._sign(f))
            out = self.mul(out, root)
            if odd:
                inside = self.mul(inside, Element(f, self.one))
        for f, e, positive in parts:
            if positive:
                half, odd = divmod(e, 2)
                out = self.mul(out, self.power(Element(f, self.one), half))
                if odd:
                    out = self.mul(out, self._positive_root(f))
        if content < 0:
            inside, content = self.neg(inside), -content
        for number, side in ((int(content.p), 1), (int(content.q), -1)):
            if number.bit_length() > 64:
                raise OutOfWork
            for prime, e in sp.factorint(number).items():
                half, odd = divmod(e * side, 2)
                out = self.mul(out, self.power(self.number(fmpq(prime, 1)), half))
                if odd:
                    out = self.mul(out, self._root(self.number(fmpq(prime, 1)), 2))
        if inside.n == self.one:
            return out
        single = frozenset(str(f) for f, e in unknown if e % 2)
        return self.mul(out, self._common_root(inside, single) if len(single) > 1 else self._root(inside, 1))

    def _common_root(self, u: Element, factors: frozenset[str]) -> Element:
        """The root of a product of several factors of unknown sign; that of f g and that of f h give that of g h."""
        for k, (one, first) in enumerate(self.products):
            for two, second in self.products[:k]:
                if first ^ second == factors:
                    product = self.mul(self.root_of(one), self.root_of(two))
                    square = self.div(self.mul(one, two), u)  # of what they have in common, at least up to sign
                    if self.sign_of(square).n == self.one:
                        return self.div(product, self.sqrt(square))
        if all(factors != known for _, known in self.products):
            self.products.append((u, factors))
        return self._root(u, 1)

    def root_of(self, u: Element) -> Element:
        return self._root(u, 1)

    def _positive_root(self, f: Poly) -> Element:
        k = self.single(f)
        if k is not None and k in self.exponentials:
            return self.exp(self.mul(self.exponentials[k], self.number(fmpq(1, 2))))
        return self._root(Element(f, self.one), 2)

    def _root(self, u: Element, sign: int) -> Element:
        root = self.kernel(("sqrt", self.key(u)), lambda: Kernel(None, self.sqrt, (u,), sign), 2, u)
        self.roots[self.single(root)] = 2, u
        return Element(root, self.one)
