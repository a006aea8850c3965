"""What is said of a step that loses digits: its place, and why it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from symgrad.lifting.formulas import Formula, Symbolic
from symgrad.lifting.text.text_formula import Text
from symgrad.program.program import Program, Source
from symgrad.stability.term_printer import unwrapped

__all__ = ["source_at", "why"]

_WHY = {
    "overflow": "{piece} overflows",
    "underflow": "{piece} underflows",
    "cancellation": "{piece} cancels: what is left of its terms is mostly their rounding errors",
    "absorption": "the digits that {piece} needs were rounded away before it",
}


def why(program: Program, step: int | None, kind: str, raises: str | None = None) -> str:
    """Why digits are lost, of the piece of the user's text that loses them; nothing where there is none."""
    if step is None:
        return ""
    piece = _piece(program.steps[step].source)
    if not piece:
        return ""
    said = _WHY[kind].format(piece=piece)
    return f"{said}, and Python raises {raises}" if raises is not None else said


def _piece(source: Source | None) -> str:
    if source is None:
        return ""
    text = source.text if source.line is None or source.span is None else source.text[slice(*source.span)]
    text = unwrapped(text.strip())
    return text if len(text) <= 60 else f"{text[:57]}..."


def source_at(formula: Formula, program: Program, step: int | None, rewrite: Any) -> Source | None:
    """The line that loses the digits, with the part marked that is rewritten, or that loses them."""
    source = None if step is None else program.steps[step].source
    if rewrite is not None and rewrite.source is not None:
        return rewrite.source
    typed = isinstance(formula, Symbolic) and isinstance(formula.source, Text)
    if source is not None and typed and source.span is not None:
        return replace(source, text=formula.source.text)  # type: ignore[union-attr]
    return source
