"""Points of a domain, as Hypothesis draws them: every one of them is in it."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad import SymgradError, points_in

QUICK = settings(max_examples=50, deadline=None, database=None)
FEW = settings(QUICK, max_examples=8)  # conditions are looked at one point after another


@QUICK
@given(points_in({"x": (2, 3), "s": (), "n": 4}, domain={"x": (-1, 2), "s": (0, None)}))
def test_bounds_are_open_and_what_is_given_stays(point):
    assert point["x"].shape == (2, 3)
    assert ((point["x"] > -1) & (point["x"] < 2)).all()
    assert point["s"] > 0
    assert point["n"] == 4


@FEW
@given(points_in({"a": (), "b": (), "c": ()}, domain="a**2 + b**2 < c**2"))
def test_a_condition_between_inputs(point):
    assert point["a"] ** 2 + point["b"] ** 2 < point["c"] ** 2


@QUICK
@given(points_in({"A": (3, 3), "Y": (2, 4)}, assuming=("A = A.T", "sum(Y, 1) = 1", "Y > 0")))
def test_constraints_hold_exactly(point):
    assert (point["A"] == point["A"].T).all()
    assert (point["Y"].sum(1) == 1).all()
    assert (point["Y"] > 0).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_are_of_the_dtype(dtype):
    @QUICK
    @given(points_in({"x": (5,)}, domain={"x": (0.1, 0.3)}, dtype=dtype))
    def numbers(point):
        assert point["x"].dtype == dtype
        assert ((point["x"].astype(np.float64) > 0.1) & (point["x"].astype(np.float64) < 0.3)).all()

    numbers()


@QUICK
@given(st.data(), st.floats(-1e6, 1e6))
def test_a_bound_beyond_the_largest_size_is_one(data, low):
    point = data.draw(points_in({"x": ()}, domain={"x": (low, None)}, largest=1.0))
    assert point["x"] > low


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": {"z": (0, 1)}}, "domain has 'z', but at has x."),
        ({"domain": "x**2 > 1e30"}, "no point was found at which all conditions hold."),
        ({"dtype": "int8"}, "dtype is 'int8'.\nPass 'float16', 'float32', 'float64'."),
        ({"domain": {"x": (1, 1 + 1e-5)}, "dtype": "float16"}, "no number of float16 is between the bounds of x"),
    ],
)
def test_a_domain_that_is_none(options, message):
    with pytest.raises(SymgradError) as error:
        points_in({"x": ()}, **options)
    assert message in str(error.value)


def test_without_hypothesis_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(SymgradError, match="points_in needs Hypothesis, which is not installed"):
        points_in({"x": ()})


@FEW
@given(points_in({"x": (), "y": ()}, domain="0.4 < x*y < 0.5"))
def test_a_narrow_domain_is_reached(point):
    assert 0.4 < point["x"] * point["y"] < 0.5
