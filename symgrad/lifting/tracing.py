"""Run the user's code for real, while every value carries the step that made it.

A `Tracer` writes one Program while the user's function runs once.  Values are real floats, NumPy arrays (in a
`TracedArray`) and torch tensors; `step_of` finds the step of any of them.  A value that reaches code which symgrad
cannot follow raises `LostValue`; it never becomes a constant.
"""

from __future__ import annotations

import contextlib
import math
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from symgrad.errors import LostValue
from symgrad.lifting import instrument
from symgrad.lifting.numbers import array_meaning, meaning_of
from symgrad.ops.scalars import find
from symgrad.program import Builder, Source

__all__ = ["TracedFloat", "Tracer", "is_number"]


def is_number(x: Any) -> bool:
    """A plain number that is not a bool."""
    return isinstance(x, (int, float, complex, np.number)) and not isinstance(x, bool)


class TracedFloat(float):
    """A Python float that carries its step.

    Arithmetic with plain numbers, and with other traced floats, is recorded; with arrays and tensors it is theirs.
    """

    __slots__ = ("step", "trace")
    step: int
    trace: Tracer
    __array_priority__ = 2000

    def __new__(cls, value: float, step: int, trace: Tracer) -> TracedFloat:
        self = super().__new__(cls, value)
        self.step = step
        self.trace = trace
        return self

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return self.trace.arrays.ufunc(ufunc, method, *inputs, **options)

    @classmethod
    def __torch_function__(cls, func: Any, types_: Any, args: Any = (), kwargs: Any = None) -> Any:
        trace = next(a.trace for a in (*args, *(kwargs or {}).values()) if isinstance(a, TracedFloat))
        return trace.tensors.function(func, args, kwargs or {})

    def __neg__(self) -> TracedFloat:
        return TracedFloat(-float(self), self.trace.at_line().neg(self.step), self.trace)

    def __pos__(self) -> TracedFloat:
        return self

    def __abs__(self) -> TracedFloat:
        return self.trace.scalar_function("abs", self, abs(float(self)))

    def __bool__(self) -> bool:
        return self.trace.compare("ne", self, 0.0)

    def __int__(self) -> int:
        out = int(float(self))
        self.trace.guard("int", [self], None, out)
        return out

    __trunc__ = __int__

    def __round__(self, digits: Any = None) -> Any:
        raise self.trace.lost("round()", "Round after the gradient is computed, not inside the formula.")

    def __eq__(self, other: object) -> Any:
        return self.trace.compare("eq", self, other)

    def __ne__(self, other: object) -> Any:
        return self.trace.compare("ne", self, other)

    def __lt__(self, other: Any) -> Any:
        return self.trace.compare("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return self.trace.compare("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.trace.compare("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return self.trace.compare("ge", self, other)

    __hash__ = float.__hash__

    # what arrays and tensors of no dimensions also offer
    def item(self) -> TracedFloat:
        return self

    def detach(self) -> TracedFloat:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"a float has no attribute {name!r}")


def _arithmetic(name: str, operation: Callable[[Any, Any], Any]) -> None:
    def forward(self: TracedFloat, other: Any) -> Any:
        return self.trace.scalar_arithmetic(name, operation, self, other)

    def backward(self: TracedFloat, other: Any) -> Any:
        return self.trace.scalar_arithmetic(name, operation, other, self)

    word = {"div": "truediv"}.get(name, name)
    setattr(TracedFloat, f"__{word}__", forward)
    setattr(TracedFloat, f"__r{word}__", backward)


_PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}
for _name, _operation in _PLAIN.items():
    _arithmetic(_name, _operation)

_MATH = {
    getattr(math, n): n
    for n in [
        "exp",
        "log",
        "tanh",
        "sin",
        "cos",
        "sqrt",
        "tan",
        "sinh",
        "cosh",
        "erf",
        "erfc",
        "atan",
        "asin",
        "acos",
        "acosh",
        "asinh",
        "atanh",
        "log1p",
        "expm1",
        "log2",
        "log10",
        "lgamma",
        "gamma",
        "radians",
        "degrees",
        "exp2",
        "cbrt",
        "fabs",
    ]
    if hasattr(math, n)
}
_MATH_PAIRS = {math.pow: "pow", math.atan2: "atan2"}
_PI_PARTS = {math.pi * q: q for q in (0.25, 0.5, 1.0, 2.0, 4.0)}


