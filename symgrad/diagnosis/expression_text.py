"""An expression's text beside its tree: spans of nodes, replacing them with as few brackets as needed, and chains of
factors and terms.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.diagnosis.bench import Bench, Edit, as_array, uses_tensors
from symgrad.diagnosis.candidates import Atom, loose, wrapped
from symgrad.diagnosis.source_code import span

# ----------------------------------------------------------------------------------------------------- expression text

MODULES = ("np", "numpy", "torch", "math", "F", "jnp")
_SIGN = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


class Text:
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
        if not loose(new) and not (new[0].isdigit() and after.startswith(".")):
            return bare
        try:
            same_meaning = ast.dump(ast.parse(f"({bare}\n)")) == ast.dump(ast.parse(f"({safe}\n)"))
        except SyntaxError:
            return safe
        return bare if same_meaning else safe


def parts_of(node: ast.expr, ops: tuple[type, ...]) -> list[tuple[str, ast.expr]]:
    """A chain of sums or products, flattened: each part with its sign."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ops):
        return [*parts_of(node.left, ops), (_SIGN[type(node.op)], node.right)]
    return [("+" if ast.Add in ops else "*", node)]


def divisors_of(text: str) -> list[str]:
    """What an expression divides by, the factors of a divisor each by itself."""
    found = []
    for node in ast.walk(ast.parse(f"({text}\n)")):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            found += [ast.unparse(p) for _, p in parts_of(node.right, (ast.Mult,))]
    return found


def joined(t: Text, parts: Sequence[tuple[str, ast.expr]], sums: bool) -> str | None:
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
                out = text if sums or not is_sum(part) else f"({text})"
        else:
            out += f" {sign} {text if not loose(text) or (sums and not is_sum(part)) else f'({text})'}"
    return out


def is_sum(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))


def sub_values(node: ast.AST, depth: int = 0) -> Iterator[tuple[ast.expr, int]]:
    """The sub-expressions that are values, the whole first; names of functions and modules are not."""
    match node:
        case ast.BinOp(left=a, right=b):
            yield node, depth
            yield from sub_values(a, depth + 1)
            yield from sub_values(b, depth + 1)
        case ast.UnaryOp(operand=a):
            yield node, depth
            yield from sub_values(a, depth + 1)
        case ast.Call(func=f, args=args):
            yield node, depth
            if isinstance(f, ast.Attribute) and not (isinstance(f.value, ast.Name) and f.value.id in MODULES):
                yield from sub_values(f.value, depth + 1)
            for a in args:
                yield from sub_values(a, depth + 1)
        case ast.Subscript(value=v):
            yield node, depth
            yield from sub_values(v, depth + 1)
        case ast.Attribute(value=v):
            if not (isinstance(v, ast.Name) and v.id in MODULES and node.attr != "pi"):
                yield node, depth
                yield from sub_values(v, depth + 1)
        case ast.Name() | ast.Constant():
            yield node, depth
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            if isinstance(node, ast.List):
                pass
            for p in parts:
                yield from sub_values(p, depth + 1)
        case ast.IfExp(body=a, orelse=b):
            yield from sub_values(a, depth + 1)
            yield from sub_values(b, depth + 1)
        case ast.Compare(left=a, comparators=[b]):
            yield from sub_values(a, depth + 1)
            yield from sub_values(b, depth + 1)


@functools.lru_cache(8192)
def factor(text: str) -> str:
    """As the left operand of a product."""
    node = ast.parse(f"({text}\n)", mode="eval").body
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.Pow)):
        return text
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.BinOp):
        return text
    return wrapped(text)


@functools.lru_cache(8192)
def factor_after(text: str) -> str:
    node = ast.parse(f"({text}\n)", mode="eval").body
    return text if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) else wrapped(text)


@functools.lru_cache(8192)
def after_sign(text: str, sign: str) -> str:
    node = ast.parse(f"({text}\n)", mode="eval").body
    if is_sum(node):
        return text if sign == "+" else f"({text})"
    return f"({text})" if isinstance(node, ast.UnaryOp) else text


# --------------------------------------------------------------------------------------------------------------- holes
# Parts of an expression that are taken out, for others to be put in their place.


@dataclass(frozen=True, eq=False)
class Hole:
    start: int
    end: int
    text: str  # of the sub-expression
    node: ast.expr
    depth: int
    size: int
    left: str = ""  # what is written before and after what fills the hole
    right: str = ""


