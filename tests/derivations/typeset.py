"""Slips in random rows of derivations as people typeset them: each is to be named by its row, and no other row.

A slip changes one number or one sign, or takes a sine for a cosine.  Rows in which that changes no value (a constant
below a derivative) are passed over, by the values of the row before and after in floats.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from symgrad import Latex, SymgradError, verify
from symgrad.lifting.latex.equations import Claim
from symgrad.lifting.whole_questions import sides_of

FILE = Path(__file__).parents[1] / "corpus" / "typeset_derivations.txt"
_EDITS = (  # what is written, and what is written instead of it
    (r"(?<![\d_{.])(?<!\\frac)[2-9](?![\d.])", lambda old: str(int(old) % 9 + 1)),
    (r"(?<=[\w})] )[+]", lambda old: "-"),
    (r"(?<=[\w})] )-", lambda old: "+"),
    (r"\\sin(?!h)", lambda old: r"\cos"),
    (r"\\cos(?!h)", lambda old: r"\sin"),
)


@dataclass(frozen=True)
class Planted:
    """A derivation with a slip: its text, what stands in the place of what, and the side that has it, as it is then."""

    title: str
    text: str
    slip: tuple[str, str]
    side: str


def derivations() -> dict[str, tuple[str, str, str]]:
    """Each derivation by its title: the rows, and a slip that is told beside them."""
    found = {}
    for part in FILE.read_text().split("# ")[1:]:
        title, *rows, slip = part.strip().splitlines()
        right, wrong = slip.removeprefix("! ").split(" => ")
        found[title] = "\n".join(rows), right, wrong
    return found


def planted(seed: int) -> Planted:
    """A slip in a random right side of a random derivation."""
    rng = random.Random(seed)
    known = derivations()
    titles = sorted(known)
    while True:
        title = rng.choice(titles)
        text = Latex(known[title][0]).text
        try:
            sides = list(_sides(text))
        except SymgradError:
            continue  # its rows are read beside a model alone
        rng.shuffle(sides)
        for start, stop in sides:
            places = [(m, new) for pattern, new in _EDITS for m in re.finditer(pattern, text[start:stop])]
            rng.shuffle(places)
            for m, new in places:
                old, at = m[0], start + m.start()
                made = text[:at] + new(old) + text[at + len(old) :]
                end = stop + len(new(old)) - len(old)
                if _changes(text, (start, stop), made, (start, end)):
                    return Planted(title, made, (old, new(old)), made[start:end])


def measure(seeds: range) -> tuple[Counter[str], list[str]]:
    """How many slips were named by their rows, and what became of the others."""
    count: Counter[str] = Counter()
    missed = []
    for seed in seeds:
        case = planted(seed)
        count["made"] += 1
        kind, told = outcome(case)
        count[kind] += 1
        if kind != "named":
            missed.append(f"{seed} {case.title}: {kind}; {case.slip[0]!r} -> {case.slip[1]!r} in {case.side!r}; {told}")
    return count, missed


def outcome(case: Planted) -> tuple[str, str]:
    """``named`` where the first wrong row is the slip's, and there is no other; otherwise what was said."""
    try:
        report = verify(Latex(case.text))
    except SymgradError as error:
        return "refused", str(error).splitlines()[0]
    wrong = [s.source.text for s in report.steps if s.verdict == "wrong" and s.source is not None]
    named = [squeezed(w).endswith(squeezed(case.side)) for w in wrong]
    if not report.steps and report.verdict == "refuted":
        return "named", ""  # of one claim there is one row
    kind = "named" if named == [True] else "accused" if False in named else report.verdict
    return kind, " | ".join(wrong)


def squeezed(text: str) -> str:
    return re.sub(r"\s|&|\\\\", "", text)


def _sides(text: str) -> Iterator[tuple[int, int]]:
    """The places of all right sides that claim a derivative."""
    for line in Latex(text).document.lines:
        if isinstance(line, Claim):
            yield from (side.span for side in line.sides)


def _changes(text: str, place: tuple[int, int], made: str, its: tuple[int, int]) -> bool:
    """Whether another side has another value, as floats at one point; False where that is not known."""
    try:
        values = [_value(t, p) for t, p in ((text, place), (made, its))]
    except (SymgradError, StopIteration, TypeError):
        return False
    return not np.allclose(*values, rtol=1e-6, atol=1e-9)


def _value(text: str, place: tuple[int, int]) -> np.ndarray:
    formula, hand = sides_of(Latex(text))
    shapes = formula.unstated({})
    beside = replace(hand, model=formula)
    shift = text.index(hand.text)
    lines = enumerate(beside.document.lines)
    row = next(
        (k, j) for k, line in lines for j, side in enumerate(line.sides) if tuple(x + shift for x in side.span) == place
    )
    return next(iter(replace(beside, row=row).run(_point(formula.names, shapes)).values.values()))


def _point(names: tuple[str, ...], shapes: Mapping[str, tuple[str | int, ...]]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = {"m": 3, "n": 4}
    size = lambda x: x if isinstance(x, int) else sizes.setdefault(x, 2)  # noqa: E731
    return {n: rng.uniform(0.3, 0.9, [size(x) for x in shapes.get(n, ())]) for n in names}
