"""Blocks -> plain text at 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from symgrad.report.blocks import (
    Answer,
    Block,
    Code,
    Footer,
    Items,
    Paragraph,
    Section,
    Table,
    Values,
    blocks,
)
from symgrad.report.report import Report

__all__ = ["WIDTH", "lines", "render"]

WIDTH = 80
_INDENT = "    "


def render(report: Report, full: bool = False) -> str:
    """The report in plain text; the first line is the answer.

    >>> from symgrad import verify
    >>> print(render(verify("x**3", "3*x", wrt="x")).splitlines()[0])
    Wrong: your gradient for x is not the derivative.
    """
    return "\n".join(lines(blocks(report, full=full)))


def lines(page: Iterable[Block], indent: str = "") -> list[str]:
    """Blocks under each other; sections, tables and the last lines are set off by an empty line."""
    out: list[str] = []
    before: Block | None = None
    for block in page:
        apart = isinstance(block, (Section, Table, Footer)) or isinstance(before, Table)
        if before is not None and apart and not isinstance(before, Footer):
            out.append("")
        out += _block(block, indent)
        before = block
    return out


def _block(block: Block, indent: str) -> list[str]:
    match block:
        case Answer(text=text) | Paragraph(text=text) | Footer(text=text):
            return _wrapped(text, indent)
        case Section(title=title, blocks=inner):
            return [f"{indent}{title}", *lines(inner, indent + _INDENT)]
        case Values(lead=lead, rows=rows):
            return [*_wrapped(lead, indent), *_aligned(rows, indent + _INDENT)]
        case Items(items=items):
            return [line for item in items for line in _wrapped(item, indent, "- ")]
        case Code(text=text, place=place, span=span):
            return _code(text, place, span, indent)
        case Table(header=header, rows=rows):
            return _table(header, rows, indent)


def _wrapped(text: str, indent: str, bullet: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent + bullet,
        subsequent_indent=indent + " " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _aligned(rows: Sequence[tuple[str, str]], indent: str) -> list[str]:
    """Labels and numbers, the numbers under each other by their decimal points."""
    labels = max(len(label) for label, _ in rows)
    whole = max(_before_the_point(value) for _, value in rows)
    return [f"{indent}{label:<{labels}}  {' ' * (whole - _before_the_point(value))}{value}" for label, value in rows]


def _before_the_point(value: str) -> int:
    ends = [k for k, c in enumerate(value) if c in ".e" and value[:k].lstrip("-").isdigit()]
    return ends[0] if ends else len(value) if value.lstrip("-").isdigit() else 0


def _code(text: str, place: str | None, span: tuple[int, int] | None, indent: str) -> list[str]:
    head = f"{indent}{place}:  " if place else indent
    shown = [f"{head}{text}"]
    if span is not None and span[0] < len(text):
        shown.append(" " * (len(head) + span[0]) + "^" * max(1, span[1] - span[0]))
    return shown


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], indent: str) -> list[str]:
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    return [
        indent + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in [header, ["-" * w for w in widths], *rows]
    ]
