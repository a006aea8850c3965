"""Points of a domain as a Hypothesis strategy, for property-based tests of code whose inputs are constrained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from symgrad.errors import BadInput, NoPoint
from symgrad.problem.arguments import domain_of, is_shape
from symgrad.problem.constraints import joined, parse_assuming, settle
from symgrad.problem.question import Asked
from symgrad.problem.sampling import Inputs, draw, neighbours, toward
from symgrad.typing import Bounds, DomainLike, PointLike

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_TRIED = 128  # points among which one is looked for at which all conditions hold
_HALVINGS = 24  # of the way to it, where a point that was drawn does not meet them
_WIDTHS: Mapping[str, Literal[16, 32, 64]] = {"float16": 16, "float32": 32, "float64": 64}


def points_in(
    at: PointLike,
    *,
    domain: DomainLike | None = None,
    assuming: str | Sequence[str] | None = None,
    dtype: str = "float64",
    largest: float = 1e3,
) -> SearchStrategy[dict[str, Any]]:
    """A Hypothesis strategy for points: a mapping from each input to an array of its shape, or to a number.

    ``at``, ``domain`` and ``assuming`` are as for `verify`: a shape is drawn, anything else stays as it is; bounds are
    open, and what is assumed holds exactly.  Numbers are those of ``dtype``, up to ``largest`` in size where no bound
    says otherwise.

    >>> from hypothesis import given, settings
    >>> @settings(max_examples=20, database=None)
    ... @given(points_in({"x": (), "s": (), "y": (3,)}, domain="0 < x < s", assuming=("sum(y) = 1", "y > 0")))
    ... def test(point):
    ...     assert 0 < point["x"] < point["s"] and point["y"].sum() == 1
    >>> test()

    Raises `BadInput` where Hypothesis is not installed (it is the extra ``hypothesis``) or no number is between two
    bounds, `NoPoint` where no point of the domain is found, and what `verify` raises for a domain that is none.
    """
    try:
        from hypothesis import reject
        from hypothesis import strategies as st
        from hypothesis.extra.numpy import arrays
    except ImportError as error:
        raise BadInput(
            "points_in needs Hypothesis, which is not installed.",
            instead='Install it: pip install "symgrad[hypothesis]".',
        ) from error
    if dtype not in _WIDTHS:
        raise BadInput(f"dtype is {dtype!r}.", instead=f"Pass {', '.join(map(repr, _WIDTHS))}.")
    asked = Asked(at=at, domain=domain, assuming=assuming)
    given = asked.at or {}
    shapes = {n: tuple(v) for n, v in given.items() if is_shape(v)}
    names = list(given)
    bounds, conditions = domain_of(asked.domain, names, "at has")
    assumed = parse_assuming(assuming, names, {n: len(shapes.get(n, np.shape(v))) for n, v in given.items()})
    bounds = {**(assumed.bounds or {}), **bounds}
    facts = joined(assumed.facts, bounds)
    drawn = {}
    for name, shape in shapes.items():
        low, high = _closed(name, bounds.get(name, (None, None)), dtype, largest)
        numbers = st.floats(low, high, width=_WIDTHS[dtype])
        drawn[name] = arrays(dtype, shape, elements=numbers) if shape else numbers
    kept = {n: v for n, v in given.items() if n not in shapes}
    rng = np.random.default_rng(0)
    own = {**kept, **{n: draw(shape, rng, bounds.get(n, (None, None))) for n, shape in shapes.items()}}
    inputs = Inputs(own, tuple(shapes), frozenset(kept), bounds, facts, conditions=conditions)
    inside = next(neighbours(inputs, _TRIED, seed=0), None) if conditions else None
    if conditions and inside is None:
        raise NoPoint(
            "no point was found at which all conditions hold.",
            instead="Pass a point that is inside for some of the inputs, or state a larger domain.",
        )

    def settled(point: dict[str, Any]) -> dict[str, Any]:
        found = _settled(inputs, {**kept, **point}, inside, dtype)
        return found if found is not None else reject()

    return st.fixed_dictionaries(drawn).map(settled)


def _settled(
    inputs: Inputs, point: dict[str, Any], inside: Mapping[str, Any] | None, dtype: str
) -> dict[str, Any] | None:
    """The point, on the constraints; where a condition does not hold, moved toward one at which all hold."""
    if inside is None:
        return inputs.settled(point)
    home = replace(inputs, point=inside)
    for k in range(_HALVINGS):
        moved = toward(home, point, 2.0**-k) if k else settle(point, inputs.facts)
        moved |= {n: np.asarray(moved[n], dtype)[()] for n in inputs.free}
        if all(condition(moved) for condition in inputs.conditions):
            return moved
    return None


def _closed(name: str, bounds: Bounds, dtype: str, largest: float) -> tuple[float, float]:
    """The smallest and the largest number of a dtype between two bounds, which are open."""
    low, high = bounds
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):
        first = kind(-largest if low is None else low)
        last = kind(largest if high is None else high)
    if low is None and high is not None:
        first = min(first, kind(high - largest))
    if high is None and low is not None:
        last = max(last, kind(low + largest))
    if low is not None and first <= low:
        first = np.nextafter(first, kind(math.inf))
    if high is not None and last >= high:
        last = np.nextafter(last, kind(-math.inf))
    if not first <= last:
        raise BadInput(f"no number of {dtype} is between the bounds of {name}: {low} and {high}.")
    return float(first), float(last)
