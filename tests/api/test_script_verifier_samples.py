"""Updates by the sample: losses that are summed over a pass, gradients that a loop adds up, rates inside of a step."""

import textwrap

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput


def kinds(report):
    return {name: claim.verdict.kind for name, claim in report.claims.items()}


def script(body):
    return "import numpy as np\nrng = np.random.RandomState(0)\n" + textwrap.dedent(body)


EMBEDDINGS = """
    W, V = rng.randn(4, 2), rng.randn(4, 2)
    lr = 0.05
    loss = 0
    for center, context, others in [(0, 1, [2, 3]), (2, 3, [0, 1]), (0, 1, [2, 3])]:
        v, u = W[center], V[context]
        p = 1 / (1 + np.exp(-np.dot(u, v)))
        loss -= np.log(p)
        grad_v = (p - 1) * u
        V[context] = u - lr * (p - 1) * v
        for n in others:
            un = V[n].copy()
            q = 1 / (1 + np.exp(-np.dot(un, v)))
            loss -= np.log(1 - q)
            grad_v += {slope} * un
            V[n] -= lr * q * v
        W[center] -= lr * grad_v
"""


@pytest.mark.slow
def test_the_loss_of_a_sample_is_what_is_added_to_a_sum_in_its_turn():
    """Of negative sampling: each row is a step down what its own turn adds to the loss of the epoch."""
    right = verify_script(script(EMBEDDINGS.format(slope="q")))
    assert set(kinds(right)) > {"W[0, :]", "V[1, :]", "v"}
    assert right.verdict == "proved"
    wrong = verify_script(script(EMBEDDINGS.format(slope="(q - 1)")))
    assert kinds(wrong)["W[0, :]"] == "refuted"
    assert kinds(wrong)["V[2, :]"] == "proved"
    assert [(r.before, r.after) for r in wrong.repairs] == [("(q - 1) * un", "q * un")]


@pytest.mark.slow
def test_what_a_sum_was_before_more_was_added_is_no_gradient():
    """The gradient for b is wrong from the second sample on, and right for the first alone, where b is zero."""
    text = """
        X, y = rng.randn(4, 2), rng.randn(4)
        w, b = np.zeros(2), 0.0
        for epoch in range(3):
            gw, gb = np.zeros(2), 0.0
            for i in range(4):
                e = X[i].dot(w) + b - y[i]
                gw += e * X[i]
                gb += {step}
            w -= 0.1 * gw
            b -= 0.1 * gb
    """
    assert kinds(verify_script(script(text.format(step="e")))) == {"w": "proved", "b": "proved"}
    assert kinds(verify_script(script(text.format(step="e * X[i, 0]")))) == {"w": "proved", "b": "refuted"}


@pytest.mark.slow
def test_errors_of_plain_numbers_that_a_loop_computes_are_of_one_loss():
    text = """
        data = [([1.0, 2.0], 5.1), ([2.0, 1.0], 4.2), ([3.0, 3.5], 10.4)]
        w, b, lr = [0.0, 0.0], 0.0, 0.01
        for epoch in range(4):
            dw, db = [0.0, 0.0], 0.0
            for x, y in data:
                err = w[0] * x[0] + w[1] * x[1] + b - y
                for j in range(2):
                    dw[j] += err * x[j]
                db += {step}
            for j in range(2):
                w[j] -= lr * dw[j]
            b -= lr * db
    """
    right = verify_script(script(text.format(step="err")))
    assert kinds(right) == {"w[0]": "proved", "w[1]": "proved", "b": "proved"}
    assert any("half the sum of squares" in note for note in right.notes)
    assert kinds(verify_script(script(text.format(step="err * x[0]"))))["b"] == "refuted"


def test_an_error_is_no_objective():
    """What is only called an error is a difference: its slope is no wrong gradient of anything."""
    text = """
        w, b = 0.3, 0.1
        for x, y in [(1.0, 2.0), (2.0, 3.5)]:
            err = w * x + b - y
            w = w - 0.1 * err * x
            b = b - 0.1 * err
    """
    assert kinds(verify_script(script(text))) == {"w": "proved", "b": "proved"}


def test_a_rate_is_no_part_of_a_gradient_whatever_its_value_is():
    """It stands inside of a step that has no name, and the objective of the next turn is computed with it."""
    text = """
        W, lr = rng.randn(3, 2), 0.05
        loss = 0
        for n in [0, 1]:
            p = np.dot(W[n], W[2])
            loss += 0.5 * (p - 1)**2
            W[n] -= lr * (p - 1) * W[2]
    """
    report = verify_script(script(text))
    assert report.verdict == "proved"
    assert not any("lr" in note for note in report.notes)


