"""What a report is made of, before anything is known of the page that it is printed on: a few kinds of blocks."""

from __future__ import annotations

from dataclasses import dataclass


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
    """A line of the user's code: where it stands, and the part of it that is meant."""

    text: str
    place: str | None = None
    span: tuple[int, int] | None = None


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
class Floats:
    """What floats did on this machine, which another machine may tell otherwise: no block, one, or several."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Footer:
    """The last line: how much was looked at, and how to have it again."""

    text: str


Block = Answer | Paragraph | Values | Code | Table | Items | Derivation | Section | Floats | Footer
