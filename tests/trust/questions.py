"""Questions of known truth about how code is read: is a verdict of the code that ran, in the surroundings it ran in?

Each is data: a name, the law that it is about, the door that it is asked at, and whether the gradient in it is right
(None where only a clear answer is asked for).  The truth is written by hand, or comes from autograd in float64.  Half
of them are right and half are wrong.  The laws:

1 surroundings, 2 the record is what ran, 3 choices, 4 shapes, 5 data, 6 resolution, 7 NaN, 8 cotangents and
broadcasting, 9 what was held fixed, 10 points, 11 every door.

    cd tests && python -m trust.questions [law ...]

prints how each law is answered, and every answer that is not right.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad import SymgradError, gradient, verify

__all__ = ["OUTCOMES", "Answer", "Question", "answered", "pair", "pairs", "questions", "slope"]

OUTCOMES = ("right", "silent", "noted", "none", "crash")
SECONDS = 60
_SAID = ("not judged", "at the points that were looked at", "could not be told", "only", "alone")


@dataclass(frozen=True, eq=False)
class Question:
    """``ask`` answers with a report, a verdict, or True and False for a value that is right or wrong."""

    name: str
    law: int
    door: str
    ask: Callable[[], Any]
    truth: bool | None

    def __str__(self) -> str:
        truth = {True: "right", False: "wrong", None: "junk"}[self.truth]
        return f"{self.law} {self.door}: {self.name} ({truth})"


@dataclass(frozen=True)
class Answer:
    """What became of a question: one of `OUTCOMES`, and the words.

    *silent*: wrong in silence; *noted*: wrong, under a note that says what was not seen; *none*: no verdict.
    """

    outcome: str
    words: str


def answered(question: Question) -> Answer:
    """Ask, and hold the answer against the truth."""
    try:
        with _apart(), _patience():
            found = question.ask()
    except SymgradError as error:
        return Answer("right" if question.truth is None else "none", f"{type(error).__name__}: {_line(error)}")
    except Exception as error:
        return Answer("crash", f"{type(error).__name__}: {_line(error)}")
    if isinstance(found, bool):
        return Answer("right" if found else "silent", "the value that was computed")
    kind = getattr(found, "verdict", None) or found.kind
    notes = [n for n in getattr(found, "notes", ()) if any(w in n for w in _SAID)]
    if question.truth is None:
        return Answer("right", kind)
    if kind == "undecided":
        return Answer("none", kind)
    if (kind in ("proved", "agrees")) == question.truth:
        return Answer("right", kind)
    return Answer("noted" if notes and not question.truth else "silent", f"{kind} {notes[:1]}")


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """A block after which the modes are as they were, whatever a question left on."""
    before = torch.get_default_dtype(), torch.get_num_threads(), torch.get_default_device()
    with warnings.catch_warnings(), np.errstate(), torch.inference_mode(False), torch.enable_grad():
        warnings.simplefilter("ignore")
        with torch.autocast("cpu", enabled=False):
            try:
                yield
            finally:
                torch.set_default_dtype(before[0])
                torch.set_num_threads(before[1])
                if torch.get_default_device() != before[2]:
                    torch.set_default_device(before[2])
                torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """A question that is not answered in `SECONDS` has crashed."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"no answer within {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:150]


# ------------------------------------------------------------------------------------------------ making them


def pair(law: int, name: str, f: Any, right: Any, wrong: Any, **options: Any) -> Iterator[Question]:
    """The same function with a right and a wrong gradient; None for one that is not asked."""
    for hand, truth in ((right, True), (wrong, False)):
        if hand is not None:
            yield Question(name, law, "verify", lambda h=hand: verify(f, h, **options), truth)


def pairs(law: int, rows: Iterable[tuple[Any, ...]]) -> Iterator[Question]:
    """Rows of name, f, right, wrong and, where there is one, ``at``."""
    for name, f, right, wrong, *at in rows:
        yield from pair(law, name, f, right, wrong, **({"at": at[0]} if at else {}))


def slope(f: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Autograd's gradient of the sum of f's values."""
    x = x.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(f(x).sum(), x)
    return found


def holds(f: Any, at: dict[str, Any], truth: np.ndarray) -> bool:
    """Whether `gradient` computes the truth, to ten digits."""
    (found,) = gradient(f, at=at).values()
    value = np.asarray(found(**{n: torch.tensor(v, dtype=torch.float64, device="cpu") for n, v in at.items()}))
    return bool(np.allclose(value, truth, rtol=1e-10, atol=1e-12))


def questions() -> list[Question]:
    """All of them, by law."""
    from trust import (
        questions_at_first_sight,
        questions_of_choices,
        questions_of_data,
        questions_of_doors,
        questions_of_floats,
        questions_of_records,
        questions_of_surroundings,
    )

    families = (
        questions_of_surroundings, questions_of_records, questions_of_choices, questions_of_data, questions_of_floats,
        questions_of_doors, questions_at_first_sight,
    )  # fmt: skip
    return sorted((q for family in families for q in family.questions()), key=lambda q: q.law)


def main(laws: Iterable[int] = ()) -> None:
    asked = [q for q in questions() if not laws or q.law in laws]
    table: dict[int, Counter[str]] = {}
    for question in asked:
        begun = time.process_time()
        answer = answered(question)
        table.setdefault(question.law, Counter())[answer.outcome] += 1
        spent = time.process_time() - begun
        if answer.outcome != "right" or spent > 10:
            print(f"{answer.outcome:7} {spent:5.1f} s  {question}: {answer.words}", flush=True)
    print(f"\nlaw {' '.join(f'{o:>7}' for o in OUTCOMES)}")
    for law, counts in sorted(table.items()):
        print(f"{law:3} {' '.join(f'{counts[o]:7}' for o in OUTCOMES)}")
    total = sum(table.values(), Counter[str]())
    print(f"all {' '.join(f'{total[o]:7}' for o in OUTCOMES)}")
    known = [q.truth for q in asked if q.truth is not None]
    print(
        f"{len(asked)} questions: {sum(known)} right, {len(known) - sum(known)} wrong, {len(asked) - len(known)} junk"
    )


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]])
