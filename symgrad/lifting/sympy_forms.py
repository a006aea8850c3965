"""Formulas in SymPy as their owners write them -> what a Program can be made of.

Derivatives, substitutions and equations are carried out; a sum without end and an integral become their value, where
SymPy finds one; an integral of which only the derivative is asked keeps its slopes (Leibniz's rule, the fundamental
theorem).  A function of which only the name is known, ``f(x)``, becomes a polynomial with free coefficients: of high
enough degree it takes any values and slopes at the places where f stands, so that what is true of it is true of every
f.  A matrix of derivatives becomes one derivative for each input.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixElement

from symgrad.errors import BadInput
from symgrad.ops.scalars import OPS, find
from symgrad.program.lowering import WithSlopes

_KINDS = (sp.Basic, sp.MatrixBase, sp.NDimArray)

ROW_OF_HESSIAN = "row {} of the Hessian"  # what a claim about the gradient's derivative by one input is called


@dataclass(frozen=True)
class Sides:
    """The two sides of a question, for which inputs, and what was understood of it: the condition under which the sums
    and integrals in it have a value, and what they were taken for.
    """

    formula: Any
    hand: Any = None
    wrt: Any = None
    condition: Any = sp.true
    notes: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # the inputs that the formula is differentiated for first: a mixed derivative
    gradient: tuple[str, ...] = ()  # the inputs of the gradient whose derivative is meant: the hand side is a Hessian


def plain_sides(sides: Sides, order: int | None = 1) -> Sides:
    """The two sides with all that SymPy only writes down carried out; with ``order`` 0 their values are compared.

    >>> x, t = sp.symbols("x t")
    >>> plain_sides(Sides(sp.Subs(sp.sin(t), t, x), sp.Derivative(sp.sin(x), x))).hand
    cos(x)
    >>> plain_sides(Sides(sp.Lambda(x, x**2), sp.Eq(sp.Derivative(sp.Symbol("y"), x), 2 * x))).wrt
    'x'

    Raises `BadInput` for a form that has no value here, with what to write instead.
    """
    if not any(isinstance(leaf, _KINDS) for leaf in (*_leaves(sides.formula), *_leaves(sides.hand))):
        return sides
    if _are_steps(sides.hand):
        return replace(plain_sides(replace(sides, hand=None), 0), hand=sides.hand)
    sides = _with_its_input(_opened(replace(sides, wrt=sides.wrt or _bound(sides.formula))))
    deep = (1 if order is None else order) + len(sides.before)
    sides = _carried_out(_with_polynomials(_both(sides, _at_places), deep))
    sides = _by_input(sides, order) if order != 0 else sides
    return _with_values(sides, only_slopes=deep == 1 and not sides.gradient)


def in_the_plane(sides: Sides) -> tuple[Sides, dict[str, complex]] | None:
    """The question for complex numbers, and where it is looked at; None where not all symbols may be complex.

    The derivative of a complex function is what the hand side says, and the convention of gradients its conjugate.
    """
    leaves = [*_leaves(sides.formula), *_leaves(sides.hand)]
    if not all(isinstance(e, sp.Expr) for e in leaves) or _parts(sides, sp.IndexedBase, sp.MatrixSymbol):
        return None
    symbols = sorted(_symbols(*leaves), key=str)
    if not symbols or any(s.is_real is not None or s.is_complex is False for s in symbols):
        return None
    point = {s.name: complex(0.75 - k / 4, 0.5 + k / 8) for k, s in enumerate(symbols)}
    note = "The formula has a real value nowhere: its symbols are complex numbers, and derivatives are those of these."
    turned = replace(sides, hand=_each(sides.hand, sp.conjugate), notes=(*sides.notes, note))
    return turned, point


def sides_of_equality(equality: sp.Eq) -> tuple[Any, Any]:
    """``Eq(Derivative(x**3, x), 3*x**2)`` as a formula, and a claim about its derivative.

    >>> x = sp.Symbol("x")
    >>> sides_of_equality(sp.Eq(sp.Derivative(x**3, x), 3 * x**2))
    (x**3, Eq(Derivative(x**3, x), 3*x**2))

    Raises `BadInput` where its left side differentiates no formula.
    """
    left: Any = equality.lhs
    if not isinstance(left, sp.Derivative) or left.expr.is_Symbol or isinstance(left.expr, AppliedUndef):
        raise BadInput(
            f"{equality} claims no derivative of a formula.",
            instead="Write Eq(Derivative(x**3, x), 3*x**2), or pass the formula and its derivative.",
        )
    return left.expr, equality


# --------------------------------------------------------------------------------------------------------------- leaves


def _leaves(thing: Any) -> list[Any]:
    if isinstance(thing, Mapping):
        return [x for part in thing.values() for x in _leaves(part)]
    if isinstance(thing, (list, tuple, sp.Tuple)):
        return [x for part in thing for x in _leaves(part)]
    return [thing]


def _symbols(*things: Any) -> set[Any]:
    """The free symbols of formulas in SymPy."""
    leaves = [leaf for thing in things for leaf in _leaves(thing) if isinstance(leaf, _KINDS)]
    entries: list[Any] = [e for leaf in leaves for e in sp.flatten([leaf])]
    return {s for e in entries for s in e.free_symbols}


def _each(thing: Any, change: Callable[[Any], Any]) -> Any:
    """A formula, or the formulas of several inputs, with each part of SymPy's changed."""
    if isinstance(thing, Mapping):
        return {key: _each(part, change) for key, part in thing.items()}
    if isinstance(thing, (list, tuple)):
        return type(thing)(_each(part, change) for part in thing)
    return change(thing) if isinstance(thing, _KINDS) else thing


