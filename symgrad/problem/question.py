"""A question as a caller asks it, made a Problem: what every front end takes beside the two sides, read in one way."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import sympy as sp
import torch

from symgrad.errors import BadInput, NoPoint, SymgradError, UserCodeFailed
from symgrad.lifting.curve_slopes import slopes_along
from symgrad.lifting.derived_formulas import GradientFormula, PartialFormula
from symgrad.lifting.formulas import Formula, Several, code_values, open_formula, readings, rename
from symgrad.lifting.latex.differentials import differentials_claimed
from symgrad.lifting.latex.jacobians import by_lists
from symgrad.lifting.latex.latex_formula import Latex
from symgrad.lifting.latex.stated_conditions import stated_conditions, without_constraints
from symgrad.lifting.latex.value_chains import Chain, entries_claimed, valued, values_claimed
from symgrad.lifting.sympy_forms import ROW_OF_HESSIAN, Sides, in_the_plane, plain_sides
from symgrad.lifting.text.text_formula import Text
from symgrad.lifting.tracing.functions import Function, Module, Run, with_nests
from symgrad.lifting.tracing.nests import Nest, gradients_by_input, open_nests, spread
from symgrad.lifting.whole_questions import about_one_row
from symgrad.problem.arguments import (
    are_numbers,
    check_budgets,
    differentiated,
    dtypes_of,
    find_point,
    full_name,
    plain_keys,
    plain_names,
    plain_point,
    refuse_copies,
    resolve,
)
from symgrad.problem.constraints import Assumed, joined, parse_assuming
from symgrad.problem.definedness import both
from symgrad.problem.point_search import undefined_at
from symgrad.problem.replay import replay
from symgrad.problem.sampling import Inputs
from symgrad.problem.shapes import (
    Shapes,
    at_smallest_sizes,
    declared_shapes,
    entries_named,
    letters_of,
    named_in,
    named_shapes,
    ranks,
    subscripted_in,
    vectors,
    with_shapes,
)
from symgrad.program.program import Source
from symgrad.progress import look_at_the_clock
from symgrad.proving.conditions import is_nowhere_defined
from symgrad.typing import DomainLike, DtypeLike

# ------------------------------------------------------------------------------------------------------------- problem
# The question made definite: what every front end makes, and all that the pipeline is given.

_T = TypeVar("_T")
_DIGITS = {"float64": 53, "complex128": 53, "float32": 24, "complex64": 24, "float16": 11, "bfloat16": 8}


@dataclass(frozen=True, eq=False)
class Problem:
    """A model, the hand formulas of its derivatives, where to compare them, and what the caller says beside them.

    ``wrt`` are the inputs whose derivatives of ``order`` are claimed; with order 0 the values themselves are compared,
    and ``wrt`` are the names that the comparisons go by; ``rows`` are then the sides of a chain, as they are typeset.
    ``shapes`` are those with names in them, where the claim is about all sizes, and ``letters`` the user's names of
    indices, by claim.  ``meanings`` say of lines of the hand code what they are meant to be; ``labels`` what claims are
    called in the report, where it is not their input's name.
    """

    model: Formula
    hand: Formula
    inputs: Inputs
    dtypes: Mapping[str, str]
    wrt: tuple[str, ...]
    order: int = 1
    points: int = 64
    seed: int = 0
    effort: float = 1.0  # what all budgets of work are multiplied by
    values_only: bool = False  # the hand side is numbers: nothing can be said of other points
    opaque: bool = False  # the numbers are those of code that cannot be followed
    pasted: bool = False  # a number in the code may stand for what was computed, or for an input: it is a script
    first: tuple[Run, Run] | None = None  # the runs at the user's own point, where they were already made
    shapes: Shapes | None = None
    letters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    meanings: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was understood of the question
    unjudged: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # variables of a script, see `Results`
    unreached: str = "refuse"  # or "accept": what becomes of a claim where a branch of the code was not reached
    shown: bool = True  # a refutation is for somebody to see: at a simple point
    rows: Mapping[str, Source] = field(default_factory=dict)
    derivation: Latex | None = None  # the hand formula's rows, where SymPy was asked for the values of the last
    beside: tuple[Problem, ...] = ()  # questions about the same code with right answers, which no repair may change
    asked_first: tuple[Mapping[str, Any], ...] = ()  # points at which another hand side for this one is tried at first

    @property
    def bits(self) -> int:
        """The digits of a number that is exact in every input's dtype."""
        return min((_DIGITS.get(kind, 8) for kind in self.dtypes.values()), default=53)

    def runs(self, point: Mapping[str, Any]) -> tuple[Run, Run]:
        """The model and the hand formulas, run at a point."""
        look_at_the_clock()
        return self.model.run(point, self.dtypes), self.hand.run(point, self.dtypes)

    def values(self, point: Mapping[str, Any]) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]] | None:
        """What the model's code and the hand formulas' give at a point by themselves; None where one is no code."""
        keyed = self.hand if isinstance(self.hand, Keyed) else None
        hand = code_values(self.hand if keyed is None else keyed.formula, point, self.dtypes)
        model = None if hand is None else code_values(self.model, point, self.dtypes)
        if hand is None or model is None:
            return None
        return model, hand if keyed is None else keyed.results(hand)


