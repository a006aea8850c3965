"""Runs of edited code that are given up after a number of lines: an edit may leave a loop of the user's without an end.

Lines are work and not time, so what is found does not depend on the machine.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

SLOWER = 50  # times as many lines as the code takes as it is written, of a run that is given up


class TooLong(BaseException):  # the user's code may catch every Exception
    """A run takes many more lines than the code as it was written."""


@contextlib.contextmanager
def counted(is_counted: Callable[[str], bool], most: int | None = None) -> Iterator[list[int]]:
    """The lines that are run inside, of the files of which ``is_counted`` is true, as the only entry of a list.

    >>> def halved(n):
    ...     while n > 1:
    ...         n = n / 2
    >>> with counted(lambda file: file == halved.__code__.co_filename) as lines:
    ...     halved(8.0)
    >>> lines
    [7]

    Raises `TooLong` at the line that is one more than ``most``.
    """
    lines = [0]

    def on_line(frame: Any, event: str, arg: Any) -> Any:
        lines[0] += event == "line"
        if most is not None and lines[0] > most:
            raise TooLong
        return on_line

    def on_call(frame: Any, event: str, arg: Any) -> Any:
        return on_line if is_counted(frame.f_code.co_filename) else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield lines
    finally:
        sys.settrace(before)
