r"""Slopes along a curve: ``x^3 + y^3 = 6xy`` with ``\frac{dy}{dx} = \frac{2y - x^2}{y^2 - 2x}``, and ``x = \cos t``,
``y = \sin t`` with ``\frac{dy}{dx} = -\cot t``.

Where F(x, y) = 0, dy/dx is -F_x/F_y, and where x and y are functions of t it is y'(t)/x'(t); d²y/dx² is the derivative
of that along the curve.  What a row of a derivation says of it, as ``2x + 2yy' = 0`` does, is found by solving the row,
in which the slope is linear.  Two formulas may be the same on the curve alone: they are if their difference is a
multiple of F, which is taken off; and they are not if there is a point of the curve where they differ.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from symgrad.errors import BadInput, SymgradError
from symgrad.evaluation.balls import Balls, array_of
from symgrad.lifting.formulas import open_formula
from symgrad.lifting.latex.constructs import open_reader
from symgrad.lifting.latex.derivatives import derivative, named_arguments, whole_name
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.names import bare_name
from symgrad.lifting.latex.rows_of_tokens import pieces_of
from symgrad.lifting.latex.token_reader import Node, Reader, differential, is_slope, place, spelled, starts_name
from symgrad.lifting.latex.tokens import Token, tokens
from symgrad.lifting.latex.value_chains import Chain, side_names
from symgrad.program.program import Source, interpret

_SLOPES = ("slope", "bend")  # what the first and the second derivative are called inside of a row
_PARAMETERS = "t theta s u tau phi varphi".split()
_HELD = re.compile(
    r"(?:\\left)?\(\s*(\{\\mathrm\{slope\}\})\s*(?:\\right)?\)_(?:\{[^{}]*\}|\\?[A-Za-z]+)"
)  # what is held fixed
_Side = Sequence[Token]


@dataclass(frozen=True)
class _Curve:
    """Where y runs along x: the exact first and second derivative, and F, which is zero on it.

    ``bodies`` are the texts of what rows say names are, ``values`` the same in SymPy where x and y are functions of
    ``parameter``.
    """

    x: str
    y: str
    slopes: tuple[Any, Any]
    relation: Any = sp.S.Zero
    bodies: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[Any, Any] = field(default_factory=dict)
    parameter: str = ""

    def said(self, difference: Any) -> tuple[Any, int] | None:
        """What a row says of a slope, by the difference of its sides, and of which order; None where it says nothing
        but that the curve is what it is."""
        order = next((k for k in (2, 1) if difference.has(sp.Symbol(_SLOPES[k - 1]))), 0)
        if not order:
            return None if sp.simplify(self.on_it(difference)) == 0 else (self.slopes[0] + difference, 1)
        slope = sp.Symbol(_SLOPES[order - 1])
        factor = difference.diff(slope)
        if factor == 0 or factor.has(slope):
            raise BadInput(
                f"what this row says of d{self.y}/d{self.x} is not clear.",
                where=f"    {difference} = 0",
                instead=f"Write it as d{self.y}/d{self.x} = ...",
            )
        made = -difference.xreplace({slope: sp.S.Zero}) / factor
        return made.xreplace({sp.Symbol(_SLOPES[0]): self.slopes[0]}), order

    def on_it(self, difference: Any) -> Any:
        """A difference without the part that is a multiple of F."""
        if self.relation == 0:
            return difference
        above, _ = sp.fraction(sp.together(difference))
        zero, _ = sp.fraction(sp.together(self.relation))
        try:
            _, rest = sp.reduced(sp.expand(above), [sp.expand(zero)])
        except sp.PolynomialError:
            return difference
        return sp.S.Zero if rest == 0 else difference


def slopes_along(formula: Latex, hand: Latex) -> Chain | None:
    r"""What is claimed of slopes along a curve, as sides that are equal to the exact one; None of other questions.

    >>> slopes_along(Latex("x^2 + y^2 = 25"), Latex(r"y' = -\frac{x}{y}")).first
    -x/y

    Raises `BadInput` where it is not clear what the curve is, what a row says of a slope, or whether two formulas that
    differ elsewhere are the same on the curve.
    """
    pieces = pieces_of(hand.text, tokens(hand.text))
    if (curve := _curve_of(formula, hand.text, pieces)) is None:
        return None
    claims: list[tuple[Any, int, Source]] = []  # what each side says, and of which order
    for sides in pieces:
        first, *others = (_value(hand, curve, side) for side in sides)
        for k, (side, other) in enumerate(zip(sides[1:], others, strict=True)):
            left = hand.text[sides[0][0].start : sides[0][-1].stop] if sides[0] and not k else ""
            typeset = f"{left} = {hand.text[side[0].start : side[-1].stop]}".strip()
            row = Source(typeset, None, hand.row_of(side[0].start))
            if (said := curve.said(first - other)) is not None:
                claims.append((*said, row))
    if not claims:
        return None
    order = claims[-1][1]
    exact = curve.slopes[order - 1]
    notes, made = [_note(curve, order)], []
    for value, k, row in claims:
        side, note = _compared(curve, exact, value - curve.slopes[k - 1], row)
        made.append(side)
        notes += [note] if note else []
    unused = sorted(set().union(*(e.free_symbols for e in made)) - exact.free_symbols, key=str)
    if unused:  # constants of the curve, which the exact slope does without
        exact = sp.Add(exact, *(sp.Mul(0, s, evaluate=False) for s in unused), evaluate=False)
    sources = [row for _, _, row in claims]
    names = side_names([sources[0].line or 1, *(s.line or 1 for s in sources)])[1:]
    return Chain(exact, dict(zip(names, made, strict=True)), dict(zip(names, sources, strict=True)), tuple(notes))


def curve_and_slopes(whole: Latex) -> tuple[Latex, Latex] | None:
    r"""A text that says what a curve is and then what its slopes are, as the two; None of another text.

    >>> [side.text for side in curve_and_slopes(Latex(r"xy = 1 \implies y + xy' = 0"))]
    ['xy = 1', "y + xy' = 0"]
    """
    text = whole.text
    pieces = pieces_of(text, tokens(text))
    has_slopes = [any(True for side in sides for _ in _named_slopes(text, side)) for sides in pieces]
    if True not in has_slopes or (k := has_slopes.index(True)) not in (1, 2):
        return None
    start = pieces[k][0][0].start if pieces[k][0] else pieces[k][1][0].start
    formula = replace(whole, text=text[pieces[0][0][0].start : pieces[k - 1][-1][-1].stop])
    if _curve_of(formula, text, pieces[k:]) is None:
        return None
    return formula, replace(whole, text=text[start:], above=whole.row_of(start) - 1)


def _curve_of(formula: Latex, text: str, rows: Sequence[Sequence[_Side]]) -> _Curve | None:
    """The curve that a formula is, if it is one along which the rows beside it tell a slope."""
    named = [found for sides in rows for side in sides for found in _named_slopes(text, side)]
    named.sort(key=lambda found: found[1] == "")
    return next((made for y, x in named if (made := _curve(formula, y, x)) is not None), None)


def _note(curve: _Curve, order: int) -> str:
    x, y = curve.x, curve.y
    what = f"d{y}/d{x}" if order == 1 else f"d^2{y}/d{x}^2"
    if curve.parameter == y:
        return f"The first side is {what}, where {x} is a function of {y}."
    if curve.parameter:
        return f"The first side is {what}, where {x} and {y} are functions of {curve.parameter}."
    return f"The first side is {what} by F = {curve.relation}, which is zero on the curve: d{y}/d{x} is -F_{x}/F_{y}."


def _compared(curve: _Curve, exact: Any, difference: Any, row: Source) -> tuple[Any, str]:
    """A side as it is compared with the exact slope: without the multiple of F that it differs by, or as it is where
    the two differ on the curve; and in which point they do."""
    if curve.relation == 0 or sp.simplify(difference) == 0:
        return exact + difference, ""
    if curve.on_it(difference) == 0:
        above, below = sp.fraction(sp.together(difference))
        zero, _ = sp.fraction(sp.together(curve.relation))
        (times,), _ = sp.reduced(sp.expand(above), [sp.expand(zero)])
        return exact + difference - times * zero / below, ""
    where = _differing_point(curve, difference)
    if where is None and _may_be_zero(difference):
        return exact + difference, ""
    if where is None:
        raise BadInput(
            "whether this is the slope where the curve runs is not known.",
            where=f"    {row.text}",
            instead=f"Write {curve.y} as a function of {curve.x}, and ask about that.",
        )
    at = ", ".join(f"{name} = {value:.6g}" for name, value in sorted(where.items()))
    return exact + difference, f"{row.text}: it is not so on the curve itself, at its point near {at}."


# ---------------------------------------------------------------------------------------------------------- the curve


def _curve(formula: Latex, y: str, x: str) -> _Curve | None:
    """The curve along which y runs with x; None where a row says what y is, and not what x is."""
    text = formula.text
    pieces = pieces_of(text, tokens(text))
    rows = {name: sides for sides in pieces if len(sides) > 1 and (name := _name(text, sides[0])) is not None}
    bodies = {n: text[sides[1][0].start : sides[1][-1].stop] for n, sides in rows.items()}
    if len(pieces) == 2 and {x, y} == rows.keys() and x != y:
        return _by_parameter(formula, x, y, bodies)
    if len(pieces) != 1 or not y:
        return None
    sides = pieces[0]
    if len(sides) == 3 and rows:  # F(x, y) = x^2 + y^2 - 1 = 0
        sides = sides[1:]
    elif y in rows:
        body = _closed(formula, bodies[y])
        if body is None or sp.Symbol(y) not in body.free_symbols:
            return None
    elif x in rows and (body := _closed(formula, bodies[x])) is not None and sp.Symbol(x) not in body.free_symbols:
        v = sp.Symbol(y)  # x = \\sin y: all is a function of y
        slope = 1 / body.diff(v)
        return (
            _Curve(x, y, (slope, slope.diff(v) * slope), sp.S.Zero, bodies, {sp.Symbol(x): body}, y)
            if body.has(v)
            else None
        )
    elif rows:  # it says what another name is
        return None
    values = [_closed(formula, text[side[0].start : side[-1].stop]) for side in sides]
    if len(values) != 2 or any(v is None for v in values):
        return None
    relation = values[0] - values[1]
    others = sorted({s.name for s in relation.free_symbols} - {y})
    x = x or ("x" if "x" in others else others[0] if len(others) == 1 else "")
    fx, fy = (relation.diff(sp.Symbol(n)) if n else sp.S.Zero for n in (x, y))
    if fx == 0 or fy == 0:
        return None
    slope = -fx / fy
    bend = slope.diff(sp.Symbol(x)) + slope.diff(sp.Symbol(y)) * slope
    return _Curve(x, y, (slope, bend), relation, bodies)


def _by_parameter(formula: Latex, x: str, y: str, bodies: Mapping[str, str]) -> _Curve | None:
    values = {sp.Symbol(n): _closed(formula, body) for n, body in bodies.items()}
    free = [set() if e is None else {s.name for s in e.free_symbols} for e in values.values()]
    if None in values.values() or {x, y} & set().union(*free):
        return None
    shared = set.intersection(*free)
    listed = {a for d in formula.document.functions for a in d.arguments} & shared
    found = [n for n in _PARAMETERS if n in shared]
    named = listed if len(listed) == 1 else shared if len(shared) == 1 else {*found[:1]}
    if not named:
        raise BadInput(
            f"which number {x} and {y} are functions of is not said.",
            where=f"    {formula.text.strip()}",
            instead=f"Write it as an argument, {x}(t) = ... and {y}(t) = ...",
        )
    (name,) = named
    t = sp.Symbol(name)
    slope, along = values[sp.Symbol(y)].diff(t) / (by := values[sp.Symbol(x)].diff(t)), by
    return _Curve(x, y, (slope, slope.diff(t) / along), sp.S.Zero, bodies, values, name)


def _closed(formula: Latex, text: str) -> Any:
    """A side by itself in SymPy; None where it has no value there."""
    try:
        return replace(formula, text=text).closed()
    except SymgradError:
        return None


def _name(text: str, side: _Side) -> str | None:
    """The name that a left side is, with its arguments or without."""
    r = _reader(text, side)
    with contextlib.suppress(SymgradError):
        node = whole_name(r)
        if node is not None and r.token.text in ("(", "["):
            named_arguments(r)
        if node is not None and node.head == "symbol" and r.token.kind == "end":
            return spelled(node)
    return None


# ------------------------------------------------------------------------------------------------- what a row says


def _reader(text: str, side: _Side) -> Reader:
    end = Token("end", "", side[-1].stop, side[-1].stop + 1)
    return open_reader(text, [*side, end], None, frozenset(), frozenset(), frozenset(), text)


def _slopes(text: str, side: _Side) -> Iterator[Node]:
    """The derivatives in a side, outermost first."""
    r = _reader(text, side)
    while r.token.kind != "end":
        mark = r.at
        node = None
        with contextlib.suppress(SymgradError):  # told where the side is read
            node = _primed(r) or (derivative(r) if is_slope(r, mark) or differential(r, mark) else None)
        if node is not None and node.head == "derivative":
            yield node
        else:
            r.at = mark + 1


def _primed(r: Reader) -> Node | None:
    """``y'``, ``y''``, of which the input is not said."""
    if not starts_name(r.token) or r.token.kind == "text" or r.peek().text != "'":
        return None
    start, of, order = r.token.start, bare_name(r), 0
    while r.accept("'"):
        order += 1
    return Node("derivative", (of,), r.since(start), order)


