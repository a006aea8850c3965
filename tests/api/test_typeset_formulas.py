"""The formulas that a post typesets are compared with its code, and never change the code's verdict."""

from pathlib import Path

import pytest

from symgrad import verify_script

POST = (Path(__file__).parent.parent / "posts" / "sigmoid_net.txt").read_text(encoding="utf-8")
SHORT = r"""
The cost is
$$J(\theta) = \frac{1}{2} \sum_{i=1}^{n} (\sum_{j=1}^{p} X_{ij} \theta_j - y_i)^2$$
and therefore
$$\frac{\partial J}{\partial \theta_k} = \sum_{i=1}^{n} (\sum_{j=1}^{p} X_{ij} \theta_j - y_i) X_{ik}.$$
In code:
```python
import torch
X = torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]])
y = torch.tensor([1.0, 0.5, -2.0])
theta = torch.tensor([0.5, -0.25], requires_grad=True)
J = 0.5 * ((X @ theta - y) ** 2).sum()
J.backward()
dtheta = X.T @ (X @ theta.detach() - y)
print(theta.grad, dtheta)
```
"""


def told(text: str) -> list[str]:
    report = verify_script(text)
    assert report.verdict == "proved", "what is typeset changes no verdict"
    return [note for note in report.notes if "formula" in note]


def test_the_formulas_of_the_second_post_are_those_of_its_code():
    assert told(POST) == [
        "The post's formula of f is what the code computes (proved), with u = linear1.weight, w = linear2.weight and "
        "x = inp.",
        "The post's formulas of ∂f/∂w and ∂f/∂u are the derivatives of what the code computes (proved).",
    ]


def test_formulas_beside_a_shorter_post():
    f, slope = told(SHORT)
    assert f == "The post's formula of J is what the code computes (proved), with X = X, theta = theta and y = y."
    assert slope == "The post's formula of ∂J/∂theta is the derivative of what the code computes (proved)."


@pytest.mark.parametrize(
    ("right", "wrong", "note"),
    [
        (r") X_{ik}.$$", r").$$", "The post's formula of ∂J/∂theta is not the derivative: in entry ["),
        (r"\frac{1}{2} \sum_{i=1}", r"\frac{1}{3} \sum_{i=1}", "The formula of J above line 5 was not compared"),
        (r"X_{ik}.$$", r"\foo{ik}.$$", "The formula in line 5 was not compared with the code: "),
    ],
)  # fmt: skip
def test_a_formula_that_is_not_the_codes_is_told(right, wrong, note):
    assert right in SHORT
    assert any(n.startswith(note) for n in told(SHORT.replace(right, wrong)))


@pytest.mark.slow
def test_a_slip_in_the_formula_of_the_second_post():
    power = r"{(1+exp(-\sum \limits _{s=1} ^{d} u_{k,s} \cdot x_s))^2}"
    assert POST.count(power) == 1
    notes = told(POST.replace(power, power.replace("^2}", "}")))
    assert notes[1].startswith("The post's formula of ∂f/∂u is not the derivative: in entry [")
    assert notes[2] == "The post's formula of ∂f/∂w is the derivative of what the code computes (proved)."
