"""Derivatives in formulas in LaTeX, which name what a formula is for: ``\\frac{d f}{d x}``, ``\\nabla_x f``."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from fractions import Fraction
from typing import NoReturn

from symgrad.errors import SymgradError
from symgrad.lifting.latex.grammar import (
    CLOSING,
    argument,
    factor,
    fenced,
    juxtapose,
    raised,
    starts_factor,
    subscript,
    subscripted,
    superscript,
    term,
)
from symgrad.lifting.latex.names import bare_name, sure_name
from symgrad.lifting.latex.token_reader import (
    FRACTIONS,
    PHYSICS,
    Name,
    Node,
    Reader,
    called_names,
    differential,
    group_length,
    is_slope,
    power_name,
    spelled,
    starts_name,
)
from symgrad.lifting.latex.tokens import OPERATORS, function

_NAMES = "the arguments of a function that is defined are names."
_WRT = "a derivative is taken with respect to a name."


def derivative(r: Reader) -> Node | None:
    """``\\frac{\\partial f}{\\partial x}``, ``\\partial f/\\partial x``, ``dy/dx`` or ``\\nabla_x f``, or None."""
    if r.token.text == "\\nabla":
        return _nabla(r)
    if r.token.text in PHYSICS:
        return _physics(r)
    if r.token.text in FRACTIONS:
        return _fraction(r) if is_slope(r, r.at) else None
    return _inline(r) if differential(r, r.at, sure=r.on_left) else None


def whole_name(r: Reader) -> Node | None:
    """A name with all its scripts, ``W^{[1]}_{ij}``, in braces or not; None where none stands."""
    if r.token.kind == "open" and (starts_name(r.peek()) or r.peek().kind == "open"):
        opening = r.take()
        node = whole_name(r)
        if node is None or r.token.kind != "close":
            r.fail("these braces hold one name.", (opening.start, r.token.stop))
        r.at += 1
    elif starts_name(r.token):
        node = bare_name(r)
    else:
        return None
    node = subscripted(r, node)
    inside = [r.peek(1 + k).text for k in (0, 1, 2)]
    sided = inside[0] in ("+", "-") or inside in (["{", "+", "}"], ["{", "-", "}"])
    labelled = r.peek().kind == "open" and inside[1] in ("(", "[")
    if node.head == "symbol" and r.is_sign("^") and (labelled or (sided and r.on_left)):
        r.at += 1
        node = superscript(r, node)
    return node


def _wrt(r: Reader, refuse: tuple[int, int] | None = None) -> Node:
    """The name that a derivative is taken with respect to."""
    return whole_name(r) or r.fail(_WRT, refuse or r.token.span)


def quantity(r: Reader) -> Node | None:
    """What a row may be about: a name, letters that stand together, ``KL_{loss}``, the logarithm of one, ``\\ln L``."""
    return _compound(r) or whole_name(r)


def _compound(r: Reader) -> Node | None:
    """One name that is written as a product of letters, or as a logarithm; None for what is read as that everywhere."""
    token, mark = r.token, r.at
    if token.kind == "macro" and function(token.text[1:], macro=True) == "log":
        r.at += 1
        inner = quantity(r)
        if inner is not None and inner.head == "symbol":
            name = replace(inner.value, base=f"log_{inner.value.base}", shown=r.written(r.since(token.start)))
            return replace(inner, span=r.since(token.start), value=name)
    word = ""
    while r.token.kind == "letter" and (not word or r.before.stop == r.token.start):
        word += r.take().text
    if len(word) > 1:
        return subscripted(r, Node("symbol", (), r.since(token.start), Name(word, "", word)))
    r.at = mark
    return None


def _formula(r: Reader, end: str) -> Node:
    """What a left side differentiates: a name up to ``end``, or a formula, which goes to the next plus or minus."""
    mark, depth = r.at, r.depth
    with contextlib.suppress(SymgradError):
        node = _compound(r)
        if node is None or r.knows(spelled(node)) or node.value.base in r.words:
            node = node or whole_name(r)
            if node is not None and r.token.text in ("(", "["):
                called = len(node.value.base) > 1 and function(node.value.base) is not None
                if called and not (r.knows(spelled(node)) or node.value.base in r.words):
                    r.fail("a function of the table is no name.", node.span)  # tr(P), of which it is the derivative
                named_arguments(r)
            closes = end == "end" and r.token.text in (")", "]")  # [\nabla f(x)]_i
            if node is not None and node.head == "symbol" and (r.token.key == end or closes):
                return node
    r.at, r.depth, r.fences, r.on_left = mark, depth, [], False
    try:
        return term(r)
    except SymgradError:
        r.at = mark
        if r.known is None and (node := _compound(r)) is not None:  # the model may have it
            if r.token.text in ("(", "["):
                named_arguments(r)
            return node
        raise


def _differentiated(r: Reader, end: str = "end") -> Node:
    """What is differentiated, up to ``end``: a name, with its arguments left out, or a formula."""
    if r.on_left:
        return _formula(r, end)
    mark = r.at
    node = whole_name(r) if starts_name(r.token) or r.token.kind == "open" else None
    if node is not None and node.head == "symbol":
        given: tuple[Node, ...] = ()
        if r.token.text in ("(", "["):
            with contextlib.suppress(SymgradError):
                given = named_arguments(r)
        if r.token.key == end or (end in ("end", "/") and r.token.text != "^"):
            if any(g.args or g.value.label for g in given) and not r.functions.isdisjoint(called_names(node)):
                return Node("apply", (node, *given), r.since(node.span[0]), 0)  # h(x^{(i)}), at another place
            return node
    if end == "/":
        r.fail(
            "what is differentiated must be a name.",
            r.tokens[mark].span,
            "Write \\frac{d}{dx}(...), with parentheses around all of it.",
        )
    r.at = mark
    return term(r) if end == "close" else _behind(r)


def named_arguments(r: Reader) -> tuple[Node, ...]:
    """``(x, y; W)`` and ``(p \\| q)`` after a function's name: names alone."""
    opening, found = r.take(), []

    def refuse() -> NoReturn:
        r.fail(_NAMES, (opening.start, r.token.stop))

    while not found or r.token.text in (",", ";", "|", "\\mid", "\\|", "\\parallel"):
        r.at += bool(found)
        if r.token.text in ("\\ldots", "\\dots", "\\cdots"):  # x_1, \ldots, x_n
            r.at += 1
            continue
        node = whole_name(r)
        if node is None or node.head != "symbol":
            refuse()
        if r.is_sign("^") and r.peek().kind == "number":
            r.at += 1
            full, power = spelled(node), int(r.take().text)
            node = Node("symbol", (), r.since(node.span[0]), replace(node.value, base=power_name(full or "", power)))
        if r.is_sign("=") and r.peek().kind == "number":  # P(y = 1 \mid x)
            r.at += 2
        found.append(node)
    if r.token.text not in (")", "]"):
        refuse()
    r.at += 1
    return tuple(found)


