"""Findings -> blocks: what a report says, in order, before anything is known of the page that it is printed on.

`blocks` writes the sentences; `text` (and every other format) only lays them out.  A sentence states what was
computed and nothing else.  The parts of a sentence about one kind of finding stand in one function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from symgrad.checking.results import Claim, Results
from symgrad.checking.verdicts import COMPUTED, Agrees, Kink, Proved, Refuted, Undecided, Witness
from symgrad.report.covered_branches import choices, reached, turns
from symgrad.report.float_findings import largest, only_rounding, rounded, unsafe
from symgrad.report.page import Answer, Block, Floats, Folded, Footer, Items, Paragraph, Section, Table, Values
from symgrad.report.proof_text import below, holds_where, in_brief, in_equations, residues_in_brief, residues_in_full
from symgrad.report.size_claims import at_sizes, evidence, proof_for_all, scope, size_blocks
from symgrad.report.wording import (
    at_entry,
    counted,
    listed,
    merged,
    names_in,
    number,
    own_text,
    place_of,
    plural,
    row_of_hessian,
    sentence,
    together,
    unmoved,
    witness_text,
)
from symgrad.report.wrong_lines import REPAIRED, derivation_of, error_lines, is_chain

_EQUATIONS = 12  # of the proofs that are told at once
_SECTIONS = 4  # right claims that get a section each; more of them make a table


def blocks(report: Results, *, full: bool = False, repaired: str = REPAIRED) -> tuple[Block, ...]:
    """The report as blocks, the answer first.

    ``full`` adds what the short report leaves out: more of each proof, each side's rounding, all values at the
    user's own point, and the versions.  ``repaired`` says where the repaired code is: "report.repaired_source holds".
    """
    found = tuple(_blocks(report, full, repaired))
    said = repr(found)
    ulps = re.search(r"\bulps?\b", said) and "ulp is the gap" not in said
    footers = [f"{_footer(report)} {_ULP}" if ulps else _footer(report)]
    if full:
        footers.append(", ".join(f"{name} {version}" for name, version in report.environment.items()) + ".")
    return (*found, *map(Footer, footers))


_ULP = "One ulp is the gap between two neighbouring floats."


def _blocks(report: Results, full: bool, repaired: str) -> Iterator[Block]:
    yield Answer(headline(report), report.verdict)
    yield Floats(tuple(only_rounding(report)))
    if report.belongs_to:
        yield Section(
            "Another function's gradient", tuple(Paragraph(sentence(w)) for w in report.belongs_to), "refuted"
        )
    yield from error_lines(report, repaired)
    derivation = derivation_of(report) if full else None
    if derivation is not None:
        far = any(line.error for line in derivation.lines)
        where = (Paragraph("Differences are relative, at one random point near the counterexample."),) if far else ()
        yield Section("The derivation, line by line", (*where, derivation))
    ranked = sorted(report.claims.values(), key=lambda c: _RANK[c.kind])
    right = [c for c in ranked if c.kind in ("proved", "agrees")]
    alike: dict[tuple[str, str, tuple[Block, ...]], list[str]] = {}  # what is the same for several is told once
    for claim in ranked:
        if claim not in right or full or len(right) <= _SECTIONS:
            alike.setdefault((claim.kind, _word(claim), tuple(_claim(report, claim, full))), []).append(claim.name)
    for (kind, word, inner), names in alike.items():
        yield Section(f"{listed(merged(names))}: {word}", inner, kind)
    if len(right) > _SECTIONS and not full:
        yield from _right_table(right)
        yield from _open_sizes(report, right)
    yield from choices(report, full)
    if report.kinks:
        yield Section("At a kink", tuple(Paragraph(_kink(k, report)) for k in report.kinks))
    yield from unsafe(report)
    if full and report.reading:
        rows = tuple((s.shown, s.what) for s in report.reading)
        yield Section("What each symbol was taken for", (Table(("symbol", "it is"), rows),))
    bare = [c for c in right if isinstance(c.verdict, Agrees) and c.verdict.told_to is not None and c.verdict.runs == 1]
    alone = ("these are numbers for your point alone; to judge the formula, pass the code.",) if bare else ()
    if report.notes or alone:
        yield Section("Notes", (Items(tuple(sentence(n, names_in(report)) for n in (*report.notes, *alone))),))
    domains = {where for c in report.claims.values() if isinstance(c.verdict, Proved) for where in c.verdict.domain}
    assumed = [a for a in report.assumptions if a not in domains]  # the proofs' own are told with them
    if assumed:
        yield Section("Assumed", (Items(tuple(sentence(a, names_in(report)) for a in assumed)),))


def _open_sizes(report: Results, claims: Sequence[Claim]) -> Iterator[Block]:
    """What is known of the claims that are not proved for all sizes, where sizes have names."""
    for claim in claims:
        for_all = getattr(claim.verdict, "for_all", None)
        if report.sizes is not None and not (for_all is not None and for_all.is_whole):
            yield Paragraph(f"{claim.name}: {evidence(report.sizes, claim)}")


# ------------------------------------------------------------------------------------------------ the answer

_RANK = {"refuted": 0, "undecided": 1, "agrees": 2, "proved": 3}
_DERIVATIVE = {0: "the value", 1: "the derivative", 2: "the second derivative"}
_WORD = {"refuted": "wrong", "undecided": "undecided", "agrees": "right, not proved", "proved": "right, proved"}


def _word(claim: Claim) -> str:
    only = claim.verdict.only if isinstance(claim.verdict, (Refuted, Agrees)) else None
    if isinstance(claim.verdict, Refuted) and claim.verdict.limit is not None:
        return f"right for {claim.verdict.limit[0]} only"
    if isinstance(claim.verdict, Refuted) and claim.verdict.guard is not None:
        return f"right but for {claim.verdict.guard}"
    return _WORD[claim.kind] if only is None else f"right for your {only} only"


def headline(report: Results) -> str:
    """The answer in a sentence, with what floats do not give at the user's own point."""
    said = _answer(report)
    if left := _left(report):
        is_right = report.verdict == "undecided" and not said.startswith("Undecided")
        said = f"Undecided: {left}; {said[0].lower()}{said[1:]}" if is_right else f"{said[:-1]}; {left}."
    odd = [f"{_own_value(report.claims[n], k)} for {_entry(n, k)}" for n, k in report.no_numbers.items()]
    return f"{said[:-1]}; at your own point it gives {listed(odd)}, where the derivative is a number." if odd else said