def _named_slopes(text: str, side: _Side) -> Iterator[tuple[str, str]]:
    """The names that are differentiated, each with the one that it is for, if that is said."""
    for node in _slopes(text, side):
        of, *wrt = node.args
        if of.head == "symbol" and all(w.head == "symbol" for w in wrt):
            yield spelled(of) or "", (spelled(wrt[0]) or "") if wrt else ""


def _value(hand: Latex, curve: _Curve, side: _Side) -> Any:
    """A side in SymPy, with a symbol for each slope."""
    made = replace(hand, text=_with_symbols(hand.text, curve, side)).closed()
    return made.xreplace(dict(curve.values))


def _with_symbols(text: str, curve: _Curve, side: _Side) -> str:
    shown, at = "", side[0].start
    for node in _slopes(text, side):
        if (made := _in_its_place(text, curve, node, side)) is not None:
            shown += f"{text[at : node.span[0]]}{{{made}}}"
            at = node.span[1]
    return _HELD.sub(r"\1", shown + text[at : side[-1].stop])


def _in_its_place(text: str, curve: _Curve, node: Node, side: _Side) -> str | None:
    """What a derivative is, by the symbols of the slopes; None of one that is read as it stands."""
    of, *wrt = node.args
    order, by = node.value, {spelled(w) for w in wrt}
    name = spelled(of) if of.head == "symbol" else None
    if name == curve.y and by <= {curve.x} and (wrt or curve.parameter in ("", curve.y)) and order <= len(_SLOPES):
        return f"\\mathrm{{{_SLOPES[order - 1]}}}"
    if name == curve.x and by == {curve.x}:
        return "1" if order == 1 else "0"
    if name is not None and name in curve.bodies and by <= {curve.parameter or curve.x, curve.y}:  # x'(t), F_x
        t = text[slice(*wrt[0].span)] if wrt else curve.parameter if len(curve.parameter) == 1 else "\\theta"
        power = f"^{order}" if order > 1 else ""
        return f"\\frac{{\\partial{power}}}{{\\partial {t}{power}}}\\left({curve.bodies[name]}\\right)"
    if name is None and order == 1 and by == {curve.x} and not curve.parameter:
        inside = [t for t in side if of.span[0] <= t.start and t.stop <= of.span[1]]
        body = _with_symbols(text, curve, inside)
        terms = [(text[slice(*wrt[0].span)], ""), (curve.y, "\\mathrm{slope}"), ("\\mathrm{slope}", "\\mathrm{bend}")]
        if "\\mathrm{slope}" not in body:
            terms = terms[:2]
        parts = [f"{times} \\frac{{\\partial}}{{\\partial {n}}}\\left({body}\\right)" for n, times in terms]
        return f"\\left({' + '.join(parts)}\\right)"
    if name is None and order == 1 and curve.parameter and by == {curve.x}:
        raise BadInput(
            "this derivative along the curve is not read.",
            where=place(text, node.span),
            instead=f"Write it as a derivative for {curve.parameter} over d{curve.x}/d{curve.parameter}.",
        )
    return None


