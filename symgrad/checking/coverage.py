"""What was reached of the code, and what that leaves of a verdict.

Of every choice it is said how it came out, and of choices together, where a proof is to speak of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from symgrad.checking.choices import Key, decisions, described, tell
from symgrad.checking.combinations import Fork, forks
from symgrad.checking.comparison import BITS
from symgrad.checking.data_flow import described as idle_described
from symgrad.checking.data_flow import idle_values
from symgrad.checking.exploration import Findings, all_looks, inside_looks
from symgrad.checking.impossibility import contradicts_its_path, is_comparable, is_impossible, is_nowhere
from symgrad.checking.kink_sides import with_kinks
from symgrad.checking.turns import courses
from symgrad.checking.turns import described as turns_described
from symgrad.checking.verdicts import COMBINATIONS, Agrees, Choice, Outcome, Proved, Undecided
from symgrad.checking.whole_numbers import narrow
from symgrad.problem.question import Problem
from symgrad.program.program import Guard

_EXACT = 64  # combinations of which the signs are held against each other by exact arithmetic
_TOLD = 3  # combinations that are told one by one


def cover(problem: Problem, found: Findings) -> None:
    """Say of every choice how it came out; where a branch was not reached, no claim that holds on the others is more
    than undecided, unless the caller accepts it.

    The signs of absolute values and roots need not have been seen on both sides for a claim that is proved: its rules
    hold on both.  An outcome that raises, or at which the function has no value, is outside of the domain.
    """
    free = problem.inputs.free
    followed = all(isinstance(v, Proved) for v in found.verdicts.values() if v.kind in ("proved", "agrees"))
    chosen = decisions(all_looks(found), free)
    if followed:
        chosen = {k: d for k, d in chosen.items() if d.guard.op != "sign"}
    else:
        chosen |= decisions(with_kinks(all_looks(found)), free)
    coverage = []
    for key, d in chosen.items():
        barred = {way: p for (choice, way), p in found.barred.items() if choice == key}
        left = [w for w in d.open if d.branches and w not in d.beyond and w not in barred]
        coverage.append(described(d, [w for w in left if is_impossible(d, w)], barred))
    closed, still = _closed(coverage), courses(inside_looks(found), problem.inputs.free)
    running = [turns_described(c) for c in still if not (c.is_loop and set(c.outcomes) == {0} and c.place in closed)]
    numbers = [few.described() for few in narrow(inside_looks(found), free)]
    idle = [idle_described(i) for i in idle_values(inside_looks(found))]
    found.coverage = (*found.coverage, *coverage, *running, *idle, *numbers)
    seen_all = len(set(counts(found.coverage))) == 1 and not any(c.endless for c in found.coverage)
    if seen_all and any(v.kind == "proved" for v in found.verdicts.values()):
        found.coverage = (*found.coverage, *_together(found, free))
    tell(found, free)
    settle_coverage(problem, found)


def _closed(coverage: Sequence[Choice]) -> set[tuple[str | None, int | None, str]]:
    """Where in the code all that is compared can come out in the one way alone that was seen."""
    can: dict[tuple[str | None, int | None, str], bool] = {}
    for c in coverage:
        states = sorted(o.state for o in c.outcomes)
        place = c.file, c.line, c.text
        can[place] = can.get(place, True) and c.branches and states == ["impossible", "reached"]
    return {place for place, closed in can.items() if closed}


def _together(found: Findings, free: Sequence[str]) -> list[Choice]:
    """The combinations of choices that no point had, if there are any."""
    left = list(_unmet(found, free))
    if not left:
        return []
    told = [Outcome(_path_in_words(fork), "not reached") for fork in left[:_TOLD]]
    told += [Outcome(f"{len(left) - _TOLD} more", "not reached")] if len(left) > _TOLD else []
    return [Choice(COMBINATIONS, COMBINATIONS, None, None, tuple(told), branches=False)]


def _unmet(found: Findings, free: Sequence[str]) -> Iterator[Fork]:
    """A fork to each combination that was not met, is not shown to be impossible, and lies in the domain as far as is
    known; of choices by a comparison, of which that could be shown."""
    clear = [(b, s) for b, s in inside_looks(found) if not s.ties]
    ways: dict[Key, list[Fork]] = {}
    for fork in filter(is_comparable, forks(clear, free)):
        ways.setdefault(fork.path, []).append(fork)
    exact = _EXACT
    for path, starts in ways.items():
        left = [f for f in starts if not is_nowhere(f, found.nowhere)]
        if (None, path) in found.barred or not left:
            continue
        exact -= len(left)
        if exact < 0 or not all(contradicts_its_path(f, exactly=True) for f in left):
            yield starts[0]


def _path_in_words(fork: Fork) -> str:
    """Where a combination parts from those that were met, and how."""
    parts = [(g, out) for g, out in (*fork.before, (fork.guard, fork.way))]
    return ", ".join(f"{_place(g)} {'true' if out else 'false'}" for g, out in parts)


def _place(guard: Guard) -> str:
    source = guard.source
    return str(guard.op) if source is None else f"line {source.line}" if source.line else source.text


def settle_coverage(problem: Problem, found: Findings) -> None:
    """Take the word from the claims of which not every branch was reached; where a loop may run more often, they are
    proved for the turns that were seen."""
    points = len(inside_looks(found))
    if any(c.endless for c in found.coverage):
        proved = {n: v for n, v in found.verdicts.items() if isinstance(v, Proved)}
        found.verdicts |= {n: Agrees(points, BITS, proved=v) for n, v in proved.items()}
    reached, total = counts(found.coverage)
    if reached == total:
        return
    why = f"{reached} of {total} branches of the code were reached"
    for name, verdict in found.verdicts.items():
        if not isinstance(verdict, (Proved, Agrees)) or (isinstance(verdict, Agrees) and verdict.told_to is not None):
            continue
        if problem.unreached == "accept":
            agrees = verdict if isinstance(verdict, Agrees) else Agrees(points, BITS)
            found.verdicts[name] = replace(agrees, why_not_proved=f"{why}; the others were accepted unseen")
        else:
            found.verdicts[name] = Undecided(f"{why}, and nothing is known of the others.", (), verdict)


def counts(coverage: Iterable[Choice]) -> tuple[int, int]:
    """How many branches were reached, of how many that there are."""
    states = [o.state for c in coverage if c.branches for o in c.outcomes]
    return states.count("reached"), states.count("reached") + states.count("not reached")
