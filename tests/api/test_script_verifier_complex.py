"""Scripts with complex numbers: why an imaginary part is gone, and where a factor 2 and a conjugate come from."""

import pytest
import torch

from symgrad import verify, verify_script

REAL_WEIGHTS = """
import torch
w = torch.tensor([1., 2.], requires_grad=True)
a = torch.tensor([1 + 1j, 2 - 1j])
y = (a * w * (2 + 3j)).sum()
y.backward(gradient=torch.tensor({cotangent}))
dw = {dw}
print(w.grad)
print(dw)
"""


@pytest.mark.slow
@pytest.mark.parametrize("cotangent", ["1 + 0j", "0.5 - 2j"])
def test_autograd_gives_real_weights_a_real_gradient(cotangent: str):
    right = f"(a * (2 + 3j) * ({cotangent}).conjugate()).real"
    space: dict = {}
    exec(REAL_WEIGHTS.format(cotangent=cotangent, dw=right).replace("print", "abs"), space)
    torch.testing.assert_close(space["w"].grad, space["dw"])
    assert verify_script(REAL_WEIGHTS.format(cotangent=cotangent, dw=right)).ok

    report = verify_script(REAL_WEIGHTS.format(cotangent=cotangent, dw=right.removesuffix(".real")))
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("dw",)
    assert "The input is real, and so is its gradient: autograd differentiates the real\n    part" in str(report)
    assert ".real" in report.repairs[0].after


def test_two_variables_of_which_one_is_complex_are_not_one_input():
    text = REAL_WEIGHTS.format(cotangent="1 + 0j", dw="(a * (2 + 3j)).real").replace("[1 + 1j, 2 - 1j]", "[1 + 1j, 2.]")
    assert not any("are those of" in note for note in verify_script(text).notes)


@pytest.mark.slow
def test_the_factor_two_and_the_conjugate_of_torchs_gradient():
    text = """
import torch
z = torch.tensor([1 + 2j, 0.5 - 1j], requires_grad=True)
L = (z.abs()**2).sum()
L.backward()
dz = {}
print(z.grad, dz)
"""
    assert verify_script(text.format("2 * z.detach()")).verdict == "proved"
    half = verify_script(text.format("z.detach()"))
    assert half.repairs[0].after == "2 * z.detach()"
    assert "which is 2*dL/dconj(z): twice the derivative" in half.repairs[0].why
    turned = verify_script(text.format("z.detach().conj()"))
    assert turned.verdict == "refuted"
    assert "dL/dx + i*dL/dy = 2*dL/dconj(z)." in " ".join(str(turned).split())


def test_the_derivative_of_a_complex_function_of_a_real_input_is_told_from_torchs():
    def model(w):
        return (w * torch.tensor(2 + 3j)).sum()

    report = verify(model, lambda w: {"w": torch.full((2,), 2 + 3j)}, at={"w": torch.tensor([1.0, 2.0])})
    assert report.ok
    assert "torch's gradient of a real input is the real part of it." in " ".join(str(report).split())


def test_the_size_of_a_complex_number_by_its_parts():
    """L = |c sum(v)|**2 for c = 1 - 2i, whose slope in each entry of v is 2 |c|**2 sum(v)."""
    text = """
import torch
v = torch.tensor([0.5, -1.5, 2.0], requires_grad=True)
u = ((1 - 2j) * v).sum()
L = u.real**2 + u.imag**2
L.backward()
dv = {} * v.detach().sum() * torch.ones(3)
print(v.grad, dv)
"""
    assert verify_script(text.format("10")).verdict == "proved"
    assert verify_script(text.format("5")).verdict == "refuted"
