"""The table of NumPy's functions of whole arrays: where the functions of `symgrad.lifting.tracing.numpy_functions` and
`symgrad.lifting.tracing.numpy_creation` enter themselves, and how one is called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symgrad.lifting.tracing.numpy_arrays import Arrays

__all__ = ["FUNCTIONS", "call", "entry"]

FUNCTIONS: dict[str, Callable[..., Any]] = {}


def entry(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            FUNCTIONS[name] = function
        return function

    return enter


@functools.cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(FUNCTIONS[name])


def call(a: Arrays, name: str, args: Any, options: Any) -> Any:
    """Call ``numpy.name`` on traced arguments; `UnknownOperation` for options that it is not known with."""
    try:
        _signature(name).bind(a, *args, **options)
    except TypeError as error:
        raise a.tracer.unknown(f"numpy.{name} ({error})") from None
    return FUNCTIONS[name](a, *args, **options)
