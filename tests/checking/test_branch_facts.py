"""On a branch its own choices hold, and a proof there may use them."""

import numpy as np
import pytest
import torch

from symgrad import verify


def huber(r):
    return 0.5 * r**2 if abs(r) <= 1 else abs(r) - 0.5


def huber_of_array(r):
    return torch.where(r.abs() <= 1, 0.5 * r**2, r.abs() - 0.5).sum()


def soft_threshold(w):
    return 0.5 * (torch.sign(w) * torch.clamp(w.abs() - 0.3, min=0)).square().sum()


NUMBERS = {
    "|x| by its sign": (abs, lambda x: 1.0 if x > 0 else -1.0),
    "sqrt(x**2)": (lambda x: (x**2) ** 0.5, lambda x: 1.0 if x > 0 else -1.0),
    "Huber's loss, clamped": (huber, lambda x: max(-1.0, min(1.0, x))),
    "Huber's loss, by cases": (huber, lambda x: x if abs(x) <= 1 else 1.0 if x > 0 else -1.0),
    "|x - 2| beside an edge elsewhere": (lambda x: abs(x - 2), lambda x: 1.0 if x > 2 else -1.0),
}
ARRAYS = {
    "Huber's loss": (huber_of_array, lambda x: torch.clamp(x, -1.0, 1.0)),
    "a soft threshold": (
        soft_threshold,
        lambda x: torch.where(x > 0.3, x - 0.3, torch.where(x < -0.3, x + 0.3, 0 * x)),
    ),
}


@pytest.mark.parametrize(("model", "hand"), NUMBERS.values(), ids=NUMBERS)
def test_the_sign_that_a_branch_has_is_used(model, hand):
    assert verify(lambda x: model(x), hand, at={"x": 0.3}).verdict == "proved"


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.slow), 40])
@pytest.mark.parametrize(("model", "hand"), ARRAYS.values(), ids=ARRAYS)
def test_every_pattern_of_entries_is_proved(model, hand, size):
    at = {"x": torch.linspace(-1.7, 1.6, size, dtype=torch.float64)}
    assert verify(lambda x: model(x), hand, at=at).verdict == "proved"


def test_it_is_used_of_numpys_arrays():
    model = lambda x: np.where(np.abs(x) <= 1, 0.5 * x**2, np.abs(x) - 0.5).sum()  # noqa: E731
    assert verify(model, lambda x: np.clip(x, -1, 1), at={"x": np.array([0.3, 2.0, -4.0])}).verdict == "proved"


@pytest.mark.parametrize("hand", [lambda x: max(-1.0, min(1.1, x)), lambda x: 1.0 if x > 0.01 else -1.0])
def test_what_is_wrong_on_one_branch_is_refuted(hand):
    assert verify(lambda x: huber(x), hand, at={"x": 0.3}).verdict == "refuted"