# ------------------------------------------------------------------------------------------------------------ question


@dataclass(frozen=True)
class Asked:
    """What a caller says beside the two sides; every front end takes it, and it means the same at each.

    ``values`` says that the two sides themselves are compared, and no derivative of one.  Raises `BadInput` where an
    order, a budget or a seed can be none, or what stands for a name, a value or a shape is none.
    """

    wrt: Any = None
    at: Mapping[Any, Any] | None = None
    order: int | None = None  # what the hand formula's left side says, and 1 where it says nothing
    domain: DomainLike | None = None
    assuming: str | Sequence[str] | None = None
    meanings: Mapping[str, str] | None = None
    dtype: DtypeLike | None = None
    points: int = 64
    effort: float = 1.0
    seed: int = 0
    values: bool = False
    unreached: str = "refuse"
    nests: Mapping[str, Nest] = field(default_factory=dict)  # the arguments of ``at`` that hold several inputs

    def __post_init__(self) -> None:
        if self.order is not None and (not isinstance(self.order, (int, np.integer)) or self.order not in (1, 2)):
            raise BadInput(
                f"order is {self.order!r}.", instead="Pass order=1 for gradients and Jacobians, order=2 for Hessians."
            )
        check_budgets(self.points, self.effort, self.seed)
        if self.unreached not in ("refuse", "accept"):
            raise BadInput(
                f"unreached is {self.unreached!r}.",
                instead='Pass "refuse" (a branch that no point reached leaves the claim undecided) or "accept".',
            )
        object.__setattr__(self, "wrt", plain_names(self.wrt))
        object.__setattr__(self, "at", plain_point(self.at))
        object.__setattr__(self, "domain", plain_keys(self.domain, "domain"))

    @property
    def opened(self) -> Asked:
        """The same, of single inputs in the place of arguments that hold several."""
        at, nests = open_nests(self.at or {})
        if not nests:
            return self
        wrt, domain = self.wrt, self.domain
        if isinstance(domain, Mapping):
            domain = {leaf: bounds for n, bounds in domain.items() for leaf in spread([str(n)], nests)}
        if isinstance(wrt, list) or (isinstance(wrt, str) and wrt in nests):
            wrt = spread([wrt] if isinstance(wrt, str) else wrt, nests)
        return replace(self, at=at, nests=nests, wrt=wrt, domain=domain)

    @property
    def budgets(self) -> dict[str, Any]:
        """The seed, what the amounts of work are multiplied by, and what becomes of branches that were not reached."""
        return {"points": self.points, "seed": self.seed, "effort": self.effort, "unreached": self.unreached}

    @property
    def names(self) -> list[str]:
        """The inputs that ``wrt`` names."""
        return [self.wrt] if isinstance(self.wrt, str) else list(self.wrt or ())


