"""Where the two sides are compared: points, the branch that the code takes at each, the other side of its choices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch, PointComparison, branch_of, compare_at, with_domain
from symgrad.checking.verdicts import AllSizes, Kink, Proved, Refuted, Verdict
from symgrad.errors import LostValue, NotReproducible, SymgradError
from symgrad.lifting.tracing.functions import Run
from symgrad.problem.definedness import Undefined, branches_on
from symgrad.problem.point_search import is_ordered, point_with_all, points_beyond
from symgrad.problem.question import Problem
from symgrad.problem.replay import replay, with_given_numbers
from symgrad.problem.sampling import neighbours, toward
from symgrad.program.program import Guard, Program, only_constants_differ, same_structure
from symgrad.progress import doing

# ------------------------------------------------------------------------------------------------------------ coverage
# Which way the code went: its choices, and how each came out at the points of the domain that were looked at.
#
# A choice is a comparison, the place of an extreme, an order, a number made whole: whatever the code decided by looking
# at a value.  What it did not decide at any point leads to a branch that was not judged.

Key = tuple[Any, ...]
_WHOLE = frozenset(("floor", "ceil", "trunc", "round", "rint"))
_STARTS = 6  # points from which a combination of choices is sought
_FEW = 6  # values that are told one by one


@dataclass(eq=False)
class Choice:
    """A choice of the code, one look at which it was made, and how it came out at all of them."""

    text: str
    guard: Guard
    branch: Branch
    point: Mapping[str, Any]
    outcomes: set[Any] = field(default_factory=set)
    whole: set[bool] = field(default_factory=set)  # how a comparison of tensors came out in all entries at once

    @property
    def ways(self) -> float:
        """How many ways it may come out."""
        guard, program = self.guard, self.branch.program
        if guard.outcome.dtype == bool or guard.op == "sign":
            return 2
        row = _row(guard, program) if guard.op in ("argmax", "argmin", "argsort") else None
        if row is not None and guard.op != "argsort":
            return row[1]
        if row is not None:
            return math.perm(row[1], np.shape(guard.outcome)[row[0]]) if np.ndim(guard.outcome) else row[1]
        return math.inf

    @property
    def is_open(self) -> bool:
        return len(self.outcomes) < self.ways


def choices(looks: Iterable[tuple[Branch, PointComparison]], free: Sequence[str]) -> dict[Key, Choice]:
    """The choices that the code made at these looks, by where they stand in it.

    A comparison that is a tie, or that a rounding error decided, says nothing of either side.
    """
    found: dict[Key, Choice] = {}
    for branch, seen in looks:
        for guard in _guards(branch, seen, free):
            if guard in seen.ties and is_ordered(guard):
                continue
            key = _key(branch.program, guard)
            text = f"line {guard.source.line}, {guard.source.text}" if guard.source.line else guard.source.text
            choice = found.setdefault(key, Choice(text, guard, branch, seen.point))
            here = _outcomes(guard, branch.program)
            choice.outcomes |= here
            if len(here) == 1 and guard.outcome.dtype == bool:
                choice.whole |= here
    return found


def _guards(branch: Branch, seen: PointComparison, free: Sequence[str]) -> Iterator[Any]:
    mine = branches_on(branch.program, free)
    moving = {g.args for g in mine}
    return (g for g in seen.guards if g.source is not None and g.args in moving and np.size(g.outcome))


def _key(program: Program, guard: Guard) -> Key:
    """Where a choice stands in the code; the operations of its sides, and the numbers among them, tell two comparisons
    of one line apart."""
    source: Any = guard.source
    steps = [program.steps[a] for a in guard.args]
    sides = tuple((s.op, repr(s.params.value.tolist()) if s.op == "constant" else None) for s in steps)
    return guard.op, source.file, source.line, source.span, source.text, sides


def _row(guard: Guard, program: Program) -> tuple[int, int] | None:
    """The axis along which entries are compared with each other, and how many there are."""
    shape = program.shape(guard.args[0])
    if guard.params is None:
        return 0, int(np.prod(shape, dtype=np.int64))
    axis = guard.params[0] if isinstance(guard.params, tuple) and guard.params else guard.params
    if not isinstance(axis, int) or isinstance(axis, bool) or not shape:
        return None
    return axis % len(shape), shape[axis]


def _outcomes(guard: Guard, program: Program) -> set[Any]:
    outcome = np.asarray(guard.outcome)
    if guard.op == "argsort" and outcome.ndim and (row := _row(guard, program)) is not None:
        return set(map(tuple, np.moveaxis(outcome, row[0], -1).reshape(-1, outcome.shape[row[0]]).tolist()))
    if outcome.dtype == bool or guard.op in _WHOLE or guard.op in ("argmax", "argmin"):
        return set(np.unique(outcome).tolist())
    if guard.op == "sign":
        return set(np.unique(outcome).tolist()) - {0.0}
    return {(outcome.shape, outcome.tobytes())}


# ------------------------------------------------------------------------------------------------ combinations


@dataclass(frozen=True, eq=False)
class Fork:
    """A comparison that came out one way only after the choices ``before`` it: where, and from which point to cross
    it."""

    key: Key
    branch: Branch
    guard: Guard
    entry: int
    point: Mapping[str, Any]
    before: tuple[tuple[Guard, bool], ...] = ()


def forks(looks: Iterable[tuple[Branch, PointComparison]], free: Sequence[str]) -> dict[Key, Fork]:
    """The combinations of comparisons that were not seen: each choice, turned round after the same choices before it.

    Comparisons of tensors of one shape are combined entry by entry.  A combination has several starts, for the way
    from one may lead across other edges first; they are numbered, the first ones come first.
    """
    paths: dict[Key, list[Fork]] = {}
    for branch, seen in looks:
        groups: dict[tuple[int, ...], list[Guard]] = {}
        for guard in _guards(branch, seen, free):
            if is_ordered(guard) and guard.op != "sign" and guard not in seen.ties:
                groups.setdefault(guard.outcome.shape, []).append(guard)
        for shape, group in groups.items():
            for entry, way in _entries(group):
                path: Key = (shape,)
                for k, (guard, outcome) in enumerate(zip(group, way, strict=True)):
                    path = (*path, (_key(branch.program, guard), outcome))
                    before = tuple(zip(group[:k], way[:k], strict=True))
                    starts = paths.setdefault(path, [])
                    if len(starts) < _STARTS:
                        starts.append(Fork(path, branch, guard, entry, seen.point, before))
    out: list[tuple[int, Key, Fork]] = []
    for path, starts in paths.items():
        key, outcome = path[-1]
        other = (*path[:-1], (key, not outcome))
        if len(path) > 2 and other not in paths:
            out += [(k, other, replace(fork, key=(*path, k))) for k, fork in enumerate(starts)]
    return {(*other, k): fork for k, other, fork in sorted(out, key=lambda x: x[0])}


def _entries(group: Sequence[Guard]) -> list[tuple[int, tuple[bool, ...]]]:
    """The different ways in which the comparisons came out at an entry, each with the first such entry."""
    table = np.stack([g.outcome.reshape(-1) for g in group], axis=1).astype(bool)
    ways, first = np.unique(table, axis=0, return_index=True)
    return [(int(k), tuple(way.tolist())) for k, way in zip(first, ways, strict=True)]


# ------------------------------------------------------------------------------------------------ in words


def describe_coverage(
    looks: Sequence[tuple[Branch, PointComparison]], free: Sequence[str], *, followed: bool
) -> list[str]:
    """What was not judged, in words.  ``followed`` says that the sides of absolute values and signs need not be told:
    a proof holds on both."""
    lines = []
    found = choices(looks, free)
    for choice in found.values():
        if choice.is_open and not (choice.guard.op == "sign" and (followed or not choice.outcomes)):
            lines.append(_told(choice))
    for key, most in _repeated(looks, free).items():
        lines.append(
            f"a comparison ({found[key].text}) was made up to {most} times at one point, and less often at others; "
            "what comes after more of them was not judged."
        )
    return list(dict.fromkeys(lines))


def _repeated(looks: Iterable[tuple[Branch, PointComparison]], free: Sequence[str]) -> dict[Key, int]:
    """The comparisons of single numbers that end a loop, which runs as often as they say, with their largest number."""
    times: dict[Key, set[int]] = {}
    for branch, seen in looks:
        keys = [
            _key(branch.program, g) for g in _guards(branch, seen, free) if g.outcome.shape == () and g.op != "sign"
        ]
        for key in set(keys):
            times.setdefault(key, set()).add(keys.count(key))
    return {key: max(counts) for key, counts in times.items() if len(counts) > 1 and max(counts) > 1}


def _told(choice: Choice) -> str:
    op, text, outcomes = choice.guard.op, choice.text, choice.outcomes
    points, rest = "at the points that were looked at", "the other branches were not judged."
    if choice.guard.outcome.dtype == bool:
        (outcome,) = outcomes or {False}
        return (
            f"a comparison ({text}) was {'true' if outcome else 'false'} at every point that was looked at; "
            "the other branch was not judged."
        )
    if op == "sign":
        (outcome,) = outcomes
        word = "positive" if outcome > 0 else "negative"
        return f"a value ({text}) was {word} at every point that was looked at; the other side was not judged."
    if op in ("argmax", "argmin"):
        what, total = "largest" if op == "argmax" else "smallest", choice.ways
        of = f"{len(outcomes)} of {total} places" if math.isfinite(total) else "some places"
        return f"the {what} entry ({text}) was at {of} {points}; {rest}"
    if op == "argsort":
        return f"entries are put in order ({text}): {len(outcomes)} orders came up {points}; {rest}"
    if op in _WHOLE:
        values = sorted(outcomes)
        few = [f"{v:g}" for v in values[:_FEW]] + ["..."] * (len(values) > _FEW)
        return f"a number is made whole ({text}): it was {', '.join(few)} {points}; {rest}"
    seen = f"{len(outcomes)} different ways" if len(outcomes) > 1 else "one way"
    return f"the code looks at a value ({text}): it came out {seen} {points}; {rest}"


# --------------------------------------------------------------------------------------------------------- exploration

_FIRST = 3  # generic points that are looked at before a proof is tried
_SHARES = (
    1.0,
    2.0**-3,
    2.0**-7,
    2.0**-12,
    2.0**-20,
    2.0**-30,
)  # how far back toward the user's point, where a point is outside
_WORK = 4_000_000  # entries of balls that resampling may cost before it stops at `_FIRST` points
_AGAIN = 8  # runs at one point that tell whether the code is random
_CROSSINGS = 24  # looks for the other side of a choice
_FORKS = 12  # looks for combinations of choices
_WHOLES = 6  # looks for comparisons of tensors that come out one way in all entries
_TURN = 12  # choices that are crossed before it is asked again which are left
_PLACES = 12  # entries of which each is made the largest once


def branch_of_runs(problem: Problem, model_run: Run, hand_run: Run) -> tuple[Branch, list[str]]:
    """The branch of two runs, in the domain that was asked for, and what was understood of the numbers in it."""
    inputs = problem.inputs
    branch = with_domain(branch_of(model_run, hand_run, problem.wrt, problem.order), inputs)
    data = [n for n in branch.program.inputs if n in inputs.given and n not in inputs.free]
    program, describe_coverage = with_given_numbers(branch.program, inputs.point, data, problem.dtypes)
    return (replace(branch, program=program) if describe_coverage else branch), describe_coverage


def path_at(
    problem: Problem, point: Mapping[str, Any], known: Sequence[Branch] = ()
) -> tuple[Branch, tuple[Guard, ...]]:
    """Run the code at a point: the branch it takes there, one of those known if it is the same, and its choices as
    they came out."""
    model_run, hand_run = problem.runs(point)
    for branch in known:
        if branch.same_path(model_run, hand_run):
            return branch, branch.taken(model_run, hand_run)
    for run, what in ((model_run, "the formula"), (hand_run, "the hand formula")):
        replay(run, point, what)
    branch = branch_of_runs(problem, model_run, hand_run)[0]
    return branch, branch.program.guards


def branch_at(problem: Problem, point: Mapping[str, Any], known: Sequence[Branch] = ()) -> Branch:
    """The branch that the code takes at a point, one of those known if it is the same."""
    return path_at(problem, point, known)[0]


def comparison_at(
    problem: Problem, point: Mapping[str, Any], known: Sequence[Branch] = (), **options: Any
) -> tuple[Branch, PointComparison]:
    """The branch that the code takes at a point, and all pairs compared there.  Raises what the code raises."""
    branch, guards = path_at(problem, point, known)
    return branch, compare_at(branch, point, problem.inputs.free, guards=guards, **options)


@dataclass(eq=False)
class Findings:
    """Everything that was seen.  The stations of `symgrad.checking.judge` write into it, and return the pairs that are
    still open."""

    own: Branch
    at_user_point: PointComparison
    branches: list[Branch] = field(default_factory=list)
    looks: list[tuple[Branch, PointComparison]] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    kinks: list[Kink] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sizes: AllSizes | None = None
    failed: list[str] = field(default_factory=list)
    undefined: list[Undefined] = field(default_factory=list)


def explore_points(problem: Problem, found: Findings) -> Iterator[PointComparison]:
    """Look at one resampled point after another, within the budget of work."""
    own = found.own
    moving = branches_on(own.program, problem.inputs.free)
    work = sum(int(np.prod(s.shape, dtype=np.int64)) for s in own.program.steps)
    count = max(_FIRST + 1, min(problem.points, int(_WORK * problem.effort) // max(work, 1)))
    reran = False
    for point in neighbours(problem.inputs, 2 * count + 8, problem.seed, problem.bits):
        if sum(1 for _, seen in found.looks if inside(seen)) >= count:
            return
        doing("looking at points")
        for share in _SHARES:
            nearer = point if share == 1 else problem.inputs.settled(toward(problem.inputs, point, share))
            if nearer is None:
                continue
            there: tuple[Branch, tuple[Guard, ...]] | None = (own, own.program.guards)
            if moving or not reran:
                there = rerun(problem, found, nearer)
                if there is None:
                    continue
                if not moving and there[0] is not own:
                    _lost(problem, own, there[0])
                reran = True
            assert there is not None
            branch, guards = there
            seen = compare_at(branch, nearer, problem.inputs.free, guards=guards)
            found.looks.append((branch, seen))
            if seen.undefined is not None:
                found.undefined.append(seen.undefined)
            if inside(seen) or not inside(found.at_user_point):
                break
        if all(branch is not b for b in found.branches) and branch is not None:
            found.branches.append(branch)
        yield found.looks[-1][1] if found.looks else found.at_user_point


def explore_branches(problem: Problem, found: Findings) -> None:
    """Look on the other side of every choice that came out the same way so far, and at combinations of choices that
    were not seen; what appears there, likewise."""
    free, bounds = problem.inputs.free, problem.inputs.bounds
    tried: set[Any] = set()
    for budget, seek in ((_CROSSINGS, _other_ways), (_FORKS, _combinations), (_WHOLES, _all_at_once)):
        while budget > 0 and (waiting := [c for c in seek(found, free) if c.key not in tried]):
            for c in waiting[:_TURN]:
                tried.add(c.key)
                for point in c.points(free, bounds):
                    budget -= 1
                    if _look_across(problem, found, point, c.guard) or not budget:
                        break


@dataclass(frozen=True, eq=False)
class _BranchTarget:
    """What is to come out another way: a choice, at one entry of it or on one ``side`` in all of them."""

    key: Any
    branch: Branch
    guard: Guard
    start: Mapping[str, Any]
    entry: int | None = None
    side: bool | None = None
    keep: tuple[tuple[Guard, bool], ...] = ()

    def points(self, free: Sequence[str], bounds: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        program = self.branch.program
        if self.side is None:
            yield from points_beyond(program, self.guard, self.start, free, bounds, self.entry, self.keep)
        elif (point := point_with_all(program, self.guard, self.start, free, bounds, self.side)) is not None:
            yield point


def _other_ways(found: Findings, free: Sequence[str]) -> list[_BranchTarget]:
    """The choices that came out one way, and the places that no extreme was at."""
    out: list[_BranchTarget] = []
    for key, c in choices(_defined(found), free).items():
        if is_ordered(c.guard) and c.is_open:
            out.append(_BranchTarget(key, c.branch, c.guard, c.point))
        elif c.guard.op in ("argmax", "argmin") and c.is_open and c.ways <= _PLACES:
            places = (k for k in range(int(c.ways)) if k not in c.outcomes)
            out += [_BranchTarget((key, k), c.branch, c.guard, c.point, k) for k in places]
    return out


def _combinations(found: Findings, free: Sequence[str]) -> list[_BranchTarget]:
    """The comparisons that came out one way after the same choices before them."""
    missing = forks(_defined(found), free).values()
    return [_BranchTarget(f.key, f.branch, f.guard, f.point, f.entry, keep=f.before) for f in missing]


def _all_at_once(found: Findings, free: Sequence[str]) -> list[_BranchTarget]:
    """The comparisons of tensors that never came out one way in all entries: what an ``all`` or a count may ask."""
    return [
        _BranchTarget((key, side), c.branch, c.guard, c.point, side=side)
        for key, c in choices(_defined(found), free).items()
        for side in (True, False)
        if is_ordered(c.guard) and c.guard.op != "sign" and 1 < c.guard.outcome.size <= _PLACES and side not in c.whole
    ]


def _look_across(problem: Problem, found: Findings, point: Mapping[str, Any], guard: Guard) -> bool:
    """Look at the point; whether it is one of the domain, and the choice came out another way there."""
    settled = problem.inputs.settled(dict(point))
    there = None if settled is None else rerun(problem, found, settled)
    if settled is None or there is None:
        return False
    branch, guards = there
    seen = compare_at(branch, settled, problem.inputs.free, guards=guards)
    found.looks.append((branch, seen))
    if all(branch is not b for b in found.branches):
        found.branches.append(branch)
    if not inside(seen):
        return False
    same = [g for g in guards if g.op == guard.op and g.source == guard.source]
    return not same or any(not np.array_equal(g.outcome, guard.outcome) for g in same)


def _defined(found: Findings) -> list[tuple[Branch, PointComparison]]:
    """The looks at which the model and its derivative have values, the user's own first."""
    own = (found.own, found.at_user_point)
    return [(b, s) for b, s in (own, *found.looks) if inside(s)]


