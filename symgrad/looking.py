"""What is compared, and where: the problem, the points that are looked at, and the branches of the code there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.comparison import (
    Branch,
    Look,
    branch_of,
    look,
    only_constants_differ,
    same_structure,
    with_domain,
)
from symgrad.crossing import across
from symgrad.domains import Undefined, branches_on
from symgrad.errors import LostValue, NotReproducible, SymgradError
from symgrad.given_numbers import with_given_numbers
from symgrad.lifting.formulas import Formula
from symgrad.lifting.functions import Run
from symgrad.program import Guard
from symgrad.progress import doing
from symgrad.sampling import Inputs, neighbours, toward
from symgrad.verdict import Kink, Verdict

__all__ = ["Findings", "Problem", "clear", "cross", "inside", "more_looks", "rerun", "unreached"]

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
_CROSSINGS = 12  # comparisons whose other side is looked for


@dataclass(frozen=True, eq=False)
class Problem:
    """A model, the hand formulas of its derivatives, and where to compare them."""

    model: Formula
    hand: Formula
    inputs: Inputs
    dtypes: Mapping[str, str]
    wrt: tuple[str, ...]
    order: int = 1
    points: int = 64
    seed: int = 0
    only_here: bool = False  # the hand side is numbers: nothing can be said of other points
    first: tuple[Run, Run] | None = None  # the runs at the user's own point, where they were already made
    elsewhere: Callable[[Formula], bool] | None = None  # whether a hand formula is not refuted at other sizes
    effort: float = 1.0  # what all budgets of work are multiplied by

    def runs(self, point: Mapping[str, Any]) -> tuple[Run, Run]:
        """The model and the hand formulas, run at a point."""
        return self.model.run(point, self.dtypes), self.hand.run(point, self.dtypes)

    def branch(self, point: Mapping[str, Any], known: Sequence[Branch] = ()) -> Branch:
        """Run the code at a point: the branch it takes there, one of those known if it is the same."""
        model_run, hand_run = self.runs(point)
        for branch in known:
            if branch.same_path(model_run, hand_run):
                return branch
        return self.joined(model_run, hand_run)[0]

    def joined(self, model_run: Run, hand_run: Run) -> tuple[Branch, list[str]]:
        """The branch of two runs, in the domain that was asked for, and what was understood of the numbers in it."""
        branch = with_domain(branch_of(model_run, hand_run, self.wrt, self.order), self.inputs)
        data = [n for n in branch.program.inputs if n in self.inputs.given and n not in self.inputs.free]
        program, told = with_given_numbers(branch.program, self.inputs.point, data, self.dtypes)
        return (replace(branch, program=program) if told else branch), told


@dataclass(eq=False)
class Findings:
    """Everything that was seen."""

    own: Branch
    own_look: Look
    branches: list[Branch] = field(default_factory=list)
    looks: list[tuple[Branch, Look]] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    kinks: list[Kink] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    undefined: list[Undefined] = field(default_factory=list)


def more_looks(problem: Problem, found: Findings) -> Iterator[Look]:
    """Look at one resampled point after another, within the budget of work."""
    own = found.own
    moving = branches_on(own.program, problem.inputs.free)
    work = sum(int(np.prod(s.shape, dtype=np.int64)) for s in own.program.steps)
    count = max(_FIRST + 1, min(problem.points, int(_WORK * problem.effort) // max(work, 1)))
    reran = False
    for point in neighbours(problem.inputs, 2 * count + 8, problem.seed):
        if sum(1 for _, seen in found.looks if inside(seen)) >= count:
            return
        doing("looking at points")
        for share in _SHARES:
            nearer = point if share == 1 else problem.inputs.settled(toward(problem.inputs, point, share))
            if nearer is None:
                continue
            branch: Branch | None = own
            if moving or not reran:
                branch = rerun(problem, found, nearer)
                if branch is None:
                    continue
                if not moving and branch is not own:
                    _lost(problem, own, branch)
                reran = True
            assert branch is not None
            seen = look(branch, nearer, problem.inputs.free)
            found.looks.append((branch, seen))
            if seen.undefined is not None:
                found.undefined.append(seen.undefined)
            if inside(seen) or not inside(found.own_look):
                break
        if all(branch is not b for b in found.branches) and branch is not None:
            found.branches.append(branch)
        yield found.looks[-1][1] if found.looks else found.own_look


def cross(problem: Problem, found: Findings) -> None:
    """Look on the other side of every comparison that came out the same way so far; what appears there, likewise."""
    if problem.only_here:
        return
    tried: set[tuple[Any, ...]] = set()
    while waiting := [item for item in _one_sided(problem, found).items() if item[0] not in tried]:
        for key, (_, _, branch, guard) in waiting:
            tried.add(key)
            if len(tried) > _CROSSINGS:
                return
            starts = [found.own_look.point] if branch is found.own else []
            starts += [seen.point for b, seen in found.looks if b is branch][:1]
            for start in starts[:1]:
                point = across(branch.program, guard, start, problem.inputs.free, problem.inputs.bounds)
                point = None if point is None else problem.inputs.settled(point)
                there = None if point is None else rerun(problem, found, point)
                if point is None or there is None:
                    continue
                seen = look(there, point, problem.inputs.free)
                found.looks.append((there, seen))
                if all(there is not b for b in found.branches):
                    found.branches.append(there)


def rerun(problem: Problem, found: Findings, point: Mapping[str, Any]) -> Branch | None:
    """The branch that the code takes at a point; None, and a line in the findings, if it fails there."""
    try:
        return problem.branch(point, found.branches)
    except SymgradError as error:
        found.failed.append(error.what)
        return None


def inside(seen: Look) -> bool:
    return any(view.state != "outside" for view in seen.views.values())


def clear(found: Findings) -> list[tuple[Branch, Look]]:
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


def unreached(problem: Problem, found: Findings) -> list[str]:
    """The choices of the code that came out the same way at every point: their other branch was not judged."""
    told = [
        f"a comparison ({text}) was {'true' if outcome else 'false'} at every point that was looked at; "
        "the other branch was not judged."
        for text, outcome, _, _ in _one_sided(problem, found).values()
    ]
    return list(dict.fromkeys(told))


def _sides(branch: Branch, guard: Guard) -> tuple[Any, ...]:
    """What tells two comparisons of one line apart: the operations of their sides, and the numbers among them."""
    steps = [branch.program.steps[a] for a in guard.args]
    return tuple((s.op, repr(s.params.value.tolist()) if s.op == "constant" else None) for s in steps)


def _one_sided(problem: Problem, found: Findings) -> dict[tuple[Any, ...], tuple[str, bool, Branch, Guard]]:
    """The comparisons of the code that came out the same way at every point and entry."""
    outcomes: dict[tuple[Any, ...], set[bool]] = {}
    places: dict[tuple[Any, ...], tuple[str, Branch, Guard]] = {}
    for branch in found.branches:
        for guard in branches_on(branch.program, problem.inputs.free):
            if guard.outcome.dtype != bool or guard.source is None:
                continue
            source = guard.source
            key = (guard.op, source.file, source.line, source.span, source.text, _sides(branch, guard))
            outcomes.setdefault(key, set()).update(np.unique(guard.outcome).tolist())
            text = f"line {source.line}, {source.text}" if source.line else source.text
            places.setdefault(key, (text, branch, guard))
    return {
        key: (text, outcomes[key] == {True}, branch, guard)
        for key, (text, branch, guard) in places.items()
        if len(outcomes[key]) == 1
    }
