"""What a faulty line could see: the values of every name in scope, at several points, with the truth put in place.

The user's function is run once more with a look at its variables before the faulty line.  Each variable is then a
step of a Program, and has its value at any point; where a binding is wrong, what it should have been is put in its
place, so that a line is searched given right inputs only.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.source_code import HOOK, TRACE, Code, Expression, Unit, Watched, edited, span
from symgrad.errors import LostValue
from symgrad.evaluation.floats import Floats, wide_tensor
from symgrad.lifting.tracing.sources import is_users, node_of, unwrapped
from symgrad.lifting.tracing.traced_values import TracedArray, TracedFloat
from symgrad.program.program import Program, dependents, interpret

_NEAR = 1e-8  # a filter, not a verdict

_MOST = 3  # rounds of a loop that are looked at
_LONG = 12  # lists that are longer are kept only where the line uses them


@dataclass(frozen=True, slots=True)
class _Held:
    """A traced value: the step that holds it, and the kind of value it is."""

    step: int
    kind: type


@dataclass(frozen=True, slots=True)
class _Local:
    """A function that the user's code makes on the way, as it was written."""

    text: str
    is_lambda: bool
    name: str

    def made(self, scope: dict[str, Any]) -> Any:
        if self.is_lambda:
            return eval(compile(self.text, "<local>", "eval"), scope)
        exec(compile(self.text, "<local>", "exec"), scope)
        return scope[self.name]


@dataclass(frozen=True, eq=False)
class Site:
    """A faulty expression: where it stands, and for each time it ran the binding it made and what that should be.

    ``rounds`` are (position of the binding among those of the function's Program or None, step of the truth or None
    where it is not known and only what comes out in the end is).
    """

    unit: Unit
    expression: Expression
    name: str
    rounds: tuple[tuple[int | None, int | None], ...]
    before: tuple[int, ...] = ()  # of each round: which time the line ran


@dataclass(frozen=True, eq=False)
class _Object:
    """An object of the user's, with steps in the place of the traced numbers that its attributes hold."""

    kind: type
    held: Mapping[str, Any]

    def made(self, attributes: Mapping[str, Any]) -> Any:
        out = object.__new__(self.kind)
        out.__dict__.update(attributes)
        return out


@dataclass(eq=False)
class Scene:
    """A site with values: for each sample (a round at a point) the names in scope and the value that is wanted.

    The first ``plain`` samples hold data as they were given; the others move data too, and only help to rank.
    """

    site: Site
    envs: list[dict[str, Any]] = field(default_factory=list)
    wanted: list[np.ndarray] = field(default_factory=list)
    points: list[int] = field(default_factory=list)  # of each sample: its point
    truths: list[int] = field(default_factory=list)  # of each sample: the step that holds its truth
    accepts: list[Callable[[Any], bool]] = field(default_factory=list)  # where only what comes of a value is known
    plain: int = 0


def values_at(program: Program, wanted: Sequence[int], point: Mapping[str, Any], **more: Any) -> dict[int, Any]:
    """The wanted steps in float64, those that do not need an input that has no value at the point."""
    inputs = {n: wide_tensor(point[n]) for n in program.inputs if n in point}
    if len(inputs) < len(program.inputs):
        lost = dependents(program.steps, (i for n, i in program.inputs.items() if n not in inputs))
        wanted = [i for i in wanted if i not in lost]
    with torch.no_grad():
        return interpret(program, Floats("float64"), inputs, wanted, **more)


# ------------------------------------------------------------------------------------------------ looking


