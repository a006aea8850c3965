"""Numbers that the code made whole and then used as numbers: what was seen with some of them is to hold for all.

A run records such a number as a constant, so that a branch on which ``floor(x)`` was 0 wherever it was looked at says
nothing of what the number is multiplied by.  Each branch is read once more at one of its points with other numbers in
their place, of those with which the code decides the same: where the two sides are still equal, one formula holds
whatever comes out.  Where they are not, what was seen holds for the numbers that were seen, and points of the same
branch at which there are others are sought.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.checking.choices import Look
from symgrad.checking.comparison import Branch, PointComparison, compare_at
from symgrad.checking.verdicts import WHOLE_NUMBERS, Choice, Outcome
from symgrad.problem.definedness import branches_on
from symgrad.problem.point_search import Start, points_at
from symgrad.problem.question import Problem
from symgrad.problem.sampling import scattered
from symgrad.program.program import UNKNOWN, WHOLE, Constant, Decided, Guard, Program, Source, whole_number, written

_ENOUGH = 3  # different numbers after which what was seen does not hold for these alone
_HIDDEN = 8  # of those of which it is not known what becomes of them
_OTHERS = 4  # other numbers with which a branch is read
_DRAWN = 24  # that are drawn for these
_FAR = (4, 60)  # how far apart they are at most, of every other one
_STARTS = 2  # points from which other numbers are sought
_SCATTERED = 64  # points far and wide that are asked for them
_FEW = 6  # values that are told one by one
_MIDDLE = {"floor": 0.5, "ceil": -0.5}  # of the numbers that are made one whole number

Numbers = dict[Any, Any]


@dataclass(frozen=True, eq=False)
class Narrow:
    """A branch of the code, with those that differ from it in such numbers alone, on which some claims hold for what
    was seen, and not for other ``numbers``."""

    path: str
    looks: tuple[Look, ...]
    numbers: frozenset[Any]
    hidden: bool = False  # whether it is not known what becomes of them

    @property
    def branch(self) -> Branch:
        return self.looks[0][0]

    @property
    def is_enough(self) -> bool:
        """Whether so many different ones came up of each that they are no exceptions; where it is not known what one is
        made of, so many of all together."""
        seen = [_own(branch.program, look.guards) for branch, look in self.looks]
        known = [n for n in self.numbers if not isinstance(n[1], int)]
        different = [{own[n].tobytes() for own in seen if n in own} for n in known]
        if len(known) < len(self.numbers):
            different.append({b"".join(own[n].tobytes() for n in sorted(own, key=str)) for own in seen})
        return all(len(values) >= _ENOUGH for values in different)

    @property
    def is_seen_through(self) -> bool:
        """Whether that is so of each number by itself: what is made in an unknown way may be one for many."""
        seen = [_own(branch.program, look.guards) for branch, look in self.looks]
        least = _HIDDEN if self.hidden else _ENOUGH
        return self.is_enough and all(len({o[n].tobytes() for o in seen if n in o}) >= least for n in self.numbers)

    def described(self) -> Choice:
        """The choice as a report tells it."""
        (source, _), *_ = places = [self._seen_at(branch, look) for branch, look in self.looks]
        source = source or Source("a number made whole", "", None)
        seen: dict[str, Any] = {}
        for (_, values), (_, look) in zip(places, self.looks, strict=True):
            for value in np.unique(values).tolist():
                seen.setdefault(f"{value:g}", look.point)
        told = [Outcome(value, "reached", point) for value, point in list(seen.items())[:_FEW]]
        other = Outcome("other numbers", "not reached")
        return Choice(WHOLE_NUMBERS, source.text, source.file, source.line, (*told, other), not self.is_enough)

    def _seen_at(self, branch: Branch, look: PointComparison) -> tuple[Source | None, np.ndarray]:
        """Where a number stands in the code, and what it was at a look: a constant that was made of it, or itself."""
        steps, made = branch.program.steps, _made(branch.program)
        of_mine = [i for i, m in made.items() if any(_is_made_of(m, n) for n in self.numbers)]
        if of_mine or made:
            step = steps[(of_mine or [*made])[0]]
            return step.source, step.params.value
        told = {whole_number(steps, g.op, g.args, g.params): g for g in look.guards if g.op in WHOLE}
        guard = next(g for n, g in told.items() if n in self.numbers)
        return guard.source, np.asarray(guard.outcome)


def _made(program: Program) -> dict[int, Any]:
    """The constants that were made of numbers made whole, each with what it is made of: where that is not known, of
    itself."""
    found = {i: s.params.made for i, s in enumerate(program.steps) if s.op == "constant" and s.params.made}
    return {i: ("whole", i) if made == UNKNOWN else made for i, made in found.items()}


def path_of(branch: Branch) -> str:
    """What is the same for two branches that differ in numbers made whole alone."""
    hands = [p.hand for p in branch.pairs if p.hand is not None]
    return " ".join(written(branch.program.steps, [branch.model, *hands]))


def narrow(looks: Iterable[Look], free: Collection[str]) -> list[Narrow]:
    """The branches, among looks off every edge, on which claims hold for some numbers made whole alone."""
    paths: dict[str, list[Look]] = {}
    for branch, seen in looks:
        if not seen.ties and (_made(branch.program) or _lost(branch.program, seen.guards, free)):
            paths.setdefault(path_of(branch), []).append((branch, seen))
    found = []
    for path, mine in paths.items():
        branch, seen = mine[0]
        hidden = Narrow(path, tuple(mine), frozenset(_lost(branch.program, seen.guards, free)), hidden=True)
        found += [] if hidden.is_seen_through else [hidden]
        if _differs_for_others(branch, seen, free):
            numbers = _own(branch.program, seen.guards)
            alone = [n for n in numbers if len(numbers) == 1 or _differs_for_others(branch, seen, free, n)]
            found.append(Narrow(path, tuple(mine), frozenset(alone or numbers)))
    return found


def _lost(program: Program, guards: Iterable[Guard], free: Collection[str]) -> set[Any]:
    """The numbers made whole of which no constant and no choice is known to be made: what becomes of them is hidden."""
    made = _made(program)
    if any(m == ("whole", i) for i, m in made.items()):  # one of these
        return set()
    moving = {g.args for g in branches_on(program, free)}
    guards = [g for g in guards if g.args in moving]
    used = [*made.values(), *(g.params.made for g in guards if isinstance(g.params, Decided))]
    bases = {args for g in guards if isinstance(g.params, Decided) for args in _bases(g)}
    whole = {
        whole_number(program.steps, g.op, g.args, g.params): g.args for g in guards if g.op in WHOLE and g.outcome.size
    }
    return {n for n, args in whole.items() if args not in bases and not any(_is_made_of(m, n) for m in used)}


def _bases(guard: Guard) -> Iterator[tuple[int, ...]]:
    """The steps of each look that a decision was made of."""
    first = 0
    for _, count, _ in guard.params.bases:
        yield guard.args[first : first + count]
        first += count


# ------------------------------------------------------------------------------------------------ other numbers


def _differs_for_others(branch: Branch, seen: Any, free: Collection[str], number: Any = None) -> bool:
    """Whether two sides that are equal at a look differ with other numbers, or with another in the place of one alone,
    that lead the code the same way."""
    equal = [n for n, view in seen.views.items() if view.state == "agrees"]
    for k, program in enumerate(_with_others(branch.program, seen.guards, number)):
        views = compare_at(replace(branch, program=program), seen.point, tuple(free), guards=()).views
        if any(views[n].state == "differs" for n in equal):
            return True
        if k + 1 == _OTHERS:
            break
    return False


def _own(program: Program, guards: Iterable[Guard]) -> Numbers:
    """The numbers that were made whole, by what they were made of."""
    own: Numbers = {
        whole_number(program.steps, g.op, g.args, g.params): np.asarray(g.outcome) for g in guards if g.op in WHOLE
    }
    return own | {m: program.steps[i].params.value for i, m in _made(program).items() if m == ("whole", i)}


def _with_others(program: Program, guards: Iterable[Guard], number: Any = None) -> Iterator[Program]:
    """The Program with other numbers in the place of those that were made whole, or of one of them alone."""
    made, own = _made(program), _own(program, guards)
    decided = [(g.params.made, g.outcome) for g in guards if isinstance(g.params, Decided) and g.params.made]
    rng = np.random.default_rng(len(program))
    for far in itertools.islice(itertools.cycle(_FAR), _DRAWN):
        others = own | {k: _another(value, far, rng) for k, value in own.items() if number in (None, k)}
        try:
            same = all(np.array_equal(_value(m, others), outcome) for m, outcome in decided)
            values = {i: _value(m, others) for i, m in made.items()} if same else {}
        except (
            KeyError,
            ArithmeticError,
            TypeError,
            ValueError,
        ):  # made of what is not known, or of none of these numbers
            continue
        if values:
            steps = list(program.steps)
            for i, value in values.items():
                value = np.broadcast_to(value, steps[i].shape).astype(steps[i].params.value.dtype)
                steps[i] = replace(steps[i], params=Constant(value))
            yield replace(program, steps=tuple(steps))


def _another(value: np.ndarray, far: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers beside these, on the same side of zero."""
    way = np.where(value == 0, rng.choice((-1, 1), value.shape), np.sign(value))
    return value + way * rng.integers(1, far, value.shape, endpoint=True)


