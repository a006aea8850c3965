"""Blame by repair: a line is to blame if an edit of it makes everything that is returned right.

Every place of the code is judged alike, whatever it is called.  Where freeing a line says what it needs, an edit is
looked for by that value; elsewhere each edit is tried by running the code.  Points have inputs and data moved, so that
nothing fits by chance.  Names and what is known of a line's value only order what costs the same.
"""

from __future__ import annotations

import difflib
import heapq
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.derivation import Derivation
from symgrad.diagnosis.expression_text import Text
from symgrad.diagnosis.places import Place
from symgrad.diagnosis.remedies import Known, Remedy, Suspect, by_running, by_value, suspects_of, value_stamp
from symgrad.diagnosis.structural_edits import structure
from symgrad.diagnosis.trials import Trials, outcome

_CHEAP = 1.3  # edits that are tried everywhere before dearer ones are tried anywhere
_MARGIN = 0.35  # cures that cost so much more than the best are not offered
_OFFERED = 6
_ALIKE = 1.6  # what an edit costs at most that is made on several lines
_DRAFTS = 150  # edits of a line of which others are sought that are alike
_TOGETHER = 4  # lines that have the same slip
_SHARES = (0.4, 0.6, 0.8)  # of the trials: cheap edits of one place, all edits of one, one slip on several lines
_FIRSTS = 40  # first edits of a line of which a second is looked for
_SECONDS = 60
_ENOUGH = 8  # of them that fit
_TWICE = 6  # lines in which two edits are looked for


@dataclass(frozen=True, eq=False)
class Cure:
    """Remedies that together put everything right."""

    remedies: tuple[Remedy, ...]

    @property
    def cost(self) -> float:
        return sum(r.cost for r in self.remedies)


def cures(trials: Trials, diagnosis: Derivation, known: Known, *, most: float | None = None) -> list[Cure]:
    """The cheapest cures that are found, the most plausible first; ``known`` is what the lines are known to be.

    ``most`` asks only for an edit of one place, one of the cheap ones, that costs no more.
    """
    search = _Search(trials)
    if search.good == search.names:
        return []
    suspects, statements = suspects_of(trials, diagnosis, known)
    search.take(_in_order([list(by_value(s)) for s in suspects if s.is_valued]))
    search.take(_in_order([*(by_running(s, 0, _CHEAP) for s in suspects), statements]), _SHARES[0])
    if most is not None:
        return [Cure((r,)) for r in search.best if r.cost <= most]
    together = None
    if not search.found and (together := _covering(search)) is None:
        search.take(_in_order([by_running(s, _CHEAP, 9) for s in suspects]), _SHARES[1])
        if not search.found:
            together = _covering(search) or _alike(search, suspects) or _twice(search, suspects)
    return [together] if together is not None else [Cure((r,)) for r in search.best]


def _in_order(streams: Sequence[Iterable[Remedy]]) -> Iterator[Remedy]:
    """The remedies of several places, each place's the cheapest first, as one such row."""
    ready = [sorted(x, key=lambda r: r.cost) if isinstance(x, list) else x for x in streams]
    return heapq.merge(*ready, key=lambda r: r.cost)


class _Search:
    """What was tried: remedies that put all right, and those that put some outputs right and spoil none."""

    def __init__(self, trials: Trials) -> None:
        self.trials = trials
        self.names = frozenset(trials.truths[0])
        self.good = outcome(trials, ())
        self.found: list[Remedy] = []
        self.parts: list[Remedy] = []
        self.tried: set[tuple[int, str]] = set()

    def take(self, remedies: Iterable[Remedy], share: float = 1.0) -> None:
        """Try remedies, which come the cheapest first, until those left cost more than what was found, or a share of
        all trials was made.
        """
        for r in remedies:
            best = min((f.cost for f in self.found), default=np.inf)
            if self.trials.runs >= share * self.trials.most or r.cost > best + _MARGIN:
                return
            if (mark := (id(r.place), r.edit.text)) not in self.tried:
                self.tried.add(mark)
                self.keep(r)

    @property
    def best(self) -> list[Remedy]:
        """What puts all right, the most plausible first."""
        return sorted(self.found, key=lambda r: (round(r.cost, 3), r.place.line))[:_OFFERED]

    def keep(self, r: Remedy) -> None:
        right = outcome(self.trials, [(r.place, r.edit.text)], self.good)
        if right == self.names:
            self.found.append(replace(r, outputs=right))
        elif right > self.good:
            self.parts.append(replace(r, outputs=right))

    def together(self, remedies: Sequence[Remedy], right: frozenset[str]) -> frozenset[str]:
        return outcome(self.trials, [(r.place, r.edit.text) for r in remedies], right)


