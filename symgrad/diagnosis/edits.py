"""Small edits of one expression, tried by value, the most plausible first.

There are two sources: structure (`symgrad.diagnosis.structural_edits`), computed one by one, and holes
(`symgrad.diagnosis.holes`), filled many at a time.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from symgrad.diagnosis.bench import Bench, Edit
from symgrad.diagnosis.candidates import Atom
from symgrad.diagnosis.expression_text import Text, factor
from symgrad.diagnosis.holes import filled
from symgrad.diagnosis.structural_edits import structure

__all__ = ["Edit", "search"]


def search(
    text: str, bench: Bench, atoms: Sequence[Atom], functions: Sequence[Atom], pieces: Sequence[Atom], whole: str | None
) -> list[Edit]:
    """The edits of an expression that give what is wanted at every sample, the most plausible first.

    ``pieces`` are parts of the exact derivative, ``whole`` all of it, in the user's names.
    """
    t = Text(text)
    found: dict[str, Edit] = {}

    def keep(edit: Edit) -> None:
        try:
            clean = _canonical(edit.text)
        except SyntaxError:
            return
        if clean == _canonical(text):
            return
        old = found.get(clean)
        if old is None or edit.cost < old.cost:
            found[clean] = edit

    for edit in masks(text, bench, atoms):
        keep(edit)
    for cost, kind, start, end, new in structure(t, bench):
        full = t.fill(start, end, new)
        if bench.fits(full):
            keep(Edit(full, text[start:end], new, kind, cost))
    for edit in filled(t, bench, [*atoms, *pieces], functions):
        keep(edit)
    if whole is not None and bench.fits(whole):
        keep(Edit(whole, text, whole, "formula", 4.5))
    edits = sorted((_spaced(e, text) for e in found.values()), key=lambda e: (e.cost, len(e.text), e.text))
    lifted = [e if bench.everywhere(e.text) else replace(e, cost=e.cost + 0.7) for e in edits[:24]]
    return sorted(lifted, key=lambda e: (e.cost, len(e.text), e.text))


def _spaced(edit: Edit, text: str) -> Edit:
    """The edit with operators written as tightly as the user writes them."""
    for sign in "*/+-@":
        if f" {sign} " not in text and re.search(rf"[\w)\]][{sign}][\w(\[]", text):
            parts = (part.replace(f" {sign} ", sign) for part in (edit.text, edit.before, edit.after))
            edit = replace(edit, **dict(zip(("text", "before", "after"), parts, strict=True)))
    return edit


def _canonical(text: str) -> str:
    return ast.unparse(ast.parse(f"({text}\n)", mode="eval").body)


def masks(text: str, bench: Bench, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """The gradient of something clipped: kept where clipping changed nothing."""
    clipped = [a for a in atoms if a.kind == "name" and a.text in bench.clipped]
    for a in atoms:
        for b in clipped:
            if a.kind == "name" and a is not b and a.text in bench.clipped[b.text]:
                for cost, mask in ((0.95, f"({a.text} > 0)"), (1.0, f"({a.text} == {b.text})")):
                    new = f"{factor(text)} * {mask}"
                    if bench.fits(new):
                        yield Edit(new, text, new, "mask", cost, "mask")
                        break
