"""JUnit's XML, read back by a parser: counts that add up, and every claim a case."""

from xml.etree import ElementTree as ET

from support.found_answers import EVERYTHING

from symgrad.files.junit_results import render_junit


def test_the_results_read_back():
    top = ET.fromstring(render_junit(EVERYTHING))
    assert top.tag == "testsuites"
    (suite,) = top
    assert suite.tag == "testsuite"
    cases = list(suite)
    assert [(c.get("classname"), c.get("name"), [e.tag for e in c]) for c in cases] == [
        ("right.py", "w", []),
        ("folder/wrong one.py", "w", ["failure"]),
        ("folder/wrong one.py", "b", []),
        ("kernels.py::Cube", "w", ["failure"]),
        ("net.ipynb", "w", ["failure"]),
        ("open.py", "w", ["failure"]),
        ("gone.py", "question", ["error"]),
        ("notes.md", "file", ["skipped"]),
    ]
    for element in (top, suite):
        counts = {name: int(element.get(name)) for name in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": 8, "failures": 4, "errors": 1, "skipped": 1}
        assert float(element.get("time")) == 6 * 1.25
    assert sum(float(c.get("time")) for c in cases) == 6 * 1.25
    assert cases[1][0].text == "Wrong, in full."
    assert "50% of it:\na, b <c> & d\n    here\nDo otherwise." in cases[6][0].text


def test_what_xml_has_no_place_for_is_left_out():
    text = render_junit(EVERYTHING)
    assert "\x00" not in text
    assert "\x1b" not in text
