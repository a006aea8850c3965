"""Outcomes of choices, and combinations of them, that come out nowhere: what leads to them says that they do not.

Whatever the code compared before a choice, and every number that it made whole, says where the values lie on its path.
With these as ends, interval arithmetic tells where the two sides of the choice lie; and where that is not enough, the
signs of both are held against each other by exact arithmetic.  And what is decided twice, of the same values in the
same way, comes out as it did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.checking.choices import Decision, Met, earlier
from symgrad.checking.combinations import Fork
from symgrad.checking.comparison import with_data
from symgrad.problem.definedness import origins
from symgrad.problem.point_search import is_ordered
from symgrad.program.builder import Builder
from symgrad.program.primitives import primitive
from symgrad.program.program import EXTREME, WHOLE, Decided, Guard, Program, Step, whole_number, written
from symgrad.proving.conditions import is_nowhere_defined
from symgrad.proving.intervals import LINE, Range, Ranges

_EXACT = 6  # looks at which exact arithmetic is tried
# How far below and above its whole number a value may lie: of a number toward zero by the number's sign.
_HALF = sp.Rational(1, 2)
_AROUND = {"floor": (0, 1), "ceil": (-1, 0), "round": (-_HALF, _HALF), "rint": (-_HALF, _HALF)}
_TOWARD_ZERO = {1: (0, 1), 0: (-1, 1), -1: (-1, 0)}
_INCREASING = frozenset("exp expm1 log log1p sqrt sinh tanh asinh atan erf sigmoid".split())


def is_impossible(decision: Decision, way: Any) -> bool:
    """Whether it is proved that the outcome comes out nowhere, on any of the paths on which the choice was met."""
    compares = is_ordered(decision.guard) or _sign_decided(decision.guard, way) is not None
    compares = compares or _is_of_one_whole_number(decision.guard)
    if decision.many or not compares or decision.guard.params == EXTREME:
        return False
    looks = [(met, guard) for met in decision.met.values() for guard in met.guards]
    left = [look for look in looks if not _contradicts(*look, way, exactly=False)]
    return len(left) <= _EXACT and all(_contradicts(*look, way, exactly=True) for look in left)


def contradicts_its_path(fork: Fork, *, exactly: bool) -> bool:
    """Whether it is proved that a comparison does not come out in the way of the fork after the choices before it."""
    guard, way = fork.guard, fork.way
    if guard.params == EXTREME:
        return False
    program = fork.branch.program
    again = (out for before, out in fork.before if is_decided_again(program, before, guard))
    if any(out != way for out in again):
        return True
    branch, held = fork.branch, len(fork.free) < len(fork.branch.program.inputs)
    branch = replace(branch, program=with_data(branch, fork.seen.point, fork.free)) if held else branch
    met = Met(branch, fork.seen, [guard])
    return is_comparable(fork) and _contradicts(met, guard, way, exactly=exactly, entry=fork.entry)


def is_comparable(fork: Fork) -> bool:
    """Whether a fork is a comparison of values, or of a number made whole: of these it is known where they lie."""
    return is_ordered(fork.guard) or _is_of_one_whole_number(fork.guard)


def is_nowhere(fork: Fork, known: dict[Any, bool]) -> bool:
    """Whether the ranges on its path exclude a combination; what is known already is not asked again."""
    key = fork.path, id(fork.branch)
    if key not in known:
        known[key] = contradicts_its_path(fork, exactly=False)
    return known[key]


def is_decided_again(program: Program, before: Guard, guard: Guard) -> bool:
    """Whether what was made of looks at values decides the same twice: of numbers made whole that are the same, or in
    the same text and of looks at the same values."""
    one, other = before.params, guard.params
    if not isinstance(one, Decided) or not isinstance(other, Decided):
        return False
    if one.made is not None or other.made is not None:
        return one.made == other.made
    texts = [g.source.text for g in (before, guard) if g.source is not None]
    same = (one.word, one.bases, one.other) == (other.word, other.bases, other.other) and len({*texts}) == 1
    return same and written(program.steps, before.args) == written(program.steps, guard.args)


def _opened(program: Program) -> tuple[Builder, dict[Any, int]]:
    """The Program with what was detached followed, and with each number that was made whole as one that is not known,
    and where that stands: on the same path it may be another one than it was where the path was met."""
    steps: list[Step] = []
    places: dict[Any, int] = {}
    for i, step in enumerate(program.steps):
        made = step.params.made if step.op == "constant" else None
        if step.op == "stop":
            step = replace(step, op="name")
        elif made is not None and places.setdefault(made, i) == i:
            step = replace(step, op="input", params=repr(made))
        elif made is not None:
            step = replace(step, op="name", args=(places[made],), params=None)
        steps.append(step)
    return Builder.on(replace(program, steps=tuple(steps))), places


def _contradicts(met: Met, guard: Guard, way: Any, *, exactly: bool, entry: int | None = None) -> bool:
    """Whether the outcome, of an ``entry`` or of a single value, contradicts the ranges of what is compared on the
    path; or, ``exactly``, its signs."""
    branch = met.branch
    b, places = _opened(branch.program)
    positive = _positive(b, guard, way, entry)
    if not positive:
        return False
    above, *more = positive
    before = earlier(branch, met.seen, guard)
    beside = [g for g in before if g.outcome.shape in ((), guard.outcome.shape)]
    came_out = [(g, g.outcome.item()) for g in beside if not g.outcome.shape]
    came_out += [(g, g.outcome.flat[entry]) for g in beside if g.outcome.shape and entry is not None]
    denied = [i for g, out in came_out if is_ordered(g) and g.op != "sign" for i in _positive(b, g, not out, entry)]
    if not exactly and {*written(b.steps, [above])} & {*written(b.steps, denied)}:
        return True
    above, said = _compared(b, above), [*more, *(i for g, out in came_out for i in _positive(b, g, out, entry))]
    said += [i for g in before for i in _beside_whole(b, branch.program, g, places, _fixed(before))]
    said += [s for s in branch.stated if not b.shape(s)]
    if not exactly:
        steps, place = primitive(b.build({}), [above, *said])
        known = dict[int, Range]()
        plain = Ranges(steps)
        for i, part in (_end(steps, plain, place[s]) for s in said):
            known[i] = part.within(known.get(i, LINE))
        return (-Ranges(steps, known=known)[place[above]]).is_not_negative
    if b.shape(above):
        return False
    total, *others = (b.apply("log", s) for s in (above, *said))
    for term in others:
        total = b.add(total, term)
    return is_nowhere_defined(b.build({}), total)


def _end(steps: list[Step], ranges: Ranges, positive: int) -> tuple[int, Range]:
    """Where a step lies by what is positive: x where a x - c is; else what is positive itself."""
    i, part = positive, Range(Fraction(0), LINE.high, True, True)
    while (found := _beside_number(steps[i], ranges)) is not None:
        k, number = found
        match steps[i].op, k:
            case "sub", 0:
                part = part + number
            case "sub", _:
                part = number + -part
            case "add", _:
                part = part + -number
            case _:
                part = part * number.inverse()
        i = steps[i].args[k]
    return i, part


def _beside_number(step: Step, ranges: Ranges) -> tuple[int, Range] | None:
    """Which argument of a step is no number, and the other one, where that is a number that can be brought across."""
    for k in range(2 if step.op in ("add", "sub", "mul") else 0):
        mine, number = (ranges[a] for a in (step.args[k], step.args[1 - k]))
        if number.low == number.high and mine.low != mine.high and (number.is_nonzero or step.op != "mul"):
            return k, number
    return None


def _compared(b: Builder, step: int) -> int:
    """A step of the same sign: ``exp(s) - exp(x)`` has that of ``s - x``."""
    sign, op, args = 1, b.steps[step].op, b.steps[step].args
    while op in ("neg", "name", "cast"):
        sign, step = -sign if op == "neg" else sign, args[0]
        op, args = b.steps[step].op, b.steps[step].args
    sides = [b.steps[a] for a in args]
    if op != "sub" or sides[0].op != sides[1].op or sides[0].op not in _INCREASING:
        return step if sign > 0 else b.neg(step)
    left, right = (s.args[0] for s in sides)
    return _compared(b, b.sub(left, right) if sign > 0 else b.sub(right, left))


def _positive(b: Builder, guard: Guard, way: Any, entry: int | None = None) -> list[int]:
    """The steps that are positive where a choice comes out this way, off its edge, or where it does at an ``entry``;
    none where that is not known."""
    if any(b.steps[a].is_complex for a in guard.args) or guard.params == EXTREME:
        return []
    sign = way if guard.op == "sign" else _sign_decided(guard, way)
    if sign is not None:
        side = _at(b, guard.args[0], b.shape(guard.args[0]), entry)
        return [side if sign > 0 else b.neg(side)]
    if _is_of_one_whole_number(guard):
        return [b.sub(*sides) for sides in _ends_of_whole(b, guard, bool(way))]
    if is_ordered(guard):
        left, right = guard.args
        shape = np.broadcast_shapes(b.shape(left), b.shape(right))
        left, right = _at(b, left, shape, entry), _at(b, right, shape, entry)
        return [b.sub(left, right) if (guard.op in ("gt", "ge")) == bool(way) else b.sub(right, left)]
    return []


def _at(b: Builder, step: int, shape: tuple[int, ...], entry: int | None) -> int:
    """A step as an array of this shape, or an entry of it."""
    step = b.broadcast(step, shape)
    if entry is None or not shape:
        return step
    of, place = (int(x[entry]) for x in origins(b.build({}), step))
    if not place:
        return b.number(0)
    one = b.pick([of], np.array(place), ()) if b.shape(of) else of
    number = b.number_of(one)
    return one if number is None else b.number(number)


def _is_of_one_whole_number(guard: Guard) -> bool:
    """Whether a number that was made whole is compared with one that is given."""
    said = guard.params
    match said.made if isinstance(said, Decided) else None:
        case ("eq" | "ge" | "gt" | "le" | "lt", ("whole", _), int() | float()):
            return len(said.bases) == 1 and said.bases[0][0] in _AROUND | {"trunc": 0} and not guard.outcome.shape
    return False


def _ends_of_whole(b: Builder, guard: Guard, way: bool) -> list[tuple[int, int]]:
    """Pairs of steps of which the first is larger, where a comparison of a number made whole comes out this way."""
    (word, _, number), (op, _, _), (value,) = guard.params.made, guard.params.bases[0], guard.args

    def least(whole: int) -> int:
        """From where on the value is made this number, or a larger one."""
        low = (0 if whole > 0 else -1) if op == "trunc" else _AROUND[op][0]
        return b.number(whole + low)

    from_, after = least(math.ceil(number)), least(math.floor(number) + 1)
    match (word, way):
        case ("ge", True) | ("lt", False):
            return [(value, from_)]
        case ("ge", False) | ("lt", True):
            return [(from_, value)]
        case ("gt", True) | ("le", False):
            return [(value, after)]
        case ("gt", False) | ("le", True):
            return [(after, value)]
        case ("eq", True) if number == math.floor(number):
            return [(value, from_), (after, value)]
    return []


def _sign_decided(guard: Guard, way: Any) -> int | None:
    """The sign that a value has where it is compared with 1 or -1, as a determinant's is, and this comes out so."""
    said = guard.params
    if not isinstance(said, Decided) or said.word not in ("eq", "ne") or said.bases != (("sign", 1, None),):
        return None
    if said.other not in (1, -1):
        return None
    return int(said.other if (said.word == "eq") == bool(way) else -said.other)


