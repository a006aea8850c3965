"""Proofs for all sizes: what they say, what they need, what is not proved; every link holds by itself."""

from __future__ import annotations

import dataclasses
import random

import pytest
import sympy as sp
from flint import arb
from support.index_calculus import add, determinant, inverse, matmul, normal_form, scale, sigmoid, trace
from support.index_expressions import SHAPES, m, mutated, n, random_body, rewritten
from support.index_floats import evaluate
from support.index_models import CASES, Case
from support.index_refutation import refute

from symgrad.errors import BadFormula, WrongShape
from symgrad.indices import evaluators
from symgrad.indices.equality import prove_equal, replay
from symgrad.indices.terms import (
    EXP,
    RELU,
    STEP,
    Array,
    Det,
    IndexSum,
    Inverse,
    LogDet,
    Positive,
    SumsTo,
    Symmetric,
    Within,
    tensor,
)

i, j, k, s, K, N = sp.symbols("i j k s K N", integer=True)
x, w, A, B, X = tensor("x", n), tensor("w", n), tensor("A", n, n), tensor("B", n, n), tensor("X", n, n)
a, b = sp.symbols("a b", real=True)
SIZES = {m: 3, n: 2}


def S(body, *ranges):
    for index, size in ranges:
        body = IndexSum(body, index, size)
    return body


def values_of(seed: int) -> dict[str, object]:
    draw = random.Random(seed)
    number = lambda name: draw.uniform(0.1, 1) if name == "p" else draw.uniform(-1, 1)  # noqa: E731
    shapes = {name: [SIZES[size] for size in shape] for name, shape in SHAPES.items()}
    return {
        name: [number(name) for _ in range(shape[0])]
        if len(shape) == 1
        else [[number(name) for _ in range(shape[1])] for _ in range(shape[0])]
        for name, shape in shapes.items()
    }


# equal expressions that the rules know

