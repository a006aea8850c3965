"""The user's source text: the syntax tree of a function, and the statement and columns where a running frame stands."""

from __future__ import annotations

import ast
import bisect
import contextlib
import copy
import functools
import inspect
import io
import linecache
import sysconfig
import tokenize
import types
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import symgrad
from symgrad.program.program import Source

# ------------------------------------------------------------------------------------------------------------- sources

_LIBRARIES = tuple(
    str(Path(p)) for k, p in sysconfig.get_paths().items() if k in ("stdlib", "platstdlib", "purelib", "platlib")
)
_OURS = str(Path(symgrad.__file__).resolve().parent)
_NOT_THE_USERS = (*_LIBRARIES, _OURS, "<frozen", "<@", "<__array_function__")


# ------------------------------------------------------------------------------------------------ whose code it is


def is_users(code: types.CodeType) -> bool:
    """Whether code is the user's own: not from the standard library, an installed package or symgrad."""
    return is_users_file(code.co_filename)


@functools.lru_cache(maxsize=4096)
def is_users_file(name: str) -> bool:
    """Packages stand in more places than this environment's own: the user's, the system's, one that it is built on."""
    return not name.startswith(_NOT_THE_USERS) and not {"site-packages", "dist-packages"} & set(Path(name).parts)


def unwrapped(function: Any) -> types.FunctionType | None:
    """The Python function behind a function or a bound method, else None."""
    target = getattr(function, "__func__", function)
    return target if isinstance(target, types.FunctionType) else None


def code_objects(code: types.CodeType) -> list[types.CodeType]:
    """A code object and all those nested in it."""
    found = [code]
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            found += code_objects(c)
    return found


# ------------------------------------------------------------------------------------------------ syntax trees


def whole_numbers(function: types.FunctionType) -> set[int]:
    """The whole numbers that a function writes down, those in tuples too, and those that its names stand for.

    >>> sorted(whole_numbers(lambda x: x[:40] if len(x) > 7 else x))
    [7, 40]
    """
    found = [x for code in code_objects(function.__code__) for x in code.co_consts]
    with contextlib.suppress(ValueError):  # a name that has no value yet
        beside = inspect.getclosurevars(function)
        found += [*beside.globals.values(), *beside.nonlocals.values()]
    parts = [x for c in found if isinstance(c, (tuple, frozenset)) for x in c]
    bounds = [x for c in found if isinstance(c, slice) for x in (c.start, c.stop, c.step)]
    return {x for x in (*found, *parts, *bounds) if type(x) is int}


@functools.lru_cache(maxsize=64)  # each point is a run of the same code
def _definitions(text: str) -> dict[int, list[Any]]:
    """Every function and lambda of a file, by the line that its code object starts at."""
    found: dict[int, list[Any]] = {}
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return found
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            decorators = getattr(node, "decorator_list", [])
            found.setdefault(min([node.lineno, *(d.lineno for d in decorators)]), []).append(node)
    return found


def node_of(function: types.FunctionType) -> ast.FunctionDef | ast.Lambda | None:
    """The syntax tree of a function or lambda, with the file's own line numbers; None where no source is found."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    found = [n for n in _definitions(text).get(code.co_firstlineno, ()) if _matches(n, code)] if text else []
    return min(found, key=lambda n: (n.end_lineno, n.end_col_offset), default=None)  # the innermost of lambdas


def _matches(node: Any, code: types.CodeType) -> bool:
    if getattr(node, "name", "<lambda>") != code.co_name:
        return False
    if [a.arg for a in (*node.args.posonlyargs, *node.args.args)] != list(code.co_varnames[: code.co_argcount]):
        return False
    if not isinstance(node, ast.Lambda):
        return isinstance(node, ast.FunctionDef)
    body = node.body  # several lambdas may stand on one line: the one whose body this code computes
    first, last = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    known = [p for p in code.co_positions() if None not in p and p[2:] != (0, 0)]
    starts, ends = zip(*(((p[0], p[2]), (p[1], p[3])) for p in known), strict=True) if known else ((), ())
    return all(first <= start for start in starts) and all(end <= last for end in ends) and _begins(body, starts)


def _begins(body: ast.expr, starts: Collection[tuple[int, int]]) -> bool:
    """Whether an instruction stands where the first part of an expression does that has any."""
    return any((part.lineno, part.col_offset) in starts for part in ast.walk(body) if isinstance(part, ast.expr))


# ------------------------------------------------------------------------------------------------ places


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement's text on one line, and where each of its lines begins in it."""

    text: str
    line: int
    starts: tuple[tuple[int, int], ...]  # of each line: its indentation cut off, its place in the text

    def offset(self, line: int, column: int) -> int:
        indent, start = self.starts[min(max(line - self.line, 0), len(self.starts) - 1)]
        return max(0, min(start + column - indent, len(self.text)))


