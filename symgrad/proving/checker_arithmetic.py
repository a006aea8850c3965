"""Fractions in kernels, exact: the arithmetic of `symgrad.proving.checker`, and what it uses of functions.

A *kernel* is an unknown number, or the value of a function.  All that is used of a function stands here, a few lines
each:

* exp(u + v) = exp(u) exp(v), exp(c log(u)) = u**c; log(u v) = log(u) + log(v) for factors known not to be negative;
* sqrt(u)**2 = u, sqrt(u**2) = |u| = sign(u) u, sign(u)**2 = 1; other roots likewise;
* sin(u)**2 + cos(u)**2 = 1 and the addition laws, and of which points asin, atan and atan2 are the angles;
* tanh and sigmoid in exp, or alone as functions that are odd, and odd about one half;
* of every other function, that equal arguments give equal values.

A sign is known where a kernel has one, or where a logarithm or a root of what it is the sign of is taken.  Nothing of
this is shared with the search for proofs (`symgrad.proving.field`, `symgrad.proving.kernels`): it is written a second
time, so that a fault of one is not a fault of both.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flint import Ordering, fmpq, fmpq_mpoly_ctx, fmpz

Poly = Any  # python-flint's fmpq_mpoly
_TERMS = 20_000  # of a polynomial
_POWER = 96
_SUMMED = 6  # what is known not to be negative, and is added to what else is


class NotCovered(Exception):
    """The formula has something in it that the checker has no rule for, or too much of it; the text says what."""


class Again(Exception):
    """More kernels are needed, or a finer one: read the formula again."""


@dataclass(slots=True)
class Notes:
    """What outlives one reading of a formula: numbers of kernels, units of exponentials, and signs that are known."""

    numbers: dict[Any, int] = field(default_factory=dict)
    units: dict[Any, Any] = field(default_factory=dict)
    signs: dict[str, int] = field(default_factory=dict)
    loose: bool = False  # whether a sign may hold only where what has a root is positive
    learned: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A fraction of polynomials in kernels."""

    of: Arithmetic
    n: Poly
    d: Poly

    def __add__(self, other: Value | int) -> Value:
        b = self.of.value(other)
        if self.d == b.d:
            return self.of.made(self.n + b.n, self.d)
        g = self.d.gcd(b.d)
        x, y = self.d / g, b.d / g
        return self.of.made(self.n * y + b.n * x, self.d * y)

    def __neg__(self) -> Value:
        return Value(self.of, -self.n, self.d)

    def __sub__(self, other: Value | int) -> Value:
        return self + -self.of.value(other)

    def __rsub__(self, other: int) -> Value:
        return -self + other

    def __mul__(self, other: Value | int) -> Value:
        b = self.of.value(other)
        return self.of.made(self.n * b.n, self.d * b.d)

    def __truediv__(self, other: Value | int) -> Value:
        b = self.of.value(other)
        if b.is_zero():
            raise NotCovered("a division by zero")
        return self.of.made(self.n * b.d, self.d * b.n)

    def __rtruediv__(self, other: int) -> Value:
        return self.of.value(other) / self

    def __pow__(self, n: int) -> Value:
        if n < 0:
            return 1 / self**-n
        if n > _POWER:
            raise NotCovered("a power that is too high")
        out = self.of.value(1)
        for bit in f"{n:b}":
            out = out * out
            if bit == "1":
                out = out * self
        return out

    __radd__, __rmul__ = __add__, __mul__

    def is_zero(self) -> bool:
        return bool(self.n.is_zero()) or bool(self.of.reduced(self.n, self.d)[0].is_zero())


@dataclass(frozen=True, slots=True)
class _Kernel:
    head: str
    argument: Value | None
    sign: int  # 2: positive, 1: not negative, 0: not known
    turn: tuple[Value, Value] | None = None  # of an angle: its cosine and sine


@functools.cache
def _context(n: int) -> Any:
    return fmpq_mpoly_ctx.get([f"k{i}" for i in range(n)], Ordering.degrevlex)


