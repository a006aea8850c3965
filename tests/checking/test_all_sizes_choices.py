"""Code that chooses by a number, at all sizes: relu in a loop, ``if``, ``max``, a clamp, a norm within a bound.

Each choice is written as arithmetic, and a proof is for all points at which no comparison is a tie.  Right gradients
are torch's in float64 at sizes that nothing was read at; wrong ones are refuted at a point where torch says so too.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import verify

D = torch.float64
relu = torch.relu


def rnn(w, u, x):
    h = 0.0
    for t in range(len(x)):
        h = relu(w * h + u * x[t])
    return h


def rnn_back(w, u, x, late=0):
    h, z = [torch.zeros((), dtype=D)], []
    for t in range(len(x)):
        z.append(w * h[-1] + u * x[t])
        h.append(relu(z[-1]))
    dw, dh = 0.0, 1.0
    for t in reversed(range(len(x))):
        dz = dh * (z[t] > 0)
        dw, dh = dw + dz * h[t + late], dz * w
    return dw


def hinge(w, x, y):
    loss = 0.0
    for i in range(len(x)):
        loss += max(0, 1 - y[i] * w * x[i])
    return loss


def hinge_slope(w, x, y, sign=-1):
    g = 0.0
    for i in range(len(x)):
        if 1 - y[i] * w * x[i] > 0:
            g += sign * y[i] * x[i]
    return g


def huber(w, x, y):
    total = 0.0
    for i in range(len(x)):
        r = y[i] - w * x[i]
        if abs(r) <= 1:
            total += 0.5 * r**2
        else:
            total += abs(r) - 0.5
    return total


def huber_slope(w, x, y, outside=1):
    g = 0.0
    for i in range(len(x)):
        r = y[i] - w * x[i]
        g -= r * x[i] if abs(r) <= 1 else outside * torch.sign(r) * x[i]
    return g


def largest(a, x):
    m = x[0]
    for t in range(1, len(x)):
        m = max(a * m, x[t])
    return m


def largest_along(a, x, kept=0.0):
    m, d = x[0], 0.0
    for t in range(1, len(x)):
        d = m + a * d if a * m > x[t] else kept * d
        m = max(a * m, x[t])
    return d


def bounded(x):
    r = (x**2).sum()
    if r <= 1:
        return 0.5 * r
    return torch.sqrt(r) - 0.5


def bounded_slope(x, power=0.5):
    r = (x**2).sum()
    if r <= 1:
        return x
    return x / r**power


def two_layers(W, v, x):
    return relu(v @ relu(W @ x))


def two_layers_slope(W, v, x, inner=1):
    on = (v @ relu(W @ x) > 0) * 1.0
    return on * torch.outer(v * torch.where(W @ x > 0, 1.0, 1.0 - inner), x)


ONE, TWO = {"x": ("n",)}, {"x": ("n",), "y": ("n",)}
NET = {"W": ("m", "n"), "v": ("m",), "x": ("n",)}
# model, hand formula, a wrong one, shapes, the input
CASES = {
    "relu in a loop": (rnn, rnn_back, lambda w, u, x: rnn_back(w, u, x, 1), ONE, "w"),
    "max and if": (hinge, hinge_slope, lambda w, x, y: hinge_slope(w, x, y, 1), TWO, "w"),
    "both sides of an if": (huber, huber_slope, lambda w, x, y: huber_slope(w, x, y, -1), TWO, "w"),
    "the largest so far": (largest, largest_along, lambda a, x: largest_along(a, x, 1.0), ONE, "a"),
    "returned at once": (bounded, bounded_slope, lambda x: bounded_slope(x, 1), ONE, "x"),
    "vectors and a number": (two_layers, two_layers_slope, lambda W, v, x: two_layers_slope(W, v, x, 0), NET, "W"),
}


def drawn(model, at):
    """Values at sizes that nothing was read at."""
    rng = np.random.default_rng(3)
    names = model.__code__.co_varnames[: model.__code__.co_argcount]
    return {n: torch.tensor(rng.standard_normal([{"n": 7, "m": 6}[k] for k in at.get(n, ())])) for n in names}


def by_autograd(model, values, wrt):
    x = values[wrt].clone().requires_grad_()
    return torch.autograd.grad(model(**{**values, wrt: x}), x)[0]


EARLY = pytest.mark.xfail(strict=True, reason="what returns early is proved at the sizes that are given alone")


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[EARLY] if n == "returned at once" else []) for n in CASES])
def test_a_choice_by_a_number_is_proved_for_all_sizes(name):
    model, hand, _, at, wrt = CASES[name]
    report = verify(model, hand, at=at, wrt=wrt)
    found = report.claims[wrt].verdict.for_all
    assert found.is_whole
    assert found.ties
    assert "no comparison is a tie" in " ".join(str(report).split())
    values = drawn(model, at)
    torch.testing.assert_close(torch.as_tensor(hand(**values)), by_autograd(model, values, wrt), check_dtype=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_wrong_choice_is_refuted_at_a_point(name):
    model, _, hand, at, wrt = CASES[name]
    witness = verify(model, hand, at=at, wrt=wrt).claims[wrt].witness
    point = {n: torch.as_tensor(np.asarray(v), dtype=D) for n, v in witness.point.items()}
    mine = torch.as_tensor(hand(**point)).to(D)
    assert not torch.allclose(mine, by_autograd(model, point, wrt), rtol=1e-9, atol=0)


@pytest.mark.slow
def test_what_a_branch_does_beside_giving_values_to_names_is_no_arithmetic():
    def model(a, x):
        weights = [1.0, 2.0, 3.0] * 40
        y = 0.0
        for t in range(len(x)):
            if a * x[t] > 0:
                y = y + weights.pop() * a * x[t]
            else:
                y = y + a
        return y

    report = verify(model, lambda a, x: model(a, x) / a, at={"x": ("n",)}, wrt="a")
    assert report.claims["a"].verdict.for_all is None
