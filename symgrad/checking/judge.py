"""The verdict of each claim: points, branches, witnesses, kinks, proofs.

The order is the one that gives an answer soonest: the user's own point, a few generic points and the other sides of
the code's choices (a difference there is a refutation), kinks at the user's own point, a proof for each branch that was
reached, and only where no proof is found, more points.  Residues choose what a proof is tried of; where there is none,
they are the evidence.  Budgets count work, never seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.checking.all_sizes import judge_all_sizes
from symgrad.checking.branch_facts import said_by_choices
from symgrad.checking.comparison import BITS, Branch, Pair, PairComparison, compare_at, with_data
from symgrad.checking.coverage import cover
from symgrad.checking.crossing import cross, cross_kinks
from symgrad.checking.exploration import Findings, branch_of_runs, clear, explore_points, inside, kept_if_ended, rerun
from symgrad.checking.guarding_numbers import find_guards
from symgrad.checking.held_data import refute_coincidences
from symgrad.checking.kinks import at_the_point, with_limits
from symgrad.checking.limits import find_limits
from symgrad.checking.numeric_claims import COARSEST, is_number, is_transpose, measure
from symgrad.checking.parts import is_huge, is_large, look_in_part
from symgrad.checking.proof_domains import domain_of_proofs, domain_of_steps
from symgrad.checking.refutations import (
    digits_apart,
    find_missing_assumption,
    is_a_gap,
    middle,
    no_number_fits,
    refute,
    shape_witness,
    simplest,
)
from symgrad.checking.regions import described
from symgrad.checking.shortcuts import with_shortcuts
from symgrad.checking.size_theorems import prove_by_sizes
from symgrad.checking.verdicts import COMPUTED, TYPED, Agrees, Proved, Refuted, Undecided, Verdict, Witness, as_entry
from symgrad.errors import SymgradError
from symgrad.evaluation.balls import DATA_UNITS
from symgrad.evaluation.residues import EFFORT as RESIDUES
from symgrad.evaluation.residues import Certificate, certificate
from symgrad.problem.constraints import impose, misses, parse_assuming, settle
from symgrad.problem.definedness import branches_on
from symgrad.problem.question import Problem
from symgrad.problem.sampling import mirrored
from symgrad.program.program import Program
from symgrad.program.selection import without_infinities
from symgrad.proving.proof import EFFORT, Condition, Proof, needs, prove, prove_likely, under

_SIGNS = 6  # numbers whose signs may be what is missing
_SLIGHT = 1e-6  # of a value: a difference that may look like rounding
_NEAR = 1e-5  # beside the largest entry: what rounding in single precision, and printed digits, may hide
_FIRST = 3  # generic points that are looked at before a proof is tried
_BRANCHING = 12  # the same, where the code chooses between branches: each is to be reached
_SHORT = 600  # entries of a formula whose proof is tried although residues do not show it
_SAID = 8  # steps of a condition that a proof is told of, and such conditions
_BRANCHES = 16  # branches that are proved one by one
_FAITHFUL = frozenset("input constant name cast add sub mul div neg powi pick scatter matmul exp tanh sigmoid".split())


def judge(problem: Problem) -> Findings:
    """Judge every claim of the problem, under its constraints or a missing one, and for all sizes where they have
    names.

    Raises `LostValue` if the code at a second point shows that a value was lost on the way.
    """
    return with_shortcuts(_judged, problem)


def _judged(problem: Problem) -> Findings:
    found = decide(problem)
    with kept_if_ended(found):
        if problem.pasted:
            _by_numbers(problem, found)
        _find_what_is_missing(problem, found)
        found.sizes = judge_all_sizes(problem, found)
    return found


def as_data_mean(problem: Problem, found: Findings) -> tuple[Problem, Findings]:
    """The question and its verdicts under a constraint that given data meet up to their rounding, if all is right then:
    rows of shares that a softmax gave sum to one but for an ulp, and the numbers meant by them do.  Else as they are.
    """
    refuted = [v for v in found.verdicts.values() if isinstance(v, Refuted)]
    texts = {v.true_if[1] for v in refuted if v.true_if is not None and v.true_if[1]}
    if len(texts) != 1 or any(v.true_if is None for v in refuted):
        return problem, found
    inputs = problem.inputs
    ranks = {n: np.ndim(v) for n, v in inputs.point.items()}
    facts = parse_assuming(tuple(texts), tuple(inputs.point), ranks).facts
    data = inputs.given - set(inputs.free)
    if any(f.name not in data or misses(f.name, np.asarray(inputs.point[f.name]), f) for f in facts):
        return problem, found
    meant = replace(problem, inputs=replace(inputs, facts=facts, point=settle(inputs.point, facts)), first=None)
    again = judge(meant)
    if any(isinstance(v, Refuted) for v in again.verdicts.values()):
        return problem, found
    again.notes += [f"as given, {f} but for rounding; that was taken to be exact" for f in facts]
    return meant, again


def decide_with_conditions(problem: Problem) -> Findings:
    """As `decide`; what is refuted says under which constraint it would be true."""
    found = decide(problem)
    _find_what_is_missing(problem, found)
    return found


def _find_what_is_missing(problem: Problem, found: Findings) -> None:
    find_missing_assumption(problem, found)
    _find_missing_signs(problem, found)


def _find_missing_signs(problem: Problem, found: Findings) -> None:
    """Note with each refutation of formulas in roots, powers and logarithms of numbers which of these must be positive,
    if it is true then: ``\\sqrt{L/g} = \\sqrt{L}/\\sqrt{g}`` is, of lengths and of accelerations."""
    steps = found.own.program.steps
    open_ = {n for n, v in found.verdicts.items() if isinstance(v, Refuted) and v.true_if is None}
    numbers = sorted(n for n, i in found.own.program.inputs.items() if not steps[i].shape and not steps[i].is_complex)
    known = problem.inputs.bounds
    names = [n for n in numbers if n in problem.inputs.free and n not in known][: _SIGNS + 1]
    has_signs = not found.own.choices and any(s.op in ("sqrt", "pow", "log", "cbrt") for s in steps)
    if problem.values_only or not open_ or not names or len(names) > _SIGNS or not has_signs:
        return
    if any(np.any(np.asarray(problem.inputs.point[n]) <= 0) for n in names if n in problem.inputs.given):
        return
    true = _true_where_positive(problem, names) & open_
    for name in true:
        needed = list(names)
        for n in names:
            without = [x for x in needed if x != n]
            if without and name in _true_where_positive(problem, without):
                needed = without
        verdict = found.verdicts[name]
        assert isinstance(verdict, Refuted)
        said = ", ".join(f"{n} > 0" for n in needed)
        found.verdicts[name] = replace(verdict, true_if=(said, said))


def _true_where_positive(problem: Problem, names: Sequence[str]) -> set[str]:
    """The claims that are true where these inputs are positive."""
    point = {n: np.abs(v) if n in names else v for n, v in problem.inputs.point.items()}
    inputs = replace(problem.inputs, point=point, bounds={**problem.inputs.bounds, **dict.fromkeys(names, (0.0, None))})
    try:
        found = decide(replace(problem, inputs=inputs, first=None))
    except SymgradError:
        return set()
    return {n for n, v in found.verdicts.items() if v.kind in ("proved", "agrees")}


def decide(problem: Problem) -> Findings:
    """The verdict of each claim at the problem's own sizes.  Raises what `judge` raises."""
    found = _looked_at_own_point(problem)
    with kept_if_ended(found):
        _at_own_sizes(problem, found)
        refute_coincidences(problem, found)
        find_limits(problem, found)
        find_guards(problem, found)
        if any(isinstance(v, Refuted) for v in found.verdicts.values()):
            found.made_whole(problem.inputs.free)
        found.notes += _transposed(problem, found)
        found.notes += _elsewhere(found)
        found.notes += _beyond_rounding(found)
    return found


