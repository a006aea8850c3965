r"""Slopes along curves, ``x^3 + y^3 = 6xy`` and ``x = t^2, y = t^3``.

The right slopes are those of SymPy (`idiff`, or of y as a function), and the wrong ones textbook slips (Stewart,
Calculus, 3.5 and 10.2).
"""

from __future__ import annotations

import pytest
import sympy as sp

from symgrad import Latex, verify
from symgrad.errors import BadInput
from symgrad.lifting.curve_slopes import curve_and_slopes

X, Y, A = sp.symbols("x y a", positive=True)
CIRCLE, FOLIUM, SINE = "x^2 + y^2 = 25", "x^3 + y^3 = 6xy", r"\sin(xy) = x + y"
EQUATIONS = {
    CIRCLE: X**2 + Y**2 - 25,
    FOLIUM: X**3 + Y**3 - 6 * X * Y,
    "x^{2/3} + y^{2/3} = a^{2/3}": X ** sp.Rational(2, 3) + Y ** sp.Rational(2, 3) - A ** sp.Rational(2, 3),
    "xy = 1": X * Y - 1,
    SINE: sp.sin(X * Y) - X - Y,
    "y = x e^{y}": Y - X * sp.exp(Y),
}


def test_the_slope_of_a_circle_is_proved_and_another_is_none():
    assert verify(Latex(CIRCLE), Latex(r"\frac{dy}{dx} = -\frac{x}{y}")).verdict == "proved"
    assert verify(Latex(CIRCLE), Latex(r"\frac{dy}{dx} = -\frac{y}{x}")).verdict == "refuted"


@pytest.mark.slow
@pytest.mark.parametrize("curve", EQUATIONS)
def test_the_slope_is_that_of_sympy(curve):
    slope = sp.idiff(EQUATIONS[curve], Y, X)
    right = verify(Latex(curve), Latex(rf"\frac{{dy}}{{dx}} = {sp.latex(slope)}"))
    assert right.verdict == "proved"
    assert verify(Latex(curve), Latex(rf"y' = {sp.latex(2 * slope)}")).verdict == "refuted"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("curve", "right", "wrong"),
    [
        (CIRCLE, r"y'' = -\frac{25}{y^3}", r"y'' = -\frac{5}{y^3}"),
        ("x^2 + y^2 = r^2", r"\frac{d^2y}{dx^2} = -\frac{r^2}{y^3}", r"\frac{d^2y}{dx^2} = -\frac{r}{y^3}"),
        ("xy = 1", r"\frac{dy}{dx} = -\frac{1}{x^2}", r"\frac{dy}{dx} = \frac{1}{x^2}"),
    ],
)
def test_what_is_equal_on_the_curve_alone_is_proved(curve, right, wrong):
    """On x^2 + y^2 = 25 is y'' = -(x^2 + y^2)/y^3 = -25/y^3, and nowhere else."""
    assert verify(Latex(curve), Latex(right)).verdict == "proved"
    assert verify(Latex(curve), Latex(wrong)).verdict == "refuted"


@pytest.mark.slow
def test_each_row_of_a_derivation_is_judged_by_what_it_says_of_the_slope():
    rows = [FOLIUM, r"3x^2 + 3y^2\frac{dy}{dx} = 6y + 6x\frac{dy}{dx}", r"\frac{dy}{dx} = \frac{2y - x^2}{y^2 - 2x}"]
    assert verify(Latex(r" \\ ".join(rows))).verdict == "proved"
    slipped = [rows[0], rows[1].replace("6y + ", ""), r"\frac{dy}{dx} = \frac{x^2}{2x - y^2}"]
    report = verify(Latex(r" \\ ".join(slipped)))
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("row 2",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("curve", "right", "wrong"),
    [
        (r"x = a(t - \sin t), \quad y = a(1 - \cos t)", r"\frac{\sin t}{1 - \cos t}", r"\frac{1 - \cos t}{\sin t}"),
        ("x = t^2, y = t^3", r"\frac{dy/dt}{dx/dt} = \frac{3t}{2}", r"\frac{dy/dt}{dx/dt} = \frac{3t^2}{2}"),
        (r"x = \sin y", r"\frac{1}{\cos y}", r"\cos y"),
    ],
)
def test_of_two_functions_of_a_number_the_slope_is_their_quotient(curve, right, wrong):
    assert verify(Latex(curve), Latex(rf"\frac{{dy}}{{dx}} = {right}")).verdict == "proved"
    assert verify(Latex(curve), Latex(rf"\frac{{dy}}{{dx}} = {wrong}")).verdict == "refuted"


@pytest.mark.slow
def test_the_second_derivative_along_two_functions_is_no_quotient_of_second_derivatives():
    curve = Latex("x = t^2, y = t^3")
    assert verify(curve, Latex(r"\frac{d^2y}{dx^2} = \frac{3}{4t}")).verdict == "proved"  # y''/x'' is 3 t
    assert verify(curve, Latex(r"\frac{d^2y}{dx^2} = 3t")).verdict == "refuted"


def test_what_the_curve_is_a_function_of_must_be_clear():
    with pytest.raises(BadInput, match=r"which number x and y are functions of"):
        verify(Latex("x = a b, y = a + b"), Latex(r"\frac{dy}{dx} = \frac{1}{b}"))
    named = verify(Latex("x(a) = a b, y(a) = a + b"), Latex(r"\frac{dy}{dx} = \frac{1}{b}"))
    assert named.verdict == "proved"


def test_what_a_row_says_of_the_slope_must_be_clear():
    with pytest.raises(BadInput, match=r"what this row says of dy/dx is not clear"):
        verify(Latex(CIRCLE), Latex(r"(y')^2 = \frac{x^2}{y^2}"))


@pytest.mark.parametrize("text", ["f(x) = x^2 \\\\ f'(x) = 2x", r"y = u^2, \quad u = 3x \\ \frac{dy}{dx} = 18x"])
def test_a_function_is_no_curve(text):
    assert curve_and_slopes(Latex(text)) is None
