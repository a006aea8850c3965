"""Of several repairs that are true, the one nearest to what the user wrote is offered, in words that say no more than
what was found.
"""

from __future__ import annotations

import numpy as np
import pytest
from support.slips import agree, made_of, slip

from symgrad import verify

R = np.random.default_rng(3)

# ------------------------------------------------------------------------------------------------ signals and mixtures


def filtered(h, x):
    return 0.5 * np.sum((np.convolve(x, h, mode="valid") - 1) ** 2)


def filtered_grad(h, x):
    e = np.convolve(x, h, mode="valid") - 1
    return {"h": np.correlate(x, e, mode="valid")[::-1]}


def mixture(q, x):
    p = np.exp(q) / np.exp(q).sum()
    return -np.sum(np.log(np.exp(-((x[:, None] - np.arange(3.0)) ** 2)) @ p))


def mixture_grad(q, x):
    p = np.exp(q) / np.exp(q).sum()
    joint = np.exp(-((x[:, None] - np.arange(3.0)) ** 2)) * p
    part = joint / joint.sum(axis=1, keepdims=True)
    return {"q": len(x) * p - part.sum(axis=0)}


# ------------------------------------------------------------------------------------------------ scales and turns


def likelihood(scale, x):
    return np.sum(np.log(scale) + np.log1p((x / scale) ** 2))


def likelihood_grad(scale, x):
    z = x / scale
    w = 2 * z**2 / (1 + z**2)
    return {"scale": (1 / scale - w / scale).sum()}


def turned(u, v):
    return 0.5 * np.sum((np.cross(u, np.cross(u, v)) - 1) ** 2)


def turned_grad(u, v):
    w = np.cross(u, v)
    r = np.cross(u, w) - 1
    return {"u": np.cross(w, r) + np.cross(v, np.cross(r, u))}


def memory(a, x, y, z):
    s = np.tanh(x)
    s = a * s + np.tanh(y)
    s = a * s + np.tanh(z)
    return s**2


def memory_grad(a, x, y, z):
    s1 = np.tanh(x)
    s2 = a * s1 + np.tanh(y)
    s3 = a * s2 + np.tanh(z)
    ds2_a = s1
    ds3_a = s2 + a * ds2_a
    return {"a": 2 * s3 * ds3_a}


def spread(z):
    c = z - z.mean(axis=0)
    return np.sum(z[0] * c[1] / np.sqrt((c**2).mean(axis=0) + 1))


def spread_grad(z):
    N = len(z)
    c = z - z.mean(axis=0)
    s = np.sqrt((c**2).mean(axis=0) + 1)
    top = np.zeros_like(z)
    top[1] = z[0] / s
    back = top - c * (z[0] * c[1]) / s**3 / N
    out = back - back.mean(axis=0)
    out[0] += c[1] / s
    return {"z": out}


X, Q, U, V = R.standard_normal(5), R.standard_normal(3), R.standard_normal(3), R.standard_normal(3)
POINT = {"a": 0.7, "x": 0.4, "y": -0.9, "z": 0.6}

NEAREST = [
    (filtered, filtered_grad, {"h": Q, "x": X}, ("[::-1]", ""), "[::-1]", "the entries stand in the reverse order"),
    (mixture, mixture_grad, {"q": Q, "x": X}, ("len(x) * p", "p"), "len(x)", "a factor is missing: len(x)."),
    (
        likelihood,
        likelihood_grad,
        {"scale": 1.3, "x": X},
        ("(1 / scale - w / scale).sum()", "1 / scale - (w / scale).sum()"),
        "(1 / scale - w / scale).sum()",
        "the brackets group the wrong things",
    ),
    (turned, turned_grad, {"u": U, "v": V}, ("np.cross(w, r) + ", ""), "cross(w, r)", "a term is missing: "),
    (memory, memory_grad, POINT, ("a * ds2_a", "ds2_a"), "ds2_a * a", "a factor of the chain rule is missing: a."),
    (spread, spread_grad, {"z": R.standard_normal((4, 2))}, ("/ N", "/ (N - 1)"), "/ N", "the number is off by one"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "right", "at", "change", "after", "why"), NEAREST)
def test_the_nearest_edit_is_offered(model, right, at, change, after, why):
    wrt = list(right(**at))
    report = verify(model, slip(right, *change), at=at, wrt=wrt)
    assert report.verdict == "refuted"
    (one,) = report.repairs
    assert after in one.after
    assert one.why.startswith(why)
    assert report.repaired_source is not None
    repaired = made_of(report.repaired_source, right)
    assert all(agree(repaired, right, {**at, n: 1.1 * at[n]}) for n in at)


def reach(p, q):
    return (np.cos(p) + np.cos(p + q)) ** 2 + (np.sin(p) + np.sin(p + q)) ** 3


def reach_grad(p, q):
    x = np.cos(p) + np.cos(p + q)
    y = np.sin(p) + np.sin(p + q)
    J1 = -np.sin(p) - np.sin(p + q)
    J2 = np.cos(p) + np.cos(p + q)
    return {"p": 2 * x * J1 + 3 * y**2 * J2, "q": -2 * x * np.sin(p + q) + 3 * y**2 * np.cos(p + q)}


def test_a_line_that_would_be_left_without_use_is_rather_the_wrong_one():
    """J2 is what x is already: x in its place is true too, and leaves J2 as it was."""
    wrong = slip(reach_grad, "J2 = np.cos(p) + np.cos(p + q)", "J2 = np.cos(p) + np.cos(q)")
    report = verify(reach, wrong, at={"p": 0.5, "q": 0.9})
    assert [(r.step, r.after) for r in report.repairs] == [("J2", "np.cos(p) + np.cos(p + q)")]
