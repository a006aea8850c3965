"""Lists of steps, as on paper: definitions and claimed derivatives, judged line by line."""

import math

import numpy as np
import pytest
import sympy as sp

from symgrad import verify
from symgrad.errors import BadFormula, BadInput, UnknownName
from symgrad.lifting.text.step_list import Steps, are_steps

RNN = "v*tanh(w*tanh(w*h0))"
RIGHT = """
1. h1 = tanh(w*h0)
2. h2 = tanh(w*h1)
3. dy/dw = v * dh2/dw
4. dh2/dw = (1 - h2**2) * (h1 + w*dh1/dw)  (product rule and chain rule)
5. dh1/dw = (1 - h1**2) * h0
6. dy/dv = h2
"""


def verdicts(report):
    return [(s.name, s.verdict) for s in report.steps]


def test_a_right_derivation_is_proved_line_by_line():
    report = verify(RNN, RIGHT)
    assert report.verdict == "proved"
    assert list(report.claims) == ["w", "v"]
    assert report.wrong_steps == ()
    assert verdicts(report) == [
        ("h1", None),
        ("h2", None),
        ("dy/dw", "right"),
        ("dh2/dw", "right"),
        ("dh1/dw", "right"),
        ("dy/dv", "right"),
    ]


def test_only_the_faulty_line_is_called_wrong():
    """The line dh2/dw is fed a wrong dh1/dw; by itself it is right."""
    report = verify(RNN, RIGHT.replace("(1 - h1**2)", "(1 - (w*h0)**2)"))
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("dh1/dw",)
    assert dict(verdicts(report))["dh2/dw"] == "right"
    line = next(s for s in report.steps if s.name == "dh1/dw")
    assert line.source.line == 6
    assert line.claims == "∂h1/∂w"


def test_the_values_are_those_of_the_mathematics():
    point = {"w": 0.3, "h0": 0.5, "v": 2.0}
    run = Steps(RIGHT).run({n: np.asarray(x) for n, x in point.items()})
    h1 = math.tanh(0.15)
    h2 = math.tanh(0.3 * h1)
    exact = 2.0 * (1 - h2**2) * (h1 + 0.3 * (1 - h1**2) * 0.5)
    assert float(run.values["w"]) == pytest.approx(exact, rel=1e-14)
    assert float(run.values["v"]) == pytest.approx(h2, rel=1e-14)


def test_a_list_of_equations_and_names_as_in_code():
    report = verify("exp(-x**2/2)", ["u = x**2", "y = exp(-u/2)", "dy_du = -y/2", "du_dx = x", "dy_dx = dy_du*du_dx"])
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("du/dx",)


def test_sympy_equations():
    x, y, dydx = sp.symbols("x y dy_dx")
    assert verify("exp(-x)", [sp.Eq(y, sp.exp(-x)), sp.Eq(dydx, -y)]).verdict == "proved"
    assert verify("exp(-x)", [sp.Eq(y, sp.exp(-x)), sp.Eq(dydx, y)]).verdict == "refuted"


def test_each_side_of_a_chain_of_equalities_is_a_claim():
    steps = "u = x**2\ny = exp(-u/2)\ndy/du = -y/2\ndy/dx = dy/du * x = -x*y"
    report = verify("exp(-x**2/2)", steps)
    assert report.claims["x"].kind == "proved"  # the last side is right, and
    assert report.verdict == "refuted"  # the derivation is not
    assert report.wrong_steps == ("dy/dx",)  # the first is not
    assert [v for n, v in verdicts(report) if n == "dy/dx"] == ["wrong", "right"]


def test_steps_that_end_in_something_else_than_the_model():
    report = verify("exp(-x**2/2)", "u = x**2\ndu/dx = 2*x")
    assert report.verdict == "refuted"
    assert report.notes[0] == "The steps end in u, which is not the model."


def test_what_is_a_list_of_steps():
    assert are_steps("dy/dx = 2*x")
    assert not are_steps("where(x >= 0, x, 2*x)")
    assert not are_steps("2*x")
    assert not are_steps([1.0, 2.0])


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (
            "u = x**2\ndy/dx = dy/du*2*x",
            BadInput,
            "dy/du is used, but no line says what it is.\n    line 2    dy/dx = dy/du*2*x\nAdd a line dy/du = ...",
        ),
        (
            "u = x**2\n2*x",
            BadFormula,
            "this line is no equation.\n    line 2    2*x\nWrite name = formula, or dA/dB = formula.",
        ),
        (
            "2*u = x**2",
            BadFormula,
            "the left side of this line, '2*u', is neither a name nor a derivative.\n    line 1    2*u = x**2\n"
            "Write name = formula, or dA/dB = formula.",
        ),
        (
            "dy/dx = 2*dy/dx",
            BadInput,
            "dy/dx is said by means of itself.\n    line 1    dy/dx = 2*dy/dx\n"
            "Each line may use the names and derivatives of other lines, in no circle.",
        ),
        (
            "u = x**2",
            BadInput,
            "no line says what du/d(input) is; the derivatives that are claimed are: none.\n"
            "End with a line such as du/dx = ...",
        ),
        (
            "dy/dx = -x*exp(-x**2/2",
            BadFormula,
            "line 1: this parenthesis is never closed.\n    -x*exp(-x**2/2\n          ^",
        ),
        (
            "dy/dx = z",
            UnknownName,
            "the hand formula uses 'z', but the model has only x.\nRename it, or make 'z' an input of the model.",
        ),
    ],
)
def test_what_is_wrong_with_a_list_is_told_with_its_line(steps, error, message):
    with pytest.raises(error) as caught:
        verify("exp(-x**2/2)", steps)
    assert str(caught.value) == message
