"""Which lines of a derivation are wrong by themselves: wrong although all that they use is true.

The derivation is read line by line.  Where a line is not what it claims to be, or a result is not the derivative,
every explanation is tried: the line itself, or an earlier line for which some true quantity makes this one right.  An
explanation puts truth in the place of lines, and the one after which the least is wrong is kept, until all results are
right.  Truths that turn out not to be needed are taken back.
"""

from __future__ import annotations

import functools
import itertools
import keyword
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from symgrad.checking.exploration import Findings
from symgrad.checking.results import StepFinding
from symgrad.diagnosis.claims import Line, Meaning, phrase, read_name, squashed
from symgrad.diagnosis.derivation import PRECISION, Derivation, derivation_of
from symgrad.diagnosis.explanations import Blame, Key, explain, key_of, needed
from symgrad.diagnosis.propagation import Fix, Over, Walk, recompute, walk
from symgrad.diagnosis.suspects import increments, suspects, writes
from symgrad.diagnosis.truth_table import Entry
from symgrad.diagnosis.value_matching import entries_of, is_zero, same
from symgrad.ops.row import precision
from symgrad.problem.question import Problem
from symgrad.program.builder import Builder
from symgrad.program.program import Binding, Program, Source, size


@dataclass(frozen=True, eq=False)
class Fault:
    """One line that is wrong by itself.

    ``bindings`` are the versions of its variable that are wrong; there are none where what is returned for the input
    ``name`` has no variable of its own.  ``truths`` maps the step of each to the step, of the diagnosis' Program, that
    holds what it should be, of the same shape where the sizes allow it.  ``confidence`` says what the claim rests on:
    "word", "name", "value" (a true quantity that makes everything after it right) or "final" (it is what the
    derivation returns).
    """

    name: str
    bindings: tuple[Binding, ...]
    source: Source | None
    truths: Mapping[int, int]
    claim: str
    confidence: str
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What each line is, and which are wrong: ``program`` is the branch's, with all the truths among its steps."""

    program: Program
    steps: tuple[StepFinding, ...]
    faults: tuple[Fault, ...]
    derivation: Derivation

    @property
    def wrong_steps(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(f.name if f.bindings else "return" for f in self.faults))


def diagnose(problem: Problem, findings: Findings, words: Mapping[str, str] | None = None) -> Diagnosis:
    """Find the lines of a refuted derivation that are wrong by themselves.

    ``words`` maps variables to what they are meant to be ("d out / d h1").  Raises `BadInput` where a word cannot be
    read.  Whether a line is right is decided by balls, at one generic point; which of several lines to blame, where
    the values leave a choice, is judgement, and `Fault.alternatives` tells the others.
    """
    d = derivation_of(problem, findings, words)
    with precision(PRECISION):
        first = walk(d, None, {})
        blame = Blame()
        last = explain(d, first, blame)
        fixes = _round_by_round(d, needed(d, last))
        return _result(d, first, fixes, blame)


def is_permuted(d: Derivation) -> bool:
    """Whether what is returned for an input is another's derivative, and that one's is not returned for it either: the
    lines may be right, and are returned in another order.
    """
    wrong = [f for f in d.finals if f.wrong and f.fits]
    hand, exact = [entries_of(d.values[f.hand]) for f in wrong], [entries_of(d.values[f.exact]) for f in wrong]
    alike = lambda a, b: len(a) == len(b) and same(a, b, d.typed)  # noqa: E731
    pairs = itertools.permutations(range(len(wrong)), 2)
    return any(alike(hand[i], exact[j]) and alike(hand[j], exact[i]) for i, j in pairs)


