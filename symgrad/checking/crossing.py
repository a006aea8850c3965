"""The other side of every choice: points at which the code decides otherwise are sought, and both sides judged there.

A comparison is crossed by Newton's method on what it compares, with everything that the code detached followed; where
that fails, points far and wide are asked.  What was decided by something made of looks, such as a count of entries, a
number made whole or its text, is sought where the looks themselves come out otherwise: with each number that the code
names as the target, and each number of entries on one side.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.checking.choices import (
    BINS,
    Decision,
    Key,
    Look,
    Met,
    axis_of_order,
    decisions,
    earlier,
    in_bins,
    is_place,
    turned,
)
from symgrad.checking.combinations import forks
from symgrad.checking.comparison import Branch, PointComparison, compare_at
from symgrad.checking.data_flow import Idle, idle_values, is_used
from symgrad.checking.exploration import Findings, all_looks, inside, inside_looks, rerun
from symgrad.checking.impossibility import is_nowhere
from symgrad.checking.kink_sides import with_kinks
from symgrad.checking.orders import orders, point_in_order
from symgrad.checking.turns import courses, point_of_turns, wanted
from symgrad.checking.whole_numbers import narrow, path_of, points_with_others
from symgrad.errors import UserCodeFailed
from symgrad.problem.point_search import (
    Start,
    is_ordered,
    point_with,
    points_after,
    points_at,
    points_beyond,
    points_on,
    value_at,
)
from symgrad.problem.question import Problem
from symgrad.problem.sampling import draw, rounded, scattered
from symgrad.program.program import WHOLE, Decided, Guard, Program

_CROSSINGS = 48  # runs of the code that look for the other side of a choice
_KINKS = 12  # runs that look for the other sides of kinks
_FORKS = 16  # runs that look for combinations of choices
_SEARCHES = 96  # for points of each kind, most of which find none
_ROUNDS = 3  # of both: what appears beyond a choice is crossed too
_TURN = 12  # choices that are crossed before it is asked again which are left
_EACH = 24  # runs for one outcome
_SWEPT = 8  # runs for a decision that may come out in ways without an end
_WALK = 8  # steps across an edge that led to other branches
_ANYWHERE = 160  # points, drawn from near and far, at which other branches are sought
_STEPS = 60_000  # steps of all of these runs together
_TURNS = 24  # numbers of turns that are sought
_BITS = 24  # of numbers between two others
_USES = 128  # runs that look for the use of values that no claim was made of; most of them end there
_LEAST_USES = 64
_POINTS = 64  # that a question asks for, where nothing else is said
_LEAST = 4  # runs of each kind, where it asks for fewer
_LEAST_FORKS = 12  # of those that look between two thresholds
_PLACES = 12  # entries of which each is made the largest once, or each number is brought to one side
_TABLE = 64  # places of a table of which each is sought
_ALL = 3  # entries of which each combination of sides is sought
_NUMBERS = 6  # numbers of the code that are combined to targets
_SMALL = (0, 1, 2, 3, 4, 5, 6, 7, -1, -2, -3, 10, 20, 100)
_WIDE = (1.0, 0.0, -1.0, 2.0**4, 2.0**-4, 2.0**8, 2.0**-12, 2.0**12)
_MIDDLE = {"floor": 0.5, "ceil": -0.5, "round": 0.0, "rint": 0.0}  # of what is made one whole number
_STARTS = 3  # points from which the other side of a choice is sought


def cross(problem: Problem, found: Findings) -> None:
    """Look on the other side of every choice that came out the same way so far, and at combinations of choices that
    were not seen; what appears there, likewise.  Where a claim is refuted already, nothing is sought for it."""
    _seek(problem, found, {_other_ways: (_CROSSINGS, _LEAST), _combinations: (_FORKS, _LEAST_FORKS)})
    _seek_turns(problem, found)
    _seek_uses(problem, found)
    _seek_numbers(problem, found)
    known = len(found.branches)
    _seek_anywhere(problem, found)
    if len(found.branches) > known:
        _seek(problem, found, {_combinations: (_FORKS, _LEAST_FORKS)})


def cross_kinks(problem: Problem, found: Findings) -> None:
    """Look on both sides of the kinks of the formulas themselves, for claims that are not proved."""
    _seek(problem, found, {_other_signs: (_KINKS, _LEAST)})


def _seek(
    problem: Problem, found: Findings, runs: dict[Callable[[Problem, Findings], list[_Target]], tuple[int, int]]
) -> None:
    tried: set[Any] = set()
    share = min(1.0, problem.points / _POINTS)  # of the work, where a question asks for few points
    budgets = {seek: max(least, int(most * share * problem.effort)) for seek, (most, least) in runs.items()}
    searches = dict.fromkeys(budgets, int(_SEARCHES * max(1.0, problem.effort)))
    for _ in range(_ROUNDS):
        before = len(found.looks)
        for seek in budgets:
            while min(budgets[seek], searches[seek]) > 0 and _may_differ(found):
                waiting = [t for t in seek(problem, found) if t.key not in tried]
                if not waiting:
                    break
                waiting = [t for t in waiting if t.is_branch] or waiting
                begun = len(found.looks)
                for target in waiting[:_TURN]:
                    tried.add(target.key)
                    if any(target.is_met(look, problem.inputs.free) for look in found.looks[begun:]):
                        continue
                    searches[seek] -= 1
                    each, first = _EACH if target.way is not None or target.choice is None else _SWEPT, len(found.looks)
                    for point in itertools.islice(target.points(problem), min(each, budgets[seek])):
                        budgets[seek] -= 1
                        if _look_across(problem, found, target, point):
                            break
                    else:
                        budgets[seek] -= _walk_across(problem, found, target, found.looks[first:], budgets[seek])
        if len(found.looks) == before:
            return


def _seek_turns(problem: Problem, found: Findings) -> None:
    """Look where loops run as often as they were not seen to."""
    tried: set[tuple[Any, int]] = set()
    budget = max(_LEAST, int(_TURNS * min(1.0, problem.points / _POINTS) * problem.effort))
    while len(tried) < budget and _may_differ(found):
        waiting = (
            (c, n)
            for c, n in wanted(courses(inside_looks(found), problem.inputs.free), len(found.branches))
            if (c.key, n) not in tried
        )
        loop, count = next(waiting, (None, 0))
        if loop is None:
            return
        tried.add((loop.key, count))
        point = point_of_turns(problem, loop, count)
        if point is not None:
            _look_at(problem, found, point, None)


def _seek_uses(problem: Problem, found: Findings) -> None:
    """Look where lines that ran, and had no say in any claim, have one."""
    tried: set[Any] = set()
    budget = max(_LEAST_USES, int(_USES * min(1.0, problem.points / _POINTS) * problem.effort))
    while budget > 0 and _may_differ(found):
        idle = next((i for i in idle_values(inside_looks(found)) if i.place not in tried), None)
        if idle is None:
            return
        tried.add(idle.place)
        for point in itertools.islice(_points_of_use(problem, found, idle), min(_LEAST_USES, budget)):
            budget -= 1
            settled = problem.inputs.settled(point)
            there = None if settled is None else rerun(problem, found, settled)
            if isinstance(there, tuple) and is_used(idle, there[0]):
                look = _look_at(problem, found, point, None)
                if look is not None and inside(look[1]) and not look[1].ties:
                    break


def _points_of_use(problem: Problem, found: Findings, idle: Idle) -> Iterator[dict[str, Any]]:
    """Points at which an idle value may be used: with each input as where its line ran, as where another value was
    used, or between the two; and across each choice where it was not used."""
    points = [look[1].point for look in (*idle.unused, *idle.used)]
    turned_round = (target.points(problem) for target in _turned_round(found, idle.unused, problem.inputs.free))
    across = itertools.chain.from_iterable(itertools.islice(p, 2) for p in turned_round)
    wide = _wide_points(problem, points[0], problem.inputs.free)
    for some in itertools.zip_longest(_mixed(problem, points), itertools.chain(across, wide)):
        yield from (p for p in some if p is not None)


def _mixed(problem: Problem, points: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Points whose inputs are those of two others, or between them; each once."""
    rng, seen = np.random.default_rng((problem.seed, 9)), set[bytes]()
    for _ in range(_LEAST_USES):
        mixed = dict(points[0])
        for n in problem.inputs.free:
            a, b = (np.asarray(points[k][n]) for k in rng.integers(0, len(points), 2))
            between = rounded(a + rng.uniform() * (b - a), _BITS) if a.dtype.kind == "f" else a
            mixed[n] = between if rng.integers(2) else a
        key = b"".join(np.asarray(mixed[n]).tobytes() for n in problem.inputs.free)
        if key not in seen:
            seen.add(key)
            yield mixed


