"""Calls of plain numbers that no protocol shows: the math module and the builtins, each as steps."""

from __future__ import annotations

import functools
import math
import operator
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from symgrad.lifting.tracing.looked_values import (
    LookedArray,
    Whole,
    Written,
    joined,
    looks_in,
    looks_of_length,
    plainly,
    remembering,
)
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.lifting.tracing.sources import is_users, unwrapped
from symgrad.lifting.tracing.traced_values import TracedArray, TracedFloat
from symgrad.ops.scalars import find
from symgrad.program.written_choices import is_written

UFUNC = {
    **{"add": "add", "sub": "subtract", "mul": "multiply", "div": "true_divide", "pow": "power"},
    **{"mod": "remainder", "floordiv": "floor_divide"},
}
CALLS: dict[Any, Callable[..., Any]] = {}

_ROWS = (
    "exp exp2 expm1 log log1p log2 log10 sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "erf erfc gamma lgamma fabs radians degrees"
)


def _entry(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(rule: Callable[..., Any]) -> Callable[..., Any]:
        CALLS.update(dict.fromkeys(functions, rule))
        return rule

    return enter


_SIDES = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
# where math raises: the side of each number that the argument has to be on
_EDGES: dict[str, tuple[tuple[str, float], ...]] = {"sqrt": (("ge", 0.0),), "log1p": (("gt", -1.0),)}
_EDGES |= {"acosh": (("ge", 1.0),), "atanh": (("gt", -1.0), ("lt", 1.0))}
_EDGES |= dict.fromkeys(("log", "log2", "log10"), (("gt", 0.0),))
_EDGES |= dict.fromkeys(("asin", "acos"), (("ge", -1.0), ("le", 1.0)))


def _scalar(t: Recorder, x: Any) -> Any:
    """A traced array or tensor of one entry as the float that math makes of it; what was made of looks likewise."""
    x = _counted(t, x)
    return x.real_number() if type(x) is Whole else x


def _counted(t: Recorder, x: Any) -> Any:
    return x.item() if type(x) is TracedArray or isinstance(x, (torch.Tensor, LookedArray)) else x


def _is_met(t: Recorder, x: Any) -> bool:
    """Whether something is a value, or was made of looks at values."""
    return t.is_traced(x) or bool(looks_in(x)) or (isinstance(x, torch.Tensor) and bool(t.tensors.looks_of(x)))


# ------------------------------------------------------------------------------------------------ math


@_entry(*(getattr(math, n) for n in _ROWS.split() if hasattr(math, n)))
def _row(t: Recorder, function: Any, x: Any, *base: Any) -> Any:
    row = find(function.__name__) or function.__name__
    x = _scalar(t, x)
    if base:
        return t.binary("div", _row(t, function, x), _row(t, function, _scalar(t, base[0])))
    if type(x) is TracedFloat:
        for op, edge in _EDGES.get(row, ()):
            inside = _SIDES[op](x.value, edge)
            t.may_raise(op, [x, edge], inside, raises=not inside)
        return t.scalar_function(row, x, function(x.value))
    value = function(x)
    if type(x) in (int, float):
        t.exactly(value, lambda: t.builder.apply(row, t.step_of(x)))
    return value


@_entry(*(getattr(np, n) for n in f"{_ROWS} arcsin arccos arctan arcsinh arccosh arctanh".split() if hasattr(np, n)))
def _numpy_row(t: Recorder, function: Any, x: Any, *args: Any, **options: Any) -> Any:
    if type(x) not in (int, float, np.float64) or args or options:
        return NotImplemented
    value = function(x)
    row = find(function.__name__)
    if row is not None:
        t.exactly(value, lambda: t.builder.apply(row, t.step_of(x)))
    return value


@_entry(np.empty)
def _empty(t: Recorder, function: Any, *args: Any, **options: Any) -> Any:
    """Memory that is not filled holds nothing: not what happens to lie there."""
    out = function(*args, **options)
    if out.dtype.kind in "fc":
        out.fill(np.nan)
    return t.arrays.adopt(out)


@_entry(max, min)
def _extreme(t: Recorder, function: Any, *args: Any, **options: Any) -> Any:
    """A choice between two numbers, where choices are written as arithmetic."""
    if not is_written("gt") or len(args) != 2 or options or not t.is_traced(list(args)):
        return NotImplemented
    return t.branches.extreme(function, *args)


@_entry(math.pow)
def _pow(t: Recorder, function: Any, x: Any, y: Any) -> Any:
    return t.binary("pow", *(float(v) if type(v) is int else _scalar(t, v) for v in (x, y)))


@_entry(math.atan2, math.copysign, math.fmod, math.remainder, math.isclose)
def _pair(t: Recorder, function: Any, x: Any, y: Any, **options: Any) -> Any:
    x, y = _scalar(t, x), _scalar(t, y)
    if not t.is_traced([x, y]):
        return function(x, y, **options)
    b, name = t.at_line(), function.__name__
    a, c = t.value_of(x), t.value_of(y)
    value = function(a, c, **options)
    steps = [t.step_of(x), t.step_of(y)]
    match name:
        case "atan2":
            made = b.apply("atan2", *steps)
        case "isclose":
            t.guard("isclose", [x, y], None, value)
            return value
        case "copysign":
            made = b.mul(steps[0], t.piecewise("sign", steps, math.copysign(1, a) * math.copysign(1, c), "float64"))
        case _:
            whole, op = (math.trunc(a / c), "trunc") if name == "fmod" else (round((a - value) / c), "round")
            k = t.piecewise(op, [b.div(*steps)], float(whole), "float64")
            made = b.sub(steps[0], b.mul(steps[1], k))
    return TracedFloat(value, made, t)


@_entry(math.ldexp)
def _ldexp(t: Recorder, function: Any, x: Any, n: Any) -> Any:
    return t.binary("mul", _scalar(t, x), t.binary("pow", 2.0, _scalar(t, n)))


@_entry(math.hypot)
def _hypot(t: Recorder, function: Any, *xs: Any) -> Any:
    xs = tuple(_scalar(t, x) for x in xs)
    if not t.is_traced(xs):
        return function(*xs)
    b = t.at_line()
    steps = [t.step_of(x) for x in xs]
    if len(xs) == 2:
        made = b.apply("hypot", *steps)
    else:
        made = b.apply("sqrt", functools.reduce(b.add, [b.integer_power(s, 2) for s in steps]))
    return TracedFloat(math.hypot(*t.value_of(xs)), made, t)


@_entry(math.dist)
def _dist(t: Recorder, function: Any, p: Any, q: Any) -> Any:
    return _hypot(t, math.hypot, *(a - b for a, b in zip(p, q, strict=True)))


@_entry(math.fsum, math.prod)
def _folded(t: Recorder, function: Any, xs: Any, *, start: Any = 1) -> Any:
    xs = [_scalar(t, x) for x in xs]
    if not t.is_traced(xs):
        return function(xs) if function is math.fsum else function(xs, start=start)
    if function is math.fsum:
        return functools.reduce(lambda a, b: a + b, xs)
    return functools.reduce(lambda a, b: a * b, xs, start)


if hasattr(math, "sumprod"):

    @_entry(math.sumprod)  # type: ignore[attr-defined]
    def _sumprod(t: Recorder, function: Any, p: Any, q: Any) -> Any:
        return sum(a * b for a, b in zip(p, q, strict=True))


@_entry(math.isnan, math.isfinite, math.isinf)
def _look(t: Recorder, function: Any, x: Any) -> Any:
    x = _scalar(t, x)
    if type(x) is TracedFloat:
        t.guard(function.__name__, [x], None, function(x.value))
        return function(x.value)
    return function(x)


@_entry(math.modf)
def _modf(t: Recorder, function: Any, x: Any) -> Any:
    x = _scalar(t, x)
    if type(x) is not TracedFloat:
        return function(x)
    whole = float(math.trunc(x))
    return t.scalar_arithmetic("sub", operator.sub, x, whole), whole


# ------------------------------------------------------------------------------------------------ builtins


_OF_INTEGERS = (math.isqrt, math.gcd, math.lcm, math.comb, math.perm, math.factorial, bin, oct, hex, chr, ord)


@_entry(*_OF_INTEGERS)
def _of_integers(t: Recorder, function: Any, *xs: Any) -> Any:
    """What a function of integers alone makes remembers what these were made of."""
    looks = joined(map(looks_in, xs))
    return remembering(function(*map(plainly, xs)), t, looks) if looks else NotImplemented


@_entry(float)
def _float(t: Recorder, function: Any, x: Any = 0.0) -> Any:
    if type(x) is Written:
        value = float(plainly(x))  # where it is read back as it was, it is lost what it was computed from
        return TracedFloat(value, t.constant_of(value, () if value in t.read_back.values() else x.looks), t)
    return _scalar(t, x) if _is_met(t, x) else function(x)


@_entry(bool)
def _bool(t: Recorder, function: Any, x: Any = False) -> Any:
    return bool(_counted(t, x)) if _is_met(t, x) else NotImplemented


@_entry(int)
def _int(t: Recorder, function: Any, x: Any = 0, *base: Any) -> Any:
    if type(x) is Written:
        return Whole(int(plainly(x), *base), t, x.looks)
    if not _is_met(t, x):
        if type(x) is str:  # a number that the code names, as those that it writes
            t.numbers.add(function(x, *base))
        return NotImplemented
    x = _counted(t, x)
    return x.__trunc__() if type(x) is TracedFloat else x if type(x) is Whole else int(x)


@_entry(math.floor, math.ceil, math.trunc, round)
def _to_whole(t: Recorder, function: Any, x: Any, *digits: Any) -> Any:
    if digits and digits[0] is not None:
        return _of_integers(t, function, x, *digits) if type(x) is Whole else NotImplemented
    x = _counted(t, x) if _is_met(t, x) else x
    return x if type(x) is Whole else function(x)


@_entry(len)
def _length(t: Recorder, function: Any, x: Any) -> Any:
    looks = x.looks if type(x) is Written else looks_of_length(x) or t.tensors.length_of(x)
    return Whole(function(x), t, looks) if looks else function(x)


@_entry(complex)
def _complex(t: Recorder, function: Any, *xs: Any) -> Any:
    if t.is_traced(xs):
        raise t.lost("complex()", "Use torch.complex.")
    return function(*xs)


@_entry(pow)
def _builtin_pow(t: Recorder, function: Any, x: Any, y: Any, *modulus: Any) -> Any:
    if modulus:
        out = _of_integers(t, function, x, y, *modulus)
        return function(x, y, *modulus) if out is NotImplemented else out
    return t.binary("pow", x, y)


@_entry(torch.from_numpy)
def _from_numpy(t: Recorder, function: Any, x: Any) -> Any:
    return t.tensors.from_array(x) if type(x) is TracedArray else function(x)


# ------------------------------------------------------------------------------------------------ without source


class _Proxy:
    """A module whose functions are called through the tracer."""

    def __init__(self, t: Recorder, module: types.ModuleType) -> None:
        self._t = t
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return hook(self._t, found) if callable(found) and not isinstance(found, type) else found


def hook(t: Recorder, function: Any) -> Any:
    """A builtin of the table, called through the tracer; anything else as it is."""
    try:
        known = function in CALLS or function in (np.array, np.asarray, np.zeros, np.ones, np.empty, np.full)
    except TypeError:
        return function
    return functools.wraps(function)(functools.partial(t.call, function)) if known else function


def hooked(t: Recorder, target: types.FunctionType) -> types.FunctionType:
    """A function whose source is not found: the functions that it refers to are called through the tracer, its names
    are lost."""

    def swap(x: Any) -> Any:
        if x is math or x is np:
            return _Proxy(t, x)
        inner = unwrapped(x)
        if inner is not None and is_users(inner.__code__):
            return functools.wraps(x)(functools.partial(t.call, x))
        return x if isinstance(x, type) else hook(t, x)

    named = {*target.__code__.co_names}
    scope = {k: swap(v) if k in named else v for k, v in target.__globals__.items()}
    scope |= {
        n: functools.partial(t.call, f) for n, f in (("float", float), ("int", int)) if n in named and n not in scope
    }
    cells = []
    for cell in target.__closure__ or ():
        try:
            cells.append(types.CellType(swap(cell.cell_contents)))
        except ValueError:  # a variable that is not assigned yet
            cells.append(cell)
    code = target.__code__.replace(co_name=target.__code__.co_name)  # of its own, so that its places are its own
    made = types.FunctionType(code, scope, target.__name__, target.__defaults__, tuple(cells))
    made.__kwdefaults__ = target.__kwdefaults__
    return made
