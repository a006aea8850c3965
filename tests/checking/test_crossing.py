"""Choices by values are crossed; one of which a side is not reached takes the word from a right gradient."""

import math

import numpy as np
import pytest
import torch

from symgrad import assert_gradient, verify
from symgrad.checking import crossing, judge


def by_a_band(x):
    return x * x if x < 25.0 else x**3


def both_sides(x):
    return 2 * x if x < 25.0 else 3 * x**2


def one_side(x):
    return 2 * x


def by_a_whole_number(x):
    return x * x if math.floor(x) == 17 else x**3


def by_a_square(x):
    return x if x * x < 0 else 2 * x


def in_a_rare_place(x):
    """Three waves have their tops together in one place of ten thousand million, and nowhere else."""
    waves = math.sin(x) + math.sin(1.4142135 * x) + math.sin(1.7320508 * x)
    return x if waves > 2.9999999 else 2 * x


def test_a_slope_that_is_wrong_beyond_a_threshold_is_refuted_there():
    report = verify(by_a_band, one_side, at={"x": 0.5})
    assert report.verdict == "refuted"
    assert report.claims["x"].witness.point["x"] >= 25.0
    assert verify(by_a_band, both_sides, at={"x": 0.5}).verdict == "proved"


def test_a_whole_number_is_reached():
    right = lambda x: 2 * x if math.floor(x) == 17 else 3 * x**2  # noqa: E731
    assert verify(by_a_whole_number, right, at={"x": 0.5}).ok
    report = verify(by_a_whole_number, lambda x: 3 * x**2, at={"x": 0.5})
    assert report.verdict == "refuted"
    assert math.floor(float(report.claims["x"].witness.point["x"])) == 17


def test_what_cannot_come_out_does_not_count():
    report = verify(by_a_square, lambda x: 2.0, at={"x": 0.5})
    assert report.verdict == "proved"
    (choice,) = report.coverage
    assert {o.state for o in choice.outcomes} == {"reached", "impossible"}


IMPOSSIBLE = {
    "beyond a bell": lambda x: x if torch.exp(-x * x) > 1.0 else 2 * x,
    "beyond a number made whole": lambda x: x if int(x) == 2 and x.abs() > 3.5 else 2 * x,
    "beyond what was compared before": lambda x: x if x > 1 and x < -1 else 2 * x,
    "a fraction times what is below one": lambda x: x if (torch.tanh(x) * (x - torch.floor(x))).abs() > 1 else 2 * x,
}


