"""Refutations: the simplest witness of a difference, and what is special at the user's own point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flint import arb

from symgrad.comparison import (
    Branch,
    Look,
    Pair,
    View,
    look,
)
from symgrad.domains import branches_on
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import precision
from symgrad.evaluation.entries import array_of
from symgrad.looking import Findings, Problem, inside
from symgrad.sampling import nice_points
from symgrad.verdict import Kink, Refuted, Verdict, Witness, as_entry

__all__ = ["at_the_point", "decimal", "digits_apart", "middle", "refute", "shape_witness", "simplest"]

_ENTRIES = 64  # of a gradient that are looked at for kinks where nothing differs
_RAYS = 8
_BESIDE = 3  # directions in which a missing value is looked for beside a point
NEAR = 2.0**-60


def refute(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> list[Pair]:
    """Refute the pairs that differ at a generic point (inside the domain, off every kink); return the others."""
    rest = []
    for pair in pairs:
        witnesses = [w for branch, seen in found.looks if not seen.ties and (w := witness_of(seen, pair)) is not None]
        own = found.own_look
        if not own.ties and (here := witness_of(own, pair, own=True)) is not None and here.reason == "differs":
            witnesses.insert(0, here)
        if not witnesses:
            rest.append(pair)
            continue
        simple = None if problem.only_here else simplest(problem, found, pair)
        found.verdicts[pair.name] = Refuted(simple or witnesses[0], tuple(witnesses[:1] if simple else witnesses[1:2]))
    return rest


def witness_of(seen: Look, pair: Pair, *, own: bool = False) -> Witness | None:
    view = seen.views.get(pair.name)
    if view is None or view.state not in ("differs", "undefined"):
        return None
    shape = pair.shape
    state = view.state
    k = _clearest(view, view.entries(state))
    return Witness(
        seen.point,
        as_entry(k, shape),
        *digits_apart(view.hand[k], view.exact[k]),
        "differs" if state == "differs" else "undefined",
        middle(view.hand[k]),
        middle(view.exact[k]),
        own,
    )


def _clearest(view: View, entries: list[int]) -> int:
    """The entry whose two values differ most, relative to their size."""

    def gap(k: int) -> float:
        h, e = view.hand[k], view.exact[k]
        if not h.is_finite():
            return np.inf
        size = abs(h).mid() + abs(e).mid()
        return float(abs(h - e).mid() / size) if size > 0 else 0.0  # in balls: sizes may be beyond floats

    best = max(gap(k) for k in entries)
    return next(k for k in entries if gap(k) >= 0.5 * best)


def simplest(problem: Problem, found: Findings, pair: Pair) -> Witness | None:
    """The first of the simple points that shows the difference, or else that only one side has a value around it."""
    lacking: Witness | None = None
    moving = branches_on(found.own.program, problem.inputs.free)
    for point in nice_points(problem.inputs, 24, problem.seed):
        try:
            branch = problem.branch(point, found.branches) if moving else found.own
        except SymgradError:
            continue
        seen = look(branch, point, problem.inputs.free)
        if seen.ties:
            continue
        here = witness_of(seen, pair)
        if here is not None and here.reason == "differs":
            return here
        if here is not None and lacking is None and _lacks_around(problem, branch, point, pair):
            lacking = here
    return lacking


def _lacks_around(problem: Problem, branch: Branch, point: Mapping[str, Any], pair: Pair) -> bool:
    """Whether the hand formula has no value beside the point either: at a point alone it may be a limit."""
    for k in range(_BESIDE):
        rng = np.random.default_rng((problem.seed, 4, k))
        with precision(640):
            tiny = arb(2) ** -90
            noise = {n: rng.standard_normal(np.shape(point[n])) for n in problem.inputs.free}
            shift = {
                n: array_of([arb(float(x)) * tiny for x in x_.reshape(-1)], np.shape(x_)) for n, x_ in noise.items()
            }
        beside = witness_of(look(branch, point, problem.inputs.free, offset=shift), pair)
        if beside is None or beside.reason != "undefined":
            return False
    return True


def shape_witness(problem: Problem, pair: Pair) -> Witness:
    return Witness(problem.inputs.point, None, f"shape {list(pair.hand_shape)}", f"shape {list(pair.shape)}", "shape")


def digits_apart(hand: Any, exact: Any) -> tuple[str, str]:
    """Two balls to as many digits as they need to be told apart, and four more; at least six."""
    for digits in range(6, 60, 4):
        a, b = decimal(hand, digits), decimal(exact, digits)
        if a != b:
            return a, b
    return decimal(hand, 60), decimal(exact, 60)


def decimal(x: Any, digits: int) -> str:
    """A ball's middle to this many significant digits; "undefined" where it has none."""
    if not x.is_finite():
        return "undefined"
    if hasattr(x, "imag") and type(x).__name__ == "acb":
        sign = "-" if x.imag < 0 else "+"
        return f"{decimal(x.real, digits)} {sign} {decimal(abs(x.imag), digits)}i"
    if x.contains(0):
        return "0"  # no digit is certain
    text = x.mid().str(digits, radius=False)
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return text


