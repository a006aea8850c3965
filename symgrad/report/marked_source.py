"""The source of a derivation: wrong lines in place, what to write instead under each."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from symgrad.checking.results import Repair, Results, StepFinding

_AROUND = 3  # lines before the first line of the derivation, and behind the last


@dataclass(frozen=True)
class SourceLine:
    """A line of a file; ``kind`` is "removed" for one that is wrong, "added" for what to write instead of it."""

    number: str
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Listing:
    """Lines of a file in their order."""

    lines: tuple[SourceLine, ...]


def files_of(report: Results) -> list[str]:
    """The names of the files that the derivation stands in."""
    found = (Path(s.source.file) for s in report.steps if s.source is not None and s.source.file)
    return [*dict.fromkeys(path.name for path in found if path.is_file())]


def source_of(report: Results) -> Iterator[Listing]:
    """A listing for each source of the derivation's lines; none where it has changed since, or is not at hand."""
    by_file: dict[str, list[StepFinding]] = {}
    for step in report.steps:
        if step.source is not None and step.source.file and step.source.line:
            by_file.setdefault(step.source.file, []).append(step)
    for file, steps in by_file.items():
        lines = [line.rstrip("\n") for line in linecache.getlines(file)]
        if all(_stands(lines, step) for step in steps):
            yield Listing(tuple(_lines(lines, steps, report.repairs)))


def _stands(lines: list[str], step: StepFinding) -> bool:
    """Whether a file still has the line that was judged; a statement may go on in the next one."""
    source = step.source
    if source is None or source.line is None or source.line > len(lines):
        return False
    written, judged = ("".join(text.split()) for text in (lines[source.line - 1], source.text))
    return bool(judged) and (judged in written or written.partition("#")[0] in judged)


def _lines(lines: list[str], steps: list[StepFinding], repairs: tuple[Repair, ...]) -> Iterator[SourceLine]:
    judged = [s.source.line for s in steps if s.source is not None and s.source.line is not None]
    wrong = {s.source.line for s in steps if s.source is not None and s.verdict == "wrong"}
    instead = {r.line: r for r in repairs}
    first, last = max(1, min(judged) - _AROUND), min(len(lines), max(judged) + _AROUND)
    full = [k for k in range(first, last + 1) if lines[k - 1].strip()]
    for k in range(full[0], full[-1] + 1):
        text = lines[k - 1]
        yield SourceLine(str(k), text, "removed" if k in wrong else "")
        repair = instead.get(k)
        if k in wrong and repair is not None and repair.before in text:
            yield SourceLine("", text.replace(repair.before, repair.after, 1), "added")
