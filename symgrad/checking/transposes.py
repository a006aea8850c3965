"""A gradient in another layout: whether a wrong one is exactly the transpose of the right one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from symgrad.checking.bare_numbers import measure
from symgrad.checking.comparison import Branch, Pair, look
from symgrad.errors import SymgradError
from symgrad.program.builder import Builder

__all__ = ["is_transpose"]


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
        seen = [look(changed, point, free) for point in points]
    except SymgradError:
        return False
    if numbers is None:
        return bool(seen) and all(s.views[pair.name].state in ("agrees", "typed") for s in seen)
    if any(not x.is_finite() for x in seen[0].views[pair.name].exact):
        return False
    tensors = {n: torch.as_tensor(np.asarray(points[0][n])) for n in changed.program.inputs}
    return measure(changed, seen[0], other, numbers.reshape(mine).T, tensors).entry is None
