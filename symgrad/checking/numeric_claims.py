"""Claims that are numbers and no code: what their digits can tell, and whether they are laid out transposed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from symgrad.checking.comparison import Branch, Pair, PointComparison, compare_at, radius
from symgrad.errors import SymgradError
from symgrad.evaluation.floats import Floats
from symgrad.ops.row import precision
from symgrad.program.builder import Builder
from symgrad.program.program import Program, interpret, size
from symgrad.rounding.accuracy import INSTABILITY, condition
from symgrad.rounding.kernel_bounds import FORMATS, shortcut
from symgrad.rounding.running_bounds import error_bounds

# -------------------------------------------------------------------------------------------------------- bare numbers
# Numbers without the code that made them: what they can tell, and what they cannot.
#
# Of ``value - truth = rounding + error of the formula`` only the left side is known.  What rounding may have done is
# bounded by what a stable computation in that dtype does: its error is at most `INSTABILITY` times the unit roundoff
# times the condition of the derivative (what the derivative itself moves by when its inputs move by one unit), or the
# proved running bound of the exact derivative's own steps, whichever is larger; and half a unit of the last digit, for
# numbers that were typed; and what torch's own softplus leaves out above its threshold.  A larger difference is an
# error; a smaller one is agreement to just that, and no more.

_ENTRIES = 64  # whose condition is computed, the most suspicious first
_WORK = 200_000  # entries of all steps for which running bounds are computed
COARSEST = 0.125  # of a value: agreement to less than this is none
_SHOWN = 2.0**-7  # of a value: a difference below this tells nothing against numbers
_UNITS = 3  # of rounding, by which numbers may be off beside what the derivative's own steps lose
_EXACT = 3  # decimals of fewer digits were not rounded


@dataclass(frozen=True, eq=False)
class Measured:
    """Numbers beside the truth: the largest relative difference that rounding may hide; and, where some entry is
    further off than that, this entry, its difference and what rounding accounts for, and all such entries.  ``doubt``
    is the largest relative difference that computing the derivative by its own steps does not account for, or 0.

    ``faint`` entries of an array, fewer than one in eight, are so near zero that rounding may hide more than an eighth
    of each; the resolution is that of the others.
    """

    resolution: float
    faint: int
    entry: int | None
    off: float
    allowed: float
    dtype: str
    decided: bool = True
    wrong: np.ndarray | None = None
    doubt: float = 0.0


def is_number(program: Program, i: int) -> bool:
    """Whether a step is a value that does not depend on any input.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x, two = b.input("x", ()), b.number(2)
    >>> program = b.build({"y": b.mul(x, two)})
    >>> is_number(program, two), is_number(program, program.output)
    (True, False)
    """
    return all(program.steps[k].op != "input" for k in program.needed([i]))


def measure(
    branch: Branch,
    seen: PointComparison,
    pair: Pair,
    numbers: np.ndarray,
    tensors: Mapping[str, torch.Tensor],
    limits: Collection[int] = (),
) -> Measured:
    """Put ``numbers`` beside the exact derivative at one point; the dtype is the coarser of theirs and the inputs'.

    ``limits`` are entries where the derivative's own steps are 0/0 and its limit is known: what bounds the rounding of
    these steps says nothing there.
    """
    view = seen.views[pair.name]
    hand = branch.hand_run.program
    own = getattr(torch, hand.steps[hand.outputs[pair.name]].dtype)
    kinds = [own, *(t.dtype for t in tensors.values())]
    kinds = [k for k in kinds if k.is_floating_point] or [torch.float64]
    kind = max(kinds, key=lambda k: torch.finfo(k).eps)
    unit = FORMATS[kind].unit
    half = 0.0 if own in (torch.float16, torch.bfloat16) else typed_unit(numbers) / 2  # nobody types these
    with precision(view.bits):
        scale = np.array([_upper(abs(x)) for x in view.exact])
        far = np.array([_lower(abs(h - x)) for h, x in zip(view.hand, view.exact, strict=True)])
    most = min(INSTABILITY, 2.0 ** (FORMATS[kind].digits / 2 + 1))  # as `is_unstable` has it
    told = min(most * unit + 2 * _shortcuts(branch, tensors), COARSEST)
    allowed = told * scale + half + float(torch.finfo(kind).tiny)
    if limits:
        allowed[list(limits)] += told * scale.max()
    dtype = str(kind).removeprefix("torch.")
    beyond = np.nonzero(~(far <= allowed))[0]
    if beyond.size:
        running = half + _running(branch.program, tensors, pair.exact, kind)
        running[list(limits)] = 0.0
        allowed = np.maximum(allowed, running)
        beyond = np.nonzero(~(far <= allowed))[0]
    order = sorted(beyond.tolist(), key=lambda k: -far[k] / max(allowed[k], 1e-300))
    checked = order[:_ENTRIES]
    regular = [k for k in checked if k not in limits]
    if regular:
        reachable = condition(branch.program, tensors, pair.exact, entries=regular)
        for k, c in zip(regular, reachable.tolist(), strict=True):
            allowed[k] = max(allowed[k], half + told * c)
    wrong = [k for k in checked if not far[k] <= allowed[k]]
    resolution, faint = _resolution(allowed - float(torch.finfo(kind).tiny), scale)
    if wrong:
        worst = max(wrong, key=lambda k: far[k] / max(allowed[k], 1e-300))
        off = np.zeros(far.size, bool)
        off[order] = ~(far[order] <= allowed[order])
        off = off.reshape(pair.shape)
        return Measured(resolution, faint, worst, float(far[worst]), float(allowed[worst]), dtype, wrong=off)
    doubt = _doubt(branch.program, tensors, pair.exact, kind, far, scale) if not limits else 0.0
    return Measured(resolution, faint, None, 0.0, 0.0, dtype, decided=len(order) <= _ENTRIES, doubt=doubt)


def _doubt(
    program: Program, tensors: Mapping[str, torch.Tensor], step: int, kind: torch.dtype, far: np.ndarray, scale: Any
) -> float:
    """The largest relative difference, of those that show, that neither the running bound of the derivative's own
    steps nor a few units of its condition account for."""
    shown = np.nonzero(far > _SHOWN * scale)[0]
    shown = shown[np.argsort(-far[shown] / np.maximum(scale[shown], 1e-300))][:_ENTRIES]
    if not shown.size:
        return 0.0
    running = _running(program, tensors, step, kind)[shown]
    reachable = condition(program, tensors, step, entries=shown.tolist()).numpy()
    units = _UNITS * FORMATS[kind].unit * np.maximum(scale[shown], reachable)
    odd = shown[(running > 0) & ~(far[shown] <= 2 * running + units)]
    return float(np.max(far[odd] / np.maximum(scale[odd], 1e-300), initial=0.0))


def _shortcuts(branch: Branch, tensors: Mapping[str, torch.Tensor]) -> float:
    """How far torch's own softplus is from its meaning at this point, by its documented threshold."""
    program = branch.program
    steps = [program.steps[i].args[0] for i in program.needed([branch.model]) if program.steps[i].op == "softplus"]
    if not steps:
        return 0.0
    with torch.no_grad():
        values = interpret(program, Floats(), tensors, steps)
    wide = [values[i] for i in steps if values[i].dtype is torch.float64 and values[i].numel()]
    return max((float(shortcut(x).max()) for x in wide), default=0.0)


