"""Denominators made unique: factors of polynomials, and partial fractions where two have one variable.

Both are flint's, over the rationals; an atom is a variable.
"""

from __future__ import annotations

from typing import Any

from flint import Ordering, fmpq, fmpq_mpoly_ctx, fmpq_poly

from symgrad.indices.polynomials import Atom, Poly, Powers, Store

__all__ = ["combination_of_one", "factors"]

_TERMS, _VARIABLES, _DEGREE = 40, 8, 12  # beyond these, a polynomial is left as it is


def factors(store: Store, p: Poly) -> list[tuple[Poly, int]] | None:
    """The factors of a polynomial with their multiplicities (their product may lack a number); None where it is one."""
    atoms = sorted({a for m in p.terms for a, _ in m.powers}, key=lambda a: a.key)
    exponents = [e * _sense(a) for m in p.terms for a, e in m.powers]
    if not all(isinstance(e, int) and 0 <= e <= _DEGREE for e in exponents):
        return None
    if len(p.terms) > _TERMS or len(atoms) > _VARIABLES:
        return None
    ring = fmpq_mpoly_ctx.get([f"x{k}" for k in range(len(atoms))], Ordering.lex)
    place = {a: k for k, a in enumerate(atoms)}
    rows: dict[tuple[int, ...], Any] = {}
    for m, c in p.terms.items():
        row = [0] * len(atoms)
        for a, e in m.powers:
            row[place[a]] = int(e) * _sense(a)
        rows[tuple(row)] = c
    _, found = ring.from_dict(rows).factor()
    if len(found) == 1 and found[0][1] == 1:
        return None
    return [(_back(store, atoms, f), int(k)) for f, k in found]


def _sense(a: Atom) -> int:
    """An exponential stands in a denominator with negative exponents."""
    return -1 if a.kind == "exp" else 1


def _back(store: Store, atoms: list[Atom], f: Any) -> Poly:
    terms = {}
    for row, c in f.to_dict().items():
        powers: Powers = {a: int(e) * _sense(a) for a, e in zip(atoms, row, strict=True) if e}
        terms[store.mono(powers)] = fmpq(c)
    return store.poly(terms)


def combination_of_one(store: Store, p: Poly, q: Poly) -> tuple[Poly, Poly] | None:
    """(u, v) with u*p + v*q = 1, for two polynomials in one and the same atom that have no common root."""
    atoms = {a for m in (*p.terms, *q.terms) for a, _ in m.powers}
    if len(atoms) != 1:
        return None
    (atom,) = atoms
    one, two = _univariate(p), _univariate(q)
    if one is None or two is None:
        return None
    common, u, v = one.xgcd(two)
    if common.degree() != 0:
        return None
    return _polynomial(store, atom, u / common[0]), _polynomial(store, atom, v / common[0])


def _univariate(p: Poly) -> Any:
    rows: dict[int, Any] = {}
    for m, c in p.terms.items():
        e = m.powers[0][1] * _sense(m.powers[0][0]) if m.powers else 0
        if not isinstance(e, int) or not 0 <= e <= _DEGREE:
            return None
        rows[e] = c
    return fmpq_poly([rows.get(k, 0) for k in range(max(rows) + 1)])


def _polynomial(store: Store, atom: Atom, f: Any) -> Poly:
    return store.poly({store.mono({atom: k * _sense(atom)} if k else {}): c for k, c in enumerate(f.coeffs())})
