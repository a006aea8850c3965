"""Runs of an autograd function as formulas: its forward alone, and its forward beside its backward, its jvp, or what
autograd makes of its backward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from symgrad.evaluation.floats import Floats, tensors_of, to_numpy
from symgrad.lifting.tracing.autograd_functions import Custom, FunctionRun
from symgrad.lifting.tracing.functions import Run
from symgrad.program.builder import Builder
from symgrad.program.derivative import gradients, tangent
from symgrad.program.program import Binding, Program, derivation_lines, interpret, real_dtype, sliced


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
        return tuple(n for n in self.custom.names if n not in self.custom.signature.defaults and n not in self.passed)

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        assert not isinstance(dtypes, str)
        found = self.custom.run({**self.passed, **point}, None, dtypes)
        return Run(found.program.with_outputs(found.outputs), {n: found.values[n] for n in found.outputs})


@dataclass(frozen=True, eq=False)
class Recorded:
    """One run: the whole trace, the step of what is differentiated (or, of a jvp, of the exact tangent), and those of
    the hand side's results.

    ``values`` are what the code itself computed, by output; ``bindings`` are the lines of the derivation, ``inputs``
    those that the model always has.  ``derived`` says that no code computed the results; ``numbers`` are the whole ones
    that the code writes.
    """

    program: Program
    total: int
    results: Mapping[str, int]
    outputs: Mapping[str, int]
    values: Mapping[str, np.ndarray]
    bindings: tuple[Binding, ...] = ()
    inputs: tuple[str, ...] = ()
    derived: bool = False
    numbers: frozenset[int] = frozenset()

    def sides(self) -> tuple[Run, Run]:
        """The model, and the hand formula."""
        always = {f"keep:{n}": self.program.inputs[n] for n in self.inputs if n in self.program.inputs}
        model = sliced(self.program, {"output": self.total, **always})
        model = model.with_outputs({"output": model.outputs["output"]})
        hand = sliced(replace(self.program, bindings=self.bindings), self.results)
        unknown = {"output": np.asarray(np.nan)}
        made = frozenset(self.results) if self.derived else frozenset[str]()
        mine = {n: self.values[n] for n in self.results}
        return (
            Run(model, unknown, derived=frozenset(unknown), together=True, numbers=self.numbers),
            Run(hand, mine, derived=made, together=True, numbers=self.numbers),
        )

    def computed(self) -> Run:
        """All that the code computed, with its own values: what the record must give back."""
        whole = {**self.outputs, **({} if self.derived else self.results)}
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
        return self.beside(self.custom, self._whole(point), self.arguments.dtypes)

    def at(self, point: Mapping[str, Any]) -> tuple[Run, Run]:
        if self._last is not None and all(
            np.array_equal(v, self._last[0][n], equal_nan=True) for n, v in point.items()
        ):
            return self._last[1]
        out = self.recorded(point).sides()
        self._last = self._whole(point), out
        return out

    def _whole(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """All values; arguments lie in memory as the given ones do, for code may look at their strides."""
        given = self.arguments.values
        moved = {n: _laid_out(v, given[n]) if n in given else v for n, v in point.items()}
        return {**given, **self.extra, **moved}

    @property
    def numbers(self) -> dict[str, float]:
        """The floats that are passed on as they are."""
        return {n: v for n, v in self.arguments.values.items() if type(v) is float and n not in self.arguments.dtypes}

    def with_numbers(self, numbers: Mapping[str, float]) -> Runs:
        """The same runs with others of these numbers."""
        passed = {n: v for n, v in numbers.items() if n in self.numbers}
        arguments = replace(self.arguments, values={**self.arguments.values, **passed})
        return Runs(self.custom, arguments, self.beside, self.extra)

    def variant(self, custom: Custom) -> Runs:
        """The same runs of another version of the function."""
        return Runs(custom, self.arguments, self.beside, self.extra)


def _laid_out(value: Any, like: Any) -> Any:
    """The same numbers, with the axes in memory in the order of another array."""
    if not isinstance(like, np.ndarray) or like.flags.c_contiguous or like.shape != np.shape(value):
        return value
    out = np.empty_like(like, dtype=np.asarray(value).dtype)
    out[...] = value
    return out


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
    """Forward, made a real number by the cotangents, beside backward.

    ``named`` maps forward's outputs to the names of their cotangents; those that it leaves out are not used.
    ``needs`` are the arguments whose gradients are asked for, None for all.
    """

    def run(custom: Custom, point: Mapping[str, Any], dtypes: Mapping[str, str]) -> Recorded:
        found = custom.run(point, {n: point[n] for n in named.values()}, dtypes, needs)
        b = Builder.on(found.program)
        total = _contracted(b, [(i, b.inputs[named[k]]) for k, i in found.outputs.items() if k in named])
        program = b.build({})
        asked = found.gradients if needs is None else {n: found.gradients[n] for n in needs}
        lines = derivation_lines(program, total)
        return Recorded(program, total, asked, found.outputs, found.values, lines, tuple(dtypes), numbers=found.numbers)

    return run


def backward_of_backward_beside(named: Mapping[str, str], along: Mapping[str, str]) -> Beside:
    """The exact gradients, made a real number by cotangents of their own, beside what autograd makes of backward.

    Autograd differentiates the operations that backward does.  What forward computed on the way is a constant to it:
    a tensor that forward saves is followed where it is an argument or an output, and not where it is neither.
    ``along`` maps arguments to the names of their gradients' cotangents.
    """

    def run(custom: Custom, point: Mapping[str, Any], dtypes: Mapping[str, str]) -> Recorded:
        found = custom.run(point, {n: point[n] for n in named.values()}, dtypes, stops=True)
        b, mine = _as_autograd_sees(found)
        total = _contracted(b, [(i, b.inputs[named[k]]) for k, i in found.outputs.items()])
        exact = gradients(b, total, {n: b.inputs[n] for n in along})
        seeds = {n: b.input(name, b.shape(exact[n]), b.dtype(exact[n])) for n, name in along.items()}
        truth, hand = (_contracted(b, [(of[n], seeds[n]) for n in along]) for of in (exact, mine))
        results = gradients(b, hand, {n: b.inputs[n] for n in (*along, *named.values())})
        program = b.build({})
        with torch.no_grad():
            values = interpret(program, Floats(), tensors_of(point, program.dtypes), list(results.values()))
        told = {n: to_numpy(values[i]) for n, i in results.items()}
        return Recorded(
            program, truth, results, found.outputs, {**found.values, **told}, (), tuple(dtypes), derived=True,
            numbers=found.numbers,
        )  # fmt: skip

    return run


def _contracted(b: Builder, parts: Sequence[tuple[int, int]]) -> int:
    """The real part of the sum of conj(v) y over all entries, for pairs of a value y and its cotangent v."""
    total = None
    for i, v in parts:
        part = b.mul(i, b.conj(v))
        part = b.sum(part) if b.shape(i) else part
        part = b.cast(part, real_dtype(b.dtype(part)))
        total = part if total is None else b.add(total, part)
    assert total is not None
    return total


def _as_autograd_sees(found: FunctionRun) -> tuple[Builder, dict[str, int]]:
    """The trace with what backward takes from inside of forward cut off, and the steps of the gradients in it."""
    program = found.program
    b = Builder()
    place: list[int] = []
    seen = {*program.inputs.values(), *found.outputs.values()}
    cut: dict[int, int] = {}

    def taken(a: int) -> int:
        if a >= found.forward or a in seen or program.steps[a].op == "constant":
            return place[a]
        return cut[a] if a in cut else cut.setdefault(a, b.stop(place[a]))

    for i, step in enumerate(program.steps):
        args = tuple(place[a] if i < found.forward else taken(a) for a in step.args)
        b.source = step.source
        if step.op == "input":
            place.append(b.input(step.params, step.shape, step.dtype))
        else:
            place.append(b.emit(step.op, args, step.params, step.shape, step.dtype))
    b.guards += [replace(g, args=tuple(place[a] for a in g.args)) for g in program.guards]
    return b, {n: taken(i) for n, i in found.gradients.items()}


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
        jvp = {"jvp": found.tangents[output]}
        return Recorded(program, total, jvp, found.outputs, values, lines, tuple(dtypes), numbers=found.numbers)

    return run