def _fixed(guards: Sequence[Guard]) -> set[Any]:
    """The numbers made whole that can be no others on a path, for the code found them equal to a number, or read at
    their place."""
    out: set[Any] = set()
    for g in guards:
        match g.params.made if isinstance(g.params, Decided) else None:
            case ("whole", _) as number:
                out.add(number)
            case (("eq" | "allclose" | "isclose") as word, *sides) | (("ne") as word, *sides):
                if (g.outcome != (word == "ne")).all() and sum(isinstance(side, tuple) for side in sides) == 1:
                    out |= {side for side in sides if isinstance(side, tuple)}
    return out


def _beside_whole(b: Builder, program: Program, guard: Guard, places: Mapping[Any, int], fixed: set[Any]) -> list[int]:
    """The steps that are positive as a value lies beside the whole number that it was made: where the path does not fix
    that one, it may be any."""
    if guard.op not in WHOLE or guard.params is not None or guard.outcome.shape or b.shape(guard.args[0]):
        return []
    made = whole_number(program.steps, guard.op, guard.args)
    (value,), way = guard.args, guard.outcome.item()
    if made in fixed:
        low, high = _TOWARD_ZERO[np.sign(way)] if guard.op == "trunc" else _AROUND[guard.op]
        parts, middle = [value], sp.Rational(way)
    elif made in places:
        low, high = (-1, 1) if guard.op == "trunc" else _AROUND[guard.op]
        parts, middle = _differences(b, value, places[made]), 0
    else:
        return []
    ends = b.number(middle + low), b.number(middle + high)
    return [i for part in parts for i in (b.sub(part, ends[0]), b.sub(ends[1], part))]


def _differences(b: Builder, left: int, right: int) -> list[int]:
    """The steps of the code that are the difference of two."""
    sides = _source(b, left), _source(b, right)
    return [i for i, s in enumerate(b.steps) if s.op == "sub" and tuple(_source(b, a) for a in s.args) == sides]


def _source(b: Builder, i: int) -> int:
    """The step that one is another name of."""
    while b.steps[i].op in ("name", "cast"):
        i = b.steps[i].args[0]
    return i
