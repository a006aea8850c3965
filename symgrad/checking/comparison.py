"""Two Programs at a point: which entries differ, which agree, and which cannot be told.

Everything here is decided by balls.  A difference whose ball excludes zero is a difference; a difference whose ball
is thinner than `BITS` bits and contains zero is agreement at that point; where the precision does not suffice it is
raised, and in the end said to be unclear.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from flint import acb, arb

from symgrad.errors import WrongShape
from symgrad.evaluation.balls import Balls, array_of, ball_of, binary, entrywise, flat, rounded_data
from symgrad.lifting.tracing.functions import Run
from symgrad.ops.row import precision
from symgrad.problem.definedness import Undefined, depends_on, first_undefined, is_decided, misjudged, ties
from symgrad.problem.sampling import Inputs
from symgrad.program.builder import Builder, join
from symgrad.program.derivative import derivatives, gradients, reverse
from symgrad.program.expressions import lower
from symgrad.program.program import Constant, Guard, Program, Shape, interpret, same_looks, same_structure, size

# ---------------------------------------------------------------------------------------------------- rounded literals
# Constants that were typed with few digits: each is one number, within half a unit of its last digit.
#
# A literal means the same number wherever it is written and at every point, so that model and hand formula do not each
# choose a value of their own.  With parameters p for the literals, the difference D(p) of the two is enclosed by the
# mean value theorem: D(c) + sum_i dD/dp_i(box) * [-r_i, r_i].  If D vanished for some p at all points, so would each
# combination of its rows; the residual of a least squares fit is the combination that shows best that none does
# (Farkas' lemma).  The combination is found in floats and checked in balls.

_MOST = 16  # literals of one formula that are told apart
_NAME = "typed constant "


@dataclass(frozen=True, eq=False)
class Literals:
    """A Program with its literals as inputs: their numbers and radii by name, where each step went, and for each
    pair of steps the derivatives of their difference by each literal."""

    program: Program
    numbers: Mapping[str, tuple[Fraction, Fraction]]
    place: tuple[int, ...]
    slopes: Mapping[tuple[int, int], Mapping[str, int]]

    def box(self) -> dict[str, Any]:
        """Every literal as a ball."""
        return {n: array_of([arb(ball_of(c), ball_of(r))], ()) for n, (c, r) in self.numbers.items()}

    def radii(self) -> dict[str, Any]:
        return {n: ball_of(r) for n, (_, r) in self.numbers.items()}


def literals_of(program: Program, pairs: Sequence[tuple[int, int]]) -> Literals | None:
    """The Program with every typed number as an input; None if it has none, or too many.

    >>> b = Builder()
    >>> x, c = b.input("x", ()), b.constant(0.123456, exact=sp.Rational(123456, 10**6), radius=Fraction(1, 2 * 10**6))
    >>> left, right = b.mul(c, x), b.mul(x, c)
    >>> found = literals_of(b.build({}), [(left, right)])
    >>> found.numbers
    {'typed constant 0': (Fraction(1929, 15625), Fraction(1, 2000000))}
    """
    numbers: dict[tuple[Fraction, Fraction], str] = {}
    b = Builder()
    place: list[int] = []
    for step in program.steps:
        found = _number(step)
        if found is not None:
            value, r = found
            name = numbers.setdefault((abs(value), r), f"{_NAME}{len(numbers)}")
            i = b.inputs[name] if name in b.inputs else b.input(name, (), step.dtype)
            i = i if b.dtype(i) == step.dtype else b.cast(i, step.dtype)
            place.append(i if value > 0 else b.neg(i))
        elif step.op == "input":
            place.append(b.input(step.params, step.shape, step.dtype))
        else:
            # what is detached depends on a literal all the same
            op = "name" if step.op == "stop" else step.op
            b.steps.append(replace(step, op=op, args=tuple(place[a] for a in step.args)))
            place.append(len(b.steps) - 1)
    if not 0 < len(numbers) <= _MOST:
        return None
    slopes = {pair: _slopes_of_literals(b, place[pair[0]], place[pair[1]], list(numbers.values())) for pair in pairs}
    return Literals(b.build({}), {n: key for key, n in numbers.items()}, tuple(place), slopes)


def _number(step: Any) -> tuple[Fraction, Fraction] | None:
    c = step.params
    if step.op != "constant" or c.radius is None or c.value.shape or not isinstance(c.exact, sp.Rational):
        return None
    value = Fraction(int(c.exact.p), int(c.exact.q))
    return (value, Fraction(c.radius)) if value else None


def _slopes_of_literals(b: Builder, left: int, right: int, names: Sequence[str]) -> dict[str, int]:
    """The difference's derivatives by each of the inputs: the adjoint is linear in its seed, and transposed again."""
    gap = b.sub(left, right)
    seed = b.emit("input", (), f"seed of %{gap}", b.shape(gap), b.dtype(gap))
    wanted = {n: b.inputs[n] for n in names}
    of, _ = reverse(b, {gap: seed}, set(wanted.values()))
    out = {}
    for name, i in wanted.items():
        if i in of:
            back, _ = reverse(b, {of[i]: b.ones((), b.dtype(of[i]))}, {seed})
            if seed in back:
                out[name] = back[seed]
    return out


