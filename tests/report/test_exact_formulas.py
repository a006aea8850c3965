"""A report in LaTeX."""

import pytest
import torch

from symgrad import verify


@pytest.fixture(scope="module")
def wrong():
    return verify("w*tanh(w*x)", {"w": "tanh(w*x) + w*x*(1 - (w*x)**2)"}, at={"w": 2.0, "x": 0.5})


@pytest.fixture(scope="module")
def matrix():
    return verify(
        lambda W, x: torch.tanh(W @ x).sum(),
        lambda W, x: torch.outer(1 - torch.tanh(W @ x), x),
        wrt="W",
        at={"W": (3, 2), "x": (2,)},
    )


def test_latex_shows_the_exact_derivative_and_a_wrong_one_beside_it(wrong):
    text = wrong.to_latex()
    assert text.startswith("\\begin{aligned}\n\\frac{\\partial f}{\\partial w} &=")
    assert "yours" in text
    assert "yours" not in verify("x**3", "3*x**2").to_latex()


def test_latex_of_a_matrix_is_a_matrix_and_of_a_long_formula_its_length(matrix):
    assert "matrix" in matrix.to_latex()
    long = verify("*".join(f"tanh(x + {k})" for k in range(40)), "x")
    assert "steps" in long.to_latex()
