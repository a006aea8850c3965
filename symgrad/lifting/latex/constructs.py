r"""The table of all that a factor of a formula in LaTeX can begin with: a macro, how it reads its arguments, its node.

A new macro is a new row.  ``arguments(one, two, makes="frac")`` reads what follows a macro and makes a node of it;
what does not fit that is a function of the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from symgrad.lifting.latex.calls import function_call
from symgrad.lifting.latex.choices import cases
from symgrad.lifting.latex.derivatives import PHYSICS, derivative
from symgrad.lifting.latex.folds import folded
from symgrad.lifting.latex.grammar import argument, closes, expression, fenced, primary, subscript
from symgrad.lifting.latex.names import bare_name, letters, named
from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.token_reader import Reader, Reading, Row
from symgrad.lifting.latex.tokens import ACCENTS, FONTS, FUNCTIONS, GREEK, Token


def arguments(*reads: Callable[[Reader, Token], Any], makes: str | Callable[..., Node]) -> Reading:
    """What a macro makes of its arguments, each of which is read by one of ``reads``."""

    def read(r: Reader) -> Node:
        macro = r.take()
        found = [one(r, macro) for one in reads]
        span = r.since(macro.start)
        return Node(makes, tuple(found), span) if isinstance(makes, str) else makes(span, macro, *found)

    return read


# ----------------------------------------------------------------------------------------------------------- arguments
def _group(r: Reader, macro: Token) -> Node:
    """The formula in braces, or what TeX takes without them."""
    return argument(r, macro.text)


def _short(r: Reader, macro: Token) -> Node:
    """As `_group`; of two digits the first, as TeX takes single tokens: ``\\frac12`` is one half."""
    token = r.token
    if token.kind == "number" and len(token.text) == 2 and token.text.isdigit():
        middle = token.start + 1
        halves = Token("number", token.text[0], token.start, middle), Token("number", token.text[1], middle, token.stop)
        r.tokens[r.at : r.at + 1] = halves
    return argument(r, macro.text)


def _optional(r: Reader, _: Token) -> Node | None:
    """``[3]``."""
    return fenced(r) if r.token.text == "[" else None


def _kind(r: Reader, opening: Token) -> str:
    """Which norm it is: ``_F``."""
    if not r.accept("_"):
        return "2"
    if r.token.text == "\\infty":
        r.fail("the largest entry is not read.", (opening.start, r.token.stop), "Norms are 1, 2 and F.")
    (item, *_) = subscript(r)
    kind = str(item.value.base if item.head == "symbol" else item.value)
    if kind not in ("1", "2", "F"):
        r.fail(f"the norm \\|.\\|_{{{kind}}} is not read.", r.since(opening.start), "Norms are 1, 2 and F.")
    return kind


# --------------------------------------------------------------------------------------------------------------- nodes
def _root(span: tuple[int, int], _: Token, order: Node | None, inner: Node) -> Node:
    if order is None:
        return Node("root", (inner,), span, 2)
    if order.head != "number" or order.value.denominator != 1 or not 2 <= order.value <= 64:
        one = Node("number", (), order.span, Fraction(1))
        return Node("pow", (inner, Node("frac", (one, order), order.span)), span)
    return Node("root", (inner,), span, int(order.value))


def _norm(span: tuple[int, int], _: Token, inner: Node, kind: str) -> Node:
    return Node("norm", (inner,), span, kind)


def _binomial(span: tuple[int, int], _: Token, n: Node, k: Node) -> Node:
    """n! / (k! (n - k)!)."""
    rest = Node("add", (n, Node("neg", (k,), k.span)), span)
    top, left, right = (Node("factorial", (x,), span) for x in (n, k, rest))
    return Node("frac", (top, Node("mul", (left, right), span, ("",))), span)


def _absolute(r: Reader) -> Node:
    """``|x|``, and ``\\|x\\|_F`` or ``||x||``."""
    opening = r.take()
    double = opening.text == "|" == r.token.text and r.token.start == opening.stop and opening.side == r.token.side
    r.at += double
    mark = "||" if double else opening.text
    r.fences.append(mark)
    inner = expression(r)
    if r.token.text != opening.text or not closes(r, r.token):
        r.fail(f"this {mark} is never closed.", opening.span)
    r.fences.pop()
    r.at += double
    closing = r.take()
    span = (opening.start, closing.stop)
    if opening.side == "l" and closing.side != "r":
        r.fail(f"\\left{opening.text} needs its \\right{opening.text}.", span)
    if mark == "|":
        return Node("abs", (inner,), span, "sided" if opening.side else None)
    kind = _kind(r, opening)
    return Node("norm", (inner,), r.since(opening.start), kind)


# --------------------------------------------------------------------------------------------------------------- table
def _macros(*words: str) -> str:
    return " ".join(f"\\{word}" for word in words)


TABLE = (
    Row(f"letter \\partial \\nabla {' '.join(PHYSICS)} \\frac \\dfrac \\tfrac \\mathrm \\operatorname", derivative),
    Row("\\frac \\dfrac \\tfrac", arguments(_short, _group, makes="frac"), alone=primary),
    Row("\\cfrac", arguments(_short, _group, makes="frac")),
    Row("\\sqrt", arguments(_optional, _group, makes=_root)),
    Row("\\sum \\prod", folded),
    Row("\\binom \\dbinom \\tbinom", arguments(_group, _group, makes=_binomial)),
    Row("\\abs", arguments(_group, makes="abs")),
    Row("\\norm", arguments(_group, _kind, makes=_norm)),
    Row("( [ \\{ \\langle", fenced),
    Row("| \\|", _absolute),
    Row("\\begin{cases}", cases),
    Row(f"text {_macros(*FUNCTIONS, 'operatorname', 'mathrm', 'mathsf', 'mathit', 'mathbf')}", function_call),
    Row("letter", letters, alone=bare_name),
    Row(f"text {_macros(*GREEK, *ACCENTS, *FONTS, 'operatorname')}", named, alone=bare_name),
)
_ROWS = {
    begins: tuple(row for row in TABLE if begins in row.begins.split())
    for row in TABLE
    for begins in row.begins.split()
}


def open_reader(
    text: str,
    tokens: list[Token],
    known: frozenset[str] | None,
    numbers: frozenset[str],
    functions: frozenset[str],
    words: frozenset[str],
) -> Reader:
    """A reader at the first of ``tokens``, with all rows of the table."""
    return Reader(text, tokens, known, numbers, functions, words, _ROWS)
