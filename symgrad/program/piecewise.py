"""Which branch a formula takes at a point: the steps' values to 200 bits, and choices between branches on a Builder.

Points are exact (each float is the binary number it is), so a tie between two exact numbers is seen as a tie, and
values that agree to 150 bits are taken to be equal.  What was looked at is remembered as a guard.

Tensor operations that floats do in one kernel and every other number system does in several steps.

>>> from symgrad.program.builder import Builder
>>> b = Builder()
>>> x = b.input("x", (3,))
>>> print(b.build({"y": COMPOSITES["logsumexp"].write(b, x, 0)}).listing())
%0 = input() float64[3]
%1 = exp(%0) float64[3]
%2 = scatter(%1) float64[1]
%3 = log(%2) float64[1]
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from symgrad.errors import AmbiguousBranch
from symgrad.ops.matrices import MATRICES
from symgrad.ops.row import ARGUMENTS
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.program import Constant, Program, Step, interpret, positions, size

# ---------------------------------------------------------------------------------------------------------- composites


@dataclass(frozen=True, slots=True)
class Composite:
    """A tensor operation that floats do in one kernel.

    ``write`` says it in other steps (what it means); ``pull`` gives its argument's cotangent from the operation's
    own value, as every autograd does, and is checked against the derivative of ``write``.
    """

    name: str
    write: Callable[[Builder, int, int], int]
    pull: Callable[[Builder, int, int], list[int]]


def _softmax(b: Builder, x: int, axis: int) -> int:
    e = b.apply("exp", x)
    return b.div(e, b.sum(e, axis, keepdims=True))


def _log_softmax(b: Builder, x: int, axis: int) -> int:
    return b.sub(x, b.apply("log", b.sum(b.apply("exp", x), axis, keepdims=True)))


def _logsumexp(b: Builder, x: int, axis: int) -> int:
    return b.apply("log", b.sum(b.apply("exp", x), axis, keepdims=True))


def _pull_softmax(b: Builder, i: int, g: int) -> list[int]:
    value = b.conj(i)
    inner = b.sum(b.mul(g, value), b.steps[i].params, keepdims=True)
    return [b.mul(value, b.sub(g, inner))]


def _pull_log_softmax(b: Builder, i: int, g: int) -> list[int]:
    total = b.sum(g, b.steps[i].params, keepdims=True)
    return [b.sub(g, b.mul(b.conj(b.apply("exp", i)), total))]


def _pull_logsumexp(b: Builder, i: int, g: int) -> list[int]:
    (x,) = b.steps[i].args
    return [b.mul(g, b.conj(b.emit("softmax", (x,), b.steps[i].params, b.shape(x))))]


# What a product of all entries along an axis is, while code is recorded for all sizes: there it is one step.  Its
# derivative by an entry is the product of the others.


def _prod(b: Builder, x: int, axis: int) -> int:
    return functools.reduce(b.mul, _slices(b, x, axis))


def _others(b: Builder, x: int, axis: int) -> int:
    entries = _slices(b, x, axis)
    one = b.ones(b.shape(entries[0]), b.dtype(x))
    before = list(itertools.accumulate(entries[:-1], b.mul, initial=one))
    after = list(itertools.accumulate(entries[:0:-1], b.mul, initial=one))[::-1]
    kept = tuple(np.delete(b.shape(x), axis).tolist())
    parts = [b.reshape(b.mul(p, q), kept) for p, q in zip(before, after, strict=True)]
    return b.stack(parts, axis % len(b.shape(x)))


def _slices(b: Builder, x: int, axis: int) -> list[int]:
    """The entries along an axis, each with an axis of length one in its place."""
    where = np.arange(1, size(b.shape(x)) + 1).reshape(b.shape(x))
    parts = [np.take(where, [k], axis) for k in range(where.shape[axis])]
    return [b.pick([x], part, part.shape) for part in parts]


def _pull_prod(b: Builder, i: int, g: int) -> list[int]:
    (x,) = b.steps[i].args
    return [b.mul(g, b.emit("prod_others", (x,), b.steps[i].params, b.shape(x)))]


def _pull_others(b: Builder, i: int, g: int) -> list[int]:
    (x,) = b.steps[i].args
    axis = b.steps[i].params % len(b.shape(x))
    where = np.arange(1, size(b.shape(x)) + 1).reshape(b.shape(x))
    parts = []
    if b.shape(x)[axis] == 1:
        return [b.zeros(b.shape(x), b.dtype(x))]
    for k in range(b.shape(x)[axis]):
        rest = np.delete(where, k, axis)
        others, weights = (b.pick([a], rest, rest.shape) for a in (x, g))
        product = b.emit("prod_others", (others,), axis, rest.shape)
        parts.append(b.sum(b.mul(weights, product), axis))
    return [b.stack(parts, axis)]


COMPOSITES = {
    c.name: c
    for c in (
        Composite("prod", _prod, _pull_prod),
        Composite("prod_others", _others, _pull_others),
        Composite("softmax", _softmax, _pull_softmax),
        Composite("log_softmax", _log_softmax, _pull_log_softmax),
        Composite("logsumexp", _logsumexp, _pull_logsumexp),
    )
}


# ----------------------------------------------------------------------------------------------------------- piecewise

_BITS = 200
_SAME = mpmath.mpf(2) ** -150
RELATIONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}


def given(value: Any, dtype: str) -> tuple[np.ndarray, str]:
    """A value of an input (a number, an array, a tensor) rounded to ``dtype``, and the input's own dtype."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.resolve_conj().numpy() if value.dtype.is_complex else value.double().numpy()
    array = np.asarray(value)
    if array.dtype == object and any(
        isinstance(x, complex) or getattr(x, "is_real", True) is False for x in array.flat
    ):
        array = array.astype(np.complex128)
    if array.dtype.kind == "c":
        dtype = "complex64" if dtype in ("float32", "complex64") else "complex128"
        return array.astype(dtype), dtype
    array = array.astype(np.float64)
    return array.astype(dtype).astype(np.float64) if dtype in ("float16", "float32") else array, dtype


