"""A place of a table of numbers that the code makes of a value is a choice: each place is a branch, read or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import verify

F64 = torch.float64
EDGES = torch.tensor([-2.0, 0.5, 9.0], dtype=F64)
HEIGHTS = torch.tensor([1.0, 2.0, -1.0, 4.0], dtype=F64)
OTHERS = torch.tensor([1.0, 2.0, -1.0, -1.0], dtype=F64)  # they differ at the last place alone

ONE = torch.tensor(0.4, dtype=F64)
THREE = torch.tensor([0.3, -0.7, 1.9], dtype=F64)
PLACES = {
    "bucketize": (lambda x: torch.bucketize(x, EDGES), ONE),
    "searchsorted": (lambda x: torch.searchsorted(EDGES, x), THREE),
    "count_nonzero": (lambda x: torch.count_nonzero(x > 5), THREE),
    "a running count": (lambda x: torch.cumsum((x > 5).long(), 0), THREE),
    "a cut off number": (lambda x: x.long().clamp(0, 3), ONE),
    "a rank": (lambda x: torch.cat([x[None], EDGES]).argsort().argsort()[0], ONE),
    "a sign bit": (lambda x: 3 * torch.signbit(9 - x).long(), ONE),
    "an exponent": (lambda x: torch.frexp(x.abs()).exponent.clamp(0, 3).long(), ONE),
    "a count of a range": (lambda x: torch.histc(x, 2, 5.0, 50.0)[1].long(), THREE),
}


@pytest.mark.slow
@pytest.mark.parametrize(("place", "at"), PLACES.values(), ids=PLACES)
def test_what_stands_at_a_place_that_no_point_read_is_not_taken_to_be_right(place, at):
    """The right one reads in the model's own table, which is data; for the wrong one the last place is a branch."""
    model = lambda x: (HEIGHTS[place(x)] * x).sum()  # noqa: E731
    assert verify(model, lambda x: HEIGHTS[place(x)] + 0 * x, at={"x": at}).verdict == "proved"
    assert verify(model, lambda x: OTHERS[place(x)] + 0 * x, at={"x": at}).verdict in ("refuted", "undecided")


def test_each_bin_is_looked_into():
    model = lambda x: HEIGHTS[torch.bucketize(x, EDGES)] * x  # noqa: E731
    report = verify(model, lambda x: OTHERS[torch.bucketize(x, EDGES)] + 0 * x, at={"x": ONE})
    assert report.verdict == "refuted"
    assert all(choice.unreached == () for choice in report.coverage if choice.what == "a place between edges")
    assert float(report.claims["x"].witness.point["x"]) > 9


@pytest.mark.slow
@pytest.mark.parametrize("find", [np.digitize, lambda x, edges: np.searchsorted(edges, x)], ids=["digitize", "search"])
@pytest.mark.parametrize("at", [0.4, np.array([0.4, 0.3])], ids=["number", "array"])
def test_bins_of_numpy(find, at):
    edges, heights, others = EDGES.numpy(), HEIGHTS.numpy(), OTHERS.numpy()
    model = lambda x: np.sum(heights[find(x, edges)] * x)  # noqa: E731
    assert verify(model, lambda x: heights[find(x, edges)] + 0 * x, at={"x": at}).verdict == "proved"
    assert verify(model, lambda x: others[find(x, edges)] + 0 * x, at={"x": at}).verdict == "refuted"


@pytest.mark.slow
def test_a_bin_that_holds_no_number_is_no_branch():
    """Below minus infinity, and between two edges that are one."""
    edges = torch.tensor([-torch.inf, 0.5, 0.5, torch.inf], dtype=F64)
    heights = torch.arange(5, dtype=F64)
    model = lambda x: heights[torch.bucketize(x, edges)] * x  # noqa: E731
    twice = lambda x: (2 * heights)[torch.bucketize(x, edges)] / 2 + 0 * x  # noqa: E731
    assert verify(model, lambda x: heights[torch.bucketize(x, edges)] + 0 * x, at={"x": ONE}).verdict == "proved"
    assert verify(model, twice, at={"x": ONE}).verdict != "refuted"


def test_two_entries_of_one_table_are_two_numbers():
    model = lambda x: torch.where(x > 3, HEIGHTS[3], HEIGHTS[0]) * x  # noqa: E731
    assert verify(model, lambda x: torch.where(x > 3, 4.0, 1.0) + 0 * x, at={"x": ONE}).verdict == "proved"
    stacked = lambda x: torch.stack([HEIGHTS[3], HEIGHTS[0]])[1] * x  # noqa: E731
    assert verify(stacked, lambda x: HEIGHTS[0] + 0 * x, at={"x": ONE}).verdict == "proved"


@pytest.mark.parametrize(("right", "verdict"), [(True, "proved"), (False, "refuted")])
def test_of_two_copies_of_one_value_the_second_is_never_the_largest(right, verdict):
    """``torch.stack([x, y, x]).argmax()`` is 0 or 1: that 2 was not reached costs nothing."""

    def model(x, y):
        return torch.stack([x, y, x]).max() * x

    def hand(x, y):
        k = torch.stack([x, y, x]).argmax()
        larger = torch.stack([x, y, x])[k]
        slopes = torch.stack([torch.ones_like(x), torch.zeros_like(x), torch.ones_like(x)])
        return {"x": slopes[k] * x + larger, "y": (1 - slopes[k]) * x if right else slopes[k] * x}

    at = {n: torch.tensor(v, dtype=torch.float64) for n, v in (("x", 0.75), ("y", -0.5))}
    assert verify(model, hand, at=at).verdict == verdict
