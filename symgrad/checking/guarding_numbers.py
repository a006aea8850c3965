"""Small numbers that guard a logarithm, a quotient or a root: right without them, and wrong to the letter.

A loss is computed as ``-log(y + 1e-7)``, so that it is never infinite, and its gradient is derived as ``-log(y)``'s.
By the letter the two differ; a reader is told that they do so by the guard alone.
"""

from __future__ import annotations

from dataclasses import replace

from symgrad.checking.comparison import Pair, PointComparison
from symgrad.checking.exploration import Findings
from symgrad.checking.verdicts import Refuted
from symgrad.evaluation.balls import Balls, binary, flat
from symgrad.ops.row import precision
from symgrad.problem.question import Problem
from symgrad.program.builder import Builder
from symgrad.program.derivative import gradients
from symgrad.program.program import Program, interpret

_BITS = 640
_SMALL = 1e-3  # the largest number that is a guard
_SURE = 1e-40  # of the largest entry: what the difference may be, whose balls hold zero
_GUARDED = {"log": 0, "div": 1, "sqrt": 0}  # operations that fail at zero, with the place of what must not be that


def find_guards(problem: Problem, found: Findings) -> None:
    """Say of the refuted claims which of them are right but for numbers that guard the code from zero.

    Guarantee: nothing but words hangs on it; the claim stays refuted, for the code as it is.
    """
    program = found.own.model_run.program
    guards = _guards(program) if problem.order == 1 and len(program.outputs) == 1 else {}
    for pair in found.own.pairs if guards else ():
        verdict, view = found.verdicts.get(pair.name), found.at_user_point.views.get(pair.name)
        if not isinstance(verdict, Refuted) or verdict.is_excused or view is None or view.state != "differs":
            continue
        beside = [s for b, s in found.looks if b is found.own and pair.name in s.views and not s.ties]
        if all(_is_right_without(program, guards, pair, s) for s in (found.at_user_point, *beside[:2])):
            found.verdicts[pair.name] = replace(verdict, guard=_told(program, guards))


def _guards(program: Program) -> dict[int, int]:
    """The sums of a value and a guard, each with the value."""
    b, found = Builder.on(program), dict[int, int]()
    for s in program.steps:
        if s.op in _GUARDED:
            i = s.args[_GUARDED[s.op]]
            while program.steps[i].op in ("name", "cast", "pick") and len(program.steps[i].args) == 1:
                i = program.steps[i].args[0]
            inner = program.steps[i]
            for value, guard in (inner.args, inner.args[::-1]) if inner.op == "add" else ():
                n = b.number_of(guard)
                if n is not None and 0 < n <= _SMALL and program.shape(value) == inner.shape:
                    found[i] = value
    return found


def _is_right_without(program: Program, guards: dict[int, int], pair: Pair, seen: PointComparison) -> bool:
    """Whether the derivative without the guards is the hand formula's value, at one point."""
    (output,) = program.outputs.values()
    if pair.name not in program.inputs or not (pair.summed or not program.shape(output)):
        return False
    b = Builder.on(program)
    for i, value in guards.items():
        b.steps[i] = replace(b.steps[i], op="name", args=(value,), params="unguarded")
    slope = gradients(b, output, {pair.name: program.inputs[pair.name]})[pair.name]
    with precision(_BITS):
        values = interpret(b.build({}), Balls(), {n: binary(seen.point[n]) for n in program.inputs}, [slope])
        exact, hand = flat(values[slope]), seen.views[pair.name].hand
        if len(exact) != len(hand):
            return False
        apart = [x - y for x, y in zip(exact, hand, strict=True)]
        size = max((float(abs(x.mid())) for x in hand), default=0.0)
        return all(d.contains(0) and float(d.rad()) <= _SURE * size for d in apart)


def _told(program: Program, guards: dict[int, int]) -> str:
    """The numbers, as they are typed, and where."""
    b, said = Builder.on(program), dict[str, None]()
    for i in guards:
        s = program.steps[i]
        (n,) = [n for a in s.args if (n := b.number_of(a)) is not None][:1]
        line = s.source.line if s.source is not None else None
        typed = f"the {float(n):g}".replace("e-0", "e-")
        said[f"{typed} in line {line}" if line else typed] = None
    return " and ".join(said)
