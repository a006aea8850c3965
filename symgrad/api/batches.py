"""Many questions at once, on any executor: in order, and none is lost where another fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar, Unpack

from symgrad.errors import BadInput, TimeIsOver
from symgrad.lifting.scripts.child_process import answer_apart, end_all
from symgrad.progress import each, silent
from symgrad.report.report import Report
from symgrad.typing import ExecutorLike, FutureLike, Options, Question
from symgrad.verifier import verify

T = TypeVar("T")


def verify_many(
    pairs: Iterable[Question], *, executor: ExecutorLike | None = None, **options: Unpack[Options]
) -> list[Report | Exception]:
    """Verify each (formula, hand) or (formula, hand, options) of ``pairs``, in order.

    ``executor`` is any `concurrent.futures.Executor`, or an object with its ``submit`` (processes, Dask's client,
    MPI's); without one the pairs are verified here, one after another.  With processes the formulas must be
    picklable: text, SymPy, functions and modules defined at the top level of a module.  ``options`` are `verify`'s,
    for every pair; a pair's own come before them.

    A pair that raises gives its exception in the result's place, and never loses the others; so does a pair that the
    executor cannot send.  Past a second a bar counts the answers, if tqdm is installed and somebody is looking.

    >>> [r.verdict for r in verify_many([("x**2", "2*x"), ("x**2", "3*x")])]
    ['proved', 'refuted']
    >>> verify_many([("x**2", "2*x"), ("x**2", "2*(x")])[1].what
    'this parenthesis is never closed.'
    """
    return list(
        answer_many([partial(verify, *pair, **own) for pair, own in (_job(p, options) for p in pairs)], executor)
    )


def answer_many(questions: Sequence[Callable[[], T]], executor: ExecutorLike | None = None) -> Iterator[T | Exception]:
    """What each question returns, in order, or what it raises; ``executor`` is as for `verify_many`.

    >>> list(answer_many([lambda: 1 + 1, lambda: 1 / 0]))
    [2, ZeroDivisionError('division by zero')]
    """
    if executor is None:
        return each(map(_outcome, questions), "verifying", len(questions))
    futures = [_sent(executor, question) for question in questions]
    interrupt = getattr(executor, "interrupt", None)
    return each((_result(future, interrupt) for future in futures), "verifying", len(futures))


class Processes(ThreadPoolExecutor):
    """An executor that answers each question in a process of its own, as many at a time as it has ``workers``.

    Whatever a question does to its process (modules, defaults of torch, a crash) is seen by no other.  Its processes
    are those of `answer_apart`: forks where that is safe, new interpreters elsewhere.

    >>> import os
    >>> with Processes(2) as two:
    ...     len({os.getpid(), *answer_many([os.getpid, os.getpid], two)})
    3
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        return super().submit(_apart, partial(fn, *args, **options))

    def interrupt(self) -> None:
        """End what runs with what it knows by then, and begin nothing more."""
        self.shutdown(wait=False, cancel_futures=True)
        end_all()

    def __exit__(self, kind: type[BaseException] | None, *about: Any) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self.shutdown(wait=False, cancel_futures=True)
            end_all(grace=0)
        super().__exit__(kind, *about)


def _apart(question: Callable[[], T]) -> T | Exception:
    try:
        return answer_apart(question)
    except KeyboardInterrupt:  # it was passed on to the process, which knew nothing yet
        return _not_reached()


def _not_reached() -> TimeIsOver:
    return TimeIsOver("nothing was known when it was ended by Ctrl-C.")


def _job(pair: Any, options: Mapping[str, Any]) -> tuple[tuple[Any, Any], dict[str, Any]]:
    if not isinstance(pair, Sequence) or isinstance(pair, str) or not 2 <= len(pair) <= 3:
        raise BadInput(f"{pair!r} is not a pair.", instead="Pass (formula, hand) or (formula, hand, {options}).")
    own = pair[2] if len(pair) == 3 else {}
    return (pair[0], pair[1]), {**options, **own}


def _sent(executor: ExecutorLike, question: Callable[[], T]) -> FutureLike[Any] | Exception:
    """A future; where the executor does not take the question, the exception that it raises."""
    try:
        return executor.submit(_far, question)
    except Exception as error:
        return error


def _far(question: Callable[[], T]) -> T | Exception:
    """`_outcome` in a worker, whose terminal is not its own."""
    with silent():
        return _outcome(question)


def _outcome(question: Callable[[], T]) -> T | Exception:
    try:
        return question()
    except Exception as error:
        return error


def _result(future: FutureLike[T | Exception] | Exception, interrupt: Callable[[], None] | None) -> T | Exception:
    """A future's result; where the question could not be sent, or its worker died, that exception.

    At Ctrl-C ``interrupt`` ends all, so that the results are what is known by then; a second one is raised.
    """
    if isinstance(future, Exception):
        return future
    try:
        return future.result()
    except KeyboardInterrupt:
        if interrupt is None:
            raise
        interrupt()
        return _result(future, None)
    except CancelledError:
        return _not_reached()
    except Exception as error:
        return error
