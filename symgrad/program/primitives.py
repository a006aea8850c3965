"""A Program in fewer words: every scalar function but some twenty is written out in those.

Residues and proofs read a Program in this form.  What is left is arithmetic, the layouts, linear algebra and the
functions of `FUNCTIONS`; a constant that is a closed formula (`sqrt(10)`) has become steps.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

from symgrad.ops.row import ARGUMENTS
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.expressions import lower
from symgrad.program.piecewise import COMPOSITES
from symgrad.program.program import STRUCTURE, Program, Shape, Step, Strided, System, interpret

# ---------------------------------------------------------------------------------------------------- rows written out
# A row read in a number system that has no entry for it: the row's own exact column, as a small Program.


def written_out(name: str) -> Program:
    """The row's meaning in other rows, as a Program with the inputs X, Y, ..."""
    op = OPS[name]
    return _written_out(name, op.exact if op.written is None else op.written, op.arity)


@functools.cache  # by meaning too: `define` may give a name a new one
def _written_out(name: str, meaning: sp.Expr, arity: int) -> Program:
    b = Builder()
    env: dict[sp.Basic, int] = {s: b.input(s.name, ()) for s in ARGUMENTS[:arity]}
    value = lower(b, meaning, env)
    if any(step.op == name for step in b.steps):
        raise NotImplementedError(f"{name} is written in no other rows")
    return b.build({"value": value})


def composed(system: System, step: Step, args: list[Any], shapes: tuple[tuple[int, ...], ...] = ()) -> Any:
    """The value of a step whose row has no entry of its own in ``system``."""
    if step.op in COMPOSITES:
        program = _composite(step.op, step.params, tuple(args[0].shape))
        return interpret(program, system, {"X": args[0]})[program.output]
    program = written_out(step.op)
    return interpret(program, system, dict(zip("XYZW", args, strict=False)))[program.output]


# ---------------------------------------------------------------------------------------------------------- primitives

FUNCTIONS = frozenset(
    "exp log sqrt sin cos tanh sigmoid abs sign erf erfinv asin atan atan2 lgamma gamma digamma i0 i1".split()
)
_ATOMS = (sp.pi, sp.EulerGamma, sp.Catalan, sp.I)
_KEPT = (FUNCTIONS | STRUCTURE) - {"logabsdet", "pow", "exp", "constant", "input", "cast", "name", "stop"}
_AS_THEY_ARE = _KEPT - {"sqrt", "solve", "inverse", "mul"}


def primitive(program: Program, wanted: Iterable[int], *, stops: bool = False) -> tuple[list[Step], dict[int, int]]:
    """Steps in the primitive vocabulary, and where in them each needed step of ``program`` is.

    ``name``, ``cast`` and ``stop`` are the identity and leave no step; a ``stop`` does where ``stops`` are asked for.
    A power with a constant exponent has become integer powers and roots; what stays a ``pow`` has a general exponent.

    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> steps, place = primitive(b.build({"y": b.apply("softplus", x)}), [1])
    >>> sorted(s.op for s in steps)
    ['add', 'constant', 'exp', 'input', 'log']
    """
    b = Builder()
    place: dict[int, int] = {}
    steps = program.steps
    for i in program.needed(wanted):
        step = steps[i]
        if step.op in _AS_THEY_ARE:
            place[i] = len(b.steps)
            b.steps.append(Step(step.op, tuple([place[a] for a in step.args]), step.params, step.shape, step.dtype))
        elif step.op in ("name", "cast") or (step.op == "stop" and not stops):
            place[i] = place[step.args[0]]
        elif step.op == "stop":
            place[i] = b.emit("stop", (place[step.args[0]],), None, step.shape, step.dtype)
        elif step.op == "input":
            place[i] = b.emit("input", (), step.params, step.shape, step.dtype)
        else:
            place[i] = _write(b, step, [place[a] for a in step.args])
    return b.steps, place


