"""Scripts whose parameters belong to several objects of one class, or stand in lists: each is judged by itself.

Two layers have a ``self.W`` each.  What is said of one of them says nothing of the other.
"""

import pytest

from symgrad.api.script_verifier import verify_script
from symgrad.errors import BadInput

DATA = """
import numpy as np
np.random.seed(0)
X = np.random.randn(4, 2)
Y = np.sin(X.sum(axis=1, keepdims=True))
"""

LAYERS = (
    DATA
    + """
class Dense:
    def __init__(self, m, n, last=False):
        self.W, self.last = 0.5*np.random.randn(m, n), last
    def forward(self, x):
        self.x = x
        self.a = x @ self.W if self.last else np.tanh(x @ self.W)
        return self.a
    def backward(self, d):
        if not self.last:
            d = d*(1 - self.a**2)
        self.dW = self.x.T @ d
        return d @ self.W.T

layers = [Dense(2, 3), Dense(3, 1, True)]
for turn in range(20):
    h = X
    for layer in layers:
        h = layer.forward(h)
    loss = 0.5*np.sum((h - Y)**2)
    d = h - Y
    for layer in reversed(layers):
        d = layer.backward(d)
    UPDATE
"""
)

BY_HAND = LAYERS.replace("UPDATE", "for layer in layers:\n        layer.W -= 0.1*layer.dW")

BY_AN_OPTIMIZER = LAYERS.replace("UPDATE", "optimizer.step(layers)").replace(
    "layers = [",
    """class Momentum:
    def __init__(self):
        self.v = {}
    def step(self, layers):
        for i, layer in enumerate(layers):
            g = getattr(layer, "dW")
            self.v[i] = 0.9*self.v.get(i, 0) + 0.1*g**2
            setattr(layer, "W", layer.W - 0.1*g/(np.sqrt(self.v[i]) + 1e-8))

optimizer = Momentum()
layers = [""",
)

IN_DICTIONARIES = (
    DATA
    + """
net = [{"W": np.random.randn(2, 3)}, {"W": np.random.randn(3, 1)}]
for turn in range(20):
    a = np.tanh(X @ net[0]["W"])
    out = a @ net[1]["W"]
    loss = 0.5*np.sum((out - Y)**2)
    d = out - Y
    net[1]["dW"] = a.T @ d
    net[0]["dW"] = X.T @ ((d @ net[1]["W"].T)*(1 - a**2))
    for layer in net:
        layer["W"] -= 0.1*layer["dW"]
"""
)

IN_LISTS = (
    DATA
    + """
W = [np.random.randn(2, 3), np.random.randn(3, 1)]
for turn in range(20):
    a = np.tanh(X @ W[0])
    out = a @ W[1]
    loss = 0.5*np.sum((out - Y)**2)
    d = out - Y
    dW = [None, None]
    dW[1] = a.T @ d
    dW[0] = X.T @ ((d @ W[1].T)*(1 - a**2))
    for i in range(2):
        W[i] -= 0.1*dW[i]
"""
)


@pytest.mark.parametrize(
    ("script", "first", "second"),
    [
        (BY_HAND, "layers[0].W", "layers[1].W"),
        pytest.param(BY_AN_OPTIMIZER, "layers[0].W", "layers[1].W", marks=pytest.mark.slow),
        pytest.param(IN_DICTIONARIES, "net[0]['W']", "net[1]['W']", marks=pytest.mark.slow),
        pytest.param(IN_LISTS, "W[0]", "W[1]", marks=pytest.mark.slow),
    ],
    ids=["objects", "an optimizer", "dictionaries", "lists"],
)
def test_a_slip_in_the_first_layer_is_not_hidden_by_the_last(script: str, first: str, second: str):
    right = verify_script(script)
    assert {name: claim.kind for name, claim in right.claims.items()} == {first: "proved", second: "proved"}
    wrong = verify_script(script.replace("a**2)", "a)"))
    assert {name: claim.kind for name, claim in wrong.claims.items()} == {first: "refuted", second: "proved"}
    assert all("a**2" in r.after.replace(" ", "") for r in wrong.repairs)
    assert wrong.repaired_source is not None


