"""Runs of an autograd function as formulas: its forward alone, and its forward beside its backward or its jvp."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.lifting.tracing.autograd_functions import Custom
from symgrad.lifting.tracing.functions import Run
from symgrad.program.builder import Builder
from symgrad.program.derivative import tangent
from symgrad.program.program import Binding, Program, derivation_lines, sliced


@dataclass(frozen=True, eq=False)
class Arguments:
    """What forward is called with: the values that are passed on as they are, and the dtypes of its float tensors."""

    values: Mapping[str, Any]
    dtypes: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Forward:
    """Forward as a formula of its float tensors; ``passed`` are its other arguments."""

    custom: Custom
    passed: Mapping[str, Any]
    library: str = "function"

    @property
    def names(self) -> tuple[str, ...]:
        return self.custom.names

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(n for n in self.custom.names if n not in self.custom.defaults and n not in self.passed)

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        assert not isinstance(dtypes, str)
        found = self.custom.run({**self.passed, **point}, None, dtypes)
        return Run(found.program.with_outputs(found.outputs), {n: found.values[n] for n in found.outputs})


@dataclass(frozen=True, eq=False)
class Recorded:
    """One run: the whole trace, the step of what is differentiated (or, of a jvp, of the exact tangent), and those of
    the hand side's results.

    ``values`` are what the code itself computed, by output; ``bindings`` are the lines of the derivation, ``inputs``
    those that the model always has.
    """

    program: Program
    total: int
    results: Mapping[str, int]
    outputs: Mapping[str, int]
    values: Mapping[str, np.ndarray]
    bindings: tuple[Binding, ...] = ()
    inputs: tuple[str, ...] = ()

    def sides(self) -> tuple[Run, Run]:
        """The model, and the hand formula."""
        always = {f"keep:{n}": self.program.inputs[n] for n in self.inputs if n in self.program.inputs}
        model = sliced(self.program, {"output": self.total, **always})
        model = model.with_outputs({"output": model.outputs["output"]})
        hand = sliced(replace(self.program, bindings=self.bindings), self.results)
        unknown = {"output": np.asarray(np.nan)}
        return Run(model, unknown, derived=frozenset(unknown)), Run(hand, {n: self.values[n] for n in self.results})

    def computed(self) -> Run:
        """All that the code computed, with its own values: what the record must give back."""
        whole = {**self.outputs, **self.results}
        return Run(sliced(self.program, whole), {n: self.values[n] for n in whole})


Beside = Callable[[Custom, Mapping[str, Any], Mapping[str, str]], Recorded]


class Runs:
    """Runs of a function at points, each as a model and a hand formula; the last one is kept.

    ``beside`` runs a function at a point, with all of its arguments; ``extra`` are cotangents or tangents, also those
    that nothing depends on.
    """

    def __init__(self, custom: Custom, arguments: Arguments, beside: Beside, extra: Mapping[str, Any]) -> None:
        self.custom, self.arguments, self.beside, self.extra = custom, arguments, beside, dict(extra)
        self._last: tuple[dict[str, Any], tuple[Run, Run]] | None = None

    def recorded(self, point: Mapping[str, Any]) -> Recorded:
        """One run at a point, whole."""
        return self.beside(self.custom, {**self.arguments.values, **self.extra, **point}, self.arguments.dtypes)

    def at(self, point: Mapping[str, Any]) -> tuple[Run, Run]:
        if self._last is not None and all(
            np.array_equal(v, self._last[0][n], equal_nan=True) for n, v in point.items()
        ):
            return self._last[1]
        whole = {**self.arguments.values, **self.extra, **point}
        out = self.recorded(point).sides()
        self._last = whole, out
        return out

    def variant(self, custom: Custom) -> Runs:
        """The same runs of another version of the function."""
        return Runs(custom, self.arguments, self.beside, self.extra)


@dataclass(frozen=True, eq=False)
class CustomSide:
    """One side of such runs, as a formula."""

    runs: Runs
    side: int
    names: tuple[str, ...]
    library: str = "function"

    @property
    def required(self) -> tuple[str, ...]:
        return self.names

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return self.runs.at(point)[self.side]


def backward_beside(named: Mapping[str, str], needs: Sequence[str] | None = None) -> Beside:
    """Forward, made a scalar by the cotangents, beside backward.

    ``named`` maps forward's outputs to the names of their cotangents; ``needs`` are the arguments whose gradients are
    asked for, None for all.
    """

    def run(custom: Custom, point: Mapping[str, Any], dtypes: Mapping[str, str]) -> Recorded:
        found = custom.run(point, {n: point[n] for n in named.values()}, dtypes, needs)
        b = Builder.on(found.program)
        total = None
        for output, i in found.outputs.items():
            v = b.inputs[named[output]]
            part = b.sum(b.mul(i, b.conj(v))) if b.shape(i) else b.mul(i, b.conj(v))
            total = part if total is None else b.add(total, part)
        assert total is not None
        program = b.build({})
        asked = found.gradients if needs is None else {n: found.gradients[n] for n in needs}
        lines = derivation_lines(program, total)
        return Recorded(program, total, asked, found.outputs, found.values, lines, tuple(dtypes))

    return run


def jvp_beside(output: str) -> Beside:
    """The exact tangent of an output of forward, beside what jvp gives for it."""

    def run(custom: Custom, point: Mapping[str, Any], dtypes: Mapping[str, str]) -> Recorded:
        moves = {n: point[f"tangent of {n}"] for n in dtypes}
        found = custom.run(point, None, dtypes, tangents=moves)
        program, total = found.program, None
        for n in dtypes:
            program, step = tangent(
                program, found.outputs[output], program.inputs[n], program.inputs[f"tangent of {n}"]
            )
            b = Builder.on(program)
            total = step if total is None else b.add(total, step)
            program = b.build({})
        assert total is not None
        values = {**found.values, "jvp": found.values[f"jvp {output}"]}
        lines = derivation_lines(program, total)
        return Recorded(program, total, {"jvp": found.tangents[output]}, found.outputs, values, lines, tuple(dtypes))

    return run
