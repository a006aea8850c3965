"""Sequences that repeat, and grow with a size by more of the same: found at three sizes, said for all.

An element is a token and some integers.  A stretch in which the tokens come back every ``p`` elements, while each
integer moves by a steady amount, is so many turns of one body (in which nothing is as long as the turns are many).
Where the same stretches are met at three sizes in a row, with as many turns more each time (a loop over blocks has a
block's) and integers that are linear in the size, the sequence is known at every size; that it is the one that is met
there is for others to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Element = tuple[tuple[Any, ...], tuple[int, ...]]

_LONGEST = 600  # elements of a body
_ENDS = 8  # turns at both ends together that may be of another kind


@dataclass(frozen=True, slots=True)
class Stretch:
    """``turns`` times the ``body``; in each turn the integers move by ``steps``."""

    body: tuple[Element, ...]
    steps: tuple[tuple[int, ...], ...]
    turns: int

    def __iter__(self) -> Iterator[Element]:
        for t in range(self.turns):
            for (token, numbers), step in zip(self.body, self.steps, strict=True):
                yield token, tuple(a + t * d for a, d in zip(numbers, step, strict=True))


@dataclass(frozen=True, slots=True)
class Family:
    """A sequence for each size: ``first`` at size ``start``, and what each stretch gains from one size to the next."""

    start: int
    first: tuple[Stretch, ...]
    second: tuple[Stretch, ...]

    @property
    def loops(self) -> int:
        """How many stretches have more turns at a larger size."""
        return sum(a.turns != b.turns for a, b in zip(self.first, self.second, strict=True))

    def at(self, n: int) -> list[Element]:
        """The sequence at a size."""
        return [e for a, b in zip(self.first, self.second, strict=True) for e in _beyond(a, b, n - self.start)]


def family_of(start: int, sequences: Sequence[Sequence[Element]]) -> Family | None:
    """The family of sequences met at the sizes ``start``, ``start + 1`` and ``start + 2``; None where there is none.

    >>> met = [[(("first",), ()), *((("turn",), (t, 3 * t)) for t in range(n)), (("last",), (n,))] for n in (8, 9, 10)]
    >>> family_of(8, met).at(20)[-2:]
    [(('turn',), (19, 57)), (('last',), (20,))]
    """
    parts = [_stretches(s, start + k) for k, s in enumerate(sequences)]
    if len({len(p) for p in parts}) != 1:
        return None
    found = Family(start, tuple(parts[0]), tuple(parts[1]))
    alike = all(_alike(a, b) for a, b in zip(parts[0], parts[1], strict=True))
    return found if alike and all(found.at(start + k) == list(s) for k, s in enumerate(sequences)) else None


def _alike(a: Stretch, b: Stretch) -> bool:
    shape = [[(token, len(numbers)) for token, numbers in s.body] for s in (a, b)]
    return shape[0] == shape[1] and a.steps == b.steps and b.turns >= a.turns


def _beyond(a: Stretch, b: Stretch, k: int) -> Stretch:
    """Where a stretch that is ``a``, and then ``b``, is after ``k`` sizes."""
    body = tuple(
        (token, tuple(x + k * (y - x) for x, y in zip(before, after, strict=True)))
        for (token, before), (_, after) in zip(a.body, b.body, strict=True)
    )
    return Stretch(body, a.steps, max(0, a.turns + k * (b.turns - a.turns)))


def _stretches(sequence: Sequence[Element], n: int) -> list[Stretch]:
    """The sequence in stretches, those that grow with the size ``n`` found from the left, each by its shortest body."""
    out: list[Stretch] = []
    least = max(4, n - _ENDS)
    alike = _run_lengths(sequence)
    k = 0
    while k < len(sequence):
        for p in range(1, min(_LONGEST, (len(sequence) - k) // least) + 1):
            if p > 1 and alike[k + p - 1] >= least:
                p, turns = 1, 1
                break
            turns = _turns(sequence, k, p)
            if turns >= least:
                break
        else:
            p, turns = 1, 1
        body = tuple(sequence[k : k + p])
        steps = tuple(
            _moved(sequence[k + j], sequence[k + p + j]) if turns > 1 else (0,) * len(body[j][1]) for j in range(p)
        )
        out.append(Stretch(body, steps, turns))
        k += p * turns
    return out


def _turns(sequence: Sequence[Element], k: int, p: int) -> int:
    """How often the ``p`` elements from place ``k`` on come again, steadily moved."""
    if k + 2 * p > len(sequence) or any(sequence[k + j][0] != sequence[k + p + j][0] for j in range(p)):
        return 1
    steps = [_moved(sequence[k + j], sequence[k + p + j]) for j in range(p)]
    end = k + 2 * p
    while end < len(sequence):
        here, before = sequence[end], sequence[end - p]
        if here[0] != before[0] or _moved(before, here) != steps[(end - k) % p]:
            break
        end += 1
    return (end - k) // p


def _run_lengths(sequence: Sequence[Element]) -> list[int]:
    """How many elements up to each one have its token."""
    out: list[int] = []
    for k, (token, _) in enumerate(sequence):
        out.append(out[-1] + 1 if k and sequence[k - 1][0] == token else 1)
    return out


def _moved(a: Element, b: Element) -> tuple[int, ...]:
    return tuple(y - x for x, y in zip(a[1], b[1], strict=True))