# ------------------------------------------------------------------------------------------------ deciding

Row = tuple[Any, Mapping[str, Any]]  # a difference, and its derivatives by the literals


def cannot_agree(rows: Sequence[Row], radii: Mapping[str, Any]) -> bool:
    """Whether no values of the literals make all the differences vanish.  False says only that this was not shown.

    >>> slope, half = {"c": arb(1)}, {"c": arb("0.5")}
    >>> cannot_agree([(arb("0.25"), slope), (arb("0.25"), slope)], half)
    False
    >>> cannot_agree([(arb("0.25"), slope), (arb("-0.25"), slope)], half)
    True
    """
    rows = [row for row in rows if row[0].is_finite() and all(g.is_finite() for g in row[1].values())]
    rows = [part for row in rows for part in _real(row)]
    if not rows:
        return False
    names = list(radii)
    scale = [_size(d, slopes, radii) for d, slopes in rows]
    kept = [k for k, s in enumerate(scale) if s > 0 and s.is_finite()]
    if not kept:
        return False
    gaps = np.array([float((rows[k][0] / scale[k]).mid()) for k in kept])
    table = np.array([[float((rows[k][1].get(n, arb(0)) * radii[n] / scale[k]).mid()) for n in names] for k in kept])
    if not (np.isfinite(gaps).all() and np.isfinite(table).all()):
        return False
    fit = np.linalg.lstsq(table, -gaps, rcond=1e-9)[0] if names else np.zeros(0)
    weights = [ball_of(float(w)) / scale[k] for w, k in zip(gaps + table @ fit, kept, strict=True)]
    total = sum((w * rows[k][0] for w, k in zip(weights, kept, strict=True)), arb(0))
    for n in names:
        slope = sum((w * rows[k][1].get(n, arb(0)) for w, k in zip(weights, kept, strict=True)), arb(0))
        total = total + slope * arb(0, radii[n])
    return bool(total.is_finite() and not total.contains(0))


def _real(row: Row) -> list[Row]:
    """A complex difference as two real ones; the literals are real."""
    d, slopes = row
    if not any(hasattr(x, "imag") and type(x).__name__ == "acb" for x in (d, *slopes.values())):
        return [row]
    parts = [
        (lambda x: x.real if type(x).__name__ == "acb" else x),
        (lambda x: x.imag if type(x).__name__ == "acb" else arb(0)),
    ]
    return [(part(d), {n: part(g) for n, g in slopes.items()}) for part in parts]


def _size(d: Any, slopes: Mapping[str, Any], radii: Mapping[str, Any]) -> Any:
    return sum((abs(g).mid() * radii[n] for n, g in slopes.items()), abs(d).mid())


