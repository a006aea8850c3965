"""Fractions, roots, sums and products in formulas in LaTeX."""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from symgrad.lifting.latex.calls import Functions
from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.tokens import Token

__all__ = ["Parts"]


class Parts(Functions):
    """Reads what a macro makes of its arguments."""

    def fraction(self) -> Node:
        token = self.take()
        top = self.digits() or self.argument(token.text)
        bottom = self.argument(token.text)
        return Node("frac", (top, bottom), (token.start, self.before.stop))

    def root(self) -> Node:
        token = self.take()
        order = None
        if self.token.text == "[":
            order = self.fenced()
        inner = self.argument(token.text)
        span = (token.start, self.before.stop)
        if order is None:
            return Node("root", (inner,), span, 2)
        if order.head != "number" or order.value.denominator != 1 or not 2 <= order.value <= 64:
            return Node(
                "pow", (inner, Node("frac", (Node("number", (), order.span, Fraction(1)), order), order.span)), span
            )
        return Node("root", (inner,), span, int(order.value))

    def square_root(self, count: int) -> Node:
        start = self.token.start
        self.at += count
        inner = self.fenced()
        return Node("root", (inner,), (start, inner.span[1]), 2)

    # -------------------------------------------------------------------------------- sums and products
    def folded(self) -> Node:
        """``\\sum_{k=1}^{m} body``: the body goes to the next + or - outside of parentheses."""
        token = self.take()
        names: list[Node] = []
        low = high = None
        while self.token.text in ("_", "^") and self.token.kind == "sign":
            sign = self.take()
            if sign.text == "_" and not names:
                names, low = self.below(token)
            elif sign.text == "^" and high is None:
                high = self.argument("^")
            else:
                self.fail("two limits stand on one side.", sign.span)
        if not names:
            self.fail(
                f"{token.text} has no index.",
                token.span,
                f"Write {token.text}_{{k=1}}^{{m}}.",
            )
        if (low is None) != (high is None):
            here = (token.start, self.before.stop)
            self.fail(
                f"{token.text} has only one limit.",
                here,
                f"Write {token.text}_{{k=1}}^{{m}}, or {token.text}_k for all.",
            )
        body = self.visible(self.term())
        for name in reversed(names):
            span = (token.start, body.span[1])
            limits = () if low is None or high is None else (low, high)
            body = Node(token.text[1:], (body, *limits), span, (name.value.base, (token.start, name.span[1])))
        return body

    def below(self, token: Token) -> tuple[list[Node], Node | None]:
        """``_k``, ``_{k=1}``, ``_{i,j}``."""
        braces = self.token.kind == "open"
        if braces:
            self.at += 1
        names = []
        while True:
            if not self.starts_name(self.token):
                self.limits(token)
            name = self.bare_name()
            while self.token.text == "'":
                self.at += 1
                name = self.primed(name)
            if name.head != "symbol":
                self.limits(token)
            names.append(name)
            if not braces or self.token.text != ",":
                break
            self.at += 1
        low = None
        if braces:
            if self.token.text == "=":
                self.at += 1
                low = self.expression()
            if self.token.kind != "close":
                self.limits(token)
            self.at += 1
        return names, low

    def limits(self, token: Token) -> NoReturn:
        self.fail(
            f"what stands below {token.text} is not read.",
            (token.start, self.token.stop),
            f"Write {token.text}_{{k=1}}^{{m}}, or {token.text}_k for all entries; "
            "a condition goes into \\mathbb{1}[...].",
        )
