"""Scripts and autograd functions as code that can be looked into, edited and run again."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import linecache
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import torch

from symgrad.diagnosis.source_code import (
    HOOK,
    TRACE,
    Code,
    Plain,
    Unit,
    Watched,
    calling,
    code_of,
    function_unit,
    helpers_of,
    rebuild,
    widely,
)
from symgrad.errors import SymgradError
from symgrad.evaluation.floats import wide_tensor
from symgrad.lifting.scripts.plain_runs import derivation_numbers, plain_runs
from symgrad.lifting.scripts.sides import Side
from symgrad.lifting.tracing.autograd_functions import Context, Custom, called_forward
from symgrad.lifting.tracing.custom_sides import CustomSide, Runs
from symgrad.lifting.tracing.leaves import Result, results, seeds
from symgrad.program.program import Binding, kept

# --------------------------------------------------------------------------------------------------------- script code
# A script as code that can be looked into and edited: one unit, all of its text.


@dataclass(frozen=True, eq=False)
class ScriptCode:
    """The derivations of one group, in the text of the whole script."""

    side: Side
    units: tuple[Unit, ...]
    returned: tuple[str, ...] | None = None

    @property
    def bindings(self) -> Sequence[Binding]:
        return self.side.execution.own.trace.builder.bindings

    def watched(
        self, unit: Unit, text: str, look: Callable[..., Any], point: Mapping[str, Any], dtypes: Mapping[str, str]
    ) -> Watched:
        """The script is run with its own values, and another point is only another reading of what it computed, unless
        it goes another way there."""
        execution, k = self.side.execution, self.side.group
        elsewhere = None if execution.goes_own_way(point, k) else point
        return Watched(*execution.variant(text, {HOOK: look}, elsewhere).whole(k))

    def edited(self, texts: Mapping[Unit, str]) -> tuple[Side, str] | None:
        (text,) = texts.values()
        return replace(self.side, execution=self.side.execution.variant(text)), text.lstrip("\n")

    @property
    def lines(self) -> frozenset[int]:
        return _lines_of(self.side.execution, self.side.group)

    def plain(self, texts: Mapping[Unit, str], names: Mapping[str, Any]) -> Plain | None:
        found = _runs_of(self.side.execution, self.side.group)
        if found is None:
            return None
        runs, text = found[0], next(iter(texts.values()), None)
        return lambda point: runs.run(text, names, point)[0]


_runs_of = functools.lru_cache(maxsize=8)(plain_runs)
_lines_of = functools.lru_cache(maxsize=8)(derivation_numbers)


@code_of.register
def _(formula: Side) -> Code | None:
    if formula.side != 1:
        return None
    script = formula.execution.script
    found = _runs_of(formula.execution, formula.group)
    space = script.plain() if found is None else found[1]
    defined = {n: v for n, v in space.items() if callable(v) or isinstance(v, ModuleType)}
    return ScriptCode(formula, (Unit(None, script.pasted.code, script.file, 1, script.pasted.tree, defined),))


# --------------------------------------------------------------------------------------------------------- custom code
# An autograd function as code that can be looked into and edited: forward, backward, jvp, and their helpers.

_PARTS = ("forward", "setup", "backward", "jvp")


@dataclass(frozen=True, eq=False)
class CustomCode:
    """The functions of one ``torch.autograd.Function`` or custom operator."""

    side: CustomSide
    units: tuple[Unit, ...]
    returned: tuple[str, ...]
    bindings: Sequence[Binding] | None = None
    lines: frozenset[int] | None = None

    def watched(
        self, unit: Unit, text: str, look: Callable[..., Any], point: Mapping[str, Any], dtypes: Mapping[str, str]
    ) -> Watched:
        made = rebuild(unit.function, text, {HOOK: look, TRACE: None})
        custom = None if made is None else _with(self.side.runs.custom, unit, made)
        if custom is None:
            raise SymgradError("the line stands in a function that could not be reached.")
        found = self.side.runs.variant(custom).recorded(point)
        steps = kept(found.program, found.results)
        return Watched(found.program, [b for b in found.bindings if b.step in steps], found.results)

    def edited(self, texts: Mapping[Unit, str]) -> tuple[CustomSide, str] | None:
        custom: Custom | None = self.side.runs.custom
        for unit, text in texts.items():
            made = rebuild(unit.function, text)
            custom = None if made is None or custom is None else _with(custom, unit, made)
        if custom is None:
            return None
        return replace(self.side, runs=self.side.runs.variant(custom)), _source(texts)

    def plain(self, texts: Mapping[Unit, str], names: Mapping[str, Any]) -> Plain | None:
        custom: Custom | None = self.side.runs.custom
        for unit, text in texts.items():
            made = rebuild(unit.function, text, names, shown=False)
            custom = None if made is None or custom is None else _with(custom, unit, made)
        runs = self.side.runs
        moves = any(n.startswith("tangent of ") for n in runs.extra)
        if custom is None or (custom.jvp if moves else custom.backward) is None:
            return None
        return widely(functools.partial(_moved_along if moves else _gradients, custom, runs))


def _forward(custom: Custom, runs: Runs, values: Mapping[str, Any]) -> tuple[Context, list[Result | list[Result]]]:
    """Forward, run by hand and without a tracer: what it saved, and its outputs."""
    dtypes = runs.arguments.dtypes
    given = {n: wide_tensor(values[n]) if n in dtypes else values[n] for n in custom.names if n in values}
    ctx = Context(custom.signature.packed(lambda n: n in dtypes))
    out = called_forward(custom, custom.forward, custom.setup, ctx, given)
    return ctx, results(out, custom.backward, custom.is_op)


def _gradients(custom: Custom, runs: Runs, point: Mapping[str, Any]) -> dict[str, Any]:
    """What backward gives at a point, in float64."""
    values = {**runs.arguments.values, **runs.extra, **point}
    ctx, parts = _forward(custom, runs, values)

    def seed(r: Result) -> torch.Tensor | None:
        if not isinstance(r.value, torch.Tensor):
            return None
        return wide_tensor(values[r.cotangent]) if r.cotangent in values else torch.zeros_like(r.value)

    assert custom.backward is not None
    return custom.signature.gradients(custom.backward(ctx, *seeds(parts, seed)), custom.name)


def _moved_along(custom: Custom, runs: Runs, point: Mapping[str, Any]) -> dict[str, Any]:
    """What jvp gives at a point for its first output, in float64."""
    values = {**runs.arguments.values, **runs.extra, **point}
    ctx, _ = _forward(custom, runs, values)
    known = runs.arguments.dtypes
    moves = custom.signature.packed(lambda n: wide_tensor(values[f"tangent of {n}"]) if n in known else None)
    assert custom.jvp is not None
    found = custom.jvp(ctx, *moves)
    return {"jvp": found[0] if isinstance(found, (tuple, list)) else found}


@code_of.register
def _(formula: CustomSide) -> Code | None:
    custom = formula.runs.custom
    found = [function_unit(getattr(custom, part)) for part in reversed(_PARTS) if getattr(custom, part) is not None]
    own = [u for u in found if u is not None]
    units = [*own, *(h for u in own for h in helpers_of(u))]
    return CustomCode(formula, tuple(units), custom.names) if units and formula.side == 1 else None


def _with(custom: Custom, unit: Unit, made: Any) -> Custom | None:
    """The function with one of its parts, or a helper of theirs, replaced; None where nothing calls it."""
    changes: dict[str, Any] = {}
    for part in _PARTS:
        target = inspect.unwrap(getattr(getattr(custom, part), "__func__", getattr(custom, part)))
        new = made if target is unit.function else calling(target, unit, made)
        if new is not None:
            changes[part] = functools.wraps(target)(new) if target is not unit.function else new
    return replace(custom, **changes) if changes else None


def _source(texts: Mapping[Unit, str]) -> str:
    """The whole class with the new texts in it, and the helpers; the texts alone where they stand in no class."""
    outside, (lines, first) = [], next((found for u in texts if (found := _class_around(u))), ([], 0))
    for unit, text in sorted(texts.items(), key=lambda item: -item[0].first):
        start, height = unit.first - first, len(unit.text.splitlines())
        if not 0 <= start < len(lines):
            outside.append(text)
            continue
        margin = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
        lines[start : start + height] = textwrap.indent(text.rstrip("\n") + "\n", margin).splitlines(keepends=True)
    return "\n\n".join(t.rstrip("\n") + "\n" for t in (*outside, textwrap.dedent("".join(lines))) if t)


def _class_around(unit: Unit) -> tuple[list[str], int] | None:
    """The lines of the class that a unit stands in, and the first one's number, as its file has them."""
    lines = linecache.getlines(unit.file, unit.scope)
    with contextlib.suppress(SyntaxError):
        nodes = (n for n in ast.walk(ast.parse("".join(lines))) if isinstance(n, ast.ClassDef))
        around = [n for n in nodes if n.lineno <= unit.first <= (n.end_lineno or 0)]
        if around:
            inner = max(around, key=lambda n: n.lineno)
            first = min([inner.lineno, *(d.lineno for d in inner.decorator_list)])
            return [x if x.endswith("\n") else f"{x}\n" for x in lines[first - 1 : inner.end_lineno]], first
    return None