# ---------------------------------------------------------------------------------------------------------- comparison

BITS = 180
_PRECISIONS = (256, 640, 2048)
_MOST_ROWS = 4096  # entries of an output for which a Jacobian is written


@dataclass(frozen=True, slots=True)
class Pair:
    """One derivative: the step of the hand formula and the step of the exact derivative, of equal shapes.

    ``shape`` is the shape that the derivative has; ``hand_shape`` what the hand formula gave; ``note`` says how one
    was laid out as the other.  ``hand`` is None where the shapes do not fit.
    """

    name: str
    hand: int | None
    exact: int
    shape: Shape
    hand_shape: Shape
    note: str | None = None
    summed: bool = False  # the derivative of the sum of the outputs: the cotangents are ones


@dataclass(frozen=True, eq=False)
class Branch:
    """The code's path through one region of inputs: model, hand formulas and exact derivatives in one Program."""

    program: Program
    model: int
    pairs: tuple[Pair, ...]
    model_run: Run
    hand_run: Run
    typed: bool
    stated: tuple[int, ...] = ()  # steps that the user says are not negative: the domain that was asked for

    @functools.cached_property
    def rounded(self) -> bool:
        """Whether data may have been computed, and rounded, outside of the formulas."""
        return any(s.op == "constant" and rounded_data(s.params) > 0 for s in self.program.steps)

    @functools.cached_property
    def literals(self) -> Literals | None:
        """The branch with what was typed with few digits as inputs."""
        return literals_of(self.program, [(p.hand, p.exact) for p in self.pairs if p.hand is not None])

    def same_path(self, model_run: Run, hand_run: Run) -> bool:
        """Whether two other runs wrote the same steps and looked at the same values, whatever they saw."""
        pairs = ((self.model_run.program, model_run.program), (self.hand_run.program, hand_run.program))
        return all(same_structure(a, b) and same_looks(a, b) for a, b in pairs)

    def taken(self, model_run: Run, hand_run: Run) -> tuple[Guard, ...]:
        """The branch's choices as they came out in two runs that went its way."""
        outcomes = [g.outcome for run in (model_run, hand_run) for g in run.program.guards]
        guards = self.program.guards  # those of the runs come first, in their order
        made = (replace(g, outcome=o) for g, o in zip(guards, outcomes, strict=False))
        return (*made, *guards[len(outcomes) :], *model_run.program.course, *hand_run.program.course)

    @functools.cached_property
    def moving(self) -> set[int] | None:
        """The steps that move with what is differentiated for; None where that is no input, or values are compared."""
        names = {p.name for p in self.pairs}
        return depends_on(self.program, names) if names and names <= self.program.inputs.keys() else None

    def asks_of_data(self, guard: Guard) -> bool:
        """Whether a choice asks if two values are the same that no derivative is for, such as labels: at a point where
        they are, both sides have the derivatives of the branch that is taken there."""
        is_equality = guard.op in ("eq", "ne") and len(guard.args) == 2
        return is_equality and self.moving is not None and self.moving.isdisjoint(guard.args)

    @property
    def choices(self) -> tuple[Guard, ...]:
        """What was looked at in the runs that it was made of, and their course."""
        return (*self.program.guards, *self.program.course)


