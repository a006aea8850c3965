"""Every step of a descent is judged, or the script is not right: several objects, several calls, rows and entries.

The truth is the pencil's: each script is written with right gradients, and with one slip.
"""

import pytest

from symgrad import verify_script

SLOW = pytest.mark.slow

GAN_OF_CLASSES = """
import numpy as np
rng = np.random.RandomState(0)

class Generator:
    def __init__(self):
        self.W = rng.randn(2, 2) * 0.5
    def forward(self, z):
        self.z = z
        self.out = np.tanh(z @ self.W)
        return self.out
    def backward(self, dout):
        dW = self.z.T @ (dout * (1 - self.out**2))
        self.W -= 0.1 * dW

class Critic:
    def __init__(self):
        self.W = rng.randn(2, 1) * 0.5
        self.b = np.zeros((1, 1))
    def forward(self, x):
        self.x = x
        return 1 / (1 + np.exp(-(x @ self.W + self.b)))
    def backward(self, dlogit, update=True):
        dW = self.x.T @ dlogit
        db = dlogit.sum(axis=0, keepdims=True)
        dx = dlogit @ self.W.T
        if update:
            self.W -= 0.1 * dW
            self.b -= 0.1 * db
        return dx

G, D = Generator(), Critic()
for step in range(40):
    p = D.forward(rng.randn(4, 2) + 2)
    loss_real = -np.mean(np.log(p))
    D.backward((p - 1) / 4)
    fake = G.forward(rng.randn(4, 2))
    p = D.forward(fake)
    loss_fake = -np.mean(np.log(1 - p))
    D.backward(p / 4)
    p = D.forward(G.forward(rng.randn(4, 2)))
    g_loss = -np.mean(np.log(p))
    G.backward(D.backward((p - 1) / 4, update=False))
    print(loss_real + loss_fake, g_loss)
"""
TWO_OF_ONE = """
import numpy as np
X = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.2]])
y = np.array([1.0, 0.0, 2.0])
w = np.array([0.1, 0.2])
v = np.array([0.3, -0.4])
for i in range(5):
    r = X @ w - y
    loss = np.sum(r**2)
    dw = 2 * X.T @ r
    dv = X.T @ np.cos(X @ v) * y[0]
    w -= 0.01 * dw
    v -= 0.01 * dv
    print(loss)
"""


def kinds(report) -> dict[str, str]:
    return {name: claim.kind for name, claim in report.claims.items()}


@pytest.mark.slow
def test_each_step_of_each_object_is_judged_under_the_loss_of_its_call():
    report = verify_script(GAN_OF_CLASSES)
    assert report, report
    assert not report.unjudged
    assert {name.partition(" ")[0] for name in report.claims} == {"G.W", "D.W", "b"}
    assert sum(name.startswith("D.W") for name in report.claims) == 2  # for the real ones, and for the fake ones


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "slip", "whose"),
    [
        ("dW = self.x.T @ dlogit", "dW = self.x.T @ dlogit / 4", "D.W"),
        ("D.backward(p / 4)", "D.backward((p - 1) / 4)", ("D.W", "b")),
        ("(1 - self.out**2)", "(1 - self.out)", "G.W"),
    ],
)
def test_a_slip_in_one_object_is_no_fault_of_the_other(right: str, slip: str, whose: str | tuple[str, ...]):
    assert GAN_OF_CLASSES.count(right) == 1
    wrong = [n for n, kind in kinds(verify_script(GAN_OF_CLASSES.replace(right, slip))).items() if kind == "refuted"]
    assert wrong
    assert all(name.startswith(whose) for name in wrong)


def test_a_step_of_no_known_objective_leaves_a_right_script_undecided():
    report = verify_script(TWO_OF_ONE)
    assert kinds(report) == {"w": "proved"}
    assert report.verdict == "undecided"
    assert not report
    assert report.unjudged == {"v": (13,)}
    assert str(report).startswith("Undecided: the step of v in line 13 was not judged; right, and proved")
    (note,) = [note for note in report.notes if "are a gradient of" in note]
    assert "output='loss'" in note


def test_a_user_who_names_the_objective_is_not_asked_about_others():
    report = verify_script(TWO_OF_ONE, output="loss")
    assert report.verdict == "proved"
    assert not report.unjudged


def test_a_wrong_gradient_is_wrong_beside_a_step_that_is_not_judged():
    report = verify_script(TWO_OF_ONE.replace("2 * X.T @ r", "X.T @ r"))
    assert report.verdict == "refuted"
    assert report.unjudged


