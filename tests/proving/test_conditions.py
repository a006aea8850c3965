"""Where a proof holds: its conditions, judged by definedness."""

from __future__ import annotations

import math

import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad import lift, verify
from symgrad.checking.proof_domains import domain_of_proofs
from symgrad.evaluation.floats import Floats
from symgrad.ops.scalars import OPS
from symgrad.program.builder import Builder
from symgrad.program.program import interpret
from symgrad.proving.conditions import TOTAL, is_defined_everywhere
from symgrad.proving.proof import prove

VALUES = st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 40.0])

CONDITIONS = {
    "1/x": ["x is not zero"],
    "y/x**2 + 1/x**3": ["x is not zero"],
    "log(x**2)": ["x is not zero"],
    "log(x**3)": ["x is positive"],
    "log(2*x*exp(y))": ["x is positive"],
    "log(x/(1 + y**2))": ["x is positive"],
    "log(exp(y)/x)": ["x is positive"],
    "log(sqrt(x))": ["x is positive"],
    "sqrt(x)/x": ["x is positive"],
    "1/sqrt(x)": ["x is positive"],
    "sqrt(x)": ["x is not negative"],
    "sqrt(x**3)": ["x is not negative"],
    "sqrt(x*(1 + exp(y)))": ["x is not negative"],
    "1/(x*y)": ["x is not zero", "y is not zero"],
    "1/tanh(x*y)": ["x is not zero", "y is not zero"],
    "log(x*y)": ["x*y is positive"],
    "log(-x)": ["-x is positive"],
    "1/(x - 1)": ["x - 1 is not zero"],
    "log(1 - x**2)": ["1 - x**2 is positive"],
    "log(abs(x))": ["x is not zero"],
    "x**0.3": ["x is positive"],
    "lgamma(x)": ["x is positive"],
    "asin(x)": ["x is between -1 and 1"],
    "1/(1 + exp(x))": [],
    "sqrt(x**2 + 1)": [],
    "log(1 + exp(x)) / cosh(y)": [],
    "asin(tanh(x))": [],
    "lgamma(1 + x**2)": [],
    "1/(2 + sin(x)*cos(y))": [],
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_condition_is_said_of_the_simplest_step(text):
    program = lift(text)
    proof = prove(program, program.output, program.output)
    assert list(domain_of_proofs([(program, proof)])) == CONDITIONS[text]


CAUTIOUS = ("x**0.3", "lgamma(x)")  # asked for where they are smooth, or written without their mirror image
MEANING = {
    "is not zero": lambda v: v != 0,
    "is positive": lambda v: v > 0,
    "is not negative": lambda v: v >= 0,
    "is between -1 and 1": lambda v: -1 <= v <= 1,
}


@pytest.mark.parametrize("text", CONDITIONS)
@settings(max_examples=60)
@given(x=VALUES, y=VALUES)
@pytest.mark.slow
def test_the_conditions_hold_exactly_where_the_formula_has_a_value(text, x, y):
    program = lift(text)
    proof = prove(program, program.output, program.output)
    given = {n: torch.tensor(v, dtype=torch.float64) for n, v in (("x", x), ("y", y)) if n in program.inputs}
    values = interpret(program, Floats(), given, range(len(program.steps)))
    met = all(MEANING[c.what](values[c.step].item()) for c in proof.conditions)
    defined = math.isfinite(values[program.output].item())
    assert met == defined or (defined and text in CAUTIOUS)


def test_the_report_says_where_it_holds_in_the_users_names():
    def model(x, a):
        s = (x * x).sum()
        return torch.sqrt(s) / a**2

    def hand(x, a):
        s = (x * x).sum()
        return {"x": x / (a * a * torch.sqrt(s)), "a": -2 * torch.sqrt(s) / a**3}

    text = str(verify(model, hand, at={"x": (3,), "a": 2.0}))
    assert "It holds where a is not zero and s is positive." in " ".join(text.split())
    assert "It holds where a is not zero. In" in " ".join(text.split())


BRANCHES = {
    "log(x)": ("x > 0.5", ()),
    "log(1/x)": ("x > 0.5", ()),
    "log(-x)": ("x < -1", ()),
    "1/x": ("x < 0", ()),
    "1/(x*y)": ("x < 0", ("y is not zero (on one branch)",)),
    "sqrt(x)": ("0 <= x", ("x is positive (on one branch)",)),
    "log(y)": ("x > 1", ("y is positive (on one branch)",)),
    "log(x + 1)": ("x > 0", ("x + 1 is positive (on one branch)",)),
}


@pytest.mark.parametrize("value", BRANCHES)
def test_what_a_branch_says_is_not_said_again_and_what_is_of_one_branch_is_told_as_such(value):
    condition, told = BRANCHES[value]
    slope = str(sp.diff(sp.sympify(value), sp.Symbol("x")))
    slope = slope if "y" in value and slope != "0" else f"{slope} + 0*y"
    report = verify(f"where({condition}, {value} + x, x**3) + 0*y", f"where({condition}, {slope} + 1, 3*x**2)", wrt="x")
    assert report.claims["x"].verdict.domain == told


def test_where_the_model_has_no_value_nothing_is_claimed_and_a_proof_may_use_it():
    slope = verify("log(x)", "1/x").claims["x"].verdict
    assert slope.domain == ("x is positive",)
    root = verify("log(x) + sqrt(x**2)", "1/x + 1").claims["x"].verdict
    assert (root.kind, root.domain) == ("proved", ("x is positive",))
    assert verify("exp(x) + sqrt(x**2)", "exp(x) + 1").verdict == "refuted"  # here x may be negative


NARROWER = [  # the derivative also has a value where both signs change, and the hand formula has none there, or another
    ("sqrt(x*y)", "y/(2*sqrt(x)*sqrt(y))"),
    ("log(s) + sqrt(x*y)", "y/(2*sqrt(x)*sqrt(y))"),
    (lambda x: x**2 / 2, lambda x: torch.exp(torch.log(x))),
    (lambda x, s: s + x**4, lambda x, s: {"x": 4 * torch.sqrt(x) ** 6}),
    (lambda x, y: y * x**3, lambda x, y: {"x": 3 * torch.exp(torch.log(y)) * x**2}),
]


@pytest.mark.parametrize(("formula", "hand"), NARROWER)
def test_a_hand_formula_without_a_value_where_the_derivative_has_one_is_refuted(formula, hand):
    witness = verify(formula, hand, wrt="x").claims["x"].witness
    assert witness is not None
    assert witness.reason == "undefined"
    assert math.isnan(witness.hand_value)
    assert math.isfinite(witness.exact_value)


@pytest.mark.parametrize(("formula", "hand"), NARROWER)
def test_on_the_domain_that_it_was_derived_for_it_is_right(formula, hand):
    domain = dict.fromkeys(lift(formula).inputs, (0, None))
    assert verify(formula, hand, wrt="x", domain=domain).verdict == "proved"


def test_the_witness_of_a_missing_value_is_simple():
    point = verify(lambda x: x**2 / 2, lambda x: torch.exp(torch.log(x))).claims["x"].witness.point
    assert float(point["x"]) == -1


@pytest.mark.parametrize(("formula", "hand"), [("x**2/2", "exp(log(x))"), ("x**4", "4*sqrt(x)**6")])
def test_a_formula_whose_complex_value_is_the_derivative_is_not_refuted_where_it_is_not_real(formula, hand):
    assert verify(formula, hand).verdict == "proved"


def test_a_removable_point_is_no_missing_value():
    assert verify("sin(x)", "sin(2*x)/(2*sin(x))").verdict == "proved"


@pytest.mark.parametrize("op", sorted(TOTAL & OPS.keys()))
def test_what_is_said_to_be_defined_everywhere_is(op):
    b = Builder()
    y = b.apply(op, b.input("x", ()))
    program = b.build({"y": y})
    assert is_defined_everywhere(program.steps, program.needed([y]))
    for x in (-700.0, -1.0, 0.0, 1e-300, 3.5, 700.0):
        value = interpret(program, Floats(), {"x": torch.tensor(x, dtype=torch.float64)})[y]
        assert torch.isfinite(value)
