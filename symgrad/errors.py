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
    """An argument of a public function is of a kind, or has a value, that the function cannot take.

    >>> from symgrad import verify
    >>> verify("x**2", "2*x", order=3)
    Traceback (most recent call last):
    symgrad.errors.BadInput: order is 3.
    Pass order=1 for gradients and Jacobians, order=2 for Hessians.
    """


class BadFormula(SymgradError):
    """Text or LaTeX that is not a formula, or that has two common readings: the message says which.

    >>> from symgrad import verify
    >>> verify("x**2", "2*(x")
    Traceback (most recent call last):
    symgrad.errors.BadFormula: this parenthesis is never closed.
        2*(x
          ^
    """


class UnknownName(SymgradError):
    """A formula, ``wrt`` or ``at`` uses a name that the model does not have.

    >>> from symgrad import verify
    >>> verify("x**2", "2*y")
    Traceback (most recent call last):
    symgrad.errors.UnknownName: the hand formula uses 'y', but the model has only x.
    Rename it, or make 'y' an input of the model.
    """


class UnknownOperation(SymgradError):
    """An operation that is not in the table; nothing is guessed of it.  `symgrad.define` adds one by its meaning.

    >>> from symgrad import verify
    >>> verify("airy(x)", "2*x")
    Traceback (most recent call last):
    symgrad.errors.UnknownOperation: no operation is called 'airy'. Close names: airybi, airyai.
        airy(x)
        ^^^^
    To add it: symgrad.define("airy", exact, torch), where exact maps a SymPy symbol to an expression.
    """


class WrongShape(SymgradError):
    """A value has a shape that does not fit where it is used.

    >>> from symgrad import verify
    >>> verify("x.T @ A @ x", "2*A@x", wrt="x", at={"x": (2,), "A": (3, 3)})
    Traceback (most recent call last):
    symgrad.errors.WrongShape: @ takes axes of one length, and these have 2 and 3 entries.
        x.T @ A @ x
        ^^^^^^^
    """


class LostValue(SymgradError):
    """A value computed from the inputs went through code that could not be followed: a text, a file, another library.

    >>> import torch
    >>> from symgrad import verify
    >>> verify(lambda x: 2 * float(str(x)[7:-1]), "2", at={"x": torch.tensor(1.0)})
    Traceback (most recent call last):
    symgrad.errors.LostValue: a number in your code changes with the inputs, in a way that could not be followed.
    Keep the value in a tensor, an array or a float, and use torch, numpy or math functions of it.
    """


class ReplayMismatch(SymgradError):
    """What was recorded does not give what the code itself computed, so that no verdict could be about the code.

    It is raised before anything is said.  Where the code looks plain, it is a fault in symgrad, and worth a report.
    """


class NotReproducible(SymgradError):
    """The same function gave two different results for the same inputs: it draws random numbers, or keeps something.

    Put a module in eval mode, pass random numbers as inputs, or set the seed inside the function.
    """


class AmbiguousBranch(SymgradError):
    """A derivative was taken on one branch of the code, and is called where the code takes another.

    >>> import torch
    >>> from symgrad import gradient
    >>> gradient("where(x > 0, x**2, x)", at={"x": 1.0})["x"](torch.tensor(-1.0))
    Traceback (most recent call last):
    symgrad.errors.AmbiguousBranch: these inputs take another branch than the point at which the gradient was
    taken (x > 0).
    Call symgrad.gradient again with at= this point.
    """


class NoPoint(SymgradError):
    """No point of the domain was found to test at; ``program`` is what was run at the last point that was tried.

    >>> from symgrad import verify
    >>> verify("log(x)", "1/x", domain="x < -1")
    Traceback (most recent call last):
    symgrad.errors.NoPoint: no point to test at: log needs its argument > 0, and the domain says x < -1.
        log(x)
    Pass at={...} with a point inside the domain, or domain={name: (low, high)}.
    """

    program: Any = None


class UserCodeFailed(SymgradError):
    """The user's own code raised; its own traceback is chained as ``__cause__``."""


class EndlessRun(SymgradError):
    """The user's own code had not ended after many times as many operations as it took before."""


class TimeIsOver(SymgradError):
    """The time that was given was over before anything was known; where something is, the report tells it instead."""


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
