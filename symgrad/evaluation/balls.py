"""A Program in rigorous balls (Arb): each value is an interval that contains the exact one.

Inputs are the exact binary numbers they are.  A ball that excludes zero is a proof that a number is not zero.
The precision is Arb's global one; `precision` sets it for a block and puts it back.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import sympy as sp
from flint import acb, acb_mat, arb, arb_mat, ctx, fmpq

from symgrad.ops.matrices import MATRICES
from symgrad.ops.scalars import OPS
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.primitives import composed
from symgrad.program.program import Constant, Step, Strided, System, positions, size

# ----------------------------------------------------------------------------------------------------------- entrywise
# What the number systems of single numbers have in common.
#
# A tensor is a NumPy array of objects, a scalar is a bare object, so that arithmetic is the objects' own; layouts are
# index arrays.  A system says how to make a constant and how to read each scalar function.


def array_of(items: list[Any], shape: tuple[int, ...]) -> Any:
    """The items as an object array of this shape; the bare item for a scalar."""
    if not shape:
        return items[0]
    out = np.empty(len(items), dtype=object)
    out[:] = items
    return out.reshape(shape)


def flat(value: Any) -> np.ndarray:
    """All entries in a row."""
    if isinstance(value, np.ndarray):
        return value.reshape(-1)
    out = np.empty(1, dtype=object)
    out[0] = value
    return out


def entrywise(function: Callable[..., Any], *args: Any) -> Any:
    """``function`` of corresponding entries; a bare number (a constant of a row's meaning) goes with every entry."""
    for a in args:
        if isinstance(a, np.ndarray):
            shape = a.shape
            break
    else:
        return function(*args)
    columns = (a.reshape(-1) if isinstance(a, np.ndarray) else itertools.repeat(a) for a in args)
    return array_of([function(*items) for items in zip(*columns, strict=False)], shape)


def pick(step: Step, args: list[Any], zero: Any) -> Any:
    """Entries of the arguments laid end to end; position 0 is ``zero``."""
    if len(args) == 1 and isinstance(step.params, Strided):
        entries = flat(args[0])
        if not step.shape:
            return entries[step.params.offset]
        return entries[positions(step.params, step.shape) - 1].reshape(step.shape)
    entries = np.concatenate([flat(zero), *(flat(a) for a in args)])
    return entries[step.params[0]] if not step.shape else entries[step.params].reshape(step.shape)


def scatter(step: Step, value: Any, zero: Any) -> Any:
    """Entries added up where they land."""
    entries = flat(value)
    where = step.params
    if isinstance(where, Strided):
        shape = value.shape if isinstance(value, np.ndarray) else ()
        where = positions(where, shape)
    sums: list[Any] = [None] * (size(step.shape) + 1)
    for k, x in zip(where.tolist(), entries, strict=True):
        sums[k] = x if sums[k] is None else sums[k] + x
    return array_of([zero if x is None else x for x in sums[1:]], step.shape)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Batched product of object arrays; every entry is a sum of products, left to right."""
    total = a[:, :, 0:1] * b[:, 0:1, :]
    for k in range(1, a.shape[2]):
        total = total + a[:, :, k : k + 1] * b[:, k : k + 1, :]
    return total


class EntrySystem(System, Protocol):
    """A system of single numbers: how it makes a constant, and how it reads a row, or None for its meaning in others.

    What else it does in its own way is a method ``read_OP`` of it, which is given the step and the arguments.
    """

    zero: Any

    @property
    def rows(self) -> Mapping[str, Callable[..., Any]]: ...

    def constant(self, step: Step) -> Any: ...

    def function(self, name: str) -> Callable[..., Any] | None: ...


_ALIKE: dict[str, Callable[..., Any]] = {op: getattr(operator, op) for op in ("add", "sub", "mul", "neg")}
_ALIKE |= {"div": operator.truediv, **dict.fromkeys(("name", "cast", "stop"), lambda x: x)}


def read_entries(system: EntrySystem, step: Step, args: list[Any]) -> Any:
    """What a step is in a system of single numbers."""
    alike = _ALIKE.get(step.op)
    if alike is not None:
        return alike(*args)
    own = system.rows.get(step.op)
    if own is not None:
        return own(step, *args)
    match step.op:
        case "constant":
            return system.constant(step)
        case "powi":
            return args[0] ** step.params
        case "pick":
            return pick(step, args, system.zero)
        case "scatter":
            return scatter(step, args[0], system.zero)
        case "matmul":
            return matmul(args[0], args[1])
    function = system.function(step.op)
    if function is None:
        return composed(system, step, args)
    if step.params is not None and step.op not in COMPOSITES:
        return entrywise(lambda x: function(x, step.params), *args)
    return entrywise(function, *args)


# --------------------------------------------------------------------------------------------------------------- balls

_NUMBERS = {
    sp.pi: arb.pi,
    sp.E: arb.const_e,
    sp.EulerGamma: arb.const_euler,
    sp.Catalan: arb.const_catalan,
    sp.GoldenRatio: lambda: (1 + arb(5).sqrt()) / 2,
}


def ball_of(x: Any) -> Any:
    """The ball of a float (its exact binary value), an int, a Fraction, a SymPy number or a complex of floats."""
    if type(x) is float:  # first: what whole arrays hold
        return arb(x)
    if isinstance(x, (complex, np.complexfloating)):
        return acb(arb(float(x.real)), arb(float(x.imag)))
    if isinstance(x, Fraction):
        return arb(fmpq(x.numerator, x.denominator))
    if isinstance(x, sp.Rational):
        return arb(fmpq(int(x.p), int(x.q)))
    if x in _NUMBERS:
        return _NUMBERS[x]()
    if x is sp.I:
        return acb(0, 1)
    if isinstance(x, sp.CRootOf):
        near = sp.Rational(1, 2 ** (ctx.prec + 8))
        real, imaginary = (ball_of(part) + arb(0, ball_of(near)) for part in x.eval_rational(near, near).as_real_imag())
        return real if x.is_real else acb(real, imaginary)
    if isinstance(x, sp.Expr):
        raise TypeError(f"no ball for {x}")
    return arb(float(x))


def binary(value: Any) -> Any:
    """An array of floats as balls of radius zero."""
    array = np.asarray(value)
    return array_of([ball_of(x) for x in array.reshape(-1).tolist()], array.shape)


# Units of rounding of the largest entry, that computing data outside of the formulas may have cost.  How many
# operations that took is not known: a sum of 64 terms errs by no more, and one of 4,096 as a rule by no more either.
DATA_UNITS = 2**6


def rounded_data(c: Constant) -> float:
    """How far the numbers of a constant may be from those that were meant, because floats computed them; 0 where they
    were typed, or are multiples of 1/4096.

    >>> rounded_data(Constant(np.array([0.5, 3.0]))), rounded_data(Constant(np.array([1 / 3, 1.0]))) == 2.0**-47
    (0.0, True)
    """
    values = np.asarray(c.value)
    if values.dtype.kind != "f" or not values.size or not np.isfinite(values).all():
        return 0.0
    wide = values.astype(np.float64)
    if c.exact is not None and (values.size > 1 or c.radius is not None or not _is_binary(c.exact, wide)):
        return 0.0
    if np.array_equal(wide * 4096, np.round(wide * 4096)):
        return 0.0
    return float(DATA_UNITS * np.finfo(values.dtype).eps / 2 * np.abs(wide).max())


def _is_binary(exact: Any, value: np.ndarray) -> bool:
    """Whether a number stands for the float that it is, and for no decimal or closed form."""
    return bool(getattr(exact, "is_Rational", False)) and Fraction(int(exact.p), int(exact.q)) == Fraction(value.item())


# Operations that Arb says in its own way; the rest is the entries' arithmetic.
_ROWS: dict[str, Callable[..., Any]] = {
    "pow": lambda step, a, b: entrywise(_pow, a, b),
    "polygamma": lambda step, a: entrywise(lambda x: _polygamma(x, step.params), a),
    "conj": lambda step, a: entrywise(lambda x: acb(x.real, -x.imag) if isinstance(x, acb) else x, a),
    "real": lambda step, a: entrywise(lambda x: x.real, a),
    "imag": lambda step, a: entrywise(lambda x: x.imag if isinstance(x, acb) else arb(0), a),
    "powi": lambda step, a: entrywise(lambda x: integer_power(x, step.params), a),
    "matmul": lambda step, a, b: np.stack([_array(operator.mul(*_matrices(x, y))) for x, y in zip(a, b, strict=True)]),
    "inverse": lambda step, a: np.stack([_inverse(x) for x in a]),
    "solve": lambda step, a, b: np.stack([_array(_solve(*_matrices(x, y))) for x, y in zip(a, b, strict=True)]),
    "det": lambda step, a: array_of([_matrix(x).det() for x in a], step.shape),
    "logabsdet": lambda step, a: array_of([abs(_matrix(x).det()).log() for x in a], step.shape),
    "cholesky": lambda step, a: np.stack([_cholesky(x) for x in a]),
}


class Balls:
    """The system of real and complex balls.

    With ``typed=True`` a decimal typed with many digits is a ball of half a unit in its last digit; otherwise it is
    the number typed.  With ``rounded=True`` data that may have been computed outside of the formula are balls of what
    that may have cost, see `rounded_data`.
    """

    rows = _ROWS
    alike = _ALIKE

    def __init__(self, *, typed: bool = False, rounded: bool = False) -> None:
        self.typed, self.rounded = typed, rounded
        self.zero = arb(0)

    def read(self, step: Step, args: list[Any]) -> Any:
        if step.op in MATRICES:
            made = [MATRICES[step.op].ball(a, step.params) for a in args[0]]
            return np.stack(made) if made else np.empty(step.shape, dtype=object)
        return read_entries(self, step, args)

    def function(self, name: str) -> Callable[..., Any] | None:
        op = OPS.get(name)
        return None if op is None else op.ball

    def constant(self, step: Step) -> Any:
        c: Constant = step.params
        if self.rounded and (reach := rounded_data(c)):
            return array_of([arb(x, reach) for x in c.value.reshape(-1).tolist()], c.value.shape)
        if c.exact is None:
            return binary(c.value)
        exact = [c.exact] if isinstance(c.exact, sp.Basic) else np.asarray(c.exact, dtype=object).reshape(-1).tolist()
        balls = [ball_of(x) for x in exact]
        if self.typed and c.radius is not None:
            radii = np.asarray(c.radius, dtype=object).reshape(-1).tolist()
            balls = [arb(x, ball_of(r)) if r else x for x, r in zip(balls, radii, strict=True)]
        return array_of(balls, c.value.shape)


def _polygamma(x: Any, order: int) -> Any:
    value = acb(x).polygamma(acb(order))
    return value.real if isinstance(x, arb) else value


def _pow(a: Any, b: Any) -> Any:
    if isinstance(a, arb) and isinstance(b, arb) and not a > 0 and b.is_exact() and b.is_integer():
        n: Any = b.unique_fmpz()
        return integer_power(a, n) if n > 0 else a**n
    return a**b


def integer_power(x: Any, n: int) -> Any:
    """x ** n for a positive n.  Arb gives a ball around zero no power, although all of its numbers have one."""
    power = x**n
    if power.is_finite() or not x.is_finite():
        return power
    power, square, rest = None, x, int(n)
    while rest:
        if rest & 1:
            power = square if power is None else power * square
        rest >>= 1
        square = square * square if rest else square
    return power


def _matrix(a: np.ndarray) -> Any:
    return _matrices(a)[0]


def _matrices(*arrays: np.ndarray) -> list[Any]:
    """Matrices of one kind: complex where one of them is."""
    if any(isinstance(x, acb) for a in arrays for x in a.flat):
        return [acb_mat(a.shape[0], a.shape[1], a.reshape(-1).tolist()) for a in arrays]
    return [arb_mat(a.shape[0], a.shape[1], a.reshape(-1).tolist()) for a in arrays]


def _array(m: Any) -> np.ndarray:
    return array_of(list(m.entries()), (m.nrows(), m.ncols()))


def _inverse(a: np.ndarray) -> np.ndarray:
    """The inverse; without a value where the matrix may be singular."""
    try:
        return _array(_matrix(a).inv())
    except ZeroDivisionError:
        return np.full(a.shape, arb("nan"), dtype=object)


def _solve(a: Any, b: Any) -> Any:
    try:
        return a.solve(b)
    except ZeroDivisionError:
        return arb_mat([[arb("nan")] * b.ncols()] * b.nrows())


def _cholesky(a: np.ndarray) -> np.ndarray:
    n = a.shape[0]
    out = np.full((n, n), arb(0), dtype=object)
    conj = lambda x: x.conjugate() if isinstance(x, acb) else x  # noqa: E731
    sym = [[(a[i, j] + conj(a[j, i])) / 2 for j in range(n)] for i in range(n)]
    for j in range(n):
        for i in range(j, n):
            t = sym[i][j]
            for k in range(j):
                t = t - out[i, k] * conj(out[j, k])
            out[i, j] = t.real.sqrt() if i == j else t / out[j, j]
    return out