def branch_of(model_run: Run, hand_run: Run, wrt: Sequence[str], order: int = 1) -> Branch:
    """Join the two runs, write the exact derivatives, and lay the hand formulas out beside them.

    ``order=0`` compares the values themselves: ``wrt`` are then the names that the comparisons go by.  An output
    of the model that is called ``at:name`` is the step that the derivative called ``name`` is taken at, where that is
    no input of this name.

    Raises `WrongShape` where the model's output is too large for a Jacobian.
    """
    both = join(model=model_run.program, hand=hand_run.program)
    at = {key.removeprefix("model.at:"): i for key, i in both.outputs.items() if key.startswith("model.at:")}
    outputs = [i for key, i in both.outputs.items() if key.startswith("model.") and not key.startswith("model.at:")]
    if len(outputs) != 1:
        raise WrongShape(
            f"the model returns {len(outputs)} values.", instead="Return one, for example their sum or a stack."
        )
    b = Builder.on(both)
    (model,) = outputs
    hands = {key.removeprefix("hand."): i for key, i in both.outputs.items() if key.startswith("hand.")}
    shape = b.shape(model)
    if order == 0:  # the values themselves
        pairs = tuple(_pair(b, name, hand, model, False) for name, hand in _by_name(hands, wrt).items())
        return _finish(b, both, model, pairs, model_run, hand_run)
    inputs = {name: at[name] if name in at else both.inputs[name] for name in wrt}
    summed = _means_sum(b, model, hands, inputs, order)
    if shape and not summed and size(shape) > _MOST_ROWS:
        raise WrongShape(
            f"the model returns {size(shape)} values, too many for a Jacobian.",
            instead="Return a scalar, such as a loss.",
        )
    exact = gradients(b, model, inputs) if summed else derivatives(b, model, inputs, order)
    turning = [n for n, i in inputs.items() if order == 1 and _turns(b, model, hands[n], i)]
    exact = {**exact, **_complex_slopes(b, model, {n: inputs[n] for n in turning})}
    pairs = tuple(_pair(b, name, hands[name], exact[name], summed and bool(shape)) for name in wrt)
    return _finish(b, both, model, pairs, model_run, hand_run)


def _by_name(hands: Mapping[str, int], wrt: Sequence[str]) -> dict[str, int]:
    """The values that are compared; one alone goes by the name that is asked for."""
    return {wrt[0]: next(iter(hands.values()))} if len(hands) == 1 else {name: hands[name] for name in wrt}


def with_domain(branch: Branch, inputs: Inputs) -> Branch:
    """The branch with what the stated domain says as steps that are not negative: ``x - low``, ``high - x``, s - x."""
    b = Builder.on(branch.program)
    stated = []
    for name, (low, high) in inputs.bounds.items():
        i = branch.program.inputs.get(name)
        if i is None or b.steps[i].is_complex:
            continue
        for bound, above in ((low, True), (high, False)):
            if bound is not None and np.isfinite(bound):
                edge = b.number(sp.Rational(*float(bound).as_integer_ratio()))
                stated.append(b.sub(i, edge) if above else b.sub(edge, i))
    env: dict[Any, int] = {sp.Symbol(n, real=True): i for n, i in branch.program.inputs.items()}
    for condition in inputs.conditions:
        relation: Any = getattr(condition, "relation", None)
        if isinstance(relation, (sp.Gt, sp.Ge, sp.Lt, sp.Le)):
            large: Any = relation.gts
            small: Any = relation.lts
            gap = large - small
            gap = gap.xreplace({s: sp.Symbol(s.name, real=True) for s in gap.free_symbols})
            stated.append(lower(b, gap, env))
    return replace(branch, program=b.build(branch.program.outputs), stated=tuple(stated)) if stated else branch


def _finish(b: Builder, both: Program, model: int, pairs: tuple[Pair, ...], model_run: Run, hand_run: Run) -> Branch:
    program = b.build(both.outputs)
    typed = any(s.op == "constant" and s.params.radius is not None for s in program.steps)
    return Branch(program, model, pairs, model_run, hand_run, typed)


def _means_sum(b: Builder, model: int, hands: Mapping[str, int], inputs: Mapping[str, int], order: int) -> bool:
    """Whether the hand formulas are gradients for upstream ones rather than Jacobians: their shapes tell."""
    if order != 1 or not b.shape(model):
        return False
    if b.steps[model].is_complex:
        return True
    squeezed = lambda shape: tuple(n for n in shape if n != 1)  # noqa: E731
    fits = [
        squeezed(b.shape(hands[n])) == squeezed(b.shape(i))
        and squeezed(b.shape(hands[n])) != squeezed((*b.shape(model), *b.shape(i)))
        for n, i in inputs.items()
    ]
    return all(fits)


