"""Many questions at once, on any executor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from symgrad.errors import BadInput
from symgrad.progress import each, silent
from symgrad.report.report import Report
from symgrad.verifier import verify

__all__ = ["verify_many"]


def verify_many(pairs: Iterable[Any], *, executor: Executor | None = None, **options: Any) -> list[Report | Exception]:
    """Verify each (formula, hand) or (formula, hand, options) of ``pairs``, in order.

    ``executor`` is any `concurrent.futures.Executor`, or an object with its ``submit`` (processes, Dask's client,
    MPI's); without one the pairs are verified here, one after another.  With processes the formulas must be
    picklable: text, SymPy, functions and modules defined at the top level of a module.  ``options`` are `verify`'s,
    for every pair; a pair's own come before them.

    A pair that raises gives its exception in the result's place, and never loses the others; so does a pair that the
    executor cannot send.  Past a second a bar counts the answers, if tqdm is installed and somebody is looking.

    >>> [r.verdict for r in verify_many([("x**2", "2*x"), ("x**2", "3*x")])]
    ['proved', 'refuted']
    >>> verify_many([("x**2", "2*x"), ("x^2", "2*x")])[1].what
    '^ is exclusive-or in Python; write powers as x**2.'
    """
    jobs = [_job(pair, options) for pair in pairs]
    if executor is None:
        return list(each((_one(*job) for job in jobs), "verifying", len(jobs)))
    futures = [_sent(executor, job) for job in jobs]
    return list(each(map(_result, futures), "verifying", len(futures)))


def _job(pair: Any, options: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    if not isinstance(pair, Sequence) or isinstance(pair, str) or not 2 <= len(pair) <= 3:
        raise BadInput(f"{pair!r} is not a pair.", instead="Pass (formula, hand) or (formula, hand, {options}).")
    own = pair[2] if len(pair) == 3 else {}
    return pair[0], pair[1], {**options, **own}


def _sent(executor: Executor, job: tuple[Any, ...]) -> Any:
    """A future; where the executor does not take the pair, the exception that it raises."""
    try:
        return executor.submit(_far, *job)
    except Exception as error:
        return error


def _far(formula: Any, hand: Any, options: dict[str, Any]) -> Report | Exception:
    """`_one` in a worker, whose terminal is not its own."""
    with silent():
        return _one(formula, hand, options)


def _one(formula: Any, hand: Any, options: dict[str, Any]) -> Report | Exception:
    try:
        return verify(formula, hand, **options)
    except Exception as error:
        return error


def _result(future: Any) -> Report | Exception:
    """A future's result; where the pair could not be sent, or its worker died, that exception."""
    if isinstance(future, Exception):
        return future
    try:
        return future.result()
    except Exception as error:
        return error
