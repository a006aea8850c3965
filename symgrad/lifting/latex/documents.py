"""Several formulas in LaTeX: gradients by input, or a derivation, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.lifting.latex.document import Document, parts
from symgrad.lifting.latex.equations import have_left_sides
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.nodes import Node
from symgrad.lifting.latex.plain_form import plain_text
from symgrad.lifting.text.step_list import Steps

__all__ = ["are_equations", "derivation", "joined"]

_TENSORS = frozenset(
    "entry index size sum prod delta identity ones zeros transpose norm inner hadamard_power root call slice".split()
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
    return Latex(" \\\\\n".join(f.text for f in formulas), shapes=shapes, rename=rename)


def derivation(formula: Latex) -> Steps | None:
    """A derivation in numbers as a list of steps, each of which is judged; None for one formula, or for tensors."""
    document = formula.document
    if not document.claims or formula.rename:
        return None
    chained = document.definitions or document.open or any(line.others for line in document.lines)
    chained = chained or any(p.head == "slope" for p in _nodes(document))
    if not chained or any(map(_is_tensor, _nodes(document))):
        return None
    if any(c.order > 1 or c.indices or not c.wrt for c in document.claims) or any(
        d.indices for d in document.definitions
    ):
        return None
    return Steps(plain_text(document))


def _nodes(document: Document) -> list[Node]:
    return [p for line in document.lines for side in (line.body, *line.others) for p in parts(side)]


def _is_tensor(node: Node) -> bool:
    if node.head == "root":
        return node.value not in (2, 3)
    if node.head == "call":
        return node.value[0] in _TENSOR_CALLS or bool(node.value[1])
    return node.head in _TENSORS
