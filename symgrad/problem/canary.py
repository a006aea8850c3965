"""A derivative that everybody knows, taken before any verdict, in the surroundings of the question.

What symgrad concludes rests on code that torch runs under its tracer.  Where something around the question makes torch
compute or record otherwise, every verdict may be inverted; so the derivative of x**2 is traced first, and no verdict is
given where it does not come out as 2x.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from symgrad.errors import NotReproducible
from symgrad.evaluation.floats import Floats
from symgrad.lifting.tracing.functions import Function
from symgrad.lifting.tracing.surroundings import neutral
from symgrad.program.builder import Builder
from symgrad.program.derivative import gradients
from symgrad.program.program import interpret

P = ParamSpec("P")
T = TypeVar("T")
_AT = 1.5


def undisturbed(door: Callable[P, T]) -> Callable[P, T]:
    """A public function that answers in neutral surroundings, once the canary has sung."""

    @functools.wraps(door)
    def asked(*args: P.args, **options: P.kwargs) -> T:
        with neutral():
            check_surroundings()
            return door(*args, **options)

    return asked


def check_surroundings() -> None:
    """Raise `NotReproducible` where a traced derivative of x**2 is not 2x.

    >>> check_surroundings()
    """
    try:
        found = known_slope(_square)
    except Exception as error:  # whatever it is, it is not the user's code that raised it
        found = error
    if found != 2 * _AT:
        raise NotReproducible(
            f"in these surroundings nothing can be judged: the derivative of x**2 at {_AT} comes out as {found!r}.",
            instead="Something changes what torch computes here, such as a mode that is on or a function of torch "
            "that was replaced; ask outside of it.",
        )


def _square(x: Any) -> Any:
    return (x * x).sum()


def known_slope(function: Callable[[Any], Any]) -> float:
    """The traced derivative at the point, in floats."""
    program = Function(function, ("x",), "torch").run({"x": np.array([_AT])}).program
    b = Builder.on(program)
    (found,) = gradients(b, program.output, {"x": program.inputs["x"]}).values()
    values = interpret(b.build({"x": found}), Floats(), {"x": torch.tensor([_AT], dtype=torch.float64)}, [found])
    return float(values[found])
