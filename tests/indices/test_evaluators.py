"""Index terms at a point: in balls, and as the floats nearest to them."""

from __future__ import annotations

import pytest
import sympy as sp
from flint import arb
from support.index_calculus import add, eye, inverse, matmul, trace, transpose
from support.index_floats import evaluate, evaluate_all

from symgrad.errors import BadFormula
from symgrad.indices import evaluators
from symgrad.indices.terms import EXP, Array, Det, IndexSum, LogDet, Within, tensor

n, m, d = sp.symbols("n m d", integer=True, positive=True)


i, j, k, p, s, K, N = sp.symbols("i j k p s K N", integer=True)


x, w, A, U, X = tensor("x", n), tensor("w", n), tensor("A", n, n), tensor("U", m, d), tensor("X", n, n)


VALUES = {"x": [1.0, 2.0, 3.0], "w": [5.0, 7.0, 11.0], "A": [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 4.0]]}


def test_sums_and_matrices_have_values():
    whole = Array(A[i, j], (i, j), (n, n))
    at = {n: 3}
    assert evaluate(trace(whole), VALUES, at) == 9
    assert evaluate(Det(A[i, j], i, j, n), VALUES, at) == 25
    product = matmul(whole, inverse(whole))
    for row, unit in zip(evaluate_all(product, VALUES, at), ([1, 0, 0], [0, 1, 0], [0, 0, 1]), strict=True):
        assert row == pytest.approx(unit)
    both = add(whole, transpose(whole), eye(n))
    assert evaluate_all(both, VALUES, at)[0] == [5, 1, 1]
    assert evaluate(LogDet(A[i, j], i, j, n), VALUES, at) == pytest.approx(3.2188758248682006)


def test_larger_matrices_are_eliminated():
    """Hilbert matrices: their determinants are known, and tiny."""
    hilbert = [[arb(1) / (r + c + 1) for c in range(8)] for r in range(8)]
    value = evaluators.evaluate(Det(X[i, j], i, j, n), {"X": hilbert}, {n: 8})
    assert abs(float(value) / 2.73705011379151e-33 - 1) < 1e-3
    product = matmul(Array(X[i, j], (i, j), (n, n)), inverse(Array(X[i, j], (i, j), (n, n))))
    shifted = [[v + (r == c) for c, v in enumerate(row)] for r, row in enumerate(hilbert)]
    entries = evaluators.evaluate_all(product, {"X": shifted}, {n: 8})
    assert all(v.contains(int(r == c)) for r, row in enumerate(entries) for c, v in enumerate(row))
    assert evaluate(Det(X[i, j], i, j, n), {"X": [[1.0] * 5] * 5}, {n: 5}) == 0
    singular = [[arb(1) / 3] * 5] * 5
    assert not evaluators.evaluate(Det(X[i, j], i, j, n), {"X": singular}, {n: 5}).is_finite()


def test_values_in_balls_are_rigorous():
    value = evaluators.evaluate(IndexSum(EXP(x[i]), i, n), {"x": [arb(1), arb(2)]}, {n: 2})
    assert value.contains(arb(1).exp() + arb(2).exp())


def test_an_entry_outside_its_axis_has_no_value_unless_it_is_switched_off():
    with pytest.raises(IndexError, match="stands outside its axis where i - 1 is -1"):
        evaluate(IndexSum(x[i - 1], i, n), VALUES, {n: 3})  # a Python list would wrap around
    assert evaluate(IndexSum(Within(i - 1, n) * x[i - 1], i, n), VALUES, {n: 3}) == 3
    assert evaluate(IndexSum(sp.KroneckerDelta(i - 1, j) * x[i - 1], i, n), VALUES, {n: 3, j: 0}) == 1


def test_what_balls_do_not_have_is_refused():
    with pytest.raises(BadFormula, match="dirichlet_eta"):
        evaluate(sp.dirichlet_eta(x[i]), VALUES, {n: 3, i: 0})