def _turns(b: Builder, model: int, hand: int, wrt: int) -> bool:
    """Whether a complex function of a real input has a complex hand formula: then it is f' itself that is meant."""
    return b.steps[model].is_complex and b.steps[hand].is_complex and not b.steps[wrt].is_complex


def _complex_slopes(b: Builder, model: int, wrt: Mapping[str, int]) -> dict[str, int]:
    """f' of a complex f for real inputs: the adjoint of a real input is Re(conj(seed) f'), so the seeds are 1 and i."""
    if not wrt:
        return {}
    dtype = b.dtype(model)
    along = gradients(b, model, wrt)
    seed = b.mul(b.ones(b.shape(model), dtype), b.constant(1j, dtype, exact=sp.I))
    of, _ = reverse(b, {model: seed}, set(wrt.values()))
    found = {}
    for name, i in wrt.items():
        across = of[i] if i in of else b.zeros(b.shape(i), b.dtype(i))
        turned = b.mul(b.cast(across, dtype), b.constant(1j, dtype, exact=sp.I))
        found[name] = b.add(b.cast(along[name], dtype), turned)
    return found


def _pair(b: Builder, name: str, hand: int, exact: int, summed: bool) -> Pair:
    given, wanted = b.shape(hand), b.shape(exact)
    note = "your model has several outputs; yours was read as the gradient of their sum" if summed else None
    if given != wanted:
        if tuple(n for n in given if n != 1) != tuple(n for n in wanted if n != 1):
            return Pair(name, None, exact, wanted, given, summed=summed)
        hand = b.reshape(hand, wanted)
        laid = f"yours has the shape {list(given)} and was read in the shape {list(wanted)}"
        note = f"{note}; {laid}" if note else laid
    return Pair(name, hand, exact, wanted, given, note, summed)


# ------------------------------------------------------------------------------------------------ at a point


@dataclass(frozen=True, eq=False)
class PairComparison:
    """One pair at one point: its balls, and the state of each entry.

    States: "agrees" (to `BITS` bits), "differs" (a ball excludes zero), "typed" (equal up to the digits that were
    typed), "undefined" (the hand formula has no value, the derivative has), "outside" (the derivative has none),
    "unclear" (the precision did not suffice).  ``at`` holds the flat entries that were looked at, where these are not
    all.
    """

    hand: np.ndarray
    exact: np.ndarray
    states: tuple[str, ...]
    bits: int
    slopes: Mapping[str, np.ndarray] = field(default_factory=dict)  # of the differences, by what was typed
    at: np.ndarray | None = None

    @property
    def state(self) -> str:
        """The state that matters most."""
        for s in ("differs", "undefined", "outside", "unclear", "typed"):
            if s in self.states:
                return s
        return "agrees"

    def entries(self, state: str) -> list[int]:
        return [k for k, s in enumerate(self.states) if s == state]


@dataclass(frozen=True, eq=False)
class PointComparison:
    """All pairs at one point."""

    point: Mapping[str, Any]
    views: Mapping[str, PairComparison]
    ties: tuple[Guard, ...]
    undefined: Undefined | None
    output: Any
    misjudged: bool = False  # a rounding error chose the branch that was read beside the point
    principal: bool = False  # the hand formula has no real value here, and its complex value is right
    guards: tuple[Guard, ...] = ()  # the choices of the code, as they came out here

    @property
    def is_in_part(self) -> bool:
        """Whether a few entries of each pair were looked at, and not all."""
        return any(view.at is not None for view in self.views.values())


