"""Where a formula is judged: thin, bounded, scaled and empty domains, stated ones, and what SymPy's symbols declare.

The right derivative is SymPy's; a wrong one is twice that, and must be refuted at a point that Fractions place inside
the domain.
"""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp

from symgrad import verify
from symgrad.errors import AmbiguousBranch, BadInput, NoPoint, UnknownName
from symgrad.lifting.tracing.functions import Function
from symgrad.problem.definedness import origins, read_domain

x, y = sp.symbols("x y", real=True)

THIN = [
    ("sqrt(x - 1000)*sqrt(1001 - x)", lambda x: 1000 < x < 1001),
    ("sqrt(1e-6 - (x - 12345)**2)", lambda x: abs(x - 12345) < 1e-3),
    ("sqrt(1e-8 - x)*sqrt(x)", lambda x: 0 < x < 1e-8),
    ("acosh(x)*sqrt(1.001 - x)", lambda x: 1 < x < 1.001),
    ("sqrt(x - 1e6)*sqrt(1e6 + 1e-3 - x)", lambda x: 1e6 < x < 1e6 + 1e-3),
    ("log(100 - x)*log(x - 99.999)", lambda x: 99.999 < x < 100),
    ("asin(x - 1e5)", lambda x: abs(x - 1e5) < 1),
    ("log(x - 1e9)", lambda x: x > 1e9),
    ("log(sin(x) - 0.9999)", lambda x: sp.sin(x) > 0.9999),
]


