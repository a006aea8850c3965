"""The grammar of formulas in text: a precedence parser, and the errors that point at a place.

The tree is a list of nodes in which arguments come before what uses them, so that nothing that reads it recurses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

import sympy as sp

from symgrad.errors import BadFormula, SymgradError, UnknownName, UnknownOperation, caret, close_names
from symgrad.lifting.text.lexicon import DEFAULT, EVALUATED, INSTEAD, RAISED, Token, functions, resolve, tokens
from symgrad.lifting.text.tensor_words import ATTRIBUTES, LIST, OPTIONS, SAME_WORD, WORDS
from symgrad.ops.scalars import OPS, unknown
from symgrad.program.constants import typed_decimal

# -------------------------------------------------------------------------------------------------------------- parser

CONSTANTS: Mapping[str, sp.Expr] = {"pi": sp.pi, "π": sp.pi}
_PREFIXED = {"pi": sp.pi, "e": sp.E}  # math.pi, np.e
_MODULES = frozenset("np numpy torch math sp sympy jnp scipy special linalg nn functional F".split())
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the formula; ``args`` are positions of earlier nodes, ``span`` its place in the text.

    ``sign`` is one of `SIGNS` that it was written with, as on paper and not as in code.
    """

    head: str
    args: tuple[int, ...]
    span: tuple[int, int]
    value: Any = None
    radius: Fraction | None = None
    constant: bool = False
    sign: str | None = None


SIGNS: Mapping[str, str] = {
    "^": "a power",
    "|...|": "the absolute value",
    "||...||": "the norm",
    "(... > ...)": "one where it holds, else zero",
}
_TRUTHS, _OF_TRUTHS = ("compare", "and", "or", "not"), ("and", "or", "not", "where")


@dataclass(frozen=True)
class Tree:
    """A formula as read: its nodes, the last one the whole, and the names of its inputs."""

    nodes: tuple[Node, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted({n.value for n in self.nodes if n.head == "name" and not n.constant}))

    def closed(self, i: int) -> Fraction | None:
        """The value of a node that is plain rational arithmetic on numbers, such as ``-1/2``."""
        return self._closed[i]

    @functools.cached_property
    def _closed(self) -> list[Fraction | None]:
        values: list[Fraction | None] = []
        for node in self.nodes:
            value = None
            match node.head, *(values[a] for a in node.args):
                case ("number",) if node.radius is None:
                    value = node.value
                case "neg", Fraction() as a:
                    value = -a
                case "add", Fraction() as a, Fraction() as b:
                    value = a + b
                case "sub", Fraction() as a, Fraction() as b:
                    value = a - b
                case "mul", Fraction() as a, Fraction() as b:
                    value = a * b
                case "div", Fraction() as a, Fraction() as b if b:
                    value = a / b
            values.append(value)
        return values


# ------------------------------------------------------------------------------------------------ the parser

_BINARY = {"+": ("add", 40), "-": ("sub", 40), "*": ("mul", 50), "/": ("div", 50), "@": ("matmul", 50)}
_COMPARE = frozenset(("<", "<=", ">", ">=", "==", "!="))
_UNARY, _POWER, _NOT, _AND, _OR, _RELATION = 60, 70, 28, 25, 20, 30


def read(text: str, known: frozenset[str] | None = None) -> Tree:
    """The tree of a formula; ``known``, if given, are the only names it may use."""
    flat = re.sub(r"\s", " ", text)
    if not flat.strip():
        raise BadFormula("the formula is empty.", instead="Write an expression, for example w*tanh(x).")
    return _Parser(flat, known).whole()