class Arithmetic:
    """Fractions in ``size`` kernels, and the functions of them."""

    def __init__(self, size: int, notes: Notes, expanded: bool) -> None:
        self.context = _context(size)
        self.generators = self.context.gens()
        self.notes = notes
        self.expanded = expanded
        self.kernels: dict[int, _Kernel] = {}
        self.relations: list[tuple[int, int, Value]] = []  # kernel ** power = value
        self.not_negative: list[tuple[Value, bool]] = []
        self.one = self.context.constant(1)

    # ------------------------------------------------------------------------------------------------ fractions
    def value(self, x: Any) -> Value:
        if isinstance(x, Value):
            return x
        x = Fraction(x)
        return Value(self, self.context.constant(fmpq(x.numerator, x.denominator)), self.one)

    def made(self, n: Poly, d: Poly) -> Value:
        if self.relations:
            n, d = self.reduced(n, d)
        if len(n) + len(d) > _TERMS:
            raise NotCovered("a fraction with too many terms")
        return Value(self, n, d)

    def kernel(
        self,
        key: Any,
        argument: Value | None = None,
        sign: int = 0,
        power: int = 0,
        value: Value | None = None,
        turn: tuple[Value, Value] | None = None,
    ) -> Value:
        """The kernel of a key; with a ``power``, the kernel to this power is the value."""
        k = self.notes.numbers.setdefault(key, len(self.notes.numbers))
        if k >= len(self.generators):
            raise Again
        if k not in self.kernels:
            self.kernels[k] = _Kernel(key[0], argument, sign, turn)
            if value is not None:
                self.relations.append((k, power, value))
        return Value(self, self.generators[k], self.one)

    def reduced(self, n: Poly, d: Poly) -> tuple[Poly, Poly]:
        """The fraction with no power left that a relation writes otherwise."""
        for k, power, value in reversed(self.relations):
            n, below = self._rewritten(n, k, power, value)
            d, above = self._rewritten(d, k, power, value)
            n, d = n * above, d * below
        return n, d

    def _rewritten(self, p: Poly, k: int, power: int, value: Value) -> tuple[Poly, Poly]:
        """q and b with p = q / b, in which kernel k has a power below ``power``."""
        below = self.one
        while not p.is_zero() and (high := int(p.degrees()[k]) // power) > 0:
            parts: dict[int, dict[tuple[int, ...], Any]] = {}
            for e, c in p.to_dict().items():
                q, rest = divmod(int(e[k]), power)
                parts.setdefault(q, {})[(*e[:k], rest, *e[k + 1 :])] = c
            p = sum(
                (self.context.from_dict(part) * value.n**q * value.d ** (high - q) for q, part in parts.items()),
                0 * self.one,
            )
            below = below * value.d**high
            if len(p) > _TERMS:
                raise NotCovered("a fraction with too many terms")
        return p, below

    def lowest(self, v: Value, *, roots: bool = False) -> Value:
        """The same fraction in lowest terms and monic below; with no square root below, or else with ``roots``."""
        n, d = v.n, v.d
        for k, power, _ in reversed(self.relations):
            if not roots and power == 2 and not n.is_zero() and int(d.degrees()[k]) == 1:
                turned = d.compose(*(-g if j == k else g for j, g in enumerate(self.generators)), ctx=self.context)
                n, d = self.reduced(n * turned, d * turned)
                if d.is_zero():
                    raise NotCovered("a division by zero")
        if n.is_zero():
            return self.value(0)
        g = n.gcd(d)
        n, d = n / g, d / g
        lead = d.leading_coefficient()
        return Value(self, n / lead, d / lead)

    def key(self, v: Value) -> str:
        v = self.lowest(v)
        return f"{v.n}|{v.d}"

    def alone(self, v: Value) -> int | None:
        """The kernel that a value is, or None."""
        terms = list(v.n.to_dict().items())
        if len(terms) != 1 or terms[0][1] != 1 or sum(terms[0][0]) != 1 or not v.d.is_one():
            return None
        return terms[0][0].index(1)

    def number(self, v: Value) -> Any:
        """The rational number that a value is, or None."""
        v = self.lowest(v)
        return v.n.leading_coefficient() if v.n.is_constant() and not v.n.is_zero() and v.d.is_one() else None

    # ------------------------------------------------------------------------------------------------ signs
    def factors(self, v: Value) -> tuple[Any, list[tuple[Value, int, bool]]]:
        """A rational number and irreducible factors with their powers, and whether each is known not to be negative."""
        v = self.lowest(v)
        content, found = fmpq(1), []
        for p, side in ((v.n, 1), (v.d, -1)):
            if len(p) > 300:
                raise NotCovered("a factor with too many terms")
            c, parts = p.factor()
            for q, e in parts:
                lead = q.leading_coefficient()
                c = c * lead ** int(e)
                found.append((q / lead, int(e) * side))
            content = content * c if side > 0 else content / c
        out = []
        for p, e in sorted(found, key=lambda x: str(x[0])):
            sign = self.sign_of(p)
            if sign < 0 and e % 2:
                content = -content
            out.append((Value(self, -p if sign < 0 else p, self.one), e, sign != 0))
        return content, out

    def sign_of(self, p: Poly, *, strict: bool = False) -> int:
        """1 where p is known not to be negative, -1 where it is known not to be positive, 0 where neither is known;
        with ``strict`` a p that may be zero is not known."""
        fact = self.notes.signs.get(str(p / p.leading_coefficient()), 0) if not strict else 0
        if fact:
            return fact if p.leading_coefficient() > 0 else -fact
        return next((s for s in (1, -1) if self._is_sum_of_squares(s * p, strict)), 0)

    def _is_sum_of_squares(self, p: Poly, strict: bool) -> bool:
        """Whether no term of p is negative, and with ``strict``, one is positive."""
        positive = not strict
        for exponents, c in p.to_dict().items():
            signs = [self._kernel_sign(k) if e % 2 or strict else 1 for k, e in enumerate(exponents) if e]
            if c < 0 or any(s == 0 and e % 2 for s, e in zip(signs, filter(None, exponents), strict=True)):
                return False
            positive = positive or all(s == 2 for s in signs)
        return positive

    def _kernel_sign(self, k: int) -> int:
        return self.kernels[k].sign or int(self.notes.signs.get(str(self.generators[k]), 0) > 0)

    def learn(self, v: Value, *, strict: bool = False, stated: bool = False) -> None:
        """Remember that v is not negative (with ``strict``: positive), where that tells the sign of a factor.

        What is only ``stated`` teaches nothing that holds where it is positive alone.
        """
        if not self._tell(v, strict, stated):
            return
        for other, positive in self.not_negative:
            self._tell(v + other, strict or positive, stated)
        if len(self.not_negative) < _SUMMED and len(v.n) + len(v.d) < 9:
            self.not_negative.append((v, strict))

    def _tell(self, v: Value, strict: bool, stated: bool) -> bool:
        if v.is_zero():
            return False
        content, parts = self.factors(v)
        unknown = [p.n for p, e, known in parts if not known and e % 2]
        others = [p.n for p, e, _ in parts if e > 0 and p.n not in unknown]
        # where another factor vanishes, the sign of this one is not told
        loose = not strict and not all(self.sign_of(p, strict=True) for p in others)
        side = 1 if content > 0 else -1
        if loose and stated:
            return bool(unknown)
        if len(unknown) == 1:
            self._note(unknown[0], side, loose)
        elif len(unknown) == 2:  # of one sign: that of their sum
            p, q = unknown[0], side * unknown[1]
            sign = 0 if (p + q).is_zero() else self.sign_of(p + q, strict=True)
            if sign:
                self._note(p, sign, loose)
                self._note(q, sign, loose)
        return bool(unknown)

    def _note(self, p: Poly, sign: int, loose: bool) -> None:
        lead = p.leading_coefficient()
        name = str(p / lead)
        if name not in self.notes.signs:
            self.notes.signs[name] = sign if lead > 0 else -sign
            self.notes.loose |= loose
            self.notes.learned = True

    # ------------------------------------------------------------------------------------------------ functions
    def function(self, name: str, *arguments: Value, sign: int = 0) -> Value:
        """Of which equal arguments give equal values, and nothing else is used."""
        return self.kernel((name, *(self.key(v) for v in arguments)), arguments[-1] if arguments else None, sign)

    def odd(self, name: str, u: Value) -> Value:
        u = self.lowest(u)
        if u.is_zero():
            return u
        return -self.odd(name, -u) if u.n.leading_coefficient() < 0 else self.function(name, u)

    def _pieces(self, u: Value) -> Iterable[tuple[Value, Any]]:
        """A value as a sum of monomials over one denominator, each with its number."""
        for exponents, c in u.n.to_dict().items():
            yield self.lowest(Value(self, self.context.from_dict({exponents: fmpq(1)}), u.d)), c

    def _scaled(self, key: Any, c: Any) -> tuple[Any, int]:
        """The unit in which multiples of an argument are counted, and how many of them c is; what is no simple
        multiple of another is a unit of its own."""
        unit: Any = self.notes.units.setdefault(key, abs(c))
        count = c / unit
        if max(count.q, abs(count.p)) > _POWER:
            return self._scaled((key, abs(c)), c)
        if count.q != 1:
            self.notes.units[key] = unit / count.q
            raise Again
        return Fraction(int(unit.p), int(unit.q)), int(count.p)

    def exp(self, u: Value) -> Value:
        out = self.value(1)
        for part, c in self._pieces(self.lowest(u)):
            k = self.alone(part)
            inner = self.kernels[k] if k is not None else None
            if inner is not None and inner.head == "log" and inner.argument is not None:
                out = out * self.rational_power(inner.argument, c)
                continue
            unit, count = self._scaled(("exp", self.key(part)), c)
            out = out * self.kernel(("exp", self.key(part), unit), part * self.value(unit), 2) ** count
        return out

    def log(self, u: Value) -> Value:
        content, parts = self.factors(u)
        total, rest = self.value(0), self.value(1 if content > 0 else -1)
        for p, e, known in parts:
            if not known:
                rest = rest * p**e
                continue
            k = self.alone(p)
            inner = self.kernels[k] if k is not None else None
            if inner is not None and inner.argument is not None and inner.head in ("exp", "root"):
                power, argument = inner.argument, inner.argument
                total = total + (e * power if inner.head == "exp" else e * self.log(argument) / self._degree(k))
            else:
                total = total + e * self.function("log", p)
        for n, side in ((content.p, 1), (content.q, -1)):
            for prime, e in _primes(n):
                total = total + side * e * self.function("log", self.value(prime))
        return total if self.number(rest) == 1 else total + self.function("log", self.lowest(rest))

    def _degree(self, k: int | None) -> int:
        return next(power for j, power, _ in self.relations if j == k)

    def rational_power(self, v: Value, c: Any) -> Value:
        """v ** c, for v > 0."""
        whole = c.p // c.q
        rest = c - whole
        if rest.q > 64 or abs(whole) > _POWER:
            raise NotCovered("a root of high degree")
        return v ** int(whole) * (self.root(v, int(rest.q)) ** int(rest.p) if rest else 1)

    def root(self, v: Value, q: int) -> Value:
        """The q-th root, a root of the square root where q is even."""
        if q % 2 == 0:
            return self.root(self.sqrt(v), q // 2)
        if q == 1:
            return v
        content, parts = self.factors(v)
        out, rest = self.value(1), self.value(Fraction(int(content.p), int(content.q)))
        for p, e, known in parts:
            k = self.alone(p)
            if not known:
                rest = rest * p**e
            elif k is not None and self.kernels[k].head == "exp":
                out = out * self.exp(self.kernels[k].argument * self.value(Fraction(e, q)))  # type: ignore[operator]
            else:
                out = out * p ** (e // q)
                out = out * self._root(p, q) ** (e % q) if e % q else out
        rest = self.lowest(rest)
        return out if self.number(rest) == 1 else out * self._root(rest, q)

    def _root(self, v: Value, q: int, sign: int = 1) -> Value:
        return self.kernel(("root", q, self.key(v)), v, sign, q, v)

    def sqrt(self, u: Value) -> Value:
        """Squares come out of the root, as absolute values where their sign is not known."""
        if u.is_zero():
            return u
        content, parts = self.factors(u)
        out, inside = self.value(1), self.value(1 if content > 0 else -1)
        single = sum(e % 2 for _, e, known in parts if not known) == 1 and content > 0
        for p, e, known in parts:
            half, odd = divmod(e, 2)
            out = out * p**half
            k = self.alone(p)
            if not known:
                if half % 2 and not (single and odd):  # a lone odd factor is not negative, for the root is defined
                    out = out * self.sign(p)
                inside = inside * p if odd else inside
            elif odd and k is not None and self.kernels[k].head == "exp":
                out = out * self.exp(self.kernels[k].argument / 2)  # type: ignore[operator]
            elif odd:
                out = out * self._root(p, 2, 2 if self.sign_of(p.n, strict=True) else 1)
        for n, side in ((content.p, 1), (content.q, -1)):
            for prime, e in _primes(n):
                half, odd = divmod(side * e, 2)
                out = out * self.value(prime) ** half
                p = self.value(prime)
                out = out * self._root(p, 2, 2) if odd else out
        inside = self.lowest(inside)
        return out if self.number(inside) == 1 else out * self._root(inside, 2)

    def sign(self, u: Value) -> Value:
        """A product of signs s with s**2 = 1, of the factors whose sign is not known."""
        if u.is_zero():
            return u
        content, parts = self.factors(u)
        out = self.value(1 if content > 0 else -1)
        for p, e, known in parts:
            if not known and e % 2:
                out = out * self.kernel(("sign", self.key(p)), p, 0, 2, self.value(1))
        return out

    def turn(self, u: Value) -> tuple[Value, Value]:
        """cos and sin, by the addition law over the monomials of the argument."""
        c, s = self.value(1), self.value(0)
        for part, q in self._pieces(self.lowest(u)):
            arc = self._arc(part, q)
            if arc is not None:
                c1, s1, count = arc
            else:
                unit, count = self._scaled(("turn", self.key(part)), q)
                angle = part * self.value(unit)
                c1 = self.kernel(("cos", self.key(part), unit), angle)
                s1 = self.kernel(("sin", self.key(part), unit), angle, 0, 2, 1 - c1 * c1)
            if abs(count) > 16:
                raise NotCovered("a high multiple of an angle")
            s1 = s1 if count > 0 else -s1
            for _ in range(abs(count)):
                c, s = c * c1 - s * s1, s * c1 + c * s1
        return c, s

    def angle(self, y: Value, x: Value) -> Value:
        """atan2(y, x): the angle of a point that is not the origin."""
        if y.is_zero() and (n := self.number(x)) is not None:
            return self.value(0) if n > 0 else self.kernel(("pi",), sign=2)
        size = self.sqrt(x * x + y * y)
        return self.kernel(("angle", self.key(y), self.key(x)), turn=(x / size, y / size))

    def _arc(self, part: Value, q: Any) -> tuple[Value, Value, int] | None:
        """cos and sin of pi, asin(v), atan(v) or atan2(v, u), or of one divided by a power of two, and the multiple.

        An arc is at most half a turn, so that the cosines of its halves are not negative.
        """
        k = self.alone(part)
        head, v = ("", None) if k is None else (self.kernels[k].head, self.kernels[k].argument)
        if head == "pi" and q.q in (1, 2):
            return self.value(int(q.q == 1) * -1), self.value(int(q.q == 2)), int(q.p)
        halves = int(q.q).bit_length() - 1
        if k is None or head not in ("asin", "atan", "angle") or q.q != 1 << halves or halves > 4:
            return None
        if v is None:
            c, s = self.kernels[k].turn or (self.value(1), self.value(0))
        else:
            c = self.sqrt(1 - v * v) if head == "asin" else 1 / self.sqrt(1 + v * v)
            s = v if head == "asin" else v * c
        for _ in range(halves):
            c, s = self.sqrt((1 + c) / 2), s / 2
            s = s / c
        return c, s, int(q.p)

    def tanh(self, u: Value) -> Value:
        if not self.expanded:
            return self.odd("tanh", u)
        e = self.exp(u + u)
        return (e - 1) / (e + 1)

    def sigmoid(self, u: Value) -> Value:
        if self.expanded:
            e = self.exp(u)
            return e / (e + 1)
        u = self.lowest(u)
        turned = not u.is_zero() and u.n.leading_coefficient() < 0
        return 1 - self.function("sigmoid", -u, sign=2) if turned else self.function("sigmoid", u, sign=2)


def _primes(n: Any) -> list[tuple[int, int]]:
    n = abs(int(n))
    if n.bit_length() > 96:
        raise NotCovered("the factors of a large number")
    return [(int(p), int(e)) for p, e in fmpz(n).factor()] if n > 1 else []
