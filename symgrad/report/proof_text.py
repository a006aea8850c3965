"""Proofs in words: the rules that were used, and where they hold, in the user's names."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence

from symgrad.checking.results import Claim, Results
from symgrad.checking.verdicts import Agrees, Proved, Undecided
from symgrad.evaluation.residues import Certificate
from symgrad.program.primitives import primitive
from symgrad.proving.proof import Proof
from symgrad.report.exact_formulas import exact_text
from symgrad.report.page import Block, Items, Paragraph
from symgrad.report.proof_equations import Equation, branch_of, equations_of, titles
from symgrad.report.size_claims import links, whom
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
IN_EXP = "written in exp"  # tanh and sigmoid, or that of them which there is
_SHOWN = 3  # conditions that a short report names
_WIDE = 80  # characters of what tells branches apart
_BRANCHES = 4  # of which each is told


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
    if expanded := [proof for proof in proofs if any(link.expanded for link in proof.links)]:
        text += f", with {listed(_in_exp(expanded))} {IN_EXP}"
    links = sum(len(proof.links) for proof in proofs)
    if links > 1:
        text += f", in {counted(links, 'step')}"
    if len(proofs) > 1:
        text += f", for each of the {len(proofs)} branches that were reached"
    return f"{text}."


def _in_exp(proofs: Sequence[Proof]) -> list[str]:
    """Which functions a proof that needed it has in exponentials."""
    programs = {(proof.program, proof.roots) for proof in proofs if proof.program is not None}
    used = {step.op for program, roots in programs for step in primitive(program, roots)[0]}
    return [name for name in ("tanh", "sigmoid") if name in used or not programs]


def in_equations(proofs: Sequence[Proof], name: str, order: int, most: int) -> Iterator[Block]:
    """The equations of the proofs of one claim about derivatives of an order, and how many more there are; the last
    one, which is the claim, stays.

    What is told on all branches alike is told once; of the rest it is said on which branch it holds.  Of many branches
    one is told.
    """
    if len(proofs) > _BRANCHES:
        yield Paragraph(f"On the first of the {len(proofs)} branches (proof() has the others):")
        proofs = proofs[:1]
    each = [equations_of(proof, name, order) for proof in proofs]
    where = branches(proofs, name)
    every = list(dict.fromkeys(itertools.chain(*each)))
    written = [e for e in every if e.rule == "written"] if len(each) > 1 else []
    alike = [e for e in every if e not in written and all(e in found for found in each)]
    some = [(p, e) for p, found in zip(where, each, strict=True) for e in found if e not in (*written, *alike)]
    lines = [*map(str, written), *(f"where {p}: {e}" for p, e in some), *map(str, alike)]
    if len(lines) > most:
        last = lines[-1:] if most > 1 else []
        left = len(lines) - most + 1
        lines = [*lines[: most - 1 - len(last)], f"and {counted(left, 'more equation')}: proof() has them all.", *last]
    if lines:
        yield Items(tuple(lines))
    again = titles(proofs[0], name)
    first = next((t for line in lines for t in re.findall(r"\w+\[0\]", line) if t in again), None)
    if first is not None:
        yield Paragraph(f"{first} is what {first[:-3]} is given the first time, and so on.")


def branches(proofs: Sequence[Proof], name: str) -> list[str]:
    """What the code found on each of the branches that proofs are about, and not on all of them."""
    for signs in (False, True):
        each = [branch_of(proof, name, signs) for proof in proofs]
        own = [[found for found in one if not all(found in other for other in each)] for one in each]
        texts = [" and ".join(found) for found in own]
        if texts and all(texts) and len(set(texts)) == len(texts) and max(map(len, texts)) <= _WIDE:
            return texts
    return [f"the code takes branch {k}" for k in range(1, len(proofs) + 1)]


def _why(e: Equation) -> str:
    return "your own line" if e.rule == "written" else f"by {RULES[e.rule]}"


def in_full(report: Results) -> str:
    """All equations of all proofs, with the rule that each is joined by, and where they hold."""
    lines: list[str] = []
    for claim in report.claims.values():
        verdict = _proved(claim)
        if verdict is None:
            continue
        places = branches(verdict.proofs, claim.name)
        for place, proof in zip(places, verdict.proofs, strict=True):
            lines += ["", f"{claim.name}{f', where {place}' if len(places) > 1 else ''}:"]
            lines += [f"    {e}  [{_why(e)}]" for e in equations_of(proof, claim.name, report.order)]
        if verdict.proofs and verdict.domain:
            lines.append(f"    where {listed(list(verdict.domain))}")
        if verdict.for_all is not None and (found := list(links(verdict.for_all))):
            exact = exact_text(report, claim)
            found = [*([exact] if exact is not None else []), *found]
            where = f"for {whom(verdict.for_all)}" if verdict.for_all.sizes else "at your own sizes"
            lines += ["", f"{claim.name}, {where}:", *(f"    {text}" for text in found)]
    return "\n".join(lines[1:]) if lines else "Nothing is proved."


def _proved(claim: Claim) -> Proved | None:
    """What of a claim is proved: all of it, or what was looked at."""
    match claim.verdict:
        case (Proved() as proved) | Undecided(where_looked=Proved() as proved) | Agrees(proved=Proved() as proved):
            return proved
    return None
