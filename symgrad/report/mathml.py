"""Code and formulas as mathematics: MathML, which browsers typeset by themselves.

A line of code is typeset as it is written, factor by factor, without being run or simplified; what has no usual
notation (slices, keywords, unknown methods) has none here either, and the line is then shown as code alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from html import escape
from typing import Any

import sympy as sp
from sympy.printing.mathml import mathml

_GREEK = "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi chi psi omega".split()
_LETTERS = {name: f"&{name if name != 'epsilon' else 'epsi'};" for name in _GREEK} | {"pi": "&pi;", "lam": "&lambda;"}
_MODULES = {"torch", "np", "numpy", "math", "F", "jnp", "sp", "nn", "functional", "linalg", "special"}
_FUNCTIONS = "exp log log1p expm1 sin cos tan sinh cosh tanh relu softmax outer dot sum mean max min sign erf".split()
_METHODS = frozenset("exp log sin cos tan sinh cosh tanh sqrt abs sum mean sigmoid relu".split())
_LAYOUTS = frozenset("item detach numpy squeeze double float clone copy".split())
_ADD, _MUL, _NEG, _POW, _ATOM = 1, 2, 3, 4, 5  # how tightly an expression binds


class _NoNotation(Exception):
    """A piece of code that has no usual notation."""


def of_code(text: str) -> str | None:
    """A line of code in MathML; None where it has no notation of its own.

    >>> print(of_code("dh = (1 - h**2) * x"))
    <math><mi>dh</mi><mo>=</mo><mrow><mo>(</mo><mn>1</mn><mo>&minus;</mo><msup><mi>h</mi><mn>2</mn></msup><mo>)</mo></mrow>\
