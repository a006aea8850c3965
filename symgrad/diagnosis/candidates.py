"""The small expressions that an edit may put in: names in scope, numbers, sizes, what the user wrote elsewhere, and
the pieces of the exact derivative, all in the user's own names and spelling.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import itertools
import math
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.bench import Bench, as_array, uses_tensors
from symgrad.diagnosis.sibling_lines import written_alike
from symgrad.lifting.tracing.named_numbers import may_move
from symgrad.ops.scalars import OPS

_ELSEWHERE = 0.15  # what it costs more that a name or an expression is another function's
_KIN = 0.15  # how much likelier a name is that ends as the line's own does: dP_r beside dS_r
_WRITTEN = 0.75  # what a decimal costs that the code has elsewhere
_SMALL = 9  # nodes of an expression of the user's that may be used again elsewhere


@dataclass(frozen=True, eq=False)
class Atom:
    """A small expression: its text, its value at every sample, what it costs to bring in, and where it comes from."""

    text: str
    value: Any
    cost: float
    kind: str  # name, number, size, written, derivative, function


@functools.lru_cache(8192)
def loose(text: str) -> bool:
    """Whether an expression falls apart when it is written beside an operator.

    >>> loose("a + b"), loose("f(a)"), loose("a[0]")
    (True, False, False)
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return True
    if isinstance(node, ast.Constant):
        return text.strip().startswith("-")
    return not isinstance(node, (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.List))


def wrapped(text: str) -> str:
    return f"({text})" if loose(text) else text


# ------------------------------------------------------------------------------------------------ spelling


class Speller:
    """How the user writes functions: ``tanh``, ``np.tanh``, ``torch.tanh`` or ``math.tanh``."""

    def __init__(self, scope: Mapping[str, Any], typed: bool) -> None:
        self.typed = typed
        self.modules = [
            (name, m)
            for name, m in scope.items()
            if isinstance(m, types.ModuleType) and m.__name__ in ("torch", "numpy", "math")
        ]
        self.direct: dict[str, str] = {}
        for name, f in scope.items():
            if callable(f) and not name.startswith("_") and not isinstance(f, type):
                own = getattr(f, "__name__", "")
                if getattr(f, "__module__", "") in ("math", "torch", "numpy") or isinstance(f, np.ufunc):
                    self.direct.setdefault({"power": "pow"}.get(own, own), name)
                elif name in ("sigmoid", "relu", "softmax"):
                    self.direct.setdefault(name, name)
        self.torch = any(isinstance(v, torch.Tensor) for v in scope.values())
        values = list(scope.values())
        self.numpy = not self.torch and any(isinstance(v, (np.ndarray, np.generic)) for v in values)
        like = "torch" if self.torch else "numpy" if self.numpy else "math"
        self.modules.sort(key=lambda pair: pair[1].__name__ != like)

    def function(self, row: str) -> str | None:
        """The name to call a row by, or None."""
        if self.typed:
            return row if row in OPS else None
        names = (row, {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "abs": "fabs"}.get(row, row))
        for n in names:
            if n in self.direct:
                return self.direct[n]
        for alias, module in self.modules:
            for n in names:
                if hasattr(module, n) and (self.torch or module.__name__ != "torch"):
                    return f"{alias}.{n}"
        return None

    def call(self, row: str, x: str) -> str | None:
        f = self.function(row)
        if f is not None:
            return f"{f}({x})"
        match row:
            case "sigmoid":
                e = self.function("exp")
                return f"1/(1 + {e}(-{wrapped(x)}))" if e else None
            case "square":
                return f"{wrapped(x)}**2"
            case "reciprocal":
                return f"1/{wrapped(x)}"
            case "rsqrt":
                return f"{wrapped(x)}**-0.5"
            case "abs":
                return f"abs({x})"
            case "sqrt":
                return f"{wrapped(x)}**0.5"
        return None


