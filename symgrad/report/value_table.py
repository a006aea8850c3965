"""The table of `Report.table`: each derivative at each point computed in three ways, as text, HTML, CSV and rows."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.checking.three_ways import WAYS, ThreeWays
from symgrad.checking.verdicts import as_entry
from symgrad.report.html import render_piece
from symgrad.report.page import Block, Items, Paragraph, Section, Table, Values
from symgrad.report.plain_data import as_plain
from symgrad.report.text import plain_text
from symgrad.report.wording import counted, number, own_text, place_of, witness_text

_CALLED = {"symbolic": "symbolic", "autograd": "autograd", "hand": "yours"}
_DIGITS = {"float64": 17, "float32": 9, "float16": 5, "bfloat16": 4}  # what tells all of a dtype's numbers apart
_POINTS = 12  # points of which a page has a line
_TALL, _WIDE = 16, 8  # the largest matrix that is shown entry by entry


@dataclass(frozen=True, eq=False)
class ValueTable:
    """Every derivative at every point that was looked at, computed in three ways, beside the truth.

    ``ways`` are the arrays, one `ThreeWays` for a derivative at a point; ``rows`` are the same entry by entry, as
    ``pandas.DataFrame(table.rows)`` takes them.  ``str(table)`` shows the entry of each array in which yours is
    furthest from the truth, and how yours and autograd differ at the first point.
    """

    ways: tuple[ThreeWays, ...]
    given: bool  # whether the first point is the user's own, or was drawn

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """A dictionary for each entry of each derivative at each point; None where there is no such number."""
        return tuple(_rows(self.ways))

    def to_csv(self) -> str:
        """The rows as CSV, under their names."""
        out = io.StringIO()
        rows = self.rows
        writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """The rows for JSON: what it has no name for is a string ("nan", "inf")."""
        return {"rows": as_plain(self.rows)}

    def __str__(self) -> str:
        return plain_text(_blocks(self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render_piece(_blocks(self))


def _rows(ways: Sequence[ThreeWays]) -> Iterator[dict[str, Any]]:
    for w in ways:
        inputs = {f"at {name}": np.asarray(x).item() for name, x in w.point.items() if np.ndim(x) == 0}
        for j in range(w.truth.size):
            entry = as_entry(j, w.truth.shape)
            yield {
                "claim": w.claim,
                "point": w.number,
                "own": w.is_own,
                "branch": w.branch,
                "entry": None if entry is None else place_of(entry),
                **{way: _item(w.values, way, j) for way in WAYS},
                "truth": w.truth.reshape(-1)[j].item(),
                **{f"{way} ulps": _item(w.ulps, way, j) for way in WAYS},
                "dtype": w.dtype,
                **inputs,
            }


def _item(arrays: Mapping[str, np.ndarray], way: str, j: int) -> Any:
    return arrays[way].reshape(-1)[j].item() if way in arrays else None


# ------------------------------------------------------------------------------------------------ on a page


def _blocks(table: ValueTable) -> Iterator[Block]:
    if not table.ways:
        yield Paragraph("There is no point at which the derivative and yours could be computed beside each other.")
        return
    first = table.ways[0]
    yield Paragraph(
        "Symbolic is the exact derivative, run as torch code. How far a value is from the exact one is said in ulps of "
        f"{first.dtype}: one ulp is the gap between two neighbours among these numbers."
    )
    for claim in dict.fromkeys(w.claim for w in table.ways):
        yield Section(claim, tuple(_claim([w for w in table.ways if w.claim == claim], table.given)))
    points = {w.number: w for w in table.ways}
    told = [f"{k}{_whose(w, table.given)}: {_point(w, first.point)}" for k, w in points.items() if k <= _POINTS]
    if len(points) > len(told):
        told.append(f"{counted(len(points) - len(told), 'point')} more, which table.rows has")
    yield Section("The points", (Items(tuple(told)),))


def _whose(w: ThreeWays, given: bool) -> str:
    return " (your own)" if w.is_own and given else ""


def _point(w: ThreeWays, own: Mapping[str, Any]) -> str:
    return (own_text(w.point) if w.is_own else "") or witness_text(w.point, {} if w.is_own else own)


def _claim(mine: Sequence[ThreeWays], given: bool) -> Iterator[Block]:
    first, is_array = mine[0], any(w.truth.shape for w in mine)
    where = "at your own point" if given else "at point 1"
    if not first.truth.size:
        return
    j = _worst(first)
    entry = f", in the entry {place_of(as_entry(j, first.truth.shape) or ())}" if is_array else ""
    yield Values(f"{where[0].upper()}{where[1:]}{entry}:", tuple(_values(first, j)))
    yield from _differences(first, where)
    if len(mine) > 1:
        each = ", each in the entry in which yours is furthest from the exact one" if is_array else ""
        yield Paragraph(f"At all points{each}; the last columns say how far off each is:")
        yield _all_points(mine, is_array)


def _all_points(mine: Sequence[ThreeWays], is_array: bool) -> Table:
    ways = [way for way in WAYS if any(way in w.values for w in mine)]
    branched = len({w.branch for w in mine}) > 1
    off = (_CALLED[way] for way in ways)
    header = ("point", *["entry"] * is_array, *["branch"] * branched, "exact", "your value", *off)
    rows = []
    for w in mine:
        if w.number <= _POINTS:
            j = _worst(w)
            place = [place_of(as_entry(j, w.truth.shape) or ())] * is_array
            far = (_off(w, way, j) if way in w.ulps else "" for way in ways)
            rows.append((str(w.number), *place, *[str(w.branch)] * branched, *_two(w, j), *far))
    return Table(header, tuple(rows))


def _worst(w: ThreeWays) -> int:
    """The flat entry in which yours, or what there is instead, is furthest from the truth."""
    far = next((w.ulps[way] for way in ("hand", "autograd", "symbolic") if way in w.ulps), np.zeros(w.truth.shape))
    return int(np.nan_to_num(far, nan=-1.0).argmax())


def _values(w: ThreeWays, j: int) -> Iterator[tuple[str, str]]:
    """One entry in all the digits that its dtype has, each way with its distance; then the exact one."""
    digits = _DIGITS[w.dtype]
    for way in WAYS:
        if way in w.values:
            far = w.ulps[way].reshape(-1)[j]
            off = "" if far != far else f"  {_off(w, way, j)}{' ulp' * bool(w.truth.reshape(-1)[j])}"
            yield _CALLED[way], f"{number(w.values[way].reshape(-1)[j], digits)}{off}"
    exact = w.truth.reshape(-1)[j]
    yield "exact", number(exact, digits) if exact == exact else "no value"


def _off(w: ThreeWays, way: str, j: int) -> str:
    """How far an entry is off in ulps; as it is where the truth is zero and has none."""
    if w.truth.reshape(-1)[j] or not w.ulps[way].reshape(-1)[j]:
        return number(w.ulps[way].reshape(-1)[j], 2)
    return f"{number(abs(w.values[way].reshape(-1)[j]), 2)} absolute"


def _two(w: ThreeWays, j: int) -> tuple[str, str]:
    """The exact value and yours to one more digit than they share, six at least and ten at most."""
    exact = w.truth.reshape(-1)[j]
    if "hand" not in w.values:
        return number(exact), ""
    mine = w.values["hand"].reshape(-1)[j]
    share = abs(mine - exact) / abs(exact) if exact else 1.0
    digits = 6 if not 0 < share < 1 else min(max(6, 1 + math.ceil(-math.log10(share))), 10)
    return number(exact, digits), number(mine, digits)


def _differences(w: ThreeWays, where: str) -> Iterator[Block]:
    """How yours and autograd differ at the first point: in how many entries, where most, and each of them."""
    gap = w.differences
    if gap is None or not gap.shape:
        return
    apart = np.nan_to_num(np.abs(gap), nan=np.inf)
    count = int(np.count_nonzero(apart))
    if not count:
        yield Paragraph(f"Yours and autograd are the same in every entry {where}.")
        return
    no_unit = (w.truth == 0) & (apart > 0)  # zero has no ulps
    plain = np.asarray(w.values["hand"] - w.values["autograd"], dtype=float)
    j = int(apart.argmax())
    by = (
        f"{number(abs(plain.flat[j]), 2)}, where the truth is zero"
        if no_unit.flat[j]
        else f"{number(apart.max(), 2)} ulp"
    )
    yield Paragraph(
        f"Yours and autograd differ in {count} of {counted(gap.size, 'entry')} {where}, most in "
        f"{place_of(as_entry(j, gap.shape) or ())}, by {by}."
    )
    if gap.ndim == 2 and gap.shape[0] <= _TALL and gap.shape[1] <= _WIDE:
        yield Paragraph(f"Yours - autograd {where}, in ulps of {w.dtype}:")
        told = np.where(no_unit, plain, gap).tolist()
        yield _matrix(told, no_unit, apart)


def _matrix(gap: list[list[float]], no_unit: np.ndarray, apart: np.ndarray) -> Table:
    header = ("", *(f"[:, {j}]" for j in range(apart.shape[1])))
    words = [
        [f"{_signed(x)}{' absolute' * bool(no_unit[i, j])}" for j, x in enumerate(row)] for i, row in enumerate(gap)
    ]
    rows = [(f"[{i}]", *row) for i, row in enumerate(words)]
    top = np.max(apart[np.isfinite(apart) & ~no_unit], initial=0.0) or 1.0
    shades = tuple((0.0, *(min(x / top, 1.0) for x in row)) for row in apart.tolist())
    return Table(header, tuple(rows), shades)


def _signed(x: float) -> str:
    return "0" if x == 0 else f"{'-' if x < 0 else '+'}{number(abs(x), 2)}"
