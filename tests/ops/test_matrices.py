"""Exponentials and eigenpairs of matrices: balls against mpmath at more bits, gradients against autograd."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from flint import arb

import symgrad
from symgrad.evaluation.balls import binary
from symgrad.ops.matrices import MATRICES
from symgrad.ops.row import precision

LA = torch.linalg


def matrix(n, seed, is_complex=False):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if is_complex else 0)
    return a + a.conj().T


def number(x):
    """A ball's middle in mpmath, with all of its digits."""
    part = lambda y: mpmath.mpf(y.mid().str(120, radius=False))  # noqa: E731
    return part(x) if isinstance(x, arb) else mpmath.mpc(part(x.real), part(x.imag))


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("name", MATRICES)
def test_balls_are_narrow_and_hold_what_mpmath_computes(name, is_complex):
    row = MATRICES[name]
    for n in (1, 2, 5):
        a = matrix(n, n, is_complex)
        params = {"eigenpairs": tuple(range(n)), "general_eigenpairs": not is_complex}.get(name)
        a = a + np.triu(a, 1) if name == "general_eigenpairs" else a
        with mpmath.workprec(600):
            high = row.high(np.frompyfunc(mpmath.mpmathify, 1, 1)(a), params)
            with precision(240):
                balls = row.ball(binary(a), params)
            for ball, truth in zip(balls.flat, high.flat, strict=True):
                assert abs(number(ball) - truth) < mpmath.mpf(2) ** -200
                assert all(
                    x.rad() < arb(2) ** -200 for x in ([ball] if isinstance(ball, arb) else [ball.real, ball.imag])
                )
        floats = row.torch(torch.as_tensor(a)[None], params)[0]
        assert np.allclose(floats.numpy(), high.astype(floats.numpy().dtype), rtol=1e-12, atol=1e-13)


def test_no_ball_is_given_for_eigenvalues_that_may_be_equal():
    with precision(240):
        found = MATRICES["eigenpairs"].ball(binary(np.diag([1.0, 1.0, 2.0])), (0, 2))
        jordan = MATRICES["general_eigenpairs"].ball(binary(np.array([[1.0, 1.0], [0.0, 1.0]])), True)
    assert not found[0, -1].is_finite()
    assert found[1, -1].contains(2)
    assert not any(x.is_finite() for x in jordan.flat)


def weighed(x):
    w = torch.arange(1.0, x.numel() + 1, dtype=torch.float64).reshape(x.shape)
    return (w * (x * x.conj()).real + w.sqrt() * x.real + (x.imag if x.is_complex() else 0)).sum()


def hermitian(A):
    return A + A.mH


FUNCTIONS = {
    "matrix_exp": (lambda A: weighed(LA.matrix_exp(A / 2)), True),
    "eigvalsh": (lambda A: weighed(LA.eigvalsh(hermitian(A))), True),
    "eigh": (lambda A: sum(map(weighed, LA.eigh(hermitian(A), UPLO="U"))), False),
    "svdvals": (lambda A: weighed(LA.svdvals(A[..., :2])), True),
    "svd": (lambda A: sum(map(weighed, LA.svd(A[..., :2], full_matrices=False))), False),
    "svd of wide matrices": (lambda A: sum(map(weighed, LA.svd(A[..., :2, :], full_matrices=False))), False),
    "eigvals": (lambda A: weighed(LA.eigvals(A)), True),
    "eigvals of 6 x 6 matrices": (
        lambda A: weighed(LA.eigvals(torch.cat([A, A.mT, A + A, A.mT @ A], -1).reshape(2, 6, 6))),
        True,
    ),
    "eig": (lambda A: sum(map(weighed, (LA.eig(A)[0], LA.eig(A)[1].abs()))), True),
    "nuclear norm": (lambda A: LA.matrix_norm(A, "nuc").sum(), True),
    "spectral norm": (lambda A: LA.matrix_norm(A, 2).sum() + LA.cond(A).sum(), True),
}
CASES = [(name, d) for name, (_, either) in FUNCTIONS.items() for d in (torch.float64, torch.complex128)[: 1 + either]]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_the_gradient_is_autograds(name, dtype):
    function, _ = FUNCTIONS[name]
    x = torch.randn(2, 3, 3, dtype=dtype, generator=torch.Generator().manual_seed(4))
    leaf = x.clone().requires_grad_()
    (truth,) = torch.autograd.grad(function(leaf), leaf)
    found = symgrad.gradient(function, at={"A": x})["A"](x)
    torch.testing.assert_close(found, truth.resolve_conj(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["matrix_exp", "eigh"])
def test_the_hessian_is_autograds(name):
    function, _ = FUNCTIONS[name]
    x = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    truth = torch.autograd.functional.hessian(function, x)
    torch.testing.assert_close(symgrad.gradient(function, at={"A": x}, order=2)["A"](x), truth, rtol=1e-9, atol=1e-9)


def largest(A):
    return LA.eigvalsh(hermitian(A))[-1]


def largest_by_hand(A, factor=2):
    v = LA.eigh(hermitian(A)).eigenvectors[:, -1]
    return factor * torch.outer(v, v)


def test_verdicts_of_an_eigenvalue():
    x = torch.tensor([[1.0, 0.3], [-0.2, 2.0]], dtype=torch.float64)
    assert symgrad.verify(largest, largest_by_hand, at={"A": x}).ok
    assert symgrad.verify(largest, lambda A: largest_by_hand(A, 1), at={"A": x}).verdict == "refuted"


def test_verdicts_of_the_eigenvalues_of_any_matrix():
    """The sum of their cubes is the trace of A^3."""
    x = torch.tensor([[1.0, 0.3], [-0.2, 2.0]], dtype=torch.float64)
    cubes = lambda A: (LA.eigvals(A) ** 3).sum().real  # noqa: E731
    assert symgrad.verify(cubes, lambda A: 3 * (A @ A).T, at={"A": x}, points=8).ok
    assert symgrad.verify(cubes, lambda A: 3 * A @ A, at={"A": x}, points=8).verdict == "refuted"


def test_complex_eigenvectors_have_no_derivative():
    x = torch.randn(2, 2, dtype=torch.complex128)
    with pytest.raises(symgrad.SymgradError, match="up to a phase each"):
        symgrad.gradient(lambda A: LA.eigh(hermitian(A))[1].real.sum(), at={"A": x})


def test_a_report_tells_such_a_formula_in_words():
    x = torch.tensor([[1.0, 0.3], [-0.2, 2.0]], dtype=torch.float64)
    report = symgrad.verify(
        lambda A: torch.trace(LA.matrix_exp(A)), lambda A: LA.matrix_exp(A).T, at={"A": x}, points=8
    )
    assert report.ok
    assert "a formula of" in report.to_html()
    assert "a formula of" in symgrad.verify(largest, largest_by_hand, at={"A": x}, points=8).to_html()
    exact = symgrad.gradient(lambda A: torch.trace(LA.matrix_exp(A)), at={"A": x})["A"]
    with pytest.raises(symgrad.SymgradError, match="no formula in its entries"):
        exact.sympy  # noqa: B018
    assert 'MATRICES["matrix_exp"]' in exact.code
