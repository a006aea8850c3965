"""A script that trains for long is followed for its first turns."""

from symgrad import verify_script

TRAINS = """
import numpy as np
rng = np.random.default_rng(0)
X = rng.normal(size=(6, 3)); y = rng.normal(size=6)
w = np.zeros(3)
for step in range(100000):
    r = X @ w - y
    loss = (r**2).sum() / len(y)
    dw = 2 * X.T @ r / len(y)
    w = w - 0.05 * dw
print(loss)
"""


def test_a_loop_of_a_hundred_thousand_turns_is_judged_by_its_first():
    report = verify_script(TRAINS)
    assert report.verdict == "proved"
    assert any("a loop goes on, and its first turns tell what it does" in n for n in report.notes)


def test_a_slip_in_it_is_found():
    report = verify_script(TRAINS.replace("2 * X.T @ r / len(y)", "2 * X.T @ r"))
    assert report.verdict == "refuted"
    assert report.wrong_steps == ("dw",)
