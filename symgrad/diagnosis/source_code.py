"""Code that can be looked into, edited and run again, and where in it each expression stands."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import itertools
import linecache
import sys
import textwrap
import types
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from symgrad.errors import SymgradError
from symgrad.evaluation.floats import wide_by_default
from symgrad.lifting.tracing.functions import Function
from symgrad.lifting.tracing.sources import assigned_names, node_of
from symgrad.program.program import Binding, Program, Source

# ---------------------------------------------------------------------------------------------------- source positions
# Where a line stands in the user's own text: units of code, expressions and their spans, and text with edits made.
#
# A `Unit` is one piece of text that can be edited and run again: a function, a lambda, or a typed formula.  An
# `Expression` is the part of it that a faulty line computes.  Everything that an edit does not touch stays as it was
# typed, comments and spaces included.

_COUNTER = itertools.count()
_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)


@dataclass(frozen=True, eq=False)
class Unit:
    """A function's own text, from the column where it begins, or a class's, or a whole script's; ``first`` is its first
    line in ``file``.  A script has no ``function``; ``namespace`` has the functions and modules that it defines and
    imports.
    """

    function: Any  # a plain Python function, or a class
    text: str
    file: str
    first: int
    node: ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.Module
    namespace: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_lambda(self) -> bool:
        return isinstance(self.node, ast.Lambda)

    @property
    def scope(self) -> dict[str, Any]:
        """The names that the unit finds outside of itself: globals, and what it closes over."""
        f = self.function
        if f is None:
            return dict(self.namespace)
        if isinstance(f, type):
            return dict(vars(sys.modules[f.__module__]))
        found = dict(f.__globals__)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # not assigned yet
                found[name] = cell.cell_contents
        return found

    def covers(self, source: Source) -> bool:
        """Whether a place in the user's code is in this unit."""
        line = source.line
        return source.file == self.file and line is not None and self.first <= line < self.first + self._height

    @property
    def _height(self) -> int:
        return self.text.count("\n") + 1


@dataclass(frozen=True, eq=False)
class Expression:
    """The expression of one statement: its span in the unit's text, and how it makes the value that is bound.

    ``target`` is the assignment's target, ``op`` the operator of an augmented assignment.
    """

    start: int
    end: int
    text: str
    tree: ast.expr
    statement: ast.stmt | None
    target: ast.expr | None = None
    op: ast.operator | None = None


def function_unit(function: Any) -> Unit | None:
    """The unit of a function; None where its source cannot be found."""
    target = inspect.unwrap(getattr(function, "__func__", function))
    if not isinstance(target, types.FunctionType):
        return None
    node = node_of(target)
    if node is None:
        return None
    file = target.__code__.co_filename
    lines = "".join(linecache.getlines(file, target.__globals__))
    if isinstance(node, ast.Lambda):
        text = ast.get_source_segment(lines, node)
        if text is None:
            return None
        tree: Any = ast.parse(f"({text}\n)", mode="eval").body
        return Unit(target, text, file, node.lineno, tree)
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    text = textwrap.dedent("".join(lines.splitlines(keepends=True)[first - 1 : node.end_lineno]))
    try:
        tree = ast.parse(text).body[0]
    except SyntaxError:
        return None
    return Unit(target, text, file, first, tree) if isinstance(tree, ast.FunctionDef) else None


def class_unit(found: type, file: str) -> Unit | None:
    """The unit of a class that stands by itself in a file; None of another, or where its source cannot be found."""
    if getattr(sys.modules.get(found.__module__), found.__qualname__, None) is not found:
        return None
    methods = [m for m in vars(found).values() if isinstance(m, types.FunctionType)]
    if not any(m.__code__.co_filename == file for m in methods):
        return None
    lines = "".join(linecache.getlines(file, methods[0].__globals__))
    with contextlib.suppress(SyntaxError):
        for node in ast.parse(lines).body:
            if isinstance(node, ast.ClassDef) and node.name == found.__name__:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                text = "".join(lines.splitlines(keepends=True)[first - 1 : node.end_lineno])
                return Unit(found, text, file, first, ast.parse(text).body[0])  # type: ignore[arg-type]
    return None


# ------------------------------------------------------------------------------------------------ spans