@pytest.mark.parametrize("update", ["w = step(w, dw)", "new = w - 0.1 * dw; w = new", "u = w; w = u - 0.1 * dw"])
def test_an_update_may_be_a_function_or_use_another_name(update):
    text = f"""
        def step(x, g):
            return x - 0.1 * g
        w = np.array([0.5, -1.0])
        for k in range(2):
            loss = np.sum(np.exp(w))
            dw = np.exp(2 * w)
            {update}
    """
    assert kinds(verify_script(script(text))) == {"w": "refuted"}


@pytest.mark.slow
def test_a_loss_that_is_computed_behind_the_loop_alone_is_that_of_its_updates():
    text = """
        xs, ys = [1.0, 2.0, 3.0], [2.2, 4.1, 6.2]
        m, b, n = 0.0, 0.0, 3
        for k in range(40):
            guess = [m * x + b for x in xs]
            dm = -2 / n * sum(x * (y - g) for x, y, g in zip(xs, ys, guess))
            db = -2 / n * sum({} for x, y, g in zip(xs, ys, guess))
            m, b = m - 0.01 * dm, b - 0.01 * db
        mse = sum((y - (m * x + b))**2 for x, y in zip(xs, ys)) / n
    """
    assert kinds(verify_script(script(text.format("(y - g)")))) == {"m": "proved", "b": "proved"}
    assert kinds(verify_script(script(text.format("x * (y - g)")))) == {"m": "proved", "b": "refuted"}


# ------------------------------------------------------------------------------------------------ innocents


@pytest.mark.parametrize(
    "step",
    [
        "np.linalg.solve(hessian, gradient)",
        "np.linalg.inv(hessian) @ gradient",
        "np.dot(np.linalg.inv(hessian), gradient)",
    ],
)
def test_a_step_of_newtons_method_is_no_gradient(step):
    text = f"""
        X, y = rng.randn(8, 2), np.array([0., 1, 1, 0, 1, 0, 0, 1])
        beta = np.zeros(2)
        for k in range(3):
            eta = X @ beta
            log_likelihood = np.sum(y * eta - np.log(1 + np.exp(eta)))
            p = 1 / (1 + np.exp(-eta))
            gradient = X.T @ (y - p)
            hessian = -(X.T * (p * (1 - p))) @ X
            beta = beta - {step}
    """
    assert kinds(verify_script(script(text))) == {"beta": "proved"}


def test_what_moves_towards_another_value_has_no_derivative_in_it():
    text = """
        Q = np.zeros((3, 2))
        for s, a, r, t in [(0, 1, 0.0, 1), (1, 0, 1.0, 2), (0, 1, 0.5, 1)]:
            target = r + 0.9 * np.max(Q[t])
            Q[s, a] += 0.1 * (target - Q[s, a])
    """
    with pytest.raises(BadInput, match="moves Q some of the way to target"):
        verify_script(script(text))


def test_a_running_mean_is_not_accused():
    text = """
        w, mean = np.array([0.5, 1.0]), 0.0
        for k in range(1, 4):
            loss = np.sum(w**4)
            mean += (loss - mean) / k
            dw = 4 * w**3
            w = w - 0.01 * dw
    """
    assert kinds(verify_script(script(text))) == {"w": "proved"}


def test_no_loss_is_taken_a_monstrous_number_of_times():
    """A baseline that follows a reward is a step down nothing, least of all 10**16 times a cross-entropy."""
    text = """
        h, baseline = np.zeros(3), 0.0
        for t in range(1, 5):
            reward = 0.7 + 0.1 * t
            baseline += (reward - baseline) / t
            h[t % 3] += 0.1 * (reward - baseline) * np.exp(h[0])
    """
    with pytest.raises(BadInput):
        verify_script(script(text))


MECHANICS = """
    k, m, dt = 2.0, 0.5, 0.01
    x, v = np.array([1.0, 0.3]), np.zeros(2)
    for n in range(5):
        F = -k * {}
        v = v + dt * F / m
        x = x + dt * v
        energy = 0.5 * m * np.sum(v**2) + 0.5 * k * np.sum(x**2)
        print(energy)
"""


@pytest.mark.slow
def test_an_integrator_is_no_descent_and_its_forces_are_minus_a_slope():
    """Neither the velocity nor the position is a step down anything; a wrong force is told as such."""
    assert kinds(verify_script(script(MECHANICS.format("x")))) == {"x": "proved"}
    assert kinds(verify_script(script(MECHANICS.format("x**2")))) == {"x": "refuted"}


def test_an_integrator_of_a_hamiltonian_system_is_asked_about_its_slope():
    text = """
        def H(q, p):
            return p**2 / 2 + q**4 / 4
        def dHdq(q):
            return {}
        q, p, dt = 1.0, 0.2, 0.05
        for i in range(4):
            p = p - 0.5 * dt * dHdq(q)
            q = q + dt * p
            p = p - 0.5 * dt * dHdq(q)
            print(H(q, p))
    """
    assert kinds(verify_script(script(text.format("q**3")))) == {"q": "proved"}