def _order(r: Reader, power: Node | None = None) -> int:
    """The order of a derivative, which stands above its sign."""
    if power is None:
        if not r.accept("^"):
            return 1
        power = argument(r, "^")
    if power.head != "number" or power.value not in range(1, 10):
        r.fail("the order of a derivative is a whole number below 10.", power.span)
    return int(power.value)


def _below_line(r: Reader, order: int) -> list[Node]:
    r"""``\partial x_i \partial x_j``, ``\partial x^2``; where the order is 1, a power is what is differentiated for."""
    found: list[Node] = []
    while size := differential(r, r.at, sure=True):
        r.at += size
        node = _wrt(r)
        if node.head != "symbol":
            r.fail(_WRT, node.span)
        times = 1
        if r.is_sign("^") and "number" in (r.peek().kind, r.peek(2).kind if r.peek().kind == "open" else ""):
            times = _order(r)
            if order == 1 < times:
                power = Node("number", (), r.before.span, Fraction(times))
                node, times = Node("pow", (node, power), r.since(node.span[0])), 1
        elif r.is_sign("^"):
            raised(r, node)  # x^\top: the axes are the same
        found += [node] * times
    return found


def _fraction(r: Reader) -> Node:
    start = r.take()
    r.at += 1
    r.at += differential(r, r.at, sure=True)
    if (lists := _lists(r)) is not None:
        of, wrt = lists
        return Node("jacobian", (*of, *wrt), r.since(start.start), len(of))
    order = _order(r)
    of = None if r.token.kind == "close" else _differentiated(r, "close")
    if r.token.kind != "close":
        r.fail("only a name is differentiated.", r.token.span, "Define it first, f = ...")
    r.at += 2
    wrt = _below_line(r, order)
    if r.token.kind != "close" or not wrt:
        r.fail("a derivative is taken with respect to names.", (start.start, r.token.stop))
    r.at += 1
    return _slope(r, of or _behind(r), wrt, order, start.start)


