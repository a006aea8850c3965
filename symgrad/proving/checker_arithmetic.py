"""Fractions in kernels, exact: the numbers of `symgrad.proving.checker`, and what it uses of functions.

A *kernel* is an unknown real number, the imaginary unit, or the value of a function.  All that is used of a function:

* exp(u + v) = exp(u) exp(v), exp(c log(u)) = u**c; log(u v) = log(u) + log(v) for factors known not to be negative;
* root(u)**q = u, sqrt(u**2) = |u| = sign(u) u, sign(u)**2 = 1;
* sin(u)**2 + cos(u)**2 = 1 and the addition laws, and of which points asin and atan are the angles;
* tanh in exp, or alone as a function that is odd; exp(x + iy) = exp(x) (cos(y) + i sin(y));
* of every other function, that equal arguments give equal values.

A sign is known where a kernel has one, or where a logarithm or a root of what it is the sign of is taken; tanh, erf,
asin, atan and the inverse of erf have that of their argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flint import Ordering, fmpq, fmpq_mpoly_ctx, fmpz

Poly = Any  # python-flint's fmpq_mpoly
Part = tuple[Poly, Poly]  # a numerator, and a denominator that is monic
_TERMS, _POWER, _PARTS = 20_000, 96, 64
_UNIT = ("i",)
_KEEPING = frozenset("tanh erf asin atan erfinv sign".split())  # functions that have the sign of their argument
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
    learned: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A sum of fractions of polynomials in kernels, which need have no denominator in common."""

    of: Arithmetic
    parts: tuple[Part, ...]

    def __add__(self, other: Value | int) -> Value:
        return self.of.summed((*self.parts, *self.of.value(other).parts))

    def __neg__(self) -> Value:
        return Value(self.of, tuple((-n, d) for n, d in self.parts))

    def __sub__(self, other: Value | int) -> Value:
        return self + -self.of.value(other)

    def __rsub__(self, other: int) -> Value:
        return -self + other

    def __mul__(self, other: Value | int) -> Value:
        a, b = self, self.of.value(other)
        if len(a.parts) * len(b.parts) > _PARTS:
            a, b = a.whole(), b.whole()
        return self.of.summed((n * m, d * e) for n, d in a.parts for m, e in b.parts)

    def __truediv__(self, other: Value | int) -> Value:
        b = self.of.value(other).whole()
        return self.of.summed((n * b.d, d * b.n) for n, d in self.parts)

    def __rtruediv__(self, other: int) -> Value:
        return self.of.value(other) / self

    def __pow__(self, n: int) -> Value:
        if abs(n) > _POWER:
            raise NotCovered("a power that is too high")
        half = self ** (abs(n) // 2) if n else self.of.value(1)
        found = half * half * self if n % 2 else half * half if n else half
        return found if n >= 0 else 1 / found

    __radd__, __rmul__ = __add__, __mul__

    def whole(self) -> Value:
        """One fraction in lowest terms."""
        (n, d), *others = self.parts or [(0 * self.of.one, self.of.one)]
        for m, e in others:
            g = d.gcd(e)
            n, d = self.of.lowest(n * (e / g) + m * (d / g), d * (e / g))
        return Value(self.of, (self.of.lowest(n, d),))

    def plain(self) -> Value:
        """One fraction with no square root below, as which equal values have one form."""
        f, v = self.of, self.whole()
        for k, power, _ in reversed(f.relations):
            if power == 2 and int(v.d.degrees()[k]) == 1:
                turned = v.d.compose(*(-g if j == k else g for j, g in enumerate(f.generators)), ctx=f.context)
                v = Value(f, (f.lowest(v.n * turned, v.d * turned),))
        return v

    @property
    def n(self) -> Poly:
        """Of one fraction, the numerator."""
        ((n, _),) = self.parts
        return n

    @property
    def d(self) -> Poly:
        ((_, d),) = self.parts
        return d

    def is_zero(self) -> bool:
        return not self.parts or self.whole().n.is_zero()

    def key(self) -> str:
        """A text that equal values have in common."""
        v = self.plain()
        return f"{v.n}|{v.d}"

    def number(self) -> Any:
        """The rational number that it is, or None."""
        v = self.plain()
        return (v.n / v.d).leading_coefficient() if v.n.is_constant() and v.d.is_constant() else None


@dataclass(frozen=True, slots=True)
class _Kernel:
    head: str
    argument: Value | None = None
    sign: int = 0  # 2: positive, 1: not negative, 0: not known
    power: int = 0  # this power of it is a value


@functools.cache
def _context(n: int) -> Any:
    return fmpq_mpoly_ctx.get([f"k{i}" for i in range(n)], Ordering.degrevlex)


class Arithmetic:
    """Fractions in ``size`` kernels, and the functions of them."""

    def __init__(self, size: int, notes: Notes, expanded: bool) -> None:
        self.context = _context(size)
        self.generators = self.context.gens()
        self.notes = notes
        self.expanded = expanded  # whether tanh and sigmoid are written in exp
        self.principal = False  # whether what is read has complex numbers in it
        self.kernels: dict[int, _Kernel] = {}
        self.relations: list[tuple[int, int, Value]] = []  # kernel ** power = value
        self.not_negative: list[tuple[Value, bool]] = []
        self.one = self.context.constant(1)

    # ------------------------------------------------------------------------------------------------ fractions
    def value(self, x: Any) -> Value:
        if isinstance(x, Value):
            return x
        x = Fraction(x)
        return self.quotient(self.context.constant(fmpq(x.numerator, x.denominator)))

    def quotient(self, n: Poly, d: Poly | None = None) -> Value:
        return Value(self, ((n, self.one if d is None else d),))

    def total(self, values: Iterable[Value]) -> Value:
        return self.summed(part for v in values for part in v.parts)

    def summed(self, parts: Iterable[Part]) -> Value:
        """The sum of fractions; those with one denominator are added."""
        found: list[Part] = []
        for part in parts:
            n, d = self.reduced(*part)
            k = next((k for k, (_, e) in enumerate(found) if e == d), None)
            n = n if k is None else n + found.pop(k)[0]
            found += [] if n.is_zero() else [(n, d)]
        return Value(self, tuple(found))

    def kernel(self, key: Any, *said: Any, value: Any = None, **named: Any) -> Value:
        """The kernel of a key; with a ``power``, the kernel to this power is the value."""
        k = self.notes.numbers.setdefault(key, len(self.notes.numbers))
        if k >= len(self.generators):
            raise Again
        if k not in self.kernels:
            self.kernels[k] = _Kernel(key[0], *said, **named)
            if self.kernels[k].power:
                self.relations.append((k, self.kernels[k].power, self.value(value).whole()))
        return self.quotient(self.generators[k])

    def lowest(self, n: Poly, d: Poly) -> Part:
        n, d = self.reduced(n, d)
        g = n.gcd(d)
        return self.reduced(n / g, d / g)

    def reduced(self, n: Poly, d: Poly) -> Part:
        """The fraction, monic below, with no power left that a relation writes otherwise."""
        for k, power, value in reversed(self.relations):
            n, below = self._rewritten(n, k, power, value)
            d, above = self._rewritten(d, k, power, value)
            n, d = n * above, d * below
        if d.is_zero():
            raise NotCovered("a division by zero")
        if len(n) + len(d) > _TERMS:
            raise NotCovered("a fraction with too many terms")
        lead = d.leading_coefficient()
        return (n, d) if lead == 1 else (n / lead, d / lead)

    def _rewritten(self, p: Poly, k: int, power: int, value: Value) -> tuple[Poly, Poly]:
        """q and b with p = q / b, in which kernel k has a power below ``power``."""
        below = self.one
        while not p.is_zero() and (high := int(p.degrees()[k]) // power) > 0:
            parts: dict[int, dict[tuple[int, ...], Any]] = {}
            for e, c in p.to_dict().items():
                q, rest = divmod(int(e[k]), power)
                parts.setdefault(q, {})[(*e[:k], rest, *e[k + 1 :])] = c
            written = (self.context.from_dict(part) * value.n**q * value.d ** (high - q) for q, part in parts.items())
            p, below = sum(written, 0 * self.one), below * value.d**high
            if len(p) > _TERMS:
                raise NotCovered("a fraction with too many terms")
        return p, below

    def _alone(self, v: Value) -> _Kernel | None:
        """The kernel that a value is, or None."""
        v = v.plain()
        terms = list(v.n.to_dict().items())
        if len(terms) != 1 or terms[0][1] != 1 or sum(terms[0][0]) != 1 or not v.d.is_one():
            return None
        return self.kernels[terms[0][0].index(1)]

    # ------------------------------------------------------------------------------------------------ complex numbers
    def unit(self) -> Value:
        return self.kernel(_UNIT, power=2, value=-1)

    def complex_parts(self, z: Value) -> tuple[Value, Value]:
        """The real and the imaginary part."""
        k = self.notes.numbers.get(_UNIT)
        if k not in self.kernels:
            return z, self.value(0)
        z, both = z.plain(), (dict[Any, Any](), dict[Any, Any]())
        for e, c in z.n.to_dict().items():
            both[e[k]][(*e[:k], 0, *e[k + 1 :])] = c
        x, y = (self.quotient(self.context.from_dict(part), z.d) for part in both)
        return x, y

    def _is_real(self, z: Value) -> bool:
        return not self.principal and self.complex_parts(z)[1].is_zero()

    # ------------------------------------------------------------------------------------------------ signs
    def factors(self, v: Value) -> tuple[Any, list[tuple[Value, int, bool]]]:
        """A rational number and irreducible factors with their powers, and whether each is known not to be negative."""
        v, content, found = v.plain(), fmpq(1), list[tuple[Value, int, bool]]()
        for p, side in ((v.n, 1), (v.d, -1)):
            if len(p) > 300:
                raise NotCovered("a factor with too many terms")
            c, parts = p.factor()
            for q, e in parts:
                lead = q.leading_coefficient()
                sign = self.sign_of(q / lead)
                c = c * (lead * (sign or 1)) ** int(e)
                found.append((self.quotient(q / lead * (sign or 1)), int(e) * side, sign != 0))
            content = content * c if side > 0 else content / c
        return content, sorted(found, key=lambda x: str(x[0].n))

    def _primes(self, content: Any) -> list[tuple[Value, int, bool]]:
        """The size of a rational number as factors, and its sign as one that is not known."""
        out = [(self.value(-1), 1, False)] if content < 0 else []
        for n, side in ((abs(int(content.p)), 1), (int(content.q), -1)):
            if n.bit_length() > 96:
                raise NotCovered("the factors of a large number")
            out += [(self.value(int(p)), int(e) * side, True) for p, e in (fmpz(n).factor() if n > 1 else ())]
        return out

    def sign_of(self, p: Poly, *, strict: bool = False) -> int:
        """1 where p is known not to be negative, -1 where it is known not to be positive, 0 where neither is known;
        with ``strict`` a p that may be zero is not known."""
        lead = p.leading_coefficient()
        side = 1 if lead > 0 else -1
        fact = 0 if strict else self.notes.signs.get(str(p / lead), 0)
        return side * fact if fact else next((s for s in (1, -1) if self._is_sum_of_squares(s * p, strict)), 0)

    def _is_sum_of_squares(self, p: Poly, strict: bool) -> bool:
        """Whether no term of p is negative, and with ``strict``, one is positive."""
        positive = not strict
        for exponents, c in p.to_dict().items():
            signs = {
                k: self.kernels[k].sign or self.notes.signs.get(str(self.generators[k]), 0)
                for k, e in enumerate(exponents)
                if e
            }
            if c < 0 or any(exponents[k] % 2 and sign <= 0 for k, sign in signs.items()):
                return False
            positive = positive or all(sign == 2 for sign in signs.values())
        return positive

    def learn(self, v: Value, *, strict: bool = False) -> None:
        """Remember that v is not negative (with ``strict``: positive), where that tells the sign of a factor."""
        if not self._tell(v, strict):
            return
        for other, positive in self.not_negative:
            self._tell(v + other, strict or positive)
        if len(self.not_negative) < _SUMMED and sum(len(n) + len(d) for n, d in v.parts) < 9:
            self.not_negative.append((v, strict))

    def _tell(self, v: Value, strict: bool) -> bool:
        """Whether v has a factor of unknown sign, which is told unless another one may vanish."""
        if v.is_zero():
            return False
        content, parts = self.factors(v)
        unknown = [p.n for p, e, known in parts if not known and e % 2]
        others = [p.n for p, e, _ in parts if e > 0 and p.n not in unknown]
        if strict or all(self.sign_of(p, strict=True) for p in others):
            side = 1 if content > 0 else -1
            if len(unknown) == 1:
                self._note(unknown[0], side)
                inner = self._alone(self.quotient(unknown[0]))
                if inner is not None and inner.argument is not None and inner.head in _KEEPING:
                    self.learn(side * inner.argument, strict=strict)
            elif len(unknown) == 2:  # of one sign: that of their sum
                p, q = unknown[0], side * unknown[1]
                sign = 0 if (p + q).is_zero() else self.sign_of(p + q, strict=True)
                for factor in (p, q) if sign else ():
                    self._note(factor, sign)
        return bool(unknown)

    def _note(self, p: Poly, sign: int) -> None:
        lead = p.leading_coefficient()
        name = str(p / lead)
        if name not in self.notes.signs:
            self.notes.signs[name] = sign if lead > 0 else -sign
            self.notes.learned = True

    # ------------------------------------------------------------------------------------------------ functions
    def function(self, name: Any, *arguments: Value, sign: int = 0) -> Value:
        """Of which equal arguments give equal values, and nothing else is used."""
        key = (name, *(v.key() for v in arguments))
        if all(map(self._is_real, arguments)):
            return self.kernel(key, arguments[-1], sign)
        called = f"complex {name if isinstance(name, str) else name[0]}"
        x, y = (self.kernel(((called, part), *key)) for part in ("x", "y"))
        return x + y * self.unit()

    def odd(self, name: str, u: Value) -> Value:
        if u.is_zero():
            return u
        return -self.function(name, -u) if u.plain().n.leading_coefficient() < 0 else self.function(name, u)

    def _pieces(self, name: str, u: Value) -> Iterable[tuple[Value, _Kernel | None, Any, Any]]:
        """A value as a sum of monomials over one denominator, each with the kernel that it is, and a number as its
        factor: how often the unit in which multiples of this argument are counted, and this unit."""
        u = u.plain()
        for exponents, c in u.n.to_dict().items():
            part = self.quotient(self.context.from_dict({exponents: fmpq(1)}), u.d).plain()
            yield part, self._alone(part), c, (name, part.key())

    def _scaled(self, key: Any, c: Any) -> tuple[Any, int]:
        """The unit in which multiples of an argument are counted, and how many of them c is."""
        unit: Any = self.notes.units.setdefault(key, abs(c))
        count = c / unit
        if max(count.q, abs(count.p)) > _POWER:
            return self._scaled((key, abs(c)), c)
        if count.q != 1:
            self.notes.units[key] = unit / count.q
            raise Again
        return Fraction(int(unit.p), int(unit.q)), int(count.p)

    def exp(self, u: Value) -> Value:
        u, y = self.complex_parts(u)
        out = self.value(1)
        for part, inner, c, key in self._pieces("exp", u):
            if inner is not None and inner.head == "log" and inner.argument is not None:
                out = out * self._power(inner.argument, c)
            else:
                unit, count = self._scaled(key, c)
                out = out * self.kernel((*key, unit), part * self.value(unit), 2) ** count
        if y.is_zero():
            return out
        c, s = self.turn(y)
        return out * (c + s * self.unit())

    def log(self, u: Value) -> Value:
        if self.principal:
            return self.function("log", u)
        self.learn(u, strict=True)
        return self._log(u)

    def _log(self, u: Value) -> Value:
        content, parts = self.factors(u)
        total, rest = self.value(0), self.value(1)
        for p, e, known in (*parts, *self._primes(content)):
            inner = self._alone(p)
            if not known:
                rest = rest * p**e
            elif inner is not None and inner.argument is not None and inner.head in ("exp", "root"):
                power = inner.argument if inner.head == "exp" else self._log(inner.argument) / inner.power
                total = total + e * power
            else:
                total = total + e * self.kernel(("log", p.key()), p)
        return total if rest.number() == 1 else total + self.kernel(("log", rest.key()), rest)

    def _power(self, v: Value, c: Any) -> Value:
        """v ** c, for v > 0."""
        whole, q = int(c.p // c.q), int(c.q)
        if q > 64 or abs(whole) > _POWER:
            raise NotCovered("a root of high degree")
        return v**whole * (self._root(v, q) ** int(c.p - whole * c.q) if q > 1 else 1)

    def sqrt(self, u: Value) -> Value:
        if self.principal:
            return self.function("sqrt", u)
        self.learn(u)
        return self._root(u, 2)

    def _root(self, u: Value, q: int) -> Value:
        """The q-th root; powers come out of an even one as absolute values where their sign is not known."""
        if q % 2 == 0 and q > 2:
            return self._root(self._root(u, 2), q // 2)
        if q == 1 or u.is_zero():
            return u
        content, parts = self.factors(u)
        out = inside = self.value(1)
        lone = content > 0 and sum(e % 2 for _, e, known in parts if not known) == 1
        for p, e, known in (*parts, *self._primes(content)):
            whole, rest = divmod(e, q)
            inner = self._alone(p)
            if not known:
                if q == 2 and whole % 2 and not (lone and rest):  # a lone one is not negative: the root is defined
                    out = out * self.sign(p)
                inside = inside * p**rest
            elif inner is not None and inner.head == "exp" and inner.argument is not None:
                rest = whole * q  # all of it comes out
                out = out * self.exp(inner.argument * self.value(Fraction(e - rest, q)))
            elif rest:
                out = out * self._root_kernel(p, q, 2 if self.sign_of(p.n, strict=True) else 1) ** rest
            out = out * p**whole
        return out if inside.number() == 1 else out * self._root_kernel(inside, q, 1)

    def _root_kernel(self, v: Value, q: int, sign: int) -> Value:
        return self.kernel(("root", q, v.key()), v, sign, q, value=v)

    def sign(self, u: Value) -> Value:
        """A product of signs s with s**2 = 1, of the factors whose sign is not known."""
        if u.is_zero() or not self.complex_parts(u)[1].is_zero():
            return u if u.is_zero() else u / self.modulus(u)
        content, parts = self.factors(u)
        out = self.value(1 if content > 0 else -1)
        for p, e, known in parts:
            if not known and e % 2:
                out = out * self.kernel(("sign", p.key()), p, power=2, value=1)
        return out

    def modulus(self, u: Value) -> Value:
        x, y = self.complex_parts(u)
        return self.sign(x) * x if y.is_zero() else self._root(x * x + y * y, 2)

    def turn(self, u: Value) -> tuple[Value, Value]:
        """cos and sin, by the addition law over the monomials of the argument."""
        c, s = self.value(1), self.value(0)
        if not self.complex_parts(u)[1].is_zero():
            e = self.exp(u * self.unit())
            return (e + 1 / e) / 2, (e - 1 / e) / (2 * self.unit())
        for part, inner, q, key in self._pieces("turn", u):
            arc = None if inner is None else self._arc(inner, q)
            if arc is None:
                unit, count = self._scaled(key, q)
                angle = part * self.value(unit)
                c1 = self.kernel(("cos", *key, unit), angle)
                s1 = self.kernel(("sin", *key, unit), angle, power=2, value=1 - c1 * c1)
            else:
                c1, s1, count = arc
            if abs(count) > 16:
                raise NotCovered("a high multiple of an angle")
            s1 = s1 if count > 0 else -s1
            for _ in range(abs(count)):
                c, s = c * c1 - s * s1, s * c1 + c * s1
        return c, s

    def _arc(self, of: _Kernel, q: Any) -> tuple[Value, Value, int] | None:
        """cos and sin of pi, asin(v) or atan(v), or of one divided by a power of two, and the multiple.

        An arc is at most half a turn, so that the cosines of its halves are not negative.
        """
        if of.head == "pi" and q.q in (1, 2):
            return self.value(int(q.q == 1) * -1), self.value(int(q.q == 2)), int(q.p)
        halves = int(q.q).bit_length() - 1
        if of.head not in ("asin", "atan") or q.q != 1 << halves or halves > 4:
            return None
        v = self.value(of.argument)
        c = self._root(1 - v * v, 2) if of.head == "asin" else 1 / self._root(1 + v * v, 2)
        s = v if of.head == "asin" else v * c
        for _ in range(halves):
            c, s = self._root((1 + c) / 2, 2), s / 2
            s = s / c
        return c, s, int(q.p)

    def pi(self) -> Value:
        return self.kernel(("pi",), sign=2)

    def tanh(self, u: Value) -> Value:
        if not self.expanded and self._is_real(u):
            return self.odd("tanh", u)
        e = self.exp(u + u)
        return (e - 1) / (e + 1)


_SIZES = (12, 48, 192, 768, 3072)  # of the sets of kernels that are tried
_AGAIN = 24  # readings of one formula: each learned a sign, or a finer exponential


def settled(test: Callable[[Arithmetic], bool], expanded: bool = False) -> bool:
    """Whether a test passes that reads a formula, which is read again while that teaches signs.

    Raises `NotCovered` where there is no rule for what is read, or too much of it.
    """
    notes = Notes()
    for size in _SIZES:
        for _ in range(_AGAIN):
            notes.learned, f = False, Arithmetic(size, notes, expanded)
            try:
                if test(f):
                    return True
            except Again:
                if len(notes.numbers) > size:
                    break
                continue
            except NotCovered:
                if not notes.learned:
                    raise
            if not notes.learned:
                for head in (kernel.head for kernel in f.kernels.values()):
                    if isinstance(head, tuple):
                        raise NotCovered(f"relations between values of {head[0]}")
                return False
    raise NotCovered("a formula with too many kernels")
