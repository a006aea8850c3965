"""Arithmetic modulo a prime below 2**32, on Python ints and on arrays of uint64, and towers of primes.

In a tower p_0 < p_1 < ... each prime is c * p + 1 for the prime p before it, so that the numbers modulo p_{k+1} have
an element g of order p_k, and u -> g**u takes sums modulo p_k to products modulo p_{k+1}: an exponential.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

Value = Any
U = np.uint64

# First primes of towers of four.  In the first two each prime is 2 * p + 1 and is 3 modulo 4, so that -1 has no
# square root, and among the square roots of a number one is a square.  In the others the multipliers are 4, 12, 4 and
# each prime is 5 modulo 8, so that -1 has a square root i, and exp(i u) turns.  NARROW and LOW_TURNING are small enough
# for discrete logarithms.
WIDE = (137471459, 157676699, 166418699, 167135099, 198451559, 212879399, 231486539, 243347939, 246440399, 250172519)
NARROW = (1218779, 1269179, 1342499, 1390979, 1494659, 1598699, 1625699, 1632899, 1652879, 1866239, 1955939)
TURNING = (9424237, 9768133, 10282813, 11180557, 11588413, 12059533, 12588853, 14013157, 14173693, 14252053, 15415333)
LOW_TURNING = (262957, 267493, 287557, 349933, 356197, 378997, 458797, 469717, 474037, 511933)
_TURNING_MULTIPLIERS = (4, 12, 4)


class Retry(Exception):
    """The random point is none: a division by zero, or a root that this field does not have."""


@dataclass(frozen=True, eq=False)
class Field:
    """The numbers modulo ``p``.

    ``below`` is the prime before it in the tower, ``g`` an element of that order and ``cofactor`` is (p-1)/below; at
    the bottom they are 0, 1 and p-1.  ``i`` is a square root of -1, or 0 where there is none.
    """

    p: int
    below: int = 0
    cofactor: int = 0
    g: int = 1
    i: int = 0

    # ---------------------------------------------------------------------------------------- field operations
    def add(self, a: Value, b: Value) -> Value:
        return (a + b) % self.p

    def sub(self, a: Value, b: Value) -> Value:
        return (a + (self.p - b)) % self.p

    def mul(self, a: Value, b: Value) -> Value:
        return a * b % self.p

    def neg(self, a: Value) -> Value:
        return (self.p - a) % self.p

    def inverse(self, a: Value) -> Value:
        """1 / a; raises `Retry` at zero."""
        if isinstance(a, int):
            if not a:
                raise Retry("a division by zero")
            return pow(a, -1, self.p)
        if a.size == 0:
            return a
        if not a.all():
            raise Retry("a division by zero")
        return self._inverses(a.reshape(-1)).reshape(a.shape)

    def _inverses(self, a: np.ndarray) -> np.ndarray:
        """One inversion for all: up a tree of products and down again."""
        tree, p = [a], self.p
        while tree[-1].size > 1:
            last = tree[-1]
            if last.size % 2:
                last = np.append(last, U(1))
                tree[-1] = last
            tree.append(last[0::2] * last[1::2] % p)
        down = np.array([pow(int(tree[-1][0]), -1, p)], dtype=U)
        for level in reversed(tree[:-1]):
            out, down = np.empty_like(level), down[: level.size // 2]
            out[0::2] = down * level[1::2] % p
            out[1::2] = down * level[0::2] % p
            down = out
        return down[: a.size]

    def div(self, a: Value, b: Value) -> Value:
        return a * self.inverse(b) % self.p

    def power(self, a: Value, n: int) -> Value:
        if isinstance(a, int):
            return pow(a, n, self.p)
        p, result = self.p, None
        while n:
            if n & 1:
                result = a if result is None else result * a % p
            n >>= 1
            if n:
                a = a * a % p
        return np.ones_like(a) if result is None else result

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Exact in float64: 16-bit halves, at most 2**20 products to a sum."""
        p, total = self.p, None
        for k in range(0, max(a.shape[2], 1), 1 << 20):
            x, y = a[:, :, k : k + (1 << 20)], b[:, k : k + (1 << 20), :]
            x1, x0, y1, y0 = ((v >> 16 if hi else v & 0xFFFF).astype(np.float64) for v in (x, y) for hi in (1, 0))
            high, low = (x1 @ y1).astype(U) % p, (x0 @ y0).astype(U)
            middle = (x1 @ y0 + x0 @ y1).astype(U) % p
            part = ((high * 65536 + middle) % p * 65536 + low) % p
            total = part if total is None else (total + part) % p
        return total  # type: ignore[return-value]

    def sums(self, a: np.ndarray, where: np.ndarray, n: int) -> np.ndarray:
        """Entry k of the result is the sum of the entries of ``a`` where ``where`` is k; exact below 2**21 of them."""
        out = np.zeros(n, dtype=U)
        for k in range(0, a.size, 1 << 20):
            part = np.bincount(where[k : k + (1 << 20)], a[k : k + (1 << 20)].astype(np.float64), n)
            out = (out + part.astype(U)) % self.p
        return out

    # ---------------------------------------------------------------------------------------- roots

    def sqrt(self, a: Value) -> Value:
        """The square root that is itself a square (modulo 5 mod 8: a fourth power), so that roots multiply."""
        p = self.p
        if p % 4 == 3:
            r = self.power(a, (p + 1) // 4)
        else:  # the fourth powers have odd order (p-1)/4, where squaring has an inverse
            r = self.power(a, ((p - 1) // 4 + 1) // 2)
        if (np.not_equal(self.mul(r, r), a)).any() if isinstance(a, np.ndarray) else r * r % p != a:
            raise Retry("a number without a root")
        return r

    # ---------------------------------------------------------------------------------------- exponential, logarithm
    def exp(self, u: Value) -> Value:
        """g ** u, for u modulo the prime below."""
        if isinstance(u, int):
            return pow(self.g, u, self.p)
        tables = _powers(self.g, self.p)
        result = tables[0][u & 255]
        for k in (1, 2, 3):
            result = result * tables[k][(u >> (8 * k)) & 255] % self.p
        return result

    def log(self, v: Value) -> Value:
        """The u with g ** u = v * (a root of unity of order ``cofactor``); raises `Retry` at zero."""
        one = isinstance(v, int)
        left = np.atleast_1d(np.asarray(v, dtype=U)).reshape(-1)
        if not left.all():
            raise Retry("the logarithm of zero")
        n = self.below
        left = self.power(left, self.cofactor)
        keys, order, giant, stride = _baby_steps(self.g, self.p, n)
        found = np.zeros(left.shape, dtype=U)
        todo = np.arange(left.size)
        for k in range(n // stride + 2):
            at = np.minimum(np.searchsorted(keys, left), len(keys) - 1)
            hit = keys[at] == left
            if hit.any():
                found[todo[hit]] = (order[at[hit]] + k * stride) % n
                left, todo = left[~hit], todo[~hit]
                if not todo.size:
                    break
            left = left * giant % self.p
        found = found * pow(self.cofactor, -1, n) % n
        return int(found[0]) if one else found.reshape(v.shape)


@functools.lru_cache(maxsize=64)
def _powers(g: int, p: int) -> np.ndarray:
    """g ** (d * 256**k) for every digit d, as a table over k and d."""
    return np.array([[pow(g, d << (8 * k), p) for d in range(256)] for k in range(4)], dtype=U)


@functools.lru_cache(maxsize=128)
def _baby_steps(g: int, p: int, n: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """The first 2**15 powers of g in order of size, their exponents, g ** -2**15 and 2**15."""
    stride = 1 << 15
    powers = np.ones(1, dtype=U)
    while powers.size < stride:
        powers = np.concatenate([powers, powers * pow(g, powers.size, p) % p])
    order = np.argsort(powers)
    return powers[order], order.astype(U), pow(g, -stride, p), stride


@functools.lru_cache(maxsize=64)
def tower(first: int) -> tuple[Field, ...]:
    """The fields of the tower that begins at a prime of the tables."""
    turning = first in TURNING + LOW_TURNING
    fields: list[Field] = []
    p, below, c = first, 0, 0
    for k in range(4):
        g = next(x for x in (pow(h, c, p) for h in range(2, 100)) if x != 1) if k else 1
        i = 0
        if turning:
            i = next(x for x in (pow(h, (p - 1) // 4, p) for h in range(2, 100)) if x * x % p == p - 1)
        fields.append(Field(p, below, c, g, i))
        below, c = p, _TURNING_MULTIPLIERS[k] if turning and k < 3 else 2
        p = c * p + 1
    return tuple(fields)


# ------------------------------------------------------------------------------------------------ square roots for all

_LOW, _HALF = U(0xFFFFFFFF), U(32)


def _split(a: Value) -> tuple[Value, Value]:
    if isinstance(a, int):
        return a & 0xFFFFFFFF, a >> 32
    return a & _LOW, a >> _HALF


def _join(re: Value, im: Value) -> Value:
    return re | im << 32 if isinstance(re, int) and isinstance(im, int) else re | np.asarray(im, dtype=U) << _HALF


@dataclass(frozen=True, eq=False)
class Extension(Field):
    """The p**2 numbers a + b j with j**2 = -1, for p = 3 modulo 4; a is in the low and b in the high 32 bits.

    Each number modulo p has a square root here, so that a tensor of n independent roots has residues at once and
    not once in 2**n trials.  The price: sqrt(u) sqrt(v) = sqrt(u v) may fail when neither u nor v is a square.
    """

    def add(self, a: Value, b: Value) -> Value:
        (a0, a1), (b0, b1) = _split(a), _split(b)
        return _join((a0 + b0) % self.p, (a1 + b1) % self.p)

    def sub(self, a: Value, b: Value) -> Value:
        return self.add(a, self.neg(b))

    def neg(self, a: Value) -> Value:
        a0, a1 = _split(a)
        return _join((self.p - a0) % self.p, (self.p - a1) % self.p)

    def mul(self, a: Value, b: Value) -> Value:
        (a0, a1), (b0, b1), p = _split(a), _split(b), self.p
        return _join((a0 * b0 % p + (p - a1 * b1 % p)) % p, (a0 * b1 % p + a1 * b0 % p) % p)

    def inverse(self, a: Value) -> Value:
        (a0, a1), p = _split(a), self.p
        n = Field.inverse(self, (a0 * a0 % p + a1 * a1 % p) % p)
        return _join(a0 * n % p, (p - a1) % p * n % p)

    def div(self, a: Value, b: Value) -> Value:
        return self.mul(a, self.inverse(b))

    def power(self, a: Value, n: int) -> Value:
        result = 1 if isinstance(a, int) else np.ones_like(a)
        while n:
            if n & 1:
                result = self.mul(result, a)
            n >>= 1
            if n:
                a = self.mul(a, a)
        return result

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        (a0, a1), (b0, b1), base = _split(a), _split(b), super()
        re = (base.matmul(a0, b0) + (self.p - base.matmul(a1, b1))) % self.p
        return _join(re, (base.matmul(a0, b1) + base.matmul(a1, b0)) % self.p)

    def sums(self, a: np.ndarray, where: np.ndarray, n: int) -> np.ndarray:
        a0, a1 = _split(a)
        return _join(super().sums(a0, where, n), super().sums(a1, where, n))

    def sqrt(self, a: Value) -> Value:
        one = isinstance(a, int)
        flat = np.array([a], dtype=U) if one else a.reshape(-1)
        (re, im), p = _split(flat), self.p
        root = Field.power(self, re, (p + 1) // 4)
        back = root * root % p == re
        result = np.where(back, root, root << _HALF)
        for k in np.flatnonzero(im):
            result[k] = self._root(int(re[k]), int(im[k]))
        return int(result[0]) if one else result.reshape(a.shape)

    def _root(self, re: int, im: int) -> int:
        """(x + y j)**2 = re + im j, from x**2 = (re + n)/2 with n**2 = re**2 + im**2."""
        p = self.p
        norm = (re * re + im * im) % p
        n = pow(norm, (p + 1) // 4, p)
        if n * n % p != norm:
            raise Retry("a number without a root")
        for signed in (n, p - n):
            square = (re + signed) * (p + 1) // 2 % p
            x = pow(square, (p + 1) // 4, p)
            if x and x * x % p == square:
                return _join(x, im * pow(2 * x, -1, p) % p)
        raise Retry("a number without a root")

    def leading(self, a: Value) -> Value:
        """The first of its two parts that is not zero."""
        a0, a1 = _split(a)
        return a0 or a1 if isinstance(a, int) else np.where(a0 == 0, a1, a0)

    def exp(self, u: Value) -> Value:
        """g ** (a + c b) with one c for all u = a + b j: sums go to products."""
        u0, u1 = _split(u)
        return Field.exp(self, (u0 + u1 * 123456791 % self.below) % self.below)

    def log(self, v: Value) -> Value:
        """Half the logarithm of the norm a**2 + b**2."""
        (v0, v1), p = _split(v), self.p
        whole = Field.log(self, (v0 * v0 % p + v1 * v1 % p) % p)
        return whole * ((self.below + 1) // 2) % self.below


@functools.lru_cache(maxsize=64)
def extended(first: int) -> tuple[Extension, ...]:
    """The tower's fields, each with a square root of -1 added."""
    return tuple(Extension(f.p, f.below, f.cofactor, f.g) for f in tower(first))
