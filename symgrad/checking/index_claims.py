"""The claims of a problem in index notation: its code run at several sizes, read, and held against fresh runs.

Model, hand formulas and exact derivatives (by the reverse pass, as everywhere) are one Program at each assignment of
the sizes; what they say for all sizes is read by `symgrad.indices.reader`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sympy as sp

from symgrad.checking.comparison import Pair, PairComparison, branch_of, radius
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.indices.evaluators import evaluate, evaluate_all
from symgrad.indices.reader import Factor, Value, aligned, read_each
from symgrad.indices.run_merging import merged, one_sided
from symgrad.indices.sizes import OtherSteps, Sizes, Unread, size_symbol
from symgrad.indices.terms import Array, Matrix, fresh
from symgrad.lifting.tracing.functions import Run
from symgrad.ops.row import precision
from symgrad.problem.arguments import find_point
from symgrad.problem.definedness import ties
from symgrad.problem.question import Problem
from symgrad.problem.replay import replay
from symgrad.problem.sampling import draw
from symgrad.problem.shapes import Shapes
from symgrad.program.builder import Builder, join
from symgrad.program.derivative import gradients, reverse
from symgrad.program.equal_turns import turns_together
from symgrad.program.program import Constant, Program, interpret, sliced

_BITS = 256
_THIN = 2.0**-160  # of balls that agree
_TRIES = 4  # rounds of points at which code that makes choices is run, and points for an assignment of sizes in each
_ENTRIES, _FEW = 256, 16  # of a larger tensor, a few entries are held against the code
_MATRIX = 16  # the largest matrix whose inverse is evaluated
_SEED = "the upstream derivative"
_INSIDE = "the value of"


@dataclass(frozen=True, eq=False)
class Reading:
    """A claim in index notation: both sides over common indices."""

    hand: Any  # None where it could not be read, and why
    exact: Any
    factors: tuple[Factor, ...]
    upstream: int = 0  # how many of these are of the function's own axes
    why: Unread | None = None
    literals: Mapping[str, int] = field(default_factory=dict)  # the numbers that were read as sizes


def resized(problem: Problem, shapes: Shapes, sizes: Mapping[str, int]) -> Problem:
    """The problem at other sizes, at a point drawn there.  Raises what the code raises where it does not fit them."""
    point = dict(problem.inputs.point)
    square = {}
    for k, (name, shape) in enumerate(shapes.at(sizes).items()):
        if np.shape(point[name]) != shape:
            rng = np.random.default_rng((problem.seed, 5, k, *shape))
            point[name] = draw(shape, rng, problem.inputs.bounds.get(name, (None, None)))
            if len(shape) == 2 and shape[0] == shape[1]:
                square[name] = point[name] + 2 * shape[0] * np.eye(shape[0])
    try:
        inputs, model = find_point(problem.model, replace(problem.inputs, point=point), problem.dtypes, problem.seed)
    except SymgradError:  # of large matrices few are positive definite: one whose diagonal outweighs the rest is
        if not square:
            raise
        there = replace(problem.inputs, point=point | square)
        inputs, model = find_point(problem.model, there, problem.dtypes, problem.seed)
    hand = problem.hand.run(inputs.point, problem.dtypes)
    replay(model, inputs.point, "the formula")
    replay(hand, inputs.point, "the hand formula")
    return replace(problem, inputs=inputs, first=(model, hand))


def read_problem(
    problem: Problem,
    shapes: Shapes,
    sizes: Sizes,
    pairs: Sequence[Pair],
    own: Mapping[str, int] | None = None,
    *,
    selecting: bool = False,
    others: Sequence[tuple[Run, Run]] = (),
) -> dict[str, Reading | Unread]:
    """The claims in index notation, or why one is none.

    At the ``own`` sizes, where they are among the runs, the problem's first runs are read: the code is not run again.
    With runs of ``others``, at other points, it is these and the first that are read together.
    With ``selecting``, what ``max`` takes is a sum over its row times a tensor of which nothing is known.

    A choice that came out one way in all of a tensor does not show that it is one; so, where there are choices, the
    code is run at other points too.  Raises `Unread` where it could not be run at other sizes at all.
    """
    found: dict[str, Reading | Unread] = {}
    if others and problem.first is not None:
        names, summed = [p.name for p in pairs], all(p.summed for p in pairs)
        runs = ((m.program, h.program) for m, h in (problem.first, *others))
        programs = [_joined(m, h, names, problem.order, summed) for m, h in runs]
        return _readings(problem, shapes, sizes, pairs, programs, selecting)
    ran: dict[Any, Problem] = {}
    try:
        for k in range(_TRIES):
            programs = _programs(problem, shapes, sizes, pairs, k, own, ran)
            if k < _TRIES - 1 and any(map(one_sided, programs)):
                continue
            found = _readings(problem, shapes, sizes, pairs, programs, selecting)
            if not any(map(_is_unread, found.values())) or not any(p.guards for p in programs):
                break
    except OtherSteps as error:
        found = {p.name: error for p in pairs}
    if any(isinstance(r if isinstance(r, Unread) else r.why, OtherSteps) for r in found.values()):
        with contextlib.suppress(Unread):  # loops to a size whose turns do the same
            programs = _programs(problem, shapes, sizes, pairs, 0, own, ran, together=True)
            again = _readings(problem, shapes, sizes, pairs, programs, selecting)
            found |= {n: r for n, r in again.items() if not _is_unread(r)}
    return found


def _is_unread(reading: Reading | Unread) -> bool:
    return isinstance(reading, Unread) or (reading.hand is None and reading.why is not None)


def _programs(
    problem: Problem,
    shapes: Shapes,
    sizes: Sizes,
    pairs: Sequence[Pair],
    k: int,
    own: Mapping[str, int] | None,
    ran: dict[Any, Problem],
    together: bool = False,
) -> list[Program]:
    """Model, hand formulas and exact derivatives of each run; where one comes out one way, others are tried for it.
    With ``together``, what the turns of a loop do alike is one step.  ``ran`` keeps the runs."""
    summed = all(p.summed for p in pairs)
    programs = []
    for run in sizes.runs:
        for seed in range(problem.seed + k, problem.seed + k + _TRIES * _TRIES, _TRIES):
            try:
                key = (seed, *run.items())
                if key not in ran:
                    ran[key] = problem if run == own else resized(replace(problem, seed=seed), shapes, run)
                there = ran[key]
            except SymgradError as error:
                raise Unread(f"the code fails at {', '.join(f'{n} = {v}' for n, v in run.items())}.") from error
            assert there.first is not None
            model, hand = (r.program for r in there.first)
            program = _joined(model, hand, [p.name for p in pairs], problem.order, summed, together)
            if run == own or not one_sided(program):
                break
        programs.append(program)
        if len(programs) == 2:  # where nothing can be read of two, as of a loop, larger ones need not be run
            _check_steps(programs)
    return programs


def _check_steps(programs: Sequence[Program]) -> None:
    """Raise `Unread` where no exact derivative takes the same steps in all of them."""
    unread = None
    for key in (k for k in programs[0].outputs if k.startswith("exact.")):
        try:
            merged([p.with_outputs({key: p.outputs[key]}) for p in programs])
        except Unread as error:
            unread = error
        else:
            return
    if unread is not None:
        raise unread


def _readings(
    problem: Problem, shapes: Shapes, sizes: Sizes, pairs: Sequence[Pair], programs: Sequence[Program], selecting: bool
) -> dict[str, Reading | Unread]:
    """The claims, read together as far as possible; a Jacobian by its rows."""
    point, outputs = problem.inputs.point, programs[0].outputs
    inputs = {n: programs[0].shape(i) for n, i in programs[0].inputs.items() if not n.startswith(_SEED)}
    of = {n: shapes.of.get(n, np.shape(point[n]) if n in point else shape) for n, shape in inputs.items()}
    sizes.met.clear()
    given: dict[str, Value] = {}
    free: dict[str, tuple[Factor, ...]] = {}
    for key, value in _read(programs, sizes, of, [k for k in outputs if k.startswith("seeded")], {}, selecting).items():
        if isinstance(value, Unread):
            return {p.name: value for p in pairs}
        name = f"{_SEED} {key.removeprefix('seeded').removeprefix('.')}".strip()
        given[name], free[name] = _unit(value)
    values = _read(programs, sizes, of, [k for k in outputs if not k.startswith("seeded")], given, selecting)
    found: dict[str, Reading | Unread] = {}
    for p in pairs:
        exact, hand = values[f"exact.{p.name}"], values[f"hand.{p.name}"]
        if isinstance(exact, Unread):
            found[p.name] = exact
            continue
        upstream = free.get(f"{_SEED} {p.name}", free.get(_SEED, ()))
        whole = Value(exact.body, (*((f,) for f in upstream), *exact.axes))
        why = hand if isinstance(hand, Unread) else None
        try:
            reading = _paired(None if p.hand is None or isinstance(hand, Unread) else hand, whole)
        except Unread as error:
            reading, why = _paired(None, whole), error
        found[p.name] = replace(reading, upstream=len(upstream), why=why, literals=dict(sizes.met))
    return found


def _read(
    programs: Sequence[Program],
    sizes: Sizes,
    shapes: Mapping[str, Any],
    keys: Sequence[str],
    given: Mapping[str, Value],
    selecting: bool,
) -> dict[str, Value | Unread]:
    """Outputs of the runs' Programs: all of them at once where the runs took the same steps, else each by itself."""
    try:
        program = merged([p.with_outputs({k: p.outputs[k] for k in keys}) for p in programs], selecting=selecting)
    except Unread as error:
        if len(keys) == 1:
            return {keys[0]: error}
        return {k: _read(programs, sizes, shapes, [k], given, selecting)[k] for k in keys}
    values = read_each(program, sizes, shapes, program.outputs.values(), given=given)
    return {k: values[program.outputs[k]] for k in keys}


