"""Hessians and Jacobians of a script beside differences: of a gradient, of several values, or second differences."""

import pytest

from symgrad import verify_script


def kinds(report):
    return {name: claim.verdict.kind for name, claim in report.claims.items()}


def wrong_and_right(text, right, wrong):
    """The kinds of what a script claims with each text in its place."""
    return tuple(kinds(verify_script(text.replace("CLAIM", t))) for t in (right, wrong))


@pytest.mark.slow
def test_a_jacobian_stands_as_the_differences_stand():
    """The columns of one are the rows of the other; it is not symmetrical, so that it matters which."""
    columns = """
import numpy as np
def f(v):
    return np.array([v[0]**2 * v[1], 5*v[0] + np.sin(v[1]), v[0]*v[1]])
def jac(v):
    return CLAIM
v = np.array([0.7, -1.3])
J = np.empty((3, 2))
for k in range(2):
    high = v.copy(); high[k] += 1e-6
    low = v.copy(); low[k] -= 1e-6
    J[:, k] = (f(high) - f(low)) / 2e-6
print(np.max(np.abs(J - jac(v))))
"""
    own = "np.array([[2*v[0]*v[1], v[0]**2], [5, np.cos(v[1])], [v[1], v[0]]])"
    assert wrong_and_right(columns, own, own.replace("np.cos", "-np.cos")) == ({"v": "proved"}, {"v": "refuted"})
    rows = columns.replace("J[:, k]", "J[k]").replace("(3, 2)", "(2, 3)")
    assert kinds(verify_script(rows.replace("CLAIM", f"{own}.T"))) == {"v": "proved"}


@pytest.mark.slow
def test_a_hessian_beside_differences_of_a_gradient():
    text = """
import numpy as np
def grad(w):
    return np.array([np.exp(w[0]) * w[1], np.exp(w[0]) + 2*w[1]])
def hess(w):
    return np.array([[np.exp(w[0]) * w[1], np.exp(w[0])], [np.exp(w[0]), CLAIM]])
w = np.array([0.3, 0.8])
eps = 1e-5
H = np.zeros((2, 2))
for i in range(2):
    e = np.zeros(2)
    e[i] = eps
    H[:, i] = (grad(w + e) - grad(w - e)) / (2 * eps)
print(np.abs(H - hess(w)).max())
"""
    assert wrong_and_right(text, "2", "1") == ({"w": "proved"}, {"w": "refuted"})


@pytest.mark.slow
def test_a_hessian_beside_second_differences():
    text = """
import numpy as np
def f(x):
    return (1 - x[0])**2 + 100*(x[1] - x[0]**2)**2
def hess(x):
    return np.array([[2 - 400*x[1] + CLAIM*x[0]**2, -400*x[0]], [-400*x[0], 200]])
x, h, I = np.array([1.2, 0.7]), 1e-4, np.eye(2)
H = np.zeros((2, 2))
for i in range(2):
    for j in range(2):
        H[i, j] = (f(x + h*I[i] + h*I[j]) - f(x + h*I[i]) - f(x + h*I[j]) + f(x)) / h**2
print(H)
print(hess(x))
"""
    right, wrong = (verify_script(text.replace("CLAIM", t)) for t in ("1200", "400"))
    assert kinds(right) == {"x": "proved"}
    assert "Hessian" in str(right)
    assert kinds(wrong) == {"x": "refuted"}


@pytest.mark.parametrize("beside", ["print(num, g)", "print(np.abs(num - g).max())"])
def test_a_gradient_beside_differences_of_one_number_stays_a_gradient(beside):
    text = f"""
import numpy as np
def f(x):
    return np.sum(np.exp(x))
x = np.array([0.1, 0.4])
g = np.exp(x)
num = np.zeros(2)
for k in range(2):
    e = np.zeros(2); e[k] = 1e-6
    num[k] = (f(x + e) - f(x - e)) / 2e-6
{beside}
"""
    assert kinds(verify_script(text)) == {"x": "proved"}