def _write(b: Builder, step: Step, args: list[int]) -> int:
    op = step.op
    if op == "sqrt" and (n := number_of(b.steps, args[0])) is not None and n >= 0 and sp.sqrt(n).is_Rational:
        return b.broadcast(b.number(sp.sqrt(n), step.dtype), step.shape)
    if op == "solve":
        inverse = _write(b, Step("inverse", (), None, b.shape(args[0]), step.dtype), args[:1])
        return b.emit("matmul", (inverse, args[1]), None, step.shape, step.dtype)
    if op == "inverse" and (upright := _upright(b, args[0])) is not None:  # the transpose of the inverse
        inverse = b.emit("inverse", (upright,), None, step.shape, step.dtype)
        n = step.shape[1]
        return b.emit("pick", (inverse,), Strided(0, (n * n, 1, n)), step.shape, step.dtype)
    if op == "mul" and (other := _once(b, step, args)) is not None:
        return other
    if op in _KEPT:
        return b.emit(op, args, step.params, step.shape, step.dtype)
    if op == "constant":
        return _constant(b, step)
    if op == "exp":
        return _exp(b, step, args[0])
    if op == "rsqrt":
        return b.div(b.number(1, step.dtype), _write(b, Step("sqrt", (), None, step.shape, step.dtype), args))
    if op == "pow":
        return _power(b, step, *args)
    if op == "logabsdet":
        det = b.emit("det", args, None, step.shape, step.dtype)
        return b.emit("log", (b.emit("abs", (det,), None, step.shape),), None, step.shape)
    if op in COMPOSITES:
        return _inline(b, _composite(op, step.params, b.shape(args[0])), {"X": args[0]})
    scalar = _scalar(op)
    if scalar is None:
        return b.emit(op, args, step.params, step.shape, step.dtype)
    return _inline(b, scalar, dict(zip("XYZW", args, strict=False)), step.shape, step.dtype)


def _once(b: Builder, step: Step, args: Sequence[int]) -> int | None:
    """What is multiplied by one, as the seed of every derivative is."""
    for a, other in (args, args[::-1]):
        same = b.shape(other) == step.shape and b.dtype(other) == step.dtype
        if same and b.steps[a].op in ("constant", "pick") and number_of(b.steps, a) == 1:
            return other
    return None


def _upright(b: Builder, i: int) -> int | None:
    """The matrices of which step ``i`` is the transpose, where it reads memory column by column; else None."""
    step = b.steps[i]
    if step.op != "pick":
        return None
    if isinstance(step.params, Strided):
        batch, row, column = step.params.strides
        turned: Any = Strided(step.params.offset, (batch, column, row))
        is_turned = 0 < row < column
    else:
        turned = np.ascontiguousarray(step.params.reshape(step.shape).transpose(0, 2, 1)).reshape(-1)
        is_turned = turned.tolist() < step.params.tolist()
    return b.emit("pick", step.args, turned, step.shape, step.dtype) if is_turned else None


@functools.cache
def _composite(name: str, params: Any, shape: Shape) -> Program:
    b = Builder()
    x = b.input("X", shape)
    return b.build({"value": COMPOSITES[name].write(b, x, params)})


@functools.lru_cache(maxsize=1024)
def _scalar(name: str) -> Program | None:
    """The row in other rows; None if it is written in none, or is a choice (which a Program does not hold)."""
    if name not in OPS or OPS[name].branches:
        return None
    try:
        program = written_out(name)
    except NotImplementedError:
        return None
    return None if any(s.op == name for s in program.steps) else program


def _inline(b: Builder, program: Program, given: Mapping[str, int], shape: Shape = (), dtype: str = "float64") -> int:
    """The program's steps on ``b``; a program of scalars is read entry by entry on tensors of ``shape``."""
    place: dict[int, int] = {}
    for i in program.needed([program.output]):
        step = program.steps[i]
        if step.op == "input":
            place[i] = given[step.params]
            continue
        if shape or dtype != "float64":
            constant = step.op == "constant"
            step = Step(step.op, step.args, step.params, () if constant else shape, step.dtype if constant else dtype)
        made = _write(b, step, [place[a] for a in step.args])
        if step.op == "constant" and shape:
            made = b.emit("pick", (made,), Strided(0, (0,) * len(shape)), shape, step.dtype)
        place[i] = made
    return place[program.output]


