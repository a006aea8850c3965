"""Which tests are slow: those that `tests/slow_tests.txt` lists, beside the ones that say so themselves.

``pytest -m "" --measure`` writes the list anew: the tests that take more than 0.7 seconds of a core, what they start
counted.  What was not run keeps its line, so that a part of the tests can be measured alone.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

LIST = Path(__file__).parent.parent / "slow_tests.txt"
LIMIT = 0.7  # seconds
OWN = ("tests/test_corpus.py", "tests/test_layers.py", "tests/test_posts.py")  # they say so themselves, or are the core
_CPU = "seconds of a core"


def listed() -> set[str]:
    return set(LIST.read_text(encoding="utf-8").splitlines())


def _spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are left out
def pytest_collection_modifyitems(items):
    slow = listed()
    for item in items:
        if item.nodeid in slow:
            item.add_marker(pytest.mark.slow)


class Measure:
    """Reads the seconds of each test from its reports, which a worker sends to the process that began."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        before = _spent()
        item.user_properties.append((_CPU, lambda: _spent() - before))
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item):
        report = yield
        report.user_properties = [(n, v() if n == _CPU else v) for n, v in item.user_properties]
        return report

    def pytest_runtest_logreport(self, report):
        if report.when == "teardown":
            self.seconds[report.nodeid] = dict(report.user_properties)[_CPU]

    def pytest_sessionfinish(self, session):
        if not hasattr(session.config, "workerinput"):
            kept = listed() - self.seconds.keys()
            slow = kept | {n for n, seconds in self.seconds.items() if seconds > LIMIT and not n.startswith(OWN)}
            LIST.write_text("".join(f"{name}\n" for name in sorted(slow)), encoding="utf-8")
