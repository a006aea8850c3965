"""Every exception that symgrad raises on purpose, and the shape of its message.

A message has up to four parts, one to a paragraph: what happened, with the value; where, with a caret under the
place; why, when that is not obvious; what to write instead.
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable
from typing import Any


class SymgradError(Exception):
    """Base of everything symgrad raises on purpose.

    ``what`` says what happened, with the value; ``where`` shows the place; ``instead`` says what to write.
    """

    def __init__(self, what: str, *, where: str | None = None, instead: str | None = None) -> None:
        self.what = what
        self.where = where
        self.instead = instead
        super().__init__("\n".join(part for part in (what, where, instead) if part))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the line of the cell and the message, and none of symgrad's own lines."""
        cells = [
            f for f in traceback.extract_tb(self.__traceback__) if re.search("ipykernel|ipython-input", f.filename)
        ]
        at = cells[-1] if cells and "run_cell_magic" not in (cells[-1].line or "") else None
        place = [f"line {at.lineno}: {at.line}", ""] if at is not None and at.line else []
        return [*place, f"{type(self).__name__}: {self}"]


class BadInput(SymgradError):
    """An argument of a public function is of a kind, or has a value, that the function cannot take."""


class BadFormula(SymgradError):
    """Text or LaTeX that is not a formula."""


class UnknownName(SymgradError):
    """A formula, ``wrt`` or ``at`` uses a name that the model does not have."""


class UnknownOperation(SymgradError):
    """An operation that is not in the table."""


class WrongShape(SymgradError):
    """A value has a shape that does not fit where it is used."""


class LostValue(SymgradError):
    """A value computed from the inputs went through code that symgrad could not follow."""


class ReplayMismatch(SymgradError):
    """The recorded Program does not give what the code itself computed."""


class NotReproducible(SymgradError):
    """The same function gave two different results for the same inputs."""


class AmbiguousBranch(SymgradError):
    """The code chose its path by the value of an input, in a way that cannot be judged."""


class NoPoint(SymgradError):
    """No point of the domain was found to test at.

    ``program`` is what was run at the last point that was tried.
    """

    program: Any = None


class UserCodeFailed(SymgradError):
    """The user's own code raised; its own traceback is chained as ``__cause__``."""


class EndlessRun(SymgradError):
    """The user's own code had not ended after many times as many operations as it took before."""


class TimeIsOver(SymgradError):
    """The time that was given was over before anything was known."""


def caret(text: str, span: tuple[int, int] | None, *, indent: str = "    ") -> str:
    """Return ``text`` indented, with carets under ``text[span[0]:span[1]]``; of a long text what is beside the span.

    >>> print(caret("x ^ 2", (2, 3)))
        x ^ 2
          ^
    >>> caret("1 + " * 1000 + "? + " + "2 + " * 1000, (4000, 4001))[:24]
    '    ...1 + 1 + 1 + 1 + 1'
    """
    if len(text) > _LONGEST and "\n" not in text:
        text, span = _beside(text, span or (0, 0))
    if span is None:
        return indent + text
    start, stop = span
    return f"{indent}{text}\n{indent}{' ' * start}{'^' * max(1, stop - start)}"


_LONGEST = 400  # letters of a formula that are shown


def _beside(text: str, span: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """A part of a long text that holds the beginning of ``span``, and where that is in it."""
    first = max(0, span[0] - _LONGEST // 4)
    part, before = text[first : first + _LONGEST // 2], "..." if first else ""
    start = span[0] - first + len(before)
    return f"{before}{part}...", (start, min(start + span[1] - span[0], len(before) + len(part)))


def close_names(name: str, known: Iterable[str]) -> str:
    """Return ``"Close names: a, b."`` for the known names nearest to ``name``, or ``""``.

    >>> close_names("W_H", ["w_h", "x"])
    'Close names: w_h.'
    """
    lower: dict[str, list[str]] = {}
    for k in sorted(set(known)):
        lower.setdefault(k.lower(), []).append(k)
    near = [k for m in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.6) for k in lower[m]][:3]
    return f"Close names: {', '.join(near)}." if near else ""
