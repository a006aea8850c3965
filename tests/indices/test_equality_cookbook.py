"""Identities of matrix calculus as The Matrix Cookbook lists them, proved for all sizes.

A row reads as the book does: a scalar function, the variable, its gradient.  (Petersen and Pedersen, The Matrix
Cookbook, 2012, sections 2.1 to 2.8.)  The gradient is by each entry of the variable, taken independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import sympy as sp
from support import index_calculus as matrices
from support.index_calculus import determinant, gradient
from support.index_refutation import refute

from symgrad.indices.equality import prove_equal
from symgrad.indices.terms import EXP, Array, Det, IndexSum, LogDet, Symmetric, fresh, tensor

n, m, p = sp.symbols("n m p", integer=True, positive=True)


@dataclass(frozen=True)
class M:
    """A matrix or a column, with the operations of the book."""

    array: Array
    base: Any = None

    @property
    def T(self) -> M:
        return M(matrices.transpose(self.array))

    @property
    def inv(self) -> M:
        return M(matrices.inverse(self.array))

    def __matmul__(self, other: M) -> M:
        return M(matrices.matmul(self.array, other.array))

    def __add__(self, other: M) -> M:
        return M(matrices.add(self.array, other.array))

    def __neg__(self) -> M:
        return -1 * self

    def __sub__(self, other: M) -> M:
        return self + -other

    def __rmul__(self, factor: Any) -> M:
        return M(matrices.scale(factor, self.array))

    def __truediv__(self, by: Any) -> M:
        return 1 / by * self


def matrix(name: str, *shape: Any) -> M:
    base = tensor(name, *shape)
    axes = tuple(fresh(a) for a in "ij"[: len(shape)])
    return M(Array(base[axes], axes, shape), base)


def tr(a: M) -> Any:
    return matrices.trace(a.array)


def det(a: M) -> Any:
    return determinant(a.array, Det)


def logdet(a: M) -> Any:
    return determinant(a.array, LogDet)


def dot(a: M, b: M) -> Any:
    return (a.T @ b).array.body


def outer(a: M, b: M) -> M:
    i, j = fresh("i"), fresh("j")
    return M(Array(a.array.at((i,)) * b.array.at((j,)), (i, j), a.array.shape + b.array.shape))


def eye(size: Any) -> M:
    return M(matrices.eye(size))


def square(a: M) -> Any:
    return dot(a, a)


A, B, C, D, X = (matrix(name, n, n) for name in "ABCDX")
Y, L, R, E, F = matrix("Y", n, m), matrix("L", p, n), matrix("R", m, p), matrix("E", p, p), matrix("F", m, m)
a, b, c, d, x, s = (matrix(name, n) for name in "abcdxs")
u = matrix("u", m)
y = matrix("y", m)
XX = Y.T @ C @ Y
AC, AB = (Symmetric("C"),), (Symmetric("C"), Symmetric("B"))
res = x - A @ s

ROWS = [
    # determinants
    ("det X", det(X), X, det(X) * X.inv.T, ()),
    ("det AXB", det(A @ X @ B), X, det(A @ X @ B) * (B @ (A @ X @ B).inv @ A).T, ()),
    ("ln det X", logdet(X), X, X.inv.T, ()),
    ("ln det Y'Y", logdet(Y.T @ Y), Y, 2 * (Y @ (Y.T @ Y).inv), ()),
    ("det Y'CY", det(XX), Y, 2 * det(XX) * (C @ Y @ XX.inv), AC),
    ("ln det Y'CY", logdet(XX), Y, C @ Y @ XX.inv + C.T @ Y @ XX.inv.T, ()),
    ("ln det (X + A)", logdet(X + A), X, (X + A).inv.T, ()),
    # inverses
    ("a'X^-1 b", dot(a, X.inv @ b), X, -(X.inv.T @ outer(a, b) @ X.inv.T), ()),
    ("det X^-1", det(X.inv), X, -det(X.inv) * X.inv.T, ()),
    ("tr AX^-1 B", tr(A @ X.inv @ B), X, -(X.inv @ B @ A @ X.inv).T, ()),
    ("tr (X + A)^-1", tr((X + A).inv), X, -((X + A).inv @ (X + A).inv).T, ()),
    ("tr X^-1 X", tr(X.inv @ X), X, 0 * X, ()),
    # first order traces
    ("tr X", tr(X), X, eye(n), ()),
    ("tr XA", tr(X @ A), X, A.T, ()),
    ("tr LYR", tr(L @ Y @ R), Y, L.T @ R.T, ()),
    ("tr AX'B", tr(A @ X.T @ B), X, B @ A, ()),
    ("tr X'A", tr(X.T @ A), X, A, ()),
    ("tr A tr X", tr(A) * tr(X), X, tr(A) * eye(n), ()),
    # second order traces
    ("tr X^2", tr(X @ X), X, 2 * X.T, ()),
    ("tr X^2 B", tr(X @ X @ B), X, (X @ B + B @ X).T, ()),
    ("tr Y'BY", tr(Y.T @ B @ Y), Y, B @ Y + B.T @ Y, ()),
    ("tr BYY'", tr(B @ Y @ Y.T), Y, B @ Y + B.T @ Y, ()),
    ("tr XBX'", tr(X @ B @ X.T), X, X @ B.T + X @ B, ()),
    ("tr AXBX", tr(A @ X @ B @ X), X, A.T @ X.T @ B.T + B.T @ X.T @ A.T, ()),
    ("tr Y'Y", tr(Y.T @ Y), Y, 2 * Y, ()),
    ("tr B'X'CXB", tr(B.T @ X.T @ C @ X @ B), X, C.T @ X @ B @ B.T + C @ X @ B @ B.T, ()),
    ("tr X'BXC", tr(X.T @ B @ X @ C), X, B @ X @ C + B.T @ X @ C.T, ()),
    ("tr AXBX'C", tr(A @ X @ B @ X.T @ C), X, A.T @ C.T @ X @ B.T + C @ A @ X @ B, ()),
    ("tr (LYR + E)(LYR + E)'", tr((L @ Y @ R + E) @ (L @ Y @ R + E).T), Y, 2 * (L.T @ (L @ Y @ R + E) @ R.T), ()),
    # higher order
    ("tr X^3", tr(X @ X @ X), X, 3 * (X @ X).T, ()),
    ("tr X^4", tr(X @ X @ X @ X), X, 4 * (X @ X @ X).T, ()),
    ("tr AX^3", tr(A @ X @ X @ X), X, (A @ X @ X + X @ A @ X + X @ X @ A).T.T.T, ()),
    ("tr B'X'CXX'CXB", tr(B.T @ X.T @ C @ X @ X.T @ C @ X @ B), X,
     C @ X @ X.T @ C @ X @ B @ B.T + C.T @ X @ B @ B.T @ X.T @ C.T @ X
     + C @ X @ B @ B.T @ X.T @ C @ X + C.T @ X @ X.T @ C.T @ X @ B @ B.T, ()),
    # inverses of products
    ("tr (Y'CY)^-1 F", tr(XX.inv @ F), Y, -(C @ Y @ XX.inv @ (F + F.T) @ XX.inv), AC),
    ("tr (Y'CY)^-1 Y'BY", tr(XX.inv @ (Y.T @ B @ Y)), Y,
     -2 * (C @ Y @ XX.inv @ Y.T @ B @ Y @ XX.inv) + 2 * (B @ Y @ XX.inv), AB),
    # vectors
    ("x'a", dot(x, a), x, a, ()),
    ("a'Yu", dot(a, Y @ u), Y, outer(a, u), ()),
    ("u'Y'a", dot(u, Y.T @ a), Y, outer(a, u), ()),
    ("b'X'Xc", dot(X @ b, X @ c), X, X @ (outer(b, c) + outer(c, b)), ()),
    ("(Bx + b)'C(Dx + d)", dot(B @ x + b, C @ (D @ x + d)), x, B.T @ C @ (D @ x + d) + D.T @ C.T @ (B @ x + b), ()),
    ("b'X'DXc", dot(X @ b, D @ X @ c), X, D.T @ X @ outer(b, c) + D @ X @ outer(c, b), ()),
    ("(Xb + c)'D(Xb + c)", dot(X @ b + c, D @ (X @ b + c)), X, outer((D + D.T) @ (X @ b + c), b), ()),
    ("x'Bx", dot(x, B @ x), x, (B + B.T) @ x, ()),
    ("(x - As)'C(x - As) in s", dot(res, C @ res), s, -2 * (A.T @ C @ res), AC),
    ("(x - As)'C(x - As) in x", dot(res, C @ res), x, 2 * (C @ res), AC),
    ("(x - As)'C(x - As) in A", dot(res, C @ res), A, -2 * outer(C @ res, s), AC),
    # norms and quotients
    ("|x - a|", sp.sqrt(square(x - a)), x, (x - a) / sp.sqrt(square(x - a)), ()),
    ("|Y|_F^2", tr(Y @ Y.T), Y, 2 * Y, ()),
    ("b'(x - a)/|x - a|", dot(b, x - a) / sp.sqrt(square(x - a)), x,
     b / sp.sqrt(square(x - a)) - dot(b, x - a) * (x - a) / square(x - a) ** sp.Rational(3, 2), ()),
    ("x'Cx / x'x", dot(x, C @ x) / square(x), x,
     2 * (C @ x - dot(x, C @ x) / square(x) * x) / square(x), AC),
    ("log a'x", sp.log(dot(a, x)), x, a / dot(a, x), ()),
]  # fmt: skip
NOT_ZERO = [row for row in ROWS if row[0] != "tr X^-1 X"]


@pytest.mark.parametrize(("name", "f", "variable", "hand", "facts"), ROWS, ids=[row[0] for row in ROWS])
def test_identity(name: str, f: Any, variable: M, hand: M, facts: tuple[Any, ...]):
    exact = gradient(f, variable.base)
    proof = prove_equal(exact, hand.array, facts=facts)
    assert proof is not None
    assert set(proof.facts) == set(facts)


@pytest.mark.parametrize(("name", "f", "variable", "hand", "facts"), NOT_ZERO, ids=[row[0] for row in NOT_ZERO])
def test_twice_the_gradient_is_refuted(name: str, f: Any, variable: M, hand: M, facts: tuple[Any, ...]):
    exact = gradient(f, variable.base)
    assert prove_equal(exact, (2 * hand).array, facts=facts) is None
    assert refute(exact, (2 * hand).array, facts=facts) is not None


def test_the_log_of_a_sum_of_exponentials():
    i, j, K = sp.symbols("i j K", integer=True)
    z = tensor("z", n)
    total = IndexSum(EXP(z[i]), i, n)
    exact = gradient(sp.log(total), z)
    assert prove_equal(exact, Array(EXP(z[K]) / total, (K,), (n,)))
    assert refute(exact, Array(EXP(z[K]), (K,), (n,)))
    assert j not in exact.body.free_symbols
