"""The verdict of each claim: points, branches, witnesses, kinks, proofs.

The order is the one that gives an answer soonest: the user's own point, a few generic points (a difference there is
a refutation), a proof for each branch reached, and only where no proof is found, more points and a residue
certificate.  Budgets count work, never seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sympy as sp
import torch

from symgrad.bare_numbers import is_number, measure
from symgrad.comparison import (
    BITS,
    Branch,
    Look,
    Pair,
    View,
    branch_of,
    look,
    only_constants_differ,
    same_structure,
    with_data,
)
from symgrad.crossing import across
from symgrad.domains import Undefined, branches_on
from symgrad.errors import LostValue, NotReproducible, SymgradError
from symgrad.evaluation.balls import precision
from symgrad.evaluation.entries import array_of
from symgrad.evaluation.residues import Certificate, certificate
from symgrad.lifting.formulas import Formula
from symgrad.lifting.functions import Run
from symgrad.program import Guard
from symgrad.proof import prove_all
from symgrad.sampling import Inputs, neighbours, nice_points, toward
from symgrad.transposes import is_transpose
from symgrad.verdict import Agrees, Kink, Proved, Refuted, Undecided, Verdict, Witness, as_entry

__all__ = ["Findings", "Problem", "judge"]

_FIRST = 3  # generic points that are looked at before a proof is tried
_BRANCHING = 12  # the same, where the code chooses between branches: each is to be reached
_SHARES = (1.0, 2.0**-3, 2.0**-7, 2.0**-12)  # how far back toward the user's point, where a point is outside
_RAYS = 8
_NEAR = 2.0**-60
_WORK = 4_000_000  # entries of balls that resampling may cost before it stops at `_FIRST` points
_BRANCHES = 8  # branches that are proved one by one
_FAITHFUL = frozenset("input constant name cast add sub mul div neg powi pick scatter matmul exp tanh sigmoid".split())
_AGAIN = 8  # runs at one point that tell whether the code is random
_CROSSINGS = 12  # comparisons whose other side is looked for


@dataclass(frozen=True, eq=False)
class Problem:
    """A model, the hand formulas of its derivatives, and where to compare them."""

    model: Formula
    hand: Formula
    inputs: Inputs
    dtypes: Mapping[str, str]
    wrt: tuple[str, ...]
    order: int = 1
    points: int = 64
    seed: int = 0
    only_here: bool = False  # the hand side is numbers: nothing can be said of other points
    first: tuple[Run, Run] | None = None  # the runs at the user's own point, where they were already made

    def runs(self, point: Mapping[str, Any]) -> tuple[Run, Run]:
        """The model and the hand formulas, run at a point."""
        return self.model.run(point, self.dtypes), self.hand.run(point, self.dtypes)

    def branch(self, point: Mapping[str, Any], known: Sequence[Branch] = ()) -> Branch:
        """Run the code at a point: the branch it takes there, one of those known if it is the same."""
        model_run, hand_run = self.runs(point)
        for branch in known:
            if branch.same_path(model_run, hand_run):
                return branch
        return branch_of(model_run, hand_run, self.wrt, self.order)


@dataclass(eq=False)
class Findings:
    """Everything that was seen."""

    own: Branch
    own_look: Look
    branches: list[Branch] = field(default_factory=list)
    looks: list[tuple[Branch, Look]] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    kinks: list[Kink] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    undefined: list[Undefined] = field(default_factory=list)


def judge(problem: Problem) -> Findings:
    """Judge every claim of the problem.

    Raises `LostValue` if the code at a second point shows that a value was lost on the way.
    """
    found = _judge(problem)
    found.notes += _transposed(problem, found)
    return found


def _transposed(problem: Problem, found: Findings) -> Iterator[str]:
    """The gradients that are right but for their layout."""
    near = [s.point for b, s in found.looks if b is found.own and _inside(s)][:_FIRST]
    for pair in found.own.pairs:
        if not isinstance(found.verdicts[pair.name], Refuted):
            continue
        bare = problem.only_here and is_number(
            found.own.hand_run.program, found.own.hand_run.program.outputs[pair.name]
        )
        numbers = found.own.hand_run.values[pair.name] if bare else None
        points = [problem.inputs.point, *(() if bare else near)]
        if is_transpose(found.own, pair, points, problem.inputs.free, numbers):
            yield f"{pair.name}: yours is exactly the transpose of the derivative, which has shape {list(pair.shape)}."


def _judge(problem: Problem) -> Findings:
    point = problem.inputs.point
    own = problem.branch(point) if problem.first is None else branch_of(*problem.first, problem.wrt, problem.order)
    found = Findings(own, look(own, point, problem.inputs.free), [own])
    open_pairs = []
    for pair in own.pairs:
        if pair.hand is None:
            found.verdicts[pair.name] = Refuted(_shape_witness(problem, pair))
        else:
            open_pairs.append(pair)
    if problem.only_here:
        numbers = [p for p in open_pairs if is_number(own.hand_run.program, own.hand_run.program.outputs[p.name])]
        _numbers(problem, found, numbers)
        open_pairs = [p for p in open_pairs if p not in numbers]
        problem = replace(problem, only_here=False)
    if not open_pairs:
        return found
    stream = _more_looks(problem, found)
    for _ in range(_BRANCHING if branches_on(own.program, problem.inputs.free) else _FIRST):
        next(stream, None)
    _cross(problem, found)
    open_pairs = _refute(problem, found, open_pairs)
    open_pairs = _at_the_point(problem, found, open_pairs)
    open_pairs = _prove(problem, found, open_pairs)
    if open_pairs:
        for _ in stream:
            pass
        open_pairs = _refute(problem, found, open_pairs)
        for pair in open_pairs:
            found.verdicts[pair.name] = _without_proof(problem, found, pair)
    found.notes += _unreached(problem, found)
    return found


def _numbers(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> None:
    """Judge values of which nothing else is known, at the point that they are for."""
    here = found.own_look
    tensors = {
        n: torch.as_tensor(np.asarray(problem.inputs.point[n])).to(getattr(torch, k)) for n, k in problem.dtypes.items()
    }
    tensors = {n: tensors.get(n, torch.as_tensor(problem.inputs.point[n])) for n in found.own.program.inputs}
    for pair in pairs:
        view = here.views[pair.name]
        if any(not x.is_finite() for x in (*view.exact, *view.hand)):
            what = "the derivative has no value at your point" if view.state == "outside" else "a number is not finite"
            found.verdicts[pair.name] = Undecided(f"{what}, and numbers tell of no other.", ("balls",))
            continue
        result = measure(found.own, here, pair, found.own.hand_run.values[pair.name], tensors)
        kinks = len(found.kinks)
        if result.entry is not None:
            _at_the_point(problem, found, [pair])
        if len(found.kinks) > kinks:  # between the slopes on its sides: a convention
            found.verdicts[pair.name] = Agrees(1, BITS, told_to=result.resolution)
        elif result.entry is not None:
            k = result.entry
            texts = _digits(view.hand[k], view.exact[k])
            values = _middle(view.hand[k]), _middle(view.exact[k])
            found.verdicts[pair.name] = Refuted(
                Witness(here.point, as_entry(k, pair.shape), *texts, "differs", *values, True)
            )
            found.notes.append(
                f"{pair.name}: the number is off by {result.off:.2g}, and rounding in {result.dtype} accounts for at "
                f"most {result.allowed:.2g} there, unless the computation loses its digits: pass the code to tell."
            )
        elif not result.decided:
            found.verdicts[pair.name] = Undecided("too many numbers differ by more than a few ulps.", ("rounding",))
        else:
            found.verdicts[pair.name] = Agrees(1, BITS, told_to=result.resolution)


def _unreached(problem: Problem, found: Findings) -> list[str]:
    """The choices of the code that came out the same way at every point: their other branch was not judged."""
    return [
        f"a comparison ({text}) was {'true' if outcome else 'false'} at every point that was looked at; "
        "the other branch was not judged."
        for text, outcome in _one_sided(problem, found)
    ]


def _one_sided(problem: Problem, found: Findings) -> dict[tuple[str, bool], tuple[Branch, Guard]]:
    """The comparisons of the code that came out the same way at every point and entry, by their text and outcome."""
    outcomes: dict[tuple[Any, ...], set[bool]] = {}
    places: dict[tuple[Any, ...], tuple[str, Branch, Guard]] = {}
    for branch in found.branches:
        for guard in branches_on(branch.program, problem.inputs.free):
            if guard.outcome.dtype != bool or guard.source is None:
                continue
            source = guard.source
            key = (guard.op, source.file, source.line, source.span, source.text)
            outcomes.setdefault(key, set()).update(np.unique(guard.outcome).tolist())
            text = f"line {source.line}, {source.text}" if source.line else source.text
            places.setdefault(key, (text, branch, guard))
    return {(places[key][0], seen == {True}): places[key][1:] for key, seen in outcomes.items() if len(seen) == 1}


# ------------------------------------------------------------------------------------------------ looking


def _more_looks(problem: Problem, found: Findings) -> Iterator[Look]:
    """Look at one resampled point after another, within the budget of work."""
    own = found.own
    moving = branches_on(own.program, problem.inputs.free)
    work = sum(int(np.prod(s.shape, dtype=np.int64)) for s in own.program.steps)
    count = max(_FIRST + 1, min(problem.points, _WORK // max(work, 1)))
    reran = False
    for point in neighbours(problem.inputs, 2 * count + 8, problem.seed):
        if sum(1 for _, seen in found.looks if _inside(seen)) >= count:
            return
        for share in _SHARES:
            nearer = point if share == 1 else toward(problem.inputs, point, share)
            branch: Branch | None = own
            if moving or not reran:
                branch = _rerun(problem, found, nearer)
                if branch is None:
                    continue
                if not moving and branch is not own:
                    _lost(problem, own, branch)
                reran = True
            assert branch is not None
            seen = look(branch, nearer, problem.inputs.free)
            found.looks.append((branch, seen))
            if seen.undefined is not None:
                found.undefined.append(seen.undefined)
            if _inside(seen) or not _inside(found.own_look):
                break
        if all(branch is not b for b in found.branches) and branch is not None:
            found.branches.append(branch)
        yield found.looks[-1][1] if found.looks else found.own_look


def _cross(problem: Problem, found: Findings) -> None:
    """Look on the other side of every comparison that came out the same way so far; what appears there, likewise."""
    if problem.only_here:
        return
    tried: set[tuple[str, bool]] = set()
    while waiting := [item for item in _one_sided(problem, found).items() if item[0] not in tried]:
        for key, (branch, guard) in waiting:
            tried.add(key)
            if len(tried) > _CROSSINGS:
                return
            starts = [found.own_look.point] if branch is found.own else []
            starts += [seen.point for b, seen in found.looks if b is branch][:1]
            for start in starts[:1]:
                point = across(branch.program, guard, start, problem.inputs.free, problem.inputs.bounds)
                there = None if point is None else _rerun(problem, found, point)
                if point is None or there is None:
                    continue
                seen = look(there, point, problem.inputs.free)
                found.looks.append((there, seen))
                if all(there is not b for b in found.branches):
                    found.branches.append(there)


def _rerun(problem: Problem, found: Findings, point: Mapping[str, Any]) -> Branch | None:
    """The branch that the code takes at a point; None, and a line in the findings, if it fails there."""
    try:
        return problem.branch(point, found.branches)
    except SymgradError as error:
        found.failed.append(error.what)
        return None


def _inside(seen: Look) -> bool:
    return any(view.state != "outside" for view in seen.views.values())


def _clear(found: Findings) -> list[tuple[Branch, Look]]:
    """The looks inside the domain and off every edge: a branch taken on an edge alone says nothing beside it."""
    inside = [(b, s) for b, s in found.looks if _inside(s)]
    return [(b, s) for b, s in inside if not s.ties] or inside


def _lost(problem: Problem, own: Branch, branch: Branch) -> None:
    """Without guards two runs must be the same Program; where they are not, a value was taken for a constant."""
    if any(not own.same_path(*problem.runs(problem.inputs.point)) for _ in range(_AGAIN)):
        raise NotReproducible(
            "the code goes another way each time that it is run, at the same point.",
            instead="Fix the randomness: set the seed inside the function, or pass what it draws as an input.",
        )
    for a, b in ((own.model_run, branch.model_run), (own.hand_run, branch.hand_run)):
        if same_structure(a.program, b.program):
            continue
        i = only_constants_differ(a.program, b.program)
        source = None if i is None else a.program.steps[i].source
        where = None if source is None else f"    {source.file}:{source.line}    {source.text}"
        raise LostValue(
            "a number in your code changes with the inputs, in a way that could not be followed.",
            where=where,
            instead="Keep the value in a tensor, an array or a float, and use torch, numpy or math functions of it.",
        )


# ------------------------------------------------------------------------------------------------ refuting


def _refute(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> list[Pair]:
    """Refute the pairs that differ at a generic point (inside the domain, off every kink); return the others."""
    rest = []
    for pair in pairs:
        witnesses = [w for branch, seen in found.looks if not seen.ties and (w := _witness(seen, pair)) is not None]
        own = found.own_look
        if not own.ties and (here := _witness(own, pair, own=True)) is not None and here.reason == "differs":
            witnesses.insert(0, here)
        if not witnesses:
            rest.append(pair)
            continue
        simple = None if problem.only_here else _simplest(problem, found, pair)
        found.verdicts[pair.name] = Refuted(simple or witnesses[0], tuple(witnesses[:1] if simple else witnesses[1:2]))
    return rest


def _witness(seen: Look, pair: Pair, *, own: bool = False) -> Witness | None:
    view = seen.views.get(pair.name)
    if view is None or view.state not in ("differs", "undefined"):
        return None
    shape = pair.shape
    state = view.state
    k = _clearest(view, view.entries(state))
    return Witness(
        seen.point,
        as_entry(k, shape),
        *_digits(view.hand[k], view.exact[k]),
        "differs" if state == "differs" else "undefined",
        _middle(view.hand[k]),
        _middle(view.exact[k]),
        own,
    )


def _clearest(view: View, entries: list[int]) -> int:
    """The entry whose two values differ most, relative to their size."""

    def gap(k: int) -> float:
        h, e = view.hand[k], view.exact[k]
        if not h.is_finite():
            return np.inf
        return float(abs(h - e).mid()) / (float(abs(h).mid()) + float(abs(e).mid()) + 1e-300)

    best = max(gap(k) for k in entries)
    return next(k for k in entries if gap(k) >= 0.5 * best)


def _simplest(problem: Problem, found: Findings, pair: Pair) -> Witness | None:
    """The first of the simple points that shows the difference."""
    moving = branches_on(found.own.program, problem.inputs.free)
    for point in nice_points(problem.inputs, 24, problem.seed):
        try:
            branch = problem.branch(point, found.branches) if moving else found.own
        except SymgradError:
            continue
        seen = look(branch, point, problem.inputs.free)
        if seen.ties:
            continue
        here = _witness(seen, pair)
        if here is not None and here.reason == "differs":
            return here
    return None


def _shape_witness(problem: Problem, pair: Pair) -> Witness:
    return Witness(problem.inputs.point, None, f"shape {list(pair.hand_shape)}", f"shape {list(pair.shape)}", "shape")


def _digits(hand: Any, exact: Any) -> tuple[str, str]:
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
    text = x.mid().str(digits, radius=False)
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return text


def _middle(x: Any) -> float | complex:
    if not x.is_finite():
        return float("nan")
    return complex(x.mid()) if type(x).__name__ == "acb" else float(x.mid())


# ------------------------------------------------------------------------------------------------ the user's own point


def _at_the_point(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> list[Pair]:
    """What is special at the user's own point: a kink, a removable singularity, or a difference there alone."""
    rest = []
    for pair in pairs:
        view = found.own_look.views[pair.name]
        odd = [k for k, s in enumerate(view.states) if s in ("differs", "undefined", "outside")]
        edges = found.own_look.ties
        if not odd or (not edges and view.state == "outside" and not _near_is_defined(found)):
            rest.append(pair)
            continue
        verdict = _on_an_edge(problem, found, pair, view, odd)
        if verdict is None:
            rest.append(pair)
        else:
            found.verdicts[pair.name] = verdict
    return rest


