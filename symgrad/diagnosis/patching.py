"""The hand side with edits made: as a formula that can be run, and as the user's own text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.checking.judge import Problem
from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.code import Code, code_of
from symgrad.diagnosis.hand_parts import Leaf, Proposal, leaves, swapped
from symgrad.diagnosis.scope import Site
from symgrad.diagnosis.source_positions import Unit, edited
from symgrad.lifting.formulas import open_formula

__all__ = ["rewritten"]


def rewritten(problem: Problem, proposals: Sequence[Proposal], choice: Sequence[Edit | None]) -> tuple[Any, str] | None:
    """The hand side with one edit for each line, and its text."""
    hand, texts = problem.hand, []
    groups: dict[int, list[tuple[Proposal, Edit]]] = {}
    for p, e in zip(proposals, choice, strict=True):
        if e is not None:
            groups.setdefault(id(p.site[0].formula), []).append((p, e))
    for pairs in groups.values():
        leaf: Leaf = pairs[0][0].site[0]
        code = code_of(leaf.formula)
        if code is None:
            text = pairs[0][1].text
            new = open_formula(text, known=None)
        else:
            written = _with_edits(code, pairs)
            if written is None:
                return None
            new, text = written
        hand = swapped(hand, leaf.formula, new)
        texts.append((leaf, text))
    return hand, _whole_text(problem, texts)


def _with_edits(code: Code, pairs: Sequence[tuple[Proposal, Edit]]) -> tuple[Any, str] | None:
    """Code with edits made in one or several of its units."""
    spans: dict[tuple[str, int], list[tuple[int, int, str]]] = {}
    units: dict[tuple[str, int], Unit] = {}
    for p, e in pairs:
        site: Site = p.site[1]
        mark = site.unit.file, site.unit.first
        units[mark] = site.unit
        new = (site.expression.start, site.expression.end, e.text)
        if new not in spans.setdefault(mark, []):
            spans[mark].append(new)
    return code.edited({units[mark]: edited(units[mark].text, found) for mark, found in spans.items()})


def _whole_text(problem: Problem, texts: Sequence[tuple[Leaf, str]]) -> str:
    all_leaves = leaves(problem.hand)
    if len(all_leaves) == 1 or len({id(f.formula) for f in all_leaves}) == 1:
        return texts[0][1]
    written = {id(leaf.formula): text for leaf, text in texts}
    parts = []
    for leaf in all_leaves:
        text, code = written.get(id(leaf.formula)), code_of(leaf.formula)
        if text is None:
            text = code.units[0].text if code is not None else str(getattr(leaf.formula, "source", leaf.formula))
        if code is not None and not text.startswith("lambda"):
            return "\n\n".join(t for _, t in texts)
        parts.append(f"{leaf.key!r}: {text if code is not None else repr(text)}")
    return "{" + ", ".join(parts) + "}"