# ------------------------------------------------------------------------------------------- where two formulas differ


def _differing_point(curve: _Curve, difference: Any) -> dict[str, float] | None:
    """A point near which the curve has one where a difference is not zero, by balls: F changes its sign along a short
    way on which the difference excludes zero; None where none was found."""
    y = sp.Symbol(curve.y)
    others = sorted((curve.relation.free_symbols | difference.free_symbols) - {y}, key=str)
    starts = [sp.Rational(k, 4) for k in (4, 6, 2, 9, -3, 1)]
    for k, turn in itertools.product(range(len(starts)), (1, -1)):
        at = {s: turn ** (i + 1) * starts[(k + i) % len(starts)] for i, s in enumerate(others)}
        steps = np.sinh(np.linspace(-4, 4, 257) + 1 / 512)
        with np.errstate(all="ignore"):
            height = sp.lambdify(y, curve.relation.xreplace(at), "numpy")
            heights: Any = np.broadcast_to(np.asarray(height(steps + 0j), dtype=complex), steps.shape)
            real = np.where(np.abs(heights.imag) < 1e-9, heights.real, np.nan)
            for j in np.nonzero(real[:-1] * real[1:] < 0)[0]:
                low, high = float(steps[j]), float(steps[j + 1])
                for _ in range(40):
                    middle = (low + high) / 2
                    same = (complex(height(middle + 0j)).real > 0) == (real[j] > 0)
                    low, high = (middle, high) if same else (low, middle)
                if _excludes_zero(curve, difference, at, low, high):
                    return {**{s.name: float(v) for s, v in at.items()}, curve.y: low}
    return None