def _left(report: Results) -> str:
    """The steps of a script that were not judged; nothing where there are none."""
    places = [f"{name} in line{'s'[: len(k) - 1]} {listed([*map(str, k)])}" for name, k in report.unjudged.items()]
    be = "step{} was" if len(places) == 1 else "steps{} were"
    return f"the {be.format(f' of {listed(places)}')} not judged" if places else ""


def _entry(name: str, entry: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, entry))}]" if entry else name


def _own_value(claim: Claim, entry: tuple[int, ...]) -> str:
    return "NaN" if np.isnan(at_entry(claim.hand_value, entry)) else "an infinity"


def _answer(report: Results) -> str:
    of: dict[str, list[Claim]] = {kind: [] for kind in _RANK}
    for claim in report.claims.values():
        of[claim.kind].append(claim)
    wrong, open_, agreeing, proved = of["refuted"], of["undecided"], of["agrees"], of["proved"]
    broken = dict.fromkeys(s.source.line for s in report.steps if s.verdict == "wrong" and s.source is not None)
    meant = _meant(wrong)
    if not wrong and broken:
        lines = f"line{'s' * (len(broken) > 1)} {listed([str(n) for n in broken])}"
        are = "are" if len(broken) > 1 else "is"
        what = "could be neither proved nor refuted" if open_ else "is right" if agreeing else "is right, and proved"
        return f"The result {what}; the derivation is not{' right' * bool(open_)}: {lines} {are} wrong."
    if is_chain(report):
        return _of_chain(report, wrong, open_, [*agreeing, *proved])
    right = _all_right([*agreeing, *proved])
    for_these = {c.verdict.only for c in wrong if isinstance(c.verdict, Refuted)}
    if wrong and None not in for_these:
        data = listed(sorted(map(str, for_these)))
        are = f"is {_DERIVATIVE[report.order]}" if len(wrong) == 1 else f"are {_DERIVATIVE[report.order]}s"
        return f"Right for your {data} only: {_yours(report, wrong)} {are} at these values, and not at others."
    loops = {c.verdict.limit and c.verdict.limit[0] for c in wrong if isinstance(c.verdict, Refuted)}
    if wrong and None not in loops:
        one = "is the derivative" if len(wrong) == 1 else "are the derivatives"
        tends = f"{_yours(report, wrong)} {one} of what it tends to"
        return f"Right for {listed(sorted(map(str, loops)))}, and wrong for the code as it stops: {tends}."
    guards = {c.verdict.guard for c in wrong if isinstance(c.verdict, Refuted)}
    if wrong and None not in guards:
        are = f"is {_DERIVATIVE[report.order]}" if len(wrong) == 1 else f"are {_DERIVATIVE[report.order]}s"
        but = listed(sorted(map(str, guards)))
        return f"Right but for {but}: {_yours(report, wrong)} {are} without it; with it, to the letter, not."
    if meant:
        what = f"{_yours(report, wrong)} {_not_the_derivative(report, wrong)} without that"
        return f"Wrong unless {meant}: {what}{_with(right)}."
    if wrong:
        rest = "; ".join(filter(None, (right, _are(open_, "undecided"))))
        if all(isinstance(c.verdict, Refuted) and c.verdict.elsewhere for c in wrong):
            where = "Wrong on another branch of the code than your own point takes"
            return f"{where}: {_yours(report, wrong)} {_not_the_derivative(report, wrong)} there{_with(rest)}."
        return f"Wrong: {_yours(report, wrong)} {_not_the_derivative(report, wrong)}{_with(rest)}."
    if open_ and all(isinstance(c.verdict, Undecided) and c.verdict.where_looked is not None for c in open_):
        return f"Right where it was looked at: {reached(report.coverage)}."
    if open_:
        rest = _with(right)
        return f"Undecided: {_yours(report, open_)} could be neither proved nor refuted{rest}."
    if agreeing:
        rest = f" ({_are(proved, 'proved')})" if proved else ""
        for_these = {c.verdict.only for c in agreeing if isinstance(c.verdict, Agrees)}
        if None not in for_these:
            are = f"is {_DERIVATIVE[report.order]}" if len(agreeing) == 1 else f"are {_DERIVATIVE[report.order]}s"
            data = listed(sorted(map(str, for_these)))
            return f"Right for your {data} only: {_yours(report, agreeing)} {are} there, and not at others{rest}."
        if all(isinstance(c.verdict, Agrees) and c.verdict.proved is not None for c in agreeing):
            are = "is the derivative" if len(agreeing) == 1 else "are the derivatives"
            return f"Right{turns(report.coverage)}, and proved for these: {_yours(report, agreeing)} {are} there{rest}."
        word = f"Right{turns(report.coverage)}: {_yours(report, agreeing)}"
        return f"{word} {_agreement(agreeing)}{_unproved(agreeing)}{rest}."
    are = f"is {_DERIVATIVE[report.order]}" if len(proved) == 1 else f"are {_DERIVATIVE[report.order]}s"
    return f"Right, and proved{scope(report, proved)}: {_yours(report, proved)} {are}."


