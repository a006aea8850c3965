"""What floats did: whose values are closer, which lines the error comes from, and where digits are lost for good."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from symgrad.checking.results import Claim, Instability, Results, Rewrite
from symgrad.checking.verdicts import COMPUTED, Agrees
from symgrad.program.program import Source
from symgrad.report.page import Block, Code, Paragraph, Section, Table, code_of
from symgrad.report.wording import (
    counted,
    entries_of,
    exactly,
    listed,
    number,
    own_text,
    place_of,
    sentence,
    together,
    witness_text,
)
from symgrad.rounding.accuracy import Rounding, Side
from symgrad.rounding.attribution import LineErrors, LostDigits

# ---------------------------------------------------------------------------------------------------- instability text
# Formulas that are right and lose their digits in floats: where, why, and what to write instead.

_SHORT = 6  # entries of an input that are all told


def describe_instability(found: Instability) -> Section:
    """An instability of a formula alone: what it gives, the line, why, and what to write instead."""
    mine, truth = together(found.computed, found.exact)
    gives = "it has no value" if found.computed != found.computed else f"it gives {mine}"
    if found.entry is not None:
        gives = f"entry {place_of(found.entry)} is {mine}"
    return Section(f"At {_point(found)}, in {found.dtype}, {gives}; exact is {truth}.", tuple(_remedy(found)))


def _remedy(found: Instability) -> Iterator[Block]:
    if found.source is not None and found.source.text:
        yield code_of(found.source)
    if found.why:
        yield Paragraph(sentence(found.why))
    yield from _rewritten(found)
    if found.rewrite is None:
        yield Paragraph("No other way to write it was found that is proved equal and keeps the digits.")


def _rewritten(found: Instability, shown: Sequence[Source] = ()) -> Iterator[Block]:
    """What to write instead, where something was found; its line first, if it is not one of those that were shown."""
    r = found.rewrite
    if r is None:
        return
    at = r.source
    if at is not None and shown and all((at.text, at.line, at.span) != (s.text, s.line, s.span) for s in shown):
        yield code_of(at)
    yield Code(r.after, "Write instead")
    yield Paragraph(_promise(found, r))


def _kept_by(found: Instability, report: Results) -> str:
    """Whether the hand formula keeps the digits that autograd loses, in a sentence."""
    claim = report.claims.get(found.claim) if found.exact else None  # zero has none
    side = None if claim is None or claim.rounding is None else claim.rounding.hand
    return "Your formula keeps them." if side is not None and not side.lost and not side.broken else ""


def _point(found: Instability) -> str:
    point = _typed(found)
    short = all(entries_of(x) <= _SHORT for x in point.values())
    return own_text(point, 400, exactly) if short else witness_text(point, {})


def _typed(found: Instability) -> dict[str, Any]:
    """The point in the fewest digits that give these numbers of its dtype: 0.1, and not 0.10000000149011612."""
    if found.dtype not in ("float32", "float16"):
        return dict(found.point)
    short = np.vectorize(lambda x: float(str(np.dtype(found.dtype).type(x))), otypes=[float])
    return {n: short(x) if np.asarray(x).dtype.kind == "f" and entries_of(x) else x for n, x in found.point.items()}


def _promise(found: Instability, r: Rewrite) -> str:
    where = "at this point" if found.side == "formula" else "at your own point"
    text = f"It is proved equal, and {where} gives {number(r.given)}."
    if r.where is not None:
        text += f" Use it where {r.where}: elsewhere there are points at which it is worse than yours."
    return text


# ------------------------------------------------------------------------------------------------------ float findings

_WORTH = 2.0  # ulps from which it is told where an error comes from
_WIDTH = 44  # columns of a line of code in a table


# ------------------------------------------------------------------------------------------------ whose is closer


def only_rounding(report: Results) -> Iterator[Block]:
    """Where all is right and the values still differ from autograd's: that it is rounding, and whose are closer."""
    found = [(c, c.rounding) for c in report.claims.values() if c.rounding is not None and not _is_typed(c)]
    differing = [(c, r) for c, r in found if r.is_only_rounding]
    if not report.ok or not report.given or report.no_numbers or report.instabilities or report.kinks or not differing:
        return
    if any(not (r.equal or r.is_only_rounding) for _, r in found if r.autograd is not None):
        return
    dtypes = listed(list(dict.fromkeys(r.dtype for _, r in differing)))
    told = " ".join(_closer(differing)) if len(differing) <= _NAMED else _summed(differing)
    yield Paragraph(
        f"Nothing is wrong: where yours and autograd differ, it is {dtypes} rounding. {told} One ulp is the gap "
        "between two neighbours among these numbers."
    )


