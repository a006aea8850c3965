r"""What a text says of its letters beside its equations: ``x > 0``, ``\text{for } 0 < x < 1``, ``n \in \mathbb{N}``,
``\sum_i y_i = 1``, ``A = A^\top``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sympy as sp

from symgrad.errors import BadFormula
from symgrad.lifting.latex.constructs import open_reader
from symgrad.lifting.latex.equations import Equation, indices_of
from symgrad.lifting.latex.grammar import expression
from symgrad.lifting.latex.indicators import condition
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.names_in_rows import names_of
from symgrad.lifting.latex.plain_form import plain
from symgrad.lifting.latex.rows_of_tokens import conditions_in
from symgrad.lifting.latex.token_reader import Node, Reader, place, spelled, unexpected
from symgrad.lifting.latex.tokens import Token, tokens
from symgrad.lifting.text.text_formula import Text

_SIGNS = {"<": sp.Lt, ">": sp.Gt, "<=": sp.Le, ">=": sp.Ge, "!=": sp.Ne}
_POSITIVE = re.compile(r"(\^\{?[+*]\}?|_\{?(\+|\+\+|>0)\}?|\^\+)")


def stated_conditions(text: str) -> tuple[Any, Mapping[str, Mapping[str, bool]]]:
    r"""The relation that a text states beside its equations, and which of its letters are whole numbers.

    >>> stated_conditions(r"f(x) = n \ln x, \quad x > 0, \; n \in \mathbb{N}")
    ((n > 0) & (x > 0), {'n': {'integer': True}})

    Raises `BadFormula` for a set that is not known.
    """
    relations: list[Any] = []
    whole: dict[str, Mapping[str, bool]] = {}
    for found in conditions_in(text, tokens(text)):
        k = next((k for k, t in enumerate(found) if t.text == "\\in"), None)
        if k is None:
            here = list(_relations(_read(text, found, condition)))
            if any(isinstance(x, sp.Ne) and not x.rhs.is_number for x in here):
                raise BadFormula(
                    "a claim about some entries alone is not read with this condition.",
                    where=place(text, (found[0].start, found[-1].stop)),
                    instead="Write what all entries are, with \\delta_{ij} or \\begin{cases}, and no condition.",
                )
            relations += here
            continue
        names = [_value(_read(text, part, expression)) for part in _between_commas(found[:k])]
        members = "".join(t.text for t in found[k + 1 :])
        kind, rest = members[:10], members[10:]
        if members[0] in "([" and members[-1] in ")]":
            relations += [x for n in names for x in _within(text, n, found[k + 1 :])]
        elif kind in ("\\mathbb{R}", "\\mathbb{N}", "\\mathbb{Z}"):
            positive = kind[-2] == "N" or _POSITIVE.fullmatch(rest) is not None
            relations += [n > 0 for n in names if positive]
            whole |= {str(n): {"integer": True} for n in names if kind[-2] != "R"}
        else:
            instead = "Write a comparison, x > 0, or an interval, x \\in (0, 1)."
            where = place(text, (found[k].start, found[-1].stop))
            raise BadFormula("this set is not known here.", where=where, instead=instead)
    return sp.And(*(r for r in relations if not isinstance(r, sp.Ne))), whole


def _read(text: str, found: Sequence[Token], what: Any) -> Node:
    end = Token("end", "", found[-1].stop, found[-1].stop + 1)
    r: Reader = open_reader(text, [*found, end], None, frozenset(), frozenset(), frozenset(), text)
    node = what(r)
    if r.token.kind != "end":
        unexpected(r)
    return node


def _relations(node: Node) -> Iterator[Any]:
    if node.head == "compare":
        yield _SIGNS[node.value](*map(_value, node.args))
        return
    for x in node.args:
        yield from _relations(x)


def _value(node: Node) -> Any:
    return Text(plain(_named(node))).expression


def _named(node: Node) -> Node:
    """The node with each symbol as the name that it is."""
    if node.head != "symbol":
        return replace(node, args=tuple(map(_named, node.args)))
    if node.value.base == "pi" and not node.args:
        return Node("constant", (), node.span, "pi")
    return Node("name", (), node.span, spelled(node) or node.value.base)


def _within(text: str, name: Any, interval: Sequence[Token]) -> Iterator[Any]:
    low, high = _between_commas(interval[1:-1])
    if "\\infty" not in (t.text for t in low):
        end = _value(_read(text, low, expression))
        yield name >= end if interval[0].text == "[" else name > end
    if "\\infty" not in (t.text for t in high):
        end = _value(_read(text, high, expression))
        yield name <= end if interval[-1].text == "]" else name < end


def _between_commas(found: Sequence[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in found:
        parts = [*parts, []] if token.text == "," else [*parts[:-1], [*parts[-1], token]]
    return parts


# -------------------------------------------------------------------------------------------------------- constraints


def without_constraints(formula: Latex, model: Latex | None = None) -> tuple[Latex, tuple[str, ...]]:
    r"""The text without rows that state what its arrays meet, and these as `verify`'s ``assuming`` has them; it is read
    beside the ``model``.

    >>> rows = Latex(r"f = -\sum_i y_i \log p_i, \quad \sum_i y_i = 1")
    >>> without_constraints(rows)[1]
    ('sum(y) = 1',)
    """
    found = replace(formula, model=model).equations
    stated = [constraint_of(e) for e in found]
    if not any(stated) or all(stated):
        return formula, ()
    rows = [formula.text[slice(*e.span)] for e, said in zip(found, stated, strict=True) if said is None]
    return replace(formula, text=" \\\\\n".join(rows)), tuple(said for said in stated if said is not None)


def constraint_of(e: Equation) -> str | None:
    """The constraint that a row states, as `verify`'s ``assuming`` has it; None of other rows."""
    sides = e.sides if e.left is None else (e.left, *e.sides)
    if len(sides) != 2:
        return None
    left, right = sides
    for one, other in ((left, right), (right, left)):
        inner = one.args[0] if one.head == "transpose" else one
        named = inner is not one and inner.head == other.head == "symbol" and not other.args
        if named and (name := names_of(other)) == names_of(inner):
            return f"{name} = {name}.T"
    if left.head == "mul" and left.args[0].head == "transpose" and left.args[0].args[0].head == "ones":
        left = left.args[1] if len(left.args) == 2 else left
        summed, axis = left, ""
    elif left.head == "sum" and left.args[0].head == "symbol":
        summed, letters = left.args[0], indices_of(left.args[0])
        if left.value[0] not in letters:
            return None
        axis = f", {letters.index(left.value[0])}" if len(letters) > 1 else ""
    else:
        return None
    if summed.head != "symbol" or right.head != "number":
        return None
    return f"sum({names_of(summed)}{axis}) = {right.value}"
