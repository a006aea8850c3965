"""Runs of an autograd function as two formulas, and its code, which can be looked into and edited."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from symgrad.checking.judge import Problem
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
)
from symgrad.errors import SymgradError
from symgrad.lifting.tracing.autograd_functions import Context, Custom
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.domain import Where
from symgrad.problem.sampling import Bounds, Inputs
from symgrad.program.program import Binding, Program, kept, sliced

__all__ = ["Recorded", "Runs", "Setting"]

_PARTS = ("forward", "setup", "backward", "jvp")


@dataclass(eq=False)
class Setting:
    """A function with the arguments that it is judged at."""

    custom: Custom
    values: dict[str, Any]
    dtypes: dict[str, str]
    given: frozenset[str]
    bounds: Mapping[str, Bounds]
    points: int
    effort: float
    seed: int
    conditions: tuple[Where, ...] = ()

    def problem(self, runs: Runs, extra: Mapping[str, np.ndarray], wrt: Sequence[str], order: int) -> Problem:
        """The arguments and the cotangents (or tangents) as inputs; the two sides of ``runs`` as formulas."""
        runs.extra = dict(extra)
        point = {n: v for n, v in self.values.items() if n in self.dtypes} | runs.extra
        first = runs.at(point)
        dtypes = {
            n: program.steps[i].dtype
            for program in (first[0].program, first[1].program)
            for n, i in program.inputs.items()
        }
        point = {n: point[n] for n in dtypes}
        given = self.given & frozenset(dtypes)
        inputs = Inputs(point, tuple(dtypes), given, self.bounds, conditions=self.conditions)
        sides = [CustomSide(runs, k, tuple(dtypes)) for k in (0, 1)]
        budgets = {"points": self.points, "seed": self.seed, "effort": self.effort}
        return Problem(sides[0], sides[1], inputs, dtypes, tuple(wrt), order, first=first, **budgets)


@dataclass(frozen=True, eq=False)
class Recorded:
    """One run: the whole trace, the step of the scalar that is differentiated, and those of the hand side's results,
    with their values.  ``bindings`` are the lines of the derivation, ``inputs`` those that the model always has.
    """

    program: Program
    total: int
    results: Mapping[str, int]
    values: Mapping[str, np.ndarray]
    bindings: tuple[Binding, ...] = ()
    inputs: tuple[str, ...] = ()

    def sides(self) -> tuple[Run, Run]:
        """The model, and the hand formula."""
        always = {f"keep:{n}": self.program.inputs[n] for n in self.inputs if n in self.program.inputs}
        model = sliced(self.program, {"output": self.total, **always})
        model = model.with_outputs({"output": model.outputs["output"]})
        hand = sliced(replace(self.program, bindings=self.bindings), self.results)
        return Run(model, {"output": np.asarray(np.nan)}), Run(hand, {n: self.values[n] for n in self.results})


class Runs:
    """Runs of a function at points, each as a model and a hand formula; the last one is kept.

    ``recorded`` runs a setting at a point; ``needs`` are the arguments whose gradients are asked for, None for all.
    """

    def __init__(self, setting: Setting, recorded: Callable[[Setting, Mapping[str, Any]], Recorded]) -> None:
        self.setting, self.recorded = setting, recorded
        self.extra: dict[str, Any] = {}  # cotangents or tangents, also those that nothing depends on
        self._last: tuple[dict[str, Any], tuple[Run, Run]] | None = None

    def at(self, point: Mapping[str, Any]) -> tuple[Run, Run]:
        if self._last is not None and all(
            np.array_equal(v, self._last[0][n], equal_nan=True) for n, v in point.items()
        ):
            return self._last[1]
        whole = {**self.setting.values, **self.extra, **point}
        out = self.recorded(self.setting, whole).sides()
        self._last = whole, out
        return out

    def variant(self, custom: Custom) -> Runs:
        """The same runs of another version of the function."""
        made = Runs(replace(self.setting, custom=custom), self.recorded)
        made.extra = self.extra
        return made


@dataclass(frozen=True, eq=False)
class CustomSide:
    runs: Runs
    side: int
    names: tuple[str, ...]
    library: str = "function"

    @property
    def required(self) -> tuple[str, ...]:
        return self.names

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return self.runs.at(point)[self.side]


# ------------------------------------------------------------------------------------------------ its code


@dataclass(frozen=True, eq=False)
class CustomCode:
    """The functions of one ``torch.autograd.Function`` or custom operator."""

    side: CustomSide
    units: tuple[Unit, ...]
    returned: tuple[str, ...]

    def watched(
        self, unit: Unit, text: str, look: Callable[..., Any], point: Mapping[str, Any], dtypes: Mapping[str, str]
    ) -> Watched:
        made = rebuild(unit.function, text, {HOOK: look, TRACE: None})
        custom = None if made is None else _with(self.side.runs.setting.custom, unit, made)
        if custom is None:
            raise SymgradError("the line stands in a function that could not be reached.")
        runs = self.side.runs.variant(custom)
        found: Recorded = runs.recorded(runs.setting, {**runs.setting.values, **runs.extra, **point})
        steps = kept(found.program, found.results)
        return Watched(found.program, [b for b in found.bindings if b.step in steps], found.results)

    def edited(self, texts: Mapping[Unit, str]) -> tuple[CustomSide, str] | None:
        custom: Custom | None = self.side.runs.setting.custom
        for unit, text in texts.items():
            made = rebuild(unit.function, text)
            custom = None if made is None or custom is None else _with(custom, unit, made)
        if custom is None:
            return None
        return replace(self.side, runs=self.side.runs.variant(custom)), _source(custom.thing, self.units, texts)

    def plain(self, texts: Mapping[Unit, str], names: Mapping[str, Any]) -> Plain | None:
        custom: Custom | None = self.side.runs.setting.custom
        for unit, text in texts.items():
            made = rebuild(unit.function, text, names, shown=False)
            custom = None if made is None or custom is None else _with(custom, unit, made)
        if custom is None or custom.backward is None:
            return None
        return functools.partial(_gradients, custom, self.side.runs)


def _gradients(custom: Custom, runs: Runs, point: Mapping[str, Any]) -> dict[str, Any]:
    """What forward and backward give at a point in float64, run by hand and without a tracer."""
    setting = runs.setting
    values = {**setting.values, **runs.extra, **point}
    given = {n: _tensor(values[n]) if n in setting.dtypes else values[n] for n in custom.names if n in values}
    ctx = Context([n in setting.dtypes for n in custom.names])
    arguments = [given[n] if n in given else custom.defaults[n] for n in custom.names]
    if custom.setup is None:
        out = custom.forward(ctx, *arguments)
    else:
        out = custom.forward(*arguments)
        custom.setup(ctx, tuple(arguments), out)
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    seeds = []
    for name, x in zip(custom.cotangent_names(len(outs)), outs, strict=True):
        known = isinstance(x, torch.Tensor) and name in values
        seeds.append(_tensor(values[name]) if known else torch.zeros_like(x) if isinstance(x, torch.Tensor) else None)
    assert custom.backward is not None
    found = custom.backward(ctx, *seeds)
    return dict(zip(custom.names, found if isinstance(found, (tuple, list)) else (found,), strict=False))


def _tensor(x: Any) -> torch.Tensor:
    a = np.asarray(x)
    return torch.tensor(a, dtype=torch.complex128 if a.dtype.kind == "c" else torch.float64)


@code_of.register
def _(formula: CustomSide) -> Code | None:
    custom = formula.runs.setting.custom
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


def _source(thing: Any, units: tuple[Unit, ...], texts: Mapping[Unit, str]) -> str:
    """The whole class with the new texts in it, and the helpers; the texts alone where its source is not found."""
    try:
        lines, first = inspect.getsourcelines(thing)
    except (OSError, TypeError):
        return "\n\n".join(t.rstrip("\n") + "\n" for t in texts.values())
    outside = []
    for unit, text in sorted(texts.items(), key=lambda item: -item[0].first):
        start, height = unit.first - first, len(unit.text.splitlines())
        if not 0 <= start < len(lines):
            outside.append(text)
            continue
        margin = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
        lines[start : start + height] = textwrap.indent(text.rstrip("\n") + "\n", margin).splitlines(keepends=True)
    return "\n\n".join(t.rstrip("\n") + "\n" for t in (*outside, textwrap.dedent("".join(lines))))