def _constant(b: Builder, step: Step) -> int:
    exact = step.params.exact
    if isinstance(exact, sp.Expr) and not exact.is_Rational and exact not in _ATOMS:
        if exact is sp.E:
            return b.emit("exp", (b.number(1),), None, ())
        if exact is sp.GoldenRatio:
            exact = (1 + sp.sqrt(5)) / 2
        is_atom = exact.is_NumberSymbol or isinstance(exact, sp.CRootOf)
        if not is_atom and exact.is_finite is not False and exact is not sp.nan:
            return _inline(b, _closed(exact), {})
    return b.emit("constant", (), step.params, step.shape, step.dtype)


@functools.lru_cache(maxsize=256)
def _closed(exact: sp.Expr) -> Program:
    b = Builder()
    return b.build({"value": lower(b, exact, {})})


def _exp(b: Builder, step: Step, a: int, depth: int = 0) -> int:
    """exp(a), where a = u - log(v) up to layouts is written exp(u) / v: the logarithm has no more to say."""
    s = b.steps[a]
    if s.op in ("add", "sub") and depth < 32 and any(_logarithm(b, x) is not None for x in s.args):
        left, right = (_exp(b, step, x, depth + 1) for x in s.args)
        return b.emit("mul" if s.op == "add" else "div", (left, right), None, step.shape, step.dtype)
    inner = _logarithm(b, a)
    return b.emit("exp", (a,), None, step.shape, step.dtype) if inner is None else inner


def _logarithm(b: Builder, a: int) -> int | None:
    """v, if step ``a`` is log(v) or a layout of it."""
    s = b.steps[a]
    if s.op == "log":
        return s.args[0]
    if s.op == "pick" and len(s.args) == 1 and isinstance(s.params, Strided):
        inner = _logarithm(b, s.args[0])
        return None if inner is None else b.emit("pick", (inner,), s.params, s.shape, s.dtype)
    return None


def _power(b: Builder, step: Step, base: int, exponent: int) -> int:
    n = number_of(b.steps, exponent)
    if n is not None and n.q <= 2 and abs(n.p) <= 2**40:
        if n == 0:
            return b.ones(step.shape, step.dtype)
        root = b.emit("sqrt", (base,), None, step.shape, step.dtype) if n.q == 2 else base
        p = abs(int(n.p))
        power = root if p == 1 else b.emit("powi", (root,), p, step.shape, step.dtype)
        return power if n > 0 else b.div(b.number(1, step.dtype), power)
    return b.emit("pow", (base, exponent), None, step.shape, step.dtype)


def number_of(steps: Sequence[Step], i: int) -> Any:
    """The rational number (SymPy's) that every entry of step ``i`` is, if it is made of a constant and layouts only."""
    sign = 1
    while steps[i].op in ("pick", "neg") and len(steps[i].args) == 1:
        if steps[i].op == "neg":
            sign = -sign
        elif not isinstance(steps[i].params, Strided):
            return None
        i = steps[i].args[0]
    if steps[i].op != "constant":
        return None
    c = steps[i].params
    if c.exact is None:
        if c.value.dtype.kind == "c" or not c.value.size or not np.isfinite(c.value).all():
            return None
        first = c.value.flat[0]
        if not (c.value == first).all():
            return None
        return sign * sp.Rational(*float(first).as_integer_ratio())
    exact: Any = c.exact
    if not isinstance(exact, sp.Basic):
        entries = np.asarray(exact, dtype=object).reshape(-1).tolist()
        if not entries or any(x != entries[0] for x in entries) or isinstance(entries[0], complex):
            return None
        exact = sp.Rational(entries[0].numerator, entries[0].denominator)
    return sign * exact if exact.is_Rational else None  # type: ignore[operator]
