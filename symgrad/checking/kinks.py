"""What is special at the user's own point: a kink, a limit, a slope without bound, or a difference there alone.

The branches beside the point are read on rays into it, at two distances.  What separates two values there is a gap if
it stays, and none if it goes down with the distance: the slope of x**1.5 near zero is of size 2**-45 at 2**-90, and it
is 0 at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb

from symgrad.checking.comparison import Pair, PairComparison, compare_at
from symgrad.checking.exploration import Findings, inside, path_at
from symgrad.checking.refutations import decimal, middle
from symgrad.checking.verdicts import Kink, Refuted, Verdict, Witness, as_entry
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import array_of
from symgrad.ops.row import precision
from symgrad.problem.question import Problem
from symgrad.problem.sampling import beside, directions

_ENTRIES = 64  # of a gradient that are looked at for kinks where nothing differs
_RAYS = 8
_DISTANCES = (90, 270)  # the rays are read 2**-90 and 2**-270 away
_BITS = 640
_NEAR = 2.0**-60  # what is smaller, beside the size that the derivative has elsewhere, is no jump


def at_the_point(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> list[Pair]:
    """Judge what is special at the user's own point, there; return the pairs that are left."""
    rest = []
    for pair in pairs:
        view = found.at_user_point.views[pair.name]
        odd = [k for k, s in enumerate(view.states) if s in ("differs", "undefined", "outside")]
        edges = found.at_user_point.ties
        if not odd and edges:  # the hand formula follows the same side as the model: it is a kink all the same
            _on_an_edge(problem, found, pair, view, range(min(len(view.states), _ENTRIES)), told=True)
        if not odd or (not edges and view.state == "outside" and not _near_is_defined(found)):
            rest.append(pair)
            continue
        verdict = _on_an_edge(problem, found, pair, view, odd)
        if verdict is None:
            rest.append(pair)
        else:
            found.verdicts[pair.name] = verdict
    return rest


def with_limits(problem: Problem, found: Findings, pair: Pair) -> PairComparison:
    """What was seen at the user's own point, with the derivative's limit where it is written as 0/0 there.

    Where the slopes beside the point grow or differ from ray to ray, or the code itself has no value, nothing is.
    """
    view = found.at_user_point.views[pair.name]
    lacking = [k for k, x in enumerate(view.exact) if not x.is_finite()]
    here = all(
        np.isfinite(v).all() for n, v in found.own.model_run.values.items() if n not in found.own.model_run.derived
    )
    rays = _rays(problem, found, pair) if lacking and here else []
    exact = view.exact.copy()
    usual = max((abs(x).mid() for x in exact if x.is_finite()), default=arb(1))
    for k in lacking if len(rays) > 1 else ():
        slopes = [tuple(seen[k] for seen in ray) for ray in rays]
        if not all(x.is_finite() and type(x).__name__ == "arb" for pairs in slopes for x in pairs):
            continue
        (side,) = _sides(slopes, usual)
        if not side.grows and not side.jumps:
            low, high = _ends(side)
            exact[k] = arb((low + high) / 2, (high - low) / 2)
    return replace(view, exact=exact)


def _near_is_defined(found: Findings) -> bool:
    return any(inside(seen) for _, seen in found.looks)


@dataclass(frozen=True, eq=False)
class _Beside:
    """The slopes of one entry, real parts or imaginary ones, on the rays: near the point and nearer."""

    near: tuple[Any, ...]
    nearer: tuple[Any, ...]
    usual: Any  # the size that the derivative has elsewhere

    @property
    def grows(self) -> bool:
        """Whether the slopes have no bound beside the point: a power of a logarithm grows by more than this."""
        return bool(_largest(self.nearer) > 1.4 * _largest(self.near) and _largest(self.nearer) > self.usual)

    @property
    def jumps(self) -> bool:
        """Whether they differ from ray to ray, and do so nearer to the point too."""
        spread = _spread(self.nearer)
        return bool(spread > _NEAR * self.usual and spread > _spread(self.near) / 2 and spread > 0)

    def admits(self, value: Any) -> bool:
        """Whether a value is between the slopes, or comes to be as the point is approached."""
        far, close = (_beyond(value, slopes) for slopes in (self.near, self.nearer))
        return not close > 0 or bool(close <= far / 2) or bool(close <= _NEAR * _largest(self.nearer))


def _largest(slopes: Sequence[Any]) -> Any:
    return max(abs(s).mid() for s in slopes)


def _spread(slopes: Sequence[Any]) -> Any:
    return max(s.mid() for s in slopes) - min(s.mid() for s in slopes)


def _beyond(value: Any, slopes: Sequence[Any]) -> Any:
    """How far a value is certainly outside of the slopes; not positive inside."""
    low, high = min(s.lower() for s in slopes), max(s.upper() for s in slopes)
    return max((low - value).lower(), (value - high).lower())


