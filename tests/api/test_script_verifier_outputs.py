"""Scripts whose output is not where their gradients are: it is in a function, every so many turns, or in a solver."""

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput

QUADRATIC = """
import numpy as np
from scipy import optimize
A = np.array([[3.0, 0.5], [0.5, 1.0]])
def {f}(w):
    return 0.5 * w @ A @ w + np.sum(np.exp(w))
def {g}(w):
    return {factor}A @ w + np.exp(w)
start = np.array([0.3, -0.2])
{asked}
"""


def verdicts(script: str) -> dict[str, str]:
    return {n: c.verdict.kind for n, c in verify_script(script).claims.items()}


@pytest.mark.parametrize(
    "asked",
    [
        "found = optimize.minimize(height, start, jac=slope, method='BFGS')\nprint(found.x, found.fun)",
        "print(optimize.check_grad(height, slope, start))",
        pytest.param("print(optimize.fmin_l_bfgs_b(height, start, fprime=slope)[0])", marks=pytest.mark.slow),
        pytest.param("optimize.minimize(lambda w: (height(w), slope(w)), start, jac=True).x", marks=pytest.mark.slow),
    ],
)
def test_a_function_and_its_derivative_that_a_solver_is_given_are_a_pair(asked: str):
    right = QUADRATIC.format(f="height", g="slope", factor="", asked=asked)
    assert verdicts(right) == {"start": "proved"}
    assert verdicts(right.replace("return A @", "return 2 * A @")) == {"start": "refuted"}


RESIDUALS = """
import numpy as np
from scipy.optimize import {solver}
t = np.array([0.0, 0.5, 1.0, 2.0])
y = np.array([2.0, 1.2, 0.8, 0.3])
{functions}
"""


