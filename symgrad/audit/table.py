"""An audit as a table: what torch says of each operator, what is so, and five lines that show it; or as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby

import torch

from symgrad.audit.findings import AGAINST, Found

_KINDS = ("wrong", "no number", "two answers", "few digits")


def kind_of(one: Found) -> str:
    """How a derivative is wrong: altogether, no number at all, in two modes differently, or in all but some digits."""
    if one.mode == AGAINST:
        return "two answers"
    if not math.isfinite(one.torch):
        return "no number"
    return "wrong" if abs(one.torch - one.exact) > 0.01 * abs(one.exact) else "few digits"


def render_table(found: Sequence[Found], missed: Iterable[str]) -> str:
    """The table: operators in the order of what is wrong with them, a row for each mode."""
    lines = list(_rows(found))
    operators = len({one.name for one in found})
    head = f"torch {torch.__version__}: {len(lines)} derivatives of {operators} operators are not what they should be."
    told = [head, "Each is what difference quotients of torch's own forward pass say too.", "", *lines]
    for k, one in enumerate(_firsts(found), 1):
        told += [
            "",
            f"[{k}] {one.name}, {one.mode}: {_compared(one)}",
            *(f"    {x}" for x in one.reproducer.split("\n")),
        ]
    not_judged = sorted(set(missed))
    return "\n".join([*told, *(["", "Not judged:", *(f"    {x}" for x in not_judged)] if not_judged else [])])


def render_json(found: Sequence[Found], missed: Iterable[str]) -> str:
    """The same as data: ``{"torch": version, "found": [...], "not_judged": [...]}``."""
    rows = [{"kind": kind_of(one), **asdict(one)} for one in found]
    return json.dumps({"torch": torch.__version__, "found": rows, "not_judged": sorted(set(missed))}, indent=1)


def _ordered(found: Sequence[Found]) -> list[list[Found]]:
    """The findings by operator, the worst operators first."""
    by_name = [list(group) for _, group in groupby(sorted(found, key=lambda one: one.name), lambda one: one.name)]
    return sorted(by_name, key=lambda group: min(_KINDS.index(kind_of(one)) for one in group))


def _firsts(found: Sequence[Found]) -> Iterator[Found]:
    for group in _ordered(found):
        yield min(group, key=lambda one: _KINDS.index(kind_of(one)))


def _rows(found: Sequence[Found]) -> Iterator[str]:
    for k, group in enumerate(_ordered(found), 1):
        for mode in dict.fromkeys(one.mode for one in group):
            same = [one for one in group if one.mode == mode]
            one, dtypes = same[0], ", ".join(x.dtype for x in same)
            where = f" at {one.where}" if one.where else ""
            name = one.name.removeprefix("nn.functional.")
            yield f"[{k:>2}] {name:<22} {mode:<23} {kind_of(one):<11} {dtypes:<16} {_compared(one)}{where}"


def _compared(one: Found) -> str:
    other = "reverse" if one.mode == AGAINST else "exact"
    return f"{'forward' if one.mode == AGAINST else 'torch'} {one.torch:.10g}, {other} {one.exact:.10g}"
