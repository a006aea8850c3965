"""SymPy as its owners write it: right ones proved, wrong ones refuted, and errors in words for what has no value."""

import pytest
import sympy as sp
from sympy import (
    Abs,
    CRootOf,
    Derivative,
    Eq,
    Function,
    Integral,
    Lambda,
    Matrix,
    Product,
    Rational,
    Subs,
    Sum,
    binomial,
    cos,
    digamma,
    exp,
    factorial,
    hankel1,
    hessian,
    idiff,
    log,
    loggamma,
    oo,
    sin,
    sqrt,
    symbols,
)

from symgrad import compare, gradient, verify
from symgrad.errors import SymgradError
from symgrad.lifting.sympy_forms import Sides, plain_sides

x, y, t, a, k, n = symbols("x y t a k n")
f, g = Function("f"), Function("g")
w, X, m = sp.IndexedBase("w"), sp.IndexedBase("x"), symbols("m", integer=True, positive=True)
VALUES = Matrix([x * y, sin(x)])
NO_CLOSED = Integral(exp(sin(t)), (t, 0, x))  # SymPy finds no value for it
ROOT = CRootOf(x**5 - x - 1, 0)

RIGHT = {
    "a symbol for wrt": ((x**2 * y, 2 * x * y), {"wrt": x}),
    "symbols in at": ((x**2 * y, 2 * x * y), {"wrt": x, "at": {x: 2, y: Rational(1, 2)}}),
    "a list": ((x**2 * y, [2 * x * y, x**2]), {}),
    "a column": ((x**2 * y, Matrix([2 * x * y, x**2])), {"wrt": [x, y]}),
    "a row, in another order": ((x**2 * y, Matrix([[x**2, 2 * x * y]])), {"wrt": (y, x)}),
    "a Jacobian": ((VALUES, VALUES.jacobian([x, y])), {"wrt": [x, y]}),
    "a Jacobian of one value": ((Matrix([x * y**2]), Matrix([[y**2, 2 * x * y]])), {}),
    "a Hessian": ((x**3 * y**2, hessian(x**3 * y**2, (x, y))), {"order": 2}),
    "an equation": ((Eq(Derivative(x**3, x), 3 * x**2),), {}),
    "a mixed derivative": ((Eq(Derivative(x**3 * y, x, y), 3 * x**2),), {}),
    "two equations": ((Eq(y, sin(x) ** 2), Eq(Derivative(y, x), 2 * sin(x) * cos(x))), {}),
    "an equation for each input": ((x * y, [Eq(Derivative(f(x, y), x), y), Eq(Derivative(f(x, y), y), x)]), {}),
    "implicit, two branches": ((Eq(x**2 + y**2, 1), Eq(Derivative(y, x), idiff(x**2 + y**2 - 1, y, x))), {}),
    "implicit, one branch": ((Eq(x * exp(y), 1), -1 / x), {"wrt": x}),
    "lambdas": ((Lambda(x, x * exp(x)), Lambda(x, (x + 1) * exp(x))), {}),
    "a derivative that is written down": ((x * exp(x), Derivative(x * exp(x), x)), {}),
    "a substitution": ((Subs(sin(t) * x, t, x), sin(x) + x * cos(x)), {"wrt": x}),
    "the fundamental theorem": ((NO_CLOSED, exp(sin(x))), {}),
    "... its second derivative": ((NO_CLOSED, Eq(Derivative(y, x, x), exp(sin(x)) * cos(x))), {}),
    "... for the lower limit": ((Integral(t**2, (t, a, x)), -(a**2)), {"wrt": a}),
    "... with its value on both sides": ((x * NO_CLOSED, NO_CLOSED + x * exp(sin(x))), {"wrt": x}),
    "Leibniz's rule": (
        (Integral(sin(x * t) / t, (t, 1, x)), Integral(cos(x * t), (t, 1, x)) + sin(x**2) / x),
        {"wrt": x},
    ),
    "an improper integral": ((Integral(exp(-x * t), (t, 0, oo)), -1 / x**2), {"wrt": x}),
    "a function of which nothing is known": ((x * f(x), f(x) + x * f(x).diff(x)), {}),
    "... the quotient rule": ((f(x) / g(x), (f(x).diff(x) * g(x) - f(x) * g(x).diff(x)) / g(x) ** 2), {"wrt": x}),
    "... the chain rule": ((f(x**2), 2 * x * Subs(f(t).diff(t), t, x**2)), {"wrt": x}),
    "... below an integral": ((Integral(f(t), (t, 0, x)), f(x)), {"wrt": x}),
    "... of two numbers": ((f(x, y), f(x, y).diff(y)), {"wrt": y}),
    "a series": ((Sum(x**k / factorial(k), (k, 0, oo)), exp(x)), {"wrt": x}),
    "a series with a radius": ((Sum(x**k, (k, 0, oo)), 1 / (1 - x) ** 2), {"wrt": x}),
    "a sum to a letter": ((Sum(k * x, (k, 1, n)), n * (n + 1) / 2), {"wrt": x}),
    "a product": ((Product(x + k, (k, 1, 3)), Derivative(Product(x + k, (k, 1, 3)), x)), {"wrt": x}),
    "a binomial": ((binomial(n, 2), n - Rational(1, 2)), {"wrt": n}),
    "a binomial of symbols": ((binomial(n, k), binomial(n, k) * (digamma(n + 1) - digamma(n - k + 1))), {"wrt": n}),
    "Hankel's function": ((hankel1(0, x), -hankel1(1, x)), {"wrt": x}),
    "a root of a polynomial": ((ROOT * y**2, 2 * ROOT * y), {"wrt": y}),
    "the logarithm of gamma": ((loggamma(x), digamma(x)), {}),
    "no real value": ((sqrt(-(x**2) - 1), -x / sqrt(-(x**2) - 1)), {"wrt": x}),
    "an entry": ((Sum(w[k] * X[k], (k, 0, m - 1)), {w[k]: X[k]}), {}),
}