def _on_an_edge(
    problem: Problem, found: Findings, pair: Pair, view: PairComparison, odd: Sequence[int], told: bool = False
) -> Verdict | None:
    """Read the branches beside the point on rays into it; a jump between them is a kink.

    ``told`` says that the two are equal at the point, so that kinks are only to be told.
    """
    rays = _rays(problem, found, pair)
    for k in odd if rays else ():
        usual, hand = _usual(found, pair, k), view.hand[k]
        slopes = _finite(rays, k)
        if not slopes:
            continue
        sides = _sides(slopes, usual)
        here = [] if not hand.is_finite() else _parts(hand, len(sides))
        if not _admitted(sides, here) and found.at_user_point.ties:  # of many equal entries each has its turn
            sides = _sides([*slopes, *_finite(_rays(problem, found, pair, k), k)], usual)
        between = _admitted(sides, here)
        grows, jumps = any(side.grows for side in sides), any(side.jumps for side in sides)
        low, high = _ends(sides[0])
        if grows or (jumps and between):
            found.kinks.append(
                Kink(
                    pair.name,
                    as_entry(k, pair.shape),
                    low,
                    high,
                    float(np.real(middle(hand))),
                    None,
                    _edge_source(found),
                    bounded=not grows,
                )
            )
        elif told:
            continue
        elif between and (not here or view.states[k] == "outside"):
            found.notes.append(
                f"d/d{pair.name}: at your point the hand formula or the derivative is written as 0/0; "
                f"its limit there is {low:.6g}."
            )
        elif not between:
            text = decimal(hand, 8), f"between {low:.8g} and {high:.8g}" if jumps else f"{low:.8g}"
            at = as_entry(k, pair.shape)
            return Refuted(Witness(problem.inputs.point, at, *text, "differs", middle(hand), (low + high) / 2, True))
    return None


def _finite(rays: Sequence[tuple[np.ndarray, ...]], k: int) -> list[tuple[Any, ...]]:
    """The slopes of one entry on the rays where they have values."""
    slopes = [tuple(seen[k] for seen in ray) for ray in rays]
    return [pairs for pairs in slopes if all(x.is_finite() for x in pairs)]


def _admitted(sides: Sequence[_Beside], here: Sequence[Any]) -> bool:
    return all(side.admits(value) for side, value in zip(sides, here, strict=False))


def _sides(slopes: Sequence[tuple[Any, ...]], usual: Any) -> list[_Beside]:
    """The slopes' real parts, and their imaginary ones where they are complex."""
    parts = 2 if any(type(x).__name__ == "acb" for pair in slopes for x in pair) else 1
    split = [[_parts(x, parts) for x in pair] for pair in slopes]
    return [_Beside(*(tuple(pair[d][p] for pair in split) for d in (0, 1)), usual) for p in range(parts)]  # type: ignore[arg-type]


def _parts(x: Any, count: int) -> list[Any]:
    is_complex = type(x).__name__ == "acb"
    return [x.real if is_complex else x, x.imag if is_complex else arb(0)][:count]


def _ends(side: _Beside) -> tuple[float, float]:
    """The least and the largest slope beside the point; what vanishes as it is approached is zero."""
    ends = []
    for choose in (min, max):
        far, close = (choose(s.mid() for s in slopes) for slopes in (side.near, side.nearer))
        vanishes = abs(close) <= abs(far) / 2 and abs(close) <= max(side.usual, arb(2) ** -1000) * 2.0**-30
        ends.append(0.0 if vanishes else float(close))
    return ends[0], ends[1]


def _usual(found: Findings, pair: Pair, k: int) -> Any:
    """The size that the derivative has elsewhere: what is tiny beside it may be the slope of a smooth function."""
    sizes = [abs(s.views[pair.name].exact[k]).mid() for _, s in found.looks if pair.name in s.views]
    return max((x for x in sizes if x.is_finite()), default=arb(0))


def _edge_source(found: Findings) -> str | None:
    for guard in found.at_user_point.ties:
        if guard.source is not None and guard.source.line is not None:
            return f"line {guard.source.line}: {guard.source.text}"
    return None


def _rays(problem: Problem, found: Findings, pair: Pair, entry: int | None = None) -> list[tuple[np.ndarray, ...]]:
    """The derivative on rays into the user's own point, at each distance, by the branch that the code takes beside
    it; with ``entry`` on rays that move that entry of the input more than all others.
    """
    out = []
    point = problem.inputs.point
    most = None if entry is None else (pair.name, entry)
    for way in directions(problem.inputs, _RAYS if entry is None else 2, problem.seed, most):
        try:
            branch, guards = path_at(problem, beside(problem.inputs, way, problem.dtypes), found.branches)
        except SymgradError:
            continue
        seen = [
            compare_at(branch, point, problem.inputs.free, offset=_shift(way, k), guards=guards) for k in _DISTANCES
        ]
        if all(pair.name in s.views and not s.misjudged for s in seen):
            out.append(tuple(s.views[pair.name].exact for s in seen))
    return out


def _shift(direction: dict[str, np.ndarray], halvings: int) -> dict[str, Any]:
    """The direction's 2**-halvings part, exactly."""
    with precision(_BITS):
        tiny = arb(2) ** -halvings
        return {
            n: array_of([arb(float(x)) * tiny for x in np.real(d).reshape(-1)], np.shape(d))
            for n, d in direction.items()
        }
