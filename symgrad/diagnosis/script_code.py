"""A script as code that can be looked into and edited: one unit, all of its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from symgrad.diagnosis.source_code import HOOK, Code, Plain, Unit, Watched, code_of
from symgrad.lifting.scripts.sides import Side


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
