"""Small matrices written out: determinants by Leibniz's formula, inverses by Cramer's rule."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from symgrad.proving.field import Element, Field

__all__ = ["LARGEST", "determinant", "entry_of_inverse"]

LARGEST = 3  # rows of a matrix that is written out

Rows = Sequence[Sequence[Element]]


def determinant(f: Field, rows: Rows) -> Element:
    """The sum over all permutations of signed products."""
    total = f.zero
    for order in itertools.permutations(range(len(rows))):
        product = f.unit
        for row, column in zip(rows, order, strict=True):
            product = f.mul(product, row[column])
        crossings = sum(a > b for a, b in itertools.combinations(order, 2))
        total = f.sub(total, product) if crossings % 2 else f.add(total, product)
    return total


def entry_of_inverse(f: Field, rows: Rows, i: int, j: int) -> Element:
    """The cofactor of entry (j, i) over the determinant."""
    minor = [[x for c, x in enumerate(row) if c != i] for r, row in enumerate(rows) if r != j]
    cofactor = determinant(f, minor)
    return f.div(f.neg(cofactor) if (i + j) % 2 else cofactor, determinant(f, rows))
