"""A number that the code makes whole, and then reckons with, may be any other: a fault may not hide behind a 0."""

import math

import numpy as np
import pytest
import torch

from symgrad import verify

HALF = {n: torch.tensor(v, dtype=torch.float64) for n, v in (("x", 0.25), ("y", -1.05))}


def by_two_of_three(x, y):
    """On the branch where two are above one half, ``floor(x)`` is 0 almost everywhere."""
    a = torch.floor(x) * y
    return a * a * y if (torch.stack([y, x, a]) > 0.5).sum() == 2 else x * y


def its_gradient(x, y, factor=2):
    a = torch.floor(x) * y
    if (torch.stack([y, x, a]) > 0.5).sum() == 2:
        return {"x": 0 * x, "y": factor * torch.floor(x) * a * y + a * a}
    return {"x": y, "y": x}


def by_a_remainder(x, y):
    return int(x) % 3 * y * y


def of_the_remainder(x, y):
    return {"x": 0 * x, "y": 2 * (int(x) % 3) * y}


def of_the_number(x, y):
    """Right while the number is 0, 1 or 2."""
    return {"x": 0 * x, "y": 2 * int(x) * y}


@pytest.mark.slow
def test_a_factor_that_was_0_on_a_branch_hides_no_fault():
    assert verify(by_two_of_three, its_gradient, at=HALF, points=16).verdict == "proved"
    report = verify(by_two_of_three, lambda x, y: its_gradient(x, y, 3), at=HALF, points=16)
    assert report.verdict == "refuted"
    assert math.floor(report.claims["y"].witness.point["x"]) != 0


@pytest.mark.slow
@pytest.mark.parametrize("at", [HALF, {"x": 0.25, "y": -1.05}], ids=["tensors", "floats"])
def test_what_is_made_of_a_whole_number_is_followed(at):
    assert verify(by_a_remainder, of_the_remainder, at=at, points=16).verdict == "proved"
    assert verify(by_a_remainder, of_the_number, at=at, points=16).verdict == "refuted"


RIGHT = {
    "a power of its own for each": (
        lambda x, y: y ** int(x),
        lambda x, y: {"x": 0 * x, "y": int(x) * y ** (int(x) - 1) if int(x) else 0 * y},
    ),
    "one number alone leads there": (
        lambda x, y: math.floor(x) * y if math.floor(x) == 1 else y,
        lambda x, y: {"x": 0 * x, "y": 1.0 + 0 * y},
    ),
    "a loop that runs so often": (
        lambda x, y: sum((y for _ in range(int(x))), 0 * y),
        lambda x, y: {"x": 0 * x, "y": max(int(x), 0) + 0 * y},
    ),
    "a tensor compared with a tensor leads there": (
        lambda x, y: y if torch.allclose(torch.floor(x), torch.zeros_like(x)) and x < 1.5 else 2 * y,
        lambda x, y: {"x": 0 * x, "y": 1 + (torch.floor(x) != 0).to(x.dtype)},
    ),
    "bits": (lambda x, y: (int(x) & 3) * y, lambda x, y: {"x": 0 * x, "y": (int(x) & 3) + 0 * y}),
    "longs": (lambda x, y: x.long() * y, lambda x, y: {"x": 0 * x, "y": x.long() + 0 * y}),
    "the part after the point": (lambda x, y: (x - torch.floor(x)) * y, lambda x, y: {"x": y, "y": x - x.floor()}),
}


@pytest.mark.parametrize("case", RIGHT.values(), ids=RIGHT)
def test_what_the_code_decides_by_it_stays_decided(case):
    model, hand = case
    assert verify(model, hand, at=HALF, points=16).verdict in ("proved", "agrees")


def test_what_holds_for_the_numbers_that_were_seen_is_not_proved():
    """``ceil(x) - 1`` is ``floor(x)`` wherever x is no whole number, but no formula says so."""
    report = verify(lambda x, y: torch.floor(x) * y, lambda x, y: {"x": 0 * x, "y": torch.ceil(x) - 1}, at=HALF)
    assert report.verdict == "agrees"
    assert "for the whole numbers that were seen" in str(report)


def test_arrays_of_whole_numbers_are_followed():
    x = np.array([0.25, 0.5, 0.125])
    model = lambda x, y: np.sum(np.floor(x) * y)  # noqa: E731
    report = verify(model, lambda x, y: {"x": 0 * x, "y": np.floor(x)}, at={"x": x, "y": 1.0 + x}, points=8)
    assert report.verdict == "proved"
    report = verify(model, lambda x, y: {"x": 0 * x, "y": 3 * np.floor(x)}, at={"x": x, "y": 1.0 + x}, points=8)
    assert report.verdict == "refuted"


def test_a_side_is_not_impossible_for_the_numbers_that_were_seen_alone():
    """``a`` is above one half nowhere where ``floor(x)`` is 0, which it was wherever the code came by."""

    def model(x, y):
        a = torch.floor(x) * y
        if (torch.stack([y, x, a]) > 0.5).sum() != 2:
            return x * y
        return a if a * a > 0.5 else 2 * a

    def hand(x, y):
        a = torch.floor(x) * y
        if (torch.stack([y, x, a]) > 0.5).sum() != 2:
            return {"x": y, "y": x}
        return {"x": 0 * x, "y": 2 * torch.floor(x)}

    report = verify(model, hand, at=HALF, points=16)
    assert not report.ok
    assert "impossible" not in str([*report.coverage])


def beside_another(x, y):
    """Where y > 1.5 another number is made whole too: it is 0 until y is 2.5."""
    return (x - torch.floor(x)) * torch.floor(torch.relu(y - 1.5)) * y


def its_gradient_beside(x, y, again=False):
    steps = torch.floor(torch.relu(y - 1.5))
    return {"x": steps * y * y if again else steps * y, "y": (x - torch.floor(x)) * steps}


@pytest.mark.slow
def test_numbers_that_were_seen_of_one_say_nothing_of_another():
    """``floor(x)`` was many numbers, and the other floor 0 at all of these points: that holds for nothing else."""
    at = {n: torch.tensor(v, dtype=torch.float64) for n, v in (("x", 1.3125), ("y", -0.625))}
    assert verify(beside_another, its_gradient_beside, at=at).ok
    report = verify(beside_another, lambda x, y: its_gradient_beside(x, y, True), at=at)
    assert report.verdict == "refuted"
    assert report.claims["x"].witness.point["y"] > 2.5