def _covering(search: _Search) -> Cure | None:
    """Remedies of several places, each of which puts some outputs right, that together put all right."""
    chosen: list[Remedy] = []
    right = search.good
    for r in sorted(search.parts, key=lambda r: (-len(r.outputs), r.cost)):
        if r.outputs <= right or any(_overlap(r.place, c.place) for c in chosen):
            continue
        now = search.together([*chosen, r], right)
        if now > right:
            chosen.append(r)
            right = now
        if right == search.names:
            return Cure(tuple(sorted(chosen, key=lambda c: c.place.line)))
    return None


def _overlap(a: Place, b: Place) -> bool:
    return a.unit is b.unit and a.expression.start < b.expression.end and b.expression.start < a.expression.end


def _alike(search: _Search, suspects: Sequence[Suspect]) -> Cure | None:
    """One slip that was made on several lines: the same change of the text in each, numbers in names aside."""
    groups: dict[tuple[str, ...], dict[int, Remedy]] = {}
    for k, s in enumerate(suspects):
        for edit in (draft.make() for draft in s.drafts[:_DRAFTS] if draft.cost < _ALIKE):
            if value_stamp(s.bench, edit.text) is not None:
                remedy = Remedy(s.place, edit, s.scene, edit.cost + s.prior, frozenset())
                groups.setdefault(change_of(s.place.expression.text, edit.text), {}).setdefault(k, remedy)
    several = [list(g.values()) for g in groups.values() if len(g) > 1]
    for group in sorted(several, key=lambda g: min(r.cost for r in g)):
        for n in range(min(len(group), _TOGETHER), 1, -1):
            for chosen in itertools.islice(itertools.combinations(group, n), 12):
                if search.trials.runs >= _SHARES[2] * search.trials.most:
                    return None
                if search.together(chosen, search.good) == search.names:
                    return Cure(chosen)
    return None


def change_of(old: str, new: str) -> tuple[str, ...]:
    """What changed between two texts, in words and signs, with numbers in names left out.

    >>> change_of("1 - z1", "1 - z1**2"), change_of("(1 - z22) * d", "(1 - z22**2) * d")
    (('', '**2'), ('', '**2'))
    """
    a, b = (re.findall(r"\w+|[^\w\s]", t) for t in (old, new))
    changes = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    plain = lambda words: "".join(re.sub(r"(?<=[A-Za-z_])\d+", "#", w) for w in words)  # noqa: E731
    return tuple(t for op, i, j, k, m in changes if op != "equal" for t in (plain(a[i:j]), plain(b[k:m])))


def _twice(search: _Search, suspects: Sequence[Suspect]) -> Cure | None:
    """Two edits on one line: a second one of each first that changes the value; the last lines first."""
    likely = sorted(suspects, key=lambda s: (not s.is_valued, s.prior, -s.place.line))
    for s in likely[:_TWICE]:
        for remedy in _second_edits(s):
            if search.trials.is_spent:
                return None
            search.keep(remedy)
            if search.found:
                return Cure((search.found[0],))
    return None


def _second_edits(s: Suspect) -> Iterator[Remedy]:
    """Pairs of changes of an expression's structure, each of which gives a value that none before gave."""
    text = s.place.expression.text
    values = {value_stamp(s.bench, text), None}
    found: list[Remedy] = []
    firsts = _restructured(text, s, values)[:_FIRSTS]
    for cost, first in firsts:
        for more, second in _restructured(first, s, None if s.is_valued else values)[:_SECONDS]:
            if not s.is_valued or s.bench.fits(second):
                both = Edit(second, text, second, "two edits", cost + more)
                found.append(Remedy(s.place, both, s.scene, both.cost + s.prior, frozenset()))
        if s.is_valued and len(found) > _ENOUGH:
            break
    yield from sorted(found, key=lambda r: r.cost)


def _restructured(text: str, s: Suspect, values: set[Any] | None) -> list[tuple[float, str]]:
    """An expression with its structure changed once, the cheapest first; ``values`` are those that are not new."""
    t = Text(text)
    made = {}
    for cost, _, start, end, new in structure(t, s.bench):
        made.setdefault(t.fill(start, end, new), cost)
    found = []
    for new, cost in sorted(made.items(), key=lambda item: item[1]):
        if values is not None:
            stamp = value_stamp(s.bench, new)
            if stamp in values:
                continue
            values.add(stamp)
        found.append((cost, new))
    return found
