"""verify_script: a script as it was pasted, with its model, its call of autograd and its derivations.

text -> code -> one instrumented run -> the parts of the script -> two Programs -> the same judge as everything else
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symgrad.errors import BadInput, NotReproducible, SymgradError
from symgrad.evaluation.floats import Floats
from symgrad.comparison import only_constants_differ, same_structure
from symgrad.judging import Problem, judge
from symgrad.lifting.comments import other_formulas
from symgrad.lifting.functions import Run, _close
from symgrad.lifting.pasted import Pasted, read_pasted
from symgrad.lifting.roles import AS_TOLD, NAMED, Derivation, Roles, depending, find_roles, leaf_names, origins
from symgrad.lifting.scripts import Key, Limits, Script, ScriptRun
from symgrad.lifting.slices import sliced
from symgrad.lifting.sources import place
from symgrad.program import Program, interpret
from symgrad.report.report import Report
from symgrad.report.words import counted, listed
from symgrad.sampling import Bounds, Inputs
from symgrad.verifier import _report

__all__ = ["verify_script"]


def verify_script(
    source: str | Path,
    *,
    wrt: str | Sequence[str] | None = None,
    output: str | None = None,
    gradients: Mapping[str, str | Sequence[str]] | None = None,
    domain: Mapping[str, Bounds] | None = None,
    points: int = 64,
    seed: int = 0,
    limits: Limits | None = None,
) -> Report:
    """Find the derivations in a script, and say of each whether it is the gradient that it is meant to be.

    ``source`` is Python code as text, as pasted from a notebook or a post (prompts, prose, formulas and printed output
    are left out), or a path of a script or a notebook.  The script is **run**, in a namespace of its own, several
    times: with its own numbers, and with others in the tensors that it differentiates.  The output is what
    ``backward()`` is called on or ``torch.autograd.grad`` is given; the inputs are the tensors that it depends on and
    that require a gradient; a variable is meant as a gradient if it is compared with autograd's, subtracted from it,
    printed beside it or named so (``dW``, ``grad_W``, ``dL_dW``).  ``report.notes`` tell all that was found.

    ``output`` names the output, ``wrt`` the inputs, and ``gradients`` maps inputs to the variables that are meant as
    their gradients, where the script does not tell.  ``seed`` fixes the random numbers of Python, NumPy and torch.

    >>> report = verify_script('''
    ... import torch
    ... w = torch.tensor(2.0, requires_grad=True)
    ... y = torch.tanh(3 * w)
    ... y.backward()
    ... dw = 3 * (1 - (3 * w.item())**2)
    ... print(w.grad, dw)
    ... ''')
    >>> report.verdict, list(report.claims)
    ('refuted', ['w'])
    >>> print(report.notes[0])
    I took y as the output, and w as its input.

    Where several variables are meant for one input, each has a claim of its own, called ``"w (dw)"``.

    Raises `UserCodeFailed` where the script itself fails, `BadInput` where there is no code in the text, no output or
    no gradient in the code, or several candidates; `UnknownName` for a name that the script does not have;
    `NotReproducible` where a second run gives other values.

    Guarantee: that of `verify`, for the script's own computation as it was read.  Running a script does what the
    script does: files that it writes are written.
    """
    pasted, file = _opened(source)
    script = Script.of(pasted, file, seed, limits)
    asked = (wrt,) if isinstance(wrt, str) else tuple(wrt) if wrt is not None else None
    first = script.run()
    given = origins(first)
    run = script.run(given=given) if given else first
    roles = find_roles(run, output=output, wrt=asked, gradients=gradients)
    execution = _Execution(script, given, output, asked, gradients, first.trace.bound_values, run, roles)
    problem = execution.problem(domain or {}, points, seed)
    assert problem.first is not None
    _replay(execution, problem.first)
    report = _report(problem, judge(problem), None)
    notes = (*_notes(script, run, roles, execution), *other_formulas(pasted, run.trace), *report.notes)
    return replace(report, notes=tuple(dict.fromkeys(notes)))


def _opened(source: str | Path) -> tuple[Pasted, str | None]:
    """The code, and the file that it is from."""
    if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source and source.strip().endswith((".py", ".txt", ".ipynb", ".md"))):
        path = Path(source)
        if not path.is_file():
            raise BadInput(f"there is no file {source}.", instead="Pass the path of a script, or its text.")
        return read_pasted(path.read_text(encoding="utf-8")), str(path)
    if not isinstance(source, str):
        raise BadInput(
            f"source is a {type(source).__name__}.",
            instead="Pass the script as text, or its path; verify() takes functions and formulas.",
        )
    return read_pasted(source), None


# ------------------------------------------------------------------------------------------------ runs


@dataclass(eq=False)
class _Execution:
    """Runs of one script, each as a model and a hand formula."""

    script: Script
    given: Mapping[Key, str]
    output: str | None
    wrt: Sequence[str] | None
    gradients: Mapping[str, str | Sequence[str]] | None
    values: Mapping[Key, np.ndarray]  # of the variables that hold inputs
    own: ScriptRun
    roles: Roles
    labels: dict[str, Derivation] = field(default_factory=dict)  # claim -> what it is about, in the own run
    inner: dict[str, str] = field(default_factory=dict)  # names as told -> names in the trace
    point: dict[str, np.ndarray] = field(default_factory=dict)
    data: dict[int, str] = field(default_factory=dict)
    _last: tuple[Any, tuple[Run, Run]] | None = None

    def problem(self, domain: Mapping[str, Bounds], points: int, seed: int) -> Problem:
        found = self.roles.derivations
        for d in found:
            several = sum(e.input == d.input for e in found) > 1
            self.labels[f"{d.input} ({d.variable})" if several else d.input] = d
        first = self._programs(self.own, self.roles.output, self.labels)
        free = []
        dtypes: dict[str, str] = {}
        for program in (first[0].program, first[1].program):
            for name, i in program.inputs.items():
                dtypes[name] = program.steps[i].dtype
        data = {name: i for i, name in self.data.items()}
        for name in dtypes:
            if name in data:
                value = self.own.trace.builder.steps[data[name]].params.value
            else:
                free.append(name)
                value = self._value(self.inner[name])
            self.point[name] = np.asarray(value, dtype=np.complex128 if np.iscomplexobj(value) else np.float64)
        for name in domain:
            if name not in dtypes:
                raise BadInput(f"domain has {name!r}, but the script's inputs are {', '.join(free)}.")
        bounds = {n: (None if a is None else float(a), None if b is None else float(b)) for n, (a, b) in domain.items()}
        inputs = Inputs(self.point, tuple(free), frozenset(self.point), bounds)
        automatic = {
            label: np.array(d.autograd.value) for label, d in self.labels.items() if d.autograd is not None
        }
        self._last = self.point, first
        names = tuple(dtypes)
        model = _Side(self, 0, names, automatic)
        hand = _Side(self, 1, names, {})
        return Problem(model, hand, inputs, dtypes, tuple(self.labels), 1, points, seed, first=first)

    def _value(self, inner: str) -> np.ndarray:
        """An input's value: the number that it was made of, which may have more digits than the tensor."""
        made = [self.values[key] for key, name in self.given.items() if name == inner and key in self.values]
        return made[0] if made else self.own.trace.leaves[int(inner.split()[1])].value

    def at(self, point: Mapping[str, Any]) -> tuple[Run, Run]:
        """Both Programs of a run at a point."""
        if self._last is not None and all(
            np.array_equal(np.asarray(v), np.asarray(self._last[0][n]), equal_nan=True) for n, v in point.items()
        ):
            return self._last[1]
        out = self._run({self.inner[n]: np.asarray(v) for n, v in point.items() if n in self.inner})
        self._last = dict(point), out
        return out

    def again(self) -> tuple[Run, Run]:
        """Both Programs of one more run at the script's own point."""
        return self._run({})

    def _run(self, values: Mapping[str, np.ndarray]) -> tuple[Run, Run]:
        run = self.script.run(values, self.given)
        roles = find_roles(run, output=self.output, wrt=self.wrt, gradients=self.gradients)
        mine = {(d.input, d.variable): d for d in roles.derivations}
        labels = {}
        for label, d in self.labels.items():
            again = mine.get((d.input, d.variable)) or self._by_name(run, roles, d)
            labels[label] = again
        return self._programs(run, roles.output, labels)

    def _by_name(self, run: ScriptRun, roles: Roles, d: Derivation) -> Derivation:
        bound = [b.step for b in run.trace.builder.bindings if b.name == d.variable]
        if not bound or d.input not in roles.inputs:
            raise NotReproducible(f"with other values in {d.input}, the script computes no {d.variable}.")
        return replace(d, step=bound[-1], node=roles.inputs[d.input])

    def _programs(self, run: ScriptRun, output: int, labels: Mapping[str, Derivation]) -> tuple[Run, Run]:
        trace = run.trace
        program = trace.builder.build({})
        renamed = self._inputs(run, program, labels)
        opaque = depending(trace, [r.step for r in trace.results])
        nodes = {f"at:{label}": d.node for label, d in labels.items()}
        model = sliced(program, {"output": output, **nodes}, inputs=renamed, opaque=opaque)
        hand = sliced(program, {label: d.step for label, d in labels.items()}, inputs=renamed, opaque=opaque, stops=False)
        value = next((c.value for c in trace.calls if c.output == output), np.asarray(np.nan))
        values = {}
        for label, d in labels.items():
            known = trace.value_at.get(d.step)
            values[label] = known if known is not None else _evaluated(program, d.step, trace)
        return Run(model, {"output": value}), Run(hand, values)

    def _inputs(self, run: ScriptRun, program: Program, labels: Mapping[str, Derivation]) -> dict[int, str]:
        """Names for the inputs as they are told, and for arrays of data, which are inputs that stay as given."""
        told = {f"leaf {k}": name for k, name in enumerate(leaf_names(run.trace))}
        out = {}
        for inner, i in program.inputs.items():
            if not inner.startswith("autograd "):
                out[i] = told.get(inner, inner)
                self.inner[out[i]] = inner
        taken = {*out.values(), *(d.variable for d in labels.values())}
        for b in program.bindings:
            i = b.step
            while program.steps[i].op in ("name", "cast"):
                i = program.steps[i].args[0]
            step = program.steps[i]
            if step.op != "constant" or i in out or step.params.exact is not None or step.params.value.size < 2:
                continue
            if b.name not in taken:
                out[i] = self.data[i] = b.name
                taken.add(b.name)
        return out


