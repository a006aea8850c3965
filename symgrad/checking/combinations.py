"""Combinations of choices: the paths of the code, and where they part.

Each path is its comparisons, in the order in which they were made, with how they came out; all paths together are a
tree.  Where only one way out of a node of it was seen, the other is a combination that was not met.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symgrad.checking.choices import Key, Look, choosing, in_order, key_of
from symgrad.checking.comparison import Branch, PointComparison
from symgrad.problem.point_search import is_ordered
from symgrad.program.program import Decided, Guard

_STARTS = 3  # points from which a combination of choices is sought


@dataclass(frozen=True, eq=False)
class Fork:
    """A comparison that came out one way only after the choices ``before`` it: where, and the look from which to cross
    it.  Those of one ``path`` are ways to the same combination."""

    path: Key
    branch: Branch
    guard: Guard
    entry: int
    seen: PointComparison
    before: tuple[tuple[Guard, bool], ...] = ()
    free: tuple[str, ...] = ()  # the inputs that move; all others are data
    start: int = 0

    @property
    def key(self) -> Key:
        return *self.path, self.start

    @property
    def way(self) -> bool:
        """How it did not come out."""
        return self.path[-1][1]


def forks(looks: Iterable[Look], free: Sequence[str]) -> Iterator[Fork]:
    """The combinations of comparisons that were not seen: each choice, turned round after the same choices before it.

    Comparisons of tensors of one shape are combined entry by entry; those of single numbers, and what is decided by
    something made of looks, are the code's own path, with the number of times that its loops ran; what is beside the
    question is not combined.  A combination has several starts, of each branch one at least, for the way from one may
    lead across other edges first; they are numbered, the first ones come first.

    A script's record ends with the last value that is asked for: what ends where another path goes on went the other
    way there.
    """
    paths: dict[Key, list[Fork]] = {}
    ended: set[Key] = set()
    for branch, seen in looks:
        groups: dict[tuple[int, ...], list[Guard]] = {}
        own = set(map(id, in_order(branch, seen)))
        for guard in (g for g in choosing(branch, seen, free) if id(g) in own and not g.beside):
            decided = isinstance(guard.params, Decided) and guard.outcome.dtype == bool
            if decided or (is_ordered(guard) and guard.op != "sign" and guard not in seen.ties):
                groups.setdefault(guard.outcome.shape, []).append(guard)
        for shape, group in groups.items():
            for entry, way in _entries(group):
                path: Key = (shape,)
                for k, (guard, outcome) in enumerate(zip(group, way, strict=True)):
                    path = (*path, (key_of(branch.program, guard), outcome))
                    before = tuple(zip(group[:k], way[:k], strict=True))
                    starts = paths.setdefault(path, [])
                    if len(starts) < 2 * _STARTS or all(f.branch is not branch for f in starts):
                        starts.append(Fork(path, branch, guard, entry, seen, before, (*free,)))
                ended.add(path)
        ended |= set() if () in groups else {((),)}
    out: list[tuple[tuple[int, int], Fork]] = []
    for path, starts in paths.items():
        *before, (key, outcome) = path
        other = (*before, (key, not outcome))
        if (len(path) > 2 or before[0] == ()) and other not in paths and (*before,) not in ended:
            forked = [replace(f, path=other, start=k) for k, f in enumerate(starts)]
            again = any(earlier == key for earlier, _ in before[1:])
            out += [((_rank(f, again), k), f) for k, f in enumerate(forked)]
    return (fork for _, fork in sorted(out, key=lambda x: x[0]))


def _rank(fork: Fork, again: bool) -> int:
    """What is asked of a value twice, by the model and by the hand formula with another threshold, comes first, and
    what a loop asks ``again`` comes last."""
    constant = {i for i in fork.guard.args if fork.branch.program.steps[i].op == "constant"}
    mine = {*fork.guard.args} - constant
    return 2 if again else 0 if any(mine & {*g.args} for g, _ in fork.before) else 1


def _entries(group: Sequence[Guard]) -> list[tuple[int, tuple[bool, ...]]]:
    """The different ways in which the comparisons came out at an entry, each with the first such entry."""
    table = np.stack([g.outcome.reshape(-1) for g in group], axis=1).astype(bool)
    ways, first = np.unique(table, axis=0, return_index=True)
    return [(int(k), tuple(way.tolist())) for k, way in zip(first, ways, strict=True)]
