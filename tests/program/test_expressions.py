"""SymPy formulas as Programs: scalars, branches, matrices and indexed sums, against NumPy, SymPy and mpmath."""

import numpy as np
import pytest
import sympy as sp
import torch

from symgrad.errors import AmbiguousBranch, BadFormula, BadInput, UnknownName, UnknownOperation, WrongShape
from symgrad.evaluation.floats import Floats
from symgrad.program.builder import Builder
from symgrad.program.expressions import Expression, lower
from symgrad.program.lowering import holds
from symgrad.program.program import interpret

x, y, k, s, m, d, n = sp.symbols("x y k s m d n")
U, W, X = sp.IndexedBase("U"), sp.IndexedBase("w"), sp.IndexedBase("x")
RNG = np.random.default_rng(7)
DATA = {"U": RNG.normal(size=(4, 3)), "w": RNG.normal(size=4), "x": RNG.normal(size=3)}


def value_of(formula, point, **options):
    program = Expression(formula, **options).run(point)
    inputs = {name: torch.as_tensor(np.asarray(point[name], dtype=float)) for name in program.inputs}
    return interpret(program, Floats(), inputs)[program.output].numpy()


# ------------------------------------------------------------------------------------------------ scalars

SCALARS = [
    x**2 * sp.tanh(y) / 3,
    sp.sqrt(2) * x - sp.pi * y,
    sp.cot(x) + sp.sec(y) + sp.csch(x) + sp.acoth(x + 2) + sp.asec(y + 1),
    sp.gamma(x) * sp.beta(x, y) + sp.factorial(x),
    sp.polygamma(2, x) + sp.digamma(y) + sp.loggamma(x),
    sp.besseli(3, x) - sp.erfinv(y / 4),
    x ** sp.Rational(1, 3) + y ** sp.Rational(-3, 2) + x**y + 2**x,
    sp.Float(0.1) * x + 3.0 * y,
    sp.diff(sp.Abs(sp.Symbol("x", real=True)) * sp.exp(-(x**2)), x),
    sp.exp(-x) / (1 + sp.exp(-x)) ** 2,
    sp.log(1 + sp.exp(x)) / (1 + sp.exp(-y)),
    sp.sinc(x) + sp.atan2(y, x),
    (x + y) / (x - 2 * y) - 1 / x,
]


@pytest.mark.parametrize("formula", SCALARS, ids=str)
def test_scalars(formula):
    point = {"x": 0.75, "y": 1.25}
    exact = formula.subs({v: sp.Rational(point[v.name]) for v in formula.free_symbols})
    assert float(value_of(formula, point)) == pytest.approx(float(sp.N(exact, 30)), rel=1e-12)


def test_a_formula_computes_what_sympy_holds():
    """The logistic function overflows as written; only slopes use the stable form."""
    program = Expression(sp.log(1 + sp.exp(x))).run({"x": 1.0})
    assert [step.op for step in program] == ["input", "exp", "constant", "add", "log"] or {
        step.op for step in program
    } == {"input", "exp", "constant", "add", "log"}


def test_symbols_of_one_name_are_one_input():
    formula = Expression(sp.Symbol("x") + sp.Symbol("x", real=True) + sp.Symbol("x", positive=True))
    assert formula.names == ("x",)
    assert float(value_of(formula.formula, {"x": 2.0})) == 6.0
    assert formula.assumptions["x"]["positive"] is True
    with pytest.raises(BadInput, match="declared differently"):
        _ = Expression(sp.Symbol("x", positive=True) * sp.Symbol("x", positive=False)).assumptions


def test_floats_mean_their_shortest_decimal():
    program = Expression(sp.Float(0.1) * x).run({"x": 1.0})
    (constant,) = [step for step in program if step.op == "constant"]
    assert constant.params.exact == sp.Rational(1, 10)


def test_a_formula_nested_a_thousand_deep_is_written():
    formula = x
    for _ in range(1000):
        formula = sp.tanh(sp.Add(sp.Mul(x, formula, evaluate=False), 1, evaluate=False), evaluate=False)
    expected = 0.5
    for _ in range(1000):
        expected = np.tanh(0.5 * expected + 1)
    assert float(value_of(formula, {"x": 0.5})) == pytest.approx(expected, rel=1e-14)


def test_arrays_are_taken_entry_by_entry():
    assert value_of(sp.Max(x, 0) * y, {"x": [1.0, -2.0], "y": 3.0}).tolist() == [3.0, 0.0]


# ------------------------------------------------------------------------------------------------ branches


@pytest.mark.parametrize("at", [-1.0, 0.0, 0.5, 2.0])
def test_branches(at):
    formula = (
        sp.Max(x, 0, x**2) + sp.Heaviside(x) + sp.Piecewise((sp.log(x), x > 1), (x, sp.And(x > 0, x < 1)), (7, True))
    )
    program = Expression(formula).run({"x": at})
    assert program.guards
    assert float(value_of(formula, {"x": at})) == pytest.approx(float(formula.subs(x, sp.Rational(at))))


