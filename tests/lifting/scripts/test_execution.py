"""A derivation may be anything that computes: each form is judged right as it is, and wrong with a slip in it.

The model is ``sum(tanh(x * w))``, its gradient ``(1 - tanh(x * w)**2) * x``; each form computes it another way.
"""

import numpy as np
import pytest

from symgrad import verify_script
from symgrad.errors import LostValue

SCRIPT = """
import math, random
import numpy as np
import torch

w0, x0 = np.array([0.5, -0.3, 0.8]), np.array([1.5, -2.0, 0.25])
w = torch.tensor(w0, requires_grad=True)
loss = torch.tanh(torch.tensor(x0) * w).sum()
loss.backward()
{}
print(w.grad, dw)
"""

FORMS = {
    "a function with a return": """
def slope(w, x):
    t = np.tanh(x * w)
    return (1 - t**2) * x
dw = slope(w0, x0)
""",
    "a class with a cache, parameters and gradients in dicts": """
class Layer:
    def __init__(self, w):
        self.params, self.cache, self.grads = {"w": w}, {}, {}
    @staticmethod
    def squash(z):
        return np.tanh(z)
    def forward(self, x):
        self.cache["x"] = x
        self.cache["t"] = t = self.squash(x * self.params["w"])
        return t
    def backward(self, up):
        x, t = self.cache["x"], self.cache["t"]
        self.grads["w"] = up * (1 - t**2) * x
layer = Layer(w0)
layer.forward(x0)
layer.backward(np.ones(3))
dw = layer.grads["w"]
""",
    "a closure, and a chain of functions": """
def make(x):
    def forward(w):
        t = np.tanh(x * w)
        return t, lambda up: up * (1 - t**2) * x
    return forward
out, pull = make(x0)(w0)
dw = pull(np.ones_like(out))
""",
    "a loop that writes into an array": """
dw = np.zeros(3)
for i in range(3):
    t = np.tanh(x0[i] * w0[i])
    dw[i] += (1 - t**2) * x0[i]
""",
    "plain lists and math": """
dw = []
for a, b in zip(w0.tolist(), x0.tolist()):
    t = math.tanh(a * b)
    dw.append((1 - t**2) * b)
dw = np.array(dw)
""",
    "a comprehension, sum and enumerate": """
pairs = list(enumerate(zip(w0, x0)))
dw = np.array([sum((1 - math.tanh(x * v)**2) * x for j, (v, x) in pairs if j == i) for i, _ in pairs])
""",
    "a generator": """
def slopes(w, x):
    for a, b in zip(w, x):
        t = np.tanh(a * b)
        yield (1 - t**2) * b
dw = np.fromiter(slopes(w0, x0), dtype=float)
""",
    "recursion": """
def slopes(w, x):
    if len(w) == 0:
        return []
    t = np.tanh(w[0] * x[0])
    return [(1 - t**2) * x[0]] + slopes(w[1:], x[1:])
dw = np.array(slopes(w0, x0))
""",
    "in place, by masks and places": """
z = x0 * w0
np.tanh(z, out=z)
dw = np.ones(3)
dw -= z**2
dw[x0 < 0] *= x0[x0 < 0]
dw[np.where(x0 >= 0)] *= x0[x0 >= 0]
""",
    "np.add.at and einsum": """
t = np.tanh(x0 * w0)
dw = np.zeros(3)
np.add.at(dw, [0, 1, 2], np.einsum("i,i->i", 1 - t**2, x0))
""",
    "np.vectorize and a conditional": """
slope = np.vectorize(lambda a, b: (1 - math.tanh(a * b)**2) * b if b > -10 else 0.0)
dw = slope(w0, x0)
""",
    "matrices and their shapes": """
W, X = w0.reshape(3, 1), x0[:, None]
T = np.tanh(np.multiply(X, W))
dW = np.dot(np.diag((1 - T**2).ravel()), X)
dw = dW.squeeze()
""",
    "an engine of values": """
class Value:
    def __init__(self, data, children=()):
        self.data, self.grad, self.children, self.push = data, 0.0, set(children), lambda: None
    def __mul__(self, o):
        out = Value(self.data * o.data, (self, o))
        def push():
            self.grad += o.data * out.grad
            o.grad += self.data * out.grad
        out.push = push
        return out
    def __add__(self, o):
        out = Value(self.data + o.data, (self, o))
        def push():
            self.grad += out.grad
            o.grad += out.grad
        out.push = push
        return out
    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,))
        def push():
            self.grad += (1 - t**2) * out.grad
        out.push = push
        return out
    def backward(self):
        order, seen = [], set()
        def visit(v):
            if v not in seen:
                seen.add(v)
                for c in v.children:
                    visit(c)
                order.append(v)
        visit(self)
        self.grad = 1.0
        for v in reversed(order):
            v.push()
ws = [Value(v) for v in w0.tolist()]
total = Value(0.0)
for v, x in zip(ws, x0.tolist()):
    total = total + (v * Value(x)).tanh()
total.backward()
dw = np.array([v.grad for v in ws])
""",
    "what is plotted, logged, saved and drawn on the way": """
import logging, os
logging.warning("at %f", w0[0])
with open("log.txt", "a") as log:
    log.write(f"{w0[0]:.3f} {round(w0[1], 2)}\\\\n")
    print(w0, file=log)
np.savetxt("w.csv", w0, delimiter=",")
assert os.path.exists("w.csv")
np.linalg.svd(np.outer(x0, x0)); np.random.shuffle(np.arange(3.0)); random.gauss(0, 1)
drawn = np.random.choice(3, p=np.exp(w0) / np.exp(w0).sum())
t = np.tanh(x0 * w0)
dw = (1 - t**2) * x0
""",
}


