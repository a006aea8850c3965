"""Scripts that minimise several things: each gradient is judged as that of its own objective.

The truth is the pencil's: each script is written with right gradients, and with one slip.
"""

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput

SLOW = pytest.mark.slow

GAN = """
import numpy as np
rng = np.random.RandomState(0)
def sig(z):
    return 1 / (1 + np.exp(-z))
Wg = rng.randn(2, 3) * 0.5
Wd = rng.randn(3) * 0.5
for step in range(20):
    z = rng.randn(5, 2)
    real = rng.randn(5, 3) + 1.0
    fake = np.tanh(z @ Wg)
    pr, pf = sig(real @ Wd), sig(fake @ Wd)
    loss_d = -np.mean(np.log(pr) + np.log(1 - pf))
    dWd = (real.T @ (pr - 1) + fake.T @ pf) / 5
    loss_g = -np.mean(np.log(pf))
    dfake = np.outer((pf - 1) / 5, Wd)
    dWg = z.T @ (dfake * (1 - fake**2))
    Wd -= 0.05 * dWd
    Wg -= 0.05 * dWg
    print(step, loss_d, loss_g)
"""
ACTOR_CRITIC = """
import numpy as np
rng = np.random.default_rng(3)
theta = rng.normal(size=(2, 3)) * 0.3
v = rng.normal(size=3) * 0.3
for t in range(5):
    s = rng.normal(size=3)
    probs = np.exp(theta @ s) / np.exp(theta @ s).sum()
    a = t % 2
    advantage = (1.0 if a == 0 else -0.5) - v @ s
    value_loss = 0.5 * advantage**2
    policy_loss = -np.log(probs[a]) * advantage
    dv = -advantage * s
    dtheta = advantage * np.outer(probs - np.eye(2)[a], s)
    v -= 0.1 * dv
    theta -= 0.1 * dtheta
    print(value_loss, policy_loss)
"""
TWO_FITS = """
import numpy as np
x = np.array([0.5, -1.0, 2.0])
y = np.array([1.0, 0.2, 3.1])
t = np.array([1.0, 0.0, 1.0])
w = 0.3
for i in range(20):
    loss = np.mean((w * x - y) ** 2)
    dw = np.mean(2 * (w * x - y) * x)
    w -= 0.1 * dw
v = -0.2
for i in range(20):
    p = 1 / (1 + np.exp(-v * x))
    cost = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    dv = np.mean((p - t) * x)
    v -= 0.1 * dv
print(w, loss, v, cost)
"""


def verdicts(script: str, **told) -> dict[str, str]:
    return {n: c.verdict.kind for n, c in verify_script(script, **told).claims.items()}


@pytest.mark.parametrize(
    ("script", "right", "slip", "whose"),
    [
        pytest.param(GAN, "real.T @ (pr - 1) +", "real.T @ pr +", "Wd", marks=SLOW),
        pytest.param(GAN, "(1 - fake**2)", "(1 - fake)", "Wg", marks=SLOW),
        pytest.param(ACTOR_CRITIC, "np.outer(probs - np.eye(2)[a], s)", "np.outer(probs, s)", "theta", marks=SLOW),
        pytest.param(ACTOR_CRITIC, "dv = -advantage * s", "dv = -advantage", "v", marks=SLOW),
        pytest.param(TWO_FITS, "(p - t) * x", "(p - t)", "v", marks=SLOW),
        (TWO_FITS, "2 * (w * x - y)", "(w * x - y)", "w"),
    ],
)
def test_each_gradient_is_judged_under_its_own_objective(script: str, right: str, slip: str, whose: str):
    assert set(verdicts(script).values()) == {"proved"}
    report = verify_script(script.replace(right, slip))
    assert [n for n, c in report.claims.items() if c.verdict.kind == "refuted"] == [whose]
    assert {*verdicts(script)} <= {*report.claims}
    if report.repaired_source is not None:
        assert set(verdicts(report.repaired_source).values()) == {"proved"}


def test_each_objective_is_told_with_its_variables():
    notes = verify_script(GAN).notes
    assert "I took `loss_g` as the output, and `Wg` as its input." in notes
    assert "I took `loss_d` as the output, and `Wd` as its input." in notes


def test_an_output_that_is_named_is_asked_about_alone():
    assert verdicts(GAN, output="loss_d") == {"Wd": "proved"}
    assert verdicts(GAN, output="loss_g") == {"Wg": "proved"}


