"""Progress: a bar once a call has taken more than a second, and silence before that.

The bar is tqdm's, where tqdm is installed and somebody looks: on a terminal, or in a notebook that has widgets.
Everywhere else (pipes, logs, worker processes, test suites) nothing is shown, and TQDM_DISABLE=1 turns it off as it
does every bar of tqdm's.  The pipeline says what it is at by `doing`, at the price of reading a clock; it needs no
thread, and knows nothing of bars.

`within` is the other side of it: a time after which a call ends with what it has found.  `importing` is for the time
before all that.
"""

from __future__ import annotations

import contextlib
import gc
import math
import mmap
import sys
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from symgrad.errors import BadInput, TimeIsOver

_PATIENCE = 1.0  # seconds before a bar
_EVERY = 0.1  # seconds between two looks of the bar

T = TypeVar("T")


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """A block of imports, in which Python looks for no garbage: SymPy and torch make half a million objects that stay,
    and to look through them again and again is a third of what our own modules cost.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class OutOfTime(BaseException):
    """The time of a call is over; no `Exception`, so that nothing on the way takes it for a failure of the code."""


class OutOfMemory(OutOfTime):
    """A call has taken the memory that it may."""


class Interrupted(OutOfTime):
    """Whoever asked has pressed Ctrl-C; no `KeyboardInterrupt`, which the user's own code may catch."""


ENDS = (KeyboardInterrupt, OutOfTime)  # what ends a call before it is done


@dataclass
class _Budget:
    """The time at which a call ends, the bytes that the process may hold by then, and when these were looked at."""

    end: float
    memory: float = math.inf
    looked: float = 0.0


_BUDGET: ContextVar[_Budget | None] = ContextVar("symgrad_budget", default=None)


@contextlib.contextmanager
def within(seconds: float | None, memory: int | None = None) -> Iterator[None]:
    """Raise `OutOfTime` in the block once it has taken so many seconds, or so many bytes of memory; None is no limit.

    The clock is looked at wherever the pipeline says what it does, before each run of the user's code and whenever a
    Program is read at a point: neither that code nor a call into a library is cut short.

    >>> with within(0.01):
    ...     while True:
    ...         doing("waiting")
    Traceback (most recent call last):
      ...
    symgrad.errors.TimeIsOver: nothing was known after 0.01 seconds.
    Pass a larger timeout, or a smaller question.

    Raises `TimeIsOver` where nothing in the block takes the exception, `BadInput` for what is no time.
    """
    if seconds is None and memory is None:
        yield
        return
    if seconds is not None and (not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf):
        raise BadInput(f"timeout is {seconds!r}.", instead="Pass a number of seconds, or None for no limit.")
    around = _BUDGET.get() or _Budget(math.inf)
    end = math.inf if seconds is None else time.monotonic() + seconds
    most = math.inf if memory is None else _held() + memory
    token = _BUDGET.set(_Budget(min(end, around.end), min(most, around.memory)))
    try:
        yield
    except Interrupted:
        raise
    except OutOfTime as ended:  # nothing in the block could say what it had found
        by = "when its memory was full" if isinstance(ended, OutOfMemory) else f"after {seconds or 0:g} seconds"
        raise TimeIsOver(f"nothing was known {by}.", instead="Pass a larger timeout, or a smaller question.") from None
    finally:
        _BUDGET.reset(token)


_interrupted = False  # whether this process has been asked to end


def interrupt(*_: Any) -> None:
    """A handler of signals: the clock says from now on that the call is to end."""
    global _interrupted
    _interrupted = True


def look_at_the_clock() -> None:
    """Raise `OutOfTime` where the time of the call is over, or its memory is full, or `interrupt` was called."""
    if _interrupted:
        raise Interrupted
    budget = _BUDGET.get()
    if budget is None:
        return
    now = time.monotonic()
    if now > budget.end:
        raise OutOfTime
    if budget.memory < math.inf and now - budget.looked > _EVERY:
        budget.looked = now
        if _held() > budget.memory:
            raise OutOfMemory


def _held() -> float:
    """The bytes that this process holds; none where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as said:
            return int(said.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0.0


class _Bar:
    """What is being done, and tqdm's bar from the time that it has taken longer than a second."""

    def __init__(self, text: str, total: int | None) -> None:
        self.text, self.total, self.done = text, total, 0
        self.begun = self.drawn = time.monotonic()
        self.bar: Any = None

    def move(self, *, text: str | None = None, done: int | None = None) -> None:
        self.text = self.text if text is None else text
        self.done = self.done if done is None else done
        now = time.monotonic()
        if now - self.begun < _PATIENCE or now - self.drawn < _EVERY:
            return
        self.drawn = now
        if self.bar is None:  # tqdm's own truth is whether it has a total
            self.bar = _tqdm(self.text, self.total)
            self.bar.start_t -= now - self.begun  # it counts from the beginning of the call
        self.bar.n = self.done
        self.bar.set_description_str(self.text, refresh=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


_BAR: ContextVar[_Bar | None] = ContextVar("symgrad_progress", default=None)


def doing(text: str) -> None:
    """Say what is being done now; inside of a larger call, which counts its own parts, nothing changes but the time."""
    look_at_the_clock()
    bar = _BAR.get()
    if bar is not None:
        bar.move(text=text if bar.total is None else None)


@contextlib.contextmanager
def shown(text: str, total: int | None = None) -> Iterator[None]:
    """Show the progress of what is done inside; a call inside of another has no bar of its own."""
    if _BAR.get() is not None or not _is_watched():
        yield
        return
    bar = _Bar(text, total)
    token = _BAR.set(bar)
    try:
        yield
    finally:
        _BAR.reset(token)
        bar.close()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Show nothing of what is done inside: a worker's terminal is not its own."""
    token = _BAR.set(_Silence("", None))
    try:
        yield
    finally:
        _BAR.reset(token)


class _Silence(_Bar):
    def move(self, *, text: str | None = None, done: int | None = None) -> None:
        pass


def each(things: Iterable[T], text: str, total: int) -> Iterator[T]:
    """The things one by one, counted.

    >>> list(each("ab", "letters", 2))
    ['a', 'b']
    """
    with shown(text, total):
        bar = _BAR.get()
        for k, thing in enumerate(things, 1):
            yield thing
            if bar is not None and bar.total == total:
                bar.move(done=k)


def _is_watched() -> bool:
    """Whether there is a bar to be had and somebody to see it; in a notebook only where it takes widgets."""
    with contextlib.suppress(AttributeError, ValueError):
        if type(sys.stderr).__module__.startswith("ipykernel"):
            return _is_installed("tqdm") and _is_installed("ipywidgets")
        return sys.stderr.isatty() and _is_installed("tqdm")
    return False


def _is_installed(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def _tqdm(text: str, total: int | None) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without widgets tqdm draws in text, and says that it would rather not
        from tqdm.auto import tqdm

        return tqdm(desc=text, total=total, leave=False, bar_format=None if total is not None else "{desc} [{elapsed}]")