_NAMED = 3  # derivatives that are told one by one


def _closer(found: Sequence[tuple[Claim, Rounding]]) -> Iterator[str]:
    """Which is closer to the truth, and by how much: a sentence for yours, one for autograd, one for both."""
    alike = [(c, r) for c, r in found if r.autograd is None or r.hand.far == r.autograd.far]
    apart = [(c, r) for c, r in found if (c, r) not in alike]
    for who, kind in (("Yours", "yours"), ("Autograd", "autograd")):
        theirs = [(c, r) for c, r in apart if r.who_is_closer == kind]
        if theirs:
            yield f"{who} is closer to the truth {listed([_off(c, r, kind, len(found)) for c, r in theirs])}."
    if alike:
        names = f" for {listed([c.name for c, _ in alike])}" if len(found) > 1 else ""
        worst = max((r.hand for _, r in alike), key=lambda side: side.largest)
        yield f"Both are equally close to the truth{names} ({_off_by(worst)})."


def _off(claim: Claim, r: Rounding, who: str, count: int) -> str:
    sides = {"yours": r.hand, "autograd": r.autograd or r.hand}
    first = sides.pop(who)
    ((name, second),) = sides.items()
    numbers = f"{_off_by(first)}, {name} {second.far if first.at_zero or second.at_zero else _up(second.largest)}"
    return f"{f'for {claim.name} ' if count > 1 else ''}({numbers})"


def _off_by(side: Side) -> str:
    return f"at most {side.far}" if side.at_zero else f"at most {side.far} off"


def _summed(found: Sequence[tuple[Claim, Rounding]]) -> str:
    counts = {who: sum(r.who_is_closer == who for _, r in found) for who in ("yours", "autograd")}
    for who, n in counts.items():
        if n == len(found):
            return f"{who.capitalize()} is closer to the truth for all {n} inputs."
    told = [f"{who} for {counted(n, 'input')}" for who, n in counts.items() if n]
    both = len(found) - sum(counts.values())
    told += [f"both are equally close for {both}"] * bool(both)
    return f"Closer to the truth: {', '.join(told)}."


def _is_typed(claim: Claim, *words: str) -> bool:
    """Whether a claim agrees up to numbers that were typed or computed; up to these ``words``, where there are any."""
    typed = claim.verdict.typed if isinstance(claim.verdict, Agrees) else None
    return typed is not None and (not words or typed in words)


def _up(x: float) -> str:
    """To one decimal, upwards: what holds "at most"."""
    return f"{math.ceil(10 * x) / 10:.1f}" if x < 1e4 else _large(x)


def _large(x: float) -> str:
    return number(x, 2)


# ------------------------------------------------------------------------------------------------ one derivative


def rounded(report: Results, claim: Claim, full: bool) -> Iterator[Block]:
    """One derivative's rounding: both sides, what the inputs allow, and the lines that the error comes from."""
    r = claim.rounding
    if r is None:
        return
    if _is_typed(claim):  # it is the constants' digits that are seen, and not floats'
        yield Paragraph(
            f"In {r.dtype}: yours is off by at most {number(r.hand.largest, 2)} ulp, as the "
            f"{'data' if _is_typed(claim, COMPUTED) else 'typed constants'} are."
        )
    else:
        more = f"{_beyond(r)}{_reach(r)}"
        if full or more or not (r.is_only_rounding and any(only_rounding(report))):  # it is told above
            yield Paragraph(f"In {r.dtype}: {r.sentence}.{more}")
        explained = any(i.claim == claim.name and i.side == "hand" for i in report.instabilities)
        if r.lines is not None and not explained and not full:
            yield from _main_lines(r.lines)
    if full:
        yield _sides(r)
        if r.lines is not None and not _is_typed(claim):
            yield from _all_lines(r.lines)


def _beyond(r: Rounding) -> str:
    places = r.hand.beyond or (() if r.autograd is None else r.autograd.beyond)
    if not places:
        return ""
    where = "The truth" if places == ((),) else f"In entry {place_of(places[0])} the truth"
    if len(places) > 1:
        where = f"In {len(places)} entries the truth"
    return f" {where} is beyond the largest {r.dtype}, and no float could hold it."