def _evaluated(program: Program, step: int, trace: Any) -> np.ndarray:
    """The value of a step that was compared but has no name."""
    leaves = {f"leaf {k}": leaf.value for k, leaf in enumerate(trace.leaves)}
    known = {name: leaves.get(name) for name in program.inputs}
    for r in trace.results:
        known[program.steps[r.step].params] = r.value
    inputs = {
        n: torch.as_tensor(v).to(getattr(torch, program.steps[program.inputs[n]].dtype))
        for n, v in known.items()
        if v is not None
    }
    return interpret(program, Floats(), inputs, [step])[step].detach().numpy()


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of a script as a formula: the model, or the derivations."""

    execution: _Execution
    side: int
    names: tuple[str, ...]
    autograd: Mapping[str, np.ndarray]
    library: str = "script"

    @property
    def required(self) -> tuple[str, ...]:
        return self.names

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return self.execution.at(point)[self.side]


def _replay(execution: _Execution, first: tuple[Run, Run]) -> None:
    """A second run must record the same, and a plain one give the same."""
    script, run, roles = execution.script, execution.own, execution.roles
    again = execution.again()
    for once, twice in zip((run.program for run in first), (run.program for run in again), strict=True):
        if same_structure(once, twice):
            continue
        k = only_constants_differ(once, twice)
        told = _outside(script.pasted)
        why = f"{' '.join(told)} " if told else ""
        raise NotReproducible(
            "two runs of the script computed with different numbers.",
            where=place(once.steps[k].source) if k is not None else None,
            instead=f"{why}Write the values into the script, and give every random generator a seed.",
        )
    space = script.plain()
    for d in roles.derivations:
        key = run.trace.key_of.get(d.step)
        mine = run.trace.value_at.get(d.step)
        if key is None or mine is None or d.variable not in space:
            continue
        last = max((b.step for b in run.trace.builder.bindings if b.name == d.variable), default=-1)
        value = space[d.variable]
        if last != d.step or not isinstance(value, (float, int, np.ndarray, np.generic, torch.Tensor)):
            continue
        other = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        narrow = "float32" in (str(other.dtype), *(s.dtype for s in run.trace.builder.steps))
        if mine.shape != other.shape or not _close(mine, other.astype(mine.dtype), 1e-3 if narrow else 1e-9):
            raise NotReproducible(
                f"two runs of the script gave different values of {d.variable}.",
                instead="Something in it changes from run to run: the clock, a file, or random numbers with a seed of "
                "their own. Write the values into the script.",
            )


# ------------------------------------------------------------------------------------------------ what is told


def _notes(script: Script, run: ScriptRun, roles: Roles, execution: _Execution) -> list[str]:
    trace = run.trace
    names = list(roles.inputs)
    notes = [f"I took {roles.output_name} as the output, and {listed(names)} as its {'inputs' if len(names) > 1 else 'input'}."]
    by: dict[tuple[str, str], list[str]] = {}
    for d in roles.derivations:
        by.setdefault((d.input, d.why), []).append(d.variable)
    for (name, why), variables in by.items():
        be, its = ("is", "its name") if len(variables) == 1 else ("are", "their names")
        reason = {AS_TOLD: "as you said", NAMED: f"by {its}"}.get(why, f"which {be} {why} autograd's gradient")
        notes.append(f"For {name} I took {listed(variables)}, {reason}.")
    if roles.alone:
        notes.append(f"Nothing was found that is meant as a gradient for {listed(list(roles.alone))}.")
    calls = [c for c in trace.calls if c.name == (roles.call.name if roles.call else None)]
    if roles.call is not None and len(calls) > 1:
        notes.append(f"The output {roles.output_name} is differentiated {len(calls)} times; I took the last, in line {roles.call.line}.")
    if roles.call is not None and roles.call.upstream:
        notes.append(f"The output {roles.output_name} is differentiated with a cotangent of the script's own.")
    told = {f"leaf {k}": name for k, name in enumerate(leaf_names(trace))}
    for key, inner in execution.given.items():
        leaf = told.get(inner)
        if leaf is not None and leaf != key[0]:
            notes.append(f"The numbers in {key[0]} are those of {leaf}: I took the two for one input.")
    if run.random:
        notes.append(f"The script draws random numbers; the seeds of Python, NumPy and torch were set to {script.seed}.")
    if run.stopped is not None:
        notes.append(f"The script stops early ({run.stopped}); what it had computed until then is judged.")
    if run.cut:
        notes.append(f"The script prints a lot: {counted(run.cut, 'character')} beyond the limit were dropped.")
    notes += _outside(script.pasted)
    left = script.pasted.left_out
    if left:
        shown = ", ".join(_ranges([k for k, _ in left])[:6])
        more = len(_ranges([k for k, _ in left])) - 6
        tail = f" and {more} more places" if more > 0 else ""
        notes.append(f"{counted(len(left), 'line')} that {'is' if len(left) == 1 else 'are'} no code were left out: {shown}{tail}.")
    return notes


def _ranges(lines: Sequence[int]) -> list[str]:
    """Line numbers in ranges.

    >>> _ranges([1, 2, 3, 7, 9, 10])
    ['1-3', '7', '9-10']
    """
    out: list[list[int]] = []
    for k in lines:
        if out and out[-1][1] == k - 1:
            out[-1][1] = k
        else:
            out.append([k, k])
    return [f"{a}-{b}" if a != b else f"{a}" for a, b in out]


_FILES = ("open", "load", "loadtxt", "genfromtxt", "fromfile", "read_csv", "read_pickle", "read_text", "read_bytes", "memmap")
_CLOCK = ("time", "perf_counter", "monotonic", "now", "today", "utcnow", "time_ns", "process_time")


def _outside(pasted: Pasted) -> list[str]:
    """Calls that read files or the clock: what they give is not in the text."""
    found: dict[str, list[int]] = {}
    for node in ast.walk(pasted.tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id="open"):
                found.setdefault("reads or writes a file with open()", []).append(node.lineno)
            case ast.Attribute(attr=attr, value=value) if attr in _FILES and not isinstance(value, ast.Constant):
                if isinstance(value, ast.Name) or attr.startswith("read"):
                    found.setdefault(f"reads a file with {ast.unparse(node.func)}()", []).append(node.lineno)
            case ast.Attribute(attr=attr, value=ast.Name(id="time" | "datetime" | "date")) if attr in _CLOCK:
                found.setdefault(f"looks at the clock with {ast.unparse(node.func)}()", []).append(node.lineno)
    return [f"The script {what} in line {', '.join(map(str, lines))}." for what, lines in found.items()]
