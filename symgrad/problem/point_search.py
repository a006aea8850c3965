"""Points that the question needs and that sampling does not give: beyond a branch, and inside of the domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.evaluation.floats import BatchedFloats, Floats
from symgrad.lifting.formulas import Formula
from symgrad.lifting.tracing.functions import Run
from symgrad.ops.row import precision
from symgrad.problem.definedness import Undefined, first_undefined
from symgrad.problem.sampling import Inputs, draw, is_within, rounded
from symgrad.program.builder import Builder
from symgrad.program.derivative import reverse
from symgrad.program.program import Guard, Program, interpret
from symgrad.rounding.running_bounds import error_bounds
from symgrad.typing import Bounds

# ------------------------------------------------------------------------------------------------------- branch search
# The other side of a choice: points where the code would choose differently, found by Newton's method.
#
# Sampling near the user's point may never reach ``x > 100``; a formula that is wrong only there would then look right.

_ORDERED = frozenset(("gt", "ge", "lt", "le"))
_CLOSE = frozenset(("isclose", "allclose"))
_STEPS = 40
_HALVINGS = 60
_BEYOND = (2.0**-2, 2.0**-12, 2.0**-24, 2.0**-40)  # how far past the edge to aim, as parts of the distance to it
_BITS = 18  # of the points, and as many more as it takes to aim closer
_ALL_BITS = 53
_SCATTERED = 256  # points at which the side is asked for where Newton's method does not get across
_SCALES = (0.0, 2.0**-30, 2.0**-12, 2.0**-4, 1.0, 2.0**2, 2.0**5, 2.0**10)
_TAKEN = 3  # of the points that were scattered
_MANY = 200_000  # entries of all steps from which it is looked at arrays of floats, and not of balls


@dataclass(frozen=True, eq=False)
class Start:
    """Where a search sets out from: a Program, a point of it, the inputs that may be moved, and their bounds."""

    program: Program
    point: Mapping[str, Any]
    names: Sequence[str]
    bounds: Mapping[str, Bounds]


def is_ordered(guard: Guard) -> bool:
    """Whether the choice is by the sign of a difference, so that its other side is sought."""
    return (guard.op in _ORDERED and len(guard.args) == 2) or (guard.op == "sign" and len(guard.args) == 1)


def points_beyond(
    start: Start, guard: Guard, entry: int | None = None, keep: Sequence[tuple[Guard, bool]] = ()
) -> Iterator[dict[str, Any]]:
    """Points where one entry of a choice comes out the other way: first far beyond the edge, then closer to it.

    The entry is the one that is nearest to the edge, if none is named.  For ``argmax`` and ``argmin`` it is one of
    the first row that is to be the extreme.  ``keep`` are comparisons that are to stay as they are at this entry.
    What the code detached is followed all the same.  Where no step gets across, points far and wide are asked.

    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> b.guard("gt", [b.integer_power(x, 2), b.number(100)], None, np.array(False))
    >>> program = b.build({})
    >>> start = Start(program, {"x": np.array(1.0)}, ["x"], {})
    >>> found = [float(p["x"]) for p in points_beyond(start, program.guards[0])]
    >>> len(found), min(found) > 10
    (4, True)
    """
    search = _Search.of(start)
    gap = search.gap(guard, entry)
    if gap is None or not search.names:
        return
    here = search.read([gap], start.point)[0].reshape(-1)
    if guard.op in ("argmax", "argmin"):
        entry = 0
    if entry is None:
        entry = int(np.argmin(np.where(np.isfinite(here), np.abs(here), np.inf)))
    if not np.isfinite(here[entry]):
        return
    one = search.entry(gap, entry)
    slopes = search.slopes(one)
    kept = search.kept(keep, entry)

    def stays(there: Mapping[str, Any]) -> bool:
        values = search.read([k.gap for k in kept], there)
        return all(bool(k.holds(v.reshape(-1))) for k, v in zip(kept, values, strict=True))

    any_found = False
    for beyond in _BEYOND if slopes else ():
        aim = -beyond * here[entry] if here[entry] else beyond
        bits = _BITS - int(np.log2(beyond))
        found = search.newton(one, slopes, aim, bits)
        found = None if found is None else search.nearer(one, found, aim, bits)
        if found is not None and stays(found):
            any_found = True
            yield found
    if not any_found and here[entry]:
        yield from search.scattered(one, -float(np.sign(here[entry])), kept)


def points_after(start: Start, guard: Guard, path: Sequence[tuple[Guard, bool]]) -> Iterator[dict[str, Any]]:
    """Points far and wide where a comparison of single values comes out the other way, and those on the ``path`` to it
    as they are: a step across its edge may lead off the path, where the code does not come by.

    >>> b = Builder()
    >>> x, y = b.input("x", ()), b.input("y", ())
    >>> b.guard("gt", [x, b.number(5)], None, np.array(True))
    >>> b.guard("gt", [x, y], None, np.array(False))
    >>> program = b.build({})
    >>> start = Start(program, {"x": np.array(6.0), "y": np.array(7.0)}, ["x", "y"], {})
    >>> found = list(points_after(start, program.guards[1], [(program.guards[0], True)]))
    >>> len(found), all(p["x"] > 5 and p["x"] > p["y"] for p in found)
    (3, True)
    """
    search = _Search.of(start)
    gap = search.gap(guard, None)
    if gap is None or search.builder.shape(gap) or not search.names:
        return
    here = float(search.read([gap], start.point)[0])
    if here and np.isfinite(here):
        yield from search.scattered(search.entry(gap, 0), -float(np.sign(here)), search.kept(path, 0))


def points_on(start: Start, guard: Guard) -> Iterator[dict[str, Any]]:
    """Points where the two sides of a comparison are the same number in every entry."""
    search = _Search.of(start)
    given = guard.args[:2] if guard.op in _CLOSE else guard.args  # with tolerances, which torch is given beside them
    sides = list(given) if len(given) == 2 else [*given, search.builder.number(0)]
    gap = search.difference(*sides) if len(sides) == 2 else None
    if gap is None or not search.names:
        return
    here: dict[str, Any] | None = dict(start.point)
    for k in range(int(np.prod(search.builder.shape(gap), dtype=np.int64))):
        one = search.entry(gap, k)
        here = None if here is None else search.reaching(one, here, 0.0, 0.0)
    for there in (here, {**start.point, **{n: np.zeros_like(np.asarray(start.point[n])) for n in search.names}}):
        if there is not None and not np.any(search.read([gap], there)[0]):
            yield there


def points_at(start: Start, step: int, entry: int, goal: float, slack: float) -> Iterator[dict[str, Any]]:
    """Points where an entry of a step is ``goal``, up to ``slack``.

    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> square = b.integer_power(x, 2)
    >>> found = points_at(Start(b.build({}), {"x": np.array(1.0)}, ["x"], {}), square, 0, 9.5, 0.25)
    >>> [9.25 <= float(p["x"]) ** 2 <= 9.75 for p in found]
    [True]
    """
    search = _Search.of(start)
    if search.names and not search.builder.steps[step].is_complex:
        found = search.reaching(search.entry(step, entry), dict(start.point), goal, slack)
        if found is not None:
            yield found


def value_at(program: Program, step: int, point: Mapping[str, Any]) -> np.ndarray:
    """The value of a step in floats."""
    return _Search.of(Start(program, point, (), {})).read([step], point)[0]


def point_with(start: Start, guard: Guard, sides: Sequence[bool]) -> dict[str, Any] | None:
    """A point where the entries of a comparison come out as ``sides``: one is brought across after the other."""
    search = _Search.of(start)
    gap = search.gap(guard, None)
    if gap is None:
        return None
    here = dict(start.point)
    upward = np.array(sides) == (guard.op in ("gt", "ge"))
    for _ in range(2 * len(upward)):
        values = search.read([gap], here)[0].reshape(-1)
        wrong = np.flatnonzero(np.where(upward, values < 0, values > 0) | (values == 0))
        if not wrong.size:
            return here
        nearest = int(wrong[np.argmin(np.abs(values[wrong]))])
        moved = next(points_beyond(replace(start, point=here), guard, nearest), None)
        if moved is None:
            return None
        here = moved
    return None


@dataclass(frozen=True)
class _Kept:
    """A comparison that is to stay as it is, by the step whose sign decides it, at an entry."""

    gap: int
    op: str
    outcome: bool
    entry: int

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Whether it comes out so, in floats, for the difference's entries along the last axis."""
        value = values[..., min(self.entry, values.shape[-1] - 1)]
        out = np.where(value != 0, (value > 0) == (self.op in ("gt", "ge")), self.op in ("ge", "le"))
        return (out == self.outcome) & ~np.isnan(value)


