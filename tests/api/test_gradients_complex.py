"""Exact derivatives of complex functions as torch functions: the conjugate Wirtinger gradient, as autograd has it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import symgrad

torch.manual_seed(3)
DTYPE = torch.complex128
Z, W, V = (torch.randn(s, dtype=DTYPE) for s in ((2, 3), (3, 3), (2, 1, 3)))
R = torch.randn(3, dtype=torch.float64)


def size(z):
    return (z * z.conj()).real.sum() + z.imag.sum()


FUNCTIONS = {
    "kron of constants that are folded": (lambda z: size(torch.kron(z, torch.ones(40, 60, dtype=DTYPE))), [Z]),
    "logsumexp": (lambda z: size(torch.logsumexp(z, 0)), [Z]),
    "softmax beside complex ones": (
        lambda z, r: size(z @ torch.softmax(r, 0).to(DTYPE)) + torch.log_softmax(r, 0)[0],
        [Z, R],
    ),
    "conv of real and complex": (lambda z, v: size(F.conv1d(z[None].real.to(DTYPE), v.expand(2, 2, 3))), [Z, V]),
    "grouped conv": (lambda z, v: size(F.conv1d(z[None], v, padding=1, groups=2)), [Z, V]),
    "transposed conv": (lambda z, v: size(F.conv_transpose1d(z[None], v, stride=2)), [Z, V]),
    "the entry of largest modulus": (lambda z: torch.linalg.vector_norm(z, torch.inf) + z.abs().amin(1).sum(), [Z]),
    "a triangle of ones": (
        lambda w, z: size(torch.linalg.solve_triangular(w, z.T, upper=False, unitriangular=True)),
        [W, Z],
    ),
    "a real input beside complex ones": (
        lambda w, r: size(w @ torch.erf(r).to(DTYPE)) + torch.lgamma(r**2).sum(),
        [W, R],
    ),
    "a real matrix times a complex one": (lambda z: size(torch.ones(4, 2, dtype=DTYPE) * z.real[0, 0] @ z), [Z]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_of_a_complex_function_is_autograds(name):
    function, point = FUNCTIONS[name]
    names = [p for p in ("z", "w", "v", "r") if p in function.__code__.co_varnames]
    names.sort(key=function.__code__.co_varnames.index)
    leaves = [x.clone().requires_grad_() for x in point]
    truth = torch.autograd.grad(function(*leaves), leaves)
    exact = symgrad.gradient(function, at=dict(zip(names, point, strict=True)))
    for n, g in zip(names, truth, strict=True):
        found = exact[n](*point)
        assert found.dtype == g.dtype
        torch.testing.assert_close(found, g.resolve_conj(), rtol=1e-12, atol=1e-12)
