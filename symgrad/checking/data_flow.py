"""Lines that ran, and whose value never reached a claim: what stands on them was not judged.

Each choice may have been seen on all its sides, and a wrong line of one side have had no say in any gradient, where its
value is used on one side of another choice only: the two were not met together.  As in tests that cover definitions
and uses (Rapps and Weyuker 1985), a value is *idle* if a run ended with it and made no claim of it, while in another
run, on which this line did not come by, another value of the same variable went into a claim further down.
"""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from symgrad.checking.choices import Look
from symgrad.checking.comparison import Branch
from symgrad.checking.verdicts import Choice, Outcome
from symgrad.program.cones import entries_of
from symgrad.program.program import Binding, Program, Source, size

__all__ = ["Idle", "described", "idle_values", "is_used"]

_RETURNED = float("inf")
_ENTRIES = 1 << 16  # up to which arrays are followed by their entries

Place = tuple[str, str | None, int | None]  # a variable, and where it is bound


@dataclass(frozen=True, eq=False)
class Idle:
    """A line's value that no claim was made of, the looks that ended with it, and those that used another value of the
    variable further down."""

    place: Place
    source: Source
    unused: tuple[Look, ...]
    used: tuple[Look, ...]


@dataclass(frozen=True, eq=False)
class _Flow:
    """What became of the variables in one run: which were bound where, which bindings a claim was made of, those that
    the run ended with, and the last line that each value was read on."""

    bound: dict[Place, Binding]
    claimed: frozenset[Place]
    last: frozenset[Place]
    read: dict[Place, float]


def idle_values(looks: Iterable[Look]) -> list[Idle]:
    """The idle values at these looks, in the order of the code."""
    by_branch: dict[int, Look] = {}
    for look in looks:
        if not look[1].ties:
            by_branch.setdefault(id(look[0]), look)
    if len(by_branch) < 2:  # no run without the line, in which another value of its variable could have been used
        return []
    sides = zip(*([(look, flow) for flow in _flows(look[0])] for look in by_branch.values()), strict=True)
    out = [idle for flows in sides for idle in _idle(flows)]
    return sorted(out, key=lambda idle: (idle.place[1] or "", idle.place[2] or 0, idle.place[0]))


def _idle(flows: Sequence[tuple[Look, _Flow]]) -> Iterable[Idle]:
    """The idle values of one side, with what became of the variables at each look."""
    claimed = frozenset[Place]().union(*(flow.claimed for _, flow in flows))
    out: dict[Place, Idle] = {}
    for _, flow in flows:
        for place in flow.last - claimed - out.keys():
            users = tuple(other for other, f in flows if place not in f.bound and _reads_after(f, place))
            source = flow.bound[place].source
            if users and source is not None:
                out[place] = Idle(place, source, tuple(x for x, f in flows if place in f.last), users)
    return out.values()


def is_used(idle: Idle, branch: Branch) -> bool:
    """Whether a claim is made of the line's value on a branch."""
    return any(idle.place in flow.claimed for flow in _flows(branch))


def described(idle: Idle) -> Choice:
    """The value as a report tells it."""
    unused = Outcome("unused", "reached", idle.unused[0][1].point)
    what = f"what becomes of {idle.place[0]}"
    return Choice(what, idle.source.text, idle.source.file, idle.source.line, (unused, Outcome("used", "not reached")))


def _flows(branch: Branch) -> tuple[_Flow, _Flow]:
    """Of the model and of the hand formula."""
    return _flow(branch.model_run.program), _flow(branch.hand_run.program)


def _flow(program: Program) -> _Flow:
    outputs = [*program.outputs.values()]
    needed = _needed(program, outputs)
    bound, last, claimed = {}, {}, set()
    place_of: dict[int, Place] = {}
    for b in program.bindings:
        if b.source is not None and b.source.line is not None:
            place = b.name, b.source.file, b.source.line
            bound[place] = last[b.name, b.source.file] = b
            place_of[b.step] = place
            if b.step in needed:
                claimed.add(place)
    read: dict[Place, float] = {place_of[i]: _RETURNED for i in outputs if i in place_of}
    for i in needed:
        step = program.steps[i]
        line = step.source.line if step.source is not None else None
        for place in (place_of[a] for a in step.args if a in place_of):
            if line is not None and step.source is not None and step.source.file == place[1]:
                read[place] = max(read.get(place, 0), line)
    ended = ((b.name, b.source.file, b.source.line) for b in last.values() if b.source is not None)
    return _Flow(bound, frozenset(claimed), frozenset(ended), read)


def _needed(program: Program, outputs: Sequence[int]) -> Set[int]:
    """The steps that results are made of: of arrays of which some entries are taken, those that these are made of."""
    if sum(size(program.shape(i)) for i in program.needed(outputs)) > _ENTRIES:
        return set(program.needed(outputs))
    return entries_of(program, {i: range(size(program.shape(i))) for i in outputs}).keys()


def _reads_after(flow: _Flow, place: Place) -> bool:
    """Whether a claim was made of the variable's value from another line, where this line's could stand too."""
    name, file, line = place
    others = (used for (n, f, k), used in flow.read.items() if n == name and f == file and k != line)
    return line is not None and any(_leads_to(file, line, used, name) for used in others)


# ------------------------------------------------------------------------------------------------ in the text


def _leads_to(file: str | None, line: int, used: float, name: str) -> bool:
    """Whether a run may go from one line of a function on to another; where the other is where a value is returned, to
    any statement that returns the variable."""
    at = _way_to(_tree("".join(linecache.getlines(file)) if file else ""), line)
    if not at:
        return line < used
    for parent, block, k in reversed(at):
        if isinstance(parent, ast.If | ast.With) or not isinstance(parent, ast.stmt):
            after = block[k + 1 :]
        elif isinstance(parent, ast.FunctionDef):
            return any(_has(s, used, name) for s in block[k + 1 :])
        else:  # a loop comes back, and what else a statement may do is not followed
            after = [parent]
        if any(_has(s, used, name) for s in after):
            return True
        if any(isinstance(s, (ast.Return, ast.Raise)) for s in after):
            return False
    return False


def _has(statement: ast.stmt, used: float, name: str) -> bool:
    if used == _RETURNED:
        returns = (n for n in ast.walk(statement) if isinstance(n, ast.Return))
        return any(isinstance(n, ast.Name) and n.id == name for r in returns for n in ast.walk(r))
    return statement.lineno <= used <= (statement.end_lineno or statement.lineno)


@functools.lru_cache(maxsize=16)
def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def _way_to(node: ast.AST, line: int) -> list[tuple[ast.AST, list[ast.stmt], int]]:
    """The statements around a line, from the outermost: each with its parent, its block, and its place there."""
    for _, block in ast.iter_fields(node):
        for k, s in enumerate(block) if isinstance(block, list) else ():
            if isinstance(s, (ast.stmt, ast.ExceptHandler)) and s.lineno <= line <= (s.end_lineno or s.lineno):
                return [(node, block, k), *_way_to(s, line)]
    return []
