"""All answers in words: what is not right in full, then a table of everything, and one line that counts."""

from __future__ import annotations

from collections.abc import Iterator

from symgrad.files.answers import WORDS, Answer, Answers
from symgrad.report.page import Table
from symgrad.report.text import WIDTH, plain_text
from symgrad.report.wording import counted

_WIDTH = 78


def render_summary(found: Answers, *, full: bool = False) -> str:
    """The answers in words; ``full`` shows those that are right as well.

    >>> print(render_summary(Answers(())))
    0 questions.
    """
    parts = [_in_full(a) for a in found.answers if full or a.verdict not in ("proved", "agrees")]
    if found.answers:
        head, rows = ("file", "claim", "verdict", "seconds"), tuple(_rows(found))
        width = sum(2 + max(map(len, column)) for column in zip(head, *rows, strict=True))  # no file's name is broken
        parts.append(plain_text([Table(head, rows)], max(WIDTH, width)))
    if found.skipped:
        parts.append("\n".join(["Not run:", *(f"    {s.file}: {s.why}" for s in found.skipped)]))
    parts.append(counts_in_words(found))
    return "\n\n".join(parts)


def counts_in_words(found: Answers) -> str:
    """How many questions there were, and what came of them.

    >>> counts_in_words(Answers(()))
    '0 questions.'
    """
    parts = ", ".join(f"{n} {word}" for word, n in found.counts().items() if n)
    skipped = f"; {counted(len(found.skipped), 'file')} not run" if found.skipped else ""
    return f"{counted(len(found.answers), 'question')}{f': {parts}' if parts else ''}{skipped}."


def failure_text(answer: Answer) -> str:
    """Why a question has no answer, below the traceback through the user's own lines."""
    assert answer.error is not None
    return f"{answer.error.trace}symgrad: {answer.error}"


def _in_full(answer: Answer) -> str:
    head = f"--- {answer.label} ".ljust(_WIDTH, "-")
    text = failure_text(answer) if answer.error is not None else answer.text
    return f"{head}\n\n{text}" + (f"\n\n{answer.table}" if answer.table is not None else "")


def _rows(found: Answers) -> Iterator[tuple[str, ...]]:
    for a in found.answers:
        claims = [(c.name, WORDS[c.verdict]) for c in a.claims] or [("", WORDS[a.verdict])]
        for k, (name, word) in enumerate(claims):
            yield ("" if k else a.label, name, word, "" if k else f"{a.seconds:.1f}")
