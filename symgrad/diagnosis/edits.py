"""Small edits of one expression, tried by value.

An `Edit` replaces one span of the expression's text.  There are two sources: structure (operators, brackets, operand
order, dropped terms and factors, other functions, axes, transposes), computed one by one; and holes, where a
sub-expression is taken out and filled with every atom, or combined with it, many at a time.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.atoms import Atom, loose, wrapped
from symgrad.diagnosis.bench import HOLE, Bench, as_array, same
from symgrad.diagnosis.places import span

__all__ = ["Edit", "search"]

_MOST_PAIRS = 60  # atoms that are multiplied with one another
_MOST_TRIES = 6000  # edits of array code that are computed one by one


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


@dataclass(frozen=True, eq=False)
class _Hole:
    start: int
    end: int
    text: str  # of the sub-expression
    node: ast.AST
    depth: int
    size: int
    left: str = ""  # what is written before and after what fills the hole
    right: str = ""


class _Text:
    """The expression's text and tree, with the spans of its nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(f"({text}\n)", mode="eval").body
        self._spans: dict[int, tuple[int, int]] = {}

    def span(self, node: ast.AST) -> tuple[int, int]:
        if id(node) not in self._spans:
            self._spans[id(node)] = span(self.text, node, shift=1)
        return self._spans[id(node)]

    def of(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def put(self, node: ast.AST, new: str) -> str:
        return self.fill(*self.span(node), new)

    def fill(self, start: int, end: int, new: str) -> str:
        """The text with a span replaced, in brackets only where they are needed."""
        bare = self.text[:start] + new + self.text[end:]
        safe = self.text[:start] + f"({new})" + self.text[end:]
        if start == 0 and end == len(self.text):
            return new
        before, after = self.text[:start].rstrip(), self.text[end:].lstrip()
        if not loose(new) and before.endswith("(") and after.startswith(")"):  # brackets that nothing needs any more
            tighter = before[:-1] + new + after[1:]
            with contextlib.suppress(SyntaxError):
                if ast.dump(ast.parse(f"({tighter}\n)")) == ast.dump(ast.parse(f"({bare}\n)")):
                    return tighter
        try:
            same_meaning = ast.dump(ast.parse(f"({bare}\n)")) == ast.dump(ast.parse(f"({safe}\n)"))
        except SyntaxError:
            return safe
        return bare if same_meaning else safe


def search(
    text: str, bench: Bench, atoms: Sequence[Atom], functions: Sequence[Atom], pieces: Sequence[Atom], whole: str | None
) -> list[Edit]:
    """The edits of an expression that give what is wanted at every sample, the most plausible first.

    ``pieces`` are parts of the exact derivative, ``whole`` all of it, in the user's names.
    """
    t = _Text(text)
    found: dict[str, Edit] = {}

    def keep(edit: Edit) -> None:
        try:
            clean = _canonical(edit.text)
        except SyntaxError:
            return
        if clean == _canonical(text):
            return
        old = found.get(clean)
        if old is None or edit.cost < old.cost:
            found[clean] = edit

    for edit in _masks(text, bench, atoms):
        keep(edit)
    for cost, kind, start, end, new in _structure(t, bench):
        full = t.fill(start, end, new)
        if bench.fits(full):
            keep(Edit(full, text[start:end], new, kind, cost))
    for edit in _filled(t, bench, [*atoms, *pieces], functions):
        keep(edit)
    if whole is not None and bench.fits(whole):
        keep(Edit(whole, text, whole, "formula", 4.5))
    edits = sorted(found.values(), key=lambda e: (e.cost, len(e.text), e.text))
    lifted = [
        e if bench.everywhere(e.text) else Edit(e.text, e.before, e.after, e.kind, e.cost + 1.5, e.of) for e in edits[:24]
    ]
    return sorted(lifted, key=lambda e: (e.cost, len(e.text), e.text))


def _canonical(text: str) -> str:
    return ast.unparse(ast.parse(f"({text}\n)", mode="eval").body)


# ------------------------------------------------------------------------------------------------ structure

_SWAPS = {
    ast.Add: ("-",),
    ast.Sub: ("+",),
    ast.Mult: ("/", "@", "+"),
    ast.Div: ("*",),
    ast.MatMult: ("*",),
}
_SIGN = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.MatMult: "@", ast.Pow: "**"}
_FAMILIES = (
    ("tanh", "sigmoid", "sin", "cos", "exp", "log", "sqrt", "arctan", "relu", "erf", "erfc", "sinh", "cosh"),
    ("log", "log1p", "log2", "log10", "exp", "expm1"),
    ("sum", "mean", "prod", "max", "amax"),
    ("scatter", "scatter_add"),
    ("scatter_", "scatter_add_"),
    ("zeros_like", "ones_like"),
    ("maximum", "minimum"),
    ("max", "min"),
    ("softmax", "log_softmax"),
    ("outer", "dot", "inner"),
    ("deg2rad", "rad2deg"),
    ("tril", "triu"),
    ("argmax", "argmin"),
)
_COMPARE = {ast.Gt: ("<", ">="), ast.Lt: (">", "<="), ast.GtE: ("<=", ">"), ast.LtE: (">=", "<"), ast.Eq: ("!=",)}
_COMPARE |= {ast.NotEq: ("==",)}

