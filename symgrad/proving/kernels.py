"""What a field can say about real functions: one kernel for exp of each monomial, so that exp(a + b) = exp(a) exp(b)
and exp(-u) = 1/exp(u) hold by themselves; sin and cos with s**2 = 1 - c**2 and the addition law; a root with r**2 = u;
a sign with s**2 = 1; a logarithm for each factor known to be positive, and one for all the others together.  tanh and
sigmoid are kernels, or rational in exp.

What is not done matters as much: log(x y) is split only where the factors are known to be positive, and sqrt(x**2) is
|x|, a sign times x.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.proving.fields import Element, Field, Kernel, OutOfWork, Poly, Rescale

__all__ = ["Kernels"]

Rational = Any  # python-flint's fmpq


class Kernels(Field):
    """A field with the functions of `symgrad.evaluation.primitives`.

    ``scales`` says of what multiple of its argument each exponential is a kernel, and is added to.  With ``expand``
    tanh and sigmoid are written in exp.
    """

    def __init__(self, n: int, scales: dict[Hashable, Rational], *, expand: bool = False, terms: int = 3000) -> None:
        super().__init__(n, terms=terms)
        self.scales = scales
        self.expand = expand
        self.logarithms: dict[int, Element] = {}  # kernels that are logarithms, with their arguments

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
            return self.neg(self.opaque(name, self.neg(u)))
        return self.opaque(name, u)

    def _monomials(self, u: Element) -> list[tuple[tuple[int, ...], Rational]]:
        return list(u.n.to_dict().items())

    def _monomial(self, exponents: tuple[int, ...]) -> Poly:
        return self.context.from_dict({exponents: 1})

    def _scaled(self, key: Hashable, c: Rational) -> tuple[int, Element]:
        """The power of the kernel of ``key`` that stands for a multiple c, and of what multiple the kernel is."""
        unit = self.scales.setdefault(key, abs(c))
        whole = c / unit
        if whole.q != 1:
            self.scales[key] = unit / whole.q
            raise Rescale
        if abs(whole.p) > 64:
            raise OutOfWork
        return int(whole.p), self.number(unit)

    def exp(self, u: Element, is_complex: bool = False) -> Element:
        """A product of kernels, one for each monomial of the argument; exp(c log v) is v ** c."""
        u = self.canonical(u)
        result = self.unit
        for exponents, c in self._monomials(u):
            logs = [k for k, e in enumerate(exponents) if e and k in self.logarithms]
            if len(logs) == 1 and sum(exponents) == 1 and u.d.is_one():
                result = self.mul(result, self._root_power(self.logarithms[logs[0]], c))
                continue
            part = Element(self._monomial(exponents), u.d)
            if (angle := self._angle(part)) is not None:
                cosine, sine = self.turn(self.mul(angle, self.number(c)))
                result = self.mul(result, self.add(cosine, self.mul(self.imaginary(), sine)))
                continue
            key = ("exp", self.key(part))
            power, unit = self._scaled(key, c)
            what = functools.partial(self._exp_kernel, part, unit, is_complex)
            result = self.mul(result, self.power(Element(self.kernel(key, what), self.one), power))
        return result

    def _angle(self, part: Element) -> Element | None:
        """The real t with part = i t, or None."""
        i = self.index.get("i")
        used = self.used(part)
        if i is None or i not in used or any(self.kernels[k].is_complex for k in used if k != i):
            return None
        return self.canonical(self.div(part, self.imaginary()))

    def _exp_kernel(self, part: Element, unit: Element, is_complex: bool) -> Kernel:
        sign = 0 if is_complex else 2
        return Kernel(None, lambda new: self.exp(self.mul(new, unit), is_complex), (part,), sign, is_complex)

    def _root_power(self, v: Element, c: Rational) -> Element:
        """v ** c for v > 0 and a rational c."""
        whole = c.p // c.q
        result = self.power(v, int(whole))
        rest = c - whole
        if rest == 0:
            return result
        if rest.q == 2:
            return self.mul(result, self.sqrt(v))
        q = int(rest.q)
        if q > 64:
            raise OutOfWork
        v = self.canonical(v)
        make = lambda new: self._root_power(new, fmpq(1, q))  # noqa: E731
        root = self.kernel(("root", q, self.key(v)), lambda: Kernel(None, make, (v,), 1), q, v)
        return self.mul(result, Element(root ** int(rest.p), self.one))

    def factors(self, u: Element) -> tuple[Rational, list[tuple[Poly, int, bool]]]:
        """A rational number and irreducible factors with their powers, and whether each is known to be positive."""
        u = self.canonical(u)
        content, found = fmpq(1, 1), []
        for p, side in ((u.n, 1), (u.d, -1)):
            if len(p) > 200:
                raise OutOfWork
            c, parts = p.factor()
            for f, e in parts:
                lead = f.leading_coefficient()
                found.append((f / lead, int(e) * side))
                c = c * lead ** int(e)
            content = content * c if side > 0 else content / c
        out = []
        for f, e in found:
            positive = self.is_positive(f)
            if not positive and self.is_positive(-f):
                f, positive = -f, True
                content = -content if e % 2 else content
            out.append((f, e, positive))
        return content, sorted(out, key=lambda x: str(x[0]))

    def is_positive(self, p: Poly, *, or_zero: bool = False) -> bool:
        """Whether every term is a square or a product of positive kernels, one of them without zeros.

        With ``or_zero`` the last is not asked for: then p is positive or zero.
        """
        for exponents, c in p.to_dict().items():
            if c < 0:
                return False
            sure = True
            for k, e in enumerate(exponents):
                if e:
                    sign = self.kernels[k].sign
                    if self.kernels[k].is_complex or (sign == 0 and e % 2):
                        return False
                    sure = sure and sign == 2
            or_zero = or_zero or sure
        return or_zero

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
            kernel = self._single(f)
            if kernel is not None and kernel in self.exponentials:
                total = self.add(total, self.mul(self.number(fmpq(e, 1)), self.exponentials[kernel]))
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

    def _single(self, p: Poly) -> int | None:
        """The kernel that a polynomial is, or None."""
        terms = p.to_dict()
        if len(terms) != 1:
            return None
        ((exponents, c),) = terms.items()
        return exponents.index(1) if c == 1 and sum(exponents) == 1 else None

    def _log(self, v: Element) -> Element:
        if v.n == v.d:
            return self.zero
        v = self.canonical(v)
        kernel = self.kernel(("log", self.key(v)), lambda: Kernel(None, self.log, (v,)))
        self.logarithms[self.index["log", self.key(v)]] = v
        return Element(kernel, self.one)

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
        return out if inside.n == self.one else self.mul(out, self._root(inside, 1))

    def _positive_root(self, f: Poly) -> Element:
        k = self._single(f)
        if k is not None and k in self.exponentials:
            return self.exp(self.mul(self.exponentials[k], self.number(fmpq(1, 2))))
        return self._root(Element(f, self.one), 2)

    def _root(self, u: Element, sign: int) -> Element:
        root = self.kernel(("sqrt", self.key(u)), lambda: Kernel(None, self.sqrt, (u,), sign), 2, u)
        return Element(root, self.one)

    def turn(self, u: Element) -> tuple[Element, Element]:
        """cos and sin of the argument, by the addition law over its monomials."""
        u = self.canonical(u)
        c, s = self.unit, self.zero
        for exponents, q in self._monomials(u):
            part = Element(self._monomial(exponents), u.d)
            key = ("turn", self.key(part))
            power, unit = self._scaled(key, q)
            if abs(power) > 16:
                raise OutOfWork
            angle = functools.partial(self.mul, unit)
            cosine = Kernel(None, lambda new, angle=angle: self.turn(angle(new))[0], (part,))
            c1 = Element(self.kernel(("cos", key), lambda cosine=cosine: cosine), self.one)
            sine = Kernel(None, lambda new, angle=angle: self.turn(angle(new))[1], (part,))
            square = self.sub(self.unit, self.mul(c1, c1))
            s1 = Element(self.kernel(("sin", key), lambda sine=sine: sine, 2, square), self.one)
            if power < 0:
                s1 = self.neg(s1)
            for _ in range(abs(power)):
                c, s = (
                    self.sub(self.mul(c, c1), self.mul(s, s1)),
                    self.add(self.mul(s, c1), self.mul(c, s1)),
                )
        return c, s

    def tanh(self, u: Element) -> Element:
        if not self.expand:
            return self.odd("tanh", u)
        e = self.exp(self.add(u, u))
        return self.div(self.sub(e, self.unit), self.add(e, self.unit))

    def sigmoid(self, u: Element) -> Element:
        """A kernel s, with s(-u) = 1 - s(u); or e/(1 + e) with e = exp(u)."""
        if self.expand:
            e = self.exp(u)
            return self.div(e, self.add(e, self.unit))
        u = self.canonical(u)
        if not u.n.is_zero() and u.n.leading_coefficient() < 0:
            return self.sub(self.unit, self.opaque("sigmoid", self.neg(u), sign=2))
        return self.opaque("sigmoid", u, sign=2)