def _both(sides: Sides, change: Callable[[Any], Any]) -> Sides:
    return replace(sides, formula=_each(sides.formula, change), hand=_each(sides.hand, change))


def _parts(sides: Sides, *kinds: Any) -> list[Any]:
    """The parts of these kinds in both sides, in an order that does not depend on the run."""
    found = {
        x
        for leaf in (*_leaves(sides.formula), *_leaves(sides.hand))
        if isinstance(leaf, _KINDS)
        for x in _atoms(leaf, *kinds)
    }
    return sorted(found, key=sp.default_sort_key)


def _atoms(leaf: Any, *kinds: Any) -> set[Any]:
    return leaf.atoms(*kinds) if hasattr(leaf, "atoms") else {x for e in sp.flatten(leaf) for x in e.atoms(*kinds)}


# ------------------------------------------------------------------------------------------------------------ equations


def _opened(sides: Sides) -> Sides:
    """Equations and named functions as what they say."""
    formula, wrt, before = sides.formula, sides.wrt, ()
    hand: Any = sides.hand
    several: list[Any] = list(hand) if isinstance(hand, (list, tuple)) else []
    if several and all(map(_claims, several)):
        hand = {str(e.lhs.variables[-1]): e.rhs for e in several}
    elif _claims(hand):
        claim: Any = hand
        *first, last = map(str, claim.lhs.variables)
        before, wrt, hand = tuple(first), last, claim.rhs
    if isinstance(formula, sp.Eq):
        formula, hand = _branches(formula, hand, wrt)
    return replace(sides, formula=_unwrapped(formula), hand=_each(hand, _unwrapped), wrt=wrt, before=before)


def _are_steps(hand: Any) -> bool:
    """Whether these equations are the lines of a derivation, and not a claim for each input."""
    several: list[Any] = list(hand) if isinstance(hand, (list, tuple)) else []
    return bool(several) and any(isinstance(x, sp.Eq) for x in several) and not all(map(_claims, several))


def _claims(thing: Any) -> bool:
    return isinstance(thing, sp.Eq) and isinstance(thing.lhs, sp.Derivative)