_Change = tuple[float, str, int, int, str]


def _structure(t: _Text, bench: Bench) -> Iterator[_Change]:
    """Edits that move or change what is there: (cost, kind, start, end, new text)."""
    for node in ast.walk(t.tree):
        if not isinstance(node, ast.expr):
            continue
        start, end = t.span(node)
        for cost, kind, new in _changes(t, node, bench):
            yield cost, kind, start, end, new
    if not bench.typed:
        yield from _array_changes(t, bench)


def _changes(t: _Text, node: ast.expr, bench: Bench) -> Iterator[tuple[float, str, str]]:
    match node:
        case ast.BinOp(left=a, op=op, right=b):
            ta, tb, sign = t.of(a), t.of(b), type(op)
            la, rb = _bracketed(t, node, a), _bracketed(t, node, b)
            for other in _SWAPS.get(sign, ()):
                if other == "@" and bench.batch:
                    continue
                yield (1.0 if other in "+-" else 1.2), "sign" if other in "+-" and sign in (
                    ast.Add,
                    ast.Sub,
                ) else "operator", f"{wrapped(ta)} {other} {wrapped(tb)}"
            if sign in (ast.Sub, ast.Div, ast.MatMult):
                yield 1.0, "operand order", f"{wrapped(tb)} {_SIGN[sign]} {wrapped(ta)}"
            if sign is ast.Pow:
                yield 1.1, "exponent", ta
                yield 1.4, "exponent", f"{wrapped(ta)}**({tb} - 1)"
                yield 1.4, "exponent", f"{wrapped(ta)}**({tb} + 1)"
            if sign is ast.MatMult:
                for fa, fb in itertools.product((ta, f"{wrapped(ta)}.T"), (tb, f"{wrapped(tb)}.T")):
                    if (fa, fb) != (ta, tb):
                        yield 1.2, "transpose", f"{_left(fa, '@')} @ {wrapped(fb)}"
                    yield 1.4, "operand order", f"{_left(fb, '@')} @ {wrapped(fa)}"
                yield 1.6, "outer", f"{wrapped(ta)}[:, None] * {wrapped(tb)}[None, :]"
            yield from _brackets(t, node, la, rb)
            yield from _dropped(t, node)
        case ast.UnaryOp(op=ast.USub(), operand=a):
            yield 0.9, "sign", t.of(a)
        case ast.Call(func=f, args=args, keywords=keywords):
            yield from _call_changes(t, node, f, args, keywords, bench)
        case ast.Subscript(value=v, slice=ast.Constant(value=int() as k)):
            for j in (k - 1, k + 1):
                if j >= -2:
                    yield 1.1, "index", f"{t.of(v)}[{j}]"
        case ast.Subscript(value=v, slice=ast.Name() | ast.BinOp() as at) if not bench.typed:
            index = t.of(at)
            yield 1.1, "index", f"{t.of(v)}[{_shifted(at, index, 1)}]"
            yield 1.1, "index", f"{t.of(v)}[{_shifted(at, index, -1)}]"
            if isinstance(at, ast.BinOp):
                yield 1.0, "index", f"{t.of(v)}[{t.of(at.left)}]"
        case ast.Subscript(value=v, slice=ast.Tuple(elts=[i, j])):
            yield 1.1, "index", f"{t.of(v)}[{t.of(j)}, {t.of(i)}]"
        case ast.Compare(left=a, ops=[op], comparators=[b]):
            for other in _COMPARE.get(type(op), ()):
                yield 1.0, "comparison", f"{t.of(a)} {other} {t.of(b)}"
        case ast.Attribute(value=v, attr="T"):
            yield 0.9, "transpose", t.of(v)


def _shifted(node: ast.expr, text: str, by: int) -> str:
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub() as op, right=ast.Constant(value=int() as n), left=a):
            k = (n if isinstance(op, ast.Add) else -n) + by
            left = ast.unparse(a)
            return left if k == 0 else f"{left} + {k}" if k > 0 else f"{left} - {-k}"
    return f"{text} + {by}" if by > 0 else f"{text} - {-by}"


def _left(text: str, sign: str) -> str:
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return f"({text})"
    if isinstance(node, ast.BinOp) and type(node.op) in (ast.Add, ast.Sub):
        return f"({text})"
    return text


