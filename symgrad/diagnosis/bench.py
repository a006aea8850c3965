"""A bench on which edited expressions are computed: at every sample of a scene, many at once where they are scalars.

In code that works on single numbers entry by entry, the samples lie side by side in one array and a thousand
candidates are one array program; other code is run sample by sample.  Typed formulas are read here and never run as
code.  Closeness in float64 is only a filter: what passes it is judged by the whole pipeline afterwards.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import math
import operator
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.line_limits import SLOWER, TooLong, calls_functions, counted
from symgrad.diagnosis.scope import Scene, as_array, same, scope_of
from symgrad.evaluation.floats import Floats
from symgrad.lifting.text.tensor_words import ATTRIBUTES, SAME_WORD, WORDS
from symgrad.lifting.tracing.sources import is_users_file
from symgrad.ops.scalars import OPS, find
from symgrad.program.builder import Builder
from symgrad.program.program import Program, interpret

HOLE = "_X_"
_NEAR = 1e-8  # a filter, not a verdict
_MOST_TRIES = 6000  # edits of array code that are computed one by one
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}
_UNSAFE = frozenset("pop append extend remove insert clear next print input open exec send write".split())


@dataclass(frozen=True, eq=False)
class Edit:
    """``text`` is the whole expression after the edit; ``before`` and ``after`` the part that changed.

    ``kind`` is the family of the edit, ``cost`` how large and how strange it is; ``of`` the kind of atom put in.
    """

    text: str
    before: str
    after: str
    kind: str
    cost: float
    of: str = ""


class Bench:
    """Computes expressions in the scope of a scene.

    ``batch`` says that the samples lie side by side: a value is then an array with one entry for each sample, and a
    candidate's place (`HOLE`) may hold many rows of them.
    """

    def __init__(self, scopes: list[dict[str, Any]], wanted: list[np.ndarray], plain: int, typed: bool) -> None:
        self.scopes, self.plain, self.typed = scopes, plain, typed
        self.wanted = wanted
        self.batch = False
        self.count = 0  # candidates computed
        self.edits: dict[str, dict[str, Edit]] = {}  # what was found of each text: of a small search, for a larger one
        self.products: dict[Any, Any] = {}  # of two names, by shape
        self.most = _MOST_TRIES
        self.accepts: list[Callable[[Any], bool]] = []
        self.side: dict[str, Any] = {}
        self.goal = np.zeros(0)
        self.lines: int | None = None  # of the user's functions that one run may take; None where it calls none
        self.forgotten: frozenset[str] = frozenset()  # names that the code computes and uses nowhere
        self.elsewhere: tuple[str, ...] = ()  # what the same variable is in other functions
        self.alike: tuple[tuple[str, str], ...] = ()  # the line as others are written, and the names of these
        self.named: frozenset[float] = frozenset()  # sizes of the numbers that the code has under a name
        self.clipped: Mapping[str, set[str]] = {}  # names that the user clipped -> the names they were clipped from

    # ---------------------------------------------------------------------------- computing
    def compiled(self, text: str) -> Any:
        return _parsed(text) if self.typed else _compiled(text)

    def run(self, code: Any, k: int, hole: Any = None) -> Any:
        """The value of compiled code at sample ``k`` (in batch mode at all of them), the hole filled with ``hole``."""
        scope = self.side if self.batch else self.scopes[k]
        with np.errstate(all="ignore"):
            if self.typed:
                return _read(code, scope, hole)
            if self.lines is None:
                return eval(code, scope, {HOLE: hole})
            try:
                with counted(is_users_file, self.lines):
                    return eval(code, scope, {HOLE: hole})
            except TooLong:
                raise RuntimeError("the expression takes many more lines of code than as it was written") from None

    def chance(self, number: float | Fraction) -> float:
        """What it costs that a number is the size of an array in scope, or a number that the code has under a name, or
        one over it: rather that is meant."""
        if number and (abs(number) in self.named or abs(1 / number) in self.named):
            return 0.8
        shapes = (getattr(v, "shape", ()) for v in self.scopes[0].values() if isinstance(v, (np.ndarray, torch.Tensor)))
        size = max(number, 1 / number) if number > 0 else 0
        return 0.8 if size > 2 and any(size in shape for shape in shapes) else 0.0

    def goes_through(self, text: str) -> bool:
        """Whether a loop may go through what an expression gives."""
        try:
            return isinstance(self.run(self.compiled(text), 0), Iterable)
        except Exception:  # an edit may well be nonsense
            return False

    def limit_lines(self, text: str) -> None:
        """Give up what takes many more lines of the user's own functions than ``text`` does, where it calls any."""
        if not calls_functions(ast.parse(f"({text}\n)", mode="eval"), self.scopes[0]):
            return
        code = self.compiled(text)
        with contextlib.suppress(Exception), counted(is_users_file) as lines:
            self.run(code, 0)
            self.lines = SLOWER * lines[0] if lines[0] else None

    def values(self, text: str) -> list[Any] | np.ndarray:
        """The value of an expression at every sample; raises what the expression raises."""
        code = self.compiled(text)
        if self.batch:
            return np.broadcast_to(np.asarray(as_array(self.run(code, 0)), float), self.goal.shape)
        return [self.run(code, k) for k in range(len(self.scopes))]

    def fits(self, text: str) -> bool:
        """Whether an expression gives what is wanted at every sample that counts."""
        self.count += 1
        try:
            code = self.compiled(text)
            if self.batch:
                value = np.broadcast_to(np.asarray(as_array(self.run(code, 0)), float), self.goal.shape)
                return bool(self.rows(value[None])[0])
            return all(self.right(self.run(code, k), k) for k in range(self.plain))
        except Exception:  # an edit may well be nonsense: of other shapes, undefined, no number
            return False

    def everywhere(self, text: str) -> bool:
        """Whether it gives what is wanted also where the data were moved."""
        try:
            code = self.compiled(text)
            if self.batch:
                value = np.broadcast_to(np.asarray(as_array(self.run(code, 0)), float), self.goal.shape)
                return bool(np.all(np.abs(value - self.goal) <= _NEAR * np.abs(self.goal) + 1e-13))
            return all(self.right(self.run(code, k), k) for k in range(len(self.wanted)))
        except Exception:
            return False

    def right(self, value: Any, k: int) -> bool:
        """Whether a value is what is wanted at sample ``k``, or makes what comes of it right."""
        return self.accepts[k](value) if self.accepts else same(value, self.wanted[k])

    def rows(self, many: np.ndarray) -> np.ndarray:
        """Which rows of values give what is wanted."""
        n = self.plain
        with np.errstate(all="ignore"):
            goal = self.goal[:n]
            near = np.abs(many[..., :n] - goal) <= _NEAR * np.abs(goal) + 1e-13 * (goal == 0)
        return near.all(axis=-1)

    # ---------------------------------------------------------------------------- side by side
    def lay_side_by_side(self, text: str) -> bool:
        """Go to batch mode, if the expression then gives what it gives sample by sample."""
        if any(w.ndim or w.dtype.kind == "c" for w in self.wanted) or not self.wanted:
            return False
        try:
            one_by_one = [float(as_array(self.run(self.compiled(text), k))) for k in range(len(self.scopes))]
        except Exception:
            return False
        side: dict[str, Any] = {}
        for name, first in self.scopes[0].items():
            many = [scope.get(name, first) for scope in self.scopes]
            side[name] = _together(many)
        self.side = {n: v for n, v in side.items() if v is not None}
        self.goal = np.array([float(w) for w in self.wanted])
        self.batch = True
        try:
            value = np.broadcast_to(np.asarray(as_array(self.run(self.compiled(text), 0)), float), self.goal.shape)
            if same(value.copy(), np.array(one_by_one)):
                return True
        except Exception:
            pass
        self.batch = False
        return False


