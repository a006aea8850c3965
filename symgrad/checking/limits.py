"""The derivative of a limit: right for what a loop tends to, and wrong for the loop as it stops.

A series that is summed until a term is small, Newton's method, a fixed point: the code is a function of its own, whose
derivative is that of the turns that it makes.  A gradient that is derived from the equation which the limit solves is
not that derivative, and nearer to it with each turn.  The run's record holds every turn, so that the derivatives of
fewer turns are read off it, and nothing is run again.

A bisection's result hangs on its input by comparisons alone, which have no slope.  There the values themselves say what
they tend to: how they change between two points far apart for the tolerance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch, Pair, PointComparison
from symgrad.checking.exploration import Findings
from symgrad.checking.refutations import middle
from symgrad.checking.verdicts import Refuted
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.ops.row import precision
from symgrad.problem.point_search import is_ordered
from symgrad.problem.question import Problem
from symgrad.program.builder import Builder
from symgrad.program.derivative import gradients
from symgrad.program.program import Program, Source, interpret

_BITS = 640
_SHARE = 8  # of the turns that one look fewer has
_LOOKS = 5
_LEAST = 4  # turns that tell where a loop tends to
_REMAINDER = 4.0  # times what the last turns say is left: a series may end as slowly as 1/n
_FLATTER = 0.5  # a step toward the limit beside the one before it, at the least
_SPANS = (2.0**-7, 2.0**-9)  # from a point to both sides, of its size
_ALIKE = 1e-2  # of what a slope says: how far the change of the values may be from that
_ADVICE = (
    "If the limit is meant, write its derivative as the backward of a torch.autograd.Function: where the limit solves "
    "z = g(z, x), that is dz/dx = (dg/dx)/(1 - dg/dz)"
)


def find_limits(problem: Problem, found: Findings) -> None:
    """Say of the refuted claims which of them are right for the limit of a loop.

    Guarantee: nothing but words hangs on it; the claim stays refuted, for the code as it is.
    """
    if problem.order != 1 or not any(g.op == "turns" for g in found.own.model_run.program.course):
        return
    for pair in found.own.pairs:
        verdict, view = found.verdicts.get(pair.name), found.at_user_point.views.get(pair.name)
        if not isinstance(verdict, Refuted) or view is None or view.state != "differs" or verdict.only:
            continue
        told = _by_turns(found, pair) or _by_values(problem, found, pair)
        if told is not None:
            found.verdicts[pair.name] = replace(verdict, limit=told)


# ------------------------------------------------------------------------------------------------ fewer turns


def _by_turns(found: Findings, pair: Pair) -> tuple[str, str] | None:
    """The loop and what is to be said, where the derivative tends to the hand formula's with the turns."""
    loop = _ended_by_value(found.own.model_run.program)
    beside = [(b, s) for b, s in found.looks if pair.name in s.views and s.views[pair.name].state == "differs"]
    gaps = None if loop is None else _gaps(found.own, found.at_user_point, pair)
    if gaps is None or not all(_gaps(b, s, pair) for b, s in beside[:1] if not s.ties):
        return None
    far = ", ".join(f"{x:.2g}" for x in reversed(gaps[0]))
    few = "each turn" if gaps[1] == 1 else f"{gaps[1]} turns"
    told = f"with {few} more, the derivative of the code is apart from yours by {far}: yours is what it tends to"
    return _place(loop), f"{told}. {_ADVICE}"


def _ended_by_value(program: Program) -> Source | None:
    """The comparison that ends a loop: again and again one way, and at last the other."""
    ended = (
        s for s, ways in _compared(program) if len(ways) >= _LEAST and len({*ways[:-1]}) == 1 and ways[-1] != ways[0]
    )
    return next(ended, None)