def _meant(wrong: Sequence[Claim]) -> str:
    """The conditions under which all that is wrong would be right; nothing where there are none."""
    found = [c.verdict.true_if for c in wrong if isinstance(c.verdict, Refuted) and c.verdict.is_meant]
    conditions = dict.fromkeys(condition[0] for condition in found if condition is not None)
    return listed(list(conditions)) if None not in found and len(found) == len(wrong) else ""


def _of_chain(report: Results, wrong: Sequence[Claim], open_: Sequence[Claim], right: Sequence[Claim]) -> str:
    """The answer about values that are said to be equal."""
    follow = {s.name for s in report.steps if s.verdict == "fed wrong values"}
    if conditions := _meant(wrong):
        return f"Wrong unless {conditions}: without that not all sides are equal."
    if wrong:
        faults = [c for c in wrong if c.name not in follow]
        later = [c.name for c in wrong if c.name in follow]
        follows = f"{listed(later)} follow{'s' * (len(later) == 1)} from that" if later else ""
        rest = "; ".join(filter(None, (follows, _are(right, "right"), _are(open_, "undecided"))))
        not_equal = "is not equal" if len(faults) == 1 else "are not equal"
        return f"Wrong: {listed([c.name for c in faults])} {not_equal} to the first side{_with(rest)}."
    if open_:
        rest = f" ({_are(right, 'right')})" if right else ""
        names = listed([c.name for c in open_])
        return f"Undecided: that {names} {'is' if len(open_) == 1 else 'are'} equal to the first side{rest}."
    if all(c.kind == "proved" for c in right):
        return f"Right, and proved{scope(report, right)}: all sides are equal."
    agreeing = [c for c in right if c.kind == "agrees"]
    names = listed([c.name for c in agreeing])
    return f"Right: all sides are equal; {names} {_agreement(agreeing)}{_unproved(agreeing)}."


