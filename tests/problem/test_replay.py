"""The recorded Program must give what the code gave; what is random in the last digits is random."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from symgrad import SymgradError, verify
from symgrad.errors import NotReproducible, ReplayMismatch
from symgrad.lifting.tracing.functions import Function
from symgrad.problem.replay import replay

POINT = {"x": np.array([0.5, -1.25, 2.0])}


def run():
    return Function.of(lambda x: torch.tanh(x).sum() / 3).run(POINT)


def test_a_faithful_record_passes():
    replay(run(), POINT, "the formula")


@pytest.mark.parametrize("slip", [1e-12, 1e-3, 1.0])
def test_a_record_that_gives_another_value_is_no_record(slip):
    right = run()
    wrong = replace(right, values={k: v * (1 + slip) for k, v in right.values.items()})
    with pytest.raises(ReplayMismatch, match="does not give what the code computed"):
        replay(wrong, POINT, "the formula")


def test_rounding_in_another_order_is_no_mismatch():
    right = run()
    near = replace(right, values={k: np.nextafter(v, np.inf) for k, v in right.values.items()})
    replay(near, POINT, "the formula")


def test_noise_too_small_to_see_in_a_loss_is_still_noise():
    def model(x):
        return (x**2).sum() + 1e-6 * torch.randn(())

    with pytest.raises(SymgradError) as caught:
        verify(model, lambda x: 2 * x, at={"x": torch.tensor([1.0, 2.0])})
    assert isinstance(caught.value, NotReproducible)
