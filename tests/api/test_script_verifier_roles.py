"""Scripts that never call autograd: what their parts are taken to be, and on which evidence."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from symgrad.api.script_verifier import verify_script
from symgrad.errors import BadInput, UnknownName


def kinds(report):
    return {name: claim.kind for name, claim in report.claims.items()}


# ------------------------------------------------------------------------------------------------ updates

LINE_FIT = """
import numpy as np
rng = np.random.RandomState(3)
inputs = rng.randn(9, 3)
wanted = rng.randn(9)
weights = np.zeros(3)
offset = 0.0
speed = 0.05
for epoch in range(40):
    guess = inputs @ weights + offset
    cost = np.mean((guess - wanted)**2)
    slope_w = 2*inputs.T @ (guess - wanted)/len(wanted)
    slope_b = 2*np.mean(guess - wanted)
    weights = weights - speed*slope_w
    offset = offset - speed*slope_b
print(cost)
"""


def test_what_a_variable_is_moved_by_is_its_gradient():
    report = verify_script(LINE_FIT)
    assert kinds(report) == {"weights": "proved", "offset": "proved"}
    assert report.notes[:3] == (
        "I took `cost` as the output, and `weights` and `offset` as its inputs.",
        "As gradients I took `slope_w` for `weights` and `slope_b` for `offset`, with which the script updates them.",
    )
    wrong = verify_script(LINE_FIT.replace("slope_b = 2*np.mean", "slope_b = np.mean"))
    assert kinds(wrong) == {"weights": "proved", "offset": "refuted"}
    assert wrong.wrong_steps == ("slope_b",)
    assert [(r.before, r.after) for r in wrong.repairs] == [("np.mean(guess - wanted)", "2 * np.mean(guess - wanted)")]
    assert kinds(verify_script(wrong.repaired_source)) == {"weights": "proved", "offset": "proved"}


def test_the_truth_is_torchs_in_float64():
    report = verify_script(LINE_FIT.replace("weights = np.zeros(3)", "weights = np.array([0.5, -1.0, 0.25])"))
    rng = np.random.RandomState(3)
    x, y = torch.tensor(rng.randn(9, 3)), torch.tensor(rng.randn(9))
    w = torch.tensor([0.5, -1.0, 0.25], dtype=torch.float64, requires_grad=True)
    ((x @ w - y) ** 2).mean().backward()
    assert report.claims["weights"].exact_value == pytest.approx(w.grad.numpy(), rel=1e-12)


IN_A_DICTIONARY = """
import numpy as np
def start():
    np.random.seed(4)
    return {'A1': np.random.randn(3, 2), 'c1': np.zeros(2), 'A2': np.random.randn(2, 1)}
def step(p, x, y):
    h = np.tanh(x @ p['A1'] + p['c1'])
    out = h @ p['A2']
    loss = 0.5*np.sum((out - y)**2)
    grads = {}
    grads['A2'] = h.T @ (out - y)
    back = (out - y) @ p['A2'].T * (1 - h**2)
    grads['A1'] = x.T @ back
    grads['c1'] = back.sum(axis=0)
    return loss, grads
p = start()
x, y = np.random.randn(6, 3), np.random.randn(6, 1)
for i in range(5):
    loss, grads = step(p, x, y)
    for k in p:
        p[k] += -0.1*grads[k]
"""


def test_parameters_in_a_dictionary():
    assert kinds(verify_script(IN_A_DICTIONARY)) == {"A1": "proved", "c1": "proved", "A2": "proved"}
    wrong = verify_script(IN_A_DICTIONARY.replace("* (1 - h**2)", "* (1 - h)"))
    assert kinds(wrong) == {"A1": "refuted", "c1": "refuted", "A2": "proved"}
    assert wrong.wrong_steps == ("back",)


BY_ENTRIES = """
import numpy as np
data = [([1.0, 2.0], 1.0), ([0.5, -1.0], 0.0), ([2.0, 0.3], 1.0)]
w = np.array([0.1, -0.3])
for epoch in range(2):
    for x, t in data:
        z = w[0]*x[0] + w[1]*x[1]
        p = 1/(1 + np.exp(-z))
        error = -t*np.log(p) - (1 - t)*np.log(1 - p)
        g0 = (p - t)*x[0]
        g1 = (p - t)*x[1]
        w[0] = w[0] - 0.1*g0
        w[1] = w[1] - 0.1*g1
