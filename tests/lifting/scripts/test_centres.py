"""The function that a difference quotient is of, where the script computes it at the moved points alone."""

import pytest

from symgrad import verify_script
from symgrad.errors import BadInput

ACTIVATION = """
import numpy as np

def elu(z):
    return np.where(z > 0, z, np.exp(z) - 1)

def slope(z):
    out = np.ones_like(z)
    below = z <= 0
    out[below] = {}
    return out

z = np.array([-1.0, 0.5, 2.0, -0.3])
h = 1e-6
print(np.abs((elu(z + h) - elu(z - h)) / (2 * h) - slope(z)).max())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "verdict"),
    [("np.exp(z[below])", "proved"), ("np.exp(z)[below]", "proved"), ("np.exp(z[below]) - 1", "refuted")],
)
def test_of_a_function_entry_by_entry_it_is_the_slope_of_each(line, verdict):
    report = verify_script(ACTIVATION.format(line))
    assert report.verdict == verdict
    assert any("the sum of `elu`" in note for note in report.notes)


def test_a_function_that_mixes_its_entries_is_not_taken_for_one_by_entries():
    """All entries are moved at once: its quotient is another thing than the gradient of its sum."""
    mixed = ACTIVATION.format("np.exp(z[below])").replace("np.exp(z) - 1)", "np.exp(z) - 1) * np.cumsum(z)")
    mixed = mixed.replace("return out", "return out * np.cumsum(z) + np.where(z > 0, z, np.exp(z) - 1) * [1, 2, 3, 4]")
    with pytest.raises(BadInput):
        verify_script(mixed)


CHAIN = """
import numpy as np

def f(w):
    h = 0.1
    for k in range(300):
        h = np.sin(w + h)
    return h

def slope(w):
    h, dh = 0.1, 0.0
    for k in range(300):
        dh = np.cos(w + h) * (1 + dh)
        h = np.sin(w + h)
    return dh

w, e = 0.3, 1e-5
print((f(w + e) - f(w - e)) / (2 * e), slope(w))
"""


@pytest.mark.slow
def test_a_long_chain_of_operations_is_followed_to_its_end():
    assert verify_script(CHAIN).ok
