"""A script that trains for long is followed for its first turns."""

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput

TRAINS = """
import numpy as np
rng = np.random.default_rng(0)
X = rng.normal(size=(6, 3)); y = rng.normal(size=6)
w = np.zeros(3)
for step in range(100000):
    r = X @ w - y
    loss = (r**2).sum() / len(y)
    dw = 2 * X.T @ r / len(y)
    w = w - 0.05 * dw
print(loss)
"""


def test_a_loop_of_a_hundred_thousand_turns_is_judged_by_its_first():
    report = verify_script(TRAINS)
    assert report.verdict == "proved"
    assert any("a loop goes on, and its first turns tell what it does" in n for n in report.notes)


def test_a_slip_in_it_is_found():
    report = verify_script(TRAINS.replace("2 * X.T @ r / len(y)", "2 * X.T @ r"))
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("dw",)


HINGE = """
import numpy as np
x, y = np.array([0.5, -1.0, 2.0]), np.array([1.0, 1.0, -1.0])

def hinge(w):
    loss, dw = 0.0, 0.0
    for k in range(3):
        if y[k] * x[k] * w < 1:
            loss += 1 - y[k] * x[k] * w
            dw -= y[k] * x[k]
    return loss, dw

w, h = 0.25, 1e-5
loss, dw = hinge(w)
print((hinge(w + h)[0] - hinge(w - h)[0]) / (2 * h), dw)
"""


def test_what_is_bound_more_often_on_another_branch_is_still_found():
    assert verify_script(HINGE).verdict == "proved"


@pytest.mark.slow
def test_a_slip_below_the_condition_is_refuted():
    assert verify_script(HINGE.replace("dw -=", "dw +=")).verdict == "refuted"


def test_what_is_bound_below_a_condition_alone_is_the_last_of_its_line():
    plain = HINGE.replace(
        "def hinge(w):\n    loss, dw = 0.0, 0.0", "w, h = 0.25, 1e-5\nif True:\n    loss, dw = 0.0, 0.0"
    )
    plain = plain[: plain.index("    return")] + "print(loss)\nw -= 0.1 * dw\n"
    assert verify_script(plain).ok


# ------------------------------------------------------------------------------------------------ on the way

THROUGH_TIME = """
import numpy as np
W = np.array([[0.5, -0.25], [0.3, 0.8]])
def run(xs):
    h, kept = np.zeros(2), []
    for x in xs:
        z = W @ h + x
        h = np.tanh(z)
        kept.append((z, h))
    return 0.5*float((h**2).sum()), h, kept
xs = [np.array([0.4, -1.2]), np.array([0.9, 0.1]), np.array([-0.3, 0.7])]
for turn in range(30):
    L, h, kept = run(xs)
    g = dict(W=np.zeros((2, 2)))
    dh = h.copy()
    for k in (2, 1, 0):
        dz = dh*(1 - kept[k][1])
        if k > 0: g['W'] += np.outer(dz, kept[k-1][1])
        dh = W.T @ dz
    for k in g:
        globals()[k] = globals()[k] - 0.2*g[k]
    if turn % 10 == 0:
        print(turn, L)
"""


@pytest.mark.slow
def test_where_the_updates_are_not_understood_no_value_on_the_way_is_judged_instead():
    """dh and dz are names that are used again in each turn; judged by these, an innocent line was accused."""
    hidden = THROUGH_TIME.replace("globals()[k] = globals()[k] - 0.2*g[k]", "exec(k + ' = ' + k + ' - 0.2*g[k]')")
    with pytest.raises(BadInput, match="nothing in it says what is differentiated"):
        verify_script(hidden)
    claims = verify_script(THROUGH_TIME).claims
    assert {n: c.verdict.kind for n, c in claims.items()} == {"W": "refuted"}


# ------------------------------------------------------------------------------------------------ asked turn by turn

ASKS = """
import torch
from torch.func import grad
torch.manual_seed(0)
X, y = torch.randn(5, 3, dtype=torch.double), torch.randn(5, dtype=torch.double)

def loss(w):
    return ((X @ w - y)**2).mean()

def loss_grad(w):
    return 2 * X.T @ (X @ w - y) / len(y)

w = torch.randn(3, dtype=torch.double)
auto = grad(loss)
for k in range(400):
    mine = loss_grad(w)
    assert (mine - auto(w)).abs().max() < 1e-10
    w = w - 0.1 * mine
print("final", loss(w).item())
"""


def test_a_loop_that_asks_in_each_of_its_turns_is_followed_for_three():
    report = verify_script(ASKS)
    assert report.verdict == "proved"
    assert any("is differentiated 3 times" in n for n in report.notes)


@pytest.mark.slow
def test_what_is_compared_behind_such_a_loop_is_judged_too():
    behind = "other = 3 * loss_grad(w) / 2\nassert (other - auto(w)).abs().max() < 1\n"
    report = verify_script(ASKS.replace("400", "60") + behind)
    assert report.verdict == "refuted"
    assert any("`other`" in n for n in report.notes)


