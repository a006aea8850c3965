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
_SOLVE, _BATCH = (192540, 196695), (196699,)
UPSTREAM = {  # issues of pytorch/pytorch that tell of wrong derivatives of an operator; 198017 lists most of them
    "_batch_norm_with_update": _BATCH,
    "_native_batch_norm_legit": _BATCH,
    "cholesky_inverse": (196682,),
    "cholesky_solve": (196694,),
    "cumprod": (196701,),
    "float_power": (89757,),
    "linalg.det": (192540, 196696),
    "linalg.householder_product": (196698,),
    "linalg.slogdet": (192540, 196697),
    "linalg.solve": _SOLVE,
    "linalg.solve_ex": _SOLVE,
    "linalg.tensorsolve": _SOLVE,
    "logdet": (192540, 196697),
    "native_batch_norm": _BATCH,
    "native_layer_norm": (196700,),
    "nn.functional.batch_norm": _BATCH,
    "nn.functional.ctc_loss": (52241, 181534),
    "nn.functional.layer_norm": (196700,),
    "pow": (89757,),
}


def kind_of(one: Found) -> str:
    """How a derivative is wrong: altogether, no number at all, in two modes differently, or in all but some digits."""
    if one.mode == AGAINST:
        return "two answers"
    if not math.isfinite(one.torch):
        return "no number"
    return "wrong" if abs(one.torch - one.exact) > 0.1 * abs(one.exact) else "few digits"


def render_table(found: Sequence[Found], missed: Iterable[str]) -> str:
    """The table: operators in the order of what is wrong with them, a row for each mode."""
    lines = list(_rows(found))
    operators = len({one.name for one in found})
    known = len({one.name for one in found} & UPSTREAM.keys())
    head = f"torch {torch.__version__}: {len(lines)} derivatives of {operators} operators are not what they should be."
    issues = f"Issues of pytorch/pytorch tell of {known} of these operators: their numbers are beside them."
    told = [head, "Each is what differences of torch's own forward pass say too.", issues, "", *lines]
    for k, one in enumerate(_firsts(found), 1):
        told += [
            "",
            f"[{k}] {one.name}, {one.mode}: {_compared(one)}",
            *(f"    {x}" for x in one.reproducer.split("\n")),
        ]
    not_judged = sorted(set(missed))
    return "\n".join([*told, *(["", "Not judged:", *(f"    {x}" for x in not_judged)] if not_judged else [])])


def render_json(found: Sequence[Found], missed: Iterable[str]) -> str:
    """The same as data: ``{"torch": version, "found": [...], "not_judged": [...]}``.

    ``upstream`` of a finding are the issues of pytorch/pytorch that tell of its operator.
    """
    rows = [{"kind": kind_of(one), **asdict(one), "upstream": list(UPSTREAM.get(one.name, ()))} for one in found]
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
            issues = "".join(f" #{n}" for n in UPSTREAM.get(one.name, ()))
            yield f"[{k:>2}] {name:<22} {mode:<23} {kind_of(one):<11} {dtypes:<16} {_compared(one)}{where}{issues}"


def _compared(one: Found) -> str:
    other = "reverse" if one.mode == AGAINST else "exact"
    return f"{'forward' if one.mode == AGAINST else 'torch'} {one.torch:.10g}, {other} {one.exact:.10g}"
