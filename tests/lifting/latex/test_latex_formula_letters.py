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


ENERGIES = [  # what a text says E is, and what is asked of it: there E[...] is no mean
    (r"E(v) = \frac{1}{2} m v^2 \\ L = E[V + 1]", r"\frac{\partial L}{\partial V} = m (V + 1)", r"m V"),
    (r"f = E^2 + V", r"\frac{\partial f}{\partial E} = 2 E[V + 1] - 2EV", r"2 E[V + 1]"),
]


@pytest.mark.parametrize(("formula", "right", "wrong"), ENERGIES)
def test_a_letter_that_a_text_explains_is_no_mean(formula, right, wrong):
    assert verify(Latex(formula), Latex(right)).verdict == "proved"
    assert verify(Latex(formula), Latex(f"{right.split('=')[0]} = {wrong}")).verdict == "refuted"


@pytest.mark.parametrize("text", [
    r"E = X^2 \\ f = E[X + 1]", r"f = E[X + 1]^2 + E", r"f = \frac{E}{2} + E[X^2]",
    r"\mathbb{E} = kT \\ f = a \mathbb{E}[X]",
])  # fmt: skip
def test_of_a_letter_that_is_a_number_elsewhere_it_is_asked_whether_it_is_a_mean(text):
    with pytest.raises(SymgradError, match="expectation") as told:
        Latex(text).names  # noqa: B018
    assert "Write E \\cdot (...) for the product" in str(told.value)


@pytest.mark.parametrize("mean", [r"E[{}]", r"\mathbb{E}[{}]", r"\mathbb E[{}]", r"\operatorname{E}\left[{}\right]"])
def test_a_mean_beside_no_other_e_is_linear(mean):
    of = lambda inner: mean.replace("{}", inner)  # noqa: E731
    formula = Latex(rf"f(a) = {of('(X - a)^2')}")
    assert verify(formula, Latex(rf"f'(a) = 2a - 2{of('X')}")).verdict == "proved"
    assert verify(formula, Latex(rf"f'(a) = 2a + 2{of('X')}")).verdict == "refuted"
    assert verify(Latex(rf"f(V) = V^2 {of('X')}"), Latex(rf"f'(V) = 2V {of('X')}")).verdict == "proved"


READ = {  # what has one reading, though something is left out of it; and its value at 0.75 for each letter
    r"\sin^{-1} x": lambda x: mpmath.asin(x),
    r"\tanh^{-1}(x)": lambda x: mpmath.atanh(x),
    r"\sin kx": lambda x: mpmath.sin(x * x),
    r"\cos\omega t + \sin 2\pi f t": lambda x: mpmath.cos(x * x) + mpmath.sin(2 * mpmath.pi * x * x),
    r"\log 2\pi\sigma^2": lambda x: mpmath.log(2 * mpmath.pi * x**2),
    r"\frac{\sin \pi x}{\pi x}": lambda x: mpmath.sin(mpmath.pi * x) / (mpmath.pi * x),
    r"\Gamma'(x)": lambda x: mpmath.gamma(x) * mpmath.digamma(x),
    r"a.b": lambda x: x * x,
}


@pytest.mark.parametrize("text", READ)
def test_what_has_one_reading_is_read(text):
    formula = Latex(text)
    (value,) = formula.run(dict.fromkeys(formula.names, 0.75)).values.values()
    assert float(value) == pytest.approx(float(READ[text](mpmath.mpf("0.75"))), rel=1e-12)


@pytest.mark.parametrize("text", [r"\cos\theta x", r"\ln x y", r"\sin x^2 y", r"\sin kx e^{y}", r"\log^{-1} x"])
def test_where_an_argument_ends_is_asked_where_it_may_end_in_two_places(text):
    with pytest.raises(SymgradError, match=r"not clear where|to some"):
        Latex(text).names  # noqa: B018


LOGISTIC = r"N(t) = \frac{K}{1 + a e^{-rt}}"


def test_a_function_that_stands_bare_in_its_own_argument_is_a_factor():
    assert verify(Latex(LOGISTIC), Latex(r"\frac{dN}{dt} = rN\left(1 - \frac{N}{K}\right)")).verdict == "proved"
    assert verify(Latex(LOGISTIC), Latex(r"\frac{dN}{dt} = rN\left(1 + \frac{N}{K}\right)")).verdict == "refuted"
    with pytest.raises(SymgradError, match="is a call of"):
        verify(Latex(LOGISTIC), Latex(r"\frac{dN}{dt} = r N(2t) + N"))


def test_pi_beside_weights_pi_is_the_number_after_a_number():
    formula = Latex(r"\ell = \log\sum_k \pi_k e^{-x_k^2} - \frac12\log 2\pi")
    right = r"\frac{\partial \ell}{\partial \pi_k} = \frac{e^{-x_k^2}}{\sum_j \pi_j e^{-x_j^2}}"
    assert verify(formula, Latex(right), at={"pi": (3,), "x": (3,)}).verdict == "proved"


def test_a_name_with_a_subscript_that_the_caller_gives_is_no_entry():
    formula = Latex(r"y = w_0 + \sum_{i=1}^{n} w_i x_i + \sum_{i=1}^{n}\sum_{j=i+1}^{n} x_i x_j")
    at = {"w_0": 0.5, "w": (3,), "x": (3,)}
    slope = r"\frac{\partial y}{\partial x_i} = w_i + \sum_{j=1}^n x_j - x_i"
    assert verify(formula, Latex(slope), at=at).verdict == "proved"
    assert verify(formula, Latex(slope.replace("- x_i", "")), at=at).verdict == "refuted"