def rerun(problem: Problem, found: Findings, point: Mapping[str, Any]) -> tuple[Branch, tuple[Guard, ...]] | None:
    """The branch that the code takes at a point, with its choices; None, and a line in the findings, if it fails."""
    try:
        return path_at(problem, point, found.branches)
    except SymgradError as error:
        found.failed.append(error.what)
        return None


def inside(seen: PointComparison) -> bool:
    return any(view.state != "outside" for view in seen.views.values())


def clear(found: Findings) -> list[tuple[Branch, PointComparison]]:
    """The looks inside the domain and off every edge: a branch taken on an edge alone says nothing beside it."""
    defined = [(b, s) for b, s in found.looks if inside(s)]
    return [(b, s) for b, s in defined if not s.ties] or defined


def _lost(problem: Problem, own: Branch, branch: Branch) -> None:
    """Without guards two runs must be the same Program; where they are not, a value was taken for a constant."""
    if any(not own.same_path(*problem.runs(problem.inputs.point)) for _ in range(_AGAIN)):
        raise NotReproducible(
            "the code goes another way each time that it is run, at the same point.",
            instead="Fix the randomness: set the seed inside the function, or pass what it draws as an input.",
        )
    for a, b in ((own.model_run, branch.model_run), (own.hand_run, branch.hand_run)):
        if same_structure(a.program, b.program):
            continue
        i = only_constants_differ(a.program, b.program)
        source = None if i is None else a.program.steps[i].source
        where = None if source is None else f"    {source.file}:{source.line}    {source.text}"
        raise LostValue(
            "a number in your code changes with the inputs, in a way that could not be followed.",
            where=where,
            instead="Keep the value in a tensor, an array or a float, and use torch, numpy or math functions of it.",
        )


def unjudged_branches(problem: Problem, found: Findings) -> list[str]:
    """The choices of the code of which not every branch was judged."""
    followed = all(isinstance(v, (Proved, Refuted)) for v in found.verdicts.values())
    return describe_coverage(_defined(found), problem.inputs.free, followed=followed)
