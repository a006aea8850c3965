"""Arb's working precision, which belongs to the whole process: one thread at a time may set it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from flint import ctx

__all__ = ["precision"]

_LOCK = threading.RLock()


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Set Arb's working precision for a block, and put it back.

    >>> from flint import arb
    >>> with precision(53):
    ...     print(arb(1) / 3)
    [0.333333333333333 +/- 3.71e-16]
    """
    with _LOCK:
        before = ctx.prec
        ctx.prec = bits
        try:
            yield
        finally:
            ctx.prec = before
