"""Gradients in index notation as torch functions: their values, at any sizes, and how they behave in floats."""

from __future__ import annotations

import functools
import random

import numpy as np
import pytest
import sympy as sp
import torch
from support.index_calculus import gradient as index_gradient
from support.index_expressions import LEAVES, SHAPES, m, n, random_body, torch_value
from support.index_floats import evaluate_all

import symgrad
from symgrad.errors import SymgradError, UnknownOperation, WrongShape
from symgrad.indices.stable_forms import stable
from symgrad.indices.terms import EXP, Array, IndexSum, Within, fresh, tensor
from symgrad.indices.torch_functions import tensor_function

i, j, k, s = sp.symbols("i j k s", integer=True)


def norm(X, g, b, G):
    return (torch.nn.functional.layer_norm(X, X.shape[1:], g, b) * G).sum()


MODELS = {
    "sigmoid net": (
        lambda U, w, x: (w * torch.sigmoid(U @ x)).sum() / len(w) ** 0.5,
        {"U": ("m", "d"), "w": ("m",), "x": ("d",)},
    ),
    "x'Ax": (lambda A, x: x @ A @ x, {"A": ("n", "n"), "x": ("n",)}),
    "|Ax - b|^2": (lambda A, x, b: ((A @ x - b) ** 2).sum(), {"A": ("m", "n"), "x": ("n",), "b": ("m",)}),
    "cross-entropy": (
        lambda X, W, Y: -(Y * torch.log_softmax(X @ W, 1)).sum() / len(X),
        {"X": ("n", "d"), "W": ("d", "c"), "Y": ("n", "c")},
    ),
    "MLP": (
        lambda X, W1, b1, W2, b2, Y: ((torch.tanh(X @ W1 + b1) @ W2 + b2 - Y) ** 2).mean(),
        {"X": ("n", "d"), "W1": ("d", "h"), "b1": ("h",), "W2": ("h", "c"), "b2": ("c",), "Y": ("n", "c")},
    ),
    "relu MLP": (
        lambda X, W1, W2, Y: ((torch.relu(X @ W1) @ W2 - Y) ** 2).mean(),
        {"X": ("n", "d"), "W1": ("d", "h"), "W2": ("h", "c"), "Y": ("n", "c")},
    ),
    "layer norm": (norm, {"X": ("n", "d"), "g": ("d",), "b": ("d",), "G": ("n", "d")}),
    "attention": (
        lambda Q, K, V, G: (torch.softmax(Q @ K.T / Q.shape[1] ** 0.5, 1) @ V * G).sum(),
        dict.fromkeys("QKVG", ("n", "d")),
    ),
    "tr(AXB)": (lambda A, X, B: torch.trace(A @ X @ B), {"A": ("m", "n"), "X": ("n", "k"), "B": ("k", "m")}),
    "differences": (lambda x: ((x[1:] - x[:-1]) ** 2).sum(), {"x": ("n",)}),
    "a diagonal": (lambda A: (torch.diagonal(A) ** 3).sum() + (torch.tril(A) ** 2).sum(), {"A": ("n", "n")}),
}
READ = [*MODELS]


def drawn(shapes, sizes, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(*(sizes.get(k, k) for k in shape), generator=g, dtype=dtype) for name, shape in shapes.items()
    }


def autograd(f, values):
    leaves = {name: v.clone().requires_grad_() for name, v in values.items()}
    return dict(zip(leaves, torch.autograd.grad(f(**leaves), list(leaves.values())), strict=True))


def assert_close(ours, theirs, digits=1e-13):
    assert ours.keys() == theirs.keys()
    for name, right in theirs.items():
        assert ours[name].shape == right.shape
        assert ours[name].dtype == right.dtype
        assert (ours[name] - right).abs().max() <= digits * (1 + right.abs().max()), name


@functools.cache
def gradients(name):
    f, shapes = MODELS[name]
    return symgrad.gradient(f, at=shapes)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_equal_autograd_at_sizes_that_the_code_was_not_read_at(name):
    (f, shapes), g = MODELS[name], gradients(name)
    assert [d.why for d in g.values()] == [None] * len(shapes)
    for seed, sizes in enumerate(({"m": 6, "n": 4, "d": 8, "h": 9, "c": 2, "k": 14}, dict.fromkeys("mndhck", 10))):
        values = drawn(shapes, sizes, seed)
        right = autograd(f, values)
        assert_close(g(**values), right)
        assert_close({n: d(**values) for n, d in g.items()}, right)


