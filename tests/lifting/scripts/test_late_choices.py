"""What a script decides after a gradient was computed: it matters where it could have given another one."""

import pytest

from symgrad import verify_script

BEGINNING = """
import torch
x = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
f = x**2
f.backward()
"""

CHANGED_AFTER = {
    "assigned below a condition": """
dx = 2*x
if torch.exp(x) > 40:
    dx = dx + 1
print(x.grad, dx)
""",
    "returned below a condition": """
def grad(x):
    g = 2*x
    if torch.exp(x) > 40:
        return g + 1
    return g
print(x.grad, grad(x))
""",
    "by a flag": """
dx = 2*x
large = torch.exp(x) > 40
if large:
    dx = dx + 1
print(x.grad, dx)
""",
    "by a function that tells": """
def is_large(x):
    return torch.exp(x) > 40
dx = 2*x
if is_large(x):
    dx = dx + 1
print(x.grad, dx)
""",
    "a loop that is left": """
dx = 2*x
for k in range(3):
    if torch.exp(x) < 40:
        break
    dx = dx + 1
print(x.grad, dx)
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("rest", CHANGED_AFTER.values(), ids=CHANGED_AFTER)
def test_a_gradient_that_is_changed_after_a_choice_is_refuted_where_it_is(rest):
    report = verify_script(BEGINNING + rest)
    assert report.verdict == "refuted"
    assert report.claims["x"].witness.point["x"] > 3.6  # exp(3.7) is 40


BESIDE = {
    "what is printed": 'if torch.exp(x) > 1e300:\n    print("large")',
    "a flag of something else": "converged = f < -1\nif converged:\n    done = True",
    "a loop of something else": "for k in range(3):\n    if f < -1:\n        break\n    k = k + 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("rest", BESIDE.values(), ids=BESIDE)
def test_what_changes_nothing_of_it_costs_no_verdict(rest):
    """None of these comparisons ever comes out true."""
    assert verify_script(f"{BEGINNING}dx = 2*x\nprint(x.grad, dx)\n{rest}\n").verdict == "proved"


def test_the_line_is_found_and_repaired_though_the_own_point_does_not_come_to_it():
    report = verify_script(BEGINNING + CHANGED_AFTER["returned below a condition"])
    assert "return g\n    return g" in report.repaired_source


def test_a_whole_number_is_the_gradient_of_a_linear_function():
    script = BEGINNING.replace("x**2", "3*x") + "dx = {}\nprint(x.grad, dx)\n"
    assert verify_script(script.format(3)).ok
    assert verify_script(script.format(4)).verdict == "refuted"


HUBER = """
import torch

def huber(r):
    if abs(r) <= 1:
        return 0.5 * r**2
    return abs(r) - 0.5

def slope(r):
    if abs(r) <= 1:
        return r
    return {}

r = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
loss = huber(r)
loss.backward()
print("autograd:", r.grad.item(), "mine:", slope(r.detach()).item())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("line", "verdict"), [("torch.sign(r)", "proved"), ("r", "refuted")])
def test_what_a_function_gives_may_be_its_argument(line, verdict):
    """Of a square the gradient is the argument itself."""
    assert verify_script(HUBER.format(line)).verdict == verdict