EQUAL = {
    "order of sums": (S(A[i, j] * x[j], (i, n), (j, n)), S(x[s] * S(A[k, s], (k, n)), (s, n))),
    "a square of a sum": (S(x[i], (i, n)) ** 2, S(x[i] * x[j], (i, n), (j, n))),
    "a constant summed": (S(w[K] + 1, (i, n)), n * w[K] + n),
    "a delta": (S(sp.KroneckerDelta(i, K) * x[i], (i, n)), x[K]),
    "two deltas": (S(sp.KroneckerDelta(i, K) * sp.KroneckerDelta(i, N) * x[i], (i, n)), sp.KroneckerDelta(K, N) * x[N]),
    "a shifted delta": (S(sp.KroneckerDelta(i + 1, K) * x[i], (i, n - 1)), Within(K - 1, n - 1) * x[K - 1]),
    "the other triangle": (S(Within(i, j + 1) * x[i], (i, n), (j, n)), S((n - i) * x[i], (i, n))),
    "a triangle without its diagonal": (Within(K, N + 1) * w[K] - sp.KroneckerDelta(K, N) * w[N], Within(K, N) * w[K]),
    "exponentials": (EXP(x[K] + x[N]) / EXP(x[N]), EXP(x[K])),
    "sigmoid": (sigmoid(x[K]) * (1 - sigmoid(x[K])), EXP(x[K]) / (1 + EXP(x[K])) ** 2),
    "tanh by sigmoid": (sp.tanh(x[K]), 2 * sigmoid(2 * x[K]) - 1),
    "two denominators": (sigmoid(x[K]) * sp.tanh(x[K]), (1 - EXP(-2 * x[K])) / (1 + EXP(-2 * x[K])) / (1 + EXP(-x[K]))),
    "two denominators in a sum": (
        S(sigmoid(x[i]) * sp.tanh(x[i]), (i, n)),
        S((EXP(x[i]) - EXP(-x[i])) / (EXP(x[i]) + EXP(-x[i])) / (1 + EXP(-x[i])), (i, n)),
    ),
    "a square in a denominator": (1 / (1 + 2 * x[K] + x[K] ** 2), (1 + x[K]) ** -2),
    "a product in a denominator": (1 / (x[K] ** 2 - w[N] ** 2), 1 / (x[K] - w[N]) / (x[K] + w[N])),
    "terms that differ in names alone": (x[K] / (x[K] + x[N]) + x[N] / (x[N] + x[K]), sp.S.One),
    "pairs": (
        S(sigmoid(x[i] - x[j]) * (1 - sigmoid(x[i] - x[j])) * w[i], (i, n), (j, n)),
        S(EXP(x[i]) * EXP(x[j]) / (EXP(x[i]) + EXP(x[j])) ** 2 * w[j], (i, n), (j, n)),
    ),
    "pairs that sum to one": (
        S((x[i] * w[j] ** 3 + x[j] * w[j] ** 3) / (x[j] + x[i]), (i, n), (j, n)),
        n * S(w[i] ** 3, (i, n)),
    ),
    "two triangles": (
        S(Within(j, i + 1) * x[i] * w[j], (i, n), (j, n)) + S(Within(i, j) * x[i] * w[j], (i, n), (j, n)),
        S(x[i], (i, n)) * S(w[i], (i, n)),
    ),
    "two triangles of one vector": (
        2 * S(Within(j, i) * x[i] * x[j], (i, n), (j, n)),
        S(x[i], (i, n)) ** 2 - S(x[i] ** 2, (i, n)),
    ),
    "minus itself": (S((x[i] - x[j]) ** 3 * w[i] * w[j], (i, n), (j, n)), sp.S.Zero),
    "softmax sums to one": (S(EXP(x[i]) / S(EXP(x[j]), (j, n)), (i, n)), sp.S.One),
    "an absolute value": (sp.sqrt(x[K] ** 2), sp.Abs(x[K])),
    "the square of an absolute value": (sp.Abs(x[K] * w[K]) ** 2, x[K] ** 2 * w[K] ** 2),
    "relu": (RELU(3 * x[K]), 3 * STEP(x[K]) * x[K]),
    "relu by absolute value": (RELU(x[K]), (x[K] + sp.Abs(x[K])) / 2),
    "the greater": (sp.Max(x[K], w[K]) + sp.Min(x[K], w[K]), x[K] + w[K]),
    "sine and cosine": (sp.sin(x[K]) ** 2 + sp.cos(-x[K]) ** 2, sp.S.One),
    "the log of a softmax": (sp.log(EXP(x[K]) / S(EXP(x[j]), (j, n))), x[K] - sp.log(S(EXP(x[i]), (i, n)))),
    "roots of numbers": (sp.sqrt(8 * n) / sp.sqrt(2 * n), sp.Integer(2)),
    "the inverse": (S(Inverse(X[i, j], i, j, n, K, s) * X[s, N], (s, n)), sp.KroneckerDelta(K, N)),
    "the inverse from the other side": (S(X[K, s] * Inverse(X[i, j], i, j, n, s, N), (s, n)), sp.KroneckerDelta(K, N)),
    "the inverse of a transpose": (Inverse(X[j, i], i, j, n, K, N), Inverse(X[i, j], i, j, n, N, K)),
    "the inverse of a multiple": (Inverse(3 * X[i, j], i, j, n, K, N), Inverse(X[i, j], i, j, n, K, N) / 3),
    "the inverse of a diagonal": (
        Inverse(sp.KroneckerDelta(i, j) * x[i], i, j, n, K, N),
        sp.KroneckerDelta(K, N) / x[K],
    ),
    "the determinant of zeros": (Det(A[i, j] - A[i, j], i, j, n), sp.S.Zero),
    "logdet of the opposite": (LogDet(-X[i, j], i, j, n), LogDet(X[i, j], i, j, n)),
    "the inverse of the opposite": (Inverse(-X[i, j], i, j, n, K, N), -Inverse(X[i, j], i, j, n, K, N)),
    "all but the first": (S(sp.Piecewise((x[i], i >= 1), (0, True)), (i, n)), S(x[i], (i, n)) - x[0]),
    "the root of a cube": ((w[K] ** 3) ** sp.Rational(1, 3), w[K]),
    "Heaviside": (sp.Heaviside(2 * x[K]), STEP(x[K])),
    "logdet of a multiple": (LogDet(3 * X[i, j], i, j, n), n * sp.log(3) + LogDet(X[i, j], i, j, n)),
    "the log of a determinant": (sp.log(Det(X[i, j], i, j, n)), LogDet(X[j, i], i, j, n)),
    "indices as numbers": (S(i * x[i] + x[i], (i, n)), S((j + 1) * x[j], (j, n))),
    "one name, two ranges": (
        S(x[i], (i, n)) + S(tensor("u", m)[i], (i, m)),
        S(x[j], (j, n)) + S(tensor("u", m)[k], (k, m)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_equal(name: str):
    left, right = EQUAL[name]
    assert prove_equal(left, right) is not None
    assert refute(left, right, points=1) is None
    assert prove_equal(left, right + x[K]) is None


# what is false, or true on a part of the domain only, is not proved

FALSE = {
    "log of a product": (sp.log(x[K] * w[K]), sp.log(-x[K]) + sp.log(-w[K]) + sp.S.Zero * x[K]),
    "the root of a square": (sp.sqrt(x[K] ** 2), x[K]),
    "the log of a square": (sp.log(x[K] ** 2) / 2, sp.log(x[K] + 1)),
    "a free delta": (S(sp.KroneckerDelta(i, K) * w[i], (i, n - 1)), w[K]),
    "the sum of a product": (S(x[i] * w[i], (i, n)), S(x[i], (i, n)) * S(w[i], (i, n))),
    "transposed": (S(A[i, j] * x[j], (j, n), (i, n)), S(A[i, j] * x[i], (j, n), (i, n))),
    "the inverse of a sum": (
        Inverse(A[i, j] + B[i, j], i, j, n, K, N),
        Inverse(A[i, j], i, j, n, K, N) + Inverse(B[i, j], i, j, n, K, N),
    ),
    "matrices do not commute": (
        S(A[i, j] * B[j, k] * A[k, s] * B[s, i], (i, n), (j, n), (k, n), (s, n)),
        S(A[i, j] * A[j, k] * B[k, s] * B[s, i], (i, n), (j, n), (k, n), (s, n)),
    ),
    "a graph that looks alike": (  # two triangles, and one ring of six
        S(A[i, j] * A[j, k] * A[k, i], (i, n), (j, n), (k, n)) ** 2,
        S(matmul(*[Array(A[i, j], (i, j), (n, n))] * 6).at((s, s)), (s, n)),
    ),
    "relu of minus": (RELU(-x[K]), -RELU(x[K])),
    "n and m": (S(1, (i, n)), S(1, (i, m))),
}  # fmt: skip


@pytest.mark.parametrize("name", FALSE)
def test_false(name: str):
    left, right = FALSE[name]
    assert prove_equal(left, right) is None
    assert normal_form(left) != normal_form(right)


def test_log_of_a_product_needs_positive_factors():
    """log(ab) = log a + log b where log a and log b are defined; log(ab) = log(-a) + log(-b) elsewhere."""
    assert prove_equal(sp.log(a * b), sp.log(-a) + sp.log(-b)) is None
    proof = prove_equal(sp.log(a * b), sp.log(a) + sp.log(b))
    assert proof is not None
    assert {str(c) for c in proof.conditions} >= {"a is positive", "b is positive"}
    squares = sp.log(a**2)
    assert prove_equal(squares, 2 * sp.log(a)) is not None  # where log a is defined
    assert prove_equal(squares, 2 * sp.log(sp.Abs(a))) is not None
    assert "log" not in str(prove_equal(sp.log(a * b) - sp.log(a * b), 0 * a).rules)


def test_one_entry_under_a_logarithm_says_nothing_about_the_others():
    total = S(sp.sqrt(x[i] ** 2), (i, n))
    assert prove_equal(total + sp.log(x[K]), S(x[i], (i, n)) + sp.log(x[K])) is None
    assert prove_equal(total + S(sp.log(x[i]), (i, n)), S(x[i], (i, n)) + S(sp.log(x[j]), (j, n))) is not None


def test_a_branch_not_taken_says_nothing():
    guarded = sp.Piecewise((sp.log(a), a > 0), (0, True))
    assert prove_equal(guarded + sp.sqrt(a**2), guarded + a) is None


@pytest.mark.parametrize("seed", range(60))
def test_what_is_written_in_another_way_is_proved_link_by_link(seed: int):
    draw = random.Random(seed)
    body = random_body(draw)
    other = rewritten(rewritten(body, draw), draw)
    proof = prove_equal(body, other)
    assert proof is not None
    for link in proof.links:
        open_indices = [v for v in (link.before - link.after).free_symbols if v.is_integer and not v.is_positive]
        at = SIZES | {v: draw.randrange(2) for v in open_indices if isinstance(v, sp.Symbol)}
        try:
            left, right = (evaluate(e, values_of(seed), at) for e in (link.before, link.after))
        except IndexError:  # an entry outside its axis
            continue
        assert left == pytest.approx(right, rel=1e-6, abs=1e-7), str(link)


@pytest.mark.parametrize("seed", range(60))
def test_no_slip_is_proved(seed: int):
    draw = random.Random(1000 + seed)
    body = random_body(draw)
    slip = mutated(body, draw)
    values = values_of(seed)
    try:
        same = evaluate(body, values, SIZES) == pytest.approx(evaluate(slip, values, SIZES), rel=1e-7, abs=1e-9)
        proof = prove_equal(body, slip)
    except (BadFormula, ValueError, ZeroDivisionError, OverflowError, TypeError):
        return  # the slip has no value
    assert same or proof is None


# proofs as data


def test_a_proof_names_its_rules_conditions_and_facts():
    soft = lambda q: EXP(x[q]) / S(EXP(x[j]), (j, n))  # noqa: E731
    left = -S(w[i] * (sp.KroneckerDelta(i, K) - soft(K)), (i, n)) / a
    proof = prove_equal(left, (soft(K) - w[K]) / a, facts=(Symmetric("A"), SumsTo("w"), Positive("x")))
    assert proof is not None
    assert proof.facts == (SumsTo("w"),)
    assert [str(c) for c in proof.conditions] == ["a is not zero"]
    assert {"a sum of which one term is left", "a property that was assumed"} <= set(proof.rules)
    assert str(proof).splitlines()[-3:] == ["where", "  the entries of w sum to one", "  a is not zero"]


@pytest.mark.parametrize("case", CASES[::6], ids=str)
def test_every_link_of_a_proof_holds(case: Case):
    proof = prove_equal(case.exact, case.hand, facts=case.facts)
    assert proof is not None
    for link in proof.links:
        assert refute(link.before, link.after, facts=case.facts, points=1, largest=2) is None, str(link)


def test_sentences_of_facts():
    facts = (SumsTo("y"), SumsTo("Y", 0, 1, 2), SumsTo("Y", 1, sp.Rational(1, 2), 2), SumsTo("T", 2, 1, 3))
    assert [str(f) for f in (*facts, Symmetric("A"), Positive("sigma"))] == [
        "the entries of y sum to one",
        "the columns of Y sum to one",
        "the rows of Y sum to 1/2",
        "T sums to one along axis 2",
        "A is symmetric",
        "sigma is positive",
    ]


def test_a_fact_about_an_axis_is_not_used_on_a_part_of_it():
    assert prove_equal(S(w[i], (i, n - 1)), sp.S.One, facts=(SumsTo("w"),)) is None
    assert prove_equal(S(w[i] * x[i], (i, n)), S(x[i], (i, n)), facts=(SumsTo("w"),)) is None
    assert prove_equal(S(A[i, i], (i, n)), sp.S.One, facts=(SumsTo("A", 0, 1, 2),)) is None


def test_arrays_are_compared_entry_by_entry():
    left = Array(A[i, j] + A[j, i], (i, j), (n, n))
    right = Array(A[s, k] + A[k, s], (k, s), (n, n))
    assert prove_equal(left, right) is not None
    assert prove_equal(left, Array(2 * A[i, j], (i, j), (n, n))) is None
    unit = matmul(inverse(Array(A[i, j], (i, j), (n, n))), Array(A[i, j], (i, j), (n, n)))
    assert prove_equal(unit, Array(sp.KroneckerDelta(i, j), (i, j), (n, n))) is not None
    with pytest.raises(WrongShape, match=r"\(n, n\) and \(m, n\) differ"):
        prove_equal(left, Array(tensor("C", m, n)[i, j], (i, j), (m, n)))
    with pytest.raises(WrongShape, match="with an Array only"):
        prove_equal(left, A[i, j])


def test_the_range_of_a_free_index_matters():
    """sum_i delta(i, K) x[i] is x[K] for K in the axis, and 0 past it."""
    left = S(sp.KroneckerDelta(i, K), (i, n))
    assert prove_equal(left, sp.S.One) is None
    assert prove_equal(left, sp.S.One, sizes={K: n}) is not None
    assert prove_equal(left, sp.S.One, sizes={K: n + 1}) is None


def test_work_is_bounded():
    long = S(x[i], (i, n)) + 1
    assert prove_equal((long + w[K]) ** 12, (long + w[K]) ** 11 * (long + w[K]), effort=50) is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (sp.Sum(x[i], (i, 0, n - 1)), "has no reading in index notation"),
        (sp.Function("f")(x[K]), "has no reading in index notation"),
        (x[K] + sp.I, "has no reading in index notation"),
        (sp.Derivative(sp.Function("f")(a), a), "has no reading in index notation"),
        (x[K] + tensor("x", m)[K], "x is used with two shapes or kinds"),
        (Inverse(A[i, j] - A[i, j], i, j, n, K, N), "a matrix of zeros is not invertible"),
        (sp.Piecewise((x[K], a > 0)), "has no value where none of its conditions holds"),
    ],
)
def test_what_is_not_index_notation_is_refused(bad, message):
    with pytest.raises(BadFormula, match=message):
        normal_form(bad)


# traps


def test_a_free_index_does_not_take_the_range_of_a_bound_one_of_its_name():
    left = S(x[i], (i, n)) + S(sp.KroneckerDelta(j, i), (j, n))
    assert prove_equal(left, S(x[i], (i, n)) + 1) is None
    assert prove_equal(left, S(x[s], (s, n)) + 1, sizes={i: n}) is not None


def test_half_a_size_may_be_no_index():
    assert prove_equal(S(sp.KroneckerDelta(2 * i, n) * x[i], (i, n)), x[n / 2]) is None
    assert prove_equal(S(sp.KroneckerDelta(i, n / 2), (i, n)), sp.S.One) is None


def test_a_sum_may_be_empty():
    """sum_{i < n-1} exp(x[i]) is 0 for n = 1, so its step is not 1 for all sizes."""
    total = S(EXP(x[i]), (i, n - 1))
    assert prove_equal(STEP(total), sp.S.One) is None
    assert prove_equal(STEP(total + 1), sp.S.One) is not None


def test_an_inverse_inside_a_longer_chain():
    word = [Array(M_[i, j], (i, j), (n, n)) for M_ in (A, X)]
    chain = matmul(word[0], word[1], inverse(word[1]), word[0])
    assert prove_equal(chain, matmul(word[0], word[0])) is not None
    assert prove_equal(matmul(word[1], word[0], inverse(word[1])), word[0]) is None


@pytest.mark.parametrize("seed", range(40))
def test_random_chains_of_matrices_keep_their_value(seed: int):
    draw = random.Random(seed)
    leaves = {name: tensor(name, n, n) for name in "ABX"}

    def word(depth: int) -> Array:
        kind = draw.random()
        if depth == 0 or kind < 0.25:
            return Array(leaves[draw.choice("ABX")][i, j], draw.choice(((i, j), (j, i))), (n, n))
        if kind < 0.65:
            return matmul(word(depth - 1), word(depth - 1))
        if kind < 0.8:
            return inverse(word(depth - 1))
        return add(word(depth - 1), scale(draw.choice((-1, 2)), word(depth - 1)))

    f = draw.choice((trace, lambda w: determinant(w, LogDet), lambda w: w.at((0, 1))))(word(3))
    ring = lambda: arb(draw.randint(8, 32)) / 16  # noqa: E731
    values = {name: [[ring(), ring()], [ring(), ring()]] for name in leaves}
    try:
        same = normal_form(f)
    except BadFormula:
        return  # the inverse of a matrix minus itself
    difference = evaluators.evaluate(f, values, {n: 2}) - evaluators.evaluate(same, values, {n: 2})
    assert not difference.is_finite() or difference.contains(0)


def test_a_sum_has_no_negative_number_of_terms():
    proof = prove_equal(S(1, (i, n - 2)), n - 2)
    assert proof is not None
    assert [str(c) for c in proof.conditions] == ["n - 2 is not negative"]
    assert refute(S(1, (i, n - 2)), n - 2) is None
    with pytest.raises(IndexError, match="has -1 terms"):
        evaluate(S(1, (i, n - 2)), {}, {n: 1})


def test_an_entry_at_a_fixed_place_needs_an_axis_that_long():
    proof = prove_equal(x[1] * 2, x[1] + x[1])
    assert proof is not None
    assert [str(c) for c in proof.conditions] == ["n - 2 is not negative"]
    first = prove_equal(x[0] * 2, x[0] + x[n - 1] + x[0] - x[n - 1])
    assert first is not None
    assert first.conditions == ()


@pytest.mark.parametrize("case", CASES[1::5], ids=str)
def test_a_proof_can_be_replayed_and_a_forged_one_cannot(case: Case):
    proof = prove_equal(case.exact, case.hand, facts=case.facts)
    assert proof is not None
    assert replay(proof)
    assert not replay(dataclasses.replace(proof, right=case.wrong[0]))
    forged = dataclasses.replace(proof.links[-1], before=case.wrong[0])
    assert not replay(dataclasses.replace(proof, right=case.wrong[0], links=(*proof.links[:-1], forged)))


def test_a_proof_by_clearing_denominators_can_be_replayed():
    parts = (1 / (a + b) - 1 / (a + w[K])) / (w[K] - b)
    proof = prove_equal(1 / ((a + b) * (a + w[K])), parts)
    assert proof is not None
    assert "multiply by what is not zero" in proof.rules
    assert replay(proof)
