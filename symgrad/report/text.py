"""Blocks -> text: plain at 80 columns, or as wide as a terminal, in its colours, with links that an editor follows.

Prose is wrapped by textwrap, which keeps what no-break spaces join; the terminal is rich's.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from symgrad.checking.results import Results
from symgrad.report.composition import blocks
from symgrad.report.page import (
    Answer,
    Block,
    Change,
    Code,
    Derivation,
    Floats,
    Folded,
    Footer,
    Items,
    Line,
    Paragraph,
    Section,
    Table,
    Values,
)
from symgrad.report.wording import aligned, held_together, in_words, visible
from symgrad.report.wrong_lines import REPAIRED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDTH = 80
_WIDEST = 100  # columns of prose that are still read with ease
_INDENT = "    "
_STYLES = {
    "refuted": "bold red",
    "undecided": "bold yellow",
    "agrees": "bold green",
    "proved": "bold green",
    "removed": "red",
    "added": "green",
    "soft": "dim",
}


def render_text(report: Results, full: bool = False, *, colour: bool = False, repaired: str = REPAIRED) -> str:
    """The report in text; the first line is the answer.  ``colour`` is for a terminal: in its colours and width, with
    links to the lines of files.  ``repaired`` says where the repaired code is.

    >>> from symgrad import verify
    >>> print(render_text(verify("x**3", "3*x", wrt="x")).splitlines()[0])
    Wrong: your gradient for x is not the derivative.
    """
    from rich.console import Console

    page = blocks(report, full=full, repaired=repaired)
    if not colour:
        return plain_text(page)
    return _printed(
        page,
        Console(
            file=io.StringIO(),
            force_jupyter=False,
            width=min(get_terminal_size().columns, _WIDEST),
            force_terminal=True,
        ),
    )


def plain_text(page: Iterable[Block], width: int = WIDTH) -> str:
    """Blocks as text of 80 columns, without colours.

    >>> plain_text([Paragraph("Twice x is x + x.")])
    'Twice x is x + x.'
    """
    from rich.console import Console

    return _printed(
        page, Console(file=io.StringIO(), force_jupyter=False, width=width, color_system=None, force_terminal=False)
    )


def _printed(page: Iterable[Block], console: Console) -> str:
    from rich.console import Group

    with console.capture() as printed:
        console.print(Group(*_laid_out(page, "", console)), crop=False)
    return "\n".join(line.rstrip() for line in printed.get().splitlines())


def _laid_out(page: Iterable[Block], indent: str, console: Console) -> Iterator[Any]:
    """Blocks under each other; sections, tables and the last lines are set off by an empty line."""
    before: Block | None = None
    for block in _spread(page):
        apart = isinstance(block, (Section, Table, Footer)) or isinstance(before, Table)
        if before is not None and apart and not isinstance(before, Footer):
            yield ""
        yield from _block(block, indent, console)
        before = block


def _spread(page: Iterable[Block]) -> Iterator[Block]:
    """The blocks, those about floats among the others."""
    for block in page:
        yield from block.blocks if isinstance(block, Floats) else (block,)


def _block(block: Block, indent: str, console: Console) -> Iterator[Any]:
    match block:
        case Answer(text=text, kind=kind):
            yield _prose(text, indent, console, kind)
        case Footer(text=text):
            yield _prose(text, indent, console, "soft")
        case Paragraph(text=text):
            yield _prose(text, indent, console)
        case Folded(title=title, blocks=inner):
            yield _prose(f"{title}:", indent, console)
            yield from _laid_out(inner, indent + _INDENT, console)
        case Section(title=title, blocks=inner, kind=kind):
            yield _prose(title, indent, console, kind)
            yield from _laid_out(inner, indent + _INDENT, console)
        case Values(lead=lead, rows=rows):
            yield _prose(lead, indent, console)
            labels = max(len(label) for label, _ in rows)
            for (label, _), value in zip(rows, aligned([value for _, value in rows]), strict=True):
                yield _text(f"{indent}{_INDENT}{label:<{labels}}  {value}")
        case Items(items=items):
            yield from (_prose(item, indent, console, bullet="- ") for item in items)
        case Code():
            yield from _code(block, indent, console)
        case Change():
            yield from _change(block, indent, console)
        case Table(header=header, rows=rows):
            yield _table(header, rows, indent)
        case Floats(blocks=inner):
            yield from _laid_out(inner, indent, console)
        case Derivation(lines=lines):
            for line in lines:
                yield from _code(line.code, indent, console)
                yield _line(line, indent, console)


def _text(text: str, kind: str = "", link: str | None = None) -> Text:
    """A line that is never broken or cut; what stands before it stays blank."""
    from rich.style import Style
    from rich.text import Text

    told = text.lstrip(" ")
    style = Style.parse(_STYLES.get(kind, "")) + Style(link=link)
    return Text(text[: len(text) - len(told)], no_wrap=True, overflow="ignore").append(visible(told), style)


def _prose(text: str, indent: str, console: Console, kind: str = "", bullet: str = "") -> Text:
    from rich.text import Text

    hanging = indent + " " * len(bullet)
    wrapped = textwrap.wrap(
        held_together(text, console.width - len(hanging)),
        console.width,
        initial_indent=indent + bullet,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = (_text(line.replace("\xa0", " "), kind) for line in wrapped)
    return Text("\n", no_wrap=True, overflow="ignore").join(lines)


def _code(code: Code, indent: str, console: Console) -> Iterator[Text]:
    place = _text(f"{code.place}:  ", link=code.link) if code.place else _text("")
    text, span = code.text, code.span
    if span is not None:  # what is to be copied is never cut
        text, span = _window(text, span, console.width - len(indent) - len(place))
    yield _text(indent).append(place).append(_source(text, console))
    if span is not None and span[0] < len(text):
        yield _caret(text, span, len(indent) + len(place), "soft")


def _change(change: Change, indent: str, console: Console) -> Iterator[Text]:
    """A line as it is and as it should be, as diff has them."""
    code = change.code
    if code.place:
        yield _text(indent).append(_text(f"{code.place}:", link=code.link))
    yield from (_text(f"{indent}- {line}", "removed") for line in code.text.splitlines())
    if code.span is not None and "\n" not in code.text and not change.again:
        yield _caret(code.text, code.span, len(indent) + 2, "removed")
    yield from (_text(f"{indent}+ {line}", "added") for line in change.after.splitlines())


def _caret(text: str, span: tuple[int, int], left: int, kind: str) -> Text:
    before, meant = len(visible(text[: span[0]])), len(visible(text[slice(*span)]))
    return _text(" " * (left + before) + "^" * max(1, meant), kind)


def _source(text: str, console: Console) -> Text:
    """Python code, its words coloured by what they are where there are colours."""
    if console.color_system is None:
        return _text(text)
    from rich.syntax import Syntax

    code = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(visible(text))
    code.rstrip()
    return code


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


def _line(line: Line, indent: str, console: Console) -> Text:
    said = line.words + (f" ({line.error})" if line.error else "")
    meant = f"; meant as {in_words(line.meant)}" if line.meant else ""
    kind = {"wrong": "refuted", "right": "proved"}.get(line.verdict, "")
    return _prose(f"{said}{meant}", indent + _INDENT, console, kind)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], indent: str) -> Any:
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for k, cell in enumerate(header):
        rule = "-" * max(Text(visible(row[k])).cell_len for row in [header, *rows])
        grid.add_column(Text(f"{visible(cell)}\n{rule}"), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(visible(cell)) for cell in row))
    return Padding(grid, (0, 0, 0, len(indent)))
