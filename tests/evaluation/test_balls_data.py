"""Law 5 of reading: data that floats computed, outside of a formula, are known to their rounding and no better."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trust.questions_of_data import DATA

from symgrad import verify

_r = np.random.RandomState(7)
X, Y = _r.randn(6, 2), _r.randn(6)
GRAM, MOMENT = X.T @ X, X.T @ Y
W = {"w": np.array([0.5, -0.75])}


def loss(w):
    return 0.5 * np.sum((X @ w - Y) ** 2)


@pytest.mark.parametrize("row", DATA, ids=[r[0] for r in DATA])
def test_a_right_gradient_is_not_refuted_by_the_rounding_of_its_data(row):
    _, f, right, wrong, at = row
    assert verify(f, right, at=at).verdict in ("proved", "agrees")
    assert verify(f, wrong, at=at).verdict == "refuted"


def test_the_report_says_what_it_was_judged_up_to():
    report = verify(loss, lambda w: GRAM @ w - MOMENT, at=W)
    assert report.verdict == "agrees"
    assert "up to the rounding of numbers that were computed outside of the formulas" in " ".join(str(report).split())


@pytest.mark.slow
@pytest.mark.parametrize("off", [1e-12, -1e-9, 1e-3])
def test_a_difference_beyond_the_rounding_of_the_data_is_one(off):
    other = GRAM * (1 + off)
    report = verify(loss, lambda w: other @ w - MOMENT, at=W)
    assert report.verdict == "refuted"
    told = any("The rounding of data accounts for less" in note for note in report.notes)
    assert told == (abs(off) < 1e-6)  # where it decides


def test_data_that_both_sides_use_as_they_are_need_no_allowance():
    report = verify(lambda w: np.sum((X @ w) ** 2), lambda w: 2 * X.T @ (X @ w), at=W)
    assert report.verdict == "proved"


def test_what_is_no_data_has_no_allowance():
    """The point itself is exact, and so are short numbers."""
    x = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    assert verify(lambda x: (x**2).sum(), lambda x: 2 * x + 2.0**-51, at={"x": x}).verdict == "refuted"
