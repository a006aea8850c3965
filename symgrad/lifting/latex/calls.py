"""Functions in formulas in LaTeX: their names, their scripts, and where their arguments end."""

from __future__ import annotations

from symgrad.errors import UnknownOperation
from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.subscripts import Scripts
from symgrad.lifting.latex.vocabulary import RELATIONS, TENSOR_FUNCTIONS, function
from symgrad.lifting.text.lexer import resolve

__all__ = ["Functions"]

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