def span(text: str, node: ast.AST, *, shift: int = 0) -> tuple[int, int]:
    """The characters of ``text`` that a node of its tree stands on; ``shift`` columns were put before line one.

    A tuple without brackets of its own, such as ``i, j``, stands on what was put around it as well, of which nothing
    is told.
    """
    lines = text.splitlines(keepends=True) or [""]

    def place(line: int, column: int) -> int:
        if line > len(lines):  # a tuple without brackets, read in those that were put around the text
            return len(text)
        if line == 1:
            column = max(column - shift, 0)
        row = lines[line - 1]
        inside = column if row.isascii() else len(row.encode()[:column].decode(errors="ignore"))
        return sum(map(len, lines[: line - 1])) + inside

    n: Any = node
    return place(n.lineno, n.col_offset), place(n.end_lineno, n.end_col_offset)


def statement_at(unit: Unit, line: int | None, name: str | None) -> ast.stmt | None:
    """The simple statement on a line of the user's file, the one that binds ``name`` if there are several."""
    if line is None or unit.is_lambda:
        return None
    here = line - unit.first + 1
    found = [
        s for s in ast.walk(unit.node) if isinstance(s, _SIMPLE) and s.lineno <= here <= (s.end_lineno or s.lineno)
    ]
    binding = [s for s in found if name in _bound(s)]
    return (binding or found or [None])[0]


def lines_before(unit: Unit, line: int | None, name: str | None) -> list[tuple[int, str]]:
    """The lines of the user's file, each with its text, that bind what the statement on a line uses; not those that
    only begin with a number what other lines go on with."""
    statement = statement_at(unit, line, name)
    used = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)} if statement is not None else set()
    binding = [s for s in ast.walk(unit.node) if isinstance(s, _SIMPLE)]
    times = Counter(n for s in binding for n in _bound(s))
    found = (s for s in binding if s is not statement and not used.isdisjoint(_bound(s)))
    return [(unit.first + s.lineno - 1, ast.unparse(s)) for s in found if not _only_begins(s, times)]


def _only_begins(s: ast.stmt, times: Mapping[str, int]) -> bool:
    numbers = isinstance(s, ast.Assign) and all(isinstance(n, _NUMBERS) for n in ast.walk(s.value))
    return numbers and all(times[n] > 1 for n in _bound(s))


_NUMBERS = (ast.Constant, ast.Tuple, ast.List, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)


def line_around(unit: Unit, expression: Expression) -> tuple[str, int] | None:
    """The line that an expression stands in, and at which column; None where it goes over several."""
    if "\n" in expression.text or unit.is_lambda:
        return None
    start = unit.text.rfind("\n", 0, expression.start) + 1
    line = unit.text[start : (unit.text + "\n").index("\n", start)]
    return line.strip(), expression.start - start - (len(line) - len(line.lstrip()))


def _bound(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.Assign(targets=targets):
            return [n for t in targets for n in assigned_names(t)]
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return assigned_names(target)
    return []


def expression_of(unit: Unit, statement: ast.stmt | None, name: str, place: int = 0) -> Expression | None:
    """The expression that gives ``name`` its value in a statement, or that a function returns for ``name``.

    ``place`` is where ``name`` stands among the returned values, for a function that returns a tuple.
    """
    shift, value, target, op = 0, None, None, None
    match statement:
        case None if isinstance(unit.node, ast.Lambda):
            value, shift = _returned(unit.node.body, name, place), 1
        case ast.Assign(targets=[*_, ast.Tuple(elts=names) | ast.List(elts=names)], value=ast.Tuple(elts=values)):
            pairs = [(t, v) for t, v in zip(names, values) if name in assigned_names(t)]
            target, value = pairs[0] if pairs and len(names) == len(values) else (None, None)
        case ast.Assign(targets=targets, value=v):
            target = next((t for t in targets if name in assigned_names(t)), targets[0])
            value = v if not isinstance(target, (ast.Tuple, ast.List)) else None
        case ast.AugAssign(target=t, op=o, value=v):
            target, op, value = t, o, v
        case ast.AnnAssign(target=t, value=v):
            target, value = t, v
        case ast.Return(value=v):
            value = _returned(v, name, place) if v is not None else None
    if value is None:
        return None
    start, end = span(unit.text, value, shift=shift)
    text = unit.text[start:end]
    try:
        tree = ast.parse(f"({text}\n)", mode="eval").body
    except SyntaxError:
        return None
    return Expression(start, end, text, tree, statement, target, op)


def _returned(value: ast.expr, name: str, place: int) -> ast.expr | None:
    match value:
        case ast.Dict(keys=keys, values=values):
            return next(
                (v for k, v in zip(keys, values) if isinstance(k, ast.Constant) and _is_for(k.value, name)), None
            )
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords) if keywords:
            return next((k.value for k in keywords if _is_for(k.arg, name)), None)
        case ast.Tuple(elts=values):
            return values[place] if place < len(values) else None
    return value


