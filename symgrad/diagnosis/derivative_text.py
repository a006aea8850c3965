"""The exact derivative of a line, spelled out in the names that are in scope there, and its pieces."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.diagnosis.bench import Bench, as_array, same
from symgrad.diagnosis.candidates import Atom, Speller, is_finite, loose, names_with_values, wrapped
from symgrad.diagnosis.scope import values_at
from symgrad.ops.scalars import OPS
from symgrad.program.program import Program, Strided, dependents

_DEEP = 16  # how deep the exact derivative is spelled out
_LONG = 30, 220  # operations and characters of what is still read


@dataclass(eq=False)
class _Spelled:
    program: Program
    values: list[dict[int, torch.Tensor]]  # of each sample
    known: list[tuple[str, list[np.ndarray], float]]
    speller: Speller
    done: dict[int, tuple[str, int] | None]
    sizes: dict[int, str]
    moving: set[int]  # steps that an input changes


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
    for name, value, _ in list(known):
        if all(v.dtype.kind == "f" for v in value):
            known.append((f"1 - {name}", [1 - v for v in value], 1.0))
    for atom in also:
        if atom.kind in ("written", "size"):
            known.append((atom.text, [as_array(atom.value[k]) for k in samples], 1.0))
    sizes: dict[int, str] = {}
    for atom in sorted(also, key=lambda a: a.cost):
        if atom.kind == "size" and float(as_array(atom.value[0])) > 2:
            sizes.setdefault(int(as_array(atom.value[0])), atom.text)
    for step in program.steps:
        if step.op == "powi":  # 3 in x**3 is no size
            sizes.pop(int(step.params), None)
    s = _Spelled(
        program,
        values,
        known,
        Speller(bench.scopes[0], bench.typed),
        {},
        sizes,
        dependents(program.steps, program.inputs.values()),
    )
    whole = _spell(s, truth, 0, top=True)
    pieces = []
    for found in s.done.values():
        if found is None or found[1] == 0 or len(found[0]) > 70:
            continue
        text = found[0] if len(_NUMBER.findall(found[0])) < 2 else shortened(found[0])
        try:
            value = bench.values(text)
            if is_finite(value):
                pieces.append(Atom(text, value, 1.3 + 0.12 * found[1], "derivative"))
        except Exception:
            continue
    return (shortened(whole[0]) if whole else None), pieces


def _spell(s: _Spelled, i: int, depth: int, top: bool = False) -> tuple[str, int] | None:
    """The text of a step and how many operations it has; None where it cannot be written in a few words."""
    if i in s.done and not top:
        return s.done[i]
    s.done[i] = None
    found = None if top else _entry(s, i) or _known(s, i)
    if found is None and depth < _DEEP:
        found = _written_out(s, i, depth)
        if found is not None and (found[1] > _LONG[0] or len(found[0]) > _LONG[1]):
            found = None
    s.done[i] = found
    return found


def _entry(s: _Spelled, i: int) -> tuple[str, int] | None:
    """One entry of a vector in scope, by its own index: two entries may hold one value."""
    step = s.program.steps[i]
    if step.op != "pick" or len(step.args) != 1 or step.shape or not isinstance(step.params, Strided):
        return None
    vector = step.args[0]
    if len(s.program.shape(vector)) != 1:
        return None
    mine = [as_array(v[vector]) for v in s.values if vector in v]
    names = (text for text, value, cost in s.known if not cost and len(mine) == len(value) and text.isidentifier())
    held = {text: value for text, value, _ in s.known}
    found = next((n for n in names if all(_alike(v, m) for v, m in zip(held[n], mine, strict=True))), None)
    return None if found is None else (f"{found}[{step.params.offset}]", 0)


def _known(s: _Spelled, i: int) -> tuple[str, int] | None:
    step = s.program.steps[i]
    if step.op == "constant":
        value = np.asarray(step.params.value)
        return _constant(s, value) if value.size else None
    mine = [as_array(v[i]) for v in s.values]
    first = mine[0]
    still = i not in s.moving and first.size and np.all(first == first.flat[0])
    if still and all(np.array_equal(m, first) for m in mine):
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
    if (value.size > 1 and not np.all(value == x)) or value.dtype.kind == "c":
        return None
    x = float(x)
    if not math.isfinite(x):
        return None
    if x.is_integer() and abs(x) < 1e6:
        return (s.sizes.get(int(x)) or repr(int(x))), 0
    if x and abs(1 / x - round(1 / x)) < 1e-12 and abs(1 / x) < 1e6 and x != 0.5:
        n = round(1 / x)
        text = s.sizes.get(abs(n)) or str(abs(n))
        return f"{'-' if n < 0 else ''}1 / {text}", 1
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


# ------------------------------------------------------------------------------------------------ shortening

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def shortened(text: str) -> str:
    """The same arithmetic in fewer words: numbers multiplied out, common factors taken out, signs gathered.

    Whatever is no sum, product, quotient or power of a whole number stays as it is written; so the value is the same
    for numbers and, entry by entry, for arrays.

    >>> shortened("((-sn) * 6 * c**5 * 32 - (-sn) * 4 * c**3 * 48) * V[5]")
    '192*sn*c**3*V[5]*(1 - c**2)'
    >>> shortened("(1 / 10) * 2 * w"), shortened("-(-np.sin(x))")
    ('w/5', 'np.sin(x)')
    """
    names: dict[str, sp.Symbol] = {}
    try:
        value = _arithmetic_of(ast.parse(text.strip(), mode="eval").body, names)
    except SyntaxError:
        return text
    written = {sp.Symbol(f"x{k}_"): name for k, name in enumerate(names)}
    forms = [sp.expand(value), sp.factor_terms(value), sp.factor_terms(sp.expand(value)), sp.factor(value)]
    best = min(forms, key=lambda e: (sp.count_ops(e), len(str(e))))
    out = re.sub(r"x(\d+)_", lambda m: wrapped(written[sp.Symbol(m.group())]), str(best))
    return out if len(out) < len(text) else text


def _arithmetic_of(node: ast.expr, names: dict[str, sp.Symbol]) -> Any:
    match node:
        case ast.BinOp(left=a, op=op, right=b) if type(op) in _ARITHMETIC:
            return _ARITHMETIC[type(op)](_arithmetic_of(a, names), _arithmetic_of(b, names))
        case ast.BinOp(left=a, op=ast.Pow(), right=ast.Constant(value=int() as n)):
            return _arithmetic_of(a, names) ** n
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return -_arithmetic_of(a, names)
        case ast.Constant(value=int() | float() as x) if not isinstance(x, bool):
            return sp.Integer(x) if isinstance(x, int) else sp.Float(x)
    return names.setdefault(ast.unparse(node), sp.Symbol(f"x{len(names)}_"))
