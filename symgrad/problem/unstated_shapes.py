"""Shapes that nobody gave: what only means something for arrays is not asked of single numbers.

The mean of one number is that number, and its derivative is one; a proof of that says nothing of means.  So a function
that makes one number of a vector is asked about vectors of all lengths, and LaTeX that speaks of matrices and has no
shapes for its letters is sent back with the question which they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from symgrad.errors import BadInput, SymgradError
from symgrad.lifting.formulas import Formula
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.tracing.functions import Function, Run

_LENGTH = 3  # of the vectors that are tried
_LETTERS = "nmkpq"
_ARRAY_WORDS = re.compile(
    r"\\(det|top|intercal|operatorname\s*\{\s*(?:tr|Tr|det|trace|rank)\s*\}|[Tt]r\b|mathbf|boldsymbol|bm\b|l?Vert|\|)"
    r"|\^\s*\{?\s*(?:T|\\mathsf\{T\})(?![A-Za-z_])"
)


def vectors(model: Formula, at: Mapping[str, Any] | None, run: Callable[[Mapping[str, Any]], Run]) -> dict[str, Any]:
    """The inputs that nobody gave and that must be vectors, with a name for their length; none where numbers do.

    ``run`` runs the model at values and shapes.  A function works entry by entry, and may be asked about numbers,
    unless it makes one number of a vector.
    """
    given = dict(at or {})
    missing = [n for n in model.required if n not in given]
    if not missing or not isinstance(model, Function) or model.library not in ("torch", "numpy"):
        return {}
    try:
        run(given)  # what does not run with numbers says so by itself
        found = run({**given, **dict.fromkeys(missing, (_LENGTH,))}).program
    except SymgradError:
        return {}
    if found.shape(found.output) or any(found.shape(i) != (_LENGTH,) for n, i in found.inputs.items() if n in missing):
        return {}
    size = next((s for s in _LETTERS if s not in model.names), "length")
    return {n: (size,) for n in missing if n in found.inputs}


def refuse_bare_letters(model: Formula, at: Mapping[str, Any] | None, shapes: Mapping[str, Any]) -> None:
    """Raise `BadInput` for LaTeX that speaks of arrays where no letter has a shape."""
    if not isinstance(model, Latex) or at or shapes or model.shapes:
        return
    word = _ARRAY_WORDS.search(model.text)
    if word is None:
        return
    names = ", ".join(f'"{n}": ("n",)' if n.islower() else f'"{n}": ("n", "n")' for n in model.names)
    raise BadInput(
        f"the formula has {word[0]}, which is said of vectors and matrices, and no shape is given for "
        f"{', '.join(model.names)}.",
        where=f"    {model.text}",
        instead=f"Say which shapes they have: at={{{names}}}.",
    )
