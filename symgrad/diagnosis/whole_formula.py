"""Whole formulas with no steps, typed as text or given as SymPy: the same search on one expression.

The steps that the formula does not have are made from its function applications and from the model's, so that
``tanh(w*x)`` is something that an edit can put in.  Text is never run as code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from symgrad.checking.comparison import Branch
from symgrad.checking.judge import Findings, Problem
from symgrad.diagnosis.bench import Bench, same
from symgrad.diagnosis.candidates import Atom, atoms_in, functions_of
from symgrad.diagnosis.derivative_text import spell_truth
from symgrad.diagnosis.edits import search
from symgrad.diagnosis.hand_parts import Leaf, Proposal, points_for
from symgrad.diagnosis.scope import values_at
from symgrad.lifting.formulas import Symbolic
from symgrad.lifting.text.text_formula import Text
from symgrad.program.expressions import Expression

__all__ = ["formula_text", "propose_whole"]


def propose_whole(
    problem: Problem, findings: Findings, branch: Branch, diagnosis: Any, leaf: Leaf, faults: Sequence[Any]
) -> list[Proposal]:
    """The edits of a formula that make it right by value."""
    if not isinstance(leaf.formula, Symbolic):
        return []
    text = formula_text(leaf.formula)
    if text is None:
        return []
    found = []
    for fault in faults[:1]:
        truth = next(iter(fault.truths.values()))
        points, plain = points_for(problem, findings, branch)
        if diagnosis.program.shape(truth):
            continue
        goals = [values_at(diagnosis.program, [truth], p)[truth].numpy() for p in points]
        scopes = [{n: np.float64(p[leaf.of.get(n, n)]) for n in _inputs(problem)} for p in points]
        kept = [k for k, g in enumerate(goals) if np.isfinite(g).all()]
        bench = Bench([scopes[k] for k in kept], [goals[k] for k in kept], sum(k < plain for k in kept), True)
        if not bench.lay_side_by_side(text) or not _says(bench, text, branch, leaf, faults, [points[k] for k in kept]):
            continue
        names = dict(bench.scopes[0])
        tree = ast.parse(f"({text}\n)", mode="eval").body
        atoms = [*atoms_in(bench, names, tree, None, ""), *_applications(problem, bench, tree)]
        samples = list(range(len(kept)))
        try:
            whole, pieces = spell_truth(
                bench, diagnosis.program, truth, [points[k] for k in kept], samples, names, atoms
            )
        except (RuntimeError, ValueError):
            whole, pieces = None, []
        edits = search(text, bench, atoms, list(functions_of(bench, atoms)), pieces, whole)
        name = next((p.name for p in branch.pairs if p.hand in fault.truths), fault.name)
        found.append(Proposal(name, None, (leaf, None), text, tuple(edits), None))
    return found


def _says(bench: Bench, text: str, branch: Branch, leaf: Leaf, faults: Sequence[Any], points: Sequence[Any]) -> bool:
    """Whether the text gives what the formula gives: SymPy was printed, and may have been printed wrongly."""
    hand = next(iter(faults[0].truths))
    own = np.array([float(values_at(branch.program, [hand], p)[hand]) for p in points])
    return same(np.asarray(bench.values(text)), own)


def _inputs(problem: Problem) -> list[str]:
    return [
        n for n, v in problem.inputs.point.items() if isinstance(v, np.ndarray) and not v.ndim and v.dtype.kind == "f"
    ]


def _applications(problem: Problem, bench: Bench, hand: ast.expr) -> Iterator[Atom]:
    """The function applications of the formula and of the model, their arguments, and the tree's other small parts."""
    model = formula_text(problem.model) if isinstance(problem.model, Symbolic) else None
    trees = [hand] + ([ast.parse(f"({model}\n)", mode="eval").body] if model else [])
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


def formula_text(formula: Symbolic) -> str | None:
    """The formula as text that `Text` reads; None where it has none."""
    source = formula.source
    if isinstance(source, Text):
        return source.text
    if not isinstance(source, Expression) or not isinstance(source.formula, sp.Expr):
        return None
    try:
        return str(_Printer().doprint(source.formula))
    except (ValueError, TypeError, NotImplementedError):
        return None
