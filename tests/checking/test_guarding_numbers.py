"""Small numbers that keep a loss finite: a gradient that is right without them is told as that, and is none with them.

The truth is the pencil's: d/dz of -log(sigmoid(z)) is sigmoid(z) - 1, and with -log(sigmoid(z) + e) it is that times
p / (p + e).
"""

from __future__ import annotations

import torch

from symgrad import verify
from symgrad.checking.verdicts import Refuted


def entropy(z):
    p = torch.sigmoid(z)
    return -torch.log(p + 1e-7)


def unguarded(z):
    return torch.sigmoid(z) - 1


def exact(z):
    p = torch.sigmoid(z)
    return (p - 1) * p / (p + 1e-7)


def test_a_gradient_without_the_guard_is_right_but_for_it():
    report = verify(entropy, unguarded, at={"z": 0.5})
    verdict = report.claims["z"].verdict
    assert isinstance(verdict, Refuted)
    assert verdict.is_excused
    assert "1e-7 in line" in str(verdict.guard)
    assert str(report).startswith("Right but for the 1e-7 in line")
    assert not report.wrong_steps


def test_with_the_guard_it_is_right_and_another_slip_is_no_matter_of_it():
    assert verify(entropy, exact, at={"z": 0.5}).ok
    wrong = verify(entropy, lambda z: torch.sigmoid(z), at={"z": 0.5}).claims["z"].verdict
    assert isinstance(wrong, Refuted)
    assert wrong.guard is None


def test_a_number_that_keeps_nothing_from_zero_is_no_guard():
    """1e-8 is a part of the sum 1 + 1e-8, and a gradient that leaves it out is of another function."""
    report = verify(lambda x: x * (1 + 1e-8), lambda x: x * 0 + 1, at={"x": 0.5})
    verdict = report.claims["x"].verdict
    assert isinstance(verdict, Refuted)
    assert verdict.guard is None
