"""Running error bounds of torch's linear algebra: what its factorisations and solvers return, against balls.

All are a posteriori: the exact answer for all matrices within the arguments' errors is enclosed by Arb, the rows
exchanged as the kernel did, and the bound is the distance of what was computed to that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from symgrad.evaluation.balls import Balls, binary, precision
from symgrad.evaluation.entrywise import array_of, flat
from symgrad.evaluation.floats import to_numpy
from symgrad.program.program import Step
from symgrad.rounding.aten_calls import Call, ErrorRule
from symgrad.rounding.kernel_bounds import Bound, outward
from symgrad.rounding.running_bounds import distance, fatten, linear_algebra

__all__ = ["SOLVERS"]

_LARGEST = 48  # rows of a matrix that is factorised in balls
_BITS = 256


def _square(a: Bound) -> Bound:
    """A batch of matrices with one batch axis."""
    n = a.value.shape[-1]
    return Bound(a.value.reshape(-1, n, n), a.error.reshape(-1, n, n))


def _inverse(call: Call) -> list[Tensor | None]:
    out = call.out[0]
    n = out.shape[-1]
    return [linear_algebra("inverse", [_square(call.args[0])], out.reshape(-1, n, n)).reshape(out.shape), None]


def _cholesky(call: Call) -> list[Tensor | None]:
    """The lower factor; an upper one is its transpose."""
    out, upper = call.out[0], call.kwargs.get("upper", False)
    n = out.shape[-1]
    low = (out.mT if upper else out).reshape(-1, n, n)
    found = linear_algebra("cholesky", [_square(call.args[0])], low).reshape(out.shape)
    return [found.mT if upper else found, None]


def _det(call: Call) -> list[Tensor | None]:
    out, lu, pivots = call.out
    found = linear_algebra("det", [_square(call.args[0])], out.reshape(-1)).reshape(out.shape)
    return [found, _factors(call.args[0], lu, pivots), None]


def _slogdet(call: Call) -> list[Tensor | None]:
    sign, out, lu, pivots = call.out
    found = linear_algebra("logabsdet", [_square(call.args[0])], out.reshape(-1)).reshape(out.shape)
    known = torch.where(torch.isfinite(found), 0.0, torch.inf)  # where it may vanish the sign is not known either
    return [known.expand(sign.shape), found, _factors(call.args[0], lu, pivots), None]


def _solve(call: Call) -> list[Tensor | None]:
    a, b = call.args[:2]
    out, lu, pivots, _ = call.out
    if not call.get(2, "left", True) or b.value.dim() != a.value.dim():
        return [None, None, None, None]
    shape = (-1, *out.shape[-2:])
    wide = Bound(b.value.expand(out.shape).reshape(shape), b.error.expand(out.shape).reshape(shape))
    found = linear_algebra("solve", [_square(a), wide], out.reshape(shape)).reshape(out.shape)
    return [found, _factors(a, lu, pivots), None, None]


# ------------------------------------------------------------------------------------------------ rows exchanged


def _factors(a: Bound, lu: Tensor, pivots: Tensor) -> Tensor | None:
    """The factors L and U in one matrix, rows exchanged as the kernel did."""
    n = lu.shape[-1]
    if n > _LARGEST:
        return None
    flatly = _square(a)
    with precision(_BITS):
        fat = fatten(binary(to_numpy(flatly.value)), flatly.error)
        exact = [_eliminated(m, p) for m, p in zip(fat, pivots.reshape(-1, n).tolist(), strict=True)]
        _, far = distance(lu.reshape(-1, n, n), np.stack(exact))
    return outward(far).reshape(lu.shape)


def _eliminated(matrix: Any, pivots: list[int]) -> Any:
    """Gaussian elimination in balls, with LAPACK's exchanges (from one): U above, the multipliers of L below."""
    m = np.array(matrix, dtype=object)
    for k, p in enumerate(pivots):
        m[[k, p - 1]] = m[[p - 1, k]]
        for i in range(k + 1, len(m)):
            m[i, k] = m[i, k] / m[k, k]
            m[i, k + 1 :] = m[i, k + 1 :] - m[i, k] * m[k, k + 1 :]
    return m


def _lu_solve(call: Call) -> Tensor | None:
    """X with A X = B, or with A's adjoint, for the A that the factors make."""
    lu, pivots, b = call.args[:3]
    n = lu.value.shape[-1]
    if n > _LARGEST or not call.kwargs.get("left", True) or lu.value.dim() != 2:
        return None
    with precision(_BITS):
        m = fatten(binary(to_numpy(lu.value)), lu.error)
        low, high = _triangle(m, lower=True, unit=True), _triangle(m, lower=False, unit=False)
        a = low.dot(high)
        for k, p in reversed(list(enumerate(pivots.tolist()))):
            a[[k, p - 1]] = a[[p - 1, k]]
        if call.kwargs.get("adjoint", False):
            a = np.array([[x.conjugate() if hasattr(x, "conjugate") else x for x in row] for row in a.T], dtype=object)
        return _solved(a, b, call.out)


def _triangular(call: Call) -> Tensor | None:
    a, b = call.args[:2]
    n, options = a.value.shape[-1], call.kwargs
    if n > _LARGEST or a.value.dim() != 2 or b.value.dim() != 2:
        return None
    with precision(_BITS):
        m = fatten(binary(to_numpy(a.value)), a.error)
        m = _triangle(m, lower=not options["upper"], unit=options.get("unitriangular", False))
        if options.get("left", True):
            return _solved(m, b, call.out)
        return _solved(m.T, Bound(b.value.mT, b.error.mT), call.out.mT).mT  # X A = B


def _triangle(m: Any, *, lower: bool, unit: bool) -> Any:
    """One triangle of a matrix of balls, with ones on its diagonal where it is a unit one."""
    zero = m[0, 0] * 0 if m[0, 0].is_finite() else type(m[0, 0])(0)
    keep = np.tril(np.ones(m.shape, dtype=bool)) if lower else np.triu(np.ones(m.shape, dtype=bool))
    out = np.where(keep, m, zero)
    if unit:
        for k in range(len(m)):
            out[k, k] = zero + 1
    return out


def _solved(a: Any, b: Bound, out: Tensor) -> Tensor:
    right = fatten(binary(to_numpy(b.value)), b.error)
    column = np.reshape(flat(right), (len(a), -1))
    step = Step("solve", (), None, (1, *column.shape), "float64")
    try:
        exact = Balls().read(step, [a[None], column[None]])[0]
    except ZeroDivisionError:
        return torch.full(out.shape, torch.inf, dtype=torch.float64)
    _, far = distance(out, array_of(list(flat(exact)), tuple(out.shape)))
    return outward(far)


SOLVERS: dict[str, ErrorRule] = {
    "linalg_inv_ex": _inverse,
    "linalg_cholesky_ex": _cholesky,
    "_linalg_det": _det,
    "_linalg_slogdet": _slogdet,
    "_linalg_solve_ex": _solve,
    "linalg_lu_solve": _lu_solve,
    "linalg_solve_triangular": _triangular,
}