def _joined(lines: list[str], first: int, last: int, start: int, stop: int) -> _Statement:
    """Lines ``first`` to ``last`` of a file (from 1), from column ``start`` to ``stop``, without comments or breaks."""
    parts = [uncommented(line.rstrip("\n")) if first != last else line.rstrip("\n") for line in lines[first - 1 : last]]
    parts[-1] = parts[-1][: _characters(lines[last - 1], stop)]
    text, starts = "", []
    for k, part in enumerate(parts):
        indent = _characters(lines[first - 1], start) if k == 0 else len(part) - len(part.lstrip())
        piece = part[indent:].rstrip().removesuffix("\\").rstrip() if k < len(parts) - 1 else part[indent:].rstrip()
        space = "" if not text or text[-1] in "([{" or piece[:1] in ")]}" else " "
        starts.append((indent, len(text) + len(space)))
        text += space + piece
    return _Statement(text, first, tuple(starts))


def uncommented(line: str) -> str:
    """A line without its comment; as it is where it cannot be read by itself."""
    if "#" not in line:
        return line
    try:
        for token in tokenize.generate_tokens(io.StringIO(line).readline):
            if token.type == tokenize.COMMENT:
                return line[: token.start[1]]
    except (tokenize.TokenError, SyntaxError):
        return line
    return line


def _characters(line: str, column: int) -> int:
    """A column that counts UTF-8 bytes, as the compiler's do, in characters."""
    return column if line.isascii() else len(line.encode()[:column].decode(errors="ignore"))


class Places:
    """Where frames of the user's code stand; each instruction's `Source` is made once for all runs of the code."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], Source] = {}  # by a code and an instruction
        self._codes: dict[int, tuple[types.CodeType, Tree | None]] = {}  # kept, so that the codes' ids stay theirs

    def add(self, code: types.CodeType, tree: Tree | None) -> None:
        """Code of the user's, and the tree that it was compiled from."""
        for c in code_objects(code):
            self._codes[id(c)] = (c, tree)
            if tree is not None:
                self.known |= tree.sources.get(id(c), {})

    def __contains__(self, code: types.CodeType) -> bool:
        return id(code) in self._codes

    def at(self, frame: types.FrameType) -> Source:
        key = (id(frame.f_code), frame.f_lasti)
        found = self.known.get(key)
        if found is None:
            tree = self._codes[id(frame.f_code)][1]
            found = Source("", frame.f_code.co_filename, frame.f_lineno) if tree is None else tree.source(frame)
            self.known[key] = found
        return found


