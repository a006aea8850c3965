"""Bad input is met with a message that says what happened, where, and what to write instead.

Each message is here in full, as a person reads it.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
import sympy as sp
import torch
from torch import nn

from symgrad import compare, gradient, lift, verify
from symgrad.errors import (
    BadFormula,
    BadInput,
    LostValue,
    NoPoint,
    NotReproducible,
    SymgradError,
    UnknownName,
    UnknownOperation,
    UserCodeFailed,
    WrongShape,
)


def message(kind: type[SymgradError], *args, ask=verify, **named) -> str:
    """The whole text of the error, with places in this file and drawn numbers left out."""
    with pytest.raises(kind) as caught:
        ask(*args, **named)
    text = re.sub(r"\S*test_errors\.py:\d+", "FILE:LINE", str(caught.value))
    return re.sub(r"-?\d+\.\d+(e-\d+)?", "NUMBER", text) if kind is NotReproducible else text


# ------------------------------------------------------------------------------------------------ names


def test_a_name_that_the_model_does_not_have():
    assert message(UnknownName, "tanh(w*x)", "v*(1 - tanh(w*x)**2)", wrt="x") == (
        "the hand formula uses 'v', but the model has only w, x.\nRename it, or make 'v' an input of the model."
    )


def test_a_name_that_is_nearly_one():
    assert message(UnknownName, lambda weight, x: weight * x, lambda wieght, x: wieght, wrt="x") == (
        "the hand formula uses 'wieght', but the model has only weight, x.\n"
        "Close names: weight. Rename it, or make 'wieght' an input of the model."
    )


def test_the_formula_for_one_input_among_several():
    assert message(UnknownName, "w*x", {"w": "x", "x": "u"}) == (
        "the hand formula for x uses 'u', but the model has only w, x.\nRename it, or make 'u' an input of the model."
    )


def test_wrt_names_an_input_that_is_not_there():
    text = "wrt names 'weigth', but the model has only weight, x.\nClose names: weight."
    assert message(UnknownName, "tanh(weight*x)", "x", wrt="weigth") == text
    assert message(UnknownName, "tanh(weight*x)", wrt="weigth", ask=gradient) == text.replace("model", "formula")


def test_at_and_domain_name_inputs_too():
    assert message(UnknownName, "w*x", "w", wrt="x", at={"y": 1.0}) == "at has 'y', but the model has only w, x."
    assert message(UnknownName, "w*x", "w", wrt="x", domain={"y": (0, 1)}) == (
        "domain has 'y', but the model has only w, x."
    )


def test_nothing_tells_which_input_the_hand_formula_is_for():
    assert message(BadInput, "w*x", "x") == (
        "the hand formula gives one value, and the model has the inputs w, x.\n"
        "Say which one it is for: wrt='w', or pass a mapping such as {'w': ...}."
    )
    assert message(BadInput, "w*x*y", ("x*y", "w*y")) == (
        "the hand formula gives 2 values, and the model has 3 inputs: w, x, y.\n"
        "Pass wrt=(...) in the same order, or return a mapping from input to gradient."
    )
    assert message(BadInput, "w*x", {"w": "x"}, wrt=("w", "x")) == (
        "the hand formula gives w, and wrt asks for x too.\nReturn a mapping from input to gradient, with these names."
    )


# ------------------------------------------------------------------------------------------------ shapes and points


def test_a_hand_formula_of_the_wrong_shape_is_refuted_by_its_shape():
    report = verify(lambda x: (x**2).sum(), lambda x: 2 * x[:2], at={"x": (3,)})
    witness = report.claims["x"].witness
    assert report.verdict == "refuted"
    assert (witness.reason, str(witness)) == ("shape", "shape [2] for shape [3]")
    assert "[2]" in str(report)
    assert "[3]" in str(report)


def test_a_model_with_several_results():
    assert message(WrongShape, lambda x: (x, x), lambda x: x, at={"x": 1.0}) == (
        "the model returns 2 values.\nReturn one, for example their sum or a stack."
    )


def test_a_hand_formula_that_returns_nothing():
    assert message(WrongShape, lambda x: x * 2, lambda x: None, at={"x": 1.0}) == (
        "your function returned None.\nReturn the value, or a mapping from input to gradient."
    )


def test_a_tensor_function_without_at():
    model = lambda W, x: (W @ x).sum()  # noqa: E731
    text = message(BadInput, model, lambda W, x: W.sum(0), wrt="x")
    assert text == (
        "at has no value for W, x, and with single numbers the function fails: "
        "your function raised RuntimeError: both arguments to matmul need to be at least 1D, but they are 0D and 0D\n"
        "    FILE:LINE    model = lambda W, x: (W @ x).sum()  # noqa: E731\n"
        'Pass values or shapes: at={"W": (3,), "x": (3,)}.'
    )


def test_at_holds_something_else():
    assert message(BadInput, "x**2", "2*x", at={"x": "three"}) == (
        "at['x'] is 'three', which is neither numbers nor a shape.\n"
        "Pass a number, an array, a tensor, or a shape such as (3, 4)."
    )


@pytest.mark.parametrize("bounds", [(2, 1), 3, (1, 1), ("a", "b"), (1, 2, 3)])
def test_a_domain_that_is_no_interval(bounds):
    assert message(BadInput, "x**2", "2*x", domain={"x": bounds}) == (
        f"domain['x'] is {bounds!r}.\nPass (low, high), either of them None for no bound."
    )


def test_no_point_in_the_domain():
    assert message(NoPoint, "log(-1 - x**2)", "-2*x/(1 + x**2)") == (
        "the formula has a real value nowhere: what its roots, logarithms and inverse functions need contradicts "
        "itself, by exact arithmetic (log needs its argument > 0).\n"
        "    log(-1 - x**2)\n"
        "Look for a sign under a root; symgrad judges formulas where they are real."
    )
    assert message(NoPoint, "sqrt(x)", "1/(2*sqrt(x))", domain={"x": (-2, -1)}) == (
        "no point to test at: sqrt needs its argument >= 0, and the domain says -2 < x < -1.\n"
        "    sqrt(x)\n"
        "Pass at={...} with a point inside the domain, or domain={name: (low, high)}."
    )


def test_thin_domains_are_found():
    formula = "sqrt(x - 1000)*sqrt(1001 - x)"
    right = "(2001 - 2*x)/(2*sqrt(x - 1000)*sqrt(1001 - x))"
    assert verify(formula, right).ok
    assert verify(formula, right.replace("2001", "2002")).verdict == "refuted"


def test_the_users_own_point_is_outside_the_domain():
    assert message(NoPoint, lambda x: torch.log(x), lambda x: 1 / x, at={"x": -2.0}) == (
        "your point is outside the domain: log needs its argument > 0.\n"
        "    lambda x: torch.log(x)\n"
        "Pass at={...} with a point inside the domain, or domain={name: (low, high)}."
    )


@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), ([1.0, np.nan], "nan"), (np.inf, "inf")])
def test_nan_at_the_users_own_point(value, shown):
    model = lambda x: (x**2).sum()  # noqa: E731
    assert message(BadInput, model, lambda x: 2 * x, at={"x": value}) == (
        f"at['x'] holds {shown}: the model has no value there.\nPass ordinary numbers."
    )


def test_a_mask_of_minus_infinity_is_no_bad_input():
    attend = lambda x, mask: torch.softmax(x + mask, 0)[0]  # noqa: E731

    def hand(x, mask):
        p = torch.softmax(x + mask, 0)
        return p[0] * (torch.tensor([1.0, 0.0, 0.0]) - p)

    at = {"x": torch.tensor([0.5, 1.0, 2.0]), "mask": torch.tensor([0.0, 0.0, -torch.inf])}
    assert verify(attend, hand, wrt="x", at=at).ok


# ------------------------------------------------------------------------------------------------ code


def test_a_branch_that_depends_on_a_drawn_number():
    def model(x):
        return x * 2 if torch.rand(()) > 0.5 else x * 3

    torch.manual_seed(2)  # the two runs that are compared differ
    assert message(NotReproducible, model, lambda x: 2 * torch.ones_like(x), at={"x": torch.tensor(1.0)}) == (
        "two runs of the function at the same point gave different values of output: NUMBER, then NUMBER.\n"
        "Fix the randomness: put the module in eval mode, pass the random numbers as inputs, or set the seed inside "
        "the function."
    )


def test_code_that_goes_another_way_each_time():
    """The first two runs agree by chance; a run at another point does not, and neither does one at the first."""
    draws = iter([1, 1] + [2] * 200)

    def hand(x):
        return x * 2 if next(draws) == 1 else x * 3

    assert message(NotReproducible, lambda x: x**2, hand, at={"x": 1.0}) == (
        "the code goes another way each time that it is run, at the same point.\n"
        "Fix the randomness: set the seed inside the function, or pass what it draws as an input."
    )


def test_a_model_with_dropout():
    class Dropped(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 1)
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.linear(self.drop(x)).sum()

    torch.manual_seed(0)
    module = Dropped()
    hand = lambda x, linear_weight: linear_weight[0]  # noqa: E731
    assert message(NotReproducible, module, hand, wrt="x", at={"x": (8,)}) == (
        "two runs of the function at the same point gave different values of output: NUMBER, then NUMBER.\n"
        "The module is in training mode and has random layers: drop.\n"
        "Call module.eval() first, or set the dropout probability to 0."
    )
    assert verify(module.eval(), hand, wrt="x", at={"x": (8,)}).verdict == "proved"


def test_the_users_own_code_fails():
    def hand(x):
        return [x, 2.0][2]

    model = lambda x: x * 2.0  # noqa: E731
    assert message(UserCodeFailed, model, hand, at={"x": 1.0}) == (
        "your function raised IndexError: list index out of range\n    FILE:LINE    return [x, 2.0][2]"
    )


def test_an_operation_that_is_not_in_the_table():
    assert message(UnknownOperation, "tanhh(x)", "1") == (
        "no operation is called 'tanhh'. Close names: tanh, atanh, tan.\n"
        "    tanhh(x)\n"
        "    ^^^^^\n"
        'To add it: symgrad.define("tanhh", exact, torch), where exact maps a SymPy symbol to an expression.'
    )
    assert message(UnknownOperation, sp.dirichlet_eta(sp.Symbol("x")), "1") == (
        "no operation is called 'dirichlet_eta'.\n"
        'To add it: symgrad.define("dirichlet_eta", exact, torch), where exact maps a SymPy symbol to an expression.'
    )


def test_an_operation_that_cannot_be_followed():
    text = message(UnknownOperation, lambda x: np.interp(x, [0, 1], [1, 3]), "2 + 0*x", at={"x": 0.5})
    assert text.startswith("symgrad cannot follow numpy.interp.\n")
    assert "lambda x: np.interp(x, [0, 1], [1, 3])" in text
    assert text.endswith("or pass its result as an input.")


def test_a_value_that_left_the_code_and_came_back():
    """Through text, a number loses what it was computed from: it would be judged as a constant."""

    def hand(x):
        return np.array([float(str(v)) for v in x]) * 2

    with pytest.raises((LostValue, UserCodeFailed)):
        verify(lambda x: (x**2).sum(), hand, at={"x": np.array([1.0, 2.0])})


# ------------------------------------------------------------------------------------------------ text

CALLS = "Text is parsed, never evaluated: a formula has numbers, names, + - * / **, parentheses and functions."


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("tanh(x", "this parenthesis is never closed.\n    tanh(x\n        ^"),
        ("tanh(x))", "this parenthesis was never opened.\n    tanh(x))\n           ^"),
        ("2 3", "an operator is missing between '2' and '3'.\n    2 3\n    ^^^\nTo multiply, write 2*3."),
        ("", "the formula is empty.\nWrite an expression, for example w*tanh(x)."),
        ("x.real", f"an attribute is not part of a formula.\n    x.real\n    ^^^^^^\n{CALLS}"),
        ("lambda x: x", f"lambda makes a function, and a formula is one value.\n    lambda x: x\n    ^^^^^^\n{CALLS}"),
    ],
)
def test_text_that_is_not_a_formula(text, error):
    assert message(BadFormula, text, "1") == error
    assert message(BadFormula, "x", text) == error


@pytest.mark.parametrize(
    ("text", "name"), [('__import__("os").getcwd()', "__import__"), ('open("x")', "open"), ("eval(x)", "eval")]
)
def test_text_is_never_evaluated(text, name):
    assert message(UnknownOperation, text, "1") == (
        f"{name}(...) cannot be called in a formula.\n    {text}\n    {'^' * len(name)}\n{CALLS}"
    )


# ------------------------------------------------------------------------------------------------ other arguments


def test_order_dtype_and_formula_of_another_kind():
    assert message(BadInput, "x", "1", order=3) == (
        "order is 3.\nPass order=1 for gradients and Jacobians, order=2 for Hessians."
    )
    assert message(BadInput, "x", "1", dtype="int8") == (
        "dtype is 'int8'.\nPass 'float64', 'float32', 'float16', 'bfloat16', or the torch dtype."
    )
    assert message(BadInput, {1, 2}, "1") == (
        "a formula cannot be a set.\n"
        "Pass text, Latex, a SymPy expression, a Python function, an nn.Module, numbers, or a mapping of them."
    )


@pytest.mark.parametrize("ask", [lift, gradient])
def test_the_smaller_questions_raise_the_same(ask):
    assert message(BadFormula, "2x", ask=ask).startswith("an operator is missing")
    assert message(NoPoint, "log(-1 - x**2)", ask=ask).startswith("the formula has a real value nowhere")


def test_compare_names_its_second_formula():
    assert message(UnknownName, "x", "y", ask=compare) == (
        "the second formula uses 'y', but the model has only x.\nRename it, or make 'y' an input of the model."
    )


def test_an_autograd_function_has_a_question_of_its_own():
    class Cube(torch.autograd.Function):
        pass

    expected = (
        "Cube is an autograd.Function, whose backward is judged with its forward.\nWrite verify_function(Cube, at=...)."
    )
    assert message(BadInput, Cube, "3*x**2") == expected
