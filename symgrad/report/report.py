"""The Report: what was found, and each format that it can be read in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from symgrad.checking.results import Instability, Results
from symgrad.errors import BadInput
from symgrad.report.exact_formulas import render_latex
from symgrad.report.float_findings import describe_instability
from symgrad.report.html import render_html
from symgrad.report.plain_data import data_of
from symgrad.report.plots import plot
from symgrad.report.text import lines, render_text
from symgrad.report.value_table import ValueTable

__all__ = ["PrintedInstability", "Report"]


@dataclass(frozen=True, eq=False)
class Report(Results):
    """What symgrad found; everything is plain data, and ``str(report)`` is the answer in words.

    ``verdict`` is the worst of the claims' verdicts; ``bool(report)`` is ``ok``: every claim proved or agreeing.
    """

    def __str__(self) -> str:
        return render_text(self)

    __repr__ = __str__

    def explain(self) -> str:
        """The report in full: proofs, points, the environment."""
        return render_text(self, full=True)

    def to_html(self, *, page: bool = False) -> str:
        """The report as HTML with its own style, light or dark as the page is; nothing is fetched from anywhere.

        A piece to be put into a page, or with ``page`` a whole page.
        """
        return render_html(self, page=page)

    def to_latex(self) -> str:
        """The exact derivatives as a LaTeX display, with the hand formulas that differ beside them."""
        return render_latex(self)

    def plot(self, name: str | None = None, *, what: str | None = None, axes: Any = None) -> Any:
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
        return ValueTable(self.measure(), bool(self.given))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries, lists, strings and numbers."""
        return data_of(self)

    def to_json(self, *, indent: int | None = 2) -> str:
        """The report as JSON; numbers that JSON has no name for are strings ("nan", "inf")."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

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
        """Raise `AssertionError` with the report unless every claim is right."""
        __tracebackhide__ = True
        if not self.ok:
            raise AssertionError("\n" + str(self))


@dataclass(frozen=True, eq=False, repr=False)
class PrintedInstability(Instability):
    """An instability that is an answer by itself: ``str`` of it shows the line, why it breaks, and what to write."""

    def __str__(self) -> str:
        first, *rest = describe_instability(self)
        return "\n".join([*lines([first]), *lines(rest, "    ")])
