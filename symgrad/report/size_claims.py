"""What a report says of sizes that have names: for which of them a claim holds, and what that rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from symgrad.checking.results import Claim, Results
from symgrad.checking.verdicts import AllSizes, ForAll, Proved
from symgrad.indices.printing import text
from symgrad.indices.terms import Binder, IndexSum, rename
from symgrad.proving.induction import Induction
from symgrad.report.exact_formulas import LETTERS, exact_text
from symgrad.report.page import Block, Code, Items, Paragraph
from symgrad.report.wording import listed, sentence

_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
_SHOWN = 3  # conditions that a short report names
_WIDE = 60  # characters of a condition that a short report shows
_LONGEST = 240  # characters of a formula that a short report shows


def at_sizes(sizes: Mapping[str, int]) -> str:
    """Sizes as a sentence gives them.

    >>> at_sizes({"m": 2, "d": 3})
    'm = 2, d = 3'
    """
    return ", ".join(f"{n} = {v}" for n, v in sizes.items())


def whom(found: ForAll) -> str:
    """The sizes that a proof is for: "all m and d"."""
    least = "" if found.least == 1 else f" of at least {found.least}"
    multiples = listed([f"{n} a multiple of {block}" for n, block in found.blocks.items()])
    if len(found.sizes) == len(found.blocks) == 1:
        multiples = f"that are a multiple of {found.blocks[found.sizes[0]]}"
    where = f"{' ' if multiples.startswith('that') else ', '}{multiples}" if multiples else ""
    return f"all {listed(found.sizes)}{where}{least}{f' at {at_sizes(found.at)}' if found.at else ''}"


def scope(report: Results, claims: Sequence[Claim]) -> str:
    """For which sizes proved claims hold, where sizes have names: " for all m and d"."""
    if report.sizes is None or not claims:
        return ""
    proofs = [c.verdict.for_all for c in claims if isinstance(c.verdict, Proved)]
    words = {whom(p) if p is not None else "" for p in proofs}
    if words == {""}:
        return f" at {at_sizes(report.sizes.own)}"
    if len(words) > 1 and "" not in words and not all(p.is_whole for p in proofs if p is not None):
        return f" ({'; '.join(f'{c.name} for {whom(p)}' for c, p in zip(claims, proofs, strict=True) if p)})"
    if "" in words:
        open_ = [c.name for c in claims if isinstance(c.verdict, Proved) and c.verdict.for_all is None]
        return f" for {(words - {''}).pop()} ({listed(open_)} at {at_sizes(report.sizes.own)} alone)"
    return f" for {max(words, key=len)}"


def is_open(claim: Claim) -> bool:
    """Whether a right claim is not proved for all sizes."""
    for_all = claim.verdict.for_all if isinstance(claim.verdict, Proved) else None
    return claim.kind in ("proved", "agrees") and not (for_all is not None and for_all.is_whole)


def size_blocks(report: Results, claim: Claim, full: bool) -> Iterator[Block]:
    """What is said of sizes in the section of one claim."""
    sizes = report.sizes
    if isinstance(claim.verdict, Proved) and claim.verdict.for_all is not None:
        yield Paragraph(_where(claim.verdict.for_all, full))
    if sizes is None:
        return
    if is_open(claim):
        yield Paragraph(evidence(sizes, claim))
    written = exact_text(report, claim)
    if written is not None and (full or len(written) <= _LONGEST):
        yield Code(written)


def _where(found: ForAll, full: bool) -> str:
    """For which sizes and where a proof holds."""
    where = [*found.facts, *(["no comparison is a tie"] if found.ties else []), *conditions(found)]
    if not full and (len(where) > _SHOWN or any(len(w) > _WIDE for w in where)):
        where = [w for w in where if len(w) <= _WIDE][: _SHOWN - 1]
    those = f" for {whom(found)}," if found.sizes else ""
    line = f"It holds{those} wherever both have a value{f' and {listed(where)}' if where else ''}."
    if found.literals:
        line += f" {listed([f'{v} was read as {n}' for n, v in found.literals.items()])}."
    return line


def proof_for_all(claim: Claim, full: bool) -> Iterator[Block]:
    """How a claim was proved for all sizes, if it was."""
    found = claim.verdict.for_all if isinstance(claim.verdict, Proved) else None
    if found is None:
        return
    if isinstance(found.proof, Induction):
        yield from _by_turns(found, found.proof, full)
        return
    rules = listed(found.proof.rules) or "comparing both step by step"
    own = "" if found.sizes else ", your own" if found.read_at else "your own sizes"
    yield Paragraph(
        f"Both were written as sums over indices, in which sizes are letters, and are equal by {rules}. The code was "
        f"read at {found.read_at}{own}."
    )
    sides = [text(_lettered(side)) for side in (found.proof.left, found.proof.right)]
    if not found.sizes and max(map(len, sides)) <= _LONGEST:  # with named sizes the exact one is told already
        both = ("both",) if sides[0] == sides[1] else ("yours", "the exact derivative")
        for whose, side in zip(both, sides, strict=False):
            yield Paragraph(f"An entry of {whose}:")
            yield Code(side)
    if full:
        if found.sizes:
            yield Paragraph("What was read gives what running the code gives, at other sizes too.")
        yield Items(tuple(links(found)))


def _by_turns(found: ForAll, proof: Induction, full: bool) -> Iterator[Block]:
    """How a claim about loops was proved."""
    loops = f"{_COUNTS.get(proof.loops, proof.loops)} loop{'s' * (proof.loops > 1)}"
    theorems = list(links(found))
    step = "by the order of factors and terms alone"
    if theorems:
        step = f"by {len(theorems)} equalit{'y' if len(theorems) == 1 else 'ies'} of a few operations, each proved once"
    yield Paragraph(
        f"By {listed(proof.rules)}: written out in numbers, your code and the exact derivative are {loops} in which "
        f"every turn is like the one before. A turn follows from the turns before it {step}; the first turns were "
        f"proved as they stand. The code was read at {found.read_at}."
    )
    if full and theorems:
        yield Items(tuple(theorems))


def conditions(found: ForAll) -> list[str]:
    """Where the proof holds, each condition once, the stronger for the weaker."""
    if isinstance(found.proof, Induction):
        return []
    told: dict[str, None] = {}
    for c in found.proof.conditions:
        matrix = isinstance(c.body, Binder) and not isinstance(c.body, IndexSum)
        told[f"{_matrix(c.body) if matrix else text(_lettered(c.body))} {c.what}"] = None
    positive = [w.removesuffix(" is positive") for w in told if w.endswith(" is positive")]
    weaker = {f"{p} {what}" for p in positive for what in ("is not zero", "is not negative")}
    same = {f"{p.removesuffix(' is invertible')} is not singular" for p in told}
    return [w for w in told if w not in weaker | same]


def _matrix(e: Any) -> str:
    """The matrix of an inverse or a determinant, by its name if it is an input."""
    body = e.body
    if isinstance(body, sp.Indexed) and set(body.indices) == set(e.bound):
        base: Any = body.base
        return str(base.label)
    return f"the matrix of entries {text(_lettered(body))}"


def links(found: ForAll) -> Iterator[str]:
    """The steps of the proof, each an equality of its own."""
    if isinstance(found.proof, Induction):
        yield from map(str, found.proof.theorems)
        return
    for k in found.proof.links:
        before, after = _lettered(sp.Tuple(k.before, k.after))
        yield f"{text(before)} = {text(after)} ({k.rule})"


def _lettered(e: Any) -> Any:
    """With a letter in the place of every free index that has none of its own."""
    own = sorted((s for s in e.free_symbols if isinstance(s, sp.Dummy)), key=lambda s: s.dummy_index)
    taken = {s.name for s in e.free_symbols if isinstance(s, sp.Symbol) and s not in own}
    letters = iter(c for c in LETTERS if c not in taken)
    return rename(e, {s: sp.Symbol(next(letters, s.name), integer=True) for s in own})


def evidence(sizes: AllSizes, claim: Claim) -> str:
    """What is known of a claim that was not proved for all sizes."""
    for_all = claim.verdict.for_all if isinstance(claim.verdict, Proved) else None
    where = f"at {at_sizes(sizes.own)}" if for_all is None else f"for {whom(for_all)}"
    line = f"{'Proved' if claim.kind == 'proved' else 'Judged'} {where} alone"
    why = sizes.why_not.get(claim.name, "")
    line += f": {why.rstrip('.')}." if why else "."
    if sizes.looked_at:
        line += f" At {'; '.join(map(at_sizes, sizes.looked_at))} it was looked at, and nothing was found wrong there."
    return sentence(f"{line} Of other sizes nothing is known")