def test_objects_that_no_variable_leads_to_are_counted():
    """The layers are known to a function alone: their names tell them apart all the same."""
    inside = BY_HAND.replace("layers = [", "def train():\n  layers = [")
    head, body = inside.split("def train():\n")
    report = verify_script(head + "def train():\n" + body.replace("\n", "\n  ").rstrip() + "\ntrain()\n")
    assert {name: claim.kind for name, claim in report.claims.items()} == {"self.W": "proved", "self.W (2)": "proved"}


CLOSURES = (
    DATA
    + """
def dense(m, n):
    W, seen = 0.5*np.random.randn(m, n), {}
    def forward(x):
        seen["x"] = x
        return x @ W
    def backward(d):
        dW = seen["x"].T @ d
        before = d @ W.T
        W[...] -= 0.1*dW
        return before
    return forward, backward

layers = [dense(2, 3), dense(3, 1)]
for turn in range(20):
    h = X
    for forward, _ in layers:
        h = forward(h)
    loss = 0.5*np.sum((h - Y)**2)
    d = h - Y
    for _, backward in reversed(layers):
        d = backward(d)
"""
)


def test_closures_whose_variables_have_one_name_are_asked_about():
    """Of two layers one alone would be judged, and the report would read as if there were no other."""
    with pytest.raises(BadInput, match="line 13 computes dW for several variables that are all called W"):
        verify_script(CLOSURES)


RECURRENT = """
import numpy as np
class RNN:
    def __init__(self):
        self.W, self.U = np.array([[0.3, -0.2]]), np.array([[0.1, 0.4], [-0.3, 0.2]])
    def forward(self, xs):
        self.xs, self.hs = xs, [np.zeros(2)]
        for x in xs:
            self.hs.append(np.tanh(x @ self.W + self.hs[-1] @ self.U))
        return self.hs[-1]
    def backward(self, dh):
        self.dW, self.dU = np.zeros_like(self.W), np.zeros_like(self.U)
        for t in reversed(range(len(self.xs))):
            dz = dh*(1 - self.hs[t + 1]**2)
            self.dW += np.outer(self.xs[t], dz)
            self.dU += np.outer(self.hs[t], dz)
            dh = self.U @ dz
net, xs = RNN(), np.array([[0.5], [-1.0]])
for turn in range(20):
    out = net.forward(xs)
    loss = 0.5*np.sum((out - 0.25)**2)
    net.backward(out - 0.25)
    net.W -= 0.1*net.dW
    net.U -= 0.1*net.dU
"""


def test_the_zeros_that_each_turn_begins_with_are_no_other_variables():
    report = verify_script(RECURRENT)
    assert {name: claim.kind for name, claim in report.claims.items()} == {"W": "proved", "U": "proved"}


NAMELESS = """
import math

class Value:
    def __init__(self, data, children=()):
        self.data, self.grad, self.parents, self.back = data, 0.0, set(children), lambda: None

    def __add__(self, other):
        out = Value(self.data + other.data, (self, other))
        def back():
            self.grad += out.grad
            other.grad += out.grad
        out.back = back
        return out

    def __mul__(self, other):
        out = Value(self.data * other.data, (self, other))
        def back():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out.back = back
        return out

    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,))
        def back():
            self.grad += (1 - t) * out.grad
        out.back = back
        return out

    def backward(self):
        order, seen = [], set()
        def visit(v):
            if v not in seen:
                seen.add(v)
                for parent in v.parents:
                    visit(parent)
                order.append(v)
        visit(self)
        self.grad = 1.0
        for v in reversed(order):
            v.back()

weights, bias = [Value(0.3), Value(-0.7)], Value(0.2)
out = (weights[0] * Value(2.0) + weights[1] * Value(-1.0) + bias).tanh()
loss = out * out
loss.backward()
print([w.grad for w in weights], bias.grad)
"""


@pytest.mark.slow
def test_numbers_without_a_name_in_sets_are_gone_through_in_one_order():
    # a set of a script's objects goes through them by their addresses: in each run in another order
    report = verify_script(NAMELESS)
    assert report.verdict == "refuted"
    assert [r.after for r in report.repairs] == ["(1 - t**2) * out.grad"]
    assert verify_script(NAMELESS.replace("(1 - t)", "(1 - t * t)")).verdict == "proved"
