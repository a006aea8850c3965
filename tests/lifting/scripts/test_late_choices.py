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
def test_where_another_value_is_printed_beside_autograds_nothing_is_said_of_it():
    """``more`` is called as no gradient is, so that it is not known whether it is meant as one."""
    rest = "dx = 2*x\nmore = dx + 1\nprint(x.grad, more if torch.exp(x) > 40 else dx)\n"
    assert verify_script(BEGINNING + rest).verdict == "undecided"


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


BRACKETS = """
def tax(x):
    if x < 10: return 0.1*x
    elif x < 40: return 1 + 0.2*(x - 10)
    else: return 7 + 0.4*(x - 40)**1.1

def rate(x):
    if x < 10: return 0.1
    elif x < 40: return 0.2
    else: return {}

x, h = 25.0, 1e-5
print((tax(x + h) - tax(x - h))/(2*h), rate(x))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("line", "verdict"), [("0.44*(x - 40)**0.1", "proved"), ("0.4*(x - 40)**0.1", "refuted")])
def test_a_function_that_gives_a_plain_number_is_the_same_one_where_it_gives_another(line, verdict):
    """Whichever of its lines returns, and whether what it returns depends on x."""
    assert verify_script(BRACKETS.format(line)).verdict == verdict


@pytest.mark.slow
def test_a_number_that_the_code_decides_is_judged_on_each_branch():
    script = BEGINNING.replace("x**2", "3*x") + "dx = {} if x > 0 else 3\nprint(x.grad, dx)\n"
    assert verify_script(script.format(3)).ok
    report = verify_script(script.format(1).replace("0.4,", "-0.4,"))
    assert report.verdict == "refuted"
    assert str(report).startswith("Wrong on another branch of the code")


@pytest.mark.slow
@pytest.mark.parametrize(("line", "verdict"), [("1 if x > 0 else 0", "proved"), ("1 if x > 0 else 0.1", "refuted")])
def test_a_slope_may_be_a_whole_number(line, verdict):
    relu = "def relu(x): return x if x > 0 else 0\n"
    script = f"{relu}def drelu(x): return {line}\nx, h = 0.7, 1e-6\nprint((relu(x+h) - relu(x-h))/(2*h), drelu(x))\n"
    assert verify_script(script).verdict == verdict