def _resolution(allowed: np.ndarray, size: np.ndarray) -> tuple[float, int]:
    """The largest relative difference that is allowed, and of how many entries more is, where they are few in many."""
    with np.errstate(all="ignore"):
        relative = np.where(size > 0, allowed / np.where(size > 0, size, 1.0), 0.0)
    faint = relative > COARSEST
    few = int(faint.sum()) * 8 <= faint.size
    told = relative[~faint] if few else relative
    return float(np.max(told, initial=0.0)), int(faint.sum()) if few else 0


def _running(program: Program, tensors: Mapping[str, torch.Tensor], step: int, kind: torch.dtype) -> np.ndarray:
    """The proved error bound of the exact derivative's own steps, run in floats."""
    work = program.entries()
    shape = program.shape(step)
    if work > _WORK:
        return np.zeros(size(shape))
    coarse = {n: t.to(kind) if t.is_floating_point() else t for n, t in tensors.items()}
    with torch.no_grad():
        try:
            found = error_bounds(program, coarse, [step])[step].error
        except RuntimeError:  # a kernel that refuses, such as the inverse of what is singular
            return np.zeros(size(shape))
        return np.nan_to_num(found.numpy().reshape(-1), nan=0.0)


def typed_unit(numbers: np.ndarray) -> float:
    """One unit of the last digit of numbers that were typed or copied from a print; 0 for computed ones.

    >>> typed_unit(np.array([0.1234, -0.02, 1.5])), typed_unit(np.array(0.5)), typed_unit(np.array([1 / 3]))
    (0.0001, 0.0, 0.0)
    """
    if numbers.dtype.kind != "f" or not numbers.size or not np.isfinite(numbers).all():
        return 0.0
    most, digits = -400, 0
    full = 7 if numbers.dtype.itemsize <= 4 else 15
    for x in numbers.reshape(-1)[:4096]:
        text = np.format_float_scientific(x, unique=True, trim="-")
        mantissa, _, exponent = text.lstrip("-").partition("e")
        fraction = mantissa.partition(".")[2]
        if len(fraction) + 1 >= full:
            return 0.0
        digits = max(digits, len(fraction) + 1)
        most = max(most, len(fraction) - int(exponent)) if x else most
    return 10.0**-most if digits >= _EXACT else 0.0


