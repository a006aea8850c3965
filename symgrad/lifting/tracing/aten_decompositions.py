"""Kernels that torch has no decomposition of, written in operations that are followed.

Each runs under the tracer's eyes in place of the kernel, as torch's own decompositions do, so that its derivative is
that of what it computes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

_aten = torch.ops.aten
_BILINEAR, _NEAREST = 0, 1
_ZEROS, _BORDER = 0, 1


def grid_sampler_3d(a: Tensor, grid: Tensor, mode: int, padding: int, align_corners: bool) -> Tensor:
    """A volume at the points of a grid in [-1, 1]^3: the nearest cell's value, or the mean of eight by distance."""
    if mode not in (_BILINEAR, _NEAREST):
        return NotImplemented
    sizes = a.shape[:1:-1]  # the grid's axes are x, y, z
    at = [_source(grid[..., k], n, padding, align_corners) for k, n in enumerate(sizes)]
    if mode == _NEAREST:
        return _cell(a, [x.round() for x in at])
    low = [x.floor() for x in at]
    total = None
    for corner in itertools.product((0, 1), repeat=3):
        weight = torch.ones_like(at[0])
        for x, first, side in zip(at, low, corner, strict=True):
            weight = weight * (x - first if side else first + 1 - x)
        part = _cell(a, [first + side for first, side in zip(low, corner, strict=True)]) * weight[:, None]
        total = part if total is None else total + part
    return total  # type: ignore[return-value]


def _source(x: Tensor, n: int, padding: int, align_corners: bool) -> Tensor:
    """Where a coordinate in [-1, 1] lies among ``n`` entries, as the padding has it."""
    x = x * ((n - 1) / 2 if align_corners else n / 2) + (n - 1) / 2
    if padding == _ZEROS:
        return x
    if padding == _BORDER:
        return torch.clamp(x, 0, n - 1)
    low, span = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
    if not span:
        return torch.zeros_like(x)
    off = (x - low).abs()
    rest = torch.fmod(off, span)
    is_even = (off / span).floor().to(torch.int64) % 2 == 0
    return torch.clamp(torch.where(is_even, rest + low, span + low - rest), 0, n - 1)


def _cell(a: Tensor, at: Sequence[Tensor]) -> Tensor:
    """The entries at whole coordinates x, y, z of every channel, and zero outside."""
    whole = [x.to(torch.int64) for x in at]
    inside = torch.ones_like(whole[0], dtype=torch.bool)
    for x, n in zip(whole, a.shape[:1:-1], strict=True):
        inside = inside & (x >= 0) & (x < n)
    x, y, z = (torch.where(inside, i, 0)[:, None] for i in whole)
    batch = torch.arange(a.shape[0]).reshape(-1, 1, 1, 1, 1)
    channel = torch.arange(a.shape[1]).reshape(1, -1, 1, 1, 1)
    return torch.where(inside[:, None], a[batch, channel, z, y, x], 0)


# ------------------------------------------------------------------------------------------------ ctc


def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0, zero: bool = False
) -> Any:
    """-log of the probability of a labelling, summed over alignments (Graves et al. 2006), for each row of a batch.

    States are the labels with a blank before, between and after them; only those that an alignment can be in are
    followed, so that no -inf is.
    """
    lasts, lengths = [int(n) for n in input_lengths], [int(n) for n in target_lengths]
    states = [[blank, *(c for label in word for c in (label, blank))] for word in _labels(targets, lengths)]
    empty = [0.0 if n == 0 and len(labels) == 1 else torch.inf for n, labels in zip(lasts, states, strict=True)]
    losses = list(log_probs.new_tensor(empty).unbind())
    entered = {(r, s): [] for r, labels in enumerate(states) for s in range(min(2, len(labels)))}
    scores = log_probs.new_empty(0)
    for k in range(max(lasts, default=0)):
        entered = {(r, s): before for (r, s), before in entered.items() if k < lasts[r]}
        order = sorted(entered, key=lambda at: len(entered[at]))
        here = log_probs[k, [r for r, _ in order], [states[r][s] for r, s in order]]
        scores = here + _totals(scores, [entered[at] for at in order]) if k else here
        place = {at: i for i, at in enumerate(order)}
        for r in (r for r, n in enumerate(lasts) if n == k + 1):
            ends = [place[r, s] for s in (len(states[r]) - 1, len(states[r]) - 2) if (r, s) in place]
            losses[r] = -_totals(scores, [ends])[0] if ends else losses[r]
        entered = {(r, s): before for r, labels in enumerate(states) for s, before in _moved(place, r, labels, blank)}
    return torch.stack(losses), log_probs.new_empty(0)


def _labels(targets: Tensor, lengths: list[int]) -> list[list[int]]:
    if targets.dim() > 1:
        return [row[:n].tolist() for row, n in zip(targets, lengths, strict=True)]
    ends = list(itertools.accumulate(lengths))
    return [targets[end - n : end].tolist() for end, n in zip(ends, lengths, strict=True)]


def _moved(place: dict[tuple[int, int], int], row: int, labels: list[int], blank: int) -> Iterator[tuple[int, Any]]:
    """The states that come next and what they are entered from: itself, the one before, and over a blank from another
    label."""
    for s, label in enumerate(labels):
        skips = label != blank and s > 1 and labels[s - 2] != label
        before = [place[row, i] for i in (s, s - 1, *([s - 2] if skips else [])) if (row, i) in place]
        if before:
            yield s, before


def _totals(scores: Tensor, groups: list[list[int]]) -> Tensor:
    """The logsumexp of each group of scores; groups are in the order of their lengths."""
    parts = [torch.tensor(list(same)) for _, same in itertools.groupby(groups, len)]
    found = [scores[at[:, 0]] if at.shape[1] == 1 else torch.logsumexp(scores[at], 1) for at in parts]
    return torch.cat(found)


DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {
    _aten.grid_sampler_3d.default: grid_sampler_3d,
    _aten._ctc_loss.default: ctc_loss,
    _aten._ctc_loss.Tensor: ctc_loss,
}
