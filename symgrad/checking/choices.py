"""The registry of choices: whatever the code decided by a value of its inputs, and how it came out where it was run.

A run records each look at a value as a guard of its Program.  The guards that stand at one place of the code are one
choice, and the runs at all points tell its outcomes.  An outcome that no point of the domain had is a branch that was
not judged, and takes the word from a verdict, unless it is shown to be impossible, or to lie outside of the domain.

Not every choice has branches.  Where entries are put in order, where the largest of them is taken, where a number is
made whole and then used as a number, one formula holds whatever comes out; and two real numbers are equal on no open
set, unless they are data, which no derivative is for, as labels are.  The registry holds these too, and says how they
came out, but no verdict hangs on them.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.checking.comparison import Branch, PointComparison
from symgrad.checking.exploration import Findings, inside, inside_looks, is_equality, is_the_hands_own
from symgrad.checking.proof_domains import name_of
from symgrad.checking.verdicts import Choice, Outcome, Proved
from symgrad.problem.definedness import branches_on, origins
from symgrad.problem.point_search import is_ordered
from symgrad.program.program import EXTREME, WHOLE, Decided, Guard, Program, Source, Step, written

Key = tuple[Any, ...]
Look = tuple[Branch, PointComparison]

_CLOSE = frozenset(("isclose", "allclose"))
_FINITE = frozenset(("isnan", "isfinite", "isinf", "isposinf", "isneginf"))
BINS = frozenset(("searchsorted", "bucketize", "digitize"))  # between which of some edges a value lies
_NUMBER = re.compile(r"\d+\.?\d*(?:[eE][-+]?\d+)?")
_FEW = 6  # values that are told one by one
_LISTED = 12  # ways that are no branches, and are told one by one whether they came up or not
_PATHS = 48  # branches of the code on which a choice is remembered


@dataclass(frozen=True, eq=False)
class Met:
    """A look at which a choice was made, on a branch of the code of its own, and the guards that it was made by."""

    branch: Branch
    seen: PointComparison
    guards: list[Guard]


@dataclass(eq=False)
class Decision:
    """One choice while it is looked for: where it was met, and how it came out at all looks.

    ``points`` are those of the domain at which each outcome was seen, ``beyond`` those outside of it; ``met`` has a
    look for each branch of the code, and ``many`` says that there were more of these.
    """

    key: Key
    met: dict[int, Met] = field(default_factory=dict)
    points: dict[Any, Mapping[str, Any]] = field(default_factory=dict)
    beyond: dict[Any, Mapping[str, Any]] = field(default_factory=dict)
    many: bool = False
    shared: bool = False  # a place of a table that model and hand formula both read: the table is data

    @property
    def first(self) -> Met:
        return next(iter(self.met.values()))

    @property
    def branch(self) -> Branch:
        return self.first.branch

    @property
    def guard(self) -> Guard:
        return self.first.guards[0]

    @property
    def text(self) -> str:
        return _text(self.guard)

    @property
    def ways(self) -> tuple[Any, ...] | None:
        """All the ways in which it may come out; None where there is no list of them."""
        guard = self.guard
        if guard.op == "sign":
            return (1.0, -1.0)
        if guard.outcome.dtype == bool:
            return (True, False)
        if isinstance(guard.params, Decided):
            ways, bases = guard.params.ways, guard.params.bases
            largest = [base[:2] for base in bases] in ([("argmax", 1)], [("argmin", 1)])
            places = self._places(bases[0][2]) if largest else None
            return ways if places is None or ways is None else tuple(w for w in ways if w in (*places, *self.points))
        if guard.op in BINS and len(guard.args) == 2:
            return _bins(self.branch.program, in_bins(guard)[1])
        return self._places(guard.params) if guard.op in ("argmax", "argmin") else None

    def _places(self, axis: Any) -> tuple[int, ...] | None:
        """The places along an axis at which the largest or smallest entry may stand: of equal ones it is the first."""
        guard, program = replace(self.guard, params=axis), self.branch.program
        row = _row(guard, program)
        if row is None:
            return None
        again = _written_again(guard, program, row)
        return tuple(k for k in range(row[1]) if k in self.points or not again[k])

    @property
    def open(self) -> list[Any]:
        """The ways in which it did not come out at any point of the domain."""
        return [w for w in self.ways or () if w not in self.points]

    @property
    def branches(self) -> bool:
        """Whether each outcome is a branch of its own."""
        guard = self.guard
        if self.ways is None or guard.params == EXTREME:
            return False
        if self.shared:
            return False
        if isinstance(guard.params, Decided):
            return not _asks_whether_finite(guard, self.branch.program)
        if guard.op in ("argmax", "argmin"):  # entries are alike, unless it is always the same one
            return len(self.points) == 1 < len(self.ways)
        if guard.op in BINS:  # a table of many places is data
            return len(self.ways) <= _LISTED
        return is_ordered(guard) or guard.op in _CLOSE or self.branch.asks_of_data(guard)


def decisions(looks: Iterable[Look], free: Sequence[str]) -> dict[Key, Decision]:
    """The choices that the code made at these looks, by where they stand in it.

    A comparison that is a tie, or that a rounding error decided, says nothing of either side; and a point on an edge
    is no place at which a branch is judged, where there are others, unless the edge is one that the hand formula makes.
    """
    found: dict[Key, Decision] = {}
    looks = list(looks)
    off_edges = any(inside(seen) and not seen.ties for _, seen in looks)
    for branch, seen in looks:
        is_inside = inside(seen)
        is_judged = not (is_inside and off_edges and seen.ties) or is_the_hands_own(branch, seen)
        for guard in choosing(branch, seen, free):
            if guard in seen.ties and is_ordered(guard):
                continue
            key = key_of(branch.program, guard)
            decision = found.setdefault(key, Decision(key))
            at = decision.points if is_inside else decision.beyond
            for outcome in _outcomes(guard, branch.program) if is_judged else ():
                at.setdefault(outcome, seen.point)
            met = decision.met.get(id(branch))
            if met is None and len(decision.met) < _PATHS:
                decision.met[id(branch)] = Met(branch, seen, [guard])
            elif met is None:
                decision.many = True
            elif met.seen is seen:
                met.guards.append(guard)
    for _, seen in looks:  # a place may be a number that was not made of looks too, such as the least of ``max(n, 0)``
        for plain in (g for g in seen.guards if g.op == "entry" and inside(seen)):
            for decision in (d for d in found.values() if is_place(d.guard) and d.guard.source == plain.source):
                for place in plain.outcome.tolist():
                    decision.points.setdefault(place, seen.point)
    tables = shared_tables(looks)
    for decision in found.values():
        decision.shared = is_place(decision.guard) and decision.guard.params.table in tables
    return found


def shared_tables(looks: Iterable[Look]) -> set[int]:
    """The tables of numbers in which both the model and the hand formula read: what stands in them is data.

    Where both are of one run, no read says whose it is, and a table is theirs together if it is read in two places.
    """
    out: set[int] = set()
    for branch in {id(b): b for b, _ in looks}.values():
        of_model, of_hand = (_read_in(run.program) for run in (branch.model_run, branch.hand_run))
        if branch.model_run.together:
            times = Counter(table for table, _ in of_model | of_hand)
            out |= {table for table, n in times.items() if n > 1}
        else:
            out |= {table for table, _ in of_model} & {table for table, _ in of_hand}
    return out


def _read_in(program: Program) -> set[tuple[int, Source | None]]:
    """The tables in which places were read, each with where that stands in the code."""
    found = {(g.params.table, g.source) for g in program.guards if is_place(g)}
    found |= {(g.params[1], g.source) for g in program.course if g.op == "entry"}
    return {(table, source) for table, source in found if table is not None}


def is_place(guard: Guard) -> bool:
    """Whether the code reads at a place of a list or a table."""
    return isinstance(guard.params, Decided) and guard.params.word == "index"


def in_bins(guard: Guard) -> tuple[int, int]:
    """The steps of the values, and of the edges between which they are found to lie."""
    first, second = guard.args
    return (second, first) if guard.op == "searchsorted" else (first, second)


def _bins(program: Program, edges: int) -> tuple[int, ...]:
    """The places between edges; where these are numbers, those that hold a real one."""
    step = _origin(program)(edges)
    count = math.prod(program.shape(edges))
    if step.op != "constant" or step.params.value.size != count:
        return tuple(range(count + 1))
    ends = [-math.inf, *np.sort(step.params.value.reshape(-1)).tolist(), math.inf]
    return tuple(k for k in range(count + 1) if ends[k] < ends[k + 1])


def turned(guard: Guard, key: Key | None, way: Any, look: Look, free: Sequence[str]) -> bool:
    """Whether a choice came out this way at a look, if it is one of the domain; for a combination, another way than
    the guard."""
    seen = look[1]
    if not inside(seen):
        return False
    if key is not None:
        here = None if seen.ties else decisions([look], free).get(key)
        return here is not None and way in here.points
    same = [g for g in seen.guards if g.op == guard.op and g.source == guard.source]
    return not same or any(not np.array_equal(g.outcome, guard.outcome) for g in same)


def choosing(branch: Branch, seen: PointComparison, free: Sequence[str]) -> Iterator[Guard]:
    """The guards of a look that may come out another way where the free inputs move."""
    moving = {g.args for g in branches_on(branch.program, free)}
    return (g for g in seen.guards if g.args in moving and np.size(g.outcome))


def in_order(branch: Branch, seen: PointComparison) -> tuple[Guard, ...]:
    """The guards of a look in the order in which they were made.  Of one run that gave both sides, those of the hand
    formula are all; those of the model, which stand before them, are the same ones, up to its value."""
    n, m = (len(run.program.guards) for run in (branch.model_run, branch.hand_run))
    return seen.guards[n:] if branch.model_run.together and m >= n else seen.guards


def earlier(branch: Branch, seen: PointComparison, guard: Guard) -> list[Guard]:
    """The guards of a look that were made before one of them."""
    of_one = in_order(branch, seen)
    guards = of_one if any(g is guard for g in of_one) else seen.guards
    return list(itertools.takewhile(lambda g: g is not guard, guards))


def _asks_whether_finite(guard: Guard, program: Program) -> bool:
    """Whether all looks that a decision was made of ask for a NaN or an infinity, which no point of the domain has: by
    name, as ``x == x``, or as a comparison with infinity."""
    first = 0
    for op, count, _ in guard.params.bases:
        args = guard.args[first : first + count]
        first += count
        sides = [program.steps[a] for a in args]
        infinite = any(s.op == "constant" and np.isinf(s.params.value).all() for s in map(_origin(program), args))
        if op not in _FINITE and not (len(sides) == 2 and (args[0] == args[1] or infinite)):
            return False
    return True


def _origin(program: Program) -> Callable[[int], Step]:
    """The step that a layout of one is of."""

    def origin(i: int) -> Step:
        step = program.steps[i]
        while step.op in ("pick", "cast", "name") and len(step.args) == 1:
            step = program.steps[step.args[0]]
        return step

    return origin


def key_of(program: Program, guard: Guard) -> Key:
    """Where a choice stands in the code; the operations of its sides, and the numbers that are written there, tell two
    comparisons of one line apart; those that a loop counts do not.  What has no place, such as a formula's, is told by
    the steps that it is made of."""
    if guard.source is None:
        return guard.op, None, *written(program.steps, guard.args)
    source: Any = guard.source
    steps = [program.steps[a] for a in guard.args]
    begin, end = source.span or (0, None)
    here = set(map(float, _NUMBER.findall(source.text[begin:end])))
    sides = tuple((s.op, _number(s) if s.op == "constant" and _number(s) in here else None) for s in steps)
    word = other = None
    if isinstance(guard.params, Decided):
        word, other = guard.params.word, guard.params.other
        other = other if isinstance(other, (int, float)) and abs(other) in here else None
    return guard.op, source.file, source.line, source.span, source.text, sides, word, other


def _number(step: Step) -> float | None:
    """The size of a number, which a sign may stand before."""
    return None if step.params.value.size != 1 or step.is_complex else abs(float(step.params.value.reshape(())))


def _text(guard: Guard) -> str:
    source = guard.source
    if source is None:
        return guard.op
    return f"line {source.line}, {source.text}" if source.line else source.text


def axis_of_order(program: Program, guard: Guard) -> int:
    """The axis along which entries are put in order."""
    row = _row(guard, program)
    return 0 if row is None else row[0]


def _row(guard: Guard, program: Program) -> tuple[int, int] | None:
    """The axis along which entries are compared with each other, and how many there are."""
    if not guard.args:
        return None
    shape = program.shape(guard.args[0])
    if guard.params is None:
        return 0, int(np.prod(shape, dtype=np.int64))
    axis = guard.params[0] if isinstance(guard.params, tuple) and guard.params else guard.params
    if not isinstance(axis, int) or isinstance(axis, bool) or not -len(shape) <= axis < len(shape):
        return None  # ``round`` has its decimals there
    return axis % len(shape), shape[axis]


def _written_again(guard: Guard, program: Program, row: tuple[int, int]) -> np.ndarray:
    """Which entries are a copy of one before them in every row: of equal ones the first is chosen."""
    axis, n = row
    shape = program.shape(guard.args[0])
    whole = guard.params is None or not shape
    copies = []
    for x in origins(program, guard.args[0]):
        copies.append(x.reshape(1, n) if whole else np.moveaxis(x.reshape(shape), axis, -1).reshape(-1, n))
    of, place = copies
    same = [((of[:, :k] == of[:, k : k + 1]) & (place[:, :k] == place[:, k : k + 1])).any(1).all() for k in range(n)]
    return np.array(same, dtype=bool)


def _outcomes(guard: Guard, program: Program) -> set[Any]:
    outcome = np.asarray(guard.outcome)
    if guard.op == "argsort" and outcome.ndim and (row := _row(guard, program)) is not None:
        return set(map(tuple, np.moveaxis(outcome, row[0], -1).reshape(-1, outcome.shape[row[0]]).tolist()))
    if outcome.dtype == bool or guard.op in WHOLE or guard.op in BINS | {"argmax", "argmin", "decided"}:
        return set(np.unique(outcome).tolist())
    if guard.op == "sign":
        return set(np.unique(outcome).tolist()) - {0.0}
    return {(outcome.shape, outcome.tobytes())}


# ------------------------------------------------------------------------------------------------ in words


def described(decision: Decision, impossible: Sequence[Any], barred: Mapping[Any, Mapping[str, Any]]) -> Choice:
    """The choice as a report tells it; ``barred`` are points at which the code raises, by the outcome that was sought
    there."""
    source = decision.guard.source or Source(decision.guard.op, "", None)
    beyond = {**barred, **decision.beyond}
    listed = decision.ways is not None and (decision.branches or len(decision.ways) <= _LISTED)
    out = []
    for way in decision.ways or () if listed else itertools.islice(decision.points, _FEW):
        state: Any = "not reached"
        if way in decision.points:
            state = "reached"
        elif way in impossible:
            state = "impossible"
        elif way in beyond:
            state = "outside"
        out.append(Outcome(_word(decision.guard, way), state, decision.points.get(way, beyond.get(way))))
    what = _WHAT.get(str(decision.guard.op), "a look at a value")
    return Choice(what, source.text, source.file or None, source.line, tuple(out), decision.branches)


_WHAT: dict[str, str] = dict.fromkeys(("gt", "ge", "lt", "le", "eq", "ne", "isclose", "allclose"), "a comparison")
_WHAT |= {"sign": "a sign", "decided": "a decision", "argmax": "the largest entry", "argmin": "the smallest entry"}
_WHAT |= dict.fromkeys(BINS, "a place between edges")
_WHAT |= {"argsort": "an order", **dict.fromkeys(WHOLE, "a number made whole")}


def _word(guard: Guard, way: Any) -> str:
    if guard.op == "sign":
        return "positive" if way > 0 else "negative"
    if isinstance(way, bool):
        return "true" if way else "false"
    if isinstance(way, (str, tuple)):
        return str(way)
    return f"{way:g}" if isinstance(way, (int, float)) else "another way"


def tell(found: Findings, free: Sequence[str]) -> None:
    """Say what is to be said of the choices without branches of their own, as they came out inside the domain; what is
    proved holds where no two numbers are equal that were seen to be so nowhere."""
    chosen = [d for d in decisions(inside_looks(found), free).values() if not d.branches]
    found.notes += dict.fromkeys(_told(d) for d in chosen if _is_worth_a_note(d))
    unmet = tuple(dict.fromkeys(_unequal(d) for d in chosen if is_equality(d.guard) and len(d.points) == 1))
    for name, verdict in found.verdicts.items() if unmet else ():
        if isinstance(verdict, Proved):
            found.verdicts[name] = replace(verdict, domain=(*verdict.domain, *unmet))


def _unequal(decision: Decision) -> str:
    """That the sides of a comparison are not equal, in the user's names."""
    program, sides = decision.branch.program, decision.guard.args
    steps = [_origin(program)(a) for a in sides]
    numbers = [f"{s.params.value.item():g}" if s.op == "constant" and s.params.value.size == 1 else None for s in steps]
    left, right = (n or name_of(program, a) for n, a in zip(numbers, sides, strict=True))
    return f"{left} is not {right}" if left and right else f"what is compared in {decision.text} is not equal"


