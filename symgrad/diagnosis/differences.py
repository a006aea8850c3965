"""What differs between what a line says and what it should say: in its text, and in its value."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.diagnosis.candidates import wrapped
from symgrad.diagnosis.scope import values_at
from symgrad.diagnosis.source_code import span
from symgrad.evaluation.residues import certificate
from symgrad.program.builder import Builder
from symgrad.program.program import Program

# ----------------------------------------------------------------------------------------------------------- text diff
# What changed between two expressions: the smallest part, and what kind of change it is.


def changed(before: str, after: str) -> tuple[str, str]:
    """The smallest parts of two expressions in which they differ.

    >>> changed("(1 - h1_raw**2) * d", "(1 - h1**2) * d")
    ('h1_raw', 'h1')
    >>> changed("x.scatter(0, i, g)", "x.scatter_add(0, i, g)")
    ('scatter', 'scatter_add')
    >>> changed("array([[a, b], [c, d]])", "array([[a, b], [-c, d]])")
    ('c', '-c')
    """
    a, b = (ast.parse(f"({t}\n)", mode="eval").body for t in (before, after))
    while True:
        if isinstance(a, ast.Attribute) and isinstance(b, ast.Attribute) and ast.dump(a.value) == ast.dump(b.value):
            return a.attr, b.attr
        below = _only_child(a, b)
        if below is None:
            (i, j), (k, m) = span(before, a, shift=1), span(after, b, shift=1)
            return before[i:j], after[k:m]
        a, b = below


def lines_changed(before: str, after: str) -> tuple[int, int] | None:
    """The first of the lines of a text that another text changes, and the one after the last; None where it changes
    all of them, or their number.

    >>> lines_changed("[a,\\n b,\\n c]", "[a,\\n -b,\\n c]")
    (1, 2)
    """
    a, b = before.split("\n"), after.split("\n")
    if len(a) != len(b):
        return None
    unlike = [k for k, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return (unlike[0], unlike[-1] + 1) if unlike and len(unlike) < len(a) else None


def _only_child(a: ast.expr, b: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """The one pair of children in which two nodes of a kind differ."""
    if type(a) is not type(b):
        return None
    left, right = list(ast.iter_child_nodes(a)), list(ast.iter_child_nodes(b))
    if len(left) != len(right):
        return None
    pairs = [(x, y) for x, y in zip(left, right, strict=True) if ast.dump(x) != ast.dump(y)]
    if len(pairs) != 1:
        return None
    x, y = pairs[0]
    if isinstance(x, ast.keyword) and isinstance(y, ast.keyword) and x.arg == y.arg:
        return x.value, y.value
    if isinstance(x, ast.expr) and isinstance(y, ast.expr) and not isinstance(a, (ast.Compare, ast.Tuple)):
        return x, y
    return None


_GENERAL = ("replace", "factor", "divide", "term", "drop factor", "drop term", "formula", "constant", "name")
_GENERAL += ("constant factor",)


def classified(old: str, new: str, kind: str) -> tuple[str, str]:
    """The kind of a change as the two texts show it, and the operand that came or went."""
    try:
        a, b = (ast.parse(f"({t}\n)", mode="eval").body for t in (old, new))
    except SyntaxError:  # pieces of a slice, such as ":, :2", are no expressions
        return kind, ""
    if kind not in _GENERAL:
        return kind, ""
    if isinstance(a, ast.Name) and isinstance(b, ast.Name):
        return "name", ""
    if _is_number(a) and _is_number(b):
        return "constant", ""
    if kind == "name":
        return kind, ""
    if isinstance(b, ast.BinOp) and isinstance(b.op, ast.Pow) and ast.dump(b.left) == ast.dump(a):
        return "exponent", ""
    for parts, names in ((_factors, ("factor", "divide", "drop factor")), (_terms, ("term", "term", "drop term"))):
        x, y = Counter(parts(a)), Counter(parts(b))
        more, less = y - x, x - y
        if more and not less:
            ((sign, text), *rest) = more
            if not rest and more.total() == 1:
                return (names[1] if sign == "/" else names[0]), f"-{wrapped(text)}" if sign == "-" else text
            return names[0], _product(list(more.elements()), parts is _factors)
        if less and not more:
            return names[2], _product(list(less.elements()), parts is _factors)
    return ("formula" if kind == "formula" else "replace"), ""


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _product(parts: list[tuple[str, str]], factors: bool) -> str:
    first = {"*": "", "/": "1 / ", "+": "", "-": "-"}[parts[0][0]]
    return first + parts[0][1] + "".join(f" {sign} {text}" for sign, text in parts[1:])


def _factors(node: ast.expr, sign: str = "*") -> list[tuple[str, str]]:
    match node:
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            return _factors(a, sign) + _factors(b, sign)
        case ast.BinOp(left=a, op=ast.Div(), right=b):
            return _factors(a, sign) + _factors(b, "*" if sign == "/" else "/")
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return [("*", "-1"), *_factors(a, sign)]
    return [(sign, ast.unparse(node))]


def _terms(node: ast.expr, sign: str = "+") -> list[tuple[str, str]]:
    flip = "-" if sign == "+" else "+"
    match node:
        case ast.BinOp(left=a, op=ast.Add(), right=b):
            return _terms(a, sign) + _terms(b, sign)
        case ast.BinOp(left=a, op=ast.Sub(), right=b):
            return _terms(a, sign) + _terms(b, flip)
        case ast.UnaryOp(op=ast.USub(), operand=a) if isinstance(a, (ast.Name, ast.Call, ast.BinOp)):
            return _terms(a, flip)
    return [(sign, ast.unparse(node))]


# ---------------------------------------------------------------------------------------------------------- value diff
# What two values have to do with each other: exact ratios, transposes, missing paths.
#
# Floats at a few points suggest a relation; residues confirm it, and one that they do not confirm is not told.

_SUGGESTS = 1e-9  # how near floats must be for a relation to be worth confirming


def describe_difference(
    program: Program,
    hand: int,
    truth: int,
    names: Mapping[str, int],
    points: Sequence[Mapping[str, Any]],
    *,
    seed: int = 0,
) -> tuple[str, ...]:
    """Sentences on how the value of step ``hand`` differs from that of step ``truth``, the most telling first.

    ``names`` are the steps that have a name the user knows; ``points`` are where the two are looked at first.

    >>> from symgrad.program.builder import Builder
    >>> b = Builder()
    >>> x, w = b.input("x", ()), b.input("w", ())
    >>> truth = b.mul(b.mul(x, w), b.number(2))
    >>> hand, points = b.mul(x, w), [{"x": 0.5, "w": 3.0}, {"x": 2.0, "w": 5.0}]
    >>> describe_difference(b.build({}), hand, truth, {"x": x, "w": w}, points)
    ('yours is exactly 1/2 times the truth.',)

    Raises nothing.  Guarantee: each relation that is told was confirmed by residues (see `certificate`).
    """
    steps = [hand, truth, *names.values()]
    seen = [{i: _array(v) for i, v in values_at(program, steps, p).items() if i in set(steps)} for p in points]
    for suggestion in (_layout, _ratio, _named_ratio, _difference):
        told = tuple(
            dict.fromkeys(
                text
                for b, left, right, text in suggestion(program, hand, truth, names, seen)
                if certificate(b.build({}), [(left, right)], seed=seed).equal
            )
        )
        if told:
            return told[:2]
    return ()


_Claim = tuple[Builder, int, int, str]
_Seen = Sequence[Mapping[int, np.ndarray]]


def _array(x: Any) -> np.ndarray:
    return x.detach().resolve_conj().numpy()


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    return bool(np.max(np.abs(a - b), initial=0) <= _SUGGESTS * np.max(np.abs(b), initial=0))


def _layout(program: Program, hand: int, truth: int, names: Mapping[str, int], seen: _Seen) -> Iterator[_Claim]:
    """Transposes, conjugates, and sums that were not taken."""
    shape, wanted = program.shape(hand), program.shape(truth)
    b = Builder.on(program)
    if len(shape) == 2 and shape == wanted[::-1] and all(_near(s[hand].T, s[truth]) for s in seen):
        yield b, b.transpose(hand), truth, "yours is the transpose of the truth."
    if shape == wanted and program.steps[truth].is_complex and all(_near(s[hand].conj(), s[truth]) for s in seen):
        yield b, b.conj(hand), truth, "yours is the complex conjugate of torch's gradient."
    for k, n in enumerate(shape):
        if n > 1 and tuple(m for j, m in enumerate(shape) if j != k) == wanted:
            for word, scale in (("sum", 1.0), ("mean", 1.0 / n)):
                if all(_near(s[hand].sum(k) * scale, s[truth]) for s in seen):
                    total = b.sum(hand, k)
                    right = total if word == "sum" else b.div(total, b.number(n))
                    yield (
                        b,
                        right,
                        truth,
                        f"yours still has axis {k}, of size {n}: the truth is its {word} over that axis.",
                    )
    if shape == wanted and shape and all(not s[hand].any() and s[truth].any() for s in seen):
        yield b, hand, b.zeros(shape, program.steps[hand].dtype), "yours is zero everywhere, and the truth is not."


def _ratio(program: Program, hand: int, truth: int, names: Mapping[str, int], seen: _Seen) -> Iterator[_Claim]:
    """Yours is a number times the truth."""
    if program.shape(hand) != program.shape(truth):
        return
    with np.errstate(all="ignore"):
        ratios = np.concatenate([(s[hand] / s[truth])[np.asarray(s[truth] != 0)].ravel() for s in seen])
    if not ratios.size or not np.isfinite(ratios).all() or np.iscomplexobj(ratios):
        return
    c = float(ratios[0])
    if c == 1 or not np.all(np.abs(ratios - c) <= _SUGGESTS * abs(c)):
        return
    exact = _number(c)
    if exact is None:
        return
    b = Builder.on(program)
    right = b.mul(b.broadcast(b.number(exact, program.steps[truth].dtype), program.shape(truth)), truth)
    yield b, hand, right, _told(exact, program, names)


def _number(c: float) -> sp.Expr | None:
    """The simple exact number that a float stands for."""
    for form in (sp.Integer(1), sp.pi, 1 / sp.pi):
        rational = Fraction(c / float(form)).limit_denominator(10000)
        if rational and abs(float(rational) * float(form) - c) <= 1e-10 * abs(c):
            return sp.Rational(rational.numerator, rational.denominator) * form
    root = Fraction(c * c).limit_denominator(100)
    if root and abs(math.sqrt(root) - abs(c)) <= 1e-10 * abs(c):
        return sp.sqrt(sp.Rational(root.numerator, root.denominator)) * (1 if c > 0 else -1)
    return None


def _told(c: sp.Expr, program: Program, names: Mapping[str, int]) -> str:
    if c == -1:
        return "yours is exactly minus the truth: a sign is missing."
    if c == 180 / sp.pi or c == sp.pi / 180:
        return f"yours is exactly {c} times the truth: degrees were taken for radians."
    sentence = f"yours is exactly {c} times the truth"
    sizes = [
        (not (k == 0 and len(program.shape(i)) > 1), len(program.shape(i)), k, name, n)
        for name, i in names.items()
        for k, n in enumerate(program.shape(i))
        if n > 2 and c in (n, sp.Rational(1, n))
    ]
    if not sizes:
        return f"{sentence}."
    rows, _, k, name, n = min(sizes)
    what = "the length" if len(program.shape(names[name])) == 1 else f"the size of axis {k}"
    return f"{sentence}, and {n} is {what if rows else 'the batch size, the number of rows'} of {name}."


def _named_ratio(program: Program, hand: int, truth: int, names: Mapping[str, int], seen: _Seen) -> Iterator[_Claim]:
    """A named factor is missing or too many."""
    shape = program.shape(truth)
    if program.shape(hand) != shape:
        return
    for name, i in names.items():
        if not _broadcasts(program.shape(i), shape) or i in (hand, truth):
            continue
        if all(_near(s[hand] * s[i], s[truth]) and s[truth].any() for s in seen):
            b = Builder.on(program)
            yield b, b.mul(hand, i), truth, f"a factor is missing: the truth is exactly {name} times yours."
        if all(_near(s[truth] * s[i], s[hand]) and s[hand].any() for s in seen):
            b = Builder.on(program)
            yield b, hand, b.mul(truth, i), f"there is a factor too much: yours is exactly {name} times the truth."


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def _difference(program: Program, hand: int, truth: int, names: Mapping[str, int], seen: _Seen) -> Iterator[_Claim]:
    """One of the terms of the truth is missing, has the other sign, or a named value is added to it."""
    shape = program.shape(truth)
    if program.shape(hand) != shape:
        return
    terms = list(_summands(program, truth))
    for term in terms if len(terms) > 1 else ():
        b = Builder.on(program)
        through = _through(program, term, [t for t in terms if t != term], names)
        path = f"the path through {through}" if through else "one of the terms that the chain rule adds up"
        yield b, b.add(hand, term), truth, f"what is missing is exactly {path}."
        yield b, b.add(hand, b.add(term, term)), truth, f"{path} has the wrong sign."
    for name, i in names.items():
        if program.shape(i) == shape and i not in (hand, truth):
            if all(_near(s[hand] + s[i], s[truth]) for s in seen):
                b = Builder.on(program)
                yield b, b.add(hand, i), truth, f"what is missing is exactly the term {name}."
            if all(_near(s[truth] + s[i], s[hand]) for s in seen):
                b = Builder.on(program)
                yield b, hand, b.add(truth, i), f"there is a term too much: exactly {name}."


def _summands(program: Program, i: int, depth: int = 8) -> Iterator[int]:
    """The terms of a sum, flattened."""
    step = program.steps[i]
    if step.op == "add" and depth:
        for a in step.args:
            yield from _summands(program, a, depth - 1)
    elif step.op in ("name", "cast") and depth:
        yield from _summands(program, step.args[0], depth - 1)
    else:
        yield i


def _through(program: Program, term: int, others: Sequence[int], names: Mapping[str, int]) -> str | None:
    """The named value that a term goes through and the others do not, the nearest to it."""
    mine, theirs = set(program.needed([term])), set(program.needed(others))
    found = [(i, name) for name, i in names.items() if i in mine - theirs]
    return max(found)[1] if found else None