@pytest.mark.parametrize("at", [-1.0, 0.1, 0.5, 1.5])
def test_a_choice_inside_a_condition_is_a_choice(at):
    inner = sp.Piecewise((x**2, x > 1), (2 * x, True))
    formula = sp.Piecewise((sp.exp(x), inner > sp.Rational(1, 2)), (3 * x, True))
    assert formula.has(sp.ITE)
    assert float(value_of(formula, {"x": at})) == pytest.approx(float(formula.subs(x, sp.Rational(at))))


def test_ties_are_seen():
    (guard,) = Expression(sp.Max(x, y)).run({"x": 0.1, "y": 0.1}).guards
    assert guard.outcome
    assert guard.op == "ge"
    assert holds(sp.Eq(sp.sqrt(2) * x, sp.sqrt(x * 4)), {x: sp.Integer(2)})
    assert not holds(sp.Ge(x, sp.Rational(1, 10)), {x: sp.Rational(1, 10) - sp.Rational(1, 2**100)})


def test_a_branch_needs_a_point_and_a_branch():
    b = Builder()
    with pytest.raises(AmbiguousBranch, match="no point to choose at"):
        lower(b, sp.Max(x, y), {x: b.input("x", ()), y: b.input("y", ())})
    with pytest.raises(BadFormula, match="no branch of"):
        Expression(sp.Piecewise((x, x > 3))).run({"x": 1.0})
    with pytest.raises(AmbiguousBranch, match="have no order"):
        Expression(sp.Piecewise((x, sp.sqrt(x) > 1), (0, True))).run({"x": -1.0})


# ------------------------------------------------------------------------------------------------ indices


def test_the_sigmoid_net_with_sums():
    z = sp.Sum(U[k, s] * X[s], (s, 1, d))
    model = sp.Sum(W[k] / (1 + sp.exp(-z)), (k, 1, m)) / sp.sqrt(m)
    formula = Expression(model)
    assert (formula.names, formula.sizes) == (("U", "w", "x"), ("d", "m"))
    gate = 1 / (1 + np.exp(-DATA["U"] @ DATA["x"]))
    assert float(value_of(model, DATA)) == pytest.approx(DATA["w"] @ gate / 2, rel=1e-14)
    hand = X[n] * W[k] * sp.exp(-z) / (1 + sp.exp(-z)) ** 2 / sp.sqrt(m)
    expected = np.outer(DATA["w"] * gate * (1 - gate), DATA["x"]) / 2
    np.testing.assert_allclose(value_of(sp.Lambda((k, n), hand), {**DATA, "m": 4}), expected, rtol=1e-13)
    np.testing.assert_allclose(value_of(hand, {**DATA, "m": 4}, axes=(n, k)), expected.T, rtol=1e-13)
    assert not np.allclose(value_of(sp.Lambda((k, n), hand * W[k]), {**DATA, "m": 4}), expected)


def test_sums_are_whole_tensors():
    """A thousand terms are as many steps as three."""
    steps = [len(Expression(sp.Sum(sp.tanh(X[k]) ** 2, (k, 1, m))).run({"x": np.ones(n)})) for n in (3, 1000)]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (sp.Sum(X[k], (k, 0, 2)), lambda U, w, x: x.sum()),
        (sp.Sum(X[k], (k, 1, 2)), lambda U, w, x: x[1:].sum()),  # an index counts from 0 where that fits
        (sp.Sum(X[k], (k, 1, 3)), lambda U, w, x: x.sum()),  # and from 1 where only that does
        (sp.Sum(k * X[k] ** 2, (k, 0, 2)), lambda U, w, x: (np.arange(3) * x**2).sum()),
        (sp.Sum(k * X[k] ** 2, (k, 1, 3)), lambda U, w, x: (np.arange(1, 4) * x**2).sum()),
        (sp.Sum(U[k, s] * W[k] * X[s], (k, 1, m), (s, 1, d)), lambda U, w, x: w @ U @ x),
        (sp.Sum(X[s], (s, 0, k), (k, 0, 2)), lambda U, w, x: np.cumsum(x).sum()),
        (sp.Sum(X[k] * sp.Sum(X[k], (k, 0, 2)), (k, 0, 2)), lambda U, w, x: x.sum() ** 2),
        (sp.Sum(X[2 - k] * X[k], (k, 0, 2)), lambda U, w, x: x @ x[::-1]),
        (sp.Sum(sp.KroneckerDelta(k, s) * U[k, s], (k, 0, 2), (s, 0, 2)), lambda U, w, x: np.trace(U[:3])),
        (sp.Product(X[k], (k, 0, 2)), lambda U, w, x: x.prod()),
        (sp.Sum(sp.Max(X[k], 0), (k, 1, d)), lambda U, w, x: x.clip(0).sum()),
        (sp.Sum(sp.Piecewise((X[k], k > 0), (5, True)), (k, 0, 2)), lambda U, w, x: 5 + x[1:].sum()),
        (sp.Sum(1 / sp.Sum(sp.exp(U[k, s]), (s, 0, 2)), (k, 0, 3)), lambda U, w, x: (1 / np.exp(U).sum(1)).sum()),
        (U[0, 1] * U[3, 2] + X[0], lambda U, w, x: U[0, 1] * U[3, 2] + x[0]),
        (sp.Sum(3, (k, 1, 5)) + X[0], lambda U, w, x: 15 + x[0]),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_indexed_formulas(formula, expected):
    assert float(value_of(formula, DATA)) == pytest.approx(expected(**DATA), rel=1e-13)


