"""verify_script: a script as it was pasted, with its model, its call of autograd and its derivations.

text -> code -> one instrumented run -> the parts of the script -> two Programs -> the same judge as everything else
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symgrad.api.custom_functions import verify_function
from symgrad.api.post_comments import other_formulas
from symgrad.api.printed_output import other_outputs
from symgrad.api.typeset_formulas import typeset_formulas
from symgrad.checking.exploration import Findings
from symgrad.checking.judge import judge, right_here_alone
from symgrad.checking.three_ways import ThreeWays
from symgrad.checking.verdicts import Agrees
from symgrad.errors import BadInput, NotReproducible, SymgradError
from symgrad.lifting.scripts.child_process import answer_apart
from symgrad.lifting.scripts.cues import is_loss, shown_calls
from symgrad.lifting.scripts.execution import Script, ScriptRun
from symgrad.lifting.scripts.extraction import Pasted, ranges, read_pasted
from symgrad.lifting.scripts.pairs import NOTHING, PRIMARY, Told
from symgrad.lifting.scripts.roles import (
    AS_TOLD,
    BESIDE,
    COMPARED,
    NAMED,
    Roles,
    called_so,
    find_roles,
    leaf_names,
    origins,
    outputs,
)
from symgrad.lifting.scripts.script_record import Given, Key, Limits
from symgrad.lifting.scripts.sides import Execution, Side
from symgrad.lifting.scripts.training_loops import is_all_seen
from symgrad.lifting.scripts.understanding import understood
from symgrad.lifting.tracing.functions import Run, nearly_equal
from symgrad.lifting.tracing.sources import place
from symgrad.problem.arguments import domain_of
from symgrad.problem.canary import undisturbed
from symgrad.problem.constraints import joined, parse_assuming, settle_data
from symgrad.problem.question import Asked, Problem, meanings_of
from symgrad.problem.sampling import Inputs
from symgrad.problem.shapes import ranks
from symgrad.program.program import only_constants_differ, same_structure
from symgrad.progress import ENDS, shown, within
from symgrad.report.report import Report
from symgrad.report.wording import counted, listed
from symgrad.typing import DomainLike, NamesLike, Unreached
from symgrad.verifier import answer, report_by_then

_RUNS = 10  # times the seconds of one run: what all of an answer may take
_ENOUGH = 2_000  # operations by which a loop that trains has shown what it does


@shown("reading the script")
def verify_script(
    source: str | Path,
    *,
    wrt: NamesLike | None = None,
    output: str | None = None,
    gradients: Mapping[str, str | Sequence[str]] | None = None,
    domain: DomainLike | None = None,
    assuming: str | Sequence[str] | None = None,
    meanings: Mapping[str, str] | None = None,
    points: int = 64,
    effort: float = 1.0,
    unreached: Unreached = "refuse",
    seed: int = 0,
    limits: Limits | None = None,
    timeout: float | None = None,
    namespace: Mapping[str, object] | None = None,
    claims: Mapping[str, str] | None = None,
) -> Report:
    """Find the derivations in a script, and say of each whether it is the gradient that it is meant to be.

    ``source`` is Python code as text, as pasted from a notebook or a post (prompts, prose, formulas and printed output
    are left out), or a path of a script or a notebook.  The script is **run**, in a namespace of its own, several
    times: with its own numbers, and with others in the tensors that it differentiates.  The output is what
    ``backward()`` is called on or ``torch.autograd.grad`` is given; the inputs are the tensors that it depends on and
    that require a gradient; a variable is meant as a gradient if it is compared with autograd's, subtracted from it,
    printed beside it or named so (``dW``, ``grad_W``, ``dL_dW``).  ``report.notes`` tell all that was found.

    What a post says beside its code is compared with it, and told in ``report.notes``: formulas in comments, displayed
    formulas in LaTeX (is f what the code computes, and are they its derivatives?), and output that it shows.

    A script that calls no autograd is read by other evidence: a variable's update (``W -= lr * dW``), a difference
    quotient or scipy's ``check_grad`` beside a gradient, numbers that know their gradient, names.  What may be the
    output is differentiated exactly, and the output under which the gradients come out right, or that is named so, is
    taken.  Where the script writes down no loss, that of a small catalogue under which an update is right is assumed,
    and told.  Where several outputs have gradients (a generator and a discriminator, an actor and a critic), each
    gradient is judged as that of its own; a target that only held constant makes them right is told as held.  Steps of
    a descent that no output is found for are ``report.unjudged``, and leave a right script undecided; not so where the
    output is named.  Where the evidence does not decide, nothing is judged: the error says what was found, and what to
    add.

    ``output`` names the output, ``wrt`` the inputs, and ``gradients`` maps inputs to the variables that are meant as
    their gradients, where the script does not tell; ``domain``, ``assuming``, ``meanings``, ``points``, ``effort``,
    ``unreached`` and ``timeout`` are as for `verify`.  ``seed`` fixes the random numbers of Python, NumPy and torch.
    ``namespace`` holds variables that the script finds, as a notebook's cell does those of the cells before it; they
    are copied.

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
    I took `y` as the output, and `w` as its input.

    Where several variables are meant for one input, each has a claim of its own, called ``"w (dw)"``.

    Raises `UserCodeFailed` where the script itself fails, `BadInput` where there is no code in the text, no output or
    no gradient in the code, or several candidates; `UnknownName` for a name that the script does not have;
    `NotReproducible` where a second run gives other values.

    Guarantee: that of `verify`, for the script's own computation as it was read.  The script runs in a process of its
    own, which costs about a tenth of a second, and of which only the report comes back: modes, environment, threads,
    modules and what else it changes stay there.  Files beside it can be read; what it writes goes into a folder that is
    removed at the end, and a path elsewhere is refused.  Its output is kept back, plots do not open, and nobody types
    for it.  A run that takes longer or more memory than ``limits`` allow, and one that crashes the interpreter, is an
    error with the line; where judging takes ten times as long, or that much memory, the report is what is known by
    then.  Programs that the script starts run as they would.
    """
    meant = meanings_of(meanings, claims)
    options = Asked(wrt, None, 1, domain, assuming, meant, None, points, effort, seed, unreached=unreached)
    _check(output, gradients, limits, namespace)
    question = partial(
        _in_time, timeout, limits or Limits(), partial(_answered, source, options, output, gradients, limits, namespace)
    )
    report = answer_apart(question)
    return replace(report, measure=partial(answer_apart, partial(_measured, question)))


def _in_time(timeout: float | None, limits: Limits, question: Callable[[], Report]) -> Report:
    with within(_RUNS * limits.seconds if timeout is None else timeout, limits.memory):
        return question()


@undisturbed
def _answered(
    source: str | Path,
    options: Asked,
    output: str | None,
    gradients: Mapping[str, str | Sequence[str]] | None,
    limits: Limits | None,
    namespace: Mapping[str, Any] | None,
) -> Report:
    """What `verify_script` says, in the process that the script runs in."""
    pasted, file = _opened(source, namespace or ())
    script = Script.of(pasted, file, options.seed, limits, namespace)
    script = replace(script, followed=shown_calls(pasted.tree))
    brief = replace(script, enough=_ENOUGH)
    wrt = tuple(options.names) if options.wrt is not None else None
    first = brief.run()
    if first.trace.gradchecked and not first.trace.calls:
        return _of_functions(script, first.trace.gradchecked, options)
    if not first.trace.loops.left_at:
        return _answer_of(script, first, options, output, gradients)
    loops = first.trace.loops
    if not first.trace.calls:
        losses = {n.id for n in ast.walk(pasted.tree) if isinstance(n, ast.Name) and is_loss(n.id)}
        is_all = is_all_seen(pasted.tree, loops.left_at, loops.seen(), losses)
        try:
            report = _answer_of(brief, first, options, output, gradients)
        except SymgradError:  # what was not run may tell more
            if is_all:
                raise
        else:  # a name may be that of a part, which what was not run tells
            if is_all or report.verdict != "refuted" or not _is_by_name(report):
                return report
    else:
        with contextlib.suppress(SymgradError):
            few = replace(script, enough=0)
            run = few.run()
            if _shows_all(pasted, run, find_roles(run, output=output, wrt=wrt, gradients=gradients)):
                return _answer_of(few, run, options, output, gradients)
    return _answer_of(script, script.run(), options, output, gradients)


def _is_by_name(report: Report) -> bool:
    """Whether nothing but names says what is meant as a gradient."""
    return any(re.search("by (its|their) names?[.]$", note) for note in report.notes)


def _shows_all(pasted: Pasted, run: ScriptRun, roles: Roles) -> bool:
    """Whether a run that has left a loop has seen all that is said of gradients: more may stand behind the loop."""
    loops = run.trace.loops
    names = {d.variable for d in roles.derivations}
    return bool(loops.left_at) and is_all_seen(pasted.tree, loops.left_at, loops.seen(), names)


def _of_functions(script: Script, given: Sequence[tuple[str, list[Any], int]], options: Asked) -> Report:
    """What is said of the custom functions that a script checks or calls: the first that is wrong, or the last."""
    space, said = script.defined(), {}
    own = [one for one in given if one[0] in space]
    if not own:
        raise BadInput(
            f"the script calls {given[0][0]}, which is defined elsewhere.",
            instead=f"Check the file that defines it: symgrad check FILE.py::{given[0][0]}.",
        )
    for name, at, order in own:
        asked = {"order": order, "points": options.points, "effort": options.effort, "unreached": options.unreached}
        said[name] = verify_function(space[name], at=at, seed=options.seed, **asked)
    name, report = next(((n, r) for n, r in said.items() if not r), list(said.items())[-1])
    others = [f"{n}: {r.verdict}." for n, r in said.items() if n != name]
    note = f"The script gives {name} to gradcheck: its backward is what was judged, for every incoming gradient."
    note = note if "gradcheck" in script.pasted.code else note.replace(f"gives {name} to gradcheck", f"calls {name}")
    repaired = _with_class(script.pasted, name, report.repaired_source)
    return replace(report, notes=(note, *others, *report.notes), repaired_source=repaired)


def _with_class(pasted: Pasted, name: str, repaired: str | None) -> str | None:
    """The script with another text of one of its classes; the text itself where it is nested in something."""
    mine = next((s for s in pasted.tree.body if isinstance(s, ast.ClassDef) and s.name == name), None)
    if repaired is None or mine is None:
        return repaired
    lines = pasted.code.splitlines()
    first = min([mine.lineno, *(d.lineno for d in mine.decorator_list)])
    return "\n".join([*lines[: first - 1], *repaired.rstrip("\n").splitlines(), *lines[mine.end_lineno :]]) + "\n"


def _answer_of(
    script: Script,
    first: ScriptRun,
    options: Asked,
    output: str | None,
    gradients: Mapping[str, str | Sequence[str]] | None,
) -> Report:
    asked = tuple(options.names) if options.wrt is not None else None
    if not first.trace.calls and not (first.trace.leaves and output is not None):
        return answer(*_of_outputs(understood(script, Told(output, asked, gradients)), options))
    find = partial(find_roles, output=output, wrt=asked, gradients=gradients)
    if (output, asked, gradients) == (None, None, None):
        several = outputs(first.trace)
        if len(several) > 1 and (said := _of_several(script, first, options, [*several])) is not None:
            return said
        try:
            find(first)
        except BadInput:
            if (said := _apart_from_autograd(script, options)) is not None:
                return said
            raise

    def asked_of(given: Mapping[Key, Given]) -> list[Problem]:
        run = script.run(given=given) if given else first
        return _problems(Execution(script, given, find, first.trace.bound_values, run, find(run)), options)

    given = origins(first)
    problems, findings = asked_of(given), []
    try:
        findings += map(judge, problems)
    except ENDS as ended:
        return report_by_then(problems[0], ended)
    if any(map(_stands_for_an_input, findings)) and (more := origins(first, alike=True)) != given:
        others = asked_of(more)
        again = [*map(judge, others)]
        if all(v.kind in ("proved", "agrees") for found in again for v in found.verdicts.values()):
            problems, findings = others, again
    return answer(*problems, findings=findings)


def _apart_from_autograd(script: Script, options: Asked) -> Report | None:
    """What is said of a gradient that has nothing to do with what the script asks autograd: an engine of its own, an
    update in NumPy, a difference quotient; None where there is none."""
    with contextlib.suppress(SymgradError):
        found = understood(script, NOTHING)
        if any(d.why in PRIMARY for execution in found for d in execution.roles.derivations):
            return answer(*_of_outputs(found, options))
    return None


def _of_several(script: Script, first: ScriptRun, options: Asked, names: Sequence[str]) -> Report | None:
    """What is said where several outputs are differentiated: of each that something is meant as a gradient of; None
    where nothing is."""
    if first.trace.applied:  # one of them is what the other is compared with
        return _of_functions(script, first.trace.applied[:1], options)
    problems, given = [], origins(first)
    run = script.run(given=given) if given else first
    for name in names:
        find = partial(_compared, name=name)
        with contextlib.suppress(BadInput):  # nothing is meant as a gradient of this one
            roles = find(run)
            if roles.derivations:
                problems.append(Execution(script, given, find, first.trace.bound_values, run, roles))
    if not problems:
        return None
    return answer(*_of_outputs(problems, options))


def _compared(run: ScriptRun, name: str) -> Roles:
    """The parts under one output of several: what stands beside autograd's gradient of it, as a name may be of any."""
    roles = find_roles(run, output=name)
    return replace(roles, derivations=tuple(d for d in roles.derivations if d.why in (COMPARED, BESIDE)))