NETWORK = """
import numpy as np
rng = np.random.default_rng(0)
X, T = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
W, V = 0.3*rng.normal(size=(3, 8)), 0.3*rng.normal(size=(8, 2))
for turn in range(500):
    h = np.maximum(0, X @ W)
    out = h @ V
    loss = np.sum((out - T)**2) / len(X)
    dout = 2*(out - T)/len(X)
    dV = h.T @ dout
    dh = dout @ V.T
    dh[h <= 0] = 0
    dW = X.T @ dh
    W -= 0.1*dW; V -= 0.1*dV
"""


def test_a_network_with_a_mask_is_proved_for_every_pattern_at_once():
    report = verify_script(NETWORK)
    assert report.verdict == "proved"
    assert report.counts["points"] <= 4  # each of which has another pattern
    assert "no comparison is a tie" in str(report)


@pytest.mark.slow
def test_a_mask_of_another_comparison_is_wrong():
    report = verify_script(NETWORK.replace("dh[h <= 0] = 0", "dh[h <= 0.1] = 0"))
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("dh",)


BAND = """
import numpy as np
rng = np.random.default_rng(3)
X, T = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
W = 0.6*rng.normal(size=(3, 4))
for turn in range(500):
    z = X @ W
    h = np.where((z > -0.5) & (z < 0.5), z, 0.0)
    loss = np.sum((h - T)**2)
    dh = 2*(h - T)
    dh[(z <= -0.5) | (z >= 0.5)] = 0
    dW = X.T @ dh
    W -= 0.001*dW
"""


@pytest.mark.slow
def test_a_mask_that_no_single_comparison_gave_is_judged_branch_by_branch():
    """Its pattern at one point is no layout, and no proof for every pattern."""
    report = verify_script(BAND)
    assert report.ok
    assert report.counts["branches"] > 4


BACK_IN_TIME = """
import numpy as np
rng = np.random.default_rng(1)
xs, p = rng.normal(size=(3, 2)), {"W": rng.normal(size=(2, 2)) * 0.4}

def forward(p):
    h, hs = np.zeros(2), [np.zeros(2)]
    for x in xs:
        h = np.tanh(p["W"] @ h + x)
        hs.append(h)
    return 0.5 * np.sum(h ** 2), hs

def back(dh, h, h_before):
    g = {}
    dz = dh * (1 - h ** 2)
    g["dW"] = np.outer(dz, h_before)
    g["dh"] = p["W"].T @ dz
    return g

cost, hs = forward(p)
grads = {"dW": np.zeros((2, 2))}
dh = hs[-1]
for t in reversed(range(3)):
    g = back(dh, hs[t + 1], hs[t])
    grads["dW"] += g["dW"]
    dh = g["dh"]
print(cost)
"""


@pytest.mark.slow
def test_what_a_loop_adds_up_is_the_gradient_and_no_part_of_it():
    # nothing but names says what is meant: `dW` of one turn, or the sum over all turns, which is the derivative
    assert verify_script(BACK_IN_TIME).ok


@pytest.mark.slow
def test_a_slip_in_one_turn_is_found_in_the_sum():
    assert verify_script(BACK_IN_TIME.replace("1 - h ** 2", "1 - h")).verdict == "refuted"


def test_what_is_passed_from_layer_to_layer_is_no_variable_that_descends():
    code = """
import numpy as np

class Scale:
    def __init__(self):
        self.W = np.array([0.3, -0.2])
    def forward(self, x):
        self.x = x
        return x * self.W
    def backward(self, grad):
        self.dW = np.sum(grad * self.x, axis=0)
        return grad * self.W

class Half:
    def forward(self, x):
        return 0.5 * x
    def backward(self, grad):
        return grad * 0.5

layers = [Scale(), Half()]
x, y = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0, 0.0], [2.0, 1.0]])
for epoch in range(3):
    out = x
    for layer in layers:
        out = layer.forward(out)
    loss = np.sum((out - y) ** 2)
    grad = 2 * (out - y)
    for layer in reversed(layers):
        grad = layer.backward(grad)
    layers[0].W -= 0.1 * layers[0].dW
"""
    report = verify_script(code)
    assert report.verdict == "proved"
    assert not any("Nothing was found" in note for note in report.notes)


ADAM = """
import numpy as np
rng = np.random.default_rng(0)
X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
theta, bias = np.zeros(2), 0.0
m, v, t = np.zeros(3), np.zeros(3), 0
while t < 30:
    t += 1
    err = X @ theta + bias - y
    cost = np.sum(err ** 2) / 2
    g_t = np.append(X.T @ err, err.sum())
    m = 0.9 * m + 0.1 * g_t
    v = 0.999 * v + 0.001 * g_t * g_t
    step = 0.01 * (m / (1 - 0.9 ** t)) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-8)
    theta = theta - step[:2]
    bias = bias - step[2]
"""


@pytest.mark.slow
def test_adam_by_hand_on_joined_gradients_is_no_wrong_gradient():
    code = ADAM.replace("np.append(X.T @ err, err.sum())", "np.append(g_theta, g_bias)")
    code = code.replace("    g_t =", "    g_theta, g_bias = X.T @ err, err.sum()\n    g_t =")
    assert verify_script(code).verdict == "proved"
    assert verify_script(code.replace("X.T @ err, err", "2 * X.T @ err, err")).verdict == "refuted"
