"""Laws 6 and 7 of reading: what could not be told apart does not agree, and NaN is not right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trust.questions import answered
from trust.questions_of_floats import NANS, questions

from symgrad import assert_gradient, verify

NARROW = [q for q in questions() if q.law == 6]
X = torch.tensor([0.0, 1.5], dtype=torch.float64)


@pytest.mark.parametrize("question", NARROW, ids=str)
def test_numbers_are_judged_as_finely_as_their_dtype_can_tell(question):
    outcome = answered(question).outcome
    assert outcome == "right" or (outcome == "none" and "near -1" in question.name)


def test_numbers_beside_an_edge_are_not_on_it():
    at = {"x": np.array([1e-30])}
    assert verify(lambda x: torch.log(x).sum(), np.array([7.0]), at=at).verdict == "refuted"
    assert verify(lambda x: torch.log(x).sum(), np.array([1e30]), at=at).verdict == "agrees"


def test_on_a_kink_numbers_between_the_slopes_are_a_convention():
    at = {"x": np.array([0.0, 2.0])}
    assert verify(lambda x: torch.abs(x).sum(), np.array([0.5, 1.0]), at=at).verdict == "agrees"
    assert verify(lambda x: torch.abs(x).sum(), np.array([1.5, 1.0]), at=at).verdict == "refuted"


def test_where_rounding_may_hide_an_eighth_nothing_is_decided():
    at = {"x": np.array([-1 + 2.0**-45])}
    report = verify(lambda x: torch.atanh(x).sum(), np.array([7.0]), at=at)
    assert report.verdict == "undecided"
    assert not report.ok
    assert "pass the code" in str(report)


@pytest.mark.parametrize("row", NANS, ids=[r[0] for r in NANS])
@pytest.mark.slow
def test_the_guard_lets_no_nan_pass_where_there_is_a_derivative(row):
    _, f, right, wrong, at = row
    assert assert_gradient(f, right, at=at).ok
    with pytest.raises(AssertionError, match="is nan at your own point, index"):
        assert_gradient(f, wrong, at=at)


def test_a_gradient_without_bound_at_a_kink_passes_the_guard():
    assert assert_gradient(lambda x: torch.sqrt(x).sum(), lambda x: 0.5 / torch.sqrt(x), at={"x": X + 1.0}).ok
    assert assert_gradient(lambda x: x.abs().sum(), lambda x: torch.sign(x), at={"x": X}).ok


@pytest.mark.parametrize(
    ("last", "kind"), [(3.796875, "agrees"), (3.8125, "agrees"), (4.1875, "undecided"), (5.0, "refuted")]
)
def test_narrow_numbers_further_off_than_the_derivatives_own_steps_go_are_not_called_right(last, kind):
    """2 x at 1.9 is 3.8, which bfloat16 rounds by 1/256; numbers that are off by a tenth came another way, or are
    wrong."""
    numbers = torch.tensor([0.6, -1.4, last], dtype=torch.bfloat16)
    at = {"x": torch.tensor([0.3, -0.7, 1.9], dtype=torch.float64)}
    assert verify(lambda x: (x**2).sum(), numbers, at=at).verdict == kind