"""


def test_entries_that_are_updated_one_by_one():
    report = verify_script(BY_ENTRIES)
    assert kinds(report) == {"w[0]": "proved", "w[1]": "proved"}
    wrong = verify_script(BY_ENTRIES.replace("(p - t)*x[1]", "(p - t)*x[0]"))
    assert kinds(wrong) == {"w[0]": "proved", "w[1]": "refuted"}
    assert wrong.wrong_steps == ("g1",)
    assert [(r.before, r.after) for r in wrong.repairs] == [("(p - t)*x[0]", "(p - t)*x[1]")]


def test_momentum_passes_the_gradient_on():
    text = LINE_FIT.replace("offset = 0.0\n", "offset = 0.0\nv = np.zeros(3)\n").replace(
        "    weights = weights - speed*slope_w", "    v = 0.9*v - speed*slope_w\n    weights = weights + v"
    )
    assert kinds(verify_script(text)) == {"weights": "proved", "offset": "proved"}


# ------------------------------------------------------------------------------------------------ no loss

NO_LOSS = """
import numpy as np
def squash(a): return 1/(1 + np.exp(-a))
def slope(s): return s*(1 - s)
X = np.array([[0, 1], [1, 0], [1, 1], [0, 0]])
goal = np.array([[1], [1], [0], [0]])
np.random.seed(6)
first = np.random.uniform(-1, 1, (2, 3))
second = np.random.uniform(-1, 1, (3, 1))
for turn in range(30):
    hidden = squash(X @ first)
    out = squash(hidden @ second)
    miss = goal - out
    d_out = miss*slope(out)
    d_hidden = d_out @ second.T*slope(hidden)
    second += hidden.T @ d_out*0.5
    first += X.T @ d_hidden*0.5
print(out)
"""


def test_a_loss_that_is_not_written_down_is_assumed_and_told():
    report = verify_script(NO_LOSS)
    assert kinds(report) == {"first": "proved", "second": "proved"}
    (told,) = (n for n in report.notes if "assumed" in n)
    assert told == (
        "The script writes down no loss that its updates are those of. "
        "I assumed that it is half the sum of squares of out - the targets."
    )


@pytest.mark.slow
def test_what_lacks_a_factor_under_the_assumed_loss_is_located():
    report = verify_script(NO_LOSS.replace("d_out @ second.T*slope(hidden)", "d_out @ second.T"))
    assert kinds(report) == {"first": "refuted", "second": "proved"}
    assert report.wrong_steps == ("d_hidden",)


def test_an_error_without_a_slope_is_that_of_the_cross_entropy():
    report = verify_script(NO_LOSS.replace("d_out = miss*slope(out)", "d_out = miss"))
    assert kinds(report) == {"first": "proved", "second": "proved"}
    assert any("cross-entropy of out (of a sigmoid)" in n for n in report.notes)


SOFTMAX = """
import numpy as np
np.random.seed(2)
X = np.random.randn(5, 3)
labels = np.array([0, 1, 1, 2, 0])
W = np.random.randn(3, 3)*0.1
for i in range(10):
    scores = X @ W
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e/e.sum(axis=1, keepdims=True)
    d = p.copy()
    d[np.arange(5), labels] -= 1
    W -= 0.1*X.T @ d/5
"""


@pytest.mark.slow
def test_classes_whose_ones_are_taken_off_a_softmax():
    report = verify_script(SOFTMAX)
    assert report.ok
    assert any("cross-entropy of" in n and "softmax" in n for n in report.notes)


# ------------------------------------------------------------------------------------------------ difference quotients

QUOTIENT = """
import numpy as np
a = np.array([0.4, -0.2, 0.9])
def value(v):
    return np.sum(np.sin(v)*a)
def by_hand(v):
    return np.cos(v)*a
v = np.array([0.3, 0.7, -1.1])
mine = by_hand(v)
step = 1e-5
for k in range(3):
    up, down = v.copy(), v.copy()
    up[k] += step
    down[k] -= step
    print(k, mine[k], (value(up) - value(down))/(2*step))
"""


def test_what_is_printed_beside_a_difference_quotient():
    report = verify_script(QUOTIENT)
    assert kinds(report) == {"v": "proved"}
    assert report.notes[1] == "For `v` I took `mine`, which the script compares with a difference quotient."
    wrong = verify_script(QUOTIENT.replace("return np.cos(v)*a", "return -np.cos(v)*a"))
    assert kinds(wrong) == {"v": "refuted"}
    assert wrong.wrong_steps == ("return",)


IN_PLACE = """
import numpy as np
def cost_and_gradient(M, x):
    h = np.tanh(M @ x)
    return h.sum(), np.outer(1 - h**2, x)