class _Parser:
    def __init__(self, text: str, known: frozenset[str] | None) -> None:
        self.text, self.known = text, known
        self.tokens = tokens(text)
        self.at = 0
        self.nodes: list[Node] = []
        self.open: list[Token] = []  # parentheses
        self.depth = 0
        self.conditions = 0  # how many first arguments of where we are inside

    # -------------------------------------------------------------------------------- helpers
    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.token
        self.at += 1
        return token

    def fail(
        self, what: str, span: tuple[int, int], instead: str | None = None, kind: type[SymgradError] = BadFormula
    ) -> NoReturn:
        raise kind(what, where=caret(self.text, span), instead=instead)

    def put(self, head: str, args: tuple[int, ...], span: tuple[int, int], value: Any = None, **more: Any) -> int:
        if head not in _OF_TRUTHS:
            args = tuple(map(self.as_number, args))
        self.nodes.append(Node(head, args, span, value, **more))
        return len(self.nodes) - 1

    def span(self, *nodes: int) -> tuple[int, int]:
        return min(self.nodes[n].span[0] for n in nodes), max(self.nodes[n].span[1] for n in nodes)

    # -------------------------------------------------------------------------------- the grammar
    def whole(self) -> Tree:
        self.expression(0)
        if self.token.kind != "end":
            self.unexpected()
        names = [n for n in self.nodes if n.head == "name" and not n.constant and n.value in self.letters()]
        if names:
            name = names[0].value
            self.fail(f"{name} is an index in this formula, and a value here.", names[0].span, "Give one a new letter.")
        return Tree(tuple(self.nodes))

    def expression(self, least: int) -> int:
        """Read an expression whose operators bind at least as tightly as ``least``."""
        self.depth += 1
        if self.depth > _DEPTH:
            self.fail(
                f"the formula nests more than {_DEPTH} deep.",
                self.token.span,
                "Name its parts: pass a Python function, one line for each.",
            )
        left = self.operand()
        while True:
            token = self.token
            if token.kind == "power":
                exponent = self.put("number", (), token.span, Fraction(int(token.text.translate(RAISED))))
                left = self.put("pow", (left, exponent), (self.nodes[left].span[0], token.stop))
                self.at += 1
            elif token.text in ("**", "^") and least <= _POWER:
                self.at += 1
                right = self.expression(_UNARY)
                if token.text == "^":
                    self.as_on_paper(left, right)
                left = self.put("pow", (left, right), self.span(left, right), sign="^" if token.text == "^" else None)
            elif token.kind == "op" and token.text in _BINARY and least <= _BINARY[token.text][1]:
                head, power = _BINARY[token.text]
                self.at += 1
                right = self.expression(power + 1)
                left = self.binary(head, left, right)
            elif token.kind == "op" and token.text in _COMPARE and least <= _RELATION:
                left = self.comparison(left)
            elif token.text in ("and", "or") and self.conditions and least <= (_AND if token.text == "and" else _OR):
                self.condition(left)
                self.at += 1
                right = self.condition(self.expression((_AND if token.text == "and" else _OR) + 1))
                left = self.put(token.text, (left, right), self.span(left, right))
            elif token.text == "if" and not least:
                left = self.choice(left)
            else:
                break
        self.depth -= 1
        return left

    def choice(self, value: int) -> int:
        """``a if x > 0 else b``, as Python writes it."""
        word, outside = self.take(), self.conditions
        self.conditions = 1
        test = self.condition(self.expression(_OR))
        self.conditions = outside
        if self.take().text != "else":
            self.fail("a choice has two sides.", word.span, "Write a if x > 0 else b, or where(x > 0, a, b).")
        other = self.expression(0)
        return self.put("where", (test, value, other), self.span(value, other))

    def as_on_paper(self, base: int, exponent: int) -> None:
        """Refuse a power that is none on paper, or of which one cannot tell what it is."""
        (under, over), known = (self.nodes[k].value for k in (base, exponent)), self.known or ()
        whole = self.span(base, exponent)
        if over == "T" and "T" not in known:
            shown = self.text[slice(*self.nodes[base].span)]
            what = "a T above is the transpose to some, and an exponent to others."
            self.fail(what, whole, f"Write {shown}.T for the transpose, {shown}**T for the power.")
        if under == "e" and "e" not in known:
            shown = self.text[slice(*self.nodes[exponent].span)]
            power = shown if shown.startswith("(") else f"({shown})"
            what = "e is a number to some, and a name to others."
            self.fail(what, whole, f"Write exp{power} for the exponential, e**{power} for a power of an input e.")

    def bars(self, opening: Token) -> int:
        """``|x|``, or ``||x||``, of which the first sign was taken."""
        start = (self.at, len(self.nodes), len(self.open), self.depth)
        if self.token.text == "|" and self.token.start == opening.stop:
            try:
                return self.norm(opening)
            except BadFormula:  # the value of a value, as in ||x| - 1|
                self.at, count, parentheses, self.depth = start
                del self.nodes[count:], self.open[parentheses:]
        inner = self.expression(0)
        closing = self.bar(opening)
        return self.put("abs", (inner,), (opening.start, closing.stop), sign="|...|")

    def norm(self, opening: Token) -> int:
        self.at += 1
        inner = self.expression(0)
        self.bar(opening)
        closing, order = self.bar(opening), None
        if self.token.text in ("_1", "_2") and self.token.start == closing.stop:
            closing = self.take()
            order = int(closing.text[1:])
        return self.put("tensor", (inner,), (opening.start, closing.stop), ("norm", order), sign="||...||")

    def bar(self, opening: Token) -> Token:
        if self.token.text != "|":
            if self.token.kind != "end":
                self.unexpected()
            self.fail("this | is never closed.", opening.span, "Write |x| for the absolute value, ||x|| for the norm.")
        return self.take()

    def binary(self, head: str, left: int, right: int) -> int:
        word = (head, None) if head in WORDS else None
        return self.put("tensor" if word else head, (left, right), self.span(left, right), word)

    def comparison(self, left: int) -> int:
        """``a < b``, or ``a < b <= c`` as Python reads it."""
        if not self.conditions:
            self.fail(
                "a comparison has no place here.",
                self.token.span,
                "Write where(x > 0, a, b) for a choice, and (x > 0)*a for a where it holds and zero elsewhere.",
            )
        whole = None
        while self.token.kind == "op" and self.token.text in _COMPARE:
            relation = self.take().text
            right = self.expression(_RELATION + 1)
            here = self.put("compare", (left, right), self.span(left, right), relation)
            whole = here if whole is None else self.put("and", (whole, here), self.span(whole, here))
            left = right
        assert whole is not None
        return whole

    def condition(self, node: int) -> int:
        if self.nodes[node].head not in _TRUTHS:
            self.fail(
                "a condition must be a comparison.", self.nodes[node].span, "Write, for example, where(x > 0, a, b)."
            )
        return node

    def operand(self) -> int:
        token = self.take()
        if token.kind == "number":
            return self.number(token)
        if token.kind == "name":
            return self.postfix(self.name(token))
        if token.text == "-":
            inner = self.expression(_UNARY)
            node = self.nodes[inner]
            span = (token.start, node.span[1])
            if node.head == "number" and inner == len(self.nodes) - 1:  # a negative number is a number
                self.nodes[inner] = Node("number", (), span, -node.value, node.radius)
                return inner
            return self.put("neg", (inner,), span)
        if token.text == "+":
            return self.expression(_UNARY)
        if token.text == "(":
            self.open.append(token)
            outside, self.conditions = self.conditions, self.conditions + 1
            inner, self.conditions = self.expression(0), outside
            if self.token.text == ",":
                self.fail("a comma has no place here.", self.token.span, "Commas separate the arguments of a function.")
            self.close()
            whole = self.rewiden(inner, token.start, self.tokens[self.at - 1].stop)
            return self.postfix(whole if outside else self.as_number(whole))
        if token.text == "|":
            return self.postfix(self.bars(token))
        if token.text == "[":
            return self.postfix(self.listed(token))
        self.at -= 1
        self.missing()

    def listed(self, opening: Token) -> int:
        """``[a, b]``, an array of numbers or of arrays of one shape."""
        items = [self.expression(0)]
        while self.token.text == ",":
            self.at += 1
            items.append(self.expression(0))
        if self.token.text != "]":
            self.fail("this bracket is never closed.", opening.span)
        return self.put("tensor", tuple(items), (opening.start, self.take().stop), (LIST, None))

    def as_number(self, node: int) -> int:
        """A condition in the place of a number is one where it holds, and zero elsewhere."""
        if self.nodes[node].head not in _TRUTHS:
            return node
        values = [self.put("number", (), self.nodes[node].span, Fraction(n)) for n in (1, 0)]
        return self.put("where", (node, *values), self.nodes[node].span, sign="(... > ...)")

    def rewiden(self, inner: int, start: int, stop: int) -> int:
        """Parentheses belong to what they enclose."""
        node = self.nodes[inner]
        self.nodes[inner] = replace(node, span=(start, stop))
        return inner

    def number(self, token: Token) -> int:
        digits = Decimal(token.text)
        shown = digits.as_tuple()
        assert isinstance(shown.exponent, int)
        if not -400 < digits.adjusted() < 308 or shown.exponent < -1000:
            self.fail(f"{token.text} does not fit a float64.", token.span)
        value, radius = typed_decimal(token.text)
        return self.put("number", (), token.span, value, radius=radius)

    def name(self, token: Token) -> int:
        name, prefixed, stop = token.text, False, token.stop
        if name == "not" and self.conditions:
            inner = self.condition(self.expression(_NOT))
            return self.put("not", (inner,), (token.start, self.nodes[inner].span[1]))
        if name == "lambda" and self.token.kind == "name":
            self.fail("lambda makes a function, and a formula is one value.", token.span, EVALUATED)
        if name in ("if", "else", "for", "in", "is", "import", "and", "or", "not", "def", "return"):
            instead = "Write a choice as where(condition, a, b)." if name in ("if", "else") else EVALUATED
            self.fail(f"{name!r} is not part of a formula.", token.span, instead)
        while self.token.text == "." and name in _MODULES and not (self.known and name in self.known):
            self.at += 1
            following = self.take()
            if following.kind != "name":
                self.fail("an attribute is not part of a formula.", (token.start, following.stop), EVALUATED)
            name, prefixed, stop = following.text, True, following.stop
        span = (token.start, stop)
        if self.token.text == "(":
            return self.call(name, span)
        if prefixed:
            if name not in _PREFIXED:
                self.fail("an attribute is not part of a formula.", span, EVALUATED)
            if name == "e":
                one = self.put("number", (), span, Fraction(1))
                return self.put("exp", (one,), span)
            return self.put("name", (), span, name, constant=True)
        known = self.known
        if name in CONSTANTS and (known is None or name not in known):
            return self.put("name", (), span, name, constant=True)
        if known is not None and name not in known:
            near = close_names(name, known)
            hint = "For the number e, write exp(1)." if name in ("e", "E") else None
            listed = "" if near or not known else f"The inputs are {', '.join(sorted(known))}."
            self.fail(f"{name!r} is not an input. {near or listed}".rstrip(), span, hint, UnknownName)
        return self.put("name", (), span, name)

    # -------------------------------------------------------------------------------- arrays
    def postfix(self, node: int) -> int:
        """``x.T``, ``X.sum(0)``, ``x[i]`` after an operand."""
        while self.token.text in (".", "["):
            start = self.nodes[node].span[0]
            if self.take().text == "[":
                places = self.subscript()
                node = self.put("entry", (node,), (start, self.tokens[self.at - 1].stop), places)
                continue
            name = self.take()
            word = SAME_WORD.get(name.text, name.text)
            span = start, name.stop
            if name.text in ATTRIBUTES:
                node = self.put("tensor", (node,), span, (ATTRIBUTES[name.text], None))
            elif word in WORDS and self.token.text == "(":
                node = self.whole_arrays(word, span, [node])
            else:
                self.fail("an attribute is not part of a formula.", span, EVALUATED)
        return node

    def subscript(self) -> tuple[Any, ...]:
        """What stands in brackets: whole numbers, slices, and letters that are free indices."""
        opening = self.tokens[self.at - 1]
        places: list[Any] = []
        while True:
            if self.token.kind == "name":
                places.append(self.take().text)
            else:
                ends: list[int | None] = [self.whole_number()]
                while self.token.text == ":" and len(ends) < 3:
                    self.at += 1
                    ends.append(self.whole_number())
                places.append(ends[0] if len(ends) == 1 else slice(*ends))
            token = self.take()
            if places[-1] is None or token.text not in (",", "]"):
                self.fail(
                    "this is no index.",
                    (opening.start, max(token.stop, opening.stop)),
                    "Write a number, a letter or a slice for each axis: x[0], A[i, j], x[1:3].",
                )
            if token.text == "]":
                return tuple(places)

    def whole_number(self) -> int | None:
        """A whole number with its sign, if one stands here."""
        sign = self.token.text == "-"
        number = self.tokens[min(self.at + sign, len(self.tokens) - 1)]
        if number.kind != "number" or not number.text.isdigit():
            return None
        self.at += 1 + sign
        return -int(number.text) if sign else int(number.text)

    def whole_arrays(self, word: str, span: tuple[int, int], args: list[int]) -> int:
        """The call of a word for arrays, with what may follow them: an axis, an order, letters."""
        count, named = WORDS[word].count, OPTIONS.get(WORDS[word].option or "", ())
        self.open.append(self.take())
        option: Any = None
        while self.token.text != ")":
            following = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
            if len(args) < count:
                args.append(self.expression(0))
                if self.nodes[args[-1]].head in _TRUTHS:
                    self.fail("a comparison has no place here.", self.nodes[args[-1]].span)
            elif not named or isinstance(option, (int, Fraction)):
                more = self.expression(0)
                whole = (span[0], self.nodes[more].span[1])
                self.fail(f"{word} takes {count} argument{'s' * (count > 1)}, and more are given.", whole)
            else:
                if self.token.text in named and following.text == "=":
                    self.at += 2
                option = self.option_of(word, named[0], option)
            if self.token.text != ",":
                break
            self.at += 1
        closing = self.close()
        whole = (span[0], closing.stop)
        if len(args) < count:
            self.fail(f"{word} takes {count} argument{'s' * (count > 1)}, and {len(args)} are given.", whole)
        return self.put("tensor", tuple(args), whole, (word, option))

    def option_of(self, word: str, name: str, before: Any) -> Any:
        """An axis or an order; or one more letter that a fold runs over."""
        token = self.token
        if token.kind == "name" and name == "axis" and token.text in self.letters():
            self.at += 1
            return (*(before or ()), token.text)
        value = self.whole_number() if before is None else None
        if value is None:
            self.fail(
                f"the {name} of {word} must be a whole number.", token.span, f"Write {word}(x), or {word}(x, {name}=0)."
            )
        return value

    def letters(self) -> set[str]:
        """The free indices so far."""
        return {x for n in self.nodes if n.head == "entry" for x in n.value if isinstance(x, str)}

    def call(self, name: str, span: tuple[int, int]) -> int:
        word = SAME_WORD.get(name, name)
        if word in WORDS and (word not in ("max", "min") or self.has_one_array()):
            return self.whole_arrays(word, span, [])
        found = resolve(name)
        if found is None:
            if name.startswith("__") or name in ("eval", "exec", "open", "compile", "getattr", "lambda"):
                self.fail(f"{name}(...) cannot be called in a formula.", span, EVALUATED, UnknownOperation)
            if (self.known is not None and name in self.known) or len(name) == 1:
                self.fail(
                    f"{name}(...) reads as a call of a function, and {name!r} is not one.",
                    span,
                    f"To multiply, write {name}*(...).",
                    UnknownOperation,
                )
            if close := close_names(name, functions()):
                error = unknown(name)
                self.fail(f"no operation is called {name!r}. {close}", span, error.instead, UnknownOperation)
            raise unknown(name, caret(self.text, span))
        head, value, least, most = found
        self.open.append(self.take())
        args: list[int] = []
        while self.token.text != ")" or args:
            outside = self.conditions
            self.conditions = int(head == "where" and not args)
            arg = self.expression(0)
            self.conditions = outside
            if head == "where" and not args:
                self.condition(arg)
            elif self.nodes[arg].head in _TRUTHS:
                self.fail("a comparison has no place here.", self.nodes[arg].span)
            args.append(arg)
            if self.token.text == "=" and self.nodes[arg].head == "name":
                self.fail("arguments are given by position.", self.token.span)
            if self.token.text != ",":
                break
            self.at += 1
        closing = self.close()
        whole = (span[0], closing.stop)
        if len(args) < least or (most is not None and len(args) > most):
            wanted = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} or {most}"
            plural = "" if wanted == "1" else "s"
            self.fail(f"{name} takes {wanted} argument{plural}, and {len(args)} are given.", whole)
        return self.put_call(head, value, args, whole)

    def has_one_array(self) -> bool:
        """Whether one argument stands between these parentheses: the largest of several numbers is another thing."""
        depth = 0
        for k in range(self.at, len(self.tokens)):
            text = self.tokens[k].text
            depth += (text in "([" and bool(text)) - (text in ")]" and bool(text))
            if depth == 1 and text == ",":
                following = [t.text for t in self.tokens[k + 1 : k + 3]]
                return following[1:] == ["="] and following[0] in OPTIONS["axis"]
            if not depth:
                break
        return True

    def put_call(self, head: str, value: Any, args: list[int], span: tuple[int, int]) -> int:
        if head in ("pow", "power"):
            return self.put("pow", tuple(args), span)
        if head in ("clip", "clamp"):
            lifted = self.put("maximum", (args[0], args[1]), span)
            return self.put("minimum", (lifted, args[2]), span)
        if head == "log" and len(args) == 2:
            parts = [self.put("log", (a,), span) for a in args]
            return self.put("div", (parts[0], parts[1]), span)
        if head in DEFAULT and len(args) < OPS[head].arity:
            args.append(self.put("number", (), span, DEFAULT[head]))
        return self.put(head, tuple(args), span, value)

    # -------------------------------------------------------------------------------- errors
    def close(self) -> Token:
        if self.token.text == ")":
            self.open.pop()
            return self.take()
        if self.token.kind == "end":
            self.fail("this parenthesis is never closed.", self.open[-1].span)
        self.unexpected()

    def missing(self) -> NoReturn:
        """No operand where one is needed."""
        token = self.token
        before = self.tokens[self.at - 1] if self.at else None
        if token.kind == "end" and before is not None:
            if before.text == "(":
                self.fail("this parenthesis is never closed.", before.span)
            self.fail(f"the formula ends after {before.text!r}.", before.span, "Something must follow it.")
        if token.text in INSTEAD:
            self.unexpected()
        if token.text == ")" and not self.open:
            self.fail("this parenthesis was never opened.", token.span)
        if token.text == ")" and before is not None and before.text == "(":
            self.fail("there is nothing between these parentheses.", (before.start, token.stop))
        if before is not None and before.text != "(":
            self.fail(f"something is missing between {before.text!r} and {token.text!r}.", (before.start, token.stop))
        self.fail(f"a formula cannot begin with {token.text!r}.", token.span)

    def unexpected(self) -> NoReturn:
        """Something other than an operator after an operand."""
        token = self.token
        before = self.tokens[self.at - 1]
        if token.text in INSTEAD:
            what, instead = INSTEAD[token.text]
            self.fail(what, token.span, instead)
        if token.text == ")":
            self.fail("this parenthesis was never opened.", token.span)
        if token.text == ",":
            self.fail("a comma has no place here.", token.span, "Commas separate the arguments of a function.")
        if token.text == "else":
            self.fail("there is no if before this else.", token.span, "Write a if x > 0 else b.")
        if token.text in ("and", "or", "not", "for", "in", "is"):
            instead = "Write a sum over an index as sum(x[i]*y[i], i)." if token.text == "for" else None
            self.fail(f"{token.text!r} is not part of a formula here.", token.span, instead)
        if token.kind in ("number", "name") or token.text == "(":
            span = (before.start, token.stop)
            if before.kind == "name" and resolve(before.text) is not None and token.text != "(":
                self.fail(f"{before.text} is a function.", span, f"Write {before.text}({token.text}).")
            right = f"{token.text}...)" if token.text == "(" else token.text
            left = before.text if before.kind in ("number", "name") else f"...{before.text}"
            self.fail(
                f"an operator is missing between {before.text!r} and {token.text!r}.",
                span,
                f"To multiply, write {left}*{right}.",
            )
        self.fail(f"{token.text!r} is not part of a formula.", token.span)
