"""The nodes of formulas in LaTeX, and a cursor over tokens that fails with the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NoReturn

from symgrad.errors import BadFormula, SymgradError, UnknownOperation, caret
from symgrad.lifting.latex.tokens import ACCENTS, FONTS, GREEK, Token, function
from symgrad.ops.scalars import unknown

__all__ = [
    "Cursor",
    "Name",
    "Names",
    "Node",
    "Undecided",
    "place",
    "settled",
    "spelled",
]


# --------------------------------------------------------------------------------------------------------------- nodes

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


# --------------------------------------------------------------------------------------------------------------- names
# Names in formulas in LaTeX, with their fonts, accents and subscripts.

_SAME = {"varepsilon": "epsilon", "imath": "i", "jmath": "j"}


class Names(Cursor):
    """Reads names."""

    def starts_name(self, token: Token) -> bool:
        if token.kind in ("letter", "text"):
            return True
        word = token.text[1:]
        return token.kind == "macro" and (word in GREEK or word in ACCENTS or word in FONTS or word == "operatorname")

    def plain_name(self) -> Node:
        """A letter, Greek or not, as TeX takes it: alone."""
        token = self.take()
        base = token.text.removeprefix("\\")
        style = "variant" if base == "varepsilon" else ""
        return Node("symbol", (), token.span, Name(_SAME.get(base, base), style, token.text))

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
        if self.token.text == "*" and word == "operatorname":
            self.at += 1
        style = FONTS.get(word, "")
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
        if letters == "d" and word == "mathrm" and self.starts_name(self.token):
            self.fail("\\mathrm{d} stands for a differential.", span, "For the product write d \\cdot x.")
        applied = self.starts_name(self.token) or self.token.text in ("(", "[", "\\{", "{")
        if word == "operatorname" and applied and letters not in (self.known or ()):
            raise unknown(letters, place(self.text, span))
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
        if " " in letters.strip() or letters.strip().lower() in (
            "if",
            "where",
            "for",
            "and",
            "or",
            "otherwise",
            "else",
        ):
            self.fail("text is not part of a formula.", span, "Leave it out; conditions stand in \\begin{cases}.")
        return Node("symbol", (), span, Name(clean, style, letters))

    def subscript(self) -> tuple[Node, ...]:
        """What stands below a name, after the sign ``_``: items that commas separate."""
        token = self.token
        if token.kind == "open" and (letters := self.letters_below()) is not None:
            return (letters,)
        if token.kind == "macro" and function(token.text[1:], macro=True) is not None:
            self.at += 1
            return (Node("word", (), token.span, token.text[1:]),)
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

    def letters_below(self) -> Node | None:
        """``_{hy}``, ``_{max}``, ``_{\\max}``: letters alone, which are no function there."""
        k, found = self.at + 1, []
        while self.tokens[k].kind in ("letter", "number"):
            found.append(self.tokens[k])
            k += 1
        if self.tokens[k].kind == "macro" and not found and function(self.tokens[k].text[1:], macro=True):
            found.append(self.tokens[k])
            k += 1
        if (
            self.tokens[k].kind != "close"
            or not found
            or found[0].kind == "number"
            or (len(found) == 1 == k - self.at - 1 and found[0].kind == "letter")
        ):
            return None
        span = (found[0].start, found[-1].stop)
        self.at = k + 1
        if found[0].kind == "macro":
            return Node("word", (), span, found[0].text[1:])
        if any(t.kind == "number" for t in found):
            return Node("word", (), span, "".join(t.text for t in found))
        items = tuple(Node("symbol", (), t.span, Name(t.text, "", t.text)) for t in found)
        return Node("mul", items, span, ("",) * (len(items) - 1))

    def styled_item(self) -> Node:
        inner = self.styled(self.token.text[1:])
        if inner.head != "symbol" or inner.args:
            return inner
        return Node("word", (), inner.span, inner.value.base)