<mo>&sdot;</mo><mi>x</mi></math>
    >>> of_code("y = x[1:]") is None
    True
    """
    try:
        (statement,) = ast.parse(text.strip()).body
        return f"<math>{_statement(statement)}</math>"
    except (_NoNotation, SyntaxError, ValueError, RecursionError):
        return None


def of_claim(text: str) -> str | None:
    """What a line is meant to be, "d h1 / d w", as a fraction; None for other words."""
    found = re.fullmatch(r"(?:d |∂)([²³]?)([\w.\[\]]+) ?/ ?(?:d |∂)([\w.\[\]]+?)([²³]?)", text)
    if found is None:
        return None
    first, top, below, last = found.groups()
    top = "f" if top == "out" else top  # the output, which is called so beside it
    parts = (_times("<mo>&part;</mo>", first) + _name(top), "<mo>&part;</mo>" + _times(_name(below), last))
    halves = "".join(f"<mrow>{x}</mrow>" for x in parts)
    return f"<math displaystyle='true'><mfrac>{halves}</mfrac></math>"


def _times(what: str, power: str) -> str:
    return f"<msup>{what}<mn>{'23'['²³'.index(power)]}</mn></msup>" if power else what


def of_derivative(name: str, order: int = 1) -> str:
    """The left side of an equation for a derivative of f."""
    if order == 2:
        return f"<math><msubsup><mo>&nabla;</mo>{_row(_name(name))}<mn>2</mn></msubsup><mi>f</mi><mo>=</mo></math>"
    below = f"<mrow><mo>&part;</mo>{_name(name)}</mrow>"
    return f"<math displaystyle='true'><mfrac><mrow><mo>&part;</mo><mi>f</mi></mrow>{below}</mfrac><mo>=</mo></math>"


def of_expression(value: Any) -> str:
    """A SymPy expression or matrix in MathML."""
    return f"<math displaystyle='true'>{mathml(sp.sympify(value), printer='presentation')}</math>"


def _statement(node: ast.stmt) -> str:
    match node:
        case ast.Assign(targets=[target], value=value):
            return f"{_at(target, _ATOM)}<mo>=</mo>{_at(value, 0)}"
        case ast.AugAssign(target=target, op=ast.Add() | ast.Sub() as op, value=value):
            sign = "+" if isinstance(op, ast.Add) else "&minus;"
            return f"{_at(target, _ATOM)}<mo>=</mo>{_at(target, _ATOM)}<mo>{sign}</mo>{_at(value, _MUL)}"
        case ast.Expr(value=value):
            return _at(value, 0)
        case ast.Return(value=ast.expr() as value):
            return _at(value, 0)
    raise _NoNotation


def _at(node: ast.expr, level: int) -> str:
    """An expression, in parentheses where it binds less tightly than its place does."""
    text, own = _expression(node)
    return f"<mrow><mo>(</mo>{text}<mo>)</mo></mrow>" if own < level else text


def _expression(node: ast.expr) -> tuple[str, int]:
    """An expression, and how tightly it binds."""
    match node:
        case ast.Name(id=name):
            return _name(name), _ATOM
        case ast.Constant(value=bool() | None | str() | bytes()):
            raise _NoNotation
        case ast.Constant(value=value):
            return f"<mn>{escape(ast.unparse(node) if isinstance(value, float) else str(value))}</mn>", _ATOM
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return f"<mo>&minus;</mo>{_at(a, _MUL)}", _ADD
        case ast.BinOp(left=a, op=ast.Add(), right=b):
            return f"{_at(a, _ADD)}<mo>+</mo>{_at(b, _MUL)}", _ADD
        case ast.BinOp(left=a, op=ast.Sub(), right=b):
            return f"{_at(a, _ADD)}<mo>&minus;</mo>{_at(b, _MUL)}", _ADD
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            return f"{_at(a, _MUL)}<mo>&sdot;</mo>{_at(b, _NEG)}", _MUL
        case ast.BinOp(left=a, op=ast.MatMult(), right=b):
            return f"{_at(a, _MUL)}<mspace width='.25em'/>{_at(b, _NEG)}", _MUL
        case ast.BinOp(left=a, op=ast.Div(), right=b):
            return f"<mfrac><mrow>{_at(a, 0)}</mrow><mrow>{_at(b, 0)}</mrow></mfrac>", _NEG
        case ast.BinOp(left=a, op=ast.Pow(), right=b):
            return _raised(_at(a, _ATOM), _row(_at(b, 0))), _POW
        case ast.Attribute(value=a, attr="T" | "mT"):
            return f"<msup>{_row(_at(a, _ATOM))}<mi>T</mi></msup>", _POW
        case ast.Attribute(value=ast.Name(id=module), attr="pi" | "e" as name) if module in _MODULES:
            return (_LETTERS["pi"] if name == "pi" else "<mi>e</mi>"), _ATOM
        case ast.Subscript(value=a, slice=ast.Tuple(elts=places)):
            return _indexed(a, places), _ATOM
        case ast.Subscript(value=a, slice=place):
            return _indexed(a, [place]), _ATOM
        case ast.Call(func=f, args=args, keywords=[]):
            return _call(f, args)
    raise _NoNotation


def _raised(base: str, power: str) -> str:
    """A power; an index and an exponent stand above each other."""
    if base.startswith("<msub>") and _one(base):
        return f"<msubsup>{base.removeprefix('<msub>').removesuffix('</msub>')}{power}</msubsup>"
    return f"<msup>{_row(base)}{power}</msup>"


def _row(text: str) -> str:
    """One child, as msup and its kind want."""
    return (
        text
        if re.fullmatch(r"<(m[in])>[^<]*</\1>|<(mrow|msub|mfrac)>.*</\2>", text) and _one(text)
        else (f"<mrow>{text}</mrow>")
    )


def _one(text: str) -> bool:
    """Whether MathML is a single element."""
    depth = 0
    for k, tag in enumerate(re.finditer(r"<(/?)[^>]*?(/?)>", text)):
        if k and depth == 0:
            return False
        depth += 0 if tag[2] else -1 if tag[1] else 1
    return True


def _indexed(base: ast.expr, places: list[ast.expr]) -> str:
    if not all(isinstance(p, (ast.Name, ast.Constant, ast.BinOp)) for p in places):
        raise _NoNotation
    inner = "<mo>,</mo>".join(_at(p, 0) for p in places)
    return f"<msub>{_row(_at(base, _ATOM))}<mrow>{inner}</mrow></msub>"


def _call(function: ast.expr, args: list[ast.expr]) -> tuple[str, int]:
    match function:
        case ast.Name(id=name):
            return _applied(name, args)
        case ast.Attribute(value=value, attr=name) if _is_module(value):
            return _applied(name, args)
        case ast.Attribute(value=value, attr=name) if name in _METHODS and not args:
            return _applied(name, [value])
        case ast.Attribute(value=value, attr=name) if name in _LAYOUTS and not args:
            return _expression(value)
        case ast.Attribute(value=value, attr="t") if not args:
            return f"<msup>{_row(_at(value, _ATOM))}<mi>T</mi></msup>", _POW
    raise _NoNotation


def _is_module(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name):
            return name in _MODULES
        case ast.Attribute(value=value, attr=name):
            return name in _MODULES and _is_module(value)
    return False


def _applied(name: str, args: list[ast.expr]) -> tuple[str, int]:
    special: dict[str, Callable[[str], str]] = {
        "sqrt": lambda x: f"<msqrt>{x}</msqrt>",
        "abs": lambda x: f"<mrow><mo>|</mo>{x}<mo>|</mo></mrow>",
        "square": lambda x: f"<msup><mrow><mo>(</mo>{x}<mo>)</mo></mrow><mn>2</mn></msup>",
    }
    if len(args) == 1 and name in special:
        return special[name](_at(args[0], 0)), _ATOM
    if len(args) == 1 and name in ("sum",):
        return f"<mo>&sum;</mo>{_at(args[0], _MUL)}", _ADD
    head = "<mi>&sigma;</mi>" if name == "sigmoid" else f"<mi>{escape(name)}</mi>"
    if name not in _FUNCTIONS and name != "sigmoid":
        head = _name(name)
    inner = "<mo>,</mo>".join(_at(a, 0) for a in args)
    return f"{head}<mrow><mo>(</mo>{inner}<mo>)</mo></mrow>", _ATOM


def _name(name: str) -> str:
    """A name, with its number and what follows its first underscore as indices; Greek letters by their names."""
    again = re.fullmatch(r"(\w+)\[(\d+)\]", name)
    if again is not None:  # the value that a variable had in one round of a loop
        return f"<msub>{_row(_name(again[1]))}<mn>{again[2]}</mn></msub>"
    found = None if re.match(r"d.*_d", name) else re.fullmatch(r"([A-Za-z]+)(\d*)(?:_(\w+))?", name)
    base, number, index = found.groups() if found else (name, "", None)
    marks = [f"<mn>{number}</mn>"] * bool(number) + ([f"<mi>{_letter(index)}</mi>"] if index else [])
    if not marks:
        return f"<mi>{_letter(base)}</mi>"
    below = marks[0] if len(marks) == 1 else f"<mrow>{'<mo>,</mo>'.join(marks)}</mrow>"
    return f"<msub><mi>{_letter(base)}</mi>{below}</msub>"


def _letter(name: str) -> str:
    return _LETTERS.get(name, escape(name))
