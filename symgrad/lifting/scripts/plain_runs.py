"""A script's derivations at points, computed without a tracer: for trials of edited text, of which there are many.

Inputs and data are put in at the events that the record has for them, and each derivation is read at its own.  A step
that has no name, such as what an update adds to a variable, is read from the variable before and after it.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.evaluation.floats import wide_by_default
from symgrad.lifting.scripts.execution import Script
from symgrad.lifting.scripts.script_record import Given, Key
from symgrad.lifting.scripts.sides import Execution
from symgrad.lifting.scripts.trails import Trails
from symgrad.lifting.scripts.watcher import Watcher
from symgrad.lifting.tracing.functions import nearly_equal
from symgrad.program.program import size

_TURNS = 1_000_000  # of the run that counts how many there are
_MORE = 200  # turns that an edited script may take beyond twice those of the script as it was written

# ------------------------------------------------------------------------------------------------ readings


@dataclass(frozen=True)
class Reading:
    """Where a derivation is read: what an event gave, less what another gave where there is one, times a number."""

    key: Key
    factor: float = 1.0
    less: Key | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        return (self.key,) if self.less is None else (self.less, self.key)

    def value(self, found: Mapping[Key, np.ndarray]) -> np.ndarray:
        there = found[self.key] if self.less is None else found[self.key] - found[self.less]
        return self.factor * there


def _reading(execution: Execution, trails: Trails, step: int, value: np.ndarray) -> Reading | None:
    """Where a derivation's step is read; None where no event tells it."""
    trace = execution.own.trace
    keys = {e.step: e.key for e in reversed(trace.events)} | trace.key_of
    i, sign = step, 1.0
    while i not in keys:
        s = trails.steps[i]
        if s.op == "neg":
            sign = -sign
        elif s.op == "mul" and (factor := trails.constant(s.args[0])) is not None:
            i, sign = s.args[1], factor * sign
            continue
        elif not (s.op in ("name", "cast") or (s.op == "pick" and len(s.args) == 1 and _is_whole(trails, i))):
            return _added(execution, trails, i, value)
        i = s.args[0]
    return Reading(keys[i], sign)


def _is_whole(trails: Trails, i: int) -> bool:
    (a,) = trails.steps[i].args
    return size(trails.steps[i].shape) == size(trails.steps[a].shape) and trails.stripped(i) == trails.stripped(a)


def _added(execution: Execution, trails: Trails, step: int, value: np.ndarray) -> Reading | None:
    """A term of an update, where it is all that the update adds, but for a number."""
    trace = execution.own.trace
    for e in trace.events:
        if e.step > step and (move := trails.move(e)) is not None and any(t.step == step for t in move.terms):
            before = trails.event_of.get(move.bases[-1])
            if before is None or e.step not in trace.value_at or before.step not in trace.value_at:
                continue
            gap = np.asarray(trace.value_at[e.step] - trace.value_at[before.step], dtype=float)
            if gap.size != value.size:
                continue
            gap, mine = gap.reshape(-1), np.asarray(value, dtype=float).reshape(-1)
            k = int(np.argmax(np.abs(gap)))
            factor = mine[k] / gap[k] if gap[k] else 0.0
            if factor and nearly_equal(mine, factor * gap, 1e-9):
                return Reading(e.key, float(factor), before.key)
    return None


# ------------------------------------------------------------------------------------------------ runs


@dataclass(frozen=True, eq=False)
class PlainRuns:
    """Runs of one group's derivations without a tracer.

    ``given`` are the variables that hold inputs and data; ``inner`` has the names that the trace has for the inputs,
    by those that are told, and ``leaves`` the tensors' names of those that are put in as such.
    """

    script: Script
    given: Mapping[Key, Given]
    inner: Mapping[str, str]
    leaves: Mapping[str, str]
    readings: Mapping[str, Reading]
    in_float32: bool
    turns: int = _TURNS

    def run(
        self, text: str | None, names: Mapping[str, Any], point: Mapping[str, Any]
    ) -> tuple[dict[str, np.ndarray], Watcher, dict[str, Any]]:
        """The derivations at a point, what watched the run, and the script's variables after it.

        Raises what the code raises, and `KeyError` where it does not come to a derivation.
        """
        values = {self.inner.get(n, n): np.asarray(v) for n, v in point.items()}
        leaves = {self.leaves[n]: values[n] for n in values if n in self.leaves}
        wanted = {key for r in self.readings.values() for key in r.keys}
        watcher = Watcher(self.given, values, leaves, wanted, self.turns)
        with wide_by_default() if self.in_float32 else contextlib.nullcontext():
            space = self.script.watched(watcher, names, text)
        return {label: r.value(watcher.found) for label, r in self.readings.items()}, watcher, space