@pytest.mark.parametrize("size", [1, 2])
def test_the_smallest_sizes(size):
    for name, (f, shapes) in MODELS.items():
        if f is norm and size == 1:
            continue  # layer norm of one entry: what autograd returns is rounding
        values = drawn(shapes, dict.fromkeys("mndhck", size))
        assert_close(gradients(name)(**values), autograd(f, values))


def test_what_has_no_reading_is_taken_at_the_sizes_of_the_call():
    f = lambda x: (x**2).sum() if x.sum() > 0 else (x**3).sum()  # noqa: E731
    g = symgrad.gradient(f, at={"x": ("n",)})
    assert "branches" in g["x"].why
    assert g.code is None
    for sign in (1, -1):
        values = {"x": sign * torch.arange(1.0, 5.0, dtype=torch.float64)}
        assert_close(g(**values), autograd(f, values))
    rows = symgrad.gradient(lambda x: torch.softmax(x, 0), at={"x": ("n",)})["x"]
    x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    right = torch.autograd.functional.jacobian(lambda x: torch.softmax(x, 0), x)
    assert_close({"x": rows(x=x)}, {"x": right})


# ------------------------------------------------------------------------------------------------ random expressions


def value(array, values, sizes):
    lists = {name: v.tolist() for name, v in values.items()}
    return torch.tensor(evaluate_all(array, lists, sizes), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(60))
def test_random_expressions_and_their_derivatives_equal_the_evaluator_and_autograd(seed):
    draw = random.Random(seed)
    body = random_body(draw)
    name = draw.choice(sorted({str(e.base.label) for e in body.atoms(sp.Indexed)} or {"x"}))
    sizes = {m: draw.randint(1, 4), n: draw.randint(2, 5)}
    rng = np.random.default_rng(seed)
    values = {
        name: torch.tensor(np.abs(v) if name == "p" else v)
        for name, v in ((name, rng.normal(size=[sizes[x] for x in shape]) / 2) for name, shape in SHAPES.items())
    }
    arrays = {"body": Array(body, (), ()), "slope": index_gradient(body, LEAVES[name])}
    found = tensor_function(arrays, SHAPES)(**values)
    leaf = values[name].clone().requires_grad_()
    right = torch_value(body, values | {name: leaf}, sizes)
    scale = 1e-11 * (1 + abs(float(right.detach())))
    assert abs(float(found["body"] - right.detach())) <= scale
    slope = torch.autograd.grad(right, leaf, allow_unused=True)[0] if right.requires_grad else None
    slope = torch.zeros_like(leaf) if slope is None else slope
    assert (found["slope"] - slope).abs().max() <= 1e-11 * (1 + slope.abs().max()) + scale
    exact = value(arrays["slope"], values, sizes)
    assert (found["slope"] - exact).abs().max() <= 1e-11 * (1 + exact.abs().max())


def test_indices_that_leave_their_axes():
    x = tensor("x", n)
    arrays = {
        "shifted": Array(Within(i + 1, n) * x[i + 1], (i,), (n,)),
        "turned": Array(x[n - 1 - i], (i,), (n,)),
        "part": Array(x[i + 1], (i,), (n - 1,)),
        "last": Array(x[n - 1] * x[i], (i,), (n,)),
        "spread": Array(sp.KroneckerDelta(i, j) * x[i], (i, j), (n, n)),
        "summed": Array(IndexSum(sp.KroneckerDelta(s, i + 1) * x[s], s, n), (i,), (n,)),
        "constant": Array(sp.sqrt(n), (i,), (n,)),
    }
    found = tensor_function(arrays, {"x": (n,)})(torch.tensor([1.0, 2.0, 3.0]))
    assert found["shifted"].tolist() == found["summed"].tolist() == [2, 3, 0]
    assert found["turned"].tolist() == [3, 2, 1]
    assert found["part"].tolist() == [2, 3]
    assert found["last"].tolist() == [3, 6, 9]
    assert found["spread"].tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]
    assert found["constant"].tolist() == [pytest.approx(3**0.5)] * 3
    with pytest.raises(IndexError, match="length 3"):
        tensor_function({"y": Array(x[i + 1], (i,), (n,))}, {"x": (n,)})(torch.ones(3))


def test_what_torch_has_no_name_for_is_an_error():
    x = tensor("x", n)
    with pytest.raises(UnknownOperation, match="no torch spelling"):
        tensor_function({"y": Array(sp.Piecewise((x[i], x[i] > 1), (0, True)), (i,), (n,))}, {"x": (n,)})


# ------------------------------------------------------------------------------------------------ floats


