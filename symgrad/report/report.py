"""The Report: what was found, and each format that it can be read in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.checking.results import Instability, Repair, Results, StepFinding
from symgrad.checking.three_ways import ThreeWays
from symgrad.checking.verdicts import AllSizes
from symgrad.errors import BadInput
from symgrad.lifting.tracing.surroundings import neutral
from symgrad.report.exact_formulas import render_latex
from symgrad.report.float_findings import describe_instability
from symgrad.report.html import render_html, render_piece
from symgrad.report.page import Paragraph
from symgrad.report.plain_data import certificate_of, data_of
from symgrad.report.plots import plot
from symgrad.report.proof_text import in_full
from symgrad.report.text import plain_text, render_text
from symgrad.report.value_table import ValueTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, init=False)  # it is made as `Results` are
class Report(Results):
    """What symgrad found; everything is plain data, and ``str(report)`` is the answer in words.

    ``verdict`` is the worst of the claims' verdicts, and *refuted* where a line of the derivation is wrong by itself,
    whatever the result is; ``bool(report)`` is ``ok``: every claim proved or agreeing, no line wrong, and no step of a
    script unjudged.
    """

    def __str__(self) -> str:
        return render_text(self)

    __repr__ = __str__

    def explain(self) -> str:
        """The report in full: proofs, points, the environment."""
        return render_text(self, full=True)

    def to_html(self, *, page: bool = False, heading: str = "") -> str:
        """The report as HTML with its own style, light or dark as the page is; nothing is fetched from anywhere.

        A piece to be put into a page, or with ``page`` a whole page, under a ``heading``: by default the file's name.
        """
        return render_html(self, page=page, heading=heading)

    def to_latex(self) -> str:
        """The exact derivatives as a LaTeX display, with the hand formulas that differ beside them."""
        return render_latex(self)

    def plot(self, name: str | None = None, *, what: str | None = None, axes: Axes | None = None) -> Axes:
        """Draw a claim with matplotlib: ``what`` is "curves", "entries", "lines" or "magnitudes".

        By default a number is drawn as curves, a tensor entry by entry, and a formula that loses its digits over
        magnitudes.
        """
        return plot(self, name, what=what, axes=axes)

    def table(self) -> ValueTable:
        """Each derivative at each point that was looked at, computed in three ways, and how far each is from the truth.

        *Symbolic* is the exact derivative as torch code, *autograd* torch's own gradient of the model, where it is
        torch's, *hand* what the derivation gives.  The first point is the user's own.  Distances are in ulps of the
        coarsest dtype of the inputs, rounded up, from balls around the truth.

        >>> from symgrad import verify
        >>> table = verify("x**3", "3*x", wrt="x", at={"x": 2.0}).table()
        >>> [(row["symbolic"], row["hand"], row["truth"]) for row in table.rows if row["own"]]
        [(12.0, 6.0, 12.0)]

        The user's code is run again at each point.  Raises `BadInput` where it is not at hand any more: in a report
        that was pickled.
        """
        if self.measure is None:
            raise BadInput(
                "the code that this report is about is not with it: it was pickled, or came from another process.",
                instead="Call table() where the gradient is verified.",
            )
        with neutral():
            return ValueTable(self.measure(), bool(self.given))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries, lists, strings and numbers."""
        return data_of(self)

    def to_json(self, *, indent: int | None = 2) -> str:
        """The report as JSON; numbers that JSON has no name for are strings ("nan", "inf")."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def proof(self) -> str:
        """Every equation of the proofs, in the names of the code, and by which rule each is joined.

        >>> from symgrad import verify
        >>> print(verify("exp(2*x)", "2*exp(x)**2", wrt="x").proof())
        x:
            exp(x)**2 = exp(2*x)  [by exact arithmetic of fractions]
            2*exp(x)**2 = ∂f/∂x = 2*exp(2*x), since exp'(u) = exp(u)  [by exact arithmetic of fractions]
        """
        return in_full(self)

    def certificate(self) -> dict[str, Any]:
        """The proofs as plain data (JSON has names for all of it), which `symgrad.proving.checker` checks again.

        Each claim has a branch for each branch of the code that was proved: the operations of the model and of the hand
        formula, what each is written out as, and the links by which the hand formula is joined with the derivative.
        The checker shares nothing with the search that found them, and writes the derivative of the model itself.

        >>> import json
        >>> from symgrad import verify
        >>> from symgrad.proving.checker import check_certificate
        >>> text = json.dumps(verify("sin(x)**2", "2*sin(x)*cos(x)").certificate())
        >>> [claim.accepted for claim in check_certificate(text)]
        [True]

        A claim that is not proved has no branches, and says why.  Raises nothing.
        """
        return certificate_of(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What a notebook may show: HTML where it can, LaTeX, the text; and the data, for programs.

        The data go by a name of their own: plain application/json is what JupyterLab would show, before any HTML.
        """
        return {
            "text/plain": str(self),
            "text/html": self.to_html(),
            "text/latex": f"$$\n{self.to_latex()}\n$$",
            "application/vnd.symgrad.report+json": self.to_dict(),
        }

    def assert_ok(self) -> None:
        """Raise `AssertionError` with the report unless every claim is right, and a number at your own point where the
        derivative is one."""
        __tracebackhide__ = True
        if not self.ok or self.no_numbers:
            raise AssertionError("\n" + str(self))


