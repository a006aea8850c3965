"""Forms in which people paste what they have: each right, and with a slip whose line is known."""

import pytest

from symgrad import verify_script


def verdicts(script: str) -> dict[str, str]:
    return {n: c.verdict.kind for n, c in verify_script(script).claims.items()}


ACTIONS = """
import numpy as np
acts = np.array([-0.3, 0.4, 1.1, 0.2])
sigma = 0.5
def q(a):
    return -(a - 2.0) ** 2
def J(mu):
    return -np.mean(q(acts) * (-0.5 * ((acts - mu) / sigma) ** 2))
def gradient(mu):
    return -np.mean(q(acts) * (acts - mu) / sigma**2)
mu = 0.1
for i in range(40):
    mu -= 0.01 * gradient(mu)
print(mu, J(mu))
"""
PAIRS_OF_ARRAYS = """
import numpy as np
data = [(np.array([0.5, 1.0]), 1), (np.array([-1.0, 0.3]), 0), (np.array([2.0, -0.4]), 1)]
w = np.array([0.2, -0.1])
def cost(w):
    return sum((w.dot(x) - t) ** 2 for x, t in data)
def grad(w):
    return sum(2 * (w.dot(x) - t) * x for x, t in data)
for epoch in range(20):
    w = w - 0.05 * grad(w)
print(cost(w))
"""
SUMS_BY_EPOCH = """
import math
data = [(0.5, 1), (-1.0, 0), (2.0, 1)]
w, b = 0.2, -0.1
for epoch in range(20):
    loss = 0.0
    dw = db = 0.0
    for x, t in data:
        p = 1 / (1 + math.exp(-(w * x + b)))
        loss += -(t * math.log(p) + (1 - t) * math.log(1 - p))
        dw += (p - t) * x
        db += p - t
    w -= 0.1 * dw
    b -= 0.1 * db
    print(epoch, loss)
"""
LISTS = """
x = [[1.0, 2.0], [0.5, -1.0], [2.0, 0.3]]
y = [1.0, 0.2, 3.1]
w = [0.1, -0.2]
for epoch in range(5):
    loss = 0.0
    gw = [0.0, 0.0]
    for a, t in zip(x, y):
        err = w[0] * a[0] + w[1] * a[1] - t
        loss += err**2
        for j in range(2):
            gw[j] += 2 * err * a[j]
    for j in range(2):
        w[j] -= 0.05 * gw[j]
    print(loss)
"""
SOFT_CLUSTERS = """
import numpy as np
x = np.array([1.8, 0.4, 1.0, 2.2, -1.0, 0.9])
mu = np.array([-0.5, 0.7])
beta = 2.0
def F(mu):
    return -np.sum(np.log(np.sum(np.exp(-beta * (x[:, None] - mu) ** 2), axis=1))) / beta
for it in range(20):
    r = np.exp(-beta * (x[:, None] - mu) ** 2)
    r /= r.sum(axis=1, keepdims=True)
    g = -2 * np.sum(r * (x[:, None] - mu), axis=0)
    mu = mu - 0.05 * g
print(mu, F(mu))
"""
ONE_BIAS = """
import numpy as np
rng = np.random.RandomState(0)
X, Y = rng.randn(6, 3), rng.randn(6, 2)
W, B = rng.randn(3, 2), rng.randn(1)
for i in range(10):
    out = np.tanh(X @ W + B)
    loss = 0.5 * np.sum((out - Y) ** 2)
    dZ = (out - Y) * (1 - out**2)
    dW = X.T @ dZ
    dB = dZ.sum()
    W -= 0.01 * dW
    B -= 0.01 * dB
    print(loss)
"""


REGULARISED = """
import numpy as np
rng = np.random.RandomState(1)
X, Y, W, reg = rng.randn(5, 4), rng.randn(5, 2), rng.randn(4, 2), 0.3
for it in range(5):
    D = np.tanh(X @ W) - Y
    loss = 0.5 * np.sum(D**2) + 0.5 * reg * np.sum(W * W)
    dW = X.T @ (D * (1 - np.tanh(X @ W) ** 2)) + reg * W
    W -= 0.1 * dW
"""


@pytest.mark.parametrize(
    ("script", "right", "slip", "refuted"),
    [
        pytest.param(REGULARISED, " + reg * W\n", "\n", {"W"}, id="a loss that is written is not assumed otherwise"),
        pytest.param(ACTIONS, "sigma**2)\nmu", "sigma)\nmu", {"mu"}, id="what a function gives has no name"),
        pytest.param(PAIRS_OF_ARRAYS, "2 * (w.dot", "(w.dot", {"w"}, id="a list of an array and a number each"),
        pytest.param(SUMS_BY_EPOCH, "(p - t) * x", "(p - t) + x", {"w"}, id="a sum that begins with each epoch"),
        pytest.param(LISTS, "err * a[j]", "err * a[0]", {"w[1]"}, id="a list that is changed entry by entry"),
        pytest.param(SOFT_CLUSTERS, "-2 * np", "-1 * np", {"mu"}, id="an objective that is told at the end"),
        pytest.param(ONE_BIAS, "dZ.sum()", "dZ.sum(axis=0).mean()", {"B"}, id="one number for an array of one entry"),
    ],
)
def test_a_right_one_is_proved_and_a_slip_is_refuted_alone(script: str, right: str, slip: str, refuted: set[str]):
    assert right in script
    assert set(verdicts(script).values()) == {"proved"}
    report = verify_script(script.replace(right, slip))
    assert {n for n, c in report.claims.items() if c.verdict.kind == "refuted"} == refuted
    lines = {s.source.line for s in report.steps if s.verdict == "wrong" and s.source is not None}
    assert lines == {1 + script[: script.index(right)].count("\n")}