@dataclass(frozen=True, eq=False)
class _Search:
    """A Program in which what was detached is followed, the point that the search sets out from, and what may move."""

    program: Program
    builder: Builder
    point: Mapping[str, Any]
    names: tuple[str, ...]
    bounds: Mapping[str, Bounds]
    made: list[Program] = field(default_factory=list)  # the last that was built

    @classmethod
    def of(cls, start: Start) -> _Search:
        program, point = start.program, start.point
        steps = tuple(replace(s, op="name") if s.op == "stop" else s for s in program.steps)
        moving = tuple(n for n in start.names if n in program.inputs and np.asarray(point[n]).dtype.kind == "f")
        return cls(program, Builder.on(replace(program, steps=steps)), point, moving, start.bounds)

    # ------------------------------------------------------------------------------------ what decides
    def gap(self, guard: Guard, entry: int | None) -> int | None:
        """The step whose sign decides."""
        b = self.builder
        if guard.op in _ORDERED and len(guard.args) == 2:
            return self.difference(*guard.args)
        (value, *others) = guard.args or (None, None)
        if value is None or others or b.steps[value].is_complex:
            return None
        if guard.op == "sign":
            return value if np.prod(b.shape(value), dtype=np.int64) else None
        if guard.op in ("argmax", "argmin") and entry is not None:
            axis = len(b.shape(value)) - 1 if guard.params is None else guard.params
            axis = axis[0] if isinstance(axis, tuple) and axis and isinstance(axis[0], int) else axis
            rows = np.arange(1, int(np.prod(b.shape(value))) + 1).reshape(b.shape(value))
            row = rows.reshape(-1)
            if isinstance(axis, int) and not isinstance(axis, bool) and guard.params is not None:
                row = np.moveaxis(rows, axis, -1).reshape(-1, rows.shape[axis])[0]
            chosen = int(np.asarray(guard.outcome).reshape(-1)[0])
            return b.sub(*(b.pick([value], np.array([row[k]]), ()) for k in (chosen, entry)))
        return None

    def difference(self, left: int, right: int) -> int | None:
        b = self.builder
        shape = np.broadcast_shapes(b.shape(left), b.shape(right))
        if not np.prod(shape, dtype=np.int64) or b.steps[left].is_complex or b.steps[right].is_complex:
            return None
        return b.sub(b.broadcast(left, shape), b.broadcast(right, shape))

    def entry(self, step: int, k: int) -> int:
        return self.builder.pick([step], np.array([k + 1]), ())

    def slopes(self, one: int) -> dict[str, int]:
        b = self.builder
        of, _ = reverse(b, {one: b.ones((), b.dtype(one))}, {self.program.inputs[n] for n in self.names})
        return {n: of[self.program.inputs[n]] for n in self.names if self.program.inputs[n] in of}

    # ------------------------------------------------------------------------------------ reading
    @property
    def written(self) -> Program:
        """The Program as far as it is written, which remembers what each of its steps needs."""
        if not self.made or len(self.made[-1]) < len(self.builder.steps):
            self.made[:] = [self.builder.build({})]
        return self.made[-1]

    def read(self, steps: Sequence[int], point: Mapping[str, Any]) -> list[np.ndarray]:
        tensors = {n: torch.as_tensor(np.asarray(point[n])) for n in self.program.inputs}
        made = self.written
        try:
            values = interpret(made, Floats("float64"), tensors, steps)
        except RuntimeError:  # a matrix that has no inverse here
            return [np.full(made.shape(i), np.nan) for i in steps]
        return [values[i].numpy() for i in steps]

    def kept(self, comparisons: Sequence[tuple[Guard, bool]], entry: int) -> list[_Kept]:
        """Comparisons that are to stay as they are, of those that are made by the sign of a difference."""
        gaps = ((self.gap(g, None), g, outcome) for g, outcome in comparisons)
        return [_Kept(gap, str(g.op), outcome, entry) for gap, g, outcome in gaps if gap is not None]

    # ------------------------------------------------------------------------------------ moving
    def newton(self, one: int, slopes: Mapping[str, int], aim: float, bits: int) -> dict[str, Any] | None:
        """The first of Newton's steps to ``aim`` at which the value has its sign."""
        return self.stepped(dict(self.point), one, slopes, aim, bits, lambda v: v and np.sign(v) == np.sign(aim))

    def reaching(self, one: int, start: dict[str, Any], goal: float, slack: float) -> dict[str, Any] | None:
        """Newton's steps until the value is within ``slack`` of ``goal``; with none, until it is the goal itself."""
        slopes, here = self.slopes(one), start
        bits = min(_ALL_BITS, _BITS + int(np.log2(1 + abs(goal) / slack))) if slack else _ALL_BITS
        return self.stepped(here, one, slopes, goal, bits, lambda v: abs(v - goal) <= slack) if slopes else None

    def stepped(
        self,
        here: dict[str, Any],
        one: int,
        slopes: Mapping[str, int],
        aim: float,
        bits: int,
        is_there: Callable[[Any], Any],
    ) -> dict[str, Any] | None:
        """Newton's steps to ``aim`` until a value is where it is wanted; None where they lead nowhere."""
        for _ in range(_STEPS):
            value, *gradient = self.read([one, *slopes.values()], here)
            if np.isfinite(value) and is_there(value):
                return here
            moved = self.step(here, float(aim - value), slopes, gradient, bits)
            if moved is None or all(np.array_equal(moved[n], here[n]) for n in slopes):
                return None
            here = moved
        return None

    def step(
        self, here: Mapping[str, Any], way: float, slopes: Mapping[str, int], gradient: Sequence[np.ndarray], bits: int
    ) -> dict[str, Any] | None:
        """One step along the gradient that changes the value by ``way``, were it linear; None out of the bounds."""
        size = sum(float((g**2).sum()) for g in gradient)
        if not np.isfinite(way) or not np.isfinite(size) or size == 0:
            return None
        out = dict(here)
        for n, g in zip(slopes, gradient, strict=True):
            moved = rounded(np.asarray(here[n] + way * g / size), bits)
            if not self.within(n, moved):
                return None
            out[n] = moved
        return out

    def within(self, name: str, moved: np.ndarray) -> bool:
        return is_within(moved, self.bounds.get(name, (None, None)))

    def nearer(self, one: int, found: dict[str, Any], aim: float, bits: int) -> dict[str, Any]:
        """A point between the two, still across the edge, and no further beyond it than twice the aim: a step that went
        too far may have crossed other edges too."""
        near, far, here, start = 0.0, 1.0, found, self.point
        for _ in range(_HALVINGS):
            if abs(self.read([one], here)[0]) <= 2 * abs(aim):
                break
            middle = (near + far) / 2
            moved = {n: x if x is start[n] else start[n] + middle * (x - start[n]) for n, x in found.items()}
            moved = {n: rounded(np.asarray(x), bits) if x is not start[n] else x for n, x in moved.items()}
            value = self.read([one], moved)[0]
            if np.isfinite(value) and value and np.sign(value) == np.sign(aim):
                far, here = middle, moved
            else:
                near = middle
        return here

    def scattered(self, one: int, sign: float, kept: Sequence[_Kept] = ()) -> list[dict[str, Any]]:
        """Points of all sizes at which the value has this sign, where the Program is the code's; the nearest first."""
        random = np.random.default_rng(_SCATTERED)
        scale = np.repeat(_SCALES, _SCATTERED // len(_SCALES))
        inputs: dict[str, np.ndarray] = {}
        for n in self.program.inputs:
            value = np.asarray(self.point[n])
            whole = np.broadcast_to(value, (_SCATTERED, *value.shape))
            if n in self.names:
                each = scale.reshape(-1, *(1,) * value.ndim)
                drawn = random.standard_normal(whole.shape) * each * (1 + np.abs(whole))
                inputs[n] = rounded(np.where(np.arange(_SCATTERED).reshape(each.shape) % 2, whole * each, drawn), _BITS)
            else:
                inputs[n] = whole
        tensors = {n: torch.as_tensor(np.array(x)) for n, x in inputs.items()}
        read = BatchedFloats(_SCATTERED, "float64")
        found = interpret(self.written, read, tensors, [one, *(k.gap for k in kept)])
        values = found[one].numpy().reshape(-1)
        good = np.isfinite(values) & (np.sign(values) == sign)
        for k in kept:
            good &= k.holds(found[k.gap].numpy().reshape(_SCATTERED, -1))
        good = np.flatnonzero(good)
        points = [{**self.point, **{n: inputs[n][k] for n in self.names}} for k in good]
        points = [p for p in points if all(self.within(n, p[n]) for n in self.names)]
        far = [sum(float(np.abs(p[n] - self.point[n]).sum()) for n in self.names) for p in points]
        return [points[k] for k in np.argsort(far, kind="stable")[:_TAKEN]]


# --------------------------------------------------------------------------------------------------------- feasibility
# Into the domain: from a point where a formula has no value to one where it has, however thin its domain is.
#
# A logarithm's argument is brought to a positive value by Newton's method.  Where two functions pull apart, as in
# sqrt(x - 1000) sqrt(1001 - x), the segment between a point that is too low and one that is too high is halved until
# it meets the domain.

_INF = float("inf")
_EDGES: dict[str, tuple[float, float]] = dict.fromkeys(
    ("log", "log2", "log10", "sqrt", "rsqrt", "lgamma", "powi", "pow", "Ci", "Chi"), (0.0, _INF)
)
_EDGES |= dict.fromkeys(("asin", "acos", "atanh", "erfinv"), (-1.0, 1.0))
_EDGES |= {"acosh": (1.0, _INF), "log1p": (-1.0, _INF), "logit": (0.0, 1.0)}
_STARTS = 2
_WALK = 48  # Newton steps from each start
_HALVINGS_INTO = 90
_SEGMENTS = 2  # that are halved from each start
_SHARES = (2.0**-3, 2.0**-10, 0.0)


def undefined_at(program: Program, point: Mapping[str, Any]) -> tuple[Undefined | None, bool]:
    """The first step without a value at the point, and whether all results have one."""
    if program.entries() > _MANY and _has_values(program, point):
        return None, True
    with precision(128):
        values = interpret(program, Balls(), {n: binary(point[n]) for n in program.inputs})
        defined = all(x.is_finite() for i in program.outputs.values() for x in flat(values[i]))
        return (None if defined else first_undefined(program, values)), defined


def _has_values(program: Program, point: Mapping[str, Any]) -> bool:
    """Whether all results have a value, as arrays of floats with running bounds show; False where these do not."""
    given = {n: torch.as_tensor(np.asarray(point[n])) for n in program.inputs}
    if any(x.dtype != torch.float64 or program.steps[program.inputs[n]].dtype != "float64" for n, x in given.items()):
        return False  # what a step holds is the number itself only then
    with torch.no_grad():
        found = error_bounds(program, given, program.outputs.values())
    return all(bool(torch.isfinite(b.value).all() and torch.isfinite(b.error).all()) for b in found.values())


def narrow_point(
    model: Formula, inputs: Inputs, dtypes: Mapping[str, str], names: Sequence[str], seed: int
) -> tuple[dict[str, Any], Run] | None:
    """A point of a domain that is too thin to be met by chance, and the model's run there, or None."""
    for k in range(_STARTS):
        rng = np.random.default_rng((seed, 5, k))
        point = dict(inputs.point)
        for name in names:
            bounds = inputs.bounds.get(name, (None, None))
            point[name] = draw(np.shape(point[name]), rng, bounds) * (1.0 if bounds != (None, None) else 4.0 ** (k % 3))
        outside: dict[int, dict[str, Any]] = {}  # the last point where each step had no value
        halvings = 0
        for j in range(_WALK):
            there = _at(model, point, dtypes)
            if there is None:
                break
            run, undefined, defined = there
            if defined:
                return point, run
            if undefined is None:
                break
            for position, other in list(outside.items()):
                if position != undefined.position and halvings < _SEGMENTS:
                    halvings += 1
                    found = _between(model, dtypes, names, (point, undefined.position), (other, position))
                    if found is not None and inputs.settled(dict(found[0])) is not None:
                        return found
            outside[undefined.position] = point
            moved = toward_domain(run.program, undefined, point, names, inputs.bounds, rng, _SHARES[j % 3])
            if moved is None:
                break
            point = moved
    return None


def _at(
    model: Formula, point: Mapping[str, Any], dtypes: Mapping[str, str]
) -> tuple[Run, Undefined | None, bool] | None:
    try:
        run = model.run(point, dtypes)
    except SymgradError:
        return None
    return run, *undefined_at(run.program, point)


def _between(
    model: Formula,
    dtypes: Mapping[str, str],
    names: Sequence[str],
    one: tuple[dict[str, Any], int],
    two: tuple[dict[str, Any], int],
) -> tuple[dict[str, Any], Run] | None:
    """A point of the domain on the segment between two points where different steps have no value."""
    (low, a), (high, b) = one, two
    for _ in range(_HALVINGS_INTO):
        middle = {**low, **{n: np.asarray((low[n] + high[n]) / 2) for n in names}}
        if all(np.array_equal(middle[n], low[n]) or np.array_equal(middle[n], high[n]) for n in names):
            return None
        there = _at(model, middle, dtypes)
        if there is None:
            return None
        run, undefined, defined = there
        if defined:
            return middle, run
        if undefined is None or undefined.position not in (a, b):
            return None
        low, high = (middle, high) if undefined.position == a else (low, middle)
    return None


def toward_domain(
    program: Program,
    undefined: Undefined,
    point: Mapping[str, Any],
    names: Sequence[str],
    bounds: Mapping[str, Bounds],
    rng: np.random.Generator,
    share: float | None = None,
) -> dict[str, Any] | None:
    """One Newton step that brings the argument of an undefined function to where it is defined.

    It aims at an ordinary number inside, or, with a ``share``, at this part of the distance beyond the edge.
    """
    step = program.steps[undefined.position]
    names = [n for n in names if n in program.inputs]
    if step.op not in _EDGES or not names:
        return None
    b = Builder.on(program)
    argument = step.args[0]
    of, _ = reverse(b, {argument: b.ones(b.shape(argument), b.dtype(argument))}, {program.inputs[n] for n in names})
    slopes = {n: of[program.inputs[n]] for n in names if program.inputs[n] in of}
    if not slopes:
        return None
    tensors = {n: torch.as_tensor(point[n]) for n in program.inputs}
    values = interpret(b.build({}), Floats("float64"), tensors, [argument, *slopes.values()])
    low, high = _EDGES[step.op]
    entry = float(values[argument].min())
    turned = entry > low  # too large, then
    edge = high if turned else low
    here = edge - entry if turned else entry - edge
    size = sum(float((values[i] ** 2).sum()) for i in slopes.values())
    if not np.isfinite(here) or not np.isfinite(size) or size == 0:
        return None
    room = min(1.0, (high - low) / 2)
    aim = room * float(rng.choice([0.0625, 0.25, 0.5, 1.0, 4.0 if room == 1 else 1.0])) * float(rng.uniform(0.5, 1.0))
    aim = aim if share is None else share * abs(here)
    sign = -1.0 if turned else 1.0
    out = dict(point)
    for n, i in slopes.items():
        moved = np.asarray(point[n]) + sign * (aim - here) * values[i].numpy() / size
        if not is_within(moved, bounds.get(n, (None, None))):
            return None
        out[n] = moved
    return out