@dataclass(frozen=True)
class KnownInputs:
    """What is known of a formula's inputs before it is run: ``at`` by their full names, the shapes with names in them,
    and what is declared of them."""

    at: Mapping[str, Any] | None
    shapes: Shapes | None
    assumed: Assumed
    own: Mapping[str, Any]

    def inputs(self, formula: Formula, asked: Asked, at: Mapping[str, Any] | None) -> tuple[Inputs, dict[str, str]]:
        """The inputs at ``at``, where no shape has a name, and the dtypes of those that are floats."""
        inputs = resolve(formula, at, asked.names, asked.domain, asked.seed, self.own, self.assumed.bounds)
        inputs = replace(inputs, facts=joined(self.assumed.facts, inputs.bounds))
        return inputs, dtypes_of(formula, at, inputs.point, asked.dtype)


def given_to(formula: Formula, asked: Asked, *others: Formula) -> KnownInputs:
    """What ``asked`` says of a formula's inputs; ``others`` may declare shapes of them too.

    Raises `UnknownName` for inputs that the formula does not have, and what `named_shapes` and `parse_assuming` raise.
    """
    own = formula.parameters if isinstance(formula, Module) else {}
    at = None if asked.at is None else {full_name(n, formula.names): v for n, v in asked.at.items()}
    shapes, at = named_shapes(at, own, declared_shapes(formula, *others))
    assumed = parse_assuming(asked.assuming, formula.names, ranks({**own, **(at or {})}))
    return KnownInputs(at, shapes, assumed, own)


def pose(formula: Any, hand: Any, asked: Asked) -> Problem:
    """The question whether ``hand`` is the derivative of ``formula``; or, of values, whether the two are equal.

    Everything that the arguments leave open is made definite, by running both sides once.
    """
    return _with_whole_numbers(asked.opened, lambda asked: _pose(formula, hand, asked))


def _with_whole_numbers(asked: Asked, ask: Callable[[Asked], _T]) -> _T:
    """Ask; where the code cannot count by a number, ask again with whole numbers passed on as they are: 5 may be a
    value like any other, and how often a loop runs."""
    try:
        return ask(asked)
    except UserCodeFailed as error:
        whole = {n: np.int64(v) for n, v in (asked.at or {}).items() if type(v) is int and n not in asked.names}
        if not whole or not isinstance(error.__cause__, TypeError):
            raise
        try:
            return ask(replace(asked, at={**(asked.at or {}), **whole}))
        except SymgradError:
            raise error from error.__cause__


def _pose(formula: Any, hand: Any, asked: Asked) -> Problem:
    if isinstance(hand, Chain):
        problem = _pose(formula, hand.others, replace(asked, values=True))
        return replace(problem, rows=hand.sources, notes=(*problem.notes, *hand.notes))
    if isinstance(formula, Latex):
        formula = with_shapes(formula, subscripted_in(asked.at))
    if isinstance(formula, Latex) and isinstance(hand, Latex):
        formula, said = without_constraints(formula)
        asked = _assuming(asked, said)
        formula = formula.told_by(hand)
        if (claimed := differentials_claimed(formula, hand, asked.at or {})) is not None:
            asked, _ = _with_unstated_shapes(formula, asked)
            chain, changes = differentials_claimed(formula, hand, asked.at or {}) or claimed
            return _pose(chain.first, chain, replace(asked, at={**(asked.at or {}), **changes}))
        if (chain := slopes_along(formula, hand, _relation_of(formula, hand, asked))) is not None:
            return _pose(chain.first, chain, _with_stated_domain(formula, hand, asked))
        formula, hand, asked = _with_what_is_said(formula, hand, asked)
        asked = _with_labels(formula, asked)
        if (chain := entries_claimed(formula, hand) or values_claimed(formula, hand)) is not None:
            asked, _ = _with_unstated_shapes(formula, asked)
            return _pose(chain.first, chain, asked)
    typeset, (formula, hand) = (formula, hand), valued(formula, hand)
    sides = plain_sides(Sides(formula, hand, asked.wrt), 0 if asked.values else asked.order)
    try:
        problem = _posed(sides, asked)
        if isinstance(typeset[1], Latex) and hand is not typeset[1]:
            problem = replace(problem, derivation=replace(typeset[1], model=typeset[0]))
        return problem
    except NoPoint:
        turned = None if asked.at or asked.values else in_the_plane(sides)
        if turned is None:
            raise
        return _posed(turned[0], replace(asked, at=turned[1]))


