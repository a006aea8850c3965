"""Many answers in words: what is not right in full, a table, what was not run, and the count."""

from dataclasses import replace

from support.found_answers import EVERYTHING, RIGHT, WRONG

from symgrad.files.answers import Answers
from symgrad.files.summary import render_summary

TABLE = """
file                 claim  verdict        seconds
-------------------  -----  -------------  -------
right.py             w      right, proved  1.2
folder/wrong one.py  w      wrong          1.2
                     b      right

2 questions: 1 right, 1 wrong."""


def test_what_is_wrong_is_told_in_full_above_the_table():
    text = render_summary(Answers((RIGHT, WRONG)))
    first, _, rest = text.partition("\n\n")
    assert first.startswith("--- folder/wrong one.py ------")
    assert rest == f"Wrong, in full.\n{TABLE}"


def test_what_was_not_run_is_listed():
    assert "\n\nNot run:\n    notes.md: none: " in render_summary(EVERYTHING)


def test_a_long_path_is_not_broken():
    path = f"{'derivations/' * 8}one.py"
    assert f"\n{path}  w      right, proved  1.2\n" in render_summary(Answers((replace(RIGHT, file=path),)))
