"""What stands around a derivation in people's scripts: clipped and adapted steps, names that mean two things, an engine
beside autograd.  Each is right, and wrong with a slip whose line is known."""

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput


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


@pytest.mark.slow
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


@pytest.mark.slow
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
    report = verify_script(ENGINE.replace("self.grad += other", "self.grad = other"))
    assert {n: c.kind for n, c in report.claims.items()} == {"a": "refuted", "b": "proved"}
    assert [r.after for r in report.repairs] == ["self.grad += other.data * out.grad"]


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


NO_LOSS = (
    START
    + """
p = 1 / (1 + np.exp(-(X @ w + b)))
dw = X.T @ (p - y)
print(dw)
"""
)


def test_where_no_number_is_computed_the_message_asks_for_a_line_that_computes_it():
    with pytest.raises(BadInput, match="Add a line that computes it, before its gradients are: loss = ") as asked:
        verify_script(NO_LOSS)
    assert "dw for w" in str(asked.value)
    loss = "loss = -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))\n"
    assert judged(NO_LOSS.replace("dw = ", loss + "dw = "))[0] == {"w": "proved"}


REGRESSOR = """
import numpy as np
rng = np.random.RandomState(0)

class Regressor:
    def __init__(self):
        self.W1_, self.W2_ = rng.randn(2, 3), rng.randn(3)

    def partial_fit(self, X, y):
        self.z_ = X @ self.W1_
        self.a_ = 1 / (1 + np.exp(-self.z_))
        error = self.a_ @ self.W2_ - y
        loss = np.sum(error ** 2) / 2
        delta = np.outer(error, self.W2_) * self.a_ * (1 - self.a_)
        dW2 = self.a_.T @ error
        self.W1_ -= 0.1 * (X.T @ delta)
        self.W2_ -= 0.1 * dW2
        return loss

model = Regressor()
X, y = rng.randn(5, 2), rng.randn(5)
for it in range(20):
    print(model.partial_fit(X, y))
"""


def test_an_attribute_is_another_one_wherever_a_line_has_it():
    line = "np.outer(error, self.W2_) * self.{0} * (1 - self.{0})"
    report = verify_script(REGRESSOR.replace(line.format("a_"), line.format("z_")))
    assert [(r.before, r.after) for r in report.repairs] == [(line.format("z_"), line.format("a_"))]


MINIBATCHES = """
import numpy as np
rng = np.random.RandomState(0)
X, w_true = rng.randn(12, 2), rng.randn(2)
y = X @ w_true + 0.1 * rng.randn(12)

def mse(w, A, t):
    return np.mean((A @ w - t) ** 2)

def mse_grad(w, A, t):
    return 2 * A.T @ (A @ w - t) / len(t)

w = np.zeros(2)
for start in (0, 6):
    w = w - 0.1 * mse_grad(w, X[start:start + 6], y[start:start + 6])
print(mse(w, X, y))

w0 = rng.randn(2)
print(np.array([(mse(w0 + 1e-6 * e, X, y) - mse(w0 - 1e-6 * e, X, y)) / 2e-6 for e in np.eye(2)]) - mse_grad(w0, X, y))
"""


def test_a_gradient_is_not_that_for_what_the_data_were_made_of():
    """The difference quotient moves w0; w_true has its shape, and the data that the loss depends on are made of it."""
    assert judged(MINIBATCHES)[0] == {"w": "proved", "w0": "proved"}
    assert judged(MINIBATCHES.replace("return 2 * A", "return A"))[0]["w0"] == "refuted"


CHECKS = """
import numpy as np
X, y = np.array([[1.0, 2.0], [0.3, -1.0], [2.0, 0.7]]), np.array([1.0, 0.0, 2.0])

def loss_and_grad(w, b):
    r = X @ w + b - y
    return r @ r, 2 * X.T @ r, 2 * np.sum(r) * np.ones(1)

def check(f, x):
    fx, grad = f(x)
    h = 1e-5
    for k in range(len(x)):
        x[k] += h
        high = f(x)[0]
        x[k] -= 2 * h
        low = f(x)[0]
        x[k] += h
        if abs((high - low) / 2 / h - grad[k]) > 1e-4:
            print("wrong at", k)
            return
    print("fine")

w, b = np.array([0.5, -0.3]), np.array([0.1])
check(lambda v: loss_and_grad(v, b)[:2], w)
check(lambda v: loss_and_grad(w, v)[::2], b)
"""


@pytest.mark.slow
def test_that_a_check_never_fails_is_no_branch_that_was_not_reached():
    """The second gradient is computed behind the check of the first one, which returns early where it fails."""
    assert judged(CHECKS)[0] == {"w": "proved", "b": "proved"}
    assert judged(CHECKS.replace("2 * np.sum(r)", "np.sum(r)"))[0] == {"w": "proved", "b": "refuted"}


PLAIN_LISTS = """
import random
def example_slopes(a, b, coef):
    k, m = coef
    gap = k * a + m - b
    return [2 * gap * a, 2 * gap]
def by_differences(f, v, i, h):
    w = [v_j + (h if j == i else 0) for j, v_j in enumerate(v)]
    return (f(w) - f(v)) / h
points = [(a, 3 * a - 2) for a in range(-3, 4)]
random.seed(1)
coef = [random.uniform(-1, 1), random.uniform(-1, 1)]
def mean_error(coef):
    return sum((coef[0] * a + coef[1] - b) ** 2 for a, b in points) / len(points)
every = [example_slopes(a, b, coef) for a, b in points]
grad = [sum(g[k] for g in every) / len(every) for k in range(2)]
print(grad, [by_differences(mean_error, coef, k, 0.0001) for k in range(2)])
"""


