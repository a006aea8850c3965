"""Derivatives at points where their formula is 0/0 or overflows on the way: limits, known elsewhere."""

import mpmath
import numpy as np
import pytest
import torch

import symgrad


def at(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("order", [0, 1])
def test_slopes_of_bessel_functions_at_zero_and_beside_it(order):
    function = (torch.special.i0, torch.special.i1)[order]
    x = at([0.0, 1e-9, -1e-3, 0.5, -30.0])
    found = symgrad.gradient(lambda x: function(x).sum(), at={"x": x})["x"](x)
    truth = [float(mpmath.diff(lambda x: mpmath.besseli(order, x), v)) for v in x.tolist()]
    torch.testing.assert_close(found, at(truth), rtol=1e-14, atol=0)


def test_what_overflows_on_the_way_is_the_number_that_it_is():
    found = symgrad.gradient(lambda x: torch.special.i1e(x), at={"x": at(2.0)})["x"](at(800.0))
    truth = mpmath.diff(lambda x: mpmath.exp(-x) * mpmath.besseli(1, x), 800)
    assert float(found) == pytest.approx(float(truth), rel=1e-12)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_gradient_of_a_determinant_is_the_cofactors_at_singular_matrices_too(rank):
    a = np.diag([2.0, 3.0, 5.0, 0.0]) * (np.arange(4) < rank)
    a = np.triu(np.ones((4, 4))).T @ a @ np.triu(np.ones((4, 4)))  # integers, and exactly singular
    minors = np.array([[np.delete(np.delete(a, i, 0), j, 1) for j in range(4)] for i in range(4)])
    signs = (-1.0) ** np.add.outer(np.arange(4), np.arange(4))
    found = symgrad.gradient(lambda A: torch.linalg.det(A), at={"A": a})["A"](at(a))
    np.testing.assert_allclose(found.numpy(), np.linalg.det(minors) * signs, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_norm_has_the_symmetric_derivative_at_its_tip_and_its_square_has_one(dtype):
    zero = torch.zeros(3, dtype=dtype)
    for function in (torch.linalg.norm, lambda x: torch.linalg.norm(x) ** 2):
        assert torch.equal(symgrad.gradient(function, at={"x": zero})["x"](zero), zero)


def test_a_pole_and_the_edge_of_a_domain_have_none():
    zero = at(0.0)
    assert symgrad.gradient("log(abs(x))", at={"x": 1.0})["x"](zero).isnan()
    assert symgrad.gradient("sqrt(x)", at={"x": 1.0})["x"](zero) == torch.inf
    assert symgrad.gradient("sqrt(x)*sqrt(x)", at={"x": 1.0})["x"](zero).isnan()


def test_a_mapped_call_is_left_to_torch():
    slope = symgrad.gradient("sqrt(x**4)", at={"x": 1.0})["x"]
    assert torch.vmap(lambda x: slope(x))(at([0.0, 1.0]))[1] == 2