# ------------------------------------------------------------------------------------------------ what is in scope


def _number(v: Any) -> bool:
    if isinstance(v, (bool, str)) or v is None:
        return False
    if isinstance(v, torch.Tensor):
        return v.dtype is not torch.bool
    return isinstance(v, (int, float, complex, np.number)) or (isinstance(v, np.ndarray) and v.dtype.kind in "fci")


def names_with_values(bench: Bench, visible: Mapping[str, Any]) -> dict[str, Any]:
    """The variables in scope that hold numbers, with their values at every sample."""
    found: dict[str, Any] = {}
    for name in visible:
        if name.startswith("_") or not name.isidentifier():
            continue
        first = bench.scopes[0].get(name)
        if not _number(first):
            continue
        try:
            found[name] = bench.values(name)
        except Exception:
            continue
    return found


def is_finite(v: Any) -> bool:
    if isinstance(v, np.ndarray):
        return bool(np.isfinite(v).all())
    return all(bool(np.isfinite(as_array(x)).all()) for x in v)


def _settled(v: Any) -> bool:
    """Whether a number hardly changes from sample to sample, such as tanh(40)."""
    return isinstance(v, np.ndarray) and v.ndim == 1 and v.size > 1 and bool(np.ptp(v) <= 1e-6 * np.abs(v).max())


def _key(v: Any) -> Any:
    many = [v] if isinstance(v, np.ndarray) else [as_array(x) for x in v]
    return tuple((x.shape, tuple(np.round(np.asarray(x, complex).ravel()[:6], 9))) for x in many)


def atoms_in(
    bench: Bench, visible: Mapping[str, Any], line: ast.expr, whole: Sequence[ast.AST], own: str
) -> list[Atom]:
    """The atoms that do not need the truth, each value once, the plainest text first.

    ``whole`` are the pieces of code that expressions are taken from: the line's own first.
    """
    used = {n.id for n in ast.walk(line) if isinstance(n, ast.Name)}
    mine = {n.id for n in ast.walk(whole[0]) if isinstance(n, ast.Name)} if whole else set(visible)
    bench.forgotten = _never_used(whole[0]) if whole else frozenset()
    bench.elsewhere = tuple(_assigned(whole[1:], own, line)) if not bench.typed else ()
    bench.alike = tuple(written_alike(whole[0], own, line, bench.scopes[0])) if whole and not bench.typed else ()
    bench.named = frozenset() if bench.typed else frozenset(_named_numbers(bench, visible, whole))
    made: dict[Any, Atom] = {}

    def add(text: str, cost: float, kind: str, value: Any = None) -> None:
        try:
            value = bench.values(text) if value is None else value
            if not _number(value[0]) or not is_finite(value):
                return
            key = (
                text if kind == "name" else kind == "number",
                _key(value),
            )  # which of two names is meant, the line tells
        except Exception:
            return
        old = made.get(key)
        if old is None or cost < old.cost:
            made[key] = Atom(text, value, cost, kind)

    for name, value in names_with_values(bench, visible).items():
        size = isinstance(bench.scopes[0][name], int)
        plain = 0.0 if name.lower().startswith(("d", "grad")) else 0.02  # of two names for a value, the gradient's
        near = 0.4 if name in bench.forgotten else 0.9 + 0.1 * (name not in used) + _ELSEWHERE * (name not in mine)
        kin = _KIN * (name != own and "_" in own and own.rpartition("_")[2] == name.rpartition("_")[2])
        add(name, near + 0.5 * (name == own) + plain - kin, "size" if size else "name", value)
    for text in ("0", "1", "2", "3", "4", "5", "0.5", "-1", "-2", "-3", "0.25", "1.5", "-0.5", "-1.5"):
        cost = 2.0 if text == "0" else 1.0 if len(text) == 1 else 1.1
        add(text, cost + bench.chance(float(text)), "number")
    for text in dict.fromkeys(t for tree in whole for t in _decimals(tree)):
        add(text, _WRITTEN + bench.chance(float(text)), "number")
    if not bench.typed:
        for k, tree in enumerate(whole):
            for n, text in _written(tree):
                add(text, 1.1 + 0.05 * n + _ELSEWHERE * (k > 0), "written")
        for name, n, text in _sizes(bench):
            add(text, 1.25 + 0.02 * n + _ELSEWHERE * (name not in mine), "size")
        for name, other in _of_other_shapes(bench, sorted(mine & set(visible)), sorted(used)):
            add(f"{name}.reshape({other}.shape)", 1.2, "written")
        axis = "" if uses_tensors(bench) else "axis="
        for name in (n for n in visible if n in mine and np.ndim(as_array(bench.scopes[0].get(n))) == 2):
            for k in (0, 1):
                add(f"{name}.sum({axis}{k})", 1.3, "written")
    speller = Speller(bench.scopes[0], bench.typed)
    theirs = bench.scopes[0].get("pi")  # a policy is called pi too
    named = bench.typed or (isinstance(theirs, float) and theirs == math.pi)
    pi = "pi" if named else next((f"{a}.pi" for a, _ in speller.modules), None)
    if pi:
        add(f"{pi} / 180", 1.4, "degrees")
        add(f"180 / {pi}", 1.5, "degrees")
        add(pi, 1.5, "number")
    return list(made.values())