@pytest.mark.parametrize(
    ("solver", "functions"),
    [
        (
            "least_squares",
            "def off(p):\n    return p[0] * np.exp(-p[1] * t) - y\n"
            "def jac(p):\n    e = np.exp(-p[1] * t)\n    return np.stack([e, -p[0] * t * e], axis=1)\n"
            "least_squares(off, [1.0, 1.0], jac=jac).x",
        ),
        pytest.param(
            "curve_fit",
            "def f(t, a, b):\n    return a * np.exp(-b * t)\n"
            "def jac(t, a, b):\n    e = np.exp(-b * t)\n    return np.stack([e, -a * t * e], axis=1)\n"
            "best, _ = curve_fit(f, t, y, p0=[1.0, 1.0], jac=jac)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_jacobian_is_judged_in_all_its_entries(solver: str, functions: str):
    script = RESIDUALS.format(solver=solver, functions=functions)
    assert set(verdicts(script).values()) == {"proved"}
    assert set(verdicts(script.replace("t * e], axis", "e], axis")).values()) == {"refuted"}


def test_the_output_is_what_the_gradients_function_is_called_after():
    """Nothing else is right here, and no name but the function's own says what is differentiated."""
    descent = (
        "w = start\nfor k in range(300):\n    w = w - 0.1 * grad_bowl(w)\n    if k % 100 == 99:\n        print(bowl(w))"
    )
    script = QUADRATIC.format(f="bowl", g="grad_bowl", factor="", asked=descent)
    assert verdicts(script) == {"w": "proved"}
    assert verdicts(script.replace("return A @", "return 2 * A @")) == {"w": "refuted"}


FACTORS = """
import numpy as np
class Factors:
    def __init__(self, R):
        rng = np.random.RandomState(0)
        self.R, self.P, self.Q = R, rng.rand(3, 2), rng.rand(4, 2)
    def objective(self):
        return 0.5 * np.sum((self.R - self.P @ self.Q.T) ** 2) + 0.05 * np.sum(self.P ** 2)
    def gradients(self):
        e = self.R - self.P @ self.Q.T
        return -e @ self.Q + 0.1 * self.P, -e.T @ self.P
    def train(self):
        for k in range(100):
            gP, gQ = self.gradients()
            {update}
            if k % 50 == 49:
                print(self.objective())
Factors(np.arange(12.0).reshape(3, 4) / 10).train()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "update",
    [
        "self.P -= 0.01 * gP; self.Q -= 0.01 * gQ",
        "for n, g in (('P', gP), ('Q', gQ)): setattr(self, n, getattr(self, n) - 0.01 * g)",
        "for n, g in (('P', gP), ('Q', gQ)): vars(self)[n] = vars(self)[n] - 0.01 * g",
    ],
)
def test_an_objective_that_is_told_now_and_then_is_computed_where_its_gradients_are(update: str):
    script = FACTORS.format(update=update)
    assert verdicts(script) == {"P": "proved", "Q": "proved"}
    assert verdicts(script.replace("0.1 * self.P,", "0.1 * self.Q.mean(0),"))["P"] == "refuted"


LISTS = """
def cost(w):
    return (w[0] - 1.0) ** 2 + w[0] * w[1] ** 2
def slope(w):
    return [2 * (w[0] - 1.0) + w[1] ** 2, 2 * w[0] * w[1]]
w = [0.5, 0.25]
for k in range(40):
    d = slope(w)
    print(cost(w))
    w = [a - 0.1 * b for a, b in zip(w, d)]
"""


def test_a_list_is_updated_entry_by_entry():
    assert set(verdicts(LISTS).values()) == {"proved"}
    assert "refuted" in verdicts(LISTS.replace("2 * w[0] * w[1]", "w[0] * w[1]")).values()


@pytest.mark.slow
def test_variables_of_the_module_are_updated_by_their_names():
    script = """
import numpy as np
x, y = np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.0, 3.0])
a, b = np.array([0.3]), np.array([0.1])
for k in range(30):
    e = a * x + b - y
    loss = np.mean(e ** 2)
    g = {"a": np.array([2 * np.mean(e * x)]), "b": np.array([2 * np.mean(e)])}
    for n in g:
        globals()[n] = globals()[n] - 0.1 * g[n]
"""
    assert verdicts(script) == {"a": "proved", "b": "proved"}
    assert verdicts(script.replace("np.mean(e)])", "np.sum(e)])")) == {"a": "proved", "b": "refuted"}


@pytest.mark.slow
def test_an_average_that_runs_along_is_no_parameter():
    """And what is one of a sum is not the gradient, though it may be that of another value on the way."""
    script = """
import numpy as np
w, seen = np.array([0.2, -0.4]), np.zeros(2)
def height(w, c):
    s = np.sum(np.sin(w) * c)
    return s ** 2 + 0.1 * np.sum(w ** 2)
def height_grad(w, c):
    data = 2 * np.sum(np.sin(w) * c) * np.cos(w) * c
    pull = 0.2 * w
    return data + pull
for k in range(60):
    c = np.array([1.0, 0.5]) + seen
    seen = seen + 0.1 * (w - seen)
    w = w - 0.05 * height_grad(w, c)
    if k % 20 == 0:
        print(height(w, c))
"""
    assert verdicts(script) == {"w": "proved"}
    assert verdicts(script.replace("0.2 * w", "0.1 * w")) == {"w": "refuted"}


def test_a_solver_that_is_not_run_is_told():
    report = verify_script(
        QUADRATIC.format(f="height", g="slope", factor="", asked="optimize.minimize(height, start, jac=slope)")
    )
    assert "`minimize` was not run: what it is given was judged from the point where it begins." in report.notes


def test_a_solver_that_fails_is_told_and_what_it_is_given_is_judged():
    asked = "found = optimize.minimize(height, start, jac=slope, method='Bisection')\nprint(found.x)"
    report = verify_script(QUADRATIC.format(f="height", g="slope", factor="2 * ", asked=asked))
    assert report.verdict == "refuted"
    assert any("it fails: ValueError: Unknown solver" in n for n in report.notes)


def test_the_line_that_calls_a_function_and_its_gradient_is_advised_and_works():
    script = QUADRATIC.format(f="cost", g="grad_cost", factor="", asked="")
    with pytest.raises(BadInput, match="calls no function whose gradient") as asked:
        verify_script(script)
    _, _, line = str(asked.value).partition("to be judged: ")
    assert verdicts(script + line) == {"start": "proved"}


@pytest.mark.parametrize(
    ("slope", "verdict"), [("u * torch.cos(u * s)", "refuted"), ("s * torch.cos(u * s)", "proved")]
)
def test_a_function_that_is_called_where_it_is_printed_is_the_claim(slope, verdict):
    report = verify_script(f"""
import torch
def slope(s, u):
    return {slope}
s = torch.tensor(1.5)
u = torch.tensor(-0.75, requires_grad=True)
torch.sin(u * s).backward()
print(u.grad, slope(s, u.detach()))
""")
    assert report.verdict == verdict, str(report)
