"""Gradients for all sizes: proved from code run at a few, held against autograd at others, refuted at the least.

The formula that was read, the witnesses and the constraints are judged by torch in float64, at sizes that nothing here
was read at.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
import torch
from support.index_floats import evaluate_all
from support.size_cases import CASES

from symgrad import compare, verify
from symgrad.errors import BadFormula, BadInput, UnknownName, WrongShape
from symgrad.indices.sizes import size_symbol
from symgrad.indices.terms import Array

k, s, N, m, d = sp.symbols("k s N m d", integer=True)
U, w, x = map(sp.IndexedBase, "Uwx")


@pytest.fixture
def without_repairs(monkeypatch):
    """Where only the verdict matters; lines and repairs are tested elsewhere, and take most of the time."""
    nothing = SimpleNamespace(steps=(), wrong_steps=(), repairs=(), repaired_source=None)
    monkeypatch.setattr("symgrad.verifier.accuse", lambda *args: nothing)


def differentiated(model, name, order, values):
    """Autograd's derivative: the gradient or Jacobian, or the Hessian."""
    f = lambda v: model(**{**values, name: v})  # noqa: E731
    return (torch.func.hessian if order == 2 else torch.func.jacrev)(f)(values[name])


def meeting(values, assuming):
    """The values moved onto the constraints that the cases have."""
    if assuming == "sum(y) = 1":
        values["y"] = torch.softmax(values["y"], 0)
    if assuming == "sum(Y, 1) = 1":
        values["Y"] = torch.softmax(values["Y"], 1)
    if assuming == "S = S.T":
        values["S"] = values["S"] @ values["S"].T + torch.eye(len(values["S"]))
    return values


def drawn(at, sizes):
    rng = np.random.default_rng(7)
    shapes = {n: tuple(sizes.get(a, a) for a in shape) for n, shape in at.items()}
    return {n: torch.tensor(np.abs(rng.standard_normal(shape)) + 0.1) for n, shape in shapes.items()}


# ------------------------------------------------------------------------------------------------ models