def _is_made_of(made: Any, number: Any) -> bool:
    return made == number or (isinstance(made, tuple) and any(_is_made_of(part, number) for part in made[1:]))


def _value(made: Any, numbers: Numbers) -> Any:
    """The value of what is made of numbers made whole."""
    match made:
        case ("whole", _):
            return numbers[made]
        case ("allclose" | "isclose", left, right):
            return _value(left, numbers) == _value(right, numbers)
        case (str() as name, *sides):
            return getattr(operator, name)(*(_value(side, numbers) for side in sides))
    return float(made)


# ------------------------------------------------------------------------------------------------ where they are sought


def points_with_others(problem: Problem, found: Narrow) -> Iterator[dict[str, Any]]:
    """Points at which the numbers may be others: beside those that were seen, and far and wide."""
    for branch, seen in found.looks[:_STARTS]:
        start = Start(branch.program, seen.point, problem.inputs.free, problem.inputs.bounds)
        for guard in (g for g in seen.guards if g.op in WHOLE and np.size(g.outcome) and g.params is None):
            value = float(np.reshape(guard.outcome, -1)[0])
            for goal in (value + 1, value - 1, value + 2, value - 2, 2 * value + 3):
                shift = _MIDDLE.get(guard.op, np.sign(goal) / 2 if guard.op == "trunc" else 0.0)
                yield from points_at(start, guard.args[0], 0, goal + shift, 0.25)
    yield from scattered(problem.inputs, (problem.seed, 8), _SCATTERED)
