r"""Magnitudes that a row says, ``|Z| = \sqrt{R^2 + X^2}``: each is a name, here and in the derivative of it."""

from __future__ import annotations

from collections.abc import Sequence, Set

from symgrad.lifting.latex.rows_of_tokens import pieces_of
from symgrad.lifting.latex.tokens import GREEK, Token, tokens

_BARS = ("|", "\\|")


def magnitudes_said(text: str) -> Set[str]:
    r"""The names of which a row says the magnitude, and that stand nowhere without their bars.

    >>> sorted(magnitudes_said(r"|H(\omega)|^2 = \frac{1}{1 + \omega^2}, \quad x = |y|"))
    ['H']
    >>> sorted(magnitudes_said(r"|x| = \sqrt{x^2}"))
    []
    """
    said = set[str]()
    if "|" not in text and "Vert" not in text and "vert" not in text:
        return said
    found = tokens(text)
    for sides in pieces_of(text, found):
        left = sides[0]
        stop = _end_of(left, 0) if len(sides) > 1 and left else None
        if stop is not None and (stop == len(left) or (left[stop].text == "^" and len(left) - stop <= 4)):
            said.add(left[1].text)
    spans = [(t.start, t.stop) for t in found]
    return said - {t.text for t in with_magnitudes_named(found, said) if (t.start, t.stop) in spans}


def with_magnitudes_named(found: list[Token], said: Set[str]) -> list[Token]:
    """The tokens with a name, ``\\mathrm{abs\\_Z}``, for each of these magnitudes."""
    made: list[Token] = []
    k = 0
    while k < len(found):
        stop = _end_of(found, k) if said else None
        if stop is None or found[k + 1].text not in said:
            made.append(found[k])
            k += 1
            continue
        span = found[k].start, found[stop - 1].stop
        word = f"abs_{found[k + 1].text.removeprefix(chr(92))}"
        made += [Token("macro", "\\mathrm", *span), Token("open", "{", *span)]
        made += [Token("macro", "\\_", *span) if c == "_" else Token("letter", c, *span) for c in word]
        made.append(Token("close", "}", *span))
        k = stop
    return made


def _end_of(found: Sequence[Token], k: int) -> int | None:
    """Where a magnitude of one name, with what it is a function of, ends that begins here; None where none does."""
    bar = found[k]
    if bar.text not in _BARS or bar.side == "r" or k + 2 >= len(found):
        return None
    name, at = found[k + 1], k + 2
    if name.kind != "letter" and name.text.removeprefix("\\") not in GREEK:
        return None
    if found[at].text == "(":
        while at < len(found) and found[at].text != ")":
            at += 1
        at += 1
    return at + 1 if at < len(found) and found[at].text == bar.text else None
