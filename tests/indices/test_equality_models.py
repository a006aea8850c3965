"""Gradients of models, proved for all sizes; and slips in them, refuted at the smallest sizes."""

from __future__ import annotations

import pytest
from support.index_models import CASES, Case
from support.index_refutation import refute

from symgrad.indices.equality import prove_equal


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradient_by_hand_is_proved_for_all_sizes(case: Case):
    proof = prove_equal(case.exact, case.hand, facts=case.facts)
    assert proof is not None
    assert proof.facts == case.facts  # every fact named is needed, and no other


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_three_slips_are_not_proved_and_are_refuted(case: Case):
    for wrong in case.wrong:
        assert prove_equal(case.exact, wrong, facts=case.facts) is None
        witness = refute(case.exact, wrong, facts=case.facts, points=2)
        assert witness is not None
        assert not witness.difference.contains(0)


@pytest.mark.parametrize("case", [case for case in CASES if case.facts], ids=str)
def test_without_its_fact_a_formula_is_false(case: Case):
    assert prove_equal(case.exact, case.hand) is None
    assert refute(case.exact, case.hand, points=2) is not None
