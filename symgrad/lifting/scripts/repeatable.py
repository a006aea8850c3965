"""What of an assignment is told once more: its single targets, where their owners and places may be evaluated twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["is_repeatable", "is_size", "single_targets"]


def single_targets(target: ast.expr) -> Iterator[ast.expr]:
    """The single targets of an assignment."""
    match target:
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            for e in elements:
                yield from single_targets(e)
        case ast.Starred(value=value):
            yield from single_targets(value)
        case _:
            yield target


def is_size(e: ast.expr) -> bool:
    """Whether an expression gives whole numbers that say how large something is."""
    match e:
        case ast.Attribute(attr="shape" | "size" | "ndim") | ast.Call(func=ast.Name(id="len")):
            return True
        case ast.Subscript(value=ast.Attribute(attr="shape")) | ast.BinOp(op=ast.FloorDiv()):
            return True
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult(), right=right):
            parts = [e for e in (left, right) if not (isinstance(e, ast.Constant) and type(e.value) is int)]
            return bool(parts) and all(map(is_size, parts))
        case ast.Tuple(elts=elements):
            return bool(elements) and all(map(is_size, elements))
    return False


def is_repeatable(e: ast.expr) -> bool:
    """Whether an expression may be evaluated twice: it calls nothing but str(), and what gives the names of a scope,
    and compares nothing: ``h < 0`` is another mask once ``h[h < 0] = 0`` has been done."""
    calls = [n for n in ast.walk(e) if isinstance(n, ast.Call)]
    plain = all(isinstance(c.func, ast.Name) and c.func.id in ("str", "globals", "locals", "vars") for c in calls)
    return plain and not any(
        isinstance(n, (ast.NamedExpr, ast.Await, ast.Yield, ast.Slice, ast.Compare)) for n in ast.walk(e)
    )