def _near_is_defined(found: Findings) -> bool:
    return any(_inside(seen) for _, seen in found.looks)


def _on_an_edge(problem: Problem, found: Findings, pair: Pair, view: View, odd: Sequence[int]) -> Verdict | None:
    """Read the branches beside the point on rays into it; a jump between them is a kink."""
    slopes = _rays(problem, found, pair)
    if not slopes:
        return None
    autograd = None
    for k in odd:
        exact = [s[k] for _, s in slopes if s[k].is_finite()]
        if not exact:
            continue
        values = [float(e.real.mid()) if type(e).__name__ == "acb" else float(e.mid()) for e in exact]
        low, high = min(values), max(values)
        scale = max(abs(low), abs(high), 1e-300)
        hand = _middle(view.hand[k])
        jump = high - low > 1e-9 * scale
        inside = hand != hand or low - 1e-9 * scale <= np.real(hand) <= high + 1e-9 * scale
        where = _edge_source(found)
        if jump and inside:
            found.kinks.append(
                Kink(pair.name, as_entry(k, pair.shape), low, high, float(np.real(hand)), autograd, where)
            )
        elif not jump and view.states[k] != "differs":
            found.notes.append(
                f"d/d{pair.name}: at your point the hand formula or the derivative is written as 0/0; "
                f"its limit there is {low:.6g}."
            )
        elif not inside or not (jump or _is_limit(view.hand[k], exact)):
            h = view.hand[k]
            text = decimal(h, 8), f"{low:.8g}" if not jump else f"between {low:.8g} and {high:.8g}"
            return Refuted(
                Witness(problem.inputs.point, as_entry(k, pair.shape), *text, "differs", hand, (low + high) / 2, True)
            )
    return None


