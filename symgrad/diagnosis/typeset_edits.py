"""Edits of a formula in LaTeX: they are looked for in its plain form, and written where its own LaTeX stands.

What an edit leaves as it was keeps the user's typing, down to the spaces; what it brings in is typeset.  What was
written is read again, and must say what the edit says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from symgrad.checking.results import StepFinding
from symgrad.checking.verdicts import Refuted, Verdict
from symgrad.diagnosis.hand_parts import leaves
from symgrad.errors import SymgradError
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.plain_form import plain
from symgrad.lifting.latex.token_reader import Node, parts
from symgrad.lifting.text.text_formula import Text
from symgrad.problem.question import Problem
from symgrad.program.program import Source

_NAMED = frozenset("sin cos tan sec csc cot sinh cosh tanh coth exp log arcsin arccos arctan".split())
_OTHERS = {"sigmoid": r"\sigma", "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan"}


def typed_and_wrong(problem: Problem, verdicts: Mapping[str, Verdict]) -> Iterator[StepFinding]:
    """The formulas of a hand side, typed as text or LaTeX, that are not the derivative: each is its only line."""
    wrong = [name for name, verdict in verdicts.items() if isinstance(verdict, Refuted)]
    for leaf in leaves(problem.hand):
        names = [n for n in wrong if leaf.key in (n, None) or len(verdicts) == 1]
        formula = leaf.formula if isinstance(leaf.formula, Latex) else getattr(leaf.formula, "source", None)
        if names and isinstance(formula, (Text, Latex)):
            text = typeset_side(formula) if isinstance(formula, Latex) else formula.text
            d = "∂" if problem.order == 1 else "∂²"
            claimed = f"{d}f/∂{names[0]}{'' if problem.order == 1 else '²'}"
            yield StepFinding("return", 0, Source(text), claimed, "wrong")


def plain_side(formula: Latex) -> str:
    """The right side of a formula as text that can be edited: ``*`` for each product."""
    return plain(formula.line.body).replace("·", "*")


def typeset_side(formula: Latex) -> str:
    """The same as it is typeset."""
    return formula.text[slice(*formula.line.body.span)]


def typeset_edit(formula: Latex, text: str) -> tuple[Latex, tuple[str, str]] | None:
    """The formula with another right side, given in plain form, and what stands instead of what; None where that
    cannot be typeset."""
    body = formula.line.body
    before, after = (parsed(t) for t in (plain_side(formula), text))
    if before is None or after is None:
        return None
    node, new = body, after
    for old, instead in _parts_that_differ(before, after):
        there = [n for n in parts(body) if _says(n) == ast.dump(old)]
        if len(there) == 1 and there[0].head != "neg":
            node, new = there[0], instead
    inner = _inner(formula.text, node)
    known = {_says(n): formula.text[slice(*_inner(formula.text, n))] for n in parts(body) if n.head != "neg"}
    try:
        part = _typeset(new, known)[0]
        made = replace(formula, text=f"{formula.text[: inner[0]]}{part}{formula.text[inner[1] :]}")
        return (made, (formula.text[slice(*inner)], part)) if _says(made.line.body) == ast.dump(after) else None
    except (KeyError, SymgradError):
        return None


def parsed(text: str) -> ast.expr | None:
    """The tree of text in the grammar of Python; None where it is none."""
    try:
        return ast.parse(f"({text}\n)", mode="eval").body
    except SyntaxError:
        return None


def _says(node: Node) -> str:
    tree = parsed(plain(node).replace("·", "*"))
    return "" if tree is None else ast.dump(tree)


def _parts_that_differ(a: ast.expr, b: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The parts in which two expressions differ, each within the one before it."""
    while True:
        yield a, b
        below = [list(ast.iter_child_nodes(x)) for x in (a, b)]
        if type(a) is not type(b) or len(below[0]) != len(below[1]):
            return
        odd = [(x, y) for x, y in zip(*below, strict=True) if ast.dump(x) != ast.dump(y)]
        if len(odd) != 1 or not (isinstance(odd[0][0], ast.expr) and isinstance(odd[0][1], ast.expr)):
            return
        a, b = odd[0][0], odd[0][1]


def _inner(text: str, node: Node) -> tuple[int, int]:
    """The place of a node without the brackets or braces that stand around all of it."""
    start, stop = node.span
    pairs = (("{", "}"), ("(", ")"), (r"\left(", r"\right)"))
    found = next(((a, b) for a, b in pairs if _around(text[start:stop], a, b)), None)
    return node.span if found is None else (start + len(found[0]), stop - len(found[1]))


def _around(text: str, left: str, right: str) -> bool:
    if not (text.startswith(left) and text.endswith(right)):
        return False
    depth = 0
    for m in re.finditer(r"\\left\(|\\right\)|[{}()]", text):
        depth += 1 if m[0] in ("{", "(", r"\left(") else -1
        if not depth:
            return m.end() == len(text)
    return False


_SUM, _PRODUCT, _POWER, _ATOM = range(4)


def _typeset(node: ast.expr, known: Mapping[str, str]) -> tuple[str, int]:
    """An expression in LaTeX and how strongly it is bound.  Raises `KeyError` for what is not typeset."""
    found = known.get(ast.dump(node))
    strength = _strength(node)
    if found is not None:
        return found, strength
    at = lambda n, least: _at(n, least, known)  # noqa: E731
    match node:
        case ast.Constant(value=value):
            return str(value), strength
        case ast.Name(id=name) if name == "pi":
            return r"\pi", strength
        case ast.Name(id=name) if len(name) == 1:
            return name, strength
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return f"-{at(a, _PRODUCT)}", strength
        case ast.BinOp(left=a, op=ast.Add() | ast.Sub() as op, right=b):
            return f"{at(a, _SUM)} {'+' if isinstance(op, ast.Add) else '-'} {at(b, _PRODUCT)}", strength
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            left, right = at(a, _PRODUCT), at(b, _POWER)
            between = r" \cdot " if right[:1].isdigit() else " "
            return left + between + right, strength
        case ast.BinOp(left=a, op=ast.Div(), right=b):
            return rf"\frac{{{at(a, _SUM)}}}{{{at(b, _SUM)}}}", _PRODUCT
        case ast.BinOp(left=a, op=ast.Pow(), right=b):
            return f"{at(a, _ATOM)}^{{{at(b, _SUM)}}}", strength
        case ast.Call(func=ast.Name(id="exp"), args=[a]):
            return f"e^{{{at(a, _SUM)}}}", strength
        case ast.Call(func=ast.Name(id="sqrt"), args=[a]):
            return rf"\sqrt{{{at(a, _SUM)}}}", strength
        case ast.Call(func=ast.Name(id=name), args=[a], keywords=[]) if name in _NAMED or name in _OTHERS:
            return f"{_OTHERS.get(name, chr(92) + name)}({at(a, _SUM)})", strength
    raise KeyError(type(node).__name__)


def _strength(node: ast.expr) -> int:
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub()) | ast.UnaryOp():
            return _SUM
        case ast.BinOp(op=ast.Pow()):
            return _POWER
        case ast.BinOp():
            return _PRODUCT
        case _:
            return _ATOM


def _at(node: ast.expr, least: int, known: Mapping[str, str]) -> str:
    text, strength = _typeset(node, known)
    return text if strength >= least else f"({text})"