def _lists(r: Reader) -> tuple[tuple[Node, ...], tuple[Node, ...]] | None:
    """``(x, y)}{\\partial(r, \\theta)``: what is differentiated and for what, where one is a list; else None."""
    mark, found = r.at, list[tuple[Node, ...]]()
    with contextlib.suppress(SymgradError):
        for part in range(2):
            if r.token.text == "(":
                found.append(named_arguments(r))
            elif (name := whole_name(r)) is not None and name.head == "symbol":
                found.append((name,))
                if r.token.text == "(" and not part:
                    named_arguments(r)
            if len(found) != part + 1 or r.token.kind != "close":
                break
            r.at += 1
            if not part:
                r.at += 1
                r.at += differential(r, r.at, sure=True)
        else:
            if max(map(len, found)) > 1:
                return found[0], found[1]
    r.at = mark
    return None


def _behind(r: Reader) -> Node:
    """What stands behind ``\\frac{d}{dx}``: a name, or one factor, in parentheses where it is longer."""
    if r.on_left:
        return _formula(r, "end")
    start, opening = r.token.start, r.token
    first = factor(r)
    alone = opening.text in CLOSING and first.span == r.fence and first.span[0] == opening.start
    factors, last = [first], ""
    while r.token.text in OPERATORS or starts_factor(r, r.token):
        token, sign = r.token, r.token.text in OPERATORS
        if alone and not (token.text in CLOSING or token.text in ("/", "|", "\\|")):
            break  # parentheses hold all of it
        if alone or (sign and not is_slope(r, r.at + 1)):
            r.fail(
                "it is not clear where what is differentiated ends.",
                (start, token.stop),
                "Write \\frac{d}{dx}(...), with parentheses around all of it.",
            )
        if sign or is_slope(r, r.at):
            break  # a slope is a factor of its own
        juxtapose(r, token, factors, [last])
        factors.append(factor(r))
    if len(factors) == 1:
        return first
    return Node("mul", tuple(factors), (start, factors[-1].span[1]), ("",) * (len(factors) - 1))


def _signs_below(r: Reader) -> list[Node]:
    """``\\partial_x``, ``\\partial_x^2``, ``\\partial_{xy}``, ``\\partial_x \\partial_y``: what it is for."""
    found: list[Node] = []
    while r.token.text == "\\partial" and r.peek().text == "_":
        r.at += 2
        for item in subscript(r):
            letters = item.head == "mul" and not any(item.value)
            found += (item.args if letters else (item,)) * _order(r)
    return found


