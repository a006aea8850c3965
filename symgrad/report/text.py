"""Blocks -> plain text at 80 columns, in colours where a terminal is asked to show them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

from symgrad.checking.results import Results
from symgrad.report.composition import blocks
from symgrad.report.page import (
    Answer,
    Block,
    Code,
    Derivation,
    Floats,
    Footer,
    Items,
    Line,
    Paragraph,
    Section,
    Table,
    Values,
)
from symgrad.report.wording import unbroken

WIDTH = 80
_INDENT = "    "
_SHAPE = re.compile(r"\[\d[\d, ]{0,20}\]")
_COLOURS = {"refuted": "1;31", "undecided": "1;33", "agrees": "1;32", "proved": "1;32", "mark": "31", "soft": "2"}

Paint = Callable[[str, str], str]
"""A line and what it is ("refuted", "mark", "soft", ...) -> the line as it is shown."""


def plain(line: str, style: str) -> str:
    """Every line as it is."""
    return line


def coloured(line: str, style: str) -> str:
    """The line in its colour; what stands before it stays blank."""
    code = _COLOURS.get(style)
    text = line.lstrip(" ")
    return line if code is None or not text else f"{line[: len(line) - len(text)]}\x1b[{code}m{text}\x1b[0m"


def render_text(report: Results, full: bool = False, *, colour: bool = False) -> str:
    """The report in text; the first line is the answer.  ``colour`` adds the colours of a terminal, and no words.

    >>> from symgrad import verify
    >>> print(render_text(verify("x**3", "3*x", wrt="x")).splitlines()[0])
    Wrong: your gradient for x is not the derivative.
    """
    return "\n".join(lines(blocks(report, full=full), paint=coloured if colour else plain))


def lines(page: Iterable[Block], indent: str = "", paint: Paint = plain) -> list[str]:
    """Blocks under each other; sections, tables and the last lines are set off by an empty line."""
    out: list[str] = []
    before: Block | None = None
    for block in _spread(page):
        apart = isinstance(block, (Section, Table, Footer)) or isinstance(before, Table)
        if before is not None and apart and not isinstance(before, Footer):
            out.append("")
        out += _block(block, indent, paint)
        before = block
    return out


def _spread(page: Iterable[Block]) -> Iterator[Block]:
    """The blocks, those about floats among the others."""
    for block in page:
        yield from block.blocks if isinstance(block, Floats) else (block,)


def _block(block: Block, indent: str, paint: Paint) -> list[str]:
    match block:
        case Answer(text=text, kind=kind):
            return [paint(line, kind) for line in _wrapped(text, indent)]
        case Footer(text=text):
            return [paint(line, "soft") for line in _wrapped(text, indent)]
        case Paragraph(text=text):
            return _wrapped(text, indent)
        case Section(title=title, blocks=inner, kind=kind):
            return [*(paint(line, kind) for line in _wrapped(title, indent)), *lines(inner, indent + _INDENT, paint)]
        case Values(lead=lead, rows=rows):
            return [*_wrapped(lead, indent), *_aligned(rows, indent + _INDENT)]
        case Items(items=items):
            return [line for item in items for line in _wrapped(item, indent, "- ")]
        case Code(text=text, place=place, span=span):
            return _code(text, place, span, indent, paint)
        case Table(header=header, rows=rows):
            return _table(header, rows, indent)
        case Floats(blocks=inner):
            return lines(inner, indent, paint)
        case Derivation(lines=inner):
            return [text for line in inner for text in _line(line, indent, paint)]


def _wrapped(text: str, indent: str, bullet: str = "") -> list[str]:
    wrapped = textwrap.wrap(
        _SHAPE.sub(lambda found: unbroken(found[0]), text),
        WIDTH,
        initial_indent=indent + bullet,
        subsequent_indent=indent + " " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in wrapped]


def _aligned(rows: Sequence[tuple[str, str]], indent: str) -> list[str]:
    """Labels and numbers, the numbers under each other by their decimal points."""
    labels = max(len(label) for label, _ in rows)
    whole = max(_before_the_point(value) for _, value in rows)
    return [f"{indent}{label:<{labels}}  {' ' * (whole - _before_the_point(value))}{value}" for label, value in rows]


def _before_the_point(value: str) -> int:
    value = value.partition("  ")[0]  # what else is said of the number stands apart from it
    ends = [k for k, c in enumerate(value) if c in ".e" and value[:k].lstrip("-").isdigit()]
    return ends[0] if ends else len(value) if value.lstrip("-").isdigit() else 0


def _code(text: str, place: str | None, span: tuple[int, int] | None, indent: str, paint: Paint) -> list[str]:
    head = f"{indent}{place}:  " if place else indent
    if span is not None:  # what is to be copied is never cut
        text, span = _window(text, span, WIDTH - len(head))
    shown = [f"{head}{text}"]
    if span is not None and span[0] < len(text):
        shown.append(paint(" " * (len(head) + span[0]) + "^" * max(1, span[1] - span[0]), "mark"))
    return shown


def _window(text: str, span: tuple[int, int], room: int) -> tuple[str, tuple[int, int]]:
    """As much of a long line as there is room for, around the part that is meant.

    >>> _window("y = aaaaaaaaaa * bbbbb * (1 - h_raw**2)", (30, 35), 24)
    ('... * (1 - h_raw**2)', (11, 16))
    """
    if len(text) <= room:
        return text, span
    inner = room - 8
    start, stop = span[0], min(span[1], span[0] + inner)
    left = max(0, min(start - (inner - (stop - start)) // 2, len(text) - inner))
    right = min(len(text), left + inner)
    head, tail = "... " if left else "", " ..." if right < len(text) else ""
    return f"{head}{text[left:right]}{tail}".rstrip(), (start - left + len(head), stop - left + len(head))


def _line(line: Line, indent: str, paint: Paint) -> list[str]:
    said = line.words + (f" ({line.error})" if line.error else "")
    meant = f"; meant as {unbroken(line.meant)}" if line.meant else ""
    kind = {"wrong": "refuted", "right": "proved"}.get(line.verdict, "")
    told = _wrapped(f"{said}{meant}", indent + _INDENT)
    return [*_code(line.code.text, line.code.place, line.code.span, indent, paint), *(paint(t, kind) for t in told)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], indent: str) -> list[str]:
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    return [
        indent + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in [header, ["-" * w for w in widths], *rows]
    ]
