"""The normal form of a body: the same for all ways to write it that the rules of this room know.

>>> import sympy as sp
>>> from symgrad.indices.heads import EXP
>>> from symgrad.indices.terms import IndexSum, tensor
>>> n = sp.Symbol("n", integer=True, positive=True)
>>> i, j, p = sp.symbols("i j p", integer=True)
>>> x, A = tensor("x", n), tensor("A", n, n)
>>> left = IndexSum(IndexSum(x[i] * A[i, j] * x[j], i, n), j, n)
>>> right = IndexSum(x[p] * IndexSum(A[p, i] * x[i], i, n), p, n)
>>> normal_form(left) == normal_form(right)
True
>>> normal_form(1 / (1 + EXP(-x[p])) + 1 / (1 + EXP(x[p])))
1
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from symgrad.errors import BadFormula
from symgrad.indices.conversion import Forms
from symgrad.indices.facts import Fact
from symgrad.indices.printing import text

__all__ = ["EFFORT", "normal_form"]

EFFORT = 100_000


def normal_form(
    e: Any, *, sizes: Mapping[Any, Any] | None = None, facts: Iterable[Fact] = (), effort: int = EFFORT
) -> Any:
    """A body equal to ``e`` wherever both are defined: sums of products, split into connected components.

    ``sizes`` says where free indices run; what is not said is taken from the axes they stand in.  Raises
    `symgrad.errors.BadFormula` for what is not index notation, and `symgrad.indices.polynomials.Exhausted` past
    ``effort``, counted in terms.
    """
    forms = Forms(facts=facts, effort=effort)
    try:
        forms.declare([e], sizes or {})
        return forms.write(forms.read(e))
    except ZeroDivisionError as error:
        raise BadFormula(f"{text(e)}: {error}") from None
