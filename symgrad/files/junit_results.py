"""All answers as test results in JUnit's XML, which CI servers read: a case for each claim."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from symgrad.files.answers import WORDS, Answer, Answers

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(found: Answers) -> str:
    """The results as XML: a wrong or undecided claim is a failure, a file that could not run an error.

    >>> render_junit(Answers(())).splitlines()[1]
    '<testsuites name="symgrad" tests="0" failures="0" errors="0" skipped="0" time="0.000">'
    """
    cases = [*(case for a in found.answers for case in _cases(a)), *_skipped(found)]
    sums = {
        "tests": len(cases),
        **{
            f"{name}s" if name != "skipped" else name: sum(1 for c in cases if c.find(name) is not None)
            for name in ("failure", "error", "skipped")
        },
        "time": f"{sum(a.seconds for a in found.answers):.3f}",
    }
    totals = {name: str(value) for name, value in sums.items()}
    top = ET.Element("testsuites", {"name": "symgrad", **totals})
    suite = ET.SubElement(top, "testsuite", {"name": "symgrad", **totals})
    suite.extend(cases)
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, encoding="unicode")


def _cases(answer: Answer) -> Iterator[ET.Element]:
    if answer.error is not None:
        case = _case(answer.label, "question", answer.seconds)
        case.append(_told("error", answer.error.kind, answer.error.what, f"{answer.error}\n{answer.error.trace}"))
        yield case
    for k, claim in enumerate(answer.claims):
        case = _case(answer.label, claim.name, 0.0 if k else answer.seconds)
        if claim.verdict in ("refuted", "undecided"):
            case.append(_told("failure", WORDS[claim.verdict], answer.headline, answer.text))
        yield case


def _skipped(found: Answers) -> Iterator[ET.Element]:
    for s in found.skipped:
        case = _case(s.file, "file", 0.0)
        ET.SubElement(case, "skipped", {"message": _clean(s.why)})
        yield case


def _case(file: str, name: str, seconds: float) -> ET.Element:
    return ET.Element("testcase", {"classname": _clean(file), "name": _clean(name), "time": f"{seconds:.3f}"})


def _told(kind: str, word: str, message: str, text: str) -> ET.Element:
    element = ET.Element(kind, {"type": word, "message": _clean(message)})
    element.text = _clean(text)
    return element


def _clean(text: str) -> str:
    """The text without what XML has no place for: a terminal's colours, null bytes."""
    return _NOT_IN_XML.sub("", re.sub(r"\x1b\[[\d;]*m", "", text))