def _is_limit(hand: Any, slopes: Sequence[Any]) -> bool:
    """Whether the value is that of the slopes 2**-90 away, up to what a slope may change over that distance."""
    gap = min(abs(hand - s).mid() for s in slopes)
    return bool(gap <= max(abs(s).mid() for s in slopes) * _NEAR)


def _edge_source(found: Findings) -> str | None:
    for guard in found.own_look.ties:
        if guard.source is not None and guard.source.line is not None:
            return f"line {guard.source.line}: {guard.source.text}"
    return None


def _rays(problem: Problem, found: Findings, pair: Pair) -> list[tuple[np.ndarray, np.ndarray]]:
    """(hand, exact) on rays into the user's own point, 2**-90 away, by the branch that the code takes beside it."""
    from flint import arb

    out = []
    point = problem.inputs.point
    rng = np.random.default_rng((problem.seed, 2))
    direction: dict[str, np.ndarray] = {}
    for j in range(_RAYS):
        direction = (
            {n: -d for n, d in direction.items()}
            if j % 2
            else {n: rng.standard_normal(np.shape(point[n])) for n in problem.inputs.free}
        )
        step = {n: (1e-3 if problem.dtypes.get(n) in ("float32", "float16", "bfloat16") else 1e-7) for n in direction}
        beside = {**point, **{n: np.asarray(point[n]) + step[n] * d for n, d in direction.items()}}
        try:
            branch = problem.branch(beside, found.branches)
        except SymgradError:
            continue
        with precision(640):
            tiny = arb(2) ** -90
            shift = {
                n: array_of([arb(float(x)) * tiny for x in np.real(d).reshape(-1)], np.shape(d))
                for n, d in direction.items()
            }
        seen = look(branch, point, problem.inputs.free, offset=shift)
        view = seen.views.get(pair.name)
        if view is not None and not seen.misjudged:
            out.append((view.hand, view.exact))
    return out