def _of_outputs(executions: Sequence[Execution], asked: Asked) -> list[Problem]:
    """The questions about each output of a script; what has one name under several is told with its output's."""
    problems: list[Problem] = []
    for execution in executions:
        taken, name = {n for p in problems for n in p.wrt}, execution.roles.output_name
        for p in _problems(execution, asked):
            labels = {**{n: f"{n} ({name})" for n in p.wrt if n in taken}, **p.labels}
            problems.append(replace(p, labels=labels))
    return problems


def _measured(question: Callable[[], Report]) -> tuple[ThreeWays, ...]:
    """What the table of a report is made of: the script's process has ended, and all is asked once more."""
    measure = question().measure
    return measure() if measure is not None else ()


def _stands_for_an_input(found: Findings) -> bool:
    """Whether a number in the script may be meant for an input: a claim is right at the script's own point alone."""
    return bool(right_here_alone(found)) or any(
        isinstance(v, Agrees) and v.told_to is not None for v in found.verdicts.values()
    )


def _check(output: Any, gradients: Any, limits: Any, namespace: Any) -> None:
    """Raise `BadInput` for arguments that are not of the kind that they have to be."""
    kinds = {
        "output": (output, str, "Pass the name of the variable that is differentiated."),
        "gradients": (gradients, Mapping, "Pass a mapping from inputs to variables: gradients={'W': 'dW'}."),
        "limits": (limits, Limits, "Pass symgrad.Limits(...), or nothing."),
        "namespace": (namespace, Mapping, "Pass a mapping from names to values, such as globals()."),
    }
    for name, (value, kind, instead) in kinds.items():
        if value is not None and not isinstance(value, kind):
            raise BadInput(f"{name} is a {type(value).__name__}.", instead=instead)


