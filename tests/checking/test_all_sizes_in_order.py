"""Sizes that depend on each other: a window is no longer than what it moves over, ``X.T @ X`` has an inverse where X
has no more columns than rows.  Such claims are read, and proved, at sizes where they mean something.

Right and wrong hand formulas are told apart by torch's autograd in float64, at sizes that nothing was read at.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.errors import BadInput, UserCodeFailed
from symgrad.problem.shapes import named_shapes

inv, det = torch.linalg.inv, torch.linalg.det
conv = torch.nn.functional.conv1d
SQUARE = {"A": ("n", "n"), "X": ("n", "n"), "B": ("n", "n")}


def convolved(x, w, g):
    return (conv(x[None, None], w[None, None])[0, 0] * g).sum()


def windows(x, w):
    return torch.stack([x[i : i + len(w)] @ w for i in range(len(x) - len(w) + 1)])


def shifted(x, w, twice):
    y = windows(x, w)
    return torch.stack([twice * sum(y[i] * x[i + j] for i in range(len(y))) for j in range(len(w))])


def log_of_cholesky(X):
    return 2 * torch.log(torch.diagonal(torch.linalg.cholesky(X @ X.T))).sum()


def through_cholesky(A, b):
    return b @ torch.cholesky_solve(b[:, None], torch.linalg.cholesky(A @ A.T))[:, 0]


def woodbury(sign):
    def hand(A, U, C, x):
        small = inv(inv(C) + U.T @ inv(A) @ U)
        return (inv(A) + sign * inv(A) @ U @ small @ U.T @ inv(A)) @ x

    return hand


def rank_one(sign):
    def hand(A, u, v, x):
        inverse = inv(A) - inv(A) @ torch.outer(u, v) @ inv(A) / (1 + sign * v @ inv(A) @ u)
        return (inverse + inverse.T) @ x

    return hand


# model, what it is differentiated by, shapes, the right hand formula, a wrong one, keywords
CASES = {
    "logdet X'X": (lambda X: torch.logdet(X.T @ X), "X", {"X": ("m", "n")},
                   lambda X: 2 * X @ inv(X.T @ X), lambda X: X @ inv(X.T @ X), {}),
    "logdet XX'": (lambda X: torch.logdet(X @ X.T), "X", {"X": ("k", "n")},
                   lambda X: 2 * inv(X @ X.T) @ X, lambda X: inv(X @ X.T) @ X, {}),
    "det X'X": (lambda X: det(X.T @ X), "X", {"X": ("m", "n")}, lambda X: 2 * det(X.T @ X) * X @ inv(X.T @ X),
                lambda X: det(X.T @ X) * X @ inv(X.T @ X), {}),
    "the root of det X'X": (lambda X: torch.sqrt(det(X.T @ X)), "X", {"X": ("m", "n")},
                            lambda X: torch.sqrt(det(X.T @ X)) * X @ inv(X.T @ X),
                            lambda X: 2 * torch.sqrt(det(X.T @ X)) * X @ inv(X.T @ X), {}),
    "a convolution": (convolved, "w", {"x": ("n",), "w": ("k",), "g": ("n-k+1",)},
                      lambda x, w, g: conv(x[None, None], g[None, None])[0, 0],
                      lambda x, w, g: conv(x[None, None], g.flip(0)[None, None])[0, 0], {}),
    "windows in a list": (lambda x, w: (windows(x, w) ** 2).sum(), "w", {"x": ("n",), "w": ("k",)},
                          lambda x, w: shifted(x, w, 2), lambda x, w: shifted(x, w, 1), {}),
    "det AXB": (lambda A, X, B: det(A @ X @ B), "X", SQUARE,
                lambda A, X, B: det(A @ X @ B) * inv(X).T, lambda A, X, B: det(X) * inv(X).T, {}),
    "Woodbury": (lambda A, U, C, x: x @ inv(A + U @ C @ U.T) @ x / 2, "x",
                 {"A": ("n", "n"), "U": ("n", "k"), "C": ("k", "k"), "x": ("n",)},
                 woodbury(-1), woodbury(1), {"assuming": ["A = A.T", "C = C.T"]}),
    "Sherman and Morrison": (lambda A, u, v, x: x @ inv(A + torch.outer(u, v)) @ x, "x",
                             {"A": ("n", "n"), "u": ("n",), "v": ("n",), "x": ("n",)}, rank_one(1), rank_one(-1), {}),
    "log diag of a Cholesky factor": (log_of_cholesky, "X", {"X": ("n", "n")},
                                      lambda X: 2 * inv(X).T, lambda X: inv(X).T, {}),
    "a Cholesky solve": (through_cholesky, "b", {"A": ("n", "n"), "b": ("n",)},
                         lambda A, b: 2 * inv(A @ A.T) @ b, lambda A, b: inv(A @ A.T) @ b, {}),
    "log det by a Cholesky factor": (lambda S: 2 * torch.log(torch.diagonal(torch.linalg.cholesky(S))).sum(), "S",
                                     {"S": ("n", "n")}, lambda S: inv(S), lambda S: 2 * inv(S),
                                     {"assuming": ["S = S.T"]}),
    "differences of neighbours": (lambda x: ((x[1:] - x[:-1]) ** 2).sum(), "x", {"x": ("n",)},
                                  lambda x: 2 * torch.cat([x[:1] - x[1:2], 2 * x[1:-1] - x[:-2] - x[2:],
                                                           x[-1:] - x[-2:-1]]),
                                  lambda x: 2 * torch.cat([x[:1], 2 * x[1:-1] - x[:-2] - x[2:], x[-1:]]), {}),
    "counted from the other end": (lambda x, y: (x.flip(0) * y).sum(), "y", {"x": ("n",), "y": ("n",)},
                                   lambda x, y: x.flip(0), lambda x, y: x, {}),
}  # fmt: skip


def backwards(x, w, g):
    return np.convolve(x, w, "valid") @ g


def test_a_convolution_of_numpy_counts_from_the_other_end():
    at = {"x": ("n",), "w": ("k",), "g": ("n-k+1",)}
    right = verify(backwards, lambda x, w, g: {"w": np.correlate(x, g, "valid")[::-1]}, wrt="w", at=at)
    assert right.claims["w"].verdict.for_all.is_whole
    assert verify(backwards, lambda x, w, g: {"w": np.correlate(x, g, "valid")}, wrt="w", at=at).verdict == "refuted"


def gradients(model, hand, wrt, at, sizes, symmetric):
    draw = torch.Generator().manual_seed(3)
    lengths = {**sizes, "n-k+1": sizes["n"] - sizes.get("k", 0) + 1}
    values = {n: torch.randn([lengths[a] for a in s], generator=draw, dtype=torch.float64) for n, s in at.items()}
    values |= {n: values[n] @ values[n].T for n in symmetric}
    exact = torch.func.grad(lambda v: model(**{**values, wrt: v}))(values[wrt])
    return exact, hand(**values)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "wrt", "at", "hand", "wrong", "keywords"), CASES.values(), ids=CASES)
def test_a_gradient_is_proved_for_all_sizes_where_it_has_a_value(model, wrt, at, hand, wrong, keywords):
    symmetric = [fact[0] for fact in keywords.get("assuming", ())]
    exact, ours = gradients(model, hand, wrt, at, {"m": 6, "n": 5, "k": 3}, symmetric)
    torch.testing.assert_close(ours, exact)
    report = verify(model, hand, wrt=wrt, at=at, **keywords)
    assert report.verdict == "proved"
    assert report.claims[wrt].verdict.for_all.is_whole
    assert not torch.allclose(gradients(model, wrong, wrt, at, {"m": 6, "n": 5, "k": 3}, symmetric)[1], exact)
    assert verify(model, wrong, wrt=wrt, at=at, **keywords).verdict == "refuted"


LENGTHS = [("n-k+1", 6), ("n + k", 11), ("2*n - 3", 13), ("k - 1 + n", 10), ("n", 8)]


@pytest.mark.parametrize(("text", "length"), LENGTHS)
def test_a_length_may_be_a_sum_of_sizes(text, length):
    shapes, _ = named_shapes({"x": ("n",), "w": ("k",), "g": (text,)}, {})
    assert shapes is not None
    assert shapes.at({"n": 8, "k": 3})["g"] == (length,)


@pytest.mark.parametrize("text", ["n-", "-", "n k", "n*k", "n/2", "n--k"])
def test_what_is_no_sum_of_sizes_is_refused_with_what_to_write(text):
    with pytest.raises(BadInput, match="a sum of these"):
        named_shapes({"x": ("n",), "g": (text,)}, {})


def test_a_length_below_zero_is_none():
    shapes, _ = named_shapes({"x": ("n",), "g": ("n-k",), "w": ("k",)}, {})
    assert shapes is not None
    with pytest.raises(BadInput, match="n = 2, k = 3"):
        shapes.at({"n": 2, "k": 3})


def test_code_that_runs_in_no_order_of_the_sizes_is_refused_at_the_first():
    with pytest.raises(UserCodeFailed, match="m = 2, n = 3"):
        verify(lambda x, y: x @ y, lambda x, y: y, wrt="x", at={"x": ("m",), "y": ("n",)})
