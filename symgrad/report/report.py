"""The Report: frozen plain data, the answer to one question."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from symgrad.checking.verdicts import AllSizes, Kink, Refuted, Verdict, Witness, worst
from symgrad.program.program import Program, Source
from symgrad.rounding.accuracy import Rounding
from symgrad.rounding.attribution import Loss

__all__ = ["Claim", "Instability", "Report", "StepFinding", "merge"]


@dataclass(frozen=True, eq=False)
class StepFinding:
    """One line of the derivation: the variable it binds, its place, and what is known of it.

    ``claims`` is what it should be, in words; ``verdict`` is "right", "wrong" (by itself), "fed wrong values",
    "forward" (a value of the model), "misnamed", "unused" or "unknown"; None where lines were not judged.  ``error`` is
    how far its value is from what it claims, relative to that, at the point where the lines were judged.
    """

    name: str
    version: int
    source: Source | None
    claims: str | None = None
    verdict: str | None = None
    error: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Instability:
    """A right formula that loses its digits in floats: where, by how much, the truth, and what to write instead.

    ``side`` is whose computation it is, "hand", "autograd" or (of `find_instabilities`) "formula"; ``computed`` and
    ``exact`` the two values at ``point``; ``source`` the line that loses the digits, and ``loss`` how it does.
    ``kind`` is "overflow", "underflow", "cancellation" or "absorption", where it is known, and ``why`` says it of the
    line.  ``rewrite``, if there is one, has ``before`` and ``after`` (the expression), ``line``, ``given`` (what it
    gives at the point), ``where`` (the side that it is for, such as "b > 0", or None for all), ``text`` (the whole
    code with it) and ``proved``.
    """

    claim: str
    side: str
    dtype: str
    point: Mapping[str, Any]
    entry: tuple[int, ...] | None
    computed: float
    exact: float
    source: Source | None
    sentence: str
    loss: Loss | None = None
    kind: str = ""
    why: str = ""
    rewrite: Any = None

    def __str__(self) -> str:
        from symgrad.report.float_findings import instability
        from symgrad.report.text import lines

        first, *rest = instability(self)
        return "\n".join([*lines([first]), *lines(rest, "    ")])

    def __repr__(self) -> str:
        return f"Instability({self.claim}: {self.sentence})"


@dataclass(frozen=True, eq=False)
class Claim:
    """One derivative, judged.

    ``hand_value``, ``exact_value`` and ``autograd_value`` are the three at the user's own point, and ``differs`` says
    in which entries the first two differ there, by balls that exclude zero; ``exact`` is the exact derivative as a
    Program.
    """

    name: str
    verdict: Verdict
    exact: Program
    hand: Program
    note: str | None = None
    rounding: Rounding | None = None
    hand_value: np.ndarray | None = None
    exact_value: np.ndarray | None = None
    autograd_value: np.ndarray | None = None
    differs: np.ndarray | None = None
    order: int = 1  # of the derivative; 0 for a value, which a jvp's tangent is

    @property
    def kind(self) -> str:
        return self.verdict.kind

    @property
    def witness(self) -> Witness | None:
        return self.verdict.witness if isinstance(self.verdict, Refuted) else None


@dataclass(frozen=True, eq=False)
class Report:
    """What symgrad found; everything is plain data, and ``str(report)`` is the answer in words.

    ``verdict`` is the worst of the claims' verdicts; ``bool(report)`` is ``ok``: every claim proved or agreeing.
    """

    claims: Mapping[str, Claim]
    seed: int
    environment: Mapping[str, str]
    point: Mapping[str, Any]
    order: int = 1
    steps: tuple[StepFinding, ...] = ()
    wrong_steps: tuple[str, ...] = ()
    repairs: tuple[Any, ...] = ()
    repaired_source: str | None = None
    kinks: tuple[Kink, ...] = ()
    instabilities: tuple[Instability, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    sizes: AllSizes | None = None  # where shapes have names in them
    given: tuple[str, ...] = ()  # the inputs whose values at ``point`` are the user's, the others were drawn
    formula: Program | None = None  # what was differentiated, as it was read

    @property
    def verdict(self) -> str:
        return worst([c.kind for c in self.claims.values()])

    @property
    def ok(self) -> bool:
        return self.verdict in ("proved", "agrees")

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        from symgrad.report.text import render

        return render(self)

    __repr__ = __str__

    def explain(self) -> str:
        """The report in full: proofs, points, the environment."""
        from symgrad.report.text import render

        return render(self, full=True)

    def to_html(self, *, page: bool = False) -> str:
        """The report as HTML with its own style, light or dark as the page is; nothing is fetched from anywhere.

        A piece to be put into a page, or with ``page`` a whole page.
        """
        from symgrad.report.html import render

        return render(self, page=page)

    def to_latex(self) -> str:
        """The exact derivatives as a LaTeX display, with the hand formulas that differ beside them."""
        from symgrad.report.latex_output import render

        return render(self)

    def plot(self, name: str | None = None, *, what: str | None = None, axes: Any = None) -> Any:
        """Draw a claim with matplotlib: ``what`` is "curves", "entries", "lines" or "magnitudes".

        By default a number is drawn as curves, a tensor entry by entry, and a formula that loses its digits over
        magnitudes.
        """
        from symgrad.report.plots import plot

        return plot(self, name, what=what, axes=axes)

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

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries, lists, strings and numbers."""
        plain = _plain(self)
        plain["verdict"], plain["ok"] = self.verdict, self.ok
        plain.pop("formula")
        for name, claim in self.claims.items():
            plain["claims"][name]["kind"] = claim.kind
            plain["claims"][name].pop("exact")
            plain["claims"][name].pop("hand")
        if self.sizes is not None:
            from symgrad.report.size_claims import plain_sizes

            plain_sizes(self, plain)
        return plain

    def to_json(self, *, indent: int | None = 2) -> str:
        """The report as JSON; numbers that JSON has no name for are strings ("nan", "inf")."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)


def merge(reports: Sequence[Report], repairs: tuple[Any, ...], repaired_source: str | None) -> Report:
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
        kinks=tuple(k for r in reports for k in r.kinks),
        instabilities=tuple(i for r in reports for i in r.instabilities),
        assumptions=tuple(dict.fromkeys(a for r in reports for a in r.assumptions)),
        notes=tuple(dict.fromkeys(n for r in reports for n in r.notes)),
        counts={k: max(r.counts.get(k, 0) for r in reports) for k in first.counts},
        sizes=_all_sizes([r.sizes for r in reports if r.sizes is not None]),
    )


def _all_sizes(found: Sequence[AllSizes]) -> AllSizes | None:
    if not found:
        return None
    looked = [*({tuple(at.items()): at for s in found for at in s.looked_at}.values())]
    why, forms = ({n: x for s in found for n, x in getattr(s, part).items()} for part in ("why_not", "forms"))
    return replace(found[0], looked_at=tuple(looked), why_not=why, forms=forms)


def _plain(x: Any) -> Any:
    if hasattr(x, "__dataclass_fields__"):
        if isinstance(x, Program):
            return repr(x)
        return {name: _plain(getattr(x, name)) for name in x.__dataclass_fields__}
    if isinstance(x, Mapping):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    if isinstance(x, np.ndarray):
        return _plain(x.tolist())
    if isinstance(x, np.generic):
        return _plain(x.item())
    if isinstance(x, complex):
        return {"real": _plain(x.real), "imag": _plain(x.imag)}
    if isinstance(x, float):
        return x if math.isfinite(x) else str(x)
    if x is None or isinstance(x, (bool, int, str)):
        return x
    return str(x)
