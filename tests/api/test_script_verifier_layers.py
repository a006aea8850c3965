"""A layer by itself: what its backward pass gives is the gradient of its output, weighted by what is passed back."""

import re

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput

LAYER = """
import numpy as np

class LeakyReLU:
    def __init__(self, a=0.1):
        self.a = a
    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.a * x)
    def backward(self, dout):
        dx = dout.copy()
        dx[self.x < 0] {} self.a
        return dx

np.random.seed(0)
x, dout = np.random.randn(3, 4), np.random.randn(3, 4)
layer = LeakyReLU()
layer.forward(x)
dx = layer.backward(dout)
num = np.zeros_like(x)
for i in np.ndindex(*x.shape):
    old = x[i]
    x[i] = old + 1e-5
    high = np.sum(layer.forward(x) * dout)
    x[i] = old - 1e-5
    low = np.sum(layer.forward(x) * dout)
    x[i] = old
    num[i] = (high - low) / 2e-5
print(np.abs(num - dx).max())
"""


@pytest.mark.slow
def test_a_layer_is_judged_with_what_is_passed_back():
    assert verify_script(LAYER.format("*=")).verdict == "proved"


@pytest.mark.slow
def test_what_is_passed_on_is_no_gradient_of_the_input_weighted_by_itself():
    """``dx`` is first a copy of ``dout``, which is the gradient of the sum of ``x * dout``, and of nothing here."""
    with pytest.raises(BadInput, match="nothing in it says what is differentiated") as asked:
        verify_script(LAYER.format("="))
    assert "output='high', gradients={'x': 'dx'}" in str(asked.value)
    report = verify_script(LAYER.format("="), output="high", gradients={"x": "dx"})
    assert report.verdict == "refuted"
    assert re.search(r"yours +0\.1\n", str(report))  # what stands in dx at its end, and not before
