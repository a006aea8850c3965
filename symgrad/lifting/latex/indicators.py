"""What is chosen by a condition in formulas in LaTeX: cases and indicators."""

from __future__ import annotations

from symgrad.lifting.latex.grammar import CLOSING, expression, subscript, subscripted
from symgrad.lifting.latex.token_reader import Node, Reader, unexpected
from symgrad.lifting.latex.tokens import RELATIONS

_IF = frozenset("if for when".split())
_ELSE = frozenset("otherwise else".split())
_JOINED = {"\\land": "and", "\\wedge": "and", "and": "and", ",": "and", "\\lor": "or", "\\vee": "or", "or": "or"}


def cases(r: Reader) -> Node:
    """``\\begin{cases} a & \\text{if } x > 0 \\\\ b & \\text{otherwise} \\end{cases}``."""
    start = r.take()
    parts: list[Node] = []
    while r.token.text != "\\end{cases}":
        if len(parts) % 2:
            r.fail("nothing follows the last choice.", r.token.span)
        r.fences.append("cases")
        parts.append(expression(r))
        while r.accept("&", ","):
            pass
        word = r.token.text.strip(" ,.:").lower() if r.token.kind == "text" else ""
        r.at += word in _IF or word in _ELSE
        if word not in _ELSE:
            if not word and (r.token.kind in ("row", "end") or r.token.text == "\\end{cases}"):
                r.fail("this choice has no condition.", parts[-1].span, "Write x > 0 or \\text{otherwise} after &.")
            parts.append(condition(r))
        r.fences.pop()
        while r.accept(",", ".", ";", "&"):
            pass
        if r.token.kind == "row":
            r.at += 1
        elif r.token.kind == "end":
            r.fail("\\begin{cases} is never closed.", start.span, "Write \\end{cases}.")
        elif r.token.text != "\\end{cases}":
            unexpected(r)
    if not parts:
        r.fail("there is nothing to choose from.", (start.start, r.token.stop))
    r.at += 1
    return Node("cases", tuple(parts), r.since(start.start))


def indicator(r: Reader, ones: Node) -> Node:
    """``\\mathbb{1}[x > 0]``, ``\\mathbf{1}_{x > 0}``; without a condition, ones."""
    below = r.accept("_")
    if not _compares(r):
        if ones.head == "symbol":
            r.at -= below
            return subscripted(r, ones)
        if below:
            subscript(r)  # the length, which the other tensors tell too
            return Node("ones", (), r.since(ones.span[0]))
        if r.token.text in ("(", "["):
            where = ones.span[0], r.token.stop
            r.fail("an indicator needs a condition.", where, "Write \\mathbb{1}[x > 0].")
        return ones
    closing = []
    while r.token.kind == "open" or r.token.text in ("(", "[", "\\{"):
        opening = r.take()
        closing.append(CLOSING.get(opening.text, "}"))
        r.fences.append(opening.text)
    if not closing:
        r.fail("an indicator's condition stands in brackets.", ones.span, "Write \\mathbb{1}[x > 0].")
    inner = condition(r)
    for mark in reversed(closing):
        if r.token.text != mark:
            unexpected(r) if r.token.kind != "end" else r.fail("this is never closed.", ones.span)
        r.at += 1
        r.fences.pop()
    return Node("indicator", (inner,), r.since(ones.span[0]))


def condition(r: Reader) -> Node:
    """Comparisons: ``x > 0``, ``0 < x \\le 1``, ``x > 0, y > 0``."""
    left = _comparison(r)
    while (joined := _JOINED.get(r.token.text.lower())) is not None and r.token.kind != "letter":
        if r.token.text == "," and (r.peek().kind in ("row", "end") or r.peek().text == "\\end{cases}"):
            break  # the comma after a choice
        r.at += 1
        right = _comparison(r)
        left = Node(joined, (left, right), (left.span[0], right.span[1]))
    return left


def _comparison(r: Reader) -> Node:
    left = expression(r)
    whole = None
    while r.token.text in RELATIONS:
        relation = RELATIONS[r.take().text]
        right = expression(r)
        here = Node("compare", (left, right), (left.span[0], right.span[1]), relation)
        whole = here if whole is None else Node("and", (whole, here), (whole.span[0], here.span[1]))
        left = right
    if whole is None:
        r.fail("a condition must be a comparison.", left.span, "Write, for example, x > 0.")
    return whole


def _compares(r: Reader) -> bool:
    """Whether a comparison stands between here and where this group closes."""
    depth = 0
    for token in r.tokens[r.at :]:
        depth += token.kind == "open" or token.text in ("(", "[", "\\{")
        depth -= token.kind == "close" or token.text in (")", "]", "\\}")
        if token.text in RELATIONS:
            return True
        if depth <= 0:
            return False
    return False