def _reach(r: Rounding) -> str:
    """Where the inputs themselves do not determine the derivative to more digits."""
    if r.sensitivity is None or not r.hand.largest <= 8 * r.sensitivity:
        return ""
    which = "it" if r.hand.worst == () else f"entry {place_of(r.hand.worst)}"
    return (
        f" The inputs do not determine it better: moving each by half a unit in its last place moves {which} by up to "
        f"{_up(r.sensitivity)} ulp."
    )


def _main_lines(lines: LineErrors) -> Iterator[Block]:
    """The line that most of an error comes from, or the two that its largest parts come from."""
    total = abs(lines.total)
    if total < _WORTH or len(lines.lines) < 2 or abs(lines.rest) > total / 2:
        return
    sign = math.copysign(1.0, lines.total)
    ranked = [line for line in lines.largest if line.share * sign > total / 8]
    if not ranked:
        return
    where = "" if lines.entry is None else f" in entry {place_of(lines.entry)}"
    first, mine, whole = ranked[0], ranked[0].share * sign, f"{_up(total)} ulp{where}"
    if mine > 1.05 * total:
        text = (
            f"All of your rounding ({whole}) comes from one line; it alone makes {_up(mine)}, and others take part of "
            "it back:"
        )
    elif mine >= 0.95 * total:
        text = f"All of your rounding ({whole}) comes from one line:"
    elif mine >= total / 2:
        text = f"Most of your rounding ({_up(mine)} of {whole}) comes from one line:"
    else:
        ranked = ranked[:2]
        parts = listed([_up(line.share * sign) for line in ranked])
        noun = "one line" if len(ranked) == 1 else "these lines"
        yield Paragraph(f"The largest parts of your rounding ({parts} of {whole}) come from {noun}:")
        yield from (code_of(line.source) for line in ranked)
        return
    yield Paragraph(text)
    yield code_of(first.source)
    if first.rounds < mine / 8:
        yield Paragraph(f"It rounds by at most {_up(first.rounds)} ulp itself; the steps after it magnify that.")


def _round(x: float) -> str:
    return f"{x:.1f}" if abs(x) < 1e4 else _large(x)


def _signed(x: float) -> str:
    return f"{x:+.2f}" if abs(x) < 1e4 else f"{'-' if x < 0 else '+'}{number(abs(x), 3)}"


def _all_lines(lines: LineErrors) -> Iterator[Block]:
    """Every line: how far its own value is off, and its part in the error of the result."""
    if not lines.lines:
        return
    where = "" if lines.entry is None else f" of entry {place_of(lines.entry)}"
    yield Paragraph(
        f"Where the error{where} comes from, {_round(lines.total)} ulp of {lines.dtype} with its sign: how far each "
        "line's own value is from exact arithmetic, in its own ulps, and the part of the error that arises in it."
    )
    rows = [
        (_shown(line.source), _round(line.error), _signed(line.share))
        for line in lines.lines
        if line.error or line.share
    ]
    if abs(lines.rest) >= 0.005:
        rows.append(("products of these errors, and the rest", "", _signed(lines.rest)))
    yield Table(("line", "own error", "part"), tuple(rows))


def _shown(source: Source) -> str:
    text = source.text
    if source.span is not None and source.line is not None and "\n" not in text:
        text = text[slice(*source.span)]
    text = " ".join(text.split())
    text = text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
    return text if source.line is None else f"{source.line}: {text}"


def largest(side: Side, digits: int = 2) -> str:
    """The largest error in ulps, for a table; as it is where the truth is zero and has no ulps."""
    return number(side.largest, digits) if side.at_zero is None else f"{number(side.at_zero[0], digits)} absolute"


def _sides(r: Rounding) -> Table:
    rows = []
    for name, side in (("yours", r.hand), ("autograd", r.autograd)):
        if side is not None:
            bound = "none" if side.bound is None else number(side.bound, 3)
            rows.append((name, largest(side, 3), number(side.median, 3), bound))
    return Table((f"ulps of {r.dtype}", "largest", "median", "bound"), tuple(rows))


# ------------------------------------------------------------------------------------------------ digits lost for good


