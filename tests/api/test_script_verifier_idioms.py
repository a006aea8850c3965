"""What stands around a derivation in people's scripts: clipped and adapted steps, names that mean two things, an engine
beside autograd.  Each is right, and wrong with a slip whose line is known."""

import pytest

from symgrad import verify_script


def judged(script: str) -> tuple[dict[str, str], set[str]]:
    """The verdict of each input, and the lines that are called wrong."""
    report = verify_script(script)
    lines = {s.source.text.strip() for s in report.steps if s.verdict == "wrong" and s.source is not None}
    return {n: c.verdict.kind for n, c in report.claims.items()}, lines


START = """
import numpy as np
X = np.array([[1.0, 2.0], [0.3, -1.0], [2.0, 0.7]])
y = np.array([1.0, 0.0, 2.0])
w = np.array([0.5, -0.3])
b = 0.1
"""
NET = """
for it in range(5):
    r = np.tanh(X @ w + b) - y
    loss = np.sum(r ** 2)
    ds = 2 * r * (1 - np.tanh(X @ w + b) ** 2)
    dw = X.T @ ds
    db = np.sum(ds)
"""
CLIPPED = {
    "in place": "    np.clip(dw, -1, 1, out=dw)\n    w -= 0.1 * dw",
    "in place, in a loop": "    for g in [dw]:\n        np.clip(g, -0.01, 0.01, out=g)\n    w -= 0.1 * dw",
    "by a new value": "    dw = np.clip(dw, -1, 1)\n    w -= 0.1 * dw",
    "in the update": "    w -= 0.1 * np.clip(dw, a_min=-1, a_max=1)",
    "as a number": "    db = max(-0.1, min(db, 0.1))\n    b -= 0.1 * db",
}


@pytest.mark.parametrize("clip", CLIPPED.values(), ids=CLIPPED.keys())
def test_a_gradient_is_judged_as_it_is_before_it_is_clipped(clip):
    """All of them are clipped at the script's own numbers; what is beyond a bound is no slip in the derivation."""
    script = START + NET + clip
    verdicts, _ = judged(script)
    assert verdicts
    assert set(verdicts.values()) <= {"proved", "agrees"}
    assert any("clipped" in note for note in verify_script(script).notes)
    wrong, lines = judged(script.replace("2 * r *", "r *"))
    assert "refuted" in wrong.values()
    assert lines == {"ds = r * (1 - np.tanh(X @ w + b) ** 2)"}


def test_an_error_that_is_clipped_is_the_slope_of_hubers_loss():
    """That is no bound on a gradient: it is the derivative, and with another bound it is none."""
    script = (
        START
        + """
for it in range(5):
    r = X @ w - y
    loss = np.sum(np.where(np.abs(r) < 0.5, 0.5 * r ** 2, 0.5 * (np.abs(r) - 0.25)))
    delta = r
    delta = np.clip(delta, -0.5, 0.5)
    dw = X.T @ delta
    w -= 0.1 * dw
"""
    )
    assert set(judged(script)[0].values()) <= {"proved", "agrees"}
    assert "refuted" in judged(script.replace("-0.5, 0.5", "-0.7, 0.7"))[0].values()


ADAPTIVE = {
    "Adagrad": "    m += dw * dw\n    w += -0.1 * dw / np.sqrt(m + 1e-8)",
    "RMSprop": "    m = 0.9 * m + 0.1 * dw ** 2\n    w -= 0.1 * dw / (np.sqrt(m) + 1e-8)",
    "Adam": "    v = 0.9 * v + 0.1 * dw\n    m = 0.99 * m + 0.01 * dw ** 2\n"
    "    vhat = v / (1 - 0.9 ** (it + 1))\n    w -= 0.1 * vhat / (np.sqrt(m) + 1e-8)",
}


@pytest.mark.parametrize("update", ADAPTIVE.values(), ids=ADAPTIVE.keys())
def test_the_gradient_is_what_an_adaptive_step_is_made_of(update):
    script = START + "m = np.zeros(2)\nv = np.zeros(2)\n" + NET + update
    verdicts, _ = judged(script)
    assert verdicts["w"] in ("proved", "agrees")
    wrong, lines = judged(script.replace("dw = X.T @ ds", "dw = X.T @ r"))
    assert wrong["w"] == "refuted"
    assert lines == {"dw = X.T @ r"}


WINDOWS = """
import numpy as np
rng = np.random.RandomState(0)

class Layer:
    def __init__(self):
        self.W = rng.randn(3)

    def forward(self, x):
        H, W = x.shape
        self.cols = np.zeros((H * (W - 2), 3))
        for i in range(H):
            for j in range(W - 2):
                self.cols[i * (W - 2) + j] = x[i, j:j + 3]
        return self.cols @ self.W

    def backward(self, dout):
        self.dW = self.cols.T @ dout

x, t = rng.randn(2, 5), rng.randn(6)
layer = Layer()

def loss():
    return 0.5 * np.sum((layer.forward(x) - t) ** 2)

layer.backward(layer.forward(x) - t)
h = 1e-5
for k in range(3):
    old = layer.W[k]
    layer.W[k] = old + h
    high = loss()
    layer.W[k] = old - h
    low = loss()
    layer.W[k] = old
    print(abs((high - low) / 2 / h - layer.dW[k]))
"""


def test_a_width_may_have_the_name_of_the_weights():
    assert judged(WINDOWS)[0] == {"W": "proved"}
    verdicts, lines = judged(WINDOWS.replace("self.cols.T @ dout", "2 * self.cols.T @ dout"))
    assert (verdicts, lines) == ({"W": "refuted"}, {"self.dW = 2 * self.cols.T @ dout"})


ENGINE = """
import torch

class Value:
    def __init__(self, data, children=()):
        self.data = data
        self.grad = 0.0
        self.children = set(children)
        self.push = lambda: None

    def __mul__(self, other):
        out = Value(self.data * other.data, (self, other))
        def push():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out.push = push
        return out

a, b = Value(2.0), Value(-3.0)
c = a * b
d = c * a
d.grad = 1.0
d.push()
c.push()
print(a.grad, b.grad)

ta = torch.tensor(2.0, requires_grad=True)
tb = torch.tensor(-3.0, requires_grad=True)
(ta * tb * ta).backward()
print(ta.grad, tb.grad)
"""


def test_an_engine_is_judged_where_autograd_is_asked_for_other_tensors():
    assert judged(ENGINE)[0] == {"a": "proved", "b": "proved"}
    verdicts, lines = judged(ENGINE.replace("self.grad += other", "self.grad = other"))
    assert verdicts == {"a": "refuted", "b": "proved"}
    assert lines == {"self.grad = other.data * out.grad"}


def test_data_are_no_gradient_by_their_name():
    script = (
        START.replace("X =", "X_data =").replace("y =", "y_dev =")
        + """
def cost(w):
    return np.sum((X_data @ w - y_dev) ** 2)

grad = 2 * X_data.T @ (X_data @ w - y_dev)
h = 1e-5
print([(cost(w + h * e) - cost(w - h * e)) / (2 * h) for e in np.eye(2)] - grad)
"""
    )
    assert judged(script)[0] == {"w": "proved"}
