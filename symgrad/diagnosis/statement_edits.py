"""Edits of whole statements: what is assigned and not added up, an index that repeats, a sign, an order of results, the
same slice in several places.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.source_code import Expression, Unit, edited, span
from symgrad.diagnosis.structural_edits import other_places, other_slices
from symgrad.diagnosis.trials import Place, base_name

KINDS = frozenset(
    ("overwritten", "repeated index", "summed up", "statement sign", "results swapped", "left out", "another part")
)

_NOTHING = ast.Constant(None)


def statements_of(unit: Unit) -> list[Place]:
    """The statements of a unit that may be changed as a whole, as places."""
    found = []
    for s in ast.walk(unit.node) if not unit.is_lambda else ():
        if isinstance(s, (ast.Assign, ast.AugAssign, ast.Return)) or (
            isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)
        ):
            start, end = span(unit.text, s)
            found.append(Place(unit, Expression(start, end, unit.text[start:end], _NOTHING, s), _name(s), "statement"))
    return found


def _name(s: ast.stmt) -> str:
    match s:
        case ast.Assign(targets=[target, *_]) | ast.AugAssign(target=target):
            return base_name(target)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=of))):
            return base_name(of)
    return "return"


def statement_edits(place: Place, env: Mapping[str, Any]) -> Iterator[Edit]:
    """Other statements in the place of one; ``env`` are the variables in scope."""
    u = lambda node: _written(place, node)  # noqa: E731
    text = place.expression.text

    def edit(new: str, kind: str, cost: float) -> Edit:
        return Edit(new, text, new, kind, cost)

    for cost, new in _other_parts(place, env):
        yield edit(new, "another part", cost)
    match place.expression.statement:
        case ast.AugAssign(target=ast.Subscript(value=of, slice=at) as target, op=ast.Add() | ast.Sub() as op, value=v):
            for new in _added_at(u(of), at, u(at), u(v), "" if isinstance(op, ast.Add) else "-", env):
                yield edit(new, "repeated index", 1.0)
            yield edit(f"{u(target)} {'-=' if isinstance(op, ast.Add) else '+='} {u(v)}", "statement sign", 1.0)
            yield edit(f"{u(target)} = {u(v)}", "summed up", 1.15)
        case ast.AugAssign(target=target, op=ast.Add() | ast.Sub() as op, value=v):
            yield edit(f"{u(target)} {'-=' if isinstance(op, ast.Add) else '+='} {u(v)}", "statement sign", 1.0)
            yield edit(f"{u(target)} = {u(v)}", "summed up", 1.15)
        case ast.Assign(targets=[ast.Subscript(value=of, slice=at) as target], value=v):
            yield edit(f"{u(target)} += {u(v)}", "overwritten", 1.0)
            for new in _added_at(u(of), at, u(at), u(v), "", env):
                yield edit(new, "repeated index", 1.05)
        case ast.Assign(targets=[ast.Name(id=name)], value=v) if name in env:
            yield edit(f"{name} += {u(v)}", "overwritten", 1.0)
            yield edit(f"{name} = {name} + {_loose(u(v))}", "overwritten", 1.1)
        case ast.Return(value=ast.Tuple(elts=parts)) if len(parts) > 1:
            for i, j in itertools.combinations(range(len(parts)), 2):
                order = [u(p) for p in parts]
                order[i], order[j] = order[j], order[i]
                yield edit(f"return {', '.join(order)}", "results swapped", 0.9)
        case ast.Return(value=ast.Dict(keys=keys, values=parts)) if len(parts) > 1:
            for i, j in itertools.combinations(range(len(parts)), 2):
                order = [u(p) for p in parts]
                order[i], order[j] = order[j], order[i]
                pairs = ", ".join(f"{u(k)}: {v}" for k, v in zip(keys, order, strict=True) if k is not None)
                yield edit(f"return {{{pairs}}}", "results swapped", 0.9)


def _written(place: Place, node: ast.AST) -> str:
    start, end = span(place.unit.text, node)
    return place.unit.text[start:end]


def _loose(text: str) -> str:
    node = ast.parse(f"({text}\n)", mode="eval").body
    return f"({text})" if isinstance(node, (ast.IfExp, ast.Compare, ast.BoolOp)) else text


def _added_at(of: str, index: ast.expr, at: str, value: str, sign: str, env: Mapping[str, Any]) -> Iterator[str]:
    """Adding up where an index repeats, in the library's own way."""
    if any(isinstance(n, ast.Slice) for n in ast.walk(index)) or isinstance(index, ast.Constant):
        return
    value = f"{sign}({value})" if sign else value
    if any(isinstance(v, torch.Tensor) for v in env.values()):
        several = isinstance(index, ast.Tuple)
        yield f"{of}.index_put_({at if several and at.startswith('(') else f'({at},)'}, {value}, accumulate=True)"
        if not several:
            yield f"{of}.index_add_(0, {at}, {value})"
        return
    np = next((n for n, m in env.items() if getattr(m, "__name__", "") == "numpy"), "np")
    yield f"{np}.add.at({of}, {at}, {value})"


# ------------------------------------------------------------------------------------------------ parts of arrays


def _other_parts(place: Place, env: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    """The statement with another part of the array that it writes, or with another slice wherever it has one."""
    s, text, shift = place.expression.statement, place.expression.text, place.expression.start
    u = lambda node: _written(place, node)  # noqa: E731

    def put(nodes: Sequence[ast.AST], new: str) -> str:
        spans = [span(place.unit.text, n) for n in nodes]
        return edited(text, [(start - shift, end - shift, new) for start, end in spans])

    target = s.target if isinstance(s, ast.AugAssign) else s.targets[0] if isinstance(s, ast.Assign) else None
    if isinstance(target, ast.Subscript) and isinstance(target.slice, (ast.Tuple, ast.Slice)):
        for cost, new in other_places(target.slice, u, env):
            yield cost, put([target.slice], new)
    slices: dict[str, list[ast.Slice]] = {}
    for node in ast.walk(s) if s is not None else ():
        if isinstance(node, ast.Slice):
            slices.setdefault(u(node), []).append(node)
    for nodes in slices.values():
        for new in other_slices(nodes[0]) if len(nodes) > 1 else ():
            yield 1.05, put(nodes, new)
