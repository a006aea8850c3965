"""Floats: a batch of points at once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad import lift
from symgrad.evaluation.floats import BatchedFloats, Floats, computed, tensors_of
from symgrad.program.program import interpret


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 10**6))
def test_many_points_at_once_are_what_each_is_alone(n, seed):
    def f(w, x):
        return torch.softmax(w @ x, 0).log().sum() + (w * w).sum(1).prod() - x[0]

    rng = np.random.default_rng(seed)
    program = lift(f, at={"w": rng.normal(size=(2, 3)), "x": rng.normal(size=3)})
    points = {"w": torch.tensor(rng.normal(size=(n, 2, 3))), "x": torch.tensor(rng.normal(size=(n, 3)))}
    together = interpret(program, BatchedFloats(n), points)[program.output]
    for k in range(n):
        alone = interpret(program, Floats(), {name: v[k] for name, v in points.items()})[program.output]
        torch.testing.assert_close(together[k], alone)


def test_a_matrix_without_a_factor_or_an_inverse_has_no_value_and_is_no_error():
    """Outside of the domain a step is NaN, as log(-1) is, and other points of the same batch are what they are."""
    matrices = torch.tensor([[[1.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]], [[2.0, 1.0], [1.0, 2.0]]])
    for made, defined in (
        (lambda A: torch.linalg.cholesky(A), [False, False, True]),
        (lambda A: torch.linalg.inv(A), [True, False, True]),
        (lambda A: torch.linalg.solve(A, A[0]), [True, False, True]),
    ):
        program = lift(made, at={"A": matrices[2].double()})
        found = [interpret(program, Floats(), {"A": A.double()})[program.output] for A in matrices]
        assert [bool(torch.isfinite(x).all()) for x in found] == defined


NUMBERS = st.sampled_from([0.0, -0.0, 0.1, 1.0, -1.5, 2.0**-1074, 1e200, -1e308, float("inf")]) | st.floats(-4, 4)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, NUMBERS)
def test_single_numbers_have_the_bits_that_torch_gives_them(x, y):
    def f(x, y):
        return torch.tanh(x * y) / (x - y) + (1 - x**2) - y**3 * torch.exp(-x) + x.detach()

    program, point = lift(f, at={"x": 0.5, "y": 2.0}), {"x": x, "y": y}
    expected = f(torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))
    assert program.is_of_doubles
    found = computed(program, tensors_of(point, program.dtypes), [program.output])[program.output]
    np.testing.assert_array_equal(found, expected.numpy())
    assert np.isnan(found) or np.signbit(found) == torch.signbit(expected)
