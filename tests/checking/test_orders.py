"""Orders: one formula holds for all of them, and one that does not is found."""

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.checking.orders import orders, point_in_order
from symgrad.program.builder import Builder

WEIGHTS = np.array([1.0, 2.0, 3.0])
LONG = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
AT = {"x": np.array([0.5, -1.25, 2.0])}
LONG_AT = {"x": np.array([0.5, -1.25, 2.0, 0.1, -0.3])}


def ranked(x):
    return (WEIGHTS * np.sort(x)).sum()


def ranked_long(x):
    return (LONG * np.sort(x)).sum()


def slopes(x, weights):
    out = np.zeros(len(weights))
    out[np.argsort(x)] = weights
    return out


def test_each_order_of_few_and_each_place_of_more_is_sought():
    assert set(orders(3, [(0, 1, 2)])) == {(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}
    found = [(3, 1, 0, 2), *orders(4, [(3, 1, 0, 2)])]
    assert {pair for order in found for pair in enumerate(order)} == {(i, j) for i in range(4) for j in range(4)}
    assert list(orders(40, [tuple(range(40))])) == []


def test_a_point_in_an_order():
    b = Builder()
    x = b.input("x", (4,))
    double = b.mul(x, b.constant(np.full(4, 2.0)))
    (point,) = point_in_order(b.build({}), double, 0, (2, 0, 3, 1), {"x": np.array([4.0, 1.0, 3.0, 2.0])}, ["x"])
    assert np.argsort(point["x"]).tolist() == [2, 0, 3, 1]


@pytest.mark.slow
@pytest.mark.parametrize("order", [(2, 0, 1), (0, 1, 2), (1, 2, 0)])
@pytest.mark.parametrize("as_", [list, tuple])
def test_what_is_wrong_in_one_order_is_refuted(order, as_):
    def hand(x):
        return slopes(x, WEIGHTS) * (0.0 if as_(np.argsort(x).tolist()) == as_(order) else 1.0)

    report = verify(ranked, hand, at=AT)
    assert report.verdict == "refuted"
    assert tuple(np.argsort(report.claims["x"].witness.point["x"])) == order


@pytest.mark.slow
def test_an_order_of_many_that_the_code_names_is_refuted():
    hand = lambda x: 0 * x if np.argsort(x).tolist() == [4, 2, 0, 1, 3] else slopes(x, LONG)  # noqa: E731
    assert verify(ranked_long, hand, at=LONG_AT).verdict == "refuted"


def test_a_permutation_that_is_not_turned_round_is_refuted():
    """The two are the same for every order that is its own inverse."""
    assert verify(ranked, lambda x: WEIGHTS[np.argsort(x)], at=AT).verdict == "refuted"


@pytest.mark.parametrize(("f", "weights", "at"), [(ranked, WEIGHTS, AT), (ranked_long, LONG, LONG_AT)])
def test_a_right_one_stays_proved(f, weights, at):
    report = verify(f, lambda x: slopes(x, weights), at=at)
    assert report.verdict == "proved"


def test_what_only_takes_entries_by_their_rank_stays_proved():
    x = torch.tensor([0.5, -1.25, 2.0, 0.1], dtype=torch.float64)
    top = lambda x: torch.topk(x, 2).values.sum()  # noqa: E731
    assert verify(top, lambda x: (x >= torch.sort(x).values[-2]).to(x), at={"x": x}).verdict == "proved"
    assert verify(lambda x: np.median(x), lambda x: (x == np.median(x)) * 1.0, at=AT).verdict == "proved"
