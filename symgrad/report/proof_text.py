"""Proofs in words: the rules that were used, and where they hold, in the user's names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgrad.proving.proof import Link, Proof
from symgrad.report.page import Block, Items, Paragraph
from symgrad.report.wording import counted, listed

__all__ = ["in_brief", "in_full", "rules"]

_RULES = {
    "congruence": "the same operations on equal values",
    "linear": "sums of the same terms",
    "field": "exact arithmetic of fractions",
    "shared": "exact arithmetic of fractions",
}
_LINKS = "The links of the proof, each an identity between steps of the two formulas in their simplest operations:"
_SHOWN = 3  # conditions that a short report names


def rules(proofs: Sequence[Proof]) -> tuple[str, ...]:
    """The rules that the proofs rest on, in words, each once."""
    used = dict.fromkeys(link.rule for proof in proofs for link in proof.links) or {"congruence": None}
    return tuple(dict.fromkeys(_RULES[rule] for rule in used))


def in_brief(proofs: Sequence[Proof], domain: Sequence[str]) -> str:
    """One or two sentences: by which rules, in how many branches, and where."""
    text = f"By {listed(rules(proofs))}"
    if any(link.expanded for proof in proofs for link in proof.links):
        text += ", with tanh and sigmoid written in exp"
    links = sum(len(proof.links) for proof in proofs)
    if links > 1:
        text += f", in {counted(links, 'link')}"
    if len(proofs) > 1:
        text += f", for each of the {len(proofs)} branches that were reached"
    where = list(domain)
    if len(where) > _SHOWN:
        where = [*where[: _SHOWN - 1], "every other step is defined"]
    return f"{text}.{f' It holds where {listed(where)}.' if where else ''}"


def in_full(proofs: Sequence[Proof]) -> Iterator[Block]:
    """Every link of the proofs, one for each branch, in words."""
    for k, proof in enumerate(proofs, 1):
        if proof.links:
            yield Paragraph(_LINKS if len(proofs) == 1 else f"On branch {k}. {_LINKS}")
            yield Items(tuple(_link(link) for link in proof.links))


def _link(link: Link) -> str:
    how = [] if link.depth is None else [f"read {counted(link.depth, 'step')} back"]
    how += ["tanh and sigmoid written in exp"] * link.expanded + ["entry by entry"] * link.entries
    how += ["small inverses written out"] * link.opened
    return f"step {link.left} = step {link.right}, by {_RULES[link.rule]}{f' ({listed(how)})' if how else ''}"
