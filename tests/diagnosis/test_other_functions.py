"""A derivation that is right for another function is told which, and no line of it is accused."""

import numpy as np
import pytest
import torch

from symgrad import verify

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75], [-1.0, 0.625, 0.375], [0.875, 1.125, -0.5]])
y = np.array([0.25, -0.5, 1.5, 0.75])
AT = {"w": np.array([0.3125, -0.75, 1.25]), "X": X, "y": y}


def with_penalty(w, X, y):
    r = X @ w - y
    return (r**2).sum() / len(y) + 0.1 * (w**2).sum()


def without_it(w, X, y):
    r = X @ w - y
    return 2 * X.T @ r / len(y)


def likelihood(mu, x):
    p = torch.exp(-((x - mu) ** 2) / 2)
    return torch.prod(p)


def score(mu, x):
    s = 0.0
    for each in x:
        s = s + (each - mu)
    return s


def tanh_of_products(w, X, y):
    return (torch.tanh(X @ w) * y).sum()


def of_cosines(w, X, y):
    return X.T @ (y * np.cosh(X @ w))


def test_a_score_is_the_gradient_of_the_logarithm():
    report = verify(likelihood, score, wrt="mu", at={"mu": 0.25, "x": np.array([0.5, -1.0, 0.125])})
    assert report.verdict == "refuted"
    assert report.wrong_steps == ()
    assert "torch.log(torch.prod(p)) in the place of torch.prod(p)" in report.belongs_to[0]
    assert "proved" in report.belongs_to[0]
    assert "Another function's gradient" in str(report)
    own = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)  # what it says is true
    data = torch.tensor([0.5, -1.0, 0.125], dtype=torch.float64)
    (truth,) = torch.autograd.grad(torch.log(likelihood(own, data)), own)
    assert float(score(0.25, data)) == pytest.approx(float(truth), rel=1e-14)


def test_a_forgotten_regulariser_is_named_as_the_user_wrote_it():
    report = verify(with_penalty, without_it, wrt="w", at=AT)
    (repair,) = report.repairs
    assert "without the term 0.1 * (w ** 2).sum()" in repair.why
    assert repair.proved
    assert report.belongs_to == ()


class Gated(torch.nn.Module):
    def forward(self, x):
        gate = torch.sigmoid(x).detach()
        return (gate * x**2).sum()


def by_number(x):
    return x * x.item()


@pytest.mark.parametrize(
    ("model", "hand", "told"),
    [
        (lambda x: x.detach() * x, lambda x: 2 * x, "without its detach"),
        (Gated(), lambda x: torch.sigmoid(x) * (2 * x + (1 - torch.sigmoid(x)) * x**2), "without its detach"),
        (by_number, lambda x: 2 * x, "without what detaches in it"),
    ],
)
def test_a_derivation_that_follows_what_the_code_detaches_is_told_so(model, hand, told: str):
    report = verify(model, hand, at={"x": 2.0})
    assert report.verdict == "refuted"  # autograd, and the code, have another gradient
    assert report.repairs == report.wrong_steps == ()
    assert told in report.belongs_to[0]
    assert "proved" in report.belongs_to[0]


def test_a_wrong_derivation_of_code_that_detaches_is_repaired():
    report = verify(lambda x: x.detach() * x, lambda x: 3 * x, at={"x": 2.0})
    assert report.belongs_to == ()
    assert report.repairs[0].after == "x"


def test_nothing_is_said_where_no_such_function_is_found():
    report = verify(tanh_of_products, of_cosines, wrt="w", at=AT)
    assert report.verdict == "refuted"
    assert report.belongs_to == ()


def squared_seventh(x):
    total, k = x, 0
    while total.abs() < 20.0:
        total = total * 1.5 + x * x
        k += 1
    if k == 7:
        total = total * x
    return total


def without_the_seventh(x):
    total, slope, k = x, torch.ones_like(x), 0
    while total.abs() < 20.0:
        total = total * 1.5 + x * x
        slope = 1.5 * slope + 2 * x
        k += 1
    return slope


@pytest.mark.slow
def test_a_model_without_a_value_where_the_derivation_was_refuted_is_no_other_function():
    """A product of matrices in the place of a number's raises there, and is right wherever it has a value."""
    report = verify(squared_seventh, without_the_seventh, at={"x": torch.tensor(2.0, dtype=torch.float64)})
    assert report.verdict == "refuted"
    assert not any("@" in whose for whose in report.belongs_to)
    assert any("total in the place of total * x" in whose for whose in report.belongs_to)
