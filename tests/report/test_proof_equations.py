"""Proofs as equations: what a person reads of them, and that each of them is true."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.report.proof_equations import equations_of


def told(report, name):
    (proof,) = report.claims[name].verdict.proofs
    return [str(e) for e in equations_of(proof, name)]


def told_of(report, name, order):
    (proof,) = report.claims[name].verdict.proofs
    return [str(e) for e in equations_of(proof, name, order)]


def model(w, v, h0):
    h1 = torch.tanh(w * h0)
    h2 = torch.tanh(w * h1)
    return v * h2


def hand(w, v, h0):
    h1 = torch.tanh(w * h0)
    h2 = torch.tanh(w * h1)
    dh2 = v
    dz2 = (1 - h2**2) * dh2
    dh1 = dz2 * w
    dz1 = (1 - h1 * h1) * dh1
    dw = dz2 * h1 + dz1 * h0
    return {"w": dw, "v": h2}


AT = {"w": 2.0, "v": 40.0, "h0": 0.5}


def test_each_line_of_a_derivation_is_an_equation_in_its_names():
    report = verify(model, hand, wrt=("w", "v"), at=AT)
    assert told(report, "w")[:5] == [
        "dz2 = v*(1 - h2**2), since tanh'(u) = 1 - tanh(u)**2",
        "dh1 = dz2*w",
        "dz1 = dh1*(1 - h1**2), since tanh'(u) = 1 - tanh(u)**2",
        "dw = dz2*h1 + dz1*h0",
        "dw = ∂f/∂w",
    ]


def test_the_equations_are_true_in_floats():
    """Each side of each equation about lines, computed by Python from the code's own variables."""
    report = verify(model, hand, wrt=("w", "v"), at=AT)
    scope = dict(AT, tanh=np.tanh)
    lines = "h1=tanh(w*h0) h2=tanh(w*h1) dh2=v dz2=(1-h2**2)*dh2 dh1=dz2*w dz1=(1-h1*h1)*dh1 dw=dz2*h1+dz1*h0".split()
    for line in lines:
        exec(line, scope)
    checked = 0
    for text in told(report, "w"):
        sides = re.sub(r", since .*", "", text).split(" = ")
        if not any("∂" in side for side in sides):
            values = [eval(side, scope) for side in sides]
            assert values[0] == pytest.approx(values[1], rel=1e-12)
            checked += 1
    assert checked >= 4


@pytest.mark.parametrize(
    ("formula", "gradient", "equation"),
    [
        (
            "tanh(w*x)",
            "w*(1 - tanh(w*x)**2)",
            "w*(1 - tanh(w*x)**2) = ∂f/∂x = (1 - tanh(w*x)**2)*w, since tanh'(u) = 1 - tanh(u)**2",
        ),
        (
            "log(1 + exp(x))**2",
            "2*log(1 + exp(x))*sigmoid(x)",
            "2*log(1 + exp(x))*sigmoid(x) = ∂f/∂x = 2*log(1 + exp(x))*exp(x)/(1 + exp(x)), since exp'(u) = exp(u) and "
            "log'(u) = 1/u",
        ),
        (
            "x/(1 + x**2)",
            "(1 - x**2)/(1 + x**2)**2",
            "(1 - x**2)/(1 + x**2)**2 = ∂f/∂x = 1/(1 + x**2) - 2*x**2/(1 + x**2)**2",
        ),
        ("x**y", "y*x**(y - 1)", "y*x**(y - 1) = ∂f/∂x, since ∂(u**v)/∂u = v*u**(v - 1)"),
        ("sin(x)**2", "sin(2*x)", "sin(2*x) = ∂f/∂x = 2*sin(x)*cos(x), since sin'(u) = cos(u)"),
    ],
)
def test_a_formula_beside_the_exact_derivative(formula, gradient, equation):
    report = verify(formula, gradient, wrt="x")
    assert equation in told(report, "x")
    assert equation in " ".join(str(report).split())
    assert equation in " ".join(report.proof().split())


def test_a_report_never_tells_steps_by_their_numbers():
    report = verify(model, hand, wrt=("w", "v"), at=AT)
    for text in (str(report), report.explain(), report.proof()):
        assert not re.search(r"\bstep \d+ = step \d+", text)
        assert "dh1 = dz2*w" in text