def compare_at(
    branch: Branch,
    point: Mapping[str, Any],
    free: Sequence[str],
    *,
    offset: Mapping[str, Any] | None = None,
    guards: tuple[Guard, ...] | None = None,
) -> PointComparison:
    """Compare every pair of a branch at a point.

    ``guards`` are the branch's choices as they came out at this point, if it is not the one that the branch was first
    seen at.  ``offset`` maps inputs to exact displacements (arrays of balls) that are added to them: the branch's
    Program is then read beside the point, which is how one-sided slopes are found.
    """
    done: dict[str, PairComparison] = {}
    edge: tuple[Guard, ...] = ()
    undefined = None
    output: Any = None
    rounded = principal = False
    program = branch.program.with_guards(branch.choices if guards is None else guards)
    precisions = _PRECISIONS if offset is None else _PRECISIONS[1:]  # a displacement is to be seen beside the point
    for k, bits in enumerate(precisions):
        wanted = [p for p in branch.pairs if p.hand is not None and p.name not in done]
        if not wanted and k:
            break
        sides = [a for g in program.guards for a in g.args] if k == 0 else []
        steps = [i for p in wanted for i in (p.hand, p.exact) if i is not None]
        with precision(bits):
            values = _balls(branch, point, [*steps, branch.model, *sides], typed=False, offset=offset)
            typed = _balls(branch, point, steps, typed=True, offset=offset) if branch.typed else values
            slopes = _slopes(branch, point, wanted, offset) if branch.typed else {}
            data = functools.partial(_balls, branch, point, steps, typed=True, offset=offset, rounded=True)
            if k == 0:
                output = values[branch.model]
                if offset is None and program.guards:
                    met = ties(program, values, free)
                    edge = tuple(g for g in met if not (branch.asks_of_data(g) and is_decided(g, values)))
                rounded = offset is not None and misjudged(program, values, free)
            outside = not all(x.is_finite() for x in flat(values[branch.model]))
            for p in wanted:
                assert p.hand is not None
                view = view_of(
                    flat(values[p.hand]),
                    flat(values[p.exact]),
                    flat(typed[p.hand]) if branch.typed else None,
                    flat(typed[p.exact]) if branch.typed else None,
                    slopes.get(p.name, {}),
                    branch,
                    bits,
                    outside,
                )
                if "differs" in view.states and branch.rounded:
                    with_cost = data()
                    view = _within_cost(view, flat(with_cost[p.hand]), flat(with_cost[p.exact]))
                if "undefined" in view.states and branch.hand_run.symbolic and offset is None:
                    view, found = _principal(branch, point, p.hand, view)
                    principal = principal or found
                if undefined is None and view.state in ("outside", "undefined"):
                    undefined = first_undefined(branch.program, values)
                if ("unclear" not in view.states and "undefined" not in view.states) or k == len(precisions) - 1:
                    done[p.name] = view
    return PointComparison(point, done, edge, undefined, output, rounded, principal, program.guards)


def _within_cost(view: PairComparison, hand: Any, exact: Any) -> PairComparison:
    """The view without the differences that the rounding of data, computed outside of the formulas, may explain."""
    differ = [
        s == "differs" and (excludes_zero(h - x) or not (h - x).is_finite())
        for s, h, x in zip(view.states, hand, exact, strict=True)
    ]
    states = tuple("typed" if s == "differs" and not d else s for s, d in zip(view.states, differ, strict=True))
    return replace(view, states=states)


def _balls(
    branch: Branch,
    point: Mapping[str, Any],
    steps: Sequence[int],
    *,
    typed: bool,
    offset: Mapping[str, Any] | None,
    rounded: bool = False,
) -> dict[int, Any]:
    inputs = {name: binary(point[name]) for name in branch.program.inputs}
    for name, shift in (offset or {}).items():
        if name in inputs:
            inputs[name] = inputs[name] + shift
    return interpret(branch.program, Balls(typed=typed, rounded=rounded), inputs, steps)


