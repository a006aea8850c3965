"""Where the two sides are compared: points, the branch that the code takes at each, and what was found there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch, PointComparison, branch_of, compare_at, with_domain
from symgrad.checking.parts import look_in_part, made_whole
from symgrad.checking.verdicts import AllSizes, Choice, Kink, Refuted, Undecided, Verdict
from symgrad.errors import LostValue, NotReproducible, SymgradError
from symgrad.evaluation.balls import Balls, binary
from symgrad.lifting.tracing.functions import Run
from symgrad.ops.row import precision
from symgrad.problem.definedness import Undefined, branches_on
from symgrad.problem.question import Problem
from symgrad.problem.replay import gives, replay, with_given_numbers
from symgrad.problem.sampling import neighbours, toward
from symgrad.program.program import Guard, interpret, only_constants_differ, same_structure
from symgrad.progress import ENDS, Interrupted, OutOfMemory, OutOfTime, doing

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
    they came out.

    Code that decides nothing by values has one path.  Where it gives, by itself, what its record gives to the last bit,
    the record is of this point too; otherwise it is followed once more.
    """
    if not any(b.program.guards for b in known) and (same := _still(problem, point, known)) is not None:
        return same, same.program.guards
    model_run, hand_run = problem.runs(point)
    for branch in known:
        if branch.same_path(model_run, hand_run):
            return branch, branch.taken(model_run, hand_run)
    for run, what in ((model_run, "the formula"), (hand_run, "the hand formula")):
        replay(run, point, what)
    branch = branch_of_runs(problem, model_run, hand_run)[0]
    return branch, branch.choices


def _still(problem: Problem, point: Mapping[str, Any], known: Sequence[Branch]) -> Branch | None:
    """The known branch whose record gives what the code computes at a point without a tracer."""
    try:
        told = problem.values(point) if known else None
    except SymgradError:  # whoever follows the code says where
        return None
    if told is None:
        return None
    for branch in known:
        if all(gives(run, point, v) for run, v in zip((branch.model_run, branch.hand_run), told, strict=True)):
            return branch
    return None


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
    barred: dict[Any, Mapping[str, Any]] = field(default_factory=dict)  # where the code raises, by what was sought
    nowhere: dict[Any, bool] = field(default_factory=dict)  # of combinations on branches: whether ranges exclude them
    coverage: tuple[Choice, ...] = ()
    undefined: list[Undefined] = field(default_factory=list)
    for_given_data: set[str] = field(default_factory=set)  # proved with the values of the data, and not for all
    as_it_runs: bool = False  # torch's softplus was read with its threshold
    in_part: bool = False  # whether a few entries are looked at: what is proved for all sizes needs no more

    def made_whole(self, free: Sequence[str]) -> None:
        """Look at all entries from now on, and where a few were looked at."""
        self.in_part = False
        self.at_user_point = made_whole(self.own, self.at_user_point, free)
        self.looks = [(b, made_whole(b, seen, free)) for b, seen in self.looks]


@contextlib.contextmanager
def kept_if_ended(found: Findings) -> Iterator[None]:
    """A block that may be ended by Ctrl-C or by its time; what was found by then goes with the exception."""
    try:
        yield
    except ENDS as ended:
        vars(ended)["findings"] = found
        raise


def as_far_as_known(problem: Problem, ended: BaseException, found: Findings | None = None) -> Findings | None:
    """What was found before a call was ended, if anything was: a refutation stands, and all else is undecided.

    In a script a number may yet turn out to stand for an input, so that there nothing stands.
    """
    found = found or vars(ended).get("findings")
    if found is None:
        return None
    why = f"it was ended {how_ended(ended)}, before it was proved or refuted."
    for pair in found.own.pairs:
        verdict = found.verdicts.get(pair.name)
        if problem.pasted or not isinstance(verdict, (Refuted, Undecided)):
            found.verdicts[pair.name] = Undecided(why, ())
    return found


def how_ended(ended: BaseException) -> str:
    """By what a call was ended, in words."""
    match ended:
        case OutOfMemory():
            return "as its memory was full"
        case Interrupted():
            return "by Ctrl-C"
        case OutOfTime():
            return "as its time was over"
    return "by Ctrl-C"