def right_here_alone(found: Findings) -> tuple[str, ...]:
    """The refuted claims whose values at the user's own point are as near to the truth as rounding leaves them."""
    out = []
    for pair in found.own.pairs:
        view = found.at_user_point.views.get(pair.name)
        mine = found.own.hand_run.values.get(pair.name)
        verdict = found.verdicts[pair.name]
        if not isinstance(verdict, Refuted) or verdict.guard is not None or view is None or mine is None:
            continue
        truth = np.array([middle(x) for x in view.exact])
        if np.size(mine) == truth.size:
            with np.errstate(all="ignore"):
                far = np.abs(np.reshape(mine, -1) - truth)
                if np.all(far <= _NEAR * np.max(np.abs(truth))):
                    out.append(pair.name)
    return tuple(out)


def _by_numbers(problem: Problem, found: Findings) -> None:
    """Judge what depends on no input at the point alone that it may have been computed for."""
    bare = [n for n, v in found.verdicts.items() if v.kind == "refuted" and _is_one_number(found, n)]
    if bare:
        again = decide(replace(problem, values_only=True))
        found.verdicts |= {n: again.verdicts[n] for n in bare}
        found.notes += [n for n in again.notes if n not in found.notes]
        found.notes += [
            f"What is meant as the gradient for {n} is a number in the script, that does not depend on the inputs: it "
            "was judged at the script's own point alone."
            for n in bare
        ]
    found.notes += [
        f"{name}: at the script's own point yours is right; if a number in it stands for an input, write the input."
        for name in right_here_alone(found)
    ]