WRONG = {
    "a column": ((x**2 * y, Matrix([2 * x * y, x])), {"wrt": [x, y]}),
    "the transpose of a Jacobian": ((VALUES, VALUES.jacobian([x, y]).T), {"wrt": [x, y]}),
    "a Hessian of another function": ((x**3 * y**2, hessian(x**3 * y, (x, y))), {"order": 2}),
    "a Hessian in one entry": ((x**2 * y**2, Matrix([[2 * y**2, 4 * x], [4 * x * y, 2 * x**2]])), {"order": 2}),
    "an equation": ((Eq(Derivative(x**3, x), 3 * x),), {}),
    "two equations": ((Eq(y, sin(x) ** 2), Eq(Derivative(y, x), 2 * sin(x))), {}),
    "implicit": ((Eq(x**2 + y**2, 1), Eq(Derivative(y, x), x / y)), {}),
    "lambdas": ((Lambda(x, x * exp(x)), Lambda(x, x * exp(x))), {}),
    "a derivative that is written down": ((x * exp(x), Derivative(exp(x), x)), {}),
    "a substitution": ((Subs(sin(t) * x, t, x), sin(x)), {"wrt": x}),
    "the fundamental theorem": ((NO_CLOSED, exp(sin(x)) * cos(x)), {}),
    "... without the slope of the limit": ((Integral(exp(sin(t)), (t, 0, x**2)), exp(sin(x**2))), {"wrt": x}),
    "... for the lower limit": ((Integral(t**2, (t, x, a)), x**2), {"wrt": x}),
    "an improper integral": ((Integral(exp(-x * t), (t, 0, oo)), 1 / x**2), {"wrt": x}),
    "a function of which nothing is known": ((x * f(x), f(x) * f(x).diff(x)), {"wrt": x}),
    "... the quotient rule": ((f(x) / g(x), f(x).diff(x) / g(x).diff(x)), {"wrt": x}),
    "... the chain rule": ((f(g(x)), f(x).diff(x) * g(x).diff(x)), {"wrt": x}),
    "... for the other number": ((f(x, y), f(x, y).diff(x)), {"wrt": y}),
    "a series": ((Sum(x**k / factorial(k), (k, 0, oo)), exp(x) + 1), {"wrt": x}),
    "a series with a radius": ((Sum(x**k, (k, 0, oo)), 1 / (1 - x)), {"wrt": x}),
    "a binomial": ((binomial(n, 2), n), {"wrt": n}),
    "Hankel's function": ((hankel1(0, x), hankel1(1, x)), {"wrt": x}),
    "a root of a polynomial": ((ROOT * y**2, ROOT * y), {"wrt": y}),
    "no real value": ((sqrt(-(x**2) - 1), x / sqrt(-(x**2) - 1)), {"wrt": x}),
    "an entry": ((Sum(w[k] * X[k], (k, 0, m - 1)), {w[k]: w[k]}), {}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_proved(name):
    arguments, options = RIGHT[name]
    assert verify(*arguments, **options).verdict == "proved"


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refuted(name):
    arguments, options = WRONG[name]
    assert verify(*arguments, **options).verdict == "refuted"


REFUSED = {
    "an integral of which the value is needed": (NO_CLOSED**2, exp(sin(x))),
    "the transpose of a Jacobian that fits no other way": (
        Matrix([x * y, x, y]),
        Matrix([x * y, x, y]).jacobian([x, y]).T,
    ),
    "an equation that SymPy cannot solve": (Eq(y + exp(y) * sin(y), x), Eq(Derivative(y, x), 1 / (1 + exp(y)))),
    "an equation of which nothing is differentiated": (Eq(x, y), None),
    "an equation about a name": (Eq(Derivative(f(x), x), 2 * x), None),
    "a function with one argument and two": (f(x) + f(x, y), f(x).diff(x)),
    "a relation": (x > 1, x),
    "a set": (sp.S.EmptySet, x),
    "a limit": (sp.Limit(sin(t) / t, t, x), cos(x)),
    "a jump's derivative": (sp.DiracDelta(x), x),
    "nothing": (sp.nan, x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_value_is_an_error_in_words(name):
    with pytest.raises(SymgradError) as caught:
        verify(*REFUSED[name])
    assert len(str(caught.value)) > 20


def test_the_report_says_what_sums_and_integrals_and_functions_were_taken_for():
    series = verify(Sum(x**k, (k, 0, oo)), 1 / (1 - x) ** 2, wrt=x)
    assert any("its value by SymPy" in note for note in series.notes)
    assert any("Abs(x) < 1" in told for told in series.assumptions)
    unknown = verify(x * f(x), f(x) + x * f(x).diff(x))
    assert any("f(x) is any function" in note for note in unknown.notes)


def test_outside_of_a_series_radius_nothing_is_claimed():
    with pytest.raises(SymgradError):
        verify(Sum(x**k, (k, 0, oo)), 1 / (1 - x) ** 2, wrt=x, at={x: 3.0})


def test_a_polynomial_takes_the_place_of_a_function_with_enough_freedom():
    """Two places and one slope at each: four numbers, and a polynomial of the third degree takes any of them."""
    sides = plain_sides(Sides(f(x) * f(2 * x), f(x).diff(x), x))
    free = [s for s in sides.formula.free_symbols if s.name.startswith("f_")]
    assert len(free) >= 4


def test_values_are_compared_and_gradients_taken_of_what_is_written_down():
    assert compare(Integral(t**2, (t, 0, x)), x**3 / 3).kind == "proved"
    assert compare(Derivative(x**3, x), 3 * x).kind == "refuted"
    assert set(gradient(Subs(sin(t) * x, t, x))) == {"x"}


def test_a_value_of_sympy_that_its_numbers_contradict_is_refused(monkeypatch):
    monkeypatch.setattr(sp.Integral, "doit", lambda self, **hints: log(x))
    with pytest.raises(SymgradError, match="its numbers differ"):
        verify(Integral(Abs(t), (t, 0, x)) ** 2, x, wrt=x)


def test_a_sum_of_n_terms_is_judged_term_by_term_where_it_has_no_closed_form():
    i = symbols("i", integer=True, positive=True)
    series, slope = Sum(exp(-i * x) / i, (i, 1, m)), -Sum(exp(-i * x), (i, 1, m))
    assert verify(series, slope, wrt=x).verdict == "proved"
    report = verify(series, -slope, wrt=x)
    assert report.verdict == "refuted"
    assert any("m = 1, the smallest number of terms that shows" in note for note in report.notes)
    bond = Sum(1 / (1 + x) ** i, (i, 1, m))
    assert verify(bond, -Sum(i / (1 + x) ** (i + 1), (i, 1, m)), wrt=x).verdict == "proved"
    assert verify(bond, -Sum(i / (1 + x) ** i, (i, 1, m)), wrt=x).verdict == "refuted"


@pytest.mark.slow
def test_a_derivative_taken_at_a_place_is_that_of_the_function_there():
    """``f(x).diff(x).subs(x, g(x))`` is f' at g(x) to SymPy, though it writes a derivative for g(x)."""
    outer = f(x).diff(x).subs(x, g(x))
    assert verify(f(g(x)), outer * g(x).diff(x), wrt=x).verdict == "proved"
    assert verify(f(g(x)), outer, wrt=x).verdict == "refuted"
