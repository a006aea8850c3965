"""What autograd is asked about its own gradients: second derivatives, and penalties on gradients."""

import pytest

from symgrad import verify_script

NETWORK = """
import torch
torch.manual_seed(0)
W, b, a = torch.randn(1, 3).double(), torch.randn(3).double(), torch.randn(3, 1).double()
x = torch.linspace(0, 1, 4).double().reshape(-1, 1).requires_grad_(True)
u = torch.tanh(x @ W + b) @ a
ux = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
uxx = torch.autograd.grad(ux.sum(), x)[0]
t = torch.tanh(x @ W + b)
ux_hand = ((1 - t**2) * W) @ a
uxx_hand = (-2 * t * (1 - t**2) * W**2) @ a
print((ux - ux_hand).abs().max(), (uxx - uxx_hand).abs().max())
"""


@pytest.mark.slow
def test_a_second_derivative_is_judged_beside_the_first():
    # d2/dx2 of sum_k a_k tanh(w_k x + b_k) is sum_k -2 a_k w_k^2 tanh(z_k) (1 - tanh(z_k)^2)
    report = verify_script(NETWORK)
    assert report.ok
    assert len(report.claims) == 2


def test_a_slip_in_the_second_derivative_is_refuted():
    report = verify_script(NETWORK.replace("W**2", "W"))
    assert report.verdict == "refuted"
    assert [claim.verdict.kind for claim in report.claims.values()].count("refuted") == 1
    assert report.wrong_steps == ("uxx_hand",)


PENALTY = """
import torch
A = torch.tensor([[2.0, 1.0], [0.5, 3.0]], dtype=torch.float64)
x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
value = x @ A @ x
g = torch.autograd.grad(value, x, create_graph=True)[0]
penalty = (g * g).sum()
penalty.backward()
grad = 2 * (A + A.T) @ (A + A.T) @ x
print(x.grad, grad)
"""


@pytest.mark.slow
def test_a_penalty_on_a_gradient_is_differentiated_through_it():
    # g = (A + A') x, and the derivative of g'g is 2 (A + A')' (A + A') x
    assert verify_script(PENALTY).verdict == "proved"


@pytest.mark.slow
def test_a_factor_that_a_penalty_lacks_is_found():
    report = verify_script(PENALTY.replace("2 * (A", "(A"))
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("grad",)