def _is_one_number(found: Findings, name: str) -> bool:
    """Whether a hand formula is the same number on all branches: not one that the code decides."""
    own = found.own.hand_run.values[name]
    runs = [b.hand_run for b in found.branches]
    return all(is_number(r.program, r.program.outputs[name]) and np.array_equal(r.values[name], own) for r in runs)


def _transposed(problem: Problem, found: Findings) -> Iterator[str]:
    """The gradients that are right but for their layout."""
    near = [s.point for b, s in found.looks if b is found.own and inside(s)][:_FIRST]
    for pair in found.own.pairs:
        if not isinstance(found.verdicts[pair.name], Refuted):
            continue
        bare = problem.values_only and is_number(
            found.own.hand_run.program, found.own.hand_run.program.outputs[pair.name]
        )
        numbers = found.own.hand_run.values[pair.name] if bare else None
        points = [problem.inputs.point, *(() if bare else near)]
        if is_transpose(found.own, pair, points, problem.inputs.free, numbers):
            yield f"{pair.name}: yours is exactly the transpose of the derivative, which has shape {list(pair.shape)}."


def _elsewhere(found: Findings) -> Iterator[str]:
    """The gradients that are wrong on another branch of the code than the one that the user's own point takes."""
    for pair in found.own.pairs:
        verdict = found.verdicts[pair.name]
        own = [found.at_user_point, *(s for b, s in found.looks if b is found.own and not s.ties)]
        views = [s.views[pair.name].state for s in own if pair.name in s.views]
        if isinstance(verdict, Refuted) and len(found.branches) > 1 and views and set(views) <= {"agrees", "outside"}:
            found.verdicts[pair.name] = replace(verdict, elsewhere=True)
            yield (
                f"{pair.name}: on the branch of the code that your own point takes, the two agree at every point that "
                "was looked at; they differ on another branch."
            )


def _beyond_rounding(found: Findings) -> Iterator[str]:
    """The gradients that are wrong by so little that what is said of the data's own rounding decides it."""
    for name, verdict in found.verdicts.items():
        if isinstance(verdict, Refuted) and verdict.witness.reason == "differs" and found.own.rounded:
            mine, exact = verdict.witness.hand_value, verdict.witness.exact_value
            off = abs(mine - exact) / max(abs(mine), abs(exact))
            if off <= _SLIGHT:
                yield (
                    f"{name}: the two differ by {off:.1g} of their size. The rounding of data accounts for less: "
                    "numbers that were computed outside of the formulas are taken to be off by at most "
                    f"{DATA_UNITS} units of rounding of the largest entry of their array."
                )


def _looked_at_own_point(problem: Problem) -> Findings:
    point = problem.inputs.point
    own, told = branch_of_runs(problem, *(problem.runs(point) if problem.first is None else problem.first))
    here = look_in_part(own, point) if is_huge(own) else None
    return Findings(own, here or compare_at(own, point, problem.inputs.free), [own], notes=told)