def plain_runs(execution: Execution, group: int) -> tuple[PlainRuns, dict[str, Any]] | None:
    """The group's derivations as they can be run without a tracer, and the script's variables in such a run; None where
    that does not give what the record has.
    """
    model, hand = execution.first()[group]
    trace = execution.own.trace
    trails = Trails(trace)
    readings = {}
    for label, d in execution.groups[group].derivations.items():
        found = _reading(execution, trails, d.step, np.asarray(hand.values[label]))
        if found is None:
            return None
        readings[label] = found
    given = dict(execution.given)
    given |= {trace.key_of[i]: n for n, i in execution.data_steps.items() if i in trace.key_of}
    held = {g for g in given.values() if isinstance(g, str)}
    leaves = {}
    for inner in execution.inner.values():
        if inner.startswith("leaf ") and inner not in held:
            leaves[inner] = trace.names.get(id(trace.leaves[int(inner.split()[1])].tensor), "")
    narrow = any(s.dtype == "float32" for run in (model, hand) for s in run.program)
    runs = PlainRuns(execution.script, given, execution.inner, leaves, readings, narrow)
    point = {n: execution.value(n) for n in {**model.program.inputs, **hand.program.inputs}}
    try:
        values, watcher, space = runs.run(None, {}, point)
    except Exception:  # without the tracer it may take another way
        return None
    same = all(nearly_equal(v, np.asarray(hand.values[n]).reshape(v.shape), _near(narrow)) for n, v in values.items()
               if v.size == np.asarray(hand.values[n]).size)  # fmt: skip
    if not same or not watcher.is_complete:
        return None
    turns = 2 * (_TURNS - watcher.turns) + _MORE
    return PlainRuns(execution.script, given, execution.inner, leaves, readings, narrow, turns), space


def _near(narrow: bool) -> float:
    return 1e-3 if narrow else 1e-9


# ------------------------------------------------------------------------------------------------ lines


def derivation_numbers(execution: Execution, group: int) -> frozenset[int]:
    """The lines of the script that only its derivation needs, and those without a value that stand among them."""
    program, _, outputs = execution.whole(group)
    model = set(program.needed([execution.roles.output]))
    hand = set(program.needed(outputs.values()))
    numbers = lambda steps: {s.line for i in steps if (s := program.steps[i].source) is not None}  # noqa: E731
    return frozenset(_with_headers(execution.script.pasted.tree, numbers(hand - model), numbers(model | hand)))


def _with_headers(tree: ast.Module, mine: Set[int | None], valued: Set[int | None]) -> Iterator[int]:
    """``mine``, and the lines between them and around them that hold no value: returns, loops and conditions."""
    for scope in ast.walk(tree):
        if not isinstance(scope, (ast.Module, ast.FunctionDef)):
            continue
        own = list(_statements(scope))
        here = [s for s in own if not hasattr(s, "body") and not mine.isdisjoint(_lines(s))]
        if not here:
            continue
        last = max(s.lineno for s in here) if isinstance(scope, ast.Module) else scope.end_lineno or 0
        for s in own:
            if hasattr(s, "body"):
                inside = [t for t in here if s.lineno < t.lineno <= (s.end_lineno or 0)]
                if inside and s.lineno not in valued - mine:
                    yield s.lineno
            elif s in here or (min(t.lineno for t in here) <= s.lineno <= last and valued.isdisjoint(_lines(s))):
                yield from _lines(s)


def _lines(s: ast.stmt) -> range:
    return range(s.lineno, (s.end_lineno or s.lineno) + 1)


def _statements(scope: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a function or module, without those of the functions and classes in it."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, ast.stmt):
            yield node
        yield from _statements(node)
