r"""One text that says what is differentiated and what its derivative is, as the two sides of a question.

In LaTeX: rows that say what f is and then ``f'(x) = ...``, or a left side that differentiates a formula,
``\frac{d}{dx}(x^2 e^{-x}) = ...``.  In text: ``d/dx (x**2) = 2*x``, or lines of which the last claims a derivative of
what those before it define.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from symgrad.errors import BadFormula, BadInput, SymgradError, UnknownOperation
from symgrad.lifting.curve_slopes import curve_and_slopes
from symgrad.lifting.formulas import evaluated
from symgrad.lifting.latex.differentials import differential_row
from symgrad.lifting.latex.equations import Equation, indices_of, logarithms_of
from symgrad.lifting.latex.jacobians import claims_matrix
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.names_in_rows import names_of
from symgrad.lifting.latex.rows_of_tokens import conditions_in, pieces_of
from symgrad.lifting.latex.stated_conditions import constraint_of
from symgrad.lifting.latex.token_reader import Node, TwoReadings, parts, place, power_name, spelled
from symgrad.lifting.latex.tokens import tokens
from symgrad.lifting.latex.typeset_derivations import are_equations, joined
from symgrad.lifting.latex.value_chains import chain_of
from symgrad.lifting.sympy_forms import sides_of_equality
from symgrad.lifting.text.on_paper import PRIMES, advise_in_text, refuse_sum, typeset
from symgrad.lifting.text.step_list import Steps, are_steps, rows_of, sides_of_equation
from symgrad.lifting.text.text_formula import Text
from symgrad.lifting.tracing.functions import Run

_NAME = r"[^\W\d]\w*"
_OPERATOR = re.compile(
    rf"\s*[d∂](?:\^?(?P<order>[2-9]))?\s*/\s*[d∂]\s*(?P<wrt>{_NAME}?)(?:\^?(?P=order))?(?![\w*^])(?P<of>.*)", re.S
)
_CALLED = re.compile(rf"^\s*{_NAME}('+|\([\w, ]+\))+\s*=", re.M)
_LONGEST = 4_000  # signs of a text that is read as on paper
_PAIR = "Pass the formula and its derivative: verify(formula, hand)."


def sides_of(question: Any) -> tuple[Any, Any]:
    r"""What is differentiated, and what is claimed of it; or the first of values that are said to be equal, and a
    `Chain` of the others.

    >>> sides_of("d/dx (x**2) = 2*x")
    ('(x**2)', {'x': '2*x'})
    >>> formula, hand = sides_of(Latex(r"f(x) = x^2 \implies f'(x) = 2x"))
    >>> formula.text, hand.text
    ('f(x) = x^2', "f'(x) = 2x")

    Raises `BadInput` for what is no text, or says only one of the two.
    """
    if isinstance(question, str):
        return _of_text(question)
    if isinstance(question, Latex) or are_equations(question):
        whole = question if isinstance(question, Latex) else joined(question)
        formula, hand = _of_latex(whole)
        return _with_conditions(whole, formula, hand), hand
    if isinstance(question, sp.Eq):
        return sides_of_equality(question)
    raise BadInput(f"there is no hand formula beside this {type(question).__name__}.", instead=_PAIR)


# ------------------------------------------------------------------------------------------------------------ LaTeX


def _of_latex(whole: Latex) -> tuple[Any, Any]:
    """The rows up to the first claim, and those from there on; or the formula that a left side differentiates; or
    values that are equal."""
    if (row := differential_row(whole.text)) is not None:
        start, sides, is_name = row
        if is_name:
            return replace(whole, text=whole.text[:start].rstrip(" \\\n,;")), _from(whole, start)
        of = whole.text[start:sides].rstrip().removesuffix("=").rstrip().removesuffix("&")
        return replace(whole, text=re.sub(r"^\s*(\\mathrm\s*\{\s*d\s*\}|\\mathrm\s*d|d)", "", of)), _from(whole, start)
    if (two := curve_and_slopes(whole)) is not None:
        return two
    whole = _with_means(whole)
    found = whole.equations
    first = next((k for k, e in enumerate(found) if e.left is not None and e.left.head == "derivative"), None)
    if first is None:
        if len(found) > 1 and _claims_values(found[-1], whole.text):
            start, end = found[0].span[0], found[-2].span[1]
            return replace(whole, text=whole.text[start:end]), _from(whole, found[-1].span[0])
        if (chain := chain_of(whole) or chain_of(replace(whole, values=True))) is not None:
            return chain.first, chain
        raise BadInput(
            "this text claims no derivative, and no two values that are equal.",
            where=f"    {whole.text.strip()}",
            instead="Add a row such as \\frac{\\partial f}{\\partial x} = ...; or pass the formula and its derivative.",
        )
    claim = found[first]
    before = [e for e in found[:first] if e.span != claim.span]
    text = whole.text
    if claim.formula is not None:  # what rows above it define may stand in it
        formula, hand = text[slice(*claim.formula.span)], _from(whole, claim.span[0])
        if before:
            formula = " \\\\\n".join([*(text[slice(*e.span)] for e in before), f"{_new_name(found)} = {formula}"])
        return replace(whole, text=formula), hand
    if not before and (formula := _said_by_operator(claim, text)) is not None:
        return replace(whole, text=formula), _from(whole, claim.span[0])
    if not before:
        if claim.sides[1:] and (chain := chain_of(whole)) is not None:
            return chain.first, chain
        raise BadInput(
            "this text says what the derivative is, and not of what.",
            where=f"    {text.strip()}",
            instead="Add a row before it, f(x) = ...; or pass two: the formula, and its derivative.",
        )
    last = _model_of(before, found)
    after = found[found.index(last) + 1 :]
    used = {names_of(p) for e in found for x in e.bodies for p in parts(x) if p.head == "symbol"}
    of = names_of(last.left) if last.left is not None else ""
    following = next(e for e in after if e.left is None or e.sides[1:] or _is_needed(e.left, used | {of}))
    start, (first, end) = before[0].span[0], last.span
    row = text[first:end]
    if last.left is not None and (name := logarithms_of([last]).get(of)) and name in _differentiated(found):
        row = f"{name} = \\exp\\left({text[slice(*last.sides[0].span)]}\\right)"
    return replace(whole, text=text[start:first] + row, above=whole.row_of(start) - 1), _from(whole, following.span[0])


def about_one_row(formula: Latex, hand: Latex) -> tuple[Latex, Latex]:
    r"""The two sides with what the hand formula differentiates as the formula's last row.

    Of several rows it may be another than the last: ``D = ... / P, \quad P = ...`` and ``\frac{dP}{dy} = -D P``; or a
    formula of the model, ``\frac{d \ln k}{dT} = ...``; or one after another, each for itself.
    """
    formula = _with_a_name(formula, hand)
    hand = _with_means(hand, formula)
    rows, claims = formula.equations, replace(hand, model=formula).equations
    claims = tuple(e for e in claims if e.left is not None and e.left.head == "derivative")
    lefts = {names_of(e.left): e for e in rows if e.left is not None and e.left.head == "symbol"}
    output = formula.document.output
    if not claims or output is None or any(e.left is not None and e.left.head == "derivative" for e in rows):
        return formula, hand
    if claims[0].formula is not None:
        inside = {x for p in parts(claims[0].formula) if p.head == "symbol" for x in (names_of(p), spelled(p))}
        if output not in inside or len(claims) > 1:
            return formula, hand
        made, hand = _of_latex(joined([formula, hand]))
        return _with_conditions(formula, made, hand), hand
    of = [names_of(e.left.args[0]) for e in claims if e.left is not None]
    last = claims[-1]
    name = spelled(last.left.args[0]) or of[-1] if last.left is not None else of[-1]
    if last.left is not None and (said := power_name(name, 2)) in lefts and name not in lefts:
        return _with_root(formula, hand.text[slice(*last.left.args[0].span)], lefts[said], name), hand
    used = {n for e in rows for n in _names_in(e) - ({names_of(e.left)} if e.left is not None else set())}
    if (of[-1] == output and len(set(of)) == 1) or not lefts.keys() >= set(of):
        return formula, hand
    if len(set(of)) > 1:
        return formula, hand if used & set(of) or len(claims) != len(hand.equations) else _side_by_side(hand, claims)
    needed, text = {of[0]}, formula.text
    while more := {n for x in needed for n in _names_in(lefts[x])} & lefts.keys() - needed:
        needed |= more
    mine = [text[slice(*e.span)] for n, e in lefts.items() if n in needed - {of[0]}]
    others = [text[slice(*e.span)] for n, e in lefts.items() if n not in needed]
    made = replace(formula, text=" \\\\\n".join([*mine, text[slice(*lefts[of[0]].span)]]))
    hand = replace(hand, text=" \\\\\n".join([*others, hand.text]), above=hand.above - len(others))
    return _with_conditions(formula, made, hand), hand


def _new_name(rows: Sequence[Equation]) -> str:
    """A name that stands in none of these rows."""
    said = {p.value.base for e in rows for x in e.bodies for p in parts(x) if p.head == "symbol"}
    return next(n for n in ("F", "y", "z", "G", "H", "Q", "\\mathrm{model}") if n not in said)


def _with_a_name(formula: Latex, hand: Latex) -> Latex:
    r"""``\tanh x = \frac{e^x - e^{-x}}{e^x + e^{-x}}`` with a name for what both are, where it is differentiated as it
    stands."""
    rows = formula.equations
    if len(rows) != 1 or rows[0].left is not None or len(rows[0].sides) < 2:
        return formula
    claims = [e for e in replace(hand, model=formula).equations if e.left is not None and e.left.head == "derivative"]
    if not claims or claims[0].formula is None:
        return formula
    return replace(formula, text=f"{_new_name((*rows, *claims))} = {formula.text[slice(*rows[0].span)]}")


def _with_root(formula: Latex, shown: str, row: Equation, name: str) -> Latex:
    r"""The rows with one for ``\sigma``, where ``\sigma^2`` is said: a deviation is not negative, and others may be."""
    if not name.startswith("sigma"):
        raise BadFormula(
            f"only its square is said, and {name} is one root or the other.",
            where=place(formula.text, row.span),
            instead=f"Write {shown} = \\sqrt{{...}}, or {shown} = -\\sqrt{{...}}.",
        )
    body = formula.text[slice(*row.sides[0].span)]
    return replace(formula, text=f"{formula.text} \\\\ {shown} = \\sqrt{{{body}}}")


def operator_and_value(formula: Any, hand: Any) -> Latex | None:
    r"""A formula that is a derivative itself, and what it is said to be, as one question; None of other pairs.

    >>> operator_and_value(Latex(r"\frac{d}{dx} x^2"), Latex("2x")).text
    '\\frac{d}{dx} x^2 = 2x'
    """
    if not (isinstance(formula, Latex) and isinstance(hand, Latex)) or "=" in formula.text + hand.text:
        return None
    try:
        sides = [x for f in (formula, hand) for e in f.equations for x in e.sides]
    except SymgradError:  # what they cannot be read for is told where the question is posed
        return None
    is_operator = len(sides) == 2 and sides[0].head in ("derivative", "slope")
    return replace(formula, text=f"{formula.text} = {hand.text}") if is_operator else None


_IS_ZERO = re.compile(r"=\s*0(?![.\d])")


def zeros_claimed(formula: Any, hand: Any) -> tuple[Latex, Latex | None, str] | None:
    r"""Of ``f'(x) = 2x - 4 = 0 \Rightarrow x = 2`` what is said of the derivative, that it is zero there as a whole
    question, and where; None of a hand formula that does not end so.  Where nothing is said to be its zero, or what is
    said is no single value, there is no such question.

    >>> hand, zero, where = zeros_claimed(Latex("f(x) = x^2 - 4x"), Latex(r"f'(x) = 2x - 4 = 0 \implies x = 2"))
    >>> hand.text, zero.text, where
    ("f'(x) = 2x - 4", 'x = 2 \\\\ 2x - 4 = 0', 'x = 2')
    """
    if not (isinstance(formula, Latex) and isinstance(hand, Latex) and _IS_ZERO.search(hand.text)):
        return None
    try:
        text, rows = hand.text, replace(hand, model=formula).equations
    except SymgradError:  # what it cannot be read for is told where the question is posed
        return None
    claims = [k for k, e in enumerate(rows) if e.left is not None and e.left.head == "derivative"]
    solved = [k for k in claims if _is_solved(rows[k], text)]
    if not solved:
        return None
    k = solved[-1]
    kept, start = "", 0
    for each in solved:  # a claim that follows, as of the second derivative, stays
        following = next((rows[c].span[0] for c in claims if c > each), None)
        kept += text[start : rows[each].sides[-2].span[1]] + ("" if following is None else " \\\\\n")
        start = len(text) if following is None else following
    last = next((c for c in claims if c > k), len(rows))
    claim, stated = rows[k], [e for e in rows if constraint_of(e) is not None]
    after = [e for e in rows[k + 1 : last] if e not in stated]
    kept += text[start:]
    said = [x for x in (text[slice(*e.span)] for e in stated) if x not in kept]
    first = replace(hand, text=" \\\\\n".join([kept, *said]))
    found = _root_of(claim, after[0], text) if len(solved) == len(after) == 1 and len(after[0].sides) == 1 else None
    if found is None:
        return first, None, text[claim.sides[-2].span[1] : [claim, *after][-1].span[1]].strip()
    where = f"{found} = {text[slice(*after[0].sides[0].span)]}"
    return first, replace(hand, text=f"{where} \\\\ {text[slice(*claim.sides[-2].span)]} = 0"), where


def with_zeros_of_its_shape(question: Latex, where: str) -> Latex:
    """The question whether an array is zero, from that whether a number is."""
    left = question.text.removeprefix(f"{where} \\\\ ").removesuffix(" = 0")
    return replace(question, text=f"{question.text} \\cdot \\left({left}\\right)")


def _is_solved(claim: Equation, text: str) -> bool:
    """Whether a row goes on, after what a derivative is, with ``= 0``: it is solved, and not said to be zero."""
    if len(claim.sides) < 2:
        return False
    *_, before, last = claim.sides
    if "\\\\" in text[before.span[1] : last.span[0]]:
        return False
    return last.head == "number" and last.value == 0 and not (before.head == "number" and before.value == 0)


def _root_of(claim: Equation, row: Equation, text: str) -> str | None:
    """How the variable of a claim is written, where a row says what it is; there it may have a hat or a label."""
    assert claim.left is not None
    by = {spelled(w) or w.value.base: text[slice(*w.span)] for w in claim.left.args[1:] if w.head == "symbol"}
    if len(by) != 1 or row.left is None or row.left.head != "symbol":
        return None
    ((name, written),) = by.items()
    left = names_of(row.left)
    if left == name:
        return text[slice(*row.left.span)]
    return written if left.startswith(f"{name}_") and "\\nabla" not in written else None


def _names_in(e: Equation) -> set[str]:
    return {names_of(p) for x in e.bodies for p in parts(x) if p.head == "symbol"}


def _side_by_side(hand: Latex, claims: Sequence[Equation]) -> Latex:
    """Claims about several functions as one of the vector of them all."""
    lefts = [hand.text[slice(*e.left.span)] for e in claims if e.left is not None]
    sides = [hand.text[slice(*e.sides[-1].span)] for e in claims]
    columns = (" \\\\ ".join(x) for x in (lefts, sides))
    return replace(hand, text=" = ".join(f"\\begin{{pmatrix}} {x} \\end{{pmatrix}}" for x in columns))


def _with_conditions(whole: Latex, formula: Any, hand: Any) -> Any:
    """The formula with the conditions of the whole text that stand in neither of the two."""

    def typed(text: str) -> dict[str, None]:
        return dict.fromkeys(text[x[0].start : x[-1].stop] for x in conditions_in(text, tokens(text)))

    if not (isinstance(formula, Latex) and isinstance(hand, Latex)):
        return formula
    lost = typed(whole.text).keys() - typed(formula.text).keys() - typed(hand.text).keys()
    return replace(formula, text="".join((formula.text, *(f", \\quad {x}" for x in typed(whole.text) if x in lost))))


def _claims_values(e: Equation, text: str) -> bool:
    """Whether a row says what a matrix of derivatives is, or values in which derivatives stand."""
    typed = text[slice(*e.span)]
    (piece, *_) = pieces_of(typed, tokens(typed))
    slopes = [p for x in e.bodies for p in parts(x) if p.head in ("derivative", "jacobian")]
    return claims_matrix(typed, piece) or (bool(slopes) and len(piece) > 1)


def _with_means(whole: Latex, model: Latex | None = None) -> Latex:
    """The text with a row for ``\\bar x``, where it or the model sums the x and no row says what their mean is."""
    beside = whole if model is None else replace(whole, model=model)
    rows_of = [(whole.text, beside.equations)] + ([] if model is None else [(model.text, model.equations)])
    said = {names_of(e.left) for _, es in rows_of for e in es if e.left is not None and e.left.head == "symbol"}
    said |= set() if model is None else set(model.document.names)
    nodes = [p for e in beside.equations for x in e.bodies for p in parts(x)]
    means = {p.value.base: p for p in nodes if p.head == "symbol" and p.value.base.endswith("_bar") and not p.args}
    rows: dict[str, str] = {}
    sums = [(text, p) for text, es in rows_of for e in es for x in e.bodies for p in parts(x) if len(p.args) == 3]
    for text, p in sums:
        for x in parts(p) if p.head == "sum" else ():
            mean = means.get(f"{x.value.base}_bar") if x.head == "symbol" and indices_of(x) == (p.value[0],) else None
            if mean is not None and mean.value.base not in said:
                entry, shown = text[slice(*x.span)], whole.text[slice(*mean.span)]
                low, high = (text[slice(*a.span)] for a in p.args[1:])
                total = f"\\sum_{{{p.value[0]}={low}}}^{{{high}}} {entry}"
                if low == "1":
                    rows.setdefault(mean.value.base, f"{shown} = \\frac{{1}}{{{high}}} {total} \\\\\n")
    return replace(whole, text="".join(rows.values()) + whole.text, above=whole.above - len(rows)) if rows else whole


def _from(whole: Latex, start: int) -> Latex:
    """The rows from a place on."""
    return replace(whole, text=whole.text[start:], above=whole.row_of(start) - 1)


def _said_by_operator(claim: Equation, text: str) -> str | None:
    """What is differentiated, where a claim begins with its operator on it: ``f'(x) = \\frac{d}{dx}(x^2) = 2x``."""
    assert claim.left is not None
    first = claim.bodies[0]
    if first.head != "derivative" or first.value != claim.left.value or first.args[0].head == "symbol":
        return None
    (of, *wrt), (formula, *others) = claim.left.args, first.args
    if [names_of(n) for n in wrt] != [names_of(n) for n in others]:
        return None
    name = text[slice(*of.span)].rstrip("'")
    left = name if "'" not in text[slice(*claim.left.span)] else f"{name}({text[slice(*wrt[0].span)]})"
    return f"{left} = {text[slice(*formula.span)]}"


