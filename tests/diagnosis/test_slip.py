"""What is said of a repaired line is true of the line's own function."""

from symgrad import verify_script

MASK = """
import numpy as np

def forward(x, w):
    return np.maximum(0, x @ w), (x @ w, x)

def backward(dout, cache):
    x, inputs = cache
    return inputs.T @ (dout * (dout > 0))

rng = np.random.default_rng(0)
x = rng.normal(size=(4, 3))
w = rng.normal(size=(3, 2))
t = rng.normal(size=(4, 2))
out, cache = forward(x, w)
loss = np.sum((out - t) ** 2)
dw = backward(2 * (out - t), cache)
w -= 0.1 * dw
"""


def test_a_name_is_told_as_what_it_is_in_the_function_that_is_repaired():
    """The script has an x too, and it is another one."""
    (repair,) = verify_script(MASK).repairs
    assert repair.after == "inputs.T @ (dout * (x > 0))"
    assert repair.why == "dout stands where x belongs."
