"""The faulty lines of a function: where they stand, what they see, and the edits that put them right by value."""

from __future__ import annotations

import ast
import functools
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from symgrad.checking.comparison import Branch
from symgrad.checking.exploration import Findings
from symgrad.diagnosis.bench import Bench, Edit, as_array, bench_of, same
from symgrad.diagnosis.candidates import Atom, atoms_in
from symgrad.diagnosis.derivative_text import spell_truth
from symgrad.diagnosis.edits import PLAIN, search
from symgrad.diagnosis.hand_parts import Leaf, Proposal, hand_bindings, leaves, points_for, source_of
from symgrad.diagnosis.scope import Scene, Site, look_around, values_at
from symgrad.diagnosis.source_code import Code, Unit, code_of, expression_of, statement_at
from symgrad.diagnosis.typeset_edits import parsed, plain_side
from symgrad.errors import SymgradError
from symgrad.lifting.formulas import Symbolic
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.text.text_formula import Text
from symgrad.problem.question import Problem
from symgrad.program.expressions import Expression
from symgrad.program.program import Binding

# ------------------------------------------------------------------------------------------------------- whole formula
# Whole formulas with no steps, typed as text or given as SymPy: the same search on one expression.
#
# The steps that the formula does not have are made from its function applications and from the model's, so that
# ``tanh(w*x)`` is something that an edit can put in.  Text is never run as code.


_LARGE = 1 << 12  # entries of an array beyond which a typed formula's edits are not computed by the hundreds


def propose_whole(
    problem: Problem, findings: Findings, branch: Branch, diagnosis: Any, leaf: Leaf, faults: Sequence[Any]
) -> list[Proposal]:
    """The edits of a formula that make it right by value."""
    text = formula_text(leaf.formula)
    if text is None:
        return []
    found = []
    for fault in faults[:1]:
        truth = next(iter(fault.truths.values()))
        points, plain = points_for(problem, findings, branch)
        goals = [values_at(diagnosis.program, [truth], p)[truth].numpy() for p in points]
        scopes = [{n: np.asarray(p[leaf.of.get(n, n)], float)[()] for n in _inputs(problem)} for p in points]
        if max(map(np.size, (*goals, *scopes[0].values()))) > _LARGE:
            continue
        kept = [k for k, g in enumerate(goals) if np.isfinite(g).all()]
        bench = Bench([scopes[k] for k in kept], [goals[k] for k in kept], sum(k < plain for k in kept), True)
        if not (any(map(np.ndim, scopes[0].values())) or bench.lay_side_by_side(text)) or not _says(
            bench, text, branch, leaf, faults, [points[k] for k in kept]
        ):
            continue
        names = dict(bench.scopes[0])
        tree = ast.parse(f"({text}\n)", mode="eval").body
        atoms = [*atoms_in(bench, names, tree, (), ""), *_applications(problem, bench, tree)]
        samples = list(range(len(kept)))
        there = [points[k] for k in kept]
        spelled = functools.partial(spell_truth, bench, diagnosis.program, truth, there, samples, names, atoms)
        look = functools.partial(search, text, bench, atoms, spelled)
        name = next((p.name for p in branch.pairs if p.hand in fault.truths), fault.name)
        larger = lambda look=look: tuple(look())  # noqa: E731
        found.append(Proposal(name, None, (leaf, None), text, tuple(look(PLAIN)), None, larger))
    return found


def _says(bench: Bench, text: str, branch: Branch, leaf: Leaf, faults: Sequence[Any], points: Sequence[Any]) -> bool:
    """Whether the text gives what the formula gives: SymPy was printed, and may have been printed wrongly."""
    hand = next(iter(faults[0].truths))
    try:
        said = bench.values(text)
    except Exception:  # words that are not read here: of entries, of choices
        return False
    own = [values_at(branch.program, [hand], p)[hand].numpy() for p in points]
    return all(same(as_array(a), b) for a, b in zip(said, own, strict=True))


def _inputs(problem: Problem) -> list[str]:
    return [n for n, v in problem.inputs.point.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]


def _applications(problem: Problem, bench: Bench, hand: ast.expr) -> Iterator[Atom]:
    """The function applications of the formula and of the model, their arguments, and the tree's other small parts."""
    model = parsed(formula_text(problem.model) or "")
    trees = [hand] + ([model] if model is not None else [])
    seen: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            for part in (node, *node.args) if isinstance(node, ast.Call) else ():
                text = ast.unparse(part).replace(" ** ", "**")
                if text in seen or isinstance(part, (ast.Name, ast.Constant)):
                    continue
                seen.add(text)
                try:
                    yield Atom(text, bench.values(text), 1.05 + 0.01 * len(text), "written")
                except Exception:
                    continue


class _Printer(PythonCodePrinter):
    """SymPy in the grammar of `Text`: plain function names, rationals as quotients."""

    def __init__(self) -> None:
        super().__init__({"fully_qualified_modules": False, "allow_unknown_functions": True})

    def _print_Function(self, expr: Any) -> str:
        return f"{expr.func.__name__}({', '.join(self._print(a) for a in expr.args)})"

    _print_tanh = _print_exp = _print_log = _print_sin = _print_cos = _print_sinh = _print_cosh = _print_Function

    def _print_Pi(self, expr: Any) -> str:
        return "pi"

    def _print_Exp1(self, expr: Any) -> str:
        return "exp(1)"


