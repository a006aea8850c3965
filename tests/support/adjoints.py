"""One reverse pass over a whole Program, with the adjoint of every step that it reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from symgrad.program.builder import Builder
from symgrad.program.derivative import reverse
from symgrad.program.program import Program


@dataclass(frozen=True, eq=False)
class Adjoint:
    """A Program that has the adjoint of an output among its steps.

    ``of`` maps steps to their adjoints' steps; ``edges`` lists (step, consumer, contribution) for every use.
    """

    program: Program
    of: Mapping[int, int]
    edges: tuple[tuple[int, int, int], ...]


def adjoint(program: Program, output: int, *, seed: int | None = None, wrt: Iterable[int] | None = None) -> Adjoint:
    """The adjoints of ``output`` with respect to every step between it and ``wrt``.

    ``seed`` is the step that holds the cotangent of the output, of the output's shape; by default all ones.
    ``wrt`` are the steps to differentiate with respect to; by default all inputs.
    """
    builder = Builder.on(program)
    builder.source = None
    if seed is None:
        step = program.steps[output]
        seed = builder.ones(step.shape, step.dtype)
    of, edges = reverse(builder, {output: seed}, set(program.inputs.values() if wrt is None else wrt))
    return Adjoint(builder.build(program.outputs), of, tuple(edges))
