"""SARIF 2.1.0: the fields that the standard requires, with the types that it gives them (OASIS, section 3)."""

import json

from support.found_answers import EVERYTHING

from symgrad.files.answers import Answers
from symgrad.files.sarif_log import render_sarif


def test_the_log_has_what_the_standard_requires():
    log = json.loads(render_sarif(EVERYTHING))
    assert log["version"] == "2.1.0"  # 3.13.2
    (run,) = log["runs"]  # 3.13.4
    driver = run["tool"]["driver"]  # 3.14.6, 3.18.2: a tool has a driver, which has a name (3.19.8)
    assert driver["name"] == "symgrad"
    ids = [rule["id"] for rule in driver["rules"]]  # 3.49.3
    assert len(set(ids)) == len(ids)
    for invocation in run["invocations"]:  # 3.20.14
        assert isinstance(invocation["executionSuccessful"], bool)
    assert len(run["results"]) == 6
    for result in run["results"]:
        assert result["message"]["text"]  # 3.27.11, 3.11.8
        assert result["level"] in ("none", "note", "warning", "error")  # 3.27.10
        assert ids[result["ruleIndex"]] == result["ruleId"]  # 3.27.5, 3.27.6
        for location in result["locations"]:  # 3.27.12
            place = location["physicalLocation"]
            assert " " not in place["artifactLocation"]["uri"]  # 3.4.3: a URI
            assert "\\" not in place["artifactLocation"]["uri"]
            if "region" in place:
                assert place["region"]["startLine"] >= 1  # 3.30.5


def test_a_path_is_a_uri():
    found = Answers(tuple(a for a in EVERYTHING.answers if "wrong one" in a.file))
    (run,) = json.loads(render_sarif(found))["runs"]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "folder/wrong%20one.py"}, "region": {"startLine": 7}}


def test_what_is_right_is_no_result():
    assert json.loads(render_sarif(Answers(EVERYTHING.answers[:1])))["runs"][0]["results"] == []