def _yours(report: Results, claims: Sequence[Claim]) -> str:
    kinds = {_kind_of_derivative(report, c) for c in claims}
    if "value" in kinds and len(kinds) > 1:
        values = [c for c in claims if _kind_of_derivative(report, c) == "value"]
        return f"{_yours(report, [c for c in claims if c not in values])} and {_yours(report, values)}"
    word = kinds.pop() if len(kinds) == 1 else "derivative"
    rows = [row for c in claims if (row := row_of_hessian(c.name)) is not None]
    if len(rows) == len(claims):
        return f"your {'row' if len(rows) == 1 else 'rows'} {listed(rows)} of the Hessian"
    return f"your {word if len(claims) == 1 else plural(word)} for {listed(merged([c.name for c in claims]))}"


def _kind_of_derivative(report: Results, claim: Claim) -> str:
    if report.order == 2:
        return "Hessian"
    if claim.order == 0:
        return "value"
    shape = claim.exact.shape(claim.exact.output)
    own = report.point.get(claim.name)
    return "gradient" if own is None or tuple(shape) == np.shape(own) else "Jacobian"


def _not_the_derivative(report: Results, wrong: Sequence[Claim]) -> str:
    reasons = {c.witness.reason for c in wrong if c.witness is not None}
    one = len(wrong) == 1
    if reasons == {"shape"}:
        return "has the wrong shape" if one else "have the wrong shapes"
    several = "s" if len(merged([c.name for c in wrong])) > 1 else ""
    return f"is not {_DERIVATIVE[report.order]}" if one else f"are not {_DERIVATIVE[report.order]}{several}"


def _unproved(claims: Sequence[Claim]) -> str:
    """Of numbers alone there is nothing to prove."""
    bare = all(isinstance(c.verdict, Agrees) and c.verdict.told_to is not None for c in claims)
    return ", as far as numbers alone can tell" if bare else "; no proof was found"


