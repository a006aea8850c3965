"""Proofs with inverses, solutions and determinants."""

from __future__ import annotations

import pytest
import torch
from support.certificates import checked

from symgrad import verify
from symgrad.program.program import Program
from symgrad.proving.proof import prove


def proved(program: Program, i: int, j: int) -> bool:
    """Whether there is a proof; each proof found is also checked, by rules that share nothing with the search."""
    proof = prove(program, i, j)
    assert proof is None or (found := checked(proof)).accepted or found.uncovered, found
    return proof is not None


def _matrix_and_vector():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(3, 3, dtype=torch.float64, generator=generator) + 3 * torch.eye(3, dtype=torch.float64)
    return {"A": matrix, "b": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)}


LINEAR_ALGEBRA = {
    "log det": (lambda A: torch.logdet(A), lambda A: torch.linalg.inv(A).T),
    "det": (lambda A: torch.det(A), lambda A: torch.det(A) * torch.linalg.inv(A).T),
    "trace of the inverse": (
        lambda A: torch.trace(torch.linalg.inv(A)),
        lambda A: -(torch.linalg.inv(A) @ torch.linalg.inv(A)).T,
    ),
    "solve, by solve": (
        lambda A, b: b @ torch.linalg.solve(A, b),
        lambda A, b: -torch.outer(torch.linalg.solve(A.T, b), torch.linalg.solve(A, b)),
    ),
    "solve, by inverse": (
        lambda A, b: b @ torch.linalg.solve(A, b),
        lambda A, b: -torch.outer(torch.linalg.inv(A).T @ b, torch.linalg.inv(A) @ b),
    ),
    "a Gaussian": (
        lambda A, b: 0.5 * torch.logdet(A) + 0.5 * b @ torch.linalg.solve(A, b),
        lambda A, b: (
            0.5 * torch.linalg.inv(A).T - 0.5 * torch.outer(torch.linalg.inv(A.T) @ b, torch.linalg.inv(A) @ b)
        ),
    ),
}


@pytest.mark.parametrize("name", LINEAR_ALGEBRA)
@pytest.mark.slow
def test_linear_algebra(name):
    """Gradients with inverses, against autograd; transposed they are wrong, and refuted."""
    f, hand = LINEAR_ALGEBRA[name]
    at = {n: v for n, v in _matrix_and_vector().items() if n == "A" or "b" in f.__code__.co_varnames}
    leaf = at["A"].clone().requires_grad_()
    (wanted,) = torch.autograd.grad(f(**{**at, "A": leaf}), leaf)
    assert float((wanted - hand(**at)).abs().max()) < 1e-12
    assert verify(f, hand, wrt="A", at=at).verdict == "proved"
    slip = (lambda A, b: hand(A, b).T) if "b" in at else (lambda A: hand(A).T)
    assert verify(f, slip, wrt="A", at=at).verdict == "refuted"