def holes_of(t: Text) -> Iterator[Hole]:
    """Every sub-expression, and every part of a chain of factors or terms that is no sub-expression by itself."""
    for node, depth in sub_values(t.tree):
        start, end = t.span(node)
        n = sum(1 for _ in ast.walk(node) if isinstance(_, ast.expr))
        yield Hole(start, end, t.of(node), node, depth, n)
        if not isinstance(node, ast.BinOp):
            continue
        for ops, sums in (((ast.Mult, ast.Div), False), ((ast.Add, ast.Sub), True)):
            parts = parts_of(node, ops) if isinstance(node.op, ops) else []
            if not 3 <= len(parts) <= 6:
                continue
            for i, j in itertools.combinations(range(len(parts)), 2):
                taken = [parts[i], parts[j]]
                if (i, j) == (0, 1):
                    continue  # a sub-expression already
                text = joined(t, taken, sums)
                rest = joined(t, [p for k, p in enumerate(parts) if k not in (i, j)], sums)
                if text is None or rest is None:
                    continue
                left = f"{rest} {'+' if sums else '*'} "
                if not sums and _is_sum_text(rest):
                    left = f"({rest}) * "
                yield Hole(start, end, text, ast.parse(f"({text}\n)", mode="eval").body, depth + 1, 4, left)


def _is_sum_text(text: str) -> bool:
    return is_sum(ast.parse(f"({text}\n)", mode="eval").body)


# ------------------------------------------------------------------------------------------------------------ products
# Products of two arrays in scope, matrix products and known Jacobians among them: what a line lacks, or should be.

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
    ("{lib}.outer({a}, {b})", 0.3, np.outer),
    ("{lib}.outer({b}, {a})", 0.3, lambda a, b: np.outer(b, a)),
    ("{lib}.linalg.cross({a}, {b})", 0.3, np.linalg.cross),
    ("{lib}.linalg.cross({b}, {a})", 0.3, lambda a, b: np.linalg.cross(b, a)),
    ("{lib}.diag({a}) - {lib}.outer({a}, {b})", 0.7, lambda a, b: np.diag(a) - np.outer(a, b)),
    ("{lib}.eye(len({a})) - {lib}.outer({a}, {b})", 0.7, lambda a, b: np.eye(len(a)) - np.outer(a, b)),
)


Numbered = tuple[int, Fraction]
_NUMBERS = tuple(Fraction(n) for n in ("1", "-1", "2", "-2", "1/2", "-1/2", "3", "-3", "4", "-4", "1/4", "-1/4"))
_CLOSE = 1e-7  # a filter, not a verdict
_LOOKED_AT = 5  # entries by which values are told apart at first


def places_in(goal: np.ndarray) -> np.ndarray:
    """A few entries of a flat value by which others are told apart from it, its largest first."""
    some = np.random.default_rng(0).choice(len(goal), min(len(goal), _LOOKED_AT), replace=False)
    return np.array([int(np.argmax(np.abs(goal))), *some])


def multiples(goal: np.ndarray, many: np.ndarray) -> list[Numbered]:
    """Which rows are the goal but for a simple number, and which number; the goal's first entry is its largest.

    >>> multiples(np.array([4.0, 2.0]), np.array([[2.0, 1.0], [2.0, 2.0], [-4.0, -2.0]]))
    [(0, Fraction(2, 1)), (2, Fraction(-1, 1))]
    """
    with np.errstate(all="ignore"):
        c = goal[0] / many[:, 0]
        near = np.isfinite(c) & (np.abs(many * c[:, None] - goal) <= _CLOSE * np.abs(goal[0])).all(axis=1)
    found = []
    for i in np.flatnonzero(near).tolist():
        number = next((q for q in _NUMBERS if abs(c[i] - float(q)) <= _CLOSE * abs(c[i])), None)
        if number is not None:
            found.append((i, number))
    return found


def in_order(text: str) -> str:
    """Sums with one sign before each of their terms, and quotients.

    >>> in_order("1 - -g * (1 - s)"), in_order("a + (-(b / c)) + d"), in_order("a + -b * (1 / k)")
    ('1 + g * (1 - s)', 'a - b / c + d', 'a - b / k')
    >>> in_order("a + (-b)**2"), in_order("a - -b**2")
    ('a + (-b)**2', 'a + b**2')
    """
    if "//" in text or "%" in text:
        return text
    text = re.sub(
        r"(?<=[\w)\]] )\+ \(-\(?(?P<rest>[\w.\[\]]+(?: ?[*/] ?[\w.\[\]]+)*)\)?\)(?! ?\*\*)", r"- \g<rest>", text
    )
    text = re.sub(r"(?<=[\w)\]]) \* \(1 / (?P<under>[\w.\[\]]+)\)", r" / \g<under>", text)
    text = re.sub(r"(?<=[\w)\]] )- -(?=[\w(])", "+ ", text)
    return re.sub(r"(?<=[\w)\]] )\+ -(?=[\w(])", "- ", text)


