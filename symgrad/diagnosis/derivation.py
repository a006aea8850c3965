"""A derivation laid out for diagnosis: its lines, what they mean, and all true quantities, at one generic point.

The point lies near one where the hand formula was refuted, in the same branch of the code, with all the bits that a
double holds, so that two different quantities do not agree by chance.  Data stay as given.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch, Pair, PairComparison
from symgrad.checking.exploration import Findings, branch_at
from symgrad.diagnosis.claims import (
    Kinds,
    Line,
    Meaning,
    Names,
    asked_for,
    called_by,
    is_derivative_like,
    meaning_of,
    read_name,
    sensitivities,
    squashed,
)
from symgrad.diagnosis.truth_table import Entry, Table, argument_of, ask, tabulate
from symgrad.diagnosis.value_matching import Index, entries_of, is_zero, same
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, binary
from symgrad.ops.row import precision
from symgrad.problem.definedness import depends_on
from symgrad.problem.question import Problem
from symgrad.program.program import Binding, Program, interpret, size

PRECISION = 256
_TRIES = 6
_NAMED = 64  # model quantities that count as named for the table's derivatives between them
_CHOOSES = re.compile(r"\b(if|and|or|lambda)\b")
_PASSING = frozenset(("add", "sub", "name", "cast"))


@dataclass(frozen=True, slots=True)
class Final:
    """What the derivation returns for one input: the hand's step, the truth's, and the line that holds it, if any."""

    name: str
    hand: int
    exact: int
    line: int | None
    wrong: bool
    fits: bool = True


Place = tuple[str | None, int]  # a line of a file


def lines_of_model(branch: Branch) -> frozenset[Place]:
    """The lines of the user's code that the model's value comes from, but for those that say several things, of which
    the model may have taken one.
    """
    sources = (branch.program.steps[i].source for i in branch.program.needed([branch.model]))
    return frozenset((s.file, s.line) for s in sources if s is not None and s.line and not _CHOOSES.search(s.text))


@dataclass(frozen=True, eq=False)
class Derivation:
    """Everything that diagnosis looks at.  ``values`` are balls, by step; ``order`` the steps of the hand code."""

    branch: Branch
    table: Table
    values: Mapping[int, Any]
    lines: Mapping[int, Line]
    meanings: Mapping[int, Meaning]
    order: tuple[int, ...]
    users: Mapping[int, tuple[int, ...]]
    finals: tuple[Final, ...]
    names: Names
    called: Mapping[int, str]
    derivatives: Index
    model: Index
    typed: bool
    point: Mapping[str, Any]

    @property
    def program(self) -> Program:
        return self.table.program

    @functools.cached_property
    def lines_of_model(self) -> frozenset[Place]:
        """The lines of code that the model's own value comes from: they say what is meant, and are not wrong."""
        return lines_of_model(self.branch)

    def entry(self, k: int) -> Entry:
        return self.table.entries[k]


