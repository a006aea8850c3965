"""Each derivative at each point that was looked at, computed in three ways, and how far each is from the truth.

The exact derivative as torch code (symbolic), torch's own gradient of the user's model (autograd) and what the user's
derivation gives (hand) are three float computations of one number; the truth is a ball.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from flint import arb

from symgrad.checking.comparison import Branch, Pair, PointComparison
from symgrad.checking.exploration import Findings, clear, comparison_at, inside
from symgrad.checking.parts import made_whole
from symgrad.checking.refutations import middle
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import array_of
from symgrad.evaluation.floats import computed, plain_array, tensors_of
from symgrad.evaluation.torch_code import TorchFunction
from symgrad.lifting.scripts.sides import Side
from symgrad.lifting.tracing.functions import Function, Module
from symgrad.ops.row import precision
from symgrad.problem.question import Problem
from symgrad.program.program import real_dtype, size
from symgrad.rounding.accuracy import rounding
from symgrad.rounding.autograd_bounds import autograd_bounds, autograd_gradient
from symgrad.rounding.kernel_bounds import Bound
from symgrad.rounding.running_bounds import distance, enclosed, ulps, visible_ulps

WAYS = ("symbolic", "autograd", "hand")

# What the user's code or torch may say where a way does not exist at a point: then the table has no number there.
_FAILURES = (SymgradError, RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, ArithmeticError)


@dataclass(frozen=True, eq=False)
class ThreeWays:
    """One derivative at one point; ``number`` counts the points from 1.

    ``values`` has an array for each of `WAYS` that there is, and ``ulps`` how far its entries are from the truth,
    rounded up, in units of the last place that ``dtype`` has there; ``truth`` holds the float64s nearest to it (NaN
    where the derivative has no value).  ``branch`` counts the branches of the code, in the order of the points,
    from 1; ``is_own`` says that the point is the user's own.
    """

    claim: str
    number: int
    point: Mapping[str, Any]
    is_own: bool
    branch: int
    dtype: str
    truth: np.ndarray
    values: Mapping[str, np.ndarray]
    ulps: Mapping[str, np.ndarray]

    @property
    def differences(self) -> np.ndarray | None:
        """``hand - autograd`` with its sign, in ulps at the truth; None where one is missing, or they are complex."""
        if not {"hand", "autograd"} <= set(self.values) or np.iscomplexobj(self.truth):
            return None
        mine, other = (self.values[way].astype(np.float64) for way in ("hand", "autograd"))
        with np.errstate(invalid="ignore"):
            apart = torch.as_tensor(np.where(mine == other, 0.0, mine - other))
        return ulps(apart, torch.as_tensor(self.truth), self.dtype).numpy()


def tabulate(problem: Problem, findings: Findings) -> tuple[ThreeWays, ...]:
    """Run the three ways at every point that was looked at, the user's own first; the user's code is run again.

    A derivative whose shape is wrong has no rows.  Where the hand side is numbers, the user's own point is all that
    they are for.
    """
    return tuple(_rows(problem, findings))


def _rows(problem: Problem, findings: Findings) -> Iterator[ThreeWays]:
    dtype = _dtype(problem)
    branches: list[Branch] = []
    symbolic: dict[tuple[int, str], TorchFunction | None] = {}
    for number, (branch, seen) in enumerate(_looks(problem, findings), 1):
        if all(branch is not b for b in branches):
            branches.append(branch)
        is_own = seen is findings.at_user_point
        place = 1 + next(k for k, b in enumerate(branches) if b is branch)
        hand = findings.own.hand_run.values if is_own else _hand(problem, seen)
        automatic = _autograd(problem, seen, is_own)
        for pair in branch.pairs:
            if pair.name not in seen.views:
                continue
            key = id(branch), pair.name
            if key not in symbolic:
                symbolic[key] = _compiled(branch, pair)
            found = {
                "symbolic": _symbolic(symbolic[key], seen, dtype),
                "autograd": automatic.get(pair.name),
                "hand": hand.get(pair.name),
            }
            values, far, truth = _beside(seen, pair, dtype, found)
            name, kind = problem.labels.get(pair.name, pair.name), str(dtype).removeprefix("torch.")
            yield ThreeWays(name, number, seen.point, is_own, place, kind, truth, values, far)


def _looks(problem: Problem, findings: Findings) -> Iterator[tuple[Branch, PointComparison]]:
    """The user's own point and the others, each moved to where the inputs' dtypes can hold it: else the code would be
    given another point than the truth.  Points that are on a constraint stay there.
    """
    findings.at_user_point = made_whole(findings.own, findings.at_user_point, problem.inputs.free)
    yield findings.own, findings.at_user_point
    told = {_key(problem, findings.at_user_point.point)}
    for branch, seen in [] if problem.values_only else findings.looks:
        point = dict(seen.point) if problem.inputs.facts else {**seen.point, **_held(problem, seen.point)}
        if any(not np.array_equal(point[n], seen.point[n]) for n in problem.dtypes):
            try:
                branch, seen = comparison_at(problem, point, findings.branches)
            except SymgradError:
                continue
        if inside(seen) and _key(problem, point) not in told:
            told.add(_key(problem, point))
            yield branch, made_whole(branch, seen, problem.inputs.free)


def _key(problem: Problem, point: Mapping[str, Any]) -> tuple[bytes, ...]:
    return tuple(np.asarray(point[n]).tobytes() for n in problem.dtypes)


def _held(problem: Problem, point: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The floats of a point as their dtypes hold them."""
    return {
        n: x.to(torch.complex128 if x.is_complex() else torch.float64).numpy()
        for n, x in tensors_of(point, problem.dtypes).items()
    }


