"""What leads to a choice says how it comes out: numbers that are brought across, entries of layouts, sums."""

import numpy as np
import torch

from symgrad import verify


def test_thresholds_of_one_number_settle_each_other():
    """w > 2 and w < -1 is nowhere, though each is somewhere; what multiplies w are entries of given data."""
    x, y = np.array([0.5, -1.0, 2.0]), np.array([1.0, 1.0, -1.0])

    def loss(w):
        total = 0.0
        for k in range(3):
            if y[k] * x[k] * w < 1:
                total += 1 - y[k] * x[k] * w
        return total

    def slope(w):
        dw = 0.0
        for k in range(3):
            if y[k] * x[k] * w < 1:
                dw -= y[k] * x[k]
        return dw

    assert verify(loss, slope, at={"w": 0.25}).verdict == "proved"


def test_an_entry_that_a_mask_left_is_that_of_the_array_before():
    """``h <= 0`` after ``h = max(0, z)`` asks for the sign of z, entry by entry, or of a zero that was put there."""

    def model(x, W, v):
        h = np.maximum(0, W @ x)
        return v @ h

    def hand(x, W, v):
        h = np.maximum(0, W @ x)
        dh = v.copy()
        dh[h <= 0] = 0
        return np.outer(dh, x)

    at = {"x": np.array([0.5, -1.0]), "W": np.array([[1.0, 0.3], [-0.4, 0.8]]), "v": np.array([1.0, 2.0])}
    assert verify(model, hand, wrt="W", at=at).verdict == "proved"


def test_two_ways_to_write_a_sum_are_one():
    model = lambda w, x: torch.relu(1 - (w * x).sum())  # noqa: E731
    hand = lambda w, x: -x * (w @ x < 1)  # noqa: E731
    assert verify(model, hand, wrt="w", at={"w": (3,), "x": (3,)}).verdict == "proved"
