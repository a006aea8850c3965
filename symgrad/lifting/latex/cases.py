"""Choices, indicators and derivatives in formulas in LaTeX."""

from __future__ import annotations

from symgrad.lifting.latex.fractions import Parts
from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.vocabulary import RELATIONS

__all__ = ["Choices"]

_IF = frozenset("if for when".split())
_ELSE = frozenset("otherwise else".split())
_JOINED = {"\\land": "and", "\\wedge": "and", "and": "and", ",": "and", "\\lor": "or", "\\vee": "or", "or": "or"}


class Choices(Parts):
    """Reads what is chosen by a condition, and derivatives, which name what a formula is for."""

    # -------------------------------------------------------------------------------- conditions
    def condition(self) -> Node:
        """Comparisons: ``x > 0``, ``0 < x \\le 1``, ``x > 0, y > 0``."""
        left = self.comparison()
        while (joined := _JOINED.get(self.token.text.lower())) is not None and self.token.kind != "letter":
            self.at += 1
            right = self.comparison()
            left = Node(joined, (left, right), (left.span[0], right.span[1]))
        return left

    def comparison(self) -> Node:
        left = self.expression()
        whole = None
        while self.token.text in RELATIONS:
            relation = RELATIONS[self.take().text]
            right = self.expression()
            here = Node("compare", (left, right), (left.span[0], right.span[1]), relation)
            whole = here if whole is None else Node("and", (whole, here), (whole.span[0], here.span[1]))
            left = right
        if whole is None:
            self.fail("a condition must be a comparison.", left.span, "Write, for example, x > 0.")
        return whole

    def compares(self) -> bool:
        """Whether a comparison stands between here and where this group closes."""
        depth = 0
        for token in self.tokens[self.at :]:
            depth += token.kind == "open" or token.text in ("(", "[", "\\{")
            depth -= token.kind == "close" or token.text in (")", "]", "\\}")
            if token.text in RELATIONS:
                return True
            if depth <= 0:
                return False
        return False

    def indicator(self, ones: Node) -> Node:
        """``\\mathbb{1}[x > 0]``, ``\\mathbf{1}_{x > 0}``; without a condition, ones."""
        below = self.token.text == "_" and self.token.kind == "sign"
        if below:
            self.at += 1
        if not self.compares():
            if ones.head == "symbol":
                self.at -= below
                return self.subscripted(ones)
            if below:
                self.subscript()  # the length, which the other tensors tell too
                return Node("ones", (), (ones.span[0], self.before.stop))
            if self.token.text in ("(", "["):
                self.fail(
                    "an indicator needs a condition.", (ones.span[0], self.token.stop), "Write \\mathbb{1}[x > 0]."
                )
            return ones
        closing = []
        while self.token.kind == "open" or self.token.text in ("(", "[", "\\{"):
            opening = self.take()
            closing.append({"(": ")", "[": "]", "\\{": "\\}"}.get(opening.text, "}"))
            self.fences.append(opening.text)
        if not closing:
            self.fail("an indicator's condition stands in brackets.", ones.span, "Write \\mathbb{1}[x > 0].")
        inner = self.condition()
        for mark in reversed(closing):
            if self.token.text != mark:
                self.unexpected() if self.token.kind != "end" else self.fail("this is never closed.", ones.span)
            self.at += 1
            self.fences.pop()
        return Node("indicator", (inner,), (ones.span[0], self.before.stop))

    def cases(self) -> Node:
        """``\\begin{cases} a & \\text{if } x > 0 \\\\ b & \\text{otherwise} \\end{cases}``."""
        start = self.take()
        parts: list[Node] = []
        while self.token.text != "\\end{cases}":
            if len(parts) % 2:
                self.fail("nothing follows the last choice.", self.token.span)
            self.fences.append("cases")
            value = self.expression()
            while self.token.text in ("&", ","):
                self.at += 1
            word = self.token.text.strip(" ,.:").lower() if self.token.kind == "text" else ""
            if word in _ELSE:
                self.at += 1
                parts.append(value)
            else:
                if word in _IF:
                    self.at += 1
                elif self.token.kind in ("row", "end") or self.token.text == "\\end{cases}":
                    self.fail("this choice has no condition.", value.span, "Write x > 0 or \\text{otherwise} after &.")
                parts += [value, self.condition()]
            self.fences.pop()
            while self.token.text in (",", ".", ";", "&"):
                self.at += 1
            if self.token.kind == "row":
                self.at += 1
            elif self.token.text != "\\end{cases}":
                if self.token.kind == "end":
                    self.fail("\\begin{cases} is never closed.", start.span, "Write \\end{cases}.")
                self.unexpected()
        if not parts:
            self.fail("there is nothing to choose from.", (start.start, self.token.stop))
        self.at += 1
        return Node("cases", tuple(parts), (start.start, self.before.stop))

    # -------------------------------------------------------------------------------- derivatives
    def derivative(self) -> Node | None:
        """``\\frac{\\partial f}{\\partial x}``, ``\\partial f/\\partial x``, ``dy/dx`` or ``\\nabla_x f``, or None."""
        token = self.token
        if token.text == "\\nabla":
            return self.nabla()
        if token.text in ("\\frac", "\\dfrac", "\\tfrac") and self.peek().kind == "open":
            k = self.at + 2
            top = self.sign_at(k)
            depth = 1
            while depth and self.tokens[k].kind != "end":
                depth += {"open": 1, "close": -1}.get(self.tokens[k].kind, 0)
                k += 1
            if top and self.tokens[k].kind == "open" and self.sign_at(k + 1):
                return self.slope_fraction()
            return None
        if self.sign_at(self.at):
            return self.slope_inline()
        return None

    def sign_at(self, k: int) -> int:
        """How many tokens at ``k`` are the sign of a differential, 0 for none."""

        def text(j: int) -> str:
            return self.tokens[min(j, len(self.tokens) - 1)].text

        if text(k) == "\\partial":
            return 1
        if text(k) in ("\\mathrm", "\\operatorname"):
            return 4 if [text(k + 1), text(k + 2), text(k + 3)] == ["{", "d", "}"] else 2 if text(k + 1) == "d" else 0
        if text(k) != "d" or self.tokens[k].kind != "letter" or (self.known is not None and "d" in self.known):
            return 0
        following = self.tokens[k + 1]
        named = self.starts_name(following) or following.text == "\\nabla"
        return int(named or following.text == "^" or following.kind == "close")

    def differentiated(self) -> Node:
        """The name of what is differentiated, with its arguments left out."""
        if not self.starts_name(self.token):
            self.fail(
                "what is differentiated must be a name.",
                self.token.span,
                "Define it first, f = ..., and write \\frac{\\partial f}{\\partial x} = ...",
            )
        node = self.subscripted(self.bare_name())
        if node.head != "symbol":
            self.fail("what is differentiated must be a name.", node.span)
        if self.token.text in ("(", "["):
            self.named_arguments()
        return node

    def named_arguments(self) -> tuple[Node, ...]:
        """``(x, y; W)`` after a function's name: names alone."""
        opening, found = self.take(), []
        while True:
            braces = 0
            while self.token.kind == "open":
                self.at += 1
                braces += 1
            if not self.starts_name(self.token):
                self.fail("the arguments of a function that is defined are names.", (opening.start, self.token.stop))
            found.append(self.subscripted(self.sure_name()))
            for _ in range(braces):
                if self.token.kind != "close":
                    self.fail(
                        "the arguments of a function that is defined are names.", (opening.start, self.token.stop)
                    )
                self.at += 1
            if self.token.text not in (",", ";", "|", "\\mid"):
                break
            self.at += 1
        if self.token.text not in (")", "]"):
            self.fail("the arguments of a function that is defined are names.", (opening.start, self.token.stop))
        self.at += 1
        return tuple(found)

    def order_here(self) -> int:
        if self.token.text != "^":
            return 1
        self.at += 1
        power = self.argument("^")
        if power.head != "number" or power.value not in (1, 2):
            self.fail("a derivative is read to the second order.", power.span)
        return int(power.value)

    def below_line(self) -> list[Node]:
        """``\\partial x_i \\partial x_j``, ``\\partial x^2``, ``\\partial x \\partial x^\\top``."""
        found = []
        while size := self.sign_at(self.at):
            self.at += size
            if not self.starts_name(self.token):
                self.fail("a derivative is taken with respect to a name.", self.token.span)
            node = self.subscripted(self.bare_name())
            if node.head != "symbol":
                self.fail("a derivative is taken with respect to a name.", node.span)
            if self.token.text == "^" and self.exponent()[0].kind == "number":
                found += [node] * self.order_here()
                continue
            if self.token.text == "^":
                self.raised(node)  # x^\top: the axes are the same
            found.append(node)
        return found

    def slope_fraction(self) -> Node:
        start = self.take()
        self.at += 1
        self.at += self.sign_at(self.at)
        order = self.order_here()
        of = None if self.token.kind == "close" else self.differentiated()
        if self.token.kind != "close":
            self.fail("only a name is differentiated.", self.token.span, "Define it first, f = ...")
        self.at += 2
        wrt = self.below_line()
        if self.token.kind != "close" or not wrt:
            self.fail("a derivative is taken with respect to names.", (start.start, self.token.stop))
        self.at += 1
        if of is None:
            of = self.differentiated()
        return self.slope(of, wrt, order, (start.start, self.before.stop))

    def slope_inline(self) -> Node | None:
        start, mark = self.token, self.at
        partial = start.text == "\\partial"
        self.at += self.sign_at(mark)
        if partial and self.token.text == "_":
            self.at += 1
            below = self.subscript()
            return self.slope(self.differentiated(), list(below), len(below), (start.start, self.before.stop))
        if self.token.text == "^" and not partial:
            self.at = mark
            return None
        order = self.order_here()
        if not partial:
            end = self.at + 1
            if self.starts_name(self.token) and self.peek().text == "_":
                end = self.at + 2 + (len(self.exponent_at(self.at + 2)))
            if self.tokens[min(end, len(self.tokens) - 1)].text != "/" or not self.sign_at(
                min(end + 1, len(self.tokens) - 1)
            ):
                self.at = mark
                return None
        of = self.differentiated()
        if self.token.text != "/":
            self.fail(
                "this derivative is not read.",
                (start.start, self.token.stop),
                "Write \\frac{\\partial f}{\\partial x}.",
            )
        self.at += 1
        size = self.sign_at(self.at)
        if not size:
            self.fail("a derivative is taken with respect to a name.", (start.start, self.token.stop))
        self.at += size
        if not self.starts_name(self.token):
            self.fail("a derivative is taken with respect to a name.", (start.start, self.token.stop))
        wrt = [self.subscripted(self.bare_name())]
        if self.token.text == "^" and order > 1:
            wrt *= self.order_here()
        return self.slope(of, wrt, order, (start.start, self.before.stop))

    def exponent_at(self, k: int) -> list[object]:
        """The tokens of the script at ``k``, with its braces."""
        if self.tokens[k].kind != "open":
            return [self.tokens[k]]
        depth, j = 0, k
        while True:
            depth += {"open": 1, "close": -1}.get(self.tokens[j].kind, 0)
            j += 1
            if depth == 0 or self.tokens[j].kind == "end":
                return list(self.tokens[k:j])

    def nabla(self) -> Node:
        start = self.take()
        wrt: list[Node] = []
        order = 1
        while self.token.text in ("_", "^"):
            if self.token.text == "_":
                self.at += 1
                if wrt:
                    self.fail("two subscripts stand on \\nabla.", (start.start, self.token.stop))
                braces = self.token.kind == "open"
                self.at += braces
                if not self.starts_name(self.token):
                    self.fail("\\nabla_ needs a name.", (start.start, self.token.stop), "Write \\nabla_w f.")
                wrt.append(self.subscripted(self.sure_name()) if braces else self.sure_name())
                if braces and self.token.kind != "close":
                    self.fail("\\nabla_ needs one name.", (start.start, self.token.stop), "Write \\nabla_w f.")
                self.at += braces
            else:
                order = self.order_here()
        of = self.differentiated()
        return Node("derivative", (of, *wrt * order), (start.start, self.before.stop), order)

    def slope(self, of: Node, wrt: list[Node], order: int, span: tuple[int, int]) -> Node:
        if any(w.head != "symbol" for w in wrt):
            self.fail("a derivative is taken with respect to names.", span)
        if len(wrt) != order:
            self.fail(
                f"the order is {order} above the line and {len(wrt)} below it.",
                span,
                "Write \\frac{\\partial^2 f}{\\partial x^2}, or \\frac{\\partial f}{\\partial x}.",
            )
        return Node("derivative", (of, *wrt), span, order)