@pytest.mark.parametrize(
    "more",
    [
        "cache += dw**2",  # of squares, for an adaptive rate
        "mean_loss += 0.1 * (loss - mean_loss)",  # an average
        pytest.param("steps += 1.0", marks=SLOW),
        pytest.param("average = 0.9 * average + 0.1 * w", marks=SLOW),
        pytest.param("drift += 0.01 * speed", marks=SLOW),  # nothing that the loss is computed from
    ],
)
def test_what_is_no_step_of_a_descent_costs_nothing(more: str):
    start = "cache, mean_loss, steps, average, drift, speed = np.zeros(2), 0.0, 0.0, np.zeros(2), 0.0, 2.0\n"
    script = TWO_OF_ONE.replace("    dv = X.T @ np.cos(X @ v) * y[0]\n", "").replace("v -= 0.01 * dv", more)
    assert verify_script(script.replace("for i", start + "for i")).verdict == "proved"


FACTORS = """
import numpy as np
rng = np.random.RandomState(0)
R = np.array([[5.0, 3.0, 1.0], [4.0, 1.0, 2.0]])
P, Q, c = rng.rand(2, 2), rng.rand(3, 2), np.zeros(2)
lr, lam = 0.05, 0.02
for epoch in range(9):
    for i in range(2):
        for j in range(3):
            e = R[i, j] - (P[i] @ Q[j] + c[i])
            c[i] += lr * (e - lam * c[i])
            old = P[i].copy()
            P[i] += lr * (e * Q[j] - lam * P[i])
            Q[j] += lr * (e * old - lam * Q[j])
"""


@pytest.mark.slow
def test_rows_and_entries_are_updated_by_sample_with_a_penalty_that_is_not_written_down():
    report = verify_script(FACTORS)
    assert report, report
    assert set(kinds(report)) == {"P[0, :]", "Q[0, :]", "c[0]"}
    assert any("1/2 lam times the squares of" in note for note in report.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "slip", "whose"),
    [
        ("lr * (e * old - lam * Q[j])", "lr * (e * old + lam * Q[j])", "Q[0, :]"),
        ("lr * (e * Q[j] - lam * P[i])", "lr * (Q[j] - lam * P[i])", "P[0, :]"),
    ],
)
def test_a_slip_in_the_step_of_a_row(right: str, slip: str, whose: str):
    report = verify_script(FACTORS.replace(right, slip))
    assert [n for n, kind in kinds(report).items() if kind == "refuted"] == [whose]


EMBEDDINGS = """
import numpy as np
rng = np.random.RandomState(1)
E, U = rng.randn(5, 3) * 0.3, rng.randn(5, 3) * 0.3
pairs = [(0, 1, [2, 3]), (1, 2, [0, 4]), (3, 4, [1, 2])]
for epoch in range(9):
    for c, o, neg in pairs:
        v, u, n = E[c], U[o], U[neg]
        p = 1 / (1 + np.exp(-u @ v))
        q = 1 / (1 + np.exp(-n @ v))
        loss = -np.log(p) - np.sum(np.log(1 - q))
        grad_v = (p - 1) * u + q @ n
        grad_u = (p - 1) * v
        grad_n = np.outer(q, v)
        E[c] -= 0.1 * grad_v
        U[o] -= 0.1 * grad_u
        U[neg] -= 0.1 * grad_n
"""


@pytest.mark.slow
def test_two_lines_update_two_parts_of_one_table():
    report = verify_script(EMBEDDINGS)
    assert report, report
    assert set(kinds(report)) == {"E[0, :]", "U[1, :]", "U[[2, 3]]"}


@pytest.mark.slow
def test_a_slip_in_one_of_the_parts_is_found():
    report = verify_script(EMBEDDINGS.replace("+ q @ n", "+ (1 - q) @ n"))
    assert [n for n, kind in kinds(report).items() if kind == "refuted"] == ["E[0, :]"]
    assert report.wrong_steps == ("grad_v",)


MOMENTUM = """
from math import exp, log
X, Y = [[0.5, 1.2], [1.5, -0.3], [-0.7, 0.8]], [1, 1, 0]
w, b = [0.1, -0.1], 0.0
speed, vb = [0.0, 0.0], 0.0
for epoch in range(9):
    grads, gb, cost = [0.0, 0.0], 0.0, 0.0
    for x, y in zip(X, Y):
        p = 1 / (1 + exp(-(w[0] * x[0] + w[1] * x[1] + b)))
        cost += -(y * log(p) + (1 - y) * log(1 - p)) / 3
        for j in range(2):
            grads[j] += (p - y) * x[j] / 3
        gb += (p - y) / 3
    for j in range(2):
        speed[j] = 0.9 * speed[j] - 0.1 * grads[j]
        w[j] += speed[j]
    vb = 0.9 * vb - 0.1 * gb
    b += vb
print(w, b, cost)
"""


@pytest.mark.slow
def test_momentum_of_the_entries_of_a_list_is_no_gradient():
    assert verify_script(MOMENTUM).verdict == "proved"
    report = verify_script(MOMENTUM.replace("gb += (p - y)", "gb += (y - p)"))
    assert kinds(report) == {"w[0]": "proved", "w[1]": "proved", "b": "refuted"}


