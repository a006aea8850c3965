"""A repaired line as the sentences about it see it: the edit, its smallest part, and what the names in it stand for."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.bench import Edit
from symgrad.diagnosis.scope import scope_of

_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # of which people mix up argument and value
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "exp": np.exp,
    "sin": np.sin,
    "cos": np.cos,
    "log": np.log,
    "softplus": lambda z: np.logaddexp(0, z),
}


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def _function_of(tree: ast.AST, statement: ast.AST | None) -> ast.AST:
    """The innermost function that a statement stands in; of a script's own lines the script."""
    inner = (n for n in ast.walk(tree) if isinstance(n, _SCOPES) and n is not statement)
    around = [n for n in inner if any(x is statement for x in ast.walk(n))]
    return around[-1] if around else tree


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, in their order and without those of the functions in it."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, _SCOPES):
            yield node
            yield from _own_nodes(node)


@dataclass(frozen=True, eq=False)
class Slip:
    """One repaired line: the edit, the smallest part of it that changed, and where it stands."""

    name: str
    edit: Edit
    old: str
    new: str
    scene: Any = None
    brought: str = ""  # the operand that the edit put in or took away
    written: Mapping[str, str] = field(default_factory=dict)  # what names are defined as, where there is no scene

    @property
    def subject(self) -> str:
        """What the edited expression is the value of, in words."""
        expression = None if self.scene is None else self.scene.site.expression
        if expression is not None and expression.op is not None:
            return f"what is {'taken from' if isinstance(expression.op, ast.Sub) else 'added to'} {self.name}"
        if expression is not None and isinstance(expression.statement, ast.Return) and self.name != "return":
            return f"what is returned for {self.name}"
        return self.name

    @cached_property
    def definitions(self) -> dict[str, str]:
        """What the user wrote after ``name =``, for the names assigned in the same function."""
        if self.scene is None:
            return dict(self.written)
        found: dict[str, str] = {}
        site = self.scene.site
        for node in _own_nodes(_function_of(site.unit.node, site.expression.statement)):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, ast.unparse(node.value))
        return found

    @property
    def defined(self) -> str:
        """What the name that was put in is defined as, in brackets; nothing where that is not written."""
        return f" ({self.new} = {self.definitions[self.new]})" if self.new in self.definitions else ""

    @property
    def kind(self) -> str:
        return self.edit.kind

    @property
    def is_an_index(self) -> bool:
        """Whether the name that was put in stands in indices alone."""
        tree = ast.parse(self.edit.text, mode="eval")
        inside = {id(n) for s in ast.walk(tree) if isinstance(s, ast.Subscript) for n in ast.walk(s.slice)}
        return all(id(n) in inside for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == self.new)

    def function_of(self, outer: str, inner: str) -> str | None:
        """f, where ``outer`` holds f(``inner``): as the user wrote it, or by their values."""
        try:
            node = ast.parse(self.definitions.get(outer, ""), mode="eval").body
        except SyntaxError:
            return self._function_by_value(outer, inner)
        if isinstance(node, ast.Call) and len(node.args) >= 1 and ast.unparse(node.args[0]) == canonical(inner):
            return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        return self._function_by_value(outer, inner)

    def _function_by_value(self, outer: str, inner: str) -> str | None:
        if self.scene is None or not self.scene.plain or not (outer.isidentifier() and inner.isidentifier()):
            return None
        for name, f in _ACTIVATIONS.items():
            try:
                with np.errstate(all="ignore"):
                    pairs = [(numbers(e[outer]), f(numbers(e[inner]))) for e in self.scene.envs[: self.scene.plain]]
            except (KeyError, TypeError, ValueError):
                return None
            if all(a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=0) for a, b in pairs):
                return name
        return None

    def value_of(self, text: str) -> float | None:
        """The number that a text is where the line was looked at first; None where it is none."""
        if self.scene is None or not self.scene.envs:
            return None
        try:
            return float(eval(text, scope_of(self.scene, 0)))
        except Exception:  # a size is told only where it can be computed
            return None

    @property
    def is_of_a_whole_number(self) -> bool:
        value = self.value_of(self.old)
        return value is not None and value == round(value)

    def named_ratio(self) -> str | None:
        """The name in scope that what was put in is times what was there, at every sample."""
        if self.scene is None:
            return None
        scene, found = self.scene, None
        for k in range(scene.plain):
            scope = scope_of(scene, k)
            try:
                old, new = (numbers(eval(t, scope)) for t in (self.old, self.new))
                with np.errstate(all="ignore"):
                    ratio = new / old
                fits = {n for n, v in scene.envs[k].items() if _is_ratio(ratio, v)}
            except Exception:  # a part of a line need not be a value
                return None
            found = fits if found is None else found & fits
        return min(found, key=lambda n: (len(n), n)) if found else None


def is_difference(text: str) -> bool:
    """Whether an expression is a difference as a whole.

    >>> is_difference("a - b"), is_difference("(1 - s) @ W")
    (True, False)
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return False
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)


def canonical(text: str) -> str:
    try:
        return ast.unparse(ast.parse(f"({text}\n)", mode="eval").body)
    except SyntaxError:
        return text


def numbers(x: Any) -> np.ndarray:
    return x.detach().numpy() if isinstance(x, torch.Tensor) else np.asarray(x, dtype=float)


def _is_ratio(ratio: np.ndarray, x: Any) -> bool:
    if not isinstance(x, (float, int, np.ndarray, np.generic, torch.Tensor)) or isinstance(x, bool):
        return False
    value = numbers(x)
    if value.ndim > ratio.ndim or value.dtype.kind not in "fi" or not np.isfinite(ratio).all():
        return False
    try:
        value = np.broadcast_to(value, ratio.shape)
    except ValueError:
        return False
    return bool(np.max(np.abs(value - ratio), initial=0) <= 1e-9 * np.max(np.abs(ratio), initial=0))


def short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
