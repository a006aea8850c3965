"""Slips: one small mistake planted in one line of a derivation, of the kinds that people make.

`sites` lists the slips that a line's expression offers; each is (kind, make), and make() returns the new expression.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator, Sequence

KINDS = (
    "sign",
    "negated",
    "dropped term",
    "dropped factor",
    "dropped divisor",
    "exponent lowered",
    "exponent raised",
    "transpose",
    "operand order",
    "mean for sum",
    "sum for mean",
    "axis",
    "factor two",
    "factor half",
    "swapped name",
    "multiplied for divided",
    "one minus lost",
    "not reduced",
    "wrong function",
    "square lost",
)
_FUNCTIONS = {"sin": "cos", "cos": "sin", "exp": "tanh", "tanh": "exp", "log": "sqrt", "sqrt": "log"}


def assignments(function: ast.FunctionDef) -> list[ast.Assign | ast.AugAssign]:
    """The assignments of a function to names, and to parts of names, in order."""
    found = [n for n in ast.walk(function) if isinstance(n, (ast.Assign, ast.AugAssign)) and target(n) is not None]
    return sorted(found, key=lambda n: n.lineno)


def target(node: ast.Assign | ast.AugAssign) -> str | None:
    """The name that an assignment binds or changes."""
    t = node.targets[0] if isinstance(node, ast.Assign) else node.target
    while isinstance(t, ast.Subscript):
        t = t.value
    return t.id if isinstance(t, ast.Name) else None


def planted(value: ast.expr, rng: random.Random, scope: Sequence[str] = (), kinds: Sequence[str] = KINDS):
    """One slip in an expression: (kind, the new expression), or None if it offers none of these kinds."""
    offers: dict[str, list[Callable[[], ast.expr]]] = {}
    for kind, make in sites(value, scope):
        if kind in kinds:
            offers.setdefault(kind, []).append(make)
    if not offers:
        return None
    kind = rng.choice(sorted(offers))
    return kind, ast.fix_missing_locations(rng.choice(offers[kind])())


def sites(value: ast.expr, scope: Sequence[str] = ()) -> Iterator[tuple[str, Callable[[], ast.expr]]]:
    nodes = list(ast.walk(value))
    for k, node in enumerate(nodes):
        match node:
            case ast.BinOp(op=ast.Add()):
                yield "sign", _edit(value, k, lambda n: ast.BinOp(n.left, ast.Sub(), n.right))
                yield "dropped term", _edit(value, k, lambda n: n.left)
                yield "dropped term", _edit(value, k, lambda n: n.right)
            case ast.BinOp(op=ast.Sub()):
                yield "sign", _edit(value, k, lambda n: ast.BinOp(n.left, ast.Add(), n.right))
                if isinstance(node.left, ast.Constant) and node.left.value in (1, 1.0):
                    yield "one minus lost", _edit(value, k, lambda n: n.right)
            case ast.BinOp(op=ast.Mult()):
                yield "dropped factor", _edit(value, k, lambda n: n.left)
                yield "dropped factor", _edit(value, k, lambda n: n.right)
            case ast.BinOp(op=ast.Div()):
                yield "dropped divisor", _edit(value, k, lambda n: n.left)
                yield "multiplied for divided", _edit(value, k, lambda n: ast.BinOp(n.left, ast.Mult(), n.right))
            case ast.BinOp(op=ast.Pow()):
                yield "square lost", _edit(value, k, lambda n: n.left)
                yield "exponent raised", _edit(value, k, lambda n: _power(n, 1))
                yield "exponent lowered", _edit(value, k, lambda n: _power(n, -1))
            case ast.BinOp(op=ast.MatMult()):
                yield "transpose", _edit(value, k, lambda n: ast.BinOp(_turned(n.left), ast.MatMult(), n.right))
                yield "transpose", _edit(value, k, lambda n: ast.BinOp(n.left, ast.MatMult(), _turned(n.right)))
                yield "operand order", _edit(value, k, lambda n: ast.BinOp(n.right, ast.MatMult(), n.left))
            case ast.Call(func=ast.Attribute(attr=("sum" | "mean") as reduction)):
                other = "mean" if reduction == "sum" else "sum"
                yield f"{other} for {reduction}", _edit(value, k, lambda n, other=other: _renamed(n, other))
                if isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Name):
                    yield "not reduced", _edit(value, k, lambda n: n.func.value)
                if node.args or any(w.arg in ("axis", "dim") for w in node.keywords):
                    yield "axis", _edit(value, k, _other_axis)
            case ast.Call(func=ast.Attribute(attr=name)) if name in _FUNCTIONS:
                yield "wrong function", _edit(value, k, lambda n, name=name: _renamed(n, _FUNCTIONS[name]))
            case ast.Name(id=name, ctx=ast.Load()) if name in scope:
                for other in scope:
                    if other != name:
                        yield "swapped name", _edit(value, k, lambda n, other=other: ast.Name(other, ast.Load()))
    yield "negated", lambda: ast.UnaryOp(ast.USub(), copy.deepcopy(value))
    yield "factor two", lambda: ast.BinOp(ast.Constant(2.0), ast.Mult(), copy.deepcopy(value))
    yield "factor half", lambda: ast.BinOp(ast.Constant(0.5), ast.Mult(), copy.deepcopy(value))


def _edit(value: ast.expr, k: int, change: Callable) -> Callable[[], ast.expr]:
    def make() -> ast.expr:
        fresh = copy.deepcopy(value)
        found = list(ast.walk(fresh))[k]
        new = change(found)

        class Put(ast.NodeTransformer):
            def visit(self, node: ast.AST) -> ast.AST:
                return new if node is found else self.generic_visit(node)

        return Put().visit(fresh)

    return make


def _power(n: ast.BinOp, by: int) -> ast.expr:
    return ast.BinOp(n.left, ast.Pow(), ast.BinOp(n.right, ast.Add(), ast.Constant(by)))


def _turned(n: ast.expr) -> ast.expr:
    if isinstance(n, ast.Attribute) and n.attr == "T":
        return n.value
    return ast.Attribute(n, "T", ast.Load())


def _renamed(n: ast.Call, name: str) -> ast.expr:
    assert isinstance(n.func, ast.Attribute)
    return ast.Call(ast.Attribute(n.func.value, name, ast.Load()), n.args, n.keywords)


def _other_axis(n: ast.Call) -> ast.expr:
    swap = {0: 1, 1: 0, -1: 0}
    fresh = copy.deepcopy(n)
    for part in [*fresh.args, *(w.value for w in fresh.keywords)]:
        if isinstance(part, ast.Constant) and type(part.value) is int and part.value in swap:
            part.value = swap[part.value]
        elif isinstance(part, ast.UnaryOp):
            return ast.Call(fresh.func, [ast.Constant(0)], [w for w in fresh.keywords if w.arg == "keepdims"])
    return fresh