def test_a_gradient_of_the_other_objective_is_wrong():
    """Uphill and downhill of one loss: the step of the generator is that of the discriminator's, by all its values."""
    report = verify_script(GAN.replace("np.outer((pf - 1) / 5, Wd)", "np.outer(pf / 5, Wd)"))
    assert {n: c.kind for n, c in report.claims.items()} == {"Wd": "proved", "Wg": "refuted"}
    assert [r.step for r in report.repairs] == ["dfake"]


@pytest.mark.slow
def test_two_wrong_gradients_of_two_objectives_are_no_right_ones():
    wrong = TWO_FITS.replace("2 * (w * x - y) * x", "2 * (w * x - y)").replace("(p - t) * x", "(p - t)")
    assert verdicts(wrong) == {"w": "refuted", "v": "refuted"}


REGULARISED = """
import numpy as np
rng = np.random.RandomState(1)
X, Y = rng.randn(6, 3), rng.randn(6, 2)
W1, W2 = rng.randn(3, 4), rng.randn(4, 2)
for i in range(10):
    H = np.tanh(X @ W1)
    D = H @ W2 - Y
    data_loss = np.mean(D**2)
    loss = np.mean((H @ W2 - Y) ** 2) + 0.1 * np.sum(W1**2) + 0.1 * np.sum(W2**2)
    dW2 = H.T @ D / 6
    dW1 = X.T @ (D @ W2.T * (1 - H**2)) / 6 + 0.2 * W1
    W1 -= 0.1 * dW1
    W2 -= 0.1 * dW2
    print(data_loss, loss)
"""


@pytest.mark.slow
def test_a_part_of_the_objective_is_no_other_objective():
    """What lacks the regulariser is the exact gradient of the data's loss; the script trains on the sum of both."""
    assert verdicts(REGULARISED) == {"W1": "proved", "W2": "refuted"}
    assert verdicts(REGULARISED.replace("D / 6", "D / 6 + 0.2 * W2")) == {"W1": "proved", "W2": "proved"}


def test_a_critic_whose_loss_is_not_written_down_is_not_judged_as_an_actor():
    script = ACTOR_CRITIC.replace("    value_loss = 0.5 * advantage**2\n", "").replace("value_loss, ", "")
    report = verify_script(script)
    assert {n: c.kind for n, c in report.claims.items()} == {"theta": "proved", "v": "proved"}
    assert any(n.endswith("I assumed that it is half the sum of squares of advantage.") for n in report.notes)


IN_TURNS = """
import numpy as np
rng = np.random.RandomState(0)
def sig(z):
    return 1 / (1 + np.exp(-z))
a, c, u, v = 0.8, 0.1, 0.5, -0.3
for step in range(30):
    z, real = rng.randn(4), 3.0 + 0.5 * rng.randn(4)
    fake = a * z + c
    d_real, d_fake = sig(u * real + v), sig(u * fake + v)
    d_loss = -np.mean(np.log(d_real)) - np.mean(np.log(1 - d_fake))
    grad_u = np.mean(-(1 - d_real) * real) + np.mean(d_fake * fake)
    grad_v = np.mean(-(1 - d_real)) + np.mean(d_fake)
    u -= 0.05 * grad_u
    v -= 0.05 * grad_v
    z = rng.randn(4)
    fake = a * z + c
    d_fake = sig(u * fake + v)
    g_loss = -np.mean(np.log(d_fake))
    grad_fake = -(1 - d_fake) * u / 4
    grad_a = np.sum(grad_fake * z)
    grad_c = np.sum(grad_fake)
    a -= 0.05 * grad_a
    c -= 0.05 * grad_c
    print(step, d_loss, g_loss)
"""


@pytest.mark.slow
def test_an_update_in_between_is_no_part_of_what_is_differentiated():
    """The second loss is computed with what the first step has made of u and v, which depends on a and c too."""
    right = verdicts(IN_TURNS)
    assert {n: right[n] for n in "acuv"} == dict.fromkeys("acuv", "proved")
    wrong = verdicts(IN_TURNS.replace("grad_a = np.sum(grad_fake * z)", "grad_a = np.sum(grad_fake * fake)"))
    assert [n for n, v in wrong.items() if v == "refuted"] == ["a"]


BOOTSTRAPPED = """
import numpy as np
omega, phi, phi_next = np.array([0.3, -0.2]), np.array([1.0, 0.5]), np.array([-0.4, 0.7])
for t in range(10):
    target = 1.0 + 0.9 * (omega @ phi_next)
    critic_loss = 0.5 * (omega @ phi - target) ** 2
    grad_omega = (omega @ phi - target) * phi
    omega = omega - 0.05 * grad_omega
    print(t, critic_loss)
"""