def _is_for(key: Any, name: str) -> bool:
    """Whether a key is an input's name, as it is or with its dots as underscores."""
    return key in (name, name.replace(".", "_"))


# ------------------------------------------------------------------------------------------------ edited text


def edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """The text with each (start, end) replaced; the spans do not overlap.

    >>> edited("a * b  # why", [(4, 5, "(b + c)")])
    'a * (b + c)  # why'
    """
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def rebuild(
    function: Any, text: str, names: Mapping[str, Any] | None = None, *, shown: bool = True
) -> Callable[..., Any] | None:
    """The function whose text was edited: the same globals, closure and defaults.

    ``names`` are put beside the globals; ``shown`` says that its source can be found again.  None where the text does
    not compile.
    """
    if isinstance(function, type):
        return _class_again(function, text, names or {}, shown)
    old = function.__code__
    is_lambda = old.co_name == "<lambda>"
    inner = f"return ({text}\n)" if is_lambda else text
    free = ", ".join(n for n in old.co_freevars if n != "__class__")
    whole = f"def __factory__({free}):\n{textwrap.indent(inner, ' ')}\n"
    file = f"<repaired {next(_COUNTER)}>"
    try:
        code = compile(whole, file, "exec")
    except SyntaxError:
        return None
    made = _nested(code, old.co_name if not is_lambda else "<lambda>", depth=2)
    cells = dict(zip(old.co_freevars, function.__closure__ or (), strict=True))
    if made is None or not set(made.co_freevars) <= set(cells):
        return None
    if shown:
        linecache.cache[file] = (len(whole), None, whole.splitlines(keepends=True), file)
    scope = {**function.__globals__, **(names or {})} if names else function.__globals__
    out = types.FunctionType(
        made, scope, function.__name__, function.__defaults__, tuple(cells[n] for n in made.co_freevars)
    )
    out.__kwdefaults__ = function.__kwdefaults__
    return out


def _class_again(old: type, text: str, names: Mapping[str, Any], shown: bool) -> Any:
    """The class whose text was edited, in a copy of its module's globals."""
    file = f"<repaired {next(_COUNTER)}>"
    scope = {**vars(sys.modules[old.__module__]), **names}
    try:
        exec(compile(text, file, "exec"), scope)
    except Exception:  # an edit may well be nonsense
        return None
    if shown:
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    return scope[old.__name__]


def _nested(code: types.CodeType, name: str, depth: int) -> types.CodeType | None:
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            if depth == 1 and c.co_name == name:
                return c
            found = _nested(c, name, depth - 1) if depth > 1 else None
            if found is not None:
                return found
    return None


# ---------------------------------------------------------------------------------------------------------------- code
# Code of the user's that can be looked into while it runs, and run again with its text edited.
#
# `code_of` gives a formula's code, one kind for each kind of formula: functions here, scripts in
# `symgrad.diagnosis.edited_code`, autograd functions in `symgrad.diagnosis.edited_code`.  The search for a repair and
# the rewriting know only what a `Code` can do.

HOOK, TRACE, PUT = "__symgrad_look__", "__symgrad_trace__", "__symgrad_put__"
Plain = Callable[[Mapping[str, Any]], Mapping[str, Any]]  # what code returns at a point, by name


@dataclass(frozen=True, eq=False)
class Watched:
    """A run that was looked into: the Program of all that it computed, the derivation's bindings in their order, and
    its outputs.
    """

    program: Program
    bindings: Sequence[Binding]
    outputs: Mapping[str, int]


class Code(Protocol):
    """The text behind a formula, in units that can be edited by themselves."""

    @property
    def units(self) -> Sequence[Unit]: ...

    @property
    def returned(self) -> Sequence[str] | None:
        """The inputs that it returns gradients for, in order; None where that is the order of the question."""
        ...

    @property
    def bindings(self) -> Sequence[Binding] | None:
        """All that the code binds, where a formula's own bindings are a part of it: one turn of a script's loop."""
        ...

    @property
    def lines(self) -> frozenset[int] | None:
        """The lines that edits are tried in, where the code computes more than the derivation; None for all."""
        ...

    def watched(
        self, unit: Unit, text: str, look: Callable[..., Any], point: Mapping[str, Any], dtypes: Mapping[str, str]
    ) -> Watched:
        """Run the code with another text for a unit, in which ``HOOK(k, TRACE, locals())`` calls ``look``.

        Raises `SymgradError` where it cannot be run so.
        """
        ...

    def edited(self, texts: Mapping[Unit, str]) -> tuple[Any, str] | None:
        """The formula with other texts for some units, and the whole text; None where that is no code."""
        ...

    def plain(self, texts: Mapping[Unit, str], names: Mapping[str, Any]) -> Plain | None:
        """The code with other texts for some units, to be run at points in float64 without a tracer; ``names`` are put
        beside the globals of these units.  None where it cannot be run so."""
        ...


