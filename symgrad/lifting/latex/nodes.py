"""The nodes of formulas in LaTeX, what their names are called, and the place of a node in the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from symgrad.errors import UnknownOperation, caret


class Undecided(UnknownOperation):
    """A name before a parenthesis: only the model tells whether it is a factor or a function."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the formula; ``span`` is its place in the text."""

    head: str
    args: tuple[Node, ...]
    span: tuple[int, int]
    value: Any = None


@dataclass(frozen=True, slots=True)
class Name:
    """What a symbol is called, without its subscript: ``base`` as symgrad writes it, and the font.

    ``label`` is what stands above it in parentheses: ``W^{(1)}``, or an index, ``x^{(i)}``.
    """

    base: str
    style: str = ""
    shown: str = ""
    label: tuple[Node, ...] = ()


def place(text: str, span: tuple[int, int]) -> str:
    """The line of the text that holds the span, with carets under it."""
    start = text.rfind("\n", 0, span[0]) + 1
    stop = text.find("\n", span[0])
    stop = len(text) if stop < 0 else stop
    line = text[start:stop]
    lead = len(line) - len(line.lstrip())
    first = max(0, span[0] - start - lead)
    return caret(line.strip().replace("\t", " "), (first, max(first + 1, min(span[1], stop) - start - lead)))


def spelled(node: Node) -> str | None:
    """The name that a symbol has where its subscript is part of it (``w_{hy}`` is w_hy), or None."""
    found = node.value.base
    for items in (node.value.label, node.args):
        parts = [part for item in items if (part := _letters(item)) is not None]
        if len(parts) < len(items):
            return None
        found = "_".join((found, "".join(parts))) if parts else found
    return found


def called_names(symbol: Node) -> frozenset[str]:
    """The names under which a function is found again before a parenthesis: as it is spelled, or with other indices."""
    found = spelled(symbol), f"{symbol.value.base}_" if symbol.args else None
    return frozenset(name for name in found if name is not None)


def settled(node: Node, is_index: Callable[[str], bool]) -> Node:
    """A symbol without a label: it becomes part of the name, or indices in front of the others."""
    label = node.value.label
    if not label:
        return node
    letters = [p.value.base for item in label for p in (item, *item.args) if p.head == "symbol"]
    if any(is_index(x) for x in letters):
        return Node("symbol", (*label, *node.args), node.span, replace(node.value, label=()))
    name = spelled(Node("symbol", (), node.span, node.value)) or node.value.base
    return Node(
        "symbol", node.args, node.span, replace(node.value, base=name, style=f"{node.value.style} label", label=())
    )


def parts(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    stack = [node]
    while stack:
        here = stack.pop()
        yield here
        stack.extend(reversed(here.args))


def letters_in(item: Node) -> Iterable[str]:
    return (p.value.base for p in parts(item) if p.head == "symbol" and not p.args)


def letters_below(side: Node) -> Iterator[str]:
    for p in parts(side):
        if p.head in ("symbol", "entry"):
            label = p.value.label if p.head == "symbol" else ()
            for item in (*label, *p.args[p.head == "entry" :]):
                yield from letters_in(item)


def _letters(item: Node) -> str | None:
    if item.head == "symbol" and not item.args:
        return item.value.base
    if item.head == "word":
        return "".join(c if c.isalnum() else "_" for c in item.value).strip("_")
    if item.head == "number" and item.value.denominator == 1:
        return str(item.value)
    if item.head == "mul" and not any(item.value):
        parts = [_letters(x) for x in item.args]
        return None if None in parts else "".join(p or "" for p in parts)
    return None