class ExactPoint:
    """The values of a Builder's steps at the exact values of some of them, to 200 bits, computed when asked for."""

    def __init__(self, builder: Builder, values: Mapping[int, Any]) -> None:
        self.builder = builder
        self.given = dict(values)
        self.values: dict[int, np.ndarray] = {}

    def __getitem__(self, step: int) -> np.ndarray:
        b = self.builder
        self.values |= {i: _exactly(v) for i, v in self.given.items()}
        self.given.clear()
        if step not in self.values:
            program = Program(b.inputs, tuple(b.steps), {})
            with mpmath.workprec(_BITS):
                found = interpret(program, _High(), _Missing(), [step], replaced=self.values)
            self.values |= found
        return self.values[step]

    def compare(self, relation: str, left: int, right: int) -> np.ndarray:
        """The outcome of ``left relation right``, entry by entry."""
        with mpmath.workprec(_BITS):
            signs = _entrywise(_sign_of_difference, self[left], self[right])
        table = {"lt": (-1,), "le": (-1, 0), "gt": (1,), "ge": (0, 1), "eq": (0,), "ne": (-1, 1)}
        return np.isin(signs.astype(np.int64), table[relation])

    def whole(self, name: str, step: int) -> np.ndarray:
        """Each entry rounded down or up to a whole number; what is whole to 150 bits is whole."""
        with mpmath.workprec(_BITS):
            return _entrywise(lambda x: _whole(name, x), self[step]).astype(np.float64)


def _whole(name: str, x: Any) -> Any:
    near = mpmath.nint(x)
    if abs(x - near) <= _SAME * max(1, abs(x)):
        return near
    return mpmath.floor(x) if name == "floor" else mpmath.ceil(x)


class _Missing(dict):
    def __missing__(self, name: str) -> Any:
        raise AmbiguousBranch(
            f"the formula chooses by the value of {name!r}, which is not given.",
            instead="Pass at={...} with a value for each name.",
        )