def derivation_of(problem: Problem, findings: Findings, words: Mapping[str, str] | None = None) -> Derivation:
    """Lay out the derivation of a refuted claim.

    Raises `BadInput` where a word in ``words`` cannot be read.
    """
    branch, views, point = _where(problem, findings)
    branch = _through_names(branch)
    bindings = branch.program.bindings
    count = len(branch.model_run.program.bindings)
    names = _names(branch, problem, bindings[:count])
    wanted = [*branch.program.needed([branch.model]), *(b.step for b in bindings), *_ends(branch)]
    with precision(PRECISION):
        inputs = {name: binary(point[name]) for name in branch.program.inputs}
        balls = Balls(typed=branch.typed)
        values = interpret(branch.program, balls, inputs, wanted)
        lines = _lines(branch, bindings[count:])
        names = _with_aliases(branch, names, lines, values)
        named = [i for steps in names.steps.values() for i in steps][:_NAMED]
        scalars = list(names.inputs)
        table = tabulate(branch, named, scalars)
        asked = {n: asked_for(n, names, (words or {}).get(n)) for n in dict.fromkeys(b.name for b in bindings[count:])}
        table = ask(table, branch.model, [pair for pairs, _ in asked.values() for pair in pairs])
        values = interpret(table.program, balls, inputs, [e.step for e in table.entries], replaced=values)
        kinds = Kinds(table)
        meanings = _meanings(lines, asked, kinds, names, words or {})
        held = _held(program=branch.program, model=branch.model, lines=lines, values=values, typed=branch.typed)
        moving = depends_on(branch.program, problem.wrt if problem.order else problem.inputs.free)
        meanings = _borne_out(meanings, lines, names, values, branch.typed)
        meanings = _in_step(meanings, lines, held, moving, names, values, branch.typed)
        finals = tuple(_finals(branch, views, lines, point))
        for final in finals:
            if final.line is not None:
                (mine,) = kinds.get("final", branch.model, branch.program.inputs.get(final.name))
                before = meanings[final.line]
                together = before.whole if before.how == "final" else ()
                meanings[final.line] = Meaning((*together, mine), before.parts, 1.0, "final")
        entries = [(k, entries_of(values[e.step]), table.program.shape(e.step)) for k, e in enumerate(table.entries)]
        derivatives = Index([x for x in entries if table.entries[x[0]].kind != "value"], branch.typed)
        model = Index([x for x in entries if table.entries[x[0]].kind == "value"], branch.typed)
    order, users = _order(branch, finals, lines)
    return Derivation(
        branch,
        table,
        values,
        {i: line for i, line in lines.items() if i in set(order)},
        meanings,
        order,
        users,
        finals,
        names,
        called_by(names, table.program),
        derivatives,
        model,
        branch.typed,
        point,
    )


def _meanings(
    lines: Mapping[int, Line],
    asked: Mapping[str, tuple[list[tuple[int, int]], float]],
    kinds: Kinds,
    names: Names,
    words: Mapping[str, str],
) -> dict[int, Meaning]:
    """What every line means; the rounds of a loop share one meaning."""
    shared: dict[Any, Meaning] = {}
    found = {}
    for i, line in lines.items():
        version = line.binding.version if line.name in names.own else 0  # it recomputes that version of the model's
        mark = line.name, kinds.program.shape(i), version
        if mark not in shared:
            shared[mark] = meaning_of(line, *asked[line.name], kinds, names, line.name in words)
        found[i] = shared[mark]
    return found


def _held(program: Program, model: int, lines: Mapping[int, Line], values: Any, typed: bool) -> dict[int, int]:
    """The quantities of the model that lines of the hand code hold: it computes them again as it goes."""
    steps = [i for i in program.needed([model]) if program.steps[i].op != "constant"]
    index = Index([(i, entries_of(values[i]), program.shape(i)) for i in steps], typed)
    found = {}
    for i in lines:
        same = [k for k, layout in index.matches(entries_of(values[i]), program.shape(i)) if not layout]
        if same:
            found[i] = same[-1]
    return found


def _borne_out(
    meanings: Mapping[int, Meaning], lines: Mapping[int, Line], names: Names, values: Mapping[int, Any], typed: bool
) -> dict[int, Meaning]:
    """The meanings without those of names, such as ``xr``, that may be a tangent's, where none of the values is one,
    nor one of the tangents of the same quantity by another input, ``xq``."""
    read = {i: sensitivities(lines[i].name, names) for i in meanings if not is_derivative_like(lines[i].name)}
    borne = set()
    for i, readings in read.items():
        mine = entries_of(values[i])
        truths = [entries_of(values[e.step]) for e in meanings[i].whole] if readings and not is_zero(mine) else ()
        if any(len(mine) == len(t) and same(mine, t, typed) for t in truths):
            borne |= {r.of for r in readings}
    unlikely = [i for i, readings in read.items() if readings and borne.isdisjoint(r.of for r in readings)]
    return {**meanings, **dict.fromkeys(unlikely, Meaning())}


