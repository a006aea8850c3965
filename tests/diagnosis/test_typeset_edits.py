"""A wrong formula that is typed, as text of whole arrays or in LaTeX, is shown with its wrong part and put right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symgrad import Latex, verify
from symgrad.diagnosis.typeset_edits import plain_side, typeset_edit

RIGHT_IN_LATEX = [
    (r"x^2 e^{-x}", r"2x e^{-x} + x^2 e^{-x}", r"2x e^{-x} - x^2 e^{-x}"),
    (r"\log(1+e^x)", r"\frac{e^x}{1-e^x}", r"\frac{e^x}{1 + e^x}"),
    (r"\frac{\sin x}{x}", r"\frac{x\cos x + \sin x}{x^2}", r"\frac{x\cos x - \sin x}{x^2}"),
    (r"x^3 \ln x", r"3x^2 \ln x + x^3", r"3x^2 \ln x + x^2"),
]


@pytest.mark.parametrize(("model", "wrong", "right"), RIGHT_IN_LATEX)
def test_a_formula_in_latex_is_put_right_where_it_stands(model: str, wrong: str, right: str):
    report = verify(Latex(model), Latex(wrong))
    assert report.repaired_source == right
    assert [(r.before, r.after, r.proved) for r in report.repairs] == [(wrong, right, True)]
    assert verify(Latex(model), Latex(right)).verdict == "proved"
    old, new = report.repairs[0].edit
    assert wrong.replace(old, new) == right
    assert f"    - {wrong}\n" in str(report)
    assert f"    + {right}\n" in str(report)


def test_the_left_side_stays():
    report = verify(Latex(r"\frac{d}{dx} \sin(x^2) = \cos(x^2)"))
    assert report.repaired_source == r"\frac{d}{dx} \sin(x^2) = \cos(x^2) (2 x)"


def test_what_an_edit_leaves_keeps_its_typing():
    formula = Latex(r"\left( x + 1 \right)\cdot e^{\,x} - \tfrac12 x")
    made = typeset_edit(formula, plain_side(formula).replace("x + 1", "x + 2"))
    assert made is not None
    assert made[0].text == r"\left(x + 2\right)\cdot e^{\,x} - \tfrac12 x"


def test_what_cannot_be_typeset_is_not_written():
    formula = Latex(r"\sin x")
    assert typeset_edit(formula, "where(x > 0, sin(x), 0)") is None


ARRAYS = [
    ("sum((x - y)**2)", "x", "2*(y - x)", "2*(x - y)"),
    ("sum((x - y)**2) + sum(x**3)", "x", "2*(x - y) + 3*x", "2*(x - y) + 3*x**2"),
    ("sum(tanh(W @ x))", "W", "outer(1 - (W @ x)**2, x)", "outer(1 - tanh(W @ x)**2, x)"),
    ("log(sum(exp(x)))", "x", "exp(x)/max(exp(x))", "exp(x)/sum(exp(x))"),
    ("log(det(W))", "W", "inv(W)", "inv(W).T"),
]
NUMPY = {"sum": np.sum, "tanh": np.tanh, "exp": np.exp, "outer": np.outer, "inv": np.linalg.inv}
TORCH = {"sum": torch.sum, "tanh": torch.tanh, "exp": torch.exp, "log": torch.log, "det": torch.linalg.det}


@pytest.mark.parametrize(("model", "name", "wrong", "right"), ARRAYS)
def test_text_about_arrays_is_put_right(model: str, name: str, wrong: str, right: str):
    point = {"x": np.array([0.5, -0.75, 1.25]), "y": np.array([1.0, 0.25, -0.5])}
    point["W"] = np.array([[1.5, 0.5, -0.25], [0.25, 2.0, 0.5], [-0.5, 0.75, 1.0]])
    used = {n: v for n, v in point.items() if n in model}
    report = verify(model, {name: wrong}, at=used)
    assert [(r.before, r.after, r.proved) for r in report.repairs] == [(wrong, right, True)]
    tensors = {n: torch.tensor(v, requires_grad=True) for n, v in used.items()}
    eval(model, {**TORCH, **tensors}).backward()
    exact = tensors[name].grad
    assert exact is not None
    np.testing.assert_allclose(eval(report.repairs[0].after, {**NUMPY, **used}), exact.numpy(), rtol=1e-12)


def test_a_formula_that_nothing_puts_right_is_shown_all_the_same():
    wrong = r"\frac{1}{n} \sum_{i=1}^n (w x_i - y_i) x_i"
    report = verify(Latex(r"\frac{1}{n}\sum_{i=1}^n (w x_i - y_i)^2"), {"w": Latex(wrong)})
    assert not report.repairs
    assert f"The wrong line\n    {wrong}\n    This is not ∂f/∂w.\n" in str(report)


def test_of_large_arrays_the_formula_is_shown_and_no_edit_is_tried():
    report = verify("sum(tanh(W @ x))", {"W": "outer(1 - (W @ x)**2, x)"}, at={"W": (80, 60), "x": (60,)})
    assert not report.repairs
    assert "    outer(1 - (W @ x)**2, x)\n    This is not ∂f/∂W.\n" in str(report)
