"""The questions of known truth of `trust.questions`, law by law: none is answered wrongly, in silence or under a note.

`cd tests && python -m trust.questions` prints the table.
"""

from __future__ import annotations

from collections import Counter

import pytest
from trust.questions import answered, questions

ASKED = questions()
LAWS = sorted({q.law for q in ASKED})
UNSEEN: dict[int, int] = {}  # wrong answers to questions whose law is not built yet


def test_there_are_four_hundred_of_known_truth_and_half_are_wrong():
    known = [q.truth for q in ASKED if q.truth is not None]
    assert len(known) >= 400
    assert 0.45 <= sum(known) / len(known) <= 0.55


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_no_question_is_answered_wrongly(law):
    mine = [q for q in ASKED if q.law == law]
    outcomes = Counter(answered(q).outcome for q in mine)
    assert outcomes["silent"] + outcomes["noted"] <= UNSEEN.get(law, 0)
    assert outcomes["crash"] == 0
    assert outcomes["none"] <= len(mine) / 10
