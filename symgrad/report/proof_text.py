"""Proofs in words: the rules that were used, and where they hold, in the user's names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from symgrad.checking.results import Results
from symgrad.checking.verdicts import Agrees, Proved
from symgrad.evaluation.residues import Certificate
from symgrad.proving.proof import Proof
from symgrad.report.page import Block, Items, Paragraph
from symgrad.report.proof_equations import equations_of
from symgrad.report.wording import counted, listed

# -------------------------------------------------------------------------------------------------------- residue text
# What residues showed, in words: the trials, the primes, the degree, and so the chance of error.


def below(bound: float) -> str:
    """A bound on a probability, rounded up to a power of ten.

    >>> below(3.2e-15), below(0.0)
    ('< 1e-14', '< 1e-300')
    """
    return f"< 1e{math.floor(math.log10(bound)) + 1:d}" if bound > 1e-300 else "< 1e-300"


def residues_in_brief(verdict: Agrees) -> str:
    """The end of a sentence: in how many trials the two were the same, and the chance that they differ all the same."""
    bound = verdict.error_bound
    if bound is None:
        return ""
    trials = counted(min(c.trials for c in verdict.certificates), "trial")
    branches = len(verdict.certificates)
    each = f" on each of {branches} branches" if branches > 1 else ""
    return f", and modulo random primes in {trials}{each} (chance of error {below(bound)})"


def residues_in_full(verdict: Agrees) -> Iterator[Block]:
    """How each chance of error comes about, or why residues told nothing."""
    for k, found in enumerate(verdict.certificates, 1):
        branch = f"On branch {k}: " if len(verdict.certificates) > 1 else ""
        if found and found.trials:
            yield Paragraph(f"{branch}{_chance(found)}{_as_unknown(found.oracles)}")
        elif found.equal is None:
            yield Paragraph(f"{branch}Residues modulo random primes told nothing: {found.note}.")
        elif not found:
            yield Paragraph(
                f"{branch}Modulo random primes the two were not shown to be the same, which is no disproof."
                f"{_as_unknown(found.oracles)}"
            )


def _chance(found: Certificate) -> str:
    """Why the chance is what it is: a polynomial has few zeros (Schwartz 1980, Zippel 1979)."""
    trials, degree = counted(found.trials, "trial"), f"{found.degree:.0f}"
    text = (
        f"In {trials}, modulo {_primes(found.primes)}, the inputs and the values of exponentials were drawn at random, "
        f"and both gave the same residue. If they differed, the difference would have degree {degree} at most, so that "
        f"a trial would miss it with a chance of {degree} over the prime"
    )
    if found.error_bound >= 0.5**found.trials:
        text += "; and roots have signs, of which each trial takes one at random: a chance of a half"
    return f"{text}."


def _primes(primes: Sequence[int]) -> str:
    """The primes, where they are few.

    >>> _primes([11, 7, 11])
    '7 and 11'
    """
    each = sorted(set(primes))
    return listed([str(p) for p in each]) if len(each) <= 4 else f"{len(each)} primes from {each[0]} to {each[-1]}"


def _as_unknown(oracles: Sequence[str]) -> str:
    return f" Of {listed(list(oracles))} only that equal arguments give equal values was used." if oracles else ""


# ---------------------------------------------------------------------------------------------------------- proof text

RULES = {
    "congruence": "comparing both step by step",
    "linear": "comparing sums term by term",
    "field": "exact arithmetic of fractions",
    "shared": "exact arithmetic of fractions",
}
_SHOWN = 3  # conditions that a short report names


def rules(proofs: Sequence[Proof]) -> tuple[str, ...]:
    """The rules that the proofs rest on, in words, each once."""
    used = dict.fromkeys(link.rule for proof in proofs for link in proof.links) or {"congruence": None}
    return tuple(dict.fromkeys(RULES[rule] for rule in used))


def holds_where(domain: Sequence[str]) -> Iterator[Block]:
    """Where a proof holds, if it is not everywhere; a few conditions of many."""
    where = list(domain)
    if len(where) > _SHOWN:
        where = [*where[: _SHOWN - 1], "every other step is defined"]
    if where:
        yield Paragraph(f"It holds where {listed(where)}.")


def in_brief(proofs: Sequence[Proof]) -> str:
    """A sentence: by which rules, and in how many branches."""
    text = f"By {listed(rules(proofs))}"
    if any(link.expanded for proof in proofs for link in proof.links):
        text += ", with tanh and sigmoid written in exp"
    links = sum(len(proof.links) for proof in proofs)
    if links > 1:
        text += f", in {counted(links, 'step')}"
    if len(proofs) > 1:
        text += f", for each of the {len(proofs)} branches that were reached"
    return f"{text}."


def in_equations(proofs: Sequence[Proof], name: str, most: int) -> Iterator[Block]:
    """The equations of the proofs of one claim, those that matter first, and how many more there are."""
    told = list(dict.fromkeys(str(e) for proof in proofs for e in equations_of(proof, name)))
    if len(told) > most:
        told[most - 1 :] = [f"and {counted(len(told) - most + 1, 'more equation')}: proof() has them all."]
    if told:
        yield Items(tuple(told))


def in_full(report: Results) -> str:
    """All equations of all proofs, with the rule that each is joined by, and where they hold."""
    lines: list[str] = []
    for claim in report.claims.values():
        proofs = claim.verdict.proofs if isinstance(claim.verdict, Proved) else ()
        for k, proof in enumerate(proofs, 1):
            branch = f", on branch {k} of the {len(proofs)} that were reached" if len(proofs) > 1 else ""
            lines += ["", f"{claim.name}{branch}:"]
            lines += [f"    {e}  [by {RULES[e.rule]}]" for e in equations_of(proof, claim.name)]
        if proofs and isinstance(claim.verdict, Proved) and claim.verdict.domain:
            lines.append(f"    where {listed(list(claim.verdict.domain))}")
    return "\n".join(lines[1:]) if lines else "Nothing is proved at sizes that are numbers."