def _unwrapped(thing: Any) -> Any:
    match thing:
        case sp.Lambda():
            inside = {i for e in thing.expr.atoms(sp.Indexed) for i in e.free_symbols}
            return thing if inside & set(thing.variables) else thing.expr
        case sp.Poly():
            return thing.as_expr()
        case sp.Eq():
            return thing.rhs
        case sp.Tuple():
            return sp.Array(list(thing)) if all(isinstance(x, sp.Expr) for x in thing) else thing
    return thing


def _branches(equation: sp.Eq, hand: Any, wrt: Any) -> tuple[Any, Any]:
    """What an equation defines, and the hand side there: ``x**2 + y**2 = 1`` says two y of x, and all are meant."""
    left: Any
    right: Any
    left, right = equation.args
    functions: list[Any] = sorted(equation.atoms(AppliedUndef), key=str)
    others: list[Any] = sorted((s for s in _symbols(equation) if s.name != wrt), key=str)
    y = left if left.is_Symbol else functions[0] if functions else others[0] if len(others) == 1 else None
    found: list[Any] = [right] if y == left and not right.has(y) else []
    if y is not None and not found:
        shown = sp.Dummy("y")
        defining = (left - right).subs(y, shown)
        try:
            found = sp.solve(defining, shown)
        except NotImplementedError:
            found = []
        found = found if all(sp.simplify(defining.subs(shown, b)) == 0 for b in found) else []
    if not found:
        what = "is not said" if y is None else f"is {y}, for which SymPy cannot solve it"
        raise BadInput(
            f"what {equation} defines {what}.", instead="Pass the formula that it defines, and the derivative of that."
        )
    made = [_each(hand, lambda e, b=b: e.subs(y, b)) for b in found]
    if len(found) == 1:
        return found[0], made[0]
    if isinstance(hand, Mapping):
        return sp.Array(found), {key: sp.Array([part[key] for part in made]) for key in hand}
    return sp.Array(found), sp.Array(made)


# ------------------------------------------------------------------------------------------------------ names for wrt


def _bound(formula: Any) -> str | None:
    """What a function of one number is a function of."""
    is_one = isinstance(formula, sp.Lambda) and len(formula.variables) == 1 and not formula.expr.atoms(sp.Indexed)
    return formula.variables[0].name if is_one else None


def _with_its_input(sides: Sides) -> Sides:
    """``wrt``, where both sides have one symbol: coefficients that are added later are no inputs of the question."""
    symbols = {s.name for s in _symbols(sides.formula)}
    single = isinstance(sides.hand, _KINDS) and len(symbols) == 1 and bool(_parts(sides, AppliedUndef, sp.Integral))
    return replace(sides, wrt=next(iter(symbols))) if sides.wrt is None and single else sides


def _unknown_functions(sides: Sides) -> list[Any]:
    return [f for f in _parts(sides, AppliedUndef) if not _has_row(f)]


def _has_row(f: Any) -> bool:
    row = find(type(f).__name__)
    return row is not None and OPS[row].arity == len(f.args)


# ---------------------------------------------------------------------------------------------------- unknown functions


