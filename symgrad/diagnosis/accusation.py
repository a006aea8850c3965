"""The accusation of a refuted derivation: which lines are wrong, why, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from symgrad.checking.exploration import Findings
from symgrad.checking.results import Repair, StepFinding
from symgrad.diagnosis.blame import Cure, change_of, cures
from symgrad.diagnosis.hand_parts import Leaf, Proposal, leaves
from symgrad.diagnosis.places import Place
from symgrad.diagnosis.remedies import Remedy
from symgrad.diagnosis.repair import judged, repair, repairs_of, rewritten
from symgrad.diagnosis.source_code import code_of
from symgrad.diagnosis.steps import Diagnosis, diagnose
from symgrad.diagnosis.trials import trials_of
from symgrad.errors import SymgradError
from symgrad.problem.problem import Problem
from symgrad.program.program import Source
from symgrad.progress import doing

_JUDGED = 6  # cures that are judged before giving up
_SMALL = 1.9  # what an edit costs at most that is plain
_LESS = 0.3  # how much less another must cost to be preferred
_AS_GOOD = 0.15  # how much more another may cost that is told beside it


@dataclass(frozen=True, eq=False)
class Accusation:
    """Each line's finding, the names of the wrong ones in their order, their repairs, and the code with them made."""

    steps: tuple[StepFinding, ...]
    wrong_steps: tuple[str, ...]
    repairs: tuple[Repair, ...]
    repaired_source: str | None


def accuse(problem: Problem, findings: Findings, words: Mapping[str, str] | None = None) -> Accusation:
    """Find the wrong lines of a refuted derivation, and repairs of them.

    Lines that miss what they claim are looked at first; where no repair of them is judged right, every place of the
    code is, and those that a repair is found for are to blame.

    Guarantee: that of `repair`.  Raises what `diagnose` raises.
    """
    diagnosis = diagnose(problem, findings, words)
    repairs, source = repair(problem, findings, diagnosis)
    mine = Accusation(diagnosis.steps, diagnosis.wrong_steps, repairs, source)
    if source is None:
        return _blamed(problem, findings, diagnosis) or mine
    if _are_plain(repairs):
        return mine
    most = sum(r.cost for r in repairs) - _LESS
    return _blamed(problem, findings, diagnosis, most=most) or mine


def _are_plain(repairs: Sequence[Repair]) -> bool:
    """Whether repairs are such that no simpler one is worth a search: a small edit, or one slip on several lines."""
    changes = {change_of(r.before, r.after) for r in repairs}
    brought = {(r.kind, frozenset(_words(r.after)) - frozenset(_words(r.before))) for r in repairs}
    alike = len(changes) == 1 or (len(brought) == 1 and any(names for _, names in brought))
    return alike and max(r.cost for r in repairs) <= _SMALL


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", text)


def _blamed(
    problem: Problem, findings: Findings, diagnosis: Diagnosis, *, most: float | None = None
) -> Accusation | None:
    """That of the first cure that is judged right; ``most`` asks for a small edit of one line, of that cost."""
    parts = leaves(problem.hand)
    for leaf in parts:
        code = code_of(leaf.formula)
        if code is None:
            continue
        doing("looking for a repair")
        trials = trials_of(problem, findings, leaf, code, diagnosis.derivation.point, alone=len(parts) == 1)
        if trials is None:
            continue
        verdicts = {(s.name, None if s.source is None else s.source.line): s.verdict or "" for s in diagnosis.steps}
        found = cures(trials, diagnosis.derivation, verdicts, most=most)[:_JUDGED]
        for cure in found:
            doing("looking for a repair")
            proposals = _proposals(cure, leaf)
            choice = [r.edit for r in cure.remedies]
            try:
                made = rewritten(problem, proposals, choice)
            except SymgradError:  # the edited code fails where it is run
                continue
            kind = "undecided" if made is None else judged(problem, made[0])
            if made is not None and kind in ("proved", "agrees"):
                repairs = tuple(repairs_of(proposals, choice, kind == "proved"))
                if (other := _as_good(cure, found)) is not None:
                    line, text = _statement_line(other.place), other.edit.text
                    told = f"{repairs[0].why} Line {line} may be meant instead: with {text} there, all is right too."
                    repairs = (replace(repairs[0], why=told),)
                return Accusation(*_accused(diagnosis, cure), repairs, made[1])
    return None


def _as_good(cure: Cure, found: Sequence[Cure]) -> Remedy | None:
    """The remedy of another line that costs about as much and makes the same change."""
    mine = cure.remedies[0]
    for other in found:
        remedy = other.remedies[0]
        elsewhere = len(other.remedies) == 1 and _statement_line(remedy.place) != _statement_line(mine.place)
        if elsewhere and remedy.cost <= mine.cost + _AS_GOOD and _change(remedy) == _change(mine):
            return remedy
    return None


def _change(remedy: Remedy) -> tuple[str, ...]:
    return change_of(remedy.place.expression.text, remedy.edit.text)


def _proposals(cure: Cure, leaf: Leaf) -> list[Proposal]:
    return [
        Proposal(
            r.place.name, _statement_line(r.place), (leaf, r.scene.site), r.place.expression.text, (r.edit,), r.scene
        )
        for r in cure.remedies
        if r.scene is not None
    ]


def _accused(diagnosis: Diagnosis, cure: Cure) -> tuple[tuple[StepFinding, ...], tuple[str, ...]]:
    """The lines' findings, with those blamed that the cure changes."""
    blamed = {(r.place.name, _statement_line(r.place)): r.place for r in cure.remedies}
    first = min(line for _, line in blamed)
    steps = []
    for s in diagnosis.steps:
        line = None if s.source is None else s.source.line
        if (s.name, line) in blamed and s.verdict != "unused":
            s = replace(s, verdict="wrong", claims=s.claims if s.verdict == "wrong" else None)
        elif s.verdict == "wrong":
            s = replace(s, verdict="fed wrong values" if line is None or line > first else "unknown")
        steps.append(s)
    told = {(s.name, None if s.source is None else s.source.line) for s in steps if s.verdict == "wrong"}
    names = []
    for key, place in blamed.items():
        if key not in told and place.role != "returned" and place.expression.statement is not None:
            steps.append(_unnamed(place, *key))
        names.append(place.name if place.role != "returned" else "return")
    in_order = sorted(steps, key=lambda s: 0 if s.source is None or s.source.line is None else s.source.line)
    return tuple(in_order if len(steps) > len(diagnosis.steps) else steps), tuple(dict.fromkeys(names))


def _unnamed(place: Place, name: str, line: int) -> StepFinding:
    """A line that holds no number, such as a condition."""
    text = place.unit.text.splitlines()[line - place.unit.first].strip()
    return StepFinding(name, 0, Source(text, place.unit.file, line), None, "wrong")


def _statement_line(place: Place) -> int:
    s = place.expression.statement
    return place.line if s is None else place.unit.first + s.lineno - 1