def _agreement(claims: Sequence[Claim]) -> str:
    """What is known of claims that agree: the least of what is known of each."""
    verdicts = [c.verdict for c in claims if isinstance(c.verdict, Agrees)]
    points = min(v.points for v in verdicts)
    one = len(claims) == 1
    where = "at your point" if points == 1 else f"at {points} points"
    where = f"in {verdicts[0].runs} runs" if verdicts[0].runs > 1 else where
    exact = "exact ones" if any(c.order == 0 for c in claims) else "derivative" if one else "derivatives"
    text = f"{'agrees' if one else 'agree'} with the {exact} {where}"
    told = {v.typed for v in verdicts} - {None}
    if COMPUTED in told:
        text += f", up to {COMPUTED}"
    elif told:
        text += ", up to the digits of the constants that you typed"
    bounds = [b for v in verdicts if (b := v.error_bound) is not None]
    if len(bounds) < len(verdicts):
        return text
    return f"{text} and modulo random primes (chance of error {below(max(bounds))})"


def _all_right(claims: Sequence[Claim]) -> str:
    """That claims are right, and for which data those are that are so for these alone."""
    only = {c.name: c.verdict.only for c in claims if isinstance(c.verdict, Agrees) and c.verdict.only is not None}
    parts = [_are([c for c in claims if c.name not in only], "right")]
    parts += [
        _are([c for c in claims if only.get(c.name) == data], f"right for your {data} only")
        for data in dict.fromkeys(only.values())
    ]
    return "; ".join(filter(None, parts))


def _are(claims: Sequence[Claim], word: str) -> str:
    """That claims are so; a script's are called by the variable too."""
    if not claims:
        return ""
    names = merged([c.name for c in claims])
    are = "is" if len(claims) == 1 else "are"
    those = (
        ""
        if names == [c.name for c in claims] and "(" not in names[0]
        else "that for "
        if are == "is"
        else "those for "
    )
    return f"{those}{listed(names)} {are} {word}"


def _with(rest: str) -> str:
    """What else is to be said of an answer, behind it."""
    return f"; {rest}" if "(" in rest else f" ({rest})" if rest else ""


# ------------------------------------------------------------------------------------------------ one derivative


def _claim(report: Results, claim: Claim, full: bool) -> Iterator[Block]:
    match claim.verdict:
        case Refuted(witness=witness, others=others, true_if=true_if):
            yield from _refutation(report, claim, witness)
            if true_if is not None:
                said = f'assuming="{true_if[1]}" says so' if true_if[1] else "in your code they do not"
                yield Paragraph(f"It is true if {true_if[0]}: {said}.")
            if claim.verdict.limit is not None:
                yield Paragraph(sentence(claim.verdict.limit[1]))
            for other in others if full else ():
                if not _is_own(report, other):  # the user's own point has been told
                    yield from _witness(report, claim, other)
        case Undecided(why=why, tried=tried):
            yield Paragraph(f"{sentence(why)} Tried: {listed(list(tried))}." if tried else sentence(why))
            if claim.verdict.where_looked is not None:
                yield from _claim(report, replace(claim, verdict=claim.verdict.where_looked), full)
                return
        case Agrees(proved=Proved() as proved):
            if claim.verdict.only is not None:
                yield Paragraph(f"What follows is for your {claim.verdict.only}.")
            elif told := turns(report.coverage):
                yield Paragraph(f"What follows is{told}; there may be others.")
            yield from _claim(report, replace(claim, verdict=proved), full)
            return
        case Agrees() as agrees:
            yield Paragraph(_agrees(agrees))
            if full:
                yield from residues_in_full(agrees)
        case Proved() as proved if proved.for_all is None or full:
            yield from holds_where(() if full else proved.domain)
    yield from size_blocks(report, claim, full)
    if claim.note:
        yield Paragraph(sentence(claim.note))
    if claim.kind != "undecided" and report.order == 1:
        if claim.exact.steps[claim.exact.output].is_complex:
            yield Paragraph(_complex(claim))
        elif report.formula is not None and report.formula.steps[report.formula.output].is_complex:
            yield Paragraph(
                f"{claim.name} is real and the output is complex: as torch has it, the gradient is the real part of "
                "the derivative."
            )
    yield Floats(tuple(rounded(report, claim, full)))
    proof = (*_proof(report, claim, full), *proof_for_all(claim, full))
    if proof:
        yield Folded("How it was proved", proof)
    if full and claim.kind != "refuted":
        yield from _at_your_point(report, claim)


