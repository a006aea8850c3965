"""Names in formulas in LaTeX, with their fonts, accents, subscripts and labels; the cursor over tokens."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from symgrad.errors import BadFormula, SymgradError, caret
from symgrad.lifting.latex_tokens import GREEK, Token
from symgrad.lifting.latex_words import ACCENTS, FONTS, function

__all__ = ["Cursor", "Name", "Node", "place", "spelled"]

_DEPTH = 60
_SAME = {"varepsilon": "epsilon", "hbar": "hbar", "imath": "i", "jmath": "j"}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the formula; ``span`` is its place in the text."""

    head: str
    args: tuple[Node, ...]
    span: tuple[int, int]
    value: Any = None


@dataclass(frozen=True, slots=True)
class Name:
    """What a symbol is called, without its subscript: ``base`` as symgrad writes it, and the font."""

    base: str
    style: str = ""
    shown: str = ""


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
    parts = [part for item in node.args if (part := _letters(item)) is not None]
    if len(parts) < len(node.args):
        return None
    return "_".join((node.value.base, "".join(parts))) if parts else node.value.base


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
            self.fail(f"the formula nests more than {_DEPTH} deep.", self.token.span, "Name its parts, in several rows.")

    # -------------------------------------------------------------------------------- arguments of macros
    def expression(self) -> Node:
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
        return Node(inner.head, inner.args, (opening.start, closing.stop), inner.value)

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

    # -------------------------------------------------------------------------------- names
    def starts_name(self, token: Token) -> bool:
        if token.kind in ("letter", "text"):
            return True
        word = token.text[1:]
        return token.kind == "macro" and (word in GREEK or word in ACCENTS or word in FONTS or word == "operatorname")

    def plain_name(self) -> Node:
        """A letter, Greek or not, as TeX takes it: alone."""
        token = self.take()
        base = token.text.removeprefix("\\")
        return Node("symbol", (), token.span, Name(_SAME.get(base, base), "", token.text))

    def bare_name(self) -> Node:
        """A name without scripts: a letter, a Greek letter, an accented or styled name, a word."""
        token = self.token
        word = token.text[1:]
        if token.kind == "letter" or word in GREEK:
            return self.plain_name()
        if token.kind == "text":
            self.at += 1
            return self.word(token.text, token.span, "")
        if word in ACCENTS:
            return self.accented(word)
        return self.styled(word)

    def accented(self, word: str) -> Node:
        start = self.take()
        self.deeper()
        if self.token.kind == "open":
            opening = self.take()
            if not self.starts_name(self.token):
                self.fail(f"\\{word} stands over a name.", self.token.span)
            inner = self.scripted_name()
            if self.token.kind != "close":
                self.fail(f"\\{word} stands over one name.", (opening.start, self.token.stop))
            self.at += 1
        elif self.starts_name(self.token):
            inner = self.sure_name()
        else:
            self.fail(f"\\{word} stands over a name.", self.token.span)
        self.depth -= 1
        name = inner.value
        span = (start.start, self.before.stop)
        style = "bold" if not ACCENTS[word] else name.style
        return Node("symbol", inner.args, span, Name(name.base + ACCENTS[word], style, self.text[slice(*span)]))

    def sure_name(self) -> Node:
        """A name, where a number in a font would be none."""
        node = self.bare_name()
        if node.head != "symbol":
            self.fail("this is no name.", node.span)
        return node

    def scripted_name(self) -> Node:
        """A name with its subscript."""
        name = self.sure_name()
        if self.token.text == "_" and self.token.kind == "sign":
            self.at += 1
            return Node("symbol", self.subscript(), (name.span[0], self.before.stop), name.value)
        return name

    def styled(self, word: str) -> Node:
        """``\\mathbf{x}``, ``\\mathrm{loss}``, ``\\operatorname{softmax}``."""
        start = self.take()
        if self.token.text == "*":
            self.at += 1
        style = FONTS.get(word.rstrip("*"), "")
        if self.token.kind != "open":
            if not self.starts_name(self.token) and self.token.kind != "number":
                self.fail(f"\\{word} needs a name.", self.token.span, f"Write \\{word}{{x}}.")
            if self.token.kind == "number":
                return self.styled_number(start, style)
            self.deeper()
            inner = self.sure_name()
            self.depth -= 1
            base = inner.value.base
            return Node("symbol", (), (start.start, inner.span[1]), Name(base, style or inner.value.style, base))
        opening = self.take()
        if self.token.kind == "number" and self.peek().kind == "close":
            node = self.styled_number(start, style)
            self.at += 1
            return Node(node.head, (), (start.start, self.before.stop), node.value)
        if self.starts_name(self.token) and self.token.kind == "macro":
            self.deeper()
            inner = self.scripted_name()
            self.depth -= 1
            if self.token.kind != "close":
                self.fail(f"\\{word} holds one name.", (opening.start, self.token.stop))
            self.at += 1
            span = (start.start, self.before.stop)
            name = inner.value
            return Node("symbol", inner.args, span, Name(name.base, style or name.style, self.text[slice(*span)]))
        letters = ""
        while self.token.kind in ("letter", "number") or self.token.text in ("-", "\\_"):
            letters += self.take().text.removeprefix("\\")
        if self.token.kind == "end":
            self.fail("this brace is never closed.", opening.span)
        if self.token.kind != "close" or not letters:
            self.fail(f"\\{word} holds one name.", (opening.start, self.token.stop))
        self.at += 1
        span = (start.start, self.before.stop)
        if len(letters) > 1 and style in ("bold", "sans", "blackboard", "fraktur"):
            self.fail(
                f"\\{word} of {len(letters)} letters is their product to some and one name to others.",
                span,
                f"Write \\mathrm{{{letters}}} for one name, or \\{word} for each letter.",
            )
        return self.word(letters, span, style)

    def styled_number(self, start: Token, style: str) -> Node:
        """``\\mathbf{1}`` is a vector of ones, or an indicator where a condition follows."""
        token = self.take()
        span = (start.start, token.stop)
        if token.text not in ("0", "1") or style not in ("bold", "blackboard"):
            self.fail(f"{self.text[slice(*span)]} is not read.", span, "Write the number alone.")
        return Node("ones" if token.text == "1" else "zeros", (), span)

    def word(self, letters: str, span: tuple[int, int], style: str) -> Node:
        clean = "".join(c if c.isalnum() or c in "_'" else "_" for c in letters).strip("_")
        if not clean:
            self.fail("text is not part of a formula.", span, "Leave it out.")
        if clean in ("e", "pi") and not style and self.text[span[0] :].startswith("\\mathrm"):
            return Node("e" if clean == "e" else "symbol", (), span, Name("pi", "", "\\pi"))
        if " " in letters.strip() or letters.strip().lower() in ("if", "where", "for", "and", "or", "otherwise", "else"):
            self.fail("text is not part of a formula.", span, "Leave it out; conditions stand in \\begin{cases}.")
        return Node("symbol", (), span, Name(clean, style, letters))

    def subscript(self) -> tuple[Node, ...]:
        """What stands below a name, after the sign ``_``: items that commas separate."""
        token = self.token
        if token.kind == "open":
            self.at += 1
            items: list[Node] = []
            while True:
                if self.token.kind == "text":
                    items.append(Node("word", (), self.token.span, self.take().text))
                elif self.token.text in (":", "\\cdot", "*") and self.peek().text in (",", "}"):
                    items.append(Node("slice", (), self.take().span))
                elif self.token.text in ("\\mathrm", "\\operatorname", "\\mathit", "\\mathsf"):
                    items.append(self.styled_item())
                else:
                    items.append(self.expression())
                if self.token.text != ",":
                    break
                self.at += 1
            if self.token.kind == "end":
                self.fail("this brace is never closed.", token.span)
            if self.token.kind != "close":
                self.unexpected()
            self.at += 1
            return tuple(items)
        if token.kind == "text":
            self.at += 1
            return (Node("word", (), token.span, token.text),)
        if token.text in ("\\mathrm", "\\operatorname", "\\mathit", "\\mathsf"):
            return (self.styled_item(),)
        return (self.argument("_"),)

    def styled_item(self) -> Node:
        inner = self.styled(self.token.text[1:])
        if inner.head != "symbol" or inner.args:
            return inner
        return Node("word", (), inner.span, inner.value.base)

    def function_word(self) -> tuple[str, int] | None:
        """The function that the next tokens name, and how many tokens that takes."""
        token = self.token
        if token.kind == "macro":
            name = function(token.text[1:], macro=True)
            if name is not None:
                return name, 1
            if token.text.rstrip("*") in ("\\operatorname", "\\mathrm", "\\mathsf", "\\mathit", "\\mathbf"):
                start = 2 if self.peek().text == "*" else 1
                if self.peek(start).kind == "open":
                    k, letters = start + 1, ""
                    while self.peek(k).kind in ("letter", "number"):
                        letters += self.peek(k).text
                        k += 1
                    if self.peek(k).kind == "close" and len(letters) > 1 and function(letters) is not None:
                        return str(function(letters)), k + 1
        if token.kind == "text" and function(token.text) is not None and len(token.text) > 1:
            return str(function(token.text)), 1
        return None
