"""Scripts in which several layouts have one shape: square weights, as many samples as units, an input reshaped."""

import pytest

from symgrad.api.script_verifier import verify_script

NET = """
import numpy as np
rng = np.random.default_rng(0)
X, T = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
W, b = rng.normal(size=(3, 3)), np.zeros(3)
V, c = rng.normal(size=(3, 3)), np.zeros(3)
for step in range(5):
    H = np.tanh(X @ W + b)
    Y = H @ V + c
    loss = ((Y - T) ** 2).mean()
    dY = 2 * (Y - T) / Y.size
    dV = H.T @ dY
    dc = dY.sum(axis=0)
    dH = dY @ V.T
    dZ = dH * (1 - H**2)
    dW = X.T @ dZ
    db = dZ.sum(axis=0)
    W -= 0.1 * dW; b -= 0.1 * db
    V -= 0.1 * dV; c -= 0.1 * dc
"""
RESHAPED = """
import numpy as np
rng = np.random.default_rng(0)
x, K, t = rng.normal(size=(2, 8)), rng.normal(size=(4, 4)), rng.normal(size=(4, 4))
X = x.reshape(4, 4)
loss = ((X @ K - t) ** 2).sum()
dY = 2 * (X @ K - t)
dK = X.T @ dY
dX = dY @ K.T
dx = dX.reshape(2, 8)
print(dK, dx)
"""


@pytest.mark.parametrize("script", [NET, RESHAPED], ids=["a net", "a reshaped input"])
def test_the_right_layouts_are_right(script):
    report = verify_script(script)
    assert report.verdict == "proved", str(report)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "line", "fault", "wrong"),
    [
        (NET, "dV = H.T @ dY", "dV = dY.T @ H", "V"),
        (NET, "dW = X.T @ dZ", "dW = X @ dZ", "W"),
        (NET, "dc = dY.sum(axis=0)", "dc = dY.sum(axis=1)", "c"),
        (NET, "db = dZ.sum(axis=0)", "db = dZ.sum(axis=1)", "b"),
        (RESHAPED, "dx = dX.reshape(2, 8)", "dx = dX.T.reshape(2, 8)", "x"),
        (RESHAPED, "dx = dX.reshape(2, 8)", "dx = dX.reshape(2, 8, order='F')", "x"),
        (RESHAPED, "dK = X.T @ dY", "dK = dY.T @ X", "K"),
    ],
)
def test_another_layout_of_the_same_shape_is_wrong_and_its_line_is_named(script, line, fault, wrong):
    report = verify_script(script.replace(line, fault))
    assert {n for n, claim in report.claims.items() if claim.kind == "refuted"} == {wrong}, str(report)
    assert report.wrong_steps == (line.split(" ")[0],)
