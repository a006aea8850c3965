"""Proofs in words: the rules that were used, and where they hold, in the user's names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from symgrad.domains import depends_on
from symgrad.program import Program
from symgrad.proof import Link, Proof
from symgrad.report.page import Block, Items, Paragraph
from symgrad.report.words import counted, listed

__all__ = ["conditions", "in_brief", "in_full", "name_of", "rules"]

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


def in_brief(proofs: Sequence[Proof], program: Program) -> str:
    """One or two sentences: by which rules, in how many branches, and where."""
    text = f"By {listed(rules(proofs))}"
    if any(link.expanded for proof in proofs for link in proof.links):
        text += ", with tanh and sigmoid written in exp"
    links = sum(len(proof.links) for proof in proofs)
    if links > 1:
        text += f", in {counted(links, 'link')}"
    if len(proofs) > 1:
        text += f", for each of the {len(proofs)} branches that were reached"
    where = list(conditions(proofs, program))
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
    return f"step {link.left} = step {link.right}, by {_RULES[link.rule]}{f' ({listed(how)})' if how else ''}"


def conditions(proofs: Sequence[Proof], program: Program) -> Iterator[str]:
    """Where the equality is claimed, each condition once: the ones that can be named, then the rest."""
    named: dict[str, None] = {}
    unnamed = False
    moving = depends_on(program, program.inputs)
    for proof in proofs:
        named |= dict.fromkeys(proof.facts)
        for condition in proof.conditions:
            if condition.step is None or len(proofs) > 1:
                unnamed = True
                continue
            if condition.step not in moving:
                continue  # a constant: it met the condition at every point, having met it at one
            name = name_of(program, condition.step)
            if name is None:
                unnamed = True
            else:
                named[f"{name} {condition.what}"] = None
    yield from named
    if unnamed:
        yield "every other step is defined" if named else "every step is defined"


def name_of(program: Program, step: int) -> str | None:
    """What the user calls a step: an input, a variable (``h[3]`` the fourth time), or the text that computes it."""
    while program.steps[step].op in ("pick", "cast", "name") and len(program.steps[step].args) == 1:
        step = program.steps[step].args[0]  # a layout: broadcasting, most of all
    for name, i in program.inputs.items():
        if i == step:
            return name
    for b in program.bindings:
        if b.step == step:
            again = any(c.name == b.name and c.version for c in program.bindings)
            return f"{b.name}[{b.version}]" if again else b.name
    source = program.steps[step].source
    if source is None or source.span is None:
        return None
    start, end = source.span
    is_piece = end - start == len(source.text)  # of a text: the span says where it stands in the whole
    return _bare(source.text if is_piece else source.text[start:end]) or None


def _bare(text: str) -> str:
    """A formula without parentheses around all of it.

    >>> _bare("(x - 1)"), _bare("(x - 1)*(x + 1)")
    ('x - 1', '(x - 1)*(x + 1)')
    """
    text = text.strip()
    while text.startswith("(") and text.endswith(")"):
        depths = list(itertools.accumulate({"(": 1, ")": -1}.get(c, 0) for c in text))
        if 0 in depths[:-1]:
            break
        text = text[1:-1].strip()
    return text
