"""Factors and solutions of matrices: gradients are autograd's, and balls of the factors satisfy what defines them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flint import arb

import symgrad
from symgrad.evaluation.balls import Balls, binary
from symgrad.lifting.tracing.functions import Function
from symgrad.ops.row import precision
from symgrad.program.program import interpret

LA = torch.linalg
TALL, WIDE, SQUARE = (2, 5, 3), (2, 3, 5), (2, 4, 4)
REFLECTORS = torch.tensor([[0.4, 0.9, 1.3], [0.2, 1.1, 0.7]], dtype=torch.float64)


def several(*parts):
    weighed = [part * torch.arange(1.0, part.numel() + 1).reshape(part.shape) for part in parts]
    return sum((x * x.conj()).real.sum() for x in weighed)


def solved_from_factors(A, **options):
    packed, pivots = LA.lu_factor(A)
    right = A[..., :2] if options.get("left", True) else A[..., :2, :]
    return several(LA.lu_solve(packed, pivots, right * right, **options))


FUNCTIONS = {
    "qr": (lambda A: several(*LA.qr(A)), TALL),
    "qr of wide matrices": (lambda A: several(*LA.qr(A)), WIDE),
    "lu": (lambda A: several(*LA.lu(A)[1:]), TALL),
    "lu of wide matrices": (lambda A: several(*LA.lu(A)[1:]), WIDE),
    "packed factors": (lambda A: several(LA.lu_factor(A)[0]), TALL),
    "unpacked factors": (lambda A: several(*torch.lu_unpack(*LA.lu_factor(A))[1:]), TALL),
    "lu_solve": (lambda A: solved_from_factors(A), SQUARE),
    "lu_solve of the adjoint": (lambda A: solved_from_factors(A, adjoint=True), SQUARE),
    "lu_solve from the right": (lambda A: solved_from_factors(A, left=False), SQUARE),
    "lu_solve of the adjoint from the right": (lambda A: solved_from_factors(A, left=False, adjoint=True), SQUARE),
    "triangular_solve": (
        lambda A: several(torch.triangular_solve(A[..., :2], A, upper=False, transpose=True)[0]),
        SQUARE,
    ),
    "cholesky_solve of one right-hand side": (
        lambda A: several(torch.cholesky_solve(A[0, :, :2], A.tril() + 3 * torch.eye(4))),
        SQUARE,
    ),
    "slogdet": (lambda A: several(*LA.slogdet(A)), SQUARE),
    "pinv": (lambda A: several(LA.pinv(A)), TALL),
    "pinv of wide matrices": (lambda A: several(LA.pinv(A)), WIDE),
    "pinv of Hermitian matrices": (lambda A: several(LA.pinv(A + A.mH, hermitian=True)), SQUARE),
    "lstsq": (lambda A: several(*LA.lstsq(A, A[..., :2] ** 2, driver="gels")[:2]), TALL),
    "lstsq of least norm": (lambda A: several(LA.lstsq(A, A[..., :2] ** 2, driver="gels").solution), WIDE),
    "householder_product": (lambda A: several(LA.householder_product(A, REFLECTORS.to(A.dtype))), TALL),
    "ormqr": (lambda A: several(torch.ormqr(A, REFLECTORS.to(A.dtype), A[..., :2] ** 2)), TALL),
    "ormqr of the transpose": (
        lambda A: several(torch.ormqr(A, REFLECTORS.to(A.dtype), A.mT[:, :2] ** 2, left=False, transpose=True)),
        TALL,
    ),
}


@pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated")
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_is_autograds(name, dtype):
    function, shape = FUNCTIONS[name]
    x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(2))
    leaf = x.clone().requires_grad_()
    (truth,) = torch.autograd.grad(function(leaf), leaf)
    found = symgrad.gradient(function, at={"A": x})["A"](x)
    torch.testing.assert_close(found, truth.resolve_conj(), rtol=1e-9, atol=1e-9 * truth.abs().max().item())


def product_of(A):
    q, r = LA.qr(A)
    p, lower, upper = LA.lu(A)
    return {"qr": q @ r - A, "orthogonal": q.mH @ q - torch.eye(3), "lu": p @ lower @ upper - A}


def test_balls_of_the_factors_satisfy_their_equations():
    A = np.random.default_rng(0).standard_normal((5, 3))
    program = Function.of(product_of).run({"A": A}).program
    with precision(300):
        values = interpret(program, Balls(), {"A": binary(A)}, list(program.outputs.values()))
        for name, i in program.outputs.items():
            assert all(x.contains(0) and x.rad() < arb(2) ** -250 for x in values[i].flat), name


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("a rank that is not full", lambda x: LA.pinv(torch.outer(x, x)).sum()),
        ("columns that nothing determines", lambda x: LA.qr(x[:, None], mode="complete")[0].sum()),
    ],
)
def test_what_no_equation_determines_is_refused(name, function):
    with pytest.raises(symgrad.SymgradError, match=r"cannot follow torch\.linalg.(pinv|qr)"):
        symgrad.gradient(function, at={"x": np.array([1.0, 2.0, 3.0])})
