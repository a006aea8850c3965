"""Edits of whole statements: what is assigned and not added up, an index that repeats, a sign, an order of results or
of statements, the same slice in several places.
"""

from __future__ import annotations

import ast
import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.source_code import Expression, Unit, edited, span
from symgrad.diagnosis.structural_edits import other_places, other_slices
from symgrad.diagnosis.trials import Place, base_name

KINDS = frozenset(
    ("overwritten", "repeated index", "summed up", "statement sign", "results swapped", "left out", "another part")
    + ("order", "counterpart", "left alone")
)

_NOTHING = ast.Constant(None)
_PLACES = 5  # where a counterpart may belong


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


def reordered(unit: Unit) -> Iterator[tuple[Place, Edit]]:
    """Assignments that stand one after the other, with the first of them last or the last first, where that matters and
    each name has a value when it is read.  The place is the first one's, and reaches to the last.

    >>> unit = Unit(None, text := "def f(v):\\n    v = 2 * v\\n    w = v\\n", "<file>", 1, ast.parse(text).body[0])
    >>> [e.text for _, e in reordered(unit)]
    ['w = v\\n    v = 2 * v']
    """
    for block in () if unit.is_lambda else _blocks(unit.node):
        for i, j in itertools.combinations(range(len(block)), 2):
            some = block[i : j + 1]
            if not all(isinstance(s, (ast.Assign, ast.AugAssign)) for s in some):
                continue
            first, last = _may_follow(some[1:], some[:1], unit), j > i + 1 and _may_follow(some[-1:], some[:-1], unit)
            if not first and not last:
                continue
            spans = [span(unit.text, s) for s in some]
            start, end = spans[0][0], spans[-1][1]
            texts = [unit.text[a:b] for a, b in spans]
            gaps = [unit.text[a:b] for (_, a), (b, _) in itertools.pairwise(spans)]
            place = Place(
                unit, Expression(start, end, unit.text[start:end], _NOTHING, some[0]), _name(some[0]), "order"
            )
            for order, moved, behind in (
                *([([*texts[1:], texts[0]], texts[0], texts[-1])] if first else ()),
                *([([texts[-1], *texts[:-1]], texts[0], texts[-1])] if last else ()),
            ):
                new = order[0] + "".join(gap + text for gap, text in zip(gaps, order[1:], strict=True))
                yield place, Edit(new, moved, behind, "order", 0.9 + 0.05 * (j - i))


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """The bodies of a piece of code, each its statements in order."""
    bodies = (getattr(node, name, None) for node in ast.walk(tree) for name in ("body", "orelse"))
    yield from (body for body in bodies if isinstance(body, list))


def _may_follow(now: Sequence[ast.stmt], then: Sequence[ast.stmt], unit: Unit) -> bool:
    """Whether statements may come before others that stand before them, and not all is then as it was: the outermost
    two meet in a name, and what is read too early has another value.
    """
    (first, puts), (last, put) = _names(then[0]), _names(now[-1])
    if not (puts & (last | put) or put & first):
        return False
    reads, wrote = ({name for s in some for name in _names(s)[k]} for k, some in ((0, now), (1, then)))
    stored = stored_in(unit)
    return all(stored[name] > 1 for name in wrote & reads)


@functools.lru_cache(64)
def stored_in(unit: Unit) -> Counter[str]:
    """How often a unit gives each name a value."""
    found = Counter(n.id for n in ast.walk(unit.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    found.update(a.arg for a in ast.walk(unit.node) if isinstance(a, ast.arg))
    return found


@functools.lru_cache(4096)
def _names(s: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    """The names that an assignment reads, and those that it writes."""
    nodes = [n for n in ast.walk(s) if isinstance(n, ast.Name)]
    targets = s.targets if isinstance(s, ast.Assign) else [s.target] if isinstance(s, ast.AugAssign) else []
    bases = {base_name(t) for t in targets}
    writes = {n.id for n in nodes if isinstance(n.ctx, ast.Store)} | bases
    reads = {n.id for n in nodes if isinstance(n.ctx, ast.Load)}
    return frozenset(reads | bases if isinstance(s, ast.AugAssign) else reads), frozenset(writes)


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
            other = "-=" if isinstance(op, ast.Add) else "+="
            yield edit(f"{u(target)} {other} {u(v)}", "statement sign", 1.0)
            yield edit(f"{u(target)} = {u(v)}", "summed up", 1.15)
            for there in _other_places(place, at):
                for sign in (other, "+=" if other == "-=" else "-="):
                    more = f"{u(of)}[{there}] {sign} {u(v)}"
                    yield Edit(f"{text}{_new_line(place)}{more}", text, more, "counterpart", 1.3)
        case ast.AugAssign(target=target, op=ast.Add() | ast.Sub() as op, value=v):
            yield edit(f"{u(target)} {'-=' if isinstance(op, ast.Add) else '+='} {u(v)}", "statement sign", 1.0)
            yield edit(f"{u(target)} = {u(v)}", "summed up", 1.15)
        case ast.Assign(targets=[ast.Subscript(value=of, slice=at) as target], value=v):
            yield edit(f"{u(target)} += {u(v)}", "overwritten", 1.0)
            for new in _added_at(u(of), at, u(at), u(v), "", env):
                yield edit(new, "repeated index", 1.05)
        case ast.Assign(targets=[ast.Attribute() as target], value=v):
            yield edit(f"{u(target)} += {u(v)}", "overwritten", 1.0)
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp()) if name not in env:
            for at in ("0", "-1", ":, 0", ":, -1"):  # an intercept that is not penalised
                more = f"{name}[{at}] = 0"
                yield Edit(f"{text}{_new_line(place)}{more}", text, more, "left alone", 1.35 + 0.05 * (at != "0"))
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


def _other_places(place: Place, index: ast.expr) -> list[str]:
    """The other indices of the loop that a statement stands in, or of its function: where a counterpart may belong."""
    own = place.expression.statement
    around = [n for n in ast.walk(place.unit.node) if isinstance(n, ast.For) and any(s is own for s in ast.walk(n))]
    nodes = [n.slice for n in ast.walk(around[-1] if around else place.unit.node) if isinstance(n, ast.Subscript)]
    alike = [n for n in nodes if isinstance(n, ast.Slice) == isinstance(index, ast.Slice)]
    found = dict.fromkeys(_written(place, n) for n in alike if not isinstance(n, ast.Constant))
    return [text for text in found if text != _written(place, index)][:_PLACES]


def _new_line(place: Place) -> str:
    """The end of a line, and the margin of a statement."""
    text, start = place.unit.text, place.expression.start
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return f"\n{line[: len(line) - len(line.lstrip())]}"


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
