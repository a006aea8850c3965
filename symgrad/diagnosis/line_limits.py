"""Runs of edited code that are given up after a number of lines: an edit may leave a loop of the user's without an end.

Lines are work and not time, so what is found does not depend on the machine.
"""

from __future__ import annotations

import ast
import contextlib
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from symgrad.lifting.tracing.sources import is_users

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


def calls_functions(tree: ast.AST, scope: Mapping[str, Any]) -> bool:
    """Whether code calls a function of the user's by its name.

    >>> def halved(n):
    ...     return n / 2
    >>> calls_functions(ast.parse("2 * halved(x)"), {"halved": halved}), calls_functions(ast.parse("abs(x)"), {})
    (True, False)
    """
    called = (n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name))
    found = (scope.get(name) for name in called)
    return any(isinstance(f, types.FunctionType) and is_users(f.__code__) for f in found)
