"""The small expressions that an edit may put in: names in scope, numbers, sizes, what the user wrote elsewhere, and
the pieces of the exact derivative, all in the user's own names and spelling.
"""

from __future__ import annotations

import ast
import math
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.bench import Bench, as_array, same
from symgrad.diagnosis.scope import values_at
from symgrad.ops.scalars import OPS
from symgrad.program import Program, Strided

__all__ = ["Atom", "Speller", "atoms_in", "loose", "names_with_values", "spell_truth", "wrapped"]

_SMALL = 9  # nodes of an expression of the user's that may be used again elsewhere
_DEEP = 9  # how deep the exact derivative is spelled out before it is too long to be read


@dataclass(frozen=True, eq=False)
class Atom:
    """A small expression: its text, its value at every sample, what it costs to bring in, and where it comes from."""

    text: str
    value: Any
    cost: float
    kind: str  # name, number, size, written, derivative, function


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
                if hasattr(module, n):
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


def _finite(v: Any) -> bool:
    if isinstance(v, np.ndarray):
        return bool(np.isfinite(v).all())
    return all(bool(np.isfinite(as_array(x)).all()) for x in v)


def _settled(v: Any) -> bool:
    """Whether a number hardly changes from sample to sample, such as tanh(40)."""
    return isinstance(v, np.ndarray) and v.ndim == 1 and v.size > 1 and bool(np.ptp(v) <= 1e-6 * np.abs(v).max())


def _key(v: Any) -> Any:
    many = [v] if isinstance(v, np.ndarray) else [as_array(x) for x in v]
    return tuple((x.shape, tuple(np.round(np.asarray(x, complex).ravel()[:6], 9))) for x in many)


def atoms_in(bench: Bench, visible: Mapping[str, Any], line: ast.expr, whole: ast.AST | None, own: str) -> list[Atom]:
    """The atoms that do not need the truth, each value once, the plainest text first."""
    used = {n.id for n in ast.walk(line) if isinstance(n, ast.Name)}
    made: dict[Any, Atom] = {}

    def add(text: str, cost: float, kind: str, value: Any = None) -> None:
        try:
            value = bench.values(text) if value is None else value
            if not _finite(value):
                return
            key = (kind == "number", _key(value))
        except Exception:
            return
        old = made.get(key)
        if old is None or cost < old.cost:
            made[key] = Atom(text, value, cost, kind)

    for name, value in names_with_values(bench, visible).items():
        size = isinstance(bench.scopes[0][name], int)
        add(name, 0.9 + 0.1 * (name not in used) + 0.5 * (name == own), "size" if size else "name", value)
    for text in ("0", "1", "2", "3", "4", "5", "0.5", "-1", "-2", "-3", "0.25", "1.5", "-0.5", "-1.5"):
        add(text, 2.0 if text == "0" else 1.0 if len(text) == 1 else 1.1, "number")
    if not bench.typed:
        for n, text in _written(whole):
            add(text, 1.1 + 0.05 * n, "written")
        for n, text in _sizes(bench):
            add(text, 1.25 + 0.02 * n, "size")
    speller = Speller(bench.scopes[0], bench.typed)
    pi = "pi" if bench.typed or "pi" in bench.scopes[0] else next((f"{a}.pi" for a, _ in speller.modules), None)
    if pi:
        add(f"{pi} / 180", 1.4, "degrees")
        add(f"180 / {pi}", 1.5, "degrees")
        add(pi, 1.5, "number")
    return list(made.values())


def _written(whole: ast.AST | None) -> Iterator[tuple[int, str]]:
    """Small expressions that the user wrote in the same function."""
    seen: set[str] = set()
    for node in ast.walk(whole) if whole is not None else ():
        if isinstance(node, (ast.Subscript, ast.Attribute, ast.Call, ast.BinOp)) and isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            n = sum(1 for _ in ast.walk(node) if not isinstance(_, (ast.expr_context, ast.operator)))
            text = ast.unparse(node)
            calls = any(isinstance(x, ast.Call) and _changes(x) for x in ast.walk(node))
            if n <= _SMALL and text not in seen and not calls:
                seen.add(text)
                yield n, text


