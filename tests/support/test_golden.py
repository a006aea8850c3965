"""Golden texts: a change of any word is seen but in what floats did, and that is found without knowing its words."""

from __future__ import annotations

import pytest
import torch
from support import golden

from symgrad import verify
from symgrad.report import text


@pytest.fixture(scope="module")
def report():
    def hand(w, x):
        t = torch.tanh(w * x)
        slope = 1 - t**2
        return {"w": slope * x}

    return verify(lambda w, x: torch.tanh(w * x), hand, wrt="w", at={"w": torch.tensor(1.25), "x": torch.tensor(3.0)})


def test_what_floats_did_is_left_out(report):
    assert " ulp" in str(report)
    left = golden.without_floats(report)
    assert "ulp" not in left
    assert [line for line in str(report).splitlines() if line in left.splitlines()] == left.splitlines()


def test_another_machine_may_say_something_else_of_floats_and_of_nothing_else(report, monkeypatch):
    said = str(report)
    monkeypatch.setattr(text, "blocks", text.blocks)  # put back in the end
    golden.keep_places_open()
    printed = str(report)
    assert printed.count(golden.OPEN) == 2
    assert golden.shows(said, printed)
    assert golden.shows(golden.without_floats(report), printed)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fixed = [line.strip() for line in golden.without_floats(report).splitlines()]
    assert [golden.shows(said.replace(line, "other words"), printed) for line in lines] == [
        line not in fixed for line in lines
    ]
    assert not golden.shows(said + "\nand more", printed)
    assert not golden.shows(said.replace("\n\n", "\n"), printed)
