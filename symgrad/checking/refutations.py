"""What stands with a refutation: the simplest witness, and the constraint under which the claim would be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

from symgrad.checking.comparison import Branch, Pair, PairComparison, PointComparison, cannot_agree, compare_at
from symgrad.checking.exploration import Findings, branch_at, clear, comparison_at, is_the_hands_own
from symgrad.checking.verdicts import Refuted, Witness, as_entry
from symgrad.errors import SymgradError, UserCodeFailed
from symgrad.evaluation.balls import array_of
from symgrad.evaluation.residues import certificate
from symgrad.indices.terms import Fact, Symmetric
from symgrad.ops.row import precision
from symgrad.problem.constraints import beside_transposed, impose, settle, standard_facts, written
from symgrad.problem.definedness import branches_on
from symgrad.problem.question import Problem
from symgrad.problem.sampling import beside, directions, neighbours, nice_points
from symgrad.program.program import Program, Step

# ----------------------------------------------------------------------------------------------------------- witnesses
# Refutations: the simplest witness of a difference.

_ROWS = 512  # differences that one number for each typed constant has to explain
_ENTRIES = 64  # of a gradient that are looked at
_WAYS = 8  # beside a point, on which code is run
_BESIDE = 3  # directions in which a missing value is looked for beside a point


def refute(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> list[Pair]:
    """Refute the pairs that differ at a generic point (inside the domain, off every kink); return the others."""
    rest = []
    for pair in pairs:
        looks = [(b, s) for b, s in found.looks if not s.ties or is_the_hands_own(b, s)]
        witnesses = [
            w
            for branch, seen in looks
            if (w := witness_of(seen, pair)) is not None and not is_a_gap(problem, branch, seen, pair)
        ]
        here = witness_of(found.at_user_point, pair, own=True)
        if here is not None and here.reason == "differs" and _tells(problem, found, pair):
            witnesses.insert(0, here)
        if not witnesses:
            rest.append(pair)
            continue
        simple = simplest(problem, found, pair) if problem.shown else None
        found.verdicts[pair.name] = Refuted(simple or witnesses[0], tuple(witnesses[:1] if simple else witnesses[1:2]))
    return rest


def _tells(problem: Problem, found: Findings, pair: Pair) -> bool:
    """Whether a difference at the user's own point is one of the formulas: no edge is there, or none but comparisons
    that the model needs in order to have a value, ``assert x == 0.5``.  Then there is nothing beside the point that its
    derivative could be the limit of.  A kink there, of what the comparison rests on, is one all the same."""
    seen, program = found.at_user_point, found.own.program
    if not seen.ties:
        return True
    rests_on = set(program.needed([i for i in (found.own.model, pair.hand, pair.exact) if i is not None]))
    if not all(tie.op in ("eq", "ne") or rests_on.isdisjoint(tie.args) for tie in seen.ties):
        return False
    inputs = problem.inputs
    return all(_raises(problem, beside(inputs, way, problem.dtypes)) for way in directions(inputs, _WAYS, problem.seed))


def _raises(problem: Problem, point: Mapping[str, Any]) -> bool:
    try:
        problem.model.run(point, problem.dtypes)
    except UserCodeFailed:
        return True
    return False


def no_number_fits(found: Findings, pair: Pair) -> Witness | None:
    """A point where the two differ by what was typed with few digits, if no numbers that round to it make them equal
    at all points; else None."""
    groups: dict[int, list[tuple[Branch, PointComparison]]] = {}
    for branch, seen in clear(found):
        if branch.literals is not None and pair.name in seen.views:
            groups.setdefault(id(branch), []).append((branch, seen))
    for looks in groups.values():
        branch = looks[0][0]
        assert branch.literals is not None
        rows = []
        for _, seen in looks:
            view = seen.views[pair.name]
            near = [k for k, s in enumerate(view.states) if s in ("typed", "agrees")][:_ENTRIES]
            rows += [(view.hand[k] - view.exact[k], {n: g[k] for n, g in view.slopes.items()}) for k in near]
        with precision(256):
            if cannot_agree(rows[:_ROWS], branch.literals.radii()):
                return next((w for _, s in looks if (w := witness_of(s, pair, states=("typed",))) is not None), None)
    return None


def witness_of(
    seen: PointComparison, pair: Pair, *, own: bool = False, states: Sequence[str] = ("differs", "undefined")
) -> Witness | None:
    view = seen.views.get(pair.name)
    if view is None or view.state not in states:
        return None
    shape = pair.shape
    state = view.state
    k = _clearest(view, view.entries(state))
    return Witness(
        seen.point,
        as_entry(k, shape),
        *digits_apart(view.hand[k], view.exact[k]),
        "undefined" if state == "undefined" else "differs",
        middle(view.hand[k]),
        middle(view.exact[k]),
        own,
    )


def _clearest(view: PairComparison, entries: list[int]) -> int:
    """The entry whose two values differ most, relative to their size."""

    def gap(k: int) -> float:
        h, e = view.hand[k], view.exact[k]
        if not h.is_finite():
            return np.inf
        size = abs(h).mid() + abs(e).mid()
        return float(abs(h - e).mid() / size) if size > 0 else 0.0  # in balls: sizes may be beyond floats

    best = max(gap(k) for k in entries)
    return next(k for k in entries if gap(k) >= 0.5 * best)


def simplest(problem: Problem, found: Findings, pair: Pair) -> Witness | None:
    """The first of the simple points that shows the difference, or else that only one side has a value around it."""
    lacking: Witness | None = None
    moving = branches_on(found.own.program, problem.inputs.free)
    for point in nice_points(problem.inputs, 24, problem.seed):
        try:
            if moving:
                branch, seen = comparison_at(problem, point, found.branches)
            else:
                branch, seen = found.own, compare_at(found.own, point, problem.inputs.free)
        except SymgradError:
            continue
        if seen.ties:
            continue
        here = witness_of(seen, pair)
        if here is not None and here.reason == "differs":
            return here
        if here is not None and lacking is None and _lacks_around(problem, branch, point, pair):
            lacking = here
    return lacking


def is_a_gap(problem: Problem, branch: Branch, seen: PointComparison, pair: Pair) -> bool:
    """Whether the hand formula has no value at a point alone, where the derivative has one, and has one beside it."""
    lacks = pair.name in seen.views and seen.views[pair.name].state == "undefined"
    return lacks and not _lacks_around(problem, branch, seen.point, pair)


def _lacks_around(problem: Problem, branch: Branch, point: Mapping[str, Any], pair: Pair) -> bool:
    """Whether the hand formula has no value beside the point either: at a point alone it may be a limit."""
    for k in range(_BESIDE):
        rng = np.random.default_rng((problem.seed, 4, k))
        with precision(640):
            tiny = arb(2) ** -90
            noise = {n: rng.standard_normal(np.shape(point[n])) for n in problem.inputs.free}
            shift = {
                n: array_of([arb(float(x)) * tiny for x in x_.reshape(-1)], np.shape(x_)) for n, x_ in noise.items()
            }
        near = witness_of(compare_at(branch, point, problem.inputs.free, offset=shift), pair)
        if near is None or near.reason != "undefined":
            return False
    return True


def shape_witness(problem: Problem, pair: Pair) -> Witness:
    return Witness(problem.inputs.point, None, f"shape {list(pair.hand_shape)}", f"shape {list(pair.shape)}", "shape")


def digits_apart(hand: Any, exact: Any) -> tuple[str, str]:
    """Two balls to as many digits as they need to be told apart, and four more; at least six."""
    for digits in range(6, 60, 4):
        a, b = decimal(hand, digits), decimal(exact, digits)
        if a != b:
            return a, b
    return decimal(hand, 60), decimal(exact, 60)


def decimal(x: Any, digits: int) -> str:
    """A ball's middle to this many significant digits; "undefined" where it has none."""
    if not x.is_finite():
        return "undefined"
    if hasattr(x, "imag") and type(x).__name__ == "acb":
        sign = "-" if x.imag < 0 else "+"
        return f"{decimal(x.real, digits)} {sign} {decimal(abs(x.imag), digits)}i"
    if x.contains(0):
        return "0"  # no digit is certain
    text = x.mid().str(digits, radius=False)
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return text


