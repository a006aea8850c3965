"""Gradients that a script clips before it uses them: ``np.clip(dW, -5, 5, out=dW)``.

A bound on a step is no part of a derivation: what is judged is the gradient as it is before, and that is told.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from symgrad.lifting.scripts.cues import is_gradient, tail, words

_CLIPS = ("clip", "clamp", "clip_", "clamp_")
_BOUNDS = ("min", "max", "a_min", "a_max", "out")


class Unclipped(ast.NodeTransformer):
    """Code with each gradient in the place of what bounds it."""

    def __init__(self, tree: ast.AST) -> None:
        self._gradients = set(_looped(tree))
        self.lines: list[int] = []

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        bounded = _bounded(node)
        if bounded is None or not self._is_gradient(bounded):
            return node
        self.lines.append(node.lineno)
        return ast.copy_location(bounded, node)

    def _is_gradient(self, e: ast.expr) -> bool:
        name = ast.unparse(e)
        if isinstance(e, ast.Name) and name in self._gradients:
            return True
        is_place = isinstance(e, (ast.Name, ast.Attribute, ast.Subscript))
        return (
            is_place and is_gradient(name) and words(tail(name))[:1] != ["delta"]
        )  # it may be an error, of Huber's loss


def may_clip(text: str) -> bool:
    """Whether code may have a bound on a gradient in it: where not, `unclipped` leaves it as it is."""
    return re.search(r"\b(clip|clamp)_?\s*\(", text) is not None or all(
        re.search(rf"(?<![.\w]){name}\s*\(", text) for name in ("min", "max")
    )


def unclipped(tree: Any) -> Any:
    """The same code without the bounds on gradients.

    >>> ast.unparse(unclipped(ast.parse("for d in [dW, db]: np.clip(d, -1, 1, out=d)\\ny = np.clip(x, 0, 1)")))
    'for d in [dW, db]:\\n    d\\ny = np.clip(x, 0, 1)'
    """
    called = {getattr(n.func, "attr", getattr(n.func, "id", "")) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    return tree if called.isdisjoint((*_CLIPS, "min")) else Unclipped(tree).visit(tree)


def told_of_clips(tree: ast.Module) -> list[str]:
    """What is told of the gradients that a script clips."""
    found = Unclipped(tree)
    found.visit(tree)
    lines = ", ".join(map(str, dict.fromkeys(found.lines)))
    return [f"Gradients are clipped in line {lines}: they were judged as they are before that."] if lines else []


def _bounded(node: ast.Call) -> ast.expr | None:
    """What a call bounds from both sides and gives back, or changes in its place."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy" | "torch"), attr=name), args=[x, *bounds]):
            pass
        case ast.Call(func=ast.Attribute(value=x, attr=name), args=bounds):
            pass
        case ast.Call(func=ast.Name(id="max" | "min" as outer), args=[*args], keywords=[]) if len(args) == 2:
            inner = next((a for a in args if isinstance(a, ast.Call)), None)
            match inner:
                case ast.Call(func=ast.Name(id="max" | "min" as other), args=[a, b], keywords=[]) if other != outer:
                    return next((e for e in (a, b) if not _is_number(e)), None)
            return None
        case _:
            return None
    options = {k.arg: k.value for k in node.keywords}
    same = "out" not in options or ast.unparse(options["out"]) == ast.unparse(x)
    both = len(bounds) + len(options.keys() - {"out"}) == 2
    return x if name in _CLIPS and same and both and options.keys() <= {*_BOUNDS} else None


def _is_number(e: ast.expr) -> bool:
    return not any(isinstance(n, (ast.Name, ast.Attribute, ast.Subscript)) for n in ast.walk(e))


def _looped(tree: ast.AST) -> Iterator[str]:
    """The variables of loops over gradients."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.For, ast.comprehension)):
            continue
        pairs = [(node.target, node.iter)]
        match node.target, node.iter:
            case ast.Tuple(elts=targets), ast.Call(func=ast.Name(id="zip"), args=sources):
                pairs = [*zip(targets, sources, strict=False)]
            case ast.Tuple(elts=[_, target]), ast.Call(func=ast.Attribute(value=source, attr="items")):
                pairs = [(target, source)]
            case ast.Tuple(elts=[_, target]), ast.Call(func=ast.Name(id="enumerate"), args=[source]):
                pairs = [(target, source)]
        for target, source in pairs:
            parts = source.elts if isinstance(source, (ast.List, ast.Tuple)) else [source]
            if isinstance(target, ast.Name) and parts and all(is_gradient(ast.unparse(p)) for p in parts):
                yield target.id
