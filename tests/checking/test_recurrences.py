"""Code that loops to a size with a name, judged for all of it: right derivations of recurrences, and slips in them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from symgrad import verify

D = torch.float64


def turns(x):
    return range(len(x))


def horner(c, x):
    p = 0.0
    for k in turns(c):
        p = p * x + c[k]
    return p


def horner_slope(c, x):
    p = d = 0.0
    for k in turns(c):
        d = d * x + p
        p = p * x + c[k]
    return {"x": d}


def horner_late(c, x):
    p = d = 0.0
    for k in turns(c):
        p = p * x + c[k]
        d = d * x + p
    return {"x": d}


def horner_of_many(c, x):
    slope = horner_slope(c, x)["x"]
    some = 13
    return {"x": slope if len(c) < some * some else slope + 1}


def test_a_loop_is_proved_for_every_number_of_turns():
    report = verify(horner, horner_slope, at={"c": ("n",), "x": 1.5}, wrt="x")
    assert str(report).startswith("Right, and proved for all n: your gradient for x is the derivative.")
    found = report.claims["x"].verdict.for_all
    assert (found.sizes, found.least, found.proof.rules) == (("n",), 1, ("induction over n",))
    text = " ".join(str(report).split())
    assert "By induction over n: written out in numbers, your code and the exact derivative are two loops" in text
    assert "The code was read at n = 16, 17, 18, and held against the code at n = 33, 101." in text
    assert report.to_dict()["claims"]["x"]["verdict"]["for_all"]["proof"]["rules"] == ["induction over n"]


def test_a_slip_in_the_turns_is_refuted_at_the_fewest_that_show_it():
    report = verify(horner, horner_late, at={"c": ("n",), "x": 1.5}, wrt="x")
    assert report.verdict == "refuted"
    assert report.claims["x"].verdict.witness.sizes == {"n": 1}


@pytest.mark.slow
def test_code_that_goes_another_way_after_some_turns_is_not_proved_for_all():
    report = verify(horner, horner_of_many, at={"c": ("n",), "x": 1.5}, wrt="x")
    assert getattr(report.claims["x"].verdict, "for_all", None) is None


def case(model, hand, at, wrt):
    return SimpleNamespace(model=model, hand=hand, at=at, wrt=wrt)


def rnn(w, u, x, y):
    h = loss = 0.0
    for t in turns(x):
        h = torch.tanh(w * h + u * x[t])
        loss = loss + (h - y[t]) ** 2
    return loss


def rnn_back(w, u, x, y):
    hs = [torch.zeros(())]
    for t in turns(x):
        hs.append(torch.tanh(w * hs[-1] + u * x[t]))
    dw = du = dh = 0.0
    dx = torch.zeros_like(x)
    for t in reversed(turns(x)):
        dh = dh + 2 * (hs[t + 1] - y[t])
        raw = dh * (1 - hs[t + 1] ** 2)
        dw, du, dx[t], dh = dw + raw * hs[t], du + raw * x[t], raw * u, raw * w
    return {"w": dw, "u": du, "x": dx}


def cell(f, g, x):
    c = 0.0
    for t in turns(x):
        keep = torch.sigmoid(f * x[t])
        c = keep * c + (1 - keep) * torch.tanh(g * x[t])
    return c


def cell_back(f, g, x):
    c, turned = torch.zeros(()), []
    for t in turns(x):
        keep, new = torch.sigmoid(f * x[t]), torch.tanh(g * x[t])
        turned.append((keep, new, c))
        c = keep * c + (1 - keep) * new
    df = dg = 0.0
    dc = torch.ones(())
    for t in reversed(turns(x)):
        keep, new, before = turned[t]
        df = df + dc * (before - new) * keep * (1 - keep) * x[t]
        dg = dg + dc * (1 - keep) * (1 + new) * (1 - new) * x[t]
        dc = dc * keep
    return {"f": df, "g": dg}


def leapfrog(q, p, k, push):
    for t in turns(push):
        p = p - 0.05 * k * q
        q = q + 0.1 * p
        p = p - 0.05 * k * q + push[t]
    return q * q + p * p


def leapfrog_back(q, p, k, push):
    steps = []
    for t in turns(push):
        before = q
        p = p - 0.05 * k * q
        q = q + 0.1 * p
        p = p - 0.05 * k * q + push[t]
        steps.append((before, q))
    dq, dp, dk = 2 * q, 2 * p, 0.0
    for before, after in reversed(steps):
        dk = dk - 0.05 * after * dp
        dq = dq - 0.05 * k * dp
        dp = dp + 0.1 * dq
        dk = dk - 0.05 * before * dp
        dq = dq - 0.05 * k * dp
    return {"q": dq, "p": dp, "k": dk}


def crf(A, U):
    a = U[0]
    for t in range(1, len(U)):
        a = torch.logsumexp(a[:, None] + A, 0) + U[t]
    return torch.logsumexp(a, 0)


def crf_back(A, U):
    forward = [U[0]]
    for t in range(1, len(U)):
        forward.append(torch.logsumexp(forward[-1][:, None] + A, 0) + U[t])
    g = torch.softmax(forward[-1], 0)
    dA, dU = torch.zeros(2, 2, dtype=D), [None] * len(U)
    for t in range(len(U) - 1, 0, -1):
        dU[t] = g
        P = torch.softmax(forward[t - 1][:, None] + A, 0) * g
        dA, g = dA + P, P.sum(1)
    dU[0] = g
    return {"A": dA, "U": torch.stack(dU)}


def crf_marginals(A, U, beta=True):
    """How likely each state is at each place: forward and backward sums together, in logarithms."""
    forward, backward = [U[0]], [torch.zeros(2, dtype=D)]
    for t in range(1, len(U)):
        forward.append(torch.logsumexp(forward[-1][:, None] + A, 0) + U[t])
    for t in range(len(U) - 1, 0, -1):
        backward.insert(0, torch.logsumexp(A + U[t] + backward[0], 1))
    total = torch.logsumexp(forward[-1], 0)
    return torch.stack([torch.exp(a + b * beta - total) for a, b in zip(forward, backward, strict=True)])


def softplus(a, x):
    m = x[0]
    for t in range(1, len(x)):
        m = x[t] + torch.log(1 + torch.exp(m + a))
    return m


def softplus_along(a, x):
    m, d = x[0], 0.0
    for t in range(1, len(x)):
        d = torch.sigmoid(m + a) * (d + 1)
        m = x[t] + torch.log(1 + torch.exp(m + a))
    return d


def matrix_rnn(W, x):
    h = torch.zeros(len(W), dtype=D)
    for t in turns(x):
        h = torch.tanh(W @ h + x[t])
    return h.sum()


def matrix_rnn_back(W, x):
    hs = [torch.zeros(len(W), dtype=D)]
    for t in turns(x):
        hs.append(torch.tanh(W @ hs[-1] + x[t]))
    d, raws = torch.ones(len(W), dtype=D), [None] * len(x)
    for t in reversed(turns(x)):
        raws[t] = d * (1 - hs[t + 1] ** 2)
        d = W.T @ raws[t]
    return torch.stack(raws).T @ torch.stack(hs[:-1])  # added up at the end, and from the front


def newton(a, x):
    y = 1.0
    for t in turns(x):
        y = 0.5 * (y + a / y) + x[t]
    return y


def newton_along(a, x):
    y, d = torch.ones(()), 0.0
    for t in turns(x):
        d = 0.5 * (d + 1 / y - a / y**2 * d)
        y = 0.5 * (y + a / y) + x[t]
    return d


def average(a, x):
    y = 0.0
    for t in turns(x):
        y = (1 - a) * y + a * x[t]
    return y


def average_closed(a, x):
    return torch.stack([a * (1 - a) ** (len(x) - 1 - t) for t in turns(x)])


def polynomial(c, x):
    return sum(c[k] * x**k for k in turns(c))


def polynomial_slope(c, x):
    return sum(k * c[k] * x ** (k - 1) for k in range(1, len(c)))


def second_order(x, a):
    p = q = 0.0
    for t in turns(x):
        p, q = a * p - 0.5 * q + x[t], p
    return p


def second_order_along(x, a):
    p = q = dp = dq = 0.0
    for t in turns(x):
        p, q, dp, dq = a * p - 0.5 * q + x[t], p, p + a * dp - 0.5 * dq, dp
    return dp


CASES = {
    "rnn": case(rnn, rnn_back, {"w": 1.2, "u": 0.7, "x": ("T",), "y": ("T",)}, ("w", "u", "x")),
    "cell": case(cell, cell_back, {"f": 0.5, "g": 1.1, "x": ("T",)}, ("f", "g")),
    "leapfrog": case(leapfrog, leapfrog_back, {"q": 0.4, "p": 0.9, "k": 1.1, "push": ("T",)}, ("q", "p", "k")),
    "crf": case(crf, crf_back, {"A": (2, 2), "U": ("T", 2)}, ("A", "U")),
    "crf, marginals": case(crf, crf_marginals, {"A": (2, 2), "U": ("T", 2)}, ("U",)),
    "softplus": case(softplus, softplus_along, {"a": 0.5, "x": ("T",)}, ("a",)),
    "matrix rnn": case(matrix_rnn, matrix_rnn_back, {"W": (2, 2), "x": ("T", 2)}, ("W",)),
    "newton": case(newton, newton_along, {"a": 2.5, "x": ("T",)}, ("a",)),
    "average": case(average, average_closed, {"a": 0.25, "x": ("T",)}, ("x",)),
    "polynomial": case(polynomial, polynomial_slope, {"c": ("T",), "x": 1.5}, ("x",)),
    "second order": case(second_order, second_order_along, {"x": ("T",), "a": 0.75}, ("a",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_recurrences_are_proved_for_all_turns(name):
    c = CASES[name]
    report = verify(c.model, c.hand, at=c.at, wrt=c.wrt)
    assert report.verdict == "proved"
    assert {n: claim.verdict.for_all.sizes for n, claim in report.claims.items()} == dict.fromkeys(c.wrt, ("T",))
    torch.manual_seed(0)
    given = {
        n: torch.randn([7 if k == "T" else k for k in v], dtype=D) if isinstance(v, tuple) else v
        for n, v in c.at.items()
    }
    given = {n: torch.as_tensor(v, dtype=D).requires_grad_(n in c.wrt) for n, v in given.items()}
    truth = torch.autograd.grad(c.model(**given), [given[n] for n in c.wrt])
    mine = c.hand(**{n: v.detach() for n, v in given.items()})
    mine = mine if isinstance(mine, dict) else {c.wrt[0]: mine}
    for n, value in zip(c.wrt, truth, strict=True):
        torch.testing.assert_close(mine[n], value)


@pytest.mark.slow
def test_other_sizes_stay_as_they_are():
    report = verify(matrix_rnn, matrix_rnn_back, at={"W": ("d", "d"), "x": ("T", "d")}, wrt="W")
    assert str(report).startswith("Right, and proved for all T at d = 2: your gradient for W is the derivative.")
    assert report.claims["W"].verdict.for_all.at == {"d": 2}
    text = " ".join(str(report).split())
    assert "It holds for all T at d = 2, wherever both have a value. Proved for all T at d = 2 alone: " in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "slip", "claim"),
    [
        ("rnn", lambda g: {**g, "w": g["w"] + g["u"] * 2.0**-30}, "w"),
        ("crf", lambda g: {**g, "U": g["U"].flip(0)}, "U"),
        ("crf, marginals", lambda g: g.flip(1), "U"),
    ],
)
def test_slips_in_recurrences_are_refuted(name, slip, claim):
    c = CASES[name]
    report = verify(c.model, lambda **given: slip(c.hand(**given)), at=c.at, wrt=c.wrt)
    assert report.claims[claim].kind == "refuted"
