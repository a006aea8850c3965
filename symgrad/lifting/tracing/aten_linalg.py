"""The rules of `symgrad.lifting.tracing.aten` for linear algebra: each result said by the equations that define it.

A factor that is unique once its matrix is of full rank is written in inverses, solutions and Cholesky factors; what is
left to a choice of the kernel (pivots, signs) is read off what it returned.  Where the rank is not full, or where more
columns are asked for than the matrix determines, there is no rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from symgrad.lifting.tracing.aten import PLAIN, dtype_of, plain, rule
from symgrad.lifting.tracing.recorder import Recorder
from symgrad.ops.matrices import direction
from symgrad.program import factorisations
from symgrad.program.program import real_dtype, size


def _square(t: Recorder, x: torch.Tensor) -> tuple[int, tuple[int, ...], int]:
    """The step of a batch of square matrices, (batch, n, n), the batch's shape, and n."""
    shape = tuple(x.shape)
    return t.builder.reshape(t.step_of(x), (size(shape[:-2]), *shape[-2:])), shape[:-2], shape[-1]


def _matrix(t: Recorder, op: str, x: torch.Tensor) -> int:
    b = t.builder
    square, _, _ = _square(t, x)
    return b.reshape(b.emit(op, (square,), None, b.shape(square)), tuple(x.shape))


@rule("linalg_inv_ex")
def _inverse(t: Recorder, a: Any, out: Any, name: str) -> list[Any]:
    return [_matrix(t, "inverse", a.A), PLAIN]


@rule("linalg_cholesky_ex", "cholesky")
def _cholesky(t: Recorder, a: Any, out: Any, name: str) -> Any:
    step = _matrix(t, "cholesky", a.self)
    if getattr(a, "upper", False):
        step = t.builder.conj(t.builder.transpose(step))
    return [step, PLAIN] if isinstance(out, (list, tuple)) else step