def _in_step(
    meanings: Mapping[int, Meaning],
    lines: Mapping[int, Line],
    held: Mapping[int, int],
    moving: Collection[int],
    names: Names,
    values: Mapping[int, Any],
    typed: bool,
) -> dict[int, Meaning]:
    """What lines mean that go forward beside the values: the tangent of the value just computed, or of the next.

    Which of the two is the same in every turn, and for every input: as more of these lines are by their values.
    """
    found, sides = dict(meanings), {}
    votes: Counter[tuple[Any, bool]] = Counter()
    for i, meaning in meanings.items():
        near = _beside(i, lines, names) if meaning.how == "name" and meaning.whole else None
        if near is None:
            continue
        before, after = near
        if before is not None and before not in moving:
            found[i] = Meaning()  # the tangent of a constant
            continue
        of = [None if before is None else held.get(before), held.get(after)]
        kept = [e for e in meaning.whole if e.kind in ("tangent", "local", "jacobian") and e.of in of]
        if kept:
            found[i] = replace(meaning, whole=tuple(kept))
            again = sum(i < k < after and other.name == lines[i].name for k, other in lines.items())
            mine, last = entries_of(values[i]), lines[after if before is None else before]
            mark = last.key, lines[after].key, again
            sides[i] = mark, of, is_zero(mine)
            for e in kept if of[0] != of[1] and not is_zero(mine) else ():
                votes[mark, e.of == of[1]] += same(mine, entries_of(values[e.step]), typed)
    for i, (mark, (before, after), is_nothing) in sides.items():
        is_next = votes[mark, True] > votes[mark, False]
        if before is None and is_nothing and not is_next:
            found[i] = Meaning()  # the tangent of a constant that no line holds
        elif votes[mark, True] != votes[mark, False]:
            kept = tuple(e for e in found[i].whole if (e.of == after) is is_next)
            found[i] = replace(found[i], whole=kept or found[i].whole)
    return found


def _beside(i: int, lines: Mapping[int, Line], names: Names) -> tuple[int | None, int] | None:
    """The lines before and after one, in a loop, that compute what its name says that it is the derivative of; the
    first may hold no more than a constant, and is none then."""
    name = lines[i].name
    of = {squashed(r.of or r.wrt) for r in (*read_name(name), *sensitivities(name, names))}
    mine = [k for k, other in lines.items() if other.name == name]
    values = [k for k, other in lines.items() if squashed(other.name) in of]
    if not any(mine[0] < k < mine[-1] for k in values):
        return None
    before = max((k for k in values if k < i), default=None)
    return before, min((k for k in values if k > i), default=before or values[0])


def _where(problem: Problem, findings: Findings) -> tuple[Branch, Mapping[str, PairComparison], Mapping[str, Any]]:
    """A branch where the hand formula is wrong, and a generic point of it."""
    seen = [(b, s) for b, s in [(findings.own, findings.at_user_point), *findings.looks] if not s.ties]
    bad = ("differs", "undefined")
    refuted = [n for n, v in findings.verdicts.items() if v.kind == "refuted"]
    wrong = [
        (b, s)
        for b, s in seen
        if any(s.views[n].state in bad for n in refuted if n in s.views) or any(p.hand is None for p in b.pairs)
    ]
    whole = [(b, s) for b, s in wrong if not any(v.state == "outside" for v in s.views.values())]
    branch, look = (whole or wrong or seen or [(findings.own, findings.at_user_point)])[0]
    for k in range(_TRIES if not problem.values_only else 0):
        rng = np.random.default_rng((problem.seed, 3, k))
        point = dict(look.point)
        for name in problem.inputs.free:
            value = np.asarray(point[name])
            noise = rng.uniform(0.5, 1.0, value.shape) * rng.choice([-1, 1], value.shape)
            near = np.asarray(value + 2.0 ** -(7 + 3 * k) * np.maximum(np.abs(value), 0.05) * noise)
            low, high = problem.inputs.bounds.get(name, (None, None))
            outside = (np.zeros(value.shape, bool) if low is None else near <= low) | (
                False if high is None else near >= high
            )
            point[name] = np.where(outside, value, near)
        try:
            if branch_at(problem, point, [branch]) is branch:
                return branch, look.views, point
        except SymgradError:
            continue
    return branch, look.views, look.point


