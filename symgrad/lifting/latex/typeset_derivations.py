"""Several formulas in LaTeX: gradients by input, or a derivation in numbers as a list of steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from symgrad.lifting.latex.equations import Claim, Definition, Document, have_left_sides
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.plain_form import plain, plain_line
from symgrad.lifting.latex.token_reader import Node, parts
from symgrad.lifting.text.step_list import Steps

_TENSORS = frozenset(
    "entry index size sum prod delta identity ones zeros transpose norm inner hadamard_power root call slice "
    "applied partial matrix jacobian".split()
)
_TENSOR_CALLS = frozenset("det tr diag softmax logsumexp logdet total".split())


def are_equations(thing: Any) -> bool:
    """Whether these are equations in LaTeX, each with its left side."""
    return (
        isinstance(thing, (list, tuple))
        and bool(thing)
        and all(isinstance(x, Latex) and have_left_sides(x.text) for x in thing)
    )


def joined(formulas: Sequence[Latex]) -> Latex:
    """One text of several, a row for each."""
    if len(formulas) == 1:
        return formulas[0]
    shapes = {name: shape for f in formulas for name, shape in f.shapes.items()}
    rename = {name: outer for f in formulas for name, outer in f.rename.items()}
    readings = {factors: whole for f in formulas for factors, whole in f.readings.items()}
    return Latex(" \\\\\n".join(f.text for f in formulas), shapes=shapes, rename=rename, readings=readings)


def derivation(formula: Latex) -> Steps | None:
    """A derivation in numbers as a list of steps, each of which is judged; None for one formula, or for tensors."""
    document = _with_the_one_input(formula)
    if not document.claims or formula.rename:
        return None
    chained = document.definitions or document.open or any(line.others for line in document.lines)
    if isinstance(formula.model, Latex):  # rows about what the model's own rows define
        chained = chained or any(
            formula.model.defined & {c.of, *c.wrt} - {formula.model.document.output} for c in document.claims
        )
    if not chained and not any(p.head == "slope" for p in _nodes(document)):
        return None
    before, after = _borrowed(formula)
    logs = [x for x in document.lines if isinstance(formula.model, Latex) and _is_log(x, formula.model)]
    said = [p.value for p in _nodes(document) if p.head == "name"]
    slopes = {c.body.span for c in document.claims}  # F = -\frac{dU}{dx} = -kx says what F is, and nobody may ask
    names = [x for x in document.definitions if x.body.span in slopes and x.name not in said]
    lines = [x for x in document.lines if x not in (*logs, *names)]  # what is differentiated is the last to be defined
    before, after = ([replace(x, others=()) for x in rows] for rows in (before, after))  # judged with the model
    document = replace(document, lines=(*logs, *before, *lines, *after))
    if any(map(_is_tensor, _nodes(document))):
        return None
    if any(c.order > 1 or c.indices or not c.wrt for c in document.claims) or any(
        d.indices for d in document.definitions
    ):
        return None
    written = [
        (plain_line(replace(x, body=s, others=())), _typeset(formula, x, k))
        for x in document.lines
        for k, s in enumerate(x.sides)
    ]
    shown = tuple((plain, None) if typeset is None else typeset for plain, typeset in written)
    return Steps("\n".join(plain for plain, _ in written), shown=shown)


def _with_the_one_input(formula: Latex) -> Document:
    """The document, where of a model of one input ``y'`` is a derivative for that."""
    document, names = formula.document, () if formula.model is None else formula.model.names
    if len(names) != 1:
        return document
    lines = (x if isinstance(x, Definition) or x.wrt else replace(x, wrt=names * x.order) for x in document.lines)
    return replace(document, lines=tuple(lines))


def _is_log(line: Definition | Claim, model: Latex) -> bool:
    """Whether a row says what the logarithm of the model is: ``\\ln y = x \\ln x``."""
    return isinstance(line, Definition) and line.name == f"log_{model.document.output}"


def _typeset(formula: Latex, line: Definition | Claim, k: int) -> tuple[str, int] | None:
    """One side as the text has it, and its row; None of what is borrowed."""
    if isinstance(line, Definition) and not any(line is x for x in formula.document.lines):
        return None
    start, stop = line.sides[k].span
    if isinstance(line, Definition) and not k:
        before = re.sub(r"\\begin\{\w+\*?\}|&", "", formula.text[:start].rpartition("\\\\")[2]).strip()
        return f"{before} {formula.text[start:stop]}", formula.row_of(start)
    left = "" if k or isinstance(line, Definition) else formula.text[slice(*line.span)]
    written = f"{left} = {formula.text[start:stop]}".strip()
    return written, formula.row_of(start)


def _borrowed(formula: Latex) -> tuple[list[Definition], list[Definition]]:
    """The model's rows that the formula does not write down: those whose names it uses, and at the end what the output
    is, where it differentiates the output for a name that a row defines.
    """
    if not isinstance(formula.model, Latex):
        return [], []
    model, document, own = formula.model.document, formula.document, formula.defined
    inner = {n for c in document.claims for n in (c.of, *c.wrt)} & (own | formula.model.defined) - {model.output}
    wanted = ({p.value for p in _nodes(document) if p.head == "name"} | inner) - own
    after = [d for d in model.definitions if inner and d.name == model.output and d.name not in wanted | own]
    mine = [d for d in document.definitions if d.name is not None]
    after = [replace(d, body=_by_own_names(d.body, mine)) for d in after]
    if inner & own and not all(_goes_through(d, mine) for d in after):
        after = []  # what the model is by the derivation's own names is not known
    wanted |= {p.value for d in after for p in parts(d.body) if p.head == "name"} - own
    before: list[Definition] = []
    for row in reversed(model.definitions):
        if row.name in wanted:
            before.append(row)
            wanted |= {p.value for p in parts(row.body) if p.head == "name"} - own
    return before[::-1], after


def _by_own_names(node: Node, rows: Sequence[Definition]) -> Node:
    """The model with what the derivation names in its place: ``\\sin^2(3x)`` by the row ``u = 3x`` is sin(u)**2."""
    for row in rows:
        node = _with_name(node, plain(row.body), str(row.name))
    return node


def _with_name(node: Node, shown: str, name: str) -> Node:
    if plain(node) == shown:
        return Node("name", (), node.span, name)
    return replace(node, args=tuple(_with_name(a, shown, name) for a in node.args)) if node.args else node


def _goes_through(line: Definition, rows: Sequence[Definition]) -> bool:
    """Whether a row depends on what others name by these names alone."""
    names = {p.value for p in parts(line.body) if p.head == "name"}
    needed = {p.value for row in rows for p in parts(row.body) if p.head == "name"}
    return bool(names & {row.name for row in rows}) and not names & needed - {row.name for row in rows}


def _nodes(document: Document) -> list[Node]:
    return [p for line in document.lines for side in line.sides for p in parts(side)]


def _is_tensor(node: Node) -> bool:
    if node.head == "root":
        return node.value not in (2, 3)
    if node.head == "call":
        return node.value[0] in _TENSOR_CALLS or bool(node.value[1])
    return node.head in _TENSORS