def _opened(source: str | Path, known: Collection[str]) -> tuple[Pasted, str | None]:
    """The code, and the file that it is from; ``known`` are names that it finds when it runs."""
    if isinstance(source, Path) or (
        isinstance(source, str) and "\n" not in source and source.strip().endswith((".py", ".txt", ".ipynb", ".md"))
    ):
        path = Path(source)
        if not path.is_file():
            raise BadInput(f"there is no file {source}.", instead="Pass the path of a script, or its text.")
        return read_pasted(path.read_text(encoding="utf-8"), known), str(path)
    if not isinstance(source, str):
        raise BadInput(
            f"source is a {type(source).__name__}.",
            instead="Pass the script as text, or its path; verify() takes functions and formulas.",
        )
    return read_pasted(source, known), None


# ------------------------------------------------------------------------------------------------ judging


def _problems(execution: Execution, asked: Asked) -> list[Problem]:
    """The groups of derivations as questions, at the script's own point; the first tells what was understood."""
    firsts = execution.first()
    more = _replay(execution, firsts)
    problems = [_problem(execution, k, first, asked) for k, first in enumerate(firsts)]
    pasted = execution.script.pasted
    whole = execution.complete
    printed = other_outputs(pasted, whole.printed, whole.random) if not whole.trace.checked else ()  # of solvers
    notes = (
        *_notes(execution),
        *more,
        *other_formulas(pasted),
        *typeset_formulas(pasted, problems[0], asked),
        *printed,
    )
    return [replace(problems[0], notes=notes, unjudged=execution.roles.unjudged), *problems[1:]]


