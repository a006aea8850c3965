"""What a report is made of, before anything is known of the page that it is printed on: a few kinds of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from symgrad.lifting.scripts.post import cell_at
from symgrad.program.program import Source


@dataclass(frozen=True)
class Answer:
    """The first line: what a reader in a hurry reads."""

    text: str
    kind: str


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True)
class Values:
    """A lead-in, and numbers under each other, each with a label."""

    lead: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """A line of the user's code: where it stands, the part of it that is meant, and a link that an editor follows."""

    text: str
    place: str | None = None
    span: tuple[int, int] | None = None
    link: str | None = None


@dataclass(frozen=True)
class Change:
    """A line of the user's code, and the whole line as it should be; ``again`` where the slip was just shown."""

    code: Code
    after: str
    again: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a header; ``shades`` say how strongly each cell is coloured, 0 to 1, where a page has colours."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shades: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A line of a derivation: its code, the part that is wrong, its verdict, and what it is meant to be, in words."""

    code: Code
    verdict: str
    words: str
    meant: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Derivation:
    """The lines of a derivation in their order."""

    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Section:
    """Blocks under a title; ``kind`` is the verdict that the title states, or "" for other findings."""

    title: str
    blocks: tuple[Block, ...]
    kind: str = ""


@dataclass(frozen=True)
class Folded:
    """What a page folds away under its title."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Floats:
    """What floats did on this machine, which another machine may tell otherwise: no block, one, or several."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Footer:
    """The last line: how much was looked at, and how to have it again."""

    text: str


Block = Answer | Paragraph | Values | Code | Change | Table | Items | Derivation | Section | Folded | Floats | Footer


def code_of(source: Source, span: tuple[int, int] | None = None) -> Code:
    """A line of the user's code with its place as editors follow it: the file's name where there is a file."""
    if source.line is None:
        return Code(source.text, None, span or source.span)
    path = Path(source.file or "").absolute()
    if not source.file or not path.is_file():
        return Code(source.text, f"line {source.line}", span or source.span)
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path.name
    cell = cell_at(path.read_text(encoding="utf-8"), source.line) if path.suffix == ".ipynb" else None
    place = f"{near}:{source.line}" if cell is None else f"{near}, cell {cell[0]}, line {cell[1]}"
    return Code(source.text, place, span or source.span, f"{path.as_uri()}#{source.line}")
