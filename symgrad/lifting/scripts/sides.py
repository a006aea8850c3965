"""Runs of one script at points, each as Programs of the model and of its derivations.

The derivations are in groups, each with at most one for an input, so that each is a question of its own: the first
derivation of every input, the second, and so on; then those for values on the way from the inputs to the output.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.errors import NotReproducible
from symgrad.evaluation.floats import Floats
from symgrad.lifting.scripts.execution import Script, ScriptRun
from symgrad.lifting.scripts.late_choices import choices_for
from symgrad.lifting.scripts.roles import Derivation, Roles, base, leaf_names
from symgrad.lifting.scripts.script_numbers import script_numbers, with_numbers
from symgrad.lifting.scripts.script_record import Given, Key
from symgrad.lifting.scripts.script_tracer import ScriptTracer
from symgrad.lifting.scripts.trails import Trails, input_values
from symgrad.lifting.tracing.functions import Run
from symgrad.program.program import (
    Binding,
    Program,
    dependencies,
    dependents,
    derivation_lines,
    interpret,
    kept,
    same_structure,
    sliced,
)

_REMEMBERED = 128  # points whose Programs are kept


@dataclass(frozen=True, eq=False)
class Group:
    """Derivations of different inputs; ``on_the_way`` if they are for steps that are no inputs."""

    derivations: Mapping[str, Derivation]  # by the name of the claim
    on_the_way: bool


_Ran = tuple[list[tuple[Run, Run]], list[dict[str, np.ndarray]]]
"""For each group of one run: its two Programs, and what autograd gave."""


@dataclass(eq=False)
class Execution:
    """Runs of one script."""

    script: Script
    given: Mapping[Key, Given]
    find: Callable[[ScriptRun], Roles]  # the parts of a run
    values: Mapping[Key, np.ndarray]  # of the variables that hold inputs
    own: ScriptRun
    roles: Roles
    groups: list[Group] = field(default_factory=list)
    inner: dict[str, str] = field(default_factory=dict)  # names as told -> names in the trace
    data: dict[str, np.ndarray] = field(default_factory=dict)
    data_steps: dict[str, int] = field(default_factory=dict)  # in the own run
    known_data: frozenset[str] | None = None  # all that may be data, where that was found out before
    to_the_end: ScriptRun | None = None  # a run to the end of the script, where ``own`` is none
    _known: dict[Any, _Ran] = field(default_factory=dict)

    @property
    def complete(self) -> ScriptRun:
        """A run that went to the end of the script."""
        return self.to_the_end or self.own

    def __post_init__(self) -> None:
        rounds: list[dict[str, Derivation]] = []
        inside: dict[str, Derivation] = {}
        for d in self.roles.derivations:
            if not self._is_input(d.node):
                inside[f"{d.input} ({d.variable})" if self.is_one_of_several(d) else d.input] = d
                continue
            k = next((k for k, r in enumerate(rounds) if d.input not in r), len(rounds))
            if k == len(rounds):
                rounds.append({})
            rounds[k][d.input] = d
        self.groups = [Group(r, False) for r in rounds] + ([Group(inside, True)] if inside else [])

    def is_one_of_several(self, d: Derivation) -> bool:
        return sum(e.input == d.input for e in self.roles.derivations) > 1

    def _is_input(self, node: int) -> bool:
        """Whether a step holds an input, and the output depends on that input through this step alone."""
        steps = self.own.trace.builder.steps
        i = node
        while steps[i].op in ("cast", "name") and steps[i].shape == steps[node].shape:
            i = steps[i].args[0]
        if steps[i].op != "input":
            return False
        seen, stack = {node}, [self.roles.output]
        while stack:
            k = stack.pop()
            if k not in seen:
                seen.add(k)
                stack += () if steps[k].op == "stop" else steps[k].args
        return i == node or i not in seen

    def value(self, name: str) -> np.ndarray:
        """An input's value: the number that it was made of, which may have more digits than the tensor; or data."""
        if name in self.data:
            return self.data[name]
        inner = self.inner[name]
        made = [self.values[key] for key, told in self.given.items() if told == inner and key in self.values]
        if made or inner in self.own.trace.put_in:
            return made[0] if made else self.own.trace.put_in[inner]
        return self.own.trace.leaves[int(inner.split()[1])].value

    # ------------------------------------------------------------------------------------ runs
    def first(self) -> list[tuple[Run, Run]]:
        """The Programs of the own run, for each group."""
        return self._programs(self.own, self.roles.output, [g.derivations for g in self.groups])

    def again(self) -> list[tuple[Run, Run]]:
        """The Programs of one more run with the script's own values."""
        return self._run({})[0]

    def at(self, point: Mapping[str, Any]) -> list[tuple[Run, Run]]:
        """The Programs of a run at a point, for each group."""
        return self._at(point)[0]

    def autograd_at(self, point: Mapping[str, Any]) -> list[dict[str, np.ndarray]]:
        """What autograd gave in a run at a point, for each group, by the names of its claims."""
        return self._at(point)[1]

    def _at(self, point: Mapping[str, Any]) -> _Ran:
        values = self._values(point)
        key = tuple((n, v.tobytes()) for n, v in sorted(values.items()))
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = self._run(values)
        return self._known[key]

    def _values(self, point: Mapping[str, Any]) -> dict[str, np.ndarray]:
        return {self.inner[n]: np.asarray(v) for n, v in point.items() if n in self.inner}

    def goes_own_way(self, point: Mapping[str, Any], k: int) -> bool:
        """Whether a run at a point gives the variables of a group their values where the own run does."""
        if not self.own.trace.builder.guards:
            return True
        ways = (self.first()[k], self.at(point)[k])
        lines = [[(b.name, b.source and b.source.line) for b in hand.program.bindings] for _, hand in ways]
        return lines[0] == lines[1]

    def _run(self, values: Mapping[str, np.ndarray]) -> _Ran:
        run = self.script.run(values, self.given)
        roles = self.find(run)
        groups = [{label: self._found_again(run, roles, d) for label, d in g.derivations.items()} for g in self.groups]
        automatic = [
            {label: np.array(d.autograd.value) for label, d in g.items() if d.autograd is not None} for g in groups
        ]
        return self._programs(run, roles.output, groups), automatic

    def _found_again(self, run: ScriptRun, roles: Roles, d: Derivation) -> Derivation:
        """What is meant as this gradient in another run: by its name, or by what the script does with it."""
        named = [e for e in roles.derivations if (e.input, e.variable) == (d.input, d.variable)]
        used, once = ([e for e in r.derivations if (e.input, e.why) == (d.input, d.why)] for r in (roles, self.roles))
        found = (
            used[0] if not named and len(used) == len(once) == 1 else named[-1] if named else _by_name(run, roles, d)
        )
        lines = _shown_in(self.own.trace, d.step)
        there, here = (sum(line in lines for line, _ in t.shows) for t in (run.trace, self.own.trace))
        if lines and there == here and not lines & _shown_in(run.trace, found.step):
            raise NotReproducible(f"with other values in its inputs, the script shows another value than {d.variable}.")
        return found

    def variant(
        self, code: str, more: Mapping[str, Any] | None = None, point: Mapping[str, Any] | None = None
    ) -> Execution:
        """The same questions about another text of the script, which finds ``more`` names around it; at another point
        than its own where one is given."""
        made = self._of_text(code, more or {}, point or {})
        pairs = zip(self.first(), made.first(), strict=True)
        if not all(same_structure(_alone(old.program), _alone(new.program)) for (old, _), (new, _) in pairs):
            raise NotReproducible("with another text, the script computes another output.")
        return made

    def _of_text(self, code: str, more: Mapping[str, Any], point: Mapping[str, Any]) -> Execution:
        """Runs of another text of the script, which computes gradients of the same names."""
        pasted, around = self.script.pasted.edited(code), {**self.script.around, **more}
        script = replace(self.script, pasted=pasted, around=around)
        run = script.run(self._values(point), self.given)
        roles = self.find(run)
        made = replace(
            self, script=script, own=run, roles=roles, groups=[], inner={}, data={}, data_steps={}, _known={}
        )
        if [list(g.derivations) for g in made.groups] != [list(g.derivations) for g in self.groups]:
            raise NotReproducible("with another text, the script computes other gradients.")
        return made

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers that the script names."""
        return script_numbers(self.script.pasted.code)

    def with_numbers(self, numbers: Mapping[str, float]) -> Execution:
        """The same questions where some of the numbers that the script names are others."""
        made = self._of_text(with_numbers(self.script.pasted.code, numbers), {}, {})
        made.known_data = frozenset(self.data)
        made.first()  # it gives the inputs their names
        return made

    # ------------------------------------------------------------------------------------ Programs
    def whole(self, k: int) -> tuple[Program, list[Binding], dict[str, int]]:
        """All that the own run computed, with the inputs under their names; the bindings of a group's derivations, in
        the order of its hand side; and the steps of what they give.
        """
        trace, found = self.own.trace, self.groups[k].derivations
        trace.builder.course = trace.course.guards()
        steps = [self.roles.output, *(d.step for d in found.values())]
        program = replace(trace.builder.build({}), guards=choices_for(trace, self.script.pasted.tree, steps))
        renamed = self._inputs(self.own, program, {d.variable for g in self.groups for d in g.derivations.values()})
        outputs = {label: d.step for label, d in found.items()}
        opaque = dependents(trace.builder.steps, [*trace.opaque, *_quotients(trace)])
        needed = kept(program, outputs, inputs=renamed, opaque=opaque, late=True)
        bindings = [b for b in derivation_lines(program, self.roles.output) if b.step in needed]
        steps, inputs = list(program.steps), {n: i for n, i in program.inputs.items() if i not in renamed}
        for i, name in renamed.items():
            if name in inputs:  # several forms of one input
                steps[i] = replace(steps[i], op="cast", args=(inputs[name],), params=steps[i].dtype)
            else:
                steps[i] = replace(steps[i], op="input", args=(), params=name)
                inputs[name] = i
        return replace(program, steps=tuple(steps), inputs=inputs), bindings, outputs

    def _programs(
        self, run: ScriptRun, output: int, groups: Sequence[Mapping[str, Derivation]]
    ) -> list[tuple[Run, Run]]:
        trace = run.trace
        trace.builder.course = trace.course.guards()
        program = trace.builder.build({})
        beside = _beside(trace, [output, *(d.step for g in groups for d in g.values())])

        def with_choices(values: Collection[int]) -> Program:
            """All that was computed, with the choices that matter for some values."""
            found = choices_for(trace, self.script.pasted.tree, values)
            return replace(program, guards=tuple(replace(g, beside=not beside.isdisjoint(g.args)) for g in found))

        renamed = self._inputs(run, program, {d.variable for g in groups for d in g.values()})
        opaque = dependents(trace.builder.steps, [*trace.opaque, *_quotients(trace)])
        value = next((c.value for c in trace.calls if c.output == output), None)
        value = _evaluated(program, output, run) if value is None else value
        out = []
        for group, found in zip(self.groups, groups, strict=True):
            nodes = {f"at:{label}": d.node for label, d in found.items()} if group.on_the_way else {}
            steps = {label: d.step for label, d in found.items()}
            shown = with_choices([output])
            model = sliced(shown, {"output": output, **nodes}, inputs=renamed, opaque=opaque, late=True)
            derived = replace(with_choices([output, *steps.values()]), bindings=derivation_lines(program, output))
            hand = sliced(derived, steps, inputs=renamed, opaque=opaque, stops=False, late=True)
            if group.on_the_way:  # its lines are those of the other groups
                hand = replace(hand, bindings=())
            else:  # every input is there, also one that the output does not need
                model = _with_inputs(model, hand, found)
            values = {}
            for label, d in found.items():
                known = trace.value_at.get(d.step)
                values[label] = known if known is not None else _evaluated(program, d.step, run)
            model_run = Run(model, {"output": value}, derived=frozenset(nodes), together=True)
            out.append((model_run, Run(hand, values, together=True)))
        return out

    def _inputs(self, run: ScriptRun, program: Program, taken: set[str]) -> dict[int, str]:
        """Names for the inputs as they are told, and for arrays of data, which are inputs that stay as given."""
        told = {f"leaf {k}": name for k, name in enumerate(leaf_names(run.trace))}
        out = {}
        for inner, i in program.inputs.items():
            if not inner.startswith("autograd "):
                out[i] = told.get(inner, inner)
                self.inner[out[i]] = inner
        taken = taken | set(out.values())
        for b in program.bindings:
            i = b.step
            while program.steps[i].op in ("name", "cast"):
                i = program.steps[i].args[0]
            step = program.steps[i]
            if step.op != "constant" or i in out or step.params.exact is not None or step.params.value.size < 2:
                continue
            if run.trace.looks_of(i):  # a mask: it is what values were found to be, and another where they are others
                continue
            if b.name not in taken and (self.known_data is None or b.name in self.known_data):
                out[i] = b.name
                self.data.setdefault(b.name, step.params.value)
                self.data_steps.setdefault(b.name, b.step)
                taken.add(b.name)
        return out


def _quotients(trace: ScriptTracer) -> list[int]:
    """The difference quotients of a script that asks no autograd: what it decides by them is a check of its own."""
    return [] if trace.calls else [q.step for q in Trails(trace).quotients()]


def _beside(trace: ScriptTracer, asked: Sequence[int]) -> set[int]:
    """What the script computes for its difference quotients alone, at arguments that are moved a little."""
    steps, trails = trace.builder.steps, Trails(trace)
    found = [*trails.quotients(), *trails.second_quotients()]
    moved = dependencies(steps, [k for q in found for k in (q.high, q.low)]) - dependencies(steps, asked)
    return dependents(steps, [i for i in moved if steps[i].args])


def _shown_in(trace: ScriptTracer, step: int) -> set[int | None]:
    """The lines that print a value."""
    own = base(trace, step)
    return {line for line, shown in trace.shows if base(trace, shown) == own}


def _alone(model: Program) -> Program:
    """A model without what its script decides elsewhere."""
    return sliced(replace(model, guards=(), bindings=()), model.outputs)


def _with_inputs(model: Program, hand: Program, wanted: Mapping[str, Derivation]) -> Program:
    """The model with the inputs that only the hand formula needs."""
    steps, inputs = list(model.steps), dict(model.inputs)
    for name in wanted:
        if name not in inputs and name in hand.inputs:
            inputs[name] = len(steps)
            steps.append(hand.steps[hand.inputs[name]])
    return replace(model, steps=tuple(steps), inputs=inputs)


def _by_name(run: ScriptRun, roles: Roles, d: Derivation) -> Derivation:
    bound = [b.step for b in run.trace.builder.bindings if b.name == d.variable]
    if not bound or d.input not in roles.inputs:
        raise NotReproducible(f"with other values in {d.input}, the script computes no {d.variable}.")
    return replace(d, step=bound[-1], node=roles.inputs[d.input], autograd=None)


def _evaluated(program: Program, step: int, run: ScriptRun) -> np.ndarray:
    """The value of a step that was compared but has no name."""
    inputs = input_values(run.trace)
    return interpret(program, Floats(), inputs, [step])[step].detach().numpy()


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a group as a formula: the model, or the derivations; ``autograd`` is what the script itself got."""

    execution: Execution
    group: int
    side: int
    names: tuple[str, ...]
    autograd: Mapping[str, np.ndarray]
    library: str = "script"

    @property
    def required(self) -> tuple[str, ...]:
        return self.names

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return self.execution.at(point)[self.group][self.side]

    def autograd_at(self, point: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        """What the script's own calls of autograd give at a point."""
        return self.execution.autograd_at(point)[self.group]
