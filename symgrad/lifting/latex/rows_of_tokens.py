"""The rows of a text in LaTeX, as tokens: the equations in each, and the sides of each equation."""

from __future__ import annotations

import re
from dataclasses import replace

from symgrad.errors import BadFormula
from symgrad.lifting.latex.token_reader import place
from symgrad.lifting.latex.tokens import LIKE_FUNCTIONS, RELATIONS, Token, is_prose

_FOLLOWS = frozenset(
    "\\implies \\Rightarrow \\Longrightarrow \\therefore \\iff \\Leftrightarrow \\because prose".split()
)
_BETWEEN = _FOLLOWS | {",", ";", "."}
_EQUALS = frozenset(("=", "\\equiv", "\\triangleq", "\\coloneqq", "\\doteq"))


def pieces_of(text: str, found: list[Token]) -> list[list[list[Token]]]:
    """The sides of each equation, as tokens."""
    pieces: list[list[list[Token]]] = []
    for row in _rows(found):
        for part in _parts(_parted(text, row)[0]):
            sides = _sides(part)
            if pieces and (len(sides) == 1 or not sides[0]):
                if len(sides) == 1:  # the row goes on where the last one ended
                    pieces[-1][-1] += sides[0]
                else:
                    pieces[-1] += sides[1:]
            elif any(sides):
                pieces.append(sides)
    pieces = [made for sides in pieces for made in _by_signs(sides)]
    for k in range(len(pieces) - 1, -1, -1):
        if len(sides := pieces[k]) > 2 and _is_call(sides[0]) != _is_call(sides[1]) and not _is_call(sides[0]):
            pieces[k : k + 1] = [sides[1:], sides[:2]]  # z = f(x) = ... says what f(x) is, and that z is that
    for sides in pieces:
        for k, side in enumerate(sides):
            while side and ((side[-1].kind == "sign" and side[-1].text in (",", ".", ";")) or _is_remark(side)):
                side.pop()
            if not side and (k or len(sides) == 1):
                where = next((t for s in sides[::-1] for t in s[::-1]), found[-1])
                raise BadFormula("a side of this equation is missing.", where=place(text, where.span))
    return pieces


def _by_signs(sides: list[list[Token]]) -> list[list[list[Token]]]:
    """``d_{1,2} = a \\pm b`` as what it says of d_1 and of d_2."""
    left, texts = sides[0], [t.text for t in sides[0]]
    marks = (["_", "{", "1", x, "2", "}"] for x in (",", "/"))
    at = next((k for mark in marks for k in range(len(left)) if texts[k : k + 6] == mark), None)
    if at is None or not any(t.text in _PLUS_MINUS for side in sides for t in side):
        return [sides]

    def signed(side: list[Token], k: int) -> list[Token]:
        return [replace(t, kind="sign", text=_PLUS_MINUS[t.text][k]) if t.text in _PLUS_MINUS else t for t in side]

    names = ([*left[: at + 1], left[at + 2 * k], *left[at + 6 :]] for k in (1, 2))
    return [[name, *(signed(side, k) for side in sides[1:])] for k, name in enumerate(names)]


_PLUS_MINUS = {"\\pm": "+-", "\\mp": "-+"}


def conditions_in(text: str, found: list[Token]) -> list[list[Token]]:
    """What is said beside the equations: comparisons and membership in a set."""
    return [x for row in _rows(found) for x in _parted(text, row)[1]]


_FOR = frozenset("for if when whenever where with provided assuming all every valid on".split())
_COMPARE = frozenset(RELATIONS) - _EQUALS | {r"\in"}
_AND_SO_ON = frozenset((r"\ldots", r"\dots", r"\cdots"))


def _parted(text: str, row: list[Token]) -> tuple[list[Token], list[list[Token]]]:
    """A row without the conditions that follow its equations, after a comma, a wide space or a word; and these."""
    segments: list[tuple[list[Token], list[Token]]] = [([], [])]  # what separates each, and the segment itself
    depth = 0
    for k, token in enumerate(row):
        closes = _depth(token) < 0
        depth += _depth(token) if closes else 0
        wide = (k > 0 and r"\quad" in (gap := text[row[k - 1].stop : token.start])) or (k > 0 and r"\qquad" in gap)
        word = token.kind == "text" and set(re.findall(r"\w+", token.text.lower())) & _FOR
        if not depth and not closes and (token.text in (",", ";", "\forall") or word):
            segments.append(([token], []))
        else:
            if wide and not depth and not closes and segments[-1][1]:
                segments.append(([], []))
            segments[-1][1].append(token)
        depth += _depth(token) if not closes else 0
    kept, found = list(segments[0][1]), []
    rest = segments[1:]
    while rest:
        (before, here), rest = rest[0], rest[1:]
        if _counts(here, rest):
            rest = rest[2:]
        elif len(here) == 1 and here[0].kind in ("letter", "macro") and rest and kept and _compares(rest[0][1]):
            found.append([*here, *_relation(rest[0][1])])  # x, y > 0
        elif _compares(here) and kept:
            found += _compared(here[1:-1] if here[0].text == "(" and _depths_end(here) else here)
        elif kept and here and here[0].text == "(" and _depths_end(here) and len(_split(here[1:-1], _EQUALS)) > 1:
            kept += [replace(here[0], text=","), *here[1:-1]]  # \quad (A = A^\top)
        elif here or not (before and before[0].kind == "text" and rest and (_compares(rest[0][1]) or not kept)):
            kept += [*before, *here]
    return kept, found


