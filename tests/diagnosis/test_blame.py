"""Blame by repair: which line is accused, and that the repair is true where inputs and data are moved.

The judge is the right code beside each wrong one, run in float64 at points that the search never saw.
"""

from __future__ import annotations

import math
import textwrap

import numpy as np
import pytest
import torch
from support.slips import agree, made_of, slip

from symgrad import verify, verify_function

R = np.random.default_rng(7)


# ------------------------------------------------------------------------------------------------ derivations


def net(X, y, W, v):
    return (((np.maximum(X @ W, 0) @ v) - y) ** 2).sum()


def net_grad(X, y, W, v):
    z = X @ W
    a = np.maximum(z, 0)
    e = 2 * (a @ v - y)
    active = (z > 0) * 1.0
    half = np.outer(e, v) * active
    return {"W": X.T @ half, "v": a.T @ e}


NET = {
    "X": R.standard_normal((5, 3)),
    "y": R.standard_normal(5),
    "W": R.standard_normal((3, 4)),
    "v": R.standard_normal(4),
}


def pairs(x, i, j, k):
    return k * ((x[i] - x[j]) ** 2).sum()


def pairs_grad(x, i, j, k):
    pull = 2 * k * (x[i] - x[j])
    out = np.zeros_like(x)
    np.add.at(out, i, pull)
    np.add.at(out, j, -pull)
    return {"x": out}


PAIRS = {"x": R.standard_normal((4, 2)), "i": np.array([0, 0, 1]), "j": np.array([1, 2, 3]), "k": 1.5}


def rnn(xs, u, w):
    s = 0.0
    for x in xs:
        s = math.tanh(u * x + w * s)
    return s


def rnn_grad(xs, u, w):
    states = [0.0]
    for x in xs:
        states.append(math.tanh(u * x + w * states[-1]))
    gu = gw = 0.0
    carry = 1.0
    for t in range(len(xs), 0, -1):
        local = carry * (1 - states[t] ** 2)
        gu += local * xs[t - 1]
        gw += local * states[t - 1]
        carry = local * w
    return {"u": gu, "w": gw}


RNN = {"xs": R.standard_normal(4), "u": 0.7, "w": -0.6}


def half_slope(o):
    return o * (1 - o)


def gate(x, p):
    return 1 / (1 + np.exp(-(p @ x))) ** 2


def gate_grad(x, p):
    o = 1 / (1 + np.exp(-(p @ x)))
    return {"p": 2 * o * half_slope(o) * x}


GATE = {"x": R.standard_normal(3), "p": R.standard_normal(3)}


def norm(x, up):
    m = x.mean(1, keepdims=True)
    return ((x - m) / np.sqrt(((x - m) ** 2).mean(1, keepdims=True) + 1e-5) * up).sum()


def norm_grad(x, up):
    m = x.mean(1, keepdims=True)
    inv = 1 / np.sqrt(((x - m) ** 2).mean(1, keepdims=True) + 1e-5)
    xhat = (x - m) * inv
    first = up.mean(1, keepdims=True)
    second = (up * xhat).mean(1, keepdims=True)
    return {"x": inv * (up - first - xhat * second)}


NORM = {"x": R.standard_normal((3, 5)), "up": R.standard_normal((3, 5))}

SLIPS = [
    (norm, norm_grad, NORM, "(up * xhat).mean(", "(up * xhat).sum(", "second", ""),
    (net, net_grad, NET, "(z > 0) * 1.0", "(z < 0) * 1.0", "active", "the condition is the wrong way round"),
    (net, net_grad, NET, "np.outer(e, v) * active", "np.outer(e, v)", "half", ""),
    (
        pairs,
        pairs_grad,
        PAIRS,
        "np.add.at(out, i, pull)",
        "out[i] += pull",
        "out",
        "i names a row more than once, and out[i] += pull keeps only one of the parts for it",
    ),
    (rnn, rnn_grad, RNN, "gw += local", "gw = local", "gw", "this line writes over what gw held"),
    (rnn, rnn_grad, RNN, "(1 - states[t] ** 2)", "(1 - states[t]) ** 2", "local", "brackets"),
    (rnn, rnn_grad, RNN, "carry = local * w", "carry = local * u", "carry", "u stands where w belongs"),
]


@pytest.mark.parametrize(("model", "right", "at", "old", "new", "name", "why"), SLIPS)
@pytest.mark.slow
def test_the_line_is_blamed_whatever_it_is_called(model, right, at, old, new, name, why):
    report = verify(model, slip(right, old, new), at=at, wrt=list(right(**at)))
    assert report.wrong_steps == (name,)
    assert why in report.repairs[0].why
    assert "the loss is a mean" not in report.repairs[0].why  # none of these is
    assert report.repaired_source is not None
    assert agree(made_of(report.repaired_source, right), right, at)