# ------------------------------------------------------------------------------------------------ proving


def _prove(problem: Problem, found: Findings, pairs: Sequence[Pair]) -> list[Pair]:
    """Prove what can be proved, in every branch that was reached; return the pairs that are left."""
    clear = _clear(found)
    reached = [b for b in found.branches if any(b is c for c, _ in clear)] or [found.own]
    if len(reached) > _BRANCHES:
        return list(pairs)
    links: dict[str, list[Any]] = {p.name: [] for p in pairs}
    domain: dict[str, None] = {}
    alive = {p.name for p in pairs}
    for branch in reached:
        mine = [p for p in branch.pairs if p.name in alive and p.hand is not None]
        for pair, proof in zip(mine, _proofs(problem, branch, mine), strict=True):
            if proof is None:
                alive.discard(pair.name)
            else:
                links[pair.name].append(proof)
                domain |= dict.fromkeys(getattr(proof, "conditions", ()))
    for pair in pairs:
        if pair.name in alive:
            found.verdicts[pair.name] = Proved(tuple(links[pair.name]), tuple(map(str, domain)))
    return [p for p in pairs if p.name not in alive]


def _proofs(problem: Problem, branch: Branch, pairs: Sequence[Pair]) -> list[Any]:
    """A proof for each pair or None: first for all values of the data too, then for the data as given.

    What residues do not show is not tried: a search for a proof of what is false costs the most.
    """
    goals = [(p.hand, p.exact) for p in pairs]
    proofs: list[Any] = [None] * len(goals)
    programs = [branch.program]
    if len(problem.inputs.free) < len(branch.program.inputs):
        programs.append(with_data(branch, problem.inputs.point, problem.inputs.free))
    for program in programs:
        open_goals = [k for k, proof in enumerate(proofs) if proof is None]
        shown = [k for k in open_goals if certificate(program, [goals[k]], seed=problem.seed).equal is not False]
        for k, proof in zip(shown, prove_all(program, [goals[k] for k in shown]), strict=True):
            proofs[k] = proof
    return proofs