def _may_be_zero(difference: Any) -> bool:
    """Whether a difference has a value somewhere, and may be zero wherever it has one, on the curve and elsewhere: then
    it can be compared in all points."""
    names = sorted(difference.free_symbols, key=str)
    places = [{s: sp.Rational(3 + 2 * k + 5 * j, 8) for j, s in enumerate(names)} for k in range(8)]
    found = [_ball(difference, at) for at in places]
    known = [b for b in found if b is not None and b.is_finite()]
    return bool(known) and not any(b != 0 for b in known)


def _excludes_zero(curve: _Curve, difference: Any, at: Mapping[Any, Any], low: float, high: float) -> bool:
    """Whether F is zero between two points, and the difference nowhere there."""
    between = arb(low).union(arb(high))
    v = sp.Symbol(curve.y)
    heights = [_ball(curve.relation, at, {v: y}) for y in (arb(low), arb(high), between)]
    slope = _ball(difference, at, {v: between})
    if any(h is None or not h.is_finite() for h in (*heights, slope)):
        return False
    return bool(heights[0] * heights[1] < 0) and bool(slope != 0)


def _ball(e: Any, at: Mapping[Any, Any], balls: Mapping[Any, Any] | None = None) -> Any:
    """The value of an expression at a point and at balls; None where it has none."""
    given = {s.name: b for s, b in (balls or {}).items()}
    try:
        program = open_formula(e.xreplace(at)).run({n: np.asarray(float(b.mid())) for n, b in given.items()}).program
        values = interpret(program, Balls(), {n: array_of([given[n]], ()) for n in program.inputs})
    except (SymgradError, ArithmeticError):
        return None
    return np.asarray(values[program.output], dtype=object).reshape(-1)[0]