rng = np.random.RandomState(1)
M, x = rng.randn(2, 3), rng.randn(3)
J, G = cost_and_gradient(M, x)
numeric = np.zeros_like(M)
for i in range(2):
    for j in range(3):
        keep = M[i, j]
        M[i, j] = keep + 1e-6
        high = cost_and_gradient(M, x)[0]
        M[i, j] = keep - 1e-6
        low = cost_and_gradient(M, x)[0]
        M[i, j] = keep
        numeric[i, j] = (high - low)/2e-6
print(np.abs(G - numeric).max())
"""


@pytest.mark.slow
def test_an_array_that_is_moved_in_place_and_back():
    assert kinds(verify_script(IN_PLACE)) == {"M": "proved"}
    wrong = verify_script(IN_PLACE.replace("np.outer(1 - h**2, x)", "np.outer(1 - h, x)"))
    assert kinds(wrong) == {"M": "refuted"}


def test_check_grad_is_a_comparison():
    text = """
from scipy.optimize import check_grad
import numpy as np
def f(t, k): return np.sum(np.exp(k*t))
def g(t, k): return SLOPE
print(check_grad(f, g, np.array([0.1, 0.2]), 3.0))
"""
    assert kinds(verify_script(text.replace("SLOPE", "k*np.exp(k*t)"))) == {"x0": "proved"}
    wrong = verify_script(text.replace("SLOPE", "np.exp(k*t)"))
    assert kinds(wrong) == {"x0": "refuted"}
    assert wrong.wrong_steps == ("return",)


LAYER = """
import numpy as np
def forward(x, w, b):
    return np.tanh(x @ w + b)
def backward(dout, x, w, b):
    y = forward(x, w, b)
    dz = dout*(1 - y**2)
    return dz @ w.T, x.T @ dz, dz.sum(axis=0)
rng = np.random.RandomState(0)
x, w, b = rng.randn(4, 3), rng.randn(3, 2), rng.randn(2)
dout = rng.randn(4, 2)
out = forward(x, w, b)
dx, dw, db = backward(dout, x, w, b)
print(dw)
"""


def test_a_layer_is_asked_with_its_own_cotangent():
    report = verify_script(LAYER)
    assert kinds(report) == {"x": "proved", "w": "proved", "b": "proved"}
    assert report.notes[0] == "I took the sum of `out * dout` as the output, and `x`, `w` and `b` as its inputs."


# ------------------------------------------------------------------------------------------------ plain Python


@pytest.mark.slow
def test_lists_of_numbers():
    text = """
def total(t, points):
    return sum((t[0]*x + t[1] - y)**2 for x, y in points)
points = [(1.0, 2.0), (2.0, 2.5), (3.0, 4.5)]
t = [0.2, -0.1]
grad = [sum(2*(t[0]*x + t[1] - y)*x for x, y in points), sum(2*(t[0]*x + t[1] - y) for x, y in points)]
h = 1e-6
numeric = [(total([t[0] + h, t[1]], points) - total([t[0] - h, t[1]], points))/(2*h),
           (total([t[0], t[1] + h], points) - total([t[0], t[1] - h], points))/(2*h)]
print(grad, numeric)
"""
    assert kinds(verify_script(text)) == {"t": "proved"}
    assert kinds(verify_script(text.replace("- y)*x for", "- y) for"))) == {"t": "refuted"}


ENGINE = """
import math
class Number:
    def __init__(self, data, children=()):
        self.data, self.grad = data, 0.0
        self.children, self.back = children, lambda: None
    def __mul__(self, other):
        out = Number(self.data*other.data, (self, other))
        def back():
            self.grad += other.data*out.grad
            other.grad += self.data*out.grad
        out.back = back
        return out
    def exp(self):
        out = Number(math.exp(self.data), (self,))
        def back():
            self.grad += out.data*out.grad
        out.back = back
        return out
    def backward(self):
        order, seen = [], []
        def visit(n):
            if not any(n is s for s in seen):
                seen.append(n)
                for c in n.children: visit(c)
                order.append(n)
        visit(self)
        self.grad = 1.0
        for n in reversed(order): n.back()
p = Number(0.3)
q = Number(-1.2)
r = (p*q).exp()*p
r.backward()
print(p.grad, q.grad)
"""


def test_numbers_that_know_their_gradient():
    report = verify_script(ENGINE)
    assert kinds(report) == {"p": "proved", "q": "proved"}
    assert report.notes[0] == "I took `r` as the output, and `p` and `q` as its inputs."
    wrong = verify_script(ENGINE.replace("self.grad += out.data*out.grad", "self.grad += out.grad"))
    assert kinds(wrong) == {"p": "refuted", "q": "refuted"}


# ------------------------------------------------------------------------------------------------ rightness


def test_a_rate_takes_the_factor_of_steps_that_have_no_name():
    text = """
