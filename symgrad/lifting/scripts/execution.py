"""Scripts -> one trace: the code is run, instrumented, in a namespace of its own.

Another point is another run, with other values in the leaves (see `symgrad.lifting.scripts.script_tracer`).
"""

from __future__ import annotations

import ast
import contextlib
import copy
import functools
import io
import itertools
import linecache
import random
import sys
import traceback
import types
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from symgrad.errors import BadInput, SymgradError, UserCodeFailed
from symgrad.lifting.scripts.child_process import limited
from symgrad.lifting.scripts.clipping import may_clip, unclipped
from symgrad.lifting.scripts.extraction import Pasted
from symgrad.lifting.scripts.further_outputs import More
from symgrad.lifting.scripts.ordered_sets import OrderedSet
from symgrad.lifting.scripts.repeatable import is_repeatable, is_size, single_targets
from symgrad.lifting.scripts.script_record import Given, Key, Limits, Reached
from symgrad.lifting.scripts.script_tracer import ScriptTracer
from symgrad.lifting.scripts.solvers import NAMES
from symgrad.lifting.scripts.training_loops import lines_by_name
from symgrad.lifting.scripts.watcher import Watcher
from symgrad.lifting.tracing.sources import TRACE, Rewriter, Tree
from symgrad.lifting.tracing.surroundings import neutral, printed_into

# ------------------------------------------------------------------------------------------------------------- sandbox
# The surroundings of one run: fixed seeds, captured output, limits; the next run begins with the same.


class Limited(io.StringIO):
    """What is printed, up to a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.cut = 0

    def write(self, text: str) -> int:
        room = max(0, self.limit - self.tell())
        self.cut += max(0, len(text) - room)
        return super().write(text[:room])


class World:
    random = False  # whether the run drew numbers


@contextlib.contextmanager
def surroundings(seed: int, out: io.StringIO, file: str, limits: Limits, *, watched: bool = False) -> Iterator[World]:
    """Fixed seeds, captured output; afterwards modes and generators are as they were.  Whether numbers were drawn is
    found where that is ``watched``: a look at the generators costs as much as a short run."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    argv, path = sys.argv, list(sys.path)
    world = World()
    sys.argv = [file]
    if not file.startswith("<") and (folder := Path(file).parent).is_dir():
        sys.path.insert(0, str(folder.resolve()))  # modules beside it
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if torch.cuda.is_initialized():
        torch.manual_seed(seed)
    torch.default_generator.manual_seed(seed)  # in a hundredth of the time
    before = _states() if watched else None
    try:
        with neutral(), warnings.catch_warnings(), printed_into(out):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(io.StringIO()), limited(file, limits.seconds, limits.memory):
                yield world
    finally:
        world.random = watched and _states() != before
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        sys.argv, sys.path[:] = argv, path


def _states() -> tuple[Any, ...]:
    numpy: Any = np.random.get_state()
    return random.getstate(), numpy[1].tobytes(), numpy[2], torch.get_rng_state().numpy().tobytes()


