"""A judge that deserves trust: a right gradient is never called wrong, a wrong one never right.

Four families, each judged by something outside: gradients at points where finite differences fail (`hard_gradients`),
a table of integrals (`antiderivatives`), PyTorch's own table of derivatives (`derivatives_table`), and random
expressions with mpmath as the judge.  The scripts in `tests/trust` print the whole tables; `random_expressions.py N`
tries as many random ones as one likes.
"""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from trust.antiderivatives import ROWS, judged_by_mpmath, mutants, said
from trust.derivatives_table import Entry, entries, judged, question, translated
from trust.hard_gradients import CASES, by_symgrad
from trust.random_expressions import changed, derivative_said, expressions, rewritten, truly_equal
from trust.steadiness import different, texts

from symgrad import verify
from symgrad.errors import BadInput

OK = ("proved", "agrees")

# ------------------------------------------------------------------------------------------------ hard points


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_right_gradient_at_a_hard_point_is_accepted(case):
    assert by_symgrad(case, case.right) in OK


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_wrong_gradient_at_a_hard_point_is_refuted(case):
    assert by_symgrad(case, case.wrong) == "refuted"


def test_there_are_sixty_of_each():
    assert len({str(c) for c in CASES}) == len(CASES) >= 60


# ------------------------------------------------------------------------------------------------ tables of integrals


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_of_an_integral_table_is_proved(row):
    assert judged_by_mpmath(*row.formulas, row.point)
    assert said(row, row.formulas[1]) == "proved"


@pytest.mark.parametrize("k", range(len(ROWS)), ids=lambda k: str(ROWS[k]))
def test_a_mutant_of_a_row_is_refuted(k):
    """One mutant of each row here; the script `tests/trust/antiderivatives.py` tries all 269."""
    row = ROWS[k]
    kinds = list(mutants(row.formulas[1]))
    _, mutant = kinds[k % len(kinds)]
    assert not judged_by_mpmath(row.formulas[0], mutant, row.point)
    assert said(row, mutant) == "refuted"


# ------------------------------------------------------------------------------------------------ PyTorch's table


@pytest.fixture(scope="module")
def rows():
    return [row for entry in entries() if (row := judged(entry)) is not None]


# torch types log(10) as 2.3025850929940456, cut off and not rounded: as a double it is one unit below the nearest
FAULTS = {("log10", "self")}


def test_formulas_of_pytorchs_table_are_derivatives(rows):
    """What is refuted is a known fault; what is not read has an operation that is not in symgrad's table."""
    red = {(r.entry.operation, r.entry.wrt): r for r in rows if r.said in ("refuted", "undecided")}
    assert set(red) == FAULTS
    assert red["log10", "self"].said == "refuted"
    assert math.nextafter(float("2.3025850929940456"), 3) == math.log(10)
    assert sum(row.said in OK for row in rows) >= 90
    assert all(re.search("no operation is called|cannot follow", r.detail) for r in rows if r.said == "not read")


def test_a_fault_planted_in_pytorchs_table_is_found():
    planted = [
        ("tanh(Tensor self) -> Tensor", "self", "grad * (1 - result)"),
        ("atan(Tensor self) -> Tensor", "self", "grad / (self + 1)"),
        ("rsqrt(Tensor self) -> Tensor", "self", "-0.5 * grad * result.pow(2).conj()"),
        ("hypot(Tensor self, Tensor other) -> Tensor", "other", "grad * self / result"),
        ("log2(Tensor self) -> Tensor", "self", "grad / (self.conj() * 0.6931471805599463)"),
    ]
    for signature, wrt, formula in planted:
        row = judged(Entry(signature.split("(")[0], signature, wrt, formula))
        assert row is not None
        assert row.said == "refuted", str(row)


def test_what_is_no_expression_is_left_out():
    assert translated("sigmoid_backward(grad, result)", {"self"}) is None
    assert translated("grad * self.cos().conj()", {"self"}) == "grad * self.cos()"
    assert question(Entry("dot", "dot(Tensor self, Tensor tensor) -> Tensor", "self", "grad * tensor")) is None


# ------------------------------------------------------------------------------------------------ random expressions


@seed(20)
@settings(max_examples=60, suppress_health_check=list(HealthCheck), derandomize=False, database=None)
@given(expressions(), st.integers(0, 10**6))
def test_the_derivative_written_another_way_is_never_refuted(f, k):
    assert derivative_said(f, rewritten(f, k)) != "refuted"


@seed(21)
@settings(max_examples=60, suppress_health_check=list(HealthCheck), derandomize=False, database=None)
@given(expressions(), st.integers(0, 10**6))
def test_a_changed_derivative_is_never_accepted_unless_it_is_equal(f, k):
    hand = changed(f, k)
    if derivative_said(f, hand) in OK:
        assert truly_equal(f, hand)


# ------------------------------------------------------------------------------------------------ always the same


def test_the_same_seed_gives_the_same_text_in_every_process():
    """`tests/trust/steadiness.py` does it a hundred times."""
    assert set(different([texts(1), texts(2, loaded=True)])) == {1}


def test_more_effort_proves_more():
    f, hand = "log(tanh(x/2))*erf(x)", "erf(x)/sinh(x) + 2*exp(-x**2)/sqrt(pi)*log(tanh(x/2))"
    assert [verify(f, hand, wrt="x", effort=e).verdict for e in (1e-6, 1)] == ["agrees", "proved"]
    with pytest.raises(BadInput, match="effort is 0"):
        verify(f, hand, wrt="x", effort=0)
