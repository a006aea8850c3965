"""Of large arrays a few entries are looked at, and the verdict is what it is when all are."""

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.checking import parts

SHAPE = (30, 20)
POINT = {"x": SHAPE, "w": (20,)}


def model(x, w):
    return torch.tanh(x * w).sum()


def hand(x, w):
    slope = 1 - torch.tanh(x * w) ** 2
    return {"x": slope * w, "w": (slope * x).sum(0)}


def one_entry_off(x, w):
    found = hand(x, w)
    found["x"][17, 13] = 0.5 * found["x"][17, 13]
    return found


@pytest.fixture(params=["at other points", "at the user's own point too"])
def large(request, monkeypatch):
    monkeypatch.setattr(parts, "MANY", 0)
    if "own" in request.param:
        monkeypatch.setattr(parts, "MOST", 0)
    return request.param


def test_what_is_right_is_proved(large):
    report = verify(model, hand, at=POINT)
    assert report.verdict == "proved"
    assert report.counts["points"] == 1
    assert (report.claims["x"].rounding is None) == ("own" in large)


def test_one_wrong_entry_that_is_not_among_the_few_is_found(large):
    report = verify(model, one_entry_off, at=POINT)
    assert report.claims["x"].verdict.kind == "refuted"
    assert report.claims["x"].witness.entry == (17, 13)
    assert report.claims["w"].verdict.kind != "refuted"


def test_a_small_difference_in_every_entry_is_found(large):
    report = verify(model, lambda x, w: {n: g * (1 + 2.0**-40) for n, g in hand(x, w).items()}, at=POINT)
    assert report.verdict == "refuted"


def test_what_is_not_about_sizes_is_looked_at_whole(large):
    # Random weights of the code's own are read as no formula in the sizes: all entries are looked at, and agree.
    own = torch.from_numpy(np.random.default_rng(0).normal(size=SHAPE))
    report = verify(lambda x: (own * torch.tanh(x)).sum(), lambda x: own * (1 - torch.tanh(x) ** 2), at={"x": SHAPE})
    assert report.ok
    assert report.counts["points"] > 1
    assert report.claims["x"].rounding is not None