def widely(run: Plain) -> Plain:
    """The same runs, in which what has no dtype of its own is float64 too."""

    def wide(point: Mapping[str, Any]) -> Mapping[str, Any]:
        with wide_by_default():
            return run(point)

    return wide


@functools.singledispatch
def code_of(formula: Any) -> Code | None:
    """The code behind a formula; None for one that has none (text, SymPy, numbers)."""
    return None


# ------------------------------------------------------------------------------------------------ functions


@dataclass(frozen=True, eq=False)
class FunctionCode:
    """A function, and the helpers that it finds among its globals."""

    function: Function
    units: tuple[Unit, ...]
    returned: tuple[str, ...] | None = None
    bindings: Sequence[Binding] | None = None
    lines: frozenset[int] | None = None

    def watched(
        self, unit: Unit, text: str, look: Callable[..., Any], point: Mapping[str, Any], dtypes: Mapping[str, str]
    ) -> Watched:
        made = rebuild(unit.function, text, {HOOK: look, TRACE: None})
        if made is None:
            raise SymgradError("the function could not be compiled again.")
        runnable = made if _is_itself(self.function, unit) else calling(_plain(self.function), unit, made)
        if runnable is None:
            raise SymgradError("the line stands in a function that could not be reached.")
        f = self.function
        program = Function(runnable, f.names, f.library, f.stops).run(point, dtypes).program
        return Watched(program, program.bindings, program.outputs)

    def edited(self, texts: Mapping[Unit, str]) -> tuple[Function, str] | None:
        current = self._changed(texts, {}, shown=True)
        if current is None:
            return None
        parts = [texts[u] for u in self._inner_first(texts)]
        main = function_unit(self.function.function)
        if main is not None and all(u.first != main.first for u in texts):
            parts.append(main.text)
        return current, "\n\n".join(p.rstrip("\n") + "\n" for p in parts) if len(parts) > 1 else parts[0]

    def plain(self, texts: Mapping[Unit, str], names: Mapping[str, Any]) -> Plain | None:
        made = self._changed(texts, names, shown=False)
        return None if made is None else widely(made.plain)

    def _inner_first(self, texts: Mapping[Unit, str]) -> list[Unit]:
        return sorted(texts, key=lambda u: _is_itself(self.function, u))

    def _changed(self, texts: Mapping[Unit, str], names: Mapping[str, Any], *, shown: bool) -> Function | None:
        current, written = self.function, []
        for unit in self._inner_first(texts):  # helpers first: they are called
            helpers = {u.function.__name__: current.function.__globals__[u.function.__name__] for u in written}
            itself = _is_itself(self.function, unit)
            made = rebuild(unit.function, texts[unit], {**names, **(helpers if itself else {})}, shown=shown)
            made = made if itself or made is None else calling(_plain(current), unit, made)
            if made is None:
                return None
            current = replace(current, function=made)
            written.append(unit)
        return current


@code_of.register
def _(formula: Function) -> Code | None:
    main = function_unit(formula.function)
    return FunctionCode(formula, (main, *helpers_of(main))) if main is not None else None


def helpers_of(unit: Unit) -> list[Unit]:
    """The functions and classes of the same file that a function finds among its globals."""
    found = []
    for name in sorted({n.id for n in ast.walk(unit.node) if isinstance(n, ast.Name)}):
        helper = unit.function.__globals__.get(name)
        code = getattr(helper, "__code__", None)
        if code is not None and helper is not unit.function and code.co_filename == unit.file:
            made = function_unit(helper)
            found += [made] if made is not None else []
        elif isinstance(helper, type) and (made := class_unit(helper, unit.file)) is not None:
            found.append(made)
    return found


def _is_itself(function: Function, unit: Unit) -> bool:
    """Whether the unit is the function itself, and not one that it calls."""
    return _plain(function) is unit.function


def _plain(function: Function) -> Any:
    return inspect.unwrap(getattr(function.function, "__func__", function.function))


def calling(target: Any, unit: Unit, made: Any) -> Any:
    """A function with a helper of its globals replaced; None where it does not find the helper there."""
    name = unit.function.__name__
    if not isinstance(target, types.FunctionType) or target.__globals__.get(name) is not unit.function:
        return None
    scope = {**target.__globals__, name: made}
    out = types.FunctionType(target.__code__, scope, target.__name__, target.__defaults__, target.__closure__)
    out.__kwdefaults__ = target.__kwdefaults__
    return out
