"""What a file asks, told by its syntax alone: nothing is run, and neither torch nor SymPy is needed.

A file may define a model and a hand formula, define functions with a backward of their own and say at what they are
asked, be a script (or a post, or a notebook) that computes gradients, or hold formulas in LaTeX.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from symgrad.errors import SymgradError

Kind = Literal["definitions", "function", "script", "formulas"]
SUFFIXES = (".py", ".ipynb", ".tex", ".md", ".txt")

_STEP = re.compile(r"^\s*[d∂]\w*\s*/\s*[d∂]\w+[^=\n]*=", re.M)
_DIFFERENTIATES = ("backward", "grad", "gradcheck", "check_grad")
_ASKS = ("verify", "verify_function", "verify_script", "verify_many", "assert_gradient")


@dataclass(frozen=True)
class Names:
    """What the two sides and the point are called in a file that defines them."""

    model: str = "model"
    hand: str = "hand"
    at: str = "at"


@dataclass(frozen=True)
class Held:
    """A question in a file: of which kind, and the name of the hand formula or of the function that it is about."""

    kind: Kind
    name: str | None = None


def questions_in(text: str, suffix: str, names: Names | None = None) -> tuple[Held, ...] | str:
    """The questions that a text holds; where it holds none, why.

    >>> questions_in("model = 'x**2'\\nhand = '2*x'\\n", ".py")
    (Held(kind='definitions', name='hand'),)
    >>> questions_in("import os\\n", ".py")
    'nothing in it is meant as a gradient'
    >>> questions_in("# Notes\\n\\n$$f(x) = x^2, \\\\quad f'(x) = 2x$$\\n", ".md")
    (Held(kind='formulas', name=None),)

    Raises nothing.
    """
    names = names or Names()
    tree = tree_of(text, suffix)
    if tree is not None:
        found = tuple(_in_code(tree, names))
        if found:
            return found
    if suffix not in (".py", ".ipynb"):
        from symgrad.lifting.latex.displays import displays_in  # which imports SymPy

        if any(d.claims for d in displays_in(text)) or are_rows(text):
            return (Held("formulas"),)
    return "it is no Python" if tree is None and suffix == ".py" else _why_none(tree)


def are_rows(text: str) -> bool:
    """Whether a text is formulas alone: every line an equation, and one of them about a derivative.

    >>> are_rows("y = x**2\\n\\ndy/dx = 2*x"), are_rows("Let y = x**2.\\nThen its slope is 2*x.")
    (True, False)
    """
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(lines) and all("=" in line for line in lines) and _STEP.search(text) is not None


def tree_of(text: str, suffix: str) -> ast.Module | None:
    """The syntax tree of the code in a text; None where there is none."""
    from symgrad.lifting.scripts.extraction import read_pasted

    try:
        return ast.parse(text) if suffix == ".py" else read_pasted(text).tree
    except (SyntaxError, ValueError, SymgradError):
        pass
    try:
        return read_pasted(text).tree  # a post that goes by the name of a script
    except (SyntaxError, ValueError, SymgradError):
        return None


def bound_names(tree: ast.Module) -> frozenset[str]:
    """The names that a file itself binds at its top level: not those that come by ``from somewhere import *``.

    >>> sorted(bound_names(ast.parse("from sympy import *\\nimport numpy as np\\nx, y = 1, 2\\ndef f(z): a = 1")))
    ['f', 'np', 'x', 'y']
    """
    return frozenset(_bound(tree.body))


def _in_code(tree: ast.Module, names: Names) -> Iterator[Held]:
    bound = bound_names(tree)
    if asks_symgrad(tree):
        return
    if {names.model, names.hand} <= bound:
        yield Held("definitions", names.hand)
    for node in functions_in(tree):
        if names.at in bound or "at" in _bound(node.body):
            yield Held("function", node.name)
    own_backward = names.at in bound and any(True for _ in functions_in(tree))
    if names.hand not in bound and not own_backward and _computes_gradients(tree):
        yield Held("script")


def functions_in(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """The classes that have a backward of their own: of ``torch.autograd.Function``, or of one of these."""
    known = {"Function"}
    for node in tree.body:
        bases = node.bases if isinstance(node, ast.ClassDef) else ()
        if isinstance(node, ast.ClassDef) and any(ast.unparse(b).rpartition(".")[2] in known for b in bases):
            known.add(node.name)
            yield node


def asks_symgrad(tree: ast.Module) -> bool:
    """Whether a file asks symgrad by itself: it is a test or a notebook of answers, and no question."""
    modules = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    modules |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    called = {ast.unparse(n.func).rpartition(".")[2] for n in ast.walk(tree) if isinstance(n, ast.Call)}
    return any(m.split(".")[0] == "symgrad" for m in modules) and bool(called.intersection(_ASKS))


def _why_none(tree: ast.Module | None) -> str:
    if tree is not None and asks_symgrad(tree):
        return "it asks symgrad itself"
    waiting = [n.name for n in functions_in(tree)] if tree is not None else []
    if waiting:
        return f"{', '.join(waiting)}: there is no at that says for which arguments"
    return "nothing in it is meant as a gradient"


# ------------------------------------------------------------------------------------------------ scripts


def calls_autograd(text: str) -> bool:
    """Whether a text calls autograd anywhere."""
    return "backward(" in text or "autograd.grad(" in text


def _computes_gradients(tree: ast.Module) -> bool:
    """Whether running a file computes gradients, and something in it is meant as one."""
    from symgrad.lifting.scripts.cues import speaks_of_gradients

    if not speaks_of_gradients(tree):
        return False
    reached = list(_reached(tree))
    called = {ast.unparse(n.func).rpartition(".")[2] for r in reached for n in ast.walk(r) if isinstance(n, ast.Call)}
    return bool(called.intersection(_DIFFERENTIATES)) or speaks_of_gradients(
        ast.Module([r for r in reached if isinstance(r, ast.stmt)], [])
    )


def _reached(tree: ast.Module) -> Iterator[ast.AST]:
    """The statements that running a file runs: at its top level, and of what is called from there by name."""
    defined = {
        n.name: n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    waiting: list[ast.AST] = [n for n in tree.body if n not in defined.values()]
    seen: set[str] = set()
    while waiting:
        node = waiting.pop()
        yield node
        used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        used |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        waiting += [defined[name] for name in sorted(used & defined.keys() - seen)]
        seen |= used & defined.keys()


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((a.asname or a.name).split(".")[0] for a in names if a.name != "*")
            case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try():
                yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
                yield from (n.name for n in ast.walk(node) if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
            case ast.Assign(targets=targets):
                stores = (n for t in targets for n in ast.walk(t))
                yield from (n.id for n in stores if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                yield name
