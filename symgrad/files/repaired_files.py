"""Files with their repairs made: what changes, and a copy beside the file if what it says is then right."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from symgrad.checking.results import Repair
from symgrad.errors import BadInput
from symgrad.files.answers import Answers, Wanted
from symgrad.files.questions import Options, Question, answer_all, find
from symgrad.files.targets import STDIN
from symgrad.files.written_files import Told, write_new

_RIGHT = ("proved", "agrees")


def repair(answers: Answers, questions: Sequence[Question], options: Options, jobs: int | None) -> Iterator[Told]:
    """Repair each file in which something is wrong: the patch, and what became of the copy.

    A copy is written beside the file, under one name, over nothing, and only if it was checked and is right.
    """
    files = dict.fromkeys(a.file for a in answers.answers)
    for file in files:
        of = f" in {file}" if len(files) > 1 else ""
        mine = [a for a in answers.answers if a.file == file]
        question = next((q for q in questions if q.target.file == file), None)
        repairs = [r for a in mine for r in a.repairs]
        if all(a.verdict in _RIGHT for a in mine):
            yield Told(f"symgrad: there is nothing to repair{of}.")
        elif question is None or (text := _text(question, repairs)) is None:
            yield Told(f"symgrad: no repair was found that could be written{of}; no file was written.")
        else:
            yield from _copied(question, text, options, jobs)


def _text(question: Question, repairs: Sequence[Repair]) -> str | None:
    """A file's text with its repairs made, where it is a file, and there are any that stand in it."""
    return repaired_text(question.text, repairs) if repairs and question.target.file != STDIN else None


def _copied(question: Question, text: str, options: Options, jobs: int | None) -> Iterator[Told]:
    source = question.target.path
    made = repaired_path(source)
    is_new = not made.exists()
    patch = Told(difference(question.text, text, source), is_patch=True)
    try:
        write_new(text, made)
    except BadInput as error:
        yield from (patch, Told(f"symgrad: {error}", failed=True))
        return
    again = find(replace(question.target, file=str(made), path=made, named=True), options)
    found = answer_all(list(again), options, Wanted(), jobs).answers
    bad = next((a.verdict for a in found if a.verdict not in _RIGHT), None)
    if bad is not None:
        if is_new:
            made.unlink()
        yield Told(f"symgrad: with the repairs made {source} is still {bad}; no file was written.")
        return
    yield patch
    word = "proved" if all(a.verdict == "proved" for a in found) else "right"
    wrote = f"wrote {made}, which" if is_new else f"{made} is there already, and says this. It"
    yield Told(f"symgrad: {wrote} was checked too: {word}.")


def repaired_path(source: Path) -> Path:
    """Where a file with its repairs made is written: beside it.

    >>> repaired_path(Path("derivations/net.py")).name
    'net_repaired.py'
    """
    return source.with_name(f"{source.stem}_repaired{source.suffix}")


def difference(before: str, after: str, source: Path) -> str:
    """What changed, as a patch of the file.

    >>> print(difference("a = 1\\n", "a = 2\\n", Path("net.py")))
    --- net.py
    +++ net_repaired.py
    @@ -1 +1 @@
    -a = 1
    +a = 2
    """
    names = source.as_posix(), repaired_path(source).as_posix()
    return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))


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
