"""Code of the user's that can be looked into while it runs, and run again with its text edited.

`code_of` gives a formula's code, one kind for each kind of formula: functions here, scripts in
`symgrad.diagnosis.script_code`, autograd functions in `symgrad.diagnosis.custom_code`.  The search for a repair and the
rewriting know only what a `Code` can do.
"""

from __future__ import annotations

import ast
import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from symgrad.diagnosis.source_positions import Unit, function_unit, rebuild
from symgrad.errors import SymgradError
from symgrad.lifting.tracing.functions import Function
from symgrad.program.program import Binding, Program

__all__ = ["HOOK", "TRACE", "Code", "Watched", "calling", "code_of", "helpers_of"]

HOOK, TRACE = "__symgrad_look__", "__symgrad_trace__"


@dataclass(frozen=True, eq=False)
class Watched:
    """A run that was looked into: the Program of all that it computed, the derivation's bindings in their order, and
    its outputs.
    """

    program: Program
    bindings: Sequence[Binding]
    outputs: Mapping[str, int]


class Code(Protocol):
    """The text behind a formula, in units that can be edited by themselves."""

    @property
    def units(self) -> Sequence[Unit]: ...

    @property
    def returned(self) -> Sequence[str] | None:
        """The inputs that it returns gradients for, in order; None where that is the order of the question."""
        ...

    def watched(
        self, unit: Unit, text: str, look: Callable[..., Any], point: Mapping[str, Any], dtypes: Mapping[str, str]
    ) -> Watched:
        """Run the code with another text for a unit, in which ``HOOK(k, TRACE, locals())`` calls ``look``.

        Raises `SymgradError` where it cannot be run so.
        """
        ...

    def edited(self, texts: Mapping[Unit, str]) -> tuple[Any, str] | None:
        """The formula with other texts for some units, and the whole text; None where that is no code."""
        ...


@functools.singledispatch
def code_of(formula: Any) -> Code | None:
    """The code behind a formula; None for one that has none (text, SymPy, numbers)."""
    return None


# ------------------------------------------------------------------------------------------------ functions


@dataclass(frozen=True, eq=False)
class FunctionCode:
    """A function, and the helpers that it finds among its globals."""

    function: Function
    units: tuple[Unit, ...]
    returned: tuple[str, ...] | None = None

    def watched(
        self, unit: Unit, text: str, look: Callable[..., Any], point: Mapping[str, Any], dtypes: Mapping[str, str]
    ) -> Watched:
        made = rebuild(unit.function, text, {HOOK: look, TRACE: None})
        if made is None:
            raise SymgradError("the function could not be compiled again.")
        runnable = made if _is_itself(self.function, unit) else calling(_plain(self.function), unit, made)
        if runnable is None:
            raise SymgradError("the line stands in a function that could not be reached.")
        f = self.function
        program = Function(runnable, f.names, f.library, f.stops).run(point, dtypes).program
        return Watched(program, program.bindings, program.outputs)

    def edited(self, texts: Mapping[Unit, str]) -> tuple[Function, str] | None:
        current, written = self.function, []
        for unit in sorted(texts, key=lambda u: _is_itself(self.function, u)):  # helpers first: they are called
            helpers = {u.function.__name__: current.function.__globals__[u.function.__name__] for u in written}
            itself = _is_itself(self.function, unit)
            made = rebuild(unit.function, texts[unit], helpers if itself else None)
            made = made if itself or made is None else calling(_plain(current), unit, made)
            if made is None:
                return None
            current = replace(current, function=made)
            written.append(unit)
        parts = [texts[u] for u in written]
        main = function_unit(self.function.function)
        if main is not None and all(u.first != main.first for u in texts):
            parts.append(main.text)
        return current, "\n\n".join(p.rstrip("\n") + "\n" for p in parts) if len(parts) > 1 else parts[0]


@code_of.register
def _(formula: Function) -> Code | None:
    main = function_unit(formula.function)
    return FunctionCode(formula, (main, *helpers_of(main))) if main is not None else None


def helpers_of(unit: Unit) -> list[Unit]:
    """The functions of the same file that a function finds among its globals."""
    found = []
    for name in sorted({n.id for n in ast.walk(unit.node) if isinstance(n, ast.Name)}):
        helper = unit.function.__globals__.get(name)
        code = getattr(helper, "__code__", None)
        if code is not None and helper is not unit.function and code.co_filename == unit.file:
            made = function_unit(helper)
            found += [made] if made is not None else []
    return found


def _is_itself(function: Function, unit: Unit) -> bool:
    """Whether the unit is the function itself, and not one that it calls."""
    return _plain(function) is unit.function


def _plain(function: Function) -> Any:
    return inspect.unwrap(getattr(function.function, "__func__", function.function))


def calling(target: Any, unit: Unit, made: Any) -> Any:
    """A function with a helper of its globals replaced; None where it does not find the helper there."""
    name = unit.function.__name__
    if not isinstance(target, types.FunctionType) or target.__globals__.get(name) is not unit.function:
        return None
    scope = {**target.__globals__, name: made}
    out = types.FunctionType(target.__code__, scope, target.__name__, target.__defaults__, target.__closure__)
    out.__kwdefaults__ = target.__kwdefaults__
    return out
