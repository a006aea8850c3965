"""Chains whose ends stay where they are: zeros that are written into a gradient hold the entries in their places."""

import pytest

from symgrad import verify_script

CHAIN = """
import numpy as np
s = np.linspace(0, 1, 5)
x = np.stack([s, 0.3 * np.sin(7 * s)], axis=1)

def energy(x):
    d = x[1:] - x[:-1]
    return 0.5 * np.sum(d ** 2) + 0.1 * np.sum(x[:, 1] ** 4)

def gradient(x):
    g = np.zeros_like(x)
    d = x[1:] - x[:-1]
    g[1:] += d
    g[:-1] -= d
    g[:, 1] += 0.4 * x[:, 1] ** 3
    return g

for it in range(3):
    G = gradient(x)
    G[0] = 0
    G[-1] = 0
    x = x - 0.01 * G
print(energy(x))
"""


def test_a_gradient_with_held_ends_is_right():
    report = verify_script(CHAIN)
    assert report.verdict == "proved"
    assert any("`G` that are set to 0 in line 20, 21" in note for note in report.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "held", ["G[[0, -1]] = 0.0", "G[0] = G[-1] = 0", "G[np.array([True, 0, 0, 0, True], bool)] = 0"]
)
def test_however_the_ends_are_held(held):
    code = CHAIN.replace("    G[-1] = 0\n", "").replace("G[0] = 0", held)
    assert verify_script(code).verdict == "proved"


@pytest.mark.slow
def test_a_slip_between_the_ends_is_found_and_the_lines_that_hold_them_are_not_blamed():
    report = verify_script(CHAIN.replace("g[:-1] -= d", "g[:-1] += d"))
    assert report.verdict == "refuted"
    assert [r.after for r in report.repairs] == ["-d"]


@pytest.mark.slow
def test_an_entry_of_a_parameter_that_gets_no_gradient_by_mistake_is_wrong():
    # nothing is written over here: the loop leaves the last entry out
    code = """
import numpy as np
X, y = np.array([[1.0, 2.0], [0.5, -1.0], [2.0, 0.3]]), np.array([1.0, 0.0, 2.0])
w = np.array([0.1, 0.2])
for it in range(3):
    loss = 0.5 * np.sum((X @ w - y) ** 2)
    grad = np.zeros(2)
    for j in range(1):
        grad[j] = (X @ w - y) @ X[:, j]
    w = w - 0.1 * grad
"""
    assert verify_script(code).verdict == "refuted"
