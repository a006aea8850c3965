"""How each step reads modulo a prime, at one level: the number system `Residues`.

Arithmetic is exact.  A function with no algebra (erf) is a random element for each value of its argument, odd where
the function is; ``exp`` is one too here, with exp(-u) = 1/exp(u), and tanh and sigmoid are rational in it.
`symgrad.evaluation.residues` reads exp and log across levels, where they keep all of their algebra.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.evaluation.modular import Extension, Field, Retry, Value
from symgrad.ops.matrices import MATRICES
from symgrad.program.program import Step, Strided, positions, size

U = np.uint64


class NoResidue(Exception):
    """A step has no residue: a constant that is not finite, or a complex value where there is no square root of -1."""


class Residues:
    """The system of residues in one field, for `symgrad.program.program.interpret`; values are ints and arrays of
    uint64.

    ``seed`` decides every random element, so that equal arguments get equal values.

    >>> from symgrad.evaluation.modular import WIDE, tower
    >>> from symgrad.program.builder import Builder
    >>> from symgrad.program.program import interpret
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> program = b.build({"y": b.div(b.integer_power(x, 2), x)})
    >>> interpret(program, Residues(tower(WIDE[0])[0]), {"x": 12345})[program.output]
    12345
    """

    def __init__(self, field: Field, seed: int = 0, *, strict: bool = False, sheet: int = 0) -> None:
        self.field = field
        self.seed = seed
        self.strict = strict
        self.sheet = sheet

    def read(self, step: Step, args: list[Value]) -> Value:
        f = self.field
        match step.op:
            case "constant":
                return self.constant(step)
            case "add":
                return f.add(args[0], args[1])
            case "sub":
                return f.sub(args[0], args[1])
            case "mul":
                return f.mul(args[0], args[1])
            case "div":
                return f.div(args[0], args[1])
            case "neg":
                return f.neg(args[0])
            case "powi":
                return f.power(args[0], step.params)
            case "pick":
                return _pick(step, args)
            case "scatter":
                return self._scatter(step, args[0])
            case "matmul":
                return f.matmul(args[0], args[1])
            case "name" | "cast" | "stop":
                return args[0]
            case "sqrt":
                return f.sqrt(args[0])
            case "sign":
                return self.sign(args[0])
            case "abs":
                return f.mul(self.sign(args[0]), args[0]) if len(args) == 1 else f.sqrt(f.mul(args[0], args[1]))
            case "exp" | "tanh" | "sigmoid":
                return self.of_exp(step.op, self.exp_oracle(args[0]))
            case "sin" | "cos":
                if f.i:
                    return self.of_turn(step.op, self.exp_oracle(f.mul(args[0], f.i)))
                return self.of_half_angle(step.op, self.odd("tan", args[0]))
            case "log":
                return self.log_oracle(args[0])
            case "conj":
                return args[0]
            case "real":
                return f.mul(f.add(args[0], args[1]), (f.p + 1) // 2)
            case "imag":
                return f.div(f.sub(args[0], args[1]), self.like(args[0], 2 * f.i % f.p))
            case "inverse" | "solve" | "det":
                return _solve(f, step, args)
            case "cholesky":
                return _cholesky(f, args[0])
            case "erf" | "asin" | "atan" | "erfinv" | "i1":
                return self.odd(step.op, args[0])
            case "i0":
                return self.oracle("i0", self._folded(args[0])[0])
        if step.op in MATRICES:
            return self.of_matrices(step, args[0])
        return self.oracle(f"{step.op} {step.params}", *args)

    # ---------------------------------------------------------------------------------------- numbers
    def like(self, a: Value, number: int) -> Value:
        return number if isinstance(a, int) else np.full(a.shape, number, dtype=U)

    def constant(self, step: Step) -> Value:
        c, shape = step.params, step.params.value.shape
        if c.exact is None:
            return self.binary(c.value)
        if isinstance(c.exact, sp.Basic):
            number = self.exact(c.exact)
            return number if not shape else np.full(shape, number, dtype=U)
        entries = np.asarray(c.exact, dtype=object).reshape(-1).tolist()
        values = [self.exact(x) for x in entries]
        return values[0] if not shape else np.array(values, dtype=U).reshape(shape)

    def exact(self, x: Any) -> int:
        f = self.field
        if isinstance(x, sp.Rational):
            x = Fraction(int(x.p), int(x.q))
        if isinstance(x, (int, Fraction)):
            if not x.denominator % f.p:
                raise Retry("a division by zero")
            return x.numerator % f.p * pow(x.denominator, -1, f.p) % f.p
        if x == sp.I or isinstance(x, complex):
            unit = self.unit()
            if x == sp.I:
                return unit
            return (self.exact(Fraction(x.real)) + unit * self.exact(Fraction(x.imag))) % f.p
        if isinstance(x, float):
            return self.exact(Fraction(x))
        return int(_mix(np.uint64(0), self._key(str(x))) % (f.p - 1)) + 1

    def unit(self) -> int:
        """The imaginary unit as this sheet reads it."""
        f = self.field
        if not f.i:
            raise NoResidue("a complex value, modulo a prime where -1 has no square root")
        return f.p - f.i if self.sheet else f.i

    def binary(self, value: Any) -> Value:
        """Floats as the binary numbers they are: m * 2**e."""
        f = self.field
        array: Any = np.asarray(value)
        if array.dtype.kind == "c":
            re, im = self.binary(array.real), self.binary(array.imag)
            return re if not array.imag.any() else f.add(re, f.mul(im, self.unit()))
        if not np.isfinite(array).all():
            raise NoResidue("a constant that is not finite")
        if not array.shape:
            return self.exact(Fraction(float(array)))
        mantissa, exponent = np.frexp(array.astype(np.float64))
        exponents, back = np.unique(exponent - 53, return_inverse=True)
        two = np.array([pow(2, int(e), f.p) for e in exponents], dtype=U)
        whole = np.ldexp(mantissa, 53).astype(np.int64) % f.p
        return f.mul(whole.astype(U), two[back.reshape(array.shape)])

    # ---------------------------------------------------------------------------------------- random elements
    def _key(self, kind: str) -> int:
        return random.Random(f"{self.seed} {self.field.p} {kind}").getrandbits(64)

    def oracle(self, kind: str, *args: Value) -> Value:
        """A random element, not zero, for each value of the arguments."""
        key, f = self._key(kind), self.field
        if isinstance(args[0], int):
            mixed = 0
            for a in args:
                mixed = _mix_int(mixed ^ a, key)
            return mixed % (f.p - 1) + 1
        mixed = np.zeros(args[0].shape, dtype=U)
        for a in args:
            mixed = _mix(mixed ^ a, key)
        return mixed % U(f.p - 1) + U(1)

    def of_matrices(self, step: Step, a: np.ndarray) -> np.ndarray:
        """A random element for each entry of a function of matrices, which depends on all entries of its matrix."""
        whole = np.zeros(len(a), dtype=U)
        key = self._key(f"{step.op} {step.params}")
        for entry in a.reshape(len(a), -1).T:
            whole = _mix(whole ^ np.ascontiguousarray(entry), key)
        places = np.arange(size(step.shape[1:]), dtype=U).reshape(step.shape[1:])
        spread = np.broadcast_to(whole.reshape(-1, *(1,) * places.ndim), step.shape)
        return self.oracle(f"{step.op} {step.params}", spread.copy(), np.broadcast_to(places, step.shape).copy())

    def _folded(self, u: Value) -> tuple[Value, Value]:
        """The smaller of u and -u, and whether it is u."""
        minus = self.field.neg(u)
        if isinstance(u, int):
            return min(u, minus), u <= minus
        return np.minimum(u, minus), u <= minus

    def odd(self, kind: str, u: Value) -> Value:
        folded, same = self._folded(u)
        r = self.oracle(kind, folded)
        if isinstance(u, int):
            return 0 if not u else r if same else self.field.neg(r)
        return np.where(u == 0, U(0), np.where(same, r, self.field.neg(r)))

    def sign(self, u: Value) -> Value:
        """1 or -1 with sign(-u) = -sign(u) (and multiplicative where -1 is no square)."""
        f = self.field
        if f.p % 4 == 3:
            if isinstance(f, Extension):
                u = f.leading(u)
            return Field.power(f, u, (f.p - 1) // 2)
        s, same = f.power(u, (f.p - 1) // 4), self._folded(u)[1]  # the sign that makes sqrt(u**2) = |u|, for squares u
        if isinstance(u, int):
            return s if s in (0, 1, f.p - 1) else 1 if same else f.p - 1
        return np.where((s <= 1) | (s == f.p - 1), s, np.where(same, U(1), U(f.p - 1)))

    def exp_oracle(self, u: Value) -> Value:
        """E with E(0) = 1 and E(-u) = 1/E(u), and a root for E."""
        f = self.field
        folded, same = self._folded(u)
        r = f.power(self.oracle("exp", folded), 4)
        if isinstance(u, int):
            return 1 if not u else r if same else f.inverse(r)
        return np.where(u == 0, U(1), np.where(same, r, f.inverse(r)))

    def log_oracle(self, v: Value) -> Value:
        """L with L(1) = 0 and L(1/v) = -L(v)."""
        f, other = self.field, self.field.inverse(v)
        if isinstance(v, int):
            r = self.oracle("log", min(v, other))
            return 0 if v == 1 else r if v <= other else f.neg(r)
        r = self.oracle("log", np.minimum(v, other))
        return np.where(v == 1, U(0), np.where(v <= other, r, f.neg(r)))

    # ---------------------------------------------------------------------------------------- rational in those
    def of_exp(self, op: str, e: Value) -> Value:
        f = self.field
        if op == "exp":
            return e
        if op == "sigmoid":
            return f.div(e, f.add(e, 1))
        square = f.mul(e, e)
        return f.div(f.sub(square, 1), f.add(square, 1))

    def of_turn(self, op: str, e: Value) -> Value:
        """sin = (e - 1/e)/(2i), cos = (e + 1/e)/2 for e = exp(i u)."""
        f, half = self.field, (self.field.p + 1) // 2
        if op == "cos":
            return f.mul(f.add(e, f.inverse(e)), half)
        return f.mul(f.sub(e, f.inverse(e)), half * (f.p - f.i) % f.p)

    def of_half_angle(self, op: str, t: Value) -> Value:
        f, square = self.field, self.field.mul(t, t)
        top = f.mul(t, 2) if op == "sin" else f.sub(self.like(t, 1), square)
        return f.div(top, f.add(square, 1))

    # ---------------------------------------------------------------------------------------- layouts
    def _scatter(self, step: Step, value: Value) -> Value:
        a = np.array([value], dtype=U) if isinstance(value, int) else value
        where = step.params
        if isinstance(where, Strided):
            where = positions(where, a.shape if not isinstance(value, int) else ())
        sums = self.field.sums(a.reshape(-1), where, size(step.shape) + 1)[1:]
        return int(sums[0]) if not step.shape else sums.reshape(step.shape)


def _mix(x: Any, key: int) -> Any:
    """The finaliser of splitmix64, keyed."""
    with np.errstate(over="ignore"):
        x = x + U(key)
        x = (x ^ (x >> U(30))) * U(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> U(27))) * U(0x94D049BB133111EB)
        return x ^ (x >> U(31))


def _mix_int(x: int, key: int) -> int:
    mask = 0xFFFFFFFFFFFFFFFF
    x = (x + key) & mask
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
    return x ^ (x >> 31)


def _flat(value: Value) -> np.ndarray:
    return np.array([value], dtype=U) if isinstance(value, int) else value.reshape(-1)


def _pick(step: Step, args: list[Value]) -> Value:
    index, shape = step.params, step.shape
    if isinstance(index, Strided):
        (a,) = args
        if isinstance(a, int):
            return a if not shape else np.full(shape, a, dtype=U)
        if not shape:
            return int(a.reshape(-1)[index.offset])
        if min(index.strides, default=0) >= 0:
            a = np.ascontiguousarray(a).reshape(-1)[index.offset :]
            view = np.lib.stride_tricks.as_strided(a, shape, tuple(s * a.itemsize for s in index.strides))
            return np.ascontiguousarray(view)
        return a.reshape(-1)[positions(index, shape) - 1].reshape(shape)
    entries = np.concatenate([np.zeros(1, dtype=U), *(_flat(a) for a in args)])
    return int(entries[index[0]]) if not shape else entries[index].reshape(shape)


def _solve(f: Field, step: Step, args: list[Value]) -> Value:
    """Gauss and Jordan, for each matrix of the batch: the inverse, the solution or the determinant."""
    a = args[0]
    n = a.shape[1]
    right = args[1] if step.op == "solve" else np.broadcast_to(np.eye(n, dtype=U), a.shape)
    solved, dets = [], []
    for m, r in zip(a, right, strict=True):
        m = np.concatenate([m, r], axis=1)
        det = 1
        for k in range(n):
            found = np.flatnonzero(m[k:, k])
            if not found.size:
                if step.op == "det":
                    det = 0
                    break
                raise Retry("a singular matrix")
            if found[0]:
                m[[k, k + found[0]]] = m[[k + found[0], k]]
                det = f.neg(det)
            pivot = int(m[k, k])
            det = f.mul(det, pivot)
            m[k] = f.mul(m[k], f.inverse(pivot))
            factors = m[:, k].copy()
            factors[k] = 0
            m = f.sub(m, f.mul(factors[:, None], m[k][None, :]))
        solved.append(m[:, n:])
        dets.append(det)
    if step.op == "det":
        return int(dets[0]) if not step.shape else np.array(dets, dtype=U).reshape(step.shape)
    return np.stack(solved) if solved else np.zeros(step.shape, dtype=U)


def _cholesky(f: Field, a: np.ndarray) -> np.ndarray:
    n, half = a.shape[1], (f.p + 1) // 2
    a = f.mul(f.add(a, a.transpose(0, 2, 1)), half)
    out = np.zeros_like(a)
    for j in range(n):
        column = a[:, j:, j]
        for k in range(j):
            column = f.sub(column, f.mul(out[:, j:, k], out[:, j : j + 1, k]))
        root = f.sqrt(np.ascontiguousarray(column[:, 0]))
        out[:, j, j] = root
        out[:, j + 1 :, j] = f.mul(column[:, 1:], f.inverse(root)[:, None])
    return out
