"""``a/b c`` is a/(bc) to most and (a/b)c to some, and ``X'`` the transpose of X: a question is asked in all readings.

Of a slash: where the answers are the same, or where the reading is right that takes all of the factors as the
denominator, as printers of formulas do, that is the answer, and the reading stands in it.  Else the answer is a
question, which says what each reading comes to.  Where nothing else can be read, a prime or a star is a transpose and
``\\mathbf{AB}`` a product, if what they stand on are arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from symgrad.errors import SymgradError, WrongShape
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.token_reader import TwoReadings

_MOST = 3  # things with two readings in one question


class Answer(Protocol):
    """What is known of a question: a Report."""

    @property
    def ok(self) -> bool: ...
    @property
    def verdict(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


A = TypeVar("A", bound=Answer)
_Choices = Mapping[str, bool | str]  # of what only one reading is tried, what is told of that


def in_both_readings(ask: Callable[[Any, Any], A], formula: Any, hand: Any, *, shaped: bool = False) -> A:
    """The answer to a question, in whichever reading of its slashes and primes.

    ``shaped`` says that the shapes of the inputs were given: what is wrong where they were guessed by the letters may
    be about other things than arrays.
    Raises what ``ask`` raises, and `TwoReadings` where the readings have different answers.
    """
    try:
        return ask(formula, hand)
    except TwoReadings as error:
        first = error
    answers = list(_answers(ask, formula, hand, {}, first))
    if not answers:
        raise first
    chosen, whole = answers[0]
    told = [said for said in chosen.values() if isinstance(said, str) and said]
    others = {a.verdict for _, a in answers[1:]}
    in_all = first.other is not None and others | {whole.verdict} == {"refuted"}
    if told and not (whole.ok or shaped or in_all or (first.mark and first.mark in f"{formula} {hand}")):
        raise _asked_back(first, answers)
    is_clear = all(chosen.values()) and (whole.ok or {whole.verdict, *others} == {"refuted"})
    if others and not is_clear:
        raise _asked_back(first, answers)
    if first.other is not None and not chosen[first.of]:
        told.append(first.other)
    if below := _said(chosen):
        slashes = f"After a slash {below} was read as the denominator"
        slashes += f"; with a first factor alone there, {_outcome(others)}" if others else ""
        told.append(f"{slashes}. \\frac{{a}}{{b c}} or \\frac{{a}}{{b}} c says which.")
    return replace(whole, notes=(*told, *whole.notes))  # type: ignore[type-var]


def _answers(
    ask: Callable[[Any, Any], A], formula: Any, hand: Any, chosen: _Choices, error: TwoReadings
) -> Iterator[tuple[_Choices, A]]:
    """The answer in each reading in which the shapes fit."""
    if len(chosen) == _MOST:
        raise error
    one = (error.said,) if error.other is None else (error.said, "")
    for is_so in (True, False) if error.said is None else one:
        new = {**chosen, error.of: is_so}
        try:
            yield new, ask(settled(formula, new), settled(hand, new))
        except TwoReadings as more:
            yield from _answers(ask, formula, hand, new, more)
        except WrongShape:
            continue
        except SymgradError:
            if error.said is None:
                raise


def settled(thing: Any, chosen: _Choices) -> Any:
    """The formulas read so."""
    match thing:
        case Latex():
            return replace(thing, readings={**thing.readings, **{of: bool(is_so) for of, is_so in chosen.items()}})
        case Mapping():
            return {name: settled(part, chosen) for name, part in thing.items()}
        case list() | tuple():
            return type(thing)(settled(part, chosen) for part in thing)
    return thing


def _outcome(verdicts: set[str]) -> str:
    is_right, is_wrong = bool(verdicts & {"proved", "agrees"}), "refuted" in verdicts
    if is_right and is_wrong:
        return "it is right or wrong"
    return "it is right too" if is_right else "it is wrong" if is_wrong else "it is undecided"


def _asked_back(first: TwoReadings, answers: list[tuple[_Choices, Any]]) -> TwoReadings:
    """The question which reading is meant, with what the readings come to."""
    right = [chosen for chosen, a in answers if a.ok]
    error = first
    if right:
        what = f"{first.what} The two agree where it is {_said(right[0])}, and not where it is {_said(answers[0][0])}."
        if first.other is not None:
            other = first.other.rstrip(".").replace(" was ", " is ").replace("The argument", "the argument", 1)
            what = f"{first.what} The two agree where {other}, and not else."
        error = TwoReadings(what, of=first.of, where=first.where, instead=first.instead)
    return error


def _said(chosen: _Choices) -> str:
    slashes = {of: is_so for of, is_so in chosen.items() if isinstance(is_so, bool)}
    return " and ".join(of if is_so else f"the first factor of {of}" for of, is_so in slashes.items())
