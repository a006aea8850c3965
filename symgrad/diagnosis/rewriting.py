"""The hand side with edits made: as a formula that can be run, and as the user's own text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.leaves import Leaf, Proposal, leaves, swapped
from symgrad.diagnosis.places import Unit, edited, function_unit, rebuild
from symgrad.diagnosis.scope import Site, rebuild_caller, unwrapped_unit
from symgrad.judging import Problem
from symgrad.lifting.formulas import open_formula
from symgrad.lifting.functions import Function

__all__ = ["rewritten"]


def rewritten(problem: Problem, proposals: Sequence[Proposal], choice: Sequence[Edit | None]) -> tuple[Any, str] | None:
    """The hand side with one edit for each line, and its text."""
    hand, texts = problem.hand, []
    groups: dict[int, list[tuple[Proposal, Edit]]] = {}
    order: dict[int, Leaf] = {}
    for p, e in zip(proposals, choice, strict=True):
        leaf = p.site[0]
        order[id(leaf.formula)] = leaf
        if e is not None:
            groups.setdefault(id(leaf.formula), []).append((p, e))
    for key, pairs in groups.items():
        leaf = order[key]
        if not isinstance(leaf.formula, Function):
            new, text = open_formula(pairs[0][1].text, known=None), pairs[0][1].text
        else:
            written = _function_with(leaf, pairs)
            if written is None:
                return None
            new, text = written
        hand = swapped(hand, leaf.formula, new)
        texts.append((leaf, text))
    return hand, _whole_text(problem, texts)


def _function_with(leaf: Leaf, pairs: Sequence[tuple[Proposal, Edit]]) -> tuple[Function, str] | None:
    """A function, or helpers of it, with edits made."""
    by_unit: dict[int, tuple[Unit, list[tuple[int, int, str]]]] = {}
    for p, e in pairs:
        site: Site = p.site[1]
        _, spans = by_unit.setdefault(id(site.unit), (site.unit, []))
        new = (site.expression.start, site.expression.end, e.text)
        if new not in spans:
            spans.append(new)
    function: Function = leaf.formula
    texts: list[str] = []
    current = function
    for unit, spans in sorted(by_unit.values(), key=lambda pair: unwrapped_unit(function, pair[0])):
        text = edited(unit.text, spans)
        made = rebuild(unit.function, text)
        if made is None:
            return None
        if unwrapped_unit(function, unit):
            if current is not function:
                helpers = {
                    u.function.__name__: current.function.__globals__[u.function.__name__]
                    for u, _ in by_unit.values()
                    if u is not unit
                }
                made = rebuild(unit.function, text, helpers)
        else:
            made = rebuild_caller(current, unit, made)
        if made is None:
            return None
        current = replace(current, function=made)
        texts.append(text)
    main = function_unit(function.function)
    if main is not None and all(u is not main and u.first != main.first for u, _ in by_unit.values()):
        texts.append(main.text)
    return current, "\n\n".join(t.rstrip("\n") + "\n" for t in texts) if len(texts) > 1 else texts[0]


def _whole_text(problem: Problem, texts: Sequence[tuple[Leaf, str]]) -> str:
    all_leaves = leaves(problem.hand)
    if len(all_leaves) == 1 or len({id(f.formula) for f in all_leaves}) == 1:
        return texts[0][1]
    written = {id(leaf.formula): text for leaf, text in texts}
    parts = []
    for leaf in all_leaves:
        text = written.get(id(leaf.formula))
        if text is None:
            unit = function_unit(leaf.formula.function) if isinstance(leaf.formula, Function) else None
            text = unit.text if unit is not None else str(getattr(leaf.formula, "source", leaf.formula))
        is_code = isinstance(leaf.formula, Function)
        if is_code and not text.startswith("lambda"):
            return "\n\n".join(t for _, t in texts)
        parts.append(f"{leaf.key!r}: {text if is_code else repr(text)}")
    return "{" + ", ".join(parts) + "}"
