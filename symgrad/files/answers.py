"""The answer about one question in a file, as plain data: what every format is made from.

`answer_of` asks, and never raises: what fails is an answer too.
"""

from __future__ import annotations

import math
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.checking.results import Claim, Repair, StepFinding
from symgrad.errors import SymgradError, UserCodeFailed
from symgrad.report.composition import headline
from symgrad.report.html import render_html
from symgrad.report.plain_data import as_plain
from symgrad.report.report import Report
from symgrad.report.text import render_text
from symgrad.report.wrong_lines import reason_of

RIGHT, WRONG, UNDECIDED, COULD_NOT_RUN = 0, 1, 2, 3
EXIT_CODES = {"proved": RIGHT, "agrees": RIGHT, "refuted": WRONG, "undecided": UNDECIDED, "failed": COULD_NOT_RUN}
_GRAVEST = (WRONG, COULD_NOT_RUN, UNDECIDED, RIGHT)  # of several: a wrong gradient is never hidden behind an error
_REPAIRED = "symgrad check --repair writes"
_MOST_NUMBERS = 1_000  # of an array that is told entry by entry
WORDS = {
    "proved": "right, proved",
    "agrees": "right",
    "refuted": "wrong",
    "undecided": "undecided",
    "failed": "could not run",
}


@dataclass(frozen=True)
class Wanted:
    """What is made of a report, beside its data: it is made where the user's code is at hand."""

    full: bool = False
    colour: bool = False
    table: bool = False
    html: bool = False
    certificate: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a question has no answer; ``trace`` leads through the user's own lines, ``fault`` says that it is ours."""

    kind: str
    what: str
    where: str | None = None
    instead: str | None = None
    trace: str = field(default="", compare=False)
    fault: bool = False

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.where, self.instead) if part)


@dataclass(frozen=True)
class ClaimAnswer:
    """One derivative: its verdict, and where it is wrong a point at which it is, with the two values there."""

    name: str
    verdict: str
    point: Mapping[str, Any] | None = None
    entry: tuple[int, ...] | None = None
    yours: str | None = None
    exact: str | None = None


@dataclass(frozen=True)
class WrongLine:
    """A line that is wrong by itself; ``after`` is what to write for ``before``, where that was found.

    In a notebook ``cell`` is the code cell in which ``line`` is counted.
    """

    name: str
    line: int | None
    text: str
    why: str = ""
    before: str | None = None
    after: str | None = None
    proved: bool = False
    cell: int | None = None


@dataclass(frozen=True)
class Answer:
    """What was found about one question in a file.

    ``name`` is the hand formula or function that it is about, where the file holds several; ``line`` where it begins.
    ``verdict`` is a report's, or "failed"; ``headline`` the first sentence; ``text`` the report in words.
    """

    file: str
    name: str | None
    line: int | None
    verdict: str
    headline: str
    seconds: float
    claims: tuple[ClaimAnswer, ...] = ()
    wrong_lines: tuple[WrongLine, ...] = ()
    repaired_source: str | None = None
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    point: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    error: Failure | None = None
    text: str = ""
    table: str | None = None
    html: str | None = None
    certificate: Mapping[str, Any] | None = None
    repairs: tuple[Repair, ...] = ()

    @property
    def label(self) -> str:
        """The file, and what in it is meant."""
        if self.name is None:
            return f"{self.file}:{self.line}" if self.line is not None and self.error is not None else self.file
        return f"{self.file}::{self.name}"


@dataclass(frozen=True)
class Skipped:
    """A file that was not run, and why."""

    file: str
    why: str


