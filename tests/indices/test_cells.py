"""Formulas by the signs of what they compare: every combination of signs that has points is a cell, and no other one
need be."""

import itertools

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.indices.cells import cells
from symgrad.indices.equality import prove_equal, replay
from symgrad.indices.terms import RELU, STEP, IndexSum, tensor

i, j = sp.symbols("i j", integer=True)
n = sp.Symbol("n", integer=True, positive=True)
x, y = tensor("x", n), tensor("y", n)
u, v = x[i], y[i]

EQUAL = {
    "Huber's slope is a clamp": (
        STEP(1 - sp.Abs(u)) * u + (1 - STEP(1 - sp.Abs(u))) * sp.sign(u),
        (1 - STEP(u - 1)) * (STEP(u + 1) * u - (1 - STEP(u + 1))) + STEP(u - 1),
    ),
    "relu by its step": (RELU(u), u * STEP(u)),
    "|x| of two relus": (sp.Abs(u), RELU(u) + RELU(-u)),
    "soft threshold": (sp.sign(u) * RELU(sp.Abs(u) - 2), (u - 2) * STEP(u - 2) + (u + 2) * STEP(-u - 2)),
    "the larger of two, twice": (v + RELU(u - v), u + RELU(v - u)),
    "a window by two steps": (STEP(u + 3) - STEP(u - 3), STEP(3 - sp.Abs(u))),
    "a hinge of a product": (-v * STEP(1 - u * v), -v * (1 - STEP(u * v - 1))),
    "beside a function": (sp.Abs(sp.tanh(u)), sp.tanh(u) * sp.sign(sp.tanh(u))),
}
UNEQUAL = {
    "another edge": (STEP(u - 1), STEP(u - 2)),
    "another slope on one side": (sp.Abs(u), u * STEP(u) - 2 * u * (1 - STEP(u))),
    "an edge that is crossed in a thin strip": (STEP(u), STEP(u) - STEP(u) * STEP(sp.Rational(1, 1000) - u)),
    "another variable's sign": (u * STEP(v), u * STEP(u)),
}


@pytest.mark.parametrize(("left", "right"), EQUAL.values(), ids=EQUAL)
def test_what_is_equal_in_every_cell_is_proved(left, right):
    proof = prove_equal(left, right, sizes={i: n})
    assert proof is not None
    assert replay(proof)


@pytest.mark.parametrize(("left", "right"), UNEQUAL.values(), ids=UNEQUAL)
def test_what_differs_in_one_cell_is_not(left, right):
    assert prove_equal(left, right, sizes={i: n}) is None


def test_a_sign_under_a_sums_own_index_is_left_as_it_is():
    total = IndexSum(STEP(x[j]) * u, j, n)
    assert cells([total]) == []
    assert {cell.bodies for cell in cells([total * STEP(u)])} == {(total,), (sp.S.Zero,)}


EDGES = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-4, 4)), min_size=1, max_size=4)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(EDGES)
def test_no_cell_that_has_points_is_left_out(edges):
    """At every point of a grid that is on no edge, the signs there are those of one cell, and its value is right."""
    forms = [a * u + b * v + c for a, b, c in edges]
    body = sum(2**k * STEP(f) for k, f in enumerate(forms))
    found = cells([body])
    for p, q in itertools.product((-5.25, -1.5, -0.625, 0.375, 1.125, 4.5), repeat=2):
        at = {u: sp.Rational(str(p)), v: sp.Rational(str(q))}
        values = [sp.sympify(f).subs(at) for f in forms]
        if found and all(value != 0 for value in values):
            mine = [c for c in found if all(sp.sympify(z).subs(at) > 0 for z in c.positive)]
            assert len(mine) == 1
            assert mine[0].bodies[0] == sum(2**k for k, value in enumerate(values) if value > 0)
