"""What a field can say about real functions: one kernel for exp of each monomial, so that exp(a + b) = exp(a) exp(b)
and exp(-u) = 1/exp(u) hold by themselves; sin and cos with s**2 = 1 - c**2 and the addition law; of an inverse
function they are roots.  tanh and sigmoid are kernels, or rational in exp.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.proving.field import Element, Kernel, OutOfWork, Rescale
from symgrad.proving.roots import Roots

__all__ = ["Kernels"]

Rational = Any  # python-flint's fmpq


class Kernels(Roots):
    """A field with the functions of `symgrad.program.primitives`.

    ``scales`` says of what multiple of its argument each exponential is a kernel, and is added to; so is ``facts``, the
    signs that are known.  With ``expand`` tanh and sigmoid are written in exp.
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
