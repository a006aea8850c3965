"""What a norm takes off a gradient: means and sums of products over a row, a column or all entries.

Each derivation is right before the slip; the repair is judged by it where inputs and data are moved.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.slips import agree, made_of, slip

from symgrad import verify
from symgrad.diagnosis import suspects

R = np.random.default_rng(8)
X, G = torch.as_tensor(R.standard_normal((3, 4))), torch.as_tensor(R.standard_normal((3, 4)))
W = torch.as_tensor(R.standard_normal(4))
A, B, C = R.standard_normal((6, 3)), R.standard_normal((6, 3)), R.standard_normal(3)


def mended(model, right, at, *changes, wrt=None):
    """The lines that are called wrong, after their repair was judged by the right code."""
    report = verify(model, slip(right, *changes), at=at, wrt=wrt or list(at))
    assert report.verdict == "refuted"
    assert not [n for n in report.notes if "fault of symgrad" in n]
    assert report.repaired_source is not None
    assert agree(made_of(report.repaired_source, right), right, at)
    return [s.source.text for s in report.steps if s.verdict == "wrong"], report


@pytest.mark.slow
def test_one_entry_first_or_all_at_once_finds_the_same_line(monkeypatch):
    found = []
    for large in (0, 10**9):  # entries on a way from which one entry of its end is looked at first
        monkeypatch.setattr(suspects, "_LARGE", large)
        at = {"x": X, "w": W, "g": G}
        texts, report = mended(layer, layer_grad, at, "n * (d * n).mean(-1", "n * (d * n).sum(-1", wrt=["x", "w"])
        found.append((texts, report.wrong_steps, [(s.name, s.verdict, s.claims) for s in report.steps]))
    assert found[0] == found[1]


def layer(x, w, g):
    c = x - x.mean(-1, keepdim=True)
    return (g * w * c * torch.rsqrt((c * c).mean(-1, keepdim=True) + 1e-5)).sum()


def layer_grad(x, w, g):
    c = x - x.mean(-1, keepdim=True)
    r = torch.rsqrt((c * c).mean(-1, keepdim=True) + 1e-5)
    n = c * r
    d = g * w
    dx = r * (d - d.mean(-1, keepdim=True) - n * (d * n).mean(-1, keepdim=True))
    return {"x": dx, "w": (g * n).sum(0)}


def batch(x, gamma, g):
    return np.sum(g * gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5))


def batch_grad(x, gamma, g):
    n = len(x)
    std = np.sqrt(x.var(0) + 1e-5)
    xhat = (x - x.mean(0)) / std
    dgamma = (g * xhat).sum(0)
    dx = gamma / std * (g - g.sum(0) / n - xhat * dgamma / n)
    return {"x": dx, "gamma": dgamma}


def root_mean_square(x, w, g):
    return (g * w * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)).sum()


def root_mean_square_grad(x, w, g):
    r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
    d = g * w
    dx = r * d - x * r**3 * (d * x).mean(-1, keepdim=True)
    return {"x": dx, "w": (g * x * r).sum(0)}


def cosine(a, b):
    return np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))


def cosine_grad(a, b):
    na, nb = np.linalg.norm(a), np.linalg.norm(b)
    c = a @ b / (na * nb)
    da = b / (na * nb) - c * a / na**2
    db = a / (na * nb) - c * b / nb**2
    return {"a": da, "b": db}


def cosines(q, k):
    return ((q * k).sum(-1) / (q.norm(dim=-1) * k.norm(dim=-1))).sum()


def cosines_grad(q, k):
    nq = q.norm(dim=-1, keepdim=True)
    u, v = q / nq, k / k.norm(dim=-1, keepdim=True)
    dq = (v - u * (u * v).sum(-1, keepdim=True)) / nq
    return {"q": dq}


def direction(v, s, g):
    return (g * s * v / v.norm()).sum()


def direction_grad(v, s, g):
    n = v.norm()
    u = v / n
    ds = (g * u).sum()
    dv = s / n * (g - u * ds)
    return {"v": dv, "s": ds}


ROWS, COLUMNS = {"x": X, "w": W, "g": G}, {"x": A, "gamma": C, "g": B}
PAIR, MANY = {"a": A[:, 0], "b": B[:, 0]}, {"q": X, "k": G}
SCALED = {"v": W, "s": torch.tensor(1.3, dtype=torch.float64), "g": X[0]}
MISSING = [
    (layer, layer_grad, ROWS, " - d.mean(-1, keepdim=True)", ""),
    (layer, layer_grad, ROWS, " - n * (d * n).mean(-1, keepdim=True)", ""),
    (layer, layer_grad, ROWS, "(d - d.mean(-1, keepdim=True) - n * (d * n).mean(-1, keepdim=True))", "d"),  # both
    (batch, batch_grad, COLUMNS, " - xhat * dgamma / n", ""),
    (batch, batch_grad, COLUMNS, "(g - g.sum(0) / n - xhat * dgamma / n)", "g"),
    (root_mean_square, root_mean_square_grad, ROWS, " - x * r**3 * (d * x).mean(-1, keepdim=True)", ""),
    (cosine, cosine_grad, PAIR, " - c * a / na**2", ""),
    (cosines, cosines_grad, MANY, " - u * (u * v).sum(-1, keepdim=True)", ""),
    (direction, direction_grad, SCALED, " - u * ds", ""),
]


@pytest.mark.parametrize(
    ("model", "right", "at", "old", "new"),
    [pytest.param(*case, marks=pytest.mark.slow) if case[0] in (layer, batch, cosines) else case for case in MISSING],
)
def test_a_term_with_a_mean_of_a_product_is_missing(model, right, at, old, new):
    wrt = [n for n in right(**at) if n in at]
    (line,), report = mended(model, right, at, old, new, wrt=wrt)
    assert report.repairs[0].kind == "term"
    assert line.startswith("d")  # of the gradient, not what is returned of it


def fused(x, w, b, g):
    return layer(x, w, g) + (g * b).sum()


def fused_grad(x, w, b, g):
    c = x - x.mean(-1, keepdim=True)
    r = torch.rsqrt((c * c).mean(-1, keepdim=True) + 1e-5)
    n = c * r
    d = g * w
    dx = r * (d - d.mean(-1, keepdim=True) - n * (d * n).mean(-1, keepdim=True))
    dw = (g * n).sum(0)
    db = g.sum(0)
    return dx, dw, db


@pytest.mark.slow
@pytest.mark.parametrize("old", [" - d.mean(-1, keepdim=True)", " - n * (d * n).mean(-1, keepdim=True)"])
def test_results_in_another_order_and_a_missing_term_are_two_slips_and_the_lines_between_are_right(old):
    at = {"x": X, "w": W, "b": W + 1, "g": G}
    lines, report = mended(
        fused, fused_grad, at, "return dx, dw, db", "return dx, db, dw", old, "", wrt=["x", "w", "b"]
    )
    assert report.wrong_steps == ("dx", "return")
    assert not [line for line in lines if line.startswith(("dw", "db"))]


def centred(x, gamma, g):
    return batch(x, gamma, g)


def centred_grad(x, gamma, g):
    n = x.shape[0]
    xmu = x - x.mean(0)
    ivar = 1.0 / np.sqrt(x.var(0) + 1e-5)
    dxhat = g * gamma
    dvar = np.sum(dxhat * xmu, axis=0) * -0.5 * ivar**3
    dmu = -np.sum(dxhat * ivar, axis=0)
    dx = dxhat * ivar + dvar * 2 * xmu / n + dmu / n
    return {"x": dx, "gamma": np.sum(g * xmu * ivar, axis=0)}


def test_a_line_of_another_shape_is_blamed_though_no_number_in_it_puts_anything_right():
    (line,), report = mended(
        centred, centred_grad, COLUMNS, "ivar, axis=0)\n    dx", "ivar)\n    dx", wrt=["x", "gamma"]
    )
    assert line == "dmu = -np.sum(dxhat * ivar)"
    assert "runs over all axes" in " ".join(str(report).split())


# ------------------------------------------------------------------------------------------------ log parameters


def divergence(mu, log_sigma):
    sigma = torch.exp(log_sigma)
    return torch.sum(-log_sigma + 0.5 * (sigma**2 + mu**2) - 0.5)


def divergence_grad(mu, log_sigma):
    sigma = torch.exp(log_sigma)
    dsigma = sigma - 1 / sigma
    dlog_sigma = dsigma * sigma
    return {"mu": mu, "log_sigma": dlog_sigma}


CHAIN = [
    ("sigma - 1 / sigma", "sigma - 1", "dsigma"),
    ("sigma - 1 / sigma", "sigma + 1 / sigma", "dsigma"),
    ("sigma - 1 / sigma", "sigma - 1 / sigma**2", "dsigma"),
    ("dsigma * sigma", "dsigma", "dlog_sigma"),
    ("dsigma * sigma", "dsigma / sigma", "dlog_sigma"),
]


@pytest.mark.parametrize(("old", "new", "name"), CHAIN)
def test_the_slope_by_sigma_counts_every_use_where_the_input_is_its_logarithm(old, new, name):
    """The model uses log_sigma twice, the derivation writes all of it in sigma: both readings of dsigma are right."""
    at = {"mu": W, "log_sigma": W / 3}
    _, report = mended(divergence, divergence_grad, at, old, new)
    assert report.wrong_steps == (name,)
