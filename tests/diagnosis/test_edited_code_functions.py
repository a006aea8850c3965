"""Repairs of autograd functions, judged by running them: torch.autograd.gradcheck must find them right."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from symgrad import verify_function

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


FILE = """import torch

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * g
"""


def test_a_class_of_a_file_that_is_no_imported_module_is_given_whole(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    spec = importlib.util.spec_from_file_location("mine", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    report = verify_function(module.Square, at={"x": (2,)})
    assert report.repaired_source.rstrip() == FILE.partition("\n\n")[2].replace("3 * x", "2 * x").rstrip()