@pytest.mark.parametrize(("formula", "inside"), THIN, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.slow
def test_a_thin_domain_is_found(formula, inside):
    f = sp.sympify(formula, locals={"x": x})
    assert verify(f, f.diff(x), wrt="x").ok
    wrong = verify(f, 2 * f.diff(x), wrt="x")
    assert wrong.verdict == "refuted"
    assert inside(float(wrong.claims["x"].verdict.witness.point["x"]))


def test_a_thin_strip_of_two_inputs_is_found():
    f = sp.sqrt(x * y - 10**4) * sp.sqrt(10**4 + sp.Rational(1, 10) - x * y)
    assert verify(f, f.diff(x), wrt="x").ok
    assert verify(f, 2 * f.diff(x), wrt="x").verdict == "refuted"


@pytest.mark.parametrize(
    "formula",
    ["sqrt(x - 1)*sqrt(-x)", "log(-1 - x**2)", "sqrt(x - 5)*log(4 - x)", "asin(2 + x**2)", "sqrt(-exp(x) - 1)"],
)
def test_an_empty_domain_is_proved_empty(formula):
    with pytest.raises(NoPoint, match="has a real value nowhere"):
        verify(formula, "0", wrt="x")


@pytest.mark.parametrize("formula", ["log(sin(x) - 2)", "sqrt(x - 3)"])
def test_what_is_not_proved_empty_is_not_said_to_be(formula):
    try:
        verify(formula, "0*x", wrt="x")
    except NoPoint as error:
        assert "nowhere" not in error.what  # noqa: PT017


# ------------------------------------------------------------------------------------------------ stated domains


def test_a_domain_is_read():
    assert read_domain({"x": (0, None)}) == ({"x": (0, None)}, ())
    bounds, relations = read_domain("0 < x < 1 and y >= x**2")
    assert bounds == {"x": (0.0, 1.0)}
    assert [str(r) for r in relations] == ["y >= x**2"]
    bounds, relations = read_domain(sp.And(x > 2, sp.Lt(x, y)))
    assert bounds == {"x": (2.0, None)}
    assert [str(r) for r in relations] == ["x < y"]


@pytest.mark.parametrize("domain", ["x", "x = 1", 3])
def test_what_is_no_domain_is_refused(domain):
    with pytest.raises(BadInput, match="domain is"):
        verify("x**2", "2*x", wrt="x", domain=domain)


def test_a_name_in_a_domain_is_known():
    with pytest.raises(UnknownName, match="domain has 'z'"):
        verify("x**2", "2*x", wrt="x", domain="z > x")


def test_a_formula_that_is_right_on_one_side_only():
    """d log|e^s - e^x| / dx = -e^x / (e^s - e^x); the hand formula has |e^s - e^x| below the line."""
    f, hand = "log(abs(exp(s) - exp(x)))", "-exp(x - log(abs(exp(s) - exp(x))))"
    assert verify(f, hand, wrt="x").verdict == "refuted"
    assert verify(f, hand, wrt="x", domain="x < s").ok
    witness = verify(f, hand, wrt="x", domain="x > s").claims["x"].verdict.witness
    assert witness.point["x"] > witness.point["s"]


@pytest.mark.parametrize(("domain", "verdict"), [("x > 0", "proved"), ("x < 0", "refuted"), (None, "refuted")])
def test_a_stated_domain_decides_signs(domain, verdict):
    assert verify("sqrt(x**2)", "1", wrt="x", domain=domain).verdict == verdict


def test_what_symbols_declare_counts():
    p, n = sp.Symbol("p", positive=True), sp.Symbol("n", integer=True)
    assert verify(sp.Abs(x) + p, sp.sign(x), wrt="x").ok
    assert verify(sp.sqrt(p * p), sp.Integer(1), wrt="p").verdict == "proved"
    report = verify(x**n, n * x ** (n - 1), wrt="x")
    assert report.ok
    assert "n is a whole number" in report.assumptions
    odd = verify(sp.sin(n * sp.pi) + x, 1 + sp.sin(n * sp.pi), wrt="x")  # zero for whole n only
    assert odd.ok


# ------------------------------------------------------------------------------------------------ complex readings


def test_a_formula_with_a_right_complex_value_is_not_refuted():
    """exp(log(x)) has no real steps left of zero, and its principal value is x all the same."""
    report = verify("x**2/2", "exp(log(x))", wrt="x")
    assert report.ok
    assert any("complex value is the derivative" in note for note in report.notes)


def test_a_formula_with_a_wrong_complex_value_is_refuted():
    report = verify(sp.log(x**2), 2 * sp.exp(-sp.log(x) / 2) ** 2 * sp.sqrt(x) / sp.sqrt(x) + sp.log(x) * 0, wrt="x")
    assert report.ok  # 2/x, by principal values
    wrong = verify(sp.Abs(x) ** 3, 3 * sp.sqrt(x) ** 4, wrt="x")  # 3 x**2 for 3 x |x|
    assert wrong.verdict == "refuted"


def test_code_that_gives_nan_is_refuted():
    import torch

    def f(x):
        return torch.log(x * x)

    def hand(x):
        return 2 * torch.exp(-torch.log(x))

    assert verify(f, hand, wrt="x").verdict == "refuted"


def test_a_condition_without_a_real_value_does_not_hold():
    """Left of zero sqrt(x) is no real number: no such point is in the domain, and none is an error."""
    assert verify("abs(x)", "1", wrt="x", domain="sqrt(x) > 0.5").ok
    assert verify("abs(x)", "-1", wrt="x", domain="sqrt(x) > 0.5").verdict == "refuted"


@pytest.mark.slow
def test_a_drawn_point_at_which_a_choice_compares_what_has_no_order_is_outside_of_the_domain():
    x, y = sp.symbols("x y", real=True)
    f = sp.Max(y, sp.sqrt(x) / sp.sqrt(x**2 + 1))
    slope = sp.diff(f, x).rewrite(sp.Piecewise)
    for seed in range(4):
        assert verify(f, slope, wrt="x", seed=seed).verdict == "proved"
    with pytest.raises(AmbiguousBranch, match="have no order"):
        verify(f, slope, wrt="x", at={"x": -1.0, "y": 0.5})


def written_backwards(x):
    lam = np.zeros(42)
    for n in range(39, -1, -1):
        lam[n] = x[n] - lam[n + 1] - lam[n + 2]
    return lam


def test_the_origins_of_what_is_written_again_and_again_are_found_in_one_walk():
    program = Function.of(written_backwards).run({"x": np.ones(40)}).program
    steps, places = origins(program, program.output)
    assert len(set(steps[:40])) == 40
    assert places.tolist() == [1] * 40 + [41, 42]  # what the loop wrote, then what was there