@pytest.mark.parametrize("name", FORMS)
def test_a_right_form_is_right(name):
    report = verify_script(SCRIPT.format(FORMS[name]))
    assert report.verdict == "proved"
    assert not any("stops early" in note for note in report.notes)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.slow
def test_a_slip_in_it_is_seen(name):
    """The slope of tanh at half of its value: the first 1 - t**2 loses its square, or what stands for it."""
    text = FORMS[name]
    places = ("t**2", "(x * v)**2", "z**2", "(a * b)**2", "T**2")
    slip = next(p for p in places if p in text)
    report = verify_script(SCRIPT.format(text.replace(slip, slip.removesuffix("**2"), 1)))
    assert report.verdict == "refuted"


class Series:
    """A column as pandas has it: it holds plain numbers, and takes no others."""

    __module__ = "pandas"

    def __init__(self, values):
        self.held = [float(v) for v in values]

    def __array__(self, dtype=None, copy=None):
        return np.array(self.held)

    def __mul__(self, other):
        return Series(np.array(self.held) * np.asarray(other, dtype=float))


@pytest.mark.slow
def test_a_column_of_a_table_that_meets_an_input_is_an_array():
    table = {"column": Series([1.5, -2.0, 0.25])}
    right = "t = np.tanh(column * w0)\ndw = column * (1 - t**2)"
    report = verify_script(SCRIPT.format(right), namespace=table)
    assert report.ok
    assert str(report).startswith("Right for your x0 only")  # the column only has the same numbers
    assert verify_script(SCRIPT.format(right.replace("t**2", "t")), namespace=table).verdict == "refuted"


def test_what_cannot_be_followed_is_named_with_its_line():
    with pytest.raises(LostValue) as caught:
        verify_script(SCRIPT.format("import statistics\ndw = np.full(3, statistics.NormalDist(0, w0[2]).cdf(0.3))"))
    assert "statistics.NormalDist(0, w0[2]).cdf(0.3)" in caught.value.where
    with pytest.raises(LostValue) as caught:
        verify_script(SCRIPT.format("dw = np.random.normal(w0, 1.0)"))
    assert caught.value.what.startswith("numpy.random.normal() would turn a value that depends on the inputs")
    assert caught.value.instead.startswith("Draw numbers that depend on nothing")
    drawn = "z = np.random.randn(3)\nr = w0 + 0.0 * z\ndw = (1 - np.tanh(x0 * r)**2) * x0"
    assert verify_script(SCRIPT.format(drawn)).verdict == "proved"
