"""Right gradients that courses and papers are full of, with data as people give them: labels, masks, shares.

Whatever is done with the data, to find out whether a gradient is right for them alone, each of these stays right.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import verify

R = np.random.default_rng(3)
X, W, w = R.standard_normal((5, 3)), R.standard_normal((3, 3)), R.standard_normal(3)
BINARY, SIGNS = np.array([0.0, 1, 1, 0, 1]), np.array([-1.0, 1, 1, -1, 1])
CLASSES = np.eye(3)[[0, 2, 1, 1, 0]]
SCORES = R.standard_normal(5)
EDGES = np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def softmax(Z):
    E = np.exp(Z - Z.max(1, keepdims=True))
    return E / E.sum(1, keepdims=True)


def attention(Q, K, V, M):
    S = (Q @ K.T / 2**0.5).masked_fill(M == 0, -torch.inf)
    return (torch.softmax(S, -1) @ V).sum()


def attention_grad(Q, K, V, M):
    S = Q @ K.T / 2**0.5
    E = np.exp(S - S.max(1, keepdims=True)) * M
    P = E / E.sum(1, keepdims=True)
    G = np.ones_like(V)
    dP = G @ V.T
    dS = P * (dP - (dP * P).sum(1, keepdims=True))
    return {"Q": dS @ K / 2**0.5, "K": dS.T @ Q / 2**0.5, "V": P.T @ G}


def ranking(s, y):
    return torch.log(1 + torch.exp(-(s[:, None] - s[None, :])))[y[:, None] > y[None, :]].sum()


def ranking_grad(s, y):
    P = sigmoid(-(s[:, None] - s[None, :])) * (y[:, None] > y[None, :])
    return {"s": P.sum(0) - P.sum(1)}


CASES = {
    "logistic regression": (
        lambda w, y: (
            -(y * torch.log(torch.sigmoid(torch.as_tensor(X) @ w))).mean()
            - ((1 - y) * torch.log(1 - torch.sigmoid(torch.as_tensor(X) @ w))).mean()
        ),
        lambda w, y: {"w": X.T @ (sigmoid(X @ w) - y) / len(y)},
        {"w": w, "y": BINARY},
    ),
    "hinge loss": (
        lambda w, y: torch.clamp(1 - y * (torch.as_tensor(X) @ w), min=0).sum(),
        lambda w, y: {"w": -(X * (y * ((1 - y * (X @ w)) > 0))[:, None]).sum(0)},
        {"w": w, "y": SIGNS},
    ),
    "cross-entropy": (
        lambda W, Y: -(Y * torch.log_softmax(torch.as_tensor(X) @ W, 1)).sum() / 5,
        lambda W, Y: {"W": X.T @ (softmax(X @ W) - Y) / len(X)},
        {"W": W, "Y": CLASSES},
    ),
    "cross-entropy, classes in rows": (
        lambda W, Y: -(Y * torch.log_softmax(W @ torch.as_tensor(X).T, 0)).sum(),
        lambda W, Y: {"W": (softmax((W @ X.T).T).T - Y) @ X},
        {"W": W, "Y": CLASSES.T.copy()},
    ),
    "cross-entropy of one example": (
        lambda W, Y: -(Y * torch.log_softmax(torch.as_tensor(X[:1]) @ W, 1)).sum(),
        lambda W, Y: {"W": X[:1].T @ (softmax(X[:1] @ W) - Y)},
        {"W": W, "Y": CLASSES[:1]},
    ),
    "cross-entropy of shares": (
        lambda W, Y: -(Y * torch.log_softmax(torch.as_tensor(X) @ W, 1)).sum(),
        lambda W, Y: {"W": X.T @ (softmax(X @ W) - Y)},
        {"W": W, "Y": softmax(R.standard_normal((5, 3)))},
    ),
    "causal attention": (
        attention,
        attention_grad,
        {**{n: R.standard_normal((3, 2)) for n in "QKV"}, "M": np.tril(np.ones((3, 3)))},
    ),
    "a padded mean": (
        lambda x, m: (x**2 * m).sum() / m.sum(),
        lambda x, m: {"x": 2 * x * m / m.sum()},
        {"x": SCORES, "m": np.array([1.0, 1, 1, 0, 0])},
    ),
    "dropout": (
        lambda W, m: ((W @ torch.as_tensor(w)) * m).pow(2).sum() / 2,
        lambda W, m: {"W": np.outer((W @ w) * m * m, w)},
        {"W": W, "m": np.array([1.0, 0, 1])},
    ),
    "a graph's Laplacian": (
        lambda x, A: (A * (x[:, None] - x[None, :]) ** 2).sum() / 4,
        lambda x, A: {"x": A.sum(1) * x - A @ x},
        {"x": w, "A": EDGES},
    ),
    "Dice": (
        lambda p, t: 1 - 2 * (p * t).sum() / (p.sum() + t.sum()),
        lambda p, t: {"p": -2 * (t * (p.sum() + t.sum()) - (p * t).sum()) / (p.sum() + t.sum()) ** 2},
        {"p": sigmoid(SCORES), "t": BINARY},
    ),
    "pairwise ranking": (ranking, ranking_grad, {"s": SCORES, "y": np.array([2.0, 0, 1, 1, 0])}),
}


LONG = ("causal attention", "cross-entropy of shares", "cross-entropy, classes in rows", "cross-entropy")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in CASES]


@pytest.mark.parametrize("name", NAMES)
def test_a_classic_is_right(name):
    model, hand, at = CASES[name]
    wrt = [n for n in at if n in "wWxpsQKV"]
    report = verify(model, hand, at=at, wrt=wrt)
    assert report.ok
    assert not [n for n in report.notes if "only" in n or "fault of symgrad" in n]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_twice_a_classic_is_wrong(name):
    model, hand, at = CASES[name]
    wrt = [n for n in at if n in "wWxpsQKV"]
    report = verify(model, lambda **point: {n: 2 * g for n, g in hand(**point).items()}, at=at, wrt=wrt)
    assert report.verdict == "refuted"
