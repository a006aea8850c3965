"""What a macro or a pair of fences makes of its arguments: fractions, roots, derivatives, sums, norms, cases."""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.subscripts import Functions
from symgrad.lifting.latex.tokens import RELATIONS, Token

__all__ = [
    "Choices",
    "Parts",
]


# ----------------------------------------------------------------------------------------------------------- fractions
# Fractions, roots, sums and products in formulas in LaTeX.


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


# --------------------------------------------------------------------------------------------------------------- cases
# Choices, indicators and derivatives in formulas in LaTeX.

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