@functools.lru_cache(8192)
def _parsed(text: str) -> ast.expr:
    return ast.parse(f"({text}\n)", mode="eval").body


@functools.lru_cache(8192)
def _compiled(text: str) -> Any:
    return compile(f"({text}\n)", "<edit>", "eval")


def bench_of(scene: Scene) -> Bench | None:
    """The bench of a function's line; None where the line must not be computed out of its place."""
    calls = {
        n.func.id if isinstance(n.func, ast.Name) else n.func.attr
        for n in ast.walk(scene.site.expression.tree)
        if isinstance(n, ast.Call) and isinstance(n.func, (ast.Name, ast.Attribute))
    }
    in_place = any(name.endswith("_") and not name.endswith("__") for name in calls)
    if calls & _UNSAFE or in_place or not scene.plain:
        return None
    scopes = [scope_of(scene, k) for k in range(len(scene.envs))]
    bench = Bench(scopes, scene.wanted, scene.plain, False)
    bench.clipped = _clipped(scene.site.unit.node)
    bench.accepts = scene.accepts
    bench.limit_lines(scene.site.expression.text)
    if not bench.accepts:
        bench.lay_side_by_side(scene.site.expression.text)
    return bench


def _clipped(whole: ast.AST) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in ast.walk(whole):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=f) as call):
                called = f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "")
                if called in ("clamp", "clip", "clamp_min", "clamp_max", "maximum", "minimum", "max", "min", "relu"):
                    found[name] = {n.id for n in ast.walk(call) if isinstance(n, ast.Name)}
    return found


