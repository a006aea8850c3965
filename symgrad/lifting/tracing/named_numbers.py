"""Numbers that code reads by a name: a global, a variable around a function, the default of an argument.

A run takes such a number as a constant, so that what is right for its value alone looks right.  Here they are found,
and code is run with other numbers in their places.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from symgrad.lifting.tracing import sources
from symgrad.lifting.tracing.custom_sides import CustomSide
from symgrad.lifting.tracing.functions import Function, Module, Run
from symgrad.lifting.tracing.surroundings import neutral

__all__ = ["WithNumbers", "may_move", "named_numbers"]

_DEEP = 4  # functions that call functions
_KNOWN = (math.pi, math.e, math.sqrt(2), math.log(2), math.log(10), math.sqrt(math.pi), math.pi**2)
_NEAR = 1e-4


def may_move(value: object) -> bool:
    """Whether a number may be another one: no count, no flag, no zero, and no number that everyone knows."""
    if type(value) is not float or not math.isfinite(value) or value == 0:
        return False
    known = (k * f for k in _KNOWN for f in (1, 2, 0.5, 4, 0.25))
    return not any(abs(x - k) <= _NEAR * k for k in known for x in (abs(value), 1 / abs(value)))


def named_numbers(formula: Any) -> dict[str, float]:
    """The floats that the functions in a formula read by name, where all of them read the same under it.

    >>> rate = 0.3
    >>> def power_law(x, power=1.5):
    ...     return rate * x**power
    >>> named_numbers(Function.of(power_law))
    {'power': 1.5, 'rate': 0.3}
    """
    found: dict[str, set[float]] = {}
    for function in _functions_in(formula):
        for name, value in _read(function):
            found.setdefault(name, set()).add(value)
    return {name: values.pop() for name, values in sorted(found.items()) if len(values) == 1}


@dataclasses.dataclass(frozen=True, eq=False)
class WithNumbers:
    """A formula that is run with other numbers under some of the names that its functions read."""

    formula: Any
    numbers: Mapping[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        return self.formula.names

    @property
    def required(self) -> tuple[str, ...]:
        return self.formula.required

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        """Run the formula; afterwards the numbers are as they were."""
        with neutral(), contextlib.ExitStack() as stack:
            for function in _functions_in(self.formula):
                stack.enter_context(_holding(function, self.numbers))
            return self.formula.run(point, dtypes)


def _functions_in(formula: Any) -> Iterator[FunctionType]:
    """The user's functions that a formula runs."""
    match formula:
        case Function():
            yield from _called(formula.function)
        case Module():
            yield from _called(type(formula.module).forward)
        case CustomSide():
            for function in formula.runs.custom.functions:
                yield from _called(function)
        case _ if dataclasses.is_dataclass(formula):
            for field in dataclasses.fields(formula):
                value = getattr(formula, field.name)
                for part in value.values() if isinstance(value, Mapping) else (value,):
                    if hasattr(part, "run"):
                        yield from _functions_in(part)


def _called(function: Any) -> Iterator[FunctionType]:
    """A function, and those of the user that it calls by their names."""
    seen: set[Any] = set()
    stack = [(function, 0)]
    while stack:
        f, deep = stack.pop()
        f = sources.unwrapped(inspect.unwrap(f))
        if f is None or f in seen or not sources.is_users(f.__code__):
            continue
        seen.add(f)
        yield f
        around = {**f.__globals__, **_cells(f)} if deep < _DEEP else {}
        stack += [(around[n], deep + 1) for n in sorted(_names(f.__code__)) if callable(around.get(n))]


def _names(code: CodeType) -> set[str]:
    """The names that code reads from outside, with those of the functions in it."""
    return {n for c in sources.code_objects(code) for n in (*c.co_names, *c.co_freevars)}


def _cells(function: FunctionType) -> dict[str, Any]:
    """The variables around a function that have a value."""
    out = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        with contextlib.suppress(ValueError):  # of a variable that is not bound yet
            out[name] = cell.cell_contents
    return out


def _read(function: FunctionType) -> Iterator[tuple[str, float]]:
    around = {**function.__globals__, **_cells(function)}
    defaults = {n: p.default for n, p in inspect.signature(function).parameters.items()}
    for name, value in {**{n: around[n] for n in _names(function.__code__) if n in around}, **defaults}.items():
        if may_move(value):
            yield name, value


@contextlib.contextmanager
def _holding(function: FunctionType, numbers: Mapping[str, float]) -> Iterator[None]:
    """A block in which a function reads other numbers under some names."""
    read = {n: numbers[n] for n, _ in _read(function) if n in numbers}
    space, free = function.__globals__, function.__code__.co_freevars
    cells = {n: c for n, c in zip(free, function.__closure__ or (), strict=False) if n in read}
    globals_ = {n: space[n] for n in read if n in space and n not in cells}
    held = {n: c.cell_contents for n, c in cells.items()}
    defaults, named = function.__defaults__, function.__kwdefaults__
    arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
    try:
        space.update({n: read[n] for n in globals_})
        for n, cell in cells.items():
            cell.cell_contents = read[n]
        if defaults:
            last = arguments[len(arguments) - len(defaults) :]
            function.__defaults__ = tuple(read.get(n, d) for n, d in zip(last, defaults, strict=True))
        if named:
            function.__kwdefaults__ = {n: read.get(n, d) for n, d in named.items()}
        yield
    finally:
        space.update(globals_)
        for n, cell in cells.items():
            cell.cell_contents = held[n]
        function.__defaults__, function.__kwdefaults__ = defaults, named
