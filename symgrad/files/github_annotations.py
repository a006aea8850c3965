"""All answers as workflow commands of GitHub Actions, which it shows beside the lines of a change."""

from __future__ import annotations

from symgrad.files.answers import Answers, Finding, findings_of
from symgrad.files.summary import counts_in_words

_TITLES = {
    "wrong-gradient": "Wrong gradient",
    "undecided-gradient": "Undecided gradient",
    "could-not-run": "Could not run",
}


def render_github(found: Answers) -> str:
    """A command for each thing that is not right, and one that counts.

    >>> print(render_github(Answers(())))
    ::notice title=symgrad::0 questions.
    """
    commands = [_command(f) for f in findings_of(found.answers)]
    return "\n".join([*commands, f"::notice title=symgrad::{_in_message(counts_in_words(found))}"])


def _command(finding: Finding) -> str:
    """``::error file=derivation.py,line=3,title=Wrong gradient::The message.``"""
    said = {"file": finding.file, "line": finding.line, "title": _TITLES[finding.rule]}
    properties = ",".join(f"{name}={_in_property(str(value))}" for name, value in said.items() if value is not None)
    return f"::{finding.level} {properties}::{_in_message(finding.message)}"


def _in_message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _in_property(text: str) -> str:
    return _in_message(text).replace(":", "%3A").replace(",", "%2C")