def test_no_line_of_right_code_is_accused():
    for model, right, at in ((net, net_grad, NET), (pairs, pairs_grad, PAIRS), (rnn, rnn_grad, RNN)):
        report = verify(model, right, at=at, wrt=list(right(**at)))
        assert report.ok
        assert not report.wrong_steps
        assert not report.repairs


def halved(x, a):
    return a * x**2


def test_what_fits_the_given_data_alone_is_no_repair():
    """At a = 4 the missing factor a is 4, 2 * 2 and a**2 / 4 as well: only one is so at other data."""

    def hand(x, a):
        d = 2 * x
        return {"x": d}

    report = verify(halved, hand, at={"x": 1.3, "a": 4.0}, wrt=["x"])
    assert report.repaired_source is not None
    found = made_of(textwrap.dedent(report.repaired_source), halved, "hand")
    assert agree(found, lambda x, a: {"x": 2 * a * x}, {"x": 1.3, "a": 4.0})


class Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table, ids):
        ctx.save_for_backward(ids)
        ctx.rows = table.shape[0]
        return table[ids]

    @staticmethod
    def backward(ctx, grad_output):
        (ids,) = ctx.saved_tensors
        out = torch.zeros(ctx.rows, grad_output.shape[1], dtype=grad_output.dtype)
        out[ids] += grad_output
        return out, None


class Lost(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, grad_output):
        x, w = ctx.saved_tensors  # noqa: RUF059
        return grad_output * w, None


def test_an_embedding_whose_rows_repeat():
    ids = torch.tensor([1, 3, 1])
    report = verify_function(Rows, at={"table": torch.randn(4, 2, dtype=torch.float64), "ids": ids})
    assert report.wrong_steps == ("out",)
    assert "accumulate=True" in report.repairs[0].after
    assert "ids names a row more than once" in report.repairs[0].why


def test_none_for_a_trained_tensor_is_written_in_the_names_in_scope():
    at = {"x": torch.randn(3, 2, dtype=torch.float64), "w": torch.randn(2, dtype=torch.float64)}
    report = verify_function(Lost, at=at)
    assert report.wrong_steps == ("return",)
    assert report.repairs[0].after in ("(grad_output * x).sum(0)", "(x * grad_output).sum(0)")
    assert report.repairs[0].why.startswith("None says that there is no gradient")


def halving(x, a):
    s = a * x
    while s > 1:
        s = s / 2
    return s**2


def halving_grad(x, a):
    s, scale = a * x, 1.0
    while s > 1:
        s = s / 2
        scale = scale / 2
    return {"x": 2 * s * a * scale}


@pytest.mark.slow
def test_an_edit_that_never_ends_is_given_up():
    """``while s < 1`` and ``s = s * 2`` are edits that run for ever."""
    at = {"x": 3.3, "a": 1.7}
    report = verify(halving, slip(halving_grad, "scale = scale / 2", "scale = scale / 3"), at=at, wrt=["x"])
    assert report.verdict == "refuted"
    assert report.repaired_source is not None
    assert report.wrong_steps == ("scale",)


@pytest.mark.slow
def test_points_outside_of_a_factor_are_passed_over_in_the_search():
    """The evidence of a Gaussian process: a kernel that is moved far enough has no Cholesky factor."""

    def model(length, X, y):
        K = torch.exp(-0.5 * (X[:, None] - X[None]) ** 2 / length**2) + 0.1 * torch.eye(len(X), dtype=X.dtype)
        L = torch.linalg.cholesky(K)
        return -0.5 * y @ torch.cholesky_solve(y[:, None], L)[:, 0] - torch.log(torch.diagonal(L)).sum()

    def by_hand(length, X, y):
        d = (X[:, None] - X[None]) ** 2
        K = torch.exp(-0.5 * d / length**2)
        Ki = torch.linalg.inv(K + 0.1 * torch.eye(len(X), dtype=X.dtype))
        a = Ki @ y
        return 0.5 * torch.trace((torch.outer(a, a) + Ki) @ (K * d / length**3))

    X = torch.linspace(0, 1, 5, dtype=torch.float64)
    at = {"length": torch.tensor(0.7, dtype=torch.float64), "X": X, "y": torch.sin(5 * X)}
    report = verify(model, {"length": by_hand}, at=at, wrt="length")
    assert report.wrong_steps == ("return",)
    assert "torch.outer(a, a) - Ki" in report.repairs[0].after