class Tree:
    """The syntax tree of a function: its simple statements, in order of their place, and where its code was seen."""

    def __init__(self, node: ast.AST) -> None:
        found: list[Any] = [node] if isinstance(node, ast.Lambda) else []
        parts = list(ast.walk(node))
        found += [s for s in parts if isinstance(s, ast.stmt) and not hasattr(s, "body")]
        found.sort(key=lambda s: (s.lineno, s.col_offset))
        self.floats = frozenset(n.value for n in parts if isinstance(n, ast.Constant) and type(n.value) is float)
        self.starts = [(s.lineno, s.col_offset) for s in found]
        self.statements = found
        self.sources: dict[int, dict[tuple[int, int], Source]] = {}  # by the ids of codes
        self._spots: dict[int, tuple[types.CodeType, list[Any]]] = {}  # these codes, kept, and their instructions'
        self._texts: dict[int, _Statement] = {}

    def source(self, frame: types.FrameType) -> Source:
        """Where a frame of code that was compiled from the tree stands."""
        code = frame.f_code
        if id(code) not in self._spots:
            self._spots[id(code)] = code, list(code.co_positions())
            self.sources[id(code)] = {}
        found = self._found(frame, self._spots[id(code)][1][frame.f_lasti // 2])
        self.sources[id(code)][id(code), frame.f_lasti] = found
        return found

    def _found(self, frame: types.FrameType, spot: tuple[int | None, ...]) -> Source:
        file = frame.f_code.co_filename
        lines = linecache.getlines(file, frame.f_globals)
        line, end_line, column, end_column = spot
        line = line or frame.f_lineno
        if not 0 < line <= len(lines):  # what stands in the file there is not this code
            return Source("", file, line)
        statement = self.statement(lines, line, column or 0)
        if statement is None:
            statement = _joined(lines, line, line, len(lines[line - 1]) - len(lines[line - 1].lstrip()), 10**6)
        span = None
        if column is not None and end_column is not None and end_line is not None and end_line <= len(lines):
            start = statement.offset(line, _characters(lines[line - 1], column))
            span = start, max(start, statement.offset(end_line, _characters(lines[end_line - 1], end_column)))
        return Source(statement.text, file, statement.line, span)

    def statement(self, lines: list[str], line: int, column: int) -> _Statement | None:
        k = bisect.bisect_right(self.starts, (line, column)) - 1
        if k < 0 or self.statements[k].end_lineno < line:
            return None
        if k not in self._texts:
            s = self.statements[k]
            self._texts[k] = _joined(lines, s.lineno, min(s.end_lineno, len(lines)), s.col_offset, s.end_col_offset)
        return self._texts[k]


tree_of = functools.lru_cache(maxsize=256)(Tree)  # each point is a run of the same code


def place(source: Source | None) -> str | None:
    """A place as messages show it: ``file:line    text``, with carets under the part of the text that is meant."""
    if source is None:
        return None
    head = f"    {source.file}:{source.line}    "
    if source.span is None or source.span[0] >= len(source.text) or source.span == (0, len(source.text)):
        return head + source.text
    start, stop = source.span
    return f"{head}{source.text}\n{' ' * (len(head) + start)}{'^' * max(1, stop - start)}"


# ----------------------------------------------------------------------------------------------------- instrumentation
# The user's function, rewritten so that a tracer sees its names, its calls and its arithmetic on plain numbers.
#
# Five rewrites of the syntax tree, nothing else: after ``x = ...`` comes ``x = trace.bind("x", x)``; ``f(a)`` becomes
# ``trace.call(f, a)``; ``a / b`` becomes ``trace.binary("div", a, b)``; what is looked up outside of the function, in
# an attribute or in a container becomes ``trace.outer(...)``; loops, comparisons and subscripts tell the course of the
# run.  Lines, columns, closures, globals and defaults stay the user's own: the tracer arrives through one more closure
# cell.

TRACE = "__symgrad_trace__"
_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow", ast.Mod: "mod"}
_BINARY[ast.MatMult] = "matmul"
_COMPARED = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_COLUMNS = 100_000  # a place in a text as one number
_TURN = "__symgrad_turn__"
# these look at the frame that calls them, or never at a number
_LEFT_ALONE = frozenset(
    "super locals globals vars dir eval exec print range enumerate zip isinstance issubclass hasattr type dict "
    "list tuple set iter next id repr str".split()
)


def instrument(function: types.FunctionType, trace: Any, rewriter: Any) -> tuple[types.FunctionType, Tree] | None:
    """The same function, reporting to ``trace``, and its tree; None where its source cannot be found."""
    code = function.__code__
    node = node_of(function)
    if node is None:
        return None
    owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
    made = _compiled(node, code, owner if owner.isidentifier() else "", code.co_filename, rewriter)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells[TRACE] = types.CellType(trace)
    if made is None or not set(made.co_freevars) <= set(cells):
        return None
    closure = tuple(cells[n] for n in made.co_freevars)
    twin = types.FunctionType(made, function.__globals__, function.__name__, function.__defaults__, closure)
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__qualname__ = function.__qualname__
    twin.__module__ = function.__module__
    twin.__dict__.update(vars(function))
    return twin, tree_of(node)


@functools.lru_cache(maxsize=1024)
def _compiled(node: Any, code: types.CodeType, owner: str, file: str, rewriter: Any) -> types.CodeType | None:
    """The rewritten code, taken from a factory whose arguments are the free variables, so that they stay free.

    ``owner`` is the class of a method: private names are mangled with it, and super() needs its cell.  ``file`` is the
    code's: two files of the same text have equal code objects, and each is to keep its own name.
    """
    rewritten: Any = rewriter().visit(copy.deepcopy(node))
    defaults = rewritten.args
    defaults.defaults = [ast.Constant(None) for _ in defaults.defaults]
    defaults.kw_defaults = [None if d is None else ast.Constant(None) for d in defaults.kw_defaults]
    free = ", ".join(n for n in (TRACE, *code.co_freevars) if n != "__class__")
    module = ast.parse(f"class {owner}:\n def __factory__({free}): pass" if owner else f"def __factory__({free}): pass")
    factory: Any = module.body[0]
    factory = factory.body[0] if owner else factory
    if isinstance(rewritten, ast.Lambda):
        factory.body = [ast.Return(rewritten)]
    else:
        rewritten.decorator_list, rewritten.returns = [], None
        if rewritten.name in set(code.co_names) - set(code.co_freevars) - set(code.co_varnames):
            rewritten.body.insert(0, ast.Global([rewritten.name]))  # one that calls itself is not the factory's
        factory.body = [rewritten]
    found = [compile(ast.fix_missing_locations(module), file, "exec")]
    while found:
        c = found.pop(0)
        if (c.co_name, c.co_firstlineno, c.co_argcount) == (code.co_name, node.lineno, code.co_argcount):
            return c
        found += [x for x in c.co_consts if isinstance(x, types.CodeType)]
    return None


def _as_value(place: ast.expr) -> ast.expr:
    """What stands between brackets, as an expression: a slice is made."""
    if not isinstance(place, ast.Slice):
        return place
    bounds = [b or ast.copy_location(ast.Constant(None), place) for b in (place.lower, place.upper, place.step)]
    return ast.copy_location(ast.Call(ast.copy_location(ast.Name("slice", ast.Load()), place), bounds, []), place)


class Rewriter(ast.NodeTransformer):
    """Code that reports to a tracer; a variable of another scope, such as a module's cache, is never bound anew."""

    def __init__(self) -> None:
        self._own: list[frozenset[str]] = []  # the names that each function around has for itself
        self._ending = False  # whether this is a condition on which a loop ends

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, _SCOPES):
            return super().visit(node)
        parts = node.body if isinstance(node.body, list) else [node.body]
        arguments = (a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg))
        self._own.append(frozenset((*arguments, *(n for part in parts for n in self.own_names(part)))))
        try:
            return super().visit(node)
        finally:
            self._own.pop()

    def own_names(self, part: ast.AST) -> Iterator[str]:
        """The names that a function binds itself where ``part`` is in its body: what is assigned to there."""
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
        if isinstance(part, ast.comprehension):  # its variable is its own
            inner = [part.iter, *part.ifs]
        else:
            inner = () if isinstance(part, (*_SCOPES, ast.ClassDef)) else ast.iter_child_nodes(part)
        for one in inner:
            yield from self.own_names(one)

    def tell(self, method: str, args: list[ast.expr], at: ast.expr | ast.stmt, keywords: Any = ()) -> ast.Call:
        """A call of one of the tracer's methods, which stands where ``at`` stands."""
        target: Any = ast.Name(TRACE, ast.Load())
        for name in method.split("."):
            target = ast.Attribute(target, name, ast.Load())
        parts: Any = ast.walk(target)
        for part in parts:  # a point: the compiler counts a method call's lines from its name's end
            part.lineno = part.end_lineno = at.lineno
            part.col_offset = part.end_col_offset = at.col_offset
        return ast.copy_location(ast.Call(target, args, list(keywords)), at)

    def _bound(self, node: Any, targets: list[ast.expr]) -> list[ast.stmt]:
        names = dict.fromkeys(n for target in targets for n in assigned_names(target))  # as the user wrote them
        out: list[ast.stmt] = [self.generic_visit(node)]  # type: ignore[list-item]
        for name in names:
            if self._own and name not in self._own[-1]:
                continue
            out.append(self._again("bind", name, node))
        return out

    def _again(self, method: str, name: str, node: ast.stmt) -> ast.stmt:
        """``name = trace.method("name", name)``, where ``node`` stands."""
        word, value, target = (
            ast.copy_location(part, node)
            for part in (ast.Constant(name), ast.Name(name, ast.Load()), ast.Name(name, ast.Store()))
        )
        return ast.copy_location(ast.Assign([target], self.tell(method, [word, value], node)), node)

    def visit_Assign(self, node: ast.Assign) -> Any:
        return self._bound(node, node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        return self._bound(node, [node.target])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return self._bound(node, [node.target]) if node.value else node

    def visit_Expr(self, node: ast.Expr) -> Any:
        """A statement that is a call may write into its arguments: ``np.add.at(dw, i, g)``, ``dw.fill(0)``."""
        if not isinstance(node.value, ast.Call):
            return self.generic_visit(node)
        call = node.value
        parts = [*call.args, *(k.value for k in call.keywords)]
        parts += [call.func.value] if isinstance(call.func, ast.Attribute) else []
        names = dict.fromkeys(part.id for part in parts if isinstance(part, ast.Name))
        out: list[ast.stmt] = [self.generic_visit(node)]  # type: ignore[list-item]
        for name in names if not _is_left_alone(call.func) else ():
            if not self._own or name in self._own[-1]:
                out.append(self._again("rebound", name, node))
        return out

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Any:
        self.generic_visit(node)
        node.value = self.tell("bind", [ast.Constant(node.target.id), node.value], node)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute):
            node.func.value = self.visit(node.func.value)
        elif not isinstance(node.func, ast.Name):
            node.func = self.visit(node.func)
        node.args, node.keywords = [self.visit(a) for a in node.args], [self.visit(k) for k in node.keywords]
        if _is_left_alone(node.func):
            if isinstance(node.func, ast.Name) and node.func.id == "range":
                node.args = [self._told("course.index", a) for a in node.args]
            return node
        return self.tell("call", [node.func, *node.args], node, node.keywords)

    def visit_Name(self, node: ast.Name) -> Any:
        around = bool(self._own) and not any(node.id in own for own in self._own)
        return self.tell("outer", [node], node) if around and isinstance(node.ctx, ast.Load) else node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        self.generic_visit(node)
        if node.attr in ("shape", "size") and isinstance(node.ctx, ast.Load):
            return self.tell("extent", [node.value, ast.Constant(node.attr)], node)
        return self.tell("outer", [node], node) if isinstance(node.ctx, ast.Load) else node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        joins = isinstance(node.value, ast.Attribute) and node.value.attr in ("r_", "c_")
        self.generic_visit(node)
        if joins:
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return self.tell("course.joined", [node.value, *map(_as_value, parts)], node)
        if not isinstance(node.ctx, ast.Load):
            return node
        if not isinstance(node.slice, (ast.Slice, ast.Tuple, ast.Constant, ast.Starred)):
            return self.tell("outer", [self.tell("course.entry", [node.value, node.slice], node)], node)
        node.slice = self._told("course.index", node.slice)
        return self.tell("outer", [node], node)

    # ------------------------------------------------------------------------------------ the course of a run
    def visit_For(self, node: ast.For) -> Any:
        self.generic_visit(node)
        node.iter = self.tell("course.each", [node.iter], node.iter)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        self.generic_visit(node)
        if not node.is_async:
            node.iter = self.tell("course.each", [node.iter], node.iter)
        return node

    def visit_While(self, node: ast.While) -> Any:
        node.test = self._at_an_end(node.test)
        node.body, node.orelse = (
            [out for s in part for out in _listed(self.visit(s))] for part in (node.body, node.orelse)
        )
        place = ast.Constant(node.lineno * _COLUMNS + node.col_offset)
        if isinstance(node.test, ast.Constant) and node.test.value:  # it is left from inside
            each = self.tell("course.endless", [], node.test)
            return ast.copy_location(ast.For(ast.Name(_TURN, ast.Store()), each, node.body, []), node)
        args = [place, self.tell("course.mark", [], node.test), node.test]
        node.test = self.tell("course.again", args, node.test)
        begin = ast.copy_location(ast.Expr(self.tell("course.begin", [place], node)), node)
        return [begin, node]

    def visit_If(self, node: ast.If) -> Any:
        """Where all that is done is to leave, the number of turns says it."""
        if not node.orelse and len(node.body) == 1 and isinstance(node.body[0], (ast.Break, ast.Raise)):
            node.test = self._at_an_end(node.test)
            node.body = [out for s in node.body for out in _listed(self.visit(s))]
            return node
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> Any:
        node.test = self._at_an_end(node.test)
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        word = _COMPARED.get(type(node.ops[0])) if len(node.ops) == 1 else None
        if word is None or self._ending:
            return node
        return self.tell("course.compared", [ast.Constant(word), node.left, node.comparators[0]], node)

    def _at_an_end(self, test: ast.expr) -> ast.expr:
        """A condition on which a loop or the run ends: what it compares is told by the turns."""
        before, self._ending = self._ending, True
        try:
            return self.visit(test)
        finally:
            self._ending = before

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        calls = [c.func for s in node.body for c in ast.walk(s) if isinstance(c, ast.Call)]
        names = {f.id if isinstance(f, ast.Name) else f.attr for f in calls if isinstance(f, (ast.Name, ast.Attribute))}
        self.generic_visit(node)
        if node.name in names:
            first = node.body[0]
            start = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            told = ast.copy_location(ast.Expr(self.tell("course.enter", [], node.body[0])), node.body[0])
            node.body = [*node.body[:start], told, *node.body[start:]]
        return node

    def visit_match_case(self, node: ast.match_case) -> Any:  # in a pattern a name is no value
        node.guard = self.visit(node.guard) if node.guard is not None else None
        node.body = [out for s in node.body for out in _listed(self.visit(s))]
        return node

    def _told(self, method: str, node: ast.expr) -> ast.expr:
        """An expression whose value is told to the tracer, if it is one that the code computes."""
        match node:
            case ast.Slice(lower=low, upper=high, step=step):
                node.lower, node.upper, node.step = (x and self._told(method, x) for x in (low, high, step))
                return node
            case ast.Tuple(elts=parts):
                node.elts = [self._told(method, part) for part in parts]
                return node
            case ast.Constant() | ast.Starred() | ast.UnaryOp(operand=ast.Constant()):
                return node
        return self.tell(method, [node], node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        node.value = self.visit(node.value)  # what says how to write it stays a text of its own kind
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        self.generic_visit(node)
        return self.tell("text", [self.tell("fresh", [], node), node], node)

    def visit_Try(self, node: ast.Try) -> Any:
        self.generic_visit(node)
        enter, leave = (
            ast.copy_location(ast.Expr(self.tell("attempt", [ast.Constant(n)], node.body[0])), node.body[0])
            for n in (1, -1)
        )
        node.body.insert(0, enter)
        node.finalbody.insert(0, leave)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        name = _BINARY.get(type(node.op))
        return self.tell("binary", [ast.Constant(name), node.left, node.right], node) if name else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        self.generic_visit(node)
        number = isinstance(node.operand, ast.Constant)
        return self.tell("negative", [node.operand], node) if isinstance(node.op, ast.USub) and not number else node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.body = [self.visit(s) if isinstance(s, ast.FunctionDef) else s for s in node.body]
        return node


def _is_left_alone(called: ast.expr) -> bool:
    return isinstance(called, ast.Name) and called.id in _LEFT_ALONE


def _listed(made: Any) -> list[Any]:
    return made if isinstance(made, list) else [made]


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def assigned_names(target: ast.expr) -> list[str]:
    """The variables that an assignment to ``target`` binds or changes."""
    match target:
        case ast.Name(id=name):
            return [name]
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return [n for e in elements for n in assigned_names(e)]
        case ast.Starred(value=value) | ast.Subscript(value=value):
            return assigned_names(value)
    return []
