"""A reader of one formula in LaTeX: its tokens, the place in them, and what is known of its names.

It is handed to the functions that read.  What a token may begin stands in a table of rows, which the reader carries, so
that the grammar needs to know no macro, and a macro knows the grammar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, NoReturn

from symgrad.errors import BadFormula, SymgradError, UnknownOperation, caret
from symgrad.lifting.latex.tokens import ACCENTS, FONTS, GREEK, INSTEAD, OPERATORS, Token, function

# --------------------------------------------------------------------------------------------------------------- nodes
# The nodes of formulas in LaTeX, what their names are called, and the place of a node in the text.


class Undecided(UnknownOperation):
    """A name before a parenthesis: only the model tells whether it is a factor or a function."""


PRIME = "'"
STAR = "*"


class TwoReadings(BadFormula):
    """What is one thing to some and another to others: `symgrad.lifting.latex.two_readings` asks in both.

    ``of`` is what a reader's ``readings`` calls it by: the factors after a slash, of which all may be the denominator
    or the first alone; or what one reading is tried of, and ``said`` tells which that was: `PRIME`, a transpose; if
    there is another, ``other`` tells that.  Where ``mark`` stands in the question there is no other reading.
    """

    def __init__(
        self,
        what: str,
        *,
        of: str = PRIME,
        mark: str = "",
        said: str | None = "A prime was read as a transpose, for which ^\\top leaves no doubt.",
        other: str | None = None,
        where: str | None = None,
        instead: str | None = None,
    ) -> None:
        super().__init__(what, where=where, instead=instead)
        self.of, self.said, self.mark, self.other = of, said, mark, other


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


def power_name(base: str, power: int) -> str:
    """What a power is called that a row says: ``\\sigma^2 = ...``."""
    return f"{base}_to_{power}"


def called_names(symbol: Node) -> frozenset[str]:
    """The names under which a function is found again before a parenthesis: as it is spelled, or with other indices."""
    found = spelled(symbol), f"{symbol.value.base}_" if symbol.args else None
    return frozenset(name for name in found if name is not None)


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


def parts(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    stack = [node]
    while stack:
        here = stack.pop()
        yield here
        stack.extend(reversed(here.args))


def letters_in(item: Node) -> Iterable[str]:
    return (p.value.base for p in parts(item) if p.head == "symbol" and not p.args)


def letters_below(side: Node) -> Iterator[str]:
    for p in parts(side):
        if p.head in ("symbol", "entry"):
            label = p.value.label if p.head == "symbol" else ()
            for item in (*label, *p.args[p.head == "entry" :]):
                yield from letters_in(item)


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
    if item.head == "add":  # h_{t-1}
        terms = [_letters(x.args[0] if x.head == "neg" else x) for x in item.args]
        signs = ["m" if x.head == "neg" else "p" for x in item.args]
        return None if None in terms else "".join(f"{s}{t}" for s, t in zip(signs, terms, strict=True))[1:]
    return None


# -------------------------------------------------------------------------------------------------------- token reader

DEPTH = 60
FRACTIONS = ("\\frac", "\\dfrac", "\\tfrac")
PHYSICS = ("\\dv", "\\pdv", "\\odv", "\\derivative", "\\pderivative")  # of the package physics


class Row(NamedTuple):
    """What begins with one of the tokens ``begins``, separated by spaces.

    ``read`` reads it where a factor stands, and gives None where it is something else, which a later row knows;
    ``alone`` reads it as the argument of a macro without braces, where TeX takes it so.
    """

    begins: str
    read: Reading
    alone: Reading | None = None


@dataclass(slots=True)
class Reader:
    """A place in a list of tokens.

    ``known`` are the names of the inputs, if they are known; ``numbers`` are letters such as sigma, where they stand
    for a number somewhere; ``functions`` are the names that rows define as functions, and ``words`` those of several
    letters; ``rows`` are the readings of each first token, in the order in which they are tried.
    """

    text: str
    tokens: list[Token]
    known: frozenset[str] | None
    numbers: frozenset[str]
    functions: frozenset[str]
    words: frozenset[str]
    rows: Mapping[str, tuple[Row, ...]]
    context: str = ""  # all that is written, here and in the model
    readings: Mapping[str, bool] = field(default_factory=dict)  # what is said of `TwoReadings`
    beside_model: bool = False  # whether what is read is a derivative of a model
    at: int = 0
    depth: int = 0
    commas: bool = False  # whether a comma separates arguments here
    on_left: bool = False  # whether a left side is read, which may differentiate a formula
    by: tuple[Node, ...] = ()  # what the left side differentiates for
    bound: tuple[str, ...] = ()  # the indices of the sums around, and of the left side
    fences: list[str] = field(default_factory=list)  # what is open here
    fence: tuple[int, int] = (0, 0)  # the place of the parenthesis that was read last
    invisible: set[tuple[int, int]] = field(default_factory=set)  # the places of braces that hold more than a name

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

    def is_sign(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def accept(self, *signs: str) -> bool:
        """Go past the next token if it is one of these signs."""
        found = self.is_sign(*signs)
        self.at += found
        return found

    def since(self, start: int) -> tuple[int, int]:
        """The place from ``start`` to the last token that was read."""
        return start, self.before.stop

    def written(self, span: tuple[int, int]) -> str:
        return self.text[slice(*span)]

    def knows(self, *names: str | None) -> bool:
        """Whether one of these is an input."""
        return self.known is not None and not self.known.isdisjoint(names)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            self.fail(f"the formula nests more than {DEPTH} deep.", self.token.span, "Name its parts, in several rows.")

    def fail(
        self, what: str, span: tuple[int, int], instead: str | None = None, kind: type[SymgradError] = BadFormula
    ) -> NoReturn:
        raise kind(what, where=place(self.text, span), instead=instead)


Reading = Callable[[Reader], Node | None]


def starts_name(token: Token) -> bool:
    """Whether a letter, a Greek letter, an accent, a font or a word stands here."""
    if token.kind in ("letter", "text"):
        return True
    word = token.text[1:]
    return token.kind == "macro" and (word in GREEK or word in ACCENTS or word in FONTS or word == "operatorname")


def group_length(r: Reader, k: int) -> int:
    """How many tokens the script or argument at ``k`` has, with its braces."""
    depth, end = 0, k
    while r.tokens[end].kind != "end":
        depth += {"open": 1, "close": -1}.get(r.tokens[end].kind, 0)
        end += 1
        if depth <= 0:
            break
    return end - k


def differential(r: Reader, k: int, *, sure: bool = False) -> int:
    """How many tokens at ``k`` are the sign of a differential, 0 for none; of a d that is an input only where it is
    ``sure``."""
    here, *after = (r.tokens[min(k + j, len(r.tokens) - 1)] for j in range(4))
    if here.text == "\\partial":
        return 1
    if here.text in ("\\mathrm", "\\operatorname"):
        return 4 if [t.text for t in after] == ["{", "d", "}"] else 2 if after[0].text == "d" else 0
    if here.text != "d" or here.kind != "letter" or (r.knows("d") and not sure):
        return 0
    named = starts_name(after[0]) or (after[0].kind == "open" and starts_name(after[1]))
    called = after[0].kind == "macro" and function(after[0].text[1:], macro=True) is not None
    called = called or (sure and [t.text for t in after[:2]] == ["/", "d"])
    return int(named or called or after[0].text in ("\\nabla", "^", "(", "[", "\\|") or after[0].kind == "close")


def is_slope(r: Reader, k: int) -> bool:
    """Whether a derivative that is a fraction, or a nabla, stands at the token ``k``."""
    here = r.tokens[k].text
    if here not in FRACTIONS or r.tokens[k + 1].kind != "open":
        return here in ("\\nabla", *PHYSICS)
    below = k + 1 + group_length(r, k + 1)
    if any(r.tokens[j].text == "/" and differential(r, j + 1) for j in range(k + 2, below)):
        return False  # a quotient of two that are written inline
    if r.tokens[below].kind != "open":
        return False  # d above and below the line would cancel, so that it is no factor there
    return differential(r, k + 2, sure=True) > 0 and differential(r, below + 1, sure=True) > 0


_MOMENTS = {"E": "E", "V": "Var", "Var": "Var", "var": "Var", "Cov": "Cov", "cov": "Cov"}


def moment_word(r: Reader) -> tuple[str, int] | None:
    """The mean, variance or covariance that begins here, before its brackets, and how many tokens name it."""
    token, count, word = r.token, 1, r.token.text
    if token.text in ("\\mathbb", "\\operatorname", "\\mathrm", "\\mathsf"):
        count = 1 + group_length(r, r.at + 1)
        word = "".join(r.peek(k).text for k in range(1, count)).strip("{}")
    elif token.kind != "text" and word != "E":
        return None
    after = r.peek(count).text
    named = token.text == "\\mathbb" or len(word) > 1
    return (_MOMENTS[word], count) if word in _MOMENTS and (after == "[" or (after == "(" and named)) else None


def missing(r: Reader) -> NoReturn:
    """No operand where one is needed."""
    token, before = r.token, r.before if r.at else None
    if token.kind in ("end", "row"):
        if before is None:
            r.fail("there is no formula here.", token.span, "Write one, for example w \\tanh(x).")
        r.fail(f"the formula ends after {before.text!r}.", before.span, "Something must follow it.")
    if token.text in INSTEAD and token.text not in (",", "=", "<", ">", "&", "'", ":"):
        unexpected(r)
    if token.text in (")", "]", "\\}", "\\rangle") and not r.fences:
        r.fail("this parenthesis was never opened.", token.span)
    if token.kind == "close":
        r.fail("a brace closes where something is missing.", (before.start if before else token.start, token.stop))
    if token.kind == "macro" and token.text not in INSTEAD and token.text not in OPERATORS:
        unexpected(r)
    if before is not None and before.text == token.text == "*":
        r.fail("** is no power in LaTeX.", (before.start, token.stop), "Write x^{2}.")
    if before is not None:
        r.fail(f"something is missing between {before.text!r} and {token.text!r}.", (before.start, token.stop))
    r.fail(f"a formula cannot begin with {token.text!r}.", token.span)


def unexpected(r: Reader) -> NoReturn:
    """Something that no formula goes on with."""
    token = r.token
    if token.text in INSTEAD:
        what, instead = INSTEAD[token.text]
        r.fail(what, token.span, instead)
    if token.text in (")", "]", "\\}", "\\rangle"):
        r.fail("this parenthesis was never opened.", token.span)
    if token.kind == "close":
        r.fail("this brace was never opened.", token.span)
    if token.text.startswith(("\\begin", "\\end")):
        r.fail(
            f"{token.text} is not read here.", token.span, "Choices are \\begin{cases}, and matrices \\begin{pmatrix}."
        )
    if token.kind == "macro":
        word = token.text[1:]
        r.fail(
            f"{token.text} is not read{' here' if word in GREEK else ''}.",
            token.span,
            f"For a function write \\operatorname{{{word}}}, for a name \\mathrm{{{word}}}.",
            UnknownOperation,
        )
    instead = "Write \\cdot for a product, v^\\top u for one of vectors." if token.text == "." else None
    if token.kind == "text":
        instead = "Leave it out; say for which numbers it is meant by domain={...}, or in \\begin{cases}."
    r.fail(f"{token.text!r} has no place here.", token.span, instead)
