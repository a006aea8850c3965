"""Functions of square matrices that no finite number of operations gives: a row each, as for the scalar functions.

Exponentials, and eigenvalues with their eigenvectors.  ``torch`` reads a row in floats, ``ball`` one matrix in rigorous
balls, ``high`` one matrix in mpmath; their derivatives follow from the equations that define them
(`symgrad.program.derivative`).

Eigenpairs are of a Hermitian matrix (what is not is read as (A + A^H)/2); ``params`` say which, in the order of their
eigenvalues.  The result has a row for each pair: the vector, of length one and turned so that its product with
`direction` is positive, and the eigenvalue.  General eigenpairs are of any matrix, all of them, in the order in which
LAPACK finds them in float64, for real matrices (``params`` say so) another than for complex ones; the vector's product
with `direction` is one, so that it is analytic in the entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import torch
from flint import acb, acb_mat, arb, arb_mat, ctx

Kept = tuple[int, ...]


def direction(n: int) -> np.ndarray:
    """What eigenvectors are turned towards: no vector that people meet is orthogonal to it."""
    return 1.0 / np.arange(2, n + 2)


@dataclass(frozen=True, slots=True)
class MatrixFunction:
    """``torch`` is given a batch (batch, n, n), ``ball`` and ``high`` one matrix, an object array; and the params."""

    name: str
    torch: Callable[[torch.Tensor, Any], torch.Tensor]
    ball: Callable[[np.ndarray, Any], np.ndarray]
    high: Callable[[np.ndarray, Any], np.ndarray]


# ------------------------------------------------------------------------------------------------ exponentials


def _exp_ball(a: np.ndarray, params: Any) -> np.ndarray:
    kind: Any = acb_mat if any(isinstance(x, acb) for x in a.flat) else arb_mat
    return _shaped(kind(*a.shape, a.reshape(-1).tolist()).exp().entries(), a.shape)


def _exp_high(a: np.ndarray, params: Any) -> np.ndarray:
    return np.array(mpmath.expm(mpmath.matrix(a.tolist())).tolist(), dtype=object)


# ------------------------------------------------------------------------------------------------ eigenpairs


def _pairs_torch(a: torch.Tensor, kept: Kept) -> torch.Tensor:
    values, vectors = torch.linalg.eigh((a + a.mH) / 2)
    vectors, values = vectors.mT[:, list(kept)], values[:, list(kept)]
    towards = (vectors * torch.as_tensor(direction(a.shape[-1]), device=a.device)).sum(-1, keepdim=True)
    return torch.cat([vectors * torch.sgn(towards).conj(), values[..., None].to(vectors.dtype)], -1)


def _pairs_ball(a: np.ndarray, kept: Kept) -> np.ndarray:
    n = a.shape[0]
    a = np.array([[(a[i, j] + _conj(a[j, i])) / 2 for j in range(n)] for i in range(n)], dtype=object).reshape(n, n)
    guess = np.array([[_middle(x) for x in row] for row in a]).reshape(n, n)
    if not np.isfinite(guess).all():
        return np.full((len(kept), n + 1), arb("nan"), dtype=object)
    values, vectors = np.linalg.eigh(guess)
    rows = [_one_pair(a, values, vectors, i) for i in kept]
    return np.array(rows, dtype=object).reshape(len(kept), n + 1)


def _one_pair(a: np.ndarray, values: np.ndarray, vectors: np.ndarray, i: int) -> list[Any]:
    """An eigenpair by Krawczyk's operator, on A v = t v and <c, v> = 1 where c is what floats take v for.

    It proves that a box has one solution.  That it is the i-th is known where the floats' eigenvalues, which are right
    to n units of the matrix's norm, lie farther apart than that.
    """
    n = len(values)
    scale = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    if n > 1 and float(np.abs(np.delete(values, i) - values[i]).min()) <= 1e-9 * scale:
        return [arb("nan")] * (n + 1)
    found = _in_a_box(a, values[i], vectors[:, i], scale)
    return [arb("nan")] * (n + 1) if found is None else _turned(found[:n], found[n])


def _in_a_box(a: np.ndarray, value: Any, vector: np.ndarray, scale: float) -> list[Any] | None:
    """The one eigenpair near an approximate one whose vector has the product 1 with that vector; None if not proved."""
    n = len(vector)
    is_complex = vector.dtype.kind == "c"
    kind: Any = acb_mat if is_complex else arb_mat
    number: Any = acb if is_complex else arb
    c = [number(x.real, x.imag) if is_complex else number(x) for x in vector.tolist()]
    x = [*c, number(value.real, value.imag) if is_complex else number(float(value))]

    def matrix(v: list[Any], t: Any) -> Any:
        rows = [[a[r, s] - t if r == s else a[r, s] for s in range(n)] + [-v[r]] for r in range(n)]
        return kind(rows + [[_conj(y) for y in c] + [number(0)]])

    def residual(v: list[Any], t: Any) -> Any:
        lines = [[sum((a[r, s] * v[s] for s in range(n)), -t * v[r])] for r in range(n)]
        return kind(lines + [[sum((_conj(p) * q for p, q in zip(c, v, strict=True)), number(-1))]])

    try:
        for _ in range(max(3, int(ctx.prec).bit_length() - 4)):
            moved = matrix(x[:n], x[n]).mid().solve(residual(x[:n], x[n]).mid())
            x = [_mid(p - q) for p, q in zip(x, moved.entries(), strict=True)]
        inverse = matrix(x[:n], x[n]).mid().inv()
    except ZeroDivisionError:
        return None
    off = (inverse * residual(x[:n], x[n])).entries()
    radius = [2 * abs(q).upper() + arb(2) ** (8 - ctx.prec) * scale for q in off]
    box = [_fat(p, r) for p, r in zip(x, radius, strict=True)]
    one = kind([[number(int(r == s)) for s in range(n + 1)] for r in range(n + 1)])
    spread = kind([[q - p] for p, q in zip(x, box, strict=True)])
    inner = ((one - inverse * matrix(box[:n], box[n])) * spread).entries()
    found = [p - q + r for p, q, r in zip(x, off, inner, strict=True)]
    if not all(abs(f - p).upper() < r for f, p, r in zip(found, x, radius, strict=True)):
        return None
    return found


def _turned(v: list[Any], value: Any) -> list[Any]:
    """The vector of length one turned towards `direction`, and its eigenvalue."""
    length = sum(((x * _conj(x)).real for x in v), arb(0)).sqrt()
    there = sum((x * w for x, w in zip(v, _weights(len(v)), strict=True)), arb(0))
    if isinstance(there, acb):
        turn = _conj(there) / abs(there)
    else:
        turn = arb(1) if there > 0 else arb(-1) if there < 0 else arb("nan")
    return [*(x * turn / length for x in v), value.real]


def _weights(n: int) -> list[arb]:
    return [arb(x) for x in direction(n).tolist()]


def _pairs_high(a: np.ndarray, kept: Kept) -> np.ndarray:
    m = mpmath.matrix(a.tolist())
    values, vectors = mpmath.eighe((m + m.H) / 2)
    order = sorted(range(len(values)), key=lambda i: values[i])
    rows = []
    for i in kept:
        v = [vectors[r, order[i]] for r in range(len(values))]
        there = mpmath.fsum(x * mpmath.mpf(w) for x, w in zip(v, direction(len(v)).tolist(), strict=True))
        turn = mpmath.conj(there) / abs(there)
        rows.append([*(_simple(x * turn) for x in v), values[order[i]]])
    return np.array(rows, dtype=object)


def _simple(x: Any) -> Any:
    return x.real if isinstance(x, mpmath.mpc) and x.imag == 0 else x


# ------------------------------------------------------------------------------------------------ general eigenpairs


def _general_torch(a: torch.Tensor, is_real: bool) -> torch.Tensor:
    a = a.to(torch.complex128 if a.is_complex() else torch.float64)
    values, vectors = torch.linalg.eig(a.real if is_real and a.is_complex() else a)
    vectors = vectors.mT
    along = (vectors * torch.as_tensor(direction(a.shape[-1]), device=a.device)).sum(-1, keepdim=True)
    return torch.cat([vectors / along, values[..., None]], -1)


def _general_guess(a: np.ndarray, is_real: bool) -> tuple[np.ndarray, np.ndarray]:
    """LAPACK's pairs: other matrices' order is that of the nearest float64."""
    values, vectors = torch.linalg.eig(torch.as_tensor(np.real(a) if is_real else a + 0j))
    return values.numpy(), vectors.numpy()


def _general_ball(a: np.ndarray, is_real: bool) -> np.ndarray:
    """Each pair in a box that has one eigenpair; where no two boxes meet, these are all."""
    n = a.shape[0]
    guess = np.array([[_middle(x) for x in row] for row in a]).reshape(n, n)
    nothing = np.full((n, n + 1), arb("nan"), dtype=object)
    if not np.isfinite(guess).all():
        return nothing
    values, vectors = _general_guess(guess, is_real)
    scale = max(float(np.abs(values).max(initial=0.0)), 1e-300)
    found = [_in_a_box(a, values[i], vectors[:, i], scale) for i in range(n)]
    rows = [x for x in found if x is not None]
    meet = any(x[n].overlaps(y[n]) for k, x in enumerate(rows) for y in rows[:k])
    if meet or len(rows) < n:
        return nothing
    along = [sum((x * w for x, w in zip(row, _weights(n), strict=False)), acb(0)) for row in rows]
    out = [[*(x / p for x in row[:n]), row[n]] for row, p in zip(rows, along, strict=True)]
    return np.array(out, dtype=object).reshape(n, n + 1)


def _general_high(a: np.ndarray, is_real: bool) -> np.ndarray:
    values, vectors = mpmath.eig(mpmath.matrix(a.tolist()))
    left, rows = list(range(len(values))), []
    for guess in _general_guess(a.astype(complex), is_real)[0]:
        k = min(left, key=lambda i: abs(values[i] - complex(guess)))
        left.remove(k)
        v = [vectors[r, k] for r in range(len(values))]
        along = mpmath.fsum(x * mpmath.mpf(w) for x, w in zip(v, direction(len(v)).tolist(), strict=True))
        rows.append([*(x / along for x in v), values[k]])
    return np.array(rows, dtype=object)


def _shaped(entries: Any, shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty(len(entries), dtype=object)
    out[:] = entries
    return out.reshape(shape)


def _conj(x: Any) -> Any:
    return x.conjugate() if isinstance(x, acb) else x


def _mid(x: Any) -> Any:
    return acb(x.real.mid(), x.imag.mid()) if isinstance(x, acb) else x.mid()


def _middle(x: Any) -> Any:
    return complex(float(x.real.mid()), float(x.imag.mid())) if isinstance(x, acb) else float(x.mid())


def _fat(x: Any, r: Any) -> Any:
    ball = arb(0, r)
    return acb(x.real + ball, x.imag + ball) if isinstance(x, acb) else x + ball


MATRICES = {
    f.name: f
    for f in (
        MatrixFunction("matrix_exp", lambda a, _: torch.linalg.matrix_exp(a), _exp_ball, _exp_high),
        MatrixFunction("eigenpairs", _pairs_torch, _pairs_ball, _pairs_high),
        MatrixFunction("general_eigenpairs", _general_torch, _general_ball, _general_high),
    )
}