def _with_polynomials(sides: Sides, order: int) -> Sides:
    """Functions of which nothing is known as polynomials.

    Where f stands at N places and is differentiated r times, a polynomial of degree N (r + 1) - 1 takes any values and
    slopes at N different places (Hermite), so that an identity of these holds for every f or fails for a polynomial.
    """
    used = _unknown_functions(sides)
    if not used:
        return sides
    slopes = _parts(sides, sp.Derivative)
    most = max((sum(int(n) for _, n in d.variable_count if n.is_Integer) for d in slopes), default=0)
    taken = {s.name for s in _symbols(sides.formula, sides.hand)}
    made: dict[Any, Any] = {}
    notes = []
    points = {p for s in _parts(sides, sp.Subs) for p in s.point}
    for head in sorted({type(f) for f in used}, key=str):
        places = {f.args for f in used if type(f) is head}
        count = len(next(iter(places)))
        if any(len(p) != count for p in places):
            raise BadInput(f"{head} has different numbers of arguments.", instead="Give each function its own name.")
        degree = (len(places) + len(points)) * (most + order + 1) - 1
        if (degree + 1) ** count > 64:
            raise BadInput(
                f"{head} stands at {len(places)} places and is differentiated {most} times, which is too much.",
                instead="Ask about fewer of its values at a time.",
            )
        names = [sp.Dummy(f"t{k}") for k in range(count)]
        exponents = list(itertools.product(range(degree + 1), repeat=count))
        letters = ["_".join(map(str, e)) for e in exponents]
        clash = next((f"{head}_{x}" for x in letters if f"{head}_{x}" in taken), None)
        if clash is not None:
            raise BadInput(f"{clash} is an input, and a coefficient of {head}.", instead=f"Rename {head}.")
        terms = [
            sp.Symbol(f"{head}_{x}", real=True) * sp.Mul(*(t**k for t, k in zip(names, e, strict=True)))
            for x, e in zip(letters, exponents, strict=True)
        ]
        made[head] = sp.Lambda(tuple(names), sp.Add(*terms))
        of = ", ".join("xyzuvw"[:count]) if count <= 6 else "..."
        notes.append(
            f"{head}({of}) is any function: it is looked at as a polynomial of degree {degree} with free coefficients "
            f"{head}_{letters[0]}, {head}_{letters[1]}, ..., which takes any values and slopes where {head} stands."
        )

    def change(e: Any) -> Any:
        for head, polynomial in made.items():
            e = e.replace(head, polynomial)
        return e

    return replace(_both(sides, lambda e: _entrywise(e, change)), notes=(*sides.notes, *notes))


def _entrywise(e: Any, change: Callable[[Any], Any]) -> Any:
    return e.applyfunc(change) if isinstance(e, (sp.MatrixBase, sp.NDimArray)) else change(e)


# ---------------------------------------------------------------------------------------------------------- carried out


def _carried_out(sides: Sides) -> Sides:
    """Derivatives and substitutions, which SymPy may have written down only."""

    def change(e: Any) -> Any:
        if not _atoms(e, sp.Derivative, sp.Subs):
            return e
        return _entrywise(e, lambda x: x.replace(lambda n: isinstance(n, (sp.Derivative, sp.Subs)), _done))

    return _both(sides, change)


def _at_places(e: Any) -> Any:
    """``Derivative(f(g(x)), g(x))``, which SymPy makes of f' at g(x), as f'(t) at t = g(x)."""

    def placed(node: Any) -> Any:
        others = [
            v for v, _ in node.variable_count if not v.is_Symbol and not isinstance(v, (sp.Indexed, AppliedUndef))
        ]
        others += [v for v, _ in node.variable_count if isinstance(v, AppliedUndef) and node.expr != v]
        if not others or not all(isinstance(v, sp.Expr) for v in others):
            return node
        letters = [sp.Dummy(f"t{k}") for k in range(len(others))]
        inside = node.xreplace(dict(zip(others, letters, strict=True)))
        return sp.Subs(inside, letters, others)

    if not _atoms(e, sp.Derivative):
        return e
    return _entrywise(e, lambda x: x.replace(lambda n: isinstance(n, sp.Derivative), placed))


def _done(node: Any) -> Any:
    if isinstance(node, sp.Derivative):
        products = [p for p in node.expr.atoms(sp.Product) if not p.has(sp.Indexed)]
        return sp.diff(node.expr.xreplace({p: p.doit() for p in products}), *node.variable_count)
    return node.expr.subs(list(zip(node.variables, node.point, strict=True)))


# --------------------------------------------------------------------------------------------------- sums and integrals