def _complex(claim: Claim) -> str:
    """What a derivative with an imaginary part is."""
    at = claim.exact.inputs.get(claim.name)
    if at is not None and not claim.exact.steps[at].is_complex:
        return (
            f"{claim.name} is real and the output is complex: this is the derivative itself, with its imaginary part. "
            "torch's gradient of a real input is the real part of it."
        )
    told = "As torch has it for complex numbers, the gradient is the conjugate Wirtinger derivative."
    if claim.kind != "refuted":
        return told
    return f"{told} For z = x + iy and the real part L of the output, that is dL/dx + i*dL/dy = 2*dL/dconj(z)."


def _refutation(report: Results, claim: Claim, witness: Witness) -> Iterator[Block]:
    if witness.reason == "shape":
        yield Paragraph(f"Yours has {witness.hand}, the derivative has {witness.exact}.")
        return
    if not _is_own(report, witness):
        yield from _at_your_point(report, claim)
    yield from _witness(report, claim, witness)


def _is_own(report: Results, witness: Witness) -> bool:
    return all(unmoved(value, report.point.get(name)) for name, value in witness.point.items())


def _witness(report: Results, claim: Claim, witness: Witness) -> Iterator[Block]:
    mine, other = ("this side", "the first") if is_chain(report) else ("yours", "exact")
    rows: list[tuple[str, str]] = [(mine, witness.hand), (other, witness.exact)]
    if report.given and _is_own(report, witness):
        if claim.autograd_value is not None:
            rows.append(("autograd", number(at_entry(claim.autograd_value, witness.entry))))
        where = _own_point(report, witness.entry)
    else:
        sizes = f"{at_sizes(witness.sizes)}: " if witness.sizes else ""
        place = witness_text(witness.point, report.point, claim.name, witness.entry)
        where = f"At {sizes}{place}{_in_entry(witness.entry)}:" if place or sizes else "They are:"
    yield Values(where, tuple(rows))
    if witness.reason == "undefined":
        one, other = ("first side", "this one") if is_chain(report) else ("derivative", "yours")
        yield Paragraph(f"There the {one} has a value, and {other} has none.")


def _own_point(report: Results, entry: tuple[int, ...] | None) -> str:
    inputs = own_text(report.point)
    return f"At your own point{f' ({inputs})' if inputs else ''}{_in_entry(entry)}:"


def _in_entry(entry: tuple[int, ...] | None) -> str:
    return "" if entry is None else f", in entry {place_of(entry)}"


def _at_your_point(report: Results, claim: Claim) -> Iterator[Block]:
    """The values at the user's own point, in the entry where yours is furthest from the exact one."""
    if not report.given or claim.hand_value is None or claim.exact_value is None:
        return
    exact = np.asarray(claim.exact_value)
    if exact.size == 0 or np.size(claim.hand_value) != exact.size:
        return
    hand = np.reshape(claim.hand_value, exact.shape)
    with np.errstate(all="ignore"):
        far = np.nan_to_num(np.abs(hand - exact), nan=np.inf).reshape(-1)
    k = int(far.argmax())
    entry = tuple(int(i) for i in np.unravel_index(k, exact.shape)) if exact.shape else None
    values = [hand.reshape(-1)[k], exact.reshape(-1)[k]]
    if claim.autograd_value is not None:
        values.append(np.reshape(claim.autograd_value, -1)[k])
    rows = zip(("yours", "exact", "autograd"), together(*values), strict=False)
    yield Values(_own_point(report, entry), tuple(rows))


