"""Deltas and indicators of index values: 1 where two are equal, or where one is not negative; else 0.

What holds for all sizes and all places of the indices in their ranges is decided here, and becomes the number 0 or 1.
"""

from __future__ import annotations

from typing import Any

from flint import fmpq

from symgrad.indices.polynomials import Poly
from symgrad.indices.products import Products

__all__ = ["Indicators"]


class Indicators(Products):
    """Functions of index values that are 0 or 1."""

    def delta(self, a: Any, b: Any) -> Poly:
        """1 where two index values are equal, else 0."""
        return self.delta_of(self.subtract(self.as_poly(a), self.as_poly(b)))

    def delta_of(self, p: Poly) -> Poly:
        if p.number is not None:
            return self.one if p.number == 0 else self.zero
        if p.terms[self.leading(p)] < 0:
            p = self.scale(p, fmpq(-1))
        positive = self.is_at_least_one(p) or self.is_at_least_one(self.scale(p, fmpq(-1)))
        return self.zero if positive else self.single(self.atom("delta", p))

    def within(self, a: Any, size: Poly) -> Poly:
        """1 where 0 <= a < size, else 0."""
        p = self.as_poly(a)
        return self.multiply(self.indicator(p), self.indicator(self.subtract(self.subtract(size, p), self.one)))

    def indicator(self, p: Poly) -> Poly:
        """1 where the integer ``p`` is at least 0, else 0; constants in ``p`` become deltas, signs a complement."""
        if self.never_negative(p):
            return self.one
        opposite = self.subtract(self.scale(p, fmpq(-1)), self.one)
        if self.never_negative(opposite):
            return self.zero
        if not self.is_whole(p):
            return self.single(self.atom("nonneg", p))
        shift = p.terms.get(self.unit, fmpq(0))
        q = self.subtract(p, self.constant(shift))
        lead = self.head(q)
        if lead is not None and q.terms[lead] < 0:  # not where names alone would decide: a complement is no mere sign
            return self.subtract(self.one, self.indicator(opposite))
        if shift == 0 or shift.q != 1 or abs(shift) > 4:
            return self.single(self.atom("nonneg", p))
        steps = range(1, int(shift) + 1) if shift > 0 else range(0, int(shift), -1)
        edge = self.add(self.delta_of(self.add((q, self.constant(t)))) for t in steps)
        return self.add((self.indicator(q), self.scale(edge, fmpq(1 if shift > 0 else -1))))

    def is_at_least_one(self, p: Poly) -> bool:
        return self.never_negative(self.subtract(p, self.one))