def test_what_is_alike_is_computed_once():
    x, A = tensor("x", n), tensor("A", n, n)
    z = lambda a, b: sp.tanh(IndexSum(A[a, b] * x[b], b, n))  # noqa: E731
    arrays = {"y": Array(z(i, s) + z(i, k) ** 2, (i,), (n,)), "z": Array(z(j, fresh()), (j,), (n,))}
    f = tensor_function(arrays, {"A": (n, n), "x": (n,)})
    assert f.code.count("tanh") == f.code.count("einsum") == 1


def test_sigmoid_and_softmax_do_not_overflow_in_float32():
    g = gradients("sigmoid net")
    for z in (80.0, -80.0):
        values = {"U": torch.tensor([[z]]), "w": torch.ones(1), "x": torch.ones(1)}
        right = float(sp.exp(-80).evalf(30) / (1 + sp.exp(-80).evalf(30)) ** 2)
        assert g["U"](**values).item() == pytest.approx(right, rel=1e-5)
        assert torch.isfinite(g["w"](**{**values, "U": values["U"] * 1e3})).all()
    x, y = tensor("x", n), tensor("y", n)
    total = IndexSum(EXP(x[j]), j, n)
    bodies = {
        "softmax": Array(EXP(x[i]) / total, (i,), (n,)),
        "mean": Array(IndexSum(EXP(x[j]) * y[j], j, n) / total, (), ()),
        "log": Array(sp.log(total), (), ()),
        "softplus": Array(sp.log(1 + EXP(x[i])), (i,), (n,)),
        "sech": Array(1 - sp.tanh(x[i] / 100) ** 2, (i,), (n,)),
    }
    found = tensor_function(bodies, {"x": (n,), "y": (n,)})(torch.tensor([1000.0, 999.0]), torch.tensor([1.0, 3.0]))
    e = float(sp.exp(-1))
    assert found["softmax"].tolist() == pytest.approx([1 / (1 + e), e / (1 + e)])
    assert found["mean"].item() == pytest.approx((1 + 3 * e) / (1 + e))
    assert found["log"].item() == pytest.approx(1000 + float(sp.log(1 + sp.exp(-1))))
    assert found["softplus"].tolist() == [1000, 999]
    assert found["sech"][0].item() == pytest.approx(float(sp.sech(10) ** 2), rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_stable_bodies_have_the_same_value(seed):
    draw = random.Random(1000 + seed)
    x, y = tensor("x", n), tensor("y", n)
    u = draw.choice((x[i], -x[i], x[i] + y[i], 2 * y[i]))
    total = IndexSum(EXP(rename_to(u, j)), j, n)
    part = [EXP(u), EXP(-u), 1 / (1 + EXP(u)), 1 / (1 + EXP(-u)), 1 / total, 1 - 1 / (1 + EXP(u)), sp.log(total)]
    body = sp.Mul(*draw.choices(part, k=4)) + sp.log(draw.choice(part[:5])) + IndexSum(EXP(y[j]) * x[j], j, n) / total
    values = {name: torch.tensor(np.random.default_rng(seed).normal(size=4)) for name in "xy"}
    found = tensor_function({"y": Array(body, (i,), (n,))}, {"x": (n,), "y": (n,)})(**values)["y"]
    exact = value(Array(body, (i,), (n,)), values, {n: 4})
    assert (found - exact).abs().max() <= 1e-12 * (1 + exact.abs().max()), stable(body)


def rename_to(e, index):
    return e.xreplace({i: index})


def test_dtype_and_device_follow_the_arguments():
    shapes, g = MODELS["attention"][1], gradients("attention")
    sizes = {"n": 3, "d": 2}
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        found = g(**drawn(shapes, sizes, dtype=dtype))
        assert {v.dtype for v in found.values()} == {dtype}
    for model, (_, shapes) in MODELS.items():
        meta = {name: torch.empty([5] * len(shape), device="meta") for name, shape in shapes.items()}
        for name, v in gradients(model)(**meta).items():
            assert v.device.type == "meta"
            assert v.shape == meta[name].shape


def test_shapes_that_do_not_fit():
    g = gradients("x'Ax")
    with pytest.raises(WrongShape, match="'x' has the shape"):
        g["x"](A=torch.eye(3), x=torch.ones(2))
    with pytest.raises(SymgradError, match="no value is given for 'x'"):
        g["x"](A=torch.eye(3))


def test_it_reads_as_a_formula():
    f, shapes = MODELS["|Ax - b|^2"]
    d = symgrad.gradient(f, at=shapes)["b"]
    assert str(d) == "-(2*sum_s A[i,s]*x[s]) + 2*b[i]"
    assert d.sympy.atoms(sp.Sum)