def _result(d: Derivation, first: Walk, fixes: Mapping[int, Fix], blame: Blame) -> Diagnosis:
    after = walk(d, None, fixes)
    wrong: dict[Key, list[int]] = {}
    owners: dict[int, int] = {}  # the wrong lines, each with the step where truth was put for it
    for i in sorted(fixes):
        if not same(entries_of(_own_value(d, after, i)), entries_of(fixes[i].value), d.typed):
            steps = wrong.setdefault(key_of(d, fixes[i].owner), [])
            owners.setdefault(fixes[i].owner, i)
            if owners[fixes[i].owner] == i:
                steps.append(fixes[i].owner)
    b = Builder.on(d.program)
    b.source = None
    faults = []
    order = {}
    for i, line in d.lines.items():
        order.setdefault(line.key, i)
    for key, steps in sorted(wrong.items(), key=lambda item: order.get(item[0], item[1][0])):
        lines = [d.lines[i] for i in steps if i in d.lines]
        entries = {i: e for i in steps if (e := fixes[owners[i]].entry) is not None}
        scales = {i: fixes[owners[i]].scale for i in entries}
        sums = {i: [e.step, *(a.step for a in fixes[owners[i]].also)] for i, e in entries.items()}
        totals = {i: functools.reduce(b.add, steps) for i, steps in sums.items()}
        truths = {i: _laid(b, _times(b, scales[i], totals[i]), d.program.shape(i)) for i in entries}
        kind = fixes[owners[steps[0]]].how
        told = dict.fromkeys(_phrase(d, e, scales[i]) for i, e in entries.items())
        claim = "; ".join(list(told)[:3]) or "what makes the results right"
        source = lines[0].binding.source if lines else d.program.steps[steps[0]].source
        others = tuple(blame.others.get(key, ()))
        faults.append(Fault(key[0], tuple(x.binding for x in lines), source, truths, claim, kind, others))
    program = b.build(d.program.outputs)
    put = {owner: fixes[i] for owner, i in owners.items()}
    findings = tuple(_finding(d, first, after, put, line) for line in d.lines.values())
    return Diagnosis(program, _with_dead(d, findings), tuple(faults), d)


def _round_by_round(d: Derivation, fixes: Mapping[int, Fix]) -> dict[int, Fix]:
    """The fixes, where a result is summed up or written in pieces by what each line adds or writes."""
    out = dict(fixes)
    for final in d.finals:
        fix = fixes.get(-1 if final.line is None else final.line)
        if fix is None or fix.how != "final":
            continue
        others = {i: f for i, f in out.items() if f is not fix}
        if written := writes(d, fix, final):
            out = others | written
            continue
        found = increments(d, walk(d, None, others), final)
        total = sum((i.part for i in found[1:]), start=found[0].part) if found else None
        if total is None or not is_zero(found[0].before) or not same(total, entries_of(fix.value), d.typed):
            continue
        running, entries = found[0].part, (found[0].entry,)
        for k, one in enumerate(found):
            if k:
                running, entries = running + one.part, (*entries, one.entry)
            shape = d.program.shape(one.step)
            value = running.reshape(shape) if shape else running[0]
            others[one.step] = Fix(one.step, value, entries[0], "final", also=entries[1:])
        out = others
    return out


def _own_value(d: Derivation, after: Walk, i: int) -> Any:
    """What a line computes by itself when all that it uses is true."""
    local = Over({}, after.values)
    step = d.program.steps[i]
    if step.op in ("input", "constant"):
        return d.values[i]
    recompute(d, [i], local)
    return local[i]


def _phrase(d: Derivation, entry: Entry, scale: Fraction | None) -> str:
    return f"{'' if scale is None else f'{scale} times '}{phrase(entry, d.called, d.names.output)}"


def _times(b: Builder, c: Fraction | None, step: int) -> int:
    if c is None:
        return step
    number = b.number(sp.Rational(c.numerator, c.denominator), b.dtype(step))
    return b.mul(b.broadcast(number, b.shape(step)), step)


def _laid(b: Builder, truth: int, wanted: tuple[int, ...]) -> int:
    shape = b.shape(truth)
    if shape == wanted or size(shape) != size(wanted):
        return truth
    short, other = [n for n in shape if n != 1], [n for n in wanted if n != 1]
    if len(short) == 2 and short != other and short == other[::-1]:
        truth = b.transpose(b.reshape(truth, tuple(short)))
    return b.reshape(truth, wanted)


