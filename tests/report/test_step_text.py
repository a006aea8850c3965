"""Steps as text: each formula, read back by Python, has the value that torch computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import Latex, verify
from symgrad.api.gradients import lift
from symgrad.report.step_text import LONGEST, Speller


def text_of(formula, at, *, tidy=False):
    program = lift(formula, at=at)
    names = {i: n for n, i in program.inputs.items()}
    return Speller(program.steps, names.get, tidy).formula(program.output)


NUMBERS = [
    lambda x, y: (x + y) * (x - y),
    lambda x, y: x - (y - x) - 2,
    lambda x, y: x / (y / x) / (x * y),
    lambda x, y: -(x + y) * -x,
    lambda x, y: -((x * y) ** 2) + (-x) ** 3,
    lambda x, y: x**y,
    lambda x, y: torch.exp(-x * y) / (1 + torch.exp(-x)),
    lambda x, y: 1 - (1 - torch.tanh(x * y) ** 2),
    lambda x, y: x * (1 / y) + 0.25 * x,
    lambda x, y: -(x * y * x) / (2 * y) / y * 3 / (0.1 * x) ** 2,
    lambda x, y: (x - y) / (x / (2 / y)) * torch.sqrt(x) ** -3 / 5,
    lambda x, y: 1 / (x * y) / (x * y) - 2 / 3 * (x * y) ** 2 / -x,
]


def test_a_tidy_product_is_one_fraction_and_nothing_is_cancelled():
    text = text_of(lambda x, y: 2 * x / y / y * (1 / (2 * x)) * x, {"x": 1.5, "y": 0.75}, tidy=True)
    assert text == "x**2/(y**2*x)"


@pytest.mark.parametrize("tidy", [False, True])
@pytest.mark.parametrize("formula", NUMBERS)
def test_a_formula_of_numbers_reads_back(formula, tidy):
    text = text_of(formula, {"x": 1.5, "y": 0.75}, tidy=tidy)
    scope = {"x": 1.5, "y": 0.75, "exp": np.exp, "tanh": np.tanh, "sqrt": np.sqrt}
    truth = formula(torch.tensor(1.5, dtype=torch.float64), torch.tensor(0.75, dtype=torch.float64))
    assert eval(text, scope) == pytest.approx(float(truth), rel=1e-12)


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (lambda A, x: A @ x, "A @ x"),
        (lambda A, x: A.T @ (A @ x - x), "A.T @ (A @ x - x)"),
        (lambda A, x: (A * x).sum(), "sum(A*x)"),
        (lambda A, x: A[0, 1] * x, "A[0, 1]*x"),
        (lambda A, x: torch.outer(x, x), "x[:, None]*x"),
        (lambda A, x: torch.softmax(x, 0), "softmax(x)"),
        (lambda A, x: torch.diag(x * x), "diag(x*x)"),
        (lambda A, x: x[:, None] * A, "x[:, None]*A"),
        (lambda A, x: x[None, :] * A, "x*A"),
        (lambda A, x: torch.nn.functional.pad(x[:2], (1, 1)), "[0, x[0], x[1], 0]"),
        (lambda A, x: torch.ones(3, dtype=x.dtype) @ A @ x, "(ones @ A) @ x"),
        (lambda A, x: torch.zeros_like(x).index_add(0, torch.tensor([1, 1, 2]), x), "index_add([1, 1, 2], x)"),
        (lambda A, x: torch.rsqrt(x), "1/sqrt(x)"),
        (lambda A, x: x * (2 + 3j), "x*(2+3j)"),
        (lambda A, x: torch.flip(x, (0,)) * x, "x[...]*x"),
        (lambda A, x: x.unfold(0, 2, 1) @ x[:2], "x[...] @ x[...]"),
        (lambda A, x: A @ torch.eye(3, dtype=x.dtype) @ x, "A @ x"),
        (lambda A, x: A + torch.eye(3, dtype=x.dtype), "A + eye(3)"),
        (lambda A, x: A @ torch.diag(torch.ones(3, dtype=x.dtype)) @ x, "A @ x"),
        (lambda A, x: torch.stack([x.sum(), x[0]]), "[sum(x), x[0]]"),
        (lambda A, x: torch.stack([x, 2 * x]), "stack(x, 2*x)"),
        (lambda A, x: torch.cat([x, 2 * x]), "cat(x, 2*x)"),
        (lambda A, x: (x * 1j).conj().real, "real(x*1j)"),
    ],
)
def test_arrays(formula, text):
    assert text_of(formula, {"A": (3, 3), "x": (3,)}) == text


def test_what_is_too_long_to_be_read_has_no_text():
    def formula(x):
        for _ in range(LONGEST):
            x = torch.tanh(x + 1)
        return x

    assert text_of(formula, {"x": 0.5}) is None


def test_a_matrix_that_is_repeated_is_no_transpose():
    hand = Latex(r"\frac{\partial L}{\partial S} = -S^{-\top} x x^\top S^{-\top}")
    report = verify(Latex(r"L = x^\top S^{-1} x"), hand, at={"x": (3,), "S": (3, 3)}, wrt="S")
    assert report.verdict == "proved"
    assert "inv(S)" in str(report)
