"""The formulas of the peers' table are read rightly: each has the value that Python gives it."""

import pytest
from benchmarks.peers import FORMULAS, readers, reading


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_has_the_value_that_it_has_in_python(text):
    name, ours = next(readers())
    assert name == "symgrad"
    assert reading(ours, text)[0] == "rightly"
