"""Choices that come out together: what is proved speaks of all combinations, or says that it does not."""

import math

import pytest
import torch

from symgrad import verify, verify_script
from symgrad.checking.verdicts import COMBINATIONS

HIGH = 2866.73  # where the waves come close to three; seldom are they so high together


def waves(x):
    return math.sin(abs(x)) + math.sin(1.4142135 * abs(x)) + math.sin(1.7320508 * abs(x))


def steep_where_high(x):
    a = x if x > 0 else 3 * x
    return a * a if waves(x) > 2.99 else a


def right(x):
    s = 1 if x > 0 else 3
    return 2 * s * s * x if waves(x) > 2.99 else s


def wrong_where_high_on_the_left(x):
    s = 1 if x > 0 else 3
    return 2 * x if waves(x) > 2.99 else s


@pytest.mark.parametrize("hand", [right, wrong_where_high_on_the_left])
def test_a_combination_that_no_point_met_costs_the_proof_its_word(hand):
    """On the left of zero nobody finds where the waves are high; each choice by itself came out both ways."""
    report = verify(steep_where_high, hand, at={"x": HIGH})
    assert report.verdict == "agrees"
    assert str(report).startswith("Right for the combinations of choices that were met, and proved for these")
    (choice,) = (c for c in report.coverage if c.what == COMBINATIONS)
    first = steep_where_high.__code__.co_firstlineno
    assert [o.value for o in choice.outcomes] == [f"line {first + 1} false, line {first + 2} true"]
    assert not any(c.unreached for c in report.coverage)


def test_a_branch_that_the_own_point_alone_took_is_proved_too():
    assert "2*x = ∂f/∂x" in verify(steep_where_high, right, at={"x": HIGH}).proof()


SETTLED = {
    "a threshold beside another": (
        lambda x, y: (x * y if x > 1 else x) + (y if x > 2 else 0 * y),
        lambda x, y: {"x": y if x > 1 else 1 + 0 * y, "y": (x if x > 1 else 0 * x) + (1 if x > 2 else 0)},
    ),
    "a number made whole, and its value": (
        lambda x, y: (x * y if round(x.item()) >= 2 else x) + torch.relu(x - 1.5),
        lambda x, y: {
            "x": (y if round(x.item()) >= 2 else 1 + 0 * y) + (x > 1.5),
            "y": x if round(x.item()) >= 2 else 0 * x,
        },
    ),
    "a remainder, twice": (
        lambda x, y: x * y if math.floor(x.item()) % 2 == 0 else x,
        lambda x, y: {
            "x": y if math.floor(x.item()) % 2 == 0 else 1 + 0 * y,
            "y": x if math.floor(x.item()) % 2 == 0 else 0 * x,
        },
    ),
    "a comparison, and what it is not": (
        lambda x, y: x * y if x > y else x,
        lambda x, y: {"x": 1 + 0 * y if not x > y else y, "y": 0 * x if x <= y else x},
    ),
}


@pytest.mark.parametrize(("model", "hand"), SETTLED.values(), ids=SETTLED)
def test_combinations_that_contradict_themselves_are_none(model, hand):
    at = {"x": torch.tensor(0.3, dtype=torch.float64), "y": torch.tensor(0.7, dtype=torch.float64)}
    assert verify(model, hand, at=at, points=16).verdict == "proved"


def test_the_entries_of_a_mask_settle_each_other():
    model = lambda z, v: (v * torch.relu(z)).sum()  # noqa: E731
    assert verify(model, lambda z, v: v * (z > 0), wrt="z", at={"z": (2,), "v": (2,)}).verdict == "proved"


POST = """
import math
import torch

def waves(x):
    t = 2866.33 + x
    return math.sin(t) + math.sin(1.4142135 * t) + math.sin(1.7320508 * t)

x = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
a = x if x > 0 else 3 * x
f = a * a if waves(x) > 2.99 else a
f.backward()
s = 1 if x > 0 else 3
dx = {} if waves(x) > 2.99 else s
print(x.grad, dx)
if f > 5:
    print("large")
"""


@pytest.mark.parametrize("line", ["2 * s * s * x", "2 * x"])
def test_of_a_script_it_is_said_too(line):
    report = verify_script(POST.format(line))
    assert str(report).startswith("Right for the combinations of choices that were met, and proved for these")


CHECKED = """
import numpy as np

x = 1.3
w = 0.5

def loss(w):
    y = w * x if w * x > 0 else 0.1 * w * x
    return (y - 2) ** 2

{}
slope = x if w * x > 0 else 0.1 * x
y = w * x if w * x > 0 else 0.1 * w * x
grad = 2 * (y - 2) * slope
h = 1e-6
numeric = (loss(w + h) - loss(w - h)) / (2 * h)
print(abs(grad - numeric) / abs(grad + numeric) < 1e-5)
"""


@pytest.mark.parametrize("called", ["", "print(loss(w))"], ids=["at two points", "in the middle too"])
def test_what_a_difference_quotient_decides_beside_the_edge_is_no_combination(called):
    """Within 1e-6 of the edge the function goes one way on one side and another on the other: its derivative is not
    what the quotient is there, and no point need show that."""
    assert verify_script(CHECKED.format(called)).verdict == "proved"
