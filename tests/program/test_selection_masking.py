"""Masks of minus infinity: causal attention and its like are algebra, and their gradients can be proved."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.evaluation.floats import Floats
from symgrad.program.builder import Builder
from symgrad.program.program import interpret
from symgrad.program.selection import without_infinities

CAUSAL = torch.triu(torch.ones(3, 3, dtype=torch.bool), 1)
ADDED = torch.zeros(3, 3, dtype=torch.float64).masked_fill(CAUSAL, -math.inf)


def filled(Q, K, V, up):
    scores = (Q @ K.T / math.sqrt(2)).masked_fill(CAUSAL, -math.inf)
    return (up * (torch.softmax(scores, -1) @ V)).sum()


def added(Q, K, V, up):
    return (up * (torch.softmax(Q @ K.T / math.sqrt(2) + ADDED, -1) @ V)).sum()


def hand(Q, K, V, up):
    scale = 1 / np.sqrt(Q.shape[1])
    E = np.exp(Q @ K.T * scale) * np.tril(np.ones((3, 3)))
    P = E / E.sum(-1, keepdims=True)
    dP = up @ V.T
    dS = P * (dP - (dP * P).sum(-1, keepdims=True))
    return {"Q": dS @ K * scale, "K": dS.T @ Q * scale, "V": P.T @ up}


def slip(Q, K, V, up):
    right = hand(Q, K, V, up)
    return {**right, "Q": right["Q"] * np.sqrt(2)}


@pytest.mark.parametrize("model", [filled, added])
@pytest.mark.slow
def test_causal_attention(model):
    """The first row sees only itself: its part of the gradient is exactly zero, and that is proved too."""
    at = dict.fromkeys(("Q", "K", "V", "up"), (3, 2))
    assert verify(model, hand, wrt=("Q", "K", "V"), at=at).verdict == "proved"
    report = verify(model, slip, wrt=("Q", "K", "V"), at=at)
    assert {n: c.kind for n, c in report.claims.items()} == {"Q": "refuted", "K": "proved", "V": "proved"}


@pytest.mark.parametrize("row", ["softmax", "log_softmax", "logsumexp", "exp"])
def test_what_is_written_without_infinities_has_the_same_value(row):
    b = Builder()
    x = b.add(b.input("x", (2, 3)), b.constant(np.array([[0.0, -np.inf, 0.0], [0.0, 0.0, -np.inf]])))
    y = b.apply("exp", x) if row == "exp" else b.emit(row, (x,), 1, (2, 1) if row == "logsumexp" else (2, 3))
    y = b.pick([y], np.array([1, 4]), (2,)) if row == "log_softmax" else y  # the entries that are not masked
    program = b.build({"y": y})
    made, place = without_infinities(program)
    assert len(made) > len(program)
    given = {"x": torch.tensor([[0.3, 1.0, -0.5], [2.0, 0.1, 0.7]], dtype=torch.float64)}
    before = interpret(program, Floats(), given, [y])[y]
    after = interpret(made, Floats(), given, [place[y]])[place[y]]
    torch.testing.assert_close(after, before, rtol=1e-14, atol=0)


def test_an_infinity_that_goes_elsewhere_is_left_alone():
    b = Builder()
    y = b.mul(b.input("x", ()), b.constant(np.array(-np.inf)))
    program = b.build({"y": y})
    assert without_infinities(program)[0] is program