class Tracer:
    """Writes one Program while the user's code runs.

    ``library`` is the kind of values the code works with: "torch", "numpy" or "math".  ``stops`` says whether
    ``detach`` and ``no_grad`` cut (they do in a model; in a hand derivation they are only bookkeeping).
    """

    def __init__(self, library: str, *, stops: bool = True) -> None:
        from symgrad.lifting.numpy_arrays import Arrays
        from symgrad.lifting.torch_tensors import Tensors

        self.builder = Builder()
        self.library = library
        self.stops = stops
        self.arrays = Arrays(self)
        self.tensors = Tensors(self)
        self._codes: set[types.CodeType] = set()
        self._made: dict[Any, Any] = {}
        self._constants: dict[tuple[str, str], int] = {}

    # ------------------------------------------------------------------------------------ where we are
    def at_line(self) -> Builder:
        """The builder, with its source set to the user's line that is running."""
        frame = sys._getframe(1)
        while frame is not None and frame.f_code not in self._codes:
            frame = frame.f_back  # type: ignore[assignment]
        if frame is not None:
            file, line = frame.f_code.co_filename, frame.f_lineno
            known = self.builder.source
            if known is None or known.line != line or known.file != file:
                self.builder.source = Source(instrument.line_of(file, line), file, line)
        return self.builder

    def where(self) -> str | None:
        source = self.at_line().source
        return f"    {source.file}:{source.line}    {source.text}" if source is not None else None

    def lost(self, what: str, instead: str | None = None) -> LostValue:
        """The error for a value that would leave the recorded computation."""
        return LostValue(
            f"{what} would turn a value that depends on the inputs into a plain number, and its derivative would be lost.",
            where=self.where(),
            instead=instead,
        )

    # ------------------------------------------------------------------------------------ values and steps
    def step_of(self, x: Any, dtype: str | None = None) -> int:
        """The step that holds a value; constants get one on the way.  ``dtype`` is for plain numbers."""
        if isinstance(x, TracedFloat):
            return x.step
        if self.arrays.is_traced(x):
            return self.arrays.step(x)
        if isinstance(x, torch.Tensor):
            return self.tensors.step(x)
        if isinstance(x, (list, tuple)):
            return self.builder.stack([self.step_of(i, dtype) for i in x])
        if isinstance(x, (bool, np.bool_)):
            return self.number(float(x), dtype or "float64")
        if is_number(x) and np.ndim(x) == 0:
            return self.number(x, dtype or (str(x.dtype) if isinstance(x, np.floating) else "float64"))
        array = np.asarray(x)
        if array.dtype.kind not in "fciub":
            raise self.lost(f"a value of type {type(x).__name__}")
        return self.data(array)

    def number(self, x: Any, dtype: str) -> int:
        """The step of a plain number, with what it stands for; the same number is the same step."""
        if isinstance(x, complex):
            return self.builder.constant(x, dtype if dtype.startswith("complex") else "complex128")
        value = float(x)
        key = (value.hex() if value == value else "nan", dtype)
        if key not in self._constants:
            if value in _PI_PARTS:
                import sympy as sp

                exact, radius = sp.Rational(_PI_PARTS[value]) * sp.pi, None
                if _PI_PARTS[value] != 1.0:
                    b = self.builder
                    times = b.number(sp.Rational(_PI_PARTS[value]), dtype)
                    self._constants[key] = b.mul(times, b.number(sp.pi, dtype))
                    return self._constants[key]
            elif isinstance(x, np.float32):
                exact, radius = meaning_of(float(str(x)))
            else:
                exact, radius = meaning_of(value)
            if not exact.is_Rational and not exact.is_NumberSymbol and exact.is_finite:
                from symgrad.lifting.expressions import lower

                self._constants[key] = lower(self.builder, exact, {}, dtype=dtype)
            else:
                self._constants[key] = self.builder.constant(
                    value, dtype, exact=exact if exact.is_finite else None, radius=radius
                )
        return self._constants[key]

    def data(self, array: np.ndarray, dtype: str | None = None) -> int:
        """The step of an array that does not depend on the inputs."""
        kind = array.dtype.kind
        if kind in "iub":
            array = array.astype(np.float64)
        return self.builder.constant(array, dtype or str(array.dtype), exact=array_meaning(array))

    def value_of(self, x: Any) -> Any:
        """The plain value: floats, NumPy arrays."""
        if isinstance(x, TracedFloat):
            return float(x)
        if self.arrays.is_traced(x):
            return x.value
        if isinstance(x, torch.Tensor):
            return self.tensors.value(x)
        if isinstance(x, (list, tuple)):
            return type(x)(self.value_of(i) for i in x)
        return x

    def is_traced(self, x: Any) -> bool:
        if isinstance(x, (list, tuple)):
            return any(self.is_traced(i) for i in x)
        if isinstance(x, torch.Tensor):
            return self.tensors.is_known(x)
        return isinstance(x, TracedFloat) or self.arrays.is_traced(x)

    def guard(self, op: str, args: list[Any], params: Any, outcome: Any) -> None:
        """Remember that the code looked at a value."""
        b = self.at_line()
        b.guard(op, [self.step_of(a) for a in args], params, outcome)

    # ------------------------------------------------------------------------------------ scalars
    def compare(self, op: str, a: Any, b: Any) -> Any:
        if isinstance(b, torch.Tensor) or self.arrays.is_traced(b) or isinstance(b, np.ndarray):
            return NotImplemented
        x, y = float(a), self.value_of(b)
        outcome = (
            {"eq": x == y, "ne": x != y, "lt": x < y, "le": x <= y, "gt": x > y, "ge": x >= y}[op]
            if (is_number(y))
            else {"eq": False, "ne": True}[op]
        )
        if is_number(y):
            self.guard(op, [a, b], None, outcome)
        return outcome

    def scalar_arithmetic(self, name: str, operation: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
        for side in (a, b):
            if not is_number(side):
                return NotImplemented
        if isinstance(a, np.generic) or isinstance(b, np.generic):
            return self.arrays.arithmetic(name, a, b)
        value = operation(float(a), float(b))
        if isinstance(value, complex):
            raise self.lost(f"{float(a)!r} ** {float(b)!r}, which is complex,")
        builder = self.at_line()
        steps = self.step_of(a), self.step_of(b)
        made = builder.power(*steps) if name == "pow" else builder.binary(name, *steps)
        return TracedFloat(value, made, self)

    def scalar_function(self, row: str, x: Any, value: float) -> TracedFloat:
        b = self.at_line()
        step = self.step_of(x)
        if row == "abs":
            b.guard("ge", [step, self.number(0.0, "float64")], None, float(x) >= 0)
        return TracedFloat(value, b.apply(row, step), self)

    # ------------------------------------------------------------------------------------ what instrumented code calls
    def binary(self, name: str, a: Any, b: Any) -> Any:
        """Arithmetic in instrumented code; between plain numbers, an inexact result keeps its exact meaning."""
        value = _PLAIN[name](a, b)
        if type(value) is float and type(a) in (int, float) and type(b) in (int, float) and math.isfinite(value):
            if name in ("div", "pow") or not (float(a).is_integer() and float(b).is_integer()):
                builder = self.at_line()
                steps = self.step_of(a), self.step_of(b)
                made = builder.power(*steps) if name == "pow" else builder.binary(name, *steps)
                return TracedFloat(value, made, self)
        return value

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        """A call in instrumented code."""
        try:
            row = _MATH.get(function)
            pair = _MATH_PAIRS.get(function)
        except TypeError:
            row = pair = None
        if row is not None and len(args) == 1:
            return self._math(row, function, args[0])
        if pair is not None and len(args) == 2:
            if pair == "pow":
                return self.binary("pow", *args)
            if self.is_traced(list(args)):
                steps = [self.step_of(a) for a in args]
                value = function(*(float(self.value_of(a)) for a in args))
                return TracedFloat(value, self.at_line().apply(pair, *steps), self)
        if function is float and len(args) == 1 and self.is_traced(args[0]):
            x = args[0]
            return x if isinstance(x, TracedFloat) else x.item()
        if function is math.fsum and self.is_traced(list(args[0])):
            return sum(args[0][1:], args[0][0])
        handled = self.arrays.call(function, args, options)
        if handled is not NotImplemented:
            return handled
        made = self._instrumented(function)
        out = (made or function)(*args, **options)
        return self.arrays.adopt(out)

    def _math(self, row: str, function: Any, x: Any) -> Any:
        row = find(row) or row
        if isinstance(x, TracedFloat) or type(x) in (int, float):
            value = function(float(x))
            if type(x) in (int, float) and (value == int(value) if math.isfinite(value) else True):
                return value
            return self.scalar_function(row, x, value)
        if isinstance(x, torch.Tensor):
            return self._math(row, function, x.item())
        if self.arrays.is_traced(x):
            return self.scalar_function(row, x.item(), function(float(x.value)))
        return function(x)

    def _instrumented(self, function: Any) -> Any:
        if isinstance(function, type) or not isinstance(function, (types.FunctionType, types.MethodType)):
            return None
        target = getattr(function, "__func__", function)
        if target.__code__ in self._codes:
            return None
        if target not in self._made:
            made = instrument.instrument(target, self) if instrument.is_users(target) else None
            if made is not None:
                self._codes.update(instrument.code_objects(made.__code__))
            self._made[target] = made
        made = self._made[target]
        if made is not None and isinstance(function, types.MethodType):
            return types.MethodType(made, function.__self__)
        return made

    def instrumented(self, function: Any) -> Any:
        """The user's function ready to run under this tracer; without source, with its math functions replaced."""
        made = self._instrumented(function)
        return made if made is not None else self._hooked(function)

    def _hooked(self, function: Any) -> Any:
        """A function whose source is not found: the math functions it refers to are replaced, its names are lost."""
        target = getattr(function, "__func__", function)
        if not isinstance(target, types.FunctionType) or not instrument.is_users(target):
            return function
        hooks = types.SimpleNamespace(
            **{n: self._hook(f) for n, f in vars(math).items() if not n.startswith("_") and callable(f)},
            pi=math.pi,
            e=math.e,
            inf=math.inf,
            nan=math.nan,
            tau=math.tau,
        )

        def swap(x: Any) -> Any:
            if x is math:
                return hooks
            return self._hook(x) if isinstance(x, types.BuiltinFunctionType) and x in _MATH else x

        scope = {k: swap(v) for k, v in target.__globals__.items()}
        cells = tuple(types.CellType(swap(c.cell_contents)) for c in target.__closure__ or ())
        made = types.FunctionType(target.__code__, scope, target.__name__, target.__defaults__, cells)
        made.__kwdefaults__ = target.__kwdefaults__
        return types.MethodType(made, function.__self__) if isinstance(function, types.MethodType) else made

    def _hook(self, function: Any) -> Any:
        return lambda *args, **options: self.call(function, *args, **options)

    def bind(self, name: str, value: Any) -> Any:
        """``name = value`` in instrumented code: a step of its own, so that every later use goes through it."""
        if isinstance(value, TracedFloat):
            return TracedFloat(float(value), self.at_line().name(value.step, name), self)
        if self.arrays.is_traced(value):
            return self.arrays.bound(value, name)
        if isinstance(value, torch.Tensor):
            return self.tensors.bound(value, name)
        if isinstance(value, np.ndarray) and value.dtype.kind in "fc":
            return self.arrays.bound(self.arrays.adopt(value), name)
        if type(value) in (int, float) and self.library == "math" and not self.stops:
            # a plain number in a derivation, such as dy2 = 1, is one of its steps
            return (
                TracedFloat(float(value), self.at_line().name(self.step_of(value), name), self)
                if (type(value) is float or name.startswith("d"))
                else value
            )
        return value

    # ------------------------------------------------------------------------------------ running
    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The block in which the user's code runs: torch's modes on, its fused kernels off."""
        mkldnn = torch.backends.mkldnn.enabled  # type: ignore[attr-defined]
        torch.backends.mkldnn.set_flags(False)  # type: ignore[attr-defined]
        try:
            with np.errstate(all="ignore"), self.tensors.modes():
                yield
        finally:
            torch.backends.mkldnn.set_flags(mkldnn)  # type: ignore[attr-defined]