def middle(x: Any) -> float | complex:
    if not x.is_finite():
        return float("nan")
    return complex(x.mid()) if type(x).__name__ == "acb" else float(x.mid())


# ------------------------------------------------------------------------------------------------ the user's own point


def at_the_point(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> list[Pair]:
    """What is special at the user's own point: a kink, a removable singularity, or a difference there alone."""
    rest = []
    for pair in pairs:
        view = found.own_look.views[pair.name]
        odd = [k for k, s in enumerate(view.states) if s in ("differs", "undefined", "outside")]
        edges = found.own_look.ties
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


def _near_is_defined(found: Findings) -> bool:
    return any(inside(seen) for _, seen in found.looks)


def _on_an_edge(
    problem: Problem, found: Findings, pair: Pair, view: View, odd: Sequence[int], told: bool = False
) -> Verdict | None:
    """Read the branches beside the point on rays into it; a jump between them is a kink.

    ``told`` says that the two are equal at the point, so that kinks are only to be told.
    """
    slopes = _rays(problem, found, pair)
    if not slopes:
        return None
    autograd = None
    for k in odd:
        exact = [s[k] for _, s in slopes if s[k].is_finite()]
        if not exact:
            continue
        values = [float(e.real.mid()) if type(e).__name__ == "acb" else float(e.mid()) for e in exact]
        low, high = min(values), max(values)
        scale = max(abs(low), abs(high), 1e-300)
        hand = middle(view.hand[k])
        jump = high - low > max(1e-9 * scale, NEAR * _usual(found, pair, k))
        between = hand != hand or low - 1e-9 * scale <= np.real(hand) <= high + 1e-9 * scale
        where = _edge_source(found)
        if jump and between:
            found.kinks.append(
                Kink(pair.name, as_entry(k, pair.shape), low, high, float(np.real(hand)), autograd, where)
            )
        elif told:
            continue
        elif not jump and view.states[k] != "differs":
            found.notes.append(
                f"d/d{pair.name}: at your point the hand formula or the derivative is written as 0/0; "
                f"its limit there is {low:.6g}."
            )
        elif not between or not (jump or _is_limit(view.hand[k], exact)):
            h = view.hand[k]
            text = decimal(h, 8), f"{low:.8g}" if not jump else f"between {low:.8g} and {high:.8g}"
            return Refuted(
                Witness(problem.inputs.point, as_entry(k, pair.shape), *text, "differs", hand, (low + high) / 2, True)
            )
    return None


def _usual(found: Findings, pair: Pair, k: int) -> float:
    """The size that the derivative has elsewhere: what is tiny beside it may be the slope of a smooth function."""
    sizes = [abs(s.views[pair.name].exact[k]).mid() for _, s in found.looks if pair.name in s.views]
    return max((float(x) for x in sizes if x.is_finite()), default=0.0)


def _is_limit(hand: Any, slopes: Sequence[Any]) -> bool:
    """Whether the value is that of the slopes 2**-90 away, up to what a slope may change over that distance."""
    gap = min(abs(hand - s).mid() for s in slopes)
    return bool(gap <= max(abs(s).mid() for s in slopes) * NEAR)


def _edge_source(found: Findings) -> str | None:
    for guard in found.own_look.ties:
        if guard.source is not None and guard.source.line is not None:
            return f"line {guard.source.line}: {guard.source.text}"
    return None


def _rays(problem: Problem, found: Findings, pair: Pair) -> list[tuple[np.ndarray, np.ndarray]]:
    """(hand, exact) on rays into the user's own point, 2**-90 away, by the branch that the code takes beside it."""
    out = []
    point = problem.inputs.point
    rng = np.random.default_rng((problem.seed, 2))
    direction: dict[str, np.ndarray] = {}
    bound = {fact.name for fact in problem.inputs.facts}
    for j in range(_RAYS):
        direction = (
            {n: -d for n, d in direction.items()}
            if j % 2
            else {n: rng.standard_normal(np.shape(point[n])) for n in problem.inputs.free if n not in bound}
        )
        step = {n: (1e-3 if problem.dtypes.get(n) in ("float32", "float16", "bfloat16") else 1e-7) for n in direction}
        beside = {**point, **{n: np.asarray(point[n]) + step[n] * d for n, d in direction.items()}}
        try:
            branch = problem.branch(beside, found.branches)
        except SymgradError:
            continue
        with precision(640):
            tiny = arb(2) ** -90
            shift = {
                n: array_of([arb(float(x)) * tiny for x in np.real(d).reshape(-1)], np.shape(d))
                for n, d in direction.items()
            }
        seen = look(branch, point, problem.inputs.free, offset=shift)
        view = seen.views.get(pair.name)
        if view is not None and not seen.misjudged:
            out.append((view.hand, view.exact))
    return out
