"""Golden texts: what of a report is the same on every machine.

What floats did is this machine's, and other machines round otherwise. A report holds it in blocks of their own,
`Floats`, so that it can be left out, or its place be kept open, without knowing a word of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from symgrad.checking.results import Results
from symgrad.report import text
from symgrad.report.composition import blocks
from symgrad.report.page import Block, Floats, Paragraph, Section

OPEN = "\N{OBJECT REPLACEMENT CHARACTER}"


def _replaced(page: Iterable[Block], *instead: Block) -> Iterator[Block]:
    """The blocks of a page, each of those about floats replaced by others."""
    for block in page:
        match block:
            case Floats():
                yield from instead
            case Section(blocks=inner):
                yield replace(block, blocks=tuple(_replaced(inner, *instead)))
            case _:
                yield block


def without_floats(report: Results) -> str:
    """The report without what floats did."""
    return text.plain_text(_replaced(blocks(report)))


def keep_places_open() -> None:
    """From here on reports print a mark in each place where they tell what floats did."""

    def open_blocks(report: Results, **how: Any) -> tuple[Block, ...]:
        return tuple(_replaced(blocks(report, **how), Paragraph(OPEN)))

    text.blocks = open_blocks


def shows(golden: str, printed: str) -> bool:
    """Whether a golden text shows what was printed with open places, each filled by any number of lines.

    The lines are no further to the left than the mark, and none is empty.
    """
    pattern = []
    for line in printed.splitlines():
        indent, mark, _ = line.partition(OPEN)
        pattern.append(rf"(?:{indent}(?=.*\S).*\n)*" if mark else re.escape(line.rstrip()) + "\n")
    lines = "".join(f"{line.rstrip()}\n" for line in golden.splitlines())
    return re.fullmatch("".join(pattern), lines) is not None