def formula_text(formula: Any) -> str | None:
    """The formula as text that `Text` reads; None where it has none."""
    if isinstance(formula, Latex):
        return plain_side(formula)
    source = formula.source if isinstance(formula, Symbolic) else None
    if isinstance(source, Text):
        return source.text
    if not isinstance(source, Expression) or not isinstance(source.formula, sp.Expr):
        return None
    try:
        return str(_Printer().doprint(source.formula))
    except (ValueError, TypeError, NotImplementedError):
        return None


# -------------------------------------------------------------------------------------------------------- faulty lines


def proposed(
    problem: Problem, findings: Findings, branch: Branch, diagnosis: Any, leaf: Leaf, code: Code, faults: Sequence[Any]
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
        site = _site(code.returned or problem.wrt, units, fault, bindings, code.bindings or bindings, at, first)
        if site is None:
            continue
        k = next(i for i, u in enumerate(units) if u is site.unit)
        sites.setdefault(k, []).append(site)
        source = source_of(fault)
        statement = site.expression.statement
        there = None if statement is None else site.unit.first + statement.lineno - 1
        lines[id(site)] = source.line if source is not None else there
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
            look = _search_of(site, scene, diagnosis.program, points, trees_beside(units[k], code, problem.model))
            small, larger = ((), None) if look is None else (look(PLAIN), functools.partial(look, math.inf))
            text = site.expression.text
            found.append(Proposal(site.name, lines[id(site)], (leaf, site), text, small, scene, larger))
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
    ran: Sequence[Binding],
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
    times = [b.version for b in ran if b.name == name and b.source is not None and b.source.line == line]
    rounds, before = [], []
    for b in fault.bindings:
        known = b.step in fault.truths or len(fault.bindings) == len(same_line) == 1
        if known and b.step in at and b.step in same_line:
            rounds.append((at[b.step], fault.truths.get(b.step)))
            before.append(times.index(b.version) if b.version in times else same_line.index(b.step))
    return Site(unit, expression, name, tuple(rounds), tuple(before)) if rounds else None


def _search_of(
    site: Site, scene: Scene, program: Any, points: Sequence[Any], trees: Sequence[ast.AST]
) -> Callable[[float], tuple[Edit, ...]] | None:
    """The search for edits of a line, by what they cost at most; None where it cannot be computed by itself."""
    bench = bench_of(scene)
    if bench is None:
        return None
    visible = visible_in(bench, scene)
    atoms = atoms_in(bench, visible, site.expression.tree, trees, site.name)
    first = site.rounds[0][1]
    samples = [k for k, truth in enumerate(scene.truths) if truth == first]
    spelled = None
    if site.expression.op is None and samples and first is not None:
        there = [points[scene.points[k]] for k in samples]
        spelled = functools.partial(spell_truth, bench, program, first, there, samples, visible, atoms)
    text = site.expression.text

    def look(most: float) -> tuple[Edit, ...]:
        with warnings.catch_warnings():  # of the candidates' doing
            warnings.simplefilter("ignore")
            edits = search(text, bench, atoms, spelled, most)
        dear = (replace(e, cost=e.cost + WASTE * wastes(site.unit, text, e.text)) for e in edits)
        return tuple(sorted(dear, key=lambda e: e.cost))

    return look


WASTE = 0.8  # what it costs to leave a line of the user's without use


def wastes(unit: Unit, old: str, new: str) -> bool:
    """Whether another text in a place leaves a line without use: that line is rather the one to be mended."""
    stored, loaded = _names_in(unit)
    before, after = _loads(old), _loads(new)
    return any(before[name] > after[name] == 0 and loaded[name] == before[name] for name in stored & set(before))


@functools.lru_cache(64)
def _names_in(unit: Unit) -> tuple[frozenset[str], Counter[str]]:
    """The names that a unit assigns to, and how often it uses each."""
    names = [n for n in ast.walk(unit.node) if isinstance(n, ast.Name)]
    stored = frozenset(n.id for n in names if isinstance(n.ctx, ast.Store))
    return stored, Counter(n.id for n in names if isinstance(n.ctx, ast.Load))


@functools.lru_cache(8192)
def _loads(text: str) -> Counter[str]:
    try:
        tree = ast.parse(f"({text}\n)")
    except SyntaxError:  # a slice
        return Counter()
    return Counter(n.id for n in ast.walk(tree) if isinstance(n, ast.Name))


def trees_beside(unit: Unit, code: Code, model: Any) -> list[ast.AST]:
    """The pieces of code that a line's remedy may take expressions from: its own, the other units, the model's."""
    beside = code_of(model)
    others = [*code.units, *(beside.units if beside is not None else ())]
    return [unit.node, *(u.node for u in others if u.node is not unit.node)]


def visible_in(bench: Bench, scene: Scene, trees: Sequence[ast.AST] = ()) -> dict[str, Any]:
    """The variables that a line sees, and those around it that its function uses, or other pieces of code."""
    shown = dict(scene.envs[0])
    nodes = [n for tree in (scene.site.unit.node, *trees) for n in ast.walk(tree)]
    for name in {n.id: None for n in nodes if isinstance(n, ast.Name)}:
        if name in bench.scopes[0] and name not in shown:
            shown[name] = bench.scopes[0][name]
    return shown