def _inline(r: Reader) -> Node | None:
    """``\\partial f/\\partial x``, ``\\partial_x f``, ``df/dx``; None where d is a factor."""
    start, mark = r.token, r.at
    partial = start.text == "\\partial"
    r.at += differential(r, mark, sure=r.on_left)
    if partial and r.token.text == "_":
        r.at = mark
        wrt = _signs_below(r)
        return _slope(r, _differentiated(r), wrt, len(wrt), start.start)
    if not partial:
        slash = r.at + group_length(r, r.at)
        if starts_name(r.token) and r.peek().text == "_":
            slash = r.at + 2 + group_length(r, r.at + 2)
        slash = min(slash, len(r.tokens) - 1)
        if r.token.text == "^" and r.on_left and r.peek().kind == "number":  # d^2y/dx^2, d^2/dx^2
            slash = r.at + 2 + (group_length(r, r.at + 2) if starts_name(r.peek(2)) else 0)
        elif r.token.text == "^" or (r.on_left and r.token.text == "/"):
            slash = r.at
        if r.tokens[slash].text != "/" or not differential(r, slash + 1, sure=r.on_left):
            r.at = mark
            return None
    order = _order(r)
    of = None if r.token.text == "/" else _differentiated(r, "/")
    here = start.start, r.token.stop
    if r.token.text != "/":
        r.fail("this derivative is not read.", here, "Write \\frac{\\partial f}{\\partial x}.")
    r.at += 1
    size = differential(r, r.at, sure=r.on_left)
    if not size:
        r.fail(_WRT, (start.start, r.token.stop))
    r.at += size
    wrt = [_wrt(r, (start.start, r.token.stop))]
    if r.token.text == "^" and order > 1:
        wrt *= _order(r)
    return _slope(r, of or _behind(r), wrt, order, start.start)


def _physics(r: Reader) -> Node:
    """``\\dv{f}{x}``, ``\\pdv[2]{f}{x}``."""
    start = r.take()
    order = _order(r, fenced(r)) if r.token.text == "[" else 1
    opening = r.take()
    if opening.kind != "open":
        r.fail(f"{start.text} needs braces here.", opening.span, f"Write {start.text}{{f}}{{x}}.")
    of = _differentiated(r, "close")
    if r.token.kind != "close":
        r.fail("only a name is differentiated.", r.token.span, "Define it first, f = ...")
    r.at += 1
    if r.token.kind == "open":
        return _slope(r, of, [_wrt(r)] * order, order, start.start)
    return _slope(r, _differentiated(r), [of] * order, order, start.start)


def _nabla(r: Reader) -> Node:
    start = r.take()
    wrt: list[Node] = []
    order = 1
    while r.token.text in ("_", "^"):
        if r.token.text == "^":
            order = _order(r)
            continue
        r.at += 1
        if wrt:
            r.fail("two subscripts stand on \\nabla.", (start.start, r.token.stop))
        braces = r.token.kind == "open"
        r.at += braces
        if not starts_name(r.token):
            r.fail("\\nabla_ needs a name.", (start.start, r.token.stop), "Write \\nabla_w f.")
        wrt.append((whole_name(r) if braces else None) or sure_name(r))
        if braces and r.token.kind != "close":
            r.fail("\\nabla_ needs one name.", (start.start, r.token.stop), "Write \\nabla_w f.")
        r.at += braces
    of = _differentiated(r)
    return Node("derivative", (of, *wrt * order), r.since(start.start), order)


def _slope(r: Reader, of: Node, wrt: list[Node], order: int, start: int) -> Node:
    span = r.since(start)
    if any(w.head != "symbol" and not (w.head == "pow" and r.on_left) for w in wrt):
        r.fail("a derivative is taken with respect to names.", span)
    if len(wrt) != order:
        r.fail(
            f"the order is {order} above the line and {len(wrt)} below it.",
            span,
            "Write \\frac{\\partial^2 f}{\\partial x^2}, or \\frac{\\partial f}{\\partial x}.",
        )
    return Node("derivative", (of, *wrt), span, order)
