"""Claims about arrays as one formula of their sizes: what is proved so is right, here and at every pattern of signs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.checking.judge import judge
from symgrad.checking.verdicts import Proved
from symgrad.problem.question import Asked, pose

F = torch.nn.functional


def verdicts(model, hand, at, wrt=None):
    """The verdicts alone: no line is looked for."""
    found = judge(pose(model, hand, Asked(wrt=wrt, at=at)))
    return {v.kind for v in found.verdicts.values()}


def rand(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rms(X, g, G):
    return (X * torch.rsqrt((X * X).mean(-1, keepdim=True) + 1e-6) * g * G).sum()


def rms_by_hand(X, g, G):
    r = torch.rsqrt((X * X).mean(-1, keepdim=True) + 1e-6)
    n = X * r
    dn = G * g
    return {"X": r * (dn - n * (dn * n).mean(-1, keepdim=True)), "g": (G * n).sum(0)}


def attention(Q, K, V, G):
    return (torch.softmax(Q @ K.T / Q.shape[1] ** 0.5, 1) @ V * G).sum()


def attention_by_hand(Q, K, V, G):
    d = Q.shape[1] ** 0.5
    P = torch.softmax(Q @ K.T / d, 1)
    dP = G @ V.T
    dS = P * (dP - (dP * P).sum(1, keepdim=True)) / d
    return {"Q": dS @ K, "K": dS.T @ Q, "V": P.T @ G}


def layer_norm(X, g, b, G):
    return (F.layer_norm(X, X.shape[1:], g, b) * G).sum()


def layer_norm_by_hand(X, g, b, G):
    m = X.mean(1, keepdim=True)
    r = torch.rsqrt(((X - m) ** 2).mean(1, keepdim=True) + 1e-5)
    n, dn = (X - m) * r, G * g
    return {
        "X": r * (dn - dn.mean(1, keepdim=True) - n * (dn * n).mean(1, keepdim=True)),
        "g": (G * n).sum(0),
        "b": G.sum(0),
    }


ARRAYS = {
    "RMS norm": (rms, rms_by_hand, {"X": (40, 24), "g": (24,), "G": (40, 24)}),
    "attention": (attention, attention_by_hand, dict.fromkeys("QKVG", (32, 16))),
    "layer norm": (layer_norm, layer_norm_by_hand, {"X": (40, 24), "g": (24,), "b": (24,), "G": (40, 24)}),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_norm_and_attention_are_proved_at_concrete_sizes(name):
    model, hand, shapes = ARRAYS[name]
    at = {n: rand(*s, seed=k) for k, (n, s) in enumerate(shapes.items())}
    wrt = [n for n in shapes if n != "G"]
    report = verify(model, hand, at=at, wrt=wrt)
    assert report.verdict == "proved"
    assert "Both were written as sums over indices, in which sizes are letters" in " ".join(str(report).split())
    leaves = {n: v.clone().requires_grad_() for n, v in at.items()}
    slopes = torch.autograd.grad(model(**leaves), [leaves[n] for n in wrt])
    for n, slope in zip(wrt, slopes, strict=True):
        assert np.allclose(report.claims[n].exact_value, slope.numpy(), rtol=1e-9, atol=1e-9)


def mlp(X, W1, b1, W2, b2, Y):
    z = torch.relu(X @ W1 + b1) @ W2 + b2
    return -(Y * torch.log_softmax(z, 1)).sum() / len(X)


def mlp_by_hand(X, W1, b1, W2, b2, Y, *, kept=torch.gt, upstream: Any = 1.0):
    z1 = X @ W1 + b1
    a = torch.relu(z1)
    dz = (torch.softmax(a @ W2 + b2, 1) - Y) / len(X) * upstream
    dz1 = dz @ W2.T * kept(z1, 0)
    return {"W1": X.T @ dz1, "b1": dz1.sum(0), "W2": a.T @ dz, "b2": dz.sum(0)}


MLP = {
    "X": rand(4, 8),
    "W1": rand(8, 8, seed=1) / 3,
    "b1": rand(8, seed=2) / 9,
    "W2": rand(8, 4, seed=3) / 3,
    "b2": rand(4, seed=4) / 9,
}
SMALL = {
    "X": rand(2, 3),
    "W1": rand(3, 3, seed=1),
    "b1": rand(3, seed=2) / 9,
    "W2": rand(3, 3, seed=3),
    "b2": rand(3, seed=4) / 9,
    "Y": torch.eye(3, dtype=torch.float64)[[0, 2]],
}
ONE_HOT = torch.eye(4, dtype=torch.float64)[[0, 2, 3, 1]]
WEIGHTS = ("W1", "b1", "W2", "b2")


def test_a_relu_net_is_one_formula_and_no_pattern_of_signs_is_a_branch():
    report = verify(mlp, mlp_by_hand, at={**MLP, "Y": ONE_HOT}, wrt=WEIGHTS)
    assert report.verdict == "proved"
    found = [c.verdict for c in report.claims.values() if isinstance(c.verdict, Proved)]
    assert not any(v.proofs for v in found)  # of single branches
    assert "no comparison is a tie" in " ".join(str(report).split())
    assert all("the rows of Y sum to one" in v.domain for v in found)


@pytest.mark.parametrize(
    "slip",
    [
        lambda **v: mlp_by_hand(**v, kept=torch.lt),
        lambda **v: mlp_by_hand(**v, upstream=2.0),
        lambda **v: mlp_by_hand(**v, upstream=torch.where((v["X"] @ v["W1"] + v["b1"]).max() > 2.5, 1.0, 1.0 + 2**-30)),
    ],
    ids=["the other half", "twice", "where a value is small"],
)
def test_a_wrong_relu_net_is_refuted(slip):
    def hand(X, W1, b1, W2, b2, Y):
        return slip(X=X, W1=W1, b1=b1, W2=W2, b2=b2, Y=Y)

    assert "refuted" in verdicts(mlp, hand, SMALL, WEIGHTS)


def test_targets_whose_rows_do_not_sum_to_one_are_no_one_hot_targets():
    assert verdicts(mlp, mlp_by_hand, {**SMALL, "Y": SMALL["Y"] * (1 - 2**-40)}, WEIGHTS) == {"refuted"}


def test_what_holds_below_a_size_alone_is_not_proved_above_it():
    # the record at the user's own sizes is read too: a formula that is right at small ones proves nothing
    def hand(X, g, G):
        found = rms_by_hand(X, g, G)
        return {n: (1.0 if len(X) < 30 else 1 + 2**-45) * v for n, v in found.items()}

    at = {n: rand(*s, seed=k) for k, (n, s) in enumerate(ARRAYS["RMS norm"][2].items())}
    assert verdicts(rms, hand, at, ("X", "g")) == {"refuted"}
    small = {n: v[:20] if v.dim() == 2 else v for n, v in at.items()}
    assert verdicts(rms, hand, small, ("X", "g")) == {"proved"}


def test_code_that_fixes_a_size_is_judged_as_before():
    def total(X):
        return (X.reshape(64, 70) ** 2).sum()

    report = verify(total, lambda X: {"X": 2 * X}, at={"X": rand(64, 70)})
    assert report.verdict == "proved"
    assert "As one formula" not in str(report)


def test_a_kink_at_the_point_is_told_as_before():
    at = {"x": torch.linspace(-1, 1, 9, dtype=torch.float64)}  # with a zero among them
    report = verify(lambda x: torch.relu(x).sum(), lambda x: {"x": (x > 0).to(x.dtype)}, at=at)
    assert report.kinks
    assert report.ok


# ------------------------------------------------------------------------------------------------ the largest of a row


def stable_cross_entropy(X, W, Y):
    z = X @ W
    z = z - z.max(1, keepdims=True)
    return -(Y * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum() / len(X)


def stable_by_hand(X, W, Y):
    z = X @ W
    e = np.exp(z - z.max(1, keepdims=True))
    return X.T @ (e / e.sum(1, keepdims=True) - Y) / len(X)


CLASSES = {
    "X": np.random.default_rng(0).normal(size=(16, 24)),
    "W": np.random.default_rng(1).normal(size=(24, 5)),
    "Y": np.eye(5)[np.arange(16) % 5],
}


def test_what_is_taken_off_for_the_exponentials_is_any_entry_of_its_row():
    """The largest entry of each row is one choice of places, and the proof is for all of them."""
    report = verify(stable_cross_entropy, {"W": stable_by_hand}, at=CLASSES)
    assert report.verdict == "proved"
    assert report.counts["points"] == 1
    assert "the rows of Y sum to one" in report.assumptions


@pytest.mark.slow
def test_a_slip_beside_it_is_refuted():
    def by_hand(X, W, Y):
        z = X @ W
        e = np.exp(z - z.max(1, keepdims=True))
        return X.T @ (e / e.sum(0, keepdims=True) - Y) / len(X)

    assert verdicts(stable_cross_entropy, {"W": by_hand}, CLASSES) == {"refuted"}


@pytest.mark.parametrize(
    ("place", "verdict"),
    [
        (lambda x, y: x.argmax(1), "proved"),
        (lambda x, y: x.argmin(1), "refuted"),
        (lambda x, y: y.argmax(1), "refuted"),
        (lambda x, y: np.zeros(len(x), int), "refuted"),
    ],
)
def test_only_the_entries_that_are_taken_have_a_slope(place, verdict):
    def model(x, y):
        return (x.max(1) * y.sum(1)).sum()

    def by_hand(x, y):
        d = np.zeros_like(x)
        d[np.arange(len(x)), place(x, y)] = y.sum(1)
        return d

    rng = np.random.default_rng(0)
    at = {"x": rng.normal(size=(8, 9)), "y": rng.normal(size=(8, 9))}
    assert verdicts(model, {"x": by_hand}, at) == {verdict}


def test_a_place_that_is_always_the_same_is_sought_elsewhere():
    """Of numbers that grow the last is the largest, wherever one looks at random: that could be a place written in the
    code, and is no theorem.  The hand formula is wrong where another one is made the largest."""

    def model(x):
        return ((x * 1e-9 + torch.arange(len(x))).max() * x).sum()

    def by_hand(x):
        last = torch.zeros_like(x)
        last[-1] = 1e-9 * x.sum()
        return (x * 1e-9 + torch.arange(len(x))).max() + last

    assert verdicts(model, {"x": by_hand}, {"x": rand(50)}) == {"refuted"}


def test_the_largest_of_rows_that_are_a_layout_themselves():
    """The stable softmax of a product takes the largest of rows that no step but the choice looks at."""

    def shares(Z):
        E = torch.exp(Z - Z.max(1, keepdim=True).values)
        return E / E.sum(1, keepdim=True)

    X, W, Y = rand(5, 3), rand(3, 3, seed=1), torch.eye(3, dtype=torch.float64)[[0, 2, 1, 1, 0]]
    report = verify(
        lambda W, X, Y: -(Y * torch.log_softmax(X @ W, 1)).sum() / 5,
        lambda W, X, Y: {"W": X.T @ (shares(X @ W) - Y) / len(X)},
        at={"W": W, "X": X, "Y": Y},
        wrt=["W"],
    )
    assert report.verdict == "proved"
    assert not report.notes