FORCES = """
import numpy as np
def energy(x):
    e = 0.0
    for i in range(3):
        for j in range(i):
            r = np.sqrt(np.sum((x[i] - x[j]) ** 2))
            e += 1 / r
    return e
def forces(x):
    out = np.zeros_like(x)
    for i in range(3):
        for j in range(i):
            d = x[i] - x[j]
            r = np.sqrt(np.sum(d**2))
            f = 1 / r**3
            out[i] += f * d
            out[j] -= f * d
    return out
x = np.array([[0.0, 0.0], [1.0, 0.5], [0.2, 2.0]])
num = np.zeros_like(x)
for i in range(3):
    for k in range(2):
        up, down = x.copy(), x.copy()
        up[i, k] += 1e-5
        down[i, k] -= 1e-5
        num[i, k] = -(energy(up) - energy(down)) / 2e-5
print(num, forces(x))
"""


@pytest.mark.slow
def test_what_stands_beside_a_difference_quotient_is_of_the_function_in_it():
    """And of no number of the force's own, such as f."""
    assert verify_script(FORCES).verdict in ("proved", "agrees")


@pytest.mark.slow
def test_a_wrong_force_is_wrong_for_the_energy_whatever_else_it_computes():
    report = verify_script(FORCES.replace("1 / r**3", "1 / r**2"))
    assert report.verdict == "refuted"
    assert "I took `e` as the output, and `x` as its input." in report.notes


ONE_HOT = """
import numpy as np
theta, w = np.zeros((4, 2)), np.zeros(4)
def one_hot(s):
    v = np.zeros(4)
    v[s] = 1.0
    return v
for t in range(6):
    s, s2, r, a = t % 4, (t + 1) % 4, 0.5 + t, t % 2
    x = one_hot(s)
    z = theta.T @ x
    p = np.exp(z) / np.exp(z).sum()
    td_target = r + 0.9 * (w @ one_hot(s2))
    delta = td_target - w @ x
    critic_loss = 0.5 * delta**2
    actor_loss = -delta * np.log(p[a])
    grad_w = -delta * x
    grad_theta = -delta * np.outer(x, np.eye(2)[a] - p)
    w -= 0.1 * grad_w
    theta -= 0.1 * grad_theta
"""


@pytest.mark.slow
def test_a_target_is_held_before_it_is_asked_whose_objective_a_step_is():
    """Of one-hot features most entries of each gradient are zero, under both objectives."""
    report = verify_script(ONE_HOT)
    assert kinds(report) == {"theta": "proved", "w": "proved"}
    wrong = verify_script(ONE_HOT.replace("grad_w = -delta * x", "grad_w = delta * x"))
    assert [n for n, kind in kinds(wrong).items() if kind == "refuted"] == ["w"]


LAYER = """
import numpy as np
class Layer:
    def __init__(self):
        self.W, self.b = np.full((2, 1), 0.3), np.zeros(1)
    def forward(self, x):
        self.x = x
        return x @ self.W + self.b
    def backward(self, grad, lr):
        self.W -= lr * self.x.T @ grad
        self.b -= lr * grad.sum(axis=0)
X, Y = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0]]), np.array([[1.0], [0.0], [2.0]])
layer = Layer()
for epoch in range(5):
    out = layer.forward(X)
    loss = 0.5 * np.sum((out - Y) ** 2)
    layer.backward(out - Y, 0.1)
    print(loss)
"""


@pytest.mark.slow
def test_a_mean_where_the_other_steps_are_sums_is_no_rate():
    """Both lines write the rate lr; the mean has a third of it beside, which is not its rate."""
    assert kinds(verify_script(LAYER)) == {"W": "proved", "b": "proved"}
    assert kinds(verify_script(LAYER.replace("grad.sum", "grad.mean"))) == {"W": "proved", "b": "refuted"}


@pytest.mark.slow
def test_each_step_may_have_a_rate_of_its_own():
    own = LAYER.replace("self.b -= lr *", "self.b -= 0.02 *")
    assert kinds(verify_script(own)) == {"W": "proved", "b": "proved"}
    whole = LAYER.replace("lr * self.x.T @ grad", "lr / len(self.x) * self.x.T @ grad").replace("grad.sum", "grad.mean")
    assert kinds(verify_script(whole)) == {"W": "proved", "b": "proved"}


TWO_DIFFERENCES = """
import numpy as np
X, y = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1]]), np.array([[0], [1], [1]])
np.random.seed(1)
W1, W2 = np.random.randn(3, 4), np.random.randn(4, 1)
for epoch in range(1000):
    h = np.tanh(X @ W1)
    out = 1 / (1 + np.exp(-h @ W2))
    d_out = (out - y) * out * (1 - out)
    W2 -= 0.5 * (h.T @ d_out)
    W1 -= 0.5 * (X.T @ (d_out @ W2.T * (1 - h**2)))
"""


@pytest.mark.slow
def test_two_differences_of_one_line_are_not_one_error():
    assert "half the sum of squares of out" in " ".join(verify_script(TWO_DIFFERENCES).notes)
