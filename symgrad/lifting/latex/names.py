"""Names in formulas in LaTeX, with their fonts, accents and subscripts."""

from __future__ import annotations

from symgrad.lifting.latex.nodes import Cursor, Name, Node, place
from symgrad.lifting.latex.tokens import GREEK, Token
from symgrad.lifting.latex.vocabulary import ACCENTS, FONTS, function
from symgrad.ops.scalars import unknown

__all__ = ["Names"]

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