def _at_own_sizes(problem: Problem, found: Findings) -> None:
    own, open_pairs = found.own, []
    for pair in own.pairs:
        if pair.hand is None:
            found.verdicts[pair.name] = Refuted(shape_witness(problem, pair))
        else:
            open_pairs.append(pair)
    if problem.values_only:
        numbers = [p for p in open_pairs if is_number(own.hand_run.program, own.hand_run.program.outputs[p.name])]
        _numbers(problem, found, numbers)
        open_pairs = [p for p in open_pairs if p not in numbers]
        problem = replace(problem, values_only=False)
    if not open_pairs:
        return
    stream = explore_points(problem, found)
    found.in_part = is_large(own)
    for _ in range(_FIRST if problem.pasted else 1):  # a script is read at other points, and not at other sizes
        next(stream, None)
    theorems = prove_by_sizes(problem, found, open_pairs)
    found.notes += theorems.notes
    if not theorems.covers or any(_asks_more(own, p) for p in open_pairs):
        found.made_whole(problem.inputs.free)
    elif found.at_user_point.is_in_part:
        found.notes.append(
            "the arrays have so many entries that only a few were looked at: the proof is of all of them, and their "
            "rounding was not measured."
        )
    if not theorems.covers:
        count = _BRANCHING if branches_on(own.program, problem.inputs.free) else _FIRST
        for _ in range(count - len(found.looks)):
            next(stream, None)
        cross(problem, found)
    open_pairs = refute(problem, found, open_pairs)
    open_pairs = at_the_point(problem, found, open_pairs)
    asked = open_pairs
    found.verdicts |= {p.name: theorems.proved[p.name] for p in asked if p.name in theorems.proved}
    open_pairs = _prove(problem, found, [p for p in asked if p.name not in theorems.proved])
    narrow = [p for p in asked if p not in open_pairs and _asks_more(own, p)]
    if open_pairs or narrow:
        cross_kinks(problem, found)
        for _ in stream:
            pass
        if narrow:
            _mirror(problem, found)
        refute(problem, found, narrow)
        open_pairs = refute(problem, found, open_pairs)
        for pair in open_pairs:
            found.verdicts[pair.name] = _without_proof(problem, found, pair)
    cover(problem, found)
    if any(seen.principal for _, seen in found.looks):
        found.notes.append(
            "the hand formula has no real value at some of the points, where its complex value is the derivative: "
            "it was judged where it is real."
        )