def _with_labels(formula: Latex, asked: Asked) -> Asked:
    """The question with numbers of classes for what an index is compared with: of other numbers nothing would be asked.

    The first two classes are taken, one for each entry in turn.
    """
    at = dict(asked.at or {})
    for name in sorted(formula.labels):
        shape = at[name] if isinstance(at.get(name), tuple) else ()
        if name in at and not shape:
            continue
        shape = shape or formula.unstated({n: np.shape(v) for n, v in at.items()}).get(name, ())
        if any(isinstance(n, str) for n in shape):
            raise BadInput(
                f"{name} holds numbers of classes, which an index is compared with, and their count is not said.",
                instead=f"Pass their values: at={{{name!r}: [1, 2, 1], ...}}.",
            )
        at[name] = 1 + np.indices(tuple(map(int, shape))).sum(0) % 2.0 if shape else 1.0
    return replace(asked, at=at or asked.at)


def _with_what_is_said(formula: Latex, hand: Latex, asked: Asked) -> tuple[Latex, Latex, Asked]:
    """The question by the rows that are differentiated, with the conditions beside them as domain and constraints."""
    asked = _with_stated_domain(formula, hand, asked)
    formula, hand = by_lists(formula, hand)
    hand, said = without_constraints(hand, formula)
    formula, hand = about_one_row(formula, hand)
    return formula, hand, _assuming(asked, said)


def _assuming(asked: Asked, said: Sequence[str]) -> Asked:
    """The question with constraints that rows state."""
    before = [asked.assuming] if isinstance(asked.assuming, str) else asked.assuming or ()
    return replace(asked, assuming=", ".join((*before, *said))) if said else asked


def _relation_of(formula: Latex, hand: Latex, asked: Asked) -> Any:
    """The domain, with the comparisons that stand beside the formulas, as one relation."""
    one, domain = sp.Dummy(positive=True), _with_stated_domain(formula, hand, asked).domain
    return sp.true if domain is None else both(domain, one < 2).xreplace({one: sp.S.One})


def _with_stated_domain(formula: Latex, hand: Latex, asked: Asked) -> Asked:
    """The question with the comparisons that stand beside the formulas as part of the domain."""
    domain = asked.domain
    for text in (formula.text, hand.text):
        domain = both(domain, stated_conditions(text)[0])
    return replace(asked, domain=domain)


