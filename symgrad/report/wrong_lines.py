"""Where the error is: the lines that are wrong by themselves, why, and what to write instead."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from symgrad.checking.results import Repair, Results, StepFinding
from symgrad.checking.verdicts import Refuted
from symgrad.program.program import Source
from symgrad.report.page import Block, Change, Code, Derivation, Items, Line, Paragraph, Section, code_of
from symgrad.report.wording import counted, in_words, listed, sentence

# --------------------------------------------------------------------------------------------------------- wrong lines

FIRST_SIDE = "the first side"


def is_chain(report: Results) -> bool:
    """Whether it is about values that are said to be equal, and not about a derivative."""
    return any(step.claims == FIRST_SIDE for step in report.steps)


_TOLD = 4  # lines that may be wrong instead of one
REPAIRED = "report.repaired_source holds"  # where the repaired code is


def error_lines(report: Results, repaired: str) -> Iterator[Block]:
    """A section with each faulty line in its order, and one for names that say something else than they hold."""
    wrong = _first_of_each(report, "wrong")
    found: list[Block] = []
    slips = _slips(report, wrong)
    for step in wrong:
        mine = [r for r in report.repairs if _is_of(r, step)]
        if not mine:
            found += _unrepaired(report, step)
        else:
            found += slips.pop(_slip(mine[0]), ())
    for r in report.repairs:  # a formula without steps: the whole of it is the line
        if not any(_is_of(r, step) for step in wrong):
            line = next((s for s in report.steps if _is_of(r, s)), None)  # it may be right for what was given
            text, column = (r.before, 0) if r.within is None else r.within
            part = _span(r)
            part = part if part is None else (part[0] + column, part[1] + column)
            code = code_of(Source(text, r.file, r.line, part))
            code = code if line is None else _marked(report, replace(line, verdict="wrong"))
            found += (_changed(code, r), Paragraph(reason_of(r)))
    if found:
        title = "The wrong line" if len(wrong) <= 1 and len(report.repairs) <= 1 else "The wrong lines"
        refuted = [v for c in report.claims.values() if isinstance(v := c.verdict, Refuted)]
        if refuted and all(v.is_excused for v in refuted):
            title = "What is right without that"
        yield Section(title, (*found, *_together(report, wrong, repaired)), "refuted")
    misnamed = _first_of_each(report, "misnamed")
    if misnamed:
        told = (
            f"{s.name}{_at(s)} holds {in_words(_meaning(report, s))}, which is right, and not what its name says."
            for s in misnamed
        )
        yield Section("Misnamed", (Items(tuple(told)),))


def _slip(repair: Repair) -> str:
    """What lines with one slip have in common: the reason, the numbers in names aside."""
    return re.sub(r"(?<=[A-Za-z_])\d+", "#", repair.why)


def _slips(report: Results, wrong: Sequence[StepFinding]) -> dict[str, list[Block]]:
    """The lines with each slip as they are and as they should be, and once why, by the slip."""
    groups: dict[str, list[tuple[StepFinding, Repair]]] = {}
    for step in wrong:
        repair = next((r for r in report.repairs if _is_of(r, step)), None)
        if repair is not None:
            groups.setdefault(_slip(repair), []).append((step, repair))
    return {slip: [*_group(report, group)] for slip, group in groups.items()}


def _group(report: Results, group: Sequence[tuple[StepFinding, Repair]]) -> Iterator[Block]:
    for k, (step, repair) in enumerate(group):
        yield replace(_changed(_marked(report, step), repair), again=k > 0)
    lines = [str(n) for step, _ in group if (n := _line_number(step)) is not None]
    same = f"The same slip in lines {listed(lines)}: " if len(lines) > 1 else ""
    yield Paragraph(f"{same}{reason_of(group[0][1])}")


def _is_of(repair: Repair, step: StepFinding) -> bool:
    return repair.step == step.name and (repair.line is None or repair.line == _line_number(step))


def _first_of_each(report: Results, verdict: str) -> list[StepFinding]:
    """The first finding of each line with this verdict; a loop's later versions are not told again."""
    out: dict[tuple[str, int | None], StepFinding] = {}
    for step in report.steps:
        if step.verdict == verdict:
            out.setdefault((step.name, None if step.source is None else step.source.line), step)
    return list(out.values())


def _meaning(report: Results, step: StepFinding) -> str:
    """What a line claims; of one that runs several times not in which of them."""
    several = sum(s.name == step.name and _line_number(s) == _line_number(step) for s in report.steps) > 1
    claims = step.claims or ""
    return re.sub(r"(?<=\w)\[\d+\]", "", claims) if several else claims


def _line_number(step: StepFinding) -> int | None:
    return None if step.source is None else step.source.line


def _at(step: StepFinding) -> str:
    return f" (line {step.source.line})" if step.source is not None and step.source.line is not None else ""


def _marked(report: Results, step: StepFinding) -> Code:
    """A line of the derivation, the part marked that its repair changes."""
    source = Source(step.name) if step.source is None else step.source
    text = source.text
    repairs = [r for r in report.repairs if _is_of(r, step) and r.before in text and step.verdict == "wrong"]
    if not repairs:
        return replace(code_of(source), span=None)
    start = _place(repairs[0], text)
    part = _span(repairs[0])
    return replace(code_of(source), span=None if part is None else (part[0] + start, part[1] + start))