def test_the_numbers_of_a_list_are_moved_one_by_one():
    """One entry has the small number added, the other a zero: the quotient is of what `mean_error` gives.

    What is printed beside it is meant as the gradient, however it is called.
    """
    assert judged(PLAIN_LISTS)[0] == {"coef": "proved"}
    assert judged(PLAIN_LISTS.replace("grad ", "these ").replace("(grad,", "(these,"))[0] == {"coef": "proved"}
    assert judged(PLAIN_LISTS.replace("[2 * gap * a, 2 * gap]", "[2 * gap * a, gap]"))[0] == {"coef": "refuted"}


CLIPPED_IN_PLACE = """
import numpy as np
np.random.seed(3)
x, W, w = np.random.randn(3), np.random.randn(4, 3), np.random.randn(4)
h = W @ x
h[h < 0] = 0
loss = 0.5 * (w @ h - 1)**2
dh = (w @ h - 1) * w
dh[h <= 0] = 0
dW = np.outer(dh, x)
W -= 0.1 * dW
"""


def test_a_mask_of_what_it_changes_is_read_before_the_change():
    """``h < 0`` is true nowhere once ``h[h < 0] = 0`` has been done: that is no branch that was not reached."""
    assert judged(CLIPPED_IN_PLACE)[0] == {"W": "proved"}
    assert judged(CLIPPED_IN_PLACE.replace("dh[h <= 0] = 0\n", ""))[0] == {"W": "refuted"}


FORCE = """
import numpy as np
def energy(x):
    return 0.5 * x[0]**2 + x[0] * x[1] + np.exp(x[1])
def force(x):
    return np.array([-x[0] - x[1], -x[0] - np.exp(x[1])])
x, h = np.array([0.3, -0.4]), 1e-5
num = np.zeros(2)
for i in range(2):
    up, down = x.copy(), x.copy()
    up[i] += h
    down[i] -= h
    num[i] = -(energy(up) - energy(down)) / (2*h)
f = force(x)
print(f - num)
"""


@pytest.mark.slow
def test_what_stands_beside_minus_a_difference_quotient_is_minus_the_gradient():
    """A force is minus the derivative of the energy, however the minus is written."""
    assert judged(FORCE)[0] == {"x": "proved"}
    assert judged(FORCE.replace("-(energy(up) - energy(down))", "(energy(down) - energy(up))"))[0] == {"x": "proved"}
    assert judged(FORCE.replace("-(energy(up) - energy(down))", "(energy(up) - energy(down))"))[0] == {"x": "refuted"}
    assert judged(FORCE.replace("- np.exp(x[1])])", "+ np.exp(x[1])])"))[0] == {"x": "refuted"}


NAIVE_CHECK = """
import numpy as np
def f(w):
    r = A @ w - b
    loss = np.sum(r**2)
    grad = A.T @ r
    return loss, grad
A, b, w, h = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([0.3, 0.7]), np.array([0.2, -0.4]), 1e-5
loss, grad = f(w)
it = np.nditer(w, flags=["multi_index"], op_flags=["readwrite"])
while not it.finished:
    i = it.multi_index
    w[i] += h
    up = f(w)[0]
    w[i] -= 2 * h
    down = f(w)[0]
    w[i] += h
    print(grad[i] - (up - down) / (2 * h))
    it.iternext()
"""


@pytest.mark.slow
def test_an_iterator_at_its_end_is_no_hindrance_to_the_search_for_the_line():
    """What has come to its end fails where it is asked for its shape."""
    report = verify_script(NAIVE_CHECK)
    assert report.wrong_steps == ("grad",)
    assert report.repairs[0].proved


HINGE = """
import torch
torch.manual_seed(0)
x = torch.randn(5, 3)
s = torch.tensor([-1., 1., 1., -1., 1.])
w = torch.randn(3, requires_grad=True)
margin = s * (x @ w)
loss = torch.clamp(1 - margin, min=0).mean()
loss.backward()
active = (margin < 1).float()
grad_w = -(active * s) @ x / len(x)
print(w.grad, grad_w)
"""


def test_a_mask_of_values_is_no_data():
    """All margins are below 1 where the script runs; a mask that stays as it is there would be wrong elsewhere."""
    assert judged(HINGE)[0] == {"w": "proved"}
    assert judged(HINGE.replace("margin < 1", "margin < 2"))[0] == {"w": "refuted"}


@pytest.mark.slow
def test_no_line_is_read_as_a_derivative_by_data():
    renamed = {"\ns = torch": "\ny = torch", "s * (x @ w)": "y * (x @ w)", "active * s": "active * y"}
    labelled = HINGE
    for old, new in renamed.items():
        labelled = labelled.replace(old, new)
    report = verify_script(labelled.replace("margin < 1", "margin < 0"))
    assert report.verdict == "refuted"
    assert "by y" not in str(report)
