"""What a field can say about real functions: one kernel for exp of each monomial, so that exp(a + b) = exp(a) exp(b)
and exp(-u) = 1/exp(u) hold by themselves; sin and cos with s**2 = 1 - c**2 and the addition law; of an inverse
function they are roots.  tanh and sigmoid are kernels, or rational in exp.

Of powers, roots and logarithms there is one kernel for each factor known not to be negative, and one for all the others
together; r**2 = u for a root, s**2 = 1 for a sign.  All roots of a value are powers of one root of it.  What is not
done matters as much: log(x y) is split only where the factors are known to be positive, and sqrt(x**2) is |x|, a sign
times x.

exp of a logarithm is a power, a root of an exponential is an exponential, and cosines of arcs are roots: each of these
functions asks the others, and so they stand in one module.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable
from typing import Any

import sympy as sp
from flint import fmpq

from symgrad.proving.field import Element, Field, Kernel, OutOfWork, Poly, Rational, Rescale, kernel_in
from symgrad.proving.sign_facts import factors, is_positive


def opaque(f: Field, name: Hashable, *parts: Element, sign: int = 0, is_complex: bool = False) -> Element:
    """A function of which nothing is known but that equal arguments give equal values."""
    make = lambda *new: opaque(f, name, *new, sign=sign, is_complex=is_complex)  # noqa: E731
    key = (name, *(f.key(p) for p in parts))
    return Element(f.kernel(key, lambda: Kernel(None, make, parts, sign, is_complex)), f.one)


def odd_function(f: Field, name: Hashable, u: Element) -> Element:
    """An opaque odd function: the argument is taken with a positive leading coefficient."""
    u = f.canonical(u)
    if u.n.is_zero():
        return f.zero
    if u.n.leading_coefficient() < 0:
        return f.neg(odd_function(f, name, f.neg(u)))
    found = opaque(f, name, u, is_complex=f.is_complex(u))
    f.inverses[kernel_in(found.n)] = name, u
    return found


def _monomials(u: Element) -> list[tuple[tuple[int, ...], Rational]]:
    return list(u.n.to_dict().items())


def _part(f: Field, exponents: tuple[int, ...], d: Poly) -> Element:
    """A monomial over the denominator, in lowest terms."""
    part = Element(f.context.from_dict({exponents: 1}), d)
    return part if d.is_one() else f.canonical(part)


# --------------------------------------------------------------------------------------------------------- exponentials


def exponentials(f: Field) -> dict[int, Element]:
    """The exponential kernels with their arguments."""
    found = {}
    for key, k in f.index.items():
        if isinstance(key, tuple) and key[0] == "exp":
            found[k] = f.mul(f.kernels[k].parts[0], f.number(f.scales[key]))
    return found


def _scaled(f: Field, key: Hashable, c: Rational) -> tuple[int, Element]:
    """The power of the kernel of ``key`` that stands for a multiple c, and of what multiple the kernel is."""
    unit = f.scales.setdefault(key, abs(c))
    whole = c / unit
    if whole.q != 1:
        f.scales[key] = unit / whole.q
        raise Rescale
    if abs(whole.p) > 64:
        raise OutOfWork
    return int(whole.p), f.number(unit)


def exp(f: Field, u: Element) -> Element:
    """A product of kernels, one for each monomial of the argument; exp(c log v) is v ** c."""
    u = f.canonical(u)
    result = f.unit
    for exponents, c in _monomials(u):
        part = _part(f, exponents, u.d)
        logarithm = kernel_in(part.n) if part.d.is_one() else None
        if logarithm in f.logarithms:
            factor = _raised(f, f.logarithms[logarithm], c)
        elif (angle := _angle(f, part)) is not None:
            cosine, sine = turn(f, f.mul(angle, f.number(c)))
            factor = f.add(cosine, f.mul(f.imaginary(), sine))
        elif (turned := _turned(f, part)) is not None:
            factor = _raised(f, turned, c)
        else:
            key = ("exp", f.key(part))
            power, unit = _scaled(f, key, c)
            what = functools.partial(_exp_kernel, f, part, unit)
            factor = f.power(Element(f.kernel(key, what), f.one), power)
        result = f.mul(result, factor)
    return result


def _angle(f: Field, part: Element) -> Element | None:
    """The real t with part = i t, or None."""
    i = f.index.get("i")
    used = f.used(part)
    if i is None or i not in used or any(f.kernels[k].is_complex for k in used if k != i):
        return None
    return f.canonical(f.div(part, f.imaginary()))


def _turned(f: Field, part: Element) -> Element | None:
    """exp(part), where part is i asin(z) or i atan(z) of a complex z: i z + sqrt(1 - z**2), or that for
    z / sqrt(1 + z**2).  A rational power of it is the principal one, for the arcs are at most a quarter turn."""
    i = f.index.get("i")
    if i is None or i not in f.used(part):
        return None
    found = f.inverses.get(kernel_in(f.canonical(f.div(part, f.imaginary())).n))
    if found is None or found[0] != "asin":
        return None
    z = found[1]
    return f.add(f.mul(f.imaginary(), z), _raised(f, f.sub(f.unit, f.mul(z, z)), fmpq(1, 2)))


def _exp_kernel(f: Field, part: Element, unit: Element) -> Kernel:
    of_complex = f.is_complex(part)
    make = lambda new: exp(f, f.mul(new, unit))  # noqa: E731
    return Kernel(None, make, (part,), 0 if of_complex else 2, of_complex, str(unit.n))


# ---------------------------------------------------------------------------------------------------------------- turns


def turn(f: Field, u: Element) -> tuple[Element, Element]:
    """cos and sin of the argument, by the addition law over its monomials."""
    u = f.canonical(u)
    if f.is_complex(u):
        return _complex_turn(f, u)
    c, s = f.unit, f.zero
    for exponents, q in _monomials(u):
        part = _part(f, exponents, u.d)
        found = _arc(f, part, q)
        if found is None:
            key = ("turn", f.key(part))
            power, unit = _scaled(f, key, q)
            c1, s1 = _turn_kernels(f, part, key, unit)
        else:
            c1, s1, power = found
        if abs(power) > 16:
            raise OutOfWork
        if power < 0:
            s1 = f.neg(s1)
        for _ in range(abs(power)):
            c, s = f.sub(f.mul(c, c1), f.mul(s, s1)), f.add(f.mul(s, c1), f.mul(c, s1))
    return c, s


def _turn_kernels(f: Field, part: Element, key: Hashable, unit: Element) -> tuple[Element, Element]:
    angle, mark = functools.partial(f.mul, unit), str(unit.n)
    cosine = Kernel(None, lambda new: turn(f, angle(new))[0], (part,), mark=mark)
    c1 = Element(f.kernel(("cos", key), lambda: cosine), f.one)
    sine = Kernel(None, lambda new: turn(f, angle(new))[1], (part,), mark=mark)
    square = f.sub(f.unit, f.mul(c1, c1))
    return c1, Element(f.kernel(("sin", key), lambda: sine, 2, square), f.one)


def _arc(f: Field, part: Element, q: Rational) -> tuple[Element, Element, int] | None:
    """cos and sin of an angle that is an inverse function, or pi, times 1/2**n, and the whole multiple of it.

    asin and atan are at most a quarter turn, so that the cosine of each half of them is a positive root.
    """
    k = kernel_in(part.n) if part.d.is_one() else None
    if k is None:
        return None
    if f.index.get(("pi",)) == k:
        return _part_of_pi(f, q)
    if k not in f.inverses or f.inverses[k][0] not in ("asin", "atan"):
        return None
    halves = int(q.q).bit_length() - 1
    if q.q != 1 << halves or halves > 4:
        return None
    name, v = f.inverses[k]
    square = f.mul(v, v)
    if name == "asin":
        c, s = sqrt(f, f.sub(f.unit, square)), v
    else:
        c = f.inverse(sqrt(f, f.add(f.unit, square)))
        s = f.mul(v, c)
    for _ in range(halves):
        c, full = sqrt(f, f.div(f.add(f.unit, c), f.number(fmpq(2, 1)))), s
        s = f.div(full, f.mul(c, f.number(fmpq(2, 1))))
    return c, s, int(q.p)


def _part_of_pi(f: Field, q: Rational) -> tuple[Element, Element, int] | None:
    if q.q not in (1, 2, 3, 4, 6):
        return None
    angle = sp.pi * sp.Rational(int(q.p), int(q.q))
    return _algebraic(f, sp.cos(angle)), _algebraic(f, sp.sin(angle)), 1


def _algebraic(f: Field, e: Any) -> Element:
    """c or c sqrt(n), for rational numbers c and n."""
    c, radical = e.as_coeff_Mul()
    number = f.number(fmpq(int(c.p), int(c.q)))
    return number if radical == 1 else f.mul(number, sqrt(f, f.number(fmpq(int(radical.base), 1))))


def _complex_turn(f: Field, u: Element) -> tuple[Element, Element]:
    """By exp(i u), for a complex argument."""
    i = f.imaginary()
    e = exp(f, f.mul(i, u))
    back, two = f.inverse(e), f.number(fmpq(2, 1))
    return f.div(f.add(e, back), two), f.div(f.sub(e, back), f.mul(two, i))


# ----------------------------------------------------------------------------------------------------------- logarithms


def log(f: Field, u: Element) -> Element:
    """log of a product is a sum over the factors known to be positive; the others stay under one logarithm."""
    content, parts = factors(f, u)
    total = f.zero
    rest = f.unit
    if content < 0:
        rest, content = f.neg(rest), -content
    for p, e, positive in parts:
        if not positive:
            rest = f.mul(rest, f.power(Element(p, f.one), e))
            continue
        kernel = kernel_in(p)
        if kernel is not None and kernel in exponentials(f):
            total = f.add(total, f.mul(f.number(fmpq(e, 1)), exponentials(f)[kernel]))
        elif kernel in f.roots:
            q, v = f.roots[kernel]
            total = f.add(total, f.mul(f.number(fmpq(e, q)), log(f, v)))
        else:
            total = f.add(total, f.mul(f.number(fmpq(e, 1)), _log(f, Element(p, f.one))))
    for number, side in ((int(content.p), 1), (int(content.q), -1)):
        if number.bit_length() > 64:
            raise OutOfWork
        for prime, e in sp.factorint(number).items():
            part = _log(f, f.number(fmpq(prime, 1)))
            total = f.add(total, f.mul(f.number(fmpq(e * side, 1)), part))
    return total if rest.n == f.one and rest.d == f.one else f.add(total, _log(f, rest))


def _log(f: Field, v: Element) -> Element:
    v = f.canonical(v)
    if v.n == v.d:
        return f.zero
    kernel = f.kernel(("log", f.key(v)), lambda: Kernel(None, functools.partial(log, f), (v,)))
    f.logarithms[f.index["log", f.key(v)]] = v
    return Element(kernel, f.one)


def complex_log(f: Field, z: Element) -> Element:
    """The principal logarithm: a kernel of which only exp(log(z)) = z is used, or, in the right half of the plane,
    log|z| + i atan of the slope."""
    z = f.canonical(z)
    if (parts := _right_half(f, z)) is not None:
        p, q = parts
        size = log(f, f.add(f.mul(p, p), f.mul(q, q)))
        angle = odd_function(f, "atan", f.div(q, p))
        return f.add(f.mul(f.number(fmpq(1, 2)), size), f.mul(f.imaginary(), angle))
    found = opaque(f, "complex log", z, is_complex=True)
    f.logarithms[kernel_in(found.n)] = z
    return found


def _right_half(f: Field, z: Element) -> tuple[Element, Element] | None:
    """The real and imaginary parts of z, if they are seen and the real part is known to be positive."""
    i = f.index.get("i")
    if i is None or any(f.kernels[k].is_complex for k in f.used(z) if k != i) or z.d.degrees()[i] > 0:
        return None
    real, imaginary = {}, {}
    for exponents, c in f.reduced(z.n, z.d)[0].to_dict().items():
        below = (*exponents[:i], 0, *exponents[i + 1 :])
        (imaginary if exponents[i] else real)[below] = c
    p = Element(f.context.from_dict(real), z.d)
    content, parts = factors(f, p) if real else (fmpq(-1), [])
    if content < 0 or not all(positive for _, _, positive in parts):
        return None
    return p, Element(f.context.from_dict(imaginary), z.d)


# ----------------------------------------------------------------------------------------------------- powers and roots


def _raised(f: Field, v: Element, c: Rational, *, principal: bool = False) -> Element:
    """v ** c for a rational c and v > 0, or the principal value for a complex v."""
    whole = c.p // c.q
    result = f.power(v, int(whole))
    rest = c - whole
    if rest == 0:
        return result
    if rest.q > 64:
        raise OutOfWork
    root = _principal_root if principal else _root
    return f.mul(result, f.power(root(f, v, int(rest.q)), int(rest.p)))


def principal_power(f: Field, z: Element, c: Rational) -> Element:
    """z ** c of a complex z: a power of the principal root, of which only root**q = z is used."""
    return _raised(f, z, c, principal=True)


def _root(f: Field, v: Element, q: int) -> Element:
    """The q-th root: a root of the square root where q is even, so that all roots of v are powers of one."""
    if f.is_complex(v):
        return _principal_root(f, v, q)
    if q == 1:
        return v
    if q % 2 == 0:
        return _root(f, sqrt(f, v), q // 2)
    content, parts = factors(f, v)
    out, rest = f.unit, f.number(content)
    for p, e, positive in parts:
        if positive:
            whole, left = divmod(e, q)
            out = f.mul(out, f.power(Element(p, f.one), whole))
            single = kernel_in(p)
            if left and single in exponentials(f):
                part = f.mul(exponentials(f)[single], f.number(fmpq(left, q)))
                out = f.mul(out, exp(f, part))
            elif left:
                out = f.mul(out, f.power(_root_kernel(f, Element(p, f.one), q), left))
        else:
            rest = f.mul(rest, f.power(Element(p, f.one), e))
    return out if rest.n == rest.d else f.mul(out, _root_kernel(f, f.canonical(rest), q))


def _root_kernel(f: Field, v: Element, q: int) -> Element:
    what = lambda: Kernel(None, lambda new: _root(f, new, q), (v,), 1)  # noqa: E731
    kernel = f.kernel(("root", q, f.key(v)), what, q, v)
    f.roots[kernel_in(kernel)] = q, v
    return Element(kernel, f.one)


def _principal_root(f: Field, v: Element, q: int) -> Element:
    v = f.canonical(v)
    if q % 2 == 0 and (parts := _right_half(f, v)) is not None:  # sqrt(z) = a + i im(z) / (2 a)
        p, imaginary = parts
        two, size = f.number(fmpq(2)), sqrt(f, f.add(f.mul(p, p), f.mul(imaginary, imaginary)))
        a = sqrt(f, f.div(f.add(size, p), two))
        half = f.add(a, f.mul(f.imaginary(), f.div(imaginary, f.mul(two, a))))
        return half if q == 2 else _principal_root(f, half, q // 2)
    what = lambda: Kernel(None, lambda new: _principal_root(f, new, q), (v,), 0, True)  # noqa: E731
    return Element(f.kernel(("complex root", q, f.key(v)), what, q, v), f.one)


def sign_of(f: Field, u: Element) -> Element:
    """A product of signs s with s**2 = 1, one for each factor not known to be positive (u not zero)."""
    if f.is_zero(u):
        return f.zero
    content, parts = factors(f, u)
    result = f.unit if content > 0 else f.neg(f.unit)
    for p, e, positive in parts:
        if not positive and e % 2:
            result = f.mul(result, _sign(f, p))
    return result


def _sign(f: Field, p: Poly) -> Element:
    if is_positive(f, p, or_zero=True):
        return f.unit
    element = Element(p, f.one)
    what = lambda: Kernel(None, functools.partial(sign_of, f), (element,))  # noqa: E731
    return Element(f.kernel(("sign", str(p)), what, 2, f.unit), f.one)


def sqrt(f: Field, u: Element) -> Element:
    """Squares come out of the root, as absolute values where their sign is not known."""
    if f.is_zero(u):
        return f.zero
    content, parts = factors(f, u)
    out, inside = f.unit, f.unit
    unknown = [(p, e) for p, e, positive in parts if not positive]
    alone = sum(e % 2 for _, e in unknown) == 1 and content > 0
    for p, e in unknown:
        half, odd = divmod(e, 2)
        outside = f.power(Element(p, f.one), half)
        if half % 2 and not (alone and odd):  # a lone odd factor is itself positive where the root is defined
            outside = f.mul(outside, _sign(f, p))
        out = f.mul(out, outside)
        if odd:
            inside = f.mul(inside, Element(p, f.one))
    for p, e, positive in parts:
        if positive:
            half, odd = divmod(e, 2)
            out = f.mul(out, f.power(Element(p, f.one), half))
            if odd:
                out = f.mul(out, _positive_root(f, p))
    if content < 0:
        inside, content = f.neg(inside), -content
    for number, side in ((int(content.p), 1), (int(content.q), -1)):
        if number.bit_length() > 64:
            raise OutOfWork
        for prime, e in sp.factorint(number).items():
            half, odd = divmod(e * side, 2)
            out = f.mul(out, f.power(f.number(fmpq(prime, 1)), half))
            if odd:
                out = f.mul(out, _sqrt_kernel(f, f.number(fmpq(prime, 1)), 2))
    if inside.n == f.one:
        return out
    single = frozenset(str(p) for p, e in unknown if e % 2)
    return f.mul(out, _common_root(f, inside, single) if len(single) > 1 else _sqrt_kernel(f, inside, 1))


def _common_root(f: Field, u: Element, unknown: frozenset[str]) -> Element:
    """The root of a product of several factors of unknown sign; that of f g and that of f h give that of g h."""
    for k, (one, first) in enumerate(f.products):
        for two, second in f.products[:k]:
            if first ^ second == unknown:
                product = f.mul(_sqrt_kernel(f, one, 1), _sqrt_kernel(f, two, 1))
                square = f.div(f.mul(one, two), u)  # of what they have in common, at least up to sign
                if sign_of(f, square).n == f.one:
                    return f.div(product, sqrt(f, square))
    if all(unknown != known for _, known in f.products):
        f.products.append((u, unknown))
    return _sqrt_kernel(f, u, 1)


def _positive_root(f: Field, p: Poly) -> Element:
    k = kernel_in(p)
    if k is not None and k in exponentials(f):
        return exp(f, f.mul(exponentials(f)[k], f.number(fmpq(1, 2))))
    return _sqrt_kernel(f, Element(p, f.one), 2)


def _sqrt_kernel(f: Field, u: Element, sign: int) -> Element:
    kernel = f.kernel(("sqrt", f.key(u)), lambda: Kernel(None, functools.partial(sqrt, f), (u,), sign), 2, u)
    f.roots[kernel_in(kernel)] = 2, u
    return Element(kernel, f.one)


# ---------------------------------------------------------------------------------------------------- bounded functions


def tanh(f: Field, u: Element) -> Element:
    if not f.expand and not f.is_complex(u):
        return odd_function(f, "tanh", u)
    e = exp(f, f.add(u, u))
    return f.div(f.sub(e, f.unit), f.add(e, f.unit))


def sigmoid(f: Field, u: Element) -> Element:
    """A kernel s, with s(-u) = 1 - s(u); or e/(1 + e) with e = exp(u)."""
    if f.expand or f.is_complex(u):
        e = exp(f, u)
        return f.div(e, f.add(e, f.unit))
    u = f.canonical(u)
    if not u.n.is_zero() and u.n.leading_coefficient() < 0:
        return f.sub(f.unit, opaque(f, "sigmoid", f.neg(u), sign=2))
    return opaque(f, "sigmoid", u, sign=2)