@pytest.mark.slow
def test_a_target_may_be_held_constant():
    report = verify_script(BOOTSTRAPPED)
    assert report.claims["omega"].kind == "proved"
    assert "I took `target` as held constant, though the inputs are in it: a semi-gradient." in report.notes
    assert verdicts(BOOTSTRAPPED.replace("- target) * phi", "- target) * phi_next")) == {"omega": "refuted"}
    full = BOOTSTRAPPED.replace("- target) * phi", "- target) * (phi - 0.9 * phi_next)")
    report = verify_script(full)
    assert report.claims["omega"].kind == "proved"
    assert not any("held constant" in n for n in report.notes)


IN_TORCH = """
import torch
torch.manual_seed(0)
Wg, Wd = torch.randn(2, 3, requires_grad=True), torch.randn(3, requires_grad=True)
z, real = torch.randn(5, 2), torch.randn(5, 3) + 1.0
fake = torch.tanh(z @ Wg)
loss_d = -(torch.log(torch.sigmoid(real @ Wd)) + torch.log(1 - torch.sigmoid(fake.detach() @ Wd))).mean()
loss_d.backward()
pr, pf = torch.sigmoid(real @ Wd), torch.sigmoid(fake @ Wd)
dWd = (real.T @ (pr - 1) + fake.T @ pf) / 5
print(torch.allclose(Wd.grad, dWd))
loss_g = -torch.log(torch.sigmoid(fake @ Wd)).mean()
loss_g.backward()
dWg = z.T @ (torch.outer((pf - 1) / 5, Wd) * (1 - fake**2))
print(torch.allclose(Wg.grad, dWg))
"""


def test_each_gradient_is_that_of_the_output_whose_autograd_it_is_compared_with():
    assert verdicts(IN_TORCH).keys() == {"Wd", "Wg"}
    assert "refuted" not in verdicts(IN_TORCH).values()
    wrong = verdicts(IN_TORCH.replace("(1 - fake**2)", "(1 - fake)"))
    assert [n for n, v in wrong.items() if v == "refuted"] == ["Wg"]


EACH_SAMPLE = """
import numpy as np

def s(x):
    return 1/(1+np.exp(-x))

X = np.array([[0.0, 1.0], [1.0, 0.5], [0.5, 1.0]])
y = np.array([0.0, 1.0, 1.0])
u = np.array([0.9, 0.3])
v = np.array([0.8, 0.7])
for epoch in range(2):
    for i in range(3):
        h = s(u[0]*X[i][0] + u[1]*X[i][1])
        o = s(v[0]*h + v[1])
        E = 0.5*(y[i]-o)**2
        g = -(y[i]-o)
        gu = g*o*(1-o)*v[0]*h*(1-h)*X[i]
        gv = np.array([g*h, g])
        u = u - 0.1*gu
        v = v - 0.1*gv
    print(E)
"""


@pytest.mark.slow
def test_no_other_loss_is_assumed_for_a_layer_whose_loss_is_written_down():
    """Without the slope of the last sigmoid a gradient is that of the cross-entropy; the loss here is half a square,
    and the sample at which each layer is judged need not be one."""
    report = verify_script(EACH_SAMPLE)
    assert {n: c.kind for n, c in report.claims.items()} == {"u": "proved", "v": "refuted"}
    assert not [n for n in report.notes if "assumed" in n]


NAMED_D = """
import numpy as np
rng = np.random.RandomState(0)
gW, dW = rng.randn(2, 3) * 0.5, rng.randn(3) * 0.5
z, real = rng.randn(5, 2), rng.randn(5, 3)
def slope(x, a=0.1):
    return np.where(x > 0, 1.0, a)
def hidden(x, a=0.1):
    return np.where(x > 0, x, a * x)
for step in range(3):
    fake = hidden(z @ gW)
    loss_d = np.mean((fake @ dW) ** 2) - np.mean(real @ dW)
    grad_dW = 2 * fake.T @ (fake @ dW) / 5 - real.mean(axis=0)
    dW -= 0.05 * grad_dW
    fake = hidden(z @ gW)
    loss_g = np.mean((fake @ dW - 1) ** 2)
    grad_gW = z.T @ (np.outer(2 * (fake @ dW - 1) / 5, dW) * slope(z @ gW))
    gW -= 0.05 * grad_gW
    print(loss_d, loss_g)
"""


