"""Brackets put in, taken away, or moved: every other reading of the same row of operands and operators."""

from __future__ import annotations

import ast
import io
import itertools
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

_MOST = 28  # operands of an expression that is read in other ways
_OPENS, _CLOSES = frozenset("(["), frozenset(")]")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int
    kind: int


def rebracketed(text: str) -> Iterator[tuple[float, str]]:
    """The expressions that differ from one by one pair of brackets, each with what it costs; each meaning once.

    >>> [t for _, t in rebracketed("a - b * c")]
    ['(a - b) * c']
    >>> [t for _, t in rebracketed("(1 + a) * s")]
    ['1 + a * s']
    >>> "s * (1 + a * (1 - s))" in [t for _, t in rebracketed("s * (1 + a) * (1 - s)")]
    True
    """
    try:
        tokens = _tokens(text)
        seen = {_meaning(text)}
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return
    starts = [k for k, t in enumerate(tokens) if _begins(tokens, k)]
    ends = [k for k, t in enumerate(tokens) if _finishes(tokens, k)]
    if len(ends) > _MOST:
        return
    pairs = list(_pairs(tokens))
    ranges = [(i, j) for i in starts for j in ends if i < j and _is_even(tokens, i, j)]
    wrapped = (((), (i, j), 0.8) for i, j in ranges)
    bare = ((p, (), 0.85) for p in pairs)
    places = [(i, j) for i in starts for j in {*ends, *(b for _, b in pairs)} if i < j and _is_even(tokens, i, j)]
    moved = (((i, j), (a, b), 0.9) for i, j in pairs for a, b in places if _shares((i, j), (a, b)))
    for taken, put, cost in itertools.chain(wrapped, bare, moved):
        new = _written_in_brackets(text, tokens, taken, put)
        try:
            meaning = _meaning(new)
        except SyntaxError:
            continue
        if meaning not in seen:
            seen.add(meaning)
            yield cost, new


def _tokens(text: str) -> list[_Token]:
    lines = list(itertools.accumulate((len(x) for x in f"({text}\n)".splitlines(keepends=True)), initial=0))
    found = []
    for t in tokenize.generate_tokens(io.StringIO(f"({text}\n)").readline):
        if t.type in (tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.STRING):
            found.append(
                _Token(t.string, lines[t.start[0] - 1] + t.start[1] - 1, lines[t.end[0] - 1] + t.end[1] - 1, t.type)
            )
    return found[1:-1]


def _begins(tokens: list[_Token], k: int) -> bool:
    """Whether an operand begins with a token."""
    t, before = tokens[k], tokens[k - 1].text if k else ""
    if before == "." or _is_operand_end(tokens, k - 1):
        return False
    return t.kind in (tokenize.NAME, tokenize.NUMBER) or t.text in ("(", "[", "-")


def _is_operand_end(tokens: list[_Token], k: int) -> bool:
    return k >= 0 and (tokens[k].kind in (tokenize.NAME, tokenize.NUMBER) or tokens[k].text in _CLOSES)


def _finishes(tokens: list[_Token], k: int) -> bool:
    """Whether an operand ends with a token."""
    after = tokens[k + 1].text if k + 1 < len(tokens) else ""
    return _is_operand_end(tokens, k) and after not in (".", "(", "[")


def _is_even(tokens: list[_Token], i: int, j: int) -> bool:
    """Whether tokens i to j close what they open, and hold no comma or colon of what is around them."""
    depth = 0
    for t in tokens[i : j + 1]:
        depth += (t.text in _OPENS) - (t.text in _CLOSES)
        if depth < 0 or (not depth and t.text in (",", ":", "=")):
            return False
    return not depth


def _pairs(tokens: list[_Token]) -> Iterator[tuple[int, int]]:
    """The brackets that only group."""
    stack = []
    for k, t in enumerate(tokens):
        if t.text in _OPENS:
            stack.append(k)
        elif t.text in _CLOSES and stack:
            i = stack.pop()
            if t.text == ")" and not _is_operand_end(tokens, i - 1):
                yield i, k


def _shares(pair: tuple[int, int], put: tuple[int, int]) -> bool:
    """Whether a pair of brackets put anew has one end where the old pair has it."""
    (i, j), (a, b) = pair, put
    return (a == i + 1 and b != j - 1) or (b == j - 1 and a != i + 1) or (a == i and b > j) or (b == j and a < i)


def _written_in_brackets(text: str, tokens: list[_Token], taken: tuple[int, ...], put: tuple[int, ...]) -> str:
    marks = [(tokens[k].start, tokens[k].end, "") for k in taken]
    if put:
        marks += [(tokens[put[0]].start, tokens[put[0]].start, "("), (tokens[put[1]].end, tokens[put[1]].end, ")")]
    for start, end, new in sorted(marks, key=lambda m: (m[0], m[1]), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _meaning(text: str) -> str:
    return ast.dump(ast.parse(f"({text}\n)", mode="eval"))
