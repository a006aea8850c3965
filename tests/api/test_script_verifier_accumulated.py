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


CRITIC_AND_ACTOR = """
import numpy as np
rng = np.random.default_rng(0)
real, z = rng.normal(1, 0.5, (4, 2)), rng.normal(0, 1, (4, 3))
G_W, D_W = rng.normal(0, 0.4, (3, 2)), rng.normal(0, 0.4, (2, 1))
def sigmoid(s):
    return 1 / (1 + np.exp(-s))
fake = np.tanh(z @ G_W)
d_real, d_fake = sigmoid(real @ D_W), sigmoid(fake @ D_W)
d_loss = -np.mean(np.log(d_real)) - np.mean(np.log(1 - d_fake))
g_loss = -np.mean(np.log(d_fake))
err_real, err_fake = (d_real - 1) / 4, d_fake / 4
dD_W = real.T @ err_real + fake.T @ err_fake
err_gen = (d_fake - 1) / 4
dfake = err_gen @ D_W.T
dG_W = z.T @ (dfake * (1 - fake**2))
D_W = D_W - 0.1 * dD_W
G_W = G_W - 0.1 * dG_W
"""


def test_a_gradient_of_the_other_loss_is_wrong_for_what_is_called_after_its_own():
    """The generator would descend the critic's loss: right for that one, wrong for its own."""
    assert verify_script(CRITIC_AND_ACTOR).verdict == "proved"
    report = verify_script(CRITIC_AND_ACTOR.replace("err_gen = (d_fake - 1) / 4", "err_gen = d_fake / 4"))
    assert {n: c.kind for n, c in report.claims.items()} == {"D_W": "proved", "G_W": "refuted"}
    assert [(r.step, r.proved) for r in report.repairs] == [("err_gen", True)]
