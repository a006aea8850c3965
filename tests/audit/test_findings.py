"""What an audit finds: faults of torch's that are known, and nothing where torch is right or nobody can say."""

import contextlib
import io
import math

import pytest
import torch

from symgrad.audit import findings
from symgrad.audit.cases import Case, cases
from symgrad.audit.findings import AGAINST, audit, judge


def case(call, *numbers, dtype=torch.float64):
    return Case(call.split("(")[0], f"lambda x: {call}.sum()", tuple(torch.tensor(n, dtype=dtype) for n in numbers), "")


def printed(code):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    return out.getvalue()


HARD = case("torch.nn.functional.hardsigmoid(x[0])", [0.5])


def test_a_slope_in_too_few_digits_is_found_and_five_lines_show_it():
    found = list(judge(HARD))
    assert {one.mode for one in found} == {"reverse", "forward"}
    assert all(one.exact == 1 / 6 and 1e-9 < abs(one.torch - 1 / 6) < 1e-8 for one in found)
    lines = found[0].reproducer.splitlines()
    assert len(lines) == 5
    assert "symgrad" not in found[0].reproducer
    assert float(printed(found[0].reproducer).split("(")[1].split(",")[0]) == pytest.approx(found[0].torch, abs=1e-4)


def test_a_second_derivative_through_forward_mode_is_found():
    a = case("torch.linalg.det(x[0])", [[1.0, 2.0], [3.0, 5.0]])
    wrong = {one.mode: one for one in judge(a)}
    assert set(wrong) == {"reverse over forward", "forward over forward"}
    v = torch.linspace(1, 2, 4, dtype=torch.float64)
    assert wrong["forward over forward"].exact == pytest.approx(float(2 * (v[0] * v[3] - v[1] * v[2])))


def test_a_fault_with_complex_numbers_is_found_as_one():
    """What a scatter replaces has no effect: the derivative by it is zero, and torch says the cotangent."""
    call = "torch.view_as_real(torch.as_strided_scatter(torch.complex(x[0], x[1]), torch.ones(1) + 0j, (1,), (1,)))"
    a = Case(
        "as_strided_scatter", f"lambda x: {call}.sum()", (torch.ones(1).double(), torch.zeros(1).double()), "", True
    )
    found = list(judge(a))
    assert [(one.mode, one.dtype, one.torch, one.exact) for one in found] == [("reverse", "complex128", 1.0, 0.0)]


def test_a_sum_that_cancels_with_an_irrational_number_is_found():
    """erfcx' is 2 x erfcx(x) - 2/sqrt(pi), which is written down so: far out nothing of it is left."""
    wrong = {one.mode: one for one in judge(case("torch.special.erfcx(x[0])", [1e5], dtype=torch.float32))}
    assert wrong["reverse"].exact == pytest.approx(-1 / (1e5**2 * torch.pi**0.5), rel=1e-6)
    assert abs(wrong["reverse"].torch - wrong["reverse"].exact) > 0.1 * abs(wrong["reverse"].exact)


def test_a_derivative_at_the_edge_of_the_domain_is_that_of_its_inside():
    """gammainc(1, x) is 1 - exp(-x)."""
    found = list(judge(case("torch.special.gammainc(torch.ones_like(x[0]), x[0])", [0.0])))
    assert [(one.mode, one.exact) for one in found] == [("reverse", 1.0), ("reverse over reverse", -1.0)]
    assert all(math.isnan(one.torch) for one in found)


@pytest.mark.slow
def test_a_tangent_whose_factors_are_in_the_wrong_order_is_found():
    lower = [[2.0, 0.0], [0.5, 3.0]], [[3.0, 0.0], [2.0, 2.0]]
    inverse = case("torch.cholesky_inverse(x[0].tril())", lower[0])
    assert "forward" in {one.mode for one in judge(inverse)}
    shared = case("torch.cholesky_solve(x[0], x[1].tril())", [[1.0, 2.0], [-1.0, 3.0]], lower)
    assert "forward" in {one.mode for one in judge(shared)}


def test_a_second_derivative_at_one_zero_factor_is_found():
    wrong = {one.mode: one for one in judge(case("torch.cumprod(x[0], 0)", [1.0, 0.0, 3.0]))}
    v = torch.linspace(1, 2, 3, dtype=torch.float64)
    assert wrong["forward over forward"].exact == 2 * (v[0] * v[1] * (1 + 3) + v[1] * v[2])
    assert set(wrong) == {"reverse over forward", "forward over forward"}


def test_two_answers_at_a_tie_are_told_as_such():
    found = list(judge(case("torch.fmax(x[0], x[1])", [1.0], [1.0])))
    assert [(one.mode, one.torch, one.exact) for one in found] == [(AGAINST, 2.0, 1.0)]
    assert printed(found[0].reproducer).startswith("tensor(2.")


@pytest.mark.parametrize(
    "right",
    [
        case("torch.tanh(x[0])", [0.5]),
        case("torch.tanh(x[0])", [30.0], dtype=torch.float32),
        case("torch.relu(x[0])", [0.0]),
        case("torch.maximum(x[0], x[1])", [2.0], [2.0]),
        case("torch.sqrt(x[0])", [0.0]),
        case("torch.linalg.norm(x[0])", [0.0, 0.0]),
        case("torch.exp(x[0])", [89.0], dtype=torch.float32),
        case("torch.copysign(x[0], x[1])", [0.0], [0.0]),  # a line through it has a slope, and it has no derivative
        case("torch.copysign(x[0], x[1])", [0.3], [0.7], dtype=torch.float32),  # its second derivative cancels to u/4
        case("(x[0].softmax(0) * torch.linspace(1, 2, 3))", [0.5, 0.25, 0.375], dtype=torch.float32),
    ],
    ids=lambda c: f"{c.name}-{c.point[0].tolist()}",
)
def test_nothing_is_told_where_torch_is_right_or_there_is_no_derivative(right):
    assert list(judge(right)) == []


def test_what_the_forward_pass_does_not_confirm_is_not_told(monkeypatch):
    def false(program, step, point):
        return [(3.0, 1.0)] * point[0].numel()

    monkeypatch.setattr(findings, "_numbers", false)
    assert list(judge(HARD)) == []
    assert list(judge(case("torch.tanh(x[0])", [0.5]))) == []


@pytest.mark.slow
def test_operators_whose_rules_are_right_have_no_row():
    """All of them at ties, edges, zeros, far scales, and on complex numbers."""
    pytest.importorskip("expecttest", reason="torch's operator tests need it")
    assert audit(cases(["add", "mul", "tanh", "matmul", "nn.functional.relu", "cos", "cumsum", "linalg.vecdot"])) == []


def test_points_of_one_fault_are_counted_and_what_cannot_be_followed_is_told():
    missed = []
    other = Case(HARD.name, HARD.text, (torch.tensor([0.25], dtype=torch.float64),), "")
    odd = case("torch.linalg.pinv(x[0])", [[1.0, 1.0], [1.0, 1.0]])
    found = audit([HARD, odd, other], missed.append)
    assert {(one.mode, one.dtype): one.times for one in found} == {(m, "float64"): 2 for m in ("reverse", "forward")}
    assert [told.split(":")[0] for told in missed] == [odd.name]