def numbered(text: str, number: Fraction) -> str:
    """A product with a positive simple number before it."""
    node = ast.parse(f"({text}\n)", mode="eval").body
    product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
    return text if number == 1 else f"{float(number):g} * {text if product else factor_after(text)}"


def array_pairs(
    bench: Bench,
    part: str,
    size: int,
    h: Any,
    names: Sequence[Atom],
    goal: np.ndarray | None = None,
    write: Callable[[str], str] = str,
) -> Iterator[Edit]:
    """A product of two names that a part of the line lacks, or that it should be.

    ``h`` is what the part is and ``goal`` what it should be, by default all of the line; ``write`` puts another text
    in its place.
    """
    goal = bench.wanted[0] if goal is None else goal
    here = as_array(h[0])
    with np.errstate(all="ignore"):
        rests: list[tuple[str, Any, float]] = [("replace", goal, 0.12 * size)]
        if here.shape == goal.shape or not here.ndim:
            rests += [("term", goal - here, 0.8), ("factor", goal / here, 0.6)]
    for kind, rest, dear in rests:
        if rest.dtype.kind not in "fiu" or not rest.size or not np.isfinite(rest).all() or not rest.any():
            continue
        flat = np.asarray(rest, float).ravel()
        places = places_in(flat)
        texts, table = _table(bench, names, rest.shape)
        for i, number in multiples(flat[places], table[:, places]) if texts else ():
            pair, cost, coupled = texts[i]
            if coupled and number != 1:
                continue
            sign, pair = "-" if number < 0 else "+", numbered(pair, abs(number))
            if kind == "term":
                new = f"{part} {sign} {after_sign(pair, sign)}"
            else:
                minus = "-" if number < 0 else ""
                new = f"{minus}{pair}" if kind == "replace" else f"{minus}{factor(part)} * {wrapped(pair)}"
            if bench.fits(write(new)):
                known = "softmax" if coupled and kind == "replace" else kind
                yield Edit(
                    write(new),
                    part,
                    new,
                    known,
                    cost + dear + 0.15 * (abs(number) != 1) + bench.chance(abs(number)),
                    "product",
                )


_Texts = list[tuple[str, float, bool]]  # the text of a product, its cost, and whether it is softmax's Jacobian
_HELD = 4_000_000  # numbers that are held for all products together


def _table(bench: Bench, names: Sequence[Atom], shape: tuple[int, ...]) -> tuple[_Texts, np.ndarray]:
    """The products of two of the names that have a shape, at the first sample: computed once for all holes."""
    key = tuple(a.text for a in names)
    if key not in bench.products:
        bench.products[key] = _tabled(bench, names)
    texts, values = bench.products[key].get(shape, ([], []))
    return texts, np.array(values, float)


def _tabled(bench: Bench, names: Sequence[Atom]) -> dict[tuple[int, ...], tuple[_Texts, list[np.ndarray]]]:
    tensors = uses_tensors(bench)
    axes = {"0": "0", "1": "1", "k1": "-1, keepdim=True"} if tensors else {}
    axes = axes or {"0": "axis=0", "1": "axis=1", "k1": "axis=-1, keepdims=True"}
    library = library_name(bench, "torch" if tensors else "numpy")
    products = [p for p in _PRODUCTS if library or "{lib}" not in p[0]]
    found: dict[tuple[int, ...], tuple[_Texts, list[np.ndarray]]] = {}
    held = 0
    with np.errstate(all="ignore"):
        for a, b in itertools.combinations_with_replacement(names, 2):
            x, y = as_array(a.value[0]), as_array(b.value[0])
            for form, extra, f in products:
                if held > _HELD:
                    return found
                bench.count += 1
                try:
                    value = np.asarray(f(x, y), float)
                except Exception:  # of shapes that do not go together
                    continue
                held += value.size
                text = form.format(
                    axes["0"], axes["1"], a=wrapped(a.text), b=wrapped(b.text), k1=axes["k1"], lib=library
                )
                coupled = "-" in form and (".sum(" in form or ".diag(" in form)
                texts, values = found.setdefault(value.shape, ([], []))
                texts.append((text, a.cost + b.cost + extra, coupled))
                values.append(value.ravel())
    return found


def library_name(bench: Bench, name: str) -> str | None:
    """What the user calls a library."""
    return next((n for n, m in bench.scopes[0].items() if getattr(m, "__name__", "") == name), None)
