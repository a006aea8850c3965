"""What ``.grad`` of a tensor is the gradient of: ``backward`` adds to it, for the tensors that it is asked for.

The truth is the pencil's.
"""

import pytest

from symgrad import verify_script

START = """
import torch
w = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)
v = torch.tensor([0.25, 1.5], dtype=torch.float64, requires_grad=True)
first = ((w * v) ** 2).sum()
second = (w**3 * v).sum()
"""
SUMMED = """
first.backward()
second.backward()
g = 2 * w * v**2 + 3 * w**2 * v
print(torch.allclose(w.grad, g))
"""
CLEARED = SUMMED.replace("second.backward", "w.grad = None\nsecond.backward").replace("2 * w * v**2 + ", "")
FOR_SOME = """
first.backward(inputs=[w])
second.backward(inputs=v)
gw = 2 * w * v**2
gv = w**3
print(torch.allclose(w.grad, gw), torch.allclose(v.grad, gv))
"""
IN_PARTS = """
import torch
X = torch.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25], [-1.0, 1.0]], dtype=torch.float64)
w = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)
for k in range(2):
    loss = ((X[2 * k : 2 * k + 2] @ w) ** 2).sum() / 4
    loss.backward()
g = 2 * X.T @ (X @ w) / 4
print(w.grad, g)
"""


def verdicts(script: str) -> dict[str, str]:
    return {n: c.verdict.kind for n, c in verify_script(script).claims.items()}


@pytest.mark.parametrize("end", [SUMMED, CLEARED])
def test_gradients_that_were_added_up_are_that_of_a_sum(end: str):
    assert verdicts(START + end) == {"w": "proved"}


@pytest.mark.slow
def test_what_is_summed_is_told_and_a_missing_part_is_wrong():
    report = verify_script(START + SUMMED.replace("2 * w * v**2 + ", ""))
    assert report.verdict == "refuted"
    assert "I took `first + second` as the output, and `w` and `v` as its inputs." in report.notes


@pytest.mark.slow
def test_a_backward_pass_for_some_tensors_says_nothing_of_the_others():
    assert verdicts(START + FOR_SOME) == {"w": "proved", "v": "proved"}
    assert verdicts(START + FOR_SOME.replace("gw = 2 *", "gw =")) == {"w": "refuted", "v": "proved"}


@pytest.mark.slow
def test_the_parts_of_a_batch_add_up_to_its_gradient():
    assert verdicts(IN_PARTS) == {"w": "proved"}
    assert verdicts(IN_PARTS.replace("/ 4\nprint", "/ 2\nprint")) == {"w": "refuted"}


@pytest.mark.slow
def test_a_second_pass_over_the_same_loss_is_no_other_loss():
    """Autograd's is twice the gradient then, which is nothing that the formula is wrong in."""
    script = START + "for k in range(2):\n    loss = first * 1\n    loss.backward(retain_graph=True)\n"
    report = verify_script(script + "g = 2 * w * v**2\nprint(w.grad, g)\n")
    assert {n: c.verdict.kind for n, c in report.claims.items()} == {"w": "proved"}


TWO_LOSSES = """
import torch
x = torch.tensor([[1.0, 2.0], [0.5, -1.0], [2.0, 0.25]], dtype=torch.float64)
w = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)
v = torch.tensor([0.25, 1.5], dtype=torch.float64, requires_grad=True)
out = torch.tanh(x @ v) + x @ w
fit = (out**2).sum()
fit.backward(retain_graph=True, inputs=[w])
gain = torch.exp(out).sum()
gain.backward(inputs=[v])
error = 2 * out
gw = x.T @ error
slope = torch.exp(out)
gv = x.T @ (slope * (1 - torch.tanh(x @ v) ** 2))
print(torch.allclose(w.grad, gw), torch.allclose(v.grad, gv))
"""


@pytest.mark.slow
def test_a_line_that_another_right_gradient_comes_from_is_not_blamed():
    """With ``error = torch.exp(out)`` the second gradient is right, and the first one wrong."""
    assert verdicts(TWO_LOSSES) == {"w": "proved", "v": "proved"}
    report = verify_script(TWO_LOSSES.replace("x.T @ (slope", "x.T @ (error"))
    assert {n: c.verdict.kind for n, c in report.claims.items()} == {"w": "proved", "v": "refuted"}
    assert [r.line for r in report.repairs] == [14]
    assert set(verdicts(report.repaired_source).values()) == {"proved"}
