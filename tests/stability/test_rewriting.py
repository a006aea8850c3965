"""Rewrites that are offered."""

from __future__ import annotations

import numpy as np

from symgrad import lift
from symgrad.stability.rewriting import agree

one = lambda x: np.asarray(float(x))  # noqa: E731


def test_a_rewrite_that_is_equal_on_a_part_alone_is_seen():
    root, itself = lift("sqrt(x**2)"), lift("x")
    assert agree(root, root.output, itself, itself.output, {"x": one(2)})
    assert not agree(root, root.output, itself, itself.output, {"x": one(-2)})
    half = lift("sqrt(x)**2")
    assert not agree(itself, itself.output, half, half.output, {"x": one(-2)})  # has no value there
    assert agree(half, half.output, itself, itself.output, {"x": one(-2)})  # has one more
