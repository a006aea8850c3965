"""Relations between values of one special function, which give it a normal form.

The gamma and polygamma functions at u + n are read at u, Bessel functions of all orders that differ by whole numbers
in two of them, exponential integrals and incomplete gamma functions likewise in one; exp(W(u)) = u / W(u).
References: NIST Digital Library of Mathematical Functions, 5.5.1, 5.15.5, 10.6.1, 10.29.1, 8.8.2, 8.19.12, 4.13.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.proving.field import Element, Field, kernel_in, number_in
from symgrad.proving.kernels import complex_log, exp, log, opaque
from symgrad.proving.sign_facts import assume

_FAR = 24  # steps of a recurrence that are still taken


def _shift(f: Field, u: Element) -> tuple[Element, int]:
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
    q = number_in(u)
    return int(q.p) if q is not None and q.q == 1 else None


def _plain(name: str, f: Field, *args: Element) -> Element:
    return opaque(f, (name, None), *args)


def gamma(f: Field, u: Element) -> Element:
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


def polygamma(f: Field, order: int, u: Element) -> Element:
    """psi_m(u + 1) = psi_m(u) + (-1)**m m! / u**(m + 1)."""
    base, n = _shift(f, u)
    n = n - 1 if f.is_zero(base) else n
    base = f.unit if f.is_zero(base) else base
    out = _plain("digamma", f, base) if not order else opaque(f, ("polygamma", order), base)
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

    def read(f: Field, order: Element, x: Element) -> Element:
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


def expint(f: Field, order: Element, x: Element) -> Element:
    """n E_{n+1}(x) = exp(-x) - x E_n(x)."""
    base, n = _shift(f, order)
    if f.is_zero(base):
        if n <= 0:
            return _plain("expint", f, order, x)
        base, n = f.unit, n - 1
    out, e = _plain("expint", f, base, x), exp(f, f.neg(x))
    for k in range(n):
        m = f.add(base, f.number(fmpq(k)))
        out = f.div(f.sub(e, f.mul(x, out)), m)
    for k in range(0, n, -1):
        m = f.add(base, f.number(fmpq(k - 1)))
        out = f.div(f.sub(e, f.mul(m, out)), x)
    return out


def uppergamma(f: Field, s: Element, x: Element) -> Element:
    """G(s + 1, x) = s G(s, x) + x**s exp(-x), for x > 0."""
    base, n = _shift(f, s)
    if not n or f.is_complex(x) or f.is_complex(s):
        return _plain("uppergamma", f, s, x)
    if f.is_zero(base):
        if n <= 0:
            return _plain("uppergamma", f, s, x)
        base, n = f.unit, n - 1
    out, e, exponent = _plain("uppergamma", f, base, x), exp(f, f.neg(x)), log(f, x)
    for k in range(n):
        m = f.add(base, f.number(fmpq(k)))
        out = f.add(f.mul(m, out), f.mul(exp(f, f.mul(m, exponent)), e))
    for k in range(0, n, -1):
        m = f.add(base, f.number(fmpq(k - 1)))
        out = f.div(f.sub(out, f.mul(exp(f, f.mul(m, exponent)), e)), m)
    return out


def lambert(f: Field, u: Element) -> Element:
    """A kernel w with exp(w) = u / w."""
    w = _plain("LambertW", f, u)
    f.logarithms[kernel_in(w.n)] = f.div(u, w)
    return w


def polylog(f: Field, s: Element, z: Element) -> Element:
    """Li_1(z) = -log(1 - z), Li_0(z) = z / (1 - z)."""
    order, rest = _whole(f.canonical(s)), f.sub(f.unit, z)
    if order == 0:
        return f.div(z, rest)
    if f.is_complex(z):
        return f.neg(complex_log(f, rest)) if order == 1 else opaque(f, ("polylog", None), s, z, is_complex=True)
    assume(f, rest)
    return f.neg(log(f, rest)) if order == 1 else _plain("polylog", f, s, z)


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