def _seek_numbers(problem: Problem, found: Findings) -> None:
    """Look where numbers made whole are others, on branches on which a claim holds for those alone that were seen."""
    for few in narrow(inside_looks(found), problem.inputs.free):
        looks = list(few.looks)
        for point in points_with_others(problem, few):
            few = replace(few, looks=tuple(looks))
            if few.is_seen_through or not _may_differ(found):
                break
            settled = problem.inputs.settled(dict(point))
            there = None if settled is None else rerun(problem, found, settled)
            mine = isinstance(there, tuple) and path_of(there[0]) == few.path
            if mine or few.hidden:
                look = _look_at(problem, found, point, None)
                looks += [look] if mine and look is not None and inside(look[1]) else []


def _seek_anywhere(problem: Problem, found: Findings) -> None:
    """Look where code of several branches takes one more, among points drawn from near and far: how choices, turns of
    loops and numbers made whole come out together is not listed.  What holds there is no more to prove, unless a choice
    came out there as it did nowhere else."""
    free = problem.inputs.free
    open_ = {k: {*d.open} for k, d in decisions(all_looks(found), free).items() if d.branches and d.open}
    most = min(int(_ANYWHERE * problem.effort), _STEPS // len(found.own.program)) * (len(found.branches) > 2)
    for point in scattered(problem.inputs, (problem.seed, 12), most):
        settled = problem.inputs.settled(point)
        there = None if settled is None else rerun(problem, found, settled)
        if settled is not None and isinstance(there, tuple) and all(there[0] is not b for b in found.branches):
            seen = compare_at(there[0], settled, free, guards=there[1])
            told = decisions([(there[0], seen)], free) if inside(seen) and not seen.ties else {}
            new = [k for k, d in told.items() if open_.get(k, set()) & d.points.keys()]
            for key in new:
                open_[key] -= told[key].points.keys()
            if new or (not seen.ties and any(n in seen.views and _differs(seen, n) for n in _unrefuted(found))):
                found.looks.append((there[0], seen))
                found.branches.append(there[0])
        if not _may_differ(found):
            return


def _may_differ(found: Findings) -> bool:
    """Whether a claim is left that no look off an edge has refuted."""
    return bool(_unrefuted(found))


def _unrefuted(found: Findings) -> list[str]:
    """The claims that no look off an edge has refuted."""
    clear_looks = [s for _, s in inside_looks(found) if not s.ties]
    return [n for n in found.at_user_point.views if not any(n in s.views and _differs(s, n) for s in clear_looks)]


def _differs(seen: PointComparison, name: str) -> bool:
    return seen.views[name].state == "differs"


@dataclass(frozen=True, eq=False)
class _Target:
    """A guard to come out another ``way`` at one entry, after comparisons that ``keep`` theirs; and whose it is."""

    key: Any
    guard: Guard
    starts: Sequence[tuple[Branch, Guard, Mapping[str, Any]]]
    choice: Key | None = None
    way: Any = None
    entry: int | None = None
    keep: tuple[tuple[Guard, bool], ...] = ()
    path: tuple[tuple[Guard, bool], ...] = ()  # what was compared before it at the first start

    @property
    def is_branch(self) -> bool:
        """Whether it takes the word from a verdict if it is not reached; where a choice has ways without an end, none
        of them does."""
        return self.choice is None or self.way is not None

    @property
    def sought(self) -> Any:
        """What a point at which the code raises is remembered by."""
        return (self.choice, self.way if self.choice is not None else self.key[:-1])

    def is_met(self, look: Look, free: Sequence[str]) -> bool:
        """Whether it came out so at a look in passing."""
        return self.choice is not None and turned(self.guard, self.choice, self.way, look, free)

    def points(self, problem: Problem) -> Iterator[dict[str, Any]]:
        """Points at which it may come out so; and the first of them with all moved that it does not hang on, for what
        leads to it may."""
        first = None
        for point in self._points(problem):
            first = first or point
            yield point
        if first is not None:
            hangs = self.starts[0][0].program.needed(self.starts[0][1].args)
            hangs = {n for n, i in self.starts[0][0].program.inputs.items() if i in hangs}
            yield from _wide_points(problem, first, [n for n in problem.inputs.free if n not in hangs])
        if isinstance(self.guard.params, Decided):
            yield from _wide_points(problem, problem.inputs.point, problem.inputs.free)

    def _points(self, problem: Problem) -> Iterator[dict[str, Any]]:
        free, bounds = problem.inputs.free, problem.inputs.bounds
        for branch, guard, start in self.starts:
            at = Start(branch.program, start, free, bounds)
            if guard.op == "argsort":
                axis = axis_of_order(branch.program, guard)
                yield from point_in_order(branch.program, guard.args[0], axis, self.way, start, free)
            elif isinstance(guard.params, Decided):
                yield from _points_of_decision(branch, guard, start, free, bounds, self.way)
            elif is_ordered(guard) or guard.op in ("argmax", "argmin"):
                guard = _as_it_is(branch.program, guard, start)
                yield from points_beyond(at, guard, self.entry, self.keep)
            elif guard.op in BINS:
                yield from _points_in_bins(at, guard, self.way)
            else:
                yield from points_on(at, guard)
        if self.path:
            branch, guard, start = self.starts[0]
            yield from points_after(Start(branch.program, start, free, bounds), guard, self.path)


def _as_it_is(program: Program, guard: Guard, point: Mapping[str, Any]) -> Guard:
    """An extreme's guard with the place that it has at the point."""
    if guard.op not in ("argmax", "argmin"):
        return guard
    axis = guard.params[0] if isinstance(guard.params, tuple) and guard.params else guard.params
    values = value_at(program, guard.args[0], point)
    along = isinstance(axis, int) and not isinstance(axis, bool)
    return replace(guard, outcome=np.asarray(getattr(np, guard.op)(values, axis if along else None)))


def _other_ways(problem: Problem, found: Findings) -> list[_Target]:
    """The outcomes that did not come up, and the places that no extreme was at."""
    return _ways(decisions(all_looks(found), problem.inputs.free))


def _ways(chosen: Mapping[Key, Decision]) -> list[_Target]:
    out: list[_Target] = []
    for key, d in chosen.items():
        met = sorted(d.met.values(), key=_is_on_edge)[:_STARTS]
        starts = [(m.branch, m.guards[0], m.seen.point) for m in met]
        crossed = is_ordered(d.guard) or isinstance(d.guard.params, Decided)
        ways: list[Any] = d.open if d.ways is not None and (d.branches or len(d.ways) <= _PLACES) else []
        if is_place(d.guard) and not d.shared and len(d.ways or ()) <= _TABLE:
            ways = d.open
        if d.guard.op == "argsort" and d.guard.outcome.ndim:
            ways = list(orders(d.guard.outcome.shape[axis_of_order(d.branch.program, d.guard)], list(d.points)))
        elif d.ways is None and isinstance(d.guard.params, Decided):
            ways = [None]  # a table's place, or a number of times: one after the other
        for way in ways:
            place: int | None = way if d.guard.op in ("argmax", "argmin") else None
            mine = starts if crossed else starts[:1]
            out.append(_Target((key, way), d.guard, mine, key, way, place, path=_path(met[0])))
    return out


def _path(met: Met) -> tuple[tuple[Guard, bool], ...]:
    """The comparisons of single values that came before a choice where it was met, as they came out."""
    guard = met.guards[0]
    if not _is_one_comparison(guard):
        return ()
    before = earlier(met.branch, met.seen, guard)
    return tuple((g, bool(g.outcome)) for g in before if _is_one_comparison(g))


def _is_one_comparison(guard: Guard) -> bool:
    return is_ordered(guard) and guard.op != "sign" and not np.shape(guard.outcome)


def _is_on_edge(met: Met) -> bool:
    """Whether a look stands on an edge: what is sought from there would stand on it too."""
    return bool(met.seen.ties)


def _other_signs(problem: Problem, found: Findings) -> list[_Target]:
    """The signs that did not come up beside the formulas' own kinks."""
    return _ways(decisions(with_kinks(all_looks(found)), problem.inputs.free))


def _combinations(problem: Problem, found: Findings) -> list[_Target]:
    """The comparisons that came out one way after the same choices before them."""
    return _turned_round(found, inside_looks(found), problem.inputs.free)


def _turned_round(found: Findings, looks: Sequence[Look], free: Sequence[str]) -> list[_Target]:
    return [
        _Target(f.key, f.guard, [(f.branch, f.guard, f.seen.point)], entry=f.entry, keep=f.before)
        for f in forks(looks, free)
        if not is_nowhere(f, found.nowhere)
    ]


def _look_across(problem: Problem, found: Findings, target: _Target, point: Mapping[str, Any]) -> bool:
    """Look at the point; whether it is one of the domain, and the choice came out as it was to there."""
    look = _look_at(problem, found, point, target.sought)
    if look is None:
        return False
    if target.guard.op == "sign" and target.choice is not None:
        (look,) = with_kinks([look]) if target.choice not in decisions([look], problem.inputs.free) else (look,)
    return turned(target.guard, target.choice, target.way, look, problem.inputs.free)


def _walk_across(problem: Problem, found: Findings, target: _Target, looks: Sequence[Look], budget: int) -> int:
    """Go on from where the longest step across led, which may be another branch of the code, as the middle of some
    numbers is another one when one of them has moved; how many runs that took."""
    runs = 0
    while target.choice is not None and is_ordered(target.guard) and looks and runs < min(_WALK, budget):
        met = decisions(looks[:1], problem.inputs.free).get(target.choice)
        if met is None:
            break
        start = met.first.branch, met.guard, met.first.seen.point
        point = next(replace(target, starts=[start], path=()).points(problem), None)
        if point is None:
            break
        runs += 1
        if _look_across(problem, found, target, point):
            break
        looks = found.looks[-1:]
    return runs


def _look_at(problem: Problem, found: Findings, point: Mapping[str, Any], sought: Any) -> Look | None:
    """Look at a point; None outside of the domain.  Where the code raises, that is remembered of what was sought."""
    settled = problem.inputs.settled(dict(point))
    if settled is None:
        return None
    there = rerun(problem, found, settled)
    if isinstance(there, Exception):
        if isinstance(there, UserCodeFailed) and sought is not None:
            found.barred.setdefault(sought, settled)
        return None
    branch, guards = there
    look = branch, compare_at(branch, settled, problem.inputs.free, guards=guards)
    found.looks.append(look)
    if all(branch is not b for b in found.branches):
        found.branches.append(branch)
    return look


# ------------------------------------------------------------------------------------------------ decisions


def _points_of_decision(
    branch: Branch, guard: Guard, start: Mapping[str, Any], free: Sequence[str], bounds: Mapping[str, Any], way: Any
) -> Iterator[dict[str, Any]]:
    """Points where the looks that a decision was made of come out otherwise: as ``way``, where it is a number."""
    program, decided, first = branch.program, guard.params, 0
    at = Start(program, start, free, bounds)
    sought = [float(way)] if is_place(guard) and isinstance(way, int) else []
    numbers = list(dict.fromkeys((*sought, *_targets(decided, branch))))
    for op, count, params in decided.bases:
        args = guard.args[first : first + count]
        first += count
        beside = is_ordered(Guard(op, args, params, np.zeros(())))
        shape = np.broadcast_shapes(*(program.shape(a) for a in (args if beside else args[:1])))
        n = int(np.prod(shape, dtype=np.int64))
        base = Guard(op, args, params, np.zeros(shape, dtype=bool), guard.source)
        if not n:
            continue
        if op in WHOLE or op == "text":
            goals = [goal for number in numbers for goal in _goals(op, number)]
            for goal, slack in goals:
                here, entries = at, range(min(n, _PLACES))
                for entry in entries[1:]:  # all of them, and then each
                    here = replace(here, point=next(points_at(here, args[0], entry, goal, slack), here.point))
                for one, entry in ((here, 0), *((at, k) for k in entries[1:]), *(((at, 0),) * (n > 1))):
                    yield from points_at(one, args[0], entry, goal, slack)
        elif is_ordered(base) and n > 1:
            for sides in _patterns(n, numbers):
                point = point_with(at, base, sides)
                if point is not None:
                    yield point
        elif is_ordered(base):
            yield from points_beyond(at, base)
        elif op in ("argmax", "argmin", "argsort"):
            if op == "argsort" and isinstance(decided.other, tuple):
                axis = axis_of_order(program, base)
                yield from point_in_order(program, args[0], axis, decided.other, start, free)
            for which, place in itertools.product(("argmin", "argmax"), range(min(n, _PLACES))):
                if op in (which, "argsort"):
                    extreme = _as_it_is(program, replace(base, op=which), start)
                    yield from itertools.islice(points_beyond(at, extreme, place), 1)
        elif op in BINS and count == 2:
            yield from _points_in_bins(at, base)
        elif count <= 2:
            yield from points_on(at, base)


def _points_in_bins(at: Start, guard: Guard, way: int | None = None) -> Iterator[dict[str, Any]]:
    """Points at which a value lies in a bin, or in each."""
    values, edges = in_bins(guard)
    ends = [-np.inf, *np.sort(value_at(at.program, edges, at.point).reshape(-1)).tolist(), np.inf]
    for k in range(min(len(ends), _PLACES + 2) - 1) if way is None else (way,):
        low, high = ends[k : k + 2]
        near = low if np.isfinite(low) else high if np.isfinite(high) else 0.0
        low, high = (x if np.isfinite(x) else near + side * (1 + abs(near)) for x, side in ((low, -1), (high, 1)))
        yield from points_at(at, values, 0, (low + high) / 2, (high - low) / 4)


def _targets(decided: Decided, branch: Branch) -> Iterator[float]:
    """The numbers that a decision may turn at: what it was held against first, what the code writes, and small ones."""
    own = [decided.other] if isinstance(decided.other, (int, float)) else []
    if isinstance(decided.other, str):
        own += [float(x) for x in re.findall(r"-?\d+\.?\d*", decided.other)]
    written = sorted({*branch.model_run.numbers, *branch.hand_run.numbers} - {*own}, key=abs)[:_NUMBERS]
    beside = [x + d for x in own for d in (1, -1)]
    made = [f(a, b) for a in own for b in written for f in (_sum, _gap, _product, _ratio) if b]
    yield from dict.fromkeys(x for x in (*own, *beside, *made, *written, *_SMALL) if np.isfinite(x))


def _sum(a: float, b: float) -> float:
    return a + b


def _gap(a: float, b: float) -> float:
    return a - b


def _product(a: float, b: float) -> float:
    return a * b


def _ratio(a: float, b: float) -> float:
    return a / b


def _goals(op: str, number: float) -> list[tuple[float, float]]:
    """The values that are made this number, or written as it, each with how far from it a point may be."""
    if op == "text":
        return [(number, 0.0), (number, 2.0**-8), (number + 0.25 * (1 if number >= 0 else -1), 2.0**-4)]
    whole = round(number)
    shift = _MIDDLE.get(op, 0.5 * (whole > 0) - 0.5 * (whole < 0))
    return [(whole + shift, 0.25)]


def _patterns(n: int, numbers: Iterable[float]) -> list[tuple[bool, ...]]:
    """Which of n entries are to come out true: all, none, and each number of them."""
    counts = range(1, n) if n <= _PLACES else [int(k) for k in numbers if 0 < k < n][:_PLACES]
    if n <= _ALL:
        return sorted(itertools.product((True, False), repeat=n), key=lambda sides: sum(sides) % n)
    counted = [tuple(j < k for j in range(n)) for k in counts]
    last = [tuple(j >= n - k for j in range(n)) for k in counts if n <= _PLACES]
    return [(True,) * n, (False,) * n, *counted, *last]


def _wide_points(problem: Problem, start: Mapping[str, Any], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A point with these inputs drawn anew, of all sizes."""
    bounds = problem.inputs.bounds
    for k, scale in enumerate(_WIDE if names else ()):
        rng = np.random.default_rng((problem.seed, 7, k))
        point = dict(start)
        for name in names:
            drawn = draw(np.shape(point[name]), rng, bounds.get(name, (None, None)))
            point[name] = drawn if bounds.get(name) or k % 2 else drawn * scale
        yield point
