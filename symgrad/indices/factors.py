"""Products in parts: what is pulled out of them, and how they are split, before they are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from symgrad.indices.heads import STEP
from symgrad.indices.terms import IndexSum, Within

__all__ = ["MARKS", "common", "halves", "summed"]

MARKS = (sp.KroneckerDelta, Within, STEP)  # factors that are 1 in some places, and 0 in all others


def common(number: Any, factors: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Factors without the whole numbers that all terms of one have in common, and the product of those."""
    rest = []
    for f in factors:
        shared, left = f.primitive() if isinstance(f, sp.Add) else (sp.S.One, f)
        whole = shared.is_Integer
        number = number * shared if whole else number
        rest.append(left if whole else f)
    return number, rest


def halves(factors: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Factors in two products, if there is a square, or are two of them and no marks."""
    if any(isinstance(f, MARKS) for f in factors):
        return list(factors), []
    square = next((f for f in factors if f.is_Pow and f.exp == 2 and len(factors) == 1), None)
    if square is not None:
        return [square.base], [square.base]
    above = [f for f in factors if not (f.is_Pow and f.exp.is_negative)]
    if len(above) < 2:
        return list(factors), []
    return [f for f in factors if f is not above[-1]], [above[-1]]


def summed(body: Any, bound: Mapping[Any, Any]) -> Any:
    for index, size in bound.items():
        body = IndexSum(body, index, size)
    return body