def _agrees(verdict: Agrees) -> str:
    where = "at your point" if verdict.points == 1 else f"at {counted(verdict.points, 'point')}"
    if verdict.told_to is not None:
        faint = f", and of {counted(verdict.faint, 'entry')} near zero more" if verdict.faint else ""
        if verdict.runs > 1:
            return (
                f"In all {verdict.runs} runs the kernel's numbers agree with the exact ones within rounding, in "
                f"whatever order it adds; a difference below {number(verdict.told_to, 2)} of their size could not be "
                f"told{faint}. What it does elsewhere is not known."
            )
        return (
            f"Your numbers agree with the derivative within rounding; a difference below "
            f"{number(verdict.told_to, 2)} of its size could not be told from rounding{faint}."
        )
    text = f"Equal to {verdict.bits} bits {where}"
    if verdict.typed:
        text = f"Equal {where} up to {verdict.typed}"
    text += residues_in_brief(verdict)
    return f"{text}.{' ' + sentence(verdict.why_not_proved) if verdict.why_not_proved else ''}"


def _proof(report: Results, claim: Claim, full: bool) -> Iterator[Block]:
    verdict = claim.verdict
    if not isinstance(verdict, Proved) or (verdict.for_all is not None and not full):
        return  # the proof for all sizes is told, and it is the stronger one
    if verdict.proofs:
        yield Paragraph(in_brief(verdict.proofs))
        others = sum(isinstance(c.verdict, Proved) for c in report.claims.values())
        most = _EQUATIONS if full else max(4, _EQUATIONS // max(1, others))
        yield from in_equations(verdict.proofs, claim.name, report.order, most)
    where = verdict.domain if full else ()
    if where:
        yield Paragraph("It is proved where:")
        yield Items(where)


def _right_table(claims: Sequence[Claim]) -> Iterator[Block]:
    """Many right derivatives: a row each."""
    rows = []
    for claim in claims:
        r = claim.rounding
        mine = "" if r is None else largest(r.hand)
        other = "" if r is None or r.autograd is None else largest(r.autograd)
        rows.append((claim.name, _WORD[claim.kind], mine, other))
    filled = [k for k in range(4) if k < 2 or any(row[k] for row in rows)]  # no column that is empty
    header = ("input", "verdict", "yours", "autograd")
    yield Table(tuple(header[k] for k in filled), tuple(tuple(row[k] for k in filled) for row in rows))
    dtypes = {c.rounding.dtype: None for c in claims if c.rounding is not None}
    if dtypes:
        last = "The last column is the largest error" if len(filled) == 3 else "The last columns are the largest errors"
        yield Paragraph(f"{last}, in ulps of {listed(list(dtypes))}.")


# ------------------------------------------------------------------------------------------------ other findings


def _kink(kink: Kink, report: Results) -> str:
    entry = "" if kink.entry is None else place_of(kink.entry)
    line = f" ({kink.where.rstrip(': ')})" if kink.where else ""
    alone = [np.ndim(x) for x in report.point.values()] == [0]  # there are two sides, and both were seen
    low, high = number(kink.low), number(kink.high)
    slopes = f"the slopes beside it are {low} and {high}"
    if not alone:
        slopes = f"beside it, on the rays that were tried, the slopes run from {low} to {high}"
    said = f"there yours gives {number(kink.hand)}"
    if kink.hand != kink.hand:
        said = "there yours gives no number"
    if kink.autograd is not None:
        said += f", autograd {number(kink.autograd)}"
    choice = "; any number between the slopes is a convention, not an error" if kink.inside else ""
    if not kink.bounded:
        slopes, choice = "beside it the slopes grow beyond all bounds", "; there is no derivative there"
    return f"{kink.input}{entry}: your point is on a kink{line}; {slopes}; {said}{choice}."


def _footer(report: Results) -> str:
    counts: Mapping[str, int] = report.counts
    parts = []
    if counts.get("points"):
        branches = counts.get("branches", 1)
        paths = f", on {branches} branches of the code" if branches > 1 else ""
        points = counted(counts["points"], "point")
        were = "was" if counts["points"] == 1 else "were"
        proved = report.verdict == "proved"
        parts.append(f"before the proof, {points} {were} looked at{paths}" if proved else f"looked at {points}{paths}")
    if counts.get("outside"):
        parts.append(f"{counts['outside']} more outside the domain")
    parts.append(f"seed {report.seed}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
