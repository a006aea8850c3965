"""What a function is given: labels as its own library has them, and points at which it ends."""

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.errors import EndlessRun
from symgrad.lifting.tracing import functions

LABELS = np.array([1, 0, 1])
LOGITS = np.array([0.25, -1.25, 2.0])


def of_classes(logits, y):
    return torch.where(y == 1, logits**2, logits).sum()


def slopes(logits, y):
    return np.where(y == 1, 2 * logits, 1.0)


@pytest.mark.parametrize("labels", [LABELS, torch.tensor(LABELS), LABELS == 1], ids=["array", "tensor", "mask"])
def test_labels_reach_each_code_as_what_it_works_with(labels):
    """A model in torch and a derivation in NumPy, from one array of whole numbers."""
    report = verify(of_classes, slopes, wrt="logits", at={"logits": LOGITS, "y": labels})
    assert report.verdict == "proved"
    assert report.table().rows  # autograd is run on the same labels
    assert not any("could not be run" in n for n in report.notes)


def newton(a):
    x = a
    while abs(x * x - a) > 1e-9 * a:  # for a below zero it has no end
        x = 0.5 * (x + a / x)
    return x


def test_a_point_at_which_the_code_has_no_end_is_given_up():
    report = verify(newton, lambda a: 0 * a, at={"a": 2.0})
    assert report.verdict == "refuted"


def test_a_code_without_an_end_says_so(monkeypatch):
    def never(x):
        while True:
            x = x + 1

    monkeypatch.setattr(functions, "_MOST", 5000)
    with pytest.raises(EndlessRun, match="had not ended after 5,000 operations"):
        verify(never, lambda x: x, at={"x": 1.0})