def _with_values(sides: Sides, *, only_slopes: bool) -> Sides:
    """Integrals and sums without end as their values, or, where only slopes are asked, as slopes."""
    sums = [s for s in _parts(sides, sp.Sum) if _is_for_sympy(s)]
    sides = (_by_terms(sides, sums) if only_slopes and not sides.before else None) or _valued(sides, sums)
    if sides.before and _parts(Sides(sides.formula), sp.Integral):
        places = [s for n in sides.before for s in _symbols(sides.formula) if s.name == n]
        sides, only_slopes = replace(sides, formula=sp.diff(sides.formula, *places), before=()), True
    integrals = _parts(sides, sp.Integral)
    slopes = _as_slopes(sides) if integrals and only_slopes else None
    return slopes or _valued(sides, integrals)


def _is_for_sympy(total: Any) -> bool:
    """Whether a sum has no last term, or one that no tensor tells."""
    ends = [x for limit in total.limits for x in limit[1:]]
    inside = total.has(sp.Indexed, MatrixElement)
    return any(x.is_infinite for x in ends) or (not inside and any(x.free_symbols for x in ends))


def _as_slopes(sides: Sides, kind: Any = sp.Integral) -> Sides | None:
    """The question where no claim depends on the value of an integral, or of a sum: with slopes in the place of the
    formula's own, and a letter for each that stands on both sides; else None.
    """
    formula: Any = sides.formula
    claims = _claimed(sides)
    if not isinstance(formula, sp.Expr) or not claims:
        return None
    inside = sorted(formula.atoms(kind), key=sp.default_sort_key)
    slopes = {i: {s: i.diff(s) for s in _moving(i)} for i in inside}
    letters: dict[Any, Any] = {}

    def lettered(e: Any) -> Any:
        for i in sorted(e.atoms(kind), key=sp.default_sort_key):
            letters.setdefault(i.as_dummy(), sp.Symbol(f"{kind.__name__.lower()}_{len(letters) + 1}", real=True))
        return e.xreplace({i: letters[i.as_dummy()] for i in e.atoms(kind)})

    for name, claim in claims.items():
        wrt = next((s for s in _symbols(formula) if s.name == name), None)
        difference = sp.expand(lettered((formula.diff(wrt) if wrt is not None else sp.S.Zero) - claim))
        if difference.free_symbols & set(letters.values()) or difference.has(sp.oo, sp.nan, sp.zoo):
            return None
    made = {i: lettered(i) + WithSlopes(*(lettered(x) for x in sp.flatten(slopes[i].items()))) for i in inside}
    needed = {x for s in slopes.values() for d in s.values() for x in d.atoms(kind)}
    kept = {i.as_dummy() for i in {*needed, *inside, *_parts(Sides(sides.hand), kind)}}
    notes = [f"{i} was taken for a number, {letters[i]}, on which no claim depends." for i in letters if i in kept]
    return replace(
        sides, formula=formula.xreplace(made), hand=_each(sides.hand, lettered), notes=(*sides.notes, *notes)
    )


def _moving(part: Any) -> list[Any]:
    """What a sum or an integral is differentiated for: not how many terms there are."""
    ends = {s for limit in part.limits for x in limit[1:] for s in x.free_symbols if isinstance(part, sp.Sum)}
    return sorted(part.free_symbols - ends, key=str)


def _by_terms(sides: Sides, sums: Sequence[Any]) -> Sides | None:
    """The question for all numbers of terms, where it need not be known what sums of a free number of terms are: of the
    claim those of the formula's derivative, whose terms are the same.  Where some terms differ, it is asked of the
    smallest number of terms that shows it; None where none does.
    """
    formula: Any = sides.formula
    ends = {x for s in sums for limit in s.limits for x in limit[1:]}
    if not ends or any(x.is_infinite for x in ends) or not isinstance(formula, sp.Expr):
        return None
    if not (claims := _claimed(sides)):
        return None
    if not any(_has_none(_value_of(s)[0]) for s in sums):
        return None
    made = {}
    for name, claim in claims.items():
        wrt = next((s for s in _symbols(formula) if s.name == name), None)
        exact = formula.diff(wrt) if wrt is not None else sp.S.Zero
        rest, terms = _summed(exact - claim)
        if any(sp.simplify(t) != 0 for t in terms.values()):
            return _at_a_number(sides, exact - claim, ends)
        made[name] = exact - rest
    claims = made if isinstance(sides.hand, Mapping) else next(iter(made.values()))
    return _as_slopes(replace(sides, hand=claims), sp.Sum)


