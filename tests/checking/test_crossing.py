"""Choices by values are crossed; one of which a side is not reached takes the word from a right gradient."""

import math

import pytest

from symgrad import assert_gradient, verify


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