def _posed(sides: Sides, asked: Asked) -> Problem:
    model = with_nests(open_formula(sides.formula), asked.nests)
    model = GradientFormula(model, sides.gradient) if sides.gradient else model
    hand, wrt = entries_named(gradients_by_input(sides.hand, asked.nests), sides.wrt)
    asked = replace(
        asked, wrt=wrt, domain=both(asked.domain, sides.condition), order=1 if sides.gradient else asked.order
    )
    asked, long = _with_unstated_shapes(model, asked, numbers=are_numbers(hand))
    hand = _by_number(hand, model, asked)
    told = {**declared_shapes(model), **subscripted_in(asked.at), **named_in(asked.at)}
    model = with_shapes(model, told)
    what = "the second formula" if asked.values else "the hand formula"
    opened = _open_hand(hand, model, told, asked)
    before, after, order = _order_of(opened, asked)
    if sides.before:
        before, after = sides.before, str(asked.wrt)
    asked = replace(asked, order=order)
    mine = rename(opened, model.names, what)
    model = PartialFormula(model, before) if before else model
    given = given_to(model, asked, mine)
    shapes, problem = at_smallest_sizes(
        given.shapes, given.at, given.own, lambda at: _at_numbers(model, mine, hand, asked, given, at), _hand_has_value
    )
    notes = (*readings(model, "The formula"), *readings(mine, "The hand formula")) if not asked.values else ()
    if long:
        told = f"No shape was given for {', '.join(long)}:"
        if not isinstance(model, Function):
            shown = ", ".join(f"{n} of the shape ({', '.join(map(str, s))})" for n, s in long.items())
            notes += (f"{told} the formula is about arrays, and is asked of {shown}.",)
        else:
            told = f"{told} the function takes the entries of an array together, as a sum does"
            notes += (f"{told}; it is asked of vectors of all lengths {next(iter(long.values()))[0]}.",)
    if before:
        problem = replace(problem, labels={after: f"{after}, of ∂f/{''.join(f'∂{n}' for n in before)}"})
    if sides.gradient:
        problem = replace(problem, labels={n: ROW_OF_HESSIAN.format(n) for n in sides.gradient})
    notes = (*sides.notes, *notes)
    return replace(problem, shapes=shapes, letters=letters_of(hand), meanings=asked.meanings, notes=notes)


def _by_number(hand: Any, model: Formula, asked: Asked) -> Any:
    """A gradient for several numbers that is written as one text, ``[y, x]``, as a formula for each of them."""
    if not isinstance(hand, str) or not hand.lstrip().startswith("[") or asked.values or asked.order == 2:
        return hand
    items, names = Text(hand).items, asked.names or model.names
    numbers = all(np.ndim(v) == 0 for v in (asked.at or {}).values())
    return items if numbers and len(items) == len(names) > 1 else hand


def _order_of(hand: Formula, asked: Asked) -> tuple[tuple[str, ...], str, int]:
    """For which inputs the model is differentiated first, for which the hand formula then, and of which order.

    A derivative for two inputs, or of the third order, is the first derivative of the one below it.
    """
    parts = list(hand.parts.values()) if isinstance(hand, Several) else [hand]
    told = [p.differentiated for p in parts if isinstance(p, Latex)]
    orders = {len(wrt) if wrt else n for n, wrt in told}
    mixed = [wrt for n, wrt in told if wrt and (n > 2 or len(set(wrt)) > 1)]
    if mixed and len(parts) > 1:
        raise BadInput(
            "of several mixed or higher derivatives one is judged at a time.", instead="Pass each by itself."
        )
    if mixed:
        return mixed[0][:-1], mixed[0][-1], 1
    if len(orders) > 1:
        raise BadInput("these are derivatives of several orders.", instead="Pass each order by itself.")
    order = asked.order or (orders.pop() if orders else 1)
    if order > 2:
        raise BadInput(
            f"which input the derivative of order {order} is for is not said.", instead="Write \\frac{d^3 f}{dx^3}."
        )
    return (), "", order


def _with_unstated_shapes(model: Formula, asked: Asked, *, numbers: bool = False) -> tuple[Asked, dict[str, Any]]:
    """``asked`` with shapes for what must be arrays, and these; `BadInput` where the text leaves two readings."""
    long = {} if numbers else vectors(model, asked.at, lambda at: _run(model, replace(asked, at=at)))
    return replace(asked, at={**(asked.at or {}), **long} or asked.at), long


def _run(model: Formula, asked: Asked) -> Run:
    """The model's run where no size has a name."""
    given = given_to(model, asked)
    inputs, dtypes = given.inputs(model, asked, given.at)
    return find_point(model, inputs, dtypes, asked.seed)[1]