def look_around(
    code: Code,
    of: Mapping[str, str],
    sites: Sequence[Site],
    program: Program,
    truths: Mapping[int, int],
    points: Sequence[Mapping[str, Any]],
    plain: int,
    dtypes: Mapping[str, str],
    finals: Mapping[str, int],
) -> list[Scene]:
    """The scene of each site of one unit of code.

    ``of`` maps the code's own input names to those of ``points``; ``program`` holds the truths; ``truths`` maps
    positions among the code's bindings to the steps of ``program`` that hold what they should be; ``finals`` the
    code's outputs to the steps that hold theirs.  Raises `SymgradError` where the code cannot be run so.
    """
    seen: list[list[dict[str, Any]]] = [[] for _ in sites]

    def look(k: int, trace: Any, names: dict[str, Any]) -> None:
        if trace is not None:
            used = _names_in(sites[k])
            seen[k].append({n: _hold(trace, v, n in used) for n, v in names.items() if not n.startswith("__")})

    unit = sites[0].unit
    back = {outside: own for own, outside in of.items()}
    own = {back.get(n, n): v for n, v in points[0].items()}
    kinds = {back.get(n, n): k for n, k in dtypes.items()}
    run = code.watched(unit, with_looks(unit, [s.expression.statement for s in sites]), look, own, kinds)
    ends = {run.outputs[key]: step for key, step in finals.items() if key in run.outputs}
    return [_scene(site, seen[k], run, of, program, truths, points, plain, ends) for k, site in enumerate(sites)]


def seen_at(unit: Unit) -> Callable[[ast.stmt | None], str]:
    """What a statement of a unit sees, as an expression: in a function of a script, those globals that it reads."""
    if unit.function is not None:
        return lambda s: "locals()"
    found: list[tuple[ast.stmt, str]] = []
    for node in ast.walk(unit.node):
        if isinstance(node, ast.FunctionDef):  # those inside of it come later
            read = tuple(sorted({n.id for n in ast.walk(node) if isinstance(n, ast.Name)}))
            names = f"{{**{{n: x for n, x in globals().items() if n in {read}}}, **locals()}}"
            found += [(s, names) for s in ast.walk(node) if isinstance(s, ast.stmt) and s is not node]
    inside = dict(found)
    return lambda s: inside.get(s, "{**globals(), **locals()}") if s is not None else "locals()"


def with_looks(unit: Unit, statements: Sequence[ast.stmt | None], edits: Sequence[tuple[int, int, str]] = ()) -> str:
    """The unit's text with ``HOOK(k, TRACE, names)`` before statement k, those that nothing can be put before left
    alone, and with ``edits`` made; every line but that of a loop or a condition keeps its number.
    """
    seen, text = seen_at(unit), unit.text
    looks = [f"{HOOK}({k}, {TRACE}, {seen(s)})" for k, s in enumerate(statements)]
    if unit.is_lambda:
        start, end = span(text, unit.node.body, shift=1)  # type: ignore[union-attr]
        return edited(text, [(start, end, f"({', '.join(looks)}, ({text[start:end]}))[-1]")])
    put: dict[int, str] = {}
    for look, s in zip(looks, statements, strict=True):
        assert s is not None
        at = span(text, s)[0]
        margin = text[text.rfind("\n", 0, at) + 1 : at]
        if not isinstance(s, (ast.If, ast.While, ast.For)):
            put[at] = f"{put.get(at, '')}{look}; "
        elif not margin.strip() and not text.startswith("elif", at):
            put[at] = f"{put.get(at, '')}{look}\n{margin}"
    return edited(text, [*((at, at, looks) for at, looks in put.items()), *edits])


def _names_in(site: Site) -> set[str]:
    return {n.id for n in ast.walk(site.expression.tree) if isinstance(n, ast.Name)}


def _hold(trace: Any, x: Any, used: bool) -> Any:
    """A variable's value, with steps in the place of traced numbers."""
    kind = type(x)
    if kind is FunctionType and TRACE in x.__code__.co_freevars:
        node = node_of(x)
        return None if node is None else _Local(ast.unparse(node), isinstance(node, ast.Lambda), x.__name__)
    if kind is FunctionType and TRACE in x.__globals__:
        return None  # one of a script's own, that reports to the tracer: the unit has it as it was written
    if kind is TracedFloat or kind is TracedArray:
        return _Held(trace.step_of(x), kind)
    if isinstance(x, torch.Tensor):
        return _Held(trace.step_of(x), torch.Tensor) if trace.tensors.is_known(x) else x.detach().clone()
    if kind is np.ndarray:
        return x.copy()
    if kind in (list, tuple):
        if len(x) > _LONG and not used:
            return None
        return kind(_hold(trace, i, used) for i in x)
    if kind is dict:
        return {k: _hold(trace, v, used) for k, v in x.items()}
    if used and _is_users_object(x):
        return _Object(kind, {k: v if _is_users_object(v) else _hold(trace, v, used) for k, v in vars(x).items()})
    return x