def test_a_long_derivation_is_told_in_about_ten_equations_and_the_rest_are_counted():
    def long(w, x):
        h = x
        for _ in range(9):
            h = torch.tanh(w * h)
        return h

    def by_hand(w, x):
        hs = [x]
        for _ in range(9):
            hs.append(torch.tanh(w * hs[-1]))
        dh, dw = 1.0, 0.0
        for t in reversed(range(9)):
            dz = dh * (1 - hs[t + 1] ** 2)
            dw = dw + dz * hs[t]
            dh = dz * w
        return dw

    report = verify(long, by_hand, wrt="w", at={"w": 0.7, "x": 0.3})
    text = " ".join(report.explain().split())
    assert re.search(r"and \d+ more equations: proof\(\) has them all", text)
    assert len(report.proof().splitlines()) > 11


def test_what_is_not_proved_has_no_equations():
    assert verify("x**3", "3*x", wrt="x").proof() == "Nothing is proved."


def forward_chain(w, x):
    h1 = torch.tanh(w * x)
    return torch.tanh(w * h1)


def by_chain(w, x):
    h1 = torch.tanh(w * x)
    h2 = torch.tanh(w * h1)
    dh1 = (1 - h1**2) * x
    dh2 = (1 - h2**2) * (h1 + w * dh1)
    return {"w": dh2}


def test_a_line_that_the_exact_derivative_does_not_have_is_told_as_it_was_written():
    """The exact derivative goes backwards: no step of it is dh1.  What the hand code calls h2 has no other name."""
    assert told(verify(forward_chain, by_chain, wrt="w", at={"w": 2.0, "x": 0.5}), "w") == [
        "dh1 = (1 - h1**2) * x",
        "dh2 = (1 - h2**2)*h1 + (1 - h2**2)*w*(1 - h1**2)*x, since tanh'(u) = 1 - tanh(u)**2",
        "dh2 = ∂f/∂w",
    ]


def cross_entropy(X, y, w):
    z = X @ w
    p = 1 / (1 + torch.exp(-z))
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


def by_difference(X, y, w):
    p = 1 / (1 + torch.exp(-(X @ w)))
    dz = (p - y) / len(y)
    return X.T @ dz


def test_what_is_joined_on_the_way_comes_behind_what_it_speaks_of_and_the_claim_last():
    texts = told(verify(cross_entropy, by_difference, wrt="w", at={"X": (3, 2), "y": (3,), "w": (2,)}), "w")
    assert texts[0] == "1/p = exp(-z) + 1"
    assert texts[1].startswith("dz = ((1 - y)/(3*(1 - p)) - y/(3*p))*exp(-z)/(exp(-z) + 1)**2, since exp'(u) = exp(u)")
    assert texts[-1].startswith("X.T @ dz = ∂f/∂w")


def scaled(g, x):
    v = (x**2).mean()
    return (g * x / torch.sqrt(v)).sum()


def by_scale(g, x):
    inv = 1 / np.sqrt((x**2).mean())
    xhat = x * inv
    return {"g": xhat, "x": inv * (g - xhat * (g * xhat).mean())}


def test_an_equation_stands_behind_the_lines_that_it_speaks_of():
    texts = told(verify(scaled, by_scale, at={"g": (3,), "x": (3,)}), "x")
    names = ["inv", "xhat"]
    first = {n: next(k for k, text in enumerate(texts) if text.startswith(f"{n} = ")) for n in names}
    for k, text in enumerate(texts):
        for n in names:
            assert k >= first[n] or not re.search(rf"\b{n}\b", text)


def test_a_proof_of_a_line_as_it_was_written_says_so():
    proof = verify(forward_chain, by_chain, wrt="w", at={"w": 2.0, "x": 0.5}).proof()
    assert "    dh1 = (1 - h1**2) * x  [your own line]\n" in proof


def test_a_hessian_is_a_second_derivative():
    report = verify("x**3*y", {"x": "6*x*y"}, order=2, wrt="x")
    assert told_of(report, "x", 2) == ["6*x*y = ∂²f/∂x² = 6*y*x"]
    assert "6*x*y = ∂²f/∂x²" in str(report)
    assert "∂²f/∂x²" in report.proof()


@pytest.mark.parametrize(
    ("formula", "gradient", "words"),
    [
        ("tanh(x)", "4*exp(2*x)/(exp(2*x) + 1)**2", "with tanh written in exp."),
        ("sigmoid(x)", "exp(x)/(exp(x) + 1)**2", "with sigmoid written in exp."),
        ("tanh(x)*sigmoid(x)", "4*exp(2*x)/(exp(2*x)+1)**2/(1+exp(-x)) + tanh(x)*exp(x)/(exp(x)+1)**2", None),
    ],
)
def test_only_functions_that_there_are_are_written_in_exponentials(formula, gradient, words):
    text = " ".join(str(verify(formula, gradient)).split())
    assert (words or "with tanh and sigmoid written in exp") in text