def middle(x: Any) -> float | complex:
    if not x.is_finite():
        return float("nan")
    return complex(x.mid()) if type(x).__name__ == "acb" else float(x.mid())


# ------------------------------------------------------------------------------------------------- missing assumptions
# Wrong in general, and true under a constraint that nobody stated: probabilities that sum to one, symmetric matrices.
#
# The standard constraints on the inputs are tried one after another.  One is named only if the two sides are then shown
# equal: by proof, or modulo random primes, on the whole Program with the constraint imposed.

_WORK = 20_000  # entries of all steps, in a Program for which constraints are tried
_FACTS = 8
_LOOKS = 2


def find_missing_assumption(problem: Problem, found: Findings) -> None:
    """Note with each refutation the standard constraint under which the claim would be true, if there is one."""
    work = found.own.program.entries()
    looks = [found.at_user_point, *(s for b, s in found.looks if b is found.own)]
    at_own, here = (
        {n for s in seen for n, view in s.views.items() if view.state in ("differs", "undefined")}
        for seen in (looks[:1], looks)
    )
    wrong = {n for n, v in found.verdicts.items() if isinstance(v, Refuted) and v.guard is None}
    refuted = [p for p in found.own.pairs if p.hand is not None and p.name in wrong]
    open_pairs = [p for p in refuted if p.name in here]  # what differs on another branch is not about the inputs
    if problem.values_only or problem.inputs.facts or work > _WORK or not open_pairs:
        return
    own, point = _with_data_as_inputs(found.own, problem.inputs.point)
    steps = {n: own.program.steps[i] for n, i in own.program.inputs.items()}
    shapes = {n: s.shape for n, s in steps.items() if s.dtype in ("float64", "float32", "float16", "bfloat16")}
    inputs, given = found.own.program.inputs, problem.inputs.given
    single = standard_facts({n: shape for n, shape in shapes.items() if shape and max(shape) > 1})
    symmetric = tuple(f for f in single if isinstance(f, Symmetric))
    for facts in (*((f,) for f in single[:_FACTS]), *([symmetric] if 1 < len(symmetric) <= _FACTS else [])):
        for pair in _agreeing(problem, found.own, own, point, facts, open_pairs):
            verdict = found.verdicts[pair.name]
            assert isinstance(verdict, Refuted)
            assert pair.hand is not None
            if certificate(own.program, [(pair.hand, pair.exact)], seed=problem.seed).equal is True:
                continue  # the two differ by a sign that residues do not see, and not for want of the constraint
            if not _holds_under(own.program, pair, facts, problem.seed):
                continue
            for fact in facts if len(facts) > 1 else ():  # those that are needed
                fewer = tuple(f for f in facts if f is not fact)
                facts = fewer if _holds_under(own.program, pair, fewer, problem.seed) else facts
            said = ", ".join(map(written, facts)) if all(f.name in inputs for f in facts) else ""
            # shares that do not sum to one may be meant to; a matrix that is not symmetric is no other by mistake
            told = [f for f in facts if f.name in given or f.name not in inputs]
            broken = any(f.name in problem.wrt or isinstance(f, Symmetric) for f in told) and pair.name in at_own
            is_meant = not broken and all(_may_be_meant(own, f, problem.seed) for f in facts)
            condition = str(facts[0]) if len(facts) == 1 else _are_symmetric(facts)
            found.verdicts[pair.name] = replace(verdict, true_if=(condition, said), is_meant=is_meant)
            open_pairs = [p for p in open_pairs if p is not pair]