def unsafe(report: Results) -> Iterator[Block]:
    """A section for formulas that are right and not safe in floats; what several suffer from is told once."""
    groups: dict[tuple, list[Instability]] = {}
    for i in report.instabilities:
        groups.setdefault((i.claim, i.entry), []).append(i)
    seen: list[Instability] = []
    told = [block for group in groups.values() for block in _instability(group, seen, report)]
    if told:
        yield Section("Right, and still not safe in floats", tuple(told))


def _instability(group: Sequence[Instability], seen: list[Instability], report: Results) -> Iterator[Block]:
    hand = next((i for i in group if i.side == "hand"), None)
    auto = next((i for i in group if i.side == "autograd"), None)
    first = hand or auto
    assert first is not None
    entry = "" if first.entry is None else place_of(first.entry)
    same = ""
    if any(first.source is not None and first.source == i.source for i in seen):
        same = " It comes from the same line."
    kept = _kept_by(first, report) if hand is None else ""
    yield Paragraph(f"{first.claim}{entry}: {_what(hand, auto)}.{same} {kept}".rstrip())
    for found in filter(None, (hand, auto)):
        if found.source is None or not found.source.text or any(found.source == i.source for i in seen):
            continue
        if found is auto and hand is not None and hand.source is not None:
            yield Paragraph("Autograd does so in a line of the formula:")
        yield code_of(found.source)
        if found.loss is not None and not any(_same(found.loss, i.loss) for i in seen):
            yield from _how(found.loss, found.dtype, found.computed)
        shown = (found.source, *([] if found.loss is None else filter(None, [found.loss.turned_source])))
        yield from _rewritten(found, shown)
        seen.append(found)


def _what(hand: Instability | None, auto: Instability | None) -> str:
    found = hand or auto
    assert found is not None
    mine, truth = together(found.computed, found.exact)
    whole = _breaks(found) or not found.exact  # zero has no digits that could be lost
    gives = "gives" if whole else f"loses its digits in {found.dtype}: it gives"
    where = f" in {found.dtype}" if whole else ""
    if hand is None:
        return f"autograd at your own point {gives} {mine}{where}, exact is {truth}"
    start = "your formula is right, and at your own point it"
    if auto is None:
        return f"{start} {gives} {mine}{where}, exact is {truth}"
    other = together(auto.computed, auto.exact)[0]
    if mine == other:
        gives = "give" if whole else f"lose their digits in {found.dtype}: they give"
        return f"{start} and autograd both {gives} {mine}{where}, exact is {truth}"
    both = (
        "are both off"
        if not found.exact
        else "both fail"
        if _breaks(hand) or _breaks(auto)
        else "both lose their digits"
    )
    return f"{start} and autograd {both} in {found.dtype}: yours gives {mine}, autograd {other}, exact is {truth}"


def _breaks(found: Instability) -> bool:
    """Whether it is no matter of digits: no finite number at all."""
    return not math.isfinite(found.computed)


def _same(one: LostDigits, other: LostDigits | None) -> bool:
    """Whether the same has happened in two places, and was told."""
    return other is not None and (one.how, one.value, one.exact) == (other.how, other.value, other.exact)


def _how(loss: LostDigits, dtype: str, result: float) -> Iterator[Block]:
    limits = torch.finfo(getattr(torch, dtype))
    got, meant = together(loss.value, loss.exact)
    match loss.how:
        case "overflow":
            exactly = f"exactly this is {meant}, and " if math.isfinite(loss.exact) else ""
            text = f"Here it overflows: {exactly}the largest {dtype} is {number(limits.max)}."
        case "underflow":
            exactly = f"exactly this is {meant}, floats give {got}, and" if loss.exact else f"floats give {got}:"
            text = f"Here it underflows: {exactly} the smallest normal {dtype} is {number(limits.tiny)}."
        case "cancellation":
            text = (
                f"Here it cancels: exactly this is {meant}, floats give {got}. The rounding of the larger numbers that "
                "went in is all that is left."
            )
        case "undefined":
            text = f"Here it breaks: exactly this is {meant}, floats give {got}."
        case _:
            text = f"Here the digits are lost: exactly this is {meant}, floats give {got}."
    yield Paragraph(text)
    if loss.turned_source is not None and loss.turned_source != loss.source:
        became = "zero" if result == 0 else "not a number" if math.isnan(result) else "infinite"
        yield Paragraph(f"And here it becomes {became}:")
        yield code_of(loss.turned_source)
