r"""``f'(x) = ... = 0 \implies x = ...``: what is solved for is no claim that the derivative is zero everywhere.

The zeros are SymPy's, and of the estimators those of textbooks (Casella and Berger, Statistical Inference, 7.2).
"""

from __future__ import annotations

import pytest
import sympy as sp

from symgrad import Latex, verify

SQUARE = r"f(x) = x^2 - 4x + 5"
EXPONENTIAL = r"\ell(\lambda) = n\log\lambda - \lambda\sum_{i=1}^n x_i"
SLOPE = r"\ell'(\lambda) = \frac{n}{\lambda} - \sum_{i=1}^n x_i = 0 \implies "
SPREAD = r"S(\mu) = \sum_{i=1}^n (x_i-\mu)^2"


def test_a_zero_of_the_derivative_is_judged():
    x = sp.Symbol("x")
    (zero,) = sp.solve(sp.diff(x**2 - 4 * x + 5, x), x)
    right = verify(Latex(SQUARE), Latex(rf"f'(x) = 2x - 4 = 0 \Rightarrow x = {zero}"))
    assert right.verdict == "proved"
    assert right.notes[0] == "It is zero at x = 2: proved."
    wrong = verify(Latex(SQUARE), Latex(rf"f'(x) = 2x - 4 = 0 \Rightarrow x = {zero + 1}"))
    assert wrong.verdict == "refuted"
    assert wrong.notes[0] == "The derivative is right, and proved; it is asked whether it is zero at x = 3."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("formula", "right", "wrong"),
    [
        (
            r"E(\alpha) = a\alpha + b/\alpha",
            r"\frac{dE}{d\alpha} = a - \frac{b}{\alpha^2} = 0 \Rightarrow \alpha = \sqrt{b/a}",
            r"\frac{dE}{d\alpha} = a - \frac{b}{\alpha^2} = 0 \Rightarrow \alpha = \sqrt{a/b}",
        ),
        (
            EXPONENTIAL,
            rf"{SLOPE}\hat\lambda = \frac{{n}}{{\sum_{{i=1}}^n x_i}}",
            rf"{SLOPE}\hat\lambda = \frac1{{\sum_{{i=1}}^n x_i}}",
        ),
        (
            r"\ell(p) = k\log p + (n-k)\log(1-p)",
            r"\frac{d\ell}{dp} = \frac{k}{p} - \frac{n-k}{1-p} = 0 \quad\Rightarrow\quad \hat p = \frac{k}{n}",
            r"\frac{d\ell}{dp} = \frac{k}{p} - \frac{n-k}{1-p} = 0 \quad\Rightarrow\quad \hat p = \frac{n-k}{n}",
        ),
        (
            SPREAD,
            r"\frac{dS}{d\mu} = -2\sum_{i=1}^n (x_i-\mu) = 0 \\ \hat\mu = \frac1n\sum_{i=1}^n x_i",
            r"\frac{dS}{d\mu} = -2\sum_{i=1}^n (x_i-\mu) = 0 \\ \hat\mu = \frac2n\sum_{i=1}^n x_i",
        ),
    ],
)
def test_an_estimator_is_where_the_slope_of_the_likelihood_is_zero(formula, right, wrong):
    assert verify(Latex(rf"{formula} \\ {right}")).verdict == "proved"
    report = verify(Latex(rf"{formula} \\ {wrong}"))
    assert report.verdict == "refuted"
    assert report.notes[0].startswith("The derivative is right, and proved")


def test_a_hand_formula_that_ends_in_zero_and_is_no_equation_of_names_is_posed_as_ever():
    assert verify(Latex("y = x^2"), Latex(r"dy = 2x\,dx")).verdict == "proved"
    assert verify(Latex("f(x) = x^2 + c"), Latex(r"\frac{\partial f}{\partial x} = 2x + 0")).verdict == "proved"


def test_what_is_solved_and_not_said_is_told():
    report = verify(Latex(SQUARE), Latex("f'(x) = 2x - 4 = 0"))
    assert report.verdict == "proved"
    assert report.notes[0] == '"= 0" was read as what is solved for, and not judged.'
    assert verify(Latex(SQUARE), Latex("f'(x) = 2x - 5 = 0")).verdict == "refuted"


def test_the_second_derivative_may_follow():
    report = verify(Latex(r"f(x) = x^3 - 3x \\ f'(x) = 3x^2 - 3 = 0 \implies x = 1 \\ f''(x) = 6x"))
    assert report.verdict == "proved"
    assert verify(Latex(SQUARE), Latex(r"f'(x) = 2x - 4 = 0, \quad f''(x) = 3")).verdict == "refuted"


def test_a_row_of_its_own_that_is_zero_is_a_claim():
    wrong = r"\begin{aligned} f'(x) &= 2x - 4 \\ &= 0 \end{aligned}"
    report = verify(Latex(SQUARE), Latex(wrong))
    assert report.verdict == "refuted"


@pytest.mark.slow
def test_the_normal_equations_are_solved_by_least_squares():
    formula, slope = Latex(r"J(w) = \|Xw - y\|^2"), r"\nabla J(w) = 2X^\top(Xw-y) = 0 \implies w = "
    right = verify(formula, Latex(rf"{slope} (X^\top X)^{{-1}}X^\top y"))
    assert right.verdict == "proved"
    assert right.notes[0].endswith(": proved.")
    assert (
        verify(formula, Latex(rf"{slope} (X^\top X)^{{-1}}X^\top X y"), at={"X": (3, 3), "y": (3,)}).verdict
        == "refuted"
    )


@pytest.mark.parametrize(
    ("formula", "hand", "verdict"),
    [
        (r"\frac{d}{dx}\left[\arctan\frac{1-x}{1+x}\right]", r"-\frac{1}{1+x^2}", "proved"),
        (r"\frac{d}{dx} x^3", "3x^2", "proved"),
        (r"\frac{d}{dx} x^3", "6x", "proved"),  # the derivative of what was given
        (r"\frac{d}{dx} x^3", "3x", "refuted"),
    ],
)
def test_an_operator_and_what_it_gives(formula, hand, verdict):
    """The first is what a book's exercise says and its answer; only where that is wrong is it differentiated again."""
    assert verify(Latex(formula), Latex(hand)).verdict == verdict


def test_a_hand_formula_may_add_the_identity():
    """I is a name where nothing says otherwise, as of a current; beside a model that has none it is the identity."""
    ridge = Latex(r"f(w) = \|Xw - y\|^2 + \lambda\|w\|^2")
    at = {"X": (3, 2), "w": (2,), "y": (3,)}
    right, wrong = (rf"\nabla f(w) = 2(X^\top X {sign} \lambda I)w - 2X^\top y" for sign in "+-")
    assert verify(ridge, Latex(right), at=at).verdict == "proved"
    assert verify(ridge, Latex(wrong), at=at).verdict == "refuted"
    assert verify(Latex("P = I^2 R"), Latex(r"\frac{dP}{dI} = 2IR")).verdict == "proved"
