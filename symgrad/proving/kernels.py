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

from symgrad.proving.facts import Facts
from symgrad.proving.fields import Element, Kernel, OutOfWork, Poly, Rescale

__all__ = ["Kernels"]

Rational = Any  # python-flint's fmpq


class Kernels(Facts):
    """A field with the functions of `symgrad.evaluation.primitives`.

    ``scales`` says of what multiple of its argument each exponential is a kernel, and is added to.  With ``expand``
    tanh and sigmoid are written in exp.
    """

    def __init__(
        self,
        n: int,
        scales: dict[Hashable, Rational],
        facts: dict[str, int] | None = None,
        *,
        expand: bool = False,
        terms: int = 3000,
    ) -> None:
        super().__init__(n, {} if facts is None else facts, terms=terms)
        self.scales = scales
        self.expand = expand
        self.logarithms: dict[int | None, Element] = {}  # kernels, and what their exponentials are
        self.products: list[tuple[Element, frozenset[str]]] = []  # roots of several factors, and the factors
        self.conjugates: dict[int | None, Element] = {}  # kernels that are conjugates: of what
        self.roots: dict[int | None, tuple[int, Element]] = {}  # kernels that are roots: the power, and of what
        self.inverses: dict[int | None, tuple[Hashable, Element]] = {}  # asin and atan kernels, with their arguments

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

    def exp(self, u: Element) -> Element:
        """A product of kernels, one for each monomial of the argument; exp(c log v) is v ** c."""
        u = self.canonical(u)
        result = self.unit
        for exponents, c in self._monomials(u):
            part = self._part(exponents, u.d)
            logarithm = self.single(part.n) if part.d.is_one() else None
            if logarithm in self.logarithms:
                factor = self.raised(self.logarithms[logarithm], c)
            elif (angle := self._angle(part)) is not None:
                cosine, sine = self.turn(self.mul(angle, self.number(c)))
                factor = self.add(cosine, self.mul(self.imaginary(), sine))
            elif (turned := self._turned(part)) is not None:
                factor = self.raised(turned, c)
            else:
                key = ("exp", self.key(part))
                power, unit = self._scaled(key, c)
                what = functools.partial(self._exp_kernel, part, unit)
                factor = self.power(Element(self.kernel(key, what), self.one), power)
            result = self.mul(result, factor)
        return result

    def _angle(self, part: Element) -> Element | None:
        """The real t with part = i t, or None."""
        i = self.index.get("i")
        used = self.used(part)
        if i is None or i not in used or any(self.kernels[k].is_complex for k in used if k != i):
            return None
        return self.canonical(self.div(part, self.imaginary()))

    def _turned(self, part: Element) -> Element | None:
        """exp(part), where part is i asin(z) or i atan(z) of a complex z: i z + sqrt(1 - z**2), or that for
        z / sqrt(1 + z**2).  A rational power of it is the principal one, for the arcs are at most a quarter turn."""
        i = self.index.get("i")
        if i is None or i not in self.used(part):
            return None
        found = self.inverses.get(self.single(self.canonical(self.div(part, self.imaginary())).n))
        if found is None or found[0] != "asin":
            return None
        z = found[1]
        return self.add(self.mul(self.imaginary(), z), self.raised(self.sub(self.unit, self.mul(z, z)), fmpq(1, 2)))

    def _exp_kernel(self, part: Element, unit: Element) -> Kernel:
        of_complex = self.is_complex(part)
        make = lambda new: self.exp(self.mul(new, unit))  # noqa: E731
        return Kernel(None, make, (part,), 0 if of_complex else 2, of_complex, str(unit.n))

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

    def turn(self, u: Element) -> tuple[Element, Element]:
        """cos and sin of the argument, by the addition law over its monomials."""
        u = self.canonical(u)
        if self.is_complex(u):
            return self._complex_turn(u)
        c, s = self.unit, self.zero
        for exponents, q in self._monomials(u):
            part = self._part(exponents, u.d)
            found = self._arc(part, q)
            if found is None:
                key = ("turn", self.key(part))
                power, unit = self._scaled(key, q)
                c1, s1 = self._turn_kernels(part, key, unit)
            else:
                c1, s1, power = found
            if abs(power) > 16:
                raise OutOfWork
            if power < 0:
                s1 = self.neg(s1)
            for _ in range(abs(power)):
                c, s = (
                    self.sub(self.mul(c, c1), self.mul(s, s1)),
                    self.add(self.mul(s, c1), self.mul(c, s1)),
                )
        return c, s

    def _turn_kernels(self, part: Element, key: Hashable, unit: Element) -> tuple[Element, Element]:
        angle, mark = functools.partial(self.mul, unit), str(unit.n)
        cosine = Kernel(None, lambda new: self.turn(angle(new))[0], (part,), mark=mark)
        c1 = Element(self.kernel(("cos", key), lambda: cosine), self.one)
        sine = Kernel(None, lambda new: self.turn(angle(new))[1], (part,), mark=mark)
        square = self.sub(self.unit, self.mul(c1, c1))
        return c1, Element(self.kernel(("sin", key), lambda: sine, 2, square), self.one)

    def _arc(self, part: Element, q: Rational) -> tuple[Element, Element, int] | None:
        """cos and sin of an angle that is an inverse function, or pi, times 1/2**n, and the whole multiple of it.

        asin and atan are at most a quarter turn, so that the cosine of each half of them is a positive root.
        """
        k = self.single(part.n) if part.d.is_one() else None
        if k is None:
            return None
        if self.index.get(("pi",)) == k:
            return self._part_of_pi(q)
        if k not in self.inverses or self.inverses[k][0] not in ("asin", "atan"):
            return None
        halves = int(q.q).bit_length() - 1
        if q.q != 1 << halves or halves > 4:
            return None
        name, v = self.inverses[k]
        square = self.mul(v, v)
        if name == "asin":
            c, s = self.sqrt(self.sub(self.unit, square)), v
        else:
            c = self.inverse(self.sqrt(self.add(self.unit, square)))
            s = self.mul(v, c)
        for _ in range(halves):
            c, full = self.sqrt(self.div(self.add(self.unit, c), self.number(fmpq(2, 1)))), s
            s = self.div(full, self.mul(c, self.number(fmpq(2, 1))))
        return c, s, int(q.p)

    def _part_of_pi(self, q: Rational) -> tuple[Element, Element, int] | None:
        if q.q not in (1, 2, 3, 4, 6):
            return None
        angle = sp.pi * sp.Rational(int(q.p), int(q.q))
        return self._algebraic(sp.cos(angle)), self._algebraic(sp.sin(angle)), 1

    def _algebraic(self, e: Any) -> Element:
        """c or c sqrt(n), for rational numbers c and n."""
        c, root = e.as_coeff_Mul()
        number = self.number(fmpq(int(c.p), int(c.q)))
        return number if root == 1 else self.mul(number, self.sqrt(self.number(fmpq(int(root.base), 1))))

    def _complex_turn(self, u: Element) -> tuple[Element, Element]:
        """By exp(i u), for a complex argument."""
        i = self.imaginary()
        e = self.exp(self.mul(i, u))
        back, two = self.inverse(e), self.number(fmpq(2, 1))
        return self.div(self.add(e, back), two), self.div(self.sub(e, back), self.mul(two, i))

    def tanh(self, u: Element) -> Element:
        if not self.expand and not self.is_complex(u):
            return self.odd("tanh", u)
        e = self.exp(self.add(u, u))
        return self.div(self.sub(e, self.unit), self.add(e, self.unit))

    def sigmoid(self, u: Element) -> Element:
        """A kernel s, with s(-u) = 1 - s(u); or e/(1 + e) with e = exp(u)."""
        if self.expand or self.is_complex(u):
            e = self.exp(u)
            return self.div(e, self.add(e, self.unit))
        u = self.canonical(u)
        if not u.n.is_zero() and u.n.leading_coefficient() < 0:
            return self.sub(self.unit, self.opaque("sigmoid", self.neg(u), sign=2))
        return self.opaque("sigmoid", u, sign=2)
