"""What the choices of a branch say of its steps: where ``x > 1`` came out true, ``x - 1`` is not negative.

A proof on a branch is about the points of that branch alone, so it may use them: |x| is x there, and its derivative
is 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from symgrad.problem.definedness import branches_on
from symgrad.program.builder import Builder
from symgrad.program.program import Guard, Program

_SIGNED = frozenset(("sign", "abs", "sqrt", "rsqrt", "pow", "log"))  # what a sign tells more of
_MOST = 16  # facts of one proof: each costs a reading of its step; of more choices none is told
_SHORT = 40  # steps of what one is about
_ABOVE, _BELOW = ("gt", "ge"), ("lt", "le")


def said_by_choices(program: Program, free: Collection[str], goals: Sequence[int]) -> tuple[Program, tuple[int, ...]]:
    """The Program, with further steps at its end that are nowhere negative on the branch that it records.

    None are added where no step that the ``goals`` are made of asks for the sign of anything.

    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> b.guard("gt", (x, b.number(1)), None, True)
    >>> slope = b.apply("sign", x)
    >>> made, facts = said_by_choices(b.build({}), ["x"], [slope])
    >>> [(made.steps[i].op, made.steps[i].args) for i in facts]
    [('sub', (0, 1))]
    """
    if not any(program.steps[i].op in _SIGNED for i in program.needed(goals)):
        return program, ()
    b = Builder.on(program)
    facts: list[int] = []
    told: set[tuple[str, tuple[int, ...]]] = set()
    guards = branches_on(program, free)
    apart = not all((g.outcome == g.outcome.flat[0]).all() for g in guards if g.outcome.size)
    for guard in guards:
        short = len(program.needed(guard.args)) <= _SHORT
        if short and (guard.op, guard.args) not in told and not any(b.steps[a].is_complex for a in guard.args):
            told.add((guard.op, guard.args))
            facts += _gaps(b, guard, apart)
        if len(facts) > _MOST:
            return program, ()
    return b.build(program.outputs), tuple(facts)


def _gaps(b: Builder, guard: Guard, apart: bool) -> list[int]:
    """The steps that a choice says are not negative: one for all entries together, or ``apart`` one for each."""
    match guard.op, guard.args:
        case op, (left, right) if op in _ABOVE + _BELOW:
            up, down = (left, right) if op in _ABOVE else (right, left)
            gap, ways = b.sub(up, down), np.where(guard.outcome, 1, -1)
        case "sign", (argument,):
            gap, ways = argument, np.asarray(guard.outcome)
        case _:
            return []
    ways = np.broadcast_to(ways, b.shape(gap)).ravel()
    if not apart or not b.shape(gap):
        return [_turned(b, gap, int(ways[0]))] if ways.any() else []
    places = np.flatnonzero(ways)[: _MOST + 1]
    return [_turned(b, b.pick([gap], np.array([k + 1]), ()), int(ways[k])) for k in places.tolist()]


def _turned(b: Builder, step: int, way: int) -> int:
    return step if way > 0 else b.neg(step)