def _beside(
    seen: PointComparison, pair: Pair, dtype: torch.dtype, found: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """The values that fit the derivative, their distances from the truth in ulps, and the truth."""
    view = seen.views[pair.name]
    with precision(view.bits):
        balls = enclosed(array_of(list(view.exact), pair.shape))
    size = balls.sizes().reshape(pair.shape)
    truth = np.where(size.numpy() == 0, 0.0, np.array([middle(x) for x in view.exact]).reshape(pair.shape))
    values, far = {}, {}
    for way, value in found.items():
        array = None if value is None else np.asarray(value)
        if array is None or array.size != truth.size or (np.iscomplexobj(array) and not np.iscomplexobj(truth)):
            continue
        values[way] = array.reshape(pair.shape)
        with precision(view.bits):
            low, high = distance(torch.as_tensor(np.array(values[way])), balls)
        far[way] = np.where(np.isnan(truth), np.nan, visible_ulps(low, high, size, dtype).numpy())
    return values, far, truth


def _dtype(problem: Problem) -> torch.dtype:
    """The coarsest dtype of the inputs: what the ulps are of."""
    kinds = [getattr(torch, real_dtype(k)) for k in problem.dtypes.values()]
    return max(kinds, key=lambda d: torch.finfo(d).eps, default=torch.float64)


# ------------------------------------------------------------------------------------------------ autograd, elsewhere

_MORE = 2  # points beside the user's own at which autograd is looked at
_FAR = 16.0  # ulps from which its own rounding bound is worth its price


def find_wrong_autograd(problem: Problem, findings: Findings, names: Sequence[str]) -> dict[str, str]:
    """Where autograd's gradient for one of ``names`` is further from the truth, at another point than the user's own,
    than its own rounding can take it: a sentence for each input.
    """
    notes: dict[str, str] = {}
    for branch, seen in reversed(clear(findings)[-_MORE:]):  # the last are the furthest from the user's own
        call = torch_call(problem, seen.point)
        if call is None or any(not np.array_equal(x, seen.point[n]) for n, x in _held(problem, seen.point).items()):
            continue
        pairs = [p for p in branch.pairs if p.name in names and p.name in seen.views and p.name not in notes]
        try:
            plain = autograd_gradient(*call, [p.name for p in pairs]) if pairs else {}
            far = [p for p in pairs if _is_far(seen, p, plain[p.name], _dtype(problem))]
            seen = made_whole(branch, seen, problem.inputs.free) if far else seen
            doubtful = _further_than_floats(problem, branch, seen, far, plain) if far else []
            bounds = autograd_bounds(*call, [p.name for p in doubtful]).gradients if doubtful else {}
        except _FAILURES:  # it was told of the user's own point
            continue
        for pair in doubtful:
            bound = bounds[pair.name]
            if bound is not None and (wrong := _beyond(seen, pair, bound, _dtype(problem))) is not None:
                notes[pair.name] = f"{pair.name}: {wrong}"
    return notes


def _is_far(seen: PointComparison, pair: Pair, value: torch.Tensor | None, dtype: torch.dtype) -> bool:
    view = seen.views[pair.name]
    if value is None or not value.is_floating_point() or value.numel() != size(pair.shape):
        return False
    value = value if view.at is None else value.reshape(-1)[view.at]
    if any(not isinstance(x, arb) or not x.is_finite() for x in view.exact):
        return False
    exact = torch.tensor([float(x.mid()) for x in view.exact], dtype=torch.float64)
    return bool(((value.double().reshape(-1) - exact).abs() > _FAR * torch.finfo(dtype).eps * exact.abs()).any())


def _further_than_floats(
    problem: Problem, branch: Branch, seen: PointComparison, pairs: Sequence[Pair], found: Mapping[str, Any]
) -> list[Pair]:
    """The pairs of which autograd is much further off than floats are that run the exact derivative itself: where these
    lose the same digits, it is no wonder that autograd does, and its bound would say nothing else.
    """
    tensors = tensors_of(seen.point, problem.dtypes)
    given = {n: tensors[n] if n in tensors else torch.as_tensor(seen.point[n]) for n in branch.program.inputs}
    with torch.no_grad():
        floats = computed(branch.program, given, [p.exact for p in pairs])
    out = []
    for pair in pairs:
        exact = torch.tensor([float(x.mid()) for x in seen.views[pair.name].exact], dtype=torch.float64)
        mine, other = torch.as_tensor(floats[pair.exact]).reshape(-1), found[pair.name].reshape(-1)
        if mine.is_complex() or bool(((other.double() - exact).abs() > _FAR * (mine.double() - exact).abs()).any()):
            out.append(pair)
    return out


def _beyond(seen: PointComparison, pair: Pair, bound: Bound, dtype: torch.dtype) -> str | None:
    """What is wrong at a point, if something is: the entry that is furthest off."""
    view = seen.views[pair.name]
    with precision(view.bits):
        balls = array_of(list(view.exact), pair.shape)
        value, error = bound.value.detach().reshape(pair.shape), bound.error.reshape(pair.shape)
        side = rounding(value, balls, hand_bound=error, dtype=dtype).hand
    if not side.outside:
        return None
    place = max(side.outside, key=lambda k: abs(float(value[k]) - middle(np.asarray(balls, dtype=object)[k])))
    entry = f", in entry {list(place)}" if place else ""
    numbers = {n: x.item() for n, x in seen.point.items() if np.ndim(x) == 0}
    point = ", ".join(f"{n} = {x:.6g}" for n, x in numbers.items()) if len(numbers) == len(seen.point) else ""
    where = f"at {point}" if point else "at another point than yours"
    return (
        f"{where}{entry} autograd gives {float(value[place]):.6g}, and the derivative is "
        f"{middle(np.asarray(balls, dtype=object)[place]):.6g}: that is more than rounding can do."
    )


# ------------------------------------------------------------------------------------------------ the three ways


def _compiled(branch: Branch, pair: Pair) -> TorchFunction | None:
    try:
        return TorchFunction(branch.program.with_outputs({"exact": pair.exact}))
    except _FAILURES:
        return None


def _symbolic(function: TorchFunction | None, seen: PointComparison, dtype: torch.dtype) -> np.ndarray | None:
    """The compiled derivative at a point, all floats in the dtype that the ulps are of."""
    if function is None:
        return None
    tensors = {n: torch.as_tensor(seen.point[n]) for n in function.names}
    floats = {n: x.to(dtype) for n, x in tensors.items() if x.is_floating_point()}
    waves = {n: x.to(torch.promote_types(dtype, torch.complex64)) for n, x in tensors.items() if x.is_complex()}
    try:
        with torch.no_grad():
            return plain_array(function(**{**tensors, **floats, **waves}))
    except _FAILURES:
        return None


def _hand(problem: Problem, seen: PointComparison) -> Mapping[str, Any]:
    try:
        return problem.hand.run(seen.point, problem.dtypes).values
    except _FAILURES:
        return {}


def _autograd(problem: Problem, seen: PointComparison, is_own: bool) -> Mapping[str, np.ndarray]:
    """Torch's gradients of the user's own model; none where torch cannot differentiate it."""
    model = problem.model
    try:
        if isinstance(model, Side):  # a script runs it itself
            return model.autograd if is_own else model.autograd_at(seen.point)
        call = torch_call(problem, seen.point)
        found = {} if call is None else autograd_gradient(*call, list(problem.wrt))
        return {n: plain_array(g) for n, g in found.items() if g is not None}
    except _FAILURES:
        return {}


def torch_call(problem: Problem, point: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]] | None:
    """The user's own model as torch differentiates it, and its inputs by name; None where it is not torch's."""
    model: Any = problem.model
    if problem.order != 1 or getattr(model, "library", "") != "torch":
        return None
    tensors: dict[str, Any] = tensors_of(point, problem.dtypes)
    rest = {n: v for n, v in point.items() if n not in tensors}
    if isinstance(model, Module):
        whole = {n: torch.as_tensor(v) if isinstance(v, np.ndarray) else v for n, v in rest.items()}
        return model.differentiable(problem.dtypes), {**tensors, **whole}
    code = model
    if isinstance(model, Function):
        code, rest = model.by_name, {n: model.passed(v) for n, v in rest.items()}
    return (lambda **given: code(**given, **rest), tensors) if callable(code) else None