def _numbers(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> None:
    """Judge values of which nothing else is known, at the point that they are for."""
    here = found.at_user_point
    tensors = {
        n: torch.as_tensor(np.asarray(problem.inputs.point[n])).to(getattr(torch, k)) for n, k in problem.dtypes.items()
    }
    tensors = {n: tensors.get(n, torch.as_tensor(problem.inputs.point[n])) for n in found.own.program.inputs}
    for pair in pairs:
        name = problem.labels.get(pair.name, pair.name)
        view = with_limits(problem, found, pair)
        written = found.at_user_point.views[pair.name].exact
        limits = [k for k, x in enumerate(written) if not x.is_finite() and view.exact[k].is_finite()]
        here = replace(here, views={**here.views, pair.name: view})
        if (k := _no_number(problem, view)) is not None:
            texts = digits_apart(view.hand[k], view.exact[k])
            at = as_entry(k, pair.shape)
            values = middle(view.hand[k]), middle(view.exact[k])
            found.verdicts[pair.name] = Refuted(Witness(here.point, at, *texts, "undefined", *values, True))
            continue
        if any(not x.is_finite() for x in (*view.exact, *view.hand)):
            absent = any(not x.is_finite() for x in view.exact)
            what = "the derivative has no value at your point" if absent else "a number is not finite"
            found.verdicts[pair.name] = Undecided(f"{what}, and numbers tell of no other.", ("balls",))
            continue
        result = measure(found.own, here, pair, found.own.hand_run.values[pair.name], tensors, limits)
        kinks = len(found.kinks)
        if result.entry is not None and (here.ties or any(s.op in ("abs", "sign") for s in found.own.program)):
            at_the_point(problem, found, [pair])
        if len(found.kinks) > kinks:  # between the slopes on its sides: a convention
            found.verdicts[pair.name] = Agrees(1, BITS, told_to=result.resolution, faint=result.faint)
        elif result.entry is not None:
            k = result.entry
            texts = digits_apart(view.hand[k], view.exact[k])
            values = middle(view.hand[k]), middle(view.exact[k])
            found.verdicts[pair.name] = Refuted(
                Witness(here.point, as_entry(k, pair.shape), *texts, "differs", *values, True)
            )
            found.notes.append(
                f"{name}: the number is off by {result.off:.2g}, and rounding, in {result.dtype} and to the "
                f"digits that were typed, accounts for at most {result.allowed:.2g} there, unless the computation "
                f"loses its digits{'' if problem.opaque else ', which only the code would tell'}."
            )
            if result.wrong is not None and result.wrong.size > 1:
                found.notes.append(f"{name}: what is off is {described(result.wrong)}.")
        elif result.resolution > COARSEST:
            found.verdicts[pair.name] = Undecided(
                f"in {result.dtype} rounding may hide a difference of {min(result.resolution, 1.0):.0%} of the value "
                f"from whoever sees the numbers alone{'' if problem.opaque else ': pass the code'}.",
                ("rounding",),
            )
        elif result.doubt:
            found.verdicts[pair.name] = Undecided(
                f"a number is off by {result.doubt:.2g} of its value, which is more than computing the derivative in "
                f"{result.dtype} accounts for, and less than a way that loses digits may lose"
                f"{'' if problem.opaque else ': pass the code'}.",
                ("rounding",),
            )
        elif not result.decided:
            found.verdicts[pair.name] = Undecided("too many numbers differ by more than a few ulps.", ("rounding",))
        else:
            found.verdicts[pair.name] = Agrees(1, BITS, told_to=result.resolution, faint=result.faint)


def _no_number(problem: Problem, view: PairComparison) -> int | None:
    """An entry that is no number, where the derivative is one that its dtype holds."""
    largest = min((float(torch.finfo(getattr(torch, k)).max) for k in problem.dtypes.values()), default=np.inf)
    for k, (mine, exact) in enumerate(zip(view.hand, view.exact, strict=True)):
        if exact.is_finite() and not mine.is_finite() and abs(middle(exact)) < largest:
            return k
    return None


def _mirror(problem: Problem, found: Findings) -> None:
    """Look where inputs have other signs, in search of points at which one side has no value."""
    for point in mirrored(problem.inputs, problem.seed):
        there = rerun(problem, found, point)
        if not isinstance(there, SymgradError):
            branch, guards = there
            found.looks.append((branch, compare_at(branch, point, problem.inputs.free, guards=guards)))


# ------------------------------------------------------------------------------------------------ proving


def _asks_more(branch: Branch, pair: Pair) -> bool:
    """Whether the hand formula may lack a value where the model and its derivative have one: a proof is for the points
    where both have one, and a point where only one does refutes."""
    assert pair.hand is not None
    mine = domain_of_steps(branch.program, [pair.hand])
    return bool(mine) and not mine <= domain_of_steps(branch.program, [branch.model, pair.exact])


def _prove(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> list[Pair]:
    """Prove what can be proved, in every branch that was reached; return the pairs that are left."""
    reached = _reached(found)
    if len(reached) > _BRANCHES:
        return list(pairs)
    links: dict[str, list[tuple[Program, Proof]]] = {p.name: [] for p in pairs}
    alive = {p.name for p in pairs}
    for branch in reached:
        mine = [p for p in branch.pairs if p.name in alive and p.hand is not None]
        for pair, shown in zip(mine, _proofs(problem, branch, mine), strict=True):
            if shown is None:
                alive.discard(pair.name)
            else:
                proof, for_all_data = shown
                links[pair.name].append((branch.program, proof))
                found.for_given_data |= set() if for_all_data else {pair.name}
    for pair in pairs:
        if pair.name in alive:
            proofs = links[pair.name]
            found.verdicts[pair.name] = Proved(tuple(p for _, p in proofs), domain_of_proofs(proofs))
    return [p for p in pairs if p.name not in alive]


def _proofs(problem: Problem, branch: Branch, pairs: Sequence[Pair]) -> list[tuple[Proof, bool] | None]:
    """A proof for each pair or None: first for all values of the data too, then for the data as given; and which.

    What residues do not show has a smaller budget: a search for a proof of what is false costs the most, but residues
    know less of roots and powers than proofs do.
    """
    mine = [p for p in pairs if p.hand is not None]
    goals = [(p.hand, p.exact) for p in mine if p.hand is not None]
    proofs: list[tuple[Proof, bool] | None] = [None] * len(goals)
    effort, residues = int(EFFORT * problem.effort), int(RESIDUES * problem.effort)
    programs = _programs(problem, branch)
    facts = problem.inputs.facts
    assumptions = ((), facts) if facts else ((),)
    for assumed, of_branch, program in itertools.product(assumptions, (False, True), programs):
        open_goals = [k for k, proof in enumerate(proofs) if proof is None]
        if not open_goals:
            break
        made, place = _algebraic(program, assumed)
        there = [(place[a], place[b]) for a, b in goals]
        where = needs(made, place[branch.model])
        stated = (*(place[s] for s in branch.stated), *_signs(made, where))
        if of_branch:
            made, said = said_by_choices(made, problem.inputs.free, [i for k in open_goals for i in there[k]])
            if not said:
                continue
            stated = (*stated, *said)
        open_pairs = [there[k] for k in open_goals]
        found = prove_likely(made, open_pairs, effort=effort, stated=stated, entries=residues)
        for k, proof in zip(open_goals, found, strict=True):
            if proof is False and made.entries(made.needed(there[k])) <= _SHORT:
                proof = prove(made, *there[k], effort=effort, stated=stated)
            if isinstance(proof, Proof):
                whole = replace(
                    proof, conditions=(*where, *proof.conditions), program=_named(branch, made, place, mine[k])
                )
                told = under(whole, assumed, place)
                proofs[k] = None if told is None else (told, program is branch.program)
    return proofs


def _named(branch: Branch, made: Program, place: Sequence[int], pair: Pair) -> Program:
    """The Program of a proof, with what it is told of by name: the model, and what it is differentiated by."""
    named = {"model": branch.model, "by": branch.program.outputs.get(f"model.at:{pair.name}")}
    if named["by"] is None:
        named["by"] = branch.program.inputs.get(pair.name)
    named |= {f"asked {k}": i for k, i in enumerate(branch.stated)}
    return made.with_outputs({name: place[i] for name, i in named.items() if i is not None})


def _signs(program: Program, where: Sequence[Condition]) -> list[int]:
    """What must not be negative for the model to have a value, where that is said in a few steps: outside of this
    domain nothing is claimed, so that a proof may use it."""
    steps = [c.step for c in where if c.what in ("is positive", "is not negative") and c.step is not None]
    return [i for i in steps if len(program.needed([i])) <= _SAID][:_SAID]


def _algebraic(program: Program, facts: Sequence[Any]) -> tuple[Program, list[int]]:
    """The Program with what was declared imposed on it and masks written as zeros, and where each step went."""
    plain, where = without_infinities(program)
    made, place = impose(plain, facts)
    return made, [place[i] for i in where]


def _without_proof(problem: Problem, found: Findings, pair: Pair) -> Verdict:
    """Agreement at every point that was looked at, with what the residues say; or what kept it from being decided."""
    looks = [(b, s) for b, s in clear(found) if pair.name in s.views]
    gaps = [s.views[pair.name] for b, s in looks if is_a_gap(problem, b, s, pair)]
    views = [s.views[pair.name] for _, s in looks if all(s.views[pair.name] is not v for v in gaps)]
    if gaps:
        found.notes.append(f"{pair.name}: yours has no value at some points alone, where the derivative has one.")
    if not views:
        why = found.failed[0] if found.failed else "no point of the domain was found to compare at."
        return Undecided(why, ("resampling",))
    states = {v.state for v in views} - {"outside"}
    if states & {"unclear", "undefined", "differs"}:
        bits = max(v.bits for v in views)
        return Undecided(
            f"the two could not be told apart, nor shown equal, with {bits} bits at every point.", ("balls",)
        )
    if "typed" in states and (apart := no_number_fits(found, pair)) is not None:
        found.notes.append(
            f"{pair.name}: at each point alone the two are equal for some number that rounds to what was typed, but no "
            "number makes them equal at all of the points."
        )
        return Refuted(apart)
    no_chain = f"no chain of rules was found within the budget; effort={10 * problem.effort:g} looks ten times as long"
    typed = None
    if "typed" in states:
        typed = TYPED if found.own.typed else COMPUTED
    if typed is not None:
        return Agrees(len(views), BITS, (), no_chain, typed)
    branches = _reached(found)
    mine = [next(p for p in b.pairs if p.name == pair.name) for b in branches[:_BRANCHES]]
    told = tuple(_certificate(problem, b, p) for b, p in zip(branches, mine, strict=False))
    differ = any(
        c.equal is False and not c.oracles and _is_faithful(b, p) for b, p, c in zip(branches, mine, told, strict=False)
    )
    if not all(told) and (why := _doubt(views, differ)) is not None:
        simple = simplest(problem, found, pair)
        return Undecided(why, ("balls", "residues")) if simple is None else Refuted(simple)
    certificates = told if len(branches) <= _BRANCHES else ()
    return Agrees(len(views), BITS, certificates, no_chain)


def _reached(found: Findings) -> list[Branch]:
    """The branches of the code that were looked at off every edge, the user's own point among these."""
    here = [found.own] if inside(found.at_user_point) and not found.at_user_point.ties else []
    seen = [*here, *(branch for branch, _ in clear(found))]
    return [b for b in found.branches if any(b is c for c in seen)] or [found.own]


def _certificate(problem: Problem, branch: Branch, mine: Pair) -> Certificate:
    """What residues say of a pair on one branch: for any data, or else for the data as they are."""
    assert mine.hand is not None
    for program in _programs(problem, branch):
        made, place = _algebraic(program, problem.inputs.facts)
        goal = [(place[mine.hand], place[mine.exact])]
        told = certificate(made, goal, seed=problem.seed, effort=int(RESIDUES * problem.effort))
        if told:
            break
    return told


def _programs(problem: Problem, branch: Branch) -> list[Program]:
    """The branch for any data, and with the data as they were given, where there are any."""
    has_data = len(problem.inputs.free) < len(branch.program.inputs)
    return [branch.program, *([with_data(branch, problem.inputs.point, problem.inputs.free)] if has_data else [])]


def _doubt(views: Sequence[PairComparison], differ: bool) -> str | None:
    """Why agreement at every point is not enough: what residues show to differ, or an entry that was never seen."""
    if differ:
        return (
            f"the two are equal to {BITS} bits at every point, but not modulo a prime: they differ, if only by an "
            "amount too small to be seen at these points."
        )
    entries = range(len(views[0].exact))
    hidden = [k for k in entries if all(_too_small(v.hand[k], v.exact[k]) for v in views if v.exact.size > k)]
    if hidden:
        return (
            "an entry is so small beside the others at every point that its digits could not be seen, and residues "
            "did not show the two to be equal."
        )
    return None


def _is_faithful(branch: Branch, pair: Pair) -> bool:
    """Whether residues keep all that is true of this pair: no choice of sign, no number but rationals."""
    program = branch.program
    steps = [program.steps[i] for i in program.needed([pair.exact, *([] if pair.hand is None else [pair.hand])])]
    numbers = [s.params.exact for s in steps if s.op == "constant"]
    return all(s.op in _FAITHFUL for s in steps) and all(
        not isinstance(n, sp.Basic) or isinstance(n, sp.Rational) for n in numbers
    )


def _too_small(hand: Any, exact: Any) -> bool:
    """Whether two balls agree only because both hold zero, and not by being the number zero."""
    return bool(exact.contains(0) and hand.contains(0)) and not (exact == 0 and hand == 0)
