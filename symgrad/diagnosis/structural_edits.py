"""Edits that move or change what stands in an expression: operators, operand order, dropped terms and
factors, other functions, axes, reductions and transposes.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from symgrad.diagnosis.bench import Bench, as_array, uses_tensors
from symgrad.diagnosis.brackets import rebracketed
from symgrad.diagnosis.candidates import wrapped
from symgrad.diagnosis.expression_text import (
    MODULES,
    Text,
    after_sign,
    factor,
    factor_after,
    is_sum,
    joined,
    library_name,
    parts_of,
    sub_values,
)
from symgrad.diagnosis.source_code import edited

_SWAPS = {ast.Add: ("-", "*"), ast.Sub: ("+",), ast.Mult: ("/", "@", "+"), ast.Div: ("*",), ast.MatMult: ("*",)}
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
    ("lgamma", "digamma"),
    ("gammaln", "digamma", "psi"),
    ("cdf", "pdf", "sf"),
    ("ndtr", "log_ndtr"),
    ("i0", "i1"),
    ("i0e", "i1e"),
    ("softplus", "sigmoid"),
)
_COMPARE = {ast.Gt: ("<", ">="), ast.Lt: (">", "<="), ast.GtE: ("<=", ">"), ast.LtE: (">=", "<"), ast.Eq: ("!=",)}
_COMPARE |= {ast.NotEq: ("==",)}

_Change = tuple[float, str, int, int, str]


def structure(t: Text, bench: Bench) -> Iterator[_Change]:
    """Edits that move or change what is there: (cost, kind, start, end, new text)."""
    for node in ast.walk(t.tree):
        if not isinstance(node, ast.expr):
            continue
        start, end = t.span(node)
        for cost, kind, new in _changes(t, node, bench):
            yield cost, kind, start, end, new
    for text in bench.elsewhere:
        yield 0.85, "as elsewhere", 0, len(t.text), text
    for text, other in bench.alike:
        yield 1.15, f"like {other}", 0, len(t.text), text
    for cost, new in rebracketed(t.text):
        yield cost, "brackets", 0, len(t.text), new
    for new in _names_swapped(t, bench):
        yield 1.0, "names swapped", 0, len(t.text), new
    for cost, new in _indices_everywhere(t, bench):
        yield cost + 0.1, "index", 0, len(t.text), new
    if not bench.typed:
        yield 1.3, "zero", 0, len(t.text), _zero(t, bench)
        yield from _array_changes(t, bench)


def _zero(t: Text, bench: Bench) -> str:
    """What the slope of a function is that has steps."""
    library = library_name(bench, "torch" if uses_tensors(bench) else "numpy")
    return f"{library}.zeros_like({t.text})" if library else f"0 * {wrapped(t.text)}"


def _names_swapped(t: Text, bench: Bench) -> Iterator[str]:
    """Two variables of one shape, or two entries of one, each in the places of the other."""
    entries: dict[str, list[ast.expr]] = {}
    for n in ast.walk(t.tree):
        if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name) and not isinstance(n.slice, ast.Slice):
            entries.setdefault(t.of(n), []).append(n)
    for a, b in itertools.combinations(sorted(entries), 2):
        if a.partition("[")[0] == b.partition("[")[0]:
            yield edited(t.text, [(*t.span(n), b if t.of(n) == a else a) for n in (*entries[a], *entries[b])])
    nodes = [n for n in ast.walk(t.tree) if isinstance(n, ast.Name)]
    values = {n.id: bench.scopes[0].get(n.id) for n in nodes}
    kinds = (int, float, complex, np.ndarray, np.generic, torch.Tensor)
    shapes = {name: np.shape(as_array(v)) for name, v in values.items() if isinstance(v, kinds)}
    for a, b in itertools.combinations(sorted(shapes), 2):
        if shapes[a] == shapes[b]:
            spans = [(*t.span(n), b if n.id == a else a) for n in nodes if n.id in (a, b)]
            yield edited(t.text, spans)


def _indices_everywhere(t: Text, bench: Bench) -> Iterator[tuple[float, str]]:
    """Another index wherever one stands that stands in several places."""
    slices: dict[str, list[ast.expr]] = {}
    for node in ast.walk(t.tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, (ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp)):
            slices.setdefault(t.of(node.slice), []).append(node.slice)
    for text, nodes in slices.items():
        for cost, new in _other_indices(text, nodes[0], bench) if len(nodes) > 1 else ():
            yield cost, edited(t.text, [(*t.span(n), new) for n in nodes])


def _changes(t: Text, node: ast.expr, bench: Bench) -> Iterator[tuple[float, str, str]]:
    match node:
        case ast.BinOp(left=a, op=op, right=b) if type(op) in _SIGN:
            ta, tb, sign = t.of(a), t.of(b), type(op)
            for other in _SWAPS.get(sign, ()):
                if other == "@" and bench.batch:
                    continue
                yield (
                    (1.0 if other in "+-" else 1.2),
                    "sign" if other in "+-" and sign in (ast.Add, ast.Sub) else "operator",
                    f"{ta} {other} {after_sign(tb, other)}"
                    if other in "+-"
                    else f"{wrapped(ta)} {other} {wrapped(tb)}",
                )
            if sign is ast.Mult and isinstance(a, ast.Constant) and a.value in (2, 0.5) and not bench.batch:
                other = "({0} + {0}.T)" if a.value == 2 else "0.5 * ({0} + {0}.T)"
                yield 1.25, "symmetric part", other.format(wrapped(tb))
            if sign in (ast.Sub, ast.Div, ast.MatMult):
                cost = (0.95 if isinstance(a, ast.Constant) else 0.85) if sign is ast.Sub else 1.1  # 1 - s is an idiom
                yield cost, "operand order", f"{wrapped(tb)} {_SIGN[sign]} {wrapped(ta)}"
            if sign is ast.Pow:
                yield 1.1, "exponent", ta
                yield from ((1.15, "exponent", f"{wrapped(ta)}**{n}") for n in _other_exponents(b))
                if not isinstance(b, ast.Constant):
                    yield 1.4, "exponent", f"{wrapped(ta)}**({tb} - 1)"
                    yield 1.4, "exponent", f"{wrapped(ta)}**({tb} + 1)"
            if sign is ast.Mult and isinstance(a, ast.Constant) and a.value == 2:
                yield 1.15, "square", f"{wrapped(tb)}**2"
            if sign is ast.Mult and isinstance(a, ast.UnaryOp) and isinstance(a.operand, ast.Constant):  # -2 * b
                yield 1.1, "drop factor", f"-{wrapped(tb)}"
            if sign is ast.MatMult:
                for fa, fb in itertools.product((ta, f"{wrapped(ta)}.T"), (tb, f"{wrapped(tb)}.T")):
                    if (fa, fb) != (ta, tb):
                        yield 1.2, "transpose", f"{_left(fa, '@')} @ {wrapped(fb)}"
                    yield 1.4, "operand order", f"{_left(fb, '@')} @ {wrapped(fa)}"
                yield 1.25, "outer", f"{wrapped(ta)}[:, None] * {wrapped(tb)}[None, :]"
                if library := library_name(bench, "torch" if uses_tensors(bench) else "numpy"):
                    yield 1.3, "inverse", f"{library}.linalg.solve({ta}, {tb})"
            yield from _dropped(t, node)
            if sign in (ast.Add, ast.Sub):
                yield from ((1.25, "factor moved", new) for new in _factors_moved(t, node))
        case ast.BinOp(left=a, op=ast.Mod() | ast.FloorDiv() as op, right=b):
            other = "//" if isinstance(op, ast.Mod) else "%"
            yield 1.1, "operator", f"{wrapped(t.of(a))} {other} {wrapped(t.of(b))}"
            for name in indices_in(bench.scopes[0]):
                if name not in (t.of(a), t.of(b)):
                    cost = 0.7 if name in bench.forgotten else 1.2
                    yield cost, "operator", f"{wrapped(t.of(a))} {other} {name}"
        case ast.UnaryOp(op=ast.USub(), operand=a) if not _is_a_step(t.tree, node):
            yield 0.9, "sign", t.of(a)
        case ast.Call(func=f, args=args, keywords=keywords):
            yield from _call_changes(t, node, f, args, keywords, bench)
        case ast.Subscript(value=v, slice=ast.Constant(value=int()) | ast.Name() | ast.BinOp() | ast.UnaryOp() as at):
            yield from ((cost, "index", f"{t.of(v)}[{new}]") for cost, new in _other_indices(t.of(at), at, bench))
        case ast.Subscript(value=v, slice=ast.Slice(lower=None, upper=None, step=ast.UnaryOp())):
            yield 1.0, "flip", t.of(v)
        case ast.Subscript(value=v, slice=ast.Tuple() | ast.Slice() as at):
            yield from ((cost, "index", f"{t.of(v)}[{new}]") for cost, new in other_places(at, t.of, bench.scopes[0]))
        case ast.BoolOp(op=op, values=parts):
            word = " or " if isinstance(op, ast.And) else " and "
            yield 1.0, "comparison", word.join(wrapped(t.of(p)) for p in parts)
            for p in parts:
                yield 1.1, "drop term", t.of(p)
        case ast.IfExp(test=test, body=a, orelse=b):
            yield 1.0, "branches swapped", f"{t.of(b)} if {t.of(test)} else {t.of(a)}"
        case ast.Compare(left=a, ops=[op], comparators=[b]):
            for other in _COMPARE.get(type(op), ()):
                yield 1.0, "comparison", f"{t.of(a)} {other} {t.of(b)}"
        case ast.Constant(value=bool() as flag):
            yield 1.0, "flag", str(not flag)
        case ast.Attribute(value=v, attr="T"):
            yield 0.9, "transpose", t.of(v)


def _is_a_step(tree: ast.expr, node: ast.expr) -> bool:
    """Whether a number is the step of a slice, whose sign is an order."""
    return any(isinstance(n, ast.Slice) and n.step is node for n in ast.walk(tree))


_LARGEST = 8  # exponents that one may mistake


def _other_exponents(b: ast.expr) -> Iterator[int]:
    """One or two more or less than a whole exponent, and twice as much; one next to it is a number like others."""
    try:
        n = ast.literal_eval(b)
    except ValueError:
        return
    if type(n) is int and abs(n) <= _LARGEST:  # 1 + 2**-40 is next to 1, and nobody means it
        yield from (m for m in dict.fromkeys((n - 1, n + 1, n - 2, n + 2, 2 * n)) if m not in (0, 1, n))


def indices_in(scope: Mapping[str, Any]) -> Iterator[str]:
    """The whole numbers, arrays of whole numbers and slices in scope."""
    for name, value in scope.items():
        if name.startswith("_") or not isinstance(value, (int, np.integer, np.ndarray, torch.Tensor, slice)):
            continue
        if isinstance(value, slice) or as_array(value).dtype.kind in "iu":
            yield name


def _other_indices(text: str, at: ast.expr, bench: Bench) -> Iterator[tuple[float, str]]:
    from_the_end = isinstance(at, ast.UnaryOp)
    if from_the_end:
        yield from ((0.95, new) for _, new in _ends(at))
    elif isinstance(at, ast.Constant) or not bench.typed:
        yield from _shifts(at, text)
    if bench.typed:
        return
    if isinstance(at, ast.BinOp):
        yield 0.8, ast.unparse(at.left)
    else:
        yield 1.2, f"{text}, None"
    if isinstance(at, ast.Name):
        yield 1.2, f":, {text}"
    for other in indices_in(bench.scopes[0]):
        if other != text:
            yield 1.15, other
            yield 1.3, f"{other}, None"
            if from_the_end:  # hs[-2] for hs[t + 1], which it is in one turn
                yield from ((1.2, f"{other} {by} 1") for by in "+-")


def _shifts(at: ast.expr, text: str) -> Iterator[tuple[float, str]]:
    if isinstance(at, ast.Constant):
        if isinstance(at.value, int):  # a name in a dictionary has none beside it
            yield from ((0.95, str(at.value + by)) for by in (-1, 1) if at.value + by >= -2)
    else:
        yield 1.1, _shifted(at, text, 1)
        yield 1.1, _shifted(at, text, -1)


def other_places(at: ast.expr, of: Callable[[ast.expr], str], scope: Mapping[str, Any]) -> Iterator[tuple[float, str]]:
    """Other indices of several parts, or other slices: one part changed, or two in each other's place; ``of`` gives
    the text of a part.
    """
    parts = at.elts if isinstance(at, ast.Tuple) else [at]
    texts = [of(p) for p in parts]
    for k, part in enumerate(parts):
        match part:
            case ast.Slice():
                others = [(1.0, new) for new in other_slices(part)]
            case ast.Constant(value=int()) if not isinstance(part.value, bool):
                others = list(_shifts(part, texts[k]))
            case ast.Name() | ast.BinOp():
                others = [*_shifts(part, texts[k]), *((1.1, n) for n in indices_in(scope) if n != texts[k])]
            case _:
                others = []
        for cost, new in others:
            yield cost, ", ".join([*texts[:k], new, *texts[k + 1 :]])
    for i, j in itertools.combinations(range(len(parts)), 2):
        order = list(texts)
        order[i], order[j] = order[j], order[i]
        yield 1.1, ", ".join(order)


def other_slices(at: ast.Slice) -> Iterator[str]:
    """The slices that people mix up with one: the other end is left out, or an end is one further.

    >>> import ast
    >>> slices = [ast.parse(f"x[{t}]", mode="eval").body.slice for t in (":-1", "a:", "a:b")]
    >>> [list(other_slices(s)) for s in slices]
    [['1:', ':', ':-2'], [':a', 'a + 1:', 'a - 1:'], ['a + 1:b', 'a - 1:b', 'a:b + 1', 'a:b - 1', 'a + 1:b + 1']]
    """
    low, high = ("" if x is None else ast.unparse(x) for x in (at.lower, at.upper))
    step = "" if at.step is None else f":{ast.unparse(at.step)}"
    if not low and not high:
        return
    lows, highs = ([] if x is None else [new for _, new in _ends(x)] for x in (at.lower, at.upper))
    found = {":-1": ["1:", ":"], "1:": [":-1", ":"]}.get(f"{low}:{high}", [])
    found += [f"{new}:{high}" for new in lows] + [f"{low}:{new}" for new in highs]
    if not low and at.upper is not None and isinstance(at.upper, ast.BinOp) and high.endswith(" + 1"):
        found.insert(0, f"{high.removesuffix(' + 1')}:")  # from there on for up to there
    if lows and highs:
        found.append(f"{lows[0]}:{highs[0]}")
    elif f"{low}:{high}" not in (":-1", "1:"):
        found.insert(0, f"{high}:{low}")  # what comes after for what comes before
    yield from (f"{new}{step}" for new in dict.fromkeys(found) if new not in ("0:", ":0", f"{low}:{high}"))


def _ends(x: ast.expr) -> Iterator[tuple[int, str]]:
    text = ast.unparse(x)
    match x:
        case ast.Constant(value=int() as n):
            yield from ((by, str(n + by)) for by in (1, -1) if n + by >= 0)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as n)):
            yield from ((by, str(by - n)) for by in (1, -1) if by < n)
        case _:
            yield from ((by, _shifted(x, text, by)) for by in (1, -1))


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


def _dropped(t: Text, node: ast.BinOp) -> Iterator[tuple[float, str, str]]:
    for ops, kind, sums in (((ast.Add, ast.Sub), "drop term", True), ((ast.Mult, ast.Div), "drop factor", False)):
        if isinstance(node.op, ops):
            parts = parts_of(node, ops)
            for k in range(len(parts)):
                text = joined(t, [*parts[:k], *parts[k + 1 :]], sums)
                if text is not None and len(parts) > 1:
                    one = sums and k and t.of(parts[k][1]) == "1"  # N - 1 for N, and t + 1 for t
                    yield (0.8, "count", text) if one else (1.2, kind, text)
                if sums and k and len(parts) > 2:  # one sign within a longer sum
                    flipped = [(("-" if s == "+" else "+") if j == k else s, p) for j, (s, p) in enumerate(parts)]
                    yield 1.0, "sign", joined(t, flipped, True) or ""
            if not sums and len(parts) > 2:
                for i, j in itertools.combinations(range(len(parts)), 2):
                    text = joined(t, [p for k, p in enumerate(parts) if k not in (i, j)], False)
                    if text is not None:
                        yield (1.25 if _is_slope(*(parts[k][1] for k in (i, j))) else 1.9), "drop factor", text


def _is_slope(a: ast.expr, b: ast.expr) -> bool:
    """Whether two factors are one thing, the slope of a sigmoid: ``s`` and ``1 - s``."""
    return f"1 - {ast.unparse(a)}" == ast.unparse(b) or f"1 - {ast.unparse(b)}" == ast.unparse(a)


def _factors_moved(t: Text, node: ast.BinOp) -> Iterator[str]:
    """A sum with a factor of one of its terms in another: ``2 * u * t - v`` for ``2 * u - v * t``."""
    terms = parts_of(node, (ast.Add, ast.Sub))
    texts = [f"({t.of(part)})" if is_sum(part) else t.of(part) for _, part in terms]
    signs = ["", *(f" {sign} " for sign, _ in terms[1:])]
    for i, j in itertools.permutations(range(len(terms)), 2):
        factors = parts_of(terms[i][1], (ast.Mult, ast.Div))
        for k, (sign, one) in enumerate(factors):
            without = joined(t, [*factors[:k], *factors[k + 1 :]], False)
            if without is not None and sign == "*" and not isinstance(one, ast.Constant):
                new = {i: without, j: f"{factor(texts[j])} * {factor_after(t.of(one))}"}
                yield "".join(s + new.get(n, text) for n, (s, text) in enumerate(zip(signs, texts, strict=True)))


def _call_changes(
    t: Text, node: ast.Call, f: ast.expr, args: list[ast.expr], keywords: list[ast.keyword], bench: Bench
) -> Iterator[tuple[float, str, str]]:
    head = t.of(f)
    inside = t.text[t.span(f)[1] : t.span(node)[1]]  # from the bracket on
    name = f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "")
    prefix = head[: len(head) - len(name)]
    for family in _FAMILIES:
        if name in family:
            for other in family:
                if other != name:  # a mean differs from a sum by a number, which says less than the other word
                    yield 0.95 if {name, other} == {"mean", "sum"} else 1.2, "function", f"{prefix}{other}{inside}"
    method = isinstance(f, ast.Attribute) and not (isinstance(f.value, ast.Name) and f.value.id in MODULES)
    if len(args) == 1 and not keywords and not method:
        yield 1.3, "drop function", t.of(args[0])
    if name == "conj" and (method or args):  # rather than a conjugate of it
        yield 0.9, "conjugate", t.of(f.value if method else args[0])  # type: ignore[attr-defined]
    if method and name in ("transpose", "swapaxes", "t"):
        yield 0.9, "transpose", t.of(f.value)  # type: ignore[attr-defined]
    if method and name in ("sum", "mean", "flip", "detach", "abs"):
        yield 1.1, "reduction" if name in ("sum", "mean") else "drop function", t.of(f.value)  # type: ignore[attr-defined]
    if not method and name == "sum" and len(args) == 1 and isinstance(args[0], ast.Name):
        yield 0.9, "length", f"len({args[0].id})"
    if not method and name in ("sum", "mean", "transpose", "flip") and args:
        yield 1.1, "reduction" if name in ("sum", "mean") else "drop function", t.of(args[0])
    if len(args) == 2 and not keywords:
        order = 0.85 if name == "cross" else 1.1
        yield order, "operand order", f"{head}({t.of(args[1])}, {t.of(args[0])})"
        if name == "solve":
            a, b = (t.of(x) for x in args)
            yield 1.0, "transpose", f"{head}({wrapped(a)}.T, {b})"
            yield 1.2, "inverse", f"{_left(wrapped(a), '@')} @ {wrapped(b)}"
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
                word = "keepdim" if uses_tensors(bench) else "keepdims"
                rest = ([axis] if axis else []) + ([f"{word}=True"] if with_keep else [])
                if uses_tensors(bench) and not axis and with_keep:
                    continue
                if not uses_tensors(bench) and axis:
                    rest[0] = f"axis={axis}"
                kind = "axis" if with_keep == bool(keep) else "keepdims"
                other = axis and (len(base) > first or any(k.arg in ("axis", "dim") for k in keywords))
                yield (
                    (0.7 if other else 1.1) + 0.1 * (with_keep != bool(keep)),
                    kind,
                    f"{head}({', '.join(base[:first] + rest)})",
                )


def _reduced(tree: ast.AST) -> Iterator[ast.expr]:
    """The parts whose entries are added up as they stand: ``x`` of ``x.sum()`` and of ``np.mean(x)``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr="sum" | "mean"), args=[x, *_]) if (
                module in MODULES
            ):
                yield x
            case ast.Call(func=ast.Attribute(value=x, attr="sum" | "mean")):
                yield x


