"""Exponentials of matrices of all sizes: the theorems about them that have a name, each beside a slip that differs.

The formula for the derivative in a corner of a larger exponential is Van Loan's (1978); integrals over the exponent and
what commutes with it are Higham's (Functions of Matrices, 2008, chapter 10).
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from flint import arb
from support.index_calculus import add, determinant, eye, inverse, matmul, scale, trace, transpose
from support.index_refutation import refute

from symgrad.indices.conversion import EFFORT, declare, make_store, read, write
from symgrad.indices.equality import prove_equal, replay
from symgrad.indices.evaluators import evaluate, evaluate_all
from symgrad.indices.terms import (
    EXP,
    Array,
    ExponentialSlope,
    IndexSum,
    LogDet,
    MatrixExponential,
    Symmetric,
    Within,
    fresh,
    tensor,
)

n = sp.Symbol("n", integer=True, positive=True)
s, t = sp.symbols("s t", real=True)


def matrix(name):
    axes = (fresh("i"), fresh("j"))
    return Array(tensor(name, n, n)[axes], axes, (n, n))


def exp(a):
    i, j = fresh("i"), fresh("j")
    return Array(MatrixExponential(a.body, *a.axes, a.shape[0], i, j), (i, j), a.shape)


def slope(a, along):
    """The derivative of exp at ``a`` along a matrix."""
    i, j, p, q = (fresh(x) for x in "ijpq")
    size = a.shape[0]
    body = ExponentialSlope(a.body, *a.axes, size, i, p, q, j) * along.at((p, q))
    return Array(IndexSum(IndexSum(body, p, size), q, size), (i, j), a.shape)


def in_a_corner(a, along, *, below=False):
    """The same, as the corner beside the diagonal of the exponential of [[a, along], [0, a]]."""
    i, j, p, q = (fresh(x) for x in "ijpq")
    one, other = (p, q) if not below else (q, p)
    first = Within(p, n) * Within(q, n) * a.at((p, q))
    last = Within(p - n, n) * Within(q - n, n) * a.at((p - n, q - n))
    beside = Within(one, n) * Within(other - n, n) * along.at((p, q - n) if not below else (p - n, q))
    at = (i, n + j) if not below else (n + i, j)
    return Array(MatrixExponential(first + last + beside, p, q, 2 * n, *at), (i, j), (n, n))


A, B, X, S = (matrix(name) for name in "ABXS")
minus, I = scale(-1, A), eye(n)  # noqa: E741
diagonal = Array(tensor("d", n)[A.axes[0]] * sp.KroneckerDelta(*A.axes), A.axes, (n, n))
with_d = Array(EXP(tensor("d", n)[A.axes[0]]) * sp.KroneckerDelta(*A.axes), A.axes, (n, n))
shifted = add(A, scale(s, I))

EQUAL = {
    "A exp(tA) = exp(tA) A": (matmul(A, exp(scale(t, A))), matmul(exp(scale(t, A)), A),
                              matmul(exp(scale(t, A)), transpose(A)), ()),
    "(A + B) exp(A + B)": (matmul(add(A, B), exp(add(A, B))), matmul(exp(add(A, B)), add(A, B)),
                           matmul(exp(add(A, B)), add(A, X)), ()),
    "exp(sA) exp(tA) = exp((s + t)A)": (matmul(exp(scale(s, A)), exp(scale(t, A))), exp(scale(s + t, A)),
                                        exp(scale(s * t, A)), ()),
    "A^2 exp(A) exp(-A)": (matmul(A, A, exp(A), exp(minus)), matmul(A, A), A, ()),
    "exp(A)^-1 = exp(-A)": (inverse(exp(A)), exp(minus), exp(transpose(minus)), ()),
    "exp(A') = exp(A)'": (exp(transpose(A)), transpose(exp(A)), exp(A), ()),
    "exp(S) is symmetric": (exp(S), transpose(exp(S)), exp(A), (Symmetric("S"),)),
    "exp(A + s) = e^s exp(A)": (exp(shifted), scale(EXP(s), exp(A)), scale(EXP(-s), exp(A)), ()),
    "exp of a diagonal": (exp(diagonal), with_d, diagonal, ()),
    "exp(0) = 1": (exp(scale(0, A)), I, A, ()),
    "in a corner": (in_a_corner(A, B), slope(A, B), slope(transpose(A), B), ()),
    "in the other corner": (in_a_corner(A, B, below=True), slope(A, B), slope(B, A), ()),
    "along 1": (slope(scale(t, A), I), exp(scale(t, A)), exp(A), ()),
    "along A": (slope(scale(t, A), A), matmul(A, exp(scale(t, A))), exp(scale(t, A)), ()),
    "along exp(A)": (slope(scale(2, A), exp(A)), exp(scale(3, A)), exp(scale(2, A)), ()),
    "along A + B at A + B": (slope(add(A, B), add(A, B)), matmul(exp(add(A, B)), add(A, B)), exp(add(A, B)), ()),
    "its adjoint": (transpose(slope(transpose(A), B)), slope(A, transpose(B)), slope(A, B), ()),
}  # fmt: skip


@pytest.mark.parametrize(("left", "right", "slip", "facts"), EQUAL.values(), ids=EQUAL)
def test_two_ways_to_write_an_exponential(left, right, slip, facts):
    proof = prove_equal(left, right, facts=facts)
    assert proof is not None
    assert replay(proof)
    assert prove_equal(left, slip, facts=facts) is None
    assert refute(left, slip, facts=facts) is not None


@pytest.mark.parametrize(("left", "slip"), [(e[0], e[2]) for e in EQUAL.values() if not e[3]],
                         ids=[k for k, e in EQUAL.items() if not e[3]])  # fmt: skip
@pytest.mark.parametrize("size", [1, 3])
def test_a_normal_form_has_the_value_of_what_was_written(left, slip, size):
    """No rule is asked to vouch for another: each body, before and after, is evaluated in balls."""
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(size, size)).tolist() for name in "ABXS"}
    values |= {"d": rng.normal(size=size).tolist(), "s": 0.375, "t": -1.25}
    for array in (left, slip):
        store = make_store(effort=EFFORT)
        declare(store, (array.body,), dict(zip(array.axes, array.shape, strict=True)))
        normal = Array(write(store, read(store, array.body)), array.axes, array.shape)
        before, after = (np.array(evaluate_all(a, values, {n: size}), dtype=object) for a in (array, normal))
        for p, q in zip(before.flat, after.flat, strict=True):
            assert arb(p).overlaps(arb(q))
            assert float(abs(arb(p) - arb(q)).rad()) < 1e-12


def test_what_does_not_commute_is_not_moved():
    assert prove_equal(exp(add(A, B)), matmul(exp(A), exp(B))) is None
    assert prove_equal(slope(A, B), matmul(B, exp(A))) is None
    assert prove_equal(matmul(B, exp(A)), matmul(exp(A), B)) is None
    assert prove_equal(matmul(transpose(A), exp(A)), matmul(exp(A), transpose(A))) is None


def test_the_trace_of_a_derivative_and_the_determinant_of_an_exponential():
    assert prove_equal(trace(slope(A, B)), trace(matmul(exp(A), B))) is not None
    assert prove_equal(trace(slope(A, B)), trace(matmul(exp(B), A))) is None
    assert prove_equal(determinant(exp(A)), EXP(trace(A))) is not None
    assert prove_equal(determinant(exp(A), LogDet), trace(A)) is not None
    assert prove_equal(determinant(exp(A), LogDet), trace(exp(A))) is None


def test_the_derivative_has_the_value_of_a_difference_quotient():
    rng = np.random.default_rng(1)
    a, h = rng.normal(size=(3, 3)), 2.0**-16
    i, p, q, j = (fresh(x) for x in "ipqj")
    body = ExponentialSlope(A.body, *A.axes, n, i, p, q, j)
    for place in ((0, 1, 2, 0), (2, 2, 0, 1), (1, 1, 1, 1)):
        at = {n: 3, **dict(zip((i, p, q, j), place, strict=True))}
        ends = []
        for move in (h, -h):
            moved = a.copy()
            moved[place[1], place[2]] += move
            entry = MatrixExponential(A.body, *A.axes, n, i, j)
            ends.append(evaluate(entry, {"A": moved.tolist()}, at))
        assert abs(float((ends[0] - ends[1]) / arb(2 * h)) - float(evaluate(body, {"A": a.tolist()}, at))) < 1e-8
