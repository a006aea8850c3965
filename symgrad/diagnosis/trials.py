"""The hand code run in floats with edits made: what each place sees, and whether the whole is then right.

A trial is a run of the user's own code, without a tracer, at points where inputs *and data* are moved; the truth there
is the exact derivative in float64.  Closeness is only a filter: what passes all trials is judged by the whole pipeline.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import functools
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import numpy as np
import torch

from symgrad.checking.comparison import Branch
from symgrad.checking.exploration import Findings, branch_at
from symgrad.diagnosis.hand_parts import Leaf, with_data_moved
from symgrad.diagnosis.line_limits import SLOWER, TooLong, calls_functions, counted
from symgrad.diagnosis.scope import Site, as_array, values_at, wanted_of, with_looks
from symgrad.diagnosis.source_code import HOOK, PUT, TRACE, Code, Expression, Plain, Unit, edited, span
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Formula
from symgrad.lifting.scripts.clipping import may_clip
from symgrad.lifting.scripts.repeatable import is_repeatable, is_size
from symgrad.lifting.tracing.sources import is_users_file
from symgrad.lifting.tracing.surroundings import printed_into
from symgrad.problem.question import Problem
from symgrad.problem.sampling import neighbours
from symgrad.progress import look_at_the_clock

# -------------------------------------------------------------------------------------------------------------- places
# The places in a derivation's code where an edit may be made: every expression of every statement, named or not.
#
# A returned value, what is added to an accumulator, a helper's line, a condition, the index of an assignment and the
# range of a loop are places like any other.

_APART = ("value", "taken apart", "returned", "test", "rounds", "index")  # expressions by which nothing is watched
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LIBRARIES = ("np", "numpy", "torch", "math", "F")
Holder = tuple[ast.expr, str, str, ast.expr | None, ast.operator | None]  # expression, name, role, target, operator


@dataclass(frozen=True, eq=False)
class Place:
    """An expression of the code: the statement it stands in, the name it is for, and its role there.

    ``role`` is "value" (of an assignment), "taken apart" (of one to several names), "returned", "argument" (of a call
    that is a statement), "test", "rounds" (what a loop goes through) or "index" (of an assignment's target);
    ``position`` is where it stands in a returned tuple.
    """

    unit: Unit
    expression: Expression
    name: str
    role: str
    position: int | None = None

    @property
    def is_repeated(self) -> bool:
        """Whether its statement stands in a loop."""
        loops = (n for n in ast.walk(self.unit.node) if isinstance(n, (ast.For, ast.While)))
        return any(s is self.expression.statement for loop in loops for s in ast.walk(loop))

    @functools.cached_property
    def can_be_put_in(self) -> bool:
        """Whether another expression in its place, evaluated by itself, means what it would mean if it were compiled
        there: its names are those of one scope, and what is watched around it does not depend on it."""
        tree, scopes = self.expression.tree, (n for n in ast.walk(self.unit.node) if isinstance(n, _SCOPES))
        if self.role not in _APART or is_size(tree) or (self.role == "index" and is_repeatable(tree)):
            return False
        if "#" in self.expression.text or may_clip(self.unit.text):
            return False
        return sum(any(s is self.expression.statement for s in ast.walk(scope)) for scope in scopes) < 2

    @property
    def line(self) -> int:
        """The line in the user's file that the expression begins on."""
        return self.unit.first + self.unit.text.count("\n", 0, self.expression.start)

    def with_text(self, text: str) -> str:
        """The unit's text with another expression in this place."""
        return edited(self.unit.text, [(self.expression.start, self.expression.end, text)])


def places_of(unit: Unit) -> list[Place]:
    """The places of a unit of code, in the order in which they stand.

    >>> import ast
    >>> text = "def f(x):\\n    y = 2 * x\\n    return {'x': y, 'z': -y}\\n"
    >>> unit = Unit(None, text, "<file>", 1, ast.parse(text).body[0])
    >>> [(p.name, p.role, p.expression.text) for p in places_of(unit)]
    [('y', 'value', '2 * x'), ('x', 'returned', 'y'), ('z', 'returned', '-y')]
    """
    if unit.is_lambda:
        found = [(None, h) for h in _returned(unit.node.body)]  # type: ignore[union-attr]
    else:
        found = [(s, h) for s in ast.walk(unit.node) if isinstance(s, ast.stmt) for h in _holders(s)]
    places = [p for s, holder in found if (p := _place(unit, s, holder)) is not None]
    return sorted(places, key=lambda p: p.expression.start)


def _place(unit: Unit, statement: ast.stmt | None, holder: Holder) -> Place | None:
    node, name, role, target, op = holder
    position = int(name) if name.isdigit() else None
    name = "return" if position is not None else name
    start, end = span(unit.text, node, shift=1 if statement is None else 0)
    text = unit.text[start:end]
    try:
        tree = ast.parse(f"({text}\n)", mode="eval").body
    except SyntaxError:  # a slice such as ``1:``
        return None
    return Place(unit, Expression(start, end, text, tree, statement, target, op), name, role, position)


def _holders(s: ast.stmt) -> Iterator[Holder]:
    match s:
        case ast.Assign(targets=[*_, ast.Tuple(elts=names) | ast.List(elts=names)], value=ast.Tuple(elts=values)):
            if len(names) == len(values):
                for target, value in zip(names, values, strict=True):
                    yield value, base_name(target), "value", target, None
        case ast.Assign(targets=[*_, ast.Tuple(elts=[first, *_])], value=value):
            yield value, base_name(first), "taken apart", None, None
        case ast.Assign(targets=[*_, target], value=value) if not isinstance(target, (ast.Tuple, ast.List)):
            yield value, base_name(target), "value", target, None
            yield from _index(target)
        case ast.AugAssign(target=target, op=op, value=value):
            yield value, base_name(target), "value", target, op
            yield from _index(target)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield value, base_name(target), "value", target, None
        case ast.Return(value=ast.expr() as value):
            yield from _returned(value)
        case ast.Expr(value=ast.Call(func=f, args=args)):
            name = base_name(f.value) if isinstance(f, ast.Attribute) else base_name(f)
            if name in _LIBRARIES and args:
                name = base_name(args[0])
            for arg in args:
                if not isinstance(arg, ast.Starred):
                    own = base_name(arg) if name in ("ctx", "self") else name
                    yield arg, own, "argument", None, None
        case ast.If(test=test) | ast.While(test=test):
            yield test, "if", "test", None, None
        case ast.For(target=target, iter=over):
            yield over, base_name(target), "rounds", None, None


def _returned(value: ast.expr) -> Iterator[Holder]:
    match value:
        case ast.Tuple(elts=parts):
            for k, part in enumerate(parts):
                yield part, str(k), "returned", None, None
        case ast.Dict(keys=keys, values=parts):
            for key, part in zip(keys, parts, strict=True):
                name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else "return"
                yield part, name, "returned", None, None
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=[*_, _] as keywords):
            for k in keywords:
                yield k.value, k.arg or "return", "returned", None, None
        case _:
            yield value, "return", "returned", None, None


