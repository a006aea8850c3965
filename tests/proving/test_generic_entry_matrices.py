"""Proofs with inverses and determinants of small matrices written out; torch in float64 judges what is true."""

from __future__ import annotations

import pytest
import torch
from flint import fmpq, fmpq_mat

from symgrad import compare, verify
from symgrad.proving.field import Field
from symgrad.proving.generic_entry import determinant, entry_of_inverse

inv, det = torch.linalg.inv, torch.linalg.det


def symmetric(a, b, c):
    return torch.stack([torch.stack([a, b]), torch.stack([b, c])])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_cramers_rule_is_flints_inverse(n):
    numbers = [
        [fmpq((3 * i + 5 * j * j + 7 * (i == j)) % 11 + 1, 1 + (i + 2 * j) % 3) for j in range(n)] for i in range(n)
    ]
    f = Field(4)
    rows = [[f.number(x) for x in row] for row in numbers]
    exact = fmpq_mat(numbers)
    assert f.is_zero(f.sub(determinant(f, rows), f.number(exact.det())))
    for i in range(n):
        for j in range(n):
            assert f.is_zero(f.sub(entry_of_inverse(f, rows, i, j), f.number(exact.inv()[i, j])))


TRUE = {
    "the inverse of a symmetric matrix is symmetric": (
        lambda a, b, c: inv(symmetric(a, b, c))[0, 1],
        lambda a, b, c: inv(symmetric(a, b, c))[1, 0],
    ),
    "Cramer's rule": (lambda a, b, c: inv(symmetric(a, b, c))[0, 0], lambda a, b, c: c / (a * c - b * b)),
    "det of a product": (lambda A, B: det(A @ B), lambda A, B: det(A) * det(B)),
    "the inverse of a product": (lambda A, B: inv(A @ B), lambda A, B: inv(B) @ inv(A)),
    "Sherman and Morrison": (
        lambda A, u: inv(A + torch.outer(u, u)),
        lambda A, u: inv(A) - torch.outer(inv(A) @ u, u @ inv(A)) / (1 + u @ inv(A) @ u),
    ),
}
SHAPES = {"A": (2, 2), "B": (2, 2), "u": (2,)}


def at(function):
    return {n: SHAPES[n] for n in function.__code__.co_varnames if n in SHAPES}


@pytest.mark.parametrize("name", TRUE)
def test_identities_of_small_matrices_are_proved(name):
    left, right = TRUE[name]
    assert compare(left, right, at=at(left)).kind == "proved"


@pytest.mark.parametrize("name", TRUE)
def test_and_what_is_nearly_one_is_refuted(name):
    left, right = TRUE[name]
    wrong = lambda **given: right(**given) * (1 + 2.0**-40)  # noqa: E731
    names = left.__code__.co_varnames
    planted = eval(f"lambda {', '.join(names)}: wrong({', '.join(f'{n}={n}' for n in names)})", {"wrong": wrong})
    assert compare(left, planted, at=at(left)).kind == "refuted"


@pytest.mark.slow
def test_the_covariance_of_a_gaussian_in_two_cells():
    """An entry of a symmetric parameter stands in two cells of the matrix, and its slope is the sum of theirs."""

    def model(mu, a, b, c, x):
        d, S = x - mu, symmetric(a, b, c)
        return -0.5 * d @ inv(S) @ d - 0.5 * torch.log(det(S))

    def hand(mu, a, b, c, x):
        d, P = x - mu, inv(symmetric(a, b, c))
        G = -0.5 * (P - torch.outer(P @ d, P @ d))
        return {"mu": P @ d, "a": G[0, 0], "b": G[0, 1] + G[1, 0], "c": G[1, 1]}

    def one_cell(mu, a, b, c, x):
        return {**hand(mu, a, b, c, x), "b": hand(mu, a, b, c, x)["b"] / 2}

    point = {"mu": [1.0, 1.0], "a": 1.0, "b": 0.5, "c": 1.0, "x": [1.0, 2.0]}
    wrt = ("mu", "a", "b", "c")
    right = verify(model, hand, at=point, wrt=wrt)
    assert right.verdict == "proved"
    assert verify(model, one_cell, at=point, wrt=wrt).claims["b"].kind == "refuted"


def test_what_is_true_is_true_in_floats():
    generator = torch.Generator().manual_seed(0)
    for left, right in TRUE.values():
        given = [
            torch.rand(SHAPES.get(n, ()), generator=generator, dtype=torch.float64) + (n == "a") + (n == "c")
            for n in left.__code__.co_varnames
        ]
        torch.testing.assert_close(left(*given), right(*given), rtol=1e-9, atol=1e-9)