def _paired(hand: Value | None, exact: Value) -> Reading:
    """Both sides over common indices; axes of length one count for nothing."""
    sides = [Value(v.body, tuple((f,) for f in v.factors)) for v in (exact, hand) if v is not None]
    if len({tuple(f.numbers for f in v.factors) for v in sides}) > 1:
        raise Unread("hand formula and derivative have axes that were split in different ways.")
    (right, *left), axes = aligned(sides)
    return Reading(left[0] if left else None, right, tuple(f for axis in axes for f in axis))


_SIDES = ("hand", "exact")


def _joined(
    model: Program, hand: Program, names: Sequence[str], order: int, summed: bool, together: bool = False
) -> Program:
    """Model, hand formulas and exact derivatives in one Program.

    A Jacobian is the derivative for an upstream that is an input here: read as a one in one place, it is every row.
    A value on the way that is differentiated by is an input too: what is equal for all its values is so for those that
    it has.
    """
    both = join(model=model, hand=hand)
    if together:
        steps = len(both.needed(both.outputs.values()))
        both = turns_together(both)
        if len(both.steps) >= steps:
            raise OtherSteps("no turns of a loop do the same.")
    b = Builder.on(both)
    (output,) = (i for key, i in both.outputs.items() if key.startswith("model.") and "at:" not in key)
    wrt = {n: both.outputs.get(f"model.at:{n}", both.inputs.get(n, -1)) for n in names}
    if order == 0:  # the values themselves
        hands = [i for key, i in both.outputs.items() if key.startswith("hand.")]
        values = {n: hands[0] if len(hands) == 1 else both.outputs[f"hand.{n}"] for n in names}
        return b.build({f"{side}.{n}": i if side == "hand" else output for n, i in values.items() for side in _SIDES})
    outputs = {f"hand.{n}": both.outputs[f"hand.{n}"] for n in names}
    if -1 in wrt.values():
        raise Unread("a derivative is asked for by a value that is no input at other sizes.")
    if order == 1 and (not b.shape(output) or summed):
        outputs |= {f"exact.{n}": i for n, i in gradients(b, output, wrt).items()}
    elif order == 1:
        outputs["seeded"] = output
        outputs |= {f"exact.{n}": i for n, i in _rows(b, output, wrt, _SEED).items()}
    else:
        first = gradients(b, output, wrt)
        for n, i in wrt.items():
            outputs[f"seeded.{n}"] = first[n]
            outputs[f"exact.{n}"] = _rows(b, first[n], {n: i}, f"{_SEED} {n}")[n]
    inside = {i: f"{_INSIDE} {n}" for n, i in wrt.items() if b.steps[i].op != "input"}
    whole = b.build(outputs)
    return sliced(whole, outputs, inputs=_everywhere(whole, inside)) if inside else whole


