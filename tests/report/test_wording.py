"""Numbers as a person reads them."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from symgrad.report.wording import exactly, number, own_text, together, witness_text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_exactly_gives_the_binary_value_back(x):
    assert float(exactly(x)) == x


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_numbers_that_differ_are_printed_with_the_digits_that_differ(a, b):
    first, second = together(a, b)
    assert (first != second) == (a != b or math.copysign(1, a) != math.copysign(1, b))


def test_a_scalar_of_any_kind_is_printed():
    point = {"x": np.array(0.5), "n": 3, "flag": True, "mode": "mean", "z": np.array(1 - 2j), "m": np.eye(2)}
    assert witness_text(point, {}) == "x = 0.5, n = 3, flag = True, mode = 'mean', z = 1 - 2i, m = [[1, 0], [0, 1]]"
    assert number(math.nan) == "not a number"
    assert number(-math.inf) == "-inf"


def test_a_point_may_hold_a_tensor_of_whole_numbers():
    """NumPy takes a tensor's ``size`` for a number, and it is a method."""
    point = {"w": np.array(2.0), "k": torch.tensor([0, 2])}
    assert witness_text(point, {}) == own_text(point) == "w = 2, k = [0, 2]"
    assert own_text({"k": torch.zeros(100, dtype=torch.int64)}) == ""
