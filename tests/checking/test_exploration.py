"""A gradient that is wrong on a branch of the code that is hard to reach: it is refuted there, or undecided, or the
report says what a loop or a whole number was.  It is never called right in silence.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from symgrad import verify
from symgrad.errors import NotReproducible
from symgrad.lifting.tracing import functions
from symgrad.problem.point_search import Start, points_beyond
from symgrad.program.builder import Builder


def number(*values: float) -> torch.Tensor:
    return torch.tensor(values if len(values) > 1 else values[0], dtype=torch.float64)


def square(x):
    return (x**2).sum()


def squares(x, y):
    return (x**2).sum() + (y**2).sum()


X = {"x": number(1.0)}
XS = {"x": number(*np.linspace(-1, 1, 10))}


def notes(report) -> str:
    return " ".join(report.notes)


# ------------------------------------------------------------------------------------------------ found


def near_zero(x):
    return 0 * x if abs(x) < 1e-6 else 2 * x


def both_far(x, y):
    p = 1 if x > 100 else 0
    q = 1 if y > 100 else 0
    return {"x": 0 * x if p + q == 2 else 2 * x, "y": 2 * y}


def entry_of_both(x, y):
    return {"x": torch.where((x > 100) & (y > 100), 0 * x, 2 * x), "y": 2 * y}


def all_large(x):
    return 0 * x if torch.all(x > 1e5) else 2 * x


def many_positive(x):
    return 0 * x if len(torch.nonzero(x > 0)) > 9 else 2 * x


def largest_in_front(x):
    return 0 * x if x.argmax() == 0 else 2 * x


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "hand", "at"),
    [
        (square, near_zero, X),
        (square, lambda x: 2 * x + 1 + torch.sign(x - 1e5), X),
        (square, lambda x: 2 * x + torch.abs(x - 1e5) + x - 1e5, X),
        (squares, both_far, {**X, "y": number(1.0)}),
        (squares, entry_of_both, {"x": number(1.0, 2.0), "y": number(1.0, 2.0)}),
        (square, all_large, XS),
        (square, many_positive, XS),
        (square, largest_in_front, XS),
    ],
    ids=["|x| < 1e-6", "sign", "abs", "two ifs", "two masks", "all", "count", "argmax"],
)
def test_a_rare_branch_is_found(model, hand, at):
    report = verify(model, hand, at=at)
    assert report.verdict == "refuted"
    point = {n: torch.as_tensor(v) for n, v in report.claims["x"].witness.point.items()}
    there = hand(**point)
    slope = there["x"] if isinstance(there, dict) else there
    assert not torch.equal(slope, 2 * point["x"])  # the witness is one: the hand formula itself says so


def test_a_clip_in_the_hand_formula_alone_is_found():
    """Below 1e-7 the two differ; a point left of zero is on that branch too, but the logarithm has no value there."""
    at = {"x": number(0.1, 0.2)}
    log = lambda x: torch.log(x).sum()  # noqa: E731
    assert verify(log, lambda x: 1 / x.clamp_min(1e-7), at=at).verdict == "refuted"
    clipped = lambda x: torch.log(x.clamp_min(1e-7)).sum()  # noqa: E731
    assert verify(clipped, lambda x: (x >= 1e-7) / x.clamp_min(1e-7), at=at).ok


@pytest.mark.slow
def test_a_thin_part_of_the_domain_is_found():
    at = {"x": 2.0}
    ones = lambda x: np.ones_like(x)  # noqa: E731
    assert verify(lambda x: np.abs(x), ones, at=at, domain={"x": (-1e-3, None)}).verdict == "refuted"
    assert verify(lambda x: np.abs(x), ones, at=at, domain={"x": (0, None)}).ok


# ------------------------------------------------------------------------------------------------ told


def halved(x):
    n, z = 0, x.clone()
    while z > 1:
        z = z / 2
        n += 1
    return 2 * x + (1 if n > 60 else 0)


def counted(x):
    y = 2 * x
    for i in range(int(x.abs())):
        y = y + (1 if i > 10**6 else 0)
    return y


@pytest.mark.parametrize(
    ("hand", "at", "found"),
    [
        (lambda x: 0 * x if x == 0.5 else 2 * x, X, "refuted"),
        (lambda x: 0 * x if int(x) == 37 else 2 * x, X, "refuted"),
        (lambda x: torch.where(torch.floor(x) == 77, 0 * x, 2 * x), XS, "refuted"),
        (lambda x: 0 * x if math.floor(x) == 99 else 2 * x, {"x": 1.0}, "refuted"),
        (lambda x: 0 * x if x.argsort()[0] == 7 and x.argsort()[1] == 3 else 2 * x, XS, "refuted"),
        (lambda x: 2 * x * (torch.bucketize(x, number(-1e5, 1e5)) < 2), XS, "refuted"),
        (halved, X, "refuted"),
        (counted, X, "undecided"),
    ],
    ids=["equal", "int", "floor", "math.floor", "argsort", "bucketize", "while", "range"],
)
@pytest.mark.slow
def test_a_choice_whose_other_ways_were_not_seen_is_sought_or_takes_the_word(hand, at, found):
    report = verify(square if "x" in at and not isinstance(at["x"], float) else lambda x: x**2, hand, at=at)
    assert report.verdict == found


def test_the_places_of_a_largest_entry_are_counted():
    largest = lambda x: torch.nn.functional.one_hot(x.argmax(), len(x)).to(x.dtype)  # noqa: E731
    few = verify(lambda x: x.max(), largest, at={"x": number(0.5, 2.0, 1.0)})
    many = verify(lambda x: x.max(), largest, at={"x": number(*np.linspace(0, 1, 40))})
    assert few.ok
    assert many.ok
    assert "largest" not in notes(few)  # each of the three was the largest once
    assert "of 40 places" in notes(many)


def test_what_was_seen_both_ways_is_not_told():
    relu = verify(lambda x: torch.relu(x).sum(), lambda x: (x > 0).to(x.dtype), at=XS)
    assert relu.verdict == "proved"
    assert not relu.notes
    absolute = verify("abs(x - 1000)", "sign(x - 1000)", wrt="x")
    assert absolute.verdict == "proved"
    assert not absolute.notes  # a proof holds on both sides


def test_a_comparison_that_only_sets_a_flag_is_told_as_it_came_out():
    """Both ways lead to the same steps; the report must not say that one of them was never taken."""

    def hand(x):
        far = 1 if x > 100 else 0
        return 2 * x if far < 2 else x

    report = verify(square, hand, at=X)
    assert report.verdict == "proved"
    assert "every point" not in notes(report)


def test_a_test_for_infinities_is_no_edge():
    """|x| is never equal to infinity: a formula beside such a test can be refuted."""

    def hand(x):
        assert torch.isfinite(x).all()
        return 3 * x

    assert verify(square, hand, at=X).verdict == "refuted"


@pytest.mark.parametrize("power", [1, 3, 5])
@pytest.mark.parametrize("threshold", ["0.25", "0.49", "0.4999", "0.51", "2"])
@pytest.mark.slow
def test_a_threshold_that_is_not_the_models_is_refuted(power, threshold):
    """Both comparisons come out both ways; wrong is what lies between the two edges, however thin it is."""
    model = f"where(x**{power} < 0.5, x**{power}, 0.5)"
    slope = f"{power}*x**{power - 1}"
    assert verify(model, f"where(x**{power} < {threshold}, {slope}, 0)").verdict == "refuted"
    assert verify(model, f"where(x**{power} < 0.5, {slope}, 0)").verdict == "proved"


def test_a_step_that_goes_too_far_is_taken_back():
    b = Builder()
    x = b.input("x", ())
    b.guard("gt", [b.integer_power(x, 3), b.number(2)], None, np.array(False))
    program = b.build({})
    start = Start(program, {"x": np.array(-1.2)}, ["x"], {})
    found = [float(p["x"]) for p in points_beyond(start, program.guards[0])]
    assert len(found) == 4
    assert all(0 < x**3 - 2 < 2 * 3.8 * 2.0**-k for x, k in zip(found, (2, 12, 24, 40), strict=True))


@pytest.mark.parametrize("edge", ["2*x**3", "x**3 + 0.001", "x**3/2", "x**3 - y/2"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_an_edge_that_is_not_the_models_is_refuted_from_whatever_side_it_is_reached(edge, seed):
    model = "where(y >= x**3, y, x**3)"
    assert verify(model, f"where(y >= {edge}, 0, 3*x**2)", wrt="x", seed=seed).verdict == "refuted"
    assert verify(model, "where(y >= x**3, 0, 3*x**2)", wrt="x", seed=seed).verdict == "proved"


# ------------------------------------------------------------------------------------------------ how often it is run


def test_code_that_decides_nothing_is_followed_once_and_then_run_as_it_is(monkeypatch):
    made = []
    before = functions.Tracer.__init__
    monkeypatch.setattr(
        functions.Tracer, "__init__", lambda *args, **options: made.append(1) or before(*args, **options)
    )
    assert verify(square, lambda x: 2 * x, at=X).verdict == "proved"
    assert len(made) == 3  # both sides, and x**2 in these surroundings


def test_code_that_gives_something_else_at_another_point_is_followed_there_too():
    kept = []

    def model(x):
        kept.append(1)
        return (x**2).sum() * (1 if len(kept) < 3 else 2)

    with pytest.raises(NotReproducible, match="another way each time"):
        verify(model, lambda x: 2 * x, at=X)