def _problem(execution: Execution, k: int, first: tuple[Run, Run], asked: Asked) -> Problem:
    """One group of derivations as a question, at the script's own point."""
    group = execution.groups[k]
    found = group.derivations
    dtypes = {name: run.program.steps[i].dtype for run in first for name, i in run.program.inputs.items()}
    point = {n: np.asarray(execution.value(n)) for n in dtypes}
    point = {n: v.astype(np.complex128 if v.dtype.kind == "c" else np.float64) for n, v in point.items()}
    free = tuple(n for n in dtypes if n not in execution.data)
    point |= {n: _as_used(point[n], n, first) for n in dtypes if n in execution.data}
    bounds, conditions = domain_of(asked.domain, execution.inner, "the script's inputs are")
    assumed = parse_assuming(asked.assuming, list(point), ranks(point))
    bounds = {**(assumed.bounds or {}), **bounds}
    facts = joined(assumed.facts, bounds)
    point = settle_data(point, frozenset(point), facts)
    inputs = Inputs(point, free, frozenset(point), bounds, facts, conditions=conditions)
    automatic = {label: np.array(d.autograd.value) for label, d in found.items() if d.autograd is not None}
    order = execution.roles.call.order if execution.roles.call is not None else execution.roles.order
    sides = Side(execution, k, 0, tuple(dtypes), automatic), Side(execution, k, 1, tuple(dtypes), {})
    several = {n: d for n, d in found.items() if not group.on_the_way and execution.is_one_of_several(d)}
    labels = {n: f"{n} ({d.variable})" for n, d in several.items()}
    return Problem(
        *sides, inputs, dtypes, tuple(found), order, first=first, pasted=True, labels=labels, meanings=asked.meanings,
        **asked.budgets,
    )  # fmt: skip