def _index(target: ast.expr) -> Iterator[Holder]:
    if isinstance(target, ast.Subscript):
        yield target.slice, base_name(target), "index", None, None


def base_name(target: ast.expr) -> str:
    """The variable that an assignment's target is, or is a part of.

    >>> import ast
    >>> [base_name(ast.parse(t, mode="eval").body) for t in ("a", "a[0].T", "self.W[1]")]
    ['a', 'a', 'W']
    """
    while isinstance(target, (ast.Subscript, ast.Attribute, ast.Starred, ast.Tuple, ast.List)):
        match target:
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                target = parts[0] if parts else ast.Name("return")
            case ast.Attribute(value=ast.Name(id="self" | "ctx"), attr=name):
                return name
            case _:
                target = target.value
    return target.id if isinstance(target, ast.Name) else "return"


# -------------------------------------------------------------------------------------------------------------- trials

_NEAR = 1e-8  # a filter, not a verdict
_POINTS = 3
_RUNS = 2500  # runs of the code, at most
_FEWEST = 150
_WORK = 600_000  # operations in all runs together
_ALL = 4  # times as much as its derivation that a script computes
_SMALL = 8  # entries of an output that are looked at each by itself
_ROUNDS = 40  # times that one statement is looked at
_HELD = 20_000_000  # numbers that are held for all looks together

Change = tuple[Place, str]


@dataclass(eq=False)
class Trials:
    """A hand formula's code, points to run it at, and the truth there by the names of the code's own outputs.

    ``runs`` counts the trials that were made, ``most`` is when to stop.  ``lines`` is how many lines of the user's code
    one run may take, where an edit may make it run for ever; None where it cannot.
    """

    code: Code
    model: Formula
    points: Sequence[Mapping[str, Any]]  # by the code's own names
    truths: Sequence[Mapping[str, np.ndarray]]
    outer: Sequence[Mapping[str, Any]]  # the same points by the question's names
    branches: Sequence[Branch]  # the branch of the code that is taken at each
    most: int
    lines: int | None = None
    runs: int = 0
    put_in: dict[tuple[Place, ...], tuple[Plain | None, list[CodeType]]] = field(default_factory=dict)

    @property
    def is_spent(self) -> bool:
        return self.runs >= self.most