@rule("_linalg_det", "_linalg_slogdet")
def _det(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b = t.builder
    square, batch, _ = _square(t, a.A)
    det = b.reshape(b.emit("det", (square,), None, (size(batch),)), batch)
    if name == "_linalg_det":
        return [det, PLAIN, PLAIN]
    value = b.reshape(b.emit("logabsdet", (square,), None, (size(batch),), dtype_of(out[1])), batch)
    if a.A.is_complex():
        return [b.emit("sign", (det,), None, batch, dtype_of(out[0])), value, PLAIN, PLAIN]
    return [t.piecewise("sign", [det], plain(out[0]), dtype_of(out[0])), value, PLAIN, PLAIN]


@rule("_linalg_solve_ex", "linalg_solve_triangular")
def _solve(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b = t.builder
    first = out[0] if isinstance(out, (list, tuple)) else out
    matrix = a.A if name == "_linalg_solve_ex" else a.self
    square, batch, n = _square(t, matrix)
    if name == "linalg_solve_triangular":
        square = _triangle(t, square, a.upper, a.unitriangular)
    right, shape = t.step_of(a.B), tuple(first.shape)
    if not a.left:  # X A = B is A^T X^T = B^T
        square, right, shape = b.transpose(square), b.transpose(right), (*shape[:-2], shape[-1], shape[-2])
    vector = len(b.shape(right)) == 1 or (a.left and len(shape) == len(matrix.shape) - 1)
    columns = (*shape, 1) if vector else shape
    right = b.broadcast(b.reshape(right, (*b.shape(right), 1)) if vector else right, columns)
    full = b.reshape(b.broadcast(b.reshape(square, (*batch, n, n)), (*columns[:-2], n, n)), (size(columns[:-2]), n, n))
    right = b.reshape(right, (size(columns[:-2]), n, columns[-1]))
    step = b.reshape(b.emit("solve", (full, right), None, b.shape(right)), shape)
    step = step if a.left else b.transpose(step)
    return [step, *[PLAIN] * (len(out) - 1)] if isinstance(out, (list, tuple)) else step


def _triangle(t: Recorder, square: int, upper: bool, unit: bool) -> int:
    """The part of a batch of matrices that a triangular solve reads."""
    b = t.builder
    shape = b.shape(square)
    where = np.arange(1, size(shape) + 1).reshape(shape)
    where = (np.triu if upper else np.tril)(where)
    if not unit:
        return b.pick([square], where, shape)
    eye = np.eye(shape[-1], dtype=bool)
    one = b.number(1, b.dtype(square))
    return b.pick([square, one], np.where(eye, size(shape) + 1, where), shape)


@rule("cholesky_solve", "cholesky_inverse")
def _cholesky_solve(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """Solve (L L^H) X = B."""
    b, batch = t.builder, tuple(out.shape[:-2])
    wide = lambda x: b.reshape(b.broadcast(t.step_of(x), (*batch, *x.shape[-2:])), (size(batch), *x.shape[-2:]))  # noqa: E731
    lower = _triangle(t, wide(a.input2 if name == "cholesky_solve" else a.self), a.upper, False)
    turned = b.conj(b.transpose(lower))
    whole = b.matmul(turned, lower) if a.upper else b.matmul(lower, turned)
    if name == "cholesky_inverse":
        return b.reshape(b.emit("inverse", (whole,), None, b.shape(whole)), tuple(out.shape))
    right = wide(a.self)
    return b.reshape(b.emit("solve", (whole, right), None, b.shape(right)), tuple(out.shape))


# ------------------------------------------------------------------------------------------------ factorisations


def _batched(t: Recorder, x: torch.Tensor) -> int:
    """The step of a batch of matrices of any form, (batch, m, n)."""
    shape = tuple(x.shape)
    return t.builder.reshape(t.step_of(x), (size(shape[:-2]), *shape[-2:]))


def _back(t: Recorder, step: int, out: torch.Tensor) -> int:
    return t.builder.reshape(step, tuple(out.shape))


def _permutations(pivots: torch.Tensor, rows: int) -> np.ndarray:
    """For each matrix of a batch the order of its rows, from the exchanges that LAPACK tells."""
    found = []
    for swaps in plain(pivots).reshape(-1, pivots.shape[-1]).tolist():
        order = list(range(rows))
        for i, k in enumerate(swaps):
            order[i], order[k - 1] = order[k - 1], order[i]
        found.append(order)
    return np.array(found, dtype=np.int64).reshape(-1, rows)


@rule("linalg_lu_factor_ex", "linalg_lu")
def _lu(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b, m = t.builder, a.A.shape[-2]
    if name == "linalg_lu":
        order = plain(out[0]).reshape(-1, *out[0].shape[-2:]).argmax(-2) if a.pivot else None
    else:
        order = _permutations(out[1], m) if a.pivot else None
    lower, upper = factorisations.lu(b, _batched(t, a.A), order)
    if name == "linalg_lu":
        return [t.data(plain(out[0]), dtype_of(out[0])), _back(t, lower, out[1]), _back(t, upper, out[2])]
    return [_back(t, factorisations.packed_lu(b, lower, upper), out[0]), *[PLAIN] * (len(out) - 1)]


@rule("lu_unpack")
def _lu_unpack(t: Recorder, a: Any, out: Any, name: str) -> Any:
    found = factorisations.unpacked_lu(t.builder, _batched(t, a.LU_data))
    parts = [_back(t, x, o) if o.numel() else PLAIN for x, o in zip(found, out[1:], strict=True)]
    return [t.data(plain(out[0]), dtype_of(out[0])) if out[0].numel() else PLAIN, *parts]


@rule("linalg_lu_solve")
def _lu_solve(t: Recorder, a: Any, out: Any, name: str) -> int:
    """P L U X = B, its adjoint, or X P L U = B."""
    b, n = t.builder, a.LU.shape[-1]
    batch = tuple(out.shape[:-2])
    wide = lambda x, *form: b.reshape(b.broadcast(t.step_of(x), (*batch, *form)), (size(batch), *form))  # noqa: E731
    matrix = b.matmul(*factorisations.unpacked_lu(b, wide(a.LU, n, n)))
    right = wide(a.B, *a.B.shape[-2:])
    order = _permutations(a.pivots.broadcast_to((*batch, n)), n)
    matrix = factorisations.rows(b, matrix, np.argsort(order, -1))
    if not a.left:
        matrix, right = b.transpose(matrix), b.transpose(right)
    if a.adjoint:
        matrix = b.conj(matrix) if not a.left else b.conj(b.transpose(matrix))
        matrix = b.transpose(matrix) if not a.left else matrix
    solved = b.emit("solve", (matrix, right), None, b.shape(right))
    return _back(t, solved if a.left else b.transpose(solved), out)


@rule("triangular_solve")
def _triangular_solve(t: Recorder, a: Any, out: Any, name: str) -> Any:
    b, batch = t.builder, tuple(out[0].shape[:-2])
    wide = lambda x: b.broadcast(t.step_of(x), (*batch, *x.shape[-2:]))  # noqa: E731
    n, columns = a.self.shape[-2:]
    matrix = _triangle(t, b.reshape(wide(a.A), (size(batch), n, n)), a.upper, a.unitriangular)
    matrix = b.transpose(matrix) if a.transpose else matrix
    right = b.reshape(wide(a.self), (size(batch), n, columns))
    return [_back(t, b.emit("solve", (matrix, right), None, b.shape(right)), out[0]), t.step_of(a.A)]


@rule("linalg_qr")
def _qr(t: Recorder, a: Any, out: Any, name: str) -> Any:
    m, n = a.A.shape[-2:]
    if a.mode == "complete" and m > n:
        return NotImplemented
    signs = np.sign(np.real(plain(out[1].diagonal(dim1=-2, dim2=-1)))).reshape(-1, min(m, n))
    if not signs.all():
        return NotImplemented
    q, r = factorisations.qr(t.builder, _batched(t, a.A), signs)
    return [_back(t, q, out[0]) if out[0].numel() else PLAIN, _back(t, r, out[1])]


@rule("linalg_householder_product")
def _householder_product(t: Recorder, a: Any, out: Any, name: str) -> int:
    b = t.builder
    tau = b.reshape(t.step_of(a.tau), (size(tuple(a.tau.shape[:-1])), a.tau.shape[-1]))
    m, n = a.input.shape[-2:]
    first = b.constant(np.eye(m, n), dtype_of(out))
    first = b.broadcast(first, (b.shape(tau)[0], m, n))
    return _back(t, factorisations.reflected(b, _batched(t, a.input), tau, first), out)


@rule("ormqr")
def _ormqr(t: Recorder, a: Any, out: Any, name: str) -> int:
    """Q C, Q^H C, C Q or C Q^H, where Q is the product of the reflectors."""
    b = t.builder
    tau = b.reshape(t.step_of(a.input2), (size(tuple(a.input2.shape[:-1])), a.input2.shape[-1]))
    other = _batched(t, a.input3)
    if a.left:
        return _back(t, factorisations.reflected(b, _batched(t, a.self), tau, other, adjoint=a.transpose), out)
    turned = b.conj(b.transpose(other))  # C Q = (Q^H C^H)^H
    made = factorisations.reflected(b, _batched(t, a.self), tau, turned, adjoint=not a.transpose)
    return _back(t, b.conj(b.transpose(made)), out)


@rule("linalg_pinv")
def _pinv(t: Recorder, a: Any, out: Any, name: str) -> Any:
    x = a.self
    given = {k: getattr(a, k) for k in ("atol", "rtol") if getattr(a, k, None) is not None}
    given |= {"rtol": a.rcond} if hasattr(a, "rcond") else {}
    rank = torch.linalg.matrix_rank(x.detach(), hermitian=a.hermitian, **given)
    if x.numel() and bool((rank < min(x.shape[-2:])).any()):
        raise t.unknown(
            "torch.linalg.pinv, of a matrix whose rank is not full: it jumps there",
            instead="Write the pseudo-inverse of the factors that the matrix is a product of.",
        )
    b, step = t.builder, _batched(t, x)
    if a.hermitian:
        step = b.div(b.add(step, b.conj(b.transpose(step))), b.number(2, b.dtype(step)))
    return _back(t, factorisations.pinv(b, step), out)


@rule("linalg_lstsq")
def _lstsq(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """The solution of least squares, or of least norm: the pseudo-inverse's, where the rank is full."""
    b, x = t.builder, a.self
    m, n = x.shape[-2:]
    batch = tuple(x.shape[:-2])
    vector = a.b.dim() == 1 or (a.b.dim() == x.dim() - 1 and tuple(a.b.shape) == (*batch, m))
    is_full = bool((torch.linalg.matrix_rank(x.detach()) == min(m, n)).all())
    if not is_full or tuple(a.b.shape[: len(batch)]) != batch:
        return NotImplemented
    matrix = _batched(t, x)
    right = b.reshape(t.step_of(a.b), (b.shape(matrix)[0], m, 1 if vector else a.b.shape[-1]))
    solved = b.matmul(factorisations.pinv(b, matrix), right)
    residuals: Any = PLAIN
    if out[1].numel():
        off = b.sub(b.matmul(matrix, solved), right)
        squares = b.mul(off, b.conj(off))
        residuals = _back(t, b.cast(b.sum(squares, -2), dtype_of(out[1])), out[1])
    return [_back(t, solved, out[0]), residuals, PLAIN, PLAIN]


# ------------------------------------------------------------------------------------------------ spectra


@rule("linalg_matrix_exp")
def _matrix_exp(t: Recorder, a: Any, out: Any, name: str) -> int:
    return _matrix(t, "matrix_exp", a.self)


@rule("_linalg_eigh")
def _eigh(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """Eigenvalues, and eigenvectors with the signs (or phases) that they came with."""
    square, _, n = _square(t, a.A)
    values, vectors = _pairs(t, square, range(n), plain(out[1]) if a.compute_v else None)
    return [_back(t, values, out[0]), _back(t, t.builder.transpose(vectors), out[1]) if a.compute_v else PLAIN]


@rule("linalg_eig", "linalg_eigvals", "_linalg_eigvals")
def _eig(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """Eigenvalues, and eigenvectors as LAPACK scales them: of length one, the largest entry real."""
    b, has_vectors = t.builder, isinstance(out, (list, tuple))
    values, dtype = (out[0], dtype_of(out[0])) if has_vectors else (out, dtype_of(out))
    square, batch, n = _square(t, a.self)
    count = size(batch)
    pairs = b.emit("general_eigenpairs", (square,), not a.self.is_complex(), (count, n, n + 1), dtype)
    at = np.arange(1, count * n * (n + 1) + 1).reshape(count, n, n + 1)
    found = b.reshape(b.pick([pairs], at[..., n], (count, n)), tuple(values.shape))
    if not has_vectors:
        return found
    if t.tensors.calling is torch.linalg.eigvals:  # by the same kernel, whose vectors nobody sees
        return [found, PLAIN]
    vectors = b.pick([pairs], at[..., :n], (count, n, n))  # a row for each pair
    seen = plain(out[1].mT).reshape(count, n, n)
    real = real_dtype(dtype)
    sizes = b.apply("abs", vectors, dtype=real)
    largest = np.abs(seen).argmax(-1)
    b.guard("argmax", [sizes], 2, largest)
    places = np.take_along_axis(np.arange(1, count * n * n + 1).reshape(count, n, n), largest[..., None], -1)
    turn = b.conj(b.apply("sign", b.pick([vectors], places, (count, n, 1)), dtype=dtype))
    length = b.apply("sqrt", b.sum(b.mul(sizes, sizes), -1, True))
    unit = b.div(b.mul(vectors, b.broadcast(turn, (count, n, n))), b.cast(b.broadcast(length, (count, n, n)), dtype))
    signs = np.sign(np.real(np.take_along_axis(seen, largest[..., None], -1)))
    if (signs < 0).any():
        towards = b.emit("real", (b.pick([unit], places, (count, n, 1)),), None, (count, n, 1), real)
        unit = b.mul(unit, t.piecewise("sign", [towards], signs, dtype))
    return [found, _back(t, b.transpose(unit), out[1])]


@rule("_linalg_svd")
def _svd(t: Recorder, a: Any, out: Any, name: str) -> Any:
    """Singular values are the largest eigenvalues of [[0, A], [A^H, 0]], with the eigenvectors (u, v)/sqrt(2)."""
    m, n = a.A.shape[-2:]
    if a.compute_uv and a.full_matrices and m != n:
        return NotImplemented
    b, count = t.builder, min(m, n)
    matrix = _batched(t, a.A)
    batch = b.shape(matrix)[0]
    where = np.zeros((batch, m + n, m + n), dtype=np.int64)
    places = np.arange(1, batch * m * n + 1).reshape(batch, m, n)
    where[:, :m, m:], where[:, m:, :m] = places, places.transpose(0, 2, 1) + batch * m * n
    whole = b.pick([matrix, b.conj(matrix)], where, where.shape)
    seen = np.concatenate([plain(out[0]), plain(out[2].mH)], -2) if a.compute_uv else None
    values, vectors = _pairs(t, whole, range(m + n - 1, m + n - 1 - count, -1), seen)
    if not a.compute_uv:
        return [PLAIN, _back(t, values, out[1]), PLAIN]
    vectors = b.mul(vectors, b.apply("sqrt", b.number(2, b.dtype(vectors))))
    at = np.arange(1, batch * count * (m + n) + 1).reshape(batch, count, m + n)
    u, vh = b.pick([vectors], at[..., :m], (batch, count, m)), b.pick([vectors], at[..., m:], (batch, count, n))
    return [_back(t, b.transpose(u), out[0]), _back(t, values, out[1]), _back(t, b.conj(vh), out[2])]


def _pairs(t: Recorder, square: int, kept: Any, seen: np.ndarray | None) -> tuple[int, int]:
    """Eigenpairs of Hermitian matrices; a guard remembers the sign that the kernel chose for each column ``seen``."""
    b, kept = t.builder, tuple(kept)
    batch, n, _ = b.shape(square)
    pairs = b.emit("eigenpairs", (square,), kept, (batch, len(kept), n + 1))
    at = np.arange(1, batch * len(kept) * (n + 1) + 1).reshape(batch, len(kept), n + 1)
    values = b.pick([pairs], at[..., n], (batch, len(kept)))
    values = b.cast(values, real_dtype(b.dtype(values)))
    vectors = b.pick([pairs], at[..., :n], (batch, len(kept), n))
    if seen is not None:
        weights = direction(n)
        towards = b.sum(b.mul(vectors, b.constant(weights, b.dtype(vectors))), -1)
        found = weights @ seen.reshape(batch, n, len(kept))
        signs = found / np.abs(found)
        vectors = b.mul(
            vectors, b.reshape(t.piecewise("sign", [towards], signs, b.dtype(vectors)), (batch, len(kept), 1))
        )
    return values, vectors
