"""Index terms in print: as text, as LaTeX, and as plain SymPy of the same meaning."""

from __future__ import annotations

import pytest
import sympy as sp
from support.index_calculus import sigmoid
from support.index_floats import evaluate

from symgrad.indices.printing import latex, named, plain, text
from symgrad.indices.terms import EXP, RELU, Det, IndexSum, Inverse, Within, fresh, tensor

n, m, d = sp.symbols("n m d", integer=True, positive=True)


i, j, k, p, s, K, N = sp.symbols("i j k p s K N", integer=True)


x, w, A, U, X = tensor("x", n), tensor("w", n), tensor("A", n, n), tensor("U", m, d), tensor("X", n, n)


VALUES = {"x": [1.0, 2.0, 3.0], "w": [5.0, 7.0, 11.0], "A": [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 4.0]]}


def test_text():
    z = IndexSum(U[K, s] * tensor("x", d)[s], s, d)
    assert text(sigmoid(z)) == "1/(exp(-sum_s U[K,s]*x[s]) + 1)"
    assert text(2 * IndexSum((A[K, j] + A[j, K]) * x[j], j, n)) == "2*sum_j (A[K,j] + A[j,K])*x[j]"
    assert text(IndexSum(x[i], i, n) ** 2 / IndexSum(x[i] ** 2, i, n)) == "(sum_i x[i])**2/(sum_i x[i]**2)"
    assert text(w[K] - IndexSum(x[i], i, n)) == "-(sum_i x[i]) + w[K]"
    both = IndexSum(A[K, j] * x[j], j, n) - 2 * IndexSum(A[i, K] * x[i], i, n)
    assert text(both) in (
        "(sum_j A[K,j]*x[j]) - 2*sum_i A[i,K]*x[i]",
        "-2*(sum_i A[i,K]*x[i]) + sum_j A[K,j]*x[j]",
        "-(2*sum_i A[i,K]*x[i]) + sum_j A[K,j]*x[j]",
    )
    assert text(IndexSum(x[i + 1], i, n - 1)) == "sum_{i<n - 1} x[i + 1]"
    assert text(Inverse(X[i, j], i, j, n, N, K) * Det(X[i, j], i, j, n)) == "det(X)*inv(X)[N,K]"
    assert text(RELU(x[i]) * Within(i, j + 1) * sp.KroneckerDelta(i, K)) == "delta(K,i)*relu(x[i])*[0 <= i < j + 1]"


def test_names_of_bound_indices_are_readable_and_apart():
    inner = IndexSum(A[fresh("i"), K] * 0 + x[K] * IndexSum(x[i] * w[K], i, n), fresh("K"), n)
    assert text(inner).startswith("sum_{i<n} ")
    assert named(IndexSum(x[i], i, n)).index == i
    two = IndexSum(IndexSum(A[i, j], j, n) * IndexSum(A[j, i], j, n), i, n)
    assert text(two) == "sum_i (sum_j A[i,j])*sum_j A[j,i]"


def test_latex_counts_from_one():
    z = IndexSum(U[k, s] * tensor("x", d)[s], s, d)
    assert latex(z) == r"\sum_{s=1}^{d} U_{k,s} x_{s}"
    assert latex(IndexSum(x[i + 1] * i, i, n - 1)) == r"\sum_{i=1}^{n - 1} \left(i - 1\right) x_{i + 1}"
    assert latex(x[0], first=0) == "x_{0}"
    assert latex(x[0]) == "x_{1}"
    assert latex(Inverse(X[i, j], i, j, n, N, K)) == "X^{-1}_{N,K}"
    assert latex(sp.KroneckerDelta(i, K)) == r"\delta_{K i}"


def test_plain_sympy_means_the_same():
    body = IndexSum(EXP(x[i]) * i + RELU(x[i]) * Within(i, 2), i, n)
    for first in (0, 1):
        spelled = plain(body, first=first)
        assert spelled.has(sp.Sum, sp.exp, sp.Max, sp.Piecewise)
        assert not spelled.has(IndexSum, EXP)
        concrete = spelled.subs(n, 3).doit()
        value = concrete.subs({tensor("x", 3)[first + q]: v for q, v in enumerate(VALUES["x"])})
        assert float(value) == pytest.approx(evaluate(body, VALUES, {n: 3}))