def _through_names(branch: Branch) -> Branch:
    """The branch with every later use of a value that has a name going through the name.

    A view of an array is traced to the memory it looks at, which is older than the name; truth has to reach it too.
    A value that was used before it got the name is another's, which goes on being what it is.
    """
    steps = list(branch.program.steps)
    named: dict[int, int] = {}
    used: set[int] = set()
    names = {b.step for b in branch.program.bindings}
    for i, step in enumerate(steps):
        args = tuple(named.get(a, a) for a in step.args)
        if args != step.args:
            steps[i] = replace(step, args=args)
        if i in names and step.op == "name" and steps[args[0]].op not in ("name", "input", "constant"):
            if step.args[0] not in used:
                named.setdefault(step.args[0], i)
        elif step.op != "name":
            used.update(step.args)
    return replace(branch, program=replace(branch.program, steps=tuple(steps)))


def _names(branch: Branch, problem: Problem, bindings: Sequence[Binding]) -> Names:
    steps: dict[str, list[int]] = {}
    inside = set(branch.program.needed([branch.model]))
    for name, i in branch.program.inputs.items():
        steps.setdefault(name, []).append(i)
    for b in bindings:
        if b.step in inside:
            steps.setdefault(b.name, []).append(b.step)
    wrt = {n: branch.program.inputs[n] for n in problem.wrt if n in branch.program.inputs}
    scalars = {n: i for n, i in wrt.items() if branch.program.shape(i) == ()}
    return Names(steps, branch.model, scalars, frozenset(b.name for b in bindings if b.step in inside))


def _with_aliases(branch: Branch, names: Names, lines: Mapping[int, Line], values: Mapping[int, Any]) -> Names:
    """The names, and those that the hand code gives to the model's quantities when it computes them again."""
    program = branch.program
    model = [i for i in program.needed([branch.model]) if program.steps[i].op != "constant"]
    index = Index([(i, entries_of(values[i]), program.shape(i)) for i in model], branch.typed)
    steps = {name: list(found) for name, found in names.steps.items()}
    taken: dict[int, str] = {}
    for line in lines.values():
        if line.name in names.own or line.name in names.inputs or is_derivative_like(line.name):
            continue
        found = [
            i for i, layout in index.matches(entries_of(values[line.step]), program.shape(line.step)) if not layout
        ]
        if found and taken.setdefault(found[-1], line.name) == line.name:  # a second name is rather a slip
            steps.setdefault(line.name, []).append(found[-1])
    _before_activation(program, steps)
    arguments = {i: argument_of(program, i) for found in steps.values() for i in found}
    arguments = {i: a for i, a in arguments.items() if a != i and program.steps[a].op != "input"}
    return Names(steps, names.output, names.inputs, names.own, arguments)


_ACTIVATIONS = frozenset("tanh sigmoid relu exp softplus gelu erf sin cos log sqrt softmax".split())


def _before_activation(program: Program, steps: dict[str, list[int]]) -> None:
    """What people call the argument of the function that makes h, where the model has no name for it: h_raw, z."""
    known = {squashed(n) for n in steps}
    for name, found in list(steps.items()):
        before = []
        for i in found:
            while program.steps[i].op in ("name", "cast") or (
                program.steps[i].op == "pick" and len(program.steps[i].args) == 1 and "h" in name
            ):
                i = program.steps[i].args[0]
            if program.steps[i].op in _ACTIVATIONS:
                before.append(program.steps[i].args[0])
        others = [f"{name}{end}" for end in ("_raw", "_pre", "_lin", "_in", "_net")]
        others += ["z" + name[1:]] if name[:1] in "ah" else []
        for other in others if before else ():
            if squashed(other) not in known:
                steps[other] = before