@pytest.mark.parametrize("model", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_side_is_impossible_by_what_leads_to_it(model):
    report = verify(model, lambda x: 2.0 + 0 * x, at={"x": torch.tensor(0.5, dtype=torch.float64)}, points=16)
    assert report.verdict == "proved", str(report)


POSSIBLE = {
    "beyond a bell": lambda x: x if torch.exp(-x * x) > 0.9999 else 2 * x,
    "beyond a number made whole": lambda x: x if int(x) == 2 and x.abs() > 2.9 else 2 * x,
    "beyond what was compared before": lambda x: x if x > 1 and x < 1.01 else 2 * x,
}


@pytest.mark.slow
@pytest.mark.parametrize("model", POSSIBLE.values(), ids=POSSIBLE)
def test_a_thin_side_is_not_impossible(model):
    at = {"x": torch.tensor(0.5, dtype=torch.float64)}
    assert verify(model, lambda x: 2.0 + 0 * x, at=at).verdict == "refuted"


def test_copies_of_one_entry_are_no_tie():
    """The largest of x, y and x is x on a whole side of x = y."""
    places = lambda x, y: torch.stack([x, y, x])  # noqa: E731
    model = lambda x, y: places(x, y).max() * y  # noqa: E731

    def right(x, y):
        k = places(x, y).argmax()
        return {"x": torch.stack([y, 0 * y, y])[k], "y": torch.stack([x, 2 * y, x])[k]}

    def wrong(x, y):
        return {"x": right(x, y)["x"], "y": torch.stack([y, 2 * y, x])[places(x, y).argmax()]}

    at = {"x": torch.tensor(0.3, dtype=torch.float64), "y": torch.tensor(0.4, dtype=torch.float64)}
    assert verify(model, right, at=at, points=8).verdict == "proved"
    assert verify(model, wrong, at=at, points=8).verdict == "refuted"


def test_a_counter_that_is_written_in_its_condition_is_one_choice():
    """At the fourth turn ``n < x`` compares with the 4 that stands in the other condition."""

    def model(x):
        n, a = 0, x
        while n < x and n < 4:
            a, n = a * x, n + 1
        return a

    def hand(x):
        n, a, slope = 0, x, 1.0
        while n < x and n < 4:
            a, slope, n = a * x, slope * x + a, n + 1
        return slope

    report = verify(model, hand, at={"x": 0.4}, points=16)
    assert report.verdict == "agrees", str(report)
    assert len([c for c in report.coverage if c.branches]) == 2


def test_coverage_lists_each_choice_with_its_place_and_points():
    mine, theirs = verify(by_a_band, both_sides, at={"x": 0.5}).coverage
    for choice in (mine, theirs):
        assert "x < 25.0" in choice.text
        assert choice.file == __file__
        assert {o.state for o in choice.outcomes} == {"reached"}
        points = [float(o.point["x"]) for o in choice.outcomes]
        assert min(points) < 25.0 <= max(points)


@pytest.mark.parametrize(("unreached", "verdict"), [("refuse", "undecided"), ("accept", "agrees")])
def test_a_side_that_is_not_reached_takes_the_word(unreached, verdict):
    report = verify(in_a_rare_place, lambda x: 2.0, at={"x": 0.5}, unreached=unreached)
    assert report.verdict == verdict
    assert report.ok is (unreached == "accept")
    if unreached == "refuse":
        assert str(report).startswith("Right where it was looked at: ")
        assert "not reached" in str(report)


def test_a_guard_of_a_suite_fails_where_a_side_is_not_reached():
    with pytest.raises(AssertionError, match="Right where it was looked at"):
        assert_gradient(in_a_rare_place, lambda x: 2.0, at={"x": 0.5})
    assert_gradient(in_a_rare_place, lambda x: 2.0, at={"x": 0.5}, unreached="accept")


LENGTHS = {
    "len of the places": lambda x: len(torch.nonzero(x > 0)),
    "their shape": lambda x: torch.nonzero(x > 0).shape[0],
    "their size": lambda x: (x > 0).nonzero().size(0),
    "how many they are": lambda x: torch.nonzero(x > 0).numel(),
    "len of the entries": lambda x: len(x[x > 0]),
    "torch.where": lambda x: len(torch.where(x > 0)[0]),
    "len of what is made of them": lambda x: len(2 * x[x > 0] - 1),
}
LENGTHS_OF_ARRAYS = {
    "np.nonzero": lambda x: len(np.nonzero(x > 0)[0]),
    "np.flatnonzero": lambda x: np.flatnonzero(x > 0).size,
    "np.argwhere": lambda x: np.argwhere(x > 0).shape[0],
    "np.where": lambda x: np.where(x > 0)[0].size,
    "the entries": lambda x: x[x > 0].size,
}


@pytest.mark.parametrize("count", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.slow
def test_a_length_that_a_mask_decides_is_a_choice(count):
    """No number of entries is special in the model; the hand formula is wrong where more than nine are positive."""
    at = {"x": torch.linspace(-1, 1, 10, dtype=torch.float64)}
    report = verify(lambda x: (x**2).sum(), lambda x: 0 * x if count(x) > 9 else 2 * x, at=at)
    assert report.verdict == "refuted"
    assert bool((torch.as_tensor(report.claims["x"].witness.point["x"]) > 0).all())


@pytest.mark.parametrize("count", LENGTHS_OF_ARRAYS.values(), ids=LENGTHS_OF_ARRAYS)
@pytest.mark.slow
def test_a_length_that_a_mask_of_numpy_decides_is_a_choice(count):
    hand = lambda x: 0 * x if count(x) > 9 else 2 * x  # noqa: E731
    assert verify(lambda x: np.sum(x**2), hand, at={"x": np.linspace(-1, 1, 10)}).verdict == "refuted"


def test_places_that_only_choose_entries_are_no_choice_of_the_code():
    def chosen(x):
        return (x[torch.nonzero(x > 0).squeeze(1)] ** 2).sum()

    at = {"x": torch.linspace(-1, 1, 10, dtype=torch.float64)}
    assert verify(chosen, lambda x: torch.where(x > 0, 2 * x, 0 * x), at=at).verdict == "proved"


def nested(x, y):
    if abs(x) > 40 and abs(y) > 30:
        if x > y:
            return x * y
        return x * x * y
    return x + y


def slope_of_nested(x, y):
    if abs(x) > 40 and abs(y) > 30:
        return y if x > y else 2 * x * y
    return 1.0


def test_a_branch_is_reached_whose_edge_is_off_the_path_to_it():
    """The way across x = y leads to where |x| > 40 does not hold, and nothing asks for x > y."""
    report = verify(nested, slope_of_nested, wrt="x", at={"x": -41.0, "y": -31.0}, points=2)
    assert [str(c) for c in report.coverage if c.unreached] == []
    assert report.verdict == "proved"


ONE = torch.ones(2, dtype=torch.float64)
CLOSE = {
    "np.allclose": (lambda x: np.allclose(x, 1.0, atol=0.5), np.array([2.0, 3.0])),
    "np.isclose": (lambda x: np.isclose(x, 1.0, atol=0.5).all(), np.array([2.0, 3.0])),
    "torch.allclose": (lambda x: torch.allclose(x, ONE, atol=0.5), 3 * ONE),
    "a tensor of ones": (lambda x: torch.allclose(torch.ones_like(x), x, rtol=0.5), 3 * ONE),
}


@pytest.mark.slow
@pytest.mark.parametrize(("is_near", "own"), CLOSE.values(), ids=CLOSE)
def test_where_two_sides_are_close_is_sought_where_they_are_equal(is_near, own):
    model = lambda x: (x**2).sum() if is_near(x) else (x**3).sum()  # noqa: E731
    right = lambda x: 2 * x if is_near(x) else 3 * x**2  # noqa: E731
    assert verify(model, right, at={"x": own}, points=2).verdict == "proved"
    assert verify(model, lambda x: 3 * x**2, at={"x": own}, points=2).verdict == "refuted"


@pytest.mark.slow
@pytest.mark.parametrize(("x", "y"), [(-1.0, -0.65), (3.0, 2.0)])
def test_a_threshold_beside_the_models_is_refuted_between_the_two(x, y):
    """Few points are asked for, and there are many other choices to combine."""

    def model(x, y):
        a = x * y if x < 2.0 else x**2
        return torch.maximum(a, x) * torch.relu(a - 1.5) * torch.relu(y + 1.5)

    def hand(x, y):
        a, a_x = (x * y, y) if x < 2.25 else (x**2, 2 * x)
        b, c, d = torch.maximum(x * y if x < 2.0 else x**2, x), torch.relu(a - 1.5), torch.relu(y + 1.5)
        return torch.where(a > x, a_x, 1.0) * c * d + b * (a > 1.5) * a_x * d

    at = {n: torch.tensor(v, dtype=torch.float64) for n, v in (("x", x), ("y", y))}
    assert verify(model, hand, wrt="x", at=at, points=16).verdict == "refuted"


@pytest.mark.slow
def test_branches_that_show_what_is_refuted_already_are_not_kept(monkeypatch):
    """Twelve entries have thousands of masks; the wrong claim is refuted, and the right one needs no more of them."""
    kept = []

    def counted(problem, found):
        crossing.cross(problem, found)
        kept.append(len(found.branches))

    def loss(w, v):
        return (np.maximum(w, 0) * v).sum()

    def by_hand(w, v):
        dw = v.copy()
        dw[w < 0] = 0
        return {"w": dw, "v": 2 * np.maximum(w, 0)}

    monkeypatch.setattr(judge, "cross", counted)
    w = np.array([0.5, -1.0, 2.0, -0.25, 1.5, -3.0, 0.75, 1.25, -2.5, 0.125, -0.5, 1.0])
    report = verify(loss, by_hand, at={"w": w, "v": np.arange(12.0) - 5.5})
    assert (report.claims["w"].kind, report.claims["v"].kind) == ("proved", "refuted")
    assert kept
    assert all(2 < branches < 60 for branches in kept)
