"""A script's derivations without a tracer are those of the record, at any point and in edited text."""

import ast

import numpy as np
import pytest
import torch

from symgrad import verify_script
from symgrad.lifting.scripts.execution import EventRewriter, numbered

NET = """
import numpy as np
np.random.seed(0)
X = np.random.randn(6, 3)
y = np.array([0, 1, 2, 2, 1, 0])

class Net:
    def __init__(self):
        self.p = {'W1': np.random.randn(3, 4) * 0.5, 'b1': np.zeros(4), 'W2': np.random.randn(4, 3) * 0.5}

    def step(self, X, y, rate):
        h = np.tanh(X.dot(self.p['W1']) + self.p['b1'])
        s = h.dot(self.p['W2'])
        p = np.exp(s) / np.sum(np.exp(s), axis=1, keepdims=True)
        loss = -np.mean(np.log(p[range(6), y]))
        grads = {}
        d = p.copy()
        d[range(6), y] -= 1
        d /= len(y)
        grads['W2'] = np.dot(h.T, d)
        back = d.dot(self.p['W2'].T) * (1 - h**2)
        grads['W1'] = np.dot(X.T, back)
        grads['b1'] = np.sum(back, axis=0)
        for k in self.p:
            self.p[k] -= rate * grads[k]
        return loss

net = Net()
for i in range(200):
    loss = net.step(X, y, 0.1)
print(loss)
"""

SKIPGRAM = """
import numpy as np

def neg_loss(v, U, drawn):
    g = np.zeros(U.shape)
    z = 1 / (1 + np.exp(U[drawn] @ v))
    loss = -np.sum(np.log(z))
    {line}
    return loss, g

v = np.array([0.5, -1.25, 0.75])
U = np.arange(15.0).reshape(5, 3) / 8 - 0.8
drawn = [3, 4, 3, 1]
loss, g = neg_loss(v, U, drawn)
h = 1e-5
for i in range(5):
    for j in range(3):
        up, down = U.copy(), U.copy()
        up[i, j] += h
        down[i, j] -= h
        num = (neg_loss(v, up, drawn)[0] - neg_loss(v, down, drawn)[0]) / (2 * h)
        print(num, g[i, j])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("d /= len(y)", "d /= 2 * len(y)"),
        ("back = d.dot(self.p['W2'].T) * (1 - h**2)", "back = d.dot(self.p['W2'].T) * (1 - h)"),
        ("grads['b1'] = np.sum(back, axis=0)", "grads['b1'] = np.mean(back, axis=0)"),
    ],
)
def test_a_line_of_a_net_in_a_class_is_found_and_mended(right: str, wrong: str):
    assert NET.count(right) == 1
    report = verify_script(NET.replace(right, wrong))
    assert report.verdict == "refuted"
    assert [s.source.text for s in report.steps if s.verdict == "wrong" and s.source] == [wrong]
    assert report.repaired_source is not None
    assert np.allclose(*(_after_a_step(text) for text in (report.repaired_source, NET)), rtol=1e-12, atol=0)


def _after_a_step(text: str) -> np.ndarray:
    """All parameters of the net after one step: they differ where a gradient does."""
    space: dict = {}
    exec(text.replace("range(200)", "range(1)").replace("print(loss)", ""), space)
    return np.concatenate([p.ravel() for p in space["net"].p.values()])


@pytest.mark.slow
def test_an_index_that_repeats_is_found_by_running_the_script():
    report = verify_script(SKIPGRAM.format(line="g[drawn] += np.outer(1 - z, v)"))
    assert report.verdict == "refuted"
    assert report.repairs[0].after == "np.add.at(g, drawn, np.outer(1 - z, v))"
    space: dict = {}
    exec((report.repaired_source or "").split("h = 1e-5")[0], space)
    U = torch.tensor(space["U"], requires_grad=True)
    (-torch.log(torch.sigmoid(-U[space["drawn"]] @ torch.tensor(space["v"]))).sum()).backward()
    assert U.grad is not None
    np.testing.assert_allclose(space["g"], U.grad.numpy(), rtol=1e-12)


@pytest.mark.slow
def test_an_edit_that_changes_the_model_is_no_repair():
    """w1 is an update of a mean, and the loss that it is of says so: the line of the loss is not to be edited."""
    text = """
import numpy as np
x = np.array([0.5, 1.5, -2.0])
t = np.array([1.0, 0.25, 3.0])
w = 0.75
e = w * x - t
loss = np.sum(e**2)
dw = 2 * np.mean(e * x)
w -= 0.1 * dw
"""
    report = verify_script(text)
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("dw",)
    assert report.repairs[0].after == "2 * np.sum(e * x)"


def test_a_statement_that_is_known_becomes_what_it_did_where_another_was_edited():
    text = '''
class Net:
    """A net."""
    sizes = [2, 3]
    def loss(self, x, y=None):
        a, b = self.w[0], 1.0; c = {0}
        for k in range(3):
            if (n := k) > 1: a = a * n
            self.grads["w"] = a * x
        with open("f") as f: d = [q for q in f]
        return a * b, lambda t: t + a
print(Net().loss(2.0))
'''
    numbers = tuple(range(3, 4 + text.count("\n")))
    for edit in ("a", "a - 1"):
        edited = text.format(edit)
        alone = ast.parse(edited)
        numbered(ast.walk(alone), numbers)
        alone = ast.fix_missing_locations(EventRewriter().visit(alone))
        made = EventRewriter(edited.split("\n"), numbers).visit(ast.parse(edited))
        assert ast.dump(made, include_attributes=True) == ast.dump(alone, include_attributes=True)
