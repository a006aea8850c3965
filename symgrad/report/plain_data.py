"""Findings -> dictionaries, lists, strings and numbers, for other programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from symgrad.checking.results import Claim, Results
from symgrad.checking.verdicts import Proved
from symgrad.program.program import Program
from symgrad.proving.certificates import certify
from symgrad.proving.checker import FORMAT, VERSION, are_all
from symgrad.proving.checker_arithmetic import NotCovered
from symgrad.report.exact_formulas import exact_latex, exact_text
from symgrad.report.size_claims import conditions, links


def data_of(report: Results) -> dict[str, Any]:
    """The fields of a report without its Programs; proofs and formulas in index notation are text.

    >>> from symgrad import verify
    >>> data = data_of(verify("x**3", "3*x", wrt="x"))
    >>> data["verdict"], data["claims"]["x"]["verdict"]["witness"]["point"]
    ('refuted', {'x': 2.0})
    """
    data = _fields(report, but=("formula", "measure"))
    data["claims"] = {name: _claim(claim) for name, claim in report.claims.items()}
    if report.sizes is not None:
        data["sizes"]["forms"] = dict(_forms(report))
    return {**data, "verdict": report.verdict, "ok": report.ok}


def certificate_of(report: Results) -> dict[str, Any]:
    """The proofs of all claims as data that can be checked again; a claim without one says why."""
    claims = [_certificate(name, claim) for name, claim in report.claims.items()]
    return {"format": FORMAT, "version": VERSION, "environment": dict(report.environment), "claims": claims}


def _certificate(name: str, claim: Claim) -> dict[str, Any]:
    verdict = claim.verdict
    branches, why_not = [], None
    if not isinstance(verdict, Proved):
        why_not = f"it is not proved, but {verdict.kind}"
    elif not verdict.proofs:
        why_not = "it is proved for all sizes at once, by rules that are not the checker's"
    else:
        branches = [certify(proof, name, claim.order) for proof in verdict.proofs]
    try:
        whole = are_all(branches)
    except NotCovered:
        whole = False
    said = {"name": claim.name, "verdict": verdict.kind, "why_not": why_not}
    return {**said, "branches": branches, "whole": whole}


def _claim(claim: Claim) -> dict[str, Any]:
    data = {
        **_fields(claim, but=("exact", "hand", "measured")),
        "rounding": as_plain(claim.rounding),
        "kind": claim.kind,
    }
    found = claim.verdict.for_all if isinstance(claim.verdict, Proved) else None
    if found is not None:
        proof = {"rules": list(found.proof.rules), "conditions": conditions(found), "links": list(links(found))}
        data["verdict"]["for_all"]["proof"] = proof
    return data


def _forms(report: Results) -> Iterator[tuple[str, dict[str, str]]]:
    """The exact derivatives in index notation."""
    for name, claim in report.claims.items():
        written, display = exact_text(report, claim), exact_latex(report, claim)
        if written is not None and display is not None:
            yield name, {"text": written, "latex": " = ".join(display)}


def _fields(x: Any, but: tuple[str, ...] = ()) -> dict[str, Any]:
    return {f.name: as_plain(getattr(x, f.name)) for f in fields(x) if f.name not in but}


def as_plain(x: Any) -> Any:
    """Data as dictionaries, lists, strings and numbers; what JSON has no number for is a string."""
    match x:
        case None | bool() | int() | str():
            return x
        case float():
            return x if math.isfinite(x) else str(x)
        case complex():
            return {"real": as_plain(x.real), "imag": as_plain(x.imag)}
        case np.ndarray():
            return as_plain(x.tolist())
        case np.generic():
            return as_plain(x.item())
        case Mapping():
            return {str(k): as_plain(v) for k, v in x.items()}
        case list() | tuple():
            return [as_plain(v) for v in x]
        case _ if is_dataclass(x) and not isinstance(x, Program):
            return _fields(x)
    return repr(x) if isinstance(x, Program) else str(x)
