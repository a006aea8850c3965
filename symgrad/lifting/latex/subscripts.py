"""What stands below, above and after a factor: subscripts, primes, powers, transposes, labels."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import NoReturn

from symgrad.errors import UnknownOperation
from symgrad.lifting.latex.nodes import Name, Names, Node
from symgrad.lifting.latex.tokens import RELATIONS, TENSOR_FUNCTIONS, Token, function
from symgrad.lifting.text.parser import resolve

__all__ = [
    "Functions",
    "Scripts",
    "is_transposed",
]


# ---------------------------------------------------------------------------------------------------------- subscripts


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


# --------------------------------------------------------------------------------------------------------------- calls
# Functions in formulas in LaTeX: their names, their scripts, and where their arguments end.

_ENDS = frozenset("+ - ) ] } , = < > & : ; | . * \\} \\rangle \\| \\cdot \\times \\odot \\oslash \\div \\circ".split())
_ENDS |= frozenset(RELATIONS) | {"\\end{cases}", "\\land", "\\lor"}


class Functions(Scripts):
    """Reads calls."""

    def call(self, name: str, count: int, name_span: tuple[int, int] | None = None) -> Node:
        """A function, its power or base or prime, and its arguments."""
        start = name_span[0] if name_span else self.token.start
        self.at += count
        shown = self.text[start : self.before.stop]
        power = base = None
        primes = name.count("'")
        name = name.rstrip("'")
        while self.token.text in ("^", "_", "'") and self.token.kind == "sign":
            sign = self.take()
            if sign.text == "'":
                primes += 1
            elif sign.text == "_" and base is None:
                if name != "log":
                    self.fail(f"a subscript on {shown} is not read.", (start, self.token.stop))
                base = self.argument("_")
            elif sign.text == "^" and power is None:
                texts = [t.text for t in self.exponent()]
                if texts[:1] == ["-"]:
                    self.fail(
                        f"{shown}^{{-1}} is the inverse function to some and the reciprocal to others.",
                        (start, self.exponent()[-1].stop),
                        f"Write \\frac{{1}}{{{shown} x}}, or the inverse by its name, such as \\arcsin.",
                    )
                power = self.argument("^")
            else:
                self.fail(f"two scripts stand on {shown}.", (start, sign.stop))
        args = self.arguments(name, shown, start)
        whole = (start, self.before.stop)
        most = self.arity(name, shown, len(args), whole)
        if primes and most != 1:
            self.fail(f"{shown} has no derivative to read here.", whole, "Write it out.")
        node = Node("call", tuple(args), whole, (name, primes))
        if base is not None:
            node = Node("log_to", (*args, base), whole)
        return node if power is None else Node("pow", (node, power), whole)

    def arity(self, name: str, shown: str, given: int, span: tuple[int, int]) -> int | None:
        least, most = 1, 1
        if name not in TENSOR_FUNCTIONS.values():
            found = resolve(name)
            if found is None:
                self.fail(f"{shown} is not a function of the table.", span, kind=UnknownOperation)
            _, _, least, most = found
        if name == "log":
            most = 1
        if name in ("max", "min", "maximum", "minimum"):
            least = 2
        if given < least or (most is not None and given > most):
            wanted = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} or {most}"
            self.fail(f"{shown} takes {wanted} argument{'' if wanted == '1' else 's'}, and {given} are given.", span)
        return most

    def arguments(self, name: str, shown: str, start: int) -> list[Node]:
        """The arguments in parentheses, or the one without them."""
        token = self.token
        if token.text in ("(", "[", "\\{"):
            inner = self.fenced(commas=True)
            return list(inner.args) if inner.head == "several" else [inner]
        if token.kind == "open" and self.peek().text in ("(", "[", "\\{"):
            depth, k = 0, self.at + 1
            while self.tokens[k].kind != "end":
                depth += (self.tokens[k].text in ("(", "[", "\\{")) - (self.tokens[k].text in (")", "]", "\\}"))
                k += 1
                if depth == 0:
                    break
            if self.tokens[k].kind == "close":  # SymPy writes \sin{\left(x \right)}
                self.at += 1
                found = self.arguments(name, shown, start)
                self.at += 1
                return found
        if name in ("maximum", "minimum", "max", "min"):
            self.fail(f"{shown} needs parentheses.", (start, token.stop), f"Write {shown}(0, x).")
        if token.kind in ("end", "row", "close") or token.text in _ENDS - {"|", "\\|"}:
            if token.text == "-":
                self.fail(f"{shown} is followed by a sign.", (start, token.stop), f"Write {shown}(-x).")
            self.fail(f"{shown} has no argument.", (start, max(token.start, start + 1)), f"Write {shown}(x).")
        if token.kind == "open":
            inner = self.braced()
            if inner.head in ("add", "neg"):
                self.fail(
                    "braces are invisible, so it is not clear where the argument ends.",
                    (start, inner.span[1]),
                    f"Write {shown}\\left({self.text[slice(*inner.span)][1:-1].strip()}\\right).",
                )
        else:
            inner = self.factor()
            if inner.head == "number" and (self.starts_name(self.token) or self.token.text == "\\frac"):
                right = self.factor()
                inner = Node("mul", (inner, right), (inner.span[0], right.span[1]), ("",))
        self.clear(shown, start, inner)
        return [inner]

    def clear(self, shown: str, start: int, inner: Node) -> None:
        """Refuse what may belong to an argument without parentheses, or not."""
        token = self.token
        if token.kind in ("end", "row", "close") or token.text in _ENDS - {"|", "\\|"} or self.function_word():
            return
        if token.text != "/" and not self.starts_factor(token):
            return
        if token.text == "\\begin{cases}":
            return
        written = self.text[slice(*inner.span)]
        self.fail(
            f"it is not clear where the argument of {shown} ends.",
            (start, token.stop),
            f"Write {shown}({written}) {token.text}... or {shown}({written} {token.text}...).",
        )

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
