"""A script that gives a custom function to gradcheck asks whether its backward is right."""

import pytest

from symgrad import verify_script

SWISH = """
import torch
from torch.autograd import gradcheck

class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        s = torch.sigmoid(x)
        ctx.save_for_backward(x, s)
        return x * s

    @staticmethod
    def backward(ctx, grad_out):
        x, s = ctx.saved_tensors
        return grad_out * (s + x * SLOPE)

x = torch.randn(4, dtype=torch.double, requires_grad=True)
print(gradcheck(Swish.apply, (x,)))
"""


@pytest.mark.parametrize(("slope", "verdict"), [("s * (1 - s)", "proved"), ("s", "refuted")])
def test_the_function_is_judged_that_gradcheck_is_given(slope, verdict):
    report = verify_script(SWISH.replace("SLOPE", slope))
    assert report.verdict == verdict
    assert any("gives Swish to gradcheck" in n for n in report.notes)


def test_the_line_of_its_backward_is_repaired():
    report = verify_script(SWISH.replace("SLOPE", "s"))
    (repair,) = report.repairs
    assert (repair.line, repair.proved) == (15, True)
    assert repair.after == "grad_out * (s + x * (s * (1 - s)))"
    assert report.repaired_source is not None
    assert verify_script(report.repaired_source).verdict == "proved"  # it is the whole script
