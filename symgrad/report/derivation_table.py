"""The derivation line by line: what each line is, and what it is meant to be."""

from __future__ import annotations

from collections.abc import Iterator

from symgrad.report.page import Derivation, Line
from symgrad.report.report import Report, StepFinding
from symgrad.report.wording import counted
from symgrad.report.wrong_lines import marked

__all__ = ["derivation_of"]

_ORDER = ("wrong", "misnamed", "fed wrong values", "unknown", "right", "forward", "unused")
_WORDS = {
    "right": "right",
    "wrong": "wrong",
    "fed wrong values": "right, but given wrong values",
    "forward": "a value of the model",
    "misnamed": "misnamed",
    "unused": "not used",
    "unknown": "no derivative that was recognised",
}


def derivation_of(report: Report) -> Derivation | None:
    """The lines that were judged; None where none was."""
    lines = tuple(_lines(report))
    return Derivation(lines) if lines else None


def _lines(report: Report) -> Iterator[Line]:
    rounds: dict[tuple[str, int | None, str], list[StepFinding]] = {}
    for step in report.steps:
        if step.source is not None and step.verdict is not None:
            rounds.setdefault((step.name, step.source.line, step.source.text), []).append(step)
    for same in rounds.values():
        worst = min(same, key=lambda s: _ORDER.index(s.verdict or "unknown"))
        verdict = worst.verdict or "unknown"
        words = _WORDS[verdict]
        times = sum(s.verdict == worst.verdict for s in same)
        if times < len(same):
            words += f" in {times} of {counted(len(same), 'round')}"
        meant = worst.claims if verdict not in ("forward", "unused") else None
        error = None
        if verdict in ("wrong", "fed wrong values") and worst.error:
            error = _off(worst.error)
        yield Line(marked(report, worst), verdict, words, meant, error)


def _off(error: float) -> str:
    """A relative difference in words.

    >>> _off(0.371), _off(1.0), _off(62.4), _off(3e-9)
    ('off by 37 %', 'off by 100 %', 'off by 62 times its size', 'off by 3e-07 %')
    """
    return f"off by {error:.2g} times its size" if error >= 9.95 else f"off by {_two_digits(100 * error)} %"


def _two_digits(x: float) -> str:
    return f"{x:.0f}" if x >= 9.95 else f"{x:.2g}"
