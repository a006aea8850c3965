"""The numbers that the code of a question reads by a name, and the question with others in their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from symgrad.lifting.formulas import Formula
from symgrad.lifting.scripts.sides import Side
from symgrad.lifting.tracing.custom_sides import CustomSide
from symgrad.lifting.tracing.named_numbers import WithNumbers, may_move, named_numbers
from symgrad.problem.question import Problem

__all__ = ["numbers_of", "with_numbers"]


def numbers_of(problem: Problem) -> dict[str, float]:
    """The numbers by the names under which the model or the hand formula reads them."""
    if isinstance(problem.model, Side):
        return problem.model.execution.numbers
    model, hand = named_numbers(problem.model), named_numbers(problem.hand)
    found = {n: v for n, v in {**model, **hand}.items() if model.get(n, v) == hand.get(n, v)}
    passed = problem.model.runs.numbers if isinstance(problem.model, CustomSide) else {}
    return {**found, **{n: v for n, v in passed.items() if may_move(v)}}


def with_numbers(problem: Problem, numbers: Mapping[str, float]) -> Problem:
    """The question where these numbers are others.  Raises what the code raises then."""
    model, hand = problem.model, problem.hand
    if isinstance(model, Side) and isinstance(hand, Side):
        execution = model.execution.with_numbers(numbers)
        other = execution if hand.execution is model.execution else hand.execution.with_numbers(numbers)
        sides = {"model": replace(model, execution=execution), "hand": replace(hand, execution=other)}
        return replace(problem, first=None, **sides)
    model, hand = _with_passed(model, numbers), _with_passed(hand, numbers)
    return replace(problem, model=WithNumbers(model, numbers), hand=WithNumbers(hand, numbers), first=None)


def _with_passed(formula: Formula, numbers: Mapping[str, float]) -> Formula:
    """A side of a function with other numbers among the arguments that are passed on as they are."""
    return replace(formula, runs=formula.runs.with_numbers(numbers)) if isinstance(formula, CustomSide) else formula