def _of_other_shapes(bench: Bench, names: Sequence[str], used: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The arrays of as many entries as one that a line uses, in another shape, and that one."""
    arrays = {
        n: v
        for n in dict.fromkeys((*names, *used))
        if isinstance(v := bench.scopes[0].get(n), (np.ndarray, torch.Tensor))
    }
    for name, other in itertools.product(arrays, used):
        if other in arrays and arrays[name].shape != arrays[other].shape:
            a, b = arrays[name], arrays[other]
            if max(a.ndim, b.ndim) > 1 and math.prod(a.shape) == math.prod(b.shape) > 1:
                yield name, other


def _named_numbers(bench: Bench, visible: Iterable[str], whole: Sequence[ast.AST]) -> Iterator[float]:
    """The sizes of the floats that the code reads by a name, or as what an object has: ``rate``, ``ctx.scale``."""
    paths = {ast.unparse(n) for tree in whole for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for text in (*visible, *sorted(paths)):
        with contextlib.suppress(Exception):  # of what is not defined yet
            if may_move(value := bench.run(bench.compiled(text), 0)):
                yield abs(value)


def _decimals(tree: ast.AST) -> Iterator[str]:
    for n in ast.walk(tree):
        if isinstance(n, ast.Constant) and isinstance(n.value, float) and n.value not in (0, 0.5, 1, 2, math.inf):
            yield ast.unparse(n)


def _assigned(whole: Sequence[ast.AST], own: str, line: ast.expr) -> Iterator[str]:
    """What is assigned to a name in other pieces of code, where it is not what a line has."""
    here = ast.unparse(line)
    found = [
        ast.unparse(s.value)
        for tree in whole
        for s in ast.walk(tree)
        if isinstance(s, ast.Assign) and any(isinstance(t, ast.Name) and t.id == own for t in s.targets)
    ]
    yield from (text.replace(" ** ", "**") for text in dict.fromkeys(found) if text != here)


def _never_used(whole: ast.AST) -> frozenset[str]:
    """The names that are computed and then used nowhere: what was meant to stand somewhere.

    >>> sorted(_never_used(ast.parse("p = f(x)\\nq = g(x)\\nout = q * x\\nprint(out)")))
    ['p']
    """
    names = [n for n in ast.walk(whole) if isinstance(n, ast.Name)]
    stored, loaded = ({n.id for n in names if isinstance(n.ctx, kind)} for kind in (ast.Store, ast.Load))
    return frozenset(stored - loaded)


@functools.lru_cache(64)  # each line of a function asks for the same
def _written(whole: ast.AST) -> tuple[tuple[int, str], ...]:
    """Small expressions that the user wrote in the same function, each with its size."""
    return tuple(_small_parts(whole))


def _small_parts(whole: ast.AST) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for node in ast.walk(whole):
        if isinstance(node, (ast.Subscript, ast.Attribute, ast.Call, ast.BinOp)) and isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            n = sum(1 for _ in ast.walk(node) if not isinstance(_, (ast.expr_context, ast.operator)))
            text = ast.unparse(node).replace(" ** ", "**")
            calls = any(isinstance(x, ast.Call) and _changes(x) for x in ast.walk(node))
            if n <= _SMALL and text not in seen and not calls:
                seen.add(text)
                yield n, text
            if n <= _SMALL and not calls:
                for other in _beside(node):
                    if other not in seen:
                        seen.add(other)
                        yield n + 2, other
            if isinstance(node, ast.Subscript) and isinstance(node.slice, (ast.Name, ast.BinOp)) and n <= _SMALL:
                near = [f"{ast.unparse(node.value)}[{ast.unparse(node.slice)} {by}]" for by in ("+ 1", "- 1")]
                for other in near:
                    if other not in seen:
                        seen.add(other)
                        yield n + 3, other


def _beside(node: ast.expr) -> Iterator[str]:
    """An expression with the one number that it has as an index moved by one.

    >>> list(_beside(ast.parse("b * dv[1]", mode="eval").body))
    ['b * dv[2]', 'b * dv[0]']
    """
    spots = [n for n in ast.walk(node) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Constant)]
    at = spots[0].slice if len(spots) == 1 else None
    if isinstance(at, ast.Constant) and type(at.value) is int:
        n = at.value
        for new in (n + 1, n - 1):
            if new >= 0:
                at.value = new
                text = ast.unparse(node).replace(" ** ", "**")
                at.value = n
                yield text


_NO_PART = frozenset(
    "append pop extend print next open input locals exec eval isinstance "  # they change something
    "grad grad_and_value jacrev jacfwd jacobian hessian vjp jvp approx_fprime check_grad backward".split()  # no formula
)


def _changes(call: ast.Call) -> bool:
    return (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")) in _NO_PART


def _sizes(bench: Bench) -> Iterator[tuple[str, int, str]]:
    """The lengths of the arrays in scope: of which, how far-fetched, and the text."""
    for name, v in bench.scopes[0].items():
        if isinstance(v, (np.ndarray, torch.Tensor)) and not name.startswith("_"):  # others may have none, or fail
            for k, n in enumerate(v.shape):
                if n > 1:
                    yield (name, 10 * k + len(name), f"len({name})" if v.ndim == 1 else f"{name}.shape[{k}]")
            if v.ndim > 1:
                yield (name, 30, f"{name}.numel()" if isinstance(v, torch.Tensor) else f"{name}.size")


def functions_of(bench: Bench, atoms: list[Atom]) -> Iterator[Atom]:
    """Simple functions of the names in scope."""
    speller = Speller(bench.scopes[0], bench.typed)
    rows = [r for r in ("tanh", "sigmoid", "exp", "log", "sin", "cos", "sqrt", "sign") if speller.function(r)]
    for atom in atoms:
        if atom.kind != "name":
            continue
        texts = [(f"{atom.text}**2", 1.5), (f"1 - {atom.text}", 1.5), (f"1 - {atom.text}**2", 1.7)]
        texts += [(f"{atom.text}*(1 - {atom.text})", 1.8), (f"1 + {atom.text}", 1.7), (f"{atom.text}**3", 1.8)]
        texts += [(speller.call(r, atom.text) or "", 1.5) for r in rows]
        for text, cost in texts:
            try:
                value = bench.values(text)
                if is_finite(value) and not _settled(value):
                    yield Atom(text, value, cost, "function")
            except Exception:
                continue