def _without_proof(problem: Problem, found: Findings, pair: Pair) -> Verdict:
    """Agreement at every point that was looked at, with what the residues say; or what kept it from being decided."""
    seen = _clear(found)
    views = [s.views[pair.name] for _, s in seen if pair.name in s.views]
    if not views:
        why = found.failed[0] if found.failed else "no point of the domain was found to compare at."
        return Undecided(why, ("resampling",))
    states = {v.state for v in views} - {"outside"}
    if states & {"unclear", "undefined", "differs"}:
        bits = max(v.bits for v in views)
        return Undecided(
            f"the two could not be told apart, nor shown equal, with {bits} bits at every point.", ("balls",)
        )
    typed = "the constants that were typed with few digits" if "typed" in states else None
    if typed is not None or problem.only_here:
        return Agrees(len(views), BITS, None, "no chain of rules was found within the budget", typed)
    branch = next((b for b, _ in _clear(found)), found.own)
    mine = next(p for p in branch.pairs if p.name == pair.name)
    tried = _certificates(problem, branch, mine)
    shown = next((c for c in tried if c.equal), None)
    if shown is None and (why := _doubt(tried, views, _is_faithful(branch, mine))) is not None:
        return Undecided(why, ("balls", "residues"))
    return Agrees(len(views), BITS, shown, "no chain of rules was found within the budget")


def _certificates(problem: Problem, branch: Branch, mine: Pair) -> list[Certificate]:
    """What residues say of one branch (the others were only sampled): for any data, and for these."""
    tried: list[Certificate] = []
    for program in (branch.program, with_data(branch, problem.inputs.point, problem.inputs.free)):
        tried.append(certificate(program, [(mine.hand, mine.exact)], seed=problem.seed))
        if tried[-1].equal:
            break
    return tried


def _doubt(tried: Sequence[Certificate], views: Sequence[View], faithful: bool) -> str | None:
    """Why agreement at every point is not enough: what residues show to differ, or an entry that was never seen."""
    if any(c.equal is False and not c.oracles for c in tried) and faithful:
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
