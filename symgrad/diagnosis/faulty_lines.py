"""The faulty lines of a function: where they stand, what they see, and the edits that put them right by value."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from symgrad.checking.comparison import Branch
from symgrad.checking.judge import Findings, Problem
from symgrad.diagnosis.bench import Bench, Edit, bench_of
from symgrad.diagnosis.candidates import atoms_in, functions_of
from symgrad.diagnosis.code import Code
from symgrad.diagnosis.derivative_text import spell_truth
from symgrad.diagnosis.edits import search
from symgrad.diagnosis.hand_parts import Leaf, Proposal, hand_bindings, leaves, points_for, source_of
from symgrad.diagnosis.scope import Scene, Site, look_around
from symgrad.diagnosis.source_positions import Unit, expression_of, statement_at
from symgrad.errors import SymgradError
from symgrad.program.program import Binding

__all__ = ["proposed"]


def proposed(
    problem: Problem,
    findings: Findings,
    branch: Branch,
    diagnosis: Any,
    leaf: Leaf,
    code: Code,
    faults: Sequence[Any],
) -> list[Proposal]:
    bindings = hand_bindings(branch)
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
    units = code.units
    sites: dict[int, list[Site]] = {}
    lines: dict[int, int | None] = {}
    for fault in faults:
        site = _site(code.returned or problem.wrt, units, fault, bindings, at, first)
        if site is None:
            continue
        k = next(i for i, u in enumerate(units) if u is site.unit)
        sites.setdefault(k, []).append(site)
        source = source_of(fault)
        lines[id(site)] = source.line if source is not None else None
    points, plain = points_for(problem, findings, branch)
    called = getattr(problem.hand, "keys", {})
    exact = {p.name: p.exact for p in branch.pairs if p.hand is not None}
    outputs = _outputs(problem, leaf)
    finals = {o: exact[called.get(o, o)] for o in outputs if called.get(o, o) in exact and len(names) == 1}
    found: list[Proposal] = []
    for k, mine in sites.items():
        try:
            scenes = look_around(code, leaf.of, mine, diagnosis.program, truths, points, plain, problem.dtypes, finals)
        except SymgradError:
            continue
        for site, scene in zip(mine, scenes, strict=True):
            edits = _searched(site, scene, diagnosis.program, points, units[k])
            found.append(Proposal(site.name, lines[id(site)], (leaf, site), site.expression.text, edits, scene))
    return found


def _outputs(problem: Problem, leaf: Leaf) -> list[str]:
    """What the function's own outputs are called."""
    return [*getattr(problem.hand, "keys", {}), *problem.wrt]


def _inner(problem: Problem, leaf: Leaf) -> dict[str, Any]:
    return {
        o: problem.inputs.point[leaf.of.get(o, o)]
        for o in leaf.formula.names
        if leaf.of.get(o, o) in problem.inputs.point
    }


def _kinds(problem: Problem, leaf: Leaf) -> dict[str, str]:
    return {o: problem.dtypes[leaf.of.get(o, o)] for o in leaf.formula.names if leaf.of.get(o, o) in problem.dtypes}


def _site(
    returned: Sequence[str],
    units: Sequence[Unit],
    fault: Any,
    bindings: Sequence[Binding],
    at: Mapping[int, int],
    first: int,
) -> Site | None:
    source = source_of(fault)
    line = source.line if source is not None else None
    unit = next((u for u in units if source is not None and u.covers(source)), None)
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
    place = returned.index(fault.name) if fault.name in returned else 0
    expression = expression_of(unit, statement, name, place) if statement is not None or unit.is_lambda else None
    if expression is None:
        return None
    if not fault.bindings:
        return Site(unit, expression, fault.name, tuple((None, t) for t in list(fault.truths.values())[:1]), (0,))
    same_line = [b.step for b in bindings if b.name == name and b.source is not None and b.source.line == line]
    rounds, before = [], []
    for b in fault.bindings:
        known = b.step in fault.truths or len(fault.bindings) == len(same_line) == 1
        if known and b.step in at and b.step in same_line:
            rounds.append((at[b.step], fault.truths.get(b.step)))
            before.append(same_line.index(b.step))
    return Site(unit, expression, name, tuple(rounds), tuple(before)) if rounds else None


def _searched(site: Site, scene: Scene, program: Any, points: Sequence[Any], unit: Unit) -> tuple[Edit, ...]:
    bench = bench_of(scene)
    if bench is None:
        return ()
    visible = _visible(bench, scene)
    atoms = atoms_in(bench, visible, site.expression.tree, unit.node, site.name)
    functions = list(functions_of(bench, atoms))
    first = site.rounds[0][1]
    samples = [k for k, truth in enumerate(scene.truths) if truth == first]
    whole, pieces = None, []
    if site.expression.op is None and samples and first is not None:
        try:
            whole, pieces = spell_truth(
                bench, program, first, [points[scene.points[k]] for k in samples], samples, visible, atoms
            )
        except (RuntimeError, ValueError):
            whole, pieces = None, []
    with warnings.catch_warnings():  # of the candidates' doing
        warnings.simplefilter("ignore")
        return tuple(search(site.expression.text, bench, atoms, functions, pieces, whole))


def _visible(bench: Bench, scene: Scene) -> dict[str, Any]:
    shown = dict(scene.envs[0])
    unit = scene.site.unit
    names = {n.id for n in ast.walk(unit.node) if isinstance(n, ast.Name)}
    for name in names:
        if name in bench.scopes[0] and name not in shown:
            shown[name] = bench.scopes[0][name]
    return shown
