"""Index terms: nothing is captured, by renaming or by SymPy's own ways to replace; printing; bodies at a point."""

from __future__ import annotations

import pytest
import sympy as sp
from flint import arb
from index_refutation import refute

from symgrad.errors import BadFormula
from symgrad.indices.evaluators import BALLS, evaluate, evaluate_all
from symgrad.indices.printing import latex, named, plain, text
from symgrad.indices.terms import (
    EXP,
    RELU,
    Array,
    Det,
    IndexSum,
    Inverse,
    LogDet,
    Within,
    add,
    eye,
    free_ranges,
    fresh,
    inverse,
    matmul,
    opaque,
    rename,
    sigmoid,
    tensor,
    trace,
    transpose,
)

n, m, d = sp.symbols("n m d", integer=True, positive=True)
i, j, k, p, s, K, N = sp.symbols("i j k p s K N", integer=True)
x, w, A, U, X = tensor("x", n), tensor("w", n), tensor("A", n, n), tensor("U", m, d), tensor("X", n, n)
VALUES = {"x": [1.0, 2.0, 3.0], "w": [5.0, 7.0, 11.0], "A": [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 4.0]]}


@pytest.mark.parametrize(
    "replace",
    [lambda e: rename(e, {p: i}), lambda e: e.subs(p, i), lambda e: e.xreplace({p: i})],
    ids=["rename", "subs", "xreplace"],
)
def test_a_bound_index_steps_aside(replace):
    body = replace(IndexSum(x[i] * w[p], i, n))
    assert evaluate(body, VALUES, {n: 3, i: 1}) == 6 * 7  # SymPy's Sum would give sum_i x[i]*w[i]


def test_a_bound_index_is_not_replaced():
    body = IndexSum(x[i] ** 2, i, n)
    assert rename(body, {i: p}) == body == body.subs(i, p) == body.xreplace({i: p})
    assert body.free_symbols & {i} == set()


def test_renaming_is_simultaneous_and_reaches_sizes():
    assert rename(A[i, j], {i: j, j: i}) == A[j, i]
    body = rename(IndexSum(x[i], i, n), {n: m})
    assert body.size == m
    assert m in body.free_symbols
    assert n not in body.free_symbols


def test_an_index_may_stand_inside_and_outside_one_inverse():
    """The entry (c, r) of the inverse of X[r, c]: the same symbols, bound and free."""
    entry = Inverse(X[i, j], i, j, n, j, i)
    assert entry.free_symbols & {i, j} == {i, j}
    moved = rename(entry, {i: K, j: N})
    assert moved.entry == (N, K)
    assert moved.body == X[i, j]
    assert rename(entry, {i: j, j: i}).entry == (i, j)


def test_within():
    assert Within(sp.Integer(2), sp.Integer(3)) == 1
    assert Within(sp.Integer(3), sp.Integer(3)) == 0
    assert Within(sp.Integer(-1), n) == 0
    assert Within(K, n).free_symbols == {K, n}


def test_an_array_is_its_entries():
    a = Array(A[i, j] * x[i], (i, j), (n, n))
    assert a.at((j, i)) == A[j, i] * x[j]
    assert a.at((n - 1, 0)) == A[n - 1, 0] * x[n - 1]


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
    value = evaluate(Det(X[i, j], i, j, n), {"X": hilbert}, {n: 8}, BALLS)
    assert abs(float(value) / 2.73705011379151e-33 - 1) < 1e-3
    product = matmul(Array(X[i, j], (i, j), (n, n)), inverse(Array(X[i, j], (i, j), (n, n))))
    shifted = [[v + (r == c) for c, v in enumerate(row)] for r, row in enumerate(hilbert)]
    entries = evaluate_all(product, {"X": shifted}, {n: 8}, BALLS)
    assert all(v.contains(int(r == c)) for r, row in enumerate(entries) for c, v in enumerate(row))
    assert evaluate(Det(X[i, j], i, j, n), {"X": [[1.0] * 5] * 5}, {n: 5}) == 0
    singular = [[arb(1) / 3] * 5] * 5
    assert not evaluate(Det(X[i, j], i, j, n), {"X": singular}, {n: 5}, BALLS).is_finite()


def test_values_in_balls_are_rigorous():
    value = evaluate(IndexSum(EXP(x[i]), i, n), {"x": [arb(1), arb(2)]}, {n: 2}, BALLS)
    assert value.contains(arb(1).exp() + arb(2).exp())


def test_an_entry_outside_its_axis_has_no_value_unless_it_is_switched_off():
    with pytest.raises(IndexError, match="stands outside its axis where i - 1 is -1"):
        evaluate(IndexSum(x[i - 1], i, n), VALUES, {n: 3})  # a Python list would wrap around
    assert evaluate(IndexSum(Within(i - 1, n) * x[i - 1], i, n), VALUES, {n: 3}) == 3
    assert evaluate(IndexSum(sp.KroneckerDelta(i - 1, j) * x[i - 1], i, n), VALUES, {n: 3, j: 0}) == 1


def test_what_a_ring_does_not_have_is_refused():
    with pytest.raises(BadFormula, match="zeta"):
        evaluate(sp.zeta(x[i]), VALUES, {n: 3, i: 0})


def test_ranges_come_from_axes_and_not_from_what_may_be_switched_off():
    assert free_ranges([x[K] + U[i, j], IndexSum(w[s], s, n)]) == {K: {n}, i: {m}, j: {d}}
    assert free_ranges([Within(K, n) * x[K]]) == {}
    assert free_ranges([x[K] * tensor("v", m)[K]]) == {K: {n, m}}
    assert free_ranges([Inverse(X[i, j], i, j, n, K, N)]) == {K: {n}, N: {n}}


def test_a_witness_has_the_smallest_sizes_and_exact_values():
    wrong = refute(IndexSum(x[i], i, n) ** 2, IndexSum(x[i] ** 2, i, n))
    assert wrong is not None
    assert wrong.sizes == {n: 2}
    one, two = wrong.values["x"]
    assert wrong.difference.contains(arb(2 * one * two))
    assert not wrong.difference.contains(0)
    assert refute(IndexSum(x[i], i, n), IndexSum(x[j], j, n)) is None


def test_sympy_functions_become_opaque_heads():
    assert opaque(sp.exp(-sp.Symbol("z", real=True))).has(EXP)
    assert opaque(sp.Max(x[i], 0)).has(RELU)
    for shape in (sp.Max(x[i], w[i], 2), sp.Min(x[i], w[i], 2), sp.exp(x[i]) + sp.E, sp.Heaviside(x[i])):
        at = {n: 3, i: 2}
        assert evaluate(opaque(shape), VALUES, at) == pytest.approx(float(shape.subs({x[i]: 3, w[i]: 11})))


# printing


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