def _is_needed(left: Node, used: Set[str]) -> bool:
    """Whether a row claims a derivative or says what others use."""
    return left.head == "derivative" or names_of(left) in used or left.value.base.startswith("log_")


def _differentiated(found: Sequence[Equation]) -> list[str]:
    """Of what derivatives are claimed."""
    return [names_of(e.left.args[0]) for e in found if e.left is not None and e.left.head == "derivative"]


def _model_of(before: Sequence[Equation], found: Sequence[Equation]) -> Equation:
    r"""The last row of the model: of ``y = \sin u^2, u = 3x``, where dy/dx is claimed, it may be the first."""
    of = _differentiated(found)[-1]
    said = [names_of(e.left) if e.left is not None else "" for e in before]
    if of not in said or (said[-1] == of == said[said.index(of)] and said.count(of) == 1):
        return before[-1]
    k = said.index(of)
    later = {n for n in said[k + 1 :] if n != of}
    used = {names_of(p) for e in before[: k + 1] for side in e.sides for p in parts(side) if p.head == "symbol"}
    return before[-1] if used & later else before[k]


# ------------------------------------------------------------------------------------------------------------- text


def as_written(formula: Any, hand: Any) -> tuple[Any, Any]:
    """The two sides of a question in text as they can be read: rows that say what is differentiated, and what stands
    beside them, as one text; what is written as on paper, ``2x ln x``, as it would be typeset.

    >>> as_written("y = x**2", "dy/dx = 2*x")
    ('y = x**2\\ndy/dx = 2*x', None)
    >>> formula, hand = as_written("x ln x", "ln x + 1")
    >>> print(formula.text, "|", hand.text)
    x \\ln  x | \\ln  x + 1

    What is no text, or not read either way, is given back as it is.
    """
    if not isinstance(formula, str) or not (hand is None or isinstance(hand, str) or _are_texts(hand)):
        return formula, hand
    formula, hand = formula.translate(PRIMES), hand.translate(PRIMES) if isinstance(hand, str) else hand
    pair = (formula, hand) if hand is None or not are_steps(formula) else (_in_one(formula, hand), None)
    if pair[1] is None and (alone := _value_of_one_row(formula, hand)) is not None:
        return alone, hand
    try:
        _refuse_unread(*pair)
    except (BadFormula, UnknownOperation):
        if isinstance(pair[1], Mapping) or "\\" in formula or len(formula) > _LONGEST:
            return formula, hand
        try:
            typed = [None if x is None else typeset(x) for x in pair]
            first, beside = (None if x is None else Latex(x) for x in typed)
            with contextlib.suppress(TwoReadings):  # both are asked about
                _ = sides_of(first) if beside is None else _refuse_without_claims(str(hand), beside)
        except TwoReadings:
            raise
        except SymgradError as error:
            if _CALLED.search("\n".join(x for x in pair if x)):  # which text cannot say otherwise
                advise_in_text(error)
                raise
            return formula, hand
        return first, beside
    except SymgradError:
        return formula, hand
    return pair


