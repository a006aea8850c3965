"""A script as code that can be looked into and edited: one unit, all of its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from symgrad.checking.judge import Problem
from symgrad.diagnosis.repair import Repair, judged
from symgrad.diagnosis.source_code import HOOK, Code, Plain, Unit, Watched, code_of, edited
from symgrad.errors import SymgradError
from symgrad.lifting.scripts.sides import Execution, Side
from symgrad.report.report import Report

__all__ = ["ScriptCode", "repair_together"]


@dataclass(frozen=True, eq=False)
class ScriptCode:
    """The derivations of one group, in the text of the whole script."""

    side: Side
    units: tuple[Unit, ...]
    returned: tuple[str, ...] | None = None

    def watched(
        self, unit: Unit, text: str, look: Callable[..., Any], point: Mapping[str, Any], dtypes: Mapping[str, str]
    ) -> Watched:
        """The script is run with its own values: another point is only another reading of what it computed."""
        return Watched(*self.side.execution.variant(text, {HOOK: look}).whole(self.side.group))

    def edited(self, texts: Mapping[Unit, str]) -> tuple[Side, str] | None:
        (text,) = texts.values()
        return replace(self.side, execution=self.side.execution.variant(text)), text.lstrip("\n")

    def plain(self, texts: Mapping[Unit, str], names: Mapping[str, Any]) -> Plain | None:
        """A script is one run of all of it: its edits are judged, and not tried."""
        return None


@code_of.register
def _(formula: Side) -> Code | None:
    if formula.side != 1:
        return None
    script = formula.execution.script
    defined = {n: v for n, v in script.plain().items() if callable(v) or isinstance(v, ModuleType)}
    return ScriptCode(formula, (Unit(None, script.pasted.code, script.file, 1, script.pasted.tree, defined),))


def repair_together(
    execution: Execution, problems: Sequence[Problem], reports: Sequence[Report]
) -> tuple[tuple[Repair, ...], str | None]:
    """The repairs of all groups in one text, where all are right in it together; else those of the first."""
    mended = [(p, r) for p, r in zip(problems, reports, strict=True) if r.repaired_source is not None]
    if len(mended) < 2:
        return next(((r.repairs, r.repaired_source) for _problem, r in mended), ((), None))
    found: dict[tuple[int, int] | None, Repair] = {}
    for _problem, report in mended:
        for one in report.repairs:
            found.setdefault(one.span, one)
    text = edited(execution.script.pasted.code, [(*at, one.after) for at, one in found.items() if at is not None])
    try:
        variant = execution.variant(text)
        kinds = {judged(p, replace(p.hand, execution=variant)) for p, _ in mended}  # type: ignore[type-var]
    except SymgradError:
        kinds = {"undecided"}
    if kinds <= {"proved", "agrees"}:
        order = sorted(found.values(), key=lambda one: one.span or (0, 0))
        return tuple(replace(one, proved=kinds == {"proved"}) for one in order), text.lstrip("\n")
    return mended[0][1].repairs, mended[0][1].repaired_source
