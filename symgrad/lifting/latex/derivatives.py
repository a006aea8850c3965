"""Derivatives in formulas in LaTeX, which name what a formula is for: ``\\frac{d f}{d x}``, ``\\nabla_x f``."""

from __future__ import annotations

from typing import NoReturn

from symgrad.lifting.latex.grammar import argument, raised, script_tokens, subscript, subscripted
from symgrad.lifting.latex.names import bare_name, sure_name
from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.token_reader import Reader, starts_name

__all__ = ["derivative", "named_arguments"]

_FRACTIONS = ("\\frac", "\\dfrac", "\\tfrac")
_NAMES = "the arguments of a function that is defined are names."
_WRT = "a derivative is taken with respect to a name."


def derivative(r: Reader) -> Node | None:
    """``\\frac{\\partial f}{\\partial x}``, ``\\partial f/\\partial x``, ``dy/dx`` or ``\\nabla_x f``, or None."""
    if r.token.text == "\\nabla":
        return _nabla(r)
    if r.token.text in _FRACTIONS and r.peek().kind == "open":
        below = r.at + 1 + _length(r, r.at + 1)
        above = _differential(r, r.at + 2)
        return _fraction(r) if above and r.tokens[below].kind == "open" and _differential(r, below + 1) else None
    return _inline(r) if _differential(r, r.at) else None


def _length(r: Reader, k: int) -> int:
    """How many tokens the script or argument at ``k`` has, with its braces."""
    depth, end = 0, k
    while r.tokens[end].kind != "end":
        depth += {"open": 1, "close": -1}.get(r.tokens[end].kind, 0)
        end += 1
        if depth <= 0:
            break
    return end - k


def _differential(r: Reader, k: int) -> int:
    """How many tokens at ``k`` are the sign of a differential, 0 for none."""
    here, *after = (r.tokens[min(k + j, len(r.tokens) - 1)] for j in range(4))
    if here.text == "\\partial":
        return 1
    if here.text in ("\\mathrm", "\\operatorname"):
        return 4 if [t.text for t in after] == ["{", "d", "}"] else 2 if after[0].text == "d" else 0
    if here.text != "d" or here.kind != "letter" or r.knows("d"):
        return 0
    return int(starts_name(after[0]) or after[0].text in ("\\nabla", "^") or after[0].kind == "close")


def _wrt(r: Reader, refuse: tuple[int, int] | None = None) -> Node:
    """The name that a derivative is taken with respect to."""
    if not starts_name(r.token):
        r.fail(_WRT, refuse or r.token.span)
    return subscripted(r, bare_name(r))


def _differentiated(r: Reader) -> Node:
    """The name of what is differentiated, with its arguments left out."""
    if not starts_name(r.token):
        r.fail(
            "what is differentiated must be a name.",
            r.token.span,
            "Define it first, f = ..., and write \\frac{\\partial f}{\\partial x} = ...",
        )
    node = subscripted(r, bare_name(r))
    if node.head != "symbol":
        r.fail("what is differentiated must be a name.", node.span)
    if r.token.text in ("(", "["):
        named_arguments(r)
    return node


def named_arguments(r: Reader) -> tuple[Node, ...]:
    """``(x, y; W)`` after a function's name: names alone."""
    opening, found = r.take(), []

    def refuse() -> NoReturn:
        r.fail(_NAMES, (opening.start, r.token.stop))

    while not found or r.token.text in (",", ";", "|", "\\mid"):
        r.at += bool(found)
        braces = 0
        while r.token.kind == "open":
            r.at += 1
            braces += 1
        if not starts_name(r.token):
            refuse()
        found.append(subscripted(r, sure_name(r)))
        for _ in range(braces):
            if r.token.kind != "close":
                refuse()
            r.at += 1
    if r.token.text not in (")", "]"):
        refuse()
    r.at += 1
    return tuple(found)


def _order(r: Reader) -> int:
    if r.token.text != "^":
        return 1
    r.at += 1
    power = argument(r, "^")
    if power.head != "number" or power.value not in (1, 2):
        r.fail("a derivative is read to the second order.", power.span)
    return int(power.value)


def _below_line(r: Reader) -> list[Node]:
    """``\\partial x_i \\partial x_j``, ``\\partial x^2``, ``\\partial x \\partial x^\\top``."""
    found: list[Node] = []
    while size := _differential(r, r.at):
        r.at += size
        node = _wrt(r)
        if node.head != "symbol":
            r.fail(_WRT, node.span)
        times = 1
        if r.token.text == "^" and script_tokens(r)[0].kind == "number":
            times = _order(r)
        elif r.token.text == "^":
            raised(r, node)  # x^\top: the axes are the same
        found += [node] * times
    return found


def _fraction(r: Reader) -> Node:
    start = r.take()
    r.at += 1
    r.at += _differential(r, r.at)
    order = _order(r)
    of = None if r.token.kind == "close" else _differentiated(r)
    if r.token.kind != "close":
        r.fail("only a name is differentiated.", r.token.span, "Define it first, f = ...")
    r.at += 2
    wrt = _below_line(r)
    if r.token.kind != "close" or not wrt:
        r.fail("a derivative is taken with respect to names.", (start.start, r.token.stop))
    r.at += 1
    return _slope(r, of or _differentiated(r), wrt, order, start.start)


def _inline(r: Reader) -> Node | None:
    """``\\partial f/\\partial x``, ``\\partial_x f``, ``df/dx``; None where d is a factor."""
    start, mark = r.token, r.at
    partial = start.text == "\\partial"
    r.at += _differential(r, mark)
    if partial and r.token.text == "_":
        r.at += 1
        below = subscript(r)
        return _slope(r, _differentiated(r), list(below), len(below), start.start)
    if not partial:
        slash = r.at + 1
        if starts_name(r.token) and r.peek().text == "_":
            slash = r.at + 2 + _length(r, r.at + 2)
        slash = min(slash, len(r.tokens) - 1)
        if r.token.text == "^" or r.tokens[slash].text != "/" or not _differential(r, slash + 1):
            r.at = mark
            return None
    order = _order(r)
    of = _differentiated(r)
    here = start.start, r.token.stop
    if r.token.text != "/":
        r.fail("this derivative is not read.", here, "Write \\frac{\\partial f}{\\partial x}.")
    r.at += 1
    size = _differential(r, r.at)
    if not size:
        r.fail(_WRT, (start.start, r.token.stop))
    r.at += size
    wrt = [_wrt(r, (start.start, r.token.stop))]
    if r.token.text == "^" and order > 1:
        wrt *= _order(r)
    return _slope(r, of, wrt, order, start.start)


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
        name = sure_name(r)
        wrt.append(subscripted(r, name) if braces else name)
        if braces and r.token.kind != "close":
            r.fail("\\nabla_ needs one name.", (start.start, r.token.stop), "Write \\nabla_w f.")
        r.at += braces
    of = _differentiated(r)
    return Node("derivative", (of, *wrt * order), r.since(start.start), order)


def _slope(r: Reader, of: Node, wrt: list[Node], order: int, start: int) -> Node:
    span = r.since(start)
    if any(w.head != "symbol" for w in wrt):
        r.fail("a derivative is taken with respect to names.", span)
    if len(wrt) != order:
        r.fail(
            f"the order is {order} above the line and {len(wrt)} below it.",
            span,
            "Write \\frac{\\partial^2 f}{\\partial x^2}, or \\frac{\\partial f}{\\partial x}.",
        )
    return Node("derivative", (of, *wrt), span, order)