def _depth(token: Token) -> int:
    opens = token.kind == "open" or token.text in ("(", "[", "\\{", "\\langle") or token.text.startswith("\\begin{")
    closes = token.kind == "close" or token.text in (")", "]", "\\}", "\\rangle") or token.text.startswith("\\end{")
    return opens - closes


def _depths_end(segment: list[Token]) -> bool:
    """Whether the first parenthesis of a segment closes at its end."""
    depth = 0
    for k, token in enumerate(segment):
        depth += _depth(token)
        if not depth:
            return k == len(segment) - 1
    return False


def _compares(segment: list[Token]) -> bool:
    """Whether a segment is a comparison, or says of what set a letter is."""
    inside = segment[1:-1] if segment and segment[0].text == "(" and _depths_end(segment) else segment
    depth, found = 0, False
    for token in inside:
        depth += _depth(token)
        if not depth and token.text in _EQUALS:
            return False
        found |= not depth and token.text in _COMPARE and token.kind in ("sign", "macro")
    return found


def _relation(segment: list[Token]) -> list[Token]:
    """A comparison from its sign on."""
    return segment[next(k for k, t in enumerate(segment) if t.text in _COMPARE) :]


def _compared(segment: list[Token]) -> list[list[Token]]:
    """The comparisons that commas separate; of ``x, y > 0`` one for each letter."""
    parts = _split(segment, frozenset((",", ";")))
    return [x if _compares(x) else [*x, *_relation(parts[-1])] for x in parts]


def _counts(segment: list[Token], rest: list[tuple[list[Token], list[Token]]]) -> bool:
    """``i = 1, \\dots, n``: over what an index runs, which the arrays tell too."""
    texts = [t.text for t in segment]
    dots = [[t.text for t in part] for _, part in rest[:2]]
    return len(texts) == 3 and texts[1] == "=" and len(dots) == 2 and set(dots[0]) <= _AND_SO_ON and len(dots[1]) == 1


def _is_call(side: list[Token]) -> bool:
    """``f(x, y)``, of letters alone, which is no product."""
    texts = [t.text for t in side]
    return (
        texts[1:2] == ["("]
        and texts[-1] == ")"
        and side[0].text in LIKE_FUNCTIONS
        and all(t.kind == "letter" or t.text == "," for t in side[2:-1])
    )


def _is_remark(side: list[Token]) -> bool:
    """Whether a text that can be no name, ``\\text{learning\\_rate}``, and no factor after a sign ends this side."""
    if len(side) < 2 or side[-1].kind != "text" or side[-2].text in ("+", "-", "\\cdot", "*", "/"):
        return False
    word = side[-1].text.strip(" .:")
    return is_prose(side[-1]) or not re.fullmatch(r"\w+(?:\\?[_-]\w+)*", word)


def _rows(found: list[Token]) -> list[list[Token]]:
    rows: list[list[Token]] = [[]]
    depth = 0
    for k, token in enumerate(found[:-1]):
        depth += token.text.startswith("\\begin{")
        depth -= token.text.startswith("\\end{")
        if token.kind == "row" and depth <= 0:
            rows.append([])
        elif depth > 0 or token.text != "&" or not (_aligns(found[k + 1]) or not rows[-1] or _aligns(rows[-1][-1])):
            rows[-1].append(token)
    return [row for row in rows if row]


def _aligns(token: Token) -> bool:
    """Whether a row is aligned at this token: ``&`` may stand beside it."""
    return token.text in _EQUALS or token.text in ("+", "-", ":", "&") or token.kind in ("row", "end", "text")


def _split(row: list[Token], at: frozenset[str]) -> list[list[Token]]:
    """The row cut at signs outside of all parentheses."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in row:
        depth += token.kind == "open" or token.text in ("(", "[", "\\{") or token.text.startswith("\\begin{")
        depth -= token.kind == "close" or token.text in (")", "]", "\\}") or token.text.startswith("\\end{")
        mark = "prose" if is_prose(token) else token.text
        if depth <= 0 and mark in at and token.kind in ("sign", "macro", "text"):
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


def _parts(row: list[Token]) -> list[list[Token]]:
    """The equations of one row, between commas, semicolons, arrows or words."""
    for between in (_BETWEEN, _FOLLOWS):
        parts = [p for p in _split(row, between) if p]
        if parts and all(len(_sides(p)) > 1 for p in parts):
            return parts
    return [row]


def _sides(part: list[Token]) -> list[list[Token]]:
    sides = _split(part, _EQUALS)
    for side in sides[:-1]:
        if side and side[-1].text == ":" and side[-1].kind == "sign":
            side.pop()
    return sides