def trials_of(
    problem: Problem, findings: Findings, leaf: Leaf, code: Code, first: Mapping[str, Any], *, alone: bool
) -> Trials | None:
    """The trials of one formula of the hand side; None where it cannot be run without a tracer.

    ``first`` is a point where it is wrong; ``alone`` says that the hand side has no other formula.
    """
    if code.plain({}, {}) is None:
        return None
    called = getattr(problem.hand, "keys", {})
    points, truths, outer, branches = [], [], [], []
    for point in _points(problem, findings, first):
        try:
            branch = branch_at(problem, point, findings.branches)
            steps = {p.name: p.exact for p in branch.pairs}
            values = values_at(branch.program, list(steps.values()), point)
        except (SymgradError, RuntimeError):
            continue
        truth = {name: as_array(values[i]) for name, i in steps.items() if i in values}
        if len(truth) < len(steps) or not all(np.isfinite(t).all() for t in truth.values()):
            continue
        own = {o: point[leaf.of.get(o, o)] for o in leaf.formula.names if leaf.of.get(o, o) in point}
        truths.append(_by_output(truth, called, leaf, alone))
        points.append(own)
        outer.append(point)
        branches.append(branch)
        if len(points) >= _POINTS:
            break
    if not points or not truths[0]:
        return None
    work = _WORK if code.lines is None else _WORK // _ALL  # a script runs its model too, and what stands around it
    most = min(_RUNS, max(_FEWEST, work // len(branches[0].hand_run.program)))
    found = Trials(code, problem.model, points, truths, outer, branches, int(most * problem.effort))
    if code.lines is None and _may_lose_its_end(code):
        found.lines = SLOWER * _lines_of(found) + SLOWER
    return found


def _may_lose_its_end(code: Code) -> bool:
    """Whether an edit may make the code run for ever: it loops by a condition, or calls what may."""
    loops = (isinstance(node, ast.While) for unit in code.units for node in ast.walk(unit.node))
    return any(loops) or any(calls_functions(unit.node, unit.scope) for unit in code.units)


def _by_output(truth: Mapping[str, Any], called: Mapping[str, str], leaf: Leaf, alone: bool) -> dict[str, Any]:
    if leaf.key is not None and not alone:
        return {"output": truth[leaf.key]} if leaf.key in truth else {}
    back = {name: own for own, name in called.items()}
    return {back.get(name, name): t for name, t in truth.items()}


def _points(problem: Problem, findings: Findings, first: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Points for trials: one where the formula is wrong, then others with inputs and data moved."""
    yield first
    for k, near in enumerate(neighbours(problem.inputs, 8, problem.seed + 1)):
        yield with_data_moved(problem, near, findings.own, k) or near
    yield from neighbours(problem.inputs, 4, problem.seed + 1)  # data moved may leave the domain
    yield problem.inputs.point


# ------------------------------------------------------------------------------------------------ running


def texts_with(changes: Sequence[Change]) -> dict[Unit, str]:
    """The texts of the units that some changes are made in."""
    spans: dict[Unit, list[tuple[int, int, str]]] = {}
    for place, text in changes:
        spans.setdefault(place.unit, []).append((place.expression.start, place.expression.end, text))
    return {unit: edited(unit.text, found) for unit, found in spans.items()}


def outcome(trials: Trials, changes: Sequence[Change], good: frozenset[str] = frozenset()) -> frozenset[str]:
    """The outputs that are right at every point with the changes made; none where the code fails, or where none that
    is not ``good`` already is right at the first point.
    """
    with contextlib.suppress(NameError):  # what a name stands for may be known to the compiler alone
        run = _put_in(trials, changes)
        if run is not None:
            return _right_with(trials, run, good, NameError)
    try:
        run = trials.code.plain(texts_with(changes), {})
    except SymgradError:
        return frozenset()
    return frozenset() if run is None else _right_with(trials, run, good)


def _right_with(
    trials: Trials, run: Plain, good: frozenset[str], told: type[Exception] | tuple[()] = ()
) -> frozenset[str]:
    """The outputs that are right at every point; raises what is to be ``told``, and nothing else."""
    right: frozenset[str] | None = None
    for point, truth in zip(trials.points, trials.truths, strict=True):
        trials.runs += 1
        try:
            found = _run(trials, run, point)
        except told:
            trials.runs -= 1  # it is made again
            raise
        except (Exception, TooLong):  # an edit may well be nonsense: of other shapes, undefined, without an end
            return frozenset()
        here = frozenset(name for n, t in truth.items() for name in _near_ones(n, found.get(n), t))
        right = here if right is None else right & here
        if right <= good:
            return right
    return right or frozenset()


def _put_in(trials: Trials, changes: Sequence[Change]) -> Plain | None:
    """The code with the changes made where they are run: each expression is evaluated with the variables that stand in
    its place, so that the code around it is compiled once for all of them.  None where that could mean something else.
    """
    codes = [_alone(text, p.role, p.unit.file) if p.can_be_put_in else None for p, text in changes]
    if not codes or None in codes:
        return None
    places = tuple(place for place, _ in changes)
    if places not in trials.put_in:
        now: list[CodeType] = []
        put = lambda k, outer, inner: eval(now[k], outer, inner)  # noqa: E731
        # the expression as it was written stays, so that its names are those of the same scopes as before
        each = [f"({PUT}({k}, globals(), locals()) if {PUT} else ({p.expression.text}))" for k, p in enumerate(places)]
        with contextlib.suppress(SymgradError):
            trials.put_in[places] = None, now
            texts = texts_with(list(zip(places, each, strict=True)))
            trials.put_in[places] = trials.code.plain(texts, {PUT: put}), now
    run, now = trials.put_in[places]
    now[:] = codes  # type: ignore[assignment]
    return run


_WITH_ALL = re.compile(r"__|:=|\b(min|super|lambda|yield|await)\b|cl(ip|amp)_?\(")


@functools.lru_cache(maxsize=4096)
def _alone(text: str, role: str, file: str) -> CodeType | None:
    """An expression's code, to be evaluated by itself; None where it is to be compiled with what stands around it."""
    if _WITH_ALL.search(text):
        return None
    with warnings.catch_warnings(), contextlib.suppress(SyntaxError, ValueError):
        warnings.simplefilter("ignore")
        tree = ast.parse(f"({text}\n)", mode="eval")
        if is_size(tree.body) or (is_repeatable(tree.body) if role == "index" else isinstance(tree.body, ast.Tuple)):
            return None
        made = compile(tree, file, "eval")
        return None if any(isinstance(c, CodeType) for c in made.co_consts) else made
    return None


def names_of(truth: Mapping[str, np.ndarray]) -> frozenset[str]:
    """The outputs, and the entries of the small ones: a slip may leave some of them right."""
    return frozenset(name for n, t in truth.items() for name in (n, *_entries(n, t)))


def _entries(name: str, truth: np.ndarray) -> list[str]:
    return [f"{name}[{k}]" for k in range(truth.size)] if 1 < truth.size <= _SMALL else []


def _near_ones(name: str, value: Any, truth: np.ndarray) -> Iterator[str]:
    if is_near(value, truth):
        yield name
        yield from _entries(name, truth)
    elif (entries := _entries(name, truth)) and value is not None:
        a = as_array(value)
        if a.size == truth.size and a.dtype.kind in "fiu":
            pairs = zip(entries, a.reshape(-1), truth.reshape(-1), strict=True)
            yield from (entry for entry, x, t in pairs if abs(x - t) <= _NEAR * abs(t))


def _run(trials: Trials, run: Plain, point: Mapping[str, Any]) -> Mapping[str, Any]:
    """One run, in silence; raises what the code raises, and `TooLong` beyond the lines that trials allow."""
    look_at_the_clock()
    with torch.no_grad(), np.errstate(all="ignore"), printed_into(io.StringIO()):
        if trials.lines is None:
            return run(point)
        with counted(_is_the_users, trials.lines):
            return run(point)


def _is_the_users(file: str) -> bool:
    return is_users_file(file) or file.startswith("<repaired")


def _lines_of(trials: Trials) -> int:
    """How many lines the code takes as it is written, at the first point."""
    run = trials.code.plain({}, {})
    assert run is not None
    most = 0
    with contextlib.suppress(Exception), counted(_is_the_users) as lines:
        _run(trials, run, trials.points[0])
        most = lines[0]
    return most


def is_near(value: Any, truth: np.ndarray) -> bool:
    """Whether a value is near enough to the truth to be worth judging; sizes count, layouts do not."""
    if value is None:
        return not truth.any()
    a = as_array(value)
    if a.size != truth.size or a.dtype.kind not in "fciub":
        return False
    if [n for n in a.shape if n != 1] != [n for n in truth.shape if n != 1]:
        return False
    gap = np.abs(a.reshape(-1) - truth.reshape(-1))
    each = _NEAR * np.abs(truth.reshape(-1)) + 1e-12 * np.max(np.abs(truth), initial=0)
    return bool((gap <= each).all())


# ------------------------------------------------------------------------------------------------ looking


@dataclass(eq=False)
class Seen:
    """What each statement of a unit saw: the variables at statement k, point j, each time that it ran."""

    statements: list[ast.stmt | None] = field(default_factory=list)
    envs: dict[tuple[int, int], list[dict[str, Any]]] = field(default_factory=dict)
    times: dict[tuple[int, int], int] = field(default_factory=dict)

    def of(self, place: Place, point: int) -> list[dict[str, Any]]:
        k = next((k for k, s in enumerate(self.statements) if s is place.expression.statement), None)
        return [] if k is None else self.envs.get((k, point), [])


def look_at(trials: Trials, unit: Unit, places: Sequence[Place]) -> Seen:
    """Run the code at every point with a look at its variables before each statement of a unit."""
    seen = Seen(list({id(p.expression.statement): p.expression.statement for p in places}.values()))
    held = now = 0

    def look(k: int, trace: Any, names: dict[str, Any]) -> None:
        nonlocal held
        mark = k, now
        seen.times[mark] = seen.times.get(mark, 0) + 1
        if seen.times[mark] <= _ROUNDS and held < _HELD:
            found = {n: _copied(v) for n, v in names.items() if not n.startswith("__")}
            held += sum(getattr(v, "size", 0) for v in found.values() if isinstance(v, np.ndarray))
            held += sum(v.numel() for v in found.values() if isinstance(v, torch.Tensor))
            seen.envs.setdefault(mark, []).append(found)

    run = trials.code.plain({unit: with_looks(unit, seen.statements)}, {HOOK: look, TRACE: None})  # type: ignore[arg-type]
    for j, point in enumerate(trials.points):
        now = j
        trials.runs += 1
        try:
            assert run is not None
            _run(trials, run, point)
        except Exception:
            continue
    return seen


def look_where_right(
    trials: Trials, place: Place, point: int, needed: Sequence[np.ndarray | None]
) -> list[tuple[dict[str, Any], np.ndarray]]:
    """What a line that runs several times sees at a point if it has the value that it needs each time, and what its
    expression must then give: in a recurrence a wrong value would spoil what the line sees the next time.
    """
    site = Site(place.unit, place.expression, place.name, ())
    found: list[tuple[dict[str, Any], np.ndarray]] = []
    names: dict[str, Any] = {}
    turns = iter(needed)

    def look(k: int, trace: Any, seen: dict[str, Any]) -> None:
        nonlocal names
        names = {n: _copied(v) for n, v in seen.items() if not n.startswith("__")}

    def put(value: Any) -> Any:
        need = next(turns, None)
        wanted = None if need is None else wanted_of(site, names, torch.as_tensor(need))
        if wanted is None:
            return value
        if len(found) < _ROUNDS:
            found.append((names, wanted))
        if wanted.size == np.size(as_array(value)):
            wanted = wanted.reshape(np.shape(value))
        if isinstance(value, torch.Tensor):
            return torch.as_tensor(wanted).to(value.dtype)
        return np.array(wanted, dtype=float) if wanted.ndim else float(wanted)

    e = place.expression
    text = with_looks(place.unit, [e.statement], [(e.start, e.end, f"{PUT}({e.text})")])
    run = trials.code.plain({place.unit: text}, {HOOK: look, TRACE: None, PUT: put})
    trials.runs += 1
    with contextlib.suppress(Exception):  # the code may not go on from a value of another shape
        assert run is not None
        _run(trials, run, trials.points[point])
    return found


def _copied(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return x.detach().clone()
    if isinstance(x, np.ndarray):
        return x.copy()
    if type(x) in (list, tuple):
        return type(x)(_copied(i) for i in x)
    if type(x) is dict:
        return {k: _copied(v) for k, v in x.items()}
    kept = getattr(x, "__dict__", None)
    if kept and type(x).__module__ not in ("torch", "numpy", "builtins") and not callable(x):
        try:
            return copy.copy(x)
        except Exception:
            return x
    return x
