"""The user's function, rewritten so that a tracer sees its names, its calls and its arithmetic on plain numbers.

Three rewrites of the syntax tree, nothing else: after ``x = ...`` comes ``x = trace.bind("x", x)``; ``f(a)`` becomes
``trace.call(f, a)``; ``a / b`` becomes ``trace.binary("div", a, b)``.  Lines, columns, closures, globals and defaults
stay the user's own: the tracer arrives through one more closure cell.
"""

from __future__ import annotations

import ast
import copy
import functools
import types
from typing import Any

from symgrad.lifting.tracing.sources import node_of

__all__ = ["instrument"]

_TRACE = "__symgrad_trace__"
_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.Mod: "mod"}
# these look at the frame that calls them, or never at a number
_LEFT_ALONE = frozenset(
    "super locals globals vars dir eval exec print range len enumerate zip isinstance issubclass hasattr type dict "
    "list tuple set iter next id repr str".split()
)


def instrument(function: types.FunctionType, trace: Any) -> tuple[types.FunctionType, ast.AST] | None:
    """The same function, reporting to ``trace``, and its tree; None where its source cannot be found."""
    code = function.__code__
    node = node_of(function)
    if node is None:
        return None
    owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
    made = _compiled(node, code, owner if owner.isidentifier() else "", code.co_filename)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells[_TRACE] = types.CellType(trace)
    if made is None or not set(made.co_freevars) <= set(cells):
        return None
    closure = tuple(cells[n] for n in made.co_freevars)
    twin = types.FunctionType(made, function.__globals__, function.__name__, function.__defaults__, closure)
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__qualname__ = function.__qualname__
    twin.__module__ = function.__module__
    twin.__dict__.update(vars(function))
    return twin, node


@functools.lru_cache(maxsize=1024)
def _compiled(node: ast.FunctionDef | ast.Lambda, code: types.CodeType, owner: str, file: str) -> types.CodeType | None:
    """The rewritten code, taken from a factory whose arguments are the free variables, so that they stay free.

    ``owner`` is the class of a method: private names are mangled with it, and super() needs its cell.  ``file`` is the
    code's: two files of the same text have equal code objects, and each is to keep its own name.
    """
    rewritten: Any = _Rewriter().visit(copy.deepcopy(node))
    defaults = rewritten.args
    defaults.defaults = [ast.Constant(None) for _ in defaults.defaults]
    defaults.kw_defaults = [None if d is None else ast.Constant(None) for d in defaults.kw_defaults]
    free = ", ".join(n for n in (_TRACE, *code.co_freevars) if n != "__class__")
    module = ast.parse(f"class {owner}:\n def __factory__({free}): pass" if owner else f"def __factory__({free}): pass")
    factory: Any = module.body[0]
    factory = factory.body[0] if owner else factory
    if isinstance(rewritten, ast.Lambda):
        factory.body = [ast.Return(rewritten)]
    else:
        rewritten.decorator_list, rewritten.returns = [], None
        factory.body = [rewritten]
    found = [compile(ast.fix_missing_locations(module), file, "exec")]
    while found:
        c = found.pop(0)
        if (c.co_name, c.co_firstlineno, c.co_argcount) == (code.co_name, node.lineno, code.co_argcount):
            return c
        found += [x for x in c.co_consts if isinstance(x, types.CodeType)]
    return None


class _Rewriter(ast.NodeTransformer):
    def _trace(self, method: str, args: list[ast.expr], at: ast.expr | ast.stmt, keywords: Any = ()) -> ast.Call:
        target = ast.Attribute(ast.Name(_TRACE, ast.Load()), method, ast.Load())
        for part in (target, target.value):  # a point: the compiler counts a method call's lines from its name's end
            part.lineno = part.end_lineno = at.lineno
            part.col_offset = part.end_col_offset = at.col_offset
        return ast.copy_location(ast.Call(target, args, list(keywords)), at)

    def _bound(self, node: Any, targets: list[ast.expr]) -> list[ast.stmt]:
        out: list[ast.stmt] = [self.generic_visit(node)]  # type: ignore[list-item]
        for name in dict.fromkeys(n for target in targets for n in _names(target)):
            word, value, target = (
                ast.copy_location(part, node)
                for part in (ast.Constant(name), ast.Name(name, ast.Load()), ast.Name(name, ast.Store()))
            )
            out.append(ast.copy_location(ast.Assign([target], self._trace("bind", [word, value], node)), node))
        return out

    def visit_Assign(self, node: ast.Assign) -> Any:
        return self._bound(node, node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        return self._bound(node, [node.target])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return self._bound(node, [node.target]) if node.value else node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Any:
        self.generic_visit(node)
        node.value = self._trace("bind", [ast.Constant(node.target.id), node.value], node)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _LEFT_ALONE:
            return node
        return self._trace("call", [node.func, *node.args], node, node.keywords)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        name = _BINARY.get(type(node.op))
        return self._trace("binary", [ast.Constant(name), node.left, node.right], node) if name else node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.body = [self.visit(s) if isinstance(s, ast.FunctionDef) else s for s in node.body]
        return node


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