import numpy as np
x = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.1]])
y = np.array([1.0, -1.0, 0.5])
w = np.array([0.3, 0.2])
for i in range(5):
    out = np.tanh(x @ w)
    loss = np.mean((y - out)**2)
    w += 0.1*(x.T @ ((y - out)*(1 - out**2)))
    print(loss)
"""
    report = verify_script(text)
    assert kinds(report) == {"w": "proved"}
    assert report.notes[0] == "I took `3/2 * loss` as the output, and `w` as its input."


def test_two_variables_of_one_value_are_not_mixed_up():
    text = """
import numpy as np
a = np.array([1.0, 2.0]); b = np.array([1.0, 2.0])
loss = np.sum(a**2) + 3*np.sum(b)
da = 2*a
db = 3*np.ones(2)
a = a - 0.1*da
b = b - 0.1*db
"""
    assert kinds(verify_script(text)) == {"a": "proved", "b": "proved"}


def test_a_gradient_that_is_right_where_the_weights_are_zero_alone_is_wrong():
    """d sum(w**2 + cos(w)) / dw is zero at zero, and 2 w - sin(w) elsewhere."""
    text = """
import numpy as np
w = np.zeros(2)
loss = np.sum(w**2 + np.cos(w))
dw = 2*w
w = w - 0.1*dw
"""
    assert kinds(verify_script(text)) == {"w": "refuted"}


# ------------------------------------------------------------------------------------------------ leaves

ROWS = """
import numpy as np, torch
A = np.array([[1.0, 2.0], [3.0, -1.0]])
p = torch.tensor(A[0], requires_grad=True)
q = torch.tensor(A[1], requires_grad=True)
loss = p @ q + (p*p).sum()
loss.backward()
dp = A[1] + 2*A[0]
print(dp, p.grad)
"""


def test_leaves_that_are_rows_of_an_array():
    assert kinds(verify_script(ROWS)) == {"p": "proved"}
    assert kinds(verify_script(ROWS.replace("+ 2*A[0]", "+ 2*A[1]"))) == {"p": "refuted"}


def test_a_leaf_that_is_read_from_an_object_of_the_script():
    text = """
import numpy as np, torch
class Table:
    def __init__(self): self.rows = np.array([[1.0, 2.0]])
    def step(self): self.rows[0, :] += -0.1*(2*self.rows[0, :])
table = Table()
before = table.rows.copy()
table.step()
moved = (before - table.rows)[0]/0.1
r = torch.tensor(before[0], requires_grad=True)
loss = (r*r).sum()
loss.backward()
print(moved, r.grad)
"""
    assert kinds(verify_script(text)) == {"r": "proved"}


# ------------------------------------------------------------------------------------------------ questions

TWO_VALUES = """
import numpy as np
u = np.array([1.0, 2.0, 0.5])
first = np.sum(np.exp(u))
second = np.sum(u**3)
answer = u*0.1
print(answer, first, second)
"""


def test_what_the_script_does_not_tell_is_asked_with_the_names_found():
    with pytest.raises(BadInput) as info:
        verify_script(TWO_VALUES)
    assert str(info.value) == (
        "the script does not call autograd, and nothing in it says what is meant as a gradient.\n"
        "    numbers that it computes: first, second\n"
        "    variables that hold numbers: u, first, second, answer\n"
        "Say which is which: output='first', gradients={'u': 'answer'}; or, on the command line: --output first "
        "--gradient u=answer."
    )


@pytest.mark.slow
def test_the_advice_works(tmp_path):
    report = verify_script(TWO_VALUES, output="first", gradients={"u": "answer"})
    assert kinds(report) == {"u": "refuted"}
    assert report.notes[1] == "For `u` I took `answer`, as you said."
    right = TWO_VALUES.replace("answer = u*0.1", "answer = 3*u**2")
    assert kinds(verify_script(right, output="second", gradients={"u": "answer"})) == {"u": "proved"}
    path = tmp_path / "post.txt"
    path.write_text(right)
    options = ["--output", "second", "--gradient", "u=answer"]
    ran = subprocess.run([sys.executable, "-m", "symgrad", "check", str(path), *options], capture_output=True)
    assert ran.returncode == 0


def test_names_that_the_script_does_not_have():
    with pytest.raises(UnknownName, match="the script computes no 'anser'"):
        verify_script(TWO_VALUES, output="first", gradients={"u": "anser"})


def test_wrt_leaves_the_other_inputs_out():
    assert kinds(verify_script(LINE_FIT, wrt="offset")) == {"offset": "proved"}


XOR = """
import numpy as np
X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
y = np.array([[0], [1], [1], [0]])
np.random.seed(1)
W1, W2 = np.random.randn(3, 4), np.random.randn(4, 1)
for epoch in range(1000):
    h = np.tanh(X @ W1)
    out = 1 / (1 + np.exp(-h @ W2))
    error = out - y
    delta = error * out * (1 - out)
    dW2 = h.T @ delta
    back = delta @ W2.T * (1 - h**2)
    W2 -= 0.5 * dW2
    W1 -= 0.5 * X.T @ back
