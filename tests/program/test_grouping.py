"""Reductions by groups against torch: the gradients of scatter_reduce and its kin are autograd's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import symgrad

INDEX = torch.tensor([[0, 2, 2, 1], [1, 1, 0, 1]])
ROWS = torch.tensor([1, 0, 1])
BAGS = torch.tensor([0, 2, 2, 1, 0])
OFFSETS = torch.tensor([0, 2, 2])
LENGTHS = torch.tensor([2, 0, 1])


def scattered(how, **options):
    return lambda A: A[:3].scatter_reduce(0, INDEX, A[2:] ** 2, how, **options)


def by_rows(how, **options):
    return lambda A: A[:2].index_reduce(0, ROWS, A[1:] ** 2, how, **options)


FUNCTIONS = {
    **{f"scatter_reduce {how}": scattered(how) for how in ("sum", "prod", "mean", "amax", "amin")},
    **{f"scatter_reduce {how} alone": scattered(how, include_self=False) for how in ("sum", "prod", "mean", "amax")},
    **{f"index_reduce {how}": by_rows(how) for how in ("prod", "mean", "amax", "amin")},
    **{f"index_reduce {how} alone": by_rows(how, include_self=False) for how in ("prod", "mean", "amin")},
    **{f"bags {how}": lambda A, how=how: F.embedding_bag(BAGS, A, OFFSETS, mode=how) for how in ("sum", "mean", "max")},
    "bags that end by offsets": lambda A: F.embedding_bag(BAGS, A, torch.tensor([0, 2, 5]), include_last_offset=True),
    "bags without a row": lambda A: F.embedding_bag(BAGS, A, OFFSETS, mode="mean", padding_idx=2),
    "segments": lambda A: torch.segment_reduce(A[:3], "mean", lengths=LENGTHS, axis=0, initial=0.5),
    "largest of segments": lambda A: torch.segment_reduce(A[:3], "max", lengths=LENGTHS, axis=0, initial=-9.0),
    "put": lambda A: A.put(torch.tensor([3, 0]), A[0, :2] ** 2) + A.put(BAGS, A.reshape(-1)[:5], accumulate=True),
    "pdist": lambda A: F.pdist(A) + F.pdist(A, p=1) + F.pdist(A, p=3) + F.pdist(A, p=0),
    "cdist": lambda A: torch.cdist(A, A[1:] ** 2, p=0) * A[:, :3] + torch.cdist(A, A[1:] ** 2, p=float("inf")),
}


@pytest.mark.filterwarnings("ignore:index_reduce.* is in beta")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_is_autograds(name):
    function = FUNCTIONS[name]
    x = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    w = torch.arange(1.0, 30.0, dtype=torch.float64)
    total = lambda A: (function(A).reshape(-1) * w[: function(A).numel()]).sum()  # noqa: E731
    leaf = x.clone().requires_grad_()
    (truth,) = torch.autograd.grad(total(leaf), leaf)
    found = symgrad.gradient(total, at={"A": x})["A"](x)
    torch.testing.assert_close(found, truth, rtol=1e-12, atol=1e-12)


def test_a_verdict_on_groups():
    def model(x):
        return (
            torch.zeros(2, dtype=x.dtype)
            .scatter_reduce(0, torch.tensor([0, 0, 1]), x, "prod", include_self=False)
            .sum()
        )

    right = lambda x: torch.stack([x[1], x[0], torch.ones_like(x[0])])  # noqa: E731
    assert symgrad.verify(model, right, at={"x": (3,)}).verdict == "proved"
    assert symgrad.verify(model, lambda x: torch.ones_like(x), at={"x": (3,)}).verdict == "refuted"