def _changes(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in ("append", "pop", "extend", "print", "next", "open", "input", "locals", "exec", "eval", "isinstance")


def _sizes(bench: Bench) -> Iterator[tuple[int, str]]:
    """The lengths of the arrays in scope."""
    for name, v in bench.scopes[0].items():
        shape = getattr(v, "shape", ())
        if isinstance(v, (np.ndarray, torch.Tensor)) and not name.startswith("_"):
            for k, n in enumerate(shape):
                if n > 1:
                    yield (10 * k + len(name), f"len({name})" if len(shape) == 1 else f"{name}.shape[{k}]")
            if len(shape) > 1:
                yield (30, f"{name}.numel()" if isinstance(v, torch.Tensor) else f"{name}.size")


def functions_of(bench: Bench, atoms: list[Atom]) -> Iterator[Atom]:
    """Simple functions of the names in scope."""
    speller = Speller(bench.scopes[0], bench.typed)
    rows = [r for r in ("tanh", "sigmoid", "exp", "log", "sin", "cos", "sqrt") if speller.function(r)]
    for atom in atoms:
        if atom.kind != "name":
            continue
        texts = [(f"{atom.text}**2", 1.5), (f"1 - {atom.text}", 1.5), (f"1 - {atom.text}**2", 1.7)]
        texts += [(f"{atom.text}*(1 - {atom.text})", 1.8), (f"1 + {atom.text}", 1.7), (f"{atom.text}**3", 1.8)]
        texts += [(speller.call(r, atom.text) or "", 1.5) for r in rows]
        for text, cost in texts:
            try:
                value = bench.values(text)
                if _finite(value) and not _settled(value):
                    yield Atom(text, value, cost, "function")
            except Exception:
                continue


# ------------------------------------------------------------------------------------------------ the truth, spelled


@dataclass(eq=False)
class _Spelled:
    program: Program
    values: list[dict[int, torch.Tensor]]  # of each sample
    known: list[tuple[str, list[np.ndarray], float]]
    speller: Speller
    done: dict[int, tuple[str, int] | None]
    sizes: dict[int, str]


def spell_truth(
    bench: Bench,
    program: Program,
    truth: int,
    points: list[Mapping[str, Any]],
    samples: list[int],
    visible: Mapping[str, Any],
    also: list[Atom],
) -> tuple[str | None, list[Atom]]:
    """The truth's own formula in the names in scope, and its pieces as atoms.

    ``samples`` are those of the round whose truth it is; ``points`` their points.  Whatever the texts say has been
    computed and compared; a piece whose text does not give its value is left out.
    """
    needed = program.needed([truth])
    values = [values_at(program, needed, p) for p in points]
    known: list[tuple[str, list[np.ndarray], float]] = []
    for name, value in names_with_values(bench, visible).items():
        known.append((name, [as_array(value[k]) for k in samples], 0.0))
    for atom in also:
        if atom.kind in ("written", "size"):
            known.append((atom.text, [as_array(atom.value[k]) for k in samples], 1.0))
    sizes: dict[int, str] = {}
    for atom in sorted(also, key=lambda a: a.cost):
        if atom.kind == "size" and float(as_array(atom.value[0])) > 2:
            sizes.setdefault(int(as_array(atom.value[0])), atom.text)
    s = _Spelled(program, values, known, Speller(bench.scopes[0], bench.typed), {}, sizes)
    whole = _spell(s, truth, 0, top=True)
    pieces = []
    for found in s.done.values():
        if found is None or found[1] == 0 or len(found[0]) > 70:
            continue
        text = found[0]
        try:
            value = bench.values(text)
            if _finite(value):
                pieces.append(Atom(text, value, 1.3 + 0.08 * found[1], "derivative"))
        except Exception:
            continue
    return (whole[0] if whole else None), pieces


def _spell(s: _Spelled, i: int, depth: int, top: bool = False) -> tuple[str, int] | None:
    """The text of a step and how many operations it has; None where it cannot be written in a few words."""
    if i in s.done and not top:
        return s.done[i]
    s.done[i] = None
    found = None if top else _known(s, i)
    if found is None and depth < _DEEP:
        found = _written_out(s, i, depth)
        if found is not None and (found[1] > 14 or len(found[0]) > 140):
            found = None
    s.done[i] = found
    return found


def _known(s: _Spelled, i: int) -> tuple[str, int] | None:
    step = s.program.steps[i]
    if step.op == "constant":
        value = np.asarray(step.params.value)
        return _constant(s, value) if value.size else None
    mine = [as_array(v[i]) for v in s.values]
    first = mine[0]
    if first.size and np.all(first == first.flat[0]) and all(np.array_equal(m, first) for m in mine):
        return _constant(s, first)
    best: tuple[float, str, int] | None = None
    for text, value, cost in s.known:
        for form, extra, change in (("{}", 0.0, lambda x: x), ("-{}", 0.5, lambda x: -x), ("{}.T", 0.5, np.transpose)):
            if extra and (first.ndim < 2 and form == "{}.T"):
                continue
            if all(_alike(change(v), m) for v, m in zip(value, mine)):
                if best is None or cost + extra < best[0]:
                    best = (cost + extra, form.format(wrapped(text) if extra else text), int(cost + extra > 0))
                break
    return (best[1], best[2]) if best else None


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        if a.size != b.size or [n for n in a.shape if n > 1] != [n for n in b.shape if n > 1]:
            return False
        a = a.reshape(b.shape)
    return same(a, b)


def _constant(s: _Spelled, value: np.ndarray) -> tuple[str, int] | None:
    """A number; one that is a size in scope, or one over it, goes by that name."""
    x = value.flat[0]
    if value.size > 1 and not np.all(value == x) or value.dtype.kind == "c":
        return None
    x = float(x)
    if not math.isfinite(x):
        return None
    if x.is_integer() and abs(x) < 1e6:
        return (s.sizes.get(int(x)) or repr(int(x))), 0
    if x and abs(1 / x - round(1 / x)) < 1e-12 and abs(1 / x) < 1e6 and x != 0.5:
        n = round(1 / x)
        return f"1 / {s.sizes.get(n) or n}", 1
    return repr(x), 0


_SIGNS: dict[str, tuple[str, int]] = {"add": ("+", 1), "sub": ("-", 1), "mul": ("*", 2), "div": ("/", 2)}


def _written_out(s: _Spelled, i: int, depth: int) -> tuple[str, int] | None:
    step = s.program.steps[i]
    part: Callable[[int], tuple[str, int] | None] = lambda a: _spell(s, a, depth + 1)  # noqa: E731
    match step.op:
        case "name" | "cast" | "stop":
            return _spell(s, step.args[0], depth)
        case "add" | "sub" | "mul" | "div":
            a, b = part(step.args[0]), part(step.args[1])
            return _arithmetic(step.op, a, b) if a and b else None
        case "neg":
            a = part(step.args[0])
            return (f"-{_tight(a[0], '*')}", a[1]) if a else None
        case "powi":
            a = part(step.args[0])
            return (f"{wrapped(a[0])}**{step.params}", a[1] + 1) if a else None
        case "pow":
            a, b = part(step.args[0]), part(step.args[1])
            return (f"{wrapped(a[0])}**{wrapped(b[0])}", a[1] + b[1] + 1) if a and b else None
        case "matmul":
            a, b = part(step.args[0]), part(step.args[1])
            return (f"{wrapped(a[0])} @ {wrapped(b[0])}", a[1] + b[1] + 1) if a and b else None
        case "conj":
            a = part(step.args[0])
            f = s.speller.function("conj") or "np.conj"
            return (f"{f}({a[0]})", a[1] + 1) if a else None
        case "pick" if len(step.args) == 1 and isinstance(step.params, Strided):
            a = part(step.args[0])
            if a is None:
                return None
            inner, outer = s.program.shape(step.args[0]), step.shape
            strides = [x for x, n in zip(step.params.strides, outer) if n > 1]
            if len([n for n in inner if n > 1]) == len([n for n in outer if n > 1]) == 2 and strides[0] < strides[1]:
                return f"{wrapped(a[0])}.T", a[1]
            return a
        case "scatter" if isinstance(step.params, Strided):
            a = part(step.args[0])
            if a is None:
                return None
            inner = s.program.shape(step.args[0])
            axes = [k for k, (x, n) in enumerate(zip(step.params.strides, inner)) if x == 0 and n > 1]
            kept = len(step.shape) == len(inner) and len(axes) < len(inner)
            at = "" if len(axes) == len(inner) else repr(axes[0]) if len(axes) == 1 else repr(tuple(axes))
            keep = (", keepdim=True" if s.speller.torch else ", keepdims=True") if kept and at else ""
            return f"{wrapped(a[0])}.sum({at}{keep})", a[1] + 1
        case "polygamma" | "inverse" | "solve" | "det" | "logabsdet" | "cholesky" | "pick" | "scatter" | "input":
            return None
        case row if row in OPS and len(step.args) == 1:
            a = part(step.args[0])
            text = s.speller.call(row, a[0]) if a else None
            return (text, a[1] + 1) if a and text else None
    return None


def _arithmetic(op: str, a: tuple[str, int], b: tuple[str, int]) -> tuple[str, int]:
    sign, _ = _SIGNS[op]
    n = a[1] + b[1] + 1
    if op == "mul":
        if a[0] == "1":
            return b
        if b[0] == "1":
            return a
        if "0" in (a[0], b[0]):
            return "0", 0
        if a[0] == "-1":
            return f"-{_tight(b[0], '*')}", b[1]
        if b[0] == "-1":
            return f"-{_tight(a[0], '*')}", a[1]
    if op == "div" and b[0] == "1":
        return a
    if op == "add" and "0" in (a[0], b[0]):
        return b if a[0] == "0" else a
    if op == "sub" and b[0] == "0":
        return a
    if op == "add" and b[0].startswith("-") and not loose(b[0][1:]):
        return f"{a[0]} - {b[0][1:]}", n
    if op in ("add", "sub"):
        return f"{a[0]} {sign} {_tight(b[0], sign)}", n
    return f"{_tight(a[0], '*')} {sign} {wrapped(b[0]) if op == 'div' else _tight(b[0], '*')}", n


def _tight(text: str, sign: str) -> str:
    """The text as an operand of ``sign``: in brackets where it would be read otherwise."""
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return f"({text})"
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, (ast.Add, ast.Sub)):
            return text if sign == "+" else f"({text})"
        if isinstance(node.op, (ast.Div, ast.MatMult)):
            return text if sign in "+-" else f"({text})"
        return text
    return f"({text})" if isinstance(node, (ast.UnaryOp, ast.Compare, ast.IfExp)) else text
