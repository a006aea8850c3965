"""Repairs of code that is no function: pasted scripts, autograd functions, lists of steps.

The judge is the repaired code itself: it is run, and what it gives is compared with autograd's gradient.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
import torch

from symgrad import verify, verify_function, verify_script

POSTS = Path(__file__).parent / "posts"


# ------------------------------------------------------------------------------------------------ scripts


def test_the_repaired_tanh_post_prints_the_same_gradient_three_times():
    report = verify_script(POSTS / "tanh_rnn.txt")
    assert report.wrong_steps == ("dh1_dwh", "dh2_dwh", "dh2_raw", "dh1_raw")
    assert [r.edit for r in report.repairs] == [("h1_raw", "h1"), ("h2_raw", "h2"), ("h2_raw", "h2"), ("h1_raw", "h1")]
    assert all(r.proved for r in report.repairs)
    assert "h1_raw is the value before tanh" in report.repairs[0].why
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(report.repaired_source, {})
    automatic, *mine = (part.strip() for part in out.getvalue().splitlines()[0].split("<>"))
    assert automatic == "tensor(8.1888)"
    assert [round(float(x), 4) for x in mine] == [8.1888, 8.1888]


LOOP = """
import torch, numpy as np
torch.manual_seed(1)
x = torch.randn(4)
w = torch.tensor(0.7, requires_grad=True)
h = torch.zeros(())
for t in range(4):
    h = torch.tanh(w * h + x[t])
h.backward()
def slope(a):
    return 1 - a**2
hs = [0.0]
for t in range(4):
    hs.append(np.tanh(w.item() * hs[-1] + x[t].item()))
dw, dh = 0.0, 1.0
for t in (3, 2, 1, 0):
    dz = dh * slope(hs[t + 1])
    dw = dw + dz * hs[t + 1]
    dh = dz * w.item()
print(w.grad, dw)
"""


def test_a_loop_in_a_script_that_calls_a_helper_of_its_own():
    report = verify_script(LOOP)
    assert report.wrong_steps == ("dw",)
    (repair,) = report.repairs
    assert repair.after == "dw + dz * hs[t]"
    scope: dict = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(report.repaired_source, scope)
    assert float(scope["dw"]) == pytest.approx(float(scope["w"].grad), rel=1e-6)


# ------------------------------------------------------------------------------------------------ autograd functions


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, beta):
        s = torch.sigmoid(beta * x)
        ctx.save_for_backward(x, s, beta)
        return x * s

    @staticmethod
    def backward(ctx, grad_output):
        x, s, beta = ctx.saved_tensors
        ds = s * (1 + s)  # the slope of s
        dx = grad_output * (s + beta * x * ds)
        dbeta = (grad_output * x * x * ds).sum()
        return dx, dbeta


class Forgotten(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scale, x):
        ctx.save_for_backward(scale, x)
        return scale * x**3

    @staticmethod
    def backward(ctx, grad_output):
        scale, x = ctx.saved_tensors
        return (grad_output * x**3).sum(), 3 * scale * x**2


@pytest.mark.parametrize(
    ("function", "at", "wrong", "line"),
    [
        (Swish, {"x": (3,), "beta": ()}, ("ds",), "ds = s * (1 - s)  # the slope of s"),
        (
            Forgotten,
            {"scale": (), "x": (3,)},
            ("return",),
            "(grad_output * x**3).sum(), 3 * scale * x**2 * grad_output",
        ),
    ],
)
def test_a_backward_is_repaired_within_its_class(function, at, wrong, line):
    report = verify_function(function, at=at)
    assert report.wrong_steps == wrong
    assert line in report.repaired_source
    scope = dict(globals())
    exec(report.repaired_source, scope)
    repaired = scope[function.__name__]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in at.values()]
    assert torch.autograd.gradcheck(repaired.apply, inputs)


# ------------------------------------------------------------------------------------------------ lists of steps


@pytest.mark.parametrize(
    ("model", "steps", "wrong", "after"),
    [
        (
            "exp(-x**2/2)",
            ["u = x**2", "y = exp(-u/2)", "dy/du = -y", "du/dx = 2*x", "dy/dx = dy/du * du/dx"],
            ("dy/du",),
            "-y / 2",
        ),
        (
            "tanh(w*tanh(w*x))",
            "h1 = tanh(w*x)\nz = w*h1\nh = tanh(z)\ndh1/dw = (1 - (w*x)**2)*x\ndz/dw = h1 + w*dh1/dw\n"
            "dh/dw = (1 - h**2)*dz/dw",
            ("dh1/dw",),
            "(1 - h1**2)*x",
        ),
        ("(2*a + b)*a", ["s = 2*a + b", "f = s*a", "ds/da = 2", "df/da = ds/da*a"], ("df/da",), "ds/da*a + s"),
    ],
)
def test_a_list_of_steps_is_repaired_in_its_own_spelling(model, steps, wrong, after):
    report = verify(model, steps)
    assert report.wrong_steps == wrong
    (repair,) = report.repairs
    assert (repair.after, repair.proved) == (after, True)
    assert verify(model, report.repaired_source, wrt=list(report.claims)).verdict == "proved"


def test_what_is_returned_for_each_input_is_a_line_of_its_own():
    def hand(a, b):
        return {"a": b * torch.exp(a * b) + a, "b": a * torch.exp(a)}

    report = verify(lambda a, b: torch.exp(a * b) + a**2, hand, at={"a": 1.2, "b": 0.4})
    assert [(r.step, r.after) for r in report.repairs] == [
        ("a", "b * torch.exp(a * b) + 2 * a"),
        ("b", "a * torch.exp(a * b)"),
    ]