def _sign_of_difference(a: Any, b: Any) -> int:
    if isinstance(a, mpmath.mpc) or isinstance(b, mpmath.mpc) or mpmath.isnan(a) or mpmath.isnan(b):
        raise AmbiguousBranch(
            f"the formula chooses by comparing {mpmath.nstr(a, 8)} with {mpmath.nstr(b, 8)}, which have no order.",
            instead="Choose a point of the formula's domain.",
        )
    if a == b or abs(a - b) <= _SAME * max(abs(a), abs(b)):
        return 0
    return -1 if a < b else 1


def _exactly(value: Any) -> np.ndarray:
    """Numbers (floats, ints, Fractions, SymPy numbers; one or an array) as an array of mpmath's."""
    with mpmath.workprec(_BITS):
        return _entrywise(_number, np.asarray(value, dtype=object))


def _number(x: Any) -> Any:
    if isinstance(x, sp.Basic):
        return sp.lambdify((), x, "mpmath")() * mpmath.mpf(1)
    if hasattr(x, "numerator") and hasattr(x, "denominator"):
        return mpmath.mpf(int(x.numerator)) / int(x.denominator)
    return mpmath.mpc(x) if isinstance(x, complex) else mpmath.mpf(float(x))


def _entrywise(function: Callable[..., Any], *args: Any) -> np.ndarray:
    out = np.frompyfunc(function, len(args), 1)(*args)
    return out if isinstance(out, np.ndarray) else _boxed(out)


def _boxed(x: Any) -> np.ndarray:
    out = np.empty((), dtype=object)
    out[()] = x
    return out


_UNPRINTED = {  # what SymPy's printer for mpmath leaves as it is
    "airyaiprime": lambda x: mpmath.airyai(x, derivative=1),
    "airybiprime": lambda x: mpmath.airybi(x, derivative=1),
}


@functools.cache
def _row(name: str) -> Callable[..., Any]:
    """A row's exact column in mpmath."""
    if name == "lgamma":
        return lambda x: mpmath.re(mpmath.loggamma(x))
    op = OPS[name]
    return sp.lambdify(ARGUMENTS[: op.arity], op.exact, [_UNPRINTED, "mpmath"])


class _High:
    """The system of 200-bit floats: object arrays of mpmath's numbers."""

    def read(self, step: Step, args: list[np.ndarray]) -> np.ndarray:
        try:
            return self._read(step, args)
        except (ZeroDivisionError, ValueError):  # a pole
            return np.full(step.shape, mpmath.nan, dtype=object)

    def _read(self, step: Step, args: list[np.ndarray]) -> np.ndarray:
        zero = mpmath.mpf(0)
        match step.op:
            case "constant":
                c: Constant = step.params
                return _exactly(c.value if c.exact is None else c.exact)
            case "add" | "sub" | "mul" | "div" | "pow":
                return _entrywise(_ARITHMETIC[step.op], *args)
            case "powi":
                return _entrywise(lambda x: x**step.params, *args)
            case "neg":
                return _entrywise(lambda x: -x, *args)
            case "name" | "cast" | "stop":
                return args[0]
            case "conj" | "real" | "imag":
                return _entrywise({"conj": mpmath.conj, "real": mpmath.re, "imag": mpmath.im}[step.op], *args)
            case "pick":
                entries = np.concatenate([_boxed(zero).reshape(1), *(a.reshape(-1) for a in args)])
                return entries[positions(step.params, step.shape)].reshape(step.shape)
            case "scatter":
                out = np.full(size(step.shape) + 1, zero, dtype=object)
                np.add.at(out, positions(step.params, args[0].shape), args[0].reshape(-1))
                return out[1:].reshape(step.shape)
            case "matmul":
                return np.matmul(args[0], args[1])
            case "polygamma":
                return _entrywise(lambda x: mpmath.psi(step.params, x), *args)
            case "inverse" | "solve" | "det" | "logabsdet" | "cholesky":
                return np.stack([_linear_algebra(step.op, *matrices) for matrices in zip(*args, strict=True)])
        if step.op in MATRICES:
            return np.stack([MATRICES[step.op].high(a, step.params) for a in args[0]])
        if step.op in COMPOSITES:
            b = Builder()
            program = b.build({"value": COMPOSITES[step.op].write(b, b.input("X", args[0].shape), step.params)})
            return interpret(program, self, {"X": args[0]})[program.output]
        return _entrywise(_row(step.op), *args)


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
}


