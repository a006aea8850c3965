"""The table of all that a factor of a formula in LaTeX can begin with: a macro, how it reads its arguments, its node.

A new macro is a new row.  ``arguments(one, two, makes="frac")`` reads what follows a macro and makes a node of it;
what does not fit that is a function of the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from symgrad.lifting.latex.calls import function_call
from symgrad.lifting.latex.derivatives import derivative
from symgrad.lifting.latex.grammar import (
    CLOSING,
    argument,
    closes,
    expression,
    fenced,
    primary,
    primed,
    subscript,
    term,
    visible,
)
from symgrad.lifting.latex.indicators import cases, condition
from symgrad.lifting.latex.names import bare_name, letters, named, sure_name
from symgrad.lifting.latex.token_reader import (
    PHYSICS,
    Node,
    Reader,
    Reading,
    Row,
    Undecided,
    differential,
    letters_below,
    moment_word,
    parts,
    starts_name,
    unexpected,
)
from symgrad.lifting.latex.tokens import ACCENTS, FONTS, FUNCTIONS, GREEK, RELATIONS, Token
from symgrad.lifting.latex.typeset_matrices import KINDS, matrix

# --------------------------------------------------------------------------------------------------------------- folds
# Sums and products in formulas in LaTeX: their indices, their limits, and the conditions below them.


@dataclass(frozen=True)
class _Below:
    """What stands below a sum: its indices, the limit, and the condition that they meet."""

    names: tuple[Node, ...]
    low: Node | None = None
    where: Node | None = None


def folded(r: Reader) -> Node:
    """``\\sum_{k=1}^{m} body``: the body goes to the next + or - outside of parentheses; over several indices it is one
    in another, and a condition leaves out what does not meet it.
    """
    macro = r.take()
    below, ends = _limits(r, macro)
    outside = r.bound
    r.bound = (*outside, *(n.value.base for n in below.names))
    body = visible(r, term(r))
    r.bound = outside
    names = below.names
    if below.where is not None:
        names = (*names, *_second(r, macro, below, body))
        empty = Node("number", (), below.where.span, Fraction(macro.text == "\\prod"))
        body = Node("cases", (body, below.where, empty), body.span)
    for name in reversed(names):
        value = name.value.base, (macro.start, name.span[1])
        body = Node(macro.text[1:], (body, *ends), (macro.start, body.span[1]), value)
    return body


def _second(r: Reader, macro: Token, below: _Below, body: Node) -> Sequence[Node]:
    """The other index of ``\\sum_{i<j}``, where nothing around binds it: j too goes over all."""
    known = {*r.bound, *(n.value.base for n in below.names)}
    found = [x for x in (below.where.args if below.where is not None else ()) if x.head == "symbol" and not x.args]
    found = [x for x in found if x.value.base not in known]
    inside = set(letters_below(body))
    for x in found:
        if x.value.base not in inside:
            _refuse(r, macro, x.span[0])
    return found


def _limits(r: Reader, macro: Token) -> tuple[_Below, tuple[Node, ...]]:
    """``_{k=1}^{m}``, ``_{i,j}``, ``_k^C``: the indices, and both limits or none."""
    below: _Below | None = None
    high = None
    while r.is_sign("_", "^"):
        sign = r.take()
        if sign.text == "_" and below is None:
            below = _below(r, macro)
        elif sign.text == "^" and high is None:
            high = argument(r, "^")
        else:
            r.fail("two limits stand on one side.", sign.span)
    if below is None:
        r.fail(f"{macro.text} has no index.", macro.span, f"Write {macro.text}_{{k=1}}^{{m}}.")
    if high is None and below.low is not None:
        instead = f"Write {macro.text}_{{k=1}}^{{m}}, or {macro.text}_k for all."
        r.fail(f"{macro.text} has only one limit.", r.since(macro.start), instead)
    if high is None:
        return below, ()
    return below, (below.low or Node("number", (), high.span, Fraction(1)), high)


def _below(r: Reader, macro: Token) -> _Below:
    """``_k``, ``_{k=1}``, ``_{i,j}``, ``_{j \\ne k}``, ``_{j=1, j \\ne k}``, ``_{i : y_i = 1}``."""
    braces = r.token.kind == "open"
    r.at += braces
    names: list[Node] = []
    low = where = None
    while where is None and (not names or (braces and r.accept(","))):
        mark = r.at
        if not starts_name(r.token):
            _refuse(r, macro)
        name = bare_name(r)
        while name.head == "symbol" and r.accept("'"):
            name = primed(r, name)
        if name.head != "symbol":
            _refuse(r, macro)
        if braces and r.token.text in RELATIONS and (r.token.text != "=" or low is not None):
            r.at = mark
            where = condition(r)
            if where.head != "compare":
                _refuse(r, macro)
            names += [] if names else [name]
            continue
        if low is not None:
            _refuse(r, macro)
        names.append(name)
        if braces and r.token.text in (":", "|", "\\mid"):  # \sum_{i : y_i = 1}
            r.at += 1
            where = condition(r)
            break
        low = expression(r) if braces and r.accept("=") else None
    if braces and r.token.kind != "close":
        _refuse(r, macro)
    r.at += braces
    return _Below(tuple(names), low, where)


def _refuse(r: Reader, macro: Token, stop: int | None = None) -> NoReturn:
    r.fail(
        f"what stands below {macro.text} is not read.",
        (macro.start, r.token.stop if stop is None else stop),
        f"Write {macro.text}_{{k=1}}^{{m}}, or {macro.text}_k for all entries; "
        "a condition goes into \\mathbb{1}[...].",
    )


def integrated(r: Reader) -> Node:
    """``\\int_0^1 x e^x \\, dx``: the body goes to the differential of its variable."""
    macro, low, high = r.take(), None, None
    while r.is_sign("_", "^"):
        if r.take().text == "_":
            low = argument(r, "_")
        else:
            high = argument(r, "^")
    if low is None or high is None:
        instead = "Write its limits, \\int_a^b; or a function of which it is the integral."
        r.fail("an integral without limits is known up to a constant.", r.since(macro.start), instead)
    at = _differential_of(r, macro)
    tokens, sign = r.tokens, r.tokens[at]
    r.tokens = [*tokens[:at], Token("end", "", sign.start, sign.start + 1)]
    body = Node("number", (), macro.span, Fraction(1)) if r.at == at else expression(r)
    if r.token.kind != "end":
        unexpected(r)
    r.tokens = tokens
    r.at = at + differential(r, at)
    variable = sure_name(r)
    return Node("integral", (body, low, high), r.since(macro.start), variable.value.base)


def _differential_of(r: Reader, macro: Token) -> int:
    """Where the differential of an integral stands, behind those of the integrals inside of it."""
    depth = inner = 0
    for k in range(r.at, len(r.tokens)):
        token = r.tokens[k]
        depth += token.kind == "open" or token.text in CLOSING
        depth -= token.kind == "close" or token.text in CLOSING.values()
        if depth < 0:
            break
        inner += not depth and token.text == "\\int"
        if not depth and token.text in ("d", "\\mathrm") and differential(r, k):
            if not inner:
                return k
            inner -= 1
    r.fail("which variable this integral is over is not said.", macro.span, "End it with its differential, \\, dx.")


def moment(r: Reader) -> Node | None:
    """``\\mathbb{E}[X^2]``, ``E[X]``, ``\\operatorname{Var}(X)``; None for a name, and for E that a row defines as a
    function, or that the model has as an input.
    """
    if (found := moment_word(r)) is None:
        return None
    kind, count = found
    start, mark = r.token.start, r.at
    letter = r.token.text if r.token.kind == "letter" else f"{r.token.text[1:]}{{{kind}}}"
    if letter in r.functions or r.knows(letter):
        return None
    r.at += count
    inner = fenced(r, commas=True)
    args = inner.args if inner.head == "several" else (inner,)
    capital = any(p.head == "symbol" and p.value.base[0].isupper() for p in parts(inner))
    if len(args) != 1 + (kind == "Cov") or not capital:  # what is random is not said, or E is a name
        r.at = mark
        return None
    if letter in r.numbers:
        r.fail(
            "E with brackets is an expectation, and E stands for a number elsewhere.",
            r.since(start),
            "Write E \\cdot (...) for the product; for the expectation give the number another letter.",
            Undecided,
        )
    return Node("moment", args, r.since(start), kind)


def infinite(r: Reader) -> Node:
    """``\\infty``, which only a limit may be."""
    return Node("infinity", (), r.take().span)


# ---------------------------------------------------------------------------------------------------------- constructs


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


def _kind(r: Reader, opening: Token) -> str | Node:
    """Which norm it is: ``_F``; or its power, ``_p``."""
    if not r.accept("_"):
        return "2"
    if r.token.text == "\\infty":
        r.fail("the largest entry is not read.", (opening.start, r.token.stop), "Norms are 1, 2, p and F.")
    (item, *_) = subscript(r)
    kind = str(item.value.base if item.head == "symbol" else item.value)
    if (item.head == "number" and item.value > 2) or (kind in ("p", "q") and not item.args):
        return item
    if kind not in ("1", "2", "F"):
        r.fail(f"the norm \\|.\\|_{{{kind}}} is not read.", r.since(opening.start), "Norms are 1, 2, p and F.")
    return kind


# --------------------------------------------------------------------------------------------------------------- nodes
def _root(span: tuple[int, int], _: Token, order: Node | None, inner: Node) -> Node:
    if order is None:
        return Node("root", (inner,), span, 2)
    if order.head != "number" or order.value.denominator != 1 or not 2 <= order.value <= 64:
        one = Node("number", (), order.span, Fraction(1))
        return Node("pow", (inner, Node("frac", (one, order), order.span)), span)
    return Node("root", (inner,), span, int(order.value))


def _norm(span: tuple[int, int], _: Token, inner: Node, kind: str | Node) -> Node:
    if isinstance(kind, str):
        return Node("norm", (inner,), span, kind)
    size = Node("call", (inner,), span, ("abs", 0))
    total = Node("call", (Node("hadamard_power", (size, kind), span),), span, ("total", 0))
    return Node("pow", (total, Node("frac", (Node("number", (), span, Fraction(1)), kind), span)), span)


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
    return _norm(r.since(opening.start), opening, inner, kind)


# --------------------------------------------------------------------------------------------------------------- table
def _macros(*words: str) -> str:
    return " ".join(f"\\{word}" for word in words)


TABLE = (
    Row(f"letter \\partial \\nabla {' '.join(PHYSICS)} \\frac \\dfrac \\tfrac \\mathrm \\operatorname", derivative),
    Row("\\frac \\dfrac \\tfrac", arguments(_short, _group, makes="frac"), alone=primary),
    Row("\\cfrac", arguments(_short, _group, makes="frac")),
    Row("\\sqrt", arguments(_optional, _group, makes=_root)),
    Row("\\sum \\prod", folded),
    Row("\\int", integrated),
    Row("\\infty", infinite, alone=infinite),
    Row("\\binom \\dbinom \\tbinom", arguments(_group, _group, makes=_binomial)),
    Row("\\abs", arguments(_group, makes="abs")),
    Row("\\norm", arguments(_group, _kind, makes=_norm)),
    Row("letter text \\mathbb \\operatorname \\mathrm \\mathsf", moment),
    Row("( [ \\{ \\langle", fenced),
    Row("| \\|", _absolute),
    Row("\\begin{cases}", cases),
    Row(" ".join(f"\\begin{{{kind}}}" for kind in KINDS), matrix),
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
    context: str,
    readings: Mapping[str, bool] | None = None,
) -> Reader:
    """A reader at the first of ``tokens``, with all rows of the table."""
    return Reader(text, tokens, known, numbers, functions, words, _ROWS, context, readings or {})