def _gaps(branch: Branch, seen: PointComparison, pair: Pair) -> tuple[list[float], int] | None:
    """How far ever fewer turns are from the hand formula, and by how many they differ; None where that stays."""
    program = branch.model_run.program
    (output,) = program.outputs.values() if len(program.outputs) == 1 else (None,)
    turns = [] if output is None else _iterates(program, output)
    if (
        output is None
        or len(turns) < _LEAST
        or pair.name not in program.inputs
        or not (pair.summed or not program.shape(output))
    ):
        return None
    b, by = Builder.on(program), max(1, len(turns) // _SHARE)
    wrt = {pair.name: program.inputs[pair.name]}
    slopes = [gradients(b, _after(b, output, turn), wrt)[pair.name] for turn in turns[::by][:_LOOKS]]
    with precision(_BITS):
        inputs = {n: binary(seen.point[n]) for n in program.inputs}
        values = interpret(b.build({}), Balls(), inputs, slopes)
        hand = seen.views[pair.name].hand
        found = [flat(values[i]) for i in slopes]
        gaps = [_distance(x, hand) for x in found]
        steps = [_distance(x, y) for x, y in itertools.pairwise(found)]
    return (gaps, by) if _tends(gaps, steps) else None


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return max((abs(float(abs(x - y).mid())) for x, y in zip(a, b, strict=True)), default=math.nan)


def _tends(gaps: Sequence[float], steps: Sequence[float]) -> bool:
    """Whether each gap is smaller than the one before, none flattens, and the last is no more than the steps say."""
    if len(steps) < _LEAST - 1 or not all(0 < x < math.inf for x in (*gaps, *steps)):
        return False
    if not all(a < b for a, b in (*itertools.pairwise(gaps), *itertools.pairwise(steps))):
        return False
    drops = [math.log(b / a) for a, b in itertools.pairwise(gaps)]
    left = steps[0] * steps[0] / (steps[1] - steps[0])
    return drops[0] >= _FLATTER * drops[1] and gaps[0] <= _REMAINDER * left


def _iterates(program: Program, output: int) -> list[Mapping[int, int]]:
    """For ever fewer turns of the last loop, from none fewer on: its variables' last values, and what they were."""
    bound: dict[Any, list[int]] = {}
    for binding in program.bindings:
        source: Any = binding.source
        bound.setdefault((binding.name, source and (source.line, source.span)), []).append(binding.step)
    last = {steps[-1]: steps for steps in bound.values() if len(steps) >= _LEAST}
    front, waiting, known = set[int](), [output], set[int]()
    while waiting:
        i = waiting.pop()
        if i in last:
            front.add(i)
        elif i not in known:
            known.add(i)
            waiting += program.steps[i].args
    count = min((len(last[i]) for i in front), default=0)
    return [{i: last[i][-1 - k] for i in front} for k in range(count)]


def _after(b: Builder, output: int, put: Mapping[int, int]) -> int:
    """The output with other values in the places of some."""
    place: dict[int, int] = dict(put)
    for i in b.build({}).needed([output]):
        if i not in place:
            step = b.steps[i]
            args = tuple(place[a] for a in step.args)
            place[i] = i
            if args != step.args:
                b.steps.append(replace(step, args=args))
                place[i] = len(b.steps) - 1
    return place[output]


# ------------------------------------------------------------------------------------------------ by values


def _by_values(problem: Problem, found: Findings, pair: Pair) -> tuple[str, str] | None:
    """The loop, and what is said where its values change as the hand formula says and the code's slope does not."""
    chosen = _inside_loops(found.own.model_run.program)
    view, point = found.at_user_point.views[pair.name], problem.inputs.point
    if chosen is None or view.hand.size != 1 or np.size(point[pair.name]) != 1:
        return None
    hand, exact, at = (
        float(middle(view.hand[0]).real),
        float(middle(view.exact[0]).real),
        float(np.asarray(point[pair.name])),
    )
    changes = []
    for span in _SPANS:
        half = span * max(1.0, abs(at))
        ends = [
            _value(problem, {**point, pair.name: np.full(np.shape(point[pair.name]), at + d)}) for d in (-half, half)
        ]
        if None in ends:
            return None
        changes.append((at - half, at + half, float(ends[1] - ends[0])))  # type: ignore[operator]
    alike = all(abs(change - hand * (high - low)) <= _ALIKE * abs(hand) * (high - low) for low, high, change in changes)
    if not alike or abs(exact - hand) <= 10 * _ALIKE * abs(hand):
        return None
    low, high, change = changes[0]
    told = (
        f"from {pair.name} = {low:.6g} to {pair.name} = {high:.6g} the result changes by {change:.3g}, as yours says, "
        f"but what changes it are comparisons ({chosen.text.rstrip(':')}), and these have no slope: the code's own "
        f"derivative is {exact:.3g}"
    )
    return _place(chosen), f"{told}. {_ADVICE}"


def _inside_loops(program: Program) -> Source | None:
    """A comparison that was made again and again, and came out both ways more than once."""
    return next((s for s, ways in _compared(program) if min(ways.count(True), ways.count(False)) > 1), None)


def _compared(program: Program) -> Iterable[tuple[Source, list[bool]]]:
    """The places at which single values were compared, each with how that came out, in turn."""
    ways: dict[Source, list[bool]] = {}
    for guard in program.guards:
        if is_ordered(guard) and guard.op != "sign" and guard.source is not None and not guard.outcome.shape:
            ways.setdefault(guard.source, []).append(bool(guard.outcome))
    return ways.items()


def _value(problem: Problem, point: Mapping[str, Any]) -> float | None:
    """What the model's code gives at a point by itself, where that is one number."""
    told = problem.values(point)
    (value,) = told[0].values() if told is not None and len(told[0]) == 1 else (None,)
    return (
        None if value is None or np.size(value) != 1 or np.iscomplexobj(value) else float(np.asarray(value).reshape(()))
    )


def _place(source: Source | None) -> str:
    return (
        "the limit of a loop" if source is None or not source.line else f"the limit of the loop at line {source.line}"
    )
