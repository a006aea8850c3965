"""A last try where two normal forms differ: denominators multiplied away, outside sums and under them."""

from __future__ import annotations

import math

from symgrad.indices.forms import Forms
from symgrad.indices.polynomials import Atom, Poly

__all__ = ["vanishes"]

Steps = tuple[tuple[Poly, Poly], ...]
_ROUNDS = 6


def vanishes(forms: Forms, z: Poly) -> Steps | None:
    """The multiplications after which ``z`` is seen to be zero, or None."""
    return cleared(forms, z)


def cleared(forms: Forms, z: Poly) -> Steps | None:
    """Multiply by each denominator that stands outside all sums, until nothing is left or nothing is to be done."""
    steps: list[tuple[Poly, Poly]] = []
    for _ in range(_ROUNDS):
        if not z.terms:
            return tuple(steps)
        factors = _denominators(z)
        if not factors:
            return None
        for a, e in factors.items():
            w = forms.multiply(z, forms.single(a, e))
            steps.append((z, w))
            z = w
    return tuple(steps) if not z.terms else None


def _denominators(z: Poly) -> dict[Atom, int]:
    worst: dict[Atom, int] = {}
    for m in z.terms:
        for a, e in m.powers:
            if e < 0 and a.kind in ("base", "sum", "det"):
                worst[a] = max(worst.get(a, 0), math.ceil(-e))
    return worst