def _value_of_one_row(formula: str, hand: Any) -> str | None:
    """What ``loss = mean(x**2)`` says of arrays, which lists of steps do not; None where the hand formula needs the
    name, or claims by it."""
    rows = rows_of(formula)
    if hand is None or len(rows) != 1 or isinstance(hand, Mapping) or are_steps(hand):
        return None
    name, *sides = sides_of_equation(rows[0][1])
    if len(sides) != 1 or not re.fullmatch(r"[^\W\d]\w*", name) or re.search(rf"\b{name}\b", hand):
        return None
    try:
        Steps(formula)
    except SymgradError:
        with contextlib.suppress(SymgradError):
            return None if Text(sides[0]) is None else sides[0]
    return None


def _refuse_without_claims(text: str, typed: Latex) -> None:
    """Raise `BadInput` for equations that claim no derivative."""
    if are_steps(text) and not any(e.left is not None and e.left.head == "derivative" for e in typed.equations):
        raise BadInput("no row claims a derivative.")


def _are_texts(hand: Any) -> bool:
    return isinstance(hand, Mapping) and all(isinstance(x, str) for kv in hand.items() for x in kv)


def _in_one(formula: str, hand: str | Mapping[str, str]) -> str:
    """Rows that say what is differentiated, and those that say what its derivatives are."""
    rows = rows_of(formula)
    name = sides_of_equation(rows[-1][1])[0].split("(")[0] if rows else "f"
    if isinstance(hand, str):
        named = re.sub(rf"(^|[;,]\s*)(?:grad_|∇_?)({_NAME})(?=\s*=)", rf"\1d{name}/d\2", hand, flags=re.M)
        claims = [named if are_steps(hand) else f"{name}' = {hand}"]
    else:
        claims = [f"d{name}/d{of} = {x}" for of, x in hand.items()]
    return "\n".join([formula, *claims])


