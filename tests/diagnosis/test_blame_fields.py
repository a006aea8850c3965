"""Slips that a choice hides, that stand in a line that takes several values apart, or that leave a line out: each is
found where it stands; and a line that may be innocent is not said to be wrong by itself.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.slips import agree, made_of, slip

from symgrad import verify

R = np.random.default_rng(11)


def repaired(model, right, at, *changes):
    """The report on right code with a slip in it, after its repair was judged by the right code."""
    report = verify(model, slip(right, *changes), at=at, wrt=list(at))
    assert report.verdict == "refuted"
    assert agree(made_of(report.repaired_source, right), right, at)
    return report


def lines_of(report):
    return list(dict.fromkeys(s.source.text for s in report.steps if s.verdict == "wrong"))


# ------------------------------------------------------------------------------------------------ what decides

N = R.standard_normal((3, 2))


def triplet(a, p):
    return torch.relu(((a - p) ** 2).sum(1) - ((a - torch.as_tensor(N)) ** 2).sum(1) + 1.0).sum()


def triplet_grad(a, p):
    pos = np.sum((a - p) ** 2, axis=1)
    neg = np.sum((a - N) ** 2, axis=1)
    active = (pos - neg + 1.0 > 0)[:, None]
    return {"a": 2 * active * (N - p), "p": 2 * active * (p - a)}


@pytest.mark.slow
def test_a_line_that_only_decides_is_found():
    """``neg`` stands in a mask alone: no derivative comes from it, and every one rests on it."""
    at = {"a": R.standard_normal((3, 2)), "p": R.standard_normal((3, 2))}
    report = repaired(triplet, triplet_grad, at, "(a - N) ** 2", "(a + N) ** 2")
    assert [text.partition(" = ")[0] for text in lines_of(report)] == ["neg"]


def gathered(w):
    return (torch.as_tensor(PRICES)[[2, 0, 3, 1]] * w**2).sum()


PRICES = R.standard_normal(4)


def gathered_grad(w):
    order = [2, 0, 3, 1]
    return {"w": 2 * w * PRICES[order]}


def test_a_line_beside_one_of_which_nothing_is_known_is_not_wrong_by_itself():
    """Which of the two is wrong cannot be told where no small edit helps; that it is said is all that is true."""
    broken = slip(gathered_grad, "[2, 0, 3, 1]", "[3, 2, 1, 0]")
    report = verify(gathered, broken, at={"w": R.standard_normal(4)})
    assert report.verdict == "refuted"
    assert report.repaired_source is None
    said = " ".join(str(report).split())
    assert "this line is wrong, or line 2 that it rests on; no small edit puts it right" in said


# ------------------------------------------------------------------------------------------------ several at once

TURN = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])


def pixel(p):
    q = torch.as_tensor(TURN) @ p + torch.tensor([0.1, 0.2, 3.0], dtype=p.dtype)
    return q[0] / q[2] + 2 * q[1] / q[2]


def pixel_grad(p):
    turned = TURN @ p
    q = turned + np.array([0.1, 0.2, 3.0])
    x, y, z = q
    g = np.array([1 / z, 2 / z, -(x + 2 * y) / z**2])
    return {"p": TURN.T @ g}


@pytest.mark.slow
def test_a_line_that_takes_several_values_apart_is_found():
    report = repaired(pixel, pixel_grad, {"p": R.standard_normal(3)}, "x, y, z = q", "x, y, z = turned")
    assert lines_of(report) == ["x, y, z = turned"]
    assert report.repairs[0].after == "q"


# ------------------------------------------------------------------------------------------------ arrays of three axes


def heads(q, k):
    return ((q @ k.transpose(1, 2)) ** 2).sum()


def heads_grad(q, k):
    g = 2 * (q @ k.transpose(1, 2))
    return {"q": g @ k, "k": g.transpose(1, 2) @ q}


def heads_in_numpy(q, k):
    g = 2 * (q @ np.swapaxes(k, 1, 2))
    return {"q": g @ k, "k": np.swapaxes(g, 1, 2) @ q}


@pytest.mark.parametrize(
    ("right", "old", "new", "written"),
    [
        (heads_grad, '"k": g.transpose(1, 2)', '"k": g', ".transpose(-2, -1)"),
        (heads_grad, '"q": g @ k', '"q": g.transpose(1, 2) @ k', "g @ k"),
        (heads_in_numpy, "np.swapaxes(g, 1, 2)", "g", ".swapaxes(-2, -1)"),
    ],
)
def test_the_last_two_axes_of_a_stack_of_matrices_are_transposed(right, old, new, written):
    at = {n: torch.as_tensor(R.standard_normal((2, 3, 3))) for n in "qk"}
    if right is heads_in_numpy:
        at = {n: v.numpy() for n, v in at.items()}
    report = repaired(heads, right, at, old, new)
    assert written in report.repairs[0].after
    assert "transpose" in report.repairs[0].why


# ------------------------------------------------------------------------------------------------ what was left out

XS = R.standard_normal(4)


def mixture(m):
    return -torch.logsumexp(-((torch.as_tensor(XS)[:, None] - m) ** 2) / 2, 1).sum()


def mixture_grad(m):
    g = np.zeros(3)
    for x in XS:
        like = np.exp(-((x - m) ** 2) / 2)
        resp = like / like.sum()
        for k in range(3):
            g[k] -= resp[k] * (x - m[k])
    return {"m": g}


@pytest.mark.slow
def test_weights_that_do_not_sum_to_one():
    report = repaired(mixture, mixture_grad, {"m": R.standard_normal(3)}, "like / like.sum()", "like")
    assert report.repairs[0].after == "like / like.sum()"
    assert "sum to one" in report.repairs[0].why


def chain(q):
    return ((q[1:] - q[:-1]) ** 2).sum() / 2 + (q**4).sum()


def chain_grad(q):
    force = np.zeros(len(q))
    for i in range(len(q) - 1):
        stretch = q[i + 1] - q[i]
        force[i] -= stretch
        force[i + 1] += stretch
    force += 4 * q**3
    return {"q": force}


@pytest.mark.slow
def test_a_force_without_its_counterpart():
    """The line that is missing is written out, below the one that it belongs to."""
    report = repaired(chain, chain_grad, {"q": R.standard_normal(5)}, "\n        force[i] -= stretch", "")
    assert lines_of(report) == ["force[i + 1] += stretch"]
    assert "+ force[i] -= stretch" in str(report)


def ridge(y):
    A = torch.as_tensor(TURN.T @ TURN + np.diag([1.0, 2.0, 3.0]))
    return (torch.linalg.solve(A, y) ** 2).sum()


def ridge_grad(y):
    A = TURN.T @ TURN + np.diag([1.0, 2.0, 3.0])
    w = np.linalg.solve(A, y)
    return {"y": np.linalg.solve(A.T, 2 * w)}


def test_a_matrix_in_the_place_of_its_inverse():
    report = repaired(ridge, ridge_grad, {"y": R.standard_normal(3)}, "np.linalg.solve(A.T, 2 * w)", "A @ (2 * w)")
    assert report.repairs[0].after == "np.linalg.solve(A, 2 * w)"


def echo(a):
    y = loss = 0.0
    for x in XS:
        y = x - a * y
        loss = loss + (y - 0.3) ** 2 / 2
    return loss


def echo_grad(a):
    y = s = g = 0.0
    for x in XS:
        s = -y - a * s
        y = x - a * y
        g += (y - 0.3) * s
    return {"a": g}


@pytest.mark.slow
def test_a_tangent_that_is_not_carried_on():
    report = repaired(echo, echo_grad, {"a": 0.7}, "-y - a * s", "-y")
    assert lines_of(report) == ["s = -y"]


# ------------------------------------------------------------------------------------------------ one index, twice


def walk(v):
    x = th = 0 * v[0]
    for k in range(4):
        x = x + v[k] * torch.cos(th + XS[k]) + 2 * v[k] * torch.sin(th + XS[k])
        th = th + v[k] ** 2
    return x


def walk_grad(v):
    ths = [0.0]
    for k in range(4):
        ths.append(ths[-1] + v[k] ** 2)
    g, later = np.zeros(4), 0.0
    for k in range(3, -1, -1):
        at = np.cos(ths[k] + XS[k]) + 2 * np.sin(ths[k] + XS[k])
        g[k] = at + 2 * v[k] * later
        later = later + v[k] * (2 * np.cos(ths[k] + XS[k]) - np.sin(ths[k] + XS[k]))
    return {"v": g}


def test_an_index_that_is_off_in_two_places_of_a_line_is_one_slip():
    old = "at = np.cos(ths[k] + XS[k]) + 2 * np.sin(ths[k] + XS[k])"
    report = repaired(walk, walk_grad, {"v": R.standard_normal(4)}, old, old.replace("ths[k]", "ths[k + 1]"))
    assert [text.partition(" = ")[0] for text in lines_of(report)] == ["at"]


# ------------------------------------------------------------------------------------------------ right ones beside


def robust(p, t):
    return torch.sqrt(1 + (p - t) ** 2).sum()


def robust_grad(p, t):
    r = p - t
    slope = r / np.sqrt(1 + r**2)
    return {"p": slope, "t": -slope}


@pytest.mark.slow
def test_a_line_that_is_right_for_one_result_is_not_wrong_for_another():
    wrong = slip(robust_grad, '"p": slope, "t": -slope', '"p": 1.0 * slope, "t": slope')
    report = verify(robust, wrong, at={"p": R.standard_normal(3), "t": R.standard_normal(3)})
    assert report.wrong_steps == ("return",)
    assert [r.after for r in report.repairs] == ["-slope"]


# ------------------------------------------------------------------------------------------------ symmetric data

COVARIANCE = np.array([[0.04, 0.01, 0.0], [0.01, 0.09, 0.02], [0.0, 0.02, 0.16]])


def volatility(w, S):
    return torch.sqrt(w @ S @ w)


def volatility_grad(w, S):
    vol = np.sqrt(w @ S @ w)
    return {"w": (S + S.T) @ w / (2 * vol)}


def test_a_repair_is_right_whether_the_given_matrix_is_symmetric_or_not():
    """``S @ w / vol`` is right too for a covariance; the lost 2 is what was meant."""
    at = {"w": np.array([0.2, 0.5, 0.3]), "S": COVARIANCE}
    report = verify(volatility, slip(volatility_grad, "(2 * vol)", "vol"), at=at, wrt=["w"])
    assert [r.after for r in report.repairs] == ["(S + S.T) @ w / (2 * vol)"]


def test_what_is_right_for_a_symmetric_matrix_alone_says_that():
    at = {"w": np.array([0.2, 0.5, 0.3]), "S": COVARIANCE}
    wrong = slip(volatility_grad, 'return {"w": (S + S.T) @ w / (2 * vol)}', 'return {"w": S @ w / (2 * vol)}')
    report = verify(volatility, wrong, at=at, wrt=["w"])
    (repair,) = report.repairs
    assert "S.T" in repair.after or "right for your symmetric S only" in repair.why


# ------------------------------------------------------------------------------------------------ layers as classes


class Dense:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        self.z = x @ self.W + self.b
        return np.tanh(self.z)

    def backward(self, d):
        d = d * (1 - np.tanh(self.z) ** 2)
        return self.x.T @ d, d.mean(0)


INPUT = R.standard_normal((4, 3))


def layered(W, b):
    return (torch.tanh(torch.as_tensor(INPUT) @ W + b) ** 2).sum()


def layered_grad(W, b):
    layer = Dense(W, b)
    out = layer.forward(INPUT)
    gW, gb = layer.backward(2 * out)
    return {"W": gW, "b": gb}


def test_a_line_of_a_method_is_found():
    """What is repaired is the method, in the text of its class; the class itself stays as it is."""
    report = verify(layered, layered_grad, at={"W": R.standard_normal((3, 2)), "b": R.standard_normal(2)})
    (repair,) = report.repairs
    assert (repair.before, repair.after) == ("d.mean(0)", "d.sum(0)")
    assert report.repaired_source.startswith("class Dense:")
    assert "def layered_grad" in report.repaired_source
    assert np.allclose(Dense(np.eye(3), np.zeros(3)).forward(INPUT), np.tanh(INPUT))
