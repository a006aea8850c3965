"""Products over a size with a name, proved for all of it: as code, in text, in LaTeX, and multiplied up in a loop.

The right gradients are torch's in float64 at a size that nothing was read at; wrong ones are refuted at a point.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import Latex, verify

D = torch.float64


def in_a_loop(x):
    p = 1.0
    for i in range(len(x)):
        p = p * x[i]
    return p


def root(x):
    return torch.prod(x) ** (1 / len(x))


def product(x):
    return torch.prod(x)


# model, right, wrong, keywords, the model in torch
CASES = {
    "torch": (product, lambda x: torch.prod(x) / x, lambda x: torch.prod(x) / x**2, {}, product),
    "NumPy": (lambda x: np.prod(x), lambda x: np.prod(x) / x, lambda x: np.prod(x) * x, {}, product),
    "in a loop": (in_a_loop, lambda x: torch.prod(x) / x, lambda x: torch.prod(x) / (len(x) * x), {}, in_a_loop),
    "a root": (root, lambda x: root(x) / (len(x) * x), lambda x: root(x) / x, {"domain": {"x": (0, None)}}, root),
    "text": ("log(prod(1 + x**2))", "2*x/(1 + x**2)", "x/(1 + x**2)", {}, lambda x: torch.prod(1 + x**2).log()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_product_is_proved_for_all_sizes(name):
    model, hand, wrong, keywords, in_torch = CASES[name]
    found = verify(model, hand, at={"x": ("n",)}, **keywords).claims["x"].verdict.for_all
    assert found.is_whole
    assert not found.ties
    witness = verify(model, wrong, at={"x": ("n",)}, **keywords).claims["x"].witness
    x = torch.tensor(np.asarray(witness.point["x"], dtype=float), requires_grad=True)
    truth = torch.autograd.grad(in_torch(x), x)[0]
    assert np.isclose(float(witness.exact), float(truth.reshape(-1)[witness.entry or 0]))
    assert not np.isclose(float(witness.hand), float(witness.exact), rtol=1e-9, atol=0)


LATEX = {
    r"f = \prod_{i=1}^n x_i": (
        r"\frac{\partial f}{\partial x_k} = \prod_{i \ne k} x_i",
        r"\frac{\partial f}{\partial x_k} = x_k \prod_{i \ne k} x_i",
    ),
    r"L(p) = \prod_{i=1}^n p^{x_i} (1-p)^{1-x_i}": (
        r"\frac{dL}{dp} = L(p) \left(\frac{\sum_i x_i}{p} - \frac{n - \sum_i x_i}{1-p}\right)",
        r"\frac{dL}{dp} = L(p) \left(\frac{\sum_i x_i}{p} + \frac{n - \sum_i x_i}{1-p}\right)",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("model", LATEX)
def test_a_product_in_latex(model):
    right, wrong = LATEX[model]
    (claim,) = verify(Latex(model), Latex(right)).claims.values()
    assert claim.verdict.for_all.is_whole
    assert verify(Latex(model), Latex(wrong)).verdict == "refuted"


def test_where_a_factor_is_no_analytic_function_the_proof_is_for_positive_ones():
    absolute = lambda x: torch.sqrt(torch.prod(x) ** 2)  # noqa: E731
    report = verify(absolute, lambda x: torch.sqrt(torch.prod(x) ** 2) / x, at={"x": ("n",)})
    proof = report.claims["x"].verdict.for_all.proof
    assert "is positive" in {c.what for c in proof.conditions}
    assert "wherever both have a value and x[i] is positive." in str(report)
