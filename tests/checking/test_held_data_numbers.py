"""Numbers that code reads by a name: what is right for the given one alone is not right, or says so."""

from __future__ import annotations

import pytest
import torch

from symgrad import verify, verify_script

X = torch.tensor([0.3, -0.7, 1.9], dtype=torch.float64)
share = 0.5
temperature = 1.0

ELASTIC_NET = """

import torch
X = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.7]])
y = torch.tensor([1.0, 2.0, -1.0])
a = 0.5
weight = 0.3
w = torch.tensor([0.4, -0.6], requires_grad=True)
loss = ((X @ w - y) ** 2).sum() / 2 + weight * (a * w.abs().sum() + (1 - a) * (w**2).sum() / 2)
loss.backward()
v = w.detach()
dw = X.T @ (X @ v - y) + weight * ({})
print(w.grad, dw)
"""


@pytest.mark.parametrize(
    ("tail", "verdict"), [("a * v.sign() + (1 - a) * v", "proved"), ("(1 - a) * v.sign() + a * v", "refuted")]
)
def test_a_number_that_a_script_names_is_moved(tail, verdict):
    report = verify_script(ELASTIC_NET.format(tail))
    assert report.verdict == verdict
    if verdict == "refuted":
        assert str(report).startswith("Right for your a only")
        assert report.claims["w"].witness.point["a"] != 0.5
        assert report.wrong_steps == ()


def mixed(x):
    return (share * x**2 + (1 - share) * torch.sin(x)).sum()


def mixed_by_default(x, part=0.5):
    return (part * x**2 + (1 - part) * torch.sin(x)).sum()


def swapped_by_default(x, part=0.5):
    return 2 * (1 - part) * x + part * torch.cos(x)


def test_globals_defaults_and_variables_around_a_function_are_moved():
    rate = 0.25

    def scaled(x):
        return (rate * x**2).sum()

    questions = {
        "share": (
            mixed,
            lambda x: 2 * share * x + (1 - share) * torch.cos(x),
            lambda x: 2 * (1 - share) * x + share * torch.cos(x),
        ),
        "part": (mixed_by_default, lambda x, part=0.5: 2 * part * x + (1 - part) * torch.cos(x), swapped_by_default),
        "rate": (scaled, lambda x: 2 * rate * x, lambda x: 8 * rate**2 * x),
    }
    for name, (model, right, wrong) in questions.items():
        assert verify(model, right, at={"x": X}).verdict == "proved"
        report = verify(model, wrong, at={"x": X})
        assert report.verdict == "refuted"
        assert str(report).startswith(f"Right for your {name} only")
    assert (share, rate, mixed_by_default.__defaults__) == (0.5, 0.25, (0.5,))


def test_a_number_that_the_hand_formula_leaves_out_or_types_is_told():
    """It may have been put in: the gradient is right as it stands, for this number."""

    def model(x):
        return torch.logsumexp(x / temperature, 0) * temperature

    report = verify(model, lambda x: torch.softmax(x, 0), at={"x": X})
    assert report.verdict == "agrees"
    assert str(report).startswith("Right for your temperature only")
    assert "What follows is for your temperature." in str(report)
    both = verify(lambda x, y: model(x) + y**2, lambda x, y: (torch.softmax(x, 0), y), at={"x": X, "y": 0.5})
    assert "y is not the derivative (x is right for your temperature only)." in str(both).replace("\n", " ")
    assert verify(model, lambda x: torch.softmax(x / temperature, 0), at={"x": X}).verdict == "proved"


def test_counts_known_numbers_and_numbers_that_follow_from_others_are_not_held_against_a_gradient():
    length, rest, keep, turn = 3.0, 0.4, 0.6, 3.14159

    def model(x):
        return (x**2).sum() / length + keep * torch.sin(turn * x).sum()

    def hand(x):
        return 2 * x / len(x) + (1 - rest) * turn * torch.cos(turn * x)

    report = verify(model, hand, at={"x": X})
    assert report.ok
    assert all(c.verdict.kind != "refuted" for c in report.claims.values())
    assert "only" in str(report)


def test_what_the_model_does_not_read_is_the_hand_formulas_own():
    """A backward pass begins with 1, and its result is what it is multiplied with."""

    def hand(x, upstream=1.0, two=2.0):
        return upstream * two * x

    assert verify(lambda x: (x**2).sum(), hand, at={"x": X}).verdict == "proved"


def test_an_exponent_is_a_number_like_others():
    power = 2.0

    def model(x):
        return (x**power).sum()

    assert verify(model, lambda x: power * x ** (power - 1), at={"x": X.abs()}).ok
    report = verify(model, lambda x: power * x, at={"x": X.abs()})
    assert report.verdict == "refuted"
    assert str(report).startswith("Right for your power only")
    typed = verify(model, lambda x: 2 * x, at={"x": X.abs()})
    assert typed.verdict == "agrees"
    assert str(typed).startswith("Right for your power only")


POOLING = """
import numpy as np
rng = np.random.default_rng(0)
H, q, v, target = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3), 0.5
a = np.exp(H @ q)
a = a / a.sum()
loss = 0.5 * (a @ H @ v - target) ** 2
dc = (a @ H @ v - target) * v
da = H @ dc
ds = a * (da - da.sum())
dq = H.T @ ds
q -= 0.1 * dq
"""


@pytest.mark.slow
def test_a_repaired_script_is_run_with_the_other_numbers_itself():
    """Not the script as it was, of which the slip would be found again for each other number."""
    (repair,) = verify_script(POOLING).repairs
    assert repair.line == 10
    assert "only" not in repair.why
