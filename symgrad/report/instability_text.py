"""Formulas that are right and lose their digits in floats: where, why, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symgrad.program.program import Source
from symgrad.report.numbers import exactly, number, own_text, place_of, together, witness_text
from symgrad.report.page import Block, Code, Paragraph
from symgrad.report.report import Instability, Report
from symgrad.report.wording import sentence

__all__ = ["instability", "kept_by", "rewritten"]

_SHORT = 6  # entries of an input that are all told


def instability(found: Instability, kept: str = "") -> Iterator[Block]:
    """What was found, the line, why, and what to write instead; ``kept`` is a sentence on who keeps the digits."""
    yield Paragraph(f"{_what(found)}. {kept}".rstrip())
    source = found.source
    if source is not None and source.text:
        place = None if source.line is None else f"line {source.line}"
        yield Code(source.text, place, source.span)
    if found.why:
        yield Paragraph(sentence(found.why))
    yield from rewritten(found)
    if found.rewrite is None and found.side == "formula":
        yield Paragraph("No other way to write it was found that is proved equal and keeps the digits.")


def rewritten(found: Instability, shown: Sequence[Source] = ()) -> Iterator[Block]:
    """What to write instead, where something was found; its line first, if it is not one of those that were shown."""
    r = found.rewrite
    if r is None:
        return
    at = r.source
    if at is not None and shown and all((at.text, at.line, at.span) != (s.text, s.line, s.span) for s in shown):
        yield Code(at.text, None if at.line is None else f"line {at.line}", at.span)
    yield Code(r.after, "Write instead")
    yield Paragraph(_promise(found))


def kept_by(found: Instability, report: Report) -> str:
    """Whether the hand formula keeps the digits that autograd loses, in a sentence."""
    claim = report.claims.get(found.claim)
    side = None if claim is None or claim.rounding is None else claim.rounding.hand
    return "Your formula keeps them." if side is not None and not side.lost and not side.broken else ""


def _what(found: Instability) -> str:
    entry = "" if found.entry is None else place_of(found.entry)
    mine, truth = together(found.computed, found.exact)
    if found.side == "formula":
        name = f"entry {entry} " if entry else ""
        gives = "it has no value" if found.computed != found.computed else f"it gives {mine}"
        gives = gives if not entry else f"{name}is {mine}"
        return f"At {_point(found)}, in {found.dtype}, {gives}; exact is {truth}"
    who = "your formula is right, and at your own point it" if found.side == "hand" else "autograd at your own point"
    return f"{found.claim}{entry}: {who} loses its digits in {found.dtype}: it gives {mine}, exact is {truth}"


def _point(found: Instability) -> str:
    point = _typed(found)
    short = all(np.size(x) <= _SHORT for x in point.values())
    return own_text(point, 400, exactly) if short else witness_text(point, {})


def _typed(found: Instability) -> dict[str, Any]:
    """The point in the fewest digits that give these numbers of its dtype: 0.1, and not 0.10000000149011612."""
    if found.dtype not in ("float32", "float16"):
        return dict(found.point)
    short = np.vectorize(lambda x: float(str(np.dtype(found.dtype).type(x))), otypes=[float])
    return {n: short(x) if np.asarray(x).dtype.kind == "f" and np.size(x) else x for n, x in found.point.items()}


def _promise(found: Instability) -> str:
    r = found.rewrite
    where = "at this point" if found.side == "formula" else "at your own point"
    text = f"It is proved equal, and {where} gives {number(r.given)}."
    if r.where is not None:
        text += f" Use it where {r.where}: elsewhere there are points at which it is worse than yours."
    return text