def _summed(difference: Any) -> tuple[Any, dict[Any, Any]]:
    """What stands outside of sums, and the terms of those over the same numbers, added."""
    rest, terms, index = sp.S.Zero, dict[Any, Any](), sp.Dummy("k", integer=True, positive=True)
    for part in sp.Add.make_args(sp.expand(difference)):
        factor, total = part.as_independent(sp.Sum, as_Add=False)
        if isinstance(total, sp.Sum) and len(total.limits) == 1:
            k, low, high = total.limits[0]
            body = terms.get((low, high), sp.S.Zero) + factor * total.function.xreplace({k: index})
            terms[low, high] = body
        else:
            rest += part
    return rest, terms


def _at_a_number(sides: Sides, difference: Any, ends: Collection[Any]) -> Sides | None:
    """The question at the smallest number of terms that shows a difference."""
    sizes = sorted({s for e in ends for s in e.free_symbols}, key=str)
    for count in range(1, 5) if len(sizes) == 1 else ():
        here = {sizes[0]: sp.Integer(count)}
        written = sp.simplify(difference.xreplace(here).doit())
        if written != 0 and not written.has(sp.Sum):
            note = f"It was looked at with {sizes[0]} = {count}, the smallest number of terms that shows a difference."
            made = _both(sides, lambda e: _entrywise(e, lambda x: x.xreplace(here).doit()))  # noqa: B023
            return replace(made, notes=(*sides.notes, note))
    return None


def _claimed(sides: Sides) -> dict[str, Any]:
    """The claims by input, where they are single formulas."""
    hand = sides.hand
    if isinstance(hand, Mapping):
        return dict(hand) if all(isinstance(e, sp.Expr) for e in hand.values()) else {}
    names = _names(sides)
    return {names[0]: hand} if isinstance(hand, sp.Expr) and len(names) == 1 else {}


def _valued(sides: Sides, parts: Sequence[Any]) -> Sides:
    for part in parts:
        value, condition = _value_of(part)
        if _has_none(value):
            raise BadInput(
                f"SymPy finds no value for {part}, and the claim depends on it.",
                instead="Write its value out; where the derivative and the hand formula have the same integrals, or "
                "none, no value is needed.",
            )
        _refuse_other_value(part, value, condition)
        sides = _both(sides, lambda e, p=part, v=value: _entrywise(e, lambda x: x.xreplace({p: v})))
        where = "" if condition is sp.true else f", where {condition}"
        note = f"{part} was taken for {value}{where}, its value by SymPy."
        sides = replace(sides, condition=sp.And(sides.condition, condition), notes=(*sides.notes, note))
    return sides


def _has_none(value: Any) -> bool:
    """Whether a value is none that can be computed."""
    return value.has(sp.Sum, sp.Integral, sp.oo, sp.zoo, sp.nan)


def _value_of(part: Any) -> tuple[Any, Any]:
    """A sum's or an integral's value by SymPy for real symbols, and the condition under which it is that."""
    real = {s: sp.Dummy(s.name, real=True) for s in part.free_symbols if s.is_real is None}
    try:
        value = sp.piecewise_fold(part.xreplace(real).doit())
    except Exception as error:  # SymPy's own, of any kind
        raise BadInput(f"SymPy finds no value for {part}: {error!r}", instead="Write its value out.") from None
    condition: Any = sp.true
    if isinstance(value, sp.Piecewise) and value.has(sp.Sum, sp.Integral):
        others: list[Any] = []
        pairs: Any = value.args
        for branch, where in pairs:
            if not branch.has(sp.Sum, sp.Integral):
                value, condition = branch, sp.And(where, *map(sp.Not, others))
                break
            others.append(where)
        for angle in sorted(condition.atoms(sp.arg), key=str):  # of a real number it is zero or pi
            u = angle.args[0]
            above, below = (condition.subs(angle, turn) for turn in (0, sp.pi))
            condition = sp.Or(sp.And(u > 0, above), sp.And(u < 0, below))
    back = {dummy: s for s, dummy in real.items()}
    return value.xreplace(back), condition.xreplace(back)


