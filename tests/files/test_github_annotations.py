"""Workflow commands: ``::command name=value,name=value::message``, one to a line, with their escapes."""

import re

from support.found_answers import EVERYTHING, STRANGE

from symgrad.files.github_annotations import render_github

COMMAND = re.compile(r"::(?P<kind>error|warning|notice) (?P<properties>[^\n]*?)::(?P<message>[^\n\r]*)")
PROPERTY = re.compile(r"(file|line|title)=([^\n\r:,]+)")


def unescaped(text: str) -> str:
    for code, letter in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, letter)
    return text


def test_each_line_is_a_command_that_reads_back():
    found = []
    for line in render_github(EVERYTHING).split("\n"):
        command = COMMAND.fullmatch(line)
        assert command is not None
        properties = [PROPERTY.fullmatch(p) for p in command["properties"].split(",")]
        assert all(properties)
        found.append((command["kind"], {p[1]: unescaped(p[2]) for p in properties}, unescaped(command["message"])))
    kinds = [(kind, said.get("file"), said.get("line")) for kind, said, _ in found]
    assert kinds == [
        ("error", "folder/wrong one.py", None),
        ("error", "folder/wrong one.py", "7"),
        ("error", "kernels.py", "12"),
        ("error", "net.ipynb", None),
        ("warning", "open.py", "4"),
        ("error", "gone.py", None),
        ("notice", None, None),
    ]
    assert found[4][2] == f"undecided: {STRANGE}"
    assert found[6][2] == "6 questions: 1 right, 3 wrong, 1 undecided, 1 could not run; 1 file not run."
