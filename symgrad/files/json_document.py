"""All answers as JSON, by a schema that has a version and ships with the package.

The document is the same whatever comes of the files: one that could not run is an answer with its error.
"""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import resources
from typing import Any

from symgrad import __version__
from symgrad.files.answers import Answer, Answers
from symgrad.report.plain_data import as_plain

SCHEMA, VERSION = "symgrad-check", 1
_FILE = "check.schema.json"
_NOT_DATA = ("text", "table", "html", "certificate", "repairs")  # what was made for people, and what only repairs need


def schema() -> dict[str, Any]:
    """The JSON schema of the document.

    >>> schema()["$id"]
    'urn:symgrad:check:1'
    """
    return json.loads(resources.files("symgrad.files").joinpath(_FILE).read_text(encoding="utf-8"))


def document(found: Answers) -> dict[str, Any]:
    """The answers as plain dictionaries, lists, strings and numbers.

    >>> document(Answers(()))["exit_code"]
    3
    """
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "symgrad": __version__,
        "exit_code": found.exit_code,
        "counts": {**found.counts(), "skipped": len(found.skipped)},
        "answers": [_answer(a) for a in found.answers],
        "skipped": [as_plain(s) for s in found.skipped],
    }


def render_json(found: Answers) -> str:
    """The document as text; numbers that JSON has no name for are strings ("nan", "inf")."""
    return json.dumps(document(found), indent=2, allow_nan=False)


def _answer(answer: Answer) -> dict[str, Any]:
    data = {f.name: as_plain(getattr(answer, f.name)) for f in fields(answer) if f.name not in _NOT_DATA}
    data["seconds"] = round(answer.seconds, 3)
    if answer.error is not None:
        del data["error"]["trace"]
    return data