def test_one_value_under_two_names_is_no_equation():
    def model(w, x):
        a = x
        return torch.tanh(w * a)

    def hand(w, x):
        inp = x.reshape(())
        return {"w": inp * (1 - torch.tanh(w * inp) ** 2)}

    texts = told(verify(model, hand, wrt="w", at={"w": 2.0, "x": 0.5}), "w")
    assert not any(re.fullmatch(r"\w+ = \w+", text) for text in texts)


def test_turns_of_a_loop_are_explained():
    def recurrent(w, x):
        h = 0.0
        for t in range(2):
            h = torch.tanh(w * h + x[t])
        return h

    def by_hand(w, x):
        hs = [0.0]
        for t in range(2):
            hs.append(np.tanh(w * hs[-1] + x[t]))
        dh, dw = 1.0, 0.0
        for t in reversed(range(2)):
            da = dh * (1 - hs[t + 1] ** 2)
            dw = dw + da * hs[t]
            dh = da * w
        return dw

    text = str(verify(recurrent, by_hand, wrt="w", at={"w": 0.5, "x": np.array([1.0, -0.5])}))
    assert "        da[0] is what da is given the first time, and so on.\n" in text


def entropy(z, y):
    return -(y * torch.log_softmax(z, -1)).sum()


def of_entropy(z, y):
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    return {"z": p * y.sum(-1, keepdims=True) - y}


def test_a_proof_in_sums_shows_an_entry():
    report = verify(entropy, of_entropy, wrt="z", at={"z": (4, 3), "y": np.eye(3)[[0, 1, 2, 1]]})
    text = " ".join(str(report).split())
    assert "An entry of yours: exp(z[i,j])*(sum_k y[i,k])/(sum_k exp(z[i,k])) - y[i,j] An entry of the exact" in text


def huber(r, d):
    if abs(r) < d:
        return r**2 / 2
    return d * (abs(r) - d / 2)


def clipped(r, d):
    if abs(r) < d:
        return r
    return d if r > 0 else -d


def test_each_branch_is_told_by_what_the_code_found_there():
    report = verify(huber, clipped, wrt="r", at={"r": 0.3, "d": 1.0})
    text = " ".join(str(report).split())
    assert "- where abs(r) < d: r = ∂f/∂r" in text
    assert "- where abs(r) >= d and r > 0: d = ∂f/∂r = d*sign(r), since abs'(u) = sign(u)" in text
    assert "- where abs(r) >= d and r <= 0: -d = ∂f/∂r = d*sign(r), since abs'(u) = sign(u)" in text
    assert "r, where abs(r) < d:" in report.proof()


def layer(W, x, v):
    z = W @ x
    return (v * torch.relu(z)).sum()


def masked(W, x, v):
    z = W @ x
    dz = v * (z > 0)
    dW = torch.outer(dz, x)
    return dW


def test_what_holds_on_all_branches_is_told_once():
    text = " ".join(str(verify(layer, masked, wrt="W", at={"W": (2, 3), "x": (3,), "v": (2,)})).split())
    _, first, *branches, last = text.partition(" Before the proof")[0].partition("reached. ")[2].split("- ")
    assert first.strip() == "dz = v * (z > 0)"
    assert [b.strip() for b in branches] == [
        "where z > 0 is [True, False]: dW = outer([v[0], 0], x)",
        "where z <= 0: dW = 0",
        "where z > 0: dW = outer(v, x)",
        "where z > 0 is [False, True]: dW = outer([0, v[1]], x)",
    ]
    assert last.strip() == "dW = ∂f/∂W"


def test_what_is_proved_for_all_sizes_is_told_in_sums():
    def square(X, w, y):
        return ((X @ w - y) ** 2).sum()

    def hand(X, w, y):
        return 2 * X.T @ (X @ w - y)

    at = {"X": ("m", "n"), "w": ("n",), "y": ("m",)}
    text = verify(square, hand, wrt="w", at=at).proof()
    assert "w, for all m and n:" in text
    assert "∂f/∂w[i] = sum_s 2*((sum_j X[s,j]*w[j]) - y[s])*X[s,i]" in text


def test_what_a_helper_returns_has_no_name_of_its_own():
    """The slope of a sigmoid that a helper computes is told by the line that calls it."""

    def slope(s):
        return s * (1 - s)

    def hand(w, x):
        s = torch.sigmoid(w * x)
        return {"w": slope(s) * x}

    report = verify(lambda w, x: torch.sigmoid(w * x), hand, at={"w": 0.5, "x": 2.0}, wrt=["w"])
    assert report.verdict == "proved"
    assert "return" not in str(report)
