"""What the lowered code calls: contractions in a good order, views of parts of axes, and indices that are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import torch

__all__ = ["clamped", "contract", "inside", "row", "run"]

_EXHAUSTIVE = 8  # operands, up to which every order is tried


def contract(rule: str, *operands: torch.Tensor) -> torch.Tensor:
    """`torch.einsum` of distinct indices, two operands at a time, in the order that multiplies least.

    >>> A, B, x = torch.ones(2, 3), torch.ones(3, 4), torch.ones(4)
    >>> contract("ij,jk,k->i", A, B, x)
    tensor([12., 12.])
    """
    left, out = rule.split("->")
    words = left.split(",")
    parts = list(operands)
    for i, j, word in _order(rule, tuple(tuple(p.shape) for p in parts)):
        b, v = parts.pop(j), words.pop(j)
        a, u = parts.pop(i), words.pop(i)
        parts.append(_pair(u, a, v, b, word))
        words.append(word)
    return parts[0] if words[0] == out else torch.einsum(f"{words[0]}->{out}", parts[0])


def _pair(u: str, a: torch.Tensor, v: str, b: torch.Tensor, word: str) -> torch.Tensor:
    """One contraction of two operands.

    `torch.einsum` makes matrix products of everything, and a product of entries that is summed along rows, or not at
    all, is slow as that.
    """
    gone = set(u + v) - set(word)
    entries = not gone or (set(u) == set(v) and word and not (u[-1] in gone and v[-1] in gone))
    if not entries:
        return torch.einsum(f"{u},{v}->{word}", a, b)
    if len(v) > len(u):
        (u, a), (v, b) = (v, b), (u, a)
    axes = [*u, *(c for c in v if c not in u)]
    product = _spread(u, a, axes) * _spread(v, b, axes)
    if gone:
        product = product.sum([k for k, c in enumerate(axes) if c in gone])
        axes = [c for c in axes if c not in gone]
    return product if "".join(axes) == word else product.permute([axes.index(c) for c in word])


def _spread(word: str, a: torch.Tensor, axes: Sequence[str]) -> torch.Tensor:
    """A tensor with these axes, of length one where it has none."""
    a = a.permute([word.index(c) for c in axes if c in word])
    return a[tuple(slice(None) if c in word else None for c in axes)]


@lru_cache(maxsize=4096)
def _order(rule: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, int, str], ...]:
    """Which two operands to contract, one step after another, and the indices of what that gives."""
    left, out = rule.split("->")
    words = left.split(",")
    length = {c: n for word, shape in zip(words, shapes, strict=True) for c, n in zip(word, shape, strict=True)}

    def joined(parts: tuple[str, ...], i: int, j: int) -> tuple[tuple[str, ...], int]:
        rest = tuple(w for k, w in enumerate(parts) if k not in (i, j))
        needed = set(out).union(*rest)
        both = dict.fromkeys(parts[i] + parts[j])
        cost = 1
        for c in both:
            cost *= length[c]
        word = "".join(c for c in both if c in needed)
        return (*rest, word if rest else out), cost

    @cache
    def best(parts: tuple[str, ...]) -> tuple[int, tuple[tuple[int, int, str], ...]]:
        if len(parts) == 1:
            return 0, ()
        pairs = [(i, j) for j in range(len(parts)) for i in range(j)]
        if len(parts) > _EXHAUSTIVE:
            pairs = [min(pairs, key=lambda p: joined(parts, *p)[1])]
        found = []
        for i, j in pairs:
            after, cost = joined(parts, i, j)
            more, steps = best(after)
            found.append((cost + more, ((i, j, after[-1]), *steps)))
        return min(found, key=lambda f: f[0])

    return best(tuple(words))[1]


def row(a: torch.Tensor, axis: int, place: int) -> torch.Tensor:
    """The entries at one place of an axis, which must be there."""
    return a.select(axis, _there(place, a.shape[axis]))


def run(a: torch.Tensor, axis: int, start: int, length: int) -> torch.Tensor:
    """The entries at ``length`` places of an axis, which must all be there."""
    if length > 0:
        _there(start, a.shape[axis])
        _there(start + length - 1, a.shape[axis])
    return a.narrow(axis, max(start, 0), length)


def clamped(places: torch.Tensor, length: int) -> torch.Tensor:
    """Places of an axis; those outside of it, whose entries will not be looked at, moved into it."""
    return places.clamp(0, length - 1)


def inside(places: torch.Tensor, length: int) -> torch.Tensor:
    """Places of an axis, which must all be there."""
    if places.device.type != "meta" and places.numel():
        _there(int(places.min()), length)
        _there(int(places.max()), length)
    return places


def _there(place: int, length: int) -> int:
    if not 0 <= place < length:
        raise IndexError(f"an entry at {place} is asked for, on an axis of length {length}")
    return place
