"""The cells into which the signs of what is compared divide the values of a formula.

``STEP(x[i] - 1)`` and ``Abs(x[i])`` are something else on each side of an edge, and only some combinations of sides
have points: x is not above 1 and negative.  A combination is left out where its inequalities, read as linear in their
monomials, contradict each other over the rationals; that is decided by elimination (Fourier and Motzkin).  So a cell
may turn out to have no points, and none that has points is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from symgrad.indices.terms import RELU, STEP, IndexSum

_MOST = 64  # cells of one formula
_ROWS = 400  # inequalities of one elimination
_SIDES = (STEP, RELU, sp.sign, sp.Abs)  # what is decided by the sign of its argument

Row = dict[Any, Fraction]  # a combination of monomials, 1 among them, that is positive


@dataclass(frozen=True)
class Cell:
    """``bodies`` as they are where each of ``positive`` is positive."""

    positive: tuple[Any, ...]
    bodies: tuple[Any, ...]


def cells(bodies: Sequence[Any]) -> list[Cell]:
    """The formulas, in each cell off the edges; empty where nothing is compared, or where there are too many.

    >>> from symgrad.indices.terms import tensor
    >>> i, n = sp.Symbol("i", integer=True), sp.Symbol("n", integer=True, positive=True)
    >>> x = tensor("x", n)[i]
    >>> for cell in cells([sp.Abs(x), STEP(x - 1)]):
    ...     print(cell.positive, cell.bodies)
    (x[i], x[i] - 1) (x[i], 1)
    (x[i], 1 - x[i]) (x[i], 0)
    (-x[i], 1 - x[i]) (-x[i], 0)
    """
    if not _asked(bodies):
        return []
    found: list[Cell] = []
    for cell in _divided(Cell((), tuple(bodies)), []):
        found.append(cell)
        if len(found) > _MOST:
            return []
    return found


def _divided(cell: Cell, rows: list[Row]) -> Iterator[Cell]:
    asked = _asked(cell.bodies)
    if not asked:
        yield cell
        return
    z = asked[0]
    for side, argument in ((1, z), (-1, sp.expand(-z))):
        row = row_of(argument)
        if row is None or not _contradict([*rows, row]):
            bodies = tuple(_on_side(body, z, side) for body in cell.bodies)
            yield from _divided(Cell((*cell.positive, argument), bodies), rows if row is None else [*rows, row])


def _asked(bodies: Sequence[Any]) -> list[Any]:
    """The arguments of which the sign is asked, those first that ask for no other; none under a sum's own index."""
    bound = {i for body in bodies for s in body.atoms(IndexSum) for i in s.args[1:2]}
    found = {f.args[0] for body in bodies for f in body.atoms(*_SIDES)}
    plain = [z for z in found if not z.has(*_SIDES) and not z.free_symbols & bound]
    return sorted(plain, key=lambda z: (sp.count_ops(z), str(z)))


def _on_side(body: Any, z: Any, side: int) -> Any:
    here = {STEP(z): sp.Integer(side > 0), RELU(z): z if side > 0 else sp.S.Zero}
    here |= {sp.sign(z): sp.Integer(side), sp.Abs(z): side * z}
    return _expanded(body.xreplace(here))


def _expanded(body: Any) -> Any:
    """With expanded arguments, so that what is asked of one is found to be known."""
    return body.replace(lambda e: isinstance(e, _SIDES), lambda e: e.func(sp.expand(e.args[0])))


def row_of(z: Any) -> Row | None:
    """A polynomial as a combination of its monomials; None for one whose coefficients are no fractions."""
    found: Row = {}
    for monomial, c in sp.expand(z).as_coefficients_dict().items():
        if not c.is_Rational:
            return None
        found[monomial] = Fraction(int(c.p), int(c.q))
    return found


def _contradict(rows: list[Row]) -> bool:
    """Whether no values of the monomials make all rows positive."""
    rows = [dict(row) for row in rows]
    while True:
        if any(not any(c for m, c in row.items() if m != 1) and row.get(sp.S.One, 0) <= 0 for row in rows):
            return True
        unknown = sorted({m for row in rows for m, c in row.items() if m != 1 and c}, key=str)
        if not unknown:
            return False
        counts = {m: _products(rows, m) for m in unknown}
        m = min(unknown, key=lambda u: counts[u])
        if counts[m] + len(rows) > _ROWS:
            return False
        up, down = ([r for r in rows if sign * r.get(m, 0) > 0] for sign in (1, -1))
        rest = [r for r in rows if not r.get(m, 0)]
        rows = rest + [_without(m, p, q) for p in up for q in down]


def _products(rows: list[Row], m: Any) -> int:
    up, down = (sum(sign * r.get(m, 0) > 0 for r in rows) for sign in (1, -1))
    return up * down


def _without(m: Any, p: Row, q: Row) -> Row:
    """The sum of two rows, each scaled, from which ``m`` drops out."""
    a, b = -q[m], p[m]
    return {
        k: v for k in p.keys() | q.keys() if k != m and (v := a * p.get(k, Fraction(0)) + b * q.get(k, Fraction(0)))
    }
