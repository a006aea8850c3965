"""What was found as plain data: exit codes, places, and failures that are answers too."""

import numpy as np
import pytest
from support.found_answers import EVERYTHING, FAILED, IN_A_CELL, RIGHT, UNDECIDED, WRONG, answer

from symgrad import SymgradError, verify
from symgrad.files.answers import Answers, ClaimAnswer, Failure, Wanted, WrongLine, answer_of, findings_of


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ((RIGHT,), 0),
        ((RIGHT, UNDECIDED), 2),
        ((UNDECIDED, FAILED, RIGHT), 3),
        ((FAILED, WRONG, UNDECIDED), 1),  # a wrong gradient is not hidden by what else went wrong
        ((), 3),
    ],
)
def test_one_exit_code_for_all(answers, code):
    assert Answers(answers).exit_code == code


def test_findings_stand_at_their_lines():
    found = [(f.rule, f.level, f.file, f.line) for f in findings_of(EVERYTHING.answers)]
    assert found == [
        ("wrong-gradient", "error", "folder/wrong one.py", None),
        ("wrong-gradient", "error", "folder/wrong one.py", 7),
        ("wrong-gradient", "error", "kernels.py", 12),
        ("wrong-gradient", "error", "net.ipynb", None),
        ("undecided-gradient", "warning", "open.py", 4),
        ("could-not-run", "error", "gone.py", None),
    ]
    (in_a_cell,) = findings_of([IN_A_CELL])
    assert "The line of dw in line 3 of cell 2 is wrong by itself." in in_a_cell.message


def test_a_finding_says_what_is_wrong_as_it_is_called():
    claims = (ClaimAnswer("x", "refuted"),)
    lines = [WrongLine("return", 3, "2*x"), WrongLine("x", None, "2*x"), WrongLine("x", 4, "x = 2*x")]
    told = [f.message for f in findings_of([answer("f.py", "refuted", claims=claims, wrong_lines=(w,)) for w in lines])]
    assert [m.rpartition("\x00\x1b[31md ")[2] for m in told] == [
        "What is returned is wrong by itself.",
        "The formula for x is wrong by itself.",
        "The line of x is wrong by itself.",
    ]


def test_what_could_not_run_stands_at_its_line():
    failed = answer(
        "a b.py", "failed", error=Failure("UserCodeFailed", "no.", where="    a b.py:12    y = x + undefined")
    )
    assert [f.line for f in findings_of([failed])] == [12]


def asked(ask, wanted=None):
    return answer_of(ask, "f.py", None, None, wanted or Wanted(), lambda error: f"trace of {error!r}\n")


def test_a_report_as_data():
    point = {"W": np.ones((40, 40)), "x": 2.0}
    found = asked(lambda: verify("(x*y)**2", "2*x*y", wrt="x", at={"x": 2.0, "y": 3.0}), Wanted(html=True, table=True))
    assert (found.verdict, found.claims[0].name, found.claims[0].verdict) == ("refuted", "x", "refuted")
    assert [line.why[0].isupper() and line.why.endswith(".") for line in found.wrong_lines] == [True]
    assert "; symgrad check --repair writes it." in " ".join(found.text.split())  # who asked here has no report
    assert found.text.startswith(found.headline)
    assert found.point == {"x": 2.0, "y": 3.0}
    assert found.html.startswith("<!DOCTYPE html>")
    assert "symbolic" in found.table
    large = asked(lambda: verify(lambda W, x: (W * x).sum(), lambda W, x: W.sum(), wrt="x", at=point)).point
    assert large == {"W": {"shape": [40, 40]}, "x": 2.0}


def test_an_error_is_an_answer():
    def ask():
        raise SymgradError("no.", where="here", instead="Yes.")

    found = asked(ask)
    assert (found.verdict, str(found.error), found.error.fault) == ("failed", "no.\nhere\nYes.", False)


def test_a_fault_of_ours_is_told_apart():
    found = asked(lambda: 1 / 0)
    assert found.error.fault
    assert "ZeroDivisionError" in found.error.trace
    assert found.headline == "this is a fault in symgrad, not in your file. Please report it."
