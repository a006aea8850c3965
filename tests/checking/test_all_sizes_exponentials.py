"""Gradients through the exponential of a matrix of any size: proved, and wrong ones refuted at a point.

The truth at the witness is torch's own gradient in float64.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import verify

expm = torch.linalg.matrix_exp
SQUARE = {"A": ("n", "n"), "x": ("n",), "y": ("n",), "C": ("n", "n")}


def flow(A, t, x, y):
    return x @ expm(t * A) @ y


def along(A, C):
    """The derivative of exp at the transpose of A along C, in the corner of the exponential of blocks."""
    n = A.shape[0]
    blocks = torch.cat([torch.cat([A.T, C], 1), torch.cat([torch.zeros_like(A), A.T], 1)])
    return expm(blocks)[:n, n:]


# model, right, wrong, the input
CASES = {
    "time": (flow, lambda A, t, x, y: x @ A @ expm(t * A) @ y, lambda A, t, x, y: x @ A.T @ expm(t * A) @ y, "t"),
    "on the other side": (flow, lambda A, t, x, y: x @ expm(A * t) @ A @ y, lambda A, t, x, y: x @ expm(A) @ A @ y,
                          "t"),
    "where it starts": (lambda A, x, y: ((expm(A) @ x - y) ** 2).sum() / 2,
                        lambda A, x, y: expm(A).T @ (expm(A) @ x - y),
                        lambda A, x, y: expm(A) @ (expm(A) @ x - y), "x"),
    "a trace": (lambda A: torch.trace(expm(A)), lambda A: expm(A).T, lambda A: expm(A), "A"),
    "a graph without cycles": (lambda A: torch.trace(expm(A * A)) - A.shape[0], lambda A: 2 * A * expm(A * A).T,
                               lambda A: 2 * A * expm(A * A), "A"),
    "a square": (lambda A: torch.trace(expm(A) @ expm(A)), lambda A: 2 * expm(2 * A).T, lambda A: 2 * expm(A).T, "A"),
    "in blocks": (lambda A, C: (expm(A) * C).sum(), along, lambda A, C: along(A.T, C), "A"),
    "an inverse": (lambda A, x, y: x @ torch.linalg.inv(expm(A)) @ y, lambda A, x, y: expm(-A) @ y,
                   lambda A, x, y: expm(A) @ y, "x"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_exponential_of_a_matrix_is_proved_for_all_sizes(name):
    model, right, wrong, wrt = CASES[name]
    names = model.__code__.co_varnames[: model.__code__.co_argcount]
    at = {k: v for k, v in SQUARE.items() if k in names}
    assert verify(model, right, wrt=wrt, at=at).claims[wrt].verdict.for_all.is_whole
    witness = verify(model, wrong, wrt=wrt, at=at).claims[wrt].witness
    point = {k: torch.tensor(np.asarray(witness.point[k], dtype=float), requires_grad=k == wrt) for k in names}
    truth = torch.autograd.grad(model(**point), point[wrt])[0]
    assert np.isclose(float(witness.exact), float(truth[witness.entry or ()]))
    assert not np.isclose(float(witness.hand), float(witness.exact), rtol=1e-9, atol=0)


@pytest.mark.slow
def test_blocks_of_another_matrix_are_not_its_derivative():
    """Along C at A is not the same as along A at C."""
    model = lambda A, C: (expm(A) * C).sum()  # noqa: E731
    report = verify(model, lambda A, C: along(C, A), wrt="A", at={"A": ("n", "n"), "C": ("n", "n")})
    assert report.verdict == "refuted"
