"""Two smaller questions: do two formulas say the same, and what Program is this?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from symgrad.arguments import dtypes_of, find_point, full_name, resolve
from symgrad.judging import Problem, judge
from symgrad.lifting.formulas import open_formula, rename
from symgrad.lifting.modules import Module
from symgrad.program import Program
from symgrad.sampling import Bounds
from symgrad.verdict import Verdict

__all__ = ["compare", "lift"]


def compare(
    a: Any,
    b: Any,
    *,
    at: Mapping[str, Any] | None = None,
    domain: Mapping[str, Bounds] | None = None,
    dtype: Any = None,
    points: int = 64,
    seed: int = 0,
) -> Verdict:
    """Say whether two formulas have the same value, with a proof or a counterexample; no derivative is taken.

    The arguments are as for `verify`; the names in ``b`` must be among those of ``a``.  All float inputs that are not
    given by value are resampled; if all are given, all are.

    >>> compare("exp(x)*exp(y)", "exp(x + y)").kind
    'proved'
    >>> compare("sqrt(x**2)", "x").kind
    'refuted'

    Raises what `verify` raises.
    """
    first = open_formula(a)
    second = rename(open_formula(b, like=getattr(first, "library", None)), first.names, "the second formula")
    at = None if at is None else {full_name(n, first.names): v for n, v in at.items()}
    own = first.parameters if isinstance(first, Module) else {}
    inputs = resolve(first, at, (), domain, seed, own)
    dtypes = dtypes_of(first, at, inputs.point, dtype)
    inputs, _ = find_point(first, inputs, dtypes, seed)
    inputs = replace(inputs, free=inputs.free or tuple(dtypes))
    problem = Problem(first, second, inputs, dtypes, ("value",), 0, points, seed)
    return judge(problem).verdicts["value"]


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
    _, run = find_point(formula, inputs, dtypes, seed)
    return run.program
