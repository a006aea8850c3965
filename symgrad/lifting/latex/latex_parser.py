r"""The grammar of formulas in LaTeX: sums, products, powers, functions, fences.

Where two readings are common, there is an error and not a guess: after a slash (``1/2x``), after a function's argument
without parentheses (``\sin x y``), after a name that may be a function (``f(x + 1)``).
"""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from symgrad.errors import UnknownOperation
from symgrad.lifting.latex.constructs import Choices
from symgrad.lifting.latex.nodes import Node, Undecided, place, spelled
from symgrad.lifting.latex.tokens import GREEK, INSTEAD, LIKE_FUNCTIONS, OPERATORS, WORDS, Token, function
from symgrad.ops.scalars import unknown

__all__ = [
    "Parser",
    "Symbols",
]


# ------------------------------------------------------------------------------------------------------------- symbols
# Names as factors: words without a backslash, and names before a parenthesis, which may be functions.


class Symbols(Choices):
    """Reads a name where a factor may stand."""

    def letters(self) -> Node:
        """A letter; or, where letters stand together, a function's name that lacks its backslash."""
        run = [self.token]
        while (following := self.peek(len(run))).kind == "letter" and following.start == run[-1].stop:
            run.append(following)
        inside = self.at > 0 and self.before.kind == "letter" and self.before.stop == run[0].start
        word, span, after = "".join(t.text for t in run), (run[0].start, run[-1].stop), self.peek(len(run))
        if len(run) == 1 or inside:
            return self.named()
        opens = after.text in ("(", "[", "\\{") or (after.kind == "open" and self.peek(len(run) + 1).text == "(")
        if opens and (word in WORDS or (len(word) > 3 and function(word) is not None)):
            if word in ("asin", "acos", "atan"):
                self.fail(f"{word} is a function to some and a\\{word[1:]} to others.", span, f"Write \\arc{word[1:]}.")
            return self.call(str(function(word)), len(run)) if word != "sqrt" else self.square_root(len(run))
        if word in WORDS:
            self.fail(f"{word} without a backslash is the product of its letters.", span, f"Write \\{word}.")
        ending = next((w for w in sorted(WORDS, key=len, reverse=True) if word.endswith(w)), None)
        if opens and ending is not None:
            start = word.removesuffix(ending)
            self.fail(
                f"{word}(...) holds the function {ending}, or is a product.", span, f"Write {start} \\{ending}(...)."
            )
        if opens and (len(word) > 2 or function(word) is not None):
            self.fail(
                f"{word}(...) is a product of {len(word)} letters in LaTeX, and looks like a function.",
                span,
                f"Write \\operatorname{{{word}}}(...), or the factors with spaces: {' '.join(word)} (...).",
            )
        if (self.known is not None and word in self.known) or len(word) > 3:
            self.fail(
                f"{word} is a product of {len(word)} letters in LaTeX, and looks like one name.",
                span,
                f"Write \\mathrm{{{word}}} for the name, or the factors with spaces: {' '.join(word)}.",
            )
        if len(word) == 2 and word[0] == "d" and not (self.known is not None and "d" in self.known):
            self.fail(f"{word} looks like a differential.", span, f"For the product write d \\cdot {word[1]}.")
        return self.named()

    def named(self) -> Node:
        """A name with its scripts, and a call where a parenthesis follows one that is a function."""
        node = self.bare_name()
        if node.head != "symbol":
            return self.indicator(node) if node.head == "ones" else node
        if node.value.base == "I" and node.value.style == "blackboard" and self.token.text in ("(", "[", "_"):
            return self.indicator(node)
        node = self.subscripted(node)
        if self.token.text in ("(", "[", "\\{") and self.token.kind == "sign":
            return self.before_parenthesis(node)
        return node

    def before_parenthesis(self, node: Node) -> Node:
        full, base = spelled(node), node.value.base
        if self.known is not None and (full in self.known or base in self.known):
            return node
        letter = node.value.shown or base
        if letter == base and len(base) > 1:
            raise unknown(base, place(self.text, node.span))
        if node.value.style == "blackboard" or (base in ("E", "P") and self.token.text == "["):
            self.fail(f"{letter} with brackets is an expectation or a probability.", node.span, "Write out its value.")
        if base in ("sigma", "Gamma") and not node.args and not node.value.style:
            if base in self.alone:
                self.fail(
                    f"{letter} is a function here, and a number elsewhere in the formula.",
                    (node.span[0], self.token.stop),
                    f"For a product write {letter} \\cdot (...); the logistic function is \\operatorname{{sigmoid}}."
                    if base == "sigma"
                    else f"For a product write {letter} \\cdot (...); the function is \\operatorname{{gamma}}.",
                    Undecided,
                )
            return self.call("sigmoid" if base == "sigma" else "gamma", 0, node.span)
        if base.replace("_prime", "") == "sigma" and not node.args:
            return self.call("sigmoid" + "'" * base.count("_prime"), 0, node.span)
        if base in LIKE_FUNCTIONS or base.endswith("_prime"):
            self.fail(
                f"{letter}(...) reads as a function, and which one is not known.",
                (node.span[0], self.token.stop),
                f"Write out what it is; for a product write {letter} \\cdot (...).",
                Undecided,
            )
        mark = self.at
        inner = self.fenced(commas=True)
        if inner.head == "several":
            self.fail(
                f"{letter}(...) with a comma is a call, and {letter} is not a known function.",
                (node.span[0], inner.span[1]),
                "The functions are those of the table, such as \\exp, \\tanh and \\operatorname{softmax}.",
                Undecided,
            )
        if inner.head in ("symbol", "number"):
            self.fail(
                f"{letter}(...) around one name reads as a call.",
                (node.span[0], inner.span[1]),
                f"For the product write {letter} \\cdot {self.text[slice(*inner.span)][1:-1].strip()}.",
                Undecided,
            )
        self.at = mark
        return node

    def raised_call(self, last: Node) -> None:
        """Refuse ``f^2(x)``, which may be a square of a function's value."""
        name = last.args[0]
        base = name.value.base
        if self.known is not None and (spelled(name) in self.known or base in self.known):
            return
        mark, inner = self.at, self.fenced(commas=True)
        if base in LIKE_FUNCTIONS or base == "Gamma" or inner.head in ("symbol", "several"):
            shown = self.text[slice(*last.span)]
            self.fail(
                f"{shown}(...) reads as the power of a function.",
                (last.span[0], inner.span[1]),
                f"For the product write {shown} \\cdot (...), for the power ({name.value.shown}(...))^n.",
                Undecided,
            )
        self.at = mark