def _holds_under(program: Program, pair: Pair, facts: tuple[Fact, ...], seed: int) -> bool:
    """Whether the two are equal where the inputs meet these constraints, modulo random primes."""
    assert pair.hand is not None
    imposed, place = impose(program, facts)
    return certificate(imposed, [(place[pair.hand], place[pair.exact])], seed=seed).equal is True


def _are_symmetric(facts: Sequence[Fact]) -> str:
    names = [f.name for f in facts]
    return f"{', '.join(names[:-1])} and {names[-1]} are symmetric"


def _may_be_meant(own: Branch, fact: Fact, seed: int) -> bool:
    """Whether the model does not tell the matrix from its transpose, as ``x'Ax`` and ``log det A`` do not: of another
    matrix nobody thinks as symmetric who does not say so, and a transpose that is missing is a slip.
    """
    if not isinstance(fact, Symmetric):
        return True
    program, both = beside_transposed(own.program, own.model, fact.name)
    return certificate(program, [both], seed=seed).equal is True


def _with_data_as_inputs(own: Branch, point: Mapping[str, Any]) -> tuple[Branch, dict[str, Any]]:
    """The branch with the arrays of numbers that the code itself holds under a name as inputs; and their values."""
    program, values = own.program, dict(point)
    steps, inputs = list(program.steps), dict(program.inputs)
    for b in program.bindings:
        i = b.step
        while program.steps[i].op in ("name", "cast"):
            i = program.steps[i].args[0]
        step = program.steps[i]
        if step.op != "constant" or step.params.value.size < 2 or step.is_complex or b.name in inputs:
            continue
        values[b.name] = np.asarray(step.params.value, dtype=np.float64)
        steps[i] = replace(step, op="input", args=(), params=b.name)
        inputs[b.name] = i
        for k in range(i + 1, len(steps)):  # the other side's step for the same numbers
            if steps[k].op == "constant" and _same_numbers(steps[k], step):
                steps[k] = replace(steps[k], op="name", args=(i,), params=None)
    return replace(own, program=replace(program, steps=tuple(steps), inputs=inputs)), values


def _same_numbers(a: Step, b: Step) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a.params.value, b.params.value)


def _agreeing(
    problem: Problem, code: Branch, own: Branch, given: Mapping[str, Any], facts: tuple[Fact, ...], pairs: list[Pair]
) -> list[Pair]:
    """The pairs that differ at none of a few points that meet the facts; ``own`` is the branch with data as inputs."""
    inputs = replace(problem.inputs, facts=facts, point=settle(given, facts))
    alive, moving = list(pairs), branches_on(own.program, inputs.free)
    for point in (inputs.point, *neighbours(inputs, _LOOKS, problem.seed)):
        if not alive:
            break
        try:
            branch = branch_at(problem, point, (code,)) if moving else code
        except SymgradError:
            return []
        if branch is not code:
            return []
        views = compare_at(own, point, inputs.free).views
        alive = [p for p in alive if views[p.name].state in ("agrees", "outside")]  # log det has no value at many
    return alive