def _as_used(value: np.ndarray, name: str, runs: Sequence[Run]) -> np.ndarray:
    """Data that the script rounds before it does anything else with them are the numbers that it has then."""
    steps = [s for run in runs if name in run.program.inputs for s in run.program if run.program.inputs[name] in s.args]
    kinds = {s.dtype if s.op == "cast" else None for s in steps}
    if kinds not in ({"float32"}, {"float16"}):
        return value
    return value.astype(kinds.pop()).astype(value.dtype)


def _replay(execution: Execution, first: Sequence[tuple[Run, Run]]) -> list[str]:
    """A second run must record the same, and a plain one give the same.  What is told of solvers, which it runs."""
    script, run, roles = execution.script, execution.own, execution.roles
    again = execution.again()
    pairs = [
        (one.program, two.program) for a, b in zip(first, again, strict=True) for one, two in zip(a, b, strict=True)
    ]
    for once, twice in pairs:
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
    full = execution.complete
    solvers = dict.fromkeys(c.solver for c in full.trace.checked if c.solver != "check_grad")
    told = [f"`{s}` was not run: what it is given was judged from the point where it begins." for s in solvers]
    if full.trace.loops.left_at:  # a run without a tracer goes on for longer
        return told
    try:
        space = replace(script, until=frozenset()).plain()
    except SymgradError:
        raise
    except Exception as error:
        if not full.trace.checked:
            raise
        return [*told, f"Where the script is run as it stands, it fails: {type(error).__name__}: {error}"]
    local = script.pasted.lines_of_functions
    bindings = [b for b in full.trace.builder.bindings if b.source is None or b.source.line not in local]
    for d in roles.derivations:
        last = max((b.step for b in bindings if b.name == d.variable), default=None)
        if last is None or last not in full.trace.value_at or d.variable not in space:
            continue
        mine, value = full.trace.value_at[last], space[d.variable]
        is_last = full is not run or d.step in (last, run.trace.made(last))
        if not is_last or not isinstance(value, (float, int, np.ndarray, np.generic, torch.Tensor)):
            continue
        other = value.detach().resolve_conj().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        narrow = "float32" in (str(other.dtype), *(s.dtype for s in run.trace.builder.steps))
        if mine.shape != other.shape or not nearly_equal(mine, other.astype(mine.dtype), 1e-3 if narrow else 1e-9):
            raise NotReproducible(
                f"two runs of the script gave different values of {d.variable}.",
                instead="Something in it changes from run to run: the clock, a file, or random numbers with a seed of "
                "their own. Write the values into the script.",
            )
    return told


# ------------------------------------------------------------------------------------------------ what is told


def _code(names: Iterable[str]) -> str:
    """Names that no reader takes for words: a variable may well be called ``out``."""
    return listed([re.sub("^(the sum of )?(.*)$", r"\1`\2`", name) for name in names])