@dataclass(frozen=True)
class Answers:
    """All answers of one call, in the order of the files, and the files that were not run."""

    answers: tuple[Answer, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: all right; 1: one is wrong; 3: one could not run, or there was none; 2: one is undecided."""
        codes = {EXIT_CODES[a.verdict] for a in self.answers}
        return next((code for code in _GRAVEST if code in codes), COULD_NOT_RUN)

    def counts(self) -> dict[str, int]:
        """How many answers there are of each kind, in words."""
        said = [WORDS[a.verdict].partition(",")[0] for a in self.answers]
        names = dict.fromkeys(word.partition(",")[0] for word in WORDS.values())
        return {name: said.count(name) for name in names}


# ------------------------------------------------------------------------------------------------ asking


def answer_of(
    ask: Callable[[], Report],
    file: str,
    name: str | None,
    line: int | None,
    wanted: Wanted,
    own_trace: Callable[[BaseException], str],
) -> Answer:
    """The answer to ``ask``, whatever comes of it."""
    begun = time.perf_counter()
    try:
        report = ask()
        answer = _told(report, file, name, line, wanted)
    except Exception as error:
        answer = failed(error, file, name, line, own_trace)
    return replace(answer, seconds=time.perf_counter() - begun)


def failed(
    error: BaseException,
    file: str,
    name: str | None = None,
    line: int | None = None,
    own_trace: Callable[[BaseException], str] | None = None,
) -> Answer:
    """The answer where there is none: a `SymgradError` says why, anything else is a fault of ours."""
    if isinstance(error, SymgradError):
        trace = "".join(own_trace(cause) for cause in _users(error)) if own_trace is not None else ""
        why = Failure(type(error).__name__, error.what, error.where, error.instead, trace)
    else:
        trace = "".join(traceback.format_exception(error))
        what = "this is a fault in symgrad, not in your file. Please report it."
        why = Failure(type(error).__name__, what, trace=trace, fault=True)
    return Answer(file, name, line, "failed", why.what, 0.0, error=why)


def _users(error: BaseException) -> Iterator[BaseException]:
    """What the user's own code raised."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, UserCodeFailed):
        found = found.__cause__
    if found is not None and found.__cause__ is not None:
        yield found.__cause__


def _told(report: Report, file: str, name: str | None, line: int | None, wanted: Wanted) -> Answer:
    text = render_text(report, wanted.full, colour=wanted.colour, repaired=_REPAIRED)
    called = file if name is None else f"{file}::{name}"
    return Answer(
        file,
        name,
        line,
        report.verdict,
        headline(report),
        0.0,
        tuple(map(_claim, report.claims.values())),
        tuple(_wrong_lines(report, line or 1)),
        report.repaired_source,
        report.assumptions,
        report.notes,
        _point(report.point),
        report.seed,
        report.environment,
        text=text,
        table=str(report.table()) if wanted.table else None,
        html=render_html(report, page=True, heading=called, repaired=_REPAIRED) if wanted.html else None,
        certificate=report.certificate() if wanted.certificate else None,
        repairs=report.repairs,
    )


def _claim(claim: Claim) -> ClaimAnswer:
    w = claim.witness
    if w is None:
        return ClaimAnswer(claim.name, claim.kind)
    return ClaimAnswer(claim.name, claim.kind, _point(w.point), w.entry, str(w.hand), str(w.exact))


def _point(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs' values; of an array of many numbers the shape alone, as ``{"shape": [784, 128]}``."""
    shapes = {n: list(np.shape(v)) for n, v in values.items()}  # a tensor's too, whose size is a method
    large = {n: {"shape": shape} for n, shape in shapes.items() if math.prod(shape) > _MOST_NUMBERS}
    return as_plain({**values, **large})


def _wrong_lines(report: Report, first: int) -> Iterator[WrongLine]:
    """The lines that are wrong by themselves, each once, with its repair; ``first`` is where the text begins."""
    steps: dict[tuple[str, int | None], StepFinding] = {
        (s.name, _line(s, first)): s for s in report.steps if s.verdict == "wrong"
    }
    repairs = {(r.step, r.line): r for r in report.repairs}
    for key in dict.fromkeys((*steps, *repairs)):
        step, repair = steps.get(key), repairs.get(key)
        text = step.source.text.strip() if step is not None and step.source is not None else ""
        if repair is None:
            yield WrongLine(*key, text)
        else:
            yield WrongLine(*key, text or repair.before, reason_of(repair), repair.before, repair.after, repair.proved)


def _line(step: StepFinding, first: int) -> int | None:
    if step.source is None:
        return None
    return (
        step.source.line if step.source.file is not None or step.source.line is None else step.source.line + first - 1
    )


# ------------------------------------------------------------------------------------------------ findings


@dataclass(frozen=True)
class Finding:
    """One thing to be told at one place: ``rule`` is its kind, ``level`` how grave it is."""

    rule: str
    level: str
    file: str
    line: int | None
    message: str


def findings_of(answers: Sequence[Answer]) -> Iterator[Finding]:
    """What is not right, place by place: each wrong line, or where none is known the answer as a whole."""
    for a in answers:
        match a.verdict:
            case "refuted" if a.wrong_lines:
                for w in sorted(a.wrong_lines, key=lambda w: w.line or 0):
                    instead = f"Write instead: {w.after}" if w.after is not None else ""
                    at = f" in line {w.line} of cell {w.cell}" if w.cell is not None else ""
                    said = (a.headline, f"{_called(a, w)}{at} is wrong by itself.", w.why, instead)
                    message = " ".join(filter(None, said))
                    yield Finding("wrong-gradient", "error", a.file, None if at else w.line, message)
            case "refuted":
                yield Finding("wrong-gradient", "error", a.file, a.line, a.headline)
            case "undecided":
                yield Finding("undecided-gradient", "warning", a.file, a.line, a.headline)
            case "failed":
                at = re.search(rf"{re.escape(a.file)}:(\d+)", (a.error and a.error.where) or "")
                yield Finding("could-not-run", "error", a.file, int(at[1]) if at else a.line, str(a.error))


def _called(answer: Answer, wrong: WrongLine) -> str:
    """What a wrong line is about: its variable, what a function returns, or a formula without a name."""
    if wrong.name == "return":
        return "What is returned"
    assigned = re.match(rf"{re.escape(wrong.name)}\b[^=]*=(?!=)", wrong.text)
    formula = wrong.name in {c.name for c in answer.claims} and not assigned
    return f"The {'formula for' if formula else 'line of'} {wrong.name}"
