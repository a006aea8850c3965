"""Two smaller questions: do two formulas say the same, and what Program is this?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from symgrad.checking.all_sizes import judge_all_sizes
from symgrad.checking.judge import Problem, judge
from symgrad.checking.verdicts import Verdict
from symgrad.lifting.formulas import open_formula, rename
from symgrad.lifting.tracing.modules import Module
from symgrad.problem.arguments import check_budgets, dtypes_of, find_point, full_name, resolve
from symgrad.problem.canary import undisturbed
from symgrad.problem.constraints import joined, parse_assuming
from symgrad.problem.replay import replay
from symgrad.problem.sampling import Bounds
from symgrad.problem.shapes import declared_shapes, named_in, named_shapes, posed, ranks, with_shapes
from symgrad.program.program import Program

__all__ = ["compare", "lift"]


@undisturbed
def compare(
    a: Any,
    b: Any,
    *,
    at: Mapping[str, Any] | None = None,
    domain: Mapping[str, Bounds] | str | Any = None,
    assuming: str | Sequence[str] | None = None,
    dtype: Any = None,
    points: int = 64,
    effort: float = 1.0,
    seed: int = 0,
) -> Verdict:
    """Say whether two formulas have the same value, with a proof or a counterexample; no derivative is taken.

    The arguments are as for `verify`; the names in ``b`` must be among those of ``a``.  All float inputs that are not
    given by value are resampled; if all are given, all are.

    >>> compare("exp(x)*exp(y)", "exp(x + y)").kind
    'proved'
    >>> compare("sqrt(x**2)", "x").kind
    'refuted'
    >>> print(compare(lambda A, x: A @ x, lambda A, x: (A * x).sum(1), at={"A": ("m", "n"), "x": ("n",)}))
    proved for all m and n

    Raises what `verify` raises.
    """
    check_budgets(points, effort, seed)
    first = open_formula(a)
    told = {**declared_shapes(first), **named_in(at)}
    first = with_shapes(first, told)
    second = with_shapes(open_formula(b, like=getattr(first, "library", None)), told, first.names)
    second = rename(second, first.names, "the second formula")
    at = None if at is None else {full_name(n, first.names): v for n, v in at.items()}
    own = first.parameters if isinstance(first, Module) else {}
    shapes, at = named_shapes(at, own, declared_shapes(first, second))
    assumed = parse_assuming(assuming, first.names, ranks({**own, **(at or {})}))

    def pose(at: Mapping[str, Any] | None) -> Problem:
        inputs = resolve(first, at, (), domain, seed, own, assumed.bounds)
        dtypes = dtypes_of(first, at, inputs.point, dtype)
        inputs, run = find_point(first, replace(inputs, facts=joined(assumed.facts, inputs.bounds)), dtypes, seed)
        inputs = replace(inputs, free=inputs.free or tuple(dtypes))
        other = second.run(inputs.point, dtypes)
        replay(run, inputs.point, "the first formula")
        replay(other, inputs.point, "the second formula")
        return Problem(first, second, inputs, dtypes, ("value",), 0, points, seed, first=(run, other), effort=effort)

    shapes, problem = posed(shapes, at, own, pose)
    found = judge(problem)
    if shapes is not None:
        judge_all_sizes(problem, found, shapes)
    return found.verdicts["value"]


@undisturbed
def lift(thing: Any, *, at: Mapping[str, Any] | None = None, seed: int = 0) -> Program:
    """The Program that ``thing`` computes at ``at``: its operations, in its order, under its names.

    >>> print(lift("(x + y) - x").listing())
    %0 = input() float64[]
    %1 = input() float64[]
    %2 = add(%0, %1) float64[]
    %3 = sub(%2, %0) float64[]

    ``thing`` and ``at`` are as for `verify`; raises what `verify` raises.
    """
    formula = open_formula(thing)
    at = None if at is None else {full_name(n, formula.names): v for n, v in at.items()}
    own = formula.parameters if isinstance(formula, Module) else {}
    inputs = resolve(formula, at, (), None, seed, own)
    dtypes = dtypes_of(formula, at, inputs.point, None)
    inputs, run = find_point(formula, inputs, dtypes, seed)
    replay(run, inputs.point, "it")
    return run.program
