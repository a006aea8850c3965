"""What is an edge of a comparison and what is none: zeros that a branch of relu leaves are equal at every point."""

from __future__ import annotations

import pytest
import torch

from symgrad import verify


def net(W, v, x):
    return v @ torch.relu(W @ x)


def off_where(W, v, x, comparison):
    h = torch.relu(W @ x)
    return {"W": torch.outer(v * comparison(h), x)}


@pytest.mark.parametrize("size", [2, 5])
def test_a_unit_that_is_off_is_told_from_one_that_is_on_by_its_value(size):
    at = {"W": (size, 2), "v": (size,), "x": (2,)}
    right = verify(net, lambda W, v, x: off_where(W, v, x, lambda h: h > 0), at=at, wrt="W")
    assert right.verdict == "proved", str(right)
    wrong = verify(net, lambda W, v, x: off_where(W, v, x, lambda h: h >= 0), at=at, wrt="W")
    assert wrong.verdict == "refuted"
    point = {n: torch.tensor(x, requires_grad=n == "W") for n, x in wrong.claims["W"].witness.point.items()}
    slope = torch.autograd.grad(net(**point), point["W"])[0]
    assert not torch.allclose(slope, off_where(**point, comparison=lambda h: h >= 0)["W"].detach())
