"""What holds for every test: no test fails because the machine is slow, and each process keeps one core busy.

With ``--certificates`` each proof that the tests make is checked again (`support.certificates`); with ``--measure`` the
list of the slow ones is written anew (`support.seconds`).
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in what the tests start

from hypothesis import settings
from support.seconds import Measure, pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems"]  # a hook

settings.register_profile("symgrad", deadline=None)
settings.load_profile("symgrad")

_tallies = []


def pytest_addoption(parser):
    parser.addoption("--certificates", action="store_true", help="check the certificate of each proof that is made")
    parser.addoption("--measure", action="store_true", help="write the list of the slow tests anew")


def pytest_configure(config):
    if config.getoption("--measure"):
        config.pluginmanager.register(Measure())
    if config.getoption("--certificates"):
        from support.certificates import Tally, listen

        _tallies.append(Tally())
        listen(lambda report: _tallies[0].add(report, os.environ.get("PYTEST_CURRENT_TEST", "")))


def pytest_terminal_summary(terminalreporter):
    for tally in _tallies:
        terminalreporter.write_line(str(tally))


def pytest_sessionfinish(session):
    if any(tally.rejected for tally in _tallies):
        session.exitstatus = 1
