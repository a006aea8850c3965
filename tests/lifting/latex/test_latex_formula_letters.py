"""Letters that are functions in books: which they are, and what is asked where they may be something else."""

from __future__ import annotations

import mpmath
import pytest

from symgrad import Latex, verify
from symgrad.errors import SymgradError

# a formula, and what it is at 0.75 by mpmath
VALUES = {
    r"\Phi(x)": lambda x: mpmath.ncdf(x),
    r"\Phi(x) + \phi(x)": lambda x: mpmath.ncdf(x) + mpmath.npdf(x),
    r"\Phi'(x)": lambda x: mpmath.npdf(x),
    r"J_0(x)": lambda x: mpmath.besselj(0, x),
    r"J_1(2x)": lambda x: mpmath.besselj(1, 2 * x),
    r"\ln\Gamma(x) - \psi(x)": lambda x: mpmath.loggamma(x) - mpmath.digamma(x),
    r"\psi_1(x)": lambda x: mpmath.polygamma(1, x),
}


@pytest.mark.parametrize("text", VALUES)
def test_a_letter_is_the_function_that_it_is_in_books(text):
    (value,) = Latex(text).run({"x": 0.75}).values.values()
    assert float(value) == pytest.approx(
        float(VALUES[text](mpmath.mpf("0.75"))), rel=1e-9
    )  # torch.polygamma errs by 4e-10


def test_the_normal_distribution_of_a_row_is_a_call():
    rows = r"d_1 = \frac{\ln(S/K) + v^2/2}{v} \\ d_2 = d_1 - v \\ C = S N(d_1) - K N(d_2)"
    assert verify(Latex(rows), Latex(r"\frac{\partial C}{\partial S} = N(d_1)")).verdict == "proved"
    assert verify(Latex(rows), Latex(r"\frac{\partial C}{\partial S} = N(d_2)")).verdict == "refuted"


def test_a_row_says_what_a_letter_is_before_a_book_does():
    text = r"\Phi(x) = x^2 \\ f(x) = \Phi(x) + 1 \\ f'(x) = 2x"
    assert verify(Latex(text)).verdict == "proved"


@pytest.mark.parametrize("text", [r"\psi(x)", r"\phi(x)", r"N(x)", r"J_0(x + 1)", r"J(x)", r"g(x)"])
def test_what_may_be_something_else_is_asked_about(text):
    with pytest.raises(SymgradError, match=r"(?s)reads as|to some.*(Write|write)"):
        Latex(text).names  # noqa: B018
