"""A last try where two normal forms differ: denominators multiplied away."""

from __future__ import annotations

import math

from symgrad.indices.conversion import Forms
from symgrad.indices.polynomials import Atom, Poly

__all__ = ["cleared"]

Steps = tuple[tuple[Poly, Poly, Atom, int], ...]  # what was multiplied, what it gave, by which power of what
_ROUNDS = 6


def cleared(forms: Forms, z: Poly) -> Steps | None:
    """The multiplications, by denominators that stand outside all sums, after which ``z`` is seen to be 0; or None."""
    steps: list[tuple[Poly, Poly, Atom, int]] = []
    for _ in range(_ROUNDS):
        if not z.terms:
            return tuple(steps)
        factors = _denominators(z)
        if not factors:
            return None
        for a, e in factors.items():
            w = forms.multiply(z, forms.single(a, e))
            steps.append((z, w, a, e))
            z = w
    return tuple(steps) if not z.terms else None


def _denominators(z: Poly) -> dict[Atom, int]:
    worst: dict[Atom, int] = {}
    for m in z.terms:
        for a, e in m.powers:
            if e < 0 and a.kind in ("base", "sum", "det"):
                worst[a] = max(worst.get(a, 0), math.ceil(-e))
    return worst
