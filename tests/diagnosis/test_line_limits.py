"""Edits are run as code; one that leaves a loop of the user's without an end is given up by the lines that it took."""

import contextlib

import pytest

from symgrad import verify
from symgrad.diagnosis.line_limits import TooLong, counted


def falling(n):
    """n (n - 1) ... 1, which has no end for what is no whole number above zero."""
    out = 1.0
    while n != 0:
        out, n = out * n, n - 1
    return out


def is_of_this_file(name):
    return name == __file__


def test_the_lines_of_a_file_are_counted():
    with counted(is_of_this_file) as lines:
        falling(3)
    assert lines == [1 + 3 * 2 + 1 + 1]  # the first, three turns of two, the test that ends them, the return


@pytest.mark.parametrize("n", [-1, 0.5])
def test_a_run_without_an_end_is_given_up(n):
    with pytest.raises(TooLong), counted(is_of_this_file, most=1000):
        falling(n)


def test_code_that_catches_every_exception_is_given_up_too():
    def stubborn():
        while True:
            with contextlib.suppress(Exception):
                falling(-1)

    with pytest.raises(TooLong), counted(is_of_this_file, most=1000):
        stubborn()


def test_an_edit_of_what_a_loop_is_given_does_not_hang_the_search():
    """The number of the factorial is off by one; among the edits that are tried are falling(-3) and falling(3 / x)."""
    report = verify(lambda x: x**4, lambda x: falling(3) * x**3 / 2, at={"x": 1.5})
    assert report.verdict == "refuted"
    assert report.repaired_source is not None