def _is_users_object(x: Any) -> bool:
    start = unwrapped(getattr(type(x), "__init__", None))
    plain = hasattr(x, "__dict__") and not isinstance(x, (type, ModuleType, torch.nn.Module))
    return plain and start is not None and is_users(start.__code__)


# ------------------------------------------------------------------------------------------------ values


def _scene(
    site: Site,
    seen: list[dict[str, Any]],
    watched: Watched,
    of: Mapping[str, str],
    program: Program,
    truths: Mapping[int, int],
    points: Sequence[Mapping[str, Any]],
    plain: int,
    ends: Mapping[int, int],
) -> Scene:
    scene = Scene(site)
    run = watched.program
    rounds = _some([(k, r) for k, r in zip(site.before, site.rounds) if k < len(seen)])
    held = {k: sorted(set(_steps(seen[k]))) for k, _ in rounds}
    for j, point in enumerate(points):
        asked = {*truths.values(), *(t for _, (_, t) in rounds if t is not None), *ends.values()}
        right = values_at(program, sorted(asked), point)
        outer = {o: point[of.get(o, o)] for o in run.inputs if of.get(o, o) in point}
        replaced = {watched.bindings[p].step: right[t] for p, t in truths.items()}
        for k, (position, truth) in rounds:
            try:
                values = values_at(run, held[k], outer, replaced=replaced)
            except RuntimeError:  # a truth of another shape does not fit further on
                values = values_at(run, held[k], outer)
            env = {n: _plain(v, values) for n, v in seen[k].items()}
            env = {n: v for n, v in env.items() if v is not None}
            if truth is None:
                assert position is not None
                here = watched.bindings[position].step
                wanted = as_array(values_at(run, [here], outer, replaced=replaced)[here])
                scene.accepts.append(_acceptance(run, here, outer, replaced, ends, right))
            else:
                wanted = wanted_of(site, env, right[truth])
            if wanted is None or not np.isfinite(np.asarray(wanted)).all():
                continue
            scene.envs.append(env)
            scene.wanted.append(wanted)
            scene.points.append(j)
            scene.truths.append(-1 if truth is None else truth)
        if j < plain:
            scene.plain = len(scene.envs)
    return scene


def _acceptance(
    run: Program,
    here: int,
    inputs: Mapping[str, Any],
    replaced: Mapping[int, Any],
    ends: Mapping[int, int],
    right: Mapping[int, torch.Tensor],
) -> Callable[[Any], bool]:
    """Whether a value in the place of a step makes everything that the function returns right."""
    shape = run.shape(here)

    def accept(value: Any) -> bool:
        given = value.double() if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value, float))
        if tuple(given.shape) != shape or not bool(torch.isfinite(given).all()):
            return False
        got = values_at(run, list(ends), inputs, replaced={**replaced, here: given})
        return all(same(got[i].reshape(right[t].shape), as_array(right[t])) for i, t in ends.items())

    return accept


