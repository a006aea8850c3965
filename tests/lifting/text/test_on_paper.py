"""Text as people type it who do not program: products without a sign, functions without parentheses, primes."""

import pytest

from symgrad import SymgradError, verify
from symgrad.lifting.text.on_paper import typeset

RIGHT = [  # as forum posts have them, checked by hand
    ("x^2 ln x", "2x ln x + x"),
    ("f(x) = x^2 * exp(-x)", "f'(x) = (2x - x^2) exp(-x)"),
    ("y = ln(x^2 + 1)", "dy/dx = 2x/(x^2+1)"),
    ("y = arctan(3x)", "y' = 3/(1+9x²)"),
    ("f(x) = sin^2(3x)", "f'(x) = 6 sin(3x) cos(3x)"),
    ("f(x) = x√(x+1)", "f'(x) = √(x+1) + x/(2√(x+1))"),
    ("V = 4/3 π r³", "dV/dr = 4πr²"),
    ("f(x, y) = x²y + xy²", "∂f/∂x = 2xy + y²"),
    ("λ(t) = exp(-k t)", "λ'(t) = -k exp(-k t)"),
    ("y = x^x\nln y = x ln x\ny'/y = ln x + 1", "y' = x^x (ln x + 1)"),
    ("y = 1e-2 x^2", "y' = 0.02 x"),
    ("Let u = x^2 + 1. \ny = u^3", "dy/dx = 6x u^2 (by the chain rule)"),
    ("y = x^3", "d²y/dx² = 6x"),
    ("p = 1/(1 + exp(-z))\nL = -(y*log(p) + (1 - y)*log(1 - p))", "dL/dz = p - y"),
    ("loss = (w*x + b - y)^2", "grad_w = 2*(w*x + b - y)*x"),
    ("0.5*x**2 if abs(x) <= 1 else abs(x) - 0.5", "x if abs(x) <= 1 else sign(x)"),
    ("u = x**2 + 1\ny = sqrt(u)", {"x": "x/sqrt(u)"}),
    ("y = x**3", "3*x**2"),
]


@pytest.mark.parametrize(("formula", "hand"), RIGHT, ids=[f for f, _ in RIGHT])
def test_a_formula_on_paper_is_read_as_a_reader_does(formula, hand):
    assert verify(formula, hand).verdict == "proved"
    wrong = (
        {n: f"2*({x})" for n, x in hand.items()} if isinstance(hand, dict) else hand.replace("(by the chain rule)", "")
    )
    if isinstance(wrong, str):
        *left, right = wrong.split("=")
        wrong = "=".join([*left, f" -({right.strip()})"]) if left != ["x if abs(x) <"] else "x if abs(x) <= 1 else x"
    assert verify(formula, wrong).verdict == "refuted"


ONE_TEXT = [
    "d/dx sin(x)/x = (x cos(x) - sin(x))/x^2",
    "y = (3x+1)^4\nu = 3x+1\ndy/du = 4u^3\ndu/dx = 3\ndy/dx = 12(3x+1)^3",
    "f(x,y) = x^2 y + sin(xy)\n∂f/∂x = 2xy + y cos(xy), ∂f/∂y = x^2 + x cos(xy)",
]


@pytest.mark.parametrize("text", ONE_TEXT)
def test_one_text_on_paper_is_a_whole_question(text):
    assert verify(text).verdict == "proved"


ASKED = {  # what has two readings, with what to write for either
    ("f = ax² + x", "df/dx = 2ax + 1"): ("ax is one name to some", "ax", "a*x"),
    ("y = x e^x", "y' = (1+x) e^x"): ("e is a number to some", "e^x", "exp(x)"),
    ("y = ln x / x", "y' = 0"): ("it is not clear where the argument of \\ln ends", "ln x / x", "ln(x / x)"),
    ("y = 2^3x", "y' = 8"): ("it is not clear where this exponent ends", "2^3x", "2^(3)x"),
}


@pytest.mark.parametrize(("sides", "expected"), ASKED.items(), ids=[e[1] for e in ASKED.values()])
def test_two_readings_are_asked_about_and_the_advice_is_answered(sides, expected):
    what, before, after = expected
    with pytest.raises(SymgradError) as error:
        verify(*sides)
    assert what in error.value.what
    assert verify(*(side.replace(before, after) for side in sides)).verdict == "proved"


def test_words_are_names_and_letters_that_are_known_are_factors():
    assert typeset("loss = rate*xy + x + y") == "\\mathrm{loss} = \\mathrm{rate}\\cdot x y + x + y"


def test_the_wrong_line_of_a_derivation_on_paper_is_shown_as_it_was_written():
    rows = (
        "f(t) = exp(-a t) sin(w t)\n"
        "f'(t) = -a exp(-a t) sin(w t) + w exp(-a t) cos(w t)\n"
        "= exp(-a t) (w cos(w t) {} a sin(w t))"
    )
    assert verify(rows.format("-")).verdict == "proved"
    (wrong,) = [s for s in verify(rows.format("+")).steps if s.verdict == "wrong"]
    assert wrong.source.line == 3
    assert wrong.source.text == "= exp(-a t) (w cos(w t) + a sin(w t))"


@pytest.mark.parametrize(
    ("formula", "right", "wrong"),
    [
        ("f(x) = (3x² − 1)/(x + 2)", "f′(x) = (3x² + 12x + 1)/(x + 2)²", "f′(x) = (3x² + 12x − 1)/(x + 2)²"),
        ("L = Σ_i [ y_i log(p_i) + p_i ]", "dL/dp_i = y_i/p_i + 1", "dL/dp_i = y_i/p_i"),
        ("A = 2πr² + 2πrh", "dA/dr = 4πr + 2πh", "dA/dr = 4πr + 2π"),
        ("S = ∑_{i=1}^n (x_i - m)^2", "dS/dm = -2 ∑_{i=1}^n (x_i - m)", "dS/dm = 2 ∑_{i=1}^n (x_i - m)"),
    ],
)
def test_signs_of_other_alphabets_are_what_they_are_on_paper(formula, right, wrong):
    assert verify(formula, right).verdict == "proved"
    assert verify(formula, wrong).verdict == "refuted"


def test_a_sum_over_an_index_is_none_of_a_matrix_that_has_one():
    assert typeset("L = sum_k x_k^2") == "L = \\sum_{k}  x_{k}^{2}"
    assert typeset("q = Σ_k * x") == "q = \\Sigma _{k} \\cdot  x"
