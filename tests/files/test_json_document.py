"""The JSON is what its schema says, whatever came of the files."""

import json

import jsonschema
import pytest
from support.found_answers import EVERYTHING

from symgrad.files.answers import Answers
from symgrad.files.json_document import document, render_json, schema

VALIDATOR = jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("found", [EVERYTHING, Answers(()), *(Answers((a,)) for a in EVERYTHING.answers)])
def test_every_answer_is_what_the_schema_says(found):
    VALIDATOR.validate(json.loads(render_json(found)))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "break_it",
    [
        lambda d: d.update(version=2),
        lambda d: d.update(more=1),
        lambda d: d["answers"][0].update(verdict="fine"),
        lambda d: d["answers"][0].update(text="no place for it"),
        lambda d: d["answers"][0].update(claims=[]),
        lambda d: d["answers"][5].update(error=None),
    ],
)
def test_the_schema_refuses_what_is_no_document(break_it):
    data = document(EVERYTHING)
    break_it(data)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(data)


def test_nothing_inside_is_shown():
    text = render_json(EVERYTHING)
    assert "Program(" not in text
    assert "0x" not in text
    assert "trace" not in text
