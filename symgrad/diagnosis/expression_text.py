"""An expression's text beside its tree: spans of nodes, replacing them with as few brackets as needed, and chains of
factors and terms.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Sequence

from symgrad.diagnosis.candidates import loose, wrapped
from symgrad.diagnosis.source_positions import span

__all__ = ["MODULES", "Text", "after_sign", "factor", "factor_after", "is_sum", "joined", "parts_of", "sub_values"]

MODULES = ("np", "numpy", "torch", "math", "F", "jnp")
_SIGN = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


class Text:
    """The expression's text and tree, with the spans of its nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(f"({text}\n)", mode="eval").body
        self._spans: dict[int, tuple[int, int]] = {}

    def span(self, node: ast.AST) -> tuple[int, int]:
        if id(node) not in self._spans:
            self._spans[id(node)] = span(self.text, node, shift=1)
        return self._spans[id(node)]

    def of(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def put(self, node: ast.AST, new: str) -> str:
        return self.fill(*self.span(node), new)

    def fill(self, start: int, end: int, new: str) -> str:
        """The text with a span replaced, in brackets only where they are needed."""
        bare = self.text[:start] + new + self.text[end:]
        safe = self.text[:start] + f"({new})" + self.text[end:]
        if start == 0 and end == len(self.text):
            return new
        before, after = self.text[:start].rstrip(), self.text[end:].lstrip()
        if not loose(new) and before.endswith("(") and after.startswith(")"):  # brackets that nothing needs any more
            tighter = before[:-1] + new + after[1:]
            with contextlib.suppress(SyntaxError):
                if ast.dump(ast.parse(f"({tighter}\n)")) == ast.dump(ast.parse(f"({bare}\n)")):
                    return tighter
        try:
            same_meaning = ast.dump(ast.parse(f"({bare}\n)")) == ast.dump(ast.parse(f"({safe}\n)"))
        except SyntaxError:
            return safe
        return bare if same_meaning else safe


def parts_of(node: ast.expr, ops: tuple[type, ...]) -> list[tuple[str, ast.expr]]:
    """A chain of sums or products, flattened: each part with its sign."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ops):
        return [*parts_of(node.left, ops), (_SIGN[type(node.op)], node.right)]
    return [("+" if ast.Add in ops else "*", node)]


def joined(t: Text, parts: Sequence[tuple[str, ast.expr]], sums: bool) -> str | None:
    """A chain written again."""
    if not parts:
        return None
    out = ""
    for k, (sign, part) in enumerate(parts):
        text = t.of(part)
        if k == 0:
            if sign == "-":
                out = f"-{wrapped(text)}"
            elif sign == "/":
                out = f"1 / {wrapped(text)}"
            else:
                out = text if sums or not is_sum(part) else f"({text})"
        else:
            out += f" {sign} {text if not loose(text) or (sums and not is_sum(part)) else f'({text})'}"
    return out


def is_sum(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))


def sub_values(node: ast.AST, depth: int = 0) -> Iterator[tuple[ast.expr, int]]:
    """The sub-expressions that are values, the whole first; names of functions and modules are not."""
    match node:
        case ast.BinOp(left=a, right=b):
            yield node, depth
            yield from sub_values(a, depth + 1)
            yield from sub_values(b, depth + 1)
        case ast.UnaryOp(operand=a):
            yield node, depth
            yield from sub_values(a, depth + 1)
        case ast.Call(func=f, args=args):
            yield node, depth
            if isinstance(f, ast.Attribute) and not (isinstance(f.value, ast.Name) and f.value.id in MODULES):
                yield from sub_values(f.value, depth + 1)
            for a in args:
                yield from sub_values(a, depth + 1)
        case ast.Subscript(value=v):
            yield node, depth
            yield from sub_values(v, depth + 1)
        case ast.Attribute(value=v):
            if not (isinstance(v, ast.Name) and v.id in MODULES and node.attr != "pi"):
                yield node, depth
                yield from sub_values(v, depth + 1)
        case ast.Name() | ast.Constant():
            yield node, depth
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            if isinstance(node, ast.List):
                pass
            for p in parts:
                yield from sub_values(p, depth + 1)
        case ast.IfExp(body=a, orelse=b):
            yield from sub_values(a, depth + 1)
            yield from sub_values(b, depth + 1)
        case ast.Compare(left=a, comparators=[b]):
            yield from sub_values(a, depth + 1)
            yield from sub_values(b, depth + 1)


def factor(text: str) -> str:
    """As the left operand of a product."""
    node = ast.parse(f"({text}\n)", mode="eval").body
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.Pow)):
        return text
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.BinOp):
        return text
    return wrapped(text)


def factor_after(text: str) -> str:
    node = ast.parse(f"({text}\n)", mode="eval").body
    return text if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) else wrapped(text)


def after_sign(text: str, sign: str) -> str:
    node = ast.parse(f"({text}\n)", mode="eval").body
    if is_sum(node):
        return text if sign == "+" else f"({text})"
    return f"({text})" if isinstance(node, ast.UnaryOp) else text
