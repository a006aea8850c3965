"""What a field can say about real functions: one kernel for exp of each monomial, so that exp(a + b) = exp(a) exp(b)
and exp(-u) = 1/exp(u) hold by themselves; sin and cos with s**2 = 1 - c**2 and the addition law; of an inverse
function they are roots.  tanh and sigmoid are kernels, or rational in exp.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.proving.field import Element, Kernel, OutOfWork, Rescale
from symgrad.proving.roots import Roots

__all__ = ["RELATIONS", "Kernels"]


# ------------------------------------------------------------------------------------------------------------- kernels

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


# --------------------------------------------------------------------------------------------------- special relations
# Relations between values of one special function, which give it a normal form.
#
# The gamma and polygamma functions at u + n are read at u, Bessel functions of all orders that differ by whole numbers
# in two of them, exponential integrals and incomplete gamma functions likewise in one; exp(W(u)) = u / W(u).
# References: NIST Digital Library of Mathematical Functions, 5.5.1, 5.15.5, 10.6.1, 10.29.1, 8.8.2, 8.19.12, 4.13.1.

_FAR = 24  # steps of a recurrence that are still taken


def _shift(f: Kernels, u: Element) -> tuple[Element, int]:
    """u without the whole part of its constant term, and that whole part."""
    u = f.canonical(u)
    if not u.d.is_one():
        return u, 0
    constant = u.n.to_dict().get((0,) * f.n, fmpq(0))
    whole = int(constant.p // constant.q)
    if abs(whole) > _FAR:
        return u, 0
    return f.sub(u, f.number(fmpq(whole))), whole


def _whole(u: Element) -> int | None:
    """The whole number that an element is, or None."""
    if u.n.is_zero():
        return 0
    if not (u.n.is_constant() and u.d.is_constant()):
        return None
    q = u.n.leading_coefficient() / u.d.leading_coefficient()
    return int(q.p) if q.q == 1 else None


def _plain(name: str, f: Kernels, *args: Element) -> Element:
    return f.opaque((name, None), *args)


def gamma(f: Kernels, u: Element) -> Element:
    """gamma(u + 1) = u gamma(u)."""
    n = _whole(f.canonical(u))
    if n is not None and 0 < n <= _FAR:
        return f.number(fmpq(int(sp.factorial(n - 1))))
    base, n = _shift(f, u)
    out = _plain("gamma", f, base)
    for k in range(n):
        out = f.mul(out, f.add(base, f.number(fmpq(k))))
    for k in range(n, 0):
        out = f.div(out, f.add(base, f.number(fmpq(k))))
    return out


def polygamma(f: Kernels, order: int, u: Element) -> Element:
    """psi_m(u + 1) = psi_m(u) + (-1)**m m! / u**(m + 1)."""
    base, n = _shift(f, u)
    n = n - 1 if f.is_zero(base) else n
    base = f.unit if f.is_zero(base) else base
    out = _plain("digamma", f, base) if not order else f.opaque(("polygamma", order), base)
    scale = f.number(fmpq((-1) ** order * int(sp.factorial(order))))
    for k in range(n):
        out = f.add(out, f.div(scale, f.power(f.add(base, f.number(fmpq(k))), order + 1)))
    for k in range(n, 0):
        out = f.sub(out, f.div(scale, f.power(f.add(base, f.number(fmpq(k))), order + 1)))
    return out


_SIGNS = {"besselj": (1, -1), "bessely": (1, -1), "besseli": (-1, 1), "besselk": (1, 1)}


def _bessel(name: str) -> Callable[..., Element]:
    """C(n + 1) = up 2 n / x C(n) + down C(n - 1), so that two orders give all; whole orders have signs of their own."""
    up, down = _SIGNS[name]

    def read(f: Kernels, order: Element, x: Element) -> Element:
        whole = _whole(f.canonical(order))
        if whole is not None and whole < 0:
            turned = read(f, f.neg(order), x)
            return f.neg(turned) if name in ("besselj", "bessely") and whole % 2 else turned
        base, n = _shift(f, order)
        here, following = _plain(name, f, base, x), _plain(name, f, f.add(base, f.unit), x)
        factor = f.div(f.number(fmpq(2 * up)), x)
        for k in range(n):
            m = f.mul(factor, f.add(base, f.number(fmpq(k + 1))))
            here, following = following, f.add(f.mul(m, following), here if down > 0 else f.neg(here))
        for k in range(0, n, -1):  # C(n - 1) = (C(n + 1) - up 2 n / x C(n)) / down
            m = f.mul(factor, f.add(base, f.number(fmpq(k))))
            before = f.sub(following, f.mul(m, here))
            here, following = (before if down > 0 else f.neg(before)), here
        return here

    return read


def expint(f: Kernels, order: Element, x: Element) -> Element:
    """n E_{n+1}(x) = exp(-x) - x E_n(x)."""
    base, n = _shift(f, order)
    if f.is_zero(base):
        if n <= 0:
            return _plain("expint", f, order, x)
        base, n = f.unit, n - 1
    out, e = _plain("expint", f, base, x), f.exp(f.neg(x))
    for k in range(n):
        m = f.add(base, f.number(fmpq(k)))
        out = f.div(f.sub(e, f.mul(x, out)), m)
    for k in range(0, n, -1):
        m = f.add(base, f.number(fmpq(k - 1)))
        out = f.div(f.sub(e, f.mul(m, out)), x)
    return out


def uppergamma(f: Kernels, s: Element, x: Element) -> Element:
    """G(s + 1, x) = s G(s, x) + x**s exp(-x), for x > 0."""
    base, n = _shift(f, s)
    if not n or f.is_complex(x) or f.is_complex(s):
        return _plain("uppergamma", f, s, x)
    if f.is_zero(base):
        if n <= 0:
            return _plain("uppergamma", f, s, x)
        base, n = f.unit, n - 1
    out, e, log = _plain("uppergamma", f, base, x), f.exp(f.neg(x)), f.log(x)
    for k in range(n):
        m = f.add(base, f.number(fmpq(k)))
        out = f.add(f.mul(m, out), f.mul(f.exp(f.mul(m, log)), e))
    for k in range(0, n, -1):
        m = f.add(base, f.number(fmpq(k - 1)))
        out = f.div(f.sub(out, f.mul(f.exp(f.mul(m, log)), e)), m)
    return out


def lambert(f: Kernels, u: Element) -> Element:
    """A kernel w with exp(w) = u / w."""
    w = _plain("LambertW", f, u)
    f.logarithms[f.single(w.n)] = f.div(u, w)
    return w


def polylog(f: Kernels, s: Element, z: Element) -> Element:
    """Li_1(z) = -log(1 - z), Li_0(z) = z / (1 - z)."""
    order, rest = _whole(f.canonical(s)), f.sub(f.unit, z)
    if order == 0:
        return f.div(z, rest)
    if f.is_complex(z):
        return f.neg(f.complex_log(rest)) if order == 1 else f.opaque(("polylog", None), s, z, is_complex=True)
    f.assume(rest)
    return f.neg(f.log(rest)) if order == 1 else _plain("polylog", f, s, z)


RELATIONS: dict[str, Callable[..., Any]] = {
    "gamma": gamma,
    "digamma": lambda f, u: polygamma(f, 0, u),
    "expint": expint,
    "uppergamma": uppergamma,
    "LambertW": lambert,
    "polylog": polylog,
    "i0": lambda f, x: _bessel("besseli")(f, f.zero, x),
    "i1": lambda f, x: _bessel("besseli")(f, f.unit, x),
    **{name: _bessel(name) for name in _SIGNS},
}