IN_BATCHES = """
import numpy as np
rng = np.random.RandomState(0)
X, y, w = rng.randn(12, 3), rng.randn(12), np.zeros(3)
for epoch in range(5):
    for k in range(0, 12, 4):
        xb, yb = X[k : k + 4], y[k : k + 4]
        err = xb @ w - yb
        gw = xb.T @ err / 4
        w -= 0.1 * gw
    loss = 0.5 * np.mean((X @ w - y) ** 2)
    print(epoch, loss)
"""


def test_the_gradient_of_a_batch_is_not_that_of_the_loss_of_all():
    report = verify_script(IN_BATCHES)
    assert report.verdict == "proved"
    assert any("I assumed that it is" in n for n in report.notes)


def test_a_mean_where_a_sum_belongs_is_told_so():
    (repair,) = verify_script(ONE_BIAS.replace("dZ.sum()", "dZ.mean()")).repairs
    assert repair.after == "dZ.sum()"
    assert "a sum belongs here, and no mean" in repair.why


ALTERNATING = """
import numpy as np
rng = np.random.RandomState(0)
R = rng.rand(4, 5)
P, Q = rng.rand(4, 2), rng.rand(5, 2)
for it in range(15):
    E = P @ Q.T - R
    loss = 0.5 * np.sum(E**2) + 0.05 * (np.sum(P**2) + np.sum(Q**2))
    dP = E @ Q + 0.1 * P
    P = P - 0.05 * dP
    E = P @ Q.T - R
    dQ = E.T @ P + 0.1 * Q
    Q = Q - 0.05 * dQ
    print(it, loss)
"""


def test_an_alternation_of_steps_is_judged_where_each_is_taken():
    report = verify_script(ALTERNATING)
    assert {n: c.verdict.kind for n, c in report.claims.items()} == {"P": "proved", "Q": "proved"}
    assert any("Line 10 updates `P` before `dQ` is computed" in n and "alternation" in n for n in report.notes)
    assert verdicts(ALTERNATING.replace("E.T @ P + 0.1 * Q", "E.T @ P + Q")) == {"P": "proved", "Q": "refuted"}


def test_a_variable_that_was_updated_too_early_is_told():
    report = verify_script(ALTERNATING.replace("    E = P @ Q.T - R\n    dQ", "    dQ"))
    assert report.claims["Q"].verdict.kind == "refuted"
    assert any("Line 10 updates `P` before `dQ` is computed" in n and "values of before" in n for n in report.notes)


GUESS = """
>>> import numpy as np
>>> W = np.array([[0.5, -1.0], [0.3, 0.8], [-0.2, 0.1]])
>>> x = np.array([0.5, -1.2]); t = 2
>>> def softmax(z):
...     e = np.exp(z - z.max())
...     return e / e.sum()
...
>>> def loss(W):
...     return -np.log(softmax(W @ x)[t])
...
>>> p = softmax(W @ x)
>>> dW = np.outer(p * (1 - p), x)     # my guess
>>> num = np.zeros_like(W)
>>> for i in range(3):
...     for j in range(2):
...         E = np.zeros_like(W); E[i, j] = 1e-5
...         num[i, j] = (loss(W + E) - loss(W - E)) / 2e-5
...
>>> num
array([[ 0.3, -0.8]])
"""


@pytest.mark.slow
def test_a_guess_in_a_session_is_judged():
    assert verdicts(GUESS) == {"W": "refuted"}
    assert verdicts(GUESS.replace("p * (1 - p)", "p - np.eye(3)[t]")) == {"W": "proved"}


def test_the_magics_of_an_exported_notebook_do_nothing():
    exported = "# coding: utf-8\n# In[1]:\nget_ipython().run_line_magic('matplotlib', 'inline')\n" + PAIRS_OF_ARRAYS
    assert verdicts(exported) == {"w": "proved"}


MINUS = """
import torch
q = torch.tensor([0.3, -0.4], dtype=torch.float64, requires_grad=True)
U = 0.5 * q[0]**2 + q[0] * q[1] + torch.exp(q[1])
U.backward()
automatic = -q.grad
force = torch.stack([-q[0] - q[1], -q[0] - torch.exp(q[1])])
print(automatic)
print(force)
assert torch.allclose(automatic, force)
"""


@pytest.mark.slow
def test_what_stands_beside_minus_autograds_gradient_is_minus_the_gradient():
    """A force is minus the derivative of the potential."""
    right = verify_script(MINUS)
    assert {n: c.kind for n, c in right.claims.items()} == {"q": "proved"}
    assert any("`-force`" in n for n in right.notes)
    assert verify_script(MINUS.replace("- torch.exp(q[1])])", "+ torch.exp(q[1])])")).verdict == "refuted"
    assert verify_script(MINUS.replace("= -q.grad", "= q.grad")).verdict == "refuted"