def _array_changes(t: Text, bench: Bench) -> Iterator[_Change]:
    """Transposes, reductions and broadcasts of every part that is an array; masks, conjugates and known Jacobians."""
    if bench.batch:
        return
    keep = "keepdim" if uses_tensors(bench) else "keepdims"
    axis = (lambda k: str(k)) if uses_tensors(bench) else (lambda k: f"axis={k}")
    multiplied, reduced = _multiplied(t.tree), set(map(id, _reduced(t.tree)))
    for node, depth in sub_values(t.tree):
        try:
            value = as_array(bench.run(bench.compiled(t.of(node)), 0))
        except Exception:
            continue
        text, (start, end), more = wrapped(t.of(node)), t.span(node), 0.05 * depth
        if value.ndim >= 2:
            cost = (
                1.0
                if id(node) in multiplied or (isinstance(node, (ast.Name, ast.Attribute)) and node is t.tree)
                else 1.45
            )
            yield cost + more, "transpose", start, end, f"{text}{transposing(value.ndim, uses_tensors(bench))}"
            if value.shape[-1] == value.shape[-2] and value.ndim == 2:
                yield 1.8 + more, "diagonal", start, end, f"{text}.diagonal()"
                if not np.array_equal(value, value.T):
                    yield 1.3 + more, "symmetric part", start, end, f"({text} + {text}.T)"
                    yield 1.4 + more, "symmetric part", start, end, f"0.5 * ({text} + {text}.T)"
        if value.ndim and value.dtype.kind == "f" and (value >= 0).all():  # weights that are to sum to one
            each = "" if value.ndim == 1 else f"{axis(-1)}, {keep}=True"
            long = 0.0 if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) else 0.45
            yield 1.3 + long + more, "normaliser", start, end, f"{text} / {text}.sum({each})"
        for k in range(value.ndim):
            if value.ndim > 1:
                yield 1.1 + more, "reduction", start, end, f"{text}.sum({axis(k)})"
                yield 1.3 + more, "reduction", start, end, f"{text}.mean({axis(k)})"
                yield 1.2 + more, "reduction", start, end, f"{text}.sum({axis(k)}, {keep}=True)"
        if value.ndim:
            spread = f"{text}.mean().expand_as({text})" if uses_tensors(bench) else f"0 * {text} + {text}.mean()"
            yield 1.5 + more, "block mean", start, end, spread
            if id(node) not in reduced:  # what is one number has no mean
                yield 1.1 + more, "reduction", start, end, f"{text}.sum()"
                yield 1.3 + more, "reduction", start, end, f"{text}.mean()"
        if value.ndim == 1:
            yield 1.3 + more, "flip", start, end, f"{text}.flip(0)" if uses_tensors(bench) else f"{text}[::-1]"
            yield 1.4 + more, "broadcast", start, end, f"{text}[:, None]"
            yield 1.4 + more, "broadcast", start, end, f"{text}[None, :]"
        if value.dtype.kind == "c":
            f = "torch.conj" if uses_tensors(bench) else "np.conj"
            f = f if f.split(".")[0] in bench.scopes[0] else ""
            yield 1.0 + more, "conjugate", start, end, f"{f}({t.of(node)})" if f else f"{text}.conj()"
            yield 1.5 + more, "real part", start, end, f"{text}.real"


def transposing(rank: int, tensors: bool) -> str:
    """What is written behind an array of so many axes for its last two in each other's place.

    >>> transposing(2, True), transposing(3, True), transposing(4, False)
    ('.T', '.transpose(-2, -1)', '.swapaxes(-2, -1)')
    """
    return ".T" if rank == 2 else f".{'transpose' if tensors else 'swapaxes'}(-2, -1)"


def _multiplied(tree: ast.AST) -> set[int]:
    """The operands of matrix products."""
    found: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(left=a, op=ast.MatMult(), right=b):
                found |= {id(a), id(b)}
            case ast.Call(func=ast.Attribute(attr="dot" | "matmul" | "mm"), args=args):
                found |= {id(a) for a in args}
    return found