def _is_worth_a_note(decision: Decision) -> bool:
    """What is no edge of its own is told only where something was not seen."""
    guard = decision.guard
    if guard.params == EXTREME or guard.op in _FINITE or isinstance(guard.params, Decided):
        return False
    if guard.op == "argsort":
        return len(decision.points) < _orders(guard, decision.branch.program)
    return decision.ways is None or bool(decision.open)


def _told(decision: Decision) -> str:
    op, text, outcomes = decision.guard.op, decision.text, set(decision.points)
    points, rest = "at the points that were looked at", "the other branches were not judged."
    if decision.guard.outcome.dtype == bool:
        (outcome,) = outcomes or {False}
        return (
            f"a comparison ({text}) was {'true' if outcome else 'false'} at every point that was looked at; "
            "the other branch was not judged."
        )
    if op in ("argmax", "argmin"):
        what, total = "largest" if op == "argmax" else "smallest", decision.ways
        of = f"{len(outcomes)} of {len(total)} places" if total is not None else "some places"
        return f"the {what} entry ({text}) was at {of} {points}; {rest}"
    if op == "argsort":
        return f"entries are put in order ({text}): {len(outcomes)} orders came up {points}; {rest}"
    if op in WHOLE:
        values = sorted(outcomes)
        few = [v if isinstance(v, str) else f"{v:g}" for v in values[:_FEW]] + ["..."] * (len(values) > _FEW)
        return f"a number is made whole ({text}): it was {', '.join(few)} {points}; {rest}"
    seen = f"{len(outcomes)} different ways" if len(outcomes) > 1 else "one way"
    return f"the code looks at a value ({text}): it came out {seen} {points}; {rest}"


def _orders(guard: Guard, program: Program) -> float:
    """How many orders there are of the entries that are put in order."""
    row = _row(guard, program)
    return (
        math.inf
        if row is None
        else math.perm(row[1], np.shape(guard.outcome)[row[0]])
        if guard.outcome.ndim
        else row[1]
    )
