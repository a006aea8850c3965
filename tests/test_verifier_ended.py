"""A question that is ended early, by its time or by Ctrl-C, is answered with what is known by then."""

import itertools
import pkgutil
import signal
import threading
import time

import pytest
import torch

from symgrad import Limits, SymgradError, verify, verify_function, verify_script
from symgrad.progress import Interrupted, OutOfTime, doing

WRONG = ("x**3", "2*x**2")
RIGHT = ("x**3", "3*x**2")
SCRIPT = """
import torch
w = torch.tensor(2.0, requires_grad=True)
(w**3).backward()
dw = 2 * w.item()
print(w.grad, dw)
"""


@pytest.fixture
def ended(monkeypatch):
    """The pipeline is ended at a station, the first time or a later one that it comes there: by an exception, or where
    that is None by waiting for one."""

    def make(place: str, by: type[BaseException] | None, passes: int = 0) -> None:
        whole = pkgutil.resolve_name(place)
        times = itertools.count()

        def station(*args, **options):
            if next(times) < passes:
                return whole(*args, **options)
            while by is None:
                doing("waiting")
                time.sleep(0.005)
            raise by

        monkeypatch.setattr(place, station)

    return make


COVER, LINES = "symgrad.checking.judge.cover", "symgrad.verifier._find_lines"


def test_what_was_refuted_stays_so(ended):
    ended(COVER, OutOfTime)
    report = verify(*WRONG)
    assert report.verdict == "refuted"
    assert any(note.startswith("it was ended as its time was over") for note in report.notes)


@pytest.mark.parametrize(
    ("by", "how"), [(OutOfTime, "as its time was over"), (KeyboardInterrupt, "by Ctrl-C"), (Interrupted, "by Ctrl-C")]
)
def test_what_was_right_so_far_is_undecided(by, how, ended):
    ended(COVER, by)
    report = verify(*RIGHT)
    assert report.verdict == "undecided"
    assert f"it was ended {how}, before " in report.claims["x"].verdict.why
    assert str(report).startswith("Undecided: ")


def test_a_verdict_that_was_reached_stands_where_only_its_lines_are_missing(ended):
    ended(LINES, OutOfTime)
    assert verify(*RIGHT).verdict == "proved"
    assert verify(*WRONG).verdict == "refuted"


@pytest.mark.slow
def test_the_limits_of_a_script_hold_for_what_is_done_with_it(monkeypatch):
    held = []

    def filling(*_):
        while True:
            held.append(bytearray(1 << 24))
            doing("filling")
            time.sleep(0.01)

    monkeypatch.setattr(COVER, filling)
    report = verify_script(SCRIPT, limits=Limits(memory=1 << 28))
    assert report.verdict == "undecided"
    assert "it was ended as its memory was full, before " in report.claims["w"].verdict.why
    monkeypatch.setattr(COVER, lambda *_: [doing("waiting") for _ in iter(int, 1)])
    assert "as its time was over" in verify_script(SCRIPT, limits=Limits(seconds=0.1)).claims["w"].verdict.why


def test_nothing_known_is_an_error(ended):
    ended("symgrad.verifier.pose", None)
    with pytest.raises(SymgradError, match=r"nothing was known after 0\.1 seconds\.\nPass a larger timeout"):
        verify(*RIGHT, timeout=0.1)


@pytest.mark.parametrize("timeout", [0, -1, "5", float("nan")])
def test_a_time_that_is_none(timeout):
    with pytest.raises(SymgradError, match="timeout is "):
        verify(*RIGHT, timeout=timeout)


def test_a_time_that_is_long_enough_changes_nothing():
    assert str(verify(*WRONG, timeout=1000)) == str(verify(*WRONG))
    assert threading.active_count() < 10


class Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x + y

    @staticmethod
    def backward(ctx, g):
        return (g, g) if all(ctx.needs_input_grad) else (g * 1, g * 1)


def test_the_parts_of_a_question_that_were_not_reached_leave_it_undecided(ended):
    """Backward for both inputs was judged when it is ended, and for each alone it was not."""
    assert list(verify_function(Sum, at={"x": (2,), "y": (2,)}).claims) == [
        "x",
        "y",
        "x (needed alone)",
        "y (needed alone)",
    ]
    ended(COVER, KeyboardInterrupt, passes=1)
    assert verify_function(Sum, at={"x": (2,), "y": (2,)}).verdict == "undecided"


@pytest.mark.slow
def test_the_time_ends_it_wherever_it_is(ended):
    ended(COVER, None)
    assert verify(*WRONG, timeout=3).verdict == "refuted"
    assert verify(*RIGHT, timeout=3).verdict == "undecided"


@pytest.mark.slow
def test_ctrl_c_ends_it_wherever_it_is(ended):
    ended(COVER, None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    timer = threading.Timer(3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        assert verify(*RIGHT).verdict == "undecided"
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_a_script_is_ended_in_its_own_process(ended):
    """In a script a number may yet turn out to stand for an input: nothing stands before all is judged."""
    ended(COVER, None)
    assert verify_script(SCRIPT, timeout=4).verdict == "undecided"
