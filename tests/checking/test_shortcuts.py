"""Torch's softplus is its argument above a threshold: the gradient of what it means is right, and that of what runs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from symgrad import verify, verify_function


def copied(x, threshold=20.0, above=1.0):
    """The slope as torch's own backward has it."""
    return torch.where(x > threshold, torch.full_like(x, above), torch.sigmoid(x))


@pytest.mark.parametrize("x", [0.5, 30.0])
def test_the_gradient_of_what_runs_is_right_and_the_report_says_of_what_it_is(x):
    at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    F.softplus(at).backward()
    assert at.grad == pytest.approx(float(copied(torch.tensor(x, dtype=torch.float64))), rel=1e-15)
    report = verify(lambda x: F.softplus(x), copied, at={"x": x})
    assert report.verdict == "proved"
    assert "It is not the derivative of log(1 + exp(u))" in " ".join(str(report).split())
    assert {o.state for c in report.coverage for o in c.outcomes} == {"reached"}


def test_the_gradient_of_what_it_means_is_right_and_says_so_above_the_threshold():
    report = verify(lambda x: F.softplus(x), torch.sigmoid, at={"x": 30.0})
    assert report.verdict == "proved"
    assert "Yours is the derivative of log(1 + exp(u))" in " ".join(str(report).split())
    below = verify(lambda x: F.softplus(x), torch.sigmoid, at={"x": 2.0})
    assert below.verdict == "proved"
    assert not any("softplus" in note for note in below.notes)


@pytest.mark.parametrize(
    ("threshold", "above"),
    [(10.0, 1.0), (20.0, 1 + 1e-9)] + [pytest.param(*p, marks=pytest.mark.slow) for p in ((20.0, 0.0), (30.0, 1.0))],
)
@pytest.mark.slow
def test_what_is_right_of_neither_is_wrong(threshold, above):
    """Another threshold than torch's, or another slope above it."""
    report = verify(lambda x: F.softplus(x), lambda x: copied(x, threshold, above), at={"x": 30.0})
    assert report.verdict == "refuted"


@pytest.mark.slow
def test_numpy_has_no_threshold():
    import numpy as np

    hand = lambda x: np.where(x > 20, 1.0, 1 / (1 + np.exp(-x)))  # noqa: E731
    assert verify(lambda x: np.logaddexp(0, x), hand, at={"x": 30.0}).verdict == "refuted"
    assert not verify("softplus(x)", "sigmoid(x)", at={"x": 30.0}).notes


@pytest.mark.parametrize("beta", [pytest.param(1.0, marks=pytest.mark.slow), 2.0])
def test_a_backward_that_copies_the_threshold(beta):
    class Softplus(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return F.softplus(x, beta)

        @staticmethod
        def backward(ctx, upstream):
            (x,) = ctx.saved_tensors
            return upstream * copied(x * beta)

    x = torch.tensor([0.5, -1.0, 30.0], dtype=torch.float64)
    assert verify_function(Softplus, at={"x": x}).verdict == "proved"


def test_a_module_is_asked_of_what_runs_too():
    """What is below the threshold in one entry and above it in another."""
    model = torch.nn.Sequential(torch.nn.Softplus())

    def loss(x):
        return model(x).sum()

    assert verify(loss, copied, at={"x": torch.tensor([1.0, 25.0], dtype=torch.float64)}).verdict == "proved"