@dataclass(frozen=True, eq=False, repr=False)
class PrintedInstability(Instability):
    """An instability that is an answer by itself: ``str`` of it shows the line, why it breaks, and what to write."""

    def __str__(self) -> str:
        return plain_text([describe_instability(self)])

    def _repr_html_(self) -> str:
        return render_piece([describe_instability(self)])


class PrintedInstabilities(tuple[Instability, ...]):
    """What was found of a formula, one after the other; nothing is the empty tuple."""

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "()"

    def _repr_html_(self) -> str:
        nothing = Paragraph("No input was found at which it loses its digits or overflows; that is no proof.")
        return render_piece([*map(describe_instability, self)] or [nothing])


def merge(reports: Sequence[Report], repairs: tuple[Repair, ...], repaired_source: str | None) -> Report:
    """One report for several questions about the same code, whose claims go by different names; the repairs are of
    all of it.

    A line that several questions judged is told as the first of them that used it says.
    """
    first, *others = reports
    if not others:
        return replace(first, repairs=repairs, repaired_source=repaired_source)
    steps: dict[Any, StepFinding] = {}
    for step in (s for r in reports for s in r.steps):
        key = step.name, step.version, None if step.source is None else step.source.line
        if key not in steps or steps[key].verdict in (None, "unused"):
            steps[key] = step
    lines = sorted(steps.values(), key=lambda s: (s.source.line or 0) if s.source is not None else 0)
    place = {name: k for k, name in reversed([*enumerate(s.name for s in lines)])}
    wrong = sorted(dict.fromkeys(n for r in reports for n in r.wrong_steps), key=lambda n: place.get(n, len(lines)))
    return replace(
        first,
        claims={name: claim for r in reports for name, claim in r.claims.items()},
        steps=tuple(lines),
        wrong_steps=tuple(wrong),
        repairs=repairs,
        repaired_source=repaired_source,
        belongs_to=tuple(dict.fromkeys(w for r in reports for w in r.belongs_to)),
        kinks=tuple(k for r in reports for k in r.kinks),
        instabilities=tuple(i for r in reports for i in r.instabilities),
        assumptions=tuple(dict.fromkeys(a for r in reports for a in r.assumptions)),
        notes=tuple(dict.fromkeys(n for r in reports for n in r.notes)),
        counts={k: max(r.counts.get(k, 0) for r in reports) for k in first.counts},
        reading=tuple(dict.fromkeys(s for r in reports for s in r.reading)),
        coverage=tuple({str(c): c for r in reports for c in r.coverage}.values()),
        sizes=_all_sizes([r.sizes for r in reports if r.sizes is not None]),
        measure=partial(_measure, reports),
    )


def _measure(reports: Sequence[Report]) -> tuple[ThreeWays, ...]:
    """The rows of all, with one number for one point."""
    numbers: dict[Any, int] = {}
    rows = []
    for way in (way for r in reports if r.measure is not None for way in r.measure()):
        key = tuple((name, np.asarray(value).tobytes()) for name, value in sorted(way.point.items()))
        rows.append(replace(way, number=numbers.setdefault(key, len(numbers) + 1)))
    return tuple(rows)


def _all_sizes(found: Sequence[AllSizes]) -> AllSizes | None:
    if not found:
        return None
    looked = [*({tuple(at.items()): at for s in found for at in s.looked_at}.values())]
    why, forms = ({n: x for s in found for n, x in getattr(s, part).items()} for part in ("why_not", "forms"))
    return replace(found[0], looked_at=tuple(looked), why_not=why, forms=forms)