def _bracketed(t: _Text, whole: ast.BinOp, part: ast.expr) -> bool:
    """Whether an operand stands in brackets."""
    start, end = t.span(part)
    begin, stop = t.span(whole)
    return "(" in t.text[begin:start] or ")" in t.text[end:stop]


def _brackets(t: _Text, node: ast.BinOp, la: bool, rb: bool) -> Iterator[tuple[float, str, str]]:
    """Other readings of ``a - b*c`` and its like: brackets forgotten, or put around too much."""
    a, op, b = node.left, type(node.op), node.right
    ta, tb = t.of(a), t.of(b)
    s = _SIGN[op]
    additive, product = (ast.Add, ast.Sub), (ast.Mult, ast.Div)
    if op in additive and isinstance(b, ast.BinOp) and isinstance(b.op, product):
        chain: list[tuple[str, str]] = []
        q: ast.expr = b
        while isinstance(q, ast.BinOp) and isinstance(q.op, product):
            chain.append((_SIGN[type(q.op)], t.of(q.right)))
            q = q.left
            inner = f"{ta} {s} {t.of(q)}"
            rest = "".join(f" {o} {wrapped(r)}" for o, r in reversed(chain))
            yield 0.8, "brackets", f"({inner}){rest}"
    if op in additive and isinstance(a, ast.BinOp) and isinstance(a.op, product):
        yield 0.8, "brackets", f"{wrapped(t.of(a.left))} {_SIGN[type(a.op)]} ({t.of(a.right)} {s} {tb})"
    if op in additive and isinstance(b, ast.BinOp) and isinstance(b.op, additive):
        yield 0.8, "brackets", f"{ta} {s} {t.of(b.left)} {_SIGN[type(b.op)]} {t.of(b.right)}"
    if op in additive and isinstance(a, ast.BinOp) and isinstance(a.op, additive):
        yield 0.9, "brackets", f"{t.of(a.left)} {_SIGN[type(a.op)]} ({t.of(a.right)} {s} {tb})"
    if op in product and isinstance(a, ast.BinOp) and isinstance(a.op, ast.Div):
        yield 0.8, "brackets", f"{wrapped(t.of(a.left))} / ({t.of(a.right)} {s} {wrapped(tb)})"
    if op in product and isinstance(b, ast.BinOp) and isinstance(b.op, product):
        yield 0.8, "brackets", f"{ta} {s} {wrapped(t.of(b.left))} {_SIGN[type(b.op)]} {wrapped(t.of(b.right))}"
    if op in product and isinstance(a, ast.BinOp) and isinstance(a.op, additive):
        inner_sign = _SIGN[type(a.op)]
        yield 0.8, "brackets", f"{t.of(a.left)} {inner_sign} {wrapped(t.of(a.right))} {s} {wrapped(tb)}"
    if op in product and isinstance(b, ast.BinOp) and isinstance(b.op, additive):
        yield 0.9, "brackets", f"{ta} {s} {wrapped(t.of(b.left))} {_SIGN[type(b.op)]} {t.of(b.right)}"
    if op is ast.Pow and isinstance(a, ast.BinOp) and isinstance(a.op, (*additive, *product)):
        yield 0.8, "brackets", f"{t.of(a.left)} {_SIGN[type(a.op)]} {wrapped(t.of(a.right))}**{wrapped(tb)}"
    if isinstance(b, ast.BinOp) and isinstance(b.op, ast.Pow) and op in (*additive, *product):
        yield 0.8, "brackets", f"({ta} {s} {t.of(b.left)})**{wrapped(t.of(b.right))}"


