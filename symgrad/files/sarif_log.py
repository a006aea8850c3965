"""All answers as a log in SARIF 2.1.0, which code scanners and editors read: what is not right, place by place."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from symgrad import __version__
from symgrad.files.answers import COULD_NOT_RUN, Answers, Finding, findings_of

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULES = {
    "wrong-gradient": "A gradient that was derived by hand is not the derivative.",
    "undecided-gradient": "A gradient that was derived by hand could be neither proved nor refuted.",
    "could-not-run": "A file could not be checked.",
}


def log(found: Answers) -> dict[str, Any]:
    """The log as plain dictionaries.

    >>> log(Answers(()))["runs"][0]["results"]
    []
    """
    rules = [{"id": name, "shortDescription": {"text": text}} for name, text in _RULES.items()]
    run = {
        "tool": {"driver": {"name": "symgrad", "version": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": found.exit_code != COULD_NOT_RUN, "exitCode": found.exit_code}],
        "results": [_result(f) for f in findings_of(found.answers)],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def render_sarif(found: Answers) -> str:
    return json.dumps(log(found), indent=2, allow_nan=False)


def _result(finding: Finding) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": _artifact(finding.file)}
    if finding.line is not None:
        place["region"] = {"startLine": finding.line}
    return {
        "ruleId": finding.rule,
        "ruleIndex": list(_RULES).index(finding.rule),
        "level": finding.level,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
    }


def _artifact(file: str) -> dict[str, str]:
    """Where a file is, as a relative or absolute URI: letters that a URI has not are written as %XX."""
    path = PurePath(file)
    return {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}