def _refuse_other_value(part: Any, value: Any, condition: Any) -> None:
    """Hold the value to the numbers: what SymPy finds is its word, and not a proof."""
    symbols = sorted(part.free_symbols, key=str)
    for whole, start in ((3, sp.Rational(3, 7)), (5, sp.Rational(-2, 5)), (8, sp.Rational(13, 8))):
        at = {s: whole + k if s.is_integer else start + sp.Rational(k, 11) for k, s in enumerate(symbols)}
        if condition.subs(at) != sp.true:
            continue
        try:
            one, two = (e.subs(at).evalf(20) for e in (part, value))
        except Exception:  # SymPy's own, of any kind: there are no numbers here
            continue
        if one.is_Number and two.is_Number and one.is_finite and two.is_finite:
            if abs(one - two) > sp.Rational(1, 10**8) * (1 + abs(two)):
                raise BadInput(
                    f"SymPy says that {part} is {value}, and its numbers differ.", instead="Write its value out."
                )
            return


# ---------------------------------------------------------------------------------------------------- matrices by input


def _by_input(sides: Sides, order: int | None) -> Sides:
    """A gradient, Jacobian or Hessian in one matrix as the derivative for each input."""
    hand = sides.hand
    if not isinstance(hand, (sp.MatrixBase, sp.NDimArray)) or isinstance(sides.formula, sp.MatrixExpr):
        return sides
    names = _names(sides)
    if len(names) < 2:
        return sides
    shape = tuple(int(n) for n in hand.shape)
    outputs = _length(sides.formula)
    count = len(names)
    if outputs is None and shape in ((count,), (count, 1), (1, count)):
        return replace(sides, hand=dict(zip(names, sp.flatten(hand), strict=True)), wrt=None)
    if outputs is None and shape == (count, count) and order in (None, 2):
        columns = {n: sp.Array(list(hand[:, k])) for k, n in enumerate(names)}
        return replace(sides, hand=columns, wrt=None, gradient=tuple(names))
    if outputs is not None and shape == (outputs, count):
        formula = sp.Array(sp.flatten(sides.formula))
        columns = {n: sp.Array(list(hand[:, k])) for k, n in enumerate(names)}
        return replace(sides, formula=formula, hand=columns, wrt=None)
    made = f"{outputs} values" if outputs is not None else "a number"
    instead = "a row for each value and a column for each input" if outputs is not None else "one entry for each input"
    raise BadInput(
        f"the hand formula is a matrix of the shape {list(shape)}, of {made} for the inputs {', '.join(names)}.",
        instead=f"Pass {instead}, in the order of wrt.",
    )


def _length(formula: Any) -> int | None:
    """How many values a matrix or an array has; None of a number."""
    return len(sp.flatten(formula)) if isinstance(formula, (sp.MatrixBase, sp.NDimArray)) else None


def _names(sides: Sides) -> list[str]:
    """The inputs in the order of ``wrt``, or else sorted, where all are numbers."""
    if sides.wrt is not None:
        asked: Iterable[Any] = [sides.wrt] if isinstance(sides.wrt, str) else sides.wrt
        return [str(n) for n in asked]
    formula = sides.formula
    if not isinstance(formula, _KINDS) or _atoms(formula, sp.IndexedBase, sp.MatrixSymbol):
        return []
    return sorted(s.name for s in _symbols(formula))