def _upper(x: Any) -> float:
    return float(x.abs_upper()) * (1 + 2.0**-50) if x.is_finite() else np.inf


def _lower(x: Any) -> float:
    if not x.is_finite():
        return np.inf
    low = float(x.mid()) - float(radius(x)) * (1 + 2.0**-50)
    return max(0.0, low * (1 - 2.0**-50))


# ---------------------------------------------------------------------------------------------------------- transposes
# A gradient in another layout: whether a wrong one is exactly the transpose of the right one.


def is_transpose(
    branch: Branch,
    pair: Pair,
    points: Sequence[Mapping[str, Any]],
    free: Sequence[str],
    numbers: np.ndarray | None = None,
) -> bool:
    """Whether the hand formula of a refuted pair, with its axes in reverse order, is the derivative at all ``points``.

    ``numbers`` are the values themselves, where nothing else is known of the hand side: they are compared within
    rounding, at the first point.
    """
    shape = tuple(n for n in pair.shape if n != 1)
    mine = tuple(n for n in pair.hand_shape if n != 1)
    if len(shape) < 2 or mine != shape[::-1]:
        return False
    b = Builder.on(branch.program)
    outputs = branch.program.outputs
    hand = outputs.get(f"hand.{pair.name}")
    if hand is None:  # values are compared, and go by the hand side's own name
        (hand,) = (i for name, i in outputs.items() if name.startswith("hand."))
    turned = b.reshape(b.permute(b.reshape(hand, mine), range(len(mine))[::-1]), pair.shape)
    other = Pair(pair.name, turned, pair.exact, pair.shape, pair.hand_shape)
    changed = replace(branch, program=b.build(branch.program.outputs), pairs=(other,))
    try:
        seen = [compare_at(changed, point, free) for point in points]
    except SymgradError:
        return False
    if numbers is None:
        return bool(seen) and all(s.views[pair.name].state in ("agrees", "typed") for s in seen)
    if any(not x.is_finite() for x in seen[0].views[pair.name].exact):
        return False
    tensors = {n: torch.as_tensor(np.asarray(points[0][n])) for n in changed.program.inputs}
    return measure(changed, seen[0], other, numbers.reshape(mine).T, tensors).entry is None