def _lines(branch: Branch, bindings: Sequence[Binding]) -> dict[int, Line]:
    last = {b.name: b.step for b in bindings}
    users: dict[int, list[int]] = {}
    for i, step in enumerate(branch.program.steps):
        for a in step.args:
            users.setdefault(a, []).append(i)
    before: dict[str, int] = {}
    found = {}
    for b in bindings:
        adds = b.name in before and _passes(branch.program, b.step, before[b.name])
        adds = adds and not _goes_on(branch.program, users, before[b.name], b.step)
        found[b.step] = Line(b, adds, last[b.name] == b.step)
        before[b.name] = b.step
    return found


def _passes(program: Program, step: int, earlier: int) -> bool:
    """Whether an earlier value arrives at a step with something added to it, or to parts of it, and unchanged else."""
    stack, seen = [(step, False)], set()
    while stack:
        i, added = stack.pop()
        if i == earlier and added:
            return True
        if (i, added) in seen or i <= earlier:
            continue
        seen.add((i, added))
        s = program.steps[i]
        if s.op in (*_PASSING, "pick"):
            stack += [(a, added or s.op in ("add", "sub")) for a in (s.args[:1] if s.op == "sub" else s.args)]
    return False


def _goes_on(program: Program, users: Mapping[int, Sequence[int]], earlier: int, step: int) -> bool:
    """Whether an earlier value is computed with before ``step``: then it is a recurrence's, and no sum under way."""
    stack, seen = [earlier], set()
    while stack:
        for u in users.get(stack.pop(), ()):
            if u <= step and u not in seen:
                seen.add(u)
                if program.steps[u].op not in (*_PASSING, "pick"):
                    return True
                stack.append(u)
    return False


def _ends(branch: Branch) -> list[int]:
    outputs = [i for key, i in branch.program.outputs.items() if key.startswith("hand.")]
    return [*outputs, *(i for p in branch.pairs for i in (p.hand, p.exact) if i is not None)]


def _finals(branch: Branch, views: Mapping[str, PairComparison], lines: Mapping[int, Line], point: Any):
    for p in branch.pairs:
        hand = branch.program.outputs[f"hand.{p.name}"] if p.hand is None else p.hand
        view = views.get(p.name)
        wrong = p.hand is None or (view is not None and view.state in ("differs", "undefined"))
        yield Final(p.name, hand, p.exact, _line_of(branch.program, hand, lines), wrong, _fits(p))


def _fits(pair: Pair) -> bool:
    return pair.hand is not None


def _line_of(program: Program, step: int, lines: Mapping[int, Line]) -> int | None:
    """The line whose value is returned as it is."""
    while step not in lines:
        s = program.steps[step]
        if s.op not in ("name", "cast", "pick") or len(s.args) != 1 or size(s.shape) != size(program.shape(s.args[0])):
            return None
        step = s.args[0]
    return step


def _order(
    branch: Branch, finals: Sequence[Final], lines: Mapping[int, Line]
) -> tuple[tuple[int, ...], dict[int, Any]]:
    """The hand code's steps that its results need, and which of them use which."""
    program = branch.program
    model = set(program.needed([branch.model]))
    order = [i for i in program.needed([f.hand for f in finals]) if i not in model or i in lines]
    users: dict[int, list[int]] = {}
    for i in order:
        for a in dict.fromkeys(program.steps[i].args):
            users.setdefault(a, []).append(i)
    return tuple(order), {a: tuple(found) for a, found in users.items()}
