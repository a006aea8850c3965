"""What shapes letters have that nobody gave one: by the way people write, and a question where two ways are left."""

from __future__ import annotations

import re

import pytest

from symgrad import Latex, lift, verify
from symgrad.errors import BadInput

# what is written -> how many axes each letter has that is no number
READ = {
    r"f(x) = x^\top A x": {"A": 2, "x": 1},
    r"f(x) = \|Ax - b\|^2": {"A": 2, "x": 1, "b": 1},
    r"\operatorname{tr}(A X B)": {"A": 2, "X": 2, "B": 2},
    r"\log\det\Sigma": {"Sigma": 2},
    r"f(w) = \frac{1}{2m}\|Xw - y\|^2 + \lambda\|w\|^2": {"X": 2, "w": 1, "y": 1},
    r"\ell = -\frac{N}{2}\log\det S - \frac12 (x-\mu)^\top S^{-1}(x-\mu)": {"S": 2, "x": 1, "mu": 1},
    r"S(\beta) = (Y - X\beta)^\top(Y - X\beta)": {"Y": 1, "X": 2, "beta": 1},
    r"\mathbf{y} = \mathbf{A}\mathbf{x} + \mathbf{b}": {"A": 2, "x": 1, "b": 1},
    r"f(\vec{x}) = 1/\|\vec{x}\|": {"x": 1},
    r"L = \log(1 + e^{-y w^\top x})": {"w": 1, "x": 1},
    r"L = \frac12\|\sigma(Wx + b) - t\|^2": {"W": 2, "x": 1, "b": 1, "t": 1},
    r"E = \sum_{i=1}^n (y_i - w^\top x_i)^2": {"y": 1, "w": 1, "x": 2},
    r"\hat y = \operatorname{softmax}(Wx + b)": {"W": 2, "x": 1, "b": 1},
    r"f(x) = \mathbf{1}^\top \log(x)": {"x": 1},
    r"f = a^\top x + b": {"a": 1, "x": 1},
    r"u = (w^\top x)^T y": {"w": 1, "x": 1},
    r"J = \frac{1}{n}\sum_{i=1}^n \lambda_i \|x_i\|^2": {"lambda": 1, "x": 2},
    r"f(x) = x^3 + b": {},
}


@pytest.mark.parametrize("text", READ)
def test_letters_have_the_axes_that_a_reader_gives_them(text):
    try:
        found = Latex(text).unstated({})
    except BadInput:
        found = {}
    assert {n: len(shape) for n, shape in found.items()} == READ[text]


def test_lengths_that_must_be_the_same_have_one_name():
    found = Latex(r"f = \|A x - b\|^2 + x^\top x").unstated({})
    assert found["A"] == (*found["b"], *found["x"])
    assert found["b"] != found["x"]


def test_shapes_that_are_given_are_kept_and_the_others_follow():
    assert Latex(r"f = \|A x - b\|^2").unstated({"A": (4, "k")}) == {"b": (4,), "x": ("k",)}


TWO_READINGS = (r"f(x) = \|a x - b\|^2", r"f = x^\top x + c \cdot d", r"f = \|A x\|_F^2", r"y = A^\top x")


@pytest.mark.parametrize("text", TWO_READINGS)
def test_two_readings_are_a_question_which_its_message_answers(text):
    with pytest.raises(BadInput, match="is not said, and the formula can be read in") as asked:
        verify(Latex(text), Latex("0"), wrt="x")
    given = eval(re.search(r"at=(\{.*\})", str(asked.value))[1], {})
    assert lift(Latex(text), at=given).outputs


def test_what_fits_no_reading_is_said_to_fit_none():
    with pytest.raises(BadInput, match="no shape is given for") as error:
        verify(Latex(r"f = \det(\mathbf{x})"), Latex("0"), wrt="x")
    assert 'Say which shapes they have: at={"x": ("n",)}' in str(error.value)


def test_the_reading_table_says_what_was_taken():
    report = verify(Latex(r"f(w) = \|X w - y\|^2"), Latex(r"\nabla f = 2 X^\top (X w - y)"))
    assert report.verdict == "proved"
    told = {row.shown: row.what for row in report.reading}
    assert told["X"] == "an input, a matrix, n by m"
    assert told["y"] == "an input, a vector of n entries"