def _linear_algebra(op: str, a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    m = mpmath.matrix(a.tolist())
    match op:
        case "det":
            return _boxed(mpmath.det(m))
        case "logabsdet":
            return _boxed(mpmath.log(abs(mpmath.det(m))))
        case "inverse":
            out = mpmath.inverse(m)
        case "cholesky":
            out = mpmath.cholesky((m + m.H) / 2)
        case _:
            assert b is not None
            out = mpmath.inverse(m) * mpmath.matrix(b.tolist())
    return np.array(out.tolist(), dtype=object)


# ------------------------------------------------------------------------------------------------ choices


Write = Callable[[Any], int]


def decide(b: Builder, condition: Any, write: Write, point: ExactPoint | None) -> np.ndarray:
    """Where a SymPy condition holds; ``write`` gives the step of each side.  Each relation becomes a guard."""
    if condition in (sp.true, sp.false):
        return np.array(bool(condition))
    if isinstance(condition, (sp.And, sp.Or)):
        stop_at = isinstance(condition, sp.Or)
        outcome = np.array(not stop_at)
        for part in condition.args:
            here = decide(b, part, write, point)
            outcome = outcome | here if stop_at else outcome & here
            if np.all(outcome == stop_at):
                break
        return outcome
    if isinstance(condition, sp.Not):
        return ~decide(b, condition.args[0], write, point)
    if isinstance(condition, sp.ITE):  # what a choice inside a comparison becomes
        chosen = decide(b, condition.args[0], write, point)
        ways = zip(condition.args[1:], (chosen, ~chosen), strict=True)
        sides = [decide(b, part, write, point) for part, taken in ways if taken.any()]
        return sides[0] if len(sides) == 1 else np.where(chosen, *sides)
    if not isinstance(condition, sp.core.relational.Relational):
        raise AmbiguousBranch(
            f"the formula chooses by {condition}, which is not a comparison.",
            instead="Write the condition with <, <=, >, >=, Eq, Ne, And, Or and Not.",
        )
    if point is None:
        raise AmbiguousBranch(
            f"the formula chooses by {condition}, and there is no point to choose at.",
            instead="Pass at={...} with a value for each name.",
        )
    left, right = (write(side) for side in condition.args)
    return compare(b, RELATIONS[condition.rel_op], left, right, point)  # type: ignore[attr-defined]


def compare(b: Builder, relation: str, left: int, right: int, point: ExactPoint) -> np.ndarray:
    """The outcome of a comparison, remembered as a guard."""
    shape = np.broadcast_shapes(b.shape(left), b.shape(right))
    left, right = b.broadcast(left, shape), b.broadcast(right, shape)
    outcome = point.compare(relation, left, right)
    b.guard(relation, (left, right), None, outcome)
    return outcome


def choose(
    b: Builder, branches: Sequence[tuple[Callable[[], int], Callable[[], np.ndarray]]], otherwise: Callable[[], int]
) -> int:
    """The value of the first branch whose condition holds, entry by entry.

    A branch is (write its value, decide its condition); only what is taken somewhere is written.
    """
    taken: list[tuple[int, np.ndarray]] = []
    left = np.array(True)
    for value, condition in branches:
        here = left & condition()
        if here.any():
            taken.append((value(), here))
        left = left & ~here
        if not left.any():
            break
    else:
        taken.append((otherwise(), left))
    if len(taken) == 1:
        return taken[0][0]
    shape = np.broadcast_shapes(*(b.shape(i) for i, _ in taken), *(m.shape for _, m in taken))
    n = size(shape)
    index = np.zeros(n, dtype=np.int64)
    for k, (_, mask) in enumerate(taken):
        where = np.broadcast_to(mask, shape).reshape(-1)
        index[where] = np.arange(1, n + 1)[where] + k * n
    return b.pick([b.broadcast(i, shape) for i, _ in taken], index, shape)
