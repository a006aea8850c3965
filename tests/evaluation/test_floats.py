"""Floats: a batch of points at once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad import lift
from symgrad.evaluation.floats import BatchedFloats, Floats
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
