"""Sums and products in formulas in LaTeX: their indices, their limits, and the conditions below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from symgrad.lifting.latex.choices import condition
from symgrad.lifting.latex.grammar import argument, expression, primed, term, visible
from symgrad.lifting.latex.names import bare_name
from symgrad.lifting.latex.nodes import Node, letters_below
from symgrad.lifting.latex.token_reader import Reader, starts_name
from symgrad.lifting.latex.tokens import RELATIONS, Token


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
    """``_k``, ``_{k=1}``, ``_{i,j}``, ``_{j \\ne k}``, ``_{j=1, j \\ne k}``."""
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
