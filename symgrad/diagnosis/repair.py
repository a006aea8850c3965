"""What to write instead: small edits of the faulty lines, kept when the whole repaired derivation is judged right.

A line is searched with everything it uses replaced by the truth, so that each faulty line is repaired by itself.  What
fits by value is only a candidate: the user's code with all repairs made is lifted again and goes through the same
pipeline as any other; it is proved, or it agrees, or it is not offered.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.comparison import Branch
from symgrad.diagnosis.atoms import atoms_in, functions_of, spell_truth
from symgrad.diagnosis.bench import Bench, bench_of
from symgrad.diagnosis.difference import changed, classified
from symgrad.diagnosis.edits import Edit, search
from symgrad.diagnosis.mistakes import Slip, explain
from symgrad.diagnosis.places import (
    Unit,
    edited,
    expression_of,
    function_unit,
    rebuild,
    statement_at,
)
from symgrad.diagnosis.scope import Scene, Site, look_around, rebuild_caller, unwrapped_unit
from symgrad.errors import SymgradError
from symgrad.judging import Findings, Problem, judge
from symgrad.lifting.formulas import Formula, Renamed, Several
from symgrad.lifting.functions import Function
from symgrad.program import Binding
from symgrad.sampling import neighbours

__all__ = ["Leaf", "Proposal", "Repair", "leaves", "points_for", "repair", "swapped"]

_POINTS = 3
_MOVED = 2
_JUDGED = 8  # repaired derivations that are judged before giving up
_OFFERED = 5  # edits of a line that are kept for that


@dataclass(frozen=True, eq=False)
class Repair:
    """One line put right.

    ``before`` and ``after`` are the line's expression; ``edit`` is the smallest part that changed, as (old, new);
    ``why`` explains the slip; ``proved`` says that the derivation with all repairs made is proved, otherwise it
    agrees at every point looked at; ``kind`` names the family of the edit, "formula" where the line was written anew.
    """

    step: str
    line: int | None
    before: str
    after: str
    why: str
    proved: bool
    kind: str
    edit: tuple[str, str]


@dataclass(frozen=True, eq=False)
class Leaf:
    """One formula of the hand side: its place in a mapping, and its input names (its own -> outside)."""

    key: str | None
    formula: Any
    of: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Proposal:
    """A faulty expression and the edits that fit, best first; ``make`` says how the hand side is written with one."""

    name: str
    line: int | None
    site: Any
    text: str
    edits: tuple[Edit, ...]
    scene: Scene | None


def repair(problem: Problem, findings: Findings, diagnosis: Any) -> tuple[tuple[Repair, ...], str | None]:
    """The repairs of all faulty lines, in their order, and the user's code with them made.

    ``diagnosis`` has ``program`` (the branch's Program and more steps) and ``faults``, each with the ``bindings`` that
    are wrong and ``truths``: for each of their steps the step that holds what it should be.  Returns no repairs and
    None where none was found, or where the source cannot be read.

    Guarantee: a repair that is ``proved`` belongs to a derivation that `judge` has proved as a whole; one that is not
    agreed at every point that was looked at, and with the residues.
    """
    from symgrad.diagnosis.whole import propose_whole, write_whole

    branch = _branch_of(findings, diagnosis.program)
    proposals: list[Proposal] = []
    for leaf, faults in _by_leaf(problem, branch, diagnosis.faults):
        if isinstance(leaf.formula, Function):
            proposals += _proposed(problem, findings, branch, diagnosis, leaf, faults)
        else:
            proposals += propose_whole(problem, findings, branch, diagnosis, leaf, faults)
    if not any(p.edits for p in proposals):
        return (), None
    for choice in itertools.islice(_choices(proposals), _JUDGED):
        made = _made(problem, proposals, choice, write_whole)
        if made is None:
            continue
        hand, source = made
        kind = _judged(problem, hand)
        if kind in ("proved", "agrees"):
            return tuple(_repairs(proposals, choice, kind == "proved")), source
    return (), None


def _choices(proposals: Sequence[Proposal]) -> Iterator[tuple[Edit | None, ...]]:
    """One edit for each line: the best of all, then one line's next best at a time, then the rest by their ranks."""
    offered = [p.edits[:_OFFERED] or (None,) for p in proposals]
    ranks = sorted(
        itertools.islice(itertools.product(*(range(len(o)) for o in offered)), 4000),
        key=lambda r: (sum(r), max(r)),
    )
    for r in ranks:
        yield tuple(o[k] for o, k in zip(offered, r, strict=True))


def _judged(problem: Problem, hand: Formula) -> str:
    try:
        found = judge(replace(problem, hand=hand, points=min(problem.points, 12), first=None))
    except SymgradError:
        return "undecided"
    kinds = {v.kind for v in found.verdicts.values()}
    return next((k for k in ("refuted", "undecided", "agrees") if k in kinds), "proved")


def _repairs(proposals: Sequence[Proposal], choice: Sequence[Edit | None], proved: bool) -> Iterator[Repair]:
    for p, e in zip(proposals, choice, strict=True):
        if e is not None:
            old, new = changed(p.text, e.text)
            kind, operand = classified(old, new, e.kind)
            why = explain(Slip(p.name, replace(e, kind=kind), old, new, p.scene, operand))
            yield Repair(p.name, p.line, p.text, e.text, why, proved, kind, (old, new))


# ------------------------------------------------------------------------------------------------ leaves


def leaves(formula: Any, key: str | None = None, of: Mapping[str, str] | None = None) -> list[Leaf]:
    """The formulas that a hand side is made of."""
    if isinstance(formula, Renamed):
        inner = dict(formula.of)
        if of:
            inner = {own: of.get(out, out) for own, out in inner.items()} | {
                o: x for o, x in of.items() if o not in inner.values()
            }
        return leaves(formula.formula, key, inner)
    if isinstance(formula, Several):
        return [leaf for k, part in formula.parts.items() for leaf in leaves(part, k, of)]
    if hasattr(formula, "keys") and hasattr(formula, "formula"):
        found = leaves(formula.formula, key, of)
        return [replace(f, key=formula.keys.get(f.key, f.key)) if f.key is not None else f for f in found]
    return [Leaf(key, formula, of or {})]


def swapped(formula: Any, old: Any, new: Any) -> Any:
    """The hand side with one of its formulas replaced."""
    if formula is old:
        return new
    if isinstance(formula, Renamed):
        return replace(formula, formula=swapped(formula.formula, old, new))
    if isinstance(formula, Several):
        return replace(formula, parts={k: swapped(p, old, new) for k, p in formula.parts.items()})
    if hasattr(formula, "keys") and hasattr(formula, "formula"):
        return type(formula)(swapped(formula.formula, old, new), formula.keys)
    return formula


def _branch_of(findings: Findings, program: Any) -> Branch:
    """The branch that a diagnosis was made in: its steps are where the diagnosis's begin."""
    for branch in findings.branches:
        n = len(branch.program.steps)
        if n <= len(program.steps) and all(
            a is b for a, b in zip(branch.program.steps[:n:7], program.steps[:n:7], strict=True)
        ):
            return branch
    return findings.own


def _hand_bindings(branch: Branch) -> list[Binding]:
    return list(branch.program.bindings[len(branch.model_run.program.bindings) :])


def _by_leaf(problem: Problem, branch: Branch, faults: Sequence[Any]) -> list[tuple[Leaf, list[Any]]]:
    """The faults of each formula: by the file and line they stand on, else by the name they are for."""
    found = leaves(problem.hand)
    groups: list[tuple[Leaf, list[Any]]] = [(leaf, []) for leaf in found]
    for fault in faults:
        k = next((k for k, leaf in enumerate(found) if _stands_in(fault, leaf)), None)
        if k is None:
            k = next((k for k, leaf in enumerate(found) if leaf.key == fault.name), None if len(found) > 1 else 0)
        if k is not None:
            groups[k][1].append(fault)
    return [g for g in groups if g[1]]


def _stands_in(fault: Any, leaf: Leaf) -> bool:
    source = _source(fault)
    if source is None or source.line is None or not isinstance(leaf.formula, Function):
        return False
    return any(_covers(u, source) for u in _units(leaf.formula)) and (leaf.key is None or not _twins(fault, leaf))


def _twins(fault: Any, leaf: Leaf) -> bool:
    """Whether the leaf is for another input than the one that an unnamed fault is for."""
    return not fault.bindings and leaf.key is not None and leaf.key != fault.name


def _source(fault: Any) -> Any:
    return fault.source or next((b.source for b in fault.bindings if b.source is not None), None)


def _units(function: Function) -> list[Unit]:
    """The function's own unit, and those of the helpers that it finds among its globals."""
    main = function_unit(function.function)
    if main is None:
        return []
    units = [main]
    names = {n.id for n in ast.walk(main.node) if isinstance(n, ast.Name)}
    for name in sorted(names):
        helper = main.function.__globals__.get(name)
        if callable(helper) and getattr(helper, "__code__", None) is not None and helper is not main.function:
            if helper.__code__.co_filename == main.file:
                unit = function_unit(helper)
                if unit is not None:
                    units.append(unit)
    return units


def _covers(unit: Unit, source: Any) -> bool:
    return source.file == unit.file and unit.first <= source.line < unit.first + unit.text.count("\n") + 1


# ------------------------------------------------------------------------------------------------ a function's lines


def points_for(problem: Problem, findings: Findings, branch: Branch) -> tuple[list[Mapping[str, Any]], int]:
    """Points of one branch to search at: first with the data as they are, then (to rank) with other data too."""
    points = [s.point for b, s in findings.looks if b is branch and not s.ties][:_POINTS]
    if len(points) < _POINTS and branch is findings.own and not findings.own_look.ties:
        points.append(problem.inputs.point)
    for near in neighbours(problem.inputs, 8 if len(points) < _POINTS else 0, problem.seed + 1):
        with contextlib.suppress(SymgradError):
            if problem.branch(near, [branch]) is branch:
                points.append(near)
    points = points[:_POINTS] or [problem.inputs.point]
    rng = np.random.default_rng((problem.seed, 6))
    moved = []
    for k in range(_MOVED):
        base = dict(points[k % len(points)])
        for name, value in base.items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in problem.inputs.free:
                base[name] = value * (1 + 0.3 * rng.uniform(0.2, 1, value.shape)) + 0.01 * (k + 1)
        moved.append(base)
    return [*points, *moved], len(points)


def _proposed(
    problem: Problem, findings: Findings, branch: Branch, diagnosis: Any, leaf: Leaf, faults: Sequence[Any]
) -> list[Proposal]:
    bindings = _hand_bindings(branch)
    names = [leaf_.key for leaf_ in leaves(problem.hand)]
    first = 0
    if len(names) > 1:  # the bindings of the formulas before this one
        for other in leaves(problem.hand):
            if other.formula is leaf.formula:
                break
            run = other.formula.run(_inner(problem, other), _kinds(problem, other))
            first += len(run.program.bindings)
    at = {b.step: k - first for k, b in enumerate(bindings)}
    truths = {at[s]: t for f in diagnosis.faults for s, t in f.truths.items() if at.get(s, -1) >= 0}
    units = _units(leaf.formula)
    sites: dict[int, list[Site]] = {}
    lines: dict[int, int | None] = {}
    for fault in faults:
        site = _site(problem, units, fault, bindings, at, first)
        if site is None:
            continue
        k = next(i for i, u in enumerate(units) if u is site.unit)
        sites.setdefault(k, []).append(site)
        source = _source(fault)
        lines[id(site)] = source.line if source is not None else None
    points, plain = points_for(problem, findings, branch)
    found: list[Proposal] = []
    for k, mine in sites.items():
        try:
            scenes = look_around(
                leaf.formula, leaf.of, mine, diagnosis.program, truths, points, plain, problem.dtypes
            )
        except SymgradError:
            continue
        for site, scene in zip(mine, scenes, strict=True):
            edits = _searched(site, scene, diagnosis.program, points, units[k])
            found.append(Proposal(site.name, lines[id(site)], (leaf, site), site.expression.text, edits, scene))
    return found


def _inner(problem: Problem, leaf: Leaf) -> dict[str, Any]:
    return {o: problem.inputs.point[leaf.of.get(o, o)] for o in leaf.formula.names if leaf.of.get(o, o) in problem.inputs.point}


def _kinds(problem: Problem, leaf: Leaf) -> dict[str, str]:
    return {o: problem.dtypes[leaf.of.get(o, o)] for o in leaf.formula.names if leaf.of.get(o, o) in problem.dtypes}


def _site(
    problem: Problem, units: Sequence[Unit], fault: Any, bindings: Sequence[Binding], at: Mapping[int, int], first: int
) -> Site | None:
    source = _source(fault)
    line = source.line if source is not None else None
    unit = next((u for u in units if source is not None and line is not None and _covers(u, source)), None)
    if unit is None:
        unit = units[0] if units and not fault.bindings else None
    if unit is None:
        return None
    if fault.bindings:
        name = fault.bindings[0].name
        statement = statement_at(unit, line, name)
    else:
        name = fault.name
        statement = statement_at(unit, line, name) if line is not None and not unit.is_lambda else None
        if statement is None and not unit.is_lambda:
            statement = next((s for s in reversed(list(ast.walk(unit.node))) if isinstance(s, ast.Return)), None)
    place = problem.wrt.index(fault.name) if fault.name in problem.wrt else 0
    expression = expression_of(unit, statement, name, place) if statement is not None or unit.is_lambda else None
    if expression is None:
        return None
    if not fault.bindings:
        return Site(unit, expression, fault.name, tuple((None, t) for t in list(fault.truths.values())[:1]), (0,))
    same_line = [b.step for b in bindings if b.name == name and b.source is not None and b.source.line == line]
    rounds, before = [], []
    for b in fault.bindings:
        if b.step in fault.truths and b.step in at and b.step in same_line:
            rounds.append((at[b.step], fault.truths[b.step]))
            before.append(same_line.index(b.step))
    return Site(unit, expression, name, tuple(rounds), tuple(before)) if rounds else None


def _searched(site: Site, scene: Scene, program: Any, points: Sequence[Any], unit: Unit) -> tuple[Edit, ...]:
    bench = bench_of(scene)
    if bench is None:
        return ()
    visible = _visible(bench, scene)
    atoms = atoms_in(bench, visible, site.expression.tree, unit.node, site.name)
    functions = list(functions_of(bench, atoms))
    rounds = len(scene.envs) // max(1, len(set(scene.points)))
    samples = [k for k in range(0, len(scene.envs), max(1, rounds))]
    whole, pieces = None, []
    if site.expression.op is None and site.rounds:
        try:
            whole, pieces = spell_truth(
                bench, program, site.rounds[0][1], [points[scene.points[k]] for k in samples], samples, visible, atoms
            )
        except (RuntimeError, ValueError):
            whole, pieces = None, []
    return tuple(search(site.expression.text, bench, atoms, functions, pieces, whole))


def _visible(bench: Bench, scene: Scene) -> dict[str, Any]:
    shown = dict(scene.envs[0])
    unit = scene.site.unit
    names = {n.id for n in ast.walk(unit.node) if isinstance(n, ast.Name)}
    for name in names:
        if name in bench.scopes[0] and name not in shown:
            shown[name] = bench.scopes[0][name]
    return shown


# ------------------------------------------------------------------------------------------------ writing it


def _made(
    problem: Problem, proposals: Sequence[Proposal], choice: Sequence[Edit | None], write_whole: Any
) -> tuple[Any, str] | None:
    """The hand side with one edit for each line, and its text."""
    hand, texts = problem.hand, []
    groups: dict[int, list[tuple[Proposal, Edit]]] = {}
    order: dict[int, Leaf] = {}
    for p, e in zip(proposals, choice, strict=True):
        leaf = p.site[0]
        order[id(leaf.formula)] = leaf
        if e is not None:
            groups.setdefault(id(leaf.formula), []).append((p, e))
    for key, pairs in groups.items():
        leaf = order[key]
        if not isinstance(leaf.formula, Function):
            new, text = write_whole(leaf, pairs[0][1])
        else:
            written = _rewritten(leaf, pairs)
            if written is None:
                return None
            new, text = written
        hand = swapped(hand, leaf.formula, new)
        texts.append((leaf, text))
    return hand, _source_text(problem, texts)


def _rewritten(leaf: Leaf, pairs: Sequence[tuple[Proposal, Edit]]) -> tuple[Function, str] | None:
    """A function, or helpers of it, with edits made."""
    by_unit: dict[int, tuple[Unit, list[tuple[int, int, str]]]] = {}
    for p, e in pairs:
        site: Site = p.site[1]
        _, spans = by_unit.setdefault(id(site.unit), (site.unit, []))
        new = (site.expression.start, site.expression.end, e.text)
        if new not in spans:
            spans.append(new)
    function: Function = leaf.formula
    texts: list[str] = []
    current = function
    for unit, spans in sorted(by_unit.values(), key=lambda pair: unwrapped_unit(function, pair[0])):
        text = edited(unit.text, spans)
        made = rebuild(unit.function, text)
        if made is None:
            return None
        if unwrapped_unit(function, unit):
            if current is not function:
                helpers = {u.function.__name__: current.function.__globals__[u.function.__name__] for u, _ in by_unit.values() if u is not unit}
                made = rebuild(unit.function, text, helpers)
        else:
            made = rebuild_caller(current, unit, made)
        if made is None:
            return None
        current = replace(current, function=made)
        texts.append(text)
    main = function_unit(function.function)
    if main is not None and all(u is not main and u.first != main.first for u, _ in by_unit.values()):
        texts.append(main.text)
    return current, "\n\n".join(t.rstrip("\n") + "\n" for t in texts) if len(texts) > 1 else texts[0]


def _source_text(problem: Problem, texts: Sequence[tuple[Leaf, str]]) -> str:
    all_leaves = leaves(problem.hand)
    if len(all_leaves) == 1 or len({id(f.formula) for f in all_leaves}) == 1:
        return texts[0][1]
    written = {id(leaf.formula): text for leaf, text in texts}
    parts = []
    for leaf in all_leaves:
        text = written.get(id(leaf.formula))
        if text is None:
            unit = function_unit(leaf.formula.function) if isinstance(leaf.formula, Function) else None
            text = unit.text if unit is not None else str(getattr(leaf.formula, "source", leaf.formula))
        is_code = isinstance(leaf.formula, Function)
        if is_code and not text.startswith("lambda"):
            return "\n\n".join(t for _, t in texts)
        parts.append(f"{leaf.key!r}: {text if is_code else repr(text)}")
    return "{" + ", ".join(parts) + "}"
