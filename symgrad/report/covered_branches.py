"""What a report says of the choices of the code: which of its branches were reached, and where the others stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgrad.checking.results import Results
from symgrad.checking.verdicts import COMBINATIONS, TURNS, WHOLE_NUMBERS, Choice, Outcome
from symgrad.report.page import Block, Items, Paragraph, Section
from symgrad.report.wording import counted, listed, witness_text

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


def turns(coverage: Sequence[Choice]) -> str:
    """For how many turns of a loop a claim is right, where there may be others, and that it is for the whole numbers
    and the combinations of choices that were seen; nothing where nothing is so.

    >>> seen, others = Outcome("1 to 5 turns", "reached"), Outcome("other numbers of turns", "not reached")
    >>> turns([Choice(TURNS, "while err > tol", None, 4, (seen, others), branches=False)])
    ' for 1 to 5 turns of a loop'
    """
    open_ = [c for c in coverage if c.endless]
    seen = {listed([o.value for o in c.outcomes if o.state == "reached"]) for c in open_ if c.what == TURNS}
    told = (
        [f"{seen.pop()} of a loop" if len(seen) == 1 else "the turns that its loops were seen to make"] if seen else []
    )
    told += ["the whole numbers that were seen"] if any(c.what == WHOLE_NUMBERS for c in open_) else []
    told += ["the combinations of choices that were met"] if any(c.what == COMBINATIONS for c in open_) else []
    return f" for {listed(told)}" if told else ""


def choices(report: Results, full: bool) -> Iterator[Block]:
    """The choices of which a branch was not reached, and the loops that may run more often; with ``full`` all."""
    missed = [c for c in report.coverage if c.unreached or (c.endless and report.verdict != "refuted")]
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
    open_ = report.verdict == "undecided" and any(c.unreached for c in missed)
    yield Section("What the code decides by values", (Items((*items, *more)), *(rest if open_ else ())))


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