# Cases of which one takes seconds; the others are quick.
LONG = {
    "MLP, relu",
    "MLP, MSE",
    "MLP, cross-entropy",
    "layer norm",
    "batch norm",
    "Gaussian",
    "attention",
    "RNN, T = 3",
}
assert set(CASES) >= LONG
NAMES = [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in CASES]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_a_right_gradient_is_proved_for_all_sizes(name):
    model, hand, at, keywords, _ = CASES[name]
    report = verify(model, hand, at=at, **keywords)
    letters = list(dict.fromkeys(a for shape in at.values() for a in shape if isinstance(a, str)))
    sizes = {a: 4 + j for j, a in enumerate(letters)}
    values = meeting(drawn(at, sizes), keywords.get("assuming"))
    for n, claim in report.claims.items():
        assert claim.kind == "proved"
        assert claim.verdict.for_all.sizes == tuple(letters)
        assert claim.verdict.for_all.least == 1
        form = report.sizes.forms[n]
        truth = differentiated(model, n, keywords.get("order", 1), values)
        lengths = {size_symbol(a): v for a, v in sizes.items()}
        for body in form.bodies:
            array = Array(body, tuple(f.index for f in form.factors), tuple(f.size for f in form.factors))
            read = evaluate_all(array, {v: t.numpy() for v, t in values.items()}, lengths)
            assert np.allclose(np.array(read).reshape(truth.shape), truth, rtol=1e-9, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_wrong_gradients_are_refuted_at_the_smallest_sizes(name, without_repairs):
    model, _, at, keywords, wrong = CASES[name]
    for hand in wrong:
        report = verify(model, hand, at=at, **keywords)
        assert report.verdict == "refuted"
        for n, claim in report.claims.items():
            witness = claim.witness
            if witness is None or witness.reason == "shape":
                continue
            point = {v: torch.tensor(np.asarray(value)) for v, value in witness.point.items()}
            truth = differentiated(model, n, keywords.get("order", 1), point)
            mine = hand(**point)
            mine = (mine[n] if isinstance(mine, dict) else mine).reshape(truth.shape)
            assert not torch.isclose(mine[witness.entry or ...], truth[witness.entry or ...], rtol=1e-9, atol=0)
            assert sum(witness.sizes.values()) <= 2 * len(witness.sizes)


# ------------------------------------------------------------------------------------------------ the post


def net(k):
    return sp.Sum(U[k, s] * x[s], (s, 1, d))


FORMULA = 1 / sp.sqrt(m) * sp.Sum(w[k] / (1 + sp.exp(-net(k))), (k, 1, m))
DW = 1 / sp.sqrt(m) / (1 + sp.exp(-net(k)))
DU = 1 / sp.sqrt(m) * x[N] * w[k] * sp.exp(-net(k)) / (1 + sp.exp(-net(k))) ** 2
AT = {"U": ("m", "d"), "w": ("m",), "x": ("d",)}


def numpy_model(U, w, x):
    return np.sum(w / (1 + np.exp(-np.matmul(U, x)))) / np.sqrt(len(w))


def torch_model(U, w, x):
    return w @ torch.sigmoid(U @ x) / U.shape[0] ** 0.5


def numpy_hand(U, w, x):
    e = np.exp(-1 * np.matmul(U, x))
    return {"U": np.outer(w / np.sqrt(len(w)) * e / ((1 + e) * (1 + e)), x), "w": (1 / np.sqrt(len(w))) / (1 + e)}


def torch_hand(U, w, x):
    a = torch.sigmoid(torch.einsum("kj,j->k", U, x))
    return {"U": torch.einsum("k,j->kj", w * a * (1 - a), x) / len(w) ** 0.5, "w": a / len(w) ** 0.5}


@pytest.mark.parametrize("hand", [{w[k]: DW, U[k, N]: DU}, numpy_hand, torch_hand], ids=["Sum", "NumPy", "torch"])
@pytest.mark.parametrize("model", [FORMULA, numpy_model, torch_model], ids=["Sum", "NumPy", "torch"])
@pytest.mark.slow
def test_the_sigmoid_network_in_every_spelling(model, hand):
    report = verify(model, hand, at=AT)
    assert {n: c.verdict.for_all.sizes for n, c in report.claims.items()} == {"U": ("m", "d"), "w": ("m", "d")}


class SingleLayerNet(torch.nn.Module):
    def __init__(self, m=10, d=3):
        super().__init__()
        self.m = m
        self.linear1 = torch.nn.Linear(d, m, bias=False)
        self.linear2 = torch.nn.Linear(m, 1, bias=False)

    def forward(self, x):
        x = self.linear1(x)
        x = torch.sigmoid(x)
        return self.linear2(x).squeeze() / np.sqrt(self.m)


def posted(linear1_weight, linear2_weight, x):
    inp = np.transpose(x)
    tmp = np.exp(-1 * np.matmul(linear1_weight, inp).squeeze())
    dw_calc = (1 / np.sqrt(10)) / (1 + tmp)
    dtmp2 = linear2_weight * (1 / np.sqrt(10)) * tmp / ((1 + tmp) * (1 + tmp))
    return {"linear1_weight": np.transpose(np.matmul(inp, dtmp2)), "linear2_weight": dw_calc}


MODULE_AT = {"linear1.weight": ("m", "d"), "linear2.weight": (1, "m"), "x": (1, "d")}


def test_a_module_has_its_width_and_ten_is_read_as_it():
    V, v, y = map(sp.IndexedBase, ("linear1_weight", "linear2_weight", "x"))
    z = sp.Sum(V[k, s] * y[0, s], (s, 0, d - 1))
    a = 1 / (1 + sp.exp(-z))
    formulas = {v[0, k]: a / sp.sqrt(m), V[k, N]: v[0, k] * a * (1 - a) * y[0, N] / sp.sqrt(m)}
    for hand in (posted, formulas):
        report = verify(SingleLayerNet(), hand, at=MODULE_AT)
        for claim in report.claims.values():
            assert claim.verdict.for_all.sizes == ("m", "d")
            assert claim.verdict.for_all.literals == {"m": 10}
        assert "10 was read as m" in str(report)


@pytest.mark.slow
def test_a_literal_is_a_size_only_where_the_size_is_fixed():
    def ten(U, w, x):
        return {"w": 1 / np.sqrt(10) / (1 + np.exp(-U @ x))}

    free = verify(FORMULA, ten, at=AT)
    assert free.verdict == "refuted"
    assert free.claims["w"].witness.sizes == {"m": 1, "d": 1}
    told = verify(FORMULA, ten, at={**AT, "U": ("m=10", "d")})
    assert told.claims["w"].verdict.for_all.literals == {"m": 10}


def test_a_formula_tells_its_own_shapes_and_letters():
    report = verify(FORMULA, {w[k]: DW, U[k, N]: DU})
    assert str(report).startswith("Right, and proved for all m and d: your gradients for w and U are the\nderivatives.")
    assert "∂f/∂U[k,N] = exp(-sum_i U[k,i]*x[i])*w[k]*x[N]/(sqrt(m)*(exp(-sum_i U[k,i]*x[i]) + 1)**2)" in str(report)
    assert r"\frac{\partial f}{\partial U_{k,N}} &= " in report.to_latex()
    assert "∂f/∂U[k,N]" in re.sub("<[^>]+>", "", report.to_html())
    plain = report.to_dict()
    assert plain["claims"]["U"]["verdict"]["for_all"]["sizes"] == ["m", "d"]
    assert plain["sizes"]["forms"]["w"]["text"] == "∂f/∂w[k] = 1/(sqrt(m)*(exp(-sum_i U[k,i]*x[i]) + 1))"
    assert report.to_json()


def test_matrix_symbols_of_any_size():
    n = sp.Symbol("n")
    A, v = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("v", n, 1)
    report = verify(v.T * A * v, {"v": (A + A.T) * v, "A": v * v.T})
    assert [c.verdict.for_all.sizes for c in report.claims.values()] == [("n",), ("n",)]
    wrong = verify(v.T * A * v, {"v": 2 * A * v})
    assert wrong.claims["v"].witness.sizes == {"n": 2}
    assert wrong.claims["v"].verdict.true_if == ("A is symmetric", "A = A.T")


# ------------------------------------------------------------------------------------------------ what is not proved


def test_a_slip_that_only_larger_sizes_show_is_found():
    def hand(x):
        return 2 * x if len(x) < 4 else 2 * x + 1

    report = verify(lambda x: (x**2).sum(), hand, at={"x": ("n",)})
    assert report.claims["x"].witness.sizes == {"n": 4}
    late = verify(lambda x: (x**2).sum(), lambda x: 2 * x if len(x) < 64 else x, at={"x": ("n",)})
    assert late.claims["x"].witness.sizes == {"n": 101}


def test_sizes_begin_where_the_code_runs():
    window = lambda x, w: torch.nn.functional.conv1d(x[None, None], w[None, None]).sum()  # noqa: E731

    def hand(x, w):
        ones = torch.ones(1, 1, len(x) - 2, dtype=x.dtype)
        return {"w": torch.nn.functional.conv1d(x[None, None], ones)[0, 0]}

    report = verify(window, hand, at={"x": ("n",), "w": (3,)})
    assert report.sizes.own == {"n": 5}
    assert report.claims["w"].verdict.for_all.least == 5


def test_two_formulas_for_all_sizes():
    verdict = compare(lambda x: x.var(), lambda x: (x @ x - len(x) * x.mean() ** 2) / (len(x) - 1), at={"x": ("n",)})
    assert verdict.for_all.sizes == ("n",)
    assert verdict.for_all.least == 2
    assert compare(lambda x: x.var(), lambda x: x.var() * len(x) / 5, at={"x": ("n",)}).witness.sizes["n"] == 2


def test_a_repair_holds_at_other_sizes_too():
    report = verify(lambda x: (x**2).mean(), lambda x: 2 * x / 3, at={"x": ("n",)})
    assert [r.after for r in report.repairs] == ["2 * x / len(x)"]


def test_loops_within_each_other_are_evidence_and_no_proof():
    def model(x):
        total = 0.0
        for i in range(len(x)):
            for j in range(i):
                total = total + x[i] * x[j]
        return total

    report = verify(model, lambda x: x.sum() - x, at={"x": ("n",)})
    assert report.verdict == "proved"
    assert report.claims["x"].verdict.for_all is None
    assert str(report).startswith("Right, and proved at n = 2: your gradient for x is the derivative.")
    text = " ".join(str(report).split())
    assert "Proved at n = 2 alone: the code takes another number of steps at other sizes." in text
    assert "At n = 1; n = 4; n = 3 it was looked at, and nothing was found wrong there." in text  # 101 are too many
    assert "Of other sizes nothing is known." in text


def test_a_formula_on_one_branch_is_not_proved_on_the_other():
    def model(x):
        powers = [2]
        if x.sum() < 0:
            powers.append(3)
        return (x ** powers[-1]).sum()

    report = verify(model, lambda x: 2 * x if x.sum() >= 0 else 3 * x**2, at={"x": ("n",)})
    assert report.verdict == "proved"
    assert report.claims["x"].verdict.for_all is None


def test_a_choice_for_each_entry_is_one_formula():
    leaky = lambda x: torch.where(x > 0, x, 0.125 * x).sum()  # noqa: E731
    report = verify(leaky, lambda x: torch.where(x > 0, 1.0, 0.125), at={"x": ("n",)})
    assert report.claims["x"].verdict.for_all.ties
    assert "no comparison is a tie" in " ".join(str(report).split())


def test_code_that_is_another_formula_at_size_one_is_proved_from_two_on():
    def model(x):
        return ((x - x.mean()) ** 2).sum() if len(x) > 1 else x.sum()

    report = verify(model, lambda x: 2 * (x - x.mean()) if len(x) > 1 else 1 + 0 * x, at={"x": ("n",)})
    assert report.claims["x"].verdict.for_all.least == 2
    assert str(report).startswith("Right, and proved for all n of at least 2")


# ------------------------------------------------------------------------------------------------ constraints


def entropy(z, y):
    return -(y * torch.log_softmax(z, 0)).sum()


def test_a_missing_constraint_is_found_and_a_declared_one_is_told():
    hand = lambda z, y: {"z": torch.softmax(z, 0) - y}  # noqa: E731
    report = verify(entropy, hand, at={"z": ("n",), "y": ("n",)})
    assert report.verdict == "refuted"
    assert "It is true if the entries of y sum to one" in str(report)
    told = verify(entropy, hand, at={"z": ("n",), "y": ("n",)}, assuming="sum(y) = 1")
    assert told.claims["z"].verdict.for_all.facts == ("the entries of y sum to one",)
    assert "wherever both have a value and the entries of y sum to one." in " ".join(str(told).split())
    here = verify(entropy, hand, at={"z": (3,), "y": (3,)}, assuming="sum(y) = 1")
    assert "the entries of y sum to one" in here.assumptions
    rounded = torch.softmax(torch.randn(3, dtype=torch.float64), 0)  # sums to one up to rounding
    assert verify(entropy, hand, at={"z": (3,), "y": rounded}, assuming="sum(y) = 1").verdict == "proved"


def test_columns_and_rows():
    model = lambda Z, Y: -(Y * torch.log_softmax(Z, 0)).sum()  # noqa: E731
    hand = lambda Z, Y: {"Z": torch.softmax(Z, 0) - Y}  # noqa: E731
    report = verify(model, hand, at={"Z": ("c", "n"), "Y": ("c", "n")})
    assert report.claims["Z"].verdict.true_if == ("the columns of Y sum to one", "sum(Y, 0) = 1")
    assert verify(model, hand, at={"Z": ("c", "n"), "Y": ("c", "n")}, assuming="sum(Y, 0) = 1").verdict == "proved"
    assert verify(model, hand, at={"Z": ("c", "n"), "Y": ("c", "n")}, assuming="sum(Y, 1) = 1").verdict == "refuted"


def test_probabilities_are_positive_and_sum_to_one():
    report = verify(
        lambda p, q: (p * torch.log(p / q)).sum(),
        lambda p, q: {"p": torch.log(p / q) + p.sum(), "q": -p / q},
        at={"p": ("n",), "q": ("n",)},
        assuming=("sum(p) = 1", "p > 0", "q > 0"),
    )
    assert {c.kind for c in report.claims.values()} == {"proved"}
    assert report.point["p"].min() > 0
    assert report.point["p"].sum() == 1
    with pytest.raises(BadInput, match="points that meet all that is declared of p are not drawn"):
        verify(lambda p: p.sum(), lambda p: 0 * p + 1, at={"p": (3,)}, assuming=("sum(p) = 1", "p > 0.5"))


def test_a_wrong_gradient_stays_wrong_under_a_constraint():
    hand = lambda z, y: {"z": torch.softmax(z, 0) + y}  # noqa: E731
    report = verify(entropy, hand, at={"z": (3,), "y": (3,)}, assuming="sum(y) = 1")
    assert report.verdict == "refuted"
    assert report.claims["z"].witness.point["y"].sum() == 1
    assert report.claims["z"].verdict.true_if is None


def test_data_that_miss_a_constraint_are_refused():
    with pytest.raises(BadInput, match=r"at\['y'\] does not meet the constraint that the entries of y sum to one"):
        verify(entropy, lambda z, y: z, wrt="z", at={"z": (2,), "y": [0.5, 0.75]}, assuming="sum(y) = 1")


# ------------------------------------------------------------------------------------------------ messages


@pytest.mark.parametrize(
    ("at", "kind", "message"),
    [
        ({"x": ("n", 0.5)}, BadInput, "at['x'] is ('n', 0.5), and 0.5 is neither a number nor the name of a size."),
        ({"x": ("n/2",)}, BadInput, "at['x'] is ('n/2',), and 'n/2' is neither a number nor the name of a size."),
        ({"x": ("n=3",), "y": ("n=4",)}, WrongShape, "the size n is both 3 and 4, in at['y']."),
        ({"x": ("y",), "y": ("n",)}, BadInput, "'y' is the name of an input and of a size."),
    ],
)
def test_shapes_that_are_no_shapes(at, kind, message):
    with pytest.raises(kind) as caught:
        verify(lambda x, y: (x * y).sum(), {"x": lambda y: y}, at=at)
    assert caught.value.what == message


def test_a_module_and_a_shape_that_do_not_fit():
    with pytest.raises(WrongShape) as caught:
        verify(SingleLayerNet(), posted, at={**MODULE_AT, "linear1.weight": ("d", "d")})
    assert caught.value.what == "the size d is both 10 and 3, in at['linear1.weight']."


@pytest.mark.parametrize(
    ("assuming", "kind", "message"),
    [
        ("sum(q) = 1", UnknownName, "assuming names 'q', but the model has only z, y.\n    sum(q) = 1\n        ^"),
        ("sum(y, 3) = 1", WrongShape, "y has no axis 3.\n    sum(y, 3) = 1\n           ^"),
        ("y = y.T", WrongShape, "y is no matrix.\n    y = y.T\n    ^"),
        ("y ^ 2", BadFormula, "this is no constraint that is known.\n    y ^ 2"),
        ("sum(y) = 1/3", BadFormula, "no point meets the sum 1/3 exactly in binary numbers."),
    ],
)
def test_constraints_that_are_none(assuming, kind, message):
    with pytest.raises(kind) as caught:
        verify(entropy, lambda z, y: z, wrt="z", at={"z": (3,), "y": (3,)}, assuming=assuming)
    assert str(caught.value).startswith(message)


# ------------------------------------------------------------------------------------------------ numbers in the code

THE_SIZE = 23


def _vanishing(x):
    product = 1
    for k in (1, 2, 3, 4, 5, 6, 7, 101):  # zero at every size that formulas are read at
        product = product * (len(x) - k)
    return 2 * x + product


@pytest.mark.parametrize(
    "hand",
    [
        _vanishing,
        lambda x: 2 * x if len(x) != 12 else 0 * x,
        lambda x: 2 * x if x.shape[0] < 300 else 0 * x,
        lambda x: torch.cat([2 * x[:500], 0 * x[500:]]),
        lambda x: 2 * x * (len(x) != THE_SIZE),
    ],
    ids=["product", "equal", "above", "slice", "global"],
)
def test_code_that_goes_another_way_at_a_size_that_it_names_is_refuted(hand):
    report = verify(lambda x: (x**2).sum(), hand, at={"x": ("n",)})
    assert report.verdict == "refuted"
    sizes = report.claims["x"].witness.sizes
    x = torch.ones(sizes["n"], dtype=torch.float64)
    assert not torch.equal(hand(x), 2 * x)


def test_the_sizes_beside_the_numbers_in_the_code_are_told():
    report = verify(lambda x: (x**2).sum() / 20, lambda x: x / 10, at={"x": ("n",)})
    assert report.claims["x"].verdict.for_all is not None
    assert "held against the code at n =" in " ".join(str(report).split())