def _slopes(
    branch: Branch, point: Mapping[str, Any], pairs: Sequence[Pair], offset: Mapping[str, Any] | None
) -> dict[str, dict[str, np.ndarray]]:
    """How each difference varies with what was typed with few digits: entry by entry, over all that it may mean."""
    if branch.literals is None:
        return {}
    steps = {p.name: branch.literals.slopes[p.hand, p.exact] for p in pairs if p.hand is not None}
    inputs = {name: binary(point[name]) for name in branch.program.inputs}
    inputs |= {name: inputs[name] + shift for name, shift in (offset or {}).items() if name in inputs}
    wanted = [i for of in steps.values() for i in of.values()]
    values = interpret(branch.literals.program, Balls(), {**inputs, **branch.literals.box()}, wanted)
    return {name: {n: flat(values[i]) for n, i in of.items()} for name, of in steps.items()}


def _principal(
    branch: Branch, point: Mapping[str, Any], hand: int, view: PairComparison
) -> tuple[PairComparison, bool]:
    """Where a formula has no real value, its complex one may be the derivative: then nothing speaks against it."""
    inputs = {n: entrywise(acb, binary(point[n])) for n in branch.program.inputs}
    try:
        with precision(view.bits):
            values = flat(interpret(branch.program, Balls(), inputs, [hand])[hand])
            thin = _thin(view.exact)
            gaps = [abs(acb(values[k]) - view.exact[k]) for k in range(len(values))]
            right = [k for k in view.entries("undefined") if gaps[k].is_finite() and gaps[k] <= thin]
    except (AttributeError, NotImplementedError, TypeError, ValueError):  # no complex reading
        return view, False
    states = tuple("outside" if k in right else s for k, s in enumerate(view.states))
    return replace(view, states=states), bool(right)


def view_of(
    hand: Any,
    exact: Any,
    hand_typed: Any,
    exact_typed: Any,
    slopes: Mapping[str, np.ndarray],
    branch: Branch,
    bits: int,
    outside: bool,
) -> PairComparison:
    """The balls of both sides beside each other, read in ``bits`` bits; with those of what was typed, if any was."""
    if outside:
        return PairComparison(hand, exact, ("outside",) * len(exact), bits)
    differences = hand - exact
    thin = _thin(exact)
    states = []
    for k, d in enumerate(differences):
        if not d.is_finite():
            states.append("undefined" if exact[k].is_finite() else "outside")
        elif not d.contains(0):
            apart = hand_typed is None or excludes_zero(hand_typed[k] - exact_typed[k]) or not hand_typed[k].is_finite()
            apart = apart or (
                branch.literals is not None
                and cannot_agree([(d, {n: g[k] for n, g in slopes.items()})], branch.literals.radii())
            )
            states.append("differs" if apart else "typed")
        else:
            states.append("agrees" if radius(d) <= thin else "unclear")
    return PairComparison(hand, exact, tuple(states), bits, slopes)


def _thin(exact: Any) -> Any:
    """The radius below which a difference counts as none: `BITS` bits of the largest entry."""
    largest = max((abs(x).mid() for x in exact if x.is_finite()), default=arb(0))
    return largest * arb(2) ** -BITS


def excludes_zero(x: Any) -> bool:
    return bool(x.is_finite()) and not x.contains(0)


def radius(x: Any) -> Any:
    """An upper bound of a ball's radius."""
    if hasattr(x, "rad"):
        return x.rad()
    return max(x.real.rad(), x.imag.rad(), key=float)


# ------------------------------------------------------------------------------------------------ data


def with_data(branch: Branch, point: Mapping[str, Any], free: Sequence[str]) -> Program:
    """The branch's Program with every input that is not free replaced by its value: data are data."""
    steps = list(branch.program.steps)
    for name, i in branch.program.inputs.items():
        if name not in free:
            steps[i] = replace(steps[i], op="constant", params=Constant(np.asarray(point[name])), args=())
    inputs = {n: i for n, i in branch.program.inputs.items() if n in free}
    return replace(branch.program, steps=tuple(steps), inputs=inputs)
