"""The places in a derivation's code where an edit may be made: every expression of every statement, named or not.

A returned value, what is added to an accumulator, a helper's line, a condition, the index of an assignment and the
range of a loop are places like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from symgrad.diagnosis.source_code import HOOK, TRACE, Expression, Unit, edited, span

_LIBRARIES = ("np", "numpy", "torch", "math", "F")
Holder = tuple[ast.expr, str, str, ast.expr | None, ast.operator | None]  # expression, name, role, target, operator


@dataclass(frozen=True, eq=False)
class Place:
    """An expression of the code: the statement it stands in, the name it is for, and its role there.

    ``role`` is "value" (of an assignment), "returned", "argument" (of a call that is a statement), "test", "rounds"
    (what a loop goes through) or "index" (of an assignment's target); ``position`` is where it stands in a returned
    tuple.
    """

    unit: Unit
    expression: Expression
    name: str
    role: str
    position: int | None = None

    @property
    def line(self) -> int:
        """The line in the user's file that the expression begins on."""
        return self.unit.first + self.unit.text.count("\n", 0, self.expression.start)

    def with_text(self, text: str) -> str:
        """The unit's text with another expression in this place."""
        return edited(self.unit.text, [(self.expression.start, self.expression.end, text)])


def places_of(unit: Unit) -> list[Place]:
    """The places of a unit of code, in the order in which they stand.

    >>> import ast
    >>> text = "def f(x):\\n    y = 2 * x\\n    return {'x': y, 'z': -y}\\n"
    >>> unit = Unit(None, text, "<file>", 1, ast.parse(text).body[0])
    >>> [(p.name, p.role, p.expression.text) for p in places_of(unit)]
    [('y', 'value', '2 * x'), ('x', 'returned', 'y'), ('z', 'returned', '-y')]
    """
    if unit.is_lambda:
        found = [(None, h) for h in _returned(unit.node.body)]  # type: ignore[union-attr]
    else:
        found = [(s, h) for s in ast.walk(unit.node) if isinstance(s, ast.stmt) for h in _holders(s)]
    places = [p for s, holder in found if (p := _place(unit, s, holder)) is not None]
    return sorted(places, key=lambda p: p.expression.start)


def _place(unit: Unit, statement: ast.stmt | None, holder: Holder) -> Place | None:
    node, name, role, target, op = holder
    position = int(name) if name.isdigit() else None
    name = "return" if position is not None else name
    start, end = span(unit.text, node, shift=1 if statement is None else 0)
    text = unit.text[start:end]
    try:
        tree = ast.parse(f"({text}\n)", mode="eval").body
    except SyntaxError:  # a slice such as ``1:``
        return None
    return Place(unit, Expression(start, end, text, tree, statement, target, op), name, role, position)


def _holders(s: ast.stmt) -> Iterator[Holder]:
    match s:
        case ast.Assign(targets=[*_, ast.Tuple(elts=names) | ast.List(elts=names)], value=ast.Tuple(elts=values)):
            if len(names) == len(values):
                for target, value in zip(names, values, strict=True):
                    yield value, base_name(target), "value", target, None
        case ast.Assign(targets=[*_, target], value=value) if not isinstance(target, (ast.Tuple, ast.List)):
            yield value, base_name(target), "value", target, None
            yield from _index(target)
        case ast.AugAssign(target=target, op=op, value=value):
            yield value, base_name(target), "value", target, op
            yield from _index(target)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield value, base_name(target), "value", target, None
        case ast.Return(value=ast.expr() as value):
            yield from _returned(value)
        case ast.Expr(value=ast.Call(func=f, args=args)):
            name = base_name(f.value) if isinstance(f, ast.Attribute) else base_name(f)
            if name in _LIBRARIES and args:
                name = base_name(args[0])
            for arg in args:
                if not isinstance(arg, ast.Starred):
                    own = base_name(arg) if name in ("ctx", "self") else name
                    yield arg, own, "argument", None, None
        case ast.If(test=test) | ast.While(test=test):
            yield test, "if", "test", None, None
        case ast.For(target=target, iter=over):
            yield over, base_name(target), "rounds", None, None


def _returned(value: ast.expr) -> Iterator[Holder]:
    match value:
        case ast.Tuple(elts=parts):
            for k, part in enumerate(parts):
                yield part, str(k), "returned", None, None
        case ast.Dict(keys=keys, values=parts):
            for key, part in zip(keys, parts, strict=True):
                name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else "return"
                yield part, name, "returned", None, None
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=[*_, _] as keywords):
            for k in keywords:
                yield k.value, k.arg or "return", "returned", None, None
        case _:
            yield value, "return", "returned", None, None


def _index(target: ast.expr) -> Iterator[Holder]:
    if isinstance(target, ast.Subscript):
        yield target.slice, base_name(target), "index", None, None


def base_name(target: ast.expr) -> str:
    """The variable that an assignment's target is, or is a part of.

    >>> import ast
    >>> [base_name(ast.parse(t, mode="eval").body) for t in ("a", "a[0].T", "self.W[1]")]
    ['a', 'a', 'W']
    """
    while isinstance(target, (ast.Subscript, ast.Attribute, ast.Starred, ast.Tuple, ast.List)):
        match target:
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                target = parts[0] if parts else ast.Name("return")
            case ast.Attribute(value=ast.Name(id="self" | "ctx"), attr=name):
                return name
            case _:
                target = target.value
    return target.id if isinstance(target, ast.Name) else "return"


# ------------------------------------------------------------------------------------------------ looks


def with_looks(unit: Unit, statements: list[ast.stmt]) -> str:
    """The unit's text with ``HOOK(k, TRACE, locals())`` before statement k; those that nothing can be put before are
    left alone.
    """
    names = "locals()" if unit.function is not None else "{**globals(), **locals()}"
    text = unit.text
    if unit.is_lambda:
        start, end = span(text, unit.node.body, shift=1)  # type: ignore[union-attr]
        return edited(text, [(start, end, f"({HOOK}(0, {TRACE}, {names}), ({text[start:end]}))[-1]")])
    put: dict[int, str] = {}
    for k, s in enumerate(statements):
        at = span(text, s)[0]
        margin = text[text.rfind("\n", 0, at) + 1 : at]
        look = f"{HOOK}({k}, {TRACE}, {names})"
        if not isinstance(s, (ast.If, ast.While, ast.For)):
            put[at] = f"{put.get(at, '')}{look}; "
        elif not margin.strip() and not text.startswith("elif", at):
            put[at] = f"{put.get(at, '')}{look}\n{margin}"
    return edited(text, [(at, at, looks) for at, looks in put.items()])