def test_accelerations_are_not_taken_for_forces():
    """They lack the masses, and are right."""
    text = """
        g, L, dt = 9.81, 2.0, 0.01
        theta, omega = 0.3, 0.0
        for n in range(5):
            alpha = -g / L * np.sin(theta)
            omega += alpha * dt
            theta += omega * dt
            energy = 0.5 * L**2 * omega**2 + g * L * (1 - np.cos(theta))
    """
    with pytest.raises(BadInput):
        verify_script(script(text))


# ------------------------------------------------------------------------------------------------ forms


@pytest.mark.slow
def test_values_that_stand_by_themselves_at_the_end_of_a_cell_are_shown():
    text = """
In [1]: import torch
   ...: torch.manual_seed(0)
   ...: w = torch.randn(3, requires_grad=True)
   ...: loss = (w**3).mean()
   ...: loss.backward()

In [2]: mine = 3 * w.detach()**2

In [3]: w.grad, mine
Out[3]: (tensor([0.1, 0.2, 0.3]), tensor([0.3, 0.6, 0.9]))
"""
    assert kinds(verify_script(text)) == {"w": "refuted"}


@pytest.mark.slow
def test_arrays_that_are_joined_between_brackets_are_followed():
    text = """
        X = np.c_[np.ones(4), rng.randn(4, 2)]
        def cost(t):
            return np.sum((X @ t)**2) / 2 + np.sum(np.r_[0, t[1:]]**2) / 2
        def grad(t):
            return X.T @ (X @ t) + np.r_[{first}, t[1:]]
        from scipy.optimize import check_grad
        t = np.array([0.1, -0.2, 0.3])
        print(check_grad(cost, grad, t))
    """
    assert kinds(verify_script(script(text.format(first="0")))) == {"t": "proved"}
    assert kinds(verify_script(script(text.format(first="t[0]")))) == {"t": "refuted"}


@pytest.mark.slow
def test_an_array_that_differences_were_taken_of_in_place_is_the_array_that_it_was():
    text = """
        def layer(x):
            return np.tanh(x)
        def numeric(f, x, df, h=1e-5):
            out = np.zeros_like(x)
            for i in range(x.size):
                old = x[i]
                x[i] = old + h
                high = f(x).copy()
                x[i] = old - h
                low = f(x).copy()
                x[i] = old
                out[i] = np.sum((high - low) * df) / (2 * h)
            return out
        x, dout = rng.randn(3), rng.randn(3)
        num = numeric(layer, x, dout)
        out = layer(x)
        dx = dout * {slope}
        print(np.abs(num - dx).max())
    """
    assert kinds(verify_script(script(text.format(slope="(1 - out**2)")))) == {"x": "proved"}
    assert kinds(verify_script(script(text.format(slope="(1 - x**2)")))) == {"x": "refuted"}


FACTORS = """
    R = np.array([[5.0, 3.0], [4.0, 1.0]])
    P, Q = rng.rand(2, 2), rng.rand(2, 2)
    alpha, beta = 0.002, 0.02
    for i in range(2):
        for j in range(2):
            e = R[i, j] - np.dot(P[i, :], Q[:, j])
            for k in range(2):
                pk = P[i, k]
                P[i, k] = P[i, k] + alpha * (2 * e * Q[k, j] - beta * P[i, k])
                Q[k, j] = Q[k, j] + alpha * (2 * e * pk {} beta * Q[k, j])
"""


@pytest.mark.slow
def test_the_weight_of_a_penalty_is_the_number_that_is_called_so():
    """It is right for every beta, and no 1/200."""
    report = verify_script(script(FACTORS.format("-")))
    assert report.verdict == "proved"
    assert any("1/4 beta times the squares" in note for note in report.notes)


@pytest.mark.slow
def test_updates_that_the_record_does_not_show_leave_a_script_undecided():
    """Those of Q are written into a transpose."""
    report = verify_script(script(FACTORS.format("+").replace("rng.rand(2, 2)\n", "rng.rand(2, 2).T\n")))
    assert report.verdict in ("undecided", "refuted")
    assert "Q" in str(report)


CBOW = """
import numpy as np
rng = np.random.default_rng(0)
W_in, W_out = rng.normal(size=(5, 4)), rng.normal(size=(4, 5))
for epoch in range(2):
    for context, target in [([0, 2, 3], 1), ([1, 4, 0], 2)]:
        h = np.mean(W_in[context], axis=0)
        u = W_out.T @ h
        p = np.exp(u) / np.sum(np.exp(u))
        loss = -np.log(p[target])
        e = p.copy()
        e[target] -= 1
        dW_out = np.outer(h, e)
        EH = W_out @ e
        W_out -= 0.05 * dW_out
        for c in context:
            W_in[c] -= 0.05 * EH
"""


@pytest.mark.slow
def test_one_step_of_several_rows_is_judged_without_the_rate():
    # each of the three rows of the mean has a third of the derivative by the mean
    report = verify_script(CBOW)
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("EH",)
    assert [r.after for r in report.repairs] == ["(W_out @ e) / 3"]
