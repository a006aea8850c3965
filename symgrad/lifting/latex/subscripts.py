"""What stands below, above and after a factor: subscripts, primes, powers, transposes, labels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import NoReturn

from symgrad.lifting.latex.names import Names
from symgrad.lifting.latex.nodes import Name, Node
from symgrad.lifting.latex.tokens import Token

__all__ = ["Scripts", "is_transposed"]


def is_transposed(tokens: list[Token]) -> bool:
    """Whether these tokens, as an exponent, mean a transpose."""
    words = [t.text for t in tokens]
    if words in (["T"], ["\\top"], ["\\intercal"], ["\\mathsf", "T"], ["\\mathrm", "T"], ["\\intercal", "\\,"]):
        return True
    return (
        len(words) == 4
        and words[0] in ("\\mathsf", "\\mathrm", "\\text", "\\mathtt")
        and words[1::2] == ["{", "}"]
        and words[2] == "T"
    )


class Scripts(Names):
    """Reads scripts."""

    def __init__(self, text: str, tokens: list[Token], known: frozenset[str] | None, alone: frozenset[str]) -> None:
        super().__init__(text, tokens, known)
        self.alone = alone  # sigma, where it is a number somewhere in the formula
        self.fences: list[str] = []
        self.commas = False

    def term(self) -> Node:
        raise NotImplementedError

    def factor(self) -> Node:
        raise NotImplementedError

    def primary(self) -> Node:
        raise NotImplementedError

    def fenced(self, *, commas: bool = False) -> Node:
        raise NotImplementedError

    def starts_factor(self, token: Token) -> bool:
        raise NotImplementedError

    def missing(self) -> NoReturn:
        raise NotImplementedError

    def other_argument(self, what: str) -> Node:
        if self.token.text in ("\\frac", "\\dfrac", "\\tfrac"):
            return self.primary()
        if self.starts_name(self.token):
            return self.bare_name()
        return super().other_argument(what)

    def braced(self) -> Node:
        self.fences.append("{")
        outside, self.commas = self.commas, False
        node = super().braced()
        self.commas = outside
        self.fences.pop()
        return node

    # -------------------------------------------------------------------------------- scripts
    def subscripted(self, node: Node) -> Node:
        """A name with its primes and its subscript."""
        while node.head == "symbol":
            if self.token.text == "_" and self.token.kind == "sign":
                if node.args:
                    self.fail("two subscripts stand on one name.", (node.span[0], self.token.stop), "Write x_{i,j}.")
                self.at += 1
                node = Node("symbol", self.subscript(), (node.span[0], self.before.stop), node.value)
            elif self.token.text == "'" and self.token.kind == "sign":
                self.at += 1
                node = self.primed(node)
            else:
                break
        return node

    def primed(self, node: Node) -> Node:
        name = Name(f"{node.value.base}_prime", node.value.style, f"{node.value.shown}'")
        return Node("symbol", node.args, (node.span[0], self.before.stop), name)

    def exponent(self) -> list[Token]:
        """The tokens of an exponent, which is not read yet."""
        if self.token.kind != "open":
            if self.token.text in ("\\mathsf", "\\mathrm") and self.peek().text in ("T", "{"):
                return self.tokens[self.at : self.at + (4 if self.peek().text == "{" else 2)]
            return [self.token]
        depth, k = 0, self.at
        while True:
            depth += {"open": 1, "close": -1}.get(self.tokens[k].kind, 0)
            if self.tokens[k].kind == "end":
                self.fail("this brace is never closed.", self.token.span)
            if depth == 0:
                return self.tokens[self.at + 1 : k]
            k += 1

    def raised(self, node: Node) -> Node:
        """What stands after a factor: powers, transposes, labels, factorials, indices on a parenthesis."""
        powers = 0
        while True:
            token = self.token
            if token.kind != "sign" or token.text not in ("^", "_", "!", "'"):
                return node
            self.visible(node, ("add", "neg", "mul", "call", "sum", "prod"))
            if token.text == "!":
                self.at += 1
                node = Node("factorial", (node,), (node.span[0], token.stop))
            elif token.text == "_":
                node = self.entry(node)
            elif token.text == "'":
                if powers and node.head == "pow" and node.args[0].head == "symbol":
                    self.fail("a prime after a power.", token.span, "Write the prime first: x'^2.")
                self.fail("a prime is a derivative to some and a transpose to others.", token.span, "Write ^\\top.")
            else:
                self.at += 1
                before = node
                node = self.superscript(node)
                powers += not (before.head == node.head == "symbol")
                if powers > 1:
                    self.fail(
                        "two exponents stand on one factor.",
                        (node.span[0], self.before.stop),
                        "Write {x^a}^b as x^{ab} or (x^a)^b.",
                    )

    def entry(self, node: Node) -> Node:
        """``(A x)_i``, and ``x^2_i``, where the index belongs to the name below the power."""
        self.at += 1
        items = self.subscript()
        span = (node.span[0], self.before.stop)
        if node.head == "pow" and node.args[0].head == "norm" and node.args[0].value == "2":  # \\|A\\|^2_F
            kind = str(items[0].value.base if items[0].head == "symbol" else items[0].value)
            if kind in ("1", "2", "F") and len(items) == 1:
                return Node("pow", (replace(node.args[0], value=kind), node.args[1]), span)
        if node.head in ("pow", "transpose") and node.args[0].head == "symbol" and self.text[node.span[0]] not in "({[":
            base = node.args[0]
            if base.args:
                self.fail("two subscripts stand on one name.", span, "Write x_{i,j}.")
            inner = Node("symbol", items, base.span, base.value)
            return Node(node.head, (inner, *node.args[1:]), span, node.value)
        return Node("entry", (node, *items), span)

    def superscript(self, node: Node) -> Node:
        inside = self.exponent()
        texts = [t.text for t in inside]
        braces = self.token.kind == "open"
        span = (node.span[0], inside[-1].stop + braces if inside else self.token.stop)
        end = self.at + len(inside) + 2 * braces
        closing = {"(": ")", "[": "]"}.get(texts[0] if texts else "")
        if node.head == "symbol" and closing in texts[2:] and not node.value.label:
            rest = inside[texts.index(closing) + 1 :]
            if not rest or is_transposed(rest):
                return self.labelled(node, span, end, bool(rest))
        if is_transposed(inside):
            self.at = end
            return Node("transpose", (node,), span, "T" if "T" in texts and len(texts) == 1 else "top")
        if texts[:1] == ["-"] and is_transposed(inside[1:]):
            self.at = end
            minus = Node("number", (), inside[0].span, Fraction(-1))
            return Node("transpose", (Node("pow", (node, minus), span),), span, "top")
        if texts and all(t in ("\\prime", "'") for t in texts) and node.head == "symbol":
            self.at = end
            return self.primed(node)
        if texts[:1] in (["\\odot"], ["\\circ"]) and len(texts) > 1:
            self.at += 2
            power = self.expression()
            if self.token.kind != "close":
                self.missing()
            self.at += 1
            return Node("hadamard_power", (node, power), span)
        if (
            texts
            and all(
                t in ("*", "\\ast", "\\star", "\\dagger", "\\dag", "+", "H", "\\mathsf", "\\mathrm", "{", "}")
                for t in texts
            )
            and texts != ["H"]
        ):
            self.fail(
                f"the exponent {' '.join(texts)} has many meanings.",
                span,
                "For a transpose write ^\\top, for a name \\mathrm{x\\_star}, for an inverse ^{-1}.",
            )
        power = self.argument("^")
        return Node("pow", (node, power), (node.span[0], self.before.stop))

    def labelled(self, node: Node, span: tuple[int, int], end: int, transposed: bool) -> Node:
        """``W^{(1)}``, ``x^{(i)}``, ``W^{[l]\\top}``."""
        self.at += 1
        inner = self.fenced(commas=True)
        label = inner.args if inner.head == "several" else (inner,)
        self.at = end
        named = Node("symbol", node.args, span, replace(node.value, label=label))
        if self.token.text == "_" and self.token.kind == "sign" and not node.args:
            named = self.subscripted(named)
        return Node("transpose", (named,), span, "top") if transposed else named
