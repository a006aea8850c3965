"""The files that the command line writes: reports as pages, and data."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from symgrad.errors import BadInput
from symgrad.files.targets import STDIN

if TYPE_CHECKING:
    from symgrad.files.answers import Answer


@dataclass(frozen=True)
class Told:
    """What is told of a file that was written, or of one that was not; ``is_patch`` where it is what changed in it."""

    text: str
    is_patch: bool = False
    failed: bool = False


def write_pages(answers: Sequence[Answer], page: Path) -> list[Path]:
    """Write each report as a whole HTML page; what was written.  Folders that are missing are made.

    One report is ``page`` itself.  Of several ``page`` is the list, and the reports lie in a folder beside it that has
    its name; where ``page`` is no name of a page or is a folder, it is the folder, and the list is its ``index.html``.

    Raises `BadInput` where a page would replace a file that was checked, or cannot be written.
    """
    is_page = page.suffix.lower() in (".html", ".htm") and not page.is_dir()
    if len(answers) == 1 and not page.is_dir():
        return [_write(answers[0].html or _without(answers[0]), page, answers)]
    index, folder = (page, page.with_suffix("")) if is_page else (page / "index.html", page)
    from symgrad.report.html import Links, render_page  # what renders is imported when something is rendered

    taken: set[str] = set()
    pages = []
    for answer in answers:
        name = next(n for n in _page_names(answer.label) if n not in taken)
        taken.add(name)
        pages.append(_write(answer.html or _without(answer), folder / name, answers))
    count = f"{len(answers)} answer{'s' * (len(answers) != 1)}"
    rows = tuple(_row(a, os.path.relpath(p, index.parent)) for a, p in zip(answers, pages, strict=True))
    return [_write(render_page([Links(rows)], count, "symgrad check"), index, answers), *pages]


def _page_names(label: str) -> Iterable[str]:
    """Names of a page for an answer, until one is free."""
    plain = re.sub(r"[^\w.-]+", "-", label.replace("\\", "/").strip("/")).strip("-.") or "report"
    yield f"{plain}.html"
    yield from (f"{plain}-{k}.html" for k in itertools.count(2))


def _row(answer: Answer, link: str) -> tuple[str, str, str, str, str, str]:
    from symgrad.files.answers import WORDS

    kind = "undecided" if answer.error is not None else answer.verdict
    where = quote(Path(link).as_posix())
    return kind, WORDS[answer.verdict], answer.label, where, answer.headline, f"{answer.seconds:.1f} s"


def _without(answer: Answer) -> str:
    """The page of an answer that has no report."""
    from symgrad.files.answers import WORDS
    from symgrad.report.html import Verbatim, render_page
    from symgrad.report.page import Answer as Says

    word = WORDS[answer.verdict].capitalize()
    return render_page([Says(f"{word}.", "undecided"), Verbatim(str(answer.error))], answer.label, word)


def _write(text: str, path: Path, answers: Sequence[Answer]) -> Path:
    if any(path.exists() and a.file != STDIN and path.resolve() == Path(a.file).resolve() for a in answers):
        raise BadInput(f"--html {path} is the file that is checked.", instead="Name another file for the page.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"the page could not be written: {error}.") from error
    return path


def write_new(text: str, path: Path) -> Path:
    """Write a file that is not there yet, and the folders that it is in.

    Raises `BadInput` where it is there with another text, or cannot be written; where it is there with this text,
    nothing is done.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if not _says(path, text):
            raise BadInput(f"{path} is there already, and says something else.", instead="Move it away.") from None
    except OSError as error:
        raise BadInput(f"{path} could not be written: {error}.") from error
    return path


def _says(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
