"""The numbers that the code of a question reads by a name, and the question with others in their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from symgrad.lifting.scripts.sides import Side
from symgrad.lifting.tracing.named_numbers import WithNumbers, named_numbers
from symgrad.problem.question import Problem

__all__ = ["numbers_of", "with_numbers"]


def numbers_of(problem: Problem) -> dict[str, float]:
    """The numbers by the names under which the model or the hand formula reads them."""
    if isinstance(problem.model, Side):
        return problem.model.execution.numbers
    model, hand = named_numbers(problem.model), named_numbers(problem.hand)
    return {n: v for n, v in {**model, **hand}.items() if model.get(n, v) == hand.get(n, v)}


def with_numbers(problem: Problem, numbers: Mapping[str, float]) -> Problem:
    """The question where these numbers are others.  Raises what the code raises then."""
    if isinstance(problem.model, Side) and isinstance(problem.hand, Side):
        execution = problem.model.execution.with_numbers(numbers)
        sides = {
            "model": replace(problem.model, execution=execution),
            "hand": replace(problem.hand, execution=execution),
        }
        return replace(problem, first=None, **sides)
    return replace(
        problem, model=WithNumbers(problem.model, numbers), hand=WithNumbers(problem.hand, numbers), first=None
    )