def _some(rounds: list[Any]) -> list[Any]:
    if len(rounds) <= _MOST:
        return rounds
    return [rounds[0], rounds[len(rounds) // 2], rounds[-1]]


def _steps(x: Any) -> Iterator[int]:
    if type(x) is _Held:
        yield x.step
    elif isinstance(x, dict):
        for v in x.values():
            yield from _steps(v)
    elif type(x) is _Object:
        yield from _steps(x.held)
    elif isinstance(x, (list, tuple)):
        for v in x:
            yield from _steps(v)


def _plain(x: Any, values: Mapping[int, torch.Tensor]) -> Any:
    if type(x) is _Held:
        v = values.get(x.step)
        if v is None:
            return None
        if x.kind is torch.Tensor:
            return v
        array = v.detach().resolve_conj().numpy()
        if x.kind is TracedFloat:
            return float(array) if array.dtype.kind == "f" else complex(array)
        return array.copy() if array.ndim else array[()]
    if isinstance(x, torch.Tensor) and x.is_floating_point():
        return x.double()
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return x.astype(np.float64)
    if type(x) in (list, tuple):
        parts = [_plain(i, values) for i in x]
        return parts if type(x) is list else tuple(parts)
    if type(x) is dict:
        return {k: _plain(v, values) for k, v in x.items()}
    if type(x) is _Object:
        return x.made({k: _plain(v, values) for k, v in x.held.items()})
    return x


def wanted_of(site: Site, env: Mapping[str, Any], truth: torch.Tensor) -> np.ndarray | None:
    """What the line's expression must give, so that what is bound is the truth."""
    value: Any = truth.detach().resolve_conj().numpy()
    target, op = site.expression.target, site.expression.op
    scope = {**site.unit.scope, **env}
    old: Any = None
    try:
        if isinstance(target, ast.Subscript):
            index = ast.parse(f"__old__[{ast.unparse(target.slice)}]", mode="eval")
            code = compile(index, "<target>", "eval")
            if isinstance(env.get(getattr(target.value, "id", "")), dict):
                old = eval(code, {**scope, "__old__": env[target.value.id]}) if op is not None else None  # type: ignore[attr-defined]
            else:
                value = eval(code, {**scope, "__old__": value})
        if op is not None and old is None:
            old = eval(compile(ast.Expression(_load(target)), "<target>", "eval"), scope)
        if op is not None:
            old = np.asarray(old)
            with np.errstate(all="ignore"):
                match op:
                    case ast.Add():
                        value = value - old
                    case ast.Sub():
                        value = old - value
                    case ast.Mult():
                        value = value / old
                    case ast.Div():
                        value = old / value
                    case _:
                        return None
    except Exception:  # the user's index or old value could not be computed outside of the run
        return None
    return np.asarray(value) if op is None else _number_for(np.asarray(value), op)


def _number_for(value: np.ndarray, op: ast.operator) -> np.ndarray:
    """What an array is multiplied or divided by: one number where all its entries are, zero entries aside."""
    known = value[np.isfinite(value)] if value.ndim and value.dtype.kind == "f" else np.zeros(0)
    if not isinstance(op, (ast.Mult, ast.Div)) or known.size < 2 or np.ptp(known) > 1e-9 * np.abs(known).max():
        return value
    return np.asarray(known.mean())


def _load(target: Any) -> ast.expr:
    node = copy.deepcopy(target)
    parts: Any = ast.walk(node)
    for part in parts:
        if hasattr(part, "ctx"):
            part.ctx = ast.Load()
    return node


def scope_of(scene: Scene, k: int) -> dict[str, Any]:
    """The globals, closure and variables of a sample, for an expression to be computed in."""
    scope = {**scene.site.unit.scope, **scene.envs[k]}
    for name, value in scene.envs[k].items():
        if type(value) is _Local:
            scope[name] = value.made(scope)
    return scope


def as_array(x: Any) -> np.ndarray:
    """A value as an array; one of objects where it is no array of numbers, such as lists of several lengths."""
    if isinstance(x, torch.Tensor):
        return x.detach().resolve_conj().numpy()
    try:
        if isinstance(x, (list, tuple)):  # of tensors, some of which may require a gradient
            x = [as_array(v) if isinstance(v, (torch.Tensor, list, tuple)) else v for v in x]
        return np.asarray(x)
    except (ValueError, LostValue):  # of a run that is over
        return np.empty((), dtype=object)


def same(a: Any, b: np.ndarray) -> bool:
    """Whether two values are near enough to be worth judging; shapes count."""
    a = as_array(a)
    if a.shape != b.shape or a.dtype.kind not in "fciub":
        return False
    if not a.size:
        return True
    scale = float(np.max(np.abs(b)))
    return bool(np.max(np.abs(a - b)) <= _NEAR * scale + 1e-13 * (scale == 0))
