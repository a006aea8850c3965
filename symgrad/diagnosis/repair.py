"""What to write instead: small edits of the faulty lines, kept when the whole repaired derivation is judged right.

A line is searched with everything it uses replaced by the truth, so that each faulty line is repaired by itself.  What
fits by value is only a candidate: the user's code with all repairs made is lifted again and goes through the same
pipeline as any other; it is proved, or it agrees, or it is not offered.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from symgrad.checking.all_sizes import holds_at_other_sizes
from symgrad.checking.comparison import Branch
from symgrad.checking.exploration import Findings, comparison_at, inside_looks
from symgrad.checking.judge import decide
from symgrad.checking.results import Repair
from symgrad.checking.verdicts import Agrees, Refuted
from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.differences import changed, classified
from symgrad.diagnosis.faulty_lines import propose_whole, proposed
from symgrad.diagnosis.hand_parts import Leaf, Proposal, leaves, source_of, swapped
from symgrad.diagnosis.mistakes import explain
from symgrad.diagnosis.scope import Site
from symgrad.diagnosis.slip import Slip
from symgrad.diagnosis.source_code import Code, Unit, code_of, edited, line_around
from symgrad.diagnosis.statement_edits import KINDS
from symgrad.diagnosis.typeset_edits import typeset_edit, typeset_side
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Formula, open_formula
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.problem.question import Problem
from symgrad.progress import doing

# ------------------------------------------------------------------------------------------------------------ patching
# The hand side with edits made: as a formula that can be run, and as the user's own text.


def rewritten(problem: Problem, proposals: Sequence[Proposal], choice: Sequence[Edit | None]) -> tuple[Any, str] | None:
    """The hand side with one edit for each line, and its text."""
    hand, texts = problem.hand, []
    groups: dict[int, list[tuple[Proposal, Edit]]] = {}
    for p, e in zip(proposals, choice, strict=True):
        if e is not None:
            groups.setdefault(id(p.site[0].formula), []).append((p, e))
    for pairs in groups.values():
        leaf: Leaf = pairs[0][0].site[0]
        code = code_of(leaf.formula)
        if code is None:
            text = pairs[0][1].text
            made = typeset_edit(leaf.formula, text) if isinstance(leaf.formula, Latex) else None
            if made is None and isinstance(leaf.formula, Latex):
                return None
            new, text = (open_formula(text, known=None), text) if made is None else (made[0], made[0].text)
        else:
            written = _with_edits(code, pairs)
            if written is None:
                return None
            new, text = written
        hand = swapped(hand, leaf.formula, new)
        texts.append((leaf, text))
    return hand, _whole_text(problem, texts)


def _with_edits(code: Code, pairs: Sequence[tuple[Proposal, Edit]]) -> tuple[Any, str] | None:
    """Code with edits made in one or several of its units."""
    spans: dict[tuple[str, int], list[tuple[int, int, str]]] = {}
    units: dict[tuple[str, int], Unit] = {}
    for p, e in pairs:
        site: Site = p.site[1]
        mark = site.unit.file, site.unit.first
        units[mark] = site.unit
        new = (site.expression.start, site.expression.end, e.text)
        if new not in spans.setdefault(mark, []):
            spans[mark].append(new)
    return code.edited({units[mark]: edited(units[mark].text, found) for mark, found in spans.items()})


def _whole_text(problem: Problem, texts: Sequence[tuple[Leaf, str]]) -> str:
    all_leaves = leaves(problem.hand)
    if len(all_leaves) == 1 or len({id(f.formula) for f in all_leaves}) == 1:
        return texts[0][1]
    written = {id(leaf.formula): text for leaf, text in texts}
    parts = []
    for leaf in all_leaves:
        text, code = written.get(id(leaf.formula)), code_of(leaf.formula)
        if text is None:
            text = code.units[0].text if code is not None else str(getattr(leaf.formula, "source", leaf.formula))
        if code is not None and not text.startswith("lambda"):
            return "\n\n".join(t for _, t in texts)
        parts.append(f"{leaf.key!r}: {text if code is not None else repr(text)}")
    return "{" + ", ".join(parts) + "}"


# -------------------------------------------------------------------------------------------------------------- repair

_JUDGED = 8  # repaired derivations that are judged before giving up
_SHARE = 0.3  # of the budgets of a question: a repair is judged beside its verdict
_OFFERED = 5  # edits of a line that are kept for that


def propose(problem: Problem, findings: Findings, diagnosis: Any) -> list[Proposal]:
    """The small edits of each faulty line that fit.

    ``diagnosis`` has ``program`` (the branch's Program and more steps) and ``faults``, each with the ``bindings`` that
    are wrong and ``truths``: for each of their steps the step that holds what it should be.
    """
    branch = _branch_of(findings, diagnosis.program)
    proposals: list[Proposal] = []
    for leaf, code, faults in _by_leaf(problem, diagnosis.faults):
        doing("looking for a repair")
        if code is not None:
            proposals += proposed(problem, findings, branch, diagnosis, leaf, code, faults)
        else:
            proposals += propose_whole(problem, findings, branch, diagnosis, leaf, faults)
    return proposals


def repair(problem: Problem, proposals: Sequence[Proposal]) -> tuple[tuple[Repair, ...], str | None]:
    """The repairs of all faulty lines, in their order, and the user's code with them made; no repairs and None where
    none was found, or where the source cannot be read.

    Guarantee: a repair that is ``proved`` belongs to a derivation that `judge` has proved as a whole; one that is not
    agreed at every point that was looked at, and with the residues.
    """
    if not any(p.edits for p in proposals):
        return (), None
    found = widest(
        itertools.islice(_choices(proposals), _JUDGED),
        lambda choice: choice,
        lambda choice, lengths: judged_right(problem, proposals, choice, lengths),
    )
    if found is None:
        return (), None
    choice, made = found
    dear = sorted((k for k, e in enumerate(choice) if e is not None), key=lambda k: -choice[k].cost)  # type: ignore[union-attr]
    for k in dear if len(dear) > 1 else ():  # a line that may stay as it is has not to be changed
        fewer = (*choice[:k], None, *choice[k + 1 :])
        if any(fewer) and (less := judged_right(problem, proposals, fewer)) is not None:
            choice, made = fewer, less
    source, kind = made
    return tuple(repairs_of(proposals, choice, kind)), source


_TELLING = 8  # points at which a repair is tried before it is judged
_FOR_YOUR = "right for your"
_WHOLE = re.compile(r"(?<![\w.])(?:[2-9]|[1-9]\d+)(?![\w.])")
_SIZED = re.compile(r"\.(?:shape|size|numel)\b|\blen\(")


Choice = TypeVar("Choice")


def widest(
    choices: Iterable[Choice],
    edits_of: Callable[[Choice], Sequence[Edit | None]],
    judge: Callable[[Choice, bool], tuple[str, str] | None],
) -> tuple[Choice, tuple[str, str]] | None:
    """The first choice of edits that is right for all data, with the code and the verdict; where none is, the first
    that is right for the given data or lengths.

    ``judge`` is asked for a choice and whether it is to be right at other lengths of the axes too: that is asked of an
    edit that brings in a length, which may be a 3 by chance, or a number, which may be a length.
    """
    narrow: list[tuple[Choice, tuple[str, str] | None]] = []
    for choice in choices:
        lengths = any(_may_be_a_length(e) for e in edits_of(choice) if e)
        made = judge(choice, lengths)
        if made is not None and not made[1].startswith(_FOR_YOUR):
            return choice, made
        if lengths or made is not None:
            narrow.append((choice, made))
    for choice, made in narrow:
        if made is not None:
            return choice, made
        if (made := judge(choice, False)) is not None:
            return choice, (made[0], made[1] if made[1].startswith(_FOR_YOUR) else f"{_FOR_YOUR} sizes only")
    return None


def _may_be_a_length(e: Edit) -> bool:
    numbers = set(_WHOLE.findall(e.after)) ^ set(_WHOLE.findall(e.before))
    return bool(numbers) or e.of == "size" or len(_SIZED.findall(e.after)) > len(_SIZED.findall(e.before))


def judged_right(
    problem: Problem, proposals: Sequence[Proposal], choice: Sequence[Edit | None], lengths: bool = False
) -> tuple[str, str] | None:
    """The user's code with edits made and the verdict on it, if that is right, and what was right beside it still is;
    with ``lengths``, at others too."""
    try:
        made = rewritten(problem, proposals, choice)
    except SymgradError:  # the edited code fails where it is run
        return None
    kind = "undecided" if made is None else judged(problem, made[0], lengths)
    if made is None or kind in ("undecided", "refuted") or _spoils(problem, [*repairs_of(proposals, choice, kind)]):
        return None
    return made[1], kind


def _spoils(problem: Problem, repairs: Sequence[Repair]) -> bool:
    """Whether another question about the same code, of which nothing is wrong, is answered wrongly with repairs."""
    for other in problem.beside:
        try:
            made = _with_repairs(other, repairs)
            if made is not None and judged(other, made[0]) == "refuted":
                return True
        except SymgradError:  # the code fails for it
            return True
    return False


def _choices(proposals: Sequence[Proposal]) -> Iterator[tuple[Edit | None, ...]]:
    """One edit for each line: the best of all, then one line's next best at a time, then the rest by their ranks."""
    offered = [p.edits[:_OFFERED] or (None,) for p in proposals]
    ranks = sorted(
        itertools.islice(itertools.product(*(range(len(o)) for o in offered)), 4000), key=lambda r: (sum(r), max(r))
    )
    for r in ranks:
        yield tuple(o[k] for o, k in zip(offered, r, strict=True))


def judged(problem: Problem, hand: Formula, lengths: bool = False) -> str:
    """The worst verdict on another hand side; of one that is right for the data given alone, which these are.  With
    ``lengths`` it is refuted where it is at other lengths of the axes, though these have no names."""
    try:
        asked = replace(problem, hand=hand, points=min(problem.points, 12), first=None, unreached="accept", shown=False)
        asked = replace(asked, effort=_SHARE * problem.effort)
        if _differs_where_asked_first(asked):
            return "refuted"
        found = decide(asked)
    except SymgradError:
        return "undecided"
    kinds = {v.kind for v in found.verdicts.values()}
    refuted = {v.only for v in found.verdicts.values() if isinstance(v, Refuted)}
    only = refuted | {v.only for v in found.verdicts.values() if isinstance(v, Agrees)} - {None}
    if only and None not in refuted:
        return f"{_FOR_YOUR} {' and '.join(sorted(map(str, only)))} only"
    if kinds <= {"proved", "agrees"} and not holds_at_other_sizes(problem, hand, found.own if lengths else None):
        return "refuted"
    if kinds <= {"proved", "agrees"} and (narrow := _only_if_symmetric(asked)):
        return f"{_FOR_YOUR} symmetric {' and '.join(narrow)} only"
    return next((k for k in ("refuted", "undecided", "agrees") if k in kinds), "proved")


def telling_points(problem: Problem, findings: Findings) -> tuple[Mapping[str, Any], ...]:
    """Points off every edge, with the data as they were given, at which a wrong hand side is soon found out where code
    has branches: one of each, those that were refuted first."""
    own, free = problem.inputs.point, problem.inputs.free
    kept = [n for n in own if n not in free]
    clear = [
        (branch, seen)
        for branch, seen in inside_looks(findings)
        if not seen.ties and all(np.array_equal(seen.point[n], own[n]) for n in kept)
    ]
    of_branches = {id(branch): seen for branch, seen in reversed(clear)}
    differing = {k: seen for k, seen in of_branches.items() if any(v.state == "differs" for v in seen.views.values())}
    return tuple(seen.point for seen in (differing | of_branches).values())[:_TELLING] if len(of_branches) > 1 else ()


def _differs_where_asked_first(asked: Problem) -> bool:
    """Whether the hand side is refuted at one of the points at which it is tried at first."""
    known: list[Branch] = []
    for point in asked.asked_first:
        try:
            branch, seen = comparison_at(asked, point, known)
        except SymgradError:  # it has no value there
            continue
        known.append(branch)
        if not seen.ties and any(v.state == "differs" for v in seen.views.values()):
            return True
    return False


def _only_if_symmetric(asked: Problem) -> list[str]:
    """The symmetric matrices that were given, where what is right with them is refuted with others in their place."""
    rng, point, names = np.random.default_rng((asked.seed, 13)), dict(asked.inputs.point), []
    for name, v in asked.inputs.point.items():
        square = isinstance(v, np.ndarray) and v.ndim == 2 and v.shape[0] == v.shape[1] and v.dtype.kind == "f"
        if square and name not in asked.wrt and np.array_equal(v, v.T) and np.count_nonzero(v) > len(v):
            point[name] = v * (1 + 0.2 * rng.uniform(0.2, 1, v.shape))
            names.append(name)
    if not names:
        return []
    try:
        found = decide(replace(asked, inputs=replace(asked.inputs, point=point)))
    except SymgradError:  # the code asks for what is symmetric
        return []
    return names if any(isinstance(v, Refuted) for v in found.verdicts.values()) else []


def repairs_of(proposals: Sequence[Proposal], choice: Sequence[Edit | None], kind: str) -> Iterator[Repair]:
    """What the edits are, in words, once the code with them made was judged so."""
    alone = f" It is then {kind}." if kind.startswith(_FOR_YOUR) else ""
    for p, e in zip(proposals, choice, strict=True):
        if e is None:
            continue
        whole = e.kind in KINDS
        old, new = (e.before, e.after) if whole or e.kind == "name" else changed(p.text, e.text)
        family, operand = (e.kind, "") if whole else classified(old, new, e.kind)
        why = explain(Slip(p.name, replace(e, kind=family), old, new, p.scene, operand)) + alone
        site = None if p.scene is None else p.scene.site
        span, file = (None, None) if site is None else ((site.expression.start, site.expression.end), site.unit.file)
        before, after, proved = p.text, e.text, kind == "proved"
        formula = p.site[0].formula
        if isinstance(formula, Latex) and (made := typeset_edit(formula, e.text)) is not None:
            before, after, (old, new) = typeset_side(formula), typeset_side(made[0]), made[1]
        within = None if site is None or before != p.text else line_around(site.unit, site.expression)
        yield Repair(p.name, p.line, before, after, why, proved, family, (old, new), span, e.cost, file, within)


# ------------------------------------------------------------------------------------------------ leaves


def _branch_of(findings: Findings, program: Any) -> Branch:
    """The branch that a diagnosis was made in: its steps are where the diagnosis's begin."""
    for branch in findings.branches:
        n = len(branch.program.steps)
        if n <= len(program.steps) and all(
            a is b for a, b in zip(branch.program.steps[:n:7], program.steps[:n:7], strict=True)
        ):
            return branch
    return findings.own


def _by_leaf(problem: Problem, faults: Sequence[Any]) -> list[tuple[Leaf, Code | None, list[Any]]]:
    """The faults of each formula: by the file and line they stand on, else by the name they are for."""
    found = [(leaf, code_of(leaf.formula)) for leaf in leaves(problem.hand)]
    groups: list[tuple[Leaf, Code | None, list[Any]]] = [(leaf, code, []) for leaf, code in found]
    for fault in faults:
        k = next((k for k, (leaf, code) in enumerate(found) if _stands_in(fault, leaf, code)), None)
        if k is None:
            other = None if len(found) > 1 else 0
            k = next((k for k, (leaf, _) in enumerate(found) if leaf.key == fault.name), other)
        if k is not None:
            groups[k][2].append(fault)
    return [g for g in groups if g[2]]


def _stands_in(fault: Any, leaf: Leaf, code: Code | None) -> bool:
    source = source_of(fault)
    if source is None or code is None:
        return False
    return any(u.covers(source) for u in code.units) and (leaf.key is None or not _twins(fault, leaf))


def _twins(fault: Any, leaf: Leaf) -> bool:
    """Whether the leaf is for another input than the one that an unnamed fault is for."""
    return not fault.bindings and leaf.key is not None and leaf.key != fault.name


# ------------------------------------------------------------------------------------------------------- joint repairs
# One text for the repairs of several questions about the same code: a script's derivations, a backward and a jvp.


@dataclass(frozen=True, eq=False)
class Mended:
    """A question, the repairs of its wrong lines, and its code with them made."""

    problem: Problem
    repairs: tuple[Repair, ...] = ()
    source: str | None = None


def mend_together(parts: Sequence[Mended]) -> tuple[tuple[Repair, ...], str | None]:
    """The repairs of all questions, in order, and the code with all of them made, where each question is then right;
    else those of the first question that has any."""
    mended = [p for p in parts if p.source is not None]
    if len(mended) < 2:
        return next(((p.repairs, p.source) for p in mended), ((), None))
    found: dict[tuple[int | None, tuple[int, int] | None], Repair] = {}
    for part in mended:
        for one in part.repairs:
            found.setdefault((one.line, one.span), one)
    try:
        made = [_with_repairs(p.problem, [*found.values()]) for p in mended]
        kinds = {"undecided" if m is None else judged(p.problem, m[0]) for p, m in zip(mended, made, strict=True)}
    except SymgradError:  # the code with all the edits fails where it is run
        return mended[0].repairs, mended[0].source
    if not kinds <= {"proved", "agrees"} or made[0] is None:
        return mended[0].repairs, mended[0].source
    order = sorted(found.values(), key=lambda one: (one.line or 0, one.span or (0, 0)))
    return tuple(replace(one, proved=kinds == {"proved"}) for one in order), made[0][1]


def _with_repairs(problem: Problem, repairs: Sequence[Repair]) -> tuple[Formula, str] | None:
    """The hand side with all repairs made in its code, and its text; None where one of them stands nowhere in it."""
    for leaf in leaves(problem.hand):
        code = code_of(leaf.formula)
        if code is None:
            continue
        edits: dict[Unit, list[tuple[int, int, str]]] = {}
        for one in repairs:
            unit = _unit_of(code, one)
            if unit is None or one.span is None:
                return None
            edits.setdefault(unit, []).append((*one.span, one.after))
        made = code.edited({unit: edited(unit.text, spans) for unit, spans in edits.items()})
        return None if made is None else (swapped(problem.hand, leaf.formula, made[0]), made[1])
    return None


def _unit_of(code: Code, repair: Repair) -> Unit | None:
    """The unit whose text holds what a repair replaces, at its place and on its line."""
    for unit in code.units:
        start, end = repair.span or (0, 0)
        line = unit.first + unit.text.count("\n", 0, start)
        if unit.text[start:end] == repair.before and repair.line in (None, line):
            return unit
    return None
