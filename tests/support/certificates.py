"""Every proof that the tests make, checked again: how many certificates hold whole, and what the others lack.

`python -m pytest -n 0 --certificates` counts the proofs of all the tests that it runs, and fails where one is rejected.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from symgrad.checking.verdicts import Proved
from symgrad.proving.certificates import certify
from symgrad.proving.checker import FORMAT, VERSION, Checked, check_certificate
from symgrad.proving.proof import Proof
from symgrad.report.report import Report


@dataclass
class Tally:
    """What was found of the claims that are proved: ``whole`` of them hold, others lack a rule or are ``rejected``;
    ``by_sizes`` are proofs for all sizes at once, of which there is no certificate."""

    proved: int = 0
    whole: int = 0
    by_sizes: int = 0
    lacking: Counter[str] = field(default_factory=Counter)
    rejected: list[str] = field(default_factory=list)
    seen: dict[int, object] = field(default_factory=dict)  # by identity, and kept, so that no other has it

    def add(self, report: Report, where: str = "") -> None:
        """Check the certificate of each claim that is proved, once."""
        verdicts = [c.verdict for c in report.claims.values() if isinstance(c.verdict, Proved)]
        fresh = [v for v in verdicts if id(v) not in self.seen]
        self.seen |= {id(v): v for v in fresh}
        if not fresh:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            certificate = report.certificate()
            found = check_certificate(json.dumps(certificate))
        for claim, checked in zip(certificate["claims"], found, strict=True):
            if not claim["branches"]:
                self.by_sizes += claim["verdict"] == "proved"
                continue
            self.proved += 1
            self.whole += checked.accepted
            if checked.rejected is not None:
                self.rejected.append(f"{where}: {checked}")
            elif not checked.accepted:
                lacks = [*checked.uncovered, *(u for u in checked.unchecked if u.startswith("that the exact"))]
                self.lacking[" and ".join(lacks)] += 1

    def __str__(self) -> str:
        lines = [f"{self.whole} of {self.proved} certificates hold whole; {self.by_sizes} proofs are for all sizes."]
        lines += [f"  {n}: {what}" for what, n in self.lacking.most_common()]
        return "\n".join([*lines, *(f"  rejected: {what}" for what in self.rejected)])


def checked(proof: Proof) -> Checked:
    """A proof that two steps of a Program are equal, checked as one of values: both are the "model", and no derivative
    is taken."""
    assert proof.program is not None
    values = replace(proof, program=replace(proof.program, outputs={"model": proof.right}))
    branch = certify(values, "x", 0)
    claim = {"name": "equality", "branches": [branch], "whole": False}
    (found,) = check_certificate({"format": FORMAT, "version": VERSION, "claims": [claim]})
    return found


def listen(heard: Callable[[Report], None]) -> None:
    """From now on ``heard`` is told of each report that is made."""
    made = Report.__init__

    def noted(self: Report, *args: object, **named: object) -> None:
        made(self, *args, **named)  # type: ignore[arg-type]
        heard(self)

    Report.__init__ = noted  # type: ignore[method-assign]