def _finding(d: Derivation, first: Walk, after: Walk, wrong: Mapping[int, Fix], line: Line) -> StepFinding:
    i = line.step
    status = after.statuses[i]
    meaning = d.meanings.get(i, Meaning())
    entry = wrong[i].entry if i in wrong else status.entry
    if entry is None and meaning.whole:
        entry = meaning.whole[0]
    claims = None if entry is None else _phrase(d, entry, wrong[i].scale if i in wrong else None)
    if i in wrong:
        verdict = "wrong"
    elif not same(entries_of(first.values[i]), entries_of(after.values[i]), d.typed):
        verdict = "fed wrong values"
    else:
        verdict = {
            "right": "right",
            "partial": "right",
            "forward": "forward",
            "other": "misnamed",
            "zero": "right",
            "scaled": "misnamed",
        }.get(status.kind, "unknown")
        if status.kind == "right" and status.entry is not None and status.entry.kind == "value":
            verdict = "forward"
        known = meaning.whole and _is_a_name(line.name) and not _says_so(line.name, claims or "")
        if verdict == "misnamed" and not known:
            verdict = "right"  # its name says nothing that is known, or just that
    error = None if entry is None else _error(first.values[i], d.values[entry.step])
    unsure = _unsure(d, after, i) if verdict == "wrong" else ()
    return StepFinding(line.name, line.binding.version, line.binding.source, claims, verdict, error, unsure)


def _unsure(d: Derivation, w: Walk, step: int) -> tuple[Source, ...]:
    """The lines before one of which nothing is known: those that it uses, and those that a choice is made by which the
    model does not make as well.
    """
    guards = d.branch.program.guards
    models = {g.args for g in guards if g.source is not None and _stands_in(g.source, d.lines_of_model)}
    own = [g for g in guards if g.args not in models]
    lines = [i for i in suspects(d, w, step) if i in d.lines]
    lines += [i for g in own for a in g.args for i in _unknown_before(d, w, a)]
    right = d.program.needed([f.hand for f in d.finals if not f.wrong])
    here = sorted((i for i in set(lines) - set(right) if i != step), reverse=True)
    sources = [*(d.lines[i].binding.source for i in here), *(g.source for g in own)]
    mine = d.lines[step].binding.source
    found = {(s.file, s.line): s for s in sources if s is not None}
    return tuple(s for s in found.values() if mine is None or s.line != mine.line)


def _stands_in(source: Source, lines: Collection[tuple[str | None, int | None]]) -> bool:
    return (source.file, source.line) in lines


def _unknown_before(d: Derivation, w: Walk, step: int) -> Iterator[int]:
    """The lines that a step comes from and that are none of the model's values, the step's own among them."""
    if step in d.lines and w.statuses[step].kind not in ("forward", "right"):
        yield step
    yield from suspects(d, w, step)


def _says_so(name: str, claims: str) -> bool:
    """Whether a name says that it holds such a quantity, which may be one of several of that name or have none.

    >>> _says_so("zbar", "d out / d self.z[2]"), _says_so("dh", "d out / d z")
    (True, False)
    """
    wrt = claims.rpartition(" / d ")[2].partition("[")[0].rpartition(".")[2]
    return "a step of" in claims or any(squashed(r.wrt) == squashed(wrt) for r in read_name(name))


def _is_a_name(text: str) -> bool:
    """Whether the user gave it: what a function returns, or a step that a script takes, has none."""
    return text.isidentifier() and not keyword.iskeyword(text)


def _error(value: Any, truth: Any) -> float | None:
    """How far a value is from what it should be, relative to that, in the entry where it is furthest."""
    mine, true = entries_of(value), entries_of(truth)
    if len(mine) != len(true):
        return None
    far = max((float(abs(a - b).mid()) for a, b in zip(mine, true, strict=True)), default=0.0)
    size = max((float(abs(b).mid()) for b in true), default=0.0)
    return far / size if size and far == far and size == size else None


def _with_dead(d: Derivation, steps: Sequence[StepFinding]) -> tuple[StepFinding, ...]:
    """Every line of the hand code in order; those that no result uses are not judged."""
    known = {(s.name, s.version): s for s in steps}
    bindings = d.branch.program.bindings[len(d.branch.model_run.program.bindings) :]
    unused = (StepFinding(b.name, b.version, b.source, None, "unused") for b in bindings)
    return tuple(known.get((s.name, s.version), s) for s in unused)