# -------------------------------------------------------------------------------------------------------- latex parser

_CLOSING = {"(": ")", "[": "]", "\\{": "\\}", "\\langle": "\\rangle"}
_TYPED = 6  # a decimal of so many digits is taken to be rounded in its last one
_HEADS = frozenset("\\frac \\dfrac \\tfrac \\cfrac \\sqrt \\sum \\prod \\begin{cases} \\langle".split())


class Parser(Symbols):
    """Reads one formula; ``expression`` is the way in."""

    # -------------------------------------------------------------------------------- sums and products
    def expression(self) -> Node:
        """Terms, and the signs between them."""
        self.deeper()
        terms = [self.term()]
        while self.token.text in ("+", "-") and self.token.kind == "sign":
            sign = self.take()
            if self.token.text in ("+", "-"):
                self.fail("two signs stand in a row.", (sign.start, self.token.stop), "Write a - (-b).")
            right = self.visible(self.product())
            terms.append(right if sign.text == "+" else Node("neg", (right,), (sign.start, right.span[1])))
        self.depth -= 1
        if len(terms) == 1:
            return terms[0]
        return Node("add", tuple(terms), (terms[0].span[0], terms[-1].span[1]))

    def term(self) -> Node:
        token = self.token
        if token.kind == "sign" and token.text in ("+", "-"):
            self.at += 1
            if self.token.text in ("+", "-"):
                self.fail("two signs stand in a row.", (token.start, self.token.stop), "Write a - (-b).")
            inner = self.visible(self.product())
            return Node("neg", (inner,), (token.start, inner.span[1])) if token.text == "-" else inner
        return self.product()

    def product(self) -> Node:
        """Factors, with signs between them or none."""
        factors = [self.factor()]
        operators: list[str] = []
        while True:
            token = self.token
            if token.text in OPERATORS and token.kind in ("sign", "macro"):
                self.at += 1
                operators.append(OPERATORS[token.text])
                if self.token.text in ("-", "+"):
                    sign = self.take()
                    inner = self.factor()
                    factors.append(Node("neg", (inner,), (sign.start, inner.span[1])) if sign.text == "-" else inner)
                else:
                    factors.append(self.factor())
            elif self.starts_factor(token):
                self.juxtaposed(token, factors, operators)
                operators.append("")
                factors.append(self.factor())
            else:
                break
        if len(factors) == 1:
            return factors[0]
        for factor in factors:
            self.visible(factor)
        return Node("mul", tuple(factors), (factors[0].span[0], factors[-1].span[1]), tuple(operators))

    def juxtaposed(self, token: Token, factors: list[Node], operators: list[str]) -> None:
        """Refuse a factor without a sign before it where that has two readings."""
        last = factors[-1]
        if operators and operators[-1] == "/":
            self.fail(
                "after a slash it is not clear what the denominator is.",
                (last.span[0], token.stop),
                "Write \\frac{a}{b c}, a/(b c) or \\frac{a}{b} c.",
            )
        if "\\quad" in (between := self.text[last.span[1] : token.start]) or "\\qquad" in between:
            self.fail(
                "\\quad separates what stands beside it.",
                (last.span[0], token.stop),
                "Leave out an equation's number and remarks; for a product write \\cdot.",
            )
        if token.kind == "number":
            self.fail(
                "a number follows a factor.",
                (last.span[0], token.stop),
                "Write it first, 2x, or with a sign, x \\cdot 2; a subscript is x_2 and a power x^2.",
            )
        if token.text in ("(", "[") and last.head == "pow" and last.args[0].head == "symbol":
            self.raised_call(last)
        pipes = [f for f in factors if f.head == "abs" and f.value != "sided"]
        if token.text == "|" and not token.side and pipes and last.head != "abs":
            self.fail(
                "it is not clear which | opens and which closes.",
                (pipes[0].span[0], token.stop),
                "Write \\left| ... \\right|.",
            )

    def starts_factor(self, token: Token) -> bool:
        if token.kind in ("letter", "number", "open"):
            return True
        if token.kind == "text":
            return token.text.strip(" ,.:").lower() not in _CONNECTING
        if token.text in ("|", "\\|"):
            return not self.closes_fence(token)
        if token.kind == "sign":
            return token.text in ("(", "[", "\\{")
        if token.kind != "macro":
            return False
        return (
            token.text in _HEADS
            or self.starts_name(token)
            or function(token.text[1:], macro=True) is not None
            or token.text in ("\\partial", "\\nabla")
            or (token.text not in INSTEAD and token.text not in OPERATORS and token.text not in _STOPS)
        )

    # -------------------------------------------------------------------------------- factors
    def factor(self) -> Node:
        self.deeper()
        node = self.raised(self.primary())
        self.depth -= 1
        return node

    def primary(self) -> Node:
        token = self.token
        found = self.derivative()
        if found is not None:
            return found
        word = self.function_word()
        if word is not None:
            return self.call(word[0], word[1])
        if token.kind == "number":
            return self.number(self.take())
        if token.kind == "letter":
            return self.letters()
        if token.kind == "open":
            return self.braced()
        if token.text in ("(", "[", "\\{", "\\langle"):
            return self.fenced()
        if token.text in ("|", "\\|"):
            return self.absolute()
        if token.text in ("\\frac", "\\dfrac", "\\tfrac", "\\cfrac"):
            return self.fraction()
        if token.text == "\\sqrt":
            return self.root()
        if token.text in ("\\sum", "\\prod"):
            return self.folded()
        if token.text == "\\begin{cases}":
            return self.cases()
        if self.starts_name(token):
            return self.named()
        self.missing()

    def number(self, token: Token) -> Node:
        digits = token.text.replace(".", "").lstrip("0")
        if len(token.text) > 300:
            self.fail("a number of more than 300 digits is not read.", token.span)
        value = Fraction(token.text)
        if self.token.text == "," and self.peek().kind == "number" and len(self.peek().text) == 3 and not self.commas:
            self.fail("a comma inside a number is not read.", (token.start, self.peek().stop), "Write 1000.")
        binary = value.denominator & (value.denominator - 1) == 0
        if "." in token.text and len(digits) >= _TYPED and not binary:
            return Node("decimal", (), token.span, token.text)
        return Node("number", (), token.span, value)

    # -------------------------------------------------------------------------------- fences
    def fenced(self, *, commas: bool = False) -> Node:
        """``( formula )``, and with ``commas`` several of them."""
        opening = self.take()
        outside, self.commas = self.commas, commas
        self.fences.append(opening.text)
        items: list[Node] = []
        if self.token.text == _CLOSING[opening.text]:
            self.fail("there is nothing between these parentheses.", (opening.start, self.token.stop))
        while True:
            items.append(self.expression())
            if self.token.text != "," or not (commas or opening.text == "\\langle"):
                break
            self.at += 1
        closing = self.token
        if closing.kind in ("end", "row") or (closing.kind == "sign" and closing.text == "&"):
            self.fail("this parenthesis is never closed.", opening.span)
        if closing.text != _CLOSING[opening.text]:
            if closing.text in _CLOSING.values():
                self.fail(f"{opening.text} is closed by {closing.text}.", (opening.start, closing.stop))
            if closing.kind == "close":
                self.fail("this parenthesis is never closed.", opening.span)
            self.unexpected()
        self.at += 1
        self.fences.pop()
        self.commas = outside
        span = (opening.start, closing.stop)
        self.fence = span
        if opening.text == "\\langle":
            if len(items) != 2:
                self.fail("an inner product has two sides.", span, "Write \\langle x, y \\rangle.")
            return Node("inner", tuple(items), span)
        if len(items) > 1:
            return Node("several", tuple(items), span)
        (inner,) = items
        return Node(inner.head, inner.args, span, inner.value)

    def closes_fence(self, token: Token) -> bool:
        if token.side:
            return token.side == "r"
        if not self.fences:
            return False
        if self.fences[-1] == "||":
            return token.text == "|" and self.peek().text == "|" and self.peek().start == token.stop
        return self.fences[-1] == token.text

    def absolute(self) -> Node:
        """``|x|``, and ``\\|x\\|_F`` or ``||x||``."""
        opening = self.take()
        double = opening.text == "|" and self.token.text == "|" and self.token.start == opening.stop
        double = double and opening.side == self.token.side
        if double:
            self.at += 1
        mark = "||" if double else opening.text
        self.fences.append(mark)
        inner = self.expression()
        if self.token.text != opening.text or not self.closes_fence(self.token):
            self.fail(f"this {mark} is never closed.", opening.span)
        self.fences.pop()
        closing = self.take()
        if double:
            closing = self.take()
        if opening.side != closing.side and "l" in (opening.side,) and closing.side != "r":
            self.fail(f"\\left{opening.text} needs its \\right{opening.text}.", (opening.start, closing.stop))
        span = (opening.start, closing.stop)
        if mark == "|":
            return Node("abs", (inner,), span, "sided" if opening.side else None)
        kind = "2"
        if self.token.text == "_":
            self.at += 1
            if self.token.text == "\\infty":
                self.fail("the largest entry is not read.", (span[0], self.token.stop), "Norms are 1, 2 and F.")
            (item, *_) = self.subscript()
            kind = str(item.value.base if item.head == "symbol" else item.value)
            if kind not in ("1", "2", "F"):
                self.fail(
                    f"the norm \\|.\\|_{{{kind}}} is not read.", (span[0], self.before.stop), "Norms are 1, 2 and F."
                )
            span = (span[0], self.before.stop)
        return Node("norm", (inner,), span, kind)

    # -------------------------------------------------------------------------------- errors
    def missing(self) -> NoReturn:
        """No operand where one is needed."""
        token = self.token
        before = self.before if self.at else None
        if token.kind in ("end", "row"):
            if before is None:
                self.fail("there is no formula here.", token.span, "Write one, for example w \\tanh(x).")
            self.fail(f"the formula ends after {before.text!r}.", before.span, "Something must follow it.")
        if token.text in INSTEAD and token.text not in (",", "=", "<", ">", "&", "'", ":"):
            self.unexpected()
        if token.text in (")", "]", "\\}", "\\rangle") and not self.fences:
            self.fail("this parenthesis was never opened.", token.span)
        if token.kind == "close":
            self.fail(
                "a brace closes where something is missing.", (before.start if before else token.start, token.stop)
            )
        if token.kind == "macro" and token.text not in INSTEAD and token.text not in OPERATORS:
            self.unexpected()
        if before is not None and before.text == token.text == "*":
            self.fail("** is no power in LaTeX.", (before.start, token.stop), "Write x^{2}.")
        if before is not None:
            self.fail(f"something is missing between {before.text!r} and {token.text!r}.", (before.start, token.stop))
        self.fail(f"a formula cannot begin with {token.text!r}.", token.span)

    def unexpected(self) -> NoReturn:
        """Something that no formula goes on with."""
        token = self.token
        if token.text in INSTEAD:
            what, instead = INSTEAD[token.text]
            self.fail(what, token.span, instead)
        if token.text in (")", "]", "\\}", "\\rangle"):
            self.fail("this parenthesis was never opened.", token.span)
        if token.kind == "close":
            self.fail("this brace was never opened.", token.span)
        if token.text.startswith("\\begin") or token.text.startswith("\\end"):
            self.fail(f"{token.text} is not read here.", token.span, "Choices are \\begin{cases} ... \\end{cases}.")
        if token.kind == "macro":
            known = token.text[1:] in GREEK
            self.fail(
                f"{token.text} is not read{' here' if known else ''}.",
                token.span,
                f"For a function write \\operatorname{{{token.text[1:]}}}, for a name \\mathrm{{{token.text[1:]}}}.",
                UnknownOperation,
            )
        self.fail(f"{token.text!r} has no place here.", token.span)


_CONNECTING = frozenset("if for when otherwise else and or".split())
_STOPS = frozenset(
    "\\rangle \\\\ \\lt \\gt \\le \\leq \\leqslant \\ge \\geq \\geqslant \\ne \\neq \\land \\lor \\end{cases}".split()
)
