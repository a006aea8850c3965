"""What a report says of the choices of the code: which of its branches were reached, and where the others stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgrad.checking.results import Results
from symgrad.checking.verdicts import Choice, Outcome
from symgrad.report.page import Block, Items, Paragraph, Section
from symgrad.report.wording import counted, witness_text

_MOST = 8  # choices that are told where it is not asked for all


def reached(coverage: Sequence[Choice]) -> str:
    """How many branches of the code were reached, as the answer says it.

    >>> seen, missed = Outcome("true", "reached"), Outcome("false", "not reached")
    >>> reached([Choice("a comparison", "if x > 1e300", None, None, (seen, missed))])
    '1 of 2 branches was reached'
    """
    states = [o.state for c in coverage if c.branches for o in c.outcomes if o.state in ("reached", "not reached")]
    count = states.count("reached")
    return f"{count} of {counted(len(states), 'branch')} {'was' if count == 1 else 'were'} reached"


def choices(report: Results, full: bool) -> Iterator[Block]:
    """The choices of which a branch was not reached; with ``full`` all of them."""
    missed = [c for c in report.coverage if c.unreached]
    told = report.coverage if full else missed[:_MOST]
    if not told:
        return
    items = [f"{_place(c)}{c.text}: {', '.join(_outcome(o, report, full) for o in c.outcomes)}" for c in told]
    more = [f"{counted(len(missed) - len(told), 'more choice')}"] if not full and len(missed) > len(told) else []
    rest = (
        Paragraph(
            'Pass a point in "at" from which a branch can be reached, or say unreached="accept" if it does not matter.'
        ),
    )
    open_ = report.verdict == "undecided"
    yield Section("What the code decides by values", (Items((*items, *more)), *(rest if missed and open_ else ())))


def _place(choice: Choice) -> str:
    return f"line {choice.line}: " if choice.line else ""


def _outcome(outcome: Outcome, report: Results, full: bool) -> str:
    where = (
        f" at {witness_text(outcome.point, report.point)}"
        if full and outcome.point and outcome.state != "impossible"
        else ""
    )
    word = {"outside": "outside of the domain"}.get(outcome.state, outcome.state)
    return f"{outcome.value} {word}{where}"