def _everywhere(program: Program, names: Mapping[int, str]) -> dict[int, str]:
    """The steps with these names, and those that compute the same from the same, for model and hand code share none."""
    kinds: dict[Any, int] = {}
    kind: list[int] = []
    for step in program.steps:
        key = (step.op, step.dtype, step.shape, tuple(kind[a] for a in step.args), _content(step.params))
        kind.append(kinds.setdefault(key, len(kinds)))
    named = {kind[i]: name for i, name in names.items()}
    return {i: named[k] for i, k in enumerate(kind) if k in named}


def _content(params: Any) -> Any:
    """What stands for a step's parameters where these are compared."""
    match params:
        case Constant():
            return params.value.tobytes(), str(params.exact), str(params.radius)
        case np.ndarray():
            return params.tobytes()
    return repr(params)


def _rows(b: Builder, output: int, wrt: Mapping[str, Any], name: str) -> dict[str, int]:
    seed = b.input(name, b.shape(output), b.dtype(output))
    of, _ = reverse(b, {output: seed}, set(wrt.values()))
    return {n: of[i] if i in of else b.zeros(b.shape(i), b.dtype(i)) for n, i in wrt.items()}


def _unit(value: Value) -> tuple[Value, tuple[Factor, ...]]:
    """A tensor of the value's shape that is one at a free place and zero elsewhere, and the indices of that place."""
    axes = tuple(tuple(replace(f, index=fresh(f.index), loose=False) for f in axis) for axis in value.axes)
    mine = [f for axis in axes for f in axis]
    free = tuple(replace(f, index=fresh(f.index)) for f in mine)
    body = sp.Mul(*(sp.KroneckerDelta(f.index, g.index) for f, g in zip(mine, free, strict=True)))
    return Value(body, axes), free


