"""Progress: a bar past a second where somebody looks, and silence everywhere else."""

import io
import itertools
import subprocess
import sys
import time
from contextlib import redirect_stderr

import pytest

from symgrad import SymgradError, progress, verify, verify_many

LONG = [("tanh(w*x)", "x*(1 - tanh(w*x)**2)", {"wrt": "w"})] * 3


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def slow(monkeypatch):
    """A clock that goes two seconds further each time that it is read: every call takes long."""
    clock = itertools.count(0.0, 2.0)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))


@pytest.fixture
def terminal(slow):
    """A terminal to be redirected to, and calls that take long."""
    pytest.importorskip("tqdm")
    return Terminal()


def test_many_are_counted(terminal):
    with redirect_stderr(terminal):
        verify_many(LONG)
    assert "verifying" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_a_long_call_says_what_it_does(terminal):
    with redirect_stderr(terminal):
        verify("tanh(w*x)", "x*(1 - (w*x)**2)", wrt="w")
    assert "looking at points" in terminal.getvalue()
    assert "looking for the wrong line" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r"), "the bar is taken away at the end"


def test_the_bar_is_gone_when_a_call_fails(terminal):
    with redirect_stderr(terminal):
        with pytest.raises(SymgradError):
            verify("2*(x", "2")
        before = terminal.getvalue()
        progress.doing("nothing")
    assert terminal.getvalue() == before


def test_a_short_call_is_silent():
    with redirect_stderr(Terminal()) as seen:
        verify("x**2", "2*x")
    assert seen.getvalue() == ""


@pytest.mark.usefixtures("slow")
def test_a_pipe_is_silent():
    with redirect_stderr(io.StringIO()) as seen:
        verify_many(LONG)
    assert seen.getvalue() == ""


def test_a_worker_is_silent(terminal):
    with redirect_stderr(terminal), progress.silent():
        verify_many(LONG)
    assert terminal.getvalue() == ""


@pytest.mark.slow
def test_without_tqdm_it_is_silent():
    code = """
import sys
import time
sys.modules["tqdm"] = None  # as if it were not installed
from symgrad import SymgradError, progress, verify
progress._PATIENCE = 0.0
sys.stderr.isatty = lambda: True  # and somebody looks
assert verify("x**2", "2*x").ok
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_limit_of_time_that_is_over_as_the_block_ends_comes_no_later():
    with progress.within(0.001):
        time.sleep(0.01)
    progress.doing("something else")


def test_of_two_limits_the_shorter_one_ends_the_call():
    def wait():
        with progress.within(0.001), progress.within(1000.0):
            time.sleep(0.01)
            progress.doing("what takes too long")

    with pytest.raises(SymgradError, match="nothing was known after 1000 seconds"):
        wait()
