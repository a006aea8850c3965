"""Inverses, determinants and their like: against torch, and in balls against fractions."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch
from flint import arb, fmpq
from support.adjoints import adjoint
from support.torch_truth import check, draw, integers, written

from symgrad.evaluation.balls import Balls, binary
from symgrad.ops.row import precision
from symgrad.program.program import interpret


def linear(op, shape=None):
    return lambda b, *xs: b.emit(op, xs, None, b.shape(xs[-1]) if shape is None else shape)


def hermitian(t):
    return (t @ t.mH) + 2 * torch.eye(t.shape[-1], dtype=t.dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(("batch", "n"), [(1, 1), (1, 3), (2, 4)])
def test_linear_algebra_against_torch(batch, n, dtype):
    a = draw((batch, n, n), dtype=dtype) + 3 * torch.eye(n, dtype=dtype)
    y = draw((batch, n, 2), 1, dtype)
    check(linear("inverse"), torch.linalg.inv, a)
    check(linear("solve"), torch.linalg.solve, a, y)
    check(linear("det", (batch,)), torch.linalg.det, a)
    real = lambda b, i: b.emit("logabsdet", (i,), None, (batch,), "float64")  # noqa: E731
    check(real, lambda t: torch.linalg.slogdet(t).logabsdet, a)
    # the argument of a Cholesky factor is read as Hermitian, and its gradient is Hermitian
    check(linear("cholesky"), lambda t: torch.linalg.cholesky((t + t.mH) / 2), hermitian(a))


def fractions_of(t):
    return sp.Matrix([[sp.Rational(Fraction(x)) for x in row] for row in t.tolist()])


def contains(ball, exact):
    with precision(4000):
        return ball.contains(arb(fmpq(int(exact.p), int(exact.q))))


@pytest.mark.parametrize("n", [1, 2, 4])
def test_balls_of_linear_algebra_contain_the_exact_answer(n):
    """Exact answers from SymPy's rational matrices; at 53 bits, so that the radii matter, and at 200."""
    a, y = integers((2, n, n), 7) + 9 * torch.eye(n, dtype=torch.float64), integers((2, n, 2), 8)
    for bits in (53, 200):
        with precision(bits):
            read = lambda op, *xs: interpret(  # noqa: E731
                p := written(linear(op, (2,) if "det" in op else None), xs),
                Balls(),
                {f"x{k}": binary(x.numpy()) for k, x in enumerate(xs)},
            )[p.output]
            inverse, solved, det, logdet = read("inverse", a), read("solve", a, y), read("det", a), read("logabsdet", a)
            square = hermitian(a)
            factor = read("cholesky", square)
            for k in range(2):
                exact = fractions_of(a[k])
                pairs = itertools.chain(
                    zip(inverse[k].ravel(), exact.inv(), strict=True),
                    zip(solved[k].ravel(), exact.LUsolve(fractions_of(y[k])), strict=True),
                    [(det[k], exact.det()), (logdet[k].exp(), abs(exact.det()))],
                    zip((factor[k] @ factor[k].T).ravel(), fractions_of(square[k]), strict=True),
                )
                for ball, number in pairs:
                    assert contains(ball, number)
                    assert ball.rad() < arb(2) ** (20 - bits)
                assert all(x == 0 for x in factor[k][np.triu_indices(n, 1)])
                assert all(x > 0 for x in np.diag(factor[k]))


@pytest.mark.parametrize("op", ["inverse", "solve", "det", "logabsdet", "cholesky"])
def test_balls_of_linear_algebra_adjoints_contain_a_difference_quotients_limit(op):
    """<g, f(a + h e) - f(a - h e)> / 2h at 600 bits, h = 2**-150: an outside derivative, right to 2**-250."""
    n = 3
    a = hermitian(draw((1, n, n)))
    y = draw((1, n, 2), 1)
    arrays = [a, y] if op == "solve" else [a]
    program = written(linear(op, (1,) if "det" in op else None), arrays)
    out = program.output
    whole = adjoint(program, out)
    with precision(600):
        inputs = {f"x{k}": binary(v.numpy()) for k, v in enumerate(arrays)}
        h = arb(2) ** -150

        def total(name, place, step):
            moved = {k: v.copy() for k, v in inputs.items()}
            moved[name][place] = moved[name][place] + step
            return sum(np.ravel(interpret(program, Balls(), moved)[out]), arb(0))

        for name, value in inputs.items():
            adjoints = interpret(whole.program, Balls(), inputs, [whole.of[program.inputs[name]]])
            found = adjoints[whole.of[program.inputs[name]]]
            for place in np.ndindex(value.shape):
                quotient = (total(name, place, h) - total(name, place, -h)) / (2 * h)
                assert abs(found[place] - quotient) < arb(2) ** -250
