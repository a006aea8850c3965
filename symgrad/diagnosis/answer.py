"""The whole answer to a refuted question: which lines are wrong, why, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from symgrad.checking.judge import Findings, Problem
from symgrad.diagnosis.blame import Cure, change_of, cures
from symgrad.diagnosis.hand_parts import Leaf, Proposal, leaves
from symgrad.diagnosis.places import Place
from symgrad.diagnosis.repair import Repair, judged, repair, repairs_of, rewritten
from symgrad.diagnosis.source_code import code_of
from symgrad.diagnosis.steps import Diagnosis, diagnose
from symgrad.diagnosis.trials import trials_of
from symgrad.errors import SymgradError
from symgrad.program.program import Source
from symgrad.progress import doing
from symgrad.report.report import StepFinding

__all__ = ["Answer", "answer"]

_JUDGED = 6  # cures that are judged before giving up


@dataclass(frozen=True, eq=False)
class Answer:
    """Each line's finding, the names of the wrong ones in their order, their repairs, and the code with them made."""

    steps: tuple[StepFinding, ...]
    wrong_steps: tuple[str, ...]
    repairs: tuple[Repair, ...]
    repaired_source: str | None


def answer(problem: Problem, findings: Findings, words: Mapping[str, str] | None = None) -> Answer:
    """Find the wrong lines of a refuted derivation, and repairs of them.

    Lines that miss what they claim are looked at first; where no repair of them is judged right, every place of the
    code is, and those that a repair is found for are to blame.

    Guarantee: that of `repair`.  Raises what `diagnose` raises.
    """
    diagnosis = diagnose(problem, findings, words)
    repairs, source = repair(problem, findings, diagnosis)
    mine = Answer(diagnosis.steps, diagnosis.wrong_steps, repairs, source)
    if source is not None and (len(repairs) < 2 or _are_alike(repairs)):
        return mine
    return _blamed(problem, findings, diagnosis, alone=source is not None) or mine


def _are_alike(repairs: Sequence[Repair]) -> bool:
    """Whether one slip was made on several lines."""
    return len({change_of(r.before, r.after) for r in repairs}) == 1


def _blamed(problem: Problem, findings: Findings, diagnosis: Diagnosis, *, alone: bool) -> Answer | None:
    """The answer of the first cure that is judged right; ``alone`` asks for one small edit of one line."""
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
        for cure in cures(trials, diagnosis.derivation, verdicts, alone=alone)[:_JUDGED]:
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
                return Answer(*_accused(diagnosis, cure), repairs, made[1])
    return None


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
