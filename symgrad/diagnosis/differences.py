"""What differs between what a line says and what it should say: the smallest part, and what kind of change it is."""

from __future__ import annotations

import ast
from collections import Counter

from symgrad.diagnosis.candidates import wrapped
from symgrad.diagnosis.expression_text import after_sign, factor, factor_after
from symgrad.diagnosis.source_code import span


def changed(before: str, after: str) -> tuple[str, str]:
    """The smallest parts of two expressions in which they differ.

    >>> changed("(1 - h1_raw**2) * d", "(1 - h1**2) * d")
    ('h1_raw', 'h1')
    >>> changed("x.scatter(0, i, g)", "x.scatter_add(0, i, g)")
    ('scatter', 'scatter_add')
    >>> changed("array([[a, b], [c, d]])", "array([[a, b], [-c, d]])")
    ('c', '-c')
    >>> changed("p.sum(-2)", "p.sum(-1)")
    ('-2', '-1')
    """
    a, b = (ast.parse(f"({t}\n)", mode="eval").body for t in (before, after))
    while True:
        if isinstance(a, ast.Attribute) and isinstance(b, ast.Attribute) and ast.dump(a.value) == ast.dump(b.value):
            return a.attr, b.attr
        below = _only_child(a, b)
        if below is None:
            (i, j), (k, m) = span(before, a, shift=1), span(after, b, shift=1)
            return before[i:j], after[k:m]
        a, b = below


def lines_changed(before: str, after: str) -> tuple[int, int] | None:
    """The first of the lines of a text that another text changes, and the one after the last; None where it changes
    all of them, or their number.

    >>> lines_changed("[a,\\n b,\\n c]", "[a,\\n -b,\\n c]")
    (1, 2)
    """
    a, b = before.split("\n"), after.split("\n")
    if len(a) != len(b):
        return None
    unlike = [k for k, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return (unlike[0], unlike[-1] + 1) if unlike and len(unlike) < len(a) else None


def _only_child(a: ast.expr, b: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """The one pair of children in which two nodes of a kind differ."""
    if type(a) is not type(b) or (_is_number(a) and _is_number(b)):  # -2 is one number, and no sign of another
        return None
    left, right = list(ast.iter_child_nodes(a)), list(ast.iter_child_nodes(b))
    if len(left) != len(right):
        return None
    pairs = [(x, y) for x, y in zip(left, right, strict=True) if ast.dump(x) != ast.dump(y)]
    if len(pairs) != 1:
        return None
    x, y = pairs[0]
    if isinstance(x, ast.keyword) and isinstance(y, ast.keyword) and x.arg == y.arg:
        return x.value, y.value
    if isinstance(x, ast.expr) and isinstance(y, ast.expr) and not isinstance(a, (ast.Compare, ast.Tuple)):
        return x, y
    return None


_GENERAL = ("replace", "factor", "divide", "term", "drop factor", "drop term", "formula", "constant", "name")
_GENERAL += ("constant factor",)


def classified(old: str, new: str, kind: str) -> tuple[str, str]:
    """The kind of a change as the two texts show it, and the operand that came or went."""
    try:
        a, b = (ast.parse(f"({t}\n)", mode="eval").body for t in (old, new))
    except SyntaxError:  # pieces of a slice, such as ":, :2", are no expressions
        return kind, ""
    if kind not in _GENERAL:
        return kind, ""
    if isinstance(a, ast.Name) and isinstance(b, ast.Name):
        return "name", ""
    if _is_number(a) and _is_number(b):
        return "constant", ""
    if kind == "name":
        return kind, ""
    if isinstance(b, ast.BinOp) and isinstance(b.op, ast.Pow) and ast.dump(b.left) == ast.dump(a):
        return "exponent", ""
    for parts, names in ((_factors, ("factor", "divide", "drop factor")), (_terms, ("term", "term", "drop term"))):
        x, y = Counter(parts(a)), Counter(parts(b))
        more, less = y - x, x - y
        if more and not less:
            ((sign, text), *rest) = more
            if not rest and more.total() == 1:
                return (names[1] if sign == "/" else names[0]), f"-{wrapped(text)}" if sign == "-" else text
            return names[0], _joined(list(more.elements()))
        if less and not more:
            return names[2], _joined(list(less.elements()))
    return ("formula" if kind == "formula" else "replace"), ""


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _joined(parts: list[tuple[str, str]]) -> str:
    """Factors, or terms, as one expression.

    >>> _joined([("*", "h"), ("*", "1 - h"), ("/", "a * b")]), _joined([("-", "a + b"), ("-", "c")])
    ('h * (1 - h) / (a * b)', '-(a + b) - c')
    """
    (sign, first), *rest = parts
    if sign in "*/":
        first = f"1 / {factor_after(first)}" if sign == "/" else factor(first) if rest else first
        return first + "".join(f" {sign} {factor_after(text)}" for sign, text in rest)
    return ("-" + wrapped(first) if sign == "-" else first) + "".join(f" {s} {after_sign(t, s)}" for s, t in rest)


def _factors(node: ast.expr, sign: str = "*") -> list[tuple[str, str]]:
    match node:
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            return _factors(a, sign) + _factors(b, sign)
        case ast.BinOp(left=a, op=ast.Div(), right=b):
            return _factors(a, sign) + _factors(b, "*" if sign == "/" else "/")
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return [("*", "-1"), *_factors(a, sign)]
    return [(sign, ast.unparse(node))]


def _terms(node: ast.expr, sign: str = "+") -> list[tuple[str, str]]:
    flip = "-" if sign == "+" else "+"
    match node:
        case ast.BinOp(left=a, op=ast.Add(), right=b):
            return _terms(a, sign) + _terms(b, sign)
        case ast.BinOp(left=a, op=ast.Sub(), right=b):
            return _terms(a, sign) + _terms(b, flip)
        case ast.UnaryOp(op=ast.USub(), operand=a) if isinstance(a, (ast.Name, ast.Call, ast.BinOp)):
            return _terms(a, flip)
    return [(sign, ast.unparse(node))]
