"""Numbers that a script names: ``alpha = 0.5`` at its top, or as the default of an argument."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from symgrad.lifting.tracing.named_numbers import may_move

__all__ = ["script_numbers", "with_numbers"]


def script_numbers(code: str | ast.Module) -> dict[str, float]:
    """The floats that have one name each, and no other value under it.

    >>> script_numbers("a = 0.5\\nfor k in range(3):\\n    b = 0.1\\ndef f(x, c=-2.5, n=3): pass\\n")
    {'a': 0.5, 'c': -2.5}
    """
    found: dict[str, set[float]] = {}
    for name, value, _ in _typed(ast.parse(code) if isinstance(code, str) else code):
        found.setdefault(name, set()).add(value)
    return {name: values.pop() for name, values in found.items() if len(values) == 1 and may_move(max(values))}


def with_numbers(code: str, numbers: Mapping[str, float]) -> str:
    """The script with other numbers under these names, on the same lines.

    >>> with_numbers("a = 0.5; b = a\\n", {"a": 0.25})
    'a = 0.25; b = a\\n'
    """
    lines = code.encode().splitlines(keepends=True)
    typed = [(node, numbers[name]) for name, _, node in _typed(ast.parse(code)) if name in numbers]
    for node, value in sorted(typed, key=lambda t: (t[0].lineno, t[0].col_offset), reverse=True):
        if node.lineno == node.end_lineno:
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line[: node.col_offset] + repr(value).encode() + line[node.end_col_offset :]
    return b"".join(lines).decode()


def _typed(tree: ast.Module) -> Iterator[tuple[str, float, ast.expr]]:
    """The names that are bound once, to a number, each with that; defaults of arguments may be of several functions."""
    stored = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    for s in tree.body:
        match s:
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)) if len(targets) == len(values):
                found: list[tuple[ast.expr, ast.expr | None]] = [*zip(targets, values, strict=True)]
            case ast.Assign([target], value) | ast.AnnAssign(target, _, value):
                found = [(target, value)]
            case _:
                continue
        for target, value in found:
            name = target.id if isinstance(target, ast.Name) else ""
            if stored.count(name) == 1 and value is not None and (x := _number(value)) is not None:
                yield name, x, value
    for f in ast.walk(tree):
        if isinstance(f, (ast.FunctionDef, ast.Lambda)):
            positional = [*f.args.posonlyargs, *f.args.args]
            pairs = zip(positional[len(positional) - len(f.args.defaults) :], f.args.defaults, strict=True)
            for arg, value in (*pairs, *zip(f.args.kwonlyargs, f.args.kw_defaults, strict=True)):
                if value is not None and (x := _number(value)) is not None:
                    yield arg.arg, x, value


def _number(value: ast.expr) -> float | None:
    match value:
        case ast.Constant(float() as x):
            return x
        case ast.UnaryOp(ast.USub(), ast.Constant(float() as x)):
            return -x
    return None