def test_sizes_come_from_shapes_and_must_agree():
    declared = sp.IndexedBase("x", shape=(d,))
    assert float(value_of(sp.Sum(declared[k] ** 2, (k, 0, d - 1)) / d, DATA)) == pytest.approx((DATA["x"] ** 2).mean())
    with pytest.raises(WrongShape, match=r"U\[k, s\] takes its index k to 4, and axis 0"):
        Expression(sp.Sum(U[k, s] * X[s], (k, 1, d), (s, 1, d))).run(DATA)
    with pytest.raises(WrongShape, match="runs from 0 to 2"):
        Expression(X[5]).run(DATA)
    with pytest.raises(WrongShape, match="runs from 0 to 2"):
        Expression(sp.Sum(X[k], (k, 1, 3)), first_index=0).run(DATA)
    with pytest.raises(WrongShape, match="has 1 indices"):
        Expression(U[1]).run(DATA)
    with pytest.raises(BadFormula, match="finite limits"):
        Expression(sp.Sum(X[k], (k, 0, sp.oo))).run(DATA)


# ------------------------------------------------------------------------------------------------ matrices

A, B = sp.MatrixSymbol("A", m, m), sp.MatrixSymbol("B", m, d)
V = sp.MatrixSymbol("v", m, 1)
MATRICES = {"A": RNG.normal(size=(3, 3)), "B": RNG.normal(size=(3, 2)), "v": RNG.normal(size=3)}
inv, det = np.linalg.inv, np.linalg.det


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (2 * A * B + A.T * B, lambda A, B, v: 2 * A @ B + A.T @ B),
        (V.T * A.I * V, lambda A, B, v: v @ inv(A) @ v),
        (sp.log(sp.Determinant(A) ** 2) + sp.Trace(A * A.T), lambda A, B, v: np.log(det(A) ** 2) + (A**2).sum()),
        (A.applyfunc(sp.tanh) + sp.Identity(m) - A**2, lambda A, B, v: np.tanh(A) + np.eye(3) - A @ A),
        (sp.HadamardProduct(A, A.T) + sp.OneMatrix(m, m), lambda A, B, v: A * A.T + 1),
        ((A * B)[0, 1] + A[1, 2], lambda A, B, v: (A @ B)[0, 1] + A[1, 2]),
        (A**-2, lambda A, B, v: inv(A) @ inv(A)),
        (sp.Sum(A[k, s] * A[s, k], (k, 0, m - 1), (s, 0, m - 1)), lambda A, B, v: np.trace(A @ A)),
        (sp.Matrix([[x, y], [x * y, 1]]), lambda A, B, v: np.array([[2.0, 3.0], [6.0, 1.0]])),
        (sp.Array([[[x, y]]]), lambda A, B, v: np.array([[[2.0, 3.0]]])),
        ([x, sp.Integer(1)], lambda A, B, v: np.array([2.0, 1.0])),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_matrices(formula, expected):
    found = value_of(formula, {**MATRICES, "x": 2.0, "y": 3.0})
    wanted = np.asarray(expected(**MATRICES))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_matrix_product_is_one_step():
    program = Expression(A * A).run({"A": np.eye(30)})
    assert [step.op for step in program].count("matmul") == 1


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("formula", "kind", "says"),
    [
        (sp.Derivative(sp.Function("f")(x), x), UnknownOperation, "not a closed form"),
        (sp.Integral(sp.exp(-(x**2)), (x, 0, y)), UnknownOperation, "not a closed form"),
        (sp.Function("f")(x), UnknownOperation, "not a closed form"),
        (sp.DiracDelta(x), UnknownOperation, "not a closed form"),
        (sp.dirichlet_eta(x), UnknownOperation, "no operation is called 'dirichlet_eta'"),
        (x + sp.zoo, BadFormula, "is not a number"),
        (x > 1, BadFormula, "is not a formula"),
        ("x", BadInput, "text is not a SymPy formula"),
        pytest.param(object(), BadInput, "is not a SymPy formula", id="an object"),
        (sp.KroneckerProduct(A, A), UnknownOperation, "KroneckerProduct is not read"),
        (A * B + sp.MatrixSymbol("C", m, d), UnknownName, "'C' has no value"),
    ],
    ids=str,
)
def test_refusals(formula, kind, says):
    with pytest.raises(kind, match=says):
        Expression(formula).run({"x": 1.0, "y": 2.0, **MATRICES})


def test_a_missing_name_is_named():
    with pytest.raises(UnknownName) as caught:
        Expression(x * sp.Symbol("h1_raw")).run({"x": 1.0, "h1_row": 2.0})
    assert str(caught.value) == (
        "'h1_raw' has no value at the point. Close names: h1_row.\n    h1_raw*x\nPass at={'h1_raw': ...}."
    )