# ------------------------------------------------------------------------------------------------ held to the code


def gives(
    problem: Problem, shapes: Shapes, readings: Mapping[str, Reading], sizes: Mapping[str, int]
) -> frozenset[str]:
    """The readings of which both sides, at these sizes, are what a fresh run computes, in balls at one point, where no
    comparison is a tie if there is such a point among a few."""
    for seed in range(problem.seed, problem.seed + _TRIES):
        try:
            there = problem if sizes == shapes.own() else resized(replace(problem, seed=seed), shapes, sizes)
            runs = there.first if there.first is not None else there.runs(there.inputs.point)
            branch = branch_of(*runs, there.wrt, there.order)
        except SymgradError:
            return frozenset()
        pairs = [p for p in branch.pairs if p.name in readings and p.hand is not None]
        point = {n: there.inputs.point[n] for n in branch.program.inputs}
        with precision(_BITS):
            wanted = [i for p in pairs for i in (p.hand, p.exact) if i is not None]
            wanted += [a for g in branch.program.guards for a in g.args]
            values = interpret(branch.program, Balls(), {n: binary(v) for n, v in point.items()}, wanted)
            if there is problem or not ties(branch.program, values, there.inputs.free):
                break
    good = set()
    for p in pairs:
        assert p.hand is not None
        if _agree(readings[p.name], flat(values[p.hand]), flat(values[p.exact]), point, sizes):
            good.add(p.name)
    return frozenset(good)


def agrees(reading: Reading, view: PairComparison, point: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    """Whether both sides of a reading give, at a point, the balls that were seen there."""
    inputs = {n: v for n, v in point.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"}
    return _agree(reading, view.hand, view.exact, inputs, sizes)


def agrees_with(reading: Reading, exact: np.ndarray, point: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    """Whether a reading's derivative gives these balls, at sizes and inputs."""
    return _agree(replace(reading, hand=reading.exact), exact, exact, point, sizes)


def _agree(
    reading: Reading, hand: np.ndarray, exact: np.ndarray, point: Mapping[str, Any], sizes: Mapping[str, int]
) -> bool:
    """Whether both sides of a reading give these balls: in all entries, or in a few of a large tensor."""
    lengths = {size_symbol(n): v for n, v in sizes.items()}
    indices, shape = [f.index for f in reading.factors], tuple(int(f.size.subs(lengths)) for f in reading.factors)
    if max(sizes.values()) > _MATRIX and (reading.hand.has(Matrix) or reading.exact.has(Matrix)):
        return False
    count = int(np.prod(shape, dtype=np.int64))
    if not count == len(hand) == len(exact):
        return False
    with precision(_BITS):
        inputs = {n: binary(v) for n, v in point.items()}
        try:
            for side, body in ((hand, reading.hand), (exact, reading.exact)):
                if count <= _ENTRIES:
                    array = Array(body, tuple(indices), tuple(f.size for f in reading.factors))
                    entries = flat(np.array(evaluate_all(array, inputs, lengths), dtype=object))
                    if not all(map(same_ball, side, entries)):
                        return False
                    continue
                for k in (0, count - 1, *np.random.default_rng(0).integers(count, size=_FEW).tolist()):
                    place = dict(zip(indices, map(int, np.unravel_index(k, shape)), strict=True))
                    if not same_ball(side[k], evaluate(body, inputs, {**lengths, **place})):
                        return False
        except (SymgradError, LookupError):  # what has no value in balls is not vouched for
            return False
    return True


def same_ball(code: Any, formula: Any) -> bool:
    """Whether two balls overlap and are thin, or neither has a value."""
    if not (code.is_finite() and formula.is_finite()):
        return code.is_finite() == formula.is_finite()
    return (code - formula).contains(0) and radius(code - formula) <= _THIN * (1 + abs(code).mid())