def uses_tensors(bench: Bench) -> bool:
    return any(isinstance(v, torch.Tensor) for v in bench.scopes[0].values())


# ------------------------------------------------------------------------------------------------ together


def _together(many: list[Any]) -> Any:
    """One value of several samples: numbers side by side, functions made to work on arrays; None if it cannot be."""
    first: Any = many[0]
    if isinstance(first, torch.Tensor):
        if all(isinstance(x, torch.Tensor) and x.ndim == 0 for x in many):
            return torch.stack([x.double() for x in many]) if first.is_floating_point() else first
        return None
    if isinstance(first, (float, np.floating)) and all(isinstance(x, (float, int, np.number)) for x in many):
        return np.array([float(x) for x in many])
    if isinstance(first, np.ndarray):
        return np.array([float(x) for x in many]) if all(np.ndim(x) == 0 for x in many) else None
    if first is math:
        return _Math()
    if isinstance(first, (list, tuple)):
        parts = [_together([x[i] for x in many]) for i in range(len(first))]
        return None if any(p is None for p in parts) else parts
    if isinstance(first, types.BuiltinFunctionType) and first.__module__ == "math":
        return _vectorized(first)
    if isinstance(first, types.FunctionType):
        return _Either(first)
    return first


class _Math:
    """The math module for arrays."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(math, name)
        return _vectorized(value) if callable(value) else value


def _vectorized(function: Any) -> Any:
    name = {"pow": "power", "fabs": "abs", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}
    name |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
    own = str(function.__name__)
    known = getattr(np, name.get(own, own), None)
    if isinstance(known, np.ufunc):
        return known
    return np.vectorize(function, otypes=[float])


class _Either:
    """A helper of the user's: on arrays as it is, or number by number."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            return self.function(*args, **options)
        except TypeError:
            return np.vectorize(self.function, otypes=[float])(*args, **options)


# ------------------------------------------------------------------------------------------------ typed formulas


def _read(node: Any, scope: Mapping[str, Any], hole: Any) -> Any:
    """A typed formula's tree in floats, without running it as code."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return hole if name == HOLE else scope[name]
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return -_read(a, scope, hole)
        case ast.UnaryOp(op=ast.UAdd(), operand=a):
            return _read(a, scope, hole)
        case ast.BinOp(left=a, op=op, right=b):
            return _BINARY[type(op)](_read(a, scope, hole), _read(b, scope, hole))
        case ast.Attribute(value=a, attr=name) if name in ATTRIBUTES:
            return _of_arrays(ATTRIBUTES[name], [_read(a, scope, hole)])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=options):
            given = [_read(a, scope, hole) for a in args]
            word = SAME_WORD.get(name, name)
            if word in WORDS and np.ndim(given[0]):
                named = [_read(k.value, scope, hole) for k in options]
                count = WORDS[word].count
                return _of_arrays(word, given[:count], *(int(x) for x in (*given[count:], *named)))
            row = find(name) if name not in OPS else OPS[name]
            if row is None or options:
                raise KeyError(name)
            row = OPS[row] if isinstance(row, str) else row
            return row.torch(*(torch.as_tensor(np.asarray(x, dtype=np.float64)) for x in given)).numpy()
    raise KeyError(type(node).__name__)


def _of_arrays(word: str, given: Sequence[Any], option: int | None = None) -> np.ndarray:
    """What a word about arrays gives: its own steps, run in floats."""
    arrays = [np.asarray(x, dtype=np.float64) for x in given]
    looked = arrays if WORDS[word].looks else ()
    shapes = tuple(x.shape for x in arrays)
    program = _steps_of(word, shapes, option) if not len(looked) else _written(word, shapes, option, looked)
    values = {f"x{k}": torch.from_numpy(np.ascontiguousarray(x)) for k, x in enumerate(arrays)}
    return interpret(program, Floats(), values)[program.outputs["value"]].numpy()


def _written(word: str, shapes: Sequence[Any], option: int | None, looked: Sequence[Any] = ()) -> Program:
    b = Builder()
    inputs = [b.input(f"x{k}", shape) for k, shape in enumerate(shapes)]
    WORDS[word].shape(word, shapes, option)  # raises where it does not take them
    return b.build({"value": WORDS[word].steps(b, inputs, option, looked)})


_steps_of = functools.lru_cache(256)(_written)
