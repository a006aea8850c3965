"""The nodes of formulas in LaTeX, and a cursor over tokens that fails with the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NoReturn

from symgrad.errors import BadFormula, SymgradError, UnknownOperation, caret
from symgrad.lifting.latex.tokens import GREEK, Token

__all__ = ["Cursor", "Name", "Node", "Undecided", "place", "settled", "spelled"]

_DEPTH = 60


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


class Cursor:
    """A place in a list of tokens, and the reading of names."""

    def __init__(self, text: str, tokens: list[Token], known: frozenset[str] | None) -> None:
        self.text, self.tokens, self.known = text, tokens, known
        self.at = 0
        self.depth = 0
        self.fence = (0, 0)  # the place of the parenthesis that was read last
        self.invisible: set[tuple[int, int]] = set()

    # -------------------------------------------------------------------------------- tokens
    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def before(self) -> Token:
        return self.tokens[self.at - 1]

    def take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.at += 1
        return token

    def peek(self, k: int = 1) -> Token:
        return self.tokens[min(self.at + k, len(self.tokens) - 1)]

    def fail(
        self,
        what: str,
        span: tuple[int, int],
        instead: str | None = None,
        kind: type[SymgradError] = BadFormula,
    ) -> NoReturn:
        raise kind(what, where=place(self.text, span), instead=instead)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEPTH:
            self.fail(
                f"the formula nests more than {_DEPTH} deep.", self.token.span, "Name its parts, in several rows."
            )

    # -------------------------------------------------------------------------------- arguments of macros
    def expression(self) -> Node:
        raise NotImplementedError

    def plain_name(self) -> Node:
        raise NotImplementedError

    def argument(self, what: str) -> Node:
        """The formula in braces after a macro, or the one token that TeX takes without them."""
        token = self.token
        if token.kind == "open":
            return self.braced()
        if token.kind == "letter" or (token.kind == "macro" and token.text[1:] in GREEK):
            return self.plain_name()
        if token.kind == "number":
            if len(token.text) > 1:
                self.fail(
                    f"TeX takes only {token.text[0]!r} of {token.text} after {what}.",
                    token.span,
                    f"Write {what}{{{token.text}}}.",
                )
            self.at += 1
            return Node("number", (), token.span, Fraction(token.text))
        return self.other_argument(what)

    def other_argument(self, what: str) -> Node:
        self.fail(f"{what} needs braces here.", self.token.span, f"Write {what}{{...}}.")

    def braced(self) -> Node:
        """``{ formula }``."""
        opening = self.take()
        if self.token.kind == "close":
            self.fail("there is nothing between these braces.", (opening.start, self.token.stop))
        inner = self.expression()
        if self.token.kind == "end":
            self.fail("this brace is never closed.", opening.span)
        if self.token.kind != "close":
            self.unexpected()
        closing = self.take()
        if inner.head in ("symbol", "number"):
            return inner
        span = (opening.start, closing.stop)
        if inner.span != self.fence and inner.head in ("add", "neg", "mul", "call", "sum", "prod"):
            self.invisible.add(span)
        return Node(inner.head, inner.args, span, inner.value)

    def visible(self, node: Node, heads: tuple[str, ...] = ("add", "neg")) -> Node:
        """Refuse braces that would have to be parentheses: TeX does not print them."""
        if node.span in self.invisible and node.head in heads:
            inside = self.text[slice(*node.span)][1:-1].strip()
            self.fail("braces are not printed, and here they would group.", node.span, f"Write ({inside}).")
        return node

    def unexpected(self) -> NoReturn:
        raise NotImplementedError

    def digits(self) -> Node | None:
        """One digit of a number, where TeX takes single tokens: ``\\frac12`` is one half."""
        token = self.token
        if token.kind != "number" or len(token.text) != 2 or not token.text.isdigit():
            return None
        first = Token("number", token.text[0], token.start, token.start + 1)
        second = Token("number", token.text[1], token.start + 1, token.stop)
        self.tokens[self.at : self.at + 1] = [first, second]
        self.at += 1
        return Node("number", (), first.span, Fraction(first.text))