@dataclass(frozen=True, eq=False)
class Alone:
    """A formula of which no derivative is claimed: its inputs at a point of its domain, their dtypes, its run there.

    Where sizes have names, at the smallest at which it runs.
    """

    model: Formula
    given: KnownInputs
    shapes: Shapes | None
    inputs: Inputs
    dtypes: Mapping[str, str]
    run: Run


def open_alone(formula: Any, asked: Asked) -> tuple[Formula, Asked]:
    """One formula opened, and ``asked`` with the condition under which it has a value."""
    asked, sides = asked.opened, plain_sides(Sides(formula), 0)
    model = with_nests(open_formula(sides.formula), asked.nests)
    return model, replace(asked, domain=both(asked.domain, sides.condition))


def alone(formula: Any, asked: Asked) -> Alone:
    """One formula made definite, as `pose` does it for two."""
    return _with_whole_numbers(asked, lambda asked: _alone(formula, asked))


def _alone(formula: Any, asked: Asked) -> Alone:
    model, asked = open_alone(formula, asked)
    asked, _ = _with_unstated_shapes(model, asked)
    model = with_shapes(model, {**declared_shapes(model), **subscripted_in(asked.at), **named_in(asked.at)})
    given = given_to(model, asked)

    def run(at: Mapping[str, Any] | None) -> tuple[Inputs, dict[str, str], Run]:
        inputs, dtypes = given.inputs(model, asked, at)
        inputs, found = _found(model, inputs, dtypes, asked.seed)
        replay(found, inputs.point, "the formula")
        return inputs, dtypes, found

    shapes, (inputs, dtypes, found) = at_smallest_sizes(given.shapes, given.at, given.own, run)
    return Alone(model, given, shapes, inputs, dtypes, found)


