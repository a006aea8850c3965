"""Right gradients as people write them: none may be called wrong for the way in which it is written."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.errors import NotReproducible

F = torch.nn.functional


@pytest.mark.parametrize("k", [2, 3, 6, 7, 12, 18, 32, 48, 128])
def test_a_constant_that_took_two_roundings(k):
    """1 / np.sqrt(2) is not the double next to 2**-0.5: each of the two operations rounds."""
    s = 1 / np.sqrt(k)
    inside = verify(lambda x: (x**2).sum() / math.sqrt(k), lambda x: 2 * x * (1 / np.sqrt(k)), at={"x": (2,)})
    outside = verify(lambda x: (x**2).sum() / math.sqrt(k), lambda x: 2 * x * s, at={"x": (2,)})
    assert inside.verdict == "proved"
    assert outside.ok


def test_a_literal_and_an_input_of_the_same_float():
    def model(w, delta):
        return F.huber_loss(w, torch.zeros_like(w), delta=0.8, reduction="sum")

    def hand(w, delta):
        return {"w": np.where(np.abs(w) <= delta, w, delta * np.sign(w))}

    for dtype in (torch.float64, torch.float32):
        at = {"w": torch.tensor([0.5, -2.0], dtype=dtype), "delta": torch.tensor(0.8, dtype=dtype)}
        report = verify(model, hand, wrt="w", at=at)
        assert report.ok
        assert any("one float" in note for note in report.notes)
    assert verify(model, lambda w, delta: w * delta, wrt="w", at=at).verdict == "refuted"


def test_memory_that_is_filled_later_and_memory_that_never_is():
    def model(k, x):
        return (0.5 * k * (x[1:] - x[:-1]) ** 2).sum()

    def hand(k, x):
        g = np.empty(3)
        for i in range(3):
            g[i] = 0.5 * (x[i + 1] - x[i]) ** 2
        return {"k": g}

    def short(k, x):
        g = np.empty(3)
        g[0] = 0.5 * (x[1] - x[0]) ** 2
        return {"k": g}

    at = {"k": (3,), "x": (4,)}
    assert verify(model, hand, wrt="k", at=at).ok
    with pytest.raises(NotReproducible, match=r"entry \[1\] of k is memory that the function never filled"):
        verify(model, short, wrt="k", at=at)


@pytest.mark.parametrize("seed", range(4))
def test_the_textbook_gradient_of_cross_entropy_of_a_sigmoid(seed):
    """torch takes no log for less than -100; far from there that guard is no part of the formula."""
    rng = np.random.default_rng(seed)
    y = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    at = {"z": torch.tensor(rng.standard_normal(4)), "y": y}
    report = verify(
        lambda z, y: F.binary_cross_entropy(torch.sigmoid(z), y),
        lambda z, y: (torch.sigmoid(z) - y) / 4,
        wrt="z",
        at=at,
    )
    assert report.ok


def test_a_hand_formula_whose_text_names_no_library():
    def hand(Z):
        g = Z.copy()
        return {"Z": 2 * g}

    assert verify(lambda Z: (Z**2).sum(), hand, at={"Z": (2, 3)}).verdict == "proved"


def test_a_reversed_view_is_a_gradient_like_any_other():
    def hand(x, g):
        return {"x": np.cumsum(g[::-1])[::-1]}

    assert verify(lambda x, g: (torch.cumsum(x, 0) * g).sum(), hand, wrt="x", at={"x": (4,), "g": (4,)}).ok


def test_a_tie_is_a_kink_even_where_the_hand_formula_takes_the_models_side():
    def hand(x):
        g = np.zeros_like(x)
        g[np.argmax(x)] = 2 * x[np.argmax(x)]
        return {"x": g}

    report = verify(lambda x: torch.amax(x) ** 2, hand, at={"x": np.array([1.0, 3.0, 3.0, 0.0])})
    assert report.ok
    assert {k.entry for k in report.kinks} == {(1,), (2,)}
    assert not report.instabilities
