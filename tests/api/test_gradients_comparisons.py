"""compare: two formulas, and no derivative."""

from __future__ import annotations

import torch

from symgrad import compare


def test_compare_takes_no_derivative():
    assert compare("(x + 1)**2", "x**2 + 2*x + 1").kind == "proved"
    refuted = compare("(x + 1)**2", "x**2 + x + 1")
    assert refuted.kind == "refuted"
    assert refuted.witness.hand_value != refuted.witness.exact_value
    f = lambda a: torch.softmax(a, 0)  # noqa: E731
    shifted = lambda a: torch.exp(a - a.max()) / torch.exp(a - a.max()).sum()  # noqa: E731
    assert compare(f, shifted, at={"a": (3,)}).kind in ("proved", "agrees")
