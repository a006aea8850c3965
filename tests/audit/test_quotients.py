"""Estimates of derivatives by differences, beside known ones; and what of an audit's rows they confirm."""

import ast
import math
from pathlib import Path

import mpmath
import pytest
import torch

from symgrad.audit import quotients
from symgrad.audit.quotients import NONE, around, bends, confirms, has_two_answers, is_the_derivative, one_sided, unit

SLOPES = [  # a function, the point, the size of what moves, by mpmath
    (math.sin, mpmath.sin, 0.5, 0.5),
    (math.exp, mpmath.exp, -30.0, 30.0),
    (math.lgamma, mpmath.loggamma, 1e5, 1e4),
    (math.atan, mpmath.atan, 1e-4, 1e-4),
    (lambda x: math.exp(math.sin(8 * x)), lambda x: mpmath.exp(mpmath.sin(8 * x)), 1.25, 1.25),
]


@pytest.mark.parametrize(("function", "exact", "x", "size"), SLOPES)
@pytest.mark.parametrize("order", [1, 2])
def test_an_estimate_is_right_within_its_error(function, exact, x, size, order):
    truth = float(mpmath.diff(exact, x, order))
    line = lambda h: function(x + h)  # noqa: E731
    for e in (around(line, size, order), one_sided(line, size, order, 1), one_sided(line, size, order, -1)):
        assert abs(e.value - truth) <= 4 * e.error
    assert around(line, size, 1).error < 1e-9 * max(1.0, abs(function(x)))


def test_the_edge_of_a_domain_has_one_side_and_a_kink_two():
    root = lambda h: h**1.5 if h >= 0 else math.nan  # noqa: E731
    assert one_sided(root, 1.0, 1, -1) is NONE
    assert is_the_derivative(0.0, 1e-3, 1, root, 1.0)
    assert bends(abs, 1.0)
    assert not bends(math.sin, 1.0)
    assert not is_the_derivative(0.0, 0.5, 1, abs, 1.0)  # what differences around a kink would give
    assert not is_the_derivative(math.nan, 1.0, 1, math.sin, 1.0)


def test_directions_of_single_entries():
    assert [d.tolist() for d in unit([torch.zeros(2), torch.zeros(1, 2)], 3)] == [[0.0, 0.0], [[0.0, 1.0]]]


def lines(f, said, x="torch.tensor([0.5], dtype=torch.float64)"):
    setup = "import torch", f"x = ({x},)", f"f = lambda x: {f}.sum()", "v = (torch.ones_like(x[0]),)", f"print({said})"
    return "\n".join(setup)


@pytest.mark.parametrize(
    ("torchs", "exact", "found"),
    [
        (2.0, math.cos(0.5), True),
        (math.nan, math.cos(0.5), True),
        (math.cos(0.5) * (1 + 1e-7), math.cos(0.5), True),
        (math.cos(0.5), 2.0, False),  # torch is right
        (2.0, 1.5, False),  # neither is
        (math.cos(0.5) * (1 + 1e-7), math.cos(0.5) * (1 - 1e-7), False),
    ],
)
def test_a_row_is_confirmed_where_the_forward_pass_sides_with_the_exact_number(torchs, exact, found):
    assert confirms(lines("torch.sin(x[0])", f"float('{torchs!r}')"), 1, None, torchs, exact) is found
    assert confirms(lines("torch.sin(x[0])", f"float('{torchs!r}')"), 1, 0, torchs, exact) is found


def test_a_row_is_not_confirmed_where_its_lines_print_another_number():
    assert not confirms(lines("torch.sin(x[0])", "3.0"), 1, None, 2.0, math.cos(0.5))


def test_two_answers_need_a_kink_and_both_numbers():
    at_zero = "torch.tensor([0.0], dtype=torch.float64)"
    assert has_two_answers(lines("torch.relu(x[0])", "0.0, 1.0", at_zero), 0.0, 1.0)
    assert not has_two_answers(lines("torch.relu(x[0])", "0.0, 0.0", at_zero), 0.0, 1.0)
    assert not has_two_answers(lines("torch.sin(x[0])", "0.0, 1.0", at_zero), 0.0, 1.0)


def test_it_uses_nothing_else_of_the_package():
    assert quotients.__file__
    tree = ast.parse(Path(quotients.__file__).read_text())
    modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert not [m for m in modules if m and m.startswith("symgrad")]
