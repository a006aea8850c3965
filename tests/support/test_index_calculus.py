"""Derivatives for all sizes: against autograd, and where SymPy's tensor layers are silently wrong."""

from __future__ import annotations

import itertools
import random

import pytest
import sympy as sp
import torch
from support.index_calculus import differentiate, gradient, matmul, normal_form, trace
from support.index_expressions import LEAVES, SHAPES, m, n, random_body, torch_value
from support.index_floats import evaluate

from symgrad.errors import BadFormula
from symgrad.indices.terms import EXP, Array, IndexSum, LogDet, Within, tensor

i, j, k, p, q, K, N = sp.symbols("i j k p q K N", integer=True)
x, w, A, X, B = tensor("x", n), tensor("w", n), tensor("A", n, n), tensor("X", n, n), tensor("B", n, n)
SIZES = {m: 3, n: 2}


@pytest.mark.parametrize("seed", range(120))
def test_derivatives_of_random_bodies_agree_with_autograd(seed: int):
    draw = random.Random(seed)
    body = random_body(draw)
    names = sorted({str(e.base.label) for e in sp.preorder_traversal(body) if isinstance(e, sp.Indexed)})
    if not names:
        body, names = body + IndexSum(LEAVES["x"][i], i, m), ["x"]
    name = draw.choice(names)
    torch.manual_seed(seed)
    values = {
        leaf: torch.rand(*(SIZES[s] for s in shape), dtype=torch.float64) - (0 if leaf == "p" else 0.5)
        for leaf, shape in SHAPES.items()
    }
    values[name].requires_grad_(True)
    value = torch_value(body, values, SIZES)
    truth = torch.autograd.grad(value, values[name], allow_unused=True)[0] if value.requires_grad else None
    truth = torch.zeros_like(values[name]) if truth is None else truth
    ours = gradient(body, LEAVES[name])
    exact = {leaf: v.detach().tolist() for leaf, v in values.items()}
    assert evaluate(body, exact, SIZES) == pytest.approx(float(value.detach()), rel=1e-9, abs=1e-9)
    for place in itertools.product(*(range(SIZES[s]) for s in SHAPES[name])):
        at = SIZES | dict(zip(ours.axes, place, strict=True))
        assert evaluate(ours.body, exact, at) == pytest.approx(float(truth[place]), rel=1e-8, abs=1e-9)


# what SymPy gets wrong without a word


def test_the_index_of_a_sum_is_not_the_index_of_the_entry():
    """SymPy: Sum(x[k]**2, (k, 1, n)).diff(x[k]) is Sum(2*x[k])."""
    assert differentiate(IndexSum(x[k] ** 2, k, n), x[k]) == 2 * x[k]


def test_the_log_of_a_determinant_has_a_derivative():
    """SymPy: log(Determinant(X)).diff(X) is 0."""
    derivative = differentiate(LogDet(X[i, j], i, j, n), X[K, N])
    values = {"X": [[2.0, 1.0], [0.5, 3.0]]}
    at = {n: 2, K: 0, N: 1}
    assert evaluate(derivative, values, at) == pytest.approx(-0.5 / 5.5)


def test_a_constant_beside_a_trace_does_not_kill_it():
    """SymPy: (Trace(E) + 1).diff(E) is 0."""
    whole = Array(X[i, j], (i, j), (n, n))
    assert differentiate(trace(whole) + 1, X[K, N]) == sp.KroneckerDelta(K, N)


def test_a_trace_does_not_capture_the_indices_of_the_entry():
    """SymPy: Trace(A*X).diff(X[i, j]) sums over the i that was asked for."""
    product = matmul(Array(A[i, j], (i, j), (n, n)), Array(X[i, j], (i, j), (n, n)))
    for at in ((i, j), (j, i), (K, N)):
        assert differentiate(trace(product), X[at]) == A[at[::-1]]


def test_a_power_of_a_matrix_is_no_power_of_entries():
    """SymPy: Trace(X**q).diff(X) is an elementwise power."""
    whole = Array(X[i, j], (i, j), (n, n))
    derivative = differentiate(trace(matmul(whole, whole, whole)), X[K, N])
    assert normal_form(derivative - 3 * matmul(whole, whole).at((N, K))) == 0


def test_the_normaliser_of_a_softmax_has_a_derivative():
    """SymPy drops the second term of the derivative of exp(v) / Sum(exp(v))."""
    soft = EXP(x[i]) / IndexSum(EXP(x[j]), j, n)
    value = evaluate(differentiate(soft, x[K]), {"x": [0.0, 0.0]}, {n: 2, i: 0, K: 1})
    assert value == pytest.approx(-0.25)


def test_an_entry_that_no_index_of_the_sum_reaches():
    """SymPy differentiates Sum(x[k], (k, 1, n)) by x[n + 1] to 1 for some spellings."""
    derivative = differentiate(IndexSum(x[k], k, n - 1), x[K])
    assert derivative == Within(K, n - 1)
    assert [evaluate(derivative, {}, {n: 3, K: at}) for at in range(3)] == [1, 1, 0]


def test_deltas_of_both_indices_meet():
    f = IndexSum(IndexSum(A[i, j] * A[j, i], i, n), j, n)
    assert normal_form(differentiate(f, A[K, N]) - 2 * A[N, K]) == 0
    diagonal = IndexSum(A[i, i], i, n)
    assert differentiate(diagonal, A[K, N]) == sp.KroneckerDelta(K, N)


def test_shifted_indices_stay_within_their_ranges():
    """A convolution: y[i] = sum_j f[j]*x[i + j], for i < n - 2."""
    f = tensor("f", 3)
    loss = IndexSum(IndexSum(f[j] * x[i + j], j, 3) ** 2, i, n - 2)
    xs, fs = [1.0, -2.0, 3.0, 0.5, 4.0], [1.0, 2.0, -1.0]
    t = torch.tensor(xs, dtype=torch.float64, requires_grad=True)
    windows = t.unfold(0, 3, 1) @ torch.tensor(fs, dtype=torch.float64)
    (truth,) = torch.autograd.grad((windows**2).sum(), t)
    ours = gradient(loss, x)
    found = [evaluate(ours.body, {"x": xs, "f": fs}, {n: 5, ours.axes[0]: at}) for at in range(5)]
    assert found == pytest.approx(truth.tolist())


def test_an_index_that_cannot_be_solved_for_is_refused():
    with pytest.raises(BadFormula, match=r"the index 2\*i"):
        differentiate(IndexSum(x[2 * i], i, n), x[K])


def test_a_scalar_input():
    t = sp.Symbol("t", real=True)
    assert differentiate(IndexSum(EXP(t * x[i]), i, n), t) == IndexSum(EXP(t * x[i]) * x[i], i, n)
    assert differentiate(IndexSum(x[i], i, n), t) == 0


def test_sympy_is_not_asked_to_differentiate_a_sum():
    with pytest.raises(TypeError, match="cannot differentiate under a binder"):
        sp.diff(IndexSum(x[i] * sp.Symbol("t"), i, n), sp.Symbol("t"))