def _unrepaired(report: Results, step: StepFinding) -> Iterator[Block]:
    yield _marked(report, step)
    claims = _meaning(report, step)
    if claims == FIRST_SIDE:
        yield Paragraph("Here the chain breaks: this is not equal to the first side.")
        return
    if claims.startswith("∂"):  # a row of mathematics, in which no edits are looked for
        yield Paragraph(f"This is not {claims}.")
        return
    if claims == step.name:  # a row that says again what the formula says
        yield Paragraph(f"What this line says is not {claims}.")
        return
    by = claims.rpartition("/ d ")[2].partition("[")[0]
    of_data = by in report.point and by not in report.claims  # nobody differentiates by what is given
    known = claims and not of_data and not any(word in claims for word in ("intermediate", "a step of"))
    meant = f"Read as {in_words(claims)}, this" if known else "This"
    lines = list(dict.fromkeys(str(s.line) for s in step.unsure if s.line is not None))[:_TOLD]
    if lines:
        what = f"line {lines[0]}" if len(lines) == 1 else f"one of lines {listed(sorted(lines, key=int))}"
        yield Paragraph(f"{meant} line is wrong, or {what} that it rests on; no small edit puts it right.")
        return
    yield Paragraph(f"{meant} line is wrong even where all that it uses is right; no small edit puts it right.")


def _changed(code: Code, repair: Repair) -> Change:
    """The line with its expression put right; the expression alone where it is spelled otherwise in the line."""
    if repair.before not in code.text:
        return Change(replace(code, text=repair.before, span=_span(repair)), repair.after)
    at, first = _place(repair, code.text), "\n" not in repair.before
    after = _dedented(repair.after) if first else repair.after
    return Change(code, f"{code.text[:at]}{after}{code.text[at + len(repair.before) :]}")


def _dedented(text: str) -> str:
    """A statement that is several now, without the margin of those that follow."""
    head, *rest = text.split("\n")
    return "\n".join((head, *textwrap.dedent("\n".join(rest)).split("\n"))) if rest else head


def _place(repair: Repair, text: str) -> int:
    """Where what is changed begins in a line: in `dc = dc` it is the value."""
    if repair.within is not None and repair.within[0] == text:
        return repair.within[1]
    return text.rfind(repair.before) if text.endswith(repair.before) else text.find(repair.before)


def reason_of(repair: Repair) -> str:
    """Why a line is wrong, as a sentence; a name of the user's stays as it is spelled."""
    return sentence(repair.why, re.findall(r"[^\W\d]\w*", f"{repair.step} {repair.before} {repair.after}"))


def _span(repair: Repair) -> tuple[int, int] | None:
    """Where the changed part stands in what was there before: of several such parts, the one that was changed."""
    old, new = repair.edit
    found = [m.start() for m in re.finditer(re.escape(old), repair.before)] if old else []
    made = (new, f"({new})")
    fits = (k for k in found for n in made if repair.before[:k] + n + repair.before[k + len(old) :] == repair.after)
    start = next(fits, None)
    start = found[0] if start is None and found else start
    return None if start is None else (start, start + len(old))


def _together(report: Results, wrong: list[StepFinding], repaired: str) -> Iterator[Block]:
    if not report.repairs:
        return
    change = "this change" if len(report.repairs) == 1 else "these changes"
    if not all(any(_is_of(r, step) for r in report.repairs) for step in wrong):
        yield Paragraph(f"{repaired} {change}; for the other lines no small edit was found.")
    elif all(r.proved for r in report.repairs):
        what = "the derivation" if len(report.repairs) == 1 else "it"  # in one line, of a page of 80 columns
        yield Paragraph(f"With {change} {what} is proved; {repaired} it.")
    else:
        yield Paragraph(
            f"With {change} the derivation agrees with the exact one at every point that was looked at; it is not "
            f"proved. {repaired} it."
        )


# ---------------------------------------------------------------------------------------------------- derivation table
# The derivation line by line: what each line is, and what it is meant to be.

_ORDER = ("wrong", "misnamed", "fed wrong values", "unknown", "right", "forward", "unused")
_WORDS = {
    "right": "right",
    "wrong": "wrong",
    "fed wrong values": "right, but given wrong values",
    "forward": "a value of the model",
    "misnamed": "misnamed",
    "unused": "not used",
    "unknown": "no derivative that was recognised",
}


def derivation_of(report: Results) -> Derivation | None:
    """The lines that were judged; None where none was."""
    lines = tuple(_lines(report))
    return Derivation(lines) if lines else None


def _lines(report: Results) -> Iterator[Line]:
    rounds: dict[tuple[str, int | None, str], list[StepFinding]] = {}
    for step in report.steps:
        if step.source is not None and step.verdict is not None:
            rounds.setdefault((step.name, step.source.line, step.source.text), []).append(step)
    for same in rounds.values():
        worst = min(same, key=lambda s: _ORDER.index(s.verdict or "unknown"))
        verdict = worst.verdict or "unknown"
        words = _WORDS[verdict]
        times = sum(s.verdict == worst.verdict for s in same)
        if times < len(same):
            words += f" in {times} of {counted(len(same), 'round')}"
        meant = worst.claims if verdict not in ("forward", "unused") else None
        error = None
        if verdict in ("wrong", "fed wrong values") and worst.error:
            error = _off(worst.error)
        yield Line(_marked(report, worst), verdict, words, meant, error)


def _off(error: float) -> str:
    """A relative difference in words.

    >>> _off(0.371), _off(1.0), _off(62.4), _off(3e-9)
    ('off by 37 %', 'off by 100 %', 'off by 62 times its size', 'off by 3e-07 %')
    """
    return f"off by {error:.2g} times its size" if error >= 9.95 else f"off by {_two_digits(100 * error)} %"


def _two_digits(x: float) -> str:
    return f"{x:.0f}" if x >= 9.95 else f"{x:.2g}"
