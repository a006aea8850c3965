r"""Differentials: ``dy = 2x\,dx``, ``dY = -X^{-1}\,dX\,X^{-1}``, ``\mathrm{d}f = f_x\,\mathrm{d}x + f_y\,\mathrm{d}y``;
and rates along the time, ``\dot V = s\,\dot s``.

dx is any change of x, an input of its shape, and what is claimed of dy is linear in it: the product of the derivative
with it.  What has no differential in the claim, and is no argument of the function, is held fixed.  A rate is the same
with the speed ``\dot x`` for dx, and the speed of ``\dot x`` is ``\ddot x``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.errors import SymgradError
from symgrad.lifting.derived_formulas import PushforwardFormula
from symgrad.lifting.latex.constructs import open_reader
from symgrad.lifting.latex.derivatives import whole_name
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.rows_of_tokens import pieces_of
from symgrad.lifting.latex.token_reader import FRACTIONS, Reader, differential, group_length, is_slope, spelled
from symgrad.lifting.latex.tokens import Token, tokens
from symgrad.lifting.latex.value_chains import Chain, side_names
from symgrad.program.program import Source


@dataclass(frozen=True)
class _Differential:
    """The differential of a name: its place, and what it goes by."""

    span: tuple[int, int]
    name: str


def differential_row(text: str) -> tuple[int, int, bool] | None:
    r"""Where the last equation of a text begins and its sides do, if its left side is a differential, and whether that
    is of a name; else None.

    >>> differential_row(r"y = x^2, \quad dy = 2x\,dx")
    (15, 20, True)
    """
    *before, (left, *sides) = pieces_of(text, tokens(text))
    r = _reader(text, left)
    if sides and left and (moves := _rate_of(text, left)) is not None:
        said = {_said(text, x[0]) or "" for x in before if len(x) > 1}
        named = moves in said and not any(n.endswith("_dot") for n in said)
        return (left[0].start, sides[0][0].start, True) if named else None
    if not sides or not left or not (size := differential(r, 0)) or left[0].text == "\\partial" or size == len(left):
        return None
    found = _differentials(text, left)
    whole = len(found) == 1 and found[0].span == (left[0].start, left[-1].stop)
    if not whole and left[size].text not in ("(", "|", "\\|") and left[size].kind != "macro":
        return None
    return left[0].start, sides[0][0].start, whole


def differentials_claimed(formula: Latex, hand: Latex, at: Mapping[str, Any]) -> tuple[Chain, dict[str, Any]] | None:
    r"""What is claimed of a differential, as sides that are equal to the exact one, and values for the differentials of
    the inputs; None of a hand formula that claims none.
    """
    pieces = pieces_of(hand.text, tokens(hand.text))
    if len(pieces) != 1 or len(pieces[0]) < 2 or not pieces[0][0]:
        return None
    (left, *sides) = pieces[0]
    rated = _rate_of(hand.text, left)
    if rated is None and differential_row(hand.text) is None:
        return None
    names = set(formula.names)
    if rated is not None:
        moved = _speeds(formula, rated, {x.name for side in sides for x in _rates(hand.text, side)})
        if not moved:
            return None
    elif "d" in names:
        return None
    else:
        moved = {x.name: f"d{x.name}" for side in sides for x in _differentials(hand.text, side) if x.name in names}
        listed = formula.document.definitions[-1].arguments if formula.document.definitions else ()
        moved |= {n: f"d{n}" for n in listed if n in names}
    if rated is not None:
        texts = [_with_names(hand.text, side, _rates(hand.text, side)) for side in sides]
    else:
        changes = [[x for x in _differentials(hand.text, side) if x.name in moved] for side in sides]
        texts = [
            _with_names(hand.text, side, [replace(x, name=moved[x.name]) for x in found])
            for side, found in zip(sides, changes, strict=True)
        ]
    others = [replace(hand, text=t, model=formula, moving=tuple(moved.values())) for t in texts]
    first = PushforwardFormula(formula, moved)
    rows = [hand.row_of(left[0].start), *(hand.row_of(side[0].start) for side in sides)]
    sources = [
        Source(f"= {hand.text[side[0].start : side[-1].stop]}", None, row)
        for side, row in zip(sides, rows[1:], strict=True)
    ]
    keys = side_names(rows)[1:]
    of = hand.text[left[0].start : left[-1].stop]
    held = sorted(names - moved.keys())
    what = "the change to first order" if rated is None else "the rate of change along the time"
    note = f"The first side is {of}, {what} where {', '.join(sorted(moved))} change{'s' * (len(moved) == 1)}"
    note += f" and {', '.join(held)} {'is' if len(held) == 1 else 'are'} held fixed." if held else "."
    shapes = {d: at[n] if isinstance(at[n], tuple) else np.shape(at[n]) for n, d in moved.items() if n in at}
    shapes = {d: s for d, s in shapes.items() if s != ()}
    notes = (f"The formula was read as {'; '.join(formula.shown.splitlines())}.", note)
    chain = Chain(first, dict(zip(keys, others, strict=True)), dict(zip(keys, sources, strict=True)), notes)
    return chain, shapes


def _rate_of(text: str, left: Sequence[Token]) -> str | None:
    """The name of which a left side is the rate, ``\\dot V``, ``\\frac{dV}{dt}``; None of others."""
    r = _reader(text, left)
    if left[0].text == "\\dot":
        name = _name(r)
        found = None if name is None or not name.endswith("_dot") else name.removesuffix("_dot")
    else:
        end = " ".join(t.text for t in left[-5:])
        slope = left[0].text in FRACTIONS and is_slope(r, 0) and end == "} { d t }"
        r.at += 2 + differential(r, 2, sure=True) if slope else 0
        found = _name(r) if slope else None
        if found is not None and r.token.kind == "close":
            return found
    if found is not None and r.token.text == "(":  # what it is a function of
        r.at += next((k for k in range(1, len(left) - r.at) if r.peek(k).text == ")"), 0) + 1
    return found if r.token.kind == "end" else None


def _rates(text: str, side: Sequence[Token]) -> list[_Differential]:
    """The speeds on a side, ``\\dot x`` and ``\\frac{dx}{dt}``, and those of speeds."""
    r, found = _reader(text, side), list[_Differential]()
    while r.token.kind != "end":
        start, mark = r.token.start, r.at
        if r.token.text in ("\\dot", "\\ddot") and (name := _name(r)) is not None:
            found.append(_Differential(r.since(start), name))
        elif r.token.text in FRACTIONS and is_slope(r, r.at):
            stop = 1 + group_length(r, r.at + 1)
            stop += group_length(r, r.at + stop)
            name = _rate_of(text, r.tokens[r.at : r.at + stop])
            r.at += stop
            found += [_Differential(r.since(start), f"{name}_dot")] if name is not None else []
        if r.at == mark:
            r.at += 1
    return found


def _speeds(formula: Latex, of: str, found: Set[str]) -> dict[str, str]:
    """The speeds of the inputs that move; none where the time is an input, or a row says what a speed is."""
    names = set(formula.names)
    if formula.document.output != of or "t" in names or any(n.endswith("_dot") for n in formula.defined):
        return {}
    found = found | {n for n in names if n.endswith("_dot")}
    moved = {n: f"{n}_dot" for n in sorted(names) if f"{n}_dot" in found}
    return moved | {n: f"{n.removesuffix('_dot')}_ddot" for n in sorted(names) if n.endswith("_dot")}


def _said(text: str, left: Sequence[Token]) -> str | None:
    """The name that a row says."""
    return _name(_reader(text, left)) if left else None


def _reader(text: str, found: Sequence[Token]) -> Reader:
    end = Token("end", "", found[-1].stop, found[-1].stop + 1) if found else Token("end", "", 0, 1)
    return open_reader(text, [*found, end], None, frozenset(), frozenset(), frozenset(), text)


def _differentials(text: str, side: Sequence[Token]) -> list[_Differential]:
    """The differentials of a side, without those of derivatives."""
    r, found = _reader(text, side), list[_Differential]()
    while r.token.kind != "end":
        if is_slope(r, r.at):
            first = 1 + group_length(r, r.at + 1)
            r.at += first + group_length(r, r.at + first)
            continue
        start, size = r.token.start, differential(r, r.at)
        r.at += size or 1
        if size and r.before.text != "\\partial" and (name := _name(r)) is not None:
            found.append(_Differential(r.since(start), name))
    return found


def _name(r: Reader) -> str | None:
    mark = r.at
    try:
        node = whole_name(r)
    except SymgradError:
        node = None
    if node is None or node.head != "symbol" or (name := spelled(node)) is None:
        r.at = mark
        return None
    return name


def _with_names(text: str, side: Sequence[Token], found: Sequence[_Differential]) -> str:
    """A side with a name for each differential, ``\\mathrm{dx}``."""
    shown, at = "", side[0].start
    for x in found:
        escaped = x.name.replace("_", "\\_")
        shown += f"{text[at : x.span[0]]}\\mathrm{{{escaped}}}"
        at = x.span[1]
    return shown + text[at : side[-1].stop]
