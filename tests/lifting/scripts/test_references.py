"""What a script compares its gradient with may be a library's derivative of one of its functions."""

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput

SINES = """
import torch
from torch.func import {library}

def f(w, x):
    return torch.sin(w * x){summed}

def df_dw(w, x):
    return {line}

w, x = torch.tensor(0.7), torch.tensor([0.3, -1.1, 2.0])
print({library}(f)(w, x))
print(df_dw(w, x))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "summed", "right", "wrong"),
    [
        ("grad", ".sum()", "(torch.cos(w * x) * x).sum()", "torch.cos(w * x).sum()"),
        ("jacrev", "", "torch.cos(w * x) * x", "torch.cos(w * x)"),
        ("hessian", ".sum()", "(-torch.sin(w * x) * x * x).sum()", "(-torch.sin(w * x) * x).sum()"),
    ],
)
def test_a_derivative_that_torch_func_takes_is_the_reference(library: str, summed: str, right: str, wrong: str):
    assert verify_script(SINES.format(library=library, summed=summed, line=right)).verdict == "proved"
    assert verify_script(SINES.format(library=library, summed=summed, line=wrong)).verdict == "refuted"


@pytest.mark.slow
def test_the_line_of_the_function_that_is_compared_is_repaired():
    wrong = "torch.cos(w * x).sum()"
    report = verify_script(SINES.format(library="grad", summed=".sum()", line=wrong))
    assert [s.source.line for s in report.steps if s.verdict == "wrong" and s.source] == [9]
    assert report.repaired_source is not None
    assert verify_script(report.repaired_source).ok


def test_several_arguments_and_several_calls_are_one_question():
    script = """
import torch
def loss_fn(W, b, X, y):
    return ((X @ W + b - y)**2).mean()
W, b = torch.tensor([1.0, -0.5]), torch.tensor(0.25)
X, y = torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]]), torch.tensor([1.0, 0.0, -1.0])
gW = torch.func.grad(loss_fn)(W, b, X, y)
(gb,) = torch.func.grad(loss_fn, argnums=(1,))(W, b, X, y)
error = X @ W + b - y
print((gW - 2 * X.T @ error / 3).abs().max(), gb - 2 * error.{reduced}())
"""
    claims = verify_script(script.format(reduced="mean")).claims
    assert {n: c.verdict.kind for n, c in claims.items()} == {"W": "proved", "b": "proved"}
    claims = verify_script(script.format(reduced="sum")).claims
    assert {n: c.verdict.kind for n, c in claims.items()} == {"W": "proved", "b": "refuted"}


def test_jacobians_and_hessians_of_functional():
    script = """
import torch
from torch.autograd.functional import jacobian, hessian
v = torch.tensor([2.0, 0.5])
def polar(v):
    return torch.stack([v[0] * torch.cos(v[1]), v[0] * torch.sin(v[1])])
J = jacobian(polar, v)
r, t = v
mine = torch.stack([torch.stack([t.cos(), {sign}r * t.sin()]), torch.stack([t.sin(), r * t.cos()])])
print(torch.allclose(J, mine))
"""
    assert verify_script(script.format(sign="-")).verdict == "proved"
    assert verify_script(script.format(sign="")).verdict == "refuted"


def test_forward_differences_that_scipy_takes():
    script = """
import numpy as np
from scipy.optimize import approx_fprime
a, x0 = np.array([1.0, 3.0]), np.array([0.5, -0.25])
def f(x, a):
    return np.sum(a * x**2)
def grad_f(x, a):
    return {factor} * a * x
print(approx_fprime(x0, f, 1e-6, a))
print(grad_f(x0, a))
"""
    assert verify_script(script.format(factor=2)).verdict == "proved"
    report = verify_script(script.format(factor=3))
    assert report.verdict == "refuted"
    assert [(r.before, r.after) for r in report.repairs] == [("3 * a * x", "2 * a * x")]


def test_a_derivative_inside_of_the_formula_is_told():
    with pytest.raises(BadInput, match="a derivative inside of the formula"):
        verify_script("import torch\nx = torch.tensor([1.0])\ny = torch.func.vmap(torch.func.grad(lambda z: z * z))(x)")


DIFFERENCE_LOOP = """
import numpy as np
x = np.array([1.0, 2.0])
W = np.array([0.3, -0.1])
def loss(W):
    return np.tanh(x @ W)
dW = (1 - ({})**2) * x
for i in range(2):
    step = np.zeros(2)
    step[i] = 1e-5
    print(dW[i], (loss(W + step) - loss(W - step)) / 2e-5)
"""


def test_a_loop_of_differences_says_what_is_meant_as_a_gradient():
    """No autograd is called: entries of dW are printed beside quotients of the loss."""
    assert verify_script(DIFFERENCE_LOOP.format("np.tanh(x @ W)")).verdict == "proved"
    wrong = verify_script(DIFFERENCE_LOOP.format("x @ W"))
    assert (wrong.verdict, wrong.wrong_steps) == ("refuted", ("dW",))