def explore_points(problem: Problem, found: Findings) -> Iterator[PointComparison]:
    """Look at one resampled point after another, within the budget of work."""
    own = found.own
    moving = branches_on(own.program, problem.inputs.free)
    work = own.program.entries()
    count = max(_FIRST + 1, min(problem.points, int(_WORK * problem.effort) // max(work, 1)))
    for point in neighbours(problem.inputs, 2 * count + 8, problem.seed, problem.bits):
        if sum(1 for _, seen in found.looks if inside(seen)) >= count:
            return
        doing("looking at points")
        branch = None  # where the code raises, wherever it is asked
        for share in _SHARES:
            nearer = point if share == 1 else problem.inputs.settled(toward(problem.inputs, point, share))
            if nearer is None:
                continue
            there = rerun(problem, found, nearer)
            if isinstance(there, SymgradError):
                continue
            branch, guards = there
            if not moving and branch is not own:
                _lost(problem, own, branch)
            seen = look_in_part(branch, nearer) if found.in_part and branch is own else None
            seen = seen or compare_at(branch, nearer, problem.inputs.free, guards=guards)
            found.looks.append((branch, seen))
            if seen.undefined is not None:
                found.undefined.append(seen.undefined)
            if inside(seen) or not inside(found.at_user_point):
                break
        if branch is not None and all(branch is not b for b in found.branches):
            found.branches.append(branch)
        yield found.looks[-1][1] if found.looks else found.at_user_point


def all_looks(found: Findings) -> list[tuple[Branch, PointComparison]]:
    return [(found.own, found.at_user_point), *found.looks]


def inside_looks(found: Findings) -> list[tuple[Branch, PointComparison]]:
    """The looks at which the model and its derivative have values, the user's own first."""
    return [(b, s) for b, s in all_looks(found) if inside(s)]


def rerun(
    problem: Problem, found: Findings, point: Mapping[str, Any]
) -> tuple[Branch, tuple[Guard, ...]] | SymgradError:
    """The branch that the code takes at a point, with its choices; or the error, with a line in the findings."""
    try:
        return path_at(problem, point, found.branches)
    except SymgradError as error:
        found.failed.append(error.what)
        return error


def inside(seen: PointComparison) -> bool:
    """Whether the model and its derivative have values at the point."""
    return any(view.state != "outside" for view in seen.views.values())


def is_the_hands_own(branch: Branch, seen: PointComparison) -> bool:
    """Whether only the hand formula is on an edge, and on one that it asks for itself: at ``x == 17`` a model that does
    not ask so has its derivative, and the hand formula the value that it returns there."""
    of_model = len(branch.model_run.program.guards)
    mine = seen.guards[of_model : of_model + len(branch.hand_run.program.guards)]
    if not all(any(g is tie for g in mine) and is_equality(tie) for tie in seen.ties):
        return False
    sides = [a for tie in seen.ties for a in tie.args]
    with precision(256):
        values = interpret(branch.program, Balls(), {n: binary(seen.point[n]) for n in branch.program.inputs}, sides)
        return all(_is_decided(*(values[a] for a in tie.args)) for tie in seen.ties)


def _is_decided(left: Any, right: Any) -> bool:
    """Whether all entries of two values are the same numbers or others, as balls have them."""
    pairs = zip(*(x.reshape(-1) for x in np.broadcast_arrays(left, right)), strict=True)
    return all(a == b or a != b for a, b in pairs)


def is_equality(guard: Guard) -> bool:
    """Whether a choice asks if two values are the same."""
    return guard.op in ("eq", "ne") and len(guard.args) == 2


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
        if i is not None and a.program.steps[i].params.made is not None:  # it is told what that was made of
            return
        source = None if i is None else a.program.steps[i].source
        where = None if source is None else f"    {source.file}:{source.line}    {source.text}"
        raise LostValue(
            "a number in your code changes with the inputs, in a way that could not be followed.",
            where=where,
            instead="Keep the value in a tensor, an array or a float, and use torch, numpy or math functions of it.",
        )