"""


def test_the_rate_may_stand_inside_of_a_product():
    report = verify_script(XOR)
    assert kinds(report) == {"W1": "proved", "W2": "proved"}
    assert any("half the sum of squares" in n for n in report.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "verdicts"),
    [
        ("delta @ W2.T", "error @ W2.T", {"W1": "refuted", "W2": "proved"}),
        ("h.T @ delta", "h.T @ error", {"W1": "proved", "W2": "refuted"}),
        ("(1 - h**2)", "(1 - h)", {"W1": "refuted", "W2": "proved"}),
    ],
)
def test_the_assumed_loss_is_the_one_whose_slope_is_computed(right: str, wrong: str, verdicts: dict[str, str]):
    report = verify_script(XOR.replace(right, wrong))
    assert kinds(report) == verdicts
    assert any(wrong in r.before and right in r.after for r in report.repairs)


ADAM = """
import numpy as np
class Adam:
    def __init__(self, lr=0.1):
        self.lr, self.v = lr, {}
    def step(self, params, grads):
        for k in params:
            self.v[k] = 0.9 * self.v.get(k, 0) + 0.1 * grads[k]**2
            params[k] -= self.lr * grads[k] / (np.sqrt(self.v[k]) + 1e-8)
rng = np.random.default_rng(3)
X, y = rng.normal(size=(5, 2)), rng.normal(size=5)
params, opt = {"w": rng.normal(size=2), "b": np.zeros(1)}, Adam()
for i in range(20):
    pred = X @ params["w"] + params["b"]
    loss = np.mean((pred - y)**2)
    d = 2 * (pred - y) / len(y)
    grads = {"w": X.T @ d, "b": np.array([d.sum()])}
    opt.step(params, grads)
"""


def test_gradients_that_a_dictionary_is_written_with_are_those_that_an_optimizer_is_given():
    assert kinds(verify_script(ADAM)) == {"w": "proved", "b": "proved"}


SAMPLES = """
import math
inputs, targets = [[0.0, 1.0], [1.0, 0.5]], [1.0, 0.0]
hidden, out, rate = [[0.3, -0.2], [0.1, 0.4]], [0.5, -0.6], 0.5
for x, t in zip(inputs * 2, targets * 2):
    h = [1 / (1 + math.exp(-w[0] * x[0] - w[1] * x[1])) for w in hidden]
    o = 1 / (1 + math.exp(-out[0] * h[0] - out[1] * h[1]))
    d = (o - t) * o * (1 - o)
    back = [d * out[j] * h[j] * (1 - h[j]) for j in range(2)]
    for j in range(2):
        out[j] -= rate * d * h[j]
        for i in range(2):
            hidden[j][i] -= rate * back[j] * x[i]
"""


def test_a_rate_inside_of_a_product_of_numbers():
    """The lists in ``hidden`` are not followed: a script is not right as long as their steps are not judged."""
    report = verify_script(SAMPLES)
    assert set(kinds(report).values()) == {"proved"}
    assert report.verdict == "undecided"
    assert set(report.unjudged) == {"hidden"}


def test_a_backward_pass_whose_one_is_an_argument():
    script = """
class Scalar:
    def __init__(self, val, parents=()):
        self.val, self.parents, self.grad = val, parents, 0.0
    def __add__(self, o):
        return Scalar(self.val + o.val, ((self, 1.0), (o, 1.0)))
    def __mul__(self, o):
        return Scalar(self.val * o.val, ((self, o.val), (o, self.val)))
    def backprop(self, g=1.0):
        self.grad += g
        for p, local in self.parents:
            p.backprop(g * local)
x, y = Scalar(1.25), Scalar(0.5)
z = x * y + x
z.backprop()
print(x.grad, y.grad)
"""
    assert kinds(verify_script(script)) == {"x": "proved", "y": "proved"}
