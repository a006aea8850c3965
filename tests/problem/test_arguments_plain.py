"""Laws 10 and 11 of reading: points that are nobody's grid, and no raw exception out of a public function."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from trust.questions_of_doors import BOOKS, DOORS, JUNK, put
from trust.questions_of_floats import GRID

from symgrad import SymgradError, verify
from symgrad.problem.arguments import plain_names, plain_point
from symgrad.problem.sampling import Inputs, neighbours

OK = ("proved", "agrees")
ARGUMENTS = [(door, argument) for door, (_, _, arguments) in DOORS.items() for argument in arguments]


@seed(11)
@settings(max_examples=120, suppress_health_check=list(HealthCheck), database=None)
@given(st.sampled_from(ARGUMENTS), st.sampled_from(sorted(JUNK)))
@pytest.mark.slow
def test_junk_in_place_of_any_argument_is_answered_or_refused_in_words(where, what):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(SymgradError):
            put(*where, JUNK[what])


def test_symbols_are_names():
    x, y = sp.symbols("x y", real=True)
    assert plain_names([x, "z", sp.MatrixSymbol("M", 2, 2)]) == ["x", "z", "M"]
    assert plain_point({x: 0.5}) == {"x": 0.5}
    assert verify(x**2 * y, 2 * x * y, wrt=x, at={x: 0.5, y: 2.0}).verdict == "proved"
    assert verify(x**2 * y, 2 * x, wrt=x, at={x: 0.5, y: 2.0}).verdict == "refuted"


def test_numbers_in_any_form_are_numbers():
    at = {"x": np.array([0.5, -1.25], dtype=np.longdouble)}
    for hand in (
        torch.tensor([1.0, -2.5], dtype=torch.bfloat16),
        [1, -2.5],
        np.array([1.0, -2.5], dtype=np.longdouble),
    ):
        assert verify(lambda x: (x * x).sum(), hand, at=at).verdict == "agrees"


@pytest.mark.parametrize("row", BOOKS, ids=[r[0] for r in BOOKS])
def test_code_that_keeps_its_own_books_is_read(row):
    _, f, right, wrong, at = row
    assert verify(f, right, at=at).verdict in OK
    assert verify(f, wrong, at=at).verdict == "refuted"


@pytest.mark.parametrize("row", GRID, ids=[r[0] for r in GRID])
def test_what_vanishes_on_numbers_of_few_bits_is_seen(row):
    _, f, right, wrong = row
    assert verify(f, right, wrt="x").verdict in OK
    assert verify(f, wrong, wrt="x").verdict not in OK


def test_one_point_in_three_has_bits_all_the_way_down():
    inputs = Inputs({"x": np.array([0.75, 2.0])}, ("x",), frozenset(), {})
    fine = [bool(np.any(p["x"] * 2.0**40 % 1)) for p in neighbours(inputs, 9, 0, 53)]
    assert fine == [False, False, True] * 3
    single = [p["x"].astype(np.float32) == p["x"] for p in neighbours(inputs, 9, 0, 24)]
    assert np.all(single)


@pytest.mark.parametrize(("shape", "names"), [((30_000_000,), ("n",)), ((6000, 6000), ("n0", "n1"))])
def test_a_shape_that_would_take_minutes_is_an_error_that_says_what_to_ask_instead(shape, names):
    with pytest.raises(SymgradError, match="so many entries take minutes") as error:
        verify(lambda x: (x * x).sum(), lambda x: 2 * x, at={"x": shape})
    assert str(names) in str(error.value)
    assert verify(lambda x: (x * x).sum(), lambda x: 2 * x, at={"x": names}).verdict == "proved"