@pytest.mark.slow
def test_a_variable_whose_steps_are_computed_from_it_is_no_gradient_whatever_it_is_called():
    """The weights of a discriminator may be called dW; a slope's numbers depend on one that its function names."""
    assert verdicts(NAMED_D) == {"gW": "agrees", "dW": "proved"}
    assert verdicts(NAMED_D.replace("2 * fake.T", "fake.T")) == {"gW": "agrees", "dW": "refuted"}


EPISODES = """
import numpy as np
rng = np.random.RandomState(2)
model = {"W": rng.randn(3, 2), "v": rng.randn(3)}
def backward(xs, hs, ds):
    dv = np.dot(hs.T, ds).ravel()
    dh = np.outer(ds, model["v"]) * (1 - hs**2)
    return {"W": np.dot(dh.T, xs), "v": dv}
for episode in range(2):
    xs, hs, dlogps, rewards = [], [], [], []
    for y, reward in [(1, 1.0), (0, -0.5), (1, 0.25)]:
        x = rng.randn(2)
        h = np.tanh(np.dot(model["W"], x))
        logp = np.dot(model["v"], h)
        p = 1 / (1 + np.exp(-logp))
        xs.append(x)
        hs.append(h)
        dlogps.append(y - p)
        rewards.append(reward)
    advantage = np.vstack(rewards)
    advantage -= np.mean(advantage)
    d = np.vstack(dlogps)
    d *= advantage
    grad = backward(np.vstack(xs), np.vstack(hs), d)
    for k in model:
        model[k] += 0.01 * grad[k]
"""


@SLOW
def test_a_policy_gradient_is_of_all_turns_of_an_episode_each_times_its_advantage():
    """REINFORCE: the sum over the turns of the advantage times log pi(action), whose derivative for the logit is the
    advantage times y - p.  What is called ``logp`` is the logit of one turn."""
    report = verify_script(EPISODES)
    assert report.ok
    assert list(report.claims) == ["W", "v"]
    assert any("cross-entropy of p (of a sigmoid)" in n and "each times advantage" in n for n in report.notes)
    wrong = verify_script(EPISODES.replace("(1 - hs**2)", "(1 - hs)"))
    assert [n for n, c in wrong.claims.items() if c.kind == "refuted"] == ["W"]


def test_a_factor_that_the_activation_is_computed_from_is_no_weight():
    """x is a part of the chain rule: squared, it is not the weight of a loss that would make this right."""
    text = """
import numpy as np
x, y, w = np.array([1.0, 2.0, -0.5]), np.array([0.5, 1.5, 2.0]), 0.3
for k in range(3):
    error = w * x - y
    step = np.sum(error * x * x)
    w = w - 0.1 * step
"""
    right = text.replace("error * x * x", "error * x")
    assert verdicts(right) == {"w": "proved"}
    with pytest.raises(BadInput, match="nothing in it says"):
        verify_script(text)


def test_the_slope_at_the_targets_is_no_weight():
    """The slope of a sigmoid is out * (1 - out); y * (1 - y) in its place weights no loss, though no layer is in it."""
    text = """
import numpy as np
X, y = np.array([[1.0, 2.0], [0.5, -1.0], [-0.7, 0.3]]), np.array([0.2, 0.9, 0.4])
w = np.array([0.3, -0.2])
for k in range(3):
    out = 1 / (1 + np.exp(-X @ w))
    error = out - y
    delta = error * (y * (1 - y))
    dw = X.T @ delta
    w -= 0.1 * dw
"""
    assert verdicts(text.replace("y * (1 - y)", "out * (1 - out)")) == {"w": "proved"}
    with pytest.raises(BadInput, match="computes no number"):
        verify_script(text)


RANKING = """
import numpy as np
np.random.seed(1)
u, i, j = np.random.randn(3) * 0.1, np.random.randn(3) * 0.1, np.random.randn(3) * 0.1
lam, lr = 0.01, 0.05
for step in range(3):
    x = u @ i - u @ j
    loss = -np.log(1 / (1 + np.exp(-x))) + lam * (u @ u + i @ i + j @ j)
    e = 1 / (1 + np.exp(x))
    du = -e * (i - j) + 2 * lam * u
    di = -e * u + 2 * lam * i
    dj = e * u + lam * j
    u -= lr * du
    i -= lr * di
    j -= lr * dj
"""


def test_what_right_gradients_are_computed_from_is_no_objective():
    report = verify_script(RANKING)
    assert {n: c.kind for n, c in report.claims.items()} == {"u": "proved", "i": "proved", "j": "refuted"}
    assert [r.after for r in report.repairs] == ["e * u + 2 * lam * j"]
