"""Equalities of matrices that no order of sums shows: products of square ones, inverses of sums, Cholesky factors.

Each is an identity of The Matrix Cookbook (Petersen and Pedersen, 2012, sections 3.2, 1.2 and 5.4) or of Golub and Van
Loan, for all sizes; beside it a slip that differs at a point.
"""

from __future__ import annotations

import pytest
import sympy as sp
from support.index_calculus import add, determinant, eye, inverse, matmul, scale, trace, transpose
from support.index_refutation import refute

from symgrad.indices.equality import prove_equal, replay
from symgrad.indices.terms import Array, Cholesky, Det, IndexSum, LogDet, Symmetric, Within, fresh, tensor

n, k, m = sp.symbols("n k m", integer=True, positive=True)


def matrix(name, *shape):
    axes = (fresh("i"), fresh("j"))
    return Array(tensor(name, *shape)[axes], axes, shape)


def sub(a, b):
    return add(a, scale(-1, b))


def cholesky(a):
    i, j = fresh("i"), fresh("j")
    return Array(Cholesky(a.body, *a.axes, a.shape[0], i, j), (i, j), a.shape)


def lower(a):
    """The entries on and below the diagonal."""
    i, j = a.axes
    return Array(a.body * Within(i - j, a.shape[0]), a.axes, a.shape)


def diagonal(a):
    return Array(a.body * sp.KroneckerDelta(*a.axes), a.axes, a.shape)


A, B, X = (matrix(name, n, n) for name in "ABX")
U, V, C = matrix("U", n, k), matrix("V", k, n), matrix("C", k, k)
V_T, S, W = transpose(V), matrix("S", n, n), matrix("W", m, n)
I_n, I_k = eye(n), eye(k)
gram = matmul(X, transpose(X))
L, L_inv = cholesky(gram), inverse(cholesky(gram))
inside = inverse(add(inverse(C), matmul(V, inverse(A), U)))
woodbury = matmul(inverse(A), U, inside, V, inverse(A))

EQUAL = {
    "(AXB)^-1": (inverse(matmul(A, X, B)), matmul(inverse(B), inverse(X), inverse(A)),
                 matmul(inverse(A), inverse(X), inverse(B)), ()),
    "Woodbury": (inverse(add(A, matmul(U, C, V))), sub(inverse(A), woodbury), add(inverse(A), woodbury), ()),
    "Woodbury and its transpose": (add(inverse(add(A, matmul(U, C, V))), transpose(inverse(add(A, matmul(U, C, V))))),
                                   add(sub(inverse(A), woodbury), transpose(sub(inverse(A), woodbury))),
                                   add(sub(inverse(A), woodbury), sub(inverse(A), transpose(woodbury))), ()),
    "push-through": (matmul(inverse(add(I_n, matmul(U, V))), U), matmul(U, inverse(add(I_k, matmul(V, U)))),
                     matmul(U, inverse(sub(I_k, matmul(V, U)))), ()),
    "(A^-1 + B^-1)^-1": (inverse(add(inverse(A), inverse(B))), matmul(A, inverse(add(A, B)), B),
                         matmul(A, inverse(add(A, B)), A), ()),
    "Kalman gain": (matmul(inverse(add(inverse(S), matmul(V_T, inverse(C), V))), V_T, inverse(C)),
                    matmul(S, V_T, inverse(add(matmul(V, S, V_T), C))),
                    matmul(S, V_T, inverse(sub(matmul(V, S, V_T), C))), (Symmetric("S"), Symmetric("C"))),
    "LL' = A": (matmul(L, transpose(L)), gram, matmul(transpose(L), L), ()),
    "L'^-1 L^-1 = A^-1": (matmul(transpose(L_inv), L_inv), inverse(gram), matmul(L_inv, transpose(L_inv)), ()),
    "the lower part of L' is its diagonal": (lower(transpose(L)), diagonal(L), L, ()),
}  # fmt: skip


@pytest.mark.parametrize(("left", "right", "slip", "facts"), EQUAL.values(), ids=EQUAL)
def test_two_ways_to_write_a_matrix(left, right, slip, facts):
    proof = prove_equal(left, right, facts=facts)
    assert proof is not None
    assert replay(proof)
    assert set(proof.facts) <= set(facts)
    assert prove_equal(left, slip, facts=facts) is None
    assert refute(left, slip, facts=facts) is not None


def test_determinants_of_products_of_square_matrices():
    product, factors = determinant(matmul(A, X, B)), determinant(A) * determinant(X) * determinant(B)
    assert prove_equal(product, factors) is not None
    assert prove_equal(product, factors * determinant(A)) is None
    logs = [determinant(a, LogDet) for a in (A, A, X)]
    assert prove_equal(determinant(matmul(A, X, A), LogDet), sp.Add(*logs)) is not None
    assert prove_equal(determinant(matmul(A, transpose(A)), Det), determinant(A) ** 2) is not None


def test_a_product_of_matrices_that_are_not_square_is_no_product_of_determinants():
    """det(W'W) is no square of a determinant of W, which has none."""
    assert prove_equal(determinant(matmul(transpose(W), W)), determinant(matmul(W, transpose(W)))) is None
    inner = matmul(inverse(matmul(transpose(W), W)), transpose(W), W)
    assert prove_equal(inner, I_n) is not None
    assert prove_equal(matmul(W, inverse(matmul(transpose(W), W)), transpose(W)), eye(m)) is None


def test_a_trace_under_a_cyclic_change_of_an_inverse_of_a_product():
    left, right = trace(inverse(matmul(A, B))), trace(inverse(matmul(B, A)))
    assert prove_equal(left, right) is not None
    assert prove_equal(left, trace(matmul(inverse(A), inverse(X)))) is None


def test_a_triangle_has_no_entry_above_its_diagonal():
    i, j = L.axes
    assert prove_equal(IndexSum(L.body * Within(j - i - 1, n), j, n), sp.S.Zero, sizes={i: n}) is not None
    assert prove_equal(IndexSum(L.body * Within(i - j - 1, n), j, n), sp.S.Zero, sizes={i: n}) is None
