"""Whether a formula is defined nowhere: what its roots and logarithms need contradicts itself."""

from __future__ import annotations

from typing import Any

from symgrad.program.primitives import primitive
from symgrad.program.program import Program
from symgrad.proving.field import Full, OutOfWork, Rescale
from symgrad.proving.generic_entry import Reader
from symgrad.proving.kernels import Kernels
from symgrad.proving.sign_facts import Empty
from symgrad.proving.views import Views

__all__ = ["is_nowhere_defined"]

_RESTARTS = 16


def is_nowhere_defined(program: Program, step: int) -> bool:
    """Whether it is proved that the step has a real value on no open set of inputs.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x = b.input("x", ())
    >>> never = b.apply("sqrt", b.sub(b.number(-1), b.integer_power(x, 2)))
    >>> sometimes = b.apply("sqrt", b.sub(b.number(1), b.integer_power(x, 2)))
    >>> [is_nowhere_defined(b.build({}), i) for i in (never, sometimes)]
    [True, False]

    Raises nothing.  Guarantee: True is a theorem (the needed signs contradict each other by exact arithmetic); False
    says only that no contradiction was found.
    """
    steps, place = primitive(program, [step])
    scales: dict[Any, Any] = {}
    facts: dict[str, int] = {}
    for n in (16, 64, 200):
        for _ in range(_RESTARTS):
            field = Kernels(n, scales, facts, terms=600)
            try:
                Reader(steps, field, Views(), lambda i: i, lambda i: False).entry(place[step])
            except Empty:
                return True
            except Rescale:
                continue
            except Full:
                break
            except (OutOfWork, ArithmeticError, RecursionError):
                pass
            if not field.learned:
                return False
    return False
