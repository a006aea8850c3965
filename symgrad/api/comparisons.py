"""Two smaller questions: do two formulas say the same, and what Program is this?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from symgrad.checking.judge import judge
from symgrad.checking.verdicts import Verdict
from symgrad.problem.canary import undisturbed
from symgrad.problem.question import Asked, alone, pose
from symgrad.problem.sampling import Bounds
from symgrad.program.program import Program


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
    asked = Asked(None, at, 1, domain, assuming, None, dtype, points, effort, seed, values=True)
    return judge(pose(a, b, asked)).verdicts["value"]


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
    return alone(thing, Asked(at=at, seed=seed)).run.program
