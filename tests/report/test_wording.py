"""Numbers as a person reads them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symgrad import verify
from symgrad.report.wording import exactly, number, own_text, sentence, together, witness_text


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a factor of the chain rule is missing: x", "A factor of the chain rule is missing: x."),
        ("an input that is used twice receives both", "An input that is used twice receives both."),
        ("the exponent is off", "The exponent is off."),
        ("a is the value before tanh", "a is the value before tanh."),  # the user's variable
        ("grad is already multiplied in", "grad is already multiplied in."),
        ("w_h is cut off.", "w_h is cut off."),
    ],
)
def test_a_sentence_begins_with_a_capital_or_with_a_name(text, told):
    assert sentence(text, ["grad", "a"]) == told


def test_the_sentence_about_a_repair_begins_with_a_capital():
    def hand(w, x):
        dw = 1 - torch.tanh(w * x) ** 2
        return {"w": dw}

    report = verify(lambda w, x: torch.tanh(w * x), hand, at={"w": 0.5, "x": 3.0})
    assert report.repairs
    assert "A factor of the chain rule is missing" in str(report)