def _refuse_unread(formula: str, hand: str | Mapping[str, str] | None) -> None:
    """Raise what makes a question in text one that cannot be read as such."""
    if hand is None:
        formula, hand = _of_text(formula)
        if not isinstance(formula, str):
            return
    for x in (formula, *(hand.values() if isinstance(hand, Mapping) else [str(hand)])):
        _ = Steps(x) if are_steps(x) else Text(x)


def _of_text(text: str) -> tuple[Any, Any]:
    if not are_steps(text):
        instead = "Write an equation, d/dx (x**2) = 2*x, or pass the hand formula beside it."
        raise BadInput("there is no hand formula beside this text.", where=f"    {text.strip()}", instead=instead)
    if "\\" in text:
        raise BadInput("this text is in LaTeX.", where=f"    {text.strip()}", instead='Write Latex(r"...").')
    lines = [line for line in text.splitlines() if line.strip()]
    left, *sides = sides_of_equation(lines[0])
    operator = _OPERATOR.fullmatch(left)
    if operator is None or not operator["of"].strip() or not operator["wrt"]:
        steps = Steps(text)
        if steps.output not in steps.definitions:
            name = steps.output
            raise BadInput(f"no line says what {name} is.", instead=f"Add a line {name} = ..., or pass two texts.")
        return Defined(steps), steps
    formula, name = operator["of"].strip(), operator["wrt"]
    refuse_sum(left, formula)
    if operator["order"]:
        raise BadInput(
            "of a text only first derivatives are claimed.",
            where=f"    {left}",
            instead='Use Latex(r"..."), or order=2.',
        )
    if len(sides) == 1 and len(lines) == 1:
        return formula, {name: sides[0]}
    top = next(n for n in ("f", "y", "F", "output") if not re.search(rf"\b{n}\b", text))
    return formula, "\n".join([f"d{top}/d{name} = {' = '.join(sides)}", *lines[1:]])


@dataclass(frozen=True, eq=False)
class Defined:
    """What a list of steps differentiates, where its own lines define it."""

    steps: Steps
    library: str = "math"
    is_formula = True

    @property
    def names(self) -> tuple[str, ...]:
        return self.steps.names

    @property
    def required(self) -> tuple[str, ...]:
        return self.steps.names

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        builder, places = self.steps.defined(point, dtypes)
        program = builder.build({"output": places[self.steps.output]})
        return replace(evaluated(program, point), symbolic=True)
