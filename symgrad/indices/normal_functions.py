"""Scalar functions and matrix heads in normal form: one generator for each exponential, logarithm, sign and matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp
from flint import fmpq, fmpz

from symgrad.indices.polynomials import Atom, Name, Poly, Powers, rational, whole
from symgrad.indices.sums import Sums
from symgrad.indices.terms import RELU, STEP

__all__ = ["Functions"]


class Functions(Sums):
    """Functions of polynomials; with ``deep``, tanh is written in exponentials."""

    deep = True

    def apply(self, head: Any, *args: Poly) -> Poly:
        """A function of polynomials, by its rule if it has one, else as one more atom."""
        rule = _RULES.get(head)
        if head is sp.tanh and not self.deep:
            return self.odd(head, args[0])
        return rule(self, *args) if rule else self.opaque(head, *args)

    def opaque(self, head: Any, *args: Poly) -> Poly:
        return self.single(self.atom("fun", head, args))

    def leading_sign(self, p: Poly) -> tuple[Poly, int]:
        """``p`` or ``-p``, whichever is written with a leading plus."""
        if p.terms and p.terms[self.leading(p)] < 0:
            return self.scale(p, fmpq(-1)), -1
        return p, 1

    def odd(self, head: Any, p: Poly) -> Poly:
        q, s = self.leading_sign(p)
        return self.scale(self.opaque(head, q), fmpq(s)) if q.terms else self.zero

    # exponentials and logarithms

    def exponential(self, p: Poly) -> Poly:
        """exp of a sum as a product of powers, one atom for each monomial; exp(c log x) = x**c."""
        out = self.one
        for m, c in p.terms.items():
            (a, e), *more = m.powers or ((None, 0),)
            if a is not None and e == 1 and not more and a.kind == "fun" and a.data[0] is sp.log:
                value = self.power(a.data[1][0], c)
                self.note("the exponential of a logarithm", self.single(self.atom("exp", m), whole(c)), value)
                out = self.multiply(out, value)
            elif a is not None and e == 1 and not more and a.kind == "logdet":
                det = self.single(self.atom("det", *a.data))
                out = self.multiply(out, self.power(self.absolute(det), c))
            else:
                out = self.multiply(out, self.power(self.single(self.atom("exp", m)), c))
        return out

    def logarithm(self, p: Poly) -> Poly:
        """log of a product, split over the factors that are positive; an even power gives an absolute value."""
        if len(p.terms) != 1:
            return self._logarithm_of_sum(p)
        m, c = p.only or (self.unit, fmpq(1))
        sure, left = self._positive_part(m)
        parts = [self._logarithm_of_number(abs(c))]
        for a, e in sure.items():
            parts.append(self._logarithm_of_power(a, e))
        rest: Powers = {}
        for a, e in left.items():
            if isinstance(e, int) and e % 2:
                rest[a] = e
            elif isinstance(e, int):
                size = self.absolute(self.single(a))
                parts.append(self.scale(self.opaque(sp.log, size), fmpq(e)))
            else:
                parts.append(self._logarithm_of_power(a, e))
        if c < 0 or rest:
            parts.append(self._logarithm_of_rest(rest, c))
        if len(sure) + len(left) > 1 or abs(c) != 1:
            whole_log = self.opaque(sp.log, p)
            self.note("log of a product with positive factors", whole_log, self.add(parts))
        return self.add(parts)

    def _logarithm_of_rest(self, rest: Powers, c: Any) -> Poly:
        if c > 0 and len(rest) == 1:
            (a, e), *_ = rest.items()
            if e != 1:  # the power is odd and positive, so the base is positive
                return self.scale(self.logarithm(self.single(a)), rational(e))
            if a.kind == "det":
                return self.single(self.atom("logdet", *a.data))
            if a.kind == "sgn":
                return self.zero
        return self.opaque(sp.log, self.poly({self.mono(rest): fmpq(1 if c > 0 else -1)}))

    def _logarithm_of_power(self, a: Atom, e: Any) -> Poly:
        factor = rational(e)
        match a.kind:
            case "exp":
                return self.poly({a.data[0]: factor})
            case "base":
                return self.scale(self.opaque(sp.log, a.data[0]), factor)
            case _:
                return self.scale(self.opaque(sp.log, self.single(a)), factor)

    def _logarithm_of_number(self, c: Any) -> Poly:
        parts = [self.zero]
        for value, sign in ((c.p, 1), (c.q, -1)):
            for prime, k in fmpz(value).factor() if value != 1 else ():
                parts.append(self.scale(self.opaque(sp.log, self.constant(prime)), fmpq(sign * int(k))))
        return self.add(parts)

    def _logarithm_of_sum(self, p: Poly) -> Poly:
        content, common = self.content(p, every=False)
        if common:
            inverse = self.product({a: -e for a, e in common.items()})
            logs = (self._logarithm_of_power(a, e) for a, e in common.items())
            return self.add((self.logarithm(self.multiply(p, inverse)), *logs))
        rest = self.opaque(sp.log, self.scale(p, 1 / content))
        return self.add((self._logarithm_of_number(content), rest))

    def step(self, p: Poly) -> Poly:
        """1 for p > 0, else 0: (1 + sign p) / 2 where p is not zero."""
        if p.number is not None:
            return self.one if p.number > 0 else self.zero
        return self.scale(self.add((self.one, self.sign(p))), fmpq(1, 2))

    # matrices

    def matrix(self, kind: str, body: Poly, row: Name, column: Name, size: Poly, *ends: Any) -> Poly:
        """An entry of an inverse, or a determinant, of the matrix with this entry at the open indices (row, column)."""
        if kind == "inv" and (simple := self._simple_inverse(body, row, column, size, *ends)) is not None:
            return simple
        if not body.terms:
            if kind == "det":
                return self.zero
            raise ZeroDivisionError("a matrix of zeros is not invertible")
        inner, outer, c = self._factored(body, row, column)
        if outer is not self.one or c != 1:
            factor = self.scale(outer, c)
            rest = self.matrix(kind, inner, row, column, size, *ends)
            match kind:
                case "inv":
                    return self.multiply(self.power(factor, -1), rest)
                case "logdet":
                    return self.add((self.multiply(size, self.logarithm(self.absolute(factor))), rest))
        first = max(body.height, size.height)
        ways = [self.rename(body, {row: first + k, column: first + 1 - k}) for k in (0, 1)]
        turned = ways[1].key < ways[0].key
        body = ways[turned]
        if turned or (ways[0] is ways[1] and ends and self.as_poly(ends[1]).key < self.as_poly(ends[0]).key):
            ends = ends[::-1]
        return self.single(self.atom(kind, body, first, size, *ends))

    def _factored(self, body: Poly, row: Name, column: Name) -> tuple[Poly, Poly, Any]:
        """The matrix, and a factor of all its entries that depends on neither index."""
        content, common = self.content(body, every=True)
        if body.terms and body.terms[self.leading(body)] < 0:
            content = -content
        common = {a: e for a, e in common.items() if not a.free & {row, column}}
        inverse = self.scale(self.product({a: -e for a, e in common.items()}), 1 / content)
        return self.multiply(body, inverse), self.product(common), content

    def _simple_inverse(self, body: Poly, row: Name, column: Name, size: Poly, i: Any, j: Any) -> Poly | None:
        """The inverse of an inverse, and of a diagonal matrix."""
        only = body.only
        if only is None:
            return None
        m, c = only
        for a, e in m.powers:
            if e == 1 and a.kind == "inv" and set(a.data[3:]) == {row, column} and len(m.powers) == 1:
                inner, first, *_ = a.data
                at = {row: i, column: j}
                r, s = (at[end] for end in a.data[3:])
                return self.scale(self.rename(inner, {first: r, first + 1: s}), 1 / c)
            if a.kind == "delta" and a is next(iter(self.delta(row, column).terms)).powers[0][0]:
                rest = self.product({b: f for b, f in m.powers if b is not a})
                diagonal = self.rename(self.rename(rest, {column: row}), {row: i})
                return self.multiply(self.delta(i, j), self.power(self.scale(diagonal, c), -1))
        return None


def _tanh(w: Functions, z: Poly) -> Poly:
    square = w.exponential(w.scale(z, fmpq(2)))
    return w.subtract(w.one, w.scale(w.power(w.add((w.one, square)), -1), fmpq(2)))


def _hyperbolic(sign: int) -> Callable[[Functions, Poly], Poly]:
    def rule(w: Functions, z: Poly) -> Poly:
        minus = w.exponential(w.scale(z, fmpq(-1)))
        return w.scale(w.add((w.exponential(z), w.scale(minus, fmpq(sign)))), fmpq(1, 2))

    return rule


def _over(top: Any, bottom: Any) -> Callable[[Functions, Poly], Poly]:
    return lambda w, z: w.multiply(w.apply(top, z) if top else w.one, w.power(w.apply(bottom, z), -1))


def _root(w: Functions, p: Poly) -> Poly:
    return w.power(p, fmpq(1, 2))


_RULES: dict[Any, Callable[..., Poly]] = {
    sp.log: Functions.logarithm,
    sp.tanh: _tanh,
    sp.sinh: _hyperbolic(-1),
    sp.cosh: _hyperbolic(1),
    sp.sech: _over(None, sp.cosh),
    sp.csch: _over(None, sp.sinh),
    sp.coth: _over(sp.cosh, sp.sinh),
    sp.tan: _over(sp.sin, sp.cos),
    sp.sec: _over(None, sp.cos),
    sp.csc: _over(None, sp.sin),
    sp.cot: _over(sp.cos, sp.sin),
    sp.sin: lambda w, z: w.odd(sp.sin, z),
    sp.cos: lambda w, z: w.opaque(sp.cos, w.leading_sign(z)[0]) if z.terms else w.one,
    sp.atan: lambda w, z: w.odd(sp.atan, z),
    sp.asin: lambda w, z: w.odd(sp.asin, z),
    sp.erf: lambda w, z: w.odd(sp.erf, z),
    sp.erfc: lambda w, z: w.subtract(w.one, w.odd(sp.erf, z)),
    sp.Abs: Functions.absolute,
    sp.sign: Functions.sign,
    STEP: Functions.step,
    sp.Heaviside: lambda w, z, *_: w.step(z),
    sp.DiracDelta: lambda w, *_: w.zero,  # away from 0, as the derivative of a step
    RELU: lambda w, z: w.multiply(z, w.step(z)),
}
