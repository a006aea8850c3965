r"""Matrices that are written entry by entry: ``\begin{pmatrix} a & b \\ c & d \end{pmatrix}``, and lists of entries."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.lifting.latex.grammar import expression, fenced
from symgrad.lifting.latex.token_reader import Node, Reader, unexpected
from symgrad.lifting.latex.tokens import Token

KINDS = tuple(f"{kind}matrix" for kind in ("p", "b", "B", "v", "", "small")) + ("array",)
_OPEN, _CLOSE = ("(", "[", "\\{", "\\langle"), (")", "]", "\\}", "\\rangle")


def matrix(r: Reader) -> Node:
    """A matrix; between bars, its determinant."""
    start = r.take()
    end = start.text.replace("begin", "end")
    rows: list[list[Node]] = [[]]
    while r.token.text != end:
        r.fences.append(start.text)
        rows[-1].append(expression(r))
        r.fences.pop()
        if r.token.kind == "row":
            r.at += 1
            rows += [[]] if r.token.text != end else []
        elif r.token.kind == "end":
            r.fail(f"{start.text} is never closed.", start.span, f"Write {end}.")
        elif not r.accept("&", ",") and r.token.text != end:
            unexpected(r)
    r.at += 1
    span = r.since(start.start)
    if len({len(row) for row in rows}) > 1 or not rows[0]:
        r.fail("the rows of this matrix have different lengths.", span, "Write each entry, with 0 where there is none.")
    made = Node("matrix", tuple(x for row in rows for x in row), span, (len(rows), len(rows[0])))
    return Node("call", (made,), span, ("det", 0)) if start.text == "\\begin{vmatrix}" else made


def listed(r: Reader) -> Node | None:
    """``(x y, x^2)`` as all of a side: a vector by its entries; None for another."""
    side = r.tokens[r.at : -1]
    if len(side) < 5 or side[0].text != "(" or grid(side) is None:
        return None
    inner = fenced(r, commas=True)
    r.at = len(r.tokens) - 1
    return Node("matrix", inner.args, r.since(side[0].start), (len(inner.args), 1))


def grid(side: Sequence[Token]) -> list[list[list[Token]]] | None:
    """The rows of entries of a side that is one matrix, or one list of them, ``(a, b)^\\top``; None for another."""
    if len(side) < 3:
        return None
    if side[-2].text == "^" and side[-1].text in ("\\top", "T"):
        turned = grid(side[:-2])
        if turned is None or side[0].text in _OPEN:  # a list is a column with this mark or without it
            return turned
        return [list(column) for column in zip(*turned, strict=True)]
    first, last = side[0], side[-1]
    begins = first.text.startswith("\\begin{") and first.text[7:-1] in KINDS
    if begins and last.text == first.text.replace("begin", "end") and first.text != "\\begin{vmatrix}":
        found = _cut(side[1:-1], rows=True)
    elif first.text in _OPEN and last.text == _CLOSE[_OPEN.index(first.text)]:
        if side[1].text.startswith("\\begin{") and (inner := grid(side[1:-1])) is not None:
            return inner
        found = _cut(side[1:-1], rows=False)
    else:
        return None
    if found is None or not all(entry for row in found for entry in row) or len({len(row) for row in found}) > 1:
        return None
    return found


def _cut(inside: Sequence[Token], *, rows: bool) -> list[list[list[Token]]] | None:
    """The entries between separators outside of all parentheses: of rows, or of one list of several, a column."""
    found: list[list[list[Token]]] = [[[]]]
    depth = 0
    for k, token in enumerate(inside):
        depth += token.kind == "open" or token.text in _OPEN or token.text.startswith("\\begin{")
        depth -= token.kind == "close" or token.text in _CLOSE or token.text.startswith("\\end{")
        if depth < 0:
            return None
        if depth or not (token.kind == "row" or token.text in ("&", ",")):
            found[-1][-1].append(token)
        elif token.kind == "row" and rows:
            found += [[[]]] if k + 1 < len(inside) else []
        elif token.text == "&" and rows:
            found[-1].append([])
        elif token.text == "," and not rows:
            found.append([[]])
        else:
            found[-1][-1].append(token)
    return found if rows or len(found) > 1 else None