def _notes(execution: Execution) -> list[str]:
    script, run, roles = execution.script, execution.own, execution.roles
    trace = run.trace
    names = list(roles.inputs)
    noun = "inputs" if len(names) > 1 else "input"
    output = _code([roles.output_name]) if roles.assumed is None else "a loss"
    notes = [f"I took {output} as the output, and {_code(names)} as its {noun}."]
    by: dict[str, dict[str, list[str]]] = {}  # the variables of each input, by why they were taken
    for d in roles.derivations:
        by.setdefault(d.why, {}).setdefault(d.input, []).append(d.variable)
    for why, taken in by.items():
        one = sum(map(len, taken.values())) == 1
        be, its, whose = (
            ("is", "its name", "gradient") if one else ("are", "their names", f"gradient{'s' * (len(taken) > 1)}")
        )
        reason = {AS_TOLD: "as you said", NAMED: f"by {its}"}.get(why, f"which {be} {why} autograd's {whose}")
        reason = why if roles.call is None and why not in (AS_TOLD, NAMED) else reason
        if len(taken) == 1:
            ((name, variables),) = taken.items()
            notes.append(f"For `{name}` I took {_code(variables)}, {reason}.")
        else:
            pairs = listed([f"{_code(variables)} for `{name}`" for name, variables in taken.items()])
            notes.append(f"As gradients I took {pairs}, {reason.replace('updates it', 'updates them')}.")
    if roles.assumed is not None:
        notes.append(
            f"The script writes down no loss that its updates are those of. I assumed that it is {roles.assumed}."
        )
    notes += roles.notes
    for name, lines in roles.unjudged.items():
        said = f"With output={roles.output_name!r} (--output {roles.output_name}) nothing is said of them."
        notes.append(
            f"Nothing was found that the steps of `{name}` in line {listed([*map(str, lines)])} are a gradient of. "
            + (said if roles.assumed is None else "Write down the loss that they are to descend.")
        )
    if roles.alone:
        notes.append(f"Nothing was found that is meant as a gradient for {_code(roles.alone)}.")
    calls = [c for c in trace.calls if roles.call is not None and called_so(c) == called_so(roles.call)]
    if roles.call is not None and len(calls) > 1:
        nth = "last" if roles.call is calls[-1] else "first"
        notes.append(
            f"The output {_code([roles.output_name])} is differentiated {len(calls)} times; "
            f"I took the {nth}, in line {roles.call.line}."
        )
    if roles.call is not None and roles.call.upstream:
        output = _code([roles.output_name])
        notes.append(f"The output {output} is differentiated from a gradient of the script's own, and not from 1.")
    told = {f"leaf {k}": name for k, name in enumerate(leaf_names(trace))}
    for key, inner in execution.given.items():
        leaf = told.get(inner) if isinstance(inner, str) else None
        if leaf is not None and leaf.rpartition(".")[2] != key[0].rpartition(".")[2]:
            notes.append(f"The numbers in `{key[0]}` are those of `{leaf}`: I took the two for one input.")
    if run.random:
        notes.append(f"The script draws random numbers; a seed that it does not set itself was {script.seed}.")
    stopped = execution.complete.stopped or run.stopped
    if execution.complete.trace.loops.left_at:
        notes.append(f"Not all of the script was run: {stopped}.")
    elif stopped is not None:
        notes.append(f"The script stops early ({stopped}); what it had computed until then is judged.")
    if run.cut:
        notes.append(f"The script prints a lot: {counted(run.cut, 'character')} beyond the limit were dropped.")
    notes += [*script.pasted.told, *_outside(script.pasted)]
    left = script.pasted.left_out
    if left:
        shown = ", ".join(ranges([k for k, _ in left])[:6])
        more = len(ranges([k for k, _ in left])) - 6
        tail = f" and {more} more places" if more > 0 else ""
        notes.append(
            "1 line that is no code was left out: "
            if len(left) == 1
            else f"{len(left)} lines that are no code were left out: "
        )
        notes[-1] += f"{shown}{tail}."
    return notes


_FILES = (
    "open",
    "load",
    "loadtxt",
    "genfromtxt",
    "fromfile",
    "read_csv",
    "read_pickle",
    "read_text",
    "read_bytes",
    "memmap",
)
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
