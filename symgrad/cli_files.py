"""The files that the command line writes: a report as a page, and code with its repairs made."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from symgrad.errors import BadInput

__all__ = ["repaired_text", "write_beside", "write_page"]


def write_page(report: Any, path: Path, source: Path) -> None:
    """Write a report as a whole HTML page.

    Raises `BadInput` where the page would replace the file that was checked, or cannot be written.
    """
    if path.exists() and path.resolve() == source.resolve():
        raise BadInput(f"--html {path} is the file that is checked.", instead="Name another file for the page.")
    try:
        path.write_text(report.to_html(page=True), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"the page could not be written: {error}.") from error


def write_beside(text: str, source: Path) -> Path:
    """Write text under a new name beside ``source``, over no file that is there already; the name.

    Raises `BadInput` where it cannot be written.
    """
    for k in itertools.count(1):
        path = source.with_name(f"{source.stem}_repaired{'' if k == 1 else f'_{k}'}{source.suffix}")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        except OSError as error:
            raise BadInput(f"the repaired file could not be written: {error}.") from error
        return path
    raise AssertionError("unreachable")


def repaired_text(text: str, repairs: Iterable[Any]) -> str | None:
    """A file's text with each repair's ``before`` replaced, on its line, by its ``after``; None where one is not found.

    A repair without a line must stand in the text exactly once.

    >>> from types import SimpleNamespace as Repair
    >>> repaired_text("h = tanh(z)\\ndh = 1 - z**2\\n", [Repair(line=2, before="1 - z**2", after="1 - h**2")])
    'h = tanh(z)\\ndh = 1 - h**2\\n'
    """
    starts = [0, *itertools.accumulate(map(len, text.splitlines(keepends=True)))]
    edits: dict[int, tuple[int, str]] = {}
    for r in repairs:
        if r.line is None:
            place = text.find(r.before) if text.count(r.before) == 1 else -1
        else:
            place = text.find(r.before, starts[r.line - 1]) if r.line <= len(starts) - 1 else -1
            place = place if r.line <= len(starts) - 1 and place < starts[r.line] else -1
        if place < 0 or edits.get(place, (0, r.after))[1] != r.after:
            return None
        edits[place] = place + len(r.before), r.after
    for place in sorted(edits, reverse=True):
        end, after = edits[place]
        text = text[:place] + after + text[end:]
    return text