class _Notebook:
    """What ``get_ipython()`` gives in a script that was a notebook: its magics do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None


def namespace(file: str) -> dict[str, Any]:
    own = {"__name__": "__main__", "__file__": file, "__doc__": None, "__annotations__": {}}
    return {**own, "get_ipython": _Notebook, "set": OrderedSet}


# ----------------------------------------------------------------------------------------------------------- execution

_FILES = itertools.count(1)
_NAMES: dict[str, str] = {}


@dataclass(eq=False)
class ScriptRun:
    """Everything that one run showed."""

    trace: ScriptTracer
    namespace: dict[str, Any]
    printed: str
    cut: int  # characters that were printed beyond the limit
    random: bool
    stopped: str | None  # the assertion, or the exit, that ended the script


@dataclass(frozen=True, eq=False)
class Script:
    """A script that can be run; ``given`` maps variables to the input that they hold, see `ScriptTracer`."""

    pasted: Pasted
    file: str
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    around: Mapping[str, Any] = field(default_factory=dict)  # variables that it finds, as in a notebook
    followed: frozenset[str] = frozenset()  # variables whose plain numbers carry steps too
    until: frozenset[Key] = frozenset()  # variables after which a run ends
    more: More = frozenset()  # what is computed besides
    enough: int | None = None  # operations after which a loop that goes on is not followed any more: `TrainingLoops`

    @classmethod
    def of(
        cls,
        pasted: Pasted,
        file: str | None,
        seed: int,
        limits: Limits | None = None,
        around: Mapping[str, Any] | None = None,
    ) -> Script:
        if file is None:
            file = _NAMES.get(pasted.code)
            if file is None:
                n = next(_FILES)
                file = _NAMES[pasted.code] = "<pasted>" if n == 1 else f"<pasted {n}>"
        lines = [line + "\n" for line in pasted.lines]
        linecache.cache[file] = (len(pasted.code), None, lines, file)
        return cls(pasted, file, seed, limits or Limits(), around or {})

    def run(
        self, values: Mapping[str, np.ndarray] | None = None, given: Mapping[Key, Given] | None = None
    ) -> ScriptRun:
        """Run the script under a tracer.

        ``values`` maps the inputs' names to other values; ``given`` says which variables hold an input.  Raises
        `UserCodeFailed` where the script itself fails, with the line; `BadInput` beyond the limits.
        """
        trace = ScriptTracer(self.limits, values or {}, given or {}, self.followed, self.until)
        code, tree = _instrumented(self.pasted, self.file, self.more)
        trace.places.add(code, Tree(tree))
        trace.loops.enough, trace.loops.by_name = self.enough, lines_by_name(self.pasted.tree)
        space = {**namespace(self.file), **self._found()}
        trace.found(space)
        space[TRACE] = trace
        out = Limited(self.limits.printed)
        with surroundings(self.seed, out, self.file, self.limits, watched=True) as world:
            stopped = None
            try:
                with trace.running():
                    exec(code, space)
            except Reached:
                if trace.loops.left_at:
                    stopped = "a loop goes on, and its first turns tell what it does"
            except AssertionError as error:
                stopped = f"line {_line(error, self.file)}: {_first(error, 'the assertion fails')}"
            except (SystemExit, KeyboardInterrupt) as error:
                stopped = f"it ends itself with {'exit()' if isinstance(error, SystemExit) else 'an interrupt'}"
            except SymgradError:
                raise
            except Exception as error:
                if trace.checked:  # it goes on with what a solver would have found
                    stopped = f"line {_line(error, self.file)}: {_first(error, '')}"
                else:
                    raise self._failed(error, trace) from error
        trace.loops.enough = None  # its functions may be called later
        return ScriptRun(trace, space, out.getvalue(), out.cut, world.random, stopped)

    def plain(self) -> dict[str, Any]:
        """The script's variables after a run without a tracer."""
        space = {**namespace(self.file), **self._found()}
        out = Limited(self.limits.printed)
        with surroundings(self.seed, out, self.file, self.limits), np.errstate(all="ignore"):
            self._silently(space)
        return space

    def watched(self, watcher: Watcher, names: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        """The script's variables after a run that ``watcher`` follows, with another text and more names where given.

        Raises what the code itself raises.
        """
        pasted = self.pasted if text is None else self.pasted.edited(text)
        space = {**namespace(self.file), **self._found(), **names, TRACE: watcher}
        parts = _marked(pasted, self.file, self.more)
        out = Limited(self.limits.printed)
        ends = contextlib.suppress(Reached, AssertionError, SystemExit, KeyboardInterrupt)
        with surroundings(self.seed, out, self.file, self.limits), np.errstate(all="ignore"), ends:
            for part in parts:
                exec(part, space)
        watcher.is_on = False  # its functions may be called later
        return space

    def defined(self) -> dict[str, Any]:
        """What it has defined without a tracer, by its end or by where it fails: a check of its own may."""
        space = {**namespace(self.file), **self._found()}
        out = Limited(self.limits.printed)
        with contextlib.suppress(Exception), surroundings(self.seed, out, self.file, self.limits):
            self._silently(space)
        return space

    def _found(self) -> dict[str, Any]:
        """The variables around the script that it uses; tensors, arrays and modules are copied, so that they stay."""
        used = {n.id for n in ast.walk(self.pasted.tree) if isinstance(n, ast.Name)} if self.around else set()
        return {n: _copied(v) for n, v in self.around.items() if n in used}

    def _silently(self, space: dict[str, Any]) -> None:
        with contextlib.suppress(AssertionError, SystemExit, KeyboardInterrupt):
            exec(compile(unclipped(self.pasted.tree), self.file, "exec"), space)

    def _failed(self, error: Exception, trace: ScriptTracer) -> SymgradError:
        line = _line(error, self.file)
        text = linecache.getline(self.file, line).strip() if line else ""
        where = f"    {self.file}:{line}    {text}" if line else None
        if isinstance(error, MemoryError) or ("alloc" in str(error) and isinstance(error, RuntimeError)):
            return BadInput(
                f"the script takes more memory than it may, {self.limits.memory / 2**30:.3g} GiB: {_first(error, '')}",
                where=where,
                instead="Make it smaller, or give it more: symgrad.Limits(memory=...), in bytes.",
            )
        told = " ".join(part for part in (_missing(error), trace.understood()) if part)
        return UserCodeFailed(f"the script itself fails: {_first(error, '')}", where=where, instead=told or None)


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and not value.is_leaf:
        return value.detach().clone()
    if isinstance(value, (torch.Tensor, torch.nn.Module, np.ndarray, list, dict)):
        try:
            return copy.deepcopy(value)
        except (TypeError, RuntimeError):  # something in it cannot be copied
            return value
    return value


def _missing(error: Exception) -> str:
    """What to do about a name or a module that is not there."""
    name = getattr(error, "name", None)
    if isinstance(error, UnboundLocalError) or not name:
        return ""
    if isinstance(error, NameError):
        return f"Give {name} a value in the script, such as small numbers, or pass namespace={{{name!r}: ...}}."
    if isinstance(error, ModuleNotFoundError):
        return f"Install {name} here, or write what it gives into the script."
    return ""


def _first(error: BaseException, default: str) -> str:
    text = str(error).splitlines()[0] if str(error).strip() else default
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line(error: BaseException, file: str) -> int | None:
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            found = line
    if found is None and isinstance(error, SyntaxError):
        return error.lineno
    return found


# ------------------------------------------------------------------------------------------------ instrumenting


class _ScriptRewriter(Rewriter):
    """What else scripts do: attributes and items, what is printed and returned, arguments, and the turns of loops."""

    def __init__(self) -> None:
        super().__init__()
        self._functions: list[str] = []

    def _bound(self, node: Any, targets: list[ast.expr]) -> list[ast.stmt]:
        if isinstance(node, ast.Assign) and is_size(node.value):  # W may be a width here, and weights elsewhere
            return [self.generic_visit(node)]  # type: ignore[list-item]
        told = []
        for target in [t for whole in targets for t in single_targets(whole)]:
            match target:
                case ast.Attribute(value=owner, attr=name) if is_repeatable(owner):
                    args = [ast.Constant(ast.unparse(target)), copy.deepcopy(owner), ast.Constant(name)]
                    told.append(self._placed(ast.Expr(self.tell("attribute", args, node)), node))
                case ast.Subscript(value=box, slice=index) if is_repeatable(box) and is_repeatable(index):
                    args = [ast.Constant(ast.unparse(box)), copy.deepcopy(box), copy.deepcopy(index)]
                    told.append(self._placed(ast.Expr(self.tell("item", args, node)), node))
            match target:
                case ast.Subscript(value=ast.Attribute(value=owner, attr=name) as box) if is_repeatable(owner):
                    args = [ast.Constant(ast.unparse(box)), copy.deepcopy(owner), ast.Constant(name)]
                    told.append(self._placed(ast.Expr(self.tell("rewritten", args, node)), node))
        return [*super()._bound(node, targets), *told]

    def visit_Expr(self, node: ast.Expr) -> Any:
        """``setattr(owner, name, value)`` is an assignment to an attribute; a notebook shows what stands by itself."""
        match node.value:
            case ast.Call(func=ast.Name(id="setattr"), args=[owner, name, _]) if is_repeatable(owner):
                path = ast.BinOp(ast.Constant(f"{ast.unparse(owner)}."), ast.Add(), copy.deepcopy(name))
                told = self.tell("attribute", [path, copy.deepcopy(owner), copy.deepcopy(name)], node)
                return [self.generic_visit(node), self._placed(ast.Expr(told), node)]
            case ast.Call() | ast.Constant() | ast.Yield() | ast.YieldFrom() | ast.Await():
                return super().visit_Expr(node)
        return self._shown(node)

    def _shown(self, node: Any) -> Any:
        self.generic_visit(node)
        node.value = self.tell("shown", [node.value], node)
        return node

    def visit_Return(self, node: ast.Return) -> Any:
        self.generic_visit(node)
        if node.value is not None and self._functions:
            node.value = self.tell("returned", [ast.Constant(self._functions[-1]), node.value], node)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            self.generic_visit(node)
            node.args = [
                a if isinstance(a, (ast.Constant, ast.JoinedStr, ast.Starred)) else self.tell("shown", [a], a)
                for a in node.args
            ]
            return node
        return super().visit_Call(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        self.generic_visit(node)
        node.value = self.tell("shown", [node.value], node)
        return node

    def visit_For(self, node: ast.For) -> Any:
        super().visit_For(node)
        node.body = [*self._tick(node), *node.body]
        return node

    def visit_While(self, node: ast.While) -> Any:
        made = super().visit_While(node)
        loop: Any = made[-1] if isinstance(made, list) else made
        loop.body = [*self._tick(node), *loop.body]
        return made

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        entered = [s for n in names if n not in ("self", "cls") for s in self._assigned(node.body[0], n, "entered")]
        has_text = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        start = 1 if has_text and len(node.body) > 1 else 0
        node.body = [*node.body[:start], *entered, *node.body[start:]]
        return node

    def _tick(self, at: Any) -> list[ast.stmt]:
        return [self._placed(ast.Expr(self.tell("tick", [ast.Constant(at.lineno)], at)), at)]

    def _assigned(self, at: ast.stmt, name: str, method: str) -> list[ast.stmt]:
        value = self.tell(method, [ast.Constant(name), ast.Name(name, ast.Load())], at)
        return [self._placed(ast.Assign([ast.Name(name, ast.Store())], value), at)]

    def _placed(self, made: Any, at: ast.AST) -> Any:
        ast.copy_location(made, at)
        for part in ast.walk(made):
            ast.copy_location(part, at)
        return made


class _Complemented(ast.NodeTransformer):
    """Code that computes ``more``: what its functions of gradients are of, and what it does in some turns alone."""

    def __init__(self, more: More) -> None:
        self._more = dict(more)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        self.generic_visit(node)
        if node.lineno in self._more:
            made: Any = ast.parse(self._more[node.lineno]).body
            for part in (x for s in made for x in ast.walk(s)):
                ast.copy_location(part, node.body[-1])
            start = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
            node.body = [*node.body[:start], *made, *node.body[start:]]
        return node

    def visit_For(self, node: Any) -> Any:
        """A loop, whose turns begin with it."""
        self.generic_visit(node)
        made: Any = ast.parse(self._more.get(node.lineno, "")).body
        for part in (x for s in made for x in ast.walk(s)):
            ast.copy_location(part, node.body[0])
        node.body = [*made, *node.body]
        return node

    visit_While = visit_For

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if node.lineno in self._more:
            node.test = ast.copy_location(ast.Constant(True), node.test)
        return node


class EventRewriter(_ScriptRewriter):
    """What gets a name, and nothing else: for runs without a tracer.

    Where one statement was edited, the others are known: with ``lines``, the text of the tree, and ``numbers``, those
    that its lines are to have, what becomes of a statement depends on these and on the function that it stands in.
    Statements are shared between trees then, and nothing changes them.
    """

    _known: ClassVar[dict[Any, Any]] = {}
    _at_most = 4096

    def __init__(self, lines: Sequence[str] | None = None, numbers: Sequence[int] = ()) -> None:
        super().__init__()
        self._lines, self._numbers = lines, numbers

    visit_Name = visit_Attribute = visit_Subscript = visit_BinOp = visit_UnaryOp = ast.NodeTransformer.generic_visit
    visit_JoinedStr = visit_FormattedValue = visit_Try = visit_Compare = ast.NodeTransformer.generic_visit
    visit_comprehension = visit_If = visit_Assert = _shown = ast.NodeTransformer.generic_visit

    def visit(self, node: Any) -> Any:
        if self._lines is None or not isinstance(node, ast.stmt):
            return super().visit(node)
        if hasattr(node, "body") or hasattr(node, "cases"):
            numbered(_header(node), self._numbers)
            made = super().visit(node)
            for part in _header(made):
                for inner in ast.iter_child_nodes(part):
                    if "lineno" in inner._attributes and not hasattr(inner, "lineno"):
                        ast.copy_location(inner, part if hasattr(part, "lineno") else made)
            return made
        rows = slice(node.lineno - 1, node.end_lineno)
        around = self._own[-1] if self._own else None, *self._functions[-1:]
        key = (*self._spot(node), *self._numbers[rows], *around)
        if key not in self._known:
            numbered(ast.walk(node), self._numbers)
            made = super().visit(node)
            for part in made if isinstance(made, list) else [made]:
                ast.fix_missing_locations(part)
            self._keep(key, made)
        return self._known[key]

    def own_names(self, part: ast.AST) -> Iterator[str]:
        if self._lines is None or not isinstance(part, ast.stmt) or hasattr(part, "body") or hasattr(part, "cases"):
            return super().own_names(part)
        key = self._spot(part)
        if key not in self._known:
            self._keep(key, list(super().own_names(part)))
        return iter(self._known[key])

    def _spot(self, node: ast.stmt) -> tuple[Any, ...]:
        assert self._lines is not None
        return *self._lines[node.lineno - 1 : node.end_lineno], node.col_offset, node.end_col_offset

    def _keep(self, key: tuple[Any, ...], value: Any) -> None:
        if len(self._known) >= self._at_most:
            self._known.clear()
        self._known[key] = value

    def visit_For(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body = [*self._tick(node), *node.body]
        return node

    visit_While = visit_For

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        for s in node.body:
            if self._lines is not None and not isinstance(s, ast.FunctionDef):
                numbered(ast.walk(s), self._numbers)
        return super().visit_ClassDef(node)

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return self.tell("call", [node.func, *node.args], node, node.keywords) if called in _CHECKS else node


def _header(statement: ast.stmt) -> list[ast.AST]:
    """A compound statement's own nodes: all but the statements in it."""
    found: list[ast.AST] = [statement]
    for node in found:
        found += [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.stmt)]
    return found


_CHECKS = (*NAMES, "gradcheck", "gradgradcheck")


@functools.lru_cache(maxsize=256)  # each point is a run, and they are all of the same text
def _instrumented(pasted: Pasted, file: str, more: More) -> tuple[types.CodeType, ast.Module]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree, other = (unclipped(pasted.tree) for _ in range(2))  # reading it again is cheaper than a copy
        for one in (tree, other):
            numbered(ast.walk(one), pasted.numbers)
        made = _ScriptRewriter().visit(_Complemented(more).visit(other))
        return compile(ast.fix_missing_locations(made), file, "exec"), tree


def numbered(nodes: Iterable[Any], numbers: Sequence[int]) -> None:
    """Give nodes other lines: those of the script as it was written, by which events are known."""
    for node in nodes:
        if hasattr(node, "lineno"):
            last = node.end_lineno or node.lineno
            node.lineno = numbers[node.lineno - 1]
            node.end_lineno = max(node.lineno, numbers[last - 1])


def _marked(pasted: Pasted, file: str, more: More) -> list[types.CodeType]:
    """The code of a script's statements, one after the other: where one was edited, the others are known."""
    lines, numbers = pasted.lines, pasted.numbers
    if pasted.written is not None and len(numbers) == len(pasted.written.splitlines()):
        with contextlib.suppress(SyntaxError):  # what is cut elsewhere than between statements is no code
            return _parts_of(lines, numbers, _ranges(pasted.written), file, more)
    return _parts_of(lines, numbers, _ranges(pasted.code), file, more)


def _parts_of(
    lines: Sequence[str], numbers: Sequence[int], ranges: Sequence[tuple[int, int]], file: str, more: More
) -> list[types.CodeType]:
    return [_part("\n".join(lines[i - 1 : j]), tuple(numbers[i - 1 : j]), file, more) for i, j in ranges]


@functools.lru_cache(maxsize=64)
def _ranges(code: str) -> list[tuple[int, int]]:
    """The first and last lines of each statement, or of those that share a line; each line is in one of them."""
    starts, last = [1], 0
    for s in ast.parse(code).body:
        first = min([s.lineno, *(d.lineno for d in getattr(s, "decorator_list", ()))])
        starts += [first] if last and first > last else []
        last = max(last, s.end_lineno or first)
    return [*zip(starts, [*(k - 1 for k in starts[1:]), len(code.splitlines())], strict=True)]


@functools.lru_cache(maxsize=512)
def _part(text: str, numbers: tuple[int, ...], file: str, more: More) -> types.CodeType:
    """Code that reports its events alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
        if more or may_clip(text):  # a statement becomes what others say
            numbered(ast.walk(tree), numbers)
            tree = _Complemented(more).visit(unclipped(tree))
            tree = ast.fix_missing_locations(EventRewriter().visit(tree))
        else:
            tree = EventRewriter(text.split("\n"), numbers).visit(tree)
        return compile(tree, file, "exec")
