"""Index terms: nothing is captured, by renaming or by SymPy's own ways to replace."""

from __future__ import annotations

import pytest
import sympy as sp
from flint import arb
from support.index_floats import evaluate
from support.index_refutation import refute

from symgrad.indices.terms import EXP, RELU, Array, IndexSum, Inverse, Within, free_ranges, opaque, rename, tensor

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
