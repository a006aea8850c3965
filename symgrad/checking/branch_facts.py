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

_SIGNED = frozenset(("sign", "abs", "sqrt", "pow", "log", "max", "min"))  # what a sign tells more of
_MOST = 24  # facts of one proof: each costs a reading of its step
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
    for guard in branches_on(program, free):
        if len(program.needed(guard.args)) <= _SHORT and not any(b.steps[a].is_complex for a in guard.args):
            facts += _gaps(b, guard, _MOST - len(facts))
    return b.build(program.outputs), tuple(facts)


def _gaps(b: Builder, guard: Guard, most: int) -> list[int]:
    """The steps that a choice says are not negative: one for an outcome of all entries, else one for each entry."""
    match guard.op, guard.args:
        case op, (left, right) if op in _ABOVE + _BELOW:
            up, down = (left, right) if op in _ABOVE else (right, left)
            gap, ways = b.sub(up, down), np.where(guard.outcome, 1, -1)
        case "sign", (argument,):
            gap, ways = argument, np.asarray(guard.outcome)
        case _:
            return []
    shape = b.shape(gap)
    ways = np.broadcast_to(ways, shape)
    if not ways.any():
        return []
    if (ways == ways.flat[0]).all():
        return [_turned(b, gap, ways.flat[0])][:most]
    places = np.flatnonzero(ways)
    return [_turned(b, b.pick([gap], [k + 1], ()), ways.flat[k]) for k in places] if len(places) <= most else []


def _turned(b: Builder, step: int, way: int) -> int:
    return step if way > 0 else b.neg(step)