def _parts(node: ast.expr, ops: tuple[type, ...]) -> list[tuple[str, ast.expr]]:
    """A chain of sums or products, flattened: each part with its sign."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ops):
        return [*_parts(node.left, ops), (_SIGN[type(node.op)], node.right)]
    return [("+" if ast.Add in ops else "*", node)]


def _joined(t: _Text, parts: Sequence[tuple[str, ast.expr]], sums: bool) -> str | None:
    """A chain written again."""
    if not parts:
        return None
    out = ""
    for k, (sign, part) in enumerate(parts):
        text = t.of(part)
        if k == 0:
            if sign == "-":
                out = f"-{wrapped(text)}"
            elif sign == "/":
                out = f"1 / {wrapped(text)}"
            else:
                out = text if sums or not _is_sum(part) else f"({text})"
        else:
            out += f" {sign} {text if not loose(text) or (sums and not _is_sum(part)) else f'({text})'}"
    return out


def _is_sum(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))


def _dropped(t: _Text, node: ast.BinOp) -> Iterator[tuple[float, str, str]]:
    for ops, kind, sums in (((ast.Add, ast.Sub), "drop term", True), ((ast.Mult, ast.Div), "drop factor", False)):
        if isinstance(node.op, ops):
            parts = _parts(node, ops)
            for k in range(len(parts)):
                text = _joined(t, [*parts[:k], *parts[k + 1 :]], sums)
                if text is not None and len(parts) > 1:
                    yield 1.2, kind, text
                if sums and k and len(parts) > 2:  # one sign within a longer sum
                    flipped = [(("-" if s == "+" else "+") if j == k else s, p) for j, (s, p) in enumerate(parts)]
                    yield 1.0, "sign", _joined(t, flipped, True) or ""
            if not sums and len(parts) > 2:
                for i, j in itertools.combinations(range(len(parts)), 2):
                    text = _joined(t, [p for k, p in enumerate(parts) if k not in (i, j)], False)
                    if text is not None:
                        yield 1.9, "drop factor", text


def _call_changes(
    t: _Text, node: ast.Call, f: ast.expr, args: list[ast.expr], keywords: list[ast.keyword], bench: Bench
) -> Iterator[tuple[float, str, str]]:
    head = t.of(f)
    inside = t.text[t.span(f)[1] : t.span(node)[1]]  # from the bracket on
    name = f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "")
    prefix = head[: len(head) - len(name)]
    for family in _FAMILIES:
        if name in family:
            for other in family:
                if other != name:
                    yield 1.2, "function", f"{prefix}{other}{inside}"
    method = isinstance(f, ast.Attribute) and not (isinstance(f.value, ast.Name) and f.value.id in _MODULES)
    if len(args) == 1 and not keywords and not method:
        yield 1.3, "drop function", t.of(args[0])
    if method and name in ("sum", "mean", "conj", "flip", "detach", "transpose", "t", "abs"):
        yield 1.1, "reduction" if name in ("sum", "mean") else "drop function", t.of(f.value)  # type: ignore[attr-defined]
    if not method and name in ("sum", "mean", "conj", "transpose", "flip") and args:
        yield 1.1, "reduction" if name in ("sum", "mean") else "drop function", t.of(args[0])
    if len(args) == 2 and not keywords:
        yield 1.1, "operand order", f"{head}({t.of(args[1])}, {t.of(args[0])})"
        if name in ("dot", "matmul", "mm", "outer"):
            a, b = (wrapped(t.of(x)) for x in args)
            for fa, fb in ((f"{a}.T", b), (a, f"{b}.T"), (f"{a}.T", f"{b}.T")):
                yield 1.2, "transpose", f"{head}({fa}, {fb})"
                yield 1.4, "operand order", f"{head}({fb}, {fa})"
    if len(args) == 3 and name == "where":
        yield 1.0, "branches swapped", f"{head}({t.of(args[0])}, {t.of(args[2])}, {t.of(args[1])})"
    if name in ("sum", "mean", "softmax", "log_softmax", "cumsum", "max", "amax", "transpose", "flip"):
        base = [t.of(a) for a in args]
        first = 0 if method else 1
        keep = [k for k in keywords if k.arg in ("keepdim", "keepdims")]
        for axis in ("0", "1", "-1", ""):
            for with_keep in (False, True):
                word = "keepdim" if _is_torch(bench) else "keepdims"
                rest = ([axis] if axis else []) + ([f"{word}=True"] if with_keep else [])
                if _is_torch(bench) and not axis and with_keep:
                    continue
                if not _is_torch(bench) and axis:
                    rest[0] = f"axis={axis}"
                kind = "axis" if with_keep == bool(keep) else "keepdims"
                yield 1.1 + 0.1 * (with_keep != bool(keep)), kind, f"{head}({', '.join(base[:first] + rest)})"


_MODULES = ("np", "numpy", "torch", "math", "F", "jnp")


def _is_torch(bench: Bench) -> bool:
    return any(isinstance(v, torch.Tensor) for v in bench.scopes[0].values())


def _array_changes(t: _Text, bench: Bench) -> Iterator[_Change]:
    """Transposes, reductions and broadcasts of every part that is an array; masks, conjugates and known Jacobians."""
    if bench.batch:
        return
    keep = "keepdim" if _is_torch(bench) else "keepdims"
    axis = (lambda k: str(k)) if _is_torch(bench) else (lambda k: f"axis={k}")
    for node, depth in _values(t.tree):
        try:
            value = as_array(bench.run(bench.compiled(t.of(node)), 0))
        except Exception:
            continue
        text, (start, end), more = wrapped(t.of(node)), t.span(node), 0.05 * depth
        if value.ndim >= 2:
            yield 1.0 + more, "transpose", start, end, f"{text}.T"
            if value.shape[-1] == value.shape[-2] and value.ndim == 2:
                yield 1.8 + more, "diagonal", start, end, f"{text}.diagonal()"
        for k in range(value.ndim):
            if value.ndim > 1:
                yield 1.1 + more, "reduction", start, end, f"{text}.sum({axis(k)})"
                yield 1.3 + more, "reduction", start, end, f"{text}.mean({axis(k)})"
                yield 1.2 + more, "reduction", start, end, f"{text}.sum({axis(k)}, {keep}=True)"
        if value.ndim:
            yield 1.1 + more, "reduction", start, end, f"{text}.sum()"
            yield 1.3 + more, "reduction", start, end, f"{text}.mean()"
        if value.ndim == 1:
            yield 1.4 + more, "broadcast", start, end, f"{text}[:, None]"
            yield 1.4 + more, "broadcast", start, end, f"{text}[None, :]"
        if value.dtype.kind == "c":
            f = "torch.conj" if _is_torch(bench) else "np.conj"
            f = f if f.split(".")[0] in bench.scopes[0] else ""
            yield 1.0 + more, "conjugate", start, end, f"{f}({t.of(node)})" if f else f"{text}.conj()"
            yield 1.5 + more, "conjugate", start, end, f"{text}.real"


def _values(node: ast.AST, depth: int = 0) -> Iterator[tuple[ast.expr, int]]:
    """The sub-expressions that are values, the whole first; names of functions and modules are not."""
    match node:
        case ast.BinOp(left=a, right=b):
            yield node, depth
            yield from _values(a, depth + 1)
            yield from _values(b, depth + 1)
        case ast.UnaryOp(operand=a):
            yield node, depth
            yield from _values(a, depth + 1)
        case ast.Call(func=f, args=args):
            yield node, depth
            if isinstance(f, ast.Attribute) and not (isinstance(f.value, ast.Name) and f.value.id in _MODULES):
                yield from _values(f.value, depth + 1)
            for a in args:
                yield from _values(a, depth + 1)
        case ast.Subscript(value=v):
            yield node, depth
            yield from _values(v, depth + 1)
        case ast.Attribute(value=v):
            if not (isinstance(v, ast.Name) and v.id in _MODULES and node.attr != "pi"):
                yield node, depth
                yield from _values(v, depth + 1)
        case ast.Name() | ast.Constant():
            yield node, depth
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            if isinstance(node, ast.List):
                pass
            for p in parts:
                yield from _values(p, depth + 1)
        case ast.IfExp(body=a, orelse=b):
            yield from _values(a, depth + 1)
            yield from _values(b, depth + 1)
        case ast.Compare(left=a, comparators=[b]):
            yield from _values(a, depth + 1)
            yield from _values(b, depth + 1)


def _masks(text: str, bench: Bench, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """The gradient of something clipped: kept where clipping changed nothing."""
    clipped = [a for a in atoms if a.kind == "name" and a.text in bench.clipped]
    for a in atoms:
        for b in clipped:
            if a.kind == "name" and a is not b and a.text in bench.clipped[b.text]:
                new = f"{_factor(text)} * ({a.text} == {b.text})"
                if bench.fits(new):
                    yield Edit(new, text, new, "mask", 1.0, "mask")


# ------------------------------------------------------------------------------------------------ holes


def _holes(t: _Text) -> Iterator[_Hole]:
    """Every sub-expression, and every part of a chain of factors or terms that is no sub-expression by itself."""
    for node, depth in _values(t.tree):
        start, end = t.span(node)
        n = sum(1 for _ in ast.walk(node) if isinstance(_, ast.expr))
        yield _Hole(start, end, t.of(node), node, depth, n)
        if not isinstance(node, ast.BinOp):
            continue
        for ops, sums in (((ast.Mult, ast.Div), False), ((ast.Add, ast.Sub), True)):
            parts = _parts(node, ops) if isinstance(node.op, ops) else []
            if not 3 <= len(parts) <= 6:
                continue
            for i, j in itertools.combinations(range(len(parts)), 2):
                taken = [parts[i], parts[j]]
                if (i, j) == (0, 1):
                    continue  # a sub-expression already
                text = _joined(t, taken, sums)
                rest = _joined(t, [p for k, p in enumerate(parts) if k not in (i, j)], sums)
                if text is None or rest is None:
                    continue
                left = f"{rest} {'+' if sums else '*'} "
                if not sums and _is_sum_text(rest):
                    left = f"({rest}) * "
                yield _Hole(start, end, text, ast.parse(f"({text}\n)", mode="eval").body, depth + 1, 4, left)


def _is_sum_text(text: str) -> bool:
    return _is_sum(ast.parse(f"({text}\n)", mode="eval").body)


_COMBINE: tuple[tuple[str, str, float, Callable[[Any, Any], Any]], ...] = (
    ("replace", "{a}", 0.0, lambda h, a: a),
    ("factor", "{h} * {a}", 0.5, operator.mul),
    ("divide", "{h} / {a}", 0.6, operator.truediv),
    ("term", "{h} + {a}", 0.8, operator.add),
    ("term", "{h} - {a}", 0.8, operator.sub),
)
_APPLY: tuple[tuple[str, str, float, Callable[[Any], Any]], ...] = (
    ("sign", "-{h}", 0.9, operator.neg),
    ("square", "{h}**2", 1.1, lambda h: h * h),
    ("complement", "1 - {H}", 1.2, lambda h: 1 - h),
    ("slope", "1 - {h}**2", 1.3, lambda h: 1 - h * h),
    ("slope", "{h} * (1 - {H})", 1.4, lambda h: h * (1 - h)),
    ("reciprocal", "1 / {h}", 1.1, lambda h: 1 / h),
    ("constant factor", "2 * {h}", 1.2, lambda h: 2 * h),
    ("root", "{h}**0.5", 1.4, lambda h: h**0.5),
)


def _filled(t: _Text, bench: Bench, atoms: Sequence[Atom], functions: Sequence[Atom]) -> Iterator[Edit]:
    for hole in _holes(t):
        try:
            value = bench.values(hole.text)
            template = t.text[: hole.start] + f"({hole.left}({HOLE}){hole.right})" + t.text[hole.end :]
            code = bench.compiled(template)
        except Exception:
            continue
        if bench.batch:
            yield from _many(t, bench, hole, code, np.asarray(value), [*atoms, *functions])
        elif bench.count < _MOST_TRIES:
            yield from _one_by_one(t, bench, hole, code, value, [*atoms, *functions])


def _write(t: _Text, hole: _Hole, new: str) -> str:
    if hole.left:
        bit = new if not loose(new) else f"({new})"
        return t.fill(hole.start, hole.end, f"{hole.left}{bit}{hole.right}")
    return t.fill(hole.start, hole.end, new)


def _combined(form: str, hole: _Hole, atom: str) -> str:
    h = hole.text
    if form == "{a}":
        typed_float = isinstance(hole.node, ast.Constant) and isinstance(hole.node.value, float)
        return f"{atom}.0" if typed_float and atom.lstrip("-").isdigit() else atom
    if form.startswith("{h} +") or form.startswith("{h} -"):
        return form.format(h=h, a=_after(atom, form[4]))
    return form.format(h=_factor(h), a=_factor_after(atom))


def _applied(form: str, hole: _Hole) -> str:
    if form == "-{h}" and isinstance(hole.node, ast.BinOp) and isinstance(hole.node.op, (ast.Mult, ast.Div)):
        return f"-{hole.text}" if not hole.text.startswith("-") else f"-({hole.text})"
    return form.format(h=wrapped(hole.text), H=_after(hole.text, "-"))


def _factor(text: str) -> str:
    """As the left operand of a product."""
    node = ast.parse(f"({text}\n)", mode="eval").body
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.Pow)):
        return text
    return wrapped(text)


def _factor_after(text: str) -> str:
    node = ast.parse(f"({text}\n)", mode="eval").body
    return text if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) else wrapped(text)


def _after(text: str, sign: str) -> str:
    node = ast.parse(f"({text}\n)", mode="eval").body
    if _is_sum(node):
        return text if sign == "+" else f"({text})"
    return f"({text})" if isinstance(node, ast.UnaryOp) else text


def _cost_of(hole: _Hole, atom: Atom, kind: str, extra: float) -> float:
    node = hole.node
    plain = isinstance(node, (ast.Name, ast.Constant))
    place = 0.0 if hole.depth == 0 else 0.1
    if kind == "replace":
        like = difflib.SequenceMatcher(None, hole.text, atom.text).ratio() if plain and atom.kind == "name" else 0.0
        strange = 0.6 if atom.kind == "number" and not isinstance(node, ast.Constant) else 0.0
        strange += 0.5 if isinstance(node, ast.Constant) and atom.kind not in ("number", "size") else 0.0
        return atom.cost + (0.0 if plain else 0.12 * hole.size) - 0.3 * like + strange
    if atom.kind == "number" and atom.text not in ("2", "0.5"):
        extra += 0.4
    return atom.cost + extra + place + (0.15 if isinstance(node, ast.Constant) else 0.0) + 0.3 * bool(hole.left)


def _kind_of(kind: str, hole: _Hole, atom: Atom) -> str:
    if kind == "replace" and isinstance(hole.node, ast.Name) and atom.kind == "name":
        return "name"
    if kind == "replace" and isinstance(hole.node, ast.Constant):
        return "constant"
    return kind


# ------------------------------------------------------------------------------------------------ many at once


def _many(t: _Text, bench: Bench, hole: _Hole, code: Any, h: np.ndarray, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """All combinations with one atom, and with two, as array programs."""
    values = np.array([a.value for a in atoms], dtype=float).reshape(len(atoms), -1)
    with np.errstate(all="ignore"):
        for kind, form, extra, op in _COMBINE:
            for i in _hits(bench, code, op(h, values)):
                atom = atoms[i]
                new = _combined(form, hole, atom.text)
                cost = _cost_of(hole, atom, kind, extra)
                yield Edit(_write(t, hole, new), hole.text, new, _kind_of(kind, hole, atom), cost, atom.kind)
        singles = np.array([f(h) for *_, f in _APPLY])
        for i in _hits(bench, code, singles):
            kind, form, cost, _ = _APPLY[i]
            new = _applied(form, hole)
            yield Edit(_write(t, hole, new), hole.text, new, kind, cost + 0.05 * hole.depth)
        yield from _pairs(t, bench, hole, code, h, atoms, values)


def _hits(bench: Bench, code: Any, many: np.ndarray) -> Iterable[int]:
    bench.count += len(many)
    filling: Any = torch.from_numpy(np.ascontiguousarray(many)) if _is_torch(bench) and not bench.typed else many
    try:
        out = as_array(bench.run(code, 0, filling))
        out = np.broadcast_to(np.asarray(out, float), many.shape)
    except Exception:
        return ()
    return np.flatnonzero(bench.rows(out)).tolist()


def _pairs(
    t: _Text, bench: Bench, hole: _Hole, code: Any, h: np.ndarray, atoms: Sequence[Atom], values: np.ndarray
) -> Iterator[Edit]:
    best = sorted((k for k, a in enumerate(atoms) if a.kind != "number"), key=lambda k: atoms[k].cost)[:_MOST_PAIRS]
    if not best:
        return
    left, right = (np.array(best)[x] for x in np.triu_indices(len(best)))
    products = values[left] * values[right]
    tables = [("{} * {}", products, 0.0)]
    if hole.depth == 0:
        ordered = [(i, j) for i in best for j in best if i != j]
        tables.append(("{} / {}", np.array([values[i] / values[j] for i, j in ordered]), 0.2))
    for form, table, more in tables:
        ij = list(zip(left.tolist(), right.tolist())) if form == "{} * {}" else ordered
        for kind, shape, extra, op in _COMBINE:
            if kind == "divide" or (kind == "factor" and hole.depth > 1) or (kind == "term" and hole.depth > 1):
                continue
            for k in itertools.islice(_hits(bench, code, op(h, table)), 12):
                a, b = (atoms[x] for x in ij[k])
                pair = form.format(_factor(a.text), _factor_after(b.text))
                new = pair if kind == "replace" else _combined(shape, hole, pair) if kind == "term" else ""
                if kind == "factor":
                    new = f"{_factor(hole.text)} * {pair}"
                cost = a.cost + b.cost + extra + more + (0.12 * hole.size if kind == "replace" else 0.0)
                yield Edit(_write(t, hole, new), hole.text, new, kind, cost, "product")
    if hole.depth == 0:
        yield from _triples(t, bench, hole, h, atoms, values, best, products, left, right)


def _triples(
    t: _Text,
    bench: Bench,
    hole: _Hole,
    h: np.ndarray,
    atoms: Sequence[Atom],
    values: np.ndarray,
    best: Sequence[int],
    products: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
) -> Iterator[Edit]:
    """A missing or extra product of three, met in the middle."""
    order = np.argsort(products[:, 0])
    keys = products[order, 0]
    goal = bench.goal
    n = bench.plain
    for kind, sign, rest in (("term", "+", goal - h), ("term", "-", h - goal), ("factor", "*", goal / h)):
        if not np.isfinite(rest).all() or not rest.any():
            continue
        wanted = rest[None, :] / values[best]
        low = np.searchsorted(keys, wanted[:, 0] - 1e-9 * np.abs(wanted[:, 0]))
        high = np.searchsorted(keys, wanted[:, 0] + 1e-9 * np.abs(wanted[:, 0]))
        for row, (lo, hi) in enumerate(zip(low, high)):
            for q in order[lo : min(hi, lo + 6)]:
                w = wanted[row, :n]
                if np.all(np.abs(products[q, :n] - w) <= 1e-8 * np.abs(w)):
                    three = sorted((atoms[best[row]], atoms[left[q]], atoms[right[q]]), key=lambda a: a.text)
                    product = f"{_factor(three[0].text)} * {_factor_after(three[1].text)} * {_factor_after(three[2].text)}"
                    new = f"{hole.text if kind == 'term' else _factor(hole.text)} {sign} {product}"
                    cost = sum(a.cost for a in three) + 0.9
                    yield Edit(_write(t, hole, new), hole.text, new, kind, cost, "product")


# ------------------------------------------------------------------------------------------------ one by one


def _one_by_one(t: _Text, bench: Bench, hole: _Hole, code: Any, h: Any, atoms: Sequence[Atom]) -> Iterator[Edit]:
    """Array code: each candidate at the first sample, and at the others if it fits there."""

    def fits(fill: Callable[[int], Any]) -> bool:
        bench.count += 1
        try:
            return all(same(bench.run(code, k, fill(k)), bench.wanted[k]) for k in range(bench.plain))
        except Exception:
            return False

    for atom in atoms:
        for kind, form, extra, op in _COMBINE:
            if kind == "term" and hole.depth > 2:
                continue
            if fits(lambda k, op=op, atom=atom: op(h[k], atom.value[k])):
                new = _combined(form, hole, atom.text)
                cost = _cost_of(hole, atom, kind, extra)
                yield Edit(_write(t, hole, new), hole.text, new, _kind_of(kind, hole, atom), cost, atom.kind)
    for kind, form, cost, f in _APPLY:
        if fits(lambda k, f=f: f(h[k])):
            new = _applied(form, hole)
            yield Edit(_write(t, hole, new), hole.text, new, kind, cost + 0.05 * hole.depth)
    names = [a for a in atoms if a.kind in ("name", "derivative")][:24]
    if hole.depth == 0:
        yield from _array_pairs(t, bench, hole, h, names)
    elif isinstance(hole.node, ast.Name):
        for a, b in itertools.combinations_with_replacement(names[:14], 2):
            if fits(lambda k, a=a, b=b: a.value[k] * b.value[k]):
                new = f"{_factor(a.text)} * {_factor_after(b.text)}"
                yield Edit(_write(t, hole, new), hole.text, new, "replace", a.cost + b.cost + 0.1, "product")


_PRODUCTS: tuple[tuple[str, float, Callable[[np.ndarray, np.ndarray], Any]], ...] = (
    ("{a} * {b}", 0.0, lambda a, b: a * b),
    ("{a} @ {b}", 0.1, lambda a, b: a @ b),
    ("{a}.T @ {b}", 0.2, lambda a, b: a.T @ b),
    ("{a} @ {b}.T", 0.2, lambda a, b: a @ b.T),
    ("{b} @ {a}", 0.1, lambda a, b: b @ a),
    ("{b}.T @ {a}", 0.2, lambda a, b: b.T @ a),
    ("{b} @ {a}.T", 0.2, lambda a, b: b @ a.T),
    ("({a} * {b}).sum({0})", 0.4, lambda a, b: (a * b).sum(0)),
    ("({a} * {b}).sum({1})", 0.4, lambda a, b: (a * b).sum(1)),
    ("({a} * {b}).sum()", 0.4, lambda a, b: (a * b).sum()),
    ("{a} * ({b} - ({b} * {a}).sum())", 0.6, lambda a, b: a * (b - (b * a).sum())),
    ("{b} * ({a} - ({a} * {b}).sum())", 0.6, lambda a, b: b * (a - (a * b).sum())),
    ("{a} * ({b} - ({b} * {a}).sum({k1}))", 0.7, lambda a, b: a * (b - (b * a).sum(-1, keepdims=True))),
    ("{b} * ({a} - ({a} * {b}).sum({k1}))", 0.7, lambda a, b: b * (a - (a * b).sum(-1, keepdims=True))),
)


def _array_pairs(t: _Text, bench: Bench, hole: _Hole, h: Any, names: Sequence[Atom]) -> Iterator[Edit]:
    """A product of two names that is missing from the line, or that the line should be; a mask of a clipped value."""
    tensors = _is_torch(bench)
    axes = {"0": "0", "1": "1", "k1": "-1, keepdim=True"} if tensors else {}
    axes = axes or {"0": "axis=0", "1": "axis=1", "k1": "axis=-1, keepdims=True"}
    goal = bench.wanted[0]
    here = as_array(h[0])
    with np.errstate(all="ignore"):
        rests: list[tuple[str, str, Any]] = [("replace", "", goal)]
        if here.shape == goal.shape or not here.ndim:
            rests += [("term", "+", goal - here), ("term", "-", here - goal)]
            ratio = goal / here
            if np.isfinite(ratio).all():
                rests.append(("factor", "*", ratio))
        for a, b in itertools.combinations_with_replacement(names, 2):
            x, y = as_array(a.value[0]), as_array(b.value[0])
            for form, extra, f in _PRODUCTS:
                bench.count += 1
                try:
                    value = np.asarray(f(x, y))
                except Exception:
                    continue
                for kind, sign, rest in rests:
                    if value.shape != rest.shape or not same(value, rest):
                        continue
                    pair = form.format(*(axes["0"], axes["1"]), a=wrapped(a.text), b=wrapped(b.text), k1=axes["k1"])
                    if kind == "replace":
                        new = pair
                    elif kind == "term":
                        new = f"{hole.text} {sign} {_after(pair, sign)}"
                    else:
                        new = f"{_factor(hole.text)} * {wrapped(pair)}"
                    if bench.fits(new):
                        extra_cost = {"replace": 0.12 * hole.size, "term": 0.8, "factor": 0.6}[kind]
                        known = "softmax" if ".sum(" in form and "-" in form and kind == "replace" else kind
                        yield Edit(new, hole.text, new, known, a.cost + b.cost + extra + extra_cost, "product")
