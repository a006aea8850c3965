r"""``a/b c`` and ``X'`` in both readings: an answer where they leave one, else a question that says what each comes to.

The truth is SymPy's derivative of either reading, written out by hand here; of least squares it is Greene's
(Econometric Analysis, 3.2).
"""

from __future__ import annotations

import pytest
import sympy as sp

from symgrad import Latex, verify
from symgrad.lifting.latex.token_reader import TwoReadings

pytestmark = pytest.mark.slow

x, a, b = sp.symbols("x a b", positive=True)
WHOLE, FIRST = sp.exp(-(x**2) / (2 * a)), sp.exp(-(x**2) * a / 2)

# formula, hand formula; and the readings of the formula, with what the hand formula claims
RIGHT = [
    (r"e^{-x^2/2a}", r"-\frac{x}{a} e^{-x^2/2a}", WHOLE, -x / a * WHOLE),
    (r"\sin(x/ab)", r"\cos(x/ab)/ab", sp.sin(x / (a * b)), sp.cos(x / (a * b)) / (a * b)),
    (r"1/2x", r"-1/2x^2", 1 / (2 * x), -1 / (2 * x**2)),
]


@pytest.mark.parametrize(("formula", "hand", "exact", "claimed"), RIGHT, ids=[r[0] for r in RIGHT])
def test_what_is_right_with_all_of_it_below_is_right_and_told(formula, hand, exact, claimed):
    assert sp.simplify(sp.diff(exact, x) - claimed) == 0
    report = verify(Latex(f"f(x) = {formula}"), Latex(f"f'(x) = {hand}"))
    assert report.verdict == "proved"
    assert "was read as the denominator" in report.notes[0]


def test_what_is_wrong_in_both_readings_is_wrong():
    for reading in (WHOLE, FIRST):
        wrong = x / a * reading
        assert sp.simplify(sp.diff(reading, x) - wrong) != 0
    report = verify(Latex(r"f(x) = e^{-x^2/2a}"), Latex(r"f'(x) = \frac{x}{a} e^{-x^2/2a}"))
    assert report.verdict == "refuted"
    assert "with a first factor alone there, it is wrong" in report.notes[0]


@pytest.mark.parametrize(
    ("formula", "hand", "where"),
    [
        (r"1/2 x^2", "x", "the first factor of 2 x^2, and not where it is 2 x^2"),
        (r"1/2x", r"\frac{1}{2}", "the first factor of 2x, and not where it is 2x"),
        (r"e^{-x^2/2a}", r"-x/a e^{-x^2/2a}", "2a and the first factor of a e^{-x^2/2a}, and not where"),
    ],
)
def test_what_is_right_in_the_other_reading_alone_is_asked_about(formula, hand, where):
    """A slip may make it right there: nobody but who wrote it can say which was meant."""
    with pytest.raises(TwoReadings, match="it is not clear what the denominator is") as caught:
        verify(Latex(f"f(x) = {formula}"), Latex(f"f'(x) = {hand}"))
    assert where in str(caught.value)
    assert r"\frac{a}{b} c" in str(caught.value)


def test_what_the_question_says_to_write_is_answered():
    half, x_squared = Latex(r"f(x) = \frac{1}{2} x^2"), Latex(r"f(x) = \frac{1}{2 x^2}")
    assert verify(half, Latex("f'(x) = x")).verdict == "proved"
    assert verify(x_squared, Latex("f'(x) = x")).verdict == "refuted"


def test_one_text_and_shapes_decide_too():
    assert verify(Latex(r"\frac{d}{dx} e^{x/2a} = \frac{1}{2a} e^{x/2a}")).verdict == "proved"
    only = verify(Latex(r"f(x) = b^\top x/2a"), Latex(r"\nabla_x f = b/2a"), at={"x": ("n",), "b": ("n",), "a": 2.0})
    assert only.verdict == "proved"
    shapes = {"x": (2,), "b": (2,), "A": (2, 2), "c": ()}
    found = verify(Latex(r"f(x) = b^\top A x/c"), Latex(r"\nabla_x f = 1/c A^\top b"), at={**shapes, "c": 2.0})
    assert found.verdict == "proved"
    assert "the first factor of c A^\\top b" in found.notes[0]


def test_many_slashes_are_asked_about():
    with pytest.raises(TwoReadings):
        verify(Latex("f(x) = x/2a + x/3a + x/4a + x/5a"), Latex(r"f'(x) = \frac{1}{a}"))


LEAST_SQUARES = {"X": ("n", "p"), "y": ("n",), "beta": ("p",)}
PRIMED = r"S(\beta) = (y - X\beta)'(y - X\beta)"


@pytest.mark.parametrize("hand", [r"-2X'y + 2X'X\beta", r"-2X'(y - X\beta)", r"-2X^\top y + 2X'X\beta"])
def test_a_prime_is_a_transpose_where_nothing_else_can_be_read(hand):
    report = verify(Latex(PRIMED), Latex(rf"\frac{{\partial S}}{{\partial\beta}} = {hand}"), at=LEAST_SQUARES)
    assert report.verdict == "proved"
    assert "A prime was read as a transpose" in report.notes[0]
    plain = verify(Latex(PRIMED.replace("'", r"^\top")), Latex(rf"\nabla_\beta S = {hand}"), at=LEAST_SQUARES)
    assert plain.verdict == "proved"


@pytest.mark.parametrize("hand", [r"-2X'y - 2X'X\beta", r"2X'(y - X\beta)"])
def test_what_is_wrong_of_arrays_that_were_given_is_wrong(hand):
    report = verify(Latex(PRIMED), Latex(rf"\frac{{\partial S}}{{\partial\beta}} = {hand}"), at=LEAST_SQUARES)
    assert report.verdict == "refuted"


def test_an_argument_with_a_prime_is_its_transpose():
    assert verify(Latex("f(x) = x'y"), Latex("f'(x) = y")).verdict == "proved"
    assert verify(Latex("f(x) = x'Ax"), Latex(r"\nabla f(x) = (A + A')x")).verdict == "proved"


@pytest.mark.parametrize(
    ("formula", "hand"),
    [
        (r"k(x, x') = e^{-(x-x')^2}", r"\frac{\partial k}{\partial x} = -2(x-x')e^{-(x-x')^2}"),
        ("f(x) = a'x^2", "f'(x) = 2a'x"),
        (r"g(x) = x^2 \\ f(x) = g(x)g'(x)", "f'(x) = 6x^2"),
    ],
)
def test_a_prime_of_a_name_and_of_a_function_is_none(formula, hand):
    report = verify(Latex(formula), Latex(hand))
    assert report.verdict == "proved"
    assert "transpose" not in " ".join(report.notes)


def test_what_is_wrong_with_a_transpose_and_may_be_about_numbers_is_asked_about():
    """s' is a name here, of which s's is a multiple: with a transpose its derivative would be 2s'."""
    with pytest.raises(TwoReadings, match="another name to others"):
        verify(Latex("f(s) = s's"), Latex("f'(s) = s'"))
