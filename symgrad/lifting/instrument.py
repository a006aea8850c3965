"""The user's function, rewritten so that a tracer sees its names, its calls and its arithmetic on plain numbers.

Three rewrites of the syntax tree, nothing else: after ``x = ...`` comes ``x = trace.bind("x", x)``; ``f(a)`` becomes
``trace.call(f, a)``; ``a / b`` becomes ``trace.binary("div", a, b)``.  Lines, closures, globals and defaults stay the
user's own: the tracer arrives through one more closure cell.
"""

from __future__ import annotations

import ast
import copy
import inspect
import linecache
import sysconfig
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["code_objects", "instrument", "is_users", "source_tree"]

TRACE = "__symgrad_trace__"
_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_LEFT_ALONE = {"super", "locals", "globals", "print", "range", "len", "enumerate", "zip", "isinstance", "type", "dict"}
_LIBRARIES = tuple(
    str(Path(p)) for k, p in sysconfig.get_paths().items() if k in ("stdlib", "platstdlib", "purelib", "platlib")
)
_OURS = str(Path(__file__).resolve().parent.parent)


def is_users(function: Any) -> bool:
    """Whether a function is the user's own: not from the standard library, an installed package or symgrad."""
    code = getattr(function, "__code__", None)
    if not isinstance(function, types.FunctionType) or code is None:
        return False
    file = code.co_filename
    return not file.startswith((*_LIBRARIES, _OURS, "<frozen", "<string>", "<@"))


def source_tree(function: types.FunctionType) -> tuple[ast.AST, int] | None:
    """The syntax tree of a function or lambda with the user's own line numbers, or None where no source is found."""
    try:
        lines, start = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    text = "".join(lines)
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:
        tree = _parse_fragment(text)
    if tree is None:
        return None
    ast.increment_lineno(tree, max(start, 1) - 1)
    found = _find(tree, function)
    return None if found is None else (found, start)


def _parse_fragment(text: str) -> ast.Module | None:
    """A lambda's line is often only a piece of a statement: take the piece from ``lambda`` on that parses."""
    dedented = textwrap.dedent(text)
    start = dedented.find("lambda")
    if start < 0:
        return None
    blank = "".join("\n" if c == "\n" else " " for c in dedented[:start])
    for stop in range(len(dedented), start, -1):
        try:
            tree = ast.parse("(" + blank[1:] + dedented[start:stop] + ")" if blank else dedented[start:stop])
        except SyntaxError:
            continue
        return tree
    return None


def _find(tree: ast.Module, function: types.FunctionType) -> ast.AST | None:
    code = function.__code__
    wanted = ast.Lambda if function.__name__ == "<lambda>" else (ast.FunctionDef, ast.AsyncFunctionDef)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, wanted) or (wanted is not ast.Lambda and node.name != function.__name__):
            continue
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
        if names == list(code.co_varnames[: code.co_argcount]):
            found.append(node)
    if isinstance(found[0] if found else None, ast.Lambda) and len(found) > 1:
        found = [n for n in found if _same_code(n, function)]
    return found[0] if found else None


def _same_code(node: ast.Lambda, function: types.FunctionType) -> bool:
    code = compile(ast.Expression(copy.deepcopy(node)), "<lambda>", "eval")
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return (
        bool(inner)
        and inner[0].co_code == function.__code__.co_code
        and inner[0].co_consts == (function.__code__.co_consts)
    )


def instrument(function: types.FunctionType, trace: Any) -> types.FunctionType | None:
    """The same function, reporting to ``trace``; None where its source cannot be found."""
    found = source_tree(function)
    if found is None:
        return None
    node, _ = found
    node = copy.deepcopy(node)
    code = function.__code__
    rewritten = _Rewriter().visit(node)
    if isinstance(rewritten, ast.Lambda):
        body: list[ast.stmt] = [ast.Return(rewritten)]
    else:
        rewritten.decorator_list = []
        rewritten.args.defaults = [ast.Constant(None) for _ in rewritten.args.defaults]
        rewritten.args.kw_defaults = [None if d is None else ast.Constant(None) for d in rewritten.args.kw_defaults]
        body = [rewritten, ast.Return(ast.Name(rewritten.name, ast.Load()))]
    free = [TRACE, *code.co_freevars]
    factory = ast.FunctionDef(
        name="__factory__",
        args=ast.arguments([], [ast.arg(n) for n in free], None, [], [], None, []),
        body=body,
        decorator_list=[],
    )
    module = ast.fix_missing_locations(ast.Module([factory], []))
    compiled = compile(module, code.co_filename, "exec")
    outer = next(c for c in compiled.co_consts if isinstance(c, types.CodeType))
    inner = next(c for c in outer.co_consts if isinstance(c, types.CodeType) and c.co_name == code.co_name)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells[TRACE] = types.CellType(trace)
    if not set(inner.co_freevars) <= set(cells):
        return None  # a recursive inner function: its own name would be a new cell
    made = types.FunctionType(
        inner,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        tuple(cells[n] for n in inner.co_freevars),
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    return made


def code_objects(code: types.CodeType) -> list[types.CodeType]:
    """A code object and all those nested in it."""
    found = [code]
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            found += code_objects(c)
    return found


def line_of(file: str, line: int) -> str:
    return linecache.getline(file, line).strip()


class _Rewriter(ast.NodeTransformer):
    def _trace(self, method: str, args: list[ast.expr], at: ast.AST, keywords: Any = ()) -> ast.Call:
        target = ast.Attribute(ast.Name(TRACE, ast.Load()), method, ast.Load())
        return ast.copy_location(ast.Call(target, args, list(keywords)), at)

    def _bound(self, node: Any, targets: list[ast.expr]) -> list[ast.stmt]:
        out: list[ast.stmt] = [self.generic_visit(node)]  # type: ignore[list-item]
        for target in targets:
            for name in _names(target):
                value = self._trace("bind", [ast.Constant(name), ast.Name(name, ast.Load())], node)
                out.append(ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), node))
        for statement in out[1:]:
            for part in ast.walk(statement):
                ast.copy_location(part, node)
                if hasattr(part, "end_lineno"):
                    part.end_lineno = part.lineno  # type: ignore[attr-defined]
        return out

    def visit_Assign(self, node: ast.Assign) -> Any:
        return self._bound(node, node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        return self._bound(node, [node.target])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return self._bound(node, [node.target]) if node.value else node

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _LEFT_ALONE:
            return node
        return self._trace("call", [node.func, *node.args], node, node.keywords)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        name = _BINARY.get(type(node.op))
        return self._trace("binary", [ast.Constant(name), node.left, node.right], node) if name else node


def _names(target: ast.expr) -> list[str]:
    """The variables that an assignment to ``target`` binds or changes."""
    match target:
        case ast.Name(id=name):
            return [name]
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return [n for e in elements for n in _names(e)]
        case ast.Starred(value=value) | ast.Subscript(value=value):
            return _names(value)
    return []


def instrumented_if_users(function: Any, trace: Any) -> Callable[..., Any] | None:
    """The instrumented form of a user's function or bound method, else None."""
    if isinstance(function, types.MethodType) and is_users(function.__func__):
        made = instrument(function.__func__, trace)  # type: ignore[arg-type]
        return None if made is None else types.MethodType(made, function.__self__)
    if is_users(function):
        return instrument(function, trace)
    return None