def meanings_of(meanings: Mapping[str, str] | None, claims: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """``meanings``, which were called ``claims`` once."""
    if claims is None:
        return meanings
    warnings.warn(
        "claims= is called meanings= now: report.claims are the verdicts, and what a line is meant to be is another "
        "thing. The old name goes with the next version.",
        DeprecationWarning,
        stacklevel=4,
    )
    return claims if meanings is None else meanings


def _open_hand(hand: Any, model: Formula, told: Mapping[str, Any], asked: Asked) -> Formula:
    like = getattr(model, "library", None)
    if asked.values:
        return with_shapes(with_nests(open_formula(hand, like=like), asked.nests), told, model.names)
    scalars = not isinstance(model, Module) and all(np.ndim(v) == 0 for v in (asked.at or {}).values())
    opened = open_formula(hand, stops=False, like=like, beside=model, order=asked.order, scalars=scalars)
    if isinstance(opened, Several):
        opened = Several({k: with_nests(part, asked.nests) for k, part in opened.parts.items()})
    opened = with_shapes(with_nests(opened, asked.nests, of_gradients=True), told, model.names)
    if isinstance(opened, Several):
        parts = {k: rename(f, model.names, f"the hand formula for {k}") for k, f in opened.parts.items()}
        return Several(parts)
    if isinstance(opened, Function) and isinstance(model, Module):
        return replace(opened, beside=model.module)
    return opened


def _at_numbers(
    model: Formula, mine: Formula, hand: Any, asked: Asked, given: KnownInputs, at: Mapping[str, Any] | None
) -> Problem:
    """The question where no size has a name any more."""
    inputs, dtypes = given.inputs(model, asked, at)
    inputs, model_run = _found(model, inputs, dtypes, asked.seed)
    hand_run = mine.run(inputs.point, dtypes)
    if not are_numbers(hand):  # which may be those of another input: the derivative of x*y is y
        refuse_copies(hand_run.program, inputs)
    replay(model_run, inputs.point, "the formula")
    replay(hand_run, inputs.point, "the hand formula")
    if asked.values:
        several = isinstance(hand, Mapping)
        if len(hand_run.program.outputs) != 1 and not several:
            raise BadInput(
                f"the second formula has {len(hand_run.program.outputs)} values, and one is compared.",
                instead="Compare them one by one.",
            )
        numbers = isinstance(hand, (np.ndarray, torch.Tensor)) and not inputs.free  # for this point, and no other
        inputs = replace(inputs, free=inputs.free or tuple(dtypes))
        mine = Keyed(mine, dict.fromkeys(hand_run.program.outputs, "value")) if numbers else mine
        first = model_run, mine.named(hand_run) if isinstance(mine, Keyed) else hand_run
        names = tuple(mine.parts) if isinstance(mine, Several) and several else ("value",)
        return Problem(model, mine, inputs, dtypes, names, 0, values_only=numbers, first=first, **asked.budgets)
    keys = list(hand_run.program.outputs)
    names = differentiated(model, keys, asked.wrt, list(dtypes))
    keyed = Keyed(mine, _by_name(keys, names, model))
    inputs = replace(inputs, free=tuple(n for n in dtypes if n in names or n not in inputs.given))
    first = model_run, keyed.named(hand_run)
    return Problem(
        model,
        keyed,
        inputs,
        dtypes,
        names,
        asked.order or 1,
        values_only=are_numbers(hand),
        first=first,
        **asked.budgets,
    )


def _hand_has_value(problem: Problem) -> bool:
    """Whether the hand formula has a value at the first point: the inverse in it may have none where a determinant in
    the model is zero."""
    assert problem.first is not None
    return undefined_at(problem.first[1].program, problem.inputs.point)[1]


def _found(model: Formula, inputs: Inputs, dtypes: Mapping[str, str], seed: int) -> tuple[Inputs, Run]:
    """A point of the model's domain, and its run there."""
    try:
        return find_point(model, inputs, dtypes, seed)
    except NoPoint as error:
        if error.program is None or not is_nowhere_defined(error.program, error.program.output):
            raise
        raise NoPoint(
            "the formula has a real value nowhere: what its roots, logarithms and inverse functions need contradicts "
            f"itself, by exact arithmetic ({error.what.partition(': ')[2].rstrip('.')}).",
            where=error.where,
            instead="Look for a sign under a root; symgrad judges formulas where they are real.",
        ) from None


def _by_name(keys: Sequence[str], names: Sequence[str], model: Formula) -> dict[str, str]:
    """Which of the hand formula's results is for which input."""
    unnamed = list(keys) in (["output"], ["value"]) or all(k.isdigit() for k in keys)
    if unnamed and len(keys) == len(names):
        return dict(zip(keys, names, strict=True))
    found = {k: full_name(k, model.names) for k in keys}
    missing = [n for n in names if n not in found.values()]
    if missing:
        raise BadInput(
            f"the hand formula gives {', '.join(keys)}, and wrt asks for {', '.join(missing)} too.",
            instead="Return a mapping from input to gradient, with these names.",
        )
    return {k: n for k, n in found.items() if n in names}


@dataclass(frozen=True, eq=False)
class Keyed:
    """A hand formula whose outputs go by the names of the inputs they are for."""

    formula: Formula
    keys: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        return self.formula.names

    @property
    def required(self) -> tuple[str, ...]:
        return self.formula.required

    def run(self, point: Mapping[str, Any], dtypes: Mapping[str, str] | str = "float64") -> Run:
        return self.named(self.formula.run(point, dtypes))

    def named(self, run: Run) -> Run:
        """The run with its results under the inputs' names."""
        outputs = {self.keys[k]: i for k, i in run.program.outputs.items() if k in self.keys}
        return replace(run, program=run.program.with_outputs(outputs), values=self.results(run.values))

    def results(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The results under the inputs' names."""
        return {self.keys[k]: v for k, v in values.items() if k in self.keys}
