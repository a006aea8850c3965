"""What a script may compute besides, so that its output is there where its gradients are."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from symgrad.lifting.scripts.cues import changes, is_counter, is_derivative, is_gradient, is_loss, root_of

__all__ = ["More", "further_outputs"]

More = frozenset[tuple[int, str]]  # expressions, by the line of the function at whose beginning they are computed
_BACKWARD = ("backward", "backprop", "back_prop", "back_propagation", "backpropagation", "score", "bptt")
_DOING = frozenset("print append random rng choice shuffle normal randn rand plt input open global pop seed".split())


def further_outputs(tree: ast.Module) -> More:
    """What a script may compute besides, so that its output is there where its gradients are: the function that the
    derivative in some line is of, with its arguments, and what some turns of a loop alone come to.

    >>> sorted(further_outputs(ast.parse("def f(w): return w * w\\ndef grad_f(w): return w")))
    [(2, 'f(w=w)')]
    """
    found: dict[int, str] = {}
    for scope in ast.walk(tree):
        body = scope.body if isinstance(scope, (ast.Module, ast.ClassDef)) else []
        functions = [n for n in body if isinstance(n, ast.FunctionDef)]
        for g in [g for g in functions if is_gradient(g.name) or g.name in _BACKWARD]:
            calls = [(f, call) for f in functions if f is not g and (call := _call(f, g)) is not None]
            named = [call for f, call in calls if is_derivative(g.name, f"{f.name}()")]
            others = [call for f, call in calls if is_loss(f.name)]
            if named or others:
                found[g.lineno] = "; ".join(named or others)
        if isinstance(scope, (ast.For, ast.While)):
            found |= {n.lineno: "" for n in scope.body if isinstance(n, ast.If) and _only_tells(n)}
            if calls := _objectives_of(scope, tree):
                found[scope.lineno] = "; ".join(calls)
        for loop, objectives in _objectives_behind(
            whole if isinstance(whole := getattr(scope, "body", ()), list) else ()
        ):
            found[loop.lineno] = "; ".join(filter(None, (found.get(loop.lineno), *objectives)))
    return frozenset(found.items())


def _objectives_of(loop: ast.For | ast.While, tree: ast.Module) -> list[str]:
    """The calls of an objective, elsewhere in the script, for variables that a loop updates by itself."""
    updated = {root_of(ast.unparse(t)) for s in loop.body for t, change, _ in changes(s) if not is_counter(change)}
    functions = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef) and is_loss(f.name) and _computes(f)}
    inside = {id(n) for n in ast.walk(loop)}
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if (
                name in functions and id(node) not in inside
            ):
                given = {ast.unparse(a) for a in args} if args else _read(functions[name])
                if all(isinstance(a, ast.Name) for a in args) and updated & given:
                    found[ast.unparse(node)] = None
    return list(found)


def _objectives_behind(body: Sequence[ast.stmt]) -> Iterator[tuple[ast.For | ast.While, list[str]]]:
    """The loops among some statements that update variables, each with the objectives, in terms of these, that stand
    behind it alone: ``mse = sum(...) / n``."""
    for k, loop in enumerate(body):
        if not isinstance(loop, (ast.For, ast.While)):
            continue
        updated = {root_of(ast.unparse(t)) for s in loop.body for t, change, _ in changes(s) if not is_counter(change)}
        inside = {n.id for n in ast.walk(loop) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        behind: dict[str, ast.expr] = {}  # what is computed behind it, by name
        found: list[str] = []
        for s in body[k + 1 :]:
            match s:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    whole = _Substituted(behind).visit(ast.parse(ast.unparse(value), mode="eval").body)
                    behind[name] = whole
                    read = {n.id for n in ast.walk(whole) if isinstance(n, ast.Name)}
                    doing = {n.attr for n in ast.walk(whole) if isinstance(n, ast.Attribute)} | read
                    if is_loss(name) and name not in inside and updated & read and not doing & _DOING:
                        found.append(f"{name} = {ast.unparse(whole)}")
        if found:
            yield loop, found


class _Substituted(ast.NodeTransformer):
    """An expression with others in the place of some names."""

    def __init__(self, by: Mapping[str, ast.expr]) -> None:
        self._by = by

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._by.get(node.id, node)


def _read(f: ast.FunctionDef) -> set[str]:
    """The variables around a function that it reads, and may so be about."""
    names = [n for n in ast.walk(f) if isinstance(n, ast.Name)]
    return {n.id for n in names} - {n.id for n in names if isinstance(n.ctx, ast.Store)}


def _call(f: ast.FunctionDef, g: ast.FunctionDef) -> str | None:
    """A call of f, which only computes, with arguments of g; None where it does more, or has others."""
    if not _computes(f, g.name):
        return None
    mine, its = [a.arg for a in f.args.args], [a.arg for a in g.args.args]
    needed = mine[: len(mine) - len(f.args.defaults)]
    if not set(needed) <= set(its) and (len(mine) != len(its) or not is_derivative(g.name, f"{f.name}()")):
        return None
    given = [f"{a}={a}" for a in mine if a in its and a != "self"] if set(needed) <= set(its) else its
    return f"{'self.' if mine[:1] == ['self'] else ''}{f.name}({', '.join(a for a in given if a != 'self')})"


def _computes(f: ast.FunctionDef, other: str = "") -> bool:
    """Whether a function gives a value and does nothing beside; and does not call the ``other`` one."""
    used = {
        n.id if isinstance(n, ast.Name) else n.attr for n in ast.walk(f) if isinstance(n, (ast.Name, ast.Attribute))
    }
    stored = [n for n in ast.walk(f) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)]
    gives = any(isinstance(n, ast.Return) and n.value for n in ast.walk(f))
    return gives and not stored and not used & {*_DOING, other}


def _only_tells(node: ast.If) -> bool:
    """Whether a statement tells something in every so many turns, and changes nothing by it."""
    is_rare = any(isinstance(n, ast.Mod) for n in ast.walk(node.test))
    names = [t for s in node.body if isinstance(s, ast.Assign) for t in s.targets]
    plain = all(isinstance(s, (ast.Expr, ast.Assign)) for s in node.body) and not node.orelse
    return is_rare and plain and all(isinstance(n, ast.Name) for n in names)
